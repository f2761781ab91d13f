/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_CONFIG_TEST_H
#define CYGNET_CONFIG_TEST_H

#include "../graph/config_load.h"

#include <stdio.h>
#include <sys/types.h>

#include <check.h>

/* What the two files of the configuration's tests share. */

extern char config_dir[], config_file[]; /* a directory of the test's own, and a file in it */
extern char config_said[4096]; /* what went to stderr in config_test_load() and _plan() */

void config_test_setup(void);
void config_test_teardown(void);
void config_test_write(const char *path, const char *text, size_t len, mode_t mode);
struct config *config_test_load(const char *path);
int config_test_plan(const struct config *c, FILE *out);
TCase *config_errors_case(void);
TCase *config_reload_case(void);

#define LCORES                                                                           \
	"lcores: [{lcore: 0, cpu: 0, role: control}, {lcore: 1, cpu: 0, role: worker}, " \
	"{lcore: 2, cpu: 0, role: crypto}]\n"
#define PORTS "ports: [{name: wan, devargs: net_null0}]\n"
#define HEAD "name: a\n" LCORES PORTS /* lines 1 to 3 */

#define KEY16 "000102030405060708090a0b0c0d0e0f"
#define KEY20 KEY16 "10111213"
#define KEY36 KEY16 KEY16 "10111213"
#define SA_ENDS "source: 192.0.2.1, destination: 192.0.2.2, reqid: 1, "
#define SA(name, dir, spi, more) \
	"{name: " name ", direction: " dir ", spi: " spi ", " SA_ENDS more "}"
#define GCM "encryption: aes128gcm16, key: " KEY20 ", insecure-test: true"
#define SA_GCM(more)                                                                           \
	"sas: [" SA(                                                                           \
		"s", "out", "4097", "encryption: aes128gcm16, insecure-test: true, " more) "]" \
											   "\n"
#define SEL "source: 10.1.0.0/16, destination: 10.2.0.0/16"

#define LCORE(id, cpu, role) "  - {lcore: " #id ", cpu: " #cpu ", role: " role "}\n"
#define PORT(name, dev) "  - name: " name "\n    devargs: " dev "\n"

#endif
