/* SPDX-License-Identifier: MIT */
/* dns_tcp: questions and answers over byte streams that the test plays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "dns_tcp.h"

enum {
	SENT_MAX = 1 << 16,
	SECOND = 1000000,
};

struct fixture {
	struct loop *loop;
	struct dns_tcp dns;
	struct dns_tcp_conn *conn; /* the last that was opened */
	struct endpoint server;
	int n_opens, n_closes;
	bool open_fails;
	size_t takes; /* bytes that a send takes at most */
	uint8_t sent[SENT_MAX];
	size_t n_sent;
	int n_answers, n_failed;
	uint64_t tag;
	struct endpoint remote;
	uint8_t answer[1 << 16];
	size_t answer_len;
	enum frame_reason reason;
};

static int on_open(void *ctx, struct dns_tcp_conn *conn,
		   const struct endpoint *server, void **ret_stream)
{
	struct fixture *x = ctx;

	if (x->open_fails)
		return -1;
	x->conn = conn;
	x->server = *server;
	x->n_opens++;
	x->n_sent = 0;
	*ret_stream = x;
	return 0;
}

static size_t on_send(void *stream, const uint8_t *bytes, size_t len)
{
	struct fixture *x = stream;
	size_t n = len < x->takes ? len : x->takes;

	memcpy(x->sent + x->n_sent, bytes, n);
	x->n_sent += n;
	return n;
}

static void on_close(void *stream)
{
	((struct fixture *)stream)->n_closes++;
}

static void on_answer(void *ctx, uint64_t tag, const struct endpoint *remote,
		      const uint8_t *message, size_t len)
{
	struct fixture *x = ctx;

	x->n_answers++;
	x->tag = tag;
	x->remote = *remote;
	memcpy(x->answer, message, len);
	x->answer_len = len;
}

static void on_failed(void *ctx, uint64_t tag, const struct endpoint *remote,
		      size_t len, enum frame_reason reason)
{
	struct fixture *x = ctx;

	assert_true(len > 0);
	x->n_failed++;
	x->tag = tag;
	x->remote = *remote;
	x->reason = reason;
}

static const struct dns_tcp_ops ops = {
	.open = on_open,
	.send = on_send,
	.close = on_close,
	.on_answer = on_answer,
	.on_failed = on_failed,
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	x->loop = loop_new(LOOP_TIME_VIRTUAL);
	x->takes = SIZE_MAX;
	dns_tcp_init(&x->dns, x->loop, &ops, x);
	*state = x;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;

	dns_tcp_fini(&x->dns);
	loop_free(x->loop);
	free(x);
	return 0;
}

static struct endpoint server(uint8_t last)
{
	struct endpoint e = {{IPV4, {192, 0, 2, last}}, 53};

	return e;
}

/* "a." A IN; with an option record of that size unless it is 0. */
static enum drop_reason ask(struct fixture *x, uint64_t tag, uint8_t last,
			    uint16_t edns)
{
	uint8_t m[] = {0x12, (uint8_t)tag, 1, 0,   0, 1, 0, 0, 0, 0,
		       0,    edns > 0,	   1, 'a', 0, 0, 1, 0, 1, 0,
		       0,    41,	   0, 0,   0, 0, 0, 0, 0, 0};
	struct dns_tcp_query q = {
		.tag = tag,
		.server = server(last),
		.remote = server(99),
		.message = m,
		.len = edns ? sizeof(m) : 19,
	};

	bytes_put_u16(m + 22, edns);
	return dns_tcp_ask(&x->dns, &q);
}

/* Answer the question at `at` of what was sent, len bytes in all. */
static void answer(struct fixture *x, size_t at, size_t len, size_t piece)
{
	static uint8_t m[2 + 65535];

	memset(m, 0xee, sizeof(m));
	bytes_put_u16(m, (uint16_t)len);
	memcpy(m + 2, x->sent + at + 2, 19);
	m[4] |= 0x80;
	bytes_put_u16(m + 12, 0);
	for (size_t done = 0; done < len + 2; done += piece)
		dns_tcp_on_data(x->conn, m + done,
				len + 2 - done < piece ? len + 2 - done
						       : piece);
}

static void question_and_answer(void **state)
{
	struct fixture *x = *state;
	struct endpoint s = server(1), remote = server(99);

	assert_int_equal(ask(x, 7, 1, 0), DROP_NONE);
	assert_true(endpoint_equal(&x->server, &s));
	assert_int_equal(x->n_sent, 0);
	dns_tcp_on_open(x->conn);
	assert_int_equal(x->n_sent, 21);
	assert_int_equal(bytes_get_u16(x->sent), 19);
	answer(x, 0, 100, 1);
	assert_int_equal(x->n_answers, 1);
	assert_int_equal(x->tag, 7);
	assert_true(endpoint_equal(&x->remote, &remote));
	assert_int_equal(x->answer_len, 100);
	assert_int_equal(bytes_get_u16(x->answer), 0x1207);
	answer(x, 0, 100, 100); /* again: nobody waits for it */
	assert_int_equal(x->n_answers, 1);
	loop_advance_us(x->loop, 11 * SECOND);
	assert_int_equal(x->n_closes, 1);
	assert_int_equal(x->n_failed, 0);
}

static void questions_share_a_stream(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(ask(x, 1, 1, 0), DROP_NONE);
	dns_tcp_on_open(x->conn);
	assert_int_equal(ask(x, 2, 1, 0), DROP_NONE);
	assert_int_equal(x->n_opens, 1);
	assert_int_equal(x->n_sent, 42);
	answer(x, 21, 50, 7); /* the second first */
	assert_int_equal(x->tag, 2);
	answer(x, 0, 50, 7);
	assert_int_equal(x->tag, 1);
	assert_int_equal(bytes_get_u16(x->answer), 0x1201);
	assert_int_equal(ask(x, 3, 2, 0), DROP_NONE);
	assert_int_equal(x->n_opens, 2);
}

