/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "one_way.h"

#include "events.h"
#include "one_way_sas.h"

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

static job_requeue_t
look(struct look *l)
{
	struct ike_msg_sa_id sas[SAS_MAX];
	struct ike_msg m;
	unsigned int n;

	link_lock(l->this->link);
	n = one_way_sas(l->this->desired, &l->out, sas, SAS_MAX);
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
