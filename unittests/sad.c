/* SPDX-License-Identifier: BSD-3-Clause */
#include "sad_test.h"

#include <stdio.h>

/* Only for who asked for it, only while the SA lives, and not a byte longer. */
START_TEST(keys_are_kept_if_asked_for)
{
	struct sad_conf conf = {.max_sas = SLOTS,
		.spi_min = SPI_MIN,
		.spi_max = SPI_MAX,
		.workers = WORKERS,
		.keep_keys = true,
		.rcu = rcu};
	struct sa_conf sa = sa_in(0x1000);
	uint32_t slot = must_add(&sa);
	const uint8_t *kept;

	ck_assert(!sad_keeps_keys(sad));
	ck_assert_ptr_null(sad_key(sad, slot));
	sad_destroy(sad);
	sad = sad_create(&conf, &crypto);
	ck_assert(sad_keeps_keys(sad));
	slot = must_add(&sa);
	kept = sad_key(sad, slot);
	ck_assert_mem_eq(kept, key, sa.enc_key_len);
	ck_assert_int_eq(sad_del(sad, slot), 0);
	ck_assert_ptr_null(sad_key(sad, slot));
	rcu_flush(rcu);
	for (unsigned int i = 0; i < sa.enc_key_len; i++)
		ck_assert_uint_eq(kept[i], 0);
}
END_TEST

START_TEST(spis_are_unique_and_carry_their_slots)
{
	bool slot_taken[SLOTS] = {false};
	struct ip_addr dst = ip("192.0.2.2");
	uint32_t spi, slot;

	for (unsigned int i = 0; i < SLOTS; i++) {
		ck_assert_int_eq(sad_get_spi(sad, OWNER, 50, &dst, &spi), 0);
		spi = rte_be_to_cpu_32(spi);
		ck_assert(spi >= SPI_MIN && spi <= SPI_MAX);
		ck_assert_int_eq(find_in(spi, &slot), 0);
		ck_assert_uint_eq(slot, (spi - SPI_MIN) % SLOTS);
		ck_assert(!slot_taken[slot]);
		slot_taken[slot] = true;
		ck_assert_int_eq(sad_cold(sad, slot)->state, SA_LARVAL);
		ck_assert_uint_eq(sad_cold(sad, slot)->conf.owner, OWNER);
		ck_assert(addr_equal(&sad_cold(sad, slot)->conf.dst, &dst));
		/* Without keys it is not for packets. */
		ck_assert_ptr_null(lookup(spi));
	}
	ck_assert_uint_eq(sad_count(sad, SA_LARVAL), SLOTS);
	ck_assert_int_eq(sad_get_spi(sad, OWNER, 50, &dst, &spi), -ENOSPC);
	ck_assert_int_eq(sad_del(sad, 7), 0);
	ck_assert_int_eq(sad_get_spi(sad, OWNER, 50, &dst, &spi), 0);
	ck_assert_uint_eq((rte_be_to_cpu_32(spi) - SPI_MIN) % SLOTS, 7);
}
END_TEST

START_TEST(a_slot_s_next_spi_is_another)
{
	uint32_t slot, last = 0, same = 0;

	for (unsigned int i = 0; i < 50 * SLOTS; i++) {
		uint32_t spi = reserve();

		ck_assert_int_eq(find_in(spi, &slot), 0);
		ck_assert_int_eq(sad_del(sad, slot), 0);
		ck_assert_int_eq(find_in(spi, &slot), -ENOENT);
		same += spi == last;
		last = spi;
		/* A FIFO: a slot rests as long as it can. */
		ck_assert_uint_eq(slot, (spi - SPI_MIN) % SLOTS);
		ck_assert_uint_eq(slot, i % SLOTS);
	}
	ck_assert_uint_eq(same, 0);
}
END_TEST

START_TEST(spis_spread_over_the_whole_range)
{
	uint32_t least = UINT32_MAX, most = 0, slot;

	for (unsigned int i = 0; i < 20000; i++) {
		uint32_t spi = reserve();

		least = RTE_MIN(least, spi);
		most = RTE_MAX(most, spi);
		must(find_in(spi, &slot) == 0 && sad_del(sad, slot) == 0);
	}
	ck_assert_uint_lt(least, SPI_MIN + (SPI_MAX - SPI_MIN) / 100);
	ck_assert_uint_gt(most, SPI_MAX - (SPI_MAX - SPI_MIN) / 100);
}
END_TEST

