/* SPDX-License-Identifier: BSD-3-Clause */
#include "vici_client.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libvici.h>

#define LIBVICI "/usr/lib/ipsec/libvici.so.0"
#define EXIT_NO_CHARON 3

/* The functions of libvici, by name. */
#define FUNCTIONS(X)                                                                           \
	X(vici_init)                                                                           \
	X(vici_deinit)                                                                         \
	X(vici_connect)                                                                        \
	X(vici_disconnect)                                                                     \
	X(vici_begin)                                                                          \
	X(vici_begin_section)                                                                  \
	X(vici_end_section)                                                                    \
	X(vici_add_key_value)                                                                  \
	X(vici_begin_list)                                                                     \
	X(vici_add_list_item) X(vici_end_list) X(vici_submit) X(vici_parse) X(vici_parse_name) \
		X(vici_parse_value) X(vici_free_res) X(vici_register)

#define DECLARE(name) __typeof__(&name) name##_;
static struct {
	void *handle;
	FUNCTIONS(DECLARE)
} lib;

#define EVENTS_MAX 16

struct listener {
	const char *event;
	vici_event *row;
	void *ctx;
};

struct vici {
	vici_conn_t *conn;
	char *uri;
	struct listener listeners[EVENTS_MAX];
	unsigned int n_listeners;
};

static bool
load_library(const char **why)
{
	void (*quiet)(int level);

	if (lib.handle != NULL)
		return true;
	lib.handle = dlopen(LIBVICI, RTLD_NOW | RTLD_LOCAL);
	if (lib.handle == NULL)
		lib.handle = dlopen("libvici.so.0", RTLD_NOW | RTLD_LOCAL);
	if (lib.handle == NULL) {
		*why = "strongSwan's libvici is not installed (" LIBVICI
		       ", of Debian's package strongswan-libcharon)";
		return false;
	}
#define FIND(name)                                                       \
	lib.name##_ = (__typeof__(lib.name##_))dlsym(lib.handle, #name); \
	if (lib.name##_ == NULL) {                                       \
		*why = "strongSwan's libvici lacks " #name;              \
		return false;                                            \
	}
	FUNCTIONS(FIND)
	/* libstrongswan tells of failures on stderr by itself. */
	quiet = (void (*)(int))dlsym(lib.handle, "dbg_default_set_level");
	lib.vici_init_();
	if (quiet != NULL)
		quiet(-1);
	return true;
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
	if (v->uri != NULL)
		v->conn = lib.vici_connect_(v->uri);
	if (v->conn != NULL)
		return v;
	snprintf(text, sizeof(text), "charon does not answer at %.150s: %s",
		v->uri != NULL ? v->uri : "",
		errno == ENOENT || errno == ECONNREFUSED
			? "is it running, and its vici plugin loaded?"
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
		lib.vici_disconnect_(v->conn);
	free(v->uri);
	free(v);
}

const char *
vici_path(const struct vici *v)
{
	return strncmp(v->uri, "unix://", 7) == 0 ? v->uri + 7 : NULL;
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
			lib.vici_add_key_value_(req, unconst(key), unconst(s), (int)strlen(s));
		} else if (json_is_array(v)) {
			lib.vici_begin_list_(req, unconst(key));
			json_array_foreach (v, i, e) {
				s = value_of(e);
				if (s != NULL)
					lib.vici_add_list_item_(req, unconst(s), (int)strlen(s));
			}
			lib.vici_end_list_(req);
		} else if (json_is_object(v)) {
			lib.vici_begin_section_(req, unconst(key));
			write_section(req, v);
			lib.vici_end_section_(req);
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

static json_t *
value(vici_res_t *res)
{
	int len;
	const char *s = lib.vici_parse_value_(res, &len);
	json_t *v = s != NULL ? json_stringn(s, (size_t)len) : NULL;

	return v != NULL ? v : json_string("?"); /* not UTF-8 */
}

static bool
read_section(vici_res_t *res, json_t *o, unsigned int depth)
{
	json_t *list = NULL, *sub;
	bool good = true;

	while (good) {
		switch (lib.vici_parse_(res)) {
		case VICI_PARSE_BEGIN_SECTION:
			sub = json_object();
			/* Two IKE SAs of one connection come in messages of their own; names are unique here. */
			json_object_set_new(o, lib.vici_parse_name_(res), sub);
			good = depth < 32 && read_section(res, sub, depth + 1);
			break;
		case VICI_PARSE_END_SECTION:
			return depth > 0;
		case VICI_PARSE_KEY_VALUE:
			json_object_set_new(o, lib.vici_parse_name_(res), value(res));
			break;
		case VICI_PARSE_BEGIN_LIST:
			list = json_array();
			json_object_set_new(o, lib.vici_parse_name_(res), list);
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

static void
not_answered(int sig)
{
	static const char text[] = "cygnetctl: charon does not answer: is it hung, or stopped?\n";

	(void)sig;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(EXIT_NO_CHARON);
	_exit(EXIT_NO_CHARON);
}

json_t *
vici_call_data(struct vici *v, const char *command, json_t *args, const void *data, size_t len,
	unsigned int seconds)
{
	vici_req_t *req = lib.vici_begin_(unconst(command));
	json_t *answer;
	vici_res_t *res;

	if (args != NULL)
		write_section(req, args);
	json_decref(args);
	if (data != NULL)
		lib.vici_add_key_value_(req, unconst("data"), (void *)(uintptr_t)data, (int)len);
	signal(SIGALRM, not_answered);
	alarm(seconds);
	res = lib.vici_submit_(req, v->conn);
	alarm(0);
	if (res == NULL)
		return NULL;
	answer = json_object();
	if (!read_section(res, answer, 0)) {
		json_decref(answer);
		answer = NULL;
	}
	lib.vici_free_res_(res);
	return answer;
}

json_t *
vici_call(struct vici *v, const char *command, json_t *args, unsigned int seconds)
{
	return vici_call_data(v, command, args, NULL, 0, seconds);
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
	signal(SIGALRM, not_answered);
	alarm(10);
	good = lib.vici_register_(v->conn, unconst(event), on_event, l) == 0;
	alarm(0);
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
	if (answer != NULL)
		lib.vici_register_(v->conn, unconst(event), NULL, NULL);
	v->n_listeners--;
	json_decref(answer);
	return answer != NULL;
}
