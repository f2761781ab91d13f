/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "desired.h"

#include <search.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define TELL_AGAIN_MS 3000 /* twice as long each time */
#define TELL_AGAIN_MAX_MS 60000

/* One policy as charon added it, as often as it did. */
struct candidate {
	TAILQ_ENTRY(candidate) next;
	struct ike_msg_policy policy;
	uint32_t auto_priority;
	uint32_t own_spi; /* of whose CHILD_SA it is; the router does not hear it */
	unsigned int refs;
};

/* What makes two policies the same for a packet; the tree is in the order of its bytes. */
struct key {
	struct ike_selector sel;
	uint32_t dir;
	uint32_t if_id, mark, mark_mask;
};

struct policy_entry {
	struct key key; /* first: what tfind() compares */
	TAILQ_ENTRY(policy_entry) next;
	TAILQ_HEAD(, candidate) list; /* best first */
	uint32_t replayed; /* in which replay it was sent */
};

struct sa_entry {
	struct key_of_sa {
		struct ike_addr dst;
		uint32_t spi, proto;
	} key;
	struct desired_sa sa;
	TAILQ_ENTRY(sa_entry) next;
	uint32_t asked; /* in which comparison it was, or need not be */
	bool dead; /* then it is in the other list */
	uint64_t tell_at, pause; /* ms */
};

struct desired {
	void *policies; /* tree of struct policy_entry */
	TAILQ_HEAD(policy_entries, policy_entry) entries; /* in the order of the last replay */
	unsigned int n_policies;
	void *sas; /* tree of struct sa_entry */
	TAILQ_HEAD(sa_entries, sa_entry)
	sa_list, dead; /* the first: those not asked for come first */
	unsigned int n_dead;
	struct ike_msg_socket *sockets;
	uint16_t *decaps;
	unsigned int n_sockets, n_decaps;
	uint32_t replay, comparison;
	unsigned int replay_socket, replay_decap;
};

static int
compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct key));
}

/* Without what stands behind them: in the same order. */
static int
compare_selectors(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(struct key, if_id));
}

static int
compare_sa_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct key_of_sa));
}

struct desired *
desired_create(void)
{
	struct desired *d = calloc(1, sizeof(*d));

	if (d != NULL) {
		TAILQ_INIT(&d->entries);
		TAILQ_INIT(&d->sa_list);
		TAILQ_INIT(&d->dead);
	}
	return d;
}

static void
free_entry(struct desired *d, struct policy_entry *e)
{
	struct candidate *c;

	while ((c = TAILQ_FIRST(&e->list)) != NULL) {
		TAILQ_REMOVE(&e->list, c, next);
		free(c);
	}
	TAILQ_REMOVE(&d->entries, e, next);
	tdelete(e, &d->policies, compare_keys);
	d->n_policies--;
	free(e);
}

static void
free_sa(struct desired *d, struct sa_entry *e)
{
	if (e->dead) {
		TAILQ_REMOVE(&d->dead, e, next);
		d->n_dead--;
	} else {
		TAILQ_REMOVE(&d->sa_list, e, next);
	}
	tdelete(e, &d->sas, compare_sa_keys);
	free(e);
}

void
desired_destroy(struct desired *d)
{
	if (d == NULL)
		return;
	while (!TAILQ_EMPTY(&d->entries))
		free_entry(d, TAILQ_FIRST(&d->entries));
	while (!TAILQ_EMPTY(&d->sa_list))
		free_sa(d, TAILQ_FIRST(&d->sa_list));
	while (!TAILQ_EMPTY(&d->dead))
		free_sa(d, TAILQ_FIRST(&d->dead));
	free(d->sockets);
	free(d->decaps);
	free(d);
}

static void
make_key(struct key *key, const struct ike_msg_policy *p)
{
	memset(key, 0, sizeof(*key));
	key->sel = p->sel;
	key->if_id = p->if_id;
	key->mark = p->mark;
	key->mark_mask = p->mark_mask;
	key->dir = p->dir;
}

