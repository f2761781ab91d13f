/* SPDX-License-Identifier: BSD-3-Clause */
#include "walk.h"

#include <string.h>

static bool
is_one_of(const char *name, const char *const *names, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* 0: seldom, 1: frames, 2: always. Of a lcore that is not a worker all are the last. */
static unsigned int
class_of(const struct worker *w, const struct rte_node *node)
{
	static const char *const seldom[] = {
		"early-release", "host-rx", "neigh-release", "reassembly-expire"};
	static const char *const framed[] = {"crypto-complete", "crypto-dequeue", "crypto-enqueue"};

	if (!w->worker)
		return 2;
	if (is_one_of(node->name, seldom, RTE_DIM(seldom)))
		return 0;
	return is_one_of(node->name, framed, RTE_DIM(framed)) ? 1 : 2;
}

void
walk_prepare(struct worker *w)
{
	struct rte_graph *graph = w->graph;
	int32_t first = (int32_t)graph->head, n[3] = {0}, at[3];
	rte_graph_off_t sorted[-first];

	for (int32_t i = first; i < 0; i++)
		n[class_of(w, RTE_PTR_ADD(graph, graph->cir_start[i]))]++;
	at[0] = 0;
	at[1] = n[0];
	at[2] = n[0] + n[1];
	for (int32_t i = first; i < 0; i++)
		sorted[at[class_of(w, RTE_PTR_ADD(graph, graph->cir_start[i]))]++] =
			graph->cir_start[i];
	memcpy(&graph->cir_start[first], sorted, sizeof(sorted));
	w->seldom = n[0];
	w->framed = n[1];
}
