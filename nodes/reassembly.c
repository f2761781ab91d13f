/* SPDX-License-Identifier: BSD-3-Clause */
#include "reassembly.h"

#include "pkt.h"

#include <string.h>
#include <sys/queue.h>

#include <rte_ether.h>
#include <rte_jhash.h>
#include <rte_malloc.h>

#define DATAGRAM_MAX 65535
#define BLOCK 8 /* bytes: the unit of offsets */
#define SEGS_MAX 40 /* of 2 KiB less headroom: the largest datagram */
#define SOURCE_SHARE 4 /* a source may have a fourth of the table */

struct datagram {
	TAILQ_ENTRY(datagram) by_age; /* or in the list of free ones */
	TAILQ_ENTRY(datagram) by_source;
	struct reassembly_key key;
	struct source *source;
	uint64_t deadline; /* TSC */
	uint32_t fragments; /* taken */
	uint32_t received; /* bytes */
	uint32_t end; /* of the last byte that came */
	uint32_t total; /* 0: the last fragment did not come yet */
	uint16_t n_segs;
	uint16_t header_len;
	uint8_t ecn; /* a bit for each mark */
	uint8_t refused; /* enum drop_reason: what comes is dropped until the time is over */
	struct rte_mbuf *seg[SEGS_MAX];
	uint64_t blocks[(DATAGRAM_MAX / BLOCK + 64) / 64]; /* what came */
};

TAILQ_HEAD(datagrams, datagram);

/* Those whose source has that hash; so few collide that they may share a share. */
struct source {
	struct datagrams list; /* oldest first */
	uint32_t n, segs;
};

struct reassembly {
	struct datagrams by_age, unused;
	struct datagram *datagrams;
	struct source *sources;
	struct rte_mempool *pool;
	uint64_t *drops;
	uint64_t timeout;
	uint32_t seed, mask;
	uint32_t n, segs;
	uint32_t source_max, source_segs_max, segs_max;
	uint32_t room; /* payload in one buffer */
};

struct reassembly *
reassembly_create(unsigned int limit, uint64_t timeout, uint32_t seed, struct rte_mempool *pool,
	uint64_t *drops, int socket)
{
	uint32_t n_sources = rte_align32pow2(2 * RTE_MAX(limit, 1u));
	struct reassembly *r = rte_zmalloc_socket("reassembly", sizeof(*r), 0, socket);

	if (r == NULL)
		return NULL;
	TAILQ_INIT(&r->by_age);
	TAILQ_INIT(&r->unused);
	r->datagrams = rte_zmalloc_socket("datagrams", RTE_MAX(limit, 1u) * sizeof(*r->datagrams),
		RTE_CACHE_LINE_SIZE, socket);
	r->sources = rte_zmalloc_socket("sources", n_sources * sizeof(*r->sources), 0, socket);
	if (r->datagrams == NULL || r->sources == NULL) {
		reassembly_free(r);
		return NULL;
	}
	for (unsigned int i = 0; i < limit; i++)
		TAILQ_INSERT_TAIL(&r->unused, &r->datagrams[i], by_age);
	for (unsigned int i = 0; i < n_sources; i++)
		TAILQ_INIT(&r->sources[i].list);
	r->pool = pool;
	r->drops = drops;
	r->timeout = timeout;
	r->seed = seed;
	r->mask = n_sources - 1;
	/* Whole blocks: none lies in two buffers. */
	r->room = (rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM) & ~(BLOCK - 1);
	/* Nearly all fit into one buffer; each source can have one of the largest. */
	r->source_max = RTE_MAX(limit / SOURCE_SHARE, 1u);
	r->source_segs_max = RTE_MAX(2 * r->source_max, (uint32_t)SEGS_MAX);
	r->segs_max = RTE_MAX(2 * limit, 2u * SEGS_MAX);
	return r;
}

static void
free_segs(struct reassembly *r, struct datagram *d)
{
	for (unsigned int i = 0; i < SEGS_MAX; i++) {
		rte_pktmbuf_free(d->seg[i]);
		d->seg[i] = NULL;
	}
	r->segs -= d->n_segs;
	d->source->segs -= d->n_segs;
	d->n_segs = 0;
}

static void
forget(struct reassembly *r, struct datagram *d, enum drop_reason reason)
{
	/* Those of a refused one are counted already. */
	if (d->refused == DROP_NONE)
		r->drops[reason] += d->fragments;
	free_segs(r, d);
	r->n--;
	d->source->n--;
	TAILQ_REMOVE(&d->source->list, d, by_source);
	TAILQ_REMOVE(&r->by_age, d, by_age);
	TAILQ_INSERT_HEAD(&r->unused, d, by_age);
}

