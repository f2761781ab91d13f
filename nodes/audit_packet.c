/* SPDX-License-Identifier: BSD-3-Clause */
#include "audit_packet.h"

#include "audit.h"
#include "sad.h"

#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_ip.h>

static bool
kind_of(enum drop_reason reason, enum audit_kind *kind)
{
	switch (reason) {
	case DROP_ESP_NO_SA:
		*kind = AUDIT_UNKNOWN_SPI;
		return true;
	case DROP_ESP_ICV:
		*kind = AUDIT_ICV;
		return true;
	case DROP_ESP_REPLAY:
		*kind = AUDIT_REPLAY;
		return true;
	case DROP_POLICY_MISMATCH:
		*kind = AUDIT_SELECTOR;
		return true;
	case DROP_ESP_OVERFLOW:
		*kind = AUDIT_OVERFLOW;
		return true;
	default:
		return false;
	}
}

/* Addresses of the IP packet that the mbuf begins with; its protocol. */
static uint8_t
read_addresses(const struct rte_mbuf *m, struct audit_event *e)
{
	const struct rte_ipv4_hdr *ip4 = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_ipv6_hdr *ip6 = (const struct rte_ipv6_hdr *)ip4;
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
		return ip6->proto;
	}
	return 0;
}

/* SPI and number as they stand in the packet; p->l3_len: where ESP or AH begins. */
static void
read_header(const struct rte_mbuf *m, const struct pkt *p, struct audit_event *e)
{
	uint16_t at = p->l3_len + (e->proto == IPPROTO_AH ? 4 : 0);
	uint32_t word[2];

	if (rte_pktmbuf_data_len(m) < at + sizeof(word))
		return;
	memcpy(word, rte_pktmbuf_mtod_offset(m, const uint8_t *, at), sizeof(word));
	e->spi = word[0];
	e->sqn = e->kind == AUDIT_UNKNOWN_SPI ? rte_be_to_cpu_32(word[1]) : p->sqn;
}

void
audit_packet(struct worker *w, const struct rte_mbuf *m, const struct pkt *p)
{
	struct audit_event e = {.in_port = p->in_port};
	enum audit_kind kind;
	uint8_t proto;

	if (!kind_of(p->drop, &kind) || w->audit == NULL)
		return;
	if (w->audit_second != w->seconds) {
		w->audit_second = w->seconds;
		w->audit_events = 0;
	}
	if (w->audit_events++ >= w->audit_rate)
		goto suppress;
	e.kind = kind;
	proto = read_addresses(m, &e);
	if (kind == AUDIT_OVERFLOW) {
		e.proto = p->sa->flags & SA_F_AH ? IPPROTO_AH : IPPROTO_ESP;
		e.spi = p->sa->template[atomic_load(&p->sa->active)].spi;
		e.sqn = p->sa->sqn_max;
	} else if (kind == AUDIT_SELECTOR) {
		e.proto = p->sa->flags & SA_F_AH ? IPPROTO_AH : IPPROTO_ESP;
		e.spi = p->spi;
		e.sqn = p->sqn;
	} else {
		e.proto = proto == IPPROTO_AH ? IPPROTO_AH : IPPROTO_ESP;
		read_header(m, p, &e);
	}
	if (rte_ring_mp_enqueue_elem(w->audit, &e, sizeof(e)) == 0)
		return;
suppress:
	w->audit_suppressed[kind]++;
}
