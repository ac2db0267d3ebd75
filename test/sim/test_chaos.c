/* SPDX-License-Identifier: MIT */
/*
 * test_chaos: many connections of all kinds at once over a bad TUN and a bad
 * carrier, some of them cut short; what was not cut short must be complete.
 */
#include "scenario.h"

enum {
	N_APPS = 25,
	N_ROUNDS = 12,
	PORT_FIRST = 1000,
	N_RULES = 8,
};

static const struct sim_rule rules[N_RULES + 1] = {
	{.port = PORT_FIRST, .fin_after_eof = true},
	{.port = PORT_FIRST + 1, .is_echo = true, .delay_us = 30000},
	{.port = PORT_FIRST + 2, .send_total = 300000},
	{.port = PORT_FIRST + 3, .send_total = 50000, .sends_after_eof = true},
	{.port = PORT_FIRST + 4,
	 .send_total = 20000,
	 .read_bytes_per_s = 60000,
	 .fin_after_eof = true},
	{.port = PORT_FIRST + 5,
	 .verdict = SIM_REFUSE,
	 .delay_us = 100000,
	 .refused = {.reason = FRAME_REASON_REFUSED}},
	{.port = PORT_FIRST + 6, .reset_after = 5000},
	{.port = PORT_FIRST + 7, .send_total = 1, .delay_us = 900000},
	{0},
};

static uint32_t up_to_ppm(struct rng *rng, uint32_t most)
{
	return rng_below(rng, 3) ? 0 : (uint32_t)rng_below(rng, most);
}

static struct sim_tun random_tun(struct rng *rng)
{
	return (struct sim_tun){
		.delay_us = rng_below(rng, 200),
		.jitter_us = rng_below(rng, 2000),
		.loss_ppm = up_to_ppm(rng, 30000),
		.dup_ppm = up_to_ppm(rng, 30000),
		.reorder_ppm = up_to_ppm(rng, 50000),
		.refuse_ppm = up_to_ppm(rng, 20000),
	};
}

static struct sim_config random_config(struct rng *rng)
{
	static const uint32_t mtus[] = {576 + 60, 1280, 1500, 9000, 65535};

	return (struct sim_config){
		.version = rng_below(rng, 2) ? IPV4 : IPV6,
		.mtu_bytes = mtus[rng_below(rng, 5)],
		.link = {.bytes_per_s = 200000 + rng_below(rng, 20000000),
			 .delay_us = rng_below(rng, 100000),
			 .queue_bytes = 4096 + rng_below(rng, 200000),
			 .stall_ppm = up_to_ppm(rng, 5000),
			 .stall_us = 1000000},
		.up = random_tun(rng),
		.down = random_tun(rng),
		.rules = rules,
	};
}

static struct app_config random_app(struct sim *s)
{
	struct rng *rng = &s->rng;
	struct app_config c = sim_app_config(
		s, (uint16_t)(PORT_FIRST + rng_below(rng, N_RULES + 1)));

	/* A host that waits for nothing but a RST that is lost waits on. */
	if (c.far.port == PORT_FIRST + 6 &&
	    (s->config.down.loss_ppm || s->config.down.refuse_ppm))
		c.far.port = PORT_FIRST;
	c.send_total =
		rng_below(rng, 4) ? rng_below(rng, 200000) : rng_below(rng, 20);
	c.closes =
		rng_below(rng, 3) ? APP_CLOSES_WHEN_SENT : APP_CLOSES_AFTER_EOF;
	/* Who both wait for the other's EOF wait for ever. */
	if (c.far.port != PORT_FIRST + 2 && c.far.port != PORT_FIRST + 7)
		c.closes = APP_CLOSES_WHEN_SENT;
	c.rcv_buf_bytes = (uint32_t)(2000 + rng_below(rng, 300000));
	c.window_scale = (int8_t)((int)rng_below(rng, 10) - 1);
	if (rng_below(rng, 4) == 0)
		c.mss_bytes =
			(uint16_t)(rng_below(rng, 2)
					   ? 0
					   : FLOWPLANE_MSS_MIN_BYTES +
						     rng_below(rng, 1400));
	c.has_no_gso = rng_below(rng, 3) == 0;
	c.has_urgent = rng_below(rng, 5) == 0;
	c.has_odd_windows = rng_below(rng, 4) == 0;
	c.inflight_max = rng_below(rng, 3) ? 0 : 30000;
	if (rng_below(rng, 4) == 0)
		c.read_bytes_per_s = 30000 + rng_below(rng, 1000000);
	return c;
}

