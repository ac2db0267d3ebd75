/* SPDX-License-Identifier: MIT */
/* test_mux_pace: how much is in ssh, and in front of the server, and whose it
 * is. */
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "bytes.h"
#include "mux_rig.h"

/* ---- pacing ---- */

enum { UPLOADS = 20 };

static void start_uploads(struct mux_rig *x, struct mux_rig_channel *s, int n)
{
	for (int i = 0; i < n; i++)
		(void)mux_rig_open(x, &s[i]);
	for (int i = 0; i < n; i++) {
		s[i].fills = true;
		mux_rig_fill(&s[i]);
	}
}

/* Read what the link writes, counting data and probes by channel. */
static uint64_t read_data(struct mux_rig *x, uint64_t by_channel[],
			  uint32_t *ret_probed)
{
	uint64_t total = 0;
	struct mux_rig_frame f;

	while (mux_rig_next(x, &f)) {
		if (f.type == 98) {
			*ret_probed = f.channel - REMOTE;
			continue;
		}
		assert_int_equal(f.type, 94);
		total += f.number;
		by_channel[f.channel - REMOTE] += f.number;
	}
	return total;
}

static void what_is_in_ssh_is_bounded_and_shared(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s[UPLOADS];
	uint64_t by_channel[UPLOADS + 1] = {0}, least = UINT64_MAX;
	uint32_t probed = 0;

	start_uploads(x, s, UPLOADS);
	uint64_t total = read_data(x, by_channel, &probed);
	assert_in_range(total, QUEUE_MAX - (64 << 10), QUEUE_MAX);
	for (int i = 1; i <= UPLOADS; i++)
		least = by_channel[i] < least ? by_channel[i] : least;
	assert_true(least >= total / UPLOADS / 2);
	mux_rig_expect_silence(x);
}

static void adjusts_make_room_too(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s[UPLOADS];
	uint64_t by_channel[UPLOADS + 1] = {0};
	uint32_t probed = 0;

	start_uploads(x, s, UPLOADS);
	(void)read_data(x, by_channel, &probed);
	for (uint32_t id = 1; id <= UPLOADS; id++)
		mux_rig_say(x, 93, NUMBERS(id, 100000), NULL, 0);
	uint64_t total = read_data(x, by_channel, &probed);
	assert_in_range(total, UPLOADS * 100000 - (96 << 10),
			UPLOADS * 100000 + (96 << 10));
}

static void answered_probe_makes_room(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s[UPLOADS];
	uint64_t by_channel[UPLOADS + 1] = {0}, total = 0;
	struct mux_rig_frame f;

	start_uploads(x, s, UPLOADS);
	/* A server that grants nothing and answers everything: all that the
	 * windows allow gets through. */
	while (mux_rig_next(x, &f)) {
		if (f.type == 98) {
			mux_rig_say(x, 100, NUMBERS(f.channel - REMOTE), NULL,
				    0);
			/* it may have moved what f points to */
		} else {
			total += f.number;
			by_channel[f.channel - REMOTE] += f.number;
		}
	}
	assert_int_equal(total, (uint64_t)UPLOADS * SERVER_WINDOW);
}

/* All probes are of a channel that ends without an answer. */
static void probed_channel_ends_and_others_go_on(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s[UPLOADS];
	uint64_t by_channel[UPLOADS + 1] = {0};
	uint32_t probed = 0;
	struct mux_rig_frame f;

	start_uploads(x, s, UPLOADS);
	(void)read_data(x, by_channel, &probed);
	for (uint32_t id = 1; id < UPLOADS; id++)
		mux_rig_say(x, 97, NUMBERS(id), NULL, 0);
	while (mux_rig_next(x, &f))
		if (f.type == 94)
			by_channel[f.channel - REMOTE] += f.number;
	assert_int_equal(by_channel[UPLOADS], SERVER_WINDOW);
}

/* ---- governed ---- */

enum {
	GOVERNED_FIRST = 64 << 10, /* up, and the window of a channel */
	BEYOND = 16374,		   /* GOVERNED_FIRST, by frames under way */
	LOSS_OF_PATIENCE_US = 5000000,
	TRIP_US = 40000,
};

/* Messages of data up to the first that is not, of one channel. */
static uint64_t read_data_of(struct mux_rig *x, uint32_t id)
{
	uint64_t by_channel[8] = {0};
	uint32_t probed;

	(void)read_data(x, by_channel, &probed);
	return by_channel[id];
}

/* A governed link with one channel, which sends all that it may. */
static uint32_t open_greedy(struct mux_rig *x, struct mux_rig_channel *s)
{
	mux_link_govern(x->link);
	uint32_t id = mux_rig_open(x, s);

	s->fills = true;
	mux_rig_fill(s);
	return id;
}

