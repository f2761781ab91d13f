/* SPDX-License-Identifier: BSD-3-Clause */
#include "esp_gcm.h"

#include <rte_debug.h>

/* In the place of esp_gcm.c on other architectures: esp_gcm_possible() is false there, so nobody comes here. */

void
esp_gcm_init(struct sa *sa, const uint8_t *key, uint8_t key_len)
{
	(void)sa, (void)key, (void)key_len;
	rte_panic("no AES-GCM of our own here\n");
}

bool
esp_gcm_works(void)
{
	return false;
}

void
esp_gcm_seal(const struct crypto_item *item, uint16_t n)
{
	(void)item, (void)n;
	rte_panic("no AES-GCM of our own here\n");
}

uint64_t
esp_gcm_open(const struct crypto_item *item, uint16_t n)
{
	(void)item, (void)n;
	rte_panic("no AES-GCM of our own here\n");
}
