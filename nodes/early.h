/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_EARLY_H
#define CYGNET_EARLY_H

#include "sad_lookup.h"
#include "worker.h"

/*
 * A peer that answers a negotiation may use its new SA before our charon has read the answer and installed ours
 * (RFC 7296, 2.8: the responder is ready first). Such packets are kept for a moment: the SPI is reserved, so nobody but the
 * peer can know it. They keep no pointer into a table, and go through the same node again (early_release.c).
 */

#define EARLY_MS 500

/* Whether the packet is kept: its SPI (network order) waits for its SA, and there is room. */
static inline bool
early_keep(struct worker *w, struct rte_mbuf *m, uint32_t spi)
{
	struct early_hold *h = &w->early;

	if (!sad_awaits(w->sad, spi) || h->n == RTE_DIM(h->pkts))
		return false;
	h->spi[h->n] = spi;
	h->deadline[h->n] = w->now + EARLY_MS * w->tsc_hz / 1000;
	h->pkts[h->n++] = m;
	return true;
}

/* Whether packets of that SPI wait still, though their SA is there: one behind them must not overtake them. */
static inline bool
early_waits(const struct worker *w, uint32_t spi)
{
	for (unsigned int i = 0; i < w->early.n; i++)
		if (w->early.spi[i] == spi)
			return true;
	return false;
}

#endif
