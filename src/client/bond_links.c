/* SPDX-License-Identifier: MIT */
/*
 * bond_links: see bond_links.h.
 *
 * Theory of operation
 *   want -> ASK -> OFFER -> channels -> JOIN -> JOINED -> a link of the
 *   carrier.  Asked again each time, as the helper's socket does not stay.  A
 *   refused channel to the socket is tried once more as a command; what is
 *   refused then, or closed before JOINED, ends the trying: it would not be
 *   different the next time.
 *
 *   Once a second the rates of the session are set against what the windows of
 *   the links let pass in the shortest round trip that was seen: by that and
 *   not by the last one, which queues make longer as they fill any window.
 *
 * Ownership: channels that have not joined are ours, then the carrier's.
 */
#include "bond_links.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bond_carrier.h"
#include "bond_link.h"
#include "busy.h"

enum {
	/* What OpenSSH grants a channel. */
	WINDOW_BYTES = 2 << 20,
	/* What we grant.  A quarter is always on its way back, and more waits
	 * for the chunk that is next.  But where the line is short all windows
	 * come to wait in the ssh on this side, whose buffers take time with
	 * the square of their length: 4 channels of 8 MiB passed a tenth of
	 * what one link did. */
	GRANTED_BYTES = 4 << 20,
	/* A shorter way is not long: what passes there in a window is more
	 * than ssh can encrypt, and the time is mostly the programs'. */
	LONG_WAY_US = 10000,
};

struct bond_links {
	struct loop *loop;	 /* borrowed */
	struct carrier *carrier; /* borrowed */
	struct session *session; /* borrowed */
	struct mux_link *mux;	 /* borrowed */
	struct list joining;	 /* struct channel_link; owned */
	unsigned n_joining, n_wanted;
	bool is_asking;	   /* and not answered */
	bool is_stuck;	   /* why_not says it */
	bool goes_by_exec; /* no channels to sockets there */
	struct bond_offer offer;
	struct err why_not;
	struct timer first_look;
	struct busy busy;
	uint64_t tx_bytes, rx_bytes; /* at the last look */
	unsigned n_short;	     /* looks in a row with too few links */
};

struct channel_link {
	struct bond_link base;
	struct bond_links *owner; /* borrowed; NULL once it has joined */
	struct list joining;
	struct mux_channel *ch; /* owned; NULL: over */
	bool is_exec;
	size_t join_sent; /* bytes of JOIN */
	struct ring kept; /* came, but not next */
	size_t head_len;
	uint8_t head[BOND_NOISE_MAX + BOND_JOIN_LEN]; /* until JOINED */
};

static struct channel_link *from_link(const struct bond_link *l)
{
	return container_of((struct bond_link *)(uintptr_t)l,
			    struct channel_link, base);
}

/* ---- a link that has joined ---- */

static size_t send_parts(struct bond_link *base, const struct iovec *iov, int n)
{
	struct channel_link *l = from_link(base);
	size_t sent = 0;

	for (int i = 0; l->ch && i < n; i++) {
		size_t part = mux_channel_send(l->ch, iov[i].iov_base,
					       iov[i].iov_len);

		sent += part;
		if (part < iov[i].iov_len)
			break;
	}
	return sent;
}

static size_t room(const struct bond_link *base)
{
	const struct channel_link *l = from_link(base);

	return l->ch ? mux_channel_room(l->ch) : 0;
}

static void consume(struct channel_link *l, size_t len)
{
	if (l->ch && len > 0)
		mux_channel_consume(l->ch, len);
}

static void on_due(struct bond_link *base)
{
	struct channel_link *l = from_link(base);
	struct iovec parts[2];
	size_t taken = 0, n_taken;
	int n = ring_peek(&l->kept, l->kept.start, ring_len(&l->kept), parts);

	/* It may stop between the parts as well as in one. */
	if (n == 0)
		(void)bond_link_input(base, NULL, 0);
	for (int i = 0; i < n; i++) {
		n_taken = bond_link_input(base, parts[i].iov_base,
					  parts[i].iov_len);
		taken += n_taken;
		if (n_taken < parts[i].iov_len)
			break;
	}
	ring_drop(&l->kept, l->kept.start + taken);
	base->kept = ring_len(&l->kept);
	consume(l, taken);
}

static void stop(struct bond_link *base)
{
	struct channel_link *l = from_link(base);

	if (l->ch)
		mux_channel_close(l->ch);
	l->ch = NULL;
}

static void free_link(struct bond_link *base)
{
	struct channel_link *l = from_link(base);

	stop(base);
	ring_fini(&l->kept);
	free(l);
}

static const struct bond_link_ops link_ops = {
	.send = send_parts,
	.room = room,
	.on_due = on_due,
	.stop = stop,
	.free = free_link,
};

