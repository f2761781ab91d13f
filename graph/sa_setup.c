/* SPDX-License-Identifier: BSD-3-Clause */
#include "sa_setup.h"

#include "transform.h"
#include "wire.h"

#include <errno.h>

#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_esp.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_udp.h>

#define OUTER_TTL 64

/* RFC 4303, 3.2.2: encryption without integrity is not offered. */
static int
check_transforms(const struct sa_conf *conf, const char **why)
{
	const struct transform_encr *t = transform_encr(conf->enc_alg);
	const struct transform_integ *i = transform_integ(conf->int_alg);

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
	if (conf->proto != IPPROTO_ESP)
		REFUSE(ENOTSUP, "protocols other than ESP are not implemented");
	if (conf->mode != SA_MODE_TUNNEL)
		REFUSE(ENOTSUP, "modes other than tunnel are not implemented");
	if (conf->src.family != 4 || conf->dst.family != 4)
		REFUSE(ENOTSUP, "tunnel end points other than IPv4 are not implemented");
	if (conf->replay_window > SA_REPLAY_WINDOW_MAX)
		REFUSE(EINVAL, "the replay window is larger than 131072");
	if (esn && conf->replay_window == 0 && conf->dir == SA_DIR_IN)
		REFUSE(EINVAL, "extended sequence numbers need a replay window");
	if ((conf->flags & IKE_SA_ENCAP) != 0 && (conf->src_port == 0 || conf->dst_port == 0))
		REFUSE(EINVAL, "UDP encapsulation needs both ports");
	if (conf->tfc != 0)
		REFUSE(ENOTSUP, "TFC padding is not implemented");
#undef REFUSE
	return check_transforms(conf, why);
}

static void
fill_template(struct sa *sa, const struct sa_conf *conf)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)sa->template;
	const uint16_t *word = (const uint16_t *)sa->template;
	uint32_t sum = 0;

	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->time_to_live = OUTER_TTL;
	ip->next_proto_id = IPPROTO_ESP;
	ip->src_addr = conf->src.v4;
	ip->dst_addr = conf->dst.v4;
	sa->template_len = sizeof(*ip);
	if (sa->flags & SA_F_UDP) {
		struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);

		ip->next_proto_id = IPPROTO_UDP;
		udp->src_port = conf->src_port;
		udp->dst_port = conf->dst_port;
		sa->template_len += sizeof(*udp);
	}
	for (unsigned int i = 0; i < sizeof(*ip) / 2; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sa->template_csum = (sum & 0xffff) + (sum >> 16);
	sa->template_spi = conf->spi;
}

int
sa_setup(struct sa *sa, const struct sa_conf *conf, uint32_t slot, uint16_t workers,
	const char **why)
{
	const struct transform_encr *t = transform_encr(conf->enc_alg);

	sa->slot = slot;
	sa->dir = conf->dir;
	sa->reqid = conf->reqid;
	sa->crypto = t->crypto;
	sa->icv_len = t->icv_len != 0 ? t->icv_len : transform_integ(conf->int_alg)->icv_len;
	sa->iv_len = t->iv_len;
	sa->align = t->align;
	sa->flags = SA_F_TUNNEL;
	if (conf->flags & IKE_SA_ESN)
		sa->flags |= SA_F_ESN;
	if (conf->flags & IKE_SA_ENCAP)
		sa->flags |= SA_F_UDP;
	if (conf->flags & IKE_SA_COPY_DF)
		sa->flags |= SA_F_COPY_DF;
	if (conf->flags & IKE_SA_NO_COPY_ECN)
		sa->flags |= SA_F_NO_ECN;
	if (conf->flags & IKE_SA_COPY_DSCP_OUT)
		sa->flags |= SA_F_COPY_DSCP_OUT;
	if (conf->flags & IKE_SA_COPY_DSCP_IN)
		sa->flags |= SA_F_COPY_DSCP_IN;
	if (workers > 1)
		sa->flags |= SA_F_SHARED;
	sa->sqn = 0;
	/* The last number of a 64-bit space is out of reach; the margin keeps an atomic add from wrapping. */
	sa->sqn_max = sa->flags & SA_F_ESN ? UINT64_MAX - UINT32_MAX : UINT32_MAX;
	sa->worker = SA_NO_WORKER;
	sa->replay = NULL;
	fill_template(sa, conf);
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
