/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl_test.h"

#include "wire.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>

#define N_SAS 950

struct router router;
struct ctl *ctl;
static struct config config;
static struct worker lcore;
static struct worker *lcores[] = {&lcore};
static struct config_lcore config_lcores[] = {{0, 0, ROLE_CONTROL}, {1, 1, ROLE_WORKER}};
static uint8_t secret[SA_KEY_MAX];

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

void
world_setup(void)
{
	static const struct sad_crypto crypto = {session_create, session_destroy, NULL};
	struct sad_conf sc = {
		.max_sas = 1024, .spi_min = 0xc0000000, .spi_max = 0xcfffffff, .workers = 1};
	struct fib_conf fc = {.max_routes = 4096, .max_nexthops = 64};

	memset(secret, 0xa5, sizeof(secret));
	config = (struct config){
		.name = (char *)(uintptr_t) "test",
		.lcores = config_lcores,
		.n_lcores = 2,
	};
	config.limits.policies = 4096;
	lcore = (struct worker){.lcore = 1, .worker = true};
	router = (struct router){.config = &config,
		.epoch = 0x1234,
		.lcores = lcores,
		.n_lcores = 1,
		.n_workers = 1};
	router.rcu = sc.rcu = fc.rcu = rcu_create();
	router.sad = sad_create(&sc, &crypto);
	router.spd = spd_create(4096, router.rcu);
	router.fib = fib_create(&fc);
	ck_assert(router.sad != NULL && router.spd != NULL && router.fib != NULL);
	ctl = ctl_new(&router);
	ck_assert_ptr_nonnull(ctl);
}

void
world_teardown(void)
{
	ctl_free(ctl);
	rcu_flush(router.rcu);
	sad_destroy(router.sad);
	spd_destroy(router.spd);
	fib_destroy(router.fib);
	rcu_destroy(router.rcu);
}

static struct ip_addr
ip(const char *s)
{
	struct ip_addr a;

	ck_assert_int_eq(addr_parse(s, &a), 0);
	return a;
}

uint32_t
world_add_sa(uint8_t dir, uint32_t spi, uint32_t reqid)
{
	struct sa_conf conf = {
		.src = ip("192.0.2.1"),
		.dst = ip("192.0.2.2"),
		.spi = htonl(spi),
		.reqid = reqid,
		.owner = dir == SA_DIR_OUT ? 0x77 : 0,
		.replay_window = dir == SA_DIR_IN ? 64 : 0,
		.enc_alg = ENCR_AES_GCM_16,
		.enc_key_len = 36,
		.dir = dir,
		.mode = SA_MODE_TUNNEL,
		.proto = 50,
		.flags = IKE_SA_ENCAP,
		.src_port = htons(4500),
		.dst_port = htons(41000),
		.life = {.time_hard = 3600, .bytes_soft = 1000},
	};
	const char *why = "";
	uint32_t slot;
	int rc = sad_add(router.sad, &conf, secret, false, &slot, &why);

	ck_assert_msg(rc == 0, "sad_add: %d %s", rc, why);
	return slot;
}

/* The answer to a line, to be freed. */
static json_t *
ask(const char *line)
{
	size_t len;
	char *answer = ctl_answer(ctl, line, strlen(line), &len);
	json_t *doc;

	ck_assert_ptr_nonnull(answer);
	ck_assert_uint_eq(strlen(answer), len);
	ck_assert(strchr(answer, '\n') == answer + len - 1);
	doc = json_loads(answer, 0, NULL);
	ck_assert_ptr_nonnull(doc);
	free(answer);
	return doc;
}

static json_t *
ask_data(const char *line)
{
	json_t *doc = ask(line), *data = json_incref(json_object_get(doc, "data"));

	ck_assert_str_eq(json_string_value(json_object_get(doc, "status")), "ok");
	ck_assert_ptr_nonnull(data);
	json_decref(doc);
	return data;
}

