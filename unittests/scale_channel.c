/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * charon's plugin without charon, for ci/scale: the plugin's own link and desired state, a real agent and a real router.
 * scale-channel AGENT FILE-PREFIX; then a command a line, each answered by one line of JSON:
 *
 *   fill FIRST N SECONDS  installs tunnels FIRST .. FIRST+N-1: an SPI, two SAs, three policies each; their soft lifetime
 *                         (0: none)
 *   probe FIRST N         installs N inbound SAs and takes them away again, to see what a call costs now
 *   events N SECONDS      waits until N different SAs have been reported as expired
 *   empty FIRST N         takes tunnels away
 */

#define MAX_TUNNELS (1u << 17)
#define TIMEOUT_MS 5000 /* no call is to fail, however busy the machine is */

struct tunnel {
	uint32_t spi_in; /* network order */
	bool expired;
};

static struct {
	struct link *link;
	struct desired *desired;
	struct tunnel *tunnels;
	pthread_mutex_t lock; /* of what events change */
	unsigned int expired, reports, up;
} scale;

/* What calls of a kind took, in microseconds. */
struct times {
	const char *name;
	unsigned int n, failed;
	float *us;
};

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static void
on_event(void *ctx, const struct ike_msg *m)
{
	(void)ctx;
	if (m->hdr.type != IKE_EVENT_EXPIRE)
		return;
	pthread_mutex_lock(&scale.lock);
	scale.reports++;
	for (unsigned int i = 0; i < MAX_TUNNELS; i++) {
		/* The slot's number is in the SPI, so that tunnels are nearly in its order: no need for a hash. */
		if (scale.tunnels[i].spi_in != m->body.expire.spi)
			continue;
		scale.expired += !scale.tunnels[i].expired;
		scale.tunnels[i].expired = true;
		break;
	}
	pthread_mutex_unlock(&scale.lock);
}

static void
on_log(void *ctx, int level, const char *line)
{
	(void)ctx;
	if (level <= 1)
		fprintf(stderr, "%s\n", line);
	if (strstr(line, "router knows") != NULL)
		__atomic_add_fetch(&scale.up, 1, __ATOMIC_SEQ_CST);
}

static void
address(struct ike_addr *a, uint32_t host_order)
{
	uint32_t be = htonl(host_order);

	memset(a, 0, sizeof(*a));
	a->family = 4;
	memcpy(a->b, &be, sizeof(be));
}

static void
ends(struct ike_msg_sa_id *id, unsigned int i, bool inbound)
{
	address(inbound ? &id->dst : &id->src, 0xc0000201); /* 192.0.2.1 */
	address(inbound ? &id->src : &id->dst, 0xc6120000 + i); /* 198.18.0.0/15 */
	id->proto = 50;
	id->reqid = i + 1;
}

static int
call(struct times *t, struct ike_msg *m, const void *key, size_t key_len, double began)
{
	int rc = link_call(scale.link, m, key, key_len);

	if (rc < 0)
		t->failed++;
	t->us[t->n++] = now_us() - began;
	return rc;
}

static int
get_spi(struct times *t, unsigned int i, uint32_t *spi)
{
	double began = now_us();
	struct ike_msg m;
	int rc;

	desired_request(&m, IKE_GET_SPI);
	ends(&m.body.sa_id, i, true);
	link_lock(scale.link);
	rc = call(t, &m, NULL, 0, began);
	*spi = m.body.sa_id.spi;
	return rc;
}

/* As the plugin does it: remembered first, then told. */
static int
add_sa(struct times *t, unsigned int i, uint32_t spi, bool inbound, unsigned int seconds)
{
	struct desired_sa sa = {.inbound = inbound};
	double began = now_us();
	uint8_t key[20];
	struct ike_msg m;

	memset(key, i, sizeof(key));
	desired_request(&m, IKE_ADD_SA);
	ends(&m.body.add_sa.id, i, inbound);
	m.body.add_sa.id.spi = spi;
	m.body.add_sa.enc_alg = 20; /* AES-GCM with an ICV of 16 bytes */
	m.body.add_sa.enc_key_len = sizeof(key);
	m.body.add_sa.replay_window = 32;
	m.body.add_sa.dir = inbound ? IKE_DIR_IN : IKE_DIR_OUT;
	m.body.add_sa.mode = IKE_MODE_TUNNEL;
	m.body.add_sa.flags = inbound ? IKE_SA_UPDATE : 0;
	m.body.add_sa.life.time_soft = seconds;
	m.body.add_sa.life.time_hard = seconds != 0 ? seconds + 3600 : 0;
	sa.id = m.body.add_sa.id;
	link_lock(scale.link);
	sa.epoch = link_epoch(scale.link);
	if (!desired_add_sa(scale.desired, &sa)) {
		link_unlock(scale.link);
		return -ENOMEM;
	}
	return call(t, &m, key, sizeof(key), began);
}

