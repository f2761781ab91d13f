/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel_core.h"

#include "log.h"

#include <string.h>

#include <rte_byteorder.h>

/*
 * Events that can be raised again leave this much room to those that cannot. Acquires stay in their
 * policies, and expiries that are told again in the SAD, until there is room.
 */
#define POLITE_ROOM 64
#define ACQUIRE_SECONDS 2
#define ACQUIRE_WALK_SHARE 20 /* walks of the SPD take at most this part of the control thread */
#define RESEND_SLICE 4096 /* slots a tick */

static bool
emit(struct channel_core *c, uint16_t type, uint64_t owner, struct ike_msg *event)
{
	event->hdr = (struct ike_hdr){
		.magic = IKE_WIRE_MAGIC,
		.version = IKE_WIRE_VERSION,
		.type = type,
		.len = ike_msg_len(type),
		.seq = ++c->event_seq,
		.epoch = c->epoch,
		.owner = owner,
	};
	return c->ops->emit(c->ctx, event);
}

static bool
emit_expire(struct channel_core *c, uint32_t slot, bool hard)
{
	const struct sa_conf *conf = &sad_cold(c->sad, slot)->conf;
	struct ike_msg event = {
		.body.expire = {.spi = conf->spi, .proto = conf->proto, .hard = hard}};

	channel_addr_to_wire(&event.body.expire.dst, &conf->dst);
	if (!emit(c, IKE_EVENT_EXPIRE, conf->owner, &event))
		return false;
	c->stats.expires++;
	return true;
}

void
channel_core_expire(struct channel_core *c, uint32_t slot, bool hard)
{
	const struct sa_conf *conf = &sad_cold(c->sad, slot)->conf;
	uint32_t spi = rte_be_to_cpu_32(conf->spi);
	struct owner *o;

	/* Policies that have no other are traps again: the next packet asks for a new SA. */
	if (hard)
		spd_unbind_sa(c->spd, c->sad, slot);
	if (conf->owner == 0) {
		LOG(NOTICE, "static SA 0x%08x: its %s lifetime ran out", spi,
			hard ? "hard" : "soft");
		return;
	}
	o = owner_find(c, conf->owner);
	if (o != NULL && o->state == OWNER_ALIVE) {
		if (!emit_expire(c, slot, hard)) {
			o->lost_events++;
			o->resync = true;
			c->stats.lost_events++;
		}
		return;
	}
	if (o != NULL)
		o->missed = true;
	/* Nobody else is left to delete it. */
	if (hard) {
		LOG(NOTICE, "orphan SA 0x%08x: its hard lifetime ran out", spi);
		channel_remove_sa(c, slot);
	}
}

void
channel_core_mapping(struct channel_core *c, const struct sa_mapping *m)
{
	const struct sa_cold *cold = sad_cold(c->sad, m->slot);
	struct ike_msg event = {
		.body.mapping = {.spi = m->spi, .remote_port = m->port, .proto = cold->conf.proto}};

	/* The packet can be older than what its slot holds now. */
	if (cold->state != SA_LIVE || cold->conf.spi != m->spi ||
		!owner_is_alive(c, cold->conf.owner) || c->ops->room(c->ctx) <= POLITE_ROOM)
		return; /* it comes again */
	channel_addr_to_wire(&event.body.mapping.dst, &cold->conf.dst);
	channel_addr_to_wire(&event.body.mapping.remote, &m->addr);
	emit(c, IKE_EVENT_MAPPING, cold->conf.owner, &event);
}

static bool
resend_expire(struct channel_core *c, uint32_t slot)
{
	const struct sa_cold *cold = sad_cold(c->sad, slot);

	if (cold->state != SA_LIVE || !(cold->soft_sent || cold->hard_sent) ||
		!owner_is_alive(c, cold->conf.owner))
		return true;
	return emit_expire(c, slot, cold->hard_sent);
}

void
channel_resend(struct channel_core *c)
{
	c->resend_at = 0;
}

/*
 * After a loss: RESYNC, once there is room, and then every expiry that still stands, as the plugin does
 * not know of which it was not told. A repeated one does no harm.
 */
