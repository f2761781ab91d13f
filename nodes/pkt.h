/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_PKT_H
#define CYGNET_PKT_H

#include "drop.h"

#include <stdint.h>

#include <rte_crypto.h>
#include <rte_mbuf.h>

struct sa;

/*
 * What the nodes know of a packet: the mbuf's private area. Between ether-input and ip4-rewrite the mbuf
 * starts at the IP header.
 */

#define PKT_PORT_HOST 0xffff /* in_port of a packet that is our own */

#define PKT_F_DECRYPTED (1u << 0) /* an SA opened it; its policy is yet to be checked */
#define PKT_F_PROTECTED (1u << 1) /* an SA opened it, and a policy of that SA allows it */
#define PKT_F_SEALED (1u << 2) /* we sealed it: no outbound policy applies any more */
#define PKT_F_OWN_L2 (1u << 3) /* Linux sent it: its Ethernet header stands before the data */
#define PKT_F_DECRYPT (1u << 4) /* in a frame: to be opened; else sealed */
#define PKT_F_UDP (1u << 5) /* ESP came in UDP */
#define PKT_F_LOCAL (1u << 6) /* the destination is ours */
#define PKT_F_HELD (1u << 7) /* waited for its neighbour */
#define PKT_F_L2_GROUP (1u << 8) /* came by an Ethernet broadcast or multicast */
#define PKT_F_QUOTES \
	(1u << 9) /* an ICMP error that quotes what came by an SA: leaves by an SA or not */
#define PKT_F_FRAGMENT (1u << 10) /* sealed, and may be fragmented */
#define PKT_F_PIECE (1u << 12) /* for another worker: a fragment, to be put together there */
#define PKT_F_OUTSIDE (1u << 13) /* came in clear by a port from which nothing is sealed */
#define PKT_F_AH (1u << 11) /* for a crypto lcore, or another worker, by way of AH; else ESP */

/* Classes of punted packets: each has its ration. */
enum punt_class { PUNT_IKE, PUNT_ARP, PUNT_ROUTING, PUNT_OTHER, PUNT_CLASSES };

#define PKT_IV_MAX 16
#define PKT_AAD_MAX 32 /* CCM: 18 of its own, then the AAD */
#define PKT_ICV_MAX 32

struct pkt {
	/* Read and written by most nodes. */
	_Alignas(RTE_CACHE_LINE_SIZE) struct sa *sa; /* only from esp-* to esp-*-finish (rcu.h) */
	uint64_t sqn; /* ESP: all 64 bits */
	uint32_t nexthop; /* index, after a lookup */
	uint32_t reqid; /* PROTECTED: of the SA it came by */
	uint32_t spi; /* the same, network order: to be shown, never followed */
	uint32_t mark; /* PROTECTED, QUOTES: the same SA's */
	uint16_t in_port; /* DPDK port, or PKT_PORT_HOST: from Linux or made by a node */
	uint16_t out_port; /* DPDK port, for port-tx; OWN_L2: the tap's port */
	uint16_t
		l3_len; /* offset of what follows the IP header(s): set by ip4-input and ip6-input */
	uint16_t flags; /* PKT_F_* */
	uint8_t drop; /* enum drop_reason, when it goes to the drop node */
	uint8_t punt; /* enum punt_class, when it goes to host-tx */
	uint8_t pad_len;
	uint8_t next_header;
	uint8_t trace; /* nonzero: being traced */
	uint8_t icmp_type, icmp_code; /* when it goes to icmp4-error */
	uint16_t icmp_mtu;
	uint16_t mtu; /* of its way out, after a lookup */
	uint16_t esp_at; /* offset of the ESP header */
	uint16_t clear_len; /* sealing: of the packet before it, for the counters */
	uint16_t tfc_len; /* sealing: bytes of TFC padding */
	uint8_t crypto_status; /* enum rte_crypto_op_status, when it comes from crypto */
	uint16_t path_mtu; /* FRAGMENT: what its SA's path carries; 0: not known */
	uint8_t template; /* sealing: which of the SA's, for an update may come in between */
	uint8_t reserved[1];
	/* The crypto operation, in place: no operation pool. Not touched when crypto is done at once. */
	_Alignas(RTE_CACHE_LINE_SIZE)
		uint8_t op[sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_sym_op)];
	uint8_t iv[PKT_IV_MAX];
	union {
		uint8_t aad[PKT_AAD_MAX];
		/* Separate integrity or GMAC, with ESN: the ICV, or what stood before the ESP header. */
		uint8_t icv[PKT_ICV_MAX];
	};
	void *frame; /* the crypto frame it travels in */
};

#define PKT_IV_OFFSET (offsetof(struct pkt, iv) - offsetof(struct pkt, op))

static inline struct pkt *
pkt(const struct rte_mbuf *m)
{
	return (struct pkt *)rte_mbuf_to_priv((struct rte_mbuf *)(uintptr_t)m);
}

static inline struct rte_crypto_op *
pkt_op(struct pkt *p)
{
	return (struct rte_crypto_op *)p->op;
}

static inline struct pkt *
pkt_of_op(struct rte_crypto_op *op)
{
	return (struct pkt *)((char *)op - offsetof(struct pkt, op));
}

#endif
