/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel_cygnet_ipsec.h"

#include "convert.h"
#include "events.h"
#include "link.h"
#include "options.h"
#include "routes.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <unistd.h>

#include <daemon.h>
#include <utils/debug.h>

#define NO_ROUTER_LOG_SECONDS 10
#define UPDATE_TRIES 20
#define UPDATE_WAIT_US 10000

typedef struct private_kernel_cygnet_ipsec_t private_kernel_cygnet_ipsec_t;

struct private_kernel_cygnet_ipsec_t {
	kernel_cygnet_ipsec_t public;
	struct desired *desired;
	struct link *link;
	struct routes *routes; /* NULL: charon.install_routes = no */
	_Atomic time_t no_router_told; /* monotonic; 0: not yet */
	int log_level; /* lines of the link up to it are for charon's level 1, others for 2 */
};

static void
on_event(void *ctx, const struct ike_msg *msg)
{
	events_raise(msg);
}

static void
on_log(void *ctx, int level, const char *line)
{
	if (level <= ((private_kernel_cygnet_ipsec_t *)ctx)->log_level)
		DBG1(DBG_KNL, "cygnet: %s", line);
	else
		DBG2(DBG_KNL, "cygnet: %s", line);
}

/* That no router is there is said now and then, not for each call. */
static bool
is_told(private_kernel_cygnet_ipsec_t *this)
{
	time_t now = time_monotonic(NULL), told = this->no_router_told;

	return (told != 0 && now - told < NO_ROUTER_LOG_SECONDS) ||
	       !atomic_compare_exchange_strong(&this->no_router_told, &told, now);
}

/* charon's status for the router's; one line for what failed. */
static status_t
result(private_kernel_cygnet_ipsec_t *this, int rc, const char *what, uint32_t spi)
{
	if (rc == 0) {
		this->no_router_told = 0;
		return SUCCESS;
	}
	if (rc != -ENOTCONN)
		DBG1(DBG_KNL, "cygnet: %s %.8x: %s", what, ntohl(spi), strerror(-rc));
	else if (!is_told(this))
		DBG1(DBG_KNL, "cygnet: %s %.8x: no router is there", what, ntohl(spi));
	return rc == -ENOTSUP ? NOT_SUPPORTED : rc == -ENOENT ? NOT_FOUND : FAILED;
}

/*
 * charon is done with the SA, but whether the router has it nobody knows: it is asked to delete it until it
 * says that it is gone. Lock held.
 */
static void
doom(private_kernel_cygnet_ipsec_t *this, const struct ike_msg_sa_id *id, uint64_t epoch)
{
	struct desired_sa sa = {.id = *id, .epoch = epoch, .doomed = true};

	desired_add_sa(this->desired, &sa);
	link_replay(this->link);
}

METHOD(kernel_ipsec_t, get_features, kernel_feature_t, private_kernel_cygnet_ipsec_t *this)
{
	return KERNEL_ESP_V3_TFC | KERNEL_POLICY_SPI
#ifdef HAVE_KERNEL_SA_USE_TIME
	       | KERNEL_SA_USE_TIME
#endif
		;
}

METHOD(kernel_ipsec_t, get_spi, status_t, private_kernel_cygnet_ipsec_t *this, host_t *src,
	host_t *dst, uint8_t protocol, uint32_t *spi)
{
	struct ike_msg m;
	int rc;

	desired_request(&m, IKE_GET_SPI);
	convert_host(src, &m.body.sa_id.src);
	convert_host(dst, &m.body.sa_id.dst);
	m.body.sa_id.proto = protocol;
	link_lock(this->link);
	link_wait_up(this->link);
	rc = link_call(this->link, &m, NULL, 0);
	if (rc == 0)
		*spi = m.body.sa_id.spi;
	return result(this, rc, "no SPI", 0);
}

METHOD(kernel_ipsec_t, get_cpi, status_t, private_kernel_cygnet_ipsec_t *this, host_t *src,
	host_t *dst, uint16_t *cpi)
{
	return NOT_SUPPORTED; /* IPComp is not there */
}

