/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_file_test.h"

#include <stdlib.h>
#include <string.h>

/* Every error that "cygnetctl ike check" knows, with the whole line that says it. */

struct refusal {
	const char *text, *errors; /* all of them, without the file's name */
};

#define P(more) "    - {name: p1, " more "}\n"
#define C(more) "    - {name: c1, " more "}\n"
#define G(more) "    - {name: g1, " more "}\n"
#define T(more) "    - {name: t1, " more "}\n"
#define AUTH "authentication: {pre-shared-key: " PSK "}"
#define ENDS "local-address: 192.0.2.1, remote-address: 192.0.2.2"
#define LINKS "gateway: g1, child-policy: c1"

/* Of a policy, with the rest good; it is on line 3. */
#define IN_POLICY(more) FILE_OF(P(AUTH ", " more), CHILD, GATEWAY, TUNNEL)
#define IN_AUTH(more) FILE_OF(P("authentication: {" more "}"), CHILD, GATEWAY, TUNNEL)
#define IN_CHILD(more) FILE_OF(POLICY, C(more), GATEWAY, TUNNEL) /* line 5 */
#define IN_GATEWAY(more) FILE_OF(POLICY, CHILD, G(more), TUNNEL) /* line 7 */
#define IN_TUNNEL(more) FILE_OF(POLICY, CHILD, GATEWAY, T(more)) /* line 9 */