static const struct {
	const char *line, *message;
} bad[] = {
	{"", "no JSON"},
	{"garbage", "no JSON"},
	{"\xff\xfe", "no JSON"},
	{"{\"command\":\"sa\"", "no JSON"},
	{"{\"command\":\"sa\"} x", "no JSON"},
	{"{\"command\":\"sa\",\"command\":\"sa\"}", "no JSON"},
	{"[]", "is an object"},
	{"{}", "names its command"},
	{"{\"command\":7}", "names its command"},
	{"{\"command\":\"reboot\"}", "unknown command 'reboot'"},
	{"{\"command\":\"\"}", "unknown command"},
	/* Cut in the midst of a character. */
	{"{\"command\":\"123456789 123456789 123456789 123456789\xc3\xa4\"}", "unknown command"},
	{"{\"command\":\"sa\",\"arg\":{}}", "has no 'arg'"},
	{"{\"command\":\"sa\",\"args\":[]}", "args is not an object"},
	{"{\"command\":\"sa\",\"args\":{\"key\":1}}", "unknown argument 'key'"},
	{"{\"command\":\"sa\",\"args\":{\"cursor\":1}}", "not a string"},
	{"{\"command\":\"sa\",\"args\":{\"cursor\":\"\"}}", "not a cursor"},
	{"{\"command\":\"sa\",\"args\":{\"cursor\":\"-1\"}}", "not a cursor"},
	{"{\"command\":\"sa\",\"args\":{\"cursor\":\" 1\"}}", "not a cursor"},
	{"{\"command\":\"sa\",\"args\":{\"cursor\":\"1x\"}}", "not a cursor"},
	{"{\"command\":\"sa\",\"args\":{\"cursor\":\"1024\"}}", "not a cursor"},
	{"{\"command\":\"sa\",\"args\":{\"cursor\":\"99999999999999999999\"}}", "not a cursor"},
	{"{\"command\":\"sa\",\"args\":{\"spi\":-1}}", "not an SPI"},
	{"{\"command\":\"sa\",\"args\":{\"spi\":4294967296}}", "not an SPI"},
	{"{\"command\":\"sa\",\"args\":{\"spi\":\"0x1g\"}}", "not an SPI"},
	{"{\"command\":\"sa\",\"args\":{\"spi\":\"-0x1\"}}", "not an SPI"},
	{"{\"command\":\"sa\",\"args\":{\"spi\":\"0x100000000\"}}", "not an SPI"},
	{"{\"command\":\"sa\",\"args\":{\"spi\":null}}", "not an SPI"},
	{"{\"command\":\"policy\",\"args\":{\"cursor\":\"-1\"}}", "not a cursor"},
	{"{\"command\":\"policy\",\"args\":{\"cursor\":\"1:2:3\"}}", "not a cursor"},
	{"{\"command\":\"route\",\"args\":{\"cursor\":\"10.0.0.0/33\"}}", "not a cursor"},
	{"{\"command\":\"route\",\"args\":{\"cursor\":\"2001:db8::/129\"}}", "not a cursor"},
	{"{\"command\":\"graph\",\"args\":{\"all\":1}}", "true or false"},
	{"{\"command\":\"graph\",\"args\":{\"cursor\":\"9\"}}", "not a cursor"},
	{"{\"command\":\"status\",\"args\":{\"x\":1}}", "unknown argument 'x'"},
};

START_TEST(refuses)
{
	json_t *doc = ask(bad[_i].line);
	const char *message = json_string_value(json_object_get(doc, "message"));

	ck_assert_str_eq(json_string_value(json_object_get(doc, "status")), "error");
	ck_assert_ptr_nonnull(message);
	ck_assert_msg(strstr(message, bad[_i].message) != NULL, "%s: %s", bad[_i].line, message);
	ck_assert_ptr_null(json_object_get(doc, "data"));
	json_decref(doc);
}
END_TEST

/* Reads a table page by page and calls seen() for each row; between() runs after each page. */
static unsigned int
read_pages(const char *command, void (*seen)(const json_t *row), void (*between)(unsigned int page))
{
	json_t *request = json_pack("{sss{}}", "command", command, "args");
	unsigned int pages = 0;
	bool more = true;

	while (more) {
		char *line = json_dumps(request, 0);
		json_t *doc = ask(line), *row, *next = json_object_get(doc, "next");
		size_t i;

		ck_assert_str_eq(json_string_value(json_object_get(doc, "status")), "ok");
		ck_assert_uint_le(json_array_size(json_object_get(doc, "data")), CTL_PAGE_ROWS);
		json_array_foreach (json_object_get(doc, "data"), i, row)
			seen(row);
		more = next != NULL;
		if (more)
			json_object_set(json_object_get(request, "args"), "cursor", next);
		if (more && between != NULL)
			between(pages);
		ck_assert_uint_lt(++pages, 1000);
		json_decref(doc);
		free(line);
	}
	json_decref(request);
	return pages;
}