static void governed_link_waits_for_answers(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	struct mux_rig_frame f;
	uint64_t total = 0, unanswered = 0, most = 0;
	uint32_t id;

	id = open_greedy(x, &s);
	while (mux_rig_next(x, &f)) {
		if (f.type == 98) {
			loop_advance_us(x->loop, TRIP_US);
			unanswered = 0;
			mux_rig_say(x, 100, NUMBERS(id), NULL, 0);
			continue;
		}
		total += f.number;
		unanswered += f.number;
		most = unanswered > most ? unanswered : most;
	}
	assert_int_equal(total, SERVER_WINDOW);
	assert_true(most <= GOVERNED_FIRST + BEYOND);
}

static void governed_link_lets_the_new_go_first(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel bulk, small;
	uint32_t ids[2];

	mux_link_govern(x->link);
	ids[0] = mux_rig_open(x, &bulk);
	ids[1] = mux_rig_open(x, &small);
	bulk.fills = small.fills = true;
	mux_rig_fill(&bulk);
	assert_in_range(read_data_of(x, ids[0]), GOVERNED_FIRST,
			GOVERNED_FIRST + 3 * BEYOND);
	mux_rig_expect_silence(x);
	assert_int_equal(mux_channel_send(small.ch, (const uint8_t *)"x", 1),
			 0);
	small.fills = false;
	assert_int_equal(small.n_writable, 0);
	while (loop_poll(x->loop))
		continue;
	assert_int_equal(small.n_writable, 1); /* without an answer */
}

static void server_that_never_answers_is_not_waited_for(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id;

	id = open_greedy(x, &s);
	assert_true(read_data_of(x, id) < GOVERNED_FIRST + 3 * BEYOND);
	loop_advance_us(x->loop, LOSS_OF_PATIENCE_US - 1);
	assert_int_equal(read_data_of(x, id), 0);
	loop_advance_us(x->loop, 1);
	assert_true(read_data_of(x, id) > SERVER_WINDOW - 2 * GOVERNED_FIRST);
}

/* A line that is dead is another matter. */
static void server_that_has_answered_is_waited_for(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id;

	id = open_greedy(x, &s);
	(void)read_data_of(x, id);
	loop_advance_us(x->loop, TRIP_US);
	mux_rig_say(x, 100, NUMBERS(id), NULL, 0);
	(void)read_data_of(x, id);
	for (int i = 0; i < 4; i++)
		loop_advance_us(x->loop, LOSS_OF_PATIENCE_US);
	assert_int_equal(read_data_of(x, id), 0);
	/* It lives, and answers nothing. */
	mux_rig_say_data(x, id, "x", 1);
	loop_advance_us(x->loop, LOSS_OF_PATIENCE_US - 1);
	mux_rig_say_data(x, id, "x", 1);
	loop_advance_us(x->loop, 1);
	assert_true(read_data_of(x, id) > 0);
}

static uint64_t read_grants(struct mux_rig *x, uint32_t id)
{
	uint64_t n = 0;
	struct mux_rig_frame f;

	while (mux_rig_next(x, &f))
		n += f.type == 93 && f.channel == id + REMOTE ? f.number : 0;
	return n;
}

/* What comes is limited by the line: the window becomes no more than that
 * takes, and is used again at once by another when the first pauses. */
static void governed_windows_are_what_the_line_holds(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s, other;
	enum { LINE_BYTES = 20000, TICK_US = 4000 }; /* 5 MB/s: 200 kB */
	uint64_t windows[2] = {GOVERNED_FIRST, 0}, most = 0;
	uint32_t id, other_id;

	mux_link_govern(x->link);
	id = mux_rig_begin(x, &s);
	loop_advance_us(x->loop, TRIP_US);
	mux_rig_confirm(x, id, SERVER_WINDOW);
	s.consumes = true;
	uint64_t late[10] = {0}; /* grants take a trip */
	for (unsigned i = 0; i < 1000; i++) {
		size_t n = windows[0] < LINE_BYTES ? (size_t)windows[0]
						   : LINE_BYTES;

		mux_rig_say_much(x, id, n);
		loop_advance_us(x->loop, TICK_US);
		windows[0] += late[i % 10];
		late[i % 10] = read_grants(x, id);
		windows[0] -= n;
		if (i > 500)
			most = windows[0] > most ? windows[0] : most;
		if (i > 500)
			assert_int_equal(n, LINE_BYTES); /* and is kept busy */
	}
	assert_true(most < 200000);
	/* It pauses, and its part is not lost for another. */
	mux_rig_begin_kind(x, &other, MUX_DIRECT_TCPIP, "10.0.0.1");
	struct mux_rig_frame f = mux_rig_expect(x, 90);
	size_t at = 2 + 4 + strlen("direct-tcpip");
	other_id = bytes_get_u32(f.body + at);
	windows[1] = bytes_get_u32(f.body + at + 4);
	mux_rig_confirm(x, other_id, SERVER_WINDOW);
	other.consumes = true;
	for (unsigned i = 0; i < 400; i++) {
		size_t n = windows[1] < LINE_BYTES ? (size_t)windows[1]
						   : LINE_BYTES;

		mux_rig_say_much(x, other_id, n);
		loop_advance_us(x->loop, TICK_US);
		windows[1] += read_grants(x, other_id) - n;
		if (i > 300)
			assert_true(n > 0);
	}
}

