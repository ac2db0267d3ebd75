/* SPDX-License-Identifier: MIT */
/*
 * connections: see connections.h.
 *
 * Theory of operation
 *   ASK -> OFFER -> ssh -> JOINED, then the same for the next: servers turn
 *   away who begins many logins at once (MaxStartups).  The offer is asked for
 *   anew each time, because the helper's socket does not stay.
 *
 *   One that fails or is lost is tried again, at longer and longer intervals;
 *   a login that was denied is not, for servers take that for an attack
 *   (PerSourcePenalties).  The session does not depend on any of them.
 *
 *   A further ssh looks up the name again and may find another address than
 *   the one that goes past the tunnel: it would run through itself.  Such a one
 *   is not taken.
 *
 * Ownership: links are the carrier's; each ssh is ours, also when its link has
 * ended, until it is reaped.
 */
#include "connections.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bond_carrier.h"
#include "fd.h"
#include "log.h"
#include "ssh_join.h"

enum {
	BACKOFF_US = 5000000,
	DOUBLINGS_MAX = 9, /* 43 minutes */
	/* One that lasted so long was a good one. */
	LASTED_US = 60000000,
	OFFER_US = 15000000,
	PEERS_MAX = 8,
};

struct connection {
	struct ssh_join *ssh; /* owned; NULL: this is free */
	pid_t pid; /* of it, also when it has ended; 0: not known yet */
	uint32_t number;
	bool is_joined, is_over; /* its link is there; was there */
};

struct connections {
	struct loop *loop;	 /* borrowed */
	struct carrier *carrier; /* borrowed; NULL once stopped */
	struct connections_config config;
	struct connection all[CONNECTIONS_MAX - 1];
	uint32_t last_number;
	unsigned n_doublings;
	bool is_asking, is_denied;
	mono_us_t joined_us; /* when the last one did */
	struct timer retry;
	struct timer no_offer;
	struct loop_task tidy; /* frees each ssh that is over */
	struct err why_not;
};

static unsigned n_joined(const struct connections *c)
{
	unsigned n = 0;

	for (size_t i = 0; i < CONNECTIONS_MAX - 1; i++)
		n += c->all[i].is_joined;
	return n;
}

static bool is_joining(const struct connections *c)
{
	for (size_t i = 0; i < CONNECTIONS_MAX - 1; i++)
		if (c->all[i].ssh && !c->all[i].is_joined && !c->all[i].is_over)
			return true;
	return c->is_asking;
}

/* ---- one after another ---- */

static void begin_next(struct connections *c)
{
	if (!c->carrier || c->is_denied || is_joining(c) ||
	    timer_is_armed(&c->retry) || n_joined(c) + 1 >= c->config.n)
		return;
	c->is_asking = true;
	timer_arm(c->loop, &c->no_offer, OFFER_US);
	bond_carrier_ask(c->carrier, true);
}

static void give_up(struct connections *c)
{
	c->is_denied = true;
	log_info("%s", c->why_not.text);
	if (n_joined(c) == 0 &&
	    bond_carrier_set_numbered(c->carrier, false) == 0)
		c->config.on_hopeless(c->config.ctx);
}

static void try_later(struct connections *c)
{
	/* Several that are lost at once are one event. */
	if (timer_is_armed(&c->retry))
		return;
	timer_arm(c->loop, &c->retry, (uint64_t)BACKOFF_US << c->n_doublings);
	if (c->n_doublings < DOUBLINGS_MAX)
		c->n_doublings++;
}

static void note_failure(struct connections *c, bool is_final,
			 const struct err *why)
{
	if (!c->carrier)
		return;
	c->why_not = *why;
	log_debug("%s", why->text);
	if (is_final)
		give_up(c);
	else
		try_later(c);
}

static void on_retry(void *ctx)
{
	begin_next(ctx);
}

