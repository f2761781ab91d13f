/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_WIRE_H
#define CYGNET_IKE_WIRE_H

/*
 * The messages between charon's plugin, the agent and the router: one header that all three include.
 *
 * plugin <-> agent: a SOCK_SEQPACKET pair; a packet is one struct ike_msg, cut to its hdr.len, and after
 * it, for IKE_ADD_SA alone, the key bytes (body.add_sa.enc_key_len + int_key_len).
 * agent <-> router: rte_mp parameters, hdr.len bytes, never a key: that lies in the slot of shared
 * memory that body.add_sa.key_slot names.
 *
 * Integers are in host byte order (both ends run on one machine); SPIs, addresses and ports are in
 * network byte order, as strongSwan and packets have them. Algorithms are IKEv2 transform IDs (IANA).
 */

#include <stdint.h>

#define IKE_WIRE_MAGIC 0x63796731u /* "cyg1" */
#define IKE_WIRE_VERSION 3
#define IKE_WIRE_MAX 256 /* RTE_MP_MAX_PARAM_LEN */

#define IKE_MP_REQUEST "cygnet_request" /* agent to router, answered */
#define IKE_MP_EVENT "cygnet_event" /* router to agent, not answered */

#define IKE_KEY_MEMZONE "cygnet_keys"
#define IKE_KEY_SLOTS 16
#define IKE_KEY_MAX 128 /* encryption key with its salt, then integrity key */
#define IKE_BUILD_LEN 32

/* Request types; a reply carries the type of its request. */
enum ike_type {
	IKE_HELLO = 1,
	IKE_GET_SPI,
	IKE_ADD_SA,
	IKE_UPDATE_SA,
	IKE_DEL_SA,
	IKE_QUERY_SA,
	IKE_ADD_POLICY,
	IKE_DEL_POLICY,
	IKE_QUERY_POLICY,
	IKE_BYPASS_SOCKET,
	IKE_UDP_DECAP,
	IKE_SYNC_DONE, /* the owner's policies are complete: forwarding may start */
	IKE_SAS_DONE, /* each SA that the owner has was asked for since its HELLO: others may go */
	IKE_PING, /* keepalive and event of nothing: the epoch is in the header */

	IKE_EVENT_ACQUIRE = 64,
	IKE_EVENT_EXPIRE,
	IKE_EVENT_MAPPING,
	IKE_EVENT_RESYNC, /* events were lost: compare states */

	/* agent to plugin only */
	IKE_AGENT_UP = 128, /* attached to a router; body.hello is the router's */
	IKE_AGENT_REFUSED, /* body.hello.build names the router's version */
	IKE_AGENT_WAITING, /* no router is there: the agent waits for one */
};

struct ike_addr {
	uint8_t family; /* 4, 6, or 0 for any/none */
	uint8_t pad[3];
	uint8_t b[16]; /* an IPv4 address is the first four */
};

#define IKE_PLEN_RANGE 255 /* the addresses are a range: from src to src_last, both inclusive */

struct ike_selector {
	struct ike_addr src, dst;
	uint8_t src_last[16], dst_last[16]; /* zero, but with IKE_PLEN_RANGE */
	uint8_t src_plen, dst_plen;
	uint8_t proto; /* 0 is any */
	uint8_t pad;
	/* Inclusive, host byte order; 0..65535 is any. For ICMP: type in src ports, code in dst ports. */
	uint16_t src_port_lo, src_port_hi;
	uint16_t dst_port_lo, dst_port_hi;
};

struct ike_lifetime {
	uint64_t time_soft, time_hard; /* seconds from the add; 0 is none */
	uint64_t bytes_soft, bytes_hard;
	uint64_t packets_soft, packets_hard;
};

enum ike_dir { IKE_DIR_IN = 1, IKE_DIR_OUT = 2, IKE_DIR_FWD = 3 };
enum ike_mode { IKE_MODE_TRANSPORT = 1, IKE_MODE_TUNNEL = 2 };
enum ike_action { IKE_PROTECT = 1, IKE_BYPASS = 2, IKE_DISCARD = 3 };

