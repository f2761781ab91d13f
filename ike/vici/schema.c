/* SPDX-License-Identifier: BSD-3-Clause */
#include "schema.h"

#include <stdio.h>
#include <string.h>

#define REQ SCHEMA_REQUIRED
#define MANY SCHEMA_MANY
#define END                  \
	{                    \
		.name = NULL \
	}

#define ALGORITHM(key, text)                                                      \
	{                                                                         \
		.name = key, .type = SCHEMA_ALGORITHM, .flags = MANY, .doc = text \
	}
#define KEY_EXCHANGES                                                                              \
	ALGORITHM("ke1",                                                                           \
		"additional key exchange (RFC 9370), such as mlkem768: hybrid post-quantum keys. " \
		"Needs a charon that has it: strongSwan 6"),                                       \
		ALGORITHM("ke2", "a second one"), ALGORITHM("ke3", "a third one"),                 \
		ALGORITHM("ke4", "a fourth one")

static const struct schema_key ike_proposal[] = {
	ALGORITHM("encryption", "such as aes256-gcm, aes128-cbc, chacha20-poly1305"),
	ALGORITHM(
		"integrity", "such as sha256; none with encryption that protects integrity itself"),
	ALGORITHM("prf", "pseudo-random function, such as sha384. Where it is missing, that of the "
			 "integrity"),
	ALGORITHM("dh-group",
		"key exchange, such as ecp384, curve25519, modp3072; IANA's numbers are known too"),
	KEY_EXCHANGES,
	END,
};
const struct schema_section schema_ike_proposal = {"proposals of ike-policies",
	"A proposal for the IKE SA. Each key takes one algorithm or a list, of which the peer "
	"chooses one. Instead of "
	"the mapping strongSwan's notation may stand: `aes256gcm16-prfsha384-ecp384`, or "
	"`default`.",
	ike_proposal};

static const struct schema_key child_proposal[] = {
	ALGORITHM("encryption", "such as aes256-gcm; null for integrity alone. AH has none"),
	ALGORITHM(
		"integrity", "such as sha256; none with encryption that protects integrity itself"),
	ALGORITHM(
		"dh-group", "perfect forward secrecy: a key exchange of its own at each rekeying"),
	KEY_EXCHANGES,
	{.name = "esn",
		.type = SCHEMA_CHOICE,
		.choices = "no yes both false=no true=yes",
		.dflt = "no",
		.doc = "extended sequence numbers: 64 bits, so that a fast tunnel does not run out "
		       "of them; both: "
		       "offered with and without"},
	END,
};
const struct schema_section schema_child_proposal = {"proposals of child-policies",
	"A proposal for ESP or AH. Only what the data plane has is accepted. strongSwan's notation "
	"may stand here as "
	"well: `aes256gcm16-ecp384-esn`.",
	child_proposal};

static const struct schema_key selector[] = {
	{.name = "prefix", .type = SCHEMA_TEXT, .flags = REQ, .doc = "prefix, range or dynamic"},
	{.name = "protocol",
		.type = SCHEMA_TEXT,
		.dflt = "any",
		.doc = "name or number: tcp, udp, icmp, 47"},
	{.name = "port",
		.type = SCHEMA_TEXT,
		.dflt = "any",
		.doc = "a port, a range 1024-65535, or opaque"},
	END,
};
const struct schema_section schema_selector = {"local-ts and remote-ts",
	"What a tunnel carries. A selector is text (`10.1.0.0/16`, `10.1.0.0/16[tcp/443]`, "
	"`10.1.0.1-10.1.0.9`, "
	"`dynamic`, the address of the gateway or the virtual one) or a mapping.",
	selector};

