/* SPDX-License-Identifier: BSD-3-Clause */
#include "proposal.h"

#include "algorithm.h"
#include "transform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What an algorithm does in a proposal; the order is that of strongSwan's notation. */
enum role { ENCRYPTION, INTEGRITY, PRF, DH, KE1, KE2, KE3, KE4, ESN, N_ROLES };

static const char *const role_keys[N_ROLES] = {
	"encryption", "integrity", "prf", "dh-group", "ke1", "ke2", "ke3", "ke4", "esn"};

struct group {
	const char *name; /* strongSwan's */
	unsigned int iana; /* 0: none of those in use */
};

static const struct group groups[] = {
	{"modp2048", 14},
	{"modp3072", 15},
	{"modp4096", 16},
	{"modp6144", 17},
	{"modp8192", 18},
	{"ecp256", 19},
	{"ecp384", 20},
	{"ecp521", 21},
	{"curve25519", 31},
	{"x25519", 0},
	{"curve448", 32},
	{"x448", 0},
	{"mlkem512", 35},
	{"mlkem768", 36},
	{"mlkem1024", 37},
	{"ecp224bp", 27},
	{"ecp256bp", 28},
	{"ecp384bp", 29},
	{"ecp512bp", 30},
	{"ecp224", 26},
	{"ecp192", 25},
	{"modp1536", 5},
	{"modp1024", 2},
	{"modp768", 1},
	{"modp1024s160", 22},
	{"modp2048s224", 23},
	{"modp2048s256", 24},
};

static const char *const prfs[] = {
	"prfsha256", "prfsha384", "prfsha512", "prfsha1", "prfmd5", "prfaesxcbc", "prfaescmac"};

#define N(v) (sizeof(v) / sizeof((v)[0]))

/* A proposal while it is read: its algorithms by role, in strongSwan's words. */
struct build {
	struct ike_file *f;
	enum proposal_kind kind;
	char words[N_ROLES][96]; /* joined by dashes */
	unsigned int n[N_ROLES], aeads;
	bool failed;
};

static const char *
suggestion(void *ctx, unsigned int n)
{
	static char buf[32];
	enum role role = *(enum role *)ctx;

	switch (role) {
	case ENCRYPTION:
		return algorithm_encryption_name(n, buf);
	case INTEGRITY:
		return algorithm_integrity_name(n);
	case PRF:
		return n < N(prfs) ? prfs[n] + 3 : NULL;
	case ESN:
		return NULL;
	default:
		return n < N(groups) ? groups[n].name : NULL;
	}
}

static void
unknown(struct build *b, size_t node, enum role role, const char *word)
{
	char squeezed[64];
	const char *near;

	algorithm_squeeze(word, squeezed, sizeof(squeezed));
	near = config_nearest(squeezed, suggestion, &role);
	b->failed = true;
	if (near != NULL)
		ike_file_fail(b->f, node, "unknown algorithm '%s': did you mean '%s'?", word, near);
	else
		ike_file_fail(b->f, node, "unknown algorithm '%s'", word);
}

static void
append(struct build *b, enum role role, const char *word)
{
	size_t len = strlen(b->words[role]);

	b->n[role]++;
	snprintf(b->words[role] + len, sizeof(b->words[role]) - len, "-%s", word);
	if (len + strlen(word) + 2 > sizeof(b->words[role])) {
		b->failed = true;
		ike_file_fail(b->f, 0, "too many algorithms in one proposal");
	}
}

/* strongSwan's keyword: what it calls them differs from IANA's and from what people write. */
static bool
encryption_word(const struct algorithm *a, char word[64])
{
	const struct transform_encr *t = transform_encr(a->id);
	unsigned int bits;

	if (t == NULL || a->id == ENCR_NULL || a->id == ENCR_CHACHA20_POLY1305) {
		snprintf(word, 64, "%s", a->name);
		return t != NULL;
	}
	bits = (a->key_len - t->salt_len) * 8u;
	switch (a->id) {
	case ENCR_AES_CBC:
		snprintf(word, 64, "aes%u", bits);
		break;
	case ENCR_AES_CTR:
		snprintf(word, 64, "aes%uctr", bits);
		break;
	case ENCR_NULL_AUTH_AES_GMAC:
		snprintf(word, 64, "aes%ugmac", bits);
		break;
	default:
		snprintf(word, 64, "aes%u%s%u", bits,
			strstr(t->name, "GCM") != NULL ? "gcm" : "ccm", t->icv_len);
	}
	return true;
}

