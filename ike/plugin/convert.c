/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "convert.h"

#include <utils/debug.h>

/* kernel-netlink's scale: each class of priority is a stretch of it, finer things lie within. */
#define PRIORITY_CLASS 200000

void
convert_host(host_t *host, struct ike_addr *addr)
{
	chunk_t bytes = host->get_address(host);

	memset(addr, 0, sizeof(*addr));
	addr->family = host->get_family(host) == AF_INET6 ? 6 : 4;
	memcpy(addr->b, bytes.ptr, min(bytes.len, sizeof(addr->b)));
}

host_t *
convert_addr(const struct ike_addr *addr, uint16_t port)
{
	if (addr->family != 4 && addr->family != 6)
		return NULL;
	return host_create_from_chunk(addr->family == 4 ? AF_INET : AF_INET6,
		chunk_create((u_char *)(uintptr_t)addr->b, addr->family == 4 ? 4 : 16),
		ntohs(port));
}

void
convert_sa_id(const kernel_ipsec_sa_id_t *id, struct ike_msg_sa_id *out)
{
	memset(out, 0, sizeof(*out));
	convert_host(id->src, &out->src);
	convert_host(id->dst, &out->dst);
	out->spi = id->spi;
	out->proto = id->proto;
}

bool
convert_add_sa(const kernel_ipsec_sa_id_t *id, const kernel_ipsec_add_sa_t *data,
	struct ike_msg_add_sa *out)
{
	bool per_cpu = FALSE;

#ifdef HAVE_KERNEL_IPSEC_ADD_SA_T_CPU
	per_cpu = data->cpu != CPU_ID_MAX;
#endif
	if ((data->mode != MODE_TUNNEL && data->mode != MODE_TRANSPORT) || data->ipcomp != 0 ||
		per_cpu || data->enc_key.len + data->int_key.len > IKE_KEY_MAX) {
		DBG1(DBG_KNL,
			"cygnet: SA %.8x: mode, IPComp, per-CPU SAs or key length not supported",
			ntohl(id->spi));
		return FALSE;
	}
	convert_sa_id(id, &out->id);
	out->id.reqid = data->reqid;
	out->life.time_soft = data->lifetime->time.rekey;
	out->life.time_hard = data->lifetime->time.life;
	out->life.bytes_soft = data->lifetime->bytes.rekey;
	out->life.bytes_hard = data->lifetime->bytes.life;
	out->life.packets_soft = data->lifetime->packets.rekey;
	out->life.packets_hard = data->lifetime->packets.life;
	out->replay_window = data->replay_window;
	/* tfc_padding is of a connection, whatever its CHILD_SAs are; kernel-netlink, too, takes it where there is TFC alone. */
	if (data->mode == MODE_TUNNEL && id->proto == IPPROTO_ESP)
		out->tfc = data->tfc;
	out->if_id = id->if_id;
	out->mark = data->mark.value;
	out->mark_mask = data->mark.mask;
	out->enc_alg = data->enc_alg == ENCR_UNDEFINED ? 0 : data->enc_alg;
	out->enc_key_len = data->enc_key.len;
	out->int_alg = data->int_alg == AUTH_UNDEFINED ? 0 : data->int_alg;
	out->int_key_len = data->int_key.len;
	out->dir = data->inbound ? IKE_DIR_IN : IKE_DIR_OUT;
	out->mode = data->mode == MODE_TUNNEL ? IKE_MODE_TUNNEL : IKE_MODE_TRANSPORT;
	out->flags = (data->esn ? IKE_SA_ESN : 0) | (data->encap ? IKE_SA_ENCAP : 0) |
		     (data->inbound && data->update ? IKE_SA_UPDATE : 0) |
		     (data->copy_df ? IKE_SA_COPY_DF : 0) |
		     (data->copy_ecn ? 0 : IKE_SA_NO_COPY_ECN) |
		     (data->initiator ? IKE_SA_INITIATOR : 0);
	if (data->copy_dscp == DSCP_COPY_YES || data->copy_dscp == DSCP_COPY_OUT_ONLY)
		out->flags |= IKE_SA_COPY_DSCP_OUT;
	if (data->copy_dscp == DSCP_COPY_YES || data->copy_dscp == DSCP_COPY_IN_ONLY)
		out->flags |= IKE_SA_COPY_DSCP_IN;
	if (data->encap) {
		out->src_port = htons(id->src->get_port(id->src));
		out->dst_port = htons(id->dst->get_port(id->dst));
	}
	return TRUE;
}

