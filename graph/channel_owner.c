/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel_core.h"

#include "log.h"

#include <errno.h>
#include <string.h>

struct owner *
owner_find(struct channel_core *c, uint64_t id)
{
	for (unsigned int i = 0; i < CHANNEL_MAX_OWNERS; i++)
		if (c->owners[i].state != OWNER_NONE && c->owners[i].id == id)
			return &c->owners[i];
	return NULL;
}

bool
owner_is_alive(const struct channel_core *c, uint64_t id)
{
	for (unsigned int i = 0; i < CHANNEL_MAX_OWNERS; i++)
		if (c->owners[i].state == OWNER_ALIVE && c->owners[i].id == id)
			return true;
	return false;
}

#define ROUTER UINT32_MAX /* as the claimer of a key slot: no process has that id */

/* An agent that was killed leaves its key slots taken, with the keys. It may live yet, and give one away while we look. */
static void
free_slots(struct channel_core *c, int agent)
{
	for (unsigned int i = 0; i < IKE_KEY_SLOTS; i++) {
		struct ike_key_slot *slot = &c->slots[i];
		uint32_t claimer = agent;

		if (!atomic_compare_exchange_strong(&slot->claimer, &claimer, ROUTER))
			continue;
		explicit_bzero(slot->key, sizeof(slot->key));
		slot->len = 0;
		atomic_store(&slot->claimer, 0);
	}
}

/*
 * The sockets of all owners as lcores shall see them. Of a dead owner only ESP in UDP is left: its SAs
 * go on, and nobody listens for IKE.
 */
static int
publish_sockets(struct channel_core *c)
{
	struct worker_sockets all = {0};

	for (unsigned int i = 0; i < CHANNEL_MAX_OWNERS; i++) {
		const struct owner *o = &c->owners[i];

		if (o->state != OWNER_ALIVE && o->state != OWNER_ORPHANED)
			continue;
		for (unsigned int j = 0; j < o->n_sockets; j++) {
			const struct owner_socket *s = &o->sockets[j];
			bool ike = s->ike && o->state == OWNER_ALIVE;
			unsigned int at = 0;

			if (!ike && !s->decap)
				continue;
			while (at < all.n && (!addr_equal(&all.s[at].addr, &s->addr) ||
						     all.s[at].port != s->port))
				at++;
			if (at == WORKER_MAX_SOCKETS)
				return -ENOSPC;
			all.n = RTE_MAX(all.n, at + 1);
			all.s[at].addr = s->addr;
			all.s[at].port = s->port;
			all.s[at].ike |= ike;
			all.s[at].decap |= s->decap;
		}
	}
	return c->ops->set_sockets(c->ctx, &all);
}

static int
end_grace(struct channel_core *c, struct owner *o)
{
	unsigned int sas;
	/* Policies first: nothing finds a policy with neither SA nor DISCARD. */
	int policies = channel_discard_policies(c, o->id);

	if (policies < 0) {
		LOG(ERR, "owner %016lx: no memory to end its policies; trying again", o->id);
		return policies;
	}
	sas = channel_remove_sas_of(c, o->id);
	o->state = OWNER_GONE;
	o->missed = true;
	o->n_sockets = 0;
	publish_sockets(c);
	LOG(WARNING,
		"owner %016lx: dead for %llu s: %u SAs are deleted, %d policies discard from now "
		"on",
		o->id, (c->ops->now(c->ctx) - o->died) / CHANNEL_NSEC, sas, policies);
	return 0;
}

/* The owner in that state that died first; NULL: none is. */
static struct owner *
longest_dead(struct channel_core *c, enum owner_state state)
{
	struct owner *oldest = NULL;

	for (unsigned int i = 0; i < CHANNEL_MAX_OWNERS; i++) {
		struct owner *o = &c->owners[i];

		if (o->state == state && (oldest == NULL || o->died < oldest->died))
			oldest = o;
	}
	return oldest;
}

