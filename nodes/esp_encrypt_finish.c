/* SPDX-License-Identifier: BSD-3-Clause */
#include "esp_op.h"
#include "esp_transport.h"
#include "stream.h"
#include "worker.h"

#include <rte_udp.h>

enum { EDGE_LOOKUP, EDGE_DROP, EDGE_LOOKUP6 };

/* RFC 8200, 8.1: UDP over IPv6 has a checksum, also when ESP is in it. */
static void
udp_checksum(struct rte_mbuf *m, const struct pkt *p)
{
	struct rte_udp_hdr *udp =
		rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, p->esp_at - sizeof(*udp));

	udp->dgram_cksum = esp_ip6_checksum(m, udp, rte_be_to_cpu_16(udp->dgram_len), IPPROTO_UDP);
}

/* The packet is sealed: it is counted, and its outer header finds its way. */
static inline rte_edge_t
finish(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	const struct sa *sa = p->sa;
	struct sa_counters *c = &w->sa_counters[sa->slot];

	esp_op_undo(p, m, sa);
	p->sa = NULL;
	p->flags = (p->flags & ~PKT_F_OWN_L2) | PKT_F_SEALED;
	if (unlikely(p->crypto_status != RTE_CRYPTO_OP_STATUS_SUCCESS)) {
		p->drop = DROP_CRYPTO_ERROR;
		return EDGE_DROP;
	}
	c->packets++;
	c->bytes += p->clear_len;
	c->last_use = w->now;
	if (likely(esp_version(m) == 4))
		return EDGE_LOOKUP;
	if (sa->flags & SA_F_UDP)
		udp_checksum(m, p);
	return EDGE_LOOKUP6;
}

static uint16_t
esp_encrypt_finish_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, finish(w, objs[i], pkt(objs[i])));
	return stream_end(&s, n);
}

static struct rte_node_register esp_encrypt_finish_node = {
	.name = "esp-encrypt-finish",
	.init = worker_node_init,
	.process = esp_encrypt_finish_process,
	.nb_edges = 3,
	.next_nodes =
		{[EDGE_LOOKUP] = "ip4-lookup", [EDGE_DROP] = "drop", [EDGE_LOOKUP6] = "ip6-lookup"},
};
RTE_NODE_REGISTER(esp_encrypt_finish_node);
