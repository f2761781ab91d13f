/* SPDX-License-Identifier: BSD-3-Clause */
#include "sad.h"
#include "spd.h"
#include "tables.h"

#include <string.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>

/* Policies as tunnels have them: from our network to a host each, and those of many shapes. */

static struct spd *spd;
static uint32_t n_policies, n_shapes, out; /* out: which one an update took */
static unsigned int family;
static bool fragments; /* ports are not seen */
static struct spd_policy_conf (*conf_of)(uint32_t i);
static struct spd_key keys[BURST];
static const struct spd_key *key_ptr[BURST];

static struct ip_addr
addr4(uint32_t a)
{
	return (struct ip_addr){.family = 4, .v4 = rte_cpu_to_be_32(a)};
}

/* Networks of 2001:db8::/32. */
static struct ip_addr
addr6(uint32_t net, uint32_t host)
{
	struct ip_addr a = {.family = 6};
	uint32_t words[4] = {rte_cpu_to_be_32(0x20010db8), rte_cpu_to_be_32(net), 0,
		rte_cpu_to_be_32(host)};

	memcpy(a.b, words, sizeof(words));
	return a;
}

static struct spd_policy_conf
policy(struct ip_addr src, uint8_t src_plen, struct ip_addr dst, uint8_t dst_plen)
{
	return (struct spd_policy_conf){.sel = {.src = src,
						.dst = dst,
						.src_plen = src_plen,
						.dst_plen = dst_plen,
						.src_port_hi = UINT16_MAX,
						.dst_port_hi = UINT16_MAX},
		.priority = 1000 - src_plen - dst_plen,
		.dir = SPD_OUT,
		.action = SPD_PROTECT,
		.mode = SA_MODE_TUNNEL,
		.proto = 50};
}

static struct spd_policy_conf
host(uint32_t i)
{
	struct spd_policy_conf c =
		family == 4 ? policy(addr4(0x0a010000), 16, addr4(0x14000000 + i), 32)
			    : policy(addr6(1, 0), 64, addr6(0x10000 + i, 1), 128);

	c.reqid = i + 1;
	return c;
}

/* As many shapes as are wanted, up to 256: prefix lengths from 17 to 32 of each. No two policies overlap. */
static struct spd_policy_conf
shaped(uint32_t i)
{
	uint32_t shape = i % n_shapes, net = i << 15;
	struct spd_policy_conf c = policy(addr4(net), 32 - shape % 16, addr4(net), 32 - shape / 16);

	c.reqid = i + 1;
	return c;
}

/* One pair of addresses, a port each; beyond 50,000 another port of ours. */
static struct spd_policy_conf
port(uint32_t i)
{
	struct spd_policy_conf c = policy(addr4(0x0a010000), 32, addr4(0x14000000), 32);

	c.reqid = i + 1;
	c.sel.proto = 17;
	if (n_policies > 50000)
		c.sel.src_port_lo = c.sel.src_port_hi = 1000 + i / 50000;
	c.sel.dst_port_lo = c.sel.dst_port_hi = 1 + i % 50000;
	return c;
}

/* One pair of addresses, ranges of three ports each of the peer's side, and of five of ours: no range begins at a multiple. */
static struct spd_policy_conf
ports(uint32_t i)
{
	struct spd_policy_conf c = policy(addr4(0x0a010000), 32, addr4(0x14000000), 32);

	c.reqid = i + 1;
	c.sel.proto = 17;
	c.sel.src_port_lo = 1001 + 5 * (i / 10000);
	c.sel.src_port_hi = c.sel.src_port_lo + 4;
	c.sel.dst_port_lo = 2 + 3 * (i % 10000);
	c.sel.dst_port_hi = c.sel.dst_port_lo + 2;
	return c;
}

static void
fill_key(struct spd_key *key, uint32_t i)
{
	struct spd_policy_conf c = conf_of(i);

	*key = (struct spd_key){.family = family,
		.proto = 17,
		.src_port = c.sel.src_port_lo != 0 ? c.sel.src_port_lo : 1000,
		.dst_port = c.sel.dst_port_lo};
	if (fragments) {
		key->no_ports = true;
		key->src_port = key->dst_port = 0;
	}
	if (family == 4) {
		key->src4 = c.sel.src.v4;
		key->dst4 = c.sel.dst.v4;
	} else {
		memcpy(key->src6, c.sel.src.b, sizeof(key->src6));
		memcpy(key->dst6, c.sel.dst.b, sizeof(key->dst6));
	}
}

