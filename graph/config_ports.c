/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LCORES_MAX 32 /* of a role: workers know that many crypto lcores, and the other way round */
#define QUEUES_MAX 32
#define NODE_NAME_MAX 63 /* RTE_NODE_NAMESIZE */
#define AF_PACKET_MTU 1500 /* its driver's max_rx_pktlen is RTE_ETHER_MAX_LEN */

static int
check_roles(struct config_load *l)
{
	const struct config *c = l->config;
	const struct config_where *w = AT("lcores", -1);
	unsigned int n[3] = {0};

	for (unsigned int i = 0; i < c->n_lcores; i++)
		n[c->lcores[i].role]++;
	if (n[ROLE_CONTROL] != 1)
		return config_fail(
			l, w, NULL, "%u lcores have the role control; one shall", n[ROLE_CONTROL]);
	if (n[ROLE_WORKER] == 0)
		return config_fail(l, w, NULL, "no lcore has the role worker");
	if (n[ROLE_WORKER] > LCORES_MAX || n[ROLE_CRYPTO] > LCORES_MAX)
		return config_fail(l, w, NULL, "more than %u lcores of one role", LCORES_MAX);
	if (c->crypto.mode == CRYPTO_DEDICATED && n[ROLE_CRYPTO] == 0)
		return config_fail(l, w, NULL,
			"no lcore has the role crypto (crypto.mode is dedicated; inline needs "
			"none)");
	for (unsigned int i = 0; i < c->n_lcores; i++)
		if (c->crypto.mode == CRYPTO_INLINE && c->lcores[i].role == ROLE_CRYPTO)
			return config_fail(l, AT("lcores", i), "role",
				"crypto.mode is inline: no lcore may have the role crypto");
	return 0;
}

int
config_read_lcores(struct config_load *l)
{
	static const char *const roles[] = {"control", "worker", "crypto", NULL};
	struct config *c = l->config;
	int ret = config_alloc(&c->lcores, l->raw->n_lcores, sizeof(*c->lcores));

	for (unsigned int i = 0; ret == 0 && i < l->raw->n_lcores; i++) {
		const struct raw_lcore *raw = &l->raw->lcores[i];
		const struct config_where *w = AT("lcores", i);
		struct config_lcore *lc = &c->lcores[i];
		unsigned int role;

		ret = config_uint(l, w, "lcore", raw->lcore, 0, 0, RTE_MAX_LCORE - 1, &lc->lcore);
		if (ret == 0)
			ret = config_uint(l, w, "cpu", raw->cpu, 0, 0, CPU_SETSIZE - 1, &lc->cpu);
		if (ret == 0)
			ret = config_choice(l, w, "role", raw->role, roles, 0, &role);
		if (ret < 0)
			return ret;
		lc->role = role;
		if (!config_cpu_online(lc->cpu))
			return config_fail(
				l, w, "cpu", "cpu %u does not exist, or is offline", lc->cpu);
		for (unsigned int j = 0; j < i; j++)
			if (c->lcores[j].lcore == lc->lcore)
				return config_fail(l, w, "lcore",
					"lcore %u has a role already: lcores[%u] (%s)", lc->lcore,
					j, roles[c->lcores[j].role]);
		c->n_lcores++;
	}
	return ret < 0 ? ret : check_roles(l);
}

/* "0000:03:00.1" or "03:00.1", and what may follow after a comma. */
bool
config_is_pci(const char *devargs)
{
	unsigned int domain, bus, dev, fn;
	int end = 0;

	if (!isxdigit((unsigned char)devargs[0]))
		return false;
	if ((sscanf(devargs, "%4x:%2x:%2x.%1x%n", &domain, &bus, &dev, &fn, &end) == 4 ||
		    sscanf(devargs, "%2x:%2x.%1x%n", &bus, &dev, &fn, &end) == 3) &&
		end > 0)
		return devargs[end] == '\0' || devargs[end] == ',';
	return false;
}

/* As the kernel's dev_valid_name(), and what stands in quotes in metrics and scripts as it is. */
static bool
valid_interface(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len >= CONFIG_NAME_LEN || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] >= 0x7f ||
			strchr("/:%\"\\", s[i]) != NULL)
			return false;
	return true;
}

