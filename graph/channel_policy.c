/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel_core.h"

#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)IKE_PROTECT == (int)SPD_PROTECT && (int)IKE_BYPASS == (int)SPD_BYPASS &&
		       (int)IKE_DISCARD == (int)SPD_DISCARD,
	"actions of policies");

static bool
known_family(const struct ip_addr *a)
{
	return a->family == 0 || a->family == 4 || a->family == 6;
}

/* The last address of a range. */
static void
last_from_wire(struct ip_addr *last, const struct ip_addr *first, uint8_t plen, const uint8_t *b)
{
	if (plen != IKE_PLEN_RANGE)
		return;
	last->family = first->family;
	memcpy(last->b, b, first->family == 4 ? 4 : sizeof(last->b));
}

/* A policy of the owner as the SPD has it. */
static int
conf_from_wire(struct spd_policy_conf *conf, const struct ike_msg_policy *m, uint64_t owner)
{
	static const uint8_t dirs[] = {
		[IKE_DIR_IN] = SPD_IN, [IKE_DIR_OUT] = SPD_OUT, [IKE_DIR_FWD] = SPD_FWD};
	struct spd_selector *sel = &conf->sel;

	if (m->dir < IKE_DIR_IN || m->dir > IKE_DIR_FWD || m->action < IKE_PROTECT ||
		m->action > IKE_DISCARD)
		return -EINVAL;
	*conf = (struct spd_policy_conf){
		.sel =
			{
				.src_plen = m->sel.src_plen,
				.dst_plen = m->sel.dst_plen,
				.proto = m->sel.proto,
				.src_port_lo = m->sel.src_port_lo,
				.src_port_hi = m->sel.src_port_hi,
				.dst_port_lo = m->sel.dst_port_lo,
				.dst_port_hi = m->sel.dst_port_hi,
			},
		.owner = owner,
		.spi = m->dir == IKE_DIR_OUT ? m->spi : 0,
		.reqid = m->reqid,
		.priority = m->priority,
		.if_id = m->if_id,
		.mark = m->mark,
		.mark_mask = m->mark_mask,
		.dir = dirs[m->dir],
		.action = m->action,
		.mode = m->mode,
		.proto = m->proto,
	};
	channel_addr_from_wire(&sel->src, &m->sel.src);
	channel_addr_from_wire(&sel->dst, &m->sel.dst);
	channel_addr_from_wire(&conf->sa_src, &m->src);
	channel_addr_from_wire(&conf->sa_dst, &m->dst);
	last_from_wire(&sel->src_last, &sel->src, sel->src_plen, m->sel.src_last);
	last_from_wire(&sel->dst_last, &sel->dst, sel->dst_plen, m->sel.dst_last);
	if (!known_family(&conf->sa_src) || !known_family(&conf->sa_dst))
		return -EINVAL;
	return spd_selector_canonical(sel);
}

/* Whether the SA's packets go to where the policy's would, or come from there: a trap may not know its peer yet. */
static bool
is_of_same_peer(const struct spd_policy_conf *policy, const struct sa_conf *sa)
{
	static const struct ip_addr any4 = {.family = 4}, any6 = {.family = 6};
	const struct ip_addr *peer = policy->dir == SPD_OUT ? &policy->sa_dst : &policy->sa_src;

	return policy->mode == sa->mode && policy->proto == sa->proto &&
	       (peer->family == 0 || addr_equal(peer, &any4) || addr_equal(peer, &any6) ||
		       addr_equal(peer, policy->dir == SPD_OUT ? &sa->dst : &sa->src));
}

/*
 * Which SA an OUT policy uses. Its own, when that is there. Otherwise an orphan's that the replaced
 * policy used, so that a charon that was started again makes no gap: until its own SA comes, or the
 * orphan's grace time ends. (spd_add() kept the SA of the replaced policy.)
 */
