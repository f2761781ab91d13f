/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe_priv.h"

#include <string.h>

#include <rte_cycles.h>
#include <rte_ether.h>

/* The lcore's side of a capture, and the reading of it. */

#define ALIGNMENT 8

/* Room for size bytes in a row; NULL and counted when there is none. */
static struct probe_capture_record *
reserve(struct probe_lcore *l, uint32_t size, uint64_t *head)
{
	struct probe_ring *ring = &l->capture_ring;
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	uint32_t at, rest;

	*head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	at = *head % PROBE_CAPTURE_BYTES;
	rest = PROBE_CAPTURE_BYTES - at;
	if (*head + (rest < size ? rest : 0) + size - tail > PROBE_CAPTURE_BYTES) {
		atomic_fetch_add_explicit(&ring->lost, 1, memory_order_relaxed);
		return NULL;
	}
	if (rest < size) {
		/* The reader goes to the start by itself where not even a head fits. */
		if (rest >= sizeof(struct probe_capture_record))
			((struct probe_capture_record *)(void *)(l->capture + at))->caplen =
				UINT32_MAX;
		*head += rest;
		at = 0;
	}
	return (struct probe_capture_record *)(void *)(l->capture + at);
}

static uint32_t
copy(uint8_t *to, const struct rte_mbuf *m, uint32_t len)
{
	uint32_t done = 0;

	for (; m != NULL && done < len; m = m->next) {
		uint32_t n = RTE_MIN(len - done, (uint32_t)rte_pktmbuf_data_len(m));

		memcpy(to + done, rte_pktmbuf_mtod(m, const void *), n);
		done += n;
	}
	return done;
}

static void
store(struct probe_lcore *l, const struct rte_mbuf *m, enum probe_place place, uint16_t port,
	enum probe_kind kind, bool frame)
{
	const struct pkt *k = pkt(m);
	uint32_t len = rte_pktmbuf_pkt_len(m), caplen = RTE_MIN(len, l->probe->capture.snaplen);
	uint32_t size = RTE_ALIGN(sizeof(struct probe_capture_record) + caplen, ALIGNMENT);
	uint64_t head;
	struct probe_capture_record *r = reserve(l, size, &head);

	if (r == NULL)
		return;
	*r = (struct probe_capture_record){
		.tsc = rte_rdtsc(),
		.sqn = k->sqn,
		.spi = probe_spi(k, kind),
		.size = size,
		.len = len,
		.port = port,
		.place = place,
		.drop = k->drop,
		.frame = frame,
	};
	r->caplen = copy(r->data, m, caplen);
	atomic_store_explicit(&l->capture_ring.head, head + size, memory_order_release);
}

static bool
place_of(enum probe_kind kind, enum probe_place *place)
{
	switch (kind) {
	case PROBE_PORT:
		*place = PROBE_RX;
		return true;
	case PROBE_SENT:
		*place = PROBE_TX;
		return true;
	case PROBE_OPENED:
		*place = PROBE_INNER_IN;
		return true;
	case PROBE_SEAL:
		*place = PROBE_INNER_OUT;
		return true;
	case PROBE_DROPPED:
		*place = PROBE_DROP;
		return true;
	default:
		return false;
	}
}

void
probe_capture_node(
	struct probe_lcore *l, enum probe_kind kind, struct rte_mbuf *const *pkts, uint16_t n)
{
	const struct probe_capture_conf *c = &l->probe->capture;
	const struct probe_filter *f = &c->filter;
	enum probe_place place;

	if (!place_of(kind, &place) || !(c->places & 1u << place))
		return;
	for (uint16_t i = 0; i < n; i++) {
		const struct rte_mbuf *m = pkts[i];
		const struct pkt *k = pkt(m);
		const void *data = rte_pktmbuf_mtod(m, const void *);
		uint32_t len = rte_pktmbuf_pkt_len(m), data_len = rte_pktmbuf_data_len(m);
		bool frame = place == PROBE_RX || place == PROBE_TX ||
			     (place == PROBE_DROP && !probe_is_ip(data, len, data_len));
		uint16_t port = place == PROBE_TX ? k->out_port : k->in_port;

		if (place == PROBE_INNER_IN && !(k->flags & PKT_F_DECRYPTED))
			continue;
		if (place <= PROBE_TX && c->port != PROBE_NO_PORT && c->port != port)
			continue;
		if (!probe_match(frame ? f->frame : f->inner, frame ? f->n_frame : f->n_inner, data,
			    len, data_len))
			continue;
		store(l, m, place, port, kind, frame);
	}
}

const struct probe_capture_record *
probe_capture_peek(struct probe *p, unsigned int lcore)
{
	struct probe_lcore *l = &p->per_lcore[lcore];
	struct probe_ring *ring = &l->capture_ring;
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
	uint32_t at = tail % PROBE_CAPTURE_BYTES, rest = PROBE_CAPTURE_BYTES - at;
	const struct probe_capture_record *r = (const void *)(l->capture + at);

	if (head == tail)
		return NULL;
	if (rest >= sizeof(*r) && r->caplen != UINT32_MAX)
		return r;
	/* What stands at the start of the ring was published with the gap before it. */
	atomic_store_explicit(&ring->tail, tail + rest, memory_order_release);
	return (const void *)l->capture;
}

void
probe_capture_next(struct probe *p, unsigned int lcore)
{
	struct probe_ring *ring = &p->per_lcore[lcore].capture_ring;
	const struct probe_capture_record *r = probe_capture_peek(p, lcore);

	if (r != NULL)
		atomic_store_explicit(&ring->tail,
			atomic_load_explicit(&ring->tail, memory_order_relaxed) + r->size,
			memory_order_release);
}
