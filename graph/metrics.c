/* SPDX-License-Identifier: BSD-3-Clause */
#include "metrics.h"

#include "accept_pause.h"
#include "addr.h"
#include "ctl.h"
#include "log.h"
#include "metrics_ike.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#define TIMEOUT_SECONDS 10
#define HEADERS_MAX 8192
#define INPUT_MAX (2 * HEADERS_MAX)
#define CLIENTS 32
#define BACKLOG 128
#define LOOK_SECONDS 1

/*
 * Who reaches the address may open connections and send them by drops, or not at all: descriptors are the router's, too.
 * So there are no more than CLIENTS; who comes then takes the place of the one that is there for the longest time.
 */
struct metrics {
	struct ctl *ctl;
	struct evhttp *http;
	struct accept_pause *pause;
	struct event *look;
	struct bufferevent *client
		[CLIENTS]; /* oldest first, with a reference; evhttp gives no other way to count them */
	unsigned int n_clients;
	struct metrics_ike *ike;
};

/* evhttp has given it back. */
static bool
is_left(struct bufferevent *bev)
{
	bufferevent_data_cb read, write;
	bufferevent_event_cb event;
	void *arg;

	bufferevent_getcb(bev, &read, &write, &event, &arg);
	return event == NULL;
}

static void
sweep(struct metrics *m)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < m->n_clients; i++) {
		if (is_left(m->client[i]))
			bufferevent_decref(m->client[i]);
		else
			m->client[n++] = m->client[i];
	}
	m->n_clients = n;
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	sweep(arg);
}

/* evhttp reads on while it writes a reply, and waits for the end of any line: who sends more than a request has is cut off. */
static void
on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
	struct bufferevent *bev = arg;

	(void)info;
	if (evbuffer_get_length(in) <= INPUT_MAX)
		return;
	bufferevent_disable(bev, EV_READ);
	bufferevent_trigger_event(bev, BEV_EVENT_READING | BEV_EVENT_EOF, BEV_TRIG_DEFER_CALLBACKS);
}

/* A connection comes. */
static struct bufferevent *
on_client(struct event_base *base, void *arg)
{
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct metrics *m = arg;

	sweep(m);
	if (bev == NULL)
		return NULL;
	if (evbuffer_add_cb(bufferevent_get_input(bev), on_input, bev) == NULL) {
		bufferevent_free(bev);
		return NULL;
	}
	if (m->n_clients == CLIENTS) {
		/* evhttp sees its end, and closes it in the next turn of the event loop. */
		shutdown(bufferevent_getfd(m->client[0]), SHUT_RDWR);
		bufferevent_decref(m->client[0]);
		memmove(m->client, m->client + 1, (CLIENTS - 1) * sizeof(m->client[0]));
		m->n_clients--;
	}
	bufferevent_incref(bev);
	m->client[m->n_clients++] = bev;
	return bev;
}

static int
watch_clients(struct metrics *m, struct evhttp_bound_socket *bound)
{
	const struct timeval every = {.tv_sec = LOOK_SECONDS};
	struct event_base *base = m->ctl->r->base;

	m->pause = accept_pause_new(evhttp_bound_socket_get_listener(bound), "metrics");
	m->look = event_new(base, -1, EV_PERSIST, on_look, m);
	if (m->pause == NULL || m->look == NULL || event_add(m->look, &every) != 0)
		return -ENOMEM;
	return 0;
}

static void
on_metrics(struct evhttp_request *req, void *arg)
{
	const struct metrics *m = arg;
	const char *accept = evhttp_find_header(evhttp_request_get_input_headers(req), "Accept");
	bool open = accept != NULL && strstr(accept, "application/openmetrics-text") != NULL;
	struct evbuffer *out = evbuffer_new();

	if (out == NULL || metrics_write(m->ctl, m->ike, out, open) < 0) {
		evhttp_send_error(req, HTTP_INTERNAL, NULL);
	} else {
		evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type",
			open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
			     : "text/plain; version=0.0.4; charset=utf-8");
		evhttp_send_reply(req, HTTP_OK, "OK", out);
	}
	if (out != NULL)
		evbuffer_free(out);
}

/* evhttp_bind_socket() would ask the resolver, who knows no address of a family that only the loopback has. */
static struct evhttp_bound_socket *
bind_to(struct metrics *m, const char *address, unsigned int port)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} to = {0};
	struct evconnlistener *listener;
	struct evhttp_bound_socket *bound;
	struct ip_addr parsed;
	socklen_t len;

	if (addr_parse(address, &parsed) < 0) {
		errno = EINVAL;
		return NULL;
	}
	if (parsed.family == 4) {
		len = sizeof(to.in);
		to.in.sin_family = AF_INET;
		to.in.sin_port = htons(port);
		memcpy(&to.in.sin_addr, parsed.b, sizeof(to.in.sin_addr));
	} else {
		len = sizeof(to.in6);
		to.in6.sin6_family = AF_INET6;
		to.in6.sin6_port = htons(port);
		memcpy(&to.in6.sin6_addr, parsed.b, sizeof(to.in6.sin6_addr));
	}
	listener = evconnlistener_new_bind(m->ctl->r->base, NULL, NULL,
		LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE, BACKLOG, &to.sa,
		len);
	if (listener == NULL)
		return NULL;
	bound = evhttp_bind_listener(m->http, listener);
	if (bound == NULL)
		evconnlistener_free(listener);
	return bound;
}

struct metrics *
metrics_start(struct ctl *ctl, const char *address, unsigned int port, const char *vici)
{
	struct metrics *m = calloc(1, sizeof(*m));
	struct evhttp_bound_socket *bound;

	if (m == NULL || (m->http = evhttp_new(ctl->r->base)) == NULL) {
		LOG(ERR, "metrics: not enough memory");
		free(m);
		return NULL;
	}
	m->ctl = ctl;
	evhttp_set_timeout(m->http, TIMEOUT_SECONDS);
	evhttp_set_max_headers_size(m->http, HEADERS_MAX);
	evhttp_set_max_body_size(m->http, 0);
	evhttp_set_allowed_methods(m->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_cb(m->http, "/metrics", on_metrics, m);
	evhttp_set_bevcb(m->http, on_client, m);
	bound = bind_to(m, address, port);
	if (bound == NULL || watch_clients(m, bound) < 0) {
		LOG(ERR, "metrics: address %s, port %u: %s", address, port,
			strerror(bound != NULL ? ENOMEM : errno));
		metrics_stop(m);
		return NULL;
	}
	if (vici != NULL && (m->ike = metrics_ike_start(ctl->r->base, vici)) == NULL) {
		metrics_stop(m);
		return NULL;
	}
	return m;
}

void
metrics_stop(struct metrics *m)
{
	if (m == NULL)
		return;
	metrics_ike_stop(m->ike);
	accept_pause_free(m->pause);
	evhttp_free(m->http);
	for (unsigned int i = 0; i < m->n_clients; i++)
		bufferevent_decref(m->client[i]);
	if (m->look != NULL)
		event_free(m->look);
	free(m);
}