static void
bind_policy(struct channel_core *c, const struct spd_policy_conf *conf)
{
	struct spd_policy *p = spd_find(c->spd, conf);
	const struct sa_cold *sa;
	uint32_t slot;

	if (conf->spi != 0 &&
		sad_find(c->sad, SA_DIR_OUT, conf->proto, conf->spi, &conf->sa_dst, &slot) == 0) {
		sa = sad_cold(c->sad, slot);
		if (sa->conf.owner == conf->owner && !sa->hard_sent) {
			spd_bind(c->spd, p, slot);
			return;
		}
	}
	if (p->sa == SPD_NO_SA)
		return;
	sa = sad_cold(c->sad, p->sa);
	if (sa->conf.owner == 0 || owner_is_alive(c, sa->conf.owner) ||
		!is_of_same_peer(conf, &sa->conf))
		spd_bind(c->spd, p, SPD_NO_SA);
}

/* What stands in the way of a policy of the owner, and what it takes the place of. */
struct same {
	bool configured; /* the operator's word stands */
	struct spd_policy *own, *orphan;
};

static struct same
find_same(struct channel_core *c, const struct spd_policy_conf *conf)
{
	struct spd_policy *p = NULL;
	struct same same = {0};

	while ((p = spd_find_next(c->spd, conf, p)) != NULL) {
		if (p->conf.owner == conf->owner)
			same.own = p;
		else if (p->conf.owner == 0)
			same.configured = true;
		else if (!owner_is_alive(c, p->conf.owner))
			same.orphan = p;
	}
	return same;
}

/*
 * A policy takes the place of an orphan's. The peer goes on with the SAs that it has, until it has new ones: what comes by the
 * orphan's is for the new policy now, whose reqid is another owner's number.
 */
static void
borrow_sas(struct channel_core *c, const struct spd_policy_conf *conf,
	const struct spd_policy_conf *orphan)
{
	uint32_t slot, next;

	if (conf->dir == SPD_OUT || conf->action != SPD_PROTECT || orphan->action != SPD_PROTECT)
		return;
	slot = sad_next_of_reqid(c->sad, SA_DIR_IN, orphan->reqid, SAD_NO_SLOT);
	for (; slot != SAD_NO_SLOT; slot = next) {
		const struct sa_conf *sa = &sad_cold(c->sad, slot)->conf;

		next = sad_next_of_reqid(c->sad, SA_DIR_IN, orphan->reqid, slot);
		if (sa_is_for(sad_hot(c->sad, slot), sa_owner_tag(orphan->owner), orphan->reqid) &&
			!owner_is_alive(c, sa->owner) && is_of_same_peer(conf, sa))
			sad_lend(c->sad, slot, conf->owner, conf->reqid);
	}
}

/* The dead that had the selector have no say any more. */
static void
delete_orphans(struct channel_core *c, const struct spd_policy_conf *conf)
{
	struct spd_policy *orphan;

	while ((orphan = find_same(c, conf).orphan) != NULL) {
		borrow_sas(c, conf, &orphan->conf);
		spd_del(c->spd, &orphan->conf);
	}
}

int
channel_add_policy(struct channel_core *c, const struct owner *o, const struct ike_msg_policy *m)
{
	struct spd_policy_conf conf, orphan = {0};
	struct same same;
	int rc = conf_from_wire(&conf, m, o->id);

	if (rc < 0)
		return rc;
	same = find_same(c, &conf);
	if (same.orphan != NULL)
		orphan = same.orphan->conf;
	if (same.configured)
		rc = -EEXIST;
	else
		rc = spd_replace(
			c->spd, same.own != NULL ? same.own : same.orphan, &conf, &c->spd_order);
	if (rc < 0) {
		LOG(ERR, "policy of reqid %u refused: %s", conf.reqid,
			rc == -EEXIST ? "the configuration has one with its selector"
				      : spd_strerror(rc));
		return rc;
	}
	if (same.own == NULL && same.orphan != NULL)
		borrow_sas(c, &conf, &orphan);
	delete_orphans(c, &conf);
	if (conf.dir == SPD_OUT && conf.action == SPD_PROTECT)
		bind_policy(c, &conf);
	return 0;
}

