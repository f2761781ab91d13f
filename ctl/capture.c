/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl_capture.h"

#include "filter.h"
#include "list.h"
#include "options.h"
#include "pcapng.h"
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* cygnetctl capture: packets of the data plane into a pcapng file. */

#define PORTS_MAX 64
#define BUFFER (1u << 20)
#define ETHERNET 14
#define KEYS_EVERY 1 /* s */
#define KEYS_AGAIN 10 /* s, when the router did not tell them */

enum { OPT_IN = 256, OPT_OUT, OPT_INNER, OPT_DROPS, OPT_KEYS };

struct capture {
	struct options *o;
	FILE *file;
	const char *path, *port;
	bool in, out, inner, drops, keys;
	double snaplen, count, seconds;
	json_t *answer;
	json_t *known; /* what was written of keys: each line is a member */
	double keys_next; /* when the router is asked again; 0: keys are not wanted */
	struct {
		int id;
		uint32_t interface;
	} ports[PORTS_MAX];
	unsigned int n_ports;
	uint32_t inner_interface, drop_interface;
	uint64_t packets, lost, last_ns;
};

static bool
full(const struct capture *c)
{
	return c->count > 0 && (double)c->packets >= c->count;
}

/* One interface a port; what is inside tunnels, and what was dropped, are further ones. */
static bool
write_interfaces(struct capture *c, const char *filter, const json_t *keys)
{
	uint32_t snaplen = (uint32_t)c->snaplen + ETHERNET, n = 0;
	const json_t *port;
	size_t i;
	bool good = pcapng_begin(c->file, "cygnetctl " CYGNET_VERSION, keys);

	json_array_foreach (json_object_get(c->answer, "ports"), i, port) {
		const char *name = json_string_value(json_object_get(port, "name"));

		if (c->n_ports == PORTS_MAX || !good || !(c->in || c->out) || name == NULL ||
			(c->port != NULL && strcmp(c->port, name) != 0))
			continue;
		c->ports[c->n_ports].id = (int)json_integer_value(json_object_get(port, "port"));
		c->ports[c->n_ports++].interface = n++;
		good = pcapng_interface(
			c->file, name, "port of cygnet", PCAPNG_ETHERNET, snaplen, filter);
	}
	if (good && c->inner) {
		c->inner_interface = n++;
		good = pcapng_interface(c->file, "inner",
			"in clear: what tunnels carry, with an Ethernet header of zeros",
			PCAPNG_ETHERNET, snaplen, filter);
	}
	if (good && c->drops) {
		c->drop_interface = n++;
		good = pcapng_interface(c->file, "drop",
			"dropped; with an Ethernet header of zeros where it was off already",
			PCAPNG_ETHERNET, snaplen, filter);
	}
	return good && fflush(c->file) == 0;
}

/* All interfaces are Ethernet's: many tools read no file of several link types. */
static void
add_ethernet(uint8_t *frame, struct pcapng_packet *p)
{
	memset(frame, 0, ETHERNET);
	frame[12] = p->caplen > 0 && p->data[0] >> 4 == 6 ? 0x86 : 0x08;
	frame[13] = frame[12] == 0x86 ? 0xdd : 0x00;
	memcpy(frame + ETHERNET, p->data, p->caplen);
	p->data = frame;
	p->caplen += ETHERNET;
	p->len += ETHERNET;
}

static bool
write_packet(struct capture *c, const struct ctl_capture_packet *head, const uint8_t *data)
{
	struct pcapng_packet p = {
		.ns = head->ns, .caplen = head->caplen, .len = head->len, .data = data};
	static uint8_t frame[ETHERNET + BUFFER / 2];
	char comment[128];
	size_t at = 0;

	switch (head->place) {
	case CTL_CAPTURE_RX:
	case CTL_CAPTURE_TX:
		p.interface = UINT32_MAX;
		for (unsigned int i = 0; i < c->n_ports; i++)
			if (c->ports[i].id == head->port)
				p.interface = c->ports[i].interface;
		if (p.interface == UINT32_MAX)
			return true;
		break;
	case CTL_CAPTURE_INNER_IN:
	case CTL_CAPTURE_INNER_OUT:
		p.interface = c->inner_interface;
		break;
	default:
		p.interface = c->drop_interface;
		at += (size_t)snprintf(comment, sizeof(comment), "dropped: %s",
			json_string_value(
				json_array_get(json_object_get(c->answer, "drops"), head->drop)));
		p.comment = comment;
		break;
	}
	p.in = head->place == CTL_CAPTURE_RX || head->place == CTL_CAPTURE_INNER_IN;
	p.out = head->place == CTL_CAPTURE_TX || head->place == CTL_CAPTURE_INNER_OUT;
	if (head->spi != 0) {
		snprintf(comment + at, sizeof(comment) - at, "%sSPI 0x%08x", at > 0 ? ", " : "",
			head->spi);
		p.comment = comment;
	}
	if (!head->frame)
		add_ethernet(frame, &p);
	c->packets++;
	c->lost = head->lost;
	c->last_ns = head->ns;
	return pcapng_packet(c->file, &p);
}

