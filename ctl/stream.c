/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"

#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

volatile sig_atomic_t stream_interrupted;

#define LINE_MAX_BYTES (1u << 20)

static void
on_signal(int sig)
{
	(void)sig;
	stream_interrupted = 1;
}

void
stream_begin(int fd)
{
	const struct sigaction action = {.sa_handler = on_signal};

	(void)fd;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int
stream_read(int fd, int ms, void *buf, size_t size, size_t *n)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t got;

	*n = 0;
	if (poll(&p, 1, ms) <= 0)
		return CTL_OK;
	got = recv(fd, buf, size, MSG_DONTWAIT);
	if (got > 0) {
		*n = (size_t)got;
		return CTL_OK;
	}
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return CTL_OK;
	return client_fail(CTL_NO_ROUTER, "the router closed the connection");
}

void
stream_lines_begin(struct stream_lines *s, int fd)
{
	*s = (struct stream_lines){.fd = fd};
}

void
stream_lines_end(struct stream_lines *s)
{
	free(s->buf);
	s->buf = NULL;
}

int
stream_line(struct stream_lines *s, int ms, char **line)
{
	char *end, *more;
	size_t n;
	int rc;

	*line = NULL;
	end = s->len > s->at ? memchr(s->buf + s->at, '\n', s->len - s->at) : NULL;
	if (end == NULL) {
		if (s->at > 0)
			memmove(s->buf, s->buf + s->at, s->len - s->at);
		s->len -= s->at;
		s->at = 0;
		if (s->len == s->size) {
			more = s->size < LINE_MAX_BYTES ? realloc(s->buf, s->size + 65536) : NULL;
			if (more == NULL)
				return client_fail(CTL_REFUSED, "the router's line is too long");
			s->buf = more;
			s->size += 65536;
		}
		rc = stream_read(s->fd, ms, s->buf + s->len, s->size - s->len, &n);
		if (rc != CTL_OK)
			return rc;
		s->len += n;
		end = n > 0 ? memchr(s->buf, '\n', s->len) : NULL;
	}
	if (end == NULL)
		return CTL_OK;
	*end = '\0';
	*line = s->buf + s->at;
	s->at = (size_t)(end - s->buf) + 1;
	return CTL_OK;
}
