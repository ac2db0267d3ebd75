/* SPDX-License-Identifier: MIT */
/* test_frame: src/wire/frame against the layouts of doc/PROTOCOL.session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "frame.h"
#include "reference.h"

static uint8_t out[FRAME_FIXED_MAX];

/* Check the header of a frame of `len` bytes at out whose body is body_len
 * bytes long; returns the body. */
static const uint8_t *assert_header(size_t len, enum frame_type type,
				    size_t body_len, uint32_t id)
{
	struct frame_header h;

	assert_true(len <= FRAME_FIXED_MAX);
	assert_int_equal(frame_parse_header(out, &h), 0);
	assert_int_equal(h.type, type);
	assert_int_equal(h.len, body_len);
	assert_int_equal(h.id, id);
	assert_int_equal(out[0], type);
	return out + FRAME_HEADER_LEN;
}

static struct ip_addr addr_of(const char *text)
{
	struct ip_addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

/* ---- header ---- */

static void frame_header_is_type_length_id(void **state)
{
	static const uint8_t want[] = {0x13, 0x01, 0x00, 0x02, 1, 2, 3, 4};

	(void)state;
	assert_int_equal(
		frame_build_header(out, FRAME_DATA, 0x10002, 0x01020304),
		sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
}

static void frame_header_bounds_the_body(void **state)
{
	static const struct {
		uint32_t len;
		int result;
	} cases[] = {
		{0, 0},
		{1, 0},
		{FRAME_BODY_MAX - 1, 0},
		{FRAME_BODY_MAX, 0},
		{FRAME_BODY_MAX + 1, -EBADMSG},
		{0x7fffff, -EBADMSG},
		{0x800000, -EBADMSG},
		{0xffffff, -EBADMSG},
	};
	struct frame_header h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned type = 0; type <= 255; type++) {
			uint8_t in[FRAME_HEADER_LEN] = {0};

			ref_put32(in, type << 24 | cases[i].len);
			assert_int_equal(frame_parse_header(in, &h),
					 cases[i].result);
			if (cases[i].result == 0) {
				assert_int_equal(h.type, type);
				assert_int_equal(h.len, cases[i].len);
			}
		}
}

/* ---- HELLO ---- */

static struct frame_hello some_hello(void)
{
	struct frame_hello h = {
		.version_highest = FRAME_VERSION_HIGHEST,
		.version_lowest = FRAME_VERSION_LOWEST,
		.capabilities = FRAME_CAP_ECHO | FRAME_CAP_IPV6 | 1U << 31,
		.software = "0.1",
		.user = "alice",
	};

	memset(h.session_id, 0x11, sizeof(h.session_id));
	memset(h.resume_token, 0x22, sizeof(h.resume_token));
	return h;
}

static void frame_hello_parses_back(void **state)
{
	static const char *const gateways[][2] = {
		{NULL, NULL},
		{"192.0.2.1", NULL},
		{NULL, "2001:db8::1"},
		{"192.0.2.1", "2001:db8::1"},
	};
	struct frame_hello got;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct frame_hello h = some_hello();

		if (gateways[i][0])
			h.gateway4 = addr_of(gateways[i][0]);
		if (gateways[i][1])
			h.gateway6 = addr_of(gateways[i][1]);
		h.tells_sandbox = i % 2;
		h.sandbox = i % 2 ? FRAME_SANDBOX_LANDLOCK : 0;
		if (i == 1)
			h.resolver = addr_of("192.0.2.53");
		if (i == 2)
			h.resolver = addr_of("2001:db8::53");
		size_t len = frame_build_hello(out, &h);
		const uint8_t *body = assert_header(len, FRAME_HELLO,
						    len - FRAME_HEADER_LEN, 0);
		assert_memory_equal(body, "ECSH", 4);
		assert_int_equal(
			frame_parse_hello(body, len - FRAME_HEADER_LEN, &got),
			0);
		assert_int_equal(got.version_highest, h.version_highest);
		assert_int_equal(got.version_lowest, h.version_lowest);
		assert_int_equal(got.capabilities, h.capabilities);
		assert_memory_equal(got.session_id, h.session_id, 16);
		assert_memory_equal(got.resume_token, h.resume_token, 16);
		assert_string_equal(got.software, h.software);
		assert_string_equal(got.user, h.user);
		assert_true(addr_equal(&got.gateway4, &h.gateway4));
		assert_true(addr_equal(&got.gateway6, &h.gateway6));
		assert_int_equal(got.tells_sandbox, h.tells_sandbox);
		assert_int_equal(got.sandbox, h.sandbox);
		assert_true(addr_equal(&got.resolver, &h.resolver));
	}
}

