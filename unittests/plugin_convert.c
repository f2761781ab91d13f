/* SPDX-License-Identifier: BSD-3-Clause */
#include "convert.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <library.h>

/* strongSwan's hosts, selectors and priorities as the wire has them, with strongSwan's own library. */

static void
setup(void)
{
	/* Under AddressSanitizer strongSwan's own leak detective would be a second one. */
	setenv("LEAK_DETECTIVE_DISABLE", "1", 1);
	ck_assert(library_init(NULL, "unittests"));
}

static void
teardown(void)
{
	library_deinit();
}

START_TEST(hosts)
{
	static const char *names[] = {
		"192.0.2.1", "0.0.0.0", "2001:db8::1", "::", "255.255.255.255"};
	struct ike_addr a;

	for (unsigned int i = 0; i < countof(names); i++) {
		host_t *h = host_create_from_string((char *)names[i], 500), *back;
		uint8_t want[16] = {0};
		int family = strchr(names[i], ':') ? AF_INET6 : AF_INET;

		inet_pton(family, names[i], want);
		memset(&a, 0xff, sizeof(a));
		convert_host(h, &a);
		ck_assert_uint_eq(a.family, family == AF_INET ? 4 : 6);
		ck_assert_mem_eq(a.b, want, 16);
		back = convert_addr(&a, htons(500));
		ck_assert(h->equals(h, back));
		back->destroy(back);
		h->destroy(h);
	}
	a.family = 5;
	ck_assert_ptr_null(convert_addr(&a, 0));
	a.family = 0;
	ck_assert_ptr_null(convert_addr(&a, 0));
}
END_TEST

/* A policy between two selectors "ADDRESS-ADDRESS" of protocol and ports. */
struct input {
	const char *src_from, *src_to, *dst_from, *dst_to;
	uint8_t proto;
	uint16_t src_lo, src_hi, dst_lo, dst_hi;
	policy_priority_t prio;
};

static bool
convert(const struct input *in, uint32_t manual, struct ike_msg_policy *out, uint32_t *automatic)
{
	ts_type_t type = strchr(in->src_from, ':') ? TS_IPV6_ADDR_RANGE : TS_IPV4_ADDR_RANGE;
	ipsec_sa_cfg_t sa = {
		.mode = MODE_TUNNEL, .reqid = 9, .esp = {.use = TRUE, .spi = 0x12345678}};
	host_t *src = host_create_from_string("192.0.2.1", 0);
	host_t *dst = host_create_from_string("192.0.2.2", 0);
	kernel_ipsec_policy_id_t id = {.dir = POLICY_OUT};
	kernel_ipsec_manage_policy_t data = {.type = POLICY_IPSEC,
		.prio = in->prio,
		.manual_prio = manual,
		.src = src,
		.dst = dst,
		.sa = &sa};
	bool ok;

	id.src_ts = traffic_selector_create_from_string(
		in->proto, type, (char *)in->src_from, in->src_lo, (char *)in->src_to, in->src_hi);
	id.dst_ts = traffic_selector_create_from_string(
		in->proto, type, (char *)in->dst_from, in->dst_lo, (char *)in->dst_to, in->dst_hi);
	ok = convert_policy(&id, &data, out, automatic);
	id.src_ts->destroy(id.src_ts);
	id.dst_ts->destroy(id.dst_ts);
	src->destroy(src);
	dst->destroy(dst);
	return ok;
}

#define ANY 0, 65535
#define NET_A "10.1.0.0", "10.1.0.255"
#define NET_B "10.2.0.0", "10.2.255.255"

