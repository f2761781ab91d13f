/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"
#include "fib4.h"
#include "fib6.h"
#include "pkt.h"
#include "spd_recent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include <numa.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

static const char *const role_names[] = {"control", "worker", "crypto"};
static const char *const action_names[] = {"discard", "bypass"};

/* NUMA node of the netdev's device; -1 for one that has none (veth, or a machine with one node). */
static int
netdev_node(const char *netdev)
{
	char path[128];
	int node = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/device/numa_node", netdev);
	f = fopen(path, "re");
	if (f == NULL)
		return -1;
	if (fscanf(f, "%d", &node) != 1)
		node = -1;
	fclose(f);
	return node;
}

static int
pci_node(const char *devargs)
{
	char path[128];
	int len = strcspn(devargs, ","), node = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s%.*s/numa_node",
		len < 12 ? "0000:" : "", len, devargs);
	f = fopen(path, "re");
	if (f == NULL)
		return -1;
	if (fscanf(f, "%d", &node) != 1)
		node = -1;
	fclose(f);
	return node;
}

static int
port_node(const struct config_port *p)
{
	if (config_is_pci(p->devargs))
		return pci_node(p->devargs);
	return p->netdev != NULL ? netdev_node(p->netdev) : -1;
}

/* As the firmware tells it: 10 is the same node. */
static int
distance(int a, int b)
{
	if (a == b || a < 0 || b < 0 || numa_available() < 0)
		return 10;
	return numa_distance(a, b);
}

/* The farthest thing that the lcore serves: a worker its ports, a crypto lcore the workers. */
static void
print_distance(const struct config *c, const struct config_lcore *lc, FILE *out)
{
	int node = config_cpu_node(lc->cpu), max = 0;
	const char *what = lc->role == ROLE_CRYPTO ? "worker" : "port", *name = NULL;
	char number[16];

	for (unsigned int i = 0; lc->role == ROLE_CRYPTO && i < c->n_lcores; i++)
		if (c->lcores[i].role == ROLE_WORKER &&
			distance(node, config_cpu_node(c->lcores[i].cpu)) > max) {
			max = distance(node, config_cpu_node(c->lcores[i].cpu));
			snprintf(number, sizeof(number), "%u", c->lcores[i].lcore);
			name = number;
		}
	for (unsigned int i = 0; lc->role == ROLE_WORKER && i < c->n_ports; i++)
		for (unsigned int q = 0; q < c->ports[i].rx_queues; q++)
			if (c->ports[i].workers[q] == lc->lcore &&
				distance(node, port_node(&c->ports[i])) > max) {
				max = distance(node, port_node(&c->ports[i]));
				name = c->ports[i].name;
			}
	if (name != NULL)
		fprintf(out, ", distance %d to %s %s", max, what, name);
}

static void
print_lcores(const struct config *c, FILE *out)
{
	cpu_set_t isolated;

	config_isolated_cpus("/sys/devices/system/cpu/isolated", "/sys/fs/cgroup", &isolated);
	for (unsigned int i = 0; i < c->n_lcores; i++) {
		const struct config_lcore *lc = &c->lcores[i];

		fprintf(out, "lcore %u: %s, cpu %u, NUMA node %d, %s", lc->lcore,
			role_names[lc->role], lc->cpu, config_cpu_node(lc->cpu),
			CPU_ISSET(lc->cpu, &isolated) ? "isolated" : "not isolated");
		for (unsigned int j = 0; j < c->n_lcores; j++)
			if (j != i && c->lcores[j].cpu == lc->cpu)
				fprintf(out, ", shares its cpu with lcore %u", c->lcores[j].lcore);
		print_distance(c, lc, out);
		fprintf(out, "\n");
		for (unsigned int p = 0; p < c->n_ports; p++)
			for (unsigned int q = 0; q < c->ports[p].rx_queues; q++)
				if (c->ports[p].workers[q] == lc->lcore)
					fprintf(out, "  polls port %s, rx queue %u\n",
						c->ports[p].name, q);
		if (lc->role == ROLE_CRYPTO)
			fprintf(out, "  runs crypto for every worker\n");
		else if (lc->role == ROLE_WORKER && c->crypto.mode == CRYPTO_INLINE)
			fprintf(out, "  runs its own crypto\n");
	}
}

static void
print_addresses(const struct config_port *p, FILE *out)
{
	for (unsigned int j = 0; j < p->n_addresses; j++)
		fprintf(out, " %s", p->addresses[j]);
	fprintf(out, "%s\n", p->n_addresses == 0 ? " none" : "");
}

static void
print_ports(const struct config *c, FILE *out)
{
	for (unsigned int i = 0; i < c->n_ports; i++) {
		const struct config_port *p = &c->ports[i];
		int node;

		if (p->vlan != 0) {
			fprintf(out, "port %s: VLAN %u of %s, mtu %u, default %s%s, addresses",
				p->name, p->vlan, c->ports[p->parent].name, p->mtu,
				action_names[p->default_action], p->outside ? ", outside" : "");
			print_addresses(p, out);
			continue;
		}
		node = port_node(p);
		fprintf(out, "port %s: %s, netdev %s, NUMA node ", p->name, p->devargs,
			p->netdev != NULL ? p->netdev : "none");
		if (node < 0)
			fprintf(out, "any");
		else
			fprintf(out, "%d", node);
		fprintf(out, ", mtu %u, %u rx queues, default %s%s, addresses", p->mtu,
			p->rx_queues, action_names[p->default_action],
			p->outside ? ", outside" : "");
		print_addresses(p, out);
	}
}

unsigned int
config_packet_room(const struct config *c)
{
	unsigned int room = RTE_MBUF_DEFAULT_DATAROOM;

	for (unsigned int i = 0; i < c->n_ports; i++)
		room = RTE_MAX(room, c->ports[i].mtu + CONFIG_PACKET_MARGIN);
	return room;
}

