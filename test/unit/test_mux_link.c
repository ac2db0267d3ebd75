/* SPDX-License-Identifier: MIT */
/* test_mux_link: a control socket and its channels, from entering proxy mode to
 * the end. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "bytes.h"
#include "mux_rig.h"

/* ---- entering ---- */

static void nothing_opens_before_proxy_mode(void **state)
{
	struct mux_rig *x = *state;
	struct mux_channel_open o = {.kind = MUX_DIRECT_TCPIP, .host = "h"};

	assert_null(mux_channel_open(x->link, &o, &mux_rig_ops, NULL));
	assert_int_equal(errno, EAGAIN);
	mux_rig_say_hello(x);
	assert_null(mux_channel_open(x->link, &o, &mux_rig_ops, NULL));
}

static void refused_proxy_mode_is_told(void **state)
{
	struct mux_rig *x = *state;

	mux_rig_say_hello(x);
	mux_rig_say_raw(x, "\0\0\0\x0f\x80\0\0\x03\0\0\0\x01\0\0\0\x03n\x1bo",
			19);
	mux_rig_expect_failed(x, NULL, "n\\x1bo");
}

static void other_versions_are_refused(void **state)
{
	struct mux_rig *x = *state;

	mux_rig_say_raw(x, "\0\0\0\x08\0\0\0\x01\0\0\0\x05", 12);
	mux_rig_expect_failed(x, NULL, "not an ssh that we know");
}

static void announced_extensions_are_ignored(void **state)
{
	struct mux_rig *x = *state;

	mux_rig_say_hello(x);
	mux_rig_say_raw(x, "\0\0\0\x08\x90\0\0\x01\0\0\0\x00", 12);
	mux_rig_say_raw(x, "\0\0\0\x08\x80\0\0\x0f\0\0\0\x01", 12);
	assert_int_equal(x->n_ready, 1);
}

static void end_of_ssh_is_told_once(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel open, opening;

	(void)mux_rig_open(x, &open);
	(void)mux_rig_begin(x, &opening);
	assert_int_equal(shutdown(x->ssh, SHUT_RDWR), 0);
	mux_rig_settle(x);
	mux_rig_settle(x);
	mux_rig_expect_failed(x, &open, "ssh has ended");
	assert_int_equal(opening.n_closed, 1);
	assert_int_equal(opening.n_refused, 0);
}

/* ---- channels ---- */

static void refusal_brings_reason_and_text(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_begin(x, &s);

	mux_rig_say(x, 92, NUMBERS(id, 2, 4), "no\n!\0\0\0\0", 8);
	assert_int_equal(s.n_refused, 1);
	assert_int_equal(s.reason, MUX_REFUSED_CONNECT);
	assert_string_equal(s.text, "no\\x0a!");
	assert_int_equal(mux_link_n_failures(x->link), 1);
	assert_int_equal(mux_link_n_channels(x->link), 0);
	mux_rig_expect_silence(x);
}

static void data_goes_both_ways(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_open(x, &s);
	struct mux_rig_frame f;

	assert_int_equal(mux_channel_send(s.ch, (const uint8_t *)"up", 2), 2);
	f = mux_rig_expect(x, 94);
	assert_int_equal(f.channel, id + REMOTE);
	assert_int_equal(f.number, 2);
	assert_memory_equal(f.body + 10, "up", 2);
	mux_rig_say_data(x, id, "down", 4);
	assert_int_equal(s.n_bytes, 4);
	assert_memory_equal(s.last, "down", 4);
}

static void messages_may_come_in_pieces(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint8_t msg[] = "\0\0\0\x0e\0\x5e\0\0\0\0\0\0\0\x04"
			"down";

	bytes_put_u32(msg + 6, mux_rig_open(x, &s));
	for (size_t i = 0; i < 18; i++) {
		assert_int_equal(s.n_bytes, 0);
		mux_rig_say_raw(x, msg + i, 1);
	}
	assert_int_equal(s.n_bytes, 4);
}

