/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl_capture.h"

#include "ctl.h"
#include "ctl_probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/buffer.h>
#include <rte_byteorder.h>
#include <rte_cycles.h>

/* The capture command: its answer is followed by packets, until the client hangs up. */

#define BYTES_PER_PUMP (1u << 20)
#define SNAPLEN_MAX 65535

_Static_assert((int)CTL_CAPTURE_RX == (int)PROBE_RX && (int)CTL_CAPTURE_TX == (int)PROBE_TX &&
		       (int)CTL_CAPTURE_INNER_IN == (int)PROBE_INNER_IN &&
		       (int)CTL_CAPTURE_INNER_OUT == (int)PROBE_INNER_OUT &&
		       (int)CTL_CAPTURE_DROP == (int)PROBE_DROP,
	"one order of places");

struct capture_stream {
	struct ctl_stream stream;
	struct ctl *ctl;
	struct probe_capture_conf conf;
	bool started, told; /* told: that it is ready */
	uint64_t tsc, ns; /* one moment, by both clocks */
};

/* The lcore that has the oldest packet; NULL: there is none. */
static const struct probe_capture_record *
oldest(struct ctl *ctl, unsigned int *lcore)
{
	const struct probe_capture_record *best = NULL;

	for (unsigned int i = 0; i < ctl->r->n_lcores; i++) {
		const struct probe_capture_record *r = probe_capture_peek(ctl->probe, i);

		if (r != NULL && (best == NULL || r->tsc < best->tsc)) {
			best = r;
			*lcore = i;
		}
	}
	return best;
}

/* -EAGAIN: not yet. */
static int
start(struct capture_stream *s)
{
	int rc = probe_capture_start(s->ctl->probe, &s->conf);

	s->started = rc == 0;
	return rc;
}

static bool
pump(struct ctl_stream *stream, struct evbuffer *out)
{
	struct capture_stream *s = (struct capture_stream *)stream;
	uint64_t lost = probe_capture_lost(s->ctl->probe);
	const struct probe_capture_record *r;
	unsigned int lcore = 0;

	if (!s->started)
		return start(s) != -EBUSY;
	if (!s->told && probe_ready(s->ctl->probe, PROBE_CAPTURE)) {
		const struct ctl_capture_packet ready = {.place = CTL_CAPTURE_READY};

		s->told = true;
		if (evbuffer_add(out, &ready, sizeof(ready)) != 0)
			return false;
	}
	for (size_t n = 0; n < BYTES_PER_PUMP && (r = oldest(s->ctl, &lcore)) != NULL;
		n += sizeof(struct ctl_capture_packet) + r->caplen) {
		const struct ctl_capture_packet p = {
			.ns = s->ns + (uint64_t)((double)(r->tsc - s->tsc) * 1e9 /
						 (double)rte_get_tsc_hz()),
			.sqn = r->sqn,
			.spi = rte_be_to_cpu_32(r->spi),
			.len = r->len,
			.caplen = r->caplen,
			.port = r->port,
			.place = r->place,
			.drop = r->drop,
			.lost = lost,
			.frame = r->frame,
		};

		if (evbuffer_add(out, &p, sizeof(p)) != 0 ||
			evbuffer_add(out, r->data, r->caplen) != 0)
			return false;
		probe_capture_next(s->ctl->probe, lcore);
	}
	return true;
}

static void
finish(struct ctl_stream *stream)
{
	struct capture_stream *s = (struct capture_stream *)stream;

	if (s->started)
		probe_capture_stop(s->ctl->probe);
	free(s);
}

static int
places_arg(json_t *args, uint8_t *places, struct ctl_reply *reply)
{
	static const char *const names[PROBE_PLACES] = {
		"rx", "tx", "inner-in", "inner-out", "drop"};
	const json_t *v = json_object_get(args, "places"), *name;
	size_t i;

	json_array_foreach (v, i, name) {
		for (unsigned int k = 0; k < PROBE_PLACES && json_is_string(name); k++)
			if (strcmp(json_string_value(name), names[k]) == 0)
				*places |= 1u << k;
	}
	json_object_del(args, "places");
	return *places != 0 ? 0
			    : ctl_fail(reply, -EINVAL,
				      "places is a list of rx, tx, inner-in, inner-out and drop");
}

static int
port_arg(const struct ctl *ctl, json_t *args, uint16_t *port, struct ctl_reply *reply)
{
	const json_t *v = json_object_get(args, "port");
	const char *name = json_string_value(v);
	char known[40] = "";

	*port = PROBE_NO_PORT;
	if (v == NULL)
		return 0;
	for (unsigned int i = 0; name != NULL && i < ctl->r->config->n_ports; i++)
		if (strcmp(name, ctl->r->config->ports[i].name) == 0)
			*port = ctl->r->port_ids[i];
	if (name != NULL)
		snprintf(known, sizeof(known), "%s", name);
	json_object_del(args, "port");
	return *port != PROBE_NO_PORT ? 0
				      : ctl_fail(reply, -ENOENT, "there is no port '%s'", known);
}

static json_t *
answer(const struct ctl *ctl)
{
	json_t *ports = json_array(), *drops = json_array();

	for (unsigned int i = 0; i < ctl->r->config->n_ports; i++)
		json_array_append_new(
			ports, json_pack("{ss si}", "name", ctl->r->config->ports[i].name, "port",
				       ctl->r->port_ids[i]));
	for (unsigned int i = 0; i < DROP_REASONS_MAX; i++)
		json_array_append_new(drops, json_string(drop_names[i]));
	return json_pack(
		"{ss? so so}", "name", ctl->r->config->name, "ports", ports, "drops", drops);
}

int
ctl_capture(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	struct capture_stream *s = calloc(1, sizeof(*s));
	json_int_t snaplen = SNAPLEN_MAX;
	struct timespec ts;
	int rc = s == NULL ? -ENOMEM : ctl_filter_args(args, &s->conf.filter, reply);

	if (rc == 0)
		rc = ctl_int_arg(args, "snaplen", 1, SNAPLEN_MAX, &snaplen, reply);
	if (rc == 0)
		rc = places_arg(args, &s->conf.places, reply);
	if (rc == 0)
		rc = port_arg(ctl, args, &s->conf.port, reply);
	if (rc == 0)
		rc = ctl_no_args(args, reply);
	/* What tunnels hide from the network is root's to see, whoever the router runs as. */
	if (rc == 0 && ctl->peer != 0)
		rc = ctl_fail(reply, -EPERM, "only root may see packets");
	if (rc == 0)
		rc = ctl_probe_make(ctl, reply);
	if (rc == 0) {
		s->conf.snaplen = snaplen;
		clock_gettime(CLOCK_REALTIME, &ts);
		s->stream = (struct ctl_stream){.pump = pump, .close = finish};
		s->ctl = ctl;
		s->tsc = rte_get_tsc_cycles();
		s->ns = ts.tv_sec * 1000000000ull + ts.tv_nsec;
		rc = start(s);
		if (rc == -EBUSY)
			ctl_fail(reply, rc, "somebody else captures packets: try again later");
	}
	if (rc < 0 && rc != -EAGAIN) {
		free(s);
		return rc;
	}
	reply->data = answer(ctl);
	ctl->stream = &s->stream;
	return 0;
}
