/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SPD_H
#define CYGNET_SPD_H

#include "addr.h"
#include "rcu.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/*
 * The security policy database (RFC 4301, 4.4.1): one ordered view per direction.
 *
 * Tuple space search: policies with the same shape (prefix lengths of addresses and ports, whether the protocol counts,
 * mask of the mark) share a tuple; a tuple is a key shape in one hash table per direction and family. A lookup
 * visits the tuples in the order of their best priority and stops when no later one can win. An update
 * touches one hash entry, so it costs the same at 10 and at 100,000 policies; readers never wait.
 *
 * What a key cannot say is compared along the chain of the policies that share it: addresses and ports
 * where a policy's are a range. The key of a range is the smallest prefix around it, so two ranges of addresses that do not
 * overlap never share one, and of such ranges of ports a few do. A chain has SPD_CHAIN_MAX policies at most.
 *
 * Policies that differ in ports alone are a group, too: it knows the strictest of them, for packets whose ports are not seen.
 *
 * The control thread is the only writer; lcores read under RCU (rcu.h).
 */

enum spd_dir { SPD_IN, SPD_OUT, SPD_FWD, SPD_DIRS };
enum spd_action { SPD_NONE, SPD_PROTECT, SPD_BYPASS, SPD_DISCARD };

/*
 * What packets a policy is for (RFC 4301, 4.4.1.1). Addresses are a prefix, or, when the family of the last
 * one is not 0, the range from src to src_last, both inclusive; src_plen counts for prefixes alone.
 */
struct spd_selector {
	struct ip_addr src, dst; /* both of one family */
	struct ip_addr src_last, dst_last;
	uint8_t src_plen, dst_plen;
	uint8_t proto; /* 0 is any */
	uint16_t src_port_lo, src_port_hi; /* inclusive, host order; 0..65535 is any */
	uint16_t dst_port_lo, dst_port_hi; /* ICMP: type in src, code in dst */
};

struct spd_policy_conf {
	struct spd_selector sel;
	struct ip_addr sa_src, sa_dst; /* tunnel end points; family 0: not said */
	uint64_t owner; /* of the plugin's start; 0: the configuration */
	uint32_t spi; /* OUT: the SA to use, network order; 0: a trap */
	uint32_t reqid;
	uint32_t priority; /* smaller wins */
	uint32_t if_id; /* for packets of that interface id alone; plain ones have 0 */
	uint32_t mark, mark_mask; /* for packets with (mark & mark_mask) == mark */
	uint8_t dir; /* enum spd_dir */
	uint8_t action; /* enum spd_action */
	uint8_t mode; /* SA_MODE_* */
	uint8_t proto; /* of the SA */
	bool own_sas; /* the configuration's: for SAs of it alone, as it has one of the reqid; else for those of anybody */
};

#define SPD_NO_SA 0xffffffffu

/* What a packet shows of itself: addresses in network order, ports in host order. */
struct spd_key {
	union {
		uint32_t src4;
		uint64_t src6[2];
	};
	union {
		uint32_t dst4;
		uint64_t dst6[2];
	};
	uint32_t if_id, mark;
	uint16_t src_port, dst_port; /* ICMP: type and code */
	uint8_t family; /* 4 or 6 */
	uint8_t proto;
	bool no_ports; /* a later fragment or an unreadable chain: the strictest policy wins */
};

/*
 * An SA is missing: the lcore whose packet finds IDLE takes it, writes what the packet was, and says READY; the
 * control thread reads that and puts IDLE back.
 */
enum spd_acquire { SPD_ACQUIRE_IDLE, SPD_ACQUIRE_WRITING, SPD_ACQUIRE_READY };

/* How many policies may share a key: those whose ranges overlap, and one for each owner of a selector. */
#define SPD_CHAIN_MAX 256

/* What is to be compared beside the key. */
#define SPD_NARROW_PORTS (1u << 0)
#define SPD_NARROW_ADDRS (1u << 1)

