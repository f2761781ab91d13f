/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ESP_GCM_H
#define CYGNET_ESP_GCM_H

#include "crypto_frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_cpuflags.h>
#include <rte_prefetch.h>

/*
 * AES-GCM of ESP (RFC 4106) in this processor's widest registers: AVX-512 with VAES and VPCLMULQDQ. A library works on one
 * packet after another, each in three calls that wait for each other by way of memory; here nothing but registers lies between
 * the packets of a run, so the processor works on several short ones at a time. Without branches or look-ups that depend on keys or data.
 */

#define ESP_GCM_ROUNDS_MAX 14
#define ESP_GCM_POWERS 17

struct esp_gcm_key {
	_Alignas(RTE_CACHE_LINE_SIZE) uint32_t rounds; /* 10, 12 or 14 */
	uint32_t salt; /* as it stands in the nonce */
	uint8_t icv_len;
	uint8_t aad_len; /* 8, or 12 with extended sequence numbers */
	uint8_t reserved[6];
	uint8_t round[ESP_GCM_ROUNDS_MAX + 1][16];
	/* The hash key to the 17th power down to itself; what follows is read with it, and multiplied by zeros. */
	uint8_t power[ESP_GCM_POWERS + 3][16];
};

_Static_assert(sizeof(struct esp_gcm_key) == 9 * RTE_CACHE_LINE_SIZE, "keys of many SAs");

/* What a short packet needs of a key that may be in no cache: all but the high powers. */
static inline void
esp_gcm_prefetch(const struct esp_gcm_key *k)
{
	for (size_t at = 0; at < sizeof(*k); at += RTE_CACHE_LINE_SIZE)
		if (at < offsetof(struct esp_gcm_key, round[11]) ||
			at > offsetof(struct esp_gcm_key, power[ESP_GCM_POWERS - 10]))
			rte_prefetch0((const uint8_t *)k + at);
}

/* Whether this processor can. All that follows is only to be called where it can. */
static inline bool
esp_gcm_possible(void)
{
#ifdef RTE_ARCH_X86_64
	/* The first: whether the operating system lets it, too. */
	return __builtin_cpu_supports("avx512f") &&
	       rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX512F) == 1 &&
	       rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX512BW) == 1 &&
	       rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX512VL) == 1 &&
	       rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX512DQ) == 1 &&
	       rte_cpu_get_flag_enabled(RTE_CPUFLAG_VAES) == 1 &&
	       rte_cpu_get_flag_enabled(RTE_CPUFLAG_VPCLMULQDQ) == 1;
#else
	return false;
#endif
}

/* key: of 16, 24 or 32 bytes; icv_len: 8, 12 or 16. Any thread. */
void esp_gcm_init(struct esp_gcm_key *k, const uint8_t *key, uint8_t key_len, uint32_t salt,
	uint8_t icv_len, bool esn);

/* Whether a known packet becomes what it must, and itself again. Any thread. */
bool esp_gcm_works(void);

/* Seals n packets, of one SA or of many: a struct esp_gcm_key is the session of each. Any lcore. */
void esp_gcm_seal(const struct crypto_item *item, uint16_t n);

/* Opens n packets, at most 64; returns a bit for each whose ICV is not right. Any lcore. */
uint64_t esp_gcm_open(const struct crypto_item *item, uint16_t n);

#endif