/* struct ike_msg_add_sa flags */
#define IKE_SA_ESN (1u << 0)
#define IKE_SA_ENCAP (1u << 1) /* UDP encapsulation, RFC 3948 */
#define IKE_SA_UPDATE (1u << 2) /* the SPI came from get_spi */
#define IKE_SA_COPY_DF (1u << 3)
#define IKE_SA_NO_COPY_ECN (1u << 4)
#define IKE_SA_COPY_DSCP_OUT (1u << 5) /* inner to outer when sealing */
#define IKE_SA_COPY_DSCP_IN (1u << 6) /* outer to inner when opening */
#define IKE_SA_INITIATOR (1u << 7)
/* Of SAs of the configuration; charon does not say these. */
#define IKE_SA_SET_DF (1u << 8)
#define IKE_SA_COPY_LABEL (1u << 9) /* IPv6 flow label, inner to outer */

struct ike_hdr {
	uint32_t magic;
	uint16_t version;
	uint16_t type; /* enum ike_type */
	uint16_t len; /* of the whole message, header included */
	int16_t status; /* of a reply: 0 or a negative errno */
	uint32_t seq; /* chosen by the requester, repeated in the reply */
	uint64_t epoch; /* of the router's start; 0 in a HELLO request */
	uint64_t owner; /* of the plugin's start */
};

#define IKE_HELLO_BYPASS \
	(1u << 0) /* of a router: ports let clear packets pass that no policy names */

struct ike_msg_hello {
	char build[IKE_BUILD_LEN]; /* version of the sender, NUL-terminated */
	uint32_t pid; /* of the sender: the agent watches the router's */
	uint32_t spi_min, spi_max; /* host order; what the plugin wants, echoed as what it gets */
	uint32_t max_sas, max_policies; /* the router's limits, in its reply */
	uint32_t flags; /* IKE_HELLO_*, in the router's reply */
};

struct ike_msg_sa_id {
	struct ike_addr src, dst;
	uint32_t spi;
	uint32_t reqid;
	uint8_t proto; /* 50 or 51 */
	uint8_t pad[3];
};

struct ike_msg_add_sa {
	struct ike_msg_sa_id id;
	struct ike_lifetime life;
	uint32_t flags;
	uint32_t replay_window; /* packets; 0 disables */
	uint32_t tfc; /* pad to this length; 0 none, 0xffffffff to the MTU */
	uint32_t if_id;
	uint32_t mark, mark_mask;
	uint16_t src_port, dst_port; /* of the UDP encapsulation, network order */
	uint16_t enc_alg, enc_key_len; /* key length in bytes with the salt */
	uint16_t int_alg, int_key_len;
	uint16_t key_slot;
	uint8_t dir; /* IKE_DIR_IN or IKE_DIR_OUT */
	uint8_t mode;
};

struct ike_msg_update_sa {
	struct ike_msg_sa_id id; /* as it is now */
	struct ike_addr new_src, new_dst;
	uint32_t flags; /* IKE_SA_ENCAP as it shall be */
	uint16_t new_src_port, new_dst_port;
	uint32_t
		new_reqid; /* 0: as it is; selectors that name an address get another one with it */
};

struct ike_msg_usage { /* reply to QUERY_SA and QUERY_POLICY */
	uint64_t bytes, packets;
	uint64_t last_use; /* CLOCK_MONOTONIC seconds; 0 unknown */
};

struct ike_msg_policy {
	struct ike_selector sel;
	struct ike_addr src, dst; /* of the SA: tunnel end points */
	uint32_t spi; /* OUT alone; 0: a trap */
	uint32_t reqid;
	uint32_t priority; /* smaller wins */
	uint32_t if_id;
	uint32_t mark, mark_mask;
	uint8_t dir; /* enum ike_dir */
	uint8_t action; /* enum ike_action */
	uint8_t mode;
	uint8_t proto; /* of the SA: 50 or 51 */
};

struct ike_msg_socket {
	struct ike_addr addr; /* as bound; family set, address zero: any */
	uint16_t port; /* network order */
	uint16_t pad;
};

struct ike_msg_acquire {
	struct ike_selector packet; /* of the packet that hit the policy */
	uint32_t reqid;
};

