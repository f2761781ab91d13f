/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_priv.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netlink/netlink.h>

#include <rte_errno.h>
#include <rte_mbuf.h>

/*
 * Ports that come and go while the router runs. What waits for the kernel (host_port_open(), _close(), _addresses()) is for a
 * thread that may; the rest is the control thread's, and quick.
 */

struct host_tap *
host_port_open(const struct host_port *port)
{
	struct host_tap *tap = calloc(1, sizeof(*tap));
	struct nl_sock *sk = tap != NULL ? host_setup_socket() : NULL;
	int ret = sk != NULL ? 0 : -ENOMEM;

	if (ret == 0) {
		tap->fd = -1;
		ret = host_tap_open(sk, tap, port);
		if (ret < 0)
			host_port_close(tap, port->name);
	} else {
		free(tap);
	}
	nl_socket_free(sk);
	return ret == 0 ? tap : NULL;
}

void
host_port_close(struct host_tap *tap, const char *name)
{
	if (tap == NULL)
		return;
	if (tap->fd >= 0) {
		close(tap->fd);
		host_tap_remove(name);
	}
	free(tap);
}

void
host_port_forget(struct host_tap *tap, bool added)
{
	if (tap != NULL && tap->fd >= 0 && !added)
		close(tap->fd);
	free(tap);
}

int
host_port_addresses(const struct host_port *port, const struct host_port *before)
{
	struct host_tap tap = {.ifindex = if_nametoindex(port->name)};
	struct nl_sock *sk = host_setup_socket();
	int ret = sk != NULL ? 0 : -EIO;

	snprintf(tap.name, sizeof(tap.name), "%s", port->name);
	if (ret == 0)
		ret = host_tap_addresses(sk, &tap, port, before);
	nl_socket_free(sk);
	return ret;
}

/* A place among the taps for one more; h->n_taps when there is none. */
static unsigned int
free_place(const struct host *h)
{
	for (unsigned int i = 0; i < WORKER_MAX_PORTS; i++)
		if (h->taps[i].fd < 0)
			return i;
	return WORKER_MAX_PORTS;
}

int
host_port_add(struct host *h, const struct host_tap *opened)
{
	unsigned int i = free_place(h);
	char name[RTE_RING_NAMESIZE];
	struct host_tap *tap;
	int ret;

	if (i == WORKER_MAX_PORTS || opened->mtu > host_thread_mtu(&h->thread)) {
		LOG(ERR, "port %s: %s", opened->name,
			i == WORKER_MAX_PORTS ? "too many ports" : "its MTU needs larger buffers");
		return -ENOSPC;
	}
	tap = &h->taps[i];
	*tap = *opened;
	snprintf(name, sizeof(name), "host-rx-%u", tap->port_id);
	tap->rx =
		rte_ring_create(name, HOST_RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	ret = tap->rx != NULL ? 0 : -rte_errno;
	if (ret == 0)
		ret = fib_nh_new(h->fib, NH_GLEAN, tap->port_id, tap->mtu, &tap->glean);
	if (ret == 0) {
		ret = host_thread_add(&h->thread, i);
		if (ret < 0)
			fib_nh_put(h->fib, tap->glean);
	}
	if (ret < 0) {
		LOG(ERR, "port %s: Linux mirror: %s", opened->name, strerror(-ret));
		rte_ring_free(tap->rx);
		*tap = (struct host_tap){.fd = -1};
		return ret;
	}
	if (i >= h->n_taps)
		h->n_taps = h->thread.n_taps = i + 1;
	h->tap_of[tap->port_id] = i;
	/* Routes by it may be there since it was made: they led to an interface that was no port. */
	rib_resettle(h->rib, tap->ifindex);
	host_netlink_reread(h);
	return 0;
}

void
host_port_drop(struct host *h, uint16_t port_id)
{
	struct host_tap *tap = host_tap_of_port(h, port_id);
	uint32_t ifindex;

	if (tap == NULL)
		return;
	ifindex = tap->ifindex;
	host_neigh_forget(h, tap);
	tap->ifindex = 0;
	h->tap_of[port_id] = UINT8_MAX;
	rib_resettle(h->rib, ifindex);
	host_routes_flush(h);
	tap->left = host_thread_drop(&h->thread, tap);
}

bool
host_port_left(const struct host *h)
{
	for (unsigned int i = 0; i < h->n_taps; i++)
		if (h->taps[i].fd >= 0 && h->taps[i].ifindex == 0 &&
			!host_thread_passed(&h->thread, h->taps[i].left))
			return false;
	return true;
}

struct host_tap *
host_port_take(struct host *h, uint16_t port_id)
{
	struct host_tap *taken = calloc(1, sizeof(*taken));
	struct rte_mbuf *m;

	for (unsigned int i = 0; i < h->n_taps; i++) {
		struct host_tap *tap = &h->taps[i];

		if (tap->fd < 0 || tap->ifindex != 0 || tap->port_id != port_id)
			continue;
		while (rte_ring_sc_dequeue(tap->rx, (void **)&m) == 0)
			rte_pktmbuf_free(m);
		rte_ring_free(tap->rx);
		rte_pktmbuf_free_bulk(tap->spare, tap->n_spare);
		fib_nh_put(h->fib, tap->glean);
		if (taken != NULL)
			*taken = *tap;
		else
			close(tap->fd);
		*tap = (struct host_tap){.fd = -1};
		return taken;
	}
	free(taken);
	return NULL;
}
