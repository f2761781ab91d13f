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

/* Which of early_hold's counts an SPI has: by its slot. */
static inline uint16_t *
early_held(struct early_hold *h, uint32_t spi)
{
	return &h->held[rte_be_to_cpu_32(spi) % RTE_DIM(h->held)];
}

enum early { EARLY_GO, EARLY_KEPT, EARLY_NO_ROOM };

/*
 * What becomes of a packet of that SPI (network order) and protocol: it is kept while that waits for its SA, or when the SA came
 * a moment ago and others wait still. One behind them must not overtake them: were there no room for it, all those would fall out of the
 * window. *sa: what was found, or NULL, and then perhaps found now: the SPI stops being awaited after its SA can be found. Of one SPI no
 * more wait than there is room left: so there is some for another.
 */
static inline enum early
early_look(struct worker *w, struct rte_mbuf *m, uint32_t spi, uint8_t proto, struct sa **sa)
{
	struct early_hold *h = &w->early;
	bool waits = *sa == NULL && sad_awaits(w->sad, spi);
	uint16_t *held = early_held(h, spi);

	if (*sa == NULL && !waits)
		*sa = sad_lookup(w->sad, spi, proto);
	if (*sa != NULL && unlikely(h->n > 0) && *held > 0)
		for (unsigned int i = 0; i < h->n && !waits; i++)
			waits = h->spi[i] == spi;
	if (!waits)
		return EARLY_GO;
	if (*held >= RTE_DIM(h->pkts) - h->n)
		return EARLY_NO_ROOM;
	++*held;
	h->spi[h->n] = spi;
	h->deadline[h->n] = w->now + EARLY_MS * w->tsc_hz / 1000;
	h->pkts[h->n++] = m;
	return EARLY_KEPT;
}

#endif
