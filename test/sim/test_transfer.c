/* SPDX-License-Identifier: MIT */
/* test_transfer: bytes get through, all of them, once and in order. */
#include "scenario.h"

enum {
	MIB = 1 << 20,
	PORT_SINK = 9,
	PORT_ECHO = 7,
	PORT_SOURCE = 19,
	PORT_DUPLEX = 20,
	PORT_SOURCE_AFTER = 21,
};

static const struct sim_rule rules[] = {
	{.port = PORT_SINK, .fin_after_eof = true},
	{.port = PORT_ECHO, .is_echo = true},
	{.port = PORT_SOURCE, .send_total = 6 * MIB},
	{.port = PORT_DUPLEX, .send_total = 4 * MIB, .delay_us = 3000},
	{.port = PORT_SOURCE_AFTER,
	 .send_total = 2 * MIB,
	 .sends_after_eof = true},
	{0},
};

static const struct sim_link fast = {.delay_us = 1000};
static const struct sim_link slow = {.bytes_per_s = 2000000, .delay_us = 20000};
static const struct sim_link lossy = {.bytes_per_s = 5000000,
				      .delay_us = 20000,
				      .stall_ppm = 2000,
				      .stall_us = 400000};
static const struct sim_tun clean = {.delay_us = 20, .jitter_us = 30};
static const struct sim_tun bad = {.delay_us = 50,
				   .jitter_us = 500,
				   .loss_ppm = 10000,
				   .dup_ppm = 10000,
				   .reorder_ppm = 20000,
				   .refuse_ppm = 2000};

struct transfer {
	const char *name;
	enum ip_version version;
	const struct sim_link *link;
	uint16_t port;
	uint64_t send_total;
	enum app_close closes;
	/* What differs from the usual in struct app_config, if set. */
	bool has_no_gso, has_odd_windows, has_urgent, has_no_mss;
	bool has_scale; /* window_scale says which */
	int8_t window_scale;
	uint64_t read_bytes_per_s;
	uint32_t rcv_buf_bytes;
};

static const struct transfer transfers[] = {
	{.name = "up", .link = &fast, .port = PORT_SINK, .send_total = 8 * MIB},
	{.name = "up6",
	 .version = IPV6,
	 .link = &fast,
	 .port = PORT_SINK,
	 .send_total = 8 * MIB},
	{.name = "up_slow",
	 .link = &slow,
	 .port = PORT_SINK,
	 .send_total = 4 * MIB},
	{.name = "up_over_a_lossy_carrier",
	 .link = &lossy,
	 .port = PORT_SINK,
	 .send_total = 4 * MIB},
	{.name = "down",
	 .link = &fast,
	 .port = PORT_SOURCE,
	 .closes = APP_CLOSES_AFTER_EOF},
	{.name = "down6",
	 .version = IPV6,
	 .link = &fast,
	 .port = PORT_SOURCE,
	 .closes = APP_CLOSES_AFTER_EOF},
	{.name = "down_slow",
	 .link = &slow,
	 .port = PORT_SOURCE,
	 .closes = APP_CLOSES_AFTER_EOF},
	{.name = "down_over_a_lossy_carrier",
	 .version = IPV6,
	 .link = &lossy,
	 .port = PORT_SOURCE,
	 .closes = APP_CLOSES_AFTER_EOF},
	{.name = "both_ways",
	 .link = &fast,
	 .port = PORT_DUPLEX,
	 .send_total = 4 * MIB},
	{.name = "both_ways6_slow",
	 .version = IPV6,
	 .link = &slow,
	 .port = PORT_DUPLEX,
	 .send_total = 4 * MIB},
	{.name = "echo",
	 .link = &slow,
	 .port = PORT_ECHO,
	 .send_total = 2 * MIB},
	{.name = "answer_after_eof",
	 .link = &slow,
	 .port = PORT_SOURCE_AFTER,
	 .send_total = 100000},
	{.name = "nothing_at_all", .link = &fast, .port = PORT_SINK},
	{.name = "one_byte",
	 .version = IPV6,
	 .link = &fast,
	 .port = PORT_ECHO,
	 .send_total = 1},
	{.name = "no_options",
	 .link = &fast,
	 .port = PORT_ECHO,
	 .send_total = 300000,
	 .has_no_mss = true,
	 .has_scale = true,
	 .window_scale = -1},
	{.name = "scale_0",
	 .link = &fast,
	 .port = PORT_ECHO,
	 .send_total = 300000,
	 .has_scale = true,
	 .window_scale = 0},
	{.name = "scale_14",
	 .version = IPV6,
	 .link = &fast,
	 .port = PORT_ECHO,
	 .send_total = 300000,
	 .has_scale = true,
	 .window_scale = 14},
	{.name = "tiny_receive_buffer",
	 .link = &fast,
	 .port = PORT_ECHO,
	 .send_total = 300000,
	 .rcv_buf_bytes = 2000},
	{.name = "small_segments_only",
	 .link = &fast,
	 .port = PORT_DUPLEX,
	 .send_total = MIB,
	 .has_no_gso = true},
	{.name = "odd_windows",
	 .link = &fast,
	 .port = PORT_DUPLEX,
	 .send_total = MIB,
	 .has_odd_windows = true,
	 .rcv_buf_bytes = 100000},
	{.name = "urgent_data_is_data",
	 .link = &fast,
	 .port = PORT_ECHO,
	 .send_total = MIB,
	 .has_urgent = true},
	{.name = "slow_reader",
	 .link = &fast,
	 .port = PORT_DUPLEX,
	 .send_total = 1000,
	 .read_bytes_per_s = 1 * MIB,
	 .rcv_buf_bytes = 65536},
};

