/* SPDX-License-Identifier: MIT */
/* test_sched: src/session/sched shares the carrier by bytes, not by turns, and
 * lets those that send little go before those that send much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "reference.h"
#include "sched.h"

enum {
	N = 9,
	FRAME = 16374,
	DGRAM = 65559,
	ROUNDS = 4000,
};

struct fixture {
	struct sched sched;
	struct sched_flow flows[N];
	uint64_t sent[N];
	unsigned turns[N];
};

/* All of n flows have something to send. */
static void begin(struct fixture *x, size_t n)
{
	memset(x, 0, sizeof(*x));
	sched_init(&x->sched);
	for (size_t i = 0; i < N; i++)
		sched_flow_init(&x->flows[i], SCHED_STREAM);
	for (size_t i = 0; i < n; i++)
		sched_push(&x->sched, &x->flows[i]);
}

/* Serve who is next with a frame of its size; returns who that was. */
static size_t serve(struct fixture *x, const size_t sizes[N])
{
	struct sched_flow *f = sched_next(&x->sched);

	assert_non_null(f);
	assert_ptr_equal(sched_next(&x->sched), f); /* until it is charged */
	size_t i = (size_t)(f - x->flows);
	sched_charge(f, sizes[i]);
	x->sent[i] += sizes[i];
	x->turns[i]++;
	return i;
}

static void nobody_is_next_when_nobody_waits(void **state)
{
	struct fixture x;

	(void)state;
	begin(&x, 0);
	assert_null(sched_next(&x.sched));
	sched_push(&x.sched, &x.flows[0]);
	sched_push(&x.sched, &x.flows[0]);
	assert_ptr_equal(sched_next(&x.sched), &x.flows[0]);
	sched_empty(&x.sched, &x.flows[0]);
	assert_null(sched_next(&x.sched));
	/* Of one that is in no list. */
	sched_empty(&x.sched, &x.flows[0]);
	sched_remove(&x.flows[0]);
	assert_null(sched_next(&x.sched));
	sched_push(&x.sched, &x.flows[0]);
	assert_ptr_equal(sched_next(&x.sched), &x.flows[0]);
}

static void equal_frames_take_turns(void **state)
{
	static const size_t sizes[N] = {FRAME, FRAME, FRAME, FRAME, FRAME,
					FRAME, FRAME, FRAME, FRAME};
	struct fixture x;

	(void)state;
	begin(&x, N);
	for (int i = 0; i < ROUNDS; i++)
		(void)serve(&x, sizes);
	for (int i = 0; i < N; i++)
		assert_in_range(x.turns[i], ROUNDS / N - 2, ROUNDS / N + 2);
}

static void share(size_t quantum_bytes)
{
	static const size_t sizes[N] = {100,   1500, FRAME, DGRAM, 5000,
					16385, 1,    40000, 1514};
	struct fixture x;

	begin(&x, 0);
	sched_set_quantum(&x.sched, quantum_bytes);
	for (size_t i = 0; i < N; i++)
		sched_push(&x.sched, &x.flows[i]);
	for (int i = 0; i < 400000; i++)
		(void)serve(&x, sizes);
	for (int i = 1; i < N; i++) {
		int64_t ahead = (int64_t)x.sent[i] - (int64_t)x.sent[0];

		/* Never further apart than a quantum and the largest frame. */
		assert_true(ahead < (int64_t)quantum_bytes + DGRAM);
		assert_true(-ahead < (int64_t)quantum_bytes + DGRAM);
	}
}

static void bytes_are_shared_whatever_the_frames(void **state)
{
	(void)state;
	share(SCHED_QUANTUM_MAX_BYTES);
	share(SCHED_QUANTUM_MIN_BYTES);
	share(5000);
}

