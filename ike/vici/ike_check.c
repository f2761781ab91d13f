/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_file.h"
#include "ike_identity.h"
#include "ike_overlap.h"
#include "proposal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What the keys of a file mean to each other. Whether each is well formed was asked before. */

#define PSK_TEXT_MIN 20 /* characters */
#define PSK_BYTES_MIN 16 /* of what is given as hexadecimal digits or Base64 */
#define AUTH_WORD_MAX 63 /* bytes, of demands on signatures */
#define IKE_REKEY_TIME 14400 /* by default, in seconds */
#define CHILD_REKEY_TIME 3600

static const char *
suggest_name(void *ctx, unsigned int n)
{
	const struct ike_names *names = ctx;
	const char *key;
	void *it = json_object_iter(names->by_name);

	for (; it != NULL && n > 0; n--)
		it = json_object_iter_next(names->by_name, it);
	key = it != NULL ? json_object_iter_key(it) : NULL;
	return key;
}

/* A reference by name; 0 after an error, or where the key is missing (which was told). */
static size_t
refer(struct ike_file *f, size_t node, const struct ike_names *names, const char *section)
{
	const char *name = f->t.nodes[node].value, *near = NULL;
	size_t found;

	if (node == 0 || f->t.nodes[node].kind != CONFIG_SCALAR)
		return 0;
	found = ike_file_named(names, name);
	if (found != 0)
		return found;
	if (names->n < 1000) /* a file of thousands is a machine's */
		near = config_nearest(name, suggest_name, (void *)(uintptr_t)names);
	if (near != NULL)
		ike_file_fail(f, node, "%s has no '%s': did you mean '%s'?", section, name, near);
	else
		ike_file_fail(f, node, "%s has no '%s'", section, name);
	return 0;
}

size_t
ike_file_policy_of(const struct ike_file *f, size_t gateway)
{
	return ike_file_named(&f->policies, ike_file_text(f, gateway, "ike-policy"));
}

size_t
ike_file_auth(const struct ike_file *f, size_t gateway, const char *key)
{
	size_t own = ike_file_get(f, gateway, "authentication"), policy, node = 0;

	if (own != 0)
		node = ike_file_get(f, own, key);
	policy = ike_file_policy_of(f, gateway);
	if (node == 0 && policy != 0) {
		own = ike_file_get(f, policy, "authentication");
		if (own != 0)
			node = ike_file_get(f, own, key);
	}
	return node;
}

const char *
ike_file_auth_value(
	const struct ike_file *f, size_t gateway, const char *key, char *buf, unsigned int size)
{
	size_t node = ike_file_auth(f, gateway, key);
	char why[256];

	if (node == 0 || f->t.nodes[node].kind != CONFIG_SCALAR ||
		schema_value(schema_find(&schema_authentication, key), f->t.nodes[node].value, buf,
			size, why) != NULL)
		return NULL;
	return buf;
}

/* The proposals below a key; true when one of them offers extended sequence numbers. */
static bool
check_proposals(struct ike_file *f, size_t mapping, enum proposal_kind kind)
{
	size_t list = ike_file_get(f, mapping, "proposals");
	char text[PROPOSAL_MAX];
	bool esn = false;

	for (size_t e = ike_file_each(f, list, 0); e != 0; e = ike_file_each(f, list, e))
		if (proposal_text(f, e, kind, text) == 0)
			esn = esn || proposal_has_esn(text);
	return esn;
}

/* Soft before hard, where both are given. */
static void
check_life(struct ike_file *f, size_t mapping, const char *soft_key, const char *hard_key)
{
	char soft[32], hard[32];

	if (ike_file_value(f, &schema_child_policy, mapping, soft_key, soft, sizeof(soft)) ==
			NULL ||
		ike_file_value(f, &schema_child_policy, mapping, hard_key, hard, sizeof(hard)) ==
			NULL)
		return;
	if (strtoull(hard, NULL, 10) != 0 && strtoull(soft, NULL, 10) >= strtoull(hard, NULL, 10))
		ike_file_fail_key(
			f, mapping, soft_key, "%s is not below %s (%s)", soft, hard_key, hard);
}

