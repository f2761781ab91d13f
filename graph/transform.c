/* SPDX-License-Identifier: BSD-3-Clause */
#include "transform.h"

#include "pkt.h"
#include "wire.h"

static void
aead_xform(struct rte_crypto_sym_xform *x, const struct sa_conf *conf,
	const struct transform_encr *t, const uint8_t *key)
{
	x->type = RTE_CRYPTO_SYM_XFORM_AEAD;
	x->aead.op =
		conf->dir == SA_DIR_OUT ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT;
	x->aead.algo = t->algo;
	x->aead.key.data = key;
	x->aead.key.length = conf->enc_key_len - t->salt_len;
	x->aead.iv.offset = PKT_IV_OFFSET;
	x->aead.iv.length = t->salt_len + t->iv_len;
	x->aead.digest_length = t->icv_len;
	x->aead.aad_length = conf->flags & IKE_SA_ESN ? 12 : 8;
}

static void
cipher_xform(struct rte_crypto_sym_xform *x, const struct sa_conf *conf,
	const struct transform_encr *t, const uint8_t *key)
{
	x->type = RTE_CRYPTO_SYM_XFORM_CIPHER;
	x->cipher.op = conf->dir == SA_DIR_OUT ? RTE_CRYPTO_CIPHER_OP_ENCRYPT
					       : RTE_CRYPTO_CIPHER_OP_DECRYPT;
	x->cipher.algo = t->algo;
	x->cipher.key.data = key;
	x->cipher.key.length = conf->enc_key_len - t->salt_len;
	x->cipher.iv.offset = PKT_IV_OFFSET;
	x->cipher.iv.length = 16;
}

static void
auth_xform(struct rte_crypto_sym_xform *x, const struct sa_conf *conf, int algo, const uint8_t *key,
	uint16_t key_len, uint8_t icv_len)
{
	x->type = RTE_CRYPTO_SYM_XFORM_AUTH;
	x->auth.op =
		conf->dir == SA_DIR_OUT ? RTE_CRYPTO_AUTH_OP_GENERATE : RTE_CRYPTO_AUTH_OP_VERIFY;
	x->auth.algo = algo;
	x->auth.key.data = key;
	x->auth.key.length = key_len;
	x->auth.digest_length = icv_len;
}

struct rte_crypto_sym_xform *
transform_xforms(
	const struct sa_conf *conf, const uint8_t *key, struct rte_crypto_sym_xform xform[2])
{
	const struct transform_encr *t = transform_encr(conf->enc_alg);
	const struct transform_integ *i = transform_integ(conf->int_alg);
	struct rte_crypto_sym_xform *cipher = &xform[0], *auth = &xform[1];

	memset(xform, 0, 2 * sizeof(*xform));
	if (t == NULL) { /* AH: integrity alone, and the whole key is its */
		auth_xform(auth, conf, i->algo, key, conf->int_key_len, i->icv_len);
		return auth;
	}
	switch (t->crypto) {
	case SA_CRYPTO_AEAD:
	case SA_CRYPTO_CCM:
		aead_xform(cipher, conf, t, key);
		return cipher;
	case SA_CRYPTO_GMAC:
		auth_xform(auth, conf, t->algo, key, conf->enc_key_len - t->salt_len, t->icv_len);
		auth->auth.iv.offset = PKT_IV_OFFSET;
		auth->auth.iv.length = t->salt_len + t->iv_len;
		return auth;
	}
	auth_xform(auth, conf, i->algo, key + conf->enc_key_len, conf->int_key_len, i->icv_len);
	if (t->crypto == SA_CRYPTO_AUTH)
		return auth;
	cipher_xform(cipher, conf, t, key);
	if (conf->dir == SA_DIR_OUT) { /* encrypt, then authenticate; the other way round inbound */
		cipher->next = auth;
		return cipher;
	}
	auth->next = cipher;
	return auth;
}

bool
transform_supported(uint8_t dev_id, const struct rte_crypto_sym_xform *x)
{
	for (; x != NULL; x = x->next) {
		struct rte_cryptodev_sym_capability_idx idx = {.type = x->type};
		const struct rte_cryptodev_symmetric_capability *cap;
		int rc;

		if (x->type == RTE_CRYPTO_SYM_XFORM_AEAD)
			idx.algo.aead = x->aead.algo;
		else if (x->type == RTE_CRYPTO_SYM_XFORM_CIPHER)
			idx.algo.cipher = x->cipher.algo;
		else
			idx.algo.auth = x->auth.algo;
		cap = rte_cryptodev_sym_capability_get(dev_id, &idx);
		if (cap == NULL)
			return false;
		if (x->type == RTE_CRYPTO_SYM_XFORM_AEAD)
			rc = rte_cryptodev_sym_capability_check_aead(cap, x->aead.key.length,
				x->aead.digest_length, x->aead.aad_length, x->aead.iv.length);
		else if (x->type == RTE_CRYPTO_SYM_XFORM_CIPHER)
			rc = rte_cryptodev_sym_capability_check_cipher(
				cap, x->cipher.key.length, x->cipher.iv.length);
		else
			rc = rte_cryptodev_sym_capability_check_auth(
				cap, x->auth.key.length, x->auth.digest_length, x->auth.iv.length);
		if (rc != 0)
			return false;
	}
	return true;
}
