/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl_test.h"

#include "client.h"
#include "detail.h"
#include "graph.h"
#include "list.h"
#include "units.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* What cygnetctl makes of answers. */

static char *text;
static size_t text_len;

static struct view
view_begin(bool json, bool human, unsigned int width)
{
	free(text);
	text = NULL;
	return (struct view){.out = open_memstream(&text, &text_len),
		.json = json,
		.human = human,
		.width = width};
}

static json_t *
parse(const char *s)
{
	json_error_t e;
	json_t *v = json_loads(s, 0, &e);

	ck_assert_msg(v != NULL, "%s at %d", e.text, e.position);
	return v;
}

/* Shows a list whose pages are given; the result is in text. */
static void
show(const struct list *list, struct view view, unsigned int n, const char *const *pages)
{
	struct list_show s;

	list_begin(&s, list, &view);
	for (unsigned int i = 0; i < n; i++) {
		json_t *page = parse(pages[i]);

		ck_assert_int_eq(list_page(&s, page), CTL_OK);
		json_decref(page);
	}
	list_end(&s, true);
	fclose(view.out);
}

#define ROUTE(prefix, port)                                                                   \
	"{\"prefix\":\"" prefix "\",\"kind\":\"connected\",\"gateway\":null,\"port\":\"" port \
	"\",\"mac\":null,\"state\":null,\"mtu\":1500}"

static const char *const routes[] = {
	"[" ROUTE("192.0.2.0/24", "wan0") "," ROUTE("9.0.0.0/8", "lan0") "]",
	"[" ROUTE("2001:db8::/32", "wan0") "," ROUTE("192.0.0.0/8", "wan0") "," ROUTE(
		"10.0.0.0/8", "l") "]",
};

START_TEST(tables_are_sorted_and_aligned)
{
	show(&list_route, view_begin(false, false, 0), 2, routes);
	ck_assert_str_eq(text, "PREFIX         KIND       GATEWAY  PORT  MAC  STATE   MTU\n"
			       "9.0.0.0/8      connected  -        lan0  -    -      1500\n"
			       "10.0.0.0/8     connected  -        l     -    -      1500\n"
			       "192.0.0.0/8    connected  -        wan0  -    -      1500\n"
			       "192.0.2.0/24   connected  -        wan0  -    -      1500\n"
			       "2001:db8::/32  connected  -        wan0  -    -      1500\n");
}
END_TEST

START_TEST(a_narrow_terminal_hides_columns)
{
	const char *line, *end;

	show(&list_route, view_begin(false, false, 50), 2, routes);
	ck_assert_ptr_eq(strstr(text, "PREFIX         KIND       GATEWAY  PORT  STATE"), text);
	ck_assert_ptr_nonnull(strstr(text, "\n(no room for MTU, MAC: --wide)\n"));
	for (line = text; (end = strchr(line, '\n')) != NULL; line = end + 1)
		ck_assert_int_le(end - line, 50);
	/* What must stay stays. */
	show(&list_route, view_begin(false, false, 10), 2, routes);
	ck_assert_ptr_nonnull(strstr(text, "2001:db8::/32  connected"));
}
END_TEST

START_TEST(json_is_one_array)
{
	json_t *v;

	show(&list_route, view_begin(true, true, 20), 2, routes);
	v = parse(text);
	ck_assert_uint_eq(json_array_size(v), 5);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(v, 2), "prefix")),
		"2001:db8::/32");
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(v, 4), "mtu")), 1500);
	json_decref(v);
	show(&list_route, view_begin(true, false, 0), 1, (const char *const[]){"[]"});
	ck_assert_str_eq(text, "[]\n");
}
END_TEST

START_TEST(empty_tables_say_so)
{
	show(&list_sa, view_begin(false, false, 0), 1, (const char *const[]){"[]"});
	ck_assert_str_eq(text, "no SAs\n");
	show(&list_policy, view_begin(false, false, 0), 1, (const char *const[]){"[]"});
	ck_assert_str_eq(text, "no policies\n");
}
END_TEST

