/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_priv.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/route/link.h>

/* Frames that wait for us in the tap. */
#define TAP_QUEUE 1000
#define ALIAS_LEN 64

struct nl_sock *
host_setup_socket(void)
{
	struct nl_sock *sk = nl_socket_alloc();

	if (sk != NULL && nl_connect(sk, NETLINK_ROUTE) < 0) {
		nl_socket_free(sk);
		sk = NULL;
	}
	if (sk == NULL)
		LOG(ERR, "netlink: no socket");
	return sk;
}

/* Attaches to the tap of that name, which is made when there is none. Returns the fd or -errno. */
static int
attach(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd, err;

	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		err = errno;
		LOG(ERR, "tap %s: /dev/net/tun: %s", name, strerror(err));
		return -err;
	}
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return fd;
	err = errno;
	close(fd);
	if (err == EINVAL && if_nametoindex(name) != 0)
		LOG(ERR, "tap %s: an interface of that name exists and is not a plain tap", name);
	else if (err == EBUSY)
		LOG(ERR, "tap %s: another process holds it", name);
	else
		LOG(ERR, "tap %s: %s", name, strerror(err));
	return -err;
}

/* What a tap has of its router, by which the next start knows it. */
static void
alias_of(const char *router, char alias[static ALIAS_LEN])
{
	snprintf(alias, ALIAS_LEN, "cygnet:%s", router);
}

/* MAC, MTU, queue, alias, up: only what differs is asked for, so that nobody is told of changes that are none. */
static int
configure(struct nl_sock *sk, const struct host_tap *tap, const struct host_port *port)
{
	char alias[ALIAS_LEN];
	struct rtnl_link *link = NULL, *change = NULL;
	struct nl_addr *mac = NULL;
	int err;

	err = rtnl_link_get_kernel(sk, 0, tap->name, &link);
	if (err < 0)
		goto out;
	change = rtnl_link_alloc();
	mac = nl_addr_build(AF_LLC, tap->mac, sizeof(tap->mac));
	if (change == NULL || mac == NULL) {
		err = -NLE_NOMEM;
		goto out;
	}
	if (rtnl_link_get_addr(link) == NULL || nl_addr_cmp(rtnl_link_get_addr(link), mac) != 0)
		rtnl_link_set_addr(change, mac);
	if (rtnl_link_get_mtu(link) != tap->mtu)
		rtnl_link_set_mtu(change, tap->mtu);
	alias_of(port->router, alias);
	if (strcmp(rtnl_link_get_ifalias(link) ?: "", alias) != 0)
		rtnl_link_set_ifalias(change, alias);
	if (rtnl_link_get_txqlen(link) != TAP_QUEUE)
		rtnl_link_set_txqlen(change, TAP_QUEUE);
	rtnl_link_set_flags(change, IFF_UP);
	err = rtnl_link_change(sk, link, change, 0);
out:
	if (err < 0)
		LOG(ERR, "tap %s: cannot set MAC, MTU or state: %s", tap->name, nl_geterror(err));
	nl_addr_put(mac);
	rtnl_link_put(change);
	rtnl_link_put(link);
	return err < 0 ? -EIO : 0;
}

int
host_tap_open(struct nl_sock *sk, struct host_tap *tap, const struct host_port *port)
{
	int ret;

	snprintf(tap->name, sizeof(tap->name), "%s", port->name);
	memcpy(tap->mac, port->mac, sizeof(tap->mac));
	tap->mtu = port->mtu;
	tap->port_id = port->port_id;
	tap->fd = attach(tap->name);
	if (tap->fd < 0)
		return tap->fd;
	/* No offloads: no unfinished checksum and no frame above the MTU comes to us. */
	if (ioctl(tap->fd, TUNSETPERSIST, 1) < 0 || ioctl(tap->fd, TUNSETOFFLOAD, 0) < 0) {
		ret = -errno;
		LOG(ERR, "tap %s: %s", tap->name, strerror(-ret));
		return ret;
	}
	tap->ifindex = if_nametoindex(tap->name);
	ret = configure(sk, tap, port);
	return ret == 0 ? host_tap_addresses(sk, tap, port, NULL) : ret;
}

int
host_tap_remove(const char *name)
{
	int fd, ret = 0;

	if (if_nametoindex(name) == 0)
		return 0;
	fd = attach(name);
	if (fd < 0)
		return fd;
	if (ioctl(fd, TUNSETPERSIST, 0) < 0) {
		ret = -errno;
		LOG(ERR, "tap %s: %s", name, strerror(-ret));
	}
	close(fd);
	return ret;
}

static bool
has_port(const struct host_conf *conf, const char *name)
{
	for (unsigned int i = 0; i < conf->n_ports; i++)
		if (strcmp(conf->ports[i].name, name) == 0)
			return true;
	return false;
}

void
host_tap_sweep(struct nl_sock *sk, const struct host_conf *conf)
{
	struct nl_cache *cache = NULL;
	char alias[ALIAS_LEN];
	int err = rtnl_link_alloc_cache(sk, AF_UNSPEC, &cache);

	if (err < 0) {
		LOG(ERR, "taps of an earlier start: %s", nl_geterror(err));
		return;
	}
	alias_of(conf->router, alias);
	for (struct nl_object *obj = nl_cache_get_first(cache); obj != NULL;
		obj = nl_cache_get_next(obj)) {
		struct rtnl_link *link = (struct rtnl_link *)obj;
		const char *name = rtnl_link_get_name(link);

		if (strcmp(rtnl_link_get_ifalias(link) ?: "", alias) == 0 &&
			!has_port(conf, name) && host_tap_remove(name) == 0)
			LOG(NOTICE, "tap %s: there is no such port any more: removed", name);
	}
	nl_cache_free(cache);
}