START_TEST(a_reservation_becomes_an_sa)
{
	uint32_t spi = reserve(), slot = must_add_reserved(spi), found;

	ck_assert_uint_eq(slot, (spi - SPI_MIN) % SLOTS);
	ck_assert_ptr_eq(lookup(spi), hot(slot));
	ck_assert_int_eq(find_in(spi, &found), 0);
	ck_assert_uint_eq(found, slot);
	ck_assert_int_eq(sad_cold(sad, slot)->state, SA_LIVE);
	ck_assert_ptr_eq(sad_at(sad, slot), hot(slot));
	ck_assert_uint_eq(hot(slot)->reqid, spi);
	ck_assert_uint_eq(sessions, 1);
	/* Another generation of the slot, another protocol. */
	ck_assert_ptr_null(lookup(spi + SLOTS));
	ck_assert_ptr_null(lookup(spi - SLOTS));
	ck_assert_ptr_null(lookup(0));
	ck_assert_int_eq(
		sad_find(sad, SA_DIR_IN, 51, rte_cpu_to_be_32(spi), NULL, &found), -ENOENT);
}
END_TEST

START_TEST(refuses_what_was_not_reserved)
{
	uint32_t spi = reserve(), slot;
	struct sa_conf conf = sa_in(spi);

	/* By another owner, or without saying that it is a reservation's. */
	conf.owner = OWNER + 1;
	ck_assert_int_eq(add(&conf, true, &slot), -EEXIST);
	conf.owner = OWNER;
	ck_assert_int_eq(add(&conf, false, &slot), -EEXIST);
	conf = sa_in(spi + SLOTS);
	ck_assert_int_eq(add(&conf, true, &slot), -ENOENT);
	ck_assert_str_ne(why, "");
	must_add_reserved(spi);
	conf = sa_in(spi);
	ck_assert_int_eq(add(&conf, true, &slot), -EEXIST);
	ck_assert_int_eq(add(&conf, false, &slot), -EEXIST);
	ck_assert_uint_eq(sessions, 1);
	ck_assert_uint_eq(sad_count(sad, SA_LIVE), 1);
	ck_assert_uint_eq(sad_count(sad, SA_FREE), SLOTS - 1);
}
END_TEST

START_TEST(finds_outbound_sas_by_peer)
{
	struct sa_conf a = sa_out(5000, "192.0.2.1"), b = sa_out(5000, "192.0.2.9");
	uint32_t slot_a = must_add(&a), slot_b = must_add(&b), slot;

	ck_assert_uint_ne(slot_a, slot_b);
	ck_assert_int_eq(find_out(5000, "192.0.2.1", &slot), 0);
	ck_assert_uint_eq(slot, slot_a);
	ck_assert_int_eq(find_out(5000, "192.0.2.9", &slot), 0);
	ck_assert_uint_eq(slot, slot_b);
	ck_assert_int_eq(find_out(5000, "192.0.2.3", &slot), -ENOENT);
	ck_assert_int_eq(find_out(5001, "192.0.2.1", &slot), -ENOENT);
	ck_assert_int_eq(find_in(5000, &slot), -ENOENT);
	ck_assert_int_eq(
		sad_find(sad, SA_DIR_OUT, 50, rte_cpu_to_be_32(5000), NULL, &slot), -ENOENT);
	ck_assert_int_eq(add(&a, false, &slot), -EEXIST);
	/* An outbound SA opens nothing. */
	ck_assert_ptr_null(lookup(5000));
	ck_assert_int_eq(sad_del(sad, slot_a), 0);
	ck_assert_int_eq(find_out(5000, "192.0.2.1", &slot), -ENOENT);
	ck_assert_int_eq(find_out(5000, "192.0.2.9", &slot), 0);
}
END_TEST

/* SPIs that others chose: any number, also one that a slot would have. */
/* The outer ids of SAs between two gateways do not run side by side. */
START_TEST(outer_ids_begin_anywhere)
{
	unsigned int same = 0;
	uint16_t last = 0;

	for (unsigned int i = 0; i < SLOTS; i++) {
		struct sa_conf conf = sa_out(0x1000 + i, "192.0.2.2");
		const struct sa_template *t = sad_hot(sad, must_add(&conf))->template;

		same += i > 0 && t->id == last;
		last = t->id;
	}
	ck_assert_uint_lt(same, SLOTS / 2);
}
END_TEST

