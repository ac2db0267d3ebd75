/* SPDX-License-Identifier: MIT */
/* link_probe: what the server opens and runs for us. */
#include "link_probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot_script.h"
#include "escape.h"

enum {
	WINDOW_BYTES = 256 * 1024,
	NOBODYS_PORT = 1, /* tcpmux, which nobody runs */
	UNITS_MAX = 4,	  /* as RELAY_TUN_UNITS */
};

/* One channel that is tried. */
struct trial {
	struct link_probe *p;	/* borrowed */
	struct mux_channel *ch; /* NULL: not open, or not any more */
	enum far_probe *result; /* borrowed */
	bool is_pending;
};

struct link_probe {
	struct loop *loop; /* borrowed, as the next four */
	struct mux_link *link;
	const struct link_probe_ops *ops;
	void *ctx;
	struct link_probe_config config;
	struct trial exec, forwarding, streamlocal, tunnel;
	struct timer deadline;
	struct loop_task advance;
	bool is_second_round;	/* what depends on the script has begun */
	uint32_t n_units_tried; /* of the first TUN devices there */
	bool is_over;
};

static void on_advance(void *ctx);

static void settle(struct trial *t, enum far_probe result)
{
	*t->result = result;
	t->is_pending = false;
	loop_post(t->p->loop, &t->p->advance);
}

/* ---- channels that are only opened ---- */

static void on_trial_open(struct mux_channel *ch)
{
	struct trial *t = mux_channel_owner(ch);

	t->ch = NULL;
	mux_channel_close(ch);
	settle(t, FAR_PROBE_OPENED);
}

/* A refusal by whatever it leads to tells that the server tried. */
static void on_forwarding_refused(struct mux_channel *ch, uint32_t reason,
				  const char *text)
{
	struct trial *t = mux_channel_owner(ch);

	(void)text;
	t->ch = NULL;
	settle(t, reason == MUX_REFUSED_CONNECT	    ? FAR_PROBE_OPENED
		  : reason == MUX_REFUSED_RESOURCES ? FAR_PROBE_UNKNOWN
						    : FAR_PROBE_PROHIBITED);
}

/* Here sshd gives the same reason in all cases, and the socket is one that
 * would have accepted. */
static void on_streamlocal_refused(struct mux_channel *ch, uint32_t reason,
				   const char *text)
{
	struct trial *t = mux_channel_owner(ch);

	(void)reason;
	(void)text;
	t->ch = NULL;
	settle(t, FAR_PROBE_PROHIBITED);
}

/* sshd gives one reason for all, too; whether it was PermitTunnel is in what
 * ssh logs. */
static void on_tunnel_refused(struct mux_channel *ch, uint32_t reason,
			      const char *text)
{
	struct trial *t = mux_channel_owner(ch);

	(void)text;
	t->ch = NULL;
	settle(t, reason == MUX_REFUSED_CONNECT ? FAR_PROBE_FAILED
						: FAR_PROBE_PROHIBITED);
}

static void on_trial_closed(struct mux_channel *ch)
{
	struct trial *t = mux_channel_owner(ch);

	t->ch = NULL;
	if (t->is_pending)
		settle(t, FAR_PROBE_UNKNOWN);
}

static const struct mux_channel_ops forwarding_ops = {
	.on_open = on_trial_open,
	.on_refused = on_forwarding_refused,
	.on_closed = on_trial_closed,
};
static const struct mux_channel_ops streamlocal_ops = {
	.on_open = on_trial_open,
	.on_refused = on_streamlocal_refused,
	.on_closed = on_trial_closed,
};
static const struct mux_channel_ops tunnel_ops = {
	.on_open = on_trial_open,
	.on_refused = on_tunnel_refused,
	.on_closed = on_trial_closed,
};

/* ---- the script ---- */

static void end_exec(struct trial *t, bool is_closing)
{
	const struct far_facts *f = t->p->config.facts;
	struct mux_channel *ch = t->ch;

	t->ch = NULL;
	if (is_closing && ch)
		mux_channel_close(ch);
	if (t->is_pending)
		settle(t, f->is_answered || f->is_forced ? FAR_PROBE_OPENED
							 : FAR_PROBE_FAILED);
}

static void on_exec_open(struct mux_channel *ch)
{
	static const char hello[] = BOOT_SCRIPT_HELLO;

	/* A new channel has room for so little, or it is not one. */
	(void)mux_channel_send(ch, (const uint8_t *)hello, strlen(hello));
}

static void on_exec_refused(struct mux_channel *ch, uint32_t reason,
			    const char *text)
{
	struct trial *t = mux_channel_owner(ch);
	char *out = t->p->config.probes->exec_text;

	(void)reason;
	t->ch = NULL;
	(void)escape_text(text, strlen(text), out, FAR_FACTS_TEXT_MAX);
	settle(t, FAR_PROBE_PROHIBITED);
}

static void on_exec_data(struct mux_channel *ch, const uint8_t *bytes,
			 size_t len)
{
	struct trial *t = mux_channel_owner(ch);

	far_facts_feed(t->p->config.facts, bytes, len);
	mux_channel_consume(ch, len);
	if (t->p->config.facts->is_done)
		end_exec(t, true);
}