static void quantum_has_limits(void **state)
{
	struct sched s;

	(void)state;
	sched_init(&s);
	assert_int_equal(s.quantum_bytes, SCHED_QUANTUM_MAX_BYTES);
	sched_set_quantum(&s, 0);
	assert_int_equal(s.quantum_bytes, SCHED_QUANTUM_MIN_BYTES);
	sched_set_quantum(&s, 4000);
	assert_int_equal(s.quantum_bytes, 4000);
	sched_set_quantum(&s, SIZE_MAX);
	assert_int_equal(s.quantum_bytes, SCHED_QUANTUM_MAX_BYTES);
}

static void smaller_quantum_makes_shorter_turns(void **state)
{
	static const size_t sizes[N] = {500, 500};
	struct fixture x;
	unsigned run = 0, longest[2] = {0};
	size_t last = N;

	(void)state;
	begin(&x, 2);
	for (int i = 0; i < 2 * ROUNDS; i++) {
		size_t who = serve(&x, sizes);

		run = who == last ? run + 1 : 1;
		last = who;
		if (run > longest[i >= ROUNDS])
			longest[i >= ROUNDS] = run;
		if (i == ROUNDS - 100) /* what is left is used up first */
			sched_set_quantum(&x.sched, SCHED_QUANTUM_MIN_BYTES);
	}
	assert_in_range(longest[0], 30, 35);
	assert_in_range(longest[1], 3, 5);
}

/* One that sends a frame now and then goes before all that send always, if
 * they have had their turns since the last time. */
static void sparse_flow_goes_first(void **state)
{
	static const size_t sizes[N] = {FRAME, FRAME, 1500,  FRAME, DGRAM,
					FRAME, FRAME, FRAME, 200};
	struct rng rng = rng_init("sched");
	struct fixture x;

	(void)state;
	begin(&x, N - 1);
	for (int i = 0; i < ROUNDS; i++)
		(void)serve(&x, sizes);
	for (int i = 0; i < 1000; i++) {
		sched_push(&x.sched, &x.flows[N - 1]);
		assert_int_equal(serve(&x, sizes), N - 1);
		sched_empty(&x.sched, &x.flows[N - 1]);
		/* A whole round of eight, with what the largest owe. */
		for (size_t k = 200 + rng_below(&rng, 20); k > 0; k--)
			assert_int_not_equal(serve(&x, sizes), N - 1);
	}
}

/* Whenever it comes, the others have had one turn each at most. */
static void sparse_flow_waits_for_a_turn_of_each_at_most(void **state)
{
	static const size_t sizes[N] = {FRAME, FRAME, FRAME, FRAME, FRAME,
					FRAME, FRAME, DGRAM, 200};
	struct rng rng = rng_init("sched");
	struct fixture x;
	uint64_t at_once = 0;

	(void)state;
	begin(&x, N - 1);
	for (int i = 0; i < 1000; i++) {
		uint64_t waited = 0;

		for (size_t k = rng_below(&rng, 20); k > 0; k--)
			(void)serve(&x, sizes);
		sched_push(&x.sched, &x.flows[N - 1]);
		for (;;) {
			size_t who = serve(&x, sizes);

			if (who == N - 1)
				break;
			waited += sizes[who];
		}
		sched_empty(&x.sched, &x.flows[N - 1]);
		at_once += waited == 0;
		assert_true(waited <= (N - 1) * 2 * (uint64_t)DGRAM);
	}
	assert_in_range(at_once, 300, 1000);
}

/* Seven that send one small frame each time they are asked for, and come back
 * at once: one greedy flow still gets its share of turns. */
static void many_sparse_flows_do_not_starve_an_old_one(void **state)
{
	static const size_t sizes[N] = {FRAME, 100, 100, 100, 100,
					100,   100, 100, 100};
	struct fixture x;
	unsigned between = 0, most = 0;

	(void)state;
	begin(&x, N);
	for (int i = 0; i < ROUNDS; i++) {
		size_t who = serve(&x, sizes);

		if (who == 0) {
			between = 0;
			continue;
		}
		sched_empty(&x.sched, &x.flows[who]);
		sched_push(&x.sched, &x.flows[who]);
		most = ++between > most ? between : most;
	}
	/* A quantum of each is the most that it waits for. */
	assert_in_range(most, 1, (N - 1) * (SCHED_QUANTUM_MAX_BYTES / 100 + 1));
	assert_true(x.turns[0] > 2);
}