/* A free entry, or that of one who is dead: a charon that dies again and again must not be locked out by its orphans. */
static struct owner *
take_entry(struct channel_core *c)
{
	struct owner *o = longest_dead(c, OWNER_NONE);

	if (o == NULL)
		o = longest_dead(c, OWNER_GONE);
	if (o != NULL)
		return o;
	o = longest_dead(c, OWNER_ORPHANED);
	return o != NULL && end_grace(c, o) == 0 ? o : NULL;
}

int
owner_hello(struct channel_core *c, uint64_t id, int pid, uint32_t spi_min, uint32_t spi_max)
{
	struct owner *o = owner_find(c, id);
	bool known = o != NULL;
	int rc;

	if (!known)
		o = take_entry(c);
	if (o == NULL)
		return -ENOSPC;
	rc = c->ops->watch(c->ctx, o - c->owners, pid);
	if (rc < 0)
		return rc;
	if (!known)
		*o = (struct owner){.id = id};
	if (known && o->pid != pid)
		free_slots(c, o->pid);
	LOG(INFO, "owner %016lx: agent %d%s", id, pid,
		!known			     ? ""
		: o->state == OWNER_ALIVE    ? ", again"
		: o->state == OWNER_ORPHANED ? ", back from the dead"
					     : ", back after its grace time");
	o->state = OWNER_ALIVE;
	o->pid = pid;
	o->spi_min = spi_min;
	o->spi_max = spi_max;
	o->session++;
	o->replay_from = c->spd_order;
	o->resync |= o->missed;
	o->missed = false;
	publish_sockets(c);
	/* What was on its way to an agent that died, or found no room behind it, nobody knows. */
	if (known)
		channel_resend(c);
	return 0;
}

void
owner_died(struct channel_core *c, unsigned int entry)
{
	struct owner *o = &c->owners[entry];

	if (o->state != OWNER_ALIVE)
		return;
	o->state = OWNER_ORPHANED;
	o->died = c->ops->now(c->ctx);
	o->resync = false;
	c->ops->watch(c->ctx, entry, 0);
	free_slots(c, o->pid);
	publish_sockets(c);
	LOG(WARNING, "owner %016lx: its agent %d is dead; its SAs go on for %u s", o->id, o->pid,
		c->orphan_grace);
}

void
owner_tick(struct channel_core *c)
{
	uint64_t now = c->ops->now(c->ctx);

	for (unsigned int i = 0; i < CHANNEL_MAX_OWNERS; i++) {
		struct owner *o = &c->owners[i];

		if (o->state == OWNER_ORPHANED && now - o->died >= c->orphan_grace * CHANNEL_NSEC)
			end_grace(c, o);
	}
}

static int
add_socket(struct owner *o, const struct ip_addr *addr, uint16_t port, bool decap)
{
	struct owner_socket *s = o->sockets;
	unsigned int i = 0;

	while (i < o->n_sockets && (s[i].port != port || !addr_equal(&s[i].addr, addr)))
		i++;
	if (i == WORKER_MAX_SOCKETS)
		return -ENOSPC;
	if (i == o->n_sockets)
		s[o->n_sockets++] = (struct owner_socket){.addr = *addr, .port = port};
	s[i].ike |= !decap;
	s[i].decap |= decap;
	s[i].session = o->session;
	return 0;
}

int
owner_socket(struct channel_core *c, struct owner *o, const struct ike_msg_socket *s, bool decap)
{
	struct ip_addr addr = {0};
	int rc;

	if (s->port == 0 || (s->addr.family != 4 && s->addr.family != 6 && s->addr.family != 0))
		return -EINVAL;
	/* UDP_DECAP names a port alone. */
	if (!decap)
		channel_addr_from_wire(&addr, &s->addr);
	rc = add_socket(o, &addr, s->port, decap);
	return rc < 0 ? rc : publish_sockets(c);
}

void
owner_sweep_sockets(struct channel_core *c, struct owner *o)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < o->n_sockets; i++)
		if (o->sockets[i].session == o->session)
			o->sockets[n++] = o->sockets[i];
	if (n != o->n_sockets) {
		o->n_sockets = n;
		publish_sockets(c);
	}
}
