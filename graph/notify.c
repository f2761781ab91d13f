/* SPDX-License-Identifier: BSD-3-Clause */
#include "notify.h"

#include "log.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

struct notify {
	struct event *tick;
	char up[128];
	bool told; /* that it is up */
};

/* systemd's protocol, one datagram; sd_notify() waits where the manager does not read, and so would every table. */
static bool
say(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	ssize_t sent;
	int fd;

	if (path == NULL || strlen(path) >= sizeof(un.sun_path))
		return true; /* nobody wants to know */
	memcpy(un.sun_path, path, strlen(path));
	if (un.sun_path[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	sent = sendto(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&un,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
	close(fd);
	return sent >= 0;
}

/* A sign of life that gets lost is followed by another; that it is up is said until it is heard. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct notify *n = arg;

	(void)fd;
	(void)what;
	if (n->told)
		say("WATCHDOG=1");
	else
		n->told = say(n->up);
}

struct notify *
notify_ready(struct event_base *base, const char *name)
{
	struct notify *n = calloc(1, sizeof(*n));
	struct timeval every = {.tv_sec = 1};
	uint64_t us = 0;
	bool watched;

	if (n == NULL)
		return NULL;
	snprintf(n->up, sizeof(n->up), "READY=1\nSTATUS=%s forwards packets", name);
	n->told = say(n->up);
	/* The whole event loop must turn for this to be sent: a control thread that hangs is restarted. */
	watched = sd_watchdog_enabled(0, &us) > 0 && us >= 2;
	if (watched)
		every = (struct timeval){.tv_sec = us / 2 / 1000000, .tv_usec = us / 2 % 1000000};
	if (watched || !n->told) {
		n->tick = event_new(base, -1, EV_PERSIST, on_tick, n);
		if (n->tick == NULL || event_add(n->tick, &every) != 0)
			LOG(ERR, "not enough memory for the watchdog");
	}
	return n;
}

void
notify_stopping(void)
{
	say("STOPPING=1");
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
