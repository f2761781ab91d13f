/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel_core.h"

#include "log.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

void
channel_core_init(struct channel_core *c)
{
	c->started = c->ops->now(c->ctx);
	c->resend_at = sad_slots(c->sad);
}

int
channel_check(const void *param, size_t len)
{
	struct ike_hdr hdr;

	if (len < sizeof(hdr) || len > IKE_WIRE_MAX)
		return -EBADMSG;
	memcpy(&hdr, param, sizeof(hdr));
	if (hdr.magic != IKE_WIRE_MAGIC || hdr.len != len)
		return -EBADMSG;
	/* Of another version only this much is known: magic, version, type and length stay where they are. */
	if (hdr.version != IKE_WIRE_VERSION)
		return hdr.type == IKE_HELLO ? 0 : -EBADMSG;
	if (hdr.type < IKE_HELLO || hdr.type > IKE_PING || len != ike_msg_len(hdr.type))
		return -EBADMSG;
	return 0;
}

void
channel_addr_from_wire(struct ip_addr *to, const struct ike_addr *from)
{
	memset(to, 0, sizeof(*to));
	to->family = from->family;
	memcpy(to->b, from->b, from->family == 4 ? 4 : sizeof(to->b));
}

void
channel_addr_to_wire(struct ike_addr *to, const struct ip_addr *from)
{
	memset(to, 0, sizeof(*to));
	to->family = from->family;
	memcpy(to->b, from->b, sizeof(to->b));
}

/* The sender's build as a string that may be logged, whatever it sent. */
static void
build_of(const struct ike_msg *in, char build[IKE_BUILD_LEN])
{
	memset(build, 0, IKE_BUILD_LEN);
	if (in->hdr.len < sizeof(in->hdr) + IKE_BUILD_LEN)
		strcpy(build, "unknown");
	else
		memcpy(build, in->body.hello.build, IKE_BUILD_LEN - 1);
	for (char *s = build; *s != '\0'; s++)
		if (!isgraph((unsigned char)*s))
			*s = '?';
}

/* Versions are compared before anything else is read; a difference is said once, not at each try. */
static bool
same_version(struct channel_core *c, const struct ike_msg *in)
{
	char build[IKE_BUILD_LEN];

	build_of(in, build);
	if (in->hdr.version == IKE_WIRE_VERSION && strncmp(build, c->build, IKE_BUILD_LEN - 1) == 0)
		return true;
	if (memcmp(build, c->refused_build, IKE_BUILD_LEN) != 0)
		LOG(ERR,
			"agent of version %s (wire %u) refused: this router is version %s (wire "
			"%u)",
			build, in->hdr.version, c->build, IKE_WIRE_VERSION);
	memcpy(c->refused_build, build, IKE_BUILD_LEN);
	return false;
}

#define SPI_MIN_GENERATIONS 16 /* of each slot: an SPI shall not come back too soon */

/* charon's range of SPIs as far as the SAD, whose SPIs carry their slots, can keep to it; else the SAD's own. */
static void
agree_on_spis(const struct channel_core *c, const struct ike_msg_hello *in, bool say, uint32_t *min,
	uint32_t *max)
{
	uint64_t least = (uint64_t)SPI_MIN_GENERATIONS * sad_slots(c->sad);

	*min = RTE_MAX(c->spi_min, in->spi_min);
	*max = in->spi_max != 0 ? RTE_MIN(c->spi_max, in->spi_max) : c->spi_max;
	if (*max > *min && *max - *min >= least)
		return;
	*min = c->spi_min;
	*max = c->spi_max;
	if (!say)
		return;
	LOG(NOTICE,
		"SPIs are 0x%08x..0x%08x, not 0x%08x..0x%08x as charon wants them: of those at "
		"least %" PRIu64 " must lie in the former",
		*min, *max, in->spi_min, in->spi_max, least);
}

static int
hello(struct channel_core *c, const struct ike_msg *in, struct ike_msg_hello *reply)
{
	uint32_t pid = in->body.hello.pid, min, max;
	int rc;

	memset(reply, 0, sizeof(*reply));
	strncpy(reply->build, c->build, sizeof(reply->build) - 1);
	reply->pid = getpid();
	reply->spi_min = c->spi_min;
	reply->spi_max = c->spi_max;
	reply->max_sas = sad_slots(c->sad);
	reply->max_policies = c->max_policies;
	reply->flags = c->bypasses ? IKE_HELLO_BYPASS : 0;
	if (!same_version(c, in))
		return -EPROTO;
	if (in->hdr.owner == 0 || pid == 0 || pid > INT32_MAX)
		return -EINVAL;
	c->refused_build[0] = '\0';
	/* An owner greets at each replay: it is said the first time. */
	agree_on_spis(c, &in->body.hello, owner_find(c, in->hdr.owner) == NULL, &min, &max);
	reply->spi_min = min;
	reply->spi_max = max;
	rc = owner_hello(c, in->hdr.owner, pid, min, max);
	if (rc < 0) {
		LOG(ERR, "owner %016lx (agent %u) could not be registered: %s", in->hdr.owner, pid,
			strerror(-rc));
		return rc;
	}
	return 0;
}