START_TEST(finds_foreign_spis)
{
	uint32_t ours = reserve(), our_slot = must_add_reserved(ours), slot;
	struct sa_conf small = sa_in(256), large = sa_in(UINT32_MAX);
	struct sa_conf collides = sa_in(ours + 3 * SLOTS); /* the number of a live slot */
	struct sa_conf itself;

	slot = must_add(&small);
	ck_assert_ptr_eq(lookup(256), hot(slot));
	slot = must_add(&large);
	ck_assert_ptr_eq(lookup(UINT32_MAX), hot(slot));
	slot = must_add(&collides);
	ck_assert_uint_ne(slot, our_slot);
	ck_assert_ptr_eq(lookup(ours + 3 * SLOTS), hot(slot));
	ck_assert_ptr_eq(lookup(ours), hot(our_slot));
	/* The number of the very slot that it gets: the fourth was taken last. */
	itself = sa_in(SPI_MIN + 9 * SLOTS + 4);
	slot = must_add(&itself);
	ck_assert_uint_eq(slot, 4);
	ck_assert_ptr_eq(lookup(SPI_MIN + 9 * SLOTS + 4), hot(4));
	ck_assert_int_eq(find_in(SPI_MIN + 9 * SLOTS + 4, &slot), 0);
	ck_assert_int_eq(sad_del(sad, 4), 0);
	ck_assert_ptr_null(lookup(SPI_MIN + 9 * SLOTS + 4));
	/* Ours goes, the one that collides stays, and the other way. */
	ck_assert_int_eq(sad_del(sad, our_slot), 0);
	ck_assert_ptr_null(lookup(ours));
	ck_assert_ptr_nonnull(lookup(ours + 3 * SLOTS));
	ck_assert_int_eq(find_in(ours + 3 * SLOTS, &slot), 0);
	ck_assert_int_eq(sad_del(sad, slot), 0);
	ck_assert_ptr_null(lookup(ours + 3 * SLOTS));
	ck_assert_int_eq(find_in(ours + 3 * SLOTS, &slot), -ENOENT);
	ck_assert_ptr_nonnull(lookup(256));
}
END_TEST

/* One SPI, two protocols: each has its SA, wherever the first of them lies. */
START_TEST(one_spi_of_both_protocols)
{
	for (uint32_t spi = 4711; spi < 4711 + SLOTS; spi += 7) {
		struct sa_conf esp = sa_in(spi), ah = sa_in(spi);
		uint32_t a, b;

		ah.proto = IPPROTO_AH;
		ah.enc_alg = 0;
		ah.enc_key_len = 0;
		ah.int_alg = AUTH_HMAC_SHA1_96;
		ah.int_key_len = 20;
		ah_keys = true;
		a = must_add(&ah);
		ah_keys = false;
		b = must_add(&esp);
		must(lookup(spi) == hot(b));
		must(sad_lookup(sad, rte_cpu_to_be_32(spi), IPPROTO_AH) == hot(a));
		ck_assert_int_eq(sad_del(sad, a), 0);
		must(lookup(spi) == hot(b));
		must(sad_lookup(sad, rte_cpu_to_be_32(spi), IPPROTO_AH) == NULL);
		ck_assert_int_eq(sad_del(sad, b), 0);
		must(lookup(spi) == NULL);
		eal_settle(rcu);
	}
}
END_TEST

/* SPIs in a row that others chose need no hash. */
START_TEST(foreign_spis_have_their_slots)
{
	const struct sad_view *v = (const struct sad_view *)sad;

	for (uint32_t i = 0; i < SLOTS; i++) {
		struct sa_conf conf = sa_in(1000 + i);

		must_add(&conf);
	}
	ck_assert_uint_eq(v->n_foreign, 0);
	for (uint32_t i = 0; i < SLOTS; i++)
		must(lookup(1000 + i)->spi == rte_cpu_to_be_32(1000 + i));
}
END_TEST

