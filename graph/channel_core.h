/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CHANNEL_CORE_H
#define CYGNET_CHANNEL_CORE_H

#include "channel_stats.h"
#include "sad.h"
#include "spd.h"
#include "wire.h"
#include "worker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the router does with charon's requests, without the transport: a message in, a message out, and
 * the tables changed. All of it runs on the control thread.
 *
 * An owner is one start of charon's plugin. While its agent's process lives it is alive. When that dies
 * its SAs and policies are orphans that keep forwarding, until a new owner's policies replace them or the
 * grace time ends: then the SAs go and the policies become DISCARD. When there is no room for another owner the
 * grace time of the one that is dead for the longest time ends at once.
 */

#define CHANNEL_MAX_OWNERS 16
#define CHANNEL_ACQUIRE_RATES 4096 /* whose last acquire is remembered; a power of two */
#define CHANNEL_NSEC 1000000000ull

enum owner_state {
	OWNER_NONE, /* the entry is free */
	OWNER_ALIVE,
	OWNER_ORPHANED, /* dead, in its grace time */
	OWNER_GONE, /* dead, its SAs are deleted and its policies DISCARD */
};

/* A socket of charon, as bypass_socket and enable_udp_decap told. */
struct owner_socket {
	struct ip_addr addr; /* zero: any of its family; family 0: any of both */
	uint32_t session;
	uint16_t port; /* network order */
	bool ike, decap;
};

struct owner {
	uint64_t id;
	enum owner_state state;
	int pid; /* of its agent */
	uint32_t spi_min, spi_max; /* host order: of the SPIs that it gets */
	uint32_t
		session; /* counts HELLOs: sockets of an older one go at SYNC_DONE, SAs at SAS_DONE */
	uint32_t
		replay_from; /* policies that were added up to this SPD order are older than the HELLO */
	uint64_t died; /* nanoseconds */
	uint64_t lost_events;
	bool missed; /* an SA of it ended while nobody listened */
	bool resync; /* it is to be told to compare states */
	unsigned int n_sockets;
	struct owner_socket sockets[WORKER_MAX_SOCKETS];
};

/* What the requests need of the world. */
struct channel_ops {
	uint64_t (*now)(void *ctx); /* CLOCK_MONOTONIC nanoseconds */
	/* Calls owner_died() for the entry when the process ends; replaces the entry's earlier watch; pid 0
	 * ends it. Returns 0 or a negative errno. */
	int (*watch)(void *ctx, unsigned int entry, int pid);
	int (*set_sockets)(void *ctx, const struct worker_sockets *s);
	unsigned int (*room)(void *ctx); /* events that emit() would take now */
	bool (*emit)(void *ctx, const struct ike_msg *event); /* false: no room */
};

struct acquire_rate {
	uint64_t what; /* owner, reqid and, of a trap for any peer, the packet's destination */
	uint32_t until; /* seconds */
};

struct channel_core {
	/* Set by the maker. */
	struct sad *sad;
	struct spd *spd;
	struct ike_key_slot *slots; /* [IKE_KEY_SLOTS] */
	const struct channel_ops *ops;
	void *ctx;
	const char *build;
	uint64_t epoch;
	uint32_t spi_min, spi_max, max_policies;
	unsigned int policies_timeout, orphan_grace; /* seconds */
	bool static_only;
	bool bypasses; /* clear packets may pass between ports without a policy */
	enum sa_fragment fragment; /* of its SAs */

	/* The core's own: zero at the start. */
	struct owner owners[CHANNEL_MAX_OWNERS];
	uint32_t spd_order; /* of the policy that was added last */
	uint32_t event_seq;
	uint64_t started, next_acquire_walk;
	uint32_t resend_at; /* slot from which expiries are told again; sad_slots(): none */
	bool timeout_told;
	char refused_build[IKE_BUILD_LEN]; /* of the agent that was logged last */
	struct acquire_rate rates[CHANNEL_ACQUIRE_RATES];
	struct channel_stats stats;
};

