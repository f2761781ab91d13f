/* SPDX-License-Identifier: BSD-3-Clause */
#include "icmp_quote.h"
#include "sad.h"
#include "spd_batch.h"
#include "stream.h"
#include "worker.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

enum { EDGE_LOOKUP, EDGE_HOST, EDGE_DROP, EDGE_LOOKUP6, EDGE_PATH_MTU };

#define PORT_BGP 179
#define PORT_BFD 3784
#define PORT_BFD_MULTIHOP 4784

/* Clear packets to charon. ESP never comes this way. */
static inline bool
is_ike(const struct worker *w, const struct pkt *p, const struct spd_key *key)
{
	return !(p->flags & PKT_F_DECRYPTED) && spd_key_is_ike(w, key, true);
}

static inline enum punt_class
punt_class(const struct spd_key *key)
{
	switch (key->proto) {
	case IPPROTO_TCP:
		return key->dst_port == PORT_BGP || key->src_port == PORT_BGP ? PUNT_ROUTING
									      : PUNT_OTHER;
	case IPPROTO_UDP:
		return key->dst_port == PORT_BFD || key->dst_port == PORT_BFD_MULTIHOP
			       ? PUNT_ROUTING
			       : PUNT_OTHER;
	case 88: /* EIGRP */
	case 89: /* OSPF */
	case 103: /* PIM */
	case 112: /* VRRP */
	case IPPROTO_IGMP:
		return PUNT_ROUTING;
	}
	return PUNT_OTHER;
}

/* RFC 4301, 5.2, steps 3a and 4: whether what came may come this way. */
static inline enum drop_reason
verdict(const struct worker *w, const struct pkt *p, const struct spd_policy *policy)
{
	if (p->flags & PKT_F_DECRYPTED) {
		if (likely(policy != NULL && policy->action == SPD_PROTECT &&
			    spd_policy_takes(policy, p->sa) &&
			    (policy->mode == SA_MODE_TUNNEL) == !!(p->sa->flags & SA_F_TUNNEL)))
			return DROP_NONE;
		return DROP_POLICY_MISMATCH;
	}
	if (policy == NULL)
		return (p->flags & PKT_F_LOCAL) && !w->local_bypass ? DROP_POLICY_DEFAULT
								    : DROP_NONE;
	if (policy->action == SPD_PROTECT)
		return DROP_POLICY_CLEAR;
	return policy->action == SPD_DISCARD ? DROP_POLICY_DISCARD : DROP_NONE;
}

/* RFC 4301, 6.2: an ICMP error that is about what this SA's policy sends. A policy that discards it has the word. */
static inline bool
may_answer(const struct worker *w, const struct rte_mbuf *m, const struct pkt *p,
	const struct spd_policy *policy)
{
	return icmp_quote_maybe(m) && (policy == NULL || policy->action != SPD_DISCARD) &&
	       icmp_quote_allows_in(w, m, p);
}

/* RFC 4301, 8.2: an ICMP error that came in clear to us, and may be about what an SA sealed. */
static inline bool
tells_path_mtu(const struct worker *w, const struct pkt *p, const struct spd_key *key)
{
	if (w->path_mtus == NULL || (p->flags & (PKT_F_LOCAL | PKT_F_DECRYPTED)) != PKT_F_LOCAL)
		return false;
	return (key->proto == IPPROTO_ICMP && key->src_port == ICMP_DEST_UNREACH &&
		       key->dst_port == ICMP_FRAG_NEEDED) ||
	       (key->proto == IPPROTO_ICMPV6 && key->src_port == ICMP6_PACKET_TOO_BIG);
}

/* From here on the packet is none of its SA's any more, but one of the policies' that it came by, or that the SA is lent to. */
static inline void
allow(struct pkt *p, const struct sa *sa)
{
	uint64_t lent = atomic_load_explicit(&sa->lent, memory_order_relaxed);

	p->flags |= PKT_F_PROTECTED;
	p->reqid = likely(lent == 0) ? sa->reqid : (uint32_t)lent;
	p->mark = sa->mark;
	p->sa = NULL;
}

static inline rte_edge_t
forward(const struct rte_mbuf *m)
{
	return likely(!ip6_is_version(m)) ? EDGE_LOOKUP : EDGE_LOOKUP6;
}

