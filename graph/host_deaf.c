/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_priv.h"
#include "log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <netlink/attr.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>

/*
 * A port on a shared netdev: Linux sees the same packets and would answer and forward them beside us. A
 * netfilter chain at the device's ingress drops them all, which af_packet and af_xdp do not see as they take
 * theirs before. It stays when the router dies, so that nothing leaks until it is back. What Linux
 * would say there on its own, ARP and IPv6, is turned off.
 */

#define CHAIN "ingress"
#define PRIORITY (-500)
#define BATCH 4

/* Only what can stand in a path and, perhaps in hex, in a name of nftables. */
static bool
name_ok(const char *netdev)
{
	size_t n = strlen(netdev);

	return n > 0 && n < IFNAMSIZ && strcmp(netdev, ".") != 0 && strcmp(netdev, "..") != 0 &&
	       strspn(netdev,
		       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:@-") == n;
}

/* The name of the device's table: one each, so that routers do not disturb each other. */
static void
table_name(const char *netdev, char name[static 64])
{
	int n = snprintf(name, 64, "cygnet-");

	/* Some cannot stand in nft's names, and two devices may not get one name: so in hex. */
	for (const char *p = netdev; *p != '\0' && n < 60; p++)
		n += snprintf(name + n, 64 - n, strchr("@:._", *p) != NULL ? "_%02x" : "%c",
			(unsigned char)*p);
}

/*
 * Messages of our own: libnftables waits with select(), which ends a process that has more than 1024 descriptors, and EAL
 * has one for each huge page.
 */
static struct nl_msg *
nft_msg(int type, int flags)
{
	struct nfgenmsg nfg = {.nfgen_family = NFPROTO_NETDEV,
		.version = NFNETLINK_V0,
		.res_id = htons(NFNL_SUBSYS_NFTABLES)};
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	if (msg != NULL && nlmsg_append(msg, &nfg, sizeof(nfg), NLMSG_ALIGNTO) == 0)
		return msg;
	nlmsg_free(msg);
	return NULL;
}

/* About a table, or, with a name, about a chain of it. */
static struct nl_msg *
named_msg(int type, int flags, const char *table, const char *chain)
{
	struct nl_msg *msg = nft_msg(NFNL_SUBSYS_NFTABLES << 8 | type, flags);

	if (msg != NULL &&
		nla_put_string(msg, chain == NULL ? NFTA_TABLE_NAME : NFTA_CHAIN_TABLE, table) ==
			0 &&
		(chain == NULL || nla_put_string(msg, NFTA_CHAIN_NAME, chain) == 0))
		return msg;
	nlmsg_free(msg);
	return NULL;
}

/* The chain that drops what comes in by the device. */
static struct nl_msg *
drop_msg(const char *table, const char *netdev)
{
	struct nl_msg *msg = named_msg(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_ACK, table, CHAIN);
	struct nlattr *hook;

	if (msg != NULL && nla_put_string(msg, NFTA_CHAIN_TYPE, "filter") == 0 &&
		nla_put_u32(msg, NFTA_CHAIN_POLICY, htonl(NF_DROP)) == 0 &&
		(hook = nla_nest_start(msg, NFTA_CHAIN_HOOK)) != NULL &&
		nla_put_u32(msg, NFTA_HOOK_HOOKNUM, htonl(NF_NETDEV_INGRESS)) == 0 &&
		nla_put_u32(msg, NFTA_HOOK_PRIORITY, htonl(PRIORITY)) == 0 &&
		nla_put_string(msg, NFTA_HOOK_DEV, netdev) == 0) {
		nla_nest_end(msg, hook);
		return msg;
	}
	nlmsg_free(msg);
	return NULL;
}

static int
take_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *error)
{
	(void)from;
	*(int *)error = e->error;
	return NL_STOP;
}

