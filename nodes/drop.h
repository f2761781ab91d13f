/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_DROP_H
#define CYGNET_DROP_H

/*
 * Why a packet was dropped: one line a reason, with the name that counters, cygnetctl and logs show, and
 * what it means in plain words.
 */
#define DROP_REASONS(X)                                                                            \
	X(NONE, "none", "no reason was given: a defect")                                           \
	X(ETHER_SHORT, "ether-short", "frame shorter than an Ethernet header")                     \
	X(ETHER_TYPE, "ether-type", "EtherType that is neither ours nor Linux's")                  \
	X(ETHER_VLAN, "ether-vlan", "VLAN that the port does not have")                            \
	X(ETHER_NOT_US, "ether-not-us", "destination MAC is another station's")                    \
	X(IP4_SHORT, "ip4-short", "packet shorter than its IPv4 header or total length")           \
	X(IP4_VERSION, "ip4-version", "version is not 4")                                          \
	X(IP4_HEADER_LEN, "ip4-header-length", "header length below 20 bytes")                     \
	X(IP4_CHECKSUM, "ip4-checksum", "IPv4 header checksum is wrong")                           \
	X(IP4_SOURCE, "ip4-source", "source address is multicast, broadcast or loopback")          \
	X(IP4_DESTINATION, "ip4-destination", "destination that is never forwarded")               \
	X(IP4_TTL, "ip4-ttl", "time to live ran out")                                              \
	X(IP4_OPTIONS, "ip4-options", "source-routed packet or malformed options")                 \
	X(IP4_ECN, "ip4-ecn", "congestion mark on a tunnel packet whose inside cannot bear it")    \
	X(IP4_MTU, "ip4-mtu", "larger than the MTU of its way out, and may not be fragmented")     \
	X(IP6_SHORT, "ip6-short", "packet shorter than its IPv6 header or payload length")         \
	X(IP6_VERSION, "ip6-version", "version is not 6")                                          \
	X(IP6_SOURCE, "ip6-source", "source address is multicast, unspecified or loopback")        \
	X(IP6_DESTINATION, "ip6-destination", "destination that is never forwarded")               \
	X(IP6_SCOPE, "ip6-scope", "link-local address on a packet that would leave its link")      \
	X(IP6_HOP_LIMIT, "ip6-hop-limit", "hop limit ran out")                                     \
	X(IP6_CHAIN, "ip6-chain", "extension headers that cannot be read to their end")            \
	X(IP6_ROUTING, "ip6-routing", "routing header of type 0, or one that we should follow")    \
	X(IP6_ECN, "ip6-ecn", "congestion mark on a tunnel packet whose inside cannot bear it")    \
	X(IP6_MTU, "ip6-mtu", "IPv6 packet larger than the MTU of its way out")                    \
	X(FRAGMENT_INVALID, "fragment-invalid",                                                    \
		"fragment that is empty, not of whole blocks, too far out, or too short a first")  \
	X(FRAGMENT_OVERLAP, "fragment-overlap",                                                    \
		"fragments of one datagram overlap or contradict: all of it is refused")           \
	X(FRAGMENT_DUPLICATE, "fragment-duplicate", "fragment that came before")                   \
	X(FRAGMENT_TIMEOUT, "fragment-timeout", "the rest of its datagram did not come in time")   \
	X(FRAGMENT_FULL, "fragment-full",                                                          \
		"too many incomplete datagrams, of its source or of all")                          \
	X(NO_BUFFER, "no-buffer", "no packet buffer was free")                                     \
	X(NO_ROUTE, "no-route", "no route to the destination")                                     \
	X(ROUTE_BLACKHOLE, "route-blackhole", "blackhole route")                                   \
	X(ROUTE_UNREACHABLE, "route-unreachable", "unreachable or prohibit route")                 \
	X(ROUTE_FOREIGN, "route-foreign", "route leaves by an interface that is not a port")       \
	X(NEIGHBOUR_UNRESOLVED, "neighbour-unresolved", "neighbour did not answer in time")        \
	X(NEIGHBOUR_QUEUE, "neighbour-queue", "too many packets wait for neighbours")              \
	X(POLICY_DISCARD, "policy-discard", "a policy says discard")                               \
	X(POLICY_DEFAULT, "policy-default", "no policy, and the default action is discard")        \
	X(POLICY_INCOMPLETE, "policy-incomplete", "policies are not complete yet after the start") \
	X(POLICY_CLEAR, "policy-clear", "came in clear, and a policy protects it")                 \
	X(POLICY_MISMATCH, "policy-mismatch", "came by an SA whose policy does not allow it")      \
	X(POLICY_QUOTE, "policy-quote",                                                            \
		"ICMP error about a tunnel's packet, and no policy seals it")                      \
	X(POLICY_OUTSIDE, "policy-outside",                                                        \
		"to be sealed, and came in clear by a port that is outside")                       \
	X(POLICY_NO_SA, "policy-no-sa", "protected, and there is no SA yet")                       \
	X(ESP_SHORT, "esp-short", "ESP packet too short for its SA")                               \
	X(ESP_FRAGMENT, "esp-fragment", "a fragment cannot be sealed in transport mode")           \
	X(ESP_NO_SA, "esp-no-sa", "unknown SPI")                                                   \
	X(ESP_ENCAP, "esp-encap", "UDP encapsulation differs from the SA's")                       \
	X(ESP_REPLAY, "esp-replay", "sequence number seen before or left of the window")           \
	X(ESP_ICV, "esp-icv", "integrity check failed")                                            \
	X(ESP_PADDING, "esp-padding", "padding is not 1, 2, 3, … or longer than the packet")       \
	X(ESP_NEXT_HEADER, "esp-next-header", "next header does not fit the SA's mode")            \
	X(ESP_DUMMY, "esp-dummy", "dummy packet (next header 59)")                                 \
	X(ESP_OVERFLOW, "esp-overflow", "sequence numbers of the SA ran out")                      \
	X(ESP_UNRESERVED, "esp-unreserved",                                                        \
		"no sequence number is reserved: the state file is not written fast enough")       \
	X(ESP_NO_HEADROOM, "esp-no-room", "no room in the buffer for ESP's header or trailer")     \
	X(PATH_MTU, "path-mtu", "ICMP error about an SA's packet: the MTU of its path is noted")   \
	X(PATH_MTU_REFUSED, "path-mtu-refused",                                                    \
		"ICMP error about a packet of an SA that we did not send, or not believable")      \
	X(AH_MALFORMED, "ah-malformed", "AH whose length does not fit its SA or packet")           \
	X(CRYPTO_OVERLOAD, "crypto-overload", "crypto lcores are full: dropped before numbering")  \
	X(CRYPTO_ERROR, "crypto-error", "the crypto device reported an error")                     \
	X(HANDOVER_FULL, "handover-full", "the worker that owns the SA's window is too busy")      \
	X(PUNT_RATION, "punt-ration", "the queue of its class of packets for Linux is full")       \
	X(HOST_SHORT, "host-short", "frame from Linux that is too short")                          \
	X(TX_FULL, "tx-full", "the port's transmit queue is full")

enum drop_reason {
#define X(id, name, text) DROP_##id,
	DROP_REASONS(X)
#undef X
		DROP_REASONS_MAX
};

extern const char *const drop_names[DROP_REASONS_MAX];
extern const char *const drop_texts[DROP_REASONS_MAX];

#endif