START_TEST(get_spi_avoids_a_foreign_spi)
{
	struct ip_addr dst = ip("192.0.2.2");
	struct sad_conf conf = {
		.max_sas = 8, .spi_min = 4096, .spi_max = 4096 + 8 * 256, .workers = 1, .rcu = rcu};
	uint32_t spi, slot;

	sad_destroy(sad);
	sad = sad_create(&conf, &crypto);
	/* Seven of eight slots hold numbers of the eighth, which was taken when they came. */
	for (uint32_t i = 0; i < 8; i++)
		must(sad_get_spi_within(sad, OWNER, 50, &dst, 4096 + 8 * 8, UINT32_MAX, &spi) == 0);
	for (uint32_t i = 0; i < 7; i++)
		must(sad_del(sad, i) == 0);
	for (uint32_t i = 0; i < 7; i++) {
		struct sa_conf sa = sa_in(4096 + 8 * (i + 1) - 1);

		must_add(&sa);
	}
	must(sad_del(sad, 7) == 0);
	for (unsigned int i = 0; i < 5000; i++) {
		must(sad_get_spi(sad, OWNER, 50, &dst, &spi) == 0);
		spi = rte_be_to_cpu_32(spi);
		must((spi - 4096) % 8 == 7 && spi >= 4096 + 8 * 8 - 1 && spi <= 4096 + 8 * 256);
		must(find_in(spi, &slot) == 0 && slot == 7 && sad_del(sad, slot) == 0);
	}
}
END_TEST

/* All that a slot has within a range may be static SAs': no search without an end. */
START_TEST(get_spi_ends_when_all_are_foreign)
{
	struct ip_addr dst = ip("192.0.2.2");
	struct sad_conf conf = {
		.max_sas = 8, .spi_min = 4096, .spi_max = 4096 + 8 * 256, .workers = 1, .rcu = rcu};
	struct sa_conf sa = sa_in(4096 + 8);
	uint32_t spi;

	sad_destroy(sad);
	sad = sad_create(&conf, &crypto);
	for (uint32_t i = 0; i < 8; i++)
		must(sad_get_spi_within(sad, OWNER, 50, &dst, 4096 + 16, UINT32_MAX, &spi) == 0);
	must(sad_del(sad, 7) == 0);
	must_add(&sa);
	must(sad_del(sad, 0) == 0);
	ck_assert_int_eq(
		sad_get_spi_within(sad, OWNER, 50, &dst, 4096 + 8, 4096 + 8, &spi), -ENOSPC);
	must(sad_get_spi_within(sad, OWNER, 50, &dst, 4096 + 8, 4096 + 16, &spi) == 0);
	ck_assert_uint_eq(rte_be_to_cpu_32(spi), 4096 + 16);
}
END_TEST

/* Outbound SAs lie in the same slots, and their SPIs are the peer's choice. */
START_TEST(keeps_directions_apart)
{
	uint32_t spi = reserve(), slot = must_add_reserved(spi), out, in, found;
	struct sa_conf same = sa_out(spi, "192.0.2.1"), foreign;

	out = must_add(&same);
	ck_assert_uint_ne(out, slot);
	ck_assert_ptr_eq(lookup(spi), hot(slot));
	ck_assert_int_eq(find_in(spi, &found), 0);
	ck_assert_uint_eq(found, slot);
	ck_assert_int_eq(find_out(spi, "192.0.2.1", &found), 0);
	ck_assert_uint_eq(found, out);
	/* An outbound SA whose SPI has the number of the slot that it lies in … */
	same = sa_out(SPI_MIN + 5 * SLOTS + 2, "192.0.2.1");
	out = must_add(&same);
	ck_assert_uint_eq(out, 2);
	ck_assert_ptr_null(lookup(SPI_MIN + 5 * SLOTS + 2));
	ck_assert_int_eq(find_in(SPI_MIN + 5 * SLOTS + 2, &found), -ENOENT);
	/* … and an inbound one of the same SPI, elsewhere. */
	foreign = sa_in(SPI_MIN + 5 * SLOTS + 2);
	in = must_add(&foreign);
	ck_assert_uint_ne(in, out);
	ck_assert_ptr_eq(lookup(SPI_MIN + 5 * SLOTS + 2), hot(in));
	ck_assert_int_eq(sad_del(sad, out), 0);
	ck_assert_ptr_eq(lookup(SPI_MIN + 5 * SLOTS + 2), hot(in));
	ck_assert_int_eq(sad_del(sad, in), 0);
	ck_assert_ptr_null(lookup(SPI_MIN + 5 * SLOTS + 2));
	ck_assert_ptr_eq(lookup(spi), hot(slot));
}
END_TEST

