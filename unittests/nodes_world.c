/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"
#include "lcores.h"
#include "nodes.h"
#include "ports.h"
#include "sad_lookup.h"
#include "walk.h"

#include <stdlib.h>
#include <sys/eventfd.h>

#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>

#define MBUFS 4095
#define RING 1024

struct world world;

/* Without its own leaks, EAL's would be seen in each test's process. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:librte_\nleak:libcrypto\n";
}

/* The host thread's ends, for graph/lcores.c. */
void
host_punt(struct host *host, struct worker_punt *punt)
{
	(void)host;
	memcpy(punt->ring, world.punt, sizeof(punt->ring));
	punt->eventfd = world.eventfd;
	punt->asleep = &world.asleep;
}

struct rte_ring *
host_rx_ring(struct host *host, uint16_t port_id)
{
	(void)host;
	return port_id == VLAN_PORT ? world.vlan_host_rx : world.host_rx[port_id];
}

struct rte_ring *
host_neigh_ring(struct host *host)
{
	(void)host;
	return world.neigh;
}

static struct rte_ring *
ring(const char *what, unsigned int i, unsigned int k)
{
	char name[RTE_RING_NAMESIZE];
	struct rte_ring *r;

	snprintf(name, sizeof(name), "%s-%u-%u", what, i, k);
	r = rte_ring_create(name, RING, 0, 0);
	ck_assert_ptr_nonnull(r);
	return r;
}

static void
configure(const struct world_conf *conf)
{
	static const char *const names[PORTS] = {"lan", "wan", "dmz"};
	static const char *const addrs[PORTS][2] = {
		{"10.1.0.1", LAN6}, {US, US6}, {"10.3.0.1", DMZ6}};
	static char *devices[] = {
		"native", "crypto_aesni_gcm", "crypto_aesni_mb", "crypto_openssl"};
	static char devargs[PORTS][32];
	static struct config_lcore lcores[8];
	static struct config_port ports[PORTS + 1];
	static struct ip_addr addresses[PORTS][2];
	static uint8_t plens[2] = {24, 64};
	static unsigned int workers[WORKERS_MAX] = {0, 1};
	struct config *c = &world.c;

	c->path = "nodes";
	for (unsigned int i = 0; i < conf->workers + conf->crypto_lcores; i++)
		lcores[i] =
			(struct config_lcore){i, i, i < conf->workers ? ROLE_WORKER : ROLE_CRYPTO};
	c->lcores = lcores;
	c->n_lcores = conf->workers + conf->crypto_lcores;
	c->crypto.mode = conf->crypto_lcores == 0 ? CRYPTO_INLINE : CRYPTO_DEDICATED;
	c->crypto.devices = devices;
	c->crypto.n_devices = conf->every_device ? RTE_DIM(devices) : 2;
	c->crypto.frames = conf->frames;
	c->local_action = conf->discard ? DEFAULT_DISCARD : DEFAULT_BYPASS;
	c->limits.sas = 64;
	c->audit_rate = 5;
	c->path_mtu_discovery = true;
	c->limits.mbufs = MBUFS;
	c->limits.reassemblies = REASSEMBLIES;
	c->reassembly_timeout = 2;
	for (unsigned int i = 0; i < PORTS; i++) {
		for (unsigned int k = 0; k < 2; k++)
			addresses[i][k] = address(addrs[i][k]);
		snprintf(devargs[i], sizeof(devargs[i]), "net_ring_%s", names[i]);
		ports[i] = (struct config_port){.name = (char *)(uintptr_t)names[i],
			.devargs = devargs[i],
			.addrs = addresses[i],
			.plens = plens,
			.n_addresses = 2,
			.mtu = conf->mtu,
			.rx_queues = conf->workers,
			.workers = workers,
			.default_action = conf->discard ? DEFAULT_DISCARD : DEFAULT_BYPASS};
		for (unsigned int k = 0; k < conf->workers; k++) {
			world.rx[i][k] = ring("rx", i, k);
			world.tx[i][k] = ring("tx", i, k);
		}
		ck_assert_int_ge(rte_eth_from_rings(names[i], world.rx[i], conf->workers,
					 world.tx[i], conf->workers, 0),
			0);
		world.host_rx[i] = ring("host", i, 0);
	}
	c->ports = ports;
	c->n_ports = PORTS + (conf->vlan != 0);
	if (conf->vlan != 0) {
		ports[PORTS] = (struct config_port){.name = (char *)(uintptr_t) "wan.vlan",
			.vlan = conf->vlan,
			.parent = WAN,
			.mtu = conf->mtu,
			.default_action = conf->discard ? DEFAULT_DISCARD : DEFAULT_BYPASS};
		world.vlan_host_rx = ring("host-vlan", 0, 0);
	}
	for (unsigned int i = 0; i < PUNT_CLASSES; i++)
		world.punt[i] = ring("punt", i, 0);
	world.neigh = rte_ring_create_elem("neigh", sizeof(struct neigh_request), RING, 0, 0);
	world.r.audit.ring =
		rte_ring_create_elem("audit", sizeof(struct audit_event), AUDIT_RING, 0, 0);
	world.r.mappings = rte_ring_create_elem("mappings", sizeof(struct sa_mapping), 64, 0, 0);
	world.r.path_mtus = rte_ring_create_elem("path_mtus", sizeof(struct sa_path_mtu), 64, 0, 0);
	world.eventfd = eventfd(0, EFD_NONBLOCK);
}