struct ike_msg_expire {
	struct ike_addr dst;
	uint32_t spi;
	uint8_t proto;
	uint8_t hard;
	uint8_t pad[2];
};

struct ike_msg_mapping {
	struct ike_addr dst; /* of the SA */
	struct ike_addr remote; /* where authenticated packets come from now */
	uint32_t spi;
	uint16_t remote_port; /* network order */
	uint8_t proto;
	uint8_t pad;
};

struct ike_msg {
	struct ike_hdr hdr;
	union {
		struct ike_msg_hello hello;
		struct ike_msg_sa_id sa_id; /* GET_SPI (reply: spi), DEL_SA, QUERY_SA */
		struct ike_msg_add_sa add_sa;
		struct ike_msg_update_sa update_sa;
		struct ike_msg_usage usage;
		struct ike_msg_policy policy;
		struct ike_msg_socket socket; /* BYPASS_SOCKET; UDP_DECAP with the port alone */
		struct ike_msg_acquire acquire;
		struct ike_msg_expire expire;
		struct ike_msg_mapping mapping;
	} body;
};

_Static_assert(sizeof(struct ike_msg) <= IKE_WIRE_MAX, "an rte_mp message carries 256 bytes");

/*
 * The slots of shared memory (memzone IKE_KEY_MEMZONE, made by the router). The agent claims a free
 * slot with a compare-and-swap, writes the key, sends the request; the router copies the key to its
 * own stack and wipes the slot before it does anything else; the agent wipes and frees it after the
 * reply or its time-out. What an agent that was killed had claimed, the router wipes and frees.
 */
struct ike_key_slot {
	_Atomic uint32_t claimer; /* process id of the agent that has it; 0: free */
	uint32_t len;
	uint8_t key[IKE_KEY_MAX];
	uint8_t pad[56];
};

_Static_assert(sizeof(struct ike_key_slot) == 192, "whole cache lines");

/* Length of a message of the type with its body; 0 for an unknown type. Requests and events alike. */
static inline uint16_t
ike_msg_len(uint16_t type)
{
	switch (type) {
	case IKE_HELLO:
	case IKE_AGENT_UP:
	case IKE_AGENT_REFUSED:
		return sizeof(struct ike_hdr) + sizeof(struct ike_msg_hello);
	case IKE_GET_SPI:
	case IKE_DEL_SA:
	case IKE_QUERY_SA:
		return sizeof(struct ike_hdr) + sizeof(struct ike_msg_sa_id);
	case IKE_ADD_SA:
		return sizeof(struct ike_hdr) + sizeof(struct ike_msg_add_sa);
	case IKE_UPDATE_SA:
		return sizeof(struct ike_hdr) + sizeof(struct ike_msg_update_sa);
	case IKE_ADD_POLICY:
	case IKE_DEL_POLICY:
	case IKE_QUERY_POLICY:
		return sizeof(struct ike_hdr) + sizeof(struct ike_msg_policy);
	case IKE_BYPASS_SOCKET:
	case IKE_UDP_DECAP:
		return sizeof(struct ike_hdr) + sizeof(struct ike_msg_socket);
	case IKE_SYNC_DONE:
	case IKE_SAS_DONE:
	case IKE_PING:
	case IKE_EVENT_RESYNC:
	case IKE_AGENT_WAITING:
		return sizeof(struct ike_hdr);
	case IKE_EVENT_ACQUIRE:
		return sizeof(struct ike_hdr) + sizeof(struct ike_msg_acquire);
	case IKE_EVENT_EXPIRE:
		return sizeof(struct ike_hdr) + sizeof(struct ike_msg_expire);
	case IKE_EVENT_MAPPING:
		return sizeof(struct ike_hdr) + sizeof(struct ike_msg_mapping);
	default:
		return 0;
	}
}

/* Length of a reply: QUERY_* bring a usage, all else what the request had. */
static inline uint16_t
ike_reply_len(uint16_t type)
{
	if (type == IKE_QUERY_SA || type == IKE_QUERY_POLICY)
		return sizeof(struct ike_hdr) + sizeof(struct ike_msg_usage);
	return ike_msg_len(type);
}

#endif
