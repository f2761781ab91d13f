/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_test.h"

/* The policies in a plain array, and the rule of spd.h word for word. */
struct model {
	struct spd_policy_conf conf;
	uint32_t id; /* 0: not there */
};

static struct model model[SPD_DIRS][MAX_POLICIES];

static bool
beats(const struct model *a, const struct model *b)
{
	if (b == NULL)
		return true;
	if (a->conf.priority != b->conf.priority)
		return a->conf.priority < b->conf.priority;
	if ((a->conf.reqid != 0) != (b->conf.reqid != 0))
		return a->conf.reqid != 0;
	return a->id > b->id;
}

static bool
has_ports(const struct spd_selector *sel)
{
	return sel->src_port_lo != 0 || sel->src_port_hi != 65535 || sel->dst_port_lo != 0 ||
	       sel->dst_port_hi != 65535;
}

static bool
matches(const struct spd_selector *sel, const struct spd_key *key)
{
	struct ip_addr src = {.family = 4, .v4 = key->src4}, dst = {.family = 4, .v4 = key->dst4};

	return addr_in(&src, &sel->src, sel->src_plen) && addr_in(&dst, &sel->dst, sel->dst_plen) &&
	       (sel->proto == 0 || sel->proto == key->proto);
}

static bool
ports_match(const struct spd_selector *sel, const struct spd_key *key)
{
	return key->src_port >= sel->src_port_lo && key->src_port <= sel->src_port_hi &&
	       key->dst_port >= sel->dst_port_lo && key->dst_port <= sel->dst_port_hi;
}

static const struct model *
expected(enum spd_dir dir, const struct spd_key *key)
{
	const struct model *best = NULL, *discard = NULL, *protect = NULL;

	for (const struct model *m = model[dir]; m < model[dir] + MAX_POLICIES; m++) {
		bool sure = !has_ports(&m->conf.sel) ||
			    (!key->no_ports && ports_match(&m->conf.sel, key));

		if (m->id == 0 || !matches(&m->conf.sel, key))
			continue;
		if (sure && beats(m, best))
			best = m;
		if (!sure && key->no_ports && m->conf.action == SPD_DISCARD && beats(m, discard))
			discard = m;
		if (!sure && key->no_ports && m->conf.action == SPD_PROTECT && beats(m, protect))
			protect = m;
	}
	/* Without ports: the strictest of those that could be met before the one that is sure. */
	if (best != NULL && best->conf.action == SPD_DISCARD)
		return best;
	if (discard != NULL && beats(discard, best))
		return discard;
	if (protect != NULL && beats(protect, best))
		return protect;
	return best;
}

static uint32_t
random_addr(void)
{
	/* Few bits differ, so that prefixes of all lengths contain each other. */
	return 0x0a000000 | (eal_rand() & 0x80030303);
}

static struct spd_policy_conf
random_policy(void)
{
	static const uint8_t plens[] = {0, 1, 8, 15, 16, 24, 25, 31, 32};
	static const uint16_t ports[][2] = {
		{0, 65535}, {0, 65535}, {80, 80}, {0, 1023}, {1000, 2000}, {65535, 65535}, {0, 0}};
	struct spd_policy_conf conf = policy(random_addr(), plens[eal_rand() % RTE_DIM(plens)],
		random_addr(), plens[eal_rand() % RTE_DIM(plens)], eal_rand() % 12);
	unsigned int src = eal_rand() % RTE_DIM(ports), dst = eal_rand() % RTE_DIM(ports);

	conf.sel.proto = (uint8_t[]){0, 6, 17}[eal_rand() % 3];
	conf.sel.src_port_lo = ports[src][0];
	conf.sel.src_port_hi = ports[src][1];
	conf.sel.dst_port_lo = ports[dst][0];
	conf.sel.dst_port_hi = ports[dst][1];
	conf.reqid = eal_rand() % 3;
	conf.dir = eal_rand() % SPD_DIRS;
	conf.action = SPD_PROTECT + eal_rand() % 3;
	return conf;
}