/* A port's tap: sysctl has two names for itself, and Linux one. */
static bool
valid_port(const char *s)
{
	return valid_interface(s) && strcmp(s, "all") != 0 && strcmp(s, "default") != 0 &&
	       strcmp(s, "lo") != 0;
}

/*
 * The interface under a device is the one that it opens, else another is made deaf, and this one is not. Of drivers that we do
 * not know a netdev may be told freely.
 */
static int
check_netdev(struct config_load *l, const struct config_where *w, struct config_port *p)
{
	static const char *const keys[] = {",iface=", ",rx_iface=", ",rx_iface_in=", ",tx_iface="};
	bool pcap = strncmp(p->devargs, "net_pcap", 8) == 0;
	bool known = pcap || strncmp(p->devargs, "net_af_packet", 13) == 0 ||
		     strncmp(p->devargs, "net_af_xdp", 10) == 0;
	const char *first = NULL;
	size_t first_len = 0;

	if (p->netdev != NULL && !valid_interface(p->netdev))
		return config_fail(l, w, "netdev", "'%s' is no interface name", p->netdev);
	for (unsigned int i = 0; i < (pcap ? RTE_DIM(keys) : 1); i++) {
		const char *iface = strstr(p->devargs, keys[i]);
		size_t len;

		if (iface == NULL)
			continue;
		iface += strlen(keys[i]);
		len = strcspn(iface, ",");
		if (p->netdev != NULL && strlen(p->netdev) == len &&
			strncmp(p->netdev, iface, len) == 0)
			return 0;
		if (first == NULL) {
			first = iface;
			first_len = len;
		}
	}
	if (first == NULL || (p->netdev != NULL && !known))
		return 0;
	if (p->netdev != NULL)
		return config_fail(l, w, "netdev", "'%s' is not what the device opens: '%.*s'",
			p->netdev, (int)first_len, first);
	p->netdev = strndup(first, first_len);
	if (p->netdev == NULL)
		return -ENOMEM;
	if (!valid_interface(p->netdev))
		return config_fail(l, w, "devargs", "iface=%s is no interface name", p->netdev);
	return 0;
}

static int
check_devargs(struct config_load *l, const struct config_where *w, struct config_port *p)
{
	char path[48];

	p->netdev_given = p->netdev != NULL;
	snprintf(path, sizeof(path), "ports[%d].%s", w->index,
		p->netdev_given ? "netdev" : "devargs");
	p->netdev_line = config_line_of(&l->t, path);

	if (!config_is_pci(p->devargs) &&
		(!isalpha((unsigned char)p->devargs[0]) ||
			p->devargs[strspn(p->devargs, "abcdefghijklmnopqrstuvwxyz"
						      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
						      "0123456789_,=.:/-+@;[]")] != '\0'))
		return config_fail(l, w, "devargs",
			"'%s' is neither a PCI address nor a device like net_af_packet0,iface=eth1",
			p->devargs);
	return check_netdev(l, w, p);
}

/* Against the ports before it; their taps and netdevs live in one namespace. */
static int
check_others(struct config_load *l, const struct config_where *w, const struct config_port *p)
{
	const struct config *c = l->config;
	size_t dev = p->vlan == 0 ? strcspn(p->devargs, ",") : 0;

	for (const struct config_port *o = c->ports; o <= p; o++) {
		if (o->netdev != NULL && strcmp(o->netdev, p->name) == 0)
			return config_fail(l, w, "name",
				"'%s' is the netdev of ports[%td]: the port's tap needs a name of "
				"its own",
				p->name, o - c->ports);
		if (o == p)
			break;
		if (strcmp(o->name, p->name) == 0)
			return config_fail(l, w, "name", "'%s' is the name of ports[%td] already",
				p->name, o - c->ports);
		if (p->netdev != NULL && strcmp(p->netdev, o->name) == 0)
			return config_fail(l, w, "netdev", "'%s' is the name of ports[%td]",
				p->netdev, o - c->ports);
		if (p->netdev != NULL && o->netdev != NULL && strcmp(p->netdev, o->netdev) == 0)
			return config_fail(l, w, "netdev", "'%s' is under ports[%td] already",
				p->netdev, o - c->ports);
		if (p->vlan == 0 && strcspn(o->devargs, ",") == dev &&
			strncmp(o->devargs, p->devargs, dev) == 0)
			return config_fail(l, w, "devargs", "device %.*s is ports[%td]'s already",
				(int)dev, p->devargs, o - c->ports);
	}
	return 0;
}

