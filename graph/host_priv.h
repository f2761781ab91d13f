/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_HOST_PRIV_H
#define CYGNET_HOST_PRIV_H

#include "fib.h"
#include "host.h"
#include "host_rib.h"
#include "pkt.h"
#include "worker.h"

#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>

#include <netlink/msg.h>
#include <netlink/socket.h>

/* What the parts of the Linux mirror share. */

#define HOST_RING_SIZE 1024

struct host_tap {
	char name[IFNAMSIZ];
	int fd;
	uint16_t port_id;
	uint16_t mtu;
	uint8_t mac[6];
	uint32_t ifindex;
	struct rte_ring *rx; /* to the worker */
	uint32_t glean; /* next hop: on this link, neighbour not known */
	/* Of the thread: mbufs that the next frame is read into. */
	struct rte_mbuf *spare[8];
	unsigned int n_spare;
	bool gone; /* the interface was removed under us */
	uint64_t
		left; /* of a port that was dropped: rounds of the thread until it is not seen any more */
};

/* Counters that the thread writes and the control thread reads. */
struct host_counters {
	_Atomic uint64_t to_host[PUNT_CLASSES], rationed[PUNT_CLASSES], errors;
	_Atomic uint64_t from_host, from_host_drops;
};

/* The packet-moving thread: host_thread.c. */
struct host_thread {
	struct rte_mempool *mbufs;
	struct host_tap *taps;
	unsigned int n_taps;
	_Atomic uint8_t tap_of[WORKER_MAX_PORTS]; /* by port id: index in taps; 0xff none */
	_Atomic uint64_t rounds;
	struct rte_ring *ring[PUNT_CLASSES];
	unsigned int rate, room; /* room: bytes of a frame in one mbuf */
	int epfd, eventfd;
	_Alignas(RTE_CACHE_LINE_SIZE) _Atomic bool asleep;
	_Atomic bool stop;
	_Alignas(RTE_CACHE_LINE_SIZE) struct host_counters count;
	pthread_t thread;
	bool running;
};

struct host_neigh;
struct host_link {
	uint32_t ifindex, flags;
};

/* What is to be read from the kernel again, and what is being read. */
enum {
	DUMP_ROUTES = 1 << 0,
	DUMP_NEIGHBOURS = 1 << 1,
	DUMP_ALL = 3,
};

struct host {
	struct host_tap *taps;
	unsigned int n_taps;
	uint8_t tap_of[WORKER_MAX_PORTS];
	struct fib *fib;
	struct event_base *base;
	struct host_thread thread;
	struct rte_ring *neigh_requests;

	/* host_netlink.c */
	struct nl_sock *events, *dump, *ask;
	struct event *ev_events, *ev_dump, *ev_tick;
	unsigned int dump_wanted, dump_now; /* DUMP_* */
	unsigned int dump_delay; /* ticks until a wanted dump begins */
	bool dump_broken; /* changed under the kernel's hands: once more */
	bool sweeping;
	size_t sweep_cursor;
	uint32_t generation;
	uint64_t resyncs;
	unsigned int ticks;
	struct host_link *links;
	unsigned int n_links;

	/* host_routes.c */
	struct rib *rib;
	uint32_t nh_local, nh_blackhole, nh_unreachable, nh_foreign;
	bool locals_changed, fib_full;
	uint32_t fib_count; /* of routes when the FIB was full */
	unsigned int fib_waited; /* seconds since */
	LIST_HEAD(, rib_prefix) locals, gleans, throws;

	/* host_neigh.c */
	struct host_neigh *neigh;
	bool neigh_check; /* connected subnets changed: look which neighbours lie in one */
};

/* Of that kernel interface, or NULL. */
struct host_tap *host_tap_of_ifindex(struct host *h, uint32_t ifindex);
/* Of that DPDK port, or NULL. */
struct host_tap *host_tap_of_port(struct host *h, uint16_t port_id);

/* host_tap.c: a socket for questions with answers; NULL after a log line. Any thread. */
struct nl_sock *host_setup_socket(void);

