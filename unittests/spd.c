/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_test.h"

#define NET 0x0a010000
#define PEER 0x0a020000

START_TEST(ties)
{
	/* Four policies of one priority that all match, of four shapes. */
	struct spd_policy_conf a = policy(NET, 16, PEER, 16, 5), b = policy(NET, 24, PEER, 16, 5);
	struct spd_policy_conf c = policy(NET, 16, PEER, 24, 5), d = policy(NET, 24, PEER, 24, 5);
	struct spd_key key = packet(NET + 1, PEER + 1, 6, 1, 2);
	uint32_t id;

	a.reqid = 1;
	b.reqid = 2;
	id = must_add(&a);
	must_add(&c); /* newer, but no reqid */
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 1)->id, id);
	id = must_add(&b);
	must_add(&d);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 1)->id, id);
	id = must_add(&a); /* again: now it is the newest */
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 1)->id, id);
	d.priority = 4;
	id = must_add(&d);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 1)->id, id);
	ck_assert_uint_eq(spd_count(spd, SPD_OUT), 4);
	ck_assert_ptr_null(lookup_n(SPD_IN, &key, 64));
}
END_TEST

START_TEST(fragments_get_the_strictest)
{
	struct spd_policy_conf all = policy(NET, 16, PEER, 16, 50);
	struct spd_policy_conf web = with_ports(policy(NET, 16, PEER, 16, 10), 6, 80, 80);
	struct spd_policy_conf ssh = with_ports(policy(NET, 16, PEER, 16, 20), 6, 22, 22);
	struct spd_key whole = packet(NET + 1, PEER + 1, 6, 4000, 443), later = whole;
	uint32_t id_all, id_web, id_ssh;

	later.no_ports = true;
	later.src_port = later.dst_port = 0;
	all.action = SPD_BYPASS;
	id_all = must_add(&all);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &later, 1)->id, id_all);
	/* A bypass of one port more changes nothing. */
	web.action = SPD_BYPASS;
	must_add(&web);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &later, 1)->id, id_all);
	/* It may be a packet to port 22, which is to be protected … */
	id_ssh = must_add(&ssh);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &whole, 1)->id, id_all);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &later, 1)->id, id_ssh);
	/* … or discarded, which is stricter whatever the order. */
	web.action = SPD_DISCARD;
	id_web = must_add(&web);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &later, 1)->id, id_web);
	web.priority = 30;
	id_web = must_add(&web);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &later, 1)->id, id_web);
	/* What comes after a policy that is sure does not count. */
	all.priority = 5;
	id_all = must_add(&all);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &later, 1)->id, id_all);
	/* Another protocol is another packet. */
	all.priority = 50;
	id_all = must_add(&all);
	later.proto = 17;
	ck_assert_uint_eq(lookup_n(SPD_OUT, &later, 1)->id, id_all);
	/* Only bypasses by port: no policy is sure, the default decides. */
	later.proto = 6;
	ck_assert_int_eq(spd_del(spd, &all), 0);
	ck_assert_int_eq(spd_del(spd, &ssh), 0);
	web.action = SPD_BYPASS;
	must_add(&web);
	ck_assert_ptr_null(lookup_n(SPD_OUT, &later, 64));
}
END_TEST

START_TEST(replaces_in_place)
{
	struct spd_policy_conf conf = policy(NET + 77, 16, PEER, 16, 10), again = conf;
	struct spd_key key = packet(NET + 1, PEER + 1, 6, 1, 2);
	struct spd_policy *p;
	uint32_t id;

	conf.reqid = 1;
	must_add(&conf);
	spd_bind(spd, spd_find(spd, &conf), 33);
	again.sel.src.v4 = rte_cpu_to_be_32(NET + 5); /* host bits do not count */
	again.priority = 20;
	again.reqid = 2;
	id = must_add(&again);
	p = lookup_n(SPD_OUT, &key, 1);
	ck_assert_uint_eq(p->id, id);
	ck_assert_uint_eq(p->sa, 33);
	ck_assert_uint_eq(p->priority, 20);
	ck_assert_uint_eq(p->reqid, 2);
	ck_assert_uint_eq(spd_count(spd, SPD_OUT), 1);
	/* The SA's list knows the new one, and only that. */
	spd_unbind_sa(spd, sad, 33);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 1)->sa, SPD_NO_SA);
	/* A bypass has no SA. */
	spd_bind(spd, p, 34);
	again.action = SPD_BYPASS;
	must_add(&again);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 1)->sa, SPD_NO_SA);
	spd_unbind_sa(spd, sad, 34);
	/* Other ports are another policy. */
	again = with_ports(conf, 6, 80, 80);
	must_add(&again);
	ck_assert_uint_eq(spd_count(spd, SPD_OUT), 2);
}
END_TEST

