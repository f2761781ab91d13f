/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_UNITTESTS_CHANNEL_WORLD_H
#define CYGNET_UNITTESTS_CHANNEL_WORLD_H

#include "channel_core.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_malloc.h>

/*
 * What the channel's core works on, for its tests: real SAD and SPD, a crypto device that keeps the key
 * it was given, a clock that is set, and a queue of events whose size is set.
 */

#define EPOCH 0x1122334455667788ull
#define BUILD "0.1.0"
#define OWNER_A 0xaull
#define OWNER_B 0xbull
#define MAX_EVENTS 2048

static struct {
	struct channel_core *c;
	struct rcu *rcu;
	struct ike_key_slot slots[IKE_KEY_SLOTS];
	uint64_t now;
	int watched[CHANNEL_MAX_OWNERS];
	int watch_rc;
	struct worker_sockets sockets;
	struct ike_msg events[MAX_EVENTS];
	unsigned int n_events, max_events;
	uint8_t key[SA_KEY_MAX]; /* that the crypto device got last */
	unsigned int sessions;
} w;

static inline uint64_t
world_now(void *ctx)
{
	(void)ctx;
	return w.now;
}

static inline int
world_watch(void *ctx, unsigned int entry, int pid)
{
	(void)ctx;
	if (pid != 0 && w.watch_rc < 0)
		return w.watch_rc;
	w.watched[entry] = pid;
	return 0;
}

static inline int
world_sockets(void *ctx, const struct worker_sockets *s)
{
	(void)ctx;
	w.sockets = *s;
	return 0;
}

static inline unsigned int
world_room(void *ctx)
{
	(void)ctx;
	return w.max_events - w.n_events;
}

static inline bool
world_emit(void *ctx, const struct ike_msg *event)
{
	(void)ctx;
	if (w.n_events == w.max_events)
		return false;
	w.events[w.n_events++] = *event;
	return true;
}

static const struct channel_ops world_ops = {
	.now = world_now,
	.watch = world_watch,
	.set_sockets = world_sockets,
	.room = world_room,
	.emit = world_emit,
};

static inline int
session_create(void *ctx, struct sa *sa, const struct sa_conf *conf, const uint8_t *key)
{
	(void)ctx;
	memcpy(w.key, key, conf->enc_key_len + conf->int_key_len);
	sa->session = &w;
	w.sessions++;
	return 0;
}

static inline void
session_destroy(void *ctx, struct sa *sa)
{
	(void)ctx;
	sa->session = NULL;
	w.sessions--;
}

/* A router that has just started, on the tables that are there. */
static inline void
world_core(uint32_t spi_min, uint32_t spi_max)
{
	w.now = 1000 * CHANNEL_NSEC;
	w.max_events = MAX_EVENTS;
	w.c->slots = w.slots;
	w.c->ops = &world_ops;
	w.c->build = BUILD;
	w.c->epoch = EPOCH;
	w.c->spi_min = spi_min;
	w.c->spi_max = spi_max;
	w.c->max_policies = 256;
	w.c->policies_timeout = 30;
	w.c->orphan_grace = 60;
	channel_core_init(w.c);
}

static inline void
world_setup(void)
{
	static const struct sad_crypto crypto = {session_create, session_destroy, NULL};
	struct sad_conf conf = {
		.max_sas = 256, .spi_min = 0xc0000000, .spi_max = 0xcfffffff, .workers = 1};

	memset(&w, 0, sizeof(w));
	w.c = calloc(1, sizeof(*w.c));
	w.rcu = conf.rcu = rcu_create();
	w.c->sad = sad_create(&conf, &crypto);
	w.c->spd = spd_create(256, w.rcu);
	ck_assert_ptr_nonnull(w.c->sad);
	ck_assert_ptr_nonnull(w.c->spd);
	world_core(conf.spi_min, conf.spi_max);
}

static inline void
world_teardown(void)
{
	/* No lcore runs: what was deferred may go at once, while its table is still there. */
	for (int i = 0; i < 4; i++)
		rcu_poll(w.rcu);
	sad_destroy(w.c->sad);
	spd_destroy(w.c->spd);
	rcu_destroy(w.rcu);
	free(w.c);
}

