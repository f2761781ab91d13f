/* SPDX-License-Identifier: BSD-3-Clause */
#include "sad.h"

#include "log.h"
#include "sa_setup.h"
#include "sad_lookup.h"
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_jhash.h>
#include <rte_malloc.h>
#include <rte_random.h>

#define LARVAL_SECONDS 165
#define NSEC 1000000000ull
#define SLOT_ANY UINT32_MAX

const char *const sa_error_names[SA_ERR_MAX] = {
	[SA_ERR_REPLAY] = "replay",
	[SA_ERR_ICV] = "icv",
	[SA_ERR_MALFORMED] = "malformed",
	[SA_ERR_SELECTOR] = "selector",
	[SA_ERR_OVERFLOW] = "overflow",
	[SA_ERR_OVERLOAD] = "overload",
	[SA_ERR_MTU] = "mtu",
};

struct sad {
	struct sad_view view;
	struct sad_conf conf;
	struct sad_crypto crypto;
	struct sa_cold *cold; /* [slots] */
	struct sa_counters **counters; /* [worker][slots] */
	uint8_t (*keys)[IKE_KEY_MAX]; /* [slots], or NULL */
	uint32_t slots;
	/* Free slots in a ring whose end is the number of slots: first out is who came first, so that a slot rests as long as
	 * it can. [slots + 1] */
	struct {
		uint32_t next, before;
	} * free;
	uint32_t n_free;
	TAILQ_HEAD(, sa_cold) retired; /* that still take packets, oldest first */
	uint32_t tick_at;
	uint32_t count[SA_DYING + 1];
	LIST_HEAD(, sa_cold) * of_reqid; /* [slots]: by the low bits of the reqid */
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec;
}

static void
set_state(struct sad *sad, uint32_t slot, enum sa_state state)
{
	sad->count[sad->cold[slot].state]--;
	sad->count[state]++;
	sad->cold[slot].state = state;
}

static int
create_hashes(struct sad *sad)
{
	struct rte_hash_parameters p = {
		.name = "sad_foreign",
		.entries = RTE_MAX(sad->slots, 8u),
		.key_len = sizeof(struct sad_foreign_key),
		.hash_func = rte_jhash,
		.socket_id = (int)rte_socket_id(),
		.extra_flag =
			RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};
	struct rte_hash_rcu_config rcu = {
		.v = rcu_qsbr(sad->conf.rcu),
		.mode = RTE_HASH_QSBR_MODE_DQ,
	};

	sad->view.foreign = rte_hash_create(&p);
	if (sad->view.foreign == NULL || rte_hash_rcu_qsbr_add(sad->view.foreign, &rcu) != 0)
		return -ENOMEM;
	p.name = "sad_out";
	p.key_len = sizeof(struct sad_out_key);
	sad->view.out = rte_hash_create(&p);
	return sad->view.out != NULL && rte_hash_rcu_qsbr_add(sad->view.out, &rcu) == 0 ? 0
											: -ENOMEM;
}

static void
put_slot(struct sad *sad, uint32_t slot)
{
	uint32_t end = sad->slots, last = sad->free[end].before;

	sad->free[slot].before = last;
	sad->free[slot].next = end;
	sad->free[last].next = sad->free[end].before = slot;
	sad->n_free++;
}

