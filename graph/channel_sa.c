/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel_core.h"

#include "log.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <rte_byteorder.h>

/*
 * An ADD_SA that waited longer is refused: its requester may have timed out, and its key slot may hold
 * another SA's key by now. Half of the shortest time-out of the plugin.
 */
#define ADD_SA_MAX_AGE (CHANNEL_NSEC / 2)

/* Whether an end of an SA is where the request says; family 0 says nothing. */
static bool
same_end(const struct ip_addr *end, const struct ip_addr *said)
{
	return said->family == 0 || addr_equal(end, said);
}

/*
 * The owner's SA of that SPI. The peer chose outbound SPIs and may have chosen one of ours: the
 * destination tells them apart.
 */
static int
find_own(struct channel_core *c, const struct owner *o, const struct ike_msg_sa_id *id,
	uint32_t *slot)
{
	struct ip_addr dst;

	channel_addr_from_wire(&dst, &id->dst);
	if (sad_find(c->sad, SA_DIR_IN, id->proto, id->spi, &dst, slot) == 0 &&
		sad_cold(c->sad, *slot)->conf.owner == o->id &&
		same_end(&sad_cold(c->sad, *slot)->conf.dst, &dst))
		return 0;
	if (sad_find(c->sad, SA_DIR_OUT, id->proto, id->spi, &dst, slot) == 0 &&
		sad_cold(c->sad, *slot)->conf.owner == o->id)
		return 0;
	return -ENOENT;
}

int
channel_get_spi(struct channel_core *c, const struct owner *o, struct ike_msg_sa_id *id)
{
	struct ip_addr dst;
	int rc;

	channel_addr_from_wire(&dst, &id->dst);
	id->spi = 0;
	if ((id->proto != IPPROTO_ESP && id->proto != IPPROTO_AH) ||
		(dst.family != 4 && dst.family != 6))
		return -EINVAL;
	rc = sad_get_spi_within(c->sad, o->id, id->proto, &dst, o->spi_min, o->spi_max, &id->spi);
	if (rc < 0)
		LOG(ERR, "no SPI for owner %016lx: %s", o->id, strerror(-rc));
	return rc;
}

/* Takes the key out of its slot, which is wiped whatever the answer. */
static int
take_key(struct channel_core *c, const struct ike_msg_add_sa *m, uint8_t key[IKE_KEY_MAX])
{
	uint32_t want = (uint32_t)m->enc_key_len + m->int_key_len, len;
	struct ike_key_slot *slot;

	if (m->key_slot >= IKE_KEY_SLOTS)
		return -EINVAL;
	slot = &c->slots[m->key_slot];
	len = *(volatile uint32_t *)&slot->len; /* shared with the agent: read once */
	if (len == want && len <= IKE_KEY_MAX)
		memcpy(key, slot->key, len);
	explicit_bzero(slot->key, sizeof(slot->key));
	slot->len = 0;
	return len == want && len <= IKE_KEY_MAX ? 0 : -EINVAL;
}

static void
sa_conf_from_wire(struct sa_conf *conf, const struct ike_msg_add_sa *m,
	const struct channel_core *c, uint64_t owner)
{
	*conf = (struct sa_conf){
		.life =
			{
				.time_soft = m->life.time_soft,
				.time_hard = m->life.time_hard,
				.bytes_soft = m->life.bytes_soft,
				.bytes_hard = m->life.bytes_hard,
				.packets_soft = m->life.packets_soft,
				.packets_hard = m->life.packets_hard,
			},
		.owner = owner,
		.spi = m->id.spi,
		.reqid = m->id.reqid,
		.replay_window = m->replay_window,
		.tfc = m->tfc,
		.if_id = m->if_id,
		.mark = m->mark,
		.mark_mask = m->mark_mask,
		.flags = m->flags & ~SA_CONF_INSECURE_TEST,
		.src_port = m->src_port,
		.dst_port = m->dst_port,
		.enc_alg = m->enc_alg,
		.enc_key_len = m->enc_key_len,
		.int_alg = m->int_alg,
		.int_key_len = m->int_key_len,
		.dir = m->dir, /* IKE_DIR_IN and _OUT are SA_DIR_IN and _OUT */
		.mode = m->mode,
		.proto = m->id.proto,
		.fragment = c->fragment,
	};
	channel_addr_from_wire(&conf->src, &m->id.src);
	channel_addr_from_wire(&conf->dst, &m->id.dst);
}

_Static_assert(IKE_DIR_IN == SA_DIR_IN && IKE_DIR_OUT == SA_DIR_OUT, "directions of SAs");
_Static_assert(IKE_MODE_TUNNEL == SA_MODE_TUNNEL && IKE_MODE_TRANSPORT == SA_MODE_TRANSPORT,
	"modes of SAs");
_Static_assert(IKE_KEY_MAX == SA_KEY_MAX, "lengths of keys");

