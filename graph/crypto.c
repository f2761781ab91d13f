/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto.h"

#include "esp_gcm.h"
#include "log.h"
#include "transform.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_bus_vdev.h>
#include <rte_cryptodev.h>
#include <rte_errno.h>

#define QUEUE_DEPTH 2048
#define NATIVE "native" /* no device: what lcores do by themselves (nodes/esp_gcm.h) */

struct dev {
	char name[RTE_CRYPTODEV_NAME_MAX_LEN];
	uint8_t id;
	bool ours; /* a virtual device that we made */
	bool started;
	bool sync; /* works at once, too */
	bool native; /* there is no id */
};

struct crypto {
	struct dev devs[CRYPTO_MAX_DEVS];
	unsigned int n_devs;
	struct rte_mempool *sessions;
};

static int
find_native(struct dev *dev)
{
	*dev = (struct dev){.name = NATIVE, .native = true, .id = UINT8_MAX};
	if (!esp_gcm_possible()) {
		LOG(INFO, "crypto: this processor has no AVX-512, VAES and VPCLMULQDQ: "
			  "native is left out");
		return -ENODEV;
	}
	if (!esp_gcm_works()) {
		LOG(ERR, "crypto: native AES-GCM gives wrong answers here: it is left out");
		return -EIO;
	}
	return 0;
}

/* A device that EAL found, or a virtual one of that driver, made now. */
static int
find_or_make(struct dev *dev, const char *driver, unsigned int queue_pairs)
{
	char args[64];
	int id = rte_cryptodev_get_dev_id(driver);

	*dev = (struct dev){.id = 0}; /* of one that was left out */
	snprintf(dev->name, sizeof(dev->name), "%s", driver);
	if (id < 0) {
		snprintf(args, sizeof(args), "max_nb_queue_pairs=%u,socket_id=%u", queue_pairs,
			rte_socket_id());
		if (rte_vdev_init(driver, args) < 0)
			return -ENODEV;
		dev->ours = true;
		id = rte_cryptodev_get_dev_id(driver);
	}
	if (id < 0)
		return -ENODEV;
	dev->id = id;
	return 0;
}

static int
start(struct crypto *c, struct dev *dev, unsigned int queue_pairs)
{
	struct rte_cryptodev_config conf = {
		.socket_id = rte_cryptodev_socket_id(dev->id), .nb_queue_pairs = queue_pairs};
	struct rte_cryptodev_qp_conf qp = {
		.nb_descriptors = QUEUE_DEPTH, .mp_session = c->sessions};
	struct rte_cryptodev_info info;
	int rc = rte_cryptodev_configure(dev->id, &conf);

	for (unsigned int i = 0; rc == 0 && i < queue_pairs; i++)
		rc = rte_cryptodev_queue_pair_setup(dev->id, i, &qp, conf.socket_id);
	if (rc == 0)
		rc = rte_cryptodev_start(dev->id);
	dev->started = rc == 0;
	rte_cryptodev_info_get(dev->id, &info);
	dev->sync = info.feature_flags & RTE_CRYPTODEV_FF_SYM_CPU_CRYPTO;
	return rc;
}

struct crypto *
crypto_create(const struct config *config, unsigned int queue_pairs, unsigned int max_sessions)
{
	struct crypto *c = calloc(1, sizeof(*c));
	unsigned int size = 0;

	if (c == NULL)
		return NULL;
	for (unsigned int i = 0; i < config->crypto.n_devices && c->n_devs < CRYPTO_MAX_DEVS; i++) {
		struct dev *dev = &c->devs[c->n_devs];
		const char *name = config->crypto.devices[i];

		if (strcmp(name, NATIVE) == 0) {
			if (find_native(dev) < 0)
				continue;
		} else if (find_or_make(dev, name, queue_pairs) < 0) {
			LOG(WARNING, "crypto device %s is not there: left out", name);
			continue;
		} else {
			size = RTE_MAX(size, rte_cryptodev_sym_get_private_session_size(dev->id));
		}
		c->n_devs++;
	}
	if (c->n_devs == 0) {
		LOG(ERR, "none of the crypto devices of the configuration is there");
		goto fail;
	}
	c->sessions = rte_cryptodev_sym_session_pool_create(
		"sessions", max_sessions, size, 0, 0, (int)rte_socket_id());
	if (c->sessions == NULL) {
		LOG(ERR, "no memory for %u crypto sessions of %u bytes", max_sessions, size);
		goto fail;
	}
	for (unsigned int i = 0; i < c->n_devs; i++) {
		int rc = c->devs[i].native ? 0 : start(c, &c->devs[i], queue_pairs);

		if (rc < 0) {
			LOG(ERR, "crypto device %s with %u queue pairs: %s", c->devs[i].name,
				queue_pairs, strerror(-rc));
			goto fail;
		}
	}
	return c;
fail:
	crypto_destroy(c);
	return NULL;
}

