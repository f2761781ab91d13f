/* SPDX-License-Identifier: BSD-3-Clause */
#include "plugin_stress.h"

#include "convert.h"
#include "kernel_cygnet_ipsec.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <daemon.h>

/*
 * charon's rekeyings and changes of address, as fast as they go, through the whole plugin to a router by an agent on whom there is no
 * relying. When it has become calm, the router must have what charon believes in: each tunnel's policies with the
 * SPI of its SA, its SAs, and nothing else.
 */

#define TUNNELS 8
#define REKEYS 25

struct child {
	uint32_t in, out; /* SPIs; 0: none */
	host_t *us; /* our address of the SAs */
	unsigned int installed; /* OUT, IN, FWD policies, as bits of their directions */
};

struct tunnel {
	unsigned int nr;
	pthread_t thread;
	struct child child;
	host_t *us;
	_Atomic uint32_t expired; /* inbound SPI */
	unsigned int failed, lost;
};

static void
say(bus_t *this, debug_t group, level_t level, char *format, ...)
{
}

static void expire(kernel_interface_t *this, uint8_t proto, uint32_t spi, host_t *dst, bool hard);

static bus_t bus = {.log = say};
static kernel_interface_t kernel = {.expire = expire};
static daemon_t self = {.kernel = &kernel, .bus = &bus};
daemon_t *charon = &self;

static struct tunnel tunnels[TUNNELS];
static kernel_ipsec_t *ipsec;
static host_t *ours[2], *peer;
static _Atomic uint32_t peer_spi;
static lifetime_cfg_t life;
static char path[] = "/tmp/cygnet-stress-XXXXXX/agent";

/* charon forgets what it hears of an SA that it has not set up yet, or has given up. */
static void
expire(kernel_interface_t *this, uint8_t proto, uint32_t spi, host_t *dst, bool hard)
{
	for (unsigned int i = 0; i < TUNNELS; i++) {
		struct child *c = &tunnels[i].child;

		if (c->in == spi && dst->ip_equals(dst, c->us))
			tunnels[i].expired = spi;
		else if (c->out == spi && dst->ip_equals(dst, peer))
			tunnels[i].expired = c->in;
	}
}

static bool
add_sa(host_t *us, uint32_t spi, bool inbound)
{
	static u_char key[36];
	kernel_ipsec_sa_id_t id = {
		.src = inbound ? peer : us, .dst = inbound ? us : peer, .spi = spi, .proto = 50};
	kernel_ipsec_add_sa_t data = {.reqid = 1,
		.mode = MODE_TUNNEL,
		.lifetime = &life,
		.enc_alg = ENCR_AES_GCM_ICV16,
		.enc_key = chunk_create(key, sizeof(key)),
		.int_alg = AUTH_UNDEFINED,
		.inbound = inbound,
		.update = inbound};

#ifdef HAVE_KERNEL_IPSEC_ADD_SA_T_CPU
	data.cpu = CPU_ID_MAX;
#endif
	return ipsec->add_sa(ipsec, &id, &data) == SUCCESS;
}

static void
del_sa(host_t *us, uint32_t spi, bool inbound)
{
	kernel_ipsec_sa_id_t id = {
		.src = inbound ? peer : us, .dst = inbound ? us : peer, .spi = spi, .proto = 50};
	kernel_ipsec_del_sa_t data = {};

	if (spi != 0)
		ipsec->del_sa(ipsec, &id, &data);
}

/* One policy of a tunnel, added or deleted. */
static bool
policy(struct tunnel *t, struct child *c, policy_dir_t dir, bool add)
{
	ipsec_sa_cfg_t sa = {.mode = MODE_TUNNEL,
		.reqid = t->nr + 1,
		.esp = {.use = TRUE, .spi = dir == POLICY_OUT ? c->out : c->in}};
	kernel_ipsec_policy_id_t id = {.dir = dir};
	kernel_ipsec_manage_policy_t data = {.type = POLICY_IPSEC,
		.prio = POLICY_PRIORITY_DEFAULT,
		.src = dir == POLICY_OUT ? ours[0] : peer,
		.dst = dir == POLICY_OUT ? peer : ours[0],
		.sa = &sa};
	char net[] = "10.1.0.0/16", theirs[32];
	bool done = true;

	snprintf(theirs, sizeof(theirs), "10.2.%u.0/24", t->nr);
	id.src_ts =
		traffic_selector_create_from_cidr(dir == POLICY_OUT ? net : theirs, 0, 0, 65535);
	id.dst_ts =
		traffic_selector_create_from_cidr(dir == POLICY_OUT ? theirs : net, 0, 0, 65535);
	if (add) {
		done = ipsec->add_policy(ipsec, &id, &data) == SUCCESS;
		c->installed |= done << dir;
	} else if (c->installed & 1 << dir) {
		ck_assert_int_eq(ipsec->del_policy(ipsec, &id, &data), SUCCESS);
		c->installed &= ~(1 << dir);
	}
	id.src_ts->destroy(id.src_ts);
	id.dst_ts->destroy(id.dst_ts);
	return done;
}