METHOD(kernel_ipsec_t, add_sa, status_t, private_kernel_cygnet_ipsec_t *this,
	kernel_ipsec_sa_id_t *id, kernel_ipsec_add_sa_t *data)
{
	struct desired_sa sa = {.inbound = data->inbound}, was, twin;
	uint8_t key[IKE_KEY_MAX];
	bool known, has_twin;
	struct ike_msg m;
	int rc;

	desired_request(&m, IKE_ADD_SA);
	if (!convert_add_sa(id, data, &m.body.add_sa))
		return FAILED;
	sa.id = m.body.add_sa.id;
	memcpy(key, data->enc_key.ptr, data->enc_key.len);
	memcpy(key + data->enc_key.len, data->int_key.ptr, data->int_key.len);
	link_lock(this->link);
	link_wait_up(this->link);
	/* Remembered before it is there: were it told afterwards, a router that dies between would go unnoticed. */
	sa.epoch = link_epoch(this->link);
	has_twin = desired_del_sa(this->desired, &sa.id, &twin);
	known = desired_add_sa(this->desired, &sa);
	if (!known)
		link_unlock(this->link);
	rc = known ? link_call(this->link, &m, key, data->enc_key.len + data->int_key.len)
		   : -ENOMEM;
	memwipe(key, sizeof(key));
	if (rc == 0)
		return SUCCESS;
	link_lock(this->link);
	desired_del_sa(this->desired, &sa.id, &was);
	/* With -ENOTCONN it may have been the agent alone that went, after the router had taken it. */
	if (rc == -ETIMEDOUT || (rc == -ENOTCONN && sa.epoch != 0))
		doom(this, &sa.id, sa.epoch);
	else if (has_twin)
		desired_add_sa(this->desired, &twin); /* refused: the one that was there stays */
	link_unlock(this->link);
	result(this, rc, "adding SA", id->spi);
	return FAILED;
}

/*
 * An SA whose addresses change is known by its destination: charon goes on with the new one, whatever the
 * router says.
 */
static void
end_move(private_kernel_cygnet_ipsec_t *this, const struct ike_msg_sa_id *old,
	const struct ike_msg_update_sa *to, bool changed)
{
	struct desired_sa sa;

	link_lock(this->link);
	if (desired_del_sa(this->desired, old, &sa)) {
		sa.moving = false;
		if (changed) {
			sa.id.src = to->new_src;
			sa.id.dst = to->new_dst;
			if (to->new_reqid != 0)
				sa.id.reqid = to->new_reqid;
		}
		desired_add_sa(this->desired, &sa);
		/* Its router died meanwhile: charon hears of it under the name that it has now. */
		if (sa.epoch != link_epoch(this->link))
			link_replay(this->link);
	}
	link_unlock(this->link);
}

static void
begin_move(private_kernel_cygnet_ipsec_t *this, const struct ike_msg_sa_id *id)
{
	struct desired_sa sa;

	link_lock(this->link);
	link_wait_up(this->link);
	if (desired_find_sa(this->desired, id, &sa)) {
		sa.moving = true;
		desired_add_sa(this->desired, &sa);
	}
	link_unlock(this->link);
}

static bool
changes_reqid(const kernel_ipsec_update_sa_t *data)
{
#ifdef HAVE_KERNEL_IPSEC_UPDATE_SA_T_OLD_REQID
	return data->new_reqid != data->old_reqid;
#else
	return data->new_reqid != 0; /* unchanged */
#endif
}

METHOD(kernel_ipsec_t, update_sa, status_t, private_kernel_cygnet_ipsec_t *this,
	kernel_ipsec_sa_id_t *id, kernel_ipsec_update_sa_t *data)
{
	struct ike_msg_update_sa update = {};
	struct ike_msg m;
	int rc;

	convert_sa_id(id, &update.id);
	convert_host(data->new_src, &update.new_src);
	convert_host(data->new_dst, &update.new_dst);
	if (changes_reqid(data)) /* a selector was the address that changes */
		update.new_reqid = data->new_reqid;
	update.flags = data->new_encap ? IKE_SA_ENCAP : 0;
	update.new_src_port = htons(data->new_src->get_port(data->new_src));
	update.new_dst_port = htons(data->new_dst->get_port(data->new_dst));
	begin_move(this, &update.id);
	for (int tries = 0;; tries++) {
		desired_request(&m, IKE_UPDATE_SA);
		m.body.update_sa = update;
		link_lock(this->link);
		rc = link_call(this->link, &m, NULL, 0);
		/* The change before this one is not over yet. */
		if (rc != -EAGAIN || tries == UPDATE_TRIES)
			break;
		usleep(UPDATE_WAIT_US);
	}
	end_move(this, &update.id, &update, rc != -ENOTSUP);
	return result(this, rc, "updating SA", id->spi);
}