static const struct schema_key authentication[] = {
	{.name = "method",
		.type = SCHEMA_CHOICE,
		.choices = "pre-shared-key=psk certificate=pubkey eap-tls",
		.dflt = "pre-shared-key",
		.doc = "how this side proves who it is"},
	{.name = "remote-method",
		.type = SCHEMA_CHOICE,
		.choices = "pre-shared-key=psk certificate=pubkey eap-tls eap-radius",
		.doc = "how the peer does; the same method where it is not given"},
	{.name = "local-id",
		.type = SCHEMA_TEXT,
		.doc = "our IKE identity: an address, a name, an e-mail address or a distinguished "
		       "name. Default: the "
		       "local address, or the subject of the certificate"},
	{.name = "remote-id",
		.type = SCHEMA_TEXT,
		.doc = "the peer's identity; may have wildcards (\\*.example.org). Default: with "
		       "a pre-shared key the remote address, if it is a single one; else any"},
	{.name = "pre-shared-key",
		.type = SCHEMA_SECRET,
		.doc = "text, 0x and hexadecimal digits, or 0s and Base64"},
	{.name = "pre-shared-key-file",
		.type = SCHEMA_FILE,
		.doc = "a file that holds it, readable by root alone"},
	{.name = "allow-short-key",
		.type = SCHEMA_BOOL,
		.dflt = "false",
		.doc = "accept a pre-shared key of less than 20 characters (16 bytes); it can be "
		       "guessed"},
	{.name = "certificate",
		.type = SCHEMA_FILE,
		.flags = MANY,
		.doc = "our certificate, PEM or DER"},
	{.name = "private-key",
		.type = SCHEMA_FILE,
		.flags = MANY,
		.doc = "its private key, PEM or DER"},
	{.name = "private-key-passphrase",
		.type = SCHEMA_SECRET,
		.doc = "what opens those of the private keys that are encrypted; as "
		       "pre-shared-key"},
	{.name = "private-key-passphrase-file",
		.type = SCHEMA_FILE,
		.doc = "a file that holds it, readable by root alone"},
	{.name = "ca-certificates",
		.type = SCHEMA_FILE,
		.flags = MANY,
		.doc = "authorities that may have signed the peer's certificate. Default: all of "
		       "authorities"},
	{.name = "remote-certificates",
		.type = SCHEMA_FILE,
		.flags = MANY,
		.doc = "the very certificates that the peer may have"},
	{.name = "signature",
		.type = SCHEMA_TEXT,
		.doc = "demands on signatures, in strongSwan's words: rsa/pss-sha256, "
		       "ecdsa-384-sha384"},
	{.name = "revocation",
		.type = SCHEMA_CHOICE,
		.vici = "revocation",
		.choices = "relaxed if-uri=ifuri strict",
		.dflt = "relaxed",
		.doc = "whether it must be known that the peer's certificate is not revoked"},
	{.name = "eap-id",
		.type = SCHEMA_TEXT,
		.doc = "identity within EAP; as responder %any asks the peer"},
	{.name = "aaa-id", .type = SCHEMA_TEXT, .doc = "identity of the server in EAP-TLS"},
	{.name = "ppk-id",
		.type = SCHEMA_TEXT,
		.doc = "identity of a post-quantum pre-shared key (RFC 8784)"},
	{.name = "ppk", .type = SCHEMA_SECRET, .doc = "that key"},
	{.name = "ppk-file", .type = SCHEMA_FILE, .doc = "a file that holds it"},
	{.name = "ppk-required",
		.type = SCHEMA_BOOL,
		.dflt = "false",
		.doc = "refuse peers that do not use it"},
	END,
};
const struct schema_section schema_authentication = {"authentication",
	"Who is who. A gateway may have this mapping too; what it says there replaces what its "
	"policy says, key by "
	"key.",
	authentication};

