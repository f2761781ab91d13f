/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

static int
read_end_point(struct config_load *l, const struct config_where *w, const char *key,
	const char *value, const struct config_sa *sa, const struct ip_addr *of_sa,
	struct ip_addr *out)
{
	if (value == NULL) {
		if (sa != NULL)
			*out = *of_sa;
		return 0;
	}
	if (addr_parse(value, out) < 0)
		return config_fail(l, w, key, "'%s' is not an address", value);
	if (sa != NULL && !addr_equal(out, of_sa))
		return config_fail(l, w, key, "'%s' is not what SA '%s' has", value, sa->name);
	return 0;
}

/* What PROTECT says of the SA; what it leaves out is taken from the static SA that it means. */
static int
read_protection(struct config_load *l, const struct config_where *w, const struct raw_policy *raw,
	struct spd_policy_conf *p)
{
	static const char *const modes[] = {"transport", "tunnel", NULL};
	const struct config_sa *sa;
	unsigned int mode, spi = 0;
	char text[16] = "";
	int ret;

	if (raw->reqid == NULL)
		return config_fail(l, w, "reqid", "is missing: protect means the SAs of a reqid");
	ret = config_uint(l, w, "reqid", raw->reqid, 0, 1, UINT32_MAX, &p->reqid);
	if (ret == 0)
		ret = config_uint(l, w, "spi", raw->spi, 0, 256, UINT32_MAX, &spi);
	if (ret < 0)
		return ret;
	if (spi != 0 && p->dir != SPD_OUT)
		return config_fail(
			l, w, "spi", "is for the direction out: what comes in is matched by reqid");
	p->spi = htonl(spi);
	sa = config_sa_of(l, p->dir == SPD_OUT ? SA_DIR_OUT : SA_DIR_IN, p->reqid, p->spi);
	p->own_sas = sa != NULL;
	if (spi != 0)
		snprintf(text, sizeof(text), "0x%x", spi);
	if (sa == NULL && l->config->static_only)
		return config_fail(l, w, spi != 0 ? "spi" : "reqid",
			"ipsec.static-only is set, and no SA %s has reqid %u%s%s",
			p->dir == SPD_OUT ? "out" : "in", p->reqid, spi != 0 ? " and SPI " : "",
			text);
	ret = config_choice(l, w, "mode", raw->mode, modes,
		sa == NULL || sa->conf.mode == SA_MODE_TUNNEL, &mode);
	if (ret < 0)
		return ret;
	p->mode = mode == 0 ? SA_MODE_TRANSPORT : SA_MODE_TUNNEL;
	p->proto = sa != NULL ? sa->conf.proto : IPPROTO_ESP;
	if (sa != NULL && sa->conf.mode != p->mode)
		return config_fail(
			l, w, "mode", "'%s' is not the mode of SA '%s'", raw->mode, sa->name);
	ret = read_end_point(l, w, "tunnel-source", raw->tunnel_source, sa,
		sa != NULL ? &sa->conf.src : NULL, &p->sa_src);
	if (ret == 0)
		ret = read_end_point(l, w, "tunnel-destination", raw->tunnel_destination, sa,
			sa != NULL ? &sa->conf.dst : NULL, &p->sa_dst);
	if (ret == 0 && p->mode == SA_MODE_TRANSPORT &&
		(raw->tunnel_source != NULL || raw->tunnel_destination != NULL))
		return config_fail(l, w, "mode", "transport has no tunnel-source or -destination");
	return ret;
}

static int
read_policy(struct config_load *l, const struct config_where *w, const struct raw_policy *raw,
	struct spd_policy_conf *p)
{
	static const char *const directions[] = {"in", "out", "fwd", NULL}; /* enum spd_dir */
	static const char *const actions[] = {"protect", "bypass", "discard", NULL};
	const struct {
		const char *key;
		bool given;
	} of_sa[] = {
		{"reqid", raw->reqid != NULL},
		{"spi", raw->spi != NULL},
		{"mode", raw->mode != NULL},
		{"tunnel-source", raw->tunnel_source != NULL},
		{"tunnel-destination", raw->tunnel_destination != NULL},
	};
	unsigned int dir, action;
	int ret;

	ret = config_choice(l, w, "direction", raw->direction, directions, 0, &dir);
	if (ret == 0)
		ret = config_choice(l, w, "action", raw->action, actions, 0, &action);
	if (ret == 0)
		ret = config_uint(
			l, w, "priority", raw->priority, 1000, 0, UINT32_MAX, &p->priority);
	if (ret < 0)
		return ret;
	p->dir = dir;
	p->action = SPD_PROTECT + action;
	ret = config_read_selector(l, w, raw, &p->sel);
	if (ret == 0)
		ret = config_uint(l, w, "if-id", raw->if_id, 0, 0, UINT32_MAX, &p->if_id);
	if (ret == 0)
		ret = config_read_mark(l, w, raw->mark, &p->mark, &p->mark_mask);
	if (ret < 0)
		return ret;
	if (p->action == SPD_PROTECT)
		return read_protection(l, w, raw, p);
	for (unsigned int i = 0; i < RTE_DIM(of_sa); i++)
		if (of_sa[i].given)
			return config_fail(l, w, of_sa[i].key, "is for the action protect, not %s",
				raw->action);
	return 0;
}

static int
compare_selectors(const void *va, const void *vb)
{
	const struct spd_policy_conf *a = va, *b = vb;
	const uint32_t x[] = {a->dir, a->if_id, a->mark, a->mark_mask};
	const uint32_t y[] = {b->dir, b->if_id, b->mark, b->mark_mask};
	int ret = memcmp(x, y, sizeof(x));

	/* Both are in their one form, and without padding that differs. */
	return ret != 0 ? ret : memcmp(&a->sel, &b->sel, sizeof(a->sel));
}

static void
keep(void *node)
{
	(void)node;
}

int
config_read_policies(struct config_load *l)
{
	struct config *c = l->config;
	unsigned int n = l->raw->n_policies;
	void *root = NULL;
	int ret;

	if (n > c->limits.policies)
		return config_fail(l, AT("policies", -1), NULL,
			"%u policies, and limits.policies is %u", n, c->limits.policies);
	ret = config_alloc(&c->policies, n, sizeof(*c->policies));
	for (unsigned int i = 0; ret == 0 && i < n; i++) {
		struct spd_policy_conf *p = &c->policies[i], **same;

		c->n_policies++;
		ret = read_policy(l, AT("policies", i), &l->raw->policies[i], p);
		if (ret < 0)
			break;
		same = tsearch(p, &root, compare_selectors);
		if (same == NULL)
			ret = -ENOMEM;
		else if (*same != p)
			ret = config_fail(l, AT("policies", i), NULL,
				"policies[%td] has the same direction and selector",
				*same - c->policies);
	}
	tdestroy(root, keep);
	return ret;
}

bool
config_bypasses(const struct config *c)
{
	for (unsigned int i = 0; i < c->n_policies; i++)
		if (c->policies[i].dir == SPD_OUT && c->policies[i].action == SPD_BYPASS)
			return true;
	return false;
}
