/* SPDX-License-Identifier: MIT */
/* mem_carrier: frames and whole sessions between two ends in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "mem_carrier.h"
#include "reference.h"
#include "session.h"

enum {
	MIB = 1 << 20,
	BODY_LEN = 1000,
	/* An end is full at a quarter MiB; a send more may wait. */
	WAITING_MAX_FRAMES = (256 << 10) / BODY_LEN + 2,
};

/* ---- raw frames ---- */

struct end {
	struct carrier *c;
	struct end *other;
	unsigned n_frames, n_writable, n_closed;
	uint32_t last_id;
	bool is_in_order;
	int answers_left; /* a frame for each that comes */
	int depth, max_depth;
	struct carrier *free_on_frame; /* the other end's */
	uint64_t n_bytes;	       /* handed over */
	int n_answers_taken;	       /* of two tried while that happens */
	struct err why;
};

static void send_frame(struct end *e, uint32_t id)
{
	static uint8_t body[BODY_LEN];
	uint8_t header[FRAME_HEADER_LEN];
	struct iovec iov[3] = {
		{header, frame_build_header(header, FRAME_DGRAM, BODY_LEN, id)},
		{body, 1},
		{body + 1, BODY_LEN - 1},
	};

	carrier_send(e->c, iov, 3);
}

static void on_frame(void *ctx, const struct frame_header *h,
		     const uint8_t *body)
{
	struct end *e = ctx;

	assert_int_equal(h->len, BODY_LEN);
	assert_int_equal(body[BODY_LEN - 1], 0);
	assert_int_equal(e->n_closed, 0);
	e->is_in_order &= h->id == e->last_id + 1;
	e->last_id = h->id;
	e->n_frames++;
	if (++e->depth > e->max_depth)
		e->max_depth = e->depth;
	if (e->answers_left > 0) {
		e->answers_left--;
		send_frame(e, e->other->last_id + 1);
	}
	if (e->free_on_frame)
		e->free_on_frame = e->other->c = carrier_free(e->free_on_frame);
	e->depth--;
}

static bool hand_over(struct end *e, size_t len)
{
	static const uint8_t bytes[BODY_LEN];

	return carrier_hand_over(e->c, 7, e->other->n_bytes, bytes, len);
}

static void on_data(void *ctx, uint32_t id, uint64_t offset,
		    const uint8_t *bytes, size_t len)
{
	struct end *e = ctx;

	assert_int_equal(id, 7);
	assert_int_equal(offset, e->n_bytes);
	assert_int_equal(bytes[len - 1], 0);
	e->n_bytes += len;
	e->n_answers_taken += hand_over(e, 1);
	e->n_answers_taken += hand_over(e->other, 1);
}

static void on_writable(void *ctx)
{
	((struct end *)ctx)->n_writable++;
}

static void on_closed(void *ctx, const struct err *why)
{
	struct end *e = ctx;

	e->n_closed++;
	e->why = *why;
}

static const struct carrier_user user = {
	.on_frame = on_frame,
	.on_data = on_data,
	.on_writable = on_writable,
	.on_closed = on_closed,
};

struct fixture {
	struct loop *loop;
	struct end a, b;
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct carrier *pair[2];

	assert_non_null(x);
	x->loop = loop_new(LOOP_TIME_VIRTUAL);
	assert_int_equal(mem_carrier_pair(x->loop, pair), 0);
	x->a = (struct end){.c = pair[0], .other = &x->b, .is_in_order = true};
	x->b = (struct end){.c = pair[1], .other = &x->a, .is_in_order = true};
	carrier_bind(pair[0], &user, &x->a);
	carrier_bind(pair[1], &user, &x->b);
	*state = x;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;

	x->a.c = carrier_free(x->a.c);
	x->b.c = carrier_free(x->b.c);
	loop_free(x->loop);
	free(x);
	return 0;
}

static void settle(struct loop *loop)
{
	while (loop_poll(loop))
		continue;
}

static void frames_arrive_later_and_in_order(void **state)
{
	struct fixture *x = *state;

	for (uint32_t id = 1; id <= 5; id++)
		send_frame(&x->a, id);
	send_frame(&x->b, 1);
	assert_int_equal(x->a.n_frames + x->b.n_frames, 0);
	settle(x->loop);
	assert_int_equal(x->b.n_frames, 5);
	assert_int_equal(x->a.n_frames, 1);
	assert_true(x->b.is_in_order);
	assert_int_equal(x->a.n_writable, 0); /* it never was full */
}

