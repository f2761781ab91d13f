/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ESP_H
#define CYGNET_ESP_H

#include "pkt.h"
#include "sad.h"

#include <rte_byteorder.h>
#include <rte_crypto.h>
#include <rte_cryptodev.h>
#include <rte_esp.h>
#include <rte_mbuf.h>

/* What sealing and opening share. */

/* RFC 4303, 2.4: padding is 1, 2, 3, …, up to 255 bytes. */
#define ESP_PADDING4(i) (uint8_t)(i), (uint8_t)((i) + 1), (uint8_t)((i) + 2), (uint8_t)((i) + 3)
#define ESP_PADDING16(i) \
	ESP_PADDING4(i), ESP_PADDING4((i) + 4), ESP_PADDING4((i) + 8), ESP_PADDING4((i) + 12)
#define ESP_PADDING64(i) \
	ESP_PADDING16(i), ESP_PADDING16((i) + 16), ESP_PADDING16((i) + 32), ESP_PADDING16((i) + 48)

static const uint8_t esp_padding[] = {
	ESP_PADDING64(1), ESP_PADDING64(65), ESP_PADDING64(129), ESP_PADDING64(193)};

#define ESP_TRAILER_LEN 2 /* pad length, next header */
#define ESP_NH_DUMMY 59 /* RFC 4303, 2.6 */

/* Chained mbufs are made one where there is room: the ICV and what we read must lie together. */
static inline bool
esp_linear(struct rte_mbuf *m)
{
	return likely(m->nb_segs == 1) || rte_pktmbuf_linearize(m) == 0;
}

#endif
