/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

#define OPTION "interfaces_use"
#define SEPARATORS " \t\","

/* The last value of the option in that file; value stays as it is where there is none. */
static void
read_option(const struct doctor *d, const char *path, char *value, size_t size)
{
	char text[65536], *save = NULL;

	if (!doctor_read(d, path, text, sizeof(text)))
		return;
	for (char *line = strtok_r(text, "\n", &save); line != NULL;
		line = strtok_r(NULL, "\n", &save)) {
		char *at;

		line[strcspn(line, "#")] = '\0';
		at = strstr(line, OPTION);
		if (at == NULL)
			continue;
		at += strlen(OPTION);
		at += strspn(at, " \t");
		if (*at++ == '=')
			snprintf(value, size, "%.*s", (int)strcspn(at, "}"), at);
	}
}

/* Files are read as strongSwan reads them: of several the last one counts. */
static void
find_option(const struct doctor *d, char *value, size_t size)
{
	char pattern[512];
	glob_t g;

	read_option(d, "/etc/strongswan.conf", value, size);
	snprintf(pattern, sizeof(pattern), "%s/etc/strongswan.d/*.conf", d->root);
	if (glob(pattern, 0, NULL, &g) != 0)
		return;
	for (size_t i = 0; i < g.gl_pathc; i++)
		read_option(d, g.gl_pathv[i] + strlen(d->root), value, size);
	globfree(&g);
}

/* The name of the port whose member has that value; NULL: no port has. */
static const char *
port_with(const json_t *ports, const char *member, const char *value)
{
	const json_t *p;
	size_t i;

	json_array_foreach (ports, i, p) {
		const char *is = json_string_value(json_object_get(p, member));

		if (is != NULL && strcmp(is, value) == 0)
			return list_str(p, "name");
	}
	return NULL;
}

void
doctor_interfaces(struct doctor *d, const json_t *ports)
{
	char value[512] = "", names[512], *save = NULL;
	const char *above = NULL, *below = NULL;
	unsigned int known = 0;

	find_option(d, value, sizeof(value));
	snprintf(names, sizeof(names), "%s", value);
	for (char *name = strtok_r(names, SEPARATORS, &save); name != NULL;
		name = strtok_r(NULL, SEPARATORS, &save)) {
		known += port_with(ports, "name", name) != NULL;
		if (above == NULL && (above = port_with(ports, "netdev", name)) != NULL)
			below = name;
	}
	if (value[strspn(value, SEPARATORS)] == '\0') {
		if (json_array_size(ports) > 1)
			doctor_say(d, "interfaces", DOCTOR_NOTE,
				"name the ports that peers may reach in "
				"/etc/strongswan.d/charon.conf, as in interfaces_use = wan, and "
				"restart charon",
				"charon listens at all ports, and with MOBIKE offers their "
				"addresses to peers as other ways to it");
	} else if (known == 0 && above != NULL) {
		doctor_say(d, "interfaces", DOCTOR_WRONG,
			"name the port in its place, and restart charon",
			"charon's interfaces_use has %s, which is the interface under the port %s: "
			"it takes no IKE from ports",
			below, above);
	} else {
		doctor_say(d, "interfaces", known > 0 ? DOCTOR_OK : DOCTOR_NOTE,
			known > 0 ? NULL : "name the ports that peers may reach",
			"charon's interfaces_use has %u of the ports", known);
	}
}
