/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64u << 20)
#define SECRET_MIN 16 /* digits; room for a placeholder, and no key is as short */

static const char *
skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

/* The digits after a "key:" or "integrity-key:" whose last letters begin at p; NULL when none follow. */
static char *
key_digits(char *p, size_t *len)
{
	const char *s = p + strlen("key");

	if (*s == '"' || *s == '\'')
		s++;
	s = skip_blanks(s);
	if (*s != ':')
		return NULL;
	s = skip_blanks(s + 1);
	if (*s == '"' || *s == '\'')
		s++;
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		s += 2;
	*len = strspn(s, "0123456789abcdefABCDEF");
	return *len >= SECRET_MIN ? p + (s - p) : NULL;
}

/*
 * Takes the keys out of the text before a parser sees them: parsers copy what they read, and those
 * copies cannot be wiped. Each is replaced by a placeholder of its length, k, eight digits, k…
 */
static int
take_secrets(struct config_load *l)
{
	size_t n = 0, len;
	int ret;

	for (char *p = l->text; (p = strstr(p, "key")) != NULL; p++)
		if (key_digits(p, &len) != NULL) {
			n++;
			l->secrets_len += len;
		}
	ret = config_alloc(&l->secret_at, n + 1, sizeof(*l->secret_at));
	if (ret == 0)
		ret = config_alloc(&l->secrets, l->secrets_len, 1);
	if (ret < 0)
		return ret;
	for (char *p = l->text; (p = strstr(p, "key")) != NULL; p++) {
		char *digits = key_digits(p, &len), mark[SECRET_MIN];

		if (digits == NULL)
			continue;
		memcpy(l->secrets + l->secret_at[l->n_secrets], digits, len);
		memset(digits, 'k', len);
		snprintf(mark, sizeof(mark), "k%08zu", l->n_secrets % 100000000);
		memcpy(digits, mark, strlen(mark));
		l->secret_at[l->n_secrets + 1] = l->secret_at[l->n_secrets] + len;
		l->n_secrets++;
	}
	return 0;
}

const char *
config_secret(const struct config_load *l, const char *placeholder, size_t *len)
{
	const char *s = placeholder;
	unsigned long i;
	char *end;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		s += 2;
	if (s[0] != 'k' || !isdigit((unsigned char)s[1]))
		return NULL;
	i = strtoul(s + 1, &end, 10);
	if (end != s + 9 || i >= l->n_secrets)
		return NULL;
	*len = l->secret_at[i + 1] - l->secret_at[i];
	if (strspn(end, "k") != strlen(end) || strlen(s) != *len)
		return NULL;
	return l->secrets + l->secret_at[i];
}

static int
read_text(struct config_load *l, int fd)
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
	l->mode = st.st_mode;
	l->text = calloc(1, st.st_size + 1);
	if (l->text == NULL)
		return -ENOMEM;
	while (l->len < (size_t)st.st_size) {
		ssize_t n = read(fd, l->text + l->len, st.st_size - l->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		l->len += n;
	}
	return 0;
}

int
config_file_read(struct config_load *l)
{
	/* Not blocking: a pipe is refused, not waited for. */
	int fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret;
	const char *nul;

	if (fd < 0) {
		ret = -errno;
	} else {
		ret = read_text(l, fd);
		close(fd);
	}
	if (ret == -ENOMEM)
		return ret;
	if (ret < 0) {
		fprintf(stderr, "%s: cannot be read: %s\n", l->path,
			ret == -EINVAL ? "Not a regular file" : strerror(-ret));
		return ret;
	}
	nul = memchr(l->text, '\0', l->len);
	if (nul != NULL)
		return config_fail(l, AT(NULL, -1), NULL, "is not text: a zero byte at offset %td",
			nul - l->text);
	return take_secrets(l);
}

void
config_file_free(struct config_load *l)
{
	if (l->text != NULL)
		explicit_bzero(l->text, l->len);
	if (l->secrets != NULL)
		explicit_bzero(l->secrets, l->secrets_len);
	free(l->text);
	free(l->secrets);
	free(l->secret_at);
	l->text = l->secrets = NULL;
	l->secret_at = NULL;
}
