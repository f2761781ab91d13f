/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_priv.h"
#include "log.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Netdevs that were made deaf stay deaf: the filter goes with `nft flush ruleset`, which every restart of the nftables
 * service begins with, and with the interface itself, whose successor of the same name hears. A thread of its own looks when
 * the kernel tells of a change of filters or links, and once a second for what was not told: a change of filters waits for the kernel.
 */

#define LOOK_MS 1000

struct kept {
	LIST_ENTRY(kept) next;
	char netdev[IFNAMSIZ], called[IFNAMSIZ]; /* called: what it was last seen as */
	uint32_t ifindex; /* 0: it is gone */
	uint32_t failed; /* the interface that could not be made deaf, as was told; 0: none */
	int blind; /* why it could not be looked at, as was told; 0: it could */
};

enum { WATCH_FILTERS, WATCH_LINKS, WATCH_STOP, WATCH_FDS };

static struct {
	pthread_mutex_t lock; /* of the list, and of what is done for one in it */
	LIST_HEAD(, kept) netdevs;
	pthread_t thread;
	bool running;
	struct pollfd fds[WATCH_FDS];
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct kept *
find(const char *netdev)
{
	struct kept *k;

	LIST_FOREACH (k, &watch.netdevs, next)
		if (strcmp(k->netdev, netdev) == 0)
			break;
	return k;
}

int
host_deaf_keep(const char *netdev)
{
	struct kept *k;

	pthread_mutex_lock(&watch.lock);
	k = find(netdev);
	if (k == NULL) {
		k = calloc(1, sizeof(*k));
		if (k != NULL) {
			strncpy(k->netdev, netdev, sizeof(k->netdev) - 1);
			LIST_INSERT_HEAD(&watch.netdevs, k, next);
		}
	}
	if (k != NULL) {
		k->ifindex = if_nametoindex(netdev);
		k->failed = 0;
		memcpy(k->called, k->netdev, sizeof(k->called));
	}
	pthread_mutex_unlock(&watch.lock);
	return k != NULL ? 0 : -ENOMEM;
}

bool
host_deaf_kept(const char *netdev)
{
	bool kept;

	pthread_mutex_lock(&watch.lock);
	kept = find(netdev) != NULL;
	pthread_mutex_unlock(&watch.lock);
	return kept;
}

void
host_deaf_forget(const char *netdev)
{
	struct kept *k;

	pthread_mutex_lock(&watch.lock);
	k = find(netdev);
	if (k != NULL)
		LIST_REMOVE(k, next);
	pthread_mutex_unlock(&watch.lock);
	free(k);
}

/* Returns false: it is tried anew a second later. */
static bool
cannot_look(struct kept *k, int error)
{
	if (error != k->blind)
		LOG(ERR, "netdev %s: whether Linux hears it cannot be looked at: %s", k->netdev,
			strerror(error));
	k->blind = error;
	return false;
}

/* No interface has its name. */
static bool
look_for_gone(struct kept *k)
{
	char now[IFNAMSIZ] = "";

	if (k->ifindex == 0)
		return true;
	if (if_indextoname(k->ifindex, now) == NULL) {
		if (errno != ENXIO)
			return cannot_look(k, errno);
		LOG(ERR, "netdev %s is gone, and nothing passes its port", k->netdev);
		k->ifindex = 0;
	} else if (strcmp(now, k->called) != 0) {
		LOG(ERR,
			"netdev %s is called %s now, and whether Linux hears it is not looked at: "
			"give it its name back",
			k->netdev, now);
		memcpy(k->called, now, sizeof(k->called));
	}
	k->blind = 0;
	return true;
}

/* Returns false if Linux hears it still: it is told once, and tried anew a second later. */
static bool
look(struct kept *k)
{
	int deaf = host_is_deaf(k->netdev);
	uint32_t ifindex, level;
	bool done;

	/* First of all, for it says why it cannot be asked: if_nametoindex() says ENOENT without descriptors. */
	if (deaf < 0)
		return cannot_look(k, -deaf);
	ifindex = if_nametoindex(k->netdev);
	if (ifindex == 0)
		return errno == ENODEV ? look_for_gone(k) : cannot_look(k, errno);
	level = ifindex == k->failed ? RTE_LOG_DEBUG : RTE_LOG_ERR;
	memcpy(k->called, k->netdev, sizeof(k->called));
	k->blind = 0;
	if (ifindex == k->ifindex && k->failed == 0 && deaf)
		return true;
	done = host_deaf_make(k->netdev, level) == 0;
	if (done)
		level = RTE_LOG_ERR;
	if (ifindex != k->ifindex)
		rte_log(level, cygnet_logtype,
			"cygnet: netdev %s is another interface now, which Linux heard: %s. Its "
			"port needs a restart of the router\n",
			k->netdev, done ? "made deaf" : "it still does");
	else
		rte_log(level, cygnet_logtype,
			"cygnet: netdev %s: its filter was taken away (nft flush ruleset?), and "
			"Linux heard what came in: %s\n",
			k->netdev, done ? "made anew" : "it still does");
	if (done)
		k->ifindex = ifindex;
	k->failed = done ? 0 : ifindex;
	return done;
}

/* What is told there matters not: all is looked at. */
static void
drain(int fd)
{
	char buf[8192];
	ssize_t n;

	do
		n = recv(fd, buf, sizeof(buf), MSG_TRUNC);
	while (n > 0 || (n < 0 && (errno == EINTR || errno == ENOBUFS)));
}

static void *
run(void *arg)
{
	struct kept *k;
	bool done;

	(void)arg;
	do {
		done = true;
		drain(watch.fds[WATCH_FILTERS].fd);
		drain(watch.fds[WATCH_LINKS].fd);
		pthread_mutex_lock(&watch.lock);
		LIST_FOREACH (k, &watch.netdevs, next)
			done &= look(k);
		pthread_mutex_unlock(&watch.lock);
		/* The kernel tells of what was tried in vain, too: that is no reason to try at once. */
		if (done)
			poll(watch.fds, WATCH_FDS, LOOK_MS);
		else
			poll(&watch.fds[WATCH_STOP], 1, LOOK_MS);
	} while (watch.fds[WATCH_STOP].revents == 0);
	return NULL;
}

static int
listen_to(int protocol, unsigned int group)
{
	struct sockaddr_nl groups = {.nl_family = AF_NETLINK, .nl_groups = 1u << (group - 1)};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&groups, sizeof(groups)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

int
host_deaf_watch_start(void)
{
	int rc;

	watch.fds[WATCH_FILTERS].fd = listen_to(NETLINK_NETFILTER, NFNLGRP_NFTABLES);
	watch.fds[WATCH_LINKS].fd = listen_to(NETLINK_ROUTE, RTNLGRP_LINK);
	watch.fds[WATCH_STOP].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rc = watch.fds[WATCH_STOP].fd >= 0 ? 0 : -errno;
	for (unsigned int i = 0; i < WATCH_FDS; i++)
		watch.fds[i].events = POLLIN;
	if (rc == 0)
		rc = -pthread_create(&watch.thread, NULL, run, NULL);
	watch.running = rc == 0;
	if (rc == 0)
		pthread_setname_np(watch.thread, "cygnet-deaf");
	else
		LOG(ERR, "deaf netdevs cannot be watched: %s", strerror(-rc));
	return rc;
}

void
host_deaf_watch_stop(void)
{
	uint64_t one = 1;
	struct kept *k;

	if (!watch.running)
		return;
	if (write(watch.fds[WATCH_STOP].fd, &one, sizeof(one)) < 0)
		LOG(ERR, "deaf netdevs: eventfd: %s", strerror(errno));
	pthread_join(watch.thread, NULL);
	watch.running = false;
	for (unsigned int i = 0; i < WATCH_FDS; i++)
		if (watch.fds[i].fd >= 0)
			close(watch.fds[i].fd);
	while ((k = LIST_FIRST(&watch.netdevs)) != NULL) {
		LIST_REMOVE(k, next);
		free(k);
	}
}