/* Which of a packet's fields the key of a policy has. */
struct spd_shape {
	uint8_t src_plen, dst_plen;
	uint8_t src_port_plen, dst_port_plen; /* leading bits of the ports: 16 is one port */
	bool proto;
	bool group; /* of struct spd_group, not of policies */
	uint32_t mark_mask;
};

/* Addresses as numbers: the high half first, IPv4 in the low half. Inclusive. */
struct spd_range {
	uint64_t lo[2], hi[2];
};

/* A policy as lcores see it. */
struct spd_policy {
	struct spd_policy *_Atomic next; /* same key, later in order */
	uint32_t priority;
	uint32_t order; /* newer is larger: the tie-break */
	uint32_t reqid;
	uint32_t owner; /* of the SAs that it is for: sa_owner_tag() of conf.owner, or SA_ANYBODY */
	_Atomic uint32_t sa; /* OUT, PROTECT: slot of the SA to use, or SPD_NO_SA */
	_Atomic uint32_t acquire; /* enum spd_acquire */
	_Atomic uint32_t used; /* CLOCK_MONOTONIC seconds of the last use; 0: never */
	uint8_t action;
	uint8_t mode;
	uint8_t proto;
	uint8_t narrow; /* SPD_NARROW_* */
	uint32_t if_id, mark, mark_mask;
	struct spd_shape shape; /* of its tuple */
	struct spd_range src, dst;
	struct spd_policy_conf conf; /* in the form that spd_selector_canonical() gives */
	struct spd_key trigger; /* of the packet, when acquire is SPD_ACQUIRE_READY */
	uint32_t id;
	/* The control thread's own: its group, if it has ports; its place for spd_page(); policies of one reqid, and those
	 * bound to one SA. */
	struct spd_group *group;
	uint32_t group_at, page_at;
	LIST_ENTRY(spd_policy) of_reqid, of_sa;
};

/*
 * What the policies of one direction look at in IPv4 packets, ports and ranges of addresses aside: packets that agree in it,
 * and in mark and interface id, have one policy, unless the lookup says that one with ports or a range has a say (narrow).
 */
struct spd_sight {
	uint64_t addrs; /* mask of source and destination, as they stand in the header */
	uint8_t proto; /* mask: 0 or 0xff */
};

struct spd;

struct spd *spd_create(uint32_t max_policies, struct rcu *rcu);
void spd_destroy(struct spd *spd);
/* Bytes of huge pages that a full table takes. Any thread. */
uint64_t spd_size(uint32_t max_policies);

/*
 * Gives a selector its one form: a range that is a prefix becomes one, src_plen of a range is that of
 * the smallest prefix around it, host bits of prefixes go. Any thread. Returns 0 or -EINVAL: families that differ,
 * lengths and ranges that are none.
 */
int spd_selector_canonical(struct spd_selector *sel);

/*
 * Adds a policy. A second one of the same selector, direction, if_id, mark and owner replaces the first in
 * place, and an OUT policy that protects keeps the SA of the one that it replaces until spd_bind() says otherwise.
 * Those of other owners stay beside it: the best of all is used. Control thread. Returns 0, -EINVAL, -ENOSPC, -ENOMEM, or
 * -E2BIG: SPD_CHAIN_MAX others share its key.
 */
int spd_add(struct spd *spd, const struct spd_policy_conf *conf, uint32_t *id);

/*
 * The same, in the place of old, which has that selector, direction, if_id and mark, and perhaps another owner; old NULL: of
 * none. Control thread.
 */
int spd_replace(
	struct spd *spd, struct spd_policy *old, const struct spd_policy_conf *conf, uint32_t *id);

/* What such an error means, for a log. */
const char *spd_strerror(int rc);

/* Removes the policy of that selector, direction, if_id, mark and owner. Returns 0 or -ENOENT. Control thread. */
int spd_del(struct spd *spd, const struct spd_policy_conf *conf);

