/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ESP_GCM_H
#define CYGNET_ESP_GCM_H

#include "crypto_frame.h"
#include "sad.h"

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
#define ESP_GCM_AHEAD 8 /* packets whose keys are on their way */

/* An SA's key, in its native. What else there is to know says the SA itself. */
struct esp_gcm_key {
	/* The hash key to the 17th power down to itself. What follows is read with it, and multiplied by zeros. */
	uint8_t power[ESP_GCM_POWERS][16];
	uint8_t round[ESP_GCM_ROUNDS_MAX + 1][16];
};

_Static_assert(sizeof(struct esp_gcm_key) == SA_NATIVE_LEN, "a key fills its place");

static inline const struct esp_gcm_key *
esp_gcm_key(const struct sa *sa)
{
	return (const struct esp_gcm_key *)(const void *)sa->native;
}

/*
 * What a short packet needs of a key that may be in no cache: all but the high powers. They are the first pair of lines; a pair
 * is there as soon as a line is.
 */
static inline void
esp_gcm_prefetch(const struct sa *sa)
{
	for (size_t at = 2 * RTE_CACHE_LINE_SIZE; at < 7 * RTE_CACHE_LINE_SIZE;
		at += RTE_CACHE_LINE_SIZE)
		rte_prefetch0(sa->native + at);
	if (sa->rounds > 10)
		rte_prefetch0(sa->native + 7 * RTE_CACHE_LINE_SIZE);
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

/* Fills in the SA's native and rounds. key: of 16, 24 or 32 bytes. Any thread. */
void esp_gcm_init(struct sa *sa, const uint8_t *key, uint8_t key_len);

/* Whether a known packet becomes what it must, and itself again. Any thread. */
bool esp_gcm_works(void);

/* Seals n packets, of one SA or of many; read of an SA are its key, rounds, salt, icv_len (8, 12 or 16) and flags (ESN). Any lcore. */
void esp_gcm_seal(const struct crypto_item *item, uint16_t n);

/* Opens n packets, at most 64; returns a bit for each whose ICV is not right. Any lcore. */
uint64_t esp_gcm_open(const struct crypto_item *item, uint16_t n);

#endif
