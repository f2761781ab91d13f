/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CYGNET_UNITTESTS_CTL_TEST_H
#define CYGNET_UNITTESTS_CTL_TEST_H

#include "ctl.h"

#include <check.h>

/* A router with tables and one lcore, without ports, host and charon. */
extern struct router router;
extern struct ctl *ctl;

void world_setup(void);
void world_teardown(void);

/* Adds an inbound (with the SPI) or an outbound SA; returns its slot. */
uint32_t world_add_sa(uint8_t dir, uint32_t spi, uint32_t reqid);

TCase *ctl_server_case(void);
TCase *ctl_render_case(void);
TCase *ctl_packet_case(void);
TCase *doctor_case(void);

#endif