START_TEST(adds_all_or_nothing)
{
	uint32_t spi = reserve(), slot, found;
	struct sa_conf conf = sa_in(spi), foreign = sa_in(4711), out = sa_out(4711, "192.0.2.1");

	for (int turn = 0; turn < 3 * SLOTS; turn++) {
		crypto_rc = turn % 2 ? -ENOTSUP : -ENOMEM;
		ck_assert_int_eq(add(&conf, true, &slot), crypto_rc);
		ck_assert_str_ne(why, "");
		ck_assert_int_eq(add(&foreign, false, &slot), crypto_rc);
		ck_assert_int_eq(add(&out, false, &slot), crypto_rc);
		conf.enc_alg = 99;
		ck_assert_int_eq(add(&conf, true, &slot), -ENOTSUP);
		conf.enc_alg = ENCR_AES_GCM_16;
		ck_assert_ptr_null(lookup(spi));
		ck_assert_ptr_null(lookup(4711));
		ck_assert_int_eq(find_in(4711, &found), -ENOENT);
		ck_assert_int_eq(find_out(4711, "192.0.2.1", &found), -ENOENT);
		/* The reservation stays. */
		ck_assert_int_eq(find_in(spi, &found), 0);
		ck_assert_int_eq(sad_cold(sad, found)->state, SA_LARVAL);
		ck_assert_uint_eq(sad_cold(sad, found)->conf.owner, OWNER);
		ck_assert_uint_eq(sad_count(sad, SA_LARVAL), 1);
		ck_assert_uint_eq(sad_count(sad, SA_FREE), SLOTS - 1);
		ck_assert_uint_eq(sessions, 0);
	}
	crypto_rc = 0;
	must_add_reserved(spi);
	must_add(&foreign);
	must_add(&out);
	ck_assert_ptr_nonnull(lookup(spi));
	ck_assert_ptr_nonnull(lookup(4711));
}
END_TEST

START_TEST(a_slot_is_reused_after_its_grace_period)
{
	struct rte_rcu_qsbr *qsbr = rcu_qsbr(rcu);
	uint32_t spi[SLOTS], slot;
	struct ip_addr dst = ip("192.0.2.2");
	struct sa *sa;

	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	for (unsigned int i = 0; i < SLOTS; i++) {
		spi[i] = reserve();
		must_add_reserved(spi[i]);
	}
	sa = lookup(spi[0]);
	atomic_store(&rcu_lcore(rcu, 0)->begun, 1);
	ck_assert_int_eq(find_in(spi[0], &slot), 0);
	sad_worker_counters(sad, 2)[slot].use.packets = 5;
	ck_assert_int_eq(sad_del(sad, slot), 0);
	ck_assert_int_eq(sad_del(sad, slot), -ENOENT);
	ck_assert_ptr_null(lookup(spi[0]));
	ck_assert_ptr_null(sad_at(sad, slot));
	ck_assert_int_eq(find_in(spi[0], &slot), -ENOENT);
	ck_assert_uint_eq(sad_count(sad, SA_DYING), 1);
	for (int step = 0; step < 3; step++) {
		for (int i = 0; i < 5; i++)
			rcu_poll(rcu);
		if (step == 2)
			break;
		/* A packet in flight still has all that it needs. */
		ck_assert_uint_eq(sessions, SLOTS);
		ck_assert_ptr_nonnull(sa->session);
		ck_assert_ptr_nonnull(sa->replay);
		ck_assert_uint_eq(sa->reqid, spi[0]);
		ck_assert_uint_eq(sa->salt, 0x5a175a17);
		ck_assert_int_eq(sad_get_spi(sad, OWNER, 50, &dst, &spi[0]), -ENOSPC);
		if (step == 0)
			rte_rcu_qsbr_quiescent(qsbr, 0);
		else
			atomic_store(&rcu_lcore(rcu, 0)->collected, 1);
	}
	ck_assert_uint_eq(sessions, SLOTS - 1);
	ck_assert_uint_eq(sa->salt, 0); /* wiped */
	ck_assert_ptr_null(sa->session);
	ck_assert_uint_eq(sad_worker_counters(sad, 2)[slot].use.packets, 0);
	ck_assert_uint_eq(sad_count(sad, SA_FREE), 1);
	spi[0] = reserve();
	ck_assert_ptr_eq(hot(must_add_reserved(spi[0])), sa);
}
END_TEST

