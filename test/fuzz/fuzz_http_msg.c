/* SPDX-License-Identifier: MIT */
/*
 * fuzz_http_msg: what HTTP clients say to a proxy.
 *
 * Input: what has arrived.  A head that is taken is not whole with a byte less;
 * rewritten, with a scheme and a host put in front of its path, it is taken
 * again, and nothing of it is for the proxy any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "frame.h"
#include "fuzz.h"
#include "http_msg.h"

static void check_request(const struct http_request *q)
{
	const char *name = q->dst.name;

	assert_always(q->dst.at.port != 0);
	if (name[0])
		assert_always(frame_name_is_valid(name, strlen(name)));
	else
		assert_always(q->dst.at.addr.version != 0);
	if (q->is_connect)
		assert_always(q->body_len == UINT64_MAX);
}

static void check_rewritten(const uint8_t *head, size_t len,
			    const struct http_request *q)
{
	uint8_t *out = malloc(len + HTTP_GROWTH_MAX);
	uint8_t *url = malloc(len + HTTP_GROWTH_MAX + 8);
	struct http_request again;
	struct err err;

	assert_always(out && url);
	size_t n = http_build_request(out, head, len);
	assert_always(n > 0 && n <= len + HTTP_GROWTH_MAX);
	assert_always(memmem(out, n, "\r\n\r\n", 4) == out + n - 4);
	/* METHOD SP path: a URL again with a host before the path */
	size_t method_len = (size_t)((uint8_t *)memchr(out, ' ', n) - out) + 1;
	bool is_star = out[method_len] == '*';
	memcpy(url, out, method_len);
	memcpy(url + method_len, "http://h", 8);
	memcpy(url + method_len + 8, out + method_len + is_star,
	       n - method_len - is_star);
	n += 8U - is_star;
	int r = http_parse(url, n, &again, &err);
	/* The growth may exceed the limits of a head. */
	assert_always(r == (int)n || r == -EMSGSIZE);
	if (r > 0)
		assert_always(again.body_len == q->body_len);
	free(out);
	free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request q, less;
	uint8_t out[HTTP_ERROR_MAX];
	struct err err = {"unset"};
	uint8_t *in = malloc(size ? size : 1);

	assert_always(in != NULL);
	if (size > 0)
		memcpy(in, data, size);
	int r = http_parse(in, size, &q, &err);
	if (r < 0) {
		assert_always(strcmp(err.text, "unset") != 0);
		assert_always(http_build_error(out, http_status_of(r),
					       err.text) <= sizeof(out));
		for (const char *c = err.text; *c; c++)
			assert_always((unsigned char)*c >= ' ' && *c != 0x7f);
	} else if (r > 0) {
		assert_always((size_t)r <= size && r <= HTTP_HEAD_MAX);
		assert_always(http_parse(in, (size_t)r - 1, &less, &err) == 0);
		check_request(&q);
		if (!q.is_connect)
			check_rewritten(in, (size_t)r, &q);
	}
	free(in);
	return 0;
}