static void
create_tables(struct router *r)
{
	struct sad_crypto ops = crypto_sad_ops(r->crypto);
	const struct sad_conf sad = {.max_sas = r->config->limits.sas,
		.spi_min = ROUTER_SPI_MIN,
		.spi_max = ROUTER_SPI_MAX,
		.workers = r->n_workers,
		.rcu = r->rcu};
	const struct fib_conf fib = {.max_routes = 1024, .max_nexthops = 256, .rcu = r->rcu};

	r->sad = sad_create(&sad, &ops);
	r->spd = spd_create(256, r->rcu);
	r->fib = fib_create(&fib);
	ck_assert(r->sad != NULL && r->spd != NULL && r->fib != NULL);
	spd_set_complete(r->spd, true);
}

/* Addresses, neighbours and routes of the picture in nodes.h. */
static void
fill_tables(unsigned int mtu)
{
	static const char *const locals[] = {"10.1.0.1", US, "10.3.0.1", LAN6, US6, DMZ6};

	local_addresses(locals, RTE_DIM(locals));
	for (unsigned int i = 0; i < RTE_DIM(locals); i++)
		route_to(locals[i], NH_LOCAL);
	route(HOST_A, neighbour(LAN, HOST_A, mtu, true));
	route(HOST_D, neighbour(DMZ, HOST_D, mtu, true));
	route(PEER, neighbour(WAN, PEER, mtu, true));
	route("10.2.0.0/16", neighbour(WAN, PEER, mtu, true));
	route(HOST6_A, neighbour(LAN, HOST6_A, mtu, true));
	route(HOST6_D, neighbour(DMZ, HOST6_D, mtu, true));
	route(PEER6, neighbour(WAN, PEER6, mtu, true));
	route("2001:db8:2::/48", neighbour(WAN, PEER6, mtu, true));
}

void
world_start(const struct world_conf *conf)
{
	struct router *r = &world.r;
	unsigned int room = RTE_MAX(conf->mtu + 256, 2048u) + RTE_PKTMBUF_HEADROOM;

	eal_megabytes = 192;
	eal_start();
	configure(conf);
	r->config = &world.c;
	r->rcu = rcu_create();
	r->sockets = &world.sockets;
	r->mbufs = rte_pktmbuf_pool_create(
		"mbufs", MBUFS, 0, RTE_ALIGN(sizeof(struct pkt), RTE_MBUF_PRIV_ALIGN), room, 0);
	ck_assert_ptr_nonnull(r->mbufs);
	r->crypto = crypto_create(
		&world.c, conf->crypto_lcores > 0 ? conf->crypto_lcores : conf->workers, 128);
	ck_assert_ptr_nonnull(r->crypto);
	ck_assert_int_eq(lcores_create(r, r->crypto), 0);
	create_tables(r);
	ck_assert_int_eq(ports_start(r), 0);
	ck_assert_int_eq(lcores_connect(r), 0);
	world.now = rte_rdtsc();
	for (unsigned int i = 0; i < r->n_lcores; i++) {
		struct worker *w = r->lcores[i];

		w->rcu = rcu_lcore(r->rcu, i);
		w->qsbr = rcu_qsbr(r->rcu);
		rte_rcu_qsbr_thread_register(w->qsbr, i);
		rte_rcu_qsbr_thread_online(w->qsbr, i);
		world.idle[i] = true;
		for (unsigned int p = 0; p < PORTS; p++)
			memcpy(w->port[p].mac, (uint8_t[]){2, 0, 0, 0, 0, p}, 6);
		memcpy(w->port[VLAN_PORT].mac, w->port[WAN].mac, 6);
	}
	fill_tables(conf->mtu);
}

