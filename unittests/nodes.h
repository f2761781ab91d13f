/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNITTESTS_NODES_H
#define UNITTESTS_NODES_H

#include "config.h"
#include "crypto.h"
#include "drop.h"
#include "fib.h"
#include "host.h"
#include "pkt.h"
#include "router.h"
#include "sad.h"
#include "spd.h"
#include "wire.h"
#include "worker.h"

#include <check.h>
#include <netinet/in.h>
#include <rte_ip.h>

/*
 * A world for the real nodes: workers as graph/lcores.c makes them, on ports that are rings. The test's
 * thread walks the graphs; the clock of the nodes stands still unless a test moves it.
 *
 *	10.1.0.2 ── lan (10.1.0.1) ─┐
 *	10.3.0.2 ── dmz (10.3.0.1) ─┼─ router ── wan (192.0.2.1) ── peer 192.0.2.2, and 10.2.0.0/16 behind it
 *
 * The same in IPv6: 2001:db8:1::/64, 2001:db8:3::/64, 2001:db8:f::/64, and 2001:db8:2::/48 behind the peer.
 */

enum { LAN, WAN, DMZ, PORTS };
#define VLAN_PORT WORKER_MAX_DEVICES /* of WAN, when the world has it */

#define WORKERS_MAX 2
#define PACKET_MAX 16384
#define REASSEMBLIES 64

#define PEER "192.0.2.2"
#define US "192.0.2.1"
#define HOST_A "10.1.0.2"
#define HOST_B "10.2.0.2"
#define HOST_D "10.3.0.2"

#define PEER6 "2001:db8:f::2"
#define US6 "2001:db8:f::1"
#define LAN6 "2001:db8:1::1"
#define DMZ6 "2001:db8:3::1"
#define HOST6_A "2001:db8:1::2"
#define HOST6_B "2001:db8:2::2"
#define HOST6_D "2001:db8:3::2"

#define SPI_IN 0x00001001u
#define SPI_OUT 0x00002002u
#define REQID 7
#define OUTER_ID 0xff80 /* of an SA's packet 0 */

/* The tag of cases that are run once more with crypto devices alone (plain_cpu.c). */
#define WORLD_CRYPTO "crypto"

struct world_conf {
	unsigned int workers, crypto_lcores; /* 0 crypto lcores: inline */
	unsigned int mtu, frames;
	bool every_device; /* of crypto; else AES-GCM's alone */
	unsigned int vlan; /* id of a VLAN of WAN; 0: none */
	bool discard; /* default action of ports and of ourselves; else bypass */
};

struct world {
	struct router r;
	struct config c;
	struct rte_ring *rx[PORTS][WORKERS_MAX], *tx[PORTS][WORKERS_MAX];
	struct rte_ring *punt[PUNT_CLASSES], *neigh, *host_rx[PORTS], *vlan_host_rx;
	struct worker_sockets sockets;
	_Atomic bool asleep;
	int eventfd;
	uint64_t now;
	bool idle[8]; /* lcores whose last walk found nothing */
};
extern struct world world;

/* Starts EAL and the router; world_stop() checks that every packet buffer came back. */
void world_start(const struct world_conf *conf);
void world_stop(void);
/* Fixtures: one worker, inline crypto, everything bypasses; the same with all defaults discard. */
void world_open(void);
void world_closed(void);

static inline struct worker *
worker(unsigned int i)
{
	return world.r.lcores[i];
}

/* Walks one graph, or every one once; walks until nothing moves any more. */
void walk_lcore(unsigned int i);
void walk_all(void);
void run(void);
/* Moves the clock of the nodes. */
void wait_ms(unsigned int ms);

struct ip_addr address(const char *s);
uint32_t addr4(const char *s);
/* A next hop to that neighbour with its MAC known (or not), and a route. */
uint32_t neighbour(unsigned int port, const char *addr, unsigned int mtu, bool resolved);
void route(const char *prefix, uint32_t nh);
void route_to(const char *prefix, enum nh_type type);
void local_addresses(const char *const *addrs, unsigned int n);
void socket_add(const char *addr, uint16_t port, bool ike, bool decap);

/* Policies: "10.1.0.0/16 > 10.2.0.0/16", then proto and ports when they count. */
struct spd_policy *policy(enum spd_dir dir, enum spd_action action, const char *selector,
	uint32_t reqid, const struct spd_selector *more);
/* The three policies of the tunnel between 10.1/16 and 10.2/16. */
void tunnel_policies(uint32_t out_slot);

struct test_key {
	uint8_t b[36]; /* key, then the salt */
	uint8_t len; /* without the salt */
};
extern const struct test_key key_in, key_out;

struct sa_spec {
	uint8_t dir;
	uint32_t spi; /* host order; 0: SPI_IN or SPI_OUT */
	uint32_t window, flags, reqid;
	uint16_t src_port, dst_port; /* host order */
	const struct test_key *key;
	const char *local;
	bool transport, gmac;
	bool six; /* between US6 and PEER6 */
	bool plain_headers; /* flags say all of what headers take over; else as charon does without configuration */
	uint8_t fragment, dscp, ttl;
	uint32_t label;
};
/* Adds the SA between US and PEER and returns its slot. */
uint32_t sa(const struct sa_spec *spec);
struct sa *sa_at(uint32_t slot);
/* Both SAs and the policies: what most tests want. Slots to *in and *out. */
void tunnel(uint32_t flags, uint32_t window, uint32_t *in, uint32_t *out);

