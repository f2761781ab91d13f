/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_load.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 32

/* Arguments as they are collected: each with its zero byte. */
struct args {
	FILE *f;
	int n;
};

static void __attribute__((format(printf, 2, 3))) add(struct args *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(a->f, fmt, ap);
	va_end(ap);
	fputc('\0', a->f);
	a->n++;
}

/* "0@0,1@0,2@1": several lcores may share a cpu. */
static char *
lcore_list(const struct config *c, unsigned int *control)
{
	char *list = NULL;
	size_t size;
	FILE *f = open_memstream(&list, &size);

	if (f == NULL)
		return NULL;
	for (unsigned int i = 0; i < c->n_lcores; i++) {
		fprintf(f, "%s%u@%u", i > 0 ? "," : "", c->lcores[i].lcore, c->lcores[i].cpu);
		if (c->lcores[i].role == ROLE_CONTROL)
			*control = c->lcores[i].lcore;
	}
	if (fclose(f) != 0) {
		free(list);
		return NULL;
	}
	return list;
}

/* "256,0,256": memory on each NUMA node that has lcores of ours, nothing on the others. */
static char *
memory_list(const struct config *c)
{
	bool used[NODES_MAX] = {false};
	int last = 0;
	char *list = NULL;
	size_t size;
	FILE *f = open_memstream(&list, &size);

	if (f == NULL)
		return NULL;
	for (unsigned int i = 0; i < c->n_lcores; i++) {
		int node = config_cpu_node(c->lcores[i].cpu);

		if (node < NODES_MAX) {
			used[node] = true;
			last = node > last ? node : last;
		}
	}
	for (int i = 0; i <= last; i++)
		fprintf(f, "%s%u", i > 0 ? "," : "", used[i] ? c->eal.memory : 0);
	if (fclose(f) != 0) {
		free(list);
		return NULL;
	}
	return list;
}

static bool
allows_pci(const struct config *c)
{
	for (unsigned int i = 0; i < c->n_ports; i++)
		if (c->ports[i].vlan == 0 && config_is_pci(c->ports[i].devargs))
			return true;
	/* An accelerator, say, that the file names for EAL. */
	for (unsigned int i = 0; i < c->eal.n_options; i++)
		if (strncmp(c->eal.options[i], "-a", 2) == 0 ||
			strncmp(c->eal.options[i], "--allow", 7) == 0)
			return true;
	return false;
}

static void
add_all(struct args *a, const struct config *c, const char *argv0, const char *lcores,
	unsigned int control, const char *memory)
{
	add(a, "%s", argv0);
	add(a, "--lcores");
	add(a, "%s", lcores);
	add(a, "--main-lcore");
	add(a, "%u", control);
	add(a, "--file-prefix");
	add(a, "%s", c->eal.file_prefix);
	/* All memory now, and no more later: growing asks every secondary to follow, and waits for it. */
	add(a, "--socket-mem");
	add(a, "%s", memory);
	add(a, "--socket-limit");
	add(a, "%s", memory);
	/* No process needs physical addresses: charon's agent runs without the capability to see them. */
	add(a, "--iova-mode=va");
	if (!allows_pci(c))
		add(a, "--no-pci");
	/* Virtual devices are made by the router itself, which can say which port is wrong. */
	for (unsigned int i = 0; i < c->n_ports; i++)
		if (c->ports[i].vlan == 0 && config_is_pci(c->ports[i].devargs)) {
			add(a, "-a");
			add(a, "%s", c->ports[i].devargs);
		}
	/* EAL stops at 256 bits otherwise; FIB and ciphers have AVX-512. */
	add(a, "--force-max-simd-bitwidth=512");
	add(a, "--log-level");
	add(a, "lib.eal:warning");
	for (unsigned int i = 0; i < c->eal.n_options; i++)
		add(a, "%s", c->eal.options[i]);
}

char **
config_eal_args(const struct config *c, const char *argv0, int *argc)
{
	unsigned int control = 0;
	char *lcores = lcore_list(c, &control), *memory = memory_list(c), *text = NULL;
	struct args a = {.n = 0};
	char **argv = NULL, *s;
	size_t size = 0, vector;

	a.f = open_memstream(&text, &size);
	if (a.f == NULL || lcores == NULL || memory == NULL) {
		if (a.f != NULL)
			fclose(a.f);
		goto out;
	}
	add_all(&a, c, argv0, lcores, control, memory);
	if (fclose(a.f) != 0)
		goto out;
	/* One piece, text after vector: EAL moves the pointers about and writes one of them over. */
	vector = (a.n + 1) * sizeof(*argv);
	argv = malloc(vector + size);
	if (argv == NULL)
		goto out;
	s = memcpy((char *)argv + vector, text, size);
	for (int i = 0; i < a.n; i++, s += strlen(s) + 1)
		argv[i] = s;
	argv[a.n] = NULL;
	*argc = a.n;
out:
	free(lcores);
	free(memory);
	free(text);
	return argv;
}

void
config_eal_free(char **argv)
{
	free(argv);
}
