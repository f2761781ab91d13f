/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_test.h"

#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CONF_DIR
#define CONF_DIR "../conf"
#endif

char config_dir[] = "/tmp/config-test-XXXXXX";
char config_file[64];
char config_said[4096];

void
config_test_setup(void)
{
	strcpy(config_dir, "/tmp/config-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(config_dir));
	snprintf(config_file, sizeof(config_file), "%s/t.yaml", config_dir);
}

void
config_test_teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", config_dir);
	ck_assert_int_eq(system(command), 0);
}

void
config_test_write(const char *path, const char *text, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

static int saved_stderr, captured;

static void
capture(void)
{
	char log[80];

	snprintf(log, sizeof(log), "%s/stderr", config_dir);
	captured = open(log, O_RDWR | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_ge(captured, 0);
	saved_stderr = dup(2);
	fflush(stderr);
	dup2(captured, 2);
}

static void
captured_end(void)
{
	ssize_t n;

	fflush(stderr);
	dup2(saved_stderr, 2);
	close(saved_stderr);
	n = pread(captured, config_said, sizeof(config_said) - 1, 0);
	ck_assert_int_ge(n, 0);
	config_said[n] = '\0';
	close(captured);
}

struct config *
config_test_load(const char *path)
{
	struct config *c;

	capture();
	c = config_load(path);
	captured_end();
	return c;
}

int
config_test_plan(const struct config *c, FILE *out)
{
	int ret;

	capture();
	ret = config_plan(c, out);
	captured_end();
	return ret;
}

static struct config *
load(const char *text)
{
	struct config *c;

	config_test_write(config_file, text, strlen(text), 0600);
	c = config_test_load(config_file);
	ck_assert_msg(c != NULL, "refused: %s", config_said);
	ck_assert_str_eq(config_said, "");
	return c;
}

START_TEST(fills_in_defaults)
{
	struct config *c = load(HEAD);

	ck_assert_str_eq(c->name, "a");
	ck_assert_str_eq(c->socket, "/run/cygnet/a.sock");
	ck_assert_str_eq(c->eal.file_prefix, "a");
	ck_assert_uint_eq(c->eal.memory, 256);
	ck_assert_int_eq(c->idle, IDLE_BACK_OFF);
	ck_assert_int_eq(c->crypto.mode, CRYPTO_DEDICATED);
	ck_assert_uint_eq(c->crypto.n_devices, 4);
	ck_assert_str_eq(c->crypto.devices[0], "native");
	ck_assert_str_eq(c->crypto.devices[3], "crypto_openssl");
	ck_assert_uint_eq(c->crypto.frames, 64);
	ck_assert_int_eq(c->local_action, DEFAULT_BYPASS);
	ck_assert_uint_eq(c->policies_timeout, 60);
	ck_assert_uint_eq(c->orphan_grace, 300);
	ck_assert(!c->static_only);
	ck_assert_uint_eq(c->limits.sas, 4096);
	ck_assert_uint_eq(c->limits.routes, 65536);
	ck_assert_uint_eq(c->limits.mbufs, 16384);
	ck_assert_uint_eq(c->limits.punt_rate, 1000);
	ck_assert_uint_eq(c->n_ports, 1);
	ck_assert_uint_eq(c->ports[0].mtu, 1500);
	ck_assert_uint_eq(c->ports[0].rx_queues, 1);
	ck_assert_uint_eq(c->ports[0].workers[0], 1);
	ck_assert_int_eq(c->ports[0].default_action, DEFAULT_DISCARD);
	ck_assert_ptr_null(c->ports[0].netdev);
	config_free(c);
}
END_TEST

START_TEST(reads_ports)
{
	struct config *c = load("name: a\nlcores:\n" LCORE(0, 0, "control") LCORE(
		3, 0, "worker") LCORE(5, 0,
		"worker") "crypto: {mode: inline}\n"
			  "ports:\n" PORT("x",
				  "'net_af_packet0,iface=veth9,qpairs="
				  "3'") "    rx-queues: 3\n    "
					"addresses: [192.0.2.1/24, "
					"'2001:db8::1/64']\n"
					"    default-action: bypass\n   "
					" mtu: 1400\n" PORT("y",
						"'0000:"
						"03:00."
						"1,foo="
						"1'") "    netdev: eth7\n    mtu: 9216\n" PORT("z",
						"net_null0") "    "
							     "workers: "
							     "[5]\n"
							     "plugins: "
							     "[{library:"
							     " /x.so, "
							     "node: "
							     "dscp-"
							     "count, "
							     "edge: ' "
							     "ip4-input-"
							     ">ipsec-"
							     "input-"
							     "check "
							     "'}]\n");
	const struct config_port *p = c->ports;

	ck_assert_str_eq(p[0].netdev, "veth9");
	ck_assert_uint_eq(p[0].mtu, 1400);
	ck_assert_uint_eq(p[1].mtu, 9216);
	ck_assert_int_eq(p[0].default_action, DEFAULT_BYPASS);
	ck_assert_uint_eq(p[0].n_addresses, 2);
	ck_assert_uint_eq(p[0].addrs[0].v4, inet_addr("192.0.2.1"));
	ck_assert_uint_eq(p[0].plens[0], 24);
	ck_assert_uint_eq(p[0].addrs[1].family, 6);
	ck_assert_uint_eq(p[0].plens[1], 64);
	/* In turn over the workers, from port to port. */
	ck_assert_uint_eq(p[0].workers[0], 3);
	ck_assert_uint_eq(p[0].workers[1], 5);
	ck_assert_uint_eq(p[0].workers[2], 3);
	ck_assert_uint_eq(p[1].workers[0], 5);
	ck_assert_str_eq(p[1].netdev, "eth7");
	ck_assert_uint_eq(p[2].workers[0], 5);
	ck_assert_str_eq(c->plugins[0].node, "dscp-count");
	ck_assert_str_eq(c->plugins[0].from, "ip4-input");
	ck_assert_str_eq(c->plugins[0].to, "ipsec-input-check");
	config_free(c);
}
END_TEST

static struct sa_conf
headers(const char *dir, const char *more)
{
	struct sa_conf conf;
	struct config *c;
	char text[1024];

	snprintf(text, sizeof(text),
		HEAD "sas: [{name: s, direction: %s, spi: 4097, " SA_ENDS GCM "%s}]\n", dir, more);
	c = load(text);
	ck_assert_uint_eq(c->n_sas, 1);
	conf = c->sas[0].conf;
	config_free(c);
	return conf;
}

/* What an outbound SA writes into its outer header, and an inbound one takes from it. */
START_TEST(reads_headers)
{
	const uint32_t all = IKE_SA_COPY_DF | IKE_SA_SET_DF | IKE_SA_NO_COPY_ECN |
			     IKE_SA_COPY_DSCP_OUT | IKE_SA_COPY_DSCP_IN | IKE_SA_COPY_LABEL;
	static const struct {
		const char *dir, *more;
		uint32_t flags;
		uint8_t dscp, ttl;
		uint32_t label;
	} v[] = {
		{"out", "", IKE_SA_COPY_DF | IKE_SA_COPY_DSCP_OUT, 0, 64, 0},
		{"out", ", df: copy, dscp: copy, ecn: yes, flow-label: 0, ttl: 64",
			IKE_SA_COPY_DF | IKE_SA_COPY_DSCP_OUT, 0, 64, 0},
		{"out", ", df: set", IKE_SA_SET_DF | IKE_SA_COPY_DSCP_OUT, 0, 64, 0},
		{"out", ", df: clear", IKE_SA_COPY_DSCP_OUT, 0, 64, 0},
		{"out", ", dscp: 0", IKE_SA_COPY_DF, 0, 64, 0},
		{"out", ", dscp: 63", IKE_SA_COPY_DF, 63, 64, 0},
		{"out", ", ecn: no", IKE_SA_COPY_DF | IKE_SA_COPY_DSCP_OUT | IKE_SA_NO_COPY_ECN, 0,
			64, 0},
		{"out", ", flow-label: copy",
			IKE_SA_COPY_DF | IKE_SA_COPY_DSCP_OUT | IKE_SA_COPY_LABEL, 0, 64, 0},
		{"out", ", flow-label: 0xfffff", IKE_SA_COPY_DF | IKE_SA_COPY_DSCP_OUT, 0, 64,
			0xfffff},
		{"out", ", ttl: 1", IKE_SA_COPY_DF | IKE_SA_COPY_DSCP_OUT, 0, 1, 0},
		{"out", ", ttl: 255", IKE_SA_COPY_DF | IKE_SA_COPY_DSCP_OUT, 0, 255, 0},
		/* DF of an inbound SA is nobody's. */
		{"in", "", IKE_SA_COPY_DF, 0, 64, 0},
		{"in", ", dscp: copy", IKE_SA_COPY_DF | IKE_SA_COPY_DSCP_IN, 0, 64, 0},
		{"in", ", ecn: no", IKE_SA_COPY_DF | IKE_SA_NO_COPY_ECN, 0, 64, 0},
	};

	for (unsigned int i = 0; i < RTE_DIM(v); i++) {
		const struct sa_conf conf = headers(v[i].dir, v[i].more), *c = &conf;

		ck_assert_msg((c->flags & all) == v[i].flags, "%s: flags 0x%x", v[i].more,
			c->flags & all);
		ck_assert_msg(c->dscp == v[i].dscp, "%s: %u", v[i].more, c->dscp);
		ck_assert_msg(c->ttl == v[i].ttl, "%s: %u", v[i].more, c->ttl);
		ck_assert_msg(c->label == v[i].label, "%s: %u", v[i].more, c->label);
	}
}
END_TEST

/* Which files may let packets out in clear before charon has said its policies. */
START_TEST(knows_bypasses)
{
	static const struct {
		const char *policy;
		bool bypasses;
	} v[] = {{"{direction: out, action: bypass, " SEL "}", true},
		{"{direction: out, action: discard, " SEL "}", false},
		{"{direction: out, action: protect, reqid: 1, " SEL "}", false},
		{"{direction: in, action: bypass, " SEL "}", false},
		{"{direction: fwd, action: bypass, " SEL "}", false},
		{"{direction: in, action: bypass, " SEL "}, {direction: out, action: bypass, " SEL
		 "}",
			true}};
	struct config *c;
	char text[1024];

	for (unsigned int i = 0; i < RTE_DIM(v); i++) {
		snprintf(text, sizeof(text), HEAD "policies: [%s]\n", v[i].policy);
		c = load(text);
		ck_assert_msg(config_bypasses(c) == v[i].bypasses, "%s", v[i].policy);
		config_free(c);
	}
}
END_TEST

START_TEST(reads_sas_and_policies)
{
	static const uint8_t key[20] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
	struct config *c = load(
		HEAD "# integrity-key: 0xABCDEFABCDEFABCDEFABCDEF is only a comment\n"
		     "sas:\n- " SA("s", "out", "0x1001",
			     "encryption: aes128-gcm16, insecure-test: true, esn: yes, "
			     "replay-window: 4096, "
			     "encapsulation: {destination-port: 4501}, lifetime: "
			     "{bytes-hard: 5000000000}, "
			     "key: '0x" KEY20 "'") "\n- " SA("r", "in", "0x1001",
			     "mode: transport, encryption: AES_128, integrity: sha2-256, "
			     "\"key\" : \"" KEY16
			     "\", integrity-key:  " KEY16 KEY16) "\n- " SA("ah", "in", "0x1001",
			     "protocol: ah, integrity: HMAC-SHA1-96, "
			     "integrity-key: " KEY20) "\n"
						      "policies:\n"
						      "- {direction: out, action: "
						      "protect, " SEL
						      ", reqid: 1, spi: 0x1001, protocol: "
						      "udp, "
						      "source-ports: 53, "
						      "destination-ports: 1024-65535, "
						      "priority: 7}\n"
						      "- {direction: in, action: "
						      "discard, " SEL ", protocol: ospf}\n"
						      "- {direction: fwd, action: "
						      "protect, " SEL ", reqid: 9, tunnel-source: "
						      "192.0.2.7}\n");
	const struct config_sa *s = c->sas;
	const struct spd_policy_conf *p = c->policies;

	ck_assert_uint_eq(c->n_sas, 3);
	ck_assert_str_eq(s[0].name, "s");
	ck_assert_uint_eq(s[0].conf.spi, htonl(0x1001));
	ck_assert_uint_eq(s[0].conf.dir, SA_DIR_OUT);
	ck_assert_uint_eq(s[0].conf.mode, SA_MODE_TUNNEL);
	ck_assert_uint_eq(s[0].conf.proto, 50);
	ck_assert_uint_eq(s[0].conf.enc_alg, ENCR_AES_GCM_16);
	ck_assert_uint_eq(s[0].conf.enc_key_len, 20);
	ck_assert_uint_eq(s[0].conf.int_alg, AUTH_NONE);
	ck_assert_uint_eq(s[0].conf.src.v4, inet_addr("192.0.2.1"));
	ck_assert_uint_eq(s[0].conf.flags, IKE_SA_ESN | IKE_SA_ENCAP | IKE_SA_COPY_DF |
						   IKE_SA_COPY_DSCP_OUT | SA_CONF_INSECURE_TEST);
	ck_assert_uint_eq(s[0].conf.src_port, htons(4500));
	ck_assert_uint_eq(s[0].conf.dst_port, htons(4501));
	ck_assert_uint_eq(s[0].conf.life.bytes_hard, 5000000000);
	ck_assert_uint_eq(s[0].conf.replay_window, 4096);
	ck_assert(s[0].insecure_test);
	ck_assert_mem_eq(s[0].key, key, 20);

	ck_assert_uint_eq(s[1].conf.dir, SA_DIR_IN);
	ck_assert_uint_eq(s[1].conf.mode, SA_MODE_TRANSPORT);
	ck_assert_uint_eq(s[1].conf.enc_alg, ENCR_AES_CBC);
	ck_assert_uint_eq(s[1].conf.enc_key_len, 16);
	ck_assert_uint_eq(s[1].conf.int_alg, AUTH_HMAC_SHA2_256_128);
	ck_assert_uint_eq(s[1].conf.int_key_len, 32);
	ck_assert_uint_eq(s[1].conf.replay_window, 128);
	ck_assert_mem_eq(s[1].key, key, 16);
	ck_assert_mem_eq(s[1].key + 16, key, 16);
	ck_assert_mem_eq(s[1].key + 32, key, 16);
	ck_assert_uint_eq(s[2].conf.proto, 51);
	ck_assert_mem_eq(s[2].key, key, 20);

	ck_assert_uint_eq(c->n_policies, 3);
	ck_assert_uint_eq(p[0].dir, SPD_OUT);
	ck_assert_uint_eq(p[0].action, SPD_PROTECT);
	ck_assert_uint_eq(p[0].spi, htonl(0x1001));
	ck_assert_uint_eq(p[0].reqid, 1);
	ck_assert_uint_eq(p[0].priority, 7);
	ck_assert_uint_eq(p[0].sel.proto, 17);
	ck_assert_uint_eq(p[0].sel.src_port_lo, 53);
	ck_assert_uint_eq(p[0].sel.src_port_hi, 53);
	ck_assert_uint_eq(p[0].sel.dst_port_lo, 1024);
	ck_assert_uint_eq(p[0].sel.dst_port_hi, 65535);
	ck_assert_uint_eq(p[0].sel.src_plen, 16);
	ck_assert_uint_eq(p[0].mode, SA_MODE_TUNNEL);
	ck_assert_uint_eq(p[0].sa_dst.v4, inet_addr("192.0.2.2"));
	ck_assert_uint_eq(p[1].dir, SPD_IN);
	ck_assert_uint_eq(p[1].action, SPD_DISCARD);
	ck_assert_uint_eq(p[1].sel.proto, 89);
	ck_assert_uint_eq(p[1].sel.src_port_hi, 65535);
	ck_assert_uint_eq(p[1].priority, 1000);
	ck_assert_uint_eq(p[2].dir, SPD_FWD);
	ck_assert_uint_eq(p[2].sa_src.v4, inet_addr("192.0.2.7"));
	ck_assert_uint_eq(p[2].sa_dst.family, 0);
	ck_assert(p[0].own_sas && !p[1].own_sas && !p[2].own_sas);
	config_free(c);
}
END_TEST

START_TEST(selectors)
{
	struct config *c =
		load(HEAD "policies:\n"
			  "- {direction: out, action: bypass, source: 10.1.0.5-10.1.0.20, "
			  "destination: 10.2.0.0-10.2.255.255, protocol: icmp, "
			  "source-ports: 8, destination-ports: 0}\n"
			  "- {direction: out, action: discard, source: 2001:db8::/64, "
			  "destination: '2001:db8:1::5-2001:db8:1::9', protocol: icmpv6, "
			  "source-ports: 128-129}\n"
			  "- {direction: out, action: bypass, " SEL ", if-id: 7}\n"
			  "- {direction: out, action: bypass, " SEL ", mark: 0x10/0xf0}\n"
			  "- {direction: out, action: bypass, " SEL ", mark: 5}\n"
			  "port-pairs: [{from: wan, to: wan, action: bypass}]\n");
	const struct spd_policy_conf *p = c->policies;

	ck_assert_uint_eq(c->n_policies, 5);
	ck_assert_uint_eq(p[0].sel.src.v4, inet_addr("10.1.0.5"));
	ck_assert_uint_eq(p[0].sel.src_last.v4, inet_addr("10.1.0.20"));
	ck_assert_uint_eq(p[0].sel.dst_last.family, 0); /* it is 10.2.0.0/16 */
	ck_assert_uint_eq(p[0].sel.dst_plen, 16);
	ck_assert_uint_eq(p[0].sel.src_port_hi, 8);
	ck_assert_uint_eq(p[0].sel.dst_port_hi, 0);
	ck_assert_uint_eq(p[1].sel.dst_last.family, 6);
	ck_assert_uint_eq(p[1].sel.dst_last.b[15], 9);
	ck_assert_uint_eq(p[1].sel.proto, 58);
	ck_assert_uint_eq(p[2].if_id, 7);
	ck_assert_uint_eq(p[3].mark, 0x10);
	ck_assert_uint_eq(p[3].mark_mask, 0xf0);
	ck_assert_uint_eq(p[4].mark_mask, UINT32_MAX);
	ck_assert_uint_eq(c->n_pairs, 1);
	ck_assert_int_eq(c->pairs[0].action, DEFAULT_BYPASS);
	config_free(c);
}
END_TEST

static const struct {
	const char *name;
	uint16_t id, len;
} ciphers[] = {
	{"aes128gcm8", ENCR_AES_GCM_8, 20},
	{"aes192gcm96", ENCR_AES_GCM_12, 28},
	{"aes256gcm128", ENCR_AES_GCM_16, 36},
	{"aes256-gcm16", ENCR_AES_GCM_16, 36},
	{"aes192ccm16", ENCR_AES_CCM_16, 27},
	{"aes128ccm64", ENCR_AES_CCM_8, 19},
	{"aes256ccm12", ENCR_AES_CCM_12, 35},
	{"aes128gmac", ENCR_NULL_AUTH_AES_GMAC, 20},
	{"chacha20poly1305", ENCR_CHACHA20_POLY1305, 36},
};

START_TEST(knows_aead)
{
	char text[1024], key[100];
	struct config *c;

	memset(key, 'a', sizeof(key));
	key[ciphers[_i].len * 2] = '\0';
	snprintf(text, sizeof(text),
		HEAD "sas: [{name: s, direction: out, spi: 4097, " SA_ENDS
		     "insecure-test: true, encryption: %s, key: %s}]\n",
		ciphers[_i].name, key);
	c = load(text);
	ck_assert_uint_eq(c->sas[0].conf.enc_alg, ciphers[_i].id);
	ck_assert_uint_eq(c->sas[0].conf.enc_key_len, ciphers[_i].len);
	config_free(c);
}
END_TEST

/* The interface that is made deaf, of those that the device opens; of an unknown device the one that is told. */
START_TEST(finds_netdevs)
{
	static const char *const ports[][2] = {
		{"'net_af_packet0,iface=eth1'", "eth1"},
		{"'net_af_packet0,qpairs=1,iface=eth1', netdev: eth1", "eth1"},
		{"'net_pcap0,iface=eth1'", "eth1"},
		{"'net_pcap0,rx_iface=eth1,tx_iface=eth2'", "eth1"},
		{"'net_pcap0,rx_iface_in=eth1,tx_iface=eth1'", "eth1"},
		{"'net_pcap0,rx_iface_in=eth1,tx_iface=eth2', netdev: eth2", "eth2"},
		{"'net_pcap0,rx_pcap=/a.pcap,tx_pcap=/b.pcap', netdev: eth2", "eth2"},
		{"'net_tap0,iface=tap9', netdev: eth2", "eth2"},
		{"'net_pcap0,rx_pcap=/a.pcap'", NULL},
	};
	char text[256];
	struct config *c;

	snprintf(text, sizeof(text), "name: a\n" LCORES "ports: [{name: w, devargs: %s}]\n",
		ports[_i][0]);
	c = load(text);
	if (ports[_i][1] == NULL)
		ck_assert_ptr_null(c->ports[0].netdev);
	else
		ck_assert_str_eq(c->ports[0].netdev, ports[_i][1]);
	config_free(c);
}
END_TEST

static char *
eal_line(const struct config *c)
{
	static char line[2048];
	size_t len = 0;
	int argc = 0;
	char **argv = config_eal_args(c, "cygnet", &argc);

	ck_assert_ptr_nonnull(argv);
	ck_assert_ptr_null(argv[argc]);
	for (int i = 0; i < argc; i++)
		len += snprintf(line + len, sizeof(line) - len, "%s|", argv[i]);
	/* As rte_eal_init() leaves it. */
	argv[argc - 1] = argv[0];
	config_eal_free(argv);
	return line;
}

START_TEST(makes_eal_arguments)
{
	struct config *c = load("name: site-a\n" LCORES
				"ports: [{name: w, devargs: 'net_af_packet0,iface=veth9'}]\n"
				"eal: {memory: 300, options: ['--log-level', 'pmd:info']}\n");

	ck_assert_str_eq(eal_line(c),
		"cygnet|--lcores|0@0,1@0,2@0|--main-lcore|0|--file-prefix|site-a|--socket-mem|300|"
		"--socket-limit|300|--iova-mode=va|--no-pci|"
		"--force-max-simd-bitwidth=512|--log-level|lib.eal:warning|--log-level|pmd:info|");
	config_free(c);
	c = load("name: b\n" LCORES "ports: [{name: w, devargs: '03:00.0'}, {name: x, devargs: "
		 "'pci:0000:04:00.0,a=b'}]\n");
	ck_assert_ptr_nonnull(
		strstr(eal_line(c), "|--iova-mode=va|-a|03:00.0|-a|0000:04:00.0,a=b|--force"));
	config_free(c);
}
END_TEST

START_TEST(plans)
{
	struct config *c =
		load("name: a\n" LCORES "ports: [{name: w, devargs: 'net_af_packet0,iface=lo', "
		     "outside: true, vlans: [{id: 5}, {id: 6, outside: true}]}]\n");
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(config_test_plan(c, out), 0);
	ck_assert_str_eq(config_said, "");
	fclose(out);
	ck_assert_ptr_nonnull(strstr(text, "lcore 1: worker, cpu 0, NUMA node 0, "));
	ck_assert_ptr_nonnull(strstr(text, "\n  polls port w, rx queue 0\nlcore 2: crypto"));
	ck_assert_ptr_nonnull(strstr(text, "port w: net_af_packet0,iface=lo, netdev lo,"));
	ck_assert_ptr_nonnull(strstr(text, ", 1 rx queues, default discard, outside, addresses"));
	ck_assert_ptr_nonnull(strstr(text, "VLAN 5 of w, mtu 1500, default discard, addresses"));
	ck_assert_ptr_nonnull(
		strstr(text, "6 of w, mtu 1500, default discard, outside, addresses"));
	ck_assert_ptr_nonnull(strstr(text, "table: 4096 SAs, "));
	/* They are waited for without an end. */
	ck_assert_ptr_nonnull(
		strstr(text, "policies complete when charon says so (a warning after 60 s), "));
	free(text);
	config_free(c);
}
END_TEST

/* Buffers are as large as the largest MTU wants them: the default memory holds no 16384 of 9000 bytes. */
START_TEST(plans_packet_buffers)
{
	static const char *const mtus[] = {"", ", mtu: 1792", ", mtu: 9000"};
	unsigned int kib[3];

	for (unsigned int i = 0; i < 3; i++) {
		char conf[256], *text = NULL, *line;
		struct config *c;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		snprintf(conf, sizeof(conf),
			"name: a\n" LCORES "ports: [{name: w, devargs: net_null0%s}]\n", mtus[i]);
		c = load(conf);
		ck_assert_int_eq(config_test_plan(c, out), 0);
		fclose(out);
		line = strstr(text, "table: 16384 packet buffers, ");
		ck_assert_ptr_nonnull(line);
		ck_assert_int_eq(sscanf(line, "table: 16384 packet buffers, %u KiB", &kib[i]), 1);
		ck_assert_int_eq(strstr(text, "NOT ENOUGH") != NULL, i == 2);
		free(text);
		config_free(c);
	}
	ck_assert_uint_eq(kib[0], kib[1]);
	ck_assert_uint_ge(kib[0], 16 * 2600);
	ck_assert_uint_le(kib[0], 16 * 2900);
	ck_assert_uint_ge(kib[2], 16 * (9256 + 500));
}
END_TEST

/* What is not on this machine, at the line and key that name it. */
START_TEST(plans_what_is_not_there)
{
	static const char *const files[][2] = {
		{"name: a\n" LCORES
		 "ports: [{name: w, devargs: 'net_af_packet0,iface=nonesuch'}]\n",
			"3: ports[0].devargs: there is no interface 'nonesuch'"},
		{"name: a\n" LCORES "ports:\n  - name: w\n    devargs: net_null0\n  - name: x\n"
		 "    mtu: 1400\n    devargs: 'net_af_packet0,iface=nonesuch'\n",
			"8: ports[1].devargs: there is no interface 'nonesuch'"},
		{"name: a\n" LCORES "ports:\n  - name: w\n    devargs: '0000:03:00.0'\n"
		 "    netdev: nonesuch\n",
			"6: ports[0].netdev: there is no interface 'nonesuch'"},
		{"name: a\n" LCORES "ports: [{name: w, devargs: net_null0}]\nplugins:\n"
		 "  - {node: n, edge: 'n -> drop',\n     library: /nonesuch.so}\n",
			"6: plugins[0].library: /nonesuch.so: No such file or directory"},
	};
	struct config *c = load(files[_i][0]);
	FILE *out = fopen("/dev/null", "w");
	char want[256];

	ck_assert_int_eq(config_test_plan(c, out), -ENODEV);
	snprintf(want, sizeof(want), "%s:%s\n", config_file, files[_i][1]);
	ck_assert_str_eq(config_said, want);
	fclose(out);
	config_free(c);
}
END_TEST

START_TEST(finds_isolated_cpus)
{
	static const struct {
		const char *name, *partition, *cpus;
	} groups[] = {
		{"a", "isolated\n", "4-5,7\n"},
		{"b", "member\n", "8\n"},
		{"c", "isolated invalid (Cpu list in cpuset.cpus not exclusive)\n", "9\n"},
		{"d", "root\n", "10\n"},
	};
	char path[128], isolated[80];
	unsigned int n = 0;
	cpu_set_t set;

	snprintf(isolated, sizeof(isolated), "%s/isolated", config_dir);
	config_test_write(isolated, "2,12-13\n", 8, 0600);
	for (unsigned int i = 0; i < RTE_DIM(groups); i++) {
		snprintf(path, sizeof(path), "%s/%s", config_dir, groups[i].name);
		mkdir(path, 0700);
		snprintf(path, sizeof(path), "%s/%s/cpuset.cpus.partition", config_dir,
			groups[i].name);
		config_test_write(path, groups[i].partition, strlen(groups[i].partition), 0600);
		snprintf(path, sizeof(path), "%s/%s/cpuset.cpus.effective", config_dir,
			groups[i].name);
		config_test_write(path, groups[i].cpus, strlen(groups[i].cpus), 0600);
	}
	config_isolated_cpus(isolated, config_dir, &set);
	for (unsigned int cpu = 0; cpu < 64; cpu++)
		n += CPU_ISSET(cpu, &set);
	ck_assert_uint_eq(n, 6);
	ck_assert(CPU_ISSET(2, &set) && CPU_ISSET(12, &set) && CPU_ISSET(13, &set));
	ck_assert(CPU_ISSET(4, &set) && CPU_ISSET(5, &set) && CPU_ISSET(7, &set));
	config_isolated_cpus("/nonexistent", "/nonexistent", &set);
	ck_assert_uint_eq(CPU_COUNT(&set), 0);
}
END_TEST

/* A needle that this process does not hold itself: each byte is kept inverted. */
static unsigned int
count_in_memory(const uint8_t *inverted, size_t len)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int mem = open("/proc/self/mem", O_RDONLY);
	static uint8_t page[65536];
	unsigned int found = 0;
	char line[512], perms[8];
	uint64_t from, to;

	ck_assert(maps != NULL && mem >= 0);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, perms) != 3 ||
			perms[1] != 'w' || to - from > (256u << 20))
			continue;
		while (from < to) {
			ssize_t n = pread(mem, page, RTE_MIN(sizeof(page), to - from), from);

			if (n <= (ssize_t)len)
				break;
			for (ssize_t i = 0; i + (ssize_t)len <= n; i++) {
				size_t j = 0;

				while (j < len && (page[i + j] ^ inverted[j]) == 0xff)
					j++;
				found += j == len;
			}
			from += n == sizeof(page) ? n - len : (uint64_t)n;
		}
	}
	memset(page, 0, sizeof(page));
	fclose(maps);
	close(mem);
	return found;
}

