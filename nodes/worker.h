/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_WORKER_H
#define CYGNET_WORKER_H

#include "addr.h"
#include "audit.h"
#include "crypto_frame.h"
#include "drop.h"
#include "iv_random.h"
#include "pkt.h"
#include "reassembly.h"
#include "sad.h"
#include "spd.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_graph.h>
#include <rte_graph_worker.h>
#include <rte_ring.h>

/* What the nodes of one data-plane lcore share. The router fills it before the graph is created. */

#define WORKER_MAX_DEVICES 32 /* DPDK ports, by their ids */
#define WORKER_MAX_PORTS 64 /* with the VLANs of them, whose ids follow */
#define WORKER_VLANS 4096
#define WORKER_MAX_CRYPTO 32
#define WORKER_MAX_SOCKETS 16

/* How long a packet waits for a neighbour: Linux asks three times, once a second, and holds its own as long. */
#define NEIGH_HOLD_SECONDS 3

/* What policies see of an IPv4 packet (spd_recent.h). */
struct spd_seen {
	uint64_t addrs; /* as they stand in the header */
	uint64_t tag; /* mark and interface id */
	uint64_t when; /* spd_batch_view's, and the protocol in the low byte */
};

/* What is to be done with a packet: its policy, or at once the SA that it leads to (spd_recent.h). */
typedef uintptr_t spd_answer;

/* Answers that were found for those that have this place. */
struct spd_recent {
	_Alignas(RTE_CACHE_LINE_SIZE) struct spd_found {
		struct spd_seen seen;
		spd_answer answer;
	} found[2];
};

struct rcu_lcore;
struct rte_rcu_qsbr;
struct fib;
struct reassembly;
struct probe_lcore;
struct worker;

/*
 * A port is a device or a VLAN of one; both are ports in all tables. Between ether-input and port-tx nobody sees a
 * difference.
 */
struct worker_port {
	bool present;
	uint8_t mac[6];
	uint16_t mtu; /* layer 3 */
	uint16_t tx_queue; /* this lcore's */
	uint16_t device; /* DPDK port; its own id unless it is a VLAN */
	uint16_t vlan; /* 802.1Q id; 0: it is a device */
	uint32_t addr4; /* our first address, network order: source of ICMP errors */
	uint32_t mark; /* of what comes in by it: for policies */
	uint16_t flags; /* the same: PKT_F_OUTSIDE or none */
	const uint8_t
		*vlans; /* [WORKER_VLANS] of a device: port id, 0 for none; NULL: has no VLANs */
	uint8_t addr6[16]; /* the same; unspecified: none */
	/* Of a VLAN, by this worker. */
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
};

/*
 * What a worker polls. A reload gives it another one, whole; the old one goes by RCU, and only then do the queues and
 * rings that the new one has not.
 */
struct worker_sources {
	unsigned int n_queues, n_host;
	struct worker_host_rx {
		uint16_t port;
		struct rte_ring *ring; /* from the port's tap, which this worker alone serves */
	} host[WORKER_MAX_PORTS];
	struct worker_queue {
		uint16_t port, queue; /* of a device */
	} queues[];
};

/* IKE's socket, as charon bound it: its packets pass the policies. */
struct worker_socket {
	struct ip_addr addr; /* zero: any of its family; family 0: any of both */
	uint16_t port; /* network order */
	bool ike; /* bypass_socket */
	bool decap; /* enable_udp_decap */
};

/* Changed by the control thread, read by lcores under RCU. */
struct worker_sockets {
	unsigned int n;
	struct worker_socket s[WORKER_MAX_SOCKETS];
};

/* The ways to the host thread (graph/host.h), one ring a class. */
struct worker_punt {
	struct rte_ring *ring[PUNT_CLASSES];
	int eventfd; /* wakes the host thread */
	_Atomic bool *asleep; /* of the host thread */
};

/* Asks the control thread to resolve a neighbour; a ring of these, several producers. */
struct neigh_request {
	struct ip_addr addr;
	uint16_t port;
	uint16_t reserved;
};

struct worker {
	unsigned int lcore;
	uint16_t index; /* among the workers; crypto lcores continue */
	bool worker, crypto; /* roles; inline: both */

	struct rte_graph *graph;
	uint16_t seldom, framed; /* how many of its sources are so (graph/walk.h) */
	struct rcu_lcore *rcu; /* where it reports its frames */
	struct rte_rcu_qsbr *qsbr; /* its thread id there is index */
	const _Atomic bool *stop;
	_Atomic unsigned int probe_wanted,
		probe_done; /* graph/probe.h: what is to be seen, and is */
	bool idle_poll; /* never sleeps */