/* The policy of that selector, direction, if_id, mark and owner, or NULL. Control thread. */
struct spd_policy *spd_find(struct spd *spd, const struct spd_policy_conf *conf);

/* The first policy after p (NULL: of all) that has that selector, direction, if_id and mark, whoever owns it. Control
 * thread. */
struct spd_policy *spd_find_next(
	struct spd *spd, const struct spd_policy_conf *conf, const struct spd_policy *p);

/* Points an OUT policy at the SA of the slot; SPD_NO_SA makes it a trap. Control thread. */
void spd_bind(struct spd *spd, struct spd_policy *p, uint32_t slot);

/*
 * Points at the slot every OUT policy that wants this SA: of its reqid, protocol, mode and peer, and that names its SPI, or, in
 * the configuration, none. Control thread.
 */
struct sa_conf;
void spd_bind_sa(struct spd *spd, const struct sa_conf *sa, uint32_t slot);
bool spd_wants_sa(
	const struct spd_policy *p, const struct sa_conf *sa); /* whether it is one of those */

/*
 * Points a policy of the configuration at the newest live SA that it wants, the one of the slot but left out (SPD_NO_SA: none is);
 * without one it is a trap. Control thread.
 */
struct sad;
void spd_bind_newest(struct spd *spd, const struct sad *sad, struct spd_policy *p, uint32_t but);

/*
 * No policy points at the slot afterwards: those of the configuration take the newest other SA that they want, and
 * without one they are traps, as all others are. Control thread, before the SA goes.
 */
void spd_unbind_sa(struct spd *spd, const struct sad *sad, uint32_t slot);

/* All policies in no particular order. The callback may not change the table. Control thread. */
void spd_foreach(struct spd *spd, void (*fn)(void *ctx, struct spd_policy *p), void *ctx);
uint32_t spd_count(const struct spd *spd, enum spd_dir dir);

/*
 * A part of the table: at most max policies after *c (zero at first), which moves on; fewer than max means
 * that the table is through. Between two parts it may change: what is there all the time comes once.
 * Control thread.
 */
struct spd_cursor {
	uint32_t at;
};
unsigned int spd_page(
	struct spd *spd, struct spd_cursor *c, struct spd_policy **v, unsigned int max);

/* Whether the owner of the policies has said that they are complete; until then nothing is forwarded. */
void spd_set_complete(struct spd *spd, bool complete);
bool spd_complete(const struct spd *spd);

/* Whether there is no policy in that direction: nothing need be looked up. Any data-plane lcore. */
bool spd_empty(const struct spd *spd, enum spd_dir dir);

/*
 * The sight of a direction; good until the next quiescent state. What was found by means of it counts if it is still the same
 * one after the lookup: else policies of another shape have come. Any data-plane lcore.
 */
const struct spd_sight *spd_sight4(const struct spd *spd, enum spd_dir dir);

/*
 * Which state of a direction's policies this is, of IPv4; 0 is none. What was looked up after this was read, and is not narrow, holds
 * as long as it reads the same, for packets that agree in a sight that was read before. Any data-plane lcore.
 */
uint64_t spd_state4(const struct spd *spd, enum spd_dir dir);

/* How many policies of IPv4 there are in a direction. Any thread. */
uint32_t spd_count4(const struct spd *spd, enum spd_dir dir);

/*
 * The best policy for each of n packets of one family (n at most 64); NULL where none matches. Returns a bit for each
 * that is narrow: ports or ranges had a say. Any data-plane lcore.
 */
uint64_t spd_lookup4(const struct spd *spd, enum spd_dir dir, const struct spd_key *const *keys,
	unsigned int n, struct spd_policy **found);
uint64_t spd_lookup6(const struct spd *spd, enum spd_dir dir, const struct spd_key *const *keys,
	unsigned int n, struct spd_policy **found);

#endif