START_TEST(binds_by_reqid_spi_and_peer)
{
	struct ip_addr peer = ip("192.0.2.1"), other = ip("192.0.2.2");
	struct sa_conf sa = {.dst = peer,
		.spi = rte_cpu_to_be_32(5000),
		.reqid = 7,
		.mode = SA_MODE_TUNNEL,
		.proto = 50};
	struct spd_policy_conf conf[6], any;
	struct spd_policy *p[6];

	for (unsigned int i = 0; i < 6; i++) {
		conf[i] = policy(NET + 256 * i, 24, PEER, 24, 10);
		conf[i].reqid = 7;
		conf[i].spi = rte_cpu_to_be_32(5000);
		conf[i].sa_dst = peer;
	}
	conf[1].spi = rte_cpu_to_be_32(5001);
	conf[2].reqid = 7 + 512; /* the same bucket, perhaps */
	conf[3].sa_dst = other;
	conf[4].sa_dst.family = 0; /* does not say */
	conf[5].dir = SPD_IN;
	for (unsigned int i = 0; i < 6; i++) {
		must_add(&conf[i]);
		p[i] = spd_find(spd, &conf[i]);
	}
	spd_bind_sa(spd, &sa, 3);
	for (unsigned int i = 0; i < 6; i++)
		ck_assert_msg((p[i]->sa == 3) == (i == 0 || i == 4), "policy %u", i);
	/* Slots far apart: the lists move and stay whole. */
	for (uint32_t slot = 1; slot < 1 << 18; slot *= 3) {
		spd_bind(spd, p[1], slot);
		ck_assert_uint_eq(p[1]->sa, slot);
		ck_assert_uint_eq(p[0]->sa, 3);
	}
	spd_bind(spd, p[3], 3);
	spd_unbind_sa(spd, sad, 3);
	for (unsigned int i = 0; i < 6; i++)
		ck_assert_msg((p[i]->sa == SPD_NO_SA) == (i != 1), "policy %u", i);
	spd_unbind_sa(spd, sad, 1 << 30); /* never seen */
	/* The configuration's without an SPI takes any SA of its reqid and mode; charon's is a trap. */
	any = policy(NET, 16, PEER, 24, 10);
	any.reqid = 7;
	must_add(&any);
	any.owner = 1;
	must_add(&any);
	spd_bind_sa(spd, &sa, 4);
	ck_assert_uint_eq(spd_find(spd, &any)->sa, SPD_NO_SA);
	any.owner = 0;
	ck_assert_uint_eq(spd_find(spd, &any)->sa, 4);
	sa.spi = rte_cpu_to_be_32(5002);
	spd_bind_sa(spd, &sa, 5);
	ck_assert_uint_eq(spd_find(spd, &any)->sa, 5);
	/* But where the configuration has an SA itself charon's is another's. */
	any.own_sas = true;
	must_add(&any);
	sa.owner = 1;
	spd_bind_sa(spd, &sa, 6);
	ck_assert_uint_eq(spd_find(spd, &any)->sa, 5);
	sa.owner = 0;
	spd_bind_sa(spd, &sa, 6);
	ck_assert_uint_eq(spd_find(spd, &any)->sa, 6);
	spd_bind_sa(spd, &sa, 5);
	sa.mode = SA_MODE_TRANSPORT;
	spd_bind_sa(spd, &sa, 6);
	ck_assert_uint_eq(spd_find(spd, &any)->sa, 5);
	spd_unbind_sa(spd, sad, 4);
	/* A policy that goes leaves its SA's list. */
	spd_bind(spd, p[0], 3);
	spd_bind(spd, p[4], 3);
	ck_assert_int_eq(spd_del(spd, &conf[0]), 0);
	rcu_poll(rcu);
	spd_unbind_sa(spd, sad, 3);
	ck_assert_uint_eq(p[4]->sa, SPD_NO_SA);
}
END_TEST

