/* SPDX-License-Identifier: BSD-3-Clause */
#include "nexthop.h"
#include "stream.h"
#include "worker.h"

/*
 * Packets whose neighbour is not resolved yet wait here, a few for each neighbour, while the control thread
 * has the kernel ask for it. They keep nothing of a table: when they go on they are looked up afresh.
 */

#define HOLD_MAX RTE_DIM(((struct neigh_hold *)0)->pkts)
#define HOLD_PER_NEIGHBOUR 8

static struct ip_addr
neighbour_of(const struct worker *w, const struct rte_mbuf *m)
{
	const struct nexthop *nh = fib_nh(w->fib, pkt(m)->nexthop);
	struct ip_addr dst = {.family = 4};

	if (nh->type == NH_ADJ)
		return nh->addr;
	if (ip6_is_version(m)) {
		dst.family = 6;
		memcpy(dst.b, ip6_hdr(m)->dst_addr, sizeof(dst.b));
	} else {
		dst.v4 = ip4_hdr(m)->dst_addr;
	}
	return dst;
}

static enum drop_reason
hold(struct worker *w, struct rte_mbuf *m)
{
	struct neigh_hold *h = &w->hold;
	struct neigh_request ask = {.addr = neighbour_of(w, m), .port = pkt(m)->out_port};
	unsigned int same = 0;

	/* A full ring means that the control thread has questions enough. */
	rte_ring_mp_enqueue_elem(w->neigh_requests, &ask, sizeof(ask));
	for (unsigned int i = 0; i < h->n; i++)
		same += addr_equal(&h->neighbour[i], &ask.addr) &&
			pkt(h->pkts[i])->out_port == ask.port;
	if (h->n == HOLD_MAX || same >= HOLD_PER_NEIGHBOUR)
		return DROP_NEIGHBOUR_QUEUE;
	pkt(m)->flags |= PKT_F_HELD;
	h->neighbour[h->n] = ask.addr;
	h->deadline[h->n] = w->now + NEIGH_HOLD_SECONDS * w->tsc_hz;
	h->pkts[h->n++] = m;
	return DROP_NONE;
}

static uint16_t
neigh_hold_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++) {
		enum drop_reason reason = hold(w, objs[i]);

		pkt(objs[i])->drop = reason;
		stream_put(&s, i, reason == DROP_NONE ? EDGE_KEPT : 0);
	}
	return stream_end(&s, n);
}

static struct rte_node_register neigh_hold_node = {
	.name = "neigh-hold",
	.init = worker_node_init,
	.process = neigh_hold_process,
	.nb_edges = 1,
	.next_nodes = {"drop"},
};
RTE_NODE_REGISTER(neigh_hold_node);

enum { EDGE_LOOKUP, EDGE_DROP, EDGE_LOOKUP6 };

/* Whether a lookup now would find the way, or find that there is none. */
static bool
settled(const struct worker *w, const struct rte_mbuf *m)
{
	const struct nexthop *nh;
	const uint8_t *dst6;
	uint64_t found;
	uint32_t dst4;

	if (ip6_is_version(m)) {
		dst6 = ip6_hdr(m)->dst_addr;
		fib_lookup6_bulk(w->fib, &dst6, &found, 1);
		nh = fib_nh(w->fib, ip6_nexthop(w->fib, m, found));
	} else {
		dst4 = rte_be_to_cpu_32(ip4_hdr(m)->dst_addr);
		fib_lookup4_bulk(w->fib, &dst4, &found, 1);
		nh = fib_nh(w->fib, ip4_nexthop(w->fib, m, found));
	}
	return nh->type != NH_GLEAN && (nh->type != NH_ADJ || nh->resolved);
}

/* Once a millisecond: what is resolved goes on, what waited too long is dropped. */
static uint16_t
neigh_release_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	struct neigh_hold *h = &w->hold;
	unsigned int left = 0;

	(void)objs;
	if (likely(h->n == 0) || w->now < h->next_look)
		return 0;
	h->next_look = w->now + w->tsc_hz / 1000;
	n = h->n;
	for (unsigned int i = 0; i < n; i++) {
		struct rte_mbuf *m = h->pkts[i];

		if (settled(w, m)) {
			rte_node_enqueue_x1(
				graph, node, ip6_is_version(m) ? EDGE_LOOKUP6 : EDGE_LOOKUP, m);
		} else if (w->now > h->deadline[i]) {
			pkt(m)->drop = DROP_NEIGHBOUR_UNRESOLVED;
			rte_node_enqueue_x1(graph, node, EDGE_DROP, m);
		} else {
			h->pkts[left] = m;
			h->neighbour[left] = h->neighbour[i];
			h->deadline[left++] = h->deadline[i];
		}
	}
	h->n = left;
	w->work += n - left;
	return n - left;
}

static struct rte_node_register neigh_release_node = {
	.name = "neigh-release",
	.flags = RTE_NODE_SOURCE_F,
	.init = worker_node_init,
	.process = neigh_release_process,
	.nb_edges = 3,
	.next_nodes =
		{[EDGE_LOOKUP] = "ip4-lookup", [EDGE_DROP] = "drop", [EDGE_LOOKUP6] = "ip6-lookup"},
};
RTE_NODE_REGISTER(neigh_release_node);
