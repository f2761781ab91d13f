/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_file_test.h"

#include "algorithm.h"
#include "ike_wanted.h"
#include "transform.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char ike_dir[] = "/tmp/cygnet-ike-XXXXXX";

void
ike_test_setup(void)
{
	strcpy(ike_dir + sizeof(ike_dir) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(ike_dir));
}

void
ike_test_teardown(void)
{
	static const char *const files[] = {"ike.yaml", "good", "open", "locked"};
	char path[256];

	for (unsigned int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", ike_dir, files[i]);
		unlink(path);
	}
	rmdir(ike_dir);
}

void
ike_test_write(const char *name, const char *text, int mode)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", ike_dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	ck_assert_int_eq(chmod(path, (mode_t)mode), 0);
}

struct ike_file *
ike_test_load(const char *text, int *ret)
{
	static char path[256];
	struct ike_file *f;

	ike_test_write("ike.yaml", text, 0600);
	snprintf(path, sizeof(path), "%s/ike.yaml", ike_dir);
	*ret = ike_file_load(path, false, &f);
	ck_assert_ptr_nonnull(f);
	return f;
}

static struct ike_wanted *
wanted(const char *text, unsigned char salt_byte)
{
	unsigned char salt[32];
	struct ike_wanted *w;
	struct ike_file *f;
	int ret;

	memset(salt, salt_byte, sizeof(salt));
	f = ike_test_load(text, &ret);
	ike_file_print_errors(f, stderr);
	ck_assert_int_eq(ret, 0);
	w = ike_wanted_make(f, salt);
	ck_assert_ptr_nonnull(w);
	ike_file_free(f);
	return w;
}

static void
expect_export(const char *text, const char *want)
{
	struct ike_wanted *w = wanted(text, 0);
	char *said = NULL;
	size_t size;
	FILE *out = open_memstream(&said, &size);

	ike_export(w, false, out);
	fclose(out);
	ck_assert_str_eq(said, want);
	ck_assert_ptr_null(strstr(said, PSK));
	free(said);
	ike_wanted_free(w);
}

#define HEAD "# swanctl.conf, equivalent to the ike file that it was made from.\n"
#define SECRETS                                                                       \
	"secrets {\n  ike-g1 {\n    id-1 = 192.0.2.2\n    # secret = … (left out: " \
	"--with-secrets)\n  }\n}\n"

START_TEST(smallest_file)
{
	expect_export(FILE_OF(POLICY, CHILD, GATEWAY, TUNNEL),
		HEAD "connections {\n"
		     "  g1 {\n"
		     "    local_addrs = 192.0.2.1\n"
		     "    remote_addrs = 192.0.2.2\n"
		     "    version = 2\n"
		     "    dpd_delay = 30\n"
		     "    proposals = aes256gcm16-prfsha384-ecp384\n"
		     "    local {\n      auth = psk\n      id = 192.0.2.1\n    }\n"
		     "    remote {\n      auth = psk\n      id = 192.0.2.2\n    }\n"
		     "    children {\n"
		     "      t1 {\n"
		     "        esp_proposals = aes256gcm16\n"
		     "        local_ts = 10.1.0.0/16\n"
		     "        remote_ts = 10.2.0.0/16\n"
		     "        start_action = trap\n"
		     "        replay_window = 1024\n"
		     "      }\n    }\n  }\n}\n" SECRETS);
}
END_TEST

