/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"

#include "algorithm.h"
#include "transform.h"
#include "wire.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SPI_MIN 256 /* RFC 4303, 2.1: 1..255 are reserved, 0 never travels */

/* Known by name, and the data plane has it. */
static bool
has_encryption(const char *name, struct algorithm *found)
{
	return algorithm_encryption(name, found) && transform_encr(found->id) != NULL;
}

static bool
has_integrity(const char *name, struct algorithm *found)
{
	return algorithm_integrity(name, found) &&
	       (found->id == AUTH_NONE || transform_integ(found->id) != NULL);
}

static uint8_t
digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* Never says a word of what the key is. */
static int
read_key(struct config_load *l, const struct config_where *w, const char *yaml_key,
	const char *value, const char *algorithm, size_t want, uint8_t *key)
{
	const char *digits;
	size_t len;

	if (want == 0)
		return value == NULL ? 0
				     : config_fail(l, w, yaml_key, "%s takes no key", algorithm);
	if (value == NULL)
		return config_fail(
			l, w, yaml_key, "is missing: %s wants %zu bytes", algorithm, want);
	digits = config_secret(l, value, &len);
	if (digits == NULL)
		return config_fail(l, w, yaml_key,
			"is not hexadecimal digits (%zu for %s) on the line of its key", want * 2,
			algorithm);
	if (len != want * 2)
		return config_fail(l, w, yaml_key,
			"has %zu hexadecimal digits, and %s wants %zu (%zu bytes, salt included)",
			len, algorithm, want * 2, want);
	for (size_t i = 0; i < want; i++)
		key[i] = digit(digits[2 * i]) << 4 | digit(digits[2 * i + 1]);
	return 0;
}

static int
read_transforms(struct config_load *l, const struct config_where *w, const struct raw_sa *raw,
	struct config_sa *sa)
{
	const char *encryption = raw->encryption, *integrity = raw->integrity;
	struct algorithm enc = {.name = ""}, auth = {.name = "none", .id = AUTH_NONE};
	struct sa_conf *conf = &sa->conf;
	int ret;

	if (conf->proto == IPPROTO_AH && encryption != NULL)
		return config_fail(l, w, "encryption", "AH encrypts nothing");
	if (conf->proto == IPPROTO_ESP && encryption == NULL)
		return config_fail(l, w, "encryption", "is missing (null: integrity alone)");
	if (encryption != NULL && !has_encryption(encryption, &enc))
		return config_fail(l, w, "encryption", "unknown algorithm '%s'", encryption);
	if (integrity != NULL && !has_integrity(integrity, &auth))
		return config_fail(l, w, "integrity", "unknown algorithm '%s'", integrity);
	if (integrity == NULL)
		integrity = "none";
	if (encryption == NULL)
		encryption = "AH";
	if (enc.aead && auth.id != AUTH_NONE)
		return config_fail(l, w, "integrity",
			"%s protects integrity itself: none is all that may stand here",
			encryption);
	if (!enc.aead && auth.id == AUTH_NONE)
		return config_fail(
			l, w, "integrity", "%s without integrity is refused", encryption);
	ret = config_bool(l, w, "insecure-test", raw->insecure_test, false, &sa->insecure_test);
	if (ret < 0)
		return ret;
	if (sa->insecure_test)
		conf->flags |= SA_CONF_INSECURE_TEST;
	sa->counter = enc.counter;
	if (enc.counter && conf->dir == SA_DIR_OUT && !sa->insecure_test && sa->state_file == NULL)
		return config_fail(l, w, "encryption",
			"%s with a static key repeats its nonces after a restart: name a "
			"state-file, or take a CBC cipher with integrity (or insecure-test: true, "
			"in a laboratory)",
			encryption);
	conf->enc_alg = enc.id;
	conf->enc_key_len = enc.key_len;
	conf->int_alg = auth.id;
	conf->int_key_len = auth.key_len;
	ret = read_key(l, w, "key", raw->key, encryption, enc.key_len, sa->key);
	if (ret == 0)
		ret = read_key(l, w, "integrity-key", raw->integrity_key, integrity, auth.key_len,
			sa->key + enc.key_len);
	return ret;
}

static int
read_end_points(struct config_load *l, const struct config_where *w, const struct raw_sa *raw,
	struct sa_conf *conf)
{
	const struct raw_encap *encap = raw->encapsulation;
	unsigned int src_port, dst_port;
	int ret;

