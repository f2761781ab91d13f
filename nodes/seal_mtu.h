/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SEAL_MTU_H
#define CYGNET_SEAL_MTU_H

#include "esp_transport.h"
#include "sad.h"

/* What becomes of a packet that is too large for its SA's path: RFC 4301, 8.1 and 7; RFC 4303, 3.3.4. */
enum seal_mtu {
	SEAL_WHOLE, /* it is sealed, and what comes of it fragmented: PKT_F_FRAGMENT */
	SEAL_PIECES, /* ip4-fragment cuts it into what fits, which is sealed piece by piece */
	SEAL_TELL, /* the sender is told what fits */
	SEAL_NOT,
};

static inline bool
seal_df(const struct rte_mbuf *m)
{
	/* Routers never fragment IPv6. */
	return esp_version(m) == 6 ||
	       (ip4_hdr(m)->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG)) != 0;
}

static inline enum seal_mtu
seal_too_big(const struct sa *sa, const struct sa_template *t, const struct rte_mbuf *m)
{
	bool tunnel = sa->flags & SA_F_TUNNEL, df = seal_df(m);
	bool outer6 = tunnel ? t->outer6 : esp_version(m) == 6;
	/* What is fragmented afterwards must not bear DF itself. */
	bool after = !outer6 && !(df && (!tunnel || sa->flags & SA_F_COPY_DF));

	if (sa->flags & SA_F_FRAGMENT_NEVER)
		return df ? SEAL_TELL : SEAL_NOT;
	/* Transport mode is for whole datagrams. */
	if (after && (sa->flags & SA_F_FRAGMENT_AFTER || !tunnel))
		return SEAL_WHOLE;
	if (df)
		return SEAL_TELL;
	return tunnel ? SEAL_PIECES : SEAL_NOT;
}

#endif
