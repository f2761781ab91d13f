/* SPDX-License-Identifier: BSD-3-Clause */
#include "icmp_quote.h"
#include "spd_batch.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#define ICMP_HEADER 8
/* Errors are no longer than that (RFC 1812, 4.3.2.3; RFC 4443, 2.4 c): so little may come by way of a quote. */
#define MAX_ERROR4 576
#define MAX_ERROR6 IP6_MIN_MTU

/* About delivery. A redirect is no answer, and source quench is dead (RFC 6633). */
static bool
is_error4(uint8_t type)
{
	return type == ICMP_UNREACH || type == ICMP_TIMXCEED || type == ICMP_PARAMPROB;
}

static bool
is_error6(uint8_t type)
{
	return type >= ICMP6_DST_UNREACH && type <= ICMP6_PARAM_PROB;
}

/* What answers to no error: RFC 1122, 3.2.2; RFC 4443, 2.4 e. */
static bool
is_asked_back(uint8_t proto, uint8_t type)
{
	if (proto == IPPROTO_ICMPV6)
		return type & ICMP6_INFOMSG_MASK;
	return !is_error4(type) && type != ICMP_REDIRECT && type != ICMP_SOURCEQUENCH;
}

/* Ports of the answer; of ICMP, whose answers have other types, those of the question. Returns whether there may be an error. */
static bool
read_ports(struct spd_key *key, const uint8_t *l4, uint16_t len, bool later)
{
	key->src_port = key->dst_port = 0;
	key->no_ports = false;
	switch (key->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
		key->no_ports = later || len < 4;
		if (key->no_ports)
			return true;
		key->dst_port = l4[0] << 8 | l4[1];
		key->src_port = l4[2] << 8 | l4[3];
		return true;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (later || len < 2)
			return false; /* who knows */
		key->src_port = l4[0];
		key->dst_port = l4[1];
		return is_asked_back(key->proto, l4[0]);
	}
	return true;
}

static bool
read4(const struct rte_mbuf *m, struct spd_key *key)
{
	const struct rte_ipv4_hdr *ip = ip4_hdr(m), *quoted;
	uint16_t at = ip4_hdr_len(ip), len = rte_pktmbuf_data_len(m), quoted_len;
	const uint8_t *icmp = (const uint8_t *)ip + at;

	if (ip->next_proto_id != IPPROTO_ICMP || ip4_is_fragment(ip) ||
		rte_pktmbuf_pkt_len(m) > MAX_ERROR4 || len < at + ICMP_HEADER + sizeof(*quoted) ||
		!is_error4(icmp[0]))
		return false;
	quoted = (const struct rte_ipv4_hdr *)(icmp + ICMP_HEADER);
	quoted_len = ip4_hdr_len(quoted);
	len -= at + ICMP_HEADER;
	if (quoted->version_ihl >> 4 != 4 || quoted_len < sizeof(*quoted) || quoted_len > len ||
		quoted->src_addr != ip->dst_addr)
		return false;
	key->family = 4;
	key->src4 = quoted->dst_addr;
	key->dst4 = quoted->src_addr;
	key->proto = quoted->next_proto_id;
	return read_ports(key, (const uint8_t *)quoted + quoted_len, len - quoted_len,
		ip4_is_later_fragment(quoted));
}

static bool
read6(const struct rte_mbuf *m, struct spd_key *key)
{
	const struct rte_ipv6_hdr *ip = ip6_hdr(m), *quoted;
	uint16_t len = rte_pktmbuf_data_len(m), at;
	const uint8_t *icmp = (const uint8_t *)(ip + 1);

	if (ip->proto != IPPROTO_ICMPV6 || rte_pktmbuf_pkt_len(m) > MAX_ERROR6 ||
		len < sizeof(*ip) + ICMP_HEADER + sizeof(*quoted) || !is_error6(icmp[0]))
		return false;
	quoted = (const struct rte_ipv6_hdr *)(icmp + ICMP_HEADER);
	len -= sizeof(*ip) + ICMP_HEADER;
	if (*(const uint8_t *)quoted >> 4 != 6 ||
		memcmp(quoted->src_addr, ip->dst_addr, sizeof(ip->dst_addr)) != 0)
		return false;
	at = icmp_quote_chain((const uint8_t *)quoted, len, &key->proto);
	if (at == 0)
		return false;
	key->family = 6;
	memcpy(key->src6, quoted->dst_addr, sizeof(key->src6));
	memcpy(key->dst6, quoted->src_addr, sizeof(key->dst6));
	return read_ports(key, (const uint8_t *)quoted + at, len - at, false);
}

/* What an error quotes, turned around. */
static bool
read_answer(
	const struct worker *w, const struct rte_mbuf *m, const struct pkt *p, struct spd_key *key)
{
	if (!(ip6_is_version(m) ? read6(m, key) : read4(m, key)))
		return false;
	spd_batch_tag(w, p, &key->mark, &key->if_id);
	return true;
}

static bool
is_tunnel(const struct spd_policy *policy)
{
	return policy != NULL && policy->action == SPD_PROTECT && policy->mode == SA_MODE_TUNNEL;
}

bool
icmp_quote_allows_in(const struct worker *w, const struct rte_mbuf *m, const struct pkt *p)
{
	const struct spd_policy *policy;
	struct spd_key key;

	if (!(p->sa->flags & SA_F_TUNNEL) || !read_answer(w, m, p, &key))
		return false;
	policy = spd_batch_find(w, p->flags & PKT_F_LOCAL ? SPD_IN : SPD_FWD, &key);
	return is_tunnel(policy) && spd_policy_takes(policy, p->sa);
}

/* Whether the answer could have come as the error did: from us, out of that tunnel, or in clear. */
static bool
could_come(const struct worker *w, const struct pkt *p, const struct spd_key *key)
{
	const struct spd_policy *policy;

	if (p->in_port == PKT_PORT_HOST)
		return true;
	policy = spd_batch_find(w, SPD_FWD, key);
	if (p->flags & PKT_F_PROTECTED)
		return is_tunnel(policy) && policy->reqid == p->reqid;
	return policy == NULL || policy->action == SPD_BYPASS;
}

struct spd_policy *
icmp_quote_out(const struct worker *w, const struct rte_mbuf *m, const struct pkt *p)
{
	struct spd_policy *policy;
	struct spd_key key;

	if (!read_answer(w, m, p, &key))
		return NULL;
	policy = spd_batch_find(w, SPD_OUT, &key);
	return is_tunnel(policy) && could_come(w, p, &key) ? policy : NULL;
}
