/* SPDX-License-Identifier: BSD-3-Clause */
#include "list.h"
#include "top.h"
#include "units.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The page of cygnetctl top. */

#define BAR 30
#define TUNNELS_SHOWN 10
#define NODES_SHOWN 10

static double
number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* The row of before whose member is the same. */
static const json_t *
same(const json_t *rows, const json_t *row, const char *key, const char *key2)
{
	const json_t *r;
	size_t i;

	json_array_foreach (rows, i, r)
		if (json_equal(json_object_get(r, key), json_object_get(row, key)) &&
			(key2 == NULL ||
				json_equal(json_object_get(r, key2), json_object_get(row, key2))))
			return r;
	return NULL;
}

/* Growth a second; what is new in this sample has grown from nothing. */
static double
rate(const json_t *now, const json_t *before, const char *key, double seconds)
{
	double v = number(now, key), old = number(before, key);

	return seconds > 0 ? (v >= old ? v - old : v) / seconds : 0;
}

static const char *
count(char *buf, double v)
{
	return units_count(buf, v, true);
}

static void
header(struct screen *s, const struct top_sample *t)
{
	const json_t *counts = json_object_get(t->status, "counts"),
		     *sas = json_object_get(counts, "sas"),
		     *mbufs = json_object_get(counts, "mbufs"),
		     *policies = json_object_get(counts, "policies");
	double total = number(mbufs, "total");
	char age[UNITS_MAX];
	size_t owners = 0, i;
	const json_t *owner;

	json_array_foreach (json_object_get(t->status, "owners"), i, owner)
		owners += json_is_true(json_object_get(owner, "alive"));
	screen_line(s, SCREEN_TITLE, "%s  cygnet %s, up %s", list_str(t->status, "name"),
		list_str(t->status, "version"),
		units_age(age, json_object_get(t->status, "uptime"), true));
	screen_line(s,
		json_is_true(json_object_get(t->status, "policies_complete")) ? SCREEN_PLAIN
									      : SCREEN_HOT,
		"%.0f SAs, %.0f policies (%s), %zu charon, %.0f routes, buffers %.0f%% free",
		number(sas, "live"),
		number(policies, "in") + number(policies, "out") + number(policies, "fwd"),
		json_is_true(json_object_get(t->status, "policies_complete")) ? "complete"
									      : "NOT COMPLETE",
		owners, number(json_object_get(counts, "routes"), "count"),
		total > 0 ? 100 * number(mbufs, "free") / total : 0);
}

static void
lcores(struct screen *s, const struct top_sample *t)
{
	const json_t *row;
	size_t i;

	screen_line(s, SCREEN_PLAIN, "%s", "");
	screen_line(s, SCREEN_HEADING, "LCORE  ROLE           CPU    BUSY  SLEEP");
	json_array_foreach (t->lcores, i, row) {
		double busy = number(row, "busy_percent"), sleep = number(row, "sleep_percent");
		char bar[BAR + 1];
		int full = (int)lround(busy * BAR / 100), idle;

		if (json_object_get(row, "busy_percent") == NULL) {
			screen_line(s, SCREEN_FAINT, "%5.0f  %-13s  %3.0f", number(row, "lcore"),
				list_str(row, "role"), number(row, "cpu"));
			continue;
		}
		idle = (int)lround(sleep * BAR / 100);
		if (full + idle > BAR)
			idle = BAR - full;
		memset(bar, ' ', BAR);
		memset(bar, '#', (size_t)full);
		memset(bar + BAR - idle, '.', (size_t)idle);
		bar[BAR] = '\0';
		screen_line(s,
			busy > 90   ? SCREEN_HOT
			: busy > 70 ? SCREEN_WARM
				    : SCREEN_PLAIN,
			"%5.0f  %-13s  %3.0f  %5.1f%% %5.1f%%  [%s]", number(row, "lcore"),
			list_str(row, "role"), number(row, "cpu"), busy, sleep, bar);
	}
}

static void
ports(struct screen *s, const struct top_sample *now, const struct top_sample *before,
	double seconds)
{
	char v[6][UNITS_MAX];
	const json_t *row;
	size_t i;

	screen_line(s, SCREEN_PLAIN, "%s", "");
	screen_line(s, SCREEN_HEADING,
		"PORT          LINK  RX PKTS/s  RX BITS/s  LOST/s  TX PKTS/s  TX BITS/s  LOST/s");
	json_array_foreach (now->ports, i, row) {
		const json_t *a = json_object_get(row, "stats"),
			     *b = json_object_get(same(before->ports, row, "name", NULL), "stats");
		double rx_lost = rate(a, b, "rx_missed", seconds) +
				 rate(a, b, "rx_errors", seconds) +
				 rate(a, b, "rx_no_mbuf", seconds);
		double tx_lost = rate(a, b, "tx_errors", seconds);
		const char *link = list_str(json_object_get(row, "link"), "state");

		screen_line(s,
			strcmp(link, "up") != 0	     ? SCREEN_HOT
			: rx_lost > 0 || tx_lost > 0 ? SCREEN_WARM
						     : SCREEN_PLAIN,
			"%-12.12s  %-4s  %9s  %9s  %6s  %9s  %9s  %6s", list_str(row, "name"), link,
			count(v[0], rate(a, b, "rx_packets", seconds)),
			count(v[1], 8 * rate(a, b, "rx_bytes", seconds)), count(v[2], rx_lost),
			count(v[3], rate(a, b, "tx_packets", seconds)),
			count(v[4], 8 * rate(a, b, "tx_bytes", seconds)), count(v[5], tx_lost));
	}
}

/* A row of a section that is sorted by what it is about. */
struct ranked {
	double key;
	const json_t *a, *b, *lcore;
};

