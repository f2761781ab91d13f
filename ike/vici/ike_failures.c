/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_failures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_S 5
#define TEXT_MAX (4u << 20) /* more than the plugin keeps */

/* The object of that name, made if need be. */
static json_t *
member(json_t *o, const char *name)
{
	json_t *m = json_object_get(o, name);

	if (m == NULL) {
		m = json_object();
		json_object_set_new(o, name, m);
	}
	return m;
}

json_t *
ike_failures_parse(char *text)
{
	json_t *all = json_object(), *of;
	char *line, *when, *gateway, *tunnel;

	while ((line = strsep(&text, "\n")) != NULL) {
		when = strsep(&line, "\t");
		gateway = strsep(&line, "\t");
		tunnel = strsep(&line, "\t");
		if (line == NULL)
			continue;
		if (*gateway == '\0')
			of = member(all, "peers");
		else if (*tunnel == '\0')
			of = member(all, "gateways");
		else
			of = member(member(all, "tunnels"), gateway);
		json_object_set_new(of, *tunnel != '\0' ? tunnel : gateway,
			json_pack("{sIss}", "time", (json_int_t)atoll(when), "error", line));
	}
	return all;
}

static int
reach(const char *vici)
{
	const struct timeval wait = {.tv_sec = WAIT_S};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd;

	if (vici == NULL || snprintf(un.sun_path, sizeof(un.sun_path), "%s.cygnet-failures",
				    vici) >= (int)sizeof(un.sun_path))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0 ||
			       connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

json_t *
ike_failures_read(const struct vici *v)
{
	char *text = malloc(TEXT_MAX + 1);
	int fd = text != NULL ? reach(vici_path(v)) : -1;
	size_t len = 0;
	json_t *all;
	ssize_t n;

	while (fd >= 0 && len < TEXT_MAX && (n = read(fd, text + len, TEXT_MAX - len)) > 0)
		len += (size_t)n;
	if (fd >= 0)
		close(fd);
	if (text != NULL)
		text[len] = '\0';
	all = text != NULL ? ike_failures_parse(text) : json_object();
	free(text);
	return all;
}