static void full_is_bounded_and_told_to_be_over(void **state)
{
	struct fixture *x = *state;
	uint32_t n = 0;

	for (int round = 1; round <= 3; round++) {
		uint32_t first = n;

		while (!carrier_is_full(x->a.c))
			send_frame(&x->a, ++n);
		assert_in_range(n - first, WAITING_MAX_FRAMES / 2,
				WAITING_MAX_FRAMES);
		send_frame(&x->a, n + 1); /* refused: nobody may do this */
		assert_false(carrier_is_full(x->b.c));
		settle(x->loop);
		assert_false(carrier_is_full(x->a.c));
		assert_int_equal(x->a.n_writable, round);
		assert_int_equal(x->b.n_frames, n);
	}
	assert_true(x->b.is_in_order);
}

static void answers_do_not_nest(void **state)
{
	struct fixture *x = *state;

	x->a.answers_left = x->b.answers_left = 100000;
	send_frame(&x->a, 1);
	settle(x->loop);
	assert_int_equal(x->a.n_frames, 100000);
	assert_int_equal(x->b.n_frames, 100001);
	assert_int_equal(x->a.max_depth, 1);
	assert_int_equal(x->b.max_depth, 1);
	assert_true(x->a.is_in_order && x->b.is_in_order);
}

/* Two ends that never rest may not keep the loop from its descriptors. */
static void turn_ends_although_both_go_on(void **state)
{
	struct fixture *x = *state;

	x->a.answers_left = x->b.answers_left = 100000;
	send_frame(&x->a, 1);
	assert_true(loop_poll(x->loop));
	assert_in_range(x->b.n_frames, 1, 1000);
}

static void end_comes_behind_the_last_frame(void **state)
{
	struct fixture *x = *state;

	send_frame(&x->a, 1);
	send_frame(&x->b, 1);
	x->a.c = carrier_free(x->a.c);
	assert_true(carrier_is_full(x->b.c));
	send_frame(&x->b, 2);
	settle(x->loop);
	assert_int_equal(x->a.n_frames, 0); /* no call after free */
	assert_int_equal(x->a.n_closed, 0);
	assert_int_equal(x->b.n_frames, 1);
	assert_int_equal(x->b.n_closed, 1);
	assert_string_equal(x->b.why.text,
			    "the other end closed the connection");
}

static void end_within_a_delivery(void **state)
{
	struct fixture *x = *state;

	send_frame(&x->a, 1);
	send_frame(&x->a, 2);
	x->b.free_on_frame = x->a.c;
	settle(x->loop);
	assert_int_equal(x->b.n_frames, 2);
	assert_int_equal(x->b.n_closed, 1);
}

static void both_ends_freed_with_frames_under_way(void **state)
{
	struct fixture *x = *state;

	send_frame(&x->a, 1);
	send_frame(&x->b, 1);
	x->a.c = carrier_free(x->a.c);
	x->b.c = carrier_free(x->b.c);
	settle(x->loop);
	assert_int_equal(x->a.n_frames + x->b.n_frames, 0);
	assert_int_equal(x->a.n_closed + x->b.n_closed, 0);
}

static void who_has_left_is_told_nothing(void **state)
{
	struct fixture *x = *state;

	send_frame(&x->a, 1);
	x->b.c->user = NULL;
	settle(x->loop);
	x->a.c = carrier_free(x->a.c);
	settle(x->loop);
	assert_int_equal(x->b.n_frames + x->b.n_closed, 0);
}

/* ---- bytes without a frame ---- */

static void bytes_are_handed_over_within_the_call(void **state)
{
	struct fixture *x = *state;

	assert_true(hand_over(&x->a, 10));
	assert_int_equal(x->b.n_bytes, 10);
	assert_true(hand_over(&x->b, BODY_LEN));
	assert_true(hand_over(&x->a, 5));
	assert_int_equal(x->b.n_bytes, 15);
	assert_int_equal(x->a.n_bytes, BODY_LEN);
	/* Not one within another. */
	assert_int_equal(x->a.n_answers_taken + x->b.n_answers_taken, 0);
}

static void bytes_are_not_handed_over_before_older_frames(void **state)
{
	struct fixture *x = *state;

	send_frame(&x->a, 1);
	assert_false(hand_over(&x->a, 10));
	assert_true(hand_over(&x->b, 10));
	settle(x->loop);
	assert_int_equal(x->b.n_frames, 1);
	assert_int_equal(x->b.n_bytes, 0);
	assert_true(hand_over(&x->a, 10));
}