static bool
usable_address(const struct ip_addr *a)
{
	static const struct ip_addr zero;

	if (memcmp(a->b, zero.b, sizeof(a->b)) == 0)
		return false;
	if (a->family == 4)
		return a->b[0] != 0 && a->b[0] != 127 && a->b[0] < 224;
	return a->b[0] != 0xff;
}

static int
read_addresses(struct config_load *l, const struct config_where *w, struct raw_port *raw,
	struct config_port *p)
{
	const struct config *c = l->config;
	char key[32];
	int ret;

	ret = config_alloc(&p->addrs, raw->n_addresses, sizeof(*p->addrs));
	if (ret == 0)
		ret = config_alloc(&p->plens, raw->n_addresses, sizeof(*p->plens));
	if (ret < 0)
		return ret;
	p->addresses = raw->addresses;
	p->n_addresses = raw->n_addresses;
	raw->addresses = NULL;
	raw->n_addresses = 0;
	for (unsigned int i = 0; i < p->n_addresses; i++) {
		const struct ip_addr *a = &p->addrs[i];

		snprintf(key, sizeof(key), "addresses[%u]", i);
		if (addr_parse_prefix(p->addresses[i], &p->addrs[i], &p->plens[i]) < 0)
			return config_fail(l, w, key,
				"'%s' is not an address with its prefix length (192.0.2.1/24)",
				p->addresses[i]);
		if (!usable_address(a) || p->plens[i] == 0)
			return config_fail(
				l, w, key, "'%s' cannot be a port's address", p->addresses[i]);
		if (a->family == 6 && p->mtu < 1280)
			return config_fail(l, w, "mtu", "IPv6 needs 1280 at least (RFC 8200, 5)");
		for (const struct config_port *o = c->ports; o <= p; o++)
			for (unsigned int j = 0; j < (o == p ? i : o->n_addresses); j++)
				if (addr_equal(a, &o->addrs[j]))
					return config_fail(l, w, key, "'%s' is given to %s already",
						p->addresses[i], o->name);
	}
	return 0;
}

/*
 * A net_af_packet device has as many queues as its qpairs says, in one fanout group: the kernel spreads what comes in over all of
 * them, so what nobody polls would be lost, flow by flow, and without a word.
 */
static int
check_af_packet(struct config_load *l, const struct config_where *w, const struct config_port *p)
{
	const char *arg = strstr(p->devargs, ",qpairs=");
	unsigned int workers = 0, qpairs = 1;

	if (strncmp(p->devargs, "net_af_packet", strlen("net_af_packet")) != 0)
		return 0;
	if (p->mtu > AF_PACKET_MTU)
		return config_fail(l, w, "mtu",
			"%u, and DPDK's net_af_packet takes %u at most; net_pcap takes more",
			p->mtu, AF_PACKET_MTU);
	if (arg != NULL)
		qpairs = strtoul(arg + strlen(",qpairs="), NULL, 10);
	for (unsigned int i = 0; i < l->config->n_lcores; i++)
		workers += l->config->lcores[i].role == ROLE_WORKER;
	if (qpairs < workers)
		return config_fail(l, w, "devargs",
			"each of %u workers sends by a queue of its own, and qpairs is %u: write "
			"qpairs=%u here, and rx-queues: %u",
			workers, qpairs, workers, workers);
	if (qpairs != p->rx_queues)
		return config_fail(l, w, "rx-queues",
			"%u, and qpairs of the devargs is %u: the kernel spreads packets over "
			"all of those, so they must be equal",
			p->rx_queues, qpairs);
	return 0;
}

/* Which worker polls which queue: as the file says, or in turn over all ports. */
static int
read_workers(struct config_load *l, const struct config_where *w, const struct raw_port *raw,
	struct config_port *p, unsigned int *turn)
{
	const struct config *c = l->config;
	unsigned int lcore;
	char key[32];
	int ret;

