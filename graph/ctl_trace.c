/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"
#include "ctl_probe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <rte_crypto.h>
#include <rte_cycles.h>

/*
 * The trace command: its answer is followed by {"ready":true} when all lcores look, by records, a JSON object a line,
 * and by {"lost":n} whenever more were lost, all of them so far, until the client hangs up.
 */

#define RECORDS_AT_ONCE 128 /* of a lcore */

struct trace_stream {
	struct ctl_stream stream;
	struct ctl *ctl;
	struct probe_filter filter;
	unsigned int count;
	bool started, told; /* told: that it is ready */
	uint64_t tsc; /* at the start */
	uint64_t lost; /* as it was told */
	struct probe_trace_record records[RECORDS_AT_ONCE];
};

static bool
is(const char *node, const char *part)
{
	return strstr(node, part) != NULL;
}

static json_t *
port_name(const struct ctl *ctl, uint16_t port)
{
	const char *name = port == PKT_PORT_HOST ? "host" : ctl_port_name(ctl, port);

	return name != NULL ? json_string(name) : json_null();
}

static json_t *
hex(const uint8_t *v, unsigned int n)
{
	char s[2 * PROBE_HEAD + 1];

	for (unsigned int i = 0; i < n; i++)
		snprintf(&s[2 * i], 3, "%02x", v[i]);
	return json_stringn(s, 2 * n);
}

static json_t *
flags(uint16_t v)
{
	static const struct {
		uint16_t bit;
		const char *name;
	} names[] = {
		{PKT_F_DECRYPTED, "decrypted"},
		{PKT_F_PROTECTED, "protected"},
		{PKT_F_SEALED, "sealed"},
		{PKT_F_OWN_L2, "from-linux"},
		{PKT_F_UDP, "udp-encapsulated"},
		{PKT_F_LOCAL, "local"},
		{PKT_F_HELD, "held"},
		{PKT_F_L2_GROUP, "link-group"},
		{PKT_F_QUOTES, "quotes"},
		{PKT_F_FRAGMENT, "may-fragment"},
		{PKT_F_AH, "ah"},
	};
	json_t *a = json_array();

	for (unsigned int i = 0; i < RTE_DIM(names); i++)
		if (v & names[i].bit)
			json_array_append_new(a, json_string(names[i].name));
	return a;
}

static json_t *
next_hop(const struct ctl *ctl, const struct probe_trace_record *r)
{
	const struct fib *fib = ctl->r->fib;

	if (fib == NULL || r->nexthop >= fib_nh_count(fib))
		return json_null();
	return ctl_next_hop(ctl, fib_nh(fib, r->nexthop));
}

/* Of the packet's private area only what somebody has written by the time that this node sees it. */
static void
put_facts(const struct ctl *ctl, json_t *o, const struct probe_trace_record *r, const char *node)
{
	bool operation = strncmp(node, "crypto-", 7) == 0 || is(node, "-finish");

	if (r->spi != 0)
		json_object_set_new(o, "spi", ctl_hex32(rte_be_to_cpu_32(r->spi)));
	if (operation || r->flags & (PKT_F_SEALED | PKT_F_DECRYPTED | PKT_F_PROTECTED))
		json_object_set_new(o, "sequence", json_integer(ctl_int(r->sqn)));
	if (r->flags & PKT_F_PROTECTED)
		json_object_set_new(o, "reqid", json_integer(r->reqid));
	if (!(r->flags & PKT_F_OWN_L2) &&
		(strcmp(node, "ipsec-output") == 0 || is(node, "-rewrite") || is(node, "neigh-"))) {
		json_object_set_new(o, "next_hop", next_hop(ctl, r));
		json_object_set_new(o, "mtu", json_integer(r->mtu));
		json_object_set_new(o, "out_port", port_name(ctl, r->out_port));
	}
	if (strcmp(node, "port-tx") == 0 || strcmp(node, "host-rx") == 0)
		json_object_set_new(o, "out_port", port_name(ctl, r->out_port));
	if (strcmp(node, "host-tx") == 0 && r->punt < PUNT_CLASSES)
		json_object_set_new(o, "class", json_string(ctl_punt_class(r->punt)));
	if (strcmp(node, "drop") == 0 && r->drop < DROP_REASONS_MAX) {
		json_object_set_new(o, "drop", json_string(drop_names[r->drop]));
		json_object_set_new(o, "text", json_string(drop_texts[r->drop]));
	}
	if (strncmp(node, "icmp", 4) == 0)
		json_object_set_new(o, "icmp",
			json_pack("{si si si}", "type", r->icmp_type, "code", r->icmp_code, "mtu",
				r->icmp_mtu));
	if (strcmp(node, "crypto-dequeue") == 0)
		json_object_set_new(o, "operation",
			json_string(r->op_status == RTE_CRYPTO_OP_STATUS_SUCCESS ? "success"
				    : r->op_status == RTE_CRYPTO_OP_STATUS_AUTH_FAILED
					    ? "authentication failed"
					    : "error"));
}