/* The same after world_teardown() and world_setup(), but for a generation of the SPIs, in a hundredth of the time. */
static inline void
world_reset(void)
{
	struct channel_core old = {
		.sad = w.c->sad, .spd = w.c->spd, .spi_min = w.c->spi_min, .spi_max = w.c->spi_max};
	struct spd_cursor cursor = {0};
	struct spd_policy *p;

	while (spd_page(old.spd, &cursor, &p, 1) == 1)
		ck_assert_int_eq(spd_del(old.spd, &p->conf), 0);
	spd_set_complete(old.spd, false);
	for (uint32_t slot = 0; slot < sad_slots(old.sad); slot++)
		sad_del(old.sad, slot); /* -ENOENT: nothing is there, or what was deleted already */
	sad_end_retired(old.sad, UINT64_MAX);
	for (int i = 0; i < 4; i++)
		rcu_poll(w.rcu);
	ck_assert_uint_eq(sad_count(old.sad, SA_FREE), sad_slots(old.sad));
	*w.c = old;
	memset(w.slots, 0, sizeof(w.slots));
	memset(w.watched, 0, sizeof(w.watched));
	memset(&w.sockets, 0, sizeof(w.sockets));
	w.watch_rc = 0;
	w.n_events = 0;
	world_core(old.spi_min, old.spi_max);
}

static inline void
addr(struct ike_addr *a, const char *s)
{
	memset(a, 0, sizeof(*a));
	a->family = 4;
	ck_assert_int_eq(inet_pton(AF_INET, s, a->b), 1);
}

static inline struct ike_msg
request(uint16_t type, uint64_t owner)
{
	static uint32_t seq;
	struct ike_msg m = {0};

	m.hdr = (struct ike_hdr){
		.magic = IKE_WIRE_MAGIC,
		.version = IKE_WIRE_VERSION,
		.type = type,
		.len = ike_msg_len(type),
		.seq = ++seq,
		.epoch = type == IKE_HELLO ? 0 : EPOCH,
		.owner = owner,
	};
	return m;
}

/* Sends it as the transport would; returns the status, and the whole reply in *reply when that is given. */
static inline int
ask(const struct ike_msg *m, struct ike_msg *reply)
{
	struct ike_msg out;

	ck_assert_int_eq(channel_check(m, m->hdr.len), 0);
	channel_request(w.c, m, w.now, &out);
	ck_assert_uint_eq(out.hdr.magic, IKE_WIRE_MAGIC);
	ck_assert_uint_eq(out.hdr.type, m->hdr.type);
	ck_assert_uint_eq(out.hdr.seq, m->hdr.seq);
	ck_assert_uint_eq(out.hdr.len, ike_reply_len(m->hdr.type));
	ck_assert_uint_eq(out.hdr.epoch, EPOCH);
	if (reply != NULL)
		*reply = out;
	return out.hdr.status;
}

static inline int
say_hello(uint64_t owner, int pid)
{
	struct ike_msg m = request(IKE_HELLO, owner);

	strcpy(m.body.hello.build, BUILD);
	m.body.hello.pid = pid;
	return ask(&m, NULL);
}

static inline int
say(uint16_t type, uint64_t owner)
{
	struct ike_msg m = request(type, owner);

	return ask(&m, NULL);
}

#define KEY_LEN 36 /* AES-GCM-256 with its salt */

static inline void
fill_slot(unsigned int slot, uint8_t seed)
{
	w.slots[slot].claimer = 100; /* the agent of most tests */
	w.slots[slot].len = KEY_LEN;
	for (unsigned int i = 0; i < KEY_LEN; i++)
		w.slots[slot].key[i] = seed + i;
}

static inline bool
slot_is_wiped(unsigned int slot)
{
	for (unsigned int i = 0; i < IKE_KEY_MAX; i++)
		if (w.slots[slot].key[i] != 0)
			return false;
	return w.slots[slot].len == 0;
}

