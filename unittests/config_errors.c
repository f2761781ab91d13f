/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_test.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every file that is refused, with the whole line that says why. */

struct refusal {
	const char *text, *line; /* of stderr, after the file's name */
};

static void
expect_refusal(const struct refusal *r)
{
	char want[1024];

	config_test_write(config_file, r->text, strlen(r->text), 0600);
	snprintf(want, sizeof(want), "%s:%s\n", config_file, r->line);
	ck_assert_msg(config_test_load(config_file) == NULL, "accepted, not refused: %s\n%s",
		r->line, r->text);
	ck_assert_str_eq(config_said, want);
}

static const struct refusal shapes[] = {
	{"", "1: the file is empty"},
	{"# nothing\n", "1: the file is empty"},
	{"- a\n", "1: the file shall hold \"key: value\" lines"},
	{"name: a\n b: : c\n", "2: not YAML: mapping values are not allowed in this context"},
	{"name: [a\n", "2: not YAML: did not find expected ',' or ']'"},
	{HEAD "eal:\n\tmemory: 256\n", "5: not YAML: a tab; lines are indented with spaces"},
	{HEAD "nmae: x\n", "4: nmae: unknown key: did you mean 'name'?"},
	{HEAD "ipsecs: {}\n", "4: ipsecs: unknown key: did you mean 'ipsec'?"},
	{HEAD "ipsec:\n  orphan_grace: 5\n",
		"5: ipsec.orphan_grace: unknown key: did you mean 'orphan-grace'?"},
	{"name: a\n" LCORES
	 "ports:\n  - {name: w, devargs: net_null0}\n  - name: x\n    devargs: net_null1\n"
	 "    adresses: []\n",
		"7: ports[1].adresses: unknown key: did you mean 'addresses'?"},
	{"name: a\n" LCORES "ports:\n  - name: w\n    devarg: net_null0\n",
		"5: ports[0].devarg: unknown key: did you mean 'devargs'?"},
	{HEAD "eal:\n  memory: 256\n  huge: 1\n", "6: eal.huge: unknown key"},
	{HEAD "eal:\n  memory: lots\n", "5: eal.memory: 'lots' is not a number"},
	{HEAD "eal:\n  memory: 256M\n", "5: eal.memory: '256M' is not a number"},
	{HEAD "eal:\n  memory: -1\n", "5: eal.memory: '-1' is not a number"},
	{HEAD "eal:\n  memory: 99999999999999999999999\n",
		"5: eal.memory: '99999999999999999999999' is not a number"},
	{HEAD "eal:\n  memory:\n", "5: eal.memory: '' is not a number"},
	{HEAD "eal:\n  memory: 0400\n", "5: eal.memory: '0400' is not a number"},
	{HEAD "eal:\n  memory: 0x\n", "5: eal.memory: '0x' is not a number"},
	{HEAD "eal:\n  memory: abc\n", "5: eal.memory: 'abc' is not a number"},
	{HEAD "eal: 5\n", "4: eal: expected \"key: value\" lines, got one value"},
	{HEAD "crypto:\n  devices: crypto_openssl\n",
		"5: crypto.devices: expected a list, got one value"},
	{HEAD "crypto:\n  devices: [[a]]\n",
		"5: crypto.devices[0]: expected one value, got a list"},
	{LCORES PORTS, "1: name: is missing"},
	{"name: a\n" LCORES "ports:\n  - devargs: net_null0\n    name: x\n  - name: y\n",
		"6: ports[1].devargs: is missing"},
	{HEAD "name: b\n", "4: name: key is given twice"},
	{HEAD "idle: &x poll\nsocket: *x\n", "5: aliases (*name) are not allowed"},
	{HEAD "---\nname: b\n", "4: a second document"},
	{HEAD "idle: fast\n", "4: idle: 'fast' is not one of: back-off, poll"},
	{HEAD "idle: \"a\\nb\"\n", "4: idle: 'a?b' is not one of: back-off, poll"},
	{"name: 'a/b'\n", "1: name: 'a/b' is not a name: 1 to 32 letters, digits, '-', '_', '.'"},
	{HEAD "socket: run.sock\n",
		"4: socket: 'run.sock' is not an absolute path of at most 107 bytes"},
	{HEAD "eal: {options: ['--log-level=8', '--lcores=0']}\n",
		"4: eal.options[1]: '--lcores' is refused: it follows from the other keys, or "
		"charon's agent could not attach"},
	{HEAD "eal: {options: ['-l0-3']}\n", "4: eal.options[0]: '-l' is refused: it follows from "
					     "the other keys, or charon's agent could not attach"},
	{HEAD "eal: {options: ['--no-shconf']}\n",
		"4: eal.options[0]: '--no-shconf' is refused: it follows from the other keys, or "
		"charon's agent could not attach"},
	{HEAD "eal: {options: ['--huge-unlink=always']}\n",
		"4: eal.options[0]: '--huge-unlink' is refused: it follows from the other keys, or "
		"charon's agent could not attach"},
	{HEAD "limits: {mbufs: 5}\n", "4: limits.mbufs: value 5 is out of range (2048..8388608)"},
	{HEAD "ipsec: {keep-keys: true}\n",
		"4: ipsec.keep-keys: 'true' is not one of: false, insecure"},
	{HEAD "ipsec: {static-only: maybe}\n",
		"4: ipsec.static-only: 'maybe' is not one of: false, true, no, yes, off, on"},
	{HEAD "ipsec: {policies-timeout: 0}\n",
		"4: ipsec.policies-timeout: value 0 is out of range (1..86400)"},
	{HEAD "crypto: {devices: [openssl]}\n",
		"4: crypto.devices[0]: 'openssl' is neither 'native' nor a driver name (crypto_…)"},
	{HEAD "crypto: {devices: [crypto_openssl, crypto_openssl]}\n",
		"4: crypto.devices[1]: 'crypto_openssl' is named twice"},
	{HEAD "crypto: {frames: 1}\n", "4: crypto.frames: value 1 is out of range (2..1024)"},
	{HEAD "plugins: [{library: x.so, node: n, edge: a -> b}]\n",
		"4: plugins[0].library: 'x.so' is not an absolute path"},
	{HEAD "plugins: [{library: /x.so, node: n, edge: a - b}]\n",
		"4: plugins[0].edge: 'a - b' is not of the form \"node -> node\""},
	{HEAD "plugins: [{library: /x.so, node: n, edge: a -> b c}]\n",
		"4: plugins[0].edge: 'a -> b c' is not of the form \"node -> node\""},
	{HEAD "plugins: [{library: /x.so, node: n, edge: ' -> b'}]\n",
		"4: plugins[0].edge: ' -> b' is not of the form \"node -> node\""},
};

