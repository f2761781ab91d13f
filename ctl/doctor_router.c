/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FULL_PERCENT 90

static json_int_t
number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void
version(struct doctor *d, const json_t *status)
{
	const char *v = list_str(status, "version");
	const char *refused = json_string_value(json_object_get(status, "refused_agent"));

	if (strcmp(v, CYGNET_VERSION) != 0)
		doctor_say(d, "version", DOCTOR_WRONG,
			"install all of one version, and restart router and charon",
			"the router is %s, cygnetctl is " CYGNET_VERSION, v);
	else if (refused != NULL)
		doctor_say(d, "version", DOCTOR_WRONG,
			"install all of one version, and restart router and charon",
			"the router is %s, and refused an agent of version %s", v, refused);
	else
		doctor_say(d, "version", DOCTOR_OK, NULL, "%s", v);
}

static void
owners(struct doctor *d, const json_t *status)
{
	bool complete = json_is_true(json_object_get(status, "policies_complete"));
	json_int_t lost = 0, orphans = 0;
	unsigned int alive = 0;
	const json_t *owner;
	size_t i;

	json_array_foreach (json_object_get(status, "owners"), i, owner) {
		bool lives = json_is_true(json_object_get(owner, "alive"));

		alive += lives;
		lost += lives ? number(owner, "lost_events") : 0;
		orphans += lives ? 0 : number(owner, "sas") + number(owner, "policies");
	}
	if (alive > 0)
		doctor_say(d, "backend", DOCTOR_OK, NULL, "a charon is connected");
	else if (complete && i == 0)
		doctor_say(d, "backend", DOCTOR_NOTE, NULL, "no charon; the configuration is all");
	else
		doctor_say(d, "backend", DOCTOR_WRONG,
			"start charon, and look for \"cygnet\" in its log; cygnet-agent must run",
			i == 0 ? "no charon has connected" : "charon or its agent is gone");
	if (orphans > 0)
		doctor_say(d, "orphans", DOCTOR_NOTE, "start charon: its SAs take their place",
			"%lld SAs and policies are those of a charon that is gone",
			(long long)orphans);
	if (lost > 0)
		doctor_say(d, "events", DOCTOR_NOTE,
			"if it goes on: charon is too slow, or stopped",
			"%lld events for charon were lost; states were compared", (long long)lost);
	if (!complete)
		doctor_say(d, "policies", DOCTOR_WRONG,
			"charon says when they are: see \"backend\"; without one, ipsec: "
			"{static-only: true}",
			"they are not complete: nothing is forwarded between ports");
	else
		doctor_say(d, "policies", DOCTOR_OK, NULL, "they are complete");
	if (json_is_true(json_object_get(status, "keep_keys")))
		doctor_say(d, "keys", DOCTOR_WRONG,
			"take ipsec.keep-keys out of the router's configuration when the captures "
			"are made",
			"the router keeps the keys of SAs for captures");
}

static void
full(struct doctor *d, const char *what, const char *key, json_int_t used, json_int_t limit)
{
	char advice[128];

	if (limit <= 0 || used * 100 < limit * FULL_PERCENT)
		return;
	snprintf(advice, sizeof(advice), "raise limits.%s in the router's configuration", key);
	doctor_say(d, "limits", DOCTOR_WRONG, advice, "%lld of %lld %s are in use", (long long)used,
		(long long)limit, what);
}

static void
limits(struct doctor *d, const json_t *status)
{
	const json_t *counts = json_object_get(status, "counts");
	const json_t *sas = json_object_get(counts, "sas"),
		     *policies = json_object_get(counts, "policies"),
		     *routes = json_object_get(counts, "routes"),
		     *hops = json_object_get(counts, "nexthops"),
		     *mbufs = json_object_get(counts, "mbufs");

	full(d, "SAs", "sas", number(sas, "live") + number(sas, "larval") + number(sas, "dying"),
		number(sas, "limit"));
	for (unsigned int i = 0; i < 3; i++)
		full(d, "policies", "policies",
			number(policies, (const char *[]){"in", "out", "fwd"}[i]),
			number(policies, "limit"));
	full(d, "routes", "routes", number(routes, "count"), number(routes, "limit"));
	full(d, "next hops", "nexthops", number(hops, "count"), number(hops, "limit"));
	full(d, "packet buffers", "mbufs", number(mbufs, "total") - number(mbufs, "free"),
		number(mbufs, "total"));
}

void
doctor_status(struct doctor *d, const json_t *status)
{
	doctor_say(d, "router", DOCTOR_OK, NULL, "%s runs, process %lld", list_str(status, "name"),
		(long long)number(status, "pid"));
	version(d, status);
	owners(d, status);
	limits(d, status);
}

void
doctor_lcores(struct doctor *d, const json_t *lcores)
{
	unsigned int shared = 0, open = 0, far = 0;
	json_int_t node = -1;
	const json_t *l, *other;
	size_t i, j;

	json_array_foreach (lcores, i, l) {
		bool same = false;

		if (strcmp(list_str(l, "role"), "control") == 0)
			continue;
		json_array_foreach (lcores, j, other)
			same |= j != i && number(other, "cpu") == number(l, "cpu");
		shared += same;
		open += !json_is_true(json_object_get(l, "isolated"));
		far += node >= 0 && number(l, "numa_node") != node;
		node = node >= 0 ? node : number(l, "numa_node");
	}
	if (shared > 0)
		doctor_say(d, "lcores", DOCTOR_NOTE,
			"give each worker and crypto lcore a cpu of its own",
			"%u of them share a cpu with another lcore", shared);
	if (open > 0)
		doctor_say(d, "isolation", DOCTOR_NOTE,
			"isolcpus= on the kernel's command line, or a cpuset partition",
			"the kernel runs other work on the cpus of %u workers or crypto lcores",
			open);
	else
		doctor_say(d, "isolation", DOCTOR_OK, NULL, "the lcores' cpus are theirs");
	if (far > 0)
		doctor_say(d, "NUMA", DOCTOR_NOTE,
			"keep a port, its workers and their crypto lcores on one node",
			"%u lcores are on another node than the first", far);
	else
		doctor_say(d, "NUMA", DOCTOR_OK, NULL, "workers and crypto lcores are on one node");
}