static const struct schema_key ike_policy[] = {
	{.name = "name", .type = SCHEMA_NAME, .flags = REQ, .doc = "what gateways call it"},
	{.name = "ike-version",
		.type = SCHEMA_CHOICE,
		.vici = "version",
		.choices = "v2=2 v1=1 any=0 2=2 1=1",
		.dflt = "v2",
		.send = true,
		.doc = "of the protocol"},
	{.name = "proposals",
		.type = SCHEMA_PROPOSAL,
		.flags = MANY,
		.section = &schema_ike_proposal,
		.dflt = "default",
		.doc = "what is offered and accepted, best first"},
	{.name = "authentication",
		.type = SCHEMA_MAPPING,
		.section = &schema_authentication,
		.doc = "who is who"},
	{.name = "rekey-time",
		.type = SCHEMA_TIME,
		.vici = "rekey_time",
		.dflt = "4h",
		.doc = "until the IKE SA gets new keys; 0: never"},
	{.name = "reauth-time",
		.type = SCHEMA_TIME,
		.vici = "reauth_time",
		.dflt = "0",
		.doc = "until the peers authenticate anew; 0: never"},
	{.name = "over-time",
		.type = SCHEMA_TIME,
		.vici = "over_time",
		.doc = "how long after that a failing rekeying may go on; a tenth of the longer of "
		       "the two"},
	{.name = "rand-time",
		.type = SCHEMA_TIME,
		.vici = "rand_time",
		.doc = "how much sooner it may begin, by chance; as over-time"},
	{.name = "mobike",
		.type = SCHEMA_BOOL,
		.vici = "mobike",
		.dflt = "true",
		.doc = "follow the peer to another address; IKE then uses port 4500"},
	{.name = "nat-traversal",
		.type = SCHEMA_CHOICE,
		.choices = "true=auto force false=never yes=auto no=never",
		.dflt = "true",
		.doc = "true: ESP travels in UDP when a NAT is on the way; force: always; false: "
		       "there shall be no NAT "
		       "(mobike must be false too). charon looks for NATs whatever is said here: "
		       "when it finds one, "
		       "`ike status` says so"},
	{.name = "fragmentation",
		.type = SCHEMA_CHOICE,
		.vici = "fragmentation",
		.choices = "yes accept no force true=yes false=no",
		.dflt = "yes",
		.doc = "IKE's own (RFC 7383); force is IKEv1's"},
	{.name = "childless",
		.type = SCHEMA_CHOICE,
		.vici = "childless",
		.choices = "allow force never",
		.dflt = "allow",
		.doc = "force: each tunnel gets a key exchange of its own, the first one too"},
	{.name = "dpd-delay",
		.type = SCHEMA_TIME,
		.vici = "dpd_delay",
		.dflt = "30s",
		.send = true,
		.doc = "silence after which it is asked whether the peer is alive; 0: never"},
	{.name = "dpd-timeout",
		.type = SCHEMA_TIME,
		.vici = "dpd_timeout",
		.doc = "IKEv1: how long it may fail to answer (IKEv2: as long as messages are "
		       "repeated)"},
	{.name = "unique",
		.type = SCHEMA_CHOICE,
		.vici = "unique",
		.choices = "never no keep replace",
		.dflt = "no",
		.doc = "what happens to a second IKE SA of the same peer"},
	{.name = "keying-tries",
		.type = SCHEMA_UINT,
		.vici = "keyingtries",
		.max = 1000,
		.dflt = "1",
		.doc = "how often the first contact is tried; 0: for ever"},
	{.name = "send-certificate",
		.type = SCHEMA_CHOICE,
		.vici = "send_cert",
		.choices = "if-asked=ifasked always never",
		.dflt = "if-asked",
		.doc = "when ours is sent"},
	{.name = "request-certificate",
		.type = SCHEMA_BOOL,
		.vici = "send_certreq",
		.dflt = "true",
		.doc = "ask the peer for its own"},
	{.name = "dscp",
		.type = SCHEMA_UINT,
		.max = 63,
		.dflt = "0",
		.doc = "DSCP of IKE's packets"},
	END,
};
const struct schema_section schema_ike_policy = {"ike-policies",
	"How IKE SAs are negotiated. One policy serves any number of gateways.", ike_policy};

#define LIFE(what, type_, vici_, dflt_, doc_)                                          \
	{                                                                              \
		.name = what, .type = type_, .vici = vici_, .dflt = dflt_, .doc = doc_ \
	}

