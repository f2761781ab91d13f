/* SPDX-License-Identifier: BSD-3-Clause */
#include "reload_diff_priv.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* Ports, static SAs and static policies: lists whose elements come, go and change. */

static int
port_named(const struct config *c, const char *name)
{
	for (unsigned int i = 0; i < c->n_ports; i++)
		if (strcmp(c->ports[i].name, name) == 0)
			return (int)i;
	return RELOAD_NONE;
}

/* Where the file left it open, a port that stays stays with its workers, whatever comes before it now. */
static void
keep_workers(const struct config_port *now, struct config_port *next)
{
	if (now->vlan == 0 && next->vlan == 0 && !next->workers_given &&
		now->rx_queues == next->rx_queues)
		memcpy(next->workers, now->workers, now->rx_queues * sizeof(*now->workers));
}

static const char *
device_word(const struct config *c, const struct config_port *p, char buf[64])
{
	if (p->vlan == 0)
		return p->devargs;
	snprintf(buf, 64, "VLAN %u of %s", p->vlan, c->ports[p->parent].name);
	return buf;
}

static void
compare_port(struct diff *d, const struct config *now, const struct config_port *a,
	const struct config *next, const struct config_port *b)
{
	static const char *const actions[] = {"discard", "bypass"};
	char x[64], y[64];
	const char *was = device_word(now, a, x), *is = device_word(next, b, y);

	if (strcmp(was, is) != 0)
		reload_line(d, '!', "port %s: %s -> %s", b->name, was, is);
	if (!reload_same_text(a->netdev, b->netdev))
		reload_line(d, '!', "port %s: netdev", b->name);
	if (a->mtu != b->mtu)
		reload_line(d, '!', "port %s: mtu %u -> %u", b->name, a->mtu, b->mtu);
	if (a->rx_queues != b->rx_queues)
		reload_line(
			d, '!', "port %s: rx-queues %u -> %u", b->name, a->rx_queues, b->rx_queues);
	else if (a->rx_queues > 0 &&
		 memcmp(a->workers, b->workers, a->rx_queues * sizeof(*a->workers)) != 0)
		reload_line(d, '!', "port %s: workers", b->name);
	if (a->default_action != b->default_action)
		reload_line(d, '~', "port %s: default-action %s -> %s", b->name,
			actions[a->default_action], actions[b->default_action]);
	if (a->outside != b->outside)
		reload_line(d, '~', "port %s: outside %s", b->name,
			b->outside ? "false -> true" : "true -> false");
	if (a->mark != b->mark)
		reload_line(d, '~', "port %s: mark %u -> %u", b->name, a->mark, b->mark);
	for (unsigned int i = 0; i < b->n_addresses; i++) {
		bool there = false;

		for (unsigned int k = 0; k < a->n_addresses; k++)
			there |= strcmp(a->addresses[k], b->addresses[i]) == 0;
		if (!there)
			reload_line(d, '+', "port %s: address %s", b->name, b->addresses[i]);
	}
	for (unsigned int i = 0; i < a->n_addresses; i++) {
		bool there = false;

		for (unsigned int k = 0; k < b->n_addresses; k++)
			there |= strcmp(b->addresses[k], a->addresses[i]) == 0;
		if (!there)
			reload_line(d, '-', "port %s: address %s", b->name, a->addresses[i]);
	}
}

static bool
same_device(const struct config *now, const struct config_port *a, const struct config *next,
	const struct config_port *b)
{
	size_t n = a->vlan == 0 ? strcspn(a->devargs, ",") : 0;

	if (a->vlan != 0 && a->vlan == b->vlan)
		return strcmp(now->ports[a->parent].name, next->ports[b->parent].name) == 0;
	if (a->netdev != NULL && b->netdev != NULL && strcmp(a->netdev, b->netdev) == 0)
		return true;
	return a->vlan == 0 && b->vlan == 0 && strcspn(b->devargs, ",") == n &&
	       strncmp(a->devargs, b->devargs, n) == 0;
}

/* A device that goes as one port and comes as another is nobody's in between. */
static void
check_reuse(struct diff *d, const struct config *now, const struct config *next)
{
	for (unsigned int i = 0; i < now->n_ports; i++)
		for (unsigned int k = 0; d->to->port_after[i] == RELOAD_NONE && k < next->n_ports;
			k++)
			if (d->to->port_before[k] == RELOAD_NONE &&
				same_device(now, &now->ports[i], next, &next->ports[k]))
				reload_line(d, '!',
					"port %s: has the device of %s, which goes: take that away "
					"first",
					next->ports[k].name, now->ports[i].name);
}

/* A port that comes is polled by workers that run: one of the file's alone would never look. */
static void
check_workers(struct diff *d, const struct config *now, const struct config_port *p)
{
	for (unsigned int q = 0; q < p->rx_queues; q++) {
		bool runs = false;

		for (unsigned int i = 0; i < now->n_lcores; i++)
			runs |= now->lcores[i].lcore == p->workers[q] &&
				now->lcores[i].role == ROLE_WORKER;
		if (!runs)
			reload_line(d, '!', "port %s: lcore %u is no worker yet", p->name,
				p->workers[q]);
	}
}

