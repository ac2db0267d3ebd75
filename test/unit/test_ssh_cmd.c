/* SPDX-License-Identifier: MIT */
/* test_ssh_cmd: the command line of ssh, and what ssh -G tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ssh_cmd.h"

static const char g_output[] =
	"host gw\n"
	"user alice\n"
	"hostname 192.0.2.1\n"
	"port 2222\n"
	"batchmode no\n"
	"requesttty auto\n"
	"sessiontype default\n"
	"stdinnull no\n"
	"forkafterauthentication no\n"
	"serveraliveinterval 0\n"
	"ciphers chacha20-poly1305@openssh.com,aes128-ctr,"
	"aes128-gcm@openssh.com,aes256-gcm@openssh.com\n"
	"remotecommand tmux attach\n"
	"proxyjump jump:22,other\n"
	"proxycommand nc -X 5 %h %p\n"
	"nonsense\n"
	"\n"
	" \n"
	"identityfile ~/.ssh/id_rsa";

static void ssh_config_is_parsed(void **state)
{
	struct ssh_config c;

	(void)state;
	ssh_config_parse(g_output, strlen(g_output), &c);
	assert_string_equal(c.user, "alice");
	assert_string_equal(c.hostname, "192.0.2.1");
	assert_int_equal(c.port, 2222);
	assert_string_equal(c.proxy_jump, "jump:22,other");
	assert_string_equal(c.proxy_command, "nc -X 5 %h %p");
	assert_int_equal(c.server_alive_interval_s, 0);
	for (int i = 0; i < SSH_CONFIG_NEWER__N; i++)
		assert_true(c.has_newer[i]);
	assert_false(c.has_chosen_ciphers);
}

static void ssh_config_of_an_old_ssh_has_no_newer_options(void **state)
{
	static const char text[] = "user bob\nport 22\nserveraliveinterval 7\n";
	struct ssh_config c;

	(void)state;
	ssh_config_parse(text, strlen(text), &c);
	for (int i = 0; i < SSH_CONFIG_NEWER__N; i++)
		assert_false(c.has_newer[i]);
	assert_int_equal(c.server_alive_interval_s, 7);
}

static void ssh_config_knows_who_connects_in_a_way_of_their_own(void **state)
{
	static const struct {
		const char *text;
		bool has_way;
	} cases[] = {
		{"addressfamily any\nuser bob\n", false},
		{"addressfamily inet6\nuser bob\n", true},
		{"bindaddress none\nbindinterface none\n", false},
		{"bindaddress 192.0.2.1\n", true},
		{"bindinterface eth0\n", true},
	};
	struct ssh_config c;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ssh_config_parse(cases[i].text, strlen(cases[i].text), &c);
		assert_int_equal(c.has_way_to_connect, cases[i].has_way);
	}
}

/* "keyword xxxx..." without an end. */
static void parse_long(const char *keyword, struct ssh_config *c)
{
	char text[4096];
	int at = snprintf(text, sizeof(text), "%s ", keyword);

	memset(text + at, 'x', sizeof(text) - (size_t)at);
	ssh_config_parse(text, sizeof(text), c);
}

static void ssh_config_skips_values_that_are_too_long(void **state)
{
	static const char port[] = "port 99999999999999999999\n";
	struct ssh_config c;

	(void)state;
	parse_long("hostname", &c);
	assert_string_equal(c.hostname, "");
	parse_long("user", &c);
	assert_string_equal(c.user, "");
	ssh_config_parse(port, strlen(port), &c);
	assert_int_equal(c.port, 0);
	ssh_config_parse("port 65536", 10, &c);
	assert_int_equal(c.port, 0);
	ssh_config_parse("port 65535", 10, &c);
	assert_int_equal(c.port, 65535);
}

static const struct {
	const char *list, *wanted; /* NULL: refused */
} cipher_cases[] = {
	{"chacha20-poly1305@openssh.com,aes128-ctr,aes128-gcm@openssh.com,"
	 "aes256-gcm@openssh.com",
	 "aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
	 "chacha20-poly1305@openssh.com,aes128-ctr"},
	/* the order among them is kept */
	{"aes256-gcm@openssh.com,x,aes128-gcm@openssh.com",
	 "aes256-gcm@openssh.com,aes128-gcm@openssh.com,x"},
	{"aes128-gcm@openssh.com", "aes128-gcm@openssh.com"},
	{"aes128-gcm@openssh.com,,x", "aes128-gcm@openssh.com,x"},
	{"aes128-gcm@openssh.co,aes128-ctr", NULL},
	{"", NULL},
};

