/* SPDX-License-Identifier: BSD-3-Clause */
#include "schema.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 400 /* charon's own limit of a value is 512 bytes */
#define NAME_LEN_MAX 64
#define SIZE_END 1000000000000000 /* charon reads 15 digits */

static const char *__attribute__((format(printf, 2, 3))) say(char text[256], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, 256, fmt, ap);
	va_end(ap);
	return text;
}

/* Decimal or 0x…; false for anything else. */
static bool
number(const char *s, char **end, uint64_t *v)
{
	bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');

	if (hex ? !isxdigit((unsigned char)s[2]) : !isdigit((unsigned char)*s))
		return false;
	errno = 0;
	*v = strtoull(s, end, hex ? 16 : 10);
	return errno == 0;
}

/* A number with a unit; factors go with the letters of units. */
static bool
with_unit(const char *s, const char *units, const uint64_t *factors, uint64_t *v)
{
	const char *unit;
	uint64_t factor;
	char *end;

	if (!number(s, &end, v))
		return false;
	if (*end == '\0')
		return true;
	unit = strchr(units, *end);
	if (unit == NULL || end[1] != '\0')
		return false;
	factor = factors[unit - units];
	if (*v > UINT64_MAX / factor)
		return false;
	*v *= factor;
	return true;
}

static const char *
choose(const struct schema_key *k, const char *value, char *out, unsigned int size, char text[256])
{
	char ours[32], charons[32], list[160] = "";
	size_t len = 0;

	for (unsigned int i = 0; schema_choice(k, i, ours, charons); i++) {
		if (strcmp(value, ours) == 0) {
			snprintf(out, size, "%s", charons);
			return NULL;
		}
		len += (size_t)snprintf(list + len, len < sizeof(list) ? sizeof(list) - len : 0,
			"%s%s", len > 0 ? ", " : "", ours);
	}
	return say(text, "'%s' is not one of: %s", value, list);
}

static const char *
check_name(const char *value, char text[256])
{
	size_t len = strlen(value);

	if (len == 0 || len > NAME_LEN_MAX || !isalnum((unsigned char)*value))
		return say(text,
			"'%s' is not a name: 1 to %d letters, digits, '-', '_', '.', the first a "
			"letter or digit",
			value, NAME_LEN_MAX);
	for (const char *s = value; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr("-_.", *s) == NULL)
			return say(text,
				"'%s' is not a name: 1 to %d letters, digits, '-', '_', '.', the "
				"first a letter or "
				"digit",
				value, NAME_LEN_MAX);
	return NULL;
}

/* An IP address, a prefix, a range or a DNS name. */
static const char *
check_address(const char *value, char *out, unsigned int size, char text[256])
{
	char buf[128], *second;
	uint8_t a[16];
	char *end;
	uint64_t plen;
	int family;

	if (strcmp(value, "any") == 0 || strcmp(value, "%any") == 0) {
		snprintf(out, size, "%%any");
		return NULL;
	}
	if (*value == '\0' || strlen(value) >= sizeof(buf))
		return say(text, "'%.100s' is not an address", value);
	strcpy(buf, value);
	second = strpbrk(buf, "/-");
	if (second != NULL && (isxdigit((unsigned char)*buf) || *buf == ':')) {
		char sep = *second;

		*second++ = '\0';
		family = inet_pton(AF_INET, buf, a) == 1    ? AF_INET
			 : inet_pton(AF_INET6, buf, a) == 1 ? AF_INET6
							    : 0;
		if (family != 0 && sep == '/' &&
			(!number(second, &end, &plen) || *end != '\0' ||
				plen > (family == AF_INET ? 32 : 128)))
			return say(text, "'%s' is not a prefix", value);
		if (family != 0 && sep == '-' && inet_pton(family, second, a) != 1)
			return say(text, "'%s' is not a range of addresses", value);
	} else if (strspn(buf, "0123456789.") == strlen(buf) || strchr(buf, ':') != NULL) {
		if (inet_pton(AF_INET, buf, a) != 1 && inet_pton(AF_INET6, buf, a) != 1)
			return say(text, "'%s' is not an address", value);
	}
	for (const char *s = value; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr("-._:/%", *s) == NULL)
			return say(text, "'%s' is neither an address nor a host's name", value);
	snprintf(out, size, "%s", value);
	return NULL;
}

