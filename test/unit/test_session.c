/* SPDX-License-Identifier: MIT */
/* test_session: src/session against a peer that may do anything. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "busy.h"
#include "bytes.h"
#include "session_rig.h"

enum {
	MS = 1000,
	SECOND = 1000000,
	ID = 1, /* of the stream in most tests */
};

/* ---- every test has a rig ---- */

static int setup_near(void **state)
{
	struct session_rig *rig = session_rig_new(SESSION_NEAR);

	session_rig_greet(rig);
	session_rig_forget(rig);
	*state = rig;
	return 0;
}

static int setup_far(void **state)
{
	struct session_rig *rig = session_rig_new(SESSION_FAR);

	session_rig_greet(rig);
	session_rig_forget(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	*state = session_rig_free(*state);
	return 0;
}

/* ---- what the session sent ---- */

/* The next frame sent must be of this type; the caller frees it. */
static struct rig_frame *expect(struct session_rig *rig, uint8_t type)
{
	struct rig_frame *f = session_rig_pop(rig);

	if (!f)
		fail_msg("no frame sent, 0x%02x expected", type);
	if (f->header.type != type)
		fail_msg("frame 0x%02x sent, 0x%02x expected", f->header.type,
			 type);
	return f;
}

static void expect_only(struct session_rig *rig, uint8_t type)
{
	free(expect(rig, type));
}

static void expect_silence(struct session_rig *rig)
{
	struct rig_frame *f = session_rig_pop(rig);

	if (f)
		fail_msg("frame 0x%02x sent", f->header.type);
}

static void expect_ack(struct session_rig *rig, uint64_t consumed,
		       uint64_t limit)
{
	struct rig_frame *f = expect(rig, FRAME_ACK);

	assert_int_equal(f->header.len, 16);
	assert_int_equal(bytes_get_u64(f->body), consumed);
	assert_int_equal(bytes_get_u64(f->body + 8), limit);
	free(f);
}

/* A DATA frame; returns its length without the offset. */
static size_t expect_data(struct session_rig *rig, uint64_t offset)
{
	struct rig_frame *f = expect(rig, FRAME_DATA);
	size_t len = f->header.len - 8;

	assert_int_equal(bytes_get_u64(f->body), offset);
	assert_in_range(len, 1, FRAME_DATA_MAX);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(f->body[8 + i], (uint8_t)(offset + i));
	free(f);
	return len;
}

/* The session said BYE with this reason, and went down. */
static void expect_bye(struct session_rig *rig, uint16_t reason,
		       const char *part)
{
	struct rig_frame *f = expect(rig, FRAME_BYE);
	struct frame_bye_body bye;

	assert_int_equal(frame_parse_bye(f->body, f->header.len, &bye), 0);
	assert_int_equal(bye.reason, reason);
	assert_non_null(strstr(bye.text, part));
	free(f);
	assert_int_equal(rig->n.down, 1);
	assert_non_null(strstr(rig->down_why.text, part));
	assert_false(session_is_up(rig->s));
}

/* ---- what the peer sends ---- */

static void give_u32(struct session_rig *rig, uint8_t type, uint32_t id,
		     uint32_t value)
{
	uint8_t body[4];

	bytes_put_u32(body, value);
	session_rig_give(rig, type, id, body, sizeof(body));
}

static void give_u64(struct session_rig *rig, uint8_t type, uint32_t id,
		     uint64_t value)
{
	uint8_t body[8];

	bytes_put_u64(body, value);
	session_rig_give(rig, type, id, body, sizeof(body));
}

static void give_ack(struct session_rig *rig, uint32_t id, uint64_t consumed,
		     uint64_t limit)
{
	uint8_t body[16];

	bytes_put_u64(body, consumed);
	bytes_put_u64(body + 8, limit);
	session_rig_give(rig, FRAME_ACK, id, body, sizeof(body));
}

static void give_data(struct session_rig *rig, uint32_t id, uint64_t offset,
		      size_t len)
{
	uint8_t *body = malloc(8 + len);

	assert_non_null(body);
	bytes_put_u64(body, offset);
	for (size_t i = 0; i < len; i++)
		body[8 + i] = (uint8_t)(offset + i);
	session_rig_give(rig, FRAME_DATA, id, body, 8 + len);
	free(body);
}

static void give_open(struct session_rig *rig, uint32_t id, uint32_t window)
{
	struct frame_open o = {.window_bytes = window,
			       .proto = 6,
			       .ttl = 64,
			       .dst = {.port = 80},
			       .src = {.port = 40000}};
	uint8_t frame[FRAME_FIXED_MAX];

	o.dst.addr.version = o.src.addr.version = IPV4;
	session_rig_give_built(rig, frame, frame_build_open(frame, id, &o));
}

/* An open stream with this window for sending. */
static struct stream *open_stream(struct session_rig *rig, uint32_t window)
{
	struct frame_open o = {.proto = 6, .ttl = 64};
	struct stream *st;

	o.dst.addr.version = o.src.addr.version = IPV4;
	if (rig->s->role == SESSION_FAR) {
		give_open(rig, rig->s->next_id, window);
		st = rig->stream;
		session_accept(st);
	} else {
		st = session_open(rig->s, rig, &o);
		assert_non_null(st);
		session_rig_settle(rig);
		give_u32(rig, FRAME_OPENED, st->id, window);
	}
	session_rig_settle(rig);
	session_rig_forget(rig);
	assert_int_equal(st->state, STREAM_OPEN);
	rig->stream = st;
	return st;
}

/* Bytes whose value is their offset. */
static void write_bytes(struct stream *st, size_t n)
{
	uint8_t *bytes = malloc(n);

	assert_non_null(bytes);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(st->tx.end + i);
	assert_int_equal(stream_write(st, bytes, n), 0);
	free(bytes);
}

/* ---- greeting ---- */

static void far_end_greets_at_once(void **state)
{
	struct session_rig *rig = session_rig_new(SESSION_FAR);
	struct frame_hello hello;

	*state = rig;
	struct rig_frame *f = expect(rig, FRAME_HELLO);
	assert_int_equal(frame_parse_hello(f->body, f->header.len, &hello), 0);
	assert_int_equal(hello.version_highest, FRAME_VERSION_HIGHEST);
	assert_string_equal(hello.software, "under test");
	free(f);
	assert_false(session_is_up(rig->s));
	session_rig_greet(rig);
	assert_true(session_is_up(rig->s));
	assert_int_equal(rig->n.up, 1);
	expect_silence(rig);
}

static void near_end_greets_in_answer(void **state)
{
	struct session_rig *rig = session_rig_new(SESSION_NEAR);

	*state = rig;
	expect_silence(rig);
	session_rig_greet(rig);
	expect_only(rig, FRAME_HELLO);
	expect_silence(rig);
	assert_int_equal(rig->n.up, 1);
}

static void no_greeting_is_silence(void **state)
{
	struct session_rig *rig = session_rig_new(SESSION_NEAR);

	*state = rig;
	session_rig_advance(rig, 44 * SECOND);
	expect_silence(rig);
	assert_int_equal(rig->n.down, 0);
	session_rig_advance(rig, 2 * SECOND);
	expect_bye(rig, FRAME_BYE_SILENCE, "45 s");
	assert_int_equal(session_end(rig->s), SESSION_END_SILENCE);
}

static void give_versions(struct session_rig *rig, uint16_t highest,
			  uint16_t lowest)
{
	uint8_t body[44] = {0};

	bytes_put_u32(body, FRAME_MAGIC);
	bytes_put_u16(body + 4, highest);
	bytes_put_u16(body + 6, lowest);
	session_rig_give(rig, FRAME_HELLO, 0, body, sizeof(body));
}

static void versions_that_do_not_meet_are_both_named(void **state)
{
	static const enum session_role roles[] = {SESSION_NEAR, SESSION_FAR};

	for (size_t i = 0; i < 2; i++) {
		struct session_rig *rig = session_rig_new(roles[i]);

		session_rig_forget(rig);
		give_versions(rig, 9, 3);
		expect_bye(rig, FRAME_BYE_VERSION,
			   roles[i] == SESSION_NEAR ? "the far end speaks"
						    : "the near end speaks");
		assert_non_null(strstr(rig->down_why.text, "3 to 9"));
		assert_non_null(strstr(rig->down_why.text, "1 to 1"));
		assert_int_equal(rig->n.up, 0);
		(void)session_rig_free(rig);
	}
	*state = NULL;
}

static void a_later_version_that_still_speaks_ours_is_welcome(void **state)
{
	struct session_rig *rig = session_rig_new(SESSION_NEAR);

	*state = rig;
	give_versions(rig, 700, 1);
	assert_true(session_is_up(rig->s));
}

static void peers_own_bye_is_what_the_user_hears(void **state)
{
	struct session_rig *rig = session_rig_new(SESSION_NEAR);
	uint8_t frame[FRAME_FIXED_MAX];

	*state = rig;
	session_rig_give_built(rig, frame,
			       frame_build_bye(frame, FRAME_BYE_VERSION,
					       "we are \033[31mincompatible"));
	assert_int_equal(rig->n.down, 1);
	assert_non_null(strstr(rig->down_why.text, "we are "));
	assert_null(strchr(rig->down_why.text, '\033'));
	expect_silence(rig);
}

struct first_frame {
	const char *name;
	uint8_t type;
	const char *body;
	size_t len;
	const char *text;
};

static const struct first_frame first_frames[] = {
	{"wrong magic", FRAME_HELLO, "ECSG\0\1\0\1\0\0\0\0", 12,
	 "does not speak"},
	{"nothing", FRAME_HELLO, "", 0, "does not speak"},
	{"half a greeting", FRAME_HELLO, "ECSH\0\1\0\1\0\0", 10,
	 "breaks the session protocol"},
	{"versions upside down", FRAME_HELLO, "ECSH\0\1\0\2", 8,
	 "breaks the session protocol"},
	{"no greeting first", FRAME_PING, "12345678", 8, "does not speak"},
	{"data first", FRAME_DATA, "\0\0\0\0\0\0\0\0x", 9, "does not speak"},
	{"a hint first", 0xf0, "x", 1, "does not speak"},
	{"an empty BYE", FRAME_BYE, "", 0, "breaks the session protocol"},
};

static void bad_greetings_end_with_bye(void **state)
{
	for (size_t i = 0; i < 2 * sizeof(first_frames) / sizeof(*first_frames);
	     i++) {
		const struct first_frame *f = &first_frames[i / 2];
		struct session_rig *rig =
			session_rig_new(i % 2 ? SESSION_NEAR : SESSION_FAR);

		print_message("# %s\n", f->name);
		session_rig_forget(rig);
		session_rig_give(rig, f->type, 0, f->body, f->len);
		expect_bye(rig, FRAME_BYE_PROTOCOL, f->text);
		assert_int_equal(rig->n.up, 0);
		(void)session_rig_free(rig);
	}
	*state = NULL;
}

/* ---- broken protocol ---- */

enum stage {
	UP,
	OPENING,  /* stream ID is being opened */
	OPEN,	  /* both windows are 1000 for sending, what we said for us */
	RECEIVED, /* 10 bytes came and wait */
	FINISHED, /* and FIN */
	SENT,	  /* we sent 10 bytes */
};

struct breach {
	const char *name;
	enum session_role role;
	enum stage stage;
	uint8_t type;
	const char *body;
	size_t len;
};

#define U64(x)	 "\0\0\0\0\0\0\0" x
#define OFF_10	 U64("\12")
#define OFF_0	 U64("\0")
#define LIM_1000 "\0\0\0\0\0\0\3\350"
#define N(s)	 s, sizeof(s) - 1

static const struct breach breaches[] = {
	{"second greeting", SESSION_NEAR, UP, FRAME_HELLO, N("ECSH\0\1\0\1")},
	{"unknown type", SESSION_NEAR, UP, 0x7f, N("")},
	{"type 0", SESSION_FAR, UP, 0, N("")},
	{"short PING", SESSION_FAR, UP, FRAME_PING, N("1234567")},
	{"long PING", SESSION_FAR, UP, FRAME_PING, N("123456789")},
	{"short PONG", SESSION_NEAR, UP, FRAME_PONG, N("")},
	{"short BYE", SESSION_NEAR, UP, FRAME_BYE, N("1")},
	{"OPEN to the near end", SESSION_NEAR, UP, FRAME_OPEN,
	 N("\0\0\1\0\4\6\100\0\0\120\1\1"
	   "1234\0\0\0\0\0\0\0\0\0\0\0\0"
	   "1234\0\0\0\0\0\0\0\0\0\0\0\0")},
	{"OPEN too short", SESSION_FAR, UP, FRAME_OPEN, N("\0\0\1\0\4\6\100")},
	{"OPENED to the far end", SESSION_FAR, OPENING, FRAME_OPENED,
	 N("\0\0\1\0")},
	{"OPENED too short", SESSION_NEAR, OPENING, FRAME_OPENED, N("\0\0\1")},
	{"OPENED twice", SESSION_NEAR, OPEN, FRAME_OPENED, N("\0\0\1\0")},
	{"REFUSED when open", SESSION_NEAR, OPEN, FRAME_REFUSED,
	 N("\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
	{"REFUSED too short", SESSION_NEAR, OPENING, FRAME_REFUSED,
	 N("\0\1\0\0")},
	{"REFUSED to the far end", SESSION_FAR, OPENING, FRAME_REFUSED,
	 N("\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
	{"DATA while opening", SESSION_NEAR, OPENING, FRAME_DATA, N(OFF_0 "x")},
	{"DATA before it is accepted", SESSION_FAR, OPENING, FRAME_DATA,
	 N(OFF_0 "x")},
	{"DATA without bytes", SESSION_FAR, OPEN, FRAME_DATA, N(OFF_0)},
	{"DATA without offset", SESSION_FAR, OPEN, FRAME_DATA, N("\0\0")},
	{"DATA beyond a gap", SESSION_FAR, OPEN, FRAME_DATA, N(OFF_10 "x")},
	{"DATA again", SESSION_NEAR, RECEIVED, FRAME_DATA, N(OFF_0 "x")},
	{"DATA overlapping", SESSION_NEAR, RECEIVED, FRAME_DATA,
	 N(U64("\11") "xy")},
	{"DATA at the end of offsets", SESSION_FAR, OPEN, FRAME_DATA,
	 N("\377\377\377\377\377\377\377\377x")},
	{"DATA behind FIN", SESSION_FAR, FINISHED, FRAME_DATA, N(OFF_10 "x")},
	{"FIN beyond a gap", SESSION_FAR, RECEIVED, FRAME_FIN, N(U64("\13"))},
	{"FIN before the end", SESSION_FAR, RECEIVED, FRAME_FIN, N(U64("\11"))},
	{"FIN twice", SESSION_NEAR, FINISHED, FRAME_FIN, N(OFF_10)},
	{"FIN while opening", SESSION_FAR, OPENING, FRAME_FIN, N(OFF_0)},
	{"FIN too short", SESSION_FAR, OPEN, FRAME_FIN, N("\0")},
	{"ACK of the unsent", SESSION_NEAR, SENT, FRAME_ACK,
	 N(U64("\13") LIM_1000)},
	{"ACK of a FIN that was not sent", SESSION_FAR, OPEN, FRAME_ACK,
	 N(U64("\1") LIM_1000)},
	{"ACK of 2^64", SESSION_NEAR, SENT, FRAME_ACK,
	 N("\377\377\377\377\377\377\377\377" LIM_1000)},
	{"ACK takes the window back", SESSION_NEAR, SENT, FRAME_ACK,
	 N(OFF_10 "\0\0\0\0\0\0\3\347")},
	{"ACK while opening", SESSION_NEAR, OPENING, FRAME_ACK,
	 N(OFF_0 LIM_1000)},
	{"ACK too short", SESSION_NEAR, SENT, FRAME_ACK, N(OFF_10)},
	{"RESET too long", SESSION_NEAR, OPEN, FRAME_RESET, N("\0\1\0")},
	{"RESET without reason", SESSION_FAR, OPEN, FRAME_RESET, N("")},
	{"DGRAM too short", SESSION_FAR, UP, FRAME_DGRAM, N("\4\21\100")},
	{"DGRAM of no version", SESSION_FAR, UP, FRAME_DGRAM,
	 N("\5\21\100\0\0\0\0\1"
	   "1234\0\0\0\0\0\0\0\0\0\0\0\0x")},
	{"ICMP_ERROR to the far end", SESSION_FAR, UP, FRAME_ICMP_ERROR,
	 N("\4\21\3\1\0\0\0\0\0\1\0\1"
	   "1234\0\0\0\0\0\0\0\0\0\0\0\0"
	   "1234\0\0\0\0\0\0\0\0\0\0\0\0")},
	{"ICMP_ERROR too short", SESSION_NEAR, UP, FRAME_ICMP_ERROR,
	 N("\4\21\3\1")},
	{"ASSOC_CLOSE too short", SESSION_NEAR, UP, FRAME_ASSOC_CLOSE, N("\0")},
	{"RESOLVE to the near end", SESSION_NEAR, UP, FRAME_RESOLVE, N("dns")},
	{"RESOLVED to the far end", SESSION_FAR, UP, FRAME_RESOLVED,
	 N("\0\0dns")},
	{"RESOLVED without status", SESSION_NEAR, UP, FRAME_RESOLVED, N("\0")},
	{"RECEIVED over no line", SESSION_NEAR, UP, FRAME_RECEIVED,
	 N("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
	{"RECEIVED too short", SESSION_FAR, UP, FRAME_RECEIVED,
	 N("\0\0\0\0\0\0\0\0")},
	{"DROPS to the far end", SESSION_FAR, UP, FRAME_DROPS, N("")},
	{"DROPS cut short", SESSION_NEAR, UP, FRAME_DROPS, N("\5trunc")},
};

static void reach(struct session_rig *rig, enum stage stage)
{
	struct frame_open o = {.proto = 6, .ttl = 64};

	o.dst.addr.version = o.src.addr.version = IPV4;
	if (stage == UP)
		return;
	if (stage == OPENING) {
		if (rig->s->role == SESSION_FAR)
			give_open(rig, ID, 1000);
		else
			assert_non_null(session_open(rig->s, rig, &o));
		session_rig_settle(rig);
		return;
	}
	struct stream *st = open_stream(rig, 1000);
	assert_int_equal(st->id, ID);
	if (stage == SENT)
		write_bytes(st, 10);
	if (stage == RECEIVED || stage == FINISHED)
		give_data(rig, ID, 0, 10);
	if (stage == FINISHED)
		give_u64(rig, FRAME_FIN, ID, 10);
	session_rig_settle(rig);
}

static void each_breach_ends_the_session_with_bye(void **state)
{
	for (size_t i = 0; i < sizeof(breaches) / sizeof(*breaches); i++) {
		const struct breach *b = &breaches[i];
		struct session_rig *rig = session_rig_new(b->role);

		print_message("# %s\n", b->name);
		session_rig_greet(rig);
		reach(rig, b->stage);
		session_rig_forget(rig);
		assert_int_equal(rig->n.down, 0);
		session_rig_give(rig, b->type, ID, b->body, b->len);
		expect_bye(rig, FRAME_BYE_PROTOCOL, "breaks the session");
		assert_int_equal(session_end(rig->s), SESSION_END_SAID);
		/* What else comes is no more of interest. */
		session_rig_give(rig, FRAME_PING, 0, "12345678", 8);
		session_rig_advance(rig, 100 * SECOND);
		expect_silence(rig);
		assert_int_equal(rig->n.down, 1);
		(void)session_rig_free(rig);
	}
	*state = NULL;
}

static void oversized_query_is_a_breach(void **state)
{
	struct session_rig *rig = *state;
	static const uint8_t query[FRAME_QUERY_MAX + 1];

	session_rig_give(rig, FRAME_RESOLVE, 5, query, FRAME_QUERY_MAX);
	assert_int_equal(rig->n.resolve, 1);
	session_rig_give(rig, FRAME_RESOLVE, 6, query, sizeof(query));
	expect_bye(rig, FRAME_BYE_PROTOCOL, "breaks");
}

static void data_up_to_the_limit_is_taken_and_a_byte_more_is_not(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1000);
	uint64_t limit = st->rx_limit, at = 0;

	for (; at + 10000 < limit; at += 10000)
		give_data(rig, ID, at, 10000);
	give_data(rig, ID, at, limit - at);
	assert_int_equal(rig->n.down, 0);
	assert_int_equal(ring_len(&st->rx), limit);
	session_rig_forget(rig);
	give_data(rig, ID, limit, 1);
	expect_bye(rig, FRAME_BYE_PROTOCOL, "breaks");
}

struct bad_id {
	uint32_t before, id;
};

static void stream_ids_are_odd_and_grow(void **state)
{
	static const struct bad_id cases[] = {
		{0, 2},
		{0, 0},
		{0, UINT32_MAX},
		{5, 5},
		{5, 3},
		{5, 4},
		{UINT32_MAX - 2, 1},
		{UINT32_MAX - 2, UINT32_MAX},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct session_rig *rig = session_rig_new(SESSION_FAR);

		session_rig_greet(rig);
		if (cases[i].before)
			give_open(rig, cases[i].before, 1000);
		session_rig_forget(rig);
		assert_int_equal(rig->n.down, 0);
		give_open(rig, cases[i].id, 1000);
		expect_bye(rig, FRAME_BYE_PROTOCOL, "breaks");
		(void)session_rig_free(rig);
	}
	*state = NULL;
}

static void ids_are_used_up_once(void **state)
{
	struct session_rig *rig = *state;
	struct frame_open o = {.proto = 6, .ttl = 64};

	o.dst.addr.version = o.src.addr.version = IPV4;
	rig->s->next_id = UINT32_MAX - 2;
	struct stream *st = session_open(rig->s, rig, &o);
	assert_non_null(st);
	assert_int_equal(st->id, UINT32_MAX - 2);
	assert_null(session_open(rig->s, rig, &o));
	session_rig_settle(rig);
	assert_int_equal(rig->n.down, 1);
}

static void frames_of_finished_ids_are_counted_and_ignored(void **state)
{
	static const uint8_t types[] = {FRAME_OPENED, FRAME_REFUSED,
					FRAME_DATA,   FRAME_FIN,
					FRAME_ACK,    FRAME_RESET};
	struct session_rig *rig = *state;

	for (size_t i = 0; i < sizeof(types); i++) {
		session_rig_give(rig, types[i], 77, "nonsense", 8);
		assert_int_equal(session_stats(rig->s)->drops[DROP_STALE_FRAME],
				 i + 1);
	}
	assert_int_equal(rig->n.down, 0);
}

static void unknown_hints_are_ignored(void **state)
{
	struct session_rig *rig = *state;
	static const uint8_t body[FRAME_BODY_MAX];

	for (unsigned type = 0x81; type <= 0xff; type++)
		session_rig_give(rig, (uint8_t)type, type, body,
				 type == 0xff ? sizeof(body) : type);
	assert_int_equal(rig->n.down, 0);
	expect_silence(rig);
}

/* ---- bytes out ---- */

static void bytes_leave_in_frames_within_the_window(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 40000);
	uint64_t at = 0;

	write_bytes(st, 100000);
	session_rig_settle(rig);
	while (at < 40000)
		at += expect_data(rig, at);
	assert_int_equal(at, 40000);
	expect_silence(rig);
	/* What was sent is not kept, but counts until it is acknowledged. */
	assert_int_equal(ring_len(&st->tx), 60000);
	assert_int_equal(stream_tx_unacked(st), 100000);
	give_ack(rig, ID, 10000, 50000);
	assert_int_equal(stream_tx_unacked(st), 90000);
	at += expect_data(rig, at);
	assert_int_equal(at, 50000);
	expect_silence(rig);
	assert_int_equal(rig->n.writable, 1);
}

static void fin_follows_the_last_byte_and_needs_no_window(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 500);

	write_bytes(st, 600);
	stream_write_fin(st);
	stream_write_fin(st);
	session_rig_settle(rig);
	assert_int_equal(expect_data(rig, 0), 500);
	expect_silence(rig);
	give_ack(rig, ID, 500, 600);
	assert_int_equal(expect_data(rig, 500), 100);
	struct rig_frame *f = expect(rig, FRAME_FIN);
	assert_int_equal(bytes_get_u64(f->body), 600);
	free(f);
	expect_silence(rig);
	assert_int_equal(stream_tx_room(st), 0);
	give_ack(rig, ID, 600, 600);
	assert_false(st->tx_fin_acked);
	give_ack(rig, ID, 601, 600);
	assert_true(st->tx_fin_acked);
	assert_int_equal(rig->n.closed, 0);
}

static void fin_alone_needs_no_window_at_all(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 0);

	stream_write_fin(st);
	session_rig_settle(rig);
	expect_only(rig, FRAME_FIN);
	give_ack(rig, ID, 1, 0);
	assert_true(st->tx_fin_acked);
}

static void stream_closes_when_both_directions_are_finished(void **state)
{
	struct session_rig *rig = *state;

	/* Ours first, theirs first. */
	for (int order = 0; order < 2; order++) {
		struct stream *st = open_stream(rig, 1000);
		uint32_t id = st->id;

		rig->consumes_at_once = true;
		rig->n.closed = 0;
		write_bytes(st, 5);
		stream_write_fin(st);
		session_rig_settle(rig);
		if (order == 0)
			give_ack(rig, id, 6, 1000);
		assert_int_equal(rig->n.closed, 0);
		give_data(rig, id, 0, 7);
		give_u64(rig, FRAME_FIN, id, 7);
		if (order == 1) {
			assert_int_equal(rig->n.closed, 0);
			give_ack(rig, id, 6, 1000);
		}
		assert_int_equal(rig->n.closed, 1);
		session_rig_settle(rig);
		(void)expect_data(rig, 0);
		expect_only(rig, FRAME_FIN);
		/* The peer hears that all was consumed, FIN included. */
		uint64_t consumed = 0;
		struct rig_frame *f;
		while ((f = session_rig_pop(rig))) {
			assert_int_equal(f->header.type, FRAME_ACK);
			consumed = bytes_get_u64(f->body);
			free(f);
		}
		assert_int_equal(consumed, 8);
		assert_int_equal(session_stats(rig->s)->streams, 0);
	}
}

/* ---- acknowledgements ---- */

static void small_consumption_is_acknowledged_after_25_ms(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1000);

	/* Past the first, smaller promise. */
	rig->consumes_at_once = true;
	give_data(rig, ID, 0, 60000);
	session_rig_advance(rig, SECOND);
	session_rig_forget(rig);
	give_data(rig, ID, 60000, 100);
	session_rig_advance(rig, 24 * MS);
	expect_silence(rig);
	give_data(rig, ID, 60100, 100); /* does not put it off */
	session_rig_advance(rig, 1 * MS);
	expect_ack(rig, 60200, st->rx.start + SESSION_WINDOW_USUAL_BYTES);
	session_rig_advance(rig, SECOND);
	expect_silence(rig);
}

static void owed_acks_go_with_what_is_sent_anyway(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1000);

	rig->consumes_at_once = true;
	give_data(rig, ID, 0, 60000);
	session_rig_advance(rig, SECOND);
	session_rig_forget(rig);
	give_data(rig, ID, 60000, 100);
	expect_silence(rig);
	write_bytes(st, 10);
	session_rig_settle(rig);
	expect_ack(rig, 60100, 60100 + SESSION_WINDOW_USUAL_BYTES);
	(void)expect_data(rig, 0);
	session_rig_advance(rig, SECOND);
	expect_silence(rig);
}

static void quarter_of_the_window_is_acknowledged_at_once(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1000);
	uint64_t at = 0;

	rig->takes_max = SIZE_MAX;
	give_data(rig, ID, 0, 1000); /* opens the window wide */
	session_rig_advance(rig, SECOND);
	session_rig_forget(rig);
	uint64_t begin = at = 1000;
	uint64_t acked = begin;
	for (int i = 0; i < 200; i++) {
		give_data(rig, ID, at, 16000);
		at += 16000;
		struct rig_frame *f = session_rig_pop(rig);
		if (f) {
			assert_int_equal(f->header.type, FRAME_ACK);
			acked = bytes_get_u64(f->body);
			assert_int_equal(acked, at);
			free(f);
		}
		expect_silence(rig);
		assert_true(at - acked <=
			    SESSION_WINDOW_USUAL_BYTES / 4 + 16000);
	}
	assert_true(acked > begin);
	assert_int_equal(st->rx.cap, 0); /* never stored */
	assert_int_equal(rig->taken, at);
}

