/* SPDX-License-Identifier: MIT */
/* test_endings: connections that never begin, break, or end in odd ways. */
#include "scenario.h"

enum {
	MIB = 1 << 20,
	PORT_POLITE = 80,  /* sends a little, closes after the application */
	PORT_EAGER = 81,   /* sends a little and closes first */
	PORT_HOLDING = 82, /* never closes */
	PORT_SILENT = 83,
	PORT_LATE_REFUSAL = 84,
	PORT_RESETTING = 85,
	PORT_TIMED_OUT = 86,
	PORT_PROHIBITED = 87,
	PORT_SLOW = 88,
	CARRIER_RTT_US = 40000,
};

static const struct sim_rule rules[] = {
	{.port = PORT_POLITE, .send_total = 5000, .fin_after_eof = true},
	{.port = PORT_EAGER, .send_total = 5000},
	{.port = PORT_HOLDING, .send_total = 5000, .never_fins = true},
	{.port = PORT_SILENT, .verdict = SIM_SILENT},
	{.port = PORT_LATE_REFUSAL,
	 .verdict = SIM_REFUSE,
	 .delay_us = 2 * SECOND,
	 .refused = {.reason = FRAME_REASON_REFUSED}},
	{.port = PORT_RESETTING, .reset_after = 10000},
	{.port = PORT_TIMED_OUT,
	 .verdict = SIM_REFUSE,
	 .delay_us = 5 * SECOND,
	 .refused = {.reason = FRAME_REASON_TIMED_OUT}},
	{.port = PORT_PROHIBITED,
	 .verdict = SIM_REFUSE,
	 .refused = {.reason = FRAME_REASON_PROHIBITED}},
	{.port = PORT_SLOW, .delay_us = 4 * SECOND, .fin_after_eof = true},
	{0},
};

static int setup_version(void **state, enum ip_version version)
{
	struct rng rng = rng_init("endings");
	struct sim_config config = {
		.version = version,
		.link = {.bytes_per_s = 10000000,
			 .delay_us = CARRIER_RTT_US / 2},
		.up = {.delay_us = 10},
		.down = {.delay_us = 10},
		.rules = rules,
	};

	*state = sim_new(&config, rng_next(&rng));
	return 0;
}

static int setup4(void **state)
{
	return setup_version(state, IPV4);
}

static int setup6(void **state)
{
	return setup_version(state, IPV6);
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
	return sim_app(s, &c);
}

static struct sim_far_stream *far_of(struct sim *s, const struct app_tcp *a)
{
	struct sim_far_stream *fs = sim_far_find(&s->far, a->config.near.port);

	assert_non_null(fs);
	return fs;
}

static void closed_port_refuses_within_a_round_trip(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, 4444, 0, APP_CLOSES_WHEN_SENT);

	run_to_end(s, SECOND);
	assert_int_equal(a->outcome, APP_REFUSED);
	assert_in_range(a->decided_us - a->opened_us, CARRIER_RTT_US,
			CARRIER_RTT_US + 1000);
	assert_nothing_left(s);
}

static void connecting_takes_a_round_trip_and_a_millisecond_at_most(
	void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_POLITE, 0, APP_CLOSES_WHEN_SENT);

	run_for(s, CARRIER_RTT_US + 1000);
	assert_int_equal(a->outcome, APP_CONNECTED);
	run_to_end(s, 10 * SECOND);
}

static void late_refusal_is_a_refusal(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a =
		start(s, PORT_LATE_REFUSAL, 0, APP_CLOSES_WHEN_SENT);

	run_to_end(s, 5 * SECOND);
	assert_int_equal(a->outcome, APP_REFUSED);
	assert_in_range(a->decided_us - a->opened_us, 2 * SECOND,
			2 * SECOND + CARRIER_RTT_US + 1000);
	/* The SYN was sent again meanwhile, and asked for nothing twice. */
	assert_int_equal(s->far.n_opened, 1);
}

static void prohibited_is_told_by_icmp(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_PROHIBITED, 0, APP_CLOSES_WHEN_SENT);
	bool is4 = s->near_addr.version == IPV4;

	run_to_end(s, SECOND);
	assert_int_equal(a->outcome, APP_UNREACHABLE);
	assert_int_equal(a->icmp_type, is4 ? 3 : 1);
	assert_int_equal(a->icmp_code, is4 ? 13 : 1);
}

