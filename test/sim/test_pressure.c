/* SPDX-License-Identifier: MIT */
/* test_pressure: who reads slowly holds up the sender, not the tunnel, and
 * memory stays bounded. */
#include "scenario.h"

enum {
	MIB = 1 << 20,
	PORT_SINK = 9,
	PORT_SOURCE = 19,
	PORT_DUPLEX = 20,
	PORT_ECHO = 7,
	/* A ring holds a window, and doubles to get there. */
	RING_MAX = SESSION_WINDOW_MAX_BYTES,
	PIPE_RATE = 20000000,
};

static const struct sim_rule rules[] = {
	{.port = PORT_SINK, .fin_after_eof = true},
	{.port = PORT_SOURCE, .send_total = 20 * MIB},
	{.port = PORT_DUPLEX, .send_total = MIB},
	{.port = PORT_ECHO, .is_echo = true},
	{0},
};

static const struct sim_config quick = {
	.link = {.bytes_per_s = PIPE_RATE, .delay_us = 5000},
	.up = {.delay_us = 20},
	.down = {.delay_us = 20},
	.rules = rules,
};

static int setup(void **state)
{
	struct rng rng = rng_init("pressure");

	*state = sim_new(&quick, rng_next(&rng));
	return 0;
}

static int teardown(void **state)
{
	*state = sim_free(*state);
	return 0;
}

static struct app_tcp *start(struct sim *s, uint16_t port, uint64_t send_total,
			     enum app_close closes)
{
	struct app_config c = sim_app_config(s, port);

	c.send_total = send_total;
	c.closes = closes;
	c.expects_no_loss = true;
	return sim_app(s, &c);
}

static struct sim_far_stream *far_of(struct sim *s, const struct app_tcp *a)
{
	struct sim_far_stream *fs = sim_far_find(&s->far, a->config.near.port);

	assert_non_null(fs);
	return fs;
}

static void far_reader_that_stops_blocks_the_application(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_SINK, 20 * MIB, APP_CLOSES_WHEN_SENT);

	run_for(s, 20000);
	struct sim_far_stream *fs = far_of(s, a);
	sim_far_pause(fs, true);
	uint64_t had = fs->received;
	run_for(s, 600 * SECOND);
	/* What the application got rid of: one window at each end. */
	assert_int_equal(fs->received, had);
	assert_in_range(a->una_offset, had + 1,
			had + 2 * SESSION_WINDOW_MAX_BYTES);
	assert_int_equal(a->snd_wnd, 0);
	assert_true(a->state == APP_FIN_WAIT_1 || a->state == APP_ESTABLISHED);
	assert_in_range(sim_ring_bytes(s), 1, 2 * RING_MAX);
	sim_far_pause(fs, false);
	run_to_end(s, 60 * SECOND);
	assert_nothing_left(s);
	assert_complete(s, a);
	assert_in_range(s->most_ring_bytes, 1, 4 * RING_MAX);
}

static void application_that_stops_reading_blocks_the_far_end(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_SOURCE, 0, APP_CLOSES_AFTER_EOF);

	run_for(s, 20000);
	app_tcp_pause_reading(a, true);
	run_for(s, 3600 * SECOND);
	struct sim_far_stream *fs = far_of(s, a);
	assert_false(app_tcp_is_over(a));
	assert_in_range(fs->sent - a->received, 1,
			2 * SESSION_WINDOW_MAX_BYTES);
	assert_in_range(sim_ring_bytes(s), 1, 2 * RING_MAX);
	/* Probed all the time, in the end once a minute. */
	assert_in_range(a->n_probes_received, 60, 75);
	assert_in_range(a->last_probe_gap_us, 59 * SECOND, 61 * SECOND);
	app_tcp_pause_reading(a, false);
	run_to_end(s, 60 * SECOND);
	assert_nothing_left(s);
	assert_complete(s, a);
}

static void slow_far_reader_sets_the_pace(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_SINK, 4 * MIB, APP_CLOSES_WHEN_SENT);

	run_for(s, 12000);
	struct sim_far_stream *fs = far_of(s, a);
	fs->rule.read_bytes_per_s = 100000;
	timer_arm(s->loop, &fs->timer, 0);
	mono_us_t begin_us = sim_now_us(s);
	uint64_t had = fs->received;
	run_to_end(s, 100 * SECOND);
	run_for(s, SECOND);
	uint64_t us = sim_now_us(s) - begin_us;
	assert_in_range((4 * MIB - had) * 10, us - 5 * SECOND, us);
	assert_complete(s, a);
	assert_in_range(s->most_ring_bytes, 1, 4 * RING_MAX);
}

static void half_an_hour_of_dribbling_window_loses_nothing(void **state)
{
	struct sim *s = *state;
	struct app_config c = sim_app_config(s, PORT_DUPLEX);

	c.rcv_buf_bytes = 4000;
	c.read_bytes_per_s = 600;
	c.has_odd_windows = true;
	struct app_tcp *a = sim_app(s, &c);
	run_to_end(s, 7200 * SECOND);
	assert_nothing_left(s);
	assert_complete(s, a);
}