static void on_exec_eof(struct mux_channel *ch)
{
	struct trial *t = mux_channel_owner(ch);

	far_facts_feed_end(t->p->config.facts);
	end_exec(t, true);
}

static void on_exec_closed(struct mux_channel *ch)
{
	struct trial *t = mux_channel_owner(ch);

	far_facts_feed_end(t->p->config.facts);
	end_exec(t, false);
}

static const struct mux_channel_ops exec_ops = {
	.on_open = on_exec_open,
	.on_refused = on_exec_refused,
	.on_data = on_exec_data,
	.on_eof = on_exec_eof,
	.on_closed = on_exec_closed,
};

/* ---- one after the other ---- */

static void try(struct trial *t, enum mux_channel_kind kind, const char *host,
		uint32_t port, const struct mux_channel_ops *ops)
{
	struct mux_channel_open open = {.kind = kind,
					.host = host,
					.port = port,
					.window_bytes = WINDOW_BYTES};

	*t->result = FAR_PROBE_UNKNOWN;
	t->is_pending = true;
	t->ch = mux_channel_open(t->p->link, &open, ops, t);
	if (!t->ch)
		settle(t, FAR_PROBE_UNKNOWN);
}

/*
 * A new device, which sshd can make for root only: for anybody else this tells
 * whether it is permitted, and makes nothing.  Where root is tried there is no
 * helper, and the device goes at once.
 */
static void try_new_device(struct link_probe *p)
{
	try(&p->tunnel, MUX_TUN, NULL, MUX_TUN_ANY, &tunnel_ops);
}

/* Where no command can tell which devices are the account's: one of the first
 * may be, as "up" tries them.  An idle one that is up gets its carrier for a
 * moment. */
static void try_next_device(struct link_probe *p)
{
	try(&p->tunnel, MUX_TUN, NULL, p->n_units_tried++, &tunnel_ops);
}

static void begin_second_round(struct link_probe *p)
{
	const struct far_facts *f = p->config.facts;

	p->is_second_round = true;
	if (f->socket[0])
		try(&p->streamlocal, MUX_DIRECT_STREAMLOCAL, f->socket, 0,
		    &streamlocal_ops);
	if (p->ops->may_try_tun(p->ctx))
		try_new_device(p);
}

static void on_advance(void *ctx)
{
	struct link_probe *p = ctx;

	if (p->is_over)
		return;
	if (!p->is_second_round && !p->exec.is_pending)
		begin_second_round(p);
	if (p->is_second_round && !p->tunnel.is_pending &&
	    *p->tunnel.result == FAR_PROBE_FAILED &&
	    p->n_units_tried < UNITS_MAX && !p->config.facts->is_answered)
		try_next_device(p);
	if (!p->is_second_round || p->forwarding.is_pending ||
	    p->streamlocal.is_pending || p->tunnel.is_pending)
		return;
	p->is_over = true;
	timer_disarm(p->loop, &p->deadline);
	p->ops->on_done(p->ctx);
}

static void give_up(struct trial *t, enum far_probe result)
{
	struct mux_channel *ch = t->ch;

	t->ch = NULL;
	if (!t->is_pending)
		return;
	if (ch)
		mux_channel_close(ch);
	settle(t, result);
}

static void on_deadline(void *ctx)
{
	struct link_probe *p = ctx;

	p->is_second_round = true;
	far_facts_feed_end(p->config.facts);
	give_up(&p->exec, p->config.facts->is_answered ? FAR_PROBE_OPENED
						       : FAR_PROBE_FAILED);
	give_up(&p->forwarding, FAR_PROBE_UNKNOWN);
	give_up(&p->streamlocal, FAR_PROBE_UNKNOWN);
	give_up(&p->tunnel, FAR_PROBE_UNKNOWN);
}

/* ---- life ---- */

struct link_probe *link_probe_start(struct loop *loop, struct mux_link *link,
				    const struct link_probe_config *config,
				    const struct link_probe_ops *ops, void *ctx)
{
	struct link_probe *p = calloc(1, sizeof(*p));
	struct far_probes *to = config->probes;

	if (!p)
		return NULL;
	p->loop = loop;
	p->link = link;
	p->config = *config;
	p->ops = ops;
	p->ctx = ctx;
	to->streamlocal = to->tunnel = FAR_PROBE_NOT_TRIED;
	p->exec = (struct trial){.p = p, .result = &to->exec};
	p->forwarding = (struct trial){.p = p, .result = &to->forwarding};
	p->streamlocal = (struct trial){.p = p, .result = &to->streamlocal};
	p->tunnel = (struct trial){.p = p, .result = &to->tunnel};
	p->advance = (struct loop_task){.on_run = on_advance, .ctx = p};
	list_init(&p->advance.link);
	p->deadline = (struct timer){.on_fire = on_deadline, .ctx = p};
	timer_arm(loop, &p->deadline, config->timeout_ms * US_PER_MS);
	try(&p->exec, MUX_EXEC, config->command, 0, &exec_ops);
	try(&p->forwarding, MUX_DIRECT_TCPIP, "127.0.0.1", NOBODYS_PORT,
	    &forwarding_ops);
	return p;
}

struct link_probe *link_probe_free(struct link_probe *p)
{
	if (!p)
		return NULL;
	timer_disarm(p->loop, &p->deadline);
	loop_unpost(&p->advance);
	free(p);
	return NULL;
}