static const struct refusal shapes[] = {
	{"", "1: the file is empty\n"},
	{"- a\n", "1: the file shall hold \"key: value\" lines\n"},
	{"ipsec: [\n", "2: not YAML: did not find expected node content\n"},
	{"ipsec: {}\n---\nipsec: {}\n", "2: a second document\n"},
	{"ipsec: &a {}\nx: *a\n", "2: aliases (*name) are not allowed\n"},
	{"? [a]\n: b\n", "1: a key shall be a plain word\n"},
	{"\"\": b\n", "1: a key is empty or too long\n"},
	{"\"a\\tb\": b\n", "1: a key has control characters\n"},
	{"ipsec: \"a\\0b\"\n", "1: ipsec: the value has a zero byte in it\n"},
	{"ipsek: {}\n", "1: ipsec: is missing\n1: ipsek: unknown key: did you mean 'ipsec'?\n"},
	{"ipsec: {}\nqwertyuiop: 1\n", "2: qwertyuiop: unknown key\n"},
	{"ipsec: {}\nipsec: {}\n", "2: ipsec: key is given twice\n"},
	{"ipsec: 5\n", "1: ipsec: expected \"key: value\" lines, got one value\n"},
	{"ipsec: []\n", "1: ipsec: expected \"key: value\" lines, got a list\n"},
	{"ipsec:\n  tunnels: 5\n", "2: ipsec.tunnels: expected a list, got one value\n"},
	{"ipsec:\n  tunnels: {name: a}\n",
		"2: ipsec.tunnels: expected a list, got \"key: value\" lines\n"},
	{"ipsec:\n  tunnels: [a]\n",
		"2: ipsec.tunnels[0]: expected \"key: value\" lines, got one value\n"},
	{"ipsec:\n  tunnels:\n    - {name: a}\n", "3: ipsec.tunnels[0].child-policy: is missing\n"
						  "3: ipsec.tunnels[0].gateway: is missing\n"},
	{"ipsec:\n  pools:\n    - {name: a, addresses: [1]}\n",
		"3: ipsec.pools[0].addresses: expected one value, got a list\n"},
	{"ipsec:\n  pools:\n    - {name: a, addresses: ''}\n",
		"3: ipsec.pools[0].addresses: is empty\n"},
	{IN_POLICY("mobike: maybe"),
		"3: ipsec.ike-policies[0].mobike: 'maybe' is neither true nor false\n"},
	{IN_POLICY("ike-version: v3"),
		"3: ipsec.ike-policies[0].ike-version: 'v3' is not one of: v2, v1, any, 2, 1\n"},
	{IN_POLICY("rekey-time: soon"), "3: ipsec.ike-policies[0].rekey-time: 'soon' is not a "
					"time: seconds, or 90s, 10m, 4h, 2d\n"},
	{IN_POLICY("rekey-time: 4w"), "3: ipsec.ike-policies[0].rekey-time: '4w' is not a time: "
				      "seconds, or 90s, 10m, 4h, 2d\n"},
	{IN_POLICY("dscp: 64"),
		"3: ipsec.ike-policies[0].dscp: value 64 is out of range (0..63)\n"},
	{IN_POLICY("keying-tries: -1"),
		"3: ipsec.ike-policies[0].keying-tries: '-1' is not a number\n"},
	{FILE_OF("    - {name: 'a b'}\n", "", "", ""),
		"3: ipsec.ike-policies[0].name: 'a b' is not a name: 1 to 64 letters, digits, '-', "
		"'_', '.', the first a "
		"letter or digit\n"},
	{FILE_OF("    - {name: .a}\n", "", "", ""),
		"3: ipsec.ike-policies[0].name: '.a' is not a name: 1 to 64 letters, digits, '-', "
		"'_', '.', the first a "
		"letter or digit\n"},
	{IN_CHILD("rekey-bytes: 5Q"), "5: ipsec.child-policies[0].rekey-bytes: '5Q' is not a size: "
				      "a number, or with k, M, G or T\n"},
	{IN_CHILD("life-bytes: 99999999999T"),
		"5: ipsec.child-policies[0].life-bytes: '99999999999T' is not a size: a number, or "
		"with k, M, G or T\n"},
	{IN_CHILD("life-bytes: 1000T"),
		"5: ipsec.child-policies[0].life-bytes: 1000T is too much: less than 1000T\n"},
	{IN_CHILD("rekey-packets: 1000000000000000"),
		"5: ipsec.child-policies[0].rekey-packets: 1000000000000000 is too much: less than "
		"1000T\n"},
	{IN_CHILD("mark-in: blue"), "5: ipsec.child-policies[0].mark-in: 'blue' is not a mark (5, "
				    "0x10/0xff or %unique)\n"},
	{IN_CHILD("mark-out: 0x10/"), "5: ipsec.child-policies[0].mark-out: '0x10/' is not a mark "
				      "(5, 0x10/0xff or %unique)\n"},
	{IN_CHILD("replay-window: 131073"), "5: ipsec.child-policies[0].replay-window: value "
					    "131073 is out of range (0..131072)\n"},
	{IN_GATEWAY("ike-policy: p1, remote-address: 192.0.2.300"),
		"7: ipsec.gateways[0].remote-address: '192.0.2.300' is not an address\n"},
	{IN_GATEWAY("ike-policy: p1, remote-address: ''"),
		"7: ipsec.gateways[0].remote-address: '' is not an address\n"},
	{IN_GATEWAY("ike-policy: p1, remote-address: [192.0.2.2, 10.0.0.0/33]"),
		"7: ipsec.gateways[0].remote-address[1]: '10.0.0.0/33' is not a prefix\n"},
	{IN_GATEWAY("ike-policy: p1, remote-address: [192.0.2.2, 10.0.0.1-b]"),
		"7: ipsec.gateways[0].remote-address[1]: '10.0.0.1-b' is not a range of "
		"addresses\n"},
	{IN_GATEWAY("ike-policy: p1, remote-address: 'a b'"),
		"7: ipsec.gateways[0].remote-address: 'a b' is neither an address nor a host's "
		"name\n"},
};