/* Nobody answers an ASK that he does not know. */
static void on_no_offer(void *ctx)
{
	struct connections *c = ctx;
	struct err why;

	c->is_asking = false;
	(void)err_set(&why, 0,
		      "the helper on %s offers no socket for further "
		      "connections",
		      c->config.dest->host);
	note_failure(c, false, &why);
}

/* ---- each ---- */

static struct connection *find(struct connections *c, const struct ssh_join *j)
{
	for (size_t i = 0; i < CONNECTIONS_MAX - 1; i++)
		if (c->all[i].ssh == j)
			return &c->all[i];
	return NULL;
}

/* What it talks to stays out of the tunnel. */
static bool goes_as_the_first(const struct connections *c, pid_t pid)
{
	struct ip_addr first[PEERS_MAX], its[PEERS_MAX];
	struct starter *s = c->config.starter;
	int n = starter_find_peers(s, c->config.first, first, PEERS_MAX);
	int n_its = starter_find_peers(s, pid, its, PEERS_MAX);

	for (int i = 0; i < n_its; i++) {
		bool is_known = false;

		for (int k = 0; k < n; k++)
			is_known |= addr_equal(&its[i], &first[k]);
		if (!is_known)
			return false;
	}
	return true;
}

static void on_joined(void *ctx, struct ssh_join *j, int rfd, int wfd,
		      const uint8_t *leftover, size_t leftover_len)
{
	struct connections *c = ctx;
	struct connection *one = find(c, j);
	struct err why;
	int r;

	/* The carrier takes the descriptors in any case. */
	bool is_same = goes_as_the_first(c, ssh_join_pid(j));
	one->pid = is_same ? ssh_join_pid(j) : 0;
	c->config.on_dialled(c->config.ctx, one->pid);
	if (is_same && c->carrier) {
		r = bond_carrier_add_numbered(c->carrier, one->number, rfd, wfd,
					      leftover, leftover_len);
	} else {
		fd_close(&rfd);
		fd_close(&wfd);
		r = -EADDRNOTAVAIL;
	}
	if (r == 0) {
		one->is_joined = true;
		c->joined_us = loop_now_us(c->loop);
		if (n_joined(c) + 1 == c->config.n)
			c->why_not.text[0] = '\0';
		begin_next(c);
		return;
	}
	one->is_over = true;
	loop_post(c->loop, &c->tidy);
	(void)err_set(&why, 0, "another ssh to %s: %s", c->config.dest->host,
		      is_same ? strerror(-r)
			      : "it goes by another address than the first, "
				"which does not go past the tunnel");
	note_failure(c, !is_same, &why);
}

static void on_ended(void *ctx, struct ssh_join *j, bool is_denied,
		     const struct err *why)
{
	struct connections *c = ctx;
	struct connection *one = find(c, j);
	bool was_joining = !one->is_joined && !one->is_over;

	/* Its link says so itself; but these words are better. */
	if (one->is_over || one->is_joined)
		c->why_not = *why;
	one->is_over = true;
	loop_post(c->loop, &c->tidy);
	if (was_joining)
		c->config.on_dialled(c->config.ctx, 0);
	if (was_joining)
		note_failure(c, is_denied, why);
}

static const struct ssh_join_ops join_ops = {
	.on_joined = on_joined,
	.on_ended = on_ended,
};

static void on_tidy(void *ctx)
{
	struct connections *c = ctx;

	for (size_t i = 0; i < CONNECTIONS_MAX - 1; i++) {
		struct connection *one = &c->all[i];

		/* While it is joined the link's end is yet to come. */
		if (!one->ssh || !one->is_over || one->is_joined)
			continue;
		if (one->pid != 0)
			c->config.on_gone(c->config.ctx, one->pid);
		*one = (struct connection){.ssh = ssh_join_free(one->ssh)};
	}
	begin_next(c);
}

/* ---- what the carrier tells ---- */