static void consumed_fin_is_acknowledged_at_once(void **state)
{
	struct session_rig *rig = *state;

	(void)open_stream(rig, 1000);
	rig->consumes_at_once = true;
	give_u64(rig, FRAME_FIN, ID, 0);
	struct rig_frame *f = expect(rig, FRAME_ACK);
	assert_int_equal(bytes_get_u64(f->body), 1);
	free(f);
}

static void unread_bytes_are_not_acknowledged(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1000);

	give_data(rig, ID, 0, 50000);
	give_u64(rig, FRAME_FIN, ID, 50000);
	session_rig_advance(rig, 10 * SECOND);
	expect_silence(rig);
	stream_consume(st, 30000);
	session_rig_advance(rig, 100 * MS);
	struct rig_frame *f = expect(rig, FRAME_ACK);
	assert_int_equal(bytes_get_u64(f->body), 30000);
	free(f);
	expect_silence(rig);
}

/* ---- windows and memory ---- */

static void windows_are_shares_of_the_budget(void **state)
{
	struct session_rig *rig = *state;
	unsigned n = 0;

	static const struct {
		unsigned n;
		uint32_t first;
	} steps[] = {
		{1, 256 << 10},	  {512, 256 << 10}, {1024, 128 << 10},
		{8192, 16 << 10}, {8300, 16 << 10},
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		struct stream *st = NULL;

		while (n < steps[i].n) {
			st = open_stream(rig, 1000);
			n++;
		}
		assert_non_null(st);
		assert_int_equal(st->rx_limit, steps[i].first);
	}
	/* Idle ones do not count for one that works. */
	rig->takes_max = SIZE_MAX;
	give_data(rig, ID, 0, 1000);
	session_rig_advance(rig, 100 * MS);
	expect_ack(rig, 1000, 1000 + SESSION_WINDOW_USUAL_BYTES);
}

