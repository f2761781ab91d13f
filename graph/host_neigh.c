/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_priv.h"
#include "log.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include <netlink/attr.h>

#define BUCKETS 4096
#define ASKED 4096
#define REQUESTS 256 /* a tick, read */
#define ASKS 64 /* a tick, sent: each takes the kernel some microseconds */
#define TICKS_SECOND 100

/* A neighbour whose MAC the kernel knows. */
struct neighbour {
	struct neighbour *next;
	const struct host_tap *tap;
	struct ip_addr addr;
	uint32_t nh; /* its adjacency, with a reference */
	uint32_t generation;
	uint16_t state; /* NUD_* */
	uint8_t mac[6];
	bool routed; /* has a /32 of its own */
};

struct host_neigh {
	struct neighbour *bucket[BUCKETS];
	/* When the kernel was asked last; a collision forgets the older. */
	struct {
		struct ip_addr addr;
		uint16_t port;
		unsigned int tick;
	} asked[ASKED];
};

#define NUD_KNOWN (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)

static size_t
hash(const struct ip_addr *addr, uint16_t port)
{
	uint64_t h = (addr->v6[0] ^ addr->v6[1] ^ ((uint64_t)port << 48)) * 0x9e3779b97f4a7c15u;

	return h >> 32;
}

static struct neighbour **
find(struct host *h, const struct host_tap *tap, const struct ip_addr *addr)
{
	struct neighbour **link = &h->neigh->bucket[hash(addr, tap->port_id) % BUCKETS];

	while (*link != NULL && ((*link)->tap != tap || !addr_equal(&(*link)->addr, addr)))
		link = &(*link)->next;
	return link;
}

static void
check_route(struct host *h, struct neighbour *n)
{
	bool on_link = host_route_on_link(h, n->tap, &n->addr);

	if (on_link == n->routed)
		return;
	host_route_neighbour(h, n->tap, &n->addr, on_link);
	n->routed = on_link;
}

static void
forget(struct host *h, struct neighbour **link)
{
	struct neighbour *n = *link;

	*link = n->next;
	if (n->routed)
		host_route_neighbour(h, n->tap, &n->addr, false);
	fib_nh_resolve(h->fib, n->nh, NULL);
	fib_nh_put(h->fib, n->nh);
	free(n);
}

static void
learn(struct host *h, struct neighbour **link, const struct host_tap *tap,
	const struct ip_addr *addr, const uint8_t mac[6], uint16_t state)
{
	struct neighbour *n = *link;

	if (n == NULL) {
		n = calloc(1, sizeof(*n));
		if (n == NULL)
			return;
		n->tap = tap;
		n->addr = *addr;
		if (fib_nh_adj(h->fib, tap->port_id, addr, tap->mac, tap->mtu, &n->nh) < 0) {
			/* Without it packets go nowhere, and the workers ask again. */
			free(n);
			return;
		}
		*link = n;
	}
	if (memcmp(n->mac, mac, 6) != 0) {
		memcpy(n->mac, mac, 6);
		fib_nh_resolve(h->fib, n->nh, mac);
	}
	n->state = state;
	n->generation = h->generation;
	check_route(h, n);
}

void
host_neigh_msg(struct host *h, struct nlmsghdr *nlh)
{
	static const uint8_t zero[6];
	const struct ndmsg *ndm = nlmsg_data(nlh);
	struct nlattr *tb[NDA_MAX + 1];
	struct ip_addr addr = {0};
	const struct host_tap *tap;
	struct neighbour **link;
	const uint8_t *mac;

	if (nlmsg_parse(nlh, sizeof(*ndm), tb, NDA_MAX, NULL) < 0 ||
		(ndm->ndm_family != AF_INET && ndm->ndm_family != AF_INET6) ||
		(ndm->ndm_flags & NTF_PROXY) != 0)
		return;
	addr.family = ndm->ndm_family == AF_INET ? 4 : 6;
	tap = host_tap_of_ifindex(h, ndm->ndm_ifindex);
	if (tap == NULL || tb[NDA_DST] == NULL || nla_len(tb[NDA_DST]) * 8 != (int)addr_bits(&addr))
		return;
	memcpy(addr.b, nla_data(tb[NDA_DST]), nla_len(tb[NDA_DST]));
	link = find(h, tap, &addr);
	if (nlh->nlmsg_type == RTM_NEWNEIGH && (ndm->ndm_state & NUD_KNOWN) != 0 &&
		tb[NDA_LLADDR] != NULL && nla_len(tb[NDA_LLADDR]) == 6) {
		mac = nla_data(tb[NDA_LLADDR]);
		/* The kernel also keeps its multicast and broadcast addresses there. */
		if ((mac[0] & 1) == 0 && memcmp(mac, zero, 6) != 0) {
			learn(h, link, tap, &addr, mac, ndm->ndm_state);
			return;
		}
	}
	if (*link != NULL)
		forget(h, link);
}