/* Each key of the schema, at a value that is not its default, and charon's word for it. */
START_TEST(every_key)
{
	expect_export(
		FILE_OF("    - name: p1\n"
			"      ike-version: v1\n"
			"      proposals: [{encryption: [aes256-gcm, AES_128_GCM_16], prf: "
			"[sha384, prfsha256], "
			"dh-group: [20, x25519], ke1: ml-kem-768}, {encryption: aes256-cbc, "
			"integrity: "
			"hmac-sha2-256-128, dh-group: 14}, default]\n"
			"      authentication: {pre-shared-key: " PSK
			", local-id: a@example.org, remote-id: "
			"'*.example.org', ppk-id: q, ppk: " PSK ", ppk-required: true}\n"
			"      rekey-time: 2h\n      reauth-time: 1d\n      over-time: 90s\n      "
			"rand-time: 10m\n"
			"      mobike: off\n      nat-traversal: force\n      fragmentation: "
			"accept\n"
			"      childless: force\n      dpd-delay: 10\n      dpd-timeout: 1m\n      "
			"unique: replace\n"
			"      keying-tries: 0\n      send-certificate: always\n      "
			"request-certificate: false\n"
			"      dscp: 46\n",
			"    - name: c1\n      protocol: ah\n      proposals: [{integrity: "
			"[sha256, sha512], "
			"dh-group: ecp256, esn: both}]\n"
			"      mode: transport\n      local-ts: [{prefix: 10.1.0.0/16, protocol: "
			"udp, port: "
			"1024-65535}, dynamic]\n      remote-ts: '10.2.0.0/16[icmp]'\n"
			"      start-action: trap-start\n      close-action: trap\n      "
			"dpd-action: restart\n"
			"      rekey-time: 30m\n      life-time: 40m\n      rand-time: 1m\n      "
			"life-bytes: 2T\n"
			"      rekey-packets: 1M\n      rand-packets: 5k\n      inactivity: 1h\n"
			"      replay-window: 0x400\n      tfc-padding: mtu\n      copy-df: no\n   "
			"   copy-ecn: no\n"
			"      copy-dscp: yes\n      mark-in: 5\n      mark-out: 0x10/0xff\n"
			"      set-mark-in: \"%same\"\n      if-id-in: 7\n      priority: 9\n      "
			"policies: no\n"
			"      policies-fwd-out: yes\n      sha256-96: yes\n      updown: "
			"/bin/true\n",
			"    - {name: g1, ike-policy: p1, local-address: [192.0.2.1, "
			"'2001:db8::1'], remote-address: "
			"gw.example.org, local-port: 501, remote-port: 502, virtual-ips: "
			"[0.0.0.0], pools: [v]}\n",
			"    - {name: t1, gateway: g1, child-policy: c1, reqid: 77, if-id-out: 8, "
			"if-id-in: 6}\n"
			"  pools:\n    - {name: v, addresses: 10.3.0.0/24, dns: [10.3.0.1], "
			"subnets: 10.9.0.0/16}\n"),
		HEAD "connections {\n"
		     "  g1 {\n"
		     "    local_addrs = 192.0.2.1,2001:db8::1\n"
		     "    remote_addrs = gw.example.org\n"
		     "    local_port = 501\n"
		     "    remote_port = 502\n"
		     "    vips = 0.0.0.0\n"
		     "    pools = v\n"
		     "    version = 1\n"
		     "    rekey_time = 7200\n"
		     "    reauth_time = 86400\n"
		     "    over_time = 90\n"
		     "    rand_time = 600\n"
		     "    mobike = no\n"
		     "    fragmentation = accept\n"
		     "    childless = force\n"
		     "    dpd_delay = 10\n"
		     "    dpd_timeout = 60\n"
		     "    unique = replace\n"
		     "    keyingtries = 0\n"
		     "    send_cert = always\n"
		     "    send_certreq = no\n"
		     "    proposals = "
		     "aes256gcm16-aes128gcm16-prfsha384-prfsha256-ecp384-x25519-ke1_mlkem768,"
		     "aes256-sha256-modp2048,default\n"
		     "    encap = yes\n"
		     "    dscp = 101110\n"
		     "    local {\n      auth = psk\n      id = a@example.org\n    }\n"
		     "    remote {\n      auth = psk\n      id = *.example.org\n    }\n"
		     "    ppk_id = q\n"
		     "    ppk_required = yes\n"
		     "    children {\n"
		     "      t1 {\n"
		     "        ah_proposals = sha256-sha512-ecp256-esn-noesn\n"
		     "        local_ts = 10.1.0.0/16[17/1024-65535],dynamic\n"
		     "        remote_ts = 10.2.0.0/16[1]\n"
		     "        if_id_in = 6\n"
		     "        if_id_out = 8\n"
		     "        reqid = 77\n"
		     "        mode = transport\n"
		     "        start_action = trap|start\n"
		     "        close_action = trap\n"
		     "        dpd_action = restart\n"
		     "        rekey_time = 1800\n"
		     "        life_time = 2400\n"
		     "        rand_time = 60\n"
		     "        life_bytes = 2000000000000\n"
		     "        rekey_packets = 1000000\n"
		     "        rand_packets = 5000\n"
		     "        inactivity = 3600\n"
		     "        replay_window = 1024\n"
		     "        tfc_padding = mtu\n"
		     "        copy_df = no\n"
		     "        copy_ecn = no\n"
		     "        copy_dscp = yes\n"
		     "        mark_in = 0x00000005/0xffffffff\n"
		     "        mark_out = 0x00000010/0x000000ff\n"
		     "        set_mark_in = %same\n"
		     "        priority = 9\n"
		     "        policies = no\n"
		     "        policies_fwd_out = yes\n"
		     "        sha256_96 = yes\n"
		     "        updown = /bin/true\n"
		     "        rekey_bytes = 1800000000000\n"
		     "      }\n    }\n  }\n}\n"
		     "secrets {\n"
		     "  ike-g1 {\n    id-1 = a@example.org\n    id-2 = *.example.org\n    # secret "
		     "= … (left out: "
		     "--with-secrets)\n  }\n"
		     "  ppk-g1 {\n    id-1 = q\n    # secret = … (left out: --with-secrets)\n  }\n"
		     "}\n"
		     "pools {\n"
		     "  v {\n    addrs = 10.3.0.0/24\n    dns = 10.3.0.1\n    subnet = "
		     "10.9.0.0/16\n  }\n}\n");
}
END_TEST