static void
drain(struct rte_ring *r)
{
	struct rte_mbuf *m;

	while (r != NULL && rte_ring_dequeue(r, (void **)&m) == 0)
		rte_pktmbuf_free(m);
}

void
world_stop(void)
{
	struct router *r = &world.r;
	unsigned int free_buffers;

	for (unsigned int i = 0; i < PORTS; i++) {
		drain(world.host_rx[i]);
		for (unsigned int k = 0; k < WORKERS_MAX; k++) {
			drain(world.rx[i][k]);
			drain(world.tx[i][k]);
		}
	}
	drain(world.vlan_host_rx);
	for (unsigned int i = 0; i < PUNT_CLASSES; i++)
		drain(world.punt[i]);
	for (unsigned int i = 0; i < r->n_lcores; i++)
		rte_rcu_qsbr_thread_offline(r->lcores[i]->qsbr, i);
	lcores_destroy(r);
	free_buffers = rte_mempool_avail_count(r->mbufs);
	ck_assert_uint_eq(free_buffers, MBUFS);
	ports_stop(r);
	rcu_flush(r->rcu);
	fib_destroy(r->fib);
	spd_destroy(r->spd);
	sad_destroy(r->sad);
	crypto_destroy(r->crypto);
	rte_mempool_free(r->mbufs);
	rcu_destroy(r->rcu);
	rte_eal_cleanup();
}

void
world_open(void)
{
	const struct world_conf conf = {.workers = 1, .mtu = 1500, .frames = 16};

	world_start(&conf);
}

void
world_closed(void)
{
	const struct world_conf conf = {.workers = 1, .mtu = 1500, .frames = 16, .discard = true};

	world_start(&conf);
}

/* As worker_loop() does it. */
void
walk_lcore(unsigned int i)
{
	struct worker *w = worker(i);
	uint64_t work = w->work;

	w->now = world.now;
	w->seconds = world.now / w->tsc_hz;
	w->walks++;
	walk(w, world.idle[i]);
	walk_end(w);
	world.idle[i] = w->work == work;
}

void
walk_all(void)
{
	for (unsigned int i = 0; i < world.r.n_lcores; i++)
		walk_lcore(i);
	rcu_poll(world.r.rcu); /* the control thread's */
}

void
run(void)
{
	uint64_t before, after;

	for (unsigned int still = 0, rounds = 0; still < 3; rounds++) {
		ck_assert_uint_lt(rounds, 10000);
		before = after = 0;
		for (unsigned int i = 0; i < world.r.n_lcores; i++)
			before += worker(i)->work + worker(i)->crypto_queue.head;
		walk_all();
		for (unsigned int i = 0; i < world.r.n_lcores; i++)
			after += worker(i)->work + worker(i)->crypto_queue.head;
		still = before == after ? still + 1 : 0;
	}
}

void
wait_ms(unsigned int ms)
{
	world.now += ms * rte_get_tsc_hz() / 1000;
}

struct ip_addr
address(const char *s)
{
	struct ip_addr a;

	ck_assert_int_eq(addr_parse(s, &a), 0);
	return a;
}

uint32_t
addr4(const char *s)
{
	return address(s).v4;
}

uint32_t
neighbour(unsigned int port, const char *addr, unsigned int mtu, bool resolved)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, port}, theirs[6] = {2, 0, 0, 0, 1, port};
	struct ip_addr a = address(addr);
	uint32_t nh;

	ck_assert_int_eq(fib_nh_adj(world.r.fib, port, &a, mac, mtu, &nh), 0);
	if (resolved)
		fib_nh_resolve(world.r.fib, nh, theirs);
	return nh;
}

void
route(const char *prefix, uint32_t nh)
{
	struct ip_addr a;
	uint8_t plen;

	ck_assert_int_eq(addr_parse_prefix(prefix, &a, &plen), 0);
	ck_assert_int_eq(fib_route_set(world.r.fib, &a, plen, nh), 0);
}

void
route_to(const char *prefix, enum nh_type type)
{
	uint32_t nh;

	ck_assert_int_eq(fib_nh_new(world.r.fib, type, LAN, 1500, &nh), 0);
	route(prefix, nh);
}

