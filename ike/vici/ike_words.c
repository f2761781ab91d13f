/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_words.h"

#include <string.h>

/*
 * A line is known by how it begins, and where that does not suffice by how it ends, too: in between are names and identities,
 * which are the peer's to choose.
 */
static const struct {
	const char *begins;
	const char *ends; /* NULL: anyhow */
	const char *words;
	unsigned int weight;
	enum { GATEWAY, TUNNEL } of;
} known[] = {
	{"received NO_PROPOSAL_CHOSEN notify, no CHILD_SA", NULL,
		"the peer accepts none of the tunnel's proposals (NO_PROPOSAL_CHOSEN)", 3, TUNNEL},
	{"received NO_PROPOSAL_CHOSEN", NULL,
		"the peer accepts none of the proposals (NO_PROPOSAL_CHOSEN)", 3, GATEWAY},
	{"received proposals unacceptable", NULL, "the peer's proposals are none of ours", 3,
		GATEWAY},
	{"no acceptable proposal found", NULL, "the peer's proposals are none of ours", 3, GATEWAY},
	{"received AUTHENTICATION_FAILED", NULL,
		"the peer does not accept who we are: another key, certificate or identity "
		"(AUTHENTICATION_FAILED)",
		3, GATEWAY},
	{"tried ", ", but MAC mismatched", "the pre-shared keys differ", 4, GATEWAY},
	{"no shared key found for", NULL, "there is no pre-shared key for these identities", 4,
		GATEWAY},
	{"no private key found for", NULL, "the private key of our certificate is missing", 4,
		GATEWAY},
	{"no trusted", NULL, "the peer's certificate is signed by nobody whom we trust", 4,
		GATEWAY},
	{"no issuer certificate found", NULL,
		"the peer's certificate is signed by nobody whom we trust", 4, GATEWAY},
	{"certificate was revoked", NULL, "the peer's certificate is revoked", 4, GATEWAY},
	{"subject certificate invalid", NULL, "the peer's certificate is not valid now", 4,
		GATEWAY},
	{"constraint check failed", NULL,
		"the peer is not who it should be: another identity or certificate", 3, GATEWAY},
	{"no matching peer config found", NULL,
		"the peer has another identity than any gateway here", 3, GATEWAY},
	{"no IKE config found", NULL, "no gateway here has the peer's address", 3, GATEWAY},
	{"received TS_UNACCEPTABLE", NULL,
		"the peer does not want these selectors (TS_UNACCEPTABLE)", 3, TUNNEL},
	{"no acceptable traffic selectors", NULL, "the peer's selectors do not fit ours", 4,
		TUNNEL},
	{"traffic selectors ", " unacceptable", "the peer's selectors do not fit ours", 4, TUNNEL},
	{"received IDr ", NULL, "the peer has another identity than remote-id says", 4, GATEWAY},
	{"configured ", " not supported",
		"this charon does not have the key exchange of the proposals", 2, GATEWAY},
	{"requested ", " not supported",
		"this charon does not have the key exchange of the proposals", 2, GATEWAY},
	{"received INVALID_KE_PAYLOAD", NULL,
		"the peer wants another key exchange (INVALID_KE_PAYLOAD)", 1, GATEWAY},
	{"received INTERNAL_ADDRESS_FAILURE", NULL,
		"the peer has no virtual address for us (INTERNAL_ADDRESS_FAILURE)", 3, GATEWAY},
	{"received NO_ADDITIONAL_SAS", NULL,
		"the peer wants no further tunnels (NO_ADDITIONAL_SAS)", 3, TUNNEL},
	{"received FAILED_CP_REQUIRED", NULL,
		"the peer wants us to ask for a virtual address (FAILED_CP_REQUIRED)", 3, GATEWAY},
	{"no virtual IP found", NULL, "no virtual address is left for the peer", 3, GATEWAY},
	{"retransmit 2 of request", NULL, "the peer has not answered yet", 1, GATEWAY},
	{"peer not responding", NULL, "the peer does not answer", 2, GATEWAY},
	{"establishing IKE_SA failed", ", peer not responding", "the peer does not answer", 2,
		GATEWAY},
	{"rekeying IKE_SA failed", ", peer not responding", "the peer does not answer", 2, GATEWAY},
	{"giving up after", NULL, "the peer does not answer", 2, GATEWAY},
	{"unable to resolve", NULL, "the peer's name is in no DNS", 3, GATEWAY},
	{"no socket implementation", NULL, "charon cannot send", 3, GATEWAY},
	{"error writing to socket", NULL, "there is no way to the peer's address", 2, GATEWAY},
	{"unable to install ", "IPsec SA (SAD) in kernel",
		"the router did not take the SAs: is it running?", 4, TUNNEL},
	{"unable to install IPsec policies", NULL,
		"the router did not take the policies: do they clash with others?", 4, TUNNEL},
	{"unable to allocate SPI", NULL, "the router gave no SPI: is it running?", 4, TUNNEL},
	{"allocating SPI failed", NULL, "the router gave no SPI: is it running?", 4, TUNNEL},
	{"installing trap failed", NULL, "the trap was not installed: is the peer's address known?",
		4, GATEWAY},
	{"integrity check failed", NULL, "messages of the peer are damaged, or its key is another",
		2, GATEWAY},
};

static bool
fits(const char *line, const char *begins, const char *ends)
{
	size_t len = strlen(line), from = strlen(begins);

	if (strncmp(line, begins, from) != 0)
		return false;
	return ends == NULL ||
	       (len >= from + strlen(ends) && strcmp(line + len - strlen(ends), ends) == 0);
}

bool
ike_words(const char *line, struct ike_words *w)
{
	for (unsigned int i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (fits(line, known[i].begins, known[i].ends)) {
			w->words = known[i].words;
			w->weight = known[i].weight;
			w->of_tunnel = known[i].of == TUNNEL;
			return true;
		}
	return false;
}