START_TEST(not_enabled_is_not_there)
{
	struct ike_wanted *w =
		wanted(FILE_OF(POLICY, CHILD, GATEWAY,
			       "    - {name: t1, gateway: g1, child-policy: c1, enable: false}\n"),
			0);

	ck_assert_uint_eq(json_object_size(w->conns), 0);
	ck_assert_uint_eq(w->n_secrets, 0);
	ck_assert_uint_eq(w->n_tunnels, 0);
	ike_wanted_free(w);
}
END_TEST

/* What a gateway says goes before what its policy says, key by key; bypass needs no IKE proposals. */
START_TEST(gateway_overrides)
{
	struct ike_wanted *w =
		wanted(FILE_OF(POLICY, CHILD,
			       GATEWAY "    - {name: g2, ike-policy: p1, remote-address: "
				       "192.0.2.9, authentication: {remote-id: "
				       "nine, pre-shared-key-file: good}}\n",
			       TUNNEL "    - {name: t2, gateway: g2, child-policy: c1, remote-ts: "
				      "10.9.0.0/16}\n"),
			0);
	json_t *remote = json_object_get(json_object_get(w->conns, "g2"), "remote");

	ck_assert_uint_eq(w->n_secrets, 2);
	ck_assert_str_eq(json_string_value(json_object_get(remote, "id")), "nine");
	ck_assert_uint_eq(w->secrets[0].len, strlen(PSK));
	ck_assert_mem_eq(w->secrets[0].data, PSK, strlen(PSK));
	ck_assert_uint_eq(w->secrets[1].len, strlen("another-secret-of-the-tests"));
	ck_assert_mem_eq(w->secrets[1].data, "another-secret-of-the-tests", w->secrets[1].len);
	ike_wanted_free(w);
}
END_TEST

/* charon installs a bypass or discard that is to be trapped, and no other: on gateways that only answer, too. */
START_TEST(shunts_are_installed)
{
	struct ike_wanted *w = wanted(
		FILE_OF(POLICY,
			CHILD "    - {name: c2, mode: bypass}\n    - {name: c3, mode: discard, "
			      "start-action: trap}\n",
			"    - {name: g1, ike-policy: p1, connection-type: responder}\n",
			TUNNEL "    - {name: t2, gateway: g1, child-policy: c2, remote-ts: "
			       "10.9.0.0/16}\n"
			       "    - {name: t3, gateway: g1, child-policy: c3, "
			       "start-action: trap}\n"),
		0);
	json_t *children = json_object_get(json_object_get(w->conns, "g1"), "children");
	static const char *const actions[] = {"none", "trap", "trap"};

	for (unsigned int i = 0; i < 3; i++) {
		const char name[] = {'t', (char)('1' + i), '\0'};
		const json_t *child = json_object_get(children, name);

		ck_assert_str_eq(
			json_string_value(json_object_get(child, "start_action")), actions[i]);
	}
	ike_wanted_free(w);
}
END_TEST

