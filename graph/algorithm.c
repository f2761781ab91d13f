/* SPDX-License-Identifier: BSD-3-Clause */
#include "algorithm.h"

#include "sad.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define N(v) (sizeof(v) / sizeof((v)[0]))

/* What charon could negotiate and no data plane should want any more (RFC 8221); by IANA's numbers. */
enum {
	ENCR_DES = 2,
	ENCR_3DES = 3,
	ENCR_CAST = 6,
	ENCR_BLOWFISH = 7,
	ENCR_CAMELLIA_CBC = 23,
	AUTH_HMAC_MD5_96 = 1,
};

/* What follows "aes128", "aes192", "aes256"; key_len is the salt's. Plain "gcm" is that of 16 bytes. */
static const struct algorithm aes_modes[] = {
	{"", ENCR_AES_CBC, 0, false, false},
	{"cbc", ENCR_AES_CBC, 0, false, false},
	{"ctr", ENCR_AES_CTR, 4, true, false},
	{"gcm", ENCR_AES_GCM_16, 4, true, true},
	{"gmac", ENCR_NULL_AUTH_AES_GMAC, 4, true, true},
	{"ccm8", ENCR_AES_CCM_8, 3, true, true},
	{"ccm64", ENCR_AES_CCM_8, 3, true, true},
	{"ccm12", ENCR_AES_CCM_12, 3, true, true},
	{"ccm96", ENCR_AES_CCM_12, 3, true, true},
	{"ccm16", ENCR_AES_CCM_16, 3, true, true},
	{"ccm128", ENCR_AES_CCM_16, 3, true, true},
	{"ccm", ENCR_AES_CCM_16, 3, true, true},
	{"gcm8", ENCR_AES_GCM_8, 4, true, true},
	{"gcm64", ENCR_AES_GCM_8, 4, true, true},
	{"gcm12", ENCR_AES_GCM_12, 4, true, true},
	{"gcm96", ENCR_AES_GCM_12, 4, true, true},
	{"gcm16", ENCR_AES_GCM_16, 4, true, true},
	{"gcm128", ENCR_AES_GCM_16, 4, true, true},
};

static const struct algorithm others[] = {
	{"null", ENCR_NULL, 0, false, false},
	{"chacha20poly1305", ENCR_CHACHA20_POLY1305, 36, true, true},
	{"aes", ENCR_AES_CBC, 16, false, false},
	{"des", ENCR_DES, 8, false, false},
	{"3des", ENCR_3DES, 24, false, false},
	{"cast128", ENCR_CAST, 16, false, false},
	{"blowfish128", ENCR_BLOWFISH, 16, false, false},
	{"blowfish192", ENCR_BLOWFISH, 24, false, false},
	{"blowfish256", ENCR_BLOWFISH, 32, false, false},
	{"camellia128", ENCR_CAMELLIA_CBC, 16, false, false},
	{"camellia192", ENCR_CAMELLIA_CBC, 24, false, false},
	{"camellia256", ENCR_CAMELLIA_CBC, 32, false, false},
};

static const struct algorithm integrities[] = {
	{"none", AUTH_NONE, 0, false, false},
	{"sha1", AUTH_HMAC_SHA1_96, 20, false, false},
	{"sha", AUTH_HMAC_SHA1_96, 20, false, false},
	{"hmacsha196", AUTH_HMAC_SHA1_96, 20, false, false},
	{"sha256", AUTH_HMAC_SHA2_256_128, 32, false, false},
	{"sha2256", AUTH_HMAC_SHA2_256_128, 32, false, false},
	{"hmacsha2256128", AUTH_HMAC_SHA2_256_128, 32, false, false},
	{"sha25696", AUTH_HMAC_SHA2_256_96, 32, false, false},
	{"sha225696", AUTH_HMAC_SHA2_256_96, 32, false, false},
	{"hmacsha225696", AUTH_HMAC_SHA2_256_96, 32, false, false},
	{"sha384", AUTH_HMAC_SHA2_384_192, 48, false, false},
	{"sha2384", AUTH_HMAC_SHA2_384_192, 48, false, false},
	{"hmacsha2384192", AUTH_HMAC_SHA2_384_192, 48, false, false},
	{"sha512", AUTH_HMAC_SHA2_512_256, 64, false, false},
	{"sha2512", AUTH_HMAC_SHA2_512_256, 64, false, false},
	{"hmacsha2512256", AUTH_HMAC_SHA2_512_256, 64, false, false},
	{"aesxcbc", AUTH_AES_XCBC_96, 16, false, false},
	{"aesxcbc96", AUTH_AES_XCBC_96, 16, false, false},
	{"aescmac", AUTH_AES_CMAC_96, 16, false, false},
	{"aescmac96", AUTH_AES_CMAC_96, 16, false, false},
	{"md5", AUTH_HMAC_MD5_96, 16, false, false},
};

void
algorithm_squeeze(const char *s, char *out, unsigned int size)
{
	unsigned int n = 0;

	for (; *s != '\0' && n < size - 1; s++)
		if (*s != '-' && *s != '_')
			out[n++] = (char)tolower((unsigned char)*s);
	out[n] = '\0';
}

static bool
find(const struct algorithm *v, unsigned int n, const char *name, struct algorithm *found)
{
	for (unsigned int i = 0; i < n; i++)
		if (strcmp(name, v[i].name) == 0) {
			*found = v[i];
			return true;
		}
	return false;
}

bool
algorithm_encryption(const char *name, struct algorithm *found)
{
	unsigned int bits;
	char s[32];
	int end = 0;

	algorithm_squeeze(name, s, sizeof(s));
	if (find(others, N(others), s, found))
		return true;
	if (sscanf(s, "aes%3u%n", &bits, &end) != 1 ||
		(bits != 128 && bits != 192 && bits != 256) ||
		!find(aes_modes, N(aes_modes), s + end, found))
		return false;
	found->key_len += bits / 8;
	return true;
}

bool
algorithm_integrity(const char *name, struct algorithm *found)
{
	char s[32];

	algorithm_squeeze(name, s, sizeof(s));
	return find(integrities, N(integrities), s, found);
}

const char *
algorithm_encryption_name(unsigned int n, char buf[32])
{
	static const char *const bits[] = {"128", "192", "256"};

	if (n < N(others))
		return others[n].name;
	n -= N(others);
	if (n >= N(aes_modes) * N(bits))
		return NULL;
	snprintf(buf, 32, "aes%s%s", bits[n % N(bits)], aes_modes[n / N(bits)].name);
	return buf;
}

const char *
algorithm_integrity_name(unsigned int n)
{
	return n < N(integrities) ? integrities[n].name : NULL;
}