static uint32_t
add_sa(uint32_t spi, uint32_t reqid, uint8_t mode)
{
	const struct sa_conf conf = {.src = ip("192.0.2.77"),
		.dst = ip("192.0.2.1"),
		.owner = 1,
		.spi = rte_cpu_to_be_32(spi),
		.reqid = reqid,
		.enc_alg = ENCR_AES_GCM_16,
		.enc_key_len = 36,
		.dir = SA_DIR_OUT,
		.mode = mode,
		.proto = 50};
	static const uint8_t key[SA_KEY_MAX];
	const char *why;
	uint32_t slot;

	ck_assert_int_eq(sad_add(sad, &conf, key, false, &slot, &why), 0);
	return slot;
}

static void
hard(void *ctx, uint32_t slot, bool is_hard)
{
	ck_assert(is_hard);
	spd_unbind_sa(spd, ctx, slot);
}

/* One of the configuration without an SPI, when SAs of its reqid come and go as they like. */
START_TEST(takes_the_newest_that_is_left)
{
	struct spd_policy_conf conf = policy(NET, 16, PEER, 16, 10);
	struct spd_policy *p, *trap;
	uint32_t slot[4];

	conf.reqid = 7;
	must_add(&conf);
	p = spd_find(spd, &conf);
	conf.owner = 1;
	conf.spi = rte_cpu_to_be_32(0x5002);
	must_add(&conf);
	trap = spd_find(spd, &conf);
	for (unsigned int i = 0; i < 3; i++)
		slot[i] = add_sa(0x5000 + i, 7, SA_MODE_TUNNEL);
	add_sa(0x6000, 7, SA_MODE_TRANSPORT);
	add_sa(0x6001, 7 + 16, SA_MODE_TUNNEL); /* of the same list */
	/* They were there before. */
	spd_bind_newest(spd, sad, p, SPD_NO_SA);
	ck_assert_uint_eq(p->sa, slot[2]);
	spd_bind(spd, trap, slot[2]);
	/* A redundant one goes, the newest. */
	spd_unbind_sa(spd, sad, slot[2]);
	ck_assert_int_eq(sad_del(sad, slot[2]), 0);
	ck_assert_uint_eq(p->sa, slot[1]);
	ck_assert_uint_eq(trap->sa, SPD_NO_SA);
	/* Another that goes changes nothing. */
	spd_unbind_sa(spd, sad, slot[0]);
	ck_assert_int_eq(sad_del(sad, slot[0]), 0);
	ck_assert_uint_eq(p->sa, slot[1]);
	spd_unbind_sa(spd, sad, slot[1]);
	ck_assert_int_eq(sad_del(sad, slot[1]), 0);
	ck_assert_uint_eq(p->sa, SPD_NO_SA);
	spd_bind_newest(spd, sad, p, SPD_NO_SA);
	ck_assert_uint_eq(p->sa, SPD_NO_SA);
}
END_TEST

START_TEST(expired_sas_are_not_taken)
{
	struct spd_policy_conf conf = policy(NET, 16, PEER, 16, 10);
	struct spd_policy *p;
	uint32_t slot[2];

	conf.reqid = 7;
	must_add(&conf);
	p = spd_find(spd, &conf);
	for (unsigned int i = 0; i < 2; i++) {
		slot[i] = add_sa(0x5000 + i, 7, SA_MODE_TUNNEL);
		spd_bind_sa(spd, &sad_cold(sad, slot[i])->conf, slot[i]);
	}
	ck_assert_uint_eq(p->sa, slot[1]);
	/* All numbers are used up: of the newest, then of both. */
	for (unsigned int i = 2; i-- > 0;) {
		struct sa *sa = (struct sa *)(uintptr_t)sad_hot(sad, slot[i]);

		sa->sqn = sa_last_number(sa);
		for (unsigned int n = 0; n < 16; n++)
			sad_tick(sad, hard, sad);
		ck_assert(sad_cold(sad, slot[i])->hard_sent);
		ck_assert_uint_eq(p->sa, i > 0 ? slot[0] : SPD_NO_SA);
	}
}
END_TEST

