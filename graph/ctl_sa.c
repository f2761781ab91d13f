/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"
#include "sad_lookup.h"
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>

#include <rte_byteorder.h>
#include <rte_common.h>

static const char *const states[] = {
	[SA_FREE] = "free",
	[SA_LARVAL] = "larval",
	[SA_LIVE] = "live",
	[SA_DYING] = "dying",
};

/* What is left of a limit; null when there is none. */
static json_t *
left(uint64_t limit, uint64_t used)
{
	if (limit == 0)
		return json_null();
	return json_integer(limit > used ? ctl_int(limit - used) : 0);
}

static json_t *
lifetimes(const struct sa_lifetime *life, uint64_t age, const struct sa_usage *use)
{
	return json_pack("{s{so so so} s{so so so}}", "soft", "seconds", left(life->time_soft, age),
		"bytes", left(life->bytes_soft, use->bytes), "packets",
		left(life->packets_soft, use->packets), "hard", "seconds",
		left(life->time_hard, age), "bytes", left(life->bytes_hard, use->bytes), "packets",
		left(life->packets_hard, use->packets));
}

static json_t *
flags(uint32_t f)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{IKE_SA_ESN, "esn"},
		{IKE_SA_COPY_DF, "copy-df"},
		{IKE_SA_NO_COPY_ECN, "no-copy-ecn"},
		{IKE_SA_COPY_DSCP_OUT, "copy-dscp-out"},
		{IKE_SA_COPY_DSCP_IN, "copy-dscp-in"},
		{SA_CONF_INSECURE_TEST, "insecure-test"},
		{IKE_SA_SET_DF, "set-df"},
		{IKE_SA_COPY_LABEL, "copy-flow-label"},
	};
	json_t *v = json_array();

	for (unsigned int i = 0; i < RTE_DIM(names); i++)
		if (f & names[i].flag)
			json_array_append_new(v, json_string(names[i].name));
	return v;
}

static json_t *
encapsulation(const struct sa_conf *conf)
{
	if ((conf->flags & IKE_SA_ENCAP) == 0)
		return json_null();
	return json_pack("{ss si si}", "type", "udp", "source_port",
		rte_be_to_cpu_16(conf->src_port), "destination_port",
		rte_be_to_cpu_16(conf->dst_port));
}

/* The reasons that happened, by name. */
static json_t *
errors(const struct sa_usage *use, uint64_t *sum)
{
	json_t *o = json_object();

	*sum = 0;
	for (unsigned int i = 0; i < SA_ERR_MAX; i++) {
		*sum += use->errors[i];
		if (use->errors[i] != 0)
			json_object_set_new(
				o, sa_error_names[i], json_integer(ctl_int(use->errors[i])));
	}
	return o;
}

/* Seconds for which an ICMP error about its path is still believed. */
static json_t *
path_mtu_left(const struct sa_cold *cold)
{
	uint64_t now = ctl_now();

	return cold->path_mtu != 0 && now < cold->path_mtu_until
		       ? json_integer((cold->path_mtu_until - now) / 1000000000)
		       : json_null();
}

/* What only an SA with keys has. */
static int
add_live(json_t *row, const struct sa *sa, const struct sa_cold *cold)
{
	const struct sa_conf *conf = &cold->conf;
	uint64_t sqn = atomic_load_explicit(&sa->sqn, memory_order_relaxed);
	uint16_t worker = atomic_load_explicit(&sa->worker, memory_order_relaxed);
	uint16_t mtu = atomic_load_explicit(&sa->mtu, memory_order_relaxed);
	const struct sa_template *t = &sa->template[atomic_load(&sa->active)];
	uint16_t fits = 0;
	json_t *more;

	if (mtu != 0 && conf->mode == SA_MODE_TUNNEL && conf->proto == IPPROTO_ESP)
		fits = sa_room(sa, t, mtu, 0);
	if (conf->dir == SA_DIR_IN)
		sqn = sa->replay != NULL ? *(volatile uint64_t *)&sa->replay->top : 0;
	more = json_pack("{so so so so sI so so so so so so sI}", "encryption",
		ctl_encryption(conf->enc_alg, conf->enc_key_len), "integrity",
		ctl_integrity(conf->int_alg), "encapsulation", encapsulation(conf), "flags",
		flags(conf->flags), "sequence", ctl_int(sqn), "sequence_left",
		conf->dir == SA_DIR_OUT ? left(sa_last_number(sa), sqn) : json_null(), "worker",
		conf->dir == SA_DIR_IN && worker != SA_NO_WORKER ? json_integer(worker)
								 : json_null(),
		"mtu", fits == 0 ? json_null() : json_integer(fits), "path_mtu",
		mtu == 0 ? json_null() : json_integer(mtu), "path_mtu_left", path_mtu_left(cold),
		"mark", ctl_mark(conf->mark, conf->mark_mask), "if_id", (json_int_t)conf->if_id);
	return json_object_update_new(row, more);
}

static json_t *
key_text(const uint8_t *key, unsigned int len)
{
	char text[2 + 2 * IKE_KEY_MAX + 1] = "0x";
	json_t *v;

	for (unsigned int i = 0; i < len; i++)
		snprintf(text + 2 + 2 * i, 3, "%02x", key[i]);
	v = len > 0 ? json_string(text) : json_null();
	explicit_bzero(text, sizeof(text));
	return v;
}