static const struct refusal lcores_and_ports[] = {
	{"name: a\n" PORTS, "1: lcores: 0 lcores have the role control; one shall"},
	{"name: a\nlcores:\n" LCORE(0, 0, "worker") LCORE(1, 0, "crypto") PORTS,
		"2: lcores: 0 lcores have the role control; one shall"},
	{"name: a\nlcores:\n" LCORE(0, 0, "control") LCORE(1, 0, "control") PORTS,
		"2: lcores: 2 lcores have the role control; one shall"},
	{"name: a\nlcores:\n" LCORE(0, 0, "control") LCORE(1, 0, "crypto") PORTS,
		"2: lcores: no lcore has the role worker"},
	{"name: a\nlcores:\n" LCORE(0, 0, "control") LCORE(1, 0, "worker") PORTS,
		"2: lcores: no lcore has the role crypto (crypto.mode is dedicated; inline needs "
		"none)"},
	{HEAD "crypto: {mode: inline}\n",
		"2: lcores[2].role: crypto.mode is inline: no lcore may have the role crypto"},
	{"name: a\nlcores:\n" LCORE(0, 0, "control") LCORE(1, 0, "worker") LCORE(1, 0, "crypto")
			PORTS,
		"5: lcores[2].lcore: lcore 1 has a role already: lcores[1] (worker)"},
	{"name: a\nlcores:\n" LCORE(0, 1023, "control") PORTS,
		"3: lcores[0].cpu: cpu 1023 does not exist, or is offline"},
	{"name: a\nlcores:\n" LCORE(999, 0, "control") PORTS,
		"3: lcores[0].lcore: value 999 is out of range (0..127)"},
	{"name: a\nlcores:\n" LCORE(0, 0, "boss") PORTS,
		"3: lcores[0].role: 'boss' is not one of: control, worker, crypto"},
	{"name: a\n" LCORES, "1: ports: 0 ports, where 1 to 32 may be"},
	{"name: a\n" LCORES "ports:\n" PORT("wan", "net_null0") PORT("wan", "net_null1"),
		"6: ports[1].name: 'wan' is the name of ports[0] already"},
	{"name: a\n" LCORES "ports:\n" PORT("wan", "net_null0") PORT("lan", "'net_null0,size=9'"),
		"7: ports[1].devargs: device net_null0 is ports[0]'s already"},
	{"name: a\n" LCORES "ports:\n" PORT("wan", "'pci:0000:03:00.0'")
			PORT("lan", "'0000:03:00.0'"),
		"7: ports[1].devargs: device 0000:03:00.0 is ports[0]'s already"},
	{"name: a\n" LCORES "ports:\n" PORT("wan0123456789012", "net_null0"),
		"4: ports[0].name: 'wan0123456789012' cannot be an interface's name (1 to 15 "
		"characters, no blanks, none of /:%\"\\)"},
	{"name: a\n" LCORES "ports:\n" PORT("a/b", "net_null0"),
		"4: ports[0].name: 'a/b' cannot be an interface's name (1 to 15 characters, no "
		"blanks, none of /:%\"\\)"},
	{"name: a\n" LCORES "ports:\n" PORT("'a\"b'", "net_null0"),
		"4: ports[0].name: 'a\"b' cannot be an interface's name (1 to 15 characters, no "
		"blanks, none of /:%\"\\)"},
	{"name: a\n" LCORES "ports:\n" PORT("'a\\b'", "net_null0"),
		"4: ports[0].name: 'a\\b' cannot be an interface's name (1 to 15 characters, no "
		"blanks, none of /:%\"\\)"},
	{"name: a\n" LCORES "ports:\n" PORT("lo", "net_null0"),
		"4: ports[0].name: 'lo' cannot be an interface's name (1 to 15 characters, no "
		"blanks, none of /:%\"\\)"},
	{"name: a\n" LCORES "ports:\n" PORT("eth7", "'net_af_packet0,iface=eth7'"),
		"4: ports[0].name: 'eth7' is the netdev of ports[0]: the port's tap needs a name "
		"of its own"},
	{"name: a\n" LCORES "ports:\n" PORT("x", "'net_af_packet0,iface=eth7'")
			PORT("y", "'net_af_packet1,iface=eth7'"),
		"6: ports[1].netdev: 'eth7' is under ports[0] already"},
	{"name: a\n" LCORES
	 "ports:\n" PORT("x", "'net_af_packet0,iface=eth1,qpairs=1'") "    netdev: eth3\n",
		"6: ports[0].netdev: 'eth3' is not what the device opens: 'eth1'"},
	{"name: a\n" LCORES
	 "ports:\n" PORT("x", "'net_pcap0,rx_iface_in=eth1,tx_iface=eth2'") "    "
									    "netdev: eth3\n",
		"6: ports[0].netdev: 'eth3' is not what the device opens: 'eth1'"},
	{"name: a\n" LCORES "ports:\n" PORT("x", "'net_pcap0,rx_pcap=/a.pcap,tx_iface=eth1'")
			PORT("y", "'net_af_packet0,iface=eth1'"),
		"6: ports[1].netdev: 'eth1' is under ports[0] already"},
	{"name: a\n" LCORES "ports:\n" PORT("x", "'net_af_packet0,iface=eth7,qpairs=4'"),
		"4: ports[0].rx-queues: 1, and qpairs of the devargs is 4: the kernel spreads "
		"packets over all of those, so they must be equal"},
	{"name: a\n" LCORES
	 "ports:\n" PORT("x", "'net_af_packet0,iface=eth7'") "    rx-queues: 2\n",
		"6: ports[0].rx-queues: 2, and qpairs of the devargs is 1: the kernel spreads "
		"packets over all of those, so they must be equal"},
	{"name: a\nlcores:\n" LCORE(0, 0, "control") LCORE(1, 0, "worker") LCORE(2, 0, "worker")
			LCORE(3, 0, "crypto") "ports:\n" PORT("x", "'net_af_packet0,iface=eth7'"),
		"9: ports[0].devargs: each of 2 workers sends by a queue of its own, and qpairs is "
		"1: write qpairs=2 here, and rx-queues: 2"},
	{"name: a\n" LCORES "ports:\n" PORT("x", "'0000:03:00'"),
		"5: ports[0].devargs: '0000:03:00' is neither a PCI address nor a device like "
		"net_af_packet0,iface=eth1"},
	{"name: a\n" LCORES "ports:\n" PORT("x", "net_null0") "    mtu: 70000\n",
		"6: ports[0].mtu: value 70000 is out of range (68..9216)"},
	{"name: a\n" LCORES "ports:\n" PORT("x", "'net_af_packet0,iface=eth1'") "    mtu: 1501\n",
		"6: ports[0].mtu: 1501, and DPDK's net_af_packet takes 1500 at most; net_pcap "
		"takes more"},
	{"name: a\n" LCORES
	 "ports:\n" PORT("x", "net_null0") "    addresses:\n    - 192.0.2.300/24\n",
		"7: ports[0].addresses[0]: '192.0.2.300/24' is not an address with its prefix "
		"length (192.0.2.1/24)"},
	{"name: a\n" LCORES "ports:\n" PORT("x", "net_null0") "    addresses: [192.0.2.3/33]\n",
		"6: ports[0].addresses[0]: '192.0.2.3/33' is not an address with its prefix length "
		"(192.0.2.1/24)"},
	{"name: a\n" LCORES "ports:\n" PORT("x", "net_null0") "    addresses: [224.0.0.1/24]\n",
		"6: ports[0].addresses[0]: '224.0.0.1/24' cannot be a port's address"},
	{"name: a\n" LCORES "ports:\n" PORT("x", "net_null0") "    addresses: [10.0.0.1/24]\n" PORT(
		 "y", "net_null1") "    addresses: [10.0.0.1/8]\n",
		"9: ports[1].addresses[0]: '10.0.0.1/8' is given to x already"},
	{"name: a\n" LCORES "ports:\n" PORT("x", "net_null0") "    workers: [2]\n",
		"6: ports[0].workers[0]: lcore 2 is not a worker"},
	{"name: a\n" LCORES
	 "ports:\n" PORT("x", "net_null0") "    rx-queues: 2\n    workers: [1]\n",
		"7: ports[0].workers: 1 lcores for 2 rx-queues: one for each"},
	{"name: a\n" LCORES "ports:\n" PORT("x", "net_null0") "    default-action: allow\n",
		"6: ports[0].default-action: 'allow' is not one of: discard, bypass"},
#define VLANS(list) "name: a\n" LCORES "ports:\n" PORT("x", "net_null0") "    vlans:\n" list
	{VLANS("    - {name: v}\n"), "7: ports[0].vlans[0].id: is missing"},
	{VLANS("    - {id: 4095}\n"),
		"7: ports[0].vlans[0].id: value 4095 is out of range (1..4094)"},
	{VLANS("    - {id: 5}\n    - {id: 5, name: y}\n"),
		"8: ports[0].vlans[1].id: VLAN 5 is x.5 already"},
	{VLANS("    - {id: 5, name: x}\n"),
		"7: ports[0].vlans[0].name: 'x' is the name of ports[0] already"},
	{VLANS("    - {id: 5, mtu: 1501}\n"),
		"7: ports[0].vlans[0].mtu: value 1501 is out of range (68..1500)"},
	{VLANS("    - {id: 5, addresses: [10.0.0.1/24]}\n    - {id: 6, addresses: [10.0.0.1/8]}\n"),
		"8: ports[0].vlans[1].addresses[0]: '10.0.0.1/8' is given to x.5 already"},
	{VLANS("    - {id: 5, adress: []}\n"),
		"7: ports[0].vlans[0].adress: unknown key: did you mean 'addresses'?"},
	{VLANS("    - {id: 5, devargs: net_null1}\n"), "7: ports[0].vlans[0].devargs: unknown key"},
};

