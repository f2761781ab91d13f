/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SOCKETS_H
#define CYGNET_SOCKETS_H

#include "worker.h"

/* What charon's UDP sockets are for: several may be of one address and port. */
enum { SOCKET_IKE = 1 << 0, SOCKET_DECAP = 1 << 1 };

static inline bool
socket_is_of(const struct worker_socket *s, uint8_t family, const void *addr)
{
	static const uint8_t any[16];

	if (s->addr.family == 0)
		return true;
	if (s->addr.family != family)
		return false;
	if (family == 4)
		return s->addr.v4 == 0 || memcmp(s->addr.b, addr, 4) == 0;
	return memcmp(s->addr.b, any, 16) == 0 || memcmp(s->addr.b, addr, 16) == 0;
}

/* SOCKET_* of this local address (of that family, network order) and port (network order); 0: none is bound. */
static inline unsigned int
worker_socket_use(const struct worker *w, uint8_t family, const void *addr, uint16_t port)
{
	const struct worker_sockets *s = atomic_load_explicit(w->sockets, memory_order_acquire);
	unsigned int use = 0;

	for (unsigned int i = 0; i < s->n; i++)
		if (s->s[i].port == port && socket_is_of(&s->s[i], family, addr))
			use |= (s->s[i].ike ? SOCKET_IKE : 0) | (s->s[i].decap ? SOCKET_DECAP : 0);
	return use;
}

/* Whether ESP in UDP may come to this local address, on whatever port: of a fragment it is not to be seen. */
static inline bool
worker_socket_decaps(const struct worker *w, uint8_t family, const void *addr)
{
	const struct worker_sockets *s = atomic_load_explicit(w->sockets, memory_order_acquire);

	for (unsigned int i = 0; i < s->n; i++)
		if (s->s[i].decap && socket_is_of(&s->s[i], family, addr))
			return true;
	return false;
}

#endif
