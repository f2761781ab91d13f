/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe_priv.h"
#include "sad.h"

#include <string.h>

#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_graph_worker.h>

/* The lcore's side of a trace, and the reading of it. */

uint32_t
probe_spi(const struct pkt *k, enum probe_kind kind)
{
	bool has_sa = (kind == PROBE_SA || kind == PROBE_SEAL) && k->sa != NULL;

	/* What is sealed may have come by an SA, too. */
	if (has_sa && !(k->flags & PKT_F_DECRYPT))
		return k->sa->template[atomic_load_explicit(&k->sa->active, memory_order_acquire)]
			.spi;
	if (k->flags & PKT_F_SEALED)
		return 0; /* its header says it */
	return k->flags & (PKT_F_DECRYPT | PKT_F_DECRYPTED | PKT_F_PROTECTED) ? k->spi : 0;
}

static void
put_head(struct probe_trace_record *r, const struct rte_mbuf *m, const struct pkt *k,
	enum probe_kind kind)
{
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t len = rte_pktmbuf_data_len(m);

	r->len = RTE_MIN(rte_pktmbuf_pkt_len(m), (uint32_t)UINT16_MAX);
	r->frame = kind == PROBE_PORT || kind == PROBE_SENT ||
		   !probe_is_ip(data, rte_pktmbuf_pkt_len(m), len);
	if (kind == PROBE_HOST && probe_has_frame(m, k)) {
		data -= RTE_ETHER_HDR_LEN;
		len += RTE_ETHER_HDR_LEN;
		r->len += RTE_ETHER_HDR_LEN;
		r->frame = true;
	}
	r->head_len = RTE_MIN(len, sizeof(r->head));
	memcpy(r->head, data, r->head_len);
}

static void
record(struct probe_lcore *l, const struct rte_node *node, enum probe_kind kind,
	const struct rte_mbuf *m, uint16_t burst, bool entry)
{
	struct probe_ring *ring = &l->trace_ring;
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	const struct pkt *k = pkt(m);
	struct probe_trace_record *r;

	if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) == PROBE_TRACE_RECORDS) {
		atomic_fetch_add_explicit(&ring->lost, 1, memory_order_relaxed);
		return;
	}
	r = &l->trace[head % PROBE_TRACE_RECORDS];
	*r = (struct probe_trace_record){
		.tsc = rte_rdtsc(),
		.sqn = k->sqn,
		.spi = probe_spi(k, kind),
		.reqid = k->reqid,
		.nexthop = k->nexthop,
		.node = node->id,
		.burst = burst,
		.in_port = k->in_port,
		.out_port = k->out_port,
		.flags = k->flags,
		.mtu = k->mtu,
		.icmp_mtu = k->icmp_mtu,
		.l3_len = k->l3_len,
		.id = k->trace - l->probe->first,
		.drop = k->drop,
		.punt = k->punt,
		.pad_len = k->pad_len,
		.icmp_type = k->icmp_type,
		.icmp_code = k->icmp_code,
		.op_status = k->crypto_status,
		.entry = entry,
	};
	put_head(r, m, k, kind);
	atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}

/* Gives the packet an id; false when the trace has all its packets. */
static bool
begin(struct probe *p, struct pkt *k)
{
	unsigned int n;

	if (atomic_load_explicit(&p->next, memory_order_relaxed) >= p->packets)
		return false;
	n = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
	if (n >= p->packets)
		return false;
	k->trace = p->first + n;
	return true;
}

static bool
arrives(struct probe *p, struct rte_mbuf *m, enum probe_kind kind)
{
	const struct probe_filter *f = &p->trace_filter;
	struct pkt *k = pkt(m);
	uint32_t back = kind == PROBE_HOST && probe_has_frame(m, k) ? RTE_ETHER_HDR_LEN : 0;

	k->trace = 0; /* what a former packet left in the buffer */
	return atomic_load_explicit(&p->next, memory_order_relaxed) < p->packets &&
	       probe_match(f->frame, f->n_frame, rte_pktmbuf_mtod(m, uint8_t *) - back,
		       rte_pktmbuf_pkt_len(m) + back, rte_pktmbuf_data_len(m) + back) &&
	       begin(p, k);
}

/* What no filter saw in its sealed form may match now. */
static bool
came_out(struct probe *p, struct rte_mbuf *m)
{
	const struct probe_filter *f = &p->trace_filter;
	struct pkt *k = pkt(m);

	return f->n_inner != 0 && k->flags & PKT_F_DECRYPTED && !probe_traced(p, k) &&
	       probe_match(f->inner, f->n_inner, rte_pktmbuf_mtod(m, void *),
		       rte_pktmbuf_pkt_len(m), rte_pktmbuf_data_len(m)) &&
	       begin(p, k);
}

void
probe_trace_node(struct probe_lcore *l, const struct rte_node *node, enum probe_kind kind,
	struct rte_mbuf *const *pkts, uint16_t n)
{
	struct probe *p = l->probe;

	for (uint16_t i = 0; i < n; i++) {
		bool entry = kind == PROBE_PORT || kind == PROBE_HOST ? arrives(p, pkts[i], kind)
			     : kind == PROBE_OPENED		      ? came_out(p, pkts[i])
								      : false;

		if (entry || probe_traced(p, pkt(pkts[i])))
			record(l, node, kind, pkts[i], n, entry);
	}
}

unsigned int
probe_trace_read(
	struct probe *p, unsigned int lcore, struct probe_trace_record *v, unsigned int max)
{
	struct probe_lcore *l = &p->per_lcore[lcore];
	uint64_t tail = atomic_load_explicit(&l->trace_ring.tail, memory_order_relaxed);
	uint64_t head = atomic_load_explicit(&l->trace_ring.head, memory_order_acquire);
	unsigned int n = RTE_MIN(head - tail, (uint64_t)max);

	for (unsigned int i = 0; i < n; i++)
		v[i] = l->trace[(tail + i) % PROBE_TRACE_RECORDS];
	atomic_store_explicit(&l->trace_ring.tail, tail + n, memory_order_release);
	return n;
}
