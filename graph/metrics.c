/* SPDX-License-Identifier: BSD-3-Clause */
#include "metrics.h"

#include "ctl.h"
#include "log.h"
#include "metrics_ike.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/http.h>

#define TIMEOUT_SECONDS 10
#define HEADERS_MAX 8192

struct metrics {
	struct ctl *ctl;
	struct evhttp *http;
	struct metrics_ike *ike;
};

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

struct metrics *
metrics_start(struct ctl *ctl, const char *address, unsigned int port, const char *vici)
{
	struct metrics *m = calloc(1, sizeof(*m));

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
	if (evhttp_bind_socket(m->http, address, port) != 0) {
		LOG(ERR, "metrics.listen: %s port %u: %s", address, port, strerror(errno));
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
	evhttp_free(m->http);
	free(m);
}
