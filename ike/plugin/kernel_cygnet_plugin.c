/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel_cygnet_plugin.h"

#include "failure_log.h"
#include "kernel_cygnet_ipsec.h"
#include "running_version.h"

#include <signal.h>
#include <unistd.h>

#include <daemon.h>
#include <processing/jobs/callback_job.h>
#include <utils/debug.h>

METHOD(plugin_t, get_name, char *, kernel_cygnet_plugin_t *this)
{
	return "kernel-cygnet";
}

/* The plugin that provides the kernel-ipsec backend already. */
static void
log_winner(void)
{
	enumerator_t *plugins, *features;
	plugin_feature_t *feature;
	linked_list_t *list;
	plugin_t *plugin;

	plugins = lib->plugins->create_plugin_enumerator(lib->plugins);
	while (plugins->enumerate(plugins, &plugin, &list)) {
		features = list->create_enumerator(list);
		while (features->enumerate(features, &feature))
			if (feature->kind == FEATURE_PROVIDE && feature->type == FEATURE_CUSTOM &&
				streq(feature->arg.custom, "kernel-ipsec"))
				DBG1(DBG_KNL, "cygnet: %s is the kernel-ipsec backend already",
					plugin->get_name(plugin));
		features->destroy(features);
		list->destroy(list);
	}
	plugins->destroy(plugins);
}

/*
 * Ends charon in the orderly way. Not at once: plugins are loaded before charon handles signals, so it is
 * done by one of its threads, which it starts when it is ready.
 */
static job_requeue_t
end_charon(void *data)
{
	kill(getpid(), SIGTERM);
	return JOB_REQUEUE_NONE;
}

static failure_log_t *failures; /* as long as the backend is registered */

/* The first backend that registers wins. With another one SAs would go to the Linux kernel, silently. */
static bool
register_backend(plugin_t *plugin, plugin_feature_t *feature, bool reg, void *data)
{
	if (!kernel_ipsec_register(
		    plugin, feature, reg, (kernel_ipsec_constructor_t)kernel_cygnet_ipsec_create)) {
		if (reg) {
			log_winner();
			DBG1(DBG_KNL,
				"cygnet: load kernel-cygnet before the others, or not at all: "
				"charon ends");
			lib->processor->queue_job(
				lib->processor, (job_t *)callback_job_create_with_prio(end_charon,
							NULL, NULL, NULL, JOB_PRIO_CRITICAL));
		}
		return FALSE;
	}
	if (reg) {
		DBG1(DBG_KNL,
			"cygnet: kernel-cygnet " CYGNET_VERSION " is the kernel-ipsec backend");
		failures = failure_log_create();
	} else {
		failure_log_destroy(failures);
		failures = NULL;
	}
	return TRUE;
}

METHOD(plugin_t, get_features, int, kernel_cygnet_plugin_t *this, plugin_feature_t *features[])
{
	static plugin_feature_t f[] = {
		PLUGIN_CALLBACK(register_backend, NULL),
		PLUGIN_PROVIDE(CUSTOM, "kernel-ipsec"),
	};
	*features = f;
	return countof(f);
}

METHOD(plugin_t, destroy, void, kernel_cygnet_plugin_t *this)
{
	free(this);
}

#ifdef PLUGIN_DEFINE
PLUGIN_DEFINE(kernel_cygnet)
#else
plugin_t *kernel_cygnet_plugin_create(void);

plugin_t *
kernel_cygnet_plugin_create(void)
#endif
{
	kernel_cygnet_plugin_t *this;
	char running[64];

	/* Structures differ between versions: nothing of the daemon's is touched before this. */
	if (!running_version(VERSION, running, sizeof(running))) {
		DBG1(DBG_KNL,
			"cygnet: this plugin is for strongSwan " VERSION ", the daemon is %s: "
			"refused",
			running);
		return NULL;
	}
	INIT(this,
		.plugin = {
			.get_name = _get_name,
			.get_features = _get_features,
			.destroy = _destroy,
		}, );
	return &this->plugin;
}
