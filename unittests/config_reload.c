/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_test.h"

#include "reload_diff.h"
#include "router_sas.h"

#include <stdlib.h>
#include <string.h>

/* What a reload says of two configurations: each key that may differ, and whether it needs a restart. */

static struct config *
load(const char *text)
{
	struct config *c;

	config_test_write(config_file, text, strlen(text), 0600);
	c = config_test_load(config_file);
	ck_assert_msg(c != NULL, "%s", config_said);
	for (unsigned int i = 0; i < c->n_sas; i++)
		ck_assert_int_eq(router_sa_digest(&c->sas[i]), 0);
	return c;
}

/* The lines and nothing else; both counts follow from their marks. */
static void
expect(const char *before, const char *after, const char *lines)
{
	struct config *now = load(before), *next = load(after);
	unsigned int restarts = 0, all = 0, fixed = 0;
	struct reload_diff d;

	ck_assert_int_eq(reload_diff(&d, now, next), 0);
	ck_assert_str_eq(d.lines, lines);
	for (const char *s = lines; *s != '\0'; s = strchr(s, '\n') + 1) {
		restarts += *s == '!';
		fixed += strncmp(s, "! port ", 7) == 0 || strncmp(s, "! SA ", 5) == 0;
		all++;
	}
	ck_assert_uint_eq(d.restarts, restarts);
	ck_assert_uint_eq(d.fixed, fixed);
	ck_assert_uint_eq(d.changes, all - restarts);
	reload_diff_free(&d);
	config_free(now);
	config_free(next);
}

#define BOTH_SAS "sas: [" SA("s", "out", "4097", GCM) ", " SA("t", "in", "4098", GCM) "]\n"
#define POLICIES "policies: [{direction: out, action: bypass, " SEL "}]\n"
#define SECOND "ports: [{name: wan, devargs: net_null0}, {name: lan, devargs: net_null1}]\n"

#define VLANS(v) "name: a\n" LCORES "ports: [{name: wan, devargs: net_null0, vlans: [" v "]}]\n"

static const struct {
	const char *before, *after, *lines;
} cases[] = {
	{HEAD, HEAD, ""},
	{HEAD BOTH_SAS POLICIES, HEAD BOTH_SAS POLICIES, ""},
	{HEAD, HEAD "idle: poll\n", "~ idle: back-off -> poll\n"},
	{HEAD, HEAD "log-level: debug\n", "~ log-level: info -> debug\n"},
	{HEAD, HEAD "ipsec: {local-action: discard, audit-rate: 5, orphan-grace: 1}\n",
		"~ ipsec.local-action: bypass -> discard\n~ ipsec.orphan-grace: 300 -> 1\n"
		"~ ipsec.audit-rate: 10 -> 5\n"},
	{HEAD, HEAD "ipsec: {fragment: never, policies-timeout: 5}\n",
		"~ ipsec.policies-timeout: 60 -> 5\n~ ipsec.fragment: before -> never\n"},
	{HEAD, HEAD "ipsec: {static-only: true, reassembly-timeout: 9}\n",
		"! ipsec.static-only (needs a restart)\n"
		"! ipsec.reassembly-timeout: 2 -> 9 (needs a restart)\n"},
	{HEAD, HEAD "limits: {mbufs: 4096, punt-rate: 7}\n",
		"! limits.mbufs: 16384 -> 4096 (needs a restart)\n"
		"! limits.punt-rate: 1000 -> 7 (needs a restart)\n"},
	{HEAD, HEAD "eal: {memory: 512, options: [--no-telemetry]}\n",
		"! eal.memory: 256 -> 512 (needs a restart)\n! eal.options (needs a restart)\n"},
	{HEAD, HEAD "crypto: {frames: 8, devices: [crypto_openssl]}\n",
		"! crypto.frames: 64 -> 8 (needs a restart)\n! crypto.devices (needs a restart)\n"},
	{HEAD, HEAD "metrics: {port: 9000, vici: /run/charon.vici}\n",
		"~ metrics.address: none -> 127.0.0.1\n~ metrics.vici: none -> /run/charon.vici\n"
		"~ metrics.port: 0 -> 9000\n"},
	/* Ports. */
	{HEAD, "name: a\n" LCORES SECOND, "+ port lan: net_null1\n"},
	{"name: a\n" LCORES SECOND, HEAD, "- port lan: net_null1\n"},
	{HEAD, "name: a\n" LCORES "ports: [{name: out, devargs: net_null0}]\n",
		"+ port out: net_null0\n- port wan: net_null0\n"
		"! port out: has the device of wan, which goes: take that away first (needs a "
		"restart)\n"},
	{HEAD, "name: a\n" LCORES "ports: [{name: wan, devargs: net_null7, mtu: 1400}]\n",
		"! port wan: net_null0 -> net_null7 (needs a restart)\n"
		"! port wan: mtu 1500 -> 1400 (needs a restart)\n"},
	{HEAD, "name: a\n" LCORES "ports: [{name: wan, devargs: net_null0, rx-queues: 2}]\n",
		"! port wan: rx-queues 1 -> 2 (needs a restart)\n"},
	{HEAD,
		"name: a\n" LCORES
		"ports: [{name: wan, devargs: net_null0, mark: 3, outside: true, "
		"default-action: bypass, addresses: [192.0.2.1/24], vlans: [{id: 5}]}]\n",
		"~ port wan: default-action discard -> bypass\n~ port wan: outside false -> true\n"
		"~ port wan: mark 0 -> 3\n"
		"+ port wan: address 192.0.2.1/24\n+ port wan.5: VLAN 5 of wan\n"},
	{VLANS("{id: 5}"), VLANS("{id: 6}"),
		"+ port wan.6: VLAN 6 of wan\n- port wan.5: VLAN 5 of wan\n"},
	{VLANS("{id: 5, outside: true}"), VLANS("{id: 5}"),
		"~ port wan.5: outside true -> false\n"},
	{VLANS("{id: 5}"), VLANS("{id: 5, name: lan}"),
		"+ port lan: VLAN 5 of wan\n- port wan.5: VLAN 5 of wan\n"
		"! port lan: has the device of wan.5, which goes: take that away first (needs a "
		"restart)\n"},
	{"name: a\n" LCORES SECOND,
		"name: a\n" LCORES SECOND "port-pairs: [{from: lan, to: wan, action: bypass}]\n",
		"+ port-pair lan -> wan: bypass\n"},
	/* Static SAs and policies. */
	{HEAD BOTH_SAS, HEAD "sas: [" SA("t", "in", "4098", GCM) "]\n", "- SA s\n"},
	{HEAD, HEAD BOTH_SAS, "+ SA s: out\n+ SA t: in\n"},
	{HEAD "sas: [" SA("s", "out", "4097", GCM) "]\n",
		HEAD "sas: [" SA("s", "out", "4097",
			"encryption: aes128gcm16, key: ff" KEY16
			"101112, insecure-test: true") "]\n",
		"~ SA s: made anew\n"},
	{HEAD POLICIES, HEAD "policies: [{direction: out, action: discard, " SEL "}]\n",
		"~ policies[0]\n"},
	{HEAD POLICIES, HEAD "policies: [{direction: in, action: bypass, " SEL "}]\n",
		"+ policies[0]\n- policies[0] of the running configuration\n"},
};