struct sad *
sad_create(const struct sad_conf *conf, const struct sad_crypto *crypto)
{
	struct sad *sad = rte_zmalloc("sad", sizeof(*sad), RTE_CACHE_LINE_SIZE);
	uint32_t slots = rte_align32pow2(RTE_MAX(RTE_MIN(conf->max_sas, 1u << 21), 8u));

	if (sad == NULL)
		return NULL;
	sad->conf = *conf;
	sad->crypto = *crypto;
	TAILQ_INIT(&sad->retired);
	if (slots > 1u << 20 || conf->spi_max <= conf->spi_min ||
		(conf->spi_max - conf->spi_min) / slots < 255) {
		LOG(ERR, "%u SAs do not fit into the SPI range 0x%08x..0x%08x", slots,
			conf->spi_min, conf->spi_max);
		goto fail;
	}
	sad->slots = slots;
	sad->view.mask = slots - 1;
	sad->view.spi_min = conf->spi_min;
	sad->view.sas = rte_zmalloc("sas", slots * sizeof(struct sa), SA_ALIGN);
	sad->view.awaited = calloc(slots, sizeof(*sad->view.awaited));
	sad->cold = calloc(slots, sizeof(*sad->cold));
	sad->free = calloc(slots + 1, sizeof(*sad->free));
	sad->of_reqid = calloc(slots, sizeof(*sad->of_reqid));
	sad->counters = calloc(conf->workers, sizeof(*sad->counters));
	sad->keys = conf->keep_keys ? calloc(slots, sizeof(*sad->keys)) : NULL;
	if (sad->view.sas == NULL || sad->cold == NULL || sad->of_reqid == NULL ||
		sad->free == NULL || sad->counters == NULL || sad->view.awaited == NULL ||
		(conf->keep_keys && sad->keys == NULL))
		goto nomem;
	for (unsigned int i = 0; i < conf->workers; i++) {
		sad->counters[i] = rte_zmalloc(
			"sa_counters", slots * sizeof(struct sa_counters), RTE_CACHE_LINE_SIZE);
		if (sad->counters[i] == NULL)
			goto nomem;
	}
	sad->free[slots].next = sad->free[slots].before = slots;
	for (uint32_t i = 0; i < slots; i++)
		put_slot(sad, i);
	sad->count[SA_FREE] = slots;
	if (create_hashes(sad) < 0)
		goto nomem;
	return sad;
nomem:
	LOG(ERR, "not enough memory for %u SAs", slots);
fail:
	sad_destroy(sad);
	return NULL;
}

/* Whether packets of an SPI that has no SA yet are worth keeping. */
static void
await(struct sad *sad, uint32_t slot, uint32_t spi)
{
	atomic_store_explicit(&sad->view.awaited[slot], spi, memory_order_release);
}

static void
clear_slot(struct sad *sad, uint32_t slot)
{
	struct sa *sa = &sad->view.sas[slot];

	if (sa->session != NULL)
		sad->crypto.destroy(sad->crypto.ctx, sa);
	rte_free(sa->replay);
	explicit_bzero(sa, sizeof(*sa));
	if (sad->keys != NULL)
		explicit_bzero(sad->keys[slot], sizeof(sad->keys[slot]));
	for (unsigned int i = 0; i < sad->conf.workers; i++)
		memset(&sad->counters[i][slot], 0, sizeof(struct sa_counters));
}

void
sad_destroy(struct sad *sad)
{
	if (sad == NULL)
		return;
	/* One that was created in part has no SAs, and not all that their slots are made of. */
	for (uint32_t i = 0; sad->view.out != NULL && i < sad->slots; i++)
		clear_slot(sad, i);
	rte_hash_free(sad->view.foreign);
	rte_hash_free(sad->view.out);
	for (unsigned int i = 0; sad->counters != NULL && i < sad->conf.workers; i++)
		rte_free(sad->counters[i]);
	free(sad->counters);
	free(sad->of_reqid);
	free(sad->free);
	free(sad->cold);
	free(sad->view.awaited);
	free(sad->keys);
	rte_free(sad->view.sas);
	rte_free(sad);
}

/* Hands a slot back: after its grace period, or at once when no lcore has ever seen it. */
static void
free_slot(void *ctx, void *obj)
{
	struct sad *sad = ctx;
	uint32_t slot = (uintptr_t)obj;

	await(sad, slot, 0);
	clear_slot(sad, slot);
	memset(&sad->cold[slot].conf, 0, sizeof(sad->cold[slot].conf));
	set_state(sad, slot, SA_FREE);
	put_slot(sad, slot);
}

/* The wanted slot, if it is free, else the one that rested longest. */
static int
take_slot(struct sad *sad, uint32_t wanted, uint32_t *slot)
{
	if (sad->n_free == 0)
		return -ENOSPC;
	*slot = wanted < sad->slots && sad->cold[wanted].state == SA_FREE
			? wanted
			: sad->free[sad->slots].next;
	sad->free[sad->free[*slot].before].next = sad->free[*slot].next;
	sad->free[sad->free[*slot].next].before = sad->free[*slot].before;
	sad->n_free--;
	memset(&sad->cold[*slot].conf, 0, sizeof(sad->cold[*slot].conf));
	sad->cold[*slot].soft_sent = sad->cold[*slot].hard_sent = false;
	sad->cold[*slot].updating = false;
	sad->cold[*slot].path_mtu = 0;
	sad->cold[*slot].added = now_ns();
	return 0;
}

