/* SPDX-License-Identifier: BSD-3-Clause */
#include "router.h"

#include "router_audit.h"
#include "router_sas.h"
#include "sqn_store.h"

#include "crypto.h"
#include "lcores.h"
#include "log.h"
#include "metrics.h"
#include "notify.h"
#include "ports.h"
#include "reload.h"
#include "telemetry.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_random.h>
#include <rte_ring_elem.h>

#define MBUF_CACHE 512
#define MAPPINGS 256 /* a power of two */
#define TICK_US 100000
#define RCU_TICK_US 2000

static int
create_mbufs(struct router *r)
{
	unsigned int room = config_packet_room(r->config);

	r->mbufs = rte_pktmbuf_pool_create("mbufs", r->config->limits.mbufs, MBUF_CACHE,
		RTE_ALIGN(sizeof(struct pkt), RTE_MBUF_PRIV_ALIGN), room + RTE_PKTMBUF_HEADROOM,
		(int)rte_socket_id());
	if (r->mbufs == NULL)
		LOG(ERR, "not enough memory for %u packet buffers of %u bytes",
			r->config->limits.mbufs, room);
	return r->mbufs != NULL ? 0 : -ENOMEM;
}

static uint16_t
path_mtu(void *ctx, const struct ip_addr *dst)
{
	struct router *r = ctx;

	return fib_nh_mtu(r->fib, fib_lookup(r->fib, dst));
}

static int
create_tables(struct router *r)
{
	const struct config *config = r->config;
	const struct sad_conf sad = {.max_sas = config->limits.sas,
		.spi_min = ROUTER_SPI_MIN,
		.spi_max = ROUTER_SPI_MAX,
		.workers = r->n_workers,
		.keep_keys = config->keep_keys,
		.rcu = r->rcu,
		.path_mtu = path_mtu,
		.path_ctx = r};
	const struct fib_conf fib = {.max_routes = config->limits.routes,
		.max_nexthops = config->limits.nexthops,
		.rcu = r->rcu};
	struct sad_crypto ops = crypto_sad_ops(r->crypto);

	if (config->keep_keys)
		LOG(WARNING, "ipsec.keep-keys is insecure: the keys of SAs stay readable for "
			     "whoever may "
			     "capture");

	r->fib = fib_create(&fib);
	r->sad = r->fib != NULL ? sad_create(&sad, &ops) : NULL;
	r->spd = r->sad != NULL ? spd_create(config->limits.policies, r->rcu) : NULL;
	r->sqn_store = r->spd != NULL ? sqn_store_create(r->sad) : NULL;
	return r->sqn_store != NULL ? 0 : -ENOMEM;
}

static void
free_sockets(void *ctx, void *obj)
{
	(void)ctx;
	rte_free(obj);
}

int
router_set_sockets(struct router *r, const struct worker_sockets *s)
{
	struct worker_sockets *new = rte_malloc("sockets", sizeof(*new), 0), *old = r->sockets;

	if (new == NULL)
		return -ENOMEM;
	*new = *s;
	atomic_store_explicit(&r->sockets, new, memory_order_release);
	if (old != NULL)
		rcu_defer(r->rcu, free_sockets, NULL, old);
	return 0;
}

static unsigned int
crypto_lcores(const struct config *config)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < config->n_lcores; i++)
		n += config->lcores[i].role ==
		     (config->crypto.mode == CRYPTO_INLINE ? ROLE_WORKER : ROLE_CRYPTO);
	return n;
}