static bool
integrity_word(const struct algorithm *a, char word[64])
{
	static const struct {
		uint16_t id;
		const char *word;
	} words[] = {
		{AUTH_HMAC_SHA1_96, "sha1"},
		{AUTH_HMAC_SHA2_256_128, "sha256"},
		{AUTH_HMAC_SHA2_256_96, "sha256_96"},
		{AUTH_HMAC_SHA2_384_192, "sha384"},
		{AUTH_HMAC_SHA2_512_256, "sha512"},
		{AUTH_AES_XCBC_96, "aesxcbc"},
		{AUTH_AES_CMAC_96, "aescmac"},
	};

	snprintf(word, 64, "%s", a->name);
	for (unsigned int i = 0; i < N(words); i++)
		if (words[i].id == a->id)
			snprintf(word, 64, "%s", words[i].word);
	return transform_integ(a->id) != NULL;
}

static bool
group_word(const char *squeezed, char word[64])
{
	const char *s = strncmp(squeezed, "group", 5) == 0 ? squeezed + 5 : squeezed;
	char *end;
	unsigned long iana = strtoul(s, &end, 10);

	if (end == s || *end != '\0')
		iana = 0;
	for (unsigned int i = 0; i < N(groups); i++)
		if (strcmp(squeezed, groups[i].name) == 0 ||
			(iana != 0 && iana == groups[i].iana)) {
			snprintf(word, 64, "%s", groups[i].name);
			return true;
		}
	return false;
}

/* Adds an algorithm in a role; false when the word is none of its kind. */
static bool
add(struct build *b, size_t node, enum role role, const char *given)
{
	bool child = b->kind != PROPOSAL_IKE, have = true;
	struct algorithm a;
	char squeezed[48], word[64];

	algorithm_squeeze(given, squeezed, sizeof(squeezed));
	if (strcmp(squeezed, "none") == 0 && role != ENCRYPTION && role != ESN)
		return true;
	switch (role) {
	case ENCRYPTION:
		if (!algorithm_encryption(given, &a))
			return false;
		have = encryption_word(&a, word);
		b->aeads += a.aead;
		break;
	case INTEGRITY:
		if (!algorithm_integrity(given, &a))
			return false;
		have = integrity_word(&a, word);
		break;
	case PRF:
		snprintf(word, sizeof(word), "%s%s", strncmp(squeezed, "prf", 3) == 0 ? "" : "prf",
			squeezed);
		if (strncmp(word, "prfhmac", 7) == 0)
			memmove(word + 3, word + 7, strlen(word + 7) + 1);
		for (unsigned int i = 0; i < N(prfs); i++)
			if (strcmp(word, prfs[i]) == 0) {
				append(b, PRF, word);
				return true;
			}
		return false;
	case ESN:
		return false;
	default:
		if (!group_word(squeezed, word))
			return false;
		if (role != DH) {
			char named[72];

			snprintf(named, sizeof(named), "%s_%s", role_keys[role], word);
			append(b, role, named);
			return true;
		}
		append(b, role, word);
		return true;
	}
	if (child && !have) {
		b->failed = true;
		ike_file_fail(b->f, node,
			"the data plane does not have '%s'; it has AES (GCM, CCM, CBC, CTR, GMAC), "
			"ChaCha20-Poly1305, and HMAC-SHA1 and -SHA2, XCBC and CMAC",
			given);
		return true;
	}
	append(b, role, word);
	return true;
}

static void
add_esn(struct build *b, const char *word)
{
	if (strcmp(word, "both") == 0)
		append(b, ESN, "esn-noesn");
	else if (strcmp(word, "yes") == 0)
		append(b, ESN, "esn");
}

static void
read_mapping(struct build *b, size_t node, const struct schema_section *s)
{
	const struct config_node *nodes = b->f->t.nodes;

	for (enum role role = 0; role < ESN; role++) {
		size_t list;

		if (schema_find(s, role_keys[role]) == NULL)
			continue;
		list = ike_file_get(b->f, node, role_keys[role]);
		for (size_t e = ike_file_each(b->f, list, 0); e != 0;
			e = ike_file_each(b->f, list, e))
			if (nodes[e].kind == CONFIG_SCALAR && !add(b, e, role, nodes[e].value))
				unknown(b, e, role, nodes[e].value);
	}
	if (schema_find(s, "esn") != NULL) {
		char buf[32];
		const char *esn = ike_file_value(b->f, s, node, "esn", buf, sizeof(buf));

		if (esn != NULL)
			add_esn(b, esn);
	}
}