static void frame_hello_keeps_the_longest_texts(void **state)
{
	struct frame_hello h = some_hello(), got;

	(void)state;
	memset(h.software, 's', sizeof(h.software) - 1);
	memset(h.user, 'u', sizeof(h.user) - 1);
	size_t len = frame_build_hello(out, &h);
	assert_int_equal(frame_parse_hello(out + FRAME_HEADER_LEN,
					   len - FRAME_HEADER_LEN, &got),
			 0);
	assert_string_equal(got.software, h.software);
	assert_string_equal(got.user, h.user);
}

/* A HELLO body of 44 fixed bytes and the options given. */
static size_t put_hello(uint8_t *body, const void *options, size_t options_len)
{
	memset(body, 0, 44);
	memcpy(body, "ECSH", 4);
	ref_put16(body + 4, 1);
	ref_put16(body + 6, 1);
	memcpy(body + 44, options, options_len);
	return 44 + options_len;
}

static void frame_hello_reads_options_as_specified(void **state)
{
	static const struct {
		const char *what;
		size_t len;
		const char *options;
		int result;
	} cases[] = {
		{"none", 0, "", 0},
		{"unknown", 5, "\xc8\x03xyz", 0},
		{"unknown and empty", 2, "\x00\x00", 0},
		{"known behind unknown", 9, "\xc8\x03xyz\x01\x02hi", 0},
		{"type alone", 1, "\x01", -EBADMSG},
		{"longer than the body", 4, "\x01\x03hi", -EBADMSG},
		{"unknown, longer than the body", 4, "\xc8\x03hi", -EBADMSG},
		{"IPv4 of 3 bytes", 5, "\x02\x03\x01\x02\x03", -EBADMSG},
		{"IPv4 of 5 bytes", 7, "\x02\x05\x01\x02\x03\x04\x05",
		 -EBADMSG},
		{"IPv6 of 4 bytes", 6, "\x03\x04\x01\x02\x03\x04", -EBADMSG},
		{"empty text", 2, "\x01\x00", 0},
		{"sandbox", 3, "\x05\x01\x03", 0},
		{"sandbox of 2 bytes", 4, "\x05\x02\x03\x00", -EBADMSG},
	};
	uint8_t body[FRAME_FIXED_MAX];
	struct frame_hello h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = put_hello(body, cases[i].options, cases[i].len);

		if (frame_parse_hello(body, len, &h) != cases[i].result)
			fail_msg("%s", cases[i].what);
	}
	/* 255 bytes of text are cut, not refused. */
	uint8_t options[2 + 255] = {4, 255};
	memset(options + 2, 'u', 255);
	size_t len = put_hello(body, options, sizeof(options));
	assert_int_equal(frame_parse_hello(body, len, &h), 0);
	assert_int_equal(strlen(h.user), sizeof(h.user) - 1);
}

static void frame_hello_tells_other_versions_from_nonsense(void **state)
{
	static const struct {
		uint16_t highest, lowest;
		size_t len;
		int result;
	} cases[] = {
		{1, 1, 44, 0},	      {1, 1, 43, -EBADMSG},
		{2, 1, 44, 0},	  /* knows ours too */
		{65535, 2, 8, 0}, /* knows only others: the rest is theirs */
		{65535, 2, 44, 0},    {0, 0, 12, 0},
		{1, 2, 44, -EBADMSG}, /* highest below lowest */
	};
	uint8_t body[64];
	struct frame_hello h;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)put_hello(body, "", 0);
		ref_put16(body + 4, cases[i].highest);
		ref_put16(body + 6, cases[i].lowest);
		assert_int_equal(frame_parse_hello(body, cases[i].len, &h),
				 cases[i].result);
		if (cases[i].result == 0) {
			assert_int_equal(h.version_highest, cases[i].highest);
			assert_int_equal(h.version_lowest, cases[i].lowest);
		}
	}
	(void)put_hello(body, "", 0);
	body[3] = 'h';
	assert_int_equal(frame_parse_hello(body, 44, &h), -EPROTO);
	(void)put_hello(body, "", 0);
	for (size_t len = 0; len < 8; len++)
		assert_int_equal(frame_parse_hello(body, len, &h), -EPROTO);
}