	if (addr_parse(raw->source, &conf->src) < 0)
		return config_fail(l, w, "source", "'%s' is not an address", raw->source);
	if (addr_parse(raw->destination, &conf->dst) < 0)
		return config_fail(l, w, "destination", "'%s' is not an address", raw->destination);
	if (conf->src.family != conf->dst.family)
		return config_fail(l, w, "destination", "source and destination differ in family");
	if (addr_equal(&conf->src, &conf->dst))
		return config_fail(l, w, "destination", "is the source as well");
	if (encap == NULL)
		return 0;
	if (conf->proto != IPPROTO_ESP)
		return config_fail(l, w, "encapsulation", "is for ESP alone (RFC 3948)");
	ret = config_uint(
		l, w, "encapsulation.source-port", encap->source_port, 4500, 1, 65535, &src_port);
	if (ret == 0)
		ret = config_uint(l, w, "encapsulation.destination-port", encap->destination_port,
			4500, 1, 65535, &dst_port);
	if (ret < 0)
		return ret;
	conf->flags |= IKE_SA_ENCAP;
	conf->src_port = htons(src_port);
	conf->dst_port = htons(dst_port);
	return 0;
}

static int
read_lifetime(struct config_load *l, const struct config_where *w, const struct raw_lifetime *raw,
	struct sa_lifetime *life)
{
	const struct {
		const char *soft_key, *soft_value, *hard_key, *hard_value;
		uint64_t *soft, *hard;
	} v[] = {
		{"lifetime.time-soft", raw->time_soft, "lifetime.time-hard", raw->time_hard,
			&life->time_soft, &life->time_hard},
		{"lifetime.bytes-soft", raw->bytes_soft, "lifetime.bytes-hard", raw->bytes_hard,
			&life->bytes_soft, &life->bytes_hard},
		{"lifetime.packets-soft", raw->packets_soft, "lifetime.packets-hard",
			raw->packets_hard, &life->packets_soft, &life->packets_hard},
	};
	int ret = 0;

	for (unsigned int i = 0; ret == 0 && i < RTE_DIM(v); i++) {
		ret = config_number(l, w, v[i].soft_key, v[i].soft_value, v[i].soft);
		if (ret == 0)
			ret = config_number(l, w, v[i].hard_key, v[i].hard_value, v[i].hard);
		if (ret == 0 && *v[i].soft != 0 && *v[i].hard != 0 && *v[i].soft > *v[i].hard)
			ret = config_fail(l, w, v[i].soft_key,
				"value %" PRIu64 " is above the hard one (%" PRIu64 ")", *v[i].soft,
				*v[i].hard);
	}
	return ret;
}

/* A number, or "copy": then *copy is set. */
static int
read_copied(struct config_load *l, const struct config_where *w, const char *key, const char *value,
	unsigned int max, bool *copy, unsigned int *number)
{
	*copy = value != NULL && strcmp(value, "copy") == 0;
	return *copy ? 0 : config_uint(l, w, key, value, 0, 0, max, number);
}

/* What the headers of a tunnel take from each other, RFC 4301, 5.1.2. */
static int
read_headers(struct config_load *l, const struct config_where *w, const struct raw_sa *raw,
	struct sa_conf *conf)
{
	static const char *const dfs[] = {"copy", "set", "clear", NULL};
	static const uint32_t df_flags[] = {IKE_SA_COPY_DF, IKE_SA_SET_DF, 0};
	const struct {
		const char *key, *value;
	} out_alone[] = {{"df", raw->df}, {"flow-label", raw->flow_label}, {"ttl", raw->ttl}};
	bool out = conf->dir == SA_DIR_OUT, ecn, copy_dscp = false, copy_label = false;
	unsigned int df, dscp = 0, label = 0, ttl;
	int ret = 0;

	for (unsigned int i = 0; i < RTE_DIM(out_alone); i++)
		if (!out && out_alone[i].value != NULL)
			return config_fail(l, w, out_alone[i].key, "is for outbound SAs alone");
	if (!out && raw->dscp != NULL && strcmp(raw->dscp, "copy") != 0)
		return config_fail(l, w, "dscp", "of an inbound SA can only be 'copy'");
	ret = config_choice(l, w, "df", raw->df, dfs, 0, &df);
	if (ret == 0)
		ret = read_copied(l, w, "dscp", raw->dscp == NULL && out ? "copy" : raw->dscp, 63,
			&copy_dscp, &dscp);
	if (ret == 0)
		ret = config_bool(l, w, "ecn", raw->ecn, true, &ecn);
	if (ret == 0)
		ret = read_copied(
			l, w, "flow-label", raw->flow_label, 0xfffff, &copy_label, &label);
	if (ret == 0)
		ret = config_uint(l, w, "ttl", raw->ttl, 64, 1, 255, &ttl);
	if (ret < 0)
		return ret;
	conf->flags |= df_flags[df] | (ecn ? 0 : IKE_SA_NO_COPY_ECN) |
		       (copy_label ? IKE_SA_COPY_LABEL : 0);
	if (copy_dscp)
		conf->flags |= out ? IKE_SA_COPY_DSCP_OUT : IKE_SA_COPY_DSCP_IN;
	conf->dscp = dscp;
	conf->label = label;
	conf->ttl = ttl;
	return 0;
}