static bool
is_number(const struct ike_file *f, const struct schema_section *s, size_t mapping, const char *key,
	uint64_t *v)
{
	char text[32];

	if (ike_file_value(f, s, mapping, key, text, sizeof(text)) == NULL)
		return false;
	*v = strtoull(text, NULL, 10);
	return true;
}

/* How much sooner it may begin is less than there is: charon takes it off without a look, and never begins. */
static void
check_rand(struct ike_file *f, const struct schema_section *s, size_t mapping, const char *rand_key,
	const char *soft_key, uint64_t soft)
{
	uint64_t v;

	if (is_number(f, s, mapping, rand_key, &v) && v != 0 && v >= soft)
		ike_file_fail_key(f, mapping, rand_key, "%" PRIu64 " is not below %s (%" PRIu64 ")",
			v, soft_key, soft);
}

static void
check_child_rand(struct ike_file *f, size_t p, const char *rand_key, const char *soft_key,
	const char *hard_key, uint64_t soft)
{
	uint64_t hard;

	if (!is_number(f, &schema_child_policy, p, soft_key, &soft) &&
		is_number(f, &schema_child_policy, p, hard_key, &hard))
		soft = hard / 10 * 9;
	check_rand(f, &schema_child_policy, p, rand_key, soft_key, soft);
}

/* An IKE SA is never renewed where that is 0. */
static void
check_ike_rand(struct ike_file *f, size_t p)
{
	uint64_t rekey = 0, reauth = 0;
	bool any = is_number(f, &schema_ike_policy, p, "reauth-time", &reauth);

	if (!is_number(f, &schema_ike_policy, p, "rekey-time", &rekey) && !any)
		rekey = IKE_REKEY_TIME;
	if (rekey != 0)
		check_rand(f, &schema_ike_policy, p, "rand-time", "rekey-time", rekey);
	if (reauth != 0)
		check_rand(f, &schema_ike_policy, p, "rand-time", "reauth-time", reauth);
}

static void
check_selectors(struct ike_file *f, size_t mapping)
{
	static const char *const keys[] = {"local-ts", "remote-ts"};
	char text[SELECTOR_MAX];
	struct selector s;

	for (unsigned int i = 0; i < 2; i++) {
		size_t list = ike_file_get(f, mapping, keys[i]);

		for (size_t e = ike_file_each(f, list, 0); e != 0; e = ike_file_each(f, list, e))
			selector_read(f, e, true, &s, text);
	}
}

bool
ike_file_is_shunt(const struct ike_file *f, size_t child)
{
	char mode[16];

	return ike_file_value(f, &schema_child_policy, child, "mode", mode, sizeof(mode)) != NULL &&
	       (strcmp(mode, "pass") == 0 || strcmp(mode, "drop") == 0);
}

/* A bypass or discard is there from when it is loaded; mapping says otherwise. */
static void
check_shunt_start(struct ike_file *f, size_t mapping, size_t child)
{
	const char *action = ike_file_text(f, mapping, "start-action");

	if (action != NULL && strcmp(action, "trap") != 0)
		ike_file_fail_key(f, mapping, "start-action",
			"is %s, and mode %s is there as soon as it is loaded: trap, or nothing",
			action, ike_file_text(f, child, "mode"));
}

