/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* Pre-shared keys, certificates and private keys: files beside the ike file, and what stands in it. */

#define SECRET_FILE_MAX (64u << 10)

/* A path of the file, relative to where the file is. */
static char *
beside(const struct ike_file *f, const char *name)
{
	const char *slash = strrchr(f->t.path, '/');
	char *path = NULL;

	if (name[0] == '/' || slash == NULL)
		return strdup(name);
	if (asprintf(&path, "%.*s%s", (int)(slash - f->t.path + 1), f->t.path, name) < 0)
		return NULL;
	return path;
}

/* The bytes of a file that a node names, with a zero byte behind them; NULL after an error. */
static unsigned char *
slurp(struct ike_file *f, size_t node, bool secret, size_t *len)
{
	char *path = beside(f, f->t.nodes[node].value);
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1, err = errno;
	unsigned char *data = NULL;
	struct stat st;
	ssize_t n;

	*len = 0;
	if (fd < 0) {
		ike_file_fail(
			f, node, "%s cannot be read: %s", path != NULL ? path : "", strerror(err));
	} else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > SECRET_FILE_MAX) {
		ike_file_fail(
			f, node, "%s is not a file of at most %u bytes", path, SECRET_FILE_MAX);
	} else if (secret && !f->allow_open && (st.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
		ike_file_fail(f, node,
			"%s is a secret, and its mode %04o opens it to others: chmod 600 %s", path,
			st.st_mode & 07777, path);
	} else if ((data = calloc(1, (size_t)st.st_size + 1)) != NULL) {
		while (*len < (size_t)st.st_size &&
			(n = read(fd, data + *len, (size_t)st.st_size - *len)) > 0)
			*len += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	free(path);
	return data;
}

/* "0x" and hexadecimal digits, "0s" and Base64, or the text as it is; as swanctl.conf has them. */
static bool
decode(const char *s, size_t n, unsigned char **data, size_t *len, bool *encoded)
{
	unsigned int byte, pad = 0;
	int got;

	*data = calloc(1, n + 4);
	if (*data == NULL)
		return false;
	*encoded = true;
	if (strncmp(s, "0x", 2) == 0) {
		for (*len = 0; 2 + 2 * *len + 1 < n; ++*len) {
			if (!isxdigit((unsigned char)s[2 + 2 * *len]) ||
				sscanf(s + 2 + 2 * *len, "%2x", &byte) != 1 ||
				!isxdigit((unsigned char)s[3 + 2 * *len]))
				return false;
			(*data)[*len] = (unsigned char)byte;
		}
		return n > 2 && n % 2 == 0;
	}
	if (strncmp(s, "0s", 2) == 0) {
		got = EVP_DecodeBlock(*data, (const unsigned char *)s + 2, (int)n - 2);
		while (pad < 2 && n > 2 + pad && s[n - 1 - pad] == '=')
			pad++;
		*len = got > (int)pad ? (size_t)got - pad : 0;
		return *len > 0;
	}
	*encoded = false;
	memcpy(*data, s, n);
	*len = n;
	return n > 0;
}

int
ike_secret(struct ike_file *f, size_t gateway, const char *key, bool tell, unsigned char **data,
	size_t *len, bool *encoded)
{
	size_t node = ike_file_auth(f, gateway, key),
	       own = ike_file_get(f, gateway, "authentication"), from_file, n;
	char name[64];
	unsigned char *text;
	bool good, as_digits = false;

	*data = NULL;
	*len = 0;
	snprintf(name, sizeof(name), "%s-file", key);
	from_file = ike_file_auth(f, gateway, name);
	/* A gateway's own file goes before its policy's key. */
	if (node != 0 && from_file != 0 && f->t.nodes[node].parent != own &&
		f->t.nodes[from_file].parent == own)
		node = 0;
	if (node != 0) {
		if (f->t.nodes[node].kind != CONFIG_SCALAR)
			return -EINVAL;
		good = decode(f->t.nodes[node].value, strlen(f->t.nodes[node].value), data, len,
			&as_digits);
	} else if (from_file != 0) {
		if (f->t.nodes[from_file].kind != CONFIG_SCALAR)
			return -EINVAL;
		node = from_file;
		text = slurp(f, node, true, &n);
		if (text == NULL)
			return -EINVAL;
		while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
			text[--n] = '\0';
		good = memchr(text, '\0', n) == NULL &&
		       decode((char *)text, n, data, len, &as_digits);
		explicit_bzero(text, n);
		free(text);
	} else {
		return -ENOENT;
	}
	if (encoded != NULL)
		*encoded = as_digits;
	if (good)
		return 0;
	if (*data != NULL)
		explicit_bzero(*data, *len);
	free(*data);
	*data = NULL;
	if (tell)
		ike_file_fail(f, node,
			"is empty, or not what 0x (hexadecimal digits) or 0s (Base64) announce");
	return -EINVAL;
}

static X509 *
parse_certificate(const unsigned char *data, size_t len)
{
	const unsigned char *p = data;
	BIO *bio;
	X509 *x;

	if (strstr((const char *)data, "-----BEGIN") == NULL)
		return d2i_X509(NULL, &p, (long)len);
	bio = BIO_new_mem_buf(data, (int)len);
	x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	return x;
}

char *
ike_certificate(struct ike_file *f, size_t node)
{
	size_t len;
	unsigned char *data = slurp(f, node, false, &len);
	char *pem = NULL, *text;
	X509 *x;
	BIO *bio;
	long n;

	if (data == NULL)
		return NULL;
	x = parse_certificate(data, len);
	free(data);
	bio = BIO_new(BIO_s_mem());
	if (x != NULL && bio != NULL && PEM_write_bio_X509(bio, x) == 1) {
		n = BIO_get_mem_data(bio, &text);
		pem = strndup(text, (size_t)n);
	} else {
		ike_file_fail(
			f, node, "%s is not a certificate (PEM or DER)", f->t.nodes[node].value);
	}
	BIO_free(bio);
	X509_free(x);
	return pem;
}

struct passphrase {
	unsigned char *data; /* NULL: none is given */
	size_t len;
	bool asked;
};

static int
give_passphrase(char *buf, int size, int rwflag, void *ctx)
{
	struct passphrase *pass = ctx;

	(void)rwflag;
	pass->asked = true;
	if (pass->data == NULL || size < 0 || pass->len > (size_t)size)
		return -1;
	memcpy(buf, pass->data, pass->len);
	return (int)pass->len;
}

static EVP_PKEY *
open_key(const unsigned char *data, size_t len, struct passphrase *pass)
{
	const unsigned char *p = data;
	EVP_PKEY *key = NULL;
	BIO *bio;

	if (strstr((const char *)data, "-----BEGIN") == NULL &&
		(key = d2i_AutoPrivateKey(NULL, &p, (long)len)) != NULL)
		return key;
	bio = BIO_new_mem_buf(data, (int)len);
	if (bio == NULL)
		return NULL;
	key = strstr((const char *)data, "-----BEGIN") != NULL
		      ? PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, pass)
		      : d2i_PKCS8PrivateKey_bio(bio, NULL, give_passphrase, pass);
	BIO_free(bio);
	return key;
}

