/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"

#include "log.h"
#include "probe.h"
#include "telemetry.h"

#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

struct ctl *
ctl_new(struct router *r)
{
	struct ctl *ctl = calloc(1, sizeof(*ctl));

	if (ctl == NULL)
		return NULL;
	ctl->r = r;
	ctl->started = ctl_now();
	ctl->isolated = calloc(r->config->n_lcores + 1, sizeof(*ctl->isolated));
	ctl->samples = calloc(r->n_lcores + 1, sizeof(*ctl->samples));
	if (ctl->isolated == NULL || ctl->samples == NULL) {
		ctl_free(ctl);
		return NULL;
	}
	for (unsigned int i = 0; i < r->config->n_lcores; i++)
		ctl->isolated[i] = config_cpu_isolated(r->config->lcores[i].cpu);
	ctl_sample(ctl);
	return ctl;
}

void
ctl_free(struct ctl *ctl)
{
	if (ctl == NULL)
		return;
	free(ctl->isolated);
	free(ctl->samples);
	probe_destroy(ctl->probe);
	free(ctl);
}

void
ctl_sample(struct ctl *ctl)
{
	for (unsigned int i = 0; i < ctl->r->n_lcores; i++) {
		const volatile struct worker *w = ctl->r->lcores[i];

		ctl->samples[i][1] = ctl->samples[i][0];
		ctl->samples[i][0] = (struct ctl_sample){
			.tsc = rte_get_tsc_cycles(),
			.walks = w->walks,
			.sleeps = w->sleeps,
			.sleep_cycles = w->sleep_cycles,
			.busy_cycles = w->busy_cycles,
		};
	}
	ctl->ticks++;
}

struct ctl *
ctl_start(struct router *r)
{
	struct ctl *ctl = ctl_new(r);

	if (ctl == NULL) {
		LOG(ERR, "not enough memory for cygnetctl's socket");
		return NULL;
	}
	ctl->server = ctl_server_start(ctl);
	if (ctl->server == NULL) {
		ctl_free(ctl);
		return NULL;
	}
	telemetry_start(r);
	return ctl;
}

void
ctl_stop(struct ctl *ctl)
{
	if (ctl == NULL)
		return;
	telemetry_stop();
	ctl_server_stop(ctl->server);
	ctl_free(ctl);
}

void
ctl_owners_read(const struct ctl *ctl, struct ctl_owners *owners)
{
	owners->n = 0;
	if (ctl->r->channel != NULL)
		owners->n = channel_owners(ctl->r->channel, owners->v, CTL_OWNERS);
}

const char *
ctl_owner_state(const struct ctl_owners *owners, uint64_t owner)
{
	if (owner == 0)
		return "static";
	for (unsigned int i = 0; i < owners->n; i++)
		if (owners->v[i].owner == owner)
			return owners->v[i].alive ? "alive" : "orphan";
	return "orphan";
}

const char *
ctl_port_name(const struct ctl *ctl, uint16_t port_id)
{
	const struct router *r = ctl->r;

	for (unsigned int i = 0; i < r->config->n_ports; i++)
		if (r->port_ids[i] == port_id)
			return r->config->ports[i].name;
	return NULL;
}
