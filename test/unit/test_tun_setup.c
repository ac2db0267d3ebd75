/* SPDX-License-Identifier: MIT */
/* tun_setup: the commands and the script, which is shown to a shell; and run,
 * with programs that only write down how they are called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "frame.h"
#include "tun_setup.h"

static struct tun_setup longest(void)
{
	struct tun_setup s = {.unit = 0x7ffffffe, .tag = 0xffffffff};

	(void)addr_parse("100.100.100.100", &s.near4);
	(void)addr_parse("fd00:1234:5678:9abc:def0:1234:5678:9abc", &s.near6);
	return s;
}

static struct tun_setup simple(void)
{
	struct tun_setup s = {.unit = 100, .tag = 0xbadcafe};

	(void)addr_parse("100.64.0.2", &s.near4);
	return s;
}

static void the_longest_fits(void **state)
{
	struct tun_setup s = longest();
	char text[TUN_SETUP_SCRIPT_MAX], name[TUN_SETUP_NAME_MAX];
	size_t n = tun_setup_commands(&s, text, sizeof(text));

	(void)state;
	assert_in_range(n, 1, FRAME_TEXT_MAX);
	assert_int_equal(n, strlen(text));
	tun_setup_device(&s, name);
	assert_string_equal(name, "tun2147483646");
	tun_setup_our_device(&s, name);
	assert_string_equal(name, "ecssh-ffffffff");
	n = tun_setup_script(&s, text, sizeof(text));
	assert_in_range(n, 1, sizeof(text) - 1);
	assert_int_equal(n, strlen(text));
}

static void says_what_it_lacks_room_for(void **state)
{
	struct tun_setup s = simple();
	char text[8] = "";
	size_t n = tun_setup_commands(&s, text, sizeof(text));

	(void)state;
	assert_true(n > sizeof(text));
	assert_string_equal(text, "ip link");
	assert_int_equal(tun_setup_commands(&s, NULL, 0), n);
}

/* Each command that is printed is in the script, but for the device's name. */
static void runs_what_it_prints(void **state)
{
	struct tun_setup s = longest();
	char commands[TUN_SETUP_SCRIPT_MAX], script[TUN_SETUP_SCRIPT_MAX];
	char *save = NULL;
	unsigned n = 0;

	(void)state;
	(void)tun_setup_script(&s, script, sizeof(script));
	(void)tun_setup_commands(&s, commands, sizeof(commands));
	for (char *at; (at = strstr(commands, "tun2147483646"));) {
		memmove(at + 14, at + 13, strlen(at + 13) + 1);
		memcpy(at, "ecssh-ffffffff", 14);
	}
	/* What nft is told has semicolons of its own. */
	char *nft = strstr(commands, "; nft '");
	assert_non_null(nft);
	assert_non_null(strstr(script, nft + 2));
	*nft = '\0';
	for (char *part = strtok_r(commands, ";", &save); part;
	     part = strtok_r(NULL, ";", &save), n++)
		assert_non_null(strstr(script, part + strspn(part, " ")));
	assert_int_equal(n, 5);
}

static int feed(const char *shell, const char *script)
{
	FILE *sh = popen(shell, "w"); /* NOLINT(cert-env33-c): a test */

	assert_non_null(sh);
	assert_true(fputs(script, sh) >= 0);
	return pclose(sh);
}

static void is_the_shells_language(void **state)
{
	struct tun_setup s = longest();
	char script[TUN_SETUP_SCRIPT_MAX];

	(void)state;
	(void)tun_setup_script(&s, script, sizeof(script));
	assert_int_equal(feed("sh -n", script), 0);
	s = simple();
	(void)tun_setup_script(&s, script, sizeof(script));
	assert_int_equal(feed("sh -n", script), 0);
}

static const char *const programs[] = {"ip",	"nft", "sysctl",
				       "flock", "tr",  "cat"};

/* A directory with programs that write their name down. */
static void make_programs(const char *dir)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		char path[128];

		(void)snprintf(path, sizeof(path), "%s/%s", dir, programs[i]);
		FILE *f = fopen(path, "w");
		assert_non_null(f);
		(void)fprintf(f, "#!/bin/sh\necho %s >>%s/log\n", programs[i],
			      dir);
		(void)fclose(f);
		assert_int_equal(chmod(path, 0700), 0);
	}
}

static void remove_programs(const char *dir)
{
	char path[128];

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, programs[i]);
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s/log", dir);
	(void)unlink(path);
	(void)rmdir(dir);
}

/* Wherever the connection breaks: a beginning of the script runs nothing. */
static void does_nothing_if_cut_off(void **state)
{
	struct tun_setup s = longest();
	char script[TUN_SETUP_SCRIPT_MAX], shell[256];
	char dir[] = "/tmp/test_tun_setup.XXXXXX", log[64];
	size_t n = tun_setup_script(&s, script, sizeof(script));

	(void)state;
	assert_non_null(mkdtemp(dir));
	make_programs(dir);
	(void)snprintf(log, sizeof(log), "%s/log", dir);
	(void)snprintf(shell, sizeof(shell),
		       "PATH=%s:/usr/bin:/bin sh 2>%s/log2", dir, dir);
	/* All but "main". */
	for (size_t cut = 5; cut < n; cut += cut < 60 ? 1 : 97) {
		char part[TUN_SETUP_SCRIPT_MAX];

		memcpy(part, script, n - cut);
		part[n - cut] = '\0';
		(void)feed(shell, part);
		assert_int_equal(access(log, F_OK), -1);
	}
	(void)snprintf(log, sizeof(log), "%s/log2", dir);
	(void)unlink(log);
	remove_programs(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_fits),
		cmocka_unit_test(says_what_it_lacks_room_for),
		cmocka_unit_test(runs_what_it_prints),
		cmocka_unit_test(is_the_shells_language),
		cmocka_unit_test(does_nothing_if_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
