/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_priv.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>

/* The addresses of a tap: those of its port, beside what an administrator has put there. */

/* ip-address(8) shows it as proto; the kernel's own are 1 to 3. */
#define ADDRESS_PROTO 99
#define DUMPS 100 /* tries */

/* One of the tap's own in /proc/sys/net; family as it stands there. What is so already is not written: it may be read-only. */
static int
set_sysctl(const struct host_tap *tap, const char *family, const char *key, char value)
{
	char path[96], there = '\0';
	int fd, ret;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, tap->name, key);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ret = read(fd, &there, 1) == 1 && there == value;
		close(fd);
		if (ret)
			return 0;
	}
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ret = fd >= 0 && write(fd, &value, 1) == 1 ? 0 : -errno;
	if (fd >= 0)
		close(fd);
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

/* An address that the kernel has on the tap. */
struct there {
	struct ip_addr addr;
	uint8_t plen;
	bool ours; /* a router put it there */
};

struct listing {
	uint32_t ifindex;
	struct there *v;
	unsigned int n;
	int err;
};

static int
list_one(struct nl_msg *msg, void *arg)
{
	const struct ifaddrmsg *ifa = nlmsg_data(nlmsg_hdr(msg));
	struct nlattr *tb[IFA_MAX + 1], *a;
	struct listing *l = arg;
	struct there *v;

	if (nlmsg_parse(nlmsg_hdr(msg), sizeof(*ifa), tb, IFA_MAX, NULL) < 0 ||
		ifa->ifa_index != l->ifindex ||
		(ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6))
		return NL_OK;
	a = tb[IFA_LOCAL] != NULL ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	if (a == NULL || nla_len(a) != (ifa->ifa_family == AF_INET ? 4 : 16))
		return NL_OK;
	v = reallocarray(l->v, l->n + 1, sizeof(*v));
	if (v == NULL) {
		l->err = -NLE_NOMEM;
		return NL_OK;
	}
	l->v = v;
	v += l->n++;
	*v = (struct there){.addr = {.family = ifa->ifa_family == AF_INET ? 4 : 6},
		.plen = ifa->ifa_prefixlen,
		.ours = tb[IFA_PROTO] != NULL && nla_len(tb[IFA_PROTO]) == 1 &&
			nla_get_u8(tb[IFA_PROTO]) == ADDRESS_PROTO};
	memcpy(v->addr.b, nla_data(a), nla_len(a));
	return NL_OK;
}

/* All of the tap, in l->v, which the caller frees also after an error. */
static int
list_addresses(struct nl_sock *sk, const struct host_tap *tap, struct listing *l)
{
	struct ifaddrmsg ask = {.ifa_family = AF_UNSPEC};
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int err = -NLE_NOMEM;

	*l = (struct listing){.ifindex = tap->ifindex};
	if (cb != NULL && nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, list_one, l) == 0)
		err = -NLE_DUMP_INTR;
	/* Addresses that change meanwhile, of any interface, break it. */
	for (unsigned int i = 0; err == -NLE_DUMP_INTR && i < DUMPS; i++) {
		l->n = 0;
		err = nl_send_simple(sk, RTM_GETADDR, NLM_F_DUMP, &ask, sizeof(ask));
		if (err >= 0)
			err = nl_recvmsgs(sk, cb);
	}
	nl_cb_put(cb);
	return err < 0 ? err : l->err;
}

/* The prefix length that the tap has the address with; 0: it has it not. */
static uint8_t
length_there(struct nl_sock *sk, const struct host_tap *tap, const struct ip_addr *a)
{
	struct listing l;
	uint8_t plen = 0;

	if (list_addresses(sk, tap, &l) == 0)
		for (unsigned int i = 0; i < l.n; i++)
			if (addr_equal(&l.v[i].addr, a))
				plen = l.v[i].plen;
	free(l.v);
	return plen;
}

/* With a mark by which the next start knows it; kernels before 5.18 keep none. */
static int
add_address(struct nl_sock *sk, struct rtnl_addr *addr)
{
	struct nl_msg *msg = NULL;
	int err = rtnl_addr_build_add_request(addr, 0, &msg);

	if (err == 0 && nla_put_u8(msg, IFA_PROTO, ADDRESS_PROTO) < 0) {
		nlmsg_free(msg);
		err = -NLE_NOMEM;
	}
	return err == 0 ? nl_send_sync(sk, msg) : err;
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
		err = add ? add_address(sk, addr) : rtnl_addr_delete(sk, addr, 0);
	/* An IPv6 address stands on a link once, with whatever length. */
	if (err == -NLE_EXIST && a->family == 6) {
		there = length_there(sk, tap, a);
		if (there != 0 && there != plen) {
			change_address(sk, tap, a, there, false);
			err = add_address(sk, addr);
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

/* What a router put there at an earlier start and the file has no more. */
static void
sweep(struct nl_sock *sk, const struct host_tap *tap, const struct host_port *port)
{
	char text[ADDR_STRLEN];
	struct listing l;
	int err = list_addresses(sk, tap, &l);

	if (err < 0)
		LOG(ERR, "tap %s: addresses of an earlier start: %s", tap->name, nl_geterror(err));
	for (unsigned int i = 0; err == 0 && i < l.n; i++)
		if (l.v[i].ours && !has_address(port, &l.v[i].addr, l.v[i].plen) &&
			change_address(sk, tap, &l.v[i].addr, l.v[i].plen, false) == 0)
			LOG(NOTICE, "tap %s: address %s is no more in the configuration: removed",
				tap->name, addr_prefix_str(&l.v[i].addr, l.v[i].plen, text));
	free(l.v);
}

int
host_tap_addresses(struct nl_sock *sk, const struct host_tap *tap, const struct host_port *port,
	const struct host_port *before)
{
	/* When the first address of a subnet goes the others stay, also those that somebody else has set. */
	int ret = set_sysctl(tap, "ipv4", "promote_secondaries", '1');

	if (ret < 0)
		LOG(WARNING,
			"tap %s: cannot set promote_secondaries: %s. The first address of a "
			"subnet takes the others with it when it goes",
			tap->name, strerror(-ret));
	/* An address of IPv6 wants it on, whatever the namespace says of new interfaces. */
	ret = 0;
	for (unsigned int i = 0; ret == 0 && i < port->n_addrs; i++)
		if (port->addrs[i].family == 6) {
			ret = set_sysctl(tap, "ipv6", "disable_ipv6", '0');
			if (ret < 0)
				LOG(ERR, "tap %s: cannot turn IPv6 on: %s", tap->name,
					strerror(-ret));
		}
	for (unsigned int i = 0; ret == 0 && i < port->n_addrs; i++)
		if (!has_address(before, &port->addrs[i], port->plens[i]))
			ret = change_address(sk, tap, &port->addrs[i], port->plens[i], true);
	for (unsigned int i = 0; ret == 0 && before != NULL && i < before->n_addrs; i++)
		if (!has_address(port, &before->addrs[i], before->plens[i]))
			ret = change_address(sk, tap, &before->addrs[i], before->plens[i], false);
	if (ret == 0 && before == NULL)
		sweep(sk, tap, port);
	return ret;
}