static unsigned int times[8192];
static uint32_t slots[N_SAS];

static void
saw_sa(const json_t *row)
{
	times[json_integer_value(json_object_get(row, "slot"))]++;
}

/* SAs go and come while the table is read. */
static void
change_sas(unsigned int page)
{
	for (unsigned int i = 0; i < 20; i++)
		ck_assert_int_eq(sad_del(router.sad, slots[N_SAS - 1 - page * 20 - i]), 0);
	rcu_flush(router.rcu);
	for (unsigned int i = 0; i < 5; i++)
		world_add_sa(SA_DIR_OUT, 0x20000 + page * 100 + i, 1);
}

START_TEST(sa_pages)
{
	unsigned int pages;

	for (unsigned int i = 0; i < N_SAS; i++)
		slots[i] = world_add_sa(SA_DIR_OUT, 0x1000 + i, i / 2);
	memset(times, 0, sizeof(times));
	ck_assert_uint_eq(
		read_pages("sa", saw_sa, NULL), (N_SAS + CTL_PAGE_ROWS - 1) / CTL_PAGE_ROWS);
	for (unsigned int i = 0; i < N_SAS; i++)
		ck_assert_uint_eq(times[slots[i]], 1);
	memset(times, 0, sizeof(times));
	pages = read_pages("sa", saw_sa, change_sas);
	for (unsigned int i = 0; i < N_SAS - (pages - 1) * 20; i++)
		ck_assert_uint_eq(times[slots[i]], 1);
	for (unsigned int i = 0; i < 1024; i++)
		ck_assert_uint_le(times[i], 1);
}
END_TEST

START_TEST(sa_tells_all_but_the_key)
{
	static const char key[] = "a5a5a5";
	struct sa_counters *c = sad_worker_counters(router.sad, 0);
	uint32_t in = world_add_sa(SA_DIR_IN, 0xabcdef01, 5);
	json_t *data, *row;
	char *text;

	world_add_sa(SA_DIR_OUT, 0x10000001, 5);
	c[in].use.packets = 7;
	c[in].use.bytes = 700;
	c[in].errors[SA_ERR_ICV] = 2;
	c[in].errors[SA_ERR_REPLAY] = 3;
	data = ask_data("{\"command\":\"sa\",\"args\":{\"spi\":\"0xabcdef01\"}}");
	ck_assert_uint_eq(json_array_size(data), 1);
	row = json_array_get(data, 0);
	text = json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS);
	ck_assert_ptr_null(strstr(text, key));
	free(text);
	json_object_del(row, "slot");
	json_object_del(row, "age");
	text = json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS);
	ck_assert_str_eq(text,
		"{\"bytes\":700,\"destination\":\"192.0.2.2\",\"direction\":\"in\","
		"\"encapsulation\":{\"destination_port\":41000,\"source_port\":4500,\"type\":"
		"\"udp\"},"
		"\"encryption\":\"AES_GCM_16-256\",\"errors\":5,"
		"\"errors_by_reason\":{\"icv\":2,\"replay\":3},\"flags\":[],\"if_id\":0,"
		"\"integrity\":null,\"last_use_age\":null,"
		"\"left\":{\"hard\":{\"bytes\":null,\"packets\":null,\"seconds\":3600},"
		"\"soft\":{\"bytes\":300,\"packets\":null,\"seconds\":null}},"
		"\"mark\":null,\"mode\":\"tunnel\",\"mtu\":null,\"owner\":\"0x0000000000000000\","
		"\"owner_state\":\"static\",\"packets\":7,\"path_mtu\":null,"
		"\"path_mtu_left\":null,"
		"\"protocol\":\"esp\",\"reqid\":5,"
		"\"sequence\":0,\"sequence_left\":null,\"source\":\"192.0.2.1\","
		"\"spi\":\"0xabcdef01\",\"state\":\"live\",\"window\":64,\"worker\":null}");
	free(text);
	json_decref(data);
	/* 0x10000001 as a number; its owner is not there. */
	data = ask_data("{\"command\":\"sa\",\"args\":{\"spi\":268435457}}");
	row = json_array_get(data, 0);
	ck_assert_str_eq(json_string_value(json_object_get(row, "direction")), "out");
	ck_assert_str_eq(json_string_value(json_object_get(row, "owner_state")), "orphan");
	ck_assert(json_is_integer(json_object_get(row, "sequence_left")));
	ck_assert_int_gt(json_integer_value(json_object_get(row, "sequence_left")), 0);
	json_decref(data);
	data = ask_data("{\"command\":\"sa\",\"args\":{\"spi\":1}}");
	ck_assert_uint_eq(json_array_size(data), 0);
	json_decref(data);
}
END_TEST

