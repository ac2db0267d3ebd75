/* SPDX-License-Identifier: MIT */
/*
 * fuzz_frame: the frames of a session.
 *
 * Input: frames one behind the other, as on a carrier; the last may be cut.
 * Each body goes to the parser of its type, in memory of its own.  What parses
 * is built again and must parse to the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "frame.h"
#include "fuzz.h"

static uint8_t built[FRAME_FIXED_MAX];

/* The body of the frame of `len` bytes just built. */
static const uint8_t *body_of(size_t len, size_t body_len)
{
	struct frame_header h;

	assert_always(len <= sizeof(built));
	assert_always(frame_parse_header(built, &h) == 0);
	assert_always(h.len == body_len);
	return built + FRAME_HEADER_LEN;
}

/* The body of a frame that is complete as built. */
static const uint8_t *whole_body_of(size_t len)
{
	return body_of(len, len - FRAME_HEADER_LEN);
}

static void check_hello(const uint8_t *body, size_t len)
{
	struct frame_hello h, again;
	int r = frame_parse_hello(body, len, &h);

	assert_always(r == 0 || r == -EBADMSG || r == -EPROTO);
	if (r != 0)
		return;
	assert_always(h.version_lowest <= h.version_highest);
	assert_always(strlen(h.software) < sizeof(h.software));
	assert_always(strlen(h.user) < sizeof(h.user));
	size_t built_len = frame_build_hello(built, &h);
	const uint8_t *b = whole_body_of(built_len);
	assert_always(frame_parse_hello(b, built_len - FRAME_HEADER_LEN,
					&again) == 0);
	assert_always(again.version_highest == h.version_highest);
	assert_always(again.version_lowest == h.version_lowest);
	assert_always(again.capabilities == h.capabilities);
	assert_always(strcmp(again.software, h.software) == 0);
	assert_always(strcmp(again.user, h.user) == 0);
	assert_always(addr_equal(&again.gateway4, &h.gateway4));
	assert_always(addr_equal(&again.gateway6, &h.gateway6));
	assert_always(again.tells_sandbox == h.tells_sandbox);
	assert_always(again.sandbox == h.sandbox);
}

static void check_bye(const uint8_t *body, size_t len)
{
	struct frame_bye_body bye;

	if (frame_parse_bye(body, len, &bye) == 0)
		assert_always(strlen(bye.text) <= FRAME_TEXT_MAX);
}

static void check_open(const uint8_t *body, size_t len)
{
	struct frame_open o;

	if (frame_parse_open(body, len, &o) != 0)
		return;
	assert_always(o.dst.addr.version == o.src.addr.version);
	size_t built_len = frame_build_open(built, 1, &o);
	assert_always(memcmp(whole_body_of(built_len), body, len) == 0);
}

static void check_refused(const uint8_t *body, size_t len)
{
	struct frame_refused r, again;

	if (frame_parse_refused(body, len, &r) != 0)
		return;
	assert_always(r.reason < FRAME_REASON__N);
	assert_always(frame_reason_text(r.reason)[0] != '\0');
	size_t built_len = frame_build_refused(built, 1, &r);
	assert_always(frame_parse_refused(whole_body_of(built_len), len,
					  &again) == 0);
	assert_always(again.reason == r.reason);
	assert_always(again.icmp_type == r.icmp_type);
	assert_always(again.icmp_code == r.icmp_code);
	assert_always(again.icmp_info == r.icmp_info);
	assert_always(addr_equal(&again.offender, &r.offender));
}

static void check_data(const uint8_t *body, size_t len)
{
	const uint8_t *bytes;
	uint64_t offset;
	size_t n;

	if (frame_parse_data(body, len, &offset, &bytes, &n) != 0)
		return;
	assert_always(n > 0 && bytes + n == body + len);
	(void)body_of(frame_build_data(built, 1, offset, n), len);
	assert_always(memcmp(built + FRAME_HEADER_LEN, body, 8) == 0);
}

static void check_numbers(enum frame_type type, const uint8_t *body, size_t len)
{
	struct frame_received r;
	uint64_t a, b;
	uint32_t c;

	if (type == FRAME_ACK && frame_parse_ack(body, len, &a, &b) == 0)
		assert_always(
			memcmp(whole_body_of(frame_build_ack(built, 1, a, b)),
			       body, len) == 0);
	if (type == FRAME_RECEIVED && frame_parse_received(body, len, &r) == 0)
		assert_always(
			memcmp(whole_body_of(frame_build_received(built, &r)),
			       body, len) == 0);
	if (type == FRAME_FIN && frame_parse_u64(body, len, &a) == 0)
		assert_always(
			memcmp(whole_body_of(frame_build_fin(built, 1, a)),
			       body, len) == 0);
	if ((type == FRAME_PING || type == FRAME_PONG) &&
	    frame_parse_u64(body, len, &a) == 0)
		assert_always(
			memcmp(whole_body_of(frame_build_ping(built, type, a)),
			       body, len) == 0);
	if (type == FRAME_OPENED && frame_parse_u32(body, len, &c) == 0)
		assert_always(
			memcmp(whole_body_of(frame_build_opened(built, 1, c)),
			       body, len) == 0);
}

