/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events.h"

#include "convert.h"

#include <daemon.h>
#include <processing/jobs/callback_job.h>

/* An event on its way to charon, raised by one of its own threads. */
static job_requeue_t
raise_event(struct ike_msg *m)
{
	kernel_acquire_data_t acquire = {};
	host_t *dst, *remote;

#ifdef HAVE_KERNEL_ACQUIRE_DATA_T_CPU
	acquire.cpu = CPU_ID_MAX;
#endif

	switch (m->hdr.type) {
	case IKE_EVENT_ACQUIRE:
		acquire.src = convert_selector(&m->body.acquire.packet, TRUE);
		acquire.dst = convert_selector(&m->body.acquire.packet, FALSE);
		/* charon's trap manager reads both without a look. */
		if (acquire.src && acquire.dst)
			charon->kernel->acquire(charon->kernel, m->body.acquire.reqid, &acquire);
		DESTROY_IF(acquire.src);
		DESTROY_IF(acquire.dst);
		break;
	case IKE_EVENT_EXPIRE:
		dst = convert_addr(&m->body.expire.dst, 0);
		if (dst) {
			charon->kernel->expire(charon->kernel, m->body.expire.proto,
				m->body.expire.spi, dst, m->body.expire.hard);
			dst->destroy(dst);
		}
		break;
	case IKE_EVENT_MAPPING:
		dst = convert_addr(&m->body.mapping.dst, 0);
		remote = convert_addr(&m->body.mapping.remote, m->body.mapping.remote_port);
		if (dst && remote)
			charon->kernel->mapping(charon->kernel, m->body.mapping.proto,
				m->body.mapping.spi, dst, remote);
		DESTROY_IF(dst);
		DESTROY_IF(remote);
		break;
	}
	return JOB_REQUEUE_NONE;
}

void
events_raise(const struct ike_msg *msg)
{
	struct ike_msg *copy = malloc_thing(struct ike_msg);

	*copy = *msg;
	lib->processor->queue_job(lib->processor,
		(job_t *)callback_job_create_with_prio(
			(callback_job_cb_t)raise_event, copy, free, NULL, JOB_PRIO_HIGH));
}