/* ---- BYE, PING ---- */

static void frame_bye_parses_back(void **state)
{
	char text[FRAME_TEXT_MAX + 10];
	struct frame_bye_body bye;

	(void)state;
	for (size_t text_len = 0; text_len < sizeof(text); text_len++) {
		memset(text, 'x', text_len);
		text[text_len] = '\0';
		size_t kept =
			text_len < FRAME_TEXT_MAX ? text_len : FRAME_TEXT_MAX;
		size_t len = frame_build_bye(out, FRAME_BYE_SILENCE, text);
		const uint8_t *body =
			assert_header(len, FRAME_BYE, 2 + kept, 0);
		assert_int_equal(frame_parse_bye(body, 2 + kept, &bye), 0);
		assert_int_equal(bye.reason, FRAME_BYE_SILENCE);
		assert_int_equal(strlen(bye.text), kept);
	}
	assert_int_equal(frame_parse_bye(out, 1, &bye), -EBADMSG);
	assert_int_equal(frame_parse_bye(out, 0, &bye), -EBADMSG);
	assert_int_equal(frame_parse_bye(out, 2 + FRAME_TEXT_MAX + 1, &bye),
			 -EBADMSG);
	/* A reason of a later version is passed on. */
	assert_int_equal(frame_parse_bye((const uint8_t *)"\xff\xff", 2, &bye),
			 0);
	assert_int_equal(bye.reason, 0xffff);
	assert_string_equal(bye.text, "");
}

static void frame_ping_parses_back(void **state)
{
	static const uint64_t values[] = {0, 1, UINT64_MAX,
					  UINT64_C(0x0102030405060708)};
	uint64_t got;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		size_t len = frame_build_ping(out, FRAME_PONG, values[i]);
		const uint8_t *body = assert_header(len, FRAME_PONG, 8, 0);

		assert_int_equal(len, 16);
		assert_int_equal(frame_parse_u64(body, 8, &got), 0);
		assert_int_equal(got, values[i]);
	}
	assert_memory_equal(out + 8, "\1\2\3\4\5\6\7\10", 8);
}

/* ---- streams ---- */

static void frame_open_parses_back(void **state)
{
	static const char *const pairs[][2] = {
		{"192.0.2.1", "198.51.100.255"},
		{"2001:db8::1", "ff02::fb"},
		{"0.0.0.0", "255.255.255.255"},
		{"::", "::ffff:1.2.3.4"},
	};
	struct frame_open got;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct frame_open o = {
			.window_bytes = 0xfffffffe,
			.proto = 6,
			.ttl = 63,
			.tos = 0xb8,
			.dst = {addr_of(pairs[i][0]), 443},
			.src = {addr_of(pairs[i][1]), 65535},
		};
		size_t len = frame_build_open(out, 0xfffffffd, &o);
		const uint8_t *body =
			assert_header(len, FRAME_OPEN, 44, 0xfffffffd);

		assert_int_equal(len, 52);
		assert_int_equal(frame_parse_open(body, 44, &got), 0);
		assert_int_equal(got.window_bytes, o.window_bytes);
		assert_int_equal(got.proto, 6);
		assert_int_equal(got.ttl, 63);
		assert_int_equal(got.tos, 0xb8);
		assert_true(endpoint_equal(&got.dst, &o.dst));
		assert_true(endpoint_equal(&got.src, &o.src));
	}
}