static int
read_sa(struct config_load *l, const struct config_where *w, struct raw_sa *raw,
	struct config_sa *sa)
{
	static const char *const directions[] = {"in", "out", NULL};
	static const char *const protocols[] = {"esp", "ah", NULL};
	static const char *const modes[] = {"transport", "tunnel", NULL};
	struct sa_conf *conf = &sa->conf;
	unsigned int dir, proto, mode, spi, fragment;
	bool esn;
	int ret;

	sa->name = config_take(&raw->name);
	sa->state_file = config_take(&raw->state_file);
	if (sa->name[0] == '\0')
		return config_fail(l, w, "name", "is empty");
	ret = config_choice(l, w, "direction", raw->direction, directions, 0, &dir);
	if (ret == 0)
		ret = config_choice(l, w, "protocol", raw->protocol, protocols, 0, &proto);
	if (ret == 0)
		ret = config_choice(l, w, "mode", raw->mode, modes, 1, &mode);
	if (ret == 0)
		ret = config_uint(l, w, "spi", raw->spi, 0, SPI_MIN, UINT32_MAX, &spi);
	if (ret == 0)
		ret = config_uint(l, w, "reqid", raw->reqid, 0, 1, UINT32_MAX, &conf->reqid);
	if (ret == 0)
		ret = config_uint(l, w, "replay-window", raw->replay_window, 128, 0,
			SA_REPLAY_WINDOW_MAX, &conf->replay_window);
	if (ret == 0)
		ret = config_bool(l, w, "esn", raw->esn, false, &esn);
	if (ret < 0)
		return ret;
	conf->dir = dir == 0 ? SA_DIR_IN : SA_DIR_OUT;
	conf->proto = proto == 0 ? IPPROTO_ESP : IPPROTO_AH;
	conf->mode = mode == 0 ? SA_MODE_TRANSPORT : SA_MODE_TUNNEL;
	conf->spi = htonl(spi);
	conf->flags = esn ? IKE_SA_ESN : 0;
	if (sa->state_file != NULL && conf->dir == SA_DIR_IN)
		return config_fail(l, w, "state-file",
			"is for the direction out: the peer gives the numbers of what comes in");
	if (sa->state_file != NULL && sa->state_file[0] != '/')
		return config_fail(
			l, w, "state-file", "'%s' is not an absolute path", sa->state_file);
	if (esn && conf->replay_window == 0)
		return config_fail(l, w, "esn",
			"needs a replay window: the high half of the number is guessed by it (RFC "
			"4303, A2)");
	ret = config_choice(l, w, "fragment", raw->fragment, config_fragment_names,
		l->config->fragment, &fragment);
	conf->fragment = fragment;
	if (ret == 0)
		ret = config_uint(l, w, "if-id", raw->if_id, 0, 0, UINT32_MAX, &conf->if_id);
	if (ret == 0)
		ret = config_read_mark(l, w, raw->mark, &conf->mark, &conf->mark_mask);
	if (ret == 0)
		ret = read_headers(l, w, raw, conf);
	if (ret == 0 && raw->lifetime != NULL)
		ret = read_lifetime(l, w, raw->lifetime, &conf->life);
	if (ret == 0)
		ret = read_end_points(l, w, raw, conf);
	if (ret == 0)
		ret = read_transforms(l, w, raw, sa);
	return ret;
}

/* An SPI names an inbound SA alone; an outbound one with its destination (RFC 4301, 4.1). */
static int
compare_spis(const void *va, const void *vb)
{
	const struct sa_conf *a = &((const struct config_sa *)va)->conf;
	const struct sa_conf *b = &((const struct config_sa *)vb)->conf;

	if (a->dir != b->dir)
		return a->dir - b->dir;
	if (a->proto != b->proto)
		return a->proto - b->proto;
	if (a->spi != b->spi)
		return a->spi < b->spi ? -1 : 1;
	return a->dir == SA_DIR_IN ? 0 : memcmp(&a->dst, &b->dst, sizeof(a->dst));
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const struct config_sa *)a)->name, ((const struct config_sa *)b)->name);
}