static void silence_stays_silence(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_SILENT, 0, APP_CLOSES_WHEN_SENT);

	run_to_end(s, 400 * SECOND);
	assert_int_equal(a->outcome, APP_TIMED_OUT);
	assert_int_equal(a->n_received, 0);
	run_for(s, 60 * SECOND); /* the endpoint is a little more patient */
	assert_nothing_left(s);
}

static void far_timeout_is_silence_and_the_next_syn_a_new_attempt(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_TIMED_OUT, 0, APP_CLOSES_WHEN_SENT);

	run_for(s, 10 * SECOND);
	assert_int_equal(a->n_received, 0);
	assert_int_equal(a->outcome, APP_PENDING);
	assert_int_equal(s->far.n_opened, 2);
	run_to_end(s, 400 * SECOND);
	assert_int_equal(a->outcome, APP_TIMED_OUT);
	assert_int_equal(a->n_received, 0);
}

static void no_family_there_is_unreachable_at_once(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;

	s->plane->capabilities &=
		~(uint32_t)(is4 ? FRAME_CAP_IPV4 : FRAME_CAP_IPV6);
	struct app_tcp *a = start(s, PORT_POLITE, 0, APP_CLOSES_WHEN_SENT);
	run_to_end(s, SECOND);
	assert_int_equal(a->outcome, APP_UNREACHABLE);
	assert_in_range(a->decided_us - a->opened_us, 0, 1000);
	assert_int_equal(s->far.n_opened, 0);
}

static void application_half_closes_and_still_reads(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_HOLDING, 3000, APP_CLOSES_WHEN_SENT);

	run_for(s, 10 * SECOND);
	struct sim_far_stream *fs = far_of(s, a);
	assert_true(fs->has_eof);
	assert_int_equal(a->state, APP_FIN_WAIT_2);
	for (int i = 0; i < 100; i++) {
		fs->rule.send_total += 20000;
		sim_far_poke(fs);
		run_for(s, SECOND);
	}
	fs->rule.never_fins = false;
	sim_far_poke(fs);
	run_to_end(s, 20 * SECOND);
	assert_nothing_left(s);
	assert_complete(s, a);
}

static void far_end_half_closes_and_still_reads(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_EAGER, 3000, APP_NEVER_CLOSES);

	run_for(s, 10 * SECOND);
	assert_int_equal(a->state, APP_CLOSE_WAIT);
	for (int i = 0; i < 100; i++) {
		a->config.send_total += 20000;
		app_tcp_poke(a);
		run_for(s, SECOND);
	}
	a->config.closes = APP_CLOSES_WHEN_SENT;
	app_tcp_poke(a);
	run_to_end(s, 20 * SECOND);
	assert_nothing_left(s);
	assert_complete(s, a);
}

static void both_ends_close_at_once(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_EAGER, 100, APP_NEVER_CLOSES);

	/* The FINs cross on the TUN, on the carrier, or nearly. */
	run_for(s, 41 * 1000);
	for (int i = 0; i < 30; i++) {
		struct app_tcp *b = start(s, PORT_EAGER, 100, APP_NEVER_CLOSES);

		run_for(s, CARRIER_RTT_US + 100);
		run_for(s, (uint64_t)i * 1500);
		b->config.closes = APP_CLOSES_WHEN_SENT;
		app_tcp_poke(b);
	}
	a->config.closes = APP_CLOSES_WHEN_SENT;
	app_tcp_poke(a);
	run_to_end(s, 20 * SECOND);
	assert_nothing_left(s);
	list_for_each (link, &s->apps)
		assert_complete(s, container_of(link, struct app_tcp, link));
}

static void application_aborts(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_HOLDING, 3000, APP_NEVER_CLOSES);

	run_for(s, SECOND);
	app_tcp_abort(a);
	run_for(s, SECOND);
	assert_true(far_of(s, a)->is_reset);
	assert_nothing_left(s);
}

static void far_end_resets(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_RESETTING, MIB, APP_NEVER_CLOSES);

	run_to_end(s, 20 * SECOND);
	assert_int_equal(a->outcome, APP_RESET);
	assert_nothing_left(s);
}

static void application_gone_without_a_word_is_found_out(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_HOLDING, 100, APP_NEVER_CLOSES);

	run_for(s, SECOND);
	struct sim_far_stream *fs = far_of(s, a);
	app_tcp_vanish(a); /* answers with RST */
	fs->rule.send_total += 1000;
	sim_far_poke(fs);
	run_for(s, SECOND);
	assert_true(fs->is_reset);
	assert_nothing_left(s);
}