static uint32_t
slot_of_spi(const struct sad *sad, uint32_t spi)
{
	return (rte_be_to_cpu_32(spi) - sad->view.spi_min) & sad->view.mask;
}

/* Whether an SPI has the form that sad_get_spi() gives: then its slot is in it. */
static bool
spi_is_ours(const struct sad *sad, uint32_t spi, uint32_t slot)
{
	return slot_of_spi(sad, spi) == slot;
}

/* Which generations of the slot's SPIs lie within min and max: how many, and the first. */
static uint32_t
generations(const struct sad *sad, uint32_t slot, uint32_t min, uint32_t max, uint32_t *first)
{
	uint32_t base = sad->conf.spi_min + slot;
	uint32_t n = (sad->conf.spi_max - sad->conf.spi_min) / sad->slots, last;

	*first = min > base ? (min - base + sad->slots - 1) / sad->slots : 0;
	if (max < base)
		return 0;
	last = RTE_MIN((max - base) / sad->slots, n - 1);
	return last >= *first ? last - *first + 1 : 0;
}

int
sad_get_spi(
	struct sad *sad, uint64_t owner, uint8_t proto, const struct ip_addr *dst, uint32_t *spi)
{
	return sad_get_spi_within(sad, owner, proto, dst, 0, UINT32_MAX, spi);
}

int
sad_get_spi_within(struct sad *sad, uint64_t owner, uint8_t proto, const struct ip_addr *dst,
	uint32_t min, uint32_t max, uint32_t *spi)
{
	uint32_t slot, other, try, first, n, at;
	struct sa_cold *cold;
	int rc = take_slot(sad, SLOT_ANY, &slot);

	if (rc < 0)
		return rc;
	n = generations(sad, slot, min, max, &first);
	if (n == 0) {
		put_slot(sad, slot);
		return -ENOSPC;
	}
	/* A static SA may have taken the number: the next generation then. */
	at = rte_rand_max(n);
	for (uint32_t i = 0;; i++) {
		if (i == n) {
			put_slot(sad, slot);
			return -ENOSPC;
		}
		try = rte_cpu_to_be_32(
			sad->conf.spi_min + (first + (at + i) % n) * sad->slots + slot);
		if (try != 0 && sad_find(sad, SA_DIR_IN, proto, try, NULL, &other) < 0)
			break;
	}
	cold = &sad->cold[slot];
	cold->conf.spi = try;
	cold->conf.owner = owner;
	cold->conf.proto = proto;
	cold->conf.dst = *dst;
	cold->conf.dir = SA_DIR_IN;
	set_state(sad, slot, SA_LARVAL);
	await(sad, slot, try);
	*spi = try;
	return 0;
}

int
sad_find(const struct sad *sad, uint8_t dir, uint8_t proto, uint32_t spi, const struct ip_addr *dst,
	uint32_t *slot)
{
	struct sad_foreign_key in = {spi, proto};
	struct sad_out_key out;
	void *data;

	if (dir == SA_DIR_OUT) {
		if (dst == NULL)
			return -ENOENT;
		sad_out_key(&out, spi, proto, dst);
		if (rte_hash_lookup_data(sad->view.out, &out, &data) < 0)
			return -ENOENT;
		*slot = (uintptr_t)data;
		return 0;
	}
	*slot = slot_of_spi(sad, spi);
	if (sad->cold[*slot].conf.spi == spi && sad->cold[*slot].conf.dir == SA_DIR_IN &&
		sad->cold[*slot].conf.proto == proto &&
		(sad->cold[*slot].state == SA_LARVAL || sad->cold[*slot].state == SA_LIVE))
		return 0;
	if (rte_hash_lookup_data(sad->view.foreign, &in, &data) < 0)
		return -ENOENT;
	*slot = (uintptr_t)data;
	return 0;
}

/* Makes the indexes know the slot. */
static int
index_add(struct sad *sad, uint32_t slot)
{
	const struct sa_conf *conf = &sad->cold[slot].conf;
	struct sad_foreign_key in = {conf->spi, conf->proto};
	struct sad_out_key out;

	if (conf->dir == SA_DIR_OUT) {
		sad_out_key(&out, conf->spi, conf->proto, &conf->dst);
		return rte_hash_add_key_data(sad->view.out, &out, (void *)(uintptr_t)slot);
	}
	if (spi_is_ours(sad, conf->spi, slot))
		return 0;
	if (rte_hash_add_key_data(sad->view.foreign, &in, (void *)(uintptr_t)slot) < 0)
		return -ENOSPC;
	atomic_fetch_add(&sad->view.n_foreign, 1);
	return 0;
}