static const struct refusal references[] = {
	{FILE_OF(POLICY POLICY, CHILD, GATEWAY, TUNNEL),
		"4: ipsec.ike-policies[1].name: 'p1' is the name of ipsec.ike-policies[0] "
		"already\n"},
	{FILE_OF(POLICY, CHILD CHILD, GATEWAY, TUNNEL),
		"6: ipsec.child-policies[1].name: 'c1' is the name of ipsec.child-policies[0] "
		"already\n"},
	{FILE_OF(POLICY, CHILD, GATEWAY GATEWAY, TUNNEL),
		"8: ipsec.gateways[1].name: 'g1' is the name of ipsec.gateways[0] already\n"},
	{FILE_OF(POLICY, CHILD, GATEWAY,
		 TUNNEL "    - {name: t1, " LINKS ", remote-ts: 10.3.0.0/16}\n"),
		"10: ipsec.tunnels[1].name: 't1' is the name of ipsec.tunnels[0] already\n"},
	{IN_GATEWAY("ike-policy: p2, " ENDS),
		"7: ipsec.gateways[0].ike-policy: ike-policies has no 'p2': did you mean 'p1'?\n"},
	{IN_GATEWAY("ike-policy: headquarters, " ENDS),
		"7: ipsec.gateways[0].ike-policy: ike-policies has no 'headquarters'\n"},
	{IN_GATEWAY("ike-policy: p1, pools: [x], " ENDS),
		"7: ipsec.gateways[0].pools[0]: pools has no 'x'\n"},
	{IN_TUNNEL("gateway: g2, child-policy: c1"),
		"9: ipsec.tunnels[0].gateway: gateways has no 'g2': did you mean 'g1'?\n"},
	{IN_TUNNEL("gateway: g1, child-policy: c2"),
		"9: ipsec.tunnels[0].child-policy: child-policies has no 'c2': did you mean "
		"'c1'?\n"},
	{IN_GATEWAY("ike-policy: p1"), "7: ipsec.gateways[0].remote-address: is missing: the peer "
				       "that is to be called (connection-type: "
				       "responder needs none)\n"},
	{IN_GATEWAY("ike-policy: p1, remote-address: [any, 10.0.0.0/8]"),
		"7: ipsec.gateways[0].remote-address: is no single address: the peer that is to be "
		"called "
		"(connection-type: responder needs none)\n"},
	{FILE_OF(POLICY, CHILD, G("ike-policy: p1, connection-type: responder"),
		 T(LINKS ", start-action: trap")),
		"9: ipsec.tunnels[0].start-action: is trap, and gateway 'g1' only answers\n"},
	{FILE_OF(P("dpd-delay: 0, " AUTH), C("dpd-action: restart"), GATEWAY, TUNNEL),
		"3: ipsec.ike-policies[0].dpd-delay: is 0, so nobody is ever found dead, and child "
		"policy 'c1' has "
		"dpd-action: restart\n"},
	{IN_POLICY("nat-traversal: false"),
		"3: ipsec.ike-policies[0].nat-traversal: is false, and mobike, which moves to "
		"port 4500, is not\n"},
};

#define IN_PROPOSAL(text) IN_POLICY("proposals: [" text "]")
#define CHILD_PROPOSAL(text) IN_CHILD("proposals: [" text "]")
#define LACKS                                                                                   \
	"; it has AES (GCM, CCM, CBC, CTR, GMAC), ChaCha20-Poly1305, and HMAC-SHA1 and -SHA2, " \
	"XCBC and "                                                                             \
	"CMAC\n"
#define FIRST_IKE "3: ipsec.ike-policies[0].proposals[0]"
#define FIRST_CHILD "5: ipsec.child-policies[0].proposals[0]"