static bool
same_selector(const struct spd_selector *a, const struct spd_selector *b)
{
	return a->src_plen == b->src_plen && a->dst_plen == b->dst_plen && a->proto == b->proto &&
	       a->src_port_lo == b->src_port_lo && a->src_port_hi == b->src_port_hi &&
	       a->dst_port_lo == b->dst_port_lo && a->dst_port_hi == b->dst_port_hi &&
	       addr_in(&a->src, &b->src, b->src_plen) && addr_in(&a->dst, &b->dst, b->dst_plen);
}

/* Where the model has that selector, or a free place; NULL: full. */
static struct model *
place(const struct spd_policy_conf *conf)
{
	struct model *free = NULL;

	for (struct model *m = model[conf->dir]; m < model[conf->dir] + MAX_POLICIES; m++) {
		if (m->id != 0 && same_selector(&m->conf.sel, &conf->sel))
			return m;
		if (m->id == 0)
			free = m;
	}
	return free;
}

static void
look_at_random_packets(void)
{
	static const uint16_t ports[] = {
		0, 1, 79, 80, 81, 999, 1000, 1023, 1024, 2000, 2001, 65535};
	unsigned int n = 1 + eal_rand() % 64;
	enum spd_dir dir = eal_rand() % SPD_DIRS;
	const struct spd_key *keys[64];
	struct spd_policy *found[64];
	struct spd_key key[64];

	for (unsigned int i = 0; i < n; i++) {
		key[i] = packet(random_addr(), random_addr(), (uint8_t[]){1, 6, 17}[eal_rand() % 3],
			ports[eal_rand() % RTE_DIM(ports)], ports[eal_rand() % RTE_DIM(ports)]);
		key[i].no_ports = eal_rand() % 4 == 0;
		if (key[i].no_ports)
			key[i].src_port = key[i].dst_port = 0;
		keys[i] = &key[i];
	}
	spd_lookup4(spd, dir, keys, n, found);
	for (unsigned int i = 0; i < n; i++) {
		const struct model *m = expected(dir, &key[i]);

		must_msg((found[i] != NULL ? found[i]->id : 0) == (m != NULL ? m->id : 0),
			"packet %08x %08x proto %u ports %u %u%s: policy %u instead of %u",
			rte_be_to_cpu_32(key[i].src4), rte_be_to_cpu_32(key[i].dst4), key[i].proto,
			key[i].src_port, key[i].dst_port, key[i].no_ports ? " unknown" : "",
			found[i] != NULL ? found[i]->id : 0, m != NULL ? m->id : 0);
	}
}

START_TEST(agrees_with_the_rule)
{
	unsigned int counts[SPD_DIRS] = {0}, replaced = 0;

	for (unsigned int n = 0; n < 8000; n++) {
		struct spd_policy_conf conf = random_policy();
		struct model *m = place(&conf);
		/* It grows to some hundreds and shrinks again, twice. */
		bool grows = n / 2000 % 2 == 0;

		if (eal_rand() % 10 < (grows ? 7 : 3)) {
			if (m == NULL) {
				must(spd_add(spd, &conf, NULL) == -ENOSPC);
				continue;
			}
			counts[conf.dir] += m->id == 0;
			replaced += m->id != 0;
			m->conf = conf;
			m->id = must_add(&conf);
		} else {
			if (m == NULL || m->id == 0) {
				must(spd_del(spd, &conf) == -ENOENT);
				/* Another one that is there. */
				m = &model[conf.dir][eal_rand() % MAX_POLICIES];
			}
			if (m->id != 0) {
				must(spd_find(spd, &m->conf)->id == m->id);
				must(spd_del(spd, &m->conf) == 0);
				must(spd_find(spd, &m->conf) == NULL);
				counts[m->conf.dir]--;
				m->id = 0;
			}
		}
		must(spd_count(spd, conf.dir) == counts[conf.dir]);
		for (int i = 0; i < 2; i++)
			look_at_random_packets();
		rcu_poll(rcu);
	}
	ck_assert_uint_gt(replaced, 5);
	for (int dir = 0; dir < SPD_DIRS; dir++)
		for (unsigned int i = 0; i < MAX_POLICIES; i++)
			if (model[dir][i].id != 0)
				must(spd_del(spd, &model[dir][i].conf) == 0);
	ck_assert_uint_eq(
		spd_count(spd, SPD_IN) + spd_count(spd, SPD_OUT) + spd_count(spd, SPD_FWD), 0);
}
END_TEST

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
	spd_unbind_sa(spd, 33);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 1)->sa, SPD_NO_SA);
	/* A bypass has no SA. */
	spd_bind(spd, p, 34);
	again.action = SPD_BYPASS;
	must_add(&again);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 1)->sa, SPD_NO_SA);
	spd_unbind_sa(spd, 34);
	/* Other ports are another policy. */
	again = with_ports(conf, 6, 80, 80);
	must_add(&again);
	ck_assert_uint_eq(spd_count(spd, SPD_OUT), 2);
}
END_TEST