/* Policy i: one reqid for most, so that one bucket takes several pages. */
static struct spd_policy_conf
policy_conf(unsigned int i)
{
	struct spd_policy_conf conf = {
		.sel = {.src = ip("10.0.0.0"),
			.dst = ip("10.128.0.0"),
			.src_plen = 8,
			.dst_plen = 32,
			.src_port_hi = 65535,
			.dst_port_hi = 65535},
		.reqid = i % 10 == 0 ? i : 3,
		.priority = 1000,
		.dir = i % SPD_DIRS,
		.action = SPD_PROTECT,
		.mode = SA_MODE_TUNNEL,
		.proto = 50,
	};

	conf.sel.dst.v4 |= htonl(i);
	return conf;
}

static void
saw_policy(const json_t *row)
{
	struct ip_addr a;
	uint8_t plen;

	ck_assert_int_eq(addr_parse_prefix(
				 json_string_value(json_object_get(row, "destination")), &a, &plen),
		0);
	times[ntohl(a.v4) & 0xffff]++;
}

/* Those from 2000 on go and are replaced while the table is read. */
static void
change_policies(unsigned int page)
{
	for (unsigned int i = 0; i < 30; i++) {
		struct spd_policy_conf conf = policy_conf(2000 + page * 30 + i);

		if (i % 2 == 0)
			ck_assert_int_eq(spd_del(router.spd, &conf), 0);
		else
			ck_assert_int_eq(spd_add(router.spd, &conf, NULL), 0);
	}
	rcu_flush(router.rcu);
}

START_TEST(policy_pages)
{
	for (unsigned int i = 0; i < 3000; i++) {
		struct spd_policy_conf conf = policy_conf(i);

		ck_assert_int_eq(spd_add(router.spd, &conf, NULL), 0);
	}
	memset(times, 0, sizeof(times));
	ck_assert_uint_eq(read_pages("policy", saw_policy, NULL), 3000 / CTL_PAGE_ROWS + 1);
	for (unsigned int i = 0; i < 3000; i++)
		ck_assert_uint_eq(times[i], 1);
	memset(times, 0, sizeof(times));
	read_pages("policy", saw_policy, change_policies);
	for (unsigned int i = 0; i < 2000; i++)
		ck_assert_uint_eq(times[i], 1);
	/* Replaced ones are not lost; they may show in both shapes. */
	for (unsigned int i = 2001; i < 3000; i += 2)
		ck_assert_uint_ge(times[i], 1);
}
END_TEST

START_TEST(policy_shows_its_sa)
{
	struct spd_policy_conf conf = policy_conf(1);
	struct spd_policy *p;
	json_t *data;

	conf.dir = SPD_OUT;
	conf.sel.proto = 6;
	conf.sel.dst_port_lo = 80;
	conf.sel.dst_port_hi = 90;
	ck_assert_int_eq(spd_add(router.spd, &conf, NULL), 0);
	data = ask_data("{\"command\":\"policy\"}");
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(data, 0), "sa")), "trap");
	ck_assert_str_eq(
		json_string_value(json_object_get(json_array_get(data, 0), "destination_ports")),
		"80-90");
	ck_assert_str_eq(
		json_string_value(json_object_get(json_array_get(data, 0), "protocol")), "tcp");
	json_decref(data);
	p = spd_find(router.spd, &conf);
	ck_assert_ptr_nonnull(p);
	spd_bind(router.spd, p, world_add_sa(SA_DIR_OUT, 0x12345678, 3));
	data = ask_data("{\"command\":\"policy\"}");
	ck_assert_str_eq(
		json_string_value(json_object_get(json_array_get(data, 0), "sa")), "0x12345678");
	json_decref(data);
}
END_TEST

