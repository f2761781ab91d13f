/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SAD_H
#define CYGNET_SAD_H

#include "addr.h"
#include "rcu.h"
#include "replay.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_common.h>

/*
 * The security association database (RFC 4301, 4.4.2).
 *
 * A slot array. The SPI that sad_get_spi() reserves carries its slot number in the low bits and a random
 * generation above it, so that an inbound lookup is one array access; SPIs that others chose (static
 * SAs) go through a hash. Outbound SAs have slots of the same array and are reached through policies.
 *
 * The control thread is the only writer. Lcores find an SA by sad_lookup() or through a policy and may
 * use the pointer until their next quiescent state, and as long as a frame of theirs holds
 * it (rcu.h). Whatever parks a packet for longer keeps SPI and slot, never the pointer.
 */

/* IKEv2 transform IDs (IANA), type 1 and type 3. */
enum {
	ENCR_NULL = 11,
	ENCR_AES_CBC = 12,
	ENCR_AES_CTR = 13,
	ENCR_AES_CCM_8 = 14,
	ENCR_AES_CCM_12 = 15,
	ENCR_AES_CCM_16 = 16,
	ENCR_AES_GCM_8 = 18,
	ENCR_AES_GCM_12 = 19,
	ENCR_AES_GCM_16 = 20,
	ENCR_NULL_AUTH_AES_GMAC = 21,
	ENCR_CHACHA20_POLY1305 = 28,
};
enum {
	AUTH_NONE = 0,
	AUTH_HMAC_SHA1_96 = 2,
	AUTH_AES_XCBC_96 = 5,
	AUTH_AES_CMAC_96 = 8,
	AUTH_HMAC_SHA2_256_128 = 12,
	AUTH_HMAC_SHA2_384_192 = 13,
	AUTH_HMAC_SHA2_512_256 = 14,
	AUTH_HMAC_SHA2_256_96 = 1024, /* private use, as strongSwan numbers it */
};

#define SA_DIR_IN 1
#define SA_DIR_OUT 2
#define SA_MODE_TRANSPORT 1
#define SA_MODE_TUNNEL 2

#define SA_KEY_MAX 128
#define SA_SALT_MAX 4
#define SA_TEMPLATE_MAX 48 /* IPv6 and UDP */
#define SA_REPLAY_WINDOW_MAX 131072

struct sa_lifetime {
	uint64_t time_soft, time_hard; /* seconds from the add; 0 is none */
	uint64_t bytes_soft, bytes_hard;
	uint64_t packets_soft, packets_hard;
};

/* A static SA whose nonces may repeat: for laboratories. */
#define SA_CONF_INSECURE_TEST (1u << 31)

/* A packet without DF that is too large for the path. Transport mode knows no "before". */
enum sa_fragment { SA_FRAGMENT_BEFORE, SA_FRAGMENT_AFTER, SA_FRAGMENT_NEVER };

/* What an SA shall be: from charon or from the configuration. No key: that is handed over beside it. */
struct sa_conf {
	struct ip_addr src, dst;
	struct sa_lifetime life;
	uint64_t owner; /* of the plugin's start; 0: the configuration */
	uint32_t spi; /* network order */
	uint32_t reqid;
	uint32_t replay_window;
	uint32_t tfc;
	uint32_t if_id;
	uint32_t mark, mark_mask;
	uint32_t flags; /* IKE_SA_* of ike/wire.h, and SA_CONF_INSECURE_TEST */
	/* Outbound, with a state file: the last number of earlier starts, and how far this one may go at first. */
	uint64_t sqn_from, sqn_reserved; /* 0 reserved: all */
	uint16_t src_port, dst_port; /* UDP encapsulation, network order */
	uint16_t enc_alg, enc_key_len; /* key length in bytes with the salt */
	uint16_t int_alg, int_key_len;
	uint8_t dir; /* SA_DIR_* */
	uint8_t mode; /* SA_MODE_* */
	uint8_t proto; /* 50 or 51 */
	uint8_t fragment; /* enum sa_fragment; outbound */
	uint8_t dscp; /* of the outer header, where it is not copied */
	uint8_t ttl; /* of the outer header, also its hop limit; 0: what is usual */
	uint32_t label; /* flow label of the outer header, where it is not copied */
};

#define SA_ANYBODY UINT32_MAX /* no owner's tag: a policy for SAs of whoever it is */