static bool
has_state_file(const struct config_sa *sa)
{
	return sa->state_file != NULL;
}

static int
compare_state_files(const void *a, const void *b)
{
	return strcmp(((const struct config_sa *)a)->state_file,
		((const struct config_sa *)b)->state_file);
}

/* Of one key there may be one counter alone: the nonces of two SAs would be the same. */
static bool
counts_nonces(const struct config_sa *sa)
{
	return sa->counter && !sa->insecure_test;
}

static int
compare_keys(const void *va, const void *vb)
{
	const struct config_sa *a = va, *b = vb;

	if (a->conf.enc_key_len != b->conf.enc_key_len)
		return a->conf.enc_key_len - b->conf.enc_key_len;
	return memcmp(a->key, b->key, a->conf.enc_key_len);
}

static int
compare_reqids(const void *va, const void *vb)
{
	const struct sa_conf *a = &(*(const struct config_sa *const *)va)->conf;
	const struct sa_conf *b = &(*(const struct config_sa *const *)vb)->conf;

	if (a->dir != b->dir)
		return a->dir - b->dir;
	if (a->reqid != b->reqid)
		return a->reqid < b->reqid ? -1 : 1;
	return a->spi < b->spi ? -1 : a->spi > b->spi;
}

static void
keep(void *node)
{
	(void)node;
}

/* No two of those that count may be the same. */
static int
check_twice(struct config_load *l, const char *key, int (*compare)(const void *, const void *),
	bool (*counts)(const struct config_sa *))
{
	const struct config *c = l->config;
	void *root = NULL;
	int ret = 0;

	for (unsigned int i = 0; ret == 0 && i < c->n_sas; i++) {
		const struct config_sa *sa = &c->sas[i], **same;

		if (counts != NULL && !counts(sa))
			continue;
		same = tsearch(sa, &root, compare);
		if (same == NULL)
			ret = -ENOMEM;
		else if (*same != sa)
			ret = config_fail(l, AT("sas", i), key, "is that of sas[%td] ('%s') too",
				*same - c->sas, (*same)->name);
	}
	tdestroy(root, keep);
	return ret;
}

int
config_read_sas(struct config_load *l)
{
	struct config *c = l->config;
	unsigned int n = l->raw->n_sas;
	int ret;

	if (n > c->limits.sas)
		return config_fail(
			l, AT("sas", -1), NULL, "%u SAs, and limits.sas is %u", n, c->limits.sas);
	ret = config_alloc(&c->sas, n, sizeof(*c->sas));
	if (ret == 0)
		ret = config_alloc(&l->by_reqid, n, sizeof(*l->by_reqid));
	for (unsigned int i = 0; ret == 0 && i < n; i++) {
		c->n_sas++;
		l->by_reqid[i] = &c->sas[i];
		ret = read_sa(l, AT("sas", i), &l->raw->sas[i], &c->sas[i]);
	}
	if (ret == 0)
		ret = check_twice(l, "name", compare_names, NULL);
	if (ret == 0)
		ret = check_twice(l, "spi", compare_spis, NULL);
	if (ret == 0)
		ret = check_twice(l, "state-file", compare_state_files, has_state_file);
	if (ret == 0)
		ret = check_twice(l, "key", compare_keys, counts_nonces);
	for (unsigned int i = 0; ret == 0 && i < n; i++)
		if (!c->sas[i].insecure_test && (l->t.mode & (S_IRWXG | S_IRWXO)) != 0)
			ret = config_fail(l, AT("sas", i), NULL,
				"the file holds keys, and its mode %04o opens it to others: chmod "
				"600 %s",
				l->t.mode & 07777, l->t.path);
	if (ret == 0 && n > 0)
		qsort(l->by_reqid, n, sizeof(*l->by_reqid), compare_reqids);
	return ret;
}

const struct config_sa *
config_sa_of(const struct config_load *l, uint8_t dir, uint32_t reqid, uint32_t spi)
{
	const struct config_sa like = {.conf = {.dir = dir, .reqid = reqid, .spi = spi}};
	const struct config_sa *key = &like;
	unsigned int lo = 0, hi = l->config->n_sas;

	/* The first that is not less; SPI 0 is none's, so it finds the first of the reqid. */
	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (compare_reqids(&l->by_reqid[mid], &key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == l->config->n_sas || l->by_reqid[lo]->conf.dir != dir ||
		l->by_reqid[lo]->conf.reqid != reqid ||
		(spi != 0 && l->by_reqid[lo]->conf.spi != spi))
		return NULL;
	return l->by_reqid[lo];
}