static void loaded_streams_share_and_promises_are_kept(void **state)
{
	enum { N = 512 };
	struct session_rig *rig = *state;
	struct stream *streams[N];

	for (int i = 0; i < N; i++) {
		streams[i] = open_stream(rig, 1000);
		give_data(rig, streams[i]->id, 0, 1);
	}
	assert_int_equal(stream_tx_room(streams[0]), SESSION_BUDGET_BYTES / N);
	stream_consume(streams[0], 1);
	session_rig_advance(rig, 100 * MS);
	/* The first promise was larger than the share is now, by nothing. */
	expect_ack(rig, 1, 1 + SESSION_BUDGET_BYTES / N);
	for (int i = 1; i < N; i++)
		stream_consume(streams[i], 1);
	session_rig_advance(rig, 3 * SECOND);
	assert_int_equal(rig->s->n_loaded, 0);
	assert_int_equal(rig->s->stored_bytes, 0);
	assert_int_equal(stream_tx_room(streams[0]),
			 SESSION_WINDOW_USUAL_BYTES);
}

static void emptied_storage_is_given_back_in_two_seconds(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 99999);

	write_bytes(st, 100000);
	give_data(rig, ID, 0, 60000);
	session_rig_settle(rig);
	assert_true(st->tx.cap >= 100000 && st->rx.cap >= 60000);
	assert_int_equal(rig->s->stored_bytes, st->tx.cap + st->rx.cap);
	stream_consume(st, 60000);
	session_rig_advance(rig, 2 * SECOND);
	assert_int_equal(st->rx.cap, 0);
	assert_true(st->tx.cap >= 100000); /* holds a byte */
	give_ack(rig, ID, 99999, 1 << 20);
	session_rig_advance(rig, 2 * SECOND);
	assert_int_equal(st->tx.cap, 0);
	assert_int_equal(rig->s->stored_bytes, 0);
	/* And nothing keeps the loop busy. */
	assert_true(loop_next_timer_us(rig->loop) > 5 * SECOND);
	/* Offsets go on where they were. */
	give_data(rig, ID, 60000, 10);
	write_bytes(st, 10);
	session_rig_settle(rig);
	assert_int_equal(rig->n.down, 0);
}

