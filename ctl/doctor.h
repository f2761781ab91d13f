/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_DOCTOR_H
#define CYGNETCTL_DOCTOR_H

#include "list.h"

/*
 * cygnetctl doctor: looks at the machine and at the router and says in plain words what is wrong and what to do.
 * Each thing that is looked at gives a finding or several.
 */

enum finding { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_WRONG };

struct doctor {
	const char *root; /* before /proc, /sys and /etc: "" but in tests */
	json_t *findings; /* of {"check", "state", "what", "do"} */
	unsigned int wrong;
};

/* One finding; advice NULL: there is nothing to do. */
__attribute__((format(printf, 5, 6))) void doctor_say(struct doctor *d, const char *check,
	enum finding finding, const char *advice, const char *fmt, ...);

/* doctor_machine.c: huge pages and their mounts, AppArmor, the clock. */
void doctor_machine(struct doctor *d);
/* charon's side as its files and processes show it; prefix: of the router, NULL: not known. */
void doctor_charon(struct doctor *d, const char *prefix);

/* doctor_strongswan.c: whether plugin and charon are of one strongSwan. */
void doctor_strongswan(struct doctor *d);

/* doctor_interfaces.c: whether charon takes IKE from ports, and from which; the answer to "port". */
void doctor_interfaces(struct doctor *d, const json_t *ports);

/* doctor_router.c: what the router says of itself; the answers to "status", "lcores" and "port"; pid: the router's. */
void doctor_status(struct doctor *d, const json_t *status);
void doctor_lcores(struct doctor *d, const json_t *lcores);
void doctor_ports(struct doctor *d, const json_t *ports, json_int_t pid);

/* A file below the root, up to size - 1 bytes of it; false: it cannot be read. */
bool doctor_read(const struct doctor *d, const char *path, char *text, size_t size);

/* The findings so far, as text or as JSON. */
void doctor_print(const struct doctor *d, const struct view *view);

#endif