static const struct refusal sas[] = {
	{HEAD "sas: [" SA("s", "out", "4097", "encryption: rot13") "]\n",
		"4: sas[0].encryption: unknown algorithm 'rot13'"},
	{HEAD "sas: [" SA("s", "out", "4097", "encryption: aes512gcm16") "]\n",
		"4: sas[0].encryption: unknown algorithm 'aes512gcm16'"},
	{HEAD "sas: [" SA("s", "out", "4097", "encryption: aes128, integrity: md5") "]\n",
		"4: sas[0].integrity: unknown algorithm 'md5'"},
	{HEAD "sas: [" SA("s", "out", "4097", "encryption: aes128") "]\n",
		"4: sas[0].integrity: aes128 without integrity is refused"},
	{HEAD "sas: [" SA("s", "out", "4097", "encryption: aes128gcm16, integrity: sha1") "]\n",
		"4: sas[0].integrity: aes128gcm16 protects integrity itself: none is all that may "
		"stand here"},
	{HEAD "sas: [" SA("s", "out", "4097", "integrity: sha1") "]\n",
		"4: sas[0].encryption: is missing (null: integrity alone)"},
	{HEAD "sas: [" SA("s", "out", "4097", "protocol: ah") "]\n",
		"4: sas[0].integrity: AH without integrity is refused"},
	{HEAD "sas: [" SA("s", "out", "4097", "encryption: aes128gcm16, key: " KEY20) "]\n",
		"4: sas[0].encryption: aes128gcm16 with a static key repeats its nonces after a "
		"restart: name a state-file, or take a CBC cipher with integrity (or "
		"insecure-test: true, in a laboratory)"},
	{HEAD "sas: [" SA("s", "in", "4097", "state-file: /a, " GCM) "]\n",
		"4: sas[0].state-file: is for the direction out: the peer gives the numbers of "
		"what comes in"},
	{HEAD "sas: [" SA("s", "out", "4097", "state-file: a, " GCM) "]\n",
		"4: sas[0].state-file: 'a' is not an absolute path"},
	{HEAD "sas:\n- " SA("s", "out", "4097", "state-file: /a, " GCM) "\n- " SA(
		 "t", "out", "4098", "state-file: /a, " GCM) "\n",
		"6: sas[1].state-file: is that of sas[0] ('s') too"},
	{HEAD "sas:\n- " SA("s", "out", "4097",
		 "state-file: /a, encryption: aes128gcm16, key: " KEY20) "\n- " SA("t", "in",
		 "4098", "encryption: aes128gcm16, key: " KEY20) "\n",
		"6: sas[1].key: is that of sas[0] ('s') too"},
	{HEAD SA_GCM("key: " KEY16), "4: sas[0].key: has 32 hexadecimal digits, and aes128gcm16 "
				     "wants 40 (20 bytes, salt included)"},
	{HEAD SA_GCM("key: " KEY20 "zz"), "4: sas[0].key: is not hexadecimal digits (40 for "
					  "aes128gcm16) on the line of its key"},
	{HEAD SA_GCM("key: 0011"), "4: sas[0].key: is not hexadecimal digits (40 for aes128gcm16) "
				   "on the line of its key"},
	{HEAD SA_GCM("key: k00000000kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"),
		"4: sas[0].key: is not hexadecimal digits (40 for aes128gcm16) on the line of its "
		"key"},
	{HEAD SA_GCM("esn: false"), "4: sas[0].key: is missing: aes128gcm16 wants 20 bytes"},
	{HEAD SA_GCM("key: " KEY20 ", integrity-key: " KEY20),
		"4: sas[0].integrity-key: none takes no key"},
	{HEAD SA_GCM("key: " KEY20 ", esn: true, replay-window: 0"),
		"4: sas[0].esn: needs a replay window: the high half of the number is guessed by "
		"it (RFC 4303, A2)"},
	{HEAD SA_GCM("key: " KEY20 ", replay-window: 131073"),
		"4: sas[0].replay-window: value 131073 is out of range (0..131072)"},
	{HEAD SA_GCM("key: " KEY20 ", lifetime: {time-soft: 9, time-hard: 5}"),
		"4: sas[0].lifetime.time-soft: value 9 is above the hard one (5)"},
	{HEAD SA_GCM("key: " KEY20 ", df: maybe"),
		"4: sas[0].df: 'maybe' is not one of: copy, set, clear"},
	{HEAD SA_GCM("key: " KEY20 ", dscp: 64"),
		"4: sas[0].dscp: value 64 is out of range (0..63)"},
	{HEAD SA_GCM("key: " KEY20 ", dscp: -1"), "4: sas[0].dscp: '-1' is not a number"},
	{HEAD SA_GCM("key: " KEY20 ", ecn: perhaps"),
		"4: sas[0].ecn: 'perhaps' is not one of: false, true, no, yes, off, on"},
	{HEAD SA_GCM("key: " KEY20 ", flow-label: 0x100000"),
		"4: sas[0].flow-label: value 0x100000 is out of range (0..1048575)"},
	{HEAD SA_GCM("key: " KEY20 ", ttl: 0"), "4: sas[0].ttl: value 0 is out of range (1..255)"},
	{HEAD SA_GCM("key: " KEY20 ", ttl: 256"),
		"4: sas[0].ttl: value 256 is out of range (1..255)"},
	{HEAD "sas: [" SA("s", "in", "4097", GCM ", df: copy") "]\n",
		"4: sas[0].df: is for outbound SAs alone"},
	{HEAD "sas: [" SA("s", "in", "4097", GCM ", flow-label: 1") "]\n",
		"4: sas[0].flow-label: is for outbound SAs alone"},
	{HEAD "sas: [" SA("s", "in", "4097", GCM ", ttl: 9") "]\n",
		"4: sas[0].ttl: is for outbound SAs alone"},
	{HEAD "sas: [" SA("s", "in", "4097", GCM ", dscp: 9") "]\n",
		"4: sas[0].dscp: of an inbound SA can only be 'copy'"},
	{HEAD SA_GCM("key: " KEY20 ", encapsulation: {source-port: 65536}"),
		"4: sas[0].encapsulation.source-port: value 65536 is out of range (1..65535)"},
	{HEAD "sas: [" SA("s", "out", "255", GCM) "]\n",
		"4: sas[0].spi: value 255 is out of range (256..4294967295)"},
	{HEAD "sas:\n- " SA("a", "in", "0x1001", GCM) "\n- " SA("b", "in", "4097", GCM) "\n",
		"6: sas[1].spi: is that of sas[0] ('a') too"},
	{HEAD "sas:\n- " SA("a", "in", "4097", GCM) "\n- " SA("a", "in", "4098", GCM) "\n",
		"6: sas[1].name: is that of sas[0] ('a') too"},
	{HEAD "limits: {sas: 16}\nsas:\n- {name: x}\n", "6: sas[0].direction: is missing"},
};

