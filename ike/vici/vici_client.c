/* SPDX-License-Identifier: BSD-3-Clause */
#include "vici_client.h"

#include "plain_text.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <libvici.h>

#define LIBVICI "/usr/lib/ipsec/libvici.so.0"
#define EXIT_NO_CHARON 3
#define CONNECT_SECONDS 10

/* The functions of libvici. */
struct functions {
	__typeof__(vici_init) *init;
	__typeof__(vici_deinit) *deinit;
	__typeof__(vici_connect) *connect;
	__typeof__(vici_disconnect) *disconnect;
	__typeof__(vici_begin) *begin;
	__typeof__(vici_begin_section) *begin_section;
	__typeof__(vici_end_section) *end_section;
	__typeof__(vici_add_key_value) *add_key_value;
	__typeof__(vici_begin_list) *begin_list;
	__typeof__(vici_add_list_item) *add_list_item;
	__typeof__(vici_end_list) *end_list;
	__typeof__(vici_submit) *submit;
	__typeof__(vici_parse) *parse;
	__typeof__(vici_parse_name) *parse_name;
	__typeof__(vici_parse_value) *parse_value;
	__typeof__(vici_free_res) *free_res;
	__typeof__(vici_register) *register_event;
};

static const struct {
	const char *name;
	size_t at;
} symbols[] = {
	{"vici_init", offsetof(struct functions, init)},
	{"vici_deinit", offsetof(struct functions, deinit)},
	{"vici_connect", offsetof(struct functions, connect)},
	{"vici_disconnect", offsetof(struct functions, disconnect)},
	{"vici_begin", offsetof(struct functions, begin)},
	{"vici_begin_section", offsetof(struct functions, begin_section)},
	{"vici_end_section", offsetof(struct functions, end_section)},
	{"vici_add_key_value", offsetof(struct functions, add_key_value)},
	{"vici_begin_list", offsetof(struct functions, begin_list)},
	{"vici_add_list_item", offsetof(struct functions, add_list_item)},
	{"vici_end_list", offsetof(struct functions, end_list)},
	{"vici_submit", offsetof(struct functions, submit)},
	{"vici_parse", offsetof(struct functions, parse)},
	{"vici_parse_name", offsetof(struct functions, parse_name)},
	{"vici_parse_value", offsetof(struct functions, parse_value)},
	{"vici_free_res", offsetof(struct functions, free_res)},
	{"vici_register", offsetof(struct functions, register_event)},
};

static void *library;
static struct functions lib;

#define EVENTS_MAX 16

struct listener {
	const char *event;
	vici_event *row;
	void *ctx;
};

struct vici {
	vici_conn_t *conn;
	char *uri;
	int fd, nowhere; /* conn's, which libvici does not tell; /dev/null */
	struct listener listeners[EVENTS_MAX];
	unsigned int n_listeners;
};

