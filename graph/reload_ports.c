/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore_ports.h"
#include "log.h"
#include "log_sink.h"
#include "ports.h"
#include "reload_priv.h"

#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>

/* Ports that a reload brings, takes away and changes. */

static struct host_port
host_port_of(const struct reload *job, const struct config_port *cp, uint16_t id, uint16_t device)
{
	struct host_port p = {.name = cp->name,
		.router = job->r->config->name,
		.mtu = cp->mtu,
		.port_id = id,
		.addrs = cp->addrs,
		.plens = cp->plens,
		.n_addrs = cp->n_addresses};
	struct rte_ether_addr mac;

	if (rte_eth_macaddr_get(device, &mac) == 0)
		memcpy(p.mac, &mac, sizeof(p.mac));
	return p;
}

static bool
id_taken(const struct reload *job, uint16_t id, unsigned int n)
{
	for (unsigned int i = 0; i < job->r->config->n_ports; i++)
		if (job->r->port_ids[i] == id)
			return true;
	for (unsigned int i = 0; i < n; i++)
		if (job->ids[i] == id)
			return true;
	return false;
}

static int
vlan_id(const struct reload *job, unsigned int n, uint16_t *id)
{
	for (*id = WORKER_MAX_DEVICES; *id < WORKER_MAX_PORTS; (*id)++)
		if (!id_taken(job, *id, n))
			return 0;
	LOG(ERR, "port %s: no room while those that go are there, too: reload twice",
		job->next->ports[n].name);
	return -ENOSPC;
}

static uint16_t
device_of(const struct config *config, const uint16_t *ids, unsigned int i)
{
	return ids[config->ports[i].vlan != 0 ? config->ports[i].parent : i];
}

static int
open_port(struct reload *job, unsigned int i)
{
	const struct config_port *cp = &job->next->ports[i];
	struct reload_port *in = &job->in[job->n_in++];
	unsigned int room = rte_pktmbuf_data_room_size(job->r->mbufs) - RTE_PKTMBUF_HEADROOM;
	struct host_port hp;
	int rc;

	*in = (struct reload_port){.conf = cp};
	if (cp->mtu + CONFIG_PACKET_MARGIN > room)
		return reload_fail(job, -EAGAIN,
			"port %s: mtu %u needs larger packet buffers: a restart", cp->name,
			cp->mtu);
	log_sink_keep();
	rc = cp->vlan != 0 ? vlan_id(job, i, &in->id) : ports_open(job->r, cp, &in->id);
	in->made = rc == 0 && cp->vlan == 0;
	job->ids[i] = in->id;
	if (rc == 0) {
		hp = host_port_of(job, cp, in->id, device_of(job->next, job->ids, i));
		in->tap = host_port_open(&hp);
		rc = in->tap != NULL ? 0 : -EIO;
	}
	return rc == 0 ? 0 : reload_fail(job, rc, "%s", log_sink_kept());
}

static bool
addresses_differ(const struct config_port *a, const struct config_port *b)
{
	for (unsigned int i = 0; i < a->n_addresses && i < b->n_addresses; i++)
		if (strcmp(a->addresses[i], b->addresses[i]) != 0)
			return true;
	return a->n_addresses != b->n_addresses;
}

/* Those of ports that stay. back: to what they were. */
static int
set_addresses(struct reload *job, bool back)
{
	const struct router *r = job->r;

	for (unsigned int i = 0; i < job->next->n_ports; i++) {
		int k = job->diff.port_before[i];
		struct host_port is, was;
		uint16_t device;

		if (k == RELOAD_NONE ||
			!addresses_differ(&r->config->ports[k], &job->next->ports[i]))
			continue;
		device = device_of(job->next, job->ids, i);
		is = host_port_of(job, &job->next->ports[i], job->ids[i], device);
		was = host_port_of(job, &r->config->ports[k], job->ids[i], device);
		log_sink_keep();
		if (host_port_addresses(back ? &was : &is, back ? &is : &was) < 0)
			return reload_fail(job, -EADDRNOTAVAIL, "%s", log_sink_kept());
	}
	return 0;
}

void
reload_ports_reject(struct reload *job)
{
	memcpy(job->out, job->in, sizeof(job->out));
	job->n_out = job->n_in;
	job->n_in = 0;
}