	if (raw->workers != NULL && raw->n_workers != p->rx_queues)
		return config_fail(l, w, "workers", "%u lcores for %u rx-queues: one for each",
			raw->n_workers, p->rx_queues);
	p->workers_given = raw->workers != NULL;
	ret = config_alloc(&p->workers, p->rx_queues, sizeof(*p->workers));
	for (unsigned int q = 0; ret == 0 && q < p->rx_queues; q++) {
		const struct config_lcore *lc = NULL;

		if (raw->workers == NULL) {
			do
				lc = &c->lcores[(*turn)++ % c->n_lcores];
			while (lc->role != ROLE_WORKER);
			p->workers[q] = lc->lcore;
			continue;
		}
		snprintf(key, sizeof(key), "workers[%u]", q);
		ret = config_uint(l, w, key, raw->workers[q], 0, 0, RTE_MAX_LCORE - 1, &lcore);
		if (ret < 0)
			return ret;
		for (unsigned int i = 0; i < c->n_lcores; i++)
			if (c->lcores[i].lcore == lcore)
				lc = &c->lcores[i];
		if (lc == NULL || lc->role != ROLE_WORKER)
			return config_fail(l, w, key, "lcore %u is not a worker", lcore);
		p->workers[q] = lc->lcore;
	}
	return ret;
}

/* What devices and VLANs have in common, after their names. */
static int
read_common(struct config_load *l, const struct config_where *w, struct raw_port *raw,
	struct config_port *p, unsigned int mtu)
{
	static const char *const actions[] = {"discard", "bypass", NULL};
	unsigned int action;
	int ret = config_uint(
		l, w, "mtu", raw->mtu, mtu < 1500 || p->vlan != 0 ? mtu : 1500, 68, mtu, &p->mtu);

	if (ret == 0)
		ret = config_uint(l, w, "mark", raw->mark, 0, 0, UINT32_MAX, &p->mark);
	if (ret == 0)
		ret = config_bool(l, w, "outside", raw->outside, false, &p->outside);
	if (ret == 0)
		ret = config_choice(l, w, "default-action", raw->default_action, actions,
			DEFAULT_DISCARD, &action);
	if (ret < 0)
		return ret;
	p->default_action = action;
	return 0;
}

static int
read_vlan(struct config_load *l, const struct config_where *w, struct raw_port *raw,
	unsigned int parent, struct config_port *p)
{
	const struct config_port *ports = l->config->ports, *o = &ports[parent];
	int ret = config_uint(l, w, "id", raw->id, 0, 1, 4094, &p->vlan);

	if (ret < 0)
		return ret;
	p->parent = parent;
	p->name = config_take(&raw->name);
	if (p->name == NULL && asprintf(&p->name, "%s.%u", o->name, p->vlan) < 0) {
		p->name = NULL;
		return -ENOMEM;
	}
	if (!valid_port(p->name))
		return config_fail(l, w, "name", "'%s' cannot be an interface's name", p->name);
	for (const struct config_port *v = ports; v < p; v++)
		if (v->vlan == p->vlan && v->parent == parent)
			return config_fail(l, w, "id", "VLAN %u is %s already", p->vlan, v->name);
	ret = read_common(l, w, raw, p, o->mtu);
	if (ret == 0)
		ret = check_others(l, w, p);
	return ret == 0 ? read_addresses(l, w, raw, p) : ret;
}

/* They follow the devices, so that those keep their places. */
static int
read_vlans(struct config_load *l)
{
	struct config *c = l->config;
	char section[32];
	int ret = 0;

	for (unsigned int i = 0; i < l->raw->n_ports; i++) {
		struct raw_port *raw = &l->raw->ports[i];

		snprintf(section, sizeof(section), "ports[%u].vlans", i);
		for (unsigned int k = 0; ret == 0 && k < raw->n_vlans; k++)
			ret = read_vlan(
				l, AT(section, k), &raw->vlans[k], i, &c->ports[c->n_ports++]);
	}
	return ret;
}

