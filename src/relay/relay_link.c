/* SPDX-License-Identifier: MIT */
/* relay_link: the connections of ssh that a relay opens channels in. */
#include "relay_link.h"

#include <errno.h>
#include <stdlib.h>

struct old_link {
	struct list link;     /* relay_links.old */
	struct mux_link *mux; /* borrowed */
	void (*on_retired)(void *ctx, struct mux_link *link);
	void *ctx; /* borrowed */
};

/* Give back the links that are empty.  Looked at now and then: a channel that
 * was closed here still has bytes under way, and they are not to be lost. */
static void on_tick(void *ctx)
{
	struct relay_links *l = ctx;

	if (l->on_tick)
		l->on_tick(l->ctx);
	list_for_each_safe (pos, &l->old) {
		struct old_link *o = container_of(pos, struct old_link, link);

		if (mux_link_n_channels(o->mux) > 0)
			continue;
		list_del(&o->link);
		if (o->on_retired)
			o->on_retired(o->ctx, o->mux);
		free(o);
	}
	if (!list_is_empty(&l->old))
		timer_arm(l->loop, &l->tick, RELAY_LINK_TICK_US);
}

void relay_link_init(struct relay_links *l, struct loop *loop,
		     struct mux_link *link)
{
	*l = (struct relay_links){.loop = loop, .current = link};
	list_init(&l->old);
	l->tick = (struct timer){.on_fire = on_tick, .ctx = l};
}

void relay_link_fini(struct relay_links *l)
{
	struct list *link;

	timer_disarm(l->loop, &l->tick);
	while ((link = list_pop(&l->old)))
		free(container_of(link, struct old_link, link));
}

void relay_link_renew(struct relay_links *l, struct mux_link *link,
		      void (*on_retired)(void *ctx, struct mux_link *link),
		      void *ctx)
{
	struct old_link *o = calloc(1, sizeof(*o));

	/* A link nobody can be told of stays until the relay's end. */
	if (o) {
		o->mux = l->current;
		o->on_retired = on_retired;
		o->ctx = ctx;
		list_push(&l->old, &o->link);
		if (!timer_is_armed(&l->tick))
			timer_arm(l->loop, &l->tick, RELAY_LINK_TICK_US);
	}
	l->current = link;
	l->has_told_worn = false;
}

void relay_link_forget(struct relay_links *l, const struct mux_link *link)
{
	list_for_each_safe (pos, &l->old) {
		struct old_link *o = container_of(pos, struct old_link, link);

		if (o->mux != link)
			continue;
		list_del(&o->link);
		free(o);
	}
}

static void tell_worn(struct relay_links *l)
{
	if (l->has_told_worn)
		return;
	l->has_told_worn = true;
	if (l->on_worn)
		l->on_worn(l->ctx);
}

struct mux_channel *relay_link_open(struct relay_links *l,
				    const struct mux_channel_open *what,
				    const struct mux_channel_ops *ops,
				    void *owner)
{
	struct mux_channel *ch = mux_channel_open(l->current, what, ops, owner);

	if (!ch && errno == EMFILE) {
		tell_worn(l);
		errno = EMFILE;
	}
	return ch;
}

void relay_link_note_failure(struct relay_links *l)
{
	if (mux_link_n_failures(l->current) >= RELAY_LINK_WORN_FAILURES)
		tell_worn(l);
}
