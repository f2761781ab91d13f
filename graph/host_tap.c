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
#include <netlink/route/addr.h>
#include <netlink/route/link.h>

/* Frames that wait for us in the tap. */
#define TAP_QUEUE 1000

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

/* MAC, MTU, queue, up: only what differs is asked for, so that nobody is told of changes that are none. */
static int
configure(struct nl_sock *sk, const struct host_tap *tap)
{
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

/* One of the tap's own in /proc/sys/net; family as it stands there. */
static int
set_sysctl(const struct host_tap *tap, const char *family, const char *key, const char *value)
{
	char path[96];
	int fd, ret;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, tap->name, key);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ret = fd >= 0 && write(fd, value, strlen(value)) > 0 ? 0 : -errno;
	if (fd >= 0)
		close(fd);
	if (ret < 0)
		LOG(ERR, "tap %s: cannot set %s of %s to %s: %s", tap->name, key, family, value,
			strerror(-ret));
	return ret;
}

static struct rtnl_addr *
make_address(const struct host_tap *tap, const struct ip_addr *a, uint8_t plen)
{
	struct rtnl_addr *addr = rtnl_addr_alloc();
	struct nl_addr *local =
		nl_addr_build(a->family == 4 ? AF_INET : AF_INET6, a->b, addr_bits(a) / 8);

	if (addr == NULL || local == NULL) {
		rtnl_addr_put(addr);
		addr = NULL;
	} else {
		nl_addr_set_prefixlen(local, plen);
		rtnl_addr_set_ifindex(addr, tap->ifindex);
		rtnl_addr_set_local(addr, local);
	}
	nl_addr_put(local);
	return addr;
}

/* The prefix length that the tap has the IPv6 address with; 0: it has it not. */
static uint8_t
length_there(struct nl_sock *sk, const struct host_tap *tap, const struct ip_addr *a)
{
	struct nl_cache *cache = NULL;
	struct nl_addr *local;
	uint8_t plen = 0;

	if (rtnl_addr_alloc_cache(sk, &cache) < 0)
		return 0;
	for (struct nl_object *obj = nl_cache_get_first(cache); obj != NULL;
		obj = nl_cache_get_next(obj)) {
		local = rtnl_addr_get_local((struct rtnl_addr *)obj);
		if (rtnl_addr_get_ifindex((struct rtnl_addr *)obj) == (int)tap->ifindex &&
			local != NULL && nl_addr_get_family(local) == AF_INET6 &&
			memcmp(nl_addr_get_binary_addr(local), a->b, sizeof(a->b)) == 0)
			plen = rtnl_addr_get_prefixlen((struct rtnl_addr *)obj);
	}
	nl_cache_free(cache);
	return plen;
}

static int
change_address(struct nl_sock *sk, const struct host_tap *tap, const struct ip_addr *a,
	uint8_t plen, bool add)
{
	struct rtnl_addr *addr = make_address(tap, a, plen);
	char text[ADDR_STRLEN];
	int err = -NLE_NOMEM;
	uint8_t there;

	if (addr != NULL)
		err = add ? rtnl_addr_add(sk, addr, 0) : rtnl_addr_delete(sk, addr, 0);
	/* An IPv6 address stands on a link once, with whatever length. */
	if (err == -NLE_EXIST && a->family == 6) {
		there = length_there(sk, tap, a);
		if (there != 0 && there != plen) {
			change_address(sk, tap, a, there, false);
			err = rtnl_addr_add(sk, addr, 0);
		}
	}
	rtnl_addr_put(addr);
	/* There since an earlier run; somebody else's doing. */
	if (err == -NLE_EXIST || (!add && (err == -NLE_NOADDR || err == -NLE_OBJ_NOTFOUND)))
		err = 0;
	if (err < 0)
		LOG(ERR, "tap %s: address %s: %s", tap->name, addr_prefix_str(a, plen, text),
			nl_geterror(err));
	return err < 0 ? -EADDRNOTAVAIL : 0;
}

static bool
has_address(const struct host_port *port, const struct ip_addr *a, uint8_t plen)
{
	for (unsigned int i = 0; port != NULL && i < port->n_addrs; i++)
		if (addr_equal(&port->addrs[i], a) && port->plens[i] == plen)
			return true;
	return false;
}

int
host_tap_addresses(struct nl_sock *sk, const struct host_tap *tap, const struct host_port *port,
	const struct host_port *before)
{
	/* When the first address of a subnet goes the others stay, also those that somebody else has set. */
	int ret = set_sysctl(tap, "ipv4", "promote_secondaries", "1");

	/* An address of IPv6 wants it on, whatever the namespace says of new interfaces. */
	for (unsigned int i = 0; ret == 0 && i < port->n_addrs; i++)
		if (port->addrs[i].family == 6)
			ret = set_sysctl(tap, "ipv6", "disable_ipv6", "0");
	for (unsigned int i = 0; ret == 0 && i < port->n_addrs; i++)
		if (!has_address(before, &port->addrs[i], port->plens[i]))
			ret = change_address(sk, tap, &port->addrs[i], port->plens[i], true);
	for (unsigned int i = 0; ret == 0 && before != NULL && i < before->n_addrs; i++)
		if (!has_address(port, &before->addrs[i], before->plens[i]))
			ret = change_address(sk, tap, &before->addrs[i], before->plens[i], false);
	return ret;
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
	ret = configure(sk, tap);
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
