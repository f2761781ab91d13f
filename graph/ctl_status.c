/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"

#include "wire.h"

#include <errno.h>
#include <unistd.h>

#include <rte_mempool.h>
#include <rte_version.h>

#define CTL_PROTOCOL 1

static json_t *
owners_array(const struct ctl *ctl)
{
	struct ctl_owners owners;
	json_t *v = json_array();

	ctl_owners_read(ctl, &owners);
	for (unsigned int i = 0; i < owners.n; i++) {
		const struct channel_owner *o = &owners.v[i];

		json_array_append_new(
			v, json_pack("{so sb sI sI si sI}", "owner", ctl_hex64(o->owner), "alive",
				   o->alive, "sas", (json_int_t)o->sas, "policies",
				   (json_int_t)o->policies, "pid", o->pid, "lost_events",
				   ctl_int(o->lost_events)));
	}
	return v;
}

const char *
ctl_punt_class(unsigned int class)
{
	static const char *const classes[] = {
		[PUNT_IKE] = "ike",
		[PUNT_ARP] = "arp",
		[PUNT_ROUTING] = "routing",
		[PUNT_OTHER] = "other",
	};

	return class < PUNT_CLASSES ? classes[class] : "?";
}

static json_t *
host(const struct ctl *ctl)
{
	struct host_stats s;
	json_t *to, *over;

	if (ctl->r->host == NULL)
		return json_null();
	host_stats(ctl->r->host, &s);
	to = json_object();
	over = json_object();
	for (unsigned int i = 0; i < PUNT_CLASSES; i++) {
		json_object_set_new(to, ctl_punt_class(i), json_integer(ctl_int(s.to_host[i])));
		json_object_set_new(over, ctl_punt_class(i), json_integer(ctl_int(s.rationed[i])));
	}
	return json_pack("{so so sI sI sI}", "to_linux", to, "rationed", over, "from_linux",
		ctl_int(s.from_host), "from_linux_dropped", ctl_int(s.from_host_drops), "resyncs",
		ctl_int(s.resyncs));
}

static json_t *
counts(const struct ctl *ctl)
{
	const struct router *r = ctl->r;
	uint32_t used = 0, n = fib_nh_count(r->fib);

	for (uint32_t i = 0; i < n; i++)
		used += fib_nh(r->fib, i)->type != NH_NONE;
	return json_pack("{s{sI sI sI sI} s{sI sI sI sI} s{sI sI} s{sI sI} s{sI sI}}", "sas",
		"live", (json_int_t)sad_count(r->sad, SA_LIVE), "larval",
		(json_int_t)sad_count(r->sad, SA_LARVAL), "dying",
		(json_int_t)sad_count(r->sad, SA_DYING), "limit", (json_int_t)sad_slots(r->sad),
		"policies", "in", (json_int_t)spd_count(r->spd, SPD_IN), "out",
		(json_int_t)spd_count(r->spd, SPD_OUT), "fwd",
		(json_int_t)spd_count(r->spd, SPD_FWD), "limit",
		(json_int_t)r->config->limits.policies, "routes", "count",
		(json_int_t)fib_route_count(r->fib), "limit", (json_int_t)r->config->limits.routes,
		"nexthops", "count", (json_int_t)used, "limit",
		(json_int_t)r->config->limits.nexthops, "mbufs", "free",
		(json_int_t)(r->mbufs != NULL ? rte_mempool_avail_count(r->mbufs) : 0), "total",
		(json_int_t)(r->mbufs != NULL ? r->mbufs->size : 0));
}

int
ctl_status(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	const struct router *r = ctl->r;
	int rc = ctl_no_args(args, reply);

	if (rc < 0)
		return rc;
	reply->data = json_pack("{ss? ss ss so sI si ss? ss sb so so sI so}", "name",
		r->config->name, "version", CYGNET_VERSION, "dpdk", rte_version(), "epoch",
		ctl_hex64(r->epoch), "uptime", ctl_int((ctl_now() - ctl->started) / 1000000000),
		"pid", getpid(), "config", r->config->path, "crypto",
		r->config->crypto.mode == CRYPTO_INLINE ? "inline" : "dedicated",
		"policies_complete", spd_complete(r->spd), "owners", owners_array(ctl), "counts",
		counts(ctl), "rcu_pending", ctl_int(rcu_pending(r->rcu)), "host", host(ctl));
	return reply->data == NULL ? -ENOMEM : 0;
}

int
ctl_version(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	int rc = ctl_no_args(args, reply);

	(void)ctl;
	if (rc < 0)
		return rc;
	reply->data = json_pack("{ss ss si si}", "version", CYGNET_VERSION, "dpdk", rte_version(),
		"protocol", CTL_PROTOCOL, "wire", IKE_WIRE_VERSION);
	return reply->data == NULL ? -ENOMEM : 0;
}