static void take(struct channel_link *l, const uint8_t *bytes, size_t len)
{
	size_t taken = 0;

	if (ring_len(&l->kept) == 0)
		taken = bond_link_input(&l->base, bytes, len);
	consume(l, taken);
	if (taken < len) {
		if (ring_push(&l->kept, bytes + taken, len - taken) < 0) {
			bond_link_end(&l->base, ENOMEM,
				      "a channel cannot be read");
			return;
		}
		l->base.kept = ring_len(&l->kept);
	}
	bond_link_serve(&l->base);
}

/* ---- joining ---- */

static void open_channel(struct bond_links *b, bool is_exec);

static void get_stuck(struct bond_links *b, const char *why)
{
	b->is_stuck = true;
	if (b->why_not.text[0] == '\0')
		(void)err_set(&b->why_not, 0, "no further channel: %s", why);
}

static void leave_joining(struct channel_link *l)
{
	list_del(&l->joining);
	l->owner->n_joining--;
	l->owner = NULL;
}

/* It will not join. */
static void fail(struct channel_link *l, const char *why)
{
	struct bond_links *b = l->owner;
	bool was_exec = l->is_exec;

	leave_joining(l);
	free_link(&l->base);
	if (was_exec || b->offer.helper[0] == '\0') {
		get_stuck(b, why);
		return;
	}
	b->goes_by_exec = true;
	open_channel(b, true);
}

/* Other channels may be in its way: what finds no room goes when there is. */
static void send_join(struct channel_link *l)
{
	uint8_t join[BOND_JOIN_LEN];
	size_t len = bond_build_join(join, BOND_JOIN, 0, l->owner->offer.token);

	l->join_sent += mux_channel_send(l->ch, join + l->join_sent,
					 len - l->join_sent);
}

static void on_open(struct mux_channel *ch)
{
	send_join(mux_channel_owner(ch));
}

static void on_refused(struct mux_channel *ch, uint32_t reason,
		       const char *text)
{
	struct channel_link *l = mux_channel_owner(ch);

	(void)reason;
	l->ch = NULL;
	fail(l, text[0] ? text : "the server refuses it");
}

/* JOINED behind what a login shell may have said.  Returns the bytes that it
 * ends at, or 0. */
static size_t find_joined(const struct channel_link *l)
{
	uint8_t want[BOND_JOIN_LEN];
	size_t len =
		bond_build_join(want, BOND_JOINED, 0, l->owner->offer.token);
	const uint8_t *at = memmem(l->head, l->head_len, want, len);

	return at ? (size_t)(at - l->head) + len : 0;
}

static void on_head(struct channel_link *l, const uint8_t *bytes, size_t len)
{
	size_t had = l->head_len, end, n = sizeof(l->head) - had;

	if (n > len)
		n = len;
	memcpy(l->head + had, bytes, n);
	l->head_len += n;
	end = find_joined(l);
	if (end == 0 && l->head_len == sizeof(l->head)) {
		fail(l, "something other than the helper answers there");
		return;
	}
	mux_channel_consume(l->ch, end > 0 ? end - had : len);
	if (end == 0)
		return;
	struct bond_links *b = l->owner;
	leave_joining(l);
	bond_link_add(b->carrier, &l->base);
	if (len > end - had)
		take(l, bytes + (end - had), len - (end - had));
}

static void on_data(struct mux_channel *ch, const uint8_t *bytes, size_t len)
{
	struct channel_link *l = mux_channel_owner(ch);

	if (l->owner)
		on_head(l, bytes, len);
	else
		take(l, bytes, len);
}

static void on_end(struct channel_link *l)
{
	if (l->owner)
		fail(l, "the helper closes it");
	else
		bond_link_end(&l->base, 0,
			      "a channel to the helper was closed");
}

static void on_eof(struct mux_channel *ch)
{
	on_end(mux_channel_owner(ch));
}

static void on_closed(struct mux_channel *ch)
{
	struct channel_link *l = mux_channel_owner(ch);

	l->ch = NULL;
	on_end(l);
}

static void on_writable(struct mux_channel *ch)
{
	struct channel_link *l = mux_channel_owner(ch);

	if (l->owner)
		send_join(l);
	else
		bond_link_flush(&l->base);
}

static const struct mux_channel_ops channel_ops = {
	.on_open = on_open,
	.on_refused = on_refused,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_writable = on_writable,
	.on_closed = on_closed,
};

static void open_channel(struct bond_links *b, bool is_exec)
{
	char command[2 * BOND_PATH_MAX + 20];
	struct mux_channel_open open = {
		.kind = is_exec ? MUX_EXEC : MUX_DIRECT_STREAMLOCAL,
		.host = is_exec ? command : b->offer.path,
		.window_bytes = GRANTED_BYTES,
	};
	struct channel_link *l = calloc(1, sizeof(*l));

	/* Both have harmless letters only. */
	(void)snprintf(command, sizeof(command), "exec %s --join %s",
		       b->offer.helper, b->offer.path);
	if (l)
		l->ch = mux_channel_open(b->mux, &open, &channel_ops, l);
	if (!l || !l->ch) {
		get_stuck(b, strerror(errno));
		free(l);
		return;
	}
	l->base.ops = &link_ops;
	list_init(&l->base.link);
	list_init(&l->joining);
	l->owner = b;
	l->is_exec = is_exec;
	list_push(&b->joining, &l->joining);
	b->n_joining++;
}

