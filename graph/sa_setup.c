/* SPDX-License-Identifier: BSD-3-Clause */
#include "sa_setup.h"

#include "iv_random.h"
#include "transform.h"
#include "wire.h"

#include <errno.h>

#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_esp.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_random.h>
#include <rte_udp.h>

#define OUTER_TTL 64

/* RFC 4303, 3.2.2: encryption without integrity is not offered. */
static int
check_transforms(const struct sa_conf *conf, const char **why)
{
	const struct transform_encr *t = transform_encr(conf->enc_alg);
	const struct transform_integ *i = transform_integ(conf->int_alg);

	if (conf->proto == IPPROTO_AH) {
		*why = "AH needs an integrity algorithm, with its key, and nothing else";
		return conf->enc_alg == 0 && conf->enc_key_len == 0 && i != NULL &&
				       conf->int_key_len == i->key_len
			       ? 0
			       : -EINVAL;
	}
	if (t == NULL) {
		*why = "the encryption algorithm is not known";
		return -ENOTSUP;
	}
	if (!transform_key_fits(t, conf->enc_key_len)) {
		*why = "the key length does not fit the encryption algorithm";
		return -EINVAL;
	}
	if (t->icv_len != 0) {
		*why = "an AEAD transform takes no integrity algorithm";
		return conf->int_alg == AUTH_NONE && conf->int_key_len == 0 ? 0 : -EINVAL;
	}
	if (conf->int_alg == AUTH_NONE) {
		*why = "encryption without integrity is refused";
		return -EINVAL;
	}
	if (i == NULL) {
		*why = "the integrity algorithm is not known";
		return -ENOTSUP;
	}
	*why = "the key length does not fit the integrity algorithm";
	return conf->int_key_len == i->key_len ? 0 : -EINVAL;
}

int
sa_check(const struct sa_conf *conf, const char **why)
{
	bool esn = conf->flags & IKE_SA_ESN;

#define REFUSE(error, text)    \
	do {                   \
		*why = text;   \
		return -error; \
	} while (0)
	if (conf->spi == 0 || (rte_be_to_cpu_32(conf->spi) < 256))
		REFUSE(EINVAL, "SPIs below 256 are reserved");
	if (conf->dir != SA_DIR_IN && conf->dir != SA_DIR_OUT)
		REFUSE(EINVAL, "it has no direction");
	if (conf->proto != IPPROTO_ESP && conf->proto != IPPROTO_AH)
		REFUSE(EINVAL, "its protocol is neither ESP nor AH");
	if (conf->proto == IPPROTO_AH && (conf->flags & IKE_SA_ENCAP || conf->tfc != 0))
		REFUSE(EINVAL, "AH is not encapsulated in UDP, and not padded");
	if (conf->mode != SA_MODE_TUNNEL && conf->mode != SA_MODE_TRANSPORT)
		REFUSE(ENOTSUP, "modes other than tunnel and transport are not implemented");
	if (conf->src.family != conf->dst.family ||
		(conf->src.family != 4 && conf->src.family != 6))
		REFUSE(EINVAL, "its two ends are not of one family");
	if (conf->replay_window > SA_REPLAY_WINDOW_MAX)
		REFUSE(EINVAL, "the replay window is larger than 131072");
	if (esn && conf->replay_window == 0 && conf->dir == SA_DIR_IN)
		REFUSE(EINVAL, "extended sequence numbers need a replay window");
	if ((conf->flags & IKE_SA_ENCAP) != 0 && (conf->src_port == 0 || conf->dst_port == 0))
		REFUSE(EINVAL, "UDP encapsulation needs both ports");
	if (conf->tfc != 0 && conf->mode != SA_MODE_TUNNEL)
		REFUSE(EINVAL, "TFC padding needs tunnel mode");
#undef REFUSE
	return check_transforms(conf, why);
}

static uint8_t
fill_ip4(struct sa_template *t, const struct sa_conf *conf, uint8_t proto)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)t->header;
	uint32_t sum = 0;
	uint16_t word;

	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->time_to_live = conf->ttl != 0 ? conf->ttl : OUTER_TTL;
	ip->next_proto_id = proto;
	ip->src_addr = conf->src.v4;
	ip->dst_addr = conf->dst.v4;
	for (unsigned int i = 0; i < sizeof(*ip); i += sizeof(word)) {
		memcpy(&word, &t->header[i], sizeof(word));
		sum += word;
	}
	t->id = (uint16_t)rte_rand();
	sum = (sum & 0xffff) + (sum >> 16);
	t->csum = (sum & 0xffff) + (sum >> 16);
	return sizeof(*ip);
}

static uint8_t
fill_ip6(struct sa_template *t, const struct sa_conf *conf, uint8_t proto)
{
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)t->header;

	ip->vtc_flow = rte_cpu_to_be_32(6u << 28 | conf->label);
	ip->proto = proto;
	ip->hop_limits = conf->ttl != 0 ? conf->ttl : OUTER_TTL;
	memcpy(ip->src_addr, conf->src.b, sizeof(ip->src_addr));
	memcpy(ip->dst_addr, conf->dst.b, sizeof(ip->dst_addr));
	t->outer6 = true;
	return sizeof(*ip);
}