/* Whole packets of the buffer; what is left moves to its start. */
static int
write_packets(struct capture *c, uint8_t *buf, size_t *len)
{
	size_t at = 0;
	bool good = true;

	while (good && !full(c) && *len - at >= sizeof(struct ctl_capture_packet)) {
		struct ctl_capture_packet head;

		memcpy(&head, buf + at, sizeof(head));
		if (head.caplen > BUFFER / 2)
			return client_fail(CTL_REFUSED, "the router sends nonsense");
		if (*len - at < sizeof(head) + head.caplen)
			break;
		if (head.place == CTL_CAPTURE_READY)
			fputs("capturing\n", stderr);
		else
			good = write_packet(c, &head, buf + at + sizeof(head));
		at += sizeof(head) + head.caplen;
	}
	memmove(buf, buf + at, *len - at);
	*len -= at;
	/* For who reads the pipe. */
	if (good && at > 0)
		good = fflush(c->file) == 0;
	return good ? CTL_OK : client_fail(CTL_REFUSED, "%s: %s", c->path, strerror(errno));
}

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A line for each SA that lives and of which there was none yet: who has the file reads what its tunnels carried. */
static int
read_keys(struct capture *c, int fd, json_t **lines)
{
	json_t *sas = NULL, *sa;
	int rc = client_ask_all(fd, "sa", json_pack("{sb}", "keys", 1), &sas);
	size_t i;

	*lines = json_array();
	json_array_foreach (sas, i, sa) {
		json_t *line;

		if (json_object_get(sa, "encryption_key") == NULL)
			continue;
		line = json_sprintf("SA %s %s > %s SPI %s encryption %s key %s integrity %s key %s",
			list_str(sa, "protocol"), list_str(sa, "source"),
			list_str(sa, "destination"), list_str(sa, "spi"),
			list_str(sa, "encryption"), list_str(sa, "encryption_key"),
			list_str(sa, "integrity"), list_str(sa, "integrity_key"));
		if (json_object_get(c->known, json_string_value(line)) == NULL) {
			json_object_set_new(c->known, json_string_value(line), json_true());
			json_array_append(*lines, line);
		}
		json_decref(line);
	}
	json_decref(sas);
	return rc;
}

