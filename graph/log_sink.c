/* SPDX-License-Identifier: BSD-3-Clause */
#include "log_sink.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_log.h>
#include <systemd/sd-journal.h>

#define LINE_MAX_BYTES 2048

static _Thread_local bool keeping;
static _Thread_local char kept[200];

void
log_sink_keep(void)
{
	kept[0] = '\0';
	keeping = true;
}

const char *
log_sink_kept(void)
{
	keeping = false;
	return kept;
}

/* The first line; it does not end with a zero. */
static void
keep(const char *buf, size_t len)
{
	static const char us[] = "cygnet: ";
	const char *end = memchr(buf, '\n', len);

	if (!keeping || kept[0] != '\0' || rte_log_cur_msg_loglevel() > (int)RTE_LOG_ERR)
		return;
	if (end != NULL)
		len = end - buf;
	if (len > sizeof(us) - 1 && memcmp(buf, us, sizeof(us) - 1) == 0) {
		buf += sizeof(us) - 1;
		len -= sizeof(us) - 1;
	}
	snprintf(kept, sizeof(kept), "%.*s", (int)len, buf);
}

/* systemd.exec(5): JOURNAL_STREAM is the device and inode of the stream that leads to the journal. */
static bool
is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream != NULL && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

/* DPDK's levels, 1 to 8, are syslog's plus one. */
static int
priority(void)
{
	int level = rte_log_cur_msg_loglevel();

	return level >= 1 && level <= 8 ? level - 1 : 6;
}

static ssize_t
to_journal(void *cookie, const char *buf, size_t len)
{
	const char *name = cookie;

	keep(buf, len);
	size_t n = len < LINE_MAX_BYTES ? len : LINE_MAX_BYTES;

	while (n > 0 && buf[n - 1] == '\n')
		n--;
	if (n > 0 &&
		sd_journal_send("MESSAGE=%.*s", (int)n, buf, "PRIORITY=%d", priority(),
			"SYSLOG_IDENTIFIER=cygnet", "CYGNET_ROUTER=%s", name, "CYGNET_LOGTYPE=%d",
			rte_log_cur_msg_logtype(), NULL) < 0 &&
		write(STDERR_FILENO, buf, len) < 0)
		return 0; /* there is nobody left to tell */
	return (ssize_t)len;
}

static ssize_t
to_stderr(void *cookie, const char *buf, size_t len)
{
	(void)cookie;
	keep(buf, len);
	return write(STDERR_FILENO, buf, len) < 0 ? 0 : (ssize_t)len;
}

int
log_sink_open(const char *name)
{
	const cookie_io_functions_t io = {
		.write = is_journal(STDERR_FILENO) ? to_journal : to_stderr};
	FILE *f = fopencookie((void *)(uintptr_t)name, "w", io);

	if (f == NULL)
		return -ENOMEM;
	/* A line at a time: a line is an entry of the journal. */
	setvbuf(f, NULL, _IOLBF, LINE_MAX_BYTES);
	return rte_openlog_stream(f);
}