static const struct refusal algorithms[] = {
	{IN_PROPOSAL("{encryption: aes256-gmc, prf: sha384, dh-group: ecp384}"), FIRST_IKE
		".encryption: unknown algorithm 'aes256-gmc': did you mean 'aes256gcm'?\n"},
	{IN_PROPOSAL("{encryption: aes256, integrity: sha265, dh-group: ecp384}"),
		FIRST_IKE ".integrity: unknown algorithm 'sha265': did you mean 'sha256'?\n"},
	{IN_PROPOSAL("{encryption: aes256-gcm, prf: sha385, dh-group: ecp384}"),
		FIRST_IKE ".prf: unknown algorithm 'sha385': did you mean 'sha384'?\n"},
	{IN_PROPOSAL("{encryption: aes256-gcm, prf: sha384, dh-group: ecp383}"),
		FIRST_IKE ".dh-group: unknown algorithm 'ecp383': did you mean 'ecp384'?\n"},
	{IN_PROPOSAL("{encryption: aes256-gcm, prf: sha384, dh-group: [ecp384, 99]}"),
		FIRST_IKE ".dh-group[1]: unknown algorithm '99'\n"},
	{IN_PROPOSAL("{encryption: rot13, prf: sha384, dh-group: 19}"),
		FIRST_IKE ".encryption: unknown algorithm 'rot13'\n"},
	{IN_PROPOSAL("{prf: sha384, dh-group: 19}"), FIRST_IKE ".encryption: is missing\n"},
	{IN_PROPOSAL("{encryption: aes256-gcm, dh-group: 19}"), FIRST_IKE
		".prf: is missing: such encryption has no integrity algorithm to take it from\n"},
	{IN_PROPOSAL("{encryption: aes256, dh-group: 19}"),
		FIRST_IKE ".integrity: is missing: encryption without integrity is refused\n"},
	{IN_PROPOSAL("{encryption: aes256-gcm, prf: sha384}"),
		FIRST_IKE ".dh-group: is missing: IKE needs a key exchange\n"},
	{IN_PROPOSAL("{encryption: [aes256-gcm, aes256], integrity: sha256, dh-group: 19}"),
		FIRST_IKE ".encryption: those with integrity of their own and those without need a "
			  "proposal each\n"},
	{IN_PROPOSAL("{encryption: aes256-gcm, integrity: sha256, dh-group: 19}"),
		FIRST_IKE ".integrity: the encryption protects integrity itself: none is all that "
			  "may stand here\n"},
	{IN_PROPOSAL("{encryption: aes256-gcm, prf: sha384, dh-group: 19, ke2: mlkem768}"),
		FIRST_IKE ".ke2: there is none before it (dh-group, ke1, ke2 …)\n"},
	{IN_PROPOSAL("{encryption: aes256-gcm, prf: sha384, dh-group: 19, esn: true}"),
		FIRST_IKE ".esn: unknown key\n"},
	{IN_PROPOSAL("[aes256]"), FIRST_IKE ": expected one value, got a list\n"},
	{IN_PROPOSAL("aes256gcm16-prfsha384-ecp383"),
		FIRST_IKE ": unknown algorithm 'ecp383': did you mean 'ecp384'?\n"},
	{IN_PROPOSAL("aes256gcm16-ecp384"), FIRST_IKE
		": prf: is missing: such encryption has no integrity algorithm to take it from\n"},
	{IN_PROPOSAL("aes256-sha265-ecp384"),
		FIRST_IKE ": unknown algorithm 'sha265': did you mean 'sha256'?\n"},
	{CHILD_PROPOSAL("{encryption: camellia256, integrity: sha256}"),
		FIRST_CHILD ".encryption: the data plane does not have 'camellia256'" LACKS},
	{CHILD_PROPOSAL("{encryption: aes128, integrity: md5}"),
		FIRST_CHILD ".integrity: the data plane does not have 'md5'" LACKS},
	{CHILD_PROPOSAL("3des-sha1"), FIRST_CHILD ": the data plane does not have '3des'" LACKS},
	{CHILD_PROPOSAL("{encryption: aes128}"),
		FIRST_CHILD ".integrity: is missing: encryption without integrity is refused\n"},
	{CHILD_PROPOSAL("{encryption: aes128-gcm, esn: perhaps}"),
		FIRST_CHILD ".esn: 'perhaps' is not one of: no, yes, both, false, true\n"},
	{IN_CHILD("protocol: ah, proposals: [aes128-sha256]"),
		FIRST_CHILD ": encryption: AH encrypts nothing\n"},
	{IN_CHILD("protocol: ah, proposals: [{dh-group: 19}]"),
		FIRST_CHILD ".integrity: is missing: AH without integrity is refused\n"},
	{IN_CHILD("proposals: [aes128gcm16-esn], replay-window: 0"),
		"5: ipsec.child-policies[0].replay-window: is 0, and extended sequence numbers "
		"need one: their high half "
		"is guessed by it (RFC 4303, A2)\n"},
	{IN_CHILD("mode: bypass, proposals: [aes128gcm16]"),
		"5: ipsec.child-policies[0].proposals: mode bypass needs none\n"},
	{IN_CHILD("mode: discard, start-action: none"),
		"5: ipsec.child-policies[0].start-action: is none, and mode discard is there as "
		"soon as it is loaded: trap, or nothing\n"},
	{FILE_OF(POLICY, C("mode: bypass"), GATEWAY, T(LINKS ", start-action: start")),
		"9: ipsec.tunnels[0].start-action: is start, and mode bypass is there as soon as "
		"it is loaded: trap, or nothing\n"},
	{IN_CHILD("rekey-time: 2h, life-time: 1h"),
		"5: ipsec.child-policies[0].rekey-time: 7200 is not below life-time (3600)\n"},
	{IN_CHILD("rekey-bytes: 1G, life-bytes: 1G"),
		"5: ipsec.child-policies[0].rekey-bytes: 1000000000 is not below life-bytes "
		"(1000000000)\n"},
	{IN_CHILD("rekey-packets: 9, life-packets: 8"),
		"5: ipsec.child-policies[0].rekey-packets: 9 is not below life-packets (8)\n"},
	{IN_CHILD("rand-time: 2h"),
		"5: ipsec.child-policies[0].rand-time: 7200 is not below rekey-time (3600)\n"},
	{IN_CHILD("life-time: 100, rand-time: 90"),
		"5: ipsec.child-policies[0].rand-time: 90 is not below rekey-time (90)\n"},
	{IN_CHILD("rekey-bytes: 1G, rand-bytes: 2G"),
		"5: ipsec.child-policies[0].rand-bytes: 2000000000 is not below rekey-bytes "
		"(1000000000)\n"},
	{IN_CHILD("rand-packets: 5"),
		"5: ipsec.child-policies[0].rand-packets: 5 is not below rekey-packets (0)\n"},
	{IN_POLICY("rand-time: 4h"),
		"3: ipsec.ike-policies[0].rand-time: 14400 is not below rekey-time (14400)\n"},
	{IN_POLICY("reauth-time: 1h, rand-time: 2h"),
		"3: ipsec.ike-policies[0].rand-time: 7200 is not below reauth-time (3600)\n"},
	{IN_CHILD("tfc-padding: much"), "5: ipsec.child-policies[0].tfc-padding: 'much' is neither "
					"mtu nor a number up to 65535\n"},
};

