/* SPDX-License-Identifier: MIT */
/* doctor: parsers of what the far side and ssh say, and what is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "far_checks.h"
#include "far_facts.h"
#include "far_script.h"
#include "report.h"
#include "ssh_log.h"

#define MARKER "0123456789abcdef0123456789abcdef"

static struct far_facts parse(const char *text)
{
	struct far_facts f;

	far_facts_init(&f, MARKER);
	far_facts_feed(&f, (const uint8_t *)text, strlen(text));
	far_facts_feed_end(&f);
	return f;
}

static void facts_are_taken_from_marked_lines(void **state)
{
	struct far_facts f = parse(
		"Welcome!\n\n" MARKER " os Linux\n\n" MARKER
		" machine x86_64\nnoise" MARKER " uid 9\n" MARKER
		" uid 1000\n" MARKER " gids 1000 27\n" MARKER
		" groups alice sudo\n" MARKER
		" helper kept /home/a b/helper\n" MARKER " ping 1 100\n" MARKER
		" ipv4\n" MARKER " default4 eth0 1400\n" MARKER
		" resolver 10.0.0.1\n" MARKER " sudo yes\n" MARKER
		" tun no\n" MARKER " owned tun3 up\n" MARKER
		" nft /usr/sbin/nft\n" MARKER " unheard-of key\n" MARKER
		" done\n" MARKER " os BSD\n");

	(void)state;
	assert_true(f.is_answered && f.is_done && !f.is_forced);
	assert_string_equal(f.os, "Linux");
	assert_string_equal(f.machine, "x86_64");
	assert_true(f.has_uid);
	assert_int_equal(f.uid, 1000);
	assert_int_equal(f.n_gids, 2);
	assert_int_equal(f.gids[1], 27);
	assert_string_equal(f.groups, "alice sudo");
	assert_string_equal(f.origin, "kept");
	assert_string_equal(f.helper, "/home/a b/helper");
	assert_true(far_facts_may_ping(&f));
	assert_true(f.has_ipv4 && !f.has_ipv6);
	assert_string_equal(f.device4, "eth0");
	assert_int_equal(f.mtu4, 1400);
	assert_int_equal(f.n_resolvers, 1);
	assert_string_equal(f.sudo, "yes");
	assert_string_equal(f.tun, "no");
	assert_string_equal(f.owned[0], "tun3");
	assert_true(f.is_up[0]);
	assert_string_equal(f.nft, "/usr/sbin/nft");
}

static void hostile_facts_stay_within_bounds(void **state)
{
	struct far_facts f;
	char flood[BOOT_LINE_MAX * 3];

	(void)state;
	f = parse(MARKER " uid -1\n" MARKER " gids 99999999999 1\n" MARKER
			 " ping 5\n" MARKER " default4 eth0 -3\n");
	assert_false(f.has_uid || f.has_ping);
	assert_int_equal(f.n_gids, 0);
	assert_int_equal(f.mtu4, 0);
	f = parse(MARKER " user \033[2Jx\n");
	assert_string_equal(f.user, "\\x1b[2Jx");
	/* Too long for one of ours: not even a part of it counts. */
	memset(flood, 'a', sizeof(flood));
	(void)memcpy(flood, MARKER " os ", strlen(MARKER " os "));
	flood[sizeof(flood) - 2] = '\n';
	flood[sizeof(flood) - 1] = '\0';
	f = parse(flood);
	assert_false(f.is_answered);
	assert_true(f.noise[0] != '\0');
	far_facts_init(&f, MARKER);
	for (int i = 0; i <= FAR_FACTS_BYTES_MAX; i++)
		far_facts_feed(&f, (const uint8_t *)"x", 1);
	assert_true(f.is_too_long && f.is_done && !f.is_answered);
	for (int i = 0; i < 100; i++)
		f = parse(MARKER " resolver a\n" MARKER " resolver b\n" MARKER
				 " resolver c\n" MARKER " resolver d\n" MARKER
				 " resolver e\n");
	assert_int_equal(f.n_resolvers, FAR_FACTS_LISTED_MAX);
}

static void forced_helper_is_recognised(void **state)
{
	struct far_facts f = parse("\n" MARKER " ready 0.1\n\0\0\1\2");

	(void)state;
	assert_true(f.is_forced && f.is_done && !f.is_answered);
}

