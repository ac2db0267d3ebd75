/* SPDX-License-Identifier: MIT */
/*
 * links: whether and when the helper gets further channels than ssh's stdio.
 *
 * Theory of operation
 *   While our connection to the control socket is open ssh does not end by
 *   itself, and what is known of the end is worse.  So it is made only where
 *   more channels can help: on a line whose round trip is long, or if the user
 *   says so.  From then on bond_links decides.
 */
#include "links.h"

#include <stdlib.h>

#include "bond_carrier.h"
#include "bond_links.h"
#include "log.h"

enum {
	/* By then the first PING is back. */
	LOOK_US = 2000000,
	/* Below this one channel's 2 MiB pass more than ssh can encrypt. */
	LONG_WAY_US = 10000,
};

struct links {
	struct loop *loop; /* borrowed, as the next three */
	const struct mux_sock *sock;
	struct carrier *carrier; /* NULL once stopped */
	struct session *session;
	int n;
	struct timer look;
	struct mux_link *mux; /* owned, as the next */
	struct bond_links *bond;
};

static void on_mux_ready(void *ctx)
{
	struct links *l = ctx;

	if (!l->carrier)
		return;
	l->bond = bond_links_new(l->loop, l->carrier, l->session, l->mux);
	if (!l->bond)
		return;
	if (l->n >= 0)
		bond_links_want(l->bond, (unsigned)l->n);
	else
		bond_links_watch(l->bond);
}

static void on_mux_closed(void *ctx, const struct err *why)
{
	struct links *l = ctx;

	log_debug("no further channels: %s", why->text);
	l->bond = bond_links_free(l->bond);
	l->mux = mux_link_free(l->mux);
}

static const struct mux_link_ops mux_ops = {
	.on_ready = on_mux_ready,
	.on_closed = on_mux_closed,
};

static void on_look(void *ctx)
{
	struct links *l = ctx;
	int fd;

	if (l->n < 0 &&
	    session_stats(l->session)->round_trip_min_us < LONG_WAY_US)
		return;
	fd = mux_sock_connect(l->sock);
	if (fd >= 0)
		l->mux = mux_link_new(l->loop, fd, &mux_ops, l);
	if (!l->mux)
		log_debug("ssh gives no further channels");
}

struct links *links_new(struct loop *loop, const struct mux_sock *sock,
			struct carrier *carrier, struct session *session, int n)
{
	struct links *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->loop = loop;
	l->sock = sock;
	l->carrier = carrier;
	l->session = session;
	l->n = n;
	l->look = (struct timer){.on_fire = on_look, .ctx = l};
	if (n != 0)
		timer_arm(loop, &l->look, n > 0 ? 0 : LOOK_US);
	return l;
}

void links_stop(struct links *l)
{
	if (!l)
		return;
	timer_disarm(l->loop, &l->look);
	l->bond = bond_links_free(l->bond);
	l->carrier = NULL;
}

struct links *links_free(struct links *l)
{
	if (!l)
		return NULL;
	l->mux = mux_link_free(l->mux);
	free(l);
	return NULL;
}

unsigned links_n(const struct links *l)
{
	unsigned n = l && l->carrier ? bond_carrier_n_links(l->carrier) : 0;

	return n > 0 ? n - 1 : 0; /* 0: ssh's stdio alone, not bonded */
}

const char *links_why_not(const struct links *l)
{
	return l && l->bond ? bond_links_why_not(l->bond) : "";
}