static void data_is_cut_to_two_reads_of_ssh(void **state)
{
	static const uint8_t bytes[80000];
	struct mux_rig *x = *state;
	struct mux_rig_channel s;

	(void)mux_rig_open(x, &s);
	assert_int_equal(mux_channel_send(s.ch, bytes, sizeof(bytes)),
			 sizeof(bytes));
	assert_int_equal(mux_rig_expect(x, 94).number, 32758);
	assert_int_equal(mux_rig_expect(x, 94).number, 32758);
	assert_int_equal(mux_rig_expect(x, 94).number, 80000 - 2 * 32758);
	mux_rig_expect_silence(x);
}

static void data_is_cut_to_the_servers_packets(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_begin(x, &s);

	mux_rig_say(x, 91, NUMBERS(id, 5, 10, 3), NULL, 0);
	assert_int_equal(mux_channel_send(s.ch, (const uint8_t *)"abcd", 4), 4);
	assert_int_equal(mux_rig_expect(x, 94).number, 3);
	assert_int_equal(mux_rig_expect(x, 94).number, 1);
}

static void full_window_stops_and_adjust_goes_on(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_begin(x, &s);

	mux_rig_confirm(x, id, 3);
	assert_int_equal(mux_channel_send(s.ch, (const uint8_t *)"abcd", 4), 3);
	assert_int_equal(mux_rig_expect(x, 94).number, 3);
	assert_int_equal(mux_channel_room(s.ch), 0);
	assert_int_equal(s.n_writable, 0);
	mux_rig_say(x, 93, NUMBERS(id, 2), NULL, 0);
	assert_int_equal(s.n_writable, 1);
	assert_int_equal(mux_channel_room(s.ch), 2);
	mux_rig_say(x, 93, NUMBERS(id, 2), NULL, 0);
	assert_int_equal(s.n_writable, 1); /* nobody waits any more */
}

static void consumed_data_is_granted_again(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_open(x, &s);

	mux_rig_say_much(x, id, FIRST_WINDOW / 2);
	mux_rig_expect_silence(x);
	mux_channel_consume(s.ch, FIRST_WINDOW / 4 - 1);
	mux_rig_expect_silence(x);
	mux_channel_consume(s.ch, 1);
	assert_int_equal(mux_rig_expect(x, 93).number, FIRST_WINDOW / 4);
}

/* Returns the window after rounds of using it up, each taking so long. */
static uint64_t window_after(struct mux_rig *x, uint64_t rtt_us, uint64_t us)
{
	struct mux_rig_channel s;
	uint32_t id = mux_rig_begin(x, &s);
	uint64_t window = FIRST_WINDOW;
	struct mux_rig_frame f;

	loop_advance_us(x->loop, rtt_us);
	mux_rig_confirm(x, id, SERVER_WINDOW);
	for (int i = 0; i < 10; i++) {
		mux_rig_say_much(x, id, (size_t)window);
		window = 0;
		loop_advance_us(x->loop, us);
		mux_channel_consume(s.ch, (size_t)s.n_bytes);
		s.n_bytes = 0;
		while (mux_rig_next(x, &f))
			window += f.number;
	}
	return window;
}

static void window_grows_if_it_lasts_one_round_trip(void **state)
{
	assert_int_equal(window_after(*state, 100000, 100000), WINDOW);
}

static void window_is_the_usual_on_a_short_line(void **state)
{
	assert_int_equal(window_after(*state, 2000, 2000), SERVER_WINDOW / 2);
}

static void window_is_the_usual_if_it_lasts_many(void **state)
{
	assert_int_equal(window_after(*state, 1000, 100000), SERVER_WINDOW / 2);
}

static void window_stays_if_it_is_used_slowly(void **state)
{
	assert_int_equal(window_after(*state, 300000, 600000), FIRST_WINDOW);
}