static void stream_is_reset_when_memory_is_used_up(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1 << 20);
	static const uint8_t bytes[100];

	rig->s->stored_bytes = SESSION_STORED_MAX_BYTES;
	assert_int_equal(stream_write(st, bytes, sizeof(bytes)), -ENOMEM);
	give_data(rig, ID, 0, 100);
	rig->s->stored_bytes = 0;
	assert_int_equal(rig->n.reset, 1);
	assert_int_equal(rig->reason, FRAME_REASON_NO_RESOURCES);
	struct rig_frame *f = expect(rig, FRAME_RESET);
	assert_int_equal(bytes_get_u16(f->body), FRAME_REASON_NO_RESOURCES);
	free(f);
	assert_int_equal(rig->n.down, 0);
}

static void too_many_streams_are_refused(void **state)
{
	struct session_rig *rig = *state;

	for (uint32_t i = 0; i < SESSION_STREAMS_MAX; i++)
		give_open(rig, 2 * i + 1, 1000);
	assert_int_equal(rig->n.open, SESSION_STREAMS_MAX);
	session_rig_forget(rig);
	give_open(rig, 2 * SESSION_STREAMS_MAX + 1, 1000);
	assert_int_equal(rig->n.open, SESSION_STREAMS_MAX);
	struct rig_frame *f = expect(rig, FRAME_REFUSED);
	assert_int_equal(f->header.id, 2 * SESSION_STREAMS_MAX + 1);
	assert_int_equal(bytes_get_u16(f->body), FRAME_REASON_NO_RESOURCES);
	free(f);
	assert_int_equal(rig->n.down, 0);
}

static void near_end_opens_no_more_than_the_limit(void **state)
{
	struct session_rig *rig = *state;
	struct frame_open o = {.proto = 6, .ttl = 64};

	o.dst.addr.version = o.src.addr.version = IPV4;
	for (uint32_t i = 0; i < SESSION_STREAMS_MAX; i++)
		assert_non_null(session_open(rig->s, rig, &o));
	assert_null(session_open(rig->s, rig, &o));
	session_rig_settle(rig);
	assert_int_equal(rig->n.down, 0);
}

static void hundred_thousand_streams_leave_nothing_behind(void **state)
{
	struct session_rig *rig = *state;
	static const struct frame_refused no = {.reason = FRAME_REASON_REFUSED};

	rig->consumes_at_once = true;
	for (uint32_t i = 0; i < 100000; i++) {
		uint32_t id = 2 * i + 1;

		give_open(rig, id, 1000);
		struct stream *st = rig->stream;
		switch (i % 4) {
		case 0:
			session_refuse(st, &no);
			break;
		case 1:
			session_accept(st);
			session_rig_give(rig, FRAME_RESET, id, "\0\10", 2);
			break;
		case 2:
			session_accept(st);
			write_bytes(st, 100);
			stream_reset(st, FRAME_REASON_RESET);
			break;
		default:
			session_accept(st);
			write_bytes(st, 10);
			stream_write_fin(st);
			session_rig_settle(rig);
			give_data(rig, id, 0, 10);
			give_u64(rig, FRAME_FIN, id, 10);
			give_ack(rig, id, 11, 1000);
			break;
		}
		session_rig_settle(rig);
		session_rig_forget(rig);
	}
	assert_int_equal(rig->n.closed, 25000);
	assert_int_equal(rig->n.down, 0);
	assert_int_equal(session_stats(rig->s)->streams, 0);
	assert_int_equal(rig->s->stored_bytes, 0);
	assert_int_equal(rig->s->n_loaded, 0);
	assert_true(rig->s->streams.n_buckets <= 64);
	session_rig_advance(rig, 3 * SECOND);
	assert_int_equal(rig->s->control.cap, 0);
}

/* ---- handlers that do drastic things ---- */