	struct sad *sad;
	struct spd *spd;
	struct fib *fib;
	struct sa_counters *sa_counters; /* [slot]: errors; its use says worker_sa_used() */
	struct worker_sockets *_Atomic *sockets; /* shared by all */
	const bool (*pair_bypass)[WORKER_MAX_PORTS]; /* [in][out]: default action is bypass */
	bool local_bypass; /* default action of clear packets to and from ourselves */

	struct worker_port port[WORKER_MAX_PORTS];
	struct worker_sources *_Atomic sources; /* never NULL while the worker runs */
	struct worker_punt punt;
	struct rte_ring *neigh_requests; /* elements are struct neigh_request */
	struct rte_ring *mappings; /* to the control thread; elements are struct sa_mapping */
	struct rte_ring *
		path_mtus; /* likewise; elements are struct sa_path_mtu; NULL: ICMP is not believed */
	struct rte_ring *audit; /* likewise; elements are struct audit_event */
	uint32_t audit_rate, audit_second; /* at most so many a second of each kind */
	uint32_t audit_events[AUDIT_KINDS]; /* this second's */
	uint64_t audit_suppressed[AUDIT_KINDS];
	struct reassembly *reassembly; /* of fragments to us */
	struct rte_ring *handover; /* ESP of SAs whose window this worker owns */
	struct worker *const *workers; /* all, by index */
	uint16_t n_workers;

	struct crypto_queue crypto_queue; /* of a worker: its frames */
	struct crypto_server crypto_server; /* of a crypto lcore: whom it serves */

	struct iv_random iv_random;
	struct rte_mempool *mbufs;
	uint64_t tsc_hz;
	uint64_t now; /* TSC at the start of this walk */
	uint32_t seconds; /* CLOCK_MONOTONIC, as of a recent walk */
	uint64_t work; /* packets or operations that source nodes found, ever: idle when it rests */

	_Alignas(RTE_CACHE_LINE_SIZE) uint64_t drops[DROP_REASONS_MAX];
	uint64_t walks, idle_walks, sleeps, sleep_cycles, busy_cycles, punted[PUNT_CLASSES];
	struct neigh_hold {
		unsigned int n;
		uint64_t next_look; /* TSC */
		struct rte_mbuf *pkts[64];
		uint64_t deadline[64]; /* TSC */
		struct ip_addr neighbour[64];
	} hold; /* packets that wait for a neighbour */
	struct early_hold {
		unsigned int n;
		uint32_t spi[1024]; /* network order */
		uint64_t deadline[1024]; /* TSC */
		struct rte_mbuf *pkts[1024];
		uint16_t held[64]; /* how many are of SPIs of these slots, modulo 64 */
	} early; /* packets that wait for their SA (early.h) */
	struct ike_pieces {
		unsigned int next;
		struct reassembly_key key[16];
		uint64_t until[16]; /* TSC */
	} ike_pieces; /* datagrams of Linux's that began as IKE (ike_pieces.h) */
	uint32_t fragment_id,
		fragment_seed; /* IPv6: the next one of this worker; the same for all */
	/* TSC up to which the rate of ICMP errors is used; of those that tell an MTU [1] */
	uint64_t icmp_tokens_at[2];

	struct spd_recent *recent[SPD_DIRS]; /* [n_recent] */
	uint32_t n_recent; /* a power of two */
	uint32_t recent_turn; /* which of a place's two makes room */

	struct probe_lcore *probe;
	/* NULL unless somebody looks: crypto lcores show it packets whose operations come and go. */
	void (*probe_crypto)(
		struct worker *w, const struct rte_node *node, struct rte_mbuf **pkts, uint16_t n);
};

/* The lcore whose graph is being created: node init functions keep it in their context. */
extern struct worker *worker_creating;

/* A node's context: its lcore, and eight bytes of its own. */
struct worker_ctx {
	struct worker *w;
	uint64_t data;
};

static inline struct worker *
worker_of(const struct rte_node *node)
{
	return ((const struct worker_ctx *)(const void *)node->ctx)->w;
}

/* An SA sealed or opened so many packets: counted where nobody else counts, in the SA itself if it is this worker's alone. */
static inline void
worker_sa_used(struct worker *w, struct sa *sa, uint64_t packets, uint64_t bytes)
{
	struct sa_use *use =
		likely(!(sa->flags & SA_F_SHARED)) ? &sa->use : &w->sa_counters[sa->slot].use;

	use->packets += packets;
	use->bytes += bytes;
	use->last_use = w->seconds;
}

static inline uint64_t *
worker_data(struct rte_node *node)
{
	return &((struct worker_ctx *)(void *)node->ctx)->data;
}

/* The life of a data-plane lcore until *stop; arg is its struct worker. For rte_eal_remote_launch(). */
int worker_loop(void *arg);

/* .init of every node. */
int worker_node_init(const struct rte_graph *graph, struct rte_node *node);

#endif