/* charon is told the key as it is without its passphrase, over VICI's socket: in the place of the file's bytes. */
static bool
in_clear(EVP_PKEY *key, unsigned char **data, size_t *len)
{
	BIO *bio = BIO_new(BIO_s_mem());
	unsigned char *clear = NULL;
	char *text;
	long n = 0;

	if (bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
		n = BIO_get_mem_data(bio, &text);
		clear = calloc(1, (size_t)n + 1);
		if (clear != NULL)
			memcpy(clear, text, (size_t)n);
		explicit_bzero(text, (size_t)n);
	}
	BIO_free(bio);
	if (clear == NULL)
		return false;
	explicit_bzero(*data, *len);
	free(*data);
	*data = clear;
	*len = (size_t)n;
	return true;
}

int
ike_private_key(struct ike_file *f, size_t owner, size_t node, unsigned char **data, size_t *len)
{
	struct passphrase pass = {0};
	const char *why = "is not a private key (PEM or DER)";
	EVP_PKEY *key = NULL;
	bool good = false;

	*data = slurp(f, node, true, len);
	if (*data == NULL)
		return -EINVAL;
	if (ike_secret(f, owner, "private-key-passphrase", true, &pass.data, &pass.len, NULL) !=
		-EINVAL) {
		key = open_key(*data, *len, &pass);
		good = key != NULL && (!pass.asked || in_clear(key, data, len));
		if (pass.asked)
			why = pass.data != NULL ? "does not open with its passphrase"
						: "has a passphrase: private-key-passphrase or "
						  "private-key-passphrase-file says it";
		if (!good)
			ike_file_fail(f, node, "%s %s", f->t.nodes[node].value, why);
	}
	EVP_PKEY_free(key);
	if (pass.data != NULL)
		explicit_bzero(pass.data, pass.len);
	free(pass.data);
	if (good)
		return 0;
	explicit_bzero(*data, *len);
	free(*data);
	*data = NULL;
	return -EINVAL;
}