static void bytes_are_not_handed_over_to_nobody(void **state)
{
	static const struct carrier_user takes_frames = {.on_frame = on_frame};
	struct fixture *x = *state;

	x->b.c->user = &takes_frames;
	assert_false(hand_over(&x->a, 10));
	x->b.c->user = NULL;
	assert_false(hand_over(&x->a, 10));
	x->b.c->user = &user;
	x->b.c = carrier_free(x->b.c);
	assert_false(hand_over(&x->a, 10));
	assert_int_equal(x->b.n_bytes, 0);
}

/* ---- sessions ---- */

struct sessions {
	struct loop *loop;
	struct session *near, *far;
	struct stream *up, *down; /* the stream at near and far */
	int n_up, n_down;
	uint64_t n_received;
	bool is_damaged, is_opened, has_fin, is_closed;
	bool is_slow; /* what comes is left in the stream */
	bool talks_first;
};

static uint8_t pattern(uint64_t offset)
{
	return (uint8_t)(offset * 131 >> 3 ^ offset >> 13);
}

static void on_up(void *ctx, const struct frame_hello *peer)
{
	assert_string_equal(peer->software, "test");
	((struct sessions *)ctx)->n_up++;
}

static void on_down(void *ctx, const struct err *why)
{
	(void)why;
	((struct sessions *)ctx)->n_down++;
}

static void on_open(void *ctx, struct stream *s, const struct frame_open *open)
{
	struct sessions *x = ctx;

	assert_string_equal(open->name, "host");
	x->down = s;
	s->owner = x;
	session_accept(s);
	if (x->talks_first)
		assert_int_equal(stream_write(s, (uint8_t[1000]){0}, 1000), 0);
}

static void on_opened(struct stream *s)
{
	((struct sessions *)s->owner)->is_opened = true;
}

static void on_readable(struct stream *s)
{
	struct sessions *x = s->owner;
	struct iovec iov[2];

	if (x->is_slow)
		return;
	int n = stream_rx_peek(s, s->rx.start, ring_len(&s->rx), iov);

	for (int i = 0; i < n; i++)
		for (size_t at = 0; at < iov[i].iov_len; at++)
			x->is_damaged |=
				((const uint8_t *)iov[i].iov_base)[at] !=
				pattern(x->n_received++);
	stream_consume(s, s->rx.end);
	if (s->rx_fin && !s->rx_fin_consumed) {
		x->has_fin = true;
		stream_write_fin(s);
		stream_consume_fin(s);
	}
}

static void on_stream_writable(struct stream *s)
{
	(void)s;
}

static void on_stream_closed(struct stream *s)
{
	((struct sessions *)s->owner)->is_closed = true;
}

static const struct stream_ops stream_ops = {
	.on_opened = on_opened,
	.on_readable = on_readable,
	.on_writable = on_stream_writable,
	.on_closed = on_stream_closed,
};

static const struct session_ops session_ops = {
	.on_up = on_up,
	.on_open = on_open,
	.stream = &stream_ops,
	.on_down = on_down,
};

static int set_up_sessions(void **state)
{
	struct sessions *x = calloc(1, sizeof(*x));
	struct frame_hello hello = {.software = "test"};
	struct carrier *pair[2];

	assert_non_null(x);
	x->loop = loop_new(LOOP_TIME_VIRTUAL);
	assert_int_equal(mem_carrier_pair(x->loop, pair), 0);
	x->far = session_new(x->loop, SESSION_FAR, pair[0], &session_ops, x,
			     &hello);
	x->near = session_new(x->loop, SESSION_NEAR, pair[1], &session_ops, x,
			      &hello);
	*state = x;
	return 0;
}

static int tear_down_sessions(void **state)
{
	struct sessions *x = *state;

	session_free(x->near);
	session_free(x->far);
	loop_free(x->loop);
	free(x);
	return 0;
}

static void open_up(struct sessions *x)
{
	static const struct frame_open open = {.proto = 6, .name = "host"};

	settle(x->loop);
	assert_int_equal(x->n_up, 2);
	x->up = session_open(x->near, x, &open);
	assert_non_null(x->up);
	settle(x->loop);
	assert_true(x->is_opened);
}

static void write_at(struct sessions *x, uint64_t offset, size_t n)
{
	static uint8_t bytes[MIB];

	for (size_t i = 0; i < n; i++)
		bytes[i] = pattern(offset + i);
	assert_int_equal(stream_write(x->up, bytes, n), 0);
}

