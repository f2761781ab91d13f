/* SPDX-License-Identifier: BSD-3-Clause */
#include "units.h"

#include <stdio.h>

const char *
units_count(char *buf, double v, bool human)
{
	static const char units[] = {'k', 'M', 'G', 'T', 'P', 'E'};
	int unit = -1;

	if (!human || v < 10000) {
		snprintf(buf, UNITS_MAX, "%.0f", v);
		return buf;
	}
	/* 999.5 would be printed as 1000: the next unit. */
	while (v >= 999.5 && unit < (int)sizeof(units) - 1) {
		v /= 1000;
		unit++;
	}
	snprintf(buf, UNITS_MAX,
		v < 9.995   ? "%.2f%c"
		: v < 99.95 ? "%.1f%c"
			    : "%.0f%c",
		v, units[unit]);
	return buf;
}

const char *
units_age(char *buf, const json_t *seconds, bool human)
{
	json_int_t v = json_integer_value(seconds);
	unsigned long long s = v > 0 ? (unsigned long long)v : 0;

	if (!json_is_integer(seconds))
		snprintf(buf, UNITS_MAX, "-");
	else if (!human)
		snprintf(buf, UNITS_MAX, "%" JSON_INTEGER_FORMAT, v);
	else if (s < 60)
		snprintf(buf, UNITS_MAX, "%llus", s);
	else if (s < 3600)
		snprintf(buf, UNITS_MAX, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, UNITS_MAX, "%lluh%02llum", s / 3600, s / 60 % 60);
	else
		snprintf(buf, UNITS_MAX, "%llud%02lluh", s / 86400, s / 3600 % 24);
	return buf;
}

const char *
units_left(char *buf, const json_t *seconds, bool human)
{
	if (!human || json_integer_value(seconds) >= 0)
		return units_age(buf, seconds, human);
	snprintf(buf, UNITS_MAX, "overdue");
	return buf;
}

const char *
units_member(char *buf, const json_t *o, const char *key, bool human)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_integer(v))
		snprintf(buf, UNITS_MAX, "-");
	else if (human)
		units_count(buf, (double)json_integer_value(v), true);
	else
		snprintf(buf, UNITS_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	return buf;
}