static void frame_open_has_the_layout_of_the_protocol(void **state)
{
	static const uint8_t want[] = {
		0x10, 0,  0,	44,   0, 0, 0, 3, /* header */
		0,    1,  0,	0,		  /* window */
		4,    6,  9,	8,		  /* version, protocol, TTL */
		0,    22, 0x30, 0x39,		  /* ports */
		192,  0,  2,	1,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		10,   0,  0,	7,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	};
	struct frame_open o = {
		.window_bytes = 65536,
		.proto = 6,
		.ttl = 9,
		.tos = 8,
		.dst = {addr_of("192.0.2.1"), 22},
		.src = {addr_of("10.0.0.7"), 12345},
	};

	(void)state;
	assert_int_equal(frame_build_open(out, 3, &o), sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
}

static void frame_open_refuses_addresses_that_are_none(void **state)
{
	struct frame_open o = {
		.proto = 6,
		.dst = {addr_of("192.0.2.1"), 22},
		.src = {addr_of("10.0.0.7"), 12345},
	};
	struct frame_open got;
	uint8_t *body = out + FRAME_HEADER_LEN;

	(void)state;
	(void)frame_build_open(out, 1, &o);
	for (unsigned version = 0; version <= 255; version++) {
		body[4] = (uint8_t)version;
		assert_int_equal(frame_parse_open(body, 44, &got),
				 version == 4 || version == 6 ? 0 : -EBADMSG);
	}
	body[4] = 4;
	for (size_t at = 16; at < 44; at++) {
		if (at == 28)
			at = 32; /* behind the source's own four bytes */
		uint8_t saved = body[at];
		body[at] = 1;
		assert_int_equal(frame_parse_open(body, 44, &got), -EBADMSG);
		body[at] = saved;
	}
	assert_int_equal(frame_parse_open(body, 44, &got), 0);
}

static void frame_refused_parses_back(void **state)
{
	static const char *const offenders[] = {NULL, "192.0.2.1",
						"2001:db8::1"};
	struct frame_refused got;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct frame_refused r = {
			.reason = FRAME_REASON_HOST_UNREACH,
			.icmp_type = 3,
			.icmp_code = 13,
			.icmp_info = 0x01020304,
		};
		if (offenders[i])
			r.offender = addr_of(offenders[i]);
		size_t len = frame_build_refused(out, 5, &r);
		uint8_t *body = out + FRAME_HEADER_LEN;
		(void)assert_header(len, FRAME_REFUSED, 28, 5);
		assert_int_equal(len, 36);
		assert_int_equal(frame_parse_refused(body, 28, &got), 0);
		assert_int_equal(got.reason, r.reason);
		assert_int_equal(got.icmp_type, 3);
		assert_int_equal(got.icmp_code, 13);
		assert_int_equal(got.icmp_info, 0x01020304);
		assert_true(addr_equal(&got.offender, &r.offender));
		body[4] = 5;
		assert_int_equal(frame_parse_refused(body, 28, &got), -EBADMSG);
	}
}

static void frame_reasons_beyond_ours_mean_other(void **state)
{
	enum frame_reason got;

	(void)state;
	for (unsigned reason = 0; reason <= 0xffff; reason++) {
		uint8_t body[2];

		ref_put16(body, reason);
		assert_int_equal(frame_parse_reason(body, 2, &got), 0);
		assert_int_equal(got, reason < FRAME_REASON__N
					      ? reason
					      : FRAME_REASON_OTHER);
	}
	for (int type = 0; type < 2; type++) {
		enum frame_type t = type ? FRAME_RESET : FRAME_ASSOC_CLOSE;
		size_t len = frame_build_reason(out, t, 9, FRAME_REASON_RESET);
		const uint8_t *body = assert_header(len, t, 2, 9);

		assert_int_equal(frame_parse_reason(body, 2, &got), 0);
		assert_int_equal(got, FRAME_REASON_RESET);
	}
}

static void frame_data_parses_back(void **state)
{
	static const size_t lens[] = {1, 2, FRAME_DATA_MAX};
	const uint8_t *bytes;
	uint64_t offset;
	size_t got;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		size_t len = frame_build_data(out, 7, UINT64_MAX - 1, lens[i]);
		const uint8_t *body =
			assert_header(len, FRAME_DATA, 8 + lens[i], 7);

		assert_int_equal(len, FRAME_DATA_OVERHEAD);
		assert_int_equal(frame_parse_data(body, 8 + lens[i], &offset,
						  &bytes, &got),
				 0);
		assert_int_equal(offset, UINT64_MAX - 1);
		assert_ptr_equal(bytes, out + FRAME_DATA_OVERHEAD);
		assert_int_equal(got, lens[i]);
	}
	for (size_t len = 0; len <= 8; len++)
		assert_int_equal(
			frame_parse_data(out, len, &offset, &bytes, &got),
			-EBADMSG);
}