/* Within a call or through the rings, as it comes: by the window, by the order
 * of turns, by who is slow. */
static void bytes_take_either_way_and_keep_their_order(void **state)
{
	struct sessions *x = *state;
	uint64_t n_sent = 0, n_at_once = 0, n_in_rings = 0;
	struct rng rng = {1};

	open_up(x);
	while (n_sent < 64 * MIB) {
		size_t room = stream_tx_room(x->up);
		size_t n = rng_below(&rng, 300000);
		uint64_t before = x->n_received;

		x->is_slow = rng_below(&rng, 3) == 0;
		if (n > room)
			n = room;
		write_at(x, n_sent, n);
		n_sent += n;
		n_at_once += n > 0 && x->n_received == n_sent;
		n_in_rings += x->n_received < n_sent;
		assert_true(x->n_received >= before);
		if (rng_below(&rng, 2) == 0)
			settle(x->loop);
		if (!x->is_slow)
			on_readable(x->down);
	}
	x->is_slow = false;
	stream_write_fin(x->up);
	on_readable(x->down);
	settle(x->loop);
	assert_int_equal(x->n_received, n_sent);
	assert_false(x->is_damaged);
	assert_true(x->has_fin && x->is_closed);
	assert_true(n_at_once > 20 && n_in_rings > 20);
}

/* OPENED must be there first. */
static void bytes_do_not_overtake_the_answer(void **state)
{
	struct sessions *x = *state;

	x->talks_first = x->is_slow = true;
	open_up(x);
	assert_int_equal(x->n_down, 0);
	assert_int_equal(ring_len(&x->up->rx), 1000);
}

static void count(void *ctx)
{
	++*(int *)ctx;
}

static void bytes_handed_over_are_sent(void **state)
{
	struct sessions *x = *state;
	int n_told = 0;
	struct loop_task task = {.on_run = count, .ctx = &n_told};
	uint64_t before;

	open_up(x);
	list_init(&task.link);
	session_when_sending(x->near, &task);
	before = session_stats(x->near)->tx_bytes;
	write_at(x, 0, 1000);
	assert_int_equal(x->n_received, 1000);
	settle(x->loop);
	assert_int_equal(n_told, 1);
	assert_int_equal(session_stats(x->near)->tx_bytes, before + 1000);
	assert_int_equal(session_stats(x->far)->rx_bytes, 1000);
}

static void sessions_greet_and_stream(void **state)
{
	struct sessions *x = *state;
	uint64_t n_sent = 0, total = 8 * MIB;

	open_up(x);
	while (n_sent < total) {
		size_t n = stream_tx_room(x->up);

		if (n > total - n_sent)
			n = (size_t)(total - n_sent);
		write_at(x, n_sent, n);
		n_sent += n;
		settle(x->loop);
		assert_true(n > 0);
	}
	stream_write_fin(x->up);
	settle(x->loop);
	assert_int_equal(x->n_received, total);
	assert_false(x->is_damaged);
	assert_true(x->has_fin && x->is_closed);
	assert_int_equal(session_stats(x->near)->streams, 0);
	assert_int_equal(session_stats(x->far)->streams, 0);
}

static void last_words_arrive(void **state)
{
	struct sessions *x = *state;

	settle(x->loop);
	session_bye(x->near, FRAME_BYE_DONE, "bye");
	x->near = session_free(x->near);
	settle(x->loop);
	assert_int_equal(x->n_down, 1);
	assert_int_equal(session_end(x->far), SESSION_END_SAID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_SESSIONS(name)                                    \
	cmocka_unit_test_setup_teardown(name, set_up_sessions, \
					tear_down_sessions)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_arrive_later_and_in_order),
		TEST(full_is_bounded_and_told_to_be_over),
		TEST(answers_do_not_nest),
		TEST(turn_ends_although_both_go_on),
		TEST(end_comes_behind_the_last_frame),
		TEST(end_within_a_delivery),
		TEST(both_ends_freed_with_frames_under_way),
		TEST(who_has_left_is_told_nothing),
		TEST(bytes_are_handed_over_within_the_call),
		TEST(bytes_are_not_handed_over_before_older_frames),
		TEST(bytes_are_not_handed_over_to_nobody),
		TEST_SESSIONS(sessions_greet_and_stream),
		TEST_SESSIONS(bytes_take_either_way_and_keep_their_order),
		TEST_SESSIONS(bytes_do_not_overtake_the_answer),
		TEST_SESSIONS(bytes_handed_over_are_sent),
		TEST_SESSIONS(last_words_arrive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