static void ssh_cmd_prefers_aes_gcm_as_the_table_says(void **state)
{
	char out[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cipher_cases) / sizeof(cipher_cases[0]);
	     i++) {
		int r = ssh_cmd_prefer_aes_gcm(cipher_cases[i].list, out,
					       sizeof(out));
		assert_int_equal(r, cipher_cases[i].wanted ? 0 : -EINVAL);
		if (cipher_cases[i].wanted)
			assert_string_equal(out, cipher_cases[i].wanted);
	}
	assert_int_equal(
		ssh_cmd_prefer_aes_gcm("x,aes128-gcm@openssh.com", out, 24),
		-EINVAL);
	assert_int_equal(
		ssh_cmd_prefer_aes_gcm("x,aes128-gcm@openssh.com", out, 25), 0);
}

static void ssh_options_takes_only_what_is_passed_on(void **state)
{
	struct ssh_options o = {.n_words = 0};

	(void)state;
	for (const char *p = "FipJlo"; *p; p++) {
		assert_int_equal(ssh_options_add(&o, *p, "v", NULL), 0);
		assert_int_equal(ssh_options_add(&o, *p, NULL, NULL), -EINVAL);
		assert_int_equal(ssh_options_add(&o, *p, "", NULL), -EINVAL);
		assert_int_equal(ssh_options_add(&o, *p, "a\nb", NULL),
				 -EINVAL);
	}
	assert_int_equal(o.n_words, 12);
	for (const char *p = "46vq"; *p; p++)
		assert_int_equal(ssh_options_add(&o, *p, NULL, NULL), 0);
	assert_int_equal(o.n_words, 16);
	assert_string_equal(o.words[0], "-F");
	assert_string_equal(o.words[1], "v");
	assert_string_equal(o.words[15], "-q");
	for (const char *p = "LRDwWNfgtTAXYMSOEQ-\n"; *p; p++)
		assert_int_equal(ssh_options_add(&o, *p, "v", NULL), -EINVAL);
}

static const struct {
	char letter;
	const char *value;
	int wanted;
} file_cases[] = {
	{'F', "none", 0},
	{'F', "/dev/null", 0},
	{'F', "/no/such/file", 0},
	{'F', "/dev/stdinx", 0},
	{'F', "/dev/stdin", -EINVAL},
	{'F', "/dev/fd/63", -EINVAL},
	{'F', "/proc/self/fd/0", -EINVAL},
	{'F', "/proc/thread-self/fd/0", -EINVAL},
	{'F', "/dev/zero", -EINVAL},
	{'F', "/dev", -EINVAL},
	{'i', "/dev/stdin", -EINVAL},
	{'l', "/dev/stdin", 0},
	{'o', "IdentityFile=/dev/stdin", -EINVAL},
	{'o', "  identityfile  /dev/stdin", -EINVAL},
	{'o', "\"CertificateFile\" = \"/dev/stdin\"", -EINVAL},
	{'o', "UserKnownHostsFile=~/known /dev/fd/3", -EINVAL},
	{'o', "UserKnownHostsFile=~/known /dev/null", 0},
	{'o', "IdentityFile=", 0},
	{'o', "IdentityFileX=/dev/stdin", 0},
	{'o', "ProxyCommand=cat /dev/stdin", 0},
};

static void ssh_options_has_no_files_that_are_read_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(file_cases) / sizeof(file_cases[0]);
	     i++) {
		struct ssh_options o = {.n_words = 0};
		struct err err = {{0}};
		int r = ssh_options_add(&o, file_cases[i].letter,
					file_cases[i].value, &err);

		if (r != file_cases[i].wanted)
			fail_msg("-%c %s: %d: %s", file_cases[i].letter,
				 file_cases[i].value, r, err.text);
		assert_int_equal(err.text[0] != '\0', r < 0);
	}
}

static void ssh_options_are_bounded(void **state)
{
	struct ssh_options o = {.n_words = 0};
	int n = 0, r;

	(void)state;
	while ((r = ssh_options_add(&o, 'v', NULL, NULL)) == 0)
		n++;
	assert_int_equal(r, -E2BIG);
	assert_true(n > 100 && n <= SSH_OPTIONS_MAX);
}