int
config_read_ports(struct config_load *l)
{
	struct config *c = l->config;
	unsigned int n = l->raw->n_ports, vlans = 0, turn = 0;
	int ret;

	if (n == 0 || n > CONFIG_MAX_DEVICES)
		return config_fail(l, AT("ports", -1), NULL, "%u ports, where 1 to %u may be", n,
			CONFIG_MAX_DEVICES);
	for (unsigned int i = 0; i < n; i++)
		vlans += l->raw->ports[i].n_vlans;
	if (vlans > CONFIG_MAX_VLANS)
		return config_fail(l, AT("ports", -1), NULL, "%u VLANs, where %u may be", vlans,
			CONFIG_MAX_VLANS);
	ret = config_alloc(&c->ports, n + vlans, sizeof(*c->ports));
	for (unsigned int i = 0; ret == 0 && i < n; i++) {
		struct raw_port *raw = &l->raw->ports[i];
		struct config_port *p = &c->ports[i];
		const struct config_where *w = AT("ports", i);

		c->n_ports++;
		p->name = config_take(&raw->name);
		p->devargs = config_take(&raw->devargs);
		p->netdev = config_take(&raw->netdev);
		/* The bus is told, and its name is no part of the device's. */
		if (strncmp(p->devargs, "pci:", 4) == 0 && config_is_pci(p->devargs + 4))
			memmove(p->devargs, p->devargs + 4, strlen(p->devargs + 4) + 1);
		if (!valid_port(p->name))
			return config_fail(l, w, "name",
				"'%s' cannot be an interface's name (1 to %d characters, no "
				"blanks, none of /:%%\"\\)",
				p->name, CONFIG_NAME_LEN - 1);
		ret = read_common(l, w, raw, p, 9216);
		if (ret == 0)
			ret = config_uint(
				l, w, "rx-queues", raw->rx_queues, 1, 1, QUEUES_MAX, &p->rx_queues);
		if (ret < 0)
			return ret;
		ret = check_devargs(l, w, p);
		if (ret == 0)
			ret = check_af_packet(l, w, p);
		if (ret == 0)
			ret = check_others(l, w, p);
		if (ret == 0)
			ret = read_addresses(l, w, raw, p);
		if (ret == 0)
			ret = read_workers(l, w, raw, p, &turn);
	}
	return ret == 0 ? read_vlans(l) : ret;
}

static bool
valid_node(const char *s, size_t len)
{
	return len > 0 && len <= NODE_NAME_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") >= len;
}

/* "ip4-input -> ipsec-input-check" */
static int
read_edge(struct config_load *l, const struct config_where *w, const char *edge,
	struct config_plugin *plugin)
{
	const char *from = edge + strspn(edge, " "), *arrow = strstr(edge, "->"), *to;
	size_t from_len = strcspn(from, " "), to_len;

	if (arrow == NULL)
		goto bad;
	if (from + from_len > arrow)
		from_len = arrow - from;
	to = arrow + 2 + strspn(arrow + 2, " ");
	to_len = strcspn(to, " ");
	if (!valid_node(from, from_len) || !valid_node(to, to_len) ||
		from + from_len + strspn(from + from_len, " ") != arrow ||
		to[to_len + strspn(to + to_len, " ")] != '\0')
		goto bad;
	plugin->from = strndup(from, from_len);
	plugin->to = strndup(to, to_len);
	return plugin->from != NULL && plugin->to != NULL ? 0 : -ENOMEM;
bad:
	return config_fail(l, w, "edge", "'%s' is not of the form \"node -> node\"", edge);
}

int
config_read_plugins(struct config_load *l)
{
	struct config *c = l->config;
	unsigned int n = l->raw->n_plugins;
	char path[32];
	int ret = config_alloc(&c->plugins, n, sizeof(*c->plugins));

	for (unsigned int i = 0; ret == 0 && i < n; i++) {
		struct raw_plugin *raw = &l->raw->plugins[i];
		const struct config_where *w = AT("plugins", i);

		c->n_plugins++;
		snprintf(path, sizeof(path), "plugins[%u].library", i);
		c->plugins[i].line = config_line_of(&l->t, path);
		c->plugins[i].library = config_take(&raw->library);
		c->plugins[i].node = config_take(&raw->node);
		if (c->plugins[i].library[0] != '/')
			return config_fail(l, w, "library", "'%s' is not an absolute path",
				c->plugins[i].library);
		if (!valid_node(c->plugins[i].node, strlen(c->plugins[i].node)))
			return config_fail(
				l, w, "node", "'%s' is not a node's name", c->plugins[i].node);
		for (unsigned int j = 0; j < i; j++)
			if (strcmp(c->plugins[j].node, c->plugins[i].node) == 0)
				return config_fail(l, w, "node", "'%s' is plugins[%u]'s already",
					c->plugins[i].node, j);
		ret = read_edge(l, w, raw->edge, &c->plugins[i]);
	}
	return ret;
}
