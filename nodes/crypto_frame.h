/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CRYPTO_FRAME_H
#define CYGNET_CRYPTO_FRAME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

/*
 * Frames carry packets to the crypto lcores and back.
 *
 * A worker has a FIFO of frames. It fills the open one, gives it to the least loaded crypto lcore by a
 * single-producer ring, and collects frames strictly in the order in which it submitted them, so packets
 * of an SA keep their order however many crypto lcores work on them. The open one goes when it is full, and
 * when the walk ends, unless the crypto lcores have enough to do without it: then it may fill. So what a crypto
 * lcore that is behind has before it are full frames, and what a worker has to do with it is bounded in packets.
 *
 * What one core wrote is far away for another. So a frame tells a crypto lcore all that it must know of a packet, and
 * of the packet itself only the payload is touched there, unless something goes wrong. Frames that came back last are
 * used first. A frame's done count is the only thing that both sides write.
 *
 * Admission comes before sequence numbers: crypto_admit() promises room for a number of packets until
 * the end of the walk, and what it does not admit is dropped without having taken a number.
 *
 * Inline mode is the same with a worker that is its own crypto lcore.
 */

#define CRYPTO_FRAME_SIZE 64
#define CRYPTO_FRAMES_AHEAD \
	8 /* that a crypto lcore has: enough until the worker's next walk ends */

struct sa;

/* ESP of one packet. All but the SA is there only if that has a device that works at once (crypto_sync.h). */
struct crypto_item {
	const struct sa *sa;
	uint8_t *esp; /* its header */
	uint64_t iv; /* as it stands in the packet, where it has eight bytes */
	uint32_t aad[3]; /* network order: SPI, with ESN the number's high half, its low half */
	uint32_t len; /* from the header on, with the ICV */
};

struct crypto_frame {
	_Alignas(RTE_CACHE_LINE_SIZE) uint16_t n;
	uint16_t server; /* which crypto lcore has it */
	_Alignas(RTE_CACHE_LINE_SIZE) _Atomic uint16_t done; /* == n: may be collected */
	_Alignas(RTE_CACHE_LINE_SIZE) struct crypto_item item[CRYPTO_FRAME_SIZE];
	struct rte_mbuf *pkts[CRYPTO_FRAME_SIZE];
};

/* For what is going to be written, and was written by another core: it comes to be this one's at once. */
static inline void
prefetch_write(const void *at)
{
#ifdef RTE_ARCH_X86
	/* x86-64-v3 does not promise it, but where it is not known it does nothing. */
	asm volatile("prefetchw %0" ::"m"(*(const char *)at));
#else
	__builtin_prefetch(at, 1, 3);
#endif
}

/* A worker's end. */
struct crypto_queue {
	struct crypto_frame *frames; /* the memory of all: size, and one that is open */
	struct crypto_frame *
		*order; /* those in flight, then the open one: a FIFO, in a power of two */
	struct crypto_frame **idle; /* the others: a stack */
	uint32_t mask; /* of order */
	uint32_t n_idle;
	uint32_t size; /* frames that may be in flight */
	uint32_t limit; /* packets that may be; 0: as many as fit into the frames */
	uint32_t packets; /* that are, and that are admitted */
	uint64_t head; /* next to be opened: frames submitted ever */
	uint64_t tail; /* next to be collected */
	uint32_t admitted; /* packets admitted in this walk and not yet put into a frame */
	uint16_t n_servers;
	struct rte_ring *to_server[32];
	uint32_t load[32]; /* frames that each server has of ours */
};

struct crypto_sync;
struct rte_node;

/* A crypto lcore's end. */
struct crypto_server {
	uint16_t n_clients;
	uint16_t next_client; /* round robin */
	struct rte_ring *from_client[32];
	uint16_t qp[8]; /* its queue pair on each crypto device */
	uint16_t n_devs;
	uint8_t dev_id[8];
	uint32_t in_flight[8]; /* operations in each device */
	struct crypto_frame *frames[4]; /* taken from the rings */
	uint16_t n_work, work; /* how many, and which is in work: a device may take it in part */
	uint16_t at; /* how far the frame in work is */
	uint16_t made; /* and its operations */
	uint16_t refusals; /* how often in a row an idle device did not take the next one */
	uint16_t fetched; /* payloads of it that are on their way to this core */
	uint16_t fetched_next; /* and of the next one */
	const struct rte_node *dequeue; /* crypto-dequeue of this lcore */
	struct crypto_sync *sync; /* for devices that work at once (crypto_sync.h) */
};

