/* SPDX-License-Identifier: MIT */
/* test_deference: which policy this thread has, and until when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sched.h>
#include <cmocka.h>

#include "deference.h"

struct fixture {
	struct loop *loop;
	struct deference deference;
};

static int setup(void **state)
{
	static struct fixture x;

	x.loop = loop_new(LOOP_TIME_VIRTUAL);
	assert_non_null(x.loop);
	deference_init(&x.deference, x.loop);
	*state = &x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	struct sched_param none = {0};

	deference_end(&x->deference);
	x->loop = loop_free(x->loop);
	return sched_setscheduler(0, SCHED_OTHER, &none);
}

static void lasts_until_the_pipe_is_not_full_for_a_while(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	deference_note_full(&x->deference);
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
	loop_advance_us(x->loop, DEFERENCE_US - 1);
	deference_note_full(&x->deference);
	loop_advance_us(x->loop, DEFERENCE_US - 1);
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
	loop_advance_us(x->loop, 1);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	/* Nothing wakes an idle tunnel for this. */
	assert_int_equal(loop_next_timer_us(x->loop), UINT64_MAX);
	deference_note_full(&x->deference);
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
}

static void ends_with_its_owner(void **state)
{
	struct fixture *x = *state;

	deference_note_full(&x->deference);
	deference_end(&x->deference);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	assert_int_equal(loop_next_timer_us(x->loop), UINT64_MAX);
}

/* As by chrt(1). */
static void a_policy_that_was_chosen_stays(void **state)
{
	static const int policies[] = {SCHED_BATCH, SCHED_IDLE};
	struct fixture *x = *state;
	struct sched_param none = {0};

	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		assert_int_equal(sched_setscheduler(0, policies[i], &none), 0);
		deference_note_full(&x->deference);
		assert_int_equal(sched_getscheduler(0), policies[i]);
		loop_advance_us(x->loop, 2 * DEFERENCE_US);
		deference_end(&x->deference);
		assert_int_equal(sched_getscheduler(0), policies[i]);
	}
}

int main(void)
{
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_LOOP(lasts_until_the_pipe_is_not_full_for_a_while),
		WITH_LOOP(ends_with_its_owner),
		WITH_LOOP(a_policy_that_was_chosen_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
