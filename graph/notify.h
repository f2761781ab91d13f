/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_NOTIFY_H
#define CYGNET_NOTIFY_H

#include <event2/event.h>

/* What the service manager is told (sd_notify); nothing happens where there is none. Control thread. */

struct notify;

/* It is up. Where the manager has a watchdog it hears from the control thread twice as often as it must. */
struct notify *notify_ready(struct event_base *base, const char *name);
void notify_stopping(void);
void notify_free(struct notify *n);

#endif
