/* SPDX-License-Identifier: MIT */
/*
 * bond_carrier: see bond_carrier.h.
 *
 * Theory of operation
 *   Down: each link gives its bytes to bond_rx, which takes them if they are
 *   next.  A link whose chunk is not keeps the rest and is told (on_due) when
 *   the others have caught up.  What a link keeps is bounded by itself.
 *
 *   Up: straight to link 0 until there is another link; then chunk 0 on link 0
 *   says so, and chunks go to the other links, to the one with most room.  What
 *   a link does not take waits in its `spill`.  The carrier is full when every
 *   link in use has such a rest: about one send's worth waits here, and the
 *   rest stays where it can still be scheduled.
 *
 *   The end of one link is the end of all; but what the others still bring may
 *   be the reason, and is waited for.
 *
 *   Links with numbers are another matter: link 0 is one of them, bond_sure
 *   chooses among them and keeps what it sends, and the end of one is an event
 *   like others.  It is taken care of in a task, as others may be on the stack.
 *
 * Ownership: the carrier owns its links.
 */
#include "bond_carrier.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bond_link.h"
#include "bond_rx.h"
#include "bond_sure.h"
#include "deference.h"
#include "fd.h"
#include "iov.h"

enum {
	CHUNK_MIN = 16 << 10, /* where no link has room */
	SLICE_IOV = 66,
	LAST_WORDS_US = 2000000,
	GOT_US = 10000,
};

struct bond {
	struct carrier base;
	struct loop *loop; /* borrowed */
	const struct bond_ops *ops;
	void *ops_ctx;
	struct list links;	 /* the one to be used first in front */
	struct bond_link *first; /* link 0; in links, too */
	unsigned n_links;	 /* besides it */
	bool is_split;		 /* we send chunks */
	bool is_closed;		 /* on_closed was called */
	bool is_deaf;		 /* nobody reads what we write */
	uint32_t tx_seq;	 /* of the next chunk */
	struct timer last_words; /* armed while deaf: what may still come */
	struct err why;		 /* of the end; empty while it is unknown */
	bool is_numbered;
	struct bond_sure sure; /* if so */
	struct timer got;      /* armed: an acknowledgement is owed */
	struct loop_task bury; /* links with numbers that have ended */
	struct deference deference;
	struct bond_rx rx;
};

static void tell_writable(struct bond *b);
static void acknowledge(struct bond_link *l);

static struct bond *from_base(const struct carrier *c)
{
	return container_of((struct carrier *)(uintptr_t)c, struct bond, base);
}

static struct bond_link *of_list(struct list *at)
{
	return container_of(at, struct bond_link, link);
}

/* ---- the end ---- */

/* Nothing is due any more. */
static void rest(struct bond *b)
{
	timer_disarm(b->loop, &b->last_words);
	timer_disarm(b->loop, &b->got);
	loop_unpost(&b->bury);
	deference_end(&b->deference);
}

static void close_now(struct bond *b)
{
	if (b->is_closed)
		return;
	b->is_closed = true;
	rest(b);
	if (b->is_numbered)
		timer_disarm(b->loop, &b->sure.rescue);
	list_for_each (at, &b->links) {
		struct bond_link *l = of_list(at);

		l->ops->stop(l);
	}
	if (b->base.user)
		b->base.user->on_closed(b->base.user_ctx, &b->why);
}

/* The first reason counts. */
static void set_why(struct bond *b, int error, const char *what)
{
	if (b->why.text[0] == '\0')
		(void)err_set(&b->why, 0, error ? "%s: %s" : "%s", what,
			      strerror(error));
}

static void become_deaf(struct bond *b)
{
	if (b->is_deaf || b->is_closed)
		return;
	b->is_deaf = true;
	timer_arm(b->loop, &b->last_words, LAST_WORDS_US);
}

static void on_last_words_over(void *ctx)
{
	struct bond *b = ctx;

	set_why(b, EPIPE, "writing to the connection failed");
	close_now(b);
}

/* A link that the session can do without. */
static bool is_spare(const struct bond_link *l)
{
	return l->number != 0 && !l->bond->is_deaf && !l->bond->is_closed;
}