METHOD(kernel_ipsec_t, query_sa, status_t, private_kernel_cygnet_ipsec_t *this,
	kernel_ipsec_sa_id_t *id, kernel_ipsec_query_sa_t *data, uint64_t *bytes, uint64_t *packets,
	time_t *time)
{
	struct ike_msg m;
	int rc;

	desired_request(&m, IKE_QUERY_SA);
	convert_sa_id(id, &m.body.sa_id);
	link_lock(this->link);
	rc = link_call(this->link, &m, NULL, 0);
	if (rc != 0)
		return result(this, rc, "querying SA", id->spi);
	if (bytes)
		*bytes = m.body.usage.bytes;
	if (packets)
		*packets = m.body.usage.packets;
	if (time)
		*time = m.body.usage.last_use;
	return SUCCESS;
}

/* Takes an SA from the router; lock held, and given up. */
static int
delete_sa(private_kernel_cygnet_ipsec_t *this, const struct ike_msg_sa_id *id)
{
	uint64_t epoch = link_epoch(this->link);
	struct desired_sa was;
	struct ike_msg m;
	bool known;
	int rc;

	desired_request(&m, IKE_DEL_SA);
	m.body.sa_id = *id;
	known = desired_del_sa(this->desired, id, &was);
	if (known)
		epoch = was.epoch;
	rc = link_call(this->link, &m, NULL, 0);
	/* Without an agent the router may live all the same, and have the SA. */
	if (rc == -ETIMEDOUT || (rc == -ENOTCONN && known)) {
		link_lock(this->link);
		doom(this, id, epoch);
		link_unlock(this->link);
	}
	return rc;
}

METHOD(kernel_ipsec_t, del_sa, status_t, private_kernel_cygnet_ipsec_t *this,
	kernel_ipsec_sa_id_t *id, kernel_ipsec_del_sa_t *data)
{
	struct ike_msg_sa_id sa;
	int rc;

	convert_sa_id(id, &sa);
	link_lock(this->link);
	rc = delete_sa(this, &sa);
	/* An SA that expired, or died with its router, is gone already. */
	if (rc == -ENOENT || rc == -ENOTCONN || rc == -ESTALE)
		return SUCCESS;
	return result(this, rc, "deleting SA", id->spi);
}

METHOD(kernel_ipsec_t, flush_sas, status_t, private_kernel_cygnet_ipsec_t *this)
{
	struct desired_sa sa;
	int rc = 0;

	link_lock(this->link);
	desired_walk_sas(this->desired);
	while ((rc == 0 || rc == -ENOENT) && desired_next_sa(this->desired, &sa)) {
		rc = delete_sa(this, &sa.id);
		link_lock(this->link);
	}
	link_unlock(this->link);
	return result(this, rc == -ENOENT ? 0 : rc, "flushing SAs", 0);
}

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
	change = desired_add_policy(this->desired, &policy, auto_priority, &best);
	if (change == DESIRED_NO_MEMORY) {
		link_unlock(this->link);
		return FAILED;
	}
	rc = tell(this, change, &best);
	if (rc == -ENOTSUP || rc == -EINVAL || rc == -ENOSPC) {
		/* The router will not have it: then charon shall not believe in it. */
		DBG1(DBG_KNL, "cygnet: policy %R === %R %N: %s", id->src_ts, id->dst_ts,
			policy_dir_names, id->dir, strerror(-rc));
		link_lock(this->link);
		tell(this, desired_del_policy(this->desired, &policy, auto_priority, &best), &best);
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
	return result(this, rc, "querying a policy", 0);
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
	change = desired_del_policy(this->desired, &policy, auto_priority, &best);
	/* A time-out makes a replay, which takes away what we no longer want. */
	tell(this, change, &best);
	if (change == DESIRED_SET || change == DESIRED_GONE)
		update_route(this, &policy, id);
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

/* Remembered, and told to the router when one is there. */
static bool
keep_socket(private_kernel_cygnet_ipsec_t *this, const struct ike_msg_socket *socket, uint16_t type)
{
	struct ike_msg m;
	bool kept;
	int rc;

	desired_request(&m, type);
	m.body.socket = *socket;
	link_lock(this->link);
	kept = type == IKE_BYPASS_SOCKET ? desired_add_socket(this->desired, socket)
					 : desired_add_decap(this->desired, socket->port);
	rc = link_call(this->link, &m, NULL, 0);
	if (rc != 0 && rc != -ENOTCONN)
		DBG1(DBG_KNL, "cygnet: UDP port %u: %s", ntohs(socket->port), strerror(-rc));
	return kept;
}

/* Whether an IPv6 socket receives IPv4 as well. */
static bool
is_dual(int fd)
{
	socklen_t len = sizeof(int);
	int only = 1;

	return getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len) == 0 && only == 0;
}

