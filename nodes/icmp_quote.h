/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ICMP_QUOTE_H
#define CYGNET_ICMP_QUOTE_H

#include "ip4.h"
#include "ip6.h"
#include "spd.h"
#include "worker.h"

/*
 * ICMP errors about what went through a tunnel (RFC 4301, 6.2). A router behind the tunnel has an address that no policy names, so
 * an error of its own is judged by the packet that it quotes: turned around, that is the answer which the error stands for. What
 * such an answer may do the error may, and nothing more.
 */

/* Whether a valid packet may be an ICMP error: its protocol, no more. */
static inline bool
icmp_quote_maybe(const struct rte_mbuf *m)
{
	return unlikely(ip6_is_version(m) ? ip6_hdr(m)->proto == IPPROTO_ICMPV6
					  : ip4_hdr(m)->next_proto_id == IPPROTO_ICMP);
}

/* Where the extension headers of a quoted packet end, and what follows; 0: they do not, or it is a later fragment. */
static inline uint16_t
icmp_quote_chain(const uint8_t *ip, uint16_t len, uint8_t *proto)
{
	uint16_t at = sizeof(struct rte_ipv6_hdr);

	*proto = ((const struct rte_ipv6_hdr *)ip)->proto;
	for (unsigned int n = 0; ip6_is_extension(*proto); n++) {
		const uint8_t *h = ip + at;

		if (n == IP6_MAX_HEADERS || at + 8 > len ||
			(*proto == IPPROTO_FRAGMENT && (h[2] << 8 | h[3]) & 0xfff8))
			return 0;
		at += *proto == IPPROTO_FRAGMENT ? 8 : 8 * (h[1] + 1);
		*proto = h[0];
		if (at > len)
			return 0;
	}
	return at;
}

/*
 * Whether an error that an SA opened is about what that SA's own policy sent: then it may come in, though its addresses
 * match no policy of the SA. Any valid packet with PKT_F_DECRYPTED. Worker.
 */
bool icmp_quote_allows_in(const struct worker *w, const struct rte_mbuf *m, const struct pkt *p);

/*
 * The policy whose SA is to carry an error that no policy is for; NULL: it is none, or the answer that it stands for would not
 * go through a tunnel, or could not have come the way that it came. Any valid packet. Worker.
 */
struct spd_policy *icmp_quote_out(
	const struct worker *w, const struct rte_mbuf *m, const struct pkt *p);

#endif