/* The place of a word in argv, or -1. */
static int index_of(const struct ssh_cmd *cmd, const char *word)
{
	for (size_t i = 0; i < cmd->argc; i++)
		if (strcmp(cmd->argv[i], word) == 0)
			return (int)i;
	return -1;
}

static void build_for(const struct ssh_cmd_use *use, const char *dest_text,
		      const struct ssh_options *o,
		      const struct ssh_config *config, struct ssh_cmd *cmd)
{
	/* argv points into these. */
	static struct ssh_dest dest;
	struct err err;

	assert_int_equal(ssh_dest_parse(dest_text, &dest, &err), 0);
	assert_int_equal(ssh_cmd_build(&dest, o, config, NULL, use, cmd, &err),
			 0);
	assert_null(cmd->argv[cmd->argc]);
}

static void build(const char *dest_text, const struct ssh_options *o,
		  const struct ssh_config *config, struct ssh_cmd *cmd)
{
	struct ssh_cmd_use use = {.remote_command = "exec x"};

	build_for(&use, dest_text, o, config, cmd);
}

static void ssh_cmd_runs_nothing_but_listens(void **state)
{
	struct ssh_cmd_use use = {.control_path = "/run/x/ctl"};
	struct ssh_config config = {.has_chosen_ciphers = true};
	struct ssh_options o = {.n_words = 0};
	struct ssh_cmd cmd;

	(void)state;
	config.has_newer[SSH_CONFIG_SESSION_TYPE] = true;
	config.has_newer[SSH_CONFIG_STDIN_NULL] = true;
	build_for(&use, "gw", &o, &config, &cmd);
	assert_string_equal(cmd.argv[1], "-N");
	assert_true(index_of(&cmd, "ControlMaster=yes") > 0);
	assert_true(index_of(&cmd, "ControlPath=/run/x/ctl") > 0);
	assert_true(index_of(&cmd, "ControlPersist=no") > 0);
	assert_true(index_of(&cmd, "StdinNull=no") > 0);
	assert_int_equal(index_of(&cmd, "SessionType=default"), -1);
	assert_string_equal(cmd.argv[cmd.argc - 1], "gw");
}

static void ssh_cmd_puts_forced_options_first_and_the_command_last(void **state)
{
	static const char *const forced[] = {
		"ForwardAgent=no",  "ForwardX11=no",
		"Tunnel=no",	    "PermitLocalCommand=no",
		"EscapeChar=none",  "RequestTTY=no",
		"Compression=no",   "ControlMaster=no",
		"ControlPath=none", "ClearAllForwardings=yes"};
	struct ssh_config config = {.has_chosen_ciphers = true};
	struct ssh_options o = {.n_words = 0};
	struct ssh_cmd cmd;

	(void)state;
	assert_int_equal(ssh_options_add(&o, 'o', "ForwardAgent=yes", NULL), 0);
	build("alice@gw:2222", &o, &config, &cmd);
	assert_string_equal(cmd.argv[0], "ssh");
	int user_at = index_of(&cmd, "ForwardAgent=yes");
	assert_true(user_at > 0);
	for (size_t i = 0; i < sizeof(forced) / sizeof(forced[0]); i++) {
		int at = index_of(&cmd, forced[i]);
		assert_true(at > 0 && at < user_at);
		assert_string_equal(cmd.argv[at - 1], "-o");
	}
	int n = (int)cmd.argc;
	assert_string_equal(cmd.argv[n - 5], "-p");
	assert_string_equal(cmd.argv[n - 4], "2222");
	assert_string_equal(cmd.argv[n - 3], "--");
	assert_string_equal(cmd.argv[n - 2], "alice@gw");
	assert_string_equal(cmd.argv[n - 1], "exec x");
	for (size_t i = 0; i < cmd.argc; i++)
		assert_null(strstr(cmd.argv[i], "StrictHostKeyChecking"));
}