static void frame_fin_ack_opened_parse_back(void **state)
{
	uint64_t offset, limit;
	uint32_t window;

	(void)state;
	size_t len = frame_build_fin(out, 11, UINT64_C(1) << 40);
	const uint8_t *body = assert_header(len, FRAME_FIN, 8, 11);
	assert_int_equal(frame_parse_u64(body, 8, &offset), 0);
	assert_int_equal(offset, UINT64_C(1) << 40);

	len = frame_build_ack(out, 11, 1, UINT64_MAX);
	body = assert_header(len, FRAME_ACK, 16, 11);
	assert_int_equal(frame_parse_ack(body, 16, &offset, &limit), 0);
	assert_int_equal(offset, 1);
	assert_int_equal(limit, UINT64_MAX);

	struct frame_received r = {UINT64_MAX, UINT64_MAX - 1, 0x80000001}, got;

	len = frame_build_received(out, &r);
	body = assert_header(len, FRAME_RECEIVED, 20, 0);
	assert_int_equal(frame_parse_received(body, 20, &got), 0);
	assert_int_equal(got.bytes, r.bytes);
	assert_int_equal(got.clock_us, r.clock_us);
	assert_int_equal(got.delay_us, r.delay_us);
	assert_int_equal(frame_parse_received(body, 19, &got), -EBADMSG);

	len = frame_build_opened(out, 11, 0x80000001);
	body = assert_header(len, FRAME_OPENED, 4, 11);
	assert_int_equal(frame_parse_u32(body, 4, &window), 0);
	assert_int_equal(window, 0x80000001);
}

/* ---- datagrams ---- */

static void frame_dgram_parses_back(void **state)
{
	static const size_t lens[] = {0, 1, 1400, FRAME_DGRAM_MAX};
	static uint8_t body[24 + FRAME_DGRAM_MAX + 1];
	struct frame_dgram got;

	(void)state;
	for (size_t i = 0; i < 4 * 2; i++) {
		struct frame_dgram d = {
			.proto = i % 2 ? 17 : 1,
			.ttl = 1,
			.tos = 0xff,
			.df = i % 2,
			.remote = {addr_of(i % 2 ? "2001:db8::5" : "192.0.2.5"),
				   0x8001},
			.payload_len = lens[i / 2],
		};
		size_t len = frame_build_dgram(out, 2, &d);

		(void)assert_header(len, FRAME_DGRAM, 24 + lens[i / 2], 2);
		assert_int_equal(len, FRAME_DGRAM_OVERHEAD);
		memcpy(body, out + FRAME_HEADER_LEN, 24);
		assert_int_equal(
			frame_parse_dgram(body, 24 + lens[i / 2], &got), 0);
		assert_int_equal(got.proto, d.proto);
		assert_int_equal(got.ttl, 1);
		assert_int_equal(got.tos, 0xff);
		assert_int_equal(got.df, d.df);
		assert_true(endpoint_equal(&got.remote, &d.remote));
		assert_ptr_equal(got.payload, body + 24);
		assert_int_equal(got.payload_len, lens[i / 2]);
	}
	assert_int_equal(
		frame_parse_dgram(body, 24 + FRAME_DGRAM_MAX + 1, &got),
		-EBADMSG);
	for (size_t len = 0; len < 24; len++)
		assert_int_equal(frame_parse_dgram(body, len, &got), -EBADMSG);
	body[0] = 0;
	assert_int_equal(frame_parse_dgram(body, 24, &got), -EBADMSG);
}

