/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"
#include "ctl_probe.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/buffer.h>
#include <rte_graph_worker.h>

/*
 * The edges command: its answer is followed by the graphs with the packets of each edge so far, one document a line and
 * second, until the client hangs up. Edges are counted while somebody asks.
 */

#define EVERY_NS 1000000000ull

struct edges_stream {
	struct ctl_stream stream;
	struct ctl *ctl;
	uint64_t next; /* nanoseconds: the next line */
};

static json_t *
edges(const struct probe *p, unsigned int lcore, const struct rte_node *node)
{
	json_t *v = json_array();

	for (rte_edge_t e = 0; e < node->nb_edges; e++)
		json_array_append_new(v, json_pack("{ss sI}", "to", node->nodes[e]->name, "packets",
						 ctl_int(probe_edge(p, lcore, node->id, e))));
	return v;
}

static json_t *
nodes(const struct ctl *ctl, unsigned int lcore)
{
	struct rte_graph *graph = ctl->r->lcores[lcore]->graph;
	json_t *v = json_array();
	struct rte_node *node;
	rte_graph_off_t off;
	rte_node_t i;

	rte_graph_foreach_node (i, off, graph, node) {
		const volatile struct rte_node *n = node;

		json_array_append_new(
			v, json_pack("{ss sI sI sI so}", "node", node->name, "calls",
				   ctl_int(n->total_calls), "packets", ctl_int(n->total_objs),
				   "cycles", ctl_int(n->total_cycles), "edges",
				   edges(ctl->probe, lcore, node)));
	}
	return v;
}

static bool
pump(struct ctl_stream *stream, struct evbuffer *out)
{
	struct edges_stream *s = (struct edges_stream *)stream;
	const struct router *r = s->ctl->r;
	uint64_t now = ctl_now();
	json_t *doc, *lcores;
	char *line;
	int rc;

	if (now < s->next || !probe_ready(s->ctl->probe, PROBE_EDGES))
		return true;
	s->next = now + EVERY_NS;
	lcores = json_array();
	for (unsigned int i = 0; i < r->n_lcores; i++)
		json_array_append_new(
			lcores, json_pack("{si ss so}", "lcore", (int)r->lcores[i]->lcore, "role",
					ctl_role(r->lcores[i]), "nodes", nodes(s->ctl, i)));
	doc = json_pack("{sI so}", "time_ns", ctl_int(now), "lcores", lcores);
	line = doc != NULL ? json_dumps(doc, JSON_COMPACT) : NULL;
	json_decref(doc);
	rc = line != NULL ? evbuffer_add_printf(out, "%s\n", line) : -1;
	free(line);
	return rc >= 0;
}

static void
finish(struct ctl_stream *stream)
{
	struct edges_stream *s = (struct edges_stream *)stream;

	probe_edges_stop(s->ctl->probe);
	free(s);
}

int
ctl_edges(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	struct edges_stream *s;
	int rc = ctl_no_args(args, reply);

	if (rc == 0)
		rc = ctl_probe_make(ctl, reply);
	if (rc < 0)
		return rc;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->stream = (struct ctl_stream){.pump = pump, .close = finish};
	s->ctl = ctl;
	probe_edges_start(ctl->probe);
	reply->data = json_pack("{ss?}", "name", ctl->r->config->name);
	ctl->stream = &s->stream;
	return 0;
}
