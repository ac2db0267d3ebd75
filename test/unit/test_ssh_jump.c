/* SPDX-License-Identifier: MIT */
/* test_ssh_jump: which jump host is ours, and the words that lead by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ssh_jump.h"

/* A program that plays ssh -G, and keeps its arguments. */
struct bed {
	struct ssh_dest to;
	struct ssh_config config;
	struct ssh_options options;
	char dir[64], ssh_path[80], args_path[80];
};

static int setup(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	(void)snprintf(b->to.host, sizeof(b->to.host), "gw");
	(void)snprintf(b->dir, sizeof(b->dir), "/tmp/ecssh-test-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	(void)snprintf(b->ssh_path, sizeof(b->ssh_path), "%s/ssh", b->dir);
	(void)snprintf(b->args_path, sizeof(b->args_path), "%s/args", b->dir);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;

	(void)unlink(b->ssh_path);
	(void)unlink(b->args_path);
	assert_int_equal(rmdir(b->dir), 0);
	free(b);
	return 0;
}

static void write_ssh(const struct bed *b, const char *says)
{
	FILE *f = fopen(b->ssh_path, "we");

	assert_non_null(f);
	assert_true(fprintf(f,
			    "#!/bin/sh\n[ \"$4\" = none ] || echo \"$*\" "
			    ">%s\n%s\n",
			    b->args_path, says) > 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(b->ssh_path, 0700), 0);
}

static bool find(struct bed *b, const char *proxy_jump, struct ssh_jump *ret)
{
	(void)snprintf(b->config.proxy_jump, sizeof(b->config.proxy_jump), "%s",
		       proxy_jump);
	return ssh_jump_find(&b->to, &b->config, &b->options, b->ssh_path,
			     10000, ret);
}

static void expect_args(const struct bed *b, const char *expected)
{
	char args[256] = "";
	FILE *f = fopen(b->args_path, "re");

	assert_non_null(f);
	assert_non_null(fgets(args, sizeof(args), f));
	assert_int_equal(fclose(f), 0);
	args[strcspn(args, "\n")] = '\0';
	assert_string_equal(args, expected);
}

static void one_jump_host_is_asked_for(void **state)
{
	static struct ssh_jump jump;
	struct bed *b = *state;

	write_ssh(b, "echo hostname 192.0.2.1; echo port 2222");
	assert_int_equal(ssh_options_add(&b->options, 'F', "/first", NULL), 0);
	assert_int_equal(ssh_options_add(&b->options, 'l', "-F", NULL), 0);
	assert_int_equal(ssh_options_add(&b->options, 'F', "/last", NULL), 0);
	assert_int_equal(ssh_options_add(&b->options, 'p', "1", NULL), 0);
	assert_true(find(b, "alice@bastion:2200", &jump));
	expect_args(b, "-G -T -F /last -p 2200 -- alice@bastion");
	assert_string_equal(jump.config.hostname, "192.0.2.1");
	assert_string_equal(jump.file, "/last");
	assert_string_equal(jump.dest.host, "bastion");
	assert_true(find(b, "[2001:db8::1]:22", &jump));
}

static void others_are_left_to_ssh(void **state)
{
	static const char *const jumps[] = {"",
					    "none",
					    "a,b",
					    "gw",
					    "alice@gw",
					    "%h",
					    "$(id)",
					    "a b",
					    "fe80::1%eth0",
					    "dom\\alice@bastion",
					    "-oX=y",
					    "'",
					    "a`id`@b",
					    "ssh://",
					    "a;b"};
	static struct ssh_jump jump;
	struct bed *b = *state;

	write_ssh(b, "echo hostname 192.0.2.1");
	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++)
		assert_false(find(b, jumps[i], &jump));
	assert_true(find(b, "bastion", &jump));
	(void)snprintf(b->config.proxy_command, sizeof(b->config.proxy_command),
		       "nc %%h %%p");
	assert_false(find(b, "bastion", &jump));
	b->config.proxy_command[0] = '\0';
	write_ssh(b, "echo proxyjump another");
	assert_false(find(b, "bastion", &jump));
	write_ssh(b, "echo proxycommand nc %h %p");
	assert_false(find(b, "bastion", &jump));
	write_ssh(b, "exit 1");
	assert_false(find(b, "bastion", &jump));
	write_ssh(b, "echo hostname 192.0.2.1");
	assert_int_equal(ssh_options_add(&b->options, 'F', "/a b", NULL), 0);
	assert_false(find(b, "bastion", &jump));
}

static void the_command_is_that_of_openssh_and_our_own(void **state)
{
	static struct ssh_jump jump = {.dest = {"alice", "bastion", 2200},
				       .file = "/etc/other"};
	static char text[DIALER_TEXT_MAX];
	struct dialer_pins pins = {0};
	struct ssh_jump_use use = {
		.n_verbose = 4, .is_batch = true, .pins = &pins};
	struct ssh_options o = {0};
	struct err err;

	(void)state;
	assert_int_equal(ssh_jump_add(&o, &jump, &use, text, &err), 0);
	assert_string_equal(
		o.words[1],
		"ProxyCommand='ssh' -l alice -p 2200 -F /etc/other "
		"-v -v -v -o ControlPath=none -o BatchMode=yes -W '[%h]:%p' "
		"bastion");
	assert_string_equal(o.words[3], "ProxyUseFdpass=no");

	jump = (struct ssh_jump){.dest = {"", "bastion", 0}};
	o.n_words = 0;
	pins.n = 1;
	pins.to[0].port = 22;
	assert_int_equal(addr_parse("192.0.2.1", &pins.to[0].addr), 0);
	pins.from = (struct port_range){20000, 20511};
	use = (struct ssh_jump_use){.ssh_path = "/100%/ssh",
				    .program = "/a b/100%/ecssh-dial",
				    .pins = &pins};
	assert_int_equal(ssh_jump_add(&o, &jump, &use, text, &err), 0);
	assert_string_equal(
		o.words[1],
		"ProxyCommand='/100%%/ssh' -o ControlPath=none "
		"-o ProxyUseFdpass=yes -o \"ProxyCommand='/a b/100%%%%/"
		"ecssh-dial' --from 20000-20511 192.0.2.1 22\" "
		"-W '[%h]:%p' bastion");
}

static void paths_that_a_shell_would_misread_are_refused(void **state)
{
	static const char *const paths[] = {"/it's", "/\"x",  "/$HOME",
					    "/`id`", "/a\\b", "/!x"};
	static struct ssh_jump jump = {.dest = {"", "bastion", 0}};
	static char text[DIALER_TEXT_MAX];
	struct dialer_pins pins = {.n = 1};
	struct ssh_options o = {0};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct ssh_jump_use dial = {.program = paths[i], .pins = &pins},
				    ssh = {.ssh_path = paths[i],
					   .program = "/x",
					   .pins = &pins};

		assert_int_equal(ssh_jump_add(&o, &jump, &dial, text, &err),
				 -EINVAL);
		assert_int_equal(ssh_jump_add(&o, &jump, &ssh, text, &err),
				 -EINVAL);
	}
	assert_int_equal(o.n_words, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_jump_host_is_asked_for,
						setup, teardown),
		cmocka_unit_test_setup_teardown(others_are_left_to_ssh, setup,
						teardown),
		cmocka_unit_test(the_command_is_that_of_openssh_and_our_own),
		cmocka_unit_test(paths_that_a_shell_would_misread_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
