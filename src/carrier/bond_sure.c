/* SPDX-License-Identifier: MIT */
/*
 * bond_sure: see bond_sure.h.
 *
 * Theory of operation
 *   Each chunk is copied once, into `kept`, and is written from there.  It is
 *   let go when the other end has handed it up.  While the oldest one is
 *   missing there all that follows has to wait, however fast the other links
 *   are: if it takes much longer than its link had promised, and another link
 *   has room, that link brings it, too.
 *
 *   What is little is sent on two links from the start: on a bad line each of
 *   them often waits for something lost, both seldom.
 *
 * Ownership: a kept chunk knows its link, which may be gone: NULL then.
 */
#include "bond_sure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iov.h"

enum {
	CHUNK_LEAST = 4 << 10,
	CHUNK_US = 10000, /* a chunk is no more than this takes */
	LITTLE = 1400,	  /* and is sent twice */
	RESCUE_TICK_US = 20000,
	/* More than promised before others help. */
	PATIENCE_US = 60000,
};

struct kept {
	struct list link;
	const struct bond_link *on; /* borrowed; NULL: lost */
	uint32_t seq;
	size_t len; /* of bytes */
	mono_us_t due_us;
	uint8_t bytes[];
};

static struct kept *of_list(struct list *at)
{
	return container_of(at, struct kept, link);
}

static struct bond_link *link_of_list(struct list *at)
{
	return container_of(at, struct bond_link, link);
}

static bool has_room(const struct bond_link *l)
{
	return !l->is_ended && ring_len(&l->spill) == 0 &&
	       bond_rate_in_flight(&l->rate) < bond_rate_budget(&l->rate);
}

/* The link that will have delivered len bytes soonest, among those with room if
 * there are any; not counting `but`.  NULL: there is no other. */
static struct bond_link *pick(const struct bond_sure *s, size_t len,
			      const struct bond_link *but)
{
	struct bond_link *best = NULL;
	uint64_t best_us = UINT64_MAX;
	bool best_has_room = false;

	list_for_each (at, s->links) {
		struct bond_link *l = link_of_list(at);

		if ((but && l == but) || l->is_ended)
			continue;
		uint64_t us =
			bond_rate_eta_us(&l->rate, loop_now_us(s->loop), len);
		bool l_has_room = has_room(l);
		if (l_has_room < best_has_room ||
		    (l_has_room == best_has_room && us >= best_us))
			continue;
		best = l;
		best_us = us;
		best_has_room = l_has_room;
	}
	return best;
}

bool bond_sure_is_full(const struct bond_sure *s)
{
	if (s->kept_bytes >= BOND_KEPT_MAX_BYTES || s->n_kept >= BOND_KEPT_MAX)
		return true;
	list_for_each (at, s->links)
		if (has_room(link_of_list(at)))
			return false;
	return true;
}

static void transmit(struct bond_sure *s, struct kept *k, struct bond_link *l)
{
	struct iovec iov = {k->bytes, k->len};
	mono_us_t now = loop_now_us(s->loop);

	k->on = l;
	k->due_us = now + bond_rate_eta_us(&l->rate, now, k->len);
	bond_rate_sent(&l->rate, now, k->len);
	bond_link_send(l, &iov, 1);
	if (!timer_is_armed(&s->rescue))
		timer_arm(s->loop, &s->rescue, RESCUE_TICK_US);
}

static void let_go(struct bond_sure *s, struct kept *k)
{
	list_del(&k->link);
	s->kept_bytes -= k->len;
	s->n_kept--;
	free(k);
}

/* ---- sending ---- */

static void copy_out(struct iov_cursor *c, uint8_t *out, size_t len)
{
	struct iovec part;

	for (; iov_cursor_next(c, len, &part); len -= part.iov_len) {
		memcpy(out, part.iov_base, part.iov_len);
		out += part.iov_len;
	}
}

static size_t chunk_size(const struct bond_link *l, size_t left)
{
	uint64_t max = bond_rate_bytes_in(&l->rate, CHUNK_US);

	if (max < CHUNK_LEAST)
		max = CHUNK_LEAST;
	if (max > BOND_CHUNK_MAX)
		max = BOND_CHUNK_MAX;
	return left < max ? left : (size_t)max;
}

/* Make a chunk of the next len bytes, to be sent.  NULL: no memory. */
static struct kept *keep(struct bond_sure *s, enum bond_type type,
			 struct iov_cursor *c, size_t len)
{
	struct kept *k = malloc(sizeof(*k) + FRAME_HEADER_LEN + len);

	if (!k)
		return NULL;
	*k = (struct kept){.seq = s->tx_seq++, .len = FRAME_HEADER_LEN + len};
	(void)bond_build_chunk(k->bytes, type, k->seq, len);
	copy_out(c, k->bytes + FRAME_HEADER_LEN, len);
	list_push(&s->kept, &k->link);
	s->kept_bytes += k->len;
	s->n_kept++;
	return k;
}

static void send_again(const struct bond_sure *s, const struct kept *k)
{
	struct iovec iov = {(void *)(uintptr_t)k->bytes, k->len};
	struct bond_link *l = pick(s, k->len, k->on);

	if (!l || !has_room(l))
		return;
	bond_rate_sent(&l->rate, loop_now_us(s->loop), k->len);
	bond_link_send(l, &iov, 1);
}