static void all_windows_together_are_bounded(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint64_t total = 0;

	for (int i = 0; i < MUX_LINK_CHANNELS_MAX; i++) {
		mux_rig_begin_kind(x, &s, MUX_DIRECT_STREAMLOCAL, "/s");
		struct mux_rig_frame f = mux_rig_expect(x, 90);
		total += bytes_get_u32(f.body + 2 + 4 + 30 + 4);
	}
	assert_true(total < 100 << 20);
	struct mux_channel_open o = {.kind = MUX_TUN};
	assert_null(mux_channel_open(x->link, &o, &mux_rig_ops, &s));
	assert_int_equal(errno, EMFILE);
}

static void worn_link_opens_no_more(void **state)
{
	struct mux_rig *x = *state;
	struct mux_channel_open o = {.kind = MUX_DIRECT_TCPIP, .host = "h"};
	struct mux_rig_channel s, kept;
	uint32_t kept_id = mux_rig_open(x, &kept);

	for (int i = 0; i < MUX_LINK_FAILURES_MAX; i++) {
		uint32_t id = mux_rig_begin(x, &s);
		mux_rig_say(x, 92, NUMBERS(id, 2, 0, 0), NULL, 0);
	}
	assert_null(mux_channel_open(x->link, &o, &mux_rig_ops, NULL));
	assert_int_equal(errno, EMFILE);
	mux_rig_say_data(x, kept_id, "x", 1);
	assert_int_equal(kept.n_bytes, 1);
}

/* ---- ends ---- */

static void server_ends_first(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_open(x, &s);

	mux_rig_say(x, 96, NUMBERS(id), NULL, 0);
	assert_int_equal(s.n_eof, 1);
	assert_int_equal(mux_channel_send(s.ch, (const uint8_t *)"up", 2), 2);
	(void)mux_rig_expect(x, 94);
	mux_channel_send_eof(s.ch);
	(void)mux_rig_expect(x, 96);
	mux_rig_say(x, 97, NUMBERS(id), NULL, 0);
	assert_int_equal(s.n_closed, 1);
	(void)mux_rig_expect(x, 97);
	assert_int_equal(mux_link_n_channels(x->link), 0);
	mux_rig_expect_silence(x);
}

static void we_end_first(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_open(x, &s);

	mux_channel_send_eof(s.ch);
	assert_int_equal(mux_channel_send(s.ch, (const uint8_t *)"up", 2), 0);
	(void)mux_rig_expect(x, 96);
	mux_rig_say_data(x, id, "down", 4);
	assert_int_equal(s.n_bytes, 4);
	mux_channel_close(s.ch);
	(void)mux_rig_expect(x, 97);
	assert_int_equal(mux_link_n_channels(x->link), 1);
	mux_rig_say_data(x, id, "late", 4);
	mux_rig_say(x, 98, NUMBERS(id, 1), "x\1", 2); /* must not be answered */
	mux_rig_say(x, 97, NUMBERS(id), NULL, 0);
	assert_int_equal(mux_link_n_channels(x->link), 0);
	assert_int_equal(s.n_bytes, 4);
	assert_int_equal(s.n_closed, 0);
	mux_rig_expect_silence(x);
}

static void closed_in_its_own_callback(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_open(x, &s);
	uint8_t twice[2 * 15] = {0};

	s.closes = true;
	for (int i = 0; i < 2; i++) {
		bytes_put_u32(twice + 15 * i, 11);
		twice[15 * i + 5] = 94;
		bytes_put_u32(twice + 15 * i + 6, id);
		bytes_put_u32(twice + 15 * i + 10, 1);
	}
	mux_rig_say_raw(x, twice, sizeof(twice));
	assert_int_equal(s.n_bytes, 1);
	(void)mux_rig_expect(x, 97);
	mux_rig_expect_silence(x);
}

