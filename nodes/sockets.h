/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_SOCKETS_H
#define CYGNET_SOCKETS_H

#include "worker.h"

/* Whether charon bound a UDP socket to this local address and port (network order both). */
static inline const struct worker_socket *
worker_socket_find(const struct worker *w, uint32_t addr4, uint16_t port)
{
	const struct worker_sockets *s = atomic_load_explicit(w->sockets, memory_order_acquire);

	for (unsigned int i = 0; i < s->n; i++)
		if (s->s[i].port == port && (s->s[i].addr4 == 0 || s->s[i].addr4 == addr4))
			return &s->s[i];
	return NULL;
}

/* Whether ESP in UDP may come to this local address, on whatever port: of a fragment it is not to be seen. */
static inline bool
worker_socket_decaps(const struct worker *w, uint32_t addr4)
{
	const struct worker_sockets *s = atomic_load_explicit(w->sockets, memory_order_acquire);

	for (unsigned int i = 0; i < s->n; i++)
		if (s->s[i].decap && (s->s[i].addr4 == 0 || s->s[i].addr4 == addr4))
			return true;
	return false;
}

#endif
