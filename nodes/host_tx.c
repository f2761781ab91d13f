/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip6.h"
#include "stream.h"
#include "worker.h"

#include <unistd.h>

#include <rte_ether.h>

/* Makes it an Ethernet frame to the tap again. */
static inline bool
restore_l2(const struct worker *w, struct rte_mbuf *m, const struct pkt *p)
{
	struct rte_ether_hdr *eth;
	uint16_t type;

	if (p->punt == PUNT_ARP)
		return true; /* nobody took it off */
	type = ip6_is_version(m) ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4;
	eth = (struct rte_ether_hdr *)rte_pktmbuf_prepend(m, sizeof(*eth));
	if (unlikely(eth == NULL))
		return false;
	if (p->flags & PKT_F_DECRYPTED) {
		/* What stood there was the tunnel's. */
		memcpy(&eth->dst_addr, w->port[p->in_port].mac, RTE_ETHER_ADDR_LEN);
		memset(&eth->src_addr, 0, RTE_ETHER_ADDR_LEN);
		eth->ether_type = rte_cpu_to_be_16(type);
	}
	return true;
}

static uint16_t
host_tx_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);
	static const uint64_t one = 1;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		struct pkt *p = pkt(m);

		if (restore_l2(w, m, p) && rte_ring_mp_enqueue(w->punt.ring[p->punt], m) == 0) {
			w->punted[p->punt]++;
			stream_put(&s, i, EDGE_KEPT);
		} else {
			p->drop = DROP_PUNT_RATION;
			stream_put(&s, i, 0);
		}
	}
	/* Either the thread sees the rings filled before it sleeps, or we see it asleep. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(w->punt.asleep, memory_order_relaxed) &&
		write(w->punt.eventfd, &one, sizeof(one)) < 0) {
		/* its counter is full: it is awake already */
	}
	return stream_end(&s, n);
}

static struct rte_node_register host_tx_node = {
	.name = "host-tx",
	.init = worker_node_init,
	.process = host_tx_process,
	.nb_edges = 1,
	.next_nodes = {"drop"},
};
RTE_NODE_REGISTER(host_tx_node);