static const struct schema_key child_policy[] = {
	{.name = "name", .type = SCHEMA_NAME, .flags = REQ, .doc = "what tunnels call it"},
	{.name = "protocol",
		.type = SCHEMA_CHOICE,
		.choices = "esp ah",
		.dflt = "esp",
		.doc = "ESP or AH"},
	{.name = "proposals",
		.type = SCHEMA_PROPOSAL,
		.flags = MANY,
		.section = &schema_child_proposal,
		.dflt = "default",
		.doc = "what is offered and accepted, best first"},
	{.name = "mode",
		.type = SCHEMA_CHOICE,
		.vici = "mode",
		.choices = "tunnel transport bypass=pass discard=drop",
		.dflt = "tunnel",
		.doc = "bypass and discard are policies without a tunnel: such traffic goes in "
		       "clear, or nowhere, since it was loaded"},
	{.name = "local-ts",
		.type = SCHEMA_SELECTOR,
		.flags = MANY,
		.section = &schema_selector,
		.dflt = "dynamic",
		.doc = "our side's traffic"},
	{.name = "remote-ts",
		.type = SCHEMA_SELECTOR,
		.flags = MANY,
		.section = &schema_selector,
		.dflt = "dynamic",
		.doc = "the peer's side's"},
	{.name = "start-action",
		.type = SCHEMA_CHOICE,
		.vici = "start_action",
		.choices = "trap start none trap-start=trap|start",
		.dflt = "trap",
		.send = true,
		.doc = "trap: the first packet brings the tunnel up; start: it is brought up when "
		       "it is loaded; none: by "
		       "the peer or by `ike up`; trap-start: both"},
	{.name = "close-action",
		.type = SCHEMA_CHOICE,
		.vici = "close_action",
		.choices = "none trap start",
		.dflt = "none",
		.doc = "what is done when the peer closes the tunnel"},
	{.name = "dpd-action",
		.type = SCHEMA_CHOICE,
		.vici = "dpd_action",
		.choices = "clear trap restart none=clear",
		.dflt = "clear",
		.doc = "what is done when the peer is dead"},
	LIFE("rekey-time", SCHEMA_TIME, "rekey_time", "1h",
		"until new keys are negotiated; where only life-time is given, 10 % less than "
		"that"),
	LIFE("life-time", SCHEMA_TIME, "life_time", NULL,
		"until the SA ends if that fails; 10 % more than rekey-time"),
	LIFE("rand-time", SCHEMA_TIME, "rand_time", NULL,
		"how much sooner it may begin, by chance: less than rekey-time. As long as from "
		"rekey-time to life-time, or a tenth of rekey-time where that is too long"),
	LIFE("rekey-bytes", SCHEMA_SIZE, "rekey_bytes", "0", "the same by volume; 0: no limit"),
	LIFE("life-bytes", SCHEMA_SIZE, "life_bytes", NULL, "bytes, or with k, M, G, T"),
	LIFE("rand-bytes", SCHEMA_SIZE, "rand_bytes", NULL, "as rand-time"),
	LIFE("rekey-packets", SCHEMA_SIZE, "rekey_packets", "0",
		"the same by packets; 0: no limit"),
	LIFE("life-packets", SCHEMA_SIZE, "life_packets", NULL, "packets"),
	LIFE("rand-packets", SCHEMA_SIZE, "rand_packets", NULL, "as rand-time"),
	{.name = "inactivity",
		.type = SCHEMA_TIME,
		.vici = "inactivity",
		.dflt = "0",
		.doc = "close the tunnel after that time without a packet; 0: never"},
	{.name = "replay-window",
		.type = SCHEMA_UINT,
		.vici = "replay_window",
		.max = 131072,
		.dflt = "1024",
		.send = true,
		.doc = "packets that may arrive late; 0: no protection against replay"},
	{.name = "tfc-padding",
		.type = SCHEMA_TEXT,
		.vici = "tfc_padding",
		.dflt = "0",
		.doc = "hide the sizes of packets: each is padded to that many bytes, or to mtu"},
	{.name = "copy-df",
		.type = SCHEMA_BOOL,
		.vici = "copy_df",
		.dflt = "true",
		.doc = "copy the DF bit to the outer header"},
	{.name = "copy-ecn",
		.type = SCHEMA_BOOL,
		.vici = "copy_ecn",
		.dflt = "true",
		.doc = "copy ECN to and from it"},
	{.name = "copy-dscp",
		.type = SCHEMA_CHOICE,
		.vici = "copy_dscp",
		.choices = "out in yes no",
		.dflt = "out",
		.doc = "copy DSCP to it, from it, both, neither"},
	{.name = "mark-in",
		.type = SCHEMA_MARK,
		.vici = "mark_in",
		.doc = "mark (and mask) of inbound traffic"},
	{.name = "mark-out", .type = SCHEMA_MARK, .vici = "mark_out", .doc = "of outbound traffic"},
	{.name = "set-mark-in",
		.type = SCHEMA_MARK,
		.vici = "set_mark_in",
		.doc = "mark that opened packets get"},
	{.name = "set-mark-out",
		.type = SCHEMA_MARK,
		.vici = "set_mark_out",
		.doc = "mark that sealed packets get"},
	{.name = "if-id-in",
		.type = SCHEMA_UINT,
		.vici = "if_id_in",
		.max = UINT32_MAX,
		.dflt = "0",
		.doc = "interface id of inbound policies and SAs"},
	{.name = "if-id-out",
		.type = SCHEMA_UINT,
		.vici = "if_id_out",
		.max = UINT32_MAX,
		.dflt = "0",
		.doc = "of outbound ones"},
	{.name = "priority",
		.type = SCHEMA_UINT,
		.vici = "priority",
		.max = UINT32_MAX,
		.dflt = "0",
		.doc = "of the policies, the smaller wins; 0: the narrower selector wins"},
	{.name = "policies",
		.type = SCHEMA_BOOL,
		.vici = "policies",
		.dflt = "true",
		.doc = "install policies, not SAs alone"},
	{.name = "policies-fwd-out",
		.type = SCHEMA_BOOL,
		.vici = "policies_fwd_out",
		.dflt = "false",
		.doc = "install outbound forward policies"},
	{.name = "sha256-96",
		.type = SCHEMA_BOOL,
		.vici = "sha256_96",
		.dflt = "false",
		.doc = "SHA-256 cut to 96 bits, for peers that do it wrong"},
	{.name = "updown",
		.type = SCHEMA_FILE,
		.vici = "updown",
		.doc = "program that charon runs when it comes and goes"},
	END,
};
const struct schema_section schema_child_policy = {"child-policies",
	"How tunnels are made: the SAs of ESP or AH. One policy serves any number of tunnels.",
	child_policy};

