/* SPDX-License-Identifier: BSD-3-Clause */
#include "ports.h"

#include "host.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>

#define RX_DESCRIPTORS 1024
#define TX_DESCRIPTORS 1024

struct netdev_before {
	bool deaf, kept; /* kept: of a port that is open */
	bool taken; /* by take_netdev(), whatever came of it */
};

/* The device's name is what its devargs begin with; what follows are the driver's arguments. False: too long a name. */
static bool
device_name(const struct config_port *cp, char name[RTE_ETH_NAME_MAX_LEN])
{
	return snprintf(name, RTE_ETH_NAME_MAX_LEN, "%.*s", (int)strcspn(cp->devargs, ","),
		       cp->devargs) < RTE_ETH_NAME_MAX_LEN;
}

/*
 * A virtual device is not made by rte_dev_probe(): that has each secondary make it too, and takes it back when charon's
 * agent, just half attached, cannot.
 */
static int
make_device(const struct config_port *cp, const char *name)
{
	const char *args = strchr(cp->devargs, ',');

	if (config_is_pci(cp->devargs))
		return rte_dev_probe(cp->devargs);
	return rte_vdev_init(name, args != NULL ? args + 1 : "");
}

/*
 * Makes the port's netdev deaf before its device is: af_packet takes in what Linux sends there, too, and Linux's probe for another
 * owner of its link-local address would make the same address of our tap unusable. before: how it was, for give_back().
 */
static int
take_netdev(const struct config_port *cp, struct netdev_before *before)
{
	before->deaf = cp->netdev == NULL || host_is_deaf(cp->netdev) > 0;
	before->kept = cp->netdev == NULL || host_deaf_kept(cp->netdev);
	before->taken = true;
	return host_deafen(cp->netdev);
}

/* The rest failed. What an earlier run left deaf stays so, but it is not ours to keep it. */
static void
give_back(const struct config_port *cp, const struct netdev_before *before)
{
	if (!before->taken || before->kept)
		return;
	if (before->deaf)
		host_deaf_forget(cp->netdev);
	else
		host_undeafen(cp->netdev);
}

/* The device, made if it is not there. What EAL and its bus have to say of that, one line of ours says better. */
static int
find_port(const struct config_port *cp, uint16_t *id)
{
	const int types[] = {rte_log_register("lib.eal"), rte_log_register("bus.vdev")};
	const int levels[] = {rte_log_get_level(types[0]), rte_log_get_level(types[1])};
	char name[RTE_ETH_NAME_MAX_LEN];
	bool fits = device_name(cp, name);

	if (fits && rte_eth_dev_get_port_by_name(name, id) != 0) {
		for (unsigned int i = 0; i < RTE_DIM(types); i++)
			rte_log_set_level(types[i], RTE_LOG_CRIT);
		make_device(cp, name);
		for (unsigned int i = 0; i < RTE_DIM(types); i++)
			rte_log_set_level(types[i], levels[i]);
	}
	if (!fits || rte_eth_dev_get_port_by_name(name, id) != 0) {
		LOG(ERR, "port %s: device \"%s\" is not there", cp->name, cp->devargs);
		return -ENODEV;
	}
	if (*id >= WORKER_MAX_DEVICES) {
		LOG(ERR, "port %s: more than %d devices", cp->name, WORKER_MAX_DEVICES);
		return -ENOSPC;
	}
	return 0;
}

static int
setup_queues(struct router *r, const struct config_port *cp, uint16_t id)
{
	uint16_t rxd = RX_DESCRIPTORS, txd = TX_DESCRIPTORS;
	int socket = rte_eth_dev_socket_id(id), rc;

	rc = rte_eth_dev_adjust_nb_rx_tx_desc(id, &rxd, &txd);
	for (unsigned int q = 0; rc == 0 && q < cp->rx_queues; q++)
		rc = rte_eth_rx_queue_setup(id, q, rxd, socket, NULL, r->mbufs);
	for (unsigned int q = 0; rc == 0 && q < r->n_workers; q++)
		rc = rte_eth_tx_queue_setup(id, q, txd, socket, NULL);
	return rc;
}

static int
start_port(struct router *r, const struct config_port *cp, uint16_t id)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(id, &info);

	if (rc < 0) {
		LOG(ERR, "port %s: %s", cp->name, strerror(-rc));
		return rc;
	}
	if (cp->rx_queues > info.max_rx_queues || r->n_workers > info.max_tx_queues) {
		LOG(ERR,
			"port %s: %u rx queues and a tx queue for each of %u workers are wanted, "
			"the "
			"device has %u and %u",
			cp->name, cp->rx_queues, r->n_workers, info.max_rx_queues,
			info.max_tx_queues);
		return -EINVAL;
	}
	/* They are one fanout group: the kernel gives each its share of the flows, polled or not. */
	if (strcmp(info.driver_name, "net_af_packet") == 0 && cp->rx_queues != info.max_rx_queues) {
		LOG(ERR,
			"port %s: rx-queues is %u, and the device has %u queues (qpairs of its "
			"devargs), which the kernel spreads packets over: make them equal",
			cp->name, cp->rx_queues, info.max_rx_queues);
		return -EINVAL;
	}
	if (cp->rx_queues > 1) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			info.flow_type_rss_offloads &
			(RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_ESP);
		if (conf.rx_adv_conf.rss_conf.rss_hf == 0)
			conf.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
	}
	conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	rc = rte_eth_dev_configure(id, cp->rx_queues, r->n_workers, &conf);
	if (rc == 0)
		rc = setup_queues(r, cp, id);
	if (rc == 0) {
		rc = rte_eth_dev_set_mtu(id, cp->mtu);
		if (rc == -ENOTSUP) /* the device has no limit of its own */
			rc = 0;
	}
	if (rc == 0)
		rc = rte_eth_dev_start(id);
	if (rc < 0)
		LOG(ERR, "port %s (%s): %s", cp->name, cp->devargs, strerror(-rc));
	return rc;
}

