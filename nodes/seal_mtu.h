/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SEAL_MTU_H
#define CYGNET_SEAL_MTU_H

#include "esp_transport.h"
#include "outer_ip.h"
#include "sad.h"
#include "seal_burst.h"
#include "worker.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

/* Where sealing sends packets, for ESP and AH alike, and what becomes of those that are too large for the SA's path. */

enum { SEAL_SUBMIT, SEAL_ICMP, SEAL_ICMP6, SEAL_FRAGMENT, SEAL_DROP, SEAL_EDGES };

static inline rte_edge_t
seal_refuse(struct worker *w, struct pkt *p, enum drop_reason reason, enum sa_error error)
{
	w->sa_counters[p->sa->slot].errors[error]++;
	p->drop = reason;
	return SEAL_DROP;
}

static rte_edge_t
seal_no_number(struct worker *w, struct pkt *p)
{
	sa_no_number(w, p);
	return SEAL_DROP;
}

/* RFC 4301, 8.1 and 7; RFC 4303, 3.3.4. */
enum seal_mtu {
	SEAL_WHOLE, /* it is sealed, and what comes of it fragmented: PKT_F_FRAGMENT */
	SEAL_PIECES, /* ip4-fragment cuts it into what fits, which is sealed piece by piece */
	SEAL_TELL, /* the sender is told what fits */
	SEAL_NOT,
};

static inline enum seal_mtu
seal_how(const struct sa *sa, const struct sa_template *t, const struct rte_mbuf *m)
{
	const void *ip = rte_pktmbuf_mtod(m, const void *);
	bool tunnel = sa->flags & SA_F_TUNNEL, six = esp_version(m) == 6;
	/* Routers never fragment IPv6, and what every link carries is not refused (RFC 2473, 7.1). */
	bool small = six && rte_pktmbuf_pkt_len(m) <= IP6_MIN_MTU;
	bool df = six || (ip4_hdr(m)->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG));
	/* What was wanted: where the path is too narrow for DF, the sender is still told what fits. */
	bool outer_is_df = tunnel ? (!t->outer6 || !(sa->flags & SA_F_SET_DF)) &&
					    outer_df_wanted(sa, ip, six) != 0
				  : !six && df;

	if (sa->flags & SA_F_FRAGMENT_NEVER)
		return df && !small ? SEAL_TELL : SEAL_NOT;
	if (small)
		return outer_is_df && !outer_df_hurts(sa) ? SEAL_NOT : SEAL_WHOLE;
	/* Transport mode is for whole datagrams. */
	if (!outer_is_df && (sa->flags & SA_F_FRAGMENT_AFTER || (!tunnel && !six)))
		return SEAL_WHOLE;
	if (df)
		return SEAL_TELL;
	return tunnel ? SEAL_PIECES : SEAL_NOT;
}

/* fits: the largest packet that would. */
static inline rte_edge_t
seal_too_big(struct worker *w, struct rte_mbuf *m, struct pkt *p, const struct sa_template *t,
	uint16_t fits)
{
	enum seal_mtu how = seal_how(p->sa, t, m);
	bool six = esp_version(m) == 6;

	if (how == SEAL_WHOLE) {
		p->flags |= PKT_F_FRAGMENT;
		p->path_mtu = atomic_load_explicit(&p->sa->mtu, memory_order_relaxed);
		return SEAL_SUBMIT;
	}
	if (how == SEAL_PIECES) {
		p->mtu = fits;
		return SEAL_FRAGMENT;
	}
	seal_refuse(w, p, six ? DROP_IP6_MTU : DROP_IP4_MTU, SA_ERR_MTU);
	if (how == SEAL_NOT)
		return SEAL_DROP;
	p->icmp_type = six ? ICMP6_PACKET_TOO_BIG : ICMP_DEST_UNREACH;
	p->icmp_code = six ? 0 : ICMP_FRAG_NEEDED;
	p->icmp_mtu = six ? RTE_MAX(fits, IP6_MIN_MTU) : fits;
	return six ? SEAL_ICMP6 : SEAL_ICMP;
}

#endif
