/* SPDX-License-Identifier: MIT */
/*
 * ssh_config: what the user's ssh_config makes of a destination.
 *
 * We never read the files ourselves: their language is ssh's business.  ssh -G
 * prints one "keyword value" line for each option that is in effect.
 */
#include "ssh_config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "fd.h"
#include "ssh_cmd.h"
#include "ssh_words.h"

enum {
	OUTPUT_MAX = 64 * 1024, /* of ssh -G; some 6 KiB as a rule */
	ARGV_MAX = SSH_OPTIONS_MAX + 16,
	GRACE_MS = 200,
};

static const char *const newer_keywords[] = {
	[SSH_CONFIG_REMOTE_COMMAND] = "remotecommand",
	[SSH_CONFIG_FORK_AFTER_AUTH] = "forkafterauthentication",
	[SSH_CONFIG_SESSION_TYPE] = "sessiontype",
	[SSH_CONFIG_STDIN_NULL] = "stdinnull",
};
static_assert(sizeof(newer_keywords) / sizeof(newer_keywords[0]) ==
		      SSH_CONFIG_NEWER__N,
	      "a keyword for each newer option");

/* Copy the value unless it is too long to mean anything. */
static void copy_value(const char *value, size_t len, char *out, size_t cap)
{
	if (len >= cap)
		return;
	memcpy(out, value, len);
	out[len] = '\0';
}

/* A number up to max; 0 if it is none, or more. */
static uint32_t number(const char *value, size_t len, uint32_t max)
{
	char text[16] = "";

	copy_value(value, len, text, sizeof(text));
	unsigned long n = strtoul(text, NULL, 10);
	return n > max ? 0 : (uint32_t)n;
}

static bool says_how_to_connect(const char *key, const char *value, size_t len)
{
	if (strcmp(key, "addressfamily") == 0)
		return len != 3 || memcmp(value, "any", 3) != 0;
	return (strcmp(key, "bindaddress") == 0 ||
		strcmp(key, "bindinterface") == 0) &&
	       (len != 4 || memcmp(value, "none", 4) != 0);
}

static void take_line(const char *line, size_t len, struct ssh_config *c)
{
	const char *space = memchr(line, ' ', len);
	char key[32] = "";

	if (!space)
		return;
	const char *value = space + 1;
	size_t value_len = len - (size_t)(value - line);
	copy_value(line, (size_t)(space - line), key, sizeof(key));
	if (strcmp(key, "user") == 0)
		copy_value(value, value_len, c->user, sizeof(c->user));
	else if (strcmp(key, "hostname") == 0)
		copy_value(value, value_len, c->hostname, sizeof(c->hostname));
	else if (strcmp(key, "port") == 0)
		c->port = (uint16_t)number(value, value_len, UINT16_MAX);
	else if (strcmp(key, "proxyjump") == 0)
		copy_value(value, value_len, c->proxy_jump,
			   sizeof(c->proxy_jump));
	else if (strcmp(key, "proxycommand") == 0)
		copy_value(value, value_len, c->proxy_command,
			   sizeof(c->proxy_command));
	else if (strcmp(key, "ciphers") == 0)
		copy_value(value, value_len, c->ciphers, sizeof(c->ciphers));
	else if (strcmp(key, "serveraliveinterval") == 0)
		c->server_alive_interval_s =
			number(value, value_len, INT32_MAX);
	c->has_way_to_connect |= says_how_to_connect(key, value, value_len);
	for (int i = 0; i < SSH_CONFIG_NEWER__N; i++)
		if (strcmp(key, newer_keywords[i]) == 0)
			c->has_newer[i] = true;
}

bool ssh_config_is_set(const char *value)
{
	return value[0] != '\0' && strcasecmp(value, "none") != 0;
}

void ssh_config_parse(const char *text, size_t len,
		      struct ssh_config *ret_config)
{
	*ret_config = (struct ssh_config){0};
	while (len > 0) {
		const char *newline = memchr(text, '\n', len);
		size_t line_len = newline ? (size_t)(newline - text) : len;

		take_line(text, line_len, ret_config);
		text += line_len + (newline != NULL);
		len -= line_len + (newline != NULL);
	}
}

/* One run of ssh -G. */
struct query {
	struct child child;
	int stdout_fd, stderr_fd; /* owned */
	char output[OUTPUT_MAX];
	size_t output_len;
	struct ssh_words words;
};

static void read_stderr(struct query *q)
{
	char buf[1024];
	ssize_t n = read(q->stderr_fd, buf, sizeof(buf));

	if (n > 0)
		ssh_words_feed(&q->words, buf, (size_t)n);
	else if (n == 0 || errno != EINTR)
		fd_close(&q->stderr_fd);
}