static void frame_icmp_error_parses_back(void **state)
{
	static const char *const addresses[][2] = {
		{"192.0.2.1", NULL},
		{"192.0.2.1", "198.51.100.1"},
		{"2001:db8::1", NULL},
		{"2001:db8::1", "fe80::1"},
	};
	struct frame_icmp_error got;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct frame_icmp_error e = {
			.proto = 17,
			.type = 11,
			.code = 1,
			.info = 0xfffefdfc,
			.remote = {addr_of(addresses[i][0]), 33434},
			.payload_len = 65535,
		};
		if (addresses[i][1])
			e.offender = addr_of(addresses[i][1]);
		size_t len = frame_build_icmp_error(out, 4, &e);
		uint8_t *body = out + FRAME_HEADER_LEN;
		(void)assert_header(len, FRAME_ICMP_ERROR, 44, 4);
		assert_int_equal(len, 52);
		assert_int_equal(frame_parse_icmp_error(body, 44, &got), 0);
		assert_int_equal(got.proto, 17);
		assert_int_equal(got.type, 11);
		assert_int_equal(got.code, 1);
		assert_int_equal(got.info, 0xfffefdfc);
		assert_int_equal(got.payload_len, 65535);
		assert_true(endpoint_equal(&got.remote, &e.remote));
		assert_true(addr_equal(&got.offender, &e.offender));
		body[0] = 0;
		assert_int_equal(frame_parse_icmp_error(body, 44, &got),
				 -EBADMSG);
	}
}

static void frame_resolved_parses_back(void **state)
{
	enum frame_reason status;
	const uint8_t *answer;
	size_t answer_len;

	(void)state;
	for (size_t n = 0; n <= 65535; n += 4369) {
		size_t len = frame_build_resolved(out, 6, FRAME_REASON_NONE, n);
		const uint8_t *body =
			assert_header(len, FRAME_RESOLVED, 2 + n, 6);

		assert_int_equal(len, FRAME_HEADER_LEN + 2);
		assert_int_equal(frame_parse_resolved(body, 2 + n, &status,
						      &answer, &answer_len),
				 0);
		assert_int_equal(status, FRAME_REASON_NONE);
		assert_ptr_equal(answer, body + 2);
		assert_int_equal(answer_len, n);
	}
	for (size_t len = 0; len < 2; len++)
		assert_int_equal(frame_parse_resolved(out, len, &status,
						      &answer, &answer_len),
				 -EBADMSG);
}

/* ---- lengths of bodies that have only one ---- */

static int parse_open(const uint8_t *body, size_t len)
{
	struct frame_open got;

	return frame_parse_open(body, len, &got);
}

static int parse_refused(const uint8_t *body, size_t len)
{
	struct frame_refused got;

	return frame_parse_refused(body, len, &got);
}

static int parse_u32(const uint8_t *body, size_t len)
{
	uint32_t got;

	return frame_parse_u32(body, len, &got);
}

static int parse_u64(const uint8_t *body, size_t len)
{
	uint64_t got;

	return frame_parse_u64(body, len, &got);
}

static int parse_ack(const uint8_t *body, size_t len)
{
	uint64_t consumed, limit;

	return frame_parse_ack(body, len, &consumed, &limit);
}

static int parse_reason(const uint8_t *body, size_t len)
{
	enum frame_reason got;

	return frame_parse_reason(body, len, &got);
}

static int parse_icmp_error(const uint8_t *body, size_t len)
{
	struct frame_icmp_error got;

	return frame_parse_icmp_error(body, len, &got);
}

static void frame_bodies_of_fixed_length_have_no_other(void **state)
{
	static const struct {
		size_t len;
		size_t version_at; /* set to 6, unless 0xff */
		int (*parse)(const uint8_t *body, size_t len);
	} cases[] = {
		{44, 4, parse_open},	   {28, 4, parse_refused},
		{4, 0xff, parse_u32},	   {8, 0xff, parse_u64},
		{16, 0xff, parse_ack},	   {2, 0xff, parse_reason},
		{44, 0, parse_icmp_error},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t len = 0; len < 64; len++) {
			uint8_t *body = calloc(1, len ? len : 1);

			assert_non_null(body);
			if (cases[i].version_at < len)
				body[cases[i].version_at] = 6;
			assert_int_equal(cases[i].parse(body, len),
					 len == cases[i].len ? 0 : -EBADMSG);
			free(body);
		}
}