static const char *
check_mark(const char *value, char *out, unsigned int size, char text[256])
{
	uint64_t v, mask = UINT32_MAX;
	char *end;

	if (strcmp(value, "%unique") == 0 || strcmp(value, "%unique-dir") == 0 ||
		strcmp(value, "%same") == 0) {
		snprintf(out, size, "%s", value);
		return NULL;
	}
	if (!number(value, &end, &v) || v > UINT32_MAX ||
		(*end == '/' && (!number(end + 1, &end, &mask) || mask > UINT32_MAX)) ||
		*end != '\0')
		return say(text, "'%s' is not a mark (5, 0x10/0xff or %%unique)", value);
	snprintf(out, size, "0x%08" PRIx64 "/0x%08" PRIx64, v, mask);
	return NULL;
}

static const char *
check_number(
	const struct schema_key *k, const char *value, char *out, unsigned int size, char text[256])
{
	uint64_t v;
	char *end;

	if (!number(value, &end, &v) || *end != '\0' ||
		(value[0] == '0' && isdigit((unsigned char)value[1])))
		return say(text, "'%s' is not a number", value);
	if (v < k->min || (k->max != 0 && v > k->max))
		return say(text, "value %s is out of range (%" PRIu64 "..%" PRIu64 ")", value,
			k->min, k->max);
	snprintf(out, size, "%" PRIu64, v);
	return NULL;
}

const char *
schema_value(
	const struct schema_key *k, const char *value, char *out, unsigned int size, char text[256])
{
	static const uint64_t seconds[] = {1, 60, 3600, 86400};
	static const uint64_t powers[] = {1000, 1000, 1000000, 1000000000, 1000000000000};
	static const char *const booleans[] = {"false", "true", "no", "yes", "off", "on"};
	uint64_t v;

	if (k->type != SCHEMA_SECRET && strlen(value) > TEXT_MAX)
		return say(text, "is longer than %d bytes", TEXT_MAX);
	switch (k->type) {
	case SCHEMA_BOOL:
		for (unsigned int i = 0; i < 6; i++)
			if (strcmp(value, booleans[i]) == 0) {
				snprintf(out, size, "%s", (i & 1) != 0 ? "yes" : "no");
				return NULL;
			}
		return say(text, "'%s' is neither true nor false", value);
	case SCHEMA_CHOICE:
		return choose(k, value, out, size, text);
	case SCHEMA_NAME:
		snprintf(out, size, "%s", value);
		return check_name(value, text);
	case SCHEMA_ADDRESS:
		return check_address(value, out, size, text);
	case SCHEMA_MARK:
		return check_mark(value, out, size, text);
	case SCHEMA_UINT:
		return check_number(k, value, out, size, text);
	case SCHEMA_TIME:
		if (!with_unit(value, "smhd", seconds, &v) || v > UINT32_MAX)
			return say(text, "'%s' is not a time: seconds, or 90s, 10m, 4h, 2d", value);
		snprintf(out, size, "%" PRIu64, v);
		return NULL;
	case SCHEMA_SIZE:
		if (!with_unit(value, "kKMGT", powers, &v) || v > INT64_MAX)
			return say(
				text, "'%s' is not a size: a number, or with k, M, G or T", value);
		if (v >= SIZE_END)
			return say(text, "%s is too much: less than 1000T", value);
		snprintf(out, size, "%" PRIu64, v);
		return NULL;
	case SCHEMA_SECRET: /* no copies */
		*out = '\0';
		return *value == '\0' ? say(text, "is empty") : NULL;
	default:
		if (*value == '\0')
			return say(text, "is empty");
		snprintf(out, size, "%s", value);
		return NULL;
	}
}
