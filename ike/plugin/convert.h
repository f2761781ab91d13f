/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CYGNET_CONVERT_H
#define CYGNET_CONVERT_H

#include "wire.h"

#include <kernel/kernel_ipsec.h>

/* strongSwan's types to and from the wire's. All of these return FALSE for what the wire cannot say. */

void convert_host(host_t *host, struct ike_addr *addr);
/* port: network order. NULL for an unknown family. */
host_t *convert_addr(const struct ike_addr *addr, uint16_t port);

void convert_sa_id(const kernel_ipsec_sa_id_t *id, struct ike_msg_sa_id *out);
bool convert_add_sa(const kernel_ipsec_sa_id_t *id, const kernel_ipsec_add_sa_t *data,
	struct ike_msg_add_sa *out);
/* auto_priority: what the priority is without manual_prio. */
bool convert_policy(const kernel_ipsec_policy_id_t *id, const kernel_ipsec_manage_policy_t *data,
	struct ike_msg_policy *out, uint32_t *auto_priority);
/* The SPI of its CHILD_SA's SA in the policy's direction, also where that names none. */
uint32_t convert_own_spi(const kernel_ipsec_manage_policy_t *data);
/* The selector, direction, if_id and mark alone. */
bool convert_policy_id(const kernel_ipsec_policy_id_t *id, struct ike_msg_policy *out);

/* The packet that hit a trap, as two traffic selectors of one address each. */
traffic_selector_t *convert_selector(const struct ike_selector *sel, bool src);

#endif