/* What esp-encrypt does with few steps: a trailer that is one word, or a block of CBC's. */
static bool
is_plain(const struct sa *sa, const struct sa_template *t)
{
	return sa->flags & SA_F_TUNNEL && t->len == sizeof(struct rte_ipv4_hdr) && !t->outer6 &&
	       sa->tfc == 0 && !(sa->flags & SA_F_SET_DF) &&
	       (sa->align <= 4 || (sa->iv_len == IV_RANDOM_LEN && sa->icv_len >= 12)) &&
	       __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
}

void
sa_fill_template(struct sa *sa, const struct sa_conf *conf)
{
	struct sa_template *t = &sa->template[!atomic_load(&sa->active)];
	struct rte_udp_hdr *udp;
	uint8_t proto;

	memset(t, 0, sizeof(*t));
	t->spi = conf->spi;
	t->udp = conf->flags & IKE_SA_ENCAP;
	t->tos = conf->dscp << 2;
	proto = t->udp ? IPPROTO_UDP : conf->proto;
	if (conf->mode == SA_MODE_TUNNEL)
		t->ip_len =
			conf->src.family == 4 ? fill_ip4(t, conf, proto) : fill_ip6(t, conf, proto);
	t->len = t->ip_len;
	if (t->udp) {
		udp = (struct rte_udp_hdr *)(t->header + t->ip_len);
		udp->src_port = conf->src_port;
		udp->dst_port = conf->dst_port;
		t->len += sizeof(*udp);
	}
	t->plain = is_plain(sa, t);
}

int
sa_setup(struct sa *sa, const struct sa_conf *conf, uint32_t slot, uint16_t workers,
	const char **why)
{
	const struct transform_encr *t = transform_encr(conf->enc_alg);

	sa->slot = slot;
	sa->dir = conf->dir;
	sa->reqid = conf->reqid;
	sa->owner = sa_owner_tag(conf->owner);
	sa->lent = 0;
	sa->if_id = conf->if_id;
	sa->mark = conf->mark & conf->mark_mask;
	if (conf->proto == IPPROTO_AH) {
		sa->crypto = SA_CRYPTO_AUTH;
		sa->align = 1;
	} else {
		sa->crypto = t->crypto;
		sa->icv_len = t->icv_len;
		sa->iv_len = t->iv_len;
		sa->align = t->align;
	}
	if (sa->icv_len == 0)
		sa->icv_len = transform_integ(conf->int_alg)->icv_len;
	sa->flags = conf->mode == SA_MODE_TUNNEL ? SA_F_TUNNEL : 0;
	if (conf->proto == IPPROTO_AH)
		sa->flags |= SA_F_AH;
	if (conf->flags & IKE_SA_ESN)
		sa->flags |= SA_F_ESN;
	if (conf->flags & IKE_SA_ENCAP)
		sa->flags |= SA_F_UDP;
	if (conf->flags & IKE_SA_COPY_DF)
		sa->flags |= SA_F_COPY_DF;
	if (conf->flags & IKE_SA_SET_DF)
		sa->flags |= SA_F_SET_DF;
	if (conf->flags & IKE_SA_COPY_LABEL)
		sa->flags |= SA_F_COPY_LABEL;
	if (conf->flags & IKE_SA_NO_COPY_ECN)
		sa->flags |= SA_F_NO_ECN;
	if (conf->flags & IKE_SA_COPY_DSCP_OUT)
		sa->flags |= SA_F_COPY_DSCP_OUT;
	if (conf->flags & IKE_SA_COPY_DSCP_IN)
		sa->flags |= SA_F_COPY_DSCP_IN;
	if (conf->fragment == SA_FRAGMENT_AFTER)
		sa->flags |= SA_F_FRAGMENT_AFTER;
	if (conf->fragment == SA_FRAGMENT_NEVER)
		sa->flags |= SA_F_FRAGMENT_NEVER;
	/* A window has one owner. */
	if (workers > 1 && (conf->dir == SA_DIR_OUT || conf->replay_window == 0))
		sa->flags |= SA_F_SHARED;
	sa->sqn = conf->sqn_from;
	sa->sqn_limit = conf->sqn_reserved != 0 ? conf->sqn_reserved : sa_last_number(sa);
	sa->worker = SA_NO_WORKER;
	sa->mapping_told = false;
	sa->peer = conf->src;
	sa->peer_port = conf->src_port;
	sa->replay = NULL;
	sa->tfc = conf->tfc < SA_TFC_MTU ? conf->tfc : SA_TFC_MTU;
	sa->active = 1;
	sa_fill_template(sa, conf);
	sa->active = 0;
	if (conf->dir == SA_DIR_IN && conf->replay_window != 0) {
		sa->replay = rte_zmalloc(
			"replay", replay_size(conf->replay_window), RTE_CACHE_LINE_SIZE);
		if (sa->replay == NULL) {
			*why = "no memory for its replay window";
			return -ENOMEM;
		}
		replay_init(sa->replay, conf->replay_window);
	}
	return 0;
}
