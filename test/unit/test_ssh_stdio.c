/* SPDX-License-Identifier: MIT */
/*
 * test_ssh_stdio: from start to ready to the end, with a stand-in for ssh.
 *
 * Usage: test_ssh_stdio BOOT_HELPER
 *
 * The stand-in is a shell script of each test's own; "remote" in it runs the
 * command that ssh was given, in a home directory that is empty at first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "ssh_stdio.h"

static const char *helper_path;

static const char prologue[] =
	"#!/bin/sh\n"
	"for line; do :; done\n" /* the last argument */
	"marker=${line#*ecssh_marker=}; marker=${marker%%%%;*}\n"
	"remote() { HOME=%s XDG_RUNTIME_DIR= exec sh -c \"$line\"; }\n"
	"hello() { read -r hello; }\n"
	"say() { echo; echo \"$marker $*\"; }\n"
	"%s\n";

struct bed {
	struct loop *loop;
	struct starter *starter; /* of the last start */
	struct helper_file helper;
	struct ssh_stdio *s;
	char dir[64], ssh_path[80];
	bool is_ready, is_over, is_exited;
	int rfd, wfd;
	enum boot_origin origin;
	char version[64];
	uint8_t leftover[256];
	size_t leftover_len;
	int exit_code;
	struct err err;
	char messages[2048];
	struct timer watchdog;
};

static void on_ready(void *ctx, const struct ssh_stdio_ready *ready)
{
	struct bed *b = ctx;

	assert_false(b->is_ready || b->is_over);
	b->is_ready = true;
	b->rfd = ready->rfd;
	b->wfd = ready->wfd;
	b->origin = ready->origin;
	(void)snprintf(b->version, sizeof(b->version), "%s",
		       ready->helper_version);
	assert_true(ready->leftover_len <= sizeof(b->leftover));
	memcpy(b->leftover, ready->leftover, ready->leftover_len);
	b->leftover_len = ready->leftover_len;
	loop_stop(b->loop);
}

static void end(struct bed *b, int exit_code, const struct err *err)
{
	assert_false(b->is_over);
	b->is_over = true;
	b->exit_code = exit_code;
	b->err = *err;
	loop_stop(b->loop);
}

static void on_failed(void *ctx, int exit_code, const struct err *err)
{
	struct bed *b = ctx;

	assert_false(b->is_ready);
	end(b, exit_code, err);
	b->s = ssh_stdio_free(b->s); /* allowed here */
}

static void on_exited(void *ctx, int exit_code, const struct err *err)
{
	struct bed *b = ctx;

	assert_true(b->is_ready);
	b->is_exited = true;
	end(b, exit_code, err);
}

static void on_message(void *ctx, const char *line)
{
	struct bed *b = ctx;

	size_t len = strlen(b->messages);

	(void)snprintf(b->messages + len, sizeof(b->messages) - len, "%s|",
		       line);
}

static void on_watchdog(void *ctx)
{
	(void)ctx;
	fail_msg("nothing happened for 20 s");
}

static const struct ssh_stdio_ops ops = {.on_ready = on_ready,
					 .on_failed = on_failed,
					 .on_exited = on_exited,
					 .on_message = on_message};