METHOD(kernel_ipsec_t, bypass_socket, bool, private_kernel_cygnet_ipsec_t *this, int fd, int family)
{
	struct ike_msg_socket s = {}, s4 = {.addr = {.family = 4}};
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.sa, &len) < 0) {
		DBG1(DBG_KNL, "cygnet: IKE's socket has no name: %s", strerror(errno));
		return FALSE;
	}
	switch (a.sa.sa_family) {
	case AF_INET:
		s.addr.family = 4;
		memcpy(s.addr.b, &a.in.sin_addr, sizeof(a.in.sin_addr));
		s.port = a.in.sin_port;
		break;
	case AF_INET6:
		s.addr.family = 6;
		memcpy(s.addr.b, &a.in6.sin6_addr, sizeof(a.in6.sin6_addr));
		s.port = a.in6.sin6_port;
		break;
	default:
		DBG1(DBG_KNL, "cygnet: a socket of family %d has no port to let pass", family);
		return FALSE;
	}
	if (s.port == 0) {
		/* Port 0 would be a hole for each protocol without ports. */
		DBG1(DBG_KNL, "cygnet: a socket that is not bound cannot be let pass");
		return FALSE;
	}
	s4.port = s.port;
	if (a.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a.in6.sin6_addr) &&
		is_dual(fd) && !keep_socket(this, &s4, IKE_BYPASS_SOCKET))
		return FALSE;
	return keep_socket(this, &s, IKE_BYPASS_SOCKET);
}

METHOD(kernel_ipsec_t, enable_udp_decap, bool, private_kernel_cygnet_ipsec_t *this, int fd,
	int family, uint16_t port)
{
	struct ike_msg_socket s = {.port = htons(port)};

	s.addr.family = family == AF_INET6 ? 6 : 4;
	return keep_socket(this, &s, IKE_UDP_DECAP);
}

METHOD(kernel_ipsec_t, destroy, void, private_kernel_cygnet_ipsec_t *this)
{
	link_destroy(this->link);
	routes_destroy(this->routes);
	desired_destroy(this->desired);
	free(this);
}

kernel_cygnet_ipsec_t *
kernel_cygnet_ipsec_create(void)
{
	private_kernel_cygnet_ipsec_t *this;
	struct link_conf conf = {.event = on_event, .log = on_log};

	options_link(&conf);
	INIT(this,
		.public =
			{
				.interface =
					{
						.get_features = _get_features,
						.get_spi = _get_spi,
						.get_cpi = _get_cpi,
						.add_sa = _add_sa,
						.update_sa = _update_sa,
						.query_sa = _query_sa,
						.del_sa = _del_sa,
						.flush_sas = _flush_sas,
						.add_policy = _add_policy,
						.query_policy = _query_policy,
						.del_policy = _del_policy,
						.flush_policies = _flush_policies,
						.bypass_socket = _bypass_socket,
						.enable_udp_decap = _enable_udp_decap,
						.destroy = _destroy,
					},
			},
		.desired = desired_create(), .log_level = options_log_level(), );
	if (options_install_routes())
		this->routes = routes_create();
	conf.ctx = this;
	if (this->desired)
		this->link = link_create(&conf, this->desired);
	if (!this->link) {
		DBG1(DBG_KNL, "cygnet: the link to the router could not be made");
		routes_destroy(this->routes);
		desired_destroy(this->desired);
		free(this);
		return NULL;
	}
	return &this->public;
}
