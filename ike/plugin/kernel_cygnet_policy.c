/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "convert.h"
#include "kernel_cygnet_priv.h"
#include "one_way.h"

#include <errno.h>

#include <daemon.h>
#include <utils/debug.h>

/* Tells the router what became of a selector; the lock is held, and given up. */
static int
tell(private_kernel_cygnet_ipsec_t *this, enum desired_change change,
	const struct ike_msg_policy *best)
{
	struct ike_msg m;

	if (change != DESIRED_SET && change != DESIRED_GONE) {
		link_unlock(this->link);
		return 0;
	}
	desired_request(&m, change == DESIRED_SET ? IKE_ADD_POLICY : IKE_DEL_POLICY);
	m.body.policy = *best;
	return link_call(this->link, &m, NULL, 0);
}

struct selector {
	private_kernel_cygnet_ipsec_t *this;
	const struct ike_msg_policy *policy;
};

static bool
current_policy(void *ctx, struct ike_msg_policy *best)
{
	struct selector *s = ctx;
	bool found;

	link_lock(s->this->link);
	found = desired_best(s->this->desired, s->policy, best);
	link_unlock(s->this->link);
	return found;
}

/* After a change of a policy; no lock held. */
static void
update_route(private_kernel_cygnet_ipsec_t *this, const struct ike_msg_policy *policy,
	kernel_ipsec_policy_id_t *id)
{
	struct selector s = {this, policy};

	if (this->routes)
		routes_update(this->routes, policy, id->src_ts, id->dst_ts, current_policy, &s);
}

METHOD(kernel_ipsec_t, add_policy, status_t, private_kernel_cygnet_ipsec_t *this,
	kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data)
{
	struct ike_msg_policy policy, best;
	enum desired_change change;
	uint32_t auto_priority;
	int rc;

	if (!convert_policy(id, data, &policy, &auto_priority))
		return FAILED;
	link_lock(this->link);
	change = desired_add_policy(
		this->desired, &policy, auto_priority, convert_own_spi(data), &best);
	if (change == DESIRED_NO_MEMORY) {
		link_unlock(this->link);
		return FAILED;
	}
	rc = tell(this, change, &best);
	if (rc < 0 && rc != -ENOTCONN && !link_is_passing(rc)) {
		/* The router will not have it: then charon shall not believe in it. */
		DBG1(DBG_KNL, "cygnet: policy %R === %R %N: %s", id->src_ts, id->dst_ts,
			policy_dir_names, id->dir, strerror(-rc));
		link_lock(this->link);
		change = desired_del_policy(
			this->desired, &policy, auto_priority, convert_own_spi(data), &best);
		tell(this, change, &best);
		return FAILED;
	}
	if (change == DESIRED_SET)
		update_route(this, &policy, id);
	/* Without a router, or with one that is slow: it is replayed. */
	return SUCCESS;
}

METHOD(kernel_ipsec_t, query_policy, status_t, private_kernel_cygnet_ipsec_t *this,
	kernel_ipsec_policy_id_t *id, kernel_ipsec_query_policy_t *data, time_t *use_time)
{
	struct ike_msg m;
	int rc;

	desired_request(&m, IKE_QUERY_POLICY);
	if (!convert_policy_id(id, &m.body.policy))
		return FAILED;
	m.body.policy.action = IKE_PROTECT; /* the selector counts; the field must be valid */
	link_lock(this->link);
	rc = link_call(this->link, &m, NULL, 0);
	if (rc == 0)
		*use_time = m.body.usage.last_use;
	return kernel_cygnet_result(this, rc, "querying a policy", 0);
}

METHOD(kernel_ipsec_t, del_policy, status_t, private_kernel_cygnet_ipsec_t *this,
	kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data)
{
	struct ike_msg_policy policy, best;
	enum desired_change change;
	uint32_t auto_priority;

	if (!convert_policy(id, data, &policy, &auto_priority))
		return FAILED;
	link_lock(this->link);
	change = desired_del_policy(
		this->desired, &policy, auto_priority, convert_own_spi(data), &best);
	/* A time-out makes a replay, which takes away what we no longer want. */
	tell(this, change, &best);
	if (change == DESIRED_SET || change == DESIRED_GONE)
		update_route(this, &policy, id);
	if (change == DESIRED_GONE)
		one_way_watch(this, &best);
	return change == DESIRED_UNKNOWN ? NOT_FOUND : SUCCESS;
}

METHOD(kernel_ipsec_t, flush_policies, status_t, private_kernel_cygnet_ipsec_t *this)
{
	struct ike_msg_policy best;

	link_lock(this->link);
	while (desired_take_policy(this->desired, &best)) {
		tell(this, DESIRED_GONE, &best);
		link_lock(this->link);
	}
	link_unlock(this->link);
	return SUCCESS;
}

void
kernel_cygnet_policy_methods(kernel_ipsec_t *interface)
{
	interface->add_policy = _add_policy;
	interface->query_policy = _query_policy;
	interface->del_policy = _del_policy;
	interface->flush_policies = _flush_policies;
}