START_TEST(refuses_what_it_cannot_hold)
{
	struct spd_policy_conf good = policy(NET, 16, PEER, 16, 1), conf;

#define REFUSED(error, field, value)                                   \
	do {                                                           \
		conf = good;                                           \
		conf.field = value;                                    \
		ck_assert_int_eq(spd_add(spd, &conf, NULL), -(error)); \
	} while (0)
	REFUSED(EINVAL, dir, SPD_DIRS);
	REFUSED(EINVAL, action, SPD_NONE);
	REFUSED(EINVAL, action, SPD_DISCARD + 1);
	REFUSED(EINVAL, sel.src_plen, 33);
	REFUSED(EINVAL, sel.dst_plen, 255);
	REFUSED(EINVAL, sel.dst.family, 6);
	REFUSED(EINVAL, mark, 1); /* beyond its mask */
#undef REFUSED
	conf = with_ports(good, 6, 81, 80);
	ck_assert_int_eq(spd_add(spd, &conf, NULL), -EINVAL);
	conf = good;
	conf.sel.src_port_hi = 79;
	conf.sel.src_port_lo = 80;
	ck_assert_int_eq(spd_add(spd, &conf, NULL), -EINVAL);
	conf = good;
	conf.dir = SPD_DIRS;
	ck_assert_int_eq(spd_del(spd, &conf), -ENOENT);
	ck_assert_int_eq(spd_del(spd, &good), -ENOENT);
	for (int dir = 0; dir < SPD_DIRS; dir++)
		ck_assert_uint_eq(spd_count(spd, dir), 0);
}
END_TEST

/* A table of n policies that are n keys of one shape. */
static struct spd_policy_conf
nth(uint32_t i)
{
	return policy(NET + i, 32, PEER, 32, 10);
}

START_TEST(holds_as_many_as_it_says)
{
	struct rte_rcu_qsbr *qsbr = rcu_qsbr(rcu);
	struct spd_policy_conf conf;

	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(
		qsbr, 0); /* and never quiescent: what goes still takes its place */
	for (uint32_t i = 0; i < MAX_POLICIES; i++) {
		conf = nth(i);
		must_add(&conf);
	}
	conf = nth(MAX_POLICIES);
	ck_assert_int_eq(spd_add(spd, &conf, NULL), -ENOSPC);
	conf = nth(1);
	must_add(&conf); /* a replacement needs no room */
	/* One goes, one comes, as at each rekey. */
	for (uint32_t i = 0; i < MAX_POLICIES / 2; i++) {
		struct spd_key key = packet(NET + MAX_POLICIES + i, PEER, 6, 1, 2);

		conf = nth(i);
		ck_assert_int_eq(spd_del(spd, &conf), 0);
		conf = nth(MAX_POLICIES + i);
		ck_assert_int_eq(spd_add(spd, &conf, NULL), 0);
		ck_assert_ptr_nonnull(lookup_n(SPD_OUT, &key, 64));
	}
	ck_assert_uint_eq(spd_count(spd, SPD_OUT), MAX_POLICIES);
	rte_rcu_qsbr_thread_offline(qsbr, 0);
}
END_TEST

/* Whole bursts of one flow, at each fill of the table. */
START_TEST(bursts_of_one_flow)
{
	/* As many as the hash has places, if it has no more than it must: some land in its extra buckets. */
	spd_destroy(spd);
	make_spd(512);
	for (uint32_t i = 0; i < 512; i++) {
		struct spd_policy_conf conf = nth(i);

		must_add(&conf);
		for (uint32_t k = 0; k <= i; k++) {
			struct spd_key key = packet(NET + k, PEER, 6, 1, 2);

			must_msg(lookup_n(SPD_OUT, &key, 1) != NULL, "1 packet, %u of %u", k, i);
			if (k % 8 == i % 8)
				must_msg(lookup_n(SPD_OUT, &key, 64) != NULL,
					"64 packets, policy %u of %u", k, i);
		}
	}
}
END_TEST