static void one_stuck_flow_does_not_hold_up_the_others(void **state)
{
	struct sim *s = *state;
	struct app_tcp *stuck_up =
		start(s, PORT_SINK, 20 * MIB, APP_CLOSES_WHEN_SENT);
	struct app_tcp *stuck_down =
		start(s, PORT_SOURCE, 0, APP_CLOSES_AFTER_EOF);

	app_tcp_pause_reading(stuck_down, true);
	run_for(s, 12000);
	sim_far_pause(far_of(s, stuck_up), true);
	run_for(s, 5 * SECOND);
	struct app_tcp *a = start(s, PORT_DUPLEX, MIB, APP_CLOSES_WHEN_SENT);
	mono_us_t begin_us = sim_now_us(s);
	while (!app_tcp_is_over(a) && sim_now_us(s) - begin_us < 10 * SECOND)
		run_for(s, 10000);
	assert_int_equal(a->outcome, APP_FINISHED);
	/* 1 MiB each way at 20 MB/s, and the application's TIME-WAIT */
	assert_in_range(sim_now_us(s) - begin_us, 1, 2500000);
	assert_false(app_tcp_is_over(stuck_up));
	assert_false(app_tcp_is_over(stuck_down));
}

static void fifty_flows_share_the_carrier(void **state)
{
	struct sim *s = *state;
	struct app_tcp *apps[50];

	for (int i = 0; i < 50; i++)
		apps[i] = start(s, PORT_DUPLEX, MIB / 2, APP_CLOSES_WHEN_SENT);
	run_for(s, 2 * SECOND);
	uint64_t least = UINT64_MAX, most = 0;
	for (int i = 0; i < 50; i++) {
		uint64_t n = far_of(s, apps[i])->received;

		least = n < least ? n : least;
		most = n > most ? n : most;
	}
	/* 40 MB through each direction so far, if it lasted so long */
	assert_true(least > 0 && most <= least + 2 * MIB / 5);
	run_to_end(s, 120 * SECOND);
	assert_nothing_left(s);
	for (int i = 0; i < 50; i++)
		assert_complete(s, apps[i]);
}

static void memory_of_many_flows_is_bounded_by_the_budget(void **state)
{
	enum { N = 300 };
	struct sim *s = *state;
	struct app_tcp *apps[N];

	for (int i = 0; i < N; i++) {
		struct app_config c = sim_app_config(s, PORT_SOURCE);

		c.rcv_buf_bytes = 4096;
		c.closes = APP_NEVER_CLOSES;
		apps[i] = sim_app(s, &c);
		app_tcp_pause_reading(apps[i], true);
	}
	run_for(s, 60 * SECOND);
	/* Each flow got its share of the budget as it was when it began. */
	size_t promised = 0;
	for (size_t i = 1; i <= N; i++) {
		size_t share = SESSION_BUDGET_BYTES / i;

		promised += share < SESSION_WINDOW_MAX_BYTES
				    ? share
				    : SESSION_WINDOW_MAX_BYTES;
	}
	/* Held at either end, in rings that are powers of two. */
	assert_in_range(s->most_ring_bytes, 1, 2 * 2 * promised);
	for (int i = 0; i < N; i++)
		app_tcp_abort(apps[i]);
	assert_nothing_left(s);
}

static void idle_flows_hold_no_storage(void **state)
{
	struct sim *s = *state;

	for (int i = 0; i < 100; i++)
		(void)start(s, PORT_ECHO, 50000, APP_NEVER_CLOSES);
	run_for(s, 10 * SECOND);
	assert_int_equal(flowplane_stats(s->plane)->tcp_flows, 100);
	assert_int_equal(sim_ring_bytes(s), 0);
}

static void sixty_stalls_of_ten_seconds_lose_nothing(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a =
		start(s, PORT_ECHO, 400 * 1000, APP_CLOSES_WHEN_SENT);

	run_for(s, 20000);
	for (int i = 0; i < 60 && !app_tcp_is_over(a); i++) {
		sim_pipe_stall(s->pipe, 10 * SECOND);
		run_for(s, 10 * SECOND + 20000);
	}
	run_to_end(s, 100 * SECOND);
	assert_nothing_left(s);
	assert_complete(s, a);
	assert_false(s->is_down);
}

static void stall_does_not_fill_memory(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_SINK, 20 * MIB, APP_CLOSES_WHEN_SENT);

	run_for(s, 20000);
	sim_pipe_stall(s->pipe, 30 * SECOND);
	run_for(s, 29 * SECOND);
	assert_in_range(sim_ring_bytes(s), 1, 4 * RING_MAX);
	/* No more frames in the carrier than its own queue and a batch. */
	assert_in_range(sim_pipe_bytes_to(s->pipe, SIM_FAR), 1, 400000);
	run_to_end(s, 60 * SECOND);
	assert_nothing_left(s);
	assert_complete(s, a);
}

int main(void)
{
#define WITH_SIM(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_SIM(far_reader_that_stops_blocks_the_application),
		WITH_SIM(application_that_stops_reading_blocks_the_far_end),
		WITH_SIM(slow_far_reader_sets_the_pace),
		WITH_SIM(half_an_hour_of_dribbling_window_loses_nothing),
		WITH_SIM(one_stuck_flow_does_not_hold_up_the_others),
		WITH_SIM(fifty_flows_share_the_carrier),
		WITH_SIM(memory_of_many_flows_is_bounded_by_the_budget),
		WITH_SIM(idle_flows_hold_no_storage),
		WITH_SIM(sixty_stalls_of_ten_seconds_lose_nothing),
		WITH_SIM(stall_does_not_fill_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