/* ---- errno and names ---- */

static void frame_reason_keeps_the_meaning_of_errno(void **state)
{
	static const struct {
		int errnum;
		enum frame_reason reason;
	} cases[] = {
		{0, FRAME_REASON_NONE},
		{ECONNREFUSED, FRAME_REASON_REFUSED},
		{ENETUNREACH, FRAME_REASON_NET_UNREACH},
		{EHOSTUNREACH, FRAME_REASON_HOST_UNREACH},
		{EHOSTDOWN, FRAME_REASON_HOST_UNREACH},
		{ETIMEDOUT, FRAME_REASON_TIMED_OUT},
		{EACCES, FRAME_REASON_PROHIBITED},
		{EPERM, FRAME_REASON_PROHIBITED},
		{EAFNOSUPPORT, FRAME_REASON_NO_FAMILY},
		{EADDRNOTAVAIL, FRAME_REASON_NO_RESOURCES},
		{EMFILE, FRAME_REASON_NO_RESOURCES},
		{ENFILE, FRAME_REASON_NO_RESOURCES},
		{ENOMEM, FRAME_REASON_NO_RESOURCES},
		{ENOBUFS, FRAME_REASON_NO_RESOURCES},
		{EAGAIN, FRAME_REASON_NO_RESOURCES},
		{ECONNRESET, FRAME_REASON_RESET},
		{EPIPE, FRAME_REASON_RESET},
		{EBADF, FRAME_REASON_OTHER},
		{99999, FRAME_REASON_OTHER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(frame_reason_from_errno(cases[i].errnum),
				 cases[i].reason);
	for (int i = 0; i <= FRAME_REASON__N; i++)
		assert_true(strlen(frame_reason_text((enum frame_reason)i)) >
			    0);
}

/* ---- anything at all ---- */

static void frame_parsers_survive_random_bodies(void **state)
{
	struct rng rng = rng_init("frame");

	(void)state;
	for (int i = 0; i < 50000; i++) {
		size_t len = rng_below(&rng, 120);
		uint8_t *body = malloc(len ? len : 1);
		struct frame_hello hello;
		struct frame_bye_body bye;
		struct frame_dgram dgram;

		assert_non_null(body);
		rng_fill(&rng, body, len);
		if (len > 8 && rng_below(&rng, 2))
			memcpy(body, "ECSH\0\1\0\1", 8);
		(void)frame_parse_hello(body, len, &hello);
		(void)frame_parse_bye(body, len, &bye);
		if (frame_parse_dgram(body, len, &dgram) == 0)
			assert_ptr_equal(dgram.payload + dgram.payload_len,
					 body + len);
		(void)parse_open(body, len);
		(void)parse_refused(body, len);
		(void)parse_icmp_error(body, len);
		free(body);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_header_is_type_length_id),
		cmocka_unit_test(frame_header_bounds_the_body),
		cmocka_unit_test(frame_hello_parses_back),
		cmocka_unit_test(frame_hello_keeps_the_longest_texts),
		cmocka_unit_test(frame_hello_reads_options_as_specified),
		cmocka_unit_test(
			frame_hello_tells_other_versions_from_nonsense),
		cmocka_unit_test(frame_bye_parses_back),
		cmocka_unit_test(frame_ping_parses_back),
		cmocka_unit_test(frame_open_parses_back),
		cmocka_unit_test(frame_open_has_the_layout_of_the_protocol),
		cmocka_unit_test(frame_open_refuses_addresses_that_are_none),
		cmocka_unit_test(frame_refused_parses_back),
		cmocka_unit_test(frame_reasons_beyond_ours_mean_other),
		cmocka_unit_test(frame_data_parses_back),
		cmocka_unit_test(frame_fin_ack_opened_parse_back),
		cmocka_unit_test(frame_dgram_parses_back),
		cmocka_unit_test(frame_icmp_error_parses_back),
		cmocka_unit_test(frame_resolved_parses_back),
		cmocka_unit_test(frame_bodies_of_fixed_length_have_no_other),
		cmocka_unit_test(frame_reason_keeps_the_meaning_of_errno),
		cmocka_unit_test(frame_parsers_survive_random_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