static struct policy_entry *
find_entry(const struct desired *d, const struct key *key)
{
	struct policy_entry **found = tfind(key, (void *const *)&d->policies, compare_keys);

	return found != NULL ? *found : NULL;
}

static struct policy_entry *
make_entry(struct desired *d, const struct key *key)
{
	struct policy_entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->key = *key;
	TAILQ_INIT(&e->list);
	if (tsearch(e, &d->policies, compare_keys) == NULL) {
		free(e);
		return NULL;
	}
	/* Who makes it sends it: a replay under way need not. */
	e->replayed = d->replay;
	TAILQ_INSERT_TAIL(&d->entries, e, next);
	d->n_policies++;
	return e;
}

/* Whether a goes before b that was added earlier; kernel-netlink's rule. */
static bool
goes_before(const struct candidate *a, const struct candidate *b)
{
	if (a->policy.priority != b->policy.priority)
		return a->policy.priority < b->policy.priority;
	if (a->auto_priority != b->auto_priority)
		return a->auto_priority < b->auto_priority;
	return a->policy.reqid != 0 || b->policy.reqid == 0;
}

/* The same priorities, type and SA: another reference of it. */
static bool
same_candidate(const struct candidate *c, const struct ike_msg_policy *p, uint32_t auto_priority,
	uint32_t own_spi)
{
	const struct ike_msg_policy *a = &c->policy;

	return a->priority == p->priority && c->auto_priority == auto_priority &&
	       c->own_spi == own_spi && a->action == p->action && a->spi == p->spi &&
	       a->reqid == p->reqid && a->mode == p->mode && a->proto == p->proto &&
	       memcmp(&a->src, &p->src, sizeof(a->src)) == 0 &&
	       memcmp(&a->dst, &p->dst, sizeof(a->dst)) == 0;
}

static struct candidate *
find_candidate(struct policy_entry *e, const struct ike_msg_policy *policy, uint32_t auto_priority,
	uint32_t own_spi)
{
	struct candidate *c;

	TAILQ_FOREACH (c, &e->list, next) {
		if (same_candidate(c, policy, auto_priority, own_spi))
			return c;
	}
	return NULL;
}

static void
insert(struct policy_entry *e, struct candidate *new)
{
	struct candidate *c;

	TAILQ_FOREACH (c, &e->list, next) {
		if (goes_before(new, c)) {
			TAILQ_INSERT_BEFORE(c, new, next);
			return;
		}
	}
	TAILQ_INSERT_TAIL(&e->list, new, next);
}

/* What became of a selector whose best policy was this one; *best is it now. */
static enum desired_change
changed(const struct policy_entry *e, const struct ike_msg_policy *was, struct ike_msg_policy *best)
{
	*best = TAILQ_FIRST(&e->list)->policy;
	/* Of another CHILD_SA, as after each rekey, it may be the same for the router. */
	return memcmp(best, was, sizeof(*best)) == 0 ? DESIRED_SAME : DESIRED_SET;
}

enum desired_change
desired_add_policy(struct desired *d, const struct ike_msg_policy *policy, uint32_t auto_priority,
	uint32_t own_spi, struct ike_msg_policy *best)
{
	struct ike_msg_policy was;
	struct candidate *c;
	struct policy_entry *e;
	struct key key;
	bool had;

	make_key(&key, policy);
	e = find_entry(d, &key);
	if (e == NULL)
		e = make_entry(d, &key);
	if (e == NULL)
		return DESIRED_NO_MEMORY;
	had = !TAILQ_EMPTY(&e->list);
	if (had)
		was = TAILQ_FIRST(&e->list)->policy;
	c = find_candidate(e, policy, auto_priority, own_spi);
	if (c != NULL) {
		/* Added again, it is the newest again. */
		c->refs++;
		TAILQ_REMOVE(&e->list, c, next);
	} else {
		c = calloc(1, sizeof(*c));
		if (c == NULL) {
			if (!had)
				free_entry(d, e);
			return DESIRED_NO_MEMORY;
		}
		c->policy = *policy;
		c->auto_priority = auto_priority;
		c->own_spi = own_spi;
		c->refs = 1;
	}
	insert(e, c);
	if (had)
		return changed(e, &was, best);
	*best = *policy;
	return DESIRED_SET;
}

