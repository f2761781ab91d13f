/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <time.h>

#include <rte_common.h>

struct alg_name {
	uint16_t id;
	uint8_t salt; /* bytes of the key that are no key */
	const char *name;
	bool sized; /* the key's length tells two of them apart */
};

static const struct alg_name encryptions[] = {
	{ENCR_NULL, 0, "NULL", false},
	{ENCR_AES_CBC, 0, "AES_CBC", true},
	{ENCR_AES_CTR, 4, "AES_CTR", true},
	{ENCR_AES_CCM_8, 3, "AES_CCM_8", true},
	{ENCR_AES_CCM_12, 3, "AES_CCM_12", true},
	{ENCR_AES_CCM_16, 3, "AES_CCM_16", true},
	{ENCR_AES_GCM_8, 4, "AES_GCM_8", true},
	{ENCR_AES_GCM_12, 4, "AES_GCM_12", true},
	{ENCR_AES_GCM_16, 4, "AES_GCM_16", true},
	{ENCR_NULL_AUTH_AES_GMAC, 4, "NULL_AES_GMAC", true},
	{ENCR_CHACHA20_POLY1305, 4, "CHACHA20_POLY1305", false},
};

static const struct alg_name integrities[] = {
	{AUTH_HMAC_SHA1_96, 0, "HMAC_SHA1_96", false},
	{AUTH_AES_XCBC_96, 0, "AES_XCBC_96", false},
	{AUTH_AES_CMAC_96, 0, "AES_CMAC_96", false},
	{AUTH_HMAC_SHA2_256_128, 0, "HMAC_SHA2_256_128", false},
	{AUTH_HMAC_SHA2_384_192, 0, "HMAC_SHA2_384_192", false},
	{AUTH_HMAC_SHA2_512_256, 0, "HMAC_SHA2_512_256", false},
	{AUTH_HMAC_SHA2_256_96, 0, "HMAC_SHA2_256_96", false},
};

uint64_t
ctl_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

json_int_t
ctl_int(uint64_t v)
{
	return v > INT64_MAX ? INT64_MAX : (json_int_t)v;
}

json_t *
ctl_hex32(uint32_t v)
{
	return json_sprintf("0x%08" PRIx32, v);
}

json_t *
ctl_hex64(uint64_t v)
{
	return json_sprintf("0x%016" PRIx64, v);
}

json_t *
ctl_addr(const struct ip_addr *a)
{
	char buf[ADDR_STRLEN];

	return a->family == 0 ? json_null() : json_string(addr_str(a, buf));
}

json_t *
ctl_mac(const uint8_t mac[6])
{
	return json_sprintf(
		"%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

json_t *
ctl_age(uint64_t seconds)
{
	uint64_t now = ctl_now() / 1000000000;

	if (seconds == 0)
		return json_null();
	return json_integer(now > seconds ? ctl_int(now - seconds) : 0);
}

json_t *
ctl_mark(uint32_t mark, uint32_t mask)
{
	return mask == 0 ? json_null() : json_sprintf("0x%" PRIx32 "/0x%" PRIx32, mark, mask);
}

static json_t *
alg(const struct alg_name *names, unsigned int n, uint16_t id, uint16_t key_len)
{
	for (unsigned int i = 0; i < n; i++) {
		if (names[i].id != id)
			continue;
		if (!names[i].sized || key_len < names[i].salt)
			return json_string(names[i].name);
		return json_sprintf("%s-%u", names[i].name, (key_len - names[i].salt) * 8u);
	}
	return json_sprintf("unknown-%u", id);
}

json_t *
ctl_encryption(uint16_t id, uint16_t key_len)
{
	return id == 0 ? json_null() : alg(encryptions, RTE_DIM(encryptions), id, key_len);
}

json_t *
ctl_integrity(uint16_t id)
{
	return id == AUTH_NONE ? json_null() : alg(integrities, RTE_DIM(integrities), id, 0);
}

json_t *
ctl_protocol(uint8_t proto)
{
	static const struct {
		uint8_t proto;
		const char *name;
	} names[] = {
		{0, "any"},
		{IPPROTO_ICMP, "icmp"},
		{IPPROTO_TCP, "tcp"},
		{IPPROTO_UDP, "udp"},
		{IPPROTO_GRE, "gre"},
		{IPPROTO_ESP, "esp"},
		{IPPROTO_AH, "ah"},
		{IPPROTO_ICMPV6, "icmpv6"},
		{89, "ospf"},
		{IPPROTO_SCTP, "sctp"},
	};

	for (unsigned int i = 0; i < RTE_DIM(names); i++)
		if (names[i].proto == proto)
			return json_string(names[i].name);
	return json_sprintf("%u", proto);
}
