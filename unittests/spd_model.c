/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_test.h"

/* The policy database against its rule: a plain array, and the rule of spd.h word for word. */

struct model {
	struct spd_policy_conf conf;
	uint32_t id; /* 0: not there */
};

static struct model model[SPD_DIRS][MAX_POLICIES];
static bool one_pair; /* of addresses: policies differ in ports, protocols and owners */

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
addr_matches(const struct ip_addr *a, const struct ip_addr *first, const struct ip_addr *last,
	uint8_t plen)
{
	if (a->family != first->family)
		return false;
	if (last->family != 0)
		return memcmp(a->b, first->b, sizeof(a->b)) >= 0 &&
		       memcmp(a->b, last->b, sizeof(a->b)) <= 0;
	for (unsigned int i = 0; i < plen; i++)
		if ((a->b[i / 8] ^ first->b[i / 8]) & (0x80 >> i % 8))
			return false;
	return true;
}

static struct ip_addr
of_key(const struct spd_key *key, bool src)
{
	struct ip_addr a = {.family = key->family};

	if (key->family == 4)
		a.v4 = src ? key->src4 : key->dst4;
	else
		memcpy(a.b, src ? key->src6 : key->dst6, sizeof(a.b));
	return a;
}

static bool
matches(const struct spd_policy_conf *conf, const struct spd_key *key)
{
	const struct spd_selector *sel = &conf->sel;
	struct ip_addr src = of_key(key, true), dst = of_key(key, false);

	return conf->if_id == key->if_id && (key->mark & conf->mark_mask) == conf->mark &&
	       (sel->proto == 0 || sel->proto == key->proto) &&
	       addr_matches(&src, &sel->src, &sel->src_last, sel->src_plen) &&
	       addr_matches(&dst, &sel->dst, &sel->dst_last, sel->dst_plen);
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

		if (m->id == 0 || !matches(&m->conf, key))
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

/* Few bits differ, so that prefixes of all lengths contain each other, and ranges overlap. */
static struct ip_addr
random_addr(uint8_t family)
{
	struct ip_addr a = {.family = family};

	if (family == 4) {
		a.v4 = rte_cpu_to_be_32(0x0a000000 | (eal_rand() & 0x80030303));
		return a;
	}
	a.b[0] = 0x20 | (eal_rand() & 0x80);
	a.b[5] = eal_rand() & 3;
	a.b[7] = eal_rand() & 3;
	a.b[8] = eal_rand() & 0x80;
	a.b[15] = eal_rand() & 3;
	return a;
}

static void
random_addrs(struct ip_addr *first, struct ip_addr *last, uint8_t *plen, uint8_t family)
{
	static const uint8_t plens4[] = {0, 1, 8, 15, 16, 24, 25, 31, 32};
	static const uint8_t plens6[] = {0, 1, 32, 47, 48, 64, 65, 127, 128};
	struct ip_addr other = random_addr(family);

	*first = random_addr(family);
	if (one_pair) {
		*first = (struct ip_addr){.family = family};
		*plen = eal_rand() % 8 == 0;
		return;
	}
	*plen = (family == 4 ? plens4 : plens6)[eal_rand() % RTE_DIM(plens4)];
	if (eal_rand() % 4 != 0)
		return;
	*last = other;
	if (memcmp(first->b, last->b, sizeof(first->b)) > 0) {
		*last = *first;
		*first = other;
	}
}

/* Few bits differ here, too. */
static uint16_t
random_port(void)
{
	return eal_rand() & 0x8113;
}

/* One port, any, or a range. ICMP: type or code. */
static void
random_ports(uint16_t *lo, uint16_t *hi)
{
	*lo = 0;
	*hi = 65535;
	switch (eal_rand() % 4) {
	case 0:
		break;
	case 1:
		*lo = random_port();
		*hi = *lo + eal_rand() % (65536 - *lo);
		break;
	case 2:
		*lo = random_port();
		*hi = *lo | (0xffff >> eal_rand() % 17);
		break;
	case 3:
		*lo = *hi = random_port();
		break;
	}
}

static struct spd_policy_conf
random_policy(void)
{
	struct spd_policy_conf conf = policy(0, 0, 0, 0, eal_rand() % 12);
	uint8_t family = eal_rand() % 2 ? 4 : 6;

	random_addrs(&conf.sel.src, &conf.sel.src_last, &conf.sel.src_plen, family);
	random_addrs(&conf.sel.dst, &conf.sel.dst_last, &conf.sel.dst_plen, family);
	conf.sel.proto = (uint8_t[]){0, 1, 6, 17}[eal_rand() % 4];
	random_ports(&conf.sel.src_port_lo, &conf.sel.src_port_hi);
	random_ports(&conf.sel.dst_port_lo, &conf.sel.dst_port_hi);
	conf.reqid = eal_rand() % 3;
	conf.owner = eal_rand() % 2;
	conf.dir = eal_rand() % SPD_DIRS;
	conf.action = SPD_PROTECT + eal_rand() % 3;
	if (eal_rand() % 4 == 0)
		conf.if_id = eal_rand() % 3;
	if (eal_rand() % 4 == 0) {
		conf.mark_mask = (uint32_t[]){0x3, 0x1, 0x300}[eal_rand() % 3];
		conf.mark = eal_rand() & conf.mark_mask;
	}
	must(spd_selector_canonical(&conf.sel) == 0);
	return conf;
}

static bool
same_policy(const struct spd_policy_conf *a, const struct spd_policy_conf *b)
{
	return memcmp(&a->sel, &b->sel, sizeof(a->sel)) == 0 && a->if_id == b->if_id &&
	       a->mark == b->mark && a->mark_mask == b->mark_mask && a->owner == b->owner;
}

/* Where the model has that selector, or a free place; NULL: full. */
static struct model *
place(const struct spd_policy_conf *conf)
{
	struct model *free = NULL;

	for (struct model *m = model[conf->dir]; m < model[conf->dir] + MAX_POLICIES; m++) {
		if (m->id != 0 && same_policy(&m->conf, conf))
			return m;
		if (m->id == 0)
			free = m;
	}
	return free;
}

static void
random_packet(struct spd_key *key, uint8_t family)
{
	struct ip_addr src = random_addr(family), dst = random_addr(family);

	memset(key, 0, sizeof(*key));
	key->family = family;
	if (family == 4) {
		key->src4 = src.v4;
		key->dst4 = dst.v4;
	} else {
		memcpy(key->src6, src.b, sizeof(src.b));
		memcpy(key->dst6, dst.b, sizeof(dst.b));
	}
	key->proto = (uint8_t[]){1, 6, 17}[eal_rand() % 3];
	key->no_ports = eal_rand() % 4 == 0;
	if (!key->no_ports) {
		key->src_port = random_port();
		key->dst_port = eal_rand() % 8 != 0 ? random_port() : eal_rand();
	}
	if (eal_rand() % 3 == 0)
		key->if_id = eal_rand() % 3;
	if (eal_rand() % 3 == 0)
		key->mark = eal_rand() & 0x303;
}

static void
look_at_random_packets(void)
{
	unsigned int n = 1 + eal_rand() % 64;
	uint8_t family = eal_rand() % 2 ? 4 : 6;
	enum spd_dir dir = eal_rand() % SPD_DIRS;
	const struct spd_key *keys[64];
	struct spd_policy *found[64];
	struct spd_key key[64];

	for (unsigned int i = 0; i < n; i++) {
		random_packet(&key[i], family);
		keys[i] = &key[i];
	}
	if (family == 4)
		spd_lookup4(spd, dir, keys, n, found);
	else
		spd_lookup6(spd, dir, keys, n, found);
	for (unsigned int i = 0; i < n; i++) {
		const struct model *m = expected(dir, &key[i]);

		must_msg((found[i] != NULL ? found[i]->id : 0) == (m != NULL ? m->id : 0),
			"IPv%u packet, proto %u ports %u %u%s if_id %u mark %x: policy %u instead "
			"of %u",
			family, key[i].proto, key[i].src_port, key[i].dst_port,
			key[i].no_ports ? " unknown" : "", key[i].if_id, key[i].mark,
			found[i] != NULL ? found[i]->id : 0, m != NULL ? m->id : 0);
	}
}

static void
change_and_look(void)
{
	unsigned int counts[SPD_DIRS] = {0}, replaced = 0;

	for (unsigned int n = 0; n < 5000; n++) {
		struct spd_policy_conf conf = random_policy();
		struct model *m = place(&conf);
		/* It grows to some hundreds and shrinks, again and again. */
		bool grows = n / 1000 % 2 == 0;

		if (eal_rand() % 16 == 0) { /* one that is there, changed */
			struct model *other = &model[conf.dir][eal_rand() % MAX_POLICIES];

			if (other->id != 0) {
				m = other;
				conf.sel = m->conf.sel;
				conf.if_id = m->conf.if_id;
				conf.mark = m->conf.mark;
				conf.mark_mask = m->conf.mark_mask;
				conf.owner = m->conf.owner;
			}
		}
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
		look_at_random_packets();
		rcu_poll(rcu);
	}
	must(replaced > 50);
	for (int dir = 0; dir < SPD_DIRS; dir++)
		for (unsigned int i = 0; i < MAX_POLICIES; i++)
			if (model[dir][i].id != 0)
				must(spd_del(spd, &model[dir][i].conf) == 0);
	ck_assert_uint_eq(
		spd_count(spd, SPD_IN) + spd_count(spd, SPD_OUT) + spd_count(spd, SPD_FWD), 0);
}

START_TEST(agrees_with_the_rule)
{
	one_pair = false;
	change_and_look();
}
END_TEST

START_TEST(agrees_between_one_pair_of_prefixes)
{
	one_pair = true;
	change_and_look();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("spd_model");
	TCase *tc = tcase_create("spd_model");

	tcase_set_timeout(tc, 100);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, agrees_with_the_rule);
	tcase_add_test(tc, agrees_between_one_pair_of_prefixes);
	suite_add_tcase(s, tc);
	return eal_main(s);
}
