/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip6.h"
#include "reassembly_burst.h"

#include <rte_ether.h>

/*
 * RFC 8200, 4.5: what stands before the fragment header is the datagram's; of the next-header fields in it the last
 * says what the fragment header said. RFC 6946: a fragment that is all of its datagram stands alone.
 */
static bool
read_fragment(struct rte_mbuf *m, struct reassembly_key *key, struct reassembly_fragment *f)
{
	struct rte_ipv6_hdr *ip = ip6_hdr(m);
	uint8_t *eth = (uint8_t *)ip - RTE_ETHER_HDR_LEN, *header;
	struct ip6_chain c;
	uint32_t id;
	uint16_t frag;

	ip6_walk(m, &c); /* ip6-input has seen that it can be read, and that there is one */
	header = (uint8_t *)ip + c.fragment_at;
	frag = header[2] << 8 | header[3];
	if (!c.fragment) {
		((uint8_t *)ip)[c.fragment_field] = header[0];
		ip->payload_len = rte_cpu_to_be_16(rte_be_to_cpu_16(ip->payload_len) - 8);
		memmove(eth + 8, eth, RTE_ETHER_HDR_LEN + c.fragment_at);
		rte_pktmbuf_adj(m, 8);
		return false;
	}
	memcpy(&id, header + 4, sizeof(id));
	*key = (struct reassembly_key){.id = id, .family = 6};
	memcpy(key->src, ip->src_addr, sizeof(ip->src_addr));
	memcpy(key->dst, ip->dst_addr, sizeof(ip->dst_addr));
	f->m = m;
	f->header_len = c.fragment_at;
	f->payload_at = c.fragment_at + 8;
	f->len = rte_pktmbuf_pkt_len(m) - f->payload_at;
	f->offset = frag & 0xfff8;
	f->more = frag & 1;
	f->ecn = ip6_tos(ip) & 3;
	f->next = header[0];
	f->next_at = c.fragment_field;
	return true;
}

static enum drop_reason
mend(struct rte_mbuf *m, uint8_t ecn)
{
	struct rte_ipv6_hdr *ip = ip6_hdr(m);

	/* RFC 3168, 5.3: one that was marked marks all, when all can bear it. */
	if (ecn & ECN_HAD_CE) {
		if (ecn & ECN_HAD_NOT)
			return DROP_IP6_ECN;
		ip->vtc_flow |= rte_cpu_to_be_32(3 << 20);
	}
	ip->payload_len = rte_cpu_to_be_16(rte_pktmbuf_pkt_len(m) - sizeof(*ip));
	return DROP_NONE;
}

static uint16_t
ip6_reassembly_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return reassembly_burst(graph, node, objs, n, read_fragment, mend);
}

static struct rte_node_register ip6_reassembly_node = {
	.name = "ip6-reassembly",
	.init = worker_node_init,
	.process = ip6_reassembly_process,
	.nb_edges = REASSEMBLY_EDGES,
	.next_nodes = {[REASSEMBLY_INPUT] = "ip6-input", [REASSEMBLY_DROP] = "drop"},
};
RTE_NODE_REGISTER(ip6_reassembly_node);