static json_t *
record(const struct trace_stream *s, const struct worker *w, const struct probe_trace_record *r)
{
	const char *node = rte_node_id_to_name(r->node);
	json_t *o;

	if (node == NULL)
		node = "?";
	o = json_pack("{si si ss ss sI si si sb sb so so so}", "packet", r->id + 1, "lcore",
		(int)w->lcore, "role", w->worker ? "worker" : "crypto", "node", node, "ns",
		ctl_int((uint64_t)((double)(r->tsc - s->tsc) * 1e9 / (double)rte_get_tsc_hz())),
		"burst", r->burst, "length", r->len, "entry", r->entry, "frame", r->frame,
		"in_port", port_name(s->ctl, r->in_port), "flags", flags(r->flags), "head",
		hex(r->head, r->head_len));
	if (o != NULL)
		put_facts(s->ctl, o, r, node);
	return o;
}

/* -EAGAIN: not yet. */
static int
start(struct trace_stream *s)
{
	int rc = probe_trace_start(s->ctl->probe, &s->filter, s->count);

	s->started = rc == 0;
	return rc;
}

/* What there is of a lcore's records: a ring that is emptied loses nothing of what comes next. */
static bool
pump_lcore(struct trace_stream *s, unsigned int lcore, struct evbuffer *out)
{
	const struct worker *w = s->ctl->r->lcores[lcore];
	unsigned int n;

	do {
		n = probe_trace_read(s->ctl->probe, lcore, s->records, RECORDS_AT_ONCE);
		for (unsigned int k = 0; k < n; k++) {
			json_t *o = record(s, w, &s->records[k]);
			char *line = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
			bool good = line != NULL && evbuffer_add_printf(out, "%s\n", line) >= 0;

			json_decref(o);
			free(line);
			if (!good)
				return false;
		}
	} while (n == RECORDS_AT_ONCE);
	return true;
}

static bool
pump(struct ctl_stream *stream, struct evbuffer *out)
{
	struct trace_stream *s = (struct trace_stream *)stream;
	uint64_t lost;

	if (!s->started)
		return start(s) != -EBUSY;
	if (!s->told && probe_ready(s->ctl->probe, PROBE_TRACE)) {
		s->told = true;
		evbuffer_add_printf(out, "{\"ready\":true}\n");
	}
	for (unsigned int i = 0; i < s->ctl->r->n_lcores; i++)
		if (!pump_lcore(s, i, out))
			return false;
	lost = probe_trace_lost(s->ctl->probe);
	if (lost != s->lost) {
		s->lost = lost;
		evbuffer_add_printf(out, "{\"lost\":%" PRIu64 "}\n", lost);
	}
	return true;
}

static void
finish(struct ctl_stream *stream)
{
	struct trace_stream *s = (struct trace_stream *)stream;

	if (s->started)
		probe_trace_stop(s->ctl->probe);
	free(s);
}

int
ctl_trace(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	struct trace_stream *s = calloc(1, sizeof(*s));
	json_int_t count = 1;
	int rc = s == NULL ? -ENOMEM : ctl_filter_args(args, &s->filter, reply);

	if (rc == 0)
		rc = ctl_int_arg(args, "count", 1, PROBE_TRACE_MAX, &count, reply);
	if (rc == 0)
		rc = ctl_no_args(args, reply);
	if (rc == 0)
		rc = ctl_probe_make(ctl, reply);
	if (rc == 0) {
		s->stream = (struct ctl_stream){.pump = pump, .close = finish};
		s->ctl = ctl;
		s->tsc = rte_get_tsc_cycles();
		s->count = (unsigned int)count;
		rc = start(s);
		if (rc == -EBUSY)
			ctl_fail(reply, rc, "somebody else traces packets: try again later");
	}
	if (rc < 0 && rc != -EAGAIN) {
		free(s);
		return rc;
	}
	reply->data = json_pack("{sI}", "count", count);
	ctl->stream = &s->stream;
	return 0;
}
