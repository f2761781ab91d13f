/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_INBOUND_H
#define CYGNET_INBOUND_H

#include "crypto_frame.h"
#include "sad_lookup.h"
#include "worker.h"

/* What opening has in common for ESP and AH: the window, its owner, admission, and what follows the ICV. */

static inline rte_edge_t
inbound_drop(struct pkt *p, enum drop_reason reason, rte_edge_t edge)
{
	p->drop = reason;
	return edge;
}

static inline rte_edge_t
inbound_refuse(struct worker *w, struct pkt *p, const struct sa *sa, enum drop_reason reason,
	enum sa_error error, rte_edge_t edge)
{
	w->sa_counters[sa->slot].errors[error]++;
	return inbound_drop(p, reason, edge);
}

/* The worker that owns the SA's window: the first that sees a packet of it. */
static inline uint16_t
inbound_owner(const struct worker *w, struct sa *sa)
{
	uint16_t is = atomic_load_explicit(&sa->worker, memory_order_relaxed);

	if (unlikely(is == SA_NO_WORKER) &&
		atomic_compare_exchange_strong(&sa->worker, &is, w->index))
		is = w->index;
	return is;
}

enum inbound_verdict { INBOUND_GO, INBOUND_GONE, INBOUND_DROP };

/*
 * Whether a packet with that number (its low half) goes to the crypto lcores: GO, with p->sqn set; GONE, another
 * worker has it now, which looks the SA up itself; DROP, with the reason in p->drop and counted on the SA.
 */
static inline enum inbound_verdict
inbound_admit(struct worker *w, struct rte_mbuf *m, struct pkt *p, struct sa *sa, uint32_t seq)
{
	uint16_t is;

	p->sqn = seq;
	if (sa->replay != NULL) {
		is = inbound_owner(w, sa);
		if (unlikely(is != w->index)) {
			if (rte_ring_mp_enqueue(w->workers[is]->handover, m) == 0)
				return INBOUND_GONE;
			return inbound_drop(p, DROP_HANDOVER_FULL, INBOUND_DROP);
		}
		if (sa->flags & SA_F_ESN)
			p->sqn = replay_esn(sa->replay, seq);
		if (unlikely(!replay_check(sa->replay, p->sqn)))
			return inbound_refuse(
				w, p, sa, DROP_ESP_REPLAY, SA_ERR_REPLAY, INBOUND_DROP);
	}
	if (unlikely(crypto_admit(&w->crypto_queue, 1) == 0))
		return inbound_refuse(
			w, p, sa, DROP_CRYPTO_OVERLOAD, SA_ERR_OVERLOAD, INBOUND_DROP);
	return INBOUND_GO;
}

/* What is said of a packet on its way to be opened, and counts no more when it is. */
#define INBOUND_DONE \
	(PKT_F_DECRYPT | PKT_F_AH | PKT_F_UDP | PKT_F_LOCAL | PKT_F_L2_GROUP | PKT_F_OUTSIDE)

/* After the operation: whether the packet is authentic and new. The window moves only then. */
static inline enum drop_reason
inbound_authentic(struct worker *w, struct pkt *p, struct sa *sa)
{
	struct sa_counters *c = &w->sa_counters[sa->slot];
	uint8_t status = p->crypto_status;

	p->flags &= ~INBOUND_DONE;
	if (unlikely(status != RTE_CRYPTO_OP_STATUS_SUCCESS)) {
		if (status != RTE_CRYPTO_OP_STATUS_AUTH_FAILED)
			return DROP_CRYPTO_ERROR;
		c->errors[SA_ERR_ICV]++;
		return DROP_ESP_ICV;
	}
	if (sa->replay != NULL && unlikely(!replay_update(sa->replay, p->sqn))) {
		c->errors[SA_ERR_REPLAY]++;
		return DROP_ESP_REPLAY;
	}
	worker_sa_used(w, sa, 0, 0);
	return DROP_NONE;
}

/* The packet is what it was before it was sealed: it counts, and its SA's policy is to be asked. */
static inline void
inbound_accepted(struct worker *w, struct rte_mbuf *m, struct pkt *p, struct sa *sa)
{
	worker_sa_used(w, sa, 1, rte_pktmbuf_pkt_len(m));
	p->flags |= PKT_F_DECRYPTED;
}

#endif