/* Applications that reset or were let down do not count. */
static void check_app(struct sim *s, const struct app_tcp *a)
{
	unsigned port = a->config.far.port;

	if (port == PORT_FIRST + 5 || port == PORT_FIRST + N_RULES) {
		assert_int_equal(a->outcome, APP_REFUSED);
		return;
	}
	/* The reset may come before or after all is over. */
	if (port == PORT_FIRST + 6 && a->config.send_total >= 5000)
		return;
	assert_complete(s, a);
}

static int teardown(void **state)
{
	*state = sim_free(*state);
	return 0;
}

static void begin(void **state, struct rng *rng)
{
	struct sim_config config = random_config(rng);

	*state = sim_new(&config, rng_next(rng));
}

static void start_some(struct sim *s, struct app_tcp *apps[N_APPS])
{
	for (int i = 0; i < N_APPS; i++) {
		struct app_config c = random_app(s);

		apps[i] = sim_app(s, &c);
		if (rng_below(&s->rng, 2))
			run_for(s, rng_below(&s->rng, 50000));
	}
}

static void all_complete_whatever_the_network(void **state)
{
	struct rng rng = rng_init("chaos");

	for (int round = 0; round < N_ROUNDS; round++) {
		struct app_tcp *apps[N_APPS];

		begin(state, &rng);
		struct sim *s = *state;
		start_some(s, apps);
		run_to_end(s, 3600 * SECOND);
		run_for(s, 300 * SECOND);
		for (int i = 0; i < N_APPS; i++)
			check_app(s, apps[i]);
		assert_nothing_left(s);
		*state = sim_free(s);
	}
}

/* Whatever is cut short, nothing is left and nothing else suffers. */
static void aborted_ones_leave_nothing(void **state)
{
	struct rng rng = rng_init("chaos with aborts");

	for (int round = 0; round < N_ROUNDS; round++) {
		struct app_tcp *apps[N_APPS];
		bool is_cut[N_APPS] = {false};

		begin(state, &rng);
		struct sim *s = *state;
		/* RSTs must arrive, or only a timeout of minutes tells. */
		s->config.up.loss_ppm = s->config.up.reorder_ppm = 0;
		start_some(s, apps);
		for (int i = 0; i < N_APPS; i++) {
			run_for(s, rng_below(&s->rng, 100000));
			struct app_tcp *a = apps[rng_below(&s->rng, N_APPS)];
			size_t which = 0;
			while (apps[which] != a)
				which++;
			if (a->state == APP_SYN_SENT || app_tcp_is_over(a))
				continue;
			is_cut[which] = true;
			if (rng_below(&s->rng, 2))
				app_tcp_abort(a);
			else
				app_tcp_vanish(a);
		}
		run_to_end(s, 3600 * SECOND);
		run_for(s, 20000 * SECOND); /* keepalive finds the vanished */
		for (int i = 0; i < N_APPS; i++)
			if (!is_cut[i])
				check_app(s, apps[i]);
		assert_nothing_left(s);
		*state = sim_free(s);
	}
}

static void carrier_may_break_at_any_moment(void **state)
{
	struct rng rng = rng_init("chaos with a break");

	for (int round = 0; round < 2 * N_ROUNDS; round++) {
		struct app_tcp *apps[N_APPS];

		begin(state, &rng);
		struct sim *s = *state;
		/* After the end nobody is there to answer a challenge. */
		s->config.down.loss_ppm = s->config.down.refuse_ppm = 0;
		s->config.down.reorder_ppm = 0;
		start_some(s, apps);
		run_for(s, rng_below(&s->rng, 2000000));
		sim_pipe_break(s->pipe, "broken");
		run_for(s, SECOND);
		assert_true(s->is_down && s->far.is_down);
		assert_int_equal(flowplane_stats(s->plane)->tcp_flows, 0);
		run_to_end(s, 200 * SECOND);
		assert_int_equal(sim_ring_bytes(s), 0);
		*state = sim_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(all_complete_whatever_the_network,
					  teardown),
		cmocka_unit_test_teardown(aborted_ones_leave_nothing, teardown),
		cmocka_unit_test_teardown(carrier_may_break_at_any_moment,
					  teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