static struct app_config configure(struct sim *s, const struct transfer *t)
{
	struct app_config c = sim_app_config(s, t->port);

	c.send_total = t->send_total;
	c.closes = t->closes;
	c.has_no_gso = t->has_no_gso;
	c.has_odd_windows = t->has_odd_windows;
	c.has_urgent = t->has_urgent;
	c.read_bytes_per_s = t->read_bytes_per_s;
	if (t->has_no_mss)
		c.mss_bytes = 0;
	if (t->has_scale)
		c.window_scale = t->window_scale;
	if (t->rcv_buf_bytes)
		c.rcv_buf_bytes = t->rcv_buf_bytes;
	return c;
}

/* The test's initial state is its entry of the table. */
struct run {
	const struct transfer *transfer;
	struct sim *sim;
};

static int setup(void **state)
{
	struct run *run = calloc(1, sizeof(*run));

	assert_non_null(run);
	run->transfer = *state;
	*state = run;
	return 0;
}

static int teardown(void **state)
{
	struct run *run = *state;

	(void)sim_free(run->sim);
	free(run);
	return 0;
}

static void run_transfer(struct run *run, const struct sim_tun *tun)
{
	const struct transfer *t = run->transfer;
	struct rng rng = rng_init(t->name);
	struct sim_config config = {
		.version = t->version,
		.link = *t->link,
		.up = *tun,
		.down = *tun,
		.rules = rules,
	};

	run->sim = sim_new(&config, rng_next(&rng));
	struct app_config c = configure(run->sim, t);
	c.expects_no_loss = tun == &clean;
	struct app_tcp *a = sim_app(run->sim, &c);
	run_to_end(run->sim, 900 * SECOND);
	assert_nothing_left(run->sim);
	assert_complete(run->sim, a);
}

static void transfer_is_complete(void **state)
{
	run_transfer(*state, &clean);
}

static void transfer_survives_a_bad_tun(void **state)
{
	run_transfer(*state, &bad);
}

enum { N_TRANSFERS = sizeof(transfers) / sizeof(*transfers) };

int main(void)
{
	struct CMUnitTest tests[2 * N_TRANSFERS];
	char names[2 * N_TRANSFERS][64];

	for (size_t i = 0; i < N_TRANSFERS; i++) {
		void *transfer = (void *)(uintptr_t)&transfers[i];

		(void)snprintf(names[2 * i], sizeof(names[0]), "%s_is_complete",
			       transfers[i].name);
		(void)snprintf(names[2 * i + 1], sizeof(names[0]),
			       "%s_survives_a_bad_tun", transfers[i].name);
		tests[2 * i] =
			(struct CMUnitTest){names[2 * i], transfer_is_complete,
					    setup, teardown, transfer};
		tests[2 * i + 1] = (struct CMUnitTest){
			names[2 * i + 1], transfer_survives_a_bad_tun, setup,
			teardown, transfer};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
