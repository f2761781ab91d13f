/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_priv.h"
#include "log.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>

#include <rte_cycles.h>

/*
 * How the kernel's tables are followed, without ever waiting for them.
 *
 * One socket brings changes, another the dumps. While a dump is read, and what it did not show is swept out,
 * changes wait in their socket: applied afterwards in their order they end in the kernel's state, however
 * old the dump was. When the socket overflows (ENOBUFS), a change may be lost and all is dumped and compared.
 *
 * The kernel says nothing when routes go because a link goes down, their source address or their nexthop
 * object goes: then routes are dumped too, a moment later, once for many such events.
 */

#define TICK_MS 10
#define RCVBUF (32 << 20)
#define MESSAGE_MAX 65536
#define BATCH 64 /* datagrams in a turn of the event loop, and bytes: some milliseconds */
#define BATCH_BYTES (128 << 10)
#define SOON 10 /* ticks */
#define SECOND (1000 / TICK_MS)
#define START_SECONDS 60

typedef void (*message_t)(struct host *h, struct nlmsghdr *nlh);

/*
 * Reads a batch of datagrams. Returns 0 when no more wait, 1 when some may, -ENOBUFS when something was lost, or
 * another error.
 */
static int
receive(struct host *h, struct nl_sock *sk, message_t fn)
{
	int bytes = 0;

	for (unsigned int i = 0; i < BATCH && bytes < BATCH_BYTES; i++) {
		unsigned char *buf = NULL;
		struct sockaddr_nl from;
		struct nlmsghdr *nlh;
		int n = nl_recv(sk, &from, &buf, NULL);

		if (n == 0 || n == -NLE_AGAIN || n == -NLE_INTR)
			return 0;
		if (n == -NLE_NOMEM || n == -NLE_MSG_TRUNC)
			return -ENOBUFS;
		if (n < 0) {
			LOG(ERR, "netlink: %s", nl_geterror(n));
			return -EIO;
		}
		bytes += n;
		nlh = (struct nlmsghdr *)buf;
		/* Only what the kernel says counts. */
		for (; from.nl_pid == 0 && nlmsg_ok(nlh, n); nlh = nlmsg_next(nlh, &n))
			fn(h, nlh);
		free(buf);
	}
	return 1;
}

static void
flush(struct host *h)
{
	host_neigh_flush(h);
	host_routes_flush(h);
}

static void
want_dump(struct host *h, unsigned int what, unsigned int delay)
{
	if (h->dump_wanted == 0 || delay < h->dump_delay)
		h->dump_delay = delay;
	h->dump_wanted |= what;
}

void
host_netlink_reread(struct host *h)
{
	want_dump(h, DUMP_ALL, SOON);
}

static struct host_link *
find_link(struct host *h, uint32_t ifindex)
{
	for (unsigned int i = 0; i < h->n_links; i++)
		if (h->links[i].ifindex == ifindex)
			return &h->links[i];
	return NULL;
}

static void
link_msg(struct host *h, struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = nlmsg_data(nlh);
	struct host_link *link, *v;
	uint32_t flags;

	if (!nlmsg_valid_hdr(nlh, sizeof(*ifi)) || ifi->ifi_family != AF_UNSPEC)
		return;
	link = find_link(h, ifi->ifi_index);
	flags = ifi->ifi_flags & (IFF_UP | IFF_RUNNING);
	if (nlh->nlmsg_type == RTM_DELLINK) {
		if (link != NULL)
			*link = h->links[--h->n_links];
		want_dump(h, DUMP_ALL, SOON);
		return;
	}
	if (link == NULL) {
		v = reallocarray(h->links, h->n_links + 1, sizeof(*v));
		if (v != NULL) {
			h->links = v;
			link = &v[h->n_links++];
			*link = (struct host_link){ifi->ifi_index, ~flags};
		}
	}
	/* Without memory for the link each of its messages counts as a change. */
	if (link == NULL || link->flags != flags)
		want_dump(h, DUMP_ALL, SOON);
	if (link != NULL)
		link->flags = flags;
}

static void
event_msg(struct host *h, struct nlmsghdr *nlh)
{
	switch (nlh->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		host_route_msg(h, nlh, false);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		host_neigh_msg(h, nlh);
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		link_msg(h, nlh);
		break;
	case RTM_NEWNEXTHOP:
		if ((nlh->nlmsg_flags & NLM_F_REPLACE) == 0)
			break;
		/* fallthrough */
	case RTM_DELNEXTHOP:
	case RTM_DELADDR:
		want_dump(h, DUMP_ROUTES, SOON);
		break;
	}
}