uint16_t
ports_device(const struct router *r, unsigned int i)
{
	const struct config_port *cp = &r->config->ports[i];

	return r->port_ids[cp->vlan != 0 ? cp->parent : i];
}

/* The array stays as long as the router: a worker may hold it. */
int
ports_set_vlan(struct router *r, uint16_t device, unsigned int vlan, uint16_t id)
{
	uint8_t *vlans = r->vlans[device];

	RTE_BUILD_BUG_ON(WORKER_MAX_DEVICES + CONFIG_MAX_VLANS > WORKER_MAX_PORTS);
	if (vlans == NULL) {
		vlans = rte_zmalloc("vlans", WORKER_VLANS, RTE_CACHE_LINE_SIZE);
		if (vlans == NULL)
			return -ENOMEM;
		r->vlans[device] = vlans;
		for (unsigned int i = 0; i < r->n_workers; i++)
			__atomic_store_n(
				&r->lcores[i]->port[device].vlans, vlans, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&vlans[vlan], (uint8_t)id, __ATOMIC_RELEASE);
	return 0;
}

/* Its device is started already. */
static int
add_vlan(struct router *r, unsigned int i, uint16_t id)
{
	const struct config_port *cp = &r->config->ports[i];

	r->port_ids[i] = id;
	if (ports_set_vlan(r, ports_device(r, i), cp->vlan, id) == 0)
		return 0;
	LOG(ERR, "port %s: no memory", cp->name);
	return -ENOMEM;
}

int
ports_open(struct router *r, const struct config_port *cp, uint16_t *id)
{
	char name[RTE_ETH_NAME_MAX_LEN];
	bool pci = config_is_pci(cp->devargs), made = false;
	struct netdev_before before;
	int rc;

	if (!device_name(cp, name))
		name[0] = '\0';
	if (pci && rte_eth_dev_get_port_by_name(name, id) != 0) {
		LOG(ERR, "port %s: %s was not there at the start: a PCI device needs a restart",
			cp->name, name);
		return -ENODEV;
	}
	rc = take_netdev(cp, &before);
	/* What of that name is there already is somebody's: it is not made, nor taken away when this fails. */
	if (rc == 0 && !pci) {
		rc = name[0] != '\0' ? make_device(cp, name) : -ENAMETOOLONG;
		made = rc == 0;
		if (rc < 0)
			LOG(ERR, "port %s: device \"%s\": %s", cp->name, cp->devargs,
				strerror(-rc));
	}
	if (rc == 0)
		rc = find_port(cp, id);
	if (rc == 0)
		rc = start_port(r, cp, *id);
	if (rc < 0) {
		if (made)
			rte_vdev_uninit(name);
		give_back(cp, &before);
	}
	return rc;
}

void
ports_close(const struct config_port *cp, uint16_t id)
{
	char name[RTE_ETH_NAME_MAX_LEN];

	rte_eth_dev_stop(id);
	if (!config_is_pci(cp->devargs)) {
		rte_eth_dev_close(id);
		device_name(cp, name);
		rte_vdev_uninit(name);
	}
	host_undeafen(cp->netdev);
}

/* Clear forwarding with no policy needs the word of both ports, or of the pair. */
void
ports_pairs(const struct config *config, const uint16_t *ids,
	bool pairs[WORKER_MAX_PORTS][WORKER_MAX_PORTS])
{
	bool to[WORKER_MAX_PORTS][WORKER_MAX_PORTS] = {0};

	for (unsigned int i = 0; i < config->n_ports; i++)
		for (unsigned int k = 0; k < config->n_ports; k++)
			to[ids[i]][ids[k]] = config->ports[i].default_action == DEFAULT_BYPASS &&
					     config->ports[k].default_action == DEFAULT_BYPASS;
	for (unsigned int i = 0; i < config->n_pairs; i++)
		to[ids[config->pairs[i].from]][ids[config->pairs[i].to]] =
			config->pairs[i].action == DEFAULT_BYPASS;
	/* Workers read it meanwhile: what stays is at no moment otherwise. */
	memcpy(pairs, to, sizeof(to));
}

static int
start_device(struct router *r, unsigned int i, struct netdev_before *before)
{
	const struct config_port *cp = &r->config->ports[i];
	int rc = take_netdev(cp, before);

	if (rc == 0)
		rc = find_port(cp, &r->port_ids[i]);
	return rc == 0 ? start_port(r, cp, r->port_ids[i]) : rc;
}

int
ports_start(struct router *r)
{
	const struct config *config = r->config;
	uint16_t next_id = WORKER_MAX_DEVICES;
	struct netdev_before before[CONFIG_MAX_PORTS] = {0};
	int rc = 0;

	for (unsigned int i = 0; rc == 0 && i < config->n_ports; i++)
		rc = config->ports[i].vlan != 0 ? add_vlan(r, i, next_id++)
						: start_device(r, i, &before[i]);
	for (unsigned int i = 0; rc < 0 && i < config->n_ports; i++)
		give_back(&config->ports[i], &before[i]);
	if (rc == 0)
		ports_pairs(config, r->port_ids, r->pair_bypass);
	return rc;
}

void
ports_stop(struct router *r)
{
	uint16_t id;

	for (unsigned int i = 0; i < WORKER_MAX_DEVICES; i++) {
		rte_free(r->vlans[i]);
		r->vlans[i] = NULL;
	}
	RTE_ETH_FOREACH_DEV (id) {
		rte_eth_dev_stop(id);
		rte_eth_dev_close(id);
	}
}