/* Sends n messages as one, and takes the first answer. Returns a negative errno, the kernel's too. */
static int
nft_ask(struct nl_msg *msgs[], unsigned int n, nl_recvmsg_msg_cb_t on_answer, void *arg)
{
	struct nl_sock *sk = nl_socket_alloc();
	struct iovec iov[BATCH];
	int rc = 0;

	if (sk == NULL)
		return -ENOMEM;
	nl_socket_disable_auto_ack(sk);
	nl_socket_disable_seq_check(sk);
	nl_socket_modify_err_cb(sk, NL_CB_CUSTOM, take_error, &rc);
	if (on_answer != NULL)
		nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, on_answer, arg);
	errno = EIO;
	if (nl_connect(sk, NETLINK_NETFILTER) < 0)
		rc = -errno;
	for (unsigned int i = 0; rc == 0 && i < n; i++) {
		if (msgs[i] == NULL) {
			rc = -ENOMEM;
			break;
		}
		nl_complete_msg(sk, msgs[i]);
		iov[i].iov_base = nlmsg_hdr(msgs[i]);
		iov[i].iov_len = NLMSG_ALIGN(nlmsg_hdr(msgs[i])->nlmsg_len);
	}
	if (rc == 0 && (nl_send_iovec(sk, msgs[0], iov, n) < 0 || nl_recvmsgs_default(sk) < 0))
		rc = rc < 0 ? rc : -EIO; /* the kernel said why, or nothing */
	nl_socket_free(sk);
	return rc;
}

/* Two changes: both are made, or none. The second asks for an answer. Frees them. */
static int
nft_change(const char *netdev, struct nl_msg *first, struct nl_msg *second, uint32_t level)
{
	struct nl_msg *batch[BATCH] = {
		nft_msg(NFNL_MSG_BATCH_BEGIN, 0), first, second, nft_msg(NFNL_MSG_BATCH_END, 0)};
	int rc = nft_ask(batch, BATCH, NULL, NULL);

	if (rc < 0)
		rte_log(level, cygnet_logtype, "cygnet: netdev %s: nftables: %s\n", netdev,
			strerror(-rc));
	for (unsigned int i = 0; i < BATCH; i++)
		nlmsg_free(batch[i]);
	return rc;
}

static int
ipv6_off(const char *netdev, bool off)
{
	char path[96], value = '\0';
	int fd, ret = 0;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6",
		off ? netdev : "default");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		/* A kernel without IPv6 is silent too. */
		return access("/proc/net/if_inet6", F_OK) != 0 ? 0 : -errno;
	}
	if (read(fd, &value, 1) != 1)
		ret = -EIO;
	close(fd);
	if (ret < 0 || (off && value == '1'))
		return ret;
	if (off)
		value = '1';
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", netdev);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, &value, 1) != 1)
		ret = -errno;
	close(fd);
	return ret;
}

static int
set_flags(struct nl_sock *sk, const char *netdev, bool deaf, uint32_t level)
{
	struct rtnl_link *link = NULL, *change = NULL;
	int err = rtnl_link_get_kernel(sk, 0, netdev, &link);

	if (err == 0) {
		change = rtnl_link_alloc();
		if (change == NULL) {
			err = -NLE_NOMEM;
		} else if (deaf) {
			rtnl_link_set_flags(change, IFF_UP | IFF_NOARP);
			err = rtnl_link_change(sk, link, change, 0);
		} else {
			rtnl_link_unset_flags(change, IFF_NOARP);
			err = rtnl_link_change(sk, link, change, 0);
		}
	}
	if (err < 0)
		rte_log(level, cygnet_logtype, "cygnet: netdev %s: %s\n", netdev, nl_geterror(err));
	rtnl_link_put(change);
	rtnl_link_put(link);
	return err < 0 ? -EIO : 0;
}

/* An address there makes Linux send over it: the operator should know. */
static void
warn_of_addresses(struct nl_sock *sk, const char *netdev)
{
	struct nl_cache *cache = NULL;
	struct nl_object *obj;
	uint32_t ifindex = if_nametoindex(netdev);

	if (rtnl_addr_alloc_cache(sk, &cache) < 0)
		return;
	for (obj = nl_cache_get_first(cache); obj != NULL; obj = nl_cache_get_next(obj)) {
		if (rtnl_addr_get_ifindex((struct rtnl_addr *)obj) != (int)ifindex)
			continue;
		LOG(WARNING,
			"netdev %s has an address of its own: Linux sends by it, past every "
			"policy; "
			"move it to the port",
			netdev);
		break;
	}
	nl_cache_free(cache);
}

struct chain {
	const char *netdev;
	bool drops; /* what comes in there */
};

static bool
is_name(const struct nlattr *a, const char *name)
{
	size_t len = a != NULL ? strnlen(nla_data(a), nla_len(a)) : 0;

	return len > 0 && len == strlen(name) && memcmp(nla_data(a), name, len) == 0;
}

