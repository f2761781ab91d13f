/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_ROUTER_H
#define CYGNET_ROUTER_H

#include "config.h"
#include "fib.h"
#include "host.h"
#include "rcu.h"
#include "sad.h"
#include "spd.h"
#include "worker.h"

#include <event2/event.h>

struct channel;
struct crypto;
struct ctl;
struct metrics;
struct reload;
struct notify;
struct sqn_store;

/* The SAD's range, and charon's own default (charon.spi_min, spi_max). */
#define ROUTER_SPI_MIN 0xc0000000u
#define ROUTER_SPI_MAX 0xcfffffffu

/* The running router: owned by the control thread; what lcores see of it is in their struct worker. */
struct router {
	struct config *config;
	struct event_base *base;
	uint64_t epoch; /* of this start */
	struct rcu *rcu;
	struct crypto *crypto;
	struct sad *sad;
	struct spd *spd;
	struct sqn_store *sqn_store; /* of static SAs with a state file */
	struct fib *fib;
	struct host *host;
	struct channel *channel; /* to the plugin */
	struct ctl *ctl; /* cygnetctl's socket */
	struct metrics *metrics; /* for Prometheus, when the configuration says so */
	struct notify *notify; /* of the service manager */
	struct reload *reload; /* that runs, or NULL */
	struct rte_mempool *mbufs;
	struct rte_ring *mappings; /* of struct sa_mapping, from workers */
	struct rte_ring *path_mtus; /* of struct sa_path_mtu, likewise */
	struct {
		struct rte_ring *ring; /* of struct audit_event, from workers */
		uint64_t second, lines[AUDIT_KINDS]; /* lines written in this second */
		uint64_t suppressed[AUDIT_KINDS]; /* by the control thread */
		uint64_t told[AUDIT_KINDS], tell_at;
	} audit;
	struct worker **lcores; /* workers first, then crypto lcores */
	unsigned int n_lcores, n_workers;
	uint16_t
		port_ids[CONFIG_MAX_PORTS]; /* of config->ports[i]: DPDK's; of VLANs, those after */
	uint8_t *vlans[WORKER_MAX_DEVICES]; /* of a device: worker_port.vlans */
	struct worker_sockets *_Atomic sockets; /* of charon */
	bool pair_bypass[WORKER_MAX_PORTS][WORKER_MAX_PORTS];
	struct event *events[5];
	_Atomic bool stopping;
};

/*
 * Starts everything in its order; config stays the caller's. After a failure, which it has logged, call
 * router_stop() all the same. EAL runs. Control thread, as all here.
 */
int router_start(struct router *r, struct config *config);
void router_run(struct router *r); /* until SIGTERM or SIGINT; lets signals in */
void router_stop(struct router *r);

/* SIGTERM, SIGINT and SIGHUP wait until router_run(), of this thread and of those that it starts. Before EAL, whose files hold keys. */
void router_hold_signals(void);

/*
 * Makes the state files of static SAs that are not there yet, for keys that were never used; says on stdout which.
 * Needs no EAL. Returns 0 or a negative errno, after a line on stderr.
 */
int router_create_state(const struct config *config);

/* graph/channel.c: the router's end of rte_mp. Control thread. */
struct channel *channel_start(struct router *r);
void channel_stop(struct channel *c);
void channel_settings(
	struct channel *c); /* what a reload may change is read from the configuration again */
void channel_tick(
	struct channel *c); /* each 100 ms: owners, orphans, acquires, expiries to be sent */
void channel_mapping(struct channel *c, const struct sa_mapping *m);
void channel_expire(struct channel *c, uint32_t slot, bool hard); /* an SA's lifetime ran out */

struct channel_owner {
	uint64_t owner;
	bool alive; /* the agent answers for it */
	unsigned int sas, policies;
	int pid;
	uint64_t lost_events;
};
/* Version of the agent that was refused last; NULL: none was since one was not. */
const char *channel_refused_agent(const struct channel *c);

/* The owners known; returns how many were written. */
unsigned int channel_owners(const struct channel *c, struct channel_owner *v, unsigned int max);

/* graph/ctl.c: the socket of cygnetctl. Control thread. */
struct ctl *ctl_start(struct router *r);
void ctl_stop(struct ctl *ctl);

/* Replaces charon's sockets as lcores see them; the old set goes by RCU. */
int router_set_sockets(struct router *r, const struct worker_sockets *s);

#endif