START_TEST(selectors)
{
	struct input in = {NET_A, NET_B, 17, 53, 53, 1024, 2047, POLICY_PRIORITY_DEFAULT};
	struct ike_msg_policy p;
	uint32_t automatic;

	ck_assert(convert(&in, 0, &p, &automatic));
	ck_assert_uint_eq(p.sel.src_plen, 24);
	ck_assert_uint_eq(p.sel.dst_plen, 16);
	ck_assert_mem_eq(p.sel.src.b, ((uint8_t[]){10, 1, 0, 0}), 4);
	ck_assert_uint_eq(p.sel.proto, 17);
	ck_assert_uint_eq(p.sel.src_port_lo, 53);
	ck_assert_uint_eq(p.sel.src_port_hi, 53);
	ck_assert_uint_eq(p.sel.dst_port_lo, 1024);
	ck_assert_uint_eq(p.sel.dst_port_hi, 2047);
	ck_assert_uint_eq(p.dir, IKE_DIR_OUT);
	ck_assert_uint_eq(p.action, IKE_PROTECT);
	ck_assert_uint_eq(p.spi, 0x12345678);
	ck_assert_uint_eq(p.reqid, 9);
	ck_assert_uint_eq(p.mode, IKE_MODE_TUNNEL);
	ck_assert_uint_eq(p.proto, 50);
	ck_assert_uint_eq(p.priority, automatic);
	ck_assert(convert(&in, 77, &p, &automatic));
	ck_assert_uint_eq(p.priority, 77);
	ck_assert_uint_ne(automatic, 77);
	in = (struct input){"2001:db8::", "2001:db8::ffff",
		"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0, ANY, ANY, 0};
	ck_assert(convert(&in, 0, &p, &automatic));
	ck_assert_uint_eq(p.sel.src.family, 6);
	ck_assert_uint_eq(p.sel.src_plen, 112);
	ck_assert_uint_eq(p.sel.dst_plen, 0);
}
END_TEST

/* RFC 4301, 4.4.1.1: the type is the high byte of a port, the code the low one. */
START_TEST(icmp_selectors)
{
	static const struct {
		uint16_t lo, hi, type_lo, type_hi, code_lo, code_hi;
	} v[] = {
		{0x0800, 0x08ff, 8, 8, 0, 65535}, /* any echo request */
		{0x0301, 0x0301, 3, 3, 1, 1}, /* host unreachable */
		{0x0300, 0x0305, 3, 3, 0, 5}, {0x0300, 0x05ff, 3, 5, 0, 65535},
		{0, 65535, 0, 65535, 0, 65535}, {0, 0, 0, 0, 0, 0}, /* echo reply */
	};
	struct ike_msg_policy p;
	uint32_t automatic;

	for (unsigned int i = 0; i < countof(v); i++) {
		struct input in = {NET_A, NET_B, 1, v[i].lo, v[i].hi, ANY, 0};

		ck_assert(convert(&in, 0, &p, &automatic));
		ck_assert_uint_eq(p.sel.src_port_lo, v[i].type_lo);
		ck_assert_uint_eq(p.sel.src_port_hi, v[i].type_hi);
		ck_assert_uint_eq(p.sel.dst_port_lo, v[i].code_lo);
		ck_assert_uint_eq(p.sel.dst_port_hi, v[i].code_hi);
	}
}
END_TEST

/*
 * kernel-netlink's numbers: 200,000 a class, less 512 a prefix bit, 256 for a protocol, 4 a bit of the
 * ports' masks (the leading bits that both ends of a range share), 1 for what is no trap.
 */
START_TEST(priorities)
{
	static const struct {
		struct input in;
		uint32_t want;
	} v[] = {
		{{"0.0.0.0", "255.255.255.255", "0.0.0.0", "255.255.255.255", 0, ANY, ANY,
			 POLICY_PRIORITY_DEFAULT},
			400000 - 1},
		{{"0.0.0.0", "255.255.255.255", "0.0.0.0", "255.255.255.255", 0, ANY, ANY,
			 POLICY_PRIORITY_ROUTED},
			400000},
		{{"0.0.0.0", "255.255.255.255", "0.0.0.0", "255.255.255.255", 0, ANY, ANY,
			 POLICY_PRIORITY_PASS},
			200000 - 1},
		{{"0.0.0.0", "255.255.255.255", "0.0.0.0", "255.255.255.255", 0, ANY, ANY,
			 POLICY_PRIORITY_FALLBACK},
			600000 - 1},
		{{NET_A, NET_B, 0, ANY, ANY, POLICY_PRIORITY_DEFAULT}, 400000 - 40 * 512 - 1},
		{{NET_A, NET_B, 0, ANY, ANY, POLICY_PRIORITY_ROUTED}, 400000 - 40 * 512},
		{{NET_A, NET_B, 17, ANY, ANY, POLICY_PRIORITY_DEFAULT},
			400000 - 40 * 512 - 256 - 1},
		{{NET_A, NET_B, 17, 53, 53, ANY, POLICY_PRIORITY_DEFAULT},
			400000 - 40 * 512 - 256 - 64 - 1},
		{{NET_A, NET_B, 17, 53, 53, 53, 53, POLICY_PRIORITY_DEFAULT},
			400000 - 40 * 512 - 256 - 128 - 1},
		/* 1024 = 000001..., 2047 = 000001...: six bits */
		{{NET_A, NET_B, 6, ANY, 1024, 2047, POLICY_PRIORITY_DEFAULT},
			400000 - 40 * 512 - 256 - 24 - 1},
		/* 1 and 2 share 14 bits, 1000 and 2000 five: 00000011..., 00000111... */
		{{NET_A, NET_B, 6, ANY, 1, 2, POLICY_PRIORITY_DEFAULT},
			400000 - 40 * 512 - 256 - 56 - 1},
		{{NET_A, NET_B, 6, ANY, 1000, 2000, POLICY_PRIORITY_DEFAULT},
			400000 - 40 * 512 - 256 - 20 - 1},
		/* ICMP, type 8: all bits of the type, none of the code */
		{{NET_A, NET_B, 1, 0x0800, 0x08ff, ANY, POLICY_PRIORITY_DEFAULT},
			400000 - 40 * 512 - 256 - 64 - 1},
		{{"2001:db8::1", "2001:db8::1", "2001:db8::2", "2001:db8::2", 17, 500, 500, 500,
			 500, POLICY_PRIORITY_PASS},
			200000 - 256 * 512 - 256 - 128 - 1},
	};
	struct ike_msg_policy p;
	uint32_t automatic;

	for (unsigned int i = 0; i < countof(v); i++) {
		ck_assert(convert(&v[i].in, 0, &p, &automatic));
		ck_assert_msg(
			p.priority == v[i].want, "case %u: %u, not %u", i, p.priority, v[i].want);
		ck_assert_uint_eq(automatic, p.priority);
	}
}
END_TEST

START_TEST(what_the_wire_cannot_say_is_refused)
{
	struct input range = {"10.1.0.1", "10.1.0.7", NET_B, 0, ANY, ANY, 0};
	struct input opaque = {NET_A, NET_B, 17, 65535, 0, ANY, 0};
	struct ike_msg_policy p;
	uint32_t automatic;

	ck_assert(convert(&range, 0, &p, &automatic));
	ck_assert_uint_eq(p.sel.src_plen, IKE_PLEN_RANGE);
	ck_assert_mem_eq(p.sel.src_last, ((uint8_t[]){10, 1, 0, 7}), 4);
	ck_assert_uint_eq(automatic, 200000 - 1 - (29 + 16) * 512);
	range.src_from = "10.1.0.0"; /* a subnet, then */
	ck_assert(convert(&range, 0, &p, &automatic));
	ck_assert_uint_eq(p.sel.src_plen, 29);
	ck_assert(!convert(&opaque, 0, &p, &automatic));
}
END_TEST

static uint8_t sa_proto = IPPROTO_ESP;

static bool
add_sa(kernel_ipsec_add_sa_t *data, struct ike_msg_add_sa *out)
{
	host_t *src = host_create_from_string("192.0.2.1", 4500);
	host_t *dst = host_create_from_string("192.0.2.2", 4501);
	kernel_ipsec_sa_id_t id = {
		.src = src, .dst = dst, .spi = htonl(0xc0000001), .proto = sa_proto};
	bool ok;

#ifdef HAVE_KERNEL_IPSEC_ADD_SA_T_CPU
	data->cpu = 3;
	ck_assert(!convert_add_sa(&id, data, out));
	data->cpu = CPU_ID_MAX;
#endif
	memset(out, 0, sizeof(*out)); /* as desired_request() leaves it */
	ok = convert_add_sa(&id, data, out);
	src->destroy(src);
	dst->destroy(dst);
	return ok;
}

START_TEST(sas)
{
	lifetime_cfg_t life = {.time = {.life = 20, .rekey = 10},
		.bytes = {.life = 40, .rekey = 30},
		.packets = {.life = 60, .rekey = 50}};
	u_char key[IKE_KEY_MAX + 1] = {0};
	kernel_ipsec_add_sa_t data = {.reqid = 3,
		.mode = MODE_TUNNEL,
		.lifetime = &life,
		.enc_alg = ENCR_AES_GCM_ICV16,
		.enc_key = chunk_create(key, 36),
		.int_alg = AUTH_UNDEFINED,
		.replay_window = 1024,
		.inbound = TRUE,
		.update = TRUE,
		.esn = TRUE,
		.copy_df = TRUE,
		.copy_ecn = TRUE,
		.copy_dscp = DSCP_COPY_OUT_ONLY,
		.tfc = 1400};
	struct ike_msg_add_sa out;

	ck_assert(add_sa(&data, &out));
	ck_assert_uint_eq(out.id.spi, htonl(0xc0000001));
	ck_assert_uint_eq(out.id.reqid, 3);
	ck_assert_uint_eq(out.tfc, 1400);
	ck_assert_uint_eq(out.life.time_soft, 10);
	ck_assert_uint_eq(out.life.time_hard, 20);
	ck_assert_uint_eq(out.life.bytes_soft, 30);
	ck_assert_uint_eq(out.life.bytes_hard, 40);
	ck_assert_uint_eq(out.life.packets_soft, 50);
	ck_assert_uint_eq(out.life.packets_hard, 60);
	ck_assert_uint_eq(out.enc_alg, 20); /* IANA's number */
	ck_assert_uint_eq(out.enc_key_len, 36);
	ck_assert_uint_eq(out.int_alg, 0);
	ck_assert_uint_eq(out.replay_window, 1024);
	ck_assert_uint_eq(out.dir, IKE_DIR_IN);
	ck_assert_uint_eq(
		out.flags, IKE_SA_ESN | IKE_SA_UPDATE | IKE_SA_COPY_DF | IKE_SA_COPY_DSCP_OUT);
	ck_assert_uint_eq(out.src_port, 0);
	data.encap = TRUE;
	data.inbound = FALSE;
	data.copy_ecn = FALSE;
	data.copy_dscp = DSCP_COPY_YES;
	ck_assert(add_sa(&data, &out));
	ck_assert_uint_eq(out.dir, IKE_DIR_OUT);
	ck_assert_uint_eq(out.src_port, htons(4500));
	ck_assert_uint_eq(out.dst_port, htons(4501));
	ck_assert_uint_eq(out.flags, IKE_SA_ESN | IKE_SA_ENCAP | IKE_SA_COPY_DF |
					     IKE_SA_NO_COPY_ECN | IKE_SA_COPY_DSCP_OUT |
					     IKE_SA_COPY_DSCP_IN);
	data.enc_key.len = IKE_KEY_MAX;
	ck_assert(add_sa(&data, &out));
	data.int_key = chunk_create(key, 1);
	ck_assert(!add_sa(&data, &out));
	data.int_key = data.enc_key = chunk_create(key, 20);
	data.mode = MODE_BEET;
	ck_assert(!add_sa(&data, &out));
	data.mode = MODE_TRANSPORT;
	ck_assert(add_sa(&data, &out));
	ck_assert_uint_eq(out.mode, IKE_MODE_TRANSPORT);
	ck_assert_uint_eq(out.tfc, 0); /* there is none, and the router would refuse it */
	data.mode = MODE_TUNNEL;
	sa_proto = IPPROTO_AH;
	ck_assert(add_sa(&data, &out));
	ck_assert_uint_eq(out.tfc, 0);
	sa_proto = IPPROTO_ESP;
	data.ipcomp = 2;
	ck_assert(!add_sa(&data, &out));
}
END_TEST

START_TEST(the_packet_of_an_acquire)
{
	struct ike_selector sel = {.src = {.family = 4, .b = {10, 1, 0, 2}},
		.src_plen = 32,
		.dst = {.family = 4, .b = {10, 2, 0, 2}},
		.dst_plen = 32,
		.proto = 6,
		.src_port_lo = 1234,
		.src_port_hi = 1234,
		.dst_port_lo = 80,
		.dst_port_hi = 80};
	traffic_selector_t *ts = convert_selector(&sel, FALSE);

	ck_assert_uint_eq(ts->get_protocol(ts), 6);
	ck_assert_uint_eq(ts->get_from_port(ts), 80);
	ck_assert_uint_eq(ts->get_to_port(ts), 80);
	ck_assert_mem_eq(ts->get_from_address(ts).ptr, sel.dst.b, 4);
	ck_assert_mem_eq(ts->get_to_address(ts).ptr, sel.dst.b, 4);
	ts->destroy(ts);
	/* ICMP: type and code, in both selectors alike; 0 and 0, a ping's answer, is any. */
	sel.proto = 1;
	for (unsigned int type = 0; type <= 8; type += 8) {
		sel.src_port_lo = sel.src_port_hi = type;
		sel.dst_port_lo = sel.dst_port_hi = 0;
		ts = convert_selector(&sel, type == 8);
		ck_assert_uint_eq(ts->get_from_port(ts), type << 8);
		ck_assert_uint_eq(ts->get_to_port(ts), type ? type << 8 : UINT16_MAX);
		ts->destroy(ts);
	}
	sel.src.family = 0;
	ck_assert_ptr_null(convert_selector(&sel, TRUE));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plugin_convert");
	TCase *t = tcase_create("convert");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, hosts);
	tcase_add_test(t, selectors);
	tcase_add_test(t, icmp_selectors);
	tcase_add_test(t, priorities);
	tcase_add_test(t, what_the_wire_cannot_say_is_refused);
	tcase_add_test(t, sas);
	tcase_add_test(t, the_packet_of_an_acquire);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
