/* SPDX-License-Identifier: MIT */
/* test_ssh_words: what is shown of ssh's stderr, and what is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "reference.h"
#include "ssh_verdict.h"
#include "ssh_words.h"

struct shown {
	char text[4096];
};

static void on_line(void *ctx, const char *line)
{
	struct shown *s = ctx;

	assert_true(line[0] != '\0' && !strpbrk(line, "\r\n\x1b"));
	size_t len = strlen(s->text);
	assert_true(len + strlen(line) + 2 < sizeof(s->text));
	(void)snprintf(s->text + len, sizeof(s->text) - len, "%s|", line);
}

/* What is shown at once, what is taken for the cause, and what is shown then:
 * all lines are there exactly once. */
static const struct {
	const char *bytes, *at_once, *cause, *at_end;
	enum ssh_words_rank rank;
} cases[] = {
	{"", "", "", "", SSH_WORDS_NONE},
	{"\r\n\n \r\n", "", "", "", SSH_WORDS_NONE},
	{"Permission denied, please try again.\r\n",
	 "Permission denied, please try again.|",
	 "Permission denied, please try again", "", SSH_WORDS_LINE},
	{"alice@gw: Permission denied (publickey).\r\n", "",
	 "alice@gw: Permission denied (publickey)", "", SSH_WORDS_KNOWN},
	{"ssh: connect to host gw port 22: Connection refused\r\n", "",
	 "connect to host gw port 22: Connection refused", "", SSH_WORDS_KNOWN},
	/* the more telling of two wins, the other one is shown */
	{"Unable to negotiate with 1.2.3.4 port 22: no matching host key type "
	 "found.\nConnection closed by 1.2.3.4 port 22\n",
	 "",
	 "Unable to negotiate with 1.2.3.4 port 22: no matching host key type "
	 "found",
	 "Connection closed by 1.2.3.4 port 22|", SSH_WORDS_KNOWN},
	{"kex_exchange_identification: read: x\nConnection closed by y\n", "",
	 "Connection closed by y", "kex_exchange_identification: read: x|",
	 SSH_WORDS_LAST},
	/* a jump host's refusal */
	{"channel 0: open failed: connect failed: Connection refused\r\n"
	 "stdio forwarding failed\r\n"
	 "Connection closed by UNKNOWN port 65535\r\n",
	 "", "channel 0: open failed: connect failed: Connection refused",
	 "stdio forwarding failed|Connection closed by UNKNOWN port 65535|",
	 SSH_WORDS_KNOWN},
	{"channel 0: open failed: connect failed: open failed\r\n"
	 "stdio forwarding failed\r\n",
	 "", "channel 0: open failed: connect failed: open failed",
	 "stdio forwarding failed|", SSH_WORDS_KNOWN},
	/* no session there at all */
	{"channel 0: open failed: connect failed: open failed\r\n", "",
	 "channel 0: open failed: connect failed: open failed", "",
	 SSH_WORDS_NO_EXEC},
	{"exec request failed on channel 0\r\n", "",
	 "exec request failed on channel 0", "", SSH_WORDS_NO_EXEC},
	/* ssh -v goes on after the reason */
	{"Host key verification failed.\ndebug1: bye\nTransferred: sent 1\n",
	 "", "Host key verification failed", "debug1: bye|Transferred: sent 1|",
	 SSH_WORDS_KNOWN},
	{"debug1: Connection refused\n", "debug1: Connection refused|", "", "",
	 SSH_WORDS_NONE},
	/* ssh's own end, which we have brought about */
	{"chan_send_close2: channel 3: no remote_id\r\n", "", "", "",
	 SSH_WORDS_NONE},
	/* no newline; hostile bytes */
	{"bash: foo: not found", "", "bash: foo: not found", "",
	 SSH_WORDS_LINE},
	{"\x1b]0;title\x07 a\tb\xff\n", "\\x1b]0;title\\x07 a\\x09b\\xff|",
	 "\\x1b]0;title\\x07 a\\x09b\\xff", "", SSH_WORDS_LINE},
};

static void ssh_words_shows_each_line_once_as_the_table_says(void **state)
{
	struct rng rng = rng_init("ssh_words");
	char cause[SSH_WORDS_LINE_MAX];
	struct shown shown;
	struct ssh_words w;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].bytes);

		shown.text[0] = '\0';
		ssh_words_init(&w, on_line, &shown);
		for (size_t at = 0; at < len;) {
			size_t n = 1 + rng_below(&rng, len - at);
			ssh_words_feed(&w, cases[i].bytes + at, n);
			at += n;
		}
		assert_string_equal(shown.text, cases[i].at_once);
		shown.text[0] = '\0';
		assert_int_equal(ssh_words_take_cause(&w, cause, sizeof(cause)),
				 cases[i].rank);
		assert_string_equal(cause, cases[i].cause);
		ssh_words_show(&w);
		assert_string_equal(shown.text, cases[i].at_end);
		assert_false(ssh_words_has_held(&w));
	}
}

