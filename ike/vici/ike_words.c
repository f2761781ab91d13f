/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_words.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *piece; /* of charon's line */
	const char *words;
	unsigned int weight;
} known[] = {
	{"received NO_PROPOSAL_CHOSEN",
		"the peer accepts none of the proposals (NO_PROPOSAL_CHOSEN)", 3},
	{"received proposals unacceptable", "the peer's proposals are none of ours", 3},
	{"no acceptable proposal found", "the peer's proposals are none of ours", 3},
	{"no acceptable ENCRYPTION_ALGORITHM", "the peer's proposals are none of ours", 2},
	{"received AUTHENTICATION_FAILED",
		"the peer does not accept who we are: another key, certificate or identity "
		"(AUTHENTICATION_FAILED)",
		3},
	{"MAC mismatched", "the pre-shared keys differ", 4},
	{"no shared key found for", "there is no pre-shared key for these identities", 4},
	{"no private key found for", "the private key of our certificate is missing", 4},
	{"no trusted", "the peer's certificate is signed by nobody whom we trust", 4},
	{"no issuer certificate found", "the peer's certificate is signed by nobody whom we trust",
		4},
	{"certificate has been revoked", "the peer's certificate is revoked", 4},
	{"subject certificate invalid", "the peer's certificate is not valid now", 4},
	{"constraint check failed",
		"the peer is not who it should be: another identity or certificate", 3},
	{"no matching peer config found", "the peer has another identity than any gateway here", 3},
	{"no IKE config found", "no gateway here has the peer's address", 3},
	{"received TS_UNACCEPTABLE", "the peer does not want these selectors (TS_UNACCEPTABLE)", 3},
	{"no acceptable traffic selectors", "the peer's selectors do not fit ours", 4},
	{"unacceptable, failing", "the peer's selectors do not fit ours", 2},
	{"but require", "the peer has another identity than remote-id says", 4},
	{"not supported", "this charon does not have the key exchange of the proposals", 2},
	{"received INVALID_KE_PAYLOAD", "the peer wants another key exchange (INVALID_KE_PAYLOAD)",
		1},
	{"received INTERNAL_ADDRESS_FAILURE",
		"the peer has no virtual address for us (INTERNAL_ADDRESS_FAILURE)", 3},
	{"received NO_ADDITIONAL_SAS", "the peer wants no further tunnels (NO_ADDITIONAL_SAS)", 3},
	{"received FAILED_CP_REQUIRED",
		"the peer wants us to ask for a virtual address (FAILED_CP_REQUIRED)", 3},
	{"no virtual IP found", "no virtual address is left for the peer", 3},
	{"peer not responding", "the peer does not answer", 2},
	{"giving up after", "the peer does not answer", 2},
	{"unable to resolve", "the peer's name is in no DNS", 3},
	{"no socket implementation", "charon cannot send", 3},
	{"error writing to socket", "there is no way to the peer's address", 2},
	{"IPsec SA (SAD) in kernel", "the router did not take the SAs: is it running?", 4},
	{"unable to install IPsec policies",
		"the router did not take the policies: do they clash with others?", 4},
	{"unable to allocate SPI", "the router gave no SPI: is it running?", 4},
	{"allocating SPI failed", "the router gave no SPI: is it running?", 4},
	{"installing trap failed", "the trap was not installed: is the peer's address known?", 4},
	{"invalid KE", "the peer's key exchange is broken", 3},
	{"integrity check failed", "messages of the peer are damaged, or its key is another", 2},
};

const char *
ike_words(const char *line, char *buf, size_t size, unsigned int *weight)
{
	for (unsigned int i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strstr(line, known[i].piece) != NULL) {
			*weight = known[i].weight;
			snprintf(buf, size, "%s", known[i].words);
			return buf;
		}
	return NULL;
}
