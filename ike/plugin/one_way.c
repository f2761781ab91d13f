/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "one_way.h"

#include "events.h"

#include <daemon.h>
#include <processing/jobs/callback_job.h>
#include <utils/debug.h>

/* A CHILD_SA that ends, or whose addresses change, loses its policies one after another, and much faster. */
#define LOOK_MS 500
#define SAS_MAX 8

struct look {
	private_kernel_cygnet_ipsec_t *this;
	struct ike_msg_policy out;
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

/* The inbound SAs of a CHILD_SA that has both ways, but no policy that leads packets into the outbound one. */
static unsigned int
one_way_sas(private_kernel_cygnet_ipsec_t *this, const struct ike_msg_policy *out,
	struct ike_msg_sa_id *sas)
{
	struct ike_msg_policy in = inbound(out), best;
	bool has_outbound = false;
	struct desired_sa sa;
	unsigned int n = 0;

	if (desired_best(this->desired, out, &best) || !desired_best(this->desired, &in, &best) ||
		best.reqid != out->reqid)
		return 0;
	desired_walk_sas(this->desired);
	while (desired_next_sa(this->desired, &sa)) {
		if (sa.id.reqid != out->reqid || sa.doomed)
			continue;
		if (!sa.inbound)
			has_outbound = true;
		else if (n < SAS_MAX)
			sas[n++] = sa.id;
	}
	return has_outbound ? n : 0;
}

static job_requeue_t
look(struct look *l)
{
	struct ike_msg_sa_id sas[SAS_MAX];
	struct ike_msg m;
	unsigned int n;

	link_lock(l->this->link);
	n = one_way_sas(l->this, &l->out, sas);
	link_unlock(l->this->link);
	if (n > 0)
		DBG1(DBG_KNL,
			"cygnet: charon has left the CHILD_SA of reqid %u without its outbound "
			"policy "
			"(a rekeying by both sides at once): it is rekeyed again",
			l->out.reqid);
	/* charon looks by itself which of them it still uses. */
	for (unsigned int i = 0; i < n; i++) {
		desired_request(&m, IKE_EVENT_EXPIRE);
		m.body.expire.dst = sas[i].dst;
		m.body.expire.spi = sas[i].spi;
		m.body.expire.proto = sas[i].proto;
		events_raise(&m);
	}
	return JOB_REQUEUE_NONE;
}

void
one_way_watch(private_kernel_cygnet_ipsec_t *this, const struct ike_msg_policy *gone)
{
	struct look *l;

	if (gone->dir != IKE_DIR_OUT || gone->action != IKE_PROTECT || gone->spi == 0)
		return;
	l = malloc_thing(struct look);
	l->this = this;
	l->out = *gone;
	lib->scheduler->schedule_job_ms(lib->scheduler,
		(job_t *)callback_job_create((callback_job_cb_t)look, l, free, NULL), LOOK_MS);
}