static void
del_child(struct tunnel *t, struct child *c)
{
	policy(t, c, POLICY_OUT, false);
	del_sa(c->us, c->out, false);
	policy(t, c, POLICY_IN, false);
	policy(t, c, POLICY_FWD, false);
	del_sa(c->us, c->in, true);
	memset(c, 0, sizeof(*c));
}

/* As charon does it: all of it, or nothing of it is left. */
static bool
add_child(struct tunnel *t, struct child *c)
{
	uint32_t out = htonl(++peer_spi);

	*c = (struct child){.us = t->us};
	if (ipsec->get_spi(ipsec, peer, t->us, 50, &c->in) == SUCCESS &&
		add_sa(t->us, c->in, true) && policy(t, c, POLICY_IN, true) &&
		policy(t, c, POLICY_FWD, true)) {
		c->out = out;
		if (add_sa(t->us, out, false)) {
			if (policy(t, c, POLICY_OUT, true))
				return true;
		} else {
			c->out = 0;
		}
	}
	del_child(t, c);
	t->failed++;
	return false;
}

/* Make before break. In a collision there are two new ones, of which one goes again. */
static void
rekey(struct tunnel *t, unsigned int nr)
{
	struct child old = t->child, new, other;

	if (!add_child(t, &new))
		return;
	if (nr % 3 == 0 && add_child(t, &other))
		del_child(t, nr % 2 ? &other : &new);
	else
		memset(&other, 0, sizeof(other));
	t->child = new.in != 0 ? new : other;
	/* The outbound half goes at once, the inbound one later. */
	policy(t, &old, POLICY_OUT, false);
	del_sa(old.us, old.out, false);
	old.out = 0;
	del_child(t, &old);
}

/* Whatever the backend says, charon goes on with the new address. */
static void
move(struct tunnel *t)
{
	host_t *to = t->us == ours[0] ? ours[1] : ours[0];
	kernel_ipsec_update_sa_t in = {.new_src = peer, .new_dst = to};
	kernel_ipsec_update_sa_t out = {.new_src = to, .new_dst = peer};
	kernel_ipsec_sa_id_t id = {
		.src = peer, .dst = t->us, .spi = t->child.in, .proto = IPPROTO_ESP};

	ipsec->update_sa(ipsec, &id, &in);
	id = (kernel_ipsec_sa_id_t){
		.src = t->us, .dst = peer, .spi = t->child.out, .proto = IPPROTO_ESP};
	ipsec->update_sa(ipsec, &id, &out);
	t->us = t->child.us = to;
}

static void *
run(void *arg)
{
	struct tunnel *t = arg;

	for (unsigned int i = 0; i < REKEYS; i++) {
		if (t->expired != 0 && t->expired == t->child.in) {
			t->lost++;
			del_child(t, &t->child);
		}
		t->expired = 0;
		if (t->child.in == 0)
			add_child(t, &t->child);
		else if (i % 4 == 1)
			move(t);
		else
			rekey(t, i);
	}
	return NULL;
}

static bool
has_in(const struct child *c)
{
	struct ike_addr us;

	convert_host(c->us, &us);
	for (unsigned int i = 0; i < stress.n_sas; i++)
		if (stress.sas[i].spi == c->in && !stress.sas[i].larval &&
			memcmp(&stress.sas[i].dst, &us, sizeof(us)) == 0)
			return true;
	return false;
}

/* Both ends count: it sends from where we are. */
static bool
has_out(const struct child *c)
{
	struct ike_addr us, them;

	convert_host(c->us, &us);
	convert_host(peer, &them);
	for (unsigned int i = 0; i < stress.n_sas; i++)
		if (stress.sas[i].spi == c->out &&
			memcmp(&stress.sas[i].src, &us, sizeof(us)) == 0 &&
			memcmp(&stress.sas[i].dst, &them, sizeof(them)) == 0)
			return true;
	return false;
}

/* The policies of that tunnel that the router has, and the SPI that the OUT one names. */
static unsigned int
policies_of(const struct tunnel *t, uint32_t *spi)
{
	unsigned int n = 0;

	*spi = 0;
	for (unsigned int i = 0; i < stress.n_policies; i++) {
		const struct ike_msg_policy *p = &stress.policies[i].p;

		if (p->reqid != t->nr + 1)
			continue;
		n++;
		if (p->dir == IKE_DIR_OUT)
			*spi = p->spi;
	}
	return n;
}

