/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "routes.h"

#include "convert.h"

#include <daemon.h>
#include <search.h>
#include <threading/mutex.h>
#include <utils/debug.h>

/* A route that is there, as charon's kernel-net backend knows it. */
struct source_route {
	struct ike_selector sel; /* first: what tfind() compares */
	uint32_t mark, mark_mask;
	chunk_t dst_net;
	uint8_t plen;
	host_t *gateway, *src;
	char *interface;
	bool pass;
};

struct routes {
	mutex_t *mutex;
	void *entries; /* tree of struct source_route */
};

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(struct source_route, dst_net));
}

struct routes *
routes_create(void)
{
	struct routes *r;

	INIT(r, .mutex = mutex_create(MUTEX_TYPE_DEFAULT), );
	return r;
}

static void
free_entry(void *arg)
{
	struct source_route *e = arg;

	chunk_free(&e->dst_net);
	DESTROY_IF(e->gateway);
	DESTROY_IF(e->src);
	free(e->interface);
	free(e);
}

void
routes_destroy(struct routes *r)
{
	if (!r)
		return;
	tdestroy(r->entries, free_entry);
	r->mutex->destroy(r->mutex);
	free(r);
}

/* Policies for ports, protocols or an interface id have no route: it would catch more than they do. */
static bool
may_have_route(const struct ike_msg_policy *p)
{
	return p->dir == IKE_DIR_OUT && p->if_id == 0 && p->sel.proto == 0 &&
	       p->sel.src_port_lo == 0 && p->sel.src_port_hi == UINT16_MAX &&
	       p->sel.dst_port_lo == 0 && p->sel.dst_port_hi == UINT16_MAX;
}

static bool
wants_route(const struct ike_msg_policy *p)
{
	return p->action == IKE_BYPASS || (p->action == IKE_PROTECT && p->mode == IKE_MODE_TUNNEL);
}

static void
take_back(struct source_route *e, traffic_selector_t *dst_ts)
{
	if (charon->kernel->del_route(charon->kernel, e->dst_net, e->plen, e->gateway, e->src,
		    e->interface, e->pass) != SUCCESS)
		DBG1(DBG_KNL, "cygnet: the route to %R could not be taken back", dst_ts);
}

/* The way to the peer; for a policy that lets pass, which has none, that to the destination. */
static bool
find_way(struct source_route *e, const struct ike_msg_policy *p)
{
	host_t *peer = convert_addr(&p->dst, 0), *local = convert_addr(&p->src, 0);
	host_t *net = convert_addr(&p->sel.dst, 0);
	bool found = TRUE;

	if (peer && !peer->is_anyaddr(peer))
		e->gateway =
			charon->kernel->get_nexthop(charon->kernel, peer, -1, local, &e->interface);
	else
		e->gateway = charon->kernel->get_nexthop(
			charon->kernel, net, e->plen, e->src, &e->interface);
	if (!e->interface)
		found = charon->kernel->get_interface(charon->kernel,
				local && !local->is_anyaddr(local) ? local : e->src,
				&e->interface) ||
			e->pass;
	DESTROY_IF(peer);
	DESTROY_IF(local);
	DESTROY_IF(net);
	return found;
}

/* The route that the policy asks for; NULL when there is no address or no way for it. */
static struct source_route *
make(const struct ike_msg_policy *p, traffic_selector_t *src_ts)
{
	int family = p->sel.dst.family == 6 ? AF_INET6 : AF_INET;
	struct source_route *e;

	INIT(e, .sel = p->sel, .mark = p->mark, .mark_mask = p->mark_mask,
		.dst_net = chunk_clone(chunk_create(
			(u_char *)(uintptr_t)p->sel.dst.b, family == AF_INET6 ? 16 : 4)),
		.plen = p->sel.dst_plen, .pass = p->action == IKE_BYPASS, );
	if (charon->kernel->get_address_by_ts(charon->kernel, src_ts, &e->src, NULL) != SUCCESS)
		e->src = e->pass ? host_create_any(family) : NULL;
	if (e->src && find_way(e, p))
		return e;
	free_entry(e);
	return NULL;
}

static bool
same(const struct source_route *a, const struct source_route *b)
{
	return a->pass == b->pass && a->src->ip_equals(a->src, b->src) &&
	       streq(a->interface, b->interface) && !a->gateway == !b->gateway &&
	       (!a->gateway || a->gateway->ip_equals(a->gateway, b->gateway));
}

static void
install(struct routes *r, struct source_route *e, traffic_selector_t *dst_ts)
{
	status_t status;

	DBG2(DBG_KNL, "cygnet: route to %R via %H src %H dev %s", dst_ts, e->gateway, e->src,
		e->interface ?: "none");
	status = charon->kernel->add_route(
		charon->kernel, e->dst_net, e->plen, e->gateway, e->src, e->interface, e->pass);
	if (status == SUCCESS && tsearch(e, &r->entries, compare))
		return;
	/* One that another policy has is that one's to take back. */
	if (status != ALREADY_DONE)
		DBG1(DBG_KNL, "cygnet: no route to %R with source %H", dst_ts, e->src);
	free_entry(e);
}

void
routes_update(struct routes *r, const struct ike_msg_policy *policy, traffic_selector_t *src_ts,
	traffic_selector_t *dst_ts, bool (*current)(void *ctx, struct ike_msg_policy *policy),
	void *ctx)
{
	struct source_route key = {
		.sel = policy->sel, .mark = policy->mark, .mark_mask = policy->mark_mask};
	struct ike_msg_policy now = *policy;
	struct source_route **found, *old, *new = NULL;
	bool stands;

	if (!may_have_route(policy))
		return;
	r->mutex->lock(r->mutex);
	stands = current(ctx, &now);
	found = tfind(&key, &r->entries, compare);
	old = found ? *found : NULL;
	/* A DROP for the time of an address change leaves the route as it is. */
	if (!stands || wants_route(&now)) {
		if (stands)
			new = make(&now, src_ts);
		if (old && (!stands || (new && !same(old, new)))) {
			take_back(old, dst_ts);
			tdelete(&key, &r->entries, compare);
			free_entry(old);
			old = NULL;
		}
		if (new && !old)
			install(r, new, dst_ts);
		else if (new)
			free_entry(new);
	}
	r->mutex->unlock(r->mutex);
}