static void
setup_with_secret(void)
{
	ike_test_setup();
	ike_test_write("good", "another-secret-of-the-tests\n", 0600);
}

/* A secret's id: another secret, another owner or another salt is another one. */
START_TEST(ids_tell_secrets_apart)
{
	static const char *const files[] = {
		FILE_OF(POLICY, CHILD, GATEWAY, TUNNEL),
		FILE_OF("    - {name: p1, authentication: {pre-shared-key: " PSK "4}}\n", CHILD,
			GATEWAY, TUNNEL),
		FILE_OF("    - {name: p1, authentication: {remote-id: x, pre-shared-key: " PSK
			"}}\n",
			CHILD, GATEWAY, TUNNEL),
	};
	char ids[4][WANTED_ID_MAX];

	for (unsigned int i = 0; i < 4; i++) {
		struct ike_wanted *w = wanted(files[i % 3], (unsigned char)(i / 3));

		ck_assert_uint_eq(w->n_secrets, 1);
		strcpy(ids[i], w->secrets[0].id);
		ck_assert_int_eq(strncmp(ids[i], "cygnet-ike-g1-", 14), 0);
		ck_assert_uint_eq(strlen(ids[i]), 14 + 16);
		for (unsigned int j = 0; j < i; j++)
			ck_assert_str_ne(ids[i], ids[j]);
		ike_wanted_free(w);
	}
}
END_TEST

/* charon takes a key for a peer when one of its owners is the peer or ourselves: we are, to all peers. */
START_TEST(owners_of_a_key)
{
	static const struct {
		const char *gateway, *owners;
	} v[] = {
		{"remote-address: 192.0.2.2", "[\"192.0.2.2\"]"},
		{"remote-address: gw.example.org, authentication: {remote-id: b}", "[\"b\"]"},
		{"connection-type: responder, authentication: {remote-id: b}", "[\"b\"]"},
		{"connection-type: responder, authentication: {remote-id: '*.example.org'}",
			"[\"*.example.org\"]"},
		/* Called by no name: nothing but ourselves to find it by. */
		{"remote-address: 192.0.2.2, authentication: {remote-id: '*.example.org'}",
			"[\"a\",\"*.example.org\"]"},
		{"remote-address: gw.example.org", "[\"a\",\"%any\"]"},
		{"connection-type: responder", "[\"a\",\"%any\"]"},
		{"connection-type: responder, authentication: {remote-id: '*'}", "[\"a\",\"*\"]"},
	};
	char text[1024], *owners;

	for (unsigned int i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct ike_wanted *w;

		snprintf(text, sizeof(text),
			FILE_OF("    - {name: p1, authentication: {local-id: a, "
				"pre-shared-key: " PSK "}}\n",
				CHILD, "    - {name: g1, ike-policy: p1, %s}\n", TUNNEL),
			v[i].gateway);
		w = wanted(text, 0);
		ck_assert_uint_eq(w->n_secrets, 1);
		owners = json_dumps(w->secrets[0].owners, JSON_COMPACT);
		ck_assert_str_eq(owners, v[i].owners);
		free(owners);
		ike_wanted_free(w);
	}
}
END_TEST

/* charon would never ask for new keys: it takes more off than there is. */
START_TEST(rekeying_by_chance)
{
	static const struct {
		const char *child, *key, *value;
	} v[] = {
		{"rekey-time: 1h, life-time: 3h", "rand_time", "360"},
		{"rekey-time: 1h, life-time: 2h", "rand_time", "360"},
		{"rekey-time: 1h, life-time: 119m", "rand_time", NULL},
		{"rekey-time: 1h, life-time: 3h, rand-time: 5m", "rand_time", "300"},
		{"rekey-time: 0, life-time: 3h", "rand_time", "0"},
		{"life-time: 3h", "rand_time", NULL},
		{"rekey-bytes: 1G, life-bytes: 5G", "rand_bytes", "100000000"},
		{"rekey-packets: 100, life-packets: 1000", "rand_packets", "10"},
	};
	char text[1024];

	for (unsigned int i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct ike_wanted *w;
		const json_t *child;
		const char *said;

		snprintf(text, sizeof(text),
			FILE_OF(POLICY, "    - {name: c1, %s}\n", GATEWAY, TUNNEL), v[i].child);
		w = wanted(text, 0);
		child = json_object_get(
			json_object_get(json_object_get(w->conns, "g1"), "children"), "t1");
		said = json_string_value(json_object_get(child, v[i].key));
		ck_assert_msg(v[i].value == NULL ? said == NULL
						 : said != NULL && strcmp(said, v[i].value) == 0,
			"%s: %s", v[i].child, said != NULL ? said : "");
		ike_wanted_free(w);
	}
}
END_TEST