/* Whether the chain hangs on the device; kernels before 5.5 name no list of them. */
static bool
on_device(struct nlattr *hook, const char *netdev)
{
	struct nlattr *tb[NFTA_HOOK_MAX + 1], *a;
	int left;

	if (nla_parse_nested(tb, NFTA_HOOK_MAX, hook, NULL) < 0)
		return false;
	if (tb[NFTA_HOOK_DEVS] == NULL)
		return is_name(tb[NFTA_HOOK_DEV], netdev);
	nla_for_each_nested(a, tb[NFTA_HOOK_DEVS],
		left) if (nla_type(a) == NFTA_DEVICE_NAME && is_name(a, netdev)) return true;
	return false;
}

static int
on_chain(struct nl_msg *msg, void *arg)
{
	struct chain *chain = arg;
	struct nlattr *tb[NFTA_CHAIN_MAX + 1];

	if (nlmsg_parse(nlmsg_hdr(msg), sizeof(struct nfgenmsg), tb, NFTA_CHAIN_MAX, NULL) == 0)
		chain->drops = tb[NFTA_CHAIN_HOOK] != NULL && tb[NFTA_CHAIN_POLICY] != NULL &&
			       nla_len(tb[NFTA_CHAIN_POLICY]) == sizeof(uint32_t) &&
			       ntohl(nla_get_u32(tb[NFTA_CHAIN_POLICY])) == NF_DROP &&
			       on_device(tb[NFTA_CHAIN_HOOK], chain->netdev);
	return NL_OK;
}

int
host_is_deaf(const char *netdev)
{
	struct chain chain = {.netdev = netdev};
	struct nl_msg *msg;
	char table[64];
	int rc;

	if (netdev == NULL || !name_ok(netdev))
		return 0;
	table_name(netdev, table);
	msg = named_msg(NFT_MSG_GETCHAIN, 0, table, CHAIN);
	rc = nft_ask(&msg, 1, on_chain, &chain);
	nlmsg_free(msg);
	return rc == -ENOENT ? 0 : rc < 0 ? rc : chain.drops;
}

static int
turn_off(const char *netdev, uint32_t level)
{
	struct nl_sock *sk;
	int ret = ipv6_off(netdev, true);

	if (ret < 0) {
		rte_log(level, cygnet_logtype, "cygnet: netdev %s: cannot turn IPv6 off: %s\n",
			netdev, strerror(-ret));
		return ret;
	}
	sk = host_setup_socket();
	if (sk == NULL)
		return -EIO;
	ret = set_flags(sk, netdev, true, level);
	if (ret == 0)
		warn_of_addresses(sk, netdev);
	nl_socket_free(sk);
	return ret;
}

int
host_deaf_make(const char *netdev, uint32_t level)
{
	char table[64];
	int ret;

	/* Any other error is nftables', too. */
	if (!name_ok(netdev) || (if_nametoindex(netdev) == 0 && errno == ENODEV)) {
		rte_log(level, cygnet_logtype, "cygnet: netdev %s: no such interface\n", netdev);
		return -ENODEV;
	}
	/* Adding what is there already changes nothing: no moment without the chain. */
	table_name(netdev, table);
	ret = nft_change(netdev, named_msg(NFT_MSG_NEWTABLE, NLM_F_CREATE, table, NULL),
		drop_msg(table, netdev), level);
	return ret == 0 ? turn_off(netdev, level) : ret;
}

int
host_deafen(const char *netdev)
{
	int ret = netdev != NULL ? host_deaf_make(netdev, RTE_LOG_ERR) : 0;

	return ret == 0 && netdev != NULL ? host_deaf_keep(netdev) : ret;
}

int
host_undeafen(const char *netdev)
{
	char table[64];
	struct nl_sock *sk;
	int ret;

	if (netdev == NULL)
		return 0;
	if (!name_ok(netdev))
		return -EINVAL;
	host_deaf_forget(netdev);
	table_name(netdev, table);
	/* The add makes the delete succeed when there is none. */
	ret = nft_change(netdev, named_msg(NFT_MSG_NEWTABLE, NLM_F_CREATE, table, NULL),
		named_msg(NFT_MSG_DELTABLE, NLM_F_ACK, table, NULL), RTE_LOG_ERR);
	if (if_nametoindex(netdev) == 0)
		return ret;
	if (ipv6_off(netdev, false) < 0)
		ret = -EIO;
	sk = host_setup_socket();
	if (sk == NULL || set_flags(sk, netdev, false, RTE_LOG_ERR) < 0)
		ret = -EIO;
	nl_socket_free(sk);
	return ret;
}