static uint64_t
lookup(void)
{
	struct spd_policy *found[BURST];
	uint64_t begin = rte_rdtsc();

	if (family == 4)
		spd_lookup4(spd, SPD_OUT, key_ptr, BURST, found);
	else
		spd_lookup6(spd, SPD_OUT, key_ptr, BURST, found);
	begin = rte_rdtsc() - begin;
	for (unsigned int i = 0; i < BURST; i++)
		must(found[i] != NULL || updating);
	return begin;
}

static uint64_t
random_policies(void)
{
	for (unsigned int i = 0; i < BURST; i++)
		fill_key(&keys[i], random_below(n_policies));
	return lookup();
}

static uint64_t
one_flow(void)
{
	for (unsigned int i = 0; i < BURST; i++)
		fill_key(&keys[i], n_policies / 2);
	return lookup();
}

/* Nothing but the shapes: no policy's. */
static uint64_t
none(void)
{
	struct spd_policy *found[BURST];
	uint64_t begin;

	for (unsigned int i = 0; i < BURST; i++) {
		fill_key(&keys[i], random_below(n_policies));
		keys[i].dst4 ^= rte_cpu_to_be_32(0x80000000);
	}
	begin = rte_rdtsc();
	spd_lookup4(spd, SPD_OUT, key_ptr, BURST, found);
	begin = rte_rdtsc() - begin;
	for (unsigned int i = 0; i < BURST; i++)
		must(found[i] == NULL);
	return begin;
}

static void
take(void)
{
	struct spd_policy_conf c = conf_of(out = random_below(n_policies));

	must(spd_del(spd, &c) == 0);
}

static void
add(uint32_t i)
{
	struct spd_policy_conf c = conf_of(i);

	must(spd_add(spd, &c, NULL) == 0);
}

static void
put(void)
{
	add(out);
}

/* A table of its own for each row. */
static void
row(const char *name, unsigned int fam, uint32_t n, struct spd_policy_conf (*of)(uint32_t i),
	const char *note)
{
	struct table t = {.name = name,
		.family = fam,
		.n = n,
		.note = note,
		.random = random_policies,
		.flow = one_flow,
		.take = take,
		.put = put};

	family = fam;
	conf_of = of;
	n_policies = n;
	for (unsigned int i = 0; i < BURST; i++)
		key_ptr[i] = &keys[i];
	spd = spd_create(RTE_MAX(n, 65536u), rcu);
	must(spd != NULL);
	fill_and_measure(&t, add);
	if (of == shaped) {
		t = (struct table){.name = "shapes, no policy's", .family = fam, .n = n, .note = note, .random = none};
		measure(&t, 0);
	}
	spd_destroy(spd);
}

void
bench_policies(uint32_t max)
{
	for (unsigned int fam = 4; fam <= 6; fam += 2)
		for (uint32_t n = 10; n <= max; n *= n == 10 ? 100 : 10)
			row("policies", fam, n, host, NULL);
}

void
bench_shapes(uint32_t max)
{
	static const struct {
		uint32_t n;
		const char *note;
	} shapes[] = {{1, "1 shape"}, {4, "4 shapes"}, {16, "16 shapes"}, {64, "64 shapes"}, {256, "256 shapes"}};

	for (unsigned int i = 0; i < RTE_DIM(shapes); i++) {
		n_shapes = shapes[i].n;
		row("shapes", 4, RTE_MIN(max, 10000u), shaped, shapes[i].note);
	}
}

void
bench_ports(uint32_t max)
{
	for (uint32_t n = 10; n <= max; n *= n == 10 ? 100 : 10)
		row("ports", 4, n, port, "one pair of hosts");
	for (uint32_t n = 10; n <= max; n *= n == 10 ? 100 : 10)
		row("ranges of ports", 4, n, ports, "one pair of hosts");
	fragments = true;
	row("ports, fragments", 4, RTE_MIN(max, 10000u), port, "one pair of hosts");
	fragments = false;
}
