/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"

#include "channel_stats.h"
#include "wire.h"

#include <errno.h>
#include <stdio.h>
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
	return json_pack("{so so sI sI sI sI}", "to_linux", to, "rationed", over,
		"refused_by_linux", ctl_int(s.to_host_errors), "from_linux", ctl_int(s.from_host),
		"from_linux_dropped", ctl_int(s.from_host_drops), "resyncs", ctl_int(s.resyncs));
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

/* How long requests of a type took; buckets are those of struct channel_stats that are not empty, by microsecond. */
static json_t *
latency(const struct channel_stats *stats, unsigned int type)
{
	json_t *buckets = json_object();
	uint64_t n = 0;
	char us[8];

	for (unsigned int i = 0; i < CHANNEL_LATENCY_US; i++) {
		if (stats->latency[type][i] == 0)
			continue;
		n += stats->latency[type][i];
		snprintf(us, sizeof(us), "%u", i);
		json_object_set_new(buckets, us, json_integer(stats->latency[type][i]));
	}
	return json_pack("{sI si si so}", "requests", ctl_int(n), "median",
		channel_latency_us(stats, type, 500), "p99", channel_latency_us(stats, type, 990),
		"buckets", buckets);
}

/* What charon asked and was told. */
static json_t *
channel(const struct ctl *ctl)
{
	static const char *const types[CHANNEL_TYPES] = {
		[IKE_GET_SPI] = "get-spi",
		[IKE_ADD_SA] = "add-sa",
		[IKE_UPDATE_SA] = "update-sa",
		[IKE_DEL_SA] = "del-sa",
		[IKE_QUERY_SA] = "query-sa",
		[IKE_ADD_POLICY] = "add-policy",
		[IKE_DEL_POLICY] = "del-policy",
		[IKE_QUERY_POLICY] = "query-policy",
	};
	const struct channel_stats *s;
	json_t *us;

	if (ctl->r->channel == NULL)
		return json_null();
	s = channel_stats(ctl->r->channel);
	us = json_object();
	for (unsigned int i = 0; i < CHANNEL_TYPES; i++)
		if (types[i] != NULL)
			json_object_set_new(us, types[i], latency(s, i));
	return json_pack("{sI sI sI sI sI sI sI sI sI so}", "requests", ctl_int(s->requests),
		"refused", ctl_int(s->refused), "malformed", ctl_int(s->malformed), "inbox_full",
		ctl_int(s->inbox_full), "acquires", ctl_int(s->acquires), "expires",
		ctl_int(s->expires), "resyncs", ctl_int(s->resyncs), "lost_replies",
		ctl_int(s->lost_replies), "lost_events", ctl_int(s->lost_events), "latency_us", us);
}

int
ctl_status(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	const struct router *r = ctl->r;
	int rc = ctl_no_args(args, reply);

	if (rc < 0)
		return rc;
	reply->data = json_pack("{ss? ss ss so sI si ss? sb ss sb so so sI so so ss? ss?}", "name",
		r->config->name, "version", CYGNET_VERSION, "dpdk", rte_version(), "epoch",
		ctl_hex64(r->epoch), "uptime", ctl_int((ctl_now() - ctl->started) / 1000000000),
		"pid", getpid(), "config", r->config->path, "keep_keys", r->config->keep_keys,
		"crypto", r->config->crypto.mode == CRYPTO_INLINE ? "inline" : "dedicated",
		"policies_complete", spd_complete(r->spd), "owners", owners_array(ctl), "counts",
		counts(ctl), "rcu_pending", ctl_int(rcu_pending(r->rcu)), "host", host(ctl),
		"channel", channel(ctl), "file_prefix", r->config->eal.file_prefix, "refused_agent",
		r->channel != NULL ? channel_refused_agent(r->channel) : NULL);
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