static void
index_del(struct sad *sad, uint32_t slot)
{
	const struct sa_conf *conf = &sad->cold[slot].conf;
	struct sad_foreign_key in = {conf->spi, conf->proto};
	struct sad_out_key out;

	if (conf->dir == SA_DIR_OUT) {
		sad_out_key(&out, conf->spi, conf->proto, &conf->dst);
		rte_hash_del_key(sad->view.out, &out);
	} else if (rte_hash_del_key(sad->view.foreign, &in) >= 0) {
		atomic_fetch_sub(&sad->view.n_foreign, 1);
	}
}

/* The one that it is found by. */
static uint32_t
reqid_of(const struct sad *sad, const struct sa_cold *cold)
{
	const struct sa *sa = &sad->view.sas[cold - sad->cold];
	uint64_t lent = atomic_load_explicit(&sa->lent, memory_order_relaxed);

	return lent != 0 ? (uint32_t)lent : sa->reqid;
}

static void
list_reqid(struct sad *sad, struct sa_cold *cold)
{
	LIST_INSERT_HEAD(&sad->of_reqid[reqid_of(sad, cold) & sad->view.mask], cold, of_reqid);
}

static bool
is_of_reqid(const struct sad *sad, const struct sa_cold *cold, uint8_t dir, uint32_t reqid)
{
	return reqid_of(sad, cold) == reqid && cold->conf.dir == dir && cold->state == SA_LIVE &&
	       !cold->hard_sent;
}

uint32_t
sad_next_of_reqid(const struct sad *sad, uint8_t dir, uint32_t reqid, uint32_t slot)
{
	const struct sa_cold *cold = slot == SAD_NO_SLOT
					     ? LIST_FIRST(&sad->of_reqid[reqid & sad->view.mask])
					     : LIST_NEXT(&sad->cold[slot], of_reqid);

	while (cold != NULL && !is_of_reqid(sad, cold, dir, reqid))
		cold = LIST_NEXT(cold, of_reqid);
	return cold != NULL ? cold - sad->cold : SAD_NO_SLOT;
}

void
sad_lend(struct sad *sad, uint32_t slot, uint64_t owner, uint32_t reqid)
{
	LIST_REMOVE(&sad->cold[slot], of_reqid);
	atomic_store_explicit(&sad->view.sas[slot].lent, sa_for(sa_owner_tag(owner), reqid),
		memory_order_relaxed);
	list_reqid(sad, &sad->cold[slot]);
}

/* No lcore finds it any more; the slot comes back after the grace period. */
static void
unlink_sa(struct sad *sad, uint32_t slot)
{
	atomic_store_explicit(&sad->view.sas[slot].spi, 0, memory_order_release);
	LIST_REMOVE(&sad->cold[slot], of_reqid);
	index_del(sad, slot);
	rcu_defer(sad->conf.rcu, free_slot, sad, (void *)(uintptr_t)slot);
}

static void
end_retired(struct sad *sad, struct sa_cold *cold)
{
	TAILQ_REMOVE(&sad->retired, cold, next_retired);
	unlink_sa(sad, cold - sad->cold);
}

/* When no inbound SA of that owner and reqid is live any more, the retired ones end: the reqid may be another peer's next. */
static void
end_siblings(struct sad *sad, uint64_t owner, uint32_t reqid)
{
	struct sa_cold *cold, *next;
	uint32_t slot = SAD_NO_SLOT;

	while ((slot = sad_next_of_reqid(sad, SA_DIR_IN, reqid, slot)) != SAD_NO_SLOT)
		if (sad->cold[slot].conf.owner == owner && sad->cold[slot].conf.reqid == reqid)
			return;
	for (cold = LIST_FIRST(&sad->of_reqid[reqid & sad->view.mask]); cold != NULL; cold = next) {
		next = LIST_NEXT(cold, of_reqid);
		if (cold->state == SA_DYING && cold->conf.owner == owner &&
			cold->conf.reqid == reqid)
			end_retired(sad, cold);
	}
}