/* The keys of SAs that were negotiated meanwhile. With very many of them the router is not asked all the time. */
static int
write_new_keys(struct capture *c)
{
	double began = seconds();
	json_t *lines = NULL;
	struct timespec ts;
	bool good = true;
	int fd, rc;

	rc = client_connect(c->o->path, &fd);
	if (rc == CTL_OK) {
		rc = read_keys(c, fd, &lines);
		close(fd);
	}
	if (rc == CTL_OK && json_array_size(lines) > 0) {
		clock_gettime(CLOCK_REALTIME, &ts);
		good = pcapng_comments(c->file,
			       (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec, lines) &&
		       fflush(c->file) == 0;
	}
	json_decref(lines);
	c->keys_next = seconds() + KEYS_EVERY + 10 * (seconds() - began);
	if (rc != CTL_OK) {
		fputs("keys of SAs that came meanwhile: asked again later\n", stderr);
		c->keys_next += KEYS_AGAIN;
	}
	return good ? CTL_OK : client_fail(CTL_REFUSED, "%s: %s", c->path, strerror(errno));
}

static int
follow(struct capture *c, int fd)
{
	double end = c->seconds > 0 ? seconds() + c->seconds : 0;
	uint8_t *buf = malloc(BUFFER);
	size_t len = 0, n;
	int rc = buf != NULL ? CTL_OK : client_fail(CTL_REFUSED, "out of memory");

	while (rc == CTL_OK && !full(c) && !stream_interrupted && (end == 0 || seconds() < end)) {
		rc = stream_read(fd, 50, buf + len, BUFFER - len, &n);
		len += n;
		if (rc == CTL_OK && n > 0)
			rc = write_packets(c, buf, &len);
		if (rc == CTL_OK && c->keys_next > 0 && seconds() >= c->keys_next)
			rc = write_new_keys(c);
	}
	free(buf);
	if (rc == CTL_OK && c->keys_next > 0)
		rc = write_new_keys(c);
	if (c->lost > 0)
		pcapng_lost(c->file, c->last_ns, c->packets + c->lost, c->lost);
	if (fclose(c->file) != 0 && rc == CTL_OK)
		rc = client_fail(CTL_REFUSED, "%s: %s", c->path, strerror(errno));
	c->file = NULL;
	fprintf(stderr, "%llu packets", (unsigned long long)c->packets);
	if (c->lost > 0)
		fprintf(stderr, ", %llu more were lost: a filter or a smaller --snaplen helps",
			(unsigned long long)c->lost);
	fputc('\n', stderr);
	return rc;
}

/* A descriptor that we were started with, as the shell's >(gzip >FILE) names it; -1: it is no such path. */
static int
inherited(const char *path)
{
	static const char *const dirs[] = {"/dev/fd/", "/proc/self/fd/"};
	size_t len;
	char *end;
	long fd;

	if (strcmp(path, "/dev/stdout") == 0)
		return STDOUT_FILENO;
	for (unsigned int i = 0; i < 2; i++) {
		len = strlen(dirs[i]);
		if (strncmp(path, dirs[i], len) != 0 || path[len] < '0' || path[len] > '9')
			continue;
		fd = strtol(path + len, &end, 10);
		return *end == '\0' && fd <= INT_MAX ? (int)fd : -1;
	}
	return -1;
}

/* What is there under that name already: 0, or -1 after a line when it shall not hear what tunnels hide. */
static int
check_there(const char *path, const struct stat *st)
{
	if (S_ISLNK(st->st_mode))
		return client_fail(-1, "%s: is a symbolic link: name the file itself", path);
	/* The machine's own: /dev/null. */
	if (st->st_uid != geteuid() && !(S_ISCHR(st->st_mode) && st->st_uid == 0))
		return client_fail(-1, "%s: is another user's file", path);
	return 0;
}

/*
 * Readable by its owner alone, and new, for who has an old one open would read on. Somebody else's, or a link that leads to one, is
 * not written; a pipe or a device of our own is.
 */
static int
open_private(const char *path)
{
	int there = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), fd = -1, rc = 0;
	char again[32];
	struct stat st;

	if (there >= 0) {
		rc = fstat(there, &st) == 0 ? check_there(path, &st)
					    : client_fail(-1, "%s: %s", path, strerror(errno));
		if (rc == 0 && S_ISREG(st.st_mode)) {
			if (unlink(path) < 0)
				rc = client_fail(-1, "%s: %s", path, strerror(errno));
		} else if (rc == 0) {
			/* This very one, whatever has the name by now. */
			snprintf(again, sizeof(again), "/proc/self/fd/%d", there);
			fd = open(again, O_WRONLY | O_CLOEXEC);
			if (fd < 0)
				rc = client_fail(-1, "%s: %s", path, strerror(errno));
		}
		close(there);
	}
	if (rc == 0 && fd < 0) {
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			client_fail(-1, "%s: %s", path, strerror(errno));
	}
	return fd;
}

static int
open_file(struct capture *c)
{
	int fd = inherited(c->path);

	if (strcmp(c->path, "-") == 0 || fd == STDOUT_FILENO) {
		if (isatty(STDOUT_FILENO))
			return client_fail(CTL_USAGE,
				"a capture is no text: give it a file with -w, "
				"or pipe it (-w - | wireshark -k -i -)");
		c->file = stdout;
		return CTL_OK;
	}
	fd = fd < 0 ? open_private(c->path) : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return CTL_REFUSED;
	c->file = fdopen(fd, "w");
	return c->file != NULL ? CTL_OK
			       : client_fail(CTL_REFUSED, "%s: %s", c->path, strerror(errno));
}

static json_t *
places(struct capture *c)
{
	json_t *v = json_array();

	if (!c->in && !c->out && !c->inner && !c->drops)
		c->in = c->out = true;
	if (c->in)
		json_array_append_new(v, json_string("rx"));
	if (c->out)
		json_array_append_new(v, json_string("tx"));
	if (c->inner) {
		json_array_append_new(v, json_string("inner-in"));
		json_array_append_new(v, json_string("inner-out"));
	}
	if (c->drops)
		json_array_append_new(v, json_string("drop"));
	return v;
}

static int
option(struct capture *c, int opt)
{
	switch (opt) {
	case 'w':
		c->path = optarg;
		return CTL_OK;
	case 'i':
		c->port = optarg;
		return CTL_OK;
	case OPT_IN:
		c->in = true;
		return CTL_OK;
	case OPT_OUT:
		c->out = true;
		return CTL_OK;
	case OPT_INNER:
		c->inner = true;
		return CTL_OK;
	case OPT_DROPS:
		c->drops = true;
		return CTL_OK;
	case OPT_KEYS:
		c->keys = true;
		return CTL_OK;
	case 'c':
		return options_number("the count", optarg, 1, 1e15, &c->count);
	case 'd':
		return options_number("the duration", optarg, 0.1, 1e7, &c->seconds);
	case 'l':
		return options_number("the snaplen", optarg, 1, 65535, &c->snaplen);
	default:
		return options_take(c->o, opt, optarg) ? CTL_OK : CTL_USAGE;
	}
}