/* host_deaf.c, any thread: as host_deafen(), once. Why it fails is told at the level, RTE_LOG_... */
int host_deaf_make(const char *netdev, uint32_t level);
/* host_deaf_watch.c, any thread: one that shall stay deaf. */
int host_deaf_keep(const char *netdev);

/* host_tap.c: open one and set it up; close; all return 0 or negative errno after a log line. */
int host_tap_open(struct nl_sock *sk, struct host_tap *tap, const struct host_port *port);
int host_tap_remove(const char *name);
/* Removes taps that an earlier start of this router has made for ports that are no more; what fails is logged. */
void host_tap_sweep(struct nl_sock *sk, const struct host_conf *conf);
/*
 * host_tap_addr.c. Sets what before has not, then takes away what of before port has not. before NULL, at a start: takes away what
 * a router had set there.
 */
int host_tap_addresses(struct nl_sock *sk, const struct host_tap *tap, const struct host_port *port,
	const struct host_port *before);

/* host_thread.c. rings, taps and mempool are set by the caller. */
int host_thread_start(struct host_thread *t, int cpu);
void host_thread_stop(struct host_thread *t);
unsigned int host_thread_mtu(const struct host_thread *t); /* the largest of a tap */
/* While it runs: one more tap; one less, which it does not touch any more once host_thread_passed() what this returns. */
int host_thread_add(struct host_thread *t, unsigned int index);
uint64_t host_thread_drop(struct host_thread *t, const struct host_tap *tap);
bool host_thread_passed(const struct host_thread *t, uint64_t round);

/* host_netlink.c: reads all once (bounded time), then follows. */
int host_netlink_start(struct host *h);
void host_netlink_stop(struct host *h);
/* Compares all with the kernel's tables, a moment later. */
void host_netlink_reread(struct host *h);
/* Asks the kernel to resolve an address or to confirm it. Sends, and waits for nothing. */
void host_netlink_use(struct host *h, const struct host_tap *tap, const struct ip_addr *addr);

/*
 * host_route_parse.c: the route of an RTM_NEWROUTE or RTM_DELROUTE, to be given to rib_add() or free()d, and its
 * prefix. NULL for one that is not mirrored or not understood.
 */
struct rib_route *host_route_parse(struct nlmsghdr *nlh, struct ip_addr *dst, uint8_t *plen);

/* host_routes.c */
int host_routes_start(struct host *h);
void host_routes_stop(struct host *h);
/* One RTM_NEWROUTE or RTM_DELROUTE. in_dump: as it stands, not a change. */
void host_route_msg(struct host *h, struct nlmsghdr *nlh, bool in_dump);
/* After a batch of messages: publishes our own addresses when they changed. */
void host_routes_flush(struct host *h);
/* Each second: what the FIB had no room for, when it may have some. */
void host_routes_retry(struct host *h);
/* The route of a known neighbour in a connected subnet. */
void host_route_neighbour(
	struct host *h, const struct host_tap *tap, const struct ip_addr *addr, bool add);
/* Whether the address lies on the tap's link by the longest match of the kernel's routes. */
bool host_route_on_link(
	const struct host *h, const struct host_tap *tap, const struct ip_addr *addr);

/* host_neigh.c */
int host_neigh_start(struct host *h);
void host_neigh_stop(struct host *h);
/* One RTM_NEWNEIGH or RTM_DELNEIGH. */
void host_neigh_msg(struct host *h, struct nlmsghdr *nlh);
/* Removes those not seen in the last dump. */
void host_neigh_sweep(struct host *h);
/* After a batch of messages: neighbours whose subnet came or went. */
void host_neigh_flush(struct host *h);
/* All of a tap that goes. */
void host_neigh_forget(struct host *h, const struct host_tap *tap);
/* Serves the workers' requests; each tick. */
void host_neigh_requests(struct host *h);
/* Keeps the neighbours alive that traffic goes to; each second. */
void host_neigh_refresh(struct host *h);

#endif
