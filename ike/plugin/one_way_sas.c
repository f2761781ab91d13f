/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "one_way_sas.h"

#include <netinet/in.h>
#include <string.h>

struct search {
	const struct desired *desired;
	uint32_t reqid;
	struct ike_msg_sa_id *sas;
	unsigned int n, max;
	bool has_outbound, led_to; /* a policy leads to one of them */
};

#define SWAP(a, b)                     \
	do {                           \
		__typeof__(a) was = a; \
		a = b;                 \
		b = was;               \
	} while (0)

/* The policy of what comes back. */
static struct ike_msg_policy
inbound(const struct ike_msg_policy *out)
{
	struct ike_msg_policy in = *out;
	struct ike_selector *s = &in.sel;
	uint8_t last[sizeof(s->src_last)];

	in.dir = IKE_DIR_IN;
	SWAP(s->src, s->dst);
	memcpy(last, s->src_last, sizeof(last));
	memcpy(s->src_last, s->dst_last, sizeof(last));
	memcpy(s->dst_last, last, sizeof(last));
	SWAP(s->src_plen, s->dst_plen);
	if (s->proto != IPPROTO_ICMP && s->proto != IPPROTO_ICMPV6) {
		SWAP(s->src_port_lo, s->dst_port_lo);
		SWAP(s->src_port_hi, s->dst_port_hi);
	}
	return in;
}

static void
take_sa(void *ctx, const struct desired_sa *sa)
{
	struct search *s = ctx;

	if (sa->id.reqid != s->reqid || sa->doomed)
		return;
	if (!sa->inbound)
		s->has_outbound = true;
	else if (s->n < s->max)
		s->sas[s->n++] = sa->id;
}

static void
take_policy(void *ctx, const struct ike_msg_policy *p)
{
	struct ike_msg_sa_id id = {.dst = p->dst, .spi = p->spi, .proto = p->proto};
	struct search *s = ctx;
	struct desired_sa sa;

	if (p->dir != IKE_DIR_OUT || p->action != IKE_PROTECT || p->reqid != s->reqid ||
		p->spi == 0)
		return;
	s->led_to |= desired_find_sa(s->desired, &id, &sa) && !sa.inbound && !sa.doomed;
}

unsigned int
one_way_sas(const struct desired *d, const struct ike_msg_policy *out, struct ike_msg_sa_id *sas,
	unsigned int max)
{
	struct search s = {.desired = d, .reqid = out->reqid, .sas = sas, .max = max};
	struct ike_msg_policy in = inbound(out), best;

	if (desired_best(d, out, &best) || !desired_has_policy(d, &in))
		return 0;
	desired_each_sa(d, take_sa, &s);
	if (!s.has_outbound || s.n == 0)
		return 0;
	desired_each_policy(d, take_policy, &s);
	return s.led_to ? 0 : s.n;
}
