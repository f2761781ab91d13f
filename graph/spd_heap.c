/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_priv.h"

#include <errno.h>
#include <stdlib.h>

/* A binary heap: the children of the policy at i are at 2i + 1 and 2i + 2, and none beats its parent. */

static void
set(struct spd_heap *h, uint32_t at, struct spd_policy *p)
{
	h->v[at] = p;
	p->group_at = at;
}

static void
move_up(struct spd_heap *h, uint32_t at, struct spd_policy *p)
{
	for (uint32_t up; at > 0 && spd_beats(p, h->v[up = (at - 1) / 2]); at = up)
		set(h, at, h->v[up]);
	set(h, at, p);
}

static void
move_down(struct spd_heap *h, uint32_t at, struct spd_policy *p)
{
	for (uint32_t down; (down = 2 * at + 1) < h->n; at = down) {
		if (down + 1 < h->n && spd_beats(h->v[down + 1], h->v[down]))
			down++;
		if (spd_beats(p, h->v[down]))
			break;
		set(h, at, h->v[down]);
	}
	set(h, at, p);
}

int
spd_heap_reserve(struct spd_heap *h)
{
	uint32_t size = h->size != 0 ? 2 * h->size : 4;
	void *v;

	if (h->n < h->size)
		return 0;
	v = reallocarray(h->v, size, sizeof(*h->v));
	if (v == NULL)
		return -ENOMEM;
	h->v = v;
	h->size = size;
	return 0;
}

void
spd_heap_push(struct spd_heap *h, struct spd_policy *p)
{
	move_up(h, h->n++, p);
}

void
spd_heap_remove(struct spd_heap *h, struct spd_policy *p)
{
	struct spd_policy *last = h->v[--h->n];

	if (last == p)
		return;
	if (spd_beats(last, p))
		move_up(h, p->group_at, last);
	else
		move_down(h, p->group_at, last);
}