START_TEST(wrong_answers_do_no_harm)
{
	static const struct list *const lists[] = {
		&list_sa, &list_policy, &list_route, &list_port, &list_lcores};
	static const char *const wrong[] = {"[{}]", "[null,1,\"x\",[]]",
		"[{\"spi\":1,\"prefix\":7,\"link\":3,\"stats\":[],\"hops\":{},\"encapsulation\":[]}"
		"]",
		"[{\"prefix\":\"x/y\",\"hops\":[1],\"encapsulation\":{},\"left\":{\"hard\":1}}]",
		"[{\"prefix\":\"/\"},{\"prefix\":"
		"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/"
		"1\"}]"};
	struct list_show s;
	struct view view;
	json_t *no;

	for (unsigned int l = 0; l < RTE_DIM(lists); l++)
		for (unsigned int i = 0; i < RTE_DIM(wrong); i++)
			show(lists[l], view_begin(false, true, 80), 1, &wrong[i]);
	view = view_begin(false, true, 80);
	no = parse("{}");
	list_begin(&s, &list_sa, &view);
	ck_assert_int_eq(list_page(&s, no), CTL_REFUSED);
	list_end(&s, false);
	detail_sa(&view, no);
	detail_status(&view, no);
	graph_print(&view, no, no, true);
	json_decref(no);
	fclose(view.out);
}
END_TEST

START_TEST(one_sa_in_full)
{
	struct view view = view_begin(false, true, 0);
	json_t *row = parse(
		"{\"spi\":\"0xc1234567\",\"direction\":\"in\",\"source\":\"192.0.2.1\","
		"\"destination\":"
		"\"192.0.2.2\",\"protocol\":\"esp\",\"mode\":\"tunnel\",\"reqid\":4,\"state\":"
		"\"live\","
		"\"owner\":\"0x1\",\"owner_state\":\"alive\",\"packets\":123456,\"bytes\":9999,"
		"\"errors\":3,\"errors_by_reason\":{\"icv\":1,\"replay\":2},\"last_use_age\":61,"
		"\"age\":90000,\"window\":64,\"encryption\":\"AES_GCM_16-256\",\"integrity\":null,"
		"\"encapsulation\":{\"source_port\":4500,\"destination_port\":41000},\"flags\":["
		"\"esn\",\"copy-df\"],\"sequence\":77,\"sequence_left\":null,\"worker\":null,"
		"\"left\":{\"soft\":{\"seconds\":30,\"bytes\":50000,\"packets\":null},"
		"\"hard\":{\"seconds\":null,\"bytes\":null,\"packets\":null}}}");

	detail_sa(&view, row);
	fclose(view.out);
	json_decref(row);
	ck_assert_ptr_nonnull(strstr(text, "encapsulation  UDP, port 4500 to 41000\n"));
	ck_assert_ptr_nonnull(strstr(text, "flags          esn, copy-df\n"));
	ck_assert_ptr_nonnull(strstr(text, "lifetime left  soft 30s, 50.0k bytes\n"));
	ck_assert_ptr_nonnull(strstr(text, "traffic        123k packets, 9999 bytes\n"));
	ck_assert_ptr_nonnull(strstr(text, "errors         3 (icv 1, replay 2)\n"));
	ck_assert_ptr_nonnull(strstr(text, "last use       1m01s\n"));
	ck_assert_ptr_nonnull(strstr(text, "age            1d01h\n"));
}
END_TEST

#define NODES(calls, packets, cycles, drops, time)                                                \
	"[{\"lcore\":2,\"role\":\"worker\",\"graph\":\"worker-2\",\"time_ns\":" time              \
	",\"nodes\":[{\"node\":\"ip4-input\",\"calls\":" calls ",\"packets\":" packets            \
	",\"cycles\":" cycles "},{\"node\":\"idle\",\"calls\":0,\"packets\":0,\"cycles\":0}],"    \
	"\"drops\":[{\"reason\":\"ip4-ttl\",\"text\":\"time to live ran out\",\"packets\":" drops \
	"}]}]"