/* The owner's policy of that selector. */
static struct spd_policy *
find_own(struct channel_core *c, const struct owner *o, const struct ike_msg_policy *m, int *rc)
{
	struct spd_policy_conf conf;
	struct spd_policy *p;

	*rc = conf_from_wire(&conf, m, o->id);
	if (*rc < 0)
		return NULL;
	p = spd_find(c->spd, &conf);
	if (p == NULL)
		*rc = -ENOENT;
	return p;
}

int
channel_del_policy(struct channel_core *c, const struct owner *o, const struct ike_msg_policy *m)
{
	int rc;
	struct spd_policy *p = find_own(c, o, m, &rc);

	return p != NULL ? spd_del(c->spd, &p->conf) : rc;
}

int
channel_query_policy(struct channel_core *c, const struct owner *o, const struct ike_msg_policy *m,
	struct ike_msg_usage *usage)
{
	int rc;
	struct spd_policy *p = find_own(c, o, m, &rc);

	if (p == NULL)
		return rc;
	usage->last_use = p->used;
	return 0;
}

/* Policies found by a walk, to be changed after it. */
struct found {
	struct spd_policy_conf *v;
	size_t n, size;
	bool no_memory;
	uint64_t owner;
	bool replayed_too;
	uint32_t replay_from;
};

static void
collect(void *ctx, struct spd_policy *p)
{
	struct found *f = ctx;

	if (p->conf.owner != f->owner || f->no_memory)
		return;
	if (!f->replayed_too && (int32_t)(p->order - f->replay_from) > 0)
		return;
	if (f->n == f->size) {
		size_t size = f->size != 0 ? 2 * f->size : 64;
		void *v = realloc(f->v, size * sizeof(*f->v));

		if (v == NULL) {
			f->no_memory = true;
			return;
		}
		f->v = v;
		f->size = size;
	}
	f->v[f->n++] = p->conf;
}

int
channel_sweep_policies(struct channel_core *c, const struct owner *o)
{
	struct found f = {.owner = o->id, .replay_from = o->replay_from};

	spd_foreach(c->spd, collect, &f);
	for (size_t i = 0; i < f.n; i++)
		spd_del(c->spd, &f.v[i]);
	free(f.v);
	return f.no_memory ? -ENOMEM : (int)f.n;
}

/* Whether the configuration, or an owner that lives, has a policy of that selector. */
static bool
others_have_it(struct channel_core *c, const struct spd_policy_conf *conf)
{
	struct spd_policy *p = NULL;

	while ((p = spd_find_next(c->spd, conf, p)) != NULL)
		if (p->conf.owner == 0 || owner_is_alive(c, p->conf.owner))
			return true;
	return false;
}

int
channel_discard_policies(struct channel_core *c, uint64_t owner)
{
	struct found f = {.owner = owner, .replayed_too = true};
	int n = 0;

	spd_foreach(c->spd, collect, &f);
	for (size_t i = 0; i < f.n; i++) {
		bool bypass = f.v[i].action == SPD_BYPASS;

		/* A DISCARD, as the newest, would win against those that have a say. */
		if (others_have_it(c, &f.v[i])) {
			spd_del(c->spd, &f.v[i]);
			continue;
		}
		if (f.v[i].action == SPD_DISCARD)
			continue;
		f.v[i].action = SPD_DISCARD;
		f.v[i].spi = 0;
		/* What cannot be changed still protects, and has no SA any more. A bypass must go. */
		if (spd_add(c->spd, &f.v[i], &c->spd_order) < 0 && bypass)
			spd_del(c->spd, &f.v[i]);
		n++;
	}
	free(f.v);
	return f.no_memory ? -ENOMEM : n;
}
