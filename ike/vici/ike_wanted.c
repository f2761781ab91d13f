/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_wanted.h"

#include "ike_identity.h"
#include "proposal.h"
#include "selector.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

static void
hex(const unsigned char *bytes, unsigned int n, char *out)
{
	for (unsigned int i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

void
ike_fingerprint(const json_t *v, char out[65])
{
	char *text = json_dumps(v, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
	unsigned char digest[SHA256_DIGEST_LENGTH];

	SHA256((unsigned char *)(text != NULL ? text : ""), text != NULL ? strlen(text) : 0,
		digest);
	free(text);
	hex(digest, sizeof(digest), out);
}

static void
put(json_t *o, const char *key, const char *value)
{
	json_object_set_new(o, key, json_string(value));
}

/* The keys of a mapping that charon knows by a word of its own; what is there already stays. */
static void
put_keys(const struct ike_file *f, json_t *o, const struct schema_section *s, size_t mapping,
	bool defaults)
{
	char buf[512], why[256];

	for (const struct schema_key *k = s->keys; k->name != NULL; k++) {
		size_t node = ike_file_get(f, mapping, k->name);

		if (k->vici == NULL || json_object_get(o, k->vici) != NULL)
			continue;
		if (node == 0) {
			if (defaults && k->send &&
				schema_value(k, k->dflt, buf, sizeof(buf), why) == NULL)
				put(o, k->vici, buf);
		} else if ((k->flags & SCHEMA_MANY) == 0) {
			if (schema_value(k, f->t.nodes[node].value, buf, sizeof(buf), why) == NULL)
				put(o, k->vici, buf);
		} else {
			json_t *list = json_array();

			for (size_t e = ike_file_each(f, node, 0); e != 0;
				e = ike_file_each(f, node, e))
				if (schema_value(k, f->t.nodes[e].value, buf, sizeof(buf), why) ==
					NULL)
					json_array_append_new(list, json_string(buf));
			json_object_set_new(o, k->vici, list);
		}
	}
}

static void
put_proposals(
	struct ike_file *f, json_t *o, const char *key, size_t mapping, enum proposal_kind kind)
{
	size_t list = ike_file_get(f, mapping, "proposals");
	json_t *v = json_array();
	char text[PROPOSAL_MAX];

	for (size_t e = ike_file_each(f, list, 0); e != 0; e = ike_file_each(f, list, e))
		if (proposal_text(f, e, kind, text) == 0)
			json_array_append_new(v, json_string(text));
	if (json_array_size(v) == 0)
		json_array_append_new(v, json_string("default"));
	json_object_set_new(o, key, v);
}

static void
add_certificates(struct ike_file *f, json_t *v, size_t list)
{
	for (size_t e = ike_file_each(f, list, 0); e != 0; e = ike_file_each(f, list, e)) {
		char *pem = ike_certificate(f, e);

		if (pem != NULL)
			json_array_append_new(
				v, json_pack("{ssss}", "file", f->t.nodes[e].value, "pem", pem));
		free(pem);
	}
}

static void
put_certificates(struct ike_file *f, json_t *o, const char *key, size_t list)
{
	json_t *v = json_array();

	add_certificates(f, v, list);
	if (json_array_size(v) > 0)
		json_object_set(o, key, v);
	json_decref(v);
}

/*
 * Who may have signed the peer's certificate. It is always said: else charon accepts every authority that it has ever
 * been told of, for another gateway or by a file of before.
 */
static void
put_authorities(struct ike_file *f, json_t *remote, size_t g, const char *method)
{
	size_t list = ike_file_auth(f, g, "ca-certificates");
	json_t *v;

	put_certificates(f, remote, "cacerts", list);
	if (list != 0 || ike_file_auth(f, g, "remote-certificates") != 0 || f->authorities.n == 0 ||
		(strcmp(method, "pubkey") != 0 && strcmp(method, "eap-tls") != 0))
		return;
	v = json_array();
	for (size_t i = 0; i < f->authorities.n; i++)
		add_certificates(f, v, ike_file_get(f, f->authorities.nodes[i], "certificate"));
	json_object_set_new(remote, "cacerts", v);
}

/* "pubkey" with the demands on signatures: they begin with a key type, or are added to it. */
static void
auth_word(const struct ike_file *f, size_t g, const char *method, char *out, size_t size)
{
	char demand[512];

	snprintf(out, size, "%s", method);
	if (strcmp(method, "psk") == 0 || strcmp(method, "eap-radius") == 0 ||
		ike_file_auth_value(f, g, "signature", demand, sizeof(demand)) == NULL)
		return;
	if (strcmp(method, "pubkey") == 0)
		snprintf(out, size, "%s", demand);
	else
		snprintf(out, size, "%s:%s", method, demand);
}

static void
put_auth(struct ike_file *f, json_t *conn, size_t g)
{
	json_t *local = json_object(), *remote = json_object();
	struct ike_identities id;
	char buf[600];

	ike_identities(f, g, &id);
	auth_word(f, g, id.method, buf, sizeof(buf));
	put(local, "auth", buf);
	if (*id.local != '\0')
		put(local, "id", id.local);
	put_certificates(f, local, "certs", ike_file_auth(f, g, "certificate"));
	auth_word(f, g, id.remote_method, buf, sizeof(buf));
	put(remote, "auth", buf);
	put(remote, "id", id.remote);
	put_certificates(f, remote, "certs", ike_file_auth(f, g, "remote-certificates"));
	put_authorities(f, remote, g, id.remote_method);
	if (ike_file_auth_value(f, g, "revocation", buf, sizeof(buf)) != NULL)
		put(remote, "revocation", buf);
	if (ike_file_auth_value(f, g, "eap-id", buf, sizeof(buf)) != NULL) {
		if (strncmp(id.remote_method, "eap", 3) == 0)
			put(remote, "eap_id", buf);
		if (strncmp(id.method, "eap", 3) == 0 && *buf != '%')
			put(local, "eap_id", buf);
	}
	if (ike_file_auth_value(f, g, "aaa-id", buf, sizeof(buf)) != NULL)
		put(local, "aaa_id", buf);
	json_object_set_new(conn, "local", local);
	json_object_set_new(conn, "remote", remote);
	if (ike_file_auth_value(f, g, "ppk-id", buf, sizeof(buf)) != NULL)
		put(conn, "ppk_id", buf);
	if (ike_file_auth_value(f, g, "ppk-required", buf, sizeof(buf)) != NULL)
		put(conn, "ppk_required", buf);
}

/*
 * Where only the end is given, new keys are asked for at nine tenths of it. How much sooner by chance is, for charon, the
 * time between the two: where that is more than there is before, it would never ask, and is told a tenth.
 */
static void
put_rekey(json_t *o, const char *life, const char *rekey, const char *rand)
{
	const char *v = json_string_value(json_object_get(o, life)), *soft;
	uint64_t hard, at;
	char buf[32];

	if (v == NULL)
		return;
	hard = strtoull(v, NULL, 10);
	soft = json_string_value(json_object_get(o, rekey));
	at = soft != NULL ? strtoull(soft, NULL, 10) : hard / 10 * 9;
	snprintf(buf, sizeof(buf), "%" PRIu64, at);
	if (soft == NULL)
		put(o, rekey, buf);
	snprintf(buf, sizeof(buf), "%" PRIu64, at / 10);
	if (hard > at && hard - at >= at && json_object_get(o, rand) == NULL)
		put(o, rand, buf);
}

static void
put_selectors(struct ike_file *f, json_t *o, const char *vici, size_t tunnel, size_t child,
	const char *key)
{
	size_t list = ike_file_get(f, tunnel, key);
	json_t *v = json_array();
	char text[SELECTOR_MAX];
	struct selector s;

	if (list == 0)
		list = ike_file_get(f, child, key);
	for (size_t e = ike_file_each(f, list, 0); e != 0; e = ike_file_each(f, list, e))
		if (selector_read(f, e, false, &s, text) == 0)
			json_array_append_new(v, json_string(text));
	if (json_array_size(v) == 0)
		json_array_append_new(v, json_string("dynamic"));
	json_object_set_new(o, vici, v);
}

static json_t *
make_child(struct ike_file *f, size_t tunnel, bool responder)
{
	size_t child = ike_file_named(&f->children, ike_file_text(f, tunnel, "child-policy"));
	const char *proto = ike_file_text(f, child, "protocol");
	bool shunt = ike_file_is_shunt(f, child);
	bool ah = proto != NULL && strcmp(proto, "ah") == 0;
	json_t *o = json_object();

	if (!shunt)
		put_proposals(f, o, ah ? "ah_proposals" : "esp_proposals", child,
			ah ? PROPOSAL_AH : PROPOSAL_ESP);
	put_selectors(f, o, "local_ts", tunnel, child, "local-ts");
	put_selectors(f, o, "remote_ts", tunnel, child, "remote-ts");
	/* A trap is what makes charon install a bypass or discard: nothing of it is negotiated, whoever begins. */
	if (shunt || responder)
		put(o, "start_action", shunt ? "trap" : "none");
	put_keys(f, o, &schema_tunnel, tunnel, false);
	put_keys(f, o, &schema_child_policy, child, !shunt);
	put_rekey(o, "life_time", "rekey_time", "rand_time");
	put_rekey(o, "life_bytes", "rekey_bytes", "rand_bytes");
	put_rekey(o, "life_packets", "rekey_packets", "rand_packets");
	return o;
}

static json_t *
make_conn(struct ike_file *f, size_t g)
{
	size_t policy = ike_file_policy_of(f, g);
	json_t *o = json_object();
	char buf[32], bits[8] = "";

	put_keys(f, o, &schema_gateway, g, false);
	put_keys(f, o, &schema_ike_policy, policy, true);
	put_proposals(f, o, "proposals", policy, PROPOSAL_IKE);
	/* "no" is what charon does anyway; where it is said, there shall be no NAT. */
	if (ike_file_value(f, &schema_ike_policy, policy, "nat-traversal", buf, sizeof(buf)) !=
			NULL &&
		strcmp(buf, "auto") != 0)
		put(o, "encap", strcmp(buf, "force") == 0 ? "yes" : "no");
	if (ike_file_value(f, &schema_ike_policy, policy, "dscp", buf, sizeof(buf)) != NULL) {
		unsigned long dscp = strtoul(buf, NULL, 10);

		for (unsigned int i = 0; i < 6; i++)
			bits[i] = (dscp >> (5 - i) & 1) != 0 ? '1' : '0';
		put(o, "dscp", bits);
	}
	put_auth(f, o, g);
	json_object_set_new(o, "children", json_object());
	return o;
}

/* A secret's place in charon; the id changes with what it says and whom it is for. */
static void
add_secret(struct ike_file *f, struct ike_wanted *w, size_t g, const char *key, const char *type,
	json_t *owners, const unsigned char salt[32])
{
	const char *name = ike_file_text(f, g, "name");
	struct wanted_secret *v, *s;
	char digits[33] = "", *who;
	unsigned char mac[EVP_MAX_MD_SIZE], *both;
	unsigned int mac_len = 0;
	size_t n;

	v = ike_grow(w->secrets, w->n_secrets, sizeof(*v));
	if (v == NULL)
		return json_decref(owners);
	w->secrets = v;
	s = &v[w->n_secrets];
	memset(s, 0, sizeof(*s));
	if (ike_secret(f, g, key, true, &s->data, &s->len, NULL) != 0)
		return json_decref(owners);
	s->type = type;
	s->owners = owners;
	who = json_dumps(owners, JSON_COMPACT);
	n = who != NULL ? strlen(who) + 1 : 0;
	both = malloc(n + s->len);
	if (both != NULL) {
		if (who != NULL)
			memcpy(both, who, n);
		memcpy(both + n, s->data, s->len);
		HMAC(EVP_sha256(), salt, 32, both, n + s->len, mac, &mac_len);
		explicit_bzero(both, n + s->len);
	}
	free(both);
	hex(mac, mac_len < 8 ? mac_len : 8, digits);
	free(who);
	snprintf(s->id, sizeof(s->id), "cygnet-%s-%s-%s", strcmp(type, "PPK") == 0 ? "ppk" : "ike",
		name, digits);
	snprintf(s->section, sizeof(s->section), "%s-%s", strcmp(type, "PPK") == 0 ? "ppk" : "ike",
		name);
	w->n_secrets++;
}

static void
add_secrets(struct ike_file *f, struct ike_wanted *w, size_t g, const unsigned char salt[32])
{
	json_t *owners = ike_key_owners(f, g);
	char ppk[512];

	if (owners != NULL)
		add_secret(f, w, g, "pre-shared-key", "IKE", owners, salt);
	if (ike_file_auth_value(f, g, "ppk-id", ppk, sizeof(ppk)) != NULL)
		add_secret(f, w, g, "ppk", "PPK", json_pack("[s]", ppk), salt);
}

/* Private keys, each once. */
static void
add_keys(struct ike_file *f, struct ike_wanted *w, size_t g)
{
	size_t list = ike_file_auth(f, g, "private-key"), j;

	for (size_t e = ike_file_each(f, list, 0); e != 0; e = ike_file_each(f, list, e)) {
		unsigned char *data, digest[SHA256_DIGEST_LENGTH];
		struct wanted_key *v;
		char digits[65];
		size_t len;

		if (ike_private_key(f, g, e, &data, &len) != 0)
			continue;
		SHA256(data, len, digest);
		hex(digest, sizeof(digest), digits);
		for (j = 0; j < w->n_keys && strcmp(w->keys[j].fingerprint, digits) != 0; j++)
			;
		v = j == w->n_keys ? ike_grow(w->keys, w->n_keys, sizeof(*v)) : NULL;
		if (v == NULL) {
			explicit_bzero(data, len);
			free(data);
			continue;
		}
		w->keys = v;
		v[j] = (struct wanted_key){
			.file = strdup(f->t.nodes[e].value), .data = data, .len = len};
		memcpy(v[j].fingerprint, digits, sizeof(digits));
		w->n_keys++;
	}
}

static void
add_named(struct ike_file *f, json_t *into, const struct ike_names *names,
	const struct schema_section *s)
{
	for (size_t i = 0; i < names->n; i++) {
		size_t node = names->nodes[i];
		json_t *o = json_object();

		put_keys(f, o, s, node, false);
		if (s == &schema_authority) {
			put_certificates(f, o, "cacert", ike_file_get(f, node, "certificate"));
			json_object_set(
				o, "cacert", json_array_get(json_object_get(o, "cacert"), 0));
		}
		json_object_set_new(into, ike_file_text(f, node, "name"), o);
	}
}

/* Connections in the order in which their first tunnels stand in the file; gateways without tunnels have none. */
static void
add_tunnels(struct ike_file *f, struct ike_wanted *w, const unsigned char salt[32])
{
	for (size_t i = 0; i < f->tunnels.n; i++) {
		size_t t = f->tunnels.nodes[i];
		const char *gateway = ike_file_text(f, t, "gateway"), *type;
		size_t g = ike_file_named(&f->gateways, gateway);
		json_t *conn = json_object_get(w->conns, gateway);
		bool responder;

		if (!ike_file_true(f, t, "enable", true))
			continue;
		if (conn == NULL) {
			conn = make_conn(f, g);
			json_object_set_new(w->conns, gateway, conn);
			add_secrets(f, w, g, salt);
			add_keys(f, w, g);
		}
		type = ike_file_text(f, g, "connection-type");
		responder = type != NULL && strcmp(type, "responder") == 0;
		if (responder)
			json_object_set_new(w->responders, gateway, json_true());
		json_object_set_new(json_object_get(conn, "children"), ike_file_text(f, t, "name"),
			make_child(f, t, responder));
		w->n_tunnels++;
	}
}

struct ike_wanted *
ike_wanted_make(struct ike_file *f, const unsigned char salt[32])
{
	struct ike_wanted *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->conns = json_object();
	w->responders = json_object();
	w->pools = json_object();
	w->authorities = json_object();
	add_tunnels(f, w, salt);
	add_named(f, w->pools, &f->pools, &schema_pool);
	add_named(f, w->authorities, &f->authorities, &schema_authority);
	if (f->t.errors == 0)
		return w;
	ike_wanted_free(w);
	return NULL;
}

void
ike_wanted_free(struct ike_wanted *w)
{
	if (w == NULL)
		return;
	for (size_t i = 0; i < w->n_secrets; i++) {
		explicit_bzero(w->secrets[i].data, w->secrets[i].len);
		free(w->secrets[i].data);
		json_decref(w->secrets[i].owners);
	}
	for (size_t i = 0; i < w->n_keys; i++) {
		explicit_bzero(w->keys[i].data, w->keys[i].len);
		free(w->keys[i].data);
		free(w->keys[i].file);
	}
	free(w->secrets);
	free(w->keys);
	json_decref(w->conns);
	json_decref(w->responders);
	json_decref(w->pools);
	json_decref(w->authorities);
	free(w);
}