static void read_stdout(struct query *q)
{
	ssize_t n = read(q->stdout_fd, q->output + q->output_len,
			 sizeof(q->output) - q->output_len);

	if (n > 0)
		q->output_len += (size_t)n;
	else if (n == 0 || errno != EINTR)
		fd_close(&q->stdout_fd); /* also when the room is used up */
}

/* Read both streams to their ends.  Returns 0 or -ETIMEDOUT. */
static int read_all(struct query *q, uint32_t timeout_ms)
{
	mono_us_t end_us = clock_mono_us() + timeout_ms * US_PER_MS;

	while (q->stdout_fd >= 0 || q->stderr_fd >= 0) {
		struct pollfd pfds[2] = {
			{.fd = q->stdout_fd, .events = POLLIN},
			{.fd = q->stderr_fd, .events = POLLIN},
		};
		mono_us_t now_us = clock_mono_us();
		if (now_us >= end_us)
			return -ETIMEDOUT;
		if (poll(pfds, 2, (int)((end_us - now_us) / US_PER_MS) + 1) < 0)
			continue;
		if (pfds[0].revents)
			read_stdout(q);
		if (pfds[1].revents)
			read_stderr(q);
	}
	return 0;
}

static int start(struct query *q, const char *const *argv)
{
	CLEANUP_FD int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CLEANUP_FD int out_wfd = -1;
	CLEANUP_FD int err_wfd = -1;
	int out[2], err[2];

	if (null_fd < 0 || pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	q->stdout_fd = out[0];
	out_wfd = out[1];
	if (pipe2(err, O_CLOEXEC) < 0)
		return -errno;
	q->stderr_fd = err[0];
	err_wfd = err[1];
	struct child_spec spec = {.argv = argv,
				  .fds = {null_fd, out_wfd, err_wfd}};
	return child_spawn(&spec, &q->child.pid);
}

/* The program's exit status, or -errno. */
static int run(struct query *q, const char *const *argv, uint32_t timeout_ms,
	       struct err *err)
{
	char why[SSH_WORDS_LINE_MAX];
	int wait_status;

	int r = start(q, argv);
	if (r == -ENOENT)
		return err_set(err, r,
			       "there is no %s here, which connects to the "
			       "server: install OpenSSH's client",
			       argv[0]);
	if (r < 0)
		return err_set(err, r, "cannot run %s: %s", argv[0],
			       strerror(-r));
	if (read_all(q, timeout_ms) < 0)
		return err_set(err, -ETIMEDOUT,
			       "\"ssh -G\", which tells what ssh_config says, "
			       "did not end within %u s",
			       timeout_ms / 1000);
	pid_t pid = waitpid(q->child.pid, &wait_status, 0);
	q->child.pid = 0;
	if (pid > 0 && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0)
		return 0;
	(void)ssh_words_take_cause(&q->words, why, sizeof(why));
	return err_set(err, -EIO, "ssh does not accept its configuration: %s",
		       why[0] ? why : "it says nothing more");
}

static void ignore_line(void *ctx, const char *line)
{
	(void)ctx;
	(void)line;
}

static int query(const char *const *argv, uint32_t timeout_ms,
		 struct ssh_config *ret_config, struct err *err)
{
	struct query *q = calloc(1, sizeof(*q));

	if (!q)
		return err_set(err, -ENOMEM, "out of memory");
	q->stdout_fd = q->stderr_fd = -1;
	ssh_words_init(&q->words, ignore_line, NULL);
	int r = run(q, argv, timeout_ms, err);
	if (r == 0)
		ssh_config_parse(q->output, q->output_len, ret_config);
	fd_close(&q->stdout_fd);
	fd_close(&q->stderr_fd);
	child_end(&q->child, GRACE_MS);
	free(q);
	return r;
}

int ssh_config_query(const struct ssh_dest *dest, const struct ssh_options *o,
		     const char *ssh_path, uint32_t timeout_ms,
		     struct ssh_config *ret_config, struct err *err)
{
	const char *ssh = ssh_path ? ssh_path : "ssh";
	const char *const bare_argv[] = {ssh,	 "-G", "-T", "-F",
					 "none", "--", "x",  NULL};
	struct ssh_config config, bare;
	struct ssh_cmd cmd;

	int r = ssh_cmd_build_query(dest, o, ssh, &cmd, err);
	if (r < 0)
		return r;
	r = query(cmd.argv, timeout_ms, &config, err);
	if (r < 0)
		return r;
	/* If this one fails the ciphers count as chosen, and stay. */
	bare.ciphers[0] = '\0';
	(void)query(bare_argv, timeout_ms, &bare, NULL);
	config.has_chosen_ciphers = strcmp(config.ciphers, bare.ciphers) != 0;
	*ret_config = config;
	return 0;
}