static bool
load_library(const char **why)
{
	void (*quiet)(int level);

	if (library != NULL)
		return true;
	library = dlopen(LIBVICI, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		library = dlopen("libvici.so.0", RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		*why = "strongSwan's libvici is not installed (" LIBVICI
		       ", of Debian's package strongswan-libcharon)";
		return false;
	}
	for (unsigned int i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *f = dlsym(library, symbols[i].name);

		if (f == NULL) {
			*why = "strongSwan's libvici is another than ours was built for";
			return false;
		}
		memcpy((char *)&lib + symbols[i].at, &f, sizeof(f));
	}
	/* libstrongswan tells of failures on stderr by itself. */
	quiet = (void (*)(int))dlsym(library, "dbg_default_set_level");
	lib.init();
	if (quiet != NULL)
		quiet(-1);
	return true;
}

#define FDS 256

/* Which of our descriptors are sockets with somebody at their other end. */
static void
find_connected(bool connected[FDS])
{
	struct sockaddr_storage peer;

	for (int fd = 0; fd < FDS; fd++) {
		socklen_t len = sizeof(peer);

		connected[fd] = getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
	}
}

static void
interrupt(int sig)
{
	(void)sig;
}

/* One that is stopped lets nobody wait for ever: its queue is full some time, and then this ends with EINTR. */
static vici_conn_t *
connect_in_time(const char *uri)
{
	const struct sigaction act = {.sa_handler = interrupt};
	struct sigaction was;
	vici_conn_t *conn;
	int error;

	sigaction(SIGALRM, &act, &was);
	alarm(CONNECT_SECONDS);
	conn = lib.connect((char *)(uintptr_t)uri);
	error = errno;
	alarm(0);
	sigaction(SIGALRM, &was, NULL);
	errno = error;
	return conn;
}

static void
connect_to(struct vici *v)
{
	bool before[FDS], after[FDS];

	find_connected(before);
	v->conn = connect_in_time(v->uri);
	if (v->conn == NULL)
		return;
	find_connected(after);
	for (int fd = 0; fd < FDS; fd++)
		if (after[fd] && !before[fd])
			v->fd = fd;
}

struct vici *
vici_open(const char *uri, const char **why)
{
	static char text[256];
	struct vici *v = calloc(1, sizeof(*v));

	*why = "out of memory";
	if (v == NULL || !load_library(why)) {
		free(v);
		return NULL;
	}
	if (uri == NULL)
		uri = VICI_DEFAULT;
	if (asprintf(&v->uri, "%s%s", strstr(uri, "://") != NULL ? "" : "unix://", uri) < 0)
		v->uri = NULL;
	v->fd = -1;
	v->nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (v->uri != NULL && v->nowhere >= 0)
		connect_to(v);
	if (v->conn != NULL)
		return v;
	snprintf(text, sizeof(text), "charon does not answer at %.150s: %s",
		v->uri != NULL ? v->uri : "",
		errno == ENOENT || errno == ECONNREFUSED
			? "is it running, and its vici plugin loaded?"
		: errno == EINTR ? "it takes no connections: is it hung, or stopped?"
				 : strerror(errno));
	*why = text;
	vici_close(v);
	return NULL;
}

void
vici_close(struct vici *v)
{
	if (v == NULL)
		return;
	if (v->conn != NULL)
		lib.disconnect(v->conn);
	if (v->nowhere >= 0)
		close(v->nowhere);
	free(v->uri);
	free(v);
}

const char *
vici_path(const struct vici *v)
{
	return strncmp(v->uri, "unix://", 7) == 0 ? v->uri + 7 : NULL;
}

const char *
vici_uri(const struct vici *v)
{
	return v->uri;
}

static char *
unconst(const char *s)
{
	return (char *)(uintptr_t)s; /* libvici's prototypes know no const */
}

/* A value, or the certificate that it stands for. */
static const char *
value_of(const json_t *v)
{
	const json_t *pem = json_object_get(v, "pem");

	return json_string_value(pem != NULL ? pem : v);
}

static void
write_section(vici_req_t *req, json_t *o)
{
	const char *key, *s;
	json_t *v, *e;
	size_t i;

	json_object_foreach (o, key, v) {
		s = value_of(v);
		if (s != NULL) {
			lib.add_key_value(req, unconst(key), unconst(s), (int)strlen(s));
		} else if (json_is_array(v)) {
			lib.begin_list(req, unconst(key));
			json_array_foreach (v, i, e) {
				s = value_of(e);
				if (s != NULL)
					lib.add_list_item(req, unconst(s), (int)strlen(s));
			}
			lib.end_list(req);
		} else if (json_is_object(v)) {
			lib.begin_section(req, unconst(key));
			write_section(req, v);
			lib.end_section(req);
		}
	}
}

size_t
vici_size(const json_t *args)
{
	size_t n = 0, i;
	const char *key, *s;
	json_t *v, *e;

	json_object_foreach ((json_t *)(uintptr_t)args, key, v) {
		n += strlen(key) + 4;
		s = value_of(v);
		if (s != NULL)
			n += strlen(s);
		json_array_foreach (v, i, e) {
			s = value_of(e);
			n += 3 + (s != NULL ? strlen(s) : 0);
		}
		if (s == NULL && json_is_object(v))
			n += vici_size(v);
	}
	return n;
}

/* What a peer or a file chose is shown on terminals, and JSON takes nothing but UTF-8. */
static json_t *
value(vici_res_t *res)
{
	int len = 0;
	char *s = lib.parse_value(res, &len);
	json_t *v;

	if (s == NULL)
		return json_string("?");
	plain_text(s, (size_t)len);
	v = json_stringn(s, (size_t)len);
	return v != NULL ? v : json_string("?");
}

static char *
name(vici_res_t *res)
{
	char *s = lib.parse_name(res);

	if (s != NULL)
		plain_text(s, strlen(s));
	return s;
}

static bool
read_section(vici_res_t *res, json_t *o, unsigned int depth)
{
	json_t *list = NULL, *sub;
	bool good = true;

	while (good) {
		switch (lib.parse(res)) {
		case VICI_PARSE_BEGIN_SECTION:
			sub = json_object();
			/* Two IKE SAs of one connection come in messages of their own; names are unique here. */
			json_object_set_new(o, name(res), sub);
			good = depth < 32 && read_section(res, sub, depth + 1);
			break;
		case VICI_PARSE_END_SECTION:
			return depth > 0;
		case VICI_PARSE_KEY_VALUE:
			json_object_set_new(o, name(res), value(res));
			break;
		case VICI_PARSE_BEGIN_LIST:
			list = json_array();
			json_object_set_new(o, name(res), list);
			break;
		case VICI_PARSE_LIST_ITEM:
			json_array_append_new(list, value(res));
			break;
		case VICI_PARSE_END_LIST:
			break;
		case VICI_PARSE_END:
			return depth == 0;
		default:
			good = false;
		}
	}
	return false;
}

static struct {
	int fd, nowhere; /* the connection's; one at which nobody reads or writes */
	volatile sig_atomic_t left; /* seconds */
	struct sigaction pipe; /* libvici writes to who has gone */
} waiting;

/*
 * Each second of a wait. strongSwan 5.9's libvici may take the end of a connection for "nothing has come yet", and read
 * on for ever; of a socket that is none it sees the error.
 */
static void
look(int sig)
{
	static const char text[] = "cygnetctl: charon does not answer: is it hung, or stopped?\n";
	int was = errno;
	char c;

	(void)sig;
	if (waiting.fd >= 0 && recv(waiting.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		dup2(waiting.nowhere, waiting.fd);
	errno = was;
	if (--waiting.left > 0)
		return;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(EXIT_NO_CHARON);
	_exit(EXIT_NO_CHARON);
}

static void
wait_begins(const struct vici *v, unsigned int seconds)
{
	static const struct itimerval second = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
	static const struct sigaction ignore = {.sa_handler = SIG_IGN};

	waiting.fd = v->fd;
	waiting.nowhere = v->nowhere;
	waiting.left = (sig_atomic_t)seconds;
	signal(SIGALRM, look);
	sigaction(SIGPIPE, &ignore, &waiting.pipe);
	setitimer(ITIMER_REAL, &second, NULL);
}

static void
wait_ends(void)
{
	static const struct itimerval never;

	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGPIPE, &waiting.pipe, NULL);
}

json_t *
vici_call_data(struct vici *v, const char *command, json_t *args, const void *data, size_t len,
	unsigned int seconds)
{
	vici_req_t *req = lib.begin(unconst(command));
	json_t *answer;
	vici_res_t *res;

	if (args != NULL)
		write_section(req, args);
	json_decref(args);
	if (data != NULL)
		lib.add_key_value(req, unconst("data"), (void *)(uintptr_t)data, (int)len);
	wait_begins(v, seconds);
	res = lib.submit(req, v->conn);
	wait_ends();
	if (res == NULL)
		return NULL;
	answer = json_object();
	if (!read_section(res, answer, 0)) {
		json_decref(answer);
		answer = NULL;
	}
	lib.free_res(res);
	return answer;
}

const char *
vici_refusal(const json_t *answer)
{
	const char *success = json_string_value(json_object_get(answer, "success"));
	const char *why = json_string_value(json_object_get(answer, "errmsg"));

	if (success == NULL || strcmp(success, "yes") == 0)
		return NULL;
	return why != NULL && *why != '\0' ? why : "charon refuses, and says not why";
}

static void
on_event(void *user, char *name, vici_res_t *res)
{
	const struct listener *l = user;
	json_t *message = json_object();

	if (read_section(res, message, 0))
		l->row(l->ctx, name, message);
	json_decref(message);
}

bool
vici_listen(struct vici *v, const char *event, vici_event *row, void *ctx)
{
	struct listener *l = &v->listeners[v->n_listeners];
	bool good;

	if (v->n_listeners == EVENTS_MAX)
		return false;
	*l = (struct listener){event, row, ctx};
	wait_begins(v, 10);
	good = lib.register_event(v->conn, unconst(event), on_event, l) == 0;
	wait_ends();
	v->n_listeners += good;
	return good;
}

bool
vici_stream(struct vici *v, const char *command, json_t *args, const char *event, vici_event *row,
	void *ctx)
{
	json_t *answer;

	if (!vici_listen(v, event, row, ctx)) {
		json_decref(args);
		return false;
	}
	answer = vici_call(v, command, args, 60);
	if (answer != NULL) {
		wait_begins(v, 10);
		lib.register_event(v->conn, unconst(event), NULL, NULL);
		wait_ends();
	}
	v->n_listeners--;
	json_decref(answer);
	return answer != NULL;
}