/* Route i: a /32, and among them shorter ones around. */
static void
route(unsigned int i, struct ip_addr *dst, uint8_t *plen)
{
	*dst = ip("10.0.0.0");
	dst->v4 |= htonl(i);
	*plen = i % 256 == 0 ? (i == 0 ? 8 : 24) : 32;
}

static void
saw_route(const json_t *row)
{
	struct ip_addr a;
	uint8_t plen;

	ck_assert_int_eq(
		addr_parse_prefix(json_string_value(json_object_get(row, "prefix")), &a, &plen), 0);
	if (plen == 0)
		times[8191]++;
	else
		times[ntohl(a.v4) & 0x1fff]++;
}

/* The route that the cursor names goes, and many around it. */
static void
change_routes(unsigned int page)
{
	struct ip_addr dst;
	uint8_t plen;

	for (unsigned int i = 1; i < 2000; i++) {
		if (times[i] != 1 || i % 3 != page % 3)
			continue;
		route(i, &dst, &plen);
		ck_assert_int_eq(fib_route_del(router.fib, &dst, plen), 0);
		times[i] = 2;
		rcu_flush(router.rcu);
	}
}

START_TEST(route_pages)
{
	struct ip_addr any = ip("0.0.0.0"), dst;
	uint8_t plen;
	uint32_t nh;

	ck_assert_int_eq(fib_nh_new(router.fib, NH_BLACKHOLE, 0, 0, &nh), 0);
	for (unsigned int i = 0; i < 2000; i++) {
		route(i, &dst, &plen);
		ck_assert_int_eq(fib_route_set(router.fib, &dst, plen, nh), 0);
	}
	ck_assert_int_eq(fib_route_set(router.fib, &any, 0, nh), 0);
	rcu_flush(router.rcu);
	memset(times, 0, sizeof(times));
	ck_assert_uint_eq(read_pages("route", saw_route, NULL), 2000 / CTL_PAGE_ROWS + 1);
	for (unsigned int i = 0; i < 2000; i++)
		ck_assert_uint_eq(times[i], 1);
	ck_assert_uint_eq(times[8191], 1);
	memset(times, 0, sizeof(times));
	read_pages("route", saw_route, change_routes);
	for (unsigned int i = 0; i < 2000; i++)
		ck_assert_msg(times[i] == 1 || times[i] == 2, "route %u: %u times", i, times[i]);
	ck_assert_uint_eq(times[0], 1);
	ck_assert_uint_eq(times[8191], 1);
}
END_TEST

START_TEST(route_shows_its_hops)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct ip_addr gw = ip("192.0.2.9"), gw2 = ip("192.0.2.10"), dst = ip("10.0.0.0");
	uint32_t a, b, nh;
	json_t *data, *hops;
	char *text;

	config.ports = &(struct config_port){.name = (char *)(uintptr_t) "wan0"};
	config.n_ports = 1;
	router.port_ids[0] = 4;
	ck_assert_int_eq(fib_nh_adj(router.fib, 4, &gw, mac, 1500, &a), 0);
	ck_assert_int_eq(fib_nh_adj(router.fib, 4, &gw2, mac, 1400, &b), 0);
	fib_nh_resolve(router.fib, a, mac);
	ck_assert_int_eq(fib_nh_multipath(router.fib, (uint32_t[]){a, b, a}, 3, &nh), 0);
	ck_assert_int_eq(fib_route_set(router.fib, &dst, 8, nh), 0);
	data = ask_data("{\"command\":\"route\"}");
	ck_assert_uint_eq(json_array_size(data), 1);
	hops = json_object_get(json_array_get(data, 0), "hops");
	text = json_dumps(hops, JSON_COMPACT | JSON_SORT_KEYS);
#define HOP_A                                                                                      \
	"{\"gateway\":\"192.0.2.9\",\"kind\":\"neighbour\",\"mac\":\"02:00:00:00:00:09\",\"mtu\":" \
	"1500,\"port\":\"wan0\",\"state\":\"resolved\"}"
	ck_assert_str_eq(text,
		"[" HOP_A ",{\"gateway\":\"192.0.2.10\",\"kind\":\"neighbour\","
		"\"mac\":null,\"mtu\":1400,\"port\":\"wan0\",\"state\":\"unresolved\"}," HOP_A "]");
	free(text);
	json_decref(data);
}
END_TEST

