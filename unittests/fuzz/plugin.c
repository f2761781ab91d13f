/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "../../ike/plugin/link_agent.c"

#include "fuzz.h"

#include <stdlib.h>

/* charon's end of the socket: what an agent sends. */

static struct link l;

static void
on_any_event(void *ctx, const struct ike_msg *msg)
{
	(void)ctx;
	if (ike_msg_len(msg->hdr.type) == 0)
		abort();
}

static void
on_log(void *ctx, int level, const char *line)
{
	(void)ctx;
	(void)level;
	if (strlen(line) > 256)
		abort();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	l.conf.event = on_any_event;
	l.conf.log = on_log;
	l.fd = -1;
	LIST_INIT(&l.pending);
	pthread_mutex_init(&l.lock, NULL);
	pthread_cond_init(&l.replied, NULL);
	pthread_cond_init(&l.wake, NULL);
	pthread_cond_init(&l.left, NULL);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ike_msg asked = {.hdr.type = size > 0 ? data[0] : 0}, m = {0};
	struct pending p = {.msg = &asked, .seq = size > 1 ? data[1] : 0};

	if (size < 2 || size - 2 > sizeof(m))
		return 0;
	memcpy(&m, data + 2, size - 2);
	if (!valid(&m, size - 2))
		return 0;
	LIST_INSERT_HEAD(&l.pending, &p, next);
	link_take(&l, &m);
	LIST_REMOVE(&p, next);
	if (p.done && asked.hdr.type != data[0])
		abort();
	return 0;
}
