/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_graph.h>
#include <rte_graph_worker.h>
#include <rte_lcore.h>

/* What the lcores count, read while they count: each figure is right, they need not be of one moment. */

#define LCORES_PER_PAGE 8

static json_t *
node_row(const struct rte_node *node)
{
	const volatile struct rte_node *n = node;
	uint64_t calls = n->total_calls, packets = n->total_objs, cycles = n->total_cycles;

	return json_pack("{ss# sI sI sI so so}", "node", node->name,
		(int)strnlen(node->name, sizeof(node->name)), "calls", ctl_int(calls), "packets",
		ctl_int(packets), "cycles", ctl_int(cycles), "packets_per_call",
		calls == 0 ? json_null() : json_real((double)packets / (double)calls),
		"cycles_per_packet",
		packets == 0 ? json_null() : json_real((double)cycles / (double)packets));
}

/* As rte_graph_foreach_node() does, which casts away the qualifiers. */
static json_t *
nodes(const char *graph_name)
{
	struct rte_graph *graph = rte_graph_lookup(graph_name);
	json_t *v = json_array();
	struct rte_node *node;
	rte_graph_off_t off;
	rte_node_t i;

	if (graph == NULL)
		return v;
	rte_graph_foreach_node (i, off, graph, node) {
		if (json_array_append_new(v, node_row(node)) != 0) {
			json_decref(v);
			return NULL;
		}
	}
	return v;
}

static json_t *
drops(const struct worker *w, bool all)
{
	json_t *v = json_array();

	for (unsigned int i = 0; i < DROP_REASONS_MAX; i++) {
		uint64_t n = *(const volatile uint64_t *)&w->drops[i];

		if ((n != 0 || all) &&
			json_array_append_new(
				v, json_pack("{ss ss sI}", "reason", drop_names[i], "text",
					   drop_texts[i], "packets", ctl_int(n))) != 0) {
			json_decref(v);
			return NULL;
		}
	}
	return v;
}

static const char *
role(const struct worker *w)
{
	return w->worker ? "worker" : "crypto";
}

int
ctl_graph(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	const struct router *r = ctl->r;
	const json_t *all = json_object_get(args, "all");
	bool all_drops = json_is_true(all);
	const char *cursor;
	char name[RTE_GRAPH_NAMESIZE];
	uint32_t i, end;
	int rc;

	if (all != NULL) {
		if (!json_is_boolean(all))
			return ctl_fail(reply, -EINVAL, "all is not true or false");
		json_object_del(args, "all");
	}
	rc = ctl_cursor_arg(args, reply, &cursor);
	if (rc == 0)
		rc = ctl_cursor_index(cursor, r->n_lcores + 1, &i, reply);
	if (rc < 0)
		return rc;
	reply->data = json_array();
	end = RTE_MIN(i + LCORES_PER_PAGE, r->n_lcores);
	for (; i < end; i++) {
		const struct worker *w = r->lcores[i];

		snprintf(name, sizeof(name), "%s-%u", role(w), w->lcore);
		rc = json_array_append_new(reply->data,
			json_pack("{sI ss ss sI so so}", "lcore", (json_int_t)w->lcore, "role",
				role(w), "graph", name, "time_ns", ctl_int(ctl_now()), "nodes",
				nodes(name), "drops", drops(w, all_drops)));
		if (rc != 0)
			return -ENOMEM;
	}
	if (i < r->n_lcores)
		snprintf(reply->next, sizeof(reply->next), "%u", i);
	return 0;
}

static json_t *
percent(uint64_t part, uint64_t whole)
{
	if (whole == 0)
		return json_null();
	return json_real(RTE_MIN(100.0 * (double)part / (double)whole, 100.0));
}

/* Operations that a crypto lcore's devices have. */
static uint64_t
operations(const struct crypto_server *s)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < s->n_devs && i < RTE_DIM(s->in_flight); i++)
		n += *(const volatile uint32_t *)&s->in_flight[i];
	return n;
}

/* What a lcore of the data plane does: of the last second where it says percent. */
static json_t *
activity(const struct ctl *ctl, unsigned int i)
{
	const struct worker *w = ctl->r->lcores[i];
	const struct ctl_sample *now = &ctl->samples[i][0], *before = &ctl->samples[i][1];
	uint64_t tsc = ctl->ticks > 1 ? now->tsc - before->tsc : 0;
	const volatile struct crypto_queue *q = &w->crypto_queue;
	uint64_t tail = q->tail, head = q->head;

	return json_pack("{so so sI sI sI so so}", "busy_percent",
		percent(now->busy_cycles - before->busy_cycles, tsc), "sleep_percent",
		percent(now->sleep_cycles - before->sleep_cycles, tsc), "walks",
		ctl_int(*(const volatile uint64_t *)&w->walks), "sleeps",
		ctl_int(*(const volatile uint64_t *)&w->sleeps), "busy_cycles",
		ctl_int(*(const volatile uint64_t *)&w->busy_cycles), "frames_in_flight",
		w->worker ? json_integer(ctl_int(head - tail)) : json_null(),
		"operations_in_flight",
		w->crypto ? json_integer(ctl_int(operations(&w->crypto_server))) : json_null());
}

const char *
ctl_role(const struct worker *w)
{
	return !w->worker ? "crypto" : w->crypto ? "worker+crypto" : "worker";
}

static const struct worker *
find(const struct router *r, unsigned int lcore, unsigned int *i)
{
	for (*i = 0; *i < r->n_lcores; (*i)++)
		if (r->lcores[*i]->lcore == lcore)
			return r->lcores[*i];
	return NULL;
}

int
ctl_lcores(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	const struct config *config = ctl->r->config;
	unsigned int at;
	json_t *row;
	int rc = ctl_no_args(args, reply);

	if (rc < 0)
		return rc;
	reply->data = json_array();
	for (unsigned int i = 0; i < config->n_lcores; i++) {
		const struct config_lcore *l = &config->lcores[i];
		const struct worker *w = find(ctl->r, l->lcore, &at);
		const char *name = l->role == ROLE_CONTROL  ? "control"
				   : l->role == ROLE_CRYPTO ? "crypto"
							    : "worker";

		row = json_pack("{sI ss sI sI sb}", "lcore", (json_int_t)l->lcore, "role",
			w != NULL && w->worker && w->crypto ? "worker+crypto" : name, "cpu",
			(json_int_t)l->cpu, "numa_node",
			(json_int_t)rte_lcore_to_socket_id(l->lcore), "isolated", ctl->isolated[i]);
		if (row == NULL ||
			(w != NULL && json_object_update_new(row, activity(ctl, at)) != 0)) {
			json_decref(row);
			return -ENOMEM;
		}
		if (json_array_append_new(reply->data, row) != 0)
			return -ENOMEM;
	}
	return 0;
}