START_TEST(graph_and_lcores)
{
	json_t *data, *row, *drops;

	lcore.drops[DROP_ESP_REPLAY] = 12;
	lcore.crypto_queue.head = 9;
	lcore.crypto_queue.tail = 4;
	data = ask_data("{\"command\":\"graph\"}");
	row = json_array_get(data, 0);
	ck_assert_str_eq(json_string_value(json_object_get(row, "graph")), "worker-1");
	drops = json_object_get(row, "drops");
	ck_assert_uint_eq(json_array_size(drops), 1);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(drops, 0), "reason")),
		"esp-replay");
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_array_get(drops, 0), "packets")), 12);
	json_decref(data);
	data = ask_data("{\"command\":\"graph\",\"args\":{\"all\":true}}");
	ck_assert_uint_eq(json_array_size(json_object_get(json_array_get(data, 0), "drops")),
		DROP_REASONS_MAX);
	json_decref(data);
	usleep(2000);
	lcore.busy_cycles = 1ull << 50; /* more than there was: it says 100 */
	lcore.sleep_cycles = 0;
	ctl_sample(ctl);
	data = ask_data("{\"command\":\"lcores\"}");
	ck_assert_uint_eq(json_array_size(data), 2);
	ck_assert_str_eq(
		json_string_value(json_object_get(json_array_get(data, 0), "role")), "control");
	row = json_array_get(data, 1);
	ck_assert_int_eq(json_integer_value(json_object_get(row, "frames_in_flight")), 5);
	ck_assert_double_eq(json_real_value(json_object_get(row, "busy_percent")), 100);
	ck_assert_double_eq(json_real_value(json_object_get(row, "sleep_percent")), 0);
	json_decref(data);
}
END_TEST

START_TEST(status_and_version)
{
	json_t *data, *sas;

	world_add_sa(SA_DIR_IN, 0xabcdef01, 5);
	spd_set_complete(router.spd, true);
	data = ask_data("{\"command\":\"status\"}");
	ck_assert_str_eq(json_string_value(json_object_get(data, "name")), "test");
	ck_assert_str_eq(json_string_value(json_object_get(data, "epoch")), "0x0000000000001234");
	ck_assert_int_eq(json_integer_value(json_object_get(data, "pid")), getpid());
	ck_assert(json_is_true(json_object_get(data, "policies_complete")));
	sas = json_object_get(json_object_get(data, "counts"), "sas");
	ck_assert_int_eq(json_integer_value(json_object_get(sas, "live")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(sas, "limit")), 1024);
	json_decref(data);
	data = ask_data("{\"command\":\"version\"}");
	ck_assert_str_eq(json_string_value(json_object_get(data, "version")), CYGNET_VERSION);
	json_decref(data);
}
END_TEST

static void
eal(void)
{
	char *argv[] = {(char[]){"test"}, (char[]){"--no-huge"}, (char[]){"--no-shconf"},
		(char[]){"--no-pci"}, (char[]){"--no-telemetry"}, (char[]){"-m"}, (char[]){"256"},
		(char[]){"-l"}, (char[]){"0"}, (char[]){"--log-level=error"}, NULL};

	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		exit(EXIT_FAILURE);
}

int
main(void)
{
	Suite *s = suite_create("ctl");
	TCase *t = tcase_create("requests");
	SRunner *r;
	int failed;

	eal();
	tcase_add_checked_fixture(t, world_setup, world_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, refuses, 0, RTE_DIM(bad));
	tcase_add_test(t, sa_pages);
	tcase_add_test(t, sa_tells_all_but_the_key);
	tcase_add_test(t, policy_pages);
	tcase_add_test(t, policy_shows_its_sa);
	tcase_add_test(t, route_pages);
	tcase_add_test(t, route_shows_its_hops);
	tcase_add_test(t, graph_and_lcores);
	tcase_add_test(t, status_and_version);
	suite_add_tcase(s, t);
	suite_add_tcase(s, ctl_server_case());
	suite_add_tcase(s, ctl_render_case());
	suite_add_tcase(s, ctl_packet_case());
	suite_add_tcase(s, doctor_case());
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
