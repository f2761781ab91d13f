/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_FILE_H
#define CYGNET_IKE_FILE_H

#include "config_text.h"
#include "schema.h"

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

/*
 * An ike file: read, checked as a whole, and turned into what charon is told. All of it is one thread's.
 * A node is an index into t.nodes; 0 is "not there".
 */

struct ike_error {
	unsigned int line;
	char *path, *text;
};

struct ike_names {
	size_t *nodes; /* the mappings of a section, in the file's order */
	size_t n;
	json_t *by_name; /* name: index */
};

struct ike_file {
	struct config_text t;
	struct ike_error *errors; /* in the order of the lines */
	size_t n_errors;
	struct ike_names policies, children, gateways, tunnels, authorities, pools;
	bool allow_open; /* secrets in files that others can read */
	bool secrets; /* there are some in the file itself */
};

/*
 * Reads and checks; *out is set in any case but -ENOMEM, to be freed. Returns 0, or -EINVAL when there are
 * errors (in errors[]), or another negative errno when the file cannot be read (told on stderr).
 */
int ike_file_load(const char *path, bool allow_open, struct ike_file **out);
void ike_file_free(struct ike_file *f);

/* "file:line: key: text", a line each. */
void ike_file_print_errors(const struct ike_file *f, FILE *out);

/* Below here: for the modules of the file. */

/*
 * Room for one element more than n: grown at each power of two, or the cost of n would be its square. NULL without
 * memory, and v stays.
 */
void *ike_grow(void *v, size_t n, size_t size);

/* The value of a key of a mapping, or 0. */
size_t ike_file_get(const struct ike_file *f, size_t mapping, const char *key);
/* The scalar in charon's form, or NULL when it is not given (or wrong). out is buf. */
const char *ike_file_value(const struct ike_file *f, const struct schema_section *s, size_t mapping,
	const char *key, char *buf, unsigned int size);
/* The scalar as it is written, or NULL. */
const char *ike_file_text(const struct ike_file *f, size_t mapping, const char *key);
bool ike_file_true(const struct ike_file *f, size_t mapping, const char *key, bool dflt);

/* The elements of a list, or the one scalar or mapping that stands instead: begin with at 0, until it gives 0. */
size_t ike_file_each(const struct ike_file *f, size_t node, size_t at);

/* The mapping that the name leads to, or 0. */
size_t ike_file_named(const struct ike_names *names, const char *name);
size_t ike_file_policy_of(const struct ike_file *f, size_t gateway);
/* Whether a child policy is a bypass or discard, of which nothing is negotiated. */
bool ike_file_is_shunt(const struct ike_file *f, size_t child);

/* A key of "authentication": the gateway's, else that of its policy. */
size_t ike_file_auth(const struct ike_file *f, size_t gateway, const char *key);
/* The same as text in charon's form. */
const char *ike_file_auth_value(
	const struct ike_file *f, size_t gateway, const char *key, char *buf, unsigned int size);

/* An error at a node, or at a key of a mapping, which may be missing. */
void ike_file_fail(struct ike_file *f, size_t node, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void ike_file_fail_key(struct ike_file *f, size_t mapping, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* "ipsec.tunnels[3]", for other errors' texts. */
const char *ike_file_path(const struct ike_file *f, size_t node, char *buf, size_t size);

/* What the nodes mean to each other. */
void ike_check(struct ike_file *f);

/*
 * What the signs stand for: a secret in its bytes, to be wiped and freed, from a key or its -file. Returns 0, -ENOENT
 * where neither is given, or -EINVAL, told as an error when tell is set. *encoded, where it is not NULL: it was given as
 * digits or Base64, not as text.
 */
int ike_secret(struct ike_file *f, size_t gateway, const char *key, bool tell, unsigned char **data,
	size_t *len, bool *encoded);

/* A certificate as PEM text, to be freed; NULL after an error at the node. */
char *ike_certificate(struct ike_file *f, size_t node);
/*
 * The bytes of a key file, to be wiped and freed; one with a passphrase is opened with that of owner, a gateway or a
 * policy, and given as PEM without. -EINVAL after an error at the node.
 */
int ike_private_key(
	struct ike_file *f, size_t owner, size_t node, unsigned char **data, size_t *len);

#endif