static const struct refusal policies[] = {
	{HEAD "policies: [{direction: up, action: bypass, " SEL "}]\n",
		"4: policies[0].direction: 'up' is not one of: in, out, fwd"},
	{HEAD "policies: [{direction: in, action: allow, " SEL "}]\n",
		"4: policies[0].action: 'allow' is not one of: protect, bypass, discard"},
	{HEAD "policies: [{direction: in, action: bypass, source: 10.1.0.0/16, destination: x}]\n",
		"4: policies[0].destination: 'x' is neither a prefix (10.1.0.0/16) nor a range "
		"(10.1.0.5-10.1.0.20)"},
	{HEAD "policies: [{direction: in, action: bypass, source: 10.1.0.9-10.1.0.8, destination: "
	      "10.2.0.0/16}]\n",
		"4: policies[0].source: '10.1.0.9-10.1.0.8' does not end after it begins, in one "
		"family"},
	{HEAD "policies: [{direction: in, action: bypass, source: '10.1.0.9-2001:db8::1', "
	      "destination: 10.2.0.0/16}]\n",
		"4: policies[0].source: '10.1.0.9-2001:db8::1' does not end after it begins, in "
		"one family"},
	{HEAD "policies: [{direction: in, action: bypass, source: 10.1.0.9-10, destination: "
	      "10.2.0.0/16}]\n",
		"4: policies[0].source: '10.1.0.9-10' is not a range of addresses "
		"(10.1.0.5-10.1.0.20)"},
	{HEAD "policies: [{direction: in, action: bypass, mark: 0x10/0xf, " SEL "}]\n",
		"4: policies[0].mark: '0x10/0xf' is not a mark of 32 bits within its mask "
		"(0x10/0xff)"},
	{HEAD "policies: [{direction: in, action: bypass, if-id: x, " SEL "}]\n",
		"4: policies[0].if-id: 'x' is not a number"},
	{HEAD "policies:\n- {direction: in, action: bypass, source: 10.1.0.0-10.1.0.15, "
	      "destination: 10.2.0.0/16}\n- {direction: in, action: discard, source: 10.1.0.0/28, "
	      "destination: 10.2.0.0/16}\n",
		"6: policies[1]: policies[0] has the same direction and selector"},
	{HEAD "port-pairs: [{from: wan, to: dmz, action: bypass}]\n",
		"4: port-pairs[0].to: there is no port 'dmz'"},
	{HEAD "port-pairs: [{from: wan, to: wan, action: pass}]\n",
		"4: port-pairs[0].action: 'pass' is not one of: discard, bypass"},
	{HEAD "port-pairs:\n- {from: wan, to: wan, action: bypass}\n- {from: wan, to: wan, action: "
	      "bypass}\n",
		"6: port-pairs[1]: port-pairs[0] is of the same two ports"},
	{HEAD "policies: [{direction: in, action: bypass, source: 10.1.0.5/16, destination: "
	      "0.0.0.0/0}]\n",
		"4: policies[0].source: '10.1.0.5/16' has bits set after its length: 10.1.0.0/16?"},
	{HEAD "policies: [{direction: in, action: bypass, source: 10.1.0.0/16, destination: "
	      "'::/0'}]\n",
		"4: policies[0].destination: source and destination differ in family"},
	{HEAD "policies: [{direction: in, action: bypass, protocol: 256, " SEL "}]\n",
		"4: policies[0].protocol: '256' is neither any, a known name nor a number from 1 "
		"to 255"},
	{HEAD "policies: [{direction: in, action: bypass, source-ports: 80, " SEL "}]\n",
		"4: policies[0].source-ports: needs a protocol that has ports (tcp, udp, sctp, "
		"dccp, udplite, icmp, icmpv6)"},
	{HEAD "policies: [{direction: in, action: bypass, protocol: tcp, source-ports: 9-8, " SEL
	      "}]\n",
		"4: policies[0].source-ports: '9-8' is not a range within 0-65535"},
	{HEAD "policies: [{direction: in, action: bypass, protocol: tcp, source-ports: 1-, " SEL
	      "}]\n",
		"4: policies[0].source-ports: '1-' is not any, a port, or a range like 1024-65535"},
	{HEAD "policies: [{direction: in, action: bypass, protocol: icmp, source-ports: 300, " SEL
	      "}]\n",
		"4: policies[0].source-ports: '300' is not a range within 0-255 (ICMP type or "
		"code)"},
	{HEAD "policies: [{direction: in, action: bypass, reqid: 1, " SEL "}]\n",
		"4: policies[0].reqid: is for the action protect, not bypass"},
	{HEAD "policies: [{direction: in, action: protect, " SEL "}]\n",
		"4: policies[0].reqid: is missing: protect means the SAs of a reqid"},
	{HEAD "policies: [{direction: in, action: protect, reqid: 1, spi: 4097, " SEL "}]\n",
		"4: policies[0].spi: is for the direction out: what comes in is matched by reqid"},
	{HEAD "policies:\n- {direction: in, action: bypass, " SEL
	      "}\n- {direction: in, action: discard, " SEL "}\n",
		"6: policies[1]: policies[0] has the same direction and selector"},
	{HEAD "ipsec: {static-only: true}\nsas: [" SA("s", "out", "4097",
		 GCM) "]\n"
		      "policies: [{direction: in, action: protect, reqid: 1, " SEL "}]\n",
		"6: policies[0].reqid: ipsec.static-only is set, and no SA in has reqid 1"},
	{HEAD "ipsec: {static-only: true}\nsas: [" SA("s", "out", "4097",
		 GCM) "]\n"
		      "policies: [{direction: out, action: protect, reqid: 1, spi: 4098, " SEL
		      "}]\n",
		"6: policies[0].spi: ipsec.static-only is set, and no SA out has reqid 1 and SPI "
		"0x1002"},
	{HEAD "sas: [" SA("s", "out", "4097",
		 GCM) "]\n"
		      "policies: [{direction: out, action: protect, reqid: 1, mode: transport, " SEL
		      "}]\n",
		"5: policies[0].mode: 'transport' is not the mode of SA 's'"},
	{HEAD "sas: [" SA("s", "out", "4097", GCM) "]\n"
						   "policies: [{direction: out, action: protect, "
						   "reqid: 1, tunnel-source: 192.0.2.9, " SEL
						   "}]\n",
		"5: policies[0].tunnel-source: '192.0.2.9' is not what SA 's' has"},
};