void
reassembly_free(struct reassembly *r)
{
	if (r == NULL)
		return;
	while (!TAILQ_EMPTY(&r->by_age))
		forget(r, TAILQ_FIRST(&r->by_age), DROP_FRAGMENT_TIMEOUT);
	rte_free(r->datagrams);
	rte_free(r->sources);
	rte_free(r);
}

uint16_t
reassembly_worker(const struct reassembly *r, const struct reassembly_key *key, uint16_t n)
{
	RTE_BUILD_BUG_ON(sizeof(*key) != 40); /* no byte of it is undefined */
	return rte_jhash_32b((const uint32_t *)(const void *)key, sizeof(*key) / 4, r->seed) % n;
}

static struct source *
source_of(struct reassembly *r, const struct reassembly_key *key)
{
	return &r->sources[rte_jhash_32b((const uint32_t *)(const void *)key->src, 4, ~r->seed) &
			   r->mask];
}

static struct datagram *
find(struct source *s, const struct reassembly_key *key)
{
	struct datagram *d;

	/* What is looked for came a moment ago. */
	TAILQ_FOREACH_REVERSE(d, &s->list, datagrams, by_source)
	if (memcmp(&d->key, key, sizeof(*key)) == 0)
		return d;
	return NULL;
}

static struct datagram *
begin(struct reassembly *r, struct source *s, const struct reassembly_key *key, uint64_t now)
{
	struct datagram *d;

	if (s->n >= r->source_max)
		forget(r, TAILQ_FIRST(&s->list), DROP_FRAGMENT_FULL);
	if (TAILQ_EMPTY(&r->unused) && !TAILQ_EMPTY(&r->by_age))
		forget(r, TAILQ_FIRST(&r->by_age), DROP_FRAGMENT_FULL);
	d = TAILQ_FIRST(&r->unused);
	if (d == NULL)
		return NULL;
	TAILQ_REMOVE(&r->unused, d, by_age);
	memset(d, 0, sizeof(*d));
	d->key = *key;
	d->source = s;
	d->deadline = now + r->timeout;
	TAILQ_INSERT_TAIL(&r->by_age, d, by_age);
	TAILQ_INSERT_TAIL(&s->list, d, by_source);
	r->n++;
	s->n++;
	return d;
}

/* All that came is worth nothing, and what comes is dropped. */
static enum drop_reason
refuse(struct reassembly *r, struct datagram *d, enum drop_reason reason)
{
	r->drops[reason] += d->fragments;
	free_segs(r, d);
	d->refused = reason;
	return reason;
}

/* Which of the blocks of a fragment were there. */
static void
look(const struct datagram *d, const struct reassembly_fragment *f, bool *any, bool *all)
{
	uint32_t end = (f->offset + f->len + BLOCK - 1) / BLOCK;

	*any = false;
	*all = true;
	for (uint32_t b = f->offset / BLOCK; b < end; b++) {
		bool is = d->blocks[b / 64] >> b % 64 & 1;

		*any |= is;
		*all &= is;
	}
}

static void
mark(struct datagram *d, const struct reassembly_fragment *f)
{
	uint32_t end = (f->offset + f->len + BLOCK - 1) / BLOCK;

	for (uint32_t b = f->offset / BLOCK; b < end; b++)
		d->blocks[b / 64] |= 1ull << b % 64;
}

/* The same bytes as came before. */
static bool
is_copy(const struct reassembly *r, const struct datagram *d, const struct reassembly_fragment *f)
{
	const uint8_t *from = rte_pktmbuf_mtod_offset(f->m, const uint8_t *, f->payload_at);
	uint32_t n;

	if (f->more ? f->offset + f->len == d->total : f->offset + f->len != d->total)
		return false;
	for (uint32_t done = 0; done < f->len; done += n) {
		uint32_t at = f->offset + done;

		n = RTE_MIN(f->len - done, r->room - at % r->room);
		if (memcmp(rte_pktmbuf_mtod_offset(
				   d->seg[at / r->room], const uint8_t *, at % r->room),
			    from + done, n) != 0)
			return false;
	}
	return true;
}

/* A buffer more; older datagrams make room for it, this one excepted. */
static bool
add_seg(struct reassembly *r, struct datagram *d, uint32_t i)
{
	while (d->source->segs >= r->source_segs_max && TAILQ_FIRST(&d->source->list) != d)
		forget(r, TAILQ_FIRST(&d->source->list), DROP_FRAGMENT_FULL);
	while (r->segs >= r->segs_max && TAILQ_FIRST(&r->by_age) != d)
		forget(r, TAILQ_FIRST(&r->by_age), DROP_FRAGMENT_FULL);
	if (d->source->segs >= r->source_segs_max || r->segs >= r->segs_max)
		return false;
	d->seg[i] = rte_pktmbuf_alloc(r->pool);
	if (d->seg[i] == NULL)
		return false;
	d->n_segs++;
	d->source->segs++;
	r->segs++;
	return true;
}

