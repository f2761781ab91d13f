/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_priv.h"

#include <errno.h>

#include <rte_hash.h>

/* What shares a key: a chain, to whose head the hash leads. */

void *
spd_chain_first(const struct spd_view *v, const union spd_hash_key *key)
{
	void *data;

	return rte_hash_lookup_data(v->hash, key, &data) >= 0 ? data : NULL;
}

int
spd_chain_begin(struct spd_view *v, const union spd_hash_key *key, void *first, bool new)
{
	if (new)
		spd_filter_add(&v->filter, rte_hash_hash(v->hash, key));
	if (rte_hash_add_key_data(v->hash, key, first) == 0)
		return 0;
	if (new)
		spd_filter_del(&v->filter, rte_hash_hash(v->hash, key));
	return -ENOSPC;
}

void
spd_chain_end(struct spd_view *v, const union spd_hash_key *key)
{
	rte_hash_del_key(v->hash, key);
	spd_filter_del(&v->filter, rte_hash_hash(v->hash, key));
}

static uint32_t
length(const struct spd_policy *p)
{
	uint32_t n = 0;

	for (; p != NULL; p = p->next)
		n++;
	return n;
}

/* Lcores see the chain with it or without it. */
int
spd_chain_link(
	struct spd_view *v, const union spd_hash_key *key, struct spd_policy *p, bool replaces)
{
	struct spd_policy *prev = NULL, *at = spd_chain_first(v, key);

	if (length(at) >= SPD_CHAIN_MAX + (replaces ? 1u : 0u))
		return -E2BIG;
	while (at != NULL && spd_beats(at, p)) {
		prev = at;
		at = at->next;
	}
	p->next = at;
	if (prev == NULL)
		return spd_chain_begin(v, key, p, at == NULL);
	atomic_store_explicit(&prev->next, p, memory_order_release);
	return 0;
}

void
spd_chain_unlink(struct spd_view *v, const union spd_hash_key *key, struct spd_policy *p)
{
	struct spd_policy *head = spd_chain_first(v, key), *next = p->next;

	if (head != p) {
		while (head->next != p)
			head = head->next;
		atomic_store_explicit(&head->next, next, memory_order_release);
	} else if (next != NULL) {
		spd_chain_begin(v, key, next, false); /* the key is there: cannot fail */
	} else {
		spd_chain_end(v, key);
	}
}