static bool
is_icmp(uint8_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

/* One traffic selector: a prefix or a range, and ports. */
static bool
convert_ts(traffic_selector_t *ts, struct ike_addr *net, uint8_t *last, uint8_t *plen, uint16_t *lo,
	uint16_t *hi)
{
	host_t *host;
	chunk_t from = ts->get_from_address(ts), to = ts->get_to_address(ts);

	if (ts->to_subnet(ts, &host, plen)) {
		convert_host(host, net);
	} else {
		memset(net, 0, sizeof(*net));
		net->family = from.len == 4 ? 4 : 6;
		memcpy(net->b, from.ptr, min(from.len, sizeof(net->b)));
		memcpy(last, to.ptr, min(to.len, sizeof(net->b)));
		*plen = IKE_PLEN_RANGE;
	}
	host->destroy(host);
	*lo = ts->get_from_port(ts);
	*hi = ts->get_to_port(ts);
	if (*lo > *hi) { /* OPAQUE, RFC 4301, 4.4.1.1: for what shows no ports */
		DBG1(DBG_KNL, "cygnet: traffic selector %R: OPAQUE ports are not supported", ts);
		return FALSE;
	}
	return TRUE;
}

bool
convert_policy_id(const kernel_ipsec_policy_id_t *id, struct ike_msg_policy *out)
{
	struct ike_selector *sel = &out->sel;
	uint8_t src_proto = id->src_ts->get_protocol(id->src_ts);
	uint8_t dst_proto = id->dst_ts->get_protocol(id->dst_ts);
	uint16_t from, to;

	memset(out, 0, sizeof(*out));
	if (id->interface || id->label) {
		DBG1(DBG_KNL, "cygnet: policies for an interface or a label are not supported");
		return FALSE;
	}
	if (!convert_ts(id->src_ts, &sel->src, sel->src_last, &sel->src_plen, &sel->src_port_lo,
		    &sel->src_port_hi) ||
		!convert_ts(id->dst_ts, &sel->dst, sel->dst_last, &sel->dst_plen, &sel->dst_port_lo,
			&sel->dst_port_hi))
		return FALSE;
	sel->proto = max(src_proto, dst_proto);
	if (is_icmp(sel->proto)) {
		/* RFC 4301, 4.4.1.1: type in the high byte, code in the low one, in either selector. */
		from = max(sel->src_port_lo, sel->dst_port_lo);
		to = min(sel->src_port_hi, sel->dst_port_hi);
		sel->src_port_lo = sel->dst_port_lo = 0;
		sel->src_port_hi = sel->dst_port_hi = UINT16_MAX;
		if (from != 0 || to != UINT16_MAX) {
			sel->src_port_lo = traffic_selector_icmp_type(from);
			sel->src_port_hi = traffic_selector_icmp_type(to);
			if (sel->src_port_lo == sel->src_port_hi) {
				sel->dst_port_lo = traffic_selector_icmp_code(from);
				sel->dst_port_hi = traffic_selector_icmp_code(to);
				if (sel->dst_port_lo == 0 && sel->dst_port_hi == UINT8_MAX)
					sel->dst_port_hi = UINT16_MAX; /* any */
			}
		}
	}
	switch (id->dir) {
	case POLICY_IN:
		out->dir = IKE_DIR_IN;
		break;
	case POLICY_OUT:
		out->dir = IKE_DIR_OUT;
		break;
	case POLICY_FWD:
		out->dir = IKE_DIR_FWD;
		break;
	}
	out->if_id = id->if_id;
	out->mark = id->mark.value;
	out->mark_mask = id->mark.mask;
	return TRUE;
}

/* Leading bits that all ports of a range share: those of the mask that kernel-netlink makes of it. */
static uint32_t
port_bits(uint16_t lo, uint16_t hi)
{
	return lo == hi ? 16 : __builtin_clz(lo ^ hi) - 16;
}

/* Length of the prefix, or of the smallest one around a range: what kernel-netlink makes of it. */
static uint32_t
prefix_bits(const struct ike_addr *first, const uint8_t *last, uint8_t plen)
{
	unsigned int i = 0;

	if (plen != IKE_PLEN_RANGE)
		return plen;
	while (i < sizeof(first->b) - 1 && first->b[i] == last[i])
		i++;
	return i * 8 + __builtin_clz((first->b[i] ^ last[i]) | 1) - 24;
}

/* The larger the class and the wider the selector, the larger the number and the weaker the policy. */
static uint32_t
priority(const struct ike_selector *sel, policy_priority_t class)
{
	uint32_t number = PRIORITY_CLASS;

	switch (class) {
	case POLICY_PRIORITY_FALLBACK:
		number += 2 * PRIORITY_CLASS;
		break;
	case POLICY_PRIORITY_ROUTED:
	case POLICY_PRIORITY_DEFAULT:
		number += PRIORITY_CLASS;
		break;
	case POLICY_PRIORITY_PASS:
		break;
	}
	number -= (prefix_bits(&sel->src, sel->src_last, sel->src_plen) +
			  prefix_bits(&sel->dst, sel->dst_last, sel->dst_plen)) *
		  512;
	number -= sel->proto != 0 ? 256 : 0;
	number -= (port_bits(sel->src_port_lo, sel->src_port_hi) +
			  port_bits(sel->dst_port_lo, sel->dst_port_hi)) *
		  4;
	return number - (class != POLICY_PRIORITY_ROUTED);
}

uint32_t
convert_own_spi(const kernel_ipsec_manage_policy_t *data)
{
	return data->sa->ah.use ? data->sa->ah.spi : data->sa->esp.spi;
}

bool
convert_policy(const kernel_ipsec_policy_id_t *id, const kernel_ipsec_manage_policy_t *data,
	struct ike_msg_policy *out, uint32_t *auto_priority)
{
	if (!convert_policy_id(id, out))
		return FALSE;
	*auto_priority = priority(&out->sel, data->prio);
	out->priority = data->manual_prio != 0 ? data->manual_prio : *auto_priority;
	/* A DROP for the time of an address change has its SA's reqid: newest of equals, it wins at once. */
	out->reqid = data->sa->reqid;
	switch (data->type) {
	case POLICY_PASS:
		out->action = IKE_BYPASS;
		return TRUE;
	case POLICY_DROP:
		out->action = IKE_DISCARD;
		return TRUE;
	case POLICY_IPSEC:
		break;
	}
	if (data->sa->ipcomp.transform != 0 || (data->sa->esp.use && data->sa->ah.use)) {
		DBG1(DBG_KNL,
			"cygnet: policies with IPComp, or with ESP and AH, are not supported");
		return FALSE;
	}
#ifdef HAVE_KERNEL_IPSEC_MANAGE_POLICY_T_PCPU_ACQUIRES
	if (data->pcpu_acquires) {
		DBG1(DBG_KNL, "cygnet: per-CPU SAs (per_cpu_sas) are not supported");
		return FALSE;
	}
#endif
	if (data->sa->reqid == 0) {
		/* policies_fwd_out: what the OUT policy will protect may be forwarded to it. */
		out->action = IKE_BYPASS;
		return TRUE;
	}
	out->action = IKE_PROTECT;
	convert_host(data->src, &out->src);
	convert_host(data->dst, &out->dst);
	out->mode = data->sa->mode == MODE_TRANSPORT ? IKE_MODE_TRANSPORT : IKE_MODE_TUNNEL;
	out->proto = data->sa->ah.use ? IPPROTO_AH : IPPROTO_ESP;
	/* IN and FWD match by reqid: with an SPI each rekey would drop what the old SA still brings. */
	if (id->dir == POLICY_OUT)
		out->spi = convert_own_spi(data);
	return TRUE;
}

traffic_selector_t *
convert_selector(const struct ike_selector *sel, bool src)
{
	host_t *net = convert_addr(src ? &sel->src : &sel->dst, 0);
	uint16_t from = src ? sel->src_port_lo : sel->dst_port_lo;
	uint16_t to = src ? sel->src_port_hi : sel->dst_port_hi;

	if (net == NULL)
		return NULL;
	if (is_icmp(sel->proto)) {
		/* As kernel-netlink: type and code of the packet, in both; 0 and 0 are any. */
		from = (sel->src_port_lo & 0xff) << 8 | (sel->dst_port_lo & 0xff);
		if (sel->src_port_lo != sel->src_port_hi || sel->dst_port_lo != sel->dst_port_hi)
			from = 0;
		to = from ?: UINT16_MAX;
	}
	return traffic_selector_create_from_subnet(
		net, src ? sel->src_plen : sel->dst_plen, sel->proto, from, to);
}