static void end_spare(struct bond_link *l, int error, const char *what)
{
	if (l->is_ended)
		return;
	l->is_ended = true;
	l->ops->stop(l);
	(void)err_set(&l->why, 0, error ? "%s: %s" : "%s", what,
		      strerror(error));
	loop_post(l->bond->loop, &l->bond->bury);
}

void bond_link_deafen(struct bond_link *l)
{
	/* Let go of at once: what it still brings would come again. */
	if (is_spare(l))
		end_spare(l, 0, "the connection was closed");
	else
		become_deaf(l->bond);
}

void bond_link_end(struct bond_link *l, int error, const char *what)
{
	struct bond *b = l->bond;

	if (b->is_closed)
		return;
	if (is_spare(l)) {
		end_spare(l, error, what);
		return;
	}
	set_why(b, error, what);
	l->is_ended = true;
	l->ops->stop(l);
	list_for_each (at, &b->links) {
		if (!of_list(at)->is_ended) {
			become_deaf(b);
			return;
		}
	}
	close_now(b);
}

static void bury_one(struct bond *b, struct bond_link *l)
{
	uint8_t frame[FRAME_HEADER_LEN];
	struct iovec iov = {frame, bond_build_gone(frame, l->number)};

	list_del(&l->link);
	b->n_links--;
	if (!l->is_gone)
		bond_link_send(b->first, &iov, 1);
	bond_rx_link_fini(&b->rx, &l->rx);
	bond_sure_lost(&b->sure, l);
	if (b->ops && b->ops->on_lost)
		b->ops->on_lost(b->ops_ctx, l->number, &l->why);
	ring_fini(&l->spill);
	l->ops->free(l);
}

static void on_bury(void *ctx)
{
	struct bond *b = ctx;

	list_for_each_safe (at, &b->links) {
		struct bond_link *l = of_list(at);

		if (l->number != 0 && l->is_gone)
			end_spare(l, 0, "the other end has lost it");
		if (l->number != 0 && l->is_ended)
			bury_one(b, l);
	}
	loop_unpost(&b->bury);
	tell_writable(b);
}

static void on_gone(struct bond *b, uint32_t number)
{
	list_for_each (at, &b->links) {
		struct bond_link *l = of_list(at);

		if (number != 0 && l->number == number) {
			l->is_gone = true;
			loop_post(b->loop, &b->bury);
		}
	}
}

/* ---- down ---- */

/* What the links of a numbered bond say to each other. */
static void on_link_frame(struct bond *b, const struct frame_header *h,
			  const uint8_t *body)
{
	struct bond_got got;

	if (h->type == BOND_GONE) {
		on_gone(b, h->id);
		return;
	}
	if (bond_parse_got(h, body, &got) == 0 &&
	    bond_sure_got(&b->sure, &got) == 0) {
		/* Chunk 0 is there, and with it what came plainly before it:
		 * nothing passes the greeting. */
		if (b->is_split && got.next != 0)
			b->base.may_overtake = true;
		tell_writable(b);
		return;
	}
	set_why(b, 0, "the other end acknowledges what was not sent");
	b->is_deaf = true; /* told in a later turn: we are in the parser */
	timer_arm(b->loop, &b->last_words, 0);
}

static void on_frame(void *ctx, const struct frame_header *h,
		     const uint8_t *body)
{
	struct bond *b = ctx;
	struct bond_offer offer;

	if (!b->base.user)
		return;
	switch (h->type) {
	case BOND_ASK:
		if (b->ops && b->ops->on_ask)
			b->ops->on_ask(b->ops_ctx, h->id == BOND_NUMBERS);
		break;
	case BOND_GOT:
	case BOND_GONE:
		if (b->is_numbered)
			on_link_frame(b, h, body);
		break;
	case BOND_OFFER:
		if (b->ops && b->ops->on_offer &&
		    bond_parse_offer(body, h->len, &offer) == 0)
			b->ops->on_offer(b->ops_ctx, &offer);
		break;
	default:
		b->base.user->on_frame(b->base.user_ctx, h, body);
		break;
	}
}

static void on_got_due(void *ctx)
{
	struct bond *b = ctx;

	list_for_each (at, &b->links) {
		struct bond_link *l = of_list(at);

		if (l->rx.bytes == l->told_bytes)
			continue;
		bond_sure_owe(l, b->rx.next, true);
		if (l->rx.bytes != l->told_bytes && !l->is_ended)
			timer_arm(b->loop, &b->got, GOT_US);
	}
}

