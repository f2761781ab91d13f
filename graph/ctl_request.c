/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

static const struct ctl_command commands[] = {
	{"capture", ctl_capture},
	{"complete", ctl_complete},
	{"edges", ctl_edges},
	{"graph", ctl_graph},
	{"lcores", ctl_lcores},
	{"policy", ctl_policy},
	{"port", ctl_port},
	{"reload", ctl_reload},
	{"route", ctl_route},
	{"sa", ctl_sa},
	{"status", ctl_status},
	{"trace", ctl_trace},
	{"version", ctl_version},
};

int
ctl_fail(struct ctl_reply *reply, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reply->message, sizeof(reply->message), fmt, ap);
	va_end(ap);
	return rc;
}

int
ctl_no_args(json_t *args, struct ctl_reply *reply)
{
	const char *key;
	json_t *value;

	json_object_foreach (args, key, value)
		return ctl_fail(reply, -EINVAL, "unknown argument '%.40s'", key);
	return 0;
}

int
ctl_cursor_arg(json_t *args, struct ctl_reply *reply, const char **cursor)
{
	const char *key;
	json_t *value;

	*cursor = NULL;
	json_object_foreach (args, key, value) {
		if (strcmp(key, "cursor") != 0)
			return ctl_fail(reply, -EINVAL, "unknown argument '%.40s'", key);
		if (!json_is_string(value))
			return ctl_fail(reply, -EINVAL, "the cursor is not a string");
		*cursor = json_string_value(value);
	}
	return 0;
}

int
ctl_cursor_index(const char *cursor, uint32_t limit, uint32_t *index, struct ctl_reply *reply)
{
	unsigned long v;
	char *end;

	*index = 0;
	if (cursor == NULL)
		return 0;
	errno = 0;
	v = strtoul(cursor, &end, 10);
	if (cursor[0] < '0' || cursor[0] > '9' || *end != '\0' || errno != 0 || v >= limit)
		return ctl_fail(reply, -EINVAL, "that is not a cursor of this table");
	*index = v;
	return 0;
}

/* Takes the reference of doc. */
static char *
dump(json_t *doc, size_t *len)
{
	char *s = doc == NULL ? NULL : json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(6));
	char *line;

	json_decref(doc);
	if (s == NULL)
		return NULL;
	*len = strlen(s);
	line = realloc(s, *len + 2);
	if (line == NULL) {
		free(s);
		return NULL;
	}
	line[(*len)++] = '\n';
	line[*len] = '\0';
	return line;
}

/* A message may quote the request, and cut it in the midst of a character: JSON has none of these. */
char *
ctl_answer_error(const char *message, size_t *len)
{
	json_t *text = json_string(message);
	char plain[sizeof(((struct ctl_reply *)NULL)->message)];

	if (text == NULL) {
		snprintf(plain, sizeof(plain), "%s", message);
		for (char *p = plain; *p != '\0'; p++)
			if (*p & 0x80)
				*p = '?';
		text = json_string(plain);
	}
	return dump(json_pack("{ss so}", "status", "error", "message", text), len);
}

/* Finds the command of a request, or says what is wrong with it. */
static const struct ctl_command *
parse(json_t *doc, json_t **args, struct ctl_reply *reply)
{
	const char *key, *name;
	json_t *value;

	if (!json_is_object(doc)) {
		ctl_fail(reply, 0, "a request is an object");
		return NULL;
	}
	json_object_foreach (doc, key, value) {
		if (strcmp(key, "command") != 0 && strcmp(key, "args") != 0) {
			ctl_fail(reply, 0, "a request has no '%.40s'", key);
			return NULL;
		}
	}
	name = json_string_value(json_object_get(doc, "command"));
	if (name == NULL) {
		ctl_fail(reply, 0, "a request names its command");
		return NULL;
	}
	*args = json_object_get(doc, "args");
	if (*args != NULL && !json_is_object(*args)) {
		ctl_fail(reply, 0, "args is not an object");
		return NULL;
	}
	for (unsigned int i = 0; i < RTE_DIM(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	ctl_fail(reply, 0, "unknown command '%.40s'", name);
	return NULL;
}

char *
ctl_answer(struct ctl *ctl, const char *line, size_t len, size_t *answer_len)
{
	struct ctl_reply reply = {0};
	const struct ctl_command *command;
	json_error_t error;
	json_t *doc, *answer, *args = NULL;
	int rc;

	doc = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	if (doc == NULL) {
		ctl_fail(&reply, 0, "that is no JSON: %.120s", error.text);
		return ctl_answer_error(reply.message, answer_len);
	}
	command = parse(doc, &args, &reply);
	rc = command == NULL ? -EINVAL : command->run(ctl, args, &reply);
	json_decref(doc);
	if (rc < 0) {
		json_decref(reply.data);
		if (reply.message[0] == '\0')
			ctl_fail(&reply, rc, "%s", strerror(-rc));
		return ctl_answer_error(reply.message, answer_len);
	}
	answer = json_pack("{ss so*}", "status", "ok", "data", reply.data);
	if (answer != NULL && reply.next[0] != '\0' &&
		json_object_set_new(answer, "next", json_string(reply.next)) != 0) {
		json_decref(answer);
		answer = NULL;
	}
	return dump(answer, answer_len);
}