static int
start_host(struct router *r)
{
	struct host_port ports[CONFIG_MAX_PORTS] = {0};
	struct host_conf conf = {.router = r->config->name,
		.ports = ports,
		.n_ports = r->config->n_ports,
		.base = r->base,
		.fib = r->fib,
		.mbufs = r->mbufs,
		.punt_rate = r->config->limits.punt_rate,
		.cpu = -1};
	struct rte_ether_addr mac;

	for (unsigned int i = 0; i < conf.n_ports; i++) {
		const struct config_port *cp = &r->config->ports[i];

		if (rte_eth_macaddr_get(ports_device(r, i), &mac) != 0)
			return -ENODEV;
		ports[i] = (struct host_port){.name = cp->name,
			.router = r->config->name,
			.mtu = cp->mtu,
			.port_id = r->port_ids[i],
			.addrs = cp->addrs,
			.plens = cp->plens,
			.n_addrs = cp->n_addresses};
		memcpy(ports[i].mac, &mac, sizeof(ports[i].mac));
	}
	r->host = host_start(&conf);
	return r->host != NULL ? 0 : -EIO;
}

static void
expired(void *ctx, uint32_t slot, bool hard)
{
	struct router *r = ctx;

	if (hard)
		spd_unbind_sa(r->spd, r->sad, slot);
	channel_expire(r->channel, slot, hard);
}

/* RFC 4301, 8.2.1. One line a change: what is told again is not less. */
static void
learn_path_mtus(struct router *r)
{
	char peer[ADDR_STRLEN], by[ADDR_STRLEN];
	struct sa_path_mtu told;

	while (rte_ring_sc_dequeue_elem(r->path_mtus, &told, sizeof(told)) == 0)
		if (sad_learn_mtu(r->sad, &told))
			LOG(INFO, "SA 0x%08x: the path to %s carries %u bytes, says %s",
				rte_be_to_cpu_32(told.spi),
				addr_str(&sad_cold(r->sad, told.slot)->conf.dst, peer), told.mtu,
				addr_str(&told.by, by));
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct router *r = arg;

	struct sa_mapping m;

	(void)fd;
	(void)what;
	sad_tick(r->sad, expired, r);
	sqn_store_tick(r->sqn_store);
	router_audit(r);
	while (rte_ring_sc_dequeue_elem(r->mappings, &m, sizeof(m)) == 0)
		channel_mapping(r->channel, &m);
	learn_path_mtus(r);
	channel_tick(r->channel);
}

static void
on_rcu_tick(evutil_socket_t fd, short what, void *arg)
{
	struct router *r = arg;

	(void)fd;
	(void)what;
	rcu_poll(r->rcu);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct router *r = arg;

	(void)what;
	LOG(NOTICE, "%s: ending", sig == SIGTERM ? "SIGTERM" : "SIGINT");
	event_base_loopbreak(r->base);
}

static void
on_hangup(evutil_socket_t sig, short what, void *arg)
{
	int rc = reload_start(arg, 0, NULL);

	(void)sig;
	(void)what;
	if (rc < 0)
		LOG(ERR, "SIGHUP: %s", rc == -EBUSY ? "a reload runs already" : strerror(-rc));
}

static void
mask_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(how, &set, NULL);
}

void
router_hold_signals(void)
{
	mask_signals(SIG_BLOCK);
}

static int
add_events(struct router *r)
{
	const struct timeval tick = {.tv_usec = TICK_US}, rcu = {.tv_usec = RCU_TICK_US};

	r->events[0] = evsignal_new(r->base, SIGTERM, on_signal, r);
	r->events[1] = evsignal_new(r->base, SIGINT, on_signal, r);
	r->events[2] = event_new(r->base, -1, EV_PERSIST, on_tick, r);
	r->events[3] = event_new(r->base, -1, EV_PERSIST, on_rcu_tick, r);
	r->events[4] = evsignal_new(r->base, SIGHUP, on_hangup, r);
	for (unsigned int i = 0; i < RTE_DIM(r->events); i++)
		if (r->events[i] == NULL)
			return -ENOMEM;
	event_add(r->events[0], NULL);
	event_add(r->events[1], NULL);
	event_add(r->events[2], &tick);
	event_add(r->events[3], &rcu);
	event_add(r->events[4], NULL);
	return 0;
}

