/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"

#include "../../ike/wire.h"
#include "fuzz.h"

#include <stdlib.h>

#include <check.h>

/* Requests to cygnetctl's socket: lines, on tables with something in them. Each gets one line of JSON. */

static struct ctl *ctl;

static int
session_create(void *ctx, struct sa *sa, const struct sa_conf *conf, const uint8_t *key)
{
	(void)ctx;
	(void)conf;
	(void)key;
	sa->session = sa;
	return 0;
}

static void
session_destroy(void *ctx, struct sa *sa)
{
	(void)ctx;
	sa->session = NULL;
}

static void
fill(struct router *r)
{
	struct sa_conf sa = {.spi = 0x12345678,
		.enc_alg = ENCR_AES_GCM_16,
		.enc_key_len = 36,
		.mode = SA_MODE_TUNNEL,
		.proto = 50};
	struct spd_policy_conf p = {
		.sel = {.src_port_hi = 65535, .dst_port_hi = 65535}, .mode = 2, .proto = 50};
	static const uint8_t key[SA_KEY_MAX];
	const char *why;
	uint32_t slot, nh;

	addr_parse("192.0.2.1", &sa.src);
	addr_parse("192.0.2.2", &sa.dst);
	addr_parse_prefix("10.0.0.0/8", &p.sel.src, &p.sel.src_plen);
	addr_parse_prefix("10.0.0.0/8", &p.sel.dst, &p.sel.dst_plen);
	p.action = SPD_PROTECT;
	for (sa.dir = SA_DIR_IN; sa.dir <= SA_DIR_OUT; sa.dir++)
		ck_assert_int_eq(sad_add(r->sad, &sa, key, false, &slot, &why), 0);
	for (unsigned int dir = 0; dir < SPD_DIRS; dir++) {
		p.dir = dir;
		ck_assert_int_eq(spd_add(r->spd, &p, NULL), 0);
	}
	ck_assert_int_eq(fib_nh_new(r->fib, NH_BLACKHOLE, 0, 1500, &nh), 0);
	ck_assert_int_eq(fib_route_set(r->fib, &p.sel.src, 8, nh), 0);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static struct config_lcore lcores[] = {{0, 0, ROLE_CONTROL}, {1, 1, ROLE_WORKER}};
	static struct config config = {.name = "fuzz", .lcores = lcores, .n_lcores = 2};
	static struct worker lcore = {.lcore = 1, .worker = true}, *workers[] = {&lcore};
	static struct router r = {
		.config = &config, .lcores = workers, .n_lcores = 1, .n_workers = 1};
	static const struct sad_crypto crypto = {session_create, session_destroy, NULL};
	struct sad_conf sc = {
		.max_sas = 256, .spi_min = 0xc0000000, .spi_max = 0xcfffffff, .workers = 1};
	struct fib_conf fc = {.max_routes = 1024, .max_nexthops = 64};

	(void)argc;
	(void)argv;
	fuzz_eal("256");
	config.limits.policies = 256;
	r.rcu = sc.rcu = fc.rcu = rcu_create();
	r.sad = sad_create(&sc, &crypto);
	r.spd = spd_create(256, r.rcu);
	r.fib = fib_create(&fc);
	ck_assert(r.sad != NULL && r.spd != NULL && r.fib != NULL);
	fill(&r);
	ctl = ctl_new(&r);
	ck_assert_ptr_nonnull(ctl);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len;
	char *line, *answer;
	json_t *doc, *status;

	if (size > CTL_LINE_MAX)
		return 0;
	/* As evbuffer_readln() gives it. */
	line = malloc(size + 1);
	memcpy(line, data, size);
	line[size] = '\0';
	answer = ctl_answer(ctl, line, size, &len);
	ck_assert_msg(answer != NULL, "no answer");
	ck_assert_uint_eq(strlen(answer), len);
	ck_assert_ptr_eq(strchr(answer, '\n'), answer + len - 1);
	doc = json_loads(answer, 0, NULL);
	status = json_object_get(doc, "status");
	ck_assert(json_is_string(status));
	json_decref(doc);
	free(answer);
	free(line);
	return 0;
}