static void ssh_words_shows_what_is_held_when_asked(void **state)
{
	struct shown shown = {""};
	struct ssh_words w;

	(void)state;
	ssh_words_init(&w, on_line, &shown);
	ssh_words_feed(&w, "ssh: x\nEnter PIN: ", 18);
	assert_true(ssh_words_has_held(&w));
	assert_string_equal(shown.text, "");
	ssh_words_show(&w);
	assert_string_equal(shown.text, "ssh: x|Enter PIN:|");
	assert_false(ssh_words_has_held(&w));
}

static void ssh_words_holds_any_line_after_the_login(void **state)
{
	char cause[SSH_WORDS_LINE_MAX];
	struct shown shown = {""};
	struct ssh_words w;

	(void)state;
	ssh_words_init(&w, on_line, &shown);
	ssh_words_end_prompts(&w);
	ssh_words_feed(&w, "one\nrbash: restricted\n", 22);
	assert_string_equal(shown.text, "");
	(void)ssh_words_take_cause(&w, cause, sizeof(cause));
	assert_string_equal(cause, "rbash: restricted");
	ssh_words_show(&w);
	assert_string_equal(shown.text, "one|");
}

static void ssh_words_holds_a_bounded_number_of_lines(void **state)
{
	struct shown shown = {""};
	struct ssh_words w;

	(void)state;
	ssh_words_init(&w, on_line, &shown);
	for (int i = 0; i < SSH_WORDS_HELD_MAX - 1; i++)
		ssh_words_feed(&w, "ssh: x\n", 7);
	assert_string_equal(shown.text, "");
	ssh_words_feed(&w, "ssh: y\n", 7);
	assert_non_null(strstr(shown.text, "ssh: x|ssh: y|"));
}