static const struct schema_key gateway[] = {
	{.name = "name",
		.type = SCHEMA_NAME,
		.flags = REQ,
		.doc = "charon's connection has this name"},
	{.name = "ike-policy", .type = SCHEMA_NAME, .flags = REQ, .doc = "a name of ike-policies"},
	{.name = "local-address",
		.type = SCHEMA_ADDRESS,
		.flags = MANY,
		.vici = "local_addrs",
		.dflt = "any",
		.doc = "of this side's IKE"},
	{.name = "remote-address",
		.type = SCHEMA_ADDRESS,
		.flags = MANY,
		.vici = "remote_addrs",
		.dflt = "any",
		.doc = "of the peer: an address or name, for the responder also prefixes and "
		       "ranges"},
	{.name = "local-port",
		.type = SCHEMA_UINT,
		.vici = "local_port",
		.min = 1,
		.max = 65535,
		.dflt = "500",
		.doc = "of this side's IKE"},
	{.name = "remote-port",
		.type = SCHEMA_UINT,
		.vici = "remote_port",
		.min = 1,
		.max = 65535,
		.dflt = "500",
		.doc = "of the peer's IKE"},
	{.name = "connection-type",
		.type = SCHEMA_CHOICE,
		.choices = "unicast responder",
		.dflt = "unicast",
		.doc = "unicast: one peer, either side begins; responder: we answer only, also "
		       "many peers"},
	{.name = "authentication",
		.type = SCHEMA_MAPPING,
		.section = &schema_authentication,
		.doc = "what differs from the policy's"},
	{.name = "virtual-ips",
		.type = SCHEMA_TEXT,
		.flags = MANY,
		.vici = "vips",
		.doc = "addresses to ask the peer for; 0.0.0.0 or :: for any"},
	{.name = "pools",
		.type = SCHEMA_NAME,
		.flags = MANY,
		.vici = "pools",
		.doc = "names of pools that the peer gets an address from"},
	END,
};
const struct schema_section schema_gateway = {"gateways", "The peers.", gateway};

static const struct schema_key tunnel[] = {
	{.name = "name",
		.type = SCHEMA_NAME,
		.flags = REQ,
		.doc = "charon's child has this name; it is what `ike up`, `down` and `rekey` "
		       "take"},
	{.name = "gateway", .type = SCHEMA_NAME, .flags = REQ, .doc = "a name of gateways"},
	{.name = "child-policy",
		.type = SCHEMA_NAME,
		.flags = REQ,
		.doc = "a name of child-policies"},
	{.name = "enable",
		.type = SCHEMA_BOOL,
		.dflt = "true",
		.doc = "false: as if it were not in the file"},
	{.name = "local-ts",
		.type = SCHEMA_SELECTOR,
		.flags = MANY,
		.section = &schema_selector,
		.doc = "instead of the policy's"},
	{.name = "remote-ts",
		.type = SCHEMA_SELECTOR,
		.flags = MANY,
		.section = &schema_selector,
		.doc = "instead of the policy's"},
	{.name = "start-action",
		.type = SCHEMA_CHOICE,
		.vici = "start_action",
		.choices = "trap start none trap-start=trap|start",
		.doc = "instead of the policy's"},
	{.name = "mark-in",
		.type = SCHEMA_MARK,
		.vici = "mark_in",
		.doc = "instead of the policy's"},
	{.name = "mark-out",
		.type = SCHEMA_MARK,
		.vici = "mark_out",
		.doc = "instead of the policy's"},
	{.name = "if-id-in",
		.type = SCHEMA_UINT,
		.vici = "if_id_in",
		.max = UINT32_MAX,
		.doc = "instead of the policy's"},
	{.name = "if-id-out",
		.type = SCHEMA_UINT,
		.vici = "if_id_out",
		.max = UINT32_MAX,
		.doc = "instead of the policy's"},
	{.name = "priority",
		.type = SCHEMA_UINT,
		.vici = "priority",
		.max = UINT32_MAX,
		.doc = "instead of the policy's"},
	{.name = "reqid",
		.type = SCHEMA_UINT,
		.vici = "reqid",
		.min = 1,
		.max = UINT32_MAX,
		.doc = "a fixed one; charon gives numbers itself"},
	END,
};
const struct schema_section schema_tunnel = {"tunnels",
	"What goes to which gateway by which policy. Tunnels of one gateway share its IKE SA.",
	tunnel};

