/* SPDX-License-Identifier: BSD-3-Clause */
#include "plugin_stress.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The agent with its router as one thread: it does what the real ones do with requests, and then something else. */

struct stress_router stress = {.lock = PTHREAD_MUTEX_INITIALIZER};

static unsigned int seed;
static uint32_t next_spi;
static uint32_t session; /* counts HELLOs */
static pthread_t thread;
static int listener;

static bool
chance(unsigned int permille)
{
	return !stress.calm && (unsigned int)rand_r(&seed) % 1000 < permille;
}

static struct stress_sa *
find_sa(const struct ike_msg_sa_id *id)
{
	for (unsigned int i = 0; i < stress.n_sas; i++)
		if (stress.sas[i].spi == id->spi &&
			memcmp(&stress.sas[i].dst, &id->dst, sizeof(id->dst)) == 0)
			return &stress.sas[i];
	return NULL;
}

static int
add_sa(const struct ike_msg_add_sa *m)
{
	struct stress_sa *sa = find_sa(&m->id);

	if (m->flags & IKE_SA_UPDATE) {
		if (sa == NULL || !sa->larval)
			return sa == NULL ? -ENOENT : -EEXIST;
		sa->larval = false;
		sa->src = m->id.src;
		sa->session = session;
		return 0;
	}
	if (sa != NULL)
		return -EEXIST;
	ck_assert_uint_lt(stress.n_sas, STRESS_MAX_SAS);
	stress.sas[stress.n_sas++] = (struct stress_sa){
		.spi = m->id.spi, .src = m->id.src, .dst = m->id.dst, .session = session};
	return 0;
}

static int
query_sa(const struct ike_msg_sa_id *id)
{
	struct stress_sa *sa = find_sa(id);

	if (sa == NULL || memcmp(&sa->src, &id->src, sizeof(id->src)) != 0)
		return -ENOENT;
	sa->session = session;
	return 0;
}

static int
update_sa(const struct ike_msg_update_sa *m)
{
	struct stress_sa *sa = find_sa(&m->id);

	if (sa == NULL || sa->larval)
		return -ENOENT;
	sa->src = m->new_src;
	sa->dst = m->new_dst;
	sa->session = session;
	return 0;
}

static int
del_sa(const struct ike_msg_sa_id *id)
{
	struct stress_sa *sa = find_sa(id);

	if (sa == NULL)
		return -ENOENT;
	*sa = stress.sas[--stress.n_sas];
	return 0;
}

static int
get_spi(struct ike_msg_sa_id *id)
{
	ck_assert_uint_lt(stress.n_sas, STRESS_MAX_SAS);
	id->spi = htonl(0xc0000000u + ++next_spi);
	stress.sas[stress.n_sas++] =
		(struct stress_sa){.spi = id->spi, .dst = id->dst, .larval = true};
	return 0;
}

static struct stress_policy *
find_policy(const struct ike_msg_policy *p)
{
	for (unsigned int i = 0; i < stress.n_policies; i++)
		if (stress.policies[i].p.dir == p->dir &&
			memcmp(&stress.policies[i].p.sel, &p->sel, sizeof(p->sel)) == 0)
			return &stress.policies[i];
	return NULL;
}

static int
add_policy(const struct ike_msg_policy *p)
{
	struct stress_policy *e = find_policy(p);

	if (stress.refusal != 0)
		return stress.refusal;
	if (e == NULL) {
		ck_assert_uint_lt(stress.n_policies, STRESS_MAX_POLICIES);
		e = &stress.policies[stress.n_policies++];
	}
	*e = (struct stress_policy){.p = *p, .session = session};
	return 0;
}

static int
del_policy(const struct ike_msg_policy *p)
{
	struct stress_policy *e = find_policy(p);

	if (e == NULL)
		return -ENOENT;
	*e = stress.policies[--stress.n_policies];
	return 0;
}

/* What was not said again since the HELLO is no longer wanted. */
static int
sync_done(void)
{
	for (unsigned int i = stress.n_policies; i-- > 0;)
		if (stress.policies[i].session != session)
			stress.policies[i] = stress.policies[--stress.n_policies];
	stress.syncs++;
	return 0;
}

static int
sas_done(void)
{
	for (unsigned int i = stress.n_sas; i-- > 0;)
		if (!stress.sas[i].larval && stress.sas[i].session != session)
			stress.sas[i] = stress.sas[--stress.n_sas];
	return 0;
}

