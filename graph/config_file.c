/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

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

	for (char *p = l->t.text; (p = strstr(p, "key")) != NULL; p++)
		if (key_digits(p, &len) != NULL) {
			n++;
			l->secrets_len += len;
		}
	ret = config_alloc(&l->secret_at, n + 1, sizeof(*l->secret_at));
	if (ret == 0)
		ret = config_alloc(&l->secrets, l->secrets_len, 1);
	if (ret < 0)
		return ret;
	for (char *p = l->t.text; (p = strstr(p, "key")) != NULL; p++) {
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

int
config_file_read(struct config_load *l)
{
	int ret = config_text_read(&l->t);

	if (ret == 0)
		ret = take_secrets(l);
	return ret == 0 ? config_lines_read(&l->t) : ret;
}

void
config_file_free(struct config_load *l)
{
	config_text_free(&l->t);
	if (l->secrets != NULL)
		explicit_bzero(l->secrets, l->secrets_len);
	free(l->secrets);
	free(l->secret_at);
	l->secrets = NULL;
	l->secret_at = NULL;
}
