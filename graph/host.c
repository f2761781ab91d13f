/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_priv.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <netlink/netlink.h>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>

struct host_tap *
host_tap_of_ifindex(struct host *h, uint32_t ifindex)
{
	for (unsigned int i = 0; i < h->n_taps; i++)
		if (h->taps[i].ifindex == ifindex)
			return &h->taps[i];
	return NULL;
}

struct host_tap *
host_tap_of_port(struct host *h, uint16_t port_id)
{
	if (port_id >= WORKER_MAX_PORTS || h->tap_of[port_id] == UINT8_MAX)
		return NULL;
	return &h->taps[h->tap_of[port_id]];
}

static int
make_rings(struct host *h)
{
	char name[RTE_RING_NAMESIZE];

	for (unsigned int i = 0; i < h->n_taps; i++) {
		snprintf(name, sizeof(name), "host-rx-%u", h->taps[i].port_id);
		h->taps[i].rx = rte_ring_create(
			name, HOST_RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (h->taps[i].rx == NULL)
			return -rte_errno;
	}
	for (unsigned int c = 0; c < PUNT_CLASSES; c++) {
		snprintf(name, sizeof(name), "host-punt-%u", c);
		h->thread.ring[c] =
			rte_ring_create(name, HOST_RING_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
		if (h->thread.ring[c] == NULL)
			return -rte_errno;
	}
	h->neigh_requests = rte_ring_create_elem("host-neigh", sizeof(struct neigh_request),
		HOST_RING_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
	return h->neigh_requests != NULL ? 0 : -rte_errno;
}

static void
free_rings(struct host *h)
{
	struct rte_mbuf *m;

	for (unsigned int i = 0; i < h->n_taps; i++) {
		struct rte_ring *rx = h->taps[i].rx;

		while (rx != NULL && rte_ring_sc_dequeue(rx, (void **)&m) == 0)
			rte_pktmbuf_free(m);
		rte_ring_free(rx);
	}
	for (unsigned int c = 0; c < PUNT_CLASSES; c++)
		rte_ring_free(h->thread.ring[c]);
	rte_ring_free(h->neigh_requests);
}

static int
make_taps(struct host *h, const struct host_conf *conf)
{
	struct nl_sock *sk = host_setup_socket();
	int ret = sk != NULL ? 0 : -EIO;

	if (ret == 0)
		host_tap_sweep(sk, conf);
	for (unsigned int i = 0; ret == 0 && i < conf->n_ports; i++) {
		ret = host_tap_open(sk, &h->taps[i], &conf->ports[i]);
		h->tap_of[conf->ports[i].port_id] = i;
	}
	nl_socket_free(sk);
	return ret;
}

static struct host *
alloc_host(const struct host_conf *conf)
{
	struct host *h = rte_zmalloc("host", sizeof(*h), RTE_CACHE_LINE_SIZE);

	if (h == NULL)
		return NULL;
	h->thread.epfd = h->thread.eventfd = -1;
	h->taps = calloc(WORKER_MAX_PORTS, sizeof(*h->taps));
	if (h->taps == NULL) {
		rte_free(h);
		return NULL;
	}
	for (unsigned int i = 0; i < WORKER_MAX_PORTS; i++)
		h->taps[i].fd = -1;
	h->n_taps = conf->n_ports;
	h->fib = conf->fib;
	h->base = conf->base;
	memset(h->tap_of, UINT8_MAX, sizeof(h->tap_of));
	return h;
}

static int
start_thread(struct host *h, const struct host_conf *conf)
{
	struct host_thread *t = &h->thread;

	t->mbufs = conf->mbufs;
	t->taps = h->taps;
	t->n_taps = h->n_taps;
	t->rate = conf->punt_rate;
	for (unsigned int i = 0; i < WORKER_MAX_PORTS; i++)
		atomic_store(&t->tap_of[i], h->tap_of[i]);
	t->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (t->eventfd < 0) {
		LOG(ERR, "host thread: eventfd: %s", strerror(errno));
		return -errno;
	}
	return host_thread_start(t, conf->cpu);
}

struct host *
host_start(const struct host_conf *conf)
{
	struct host *h;
	int ret;

	for (unsigned int i = 0; i < conf->n_ports; i++) {
		if (conf->ports[i].port_id >= WORKER_MAX_PORTS) {
			LOG(ERR, "port %s: too many ports", conf->ports[i].name);
			return NULL;
		}
	}
	h = alloc_host(conf);
	if (h == NULL) {
		LOG(ERR, "Linux mirror: out of memory");
		return NULL;
	}
	/* Each says itself what failed. */
	ret = make_taps(h, conf);
	if (ret == 0 && (ret = make_rings(h)) < 0)
		LOG(ERR, "Linux mirror: rings: %s", strerror(-ret));
	if (ret == 0)
		ret = host_routes_start(h);
	if (ret == 0)
		ret = host_neigh_start(h);
	if (ret == 0)
		ret = host_netlink_start(h);
	if (ret == 0)
		ret = start_thread(h, conf);
	if (ret < 0) {
		host_stop(h);
		return NULL;
	}
	LOG(INFO, "Linux mirror: %u taps, %zu prefixes", h->n_taps, rib_count(h->rib));
	return h;
}

void
host_stop(struct host *h)
{
	if (h == NULL)
		return;
	host_thread_stop(&h->thread);
	host_netlink_stop(h);
	host_neigh_stop(h);
	host_routes_stop(h);
	free_rings(h);
	for (unsigned int i = 0; i < h->n_taps; i++)
		if (h->taps[i].fd >= 0)
			close(h->taps[i].fd);
	if (h->thread.eventfd >= 0)
		close(h->thread.eventfd);
	free(h->taps);
	rte_free(h);
}

void
host_punt(struct host *h, struct worker_punt *punt)
{
	memcpy(punt->ring, h->thread.ring, sizeof(punt->ring));
	punt->eventfd = h->thread.eventfd;
	punt->asleep = &h->thread.asleep;
}

struct rte_ring *
host_rx_ring(struct host *h, uint16_t port_id)
{
	const struct host_tap *tap = host_tap_of_port(h, port_id);

	return tap != NULL ? tap->rx : NULL;
}

struct rte_ring *
host_neigh_ring(struct host *h)
{
	return h->neigh_requests;
}

void
host_stats(const struct host *h, struct host_stats *stats)
{
	const struct host_counters *c = &h->thread.count;

	for (unsigned int i = 0; i < PUNT_CLASSES; i++) {
		stats->to_host[i] = atomic_load_explicit(&c->to_host[i], memory_order_relaxed);
		stats->rationed[i] = atomic_load_explicit(&c->rationed[i], memory_order_relaxed);
	}
	stats->to_host_errors = atomic_load_explicit(&c->errors, memory_order_relaxed);
	stats->from_host = atomic_load_explicit(&c->from_host, memory_order_relaxed);
	stats->from_host_drops = atomic_load_explicit(&c->from_host_drops, memory_order_relaxed);
	stats->resyncs = h->resyncs;
}

unsigned int
host_ifindex(const struct host *h, uint16_t port_id)
{
	if (port_id >= WORKER_MAX_PORTS || h->tap_of[port_id] == UINT8_MAX)
		return 0;
	return h->taps[h->tap_of[port_id]].ifindex;
}