/* What is left of an owner's 64 bits in the data plane; 0 is the configuration. */
static inline uint32_t
sa_owner_tag(uint64_t owner)
{
	uint32_t tag = owner ^ owner >> 32;

	return (tag != 0 && tag != SA_ANYBODY) || owner == 0 ? tag : 1;
}

/* Policies of an owner's tag and a reqid, in a word. */
static inline uint64_t
sa_for(uint32_t owner_tag, uint32_t reqid)
{
	return (uint64_t)owner_tag << 32 | reqid;
}

enum sa_state {
	SA_FREE, /* the slot is nobody's */
	SA_LARVAL, /* its SPI is reserved, no keys yet */
	SA_LIVE,
	SA_DYING, /* nobody's any more: takes late packets (sad_retire()), or waits for its grace period */
};

/* Losses of one SA; names in sa_error_names[]. */
enum sa_error {
	SA_ERR_REPLAY,
	SA_ERR_ICV,
	SA_ERR_MALFORMED,
	SA_ERR_SELECTOR,
	SA_ERR_OVERFLOW,
	SA_ERR_OVERLOAD,
	SA_ERR_MTU,
	SA_ERR_MAX,
};
extern const char *const sa_error_names[SA_ERR_MAX];

#define SA_F_ESN (1u << 0)
#define SA_F_TUNNEL (1u << 1)
#define SA_F_UDP (1u << 2)
#define SA_F_AH (1u << 3) /* else ESP */
#define SA_F_SET_DF (1u << 4)
#define SA_F_COPY_DF (1u << 5)
#define SA_F_NO_ECN (1u << 6)
#define SA_F_COPY_DSCP_OUT (1u << 7)
#define SA_F_COPY_DSCP_IN (1u << 8)
#define SA_F_SHARED (1u << 9) /* more than one worker may seal with it, or open */

#define SA_F_FRAGMENT_AFTER (1u << 10)
#define SA_F_FRAGMENT_NEVER (1u << 11)
#define SA_F_COPY_LABEL (1u << 12) /* flow label, inner to outer */

#define SA_NO_WORKER 0xffff
#define SA_TFC_MTU 0xffff

/* Outbound: what goes before the ESP header. A tunnel's is complete but for lengths and checksums. */
struct sa_template {
	_Alignas(RTE_CACHE_LINE_SIZE) uint8_t header[SA_TEMPLATE_MAX];
	uint32_t spi; /* network order; stays when the SA's goes to 0 */
	uint16_t csum; /* IPv4: one's complement sum of the IP header, total length zero */
	uint16_t id; /* IPv4: of the packet with the number 0 */
	uint8_t len;
	uint8_t ip_len; /* of the outer IP header in it; 0 in transport mode */
	bool outer6;
	bool udp; /* ends with a UDP header */
	uint8_t tos; /* DSCP, where it is not copied */
	bool plain; /* as most are: a tunnel over IPv4, without what esp-encrypt would have to look at packet by packet */
};

/* How an SA's packets go to the crypto device: what stands where (nodes/esp_op.h). */
enum sa_crypto {
	SA_CRYPTO_AEAD, /* GCM, ChaCha20-Poly1305: nonce of salt and IV */
	SA_CRYPTO_CCM, /* the same, laid out as CCM wants it */
	SA_CRYPTO_GMAC, /* authentication alone, with a nonce */
	SA_CRYPTO_CBC, /* and a separate authentication, as the two below */
	SA_CRYPTO_CTR,
	SA_CRYPTO_AUTH, /* no encryption */
};

/* Whether its device can also work at once, without its queues (nodes/crypto_sync.h). */
enum sa_sync {
	SA_SYNC_NO,
	SA_SYNC_LONG, /* it works on several packets side by side: worth it for many in a row */
	SA_SYNC,
	SA_SYNC_NATIVE, /* no device: nodes/esp_gcm.h */
};

/* Written by one lcore alone, read by all. */
struct sa_use {
	uint64_t packets, bytes;
	uint32_t last_use; /* CLOCK_MONOTONIC seconds; 0: never */
} __attribute__((packed, aligned(4)));

/*
 * The hot half: what a packet needs, by cache lines. With many SAs none of it is in a cache, and what counts then is how many pairs of
 * lines a packet touches: processors fetch memory by pairs.
 */
#define SA_ALIGN (2 * RTE_CACHE_LINE_SIZE)
#define SA_NATIVE_LEN (8 * RTE_CACHE_LINE_SIZE)