/* An interface of Linux; ioctl() sees the network namespace that we are in. */
static bool
netdev(const char *name, unsigned long what, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok;

	memset(ifr, 0, sizeof(*ifr));
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	ok = fd >= 0 && ioctl(fd, what, ifr) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool
has_address(const char *name)
{
	struct ifaddrs *all, *a;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (a = all; a != NULL; a = a->ifa_next)
		found |= strcmp(a->ifa_name, name) == 0 && a->ifa_addr != NULL &&
			 (a->ifa_addr->sa_family == AF_INET || a->ifa_addr->sa_family == AF_INET6);
	freeifaddrs(all);
	return found;
}

/* The interface under a port that Linux shares: Linux must hear and say nothing there. */
static void
under(struct doctor *d, const char *port, const char *name, json_int_t mtu)
{
	struct ifreq flags, size;

	if (!netdev(name, SIOCGIFFLAGS, &flags) || !netdev(name, SIOCGIFMTU, &size)) {
		doctor_say(d, "ports", DOCTOR_NOTE, "run this in the router's network namespace",
			"%s: its interface %s is not to be seen here", port, name);
		return;
	}
	if (!(flags.ifr_flags & IFF_UP))
		doctor_say(d, "ports", DOCTOR_WRONG, "ip link set it up",
			"%s: its interface %s is down", port, name);
	if (!(flags.ifr_flags & IFF_NOARP))
		doctor_say(d, "deaf ports", DOCTOR_WRONG,
			"something turned ARP on again (a network manager?): ip link set dev it "
			"arp off, "
			"and keep managers off it",
			"%s: Linux answers ARP on %s, beside the router", port, name);
	if (has_address(name))
		doctor_say(d, "deaf ports", DOCTOR_WRONG, "move the address to the port",
			"%s: %s has an address of its own: Linux sends there past every policy",
			port, name);
	if (size.ifr_mtu < mtu)
		doctor_say(d, "MTU", DOCTOR_WRONG,
			"make them equal: mtu of the port, or ip link set mtu",
			"%s believes in %lld bytes, and its interface %s takes %d: larger packets "
			"vanish",
			port, (long long)mtu, name, size.ifr_mtu);
}

static void
tap(struct doctor *d, const char *port, json_int_t ifindex)
{
	struct ifreq flags;

	if (ifindex == 0 || !netdev(port, SIOCGIFFLAGS, &flags)) {
		doctor_say(d, "taps", DOCTOR_WRONG, "restart the router, which makes it",
			"%s: its tap is not there: no ARP, no IKE", port);
		return;
	}
	if (!(flags.ifr_flags & IFF_UP))
		doctor_say(
			d, "taps", DOCTOR_WRONG, "ip link set it up", "%s: its tap is down", port);
	else if ((json_int_t)if_nametoindex(port) != ifindex)
		doctor_say(d, "taps", DOCTOR_WRONG, "restart the router",
			"%s: an interface has its tap's name and is another", port);
}

/* Whether that process is in another network namespace, where taps and interfaces are not the ones that we see. */
static bool
elsewhere(const struct doctor *d, json_int_t pid)
{
	char path[512], ours[64], its[64];
	ssize_t n, m;

	snprintf(path, sizeof(path), "%s/proc/self/ns/net", d->root);
	n = readlink(path, ours, sizeof(ours));
	snprintf(path, sizeof(path), "%s/proc/%lld/ns/net", d->root, (long long)pid);
	m = readlink(path, its, sizeof(its));
	return n > 0 && m > 0 && (n != m || memcmp(ours, its, n) != 0);
}

void
doctor_ports(struct doctor *d, const json_t *ports, json_int_t pid)
{
	bool hidden = elsewhere(d, pid);
	unsigned int before = d->wrong;
	char advice[64];
	const json_t *p;
	size_t i;

	json_array_foreach (ports, i, p) {
		const char *name = list_str(p, "name");
		const char *dev = json_string_value(json_object_get(p, "netdev"));
		const char *driver = list_str(p, "driver");

		if (strcmp(list_str(json_object_get(p, "link"), "state"), "up") != 0)
			doctor_say(d, "ports", DOCTOR_WRONG,
				"the cable, the switch, or the other end", "%s: no link", name);
		if (json_is_false(json_object_get(p, "deaf")))
			doctor_say(d, "deaf ports", DOCTOR_WRONG,
				"see the router's log: it makes the filter anew within a second, "
				"and says "
				"why not",
				"%s: Linux hears what comes in by %s: clear packets pass beside "
				"every policy",
				name, dev != NULL ? dev : "its interface");
		if (hidden)
			continue;
		tap(d, name, number(p, "tap_ifindex"));
		if (dev != NULL && (strstr(driver, "af_packet") || strstr(driver, "af_xdp")))
			under(d, name, dev, number(p, "mtu"));
	}
	snprintf(advice, sizeof(advice), "nsenter -t %lld -n cygnetctl doctor", (long long)pid);
	if (hidden)
		doctor_say(d, "ports", DOCTOR_NOTE, advice,
			"their taps and interfaces are in another network namespace, the router's: "
			"not looked at");
	else if (d->wrong == before)
		doctor_say(d, "ports", DOCTOR_OK, NULL, "%zu, with their taps", i);
}