/* Promises room for up to n packets in this walk; returns how many. */
static inline unsigned int
crypto_admit(struct crypto_queue *q, unsigned int n)
{
	uint64_t used = q->head - q->tail;
	uint64_t room = (q->size - used) * CRYPTO_FRAME_SIZE;
	uint64_t taken = q->order[q->head & q->mask]->n + q->admitted;

	if (used >= q->size || room <= taken)
		return 0;
	if (n > room - taken)
		n = room - taken;
	if (q->limit != 0 && n > q->limit - q->packets)
		n = q->limit - q->packets;
	q->admitted += n;
	q->packets += n;
	return n;
}

/* The frames that may be in flight, and one more; on the socket. 0 or -ENOMEM. */
int crypto_queue_init(struct crypto_queue *q, uint32_t size, int socket);
void crypto_queue_free(struct crypto_queue *q);

/* Of the frames submitted ever, from tail on, or the open one at head. */
static inline struct crypto_frame *
crypto_frame_at(const struct crypto_queue *q, uint64_t i)
{
	return q->order[i & q->mask];
}

/* Gives the open frame to a crypto lcore, if it holds anything. */
void crypto_flush(struct crypto_queue *q);

/* Tells that n more packets of the frame are done; with the last one the worker may collect it. */
static inline void
crypto_frame_done(struct crypto_frame *f, uint16_t n)
{
	/* One crypto lcore alone counts; the worker reads and, after it, resets. */
	atomic_store_explicit(&f->done, atomic_load_explicit(&f->done, memory_order_relaxed) + n,
		memory_order_release);
}

/* Puts an admitted packet into the open frame; returns its item there, to be filled in before crypto_pushed(). */
static inline struct crypto_item *
crypto_push(struct crypto_queue *q, struct rte_mbuf *m)
{
	struct crypto_frame *f = crypto_frame_at(q, q->head);

	f->pkts[f->n] = m;
	return &f->item[f->n];
}

static inline void
crypto_pushed(struct crypto_queue *q)
{
	q->admitted--;
	if (++crypto_frame_at(q, q->head)->n == CRYPTO_FRAME_SIZE)
		crypto_flush(q);
}

/* Whether no packet is in a frame: what is done without one overtakes nothing. */
static inline bool
crypto_idle(const struct crypto_queue *q)
{
	return q->packets == q->admitted;
}

/* Gives back the room of an admitted packet that is not going to be pushed. */
static inline void
crypto_unadmit(struct crypto_queue *q, unsigned int n)
{
	q->admitted -= n;
	q->packets -= n;
}

/* The next frame in order, when it is done; NULL otherwise. It stays valid until crypto_collected(). */
static inline struct crypto_frame *
crypto_done(struct crypto_queue *q)
{
	struct crypto_frame *f;

	if (q->tail == q->head)
		return NULL;
	f = crypto_frame_at(q, q->tail);
	return atomic_load_explicit(&f->done, memory_order_acquire) == f->n ? f : NULL;
}

static inline void
crypto_collected(struct crypto_queue *q, struct crypto_frame *f)
{
	q->load[f->server]--;
	q->packets -= f->n;
	f->n = 0;
	atomic_store_explicit(&f->done, 0, memory_order_relaxed);
	q->idle[q->n_idle++] = f;
	q->tail++;
}

/* Frames in flight. While the open one holds something there are some. */
static inline uint64_t
crypto_in_flight(const struct crypto_queue *q)
{
	return q->head - q->tail;
}

/* Frames that ever had a packet in them. When as many were collected, none that was submitted by now has any. */
static inline uint64_t
crypto_begun(const struct crypto_queue *q)
{
	return q->head + (crypto_frame_at(q, q->head)->n > 0);
}

/*
 * The end of a worker's walk: gives back what was admitted and did not come (a node plugin dropped it), and the open frame away,
 * unless the crypto lcores have enough to do.
 */
static inline void
crypto_walk_end(struct crypto_queue *q)
{
	crypto_unadmit(q, q->admitted);
	if (crypto_in_flight(q) < CRYPTO_FRAMES_AHEAD * q->n_servers)
		crypto_flush(q);
}

#endif