struct sa {
	/* Line 1: read for each packet. */
	_Alignas(SA_ALIGN) _Atomic uint32_t spi; /* network order; 0: not for packets */
	uint16_t flags; /* SA_F_* */
	uint8_t icv_len;
	uint8_t iv_len;
	uint8_t align; /* of payload and trailer: 4, or the cipher's block */
	uint8_t crypto; /* enum sa_crypto */
	uint8_t dev; /* index of its crypto device */
	uint8_t dir;
	_Atomic uint8_t active; /* which template counts */
	uint8_t sync; /* enum sa_sync */
	uint8_t rounds; /* NATIVE: 10, 12 or 14 */
	_Atomic bool mapping_told; /* a new address of the peer was, less than a second ago */
	uint32_t slot;
	uint32_t reqid;
	uint32_t salt; /* as it stands in the nonce */
	uint32_t owner; /* sa_owner_tag(): for whose policies its packets are, of that reqid */
	void *session; /* of its crypto device; NATIVE: its own native */
	struct replay *replay; /* inbound; NULL without a window */
	uint16_t tfc; /* outbound tunnels: pad to that length; SA_TFC_MTU: to the MTU; 0: not */
	_Atomic uint16_t
		mtu; /* outbound: of the path to the peer, layer 3, ESP included; 0: not known */
	uint32_t if_id, mark; /* of the packets that it opens: for policies */
	_Atomic uint16_t worker; /* inbound: the worker that owns the window, or SA_NO_WORKER */
	uint16_t peer_port; /* inbound, ESP in UDP: where packets come from; network order */
	/* Line 2: changes with traffic. */
	_Alignas(RTE_CACHE_LINE_SIZE) struct sa_use use; /* but SHARED */
	struct ip_addr peer;
	_Atomic uint64_t sqn; /* outbound: last number given */
	_Atomic uint64_t sqn_limit; /* outbound: last number that may be given now */
	_Atomic uint64_t
		lent; /* inbound: sa_for() other policies, too, as its owner is dead; 0: none */
	/* Lines 3 and 4: one in use, the other for sad_update(). */
	struct sa_template template[2];
	/* Lines 5 to 12: the key of native crypto, a struct esp_gcm_key. */
	_Alignas(SA_ALIGN) uint8_t native[SA_NATIVE_LEN];
};

_Static_assert(offsetof(struct sa, use) == RTE_CACHE_LINE_SIZE &&
		       offsetof(struct sa, template) == 2 * RTE_CACHE_LINE_SIZE &&
		       offsetof(struct sa, native) == 4 * RTE_CACHE_LINE_SIZE,
	"the hot half of an SA");

/* The last number that there is. The end of a 64-bit space is out of reach; the margin keeps an atomic add from wrapping. */
static inline uint64_t
sa_end_of_numbers(bool esn)
{
	return esn ? UINT64_MAX - UINT32_MAX : UINT32_MAX;
}

/* The last number that an outbound SA may ever give; its limit is less where numbers are reserved in a file. Any thread. */
static inline uint64_t
sa_last_number(const struct sa *sa)
{
	return sa_end_of_numbers(sa->flags & SA_F_ESN);
}

/* Whether what comes by an SA is for the policies of that owner and reqid: its own, or those that it is lent to. Any thread. */
static inline bool
sa_is_for(const struct sa *sa, uint32_t owner_tag, uint32_t reqid)
{
	return (sa->owner == owner_tag && sa->reqid == reqid) ||
	       atomic_load_explicit(&sa->lent, memory_order_relaxed) == sa_for(owner_tag, reqid);
}

/* Written by one lcore alone, read by all; what an SA has in sum is over the workers, with its own use. */
struct sa_counters {
	struct sa_use use; /* SHARED */
	uint32_t errors[SA_ERR_MAX];
	uint32_t reserved[4];
};

_Static_assert(sizeof(struct sa_counters) == RTE_CACHE_LINE_SIZE, "one line an SA and worker");

/* An inbound SA's packet was authentic and came from another address or port: from a worker to the control
 * thread, by a ring. */
struct sa_mapping {
	uint32_t slot;
	uint32_t spi; /* network order */
	struct ip_addr addr;
	uint16_t port; /* network order */
	uint16_t reserved;
};

/*
 * A path carries less than the route to the peer says: an ICMP error said so about a packet of that outbound SA
 * (RFC 4301, 8.2), from a worker to the control thread, by a ring.
 */
