/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "options.h"

#include <daemon.h>
#include <utils/debug.h>

#define RETRY_MS 30000

static int
within(const char *name, int value, int min, int max)
{
	if (value >= min && value <= max)
		return value;
	DBG1(DBG_KNL, "cygnet: option %s: %d is not from %d to %d", name, value, min, max);
	return value < min ? min : max;
}

/* An option of the plugin's own; conf/kernel-cygnet.opt has them all. */
#define OPTION_STR(name, value) \
	lib->settings->get_str(lib->settings, "%s.plugins.kernel-cygnet." name, value, lib->ns)
#define OPTION_INT(name, value) \
	lib->settings->get_int(lib->settings, "%s.plugins.kernel-cygnet." name, value, lib->ns)

void
options_link(struct link_conf *conf)
{
	conf->agent = OPTION_STR("agent", CYGNET_AGENT);
	conf->agent_socket = OPTION_STR("agent_socket", NULL);
	conf->file_prefix = OPTION_STR("file_prefix", "cygnet");
	conf->timeout_ms = within("timeout", OPTION_INT("timeout", 1000), 100, 60000);
	conf->complete_ms =
		1000 * within("complete_delay", OPTION_INT("complete_delay", 10), 0, 3600);
	conf->retry_ms = RETRY_MS;
	conf->spi_min =
		lib->settings->get_int(lib->settings, "%s.spi_min", KERNEL_SPI_MIN, lib->ns);
	conf->spi_max =
		lib->settings->get_int(lib->settings, "%s.spi_max", KERNEL_SPI_MAX, lib->ns);
}

int
options_log_level(void)
{
	return within("log_level", OPTION_INT("log_level", 1), 0, 2);
}

bool
options_install_routes(void)
{
	return lib->settings->get_bool(lib->settings, "%s.install_routes", TRUE, lib->ns);
}