/* All there are, each in the key of all the others: none is refused, and the best is found. */
START_TEST(every_shape)
{
	struct spd_policy_conf conf;
	struct spd_key key = packet(NET, PEER, 6, 1, 2);
	unsigned int n = 0;

	spd_destroy(spd);
	make_spd(2 * 33 * 33);
	for (uint8_t src = 0; src <= 32; src++)
		for (uint8_t dst = 0; dst <= 32; dst++)
			for (int proto = 0; proto < 2; proto++) {
				conf = policy(NET, src, PEER, dst, 3000 - ++n);
				conf.sel.proto = proto * 6;
				must_add(&conf);
				must(lookup_n(SPD_OUT, &key, 3)->priority == 3000 - n);
			}
	ck_assert_uint_eq(spd_count(spd, SPD_OUT), n);
	for (uint8_t src = 0; src <= 32; src++)
		for (uint8_t dst = 0; dst <= 32; dst++)
			for (int proto = 0; proto < 2; proto++) {
				conf = policy(NET, src, PEER, dst, 0);
				conf.sel.proto = proto * 6;
				must(spd_find(spd, &conf) != NULL);
				must(spd_del(spd, &conf) == 0);
				must(spd_find(spd, &conf) == NULL);
			}
	ck_assert_uint_eq(spd_count(spd, SPD_OUT), 0);
	/* Its own shape again: the packet beside the prefix is not met. */
	conf = policy(NET, 31, PEER, 29, 0);
	must_add(&conf);
	ck_assert_ptr_nonnull(lookup_n(SPD_OUT, &key, 3));
	key.dst4 = rte_cpu_to_be_32(PEER + 8);
	ck_assert_ptr_null(lookup_n(SPD_OUT, &key, 3));
}
END_TEST

START_TEST(ranges)
{
	struct spd_policy_conf conf = policy(NET + 5, 0, PEER, 16, 10);
	struct spd_key key = packet(NET + 5, PEER + 1, 6, 1, 2);
	static const struct {
		uint32_t src, dst;
		bool in;
	} at[] = {{5, 1, true}, {4, 1, false}, {6, 1, true}, {300, 1, true}, {301, 1, false},
		{100, 0x1ffff, false}};
	struct spd_selector sel;

	conf.sel.src_last = conf.sel.src;
	conf.sel.src_last.v4 = rte_cpu_to_be_32(NET + 300);
	must_add(&conf);
	for (unsigned int i = 0; i < RTE_DIM(at); i++) {
		key = packet(NET + at[i].src, PEER + at[i].dst, 6, 1, 2);
		ck_assert_msg((lookup_n(SPD_OUT, &key, 3) != NULL) == at[i].in, "packet %u", i);
	}
	/* The same said again replaces it; what is no range is refused. */
	must_add(&conf);
	ck_assert_uint_eq(spd_count(spd, SPD_OUT), 1);
	ck_assert_int_eq(spd_del(spd, &conf), 0);
	conf.sel.src_last.v4 = rte_cpu_to_be_32(NET + 4);
	ck_assert_int_eq(spd_add(spd, &conf, NULL), -EINVAL);
	conf.sel.src_last.family = 6;
	ck_assert_int_eq(spd_add(spd, &conf, NULL), -EINVAL);
	/* A range that is a prefix is that prefix, all of the addresses too. */
	conf = policy(NET + 16, 0, 0, 0, 10);
	conf.sel.src_last = ip("10.1.0.31");
	conf.sel.dst_last = ip("255.255.255.255");
	must_add(&conf);
	conf = policy(NET + 16, 28, 0, 0, 10);
	ck_assert_ptr_nonnull(spd_find(spd, &conf));
	sel = (struct spd_selector){.src = ip("2001:db8::8"), .dst = ip("2001:db8::")};
	sel.src_last = ip("2001:db8::f");
	sel.dst_last = ip("2001:db8::1:0");
	ck_assert_int_eq(spd_selector_canonical(&sel), 0);
	ck_assert_uint_eq(sel.src_plen, 125);
	ck_assert_uint_eq(sel.src_last.family, 0);
	ck_assert_uint_eq(sel.dst_plen, 111);
	ck_assert_uint_eq(sel.dst_last.family, 6);
}
END_TEST