enum desired_change
desired_del_policy(struct desired *d, const struct ike_msg_policy *policy, uint32_t auto_priority,
	uint32_t own_spi, struct ike_msg_policy *best)
{
	struct ike_msg_policy was;
	struct policy_entry *e;
	struct candidate *c;
	struct key key;

	make_key(&key, policy);
	e = find_entry(d, &key);
	c = e != NULL ? find_candidate(e, policy, auto_priority, own_spi) : NULL;
	if (c == NULL)
		return DESIRED_UNKNOWN;
	*best = was = TAILQ_FIRST(&e->list)->policy;
	if (--c->refs > 0)
		return DESIRED_SAME;
	TAILQ_REMOVE(&e->list, c, next);
	free(c);
	if (TAILQ_EMPTY(&e->list)) {
		free_entry(d, e);
		return DESIRED_GONE;
	}
	return changed(e, &was, best);
}

bool
desired_take_policy(struct desired *d, struct ike_msg_policy *best)
{
	struct policy_entry *e = TAILQ_FIRST(&d->entries);

	if (e == NULL)
		return false;
	*best = TAILQ_FIRST(&e->list)->policy;
	free_entry(d, e);
	return true;
}

bool
desired_best(
	const struct desired *d, const struct ike_msg_policy *policy, struct ike_msg_policy *best)
{
	const struct policy_entry *e;
	struct key key;

	make_key(&key, policy);
	e = find_entry(d, &key);
	if (e == NULL)
		return false;
	*best = TAILQ_FIRST(&e->list)->policy;
	return true;
}

bool
desired_has_policy(const struct desired *d, const struct ike_msg_policy *policy)
{
	const struct policy_entry *e;
	struct key key;

	make_key(&key, policy);
	/* Most often there is none, and the tree says so at once. */
	if (tfind(&key, (void *const *)&d->policies, compare_selectors) == NULL)
		return false;
	TAILQ_FOREACH (e, &d->entries, next)
		if (compare_selectors(&key, e) == 0 &&
			TAILQ_FIRST(&e->list)->policy.reqid == policy->reqid)
			return true;
	return false;
}

void
desired_each_policy(const struct desired *d,
	void (*fn)(void *ctx, const struct ike_msg_policy *policy), void *ctx)
{
	const struct policy_entry *e;

	TAILQ_FOREACH (e, &d->entries, next)
		fn(ctx, &TAILQ_FIRST(&e->list)->policy);
}

unsigned int
desired_policies(const struct desired *d)
{
	return d->n_policies;
}

bool
desired_add_socket(struct desired *d, const struct ike_msg_socket *socket)
{
	struct ike_msg_socket *v;

	for (unsigned int i = 0; i < d->n_sockets; i++)
		if (memcmp(&d->sockets[i], socket, sizeof(*socket)) == 0)
			return true;
	v = reallocarray(d->sockets, d->n_sockets + 1, sizeof(*v));
	if (v == NULL)
		return false;
	d->sockets = v;
	v[d->n_sockets++] = *socket;
	return true;
}

bool
desired_add_decap(struct desired *d, uint16_t port)
{
	uint16_t *v;

	for (unsigned int i = 0; i < d->n_decaps; i++)
		if (d->decaps[i] == port)
			return true;
	v = reallocarray(d->decaps, d->n_decaps + 1, sizeof(*v));
	if (v == NULL)
		return false;
	d->decaps = v;
	v[d->n_decaps++] = port;
	return true;
}

static void
make_sa_key(struct key_of_sa *key, const struct ike_msg_sa_id *id)
{
	memset(key, 0, sizeof(*key));
	key->dst = id->dst;
	key->spi = id->spi;
	key->proto = id->proto;
}

