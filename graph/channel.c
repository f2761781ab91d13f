/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel_core.h"
#include "channel_io.h"
#include "log.h"
#include "router.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memzone.h>

#define REQUESTS_AT_ONCE 64 /* then other events have their turn */

/* The process of an owner's agent: its pidfd becomes readable when it ends. */
struct watch {
	struct channel *channel;
	struct event *event;
	int fd;
};

struct channel {
	struct channel_core core;
	struct router *router;
	struct sender *sender;
	const struct rte_memzone *slots;
	struct event *wake;
	int wakefd;
	bool registered;
	struct watch watches[CHANNEL_MAX_OWNERS];
};

static uint64_t
now(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * CHANNEL_NSEC + ts.tv_nsec;
}

static void
on_death(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	(void)fd;
	(void)what;
	owner_died(&w->channel->core, w - w->channel->watches);
}

static void
unwatch(struct watch *w)
{
	if (w->event == NULL)
		return;
	event_free(w->event);
	close(w->fd);
	w->event = NULL;
}

static int
watch(void *ctx, unsigned int entry, int pid)
{
	struct channel *c = ctx;
	struct watch *w = &c->watches[entry];
	struct event *event;
	int fd;

	if (pid == 0) {
		unwatch(w);
		return 0;
	}
	fd = syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	event = event_new(c->router->base, fd, EV_READ | EV_PERSIST, on_death, w);
	if (event == NULL || event_add(event, NULL) < 0) {
		if (event != NULL)
			event_free(event);
		close(fd);
		return -ENOMEM;
	}
	unwatch(w);
	*w = (struct watch){.channel = c, .event = event, .fd = fd};
	return 0;
}

static int
set_sockets(void *ctx, const struct worker_sockets *s)
{
	return router_set_sockets(((struct channel *)ctx)->router, s);
}

static unsigned int
room(void *ctx)
{
	return sender_room(((struct channel *)ctx)->sender);
}

static bool
emit(void *ctx, const struct ike_msg *event)
{
	struct channel_out out = {.msg = *event};

	return sender_put(((struct channel *)ctx)->sender, &out);
}

static const struct channel_ops ops = {
	.now = now,
	.watch = watch,
	.set_sockets = set_sockets,
	.room = room,
	.emit = emit,
};

/* The sender thread: may block for as long as the agent is stopped. */
static void
send_out(void *ctx, const struct channel_out *out)
{
	bool reply = out->peer[0] != '\0';
	struct rte_mp_msg msg = {.len_param = out->msg.hdr.len};

	(void)ctx;
	strcpy(msg.name, reply ? IKE_MP_REQUEST : IKE_MP_EVENT);
	memcpy(msg.param, &out->msg, out->msg.hdr.len);
	if ((reply ? rte_mp_reply(&msg, out->peer) : rte_mp_sendmsg(&msg)) < 0)
		LOG(WARNING, "%s %u to the agent was not sent: %s", reply ? "reply" : "event",
			out->msg.hdr.type, rte_strerror(rte_errno));
}

/* EAL's mp thread: neither allocates nor sends nor blocks. */
static int
on_request(const struct rte_mp_msg *msg, const void *peer)
{
	inbox_put(msg->param, msg->len_param < 0 ? 0 : msg->len_param, peer);
	return 0;
}

static void
answer(struct channel *c, const struct channel_in *in)
{
	struct channel_out out = {0};

	channel_request(&c->core, &in->msg, in->received, &out.msg);
	strcpy(out.peer, in->peer);
	if (!sender_put(c->sender, &out))
		c->core.stats.lost_replies++;
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;
	struct channel_in in;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) < 0)
		return; /* another turn took them */
	for (n = 0; n < REQUESTS_AT_ONCE; n++) {
		if (!inbox_get(&in))
			return;
		answer(c, &in);
	}
	n = 1; /* there may be more */
	if (write(fd, &n, sizeof(n)) < 0)
		LOG(ERR, "the channel's eventfd cannot be written: %s", strerror(errno));
}

static int
make_slots(struct channel *c)
{
	size_t size = IKE_KEY_SLOTS * sizeof(struct ike_key_slot);

	c->slots = rte_memzone_reserve_aligned(
		IKE_KEY_MEMZONE, size, SOCKET_ID_ANY, 0, RTE_CACHE_LINE_SIZE);
	if (c->slots == NULL) {
		LOG(ERR, "no memory for key slots: %s", rte_strerror(rte_errno));
		return -ENOMEM;
	}
	memset(c->slots->addr, 0, size);
	c->core.slots = c->slots->addr;
	return 0;
}