/* Policies of one selector that differ in interface id or mark are many, and each packet finds its own. */
START_TEST(interface_ids_and_marks)
{
	struct spd_policy_conf plain = policy(NET, 16, PEER, 16, 50), conf = plain;
	struct spd_key key = packet(NET + 1, PEER + 1, 6, 1, 2);
	uint32_t id, by_id[100], by_mark[100];

	for (uint32_t i = 0; i < 100; i++) {
		conf.if_id = i + 1;
		conf.mark = conf.mark_mask = 0;
		by_id[i] = must_add(&conf);
		conf.if_id = 0;
		conf.mark = (i + 1) << 8;
		conf.mark_mask = 0xff00;
		by_mark[i] = must_add(&conf);
	}
	/* They are none of a plain packet's. */
	ck_assert_ptr_null(lookup_n(SPD_OUT, &key, 3));
	id = must_add(&plain);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 3)->id, id);
	for (uint32_t i = 0; i < 100; i++) {
		key.if_id = i + 1;
		key.mark = 0;
		must(lookup_n(SPD_OUT, &key, 3)->id == by_id[i]);
		/* Newer of one priority: a plain policy is for marked packets, too. */
		key.if_id = 0;
		key.mark = (i + 1) << 8 | 0xff0000ff;
		must(lookup_n(SPD_OUT, &key, 3)->id == id);
	}
	plain.priority = 60;
	must_add(&plain);
	for (uint32_t i = 0; i < 100; i++) {
		key.mark = (i + 1) << 8 | 0xff0000ff;
		must(lookup_n(SPD_OUT, &key, 3)->id == by_mark[i]);
	}
	key.if_id = 101;
	ck_assert_ptr_null(lookup_n(SPD_OUT, &key, 3));
	ck_assert_uint_eq(spd_count(spd, SPD_OUT), 201);
}
END_TEST

/* One selector, several owners: the best counts, and each takes away its own. */
START_TEST(several_owners)
{
	struct spd_policy_conf conf[3], again;
	struct spd_key key = packet(NET + 1, PEER + 1, 6, 1, 2);
	struct spd_policy *p = NULL;
	unsigned int n = 0;
	uint32_t id[3];

	for (unsigned int i = 0; i < 3; i++) {
		conf[i] = policy(NET, 16, PEER, 16, i == 1 ? 5 : 10);
		conf[i].owner = i;
		conf[i].reqid = 1 + i;
		id[i] = must_add(&conf[i]);
	}
	while ((p = spd_find_next(spd, &conf[0], p)) != NULL)
		n++;
	ck_assert_uint_eq(n, 3);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 3)->id, id[1]);
	ck_assert_int_eq(spd_del(spd, &conf[1]), 0);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 3)->id, id[2]);
	/* One takes the place of another's, with its SA. */
	spd_bind(spd, spd_find(spd, &conf[2]), 9);
	again = conf[2];
	again.owner = 7;
	ck_assert_int_eq(spd_replace(spd, spd_find(spd, &conf[2]), &again, &id[2]), 0);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 3)->id, id[2]);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 3)->sa, 9);
	ck_assert_int_eq(spd_del(spd, &conf[2]), -ENOENT);
	ck_assert_int_eq(spd_del(spd, &again), 0);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 3)->id, id[0]);
	ck_assert_uint_eq(spd_count(spd, SPD_OUT), 1);
}
END_TEST

/* Ranges that all contain one port share a key; others find room beside them, and who replaces one needs none. */
START_TEST(overlapping_ranges_are_bounded)
{
	struct spd_policy_conf conf = policy(NET, 16, PEER, 16, 10);
	struct spd_key key = packet(NET + 1, PEER + 1, 17, 4000, 32768);
	uint32_t id;

	for (uint16_t i = 0; i < SPD_CHAIN_MAX; i++) {
		conf = with_ports(conf, 17, 30000 + i, 40000 - i);
		conf.reqid = 1 + i;
		must_add(&conf);
	}
	conf = with_ports(conf, 17, 29999, 40001);
	ck_assert_int_eq(spd_add(spd, &conf, NULL), -E2BIG);
	ck_assert_ptr_nonnull(strstr(spd_strerror(-E2BIG), "overlap"));
	ck_assert_uint_eq(spd_count(spd, SPD_OUT), SPD_CHAIN_MAX);
	must(spd_find(spd, &conf) == NULL);
	conf = with_ports(conf, 17, 30000, 40000);
	conf.priority = 5;
	id = must_add(&conf);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 3)->id, id);
	conf = with_ports(conf, 17, 50000, 50010);
	must_add(&conf);
	/* What was refused left nothing behind: a packet without ports finds a policy that is there. */
	key.no_ports = true;
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 3)->priority, 5);
	ck_assert_int_eq(spd_del(spd, &conf), 0);
	conf = with_ports(conf, 17, 30000, 40000);
	ck_assert_int_eq(spd_del(spd, &conf), 0);
	conf = with_ports(conf, 17, 29999, 40001);
	must_add(&conf);
}
END_TEST