void
host_neigh_sweep(struct host *h)
{
	for (unsigned int i = 0; i < BUCKETS; i++) {
		struct neighbour **link = &h->neigh->bucket[i];

		while (*link != NULL) {
			if ((*link)->generation == h->generation)
				link = &(*link)->next;
			else
				forget(h, link);
		}
	}
}

void
host_neigh_forget(struct host *h, const struct host_tap *tap)
{
	for (unsigned int i = 0; i < BUCKETS; i++) {
		struct neighbour **link = &h->neigh->bucket[i];

		while (*link != NULL) {
			if ((*link)->tap == tap)
				forget(h, link);
			else
				link = &(*link)->next;
		}
	}
}

void
host_neigh_flush(struct host *h)
{
	if (!h->neigh_check)
		return;
	h->neigh_check = false;
	for (unsigned int i = 0; i < BUCKETS; i++)
		for (struct neighbour *n = h->neigh->bucket[i]; n != NULL; n = n->next)
			check_route(h, n);
}

void
host_neigh_requests(struct host *h)
{
	struct neigh_request req[REQUESTS];
	unsigned int n, asks = 0;

	n = rte_ring_sc_dequeue_burst_elem(h->neigh_requests, req, sizeof(req[0]), REQUESTS, NULL);
	for (unsigned int i = 0; i < n && asks < ASKS; i++) {
		const struct host_tap *tap = host_tap_of_port(h, req[i].port);
		size_t at = hash(&req[i].addr, req[i].port) % ASKED;

		/* Known by now: the worker looked before we wrote. */
		if (tap == NULL || *find(h, tap, &req[i].addr) != NULL)
			continue;
		if (addr_equal(&h->neigh->asked[at].addr, &req[i].addr) &&
			h->neigh->asked[at].port == req[i].port &&
			h->ticks - h->neigh->asked[at].tick < TICKS_SECOND)
			continue;
		h->neigh->asked[at].addr = req[i].addr;
		h->neigh->asked[at].port = req[i].port;
		h->neigh->asked[at].tick = h->ticks;
		host_netlink_use(h, tap, &req[i].addr);
		asks++;
	}
}

void
host_neigh_refresh(struct host *h)
{
	for (unsigned int i = 0; i < BUCKETS; i++) {
		for (struct neighbour *n = h->neigh->bucket[i]; n != NULL; n = n->next) {
			struct nexthop *nh = fib_nh(h->fib, n->nh);

			/* The load first: the line stays shared when nobody used it. */
			if (atomic_load_explicit(&nh->used, memory_order_relaxed) == 0)
				continue;
			if (n->state == NUD_STALE)
				host_netlink_use(h, n->tap, &n->addr);
			atomic_store_explicit(&nh->used, 0, memory_order_relaxed);
		}
	}
}

int
host_neigh_start(struct host *h)
{
	h->neigh = calloc(1, sizeof(*h->neigh));
	if (h->neigh == NULL)
		LOG(ERR, "Linux mirror: out of memory");
	return h->neigh != NULL ? 0 : -ENOMEM;
}

void
host_neigh_stop(struct host *h)
{
	if (h->neigh == NULL)
		return;
	for (unsigned int i = 0; i < BUCKETS; i++) {
		while (h->neigh->bucket[i] != NULL) {
			struct neighbour *n = h->neigh->bucket[i];

			h->neigh->bucket[i] = n->next;
			fib_nh_put(h->fib, n->nh);
			free(n);
		}
	}
	free(h->neigh);
	h->neigh = NULL;
}