static void
check_child_policy(struct ike_file *f, size_t p)
{
	char window[16], protocol[8], tfc[512];
	const char *text = ike_file_text(f, p, "tfc-padding");
	bool esn, shunt = ike_file_is_shunt(f, p), ah;
	char *end;

	ah = ike_file_value(f, &schema_child_policy, p, "protocol", protocol, sizeof(protocol)) !=
		     NULL &&
	     strcmp(protocol, "ah") == 0;
	esn = check_proposals(f, p, ah ? PROPOSAL_AH : PROPOSAL_ESP);
	if (shunt && ike_file_get(f, p, "proposals") != 0)
		ike_file_fail_key(
			f, p, "proposals", "mode %s needs none", ike_file_text(f, p, "mode"));
	if (shunt)
		check_shunt_start(f, p, p);
	if (esn &&
		ike_file_value(f, &schema_child_policy, p, "replay-window", window,
			sizeof(window)) != NULL &&
		strcmp(window, "0") == 0)
		ike_file_fail_key(f, p, "replay-window",
			"is 0, and extended sequence numbers need one: their high half is guessed "
			"by it (RFC 4303, A2)");
	check_life(f, p, "rekey-time", "life-time");
	check_life(f, p, "rekey-bytes", "life-bytes");
	check_life(f, p, "rekey-packets", "life-packets");
	check_child_rand(f, p, "rand-time", "rekey-time", "life-time", CHILD_REKEY_TIME);
	check_child_rand(f, p, "rand-bytes", "rekey-bytes", "life-bytes", 0);
	check_child_rand(f, p, "rand-packets", "rekey-packets", "life-packets", 0);
	if (text != NULL && strcmp(text, "mtu") != 0) {
		snprintf(tfc, sizeof(tfc), "%s", text);
		if (strtoul(tfc, &end, 10) > 65535 || *end != '\0' || end == tfc)
			ike_file_fail_key(f, p, "tfc-padding",
				"'%s' is neither mtu nor a number up to 65535", text);
	}
	check_selectors(f, p);
}

static void
check_secret_length(struct ike_file *f, size_t owner, size_t auth, const char *key)
{
	size_t node = ike_file_get(f, auth, key), len, least = PSK_TEXT_MIN;
	unsigned char *data;
	const char *unit = "characters";
	char name[64];
	bool encoded;

	snprintf(name, sizeof(name), "%s-file", key);
	if (node != 0 && ike_file_get(f, auth, name) != 0)
		ike_file_fail_key(f, auth, name, "%s is given as well: one of them", key);
	if (ike_secret(f, owner, key, true, &data, &len, &encoded) != 0)
		return;
	if (encoded) {
		least = PSK_BYTES_MIN;
		unit = "bytes";
	}
	if (len < least && !ike_file_true(f, auth, "allow-short-key", false))
		ike_file_fail_key(f, auth, node != 0 ? key : name,
			"has %zu %s, and at least %zu are needed: short ones are guessed (openssl "
			"rand -base64 24 makes a "
			"good one; allow-short-key: true, if the peer cannot do better)",
			len, unit, least);
	explicit_bzero(data, len);
	free(data);
}

/* The files and secrets of one authentication mapping; owner is the policy or gateway that has it. */
static void
check_auth(struct ike_file *f, size_t owner)
{
	static const char *const certificates[] = {
		"certificate", "ca-certificates", "remote-certificates"};
	size_t auth = ike_file_get(f, owner, "authentication"), list;
	unsigned char *data;
	size_t len;

	if (auth == 0 || f->t.nodes[auth].kind != CONFIG_MAPPING)
		return;
	if (ike_file_get(f, auth, "pre-shared-key") != 0 ||
		ike_file_get(f, auth, "pre-shared-key-file") != 0)
		check_secret_length(f, owner, auth, "pre-shared-key");
	if (ike_file_get(f, auth, "ppk") != 0 || ike_file_get(f, auth, "ppk-file") != 0)
		check_secret_length(f, owner, auth, "ppk");
	if (ike_file_get(f, auth, "private-key-passphrase") != 0 &&
		ike_file_get(f, auth, "private-key-passphrase-file") != 0)
		ike_file_fail_key(f, auth, "private-key-passphrase-file",
			"private-key-passphrase is given as well: one of them");
	for (unsigned int i = 0; i < 3; i++) {
		list = ike_file_get(f, auth, certificates[i]);
		for (size_t e = ike_file_each(f, list, 0); e != 0; e = ike_file_each(f, list, e))
			if (f->t.nodes[e].kind == CONFIG_SCALAR)
				free(ike_certificate(f, e));
	}
	list = ike_file_get(f, auth, "private-key");
	for (size_t e = ike_file_each(f, list, 0); e != 0; e = ike_file_each(f, list, e))
		if (f->t.nodes[e].kind == CONFIG_SCALAR &&
			ike_private_key(f, owner, e, &data, &len) == 0) {
			explicit_bzero(data, len);
			free(data);
		}
}