static void handlers_may_reset_the_stream(void **state)
{
	struct session_rig *rig = *state;

	for (int i = 0; i < 4; i++) {
		struct stream *st = open_stream(rig, 1000);
		uint32_t id = st->id;

		rig->takes_max = i == 0 ? SIZE_MAX : 0;
		rig->resets_on_data = i <= 1;
		rig->resets_on_readable = i == 2;
		rig->resets_on_writable = i == 3;
		if (i < 3) {
			give_data(rig, id, 0, 100);
		} else {
			write_bytes(st, 10);
			stream_write_fin(st);
			session_rig_settle(rig);
			give_ack(rig, id, 11, 1000);
		}
		session_rig_settle(rig);
		assert_null(rig->stream);
		assert_int_equal(session_stats(rig->s)->streams, 0);
		assert_int_equal(rig->n.closed, 0);
		session_rig_forget(rig);
	}
	assert_int_equal(rig->n.down, 0);
}

static void disowned_stream_goes_on_to_its_end(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1000);

	write_bytes(st, 100);
	stream_write_fin(st);
	stream_disown(st);
	rig->stream = NULL;
	session_rig_settle(rig);
	(void)expect_data(rig, 0);
	expect_only(rig, FRAME_FIN);
	give_ack(rig, ID, 101, 1000);
	give_data(rig, ID, 0, 5000);
	give_data(rig, ID, 5000, 5000);
	give_u64(rig, FRAME_FIN, ID, 10000);
	session_rig_settle(rig);
	assert_int_equal(session_stats(rig->s)->streams, 0);
	assert_int_equal(rig->n.closed, 0);
	assert_int_equal(rig->n.readable, 0);
}

static void stream_disowned_with_bytes_unread_ends_too(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1000);

	give_data(rig, ID, 0, 5000);
	stream_write_fin(st);
	stream_disown(st);
	rig->stream = NULL;
	session_rig_settle(rig);
	give_ack(rig, ID, 1, 1000);
	give_data(rig, ID, 5000, 5000);
	give_u64(rig, FRAME_FIN, ID, 10000);
	session_rig_settle(rig);
	assert_int_equal(session_stats(rig->s)->streams, 0);
	assert_int_equal(rig->s->stored_bytes, 0);
}

static void reset_ends_both_directions(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1000);

	write_bytes(st, 100);
	stream_reset(st, FRAME_REASON_TIMED_OUT);
	session_rig_settle(rig);
	struct rig_frame *f = expect(rig, FRAME_RESET);
	assert_int_equal(bytes_get_u16(f->body), FRAME_REASON_TIMED_OUT);
	free(f);
	expect_silence(rig);
	give_data(rig, ID, 0, 100); /* was under way */
	assert_int_equal(session_stats(rig->s)->drops[DROP_STALE_FRAME], 1);
	assert_int_equal(rig->n.reset, 0);
}

static void unknown_reasons_are_other_reasons(void **state)
{
	struct session_rig *rig = *state;

	(void)open_stream(rig, 1000);
	session_rig_give(rig, FRAME_RESET, ID, "\377\377", 2);
	assert_int_equal(rig->n.reset, 1);
	assert_int_equal(rig->reason, FRAME_REASON_OTHER);
}

/* ---- liveness ---- */

static void count(void *ctx)
{
	(*(int *)ctx)++;
}

/* As long as something is sent, and not once more than that. */
static void who_asked_may_look_while_bytes_are_sent(void **state)
{
	struct session_rig *rig = *state;
	struct busy busy = {0};
	int n = 0;

	session_rig_advance(rig, SECOND); /* the first PING is over */
	busy_stop(&busy);		  /* nothing to be stopped */
	busy_start(&busy, rig->loop, rig->s, count, &n);
	session_rig_advance(rig, 9 * SECOND);
	assert_int_equal(n, 0);
	session_ping(rig->s);
	session_rig_advance(rig, BUSY_US - 1);
	assert_int_equal(n, 0);
	session_rig_advance(rig, SECOND);
	assert_int_equal(n, 1);
	session_ping(rig->s);
	session_rig_advance(rig, SECOND);
	assert_int_equal(n, 2);
	session_ping(rig->s);
	busy_stop(&busy);
	session_rig_advance(rig, SECOND);
	assert_int_equal(n, 2);
}

static void silence_is_broken_by_ping_and_ended_after_45_s(void **state)
{
	struct session_rig *rig = *state;

	rig->s->stats.round_trip_us = 1; /* as if measured */
	session_rig_give(rig, FRAME_PONG, 0, "12345678", 8);
	session_rig_advance(rig, 1);
	session_rig_advance(rig, 14900 * MS);
	session_rig_forget(rig);
	session_rig_advance(rig, 100 * MS);
	expect_only(rig, FRAME_PING);
	session_rig_advance(rig, 15 * SECOND);
	expect_only(rig, FRAME_PING);
	session_rig_advance(rig, 14900 * MS);
	assert_int_equal(rig->n.down, 0);
	session_rig_advance(rig, 200 * MS);
	expect_bye(rig, FRAME_BYE_SILENCE, "45 s");
}

static void any_frame_breaks_the_silence(void **state)
{
	struct session_rig *rig = *state;

	for (int i = 0; i < 100; i++) {
		session_rig_advance(rig, 14 * SECOND);
		session_rig_give(rig, 0xf0, 0, "", 0);
	}
	assert_int_equal(rig->n.down, 0);
}

static void ping_is_answered_at_once_with_the_same_number(void **state)
{
	struct session_rig *rig = *state;

	give_u64(rig, FRAME_PING, 0, UINT64_C(0x0123456789abcdef));
	struct rig_frame *f = expect(rig, FRAME_PONG);
	assert_int_equal(bytes_get_u64(f->body), UINT64_C(0x0123456789abcdef));
	free(f);
}

static void pong_measures_the_round_trip_unless_made_up(void **state)
{
	struct session_rig *rig = *state;

	session_rig_forget(rig);
	session_ping(rig->s);
	session_rig_settle(rig);
	struct rig_frame *f = expect(rig, FRAME_PING);
	uint64_t number = bytes_get_u64(f->body);
	free(f);
	session_rig_advance(rig, 30 * MS);
	give_u64(rig, FRAME_PONG, 0, number - 1);
	give_u64(rig, FRAME_PONG, 0, number + 1);
	give_u64(rig, FRAME_PONG, 0, UINT64_MAX);
	assert_int_equal(session_stats(rig->s)->round_trip_us, 0);
	give_u64(rig, FRAME_PONG, 0, number);
	assert_int_equal(session_stats(rig->s)->round_trip_us, 30 * MS);
}

static void near_end_measures_the_round_trip_soon(void **state)
{
	struct session_rig *rig = *state;

	session_rig_advance(rig, 201 * MS);
	struct rig_frame *f = expect(rig, FRAME_PING);
	session_rig_advance(rig, 50 * MS);
	session_rig_give(rig, FRAME_PONG, 0, f->body, 8);
	free(f);
	assert_int_equal(session_stats(rig->s)->round_trip_us, 51 * MS);
	session_rig_advance(rig, 14 * SECOND);
	expect_silence(rig);
}

/* ---- what is in flight ---- */

static void give_received(struct session_rig *rig, uint64_t bytes)
{
	uint8_t frame[FRAME_FIXED_MAX];

	struct frame_received r = {.bytes = bytes,
				   .clock_us = loop_now_us(rig->loop)};

	session_rig_give_built(rig, frame, frame_build_received(frame, &r));
}

static void expect_received(struct session_rig *rig, uint64_t bytes,
			    uint32_t delay_us)
{
	struct rig_frame *f = expect(rig, FRAME_RECEIVED);

	assert_int_equal(f->header.len, 20);
	assert_int_equal(bytes_get_u64(f->body), bytes);
	assert_int_equal(bytes_get_u64(f->body + 8), loop_now_us(rig->loop));
	assert_int_equal(bytes_get_u32(f->body + 16), delay_us);
	free(f);
}

static void peer_is_told_what_came_after_2_ms(void **state)
{
	struct session_rig *rig = *state;

	rig->carrier.is_local = false;
	give_u64(rig, FRAME_PONG, 0, 1);
	session_rig_advance(rig, 1 * MS);
	expect_silence(rig);
	give_u64(rig, FRAME_PONG, 0, 1);
	session_rig_advance(rig, 1 * MS);
	expect_received(rig, 2 * 16, 1 * MS);
	session_rig_advance(rig, SECOND / 10);
	expect_silence(rig);
	/* RECEIVED itself is neither counted nor answered. */
	give_received(rig, 0);
	session_rig_advance(rig, SECOND / 20);
	expect_silence(rig);
	give_u64(rig, FRAME_PONG, 0, 1);
	session_rig_advance(rig, 2 * MS);
	expect_received(rig, 3 * 16, 2 * MS);
}

static void peer_is_told_of_many_bytes_at_once(void **state)
{
	struct session_rig *rig = *state;
	uint64_t at = 0;

	(void)open_stream(rig, 1000);
	session_rig_forget(rig);
	rig->carrier.is_local = false;
	rig->takes_max = SIZE_MAX;
	while (rig->s->rx_told == 0) {
		assert_true(at < SESSION_RECEIVED_BYTES);
		give_data(rig, ID, at, 10000);
		at += 10000;
		if (rig->s->rx_told > 0)
			break;
		session_rig_forget(rig); /* ACKs */
	}
	assert_int_equal(rig->s->rx_told, at / 10000 * (16 + 10000));
	assert_true(rig->s->rx_told >= SESSION_RECEIVED_BYTES);
	struct rig_frame *f = session_rig_pop(rig);
	assert_int_equal(f->header.type, FRAME_RECEIVED);
	free(f);
}

