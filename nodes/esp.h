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

#define ESP_TRAILER_LEN 2 /* pad length, next header */
#define ESP_NH_DUMMY 59 /* RFC 4303, 2.6 */

/* Chained mbufs are made one where there is room: the ICV and what we read must lie together. */
static inline bool
esp_linear(struct rte_mbuf *m)
{
	return likely(m->nb_segs == 1) || rte_pktmbuf_linearize(m) == 0;
}

#endif
