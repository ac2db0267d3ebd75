/* SPDX-License-Identifier: MIT */
/* test_mux_msg: messages of ssh's control socket, as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "mux_msg.h"

static const struct mux_msg_end us = {
	.channel = 7, .window = 0x10000, .packet_max = 0x8000};

#define expect_bytes(out, len, wanted)                                \
	do {                                                          \
		assert_int_equal(len, sizeof(wanted) - 1);            \
		assert_memory_equal(out, wanted, sizeof(wanted) - 1); \
	} while (0)

static void control_messages_are_these_bytes(void **state)
{
	struct mux_msg_forward f = {.kind = MUX_MSG_FORWARD_REMOTE,
				    .listen_host = "*",
				    .listen_port = 80,
				    .connect_host = "/s",
				    .connect_port = MUX_MSG_PORT_PATH};
	uint8_t out[128];

	(void)state;
	expect_bytes(out, mux_msg_build_hello(out),
		     "\0\0\0\x08\0\0\0\x01\0\0\0\x04");
	expect_bytes(out, mux_msg_build_proxy(out, 9),
		     "\0\0\0\x08\x10\0\0\x0f\0\0\0\x09");
	expect_bytes(out, mux_msg_build_forward(out, sizeof(out), 2, &f),
		     "\0\0\0\x1f\x10\0\0\x06\0\0\0\x02\0\0\0\x02"
		     "\0\0\0\x01*\0\0\0\x50\0\0\0\x02/s\xff\xff\xff\xfe");
}

static void packets_are_these_bytes(void **state)
{
	uint8_t out[128];

	(void)state;
	expect_bytes(out, mux_msg_build_open_session(out, &us),
		     "\0\0\0\x19\0\x5a\0\0\0\x07session\0\0\0\x07\0\x01\0\0"
		     "\0\0\x80\0");
	expect_bytes(out,
		     mux_msg_build_open_tcpip(out, sizeof(out), &us, "h", 80,
					      "o", 81),
		     "\0\0\0\x30\0\x5a\0\0\0\x0c"
		     "direct-tcpip\0\0\0\x07\0\x01\0\0\0\0\x80\0"
		     "\0\0\0\x01h\0\0\0\x50\0\0\0\x01o\0\0\0\x51");
	expect_bytes(
		out,
		mux_msg_build_open_streamlocal(out, sizeof(out), &us, "/s"),
		"\0\0\0\x3e\0\x5a\0\0\0\x1e"
		"direct-streamlocal@openssh.com"
		"\0\0\0\x07\0\x01\0\0\0\0\x80\0\0\0\0\x02/s\0\0\0\0"
		"\0\0\0\0");
	expect_bytes(out, mux_msg_build_open_tun(out, &us, 0x7fffffff),
		     "\0\0\0\x29\0\x5a\0\0\0\x0ftun@openssh.com"
		     "\0\0\0\x07\0\x01\0\0\0\0\x80\0\0\0\0\x01\x7f\xff\xff"
		     "\xff");
	expect_bytes(out, mux_msg_build_adjust(out, 3, 5),
		     "\0\0\0\x0a\0\x5d\0\0\0\x03\0\0\0\x05");
	expect_bytes(out, mux_msg_build_data(out, 3, 5),
		     "\0\0\0\x0f\0\x5e\0\0\0\x03\0\0\0\x05");
	expect_bytes(out, mux_msg_build_tun(out, 3, 6, 40),
		     "\0\0\0\x36\0\x5e\0\0\0\x03\0\0\0\x2c\0\0\0\x18");
	expect_bytes(out, mux_msg_build_tun(out, 3, 4, 20),
		     "\0\0\0\x22\0\x5e\0\0\0\x03\0\0\0\x18\0\0\0\x02");
	expect_bytes(out, mux_msg_build_eof(out, 3),
		     "\0\0\0\x06\0\x60\0\0\0\x03");
	expect_bytes(out, mux_msg_build_close(out, 3),
		     "\0\0\0\x06\0\x61\0\0\0\x03");
	expect_bytes(out, mux_msg_build_failure(out, 3),
		     "\0\0\0\x06\0\x64\0\0\0\x03");
	expect_bytes(out, mux_msg_build_exec(out, sizeof(out), 3, "ls"),
		     "\0\0\0\x15\0\x62\0\0\0\x03\0\0\0\x04"
		     "exec\x01\0\0\0\x02ls");
	expect_bytes(out, mux_msg_build_probe(out, 3),
		     "\0\0\0\x20\0\x62\0\0\0\x03\0\0\0\x15"
		     "keepalive@openssh.com\x01");
}

static void what_does_not_fit_is_not_built(void **state)
{
	uint8_t out[64], whole[64];
	size_t len = mux_msg_build_exec(whole, sizeof(whole), 3, "ls");

	(void)state;
	for (size_t cap = MUX_MSG_HEADER_LEN; cap < len; cap++) {
		memset(out, 0xa5, sizeof(out));
		assert_int_equal(mux_msg_build_exec(out, cap, 3, "ls"), 0);
		assert_int_equal(out[cap], 0xa5);
	}
	assert_int_equal(mux_msg_build_exec(out, len, 3, "ls"), len);
}

static void stream_is_split_at_lengths(void **state)
{
	static const uint8_t two[] = "\0\0\0\x02"
				     "ab\0\0\0\0";
	static const uint8_t longest[] = {0, 4, 0, 0x40}; /* 256 KiB + 64 */
	static const uint8_t longer[] = {0, 4, 0, 0x41};
	const uint8_t *body;
	size_t len;

	(void)state;
	for (size_t n = 0; n < 6; n++)
		assert_int_equal(mux_msg_split(two, n, &body, &len), 0);
	assert_int_equal(mux_msg_split(two, 6, &body, &len), 6);
	assert_ptr_equal(body, two + 4);
	assert_int_equal(len, 2);
	assert_int_equal(mux_msg_split(two + 6, 4, &body, &len), 4);
	assert_int_equal(len, 0);
	assert_int_equal(mux_msg_split(longest, 4, &body, &len), 0);
	assert_int_equal(mux_msg_split(longer, 4, &body, &len), -EBADMSG);
}

