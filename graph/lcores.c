/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcores.h"

#include "crypto_sync.h"
#include "lcore_ports.h"
#include "log.h"
#include "node_plugins.h"
#include "reassembly.h"
#include "spd_recent.h"
#include "walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#define HANDOVER_RING 1024
#define MAX_PLUGINS 64

static struct rte_ring *
make_ring(const char *prefix, unsigned int from, unsigned int to, unsigned int size, int socket,
	unsigned int flags)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s-%u-%u", prefix, from, to);
	return rte_ring_create(name, rte_align32pow2(size + 1), socket, flags);
}

static int
make_recent(struct worker *w, uint32_t max_policies, int socket)
{
	w->n_recent = spd_recent_places(max_policies);
	for (int dir = 0; dir < SPD_DIRS; dir++) {
		w->recent[dir] = rte_zmalloc_socket("recent",
			w->n_recent * sizeof(struct spd_recent), RTE_CACHE_LINE_SIZE, socket);
		if (w->recent[dir] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static void
free_context(struct worker *w)
{
	for (int dir = 0; dir < SPD_DIRS; dir++)
		rte_free(w->recent[dir]);
	rte_free(w->crypto_server.sync);
	rte_free(w->sources);
	rte_free(w);
}

static struct worker *
make_context(struct router *r, const struct config_lcore *cl)
{
	int socket = (int)rte_lcore_to_socket_id(cl->lcore);
	struct worker *w = rte_zmalloc_socket("worker", sizeof(*w), RTE_CACHE_LINE_SIZE, socket);

	if (w == NULL)
		return NULL;
	w->lcore = cl->lcore;
	w->worker = cl->role == ROLE_WORKER;
	if (w->worker && make_recent(w, r->config->limits.policies, socket) < 0) {
		free_context(w);
		return NULL;
	}
	w->crypto = cl->role == ROLE_CRYPTO || r->config->crypto.mode == CRYPTO_INLINE;
	w->index = r->n_lcores;
	w->mbufs = r->mbufs;
	w->tsc_hz = rte_get_tsc_hz();
	w->sockets = &r->sockets;
	w->pair_bypass = (const bool(*)[WORKER_MAX_PORTS])r->pair_bypass;
	w->local_bypass = r->config->local_action == DEFAULT_BYPASS;
	r->lcores[r->n_lcores++] = w;
	r->n_workers += w->worker;
	return w;
}

/* What is configured is a number of packets, in full frames; the first that a crypto lcore has before it may be small. */
static uint32_t
frames_of(const struct config *config)
{
	uint32_t servers = 0;

	for (unsigned int i = 0; i < config->n_lcores; i++)
		servers += config->lcores[i].role == ROLE_CRYPTO;
	return config->crypto.frames + CRYPTO_FRAMES_AHEAD * RTE_MAX(servers, 1u);
}

static int
make_frames(struct router *r, struct worker *w)
{
	struct crypto_queue *q = &w->crypto_queue;
	int socket = (int)rte_lcore_to_socket_id(w->lcore);
	int rc = crypto_queue_init(q, frames_of(r->config), socket);

	q->limit = r->config->crypto.frames * CRYPTO_FRAME_SIZE;
	w->handover =
		make_ring("handover", w->index, w->index, HANDOVER_RING, socket, RING_F_SC_DEQ);
	/* The limit is the router's; datagrams are spread over the workers. */
	w->fragment_id = w->index;
	w->fragment_seed = r->epoch >> 32;
	w->reassembly = reassembly_create(
		(r->config->limits.reassemblies + r->n_workers - 1) / r->n_workers,
		r->config->reassembly_timeout * w->tsc_hz, (uint32_t)r->epoch, r->mbufs, w->drops,
		socket);
	return rc == 0 && w->handover != NULL && w->reassembly != NULL ? 0 : -ENOMEM;
}

static int
make_sync(struct worker *w)
{
	struct crypto_sync *c = rte_malloc_socket(
		"sync", sizeof(*c), RTE_CACHE_LINE_SIZE, (int)rte_lcore_to_socket_id(w->lcore));

	w->crypto_server.sync = c;
	if (c == NULL)
		return -ENOMEM;
	crypto_sync_init(c, &w->crypto_server);
	return 0;
}

/* A ring for each pair of worker and crypto lcore; inline: from a worker to itself. */
static int
join(struct router *r, struct worker *from, struct worker *to)
{
	struct crypto_queue *q = &from->crypto_queue;
	struct crypto_server *s = &to->crypto_server;
	struct rte_ring *ring = make_ring("frames", from->lcore, to->lcore, frames_of(r->config),
		(int)rte_lcore_to_socket_id(to->lcore), RING_F_SP_ENQ | RING_F_SC_DEQ);

	if (ring == NULL)
		return -ENOMEM;
	q->to_server[q->n_servers++] = ring;
	s->from_client[s->n_clients++] = ring;
	return 0;
}

int
lcores_create(struct router *r, const struct crypto *crypto)
{
	const struct config *config = r->config;
	uint16_t queue_pair = 0;

	r->lcores = calloc(config->n_lcores, sizeof(*r->lcores));
	if (r->lcores == NULL)
		return -ENOMEM;
	/* Workers first: their indexes are those of counters and windows. */
	for (int role = ROLE_WORKER; role <= ROLE_CRYPTO; role++)
		for (unsigned int i = 0; i < config->n_lcores; i++)
			if (config->lcores[i].role == (enum lcore_role)role &&
				make_context(r, &config->lcores[i]) == NULL)
				goto nomem;
	for (unsigned int i = 0; i < r->n_lcores; i++) {
		struct worker *w = r->lcores[i];

		w->workers = r->lcores;
		w->n_workers = r->n_workers;
		if (w->crypto) {
			crypto_assign(crypto, &w->crypto_server, queue_pair++);
			if (make_sync(w) < 0)
				goto nomem;
		}
		if (w->worker && (make_frames(r, w) < 0 || iv_random_init(&w->iv_random) < 0))
			goto nomem;
	}
	for (unsigned int i = 0; i < r->n_workers; i++)
		for (unsigned int k = 0; k < r->n_lcores; k++)
			if (r->lcores[k]->crypto &&
				(config->crypto.mode == CRYPTO_DEDICATED || i == k) &&
				join(r, r->lcores[i], r->lcores[k]) < 0)
				goto nomem;
	return 0;
nomem:
	LOG(ERR, "not enough memory for the lcores");
	return -ENOMEM;
}

static int
connect_ports(struct router *r, struct worker *w)
{
	struct worker_sources *sources = lcore_sources_make(r, w, r->config, r->port_ids);

	if (sources == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < r->config->n_ports; i++)
		lcore_port_fill(r, w, r->config, r->port_ids, i);
	lcore_sources_set(r, w, sources);
	return 0;
}

static int
create_graph(struct router *r, struct worker *w)
{
	static const char *const worker_sources[] = {"port-rx", "crypto-complete", "early-release",
		"handover-rx", "neigh-release", "host-rx", "reassembly-expire"};
	static const char *const crypto_sources[] = {"crypto-enqueue", "crypto-dequeue"};
	const char *patterns[RTE_DIM(worker_sources) + RTE_DIM(crypto_sources) + MAX_PLUGINS];
	unsigned int n = 0;
	struct rte_graph_param param = {
		.socket_id = (int)rte_lcore_to_socket_id(w->lcore), .node_patterns = patterns};
	char name[RTE_GRAPH_NAMESIZE];
	int rc = 0;

	for (unsigned int i = 0; w->worker && i < RTE_DIM(worker_sources); i++)
		patterns[n++] = worker_sources[i];
	for (unsigned int i = 0; w->crypto && i < RTE_DIM(crypto_sources); i++)
		patterns[n++] = crypto_sources[i];
	for (unsigned int i = 0; w->worker && i < r->config->n_plugins; i++)
		if (node_plugins_is_source(&r->config->plugins[i]) && n < RTE_DIM(patterns))
			patterns[n++] = r->config->plugins[i].node;
	param.nb_node_patterns = n;
	snprintf(name, sizeof(name), "%s-%u", w->worker ? "worker" : "crypto", w->lcore);
	worker_creating = w;
	if (rte_graph_create(name, &param) == RTE_GRAPH_ID_INVALID)
		rc = -rte_errno;
	else
		w->graph = rte_graph_lookup(name);
	if (rc == 0)
		walk_prepare(w);
	if (rc < 0)
		LOG(ERR, "graph of lcore %u: %s", w->lcore, rte_strerror(-rc));
	return rc;
}

int
lcores_connect(struct router *r)
{
	int rc = node_plugins_load(r->config);

	for (unsigned int i = 0; rc == 0 && i < r->n_lcores; i++) {
		struct worker *w = r->lcores[i];

		w->sad = r->sad;
		w->spd = r->spd;
		w->fib = r->fib;
		if (w->worker) {
			w->sa_counters = sad_worker_counters(r->sad, w->index);
			w->neigh_requests = host_neigh_ring(r->host);
			w->mappings = r->mappings;
			w->path_mtus = r->config->path_mtu_discovery ? r->path_mtus : NULL;
			w->audit = r->audit.ring;
			w->audit_rate = r->config->audit_rate;
			host_punt(r->host, &w->punt);
			rc = connect_ports(r, w);
		}
		if (rc == 0)
			rc = create_graph(r, w);
	}
	return rc;
}

int
lcores_launch(struct router *r)
{
	for (unsigned int i = 0; i < r->n_lcores; i++) {
		struct worker *w = r->lcores[i];
		int rc;

		w->rcu = rcu_lcore(r->rcu, w->index);
		w->qsbr = rcu_qsbr(r->rcu);
		w->stop = &r->stopping;
		w->idle_poll = r->config->idle == IDLE_POLL;
		rc = rte_eal_remote_launch(worker_loop, w, w->lcore);
		if (rc < 0) {
			LOG(ERR, "lcore %u: %s", w->lcore, strerror(-rc));
			return rc;
		}
	}
	return 0;
}

void
lcores_stop(struct router *r)
{
	atomic_store(&r->stopping, true);
	rte_eal_mp_wait_lcore();
}

/* Packets that were on their way when the lcore stopped. */
static void
free_packets(struct worker *w)
{
	struct crypto_queue *q = &w->crypto_queue;
	struct rte_mbuf *m;

	for (uint64_t i = q->tail; q->frames != NULL && i <= q->head; i++)
		rte_pktmbuf_free_bulk(crypto_frame_at(q, i)->pkts, crypto_frame_at(q, i)->n);
	while (w->handover != NULL && rte_ring_dequeue(w->handover, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_pktmbuf_free_bulk(w->hold.pkts, w->hold.n);
	rte_pktmbuf_free_bulk(w->early.pkts, w->early.n);
	reassembly_free(w->reassembly);
}

void
lcores_destroy(struct router *r)
{
	for (unsigned int i = 0; i < r->n_lcores; i++)
		free_packets(r->lcores[i]);
	for (unsigned int i = 0; i < r->n_lcores; i++) {
		struct worker *w = r->lcores[i];

		if (w->graph != NULL)
			rte_graph_destroy(rte_graph_from_name(w->graph->name));
		for (unsigned int k = 0; k < w->crypto_queue.n_servers; k++)
			rte_ring_free(w->crypto_queue.to_server[k]);
		rte_ring_free(w->handover);
		iv_random_free(&w->iv_random);
		crypto_queue_free(&w->crypto_queue);
		free_context(w);
	}
	free(r->lcores);
	r->lcores = NULL;
	r->n_lcores = 0;
}