int
reload_ports_prepare(struct reload *job)
{
	int rc = 0;

	for (unsigned int i = 0; i < job->next->n_ports; i++)
		if (job->diff.port_before[i] != RELOAD_NONE)
			job->ids[i] = job->r->port_ids[job->diff.port_before[i]];
	/* Devices stand before the VLANs of them. */
	for (unsigned int i = 0; rc == 0 && i < job->next->n_ports; i++)
		if (job->diff.port_before[i] == RELOAD_NONE)
			rc = open_port(job, i);
	if (rc == 0)
		rc = set_addresses(job, false);
	if (rc == 0)
		return 0;
	if (rc == -EADDRNOTAVAIL)
		set_addresses(job, true);
	reload_ports_reject(job);
	reload_ports_close(job);
	return rc;
}

/* Waits for the kernel, some milliseconds, where nothing but a full table leads. */
void
reload_ports_back(struct reload *job)
{
	set_addresses(job, true);
}

/* What a lcore does not ask for before some table leads to the port. */
int
reload_ports_add(struct reload *job)
{
	struct router *r = job->r;
	int rc = 0;

	log_sink_keep();
	for (unsigned int i = 0, k = 0; rc == 0 && i < job->next->n_ports; i++) {
		const struct config_port *cp = &job->next->ports[i];
		struct reload_port *in = &job->in[k];

		if (job->diff.port_before[i] != RELOAD_NONE)
			continue;
		k++;
		for (unsigned int w = 0; w < r->n_workers; w++)
			lcore_port_fill(r, r->lcores[w], job->next, job->ids, i);
		if (cp->vlan != 0)
			rc = ports_set_vlan(r, device_of(job->next, job->ids, i), cp->vlan, 0);
		if (rc == 0)
			rc = host_port_add(r->host, in->tap);
		in->added = rc == 0;
	}
	if (rc == 0) {
		log_sink_kept();
		return 0;
	}
	return reload_fail(job, rc, "%s", log_sink_kept());
}

void
reload_ports_commit(struct reload *job, struct worker_sources *const *sources)
{
	struct router *r = job->r;
	const struct config *next = job->next;

	for (unsigned int i = 0; i < next->n_ports; i++) {
		if (next->ports[i].vlan != 0 && job->diff.port_before[i] == RELOAD_NONE)
			ports_set_vlan(
				r, device_of(next, job->ids, i), next->ports[i].vlan, job->ids[i]);
		for (unsigned int w = 0; w < r->n_workers; w++)
			lcore_port_update(r->lcores[w], &next->ports[i], job->ids[i]);
	}
	for (unsigned int w = 0; w < r->n_workers; w++)
		lcore_sources_set(r, r->lcores[w], sources[w]);
	for (unsigned int i = 0; i < r->config->n_ports; i++)
		if (job->diff.port_after[i] == RELOAD_NONE)
			job->out[job->n_out++] = (struct reload_port){
				.conf = &r->config->ports[i],
				.id = r->port_ids[i],
				.made = r->config->ports[i].vlan == 0,
				.added = true,
			};
	for (unsigned int i = 0; i < r->config->n_ports; i++)
		if (job->diff.port_after[i] == RELOAD_NONE && r->config->ports[i].vlan != 0)
			ports_set_vlan(r, device_of(r->config, r->port_ids, i),
				r->config->ports[i].vlan, 0);
}

void
reload_ports_drop(struct reload *job)
{
	for (unsigned int i = 0; i < job->n_out; i++) {
		if (job->out[i].added)
			host_port_drop(job->r->host, job->out[i].id);
		for (unsigned int w = 0; w < job->r->n_workers; w++)
			lcore_port_mute(job->r->lcores[w], job->out[i].id);
	}
}

void
reload_ports_take(struct reload *job)
{
	for (unsigned int i = 0; i < job->n_out; i++) {
		struct host_tap *tap =
			job->out[i].added ? host_port_take(job->r->host, job->out[i].id) : NULL;

		/* Of a port that was to come, what was opened for it is the same tap. */
		if (job->out[i].tap == NULL)
			job->out[i].tap = tap;
		else
			free(tap);
		for (unsigned int w = 0; w < job->r->n_workers; w++)
			job->r->lcores[w]->port[job->out[i].id].present = false;
	}
}

/* VLANs, which follow their devices, first. */
void
reload_ports_close(struct reload *job)
{
	for (unsigned int i = job->n_out; i-- > 0;) {
		struct reload_port *p = &job->out[i];

		host_port_close(p->tap, p->conf->name);
		p->tap = NULL;
		if (p->made)
			ports_close(p->conf, p->id);
	}
}
