/* SPDX-License-Identifier: MIT */
/* busy: a look now and then at something while a session sends. */
#include "busy.h"

#include "session.h"

static void on_sending(void *ctx)
{
	struct busy *b = ctx;

	b->since_us = loop_now_us(b->loop);
	timer_arm(b->loop, &b->timer, BUSY_US);
}

static void on_timer(void *ctx)
{
	struct busy *b = ctx;

	session_when_sending(b->session, &b->sending);
	b->on_look(b->ctx);
}

void busy_start(struct busy *b, struct loop *loop, struct session *session,
		void (*on_look)(void *ctx), void *ctx)
{
	*b = (struct busy){
		.loop = loop,
		.session = session,
		.timer = {.on_fire = on_timer, .ctx = b},
		.sending = {.on_run = on_sending, .ctx = b},
		.on_look = on_look,
		.ctx = ctx,
	};
	list_init(&b->sending.link);
	session_when_sending(session, &b->sending);
}

void busy_stop(struct busy *b)
{
	if (!b->loop)
		return;
	timer_disarm(b->loop, &b->timer);
	loop_unpost(&b->sending);
	b->loop = NULL;
}
