/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip4.h"
#include "reassembly_burst.h"

static bool
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
	f->next_at = 0;
	return true;
}

static enum drop_reason
mend(struct rte_mbuf *m, uint8_t ecn)
{
	struct rte_ipv4_hdr *ip = ip4_hdr(m);

	/* RFC 3168, 5.3: one that was marked marks all, when all can bear it. */
	if (ecn & ECN_HAD_CE) {
		if (ecn & ECN_HAD_NOT)
			return DROP_IP4_ECN;
		ip->type_of_service |= 3;
	}
	ip->fragment_offset = 0;
	ip->total_length = rte_cpu_to_be_16(rte_pktmbuf_pkt_len(m));
	ip->hdr_checksum = 0;
	ip->hdr_checksum = ~rte_raw_cksum(ip, ip4_hdr_len(ip));
	return DROP_NONE;
}

static uint16_t
ip4_reassembly_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return reassembly_burst(graph, node, objs, n, read_fragment, mend);
}

static struct rte_node_register ip4_reassembly_node = {
	.name = "ip4-reassembly",
	.init = worker_node_init,
	.process = ip4_reassembly_process,
	.nb_edges = REASSEMBLY_EDGES,
	.next_nodes = {[REASSEMBLY_INPUT] = "ip4-input", [REASSEMBLY_DROP] = "drop"},
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