static int
by_key(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;

	return (a->key < b->key) - (a->key > b->key);
}

static const char *
peer(const json_t *sa)
{
	return list_str(
		sa, strcmp(list_str(sa, "direction"), "out") == 0 ? "destination" : "source");
}

static void
tunnels(struct screen *s, const struct top_sample *now, const struct top_sample *before,
	double seconds)
{
	struct ranked *v = calloc(json_array_size(now->sas) + 1, sizeof(*v));
	char n[3][UNITS_MAX], age[UNITS_MAX];
	const json_t *row;
	size_t i, used = 0;
	int width = 15;

	json_array_foreach (now->sas, i, row) {
		if (v == NULL || strcmp(list_str(row, "state"), "larval") == 0)
			continue;
		v[used].a = row;
		v[used].b = same(before->sas, row, "slot", "spi");
		v[used].key = rate(row, v[used].b, "bytes", seconds);
		used++;
	}
	if (v != NULL)
		qsort(v, used, sizeof(*v), by_key);
	for (i = 0; i < used && i < TUNNELS_SHOWN; i++)
		width = (int)strlen(peer(v[i].a)) > width ? (int)strlen(peer(v[i].a)) : width;
	screen_line(s, SCREEN_PLAIN, "%s", "");
	screen_line(s, SCREEN_HEADING,
		"DIR  SPI         %-*s  REQID  PACKETS/s     BITS/s  ERRORS/s  EXPIRES", width,
		"PEER");
	if (now->sas == NULL)
		screen_line(s, SCREEN_FAINT, "too many to be listed each second: cygnetctl sa");
	for (i = 0; i < used && i < TUNNELS_SHOWN; i++) {
		const char *dir = list_str(v[i].a, "direction");
		double errors = rate(v[i].a, v[i].b, "errors", seconds);

		screen_line(s,
			errors > 0     ? SCREEN_WARM
			: v[i].key > 0 ? SCREEN_PLAIN
				       : SCREEN_FAINT,
			"%-3s  %s  %-*s  %5.0f  %9s  %9s  %8s  %7s", dir, list_str(v[i].a, "spi"),
			width, peer(v[i].a), number(v[i].a, "reqid"),
			count(n[0], rate(v[i].a, v[i].b, "packets", seconds)),
			count(n[1], 8 * v[i].key), count(n[2], errors),
			units_age(age,
				json_object_get(
					json_object_get(json_object_get(v[i].a, "left"), "hard"),
					"seconds"),
				true));
	}
	if (used > TUNNELS_SHOWN)
		screen_line(s, SCREEN_FAINT, "and %zu more", used - TUNNELS_SHOWN);
	free(v);
}

static void
nodes(struct screen *s, const struct top_sample *now, const struct top_sample *before,
	double seconds)
{
	struct ranked v[512];
	const json_t *lcore, *node;
	char n[2][UNITS_MAX];
	size_t i, k, used = 0;

	screen_line(s, SCREEN_PLAIN, "%s", "");
	screen_line(s, SCREEN_HEADING,
		"LCORE  NODE                      PACKETS/s  PACKETS/CALL  CYCLES/PACKET");
	json_array_foreach (now->graph, i, lcore) {
		const json_t *old =
			json_object_get(same(before->graph, lcore, "lcore", NULL), "nodes");

		json_array_foreach (json_object_get(lcore, "nodes"), k, node) {
			const json_t *b = json_array_get(old, k);

			if (used == sizeof(v) / sizeof(v[0]) ||
				rate(node, b, "packets", seconds) <= 0)
				continue;
			v[used++] =
				(struct ranked){rate(node, b, "cycles", seconds), node, b, lcore};
		}
	}
	qsort(v, used, sizeof(v[0]), by_key);
	for (i = 0; i < used && i < NODES_SHOWN; i++) {
		double packets = rate(v[i].a, v[i].b, "packets", seconds);

		screen_line(s, SCREEN_PLAIN, "%5.0f  %-24.24s  %9s  %12.1f  %13s",
			number(v[i].lcore, "lcore"), list_str(v[i].a, "node"), count(n[0], packets),
			packets / fmax(rate(v[i].a, v[i].b, "calls", seconds), 1e-9),
			count(n[1], v[i].key / packets));
	}
	if (used == 0)
		screen_line(s, SCREEN_FAINT, "no packets");
}

static void
drops(struct screen *s, const struct top_sample *now, const struct top_sample *before,
	double seconds)
{
	const json_t *lcore, *drop;
	char n[UNITS_MAX];
	bool any = false;
	size_t i, k;

	screen_line(s, SCREEN_PLAIN, "%s", "");
	screen_line(s, SCREEN_HEADING, "LCORE  DROPPED/s  REASON");
	json_array_foreach (now->graph, i, lcore) {
		const json_t *old =
			json_object_get(same(before->graph, lcore, "lcore", NULL), "drops");

		json_array_foreach (json_object_get(lcore, "drops"), k, drop) {
			double r = rate(drop, same(old, drop, "reason", NULL), "packets", seconds);

			if (r <= 0)
				continue;
			any = true;
			screen_line(s, SCREEN_WARM, "%5.0f  %9s  %-20s %s", number(lcore, "lcore"),
				count(n, ceil(r)), list_str(drop, "reason"),
				list_str(drop, "text"));
		}
	}
	if (!any)
		screen_line(s, SCREEN_FAINT, "none");
}

void
top_page(struct screen *s, const struct top_sample *now, const struct top_sample *before)
{
	double seconds = now->seconds - before->seconds;

	header(s, now);
	lcores(s, now);
	ports(s, now, before, seconds);
	tunnels(s, now, before, seconds);
	nodes(s, now, before, seconds);
	drops(s, now, before, seconds);
}