/* All DATA frames sent; returns their bytes with headers. */
static uint64_t take_data(struct session_rig *rig)
{
	struct rig_frame *f;
	uint64_t bytes = 0;

	while ((f = session_rig_pop(rig))) {
		assert_int_equal(f->header.type, FRAME_DATA);
		bytes += FRAME_HEADER_LEN + f->header.len;
		free(f);
	}
	return bytes;
}

static void no_more_is_sent_than_the_line_may_hold(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1 << 20);

	rig->carrier.is_local = false;
	write_bytes(st, 800000);
	session_rig_settle(rig);
	uint64_t sent = take_data(rig);
	assert_in_range(sent, GOVERNOR_FIRST_BYTES,
			GOVERNOR_FIRST_BYTES + FRAME_DATA_MAX + 100);
	session_rig_advance(rig, 20 * MS);
	expect_silence(rig);
	give_received(rig, sent);
	uint64_t more = take_data(rig);
	assert_true(more > GOVERNOR_FIRST_BYTES);
	assert_true(session_line(rig->s).rate > 0);
	assert_int_equal(session_line(rig->s).round_trip_min_us, 20 * MS);
}

/* A line of this rate has long been found. */
static void find_line(struct session_rig *rig, uint64_t rate)
{
	rig->carrier.is_local = false;
	rig->s->governor.phase = GOVERNOR_CRUISE;
	rig->s->governor.has_full_sample = true;
	rig->s->governor.rate = rate;
	rig->s->governor.allowed = 8 << 20;
}

/* What goes at once, but without what a flow sends first: that does not wait
 * for portions. */
static void send_portion(struct session_rig *rig)
{
	session_rig_settle(rig);
	session_rig_forget(rig);
	rig->s->pacer = (struct pacer){0};
	session_want_pump(rig->s);
	session_rig_settle(rig);
}

static uint64_t portion_at(struct session_rig *rig, struct stream *st,
			   uint64_t rate)
{
	find_line(rig, rate);
	write_bytes(st, 200000);
	send_portion(rig);
	uint64_t bytes = take_data(rig);

	ring_drop(&st->tx, st->tx.end);
	return bytes;
}

/* ssh makes one packet of it, and nothing of that comes out before its end. */
static void what_goes_at_once_is_no_lump(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 8 << 20);
	uint64_t full = FRAME_DATA_OVERHEAD + FRAME_DATA_MAX;

	/* 100, 50 and 10 Mbit/s. */
	assert_int_equal(portion_at(rig, st, 12500000), 3 * full);
	assert_int_equal(portion_at(rig, st, 6250000), full);
	assert_int_equal(portion_at(rig, st, 1250000), 2 * 6250);
}

/* What would be handed over beyond that could not be passed by anything. */
static void paced_carrier_gets_a_frame_at_a_time(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1 << 20);

	rig->carrier.is_local = false;
	write_bytes(st, 800000);
	session_rig_settle(rig);
	for (int i = 0; i < 2; i++) {
		session_rig_advance(rig, 100 * MS);
		give_received(rig, rig->s->governor.sent);
	}
	size_t frame = session_frame_bytes(rig->s);
	assert_in_range(frame, GOVERNOR_FRAME_LEAST_BYTES, 20000);
	(void)take_data(rig);
	rig->carrier.is_paced = true;
	rig->carrier_room = 2 * frame;
	session_ping(rig->s);
	session_rig_settle(rig);
	expect_only(rig, FRAME_PING);
	uint64_t sent = take_data(rig);
	assert_in_range(sent, frame, 3 * frame);
	expect_silence(rig);
}

static void expect_data_freely(struct session_rig *rig, bool is_free)
{
	struct rig_frame *f = expect(rig, FRAME_DATA);

	assert_int_equal(f->is_free, is_free);
	free(f);
}

/* The other end would take DATA that is not next for a breach. */
static void only_what_has_all_before_it_there_may_overtake(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1 << 20);

	rig->carrier.may_overtake = true;
	/* Not even OPEN need be there yet. */
	write_bytes(st, 10);
	session_rig_settle(rig);
	expect_data_freely(rig, false);
	write_bytes(st, 10);
	session_rig_settle(rig);
	expect_data_freely(rig, false);
	give_ack(rig, st->id, 20, 1 << 20);
	write_bytes(st, 10);
	session_rig_settle(rig);
	expect_data_freely(rig, true);
	/* That is on its way now. */
	write_bytes(st, 10);
	session_rig_settle(rig);
	expect_data_freely(rig, false);
	give_ack(rig, st->id, 30, 1 << 20);
	write_bytes(st, 10);
	session_rig_settle(rig);
	expect_data_freely(rig, false);
	/* What it owes others does not go with it. */
	give_ack(rig, st->id, 50, 1 << 20);
	write_bytes(st, 10);
	session_ping(rig->s);
	session_rig_settle(rig);
	struct rig_frame *ping = expect(rig, FRAME_PING);
	assert_false(ping->is_free);
	free(ping);
	expect_data_freely(rig, true);
	expect_silence(rig);
}

/* FIN has a place behind the bytes like any of them. */
static void the_end_of_a_stream_overtakes_none_of_its_bytes(void **state)
{
	struct session_rig *rig = *state;

	rig->carrier.may_overtake = true;
	for (int is_acked = 0; is_acked < 2; is_acked++) {
		struct stream *st = open_stream(rig, 1 << 20);

		write_bytes(st, 10);
		session_rig_settle(rig);
		expect_data_freely(rig, false);
		give_ack(rig, st->id, 10, 1 << 20);
		if (!is_acked) {
			write_bytes(st, 10);
			session_rig_settle(rig);
			expect_data_freely(rig, true);
		}
		stream_write_fin(st);
		session_rig_settle(rig);
		struct rig_frame *f = expect(rig, FRAME_FIN);
		assert_int_equal(f->is_free, is_acked);
		free(f);
		expect_silence(rig);
	}
}

static void streams_with_much_to_send_overtake_nothing(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1 << 20);
	unsigned n_free = 0;
	struct rig_frame *f;

	rig->carrier.may_overtake = true;
	write_bytes(st, 10);
	session_rig_settle(rig);
	expect_data_freely(rig, false);
	give_ack(rig, st->id, 10, 1 << 20);
	write_bytes(st, 400000);
	session_rig_settle(rig);
	while ((f = session_rig_pop(rig))) {
		n_free += f->is_free;
		free(f);
	}
	assert_int_equal(n_free, 1); /* the first of them */
	/* Not even when all of it is there, while it has more. */
	write_bytes(st, 400000);
	rig->carrier_room = 3 * SCHED_QUANTUM_MAX_BYTES;
	session_rig_settle(rig);
	give_ack(rig, st->id, st->tx.start, 2 << 20);
	while ((f = session_rig_pop(rig)))
		free(f);
	session_rig_drain(rig, SIZE_MAX);
	expect_data_freely(rig, false);
	(void)take_data(rig);
}

static void control_frames_pass_a_full_line(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1 << 20);

	rig->carrier.is_local = false;
	write_bytes(st, 800000);
	session_rig_settle(rig);
	(void)take_data(rig);
	session_ping(rig->s);
	session_rig_settle(rig);
	expect_only(rig, FRAME_PING);
	expect_silence(rig);
}

static void bytes_never_sent_are_not_received(void **state)
{
	struct session_rig *rig = *state;

	rig->carrier.is_local = false;
	session_ping(rig->s);
	session_rig_settle(rig);
	expect_only(rig, FRAME_PING);
	give_received(rig, 17);
	expect_bye(rig, FRAME_BYE_PROTOCOL, "0x05");
}

static void received_bytes_are_not_taken_back(void **state)
{
	struct session_rig *rig = *state;

	rig->carrier.is_local = false;
	session_ping(rig->s);
	session_rig_settle(rig);
	expect_only(rig, FRAME_PING);
	give_received(rig, 16);
	expect_silence(rig);
	give_received(rig, 15);
	expect_bye(rig, FRAME_BYE_PROTOCOL, "0x05");
}

static void peer_that_never_tells_is_given_up(void **state)
{
	struct session_rig *rig = *state;

	rig->carrier.is_local = false;
	session_ping(rig->s);
	for (int i = 0; i < 61 && rig->n.down == 0; i++) {
		session_rig_forget(rig);
		give_u64(rig, FRAME_PONG, 0, 0);
		session_rig_forget(rig);
		session_rig_advance(rig, SECOND);
	}
	assert_int_equal(rig->n.down, 1);
	assert_non_null(strstr(rig->down_why.text, "received"));
}

static void room_of_an_owner_grows_when_its_bytes_leave(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1 << 20);

	rig->carrier.is_local = false;
	write_bytes(st, 1 << 20);
	assert_int_equal(stream_tx_room(st), 0);
	session_rig_settle(rig);
	uint64_t sent = take_data(rig);
	session_rig_advance(rig, 10 * MS);
	assert_int_equal(rig->n.writable, 0);
	while (sent < 700000) {
		give_received(rig, sent);
		sent += take_data(rig);
		session_rig_advance(rig, 10 * MS);
	}
	assert_int_equal(rig->n.writable, 1);
}

