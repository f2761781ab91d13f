/* SPDX-License-Identifier: BSD-3-Clause */
#include "icmp_quote.h"
#include "ike_pieces.h"
#include "sad_lookup.h"
#include "spd_batch.h"
#include "stream.h"
#include "worker.h"

enum { EDGE_REWRITE, EDGE_ENCRYPT, EDGE_AH, EDGE_DROP, EDGE_REWRITE6 };

/* What charon sends: it comes from the tap, perhaps in pieces. */
static inline bool
is_ike(struct worker *w, const struct rte_mbuf *m, const struct pkt *p)
{
	struct spd_key key;

	if (likely(!(p->flags & PKT_F_OWN_L2)))
		return false;
	spd_batch_key(w, m, &key);
	if (spd_key_is_ike(w, &key, false)) {
		ike_pieces_begin(w, m);
		return true;
	}
	return key.no_ports && key.proto == IPPROTO_UDP && ike_pieces_has(w, m);
}

static inline rte_edge_t
pass(const struct rte_mbuf *m)
{
	return likely(!ip6_is_version(m)) ? EDGE_REWRITE : EDGE_REWRITE6;
}

/* No policy: what comes out of a tunnel may go on, our own as configured, the rest by its pair of ports. */
static inline bool
default_bypass(const struct worker *w, const struct pkt *p)
{
	if (p->flags & PKT_F_PROTECTED)
		return true;
	if (p->in_port == PKT_PORT_HOST)
		return w->local_bypass;
	return w->pair_bypass[p->in_port][p->out_port];
}

static inline rte_edge_t
drop(struct pkt *p, enum drop_reason reason)
{
	p->drop = reason;
	return EDGE_DROP;
}

/* There is no SA: charon is to be asked for one, with what the packet was (RFC 4301, 4.4.1.1, "PFP"). */
static void
ask_for_sa(const struct worker *w, const struct rte_mbuf *m, struct spd_policy *policy)
{
	uint32_t idle = SPD_ACQUIRE_IDLE;

	if (atomic_load_explicit(&policy->acquire, memory_order_relaxed) != idle ||
		!atomic_compare_exchange_strong(&policy->acquire, &idle, SPD_ACQUIRE_WRITING))
		return;
	spd_batch_key(w, m, &policy->trigger);
	atomic_store_explicit(&policy->acquire, SPD_ACQUIRE_READY, memory_order_release);
}

/* The packet's policy as of now, or NULL. */
static __rte_noinline struct spd_policy *
find_policy(const struct worker *w, const struct rte_mbuf *m)
{
	struct spd_key key;

	spd_batch_key(w, m, &key);
	return spd_batch_find(w, SPD_OUT, &key);
}

/*
 * The policy's SA is not there. If a lcore was held up since it looked, the policy may lead to another by now, or another policy be
 * there: a rekeying loses nothing.
 */
static __rte_noinline struct sa *
look_again(const struct worker *w, const struct rte_mbuf *m)
{
	const struct spd_policy *now = find_policy(w, m);

	return now != NULL && now->action == SPD_PROTECT ? spd_policy_sa(w->sad, now) : NULL;
}

static inline rte_edge_t
seal(const struct sa *sa)
{
	return likely(!(sa->flags & SA_F_AH)) ? EDGE_ENCRYPT : EDGE_AH;
}

/*
 * RFC 4301, 6.2: an ICMP error that no policy seals goes where the answer to what it quotes would go; for it no SA is asked for. Else
 * what the peer sealed, and we quote, would be told in clear.
 */
static __rte_noinline rte_edge_t
output_error(struct worker *w, const struct rte_mbuf *m, struct pkt *p, struct spd_policy *policy)
{
	struct spd_policy *quoted = icmp_quote_out(w, m, p);

	if (quoted == NULL) {
		if (p->flags & PKT_F_QUOTES)
			return drop(p, DROP_POLICY_QUOTE);
		return policy != NULL || default_bypass(w, p) ? pass(m)
							      : drop(p, DROP_POLICY_DEFAULT);
	}
	if (p->flags & PKT_F_OUTSIDE)
		return drop(p, DROP_POLICY_OUTSIDE);
	spd_batch_used(w, quoted);
	p->sa = spd_policy_sa(w->sad, quoted);
	return p->sa != NULL ? seal(p->sa) : drop(p, DROP_POLICY_QUOTE);
}

