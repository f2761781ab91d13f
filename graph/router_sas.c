/* SPDX-License-Identifier: BSD-3-Clause */
#include "router_sas.h"

#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>

static int
identify(const struct config_sa *cs, struct sqn_id *id)
{
	return sqn_id_make(id, rte_be_to_cpu_32(cs->conf.spi), cs->conf.enc_alg, cs->key,
		cs->conf.enc_key_len + cs->conf.int_key_len);
}

int
router_sa_digest(struct config_sa *cs)
{
	struct sqn_id id;
	int rc = identify(cs, &id);

	if (rc == 0)
		memcpy(cs->digest, id.digest, sizeof(cs->digest));
	return rc;
}

int
router_create_state(const struct config *config)
{
	struct sqn_id id;
	int rc;

	for (unsigned int i = 0; i < config->n_sas; i++) {
		const struct config_sa *cs = &config->sas[i];

		if (cs->state_file == NULL)
			continue;
		rc = identify(cs, &id);
		if (rc == 0)
			rc = sqn_file_create(cs->state_file, &id);
		if (rc < 0 && rc != -EEXIST) {
			fprintf(stderr, "cygnet: %s: %s\n", cs->state_file, strerror(-rc));
			return rc;
		}
		printf("%s: %s\n", cs->state_file,
			rc == 0 ? "created" : "is there, and left as it is");
	}
	return 0;
}

int
router_open_state(const struct router *r, const struct config_sa *cs, struct sqn_entry **numbers)
{
	char why[128] = "out of memory";
	struct sqn_id id;
	int rc;

	*numbers = NULL;
	if (cs->state_file == NULL)
		return 0;
	rc = identify(cs, &id);
	if (rc == 0)
		rc = sqn_store_open(cs->state_file, &id, sad_last_number(cs->conf.flags), numbers,
			why, sizeof(why));
	if (rc < 0)
		LOG(ERR, "%s: SA %s: state file %s %s", r->config->path, cs->name, cs->state_file,
			why);
	return rc;
}

/* Which numbers the SA may give; returns an index for sqn_store_attach(). */
static int
add_numbers(struct router *r, struct config_sa *cs, struct sqn_entry *numbers)
{
	int rc = sqn_store_add(r->sqn_store, numbers, &cs->conf.sqn_from, &cs->conf.sqn_reserved);

	if (rc < 0)
		LOG(ERR, "%s: SA %s: state file %s: %s", r->config->path, cs->name, cs->state_file,
			strerror(-rc));
	return rc;
}

int
router_add_static_sa(struct router *r, struct config_sa *cs, struct sqn_entry *numbers)
{
	int rc, index = -1;
	const char *why;
	uint32_t slot;

	if (router_sa_digest(cs) < 0) {
		sqn_store_close(numbers);
		return -ENOMEM;
	}
	if (numbers != NULL) {
		index = add_numbers(r, cs, numbers);
		if (index < 0)
			return index;
	}
	rc = sad_add(r->sad, &cs->conf, cs->key, false, &slot, &why);
	if (rc < 0) {
		LOG(ERR, "%s: SA %s: %s (%s)", r->config->path, cs->name, why, strerror(-rc));
		if (index >= 0)
			sqn_store_cancel(r->sqn_store, index);
		return rc;
	}
	if (index >= 0)
		sqn_store_attach(r->sqn_store, index, slot);
	else if (cs->insecure_test)
		LOG(WARNING,
			"SA %s is for tests (insecure-test): its nonces repeat after a restart",
			cs->name);
	return 0;
}

int
router_add_static_sas(struct router *r)
{
	int rc = 0;

	for (unsigned int i = 0; rc == 0 && i < r->config->n_sas; i++) {
		struct sqn_entry *numbers;

		rc = router_open_state(r, &r->config->sas[i], &numbers);
		if (rc == 0)
			rc = router_add_static_sa(r, &r->config->sas[i], numbers);
		explicit_bzero(r->config->sas[i].key, sizeof(r->config->sas[i].key));
	}
	return rc;
}

int
router_add_static_policies(struct router *r)
{
	for (unsigned int i = 0; i < r->config->n_policies; i++) {
		const struct spd_policy_conf *p = &r->config->policies[i];
		int rc = spd_add(r->spd, p, NULL);

		if (rc < 0) {
			LOG(ERR, "%s: policies[%u]: %s", r->config->path, i, spd_strerror(rc));
			return rc;
		}
	}
	router_bind_policies(r, r->config);
	if (r->config->static_only)
		spd_set_complete(r->spd, true);
	return 0;
}

void
router_bind_policies(struct router *r, const struct config *config)
{
	for (unsigned int i = 0; i < config->n_policies; i++) {
		struct spd_policy *p = spd_find(r->spd, &config->policies[i]);

		if (p != NULL)
			spd_bind_newest(r->spd, r->sad, p, SPD_NO_SA);
	}
}
