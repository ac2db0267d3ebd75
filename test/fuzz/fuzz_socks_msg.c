/* SPDX-License-Identifier: MIT */
/*
 * fuzz_socks_msg: the messages of SOCKS, both ends.
 *
 * Input: what has arrived; every parser gets it, in memory of its own size.
 * What one takes parses to the same with nothing behind it, is not whole with
 * a byte less, and survives being built again.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fuzz.h"
#include "socks_msg.h"

static void check_result(int r, size_t len)
{
	assert_always(r == 0 || r == -EBADMSG || r == -EAFNOSUPPORT ||
		      r == -EOPNOTSUPP || (r > 0 && (size_t)r <= len));
}

static void check_addr(const struct socks_addr *a)
{
	assert_always(strnlen(a->name, sizeof(a->name)) <= SOCKS_NAME_MAX);
	assert_always((a->name[0] != '\0') == (a->at.addr.version == 0));
}

static bool is_same(const struct socks_addr *a, const struct socks_addr *b)
{
	return endpoint_equal(&a->at, &b->at) && strcmp(a->name, b->name) == 0;
}

/* Copies, so that reading beyond the end shows. */
static uint8_t *copy_of(const uint8_t *in, size_t len)
{
	uint8_t *copy = malloc(len);

	assert_always(copy || len == 0);
	if (len > 0)
		memcpy(copy, in, len);
	return copy;
}

static void check_requests(const uint8_t *in, size_t len)
{
	struct socks_request a, b;
	uint8_t out[SOCKS_MSG_MAX];
	int r = socks_parse_request(in, len, &a);

	check_result(r, len);
	if (r > 0) {
		check_addr(&a.dst);
		assert_always(socks_parse_request(in, (size_t)r - 1, &b) == 0);
		size_t n = socks_build_request(out, a.command, &a.dst);
		assert_always(n <= sizeof(out));
		assert_always(socks_parse_request(out, n, &b) == (int)n);
		assert_always(a.command == b.command);
		assert_always(is_same(&a.dst, &b.dst));
	}
	r = socks_parse_request4(in, len, &a);
	check_result(r, len);
	if (r > 0) {
		check_addr(&a.dst);
		assert_always(r <= SOCKS_MSG_MAX);
		assert_always(socks_parse_request4(in, (size_t)r - 1, &b) == 0);
	}
	assert_always(len < SOCKS_MSG_MAX || r != 0);
}

static void check_auth(const uint8_t *in, size_t len)
{
	struct socks_auth a, b;
	uint8_t out[SOCKS_MSG_MAX];
	int r = socks_parse_auth(in, len, &a);

	check_result(r, len);
	if (r <= 0)
		return;
	assert_always(socks_build_auth(out, &a) == (size_t)r);
	assert_always(memcmp(out, in, (size_t)r) == 0);
	assert_always(socks_parse_auth(out, (size_t)r, &b) == r);
}

static void check_answers(const uint8_t *in, size_t len)
{
	struct socks_greeting greeting;
	struct socks_reply reply;
	enum socks_method method;
	bool is_accepted;
	int r;

	check_result(socks_parse_greeting(in, len, &greeting), len);
	check_result(socks_parse_method(in, len, &method), len);
	check_result(socks_parse_auth_status(in, len, &is_accepted), len);
	r = socks_parse_reply(in, len, &reply);
	check_result(r, len);
	if (r > 2)
		check_addr(&reply.bound);
	if (r > 0)
		assert_always(socks_outcome_text(reply.outcome) != NULL);
}

static void check_udp(const uint8_t *in, size_t len)
{
	struct socks_addr a, b;
	uint8_t out[SOCKS_UDP_HEADER_MAX];
	int r = socks_parse_udp(in, len, &a);

	check_result(r, len);
	assert_always(r != 0);
	if (r <= 0)
		return;
	check_addr(&a);
	size_t n = socks_build_udp(out, &a);
	assert_always(n <= sizeof(out));
	assert_always(socks_parse_udp(out, n, &b) == (int)n);
	assert_always(is_same(&a, &b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *in = copy_of(data, size);

	check_requests(in, size);
	check_auth(in, size);
	check_answers(in, size);
	check_udp(in, size);
	free(in);
	return 0;
}
