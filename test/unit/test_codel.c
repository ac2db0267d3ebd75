/* SPDX-License-Identifier: MIT */
/* test_codel: src/session/codel over a simulated queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "codel.h"
#include "reference.h"

enum {
	ROOM = 1 << 14,
	START_US = 1000000,
	PACKET_US = 1000, /* time on the line */
};

/* A line that takes a packet each PACKET_US, and what waits for it. */
struct queue {
	struct codel codel;
	struct codel_params params;
	mono_us_t now_us;
	mono_us_t queued_us[ROOM];
	size_t head, tail;
	bool can_mark;
	unsigned passed, marked, dropped;
	mono_us_t longest_us, last_wait_us;
};

static void begin(struct queue *q)
{
	memset(q, 0, sizeof(*q));
	q->params = codel_params_for(0, 1500, 0);
	q->now_us = START_US;
}

static void push(struct queue *q)
{
	assert_true(q->tail - q->head < ROOM);
	q->queued_us[q->tail++ % ROOM] = q->now_us;
}

/* The line is free: the next packet that is not dropped.  Returns false if
 * there was none. */
static bool take(struct queue *q)
{
	while (q->head != q->tail) {
		mono_us_t queued_us = q->queued_us[q->head++ % ROOM];
		bool is_last = q->head == q->tail;
		bool is_due = codel_is_due(&q->codel, &q->params, q->now_us,
					   queued_us, is_last);

		q->last_wait_us = q->now_us - queued_us;
		if (q->last_wait_us < q->params.target_us || is_last)
			assert_false(is_due);
		if (is_due && !q->can_mark) {
			q->dropped++;
			continue;
		}
		q->marked += is_due;
		q->passed++;
		if (q->last_wait_us > q->longest_us)
			q->longest_us = q->last_wait_us;
		return true;
	}
	return false;
}

/* A sender that paces `window` packets a round trip of rtt_us and halves that
 * each time that one is lost or marked, at most once a round trip: Reno. */
struct sender {
	double window;
	double credit;
	mono_us_t halved_us;
	unsigned n_seen;
};

static void run_sender(struct queue *q, struct sender *s, mono_us_t rtt_us)
{
	unsigned n = q->dropped + q->marked;
	double path_us = (double)rtt_us + (double)q->last_wait_us;

	if (n != s->n_seen && q->now_us - s->halved_us > rtt_us) {
		s->window = s->window > 4 ? s->window / 2 : 2;
		s->halved_us = q->now_us;
	}
	s->n_seen = n;
	s->window += PACKET_US / path_us;
	s->credit += s->window * PACKET_US / path_us;
	for (; s->credit >= 1; s->credit -= 1)
		push(q);
}

/* One that reacts keeps the line busy, and the queue about the target. */
static void converge(bool can_mark)
{
	struct sender s = {.window = 400};
	struct queue q;
	uint64_t wait_us = 0, n = 0;

	begin(&q);
	q.can_mark = can_mark;
	for (unsigned i = 0; i < 60000; i++, q.now_us += PACKET_US) {
		run_sender(&q, &s, 40000);
		bool is_busy = take(&q);
		if (i < 20000)
			continue;
		n += is_busy;
		wait_us += is_busy ? q.last_wait_us : 0;
	}
	assert_in_range(n, 33000, 40000); /* of 40,000, for one Reno */
	assert_true(wait_us / n < 2 * (uint64_t)CODEL_TARGET_US);
	assert_true(q.longest_us > 100000); /* at the beginning */
	if (can_mark)
		assert_int_equal(q.dropped, 0);
	else
		assert_int_equal(q.marked, 0);
	assert_true(q.dropped + q.marked > 10);
}

static void steady_overload_converges_to_the_target(void **state)
{
	(void)state;
	converge(false);
}

static void marks_converge_as_drops_do(void **state)
{
	(void)state;
	converge(true);
}

/* One that does not react is dropped more and more, until the rest fits. */
static void deaf_sender_is_cut_to_the_rate(void **state)
{
	struct queue q;

	(void)state;
	begin(&q);
	for (unsigned i = 0; i < 60000; i++, q.now_us += PACKET_US) {
		push(&q);
		if (i % 5 == 0)
			push(&q); /* 20% too many */
		(void)take(&q);
		if (i == 40000)
			q.longest_us = 0;
	}
	assert_in_range(q.dropped, 10000, 12100);
	assert_true(q.longest_us < 200000);
}

static void nothing_is_dropped_below_the_target(void **state)
{
	struct rng rng = rng_init("codel");
	struct queue q;

	(void)state;
	begin(&q);
	for (unsigned i = 0; i < 100000; i++, q.now_us += PACKET_US) {
		/* Bursts of 4, the line half used. */
		if (rng_below(&rng, 8) == 0 && q.head == q.tail)
			for (int k = 0; k < 4; k++)
				push(&q);
		(void)take(&q);
	}
	assert_int_equal(q.dropped + q.marked, 0);
}

