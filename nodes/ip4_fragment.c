/* SPDX-License-Identifier: BSD-3-Clause */
#include "fragment.h"
#include "ip4.h"

#include <netinet/ip.h>

/* RFC 791, 3.1 and 3.2: of the options, later fragments have those that say so. */
static enum drop_reason
make_headers(struct worker *w, const struct rte_mbuf *m, struct fragment_headers *h)
{
	const struct rte_ipv4_hdr *ip = ip4_hdr(m);
	const uint8_t *opt = (const uint8_t *)(ip + 1);
	unsigned int left = ip4_hdr_len(ip) - sizeof(*ip), len = sizeof(*ip);

	(void)w;
	/* Offsets of pieces beyond the longest datagram would begin anew, at a header of the sender's choice. */
	if ((rte_be_to_cpu_16(ip->fragment_offset) & RTE_IPV4_HDR_OFFSET_MASK) *
				RTE_IPV4_HDR_OFFSET_UNITS +
			rte_pktmbuf_pkt_len(m) - ip4_hdr_len(ip) >
		UINT16_MAX)
		return DROP_FRAGMENT_INVALID;
	h->payload_at = h->first_len = ip4_hdr_len(ip);
	memcpy(h->first, ip, h->first_len);
	memset(h->later, 0, sizeof(h->later));
	memcpy(h->later, ip, sizeof(*ip));
	while (left > 0 && *opt != IPOPT_EOL) {
		unsigned int n = 1;

		if (*opt != IPOPT_NOP) {
			if (left < 2 || opt[1] < 2 || opt[1] > left)
				break;
			n = opt[1];
			if (IPOPT_COPIED(*opt)) {
				memcpy(h->later + len, opt, n);
				len += n;
			}
		}
		opt += n;
		left -= n;
	}
	len = RTE_ALIGN(len, RTE_IPV4_IHL_MULTIPLIER);
	h->later[0] = 0x40 | len / RTE_IPV4_IHL_MULTIPLIER;
	h->later_len = len;
	return DROP_NONE;
}

static void
finish(uint8_t *header, uint16_t header_len, uint32_t from, uint16_t len, bool last)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)header;
	uint16_t frag = rte_be_to_cpu_16(ip->fragment_offset);

	/* It may be a fragment already. */
	frag = (frag & ~RTE_IPV4_HDR_OFFSET_MASK) |
	       ((frag & RTE_IPV4_HDR_OFFSET_MASK) + from / RTE_IPV4_HDR_OFFSET_UNITS);
	if (!last)
		frag |= RTE_IPV4_HDR_MF_FLAG;
	ip->fragment_offset = rte_cpu_to_be_16(frag);
	ip->total_length = rte_cpu_to_be_16(header_len + len);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = ~rte_raw_cksum(ip, header_len);
}

static uint16_t
ip4_fragment_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return fragment_burst(graph, node, objs, n, DROP_IP4_MTU, make_headers, finish);
}

static struct rte_node_register ip4_fragment_node = {
	.name = "ip4-fragment",
	.init = worker_node_init,
	.process = ip4_fragment_process,
	.nb_edges = 4,
	.next_nodes = {[FRAGMENT_REWRITE] = "ip4-rewrite",
		[FRAGMENT_DROP] = "drop",
		[FRAGMENT_ENCRYPT] = "esp-encrypt",
		[FRAGMENT_AH] = "ah-output"},
};
RTE_NODE_REGISTER(ip4_fragment_node);
