/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SAD_LOOKUP_H
#define CYGNET_SAD_LOOKUP_H

#include "sad.h"

#include <string.h>

#include <netinet/in.h>

#include <rte_byteorder.h>
#include <rte_hash.h>
#include <rte_prefetch.h>

/* The part of the SAD that lcores read; it is the first member of struct sad. */
struct sad_view {
	struct sa *sas; /* [slots] */
	uint32_t spi_min; /* host order: the SPI of slot 0, generation 0 */
	uint32_t mask; /* slots - 1 */
	struct rte_hash *foreign; /* inbound SPIs that are not of get_spi, to their slots */
	struct rte_hash *out; /* outbound SAs by SPI, protocol and destination, to their slots */
	_Atomic uint32_t n_foreign;
	_Atomic uint32_t *
		awaited; /* [slots] network order: reserved for an inbound SA that is still to come; 0: none */
};

struct sad_foreign_key {
	uint32_t spi; /* network order */
	uint32_t proto;
};

/* The slot that an SPI (network order) of ours has, and that one of others' has most likely. Any data-plane lcore. */
static inline uint32_t
sad_slot(const struct sad *sad, uint32_t spi)
{
	const struct sad_view *v = (const struct sad_view *)sad;

	return (rte_be_to_cpu_32(spi) - v->spi_min) & v->mask;
}

/*
 * The live inbound SA of that SPI (network order) and protocol, or NULL. Any data-plane lcore; the pointer
 * is good until the next quiescent state. RFC 4301, 4.1: a unicast SA is found by its SPI.
 */
static inline struct sa *
sad_lookup(const struct sad *sad, uint32_t spi, uint8_t proto)
{
	const struct sad_view *v = (const struct sad_view *)sad;
	struct sa *sa = &v->sas[sad_slot(sad, spi)];
	struct sad_foreign_key key;
	void *slot;

	if (likely(atomic_load_explicit(&sa->spi, memory_order_acquire) == spi &&
		    sa->dir == SA_DIR_IN && spi != 0 &&
		    ((sa->flags & SA_F_AH) != 0) == (proto == IPPROTO_AH)))
		return sa;
	if (atomic_load_explicit(&v->n_foreign, memory_order_relaxed) == 0)
		return NULL;
	key.spi = spi;
	key.proto = proto;
	if (rte_hash_lookup_data(v->foreign, &key, &slot) < 0)
		return NULL;
	sa = &v->sas[(uintptr_t)slot];
	return atomic_load_explicit(&sa->spi, memory_order_acquire) == spi ? sa : NULL;
}

struct sad_out_key {
	uint32_t spi; /* network order */
	uint32_t proto;
	struct ip_addr dst;
};

static inline void
sad_out_key(struct sad_out_key *key, uint32_t spi, uint8_t proto, const struct ip_addr *dst)
{
	memset(key, 0, sizeof(*key));
	key->spi = spi;
	key->proto = proto;
	key->dst.family = dst->family;
	memcpy(key->dst.b, dst->b, sizeof(key->dst.b));
}

/* The live outbound SA to dst of that SPI (network order) and protocol, or NULL. As sad_lookup(). */
static inline const struct sa *
sad_lookup_out(const struct sad *sad, uint32_t spi, uint8_t proto, const struct ip_addr *dst)
{
	const struct sad_view *v = (const struct sad_view *)sad;
	struct sad_out_key key;
	const struct sa *sa;
	void *slot;

	sad_out_key(&key, spi, proto, dst);
	if (rte_hash_lookup_data(v->out, &key, &slot) < 0)
		return NULL;
	sa = &v->sas[(uintptr_t)slot];
	return atomic_load_explicit(&sa->spi, memory_order_acquire) == spi ? sa : NULL;
}

/* Whether that SPI (network order) is reserved, and its SA still to come. Any data-plane lcore. */
static inline bool
sad_awaits(const struct sad *sad, uint32_t spi)
{
	const struct sad_view *v = (const struct sad_view *)sad;

	return spi != 0 &&
	       atomic_load_explicit(&v->awaited[sad_slot(sad, spi)], memory_order_acquire) == spi;
}

/* An SA that a policy names, or NULL when it takes no packets any more. Any data-plane lcore. */
static inline struct sa *
sad_at(const struct sad *sad, uint32_t slot)
{
	struct sa *sa = &((const struct sad_view *)sad)->sas[slot];

	return atomic_load_explicit(&sa->spi, memory_order_acquire) != 0 ? sa : NULL;
}

/* Fetches what sealing reads and writes of an SA: with many SAs it is in no cache. Any data-plane lcore. */
static inline void
sad_prefetch_out(const struct sa *sa)
{
	rte_prefetch0(sa);
	rte_prefetch0(&sa->use);
	rte_prefetch0(&sa->template[0]);
}

/* The same of what opening reads. */
static inline void
sad_prefetch_in(const struct sad *sad, uint32_t slot)
{
	const struct sa *sa = &((const struct sad_view *)sad)->sas[slot];

	rte_prefetch0(sa);
	rte_prefetch0(&sa->use);
}

/*
 * The largest packet that fits, sealed with that template, into path_mtu bytes; 0: none. kept: bytes of it that stay
 * before ESP (transport mode). Any thread.
 */
static inline uint16_t
sa_room(const struct sa *sa, const struct sa_template *t, uint16_t path_mtu, uint16_t kept)
{
	uint16_t around = kept + t->len + 8 + sa->iv_len + sa->icv_len; /* SPI, sequence number */

	if (path_mtu < around + sa->align)
		return 0;
	/* RFC 4303, 2.4: padding, its length, next header. */
	return ((path_mtu - around) & ~(sa->align - 1)) - 2 + kept;
}

#endif