START_TEST(a_dying_sa_s_spi_can_come_back)
{
	struct sa_conf foreign = sa_in(4711), out = sa_out(4711, "192.0.2.1");
	struct rte_rcu_qsbr *qsbr = rcu_qsbr(rcu);
	uint32_t slot, again;

	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	for (unsigned int turn = 0; turn < SLOTS / 2; turn++) {
		slot = must_add(&foreign);
		ck_assert_ptr_eq(lookup(4711), hot(slot));
		again = must_add(&out);
		ck_assert_int_eq(sad_del(sad, slot), 0);
		ck_assert_int_eq(sad_del(sad, again), 0);
		ck_assert_ptr_null(lookup(4711));
		ck_assert_int_eq(find_out(4711, "192.0.2.1", &slot), -ENOENT);
	}
	ck_assert_uint_eq(sad_count(sad, SA_DYING), SLOTS);
	rte_rcu_qsbr_quiescent(qsbr, 0);
	rcu_poll(rcu);
	rte_rcu_qsbr_quiescent(qsbr, 0);
	rcu_poll(rcu);
	ck_assert_uint_eq(sad_count(sad, SA_FREE), SLOTS);
	must_add(&foreign);
	ck_assert_ptr_nonnull(lookup(4711));
}
END_TEST

START_TEST(deletes_only_what_is_there)
{
	ck_assert_int_eq(sad_del(sad, 0), -ENOENT);
	ck_assert_int_eq(sad_del(sad, SLOTS), -ENOENT);
	ck_assert_int_eq(sad_del(sad, UINT32_MAX), -ENOENT);
}
END_TEST

START_TEST(updates_only_what_is_there)
{
	const struct sa_end_points to = {
		.src = ip("192.0.2.7"), .dst = ip("192.0.2.8"), .encap = false};
	struct sa_conf out = sa_out(4711, "192.0.2.1");
	uint32_t slot, spi = reserve();

	ck_assert_int_eq(sad_update(sad, SLOTS, &to, &why), -ENOENT);
	ck_assert_int_eq(sad_update(sad, UINT32_MAX, &to, &why), -ENOENT);
	ck_assert_int_eq(find_in(spi, &slot), 0);
	ck_assert_int_eq(sad_update(sad, slot, &to, &why), -ENOENT);
	slot = must_add(&out);
	hot(slot)->sqn = 77;
	ck_assert_int_eq(sad_update(sad, slot, &to, &why), 0);
	ck_assert_uint_eq(hot(slot)->sqn, 77);
	ck_assert_int_eq(find_out(4711, "192.0.2.1", &slot), -ENOENT);
	ck_assert_int_eq(find_out(4711, "192.0.2.8", &slot), 0);
}
END_TEST

/* A table of foreign SPIs that is full to the last slot stays whole when their peers move. */
START_TEST(updates_foreign_sas_of_a_full_table)
{
	struct sa_end_points to = {.src = ip("192.0.2.7"), .dst = ip("192.0.2.8")};
	struct rte_rcu_qsbr *qsbr = rcu_qsbr(rcu);

	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0); /* and never quiescent */
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct sa_conf conf = sa_in(1000 + i);

		must_add(&conf);
	}
	for (uint32_t i = 0; i < SLOTS; i++) {
		uint32_t slot;

		ck_assert_int_eq(find_in(1000 + i, &slot), 0);
		ck_assert_int_eq(sad_update(sad, slot, &to, &why), 0);
		ck_assert_ptr_eq(lookup(1000 + i), hot(slot));
	}
}
END_TEST

START_TEST(creation_fails_cleanly)
{
	struct sad_conf conf = {.max_sas = 1 << 20,
		.spi_min = SPI_MIN,
		.spi_max = SPI_MAX,
		.workers = 16,
		.rcu = rcu};

	sad_destroy(sad);
	/* A gigabyte of counters is not there. */
	sad = sad_create(&conf, &crypto);
	ck_assert_ptr_null(sad);
	conf.workers = 1;
	conf.max_sas = (1 << 20) + 1;
	ck_assert_ptr_null(sad_create(&conf, &crypto));
	conf.max_sas = UINT32_MAX;
	ck_assert_ptr_null(sad_create(&conf, &crypto));
	conf.max_sas = 1024;
	conf.spi_max = conf.spi_min + 1024 * 255 - 1;
	ck_assert_ptr_null(sad_create(&conf, &crypto));
	conf.spi_max = conf.spi_min - 1;
	ck_assert_ptr_null(sad_create(&conf, &crypto));
}
END_TEST

/* Random calls against plain arrays: each SPI's state, in both directions. */
#define NUMBERS 200

