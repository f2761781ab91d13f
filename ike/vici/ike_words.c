/* SPDX-License-Identifier: BSD-3-Clause */
#include "ike_words.h"

#include <string.h>

static const struct {
	const char *piece; /* of charon's line */
	const char *words;
	unsigned int weight;
	enum { GATEWAY, TUNNEL } of;
} known[] = {
	{"NO_PROPOSAL_CHOSEN notify, no CHILD_SA",
		"the peer accepts none of the tunnel's proposals (NO_PROPOSAL_CHOSEN)", 3, TUNNEL},
	{"received NO_PROPOSAL_CHOSEN",
		"the peer accepts none of the proposals (NO_PROPOSAL_CHOSEN)", 3, GATEWAY},
	{"received proposals unacceptable", "the peer's proposals are none of ours", 3, GATEWAY},
	{"no acceptable proposal found", "the peer's proposals are none of ours", 3, GATEWAY},
	{"no acceptable ENCRYPTION_ALGORITHM", "the peer's proposals are none of ours", 2, GATEWAY},
	{"received AUTHENTICATION_FAILED",
		"the peer does not accept who we are: another key, certificate or identity "
		"(AUTHENTICATION_FAILED)",
		3, GATEWAY},
	{"MAC mismatched", "the pre-shared keys differ", 4, GATEWAY},
	{"no shared key found for", "there is no pre-shared key for these identities", 4, GATEWAY},
	{"no private key found for", "the private key of our certificate is missing", 4, GATEWAY},
	{"no trusted", "the peer's certificate is signed by nobody whom we trust", 4, GATEWAY},
	{"no issuer certificate found", "the peer's certificate is signed by nobody whom we trust",
		4, GATEWAY},
	{"certificate has been revoked", "the peer's certificate is revoked", 4, GATEWAY},
	{"subject certificate invalid", "the peer's certificate is not valid now", 4, GATEWAY},
	{"constraint check failed",
		"the peer is not who it should be: another identity or certificate", 3, GATEWAY},
	{"no matching peer config found", "the peer has another identity than any gateway here", 3,
		GATEWAY},
	{"no IKE config found", "no gateway here has the peer's address", 3, GATEWAY},
	{"received TS_UNACCEPTABLE", "the peer does not want these selectors (TS_UNACCEPTABLE)", 3,
		TUNNEL},
	{"no acceptable traffic selectors", "the peer's selectors do not fit ours", 4, TUNNEL},
	{"traffic selectors", "the peer's selectors do not fit ours", 4, TUNNEL},
	{"but require", "the peer has another identity than remote-id says", 4, GATEWAY},
	{"not supported", "this charon does not have the key exchange of the proposals", 2,
		GATEWAY},
	{"received INVALID_KE_PAYLOAD", "the peer wants another key exchange (INVALID_KE_PAYLOAD)",
		1, GATEWAY},
	{"received INTERNAL_ADDRESS_FAILURE",
		"the peer has no virtual address for us (INTERNAL_ADDRESS_FAILURE)", 3, GATEWAY},
	{"received NO_ADDITIONAL_SAS", "the peer wants no further tunnels (NO_ADDITIONAL_SAS)", 3,
		TUNNEL},
	{"received FAILED_CP_REQUIRED",
		"the peer wants us to ask for a virtual address (FAILED_CP_REQUIRED)", 3, GATEWAY},
	{"no virtual IP found", "no virtual address is left for the peer", 3, GATEWAY},
	{"retransmit 2 of request", "the peer has not answered yet", 1, GATEWAY},
	{"peer not responding", "the peer does not answer", 2, GATEWAY},
	{"giving up after", "the peer does not answer", 2, GATEWAY},
	{"unable to resolve", "the peer's name is in no DNS", 3, GATEWAY},
	{"no socket implementation", "charon cannot send", 3, GATEWAY},
	{"error writing to socket", "there is no way to the peer's address", 2, GATEWAY},
	{"IPsec SA (SAD) in kernel", "the router did not take the SAs: is it running?", 4, TUNNEL},
	{"unable to install IPsec policies",
		"the router did not take the policies: do they clash with others?", 4, TUNNEL},
	{"unable to allocate SPI", "the router gave no SPI: is it running?", 4, TUNNEL},
	{"allocating SPI failed", "the router gave no SPI: is it running?", 4, TUNNEL},
	{"installing trap failed", "the trap was not installed: is the peer's address known?", 4,
		GATEWAY},
	{"invalid KE", "the peer's key exchange is broken", 3, GATEWAY},
	{"integrity check failed", "messages of the peer are damaged, or its key is another", 2,
		GATEWAY},
};

bool
ike_words(const char *line, struct ike_words *w)
{
	for (unsigned int i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strstr(line, known[i].piece) != NULL) {
			w->words = known[i].words;
			w->weight = known[i].weight;
			w->of_tunnel = known[i].of == TUNNEL;
			return true;
		}
	return false;
}
