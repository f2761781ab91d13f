/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"
#include "reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

/*
 * The reload command: its answer is followed by {"line": "..."} for each change and by {"done":true,"error":null or a line,
 * "restart":true or false}.
 */

struct reload_stream {
	struct ctl_stream stream;
	struct reload *job;
	bool told_lines, told_end;
};

static bool
put(struct evbuffer *out, json_t *o)
{
	char *line = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
	bool ok = line != NULL && evbuffer_add_printf(out, "%s\n", line) >= 0;

	free(line);
	json_decref(o);
	return ok;
}

static bool
pump(struct ctl_stream *stream, struct evbuffer *out)
{
	struct reload_stream *s = (struct reload_stream *)stream;
	const char *line = s->told_lines ? NULL : reload_lines(s->job), *why;
	bool ok = true;
	int rc;

	s->told_lines |= line != NULL;
	for (; ok && line != NULL && *line != '\0'; line += strcspn(line, "\n") + 1)
		ok = put(out, json_pack("{ss%}", "line", line, strcspn(line, "\n")));
	if (ok && !s->told_end && reload_done(s->job, &rc, &why)) {
		s->told_end = true;
		ok = put(out, json_pack("{sb ss? sb}", "done", 1, "error", rc < 0 ? why : NULL,
				      "restart", rc == -EAGAIN));
	}
	return ok; /* the client hangs up */
}

static void
finish(struct ctl_stream *stream)
{
	struct reload_stream *s = (struct reload_stream *)stream;

	reload_put(s->job);
	free(s);
}

static int
flag(json_t *args, const char *name, unsigned int bit, unsigned int *flags, struct ctl_reply *reply)
{
	const json_t *v = json_object_get(args, name);

	if (v == NULL)
		return 0;
	if (!json_is_boolean(v))
		return ctl_fail(reply, -EINVAL, "%s is not true or false", name);
	if (json_is_true(v))
		*flags |= bit;
	json_object_del(args, name);
	return 0;
}

int
ctl_reload(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	struct reload_stream *s = calloc(1, sizeof(*s));
	unsigned int flags = 0;
	int rc = s != NULL ? flag(args, "check", RELOAD_CHECK, &flags, reply) : -ENOMEM;

	if (rc == 0)
		rc = flag(args, "partial", RELOAD_PARTIAL, &flags, reply);
	if (rc == 0)
		rc = ctl_no_args(args, reply);
	if (rc == 0) {
		s->stream = (struct ctl_stream){.pump = pump, .close = finish};
		rc = reload_start(ctl->r, flags, &s->job);
		if (rc == -EBUSY)
			ctl_fail(reply, rc, "a reload runs already");
	}
	if (rc < 0) {
		free(s);
		return rc;
	}
	reply->data = json_pack("{ss?}", "file", ctl->r->config->path);
	ctl->stream = &s->stream;
	return 0;
}