/* "aes256gcm16-prfsha384-ecp384": each word says by itself what it is. */
static void
read_notation(struct build *b, size_t node, const char *text)
{
	char copy[PROPOSAL_MAX], *word, *rest = copy;

	snprintf(copy, sizeof(copy), "%s", text);
	while ((word = strsep(&rest, "-")) != NULL) {
		bool child = b->kind != PROPOSAL_IKE, known;
		enum role guess = ENCRYPTION;

		if (child && (strcmp(word, "esn") == 0 || strcmp(word, "noesn") == 0)) {
			append(b, ESN, word);
			continue;
		}
		if (strncmp(word, "ke", 2) == 0 && word[2] >= '1' && word[2] <= '4' &&
			word[3] == '_') {
			guess = KE1 + (enum role)(word[2] - '1');
			known = add(b, node, guess, word + 4);
		} else if (!child && strncmp(word, "prf", 3) == 0) {
			guess = PRF;
			known = add(b, node, PRF, word);
		} else {
			known = add(b, node, ENCRYPTION, word) || add(b, node, INTEGRITY, word) ||
				add(b, node, DH, word);
			if (!known && (strncmp(word, "sha", 3) == 0 || strncmp(word, "md", 2) == 0))
				guess = INTEGRITY;
			else if (!known && strncmp(word, "aes", 3) != 0)
				guess = DH;
		}
		if (!known)
			unknown(b, node, guess, word);
	}
}

static void
complete(struct build *b, size_t node)
{
	struct ike_file *f = b->f;
	bool mapping = f->t.nodes[node].kind == CONFIG_MAPPING;
	unsigned int ciphers = b->n[ENCRYPTION] - b->aeads;
	const char *key = NULL, *what = NULL;

	if (b->kind == PROPOSAL_AH) {
		if (b->n[ENCRYPTION] > 0)
			key = "encryption", what = "AH encrypts nothing";
		else if (b->n[INTEGRITY] == 0)
			key = "integrity", what = "is missing: AH without integrity is refused";
	} else if (b->n[ENCRYPTION] == 0) {
		key = "encryption", what = "is missing";
	} else if (b->aeads > 0 && ciphers > 0) {
		key = "encryption",
		what = "those with integrity of their own and those without need a proposal each";
	} else if (b->aeads > 0 && b->n[INTEGRITY] > 0) {
		key = "integrity",
		what = "the encryption protects integrity itself: none is all that may stand here";
	} else if (b->aeads == 0 && b->n[INTEGRITY] == 0) {
		key = "integrity", what = "is missing: encryption without integrity is refused";
	} else if (b->kind == PROPOSAL_IKE && b->aeads > 0 && b->n[PRF] == 0) {
		key = "prf",
		what = "is missing: such encryption has no integrity algorithm to take it from";
	} else if (b->kind == PROPOSAL_IKE && b->n[DH] == 0) {
		key = "dh-group", what = "is missing: IKE needs a key exchange";
	}
	for (enum role r = KE1; key == NULL && r <= KE4; r++)
		if (b->n[r] > 0 && b->n[r - 1] == 0)
			key = role_keys[r], what = "there is none before it (dh-group, ke1, ke2 …)";
	if (key == NULL)
		return;
	b->failed = true;
	if (mapping)
		ike_file_fail_key(f, node, key, "%s", what);
	else
		ike_file_fail(f, node, "%s: %s", key, what);
}

int
proposal_text(struct ike_file *f, size_t node, enum proposal_kind kind, char out[PROPOSAL_MAX])
{
	const struct config_node *n = &f->t.nodes[node];
	struct build b = {.f = f, .kind = kind};
	size_t len = 0;

	out[0] = '\0';
	if (n->kind == CONFIG_SCALAR && strcmp(n->value, "default") == 0) {
		snprintf(out, PROPOSAL_MAX, "default");
		return 0;
	}
	if (n->kind == CONFIG_MAPPING)
		read_mapping(&b, node,
			kind == PROPOSAL_IKE ? &schema_ike_proposal : &schema_child_proposal);
	else if (n->kind == CONFIG_SCALAR)
		read_notation(&b, node, n->value);
	else
		return -EINVAL; /* said already */
	if (!b.failed)
		complete(&b, node);
	if (b.failed)
		return -EINVAL;
	for (enum role r = 0; r < N_ROLES; r++)
		if (b.n[r] > 0)
			len += (size_t)snprintf(
				out + len, PROPOSAL_MAX - len, "%s", b.words[r] + (len == 0));
	return 0;
}

bool
proposal_has_esn(const char *text)
{
	const char *s = strstr(text, "esn");

	for (; s != NULL; s = strstr(s + 1, "esn"))
		if (s > text && s[-1] == '-')
			return true;
	return false;
}
