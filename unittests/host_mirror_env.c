/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_mirror.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

struct fib *fib;
struct rcu *rcu;
struct host *host;
struct host_conf conf;
struct event_base *base;
struct rte_mempool *mbufs;

static struct event *ev_rcu;

static struct ip_addr addrs[2];
static const uint8_t plens[2] = {24, 24};
static struct host_port ports[2] = {
	{.name = "cyg0", .mac = {2, 0, 0, 0, 0, 1}, .mtu = 1500, .port_id = 0},
	{.name = "cyg1", .mac = {2, 0, 0, 0, 0, 2}, .mtu = 9000, .port_id = 3},
};

void
run(const char *fmt, ...)
{
	char command[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	ck_assert_int_lt(n, (int)sizeof(command));
	ck_assert_msg(system(command) == 0, "failed: %s", command);
}

/* No lcore runs: a grace period is over at once. */
static void
poll_rcu(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	(void)ctx;
	rcu_poll(rcu);
}

void
mirror_setup(void)
{
	static const struct timeval tick = {0, 5000};
	char *argv[] = {"test", "--no-huge", "-m", "512", "--no-pci", "--no-shconf",
		"--no-telemetry", "--lcores", "0", "--log-level", "lib.*:error", NULL};
	struct fib_conf fc = {.max_routes = 4000, .max_nexthops = 1024};

	ck_assert_msg(unshare(CLONE_NEWNET) == 0, "unshare: %s", strerror(errno));
	run("ip link set lo up");
	ck_assert_int_ge(rte_eal_init(RTE_DIM(argv) - 1, argv), 0);
	rcu = fc.rcu = rcu_create();
	fib = fib_create(&fc);
	base = event_base_new();
	mbufs = rte_pktmbuf_pool_create("mbufs", 4096, 0, RTE_ALIGN(sizeof(struct pkt), 8),
		RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	ck_assert(rcu != NULL && fib != NULL && base != NULL && mbufs != NULL);
	ev_rcu = event_new(base, -1, EV_PERSIST, poll_rcu, NULL);
	event_add(ev_rcu, &tick);
	addrs[0] = ip("192.0.2.1");
	addrs[1] = ip("198.51.100.1");
	for (unsigned int i = 0; i < 2; i++) {
		ports[i].router = "test";
		ports[i].addrs = &addrs[i];
		ports[i].plens = &plens[i];
		ports[i].n_addrs = 1;
	}
	conf = (struct host_conf){.router = "test",
		.ports = ports,
		.n_ports = 2,
		.base = base,
		.fib = fib,
		.mbufs = mbufs,
		.punt_rate = 100,
		.cpu = -1};
	host = host_start(&conf);
	ck_assert_ptr_nonnull(host);
}

void
mirror_teardown(void)
{
	host_stop(host);
	/* Every mbuf came back. */
	ck_assert_uint_eq(rte_mempool_in_use_count(mbufs), 0);
	rcu_destroy(rcu);
	fib_destroy(fib);
	event_free(ev_rcu);
	event_base_free(base);
	rte_mempool_free(mbufs);
	rte_eal_cleanup();
}

void
turn(unsigned int ms)
{
	const struct timeval t = {ms / 1000, ms % 1000 * 1000};

	event_base_loopexit(base, &t);
	event_base_dispatch(base);
}

struct ip_addr
ip(const char *text)
{
	struct ip_addr a;

	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

uint32_t
nh_index(const char *addr)
{
	struct ip_addr a = ip(addr);

	return fib_lookup(fib, &a);
}

struct nexthop *
nh_of(const char *addr)
{
	return fib_nh(fib, nh_index(addr));
}

bool
goes(const char *addr, enum nh_type type)
{
	return nh_of(addr)->type == type;
}

bool
goes_port(const char *addr, enum nh_type type, uint16_t port)
{
	return goes(addr, type) && nh_of(addr)->port == port;
}

bool
goes_to(const char *addr, const char *neighbour, uint16_t port)
{
	struct ip_addr a = ip(neighbour);

	return goes_port(addr, NH_ADJ, port) && addr_equal(&nh_of(addr)->addr, &a);
}

bool
resolved(const char *addr, const char *mac)
{
	struct rte_ether_addr want;

	ck_assert_int_eq(rte_ether_unformat_addr(mac, &want), 0);
	return nh_of(addr)->resolved && memcmp(nh_of(addr)->eth, &want, 6) == 0;
}