/*
 * RFC 4301, 5.1: PROTECT, BYPASS or DISCARD. looked: there are policies. What came in clear from outside is not for a tunnel: 5.2
 * discards what no policy lets in, and its source would be believed behind the tunnel.
 */
static inline rte_edge_t
output(struct worker *w, const struct rte_mbuf *m, struct pkt *p, struct spd_policy *policy,
	bool looked)
{
	if (unlikely(is_ike(w, m, p)))
		return pass(m);
	if (unlikely(p->flags & PKT_F_QUOTES) && (policy == NULL || policy->action == SPD_BYPASS))
		return output_error(w, m, p, policy);
	if (policy == NULL && looked && icmp_quote_maybe(m))
		return output_error(w, m, p, policy);
	if (policy == NULL)
		return likely(default_bypass(w, p)) ? pass(m) : drop(p, DROP_POLICY_DEFAULT);
	if (unlikely(p->flags & PKT_F_OUTSIDE) && policy->action == SPD_PROTECT)
		return drop(p, DROP_POLICY_OUTSIDE);
	spd_batch_used(w, policy);
	if (policy->action == SPD_BYPASS)
		return pass(m);
	if (policy->action == SPD_DISCARD)
		return drop(p, DROP_POLICY_DISCARD);
	p->sa = spd_policy_sa(w->sad, policy);
	if (unlikely(p->sa == NULL))
		p->sa = look_again(w, m);
	if (unlikely(p->sa == NULL)) {
		ask_for_sa(w, m, policy);
		return drop(p, DROP_POLICY_NO_SA);
	}
	return seal(p->sa);
}

static inline rte_edge_t
judge(struct worker *w, bool complete, const struct rte_mbuf *m, struct spd_policy *policy,
	bool looked)
{
	struct pkt *p = pkt(m);

	if (unlikely(!complete && p->in_port != PKT_PORT_HOST))
		return drop(p, DROP_POLICY_INCOMPLETE);
	return output(w, m, p, policy, looked);
}

/*
 * Packets from one to end, which are a run: where there is an SA for them, and they are not perhaps IKE, nor from outside, all take its
 * way, and none is looked at.
 */
static inline void
output_run(struct worker *w, struct stream *s, bool complete, uint16_t from, uint16_t end,
	spd_answer answer)
{
	struct spd_policy *policy = spd_answer_policy(answer);

	if (likely(answer & SPD_ANSWER_SA)) {
		struct sa *sa = spd_answer_sa(answer);

		if (likely(complete && !(pkt(s->objs[from])->flags & SPD_BATCH_JUDGED))) {
			for (uint16_t i = from; i < end; i++)
				pkt(s->objs[i])->sa = sa;
			stream_put(s, from, answer & SPD_ANSWER_AH ? EDGE_AH : EDGE_ENCRYPT);
			return;
		}
		policy = find_policy(w, s->objs[from]);
	}
	for (uint16_t i = from; i < end; i++)
		stream_put(s, i, judge(w, complete, s->objs[i], policy, true));
}

static uint16_t
ipsec_output_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);
	bool complete = spd_complete(w->spd), empty = spd_empty(w->spd, SPD_OUT);
	struct spd_batch b;

	for (uint16_t at = 0; at < n; at += b.n) {
		/* Of what Linux does not send only the policies count: without any, nothing is read. */
		b.n = empty ? spd_batch_without(&objs[at], n - at, PKT_F_OWN_L2) : 0;
		for (uint16_t i = 0; i < b.n; i++)
			stream_put(&s, at + i, judge(w, complete, objs[at + i], NULL, false));
		if (b.n > 0)
			continue;
		spd_batch_lookup(w, &b, SPD_OUT, SPD_OUT, &objs[at], n - at);
		for (uint16_t k = 0, from = at; k < b.n_keys; from = at + b.end[k++])
			output_run(w, &s, complete, from, at + b.end[k], b.answer[k]);
	}
	return stream_end(&s, n);
}

static struct rte_node_register ipsec_output_node = {
	.name = "ipsec-output",
	.init = worker_node_init,
	.process = ipsec_output_process,
	.nb_edges = 5,
	.next_nodes = {[EDGE_REWRITE] = "ip4-rewrite",
		[EDGE_ENCRYPT] = "esp-encrypt",
		[EDGE_AH] = "ah-output",
		[EDGE_DROP] = "drop",
		[EDGE_REWRITE6] = "ip6-rewrite"},
};
RTE_NODE_REGISTER(ipsec_output_node);
