/* SPDX-License-Identifier: BSD-3-Clause */
#include "spd_priv.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_common.h>

/* All policies in an array, each at one place as long as it is there: what walks the table in parts finds its way back. */

static int
grow(struct spd *spd)
{
	uint32_t size = RTE_MAX(2 * spd->size_pages, 64u);
	void *v = reallocarray(spd->pages, size, sizeof(*spd->pages));

	if (v == NULL)
		return -ENOMEM;
	spd->pages = v;
	v = reallocarray(spd->free_pages, size, sizeof(*spd->free_pages));
	if (v == NULL)
		return -ENOMEM;
	spd->free_pages = v;
	spd->size_pages = size;
	return 0;
}

int
spd_pages_add(struct spd *spd, struct spd_policy *p)
{
	if (spd->n_free_pages > 0) {
		p->page_at = spd->free_pages[--spd->n_free_pages];
	} else {
		if (spd->n_pages == spd->size_pages && grow(spd) < 0)
			return -ENOMEM;
		p->page_at = spd->n_pages++;
	}
	spd->pages[p->page_at] = p;
	return 0;
}

void
spd_pages_replace(struct spd *spd, const struct spd_policy *old, struct spd_policy *p)
{
	p->page_at = old->page_at;
	spd->pages[p->page_at] = p;
}

void
spd_pages_del(struct spd *spd, const struct spd_policy *p)
{
	spd->pages[p->page_at] = NULL;
	spd->free_pages[spd->n_free_pages++] = p->page_at;
}

void
spd_foreach(struct spd *spd, void (*fn)(void *ctx, struct spd_policy *p), void *ctx)
{
	for (uint32_t i = 0; i < spd->n_pages; i++)
		if (spd->pages[i] != NULL)
			fn(ctx, spd->pages[i]);
}

unsigned int
spd_page(struct spd *spd, struct spd_cursor *c, struct spd_policy **v, unsigned int max)
{
	unsigned int n = 0;

	for (; c->at < spd->n_pages && n < max; c->at++)
		if (spd->pages[c->at] != NULL)
			v[n++] = spd->pages[c->at];
	return n;
}