void
channel_settings(struct channel *c)
{
	const struct router *r = c->router;

	c->core.policies_timeout = r->config->policies_timeout;
	c->core.orphan_grace = r->config->orphan_grace;
	c->core.fragment = r->config->fragment;
	c->core.bypasses = config_bypasses(r->config);
	for (unsigned int i = 0; i < WORKER_MAX_PORTS * WORKER_MAX_PORTS; i++)
		c->core.bypasses |= r->pair_bypass[i / WORKER_MAX_PORTS][i % WORKER_MAX_PORTS];
}

static void
init_core(struct channel *c)
{
	struct router *r = c->router;

	c->core.sad = r->sad;
	c->core.spd = r->spd;
	c->core.ops = &ops;
	c->core.ctx = c;
	c->core.build = CYGNET_VERSION;
	c->core.epoch = r->epoch;
	c->core.spi_min = ROUTER_SPI_MIN;
	c->core.spi_max = ROUTER_SPI_MAX;
	c->core.max_policies = r->config->limits.policies;
	c->core.static_only = r->config->static_only;
	channel_settings(c);
	channel_core_init(&c->core);
}

struct channel *
channel_start(struct router *r)
{
	struct channel *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->router = r;
	c->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	init_core(c);
	if (c->wakefd < 0 || make_slots(c) < 0)
		goto fail;
	c->wake = event_new(r->base, c->wakefd, EV_READ | EV_PERSIST, on_wake, c);
	c->sender = sender_start(send_out, c);
	if (c->wake == NULL || c->sender == NULL || event_add(c->wake, NULL) < 0) {
		LOG(ERR, "the channel to charon could not be set up");
		goto fail;
	}
	inbox_open(c->wakefd);
	if (rte_mp_action_register(IKE_MP_REQUEST, on_request) < 0) {
		/* Without shared memory there is no channel: a router of static SAs does not need it. */
		LOG(WARNING, "no charon can reach this router: %s", rte_strerror(rte_errno));
		return c;
	}
	c->registered = true;
	return c;
fail:
	channel_stop(c);
	return NULL;
}

void
channel_stop(struct channel *c)
{
	if (c == NULL)
		return;
	if (c->registered)
		rte_mp_action_unregister(IKE_MP_REQUEST);
	inbox_close();
	sender_stop(c->sender);
	for (unsigned int i = 0; i < CHANNEL_MAX_OWNERS; i++)
		unwatch(&c->watches[i]);
	if (c->wake != NULL)
		event_free(c->wake);
	if (c->wakefd >= 0)
		close(c->wakefd);
	if (c->slots != NULL) {
		explicit_bzero(c->slots->addr, IKE_KEY_SLOTS * sizeof(struct ike_key_slot));
		rte_memzone_free(c->slots);
	}
	free(c);
}

void
channel_tick(struct channel *c)
{
	channel_core_tick(&c->core);
}

void
channel_mapping(struct channel *c, const struct sa_mapping *m)
{
	channel_core_mapping(&c->core, m);
}

void
channel_expire(struct channel *c, uint32_t slot, bool hard)
{
	channel_core_expire(&c->core, slot, hard);
}

const struct channel_stats *
channel_stats(struct channel *c)
{
	c->core.stats.malformed = inbox_malformed();
	c->core.stats.inbox_full = inbox_full();
	return &c->core.stats;
}

const char *
channel_refused_agent(const struct channel *c)
{
	return c->core.refused_build[0] != '\0' ? c->core.refused_build : NULL;
}

struct counting {
	struct channel_owner *v;
	unsigned int n;
};

static void
count_policy(void *ctx, struct spd_policy *p)
{
	struct counting *counting = ctx;

	for (unsigned int i = 0; i < counting->n; i++)
		counting->v[i].policies += counting->v[i].owner == p->conf.owner;
}

unsigned int
channel_owners(const struct channel *c, struct channel_owner *v, unsigned int max)
{
	struct counting counting = {.v = v};

	for (unsigned int i = 0; i < CHANNEL_MAX_OWNERS && counting.n < max; i++) {
		const struct owner *o = &c->core.owners[i];

		if (o->state != OWNER_NONE)
			v[counting.n++] = (struct channel_owner){
				.owner = o->id,
				.alive = o->state == OWNER_ALIVE,
				.pid = o->pid,
				.lost_events = o->lost_events,
			};
	}
	if (counting.n == 0)
		return 0;
	spd_foreach(c->core.spd, count_policy, &counting);
	for (uint32_t slot = 0; slot < sad_slots(c->core.sad); slot++) {
		const struct sa_cold *cold = sad_cold(c->core.sad, slot);

		for (unsigned int i = 0; cold->state == SA_LIVE && i < counting.n; i++)
			v[i].sas += v[i].owner == cold->conf.owner;
	}
	return counting.n;
}