static void carrier_break_resets_every_connection(void **state)
{
	struct sim *s = *state;
	struct app_tcp *apps[] = {
		start(s, PORT_HOLDING, MIB, APP_NEVER_CLOSES),
		start(s, PORT_EAGER, 100, APP_NEVER_CLOSES),
		start(s, PORT_POLITE, 20 * MIB, APP_CLOSES_WHEN_SENT),
		start(s, PORT_SILENT, 0, APP_NEVER_CLOSES),
	};

	run_for(s, 500000);
	sim_pipe_break(s->pipe, "cut");
	run_for(s, 2000);
	assert_true(s->is_down);
	assert_string_equal(s->down_why.text, "cut");
	assert_true(s->far.is_down);
	for (int i = 0; i < 3; i++)
		assert_int_equal(apps[i]->outcome, APP_RESET);
	assert_int_equal(apps[3]->outcome, APP_REFUSED);
	assert_int_equal(flowplane_stats(s->plane)->tcp_flows, 0);
	/* From now on: no network. */
	struct app_tcp *late = start(s, PORT_POLITE, 0, APP_CLOSES_WHEN_SENT);
	run_for(s, 1000);
	assert_int_equal(late->outcome, APP_UNREACHABLE);
}

static void silent_carrier_is_given_up_after_45_s(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_HOLDING, 100, APP_NEVER_CLOSES);

	run_for(s, SECOND);
	sim_pipe_stall(s->pipe, 100 * SECOND);
	run_for(s, 43 * SECOND);
	assert_false(s->is_down);
	run_for(s, 3 * SECOND);
	assert_true(s->is_down);
	assert_non_null(strstr(s->down_why.text, "45 s"));
	assert_int_equal(a->outcome, APP_RESET);
}

static void ending_the_plane_resets_every_connection(void **state)
{
	struct sim *s = *state;
	struct app_tcp *a = start(s, PORT_HOLDING, 100, APP_NEVER_CLOSES);

	run_for(s, SECOND);
	s->plane = flowplane_free(s->plane);
	s->plane = NULL;
	assert_int_equal(a->outcome, APP_CONNECTED);
	loop_advance_us(s->loop, 1000);
	assert_int_equal(a->outcome, APP_RESET);
}

/* The same port again and again, as fast as it goes. */
static void port_is_reused_at_once(void **state)
{
	struct sim *s = *state;
	struct app_config c = sim_app_config(s, PORT_POLITE);

	c.send_total = 2000;
	for (int i = 0; i < 50; i++) {
		struct app_tcp *a = sim_app(s, &c);

		while (a->state != APP_TIME_WAIT && !app_tcp_is_over(a))
			run_for(s, 1000);
		assert_int_equal(a->received, 5000);
		c.iss = a->snd_max + 1 + (uint32_t)rng_below(&s->rng, 100000);
	}
	run_to_end(s, 10 * SECOND);
	assert_nothing_left(s);
}

static void reset_attempt_is_followed_by_another_from_the_same_port(
	void **state)
{
	struct sim *s = *state;
	struct app_config c = sim_app_config(s, PORT_SLOW);

	c.send_total = 100;
	struct app_tcp *first = sim_app(s, &c);
	run_for(s, SECOND);
	app_tcp_vanish(first); /* closed before it was answered */
	c.iss += 77777;
	struct app_tcp *second = sim_app(s, &c);
	run_to_end(s, 20 * SECOND);
	assert_complete(s, second);
	assert_nothing_left(s);
}

#define BOTH(name)                                       \
	{#name "_4", name, setup4, teardown, NULL},      \
	{                                                \
#name "_6", name, setup6, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(closed_port_refuses_within_a_round_trip),
		BOTH(connecting_takes_a_round_trip_and_a_millisecond_at_most),
		BOTH(late_refusal_is_a_refusal),
		BOTH(prohibited_is_told_by_icmp),
		BOTH(silence_stays_silence),
		BOTH(far_timeout_is_silence_and_the_next_syn_a_new_attempt),
		BOTH(no_family_there_is_unreachable_at_once),
		BOTH(application_half_closes_and_still_reads),
		BOTH(far_end_half_closes_and_still_reads),
		BOTH(both_ends_close_at_once),
		BOTH(application_aborts),
		BOTH(far_end_resets),
		BOTH(application_gone_without_a_word_is_found_out),
		BOTH(carrier_break_resets_every_connection),
		BOTH(silent_carrier_is_given_up_after_45_s),
		BOTH(ending_the_plane_resets_every_connection),
		BOTH(port_is_reused_at_once),
		BOTH(reset_attempt_is_followed_by_another_from_the_same_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
