/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_priv.h"

#include "log.h"
#include "sad.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_common.h>

/* Which SA an outbound policy uses. All of it is the control thread's. */

_Static_assert(SAD_NO_SLOT == SPD_NO_SA, "no SA");

void
spd_bind_added(struct spd *spd, struct spd_policy *p)
{
	LIST_INSERT_HEAD(&spd->of_reqid[p->reqid & spd->reqid_mask], p, of_reqid);
}

void
spd_bind_removed(struct spd *spd, struct spd_policy *p)
{
	(void)spd;
	LIST_REMOVE(p, of_reqid);
	if (p->sa != SPD_NO_SA)
		LIST_REMOVE(p, of_sa);
}

static int
grow_of_sa(struct spd *spd, uint32_t slot)
{
	uint32_t n = rte_align32pow2(slot + 1);
	struct spd_policy_list *v;

	if (slot < spd->n_sas)
		return 0;
	/* LIST entries point back at their heads: a moved head is told to its first entry. */
	v = calloc(n, sizeof(*v));
	if (v == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < spd->n_sas; i++) {
		v[i] = spd->of_sa[i];
		if (v[i].lh_first != NULL)
			v[i].lh_first->of_sa.le_prev = &v[i].lh_first;
	}
	free(spd->of_sa);
	spd->of_sa = v;
	spd->n_sas = n;
	return 0;
}

void
spd_bind(struct spd *spd, struct spd_policy *p, uint32_t slot)
{
	if (p->sa == slot)
		return;
	if (slot != SPD_NO_SA && grow_of_sa(spd, slot) < 0) {
		LOG(ERR, "no memory to bind a policy of reqid %u to its SA", p->reqid);
		slot = SPD_NO_SA;
	}
	if (p->sa != SPD_NO_SA)
		LIST_REMOVE(p, of_sa);
	if (slot != SPD_NO_SA)
		LIST_INSERT_HEAD(&spd->of_sa[slot], p, of_sa);
	atomic_store_explicit(&p->sa, slot, memory_order_release);
	/* Lcores keep SAs that they found by policies. */
	spd_changed(&spd->view[SPD_OUT][SPD_FAMILY4]);
}

/*
 * One of the configuration that names no SPI takes the newest SA of its reqid, of the configuration's where it has one; one of
 * charon's is a trap.
 */
bool
spd_wants_sa(const struct spd_policy *p, const struct sa_conf *sa)
{
	return p->conf.dir == SPD_OUT && p->action == SPD_PROTECT && p->reqid == sa->reqid &&
	       (p->conf.spi == sa->spi || (p->conf.spi == 0 && p->conf.owner == 0)) &&
	       (!p->conf.own_sas || p->conf.owner == sa->owner) && p->proto == sa->proto &&
	       p->mode == sa->mode &&
	       (p->conf.sa_dst.family == 0 || addr_equal(&p->conf.sa_dst, &sa->dst));
}

void
spd_bind_sa(struct spd *spd, const struct sa_conf *sa, uint32_t slot)
{
	struct spd_policy *p;

	LIST_FOREACH (p, &spd->of_reqid[sa->reqid & spd->reqid_mask], of_reqid) {
		if (spd_wants_sa(p, sa))
			spd_bind(spd, p, slot);
	}
}

void
spd_bind_newest(struct spd *spd, const struct sad *sad, struct spd_policy *p, uint32_t but)
{
	uint32_t slot = sad_next_of_reqid(sad, SA_DIR_OUT, p->reqid, SAD_NO_SLOT);

	while (slot != SAD_NO_SLOT && (slot == but || !spd_wants_sa(p, &sad_cold(sad, slot)->conf)))
		slot = sad_next_of_reqid(sad, SA_DIR_OUT, p->reqid, slot);
	spd_bind(spd, p, slot);
}

void
spd_unbind_sa(struct spd *spd, const struct sad *sad, uint32_t slot)
{
	struct spd_policy *p;

	while (slot < spd->n_sas && (p = LIST_FIRST(&spd->of_sa[slot])) != NULL)
		if (p->conf.owner == 0)
			spd_bind_newest(spd, sad, p, slot);
		else
			spd_bind(spd, p, SPD_NO_SA);
}
