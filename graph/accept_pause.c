/* SPDX-License-Identifier: BSD-3-Clause */
#include "accept_pause.h"

#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>
#include <event2/listener.h>

struct accept_pause {
	LIST_ENTRY(accept_pause) next;
	struct evconnlistener *listener;
	struct event *resume;
	const char *who;
};

static LIST_HEAD(, accept_pause) pauses = LIST_HEAD_INITIALIZER(pauses);

/* Found by the listener, not by its argument: that of evhttp's listeners is evhttp's own. */
static void
on_error(struct evconnlistener *l, void *arg)
{
	const struct timeval second = {.tv_sec = 1};
	struct accept_pause *p;

	(void)arg;
	LIST_FOREACH (p, &pauses, next)
		if (p->listener == l)
			break;
	if (p == NULL)
		return;
	LOG(WARNING, "%s: accept: %s", p->who, strerror(errno));
	evconnlistener_disable(l);
	event_add(p->resume, &second);
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	evconnlistener_enable(((struct accept_pause *)arg)->listener);
}

struct accept_pause *
accept_pause_new(struct evconnlistener *l, const char *who)
{
	struct accept_pause *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->resume = evtimer_new(evconnlistener_get_base(l), on_resume, p);
	if (p->resume == NULL) {
		free(p);
		return NULL;
	}
	p->listener = l;
	p->who = who;
	LIST_INSERT_HEAD(&pauses, p, next);
	evconnlistener_set_error_cb(l, on_error);
	return p;
}

void
accept_pause_free(struct accept_pause *p)
{
	if (p == NULL)
		return;
	LIST_REMOVE(p, next);
	event_free(p->resume);
	free(p);
}