START_TEST(leaves_no_key_behind)
{
	uint8_t raw[16], digits[32];
	struct config *c;
	int status;
	pid_t pid;

	for (unsigned int i = 0; i < sizeof(raw); i++) {
		uint8_t byte = i * 13 + 71;

		raw[i] = ~byte;
		digits[2 * i] = ~"0123456789abcdef"[byte >> 4];
		digits[2 * i + 1] = ~"0123456789abcdef"[byte & 15];
	}
	pid = fork();
	if (pid == 0) {
		/* The file is another process's doing. */
		FILE *f = fopen(config_file, "w");

		fprintf(f, HEAD "sas:\n- {name: s, direction: out, spi: 4097, " SA_ENDS
				"encryption: aes128, integrity: sha1, integrity-key: " KEY20
				",\n   key: ");
		for (unsigned int i = 0; i < sizeof(digits); i++)
			fputc((uint8_t)~digits[i], f);
		fprintf(f, "}\n");
		fclose(f);
		chmod(config_file, 0600);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	c = config_test_load(config_file);
	ck_assert_msg(c != NULL, "%s", config_said);
	/* The search can find: the configuration has the key, once, and nobody its digits. */
	ck_assert_uint_eq(count_in_memory(raw, sizeof(raw)), 1);
	ck_assert_uint_eq(count_in_memory(digits, sizeof(digits)), 0);
	ck_assert_uint_eq(count_in_memory(digits, 12), 0);
	config_free(c);
	ck_assert_uint_eq(count_in_memory(raw, sizeof(raw)), 0);
	ck_assert_uint_eq(count_in_memory(raw, 8), 0);
}
END_TEST

START_TEST(survives_broken_files)
{
	static char text[16384], broken[16384];
	FILE *f = fopen(CONF_DIR "/lab.yaml", "r");
	size_t len;
	unsigned int seed = 1;

	ck_assert_ptr_nonnull(f);
	len = fread(text, 1, sizeof(text), f);
	fclose(f);
	for (size_t i = 0; i < 1000; i++) {
		size_t n = len, newlines = 0;
		struct config *c;

		memcpy(broken, text, len);
		if (i % 2 == 0)
			n = rand_r(&seed) % len;
		for (unsigned int j = rand_r(&seed) % 4; n > 0 && j > 0; j--)
			broken[rand_r(&seed) % n] = "\n :-[]{},#&*'\"\t0az\xff"[rand_r(&seed) % 20];
		config_test_write(config_file, broken, n, 0600);
		c = config_test_load(config_file);
		for (const char *s = config_said; *s != '\0'; s++)
			newlines += *s == '\n';
		ck_assert_uint_eq(newlines, c == NULL ? 1 : 0);
		ck_assert_ptr_null(strstr(config_said, "05060708"));
		ck_assert_ptr_null(strstr(config_said, "25262728"));
		config_free(c);
	}
}
END_TEST

START_TEST(loads_samples)
{
	struct config *c = config_test_load(CONF_DIR "/router.yaml");

	/* The samples use two cpus. */
	if (!config_cpu_online(1))
		return;
	ck_assert_msg(c != NULL, "%s", config_said);
	config_free(c);
	c = config_test_load(CONF_DIR "/lab.yaml");
	ck_assert_msg(c != NULL, "%s", config_said);
	ck_assert_uint_eq(c->n_policies, 3);
	config_free(c);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, config_test_setup, config_test_teardown);
	tcase_add_test(tc, fills_in_defaults);
	tcase_add_test(tc, reads_ports);
	tcase_add_test(tc, reads_sas_and_policies);
	tcase_add_test(tc, reads_headers);
	tcase_add_test(tc, knows_bypasses);
	tcase_add_test(tc, selectors);
	tcase_add_loop_test(tc, knows_aead, 0, RTE_DIM(ciphers));
	tcase_add_loop_test(tc, finds_netdevs, 0, 9);
	tcase_add_test(tc, makes_eal_arguments);
	tcase_add_test(tc, plans);
	tcase_add_test(tc, plans_packet_buffers);
	tcase_add_loop_test(tc, plans_what_is_not_there, 0, 4);
	tcase_add_test(tc, finds_isolated_cpus);
	tcase_add_test(tc, leaves_no_key_behind);
	tcase_add_test(tc, survives_broken_files);
	tcase_add_test(tc, loads_samples);
	suite_add_tcase(suite, config_errors_case());
	suite_add_tcase(suite, config_reload_case());
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