static void slow_stream_takes_bit_by_bit(void **state)
{
	struct fixture *x = *state;

	x->takes = 1;
	assert_int_equal(ask(x, 1, 1, 0), DROP_NONE);
	dns_tcp_on_open(x->conn);
	for (int i = 0; i < 30; i++)
		dns_tcp_on_writable(x->conn);
	assert_int_equal(x->n_sent, 21);
	answer(x, 0, 12, 3);
	assert_int_equal(x->n_answers, 1);
}

static void long_answers_are_cut(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(ask(x, 1, 1, 0), DROP_NONE);
	assert_int_equal(ask(x, 2, 1, 1232), DROP_NONE);
	assert_int_equal(ask(x, 3, 1, 1232), DROP_NONE);
	dns_tcp_on_open(x->conn);
	answer(x, 0, 513, 1000);
	assert_int_equal(x->answer_len, 19);
	assert_int_equal(x->answer[2] & 2, 2);
	answer(x, 21, 1232, 1000);
	assert_int_equal(x->answer_len, 1232);
	answer(x, 21 + 32, 65535, 1000);
	assert_int_equal(x->answer_len, 19);
	assert_int_equal(x->answer[2] & 2, 2);
	assert_int_equal(x->n_answers, 3);
}

static void failures_are_told_once(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(ask(x, 1, 1, 0), DROP_NONE);
	assert_int_equal(ask(x, 2, 1, 0), DROP_NONE);
	dns_tcp_on_closed(x->conn, FRAME_REASON_REFUSED);
	assert_int_equal(x->n_failed, 2);
	assert_int_equal(x->reason, FRAME_REASON_REFUSED);
	assert_int_equal(x->n_closes, 0);
	assert_int_equal(ask(x, 3, 1, 0), DROP_NONE);
	dns_tcp_on_open(x->conn);
	loop_advance_us(x->loop, 11 * SECOND);
	assert_int_equal(x->n_failed, 3);
	assert_int_equal(x->reason, FRAME_REASON_TIMED_OUT);
	assert_int_equal(x->n_closes, 1);
	x->open_fails = true;
	assert_int_not_equal(ask(x, 4, 1, 0), DROP_NONE);
	assert_int_equal(x->dns.n, 0);
}

static void closed_stream_is_opened_again(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(ask(x, 1, 1, 0), DROP_NONE);
	dns_tcp_on_open(x->conn);
	answer(x, 0, 50, 50);
	assert_int_equal(ask(x, 2, 1, 0), DROP_NONE);
	dns_tcp_on_closed(x->conn, FRAME_REASON_RESET);
	assert_int_equal(x->n_opens, 2);
	assert_int_equal(x->n_failed, 0);
	dns_tcp_on_open(x->conn);
	assert_int_equal(x->n_sent, 21);
	dns_tcp_on_closed(x->conn, FRAME_REASON_RESET); /* not for ever */
	assert_int_equal(x->n_opens, 2);
	assert_int_equal(x->n_failed, 1);
}

static void limits_hold(void **state)
{
	struct fixture *x = *state;
	static const uint8_t junk[DNS_TCP_QUERY_MAX + 1];
	struct dns_tcp_query q = {.server = server(1), .message = junk};

	q.len = 11;
	assert_int_equal(dns_tcp_ask(&x->dns, &q), DROP_TRUNCATED);
	q.len = sizeof(junk);
	assert_int_equal(dns_tcp_ask(&x->dns, &q), DROP_BAD_LENGTH);
	assert_int_equal(x->dns.n, 0);
	for (int i = 0; i < DNS_TCP_WAITING_MAX; i++)
		assert_int_equal(ask(x, 1, 1, 0), DROP_NONE);
	assert_int_equal(ask(x, 1, 1, 0), DROP_QUEUE_FULL);
	dns_tcp_forget(&x->dns, 1);
	for (uint8_t i = 1; i <= DNS_TCP_CONNS_MAX; i++)
		assert_int_equal(ask(x, 2, i, 0), DROP_NONE);
	assert_int_equal(ask(x, 2, 100, 0), DROP_FLOW_LIMIT);
	loop_advance_us(x->loop, 30 * SECOND);
	assert_int_equal(x->n_failed, DNS_TCP_CONNS_MAX);
	assert_int_equal(x->dns.n, 0);
	assert_int_equal(x->n_closes, DNS_TCP_CONNS_MAX);
}

static void garbage_is_ignored(void **state)
{
	struct fixture *x = *state;
	static const uint8_t garbage[] = {0, 0, 0, 1, 9, 0, 12, 0, 0, 0x80,
					  0, 0, 0, 0, 0, 0, 0,	0, 0};

	assert_int_equal(ask(x, 1, 1, 0), DROP_NONE);
	dns_tcp_on_open(x->conn);
	for (size_t i = 0; i < sizeof(garbage); i++)
		dns_tcp_on_data(x->conn, garbage + i, 1);
	answer(x, 0, 40, 3);
	assert_int_equal(x->n_answers, 1);
	assert_int_equal(x->tag, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(question_and_answer),
		TEST(questions_share_a_stream),
		TEST(slow_stream_takes_bit_by_bit),
		TEST(long_answers_are_cut),
		TEST(failures_are_told_once),
		TEST(closed_stream_is_opened_again),
		TEST(limits_hold),
		TEST(garbage_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