START_TEST(secret_notations)
{
	static const struct {
		const char *given;
		unsigned char bytes[16];
	} v[] = {
		{"0x00112233445566778899AABBCCDDeeff",
			{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc,
				0xdd, 0xee, 0xff}},
		{"0sABEiM0RVZneImaq7zN3u/w==", {0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
						       0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}},
	};
	char text[1024];

	for (unsigned int i = 0; i < 2; i++) {
		struct ike_wanted *w;

		snprintf(text, sizeof(text),
			FILE_OF("    - {name: p1, authentication: {pre-shared-key: '%s'}}\n", CHILD,
				GATEWAY, TUNNEL),
			v[i].given);
		w = wanted(text, 0);
		ck_assert_uint_eq(w->secrets[0].len, 16);
		ck_assert_mem_eq(w->secrets[0].data, v[i].bytes, 16);
		ike_wanted_free(w);
	}
}
END_TEST

/* What is long enough in the file is so in a file beside it. */
START_TEST(encoded_secret_in_a_file)
{
	struct ike_wanted *w;

	ike_test_write("good", "0x00112233445566778899AABBCCDDeeff\n", 0600);
	w = wanted(
		FILE_OF("    - {name: p1, authentication: {pre-shared-key-file: good, ppk-id: q, "
			"ppk-file: good}}\n",
			CHILD, GATEWAY, TUNNEL),
		0);
	ck_assert_uint_eq(w->n_secrets, 2);
	ck_assert_uint_eq(w->secrets[0].len, 16);
	ck_assert_uint_eq(w->secrets[1].len, 16);
	ike_wanted_free(w);
}
END_TEST

/* Selectors that look alike and do not meet, or are kept apart on purpose. */
START_TEST(no_overlap)
{
	static const char *const more[] = {
		"remote-ts: 10.3.0.0/16",
		"local-ts: 10.3.0.0/16",
		"priority: 5",
		"if-id-in: 5, if-id-out: 5",
		"mark-in: 5, mark-out: 5",
		"enable: false",
		"local-ts: '2001:db8:1::/48', remote-ts: '2001:db8:2::/48'",
	};
	char text[2048];

	for (unsigned int i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		struct ike_file *f;
		int ret;

		snprintf(text, sizeof(text),
			FILE_OF(POLICY, CHILD, GATEWAY,
				TUNNEL "    - {name: t2, gateway: g1, child-policy: c1, %s}\n"),
			more[i]);
		f = ike_test_load(text, &ret);
		ck_assert_msg(
			ret == 0, "%s: %s", more[i], f->n_errors > 0 ? f->errors[0].text : "");
		ike_file_free(f);
	}
}
END_TEST

/* Each name that transforms have is known as an algorithm, and the other way round for what is not old. */
START_TEST(names_and_transforms_agree)
{
	struct algorithm a;
	const char *name;
	char buf[32];
	unsigned int have = 0, lacking = 0;

	for (unsigned int n = 0; (name = algorithm_encryption_name(n, buf)) != NULL; n++) {
		ck_assert_msg(algorithm_encryption(name, &a), "%s", name);
		if (transform_encr(a.id) != NULL) {
			ck_assert_msg(
				transform_key_fits(transform_encr(a.id), a.key_len), "%s", name);
			have++;
		} else {
			lacking++;
		}
	}
	ck_assert_uint_eq(lacking, 9);
	ck_assert_uint_gt(have, 50);
	for (unsigned int n = 0; (name = algorithm_integrity_name(n)) != NULL; n++) {
		ck_assert_msg(algorithm_integrity(name, &a), "%s", name);
		if (transform_integ(a.id) != NULL)
			ck_assert_uint_eq(transform_integ(a.id)->key_len, a.key_len);
		else
			ck_assert_msg(
				strcmp(name, "none") == 0 || strcmp(name, "md5") == 0, "%s", name);
	}
}
END_TEST