/* ---- datagrams ---- */

static enum drop_reason send_dgram(struct session_rig *rig,
				   struct dgram_queue *q, size_t len)
{
	static const uint8_t payload[FRAME_DGRAM_MAX];
	struct frame_dgram d = {
		.proto = 17, .ttl = 64, .payload = payload, .payload_len = len};

	d.remote.addr.version = IPV4;
	return session_send_dgram(rig->s, q, &d);
}

static void small_frames_go_together(void **state)
{
	struct session_rig *rig = *state;
	struct dgram_queue q;
	struct rig_frame *f;
	unsigned n = 0;

	find_line(rig, 3250000); /* a portion of 16,251 bytes */
	dgram_queue_init(&q, 2);
	for (int i = 0; i < 60; i++)
		assert_int_equal(send_dgram(rig, &q, 1250), DROP_NONE);
	send_portion(rig);
	while ((f = session_rig_pop(rig))) {
		n += f->header.type == FRAME_DGRAM;
		free(f);
	}
	assert_int_equal(n, FRAME_DATA_MAX / (FRAME_DGRAM_OVERHEAD + 1250));
	dgram_queue_fini(&q);
}

static void datagrams_may_overtake(void **state)
{
	struct session_rig *rig = *state;
	struct dgram_queue q;

	rig->carrier.may_overtake = true;
	dgram_queue_init(&q, 2);
	assert_int_equal(send_dgram(rig, &q, 10), DROP_NONE);
	session_rig_settle(rig);
	struct rig_frame *f = expect(rig, FRAME_DGRAM);
	assert_true(f->is_free);
	free(f);
	dgram_queue_fini(&q);
}

/* The rig's send_free looks at how much it is given. */
static void the_longest_datagrams_fit_into_what_may_overtake(void **state)
{
	struct session_rig *rig = *state;
	struct dgram_queue q[4];
	struct rig_frame *f;
	unsigned n = 0;

	rig->carrier.is_local = false;
	rig->carrier.is_paced = rig->carrier.may_overtake = true;
	assert_int_equal(session_frame_bytes(rig->s), FRAME_BODY_MAX);
	/* One less than it takes to be the last of a send, and then those. */
	for (uint32_t i = 0; i < 4; i++) {
		dgram_queue_init(&q[i], 2 + i);
		assert_int_equal(
			send_dgram(rig, &q[i], FRAME_DGRAM_MAX - (i == 0)),
			DROP_NONE);
	}
	session_rig_settle(rig);
	while ((f = session_rig_pop(rig))) {
		n += f->header.type == FRAME_DGRAM && f->is_free;
		free(f);
	}
	assert_int_equal(n, 4);
	for (int i = 0; i < 4; i++)
		dgram_queue_fini(&q[i]);
}

static void waiting_datagrams_are_bounded_in_number(void **state)
{
	struct session_rig *rig = *state;
	struct dgram_queue q;

	dgram_queue_init(&q, 5);
	rig->carrier_room = 0;
	for (int i = 0; i < SESSION_DGRAM_QUEUE_MAX; i++)
		assert_int_equal(send_dgram(rig, &q, 10), DROP_NONE);
	assert_int_equal(send_dgram(rig, &q, 10), DROP_QUEUE_FULL);
	session_rig_drain(rig, SIZE_MAX);
	for (int i = 0; i < SESSION_DGRAM_QUEUE_MAX; i++)
		expect_only(rig, FRAME_DGRAM);
	expect_silence(rig);
	assert_int_equal(q.n, 0);
	assert_int_equal(q.bytes, 0);
	assert_int_equal(send_dgram(rig, &q, 10), DROP_NONE);
	dgram_queue_fini(&q);
}

static void waiting_datagrams_are_bounded_in_bytes(void **state)
{
	struct session_rig *rig = *state;
	struct dgram_queue q;
	unsigned n = 0;

	dgram_queue_init(&q, 5);
	rig->carrier_room = 0;
	while (send_dgram(rig, &q, FRAME_DGRAM_MAX) == DROP_NONE)
		n++;
	assert_true(q.bytes <= SESSION_DGRAM_QUEUE_BYTES);
	assert_int_equal(n, SESSION_DGRAM_QUEUE_BYTES /
				    (FRAME_DGRAM_MAX + FRAME_DGRAM_OVERHEAD));
	assert_int_equal(send_dgram(rig, &q, 100), DROP_NONE); /* still fits */
	dgram_queue_fini(&q);
	assert_int_equal(rig->s->dgram_bytes, 0);
	session_rig_drain(rig, SIZE_MAX);
	expect_silence(rig);
}

static void all_associations_together_are_bounded(void **state)
{
	enum { N = 300 };
	struct session_rig *rig = *state;
	struct dgram_queue q[N];
	size_t bytes = 0;

	rig->carrier_room = 0;
	for (uint32_t i = 0; i < N; i++) {
		dgram_queue_init(&q[i], i);
		while (send_dgram(rig, &q[i], 60000) == DROP_NONE)
			bytes += 60000 + FRAME_DGRAM_OVERHEAD;
	}
	assert_in_range(bytes, SESSION_DGRAM_TOTAL_BYTES - 61000,
			SESSION_DGRAM_TOTAL_BYTES);
	assert_int_equal(rig->s->dgram_bytes, bytes);
	for (int i = 0; i < N; i++)
		dgram_queue_fini(&q[i]);
	assert_int_equal(rig->s->dgram_bytes, 0);
}

static void stale_datagrams_are_dropped(void **state)
{
	struct session_rig *rig = *state;
	struct dgram_queue q;

	dgram_queue_init(&q, 5);
	rig->carrier_room = 0;
	assert_int_equal(send_dgram(rig, &q, 10), DROP_NONE);
	session_rig_advance(rig, SESSION_DGRAM_AGE_US / 2);
	assert_int_equal(send_dgram(rig, &q, 20), DROP_NONE);
	session_rig_advance(rig, SESSION_DGRAM_AGE_US / 2 + 1);
	rig->s->stats.drops[DROP_STALE_DATAGRAM] = 0;
	session_rig_drain(rig, SIZE_MAX);
	while (!list_is_empty(&rig->sent)) {
		struct rig_frame *f = session_rig_pop(rig);

		if (f->header.type == FRAME_DGRAM)
			assert_int_equal(f->header.len, 24 + 20);
		free(f);
	}
	assert_int_equal(session_stats(rig->s)->drops[DROP_STALE_DATAGRAM], 1);
	assert_int_equal(q.n, 0);
	/* Nothing but stale ones: nothing is sent, and the queue works on. */
	rig->carrier_room = 0;
	assert_int_equal(send_dgram(rig, &q, 30), DROP_NONE);
	session_rig_advance(rig, SESSION_DGRAM_AGE_US + 1);
	session_rig_drain(rig, SIZE_MAX);
	session_rig_forget(rig);
	assert_int_equal(send_dgram(rig, &q, 40), DROP_NONE);
	session_rig_settle(rig);
	expect_only(rig, FRAME_DGRAM);
	dgram_queue_fini(&q);
}

/* A queue of datagrams of this traffic class that stands at 10 ms for half a
 * second: two come in a millisecond, and two fill a batch.  Returns how many of
 * those sent carried CE. */
static unsigned stand(struct session_rig *rig, struct dgram_queue *q,
		      uint8_t tos)
{
	static const uint8_t payload[FRAME_DGRAM_MAX];
	struct frame_dgram d = {.proto = 17,
				.ttl = 64,
				.tos = tos,
				.payload = payload,
				.payload_len = sizeof(payload)};
	unsigned n_marked = 0;

	q->max_bytes = SESSION_DGRAM_TOTAL_BYTES;
	d.remote.addr.version = IPV4;
	for (int i = 0; i < 500; i++) {
		rig->carrier_room = 0;
		assert_int_equal(session_send_dgram(rig->s, q, &d), DROP_NONE);
		assert_int_equal(session_send_dgram(rig->s, q, &d), DROP_NONE);
		session_rig_advance(rig, 1000);
		if (q->n > 20)
			session_rig_drain(rig, 1);
		while (!list_is_empty(&rig->sent)) {
			struct rig_frame *f = session_rig_pop(rig);

			if (f->header.type == FRAME_DGRAM &&
			    (f->body[3] & 3) == 3)
				n_marked++;
			free(f);
		}
	}
	return n_marked;
}

static void standing_queue_tells_its_senders(void **state)
{
	struct session_rig *rig = *state;
	const struct session_stats *stats = session_stats(rig->s);
	struct dgram_queue q;

	dgram_queue_init(&q, 5);
	assert_int_equal(stand(rig, &q, 0xb8), 0); /* no ECN */
	assert_in_range(stats->drops[DROP_AQM], 3, 50);
	assert_int_equal(stats->tx_marks, 0);
	dgram_queue_fini(&q);

	uint64_t n_dropped = stats->drops[DROP_AQM];
	dgram_queue_init(&q, 5);
	unsigned n_marked = stand(rig, &q, 0xb8 | 2);
	assert_in_range(n_marked, 3, 50);
	assert_int_equal(stats->tx_marks, n_marked);
	assert_int_equal(stats->drops[DROP_AQM], n_dropped);
	dgram_queue_fini(&q);
}

