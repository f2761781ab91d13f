/* SPDX-License-Identifier: BSD-3-Clause */
#include "telemetry.h"

#include "log.h"
#include "router.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_telemetry.h>

/*
 * DPDK 22.11 hands callbacks no context and cannot forget a command: the router stands here while it runs,
 * and the lock keeps it from going under a callback. Replies end at 16 KiB.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct router *router;

typedef int (*fill_t)(const struct router *r, const char *params, struct rte_tel_data *d);

static int
with_router(fill_t fill, const char *params, struct rte_tel_data *d)
{
	int rc;

	pthread_mutex_lock(&lock);
	rc = router == NULL ? -ESHUTDOWN : fill(router, params, d);
	pthread_mutex_unlock(&lock);
	return rc;
}

static uint64_t
peek(const uint64_t *v)
{
	return *(const volatile uint64_t *)v;
}

/* Telemetry's names have letters, digits, _ and / alone. */
static const char *
tel_name(char buf[RTE_TEL_MAX_STRING_LEN], const char *name)
{
	snprintf(buf, RTE_TEL_MAX_STRING_LEN, "%s", name);
	for (char *p = buf; *p != '\0'; p++)
		if (*p == '-')
			*p = '_';
	return buf;
}

static int
fill_status(const struct router *r, const char *params, struct rte_tel_data *d)
{
	char epoch[24];

	(void)params;
	snprintf(epoch, sizeof(epoch), "0x%016llx", (unsigned long long)r->epoch);
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_string(d, "version", CYGNET_VERSION);
	rte_tel_data_add_dict_string(d, "name", r->config->name);
	rte_tel_data_add_dict_string(d, "epoch", epoch);
	rte_tel_data_add_dict_int(d, "policies_complete", spd_complete(r->spd));
	rte_tel_data_add_dict_u64(d, "policies_in", spd_count(r->spd, SPD_IN));
	rte_tel_data_add_dict_u64(d, "policies_out", spd_count(r->spd, SPD_OUT));
	rte_tel_data_add_dict_u64(d, "policies_fwd", spd_count(r->spd, SPD_FWD));
	rte_tel_data_add_dict_u64(d, "sas_live", sad_count(r->sad, SA_LIVE));
	rte_tel_data_add_dict_u64(d, "routes", fib_route_count(r->fib));
	return 0;
}

static int
fill_lcores(const struct router *r, const char *params, struct rte_tel_data *d)
{
	char name[RTE_TEL_MAX_STRING_LEN];

	(void)params;
	rte_tel_data_start_dict(d);
	for (unsigned int i = 0; i < r->n_lcores; i++) {
		const struct worker *w = r->lcores[i];
		struct rte_tel_data *l = rte_tel_data_alloc();

		if (l == NULL)
			return -ENOMEM;
		rte_tel_data_start_dict(l);
		rte_tel_data_add_dict_string(l, "role",
			!w->worker  ? "crypto"
			: w->crypto ? "worker+crypto"
				    : "worker");
		rte_tel_data_add_dict_u64(l, "walks", peek(&w->walks));
		rte_tel_data_add_dict_u64(l, "sleeps", peek(&w->sleeps));
		rte_tel_data_add_dict_u64(l, "sleep_cycles", peek(&w->sleep_cycles));
		rte_tel_data_add_dict_u64(l, "busy_cycles", peek(&w->busy_cycles));
		snprintf(name, sizeof(name), "%u", w->lcore);
		if (rte_tel_data_add_dict_container(d, name, l, 0) != 0) {
			rte_tel_data_free(l);
			return -ENOSPC;
		}
	}
	return 0;
}

static int
fill_drops(const struct router *r, const char *params, struct rte_tel_data *d)
{
	char name[RTE_TEL_MAX_STRING_LEN];

	(void)params;
	rte_tel_data_start_dict(d);
	for (unsigned int i = 0; i < DROP_REASONS_MAX; i++) {
		uint64_t sum = 0;

		for (unsigned int l = 0; l < r->n_lcores; l++)
			sum += peek(&r->lcores[l]->drops[i]);
		rte_tel_data_add_dict_u64(d, tel_name(name, drop_names[i]), sum);
	}
	return 0;
}