static void
revive(struct desired *d, struct sa_entry *e)
{
	if (!e->dead)
		return;
	e->dead = false;
	d->n_dead--;
	TAILQ_REMOVE(&d->dead, e, next);
	e->asked = d->comparison;
	TAILQ_INSERT_TAIL(&d->sa_list, e, next);
}

bool
desired_add_sa(struct desired *d, const struct desired_sa *sa)
{
	struct sa_entry *e = calloc(1, sizeof(*e)), **found;

	if (e == NULL)
		return false;
	make_sa_key(&e->key, &sa->id);
	e->sa = *sa;
	e->asked = d->comparison; /* one that is under way does not mean it */
	found = tsearch(e, &d->sas, compare_sa_keys);
	if (found == NULL || *found != e) {
		if (found != NULL) {
			(*found)->sa = *sa;
			revive(d, *found);
		}
		free(e);
		return found != NULL;
	}
	TAILQ_INSERT_TAIL(&d->sa_list, e, next);
	return true;
}

static struct sa_entry *
find_sa(const struct desired *d, const struct ike_msg_sa_id *id)
{
	struct sa_entry **found;
	struct key_of_sa key;

	make_sa_key(&key, id);
	found = tfind(&key, (void *const *)&d->sas, compare_sa_keys);
	return found != NULL ? *found : NULL;
}

bool
desired_find_sa(const struct desired *d, const struct ike_msg_sa_id *id, struct desired_sa *sa)
{
	const struct sa_entry *e = find_sa(d, id);

	if (e != NULL)
		*sa = e->sa;
	return e != NULL;
}

bool
desired_spare_sa(struct desired *d, const struct ike_msg_sa_id *id)
{
	struct sa_entry *e = find_sa(d, id);

	if (e == NULL || e->sa.refused == 0)
		return false;
	e->sa.refused--;
	return true;
}

bool
desired_del_sa(struct desired *d, const struct ike_msg_sa_id *id, struct desired_sa *was)
{
	struct sa_entry *e = find_sa(d, id);

	if (e == NULL)
		return false;
	*was = e->sa;
	free_sa(d, e);
	return true;
}

bool
desired_move_sa(struct desired *d, const struct ike_msg_sa_id *old, const struct desired_sa *sa)
{
	struct sa_entry *e = find_sa(d, old);

	if (e == NULL)
		return false;
	free_sa(d, e);
	if (!desired_add_sa(d, sa))
		return false;
	e = find_sa(d, &sa->id);
	e->asked = d->comparison - 1;
	TAILQ_REMOVE(&d->sa_list, e, next);
	TAILQ_INSERT_HEAD(&d->sa_list, e, next);
	return true;
}

static bool
kill_sa(struct desired *d, struct sa_entry *e, bool tell, uint64_t now_ms)
{
	if (!tell || e->sa.doomed) {
		free_sa(d, e);
		return false;
	}
	TAILQ_REMOVE(&d->sa_list, e, next);
	TAILQ_INSERT_TAIL(&d->dead, e, next);
	d->n_dead++;
	e->dead = true;
	e->pause = TELL_AGAIN_MS;
	e->tell_at = now_ms + e->pause;
	return true;
}

bool
desired_kill_sa(struct desired *d, const struct ike_msg_sa_id *id, uint64_t now_ms)
{
	struct sa_entry *e = find_sa(d, id);

	return e != NULL && !e->dead && kill_sa(d, e, true, now_ms);
}

bool
desired_kill_stale_sa(
	struct desired *d, uint64_t epoch, uint64_t now_ms, struct desired_sa *sa, bool *tell)
{
	struct sa_entry *e;

	TAILQ_FOREACH (e, &d->sa_list, next) {
		if (e->sa.epoch == epoch)
			continue;
		*sa = e->sa;
		/* The inbound one is enough: charon makes both anew. */
		*tell = kill_sa(d, e, e->sa.inbound, now_ms);
		return true;
	}
	return false;
}