static void datagrams_need_a_session(void **state)
{
	struct session_rig *rig = session_rig_new(SESSION_NEAR);
	struct dgram_queue q;

	*state = rig;
	dgram_queue_init(&q, 5);
	assert_int_equal(send_dgram(rig, &q, 10), DROP_NO_SESSION);
	session_rig_greet(rig);
	assert_int_equal(send_dgram(rig, &q, 10), DROP_NONE);
	session_rig_break(rig, "over");
	assert_int_equal(send_dgram(rig, &q, 10), DROP_NO_SESSION);
	dgram_queue_fini(&q);
}

/* ---- small frames ---- */

static void hints_are_dropped_while_many_wait_and_vital_frames_are_not(
	void **state)
{
	struct session_rig *rig = *state;
	unsigned pongs = 0, opened = 0;
	struct rig_frame *f;

	rig->carrier_room = 0;
	for (int i = 0; i < 10000; i++)
		give_u64(rig, FRAME_PING, 0, (uint64_t)i);
	assert_true(ring_len(&rig->s->control) <= SESSION_HINTS_BYTES + 100);
	for (uint32_t i = 0; i < 1000; i++) {
		give_open(rig, 2 * i + 1, 1000);
		session_accept(rig->stream);
	}
	session_rig_drain(rig, SIZE_MAX);
	while ((f = session_rig_pop(rig))) {
		pongs += f->header.type == FRAME_PONG;
		opened += f->header.type == FRAME_OPENED;
		free(f);
	}
	assert_int_equal(pongs, SESSION_HINTS_BYTES / 16 + 1);
	assert_int_equal(opened, 1000);
	assert_int_equal(session_stats(rig->s)->drops[DROP_QUEUE_FULL],
			 10000 - pongs);
}

static void peer_that_never_reads_is_given_up(void **state)
{
	struct session_rig *rig = *state;
	size_t bytes = 0;

	rig->carrier_room = 0;
	for (uint32_t id = 1; session_is_up(rig->s); id++) {
		session_send_assoc_close(rig->s, id, FRAME_REASON_NONE);
		bytes += FRAME_HEADER_LEN + 2;
	}
	session_rig_settle(rig);
	assert_in_range(bytes, SESSION_CONTROL_MAX_BYTES,
			SESSION_CONTROL_MAX_BYTES + 100);
	assert_int_equal(rig->n.down, 1);
	assert_non_null(strstr(rig->down_why.text, "does not read"));
}

static void far_end_tells_what_it_dropped(void **state)
{
	struct session_rig *rig = *state;
	uint64_t counts[DROP__N] = {0};

	session_count_drop(rig->s, DROP_POLICY);
	session_count_drop(rig->s, DROP_UDP_FILTERED);
	session_count_drop(rig->s, DROP_POLICY);
	expect_silence(rig);
	session_rig_advance(rig, 1100 * MS);
	struct rig_frame *f = expect(rig, FRAME_DROPS);
	assert_int_equal(frame_parse_drops(f->body, f->header.len, counts), 0);
	assert_int_equal(counts[DROP_POLICY], 2);
	assert_int_equal(counts[DROP_UDP_FILTERED], 1);
	free(f);
	session_rig_advance(rig, 10 * SECOND);
	expect_silence(rig);
}

/* ---- the carrier ---- */

static void nothing_is_sent_into_a_full_carrier(void **state)
{
	struct session_rig *rig = *state;
	struct stream *st = open_stream(rig, 1 << 20);

	rig->carrier_room = 0;
	write_bytes(st, 100000);
	give_u64(rig, FRAME_PING, 0, 5);
	session_rig_settle(rig);
	expect_silence(rig);
	session_rig_drain(rig, 1);    /* one send's worth */
	expect_only(rig, FRAME_PONG); /* small frames first */
	(void)expect_data(rig, 0);
	session_rig_forget(rig);
	assert_true(rig->sent_bytes < 300000);
}

static void broken_carrier_ends_the_session_once(void **state)
{
	struct session_rig *rig = *state;

	(void)open_stream(rig, 1000);
	session_rig_break(rig, "cut in two");
	session_rig_break(rig, "again");
	assert_int_equal(rig->n.down, 1);
	assert_string_equal(rig->down_why.text, "cut in two");
	assert_int_equal(session_end(rig->s), SESSION_END_CARRIER);
	session_rig_advance(rig, 100 * SECOND);
	expect_silence(rig);
}

static void bye_is_sent_before_the_end(void **state)
{
	struct session_rig *rig = *state;

	session_bye(rig->s, FRAME_BYE_DONE, "that was it");
	session_rig_settle(rig);
	struct rig_frame *f = expect(rig, FRAME_BYE);
	assert_int_equal(bytes_get_u16(f->body), FRAME_BYE_DONE);
	free(f);
}

#define NEAR(test) cmocka_unit_test_setup_teardown(test, setup_near, teardown)
#define FAR(test)  cmocka_unit_test_setup_teardown(test, setup_far, teardown)
#define OWN(test)  cmocka_unit_test_teardown(test, teardown)
#define BOTH(test)                                            \
	{#test "_near", test, setup_near, teardown, NULL},    \
	{                                                     \
#test "_far", test, setup_far, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OWN(far_end_greets_at_once),
		OWN(near_end_greets_in_answer),
		OWN(no_greeting_is_silence),
		OWN(versions_that_do_not_meet_are_both_named),
		OWN(a_later_version_that_still_speaks_ours_is_welcome),
		OWN(peers_own_bye_is_what_the_user_hears),
		OWN(bad_greetings_end_with_bye),
		OWN(each_breach_ends_the_session_with_bye),
		FAR(oversized_query_is_a_breach),
		BOTH(data_up_to_the_limit_is_taken_and_a_byte_more_is_not),
		OWN(stream_ids_are_odd_and_grow),
		NEAR(ids_are_used_up_once),
		BOTH(frames_of_finished_ids_are_counted_and_ignored),
		BOTH(unknown_hints_are_ignored),
		BOTH(bytes_leave_in_frames_within_the_window),
		BOTH(fin_follows_the_last_byte_and_needs_no_window),
		BOTH(fin_alone_needs_no_window_at_all),
		BOTH(stream_closes_when_both_directions_are_finished),
		BOTH(small_consumption_is_acknowledged_after_25_ms),
		BOTH(owed_acks_go_with_what_is_sent_anyway),
		BOTH(quarter_of_the_window_is_acknowledged_at_once),
		BOTH(consumed_fin_is_acknowledged_at_once),
		FAR(unread_bytes_are_not_acknowledged),
		FAR(windows_are_shares_of_the_budget),
		FAR(loaded_streams_share_and_promises_are_kept),
		BOTH(emptied_storage_is_given_back_in_two_seconds),
		BOTH(stream_is_reset_when_memory_is_used_up),
		FAR(too_many_streams_are_refused),
		NEAR(near_end_opens_no_more_than_the_limit),
		FAR(hundred_thousand_streams_leave_nothing_behind),
		BOTH(handlers_may_reset_the_stream),
		BOTH(disowned_stream_goes_on_to_its_end),
		BOTH(stream_disowned_with_bytes_unread_ends_too),
		BOTH(reset_ends_both_directions),
		BOTH(unknown_reasons_are_other_reasons),
		NEAR(who_asked_may_look_while_bytes_are_sent),
		FAR(silence_is_broken_by_ping_and_ended_after_45_s),
		BOTH(any_frame_breaks_the_silence),
		BOTH(ping_is_answered_at_once_with_the_same_number),
		FAR(pong_measures_the_round_trip_unless_made_up),
		NEAR(near_end_measures_the_round_trip_soon),
		NEAR(peer_is_told_what_came_after_2_ms),
		FAR(peer_is_told_of_many_bytes_at_once),
		FAR(no_more_is_sent_than_the_line_may_hold),
		FAR(what_goes_at_once_is_no_lump),
		FAR(small_frames_go_together),
		FAR(paced_carrier_gets_a_frame_at_a_time),
		FAR(only_what_has_all_before_it_there_may_overtake),
		FAR(the_end_of_a_stream_overtakes_none_of_its_bytes),
		FAR(streams_with_much_to_send_overtake_nothing),
		FAR(control_frames_pass_a_full_line),
		NEAR(bytes_never_sent_are_not_received),
		FAR(received_bytes_are_not_taken_back),
		FAR(peer_that_never_tells_is_given_up),
		FAR(room_of_an_owner_grows_when_its_bytes_leave),
		BOTH(datagrams_may_overtake),
		BOTH(the_longest_datagrams_fit_into_what_may_overtake),
		BOTH(waiting_datagrams_are_bounded_in_number),
		BOTH(waiting_datagrams_are_bounded_in_bytes),
		NEAR(all_associations_together_are_bounded),
		BOTH(stale_datagrams_are_dropped),
		BOTH(standing_queue_tells_its_senders),
		OWN(datagrams_need_a_session),
		FAR(hints_are_dropped_while_many_wait_and_vital_frames_are_not),
		FAR(peer_that_never_reads_is_given_up),
		FAR(far_end_tells_what_it_dropped),
		BOTH(nothing_is_sent_into_a_full_carrier),
		BOTH(broken_carrier_ends_the_session_once),
		BOTH(bye_is_sent_before_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