unsigned int
config_packet_size(const struct config *c)
{
	return rte_mempool_calc_obj_size(
		sizeof(struct rte_mbuf) + RTE_ALIGN(sizeof(struct pkt), RTE_MBUF_PRIV_ALIGN) +
			RTE_PKTMBUF_HEADROOM + config_packet_room(c),
		0, NULL);
}

/*
 * The large tables as their headers lay them out, in bytes. An estimate: EAL adds its own, sessions and
 * rings are small beside these.
 */
static void
print_memory(const struct config *c, FILE *out)
{
	unsigned int workers = 0;
	uint64_t sum = 0;

	for (unsigned int i = 0; i < c->n_lcores; i++)
		workers += c->lcores[i].role == ROLE_WORKER;
	const struct {
		const char *what;
		unsigned int n;
		uint64_t bytes;
	} tables[] = {
		{"routes", c->limits.routes,
			fib4_size(c->limits.routes) + fib6_size(c->limits.routes)},
		{"next hops", c->limits.nexthops, c->limits.nexthops * 64ull},
		{"SAs", c->limits.sas,
			(uint64_t)c->limits.sas *
				(sizeof(struct sa) + sizeof(struct sa_cold) + 128 +
					workers * sizeof(struct sa_counters))},
		{"policies", c->limits.policies,
			spd_size(c->limits.policies) +
				(uint64_t)workers * SPD_DIRS *
					spd_recent_places(c->limits.policies) *
					sizeof(struct spd_recent)},
		{"packet buffers", c->limits.mbufs,
			(uint64_t)c->limits.mbufs * config_packet_size(c)},
	};

	for (unsigned int i = 0; i < RTE_DIM(tables); i++) {
		fprintf(out, "table: %u %s, %" PRIu64 " KiB\n", tables[i].n, tables[i].what,
			tables[i].bytes >> 10);
		sum += tables[i].bytes;
	}
	fprintf(out,
		"memory: %u MiB of huge pages on each NUMA node in use, %" PRIu64
		" MiB for these tables%s\n",
		c->eal.memory, sum >> 20,
		sum >> 20 >= c->eal.memory ? ": NOT ENOUGH, raise eal.memory" : "");
}

static void
print_crypto(const struct config *c, FILE *out)
{
	fprintf(out, "crypto: %s, %u frames a worker, devices",
		c->crypto.mode == CRYPTO_DEDICATED ? "dedicated" : "inline", c->crypto.frames);
	for (unsigned int i = 0; i < c->crypto.n_devices; i++)
		fprintf(out, " %s", c->crypto.devices[i]);
	fprintf(out, "\nipsec: to and from the router itself %s, policies complete %s",
		action_names[c->local_action], c->static_only ? "at start" : "when charon says so");
	if (!c->static_only)
		fprintf(out, " (a warning after %u s), SAs of a dead owner %u s",
			c->policies_timeout, c->orphan_grace);
	fprintf(out, "\n");
	for (unsigned int i = 0; i < c->n_sas; i++)
		fprintf(out, "static SA %s: %s, SPI 0x%08x, reqid %u%s\n", c->sas[i].name,
			c->sas[i].conf.dir == SA_DIR_IN ? "in" : "out", ntohl(c->sas[i].conf.spi),
			c->sas[i].conf.reqid, c->sas[i].insecure_test ? ", INSECURE TEST" : "");
	fprintf(out, "static policies: %u\n", c->n_policies);
	for (unsigned int i = 0; i < c->n_pairs; i++)
		fprintf(out, "without a policy: %s -> %s %s\n", c->ports[c->pairs[i].from].name,
			c->ports[c->pairs[i].to].name, action_names[c->pairs[i].action]);
	for (unsigned int i = 0; i < c->n_plugins; i++)
		fprintf(out, "plugin %s: %s between %s and %s\n", c->plugins[i].library,
			c->plugins[i].node,
			strcmp(c->plugins[i].from, c->plugins[i].node) != 0 ? c->plugins[i].from
									    : "nothing",
			c->plugins[i].to);
}

static int
check_devices(const struct config *c)
{
	for (unsigned int i = 0; i < c->n_lcores; i++)
		if (!config_cpu_online(c->lcores[i].cpu)) {
			fprintf(config_complaints(),
				"%s: lcores[%u].cpu: cpu %u does not exist, or is offline\n",
				c->path, i, c->lcores[i].cpu);
			return -ENODEV;
		}
	for (unsigned int i = 0; i < c->n_ports; i++) {
		const struct config_port *p = &c->ports[i];

		if (p->netdev != NULL && if_nametoindex(p->netdev) == 0) {
			fprintf(config_complaints(),
				"%s:%u: ports[%u].%s: there is no interface '%s'\n", c->path,
				p->netdev_line, i, p->netdev_given ? "netdev" : "devargs",
				p->netdev);
			return -ENODEV;
		}
	}
	for (unsigned int i = 0; i < c->n_plugins; i++)
		if (access(c->plugins[i].library, R_OK) < 0) {
			fprintf(config_complaints(), "%s:%u: plugins[%u].library: %s: %s\n",
				c->path, c->plugins[i].line, i, c->plugins[i].library,
				strerror(errno));
			return -ENODEV;
		}
	return 0;
}

int
config_plan(const struct config *c, FILE *out)
{
	fprintf(out, "router %s: socket %s, file prefix %s, %s when idle\n", c->name, c->socket,
		c->eal.file_prefix, c->idle == IDLE_POLL ? "polls" : "backs off");
	print_lcores(c, out);
	print_ports(c, out);
	print_crypto(c, out);
	print_memory(c, out);
	return check_devices(c);
}
