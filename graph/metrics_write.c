/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"
#include "metrics.h"
#include "metrics_ike.h"
#include "ports.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_graph_worker.h>
#include <rte_mempool.h>
#include <rte_version.h>

/*
 * The metrics themselves. Names and labels: letters, digits and _; what stands in labels (names of ports, nodes and
 * reasons, addresses, numbers) needs no escaping, for the configuration allows no quote or backslash in them.
 */

/* SAs one by one, as long as there are not more; a scrape must not keep the control thread. */
#define SAS_MAX 1000

struct writer {
	const struct ctl *ctl;
	struct evbuffer *out;
	bool openmetrics, failed;
	const char *name; /* of the family being written */
	const char *suffix; /* "_total" of a counter */
};

static void __attribute__((format(printf, 2, 3))) put(struct writer *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	w->failed |= evbuffer_add_vprintf(w->out, fmt, ap) < 0;
	va_end(ap);
}

/* A counter's family has the name without _total in OpenMetrics, and with it in the older format. */
static void
family(struct writer *w, const char *name, bool counter, const char *help)
{
	w->name = name;
	w->suffix = counter ? "_total" : "";
	put(w, "# HELP cygnet_%s%s %s\n# TYPE cygnet_%s%s %s\n", name,
		counter && !w->openmetrics ? "_total" : "", help, name,
		counter && !w->openmetrics ? "_total" : "", counter ? "counter" : "gauge");
}

/* labels: "{a=\"b\"}" as a format, or "". */
static void __attribute__((format(printf, 3, 4)))
value(struct writer *w, double v, const char *labels, ...)
{
	va_list ap;

	put(w, "cygnet_%s%s", w->name, w->suffix);
	va_start(ap, labels);
	w->failed |= evbuffer_add_vprintf(w->out, labels, ap) < 0;
	va_end(ap);
	if (v == floor(v) && fabs(v) < 1e15)
		put(w, " %.0f\n", v);
	else
		put(w, " %.9g\n", v);
}

static double
peek(const uint64_t *v)
{
	return (double)*(const volatile uint64_t *)v;
}

static void
router(struct writer *w)
{
	const struct router *r = w->ctl->r;
	struct ctl_owners owners;
	unsigned int alive = 0;

	ctl_owners_read(w->ctl, &owners);
	for (unsigned int i = 0; i < owners.n; i++)
		alive += owners.v[i].alive;
	family(w, "build_info", false, "Always 1; the labels say what runs");
	value(w, 1, "{router=\"%s\",version=\"%s\",dpdk=\"%s\"}", r->config->name, CYGNET_VERSION,
		rte_version());
	family(w, "uptime_seconds", false, "Age of this start of the router");
	value(w, (double)(ctl_now() - w->ctl->started) / 1e9, "%s", "");
	family(w, "policies_complete", false,
		"Whether the owner of the policies has told all of them");
	value(w, spd_complete(r->spd), "%s", "");
	family(w, "owners", false,
		"IKE daemons by state: alive, or dead with their SAs still in use");
	value(w, alive, "{state=\"alive\"}");
	value(w, owners.n - alive, "{state=\"orphan\"}");
}

static void
tables(struct writer *w)
{
	const struct router *r = w->ctl->r;
	unsigned int unused = r->mbufs != NULL ? rte_mempool_avail_count(r->mbufs) : 0;

	family(w, "sas", false, "Security associations by state");
	value(w, sad_count(r->sad, SA_LIVE), "{state=\"live\"}");
	value(w, sad_count(r->sad, SA_LARVAL), "{state=\"larval\"}");
	value(w, sad_count(r->sad, SA_DYING), "{state=\"dying\"}");
	family(w, "sas_limit", false, "Security associations that there is room for");
	value(w, sad_slots(r->sad), "%s", "");
	family(w, "policies", false, "Security policies by direction");
	value(w, spd_count(r->spd, SPD_IN), "{direction=\"in\"}");
	value(w, spd_count(r->spd, SPD_OUT), "{direction=\"out\"}");
	value(w, spd_count(r->spd, SPD_FWD), "{direction=\"fwd\"}");
	family(w, "policies_limit", false, "Policies that there is room for in a direction");
	value(w, r->config->limits.policies, "%s", "");
	family(w, "routes", false, "Routes");
	value(w, fib_route_count(r->fib), "%s", "");
	family(w, "routes_limit", false, "Routes that there is room for");
	value(w, r->config->limits.routes, "%s", "");
	family(w, "packet_buffers_free", false, "Packet buffers that are free");
	value(w, unused, "%s", "");
	family(w, "packet_buffers", false, "Packet buffers");
	value(w, r->mbufs != NULL ? r->mbufs->size : 0, "%s", "");
	family(w, "rcu_pending", false, "Objects that lcores may still read");
	value(w, (double)rcu_pending(r->rcu), "%s", "");
}