/* A body, in which every shorter one must be refused from `least` down. */
struct body {
	const char *bytes;
	size_t len;
	size_t least; /* shortest that parses */
	bool may_be_longer;
};

#define BODY(text, shortest, longer)                     \
	{                                                \
		text, sizeof(text) - 1, shortest, longer \
	}

static void bodies_are_parsed_and_no_part_of_them(void **state)
{
	static const struct body bodies[] = {
		BODY("\0\x5b\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4", 18, true),
		BODY("\0\x5c\0\0\0\1\0\0\0\2\0\0\0\2no\0\0\0\0", 16, false),
		BODY("\0\x5d\0\0\0\1\0\0\0\2", 10, false),
		BODY("\0\x5e\0\0\0\1\0\0\0\2ab", 12, false),
		BODY("\0\x5f\0\0\0\1\0\0\0\1\0\0\0\2ab", 16, false),
		BODY("\0\x60\0\0\0\1", 6, false),
		BODY("\0\x61\0\0\0\1", 6, false),
		BODY("\0\x62\0\0\0\1\0\0\0\2ab\1", 13, true),
		BODY("\0\x63\0\0\0\1", 6, false),
		BODY("\0\x64\0\0\0\1", 6, false),
	};
	uint8_t longer[64];
	struct mux_msg m;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		const struct body *b = &bodies[i];
		const uint8_t *bytes = (const uint8_t *)b->bytes;

		assert_int_equal(mux_msg_parse(bytes, b->len, &m), 0);
		assert_int_equal(m.type, 91 + i);
		assert_int_equal(m.channel, 1);
		for (size_t n = 0; n < b->least; n++)
			assert_int_equal(mux_msg_parse(bytes, n, &m), -EBADMSG);
		memcpy(longer, bytes, b->len);
		longer[b->len] = 0;
		assert_int_equal(mux_msg_parse(longer, b->len + 1, &m),
				 b->may_be_longer ? 0 : -EBADMSG);
		longer[0] = 1; /* padding */
		assert_int_equal(mux_msg_parse(longer, b->len, &m), -EBADMSG);
	}
}