void
crypto_destroy(struct crypto *c)
{
	if (c == NULL)
		return;
	for (unsigned int i = 0; i < c->n_devs; i++) {
		if (c->devs[i].started)
			rte_cryptodev_stop(c->devs[i].id);
		if (c->devs[i].ours)
			rte_vdev_uninit(c->devs[i].name);
	}
	rte_mempool_free(c->sessions);
	free(c);
}

void
crypto_assign(const struct crypto *c, struct crypto_server *server, uint16_t queue_pair)
{
	server->n_devs = c->n_devs;
	for (unsigned int i = 0; i < c->n_devs; i++) {
		server->dev_id[i] = c->devs[i].id;
		server->qp[i] = queue_pair;
	}
}

/* GCM and ChaCha20-Poly1305 are done packet by packet; the rest gains from many at a time. */
static uint8_t
sync_of(const struct dev *dev, const struct sa *sa, const struct sa_conf *conf)
{
	/* ipsec_mb of DPDK 22.11 makes other ciphertext of a packet when it runs AES-XCBC and -CMAC at once. */
	if (!dev->sync || sa->flags & SA_F_AH || conf->int_alg == AUTH_AES_XCBC_96 ||
		conf->int_alg == AUTH_AES_CMAC_96)
		return SA_SYNC_NO;
	switch (sa->crypto) {
	case SA_CRYPTO_AEAD:
		return SA_SYNC;
	case SA_CRYPTO_CBC:
	case SA_CRYPTO_CTR:
	case SA_CRYPTO_AUTH:
		return SA_SYNC_LONG;
	}
	return SA_SYNC_NO;
}

/* A session of the SA on that device, or -ENOTSUP. Native crypto's key lies in the SA. */
static int
create_on(struct crypto *c, const struct dev *dev, struct sa *sa, const struct sa_conf *conf,
	const uint8_t *key)
{
	const struct transform_encr *t = transform_encr(conf->enc_alg);
	struct rte_crypto_sym_xform xform[2], *first = transform_xforms(conf, key, xform);

	if (dev->native) {
		if (t == NULL || t->crypto != SA_CRYPTO_AEAD || t->algo != RTE_CRYPTO_AEAD_AES_GCM)
			return -ENOTSUP;
		sa->session = sa->native;
		esp_gcm_init(sa, key, conf->enc_key_len - t->salt_len);
		sa->sync = SA_SYNC_NATIVE;
		return 0;
	}
	if (!transform_supported(dev->id, first))
		return -ENOTSUP;
	sa->session = rte_cryptodev_sym_session_create(dev->id, first, c->sessions);
	if (sa->session == NULL)
		return -rte_errno;
	sa->sync = sync_of(dev, sa, conf);
	return 0;
}

static int
create_session(void *ctx, struct sa *sa, const struct sa_conf *conf, const uint8_t *key)
{
	const struct transform_encr *t = transform_encr(conf->enc_alg);
	struct crypto *c = ctx;
	int rc = -ENOTSUP;

	if (t != NULL)
		memcpy(&sa->salt, key + conf->enc_key_len - t->salt_len, t->salt_len);
	for (unsigned int i = 0; i < c->n_devs; i++) {
		int why = create_on(c, &c->devs[i], sa, conf, key);

		if (why == 0) {
			sa->dev = i;
			return 0;
		}
		if (why != -ENOTSUP)
			rc = why;
	}
	return rc;
}

static void
destroy_session(void *ctx, struct sa *sa)
{
	struct crypto *c = ctx;

	if (sa->sync == SA_SYNC_NATIVE) {
		explicit_bzero(sa->native, sizeof(sa->native));
	} else {
		rte_cryptodev_sym_session_free(c->devs[sa->dev].id, sa->session);
		/* Drivers do not all wipe what they derived from the key. Only this thread takes sessions
		 * from the pool, so the object is still nobody's. */
		explicit_bzero(sa->session, c->sessions->elt_size);
	}
	sa->session = NULL;
}

struct sad_crypto
crypto_sad_ops(struct crypto *c)
{
	return (struct sad_crypto){create_session, destroy_session, c};
}

unsigned int
crypto_sessions_left(const struct crypto *c)
{
	return rte_mempool_avail_count(c->sessions);
}

unsigned int
crypto_devs(const struct crypto *c)
{
	return c->n_devs;
}

const char *
crypto_dev_name(const struct crypto *c, unsigned int dev)
{
	return dev < c->n_devs ? c->devs[dev].name : "?";
}
