/* SPDX-License-Identifier: BSD-3-Clause */
#include "nodes.h"

#include "eal.h"

int
main(void)
{
	Suite *s = suite_create("nodes");

	suite_add_tcase(s, nodes_input_case());
	suite_add_tcase(s, nodes_forward_case());
	suite_add_tcase(s, nodes_icmp_case());
	suite_add_tcase(s, nodes_icmp_quote_case());
	suite_add_tcase(s, nodes_esp6_case());
	suite_add_tcase(s, nodes_esp6_many_case());
	suite_add_tcase(s, nodes_ip6_case());
	suite_add_tcase(s, nodes_ip6_icmp_case());
	suite_add_tcase(s, nodes_ip6_policy_case());
	suite_add_tcase(s, nodes_policy_case());
	suite_add_tcase(s, nodes_policy_closed_case());
	suite_add_tcase(s, nodes_early_case());
	suite_add_tcase(s, nodes_esp_in_case());
	suite_add_tcase(s, nodes_esp_out_case());
	suite_add_tcase(s, nodes_jumbo_case());
	suite_add_tcase(s, nodes_vlan_case());
	suite_add_tcase(s, nodes_vlan_closed_case());
	suite_add_tcase(s, nodes_known_case());
	suite_add_tcase(s, nodes_burst_case());
	suite_add_tcase(s, nodes_random_case());
	suite_add_tcase(s, nodes_random_dedicated_case());
	suite_add_tcase(s, nodes_nat_case());
	suite_add_tcase(s, nodes_many_case());
	suite_add_tcase(s, nodes_dedicated_case());
	suite_add_tcase(s, nodes_refused_case(true));
	suite_add_tcase(s, nodes_refused_case(false));
	suite_add_tcase(s, nodes_mtu_case());
	suite_add_tcase(s, nodes_mtu_many_case());
	suite_add_tcase(s, nodes_path_mtu_case());
	suite_add_tcase(s, nodes_path_mtu_more_case());
	suite_add_tcase(s, nodes_path_mtu_closed_case());
	return eal_main(s);
}