static int
apply(struct ike_msg *m)
{
	if (m->hdr.type != IKE_HELLO && m->hdr.epoch != stress.epoch)
		return -ESTALE;
	switch (m->hdr.type) {
	case IKE_HELLO:
		session++;
		return 0;
	case IKE_GET_SPI:
		return get_spi(&m->body.sa_id);
	case IKE_ADD_SA:
		return add_sa(&m->body.add_sa);
	case IKE_DEL_SA:
		return del_sa(&m->body.sa_id);
	case IKE_QUERY_SA:
		return query_sa(&m->body.sa_id);
	case IKE_UPDATE_SA:
		return update_sa(&m->body.update_sa);
	case IKE_ADD_POLICY:
		return add_policy(&m->body.policy);
	case IKE_DEL_POLICY:
		return del_policy(&m->body.policy);
	case IKE_SYNC_DONE:
		return sync_done();
	case IKE_SAS_DONE:
		return sas_done();
	default:
		return 0;
	}
}

static void
reply(int fd, struct ike_msg *m, int status)
{
	m->hdr.status = status;
	m->hdr.epoch = stress.epoch;
	m->hdr.len = ike_reply_len(m->hdr.type);
	send(fd, m, m->hdr.len, MSG_NOSIGNAL);
}

/* A dead router's state is gone with it. */
static void
new_router(void)
{
	stress.n_sas = stress.n_policies = 0;
	stress.epoch++;
	stress.routers++;
}

/* One request, and what may go wrong with it; false: the agent is dead. */
static bool
serve(int fd, struct ike_msg *m)
{
	struct ike_msg bad;
	int rc;

	if (chance(2)) {
		new_router();
		return false;
	}
	if (chance(4)) /* the agent is killed before it has passed it on */
		return false;
	if (chance(10)) { /* lost; the agent says so, or is as silent as its router */
		if (chance(500))
			reply(fd, m, -ETIMEDOUT);
		return true;
	}
	rc = apply(m);
	if (chance(4)) /* and after it */
		return false;
	if (chance(10)) {
		if (chance(500))
			reply(fd, m, -ETIMEDOUT);
		return true;
	}
	if (chance(20)) {
		bad = *m;
		bad.hdr.magic ^= 1u << rand_r(&seed) % 32;
		reply(fd, &bad, -EDOM);
		bad = *m;
		bad.hdr.seq += 7777;
		reply(fd, &bad, -EDOM);
	}
	if (chance(10))
		usleep(STRESS_TIMEOUT * 1500); /* too late, and all behind it with it */
	reply(fd, m, rc);
	if (chance(50))
		reply(fd, m, rc);
	return true;
}

static void
live(int fd)
{
	char packet[sizeof(struct ike_msg) + IKE_KEY_MAX];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct ike_msg m;
	bool lives = true, up = false;
	ssize_t n;

	while (lives && !stress.stop) {
		if (poll(&p, 1, 50) <= 0)
			continue;
		n = recv(fd, packet, sizeof(packet), 0);
		if (n < (ssize_t)sizeof(m.hdr))
			break;
		memset(&m, 0, sizeof(m));
		memcpy(&m, packet, (size_t)n < sizeof(m) ? (size_t)n : sizeof(m));
		pthread_mutex_lock(&stress.lock);
		if (!up) {
			up = true;
			m.hdr.type = IKE_AGENT_UP;
			reply(fd, &m, 0);
		} else {
			lives = serve(fd, &m);
		}
		pthread_mutex_unlock(&stress.lock);
	}
}

static void *
run(void *arg)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	int fd;

	while (!stress.stop) {
		if (poll(&p, 1, 50) <= 0)
			continue;
		fd = accept(listener, NULL, NULL);
		ck_assert_int_ge(fd, 0);
		stress.lives++;
		live(fd);
		close(fd);
	}
	return arg;
}

void
stress_router_start(const char *path, unsigned int s)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	memset(&stress, 0, sizeof(stress));
	pthread_mutex_init(&stress.lock, NULL);
	stress.epoch = 1;
	seed = s;
	next_spi = session = 0;
	strcpy(un.sun_path, path);
	unlink(path);
	listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&un, sizeof(un)), 0);
	ck_assert_int_eq(listen(listener, 2), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
}

void
stress_router_stop(const char *path)
{
	stress.stop = true;
	pthread_join(thread, NULL);
	close(listener);
	unlink(path);
}
