/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64u << 20)

_Thread_local FILE *config_complaints_to;

FILE *
config_complaints(void)
{
	return config_complaints_to != NULL ? config_complaints_to : stderr;
}

int
config_text_fail(struct config_text *t, unsigned int line, const char *path, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	for (char *s = text; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
	t->errors++;
	if (t->report != NULL)
		t->report(t->ctx, line, path, text);
	else
		fprintf(config_complaints(), "%s:%u: %s%s%s\n", t->path, line, path,
			*path != '\0' ? ": " : "", text);
	return -EINVAL;
}

static int
read_fd(struct config_text *t, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > FILE_MAX)
		return -EFBIG;
	t->mode = st.st_mode;
	t->text = calloc(1, st.st_size + 1);
	if (t->text == NULL)
		return -ENOMEM;
	while (t->len < (size_t)st.st_size) {
		ssize_t n = read(fd, t->text + t->len, st.st_size - t->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		t->len += n;
	}
	return 0;
}

int
config_text_read(struct config_text *t)
{
	/* Not blocking: a pipe is refused, not waited for. */
	int fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret;
	const char *nul;

	if (fd < 0) {
		ret = -errno;
	} else {
		ret = read_fd(t, fd);
		close(fd);
	}
	if (ret == -ENOMEM)
		return ret;
	if (ret < 0) {
		t->errors++;
		fprintf(config_complaints(), "%s: cannot be read: %s\n", t->path,
			ret == -EINVAL ? "Not a regular file" : strerror(-ret));
		return ret;
	}
	nul = memchr(t->text, '\0', t->len);
	if (nul != NULL)
		return config_text_fail(
			t, 1, "", "is not text: a zero byte at offset %td", nul - t->text);
	return 0;
}

void
config_text_free(struct config_text *t)
{
	for (size_t i = 0; i < t->n_nodes; i++) {
		free(t->nodes[i].key);
		free(t->nodes[i].value);
	}
	free(t->nodes);
	if (t->text != NULL)
		explicit_bzero(t->text, t->len);
	free(t->text);
	t->nodes = NULL;
	t->text = NULL;
	t->n_nodes = t->len = 0;
}