static void
check_ike_policy(struct ike_file *f, size_t p)
{
	char nat[16];

	check_proposals(f, p, PROPOSAL_IKE);
	check_ike_rand(f, p);
	if (ike_file_value(f, &schema_ike_policy, p, "nat-traversal", nat, sizeof(nat)) != NULL &&
		strcmp(nat, "never") == 0 && ike_file_true(f, p, "mobike", true))
		ike_file_fail_key(f, p, "nat-traversal",
			"is false, and mobike, which moves to port 4500, is not");
	check_auth(f, p);
}

/* charon reads so much of each, and takes what it has read. */
static void
check_lengths(struct ike_file *f, size_t g, bool certificate, bool eap)
{
	size_t len = eap ? strlen("eap-tls:") : 0;
	char text[512];

	if ((certificate || eap) &&
		ike_file_auth_value(f, g, "signature", text, sizeof(text)) != NULL &&
		strlen(text) > AUTH_WORD_MAX - len)
		ike_file_fail_key(f, g, "authentication.signature", "is longer than %zu bytes",
			AUTH_WORD_MAX - len);
	if (ike_file_auth_value(f, g, "ppk-id", text, sizeof(text)) != NULL &&
		strlen(text) > OWNER_MAX)
		ike_file_fail_key(
			f, g, "authentication.ppk-id", "is longer than %d bytes", OWNER_MAX);
}

/* What a gateway and its policy together must say. */
static void
check_gateway_auth(struct ike_file *f, size_t g, bool responder)
{
	char method[32], remote[32];
	const char *name = ike_file_text(f, g, "ike-policy");
	bool psk, certificate;

	if (ike_file_auth_value(f, g, "method", method, sizeof(method)) == NULL)
		snprintf(method, sizeof(method), "psk");
	if (ike_file_auth_value(f, g, "remote-method", remote, sizeof(remote)) == NULL)
		snprintf(remote, sizeof(remote), "%s", method);
	psk = strcmp(method, "psk") == 0 || strcmp(remote, "psk") == 0;
	certificate = strcmp(method, "pubkey") == 0 || strcmp(method, "eap-tls") == 0;
	if (psk && ike_file_auth(f, g, "pre-shared-key") == 0 &&
		ike_file_auth(f, g, "pre-shared-key-file") == 0)
		ike_file_fail_key(f, g, "authentication.pre-shared-key",
			"is missing, here and in ike policy '%s' (or pre-shared-key-file; or "
			"method: certificate)",
			name);
	if (certificate && ike_file_auth(f, g, "certificate") == 0)
		ike_file_fail_key(f, g, "authentication.certificate",
			"is missing, here and in ike policy '%s'", name);
	if (certificate && ike_file_auth(f, g, "private-key") == 0)
		ike_file_fail_key(f, g, "authentication.private-key",
			"is missing, here and in ike policy '%s'", name);
	/* The peer's identity is all that keeps apart those whom an authority has given certificates. */
	if (strcmp(remote, "psk") != 0 && !responder && ike_file_auth(f, g, "remote-id") == 0 &&
		ike_file_auth(f, g, "remote-certificates") == 0)
		ike_file_fail_key(f, g, "authentication.remote-id",
			"is missing: anybody with a certificate of a trusted authority could be "
			"the peer (\"%%any\", if "
			"that is meant)");
	check_lengths(f, g, strcmp(method, "pubkey") == 0 || strcmp(remote, "pubkey") == 0,
		strcmp(method, "eap-tls") == 0 || strcmp(remote, "eap-tls") == 0);
	if (ike_file_auth(f, g, "ppk-id") != 0 && ike_file_auth(f, g, "ppk") == 0 &&
		ike_file_auth(f, g, "ppk-file") == 0)
		ike_file_fail_key(f, g, "authentication.ppk", "is missing: ppk-id names it");
}