/* Asks for the next table that is wanted. */
static void
begin_dump(struct host *h)
{
	struct rtmsg rtm = {.rtm_family = AF_UNSPEC};
	struct ndmsg ndm = {.ndm_family = AF_UNSPEC};
	int ret;

	h->generation++;
	h->dump_broken = false;
	h->dump_now = h->dump_wanted & DUMP_ROUTES ? DUMP_ROUTES : DUMP_NEIGHBOURS;
	h->dump_wanted &= ~h->dump_now;
	event_del(h->ev_events);
	if (h->dump_now == DUMP_ROUTES)
		ret = nl_send_simple(h->dump, RTM_GETROUTE, NLM_F_DUMP, &rtm, sizeof(rtm));
	else
		ret = nl_send_simple(h->dump, RTM_GETNEIGH, NLM_F_DUMP, &ndm, sizeof(ndm));
	if (ret < 0) {
		LOG(ERR, "netlink: cannot ask for a dump: %s", nl_geterror(ret));
		want_dump(h, h->dump_now, SECOND);
		h->dump_now = 0;
		event_add(h->ev_events, NULL);
	}
}

/* The table is read and swept: the changes that waited are next, or another table. */
static void
end_dump(struct host *h)
{
	h->dump_now = 0;
	h->sweeping = false;
	flush(h);
	event_add(h->ev_events, NULL);
}

static void
dump_done(struct host *h, bool failed)
{
	/* Not all was seen, or not certainly: nothing may be swept. */
	if (failed || h->dump_broken) {
		want_dump(h, h->dump_now, failed ? SECOND : SOON);
		end_dump(h);
	} else if (h->dump_now == DUMP_ROUTES) {
		h->sweeping = true;
		h->sweep_cursor = 0;
	} else {
		host_neigh_sweep(h);
		end_dump(h);
	}
}

static void
dump_msg(struct host *h, struct nlmsghdr *nlh)
{
	const struct nlmsgerr *err = nlmsg_data(nlh);

	if (h->dump_now == 0 || h->sweeping)
		return;
	if ((nlh->nlmsg_flags & NLM_F_DUMP_INTR) != 0)
		h->dump_broken = true;
	switch (nlh->nlmsg_type) {
	case RTM_NEWROUTE:
		host_route_msg(h, nlh, true);
		break;
	case RTM_NEWNEIGH:
		host_neigh_msg(h, nlh);
		break;
	case NLMSG_DONE:
		dump_done(h, false);
		break;
	case NLMSG_ERROR:
		if (nlmsg_valid_hdr(nlh, sizeof(*err)))
			LOG(ERR, "netlink: dump: %s", strerror(-err->error));
		dump_done(h, true);
		break;
	}
}

/* Applies changes; as receive(). */
static int
follow(struct host *h)
{
	int ret = receive(h, h->events, event_msg);

	if (ret == -ENOBUFS) {
		h->resyncs++;
		want_dump(h, DUMP_ALL, 0);
	}
	return ret;
}

static void
on_events(evutil_socket_t fd, short what, void *ctx)
{
	struct host *h = ctx;

	(void)fd;
	(void)what;
	follow(h);
	flush(h);
}

static void
on_dump(evutil_socket_t fd, short what, void *ctx)
{
	struct host *h = ctx;

	(void)fd;
	(void)what;
	if (receive(h, h->dump, dump_msg) < 0 && h->dump_now != 0 && !h->sweeping)
		dump_done(h, true);
	flush(h);
}

/* What the kernel says to our questions: refusals, for neighbours of a tap that is down, say. */
static void
answer_msg(struct host *h, struct nlmsghdr *nlh)
{
	(void)h;
	(void)nlh;
}

