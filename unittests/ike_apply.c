/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_apply.h"
#include "ike_missing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

/* A load that fails, is ended or cut off at any step, with a charon of our own in the place of vici_client.c. */

struct vici {
	char path[64];
	const char *uri; /* of a charon behind TCP */
};

static struct {
	struct vici v;
	json_t *conns, *pools, *authorities, *shared, *keys; /* what it has, by name */
	json_t *installed; /* traps and bypasses: {connection: {tunnel: as it was installed}} */
	json_t *leases; /* pools that it does not give up */
	json_t *sas; /* list-sa messages */
	char refuse[64], hang_up[64]; /* "command name" */
	char look[64]; /* the same: then the state file is read */
	json_t *seen;
	unsigned int seconds; /* for load-conn, the most */
	unsigned int initiated; /* tunnels */
	bool gone;
} charon;

static char dir[] = "/tmp/cygnet-ike-apply-XXXXXX";

static json_t *
said(const char *why)
{
	return why == NULL ? json_pack("{ss}", "success", "yes")
			   : json_pack("{ssss}", "success", "no", "errmsg", why);
}

static json_t *
keys_of(const char *as, json_t *o)
{
	json_t *list = json_array(), *v;
	const char *name;

	json_object_foreach (o, name, v)
		json_array_append_new(list, json_string(name));
	return json_pack("{so}", as, list);
}

static size_t
names_size(json_t *o)
{
	const char *name;
	size_t n = 0;
	json_t *v;

	json_object_foreach (o, name, v)
		n += 3 + strlen(name);
	return n;
}

/* {name: config}, "id" or "name" */
static const char *
name_in(json_t *args)
{
	const char *id = json_string_value(json_object_get(args, "id")),
		   *name = json_string_value(json_object_get(args, "name"));

	return id != NULL ? id : name != NULL ? name : json_object_iter_key(json_object_iter(args));
}

static json_t *
drop(json_t *from, const char *name)
{
	return said(json_object_del(from, name) == 0 ? NULL : "not found");
}

static json_t *
children(const json_t *conn)
{
	return json_object_get(conn, "children");
}

/* As charon compares connections: it keeps its old one, with the new tunnels. */
static bool
same_to_charon(json_t *a, json_t *b)
{
	static const char *const unseen[] = {"children", "dscp", "dpd_timeout"};
	json_t *v = json_copy(a), *w = json_copy(b);
	bool same;

	for (unsigned int i = 0; i < 3; i++) {
		json_object_del(v, unseen[i]);
		json_object_del(w, unseen[i]);
	}
	same = json_equal(v, w);
	json_decref(v);
	json_decref(w);
	return same;
}

/*
 * As charon does it: what leaves is uninstalled by its name, then what comes is installed, if there is none of the name;
 * whether a tunnel of the same connection stays is seen by what it says, whatever its name.
 */
static void
install(const char *conn, json_t *config)
{
	json_t *old = json_object_get(charon.conns, conn), *gone = json_copy(children(old)),
	       *come = json_object(), *installed = json_object_get(charon.installed, conn), *v, *w;
	const char *name, *other;
	void *next;

	if (installed == NULL) {
		installed = json_object();
		json_object_set_new(charon.installed, conn, installed);
	}
	json_object_foreach (children(config), name, v) {
		bool found = false;

		if (same_to_charon(old, config))
			json_object_foreach_safe (gone, next, other, w)
				if (!found && json_equal(v, w)) {
					found = true;
					json_object_del(gone, other);
				}
		if (!found)
			json_object_set(come, name, v);
	}
	json_object_foreach (gone, name, v)
		json_object_del(installed, name);
	json_object_foreach (come, name, v)
		if (json_object_get(installed, name) == NULL)
			json_object_set(installed, name, v);
	json_decref(gone);
	json_decref(come);
	old = same_to_charon(old, config) ? json_copy(old) : json_copy(config);
	json_object_set(old, "children", children(config));
	json_object_set_new(charon.conns, conn, old);
}

