/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_priv.h"

#include <errno.h>

#include <rte_byteorder.h>

static void
to_number(const struct ip_addr *a, uint64_t n[2])
{
	if (a->family == 4) {
		n[0] = 0;
		n[1] = rte_be_to_cpu_32(a->v4);
	} else {
		n[0] = rte_be_to_cpu_64(a->v6[0]);
		n[1] = rte_be_to_cpu_64(a->v6[1]);
	}
}

/* Leading bits that two addresses of one family share. */
static uint8_t
common_bits(const struct ip_addr *a, const struct ip_addr *b)
{
	unsigned int n = addr_bits(a);

	for (unsigned int i = 0; i < n / 8; i++)
		if (a->b[i] != b->b[i])
			return i * 8 + __builtin_clz(a->b[i] ^ b->b[i]) - 24;
	return n;
}

static int
canonical(struct ip_addr *first, struct ip_addr *last, uint8_t *plen)
{
	struct ip_addr net = *first, end = *first;

	if (last->family != 0) {
		if (last->family != first->family ||
			memcmp(first->b, last->b, sizeof(first->b)) > 0)
			return -EINVAL;
		*plen = common_bits(first, last);
		addr_mask(&net, *plen);
		addr_fill(&end, *plen);
		if (!addr_equal(&net, first) || !addr_equal(&end, last))
			return 0;
	}
	if (*plen > addr_bits(first))
		return -EINVAL;
	addr_mask(first, *plen);
	memset(last, 0, sizeof(*last));
	return 0;
}

int
spd_selector_canonical(struct spd_selector *sel)
{
	if (sel->src.family != sel->dst.family || (sel->src.family != 4 && sel->src.family != 6) ||
		sel->src_port_lo > sel->src_port_hi || sel->dst_port_lo > sel->dst_port_hi)
		return -EINVAL;
	if (canonical(&sel->src, &sel->src_last, &sel->src_plen) < 0)
		return -EINVAL;
	return canonical(&sel->dst, &sel->dst_last, &sel->dst_plen);
}

bool
spd_selector_same(const struct spd_policy_conf *a, const struct spd_policy_conf *b)
{
	const struct spd_selector *x = &a->sel, *y = &b->sel;

	return a->dir == b->dir && a->if_id == b->if_id && a->mark == b->mark &&
	       a->mark_mask == b->mark_mask && x->src_plen == y->src_plen &&
	       x->dst_plen == y->dst_plen && x->proto == y->proto &&
	       x->src_port_lo == y->src_port_lo && x->src_port_hi == y->src_port_hi &&
	       x->dst_port_lo == y->dst_port_lo && x->dst_port_hi == y->dst_port_hi &&
	       addr_equal(&x->src, &y->src) && addr_equal(&x->dst, &y->dst) &&
	       addr_equal(&x->src_last, &y->src_last) && addr_equal(&x->dst_last, &y->dst_last);
}

void
spd_selector_key(
	const struct spd_policy_conf *conf, const struct spd_tuple *t, union spd_hash_key *key)
{
	struct ip_addr src = conf->sel.src, dst = conf->sel.dst;
	uint32_t tag = spd_tag(conf->if_id, conf->mark & t->shape.mark_mask) |
		       (t->shape.proto ? conf->sel.proto : 0);

	if (t->port_mask != 0)
		tag ^= spd_port_tag(
			spd_ports(conf->sel.src_port_lo, conf->sel.dst_port_lo) & t->port_mask);
	addr_mask(&src, t->shape.src_plen);
	addr_mask(&dst, t->shape.dst_plen);
	memset(key, 0, sizeof(*key));
	if (src.family == 4) {
		key->v4.src = src.v4;
		key->v4.dst = dst.v4;
		key->v4.tuple = t->id;
		key->v4.tag = tag;
	} else {
		memcpy(key->v6.src, src.b, sizeof(key->v6.src));
		memcpy(key->v6.dst, dst.b, sizeof(key->v6.dst));
		key->v6.tuple = t->id;
		key->v6.tag = tag;
	}
}

/* Whether the key that has that many bits says less than the selector. */
static bool
range_of(const struct ip_addr *a, const struct ip_addr *last, uint8_t plen, uint8_t key_plen,
	struct spd_range *r)
{
	struct ip_addr end = *a;

	if (last->family != 0)
		end = *last;
	else
		addr_fill(&end, plen);
	to_number(a, r->lo);
	to_number(&end, r->hi);
	return last->family != 0 || key_plen < plen;
}

void
spd_selector_narrow(struct spd_policy *p)
{
	const struct spd_selector *sel = &p->conf.sel;
	bool src = range_of(&sel->src, &sel->src_last, sel->src_plen, p->shape.src_plen, &p->src),
	     dst = range_of(&sel->dst, &sel->dst_last, sel->dst_plen, p->shape.dst_plen, &p->dst);

	p->narrow = src || dst ? SPD_NARROW_ADDRS : 0;
	if (sel->src_port_lo != 0 || sel->src_port_hi != UINT16_MAX || sel->dst_port_lo != 0 ||
		sel->dst_port_hi != UINT16_MAX)
		p->narrow |= SPD_NARROW_PORTS;
}