static void acknowledge(struct bond_link *l)
{
	struct bond *b = l->bond;

	if (l->rx.bytes == l->told_bytes || b->is_deaf)
		return;
	bond_sure_owe(l, b->rx.next, false);
	if (l->rx.bytes != l->told_bytes && !timer_is_armed(&b->got))
		timer_arm(b->loop, &b->got, GOT_US);
}

/* hop up 9/11, down 5/9: frames arrive */
size_t bond_link_input(struct bond_link *l, const uint8_t *bytes, size_t len)
{
	struct bond *b = l->bond;

	if (b->is_closed)
		return len;
	ssize_t n = bond_rx_feed(&b->rx, &l->rx, bytes, len);
	if (n < 0) {
		set_why(b, 0,
			"what came from the other end is not a sequence of "
			"frames, or one is oversized");
		close_now(b);
		n = (ssize_t)len;
	}
	l->kept = len - (size_t)n;
	if (b->is_numbered && !b->is_closed)
		acknowledge(l);
	return (size_t)n;
}

static struct bond_link *find_due(struct bond *b)
{
	list_for_each (at, &b->links) {
		struct bond_link *l = of_list(at);

		if (bond_rx_is_due(&b->rx, &l->rx) &&
		    (l->kept > 0 || l->rx.left == 0))
			return l;
	}
	return NULL;
}

void bond_link_serve(struct bond_link *l)
{
	struct bond *b = l->bond;

	while (!b->is_closed && (l = find_due(b)))
		l->ops->on_due(l);
}

/* ---- up ---- */

static size_t room_of(const struct bond_link *l)
{
	return ring_len(&l->spill) > 0 ? 0 : l->ops->room(l);
}

/* More room, or less waiting. */
static bool is_better(const struct bond_link *l, const struct bond_link *best)
{
	size_t room = room_of(l), best_room = room_of(best);

	return room > best_room ||
	       (room == best_room &&
		ring_len(&l->spill) < ring_len(&best->spill));
}

/* A link for the next chunk. */
static struct bond_link *pick(struct bond *b)
{
	struct bond_link *best = NULL;

	list_for_each (at, &b->links) {
		struct bond_link *l = of_list(at);
		if (l != b->first && (!best || is_better(l, best)))
			best = l;
	}
	assert_always(best); /* n_links > 0 */
	/* Where all is equal the others come first next time. */
	list_del(&best->link);
	list_push(&b->links, &best->link);
	return best;
}

/* There is a hole now: told in a later turn. */
static void lose(struct bond *b)
{
	set_why(b, ENOMEM, "writing to the connection failed");
	b->is_deaf = true;
	timer_arm(b->loop, &b->last_words, 0);
}

void bond_link_send(struct bond_link *l, const struct iovec *iov, int n)
{
	size_t taken = 0;

	if (ring_len(&l->spill) == 0)
		taken = l->ops->send(l, iov, n);
	if (ring_push_rest(&l->spill, iov, n, taken) < 0)
		lose(l->bond);
}

/* The next bytes, at most max, described in slice from 1 on.  Returns the
 * number of parts. */
static int take_slice(struct iov_cursor *c, size_t max, struct iovec *slice,
		      size_t *ret_len)
{
	size_t len = 0;
	int n = 1;

	for (; n < SLICE_IOV && iov_cursor_next(c, max - len, &slice[n]); n++)
		len += slice[n].iov_len;
	*ret_len = len;
	return n;
}

static void send_chunk(struct bond *b, struct bond_link *l,
		       struct iov_cursor *c, size_t max)
{
	uint8_t head[FRAME_HEADER_LEN];
	struct iovec slice[SLICE_IOV];
	size_t len;
	int n = take_slice(c, max, slice, &len);

	slice[0].iov_base = head;
	slice[0].iov_len = bond_build_chunk(head, BOND_CHUNK, b->tx_seq++, len);
	bond_link_send(l, slice, n);
}