static int
fill_sa(const struct router *r, const char *params, struct rte_tel_data *d)
{
	(void)params;
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_u64(d, "live", sad_count(r->sad, SA_LIVE));
	rte_tel_data_add_dict_u64(d, "larval", sad_count(r->sad, SA_LARVAL));
	rte_tel_data_add_dict_u64(d, "dying", sad_count(r->sad, SA_DYING));
	rte_tel_data_add_dict_u64(d, "limit", sad_slots(r->sad));
	return 0;
}

static int
fill_nodes(const struct router *r, const char *params, struct rte_tel_data *d)
{
	char name[RTE_TEL_MAX_STRING_LEN], *end;
	const struct worker *w = NULL;
	struct rte_graph *graph;
	struct rte_node *node;
	rte_graph_off_t off;
	rte_node_t n;
	unsigned long lcore;

	if (params == NULL || *params < '0' || *params > '9')
		return -EINVAL;
	lcore = strtoul(params, &end, 10);
	for (unsigned int i = 0; i < r->n_lcores && *end == '\0'; i++)
		if (r->lcores[i]->lcore == lcore)
			w = r->lcores[i];
	if (w == NULL)
		return -ENOENT;
	snprintf(name, sizeof(name), "%s-%u", w->worker ? "worker" : "crypto", w->lcore);
	graph = rte_graph_lookup(name);
	if (graph == NULL)
		return -ENOENT;
	rte_tel_data_start_dict(d);
	rte_graph_foreach_node (n, off, graph, node) {
		struct rte_tel_data *v = rte_tel_data_alloc();

		if (v == NULL)
			return -ENOMEM;
		rte_tel_data_start_array(v, RTE_TEL_U64_VAL);
		rte_tel_data_add_array_u64(v, peek(&node->total_calls));
		rte_tel_data_add_array_u64(v, peek(&node->total_objs));
		rte_tel_data_add_array_u64(v, peek(&node->total_cycles));
		if (rte_tel_data_add_dict_container(d, tel_name(name, node->name), v, 0) != 0) {
			rte_tel_data_free(v);
			return -ENOSPC;
		}
	}
	return 0;
}

#define CALLBACK(what)                                                                    \
	static int on_##what(const char *cmd, const char *params, struct rte_tel_data *d) \
	{                                                                                 \
		(void)cmd;                                                                \
		return with_router(fill_##what, params, d);                               \
	}

CALLBACK(status)
CALLBACK(lcores)
CALLBACK(drops)
CALLBACK(sa)
CALLBACK(nodes)

void
telemetry_start(struct router *r)
{
	static const struct {
		const char *name;
		telemetry_cb fn;
		const char *help;
	} cmds[] = {
		{"/cygnet/status", on_status, "The router's version and the sizes of its tables"},
		{"/cygnet/lcores", on_lcores, "Walks, sleeps and cycles of each data-plane lcore"},
		{"/cygnet/drops", on_drops, "Dropped packets by reason, all lcores together"},
		{"/cygnet/sa", on_sa, "Number of SAs by state"},
		{"/cygnet/nodes", on_nodes,
			"[calls, packets, cycles] of each graph node. Parameter: lcore"},
	};
	static bool registered;

	pthread_mutex_lock(&lock);
	router = r;
	pthread_mutex_unlock(&lock);
	for (unsigned int i = 0; i < RTE_DIM(cmds) && !registered; i++) {
		int rc = rte_telemetry_register_cmd(cmds[i].name, cmds[i].fn, cmds[i].help);

		if (rc < 0)
			LOG(WARNING, "telemetry: %s: %s", cmds[i].name, strerror(-rc));
	}
	registered = true;
}

void
telemetry_stop(void)
{
	pthread_mutex_lock(&lock);
	router = NULL;
	pthread_mutex_unlock(&lock);
}