#define TS "5: ipsec.child-policies[0].local-ts: "
#define IN_TS(text) IN_CHILD("local-ts: " text)
#define SECOND(more) \
	FILE_OF(POLICY, CHILD, GATEWAY, TUNNEL "    - {name: t2, " LINKS ", " more "}\n")
#define OVERLAPS(second, first)                             \
	"10: ipsec.tunnels[1]: its selectors (" second      \
	") overlap those of ipsec.tunnels[0], 't1' (" first \
	"): a packet would fit both; if that is meant, give one a priority, a mark or an if-id\n"

static const struct refusal selectors[] = {
	{IN_TS("x"),
		TS "'x' is not a prefix (10.1.0.0/16), a range (10.1.0.1-10.1.0.9) or dynamic\n"},
	{IN_TS("10.1.0.0/33"), TS "'10.1.0.0/33' is not a prefix (10.1.0.0/16), a range "
				  "(10.1.0.1-10.1.0.9) or dynamic\n"},
	{IN_TS("10.1.0.1/16"), TS "'10.1.0.1/16' has bits set after its length\n"},
	{IN_TS("10.1.0.9-10.1.0.1"),
		TS "'10.1.0.9-10.1.0.1' is a range from a larger address to a smaller one\n"},
	{IN_TS("'10.1.0.0/16[tcp/80'"),
		TS "'10.1.0.0/16[tcp/80' is not of the form prefix[protocol/port]\n"},
	{IN_TS("'10.1.0.0/16[tpc/80]'"),
		TS "'tpc' is neither any, a known protocol nor a number up to 255\n"},
	{IN_TS("'10.1.0.0/16[tcp/80000]'"),
		TS "'80000' is not a port, a range (1024-65535), any or opaque\n"},
	{IN_TS("'10.1.0.0/16[any/80]'"), TS "a port needs a protocol: tcp/80\n"},
	{IN_TS("{prefix: 10.1.0.0/16, protocol: tcp, port: no-such-port}"),
		TS "'no-such-port' is not a port, a range (1024-65535), any or opaque\n"},
	{IN_TS("{protocol: tcp}"), "5: ipsec.child-policies[0].local-ts.prefix: is missing\n"},
	{SECOND("enable: true"),
		OVERLAPS("10.1.0.0/16 === 10.2.0.0/16", "10.1.0.0/16 === 10.2.0.0/16")},
	{SECOND("remote-ts: 10.2.128.0/17"),
		OVERLAPS("10.1.0.0/16 === 10.2.128.0/17", "10.1.0.0/16 === 10.2.0.0/16")},
	{SECOND("local-ts: [10.3.0.0/16, 10.1.2.0/24], remote-ts: 0.0.0.0/0"),
		OVERLAPS("10.1.2.0/24 === 0.0.0.0/0", "10.1.0.0/16 === 10.2.0.0/16")},
	{SECOND("remote-ts: '10.2.0.0/16[tcp/80]'"),
		OVERLAPS("10.1.0.0/16 === 10.2.0.0/16[6/80]", "10.1.0.0/16 === 10.2.0.0/16")},
};

