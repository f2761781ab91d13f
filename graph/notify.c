/* SPDX-License-Identifier: BSD-3-Clause */
#include "notify.h"

#include "log.h"

#include <stdint.h>
#include <stdlib.h>

#include <systemd/sd-daemon.h>

struct notify {
	struct event *tick;
};

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	sd_notify(0, "WATCHDOG=1");
}

struct notify *
notify_ready(struct event_base *base, const char *name)
{
	struct notify *n = calloc(1, sizeof(*n));
	struct timeval every;
	uint64_t us = 0;

	if (n == NULL)
		return NULL;
	/* The whole event loop must turn for this to be sent: a control thread that hangs is restarted. */
	if (sd_watchdog_enabled(0, &us) > 0 && us >= 2) {
		every = (struct timeval){.tv_sec = us / 2 / 1000000, .tv_usec = us / 2 % 1000000};
		n->tick = event_new(base, -1, EV_PERSIST, on_tick, n);
		if (n->tick == NULL || event_add(n->tick, &every) != 0)
			LOG(ERR, "not enough memory for the watchdog");
	}
	sd_notifyf(0, "READY=1\nSTATUS=%s forwards packets", name);
	return n;
}

void
notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void
notify_free(struct notify *n)
{
	if (n == NULL)
		return;
	if (n->tick != NULL)
		event_free(n->tick);
	free(n);
}
