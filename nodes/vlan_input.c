/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"
#include "worker.h"

#include <rte_ether.h>

/*
 * 802.1Q: the tag goes, and the frame is that of a port, its VLAN. A driver may have taken the tag off itself.
 * port-tx puts it on again.
 */

enum { EDGE_ETHER, EDGE_DROP };

#define VID_MASK 0xfff

static inline rte_edge_t
drop(struct pkt *p, enum drop_reason reason)
{
	p->drop = reason;
	return EDGE_DROP;
}

static inline rte_edge_t
untag(struct worker *w, struct rte_mbuf *m, struct pkt *p)
{
	const struct worker_port *port = &w->port[p->in_port];
	uint16_t vid = m->vlan_tci & VID_MASK;
	uint8_t *eth = rte_pktmbuf_mtod(m, uint8_t *);
	struct worker_port *vlan;

	if (port->vlan != 0)
		return drop(p, DROP_ETHER_TYPE); /* a second tag */
	if (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) {
		m->ol_flags &= ~(RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
	} else {
		const struct rte_vlan_hdr *tag = (void *)(eth + RTE_ETHER_HDR_LEN);

		if (rte_pktmbuf_data_len(m) < RTE_ETHER_HDR_LEN + sizeof(*tag))
			return drop(p, DROP_ETHER_SHORT);
		vid = rte_be_to_cpu_16(tag->vlan_tci) & VID_MASK;
		memmove(eth + sizeof(*tag), eth, 2 * RTE_ETHER_ADDR_LEN);
		rte_pktmbuf_adj(m, sizeof(*tag));
	}
	/* A priority, and no VLAN: one, else a frame would come here for each of its tags. */
	if (vid == 0) {
		const struct rte_ether_hdr *left =
			rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);

		return left->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN)
			       ? EDGE_ETHER
			       : drop(p, DROP_ETHER_TYPE);
	}
	if (port->vlans == NULL || port->vlans[vid] == 0)
		return drop(p, DROP_ETHER_VLAN);
	p->in_port = port->vlans[vid];
	vlan = &w->port[p->in_port];
	p->flags = (p->flags & ~PKT_F_OUTSIDE) | vlan->flags;
	vlan->rx_packets++;
	vlan->rx_bytes += rte_pktmbuf_pkt_len(m);
	return EDGE_ETHER;
}

static uint16_t
vlan_input_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	struct stream s = stream_begin(graph, node, objs);
	struct worker *w = worker_of(node);

	for (uint16_t i = 0; i < n; i++)
		stream_put(&s, i, untag(w, objs[i], pkt(objs[i])));
	return stream_end(&s, n);
}

static struct rte_node_register vlan_input_node = {
	.name = "vlan-input",
	.init = worker_node_init,
	.process = vlan_input_process,
	.nb_edges = 2,
	.next_nodes = {[EDGE_ETHER] = "ether-input", [EDGE_DROP] = "drop"},
};
RTE_NODE_REGISTER(vlan_input_node);