/* The owner has said all: what it did not say again since its HELLO is no longer wanted. */
static int
sync_done(struct channel_core *c, struct owner *o)
{
	int swept = channel_sweep_policies(c, o);

	if (swept < 0)
		return swept;
	owner_sweep_sockets(c, o);
	if (!spd_complete(c->spd))
		LOG(NOTICE, "policies are complete: %u out, %u in, %u forward",
			spd_count(c->spd, SPD_OUT), spd_count(c->spd, SPD_IN),
			spd_count(c->spd, SPD_FWD));
	spd_set_complete(c->spd, true);
	if (swept > 0)
		LOG(NOTICE, "owner %016lx: %d policies that it no longer has are deleted", o->id,
			swept);
	return 0;
}

/* What of its SAs it did not name is left of requests whose answers were lost. */
static int
sas_done(struct channel_core *c, const struct owner *o)
{
	unsigned int swept = channel_sweep_sas(c, o);

	if (swept > 0)
		LOG(NOTICE, "owner %016lx: %u SAs that it no longer has are deleted", o->id, swept);
	return 0;
}

static int
apply(struct channel_core *c, const struct ike_msg *in, uint64_t received, struct ike_msg *out)
{
	struct owner *o;

	if (in->hdr.type == IKE_HELLO)
		return hello(c, in, &out->body.hello);
	if (in->hdr.epoch != c->epoch)
		return -ESTALE;
	o = owner_find(c, in->hdr.owner);
	if (o == NULL || o->state != OWNER_ALIVE)
		return -EPERM;
	switch (in->hdr.type) {
	case IKE_GET_SPI:
		return channel_get_spi(c, o, &out->body.sa_id);
	case IKE_ADD_SA:
		return channel_add_sa(c, o, &in->body.add_sa, received);
	case IKE_UPDATE_SA:
		return channel_update_sa(c, o, &in->body.update_sa);
	case IKE_DEL_SA:
		return channel_del_sa(c, o, &in->body.sa_id);
	case IKE_QUERY_SA:
		return channel_query_sa(c, o, &in->body.sa_id, &out->body.usage);
	case IKE_ADD_POLICY:
		return channel_add_policy(c, o, &in->body.policy);
	case IKE_DEL_POLICY:
		return channel_del_policy(c, o, &in->body.policy);
	case IKE_QUERY_POLICY:
		return channel_query_policy(c, o, &in->body.policy, &out->body.usage);
	case IKE_BYPASS_SOCKET:
		return owner_socket(c, o, &in->body.socket, false);
	case IKE_UDP_DECAP:
		return owner_socket(c, o, &in->body.socket, true);
	case IKE_SYNC_DONE:
		return sync_done(c, o);
	case IKE_SAS_DONE:
		return sas_done(c, o);
	case IKE_PING:
		return 0;
	default:
		return -ENOTSUP;
	}
}

void
channel_request(
	struct channel_core *c, const struct ike_msg *in, uint64_t received, struct ike_msg *out)
{
	uint16_t type = in->hdr.type;
	uint64_t took;
	int rc;

	memset(out, 0, sizeof(*out));
	if (in->hdr.version == IKE_WIRE_VERSION && ike_reply_len(type) == in->hdr.len)
		out->body = in->body;
	rc = apply(c, in, received, out);
	out->hdr = (struct ike_hdr){
		.magic = IKE_WIRE_MAGIC,
		.version = IKE_WIRE_VERSION,
		.type = type,
		.len = ike_reply_len(type),
		.status = rc,
		.seq = in->hdr.seq,
		.epoch = c->epoch,
		.owner = in->hdr.owner,
	};
	c->stats.requests++;
	c->stats.refused += rc < 0;
	took = (c->ops->now(c->ctx) - received) / 1000;
	c->stats.latency[type][RTE_MIN(took, CHANNEL_LATENCY_US - 1ull)]++;
}

void
channel_core_tick(struct channel_core *c)
{
	uint64_t now = c->ops->now(c->ctx);

	owner_tick(c);
	channel_resyncs(c);
	channel_acquires(c);
	if (!c->timeout_told && !c->static_only && c->policies_timeout != 0 &&
		!spd_complete(c->spd) && now - c->started >= c->policies_timeout * CHANNEL_NSEC) {
		c->timeout_told = true;
		LOG(WARNING,
			"no charon has said in %u s that its policies are complete: packets "
			"between "
			"ports are dropped (policy-incomplete) until one does",
			c->policies_timeout);
	}
}

unsigned int
channel_latency_us(const struct channel_stats *stats, unsigned int type, unsigned int permille)
{
	const uint32_t *bucket = stats->latency[type < CHANNEL_TYPES ? type : 0];
	uint64_t total = 0, seen = 0;
	unsigned int i;

	for (i = 0; i < CHANNEL_LATENCY_US; i++)
		total += bucket[i];
	if (total == 0)
		return 0;
	for (i = 0; i < CHANNEL_LATENCY_US - 1; i++) {
		seen += bucket[i];
		if (seen * 1000 >= total * permille)
			break;
	}
	return i;
}