/* An IPv4 packet to be built. Zero members mean what is usual. */
struct ip4 {
	const char *src, *dst;
	uint8_t proto, ttl, tos;
	uint8_t n_options; /* bytes, a multiple of 4 */
	uint16_t sport, dport; /* ICMP: type and code */
	uint16_t len; /* total; 0: 100 */
	uint16_t frag; /* host order, flags and offset */
	uint16_t id;
	const uint8_t *options, *payload; /* payload: after an UDP header */
};
uint16_t ip4_build(uint8_t *buf, const struct ip4 *p);
void ip4_mend(uint8_t *ip); /* computes the header checksum */
bool ip4_checksum_right(const uint8_t *ip);

/* An IPv6 packet to be built. Zero members mean what is usual. */
struct ip6 {
	const char *src, *dst;
	uint8_t proto, hops, tos;
	uint8_t n_chain, first; /* extension headers, complete; the protocol of the first of them */
	const uint8_t *chain;
	uint32_t label;
	uint16_t sport, dport; /* ICMP: type and code */
	uint16_t len; /* total; 0: 100 */
};
uint16_t ip6_build(uint8_t *buf, const struct ip6 *p);
void put_ip6(unsigned int port, const struct ip6 *p);
void put_host6(unsigned int port, const struct ip6 *p);

/* A frame to that port in one mbuf, or cut into n segments. */
struct rte_mbuf *frame(unsigned int port, const void *ip, uint16_t len);
struct rte_mbuf *frame_cut(
	unsigned int port, const void *ip, uint16_t len, const uint16_t *cuts, unsigned int n);
void put(struct rte_ring *ring, struct rte_mbuf *m);
/* Says in the Ethernet header that it is IPv6. */
struct rte_mbuf *as_ip6(struct rte_mbuf *m);
void put_frame6(unsigned int port, const void *ip, uint16_t len);
void put_frame(unsigned int port, const void *ip, uint16_t len);
void put_ip4(unsigned int port, const struct ip4 *p);
/* The same, as Linux sends it on the tap. */
void put_host(unsigned int port, const struct ip4 *p);

/* Takes one packet out: its frame goes to buf (PACKET_MAX), the IP packet is at buf + 14. Length of the
 * IP packet, or 0 when there is none. */
uint16_t take(struct rte_ring *ring, uint8_t *buf);
uint16_t sent(unsigned int port, uint8_t *buf);
uint16_t punted(enum punt_class class, uint8_t *buf);
/* Nothing left the router, nowhere. */
void nothing_left(void);

/* Checks that the drops since the last call are n of this reason and no other, and begins anew. */
void drops_are(enum drop_reason reason, uint64_t n);
#define no_drops() drops_are(DROP_NONE, 0)

/* An independent ESP: by OpenSSL's libcrypto. */
struct esp {
	const struct test_key *key;
	uint32_t spi; /* host order */
	uint64_t sqn;
	bool esn;
	uint8_t iv[8];
	int pad; /* bytes; -1: the least */
	uint8_t next_header; /* 0: IPv4 */
	uint8_t bad_pad; /* added to the first byte of the padding */
	int pad_field; /* what the pad length says; -1: the truth */
	bool gmac; /* RFC 4543: nothing is encrypted */
};
#define ESP_IN(number)                                                                     \
	{                                                                                  \
		.key = &key_in, .spi = SPI_IN, .sqn = (number), .pad = -1, .pad_field = -1 \
	}
/* Seals n bytes; returns the length from the SPI to the ICV. */
uint16_t esp_seal(const struct esp *e, const uint8_t *inner, uint16_t n, uint8_t *out);
/* Opens what esp_seal() makes; returns the length of the payload with its trailer, 0: ICV wrong. */
uint16_t esp_open(const struct test_key *key, bool esn, uint32_t high, const uint8_t *esp,
	uint16_t len, uint8_t *clear);
/* The whole packet of the tunnel: from PEER to US, in UDP when sport is not 0. */
uint16_t esp_packet(const struct esp *e, const uint8_t *inner, uint16_t n, uint8_t tos,
	uint16_t sport, uint8_t *out);
void put_esp(const struct esp *e, const struct ip4 *inner);

/* The suites. */
TCase *nodes_burst_case(void);
TCase *nodes_early_case(void);
TCase *nodes_input_case(void);
TCase *nodes_forward_case(void);
TCase *nodes_icmp_case(void);
TCase *nodes_icmp_quote_case(void);
TCase *nodes_esp6_case(void);
TCase *nodes_esp6_many_case(void);
TCase *nodes_ip6_case(void);
TCase *nodes_ip6_icmp_case(void);
TCase *nodes_ip6_policy_case(void);
TCase *nodes_policy_case(void);
TCase *nodes_policy_closed_case(void);
TCase *nodes_esp_in_case(void);
TCase *nodes_esp_out_case(void);
TCase *nodes_nat_case(void);
TCase *nodes_many_case(void);
TCase *nodes_mtu_case(void);
TCase *nodes_mtu_many_case(void);
TCase *nodes_path_mtu_case(void);
TCase *nodes_path_mtu_more_case(void);
TCase *nodes_path_mtu_closed_case(void);
TCase *nodes_dedicated_case(void);
TCase *nodes_refused_case(bool dedicated);
TCase *nodes_jumbo_case(void);
TCase *nodes_known_case(void);
TCase *nodes_vlan_case(void);
TCase *nodes_vlan_closed_case(void);
TCase *nodes_random_case(void);
TCase *nodes_random_dedicated_case(void);

#endif