static void on_offer(void *ctx, const struct bond_offer *offer)
{
	struct bond_links *b = ctx;
	unsigned n = bond_carrier_n_links(b->carrier) + b->n_joining;

	if (!b->is_asking)
		return; /* nobody asked */
	b->is_asking = false;
	b->offer = *offer;
	for (; n < b->n_wanted && !b->is_stuck; n++)
		open_channel(b, b->goes_by_exec);
}

static const struct bond_ops bond_ops = {.on_offer = on_offer};

void bond_links_want(struct bond_links *b, unsigned n)
{
	b->n_wanted = n < BOND_LINKS_MAX ? n : BOND_LINKS_MAX;
	if (b->is_asking || b->is_stuck || b->n_joining > 0 ||
	    bond_carrier_n_links(b->carrier) >= b->n_wanted)
		return;
	b->is_asking = true;
	bond_carrier_ask(b->carrier, false);
}

/* ---- when ---- */

static bool fills(uint64_t bytes_s, uint32_t round_trip_us, uint64_t window)
{
	return round_trip_us >= LONG_WAY_US &&
	       bytes_s / 1000 * round_trip_us / 1000 > window / 2;
}

unsigned bond_links_needed(unsigned n, uint64_t up_bytes_s,
			   uint64_t down_bytes_s, uint32_t round_trip_us)
{
	/* Link 0 carries nothing once there are others. */
	uint64_t window = (uint64_t)WINDOW_BYTES * (n > 0 ? n : 1);

	if (!fills(up_bytes_s, round_trip_us, window) &&
	    !fills(down_bytes_s, round_trip_us, window))
		return n;
	n = n > 0 ? 2 * n : 2;
	return n < BOND_LINKS_MAX ? n : BOND_LINKS_MAX;
}

static uint64_t rate(uint64_t now, uint64_t then, uint64_t us)
{
	return (now - then) * 1000 / (us / 1000 + 1);
}

static void on_look(void *ctx)
{
	struct bond_links *b = ctx;
	const struct session_stats *stats = session_stats(b->session);
	/* What came since the last look came since then. */
	uint64_t us = loop_now_us(b->loop) - b->busy.since_us;
	unsigned n = bond_carrier_n_links(b->carrier), needed;

	needed = bond_links_needed(n, rate(stats->tx_bytes, b->tx_bytes, us),
				   rate(stats->rx_bytes, b->rx_bytes, us),
				   stats->round_trip_min_us);
	b->n_short = needed > n ? b->n_short + 1 : 0;
	/* Once may have been a burst into empty buffers. */
	if (b->n_short >= 2) {
		b->n_short = 0;
		bond_links_want(b, needed);
	}
	b->tx_bytes = stats->tx_bytes;
	b->rx_bytes = stats->rx_bytes;
	if (b->is_stuck || n >= BOND_LINKS_MAX)
		busy_stop(&b->busy);
}

/* In a turn of its own, for the time of this one began long ago; and before
 * much is sent: the round trip is the shortest now. */
static void on_first_look(void *ctx)
{
	struct bond_links *b = ctx;
	const struct session_stats *stats = session_stats(b->session);

	session_ping(b->session);
	b->tx_bytes = stats->tx_bytes;
	b->rx_bytes = stats->rx_bytes;
	busy_start(&b->busy, b->loop, b->session, on_look, b);
}

void bond_links_watch(struct bond_links *b)
{
	timer_arm(b->loop, &b->first_look, 0);
}

const char *bond_links_why_not(const struct bond_links *b)
{
	return b->why_not.text;
}

/* ---- life ---- */

struct bond_links *bond_links_new(struct loop *loop, struct carrier *carrier,
				  struct session *session, struct mux_link *mux)
{
	struct bond_links *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->loop = loop;
	b->carrier = carrier;
	b->session = session;
	b->mux = mux;
	list_init(&b->joining);
	b->first_look = (struct timer){.on_fire = on_first_look, .ctx = b};
	bond_carrier_set_ops(carrier, &bond_ops, b);
	return b;
}

struct bond_links *bond_links_free(struct bond_links *b)
{
	struct list *at;

	if (!b)
		return NULL;
	bond_carrier_set_ops(b->carrier, NULL, NULL);
	timer_disarm(b->loop, &b->first_look);
	busy_stop(&b->busy);
	while ((at = list_pop(&b->joining))) {
		struct channel_link *l =
			container_of(at, struct channel_link, joining);

		leave_joining(l);
		free_link(&l->base);
	}
	explicit_bzero(&b->offer, sizeof(b->offer));
	free(b);
	return NULL;
}
