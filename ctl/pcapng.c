/* SPDX-License-Identifier: BSD-3-Clause */
#include "pcapng.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_STATISTICS 5u
#define BLOCK_PACKET 6u
#define BYTE_ORDER_MAGIC 0x1a2b3c4du

/* Options: a code, a length, the value, padded. */
#define OPT_END 0
#define OPT_COMMENT 1
#define SHB_APPLICATION 4
#define IF_NAME 2
#define IF_DESCRIPTION 3
#define IF_TIME_RESOLUTION 9
#define IF_FILTER 11
#define EPB_FLAGS 2
#define ISB_RECEIVED 4
#define ISB_DROPPED 5

struct option {
	uint16_t code;
	size_t len;
	const void *value;
};

static size_t
padded(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

static bool
put(FILE *f, const void *v, size_t n)
{
	static const char zero[4];
	size_t pad = padded(n) - n;

	return (n == 0 || fwrite(v, n, 1, f) == 1) && (pad == 0 || fwrite(zero, pad, 1, f) == 1);
}

/* A block: its fixed part, its data if it has any, its options. */
static bool
block(FILE *f, uint32_t type, const void *fixed, size_t fixed_len, const void *data, size_t len,
	const struct option *options, unsigned int n)
{
	uint32_t total = (uint32_t)(12 + padded(fixed_len) + padded(len));
	const uint16_t end[2] = {OPT_END, 0};
	bool any = false, good;

	for (unsigned int i = 0; i < n; i++)
		if (options[i].value != NULL) {
			total += (uint32_t)(4 + padded(options[i].len));
			any = true;
		}
	total += any ? sizeof(end) : 0;
	good = put(f, &type, 4) && put(f, &total, 4) && put(f, fixed, fixed_len) &&
	       put(f, data, len);
	for (unsigned int i = 0; i < n && good; i++) {
		const uint16_t head[2] = {options[i].code, (uint16_t)options[i].len};

		if (options[i].value != NULL)
			good = put(f, head, sizeof(head)) &&
			       put(f, options[i].value, options[i].len);
	}
	return good && (!any || put(f, end, sizeof(end))) && put(f, &total, 4);
}

static struct option
text(uint16_t code, const char *s)
{
	size_t len = s != NULL ? strlen(s) : 0;

	return (struct option){code, len < UINT16_MAX ? len : UINT16_MAX, s};
}

/* A block without data: an option, and a comment for each string of the array. */
static bool
with_comments(FILE *f, uint32_t type, const void *fixed, size_t fixed_len, struct option first,
	const json_t *comments)
{
	unsigned int n = (unsigned int)json_array_size(comments);
	struct option *options = calloc(n + 1, sizeof(*options));
	bool good;

	if (options == NULL)
		return false;
	options[0] = first;
	for (unsigned int i = 0; i < n; i++)
		options[i + 1] = text(OPT_COMMENT, json_string_value(json_array_get(comments, i)));
	good = block(f, type, fixed, fixed_len, NULL, 0, options, n + 1);
	free(options);
	return good;
}

bool
pcapng_begin(FILE *f, const char *program, const json_t *comments)
{
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		int64_t length;
	} fixed = {BYTE_ORDER_MAGIC, 1, 0, -1};

	return with_comments(
		f, BLOCK_SECTION, &fixed, sizeof(fixed), text(SHB_APPLICATION, program), comments);
}

bool
pcapng_interface(FILE *f, const char *name, const char *description, uint16_t link,
	uint32_t snaplen, const char *filter)
{
	static const uint8_t nanoseconds = 9;
	const struct {
		uint16_t link, reserved;
		uint32_t snaplen;
	} fixed = {link, 0, snaplen};
	char rule[1024] = ""; /* at -O1 gcc takes strlen() of it below for a read */
	const struct option options[] = {text(IF_NAME, name), text(IF_DESCRIPTION, description),
		{IF_TIME_RESOLUTION, 1, &nanoseconds},
		text(IF_FILTER, filter != NULL ? rule : NULL)};
	struct option with_length[4];

	memcpy(with_length, options, sizeof(options));
	if (filter != NULL) {
		/* The first byte says that it is text. */
		rule[0] = 0;
		snprintf(rule + 1, sizeof(rule) - 1, "%s", filter);
		with_length[3].len = 1 + strlen(rule + 1);
	}
	return block(f, BLOCK_INTERFACE, &fixed, sizeof(fixed), NULL, 0, with_length, 4);
}

bool
pcapng_packet(FILE *f, const struct pcapng_packet *p)
{
	const uint32_t fixed[5] = {
		p->interface, (uint32_t)(p->ns >> 32), (uint32_t)p->ns, p->caplen, p->len};
	const uint32_t flags = p->in ? 1 : p->out ? 2 : 0;
	const struct option options[] = {{EPB_FLAGS, sizeof(flags), flags != 0 ? &flags : NULL},
		text(OPT_COMMENT, p->comment)};

	return block(f, BLOCK_PACKET, fixed, sizeof(fixed), p->data, p->caplen, options, 2);
}

bool
pcapng_comments(FILE *f, uint64_t ns, const json_t *comments)
{
	const uint32_t fixed[3] = {0, (uint32_t)(ns >> 32), (uint32_t)ns};

	return with_comments(
		f, BLOCK_STATISTICS, fixed, sizeof(fixed), (struct option){0}, comments);
}

bool
pcapng_lost(FILE *f, uint64_t ns, uint64_t received, uint64_t lost)
{
	const uint32_t fixed[3] = {0, (uint32_t)(ns >> 32), (uint32_t)ns};
	const struct option options[] = {
		{ISB_RECEIVED, sizeof(received), &received}, {ISB_DROPPED, sizeof(lost), &lost}};

	return block(f, BLOCK_STATISTICS, fixed, sizeof(fixed), NULL, 0, options, 2);
}