static const struct refusal auths[] = {
	{IN_AUTH("pre-shared-key: short"),
		"3: ipsec.ike-policies[0].authentication.pre-shared-key: has 5 characters, and at "
		"least 20 are needed: "
		"short ones are guessed (openssl rand -base64 24 makes a good one; "
		"allow-short-key: true, if the peer "
		"cannot do better)\n"},
	{IN_AUTH("pre-shared-key: 0x00112233445566778899aabbccddee"),
		"3: ipsec.ike-policies[0].authentication.pre-shared-key: has 15 bytes, and at "
		"least 16 are needed: short "
		"ones are guessed (openssl rand -base64 24 makes a good one; allow-short-key: "
		"true, if the peer cannot do "
		"better)\n"},
	{IN_AUTH("pre-shared-key: 0xyz"),
		"3: ipsec.ike-policies[0].authentication.pre-shared-key: is empty, or not what "
		"0x (hexadecimal digits) or 0s (Base64) announce\n"},
	{IN_AUTH("pre-shared-key: '0s*'"),
		"3: ipsec.ike-policies[0].authentication.pre-shared-key: is empty, or not what "
		"0x (hexadecimal digits) or 0s (Base64) announce\n"},
	{IN_AUTH("pre-shared-key: " PSK ", pre-shared-key-file: good"),
		"3: ipsec.ike-policies[0].authentication.pre-shared-key-file: pre-shared-key is "
		"given as well: one of "
		"them\n"},
	{IN_AUTH("pre-shared-key-file: absent"),
		"3: ipsec.ike-policies[0].authentication.pre-shared-key-file: DIR/absent cannot be "
		"read: No such file or "
		"directory\n"},
	{IN_AUTH("pre-shared-key-file: ."),
		"3: ipsec.ike-policies[0].authentication.pre-shared-key-file: DIR/. is not a "
		"file of at most 65536 bytes\n"},
	{IN_AUTH("pre-shared-key-file: open"),
		"3: ipsec.ike-policies[0].authentication.pre-shared-key-file: DIR/open is a "
		"secret, and its mode 0644 "
		"opens it to others: chmod 600 DIR/open\n"},
	{IN_AUTH("local-id: a"), "7: ipsec.gateways[0].authentication.pre-shared-key: is missing, "
				 "here and in ike policy 'p1' (or "
				 "pre-shared-key-file; or method: certificate)\n"},
	{IN_AUTH("method: certificate, remote-id: b"),
		"7: ipsec.gateways[0].authentication.certificate: is missing, here and in ike "
		"policy 'p1'\n"
		"7: ipsec.gateways[0].authentication.private-key: is missing, here and in ike "
		"policy 'p1'\n"},
	{IN_AUTH("pre-shared-key: " PSK ", remote-method: certificate"),
		"7: ipsec.gateways[0].authentication.remote-id: is missing: anybody with a "
		"certificate of a trusted "
		"authority could be the peer (\"%any\", if that is meant)\n"},
	{IN_AUTH("pre-shared-key: " PSK ", ppk-id: x"),
		"7: ipsec.gateways[0].authentication.ppk: is missing: ppk-id names it\n"},
	{IN_AUTH("method: password"),
		"3: ipsec.ike-policies[0].authentication.method: 'password' is not one of: "
		"pre-shared-key, certificate, eap-tls\n"
		"7: ipsec.gateways[0].authentication.pre-shared-key: is missing, here and in ike "
		"policy 'p1' (or pre-shared-key-file; or method: certificate)\n"},
	{IN_AUTH("pre-shared-key: " PSK ", certificate: good"),
		"3: ipsec.ike-policies[0].authentication.certificate: good is not a certificate "
		"(PEM or DER)\n"},
	{IN_AUTH("pre-shared-key: " PSK ", private-key: good"),
		"3: ipsec.ike-policies[0].authentication.private-key: good is not a private key "
		"(PEM or DER)\n"},
	{IN_AUTH("pre-shared-key: " PSK ", private-key: locked"),
		"3: ipsec.ike-policies[0].authentication.private-key: locked has a passphrase: "
		"private-key-passphrase or private-key-passphrase-file says it\n"},
	{IN_AUTH("pre-shared-key: " PSK ", private-key: locked, private-key-passphrase: wrong"),
		"3: ipsec.ike-policies[0].authentication.private-key: locked does not open with "
		"its passphrase\n"},
	{IN_AUTH("pre-shared-key: " PSK ", private-key-passphrase: a, "
		 "private-key-passphrase-file: good"),
		"3: ipsec.ike-policies[0].authentication.private-key-passphrase-file: "
		"private-key-passphrase is given as well: one of them\n"},
	{"ipsec:\n  authorities:\n    - {name: a, certificate: good}\n",
		"3: ipsec.authorities[0].certificate: good is not a certificate (PEM or DER)\n"},
};

