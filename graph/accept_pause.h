/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ACCEPT_PAUSE_H
#define CYGNET_ACCEPT_PAUSE_H

struct evconnlistener;

/*
 * A listener whose accept() failed, for want of descriptors most likely, would fail at once again and leave the control thread
 * no time: it rests for a second. Control thread.
 */
struct accept_pause;

/* who: begins the line in the log, and lives as long. NULL: there is no memory. It goes before its listener. */
struct accept_pause *accept_pause_new(struct evconnlistener *l, const char *who);
void accept_pause_free(struct accept_pause *p);

#endif
