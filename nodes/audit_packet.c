/* SPDX-License-Identifier: BSD-3-Clause */
#include "audit_packet.h"

#include "audit.h"
#include "ip6.h"
#include "sad.h"

#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_ip.h>

static bool
kind_of(enum drop_reason reason, enum audit_kind *kind)
{
	static const uint8_t kinds[DROP_REASONS_MAX] = {
		[DROP_ESP_NO_SA] = AUDIT_UNKNOWN_SPI + 1,
		[DROP_ESP_ICV] = AUDIT_ICV + 1,
		[DROP_ESP_REPLAY] = AUDIT_REPLAY + 1,
		[DROP_POLICY_MISMATCH] = AUDIT_SELECTOR + 1,
		[DROP_ESP_OVERFLOW] = AUDIT_OVERFLOW + 1,
		[DROP_POLICY_CLEAR] = AUDIT_CLEAR + 1,
		[DROP_ESP_SHORT] = AUDIT_MALFORMED + 1,
		[DROP_ESP_ENCAP] = AUDIT_MALFORMED + 1,
		[DROP_ESP_PADDING] = AUDIT_MALFORMED + 1,
		[DROP_ESP_NEXT_HEADER] = AUDIT_MALFORMED + 1,
		[DROP_AH_MALFORMED] = AUDIT_MALFORMED + 1,
		[DROP_FRAGMENT_INVALID] = AUDIT_FRAGMENT + 1,
		[DROP_FRAGMENT_OVERLAP] = AUDIT_FRAGMENT + 1,
		[DROP_PATH_MTU_REFUSED] = AUDIT_PATH_MTU + 1,
	};

	if (likely(kinds[reason] == 0))
		return false;
	*kind = kinds[reason] - 1;
	return true;
}

/* Addresses and flow label of the IP packet that the mbuf begins with; its protocol. */
static uint8_t
read_addresses(const struct rte_mbuf *m, struct audit_event *e)
{
	const struct rte_ipv4_hdr *ip4 = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_ipv6_hdr *ip6 = (const struct rte_ipv6_hdr *)ip4;
	struct ip6_chain c;
	uint16_t len = rte_pktmbuf_data_len(m);

	if (len >= sizeof(*ip4) && ip4->version_ihl >> 4 == 4) {
		e->src.family = e->dst.family = 4;
		e->src.v4 = ip4->src_addr;
		e->dst.v4 = ip4->dst_addr;
		return ip4->next_proto_id;
	}
	if (len >= sizeof(*ip6) && ip4->version_ihl >> 4 == 6) {
		e->src.family = e->dst.family = 6;
		memcpy(e->src.b, ip6->src_addr, sizeof(e->src.b));
		memcpy(e->dst.b, ip6->dst_addr, sizeof(e->dst.b));
		e->label = rte_be_to_cpu_32(ip6->vtc_flow) & RTE_IPV6_HDR_FL_MASK;
		return ip6_walk(m, &c) == DROP_NONE ? c.proto : ip6->proto;
	}
	return 0;
}

/* SPI and number as they stand in the packet; p->l3_len: where ESP or AH begins. known: all 64 bits of the number are. */
static void
read_header(const struct rte_mbuf *m, const struct pkt *p, struct audit_event *e, bool known)
{
	uint16_t at = p->l3_len + (e->proto == IPPROTO_AH ? 4 : 0);
	uint32_t word[2];

	if (rte_pktmbuf_data_len(m) < at + sizeof(word))
		return;
	memcpy(word, rte_pktmbuf_mtod_offset(m, const uint8_t *, at), sizeof(word));
	e->spi = word[0];
	e->sqn = known ? p->sqn : rte_be_to_cpu_32(word[1]);
}

/* What the packet's header does not say; e has its addresses. proto: the packet's. */
static void
read_event(const struct rte_mbuf *m, const struct pkt *p, uint8_t proto, struct audit_event *e)
{
	e->proto = proto == IPPROTO_AH ? IPPROTO_AH : IPPROTO_ESP;
	switch (e->kind) {
	case AUDIT_OVERFLOW:
		e->proto = p->sa->flags & SA_F_AH ? IPPROTO_AH : IPPROTO_ESP;
		e->spi = p->sa->template[atomic_load(&p->sa->active)].spi;
		e->sqn = sa_last_number(p->sa);
		break;
	case AUDIT_SELECTOR:
		e->proto = p->sa->flags & SA_F_AH ? IPPROTO_AH : IPPROTO_ESP;
		e->spi = p->spi;
		e->sqn = p->sqn;
		break;
	case AUDIT_CLEAR:
	case AUDIT_FRAGMENT:
		e->proto = proto;
		break;
	case AUDIT_PATH_MTU:
		e->proto = p->next_header;
		e->spi = p->spi;
		e->sqn = p->sqn;
		break;
	default:
		read_header(m, p, e, e->kind == AUDIT_ICV || e->kind == AUDIT_REPLAY);
	}
}

void
audit_packet(struct worker *w, const struct rte_mbuf *m, const struct pkt *p)
{
	struct audit_event e = {.in_port = p->in_port};
	enum audit_kind kind;

	if (!kind_of(p->drop, &kind) || w->audit == NULL)
		return;
	/* A node plugin may drop for any reason, and anywhere: then no SA is to blame. */
	if ((kind == AUDIT_OVERFLOW || kind == AUDIT_SELECTOR) && p->sa == NULL)
		return;
	if (w->audit_second != w->seconds) {
		w->audit_second = w->seconds;
		memset(w->audit_events, 0, sizeof(w->audit_events));
	}
	if (w->audit_events[kind]++ >= w->audit_rate)
		goto suppress;
	e.kind = kind;
	read_event(m, p, read_addresses(m, &e), &e);
	if (rte_ring_mp_enqueue_elem(w->audit, &e, sizeof(e)) == 0)
		return;
suppress:
	w->audit_suppressed[kind]++;
}