/* NULL: the router has just what charon believes in. */
static const char *
difference(char *text, size_t size)
{
	unsigned int live = 0, sas = 0;
	uint32_t spi;

	text[0] = '\0';
	for (unsigned int i = 0; i < TUNNELS && text[0] == '\0'; i++) {
		const struct tunnel *t = &tunnels[i];
		unsigned int n = policies_of(t, &spi);

		live += t->child.in != 0;
		if (n != (t->child.in != 0 ? 3 : 0))
			snprintf(text, size, "tunnel %u: %u policies, in %08x", i, n, t->child.in);
		else if (t->child.in != 0 && spi != t->child.out)
			snprintf(text, size, "tunnel %u: its policy names %08x, not %08x", i,
				ntohl(spi), ntohl(t->child.out));
		else if (t->child.in != 0 && (!has_in(&t->child) || !has_out(&t->child)))
			snprintf(text, size, "tunnel %u: an SA is missing: in %d, out %d", i,
				has_in(&t->child), has_out(&t->child));
	}
	for (unsigned int i = 0; i < stress.n_sas; i++)
		sas += !stress.sas[i].larval;
	if (text[0] == '\0' && sas != 2 * live)
		snprintf(text, size, "%u SAs of %u tunnels", sas, live);
	return text[0] != '\0' ? text : NULL;
}

/* What charon does with the news that came when it was through. */
static void
repair(void)
{
	for (unsigned int i = 0; i < TUNNELS; i++) {
		struct tunnel *t = &tunnels[i];

		if (t->expired != 0 && t->expired == t->child.in)
			del_child(t, &t->child);
		t->expired = 0;
		if (t->child.in == 0)
			add_child(t, &t->child);
	}
}

static void
set(const char *key, const char *value)
{
	char full[128];

	snprintf(full, sizeof(full), "%s.%s", lib->ns, key);
	lib->settings->set_str(lib->settings, full, (char *)(uintptr_t)value);
}

