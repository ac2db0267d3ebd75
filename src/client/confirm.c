/* SPDX-License-Identifier: MIT */
/* confirm: a tunnel that ends unless somebody who still reaches this host says
 * that it may stay. */
#include "confirm.h"

#include "client_internal.h"
#include "log.h"

static void on_due(void *ctx)
{
	struct client *c = ctx;
	struct err why;

	(void)err_set(&why, 0,
		      "not confirmed within %u s by \"ecssh confirm %s\": the "
		      "tunnel is taken down, and what it changed is undone",
		      c->config->confirm_s, c->config->name);
	client_end(c, CLIENT_EXIT_RUNTIME, &why);
}

void confirm_on_connected(struct client *c)
{
	unsigned within_s = c->config->confirm_s;

	/* A connection that is made again needs no second word. */
	if (within_s == 0 || c->confirm.on_fire)
		return;
	c->confirm = (struct timer){.on_fire = on_due, .ctx = c};
	timer_arm(c->loop, &c->confirm, within_s * US_PER_SEC);
	log_notice("the tunnel ends in %u s unless it is confirmed: ecssh "
		   "confirm %s",
		   within_s, c->config->name);
}

bool confirm_take(struct client *c)
{
	if (!timer_is_armed(&c->confirm))
		return false;
	timer_disarm(c->loop, &c->confirm);
	c->is_confirmed = true;
	log_notice("the tunnel is confirmed");
	return true;
}

unsigned confirm_left_s(const struct client *c)
{
	if (!timer_is_armed(&c->confirm))
		return 0;
	mono_us_t now = loop_now_us(c->loop), due = c->confirm.due_us;

	return due > now ? (unsigned)((due - now) / US_PER_SEC) + 1 : 1;
}

void confirm_stop(struct client *c)
{
	timer_disarm(c->loop, &c->confirm);
}