void
local_addresses(const char *const *addrs, unsigned int n)
{
	struct ip_addr a[16];

	for (unsigned int i = 0; i < n; i++)
		a[i] = address(addrs[i]);
	ck_assert_int_eq(fib_local_set(world.r.fib, a, n), 0);
}

void
socket_add(const char *addr, uint16_t port, bool ike, bool decap)
{
	world.sockets.s[world.sockets.n++] =
		(struct worker_socket){address(addr), rte_cpu_to_be_16(port), ike, decap};
}

struct spd_policy *
policy(enum spd_dir dir, enum spd_action action, const char *selector, uint32_t reqid,
	const struct spd_selector *more)
{
	struct spd_policy_conf conf = {.sel = {.src_port_hi = 65535, .dst_port_hi = 65535},
		.reqid = reqid,
		.priority = 1000,
		.dir = dir,
		.action = action,
		.mode = SA_MODE_TUNNEL,
		.proto = IPPROTO_ESP};
	char src[64], dst[64];

	if (more != NULL) {
		conf.sel = *more;
		conf.priority = 500;
	}
	ck_assert_int_eq(sscanf(selector, "%63s > %63s", src, dst), 2);
	ck_assert_int_eq(addr_parse_prefix(src, &conf.sel.src, &conf.sel.src_plen), 0);
	ck_assert_int_eq(addr_parse_prefix(dst, &conf.sel.dst, &conf.sel.dst_plen), 0);
	ck_assert_int_eq(spd_add(world.r.spd, &conf, NULL), 0);
	return spd_find(world.r.spd, &conf);
}

void
tunnel_policies(uint32_t out_slot)
{
	spd_bind(world.r.spd,
		policy(SPD_OUT, SPD_PROTECT, "10.1.0.0/16 > 10.2.0.0/16", REQID, NULL), out_slot);
	policy(SPD_FWD, SPD_PROTECT, "10.2.0.0/16 > 10.1.0.0/16", REQID, NULL);
	policy(SPD_IN, SPD_PROTECT, "10.2.0.0/16 > 10.1.0.0/16", REQID, NULL);
}

uint32_t
sa(const struct sa_spec *spec)
{
	bool in = spec->dir == SA_DIR_IN;
	const struct test_key *key = spec->key != NULL ? spec->key : in ? &key_in : &key_out;
	struct ip_addr us = address(spec->local != NULL ? spec->local : spec->six ? US6 : US);
	struct ip_addr peer = address(spec->six ? PEER6 : PEER);
	uint32_t spi = spec->spi != 0 ? spec->spi : in ? SPI_IN : SPI_OUT, slot;
	struct sa_conf conf = {.src = in ? peer : us,
		.dst = in ? us : peer,
		.spi = rte_cpu_to_be_32(spi),
		.reqid = spec->reqid != 0 ? spec->reqid : REQID,
		.replay_window = spec->window,
		.flags = spec->flags | (spec->src_port != 0 ? IKE_SA_ENCAP : 0) |
			 (spec->six && !spec->plain_headers ? IKE_SA_COPY_DF | IKE_SA_COPY_DSCP_OUT
							    : 0),
		.fragment = spec->fragment,
		.dscp = spec->dscp,
		.ttl = spec->ttl,
		.label = spec->label,
		.src_port = rte_cpu_to_be_16(spec->src_port),
		.dst_port = rte_cpu_to_be_16(spec->dst_port),
		.enc_alg = spec->gmac ? ENCR_NULL_AUTH_AES_GMAC : ENCR_AES_GCM_16,
		.enc_key_len = key->len + 4,
		.dir = spec->dir,
		.mode = spec->transport ? SA_MODE_TRANSPORT : SA_MODE_TUNNEL,
		.proto = IPPROTO_ESP};
	const char *why;
	int rc = sad_add(world.r.sad, &conf, key->b, false, &slot, &why);

	ck_assert_msg(rc == 0, "SA: %s", why);
	sa_at(slot)->template[0].id = OUTER_ID;
	return slot;
}

struct sa *
sa_at(uint32_t slot)
{
	return (struct sa *)(uintptr_t)sad_hot(world.r.sad, slot);
}

void
tunnel(uint32_t flags, uint32_t window, uint32_t *in, uint32_t *out)
{
	*in = sa(&(struct sa_spec){.dir = SA_DIR_IN, .flags = flags, .window = window});
	*out = sa(&(struct sa_spec){.dir = SA_DIR_OUT, .flags = flags});
	tunnel_policies(*out);
}