/* Only for who asks for them, and where the configuration keeps them. */
static void
add_keys(json_t *row, const struct sad *sad, uint32_t slot)
{
	const struct sa_conf *conf = &sad_cold(sad, slot)->conf;
	const uint8_t *key = sad_key(sad, slot);

	if (key == NULL)
		return;
	json_object_set_new(row, "encryption_key", key_text(key, conf->enc_key_len));
	json_object_set_new(
		row, "integrity_key", key_text(key + conf->enc_key_len, conf->int_key_len));
}

static json_t *
sa_row(const struct ctl *ctl, const struct ctl_owners *owners, uint32_t slot)
{
	const struct sa_cold *cold = sad_cold(ctl->r->sad, slot);
	const struct sa_conf *conf = &cold->conf;
	uint64_t age = (ctl_now() - cold->added) / 1000000000, n_errors;
	struct sa_usage use;
	json_t *row, *why;

	sad_usage(ctl->r->sad, slot, &use);
	why = errors(&use, &n_errors);
	row = json_pack("{sI ss so so so so ss sI ss so ss sI sI sI so so sI so sI}", "slot",
		(json_int_t)slot, "direction", conf->dir == SA_DIR_OUT ? "out" : "in", "spi",
		ctl_hex32(rte_be_to_cpu_32(conf->spi)), "source", ctl_addr(&conf->src),
		"destination", ctl_addr(&conf->dst), "protocol", ctl_protocol(conf->proto), "mode",
		conf->mode == SA_MODE_TRANSPORT ? "transport" : "tunnel", "reqid",
		(json_int_t)conf->reqid, "state", states[cold->state], "owner",
		ctl_hex64(conf->owner), "owner_state", ctl_owner_state(owners, conf->owner),
		"packets", ctl_int(use.packets), "bytes", ctl_int(use.bytes), "errors",
		ctl_int(n_errors), "errors_by_reason", why, "last_use_age", ctl_age(use.last_use),
		"age", ctl_int(age), "left", lifetimes(&conf->life, age, &use), "window",
		(json_int_t)conf->replay_window);
	if (row != NULL && cold->state != SA_LARVAL &&
		add_live(row, sad_hot(ctl->r->sad, slot), cold) != 0) {
		json_decref(row);
		return NULL;
	}
	return row;
}

/* An SPI as a number or as text: decimal, or hexadecimal with 0x. */
static int
parse_spi(const json_t *v, uint32_t *spi)
{
	const char *s = json_string_value(v);
	unsigned long long n;
	char *end;

	if (json_is_integer(v)) {
		if (json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
			return -EINVAL;
		*spi = json_integer_value(v);
		return 0;
	}
	if (s == NULL || s[0] < '0' || s[0] > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(s, &end, strncmp(s, "0x", 2) == 0 ? 16 : 10);
	if (*end != '\0' || errno != 0 || n > UINT32_MAX)
		return -EINVAL;
	*spi = n;
	return 0;
}

int
ctl_sa(struct ctl *ctl, json_t *args, struct ctl_reply *reply)
{
	const struct sad *sad = ctl->r->sad;
	const json_t *spi_arg = json_object_get(args, "spi");
	bool one_spi = spi_arg != NULL, keys = json_is_true(json_object_get(args, "keys"));
	uint32_t slot, spi = 0, scanned = 0, n = sad_slots(sad);
	struct ctl_owners owners;
	const char *cursor;
	int rc;

	if (one_spi) {
		if (parse_spi(spi_arg, &spi) != 0)
			return ctl_fail(reply, -EINVAL, "that is not an SPI");
		json_object_del(args, "spi");
	}
	if (keys && !sad_keeps_keys(sad))
		return ctl_fail(reply, -EPERM,
			"the keys of SAs are not kept: ipsec: {keep-keys: insecure} in router.yaml "
			"keeps them from a restart on");
	if (keys && ctl->peer != 0)
		return ctl_fail(reply, -EPERM, "only root may see keys");
	json_object_del(args, "keys");
	rc = ctl_cursor_arg(args, reply, &cursor);
	if (rc == 0)
		rc = ctl_cursor_index(cursor, n, &slot, reply);
	if (rc < 0)
		return rc;
	ctl_owners_read(ctl, &owners);
	reply->data = json_array();
	for (; slot < n; slot++, scanned++) {
		const struct sa_cold *cold = sad_cold(sad, slot);

		if (json_array_size(reply->data) == CTL_PAGE_ROWS || scanned == CTL_PAGE_SCAN) {
			snprintf(reply->next, sizeof(reply->next), "%u", slot);
			break;
		}
		if (cold->state == SA_FREE || (one_spi && rte_be_to_cpu_32(cold->conf.spi) != spi))
			continue;
		if (json_array_append_new(reply->data, sa_row(ctl, &owners, slot)) != 0)
			return -ENOMEM;
		if (keys)
			add_keys(json_array_get(reply->data, json_array_size(reply->data) - 1), sad,
				slot);
	}
	return 0;
}
