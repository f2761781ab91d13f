/* SPDX-License-Identifier: BSD-3-Clause */
#include "esp.h"
#include "ip4.h"
#include "reassembly.h"
#include "worker.h"

/* Fragments to us of ESP, or of UDP that may hold ESP: whole datagrams go back to ip4-input. */

enum { EDGE_INPUT, EDGE_DROP };

enum { ECN_NOT = 1 << 0, ECN_CE = 1 << 3 }; /* bits: which marks the fragments had */

static void
read_fragment(struct rte_mbuf *m, struct reassembly_key *key, struct reassembly_fragment *f)
{
	const struct rte_ipv4_hdr *ip = ip4_hdr(m);
	uint16_t frag = rte_be_to_cpu_16(ip->fragment_offset);

	*key = (struct reassembly_key){
		.id = ip->packet_id, .proto = ip->next_proto_id, .family = 4};
	memcpy(key->src, &ip->src_addr, sizeof(ip->src_addr));
	memcpy(key->dst, &ip->dst_addr, sizeof(ip->dst_addr));
	f->m = m;
	f->header_len = f->payload_at = ip4_hdr_len(ip);
	f->len = rte_pktmbuf_pkt_len(m) - f->payload_at;
	f->offset = (frag & RTE_IPV4_HDR_OFFSET_MASK) * RTE_IPV4_HDR_OFFSET_UNITS;
	f->more = frag & RTE_IPV4_HDR_MF_FLAG;
	f->ecn = ip->type_of_service & 3;
}

/* The header of the first fragment becomes the datagram's. */
static enum drop_reason
mend(struct rte_mbuf *m, uint8_t ecn)
{
	struct rte_ipv4_hdr *ip = ip4_hdr(m);

	/* RFC 3168, 5.3: one that was marked marks all, when all can bear it. */
	if (ecn & ECN_CE) {
		if (ecn & ECN_NOT)
			return DROP_IP4_ECN;
		ip->type_of_service |= 3;
	}
	ip->fragment_offset = 0;
	ip->total_length = rte_cpu_to_be_16(rte_pktmbuf_pkt_len(m));
	ip->hdr_checksum = 0;
	ip->hdr_checksum = ~rte_raw_cksum(ip, ip4_hdr_len(ip));
	return DROP_NONE;
}

static inline void
drop(struct rte_graph *graph, struct rte_node *node, struct rte_mbuf *m, enum drop_reason reason)
{
	pkt(m)->drop = reason;
	rte_node_enqueue_x1(graph, node, EDGE_DROP, m);
}

static void
take(struct rte_graph *graph, struct rte_node *node, struct worker *w, struct rte_mbuf *m)
{
	struct reassembly_fragment f;
	struct reassembly_key key;
	enum drop_reason reason;
	struct rte_mbuf *whole;
	uint16_t to;
	uint8_t ecn;

	if (!esp_linear(m)) {
		drop(graph, node, m, DROP_ESP_NO_HEADROOM);
		return;
	}
	read_fragment(m, &key, &f);
	to = reassembly_worker(w->reassembly, &key, w->n_workers);
	if (to != w->index) {
		if (rte_ring_mp_enqueue(w->workers[to]->handover, m) != 0)
			drop(graph, node, m, DROP_HANDOVER_FULL);
		return;
	}
	reason = reassembly_add(w->reassembly, &key, &f, w->now, &whole, &ecn);
	if (reason != DROP_NONE) {
		drop(graph, node, m, reason);
		return;
	}
	if (whole == NULL)
		return;
	reason = mend(whole, ecn);
	if (reason != DROP_NONE)
		drop(graph, node, whole, reason);
	else
		rte_node_enqueue_x1(graph, node, EDGE_INPUT, whole);
}

static uint16_t
ip4_reassembly_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		take(graph, node, w, objs[i]);
	return n;
}

static struct rte_node_register ip4_reassembly_node = {
	.name = "ip4-reassembly",
	.init = worker_node_init,
	.process = ip4_reassembly_process,
	.nb_edges = 2,
	.next_nodes = {[EDGE_INPUT] = "ip4-input", [EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(ip4_reassembly_node);

/* Of both families: what waited too long goes. */
static uint16_t
reassembly_expire_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);

	(void)graph;
	(void)objs;
	(void)n;
	reassembly_expire(w->reassembly, w->now);
	return 0;
}

static struct rte_node_register reassembly_expire_node = {
	.name = "reassembly-expire",
	.flags = RTE_NODE_SOURCE_F,
	.init = worker_node_init,
	.process = reassembly_expire_process,
	.nb_edges = 1,
	.next_nodes = {"drop"},
};
RTE_NODE_REGISTER(reassembly_expire_node);