START_TEST(differences)
{
	expect(cases[_i].before, cases[_i].after, cases[_i].lines);
}
END_TEST

#define TWO_WORKERS                                                                      \
	"name: a\nlcores: [{lcore: 0, cpu: 0, role: control}, {lcore: 1, cpu: 0, role: " \
	"worker}, {lcore: 2, cpu: 0, role: worker}, {lcore: 3, cpu: 0, role: crypto}]\n"

/* Those can be left out until a restart, and then nobody would poll a port that is one of theirs. */
START_TEST(ports_of_workers_to_come)
{
	expect(HEAD,
		TWO_WORKERS
		"ports: [{name: wan, devargs: net_null0}, {name: lan, devargs: net_null1}]\n",
		"+ port lan: net_null1\n! port lan: lcore 2 is no worker yet (needs a restart)\n"
		"! lcores (needs a restart)\n");
}
END_TEST

/* The file gives workers in turn: a new port in front must not move the others to other workers. */
START_TEST(ports_keep_their_workers)
{
	struct config *now = load(TWO_WORKERS SECOND);
	struct config *next = load(TWO_WORKERS
		"ports: [{name: new, devargs: net_null9}, {name: wan, devargs: net_null0}, "
		"{name: lan, devargs: net_null1}]\n");
	struct reload_diff d;

	ck_assert_uint_ne(now->ports[0].workers[0], next->ports[1].workers[0]);
	ck_assert_int_eq(reload_diff(&d, now, next), 0);
	ck_assert_str_eq(d.lines, "+ port new: net_null9\n");
	ck_assert_uint_eq(now->ports[0].workers[0], next->ports[1].workers[0]);
	ck_assert_uint_eq(now->ports[1].workers[0], next->ports[2].workers[0]);
	ck_assert_int_eq(d.port_before[0], RELOAD_NONE);
	ck_assert_int_eq(d.port_before[1], 0);
	ck_assert_int_eq(d.port_after[1], 2);
	reload_diff_free(&d);
	config_free(now);
	config_free(next);
}
END_TEST

TCase *
config_reload_case(void)
{
	TCase *tc = tcase_create("reload");

	tcase_add_checked_fixture(tc, config_test_setup, config_test_teardown);
	tcase_add_loop_test(tc, differences, 0, RTE_DIM(cases));
	tcase_add_test(tc, ports_of_workers_to_come);
	tcase_add_test(tc, ports_keep_their_workers);
	return tc;
}
