/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl_test.h"

#include "doctor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* cygnetctl doctor on machines and routers that have something wrong. */

static char root[] = "/tmp/cygnet-doctor-XXXXXX";
static struct doctor d;

static void
setup(void)
{
	strcpy(root, "/tmp/cygnet-doctor-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	d = (struct doctor){.root = root, .findings = json_array()};
}

static void
teardown(void)
{
	char command[128];

	json_decref(d.findings);
	snprintf(command, sizeof(command), "rm -r %s", root);
	ck_assert_int_eq(system(command), 0);
}

/* A file of the machine. */
static void
file(const char *path, const char *text)
{
	char full[256], dir[300];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	snprintf(dir, sizeof(dir), "mkdir -p $(dirname %s)", full);
	ck_assert_int_eq(system(dir), 0);
	f = fopen(full, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

/* The state of the first finding of that check whose text has the words in it; NULL: there is none. */
static const char *
state(const char *check, const char *words)
{
	const json_t *f;
	size_t i;

	json_array_foreach (d.findings, i, f) {
		const char *state = list_str(f, "state");

		/* Whatever is wrong has advice. */
		ck_assert(strcmp(state, "wrong") != 0 || json_object_get(f, "do") != NULL);
		if (strcmp(list_str(f, "check"), check) == 0 &&
			strstr(list_str(f, "what"), words) != NULL)
			return state;
	}
	return NULL;
}

#define HAS(check, words, is) ck_assert_str_eq(state(check, words) ?: "-", is)

#define PAGES_2M "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define PAGES_1G "/sys/kernel/mm/hugepages/hugepages-1048576kB/"

START_TEST(a_machine_that_is_well)
{
	file(PAGES_1G "nr_hugepages", "0\n");
	file(PAGES_2M "nr_hugepages", "1024\n");
	file(PAGES_2M "free_hugepages", "512\n");
	file("/proc/mounts", "hugetlbfs /dev/hugepages hugetlbfs rw,pagesize=2M 0 0\n");
	file("/dev/hugepages/x", "");
	file("/sys/module/apparmor/parameters/enabled", "Y\n");
	file("/sys/kernel/security/apparmor/profiles",
		"/usr/lib/ipsec/charon (enforce)\n/usr/bin/man (enforce)\n");
	file("/etc/apparmor.d/local/usr.lib.ipsec.charon",
		"/usr/libexec/cygnet/cygnet-agent Ux,\n");
	chmod(strcat(strcpy((char[300]){0}, root), "/dev/hugepages"), 0700);
	doctor_machine(&d);
	HAS("huge pages", "1024 pages of 2048 kB are reserved, 512 are free", "ok");
	HAS("hugetlbfs", "/dev/hugepages", "ok");
	HAS("AppArmor", "knows the agent", "ok");
	ck_assert_uint_eq(d.wrong, 0);
}
END_TEST

START_TEST(a_machine_that_is_not)
{
	file(PAGES_2M "nr_hugepages", "0\n");
	file("/proc/mounts", "proc /proc proc rw 0 0\n");
	file("/sys/module/apparmor/parameters/enabled", "Y\n");
	file("/sys/kernel/security/apparmor/profiles", "/usr/lib/ipsec/charon (enforce)\n");
	file("/etc/apparmor.d/local/usr.lib.ipsec.charon",
		"# /usr/libexec/cygnet/cygnet-agent Ux,\n");
	doctor_machine(&d);
	HAS("huge pages", "none are reserved", "wrong");
	HAS("hugetlbfs", "not mounted", "wrong");
	HAS("AppArmor", "/usr/lib/ipsec/charon is confined", "wrong");
	ck_assert_uint_eq(d.wrong, 3);
}
END_TEST

START_TEST(huge_pages_that_all_can_read)
{
	file(PAGES_2M "nr_hugepages", "4\n");
	file(PAGES_2M "free_hugepages", "0\n");
	file("/proc/mounts", "none /mnt/huge hugetlbfs rw,relatime,pagesize=2M 0 0\n");
	file("/mnt/huge/x", "");
	chmod(strcat(strcpy((char[300]){0}, root), "/mnt/huge"), 01777);
	doctor_machine(&d);
	HAS("hugetlbfs", "open to others than root (mode 1777)", "wrong");
	HAS("huge pages", "0 are free", "note");
	HAS("AppArmor", "not in force", "ok");
}
END_TEST

/* systemd mounts a hugetlbfs for the default size alone. */
START_TEST(huge_pages_of_another_size)
{
	file("/proc/meminfo", "HugePages_Total:    0\nHugePages_Free:      0\n"
			      "Hugepagesize:       1048576 kB\n");
	file(PAGES_1G "nr_hugepages", "0\n");
	file(PAGES_2M "nr_hugepages", "1024\n");
	file(PAGES_2M "free_hugepages", "1000\n");
	file("/proc/mounts", "hugetlbfs /dev/hugepages hugetlbfs rw,pagesize=1024M 0 0\n");
	doctor_machine(&d);
	HAS("huge pages", "1024 pages of 2048 kB are reserved, and no hugetlbfs is for these",
		"wrong");
	json_array_clear(d.findings);
	file("/proc/mounts", "hugetlbfs /dev/hugepages hugetlbfs rw,pagesize=1024M 0 0\n"
			     "hugetlbfs /dev/hugepages-2M hugetlbfs rw,pagesize=2M 0 0\n");
	doctor_machine(&d);
	HAS("huge pages", "1024 pages of 2048 kB are reserved, 1000 are free", "ok");
}
END_TEST

/* A file that gives no more than a page to a read(), as the kernel's do: the process that feeds it. */
static pid_t
file_by_pages(const char *path, const char *text)
{
	char full[256];
	pid_t pid;
	int fd;

	file(path, "");
	snprintf(full, sizeof(full), "%s%s", root, path);
	ck_assert_int_eq(unlink(full), 0);
	ck_assert_int_eq(mkfifo(full, 0600), 0);
	pid = fork();
	if (pid == 0) {
		fd = open(full, O_WRONLY);
		if (fcntl(fd, F_SETPIPE_SZ, 4096) != 4096)
			_exit(1);
		_exit(write(fd, text, strlen(text)) != (ssize_t)strlen(text));
	}
	return pid;
}

/* The lines that matter stand behind the first page of a machine with many mounts and many profiles. */
START_TEST(long_files_of_the_kernel)
{
	char *mounts = NULL, *profiles = NULL;
	pid_t feeders[2];
	size_t len;
	int ended;
	FILE *f;

	f = open_memstream(&mounts, &len);
	for (unsigned int i = 0; i < 200; i++)
		fprintf(f, "overlay /var/lib/containers/%u overlay rw,relatime 0 0\n", i);
	fputs("hugetlbfs /dev/hugepages hugetlbfs rw,pagesize=2M 0 0\n", f);
	fclose(f);
	f = open_memstream(&profiles, &len);
	for (unsigned int i = 0; i < 200; i++)
		fprintf(f, "snap.some-program-%u.command (enforce)\n", i);
	fputs("/usr/lib/ipsec/charon (enforce)\n", f);
	fclose(f);
	file("/dev/hugepages/x", "");
	chmod(strcat(strcpy((char[300]){0}, root), "/dev/hugepages"), 0700);
	file("/sys/module/apparmor/parameters/enabled", "Y\n");
	feeders[0] = file_by_pages("/proc/mounts", mounts);
	feeders[1] = file_by_pages("/sys/kernel/security/apparmor/profiles", profiles);
	doctor_machine(&d);
	HAS("hugetlbfs", "/dev/hugepages", "ok");
	HAS("AppArmor", "/usr/lib/ipsec/charon is confined", "wrong");
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(waitpid(feeders[i], &ended, 0), feeders[i]);
		ck_assert_int_eq(ended, 0);
	}
	free(mounts);
	free(profiles);
}
END_TEST

#define CONF "/etc/strongswan.d/charon/kernel-cygnet.conf"

START_TEST(charons_files)
{
	doctor_charon(&d, "site-a");
	HAS("charon", "does not run", "note");
	HAS("plugin", "there is no", "note");
	file("/proc/77/comm", "charon\n");
	file(CONF, "kernel-cygnet {\n    load = 10\n    # file_prefix = x\n    file_prefix = "
		   "site-a\n}\n");
	doctor_charon(&d, "site-a");
	HAS("charon", "it runs", "ok");
	HAS("plugin", "looks for the router \"site-a\"", "ok");
	ck_assert_uint_eq(d.wrong, 0);
	file(CONF, "kernel-cygnet {\n  load = yes\n  file_prefix = \"site-c\"# ours\n}\n");
	doctor_charon(&d, "site-c");
	HAS("plugin", "looks for the router \"site-c\"", "ok");
	ck_assert_uint_eq(d.wrong, 0);
	doctor_charon(&d, "site-b");
	HAS("plugin", "this one's file prefix is \"site-b\"", "wrong");
	HAS("plugin", "charon may do without it", "note");
	file(CONF, "kernel-cygnet {\n    load = no\n}\n");
	doctor_charon(&d, "cygnet");
	HAS("plugin", "does not load it", "wrong");
}
END_TEST

/* doctor_interfaces() with a charon.conf that has this line. */
static void
interfaces(const char *line)
{
	json_t *ports = json_loads("[{\"name\": \"wan\", \"netdev\": \"eth1\"},"
				   "{\"name\": \"lan\", \"netdev\": null}]",
		0, NULL);
	char text[256];

	snprintf(text, sizeof(text), "charon {\n    %s\n}\n", line);
	file("/etc/strongswan.d/charon.conf", text);
	json_array_clear(d.findings);
	doctor_interfaces(&d, ports);
	json_decref(ports);
}

START_TEST(charons_interfaces)
{
	interfaces("# interfaces_use = wan");
	HAS("interfaces", "listens at all ports", "note");
	interfaces("interfaces_use =");
	HAS("interfaces", "listens at all ports", "note");
	interfaces("interfaces_use = dummy0");
	HAS("interfaces", "has 0 of the ports", "note");
	interfaces("interfaces_use = \"wan, eth0\" # eth1");
	HAS("interfaces", "has 1 of the ports", "ok");
	ck_assert_uint_eq(d.wrong, 0);
	interfaces("interfaces_use = lo,eth1");
	HAS("interfaces", "has eth1, which is the interface under the port wan", "wrong");
	/* The files of strongswan.d come after it. */
	file("/etc/strongswan.conf", "charon {\n interfaces_use = wan }\n");
	interfaces("interfaces_use = eth1");
	HAS("interfaces", "has eth1", "wrong");
	interfaces("");
	HAS("interfaces", "has 1 of the ports", "ok");
}
END_TEST

#define PLUGINS "/usr/lib/ipsec/plugins"

START_TEST(strongswan)
{
	doctor_strongswan(&d);
	HAS("strongSwan", "there is no " PLUGINS, "note");
	file(PLUGINS "/libstrongswan-kernel-cygnet.so",
		"x cygnet: this plugin is for strongSwan 5.9.8, the daemon is %s: refused");
	file("/usr/lib/ipsec/charon", "Starting IKE charon daemon (strongSwan 5.9.80, %s");
	doctor_strongswan(&d);
	HAS("strongSwan", "was built for strongSwan 5.9.8, and /usr/lib/ipsec/charon is another",
		"wrong");
	ck_assert_uint_eq(d.wrong, 1);
	file("/usr/lib/ipsec/charon", "Starting IKE charon daemon (strongSwan 5.9.8, %s");
	doctor_strongswan(&d);
	HAS("strongSwan", "this one", "ok");
}
END_TEST

/* As installed, and as the sample says. */
START_TEST(strongswan_as_it_should_be)
{
	char command[700];

	file(CONF, "kernel-cygnet! {\n    load = 10\n}\nkernel-cygnet {\n    file_prefix = a\n}\n");
	file(PLUGINS "/libstrongswan-kernel-cygnet.so", "this plugin is for strongSwan 5.9.8, the");
	file("/usr/lib/ipsec/x", "");
	snprintf(command, sizeof(command), "printf '\\0005.9.8\\000' > %s/usr/lib/ipsec/charon",
		root);
	ck_assert_int_eq(system(command), 0);
	doctor_charon(&d, "a");
	HAS("strongSwan", "the plugin is for this one", "ok");
	HAS("plugin", "looks for the router \"a\"", "ok");
	ck_assert_ptr_null(state("plugin", "may do without it"));
	ck_assert_uint_eq(d.wrong, 0);
	snprintf(command, sizeof(command), "printf '\\0005.9.14\\000' > %s/usr/lib/ipsec/charon",
		root);
	ck_assert_int_eq(system(command), 0);
	doctor_charon(&d, "a");
	HAS("strongSwan", "was built for strongSwan 5.9.8", "wrong");
}
END_TEST

static void
status(const char *members)
{
	char text[2048];
	json_error_t e;
	json_t *v;

	snprintf(text, sizeof(text), "{\"name\": \"r\", \"pid\": 7, %s}", members);
	v = json_loads(text, 0, &e);
	ck_assert_msg(v != NULL, "%s", e.text);
	doctor_status(&d, v);
	json_decref(v);
}

START_TEST(a_router_that_is_well)
{
	status("\"version\": \"" CYGNET_VERSION "\", \"policies_complete\": true, \"owners\": "
	       "[{\"alive\": true, \"sas\": 2, \"policies\": 3, \"lost_events\": 0}], \"counts\": "
	       "{\"sas\": {\"live\": 2, \"larval\": 0, \"dying\": 0, \"limit\": 100}}");
	HAS("backend", "a charon is connected", "ok");
	HAS("policies", "are complete", "ok");
	HAS("version", CYGNET_VERSION, "ok");
	ck_assert_uint_eq(d.wrong, 0);
}
END_TEST

START_TEST(a_router_that_is_not)
{
	status("\"version\": \"9.9.9\", \"policies_complete\": false, \"owners\": "
	       "[{\"alive\": false, \"sas\": 2, \"policies\": 3, \"lost_events\": 0}], \"counts\": "
	       "{\"sas\": {\"live\": 80, \"larval\": 5, \"dying\": 5, \"limit\": 100}, "
	       "\"policies\": {\"in\": 1, \"out\": 95, \"fwd\": 1, \"limit\": 100}, "
	       "\"mbufs\": {\"free\": 3, \"total\": 1000}}");
	HAS("version", "the router is 9.9.9", "wrong");
	HAS("backend", "charon or its agent is gone", "wrong");
	HAS("orphans", "5 SAs and policies", "note");
	ck_assert_ptr_null(state("events", ""));
	HAS("policies", "not complete", "wrong");
	HAS("limits", "90 of 100 SAs", "wrong");
	HAS("limits", "95 of 100 policies", "wrong");
	HAS("limits", "997 of 1000 packet buffers", "wrong");
	ck_assert_uint_eq(d.wrong, 6);
}
END_TEST

START_TEST(an_agent_of_another_version)
{
	status("\"version\": \"" CYGNET_VERSION "\", \"policies_complete\": false, "
	       "\"owners\": [], \"refused_agent\": \"0.0.9\"");
	HAS("version", "refused an agent of version 0.0.9", "wrong");
	HAS("backend", "no charon has connected", "wrong");
}
END_TEST

START_TEST(events_that_were_lost)
{
	status("\"version\": \"" CYGNET_VERSION "\", \"policies_complete\": true, \"owners\": "
	       "[{\"alive\": true, \"sas\": 2, \"policies\": 3, \"lost_events\": 7}]");
	HAS("events", "7 events for charon were lost", "note");
	ck_assert_uint_eq(d.wrong, 0);
}
END_TEST

START_TEST(lcores)
{
	json_t *v = json_loads(
		"[{\"role\": \"control\", \"cpu\": 0, \"numa_node\": 0},"
		"{\"role\": \"worker\", \"cpu\": 1, \"numa_node\": 0, \"isolated\": true},"
		"{\"role\": \"crypto\", \"cpu\": 1, \"numa_node\": 1, \"isolated\": false}]",
		0, NULL);

	doctor_lcores(&d, v);
	json_decref(v);
	HAS("lcores", "2 of them share", "note");
	HAS("isolation", "of 1 workers or crypto lcores", "note");
	HAS("NUMA", "1 lcores are on another node", "note");
	ck_assert_uint_eq(d.wrong, 0);
}
END_TEST

START_TEST(shown)
{
	char *text = NULL;
	size_t len;
	struct view view = {.out = open_memstream(&text, &len)};
	json_t *back;

	doctor_say(&d, "a check", DOCTOR_WRONG, "do this", "it is %d", 5);
	doctor_say(&d, "another", DOCTOR_OK, NULL, "fine");
	doctor_print(&d, &view);
	fflush(view.out);
	ck_assert_ptr_nonnull(strstr(text, "WRONG  a check      it is 5\n"));
	ck_assert_ptr_nonnull(strstr(text, "-> do this\n"));
	ck_assert_ptr_nonnull(strstr(text, "1 thing is wrong.\n"));
	fclose(view.out);
	free(text);
	view = (struct view){.out = open_memstream(&text, &len), .json = true};
	doctor_print(&d, &view);
	fclose(view.out);
	back = json_loads(text, 0, NULL);
	ck_assert_uint_eq(json_array_size(back), 2);
	ck_assert_str_eq(list_str(json_array_get(back, 0), "do"), "do this");
	ck_assert_str_eq(list_str(json_array_get(back, 0), "state"), "wrong");
	json_decref(back);
	free(text);
}
END_TEST

START_TEST(a_port_that_linux_hears)
{
	json_t *ports = json_loads("[{\"name\": \"wan\", \"netdev\": \"eth1\", \"deaf\": false,"
				   "\"link\": {\"state\": \"up\"}},"
				   "{\"name\": \"lan\", \"netdev\": \"eth2\", \"deaf\": true,"
				   "\"link\": {\"state\": \"up\"}}]",
		0, NULL);

	doctor_ports(&d, ports, getpid());
	HAS("deaf ports", "wan: Linux hears what comes in by eth1", "wrong");
	ck_assert_ptr_null(state("deaf ports", "lan"));
	json_decref(ports);
}
END_TEST

TCase *
doctor_case(void)
{
	TCase *t = tcase_create("doctor");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_machine_that_is_well);
	tcase_add_test(t, a_machine_that_is_not);
	tcase_add_test(t, huge_pages_that_all_can_read);
	tcase_add_test(t, huge_pages_of_another_size);
	tcase_add_test(t, long_files_of_the_kernel);
	tcase_add_test(t, charons_files);
	tcase_add_test(t, charons_interfaces);
	tcase_add_test(t, strongswan);
	tcase_add_test(t, strongswan_as_it_should_be);
	tcase_add_test(t, a_router_that_is_well);
	tcase_add_test(t, a_router_that_is_not);
	tcase_add_test(t, an_agent_of_another_version);
	tcase_add_test(t, events_that_were_lost);
	tcase_add_test(t, lcores);
	tcase_add_test(t, a_port_that_linux_hears);
	tcase_add_test(t, shown);
	return t;
}
