/* SPDX-License-Identifier: MIT */
/* test_sched: src/session/sched shares the carrier by bytes, not by turns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "reference.h"
#include "sched.h"

enum {
	N = 8,
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

static void begin(struct fixture *x, size_t n)
{
	memset(x, 0, sizeof(*x));
	sched_init(&x->sched);
	for (size_t i = 0; i < n; i++) {
		sched_flow_init(&x->flows[i], SCHED_STREAM);
		sched_push(&x->sched, &x->flows[i]);
	}
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
	sched_flow_init(&x.flows[0], SCHED_DGRAM);
	sched_push(&x.sched, &x.flows[0]);
	sched_push(&x.sched, &x.flows[0]);
	assert_ptr_equal(sched_next(&x.sched), &x.flows[0]);
	sched_remove(&x.flows[0]);
	assert_null(sched_next(&x.sched));
	sched_remove(&x.flows[0]);
	assert_null(sched_next(&x.sched));
}

static void equal_frames_take_turns(void **state)
{
	static const size_t sizes[N] = {FRAME, FRAME, FRAME, FRAME,
					FRAME, FRAME, FRAME, FRAME};
	struct fixture x;

	(void)state;
	begin(&x, N);
	for (int i = 0; i < ROUNDS; i++)
		(void)serve(&x, sizes);
	for (int i = 0; i < N; i++)
		assert_in_range(x.turns[i], ROUNDS / N - 2, ROUNDS / N + 2);
}

static void bytes_are_shared_whatever_the_frames(void **state)
{
	static const size_t sizes[N] = {100,  1500,  FRAME, DGRAM,
					5000, 16385, 1,	    40000};
	struct fixture x;

	(void)state;
	begin(&x, N);
	for (int i = 0; i < 400000; i++)
		(void)serve(&x, sizes);
	for (int i = 1; i < N; i++) {
		int64_t ahead = (int64_t)x.sent[i] - (int64_t)x.sent[0];

		/* Never further apart than a quantum and the largest frame. */
		assert_true(ahead < SCHED_QUANTUM_BYTES + DGRAM);
		assert_true(-ahead < SCHED_QUANTUM_BYTES + DGRAM);
	}
}

static void sparse_flow_waits_for_a_turn_of_each_at_most(void **state)
{
	static const size_t sizes[N] = {FRAME, FRAME, FRAME, FRAME,
					FRAME, FRAME, DGRAM, 200};
	struct rng rng = rng_init("sched");
	struct fixture x;

	(void)state;
	begin(&x, N);
	sched_remove(&x.flows[N - 1]);
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
		sched_remove(&x.flows[N - 1]);
		assert_true(waited <= (N - 1) * 2 * (uint64_t)DGRAM);
	}
}

/* Who leaves after every frame and comes back at once gets no more than who
 * stays, even if its frames are large. */
static void coming_and_going_gains_nothing(void **state)
{
	static const size_t sizes[N] = {FRAME, FRAME, FRAME, DGRAM};
	struct fixture x;

	(void)state;
	begin(&x, 4);
	for (int i = 0; i < ROUNDS; i++) {
		size_t who = serve(&x, sizes);

		if (who == 3) {
			sched_remove(&x.flows[3]);
			sched_push(&x.sched, &x.flows[3]);
		}
	}
	assert_true(x.sent[3] <= x.sent[0] + x.sent[0] / 10);
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
		cmocka_unit_test(sparse_flow_waits_for_a_turn_of_each_at_most),
		cmocka_unit_test(coming_and_going_gains_nothing),
		cmocka_unit_test(greedy_flow_does_not_starve_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