static char *
joined(char **words, int n)
{
	size_t len = 1;
	char *s;

	for (int i = 0; i < n; i++)
		len += strlen(words[i]) + 1;
	s = n > 0 ? calloc(1, len) : NULL;
	for (int i = 0; i < n && s != NULL; i++) {
		strcat(s, words[i]);
		if (i + 1 < n)
			strcat(s, " ");
	}
	return s;
}

static int
start(struct capture *c, char **words, int n)
{
	json_t *args = json_pack("{so sI}", "places", places(c), "snaplen", (json_int_t)c->snaplen);
	char *filter = joined(words, n);
	json_t *keys = NULL;
	int fd = -1, rc;

	if (c->port != NULL)
		json_object_set_new(args, "port", json_string(c->port));
	rc = filter_compile(words, n, args);
	if (rc == CTL_OK)
		rc = options_connect(c->o, &fd);
	if (rc == CTL_OK && c->keys) {
		c->known = json_object();
		rc = read_keys(c, fd, &keys);
		c->keys_next = seconds() + KEYS_EVERY;
	}
	if (rc == CTL_OK)
		rc = client_ask_all(fd, "capture", json_incref(args), &c->answer);
	json_decref(args);
	if (rc == CTL_OK)
		rc = open_file(c);
	if (rc == CTL_OK && !write_interfaces(c, filter, keys))
		rc = client_fail(CTL_REFUSED, "%s: %s", c->path, strerror(errno));
	free(filter);
	if (rc == CTL_OK) {
		stream_begin(fd);
		rc = follow(c, fd);
	}
	json_decref(c->answer);
	json_decref(c->known);
	json_decref(keys);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
run(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {OPTIONS_LONG, {"write", required_argument, NULL, 'w'},
		{"port", required_argument, NULL, 'i'}, {"in", no_argument, NULL, OPT_IN},
		{"out", no_argument, NULL, OPT_OUT}, {"inner", no_argument, NULL, OPT_INNER},
		{"drops", no_argument, NULL, OPT_DROPS}, {"keys", no_argument, NULL, OPT_KEYS},
		{"count", required_argument, NULL, 'c'}, {"duration", required_argument, NULL, 'd'},
		{"snaplen", required_argument, NULL, 'l'}, {0}};
	struct capture c = {.o = o, .path = "-", .snaplen = 65535};
	int opt, rc;

	while ((opt = getopt_long(argc, argv, OPTIONS_SHORT "w:i:c:d:l:", longs, NULL)) != -1) {
		rc = option(&c, opt);
		if (rc != CTL_OK)
			return rc;
	}
	if (o->help) {
		options_tool_help(&tool_capture);
		return CTL_OK;
	}
	return start(&c, argv + optind, argc - optind);
}

const struct tool tool_capture = {"capture", "[-w FILE] [OPTION...] [FILTER]",
	"packets into a pcapng file",
	"Writes the packets of the ports that match FILTER (man pcap-filter) as pcapng, for "
	"Wireshark and\n"
	"tcpdump, until it is interrupted. Only root may. A full buffer loses packets, and says "
	"so; the\n"
	"traffic is not held up.\n\n"
	"  -w, --write FILE       file, readable by its owner alone; what was in it is gone. "
	"Neither\n"
	"                         a link nor another user's file is written. - is standard\n"
	"                         output (the default): cygnetctl capture | wireshark -k -i -\n"
	"  -i, --port NAME        of this port alone (default: of all)\n"
	"      --in, --out        what ports receive, what they send (default: both)\n"
	"      --inner            what tunnels carry, in clear: before it is sealed and after it "
	"is\n"
	"                         opened, with the SPI in the packet's comment\n"
	"      --drops            dropped packets, with the reason in the packet's comment\n"
	"      --keys             the keys of the SAs that live, and of those that come meanwhile, "
	"as\n"
	"                         comments: who has the file reads their traffic. The router must\n"
	"                         keep them (ipsec.keep-keys)\n"
	"  -c, --count COUNT      end after so many packets\n"
	"  -d, --duration SECONDS end after that time\n"
	"  -l, --snaplen BYTES    of each packet (default: all of it)\n\n"
	"  cygnetctl capture -w wan.pcapng -i wan -d 10 esp\n"
	"  cygnetctl capture --inner -w - tcp port 443 | tcpdump -n -r -\n",
	run};
