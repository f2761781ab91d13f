/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_HOST_H
#define CYGNET_HOST_H

#include "addr.h"
#include "config.h"

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>
#include <rte_mempool.h>
#include <rte_ring.h>

/*
 * Linux is the control plane: a persistent tap for each port, a thread that moves packets between the
 * taps and the workers' rings, and a mirror of addresses, routes and neighbours read by netlink.
 */

struct host;
struct fib;
struct worker_punt;

struct host_port {
	const char *name; /* of the tap */
	const char *router; /* name of the router whose port it is */
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t port_id;
	const struct ip_addr *addrs; /* to be set on the tap */
	const uint8_t *plens;
	unsigned int n_addrs;
};

struct host_conf {
	const char *router; /* its name */
	const struct host_port *ports;
	unsigned int n_ports;
	struct event_base *base; /* of the control thread */
	struct fib *fib;
	struct rte_mempool *mbufs;
	unsigned int punt_rate; /* packets a second for each class; 0: no limit but the ring's */
	int cpu; /* that the host thread may run on; -1: any */
};

/*
 * Keeps the kernel from hearing what arrives on a netdev and from speaking there, for good: before a port opens it, as that
 * takes for its own what the kernel sends there, too. host_undeafen() gives it back, after the port has closed it. NULL is none.
 * Returns 0, or negative errno after a log line. May wait; any thread.
 */
int host_deafen(const char *netdev);
/* 1: the filter is there, on it, and drops; of an earlier run, too. 0: not. A negative errno: nobody can tell. */
int host_is_deaf(const char *netdev);
int host_undeafen(const char *netdev);
bool host_deaf_kept(const char *netdev); /* by host_deafen() */
void host_deaf_forget(const char *netdev); /* left as it is, and nobody's from now on */

/*
 * A thread that has all netdevs that are deaf stay so, whoever takes the filter or the interface away, and says so in the log; it
 * follows the network namespace of the start. Stopped, it forgets them. The netdevs stay as they are.
 * Control thread.
 */
int host_deaf_watch_start(void);
void host_deaf_watch_stop(void);

/*
 * Makes or reattaches the taps (name, MAC, MTU, addresses, up; persistent: they survive the router), removes those and the
 * addresses of an earlier start that are not in conf any more, reads the kernel's
 * tables into the FIB, starts the thread, and follows netlink on the control thread's event base. Returns NULL after one log line. Control thread.
 */
struct host *host_start(const struct host_conf *conf);

/* Stops the thread and frees all; the taps and their addresses stay. */
void host_stop(struct host *host);

/*
 * Ports that come and go (host_ports.c). A port is opened by a thread that may wait, which makes its tap; the
 * control thread adds it. It drops a port, waits until the host thread has left it and a grace period has passed, takes its tap
 * back, and has it closed by the thread that may wait, which also takes the tap out of Linux.
 * Those that fail say why in one log line.
 */
struct host_tap;
struct host_tap *host_port_open(const struct host_port *port); /* NULL: failed */
void host_port_close(struct host_tap *tap, const char *name); /* NULL is none; name: the tap's */
void host_port_forget(struct host_tap *tap,
	bool added); /* frees it; Linux's tap stays. added: its descriptor does, too */
/* The tap's addresses that are not in before are set; those of before that are no more are taken away. May wait. */
int host_port_addresses(const struct host_port *port, const struct host_port *before);
int host_port_add(struct host *host, const struct host_tap *tap); /* copies it */
void host_port_drop(struct host *host, uint16_t port_id);
bool host_port_left(const struct host *host); /* of all that were dropped */
struct host_tap *host_port_take(struct host *host, uint16_t port_id); /* NULL: none was dropped */

/* The way from workers to the host thread: rings by class, eventfd. */
void host_punt(struct host *host, struct worker_punt *punt);

/* Ring with packets that Linux sent on the tap of the port; one consumer. */
struct rte_ring *host_rx_ring(struct host *host, uint16_t port_id);

/* Ring of struct neigh_request (nodes/worker.h) from workers, drained by the control thread. */
struct rte_ring *host_neigh_ring(struct host *host);

/* Counters: packets to Linux by class, dropped by ration, from Linux; and netlink resynchronisations. */
struct host_stats {
	uint64_t to_host[4], rationed[4]; /* by enum punt_class */
	uint64_t to_host_errors; /* no tap took it: it is down, say */
	uint64_t from_host, from_host_drops;
	uint64_t resyncs;
};
void host_stats(const struct host *host, struct host_stats *stats);

/* Index of the tap of a port, or 0. */
unsigned int host_ifindex(const struct host *host, uint16_t port_id);

#endif
