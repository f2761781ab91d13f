/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel_cygnet_priv.h"

#include "convert.h"
#include "events.h"
#include "options.h"

#include <errno.h>
#include <netinet/in.h>

#include <daemon.h>
#include <utils/debug.h>

#define NO_ROUTER_LOG_SECONDS 10

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
status_t
kernel_cygnet_result(private_kernel_cygnet_ipsec_t *this, int rc, const char *what, uint32_t spi)
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

METHOD(kernel_ipsec_t, get_features, kernel_feature_t, private_kernel_cygnet_ipsec_t *this)
{
	return KERNEL_ESP_V3_TFC | KERNEL_POLICY_SPI
#ifdef HAVE_KERNEL_SA_USE_TIME
	       | KERNEL_SA_USE_TIME
#endif
		;
}

METHOD(kernel_ipsec_t, get_cpi, status_t, private_kernel_cygnet_ipsec_t *this, host_t *src,
	host_t *dst, uint16_t *cpi)
{
	return NOT_SUPPORTED; /* IPComp is not there */
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
						.get_cpi = _get_cpi,
						.bypass_socket = _bypass_socket,
						.enable_udp_decap = _enable_udp_decap,
						.destroy = _destroy,
					},
			},
		.desired = desired_create(), .log_level = options_log_level(), );
	if (options_install_routes())
		this->routes = routes_create();
	kernel_cygnet_sa_methods(&this->public.interface);
	kernel_cygnet_policy_methods(&this->public.interface);
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