static void log_of_ssh_is_understood(void **state)
{
	struct ssh_log l = {.local = ""};
	static const char *const lines[] = {
		"OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026",
		"debug1: Remote protocol version 2.0, remote software version "
		"OpenSSH_8.4 x",
		"debug1: kex: algorithm: sntrup761x25519-sha512@openssh.com",
		"debug1: kex: server->client cipher: aes256-gcm@openssh.com "
		"MAC: <implicit> compression: none",
		"debug1: kex: client->server cipher: aes128-gcm@openssh.com "
		"MAC: <implicit> compression: none",
		"debug1: Authentications that can continue: publickey,password",
		"Authenticated to gw ([10.9.0.1]:22) using \"publickey\".",
		"debug1: Remote: Server has rejected tunnel device forwarding",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		ssh_log_take(&l, lines[i]);
	assert_string_equal(l.local, "OpenSSH_9.2p1 Debian-2+deb12u10");
	assert_string_equal(l.server, "OpenSSH_8.4 x");
	assert_string_equal(l.cipher_down, "aes256-gcm@openssh.com");
	assert_string_equal(l.cipher_up, "aes128-gcm@openssh.com");
	assert_string_equal(l.offered, "publickey,password");
	assert_string_equal(l.method, "publickey");
	assert_true(l.rejected_tun);
}

static void unknown_lines_leave_unknown(void **state)
{
	struct ssh_log l = {.local = ""};

	(void)state;
	ssh_log_take(&l, "debug1: kex: server->client aes128-ctr x none");
	ssh_log_take(&l, "debug2: kex: server->client cipher: a");
	ssh_log_take(&l, " debug1: kex: server->client cipher: a");
	ssh_log_take(&l, "Authenticated to gw.");
	ssh_log_take(&l, "");
	assert_string_equal(l.cipher_down, "");
	assert_string_equal(l.method, "");
	assert_false(l.rejected_tun);
}

static void versions_are_compared_as_numbers(void **state)
{
	(void)state;
	assert_int_equal(ssh_log_version("OpenSSH_7.3p1"), 703);
	assert_int_equal(ssh_log_version("OpenSSH_10.0"), 1000);
	assert_int_equal(ssh_log_version("OpenSSH_for_Windows_9.5"), 905);
	assert_int_equal(ssh_log_version("OpenSSH_"), 0);
	assert_int_equal(ssh_log_version("OpenSSH_9"), 0);
	assert_int_equal(ssh_log_version("OpenSSH_99999999999999999999.1"), 0);
	assert_int_equal(ssh_log_version("dropbear_2022.83"), 0);
	assert_int_equal(ssh_log_version(""), 0);
}

/* ---- what is made of it ---- */

static const struct report_check *find(const struct report *r, const char *name)
{
	for (size_t i = 0; i < r->n_checks; i++)
		if (strcmp(r->checks[i].name, name) == 0)
			return &r->checks[i];
	fail_msg("no check \"%s\"", name);
	return NULL;
}

/* The machine "here" is that of this very program. */
static struct report examine(const char *text, const struct far_probes *probes)
{
	struct helper_file helper = {.len = 0};
	struct far_facts f = parse(text);
	struct ssh_log log = {.local = "OpenSSH_9.2p1"};
	struct report r = {.n_checks = 0};

	assert_int_equal(helper_file_load("/proc/self/exe", &helper, NULL), 0);
	if (strcmp(f.machine, "here") == 0)
		(void)snprintf(f.machine, sizeof(f.machine), "%s",
			       helper.machine);
	report_fact(&r, RUNG_NEAR_TUN, RUNG_YES);
	far_checks_connection(&r, &log);
	far_checks_account(&r, &f, probes, &helper);
	far_checks_channels(&r, &f, probes);
	helper_file_fini(&helper);
	for (size_t i = 0; i < r.n_checks; i++) {
		bool is_ok = r.checks[i].state == REPORT_OK;

		assert_true(r.checks[i].fact[0] != '\0');
		assert_true(is_ok == (r.checks[i].advice[0] == '\0'));
	}
	return r;
}

#define ACCOUNT                                              \
	MARKER " os Linux\n" MARKER " machine here\n" MARKER \
	       " uid 1000\n" MARKER " gids 1000\n" MARKER " place /tmp\n"

static void rung_follows_from_the_facts(void **state)
{
	static const struct {
		const char *text;
		struct far_probes probes;
		enum rung rung;
	} cases[] = {
		{ACCOUNT MARKER " sudo none\n",
		 {.exec = FAR_PROBE_OPENED},
		 RUNG_HELPER},
		{ACCOUNT MARKER " sudo untried\n",
		 {.exec = FAR_PROBE_OPENED},
		 RUNG_HELPER},
		{ACCOUNT MARKER " sudo yes\n" MARKER " tun denied\n" MARKER
				" nft /sbin/nft\n",
		 {.exec = FAR_PROBE_OPENED},
		 RUNG_HELPER_PACKETS},
		{ACCOUNT MARKER " sudo yes\n" MARKER " tun no\n" MARKER
				" nft /sbin/nft\n",
		 {.exec = FAR_PROBE_OPENED},
		 RUNG_HELPER},
		{ACCOUNT MARKER " sudo yes\n" MARKER " nft no\n",
		 {.exec = FAR_PROBE_OPENED},
		 RUNG_HELPER},
		{ACCOUNT MARKER " sudo no\n" MARKER " owned tun0 up\n" MARKER
				" nft no\n",
		 {.exec = FAR_PROBE_OPENED},
		 RUNG_HELPER_PACKETS},
		{ACCOUNT MARKER " sudo no\n" MARKER " owned tun0 down\n",
		 {.exec = FAR_PROBE_OPENED},
		 RUNG_HELPER},
		{MARKER " os FreeBSD\n" MARKER " machine amd64\n" MARKER
			" place /tmp\n",
		 {.exec = FAR_PROBE_OPENED,
		  .forwarding = FAR_PROBE_OPENED,
		  .tunnel = FAR_PROBE_PROHIBITED},
		 RUNG_DIRECT},
		{MARKER " os Linux\n" MARKER " machine here\n" MARKER
			" noplace noexec\n",
		 {.exec = FAR_PROBE_OPENED,
		  .forwarding = FAR_PROBE_PROHIBITED,
		  .tunnel = FAR_PROBE_OPENED},
		 RUNG_TUN},
		{MARKER " ready 0.1\n",
		 {.exec = FAR_PROBE_OPENED},
		 RUNG_HELPER},
		{"This account is not available.\n",
		 {.exec = FAR_PROBE_FAILED,
		  .forwarding = FAR_PROBE_OPENED,
		  .tunnel = FAR_PROBE_FAILED},
		 RUNG_DIRECT},
		{"",
		 {.exec = FAR_PROBE_PROHIBITED,
		  .forwarding = FAR_PROBE_PROHIBITED,
		  .tunnel = FAR_PROBE_PROHIBITED},
		 RUNG_NONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct report r = examine(cases[i].text, &cases[i].probes);

		assert_string_equal(rung_name(rung_choose(&r.facts)),
				    rung_name(cases[i].rung));
	}
}

static void refused_tunnel_is_told_apart(void **state)
{
	struct ssh_log log = {.local = ""};
	struct far_facts f = parse(MARKER " owned tun3\n" MARKER " tun yes\n");

	(void)state;
	assert_int_equal(far_checks_tunnel(FAR_PROBE_FAILED, &f, &log),
			 FAR_PROBE_OPENED);
	assert_int_equal(far_checks_tunnel(FAR_PROBE_UNKNOWN, &f, &log),
			 FAR_PROBE_UNKNOWN);
	log.rejected_tun = true;
	assert_int_equal(far_checks_tunnel(FAR_PROBE_FAILED, &f, &log),
			 FAR_PROBE_PROHIBITED);
	log.rejected_tun = false;
	f = parse(MARKER " owned mine0\n" MARKER " tun yes\n");
	assert_int_equal(far_checks_tunnel(FAR_PROBE_FAILED, &f, &log),
			 FAR_PROBE_FAILED);
	f = parse(MARKER " owned tun3\n" MARKER " tun denied\n");
	assert_int_equal(far_checks_tunnel(FAR_PROBE_FAILED, &f, &log),
			 FAR_PROBE_FAILED);
}

static void words_of_the_server_are_told(void **state)
{
	struct far_probes probes = {.exec = FAR_PROBE_FAILED};
	struct report r = examine("This account is off.\n", &probes);
	const struct report_check *c = find(&r, "commands");

	(void)state;
	assert_int_equal(c->state, REPORT_MISSING);
	assert_string_equal(c->fact, "no shell answers: This account is off");
	assert_string_equal(find(&r, "cipher")->fact, "unknown");
}

static void json_is_escaped(void **state)
{
	struct report r = {.destination = "a\"b"};
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	report_ok(&r, "one", "back\\slash");
	report_bad(&r, "two", REPORT_MISSING, "fact\tadvice \"%s\"", "x");
	report_print_json(&r, out);
	(void)fclose(out);
	assert_non_null(strstr(text, "\"destination\": \"a\\\"b\""));
	assert_non_null(strstr(text, "\"fact\": \"back\\\\slash\""));
	assert_non_null(strstr(text, "{\"name\": \"two\", \"state\": "
				     "\"missing\", \"fact\": \"fact\", "
				     "\"advice\": \"advice \\\"x\\\"\"}"));
	free(text);
}

/* What csh and fish, and the quotes around it, would not bear. */
static void script_is_one_quoted_word(void **state)
{
	(void)state;
	assert_null(strpbrk(far_script, "'!\\\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_are_taken_from_marked_lines),
		cmocka_unit_test(hostile_facts_stay_within_bounds),
		cmocka_unit_test(forced_helper_is_recognised),
		cmocka_unit_test(log_of_ssh_is_understood),
		cmocka_unit_test(unknown_lines_leave_unknown),
		cmocka_unit_test(versions_are_compared_as_numbers),
		cmocka_unit_test(rung_follows_from_the_facts),
		cmocka_unit_test(refused_tunnel_is_told_apart),
		cmocka_unit_test(words_of_the_server_are_told),
		cmocka_unit_test(json_is_escaped),
		cmocka_unit_test(script_is_one_quoted_word),
	};

	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
