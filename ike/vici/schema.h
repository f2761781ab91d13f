/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_SCHEMA_H
#define CYGNET_IKE_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

/*
 * The keys of an ike file (docs/ike.md), in one table: what is checked, what charon is told, the JSON Schema
 * for editors and the reference in the documentation all come from it.
 */

enum schema_type {
	SCHEMA_NAME, /* letters, digits, '-', '_', '.' */
	SCHEMA_TEXT,
	SCHEMA_SECRET, /* text that is never shown */
	SCHEMA_FILE,
	SCHEMA_BOOL,
	SCHEMA_UINT, /* min..max */
	SCHEMA_TIME, /* seconds, or 90s, 10m, 4h, 2d */
	SCHEMA_SIZE, /* a number, or with k, M, G, T (powers of 1000) */
	SCHEMA_CHOICE,
	SCHEMA_ADDRESS, /* address, prefix, range or DNS name of an IKE endpoint */
	SCHEMA_SELECTOR, /* of traffic; may be a mapping of its own */
	SCHEMA_MARK, /* value/mask */
	SCHEMA_ALGORITHM, /* checked with its proposal */
	SCHEMA_PROPOSAL, /* a mapping, or strongSwan's notation */
	SCHEMA_MAPPING,
};

#define SCHEMA_REQUIRED 1u
#define SCHEMA_MANY 2u /* a list; of scalars one alone will do as well */

struct schema_section;

struct schema_key {
	const char *name;
	enum schema_type type;
	unsigned int flags;
	const char *vici; /* what charon calls it; NULL: it has no counterpart of its own */
	const char *
		choices; /* "tunnel transport bypass=pass": what may stand here, and charon's word */
	uint64_t min, max; /* of numbers; max 0: no limit */
	const char
		*dflt; /* what holds where the file says nothing, as it would be written; or NULL */
	bool send; /* the default is ours and charon is told; else it is what charon does anyway */
	const struct schema_section *section; /* of mappings, proposals and selectors */
	const char *doc;
};

struct schema_section {
	const char *name, *doc;
	const struct schema_key *keys; /* ended by one without a name */
};

extern const struct schema_section schema_top, schema_ipsec, schema_ike_policy,
	schema_authentication, schema_ike_proposal, schema_child_policy, schema_child_proposal,
	schema_selector, schema_gateway, schema_tunnel, schema_authority, schema_pool;

/* NULL when the section has none of that name. */
const struct schema_key *schema_find(const struct schema_section *s, const char *name);

/* The n-th choice of a key; false at the end. charon's word is the same where none is given. */
bool schema_choice(const struct schema_key *k, unsigned int n, char ours[32], char charons[32]);

/*
 * Brings a scalar into the form that charon is told: booleans to yes and no, times to seconds, sizes to
 * plain numbers, choices to charon's words. Returns NULL, or what is wrong with it, for the user; text is the
 * message's room.
 */
const char *schema_value(const struct schema_key *k, const char *value, char *out,
	unsigned int size, char text[256]);

/* The JSON Schema (draft 2020-12), owned by the caller. */
json_t *schema_json(void);
/* The reference of docs/ike.md as Markdown, to be freed; NULL without memory. */
char *schema_markdown(void);
/* The manual page cygnet-ike(5). */
char *schema_man(void);

#endif