void
channel_resyncs(struct channel_core *c)
{
	for (unsigned int i = 0; i < CHANNEL_MAX_OWNERS; i++) {
		struct owner *o = &c->owners[i];
		struct ike_msg event = {0};

		if (o->state != OWNER_ALIVE || !o->resync || c->ops->room(c->ctx) <= POLITE_ROOM)
			continue;
		if (!emit(c, IKE_EVENT_RESYNC, o->id, &event))
			return;
		o->resync = false;
		c->stats.resyncs++;
		channel_resend(c);
		LOG(NOTICE, "owner %016lx: %lu events lost so far; states are compared", o->id,
			o->lost_events);
	}
	for (unsigned int n = RESEND_SLICE; n > 0 && c->resend_at < sad_slots(c->sad); n--) {
		if (c->ops->room(c->ctx) <= POLITE_ROOM || !resend_expire(c, c->resend_at))
			return;
		c->resend_at++;
	}
}

/*
 * One acquire for each reqid of an owner and interval: charon ignores what comes while it negotiates. A trap for any peer
 * (its end point is 0.0.0.0 or ::) asks for each peer by itself: that is the packet's destination.
 */
static bool
acquire_due(
	struct channel_core *c, const struct spd_policy *p, const struct ip_addr *dst, uint32_t now)
{
	static const struct ip_addr any4 = {.family = 4}, any6 = {.family = 6};
	uint64_t what = sa_for(sa_owner_tag(p->conf.owner), p->reqid);
	struct acquire_rate *rate;

	if (addr_equal(&p->conf.sa_dst, &any4) || addr_equal(&p->conf.sa_dst, &any6))
		what ^= (dst->v6[0] * 0x9e3779b97f4a7c15u ^ dst->v6[1] * 0xff51afd7ed558ccdu) &
			0xffffffff00000000u;
	rate = &c->rates[(what ^ what >> 32) * 2654435761u >> 16 & (CHANNEL_ACQUIRE_RATES - 1)];
	if (rate->what == what && (int32_t)(now - rate->until) < 0)
		return false;
	rate->what = what;
	rate->until = now + ACQUIRE_SECONDS;
	return true;
}

/* The packet as a selector of one address and port each; ports that were not to be seen are any. */
static void
packet_to_wire(struct ike_selector *to, const struct spd_key *key, uint8_t family)
{
	memset(to, 0, sizeof(*to));
	to->src.family = to->dst.family = family;
	if (family == 4) {
		memcpy(to->src.b, &key->src4, sizeof(key->src4));
		memcpy(to->dst.b, &key->dst4, sizeof(key->dst4));
	} else {
		memcpy(to->src.b, key->src6, sizeof(key->src6));
		memcpy(to->dst.b, key->dst6, sizeof(key->dst6));
	}
	to->src_plen = to->dst_plen = family == 4 ? 32 : 128;
	to->proto = key->proto;
	to->src_port_lo = key->no_ports ? 0 : key->src_port;
	to->src_port_hi = key->no_ports ? UINT16_MAX : key->src_port;
	to->dst_port_lo = key->no_ports ? 0 : key->dst_port;
	to->dst_port_hi = key->no_ports ? UINT16_MAX : key->dst_port;
}

static void
acquire(void *ctx, struct spd_policy *p)
{
	struct channel_core *c = ctx;
	struct ike_msg event = {0};
	struct ip_addr dst;

	if (atomic_load_explicit(&p->acquire, memory_order_acquire) != SPD_ACQUIRE_READY)
		return;
	/* A lcore says it again with the next packet that finds no SA. */
	if (p->conf.dir != SPD_OUT || p->action != SPD_PROTECT || p->sa != SPD_NO_SA ||
		!owner_is_alive(c, p->conf.owner)) {
		atomic_store_explicit(&p->acquire, SPD_ACQUIRE_IDLE, memory_order_relaxed);
		return;
	}
	if (c->ops->room(c->ctx) <= POLITE_ROOM)
		return;
	/* A key does not say its family in each path of lookup: the policy does. */
	packet_to_wire(&event.body.acquire.packet, &p->trigger, p->conf.sel.src.family);
	event.body.acquire.reqid = p->reqid;
	atomic_store_explicit(&p->acquire, SPD_ACQUIRE_IDLE, memory_order_release);
	channel_addr_from_wire(&dst, &event.body.acquire.packet.dst);
	if (acquire_due(c, p, &dst, c->ops->now(c->ctx) / CHANNEL_NSEC) &&
		emit(c, IKE_EVENT_ACQUIRE, p->conf.owner, &event))
		c->stats.acquires++;
}

/* A walk at 100,000 policies costs milliseconds: then it is done less often than each tick. */
void
channel_acquires(struct channel_core *c)
{
	uint64_t start = c->ops->now(c->ctx);

	if (start < c->next_acquire_walk)
		return;
	spd_foreach(c->spd, acquire, c);
	c->next_acquire_walk = start + ACQUIRE_WALK_SHARE * (c->ops->now(c->ctx) - start);
}
