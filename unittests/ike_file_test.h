/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_IKE_FILE_TEST_H
#define CYGNET_IKE_FILE_TEST_H

#include "ike_file.h"

#include <check.h>

/* What the files of the ike file's tests share. */

extern char ike_dir[]; /* a directory of the test's own */

void ike_test_setup(void);
void ike_test_teardown(void);
void ike_test_write(const char *name, const char *text, int mode);
/* Loads the text as a file of mode 0600. */
struct ike_file *ike_test_load(const char *text, int *ret);
TCase *ike_errors_case(void);

#define PSK "a-secret-of-the-tests-0123"

/* A file that is good, in parts: the tests change one of them. Lines 1 to 7. */
#define POLICY                                                                         \
	"    - {name: p1, proposals: [aes256gcm16-prfsha384-ecp384], authentication: " \
	"{pre-shared-key: " PSK "}}\n"
#define CHILD                                                                           \
	"    - {name: c1, proposals: [aes256gcm16], local-ts: 10.1.0.0/16, remote-ts: " \
	"10.2.0.0/16}\n"
#define GATEWAY \
	"    - {name: g1, ike-policy: p1, local-address: 192.0.2.1, remote-address: 192.0.2.2}\n"
#define TUNNEL "    - {name: t1, gateway: g1, child-policy: c1}\n"
#define FILE_OF(policies, children, gateways, tunnels)                      \
	"ipsec:\n  ike-policies:\n" policies "  child-policies:\n" children \
	"  gateways:\n" gateways "  tunnels:\n" tunnels

#endif