static void on_lost(void *ctx, uint32_t number, const struct err *why)
{
	struct connections *c = ctx;
	struct connection *one = NULL;
	struct err said;

	for (size_t i = 0; i < CONNECTIONS_MAX - 1; i++)
		if (c->all[i].is_joined && c->all[i].number == number)
			one = &c->all[i];
	if (!one)
		return;
	if (one->is_over)
		said = c->why_not; /* ssh's own words */
	else
		(void)err_set(&said, 0, "lost another connection to %s: %.400s",
			      c->config.dest->host, why->text);
	one->is_joined = false;
	one->is_over = true;
	if (loop_now_us(c->loop) - c->joined_us > LASTED_US)
		c->n_doublings = 0;
	note_failure(c, false, &said);
	loop_post(c->loop, &c->tidy);
}

static void start(struct connections *c, const struct bond_offer *offer)
{
	struct ssh_join_config config = {
		.starter = c->config.starter,
		.dest = c->config.dest,
		.flags = c->config.flags,
		.pins = c->config.pins,
		.offer = offer,
		.number = ++c->last_number,
	};
	struct connection *one = NULL;
	struct err why;

	for (size_t i = 0; i < CONNECTIONS_MAX - 1 && !one; i++)
		if (!c->all[i].ssh)
			one = &c->all[i];
	if (!one)
		return; /* tidy begins again */
	*one = (struct connection){.number = config.number};
	c->config.on_dial(c->config.ctx);
	one->ssh = ssh_join_start(c->loop, &config, &join_ops, c, &why);
	if (one->ssh)
		return;
	c->config.on_dialled(c->config.ctx, 0);
	note_failure(c, false, &why);
}

static void on_offer(void *ctx, const struct bond_offer *offer)
{
	struct connections *c = ctx;
	struct err why;

	if (!c->is_asking)
		return; /* nobody asked */
	c->is_asking = false;
	timer_disarm(c->loop, &c->no_offer);
	if (offer->has_numbers && offer->helper[0] != '\0') {
		start(c, offer);
		return;
	}
	(void)err_set(&why, 0, "the helper on %s %s", c->config.dest->host,
		      offer->has_numbers
			      ? "cannot be started once more"
			      : "is too old for further connections");
	note_failure(c, true, &why);
}

static const struct bond_ops bond_ops = {
	.on_offer = on_offer,
	.on_lost = on_lost,
};

/* ---- life ---- */

struct connections *connections_new(struct loop *loop, struct carrier *carrier,
				    const struct connections_config *config)
{
	struct connections *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->loop = loop;
	c->carrier = carrier;
	c->config = *config;
	c->retry = (struct timer){.on_fire = on_retry, .ctx = c};
	c->no_offer = (struct timer){.on_fire = on_no_offer, .ctx = c};
	c->tidy = (struct loop_task){.on_run = on_tidy, .ctx = c};
	list_init(&c->tidy.link);
	bond_carrier_set_ops(carrier, &bond_ops, c);
	if (bond_carrier_set_numbered(carrier, true) == 0)
		begin_next(c);
	return c;
}

void connections_stop(struct connections *c)
{
	if (!c || !c->carrier)
		return;
	bond_carrier_set_ops(c->carrier, NULL, NULL);
	c->carrier = NULL;
	timer_disarm(c->loop, &c->retry);
	timer_disarm(c->loop, &c->no_offer);
	loop_unpost(&c->tidy);
}

struct connections *connections_free(struct connections *c)
{
	if (!c)
		return NULL;
	connections_stop(c);
	loop_unpost(&c->tidy);
	for (size_t i = 0; i < CONNECTIONS_MAX - 1; i++)
		c->all[i].ssh = ssh_join_free(c->all[i].ssh);
	free(c);
	return NULL;
}

unsigned connections_n(const struct connections *c)
{
	return c ? 1 + n_joined(c) : 0;
}

const char *connections_why_not(const struct connections *c)
{
	return c ? c->why_not.text : "";
}