static void check_reason(enum frame_type type, const uint8_t *body, size_t len)
{
	enum frame_reason reason, again;

	if (frame_parse_reason(body, len, &reason) != 0)
		return;
	assert_always(reason < FRAME_REASON__N);
	size_t built_len = frame_build_reason(built, type, 1, reason);
	assert_always(
		frame_parse_reason(whole_body_of(built_len), len, &again) == 0);
	assert_always(again == reason);
}

static void check_dgram(const uint8_t *body, size_t len)
{
	struct frame_dgram d, again;

	if (frame_parse_dgram(body, len, &d) != 0)
		return;
	assert_always(d.payload_len <= FRAME_DGRAM_MAX);
	assert_always(d.payload + d.payload_len == body + len);
	(void)body_of(frame_build_dgram(built, 1, &d), len);
	assert_always(frame_parse_dgram(built + FRAME_HEADER_LEN,
					FRAME_DGRAM_OVERHEAD - FRAME_HEADER_LEN,
					&again) == 0);
	assert_always(endpoint_equal(&again.remote, &d.remote));
	assert_always(again.proto == d.proto && again.df == d.df);
	assert_always(again.ttl == d.ttl && again.tos == d.tos);
}

static void check_icmp_error(const uint8_t *body, size_t len)
{
	struct frame_icmp_error e;

	if (frame_parse_icmp_error(body, len, &e) != 0)
		return;
	assert_always(e.offender.version == 0 ||
		      e.offender.version == e.remote.addr.version);
	size_t built_len = frame_build_icmp_error(built, 1, &e);
	assert_always(memcmp(whole_body_of(built_len), body, len) == 0);
}

static void check_resolved(const uint8_t *body, size_t len)
{
	enum frame_reason status;
	const uint8_t *answer;
	size_t answer_len;

	if (frame_parse_resolved(body, len, &status, &answer, &answer_len) != 0)
		return;
	assert_always(status < FRAME_REASON__N);
	assert_always(answer + answer_len == body + len);
	(void)body_of(frame_build_resolved(built, 1, status, answer_len), len);
}

static void check_routes(const uint8_t *body, size_t len)
{
	struct frame_routes routes;

	if (frame_parse_routes(body, len, &routes) != 0)
		return;
	assert_always(routes.n <= FRAME_ROUTES_MAX);
	for (size_t i = 0; i < routes.n; i++)
		assert_always(
			subnet_contains(&routes.nets[i], &routes.nets[i].addr));
	size_t built_len = frame_build_routes(built, &routes);
	assert_always(built_len == FRAME_HEADER_LEN + len);
	const uint8_t *b = whole_body_of(built_len);
	struct frame_routes again;
	assert_always(frame_parse_routes(b, len, &again) == 0);
	assert_always(again.n == routes.n && again.n_more == routes.n_more);
	for (size_t i = 0; i < routes.n; i++)
		assert_always(subnet_equal(&again.nets[i], &routes.nets[i]));
}

static void check_body(uint8_t type, const uint8_t *body, size_t len)
{
	switch (type) {
	case FRAME_HELLO:
		check_hello(body, len);
		break;
	case FRAME_BYE:
		check_bye(body, len);
		break;
	case FRAME_OPEN:
		check_open(body, len);
		break;
	case FRAME_REFUSED:
		check_refused(body, len);
		break;
	case FRAME_DATA:
		check_data(body, len);
		break;
	case FRAME_RESET:
	case FRAME_ASSOC_CLOSE:
		check_reason((enum frame_type)type, body, len);
		break;
	case FRAME_DGRAM:
		check_dgram(body, len);
		break;
	case FRAME_ICMP_ERROR:
		check_icmp_error(body, len);
		break;
	case FRAME_ROUTES:
		check_routes(body, len);
		break;
	case FRAME_RESOLVED:
		check_resolved(body, len);
		break;
	default:
		check_numbers((enum frame_type)type, body, len);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_header h;

	while (size >= FRAME_HEADER_LEN && frame_parse_header(data, &h) == 0) {
		data += FRAME_HEADER_LEN;
		size -= FRAME_HEADER_LEN;
		/* A frame cut by the end is taken as far as it goes. */
		size_t len = h.len < size ? h.len : size;
		uint8_t *body = malloc(len ? len : 1);

		if (!body)
			break;
		memcpy(body, data, len);
		check_body(h.type, body, len);
		free(body);
		data += len;
		size -= len;
	}
	return 0;
}