bool
desired_next_dead_sa(struct desired *d, uint64_t now_ms, struct desired_sa *sa)
{
	struct sa_entry *e;

	TAILQ_FOREACH (e, &d->dead, next) {
		if (e->tell_at > now_ms)
			continue;
		e->pause = e->pause < TELL_AGAIN_MAX_MS / 2 ? 2 * e->pause : TELL_AGAIN_MAX_MS;
		e->tell_at = now_ms + e->pause;
		*sa = e->sa;
		return true;
	}
	return false;
}

unsigned int
desired_dead_sas(const struct desired *d)
{
	return d->n_dead;
}

void
desired_compare_sas(struct desired *d)
{
	d->comparison++;
}

bool
desired_next_sa(const struct desired *d, struct desired_sa *sa)
{
	const struct sa_entry *e;

	TAILQ_FOREACH (e, &d->sa_list, next) {
		if (e->asked == d->comparison)
			return false;
		if (e->sa.moving)
			continue;
		*sa = e->sa;
		return true;
	}
	return false;
}

bool
desired_asked_sa(struct desired *d, const struct ike_msg_sa_id *id)
{
	struct sa_entry *e = find_sa(d, id);

	if (e == NULL || e->dead || e->asked == d->comparison)
		return false;
	e->asked = d->comparison;
	TAILQ_REMOVE(&d->sa_list, e, next);
	TAILQ_INSERT_TAIL(&d->sa_list, e, next);
	return true;
}

bool
desired_sas_move(const struct desired *d)
{
	const struct sa_entry *e;

	TAILQ_FOREACH (e, &d->sa_list, next) {
		if (e->asked == d->comparison)
			return false;
		if (e->sa.moving)
			return true;
	}
	return false;
}

bool
desired_any_sa(const struct desired *d, struct desired_sa *sa)
{
	const struct sa_entry *e = TAILQ_FIRST(&d->sa_list);

	if (e != NULL)
		*sa = e->sa;
	return e != NULL;
}

void
desired_each_sa(
	const struct desired *d, void (*fn)(void *ctx, const struct desired_sa *sa), void *ctx)
{
	const struct sa_entry *e;

	TAILQ_FOREACH (e, &d->sa_list, next)
		fn(ctx, &e->sa);
}

void
desired_request(struct ike_msg *msg, uint16_t type)
{
	memset(msg, 0, sizeof(*msg));
	msg->hdr.magic = IKE_WIRE_MAGIC;
	msg->hdr.version = IKE_WIRE_VERSION;
	msg->hdr.type = type;
	msg->hdr.len = ike_msg_len(type);
}

void
desired_replay_start(struct desired *d)
{
	d->replay++;
	d->replay_socket = d->replay_decap = 0;
}

/* The policies whose turn it is: what was sent goes to the end, so the first is always one that was not. */
static struct policy_entry *
next_to_replay(struct desired *d)
{
	struct policy_entry *e = TAILQ_FIRST(&d->entries);

	return e != NULL && e->replayed != d->replay ? e : NULL;
}

bool
desired_replay_next(struct desired *d, struct ike_msg *msg)
{
	struct policy_entry *e = next_to_replay(d);

	if (d->replay_socket < d->n_sockets) {
		desired_request(msg, IKE_BYPASS_SOCKET);
		msg->body.socket = d->sockets[d->replay_socket];
	} else if (d->replay_decap < d->n_decaps) {
		desired_request(msg, IKE_UDP_DECAP);
		msg->body.socket.port = d->decaps[d->replay_decap];
	} else if (e != NULL) {
		desired_request(msg, IKE_ADD_POLICY);
		msg->body.policy = TAILQ_FIRST(&e->list)->policy;
	} else {
		return false;
	}
	return true;
}

void
desired_replay_sent(struct desired *d)
{
	struct policy_entry *e = next_to_replay(d);

	if (d->replay_socket < d->n_sockets) {
		d->replay_socket++;
	} else if (d->replay_decap < d->n_decaps) {
		d->replay_decap++;
	} else if (e != NULL) {
		e->replayed = d->replay;
		TAILQ_REMOVE(&d->entries, e, next);
		TAILQ_INSERT_TAIL(&d->entries, e, next);
	}
}
