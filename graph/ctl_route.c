/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"

#include <errno.h>
#include <stdio.h>

static const char *const kinds[] = {
	[NH_NONE] = "none",
	[NH_LOCAL] = "local",
	[NH_GLEAN] = "connected",
	[NH_ADJ] = "neighbour",
	[NH_BLACKHOLE] = "blackhole",
	[NH_UNREACHABLE] = "unreachable",
	[NH_FOREIGN] = "foreign",
	[NH_MULTIPATH] = "multipath",
};

/* The way of a next hop that is no multipath: into row. */
static int
put_hop(const struct ctl *ctl, json_t *row, const struct nexthop *nh)
{
	bool adj = nh->type == NH_ADJ, on_port = adj || nh->type == NH_GLEAN, resolved;
	const char *port = on_port ? ctl_port_name(ctl, nh->port) : NULL;

	resolved = adj && atomic_load_explicit(&nh->resolved, memory_order_relaxed) != 0;
	return json_object_update_new(row,
		json_pack("{so ss? so so so}", "gateway", adj ? ctl_addr(&nh->addr) : json_null(),
			"port", port, "mac", resolved ? ctl_mac(nh->eth) : json_null(), "state",
			adj ? json_string(resolved ? "resolved" : "unresolved") : json_null(),
			"mtu", on_port && nh->mtu != 0 ? json_integer(nh->mtu) : json_null()));
}

json_t *
ctl_next_hop(const struct ctl *ctl, const struct nexthop *nh)
{
	json_t *hop = json_pack("{ss}", "kind", kinds[nh->type]);

	if (hop != NULL && put_hop(ctl, hop, nh) != 0) {
		json_decref(hop);
		return NULL;
	}
	return hop;
}

static json_t *
hops(const struct ctl *ctl, const struct nexthop *nh)
{
	const struct fib *fib = ctl->r->fib;
	json_t *v = json_array();

	for (unsigned int i = 0; i < nh->n; i++) {
		/* The first hash that falls on member i. */
		uint32_t hash = (((uint64_t)i << 32) + nh->n - 1) / nh->n;
		const struct nexthop *m = fib_nh(fib, fib_multipath(fib, nh, hash));
		json_t *hop = ctl_next_hop(ctl, m);

		if (hop == NULL) {
			json_decref(v);
			return NULL;
		}
		json_array_append_new(v, hop);
	}
	return v;
}

static json_t *
route_row(const struct ctl *ctl, const struct fib_route *r)
{
	const struct nexthop *nh = fib_nh(ctl->r->fib, r->nh);
	char buf[ADDR_STRLEN];
	json_t *row = json_pack("{ss ss}", "prefix", addr_prefix_str(&r->dst, r->plen, buf), "kind",
		kinds[nh->type]);
	int rc;

	if (row == NULL)
		return NULL;
	if (nh->type == NH_MULTIPATH)
		rc = json_object_set_new(row, "hops", hops(ctl, nh));
	else
		rc = put_hop(ctl, row, nh);
	if (rc != 0) {
		json_decref(row);
		return NULL;
	}
	return row;
}

int
ctl_route(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	struct fib_route after, v[CTL_PAGE_ROWS];
	const char *cursor;
	unsigned int n;
	int rc;

	rc = ctl_cursor_arg(args, reply, &cursor);
	if (rc < 0)
		return rc;
	if (cursor != NULL && addr_parse_prefix(cursor, &after.dst, &after.plen) != 0)
		return ctl_fail(reply, -EINVAL, "that is not a cursor of this table");
	reply->data = json_array();
	n = fib_route_page(ctl->r->fib, cursor != NULL ? &after : NULL, v, CTL_PAGE_ROWS);
	for (unsigned int i = 0; i < n; i++)
		if (json_array_append_new(reply->data, route_row(ctl, &v[i])) != 0)
			return -ENOMEM;
	/* The last prefix is the cursor: the next page begins after it, were it gone by then. */
	if (n == CTL_PAGE_ROWS)
		addr_prefix_str(&v[n - 1].dst, v[n - 1].plen, reply->next);
	return 0;
}