/* The peer gave its SPI of a dead owner's SA away again: the orphan is no use any more. */
static void
yield_orphan(struct channel_core *c, const struct sa_conf *conf)
{
	uint32_t slot;

	if (conf->dir != SA_DIR_OUT ||
		sad_find(c->sad, SA_DIR_OUT, conf->proto, conf->spi, &conf->dst, &slot) < 0)
		return;
	if (sad_cold(c->sad, slot)->conf.owner != 0 &&
		!owner_is_alive(c, sad_cold(c->sad, slot)->conf.owner))
		channel_remove_sa(c, slot);
}

int
channel_add_sa(struct channel_core *c, const struct owner *o, const struct ike_msg_add_sa *m,
	uint64_t received)
{
	uint8_t key[IKE_KEY_MAX] = {0};
	const char *why = "";
	struct sa_conf conf;
	uint32_t slot;
	int rc;

	/* Too old: the slot is not touched either, as its new user may be writing it. */
	if (c->ops->now(c->ctx) - received > ADD_SA_MAX_AGE)
		return -ETIMEDOUT;
	rc = take_key(c, m, key);
	if (rc < 0) {
		why = "its key slot does not hold its key";
	} else {
		sa_conf_from_wire(&conf, m, c, o->id);
		yield_orphan(c, &conf);
		rc = sad_add(c->sad, &conf, key, m->flags & IKE_SA_UPDATE, &slot, &why);
	}
	explicit_bzero(key, sizeof(key));
	if (rc < 0) {
		LOG(ERR, "SA 0x%08x of reqid %u refused: %s: %s", rte_be_to_cpu_32(m->id.spi),
			m->id.reqid, strerror(-rc), why);
		return rc;
	}
	sad_set_session(c->sad, slot, o->session);
	if (conf.dir == SA_DIR_OUT)
		spd_bind_sa(c->spd, &conf, slot);
	return 0;
}

int
channel_update_sa(struct channel_core *c, const struct owner *o, const struct ike_msg_update_sa *m)
{
	struct sa_end_points to = {.src_port = m->new_src_port,
		.dst_port = m->new_dst_port,
		.reqid = m->new_reqid,
		.encap = m->flags & IKE_SA_ENCAP};
	const char *why = "";
	uint32_t slot;
	int rc = find_own(c, o, &m->id, &slot);

	if (rc < 0)
		return rc;
	sad_set_session(c->sad, slot, o->session);
	channel_addr_from_wire(&to.src, &m->new_src);
	channel_addr_from_wire(&to.dst, &m->new_dst);
	rc = sad_update(c->sad, slot, &to, &why);
	if (rc < 0 && rc != -EAGAIN)
		LOG(ERR, "SA 0x%08x keeps its end points: %s: %s", rte_be_to_cpu_32(m->id.spi),
			strerror(-rc), why);
	return rc;
}

void
channel_remove_sa(struct channel_core *c, uint32_t slot)
{
	spd_unbind_sa(c->spd, c->sad, slot);
	sad_del(c->sad, slot);
}

int
channel_del_sa(struct channel_core *c, const struct owner *o, const struct ike_msg_sa_id *id)
{
	uint32_t slot;
	int rc = find_own(c, o, id, &slot);

	if (rc < 0)
		return rc;
	spd_unbind_sa(c->spd, c->sad, slot);
	return sad_retire(c->sad, slot);
}

int
channel_query_sa(struct channel_core *c, const struct owner *o, const struct ike_msg_sa_id *id,
	struct ike_msg_usage *usage)
{
	const struct sa_conf *conf;
	struct sa_usage sum;
	struct ip_addr src;
	uint32_t slot;
	int rc = find_own(c, o, id, &slot);

	if (rc < 0)
		return rc;
	/* One from another address than its owner says, or of another reqid, has missed a change: it is not what that believes in. */
	conf = &sad_cold(c->sad, slot)->conf;
	channel_addr_from_wire(&src, &id->src);
	if (!same_end(&conf->src, &src) || (id->reqid != 0 && id->reqid != conf->reqid))
		return -ENOENT;
	sad_set_session(c->sad, slot, o->session);
	sad_usage(c->sad, slot, &sum);
	usage->bytes = sum.bytes;
	usage->packets = sum.packets;
	usage->last_use = sum.last_use;
	return 0;
}

unsigned int
channel_remove_sas_of(struct channel_core *c, uint64_t owner)
{
	unsigned int n = 0;

	for (uint32_t slot = 0; slot < sad_slots(c->sad); slot++) {
		const struct sa_cold *cold = sad_cold(c->sad, slot);

		if (cold->conf.owner != owner ||
			(cold->state != SA_LARVAL && cold->state != SA_LIVE))
			continue;
		channel_remove_sa(c, slot);
		n++;
	}
	return n;
}

unsigned int
channel_sweep_sas(struct channel_core *c, const struct owner *o)
{
	unsigned int n = 0;

	for (uint32_t slot = 0; slot < sad_slots(c->sad); slot++) {
		const struct sa_cold *cold = sad_cold(c->sad, slot);

		/* Reservations expire by themselves. */
		if (cold->state != SA_LIVE || cold->conf.owner != o->id ||
			cold->session == o->session)
			continue;
		channel_remove_sa(c, slot);
		n++;
	}
	return n;
}