START_TEST(agrees_with_a_model)
{
	struct {
		bool in, out, larval;
		uint32_t in_slot, out_slot, spi;
	} m[NUMBERS] = {0};
	unsigned int live = 0;

	for (unsigned int i = 0; i < NUMBERS; i++) /* half are of the form that slots have */
		m[i].spi = i % 2 ? SPI_MIN + eal_rand() % 1024 * NUMBERS + i : 1000 + i;
	for (unsigned int n = 0; n < 60000; n++) {
		unsigned int i = eal_rand() % NUMBERS;
		struct sa_conf in = sa_in(m[i].spi), out = sa_out(m[i].spi, "192.0.2.1");
		uint32_t slot;

		switch (eal_rand() % 5) {
		case 0:
			if (!m[i].in && !m[i].out && !m[i].larval && live < SLOTS) {
				m[i].spi = reserve();
				m[i].larval = true;
				live++;
			}
			break;
		case 1:
			if (m[i].larval) {
				m[i].in_slot = must_add_reserved(m[i].spi);
				m[i].in = true;
				m[i].larval = false;
			} else if (live < SLOTS || m[i].in) {
				must(add(&in, false, &slot) == (m[i].in ? -EEXIST : 0));
				live += !m[i].in;
				m[i].in_slot = m[i].in ? m[i].in_slot : slot;
				m[i].in = true;
			}
			break;
		case 2:
			if (live < SLOTS || m[i].out) {
				must(add(&out, false, &slot) == (m[i].out ? -EEXIST : 0));
				live += !m[i].out;
				m[i].out_slot = m[i].out ? m[i].out_slot : slot;
				m[i].out = true;
			}
			break;
		case 3:
			if (m[i].in) {
				must(sad_del(sad, m[i].in_slot) == 0);
				m[i].in = false;
				live--;
			} else if (m[i].larval) {
				must(find_in(m[i].spi, &slot) == 0 && sad_del(sad, slot) == 0);
				m[i].larval = false;
				live--;
			}
			break;
		default:
			if (m[i].out) {
				must(sad_del(sad, m[i].out_slot) == 0);
				m[i].out = false;
				live--;
			}
		}
		rcu_poll(rcu);
		must(sad_count(sad, SA_FREE) == SLOTS - live);
		for (unsigned int k = n % 16; k < NUMBERS; k += 16) {
			struct sa *sa = lookup(m[k].spi);

			must(sa == (m[k].in ? hot(m[k].in_slot) : NULL));
			must((find_in(m[k].spi, &slot) == 0) == (m[k].in || m[k].larval));
			must(!m[k].in || slot == m[k].in_slot);
			must((find_out(m[k].spi, "192.0.2.1", &slot) == 0) == m[k].out);
			must(!m[k].out || slot == m[k].out_slot);
		}
	}
}
END_TEST

/* What a lcore sees while SAs come and go: each SA that it finds is whole. */
#define STABLE 16
#define MOVING 24

static uint32_t stable[STABLE];
static _Atomic uint32_t moving[MOVING];

static bool
read_sas(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < STABLE; i++) {
		struct sa *sa = lookup(stable[i]);

		if (sa == NULL || sa->reqid != stable[i])
			return false;
	}
	for (unsigned int i = 0; i < MOVING; i++) {
		uint32_t spi = atomic_load_explicit(&moving[i], memory_order_relaxed);
		struct sa *sa = lookup(spi);

		for (int k = 0; sa != NULL && k < 10; k++)
			if (sa->reqid != spi || sa->session == NULL || sa->salt != 0x5a175a17 ||
				sa->replay == NULL || sa->replay->window != 64)
				return false;
	}
	return true;
}

START_TEST(lcores_see_whole_sas)
{
	struct eal_reader r = {
		.read = read_sas, .rcu = rcu, .what = "an SA was missing, or not whole"};
	const struct sa_end_points to[2] = {{.src = ip("192.0.2.3"), .dst = ip("192.0.2.2")},
		{.src = ip("192.0.2.4"), .dst = ip("192.0.2.2")}};
	uint32_t slot[MOVING], some, updates = 0;
	double end = eal_ms() + 2000;

	for (unsigned int i = 0; i < STABLE; i++) {
		struct sa_conf conf = sa_in(1000 + i * SLOTS); /* they share a bucket, perhaps */

		stable[i] = conf.reqid;
		if (i % 2)
			must_add_reserved(stable[i] = reserve());
		else
			must_add(&conf);
	}
	for (unsigned int i = 0; i < MOVING; i++)
		slot[i] = UINT32_MAX;
	eal_readers_start(&r, 2);
	for (unsigned int n = 0; eal_ms() < end && r.failed == 0; n++) {
		unsigned int i = n % MOVING;
		struct sa_conf conf = sa_in(SPI_MIN + eal_rand() % 65536);

		if (slot[i] != UINT32_MAX)
			must(sad_del(sad, slot[i]) == 0);
		slot[i] = UINT32_MAX;
		if (n % 2 && sad_count(sad, SA_FREE) > 0) {
			uint32_t spi = reserve();

			atomic_store(&moving[i], spi);
			slot[i] = must_add_reserved(spi);
		} else if (find_in(conf.reqid, &some) < 0 && sad_count(sad, SA_FREE) > 0) {
			atomic_store(&moving[i], conf.reqid);
			slot[i] = must_add(&conf);
		}
		/* Its peer moves: it is found all the time. */
		must(find_in(stable[n % STABLE], &some) == 0);
		updates += sad_update(sad, some, &to[n / STABLE % 2], &why) == 0;
		rcu_poll(rcu);
	}
	eal_readers_stop(&r);
	ck_assert_uint_gt(updates, 100);
	printf("sad: %lu reads of %u SAs, %u updates\n", r.reads, STABLE + MOVING, updates);
}
END_TEST