struct sa_path_mtu {
	uint32_t slot;
	uint32_t spi; /* network order */
	uint16_t mtu; /* layer 3, ESP included */
	uint16_t reserved;
	struct ip_addr by; /* who said so */
};

/*
 * RFC 791: an error that tells less for an IPv4 path is believed so far; less would make packets tiny. What no longer fits
 * then is for the routers of the path to cut up: there is no DF on such a path (outer_df()).
 */
#define SAD_PATH_MTU_MIN4 576

/* RFC 1191, 6.3; RFC 8201, 5.3: so long is an ICMP error believed, before the route's MTU is tried again. */
#define SAD_PATH_MTU_SECONDS 600

struct sa_usage {
	uint64_t packets, bytes;
	uint64_t last_use; /* CLOCK_MONOTONIC seconds; 0: never */
	uint64_t errors[SA_ERR_MAX];
};

/* The cold half, for the control thread. */
struct sa_cold {
	struct sa_conf conf;
	enum sa_state state;
	uint64_t added; /* CLOCK_MONOTONIC nanoseconds: of the reservation while larval */
	uint64_t retired; /* the same, of sad_retire() */
	uint32_t session; /* of its owner, in which that named it last */
	bool soft_sent, hard_sent;
	bool updating; /* the inactive template may still be read */
	uint16_t path_mtu; /* outbound: learned from an ICMP error; 0: nothing is */
	uint64_t path_mtu_until; /* CLOCK_MONOTONIC nanoseconds */
	LIST_ENTRY(sa_cold) of_reqid; /* live, or retired */
	TAILQ_ENTRY(sa_cold) next_retired;
};

struct sad;

struct sad_conf {
	uint32_t max_sas; /* slots; rounded up to a power of two, at most 2^20 */
	uint32_t spi_min, spi_max; /* host order; a range of at least 2^8 times the slots */
	uint16_t workers; /* number of counter sets */
	bool keep_keys; /* for sad_key(): else they are the crypto device's alone */
	struct rcu *rcu;
	/* MTU of the route to a peer, 0 when it is not known; NULL: never known. Outbound SAs ask at their add
	 * and once a second. */
	uint16_t (*path_mtu)(void *ctx, const struct ip_addr *dst);
	void *path_ctx;
};

/* Makes and destroys the crypto session of an SA: crypto_session_create() in the router. */
struct sad_crypto {
	/* key: conf->enc_key_len bytes with the salt, then conf->int_key_len. Sets sa->session and
	 * sa->dev; returns 0, or -ENOTSUP when no device has the transform, or another negative errno. */
	int (*create)(void *ctx, struct sa *sa, const struct sa_conf *conf, const uint8_t *key);
	void (*destroy)(void *ctx, struct sa *sa);
	void *ctx;
};

struct sad *sad_create(const struct sad_conf *conf, const struct sad_crypto *crypto);
void sad_destroy(struct sad *sad);

/*
 * Reserves an inbound SPI for dst (network order in *spi). Control thread. It expires when no sad_add()
 * comes within 165 s. Returns -ENOSPC when all slots are taken.
 */
int sad_get_spi(
	struct sad *sad, uint64_t owner, uint8_t proto, const struct ip_addr *dst, uint32_t *spi);

/* The same within min and max (host order); -ENOSPC also when no SPI of the slot lies there. */
int sad_get_spi_within(struct sad *sad, uint64_t owner, uint8_t proto, const struct ip_addr *dst,
	uint32_t min, uint32_t max, uint32_t *spi);

/*
 * Adds an SA, all or nothing; key as for sad_crypto.create (wiped by the caller). Control thread.
 * from_get_spi: the SPI must have been reserved by that owner and becomes live.
 * Returns 0; -EINVAL for a configuration that is not possible (*why says what), -ENOTSUP for an unknown
 * algorithm or a mode that is not there, -EEXIST, -ENOENT (from_get_spi without a reservation), -ENOSPC.
 */
int sad_add(struct sad *sad, const struct sa_conf *conf, const uint8_t *key, bool from_get_spi,
	uint32_t *slot, const char **why);

/*
 * Gives a live SA other end points (network-order ports) and encapsulation; sequence numbers, window, counters
 * and lifetimes stay. Control thread. Returns 0, -ENOENT, -EINVAL, -ENOTSUP (*why says what), or -EAGAIN:
 * packets in flight still use what the change before this one replaced; it takes milliseconds.
 */