static json_t *
answer_to(const char *command, const char *name, json_t *config)
{
	if (strcmp(command, "load-conn") == 0)
		install(name, config);
	else if (strcmp(command, "load-pool") == 0)
		json_object_set(charon.pools, name, config);
	else if (strcmp(command, "load-authority") == 0)
		json_object_set(charon.authorities, name, config);
	else if (strcmp(command, "load-shared") == 0)
		json_object_set_new(charon.shared, name, json_true());
	else if (strcmp(command, "unload-conn") == 0) {
		json_object_del(charon.installed, name);
		return drop(charon.conns, name);
	} else if (strcmp(command, "unload-pool") == 0 && json_object_get(charon.leases, name))
		return said("has online leases, unable to unload");
	else if (strcmp(command, "unload-pool") == 0)
		return drop(charon.pools, name);
	else if (strcmp(command, "unload-authority") == 0)
		return drop(charon.authorities, name);
	else if (strcmp(command, "unload-shared") == 0)
		return drop(charon.shared, name);
	else if (strcmp(command, "get-shared") == 0) {
		/* What does not fit one message is thrown away, and waited for until the end. */
		charon.gone |= names_size(charon.shared) > VICI_MESSAGE_MAX;
		return charon.gone ? NULL : keys_of("keys", charon.shared);
	} else if (strcmp(command, "unload-key") == 0)
		return drop(charon.keys, name);
	else if (strcmp(command, "get-keys") == 0)
		return keys_of("keys", charon.keys);
	else if (strcmp(command, "get-conns") == 0)
		return keys_of("conns", charon.conns);
	else if (strcmp(command, "get-authorities") == 0)
		return keys_of("authorities", charon.authorities);
	else if (strcmp(command, "get-pools") == 0)
		return json_deep_copy(charon.pools);
	return said(NULL);
}

/* A file's bytes are "KEY in some format": charon knows the key alone, and has it once. */
static json_t *
load_key(const void *data, size_t len)
{
	const char *end = memchr(data, ' ', len);
	json_t *id = json_stringn(data, end != NULL ? (size_t)(end - (const char *)data) : len);

	json_object_set_new(charon.keys, json_string_value(id), json_true());
	return json_pack("{ssso}", "success", "yes", "id", id);
}

json_t *
vici_call_data(struct vici *v, const char *command, json_t *args, const void *data, size_t len,
	unsigned int seconds)
{
	const char *name = args != NULL ? name_in(args) : "";
	char what[128], path[128];
	json_t *answer;

	snprintf(what, sizeof(what), "%s %s", command, name);
	if (strcmp(command, "load-conn") == 0 && seconds > charon.seconds)
		charon.seconds = seconds;
	if (strcmp(what, charon.look) == 0) {
		snprintf(path, sizeof(path), "%s.cygnet-loaded", v->path);
		charon.seen = json_load_file(path, 0, NULL);
	}
	charon.initiated += strcmp(command, "initiate") == 0;
	charon.gone |= strcmp(what, charon.hang_up) == 0;
	answer = charon.gone			    ? NULL
		 : strcmp(what, charon.refuse) == 0 ? said("no")
		 : strcmp(command, "load-key") == 0
			 ? load_key(data, len)
			 : answer_to(command, name, json_object_get(args, name));
	json_decref(args);
	return answer;
}

const char *
vici_refusal(const json_t *answer)
{
	return json_string_value(json_object_get(answer, "errmsg"));
}

/* charon's own listing says less than a configuration. */
bool
vici_stream(struct vici *v, const char *command, json_t *args, const char *event, vici_event *row,
	void *ctx)
{
	json_t *e, *message;
	const char *name;
	size_t i;

	(void)v;
	json_decref(args);
	if (charon.gone)
		return false;
	if (strcmp(command, "list-conns") == 0) {
		json_object_foreach (charon.conns, name, e) {
			message = json_pack("{s{sO*}}", name, "remote_addrs",
				json_object_get(e, "remote_addrs"));
			row(ctx, event, message);
			json_decref(message);
		}
		return true;
	}
	/* They are gone when somebody looks whether they are. */
	json_array_foreach (charon.sas, i, e)
		row(ctx, event, e);
	json_array_clear(charon.sas);
	return true;
}

bool
vici_listen(struct vici *v, const char *event, vici_event *row, void *ctx)
{
	(void)v;
	(void)event;
	(void)row;
	(void)ctx;
	return false;
}

struct vici *
vici_open(const char *uri, const char **why)
{
	(void)uri;
	*why = "";
	return NULL;
}

void
vici_close(struct vici *v)
{
	(void)v;
}

const char *
vici_path(const struct vici *v)
{
	return v->uri != NULL ? NULL : v->path;
}

const char *
vici_uri(const struct vici *v)
{
	return v->uri;
}

size_t
vici_size(const json_t *args)
{
	return json_object_size(args);
}

static void
setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	memset(&charon, 0, sizeof(charon));
	snprintf(charon.v.path, sizeof(charon.v.path), "%s/vici", dir);
	charon.conns = json_object();
	charon.installed = json_object();
	charon.pools = json_object();
	charon.authorities = json_object();
	charon.shared = json_object();
	charon.keys = json_object();
	charon.leases = json_object();
	charon.sas = json_array();
}