#define EACH_LCORE(w, l)          \
	for (unsigned int i_ = 0; \
		i_ < (w)->ctl->r->n_lcores && ((l) = (w)->ctl->r->lcores[i_]) != NULL; i_++)

static void
lcores(struct writer *w)
{
	double hz = (double)rte_get_tsc_hz();
	const struct worker *l;

	family(w, "lcore_busy_seconds", true, "Time in walks that found work");
	EACH_LCORE(w, l)
	value(w, peek(&l->busy_cycles) / hz, "{lcore=\"%u\",role=\"%s\"}", l->lcore, ctl_role(l));
	family(w, "lcore_sleep_seconds", true, "Time asleep");
	EACH_LCORE(w, l)
	value(w, peek(&l->sleep_cycles) / hz, "{lcore=\"%u\",role=\"%s\"}", l->lcore, ctl_role(l));
	family(w, "lcore_walks", true, "Walks over the graph");
	EACH_LCORE(w, l)
	value(w, peek(&l->walks), "{lcore=\"%u\",role=\"%s\"}", l->lcore, ctl_role(l));
}

static void
node_counters(struct writer *w, size_t offset)
{
	const struct worker *l;
	struct rte_node *node;
	rte_graph_off_t off;
	rte_node_t i;

	EACH_LCORE(w, l)
	{
		if (l->graph == NULL)
			continue;
		rte_graph_foreach_node (i, off, l->graph, node)
			value(w, peek((const uint64_t *)RTE_PTR_ADD(node, offset)),
				"{lcore=\"%u\",node=\"%s\"}", l->lcore, node->name);
	}
}

static void
nodes(struct writer *w)
{
	family(w, "node_packets", true, "Packets that a graph node took");
	node_counters(w, offsetof(struct rte_node, total_objs));
	family(w, "node_calls", true, "Calls of a graph node");
	node_counters(w, offsetof(struct rte_node, total_calls));
	family(w, "node_cycles", true, "TSC cycles in a graph node");
	node_counters(w, offsetof(struct rte_node, total_cycles));
}

static void
drops(struct writer *w)
{
	const struct worker *l;

	family(w, "dropped_packets", true, "Dropped packets by reason");
	for (unsigned int i = 0; i < DROP_REASONS_MAX; i++) {
		double n = 0;

		EACH_LCORE(w, l)
		n += peek(&l->drops[i]);
		value(w, n, "{reason=\"%s\"}", drop_names[i]);
	}
}

static void
ports(struct writer *w)
{
	static const struct {
		const char *name, *help;
		size_t offset;
		bool device; /* of devices alone, not of VLANs */
	} counters[] = {
		{"port_rx_packets", "Packets received", offsetof(struct rte_eth_stats, ipackets),
			false},
		{"port_rx_bytes", "Bytes received", offsetof(struct rte_eth_stats, ibytes), false},
		{"port_rx_missed_packets", "Packets that the queues had no room for",
			offsetof(struct rte_eth_stats, imissed), true},
		{"port_rx_errors", "Broken packets", offsetof(struct rte_eth_stats, ierrors), true},
		{"port_rx_no_buffer", "Failed allocations of packet buffers",
			offsetof(struct rte_eth_stats, rx_nombuf), true},
		{"port_tx_packets", "Packets sent", offsetof(struct rte_eth_stats, opackets),
			false},
		{"port_tx_bytes", "Bytes sent", offsetof(struct rte_eth_stats, obytes), false},
		{"port_tx_errors", "Packets that could not be sent",
			offsetof(struct rte_eth_stats, oerrors), true},
	};
	const struct router *r = w->ctl->r;
	struct rte_eth_stats stats[CONFIG_MAX_PORTS];
	struct rte_eth_link link;

	for (unsigned int i = 0; i < r->config->n_ports; i++)
		if (r->config->ports[i].vlan != 0)
			ctl_vlan_stats(r, r->port_ids[i], &stats[i]);
		else if (rte_eth_stats_get(r->port_ids[i], &stats[i]) != 0)
			memset(&stats[i], 0, sizeof(stats[i]));
	for (unsigned int c = 0; c < RTE_DIM(counters); c++) {
		family(w, counters[c].name, true, counters[c].help);
		for (unsigned int i = 0; i < r->config->n_ports; i++)
			if (r->config->ports[i].vlan == 0 || !counters[c].device)
				value(w,
					(double)*(const uint64_t *)RTE_PTR_ADD(
						&stats[i], counters[c].offset),
					"{port=\"%s\"}", r->config->ports[i].name);
	}
	family(w, "port_up", false, "Whether the port has a link");
	for (unsigned int i = 0; i < r->config->n_ports; i++)
		value(w,
			rte_eth_link_get_nowait(ports_device(r, i), &link) == 0 &&
				link.link_status == RTE_ETH_LINK_UP,
			"{port=\"%s\"}", r->config->ports[i].name);
}

