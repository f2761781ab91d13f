/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_graph_worker.h>
#include <rte_malloc.h>
#include <rte_per_lcore.h>

/* Turning it on and off, and the function that stands before those of the nodes. */

static RTE_DEFINE_PER_LCORE(struct probe_lcore *, mine);

static enum probe_kind
kind_of(const char *name)
{
	static const struct {
		const char *name;
		enum probe_kind kind;
	} kinds[] = {
		{"ah-input-finish", PROBE_SA},
		{"ah-output", PROBE_SEAL},
		{"ah-output-finish", PROBE_SA},
		{"crypto-submit", PROBE_SA},
		{"drop", PROBE_DROPPED},
		{"esp-decrypt-finish", PROBE_SA},
		{"esp-encrypt", PROBE_SEAL},
		{"esp-encrypt-finish", PROBE_SA},
		{"host-rx", PROBE_HOST},
		{"ipsec-input-check", PROBE_OPENED},
		{"port-rx", PROBE_PORT},
		{"port-tx", PROBE_SENT},
	};

	for (unsigned int i = 0; i < RTE_DIM(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].kind;
	return PROBE_PLAIN;
}

static inline void
look(struct probe_lcore *l, const struct rte_node *node, struct rte_mbuf **pkts, uint16_t n)
{
	enum probe_kind kind = l->kind[node->id];

	if (l->w->probe_done & PROBE_TRACE)
		probe_trace_node(l, node, kind, pkts, n);
	if (l->w->probe_done & PROBE_CAPTURE)
		probe_capture_node(l, kind, pkts, n);
}

/* The streams of the nodes behind a node grow by what it gives on. */
struct streams {
	uint16_t n;
	uint16_t before[PROBE_EDGES_MAX];
};

static inline void
streams_before(struct streams *s, const struct rte_node *node)
{
	s->n = RTE_MIN(node->nb_edges, PROBE_EDGES_MAX);
	for (uint16_t e = 0; e < s->n; e++)
		s->before[e] = node->nodes[e]->idx;
}

/* How many packets took the edge; of several edges to one node the first has them all. */
static inline uint16_t
streams_grown(const struct streams *s, const struct rte_node *node, uint16_t e)
{
	for (uint16_t k = 0; k < e; k++)
		if (node->nodes[k] == node->nodes[e])
			return 0;
	return RTE_MAX(node->nodes[e]->idx - s->before[e], 0);
}

static uint16_t
probe_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct probe_lcore *l = RTE_PER_LCORE(mine);
	bool source = l->kind[node->id] >= PROBE_SOURCE;
	_Atomic uint64_t *counts = &l->edges[node->id * PROBE_EDGES_MAX];
	struct streams s;

	if (!source)
		look(l, node, (struct rte_mbuf **)objs, n);
	streams_before(&s, node);
	n = l->process[node->id](graph, node, objs, n);
	for (uint16_t e = 0; e < s.n; e++) {
		const struct rte_node *to = node->nodes[e];
		uint16_t grown = streams_grown(&s, node, e);

		if (grown == 0)
			continue;
		atomic_store_explicit(&counts[e],
			atomic_load_explicit(&counts[e], memory_order_relaxed) + grown,
			memory_order_relaxed);
		if (source)
			look(l, node, (struct rte_mbuf **)to->objs + s.before[e], grown);
	}
	return n;
}

/* Operations never come through a stream: their nodes call this themselves. */
static void
probe_crypto(struct worker *w, const struct rte_node *node, struct rte_mbuf **pkts, uint16_t n)
{
	(void)w;
	look(RTE_PER_LCORE(mine), node, pkts, n);
}

static bool
is_source(const struct rte_graph *graph, const struct rte_node *node)
{
	/* Sources stand before the start of the circle, and every walk begins with them. */
	for (int32_t i = (int32_t)graph->head; i < 0; i++)
		if (graph->cir_start[i] == node->off)
			return true;
	return false;
}

void
probe_switch(struct worker *w)
{
	struct probe_lcore *l = w->probe;
	unsigned int wanted = atomic_load_explicit(&w->probe_wanted, memory_order_acquire);
	struct rte_node *node;
	rte_graph_off_t off;
	rte_node_t i;

	RTE_PER_LCORE(mine) = l;
	rte_graph_foreach_node (i, off, w->graph, node) {
		enum probe_kind kind = kind_of(node->name);

		if (wanted == 0) {
			node->process = l->process[node->id];
		} else if (node->process != probe_process) {
			if (kind == PROBE_PLAIN && is_source(w->graph, node))
				kind = PROBE_SOURCE;
			/* The finish nodes and what comes before them are the only ones to follow pkt->sa. */
			if (strncmp(node->name, "crypto-", 7) == 0 && kind == PROBE_PLAIN)
				kind = PROBE_SA;
			l->kind[node->id] = kind;
			l->process[node->id] = node->process;
			if (strcmp(node->name, "crypto-enqueue") != 0 &&
				strcmp(node->name, "crypto-dequeue") != 0)
				node->process = probe_process;
		}
	}
	w->probe_crypto = wanted != 0 ? probe_crypto : NULL;
	atomic_store_explicit(&w->probe_done, wanted, memory_order_release);
}