static void
teardown(void)
{
	static const char *const files[] = {"vici.cygnet-loaded", "vici.cygnet-lock"};
	char path[64];

	for (unsigned int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	rmdir(dir);
	json_decref(charon.conns);
	json_decref(charon.installed);
	json_decref(charon.pools);
	json_decref(charon.authorities);
	json_decref(charon.shared);
	json_decref(charon.keys);
	json_decref(charon.leases);
	json_decref(charon.sas);
	json_decref(charon.seen);
}

/* One load, and what is to be known of it. */
struct load {
	struct ike_wanted w;
	struct ike_state *s;
	struct ike_plan *p;
	struct ike_apply a;
	size_t end_after; /* steps; 0: it is not ended */
	size_t unwritable; /* after so many steps the state cannot be written any more; 0: it can */
	int rc;
};

static bool
progress(void *ctx, size_t done, size_t all)
{
	struct load *l = ctx;

	(void)all;
	if (l->unwritable == done) {
		free(l->s->path);
		l->s->path = strdup("/proc/nowhere");
	}
	return done != l->end_after;
}

/* {file: bytes} */
static void
add_keys(struct ike_wanted *w, json_t *files)
{
	const char *file;
	json_t *v;

	w->keys = calloc(json_object_size(files) + 1, sizeof(*w->keys));
	json_object_foreach (files, file, v) {
		struct wanted_key *k = &w->keys[w->n_keys++];

		k->file = strdup(file);
		k->data = (unsigned char *)strdup(json_string_value(v));
		k->len = json_string_length(v);
		snprintf(
			k->fingerprint, sizeof(k->fingerprint), "hash of %s", json_string_value(v));
	}
}

/* So many. */
static void
add_secrets(struct ike_wanted *w, size_t n)
{
	w->secrets = calloc(n + 1, sizeof(*w->secrets));
	w->n_secrets = n;
	for (size_t i = 0; i < n; i++) {
		struct wanted_secret *s = &w->secrets[i];

		snprintf(s->id, sizeof(s->id), "cygnet-ike-gateway-%zu-0123456789abcdef", i);
		s->type = "IKE";
		s->owners = json_pack("[s]", "x");
	}
}

/* The file as JSON: what is missing of it is empty. */
static void
load(struct load *l, const char *file, bool keep)
{
	json_t *all = json_loads(file, 0, NULL);

	ck_assert_ptr_nonnull(all);
	l->w.conns = json_incref(json_object_get(all, "conns"));
	l->w.pools = json_incref(json_object_get(all, "pools"));
	l->w.authorities = json_incref(json_object_get(all, "authorities"));
	l->w.responders = json_incref(json_object_get(all, "responders"));
	add_keys(&l->w, json_object_get(all, "keys"));
	add_secrets(&l->w, (size_t)json_integer_value(json_object_get(all, "secrets")));
	json_decref(all);
	if (l->w.conns == NULL)
		l->w.conns = json_object();
	if (l->w.pools == NULL)
		l->w.pools = json_object();
	if (l->w.authorities == NULL)
		l->w.authorities = json_object();
	l->s = ike_state_open(&charon.v, true);
	ck_assert_ptr_nonnull(l->s);
	l->p = ike_plan_make(&charon.v, &l->w, l->s);
	ck_assert_ptr_nonnull(l->p);
	l->a = (struct ike_apply){
		.v = &charon.v,
		.w = &l->w,
		.s = l->s,
		.p = l->p,
		.keep = keep,
		.progress = progress,
		.ctx = l,
	};
	l->rc = ike_apply(&l->a);
}

static void
done(struct load *l)
{
	ike_apply_end(&l->a);
	ike_plan_free(l->p);
	ike_state_close(l->s);
	json_decref(l->w.conns);
	json_decref(l->w.pools);
	json_decref(l->w.authorities);
	json_decref(l->w.responders);
	for (size_t i = 0; i < l->w.n_keys; i++) {
		free(l->w.keys[i].file);
		free(l->w.keys[i].data);
	}
	free(l->w.keys);
	for (size_t i = 0; i < l->w.n_secrets; i++)
		json_decref(l->w.secrets[i].owners);
	free(l->w.secrets);
	memset(l, 0, sizeof(*l));
}

static void
load_well(const char *file)
{
	struct load l = {};

	load(&l, file, false);
	ck_assert_int_eq(l.rc, 0);
	done(&l);
}

#define CHILD(action) "{'remote_ts':['10.2.0.0/16'],'start_action':'" action "'}"
#define CONN(peer, children) "{'remote_addrs':['" peer "'],'children':{" children "}}"

/* JSON with the other quotes. */
static const char *
json(const char *s)
{
	static char buf[4][1024];
	static unsigned int n;
	char *out = buf[n++ % 4];

	snprintf(out, sizeof(buf[0]), "%s", s);
	for (char *c = out; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	return out;
}

static const char *
change(const json_t *of, const char *name)
{
	const char *s = json_string_value(json_object_get(json_object_get(of, name), "change"));

	return s != NULL ? s : "";
}

static bool
has(const json_t *of, const char *name)
{
	return json_object_get(of, name) != NULL;
}

static void
ran(const char *gateway, const char *tunnel)
{
	json_array_append_new(
		charon.sas, json_pack("{s{sss{s{ssss}}}}", gateway, "uniqueid", "1", "child-sas",
				    "t-1", "name", tunnel, "uniqueid", "2"));
}

/* What the state file says in the midst of a load is what the next one finds if this one dies there. */
START_TEST(cut_off)
{
	struct load l = {};
	char path[80];

	load_well(json("{'conns':{'b':" CONN(
		"192.0.2.3", "'t2':" CHILD("trap")) "},"
						    "'pools':{'p':{'addrs':'10.3.0.0/24'}}}"));
	snprintf(charon.look, sizeof(charon.look), "load-conn %s", _i == 0 ? "a" : "b");
	load(&l,
		json("{'conns':{'a':" CONN("192.0.2.2", "'t':" CHILD("trap")) ",'b':" CONN(
			"192.0.2.3",
			"'t2':" CHILD("none")) "},"
					       "'pools':{'p':{'addrs':'10.4.0.0/"
					       "24'}},'authorities':{'ca':{'cacert':'x'}}}"),
		false);
	ck_assert_int_eq(l.rc, 0);
	done(&l);
	charon.look[0] = '\0';
	ck_assert_ptr_nonnull(charon.seen);
	snprintf(path, sizeof(path), "%s.cygnet-loaded", charon.v.path);
	ck_assert_int_eq(json_dump_file(charon.seen, path, 0), 0);
	/* The file has been changed back. */
	load(&l,
		json("{'conns':{'a':" CONN("192.0.2.2", "'t':" CHILD("trap")) ",'b':" CONN(
			"192.0.2.3",
			"'t2':" CHILD("trap")) "},"
					       "'pools':{'p':{'addrs':'10.3.0.0/24'}}}"),
		false);
	ck_assert_int_eq(l.rc, 0);
	ck_assert_ptr_null(ike_plan_foreign(l.p));
	ck_assert_str_eq(change(l.p->conns, "a"), "change");
	ck_assert_str_eq(change(l.p->conns, "b"), "change");
	ck_assert_str_eq(change(l.p->pools, "p"), "change");
	ck_assert_str_eq(change(l.p->authorities, "ca"), "remove");
	ck_assert(!has(charon.authorities, "ca"));
	done(&l);
	/* And now all is known again. */
	load(&l, json("{}"), false);
	ck_assert_int_eq(l.rc, 0);
	ck_assert_uint_eq(json_object_size(charon.conns), 0);
	ck_assert_uint_eq(json_object_size(charon.pools), 0);
	done(&l);
}
END_TEST

/* Ended after each of its steps: charon has what it had, and so has the state. */
START_TEST(ended)
{
	const char *before = json("{'conns':{'b':" CONN(
		"192.0.2.3", "'t2':" CHILD("trap")) "},"
						    "'pools':{'p':{'addrs':'10.3.0.0/"
						    "24'}},'authorities':{'old':{'cacert':'o'}}}");
	json_t *conns, *pools, *authorities;
	struct load l = {.end_after = (size_t)_i};

	load_well(before);
	conns = json_deep_copy(charon.conns);
	pools = json_deep_copy(charon.pools);
	authorities = json_deep_copy(charon.authorities);
	load(&l,
		json("{'conns':{'a':" CONN("192.0.2.2", "'t':" CHILD("trap")) ",'b':" CONN(
			"192.0.2.3", "'t2':" CHILD("none")) "},"
							    "'pools':{'p':{'addrs':'10.4.0.0/"
							    "24'},'q':{'addrs':'10.5.0.0/24'}},"
							    "'authorities':{'ca':{'cacert':'x'},'"
							    "old':{'cacert':'o'}}}"),
		false);
	ck_assert_int_eq(l.rc, -ECANCELED);
	ck_assert_str_eq(l.a.error, "interrupted");
	ck_assert(l.a.restored && json_object_size(l.a.closed) == 0);
	ck_assert(json_equal(charon.conns, conns) && json_equal(charon.pools, pools) &&
		  json_equal(charon.authorities, authorities));
	done(&l);
	load(&l, before, false);
	ck_assert(ike_plan_empty(l.p));
	done(&l);
	json_decref(conns);
	json_decref(pools);
	json_decref(authorities);
}
END_TEST

START_TEST(refused)
{
	struct load l = {};

	strcpy(charon.refuse, "load-pool q");
	load(&l, json("{'pools':{'p':{'addrs':'10.4.0.0/24'},'q':{'addrs':'x'}}}"), false);
	ck_assert_int_eq(l.rc, -ECANCELED);
	ck_assert_str_eq(l.a.error, "pool 'q': charon says: no");
	ck_assert(l.a.restored && json_object_size(charon.pools) == 0);
	done(&l);
}
END_TEST

/* What somebody else had loaded under that name is not ours to give back. */
START_TEST(others_replaced)
{
	struct load l = {};

	json_object_set_new(charon.conns, "a", json_pack("{s[s]}", "remote_addrs", "192.0.2.9"));
	json_object_set_new(charon.pools, "p", json_pack("{ss}", "addrs", "10.9.0.0/24"));
	if (_i == 0)
		l.end_after = 4; /* of two trials, a pool and two connections */
	else
		strcpy(charon.refuse, "load-conn a");
	load(&l,
		json(_i == 0 ? "{'conns':{'a':" CONN(
				       "192.0.2.2", "'t':" CHILD("trap")) ",'z':" CONN("192.0.2.3",
				       "'t2':" CHILD("trap")) "}}"
			     : "{'pools':{'p':{'addrs':'10.3.0.0/24'}},'conns':{'a':" CONN(
				       "192.0.2.2", "'t':" CHILD("trap")) "}}"),
		false);
	ck_assert_int_eq(l.rc, -ECANCELED);
	ck_assert(!l.a.restored);
	done(&l);
}
END_TEST

/* Nor is what somebody else made of ours. */
START_TEST(changed_by_others)
{
	const char *file = json("{'conns':{'a':" CONN("192.0.2.2", "'t':" CHILD("trap")) "}}");
	struct load l = {.end_after = 2};

	load_well(file);
	json_object_set_new(charon.conns, "a", json_pack("{s[s]}", "remote_addrs", "192.0.2.9"));
	load(&l, file, false);
	ck_assert_int_eq(l.rc, -ECANCELED);
	ck_assert(!l.a.restored);
	done(&l);
}
END_TEST

/* Found after the trial, before anything has changed, and when all has. */
START_TEST(not_written_down)
{
	const char *file = json("{'conns':{'a':" CONN("192.0.2.2", "'t':" CHILD("trap")) "}}");
	struct load l = {.unwritable = (size_t)_i};

	load(&l, file, false);
	ck_assert_int_eq(l.rc, -ECANCELED);
	ck_assert_int_eq(l.a.loaded, _i == 2);
	ck_assert_int_eq(l.a.restored, _i == 1);
	ck_assert_int_eq(has(charon.conns, "a"), _i == 2);
	done(&l);
	load_well(file);
}
END_TEST

/* The same private key in other bytes, or in two files: charon has it once, and keeps it while a file has it. */
START_TEST(keys_in_other_bytes)
{
	load_well(json("{'keys':{'a.key':'A as PKCS#1','b.key':'B as PKCS#8'}}"));
	ck_assert(has(charon.keys, "A") && has(charon.keys, "B"));
	load_well(json("{'keys':{'a.key':'A as PKCS#8','b.key':'B as PKCS#8'}}"));
	ck_assert(has(charon.keys, "A") && has(charon.keys, "B"));
	load_well(json("{'keys':{'a.key':'A as PKCS#8','other.key':'A as DER'}}"));
	ck_assert(has(charon.keys, "A") && !has(charon.keys, "B"));
	load_well(json("{'keys':{'other.key':'A as DER'}}"));
	ck_assert(has(charon.keys, "A"));
	load_well(json("{}"));
	ck_assert_uint_eq(json_object_size(charon.keys), 0);
}
END_TEST

/* Taken back is what charon did not have before. */
START_TEST(keys_taken_back)
{
	struct load l = {};

	load_well(json("{'keys':{'a.key':'A as PKCS#1'}}"));
	strcpy(charon.refuse, "load-pool q");
	load(&l,
		json("{'pools':{'q':{'addrs':'x'}},'keys':{'a.key':'A as DER','b.key':'B as "
		     "DER','c.key':'B as PKCS#8'}}"),
		false);
	ck_assert_int_eq(l.rc, -ECANCELED);
	ck_assert(l.a.restored);
	ck_assert(has(charon.keys, "A") && !has(charon.keys, "B"));
	done(&l);
	load(&l, json("{'keys':{'a.key':'A as PKCS#1'}}"), false);
	ck_assert(ike_plan_empty(l.p));
	done(&l);
}
END_TEST

/* charon keeps a pool as long as peers have addresses from it. */
START_TEST(pool_with_leases)
{
	struct load l = {};

	load_well(json("{'pools':{'p':{'addrs':'10.3.0.0/24'}}}"));
	json_object_set_new(charon.leases, "p", json_true());
	for (int i = 0; i < 2; i++) {
		load(&l, json("{}"), false);
		ck_assert_int_eq(l.rc, 0);
		ck_assert_str_eq(change(l.p->pools, "p"), "remove");
		ck_assert_str_eq(json_string_value(json_array_get(l.a.left, 0)), "p");
		done(&l);
	}
	json_object_clear(charon.leases);
	load_well(json("{}"));
	ck_assert(!has(charon.pools, "p"));
}
END_TEST

/* What others have unloaded. */
START_TEST(missing)
{
	const char *file = json(
		"{'pools':{'p':{'addrs':'10.3.0.0/24'}},'authorities':{'ca':{"
		"'cacert':'bytes'}},'conns':{'a':" CONN("192.0.2.2", "'t':" CHILD("trap")) "}}");
	json_t *const from[] = {charon.pools, charon.authorities, charon.conns};
	static const char *const names[] = {"p", "ca", "a"}, *const said[] = {"pool 'p'",
								     "authority 'ca'",
								     "gateway 'a'"};
	char what[64];

	for (int i = 0; i < 3; i++) {
		load_well(file);
		ck_assert_int_eq(ike_missing(&charon.v, what, sizeof(what)), 0);
		json_object_del(from[i], names[i]);
		ck_assert_int_eq(ike_missing(&charon.v, what, sizeof(what)), 1);
		ck_assert_str_eq(what, said[i]);
	}
}
END_TEST

/* What has left the file too is not missed, though no load had anything to do for it. */
START_TEST(gone_from_both)
{
	struct ike_wanted w = {
		.conns = json_object(), .pools = json_object(), .authorities = json_object()};
	struct ike_state *s;
	struct ike_plan *p;
	char what[64];

	load_well(json("{'pools':{'p':{'addrs':'10.3.0.0/24'}},'authorities':{'ca':{"
		       "'cacert':'bytes'}},'conns':{'ghost':" CONN(
			       "192.0.2.2", "'t':" CHILD("trap")) "}}"));
	json_object_clear(charon.conns);
	json_object_clear(charon.pools);
	json_object_clear(charon.authorities);
	s = ike_state_open(&charon.v, true);
	json_object_set_new(s->json, "secrets", json_pack("[s]", "cygnet-ike-ghost-00"));
	p = ike_plan_make(&charon.v, &w, s);
	ck_assert(ike_plan_empty(p) && p->forgot);
	ck_assert(ike_state_save(s));
	ike_plan_free(p);
	p = ike_plan_make(&charon.v, &w, s);
	ck_assert(!p->forgot);
	ike_plan_free(p);
	ike_state_close(s);
	ck_assert_int_eq(ike_missing(&charon.v, what, sizeof(what)), 0);
	json_decref(w.conns);
	json_decref(w.pools);
	json_decref(w.authorities);
}
END_TEST

/* A load of another takes its time: who looks meanwhile does not wait for it, and knows nothing. */
START_TEST(missing_in_a_load)
{
	struct ike_state *other;
	char what[64];

	load_well(json("{'conns':{'a':" CONN("192.0.2.2", "'t':" CHILD("trap")) "}}"));
	other = ike_state_open(&charon.v, true);
	json_object_clear(charon.conns);
	ck_assert_int_eq(ike_missing(&charon.v, what, sizeof(what)), 0);
	ike_state_close(other);
	ck_assert_int_eq(ike_missing(&charon.v, what, sizeof(what)), 1);
}
END_TEST

static const char *const hang_ups[] = {
	"load-conn cygnet-trial", "load-authority ca", "load-conn a", "unload-pool p"};

START_TEST(charon_hangs_up)
{
	struct load l = {};

	load_well(json("{'pools':{'p':{'addrs':'10.3.0.0/24'}}}"));
	strcpy(charon.hang_up, hang_ups[_i]);
	load(&l,
		json("{'conns':{'a':" CONN(
			"192.0.2.2", "'t':" CHILD("trap")) "},"
							   "'authorities':{'ca':{'cacert':'x'}}}"),
		false);
	ck_assert_int_eq(l.rc, -ENOTCONN);
	ck_assert(!l.a.restored);
	done(&l);
}
END_TEST

/* charon itself closes what it is to start, whenever its configuration changes. */
START_TEST(closed_by_charon)
{
	struct load l = {};

	load_well(json("{'conns':{'a':" CONN(
		"192.0.2.2", "'t':" CHILD("start") ",'u':" CHILD("trap") ",'v':" CHILD(
				     "trap-start") ",'w':" CHILD("start")) "}}"));
	ran("a", "t");
	ran("a", "u");
	ran("a", "v");
	l.end_after = _i == 0 ? 0 : 2;
	/* t is another one, u is to start, v has left, w did not run */
	load(&l,
		json("{'conns':{'a':" CONN("192.0.2.2",
			"'t':" CHILD("trap") ",'u':" CHILD("start") ",'w':" CHILD("trap")) "}}"),
		true);
	ck_assert(json_is_false(json_object_get(l.a.closed, "t")));
	ck_assert(json_is_true(json_object_get(l.a.closed, "v")));
	ck_assert(!has(l.a.closed, "w"));
	ck_assert_int_eq(has(l.a.closed, "u"), _i);
	ck_assert_int_eq(l.rc, _i == 0 ? 0 : -ECANCELED);
	ck_assert_int_eq(l.a.restored, _i);
	done(&l);
}
END_TEST

/* What charon has installed of a connection is what the connection says. */
static void
check_installed(const char *conn)
{
	json_t *installed = json_object_get(charon.installed, conn);
	char *s = json_dumps(installed, 0);

	ck_assert_msg(
		json_equal(installed, children(json_object_get(charon.conns, conn))), "%s", s);
	free(s);
}

/*
 * t1 gets another name, and makes room for a new one; taken back, and with what others and a load that was cut off have
 * left. Each is installed under its name in the end.
 */
START_TEST(renamed)
{
	static const char *const after[] = {
		"'t2':" CHILD("trap"),
		"'t1':" CHILD("none") ",'t2':" CHILD("trap"),
		"'t2':" CHILD("trap") ",'keep':" CHILD("keep"),
	};
	const char *before = json("{'conns':{'a':" CONN("192.0.2.2",
		"'t1':" CHILD("trap") ",'keep':" CHILD("keep")) ",'b':" CONN("192.0.2.3",
		"'u':" CHILD("trap")) "}}");
	struct load l = {};
	char file[512];

	load_well(before);
	snprintf(file, sizeof(file), json("{'conns':{'a':" CONN("192.0.2.2", "%s") "}}"),
		json(after[_i % 3]));
	if (_i < 3) {
		/* b is unloaded after that. */
		strcpy(charon.refuse, "unload-conn b");
		load(&l, file, false);
		ck_assert_int_eq(l.rc, -ECANCELED);
		ck_assert(l.a.restored);
		done(&l);
		check_installed("a");
		ck_assert(has(json_object_get(charon.installed, "a"), "t1"));
		charon.refuse[0] = '\0';
	} else if (_i < 6) {
		/* As a load that was cut off leaves it. */
		l.s = ike_state_open(&charon.v, true);
		json_object_del(json_object_get(ike_state_get(l.s, "conns"), "a"), "listed");
		ck_assert(ike_state_save(l.s));
		ike_state_close(l.s);
	}
	load_well(file);
	check_installed("a");
}
END_TEST

/* What charon does not see differ arrives there all the same, and goes back when that is taken back. */
START_TEST(unseen_by_charon)
{
	static const char *const keys[] = {"dscp", "dpd_timeout"};
	json_t *conns = json_pack(
		       "{s{s{s{}}}s{s{s{}}}}", "a", "children", "t", "b", "children", "u"),
	       *file = json_pack("{sO}", "conns", conns), *a = json_object_get(conns, "a");
	char *s[3];
	struct load l = {};

	s[0] = json_dumps(file, 0);
	json_object_set_new(a, keys[_i], json_string("5"));
	s[1] = json_dumps(file, 0);
	json_object_del(conns, "b");
	s[2] = json_dumps(file, 0);
	load_well(s[0]);
	load_well(s[1]);
	ck_assert(has(json_object_get(charon.conns, "a"), keys[_i]));
	load_well(s[0]);
	ck_assert(!has(json_object_get(charon.conns, "a"), keys[_i]));
	strcpy(charon.refuse, "unload-conn b");
	load(&l, s[2], false);
	ck_assert_int_eq(l.rc, -ECANCELED);
	ck_assert(l.a.restored);
	ck_assert(!has(json_object_get(charon.conns, "a"), keys[_i]));
	done(&l);
	for (unsigned int i = 0; i < 3; i++)
		free(s[i]);
	json_decref(conns);
	json_decref(file);
}
END_TEST

/* A tunnel that ran and changed is negotiated anew, but not by us where we only answer. */
START_TEST(responders_do_not_call)
{
	static const char *const actions[] = {"trap", "none"};
	char file[512];

	for (unsigned int i = 0; i < 2; i++) {
		snprintf(file, sizeof(file),
			json("{'responders':{%s},'conns':{'a':" CONN(
				"192.0.2.2", "'t':" CHILD("%s")) "}}"),
			json(_i == 0 ? "" : "'a':true"), actions[i]);
		load_well(file);
		ran("a", "t");
	}
	ck_assert_uint_eq(charon.initiated, _i == 0);
}
END_TEST

/* More than charon can be asked for, and charon dies in their midst, or the load does. */
START_TEST(very_many_secrets)
{
	const char *file =
		json("{'secrets':16000,'conns':{'a':" CONN("192.0.2.2", "'t':" CHILD("trap")) "}}");
	struct load l = {.end_after = _i == 0 ? 15000 : 0};
	char what[64];

	if (_i > 0)
		strcpy(charon.hang_up, "load-shared cygnet-ike-gateway-15000-0123456789abcdef");
	load(&l, file, false);
	ck_assert_int_eq(l.rc, _i == 0 ? -ECANCELED : -ENOTCONN);
	ck_assert_int_eq(json_object_size(charon.shared) == 0, _i == 0);
	done(&l);
	charon.gone = false;
	charon.hang_up[0] = '\0';
	if (_i == 2)
		json_object_clear(charon.shared); /* a new one */
	load_well(file);
	ck_assert_uint_eq(json_object_size(charon.shared), 16000);
	/* Now it is known. */
	ck_assert_int_eq(ike_missing(&charon.v, what, sizeof(what)), 0);
	load(&l, file, false);
	ck_assert_int_eq(l.rc, 0);
	ck_assert(ike_plan_empty(l.p));
	done(&l);
	load_well(json("{'secrets':1}"));
	ck_assert_uint_eq(json_object_size(charon.shared), 1);
}
END_TEST

/* A silent name server is asked for each tunnel anew. */
START_TEST(patience)
{
	static const struct {
		const char *peer;
		unsigned int least, most;
	} peers[] = {
		{"192.0.2.2", 30, 40},
		{"2001:db8::face", 30, 40},
		{"192.0.2.0/24", 30, 40},
		{"192.0.2.1-192.0.2.9", 30, 40},
		{"%any", 30, 40},
		{"gw.example.org", 90, 600},
		{"gw-1", 90, 600},
		{"dead.be", 90, 600},
	};
	json_t *conns = json_pack("{s{s[s]s{s{}s{}s{}}}}", "a", "remote_addrs", peers[_i].peer,
		       "children", "t", "u", "v"),
	       *file = json_pack("{so}", "conns", conns);
	char *s = json_dumps(file, 0);

	load_well(s);
	ck_assert_uint_ge(charon.seconds, peers[_i].least);
	ck_assert_uint_le(charon.seconds, peers[_i].most);
	free(s);
	json_decref(file);
}
END_TEST

/* Two charons behind TCP are two. */
START_TEST(remote_charons)
{
	struct vici one = {.uri = "tcp://192.0.2.9:4502"},
		    two = {.uri = "tcp://[2001:db8::9]:4502"};
	struct ike_state *s = ike_state_open(&one, false), *t = ike_state_open(&two, false);

	ck_assert(s != NULL && t != NULL);
	ck_assert_str_eq(s->path, "/run/cygnet/tcp___192.0.2.9_4502.cygnet-loaded");
	ck_assert_str_eq(t->path, "/run/cygnet/tcp____2001_db8__9__4502.cygnet-loaded");
	ike_state_close(s);
	ike_state_close(t);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ike_apply");
	TCase *tc = tcase_create("loads");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, cut_off, 0, 2);
	tcase_add_loop_test(tc, ended, 1, 8);
	tcase_add_test(tc, refused);
	tcase_add_loop_test(tc, others_replaced, 0, 2);
	tcase_add_test(tc, changed_by_others);
	tcase_add_loop_test(tc, not_written_down, 1, 3);
	tcase_add_test(tc, keys_in_other_bytes);
	tcase_add_test(tc, keys_taken_back);
	tcase_add_test(tc, pool_with_leases);
	tcase_add_test(tc, missing);
	tcase_add_test(tc, gone_from_both);
	tcase_add_test(tc, missing_in_a_load);
	tcase_add_loop_test(tc, charon_hangs_up, 0, sizeof(hang_ups) / sizeof(hang_ups[0]));
	tcase_add_loop_test(tc, closed_by_charon, 0, 2);
	tcase_add_loop_test(tc, renamed, 0, 9);
	tcase_add_loop_test(tc, unseen_by_charon, 0, 2);
	tcase_add_loop_test(tc, responders_do_not_call, 0, 2);
	tcase_add_loop_test(tc, very_many_secrets, 0, 3);
	tcase_add_loop_test(tc, patience, 0, 8);
	tcase_add_test(tc, remote_charons);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