/* Of the route, or what an ICMP error told, for as long as that holds and is less. */
static void
update_mtu(struct sad *sad, uint32_t slot)
{
	struct sa_cold *cold = &sad->cold[slot];
	const struct sa_conf *conf = &cold->conf;
	uint16_t mtu = 0;

	if (conf->dir != SA_DIR_OUT)
		return;
	if (sad->conf.path_mtu != NULL)
		mtu = sad->conf.path_mtu(sad->conf.path_ctx, &conf->dst);
	if (cold->path_mtu != 0 && now_ns() >= cold->path_mtu_until)
		cold->path_mtu = 0;
	if (cold->path_mtu != 0 && (mtu == 0 || cold->path_mtu < mtu))
		mtu = cold->path_mtu;
	atomic_store_explicit(&sad->view.sas[slot].mtu, mtu, memory_order_relaxed);
}

int
sad_add(struct sad *sad, const struct sa_conf *conf, const uint8_t *key, bool from_get_spi,
	uint32_t *slot, const char **why)
{
	bool larval = false;
	struct sa *sa;
	int rc;

	*why = "";
	rc = sa_check(conf, why);
	if (rc < 0)
		return rc;
	if (sad_find(sad, conf->dir, conf->proto, conf->spi, &conf->dst, slot) == 0) {
		larval = sad->cold[*slot].state == SA_LARVAL;
		*why = "an SA with this SPI is there";
		if (!larval || !from_get_spi || sad->cold[*slot].conf.owner != conf->owner)
			return -EEXIST;
	} else if (from_get_spi && conf->dir == SA_DIR_IN) {
		*why = "its SPI was not reserved, or the reservation expired";
		return -ENOENT;
	} else {
		*why = "all SA slots are taken";
		/* An SPI that somebody else chose is found as fast as ours when it lies where ours would. */
		rc = take_slot(
			sad, conf->dir == SA_DIR_IN ? slot_of_spi(sad, conf->spi) : SLOT_ANY, slot);
		if (rc < 0)
			return rc;
	}

	*why = "";
	sa = &sad->view.sas[*slot];
	rc = sa_setup(sa, conf, *slot, sad->conf.workers, why);
	if (rc == 0)
		rc = sad->crypto.create(sad->crypto.ctx, sa, conf, key);
	if (rc == 0) {
		sad->cold[*slot].conf = *conf;
		rc = index_add(sad, *slot);
	} else if (rc == -ENOTSUP) {
		*why = "no crypto device of the configuration has this transform";
	} else if (**why == '\0') {
		*why = "its crypto session could not be made";
	}
	if (rc < 0) {
		if (larval) { /* the reservation stays: charon deletes it */
			clear_slot(sad, *slot);
			sad->cold[*slot].conf.dir = SA_DIR_IN;
		} else {
			set_state(sad, *slot, SA_LARVAL);
			free_slot(sad, (void *)(uintptr_t)*slot);
		}
		return rc;
	}
	sad->cold[*slot].added = now_ns();
	if (sad->keys != NULL)
		memcpy(sad->keys[*slot], key, (size_t)conf->enc_key_len + conf->int_key_len);
	set_state(sad, *slot, SA_LIVE);
	list_reqid(sad, &sad->cold[*slot]);
	update_mtu(sad, *slot);
	atomic_store_explicit(&sa->spi, conf->spi, memory_order_release);
	await(sad, *slot, 0); /* not before: early_release.c */
	return 0;
}

/* The template that an update replaced is nobody's any more. */
static void
updated(void *ctx, void *obj)
{
	struct sad *sad = ctx;

	sad->cold[(uintptr_t)obj].updating = false;
}

