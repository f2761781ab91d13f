/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CYGNET_LINK_H
#define CYGNET_LINK_H

#include "desired.h"

#include <sys/types.h>

/*
 * The link to the router: starts the agent, restarts it when it goes, and carries requests and events.
 *
 * One thread of its own reads what comes; a second one tells a router that is new, or that lost something, the
 * desired state. The lock guards the desired state and the order of requests on the socket; it is never held
 * while anything is waited for, and nothing is sent that would block.
 */

struct link_conf {
	const char *agent; /* path of cygnet-agent */
	/* Path of the Unix socket at which an agent, run by somebody else, listens; NULL: one is started. */
	const char *agent_socket;
	const char *file_prefix; /* of the router */
	unsigned int timeout_ms; /* of a request */
	/* How long after the start policies may still come before they are said to be complete, where that lets
	 * pass in clear what none names. */
	unsigned int complete_ms;
	unsigned int retry_ms; /* between replays, while the router refuses a part; 0: no retries */
	uint32_t spi_min, spi_max; /* host order */
	/* For tests: gives fd, now theirs, to an agent of theirs; NULL: the real one is started. Sets *pid
	 * (0: none to wait for). Returns 0 or a negative errno. */
	int (*start_agent)(void *ctx, int fd, pid_t *pid);
	/* An event, or an inbound SA that died with its router: from a thread of the link, no lock held. */
	void (*event)(void *ctx, const struct ike_msg *msg);
	/* One line for the log; level 1 is for the operator, 2 for who looks closer. */
	void (*log)(void *ctx, int level, const char *line);
	void *ctx;
};

struct link;

struct link *link_create(const struct link_conf *conf, struct desired *desired);

/* Ends the agent and the threads; pending calls fail. */
void link_destroy(struct link *l);

void link_lock(struct link *l);
void link_unlock(struct link *l);

/* Of the router that is there, 0: none; lock held. */
uint64_t link_epoch(const struct link *l);

/*
 * Waits for an agent that is on its way to a router, a time-out at the longest; returns at once when one is
 * attached, or has found that no router is there. Lock held, before and after.
 */
void link_wait_up(struct link *l);

/* Something that the router should know may not have reached it: it is told all again; lock held. */
void link_replay(struct link *l);

/* Whether that status says nothing about the request itself: to tell it again can help. */
bool link_is_passing(int status);

/*
 * A request and its reply, which replaces *msg. With the lock held, which it gives up before it waits and does
 * not take again: link_lock(); change the desired state; link_call(). key: IKE_ADD_SA alone, else NULL.
 * Returns the router's status, -ENOTCONN at once when no router is there, -ETIMEDOUT, -ESTALE when
 * another router came meanwhile.
 */
int link_call(struct link *l, struct ike_msg *msg, const void *key, size_t key_len);

#endif
