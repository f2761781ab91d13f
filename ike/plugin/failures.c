/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "failures.h"

#include "vici/ike_words.h"
#include "vici/plain_text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLLOWS_S 5 /* a line of less weight within it is the effect of the one before */

struct failure {
	char *gateway, *tunnel; /* "": see failures_text() */
	const char *words;
	time_t when;
	unsigned int weight;
	bool of_tunnel; /* whose, is not known yet */
};

/* Gateways and tunnels in one, addresses in the other: strangers' lines shall not take the room of ours. */
struct list {
	struct failure *all;
	unsigned int n, max;
};

struct failures {
	struct list named, unknown;
};

struct failures *
failures_create(unsigned int names, unsigned int addresses)
{
	struct failures *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->named.all = calloc(names, sizeof(struct failure));
	f->unknown.all = calloc(addresses, sizeof(struct failure));
	f->named.max = names;
	f->unknown.max = addresses;
	if (f->named.all == NULL || f->unknown.all == NULL) {
		failures_destroy(f);
		return NULL;
	}
	return f;
}

static void
drop(struct list *l, struct failure *e)
{
	free(e->gateway);
	free(e->tunnel);
	*e = l->all[--l->n];
}

void
failures_destroy(struct failures *f)
{
	if (f == NULL)
		return;
	while (f->named.n > 0)
		drop(&f->named, f->named.all);
	while (f->unknown.n > 0)
		drop(&f->unknown, f->unknown.all);
	free(f->named.all);
	free(f->unknown.all);
	free(f);
}

static struct failure *
find(const struct list *l, const char *gateway, const char *tunnel)
{
	for (unsigned int i = 0; i < l->n; i++)
		if (strcmp(l->all[i].tunnel, tunnel) == 0 &&
			strcmp(l->all[i].gateway, gateway) == 0)
			return &l->all[i];
	return NULL;
}

/* That of these names, or room for it; NULL without memory. */
static struct failure *
place(struct list *l, const char *gateway, const char *tunnel)
{
	struct failure *e = find(l, gateway, tunnel), made = {0};

	if (e != NULL)
		return e;
	made.gateway = strdup(gateway);
	made.tunnel = strdup(tunnel);
	if (made.gateway == NULL || made.tunnel == NULL) {
		free(made.gateway);
		free(made.tunnel);
		return NULL;
	}
	if (l->n == l->max) {
		e = l->all;
		for (unsigned int i = 1; i < l->n; i++)
			if (l->all[i].when < e->when)
				e = &l->all[i];
		drop(l, e);
	}
	e = &l->all[l->n++];
	*e = made;
	return e;
}

void
failures_line(
	struct failures *f, const char *gateway, const char *peer, const char *line, time_t now)
{
	bool known = gateway != NULL && *gateway != '\0';
	struct ike_words w;
	struct failure *e;

	if (!ike_words(line, &w))
		return;
	e = known ? place(&f->named, gateway, "") : place(&f->unknown, "", peer);
	if (e == NULL || (e->weight > w.weight && now - e->when < FOLLOWS_S))
		return;
	e->words = w.words;
	e->weight = w.weight;
	e->of_tunnel = w.of_tunnel;
	e->when = now;
}

void
failures_given_up(struct failures *f, const char *gateway, const char *tunnel)
{
	struct failure *of = find(&f->named, gateway, ""), *e, was;

	if (of == NULL || !of->of_tunnel)
		return;
	was = *of;
	drop(&f->named, of);
	e = place(&f->named, gateway, tunnel);
	if (e == NULL)
		return;
	e->words = was.words;
	e->weight = was.weight;
	e->when = was.when;
}

void
failures_over(struct failures *f, const char *gateway, const char *peer, const char *tunnel)
{
	struct failure *e;

	if ((e = find(&f->named, gateway, tunnel)) != NULL)
		drop(&f->named, e);
	if ((e = find(&f->named, gateway, "")) != NULL)
		drop(&f->named, e);
	if ((e = find(&f->unknown, "", peer)) != NULL)
		drop(&f->unknown, e);
}

/* A name may hold what it likes: a line and its fields end where they should, and it is shown on terminals. */
static void
print_name(FILE *out, const char *name)
{
	char *copy = strdup(name);

	if (copy != NULL)
		plain_text(copy, strlen(copy));
	fprintf(out, "%s\t", copy != NULL ? copy : "?");
	free(copy);
}

static void
print_list(FILE *out, const struct list *l)
{
	for (unsigned int i = 0; i < l->n; i++) {
		fprintf(out, "%jd\t", (intmax_t)l->all[i].when);
		print_name(out, l->all[i].gateway);
		print_name(out, l->all[i].tunnel);
		fprintf(out, "%s\n", l->all[i].words);
	}
}

char *
failures_text(const struct failures *f, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (out == NULL)
		return NULL;
	print_list(out, &f->named);
	print_list(out, &f->unknown);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
