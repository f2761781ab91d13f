/* SPDX-License-Identifier: BSD-3-Clause */
#include "accept_pause.h"
#include "ctl.h"
#include "log.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

/*
 * The socket. A client costs bounded memory: its input ends at one line, and while its answer (a page) is
 * not read it is not listened to, and goes after a while. One request is served a turn of the event loop.
 */

#define READ_SECONDS 60 /* a client that asks nothing */
#define WRITE_SECONDS 10 /* one that does not read its answer */
#define PUMP_US 10000
#define STREAM_AHEAD (4u << 20) /* bytes that a stream's client may leave unread */

struct client {
	LIST_ENTRY(client) next;
	struct ctl_server *server;
	struct bufferevent *bev;
	uid_t uid;
	struct ctl_stream *stream; /* what it is sent, after its answer */
	struct event *pump;
	bool closing; /* when its answer is written */
};

struct ctl_server {
	struct ctl *ctl;
	struct evconnlistener *listener;
	struct accept_pause *pause;
	struct event *tick;
	LIST_HEAD(, client) clients;
	unsigned int n_clients;
	uint64_t refused_told; /* nanoseconds: the last log line about it */
	dev_t dev; /* the socket file is ours while it is this one */
	ino_t ino;
};

static void
client_free(struct client *c)
{
	if (c->stream != NULL)
		c->stream->close(c->stream);
	if (c->pump != NULL)
		event_free(c->pump);
	LIST_REMOVE(c, next);
	c->server->n_clients--;
	bufferevent_free(c->bev);
	free(c);
}