static void closed_while_it_is_opened(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_begin(x, &s);

	mux_channel_close(s.ch);
	mux_rig_expect_silence(x);
	assert_int_equal(mux_link_n_channels(x->link), 1);
	mux_rig_confirm(x, id, SERVER_WINDOW);
	assert_int_equal(s.n_open, 0);
	assert_int_equal(mux_rig_expect(x, 97).channel, id + REMOTE);
	mux_rig_say(x, 97, NUMBERS(id), NULL, 0);
	assert_int_equal(mux_link_n_channels(x->link), 0);
}

static void closed_while_it_is_refused(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_begin(x, &s);

	mux_channel_close(s.ch);
	mux_rig_say(x, 92, NUMBERS(id, 1, 0, 0), NULL, 0);
	assert_int_equal(s.n_refused, 0);
	assert_int_equal(mux_link_n_failures(x->link), 1);
	assert_int_equal(mux_link_n_channels(x->link), 0);
}

/* ---- requests ---- */

static void keepalive_is_answered(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_open(x, &s);

	mux_rig_say(x, 98, NUMBERS(id, 21), "keepalive@openssh.com\1", 22);
	assert_int_equal(mux_rig_expect(x, 100).channel, id + REMOTE);
	mux_rig_say(x, 98, NUMBERS(id, 15), "eow@openssh.com\0", 16);
	mux_rig_say(x, 98, NUMBERS(id, 11), "exit-status\0\0\0\0\7", 16);
	mux_rig_expect_silence(x);
}

static uint32_t open_exec(struct mux_rig *x, struct mux_rig_channel *s)
{
	mux_rig_begin_kind(x, s, MUX_EXEC, "ls");
	struct mux_rig_frame f = mux_rig_expect(x, 90);
	uint32_t id = bytes_get_u32(f.body + 2 + 4 + strlen("session"));

	mux_rig_confirm(x, id, 0);
	assert_int_equal(s->n_open, 0);
	f = mux_rig_expect(x, 98);
	assert_memory_equal(f.body + 6, "\0\0\0\4exec\1\0\0\0\2ls", 15);
	return id;
}

static void command_is_open_when_it_runs(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = open_exec(x, &s);

	mux_rig_say(x, 93, NUMBERS(id, SERVER_WINDOW), NULL, 0);
	mux_rig_say(x, 99, NUMBERS(id), NULL, 0);
	assert_int_equal(s.n_open, 1);
	mux_rig_say(x, 95, NUMBERS(id, 1, 3), "err", 3);
	assert_int_equal(s.n_bytes, 0);
	mux_rig_say_data(x, id, "out", 3);
	assert_int_equal(s.n_bytes, 3);
	assert_int_equal(mux_channel_room(s.ch) > 0, 1);
}

static void command_may_be_refused(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = open_exec(x, &s);

	mux_rig_say(x, 100, NUMBERS(id), NULL, 0);
	assert_int_equal(s.n_refused, 1);
	assert_int_equal(s.reason, MUX_REFUSED_PROHIBITED);
	(void)mux_rig_expect(x, 97);
	mux_rig_say(x, 97, NUMBERS(id), NULL, 0);
	assert_int_equal(s.n_closed, 0);
	assert_int_equal(mux_link_n_channels(x->link), 0);
}

/* ---- tun ---- */

static void tun_packets_are_counted_as_the_server_counts(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint8_t ip[20] = {0x45};

	mux_rig_begin_kind(x, &s, MUX_TUN, NULL);
	struct mux_rig_frame f = mux_rig_expect(x, 90);
	uint32_t id = bytes_get_u32(f.body + 2 + 4 + 15);
	mux_rig_confirm(x, id, 60);
	assert_true(mux_channel_send_packet(s.ch, ip, 20)); /* 28 of 60 */
	f = mux_rig_expect(x, 94);
	assert_int_equal(f.number, 24);
	assert_memory_equal(f.body + 10, "\0\0\0\2\x45", 5);
	assert_int_equal(mux_channel_room(s.ch), 32);
	ip[0] = 0x60;
	assert_true(mux_channel_send_packet(s.ch, ip, 20));
	assert_memory_equal(mux_rig_expect(x, 94).body + 10, "\0\0\0\x18\x60",
			    5);
	assert_false(mux_channel_send_packet(s.ch, ip, 20)); /* 4 left */
	assert_false(mux_channel_send_packet(s.ch, ip, 0));
	mux_rig_expect_silence(x);
	mux_rig_say_data(x, id, "\0\0\0\2\x45pack", 9);
	assert_int_equal(s.n_bytes, 5);
	assert_memory_equal(s.last, "\x45pack", 5);
	mux_rig_say_data(x, id, "\0\0", 2); /* no packet */
	assert_int_equal(s.n_bytes, 5);
}