START_TEST(graph_totals_and_rates)
{
	json_t *before = parse(NODES("10", "320", "32000", "5", "1000000000"));
	json_t *now = parse(NODES("30", "960", "160000", "9", "3000000000"));
	struct view view = view_begin(false, false, 0);

	graph_print(&view, before, NULL, false);
	fclose(view.out);
	ck_assert_str_eq(text,
		"LCORE  ROLE    NODE       CALLS  PACKETS  PACKETS/CALL  CYCLES/PACKET\n"
		"    2  worker  ip4-input     10      320          32.0          100.0\n"
		"\n"
		"LCORE  DROPPED  REASON   MEANING\n"
		"    2        5  ip4-ttl  time to live ran out\n");
	view = view_begin(false, false, 0);
	graph_print(&view, now, before, true);
	fclose(view.out);
	ck_assert_str_eq(text,
		"LCORE  ROLE    NODE       CALLS/s  PACKETS/s  PACKETS/CALL  CYCLES/PACKET\n"
		"    2  worker  ip4-input       10        320          32.0          200.0\n"
		"    2  worker  idle             0          0             -              -\n"
		"\n"
		"LCORE  DROPPED/s  REASON   MEANING\n"
		"    2          2  ip4-ttl  time to live ran out\n");
	/* For people: what a node that seldom has a packet costs for each. */
	json_decref(now);
	now = parse(NODES("1234567", "10", "200118564", "5", "1000000000"));
	view = view_begin(false, true, 0);
	graph_print(&view, now, NULL, false);
	fclose(view.out);
	ck_assert_ptr_nonnull(
		strstr(text, "ip4-input  1.23M       10           0.0          20.0M\n"));
	json_decref(now);
	now = parse(NODES("30", "960", "160000", "9", "3000000000"));
	/* The router began anew in between: no negative rates. */
	view = view_begin(false, false, 0);
	graph_print(&view, before, now, false);
	fclose(view.out);
	ck_assert_ptr_null(strstr(text, "-2"));
	json_decref(before);
	json_decref(now);
}
END_TEST

START_TEST(units)
{
	static const struct {
		double v;
		const char *s;
	} counts[] = {{0, "0"}, {9999, "9999"}, {10000, "10.0k"}, {99949, "99.9k"}, {99950, "100k"},
		{999499, "999k"}, {999500, "1.00M"}, {1234567, "1.23M"}, {9995000, "10.0M"},
		{1e15, "1.00P"}, {1.8446744073709552e19, "18.4E"}};
	static const struct {
		json_int_t v;
		const char *s;
	} ages[] = {{-37, "0s"}, {0, "0s"}, {59, "59s"}, {60, "1m00s"}, {3599, "59m59s"},
		{3600, "1h00m"}, {86399, "23h59m"}, {86400, "1d00h"},
		{INT64_MAX, "106751991167300d15h"}};
	char buf[UNITS_MAX];

	for (unsigned int i = 0; i < RTE_DIM(counts); i++)
		ck_assert_str_eq(units_count(buf, counts[i].v, true), counts[i].s);
	ck_assert_str_eq(units_count(buf, 1234567, false), "1234567");
	for (unsigned int i = 0; i < RTE_DIM(ages); i++) {
		json_t *v = json_integer(ages[i].v);

		ck_assert_str_eq(units_age(buf, v, true), ages[i].s);
		ck_assert_str_eq(units_left(buf, v, true), ages[i].v < 0 ? "overdue" : ages[i].s);
		json_decref(v);
	}
	ck_assert_str_eq(units_age(buf, NULL, true), "-");
	ck_assert_str_eq(units_member(buf, NULL, "x", true), "-");
}
END_TEST

