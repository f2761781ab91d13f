/* SPDX-License-Identifier: BSD-3-Clause */
#include "early.h"

#include <netinet/in.h>

enum { EDGE_ESP, EDGE_AH, EDGE_DROP };

/* Each walk: packets whose SA has come go on, in their order; those whose SPI is given up, or that waited too long, are dropped. */
static uint16_t
early_release_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	struct early_hold *h = &w->early;
	unsigned int left = 0;

	(void)objs;
	if (likely(h->n == 0))
		return 0;
	n = h->n;
	memset(h->held, 0, sizeof(h->held));
	for (unsigned int i = 0; i < n; i++) {
		struct rte_mbuf *m = h->pkts[i];
		bool ah = pkt(m)->flags & PKT_F_AH;
		/* Asked first: the SPI stops being awaited after its SA can be found. */
		bool awaited = sad_awaits(w->sad, h->spi[i]);

		if (sad_lookup(w->sad, h->spi[i], ah ? IPPROTO_AH : IPPROTO_ESP) != NULL) {
			rte_node_enqueue_x1(graph, node, ah ? EDGE_AH : EDGE_ESP, m);
		} else if (!awaited || w->now > h->deadline[i]) {
			pkt(m)->drop = DROP_ESP_NO_SA;
			rte_node_enqueue_x1(graph, node, EDGE_DROP, m);
		} else {
			h->spi[left] = h->spi[i];
			h->deadline[left] = h->deadline[i];
			h->pkts[left++] = m;
			++*early_held(h, h->spi[i]);
		}
	}
	h->n = left;
	w->work += n - left;
	return n - left;
}

static struct rte_node_register early_release_node = {
	.name = "early-release",
	.flags = RTE_NODE_SOURCE_F,
	.init = worker_node_init,
	.process = early_release_process,
	.nb_edges = 3,
	.next_nodes = {[EDGE_ESP] = "esp-decrypt", [EDGE_AH] = "ah-input", [EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(early_release_node);
