/* SPDX-License-Identifier: BSD-3-Clause */
#include "sqn_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#define TITLE "cygnet sequence numbers 1\n"
#define FILE_MAX 256

static int
digest(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t out[SQN_DIGEST])
{
	uint8_t md[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
		 EVP_DigestUpdate(ctx, a, a_len) && EVP_DigestUpdate(ctx, b, b_len) &&
		 EVP_DigestFinal_ex(ctx, md, NULL);

	EVP_MD_CTX_free(ctx);
	memcpy(out, md, SQN_DIGEST);
	return ok ? 0 : -ENOMEM;
}

static void
hex(const uint8_t *d, char *out)
{
	for (unsigned int i = 0; i < SQN_DIGEST; i++)
		sprintf(out + 2 * i, "%02x", d[i]);
}

int
sqn_id_make(struct sqn_id *id, uint32_t spi, uint16_t enc_alg, const uint8_t *key, size_t n)
{
	char label[64];
	int len = snprintf(label, sizeof(label), "cygnet sequence numbers, algorithm %u:", enc_alg);

	id->spi = spi;
	return digest(label, len, key, n, id->digest);
}

int
sqn_file_lock(const char *path)
{
	char name[PATH_MAX];
	int fd, rc;

	if (snprintf(name, sizeof(name), "%s.lock", path) >= (int)sizeof(name))
		return -ENAMETOOLONG;
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
	close(fd);
	return rc;
}

static int
render(const struct sqn_id *id, uint64_t reserved, char *text, size_t size)
{
	char d[2 * SQN_DIGEST + 1], check[2 * SQN_DIGEST + 1];
	uint8_t sum[SQN_DIGEST];
	int len;

	hex(id->digest, d);
	len = snprintf(text, size, TITLE "sa 0x%08" PRIx32 " %s\nreserved %" PRIu64 "\n", id->spi,
		d, reserved);
	if (digest(text, len, "", 0, sum) < 0)
		return -ENOMEM;
	hex(sum, check);
	return len + snprintf(text + len, size - len, "check %s\n", check);
}

static int
refuse(char *why, size_t size, int rc, const char *text)
{
	snprintf(why, size, "%s", text);
	return rc;
}

/* The whole text of a regular file that nobody else may write. */
static int
read_text(const char *path, char *text, char *why, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return refuse(why, size, -ENOENT,
			"is not there: if the key was never used, make it by --create-state");
	if (fd < 0)
		return refuse(
			why, size, -errno, errno == ELOOP ? "is a symbolic link" : strerror(errno));
	n = read(fd, text, FILE_MAX - 1);
	if (n < 0 || fstat(fd, &st) < 0)
		rc = refuse(why, size, -errno, strerror(errno));
	else if (!S_ISREG(st.st_mode) || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		rc = refuse(why, size, -EPERM, "is not a file that its owner alone may write");
	else
		text[n] = '\0';
	close(fd);
	return rc;
}

int
sqn_file_read(const char *path, const struct sqn_id *id, uint64_t *reserved, char *why, size_t size)
{
	char text[FILE_MAX], own[FILE_MAX], d[2 * SQN_DIGEST + 1];
	struct sqn_id other = {0};
	int rc = read_text(path, text, why, size), end = 0;
	uint64_t value = 0;

	if (rc < 0)
		return rc;
	/* What it says, said again, must be the very same bytes: so nothing is damaged. */
	if (sscanf(text, TITLE "sa 0x%8" SCNx32 " %16[0-9a-f] reserved %" SCNu64 "%n", &other.spi,
		    d, &value, &end) != 3 ||
		end == 0 || strlen(d) != 2 * SQN_DIGEST)
		return refuse(why, size, -EBADMSG, "is not a file of sequence numbers, or damaged");
	for (unsigned int i = 0; i < SQN_DIGEST; i++)
		sscanf(d + 2 * i, "%2hhx", &other.digest[i]);
	rc = render(&other, value, own, sizeof(own));
	if (rc < 0)
		return refuse(why, size, rc, "cannot be checked: out of memory");
	if (strcmp(text, own) != 0)
		return refuse(why, size, -EBADMSG, "is damaged: its checksum is wrong");
	if (other.spi != id->spi || memcmp(other.digest, id->digest, SQN_DIGEST) != 0)
		return refuse(why, size, -ESTALE,
			"is that of another SPI or key: each key has a file of its own");
	*reserved = value;
	return 0;
}

static int
write_all(int fd, const char *text, int len)
{
	if (write(fd, text, len) != len)
		return errno != 0 ? -errno : -EIO;
	return fsync(fd) < 0 ? -errno : 0;
}

/* A name is on the disk when its directory is. */
static int
sync_directory(const char *path)
{
	char dir[PATH_MAX];
	char *slash;
	int fd, rc = 0;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash == NULL)
		strcpy(dir, ".");
	else
		slash[slash == dir] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int
write_named(const char *name, int flags, const char *text, int len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600), rc;

	if (fd < 0)
		return -errno;
	errno = 0;
	rc = write_all(fd, text, len);
	close(fd);
	return rc;
}

int
sqn_file_write(const char *path, const struct sqn_id *id, uint64_t reserved)
{
	char name[PATH_MAX], text[FILE_MAX];
	int len = render(id, reserved, text, sizeof(text)), rc;

	if (len < 0)
		return len;
	if (snprintf(name, sizeof(name), "%s.new", path) >= (int)sizeof(name))
		return -ENAMETOOLONG;
	rc = write_named(name, O_TRUNC, text, len);
	if (rc == 0 && rename(name, path) < 0)
		rc = -errno;
	return rc == 0 ? sync_directory(path) : rc;
}

int
sqn_file_create(const char *path, const struct sqn_id *id)
{
	char text[FILE_MAX];
	int len = render(id, 0, text, sizeof(text)), rc;

	if (len < 0)
		return len;
	rc = write_named(path, O_EXCL, text, len);
	return rc == 0 ? sync_directory(path) : rc;
}