static void
setup(void)
{
	setenv("LEAK_DETECTIVE_DISABLE", "1", 1);
	ck_assert(library_init(NULL, "unittests"));
	strcpy(path, "/tmp/cygnet-stress-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	strcat(path, "/agent");
	set("install_routes", "no");
	set("plugins.kernel-cygnet.agent_socket", path);
	set("plugins.kernel-cygnet.timeout", "100");
	lib->processor->set_threads(lib->processor, 4);
	ours[0] = host_create_from_string("192.0.2.1", 0);
	ours[1] = host_create_from_string("192.0.2.77", 0);
	peer = host_create_from_string("192.0.2.2", 0);
	memset(tunnels, 0, sizeof(tunnels));
}

static void
teardown(void)
{
	lib->processor->cancel(lib->processor);
	ipsec->destroy(ipsec);
	stress_router_stop(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	ours[0]->destroy(ours[0]);
	ours[1]->destroy(ours[1]);
	peer->destroy(peer);
	library_deinit();
}

static void
storm(unsigned int seed)
{
	const char *what = "";
	unsigned int failed = 0, lost = 0;
	char text[128];

	stress_router_start(path, seed);
	ipsec = (kernel_ipsec_t *)kernel_cygnet_ipsec_create();
	ck_assert_ptr_nonnull(ipsec);
	for (unsigned int i = 0; i < TUNNELS; i++) {
		tunnels[i].nr = i;
		tunnels[i].us = ours[0];
		pthread_create(&tunnels[i].thread, NULL, run, &tunnels[i]);
	}
	for (unsigned int i = 0; i < TUNNELS; i++) {
		pthread_join(tunnels[i].thread, NULL);
		failed += tunnels[i].failed;
		lost += tunnels[i].lost;
	}
	stress.calm = true;
	for (unsigned int i = 0; i < 800 && what != NULL; i++) {
		usleep(50000);
		repair();
		pthread_mutex_lock(&stress.lock);
		what = difference(text, sizeof(text));
		pthread_mutex_unlock(&stress.lock);
	}
	ck_assert_msg(what == NULL, "seed %u: %s", seed, what);
	ck_assert_uint_gt(stress.lives, 1);
	ck_assert_uint_gt(failed, 0);
	printf("seed %u: %u agents, %u new routers, %u replays, %u failed, %u lost\n", seed,
		stress.lives, stress.routers, stress.syncs, failed, lost);
}

START_TEST(states_agree_after_a_storm)
{
	storm(_i + 1);
}
END_TEST

/* A router that loses nothing: whatever is not answered in time is late. Returns the first tunnel. */
static struct tunnel *
start_calm(void)
{
	set("plugins.kernel-cygnet.timeout", "10000");
	stress_router_start(path, 1);
	stress.calm = true;
	ipsec = (kernel_ipsec_t *)kernel_cygnet_ipsec_create();
	ck_assert_ptr_nonnull(ipsec);
	tunnels[0].us = ours[0];
	return &tunnels[0];
}

/* charon must not believe in a policy that the router will not have, whatever the reason. */
START_TEST(a_refused_policy_fails_its_child)
{
	static const int refusals[] = {-EEXIST, -ENOSPC, -ENOMEM, -EINVAL, -ENOTSUP};
	struct tunnel *t = start_calm();

	ck_assert(add_child(t, &t->child));
	del_child(t, &t->child);
	for (unsigned int i = 0; i < countof(refusals); i++) {
		stress.refusal = refusals[i];
		ck_assert(!add_child(t, &t->child));
		ck_assert_uint_eq(stress.n_sas + stress.n_policies, 0);
	}
	/* It says nothing about the policy: that is told again. */
	stress.refusal = -EBUSY;
	ck_assert(add_child(t, &t->child));
	stress.refusal = 0;
	for (unsigned int i = 0; i < 500 && stress.n_policies < 3; i++)
		usleep(20000);
	ck_assert_uint_eq(stress.n_policies, 3);
}
END_TEST

/*
 * Peers choose the SPIs of our outbound SAs, and two behind one NAT may choose the same: the second is refused, and what charon
 * deletes then is not the first one's.
 */
START_TEST(a_refused_sa_does_not_end_its_twin)
{
	struct tunnel *t = start_calm();
	uint32_t spi;

	ck_assert(add_child(t, &t->child));
	spi = t->child.out;
	for (unsigned int i = 0; i < 2; i++)
		ck_assert(!add_sa(t->us, spi, false));
	for (unsigned int i = 0; i < 2; i++) {
		del_sa(t->us, spi, false);
		ck_assert(has_out(&t->child));
	}
	ck_assert(!add_sa(t->us, spi, false));
	del_sa(t->us, spi, false);
	move(t);
	ck_assert(has_out(&t->child));
	/* Its own deletion counts. */
	del_child(t, &t->child);
	ck_assert_uint_eq(stress.n_sas, 0);
	ck_assert(add_sa(t->us, spi, false));
	del_sa(t->us, spi, false);
	ck_assert_uint_eq(stress.n_sas, 0);
}
END_TEST

/* Whether charon hears within ten seconds that the tunnel's inbound SA has ended. */
static bool
hears_of_the_end(struct tunnel *t)
{
	for (unsigned int i = 0; i < 500 && t->expired != t->child.in; i++)
		usleep(20000);
	return t->expired == t->child.in;
}

/* No replay is under way, and none comes by itself. */
static void
wait_until_quiet(void)
{
	unsigned int seen = stress.syncs;

	for (unsigned int quiet = 0; quiet < 50; quiet++) {
		usleep(20000);
		quiet = stress.syncs == seen ? quiet : 0;
		seen = stress.syncs;
	}
}

/*
 * The router has lost an SA, and charon is told so until it deletes it. It changes the address of that SA meanwhile: it
 * goes on being told, of the new one.
 */
START_TEST(a_dead_sa_is_moved)
{
	struct tunnel *t = start_calm();

	tunnels[1].nr = 1;
	tunnels[1].us = ours[0];
	ck_assert(add_child(t, &t->child));
	pthread_mutex_lock(&stress.lock);
	for (unsigned int i = 0; i < stress.n_sas; i++)
		if (stress.sas[i].spi == t->child.in)
			stress.sas[i] = stress.sas[--stress.n_sas];
	pthread_mutex_unlock(&stress.lock);
	/* What makes the plugin tell all again, and look. */
	stress.refusal = -EBUSY;
	ck_assert(add_child(&tunnels[1], &tunnels[1].child));
	stress.refusal = 0;
	ck_assert(hears_of_the_end(t));
	wait_until_quiet();
	move(t);
	t->expired = 0;
	ck_assert(hears_of_the_end(t));
}
END_TEST

int
main(int argc, char **argv)
{
	Suite *s = suite_create("plugin_stress");
	TCase *t = tcase_create("stress");
	int first = argc > 1 ? atoi(argv[1]) - 1 : 0;
	int n = argc > 2 ? atoi(argv[2]) : argc > 1 ? 1 : 4;
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_refused_policy_fails_its_child);
	tcase_add_test(t, a_refused_sa_does_not_end_its_twin);
	tcase_add_test(t, a_dead_sa_is_moved);
	tcase_add_loop_test(t, states_agree_after_a_storm, first, first + n);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