struct probe *
probe_create(struct worker *const *lcores, unsigned int n)
{
	struct probe *p = calloc(1, sizeof(*p));
	unsigned int nodes = rte_node_max_count();

	if (p == NULL)
		return NULL;
	p->per_lcore = rte_zmalloc("probe", n * sizeof(*p->per_lcore), RTE_CACHE_LINE_SIZE);
	p->lcores = lcores;
	p->first = 1;
	if (p->per_lcore == NULL)
		goto nomem;
	p->n = n;
	for (unsigned int i = 0; i < n; i++) {
		struct probe_lcore *l = &p->per_lcore[i];
		int socket = (int)rte_lcore_to_socket_id(lcores[i]->lcore);

		l->probe = p;
		l->w = lcores[i];
		l->process = calloc(nodes, sizeof(*l->process));
		l->kind = calloc(nodes, sizeof(*l->kind));
		l->edges = calloc((size_t)nodes * PROBE_EDGES_MAX, sizeof(*l->edges));
		l->trace = rte_malloc_socket("trace", PROBE_TRACE_RECORDS * sizeof(*l->trace),
			RTE_CACHE_LINE_SIZE, socket);
		l->capture = rte_malloc_socket(
			"capture", PROBE_CAPTURE_BYTES, RTE_CACHE_LINE_SIZE, socket);
		if (l->process == NULL || l->kind == NULL || l->edges == NULL || l->trace == NULL ||
			l->capture == NULL)
			goto nomem;
	}
	for (unsigned int i = 0; i < n; i++)
		lcores[i]->probe = &p->per_lcore[i];
	return p;
nomem:
	probe_destroy(p);
	return NULL;
}

void
probe_destroy(struct probe *p)
{
	if (p == NULL)
		return;
	for (unsigned int i = 0; i < p->n; i++) {
		struct probe_lcore *l = &p->per_lcore[i];

		free(l->process);
		free(l->kind);
		free(l->edges);
		rte_free(l->trace);
		/* Packets in clear. */
		if (l->capture != NULL)
			memset(l->capture, 0, PROBE_CAPTURE_BYTES);
		rte_free(l->capture);
	}
	rte_free(p->per_lcore);
	free(p);
}

static void
want(struct probe *p, unsigned int bits)
{
	p->wanted = bits;
	for (unsigned int i = 0; i < p->n; i++)
		atomic_store_explicit(&p->lcores[i]->probe_wanted, bits, memory_order_release);
}

static bool
all_lcores(const struct probe *p, unsigned int bit, bool look)
{
	for (unsigned int i = 0; i < p->n; i++)
		if (!!(atomic_load_explicit(&p->lcores[i]->probe_done, memory_order_acquire) &
			    bit) != look)
			return false;
	return true;
}

bool
probe_ready(const struct probe *p, unsigned int bit)
{
	return all_lcores(p, bit, true);
}

/* Whether one may begin: nobody writes any more for what ran before. */
static int
may_begin(const struct probe *p, unsigned int bit)
{
	if (p->wanted & bit)
		return -EBUSY;
	return all_lcores(p, bit, false) ? 0 : -EAGAIN;
}

static void
empty(struct probe_ring *r)
{
	atomic_store(&r->head, 0);
	atomic_store(&r->tail, 0);
	atomic_store(&r->lost, 0);
}

int
probe_trace_start(struct probe *p, const struct probe_filter *f, unsigned int packets)
{
	int rc = may_begin(p, PROBE_TRACE);

	if (rc < 0)
		return rc;
	p->first += p->packets; /* of the trace before */
	if (p->first == 0 || p->first + packets > UINT8_MAX + 1u)
		p->first = 1;
	p->packets = packets;
	p->trace_filter = *f;
	atomic_store(&p->next, 0);
	for (unsigned int i = 0; i < p->n; i++)
		empty(&p->per_lcore[i].trace_ring);
	want(p, p->wanted | PROBE_TRACE);
	return 0;
}

void
probe_trace_stop(struct probe *p)
{
	want(p, p->wanted & ~PROBE_TRACE);
}

int
probe_capture_start(struct probe *p, const struct probe_capture_conf *conf)
{
	int rc = may_begin(p, PROBE_CAPTURE);

	if (rc < 0)
		return rc;
	p->capture = *conf;
	for (unsigned int i = 0; i < p->n; i++)
		empty(&p->per_lcore[i].capture_ring);
	want(p, p->wanted | PROBE_CAPTURE);
	return 0;
}

void
probe_capture_stop(struct probe *p)
{
	want(p, p->wanted & ~PROBE_CAPTURE);
}

void
probe_edges_start(struct probe *p)
{
	p->edge_users++;
	want(p, p->wanted | PROBE_EDGES);
}

void
probe_edges_stop(struct probe *p)
{
	if (--p->edge_users == 0)
		want(p, p->wanted & ~PROBE_EDGES);
}

uint64_t
probe_edge(const struct probe *p, unsigned int lcore, rte_node_t node, rte_edge_t edge)
{
	if (edge >= PROBE_EDGES_MAX)
		return 0;
	return atomic_load_explicit(
		&p->per_lcore[lcore].edges[node * PROBE_EDGES_MAX + edge], memory_order_relaxed);
}

static uint64_t
sum_lost(const struct probe *p, size_t ring)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < p->n; i++)
		n += atomic_load_explicit(
			&((struct probe_ring *)RTE_PTR_ADD(&p->per_lcore[i], ring))->lost,
			memory_order_relaxed);
	return n;
}

uint64_t
probe_trace_lost(const struct probe *p)
{
	return sum_lost(p, offsetof(struct probe_lcore, trace_ring));
}

uint64_t
probe_capture_lost(const struct probe *p)
{
	return sum_lost(p, offsetof(struct probe_lcore, capture_ring));
}