static void send_chunks(struct bond *b, const struct iovec *iov, int n)
{
	struct iov_cursor c = {.iov = iov, .n = n};

	while (c.n > 0) {
		struct bond_link *l = pick(b);
		size_t max = room_of(l);

		if (max < CHUNK_MIN)
			max = CHUNK_MIN;
		if (max > BOND_CHUNK_MAX)
			max = BOND_CHUNK_MAX;
		send_chunk(b, l, &c, max);
	}
}

static void begin_chunks(struct bond *b)
{
	struct iov_cursor nothing = {.n = 0};

	send_chunk(b, b->first, &nothing, 0);
	if (b->is_numbered) {
		bond_rate_sent(&b->first->rate, loop_now_us(b->loop),
			       FRAME_HEADER_LEN);
		b->sure.next = b->sure.tx_seq = b->tx_seq;
		b->base.is_paced = true; /* by bond_sure from now on */
	}
}

static void send_stream(struct bond *b, const struct iovec *iov, int n)
{
	if (b->is_deaf || b->is_closed)
		return;
	if (b->n_links == 0 && !b->is_split) {
		bond_link_send(b->first, iov, n);
		return;
	}
	if (!b->is_split)
		begin_chunks(b);
	b->is_split = true;
	if (!b->is_numbered)
		send_chunks(b, iov, n);
	else if (bond_sure_send(&b->sure, iov, n) < 0)
		lose(b);
}

static bool is_full(const struct carrier *c)
{
	const struct bond *b = from_base(c);

	if (b->is_closed || b->is_deaf)
		return true;
	if (b->is_split && b->is_numbered)
		return bond_sure_is_full(&b->sure);
	if (b->n_links == 0)
		return ring_len(&b->first->spill) > 0;
	list_for_each (at, &b->links) {
		const struct bond_link *l = of_list(at);

		if (l != b->first && ring_len(&l->spill) == 0)
			return false;
	}
	return true;
}

/* hop up 8/11, down 4/9: into the pipe to ssh, or to sshd */
static void send_frames(struct carrier *c, const struct iovec *iov, int n)
{
	send_stream(from_base(c), iov, n);
}

static_assert(CARRIER_FREE_MAX <= (int)BOND_CHUNK_MAX, "it is one chunk");

static void send_free(struct carrier *c, const struct iovec *iov, int n)
{
	struct bond *b = from_base(c);

	if (!b->is_deaf && !b->is_closed &&
	    bond_sure_send_free(&b->sure, iov, n) < 0)
		lose(b);
}

static void tell_writable(struct bond *b)
{
	if (b->base.user && !is_full(&b->base))
		b->base.user->on_writable(b->base.user_ctx);
}

void bond_link_flush(struct bond_link *l)
{
	struct iovec parts[2];
	size_t len = ring_len(&l->spill);

	if (len == 0 || l->bond->is_closed || l->is_ended)
		return;
	int n = ring_peek(&l->spill, l->spill.start, len, parts);
	size_t sent = l->ops->send(l, parts, n);
	ring_drop(&l->spill, l->spill.start + sent);
	if (sent == len)
		tell_writable(l->bond);
}

void bond_link_note_full(struct bond_link *l)
{
	deference_note_full(&l->bond->deference);
}

/* ---- links ---- */

void bond_link_add(struct carrier *c, struct bond_link *l)
{
	struct bond *b = from_base(c);
	bool is_first = list_is_empty(&b->links);

	bond_rx_link_init(&l->rx, is_first);
	l->bond = b;
	list_push(&b->links, &l->link);
	if (is_first) {
		b->first = l;
		return;
	}
	b->n_links++;
	tell_writable(b);
}

unsigned bond_carrier_n_links(const struct carrier *c)
{
	return from_base(c)->n_links;
}

void bond_carrier_set_ops(struct carrier *c, const struct bond_ops *bond_ops,
			  void *ctx)
{
	struct bond *b = from_base(c);

	b->ops = bond_ops;
	b->ops_ctx = ctx;
}

void bond_carrier_ask(struct carrier *c, bool wants_numbers)
{
	uint8_t frame[FRAME_HEADER_LEN];
	struct iovec iov = {frame, bond_build_ask(frame, wants_numbers)};

	send_stream(from_base(c), &iov, 1);
}