void channel_core_init(struct channel_core *c);

/*
 * Whether the bytes are a request that can be answered: length first, then magic, version (another one
 * in a HELLO alone, which is answered with ours), type. Any thread. Returns 0 or -EBADMSG.
 */
int channel_check(const void *param, size_t len);

/*
 * Applies a request that passed channel_check() and makes the reply. received: when it came, nanoseconds.
 */
void channel_request(
	struct channel_core *c, const struct ike_msg *in, uint64_t received, struct ike_msg *out);

/* Grace times, acquires, what was lost. Each 100 ms. */
void channel_core_tick(struct channel_core *c);

/* Authenticated ESP in UDP came from elsewhere than the SA's peer. */
void channel_core_mapping(struct channel_core *c, const struct sa_mapping *m);
/* The lifetime of an SA ran out. */
void channel_core_expire(struct channel_core *c, uint32_t slot, bool hard);

/* channel_owner.c */
struct owner *owner_find(struct channel_core *c, uint64_t id); /* NULL: never said HELLO */
bool owner_is_alive(const struct channel_core *c, uint64_t id);
/* spi_min, spi_max: host order, within the SAD's range. */
int owner_hello(struct channel_core *c, uint64_t id, int pid, uint32_t spi_min, uint32_t spi_max);
void owner_died(struct channel_core *c, unsigned int entry);
void owner_tick(struct channel_core *c);
int owner_socket(
	struct channel_core *c, struct owner *o, const struct ike_msg_socket *s, bool decap);
void owner_sweep_sockets(struct channel_core *c, struct owner *o);

/* channel_sa.c: each answers one request and returns its status. */
int channel_get_spi(struct channel_core *c, const struct owner *o, struct ike_msg_sa_id *id);
int channel_add_sa(struct channel_core *c, const struct owner *o, const struct ike_msg_add_sa *m,
	uint64_t received);
/* -EAGAIN: ask again in some milliseconds. */
int channel_update_sa(
	struct channel_core *c, const struct owner *o, const struct ike_msg_update_sa *m);
int channel_del_sa(struct channel_core *c, const struct owner *o, const struct ike_msg_sa_id *id);
int channel_query_sa(struct channel_core *c, const struct owner *o, const struct ike_msg_sa_id *id,
	struct ike_msg_usage *usage);
void channel_remove_sa(struct channel_core *c, uint32_t slot);
unsigned int channel_remove_sas_of(struct channel_core *c, uint64_t owner);
/* Removes the SAs that the owner has neither added nor named since its HELLO; returns how many. */
unsigned int channel_sweep_sas(struct channel_core *c, const struct owner *o);

/* channel_policy.c */
int channel_add_policy(
	struct channel_core *c, const struct owner *o, const struct ike_msg_policy *m);
int channel_del_policy(
	struct channel_core *c, const struct owner *o, const struct ike_msg_policy *m);
int channel_query_policy(struct channel_core *c, const struct owner *o,
	const struct ike_msg_policy *m, struct ike_msg_usage *usage);
/* Deletes the owner's policies that it did not add again since its HELLO. Returns how many, or -ENOMEM. */
int channel_sweep_policies(struct channel_core *c, const struct owner *o);
/* All policies of the owner become DISCARD. Returns how many were changed, or -ENOMEM. */
int channel_discard_policies(struct channel_core *c, uint64_t owner);

/* channel_event.c */
/* Every expiry that still stands is told to its owner once more. */
void channel_resend(struct channel_core *c);
void channel_acquires(struct channel_core *c);
void channel_resyncs(struct channel_core *c);

/* Between the wire and the tables. */
void channel_addr_from_wire(struct ip_addr *to, const struct ike_addr *from);
void channel_addr_to_wire(struct ike_addr *to, const struct ip_addr *from);

#endif
