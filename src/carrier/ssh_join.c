/* SPDX-License-Identifier: MIT */
/*
 * ssh_join: see ssh_join.h.
 *
 * JOIN is written at once, as ssh takes it when the server has accepted the
 * command; what stands before JOINED is noise of a login shell.
 */
#include "ssh_join.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "ssh_child.h"
#include "ssh_words.h"

enum {
	/* Nobody is asked, so nobody needs longer. */
	TIMEOUT_US = 60000000,
	LAST_WORDS_BYTES = 64 << 10,
};

struct ssh_join {
	struct loop *loop;		/* borrowed */
	const struct ssh_join_ops *ops; /* borrowed */
	void *ctx;			/* borrowed */
	struct ssh_child child;
	struct loop_io out, err;
	struct timer timeout;
	struct ssh_words words;
	bool is_joined;
	char host[SSH_DEST_HOST_MAX + 1];
	uint8_t joined[BOND_JOIN_LEN]; /* what is waited for */
	uint8_t head[BOND_NOISE_MAX + BOND_JOIN_LEN];
	size_t head_len;
};

/* ---- the end ---- */

static void on_line(void *ctx, const char *line)
{
	(void)ctx; /* what counts is in the cause */
	(void)line;
}

static bool is_final(const char *cause)
{
	static const char *const parts[] = {
		"Permission denied",
		"Host key verification failed",
		"Too many authentication failures",
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strstr(cause, parts[i]))
			return true;
	return false;
}

static void end(struct ssh_join *j, const char *otherwise)
{
	char cause[SSH_WORDS_LINE_MAX];
	struct err why;

	timer_disarm(j->loop, &j->timeout);
	loop_io_del(j->loop, &j->out);
	loop_io_del(j->loop, &j->err);
	enum ssh_words_rank rank =
		ssh_words_take_cause(&j->words, cause, sizeof(cause));
	bool is_denied =
		!j->is_joined && (rank == SSH_WORDS_NO_EXEC || is_final(cause));
	(void)err_set(&why, 0, "another ssh to %s %s: %s", j->host,
		      j->is_joined ? "has ended" : "failed",
		      cause[0] ? cause : otherwise);
	ssh_child_terminate(&j->child);
	j->ops->on_ended(j->ctx, j, is_denied, &why);
}

static size_t read_words(struct ssh_join *j)
{
	char bytes[4096];
	ssize_t n = read(j->child.stderr_fd, bytes, sizeof(bytes));

	if (n > 0) {
		ssh_words_feed(&j->words, bytes, (size_t)n);
		return (size_t)n;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		loop_io_del(j->loop, &j->err);
	return 0;
}

static void on_stderr(void *ctx, uint32_t events)
{
	(void)events;
	(void)read_words(ctx);
}

static void on_exit_of_ssh(void *ctx, int wait_status)
{
	struct ssh_join *j = ctx;
	size_t n_total = 0, n;

	(void)wait_status;
	while (n_total < LAST_WORDS_BYTES && (n = read_words(j)) > 0)
		n_total += n;
	end(j, "it has ended without a word");
}

static void on_timeout(void *ctx)
{
	end(ctx, "the helper there has not answered within 60 s");
}

/* ---- the answer ---- */

/* Returns the offset behind JOINED, or 0. */
static size_t find_joined(const struct ssh_join *j)
{
	const uint8_t *at =
		memmem(j->head, j->head_len, j->joined, sizeof(j->joined));

	return at ? (size_t)(at - j->head) + sizeof(j->joined) : 0;
}

static void on_stdout(void *ctx, uint32_t events)
{
	struct ssh_join *j = ctx;
	ssize_t n = read(j->child.stdout_fd, j->head + j->head_len,
			 sizeof(j->head) - j->head_len);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* the end of ssh tells why */
		loop_io_del(j->loop, &j->out);
		return;
	}
	j->head_len += (size_t)n;
	size_t at = find_joined(j);
	if (at == 0 && j->head_len == sizeof(j->head)) {
		end(j, "something other than the helper answers there");
		return;
	}
	if (at == 0)
		return;
	j->is_joined = true;
	timer_disarm(j->loop, &j->timeout);
	loop_io_del(j->loop, &j->out);
	ssh_words_end_prompts(&j->words);
	ssh_words_show(&j->words);
	ssh_words_forget(&j->words);
	j->ops->on_joined(j->ctx, j, fd_take(&j->child.stdout_fd),
			  fd_take(&j->child.stdin_fd), j->head + at,
			  j->head_len - at);
}