static void ssh_cmd_gives_newer_options_only_to_a_newer_ssh(void **state)
{
	struct ssh_config config = {.has_chosen_ciphers = true};
	struct ssh_cmd cmd;

	(void)state;
	build("gw", NULL, &config, &cmd);
	assert_int_equal(index_of(&cmd, "SessionType=default"), -1);
	assert_int_equal(index_of(&cmd, "RemoteCommand=none"), -1);
	assert_int_equal(index_of(&cmd, "-p"), -1);
	config.has_newer[SSH_CONFIG_SESSION_TYPE] = true;
	config.has_newer[SSH_CONFIG_REMOTE_COMMAND] = true;
	build("gw", NULL, &config, &cmd);
	assert_true(index_of(&cmd, "SessionType=default") > 0);
	assert_true(index_of(&cmd, "RemoteCommand=none") > 0);
	assert_int_equal(index_of(&cmd, "StdinNull=no"), -1);
}

static void ssh_cmd_keeps_a_shorter_alive_interval(void **state)
{
	static const struct {
		uint32_t interval_s;
		bool is_ours;
	} cases[] = {{0, true}, {1, false}, {15, false}, {16, true}};
	struct ssh_config config = {.has_chosen_ciphers = true};
	struct ssh_cmd cmd;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		config.server_alive_interval_s = cases[i].interval_s;
		build("gw", NULL, &config, &cmd);
		assert_int_equal(index_of(&cmd, "ServerAliveInterval=15") > 0,
				 cases[i].is_ours);
	}
}

static const char *ciphers_of(const struct ssh_cmd *cmd)
{
	for (size_t i = 0; i < cmd->argc; i++)
		if (strncmp(cmd->argv[i], "Ciphers=", 8) == 0)
			return cmd->argv[i];
	return NULL;
}

static void ssh_cmd_leaves_chosen_ciphers_alone(void **state)
{
	struct ssh_config config = {
		.has_chosen_ciphers = true,
		.ciphers = "aes128-ctr,aes128-gcm@openssh.com"};
	struct ssh_cmd cmd;

	(void)state;
	build("gw", NULL, &config, &cmd);
	assert_null(ciphers_of(&cmd));
	config.has_chosen_ciphers = false;
	build("gw", NULL, &config, &cmd);
	if (ciphers_of(&cmd)) /* else this CPU has no AES */
		assert_string_equal(ciphers_of(&cmd),
				    "Ciphers=aes128-gcm@openssh.com,"
				    "aes128-ctr");
	(void)snprintf(config.ciphers, sizeof(config.ciphers), "aes128-ctr");
	build("gw", NULL, &config, &cmd);
	assert_null(ciphers_of(&cmd));
}

static void ssh_cmd_of_the_query_connects_to_nothing(void **state)
{
	struct ssh_dest dest;
	struct ssh_cmd cmd;

	(void)state;
	assert_int_equal(ssh_dest_parse("alice@[fe80::1%eth0]:22", &dest, NULL),
			 0);
	assert_int_equal(
		ssh_cmd_build_query(&dest, NULL, "/opt/ssh", &cmd, NULL), 0);
	assert_string_equal(cmd.argv[0], "/opt/ssh");
	assert_string_equal(cmd.argv[1], "-G");
	assert_string_equal(cmd.argv[cmd.argc - 2], "--");
	assert_string_equal(cmd.argv[cmd.argc - 1], "alice@fe80::1%eth0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ssh_config_is_parsed),
		cmocka_unit_test(ssh_config_of_an_old_ssh_has_no_newer_options),
		cmocka_unit_test(ssh_config_skips_values_that_are_too_long),
		cmocka_unit_test(
			ssh_config_knows_who_connects_in_a_way_of_their_own),
		cmocka_unit_test(ssh_cmd_runs_nothing_but_listens),
		cmocka_unit_test(ssh_cmd_prefers_aes_gcm_as_the_table_says),
		cmocka_unit_test(ssh_options_takes_only_what_is_passed_on),
		cmocka_unit_test(ssh_options_has_no_files_that_are_read_once),
		cmocka_unit_test(ssh_options_are_bounded),
		cmocka_unit_test(ssh_cmd_runs_nothing_but_listens),
		cmocka_unit_test(
			ssh_cmd_puts_forced_options_first_and_the_command_last),
		cmocka_unit_test(
			ssh_cmd_gives_newer_options_only_to_a_newer_ssh),
		cmocka_unit_test(ssh_cmd_keeps_a_shorter_alive_interval),
		cmocka_unit_test(ssh_cmd_leaves_chosen_ciphers_alone),
		cmocka_unit_test(ssh_cmd_of_the_query_connects_to_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