/* Of two gateways with a key each; the second is on line 8. */
#define KEYS(first, second)                                                          \
	FILE_OF("    - {name: p1, authentication: {local-id: a}}\n", CHILD,          \
		"    - {name: g1, ike-policy: p1, " first "}\n"                      \
		"    - {name: g2, ike-policy: p1, " second "}\n",                    \
		TUNNEL "    - {name: t2, gateway: g2, child-policy: c1, remote-ts: " \
		       "10.9.0.0/16}\n")
#define KEY "pre-shared-key: " PSK
#define OTHER KEY "-4"
#define NAMED(name, key) "remote-address: " name ", authentication: {" key "}"

static const struct refusal keys[] = {
	{KEYS(NAMED("gw1.example.org", KEY), NAMED("gw2.example.org", OTHER)),
		"8: ipsec.gateways[1].authentication.remote-id: is missing: its key cannot be told "
		"from that of gateway 'g1'\n"},
	{KEYS("connection-type: responder, authentication: {" KEY "}",
		 "connection-type: responder, authentication: {" OTHER "}"),
		"8: ipsec.gateways[1].authentication.remote-id: is missing: its key cannot be told "
		"from that of gateway 'g1'\n"},
	{KEYS(NAMED("192.0.2.1", KEY ", remote-id: b"), NAMED("192.0.2.2", OTHER ", remote-id: b")),
		"8: ipsec.gateways[1].authentication.remote-id: is not its alone: its key cannot "
		"be "
		"told from that of gateway 'g1'\n"},
};

#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X256 X64 X64 X64 X64

/* What charon would cut. */
static const struct refusal lengths[] = {
	{IN_AUTH(KEY ", remote-method: certificate, remote-id: b, signature: " X64),
		"7: ipsec.gateways[0].authentication.signature: is longer than 63 bytes\n"},
	{IN_AUTH(KEY ", remote-method: eap-tls, remote-id: b, signature: xxxxxxxx" X64),
		"7: ipsec.gateways[0].authentication.signature: is longer than 55 bytes\n"},
	{IN_AUTH(KEY ", ppk: " PSK ", ppk-id: " X256),
		"7: ipsec.gateways[0].authentication.ppk-id: is longer than 255 bytes\n"},
	{IN_AUTH(KEY ", remote-id: " X256),
		"7: ipsec.gateways[0].authentication.remote-id: is longer than 255 bytes\n"},
	{IN_AUTH(KEY ", remote-id: '%any', local-id: " X256),
		"7: ipsec.gateways[0].authentication.local-id: is longer than 255 bytes\n"},
};

/* Of nothing, and encrypted with a passphrase that nobody needs. */
static const char locked_key[] =
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
	"MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjtJ65l6HxMGQICCAAw\n"
	"DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEECimFwS/jBnehnvtRLiOdrUEQI3s\n"
	"quXyrNwn2H3zG8fJPt7cKI1DLjleIS7yPc9sGYL6hVDWRGx2idVSYYL3R+TTFUGM\n"
	"ObKvsKrLHlWThmn9aGQ=\n"
	"-----END ENCRYPTED PRIVATE KEY-----\n";