static void ssh_words_shows_long_lines_in_pieces(void **state)
{
	char line[1000];
	struct shown shown = {""};
	struct ssh_words w;
	size_t n_shown = 0;

	(void)state;
	memset(line, 'a', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	ssh_words_init(&w, on_line, &shown);
	ssh_words_feed(&w, line, sizeof(line));
	for (const char *p = shown.text; *p; p++)
		n_shown += *p == 'a';
	assert_int_equal(n_shown, sizeof(line) - 1);
}

static void ssh_words_forgets_what_has_been_shown(void **state)
{
	char cause[SSH_WORDS_LINE_MAX];
	struct shown shown = {""};
	struct ssh_words w;

	(void)state;
	ssh_words_init(&w, on_line, &shown);
	ssh_words_feed(&w, "Permission denied (x)\n", 22);
	ssh_words_forget(&w);
	assert_int_equal(w.cause_rank, SSH_WORDS_KNOWN);
	ssh_words_show(&w);
	ssh_words_forget(&w);
	assert_int_equal(ssh_words_take_cause(&w, cause, sizeof(cause)),
			 SSH_WORDS_NONE);
	assert_string_equal(cause, "");
	assert_string_equal(shown.text, "Permission denied (x)|");
}

static const struct ssh_verdict_who who = {.host = "gw", .user = "alice"};

/* wait(2) statuses: exit status in the second byte, signal in the first. */
#define EXITED(n)   ((n) << 8)
#define SIGNALED(n) (n)

#define WANTED                                                   \
	"; ecssh needs a shell there, or a forced command that " \
	"runs ecssh-helper"

static void verdict_on_an_early_end_is_as_the_table_says(void **state)
{
	static const struct {
		int wait_status;
		int exit_code;
		enum ssh_words_rank rank;
		const char *cause, *noise;
		const char *sentence;
	} ends[] = {
		{EXITED(255), 255, SSH_WORDS_KNOWN,
		 "Host key verification failed", "",
		 "ssh to gw failed: Host key verification failed"},
		{EXITED(255), 255, SSH_WORDS_NONE, "", "",
		 "ssh to gw failed without a word"},
		{SIGNALED(9), 255, SSH_WORDS_LINE, "x", "",
		 "the ssh to gw was ended by signal 9 (Killed)"},
		{EXITED(255), 5, SSH_WORDS_NO_EXEC,
		 "exec request failed on channel 0", "",
		 "gw does not run commands for alice (exec request failed on "
		 "channel 0)" WANTED},
		{EXITED(1), 5, SSH_WORDS_NONE, "",
		 "This service allows sftp connections only.",
		 "gw lets alice transfer files only (SFTP)" WANTED},
		{EXITED(11), 5, SSH_WORDS_NONE, "", "",
		 "gw lets alice transfer files only (SFTP)" WANTED},
		{EXITED(11), 5, SSH_WORDS_NONE, "", "hello",
		 "gw has no usable shell for alice (status 11): hello" WANTED},
		{EXITED(1), 5, SSH_WORDS_NONE, "",
		 "This account is currently not available.",
		 "gw has no usable shell for alice (status 1): This account is "
		 "currently not available" WANTED},
		{EXITED(127), 5, SSH_WORDS_LINE, "sh: exec: not found", "",
		 "gw has no usable shell for alice (status 127): sh: exec: not "
		 "found" WANTED},
		{EXITED(0), 5, SSH_WORDS_NONE, "", "",
		 "gw has no usable shell for alice (status 0)" WANTED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct boot boot;
		struct err err;

		boot_init(&boot, "0123456789abcdef0123456789abcdef");
		(void)snprintf(boot.noise, sizeof(boot.noise), "%s",
			       ends[i].noise);
		boot.n_noise_bytes = strlen(ends[i].noise);
		assert_int_equal(ssh_verdict_ended_early(
					 &who, &boot, ends[i].wait_status,
					 ends[i].cause, ends[i].rank, &err),
				 ends[i].exit_code);
		assert_string_equal(err.text, ends[i].sentence);
	}
}

static void verdict_on_a_later_end_is_as_the_table_says(void **state)
{
	static const struct {
		int wait_status;
		int exit_code;
		const char *cause;
		const char *sentence;
	} ends[] = {
		{EXITED(0), 1, "", "the helper on gw has ended"},
		{EXITED(3), 1, "no memory",
		 "the helper on gw has failed (status 3): no memory"},
		{EXITED(137), 1, "", "the helper on gw was ended by signal 9"},
		{EXITED(254), 1, "",
		 "the helper on gw has failed (status 254)"},
		{EXITED(255), 255, "Timeout, server gw not responding",
		 "the connection to gw is lost: Timeout, server gw not "
		 "responding"},
		{EXITED(255), 255, "",
		 "the helper on gw was killed, or the server closed the "
		 "connection or its channel (ChannelTimeout?) without a word"},
		{SIGNALED(15), 255, "",
		 "the ssh to gw was ended by signal 15 (Terminated)"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct err err;

		assert_int_equal(ssh_verdict_ended(&who, ends[i].wait_status,
						   ends[i].cause, &err),
				 ends[i].exit_code);
		assert_string_equal(err.text, ends[i].sentence);
	}
}

static void verdict_on_each_failure_names_the_gateway(void **state)
{
	struct boot boot;
	struct err err;

	(void)state;
	boot_init(&boot, "0123456789abcdef0123456789abcdef");
	for (int i = 0; i < BOOT_FAIL__N; i++) {
		boot.fail = (enum boot_fail)i;
		int code = ssh_verdict_boot_failed(&who, &boot, 1 << 20, &err);
		assert_int_equal(code, i == BOOT_FAIL_CORRUPT ? 1 : 5);
		assert_non_null(strstr(err.text, "gw"));
	}
	(void)snprintf(boot.os, sizeof(boot.os), "Linux");
	(void)snprintf(boot.machine, sizeof(boot.machine), "aarch64");
	assert_int_equal(ssh_verdict_wrong_machine(&who, &boot, "x86_64", &err),
			 5);
	assert_string_equal(err.text, "gw is a Linux aarch64 machine; this "
				      "ecssh has a helper for Linux x86_64 "
				      "only");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			ssh_words_shows_each_line_once_as_the_table_says),
		cmocka_unit_test(ssh_words_shows_what_is_held_when_asked),
		cmocka_unit_test(ssh_words_holds_any_line_after_the_login),
		cmocka_unit_test(ssh_words_holds_a_bounded_number_of_lines),
		cmocka_unit_test(ssh_words_shows_long_lines_in_pieces),
		cmocka_unit_test(ssh_words_forgets_what_has_been_shown),
		cmocka_unit_test(verdict_on_an_early_end_is_as_the_table_says),
		cmocka_unit_test(verdict_on_a_later_end_is_as_the_table_says),
		cmocka_unit_test(verdict_on_each_failure_names_the_gateway),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
