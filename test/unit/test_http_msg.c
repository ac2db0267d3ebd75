/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_msg.h"

static const uint8_t *bytes(const char *s)
{
	return (const uint8_t *)s;
}

struct row {
	const char *head;
	const char *dst; /* NULL: it is refused */
	uint64_t body_len;
	int r;
};

static const struct row rows[] = {
	{"CONNECT host:443 HTTP/1.1\r\n\r\n", "host 443", UINT64_MAX, 0},
	{"CONNECT 10.1.2.3:443 HTTP/1.0\r\nA: b\r\n\r\n", "10.1.2.3 443",
	 UINT64_MAX, 0},
	{"CONNECT [::1]:443 HTTP/1.1\r\n\r\n", "::1 443", UINT64_MAX, 0},
	{"GET http://host/ HTTP/1.1\r\n\r\n", "host 80", 0, 0},
	{"GET HTTP://host HTTP/1.1\r\n\r\n", "host 80", 0, 0},
	{"GET http://host:/ HTTP/1.1\r\n\r\n", "host 80", 0, 0},
	{"GET http://[::1]:8080?q HTTP/1.1\r\n\r\n", "::1 8080", 0, 0},
	{"PUT http://host/ HTTP/1.1\r\nContent-Length: 5\r\n\r\n", "host 80", 5,
	 0},
	{"PUT http://host/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
	 "host 80", UINT64_MAX, 0},
	{"GET http://host/ HTTP/1.1\r\nA:\r\nB: \t \r\n\r\n", "host 80", 0, 0},
	/* not for a proxy, or not for this one */
	{"GET / HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"OPTIONS * HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"GET https://host/ HTTP/1.1\r\n\r\n", NULL, 0, -EPROTONOSUPPORT},
	{"GET ftp://host/ HTTP/1.1\r\n\r\n", NULL, 0, -EPROTONOSUPPORT},
	{"PRI * HTTP/2.0\r\n\r\n", NULL, 0, -EPROTO},
	/* destinations */
	{"CONNECT host HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"CONNECT host: HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"CONNECT host:0 HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"CONNECT host:65536 HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"CONNECT host:+80 HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"CONNECT :443 HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"CONNECT ::1:443 HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"CONNECT [::1 HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"CONNECT [::1]443 HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"CONNECT [host]:443 HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"CONNECT [10.0.0.1]:443 HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"CONNECT -o:443 HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"GET http://u:p@host/ HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"GET http:/// HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"GET http://host/#f HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"connect host:443 HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	/* lines */
	{"GET  http://host/ HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"GET http://host/\r\n\r\n", NULL, 0, -EBADMSG},
	{"GET http://host/ HTTP/1.1 \r\n\r\n", NULL, 0, -EPROTO},
	{"GET http://host/ x HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"G(T http://host/ HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	{"GET http://host/ HTTP/1.1\nA: b\r\n\r\n", NULL, 0, -EBADMSG},
	{"GET http://host/ HTTP/1.1\r\nA: b\rc\r\n\r\n", NULL, 0, -EBADMSG},
	{"GET http://host/ HTTP/1.1\r\nA: \1\r\n\r\n", NULL, 0, -EBADMSG},
	{"GET http://host/ HTTP/1.1\r\nA : b\r\n\r\n", NULL, 0, -EBADMSG},
	{"GET http://host/ HTTP/1.1\r\nA: b\r\n c\r\n\r\n", NULL, 0, -EBADMSG},
	{"GET http://host/ HTTP/1.1\r\n: b\r\n\r\n", NULL, 0, -EBADMSG},
	{"\r\nGET http://host/ HTTP/1.1\r\n\r\n", NULL, 0, -EBADMSG},
	/* two readers could see two bodies */
	{"PUT http://h/ HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5"
	 "\r\n\r\n",
	 NULL, 0, -EBADMSG},
	{"PUT http://h/ HTTP/1.1\r\nContent-Length: 5\r\n"
	 "Transfer-Encoding: chunked\r\n\r\n",
	 NULL, 0, -EBADMSG},
	{"PUT http://h/ HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n", NULL, 0,
	 -EBADMSG},
	{"PUT http://h/ HTTP/1.1\r\nContent-Length: +5\r\n\r\n", NULL, 0,
	 -EBADMSG},
	{"PUT http://h/ HTTP/1.1\r\nContent-Length: 1234567890123456789\r\n"
	 "\r\n",
	 NULL, 0, -EBADMSG},
	{"PUT http://h/ HTTP/1.1\r\nContent-Length:\r\n\r\n", NULL, 0,
	 -EBADMSG},
};

static void heads_are_understood_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		size_t len = strlen(row->head);
		struct http_request q;
		struct err err = {""};
		char dst[400], addr[ADDR_TEXT_MAX];
		int r = http_parse(bytes(row->head), len, &q, &err);

		if (r != (row->dst ? (int)len : row->r))
			fail_msg("%s: %d, %s", row->head, r, err.text);
		for (size_t cut = 0; cut + 1 < len; cut++)
			if (http_parse(bytes(row->head), cut, &q, &err) > 0)
				fail_msg("%s: %zu are enough", row->head, cut);
		if (!row->dst) {
			assert_true(err.text[0] != '\0');
			assert_in_range(http_status_of(r), 400, 599);
			continue;
		}
		assert_int_equal(http_parse(bytes(row->head), len, &q, &err),
				 len);
		(void)snprintf(dst, sizeof(dst), "%s %u",
			       q.dst.name[0]
				       ? q.dst.name
				       : addr_format(&q.dst.at.addr, addr),
			       q.dst.at.port);
		assert_string_equal(dst, row->dst);
		assert_true(q.body_len == row->body_len);
		assert_int_equal(q.is_connect, row->head[0] == 'C');
	}
}

static void heads_have_limits(void **state)
{
	char *head = malloc(HTTP_HEAD_MAX + 1);
	struct http_request q;
	struct err err;
	int at;

	(void)state;
	assert_non_null(head);
	at = sprintf(head, "GET http://host/ HTTP/1.1\r\nA: ");
	memset(head + at, 'b', (size_t)(HTTP_HEAD_MAX - at));
	assert_int_equal(http_parse(bytes(head), HTTP_HEAD_MAX - 1, &q, &err),
			 0);
	assert_int_equal(http_parse(bytes(head), HTTP_HEAD_MAX, &q, &err),
			 -EMSGSIZE);
	assert_int_equal(http_status_of(-EMSGSIZE), 431);
	memcpy(head + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
	assert_int_equal(http_parse(bytes(head), HTTP_HEAD_MAX, &q, &err),
			 HTTP_HEAD_MAX);
	at = sprintf(head, "GET http://host/ HTTP/1.1\r\n");
	for (int i = 0; i <= HTTP_FIELDS_MAX; i++)
		at += sprintf(head + at, "A:b\r\n");
	(void)sprintf(head + at, "\r\n");
	assert_int_equal(http_parse(bytes(head), strlen(head), &q, &err),
			 -EMSGSIZE);
	/* One less fits, and so does what becomes of it. */
	at -= 5;
	(void)sprintf(head + at, "\r\n");
	size_t len = strlen(head);
	assert_int_equal(http_parse(bytes(head), len, &q, &err), len);
	uint8_t *out = malloc(len + HTTP_GROWTH_MAX);
	assert_in_range(http_build_request(out, bytes(head), len), len,
			len + HTTP_GROWTH_MAX);
	free(out);
	free(head);
}

static void check_rewrite(const char *in, const char *expected)
{
	struct http_request q;
	struct err err = {""};
	size_t len = strlen(in);
	char *out = malloc(len + HTTP_GROWTH_MAX + 1);

	if (http_parse(bytes(in), len, &q, &err) != (int)len)
		fail_msg("%s", err.text);
	size_t n = http_build_request((uint8_t *)out, bytes(in), len);
	out[n] = '\0';
	assert_string_equal(out, expected);
	free(out);
}

static void requests_are_rewritten(void **state)
{
	(void)state;
	check_rewrite("GET http://host:81/a?b HTTP/1.1\r\nHost: other\r\n"
		      "Accept:  x \r\n\r\n",
		      "GET /a?b HTTP/1.1\r\nHost: host:81\r\nAccept: x\r\n"
		      "Connection: close\r\n\r\n");
	check_rewrite("GET http://host?b HTTP/1.0\r\n\r\n",
		      "GET /?b HTTP/1.0\r\nHost: host\r\n"
		      "Connection: close\r\n\r\n");
	check_rewrite("OPTIONS http://host HTTP/1.1\r\n\r\n",
		      "OPTIONS * HTTP/1.1\r\nHost: host\r\n"
		      "Connection: close\r\n\r\n");
	/* What is between client and proxy stays there. */
	check_rewrite("GET http://h/ HTTP/1.1\r\n"
		      "Proxy-Authorization: Basic c2VjcmV0\r\n"
		      "proxy-connection: keep-alive\r\n"
		      "Connection: keep-alive, X-Mine\r\nKeep-Alive: 5\r\n"
		      "x-mine: 1\r\nX-Mine2: 2\r\nTE: trailers\r\n"
		      "Upgrade: h2c\r\nConnection: x-mine2\r\n\r\n",
		      "GET / HTTP/1.1\r\nHost: h\r\n"
		      "Connection: close\r\n\r\n");
	/* But the length is not hidden from the server. */
	check_rewrite("PUT http://h/ HTTP/1.1\r\nContent-Length: 5\r\n"
		      "Connection: content-length\r\n\r\n",
		      "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
		      "Connection: close\r\n\r\n");
}

static void errors_are_whole_responses(void **state)
{
	uint8_t out[HTTP_ERROR_MAX + 1];
	char text[2000];

	(void)state;
	memset(text, 't', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	for (int status = 400; status < 600; status++) {
		size_t n =
			http_build_error(out, (enum http_status)status, text);
		assert_in_range(n, 1, HTTP_ERROR_MAX);
		out[n] = '\0';
		char *body = strstr((char *)out, "\r\n\r\n");
		char *length = strstr((char *)out, "Content-Length: ");
		assert_true(body && length);
		assert_int_equal(atoi(length + 16), strlen(body + 4));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_are_understood_or_refused),
		cmocka_unit_test(heads_have_limits),
		cmocka_unit_test(requests_are_rewritten),
		cmocka_unit_test(errors_are_whole_responses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
