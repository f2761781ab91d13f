/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter.h"

#include "client.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILTER_MAX 448 /* instructions that the router takes (graph/probe.h) */
#define TEXT_MAX 2048

static int
join(char **words, int n, char text[TEXT_MAX])
{
	size_t at = 0;

	text[0] = '\0';
	for (int i = 0; i < n; i++) {
		at += (size_t)snprintf(
			text + at, TEXT_MAX - at, "%s%s", i > 0 ? " " : "", words[i]);
		if (at >= TEXT_MAX)
			return client_fail(CTL_USAGE, "the filter is too long");
	}
	return CTL_OK;
}

/* Sixteen digits an instruction. */
static json_t *
digits(const struct bpf_program *p)
{
	char text[16 * FILTER_MAX + 1];

	for (unsigned int i = 0; i < p->bf_len; i++)
		snprintf(&text[16 * i], 17, "%04x%02x%02x%08x", p->bf_insns[i].code,
			p->bf_insns[i].jt, p->bf_insns[i].jf, p->bf_insns[i].k);
	return json_string(text);
}

/* What has no meaning for bare IP packets matches none of them. */
static int
compile(const char *text, int link, json_t *args, const char *key)
{
	struct bpf_insn nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct bpf_program program, none = {.bf_len = 1, .bf_insns = &nothing};
	pcap_t *p = pcap_open_dead(link, 65535);
	int rc = CTL_OK;

	if (p == NULL)
		return client_fail(CTL_REFUSED, "out of memory");
	if (pcap_compile(p, &program, text, 1, PCAP_NETMASK_UNKNOWN) != 0) {
		if (link == DLT_EN10MB)
			rc = client_fail(CTL_USAGE, "the filter: %s", pcap_geterr(p));
		else
			json_object_set_new(args, key, digits(&none));
	} else {
		if (program.bf_len > FILTER_MAX)
			rc = client_fail(CTL_USAGE, "the filter is too long");
		else
			json_object_set_new(args, key, digits(&program));
		pcap_freecode(&program);
	}
	pcap_close(p);
	return rc;
}

int
filter_compile(char **words, int n, json_t *args)
{
	char text[TEXT_MAX];
	int rc = join(words, n, text);

	if (rc != CTL_OK || n == 0)
		return rc;
	rc = compile(text, DLT_EN10MB, args, "frame");
	return rc == CTL_OK ? compile(text, DLT_RAW, args, "inner") : rc;
}