START_TEST(refuses_shape)
{
	expect_refusal(&shapes[_i]);
}
END_TEST

START_TEST(refuses_lcores_and_ports)
{
	expect_refusal(&lcores_and_ports[_i]);
}
END_TEST

START_TEST(refuses_sa)
{
	expect_refusal(&sas[_i]);
	ck_assert_ptr_null(strstr(config_said, "0001020304"));
}
END_TEST

START_TEST(refuses_policy)
{
	expect_refusal(&policies[_i]);
}
END_TEST

START_TEST(refuses_files)
{
	char want[256];
	const char cbc[] = HEAD "sas: [" SA("s", "out", "4097",
		"encryption: aes128, integrity: sha1, key: " KEY16 ", integrity-key: " KEY20) "]\n";
	struct config *c;

	ck_assert_ptr_null(config_test_load(config_file));
	snprintf(
		want, sizeof(want), "%s: cannot be read: No such file or directory\n", config_file);
	ck_assert_str_eq(config_said, want);

	ck_assert_ptr_null(config_test_load(config_dir));
	snprintf(want, sizeof(want), "%s: cannot be read: Is a directory\n", config_dir);
	ck_assert_str_eq(config_said, want);

	ck_assert_int_eq(mkfifo(config_file, 0600), 0);
	ck_assert_ptr_null(config_test_load(config_file));
	snprintf(want, sizeof(want), "%s: cannot be read: Not a regular file\n", config_file);
	ck_assert_str_eq(config_said, want);
	unlink(config_file);

	config_test_write(config_file, "name: a\0b\n", 10, 0600);
	ck_assert_ptr_null(config_test_load(config_file));
	snprintf(want, sizeof(want), "%s:1: is not text: a zero byte at offset 7\n", config_file);
	ck_assert_str_eq(config_said, want);

	config_test_write(config_file, cbc, strlen(cbc), 0640);
	ck_assert_ptr_null(config_test_load(config_file));
	snprintf(want, sizeof(want),
		"%s:4: sas[0]: the file holds keys, and its mode 0640 opens it to others: chmod "
		"600 %s\n",
		config_file, config_file);
	ck_assert_str_eq(config_said, want);
	config_test_write(config_file, cbc, strlen(cbc), 0600);
	c = config_test_load(config_file);
	ck_assert_msg(c != NULL, "%s", config_said);
	config_free(c);

	/* A laboratory file may be read by all, and so may a file without keys. */
	config_test_write(
		config_file, HEAD SA_GCM("key: " KEY20), strlen(HEAD SA_GCM("key: " KEY20)), 0644);
	c = config_test_load(config_file);
	ck_assert_msg(c != NULL, "%s", config_said);
	config_free(c);
	config_test_write(config_file, HEAD, strlen(HEAD), 0644);
	c = config_test_load(config_file);
	ck_assert_msg(c != NULL, "%s", config_said);
	config_free(c);
}
END_TEST

TCase *
config_errors_case(void)
{
	TCase *tc = tcase_create("errors");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, config_test_setup, config_test_teardown);
	tcase_add_loop_test(tc, refuses_shape, 0, RTE_DIM(shapes));
	tcase_add_loop_test(tc, refuses_lcores_and_ports, 0, RTE_DIM(lcores_and_ports));
	tcase_add_loop_test(tc, refuses_sa, 0, RTE_DIM(sas));
	tcase_add_loop_test(tc, refuses_policy, 0, RTE_DIM(policies));
	tcase_add_test(tc, refuses_files);
	return tc;
}