static bool
store(struct reassembly *r, struct datagram *d, const struct reassembly_fragment *f)
{
	const uint8_t *from = rte_pktmbuf_mtod_offset(f->m, const uint8_t *, f->payload_at);
	uint32_t n;

	for (uint32_t done = 0; done < f->len; done += n) {
		uint32_t at = f->offset + done, i = at / r->room;

		if (i >= SEGS_MAX || (d->seg[i] == NULL && !add_seg(r, d, i)))
			return false;
		n = RTE_MIN(f->len - done, r->room - at % r->room);
		memcpy(rte_pktmbuf_mtod_offset(d->seg[i], uint8_t *, at % r->room), from + done, n);
	}
	if (f->offset == 0) {
		d->header_len = f->header_len;
		memcpy(rte_pktmbuf_mtod(d->seg[0], uint8_t *) - f->header_len - RTE_ETHER_HDR_LEN,
			rte_pktmbuf_mtod(f->m, const uint8_t *) - RTE_ETHER_HDR_LEN,
			RTE_ETHER_HDR_LEN + f->header_len);
		if (f->next_at != 0)
			*(rte_pktmbuf_mtod(d->seg[0], uint8_t *) - f->header_len + f->next_at) =
				f->next;
		memcpy(pkt(d->seg[0]), pkt(f->m), offsetof(struct pkt, op));
	}
	mark(d, f);
	d->ecn |= 1 << (f->ecn & 3);
	d->fragments++;
	d->received += f->len;
	d->end = RTE_MAX(d->end, f->offset + f->len);
	if (!f->more)
		d->total = f->offset + f->len;
	return true;
}

/* Hands its buffers over as one packet. */
static struct rte_mbuf *
finish(struct reassembly *r, struct datagram *d)
{
	struct rte_mbuf *m = d->seg[0];

	for (uint32_t i = 0; i < d->n_segs; i++) {
		d->seg[i]->data_len = RTE_MIN(d->total - i * r->room, r->room);
		d->seg[i]->next = i + 1u < d->n_segs ? d->seg[i + 1] : NULL;
	}
	m->pkt_len = d->total + d->header_len;
	m->data_len += d->header_len;
	m->data_off -= d->header_len;
	m->nb_segs = d->n_segs;
	memset(d->seg, 0, sizeof(d->seg));
	d->fragments = 0;
	forget(r, d, DROP_NONE);
	return m;
}

/* Before it may meet others: a length that has sense, and a first one that says what it belongs to. */
static bool
valid(const struct reassembly_fragment *f)
{
	return f->len != 0 && (!f->more || f->len % BLOCK == 0) &&
	       f->offset + f->len + f->header_len <= DATAGRAM_MAX &&
	       f->header_len <= RTE_PKTMBUF_HEADROOM - RTE_ETHER_HDR_LEN &&
	       rte_pktmbuf_headroom(f->m) >= RTE_ETHER_HDR_LEN &&
	       (f->offset != 0 || f->len >= REASSEMBLY_FIRST_MIN);
}

enum drop_reason
reassembly_add(struct reassembly *r, const struct reassembly_key *key,
	const struct reassembly_fragment *f, uint64_t now, struct rte_mbuf **whole, uint8_t *ecn)
{
	uint32_t end = f->offset + f->len;
	struct source *s = source_of(r, key);
	struct datagram *d;
	bool any, all;

	*whole = NULL;
	if (!valid(f))
		return DROP_FRAGMENT_INVALID;
	d = find(s, key);
	if (d == NULL)
		d = begin(r, s, key, now);
	if (d == NULL)
		return DROP_FRAGMENT_FULL;
	if (d->refused != DROP_NONE)
		return d->refused;
	look(d, f, &any, &all);
	if (all && is_copy(r, d, f))
		return DROP_FRAGMENT_DUPLICATE;
	/* One end, and nothing behind it. */
	if (any || (d->total != 0 && (!f->more || end > d->total)) || (!f->more && end < d->end))
		return refuse(r, d, DROP_FRAGMENT_OVERLAP);
	if (!store(r, d, f))
		return refuse(r, d, DROP_FRAGMENT_FULL);
	rte_pktmbuf_free(f->m);
	if (d->received != d->total)
		return DROP_NONE;
	*ecn = d->ecn;
	*whole = finish(r, d);
	return DROP_NONE;
}

void
reassembly_expire(struct reassembly *r, uint64_t now)
{
	struct datagram *d;

	while ((d = TAILQ_FIRST(&r->by_age)) != NULL && now > d->deadline)
		forget(r, d, DROP_FRAGMENT_TIMEOUT);
}

unsigned int
reassembly_datagrams(const struct reassembly *r)
{
	return r->n;
}

unsigned int
reassembly_buffers(const struct reassembly *r)
{
	return r->segs;
}