static int
listen_at(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(un.sun_path, path);
	unlink(path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

START_TEST(finds_the_socket)
{
	char dir[] = "/tmp/cygnet-find-XXXXXX", path[CLIENT_PATH_MAX], a[64], b[64], c[64];
	int fd_a, fd_b, fd;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(a, sizeof(a), "%s/a.sock", dir);
	snprintf(b, sizeof(b), "%s/b.sock", dir);
	snprintf(c, sizeof(c), "%s/other", dir);
	ck_assert_int_eq(client_find(dir, NULL, NULL, path), CTL_NO_ROUTER);
	ck_assert_int_eq(client_find(dir, "/x/y", NULL, path), CTL_OK);
	ck_assert_str_eq(path, "/x/y");
	ck_assert_int_eq(client_find(dir, NULL, "b", path), CTL_OK);
	ck_assert_str_eq(path, b);
	ck_assert_int_eq(client_find(dir, NULL, "../b", path), CTL_USAGE);
	ck_assert_int_eq(client_find(dir, "/x", "b", path), CTL_USAGE);
	fd_a = listen_at(a);
	fd = listen_at(c);
	ck_assert_int_eq(client_find(dir, NULL, NULL, path), CTL_OK);
	ck_assert_str_eq(path, a);
	fd_b = listen_at(b);
	ck_assert_int_eq(client_find(dir, NULL, NULL, path), CTL_USAGE);
	close(fd_a); /* dead now: its file is still there */
	ck_assert_int_eq(client_find(dir, NULL, NULL, path), CTL_OK);
	ck_assert_str_eq(path, b);
	close(fd_b);
	ck_assert_int_eq(client_find(dir, NULL, NULL, path), CTL_NO_ROUTER);
	ck_assert_int_eq(client_connect(a, &fd_a), CTL_NO_ROUTER);
	close(fd);
	unlink(a);
	unlink(b);
	unlink(c);
	rmdir(dir);
}
END_TEST

/* A router of canned lines, in a thread: each question gets the next. */
struct canned {
	int fd;
	const char *const *lines;
};

static void *
answer(void *arg)
{
	struct canned *c = arg;
	char buf[4096];

	for (const char *const *l = c->lines; *l != NULL; l++) {
		if (recv(c->fd, buf, sizeof(buf), 0) <= 0)
			break;
		send(c->fd, *l, strlen(*l), MSG_NOSIGNAL);
	}
	close(c->fd);
	return NULL;
}

static int
ask_canned(const char *const *lines, json_t **data)
{
	struct canned c = {.lines = lines};
	int fds[2], rc;
	pthread_t t;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	c.fd = fds[1];
	ck_assert_int_eq(pthread_create(&t, NULL, answer, &c), 0);
	rc = client_ask_all(fds[0], "sa", NULL, data);
	close(fds[0]);
	pthread_join(t, NULL);
	return rc;
}

START_TEST(client_joins_pages)
{
	json_t *data;

	ck_assert_int_eq(
		ask_canned(
			(const char *const[]){"{\"status\":\"ok\",\"data\":[1,2],\"next\":\"2\"}\n",
				"{\"status\":\"ok\",\"data\":[],\"next\":\"3\"}\n",
				"{\"status\":\"ok\",\"data\":[3]}\n", NULL},
			&data),
		CTL_OK);
	ck_assert_uint_eq(json_array_size(data), 3);
	json_decref(data);
	ck_assert_int_eq(
		ask_canned(
			(const char *const[]){"{\"status\":\"ok\",\"data\":[1],\"next\":\"1\"}\n",
				"{\"status\":\"error\",\"message\":\"no\"}\n", NULL},
			&data),
		CTL_REFUSED);
	ck_assert_ptr_null(data);
	ck_assert_int_eq(ask_canned((const char *const[]){"garbage\n", NULL}, &data), CTL_REFUSED);
	ck_assert_int_eq(ask_canned((const char *const[]){"{}\n", NULL}, &data), CTL_REFUSED);
	ck_assert_int_eq(ask_canned((const char *const[]){"{\"status\":\"ok\",\"da", NULL}, &data),
		CTL_NO_ROUTER);
	ck_assert_int_eq(ask_canned((const char *const[]){NULL}, &data), CTL_NO_ROUTER);
}
END_TEST

TCase *
ctl_render_case(void)
{
	TCase *t = tcase_create("screens");

	tcase_add_test(t, tables_are_sorted_and_aligned);
	tcase_add_test(t, a_narrow_terminal_hides_columns);
	tcase_add_test(t, json_is_one_array);
	tcase_add_test(t, empty_tables_say_so);
	tcase_add_test(t, wrong_answers_do_no_harm);
	tcase_add_test(t, one_sa_in_full);
	tcase_add_test(t, graph_totals_and_rates);
	tcase_add_test(t, units);
	tcase_add_test(t, finds_the_socket);
	tcase_add_test(t, client_joins_pages);
	return t;
}