static void
host(struct writer *w)
{
	struct host_stats s;

	if (w->ctl->r->host == NULL)
		return;
	host_stats(w->ctl->r->host, &s);
	family(w, "to_linux_packets", true, "Packets handed to Linux by class");
	for (unsigned int i = 0; i < PUNT_CLASSES; i++)
		value(w, (double)s.to_host[i], "{class=\"%s\"}", ctl_punt_class(i));
	family(w, "to_linux_rationed_packets", true,
		"Packets for Linux beyond the ration of their class");
	for (unsigned int i = 0; i < PUNT_CLASSES; i++)
		value(w, (double)s.rationed[i], "{class=\"%s\"}", ctl_punt_class(i));
	family(w, "to_linux_refused_packets", true, "Packets for Linux that no tap took");
	value(w, (double)s.to_host_errors, "%s", "");
	family(w, "from_linux_packets", true, "Packets that Linux sent");
	value(w, (double)s.from_host, "%s", "");
	family(w, "from_linux_dropped_packets", true, "Packets of Linux that had no room");
	value(w, (double)s.from_host_drops, "%s", "");
	family(w, "netlink_resyncs", true,
		"Times that netlink lost messages and all was read anew");
	value(w, (double)s.resyncs, "%s", "");
}

enum sa_value { SA_PACKETS, SA_BYTES, SA_ERRORS };

static double
sa_value(const struct sa_usage *u, enum sa_value which)
{
	double n = 0;

	if (which != SA_ERRORS)
		return (double)(which == SA_PACKETS ? u->packets : u->bytes);
	for (unsigned int i = 0; i < SA_ERR_MAX; i++)
		n += (double)u->errors[i];
	return n;
}

static void
sa_counters(struct writer *w, enum sa_value which)
{
	const struct sad *sad = w->ctl->r->sad;
	uint32_t left = sad_count(sad, SA_LIVE);

	for (uint32_t slot = 0; slot < sad_slots(sad) && left > 0; slot++) {
		const struct sa_cold *cold = sad_cold(sad, slot);
		const struct sa_conf *c = &cold->conf;
		struct sa_usage usage;
		char peer[ADDR_STRLEN];

		if (cold->state != SA_LIVE)
			continue;
		left--;
		sad_usage(sad, slot, &usage);
		value(w, sa_value(&usage, which),
			"{direction=\"%s\",spi=\"0x%08x\",peer=\"%s\",reqid=\"%u\"}",
			c->dir == SA_DIR_OUT ? "out" : "in", rte_be_to_cpu_32(c->spi),
			addr_str(c->dir == SA_DIR_OUT ? &c->dst : &c->src, peer), c->reqid);
	}
}

static void
sas(struct writer *w)
{
	bool each = sad_count(w->ctl->r->sad, SA_LIVE) <= SAS_MAX;

	family(w, "sas_listed", false,
		"Whether there are few enough SAs to have metrics of their own");
	value(w, each, "%s", "");
	if (!each)
		return;
	family(w, "sa_packets", true, "Packets of an SA");
	sa_counters(w, SA_PACKETS);
	family(w, "sa_bytes", true, "Bytes of an SA: of the packets inside");
	sa_counters(w, SA_BYTES);
	family(w, "sa_errors", true, "Packets that an SA refused");
	sa_counters(w, SA_ERRORS);
}

static void
charon(struct writer *w, const struct metrics_ike *ike)
{
	const char *text = metrics_ike_text(ike, w->openmetrics);

	family(w, "ike_daemon_up", false, "Whether charon answers at its VICI socket");
	value(w, text != NULL, "%s", "");
	if (text != NULL)
		put(w, "%s", text);
}

int
metrics_write(const struct ctl *ctl, const struct metrics_ike *ike, struct evbuffer *out,
	bool openmetrics)
{
	struct writer w = {.ctl = ctl, .out = out, .openmetrics = openmetrics};

	router(&w);
	tables(&w);
	lcores(&w);
	nodes(&w);
	drops(&w);
	ports(&w);
	host(&w);
	sas(&w);
	if (ike != NULL)
		charon(&w, ike);
	if (openmetrics)
		put(&w, "# EOF\n");
	return w.failed ? -ENOMEM : 0;
}
