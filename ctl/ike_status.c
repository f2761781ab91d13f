/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_daemon.h"

#include "ike_failures.h"
#include "list.h"
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* "ike status": a line a tunnel. */

static const struct column columns[] = {
	{"TUNNEL", false, 0},
	{"STATE", false, 0},
	{"PEER", false, 0},
	{"SPI IN", false, 5},
	{"SPI OUT", false, 5},
	{"ALGORITHMS", false, 6},
	{"AGE", true, 3},
	{"REKEY IN", true, 4},
	{"BYTES IN", true, 1},
	{"BYTES OUT", true, 1},
	{"LAST USE", true, 2},
	{"LAST ERROR", false, 0},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct status {
	json_t *rows; /* what is shown, for --json as it is */
	json_t *ikes; /* IKE SAs by the names of their gateways: an array each */
};

static void
keep_sa(void *ctx, const char *event, json_t *message)
{
	struct status *st = ctx;
	const char *name;
	json_t *sa, *list;

	(void)event;
	json_object_foreach (message, name, sa) {
		list = json_object_get(st->ikes, name);
		if (list == NULL) {
			list = json_array();
			json_object_set_new(st->ikes, name, list);
		}
		json_array_append(list, sa);
	}
}

static json_t *
number(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? json_integer(strtoll(s, NULL, 10)) : NULL;
}

/* "AES_GCM_16-256", "AES_CBC-256/HMAC_SHA2_256_128", with ESN said. */
static void
algorithms(const json_t *c, char out[96])
{
	const char *encr = ike_text(c, "encr-alg"), *bits = ike_text(c, "encr-keysize");
	const char *integ = ike_text(c, "integ-alg");

	snprintf(out, 96, "%s%s%s%s%s%s", encr, *bits != '\0' ? "-" : "", bits,
		*encr != '\0' && *integ != '\0' ? "/" : "", integ,
		strcmp(ike_text(c, "esn"), "1") == 0 ? " ESN" : "");
}

/* The child SA of a tunnel that carries its traffic: the newest that is installed. */
static json_t *
find_child(const json_t *list, const char *tunnel, const json_t **of)
{
	json_t *sa, *child, *best = NULL;
	const char *key;
	size_t i;

	json_array_foreach (list, i, sa)
		json_object_foreach (json_object_get(sa, "child-sas"), key, child) {
			if (strcmp(ike_text(child, "name"), tunnel) != 0)
				continue;
			if (best == NULL || strcmp(ike_text(best, "state"), "INSTALLED") != 0 ||
				(strcmp(ike_text(child, "state"), "INSTALLED") == 0 &&
					atoll(ike_text(child, "uniqueid")) >
						atoll(ike_text(best, "uniqueid")))) {
				best = child;
				*of = sa;
			}
		}
	return best;
}

static const char *
state_of(const json_t *child, const json_t *list, const char *action)
{
	const char *s = ike_text(child, "state");
	const json_t *sa;
	size_t i;

	if (strcmp(s, "INSTALLED") == 0)
		return "up";
	if (strcmp(s, "REKEYING") == 0 || strcmp(s, "REKEYED") == 0)
		return "rekeying";
	if (strcmp(s, "DELETING") == 0 || strcmp(s, "DELETED") == 0)
		return "closing";
	json_array_foreach (list, i, sa)
		if (strcmp(ike_text(sa, "state"), "CONNECTING") == 0)
			return "connecting";
	return child != NULL ? "connecting" : strncmp(action, "trap", 4) == 0 ? "waiting" : "down";
}

static void
add_child(json_t *row, const json_t *sa, const json_t *child)
{
	char buf[96];

	json_object_set_new(row, "peer", json_string(ike_text(sa, "remote-host")));
	json_object_set_new(row, "peer_id", json_string(ike_text(sa, "remote-id")));
	json_object_set_new(row, "mode", json_string(ike_text(child, "mode")));
	json_object_set_new(row, "spi_in", json_sprintf("0x%s", ike_text(child, "spi-in")));
	json_object_set_new(row, "spi_out", json_sprintf("0x%s", ike_text(child, "spi-out")));
	algorithms(child, buf);
	json_object_set_new(row, "algorithms", json_string(buf));
	json_object_set_new(row, "udp", json_boolean(strcmp(ike_text(child, "encap"), "yes") == 0));
	json_object_set_new(row, "age", number(child, "install-time"));
	json_object_set_new(row, "rekey_in", number(child, "rekey-time"));
	json_object_set_new(row, "bytes_in", number(child, "bytes-in"));
	json_object_set_new(row, "bytes_out", number(child, "bytes-out"));
	json_object_set_new(row, "packets_in", number(child, "packets-in"));
	json_object_set_new(row, "packets_out", number(child, "packets-out"));
	json_object_set_new(row, "used_in", number(child, "use-in"));
	json_object_set_new(row, "used_out", number(child, "use-out"));
}

/* The gateway's own, or that of strangers at its peer's address, whichever is later. */
static const json_t *
last_of_gateway(const char *gateway, const char *address, const json_t *errors)
{
	const json_t *own = json_object_get(json_object_get(errors, "gateways"), gateway), *peer;

	peer = address != NULL ? json_object_get(json_object_get(errors, "peers"), address) : NULL;
	return peer == NULL || (own != NULL &&
				       json_integer_value(json_object_get(own, "time")) >=
					       json_integer_value(json_object_get(peer, "time")))
		       ? own
		       : peer;
}

static void
add_row(struct status *st, const char *gateway, const json_t *config, const char *tunnel,
	const json_t *settings, const json_t *errors)
{
	const json_t *list = json_object_get(st->ikes, gateway), *sa = NULL, *error, *address;
	const char *mode = ike_text(settings, "mode");
	json_t *row, *child = find_child(list, tunnel, &sa);
	const char *state = state_of(child, list, ike_text(settings, "start_action"));

	if (strcmp(mode, "pass") == 0 || strcmp(mode, "drop") == 0)
		state = *mode == 'p' ? "bypass" : "discard";
	row = json_pack("{ssssss}", "tunnel", tunnel, "gateway", gateway, "state", state);
	address = json_array_get(json_object_get(config, "remote_addrs"), 0);
	if (address != NULL)
		json_object_set_new(row, "peer", json_string(json_string_value(address)));
	if (child != NULL)
		add_child(row, sa, child);
	error = json_object_get(
		json_object_get(json_object_get(errors, "tunnels"), gateway), tunnel);
	/* What keeps a gateway from negotiating leaves alone what is up, until its keys run out: those are tunnels' errors. */
	if (error == NULL && strcmp(state, "up") != 0)
		error = last_of_gateway(gateway, json_string_value(address), errors);
	if (error != NULL) {
		json_object_set(row, "error", json_object_get(error, "error"));
		json_object_set(row, "error_time", json_object_get(error, "time"));
	} else if (child != NULL && strcmp(ike_text(config, "encap"), "no") == 0 &&
		   strcmp(ike_text(child, "encap"), "yes") == 0) {
		json_object_set_new(row, "error",
			json_string("a NAT is on the way, and nat-traversal is false"));
	}
	json_array_append_new(st->rows, row);
}

/* What others have loaded: charon's listing says less of it. */
static void
keep_listed(void *ctx, const char *event, json_t *message)
{
	const char *name;
	json_t *v;

	(void)event;
	json_object_foreach (message, name, v)
		json_object_set(ctx, name, v);
}

static bool
wanted(const struct ike_options *o, const char *gateway, const char *tunnel)
{
	if (o->n_words == 0)
		return true;
	for (unsigned int i = 0; i < o->n_words; i++)
		if (strcmp(o->words[i], gateway) == 0 || strcmp(o->words[i], tunnel) == 0)
			return true;
	return false;
}

/* "the peer does not answer (3m02s ago)", or "-". */
static const char *
error_text(const json_t *row, char text[320])
{
	json_int_t when = json_integer_value(json_object_get(row, "error_time"));
	json_t *age = json_integer((json_int_t)time(NULL) - when);
	char ago[UNITS_MAX];

	if (when > 0)
		snprintf(text, 320, "%s (%s ago)", list_str(row, "error"),
			units_age(ago, age, true));
	else
		snprintf(text, 320, "%s", list_str(row, "error"));
	json_decref(age);
	return text;
}

static void
print_row(struct table *t, const json_t *row, const struct view *view)
{
	json_int_t in = json_integer_value(json_object_get(row, "used_in"));
	json_int_t out = json_integer_value(json_object_get(row, "used_out"));
	char buf[UNITS_MAX], text[320];
	json_t *use = NULL;

	table_row(t);
	table_cell(t, "%s", list_str(row, "tunnel"));
	table_cell(t, "%s%s", list_str(row, "state"),
		json_is_true(json_object_get(row, "udp")) ? " (UDP)" : "");
	table_cell(t, "%s", list_str(row, "peer"));
	table_cell(t, "%s", list_str(row, "spi_in"));
	table_cell(t, "%s", list_str(row, "spi_out"));
	table_cell(t, "%s", list_str(row, "algorithms"));
	table_cell(t, "%s", units_age(buf, json_object_get(row, "age"), view->human));
	table_cell(t, "%s", units_left(buf, json_object_get(row, "rekey_in"), view->human));
	table_cell(t, "%s", units_member(buf, row, "bytes_in", view->human));
	table_cell(t, "%s", units_member(buf, row, "bytes_out", view->human));
	/* charon leaves the time out where there was no packet. */
	if (json_object_get(row, "used_in") != NULL && json_object_get(row, "used_out") != NULL)
		use = json_integer(in < out ? in : out);
	else if (json_object_get(row, "used_in") != NULL ||
		 json_object_get(row, "used_out") != NULL)
		use = json_integer(json_object_get(row, "used_in") != NULL ? in : out);
	table_cell(t, "%s", units_age(buf, use, view->human));
	json_decref(use);
	if (view->width == 0)
		table_cell(t, "%s", error_text(row, text));
}

static int
print(const struct ike_options *o, const json_t *rows)
{
	size_t i, up = 0, failed = 0;
	struct table *t;
	char text[320];
	json_t *row;

	if (o->view.json) {
		fputs("[", o->view.out);
		json_array_foreach (rows, i, row) {
			fputs(i > 0 ? ",\n " : "", o->view.out);
			json_print(o->view.out, row);
		}
		fputs("]\n", o->view.out);
		return CTL_OK;
	}
	if (json_array_size(rows) == 0) {
		fputs("no tunnels are loaded: cygnetctl ike load FILE\n", o->view.out);
		return CTL_OK;
	}
	/* On a terminal errors have lines of their own below the table: in it they would take the room of the rest. */
	t = table_new(columns, N_COLUMNS - (o->view.width != 0), &o->view);
	json_array_foreach (rows, i, row) {
		print_row(t, row, &o->view);
		up += strcmp(list_str(row, "state"), "up") == 0 ||
		      strcmp(list_str(row, "state"), "rekeying") == 0;
		failed += json_object_get(row, "error") != NULL;
	}
	table_print(t);
	table_free(t);
	json_array_foreach (rows, i, row)
		if (o->view.width != 0 && json_object_get(row, "error") != NULL)
			fprintf(o->view.out, "%s: %s\n", list_str(row, "tunnel"),
				error_text(row, text));
	if (json_array_size(rows) > 1) {
		fprintf(o->view.out, "%zu of %zu up", up, json_array_size(rows));
		if (failed > 0)
			fprintf(o->view.out, ", %zu with errors", failed);
		fputc('\n', o->view.out);
	}
	return CTL_OK;
}

int
ike_status_command(const struct ike_options *o)
{
	struct status st = {.rows = json_array(), .ikes = json_object()};
	json_t *listed = json_object(), *errors = NULL, *conns, *e, *child;
	struct ike_state *state = NULL;
	const char *gateway, *tunnel;
	struct vici *v = NULL;
	int rc = ike_connect(o, &v);

	if (rc == CTL_OK && (state = ike_state_open(v, false)) == NULL)
		rc = CTL_NO_ROUTER;
	if (rc == CTL_OK &&
		(!vici_stream(v, "list-sas", json_pack("{ss}", "noblock", "yes"), "list-sa",
			 keep_sa, &st) ||
			!vici_stream(v, "list-conns", NULL, "list-conn", keep_listed, listed)))
		rc = client_fail(CTL_NO_ROUTER, "charon hung up");
	if (rc == CTL_OK) {
		conns = ike_state_get(state, "conns");
		errors = ike_failures_read(v);
		json_object_foreach (listed, gateway, e) {
			const json_t *ours =
				json_object_get(json_object_get(conns, gateway), "config");
			const json_t *config = ours != NULL ? ours : e;

			json_object_foreach (json_object_get(config, "children"), tunnel, child)
				if (wanted(o, gateway, tunnel))
					add_row(&st, gateway, config, tunnel, child, errors);
		}
		if (o->n_words > 0 && json_array_size(st.rows) == 0)
			rc = client_fail(CTL_REFUSED, "charon knows no tunnel and no gateway '%s'",
				o->words[0]);
		else
			rc = print(o, st.rows);
	}
	json_decref(st.rows);
	json_decref(st.ikes);
	json_decref(listed);
	json_decref(errors);
	ike_state_close(state);
	vici_close(v);
	return rc;
}
