/* SPDX-License-Identifier: BSD-3-Clause */
#include "esp_transport.h"
#include "fragment.h"
#include "ip6.h"

#include <rte_jhash.h>

/* Routers never fragment IPv6: what comes here we have sealed, and so sent ourselves. */

struct fragment_header {
	uint8_t next, reserved;
	rte_be16_t offset; /* of bytes, and bit 0: more follow */
	rte_be32_t id;
} __attribute__((packed));

/*
 * No two of one pair of addresses alike for a long time, from whichever worker, and not to be foreseen by who sees
 * those of others (RFC 7739).
 */
static uint32_t
next_id(struct worker *w, const struct rte_ipv6_hdr *ip)
{
	uint32_t pair[8];

	memcpy(pair, ip->src_addr, sizeof(ip->src_addr));
	memcpy(pair + 4, ip->dst_addr, sizeof(ip->dst_addr));
	w->fragment_id += w->n_workers;
	return w->fragment_id + rte_jhash_32b(pair, RTE_DIM(pair), w->fragment_seed);
}

/* RFC 8200, 4.5: the headers that each hop reads are in every piece. */
static enum drop_reason
make_headers(struct worker *w, const struct rte_mbuf *m, struct fragment_headers *h)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	struct fragment_header *f;
	uint16_t next_at, len = esp_ip6_walk(m, 0, &next_at);

	if (len == 0 || len + sizeof(*f) > sizeof(h->first))
		return DROP_IP6_MTU;
	memcpy(h->first, ip, len);
	f = (struct fragment_header *)(h->first + len);
	*f = (struct fragment_header){.next = ip[next_at],
		.id = rte_cpu_to_be_32(next_id(w, (const struct rte_ipv6_hdr *)ip))};
	h->first[next_at] = IPPROTO_FRAGMENT;
	h->payload_at = len;
	h->first_len = h->later_len = len + sizeof(*f);
	memcpy(h->later, h->first, h->first_len);
	return DROP_NONE;
}

static void
finish(uint8_t *header, uint16_t header_len, uint32_t from, uint16_t len, bool last)
{
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)header;
	struct fragment_header *f = (struct fragment_header *)(header + header_len - sizeof(*f));

	f->offset = rte_cpu_to_be_16(from | !last);
	ip->payload_len = rte_cpu_to_be_16(header_len - sizeof(*ip) + len);
}

static uint16_t
ip6_fragment_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	return fragment_burst(graph, node, objs, n, DROP_IP6_MTU, make_headers, finish);
}

static struct rte_node_register ip6_fragment_node = {
	.name = "ip6-fragment",
	.init = worker_node_init,
	.process = ip6_fragment_process,
	.nb_edges = 2,
	.next_nodes = {[FRAGMENT_REWRITE] = "ip6-rewrite", [FRAGMENT_DROP] = "drop"},
};
RTE_NODE_REGISTER(ip6_fragment_node);