/* The same, but they leave the queue in earnest: each time all is quiet for
 * them they could be new again. */
static void who_comes_again_is_not_new_before_the_old_had_a_turn(void **state)
{
	static const size_t sizes[N] = {SCHED_QUANTUM_MAX_BYTES,
					SCHED_QUANTUM_MAX_BYTES, 100};
	struct fixture x;

	(void)state;
	begin(&x, 2);
	for (int i = 0; i < 10; i++)
		(void)serve(&x, sizes);
	sched_push(&x.sched, &x.flows[2]);
	assert_int_equal(serve(&x, sizes), 2);
	sched_empty(&x.sched, &x.flows[2]);
	/* Again before anybody was served: now it is the others' turn. */
	sched_push(&x.sched, &x.flows[2]);
	assert_false(x.flows[2].is_new);
	/* (One of them had its turn just before.) */
	assert_int_not_equal(serve(&x, sizes), 2);
	assert_int_equal(serve(&x, sizes), 2);
}

/* Who is empty after every frame and comes back at once gets no more than who
 * stays, even if its frames are large. */
static void coming_and_going_gains_nothing(void **state)
{
	static const size_t sizes[N] = {FRAME, FRAME, FRAME, DGRAM};
	struct fixture x;

	(void)state;
	for (int removes = 0; removes < 2; removes++) {
		begin(&x, 4);
		for (int i = 0; i < ROUNDS; i++) {
			if (serve(&x, sizes) != 3)
				continue;
			if (removes)
				sched_remove(&x.flows[3]);
			else
				sched_empty(&x.sched, &x.flows[3]);
			sched_push(&x.sched, &x.flows[3]);
		}
		assert_true(x.sent[3] <= x.sent[0] + x.sent[0] / 10);
		assert_true(x.sent[3] >= x.sent[0] - x.sent[0] / 10);
	}
}

static void debt_survives_removal(void **state)
{
	struct fixture x;

	(void)state;
	begin(&x, 1);
	assert_ptr_equal(sched_next(&x.sched), &x.flows[0]);
	sched_charge(&x.flows[0], DGRAM);
	sched_remove(&x.flows[0]);
	assert_int_equal(x.flows[0].deficit_bytes,
			 SCHED_QUANTUM_MAX_BYTES - DGRAM);
	sched_push(&x.sched, &x.flows[0]);
	sched_push(&x.sched, &x.flows[1]);
	/* In debt it is not first, though it came first. */
	assert_ptr_equal(sched_next(&x.sched), &x.flows[1]);
}

/* Nobody else is there: what is owed to nobody is forgiven. */
static void debt_is_paid_before_an_empty_flow_leaves(void **state)
{
	struct fixture x;

	(void)state;
	begin(&x, 2);
	assert_ptr_equal(sched_next(&x.sched), &x.flows[0]);
	sched_charge(&x.flows[0], DGRAM);
	sched_empty(&x.sched, &x.flows[0]);
	assert_ptr_equal(sched_next(&x.sched), &x.flows[1]);
	assert_false(list_is_empty(&x.flows[0].link)); /* still in debt */
	sched_empty(&x.sched, &x.flows[1]);
	assert_null(sched_next(&x.sched));
	assert_true(list_is_empty(&x.flows[0].link));
	assert_true(x.flows[0].deficit_bytes > 0);
}