static void
check_gateway(struct ike_file *f, size_t g)
{
	const char *type = ike_file_text(f, g, "connection-type");
	size_t policy = refer(f, ike_file_get(f, g, "ike-policy"), &f->policies, "ike-policies");
	size_t remote = ike_file_get(f, g, "remote-address"), list;
	bool responder = type != NULL && strcmp(type, "responder") == 0, one = false;

	for (size_t e = ike_file_each(f, remote, 0); e != 0; e = ike_file_each(f, remote, e))
		if (f->t.nodes[e].kind == CONFIG_SCALAR &&
			strpbrk(f->t.nodes[e].value, "/%") == NULL &&
			strcmp(f->t.nodes[e].value, "any") != 0)
			one = true;
	if (!responder && !one)
		ike_file_fail_key(f, g, "remote-address",
			"%s: the peer that is to be called (connection-type: responder needs none)",
			remote == 0 ? "is missing" : "is no single address");
	list = ike_file_get(f, g, "pools");
	for (size_t e = ike_file_each(f, list, 0); e != 0; e = ike_file_each(f, list, e))
		refer(f, e, &f->pools, "pools");
	check_auth(f, g);
	if (policy != 0)
		check_gateway_auth(f, g, responder);
}

/* Whether charon has somebody to call. */
static void
check_start(struct ike_file *f, size_t tunnel, size_t child, size_t gateway)
{
	const char *type = ike_file_text(f, gateway, "connection-type");
	size_t where = ike_file_get(f, tunnel, "start-action") != 0 ? tunnel : child;
	const char *action = ike_file_text(f, where, "start-action");

	if (ike_file_is_shunt(f, child)) {
		if (where == tunnel)
			check_shunt_start(f, tunnel, child);
		return;
	}
	if (type != NULL && strcmp(type, "responder") == 0 && action != NULL &&
		strcmp(action, "none") != 0)
		ike_file_fail_key(f, where, "start-action", "is %s, and gateway '%s' only answers",
			action, ike_file_text(f, gateway, "name"));
}

static void
check_dpd(struct ike_file *f, size_t child, size_t gateway)
{
	size_t policy = ike_file_policy_of(f, gateway);
	char action[16], delay[32];

	if (policy != 0 &&
		ike_file_value(f, &schema_child_policy, child, "dpd-action", action,
			sizeof(action)) != NULL &&
		strcmp(action, "clear") != 0 &&
		ike_file_value(f, &schema_ike_policy, policy, "dpd-delay", delay, sizeof(delay)) !=
			NULL &&
		strcmp(delay, "0") == 0)
		ike_file_fail_key(f, policy, "dpd-delay",
			"is 0, so nobody is ever found dead, and child policy '%s' has dpd-action: "
			"%s",
			ike_file_text(f, child, "name"), action);
}

static void
check_tunnel(struct ike_file *f, size_t t)
{
	size_t gateway = refer(f, ike_file_get(f, t, "gateway"), &f->gateways, "gateways");
	size_t child = refer(f, ike_file_get(f, t, "child-policy"), &f->children, "child-policies");

	check_selectors(f, t);
	if (gateway == 0 || child == 0)
		return;
	check_start(f, t, child, gateway);
	check_dpd(f, child, gateway);
}

void
ike_check(struct ike_file *f)
{
	if (f->secrets && !f->allow_open && (f->t.mode & (S_IRWXO | S_IWGRP)) != 0)
		ike_file_fail(f, 0,
			"holds secrets, and its mode %04o opens it to others: chmod 600 %s",
			f->t.mode & 07777, f->t.path);
	for (size_t i = 0; i < f->policies.n; i++)
		check_ike_policy(f, f->policies.nodes[i]);
	for (size_t i = 0; i < f->children.n; i++)
		check_child_policy(f, f->children.nodes[i]);
	for (size_t i = 0; i < f->gateways.n; i++)
		check_gateway(f, f->gateways.nodes[i]);
	for (size_t i = 0; i < f->tunnels.n; i++)
		check_tunnel(f, f->tunnels.nodes[i]);
	for (size_t i = 0; i < f->authorities.n; i++) {
		size_t node = ike_file_get(f, f->authorities.nodes[i], "certificate");

		if (node != 0 && f->t.nodes[node].kind == CONFIG_SCALAR)
			free(ike_certificate(f, node));
	}
	/* Of files that cannot be read it is said once. */
	if (f->t.errors == 0)
		ike_check_keys(f);
	ike_check_overlaps(f);
}
