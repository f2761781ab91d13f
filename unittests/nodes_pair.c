/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes_pair.h"

#include "eal.h"

static void
start(unsigned int crypto_lcores)
{
	const struct world_conf conf = {.workers = 1,
		.crypto_lcores = crypto_lcores,
		.mtu = PAIR_MTU,
		.frames = 16,
		.every_device = true};

	world_start(&conf);
	socket_add("0.0.0.0", 4500, true, true);
	socket_add("::", 4500, true, true);
}

void
pair_world(void)
{
	start(0);
}

void
pair_world_dedicated(void)
{
	start(2);
}

unsigned int
below(unsigned int n)
{
	return (eal_rand() >> 16) % n;
}

void
pair_choose(struct pair *p, const struct transform_encr *encr, unsigned int key_len,
	const struct transform_integ *integ)
{
	struct sa_conf *c = &p->conf;

	*c = (struct sa_conf){.src = address(p->outer6 ? US6 : US),
		.dst = address(p->outer6 ? PEER6 : PEER),
		.reqid = REQID,
		.mode = SA_MODE_TUNNEL,
		.proto = encr != NULL ? IPPROTO_ESP : IPPROTO_AH};
	if (encr != NULL) {
		c->enc_alg = encr->id;
		c->enc_key_len = encr->salt_len + key_len;
	}
	if (integ != NULL) {
		c->int_alg = integ->id;
		c->int_key_len = integ->key_len;
	}
}

static void
become(const char *peer, const char *peer6)
{
	const char *const addrs[] = {"10.1.0.1", US, "10.3.0.1", LAN6, US6, DMZ6, peer, peer6};

	local_addresses(addrs, RTE_DIM(addrs));
}

void
pair_add(struct pair *p, uint32_t spi)
{
	const char *why = "no device has it";
	struct sa_conf *c = &p->conf;

	c->spi = rte_cpu_to_be_32(spi);
	for (unsigned int i = 0; i < sizeof(p->key); i++)
		p->key[i] = eal_rand() >> 24;
	for (c->dir = SA_DIR_IN; c->dir <= SA_DIR_OUT; c->dir++)
		ck_assert_msg(sad_add(world.r.sad, c, p->key, false,
				      c->dir == SA_DIR_IN ? &p->in : &p->out, &why) == 0,
			"%u with %u: %s", c->enc_alg, c->int_alg, why);
	become("10.3.0.9", "2001:db8:3::9");
}

const char *
pair_src(const struct pair *p)
{
	if (pair_tunnel(p))
		return p->inner6 ? HOST6_A : HOST_A;
	return p->inner6 ? US6 : US;
}

const char *
pair_dst(const struct pair *p)
{
	if (pair_tunnel(p))
		return p->inner6 ? HOST6_B : HOST_B;
	return p->inner6 ? PEER6 : PEER;
}

static void
protect(struct pair *p, enum spd_dir dir)
{
	p->policy = (struct spd_policy_conf){.sel = {.src_port_hi = 65535, .dst_port_hi = 65535},
		.reqid = REQID,
		.dir = dir,
		.action = SPD_PROTECT,
		.mode = p->conf.mode,
		.proto = p->conf.proto};
	addr_parse_prefix(pair_src(p), &p->policy.sel.src, &p->policy.sel.src_plen);
	addr_parse_prefix(pair_dst(p), &p->policy.sel.dst, &p->policy.sel.dst_plen);
	ck_assert_int_eq(spd_add(world.r.spd, &p->policy, NULL), 0);
}

void
pair_seals(struct pair *p)
{
	protect(p, SPD_OUT);
	spd_bind(world.r.spd, spd_find(world.r.spd, &p->policy), p->out);
}

void
pair_opens(struct pair *p)
{
	ck_assert_int_eq(spd_del(world.r.spd, &p->policy), 0);
	become(PEER, PEER6);
	protect(p, pair_tunnel(p) ? SPD_FWD : SPD_IN);
}

void
pair_delete(struct pair *p)
{
	ck_assert_int_eq(spd_del(world.r.spd, &p->policy), 0);
	ck_assert_int_eq(sad_del(world.r.sad, p->in), 0);
	ck_assert_int_eq(sad_del(world.r.sad, p->out), 0);
	run();
}

void
pair_send(const struct pair *p, struct rte_mbuf *m)
{
	put(pair_tunnel(p) ? world.rx[LAN][0] : world.host_rx[LAN], p->inner6 ? as_ip6(m) : m);
}

uint16_t
pair_opened(const struct pair *p, uint8_t *buf)
{
	return pair_tunnel(p) ? sent(WAN, buf) : punted(PUNT_OTHER, buf);
}
