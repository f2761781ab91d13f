/* SPDX-License-Identifier: BSD-3-Clause */
#include "host_bucket.h"
#include "host_priv.h"
#include "log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

/*
 * The thread that moves packets between taps and workers.
 *
 * It is not registered with EAL: rte_thread_register() turns multi-process off, and the plugin's agent is a
 * DPDK secondary. It takes and gives mbufs in bursts instead of through an lcore's cache.
 */

#define BURST 32
#define MAX_SEGS 64
#define EVENT_WAKE UINT32_MAX

static void
count(_Atomic uint64_t *c, uint64_t n)
{
	/* One writer. */
	atomic_store_explicit(
		c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static bool
write_frame(struct host_thread *t, struct rte_mbuf *m)
{
	uint16_t port = pkt(m)->in_port;
	uint8_t index;
	struct iovec iov[MAX_SEGS];
	unsigned int n = 0;
	struct host_tap *tap;

	if (port >= WORKER_MAX_PORTS || m->nb_segs > MAX_SEGS)
		return false;
	index = atomic_load_explicit(&t->tap_of[port], memory_order_acquire);
	if (index == UINT8_MAX)
		return false;
	tap = &t->taps[index];
	for (struct rte_mbuf *s = m; s != NULL && n < MAX_SEGS; s = s->next)
		iov[n++] = (struct iovec){rte_pktmbuf_mtod(s, void *), s->data_len};
	return writev(tap->fd, iov, n) == (ssize_t)m->pkt_len;
}

/* A burst of each class, so that none waits for another. Returns whether there was any. */
static bool
serve_punted(struct host_thread *t, struct bucket *bucket)
{
	struct rte_mbuf *m[BURST];
	bool any = false;

	for (unsigned int c = 0; c < PUNT_CLASSES; c++) {
		unsigned int n = rte_ring_sc_dequeue_burst(t->ring[c], (void **)m, BURST, NULL);
		unsigned int may, done = 0;

		if (n == 0)
			continue;
		any = true;
		may = bucket_take(&bucket[c], n, rte_rdtsc());
		for (unsigned int i = 0; i < may; i++)
			done += write_frame(t, m[i]);
		rte_pktmbuf_free_bulk(m, n);
		count(&t->count.to_host[c], done);
		count(&t->count.errors, may - done);
		count(&t->count.rationed[c], n - may);
	}
	return any;
}

/* Makes a frame of the first mbufs of the tap, which were read into. */
static struct rte_mbuf *
take_frame(struct host_tap *tap, unsigned int len, unsigned int room)
{
	struct rte_mbuf *head = tap->spare[0], *m = head;
	unsigned int used = 1;

	head->pkt_len = len;
	while (len > room) {
		m->data_len = room;
		len -= room;
		m->next = tap->spare[used++];
		m = m->next;
	}
	m->data_len = len;
	head->nb_segs = used;
	tap->n_spare -= used;
	memmove(tap->spare, tap->spare + used, tap->n_spare * sizeof(tap->spare[0]));
	return head;
}

static void
tap_gone(struct host_thread *t, struct host_tap *tap)
{
	epoll_ctl(t->epfd, EPOLL_CTL_DEL, tap->fd, NULL);
	tap->gone = true;
	LOG(ERR, "tap %s was removed: restart the router to make it again", tap->name);
}

/* Up to a burst of frames that Linux sent. */
static void
serve_tap(struct host_thread *t, struct host_tap *tap)
{
	/* One byte more than the largest frame: what fills it all was cut off. */
	unsigned int want = (tap->mtu + RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN) / t->room + 1;
	struct iovec iov[RTE_DIM(tap->spare)];
	struct rte_mbuf *m;

	for (unsigned int i = 0; i < BURST; i++) {
		ssize_t len;

		while (tap->n_spare < want) {
			m = rte_pktmbuf_alloc(t->mbufs);
			if (m == NULL)
				break;
			tap->spare[tap->n_spare++] = m;
		}
		if (tap->n_spare < want) {
			/* No mbuf: the frame is lost, else we would be called for it without end. */
			char waste[1];

			len = read(tap->fd, waste, sizeof(waste));
			if (len <= 0)
				return;
			count(&t->count.from_host_drops, 1);
			continue;
		}
		for (unsigned int j = 0; j < want; j++)
			iov[j] = (struct iovec){rte_pktmbuf_mtod(tap->spare[j], void *), t->room};
		len = readv(tap->fd, iov, want);
		if (len <= 0) {
			if (len < 0 && errno == EBADFD)
				tap_gone(t, tap);
			return;
		}
		if (len < RTE_ETHER_HDR_LEN || len == (ssize_t)(want * t->room)) {
			count(&t->count.from_host_drops, 1);
			continue;
		}
		m = take_frame(tap, len, t->room);
		memset(pkt(m), 0, offsetof(struct pkt, op));
		pkt(m)->in_port = PKT_PORT_HOST;
		pkt(m)->out_port = tap->port_id;
		pkt(m)->flags = PKT_F_OWN_L2;
		m->port = tap->port_id;
		if (rte_ring_sp_enqueue(tap->rx, m) == 0) {
			count(&t->count.from_host, 1);
		} else {
			rte_pktmbuf_free(m);
			count(&t->count.from_host_drops, 1);
		}
	}
}

/* Announces that we sleep, unless there is work after all. */
static bool
may_sleep(struct host_thread *t)
{
	atomic_store(&t->asleep, true);
	/* Pairs with the fence between a worker's enqueue and its look at the flag. */
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned int c = 0; c < PUNT_CLASSES; c++)
		if (!rte_ring_empty(t->ring[c]))
			return false;
	return !atomic_load(&t->stop);
}

static void *
move_packets(void *arg)
{
	struct host_thread *t = arg;
	struct bucket bucket[PUNT_CLASSES];
	struct epoll_event ev[WORKER_MAX_PORTS + 1];
	uint64_t wakes;

	for (unsigned int c = 0; c < PUNT_CLASSES; c++)
		bucket_init(&bucket[c], t->rate, rte_get_tsc_hz(), rte_rdtsc());
	while (!atomic_load(&t->stop)) {
		atomic_fetch_add(&t->rounds, 1);
		bool any = serve_punted(t, bucket);
		int n = epoll_wait(t->epfd, ev, RTE_DIM(ev), any || !may_sleep(t) ? 0 : -1);

		atomic_store_explicit(&t->asleep, false, memory_order_relaxed);
		for (int i = 0; i < n; i++) {
			struct host_tap *tap = NULL;

			if (ev[i].data.u32 != EVENT_WAKE)
				tap = &t->taps[ev[i].data.u32];
			else if (read(t->eventfd, &wakes, sizeof(wakes)) < 0 && errno != EAGAIN)
				LOG(ERR, "host thread: eventfd: %s", strerror(errno));
			if (tap != NULL && tap->fd >= 0 && !tap->gone)
				serve_tap(t, tap);
		}
	}
	return NULL;
}

static int
watch(struct host_thread *t, int fd, uint32_t what)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = what};

	return epoll_ctl(t->epfd, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

unsigned int
host_thread_mtu(const struct host_thread *t)
{
	return t->room * RTE_DIM(t->taps[0].spare) - RTE_ETHER_HDR_LEN - RTE_VLAN_HLEN - 1;
}

int
host_thread_add(struct host_thread *t, unsigned int index)
{
	/* The thread finds the tap by either of the two, and both come after all that it holds. */
	int ret = watch(t, t->taps[index].fd, index);

	if (ret == 0)
		atomic_store_explicit(
			&t->tap_of[t->taps[index].port_id], index, memory_order_release);
	return ret;
}

uint64_t
host_thread_drop(struct host_thread *t, const struct host_tap *tap)
{
	uint64_t one = 1;

	atomic_store(&t->tap_of[tap->port_id], UINT8_MAX);
	epoll_ctl(t->epfd, EPOLL_CTL_DEL, tap->fd, NULL);
	/* The round that runs may still use it, and the one after it may have begun. */
	if (write(t->eventfd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		LOG(ERR, "host thread: eventfd: %s", strerror(errno));
	return atomic_load(&t->rounds) + 2;
}

/* It sleeps without an end: it is woken until it has gone that far. */
bool
host_thread_passed(const struct host_thread *t, uint64_t round)
{
	uint64_t one = 1;

	if (atomic_load(&t->rounds) >= round)
		return true;
	if (write(t->eventfd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		LOG(ERR, "host thread: eventfd: %s", strerror(errno));
	return false;
}

int
host_thread_start(struct host_thread *t, int cpu)
{
	unsigned int max;
	int ret;

	t->room = rte_pktmbuf_data_room_size(t->mbufs) - RTE_PKTMBUF_HEADROOM;
	max = host_thread_mtu(t);
	for (unsigned int i = 0; i < t->n_taps; i++) {
		if (t->taps[i].mtu > max) {
			LOG(ERR, "tap %s: MTU %u: at most %u with these buffers", t->taps[i].name,
				t->taps[i].mtu, max);
			return -EINVAL;
		}
	}
	t->epfd = epoll_create1(EPOLL_CLOEXEC);
	ret = t->epfd < 0 ? -errno : watch(t, t->eventfd, EVENT_WAKE);
	for (unsigned int i = 0; ret == 0 && i < t->n_taps; i++)
		ret = watch(t, t->taps[i].fd, i);
	if (ret == 0)
		ret = rte_ctrl_thread_create(&t->thread, "cygnet-host", NULL, move_packets, t);
	if (ret != 0) {
		LOG(ERR, "host thread: %s", strerror(-ret));
		return ret;
	}
	t->running = true;
	if (cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		ret = -pthread_setaffinity_np(t->thread, sizeof(set), &set);
		if (ret != 0)
			LOG(WARNING, "host thread: cpu %d: %s", cpu, strerror(-ret));
	}
	return 0;
}

void
host_thread_stop(struct host_thread *t)
{
	uint64_t one = 1;
	struct rte_mbuf *m;

	if (t->running) {
		atomic_store(&t->stop, true);
		if (write(t->eventfd, &one, sizeof(one)) < 0)
			LOG(ERR, "host thread: eventfd: %s", strerror(errno));
		pthread_join(t->thread, NULL);
		t->running = false;
	}
	if (t->epfd >= 0)
		close(t->epfd);
	t->epfd = -1;
	for (unsigned int i = 0; i < t->n_taps; i++) {
		rte_pktmbuf_free_bulk(t->taps[i].spare, t->taps[i].n_spare);
		t->taps[i].n_spare = 0;
	}
	for (unsigned int c = 0; c < PUNT_CLASSES; c++)
		while (t->ring[c] != NULL && rte_ring_sc_dequeue(t->ring[c], (void **)&m) == 0)
			rte_pktmbuf_free(m);
}
