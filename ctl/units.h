/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNETCTL_UNITS_H
#define CYGNETCTL_UNITS_H

#include <stdbool.h>

#include <jansson.h>

#define UNITS_MAX 32

/* Each writes to buf (UNITS_MAX bytes) and returns it; "-" for what is not there. */

/* 1234567 as it is, or "1.23M". */
const char *units_count(char *buf, double v, bool human);
/* Seconds as "42s", "3m12s", "2h05m", "4d03h", less than none as "0s"; when not human the bare number. */
const char *units_age(char *buf, const json_t *seconds, bool human);
/* The same until something is due: "overdue". */
const char *units_left(char *buf, const json_t *seconds, bool human);
/* An integer member of an object as a count. */
const char *units_member(char *buf, const json_t *o, const char *key, bool human);

#endif