static const char *
read_whole(const char *path)
{
	static char text[200000];
	FILE *f = fopen(path, "r");
	size_t n;

	ck_assert_msg(f != NULL, "%s", path);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

/* The reference in the documentation is the schema's own text. */
START_TEST(document_is_the_schema)
{
	const char *doc = read_whole(DOC_DIR "/ike.md");
	char *text = schema_markdown();

	ck_assert_ptr_nonnull(text);
	ck_assert_msg(strstr(doc, text) != NULL, "docs/ike.md does not hold what \"cygnetctl ike "
						 "schema --markdown\" prints: put it there");
	free(text);
}
END_TEST

static void
check_described(const json_t *v)
{
	const char *key;
	json_t *k;

	json_object_foreach (json_object_get(v, "properties"), key, k) {
		const json_t *items = json_object_get(k, "items");

		ck_assert_msg(json_is_string(json_object_get(k, "description")), "%s", key);
		check_described(k);
		if (items != NULL)
			check_described(items);
	}
	if (json_object_get(v, "properties") != NULL)
		ck_assert(json_is_false(json_object_get(v, "additionalProperties")));
}

START_TEST(json_schema_describes_all)
{
	json_t *schema = schema_json(), *ipsec, *tunnel;

	ck_assert_str_eq(json_string_value(json_object_get(schema, "$schema")),
		"https://json-schema.org/draft/2020-12/schema");
	check_described(schema);
	ipsec = json_object_get(json_object_get(schema, "properties"), "ipsec");
	tunnel = json_object_get(
		json_object_get(json_object_get(ipsec, "properties"), "tunnels"), "items");
	ck_assert_uint_eq(json_array_size(json_object_get(tunnel, "required")), 3);
	json_decref(schema);
}
END_TEST

/* Every key is in the manual page, too. */
START_TEST(man_page_has_all_keys)
{
	static const struct schema_section *const sections[] = {&schema_ike_policy,
		&schema_authentication, &schema_ike_proposal, &schema_child_policy,
		&schema_child_proposal, &schema_selector, &schema_gateway, &schema_tunnel,
		&schema_authority, &schema_pool};
	char *text = schema_man(), want[128];

	ck_assert_ptr_nonnull(text);
	for (unsigned int i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		for (const struct schema_key *k = sections[i]->keys; k->name != NULL; k++) {
			size_t n = (size_t)snprintf(want, sizeof(want), ".BR ");

			for (const char *s = k->name; *s != '\0'; s++)
				n += (size_t)snprintf(want + n, sizeof(want) - n, "%s%c",
					*s == '-' ? "\\" : "", *s);
			ck_assert_msg(strstr(text, want) != NULL, "%s", k->name);
		}
	free(text);
}
END_TEST

START_TEST(sample_is_good)
{
	struct ike_file *f;

	ck_assert_int_eq(ike_file_load(CONF_DIR "/router.ike.yaml", true, &f), 0);
	ck_assert_uint_gt(f->tunnels.n, 0);
	ike_file_free(f);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ike_file");
	TCase *tc = tcase_create("wanted");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup_with_secret, ike_test_teardown);
	tcase_add_test(tc, smallest_file);
	tcase_add_test(tc, every_key);
	tcase_add_test(tc, not_enabled_is_not_there);
	tcase_add_test(tc, gateway_overrides);
	tcase_add_test(tc, shunts_are_installed);
	tcase_add_test(tc, ids_tell_secrets_apart);
	tcase_add_test(tc, owners_of_a_key);
	tcase_add_test(tc, rekeying_by_chance);
	tcase_add_test(tc, secret_notations);
	tcase_add_test(tc, encoded_secret_in_a_file);
	tcase_add_test(tc, no_overlap);
	tcase_add_test(tc, names_and_transforms_agree);
	tcase_add_test(tc, document_is_the_schema);
	tcase_add_test(tc, json_schema_describes_all);
	tcase_add_test(tc, man_page_has_all_keys);
	tcase_add_test(tc, sample_is_good);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, ike_errors_case());
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