/* Credit that was not used is not kept for later. */
static void credit_does_not_pile_up(void **state)
{
	static const size_t sizes[N] = {FRAME, 1};
	struct fixture x;

	(void)state;
	begin(&x, 1);
	for (int i = 0; i < 100; i++) {
		sched_push(&x.sched, &x.flows[1]);
		while (serve(&x, sizes) != 1)
			;
		sched_empty(&x.sched, &x.flows[1]);
		(void)serve(&x, sizes);
		(void)serve(&x, sizes);
	}
	assert_true(x.flows[1].deficit_bytes <= SCHED_QUANTUM_MAX_BYTES);
}

static void removal_from_each_list_leaves_the_others(void **state)
{
	static const size_t sizes[N] = {FRAME + 100, FRAME + 100, FRAME + 100,
					100,	     100,	  100};
	struct fixture x;

	(void)state;
	begin(&x, 3);
	for (int i = 0; i < 3; i++)
		(void)serve(&x, sizes);
	/* 0, 1, 2 are used up; 3, 4, 5 are new; 1 and 4 are let go. */
	for (size_t i = 3; i < 6; i++)
		sched_push(&x.sched, &x.flows[i]);
	sched_remove(&x.flows[1]);
	sched_remove(&x.flows[4]);
	sched_remove(&x.flows[4]); /* no harm */
	assert_int_equal(serve(&x, sizes), 3);
	sched_empty(&x.sched, &x.flows[3]);
	sched_remove(&x.flows[3]); /* while it waits empty */
	assert_int_equal(serve(&x, sizes), 5);
	sched_remove(&x.flows[5]);
	assert_int_equal(serve(&x, sizes), 0);
	assert_int_equal(serve(&x, sizes), 2);
	assert_int_equal(serve(&x, sizes), 0);
	sched_remove(&x.flows[0]);
	sched_remove(&x.flows[2]);
	assert_null(sched_next(&x.sched));
}

static void flows_outlive_the_scheduler(void **state)
{
	static const size_t sizes[N] = {FRAME + 100, FRAME + 100};
	struct fixture x;

	(void)state;
	begin(&x, 3);
	(void)serve(&x, sizes);
	(void)serve(&x, sizes);
	(void)sched_next(&x.sched);
	sched_empty(&x.sched, &x.flows[1]);
	sched_fini(&x.sched);
	memset(&x.sched, 0xee, sizeof(x.sched));
	for (int i = 0; i < 3; i++) {
		sched_remove(&x.flows[i]);
		assert_true(list_is_empty(&x.flows[i].link));
	}
}

static void greedy_flow_does_not_starve_the_others(void **state)
{
	static const size_t sizes[N] = {DGRAM, 300};
	struct fixture x;

	(void)state;
	begin(&x, 2);
	uint64_t between = 0, most = 0;
	for (int i = 0; i < 100000; i++) {
		if (serve(&x, sizes) == 1) {
			between = 0;
			continue;
		}
		between += DGRAM;
		most = between > most ? between : most;
	}
	assert_true(most <= DGRAM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_next_when_nobody_waits),
		cmocka_unit_test(equal_frames_take_turns),
		cmocka_unit_test(bytes_are_shared_whatever_the_frames),
		cmocka_unit_test(quantum_has_limits),
		cmocka_unit_test(smaller_quantum_makes_shorter_turns),
		cmocka_unit_test(sparse_flow_goes_first),
		cmocka_unit_test(sparse_flow_waits_for_a_turn_of_each_at_most),
		cmocka_unit_test(many_sparse_flows_do_not_starve_an_old_one),
		cmocka_unit_test(
			who_comes_again_is_not_new_before_the_old_had_a_turn),
		cmocka_unit_test(coming_and_going_gains_nothing),
		cmocka_unit_test(debt_survives_removal),
		cmocka_unit_test(debt_is_paid_before_an_empty_flow_leaves),
		cmocka_unit_test(credit_does_not_pile_up),
		cmocka_unit_test(removal_from_each_list_leaves_the_others),
		cmocka_unit_test(flows_outlive_the_scheduler),
		cmocka_unit_test(greedy_flow_does_not_starve_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
