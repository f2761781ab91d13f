/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CONFIG_H
#define CYGNET_CONFIG_H

#include "sad.h"
#include "spd.h"
#include "sqn_file.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The router's configuration, as router.yaml says it, checked and with defaults filled in. */

#define CONFIG_MAX_DEVICES 32
#define CONFIG_MAX_VLANS 32 /* of all ports */
#define CONFIG_MAX_PORTS (CONFIG_MAX_DEVICES + CONFIG_MAX_VLANS)
#define CONFIG_NAME_LEN 16 /* IFNAMSIZ: a port's name is its tap's name */

enum lcore_role { ROLE_CONTROL, ROLE_WORKER, ROLE_CRYPTO };
enum crypto_mode { CRYPTO_DEDICATED, CRYPTO_INLINE };
enum idle_mode { IDLE_BACK_OFF, IDLE_POLL };
enum default_action { DEFAULT_DISCARD, DEFAULT_BYPASS };

struct config_lcore {
	unsigned int lcore; /* EAL's lcore id */
	unsigned int cpu;
	enum lcore_role role;
};

/* Room before and after a packet of the largest MTU for ESP in UDP over IPv6, padding and ICV. */
#define CONFIG_PACKET_MARGIN 256

/* A device, or a VLAN of one: those follow the devices. */
struct config_port {
	char *name;
	unsigned int vlan; /* 802.1Q id; 0: it is a device */
	unsigned int parent; /* of a VLAN: index of its device in ports */
	char *devargs; /* NULL of a VLAN, as are netdev and workers */
	char *netdev; /* the Linux interface under it (of the devargs, if it has one), or NULL */
	unsigned int netdev_line; /* of the file, for messages; 0: there is none */
	bool netdev_given; /* by its own key; else by the devargs */
	char **addresses; /* "192.0.2.1/24", set on the tap */
	struct ip_addr *addrs; /* the same, parsed */
	uint8_t *plens;
	unsigned int n_addresses;
	unsigned int mtu;
	unsigned int rx_queues;
	bool workers_given; /* by the file; else in turn */
	unsigned int
		*workers; /* lcore ids of the workers that poll its queues, one for each queue */
	enum default_action default_action;
	unsigned int mark; /* of the packets that come in by it */
	bool outside; /* clear packets that come in by it are never sealed */
};

/* What becomes of clear packets of one direction between two ports, whatever these say themselves. */
struct config_pair {
	unsigned int from, to; /* indexes of ports */
	enum default_action action;
};

struct config_sa {
	struct sa_conf conf;
	uint8_t key[SA_KEY_MAX]; /* encryption key with salt, then integrity key */
	char *name;
	uint8_t digest[SQN_DIGEST]; /* of the key, once that is wiped */
	char *state_file; /* where an outbound one reserves its sequence numbers, or NULL */
	bool insecure_test;
	bool counter; /* its nonces are counted: no number may come twice with its key */
};

struct config_plugin {
	char *library; /* path of the shared object */
	unsigned int line; /* of it in the file, for messages */
	char *node;
	char *from, *to; /* the edge that it is put on */
};

struct config {
	char *path;
	char *name; /* of the router; prefix of its files */
	struct {
		char *file_prefix; /* default: name */
		unsigned int memory; /* MiB on each NUMA node in use, all reserved at start */
		char **options; /* further EAL options */
		unsigned int n_options;
	} eal;
	struct config_lcore *lcores;
	unsigned int n_lcores;
	struct config_port *ports;
	unsigned int n_ports;
	struct {
		enum crypto_mode mode;
		char **devices; /* driver names in order of preference */
		unsigned int n_devices;
		unsigned int frames; /* a worker's frames in flight */
	} crypto;
	enum idle_mode idle;
	unsigned int log_level; /* RTE_LOG_* of our own lines */
	enum default_action
		local_action; /* clear packets to and from the router itself, no policy */
	unsigned int
		policies_timeout; /* s until an owner must have said that policies are complete */
	unsigned int orphan_grace; /* s until the SAs of a dead owner go */
	unsigned int reassembly_timeout; /* s that a datagram waits for its fragments */
	enum sa_fragment fragment; /* of SAs that do not say it themselves: charon's */
	unsigned int audit_rate; /* lines a second and kind in the log; 0: none */
	bool path_mtu_discovery; /* what ICMP says of the paths of SAs is believed */
	bool keep_keys; /* "insecure": the keys of SAs stay, for captures */
	bool static_only; /* no charon is expected: static policies are complete at start */
	struct {
		unsigned int sas, policies, routes, nexthops, mbufs, punt_rate, reassemblies;
	} limits;
	struct config_sa *sas;
	unsigned int n_sas;
	struct spd_policy_conf *policies;
	unsigned int n_policies;
	struct config_pair *pairs;
	unsigned int n_pairs;
	struct config_plugin *plugins;
	unsigned int n_plugins;
	struct {
		char *address; /* NULL: nobody is told */
		unsigned int port; /* TCP */
		char *vici; /* charon's socket; NULL: its state is not among them */
	} metrics;
	char *socket; /* of cygnetctl; default /run/cygnet/<name>.sock */
};

/*
 * Reads and checks a file. On an error prints one line to stderr that names file, line
 * and key, frees all and returns NULL. Nothing outside is touched.
 */
struct config *config_load(const char *path);

/* Wipes keys and frees all. */
void config_free(struct config *config);

/* Bytes of data that a packet buffer must have room for, without its headroom, and of the whole of it in memory. Any thread. */
unsigned int config_packet_room(const struct config *config);
unsigned int config_packet_size(const struct config *config);

/* Whether a policy of the file lets packets out in clear. Any thread. */
bool config_bypasses(const struct config *config);

/*
 * Prints the plan, lcore by lcore: role, cpu, NUMA node (libnuma), whether the kernel isolates the cpu
 * (isolcpus, cpuset partitions), its ports and queues, its distance to the workers or ports it serves;
 * then ports, crypto devices, tables and their memory. Returns 0, or -ENODEV when a netdev of a port or
 * a cpu is missing (one line says which).
 */
int config_plan(const struct config *config, FILE *out);

/* The EAL argument vector of the configuration; NULL-terminated, free with config_eal_free(). */
char **config_eal_args(const struct config *config, const char *argv0, int *argc);
void config_eal_free(char **argv);

/* Whether a port's devargs name a PCI device. */
bool config_is_pci(const char *devargs);

/* Whether the kernel keeps other work from the cpu (isolcpus= or an isolated cpuset partition). */
bool config_cpu_isolated(unsigned int cpu);

#endif
