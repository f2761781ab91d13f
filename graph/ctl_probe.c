/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl_probe.h"

#include <errno.h>

int
ctl_probe_make(struct ctl *ctl, struct ctl_reply *reply)
{
	if (ctl->probe == NULL)
		ctl->probe = probe_create(ctl->r->lcores, ctl->r->n_lcores);
	return ctl->probe != NULL ? 0
				  : ctl_fail(reply, -ENOMEM,
					    "not enough memory: eal.memory in the configuration "
					    "gives more");
}

static int
program(json_t *args, const char *key, struct bpf_insn *insns, unsigned int *n,
	struct ctl_reply *reply)
{
	const json_t *v = json_object_get(args, key);
	int rc;

	*n = 0;
	if (v == NULL)
		return 0;
	rc = json_is_string(v) ? probe_filter_parse(json_string_value(v), insns) : -EINVAL;
	json_object_del(args, key);
	if (rc < 0)
		return ctl_fail(reply, rc, "'%s' is no packet filter, or too long a one", key);
	*n = rc;
	return 0;
}

int
ctl_filter_args(json_t *args, struct probe_filter *f, struct ctl_reply *reply)
{
	int rc = program(args, "frame", f->frame, &f->n_frame, reply);

	return rc == 0 ? program(args, "inner", f->inner, &f->n_inner, reply) : rc;
}

int
ctl_int_arg(json_t *args, const char *key, json_int_t min, json_int_t max, json_int_t *v,
	struct ctl_reply *reply)
{
	const json_t *arg = json_object_get(args, key);
	bool good = json_is_integer(arg) && json_integer_value(arg) >= min &&
		    json_integer_value(arg) <= max;

	if (arg == NULL)
		return 0;
	if (good)
		*v = json_integer_value(arg);
	json_object_del(args, key);
	return good ? 0
		    : ctl_fail(reply, -EINVAL,
			      "%s is a number from %" JSON_INTEGER_FORMAT
			      " to %" JSON_INTEGER_FORMAT,
			      key, min, max);
}