#define MANY 100000

/* What it costs; the numbers are for the eye. */
START_TEST(a_hundred_thousand)
{
	uint32_t *spi = calloc(MANY, sizeof(*spi)), *slot = calloc(MANY, sizeof(*slot));
	double t[6];

	sad_destroy(sad);
	make_sad(MANY);
	t[0] = eal_ms();
	for (unsigned int i = 0; i < MANY; i++)
		spi[i] = i % 4 ? reserve() : 1000 + i;
	t[1] = eal_ms();
	for (unsigned int i = 0; i < MANY; i++) {
		struct sa_conf conf = sa_in(spi[i]);

		slot[i] = i % 4 ? must_add_reserved(spi[i]) : must_add(&conf);
	}
	t[2] = eal_ms();
	for (unsigned int i = 0; i < MANY; i++) {
		uint32_t found;

		must(find_in(spi[i], &found) == 0 && found == slot[i]);
	}
	t[3] = eal_ms();
	for (unsigned int i = 0; i < MANY; i++)
		must(lookup(spi[i]) == hot(slot[i]));
	t[4] = eal_ms();
	for (unsigned int i = 0; i < MANY; i++)
		must(sad_del(sad, slot[i]) == 0);
	rcu_poll(rcu);
	t[5] = eal_ms();
	ck_assert_uint_eq(sad_count(sad, SA_FREE), sad_slots(sad));
	printf("sad: %u SAs, us each: get_spi %.2f, add %.2f, find %.3f, lookup %.3f, del %.2f\n",
		MANY, (t[1] - t[0]) / 100 / 0.75, (t[2] - t[1]) / 100, (t[3] - t[2]) / 100,
		(t[4] - t[3]) / 100, (t[5] - t[4]) / 100);
	free(spi);
	free(slot);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sad");
	TCase *tc = tcase_create("sad");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, keys_are_kept_if_asked_for);
	tcase_add_test(tc, spis_are_unique_and_carry_their_slots);
	tcase_add_test(tc, a_slot_s_next_spi_is_another);
	tcase_add_test(tc, spis_spread_over_the_whole_range);
	tcase_add_test(tc, a_reservation_becomes_an_sa);
	tcase_add_test(tc, refuses_what_was_not_reserved);
	tcase_add_test(tc, finds_outbound_sas_by_peer);
	tcase_add_test(tc, outer_ids_begin_anywhere);
	tcase_add_test(tc, finds_foreign_spis);
	tcase_add_test(tc, one_spi_of_both_protocols);
	tcase_add_test(tc, foreign_spis_have_their_slots);
	tcase_add_test(tc, get_spi_avoids_a_foreign_spi);
	tcase_add_test(tc, get_spi_ends_when_all_are_foreign);
	tcase_add_test(tc, keeps_directions_apart);
	tcase_add_test(tc, adds_all_or_nothing);
	tcase_add_test(tc, a_slot_is_reused_after_its_grace_period);
	tcase_add_test(tc, a_dying_sa_s_spi_can_come_back);
	tcase_add_test(tc, deletes_only_what_is_there);
	tcase_add_test(tc, updates_only_what_is_there);
	tcase_add_test(tc, updates_foreign_sas_of_a_full_table);
	tcase_add_test(tc, creation_fails_cleanly);
	tcase_add_test(tc, agrees_with_a_model);
	tcase_add_test(tc, lcores_see_whole_sas);
	tcase_add_test(tc, a_hundred_thousand);
	suite_add_tcase(s, tc);
	return eal_main(s);
}
