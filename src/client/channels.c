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
 *   An ssh that knows nothing of control sockets would be waited for without
 *   end, and only its log tells that the login is over.  So it is told to log
 *   (-v), and unless the user wants that too nobody sees it.
 *
 * Ownership: the link goes before ssh, because it may take ssh along.
 */
#include "channels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "log.h"
#include "mux_sock.h"
#include "ssh_stdio.h"

enum {
	LAST_WORDS_US = 1500000,
	/* From the end of the login to the control socket. */
	SOCKET_TIMEOUT_US = 5000000,
};

struct channels {
	struct loop *loop;		/* borrowed */
	const struct channels_ops *ops; /* borrowed */
	void *ctx;			/* borrowed */
	struct mux_sock *sock;		/* owned, as the next two */
	struct ssh_stdio *ssh;
	struct mux_link *link;
	struct timer last_words;     /* the link has broken: ssh may say why */
	struct timer no_socket;	     /* the login is over, the socket is due */
	bool is_verbose, is_jumping; /* so is the user; by another host */
	struct err why;
	bool is_over;
};

static void fail(struct channels *ch, int exit_code, const struct err *why)
{
	if (ch->is_over)
		return;
	ch->is_over = true;
	timer_disarm(ch->loop, &ch->last_words);
	timer_disarm(ch->loop, &ch->no_socket);
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

	timer_disarm(ch->loop, &ch->no_socket);
	ssh_stdio_on_login(ch->ssh);
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

static void on_no_socket(void *ctx)
{
	struct channels *ch = ctx;
	struct err why;

	(void)err_set(&why, 0,
		      "ssh on this host makes no control socket: without a "
		      "helper there ecssh needs OpenSSH 7.4 or later here");
	fail(ch, CLIENT_EXIT_LACKING, &why);
}

/* What is only said because of -v. */
static bool is_chatter(const char *line)
{
	static const char *const starts[] = {
		"debug1: ",	 "OpenSSH_",	       "Authenticated to ",
		"Transferred: ", "Bytes per second: ",
	};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (strncmp(line, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

static void on_ssh_message(void *ctx, const char *line)
{
	struct channels *ch = ctx;

	if (ch->is_verbose || !is_chatter(line))
		(void)fprintf(stderr, "%s\n", line);
	/* The log of a host on the way looks the same. */
	if (strncmp(line, "Authenticated to ", 17) == 0 && !ch->link &&
	    !ch->is_over && !ch->is_jumping && !timer_is_armed(&ch->no_socket))
		timer_arm(ch->loop, &ch->no_socket, SOCKET_TIMEOUT_US);
}

static const struct ssh_stdio_ops ssh_ops = {
	.on_ready = on_ssh_ready,
	.on_failed = on_ssh_ended,
	.on_exited = on_ssh_ended,
	.on_message = on_ssh_message,
};

/* ---- life ---- */

static bool has_word(const struct ssh_options *options, const char *word)
{
	for (size_t i = 0; i < options->n_words; i++)
		if (strcmp(options->words[i], word) == 0)
			return true;
	return false;
}

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
	ch->last_words = (struct timer){.on_fire = on_last_words, .ctx = ch};
	ch->no_socket = (struct timer){.on_fire = on_no_socket, .ctx = ch};
	ch->is_verbose = has_word(config->options, "-v");
	ch->is_jumping = config->config->proxy_jump[0] != '\0' ||
			 config->config->proxy_command[0] != '\0';
	ch->sock = mux_sock_new(loop, config->starter, on_connected, ch, err);
	if (!ch->sock)
		return channels_free(ch);
	struct ssh_stdio_config ssh = {
		.starter = config->starter,
		.dest = config->dest,
		.config = config->config,
		.is_bare = true,
		.flags = config->flags | SSH_START_TALKATIVE,
		.place = mux_sock_place(ch->sock),
		.pins = config->pins,
	};
	ch->ssh = ssh_stdio_start(loop, &ssh, &ssh_ops, ch, err);
	return ch->ssh ? ch : channels_free(ch);
}

struct mux_link *channels_link(const struct channels *ch)
{
	return ch->link;
}

uint32_t channels_place(const struct channels *ch)
{
	return mux_sock_place(ch->sock);
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
	timer_disarm(ch->loop, &ch->no_socket);
	ch->link = mux_link_free(ch->link);
	ch->ssh = ssh_stdio_free(ch->ssh);
	ch->sock = mux_sock_free(ch->sock);
	free(ch);
	return NULL;
}
