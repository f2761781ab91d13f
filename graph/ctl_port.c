/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"

#include "ports.h"

#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>

static json_t *
link_state(uint16_t id)
{
	struct rte_eth_link l;

	if (rte_eth_link_get_nowait(id, &l) != 0)
		return json_null();
	return json_pack("{ss so ss}", "state", l.link_status == RTE_ETH_LINK_UP ? "up" : "down",
		"mbps",
		l.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? json_null()
							  : json_integer(l.link_speed),
		"duplex", l.link_duplex == RTE_ETH_LINK_FULL_DUPLEX ? "full" : "half");
}

static json_t *
stats(uint16_t id)
{
	struct rte_eth_stats s;

	if (rte_eth_stats_get(id, &s) != 0)
		return json_null();
	return json_pack("{sI sI sI sI sI sI sI sI}", "rx_packets", ctl_int(s.ipackets), "rx_bytes",
		ctl_int(s.ibytes), "rx_missed", ctl_int(s.imissed), "rx_errors", ctl_int(s.ierrors),
		"rx_no_mbuf", ctl_int(s.rx_nombuf), "tx_packets", ctl_int(s.opackets), "tx_bytes",
		ctl_int(s.obytes), "tx_errors", ctl_int(s.oerrors));
}

void
ctl_vlan_stats(const struct router *r, uint16_t id, struct rte_eth_stats *s)
{
	memset(s, 0, sizeof(*s));
	for (unsigned int i = 0; i < r->n_workers; i++) {
		const struct worker_port *p = &r->lcores[i]->port[id];

		s->ipackets += p->rx_packets;
		s->ibytes += p->rx_bytes;
		s->opackets += p->tx_packets;
		s->obytes += p->tx_bytes;
	}
}

static json_t *
vlan_stats(const struct ctl *ctl, uint16_t id)
{
	struct rte_eth_stats s;

	ctl_vlan_stats(ctl->r, id, &s);
	return json_pack("{sI sI sI sI}", "rx_packets", ctl_int(s.ipackets), "rx_bytes",
		ctl_int(s.ibytes), "tx_packets", ctl_int(s.opackets), "tx_bytes",
		ctl_int(s.obytes));
}

static json_t *
port_row(const struct ctl *ctl, unsigned int i)
{
	const struct config_port *port = &ctl->r->config->ports[i];
	uint16_t id = ctl->r->port_ids[i], device = ports_device(ctl->r, i), mtu = port->mtu;
	struct rte_eth_dev_info info = {0};
	struct rte_ether_addr mac = {0};
	json_t *addresses = json_array(), *workers = json_array();
	unsigned int ifindex = 0;
	json_t *row;

	if (rte_eth_dev_info_get(device, &info) != 0)
		info.driver_name = NULL;
	rte_eth_macaddr_get(device, &mac);
	if (port->vlan == 0)
		rte_eth_dev_get_mtu(id, &mtu);
	if (ctl->r->host != NULL)
		ifindex = host_ifindex(ctl->r->host, id);
	for (unsigned int a = 0; a < port->n_addresses; a++)
		json_array_append_new(addresses, json_string(port->addresses[a]));
	for (unsigned int q = 0; q < port->rx_queues; q++)
		json_array_append_new(workers, json_integer(port->workers[q]));
	row = json_pack("{ss si ss? ss? so si so so so so sI ss sb}", "name", port->name, "port",
		id, "driver", info.driver_name, "netdev", port->netdev, "mac",
		ctl_mac(mac.addr_bytes), "mtu", mtu, "link", link_state(device), "stats",
		port->vlan != 0 ? vlan_stats(ctl, id) : stats(id), "addresses", addresses,
		"workers", workers, "tap_ifindex", (json_int_t)ifindex, "default_action",
		port->default_action == DEFAULT_BYPASS ? "bypass" : "discard", "outside",
		port->outside);
	if (port->vlan != 0 && row != NULL) {
		json_object_set_new(row, "vlan", json_integer(port->vlan));
		json_object_set_new(
			row, "parent", json_string(ctl->r->config->ports[port->parent].name));
	}
	if (port->netdev != NULL && row != NULL) {
		int deaf = host_is_deaf(port->netdev);

		json_object_set_new(row, "deaf", deaf < 0 ? json_null() : json_boolean(deaf));
	}
	return row;
}

int
ctl_port(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	int rc = ctl_no_args(args, reply);

	if (rc < 0)
		return rc;
	reply->data = json_array();
	for (unsigned int i = 0; i < ctl->r->config->n_ports; i++)
		if (json_array_append_new(reply->data, port_row(ctl, i)) != 0)
			return -ENOMEM;
	return 0;
}