/* 80 ms of queue at once, twelve times: it goes away by itself. */
static void burst_shorter_than_the_interval_passes(void **state)
{
	struct queue q;

	(void)state;
	begin(&q);
	for (unsigned i = 0; i < 12 * 200; i++, q.now_us += PACKET_US) {
		for (unsigned k = 0; i % 200 == 0 && k < 80; k++)
			push(&q);
		(void)take(&q);
	}
	assert_int_equal(q.passed, 12 * 80);
	assert_int_equal(q.dropped, 0);
}

static void last_packet_is_never_dropped(void **state)
{
	struct queue q;

	(void)state;
	begin(&q);
	/* Each has waited for a second, alone. */
	for (unsigned i = 0; i < 100; i++) {
		push(&q);
		q.now_us += 1000000;
		assert_true(take(&q));
	}
	/* While dropping, too: of what is left one always comes. */
	for (unsigned i = 0; i < 5000; i++) {
		push(&q);
		push(&q);
		q.now_us += PACKET_US;
		assert_true(take(&q));
	}
	assert_true(q.codel.is_dropping);
	while (q.head != q.tail) {
		q.now_us += 500000;
		assert_true(take(&q));
	}
	assert_true(q.dropped > 0);
	assert_false(q.codel.is_dropping);
}

/* The times of RFC 8289's control law. */
static void drops_come_faster_and_faster(void **state)
{
	static const unsigned after_us[] = {100000, 70710, 57735, 50000, 44721};
	struct codel_params p = codel_params_for(0, 1500, 0);
	mono_us_t t_us = START_US, before_us = 0;
	struct codel c = {0};
	unsigned n = 0;

	(void)state;
	for (; n < 5; t_us += 10) {
		if (!codel_is_due(&c, &p, t_us, t_us - 6000, false))
			continue;
		if (before_us == 0)
			assert_int_equal(t_us, START_US + CODEL_INTERVAL_US);
		else
			assert_in_range(t_us - before_us, after_us[n] - 10,
					after_us[n] + 20);
		n += before_us != 0;
		before_us = t_us;
	}
	/* Good for a moment, then bad again: it goes on where it was. */
	unsigned in_a_row = c.n;
	assert_false(codel_is_due(&c, &p, t_us, t_us, false));
	mono_us_t end_us = t_us + 2 * (mono_us_t)CODEL_INTERVAL_US;
	while (t_us < end_us && !c.is_dropping) {
		(void)codel_is_due(&c, &p, t_us, t_us - 6000, false);
		t_us += 10;
	}
	assert_int_equal(c.n, in_a_row - 1);
	/* But not after a long time. */
	assert_false(codel_is_due(&c, &p, t_us, t_us, false));
	t_us += 17 * (mono_us_t)CODEL_INTERVAL_US;
	(void)codel_is_due(&c, &p, t_us, t_us - 6000, false);
	t_us += CODEL_INTERVAL_US;
	assert_true(codel_is_due(&c, &p, t_us, t_us - 6000, false));
	assert_int_equal(c.n, 1);
}

static void parameters_follow_the_line(void **state)
{
	struct codel_params p;

	(void)state;
	p = codel_params_for(0, SIZE_MAX, 0);
	assert_int_equal(p.target_us, CODEL_TARGET_US);
	assert_int_equal(p.interval_us, CODEL_INTERVAL_US);
	p = codel_params_for(12500000, 16384, 20000);
	assert_int_equal(p.target_us, CODEL_TARGET_US);
	assert_int_equal(p.interval_us, CODEL_INTERVAL_US);
	/* 1 Mbit/s: 1,514 bytes take 12.1 ms. */
	p = codel_params_for(125000, 1514, 300000);
	assert_int_equal(p.target_us, 18168);
	assert_int_equal(p.interval_us, 300000);
	p = codel_params_for(1, 65599, UINT32_MAX);
	assert_int_equal(p.target_us, 500000);
	assert_int_equal(p.interval_us, 2000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steady_overload_converges_to_the_target),
		cmocka_unit_test(marks_converge_as_drops_do),
		cmocka_unit_test(deaf_sender_is_cut_to_the_rate),
		cmocka_unit_test(nothing_is_dropped_below_the_target),
		cmocka_unit_test(burst_shorter_than_the_interval_passes),
		cmocka_unit_test(last_packet_is_never_dropped),
		cmocka_unit_test(drops_come_faster_and_faster),
		cmocka_unit_test(parameters_follow_the_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