/* ---- start and end ---- */

static int open_child(struct ssh_join *j, const struct ssh_join_config *c,
		      struct err *err)
{
	struct ssh_start start = {
		.kind = SSH_START_JOIN,
		.flags = c->flags,
	};

	if (c->pins)
		start.pins = *c->pins;
	memcpy(start.join_helper, c->offer->helper, sizeof(start.join_helper));
	memcpy(start.join_path, c->offer->path, sizeof(start.join_path));
	return ssh_child_open(&j->child, c->starter, &start, err);
}

static int watch(struct ssh_join *j, const struct ssh_join_config *c)
{
	uint8_t join[BOND_JOIN_LEN];
	size_t len =
		bond_build_join(join, BOND_JOIN, c->number, c->offer->token);

	(void)bond_build_join(j->joined, BOND_JOINED, c->number,
			      c->offer->token);
	j->out.fd = j->child.stdout_fd;
	j->err.fd = j->child.stderr_fd;
	j->child.on_exit = on_exit_of_ssh;
	j->child.ctx = j;
	/* The pipe is new: it fits.  A broken one shows as ssh's end. */
	int r = fd_write_all(j->child.stdin_fd, join, len);
	explicit_bzero(join, sizeof(join));
	if (r == -EPIPE)
		r = 0;
	if (r == 0)
		r = loop_io_add(j->loop, &j->out, EPOLLIN);
	if (r == 0)
		r = loop_io_add(j->loop, &j->err, EPOLLIN);
	if (r == 0)
		r = ssh_child_watch(j->loop, &j->child);
	if (r == 0)
		timer_arm(j->loop, &j->timeout, TIMEOUT_US);
	return r;
}

struct ssh_join *ssh_join_start(struct loop *loop,
				const struct ssh_join_config *config,
				const struct ssh_join_ops *ops, void *ctx,
				struct err *err)
{
	struct ssh_join *j = calloc(1, sizeof(*j));
	int r;

	if (!j) {
		(void)err_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	j->loop = loop;
	j->ops = ops;
	j->ctx = ctx;
	memcpy(j->host, config->dest->host, sizeof(j->host));
	j->child = (struct ssh_child)SSH_CHILD_NONE;
	j->out = (struct loop_io){.fd = -1, .on_event = on_stdout, .ctx = j};
	j->err = (struct loop_io){.fd = -1, .on_event = on_stderr, .ctx = j};
	j->timeout = (struct timer){.on_fire = on_timeout, .ctx = j};
	ssh_words_init(&j->words, on_line, j);
	if (open_child(j, config, err) < 0)
		return ssh_join_free(j);
	r = watch(j, config);
	if (r == 0)
		return j;
	(void)err_set(err, r, "cannot wait for ssh: %s", strerror(-r));
	return ssh_join_free(j);
}

pid_t ssh_join_pid(const struct ssh_join *j)
{
	return j->child.pid;
}

struct ssh_join *ssh_join_free(struct ssh_join *j)
{
	if (!j)
		return NULL;
	timer_disarm(j->loop, &j->timeout);
	loop_io_del(j->loop, &j->out);
	loop_io_del(j->loop, &j->err);
	ssh_child_close(&j->child);
	explicit_bzero(j->joined, sizeof(j->joined));
	free(j);
	return NULL;
}