int
router_start(struct router *r, struct config *config)
{
	const struct worker_sockets none = {0};
	int rc = -ENOMEM;

	memset(r, 0, sizeof(*r));
	r->config = config;
	rte_log_set_level(cygnet_logtype, config->log_level);
	r->epoch = rte_rand() | 1;
	r->base = event_base_new();
	r->rcu = rcu_create();
	if (r->base == NULL || r->rcu == NULL || router_set_sockets(r, &none) < 0) {
		LOG(ERR, "not enough memory");
		return rc;
	}
	rc = create_mbufs(r);
	if (rc == 0 && (r->audit.ring = rte_ring_create_elem("audit", sizeof(struct audit_event),
				AUDIT_RING, (int)rte_socket_id(), RING_F_SC_DEQ)) == NULL)
		rc = -ENOMEM;
	if (rc == 0 && (r->mappings = rte_ring_create_elem("mappings", sizeof(struct sa_mapping),
				MAPPINGS, (int)rte_socket_id(), RING_F_SC_DEQ)) == NULL)
		rc = -ENOMEM;
	if (rc == 0 && (r->path_mtus = rte_ring_create_elem("path_mtus", sizeof(struct sa_path_mtu),
				MAPPINGS, (int)rte_socket_id(), RING_F_SC_DEQ)) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		r->crypto = crypto_create(config, crypto_lcores(config), config->limits.sas + 64);
		rc = r->crypto != NULL ? lcores_create(r, r->crypto) : -ENODEV;
	}
	if (rc == 0)
		rc = create_tables(r);
	if (rc == 0)
		rc = ports_start(r);
	if (rc == 0)
		rc = host_deaf_watch_start();
	if (rc == 0)
		rc = start_host(r);
	if (rc == 0)
		rc = router_add_static_sas(r);
	if (rc == 0)
		rc = router_add_static_policies(r);
	if (rc == 0)
		rc = lcores_connect(r);
	if (rc == 0)
		rc = lcores_launch(r);
	if (rc == 0)
		rc = add_events(r);
	if (rc == 0 && (r->channel = channel_start(r)) == NULL)
		rc = -EIO;
	if (rc == 0 && (r->ctl = ctl_start(r)) == NULL)
		rc = -EIO;
	if (rc == 0 && config->metrics.address != NULL &&
		(r->metrics = metrics_start(r->ctl, config->metrics.address, config->metrics.port,
			 config->metrics.vici)) == NULL)
		rc = -EIO;
	if (rc == 0)
		telemetry_start(r);
	return rc;
}

void
router_run(struct router *r)
{
	r->notify = notify_ready(r->base, r->config->name);
	/* One that came while it started is heard now. Other threads leave them to this one. */
	mask_signals(SIG_UNBLOCK);
	event_base_dispatch(r->base);
	/* A further one changes nothing: it would find no handler soon, and leave the files with keys. */
	mask_signals(SIG_BLOCK);
	notify_stopping();
}

/* Traffic stops first; then those who could change tables; then what waits for a grace period, tables last. */
void
router_stop(struct router *r)
{
	if (r->lcores != NULL)
		lcores_stop(r);
	reload_stop(r);
	telemetry_stop();
	notify_free(r->notify);
	metrics_stop(r->metrics);
	ctl_stop(r->ctl);
	channel_stop(r->channel);
	host_stop(r->host);
	if (r->lcores != NULL)
		lcores_destroy(r);
	sqn_store_destroy(r->sqn_store);
	host_deaf_watch_stop();
	ports_stop(r);
	if (r->rcu != NULL)
		rcu_flush(r->rcu);
	fib_destroy(r->fib);
	spd_destroy(r->spd);
	sad_destroy(r->sad);
	crypto_destroy(r->crypto);
	rte_mempool_free(r->mbufs);
	rte_free(r->sockets);
	rte_ring_free(r->mappings);
	rte_ring_free(r->path_mtus);
	rte_ring_free(r->audit.ring);
	rcu_destroy(r->rcu);
	for (unsigned int i = 0; i < RTE_DIM(r->events); i++)
		if (r->events[i] != NULL)
			event_free(r->events[i]);
	if (r->base != NULL)
		event_base_free(r->base);
}
