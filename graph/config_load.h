/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CONFIG_LOAD_H
#define CYGNET_CONFIG_LOAD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf(), cpu_set_t, tdestroy() */
#endif

#include "config.h"
#include "config_text.h"

#include <sched.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * What the files config*.c share while a configuration is read; nobody else includes it. All of it runs
 * on one thread, before EAL. Every function that returns int gives 0, or -EINVAL after it has
 * printed its one line, or -ENOMEM.
 *
 * The way of a file: config_file_read() takes its keys out of the text, so that no parser makes copies of
 * them, and lets config_lines_read() find where each key stands; config_schema_load() turns the text into the
 * structs below (structure, types, unknown keys: libcyaml); the config_read_*() functions check the values
 * and move them into struct config.
 */

/*
 * The file as it is written; NULL where it says nothing. Numbers are text here: libcyaml would take
 * "256M" for 256 and -1 for the largest.
 */
struct raw_eal {
	char *file_prefix;
	char *memory;
	char **options;
	unsigned int n_options;
};

struct raw_lcore {
	char *lcore, *cpu, *role;
};

struct raw_port {
	char *name, *devargs, *netdev;
	char **addresses;
	unsigned int n_addresses;
	char *mtu, *rx_queues;
	char **workers;
	unsigned int n_workers;
	char *default_action, *mark, *outside;
	char *id; /* of a VLAN, which has less than a port */
	struct raw_port *vlans;
	unsigned int n_vlans;
};

struct raw_crypto {
	char *mode;
	char **devices;
	unsigned int n_devices;
	char *frames;
};

struct raw_ipsec {
	char *local_action;
	char *policies_timeout, *orphan_grace;
	char *static_only, *path_mtu_discovery;
	char *fragment, *reassembly_timeout;
	char *audit_rate;
	char *keep_keys;
};

struct raw_metrics {
	char *address, *port, *vici;
};

struct raw_limits {
	char *sas, *policies, *routes, *nexthops, *mbufs, *punt_rate, *reassemblies;
};

struct raw_encap {
	char *source_port, *destination_port;
};

struct raw_lifetime {
	char *time_soft, *time_hard, *bytes_soft, *bytes_hard, *packets_soft, *packets_hard;
};

struct raw_sa {
	char *name, *direction, *protocol, *mode;
	char *spi, *source, *destination;
	char *encryption, *integrity, *key, *integrity_key;
	char *reqid, *replay_window, *esn;
	struct raw_encap *encapsulation;
	struct raw_lifetime *lifetime;
	char *insecure_test, *fragment, *state_file;
	char *if_id, *mark;
	char *df, *dscp, *ecn, *flow_label, *ttl;
};

struct raw_policy {
	char *direction, *action, *source, *destination, *protocol;
	char *source_ports, *destination_ports;
	char *reqid, *spi, *priority;
	char *mode, *tunnel_source, *tunnel_destination;
	char *if_id, *mark;
};

struct raw_pair {
	char *from, *to, *action;
};

struct raw_plugin {
	char *library, *node, *edge;
};

struct raw {
	char *name, *idle, *log_level, *socket;
	struct raw_eal *eal;
	struct raw_lcore *lcores;
	unsigned int n_lcores;
	struct raw_port *ports;
	unsigned int n_ports;
	struct raw_crypto *crypto;
	struct raw_ipsec *ipsec;
	struct raw_limits *limits;
	struct raw_metrics *metrics;
	struct raw_sa *sas;
	unsigned int n_sas;
	struct raw_policy *policies;
	unsigned int n_policies;
	struct raw_plugin *plugins;
	unsigned int n_plugins;
	struct raw_pair *pairs;
	unsigned int n_pairs;
};

struct config_load {
	struct config_text t; /* its keys are replaced by placeholders */
	char *secrets; /* the keys, as hexadecimal digits one after the other */
	size_t secrets_len;
	size_t *secret_at; /* where each begins; one more for the end */
	size_t n_secrets;
	struct raw *raw;
	struct config *config;
	const struct config_sa **by_reqid; /* static SAs by direction, reqid and SPI */
};

/* A place in the file: "ports" and 1 is ports[1]; index -1: the section itself; section NULL: the top. */
struct config_where {
	const char *section;
	int index;
};

#define AT(section, index) (&(const struct config_where){(section), (index)})

/* Prints "file:line: ports[1].mtu: text" and returns -EINVAL. key may be NULL. */
int config_fail(const struct config_load *l, const struct config_where *w, const char *key,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));
int config_fail_path(const struct config_load *l, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A number, decimal or 0x…; *out stays as it is where the file says nothing. */
int config_number(const struct config_load *l, const struct config_where *w, const char *key,
	const char *value, uint64_t *out);

/* The same with its default and range. */
int config_uint(const struct config_load *l, const struct config_where *w, const char *key,
	const char *value, unsigned int dflt, uint64_t min, uint64_t max, unsigned int *out);

/* Index of the word in names (NULL at its end); dflt where the file says nothing. */
int config_choice(const struct config_load *l, const struct config_where *w, const char *key,
	const char *value, const char *const *names, unsigned int dflt, unsigned int *out);
int config_bool(const struct config_load *l, const struct config_where *w, const char *key,
	const char *value, bool dflt, bool *out);

/* By enum sa_fragment. */
extern const char *const config_fragment_names[];

/* calloc into *out, a pointer; 0 elements give NULL and 0. config_load() tells -ENOMEM. */
int config_alloc(void *out, size_t n, size_t size);

/* Moves a string out of what libcyaml made, so that it is not freed there. */
static inline char *
config_take(char **s)
{
	char *taken = *s;

	*s = NULL;
	return taken;
}

/* config_file.c */
int config_file_read(struct config_load *l);
/* The digits that the placeholder stands for, not terminated; NULL when it is none. */
const char *config_secret(const struct config_load *l, const char *placeholder, size_t *len);
void config_file_free(struct config_load *l);

/* config_schema.c */
int config_schema_load(struct config_load *l);
void config_schema_free(struct config_load *l);

/* config_ports.c */
int config_read_lcores(struct config_load *l);
int config_read_ports(struct config_load *l);
int config_read_plugins(struct config_load *l);

/* config_sas.c */
int config_read_sas(struct config_load *l);
const struct config_sa *config_sa_of(
	const struct config_load *l, uint8_t dir, uint32_t reqid, uint32_t spi);

/* config_selector.c */
int config_read_selector(struct config_load *l, const struct config_where *w,
	const struct raw_policy *raw, struct spd_selector *sel);
int config_read_mark(struct config_load *l, const struct config_where *w, const char *value,
	uint32_t *mark, uint32_t *mask);

/* config_pairs.c */
int config_read_pairs(struct config_load *l);

/* config_policies.c */
int config_read_policies(struct config_load *l);

/* config_cpus.c */
bool config_cpu_online(unsigned int cpu);
/* The cpus that isolcpus= (a sysfs file) and isolated cpuset partitions (a cgroup tree) keep apart. */
void config_isolated_cpus(const char *sysfs_isolated, const char *cgroup_root, cpu_set_t *set);
/* NUMA node of a cpu; 0 where the machine or its kernel knows none. */
int config_cpu_node(unsigned int cpu);

#endif