static void server_that_reads_nothing_costs_no_memory(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;

	(void)mux_rig_open(x, &s);
	s.fills = true;
	mux_rig_fill(&s); /* nobody reads the socket */
	while (loop_poll(x->loop))
		continue;
	assert_true(s.filled <= (1 << 20));
	assert_int_equal(mux_channel_room(s.ch), 0);
}

/* So that others may pass it: no more than a call adds beyond what ssh takes.
 */
static void little_waits_in_front_of_ssh(void **state)
{
	enum { CALL = 50000, BUFFER = 50000, DATA_AT = 2 + 4 + 4 };
	static const int buffer = BUFFER; /* messages are taken in parts */
	static uint8_t bytes[1 << 20];
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	size_t sent = 0, got = 0, n;
	int taken = 0;

	assert_int_equal(setsockopt(x->link_fd, SOL_SOCKET, SO_SNDBUF, &buffer,
				    sizeof(buffer)),
			 0);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	(void)mux_rig_open(x, &s);
	while ((n = mux_channel_send(s.ch, bytes + sent, CALL)) > 0)
		sent += n;
	assert_int_equal(ioctl(x->ssh, FIONREAD, &taken), 0);
	assert_true(taken > BUFFER / 2);
	assert_true(sent < (size_t)taken + CALL);
	while (got < sent) {
		struct mux_rig_frame f = mux_rig_expect(x, 94);

		assert_memory_equal(f.body + DATA_AT, bytes + got, f.number);
		got += f.number;
	}
	assert_true(mux_channel_room(s.ch) > 0);
}

/* Long enough to go at once, too short for a probe of its own. */
static void what_went_at_once_is_probed(void **state)
{
	static const uint8_t bytes[5000];
	struct mux_rig *x = *state;
	struct mux_rig_channel s;

	(void)mux_rig_open(x, &s);
	mux_link_govern(x->link);
	assert_int_equal(mux_channel_send(s.ch, bytes, sizeof(bytes)),
			 sizeof(bytes));
	assert_int_equal(mux_rig_expect(x, 94).number, sizeof(bytes));
	(void)mux_rig_expect(x, 98);
}

/* Many of them do not keep the others from sending while ssh reads. */
static void short_messages_leave_room(void **state)
{
	static const uint8_t bytes[1400];
	struct mux_rig *x = *state;
	struct mux_rig_channel s;

	(void)mux_rig_open(x, &s);
	for (int i = 0; i < 46; i++)
		assert_int_equal(mux_channel_send(s.ch, bytes, sizeof(bytes)),
				 sizeof(bytes));
	assert_true(mux_channel_room(s.ch) > 0);
	for (int i = 0; i < 46; i++)
		assert_int_equal(mux_rig_expect(x, 94).number, sizeof(bytes));
}

#define IN_PROXY_MODE(f) \
	cmocka_unit_test_setup_teardown(f, mux_rig_setup, mux_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PROXY_MODE(what_is_in_ssh_is_bounded_and_shared),
		IN_PROXY_MODE(adjusts_make_room_too),
		IN_PROXY_MODE(answered_probe_makes_room),
		IN_PROXY_MODE(probed_channel_ends_and_others_go_on),
		IN_PROXY_MODE(governed_link_waits_for_answers),
		IN_PROXY_MODE(governed_link_lets_the_new_go_first),
		IN_PROXY_MODE(server_that_never_answers_is_not_waited_for),
		IN_PROXY_MODE(server_that_has_answered_is_waited_for),
		IN_PROXY_MODE(governed_windows_are_what_the_line_holds),
		IN_PROXY_MODE(server_that_reads_nothing_costs_no_memory),
		IN_PROXY_MODE(little_waits_in_front_of_ssh),
		IN_PROXY_MODE(what_went_at_once_is_probed),
		IN_PROXY_MODE(short_messages_leave_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
