/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "failure_log.h"

#include "failures.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <daemon.h>
#include <threading/mutex.h>
#include <utils/debug.h>

#define NAMES 4096
#define ADDRESSES 256
#define VICI_SOCKET "unix:///var/run/charon.vici" /* Debian's charon's own default */

struct failure_log_t {
	listener_t listener;
	logger_t logger;
	struct failures *failures;
	mutex_t *mutex;
	stream_service_t *service;
};

static failure_log_t *
of_listener(listener_t *listener)
{
	return (failure_log_t *)((char *)listener - offsetof(failure_log_t, listener));
}

static failure_log_t *
of_logger(logger_t *logger)
{
	return (failure_log_t *)((char *)logger - offsetof(failure_log_t, logger));
}

static void
peer_text(ike_sa_t *ike_sa, char out[INET6_ADDRSTRLEN])
{
	host_t *host = ike_sa->get_other_host(ike_sa);
	const struct sockaddr *sa = host ? host->get_sockaddr(host) : NULL;

	out[0] = '\0';
	if (sa && sa->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, out,
			INET6_ADDRSTRLEN);
	else if (sa && sa->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)sa)->sin6_addr, out,
			INET6_ADDRSTRLEN);
}

/* On whichever thread of charon; nothing is logged from here, for it would come here again. */
static void
on_line(logger_t *logger, debug_t group, level_t level, int thread, ike_sa_t *ike_sa,
	const char *message)
{
	failure_log_t *this = of_logger(logger);
	char peer[INET6_ADDRSTRLEN];
	peer_cfg_t *conn;

	if (!ike_sa)
		return;
	conn = ike_sa->get_peer_cfg(ike_sa);
	peer_text(ike_sa, peer);
	this->mutex->lock(this->mutex);
	failures_line(
		this->failures, conn ? conn->get_name(conn) : NULL, peer, message, time(NULL));
	this->mutex->unlock(this->mutex);
}

/* Failures are said at level 1, and whatever the log files of this charon leave out, we hear. */
static level_t
get_level(logger_t *logger, debug_t group)
{
	return LEVEL_CTRL;
}

static void
is_over(failure_log_t *this, ike_sa_t *ike_sa, child_sa_t *child)
{
	char peer[INET6_ADDRSTRLEN];

	peer_text(ike_sa, peer);
	this->mutex->lock(this->mutex);
	failures_over(this->failures, ike_sa->get_name(ike_sa), peer, child->get_name(child));
	this->mutex->unlock(this->mutex);
}

static bool
on_child_updown(listener_t *listener, ike_sa_t *ike_sa, child_sa_t *child, bool up)
{
	if (up)
		is_over(of_listener(listener), ike_sa, child);
	return TRUE;
}

static bool
on_child_rekey(listener_t *listener, ike_sa_t *ike_sa, child_sa_t *old, child_sa_t *new)
{
	is_over(of_listener(listener), ike_sa, new);
	return TRUE;
}

static bool
on_child_state(listener_t *listener, ike_sa_t *ike_sa, child_sa_t *child, child_sa_state_t state)
{
	failure_log_t *this = of_listener(listener);

	/* The state it leaves is still the CHILD_SA's: one that never got beyond that was given up. */
	if (ike_sa && state == CHILD_DESTROYING &&
		(child->get_state(child) == CHILD_CREATED ||
			child->get_state(child) == CHILD_INSTALLING)) {
		this->mutex->lock(this->mutex);
		failures_given_up(this->failures, ike_sa->get_name(ike_sa), child->get_name(child));
		this->mutex->unlock(this->mutex);
	}
	return TRUE;
}

/* A client that does not read is left alone after 5 s: charon's end waits for this thread. */
static void
tell(stream_t *stream, char *text, size_t len)
{
	unsigned int waits = 50;

	while (len > 0) {
		ssize_t n = stream->write(stream, text, len, FALSE);

		if (n > 0) {
			text += n;
			len -= n;
		} else if (n == 0 || errno != EWOULDBLOCK || waits-- == 0)
			return;
		else
			usleep(100000);
	}
}

/* Who may connect is who may connect to VICI: charon makes both sockets alike. */
static bool
on_accept(failure_log_t *this, stream_t *stream)
{
	size_t len = 0;
	char *text;

	this->mutex->lock(this->mutex);
	text = failures_text(this->failures, &len);
	this->mutex->unlock(this->mutex);
	if (text)
		tell(stream, text, len);
	free(text);
	return FALSE; /* the stream is charon's to close */
}

static bool
listen_beside_vici(failure_log_t *this)
{
	char uri[256], *vici;

	vici = lib->settings->get_str(
		lib->settings, "%s.plugins.vici.socket", VICI_SOCKET, lib->ns);
	if (strncmp(vici, "unix://", 7) != 0) /* cygnetctl would not find ours */
		return FALSE;
	snprintf(uri, sizeof(uri), "%s.cygnet-failures", vici);
	this->service = lib->streams->create_service(lib->streams, uri, 4);
	if (!this->service)
		return FALSE;
	this->service->on_accept(
		this->service, (stream_service_cb_t)on_accept, this, JOB_PRIO_MEDIUM, 1);
	return TRUE;
}

failure_log_t *
failure_log_create(void)
{
	failure_log_t *this;

	INIT(this,
		.listener =
			{
				.child_updown = on_child_updown,
				.child_rekey = on_child_rekey,
				.child_state_change = on_child_state,
			},
		.logger = {.log = on_line, .get_level = get_level},
		.failures = failures_create(NAMES, ADDRESSES),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT), );
	if (!this->failures || !listen_beside_vici(this)) {
		DBG1(DBG_KNL, "cygnet: 'cygnetctl ike status' will tell no last errors");
		failures_destroy(this->failures);
		this->mutex->destroy(this->mutex);
		free(this);
		return NULL;
	}
	charon->bus->add_logger(charon->bus, &this->logger);
	charon->bus->add_listener(charon->bus, &this->listener);
	return this;
}

void
failure_log_destroy(failure_log_t *this)
{
	if (!this)
		return;
	charon->bus->remove_listener(charon->bus, &this->listener);
	charon->bus->remove_logger(charon->bus, &this->logger);
	this->service->destroy(this->service);
	failures_destroy(this->failures);
	this->mutex->destroy(this->mutex);
	free(this);
}