static const struct schema_key authority[] = {
	{.name = "name", .type = SCHEMA_NAME, .flags = REQ, .doc = "of the authority"},
	{.name = "certificate",
		.type = SCHEMA_FILE,
		.flags = REQ,
		.doc = "its certificate, PEM or DER"},
	{.name = "crl-uris",
		.type = SCHEMA_TEXT,
		.flags = MANY,
		.vici = "crl_uris",
		.doc = "where its revocation lists are"},
	{.name = "ocsp-uris",
		.type = SCHEMA_TEXT,
		.flags = MANY,
		.vici = "ocsp_uris",
		.doc = "where it is asked"},
	END,
};
const struct schema_section schema_authority = {
	"authorities", "Certification authorities that are trusted.", authority};

static const struct schema_key pool[] = {
	{.name = "name", .type = SCHEMA_NAME, .flags = REQ, .doc = "what gateways call it"},
	{.name = "addresses",
		.type = SCHEMA_TEXT,
		.flags = REQ,
		.vici = "addrs",
		.doc = "prefix or range: 10.3.0.0/24, 10.3.0.10-10.3.0.99"},
	{.name = "dns",
		.type = SCHEMA_TEXT,
		.flags = MANY,
		.vici = "dns",
		.doc = "name servers for the peer"},
	{.name = "subnets",
		.type = SCHEMA_TEXT,
		.flags = MANY,
		.vici = "subnet",
		.doc = "what the peer may reach, as it is told"},
	END,
};
const struct schema_section schema_pool = {
	"pools", "Virtual addresses that peers get from us.", pool};

#define SECTION(key, section_, text)                                                     \
	{                                                                                \
		.name = key, .type = SCHEMA_MAPPING, .flags = MANY, .section = section_, \
		.doc = text                                                              \
	}

static const struct schema_key ipsec[] = {
	SECTION("ike-policies", &schema_ike_policy, "how IKE SAs are negotiated"),
	SECTION("child-policies", &schema_child_policy, "how tunnels are made"),
	SECTION("gateways", &schema_gateway, "the peers"),
	SECTION("tunnels", &schema_tunnel, "the tunnels"),
	SECTION("authorities", &schema_authority, "certification authorities"),
	SECTION("pools", &schema_pool, "virtual addresses for peers"),
	END,
};
const struct schema_section schema_ipsec = {"ipsec", "All of the file is below this key.", ipsec};

static const struct schema_key top[] = {
	{.name = "ipsec",
		.type = SCHEMA_MAPPING,
		.flags = REQ,
		.section = &schema_ipsec,
		.doc = "all of it"},
	END,
};
const struct schema_section schema_top = {"", "", top};

const struct schema_key *
schema_find(const struct schema_section *s, const char *name)
{
	for (const struct schema_key *k = s->keys; k->name != NULL; k++)
		if (strcmp(k->name, name) == 0)
			return k;
	return NULL;
}

bool
schema_choice(const struct schema_key *k, unsigned int n, char ours[32], char charons[32])
{
	const char *s = k->choices;
	size_t len, eq;

	for (; n > 0 && *s != '\0'; n--) {
		s += strcspn(s, " ");
		s += strspn(s, " ");
	}
	if (*s == '\0')
		return false;
	len = strcspn(s, " ");
	eq = strcspn(s, " =");
	snprintf(ours, 32, "%.*s", (int)eq, s);
	if (eq < len)
		snprintf(charons, 32, "%.*s", (int)(len - eq - 1), s + eq + 1);
	else
		snprintf(charons, 32, "%s", ours);
	return true;
}