START_TEST(binds_by_reqid_spi_and_peer)
{
	struct ip_addr peer = ip("192.0.2.1"), other = ip("192.0.2.2");
	struct spd_policy_conf conf[6];
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
	spd_bind_sa(spd, 7, rte_cpu_to_be_32(5000), &peer, 50, 3);
	for (unsigned int i = 0; i < 6; i++)
		ck_assert_msg((p[i]->sa == 3) == (i == 0 || i == 4), "policy %u", i);
	/* Slots far apart: the lists move and stay whole. */
	for (uint32_t slot = 1; slot < 1 << 18; slot *= 3) {
		spd_bind(spd, p[1], slot);
		ck_assert_uint_eq(p[1]->sa, slot);
		ck_assert_uint_eq(p[0]->sa, 3);
	}
	spd_bind(spd, p[3], 3);
	spd_unbind_sa(spd, 3);
	for (unsigned int i = 0; i < 6; i++)
		ck_assert_msg((p[i]->sa == SPD_NO_SA) == (i != 1), "policy %u", i);
	spd_unbind_sa(spd, 1 << 30); /* never seen */
	/* A policy that goes leaves its SA's list. */
	spd_bind(spd, p[0], 3);
	spd_bind(spd, p[4], 3);
	ck_assert_int_eq(spd_del(spd, &conf[0]), 0);
	rcu_poll(rcu);
	spd_unbind_sa(spd, 3);
	ck_assert_uint_eq(p[4]->sa, SPD_NO_SA);
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
	REFUSED(ENOTSUP, if_id, 1);
	REFUSED(ENOTSUP, mark_mask, 1);
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

START_TEST(too_many_shapes)
{
	struct spd_policy_conf conf;
	struct spd_key key = packet(NET, PEER, 6, 1, 2);
	unsigned int n = 0;

	for (uint8_t src = 0; src <= 32; src++)
		for (uint8_t dst = 0; dst <= 32; dst++) {
			int rc;

			conf = policy(NET, src, PEER, dst, 1000 - n);
			rc = spd_add(spd, &conf, NULL);
			must(rc == (n < 256 ? 0 : -ENOSPC));
			n += rc == 0;
			must(lookup_n(SPD_OUT, &key, 3)->priority == 1001 - n);
		}
	ck_assert_uint_eq(spd_count(spd, SPD_OUT), 256);
	/* A shape that is left makes room for another. */
	conf = policy(NET, 0, PEER, 0, 0);
	ck_assert_int_eq(spd_del(spd, &conf), 0);
	conf = policy(NET, 32, PEER, 32, 0);
	ck_assert_int_eq(spd_add(spd, &conf, NULL), 0);
	ck_assert_uint_eq(lookup_n(SPD_OUT, &key, 3)->priority, 0);
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
	tcase_add_test(tc, agrees_with_the_rule);
	tcase_add_test(tc, ties);
	tcase_add_test(tc, fragments_get_the_strictest);
	tcase_add_test(tc, replaces_in_place);
	tcase_add_test(tc, binds_by_reqid_spi_and_peer);
	tcase_add_test(tc, refuses_what_it_cannot_hold);
	tcase_add_test(tc, holds_as_many_as_it_says);
	tcase_add_test(tc, bursts_of_one_flow);
	tcase_add_test(tc, too_many_shapes);
	tcase_add_test(tc, pages);
	suite_add_tcase(s, tc);
	return eal_main(s);
}
