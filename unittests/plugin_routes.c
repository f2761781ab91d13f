/* SPDX-License-Identifier: BSD-3-Clause */
#include "convert.h"
#include "routes.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <daemon.h>

/* Source routes, on a kernel-net backend that writes down what it is asked for. */

static void
say(bus_t *this, debug_t group, level_t level, char *format, ...)
{
}

static bus_t bus = {.log = say};
static kernel_interface_t kernel;
static daemon_t self = {.kernel = &kernel, .bus = &bus};
daemon_t *charon = &self;

static struct routes *routes;
static char line[256]; /* the last call */
static unsigned int adds, dels;
static status_t add_status;
static const char *local; /* our address within the selector; NULL: none */
static const char *nexthop, *interface;
static struct ike_msg_policy best;
static bool stands;

static status_t
get_address(kernel_interface_t *this, traffic_selector_t *ts, host_t **ip, bool *vip)
{
	if (!local)
		return FAILED;
	*ip = host_create_from_string((char *)(uintptr_t)local, 0);
	return SUCCESS;
}

static host_t *
get_nexthop(kernel_interface_t *this, host_t *dest, int prefix, host_t *src, char **iface)
{
	*iface = interface ? strdup(interface) : NULL;
	return nexthop ? host_create_from_string((char *)(uintptr_t)nexthop, 0) : dest->clone(dest);
}

static bool
get_interface(kernel_interface_t *this, host_t *host, char **name)
{
	*name = interface ? strdup(interface) : NULL;
	return interface != NULL;
}

static void
note(const char *what, chunk_t net, uint8_t plen, host_t *gateway, host_t *src, char *iface,
	bool pass)
{
	char gw[64], from[64];

	snprintf(gw, sizeof(gw), "%u.%u", gateway->get_address(gateway).ptr[2],
		gateway->get_address(gateway).ptr[3]);
	snprintf(from, sizeof(from), "%u.%u", src->get_address(src).ptr[2],
		src->get_address(src).ptr[3]);
	snprintf(line, sizeof(line), "%s %u.%u/%u via %s src %s dev %s%s", what, net.ptr[0],
		net.ptr[1], plen, gw, from, iface ?: "-", pass ? " pass" : "");
}

static status_t
add_route(kernel_interface_t *this, chunk_t net, uint8_t plen, host_t *gateway, host_t *src,
	char *iface, bool pass)
{
	note("add", net, plen, gateway, src, iface, pass);
	adds++;
	return add_status;
}

static status_t
del_route(kernel_interface_t *this, chunk_t net, uint8_t plen, host_t *gateway, host_t *src,
	char *iface, bool pass)
{
	note("del", net, plen, gateway, src, iface, pass);
	dels++;
	return SUCCESS;
}

static void
setup(void)
{
	setenv("LEAK_DETECTIVE_DISABLE", "1", 1);
	ck_assert(library_init(NULL, "unittests"));
	kernel.get_address_by_ts = get_address;
	kernel.get_nexthop = get_nexthop;
	kernel.get_interface = get_interface;
	kernel.add_route = add_route;
	kernel.del_route = del_route;
	local = "10.1.0.1";
	nexthop = NULL;
	interface = "wan";
	add_status = SUCCESS;
	adds = dels = 0;
	line[0] = '\0';
	stands = true;
	best = (struct ike_msg_policy){
		.sel = {.src = {.family = 4, .b = {10, 1}},
			.dst = {.family = 4, .b = {10, 2}},
			.src_plen = 16,
			.dst_plen = 16,
			.src_port_hi = UINT16_MAX,
			.dst_port_hi = UINT16_MAX},
		.src = {.family = 4, .b = {192, 0, 2, 1}},
		.dst = {.family = 4, .b = {192, 0, 2, 2}},
		.reqid = 1,
		.dir = IKE_DIR_OUT,
		.action = IKE_PROTECT,
		.mode = IKE_MODE_TUNNEL,
	};
	routes = routes_create();
}

static void
teardown(void)
{
	routes_destroy(routes);
	library_deinit();
}

static bool
current(void *ctx, struct ike_msg_policy *p)
{
	*p = best;
	return stands;
}

static void
update(void)
{
	traffic_selector_t *src = convert_selector(&best.sel, TRUE);
	traffic_selector_t *dst = convert_selector(&best.sel, FALSE);

	routes_update(routes, &best, src, dst, current, NULL);
	src->destroy(src);
	dst->destroy(dst);
}

START_TEST(a_tunnel_has_one)
{
	update();
	ck_assert_str_eq(line, "add 10.2/16 via 2.2 src 0.1 dev wan");
	update(); /* a rekey changes nothing */
	ck_assert_uint_eq(adds, 1);
	ck_assert_uint_eq(dels, 0);
	stands = false;
	update();
	ck_assert_str_eq(line, "del 10.2/16 via 2.2 src 0.1 dev wan");
	update();
	ck_assert_uint_eq(dels, 1);
}
END_TEST

START_TEST(the_peer_moves)
{
	update();
	best.dst.b[3] = 9;
	update();
	ck_assert_uint_eq(dels, 1);
	ck_assert_str_eq(line, "add 10.2/16 via 2.9 src 0.1 dev wan");
	local = "10.1.0.7";
	interface = "wan2";
	update();
	ck_assert_str_eq(line, "add 10.2/16 via 2.9 src 0.7 dev wan2");
	ck_assert_uint_eq(dels, 2);
	/* The DROP policy of an address change leaves it alone. */
	best.action = IKE_DISCARD;
	update();
	ck_assert_uint_eq(adds, 3);
	ck_assert_uint_eq(dels, 2);
}
END_TEST

START_TEST(what_has_none)
{
	local = NULL; /* none of our addresses is in the selector */
	update();
	local = "10.1.0.1";
	best.mode = IKE_MODE_TRANSPORT;
	update();
	best.mode = IKE_MODE_TUNNEL;
	best.if_id = 5;
	update();
	best.if_id = 0;
	best.sel.proto = 17;
	update();
	best.sel.proto = 0;
	best.sel.dst_port_hi = 80;
	update();
	best.sel.dst_port_hi = UINT16_MAX;
	best.dir = IKE_DIR_IN;
	update();
	best.dir = IKE_DIR_OUT;
	interface = NULL;
	update();
	ck_assert_uint_eq(adds + dels, 0);
}
END_TEST

START_TEST(a_pass_policy)
{
	best.action = IKE_BYPASS;
	memset(&best.src, 0, sizeof(best.src));
	memset(&best.dst, 0, sizeof(best.dst));
	local = interface = NULL;
	nexthop = "192.0.2.254";
	update();
	ck_assert_str_eq(line, "add 10.2/16 via 2.254 src 0.0 dev - pass");
}
END_TEST

/* It is there already, of another policy or of somebody else: not ours to take away. */
START_TEST(one_that_is_there)
{
	add_status = ALREADY_DONE;
	update();
	stands = false;
	update();
	ck_assert_uint_eq(adds, 1);
	ck_assert_uint_eq(dels, 0);
	stands = true;
	add_status = FAILED;
	update();
	stands = false;
	update();
	ck_assert_uint_eq(dels, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plugin_routes");
	TCase *t = tcase_create("routes");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_tunnel_has_one);
	tcase_add_test(t, the_peer_moves);
	tcase_add_test(t, what_has_none);
	tcase_add_test(t, a_pass_policy);
	tcase_add_test(t, one_that_is_there);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