static inline struct ike_msg
sa_request(uint64_t owner, uint8_t dir, uint32_t spi, uint32_t reqid, const char *dst)
{
	struct ike_msg m = request(IKE_ADD_SA, owner);

	m.body.add_sa = (struct ike_msg_add_sa){
		.id = {.spi = spi, .reqid = reqid, .proto = 50},
		.enc_alg = ENCR_AES_GCM_16,
		.enc_key_len = KEY_LEN,
		.replay_window = dir == IKE_DIR_IN ? 64 : 0,
		.dir = dir,
		.mode = IKE_MODE_TUNNEL,
		.key_slot = 3,
	};
	addr(&m.body.add_sa.id.src, "192.0.2.77");
	addr(&m.body.add_sa.id.dst, dst);
	return m;
}

static inline int
add_sa(uint64_t owner, uint8_t dir, uint32_t spi, uint32_t reqid, const char *dst)
{
	struct ike_msg m = sa_request(owner, dir, spi, reqid, dst);

	fill_slot(3, 1);
	return ask(&m, NULL);
}

static inline struct ike_msg
policy_request(uint16_t type, uint64_t owner, uint8_t dir, const char *net, uint32_t spi,
	uint32_t reqid, const char *peer)
{
	struct ike_msg m = request(type, owner);

	m.body.policy = (struct ike_msg_policy){
		.sel = {.src_plen = 16, .dst_plen = 16, .src_port_hi = 65535, .dst_port_hi = 65535},
		.spi = spi,
		.reqid = reqid,
		.priority = 1000,
		.dir = dir,
		.action = IKE_PROTECT,
		.mode = IKE_MODE_TUNNEL,
		.proto = 50,
	};
	addr(&m.body.policy.sel.src, "10.1.0.0");
	addr(&m.body.policy.sel.dst, net);
	addr(&m.body.policy.src, "192.0.2.77");
	addr(&m.body.policy.dst, peer);
	return m;
}

static inline int
add_policy(uint64_t owner, uint8_t dir, const char *net, uint32_t spi, uint32_t reqid)
{
	struct ike_msg m = policy_request(IKE_ADD_POLICY, owner, dir, net, spi, reqid, "192.0.2.1");

	return ask(&m, NULL);
}

/* The policy with that destination, or NULL. */
static inline struct spd_policy *
policy(enum spd_dir dir, const char *net)
{
	struct spd_policy_conf conf = {
		.sel = {.src_plen = 16, .dst_plen = 16, .src_port_hi = 65535, .dst_port_hi = 65535},
		.dir = dir,
	};

	addr_parse("10.1.0.0", &conf.sel.src);
	addr_parse(net, &conf.sel.dst);
	return spd_find_next(w.c->spd, &conf, NULL);
}

/* SPI in host order of the SA that an OUT policy uses; 0: none. */
static inline uint32_t
bound_spi(const char *net)
{
	struct spd_policy *p = policy(SPD_OUT, net);

	ck_assert_ptr_nonnull(p);
	return p->sa == SPD_NO_SA ? 0 : ntohl(sad_cold(w.c->sad, p->sa)->conf.spi);
}

static inline bool
sa_is_there(uint8_t dir, uint32_t spi, const char *dst)
{
	struct ip_addr a;
	uint32_t slot;

	addr_parse(dst, &a);
	return sad_find(w.c->sad, dir, 50, htonl(spi), &a, &slot) == 0;
}

static inline void
pass(unsigned int seconds)
{
	w.now += seconds * CHANNEL_NSEC;
	channel_core_tick(w.c);
}

static inline unsigned int
count_events(uint16_t type)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < w.n_events; i++)
		n += w.events[i].hdr.type == type;
	return n;
}

static inline int
run_suite(Suite *s)
{
	char *args[] = {"test", "--no-huge", "-m", "256", "--no-pci", "--no-shconf",
		"--no-telemetry", "-l", "0", "--log-level", "lib.eal:error", "--log-level",
		"cygnet:emerg"};
	SRunner *runner;
	int failed;

	if (rte_eal_init(RTE_DIM(args), args) < 0)
		return 1;
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	rte_eal_cleanup();
	return failed != 0;
}

#endif