int
sad_update(struct sad *sad, uint32_t slot, const struct sa_end_points *to, const char **why)
{
	struct sa_cold *cold = &sad->cold[slot];
	struct sa *sa = &sad->view.sas[slot];
	struct sa_conf old, new;
	uint32_t other;
	int rc;

	*why = "";
	if (slot >= sad->slots || cold->state != SA_LIVE)
		return -ENOENT;
	old = new = cold->conf;
	new.src = to->src;
	new.dst = to->dst;
	new.src_port = to->src_port;
	new.dst_port = to->dst_port;
	new.flags = to->encap ? new.flags | IKE_SA_ENCAP : new.flags & ~IKE_SA_ENCAP;
	new.reqid = to->reqid != 0 ? to->reqid : old.reqid;
	rc = sa_check(&new, why);
	if (rc < 0)
		return rc;
	*why = "";
	if (old.dir == SA_DIR_OUT && !addr_equal(&old.dst, &new.dst) &&
		sad_find(sad, SA_DIR_OUT, new.proto, new.spi, &new.dst, &other) == 0) {
		*why = "the new peer has an SA with this SPI";
		return -EINVAL;
	}
	if (cold->updating)
		return -EAGAIN;
	/* An inbound SA is found by its SPI alone, and must be so all the time. */
	if (old.dir == SA_DIR_OUT)
		index_del(sad, slot);
	cold->conf = new;
	if (old.dir == SA_DIR_OUT)
		rc = index_add(sad, slot);
	if (rc < 0) { /* what was taken out fits in again */
		cold->conf = old;
		index_add(sad, slot);
		return rc;
	}
	if (new.reqid != sa->reqid) {
		LIST_REMOVE(cold, of_reqid);
		sa->reqid = new.reqid;
		list_reqid(sad, cold);
		end_siblings(sad, old.owner, old.reqid);
	}
	sa->flags = to->encap ? sa->flags | SA_F_UDP : sa->flags & ~SA_F_UDP;
	sa->peer = new.src;
	sa->peer_port = new.src_port;
	sa_fill_template(sa, &new);
	atomic_store_explicit(&sa->active, !sa->active, memory_order_release);
	cold->path_mtu = 0; /* that was another path */
	update_mtu(sad, slot);
	cold->updating = true;
	rcu_defer(sad->conf.rcu, updated, sad, (void *)(uintptr_t)slot);
	return 0;
}

bool
sad_learn_mtu(struct sad *sad, const struct sa_path_mtu *told)
{
	struct sa_cold *cold = &sad->cold[told->slot];
	uint16_t is = atomic_load_explicit(&sad->view.sas[told->slot].mtu, memory_order_relaxed);

	/* It can be older than what its slot holds now. */
	if (cold->state != SA_LIVE || cold->conf.spi != told->spi || cold->conf.dir != SA_DIR_OUT ||
		(is != 0 && told->mtu >= is))
		return false;
	cold->path_mtu = told->mtu;
	cold->path_mtu_until = now_ns() + SAD_PATH_MTU_SECONDS * NSEC;
	update_mtu(sad, told->slot);
	return true;
}

void
sad_reserve(struct sad *sad, uint32_t slot, uint64_t upto)
{
	struct sa *sa = &sad->view.sas[slot];

	if (upto > sa->sqn_limit)
		atomic_store_explicit(&sa->sqn_limit, upto, memory_order_relaxed);
}

uint64_t
sad_last_number(uint32_t flags)
{
	return sa_end_of_numbers(flags & IKE_SA_ESN);
}

int
sad_del(struct sad *sad, uint32_t slot)
{
	uint64_t owner;
	uint32_t reqid;
	uint8_t dir;

	if (slot >= sad->slots)
		return -ENOENT;
	if (sad->cold[slot].state == SA_LARVAL) {
		free_slot(sad, (void *)(uintptr_t)slot);
		return 0;
	}
	if (sad->cold[slot].state != SA_LIVE)
		return -ENOENT;
	owner = sad->cold[slot].conf.owner;
	reqid = sad->cold[slot].conf.reqid;
	dir = sad->cold[slot].conf.dir;
	set_state(sad, slot, SA_DYING);
	unlink_sa(sad, slot);
	if (dir == SA_DIR_IN)
		end_siblings(sad, owner, reqid);
	return 0;
}

int
sad_retire(struct sad *sad, uint32_t slot)
{
	struct sa_cold *cold;

	if (slot >= sad->slots)
		return -ENOENT;
	cold = &sad->cold[slot];
	/* A hard lifetime is no matter of the peer's, and what is lent has no policies of its own. */
	if (cold->state != SA_LIVE || cold->hard_sent || cold->conf.dir != SA_DIR_IN ||
		sad->view.sas[slot].lent != 0 || !spi_is_ours(sad, cold->conf.spi, slot))
		return sad_del(sad, slot);
	set_state(sad, slot, SA_DYING);
	cold->retired = now_ns();
	TAILQ_INSERT_TAIL(&sad->retired, cold, next_retired);
	end_siblings(sad, cold->conf.owner, cold->conf.reqid); /* itself among them */
	return 0;
}

void
sad_end_retired(struct sad *sad, uint64_t now)
{
	struct sa_cold *cold;

	while ((cold = TAILQ_FIRST(&sad->retired)) != NULL &&
		now - cold->retired >= SAD_LINGER_MS * (NSEC / 1000))
		end_retired(sad, cold);
}

