/* SPDX-License-Identifier: MIT */
/*
 * tun_root: a shell on the server that sets up a tun device.
 *
 * Theory of operation
 *   The command says who it runs as and becomes a shell.  It is sent nothing
 *   before it has said that it is root: an account may have a command of its
 *   own instead, which would not know what to make of a script.  The script
 *   undoes its work when its standard input ends, which is when the channel is
 *   closed or the connection breaks, whatever broke it.
 */
#include "tun_root.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "escape.h"

/* For any login shell: nothing in it means something else to csh or fish. */
static const char command[] =
	"exec /bin/sh -c 'echo ecssh-uid $(id -u); exec /bin/sh'";
static const char said_root[] = "ecssh-uid 0";
static const char said_uid[] = "ecssh-uid ";
static const char said_ready[] = "ready";
static const char said_failed[] = "failed ";

enum { WINDOW_BYTES = 32 << 10 };

static void open_channel(struct tun_root *r);

static void let_go(struct tun_root *r)
{
	timer_disarm(r->loop, &r->timer);
	if (r->channel)
		mux_channel_close(r->channel);
	r->channel = NULL;
}

static void fail(struct tun_root *r, const char *why)
{
	let_go(r);
	r->state = TUN_ROOT_FAILED;
	(void)escape_text(why, strlen(why), r->why, sizeof(r->why));
	r->on_change(r->ctx);
}

static void send_script(struct tun_root *r)
{
	r->sent_len += mux_channel_send(
		r->channel, (const uint8_t *)r->script + r->sent_len,
		r->script_len - r->sent_len);
}

/* ---- what the shell says ---- */

static bool begins_with(const char *line, const char *head)
{
	return strncmp(line, head, strlen(head)) == 0;
}

/* Start-up files of the account may say something first. */
static void take_uid(struct tun_root *r)
{
	if (!begins_with(r->line, said_uid))
		return;
	if (strcmp(r->line, said_root) != 0) {
		fail(r, "the account is not root");
		return;
	}
	r->is_root = true;
	r->state = TUN_ROOT_AT_IT;
	timer_arm(r->loop, &r->timer, TUN_ROOT_SETUP_US);
	send_script(r);
}

static void take_outcome(struct tun_root *r)
{
	if (strcmp(r->line, said_ready) == 0) {
		timer_disarm(r->loop, &r->timer);
		r->state = TUN_ROOT_READY;
		r->on_change(r->ctx);
	} else if (begins_with(r->line, said_failed)) {
		fail(r, r->line + strlen(said_failed));
	} else {
		fail(r, "the shell there says what was not expected");
	}
}

static void take_line(struct tun_root *r)
{
	r->line[r->line_len] = '\0';
	r->line_len = 0;
	switch (r->state) {
	case TUN_ROOT_ASKING:
		take_uid(r);
		break;
	case TUN_ROOT_AT_IT:
		take_outcome(r);
		break;
	case TUN_ROOT_OFF:
	case TUN_ROOT_READY:
	case TUN_ROOT_FAILED:
		break;
	}
}

static void on_data(struct mux_channel *ch, const uint8_t *bytes, size_t len)
{
	struct tun_root *r = mux_channel_owner(ch);

	mux_channel_consume(ch, len);
	for (size_t i = 0; i < len && r->channel; i++)
		if (bytes[i] == '\n')
			take_line(r);
		else if (r->line_len + 1 < sizeof(r->line))
			r->line[r->line_len++] = (char)bytes[i];
}

static void on_writable(struct mux_channel *ch)
{
	struct tun_root *r = mux_channel_owner(ch);

	if (r->state == TUN_ROOT_AT_IT)
		send_script(r);
}

/* ---- the channel ---- */

static void on_refused(struct mux_channel *ch, uint32_t reason,
		       const char *text)
{
	struct tun_root *r = mux_channel_owner(ch);

	(void)reason;
	(void)text;
	r->channel = NULL;
	if (--r->tries > 0)
		timer_arm(r->loop, &r->timer, TUN_ROOT_RETRY_US);
	else
		fail(r, "the server runs no command");
}

static void on_closed(struct mux_channel *ch)
{
	struct tun_root *r = mux_channel_owner(ch);

	r->channel = NULL;
	fail(r, r->state == TUN_ROOT_ASKING
			? "the account has no shell there"
			: "the shell that did it there has ended");
}

/* It has said all that it has to say. */
static void on_eof(struct mux_channel *ch)
{
	mux_channel_close(ch);
	on_closed(ch);
}

static const struct mux_channel_ops channel_ops = {
	.on_refused = on_refused,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_writable = on_writable,
	.on_closed = on_closed,
};

static void open_channel(struct tun_root *r)
{
	static const struct mux_channel_open what = {
		.kind = MUX_EXEC,
		.host = command,
		.window_bytes = WINDOW_BYTES,
	};

	r->line_len = 0;
	r->channel = mux_channel_open(r->link, &what, &channel_ops, r);
	if (r->channel)
		timer_arm(r->loop, &r->timer, TUN_ROOT_ANSWER_US);
	else
		fail(r, "ssh opens no channel now");
}

static void on_timer(void *ctx)
{
	struct tun_root *r = ctx;

	if (!r->channel)
		open_channel(r);
	else if (r->state == TUN_ROOT_ASKING)
		fail(r, "no shell answers there");
	else
		fail(r, "the shell there does not come to an end");
}

/* ---- life ---- */

bool tun_root_is_busy(const struct tun_root *r)
{
	return r->state == TUN_ROOT_ASKING || r->state == TUN_ROOT_AT_IT;
}

void tun_root_start(struct tun_root *r, struct mux_link *link,
		    const struct tun_setup *setup)
{
	tun_root_stop(r);
	r->link = link;
	r->setup = *setup;
	r->is_root = false;
	r->tries = TUN_ROOT_TRIES;
	r->sent_len = 0;
	r->script_len = tun_setup_script(setup, r->script, sizeof(r->script));
	r->state = TUN_ROOT_ASKING;
	open_channel(r);
}

void tun_root_stop(struct tun_root *r)
{
	let_go(r);
	r->state = TUN_ROOT_OFF;
}

void tun_root_init(struct tun_root *r, struct loop *loop,
		   void (*on_change)(void *ctx), void *ctx)
{
	*r = (struct tun_root){
		.loop = loop, .on_change = on_change, .ctx = ctx};
	r->timer = (struct timer){.on_fire = on_timer, .ctx = r};
}
