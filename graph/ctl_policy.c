/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <rte_byteorder.h>

static const char *const directions[] = {
	[SPD_IN] = "in",
	[SPD_OUT] = "out",
	[SPD_FWD] = "fwd",
};

static const char *const actions[] = {
	[SPD_NONE] = "none",
	[SPD_PROTECT] = "protect",
	[SPD_BYPASS] = "bypass",
	[SPD_DISCARD] = "discard",
};

static json_t *
addresses(const struct ip_addr *a, const struct ip_addr *last, uint8_t plen)
{
	char buf[ADDR_RANGE_STRLEN];

	return json_string(
		last->family != 0 ? addr_range_str(a, last, buf) : addr_prefix_str(a, plen, buf));
}

/* A range of ports, or of ICMP types and codes: "any", "80", "8000-8080". */
static json_t *
range(uint16_t lo, uint16_t hi)
{
	if (lo == 0 && hi == UINT16_MAX)
		return json_string("any");
	if (lo == hi)
		return json_sprintf("%u", lo);
	return json_sprintf("%u-%u", lo, hi);
}

/* The SPI of the SA that an outbound policy uses; "trap" without one; null where none belongs. */
static json_t *
sa(const struct ctl *ctl, const struct spd_policy *p)
{
	uint32_t slot = atomic_load_explicit(&p->sa, memory_order_relaxed);

	if (p->conf.dir != SPD_OUT || p->action != SPD_PROTECT)
		return json_null();
	if (slot == SPD_NO_SA || slot >= sad_slots(ctl->r->sad))
		return json_string("trap");
	return ctl_hex32(rte_be_to_cpu_32(sad_cold(ctl->r->sad, slot)->conf.spi));
}

static json_t *
policy_row(const struct ctl *ctl, const struct ctl_owners *owners, const struct spd_policy *p)
{
	const struct spd_policy_conf *conf = &p->conf;
	const struct spd_selector *sel = &conf->sel;
	bool protect = p->action == SPD_PROTECT;

	return json_pack("{sI ss so so so so so ss so sI sI so so so so ss sI so so}", "id",
		(json_int_t)p->id, "direction", directions[conf->dir], "source",
		addresses(&sel->src, &sel->src_last, sel->src_plen), "destination",
		addresses(&sel->dst, &sel->dst_last, sel->dst_plen), "protocol",
		ctl_protocol(sel->proto), "source_ports", range(sel->src_port_lo, sel->src_port_hi),
		"destination_ports", range(sel->dst_port_lo, sel->dst_port_hi), "action",
		actions[p->action], "mode",
		protect ? json_string(p->mode == SA_MODE_TRANSPORT ? "transport" : "tunnel")
			: json_null(),
		"priority", (json_int_t)p->priority, "reqid", (json_int_t)p->reqid, "sa",
		sa(ctl, p), "tunnel_source", ctl_addr(&conf->sa_src), "tunnel_destination",
		ctl_addr(&conf->sa_dst), "owner", ctl_hex64(conf->owner), "owner_state",
		ctl_owner_state(owners, conf->owner), "if_id", (json_int_t)conf->if_id, "mark",
		ctl_mark(conf->mark, conf->mark_mask), "last_use_age",
		ctl_age(atomic_load_explicit(&p->used, memory_order_relaxed)));
}

int
ctl_policy(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	struct spd_policy *v[CTL_PAGE_ROWS];
	struct ctl_owners owners;
	struct spd_cursor c;
	const char *cursor;
	unsigned int n;
	int rc;

	rc = ctl_cursor_arg(args, reply, &cursor);
	if (rc == 0)
		rc = ctl_cursor_index(cursor, UINT32_MAX, &c.at, reply);
	if (rc < 0)
		return rc;
	ctl_owners_read(ctl, &owners);
	reply->data = json_array();
	n = spd_page(ctl->r->spd, &c, v, CTL_PAGE_ROWS);
	for (unsigned int i = 0; i < n; i++)
		if (json_array_append_new(reply->data, policy_row(ctl, &owners, v[i])) != 0)
			return -ENOMEM;
	if (n == CTL_PAGE_ROWS)
		snprintf(reply->next, sizeof(reply->next), "%" PRIu32, c.at);
	return 0;
}

/* The operator says that the policies are complete: what they do not name follows the defaults from now on. */
int
ctl_complete(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	int rc = ctl_no_args(args, reply);

	if (rc < 0)
		return rc;
	if (!spd_complete(ctl->r->spd))
		LOG(NOTICE, "policies are complete, as an operator said");
	spd_set_complete(ctl->r->spd, true);
	reply->data = json_array();
	return 0;
}
