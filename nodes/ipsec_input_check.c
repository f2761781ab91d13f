/* SPDX-License-Identifier: BSD-3-Clause */
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
verdict(struct worker *w, struct pkt *p, const struct spd_policy *policy)
{
	if (p->flags & PKT_F_DECRYPTED) {
		if (likely(policy != NULL && policy->action == SPD_PROTECT &&
			    policy->reqid == p->sa->reqid &&
			    (policy->mode == SA_MODE_TUNNEL) == !!(p->sa->flags & SA_F_TUNNEL))) {
			p->flags |= PKT_F_PROTECTED;
			return DROP_NONE;
		}
		w->sa_counters[p->sa->slot].errors[SA_ERR_SELECTOR]++;
		return DROP_POLICY_MISMATCH;
	}
	if (policy == NULL)
		return (p->flags & PKT_F_LOCAL) && !w->local_bypass ? DROP_POLICY_DEFAULT
								    : DROP_NONE;
	if (policy->action == SPD_PROTECT)
		return DROP_POLICY_CLEAR;
	return policy->action == SPD_DISCARD ? DROP_POLICY_DISCARD : DROP_NONE;
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
	if (policy != NULL)
		spd_batch_used(w, policy);
	if (unlikely(reason != DROP_NONE)) {
		p->drop = reason;
		return reason == DROP_POLICY_DEFAULT && tells_path_mtu(w, p, &key) ? EDGE_PATH_MTU
										   : EDGE_DROP;
	}
	if (p->flags & PKT_F_DECRYPTED) {
		p->reqid = p->sa->reqid;
		p->mark = p->sa->mark;
		p->sa = NULL;
	}
	if (!(p->flags & PKT_F_LOCAL))
		return likely(!ip6_is_version(m)) ? EDGE_LOOKUP : EDGE_LOOKUP6;
	p->punt = ike ? PUNT_IKE : punt_class(&key);
	if (unlikely(tells_path_mtu(w, p, &key))) {
		p->drop = DROP_NONE;
		return EDGE_PATH_MTU;
	}
	return EDGE_HOST;
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
		for (uint16_t i = 0; i < b.n; i++)
			stream_put(&s, at + i,
				check(w, objs[at + i], pkt(objs[at + i]), spd_batch_policy(&b, i)));
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