static inline rte_edge_t
check(struct worker *w, const struct rte_mbuf *m, struct pkt *p, struct spd_policy *policy)
{
	enum drop_reason reason = DROP_NONE;
	struct spd_key key;
	bool ike = false;

	if (unlikely(p->flags & PKT_F_LOCAL)) {
		spd_batch_key(w, m, &key);
		ike = is_ike(w, p, &key);
	}
	if (likely(!ike))
		reason = verdict(w, p, policy);
	if (unlikely(reason == DROP_POLICY_MISMATCH) && may_answer(w, m, p, policy))
		reason = DROP_NONE;
	/* What protects is used by what it protected: else who knocks in clear, or by another SA, keeps a dead peer alive for charon. */
	if (policy != NULL && !ike && (reason == DROP_NONE || policy->action != SPD_PROTECT))
		spd_batch_used(w, policy);
	if (unlikely(reason != DROP_NONE)) {
		p->drop = reason;
		if (p->flags & PKT_F_DECRYPTED)
			w->sa_counters[p->sa->slot].errors[SA_ERR_SELECTOR]++;
		return reason == DROP_POLICY_DEFAULT && tells_path_mtu(w, p, &key) ? EDGE_PATH_MTU
										   : EDGE_DROP;
	}
	if (p->flags & PKT_F_DECRYPTED)
		allow(p, p->sa);
	if (!(p->flags & PKT_F_LOCAL))
		return forward(m);
	p->punt = ike ? PUNT_IKE : punt_class(&key);
	if (unlikely(tells_path_mtu(w, p, &key))) {
		p->drop = DROP_NONE;
		return EDGE_PATH_MTU;
	}
	return EDGE_HOST;
}

/* Packets from one to end, which are a run: unless they are ours, what is said of the first holds for all. */
static inline void
check_run(
	struct worker *w, struct stream *s, uint16_t from, uint16_t end, struct spd_policy *policy)
{
	const struct rte_mbuf *m = s->objs[from];
	const struct sa *sa = pkt(m)->sa;
	uint16_t flags = pkt(m)->flags;

	if (unlikely(flags & PKT_F_LOCAL || verdict(w, pkt(m), policy) != DROP_NONE)) {
		for (uint16_t i = from; i < end; i++)
			stream_put(s, i, check(w, s->objs[i], pkt(s->objs[i]), policy));
		return;
	}
	if (policy != NULL)
		spd_batch_used(w, policy);
	if (flags & PKT_F_DECRYPTED)
		for (uint16_t i = from; i < end; i++)
			allow(pkt(s->objs[i]), sa);
	stream_put(s, from, forward(m));
}

static uint16_t
ipsec_input_check_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);
	bool empty = spd_empty(w->spd, SPD_FWD);
	struct spd_batch b;

	for (uint16_t at = 0; at < n; at += b.n) {
		/* Of what is not ours only the policies count: without any, nothing is read. */
		b.n = empty ? spd_batch_without(&objs[at], n - at, PKT_F_LOCAL) : 0;
		for (uint16_t i = 0; i < b.n; i++)
			stream_put(&s, at + i, check(w, objs[at + i], pkt(objs[at + i]), NULL));
		if (b.n > 0)
			continue;
		spd_batch_lookup(w, &b, SPD_FWD, SPD_IN, &objs[at], n - at);
		for (uint16_t k = 0, from = at; k < b.n_keys; from = at + b.end[k++])
			check_run(w, &s, from, at + b.end[k], spd_answer_policy(b.answer[k]));
	}
	return stream_end(&s, n);
}

static struct rte_node_register ipsec_input_check_node = {
	.name = "ipsec-input-check",
	.init = worker_node_init,
	.process = ipsec_input_check_process,
	.nb_edges = 5,
	.next_nodes = {[EDGE_LOOKUP] = "ip4-lookup",
		[EDGE_HOST] = "host-tx",
		[EDGE_DROP] = "drop",
		[EDGE_LOOKUP6] = "ip6-lookup",
		[EDGE_PATH_MTU] = "path-mtu"},
};
RTE_NODE_REGISTER(ipsec_input_check_node);
