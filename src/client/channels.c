/* SPDX-License-Identifier: MIT */
/*
 * channels: an ssh that runs nothing on the far side, and the link to it.
 *
 * Theory of operation
 *   ssh is started with -N and a control socket.  The socket appears when the
 *   login is over; the link enters proxy mode there, and is of no use without
 *   this ssh nor this ssh without it: whichever ends first ends both.  ssh's
 *   own words say best why, so when the link breaks ssh is waited for a moment.
 *
 * Ownership: the link goes before ssh, because it may take ssh along.
 */
#include "channels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "fd.h"
#include "log.h"
#include "mux_sock.h"
#include "ssh_stdio.h"

enum { LAST_WORDS_US = 1500000 };

struct channels {
	struct loop *loop;		/* borrowed */
	const struct channels_ops *ops; /* borrowed */
	void *ctx;			/* borrowed */
	struct mux_sock *sock;		/* owned, as the next three */
	int spare_fd; /* a connection to its control socket, or -errno */
	struct ssh_stdio *ssh;
	struct mux_link *link;
	struct timer last_words; /* the link has broken: ssh may say why */
	struct err why;
	bool is_over;
};

static void fail(struct channels *ch, int exit_code, const struct err *why)
{
	if (ch->is_over)
		return;
	ch->is_over = true;
	timer_disarm(ch->loop, &ch->last_words);
	ch->ops->on_failed(ch->ctx, ch, exit_code, why);
}

/* ---- the link ---- */

static void on_link_ready(void *ctx)
{
	struct channels *ch = ctx;

	ch->ops->on_ready(ch->ctx, ch);
}

static void on_link_closed(void *ctx, const struct err *why)
{
	struct channels *ch = ctx;

	ch->why = *why;
	timer_arm(ch->loop, &ch->last_words, LAST_WORDS_US);
}

static void on_last_words(void *ctx)
{
	struct channels *ch = ctx;

	fail(ch, CLIENT_EXIT_LACKING, &ch->why);
}

static const struct mux_link_ops link_ops = {
	.on_ready = on_link_ready,
	.on_closed = on_link_closed,
};

static void on_connected(void *ctx, int fd)
{
	struct channels *ch = ctx;
	int r = fd;
	struct err why;

	ssh_stdio_on_login(ch->ssh);
	ch->spare_fd = mux_sock_connect(ch->sock);
	mux_sock_remove(ch->sock);
	if (fd >= 0) {
		ch->link = mux_link_new(ch->loop, fd, &link_ops, ch);
		r = ch->link ? 0 : -errno;
	}
	if (r >= 0)
		return;
	(void)err_set(&why, r, "cannot use ssh's control socket: %s",
		      strerror(-r));
	fail(ch, CLIENT_EXIT_RUNTIME, &why);
}

/* ---- ssh ---- */

static void on_ssh_ready(void *ctx, const struct ssh_stdio_ready *ready)
{
	(void)ctx; /* it never is: nothing runs there */
	(void)ready;
}

static void on_ssh_ended(void *ctx, int exit_code, const struct err *err)
{
	fail(ctx, exit_code, err);
}

static void on_ssh_message(void *ctx, const char *line)
{
	(void)ctx;
	(void)fprintf(stderr, "%s\n", line);
}

static const struct ssh_stdio_ops ssh_ops = {
	.on_ready = on_ssh_ready,
	.on_failed = on_ssh_ended,
	.on_exited = on_ssh_ended,
	.on_message = on_ssh_message,
};

/* ---- life ---- */

struct channels *channels_start(struct loop *loop,
				const struct channels_config *config,
				const struct channels_ops *ops, void *ctx,
				struct err *err)
{
	struct channels *ch = calloc(1, sizeof(*ch));

	if (!ch) {
		(void)err_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	ch->loop = loop;
	ch->ops = ops;
	ch->ctx = ctx;
	ch->spare_fd = -ENOTCONN;
	ch->last_words = (struct timer){.on_fire = on_last_words, .ctx = ch};
	ch->sock = mux_sock_new(loop, on_connected, ch, err);
	if (!ch->sock)
		return channels_free(ch);
	struct ssh_stdio_config ssh = {
		.dest = config->dest,
		.options = config->options,
		.config = config->config,
		.control_path = mux_sock_path(ch->sock),
		.is_bare = true,
		.is_background = config->is_background,
	};
	ch->ssh = ssh_stdio_start(loop, &ssh, &ssh_ops, ch, err);
	return ch->ssh ? ch : channels_free(ch);
}

struct mux_link *channels_link(const struct channels *ch)
{
	return ch->link;
}

int channels_take_spare(struct channels *ch)
{
	int fd = ch->spare_fd;

	ch->spare_fd = -ENOTCONN;
	return fd;
}

pid_t channels_pid(const struct channels *ch)
{
	return ssh_stdio_pid(ch->ssh);
}

struct channels *channels_free(struct channels *ch)
{
	if (!ch)
		return NULL;
	timer_disarm(ch->loop, &ch->last_words);
	ch->link = mux_link_free(ch->link);
	ch->ssh = ssh_stdio_free(ch->ssh);
	ch->sock = mux_sock_free(ch->sock);
	fd_close(&ch->spare_fd);
	free(ch);
	return NULL;
}
