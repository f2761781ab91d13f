/* SPDX-License-Identifier: BSD-3-Clause */
#include "list.h"
#include "units.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS(v) v, sizeof(v) / sizeof(v[0])

static void
number_cell(struct table *t, const json_t *row, const char *key, bool human)
{
	char buf[UNITS_MAX];

	table_cell(t, "%s", units_member(buf, row, key, human));
}

static void
age_cell(struct table *t, const json_t *seconds, bool human)
{
	char buf[UNITS_MAX];

	table_cell(t, "%s", units_age(buf, seconds, human));
}

static json_int_t
integer(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

/* Big-endian, so that bytes compare as numbers do. */
static void
key32(uint8_t *key, json_int_t v)
{
	uint32_t be = htonl((uint32_t)v);

	memcpy(key, &be, sizeof(be));
}

static const struct column sa_columns[] = {
	{"DIR", false, 0},
	{"SPI", false, 0},
	{"SOURCE", false, 0},
	{"DESTINATION", false, 0},
	{"MODE", false, 9},
	{"ALGORITHMS", false, 6},
	{"REQID", true, 2},
	{"STATE", false, 1},
	{"OWNER", false, 7},
	{"PACKETS", true, 0},
	{"BYTES", true, 0},
	{"ERRORS", true, 0},
	{"LAST USE", true, 4},
	{"AGE", true, 8},
	{"EXPIRES IN", true, 5},
};

/* An end of the SA: its address, with the UDP port where ESP travels in UDP. */
static void
end_cell(struct table *t, const json_t *row, const char *address, const char *port)
{
	const json_t *encap = json_object_get(row, "encapsulation");

	if (json_is_object(encap))
		table_cell(t, "%s[%d]", list_str(row, address), (int)integer(encap, port));
	else
		table_cell(t, "%s", list_str(row, address));
}

/* A static SA whose nonces may repeat: nobody shall overlook it. */
static bool
is_insecure(const json_t *row)
{
	const json_t *flag;
	size_t i;

	json_array_foreach (json_object_get(row, "flags"), i, flag)
		if (strcmp(json_string_value(flag), "insecure-test") == 0)
			return true;
	return false;
}

static void
sa_row(struct table *t, const json_t *row, const struct view *view)
{
	const char *integrity = json_string_value(json_object_get(row, "integrity"));
	const json_t *hard = json_object_get(json_object_get(row, "left"), "hard");
	const char *direction = list_str(row, "direction"), *state = list_str(row, "state");
	uint8_t key[6] = {0};

	/* The SAs of a tunnel stand together; reserved SPIs, which have no reqid yet, at the end. */
	table_row(t);
	key[0] = strcmp(state, "larval") == 0;
	key32(key + 1, integer(row, "reqid"));
	key[5] = strcmp(direction, "out") != 0;
	table_key(t, key, sizeof(key));
	table_cell(t, "%s", direction);
	table_cell(t, "%s", list_str(row, "spi"));
	end_cell(t, row, "source", "source_port");
	end_cell(t, row, "destination", "destination_port");
	table_cell(t, "%s", list_str(row, "mode"));
	table_cell(t, "%s%s%s", list_str(row, "encryption"), integrity != NULL ? "/" : "",
		integrity != NULL ? integrity : "");
	number_cell(t, row, "reqid", false);
	table_cell(t, "%s%s", state, is_insecure(row) ? ", insecure-test" : "");
	table_cell(t, "%s", list_str(row, "owner_state"));
	number_cell(t, row, "packets", view->human);
	number_cell(t, row, "bytes", view->human);
	number_cell(t, row, "errors", view->human);
	age_cell(t, json_object_get(row, "last_use_age"), view->human);
	age_cell(t, json_object_get(row, "age"), view->human);
	age_cell(t, json_object_get(hard, "seconds"), view->human);
}

const struct list list_sa = {"sa", "no SAs", COLUMNS(sa_columns), sa_row};

static const struct column policy_columns[] = {
	{"DIR", false, 0},
	{"SOURCE", false, 0},
	{"DESTINATION", false, 0},
	{"ACTION", false, 0},
	{"PRIORITY", true, 4},
	{"REQID", true, 2},
	{"SA", false, 0},
	{"TUNNEL", false, 3},
	{"OWNER", false, 5},
	{"IF ID", true, 7},
	{"MARK", false, 8},
	{"LAST USE", true, 1},
};

/* "10.1.0.0/16", "10.1.0.0/16[tcp]", "10.1.0.0/16[tcp/80]", as swanctl writes selectors. */
static void
selector_cell(struct table *t, const json_t *row, const char *prefix, const char *ports)
{
	const char *proto = list_str(row, "protocol"), *port = list_str(row, ports);
	bool any_port = strcmp(port, "any") == 0;

	if (any_port && strcmp(proto, "any") == 0)
		table_cell(t, "%s", list_str(row, prefix));
	else
		table_cell(t, "%s[%s%s%s]", list_str(row, prefix), proto, any_port ? "" : "/",
			any_port ? "" : port);
}

static void
policy_row(struct table *t, const json_t *row, const struct view *view)
{
	const char *direction = list_str(row, "direction");
	uint8_t key[9];

	table_row(t);
	key[0] = direction[0] == 'o' ? 0 : direction[0] == 'i' ? 1 : 2;
	key32(key + 1, integer(row, "priority"));
	key32(key + 5, integer(row, "id"));
	table_key(t, key, sizeof(key));
	table_cell(t, "%s", direction);
	selector_cell(t, row, "source", "source_ports");
	selector_cell(t, row, "destination", "destination_ports");
	table_cell(t, "%s", list_str(row, "action"));
	number_cell(t, row, "priority", false);
	number_cell(t, row, "reqid", false);
	table_cell(t, "%s", list_str(row, "sa"));
	if (json_is_string(json_object_get(row, "tunnel_source")))
		table_cell(t, "%s -> %s", list_str(row, "tunnel_source"),
			list_str(row, "tunnel_destination"));
	else
		table_cell(t, "-");
	table_cell(t, "%s", list_str(row, "owner_state"));
	if (integer(row, "if_id") != 0)
		number_cell(t, row, "if_id", false);
	else
		table_cell(t, "-");
	table_cell(t, "%s", list_str(row, "mark"));
	age_cell(t, json_object_get(row, "last_use_age"), view->human);
}

const struct list list_policy = {"policy", "no policies", COLUMNS(policy_columns), policy_row};

static const struct column route_columns[] = {
	{"PREFIX", false, 0},
	{"KIND", false, 0},
	{"GATEWAY", false, 0},
	{"PORT", false, 0},
	{"MAC", false, 1},
	{"STATE", false, 0},
	{"MTU", true, 2},
};

/* By address, then the wider prefix; IPv4 before IPv6. */
static void
route_key(struct table *t, const char *prefix)
{
	uint8_t key[18] = {0};
	char address[INET6_ADDRSTRLEN];
	size_t len = strcspn(prefix, "/");

	if (len >= sizeof(address) || prefix[len] != '/')
		return;
	memcpy(address, prefix, len);
	address[len] = '\0';
	key[0] = strchr(address, ':') != NULL;
	if (inet_pton(key[0] ? AF_INET6 : AF_INET, address, key + 1) == 1) {
		key[17] = (uint8_t)strtoul(prefix + len + 1, NULL, 10);
		table_key(t, key, sizeof(key));
	}
}

static void
hop_cells(struct table *t, const json_t *hop)
{
	table_cell(t, "%s", list_str(hop, "kind"));
	table_cell(t, "%s", list_str(hop, "gateway"));
	table_cell(t, "%s", list_str(hop, "port"));
	table_cell(t, "%s", list_str(hop, "mac"));
	table_cell(t, "%s", list_str(hop, "state"));
	number_cell(t, hop, "mtu", false);
}

static void
route_row(struct table *t, const json_t *row, const struct view *view)
{
	const char *prefix = list_str(row, "prefix");
	const json_t *hop;
	size_t i;

	(void)view;
	table_row(t);
	route_key(t, prefix);
	table_cell(t, "%s", prefix);
	hop_cells(t, row);
	json_array_foreach (json_object_get(row, "hops"), i, hop) {
		table_row(t);
		route_key(t, prefix);
		table_cell(t, "  +");
		hop_cells(t, hop);
	}
}

const struct list list_route = {"route", "no routes", COLUMNS(route_columns), route_row};

static const struct column port_columns[] = {
	{"PORT", false, 0},
	{"ID", true, 8},
	{"DRIVER", false, 5},
	{"MAC", false, 4},
	{"MTU", true, 7},
	{"LINK", false, 0},
	{"RX PACKETS", true, 0},
	{"RX BYTES", true, 2},
	{"RX LOST", true, 0},
	{"TX PACKETS", true, 0},
	{"TX BYTES", true, 2},
	{"TX LOST", true, 0},
	{"TAP", true, 9},
	{"DEFAULT", false, 3},
};

static void
link_cell(struct table *t, const json_t *link)
{
	json_int_t mbps = integer(link, "mbps");

	if (!json_is_object(link) || mbps == 0)
		table_cell(t, "%s", list_str(link, "state"));
	else if (mbps % 1000 == 0)
		table_cell(t, "%s %" JSON_INTEGER_FORMAT "G", list_str(link, "state"), mbps / 1000);
	else
		table_cell(t, "%s %" JSON_INTEGER_FORMAT "M", list_str(link, "state"), mbps);
}

static void
port_row(struct table *t, const json_t *row, const struct view *view)
{
	const json_t *stats = json_object_get(row, "stats");
	char buf[UNITS_MAX];

	table_row(t);
	table_cell(t, "%s", list_str(row, "name"));
	number_cell(t, row, "port", false);
	table_cell(t, "%s", list_str(row, "driver"));
	table_cell(t, "%s", list_str(row, "mac"));
	number_cell(t, row, "mtu", false);
	link_cell(t, json_object_get(row, "link"));
	number_cell(t, stats, "rx_packets", view->human);
	number_cell(t, stats, "rx_bytes", view->human);
	table_cell(t, "%s",
		units_count(buf,
			(double)(integer(stats, "rx_missed") + integer(stats, "rx_errors") +
				 integer(stats, "rx_no_mbuf")),
			view->human));
	number_cell(t, stats, "tx_packets", view->human);
	number_cell(t, stats, "tx_bytes", view->human);
	number_cell(t, stats, "tx_errors", view->human);
	number_cell(t, row, "tap_ifindex", false);
	table_cell(t, "%s%s", list_str(row, "default_action"),
		json_is_true(json_object_get(row, "outside")) ? ", outside" : "");
}

const struct list list_port = {"port", "no ports", COLUMNS(port_columns), port_row};

static const struct column lcores_columns[] = {
	{"LCORE", true, 0},
	{"ROLE", false, 0},
	{"CPU", true, 0},
	{"NUMA", true, 2},
	{"ISOLATED", false, 1},
	{"BUSY", true, 0},
	{"SLEEP", true, 0},
	{"WALKS", true, 3},
	{"FRAMES", true, 4},
	{"OPERATIONS", true, 5},
};

static void
percent_cell(struct table *t, const json_t *row, const char *key)
{
	const json_t *v = json_object_get(row, key);

	if (json_is_number(v))
		table_cell(t, "%.1f%%", json_number_value(v));
	else
		table_cell(t, "-");
}

static void
lcores_row(struct table *t, const json_t *row, const struct view *view)
{
	table_row(t);
	number_cell(t, row, "lcore", false);
	table_cell(t, "%s", list_str(row, "role"));
	number_cell(t, row, "cpu", false);
	number_cell(t, row, "numa_node", false);
	table_cell(t, "%s", json_is_true(json_object_get(row, "isolated")) ? "yes" : "no");
	percent_cell(t, row, "busy_percent");
	percent_cell(t, row, "sleep_percent");
	number_cell(t, row, "walks", view->human);
	number_cell(t, row, "frames_in_flight", false);
	number_cell(t, row, "operations_in_flight", false);
}

const struct list list_lcores = {"lcores", "no lcores", COLUMNS(lcores_columns), lcores_row};