static int
del_sa(struct times *t, unsigned int i, uint32_t spi, bool inbound)
{
	double began = now_us();
	struct desired_sa was;
	struct ike_msg m;

	desired_request(&m, IKE_DEL_SA);
	ends(&m.body.sa_id, i, inbound);
	m.body.sa_id.spi = spi;
	link_lock(scale.link);
	desired_del_sa(scale.desired, &m.body.sa_id, &was);
	return call(t, &m, NULL, 0, began);
}

static int
policy(struct times *t, unsigned int i, uint32_t spi, enum ike_dir dir, bool add)
{
	struct ike_msg_policy p = {.reqid = i + 1,
				      .priority = 375423,
				      .dir = dir,
				      .action = IKE_PROTECT,
				      .mode = IKE_MODE_TUNNEL,
				      .proto = 50},
			      best;
	struct ike_selector *sel = &p.sel;
	bool out = dir == IKE_DIR_OUT;
	double began = now_us();
	enum desired_change change;
	struct ike_msg_sa_id id;
	struct ike_msg m;

	memset(&id, 0, sizeof(id));
	ends(&id, i, !out);
	p.src = id.src;
	p.dst = id.dst;
	p.spi = out ? spi : 0;
	address(out ? &sel->src : &sel->dst, 0x0a010000); /* 10.1.0.0/16 */
	address(out ? &sel->dst : &sel->src, 0x0b000000 + i); /* 11.x.y.z */
	sel->src_plen = out ? 16 : 32;
	sel->dst_plen = out ? 32 : 16;
	sel->src_port_hi = sel->dst_port_hi = UINT16_MAX;
	link_lock(scale.link);
	change = add ? desired_add_policy(scale.desired, &p, p.priority, spi, &best)
		     : desired_del_policy(scale.desired, &p, p.priority, spi, &best);
	if (change != DESIRED_SET && change != DESIRED_GONE) {
		link_unlock(scale.link);
		return -EINVAL;
	}
	desired_request(&m, add ? IKE_ADD_POLICY : IKE_DEL_POLICY);
	m.body.policy = best;
	return call(t, &m, NULL, 0, began);
}

static int
by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return x < y ? -1 : x > y;
}

static struct times
times_of(const char *name, unsigned int n)
{
	return (struct times){.name = name, .us = calloc(n, sizeof(float))};
}

static void
tell(struct times *t)
{
	qsort(t->us, t->n, sizeof(*t->us), by_size);
	printf(", \"%s\": {\"calls\": %u, \"failed\": %u, \"median\": %.0f, \"p99\": %.0f, "
	       "\"max\": "
	       "%.0f}",
		t->name, t->n, t->failed, t->n != 0 ? t->us[t->n / 2] : 0,
		t->n != 0 ? t->us[t->n * 99ull / 100] : 0, t->n != 0 ? t->us[t->n - 1] : 0);
	free(t->us);
}

static void
fill(unsigned int first, unsigned int n, unsigned int seconds)
{
	static const enum ike_dir dirs[] = {IKE_DIR_IN, IKE_DIR_FWD, IKE_DIR_OUT};
	struct times spi = times_of("get_spi", n), sa = times_of("add_sa", 2 * n),
		     pol = times_of("add_policy", 3 * n);
	double began = now_us();
	uint32_t in;

	for (unsigned int i = first; i < first + n; i++) {
		get_spi(&spi, i, &in);
		pthread_mutex_lock(&scale.lock);
		scale.tunnels[i] = (struct tunnel){.spi_in = in};
		pthread_mutex_unlock(&scale.lock);
		add_sa(&sa, i, in, true, seconds);
		add_sa(&sa, i, htonl(0x10000 + i), false, 0);
		for (unsigned int d = 0; d < 3; d++)
			policy(&pol, i, htonl(0x10000 + i), dirs[d], true);
	}
	printf("{\"tunnels\": %u, \"seconds\": %.3f", n, (now_us() - began) / 1e6);
	tell(&spi);
	tell(&sa);
	tell(&pol);
	printf("}\n");
}