void bond_carrier_offer(struct carrier *c, const struct bond_offer *offer)
{
	uint8_t frame[BOND_OFFER_MAX];
	struct iovec iov = {frame, bond_build_offer(frame, offer)};

	send_stream(from_base(c), &iov, 1);
}

int bond_carrier_set_numbered(struct carrier *c, bool has_numbers)
{
	struct bond *b = from_base(c);

	if (b->is_numbered == has_numbers)
		return 0;
	if (b->n_links > 0 || b->is_closed || b->is_split || !b->rx.is_plain)
		return -EPROTO;
	b->is_numbered = b->rx.is_numbered = has_numbers;
	if (has_numbers)
		bond_sure_init(&b->sure, b->loop, &b->links, 0);
	return 0;
}

uint64_t bond_carrier_n_repeats(const struct carrier *c)
{
	const struct bond *b = from_base(c);

	return b->is_numbered ? b->sure.stats.n_repeats : 0;
}

static bool has_number(const struct bond *b, uint32_t number)
{
	list_for_each (at, &b->links)
		if (of_list(at)->number == number)
			return true;
	return false;
}

int bond_carrier_add_numbered(struct carrier *c, uint32_t number, int rfd,
			      int wfd, const void *leftover,
			      size_t leftover_len)
{
	struct bond *b = from_base(c);
	struct bond_link *l =
		bond_fd_new(b->loop, rfd, wfd, leftover, leftover_len);

	if (!l)
		return -errno;
	if (b->is_closed || b->is_deaf || !b->is_numbered ||
	    b->n_links >= BOND_LINKS_MAX || has_number(b, number)) {
		l->ops->free(l);
		return -EPIPE;
	}
	l->number = number;
	bond_link_add(c, l);
	return 0;
}

int bond_carrier_add_fd(struct carrier *c, int fd, uint32_t number,
			const uint8_t token[BOND_TOKEN_LEN])
{
	struct bond *b = from_base(c);
	uint8_t joined[BOND_JOIN_LEN];
	size_t len = bond_build_join(joined, BOND_JOINED, number, token);

	/* The socket is new: it takes that much. */
	if (b->is_closed || b->is_deaf || b->n_links >= BOND_LINKS_MAX ||
	    (number != 0 && has_number(b, number)) ||
	    (number != 0 ? bond_carrier_set_numbered(c, true) < 0
			 : b->is_numbered) ||
	    write(fd, joined, len) != (ssize_t)len) {
		fd_close(&fd);
		return -EPIPE;
	}
	struct bond_link *l = bond_fd_new(b->loop, fd, fd, NULL, 0);
	if (!l)
		return -errno;
	l->number = number;
	bond_link_add(c, l);
	return 0;
}

/* ---- life ---- */

static struct carrier *bond_free(struct carrier *c)
{
	struct bond *b = from_base(c);
	struct list *at;

	b->is_closed = true;
	rest(b);
	if (b->is_numbered)
		bond_sure_fini(&b->sure);
	bond_rx_fini(&b->rx);
	while ((at = list_pop(&b->links))) {
		struct bond_link *l = of_list(at);

		ring_fini(&l->spill);
		l->ops->free(l);
	}
	free(b);
	return NULL;
}

static const struct carrier_ops ops = {
	.send = send_frames,
	.send_free = send_free,
	.is_full = is_full,
	.free = bond_free,
};

struct carrier *bond_carrier_new(struct loop *loop, int rfd, int wfd,
				 const void *leftover, size_t leftover_len)
{
	struct bond *b = calloc(1, sizeof(*b));
	struct bond_link *l =
		bond_fd_new(loop, rfd, wfd, leftover, leftover_len);

	if (!b || !l) {
		int error = l ? ENOMEM : errno;

		if (l)
			l->ops->free(l);
		free(b);
		errno = error;
		return NULL;
	}
	b->base.ops = &ops;
	b->loop = loop;
	list_init(&b->links);
	b->last_words = (struct timer){.on_fire = on_last_words_over, .ctx = b};
	b->got = (struct timer){.on_fire = on_got_due, .ctx = b};
	b->bury = (struct loop_task){.on_run = on_bury, .ctx = b};
	list_init(&b->bury.link);
	deference_init(&b->deference, loop);
	bond_rx_init(&b->rx, on_frame, b);
	bond_link_add(&b->base, l);
	return &b->base;
}