static int setup(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->loop = loop_new(LOOP_TIME_REAL);
	assert_non_null(b->loop);
	b->rfd = b->wfd = -1;
	(void)snprintf(b->dir, sizeof(b->dir), "/tmp/ecssh-test-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	(void)snprintf(b->ssh_path, sizeof(b->ssh_path), "%s/ssh", b->dir);
	b->watchdog = (struct timer){.on_fire = on_watchdog, .ctx = b};
	timer_arm(b->loop, &b->watchdog, 20 * US_PER_SEC);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;
	char command[128];

	fd_close(&b->rfd);
	fd_close(&b->wfd);
	b->s = ssh_stdio_free(b->s);
	b->starter = starter_free(b->starter);
	helper_file_fini(&b->helper);
	/* Nothing is left behind: no descriptor, no process. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	timer_disarm(b->loop, &b->watchdog);
	assert_int_equal(loop_next_timer_us(b->loop), UINT64_MAX);
	b->loop = loop_free(b->loop);
	(void)snprintf(command, sizeof(command), "rm -rf %s", b->dir);
	assert_int_equal(system(command), 0);
	free(b);
	return 0;
}

/* Start with a script for ssh, and run until something happens. */
static void start(struct bed *b, const char *script, uint32_t timeout_ms)
{
	static const char *const args[] = {"--allow=10.0.0.0/8", NULL};
	struct ssh_config config = {.user = "alice"};
	struct ssh_dest dest = {.host = "gw"};
	struct err err;

	b->starter = starter_free(b->starter);
	helper_file_fini(&b->helper);
	assert_int_equal(helper_file_load(helper_path, &b->helper, &err), 0);
	struct ssh_plan plan = {
		.dest = &dest,
		.config = &config,
		.ssh_path = b->ssh_path,
		.helper_hash = b->helper.hash,
		.helper_bytes = b->helper.len,
		.protocol = 1,
		.helper_args = args,
	};
	assert_int_equal(starter_new(&plan, &b->starter, &err), 0);
	struct ssh_stdio_config c = {
		.starter = b->starter,
		.dest = &dest,
		.config = &config,
		.helper = &b->helper,
		.answer_timeout_ms = timeout_ms,
	};

	FILE *f = fopen(b->ssh_path, "we");
	assert_non_null(f);
	/* prologue has two %s */
	assert_true(fprintf(f, prologue, b->dir, script) > 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(b->ssh_path, 0700), 0);
	b->is_ready = b->is_over = false;
	b->s = ssh_stdio_start(b->loop, &c, &ops, b, &err);
	assert_non_null(b->s);
	assert_int_equal(loop_run(b->loop), 0);
}

static void expect_failed(struct bed *b, int exit_code, const char *sentence)
{
	assert_true(b->is_over && !b->is_ready);
	assert_string_equal(b->err.text, sentence);
	assert_int_equal(b->exit_code, exit_code);
}

/* Read len bytes of the session, those left over first. */
static void read_session(struct bed *b, char *out, size_t len)
{
	size_t at = b->leftover_len < len ? b->leftover_len : len;

	memcpy(out, b->leftover, at);
	memmove(b->leftover, b->leftover + at, b->leftover_len - at);
	b->leftover_len -= at;
	assert_int_equal(fcntl(b->rfd, F_SETFL, 0), 0); /* blocking */
	while (at < len) {
		ssize_t n = read(b->rfd, out + at, len - at);
		assert_true(n > 0);
		at += (size_t)n;
	}
}

static void run_to_exit(struct bed *b)
{
	while (!b->is_exited)
		assert_int_equal(loop_run(b->loop), 0);
}

static void ssh_stdio_uploads_then_finds_the_helper(void **state)
{
	struct bed *b = *state;
	char text[6];

	start(b, "remote", 0);
	assert_true(b->is_ready);
	assert_int_equal(b->origin, BOOT_UPLOADED);
	assert_string_equal(b->version, "0.0");
	fd_close(&b->wfd);
	run_to_exit(b);
	assert_string_equal(b->err.text, "the helper on gw has ended");
	b->s = ssh_stdio_free(b->s);
	fd_close(&b->rfd);

	start(b, "remote", 0);
	assert_true(b->is_ready);
	assert_int_equal(b->origin, BOOT_KEPT);
	assert_int_equal(write(b->wfd, "hello\n", 6), 6);
	char line[256] = "";
	for (size_t i = 0; i < sizeof(line) - 1; i++) {
		read_session(b, line + i, 1);
		if (line[i] == '\n')
			break;
	}
	assert_non_null(strstr(line, "/.cache/ecssh-helper-"));
	assert_non_null(strstr(line, " --allow=10.0.0.0/8\n"));
	read_session(b, text, 6);
	assert_memory_equal(text, "hello\n", 6);
	assert_string_equal(b->messages, "");
}

static void ssh_stdio_takes_a_forced_command(void **state)
{
	struct bed *b = *state;
	char script[512];

	(void)snprintf(script, sizeof(script),
		       "SSH_ORIGINAL_COMMAND=$line exec %s", helper_path);
	start(b, script, 0);
	assert_true(b->is_ready);
	assert_int_equal(b->origin, BOOT_INSTALLED);
}

static void ssh_stdio_hands_over_what_followed_the_ready_line(void **state)
{
	struct bed *b = *state;
	char text[8];

	start(b,
	      "hello; say run kept; printf '\\n%s ready 7\\nabc' $marker; "
	      "echo defg; cat",
	      0);
	assert_true(b->is_ready);
	assert_string_equal(b->version, "7");
	read_session(b, text, sizeof(text));
	assert_memory_equal(text, "abcdefg\n", 8);
}

static void ssh_stdio_says_once_why_ssh_failed(void **state)
{
	struct bed *b = *state;

	start(b,
	      "echo Banner >&2; echo 'ssh: connect to host gw port 22: "
	      "Connection refused' >&2; exit 255",
	      0);
	expect_failed(b, 255,
		      "ssh to gw failed: connect to host gw port 22: "
		      "Connection refused");
	assert_string_equal(b->messages, "Banner|");
}

static void ssh_stdio_shows_lines_while_ssh_runs(void **state)
{
	struct bed *b = *state;

	start(b,
	      "printf 'Confirm user presence\\r\\n\\033[31mssh: PIN: ' >&2; "
	      "hello; sleep 0.5; say ready 1; cat",
	      0);
	assert_true(b->is_ready);
	assert_string_equal(b->messages, "Confirm user presence|"
					 "\\x1b[31mssh: PIN:|");
}

static void ssh_stdio_has_no_deadline_before_the_login(void **state)
{
	struct bed *b = *state;

	start(b, "sleep 1; remote", 300);
	assert_true(b->is_ready);
}

static void ssh_stdio_has_a_deadline_after_the_login(void **state)
{
	struct bed *b = *state;

	start(b, "cat >/dev/null", 1000);
	expect_failed(b, 5,
		      "gw has accepted the login but no shell has "
		      "answered within 1 s; ecssh needs a shell there, "
		      "or a forced command that runs ecssh-helper");
}

static void ssh_stdio_has_a_deadline_for_the_upload(void **state)
{
	struct bed *b = *state;

	start(b, "hello; say need $(uname -s) $(uname -m); exec sleep 60",
	      1000);
	expect_failed(b, 1,
		      "the upload of the helper to gw has made no "
		      "progress for 1 s");
}

static void ssh_stdio_gives_up_on_noise(void **state)
{
	struct bed *b = *state;

	start(b, "hello; exec yes 'some noise'", 0);
	expect_failed(b, 1,
		      "gw has sent 16 MiB and still no answer; does a "
		      "start-up file of alice print without end there?");
}

static void ssh_stdio_refuses_another_machine(void **state)
{
	struct bed *b = *state;

	start(b, "hello; say need Plan9 vax; cat >/dev/null", 0);
	assert_true(b->is_over && !b->is_ready);
	assert_int_equal(b->exit_code, 5);
	assert_non_null(strstr(b->err.text,
			       "gw is a Plan9 vax machine; this ecssh has a "
			       "helper for Linux "));
}

static void ssh_stdio_tells_what_the_script_tells(void **state)
{
	struct bed *b = *state;

	start(b, "hello; say fail notool 'head -c'", 0);
	expect_failed(b, 5,
		      "gw lacks a standard program that is needed to "
		      "store the helper: head -c");
}

static void ssh_stdio_refuses_nonsense(void **state)
{
	struct bed *b = *state;

	start(b, "hello; say please; cat >/dev/null", 0);
	expect_failed(b, 1,
		      "gw answers in a way that this version of ecssh "
		      "does not understand");
}

static void ssh_stdio_tells_of_a_signal(void **state)
{
	struct bed *b = *state;

	start(b, "kill -9 $$", 0);
	expect_failed(b, 255, "the ssh to gw was ended by signal 9 (Killed)");
}

static void ssh_stdio_tells_what_is_on_stdout_when_there_is_no_shell(
	void **state)
{
	struct bed *b = *state;

	start(b, "echo 'This account is currently not available.'; exit 1", 0);
	expect_failed(b, 5,
		      "gw has no usable shell for alice (status 1): This "
		      "account is currently not available; ecssh needs a shell "
		      "there, or a forced command that runs ecssh-helper");
}

static void ssh_stdio_passes_on_the_end_of_the_helper(void **state)
{
	struct bed *b = *state;

	start(b, "remote", 0);
	assert_true(b->is_ready);
	assert_int_equal(write(b->wfd, "exit 3\n", 7), 7);
	run_to_exit(b);
	assert_int_equal(b->exit_code, 1);
	assert_string_equal(b->err.text,
			    "the helper on gw has failed (status 3)");
}

static void ssh_stdio_tells_how_the_connection_was_lost(void **state)
{
	struct bed *b = *state;

	start(b,
	      "echo 'Permission denied, please try again.' >&2; hello; "
	      "say ready 1; echo 'Timeout, server gw not responding.' >&2; "
	      "exit 255",
	      0);
	assert_true(b->is_ready);
	run_to_exit(b);
	assert_int_equal(b->exit_code, 255);
	assert_string_equal(b->err.text,
			    "the connection to gw is lost: Timeout, server gw "
			    "not responding");
	assert_string_equal(b->messages,
			    "Permission denied, please try again.|");
}

/* Freed by teardown while ssh runs and ignores the polite way. */
static void ssh_stdio_free_ends_ssh(void **state)
{
	struct bed *b = *state;

	start(b,
	      "trap '' TERM INT HUP; hello; say ready 1; while :; do "
	      "sleep 0.1; done",
	      0);
	assert_true(b->is_ready);
	assert_true(ssh_stdio_pid(b->s) > 0);
}

static void ssh_stdio_tells_when_it_cannot_start(void **state)
{
	struct bed *b = *state;
	struct ssh_config config = {.user = "alice"};
	struct ssh_dest dest = {.host = "gw"};
	struct ssh_plan plan = {
		.dest = &dest,
		.config = &config,
		.ssh_path = "/nonexistent/ssh",
	};
	struct ssh_stdio_config c = {
		.dest = &dest, .config = &config, .is_bare = true};
	struct err err;

	assert_int_equal(starter_new(&plan, &b->starter, &err), 0);
	c.starter = b->starter;
	assert_null(ssh_stdio_start(b->loop, &c, &ops, b, &err));
	assert_string_equal(err.text, "cannot run /nonexistent/ssh: No such "
				      "file or directory");
	assert_true(helper_file_load("/nonexistent/helper", &b->helper, &err) <
		    0);
	assert_string_equal(err.text, "cannot use the helper "
				      "/nonexistent/helper: No such file or "
				      "directory");
	assert_true(helper_file_load("/etc/passwd", &b->helper, &err) < 0);
	assert_string_equal(err.text, "cannot use the helper /etc/passwd: it "
				      "is not a program for a machine we know");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(ssh_stdio_uploads_then_finds_the_helper),
		TEST(ssh_stdio_takes_a_forced_command),
		TEST(ssh_stdio_hands_over_what_followed_the_ready_line),
		TEST(ssh_stdio_says_once_why_ssh_failed),
		TEST(ssh_stdio_shows_lines_while_ssh_runs),
		TEST(ssh_stdio_has_no_deadline_before_the_login),
		TEST(ssh_stdio_has_a_deadline_after_the_login),
		TEST(ssh_stdio_has_a_deadline_for_the_upload),
		TEST(ssh_stdio_gives_up_on_noise),
		TEST(ssh_stdio_refuses_another_machine),
		TEST(ssh_stdio_tells_what_the_script_tells),
		TEST(ssh_stdio_refuses_nonsense),
		TEST(ssh_stdio_tells_of_a_signal),
		TEST(ssh_stdio_tells_what_is_on_stdout_when_there_is_no_shell),
		TEST(ssh_stdio_passes_on_the_end_of_the_helper),
		TEST(ssh_stdio_tells_how_the_connection_was_lost),
		TEST(ssh_stdio_free_ends_ssh),
		TEST(ssh_stdio_tells_when_it_cannot_start),
	};

	if (argc != 2) {
		(void)fprintf(stderr, "usage: test_ssh_stdio BOOT_HELPER\n");
		return 2;
	}
	helper_path = argv[1];
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