int bond_sure_send_free(struct bond_sure *s, const struct iovec *iov, int n)
{
	struct iov_cursor c = {.iov = iov, .n = n};
	size_t len = iov_total(iov, n);
	struct bond_link *l = pick(s, len, NULL);

	if (!l)
		return -EPIPE;
	struct kept *k = keep(s, BOND_FREE, &c, len);
	if (!k)
		return -ENOMEM;
	transmit(s, k, l);
	if (len <= LITTLE)
		send_again(s, k);
	return 0;
}

int bond_sure_send(struct bond_sure *s, const struct iovec *iov, int n)
{
	struct iov_cursor c = {.iov = iov, .n = n};
	size_t left = iov_total(iov, n), len;
	bool is_little = left <= LITTLE;

	for (; left > 0; left -= len) {
		struct bond_link *l =
			pick(s, left < CHUNK_LEAST ? left : CHUNK_LEAST, NULL);
		if (!l)
			return -EPIPE;
		len = chunk_size(l, left);
		struct kept *k = keep(s, BOND_CHUNK, &c, len);

		if (!k)
			return -ENOMEM;
		transmit(s, k, l);
		if (is_little)
			send_again(s, k);
	}
	return 0;
}

/* ---- once more ---- */

static void repeat(struct bond_sure *s, struct kept *k,
		   const struct bond_link *but)
{
	struct bond_link *l = pick(s, k->len, but);

	if (!l)
		return;
	s->stats.n_repeats++;
	transmit(s, k, l);
}

void bond_sure_lost(struct bond_sure *s, const struct bond_link *l)
{
	list_for_each (at, &s->kept) {
		struct kept *k = of_list(at);

		if (k->on == l) {
			k->on = NULL;
			repeat(s, k, l);
		}
	}
}

/* Any link that could take something at once, but not this one. */
static bool has_help(const struct bond_sure *s, const struct bond_link *but)
{
	unsigned n = 0;

	list_for_each (at, s->links)
		n += has_room(link_of_list(at));
	return n > (has_room(but) ? 1U : 0U);
}

/* The next chunk over there is late, and with it all that follows: bring what
 * its link still owes by others, as far as they have room. */
static void rescue(struct bond_sure *s)
{
	mono_us_t now = loop_now_us(s->loop);
	const struct bond_link *late = of_list(s->kept.next)->on;

	if (now < of_list(s->kept.next)->due_us + PATIENCE_US)
		return;
	list_for_each (at, &s->kept) {
		struct kept *k = of_list(at);

		if (k->on != late || now < k->due_us + PATIENCE_US)
			continue;
		if (!has_help(s, late))
			return;
		repeat(s, k, late);
	}
}

static void on_rescue(void *ctx)
{
	struct bond_sure *s = ctx;

	if (list_is_empty(&s->kept))
		return;
	rescue(s);
	timer_arm(s->loop, &s->rescue, RESCUE_TICK_US);
}

/* Links go the same way: the shortest time of any holds for all.  One that is
 * never idle would not find it out. */
static void share_base(struct bond_sure *s)
{
	uint32_t us = UINT32_MAX;

	list_for_each (at, s->links) {
		uint32_t its = link_of_list(at)->rate.round_trip_min_us;

		if (its > 0 && its < us)
			us = its;
	}
	list_for_each (at, s->links)
		if (us != UINT32_MAX)
			link_of_list(at)->rate.base_us = us;
}

int bond_sure_got(struct bond_sure *s, const struct bond_got *got)
{
	int r = 0;

	if ((int32_t)(got->next - s->tx_seq) > 0)
		return -EBADMSG;
	/* Those of several links overtake each other. */
	if ((int32_t)(got->next - s->next) > 0)
		s->next = got->next;
	while (!list_is_empty(&s->kept) &&
	       (int32_t)(of_list(s->kept.next)->seq - s->next) < 0)
		let_go(s, of_list(s->kept.next));
	list_for_each (at, s->links) {
		struct bond_link *l = link_of_list(at);

		if (l->number == got->number && !l->is_ended)
			r = bond_rate_got(&l->rate, loop_now_us(s->loop),
					  got->bytes);
	}
	share_base(s);
	return r;
}

/* ---- acknowledging ---- */

void bond_sure_owe(struct bond_link *l, uint32_t next, bool is_urgent)
{
	struct bond_got got = {
		.number = l->number, .next = next, .bytes = l->rx.bytes};
	uint8_t frame[BOND_GOT_LEN];
	struct iovec iov = {frame, bond_build_got(frame, &got)};

	/* Where something waits already the next one will do. */
	if (l->is_ended || ring_len(&l->spill) > 0 ||
	    (!is_urgent && l->rx.bytes - l->told_bytes < BOND_GOT_EVERY))
		return;
	l->told_bytes = l->rx.bytes;
	bond_link_send(l, &iov, 1);
}

/* ---- life ---- */

void bond_sure_init(struct bond_sure *s, struct loop *loop, struct list *links,
		    uint32_t tx_seq)
{
	*s = (struct bond_sure){
		.loop = loop, .links = links, .next = tx_seq, .tx_seq = tx_seq};
	list_init(&s->kept);
	s->rescue = (struct timer){.on_fire = on_rescue, .ctx = s};
}

void bond_sure_fini(struct bond_sure *s)
{
	struct list *at;

	timer_disarm(s->loop, &s->rescue);
	while ((at = list_pop(&s->kept)))
		let_go(s, of_list(at));
}
