/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_overlap.h"

#include <stdlib.h>
#include <string.h>

/* One pair of selectors of a tunnel. */
struct pair {
	size_t tunnel; /* index in f->tunnels */
	struct selector local, remote;
	char local_text[SELECTOR_MAX], remote_text[SELECTOR_MAX];
	char apart[160]; /* marks and interface ids: what keeps equal selectors apart */
	char priority[16]; /* as given, or empty */
};

struct pairs {
	struct ike_file *f;
	struct pair *v;
	size_t n, room;
};

/* A key of the tunnel, else of its child policy. */
static const char *
key_of(const struct ike_file *f, size_t tunnel, size_t child, const char *key)
{
	const char *text = ike_file_text(f, tunnel, key);

	return text != NULL ? text : ike_file_text(f, child, key);
}

static void
add_pair(struct pairs *p, const struct pair *pair)
{
	if (p->n == p->room) {
		size_t room = p->room == 0 ? 64 : p->room * 2;
		struct pair *v = reallocarray(p->v, room, sizeof(*v));

		if (v == NULL)
			return;
		p->v = v;
		p->room = room;
	}
	p->v[p->n++] = *pair;
}

/* What dynamic is: the gateway's address, when that is one, and no virtual one takes its place. */
static bool
read_one(struct ike_file *f, size_t node, size_t gateway, const char *address_key,
	struct selector *s, char text[SELECTOR_MAX])
{
	const char *address = ike_file_text(f, gateway, address_key);
	struct selector host;

	if (node == 0) {
		snprintf(text, SELECTOR_MAX, "dynamic");
		*s = (struct selector){.port_to = 65535};
	} else if (selector_read(f, node, false, s, text) < 0) {
		return false;
	}
	if (s->family != 0)
		return true;
	if (address == NULL || ike_file_get(f, gateway, "virtual-ips") != 0 ||
		ike_file_get(f, gateway, "pools") != 0 || !selector_host(address, &host))
		return false;
	s->family = host.family;
	memcpy(s->from, host.from, sizeof(s->from));
	memcpy(s->to, host.to, sizeof(s->to));
	return true;
}

static void
collect_tunnel(struct pairs *p, size_t index)
{
	static const char *const apart[] = {"mark-in", "mark-out", "if-id-in", "if-id-out"};
	struct ike_file *f = p->f;
	size_t t = f->tunnels.nodes[index];
	size_t child = ike_file_named(&f->children, ike_file_text(f, t, "child-policy"));
	size_t gateway = ike_file_named(&f->gateways, ike_file_text(f, t, "gateway"));
	size_t locals, remotes, l, r;
	struct pair pair = {.tunnel = index};
	const char *text;

	if (child == 0 || gateway == 0 || !ike_file_true(f, t, "enable", true))
		return;
	/* What goes in clear, or nowhere, is an exception to a tunnel as a rule. */
	text = ike_file_text(f, child, "mode");
	if (text != NULL && (strcmp(text, "bypass") == 0 || strcmp(text, "discard") == 0))
		return;
	for (unsigned int i = 0; i < 4; i++) {
		size_t len = strlen(pair.apart);

		text = key_of(f, t, child, apart[i]);
		snprintf(pair.apart + len, sizeof(pair.apart) - len, "%s;",
			text != NULL ? text : "");
	}
	text = key_of(f, t, child, "priority");
	snprintf(pair.priority, sizeof(pair.priority), "%s", text != NULL ? text : "");
	locals = ike_file_get(f, t, "local-ts");
	if (locals == 0)
		locals = ike_file_get(f, child, "local-ts");
	remotes = ike_file_get(f, t, "remote-ts");
	if (remotes == 0)
		remotes = ike_file_get(f, child, "remote-ts");
	l = ike_file_each(f, locals, 0);
	do {
		if (!read_one(f, l, gateway, "local-address", &pair.local, pair.local_text))
			continue;
		r = ike_file_each(f, remotes, 0);
		do {
			if (read_one(f, r, gateway, "remote-address", &pair.remote,
				    pair.remote_text) &&
				pair.local.family == pair.remote.family)
				add_pair(p, &pair);
		} while (r != 0 && (r = ike_file_each(f, remotes, r)) != 0);
	} while (l != 0 && (l = ike_file_each(f, locals, l)) != 0);
}

static int
by_remote(const void *va, const void *vb)
{
	const struct pair *a = va, *b = vb;
	int rc;

	if (a->remote.family != b->remote.family)
		return a->remote.family - b->remote.family;
	rc = memcmp(a->remote.from, b->remote.from, sizeof(a->remote.from));
	return rc != 0 ? rc : (a->tunnel > b->tunnel) - (a->tunnel < b->tunnel);
}

static bool
clash(const struct pair *a, const struct pair *b)
{
	if (a->tunnel == b->tunnel || strcmp(a->apart, b->apart) != 0)
		return false;
	/* Somebody has thought about who wins. */
	if (*a->priority != '\0' || *b->priority != '\0')
		return strcmp(a->priority, b->priority) == 0;
	return true;
}

static void
tell(struct ike_file *f, const struct pair *a, const struct pair *b)
{
	const struct pair *first = a->tunnel < b->tunnel ? a : b, *second = first == a ? b : a;
	size_t t = f->tunnels.nodes[second->tunnel];
	char path[256];

	ike_file_fail(f, t,
		"its selectors (%s === %s) overlap those of %s, '%s' (%s === %s): a packet would "
		"fit both; if "
		"that is meant, give one a priority, a mark or an if-id",
		second->local_text, second->remote_text,
		ike_file_path(f, f->tunnels.nodes[first->tunnel], path, sizeof(path)),
		ike_file_text(f, f->tunnels.nodes[first->tunnel], "name"), first->local_text,
		first->remote_text);
}

void
ike_check_overlaps(struct ike_file *f)
{
	struct pairs p = {.f = f};
	size_t *active, n_active = 0;
	bool *told;

	for (size_t i = 0; i < f->tunnels.n; i++)
		collect_tunnel(&p, i);
	active = calloc(p.n + 1, sizeof(*active));
	told = calloc(f->tunnels.n + 1, sizeof(*told));
	if (p.n > 0 && active != NULL && told != NULL)
		qsort(p.v, p.n, sizeof(*p.v), by_remote);
	/* A sweep over the remote addresses: only those that are open still can overlap. */
	for (size_t i = 0; active != NULL && told != NULL && i < p.n; i++) {
		size_t kept = 0;

		for (size_t j = 0; j < n_active; j++) {
			const struct pair *a = &p.v[active[j]], *b = &p.v[i];
			size_t later = a->tunnel > b->tunnel ? a->tunnel : b->tunnel;

			if (a->remote.family != b->remote.family ||
				memcmp(a->remote.to, b->remote.from, 16) < 0)
				continue;
			active[kept++] = active[j];
			if (told[later] || !clash(a, b) ||
				!selector_overlap(&a->local, &b->local) ||
				!selector_overlap(&a->remote, &b->remote))
				continue;
			told[later] = true;
			tell(f, a, b);
		}
		active[kept++] = i;
		n_active = kept;
	}
	free(active);
	free(told);
	free(p.v);
}