void
reload_compare_ports(struct diff *d, const struct config *now, struct config *next)
{
	char buf[64];

	for (unsigned int i = 0; i < next->n_ports; i++) {
		struct config_port *p = &next->ports[i];
		int k = port_named(now, p->name);

		if (k == RELOAD_NONE) {
			reload_line(d, '+', "port %s: %s", p->name, device_word(next, p, buf));
			check_workers(d, now, p);
			continue;
		}
		d->to->port_before[i] = k;
		d->to->port_after[k] = (int)i;
		keep_workers(&now->ports[k], p);
		compare_port(d, now, &now->ports[k], next, p);
	}
	for (unsigned int i = 0; i < now->n_ports; i++)
		if (d->to->port_after[i] == RELOAD_NONE)
			reload_line(d, '-', "port %s: %s", now->ports[i].name,
				device_word(now, &now->ports[i], buf));
	check_reuse(d, now, next);
}

/* What the running of it has written there is left out. */
static bool
same_sa(const struct config_sa *a, const struct config_sa *b)
{
	struct sa_conf x = a->conf, y = b->conf;

	x.sqn_from = x.sqn_reserved = y.sqn_from = y.sqn_reserved = 0;
	return memcmp(&x, &y, sizeof(x)) == 0 &&
	       memcmp(a->digest, b->digest, sizeof(a->digest)) == 0 &&
	       reload_same_text(a->state_file, b->state_file) &&
	       a->insecure_test == b->insecure_test && a->counter == b->counter;
}

static int
sa_named(const struct config *c, const char *name)
{
	for (unsigned int i = 0; i < c->n_sas; i++)
		if (strcmp(c->sas[i].name, name) == 0)
			return (int)i;
	return RELOAD_NONE;
}

void
reload_compare_sas(struct diff *d, const struct config *now, const struct config *next)
{
	for (unsigned int i = 0; i < next->n_sas; i++) {
		const struct config_sa *sa = &next->sas[i];
		/* Most files keep their order: only what moved is searched. */
		int k = i < now->n_sas && strcmp(now->sas[i].name, sa->name) == 0
				? (int)i
				: sa_named(now, sa->name);

		if (k != RELOAD_NONE && same_sa(&now->sas[k], sa)) {
			d->to->sa_before[i] = k;
			d->to->sa_after[k] = (int)i;
			continue;
		}
		reload_line(d, k != RELOAD_NONE ? '~' : '+', "SA %s: %s", sa->name,
			k != RELOAD_NONE	    ? "made anew"
			: sa->conf.dir == SA_DIR_IN ? "in"
						    : "out");
		/* Its numbers are reserved by the SA that goes, until it is gone. */
		for (unsigned int m = 0; sa->state_file != NULL && m < now->n_sas; m++)
			if (reload_same_text(now->sas[m].state_file, sa->state_file))
				reload_line(d, '!',
					"SA %s: its state-file is that of SA %s, which goes: take "
					"that "
					"away first",
					sa->name, now->sas[m].name);
	}
	for (unsigned int i = 0; i < now->n_sas; i++)
		if (d->to->sa_after[i] == RELOAD_NONE &&
			sa_named(next, now->sas[i].name) == RELOAD_NONE)
			reload_line(d, '-', "SA %s", now->sas[i].name);
}

static int
compare_selectors(const void *va, const void *vb)
{
	const struct spd_policy_conf *a = va, *b = vb;
	const uint32_t x[] = {a->dir, a->if_id, a->mark, a->mark_mask};
	const uint32_t y[] = {b->dir, b->if_id, b->mark, b->mark_mask};
	int ret = memcmp(x, y, sizeof(x));

	return ret != 0 ? ret : memcmp(&a->sel, &b->sel, sizeof(a->sel));
}

bool
reload_same_policy(const struct spd_policy_conf *a, const struct spd_policy_conf *b)
{
	return compare_selectors(a, b) == 0 && addr_equal(&a->sa_src, &b->sa_src) &&
	       addr_equal(&a->sa_dst, &b->sa_dst) && a->spi == b->spi && a->reqid == b->reqid &&
	       a->priority == b->priority && a->action == b->action && a->mode == b->mode &&
	       a->proto == b->proto && a->own_sas == b->own_sas;
}

static void
keep(void *node)
{
	(void)node;
}

int
reload_compare_policies(struct diff *d, const struct config *now, const struct config *next)
{
	void *root = NULL;
	int rc = 0;

	for (unsigned int i = 0; i < now->n_policies && rc == 0; i++)
		if (tsearch(&now->policies[i], &root, compare_selectors) == NULL)
			rc = -ENOMEM;
	for (unsigned int i = 0; i < next->n_policies && rc == 0; i++) {
		struct spd_policy_conf *const *same =
			tfind(&next->policies[i], &root, compare_selectors);

		if (same == NULL) {
			reload_line(d, '+', "policies[%u]", i);
			continue;
		}
		d->to->policy_before[i] = (int)(*same - now->policies);
		d->to->policy_after[*same - now->policies] = (int)i;
		if (!reload_same_policy(*same, &next->policies[i]))
			reload_line(d, '~', "policies[%u]", i);
	}
	for (unsigned int i = 0; i < now->n_policies && rc == 0; i++)
		if (d->to->policy_after[i] == RELOAD_NONE)
			reload_line(d, '-', "policies[%u] of the running configuration", i);
	tdestroy(root, keep);
	return rc;
}