static void tun_grants_what_the_server_took(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint64_t taken = 0, granted = 0;
	static const uint8_t packet[1004];
	struct mux_rig_frame f;

	mux_rig_begin_kind(x, &s, MUX_TUN, NULL);
	f = mux_rig_expect(x, 90);
	uint32_t id = bytes_get_u32(f.body + 2 + 4 + 15);
	uint64_t window = bytes_get_u32(f.body + 2 + 4 + 15 + 4);
	mux_rig_confirm(x, id, SERVER_WINDOW);
	s.consumes = true;
	for (int i = 0; i < 50000; i++) {
		mux_rig_say_data(x, id, packet, sizeof(packet));
		taken += sizeof(packet);
		while (mux_rig_next(x, &f))
			granted += f.number;
		assert_true(taken <= window + granted);
		assert_true(granted <= taken);
	}
	assert_true(taken - granted <= window / 4);
}

/* ---- hostile ---- */

static void hostile_messages_end_the_link(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_open(x, &s);
	static const struct {
		uint8_t type;
		uint32_t numbers[4]; /* behind the channel */
		size_t n;
		const char *text;
	} cases[] = {
		{91, {1, 2, 3}, 3, "twice"},
		{92, {1, 0, 0}, 3, "twice"},
		{94, {0xffffffff}, 1, "malformed"},
		{94, {5}, 1, "malformed"},
		{95, {1, 0x7fffffff}, 2, "malformed"},
		{98, {0x10000000}, 1, "malformed"},
		{93, {0xffffffff}, 1, "more than a window can hold"},
		{96, {0}, 1, "malformed"},
		{97, {0}, 1, "malformed"},
		{99, {0}, 0, "not asked"},
		{100, {0}, 0, "not asked"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t numbers[5] = {id};

		memcpy(numbers + 1, cases[i].numbers, sizeof(cases[i].numbers));
		mux_rig_say(x, cases[i].type, numbers, cases[i].n + 1, NULL, 0);
		mux_rig_expect_failed(x, &s, cases[i].text);
		(void)mux_rig_teardown(state);
		(void)mux_rig_setup(state);
		x = *state;
		id = mux_rig_open(x, &s);
	}
}

static void channel_that_is_not_open_is_used(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_begin(x, &s);

	mux_rig_say(x, 97, NUMBERS(id), NULL, 0);
	mux_rig_expect_failed(x, &s, "not open");
}

static void data_beyond_the_window_ends_the_link(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_open(x, &s);

	mux_rig_say_much(x, id, FIRST_WINDOW);
	assert_int_equal(x->n_closed, 0);
	mux_rig_say_data(x, id, "x", 1);
	mux_rig_expect_failed(x, &s, "window");
	assert_int_equal(s.n_bytes, FIRST_WINDOW);
}

static void packets_of_no_length_end_the_link(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_begin(x, &s);

	mux_rig_say(x, 91, NUMBERS(id, 1, 1, 0), NULL, 0);
	mux_rig_expect_failed(x, &s, "no length");
}

static void oversized_message_ends_the_link(void **state)
{
	struct mux_rig *x = *state;

	mux_rig_say_raw(x, "\xff\xff\xff\xff", 4);
	mux_rig_expect_failed(x, NULL, "oversized");
}

static void unknown_channels_and_types_are_ignored(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_open(x, &s);

	for (uint8_t type = 93; type <= 94; type++)
		mux_rig_say(x, type, NUMBERS(77, 0), NULL, 0);
	mux_rig_say(x, 97, NUMBERS(77), NULL, 0);
	mux_rig_say(x, 90, NUMBERS(id), NULL, 0);
	mux_rig_say(x, 80, NUMBERS(id), NULL, 0);
	mux_rig_say(x, 1, NUMBERS(id), NULL, 0);
	assert_int_equal(x->n_closed, 0);
	mux_rig_expect_silence(x);
	mux_rig_say_data(x, id, "x", 1);
	assert_int_equal(s.n_bytes, 1);
}

static void data_behind_eof_is_dropped(void **state)
{
	struct mux_rig *x = *state;
	struct mux_rig_channel s;
	uint32_t id = mux_rig_open(x, &s);

	mux_rig_say(x, 96, NUMBERS(id), NULL, 0);
	mux_rig_say(x, 96, NUMBERS(id), NULL, 0);
	mux_rig_say_data(x, id, "x", 1);
	assert_int_equal(s.n_bytes, 0);
	assert_int_equal(s.n_eof, 1);
}

#define IN_PROXY_MODE(f) \
	cmocka_unit_test_setup_teardown(f, mux_rig_setup, mux_rig_teardown)
#define WHEN_CONNECTED(f)                                        \
	cmocka_unit_test_setup_teardown(f, mux_rig_setup_silent, \
					mux_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WHEN_CONNECTED(nothing_opens_before_proxy_mode),
		WHEN_CONNECTED(refused_proxy_mode_is_told),
		WHEN_CONNECTED(other_versions_are_refused),
		WHEN_CONNECTED(announced_extensions_are_ignored),
		IN_PROXY_MODE(end_of_ssh_is_told_once),
		IN_PROXY_MODE(refusal_brings_reason_and_text),
		IN_PROXY_MODE(data_goes_both_ways),
		IN_PROXY_MODE(messages_may_come_in_pieces),
		IN_PROXY_MODE(data_is_cut_to_two_reads_of_ssh),
		IN_PROXY_MODE(data_is_cut_to_the_servers_packets),
		IN_PROXY_MODE(full_window_stops_and_adjust_goes_on),
		IN_PROXY_MODE(consumed_data_is_granted_again),
		IN_PROXY_MODE(window_grows_if_it_lasts_one_round_trip),
		IN_PROXY_MODE(window_is_the_usual_on_a_short_line),
		IN_PROXY_MODE(window_is_the_usual_if_it_lasts_many),
		IN_PROXY_MODE(window_stays_if_it_is_used_slowly),
		IN_PROXY_MODE(all_windows_together_are_bounded),
		IN_PROXY_MODE(worn_link_opens_no_more),
		IN_PROXY_MODE(server_ends_first),
		IN_PROXY_MODE(we_end_first),
		IN_PROXY_MODE(closed_in_its_own_callback),
		IN_PROXY_MODE(closed_while_it_is_opened),
		IN_PROXY_MODE(closed_while_it_is_refused),
		IN_PROXY_MODE(keepalive_is_answered),
		IN_PROXY_MODE(command_is_open_when_it_runs),
		IN_PROXY_MODE(command_may_be_refused),
		IN_PROXY_MODE(tun_packets_are_counted_as_the_server_counts),
		IN_PROXY_MODE(tun_grants_what_the_server_took),
		IN_PROXY_MODE(hostile_messages_end_the_link),
		IN_PROXY_MODE(channel_that_is_not_open_is_used),
		IN_PROXY_MODE(data_beyond_the_window_ends_the_link),
		IN_PROXY_MODE(packets_of_no_length_end_the_link),
		IN_PROXY_MODE(oversized_message_ends_the_link),
		IN_PROXY_MODE(unknown_channels_and_types_are_ignored),
		IN_PROXY_MODE(data_behind_eof_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