static void
advance_dump(struct host *h)
{
	if (h->sweeping) {
		if (!rib_sweep(h->rib, h->generation, &h->sweep_cursor))
			end_dump(h);
	} else if (h->dump_now == 0 && h->dump_wanted != 0) {
		if (h->dump_delay > 0)
			h->dump_delay--;
		/*
		 * The kernel tells of an overflow once, until the socket was empty. So it has to be empty
		 * first: what is lost from here on is told again.
		 */
		if (h->dump_delay == 0 && follow(h) == 0)
			begin_dump(h);
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct host *h = ctx;

	(void)fd;
	(void)what;
	h->ticks++;
	host_neigh_requests(h);
	receive(h, h->ask, answer_msg);
	advance_dump(h);
	if (h->ticks % SECOND == 0)
		host_neigh_refresh(h);
	if (h->ticks % SECOND == 0)
		host_routes_retry(h);
	flush(h);
}

void
host_netlink_use(struct host *h, const struct host_tap *tap, const struct ip_addr *addr)
{
	struct ndmsg ndm = {
		.ndm_family = addr->family == 4 ? AF_INET : AF_INET6,
		.ndm_ifindex = (int)tap->ifindex,
		.ndm_flags = NTF_USE,
	};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWNEIGH, NLM_F_CREATE);

	if (msg != NULL && nlmsg_append(msg, &ndm, sizeof(ndm), NLMSG_ALIGNTO) == 0 &&
		nla_put(msg, NDA_DST, addr_bits(addr) / 8, addr->b) == 0)
		nl_send_auto(h->ask, msg);
	nlmsg_free(msg);
}

static struct nl_sock *
open_socket(void)
{
	struct nl_sock *sk = nl_socket_alloc();
	int size = RCVBUF;

	if (sk == NULL)
		return NULL;
	nl_socket_disable_auto_ack(sk);
	nl_socket_disable_msg_peek(sk);
	if (nl_connect(sk, NETLINK_ROUTE) < 0 || nl_socket_set_nonblocking(sk) < 0 ||
		nl_socket_set_msg_buf_size(sk, MESSAGE_MAX) < 0) {
		nl_socket_free(sk);
		return NULL;
	}
	/* Beyond rmem_max with the right to; else as much as it allows. */
	if (setsockopt(nl_socket_get_fd(sk), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(nl_socket_get_fd(sk), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return sk;
}

/* The first reading, before anything else runs: with bounded patience. */
static int
first_dump(struct host *h)
{
	uint64_t until = rte_get_timer_cycles() + START_SECONDS * rte_get_timer_hz();
	struct pollfd fd = {.fd = nl_socket_get_fd(h->dump), .events = POLLIN};

	want_dump(h, DUMP_ALL, 0);
	while (h->dump_wanted != 0 || h->dump_now != 0) {
		if (rte_get_timer_cycles() > until) {
			LOG(ERR, "netlink: the kernel's tables could not be read in %u s",
				START_SECONDS);
			return -ETIMEDOUT;
		}
		advance_dump(h);
		if (h->dump_now != 0 && !h->sweeping && poll(&fd, 1, TICK_MS) > 0)
			on_dump(fd.fd, 0, h);
		else if (h->dump_delay > 0)
			poll(NULL, 0, TICK_MS);
	}
	return 0;
}

int
host_netlink_start(struct host *h)
{
	static const struct timeval tick = {0, TICK_MS * 1000};
	int ret;

	h->events = open_socket();
	h->dump = open_socket();
	h->ask = open_socket();
	if (h->events == NULL || h->dump == NULL || h->ask == NULL) {
		LOG(ERR, "netlink: no socket");
		return -EIO;
	}
	ret = nl_socket_add_memberships(h->events, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
		RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEIGH, 0);
	if (ret < 0) {
		LOG(ERR, "netlink: %s", nl_geterror(ret));
		return -EIO;
	}
	/* Kernels before 5.3 have no nexthop objects. */
	nl_socket_add_memberships(h->events, RTNLGRP_NEXTHOP, 0);
	h->ev_events =
		event_new(h->base, nl_socket_get_fd(h->events), EV_READ | EV_PERSIST, on_events, h);
	h->ev_dump =
		event_new(h->base, nl_socket_get_fd(h->dump), EV_READ | EV_PERSIST, on_dump, h);
	h->ev_tick = event_new(h->base, -1, EV_PERSIST, on_tick, h);
	if (h->ev_events == NULL || h->ev_dump == NULL || h->ev_tick == NULL) {
		LOG(ERR, "Linux mirror: out of memory");
		return -ENOMEM;
	}
	ret = first_dump(h);
	if (ret < 0)
		return ret;
	if (event_add(h->ev_dump, NULL) < 0 || event_add(h->ev_tick, &tick) < 0) {
		LOG(ERR, "Linux mirror: the event loop takes no more");
		return -EIO;
	}
	return 0;
}

void
host_netlink_stop(struct host *h)
{
	if (h->ev_events != NULL)
		event_free(h->ev_events);
	if (h->ev_dump != NULL)
		event_free(h->ev_dump);
	if (h->ev_tick != NULL)
		event_free(h->ev_tick);
	nl_socket_free(h->events);
	nl_socket_free(h->dump);
	nl_socket_free(h->ask);
	free(h->links);
}