static void
add_use(struct sa_usage *usage, const volatile struct sa_use *use)
{
	usage->packets += use->packets;
	usage->bytes += use->bytes;
	usage->last_use = RTE_MAX(usage->last_use, use->last_use);
}

void
sad_usage(const struct sad *sad, uint32_t slot, struct sa_usage *usage)
{
	memset(usage, 0, sizeof(*usage));
	add_use(usage, &sad->view.sas[slot].use);
	for (unsigned int i = 0; i < sad->conf.workers; i++) {
		const volatile struct sa_counters *c = &sad->counters[i][slot];

		add_use(usage, &c->use);
		for (unsigned int e = 0; e < SA_ERR_MAX; e++)
			usage->errors[e] += c->errors[e];
	}
}

const uint8_t *
sad_key(const struct sad *sad, uint32_t slot)
{
	return sad->keys != NULL && sad->cold[slot].state == SA_LIVE ? sad->keys[slot] : NULL;
}

bool
sad_keeps_keys(const struct sad *sad)
{
	return sad->keys != NULL;
}

const struct sa_cold *
sad_cold(const struct sad *sad, uint32_t slot)
{
	return &sad->cold[slot];
}

const struct sa *
sad_hot(const struct sad *sad, uint32_t slot)
{
	return &sad->view.sas[slot];
}

uint32_t
sad_slots(const struct sad *sad)
{
	return sad->slots;
}

uint32_t
sad_count(const struct sad *sad, enum sa_state state)
{
	return sad->count[state];
}

void
sad_set_session(struct sad *sad, uint32_t slot, uint32_t session)
{
	sad->cold[slot].session = session;
}

struct sa_counters *
sad_worker_counters(struct sad *sad, uint16_t worker)
{
	return sad->counters[worker];
}

static bool
over(uint64_t value, uint64_t limit)
{
	return limit != 0 && value >= limit;
}

/* Which lifetimes ran out: 0 none, 1 soft, 2 hard. */
static int
expired(const struct sad *sad, uint32_t slot, uint64_t now)
{
	const struct sa_cold *cold = &sad->cold[slot];
	const struct sa_lifetime *life = &cold->conf.life;
	const struct sa *sa = &sad->view.sas[slot];
	uint64_t age = (now - cold->added) / NSEC, sqn = atomic_load(&sa->sqn);
	struct sa_usage use;

	sad_usage(sad, slot, &use);
	if (over(age, life->time_hard) || over(use.bytes, life->bytes_hard) ||
		over(use.packets, life->packets_hard) ||
		(sa->dir == SA_DIR_OUT && sqn >= sa_last_number(sa)))
		return 2;
	/* The last sixteenth of the numbers is the time that a rekey has. */
	if (over(age, life->time_soft) || over(use.bytes, life->bytes_soft) ||
		over(use.packets, life->packets_soft) ||
		(sa->dir == SA_DIR_OUT && sqn >= sa_last_number(sa) - (sa_last_number(sa) >> 4)))
		return 1;
	return 0;
}

void
sad_tick(struct sad *sad, void (*expire)(void *ctx, uint32_t slot, bool hard), void *ctx)
{
	uint32_t n = (sad->slots + 9) / 10;
	uint64_t now = now_ns();

	sad_end_retired(sad, now);
	for (; n > 0; n--, sad->tick_at = (sad->tick_at + 1) & sad->view.mask) {
		struct sa_cold *cold = &sad->cold[sad->tick_at];
		struct sa *sa = &sad->view.sas[sad->tick_at];
		int what;

		if (cold->state == SA_LARVAL && now - cold->added > LARVAL_SECONDS * NSEC) {
			free_slot(sad, (void *)(uintptr_t)sad->tick_at);
			continue;
		}
		if (cold->state != SA_LIVE || cold->hard_sent)
			continue;
		update_mtu(sad, sad->tick_at);
		if (atomic_load_explicit(&sa->mapping_told, memory_order_relaxed))
			atomic_store_explicit(&sa->mapping_told, false, memory_order_relaxed);
		what = expired(sad, sad->tick_at, now);
		if (what == 2) {
			atomic_store_explicit(&sa->spi, 0, memory_order_release);
			cold->hard_sent = true;
			expire(ctx, sad->tick_at, true);
		} else if (what == 1 && !cold->soft_sent) {
			cold->soft_sent = true;
			expire(ctx, sad->tick_at, false);
		}
	}
}