struct sa_end_points {
	struct ip_addr src, dst;
	uint16_t src_port, dst_port;
	bool encap;
	uint32_t reqid; /* 0: as it is */
};
int sad_update(struct sad *sad, uint32_t slot, const struct sa_end_points *to, const char **why);

/* Takes over what an ICMP error told, if it is less than what the SA goes by; returns whether it was. Control thread. */
bool sad_learn_mtu(struct sad *sad, const struct sa_path_mtu *told);

/* An outbound SA may give numbers up to this one: they are on the disk. Control thread. */
void sad_reserve(struct sad *sad, uint32_t slot, uint64_t upto);

/* The last number that an SA of these IKE_SA_* flags may give. Any thread. */
uint64_t sad_last_number(uint32_t flags);

/* Removes an SA or a reservation; packets in flight still finish. Returns 0 or -ENOENT. Control thread. */
int sad_del(struct sad *sad, uint32_t slot);

/*
 * The same for an SA that its peers have agreed to end: an inbound one whose SPI names its slot is gone for the control side
 * at once, but lcores still take its packets for SAD_LINGER_MS. A DELETE overtakes packets in networks and in peers that
 * seal beside their IKE, and those were sent in good faith. So it is while another of its owner and reqid is live, as one is
 * where it was replaced: when the last of them goes, all end at once, as charon gives the reqid to the next peer then, whose
 * policies are none of theirs. All other SAs end as by sad_del(). Control thread.
 */
#define SAD_LINGER_MS 500
int sad_retire(struct sad *sad, uint32_t slot);

/* Ends those that have lingered at that time (CLOCK_MONOTONIC nanoseconds; UINT64_MAX: all). sad_tick() does. Control thread. */
void sad_end_retired(struct sad *sad, uint64_t now);

/* Slot of the SA with these (spi in network order, dst may be NULL for inbound), or -ENOENT. Control. */
int sad_find(const struct sad *sad, uint8_t dir, uint8_t proto, uint32_t spi,
	const struct ip_addr *dst, uint32_t *slot);

/*
 * The SAs of a direction and reqid (of what is lent, that which it is lent for) that are live and whose hard lifetime has not run
 * out, the newest first: the one after that slot (SAD_NO_SLOT: the first), or SAD_NO_SLOT. Control thread.
 */
#define SAD_NO_SLOT UINT32_MAX
uint32_t sad_next_of_reqid(const struct sad *sad, uint8_t dir, uint32_t reqid, uint32_t slot);

/*
 * An inbound SA, live, whose owner is dead: what comes by it is for the policies of that owner and reqid, too, and of no other to
 * whom it was lent before. It stays its own owner's. Control thread.
 */
void sad_lend(struct sad *sad, uint32_t slot, uint64_t owner, uint32_t reqid);

/* Sum of the counters over the workers. Control thread. */
void sad_usage(const struct sad *sad, uint32_t slot, struct sa_usage *usage);

/*
 * The keys of a live SA as sad_add() took them, until it goes; NULL where the SAD does not keep them. Control thread.
 */
const uint8_t *sad_key(const struct sad *sad, uint32_t slot);
bool sad_keeps_keys(const struct sad *sad);

const struct sa_cold *sad_cold(const struct sad *sad, uint32_t slot);
const struct sa *sad_hot(const struct sad *sad, uint32_t slot);
uint32_t sad_slots(const struct sad *sad); /* size of the array: slots are 0 .. n-1 */
uint32_t sad_count(const struct sad *sad, enum sa_state state);

/* Notes in which session its owner has named the SA last; control thread. */
void sad_set_session(struct sad *sad, uint32_t slot, uint32_t session);

/*
 * Looks at a part of the table (all of it once a second when called at each 100 ms tick): raises
 * expire(ctx, slot, hard) for lifetimes that ran out, once soft and once hard, and drops larval SPIs
 * after 165 s; ends what has lingered; asks for the MTU of outbound SAs' paths. A hard expiry stops an SA before the call: it takes no more packets. Control thread.
 */
void sad_tick(struct sad *sad, void (*expire)(void *ctx, uint32_t slot, bool hard), void *ctx);

/* The counters of a worker for a slot. That worker alone writes. */
struct sa_counters *sad_worker_counters(struct sad *sad, uint16_t worker);

#endif