static void fields_are_found(void **state)
{
	static const uint8_t confirmation[] =
		"\0\x5b\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4";
	static const uint8_t failure[] = "\0\x5c\0\0\0\1\0\0\0\2\0\0\0\2no";
	static const uint8_t request[] = "\0\x62\0\0\0\1\0\0\0\2ab\1";
	static const uint8_t huge[] = "\0\x5e\0\0\0\1\xff\xff\xff\xff"
				      "ab";
	struct mux_msg m;

	(void)state;
	assert_int_equal(mux_msg_parse(confirmation, 18, &m), 0);
	assert_int_equal(m.sender, 2);
	assert_int_equal(m.window, 3);
	assert_int_equal(m.packet_max, 4);
	assert_int_equal(mux_msg_parse(failure, 16, &m), 0);
	assert_int_equal(m.reason, 2);
	assert_int_equal(m.len, 2);
	assert_memory_equal(m.bytes, "no", 2);
	assert_int_equal(mux_msg_parse(request, 13, &m), 0);
	assert_true(m.wants_reply);
	assert_memory_equal(m.bytes, "ab", 2);
	assert_int_equal(mux_msg_parse(huge, 12, &m), -EBADMSG);
}

static void other_types_are_told_apart(void **state)
{
	uint8_t body[16] = {0};
	struct mux_msg m;

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		body[1] = (uint8_t)type;
		int r = mux_msg_parse(body, 2, &m);
		assert_int_equal(r, type >= 91 && type <= 100 ? -EBADMSG
							      : -ENOMSG);
	}
}

static void control_messages_are_parsed(void **state)
{
	struct mux_msg_control c;

	(void)state;
#define parse(text) \
	mux_msg_parse_control((const uint8_t *)(text), sizeof(text) - 1, &c)
	assert_int_equal(parse("\0\0\0\1\0\0\0\4"), 0);
	assert_int_equal(c.version, 4);
	assert_int_equal(parse("\0\0\0\1\0\0\0\4\0\0\0\4info\0\0\0\1"
			       "0"),
			 0);
	assert_int_equal(parse("\0\0\0\1\0\0\0"), -EBADMSG);
	assert_int_equal(parse("\0\0\0"), -EBADMSG);
	assert_int_equal(parse("\x80\0\0\x0f\0\0\0\1"), 0);
	assert_int_equal(c.request, 1);
	assert_int_equal(parse("\x80\0\0\x0f\0\0\0\1\0"), -EBADMSG);
	assert_int_equal(parse("\x80\0\0\3\0\0\0\1\0\0\0\2no"), 0);
	assert_int_equal(c.text_len, 2);
	assert_int_equal(parse("\x80\0\0\3\0\0\0\1\0\0\0\3no"), -EBADMSG);
	assert_int_equal(parse("\x80\0\0\7\0\0\0\1\0\0\x1f\x90"), 0);
	assert_int_equal(c.port, 8080);
	assert_int_equal(parse("\x90\0\0\1..."), 0);
	assert_int_equal(c.type, 0x90000001);
#undef parse
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_messages_are_these_bytes),
		cmocka_unit_test(packets_are_these_bytes),
		cmocka_unit_test(what_does_not_fit_is_not_built),
		cmocka_unit_test(stream_is_split_at_lengths),
		cmocka_unit_test(bodies_are_parsed_and_no_part_of_them),
		cmocka_unit_test(fields_are_found),
		cmocka_unit_test(other_types_are_told_apart),
		cmocka_unit_test(control_messages_are_parsed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