static void
empty(unsigned int first, unsigned int n)
{
	static const enum ike_dir dirs[] = {IKE_DIR_IN, IKE_DIR_FWD, IKE_DIR_OUT};
	struct times sa = times_of("del_sa", 2 * n), pol = times_of("del_policy", 3 * n);
	double began = now_us();

	for (unsigned int i = first; i < first + n; i++) {
		for (unsigned int d = 0; d < 3; d++)
			policy(&pol, i, htonl(0x10000 + i), dirs[d], false);
		del_sa(&sa, i, htonl(0x10000 + i), false);
		del_sa(&sa, i, scale.tunnels[i].spi_in, true);
	}
	printf("{\"tunnels\": %u, \"seconds\": %.3f", n, (now_us() - began) / 1e6);
	tell(&sa);
	tell(&pol);
	printf("}\n");
}

static void
probe(unsigned int first, unsigned int n)
{
	struct times spi = times_of("get_spi", n), add = times_of("add_sa", n),
		     del = times_of("del_sa", n);
	uint32_t in;

	for (unsigned int i = first; i < first + n; i++) {
		get_spi(&spi, i, &in);
		add_sa(&add, i, in, true, 0);
		del_sa(&del, i, in, true);
	}
	printf("{\"tunnels\": %u", n);
	tell(&spi);
	tell(&add);
	tell(&del);
	printf("}\n");
}

static void
events(unsigned int n, unsigned int seconds)
{
	const struct timespec look = {.tv_nsec = 10000000};
	double end = now_us() + seconds * 1e6;
	unsigned int expired, reports;

	do {
		nanosleep(&look, NULL);
		pthread_mutex_lock(&scale.lock);
		expired = scale.expired;
		reports = scale.reports;
		pthread_mutex_unlock(&scale.lock);
	} while (expired < n && now_us() < end);
	printf("{\"expired\": %u, \"reports\": %u}\n", expired, reports);
}

static bool
command(const char *line)
{
	unsigned int a = 0, b = 0, c = 0;

	if (sscanf(line, "fill %u %u %u", &a, &b, &c) == 3 && a + b <= MAX_TUNNELS)
		fill(a, b, c);
	else if (sscanf(line, "empty %u %u", &a, &b) == 2 && a + b <= MAX_TUNNELS)
		empty(a, b);
	else if (sscanf(line, "probe %u %u", &a, &b) == 2 && a + b <= MAX_TUNNELS)
		probe(a, b);
	else if (sscanf(line, "events %u %u", &a, &b) == 2)
		events(a, b);
	else
		return false;
	fflush(stdout);
	return true;
}

int
main(int argc, char **argv)
{
	struct link_conf conf = {.timeout_ms = TIMEOUT_MS,
		.spi_min = 0xc0000000,
		.spi_max = 0xcfffffff,
		.event = on_event,
		.log = on_log};
	const struct timespec look = {.tv_nsec = 10000000};
	char line[128];

	if (argc != 3) {
		fprintf(stderr, "usage: scale-channel AGENT FILE-PREFIX\n");
		return 2;
	}
	conf.agent = argv[1];
	conf.file_prefix = argv[2];
	pthread_mutex_init(&scale.lock, NULL);
	scale.tunnels = calloc(MAX_TUNNELS, sizeof(*scale.tunnels));
	scale.desired = desired_create();
	scale.link = link_create(&conf, scale.desired);
	while (__atomic_load_n(&scale.up, __ATOMIC_SEQ_CST) == 0)
		nanosleep(&look, NULL);
	printf("{\"up\": true}\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL)
		if (!command(line))
			fprintf(stderr, "scale-channel: not a command: %s", line);
	link_destroy(scale.link);
	desired_destroy(scale.desired);
	free(scale.tunnels);
	return 0;
}