static void
expect(const struct refusal *r)
{
	char *said = NULL, *want = NULL;
	size_t size, want_size;
	FILE *out, *w;
	struct ike_file *f;
	int ret;

	ike_test_write("good", "a file with twenty characters at least", 0600);
	ike_test_write("open", "a file with twenty characters at least", 0644);
	ike_test_write("locked", locked_key, 0600);
	f = ike_test_load(r->text, &ret);
	ck_assert_int_lt(ret, 0);
	out = open_memstream(&said, &size);
	ike_file_print_errors(f, out);
	fclose(out);
	/* Each line begins with the file's name; DIR is where it lies. */
	w = open_memstream(&want, &want_size);
	for (const char *s = r->errors; *s != '\0';) {
		fprintf(w, "%s:", f->t.path);
		while (*s != '\n') {
			if (strncmp(s, "DIR/", 4) == 0) {
				fprintf(w, "%s", ike_dir);
				s += 3;
			} else {
				fputc(*s++, w);
			}
		}
		fputc(*s++, w);
	}
	fclose(w);
	ck_assert_str_eq(said, want);
	free(said);
	free(want);
	ike_file_free(f);
}

#define LOOP(name)                 \
	START_TEST(name##_test)    \
	{                          \
		expect(&name[_i]); \
	}                          \
	END_TEST

LOOP(shapes)
LOOP(references)
LOOP(algorithms)
LOOP(selectors)
LOOP(auths)
LOOP(keys)
LOOP(lengths)

START_TEST(keys_that_can_be_told_apart)
{
	static const char *const good[] = {
		KEYS(NAMED("gw1.example.org", KEY), NAMED("gw2.example.org", KEY)),
		KEYS(NAMED("192.0.2.1", KEY), NAMED("192.0.2.2", OTHER)),
		KEYS(NAMED("gw1.example.org", KEY ", remote-id: b"),
			NAMED("gw2.example.org", OTHER ", remote-id: c")),
		KEYS(NAMED("gw1.example.org", KEY),
			NAMED("gw2.example.org", OTHER ", local-id: b")),
	};

	for (unsigned int i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int ret;
		struct ike_file *f = ike_test_load(good[i], &ret);

		ck_assert_msg(ret == 0, "%u: %s", i, f->n_errors > 0 ? f->errors[0].text : "");
		ike_file_free(f);
	}
}
END_TEST

START_TEST(refuses_file_that_others_read)
{
	char want[1024], *said = NULL, path[256];
	struct ike_file *f;
	size_t size;
	FILE *out;

	ike_test_write("ike.yaml", FILE_OF(POLICY, CHILD, GATEWAY, TUNNEL), 0644);
	snprintf(path, sizeof(path), "%s/ike.yaml", ike_dir);
	ck_assert_int_lt(ike_file_load(path, false, &f), 0);
	out = open_memstream(&said, &size);
	ike_file_print_errors(f, out);
	fclose(out);
	snprintf(want, sizeof(want),
		"%s:1: holds secrets, and its mode 0644 opens it to others: chmod 600 %s\n", path,
		path);
	ck_assert_str_eq(said, want);
	free(said);
	ike_file_free(f);
	/* Unless told otherwise. */
	ck_assert_int_eq(ike_file_load(path, true, &f), 0);
	ike_file_free(f);
}
END_TEST

START_TEST(tells_all_errors_by_line)
{
	static const struct refusal all = {
		FILE_OF(P("mobike: 2, " AUTH), C("mode: best"), G("ike-policy: p2, " ENDS),
			T(LINKS ", enable: 3")),
		"3: ipsec.ike-policies[0].mobike: '2' is neither true nor false\n"
		"5: ipsec.child-policies[0].mode: 'best' is not one of: tunnel, transport, bypass, "
		"discard\n"
		"7: ipsec.gateways[0].ike-policy: ike-policies has no 'p2': did you mean 'p1'?\n"
		"9: ipsec.tunnels[0].enable: '3' is neither true nor false\n"};

	expect(&all);
}
END_TEST

#define ADD(tc, name) tcase_add_loop_test(tc, name##_test, 0, sizeof(name) / sizeof(name[0]))

TCase *
ike_errors_case(void)
{
	TCase *tc = tcase_create("errors");

	tcase_add_checked_fixture(tc, ike_test_setup, ike_test_teardown);
	ADD(tc, shapes);
	ADD(tc, references);
	ADD(tc, algorithms);
	ADD(tc, selectors);
	ADD(tc, auths);
	ADD(tc, keys);
	ADD(tc, lengths);
	tcase_add_test(tc, keys_that_can_be_told_apart);
	tcase_add_test(tc, refuses_file_that_others_read);
	tcase_add_test(tc, tells_all_errors_by_line);
	return tc;
}