/* Each with ports of its own between networks of its own: as many groups as policies. */
START_TEST(holds_as_many_with_ports)
{
	struct spd_policy_conf conf;

	for (int turn = 0; turn < 3; turn++) {
		for (uint32_t i = 0; i < MAX_POLICIES; i++) {
			conf = with_ports(policy(NET + i, 32, PEER, 16, 10), 6, 80, 80);
			must_add(&conf);
		}
		for (uint32_t i = 0; i < MAX_POLICIES; i++) {
			struct spd_key key = packet(NET + i, PEER, 6, 1, 80);

			must(lookup_n(SPD_OUT, &key, 2)->conf.sel.src.v4 == key.src4);
			key.no_ports = true;
			must(lookup_n(SPD_OUT, &key, 2)->conf.sel.src.v4 == key.src4);
			conf = with_ports(policy(NET + i, 32, PEER, 16, 10), 6, 80, 80);
			must(spd_del(spd, &conf) == 0);
		}
		eal_settle(rcu);
	}
}
END_TEST

/* A page costs the same whatever the policies share: 100,000 of one reqid, or of none. */
START_TEST(pages_of_many)
{
	struct spd_cursor cursor = {0};
	struct spd_policy *v[64];
	double begin, slowest = 0;
	unsigned int n, all = 0;

	spd_destroy(spd);
	make_spd(100000);
	for (uint32_t i = 0; i < 100000; i++) {
		struct spd_policy_conf conf = policy(NET, 16, 0x14000000 + i, 32, 10);

		must_add(&conf);
	}
	do {
		begin = eal_ms();
		n = spd_page(spd, &cursor, v, RTE_DIM(v));
		slowest = RTE_MAX(slowest, eal_ms() - begin);
		all += n;
	} while (n == RTE_DIM(v));
	ck_assert_uint_eq(all, 100000);
	printf("spd: a page of %zu of 100000 policies without reqid: %.1f us at most\n", RTE_DIM(v),
		slowest * 1000);
}
END_TEST

static unsigned int seen[4 * MAX_POLICIES];

START_TEST(pages)
{
	struct spd_cursor cursor = {0};
	struct spd_policy *v[7];
	unsigned int n, turn = 0;
	uint32_t stays[100];

	for (uint32_t i = 0; i < 200; i++) {
		struct spd_policy_conf conf = nth(i);
		uint32_t id;

		conf.dir = i % SPD_DIRS;
		conf.reqid = i % 5; /* few buckets with many in each */
		id = must_add(&conf);
		if (i < 100)
			stays[i] = id;
	}
	/* Between the parts some go and others come: what is there all the time comes once. */
	do {
		n = spd_page(spd, &cursor, v, 1 + turn % 7);
		for (unsigned int i = 0; i < n; i++)
			seen[v[i]->id]++;
		for (uint32_t i = 100 + turn % 50; turn % 3 == 0 && i < 200; i += 50) {
			struct spd_policy_conf conf = nth(i);

			conf.dir = i % SPD_DIRS;
			conf.reqid = i % 5;
			if (spd_del(spd, &conf) < 0)
				must_add(&conf);
		}
		rcu_poll(rcu);
		ck_assert_uint_lt(turn, 1000);
	} while (n == 1 + turn++ % 7);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_msg(seen[stays[i]] == 1, "policy %u came %u times", i, seen[stays[i]]);
	for (uint32_t i = 0; i < RTE_DIM(seen); i++)
		ck_assert_uint_le(seen[i], 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("spd");
	TCase *tc = tcase_create("spd");

	tcase_set_timeout(tc, 100);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, ties);
	tcase_add_test(tc, fragments_get_the_strictest);
	tcase_add_test(tc, replaces_in_place);
	tcase_add_test(tc, binds_by_reqid_spi_and_peer);
	tcase_add_test(tc, takes_the_newest_that_is_left);
	tcase_add_test(tc, expired_sas_are_not_taken);
	tcase_add_test(tc, refuses_what_it_cannot_hold);
	tcase_add_test(tc, holds_as_many_as_it_says);
	tcase_add_test(tc, bursts_of_one_flow);
	tcase_add_test(tc, every_shape);
	tcase_add_test(tc, ranges);
	tcase_add_test(tc, interface_ids_and_marks);
	tcase_add_test(tc, several_owners);
	tcase_add_test(tc, pages);
	tcase_add_test(tc, pages_of_many);
	tcase_add_test(tc, overlapping_ranges_are_bounded);
	tcase_add_test(tc, holds_as_many_with_ports);
	suite_add_tcase(s, tc);
	return eal_main(s);
}