static void
answer(struct client *c, char *line, size_t len)
{
	if (line == NULL || bufferevent_write(c->bev, line, len) != 0) {
		LOG(ERR, "not enough memory to answer cygnetctl");
		c->closing = true;
		bufferevent_trigger(c->bev, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
	}
	free(line);
	bufferevent_disable(c->bev, EV_READ);
}

static void
on_pump(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	struct evbuffer *out = bufferevent_get_output(c->bev);

	(void)fd;
	(void)what;
	if (evbuffer_get_length(out) < STREAM_AHEAD && !c->stream->pump(c->stream, out))
		client_free(c);
}

/* From now on the connection is the stream's. */
static void
stream(struct client *c, struct ctl_stream *s)
{
	const struct timeval every = {.tv_usec = PUMP_US};

	c->stream = s;
	c->pump = event_new(bufferevent_get_base(c->bev), -1, EV_PERSIST, on_pump, c);
	if (c->pump == NULL || event_add(c->pump, &every) != 0)
		c->closing = true;
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct client *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t n, len;
	char *line, *reply;

	if (c->stream != NULL) {
		evbuffer_drain(in, evbuffer_get_length(in));
		return;
	}
	if (c->closing || evbuffer_get_length(bufferevent_get_output(bev)) > 0)
		return;
	line = evbuffer_readln(in, &n, EVBUFFER_EOL_LF);
	if (line == NULL && evbuffer_get_length(in) <= CTL_LINE_MAX)
		return;
	c->server->ctl->peer = c->uid;
	c->server->ctl->stream = NULL;
	if (line == NULL || n > CTL_LINE_MAX) {
		c->closing = true;
		reply = ctl_answer_error("the request is too long", &len);
	} else {
		reply = ctl_answer(c->server->ctl, line, n, &len);
	}
	free(line);
	if (c->server->ctl->stream != NULL)
		stream(c, c->server->ctl->stream);
	answer(c, reply, len);
}

/* The answer is written: on with the next request. */
static void
on_write(struct bufferevent *bev, void *arg)
{
	struct client *c = arg;

	if (c->closing) {
		client_free(c);
		return;
	}
	bufferevent_enable(bev, EV_READ);
	if (evbuffer_get_length(bufferevent_get_input(bev)) > 0)
		bufferevent_trigger(
			bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct client *c = arg;

	/* Who reads a stream may pause: what is kept for him has an end, and what comes then is lost and counted. */
	if (c->stream != NULL && what & BEV_EVENT_TIMEOUT)
		bufferevent_enable(bev, what & BEV_EVENT_WRITING ? EV_WRITE : EV_READ);
	else
		client_free(c);
}

static bool
allowed(struct ctl_server *s, int fd, uid_t *uid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	uint64_t now = ctl_now();

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return false;
	*uid = cred.uid;
	if (cred.uid == 0 || cred.uid == geteuid())
		return true;
	if (s->refused_told == 0 || now - s->refused_told > 10000000000ull) {
		s->refused_told = now;
		LOG(WARNING, "cygnetctl's socket: user %u (pid %d) is refused", cred.uid, cred.pid);
	}
	return false;
}

/* Into the socket's own buffer, which is empty: all of it or nothing. */
static void
turn_away(int fd, const char *message)
{
	size_t len;
	char *line = ctl_answer_error(message, &len);

	if (line != NULL && send(fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		LOG(DEBUG, "a client of cygnetctl's socket left: %s", strerror(errno));
	free(line);
	close(fd);
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	const struct timeval read = {.tv_sec = READ_SECONDS}, write = {.tv_sec = WRITE_SECONDS};
	struct ctl_server *s = arg;
	struct client *c;
	uid_t uid;

	(void)sa;
	(void)len;
	if (!allowed(s, fd, &uid)) {
		turn_away(fd, "only root and the router's own user may ask");
		return;
	}
	if (s->n_clients >= CTL_CLIENTS) {
		turn_away(fd, "too many clients: try again later");
		return;
	}
	c = calloc(1, sizeof(*c));
	if (c != NULL)
		c->bev = bufferevent_socket_new(
			evconnlistener_get_base(l), fd, BEV_OPT_CLOSE_ON_FREE);
	if (c == NULL || c->bev == NULL) {
		free(c);
		turn_away(fd, "the router has no memory for another client");
		return;
	}
	c->server = s;
	c->uid = uid;
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, CTL_LINE_MAX + 1);
	bufferevent_set_timeouts(c->bev, &read, &write);
	LIST_INSERT_HEAD(&s->clients, c, next);
	s->n_clients++;
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	ctl_sample(((struct ctl_server *)arg)->ctl);
}

/* Makes the directories above the file, as mkdir -p does. */
static int
make_directories(const char *path)
{
	char dir[PATH_MAX];

	if (strlen(path) >= sizeof(dir))
		return -ENAMETOOLONG;
	strcpy(dir, path);
	for (char *p = strchr(dir + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(dir, 0755) != 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

/* Removes the socket of a router that died; -EADDRINUSE when one answers, -EEXIST for another file. */
static int
remove_stale(const struct sockaddr_un *un)
{
	struct stat st;
	int fd, rc;

	if (lstat(un->sun_path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	rc = connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 ? 0 : errno;
	close(fd);
	if (rc != ECONNREFUSED && rc != ENOENT)
		return -EADDRINUSE; /* EAGAIN: it lives, its queue is full */
	return unlink(un->sun_path) == 0 || errno == ENOENT ? 0 : -errno;
}

static int
listen_on(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd, rc;

	if (strlen(path) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	strcpy(un.sun_path, path);
	rc = make_directories(path);
	if (rc == 0)
		rc = remove_stale(&un);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* The file's mode is taken from the descriptor: the umask is the whole process's. */
	if (fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0 ||
		listen(fd, CTL_CLIENTS) != 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

struct ctl_server *
ctl_server_start(struct ctl *ctl)
{
	const struct timeval second = {.tv_sec = 1};
	const char *path = ctl->r->config->socket;
	struct event_base *base = ctl->r->base;
	struct ctl_server *s = calloc(1, sizeof(*s));
	struct stat st;
	int fd;

	if (s == NULL) {
		LOG(ERR, "not enough memory for cygnetctl's socket");
		return NULL;
	}
	s->ctl = ctl;
	/* libevent writes without MSG_NOSIGNAL: a client that leaves must not end the router. */
	signal(SIGPIPE, SIG_IGN);
	fd = listen_on(path);
	if (fd < 0) {
		LOG(ERR, "cygnetctl's socket %s: %s", path,
			fd == -EADDRINUSE ? "another router listens there" : strerror(-fd));
		free(s);
		return NULL;
	}
	if (lstat(path, &st) == 0) {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
	}
	s->listener = evconnlistener_new(
		base, on_accept, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (s->listener == NULL)
		close(fd);
	else
		s->pause = accept_pause_new(s->listener, "cygnetctl's socket");
	s->tick = event_new(base, -1, EV_PERSIST, on_tick, s);
	if (s->listener == NULL || s->pause == NULL || s->tick == NULL ||
		event_add(s->tick, &second) != 0) {
		LOG(ERR, "cygnetctl's socket %s: not enough memory", path);
		ctl_server_stop(s);
		return NULL;
	}
	return s;
}

void
ctl_server_stop(struct ctl_server *s)
{
	const char *path = s->ctl->r->config->socket;
	struct client *c;
	struct stat st;

	while ((c = LIST_FIRST(&s->clients)) != NULL)
		client_free(c);
	if (lstat(path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(path);
	accept_pause_free(s->pause);
	if (s->listener != NULL)
		evconnlistener_free(s->listener);
	if (s->tick != NULL)
		event_free(s->tick);
	free(s);
}
