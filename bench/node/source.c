/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * bench-source plays a capture (BENCH_CAPTURE) in a circle at a rate, as a port of its own would deliver it. What is
 * due and not yet taken waits, as in a ring of BENCH_RING descriptors; what is more is lost, and counted. Each packet
 * bears the time at which it was due, so that time spent waiting is latency.
 *
 * BENCH_HEAD=N: no more of a packet than N bytes is written. So it is with a network card, which writes buffers past the caches of the
 * lcore that takes them; what the rest is does not matter to who seals it.
 *
 * BENCH_WINDOWS=1: the capture holds ESP whose numbers rise from 1. At its end the nodes wait until no packet is on
 * its way, and the windows of its SAs begin anew, as if the peer had new ones.
 */

#include "load.h"
#include "sad_lookup.h"
#include "worker.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_mbuf_dyn.h>
#include <rte_memcpy.h>

#define BURST 128
#define RING 1024
#define ESP_AT (14 + 20)

struct frame {
	uint32_t at, len;
};

static struct {
	uint8_t *bytes;
	struct frame *frames;
	uint32_t n, next;
	uint32_t head; /* bytes of a packet that are written */
	bool windows;
	bool settled; /* no frame was on its way when this was asked last */
	uint32_t generation;
	uint64_t start, taken; /* TSC; packets sent or lost since */
} play;

struct load load;

struct pcap_packet {
	uint32_t seconds, fraction, len, wire_len;
};

static bool
read_capture(FILE *f)
{
	struct pcap_packet p;
	size_t bytes = 0;
	long end;

	fseek(f, 0, SEEK_END);
	end = ftell(f);
	fseek(f, 24, SEEK_SET);
	play.bytes = rte_malloc("capture", end, RTE_CACHE_LINE_SIZE);
	play.frames = rte_malloc("frames", end / sizeof(p) * sizeof(*play.frames), 0);
	if (play.bytes == NULL || play.frames == NULL)
		return false;
	while (fread(&p, sizeof(p), 1, f) == 1) {
		play.frames[play.n++] = (struct frame){bytes, p.len};
		if (fread(play.bytes + bytes, 1, p.len, f) != p.len)
			return false;
		bytes += p.len;
	}
	return play.n > 0;
}

static int
source_init(const struct rte_graph *graph, struct rte_node *node)
{
	static const struct rte_mbuf_dynfield stamp = {
		.name = "bench_stamp", .size = sizeof(uint64_t), .align = sizeof(uint64_t)};
	const char *path = getenv("BENCH_CAPTURE"), *windows = getenv("BENCH_WINDOWS");
	const char *head = getenv("BENCH_HEAD");
	FILE *f = path != NULL ? fopen(path, "rbe") : NULL;
	bool ok = f != NULL && read_capture(f);

	worker_node_init(graph, node);
	if (f != NULL)
		fclose(f);
	play.head = head != NULL ? strtoul(head, NULL, 10) : UINT32_MAX;
	play.windows = windows != NULL && *windows == '1';
	load.stamp = rte_mbuf_dynfield_register(&stamp);
	return ok && load.stamp >= 0 ? 0 : -EINVAL;
}

/* A lap is over: the peer's SAs count from 1 again. False while packets of the last lap are on their way. */
static bool
begin_lap(struct worker *w)
{
	if (!play.windows)
		return true;
	/* What was collected in this walk moves its window in what is left of the walk. */
	if (crypto_in_flight(&w->crypto_queue) > 0 || !play.settled) {
		play.settled = crypto_in_flight(&w->crypto_queue) == 0;
		return false;
	}
	play.settled = false;
	for (uint32_t i = 0; i < play.n; i++) {
		uint32_t spi;
		struct sa *sa;

		memcpy(&spi, play.bytes + play.frames[i].at + ESP_AT, sizeof(spi));
		sa = sad_lookup(w->sad, spi, IPPROTO_ESP);
		if (sa != NULL && sa->replay != NULL && sa->replay->top != 0)
			replay_init(sa->replay, sa->replay->window);
	}
	return true;
}

/* How many packets are to be sent now; *due: TSC at which the first of them was. */
static uint32_t
due_now(const struct worker *w, uint64_t now, uint64_t *due, double *step)
{
	uint64_t rate = atomic_load_explicit(&load.rate, memory_order_relaxed), waiting;

	*due = now;
	*step = 0;
	if (rate == 0)
		return BURST;
	waiting = (double)(now - play.start) * (double)rate / (double)w->tsc_hz;
	waiting -= RTE_MIN(waiting, play.taken);
	if (waiting > RING) {
		load.lost += waiting - RING;
		play.taken += waiting - RING;
		waiting = RING;
	}
	*step = (double)w->tsc_hz / (double)rate;
	*due = play.start + (uint64_t)((double)play.taken * *step);
	return RTE_MIN(waiting, (uint64_t)BURST);
}

static uint16_t
source_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = worker_of(node);
	uint32_t generation = atomic_load_explicit(&load.generation, memory_order_acquire);
	uint64_t due, now = rte_rdtsc();
	double step;

	if (generation != play.generation) {
		play.generation = generation;
		play.start = now;
		play.taken = load.sent = load.lost = 0;
	}
	if (play.next == play.n) {
		if (!begin_lap(w))
			return 0;
		play.next = 0;
	}
	n = RTE_MIN(due_now(w, now, &due, &step), play.n - play.next);
	if (n == 0 || rte_pktmbuf_alloc_bulk(w->mbufs, (struct rte_mbuf **)objs, n) != 0)
		return 0;
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		const struct frame *f = &play.frames[play.next + i];
		struct pkt *p = pkt(m);

		rte_memcpy(rte_pktmbuf_mtod(m, void *), play.bytes + f->at, RTE_MIN(f->len, play.head));
		m->pkt_len = m->data_len = f->len;
		*RTE_MBUF_DYNFIELD(m, load.stamp, uint64_t *) = due + (uint64_t)(i * step);
		p->in_port = 0;
		p->flags = 0;
		p->sa = NULL;
	}
	play.next += n;
	play.taken += n;
	load.sent += n;
	w->work += n;
	node->idx = n;
	rte_node_next_stream_move(graph, node, 0);
	return n;
}

static struct rte_node_register source = {
	.name = "bench-source",
	.flags = RTE_NODE_SOURCE_F,
	.init = source_init,
	.process = source_process,
	.nb_edges = 1,
	.next_nodes = {"ether-input"},
};
RTE_NODE_REGISTER(source);
