/* SPDX-License-Identifier: MIT */
/* dns_stub: queries by UDP and TCP, and a far end that answers or does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "dns_msg.h"
#include "dns_question.h"
#include "dns_stub.h"
#include "mem_carrier.h"
#include "session.h"

enum {
	SEC = 1000000,
	ASKS_MAX = 8192,
	TXT = 16,
};

struct ask {
	uint32_t id;
	size_t len;
	uint8_t query[600];
};

struct fixture {
	struct loop *loop;
	struct dns_stub *stub;
	struct session *near; /* of the TCP connections */
	struct ip_addr local;
	/* What the far end was asked, and whether it can be. */
	struct ask *asks;
	unsigned n_asks;
	bool is_down;
	/* What was sent by UDP: how many, and the last. */
	unsigned n_sent;
	struct endpoint sent_to;
	size_t sent_len;
	uint8_t sent[DNS_MESSAGE_MAX];
	unsigned n_known; /* on_answer */
	/* What the TCP client has heard. */
	unsigned n_opened, n_refused, n_reset, n_closed;
};

static int on_ask(void *ctx, uint32_t id, const uint8_t *query, size_t len)
{
	struct fixture *x = ctx;
	struct ask *a = &x->asks[x->n_asks];

	if (x->is_down)
		return -ENOTCONN;
	assert_true(x->n_asks < ASKS_MAX && len <= sizeof(a->query));
	a->id = id;
	a->len = len;
	memcpy(a->query, query, len);
	x->n_asks++;
	return 0;
}

static void on_send(void *ctx, const struct ip_addr *local,
		    const struct endpoint *to, const uint8_t *message,
		    size_t len)
{
	struct fixture *x = ctx;

	assert_true(addr_equal(local, &x->local));
	x->n_sent++;
	x->sent_to = *to;
	x->sent_len = len;
	memcpy(x->sent, message, len);
}

static void on_answer(void *ctx, const struct dns_msg *answer)
{
	struct fixture *x = ctx;

	(void)answer;
	x->n_known++;
}

static const struct dns_stub_ops ops = {
	.ask = on_ask,
	.send = on_send,
	.on_answer = on_answer,
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	x->asks = calloc(ASKS_MAX, sizeof(*x->asks));
	assert_non_null(x->asks);
	assert_int_equal(addr_parse("198.18.0.53", &x->local), 0);
	x->loop = loop_new(LOOP_TIME_VIRTUAL);
	x->stub = dns_stub_new(x->loop, &ops, x);
	assert_non_null(x->stub);
	*state = x;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;

	x->near = session_free(x->near);
	x->stub = dns_stub_free(x->stub);
	loop_free(x->loop);
	free(x->asks);
	free(x);
	return 0;
}

static void settle(struct fixture *x)
{
	while (loop_poll(x->loop))
		continue;
}

/* ---- messages ---- */

/* udp_bytes: what OPT says; 0: none. */
static size_t make_query(uint8_t *out, uint16_t id, const char *name,
			 uint16_t type, uint16_t udp_bytes)
{
	int n = dns_build_query(out, id, name, (enum dns_type)type);

	assert_true(n > 0);
	if (udp_bytes == 0)
		return (size_t)n;
	memset(out + n, 0, 11);
	out[11] = 1;
	out[n + 2] = DNS_OPT;
	bytes_put_u16(out + n + 3, udp_bytes);
	return (size_t)n + 11;
}

static struct endpoint client(uint16_t port)
{
	struct endpoint e = {.port = port};

	assert_int_equal(addr_parse("198.18.0.1", &e.addr), 0);
	return e;
}

static void query_from(struct fixture *x, uint16_t port, uint16_t id,
		       const char *name, uint16_t udp_bytes)
{
	uint8_t in[DNS_QUERY_MAX + 11];
	struct endpoint from = client(port);
	size_t n = make_query(in, id, name, TXT, udp_bytes);

	dns_stub_on_datagram(x->stub, &x->local, &from, in, n);
	settle(x);
}

static void query(struct fixture *x, uint16_t id, const char *name)
{
	query_from(x, 5000, id, name, 0);
}

/* The answer to what was asked as the nth, with n_bytes of data. */
static size_t make_answer(const struct fixture *x, unsigned nth, uint8_t *out,
			  size_t n_bytes)
{
	const struct ask *a = &x->asks[nth];
	struct dns_msg m;

	assert_int_equal(dns_parse(a->query, a->len, &m), 0);
	size_t at = DNS_HEADER_LEN + m.name_len + 4;

	memcpy(out, a->query, at);
	bytes_put_u16(out + 2, DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA);
	bytes_put_u16(out + 6, 1);
	bytes_put_u16(out + 10, 0);
	memset(out + at, 'x', 12 + n_bytes);
	bytes_put_u16(out + at, 0xc00c);
	bytes_put_u16(out + at + 2, TXT);
	bytes_put_u16(out + at + 4, DNS_CLASS_IN);
	bytes_put_u32(out + at + 6, 60);
	bytes_put_u16(out + at + 10, (uint16_t)n_bytes);
	return at + 12 + n_bytes;
}

static void answer(struct fixture *x, unsigned nth, size_t n_bytes)
{
	static uint8_t out[DNS_MESSAGE_MAX];
	size_t n = make_answer(x, nth, out, n_bytes);

	assert_true(dns_stub_on_resolved(x->stub, x->asks[nth].id,
					 FRAME_REASON_NONE, out, n));
	settle(x);
}

static struct dns_msg sent(const struct fixture *x)
{
	struct dns_msg m;

	assert_int_equal(dns_parse(x->sent, x->sent_len, &m), 0);
	return m;
}

/* ---- by UDP ---- */

static void questions_are_passed_on_and_answered(void **state)
{
	struct fixture *x = *state;

	query_from(x, 5001, 0x1234, "Host.Example", 0);
	assert_int_equal(x->n_asks, 1);
	assert_int_equal(x->n_sent, 0);
	answer(x, 0, 20);
	assert_int_equal(x->n_sent, 1);
	assert_int_equal(x->sent_to.port, 5001);
	assert_int_equal(sent(x).id, 0x1234);
	assert_int_equal(sent(x).n[DNS_ANSWER], 1);
	assert_memory_equal(x->sent + 12, "\4Host\7Example", 13);
	assert_int_equal(x->n_known, 1);
}

static void what_is_known_is_answered_at_once(void **state)
{
	struct fixture *x = *state;
	struct dns_walk walk;
	struct dns_record r;

	query(x, 1, "host.example");
	answer(x, 0, 20);
	loop_advance_us(x->loop, 10 * SEC);
	query(x, 2, "HOST.example");
	assert_int_equal(x->n_asks, 1);
	assert_int_equal(x->n_sent, 2);
	struct dns_msg m = sent(x);

	assert_int_equal(m.id, 2);
	assert_memory_equal(x->sent + 12, "\4HOST", 5);
	dns_walk_begin(&walk, &m);
	assert_true(dns_walk_next(&walk, &r));
	assert_int_equal(r.ttl_s, 50);
	assert_int_equal(x->n_known, 2);
	loop_advance_us(x->loop, 50 * SEC);
	query(x, 3, "host.example");
	assert_int_equal(x->n_asks, 2);
}

static void the_same_is_asked_once(void **state)
{
	struct fixture *x = *state;

	query_from(x, 5001, 1, "host.example", 0);
	query_from(x, 5002, 2, "HOST.example", 0);
	query_from(x, 5003, 3, "host.example", 1232);
	/* The first once more: it has waited for long. */
	query_from(x, 5001, 1, "host.example", 0);
	assert_int_equal(x->n_asks, 1);
	assert_int_equal(dns_stub_stats(x->stub).waiting, 3);
	answer(x, 0, 20);
	assert_int_equal(x->n_sent, 3);
	assert_int_equal(x->sent_to.port, 5003);
	assert_true(sent(x).opt_at > 0);
	assert_int_equal(dns_stub_stats(x->stub).waiting, 0);
}

static void silence_is_a_failure_of_that_question_alone(void **state)
{
	struct fixture *x = *state;

	query(x, 1, "silent.example");
	query(x, 2, "host.example");
	answer(x, 1, 20);
	loop_advance_us(x->loop, DNS_TRY_US);
	assert_int_equal(x->n_asks, 3); /* the second try */
	assert_int_equal(x->asks[2].id, x->asks[0].id);
	assert_int_equal(x->n_sent, 1);
	loop_advance_us(x->loop, DNS_TRY_US);
	assert_int_equal(x->n_sent, 2);
	assert_int_equal(sent(x).rcode, DNS_SERVER_FAILURE);
	assert_int_equal(sent(x).id, 1);
	/* Too late: nobody waits. */
	assert_false(dns_stub_on_resolved(x->stub, x->asks[0].id,
					  FRAME_REASON_NONE, x->sent, 0));
	/* And it is asked anew. */
	query(x, 3, "silent.example");
	assert_int_equal(x->n_asks, 4);
	assert_int_equal(dns_stub_stats(x->stub).failed, 1);
}

static void an_answer_to_the_first_try_is_good(void **state)
{
	struct fixture *x = *state;

	query(x, 1, "slow.example");
	loop_advance_us(x->loop, DNS_TRY_US + SEC);
	answer(x, 0, 20);
	assert_int_equal(x->n_sent, 1);
	assert_int_equal(sent(x).rcode, DNS_NO_ERROR);
}

static void failures_are_told_at_once(void **state)
{
	struct fixture *x = *state;

	query(x, 1, "host.example");
	assert_true(dns_stub_on_resolved(x->stub, x->asks[0].id,
					 FRAME_REASON_TIMED_OUT, x->sent, 0));
	assert_int_equal(sent(x).rcode, DNS_SERVER_FAILURE);
	x->is_down = true;
	query(x, 2, "other.example");
	assert_int_equal(x->n_sent, 2);
	assert_int_equal(sent(x).id, 2);
	assert_int_equal(sent(x).rcode, DNS_SERVER_FAILURE);
	assert_int_equal(x->n_known, 0);
}

static void a_busy_far_end_is_asked_later(void **state)
{
	struct fixture *x = *state;

	query(x, 1, "host.example");
	assert_true(dns_stub_on_resolved(
		x->stub, x->asks[0].id, FRAME_REASON_NO_RESOURCES, x->sent, 0));
	assert_int_equal(x->n_sent, 0);
	loop_advance_us(x->loop, DNS_TRY_US);
	assert_int_equal(x->n_asks, 2);
	answer(x, 1, 20);
	assert_int_equal(sent(x).rcode, DNS_NO_ERROR);
}

static void resolvers_without_edns_are_asked_without(void **state)
{
	struct fixture *x = *state;
	uint8_t error[DNS_HEADER_LEN] = {0};
	struct dns_msg m;

	query_from(x, 5000, 1, "host.example", 1232);
	assert_int_equal(dns_parse(x->asks[0].query, x->asks[0].len, &m), 0);
	assert_true(m.opt_at > 0);
	bytes_put_u16(error, (uint16_t)x->asks[0].id);
	bytes_put_u16(error + 2, DNS_FLAG_QR | DNS_FORMAT_ERROR);
	assert_true(dns_stub_on_resolved(x->stub, x->asks[0].id,
					 FRAME_REASON_NONE, error,
					 sizeof(error)));
	assert_int_equal(x->n_asks, 2);
	assert_int_equal(dns_parse(x->asks[1].query, x->asks[1].len, &m), 0);
	assert_int_equal(m.opt_at, 0);
	/* An error to that is one. */
	assert_true(dns_stub_on_resolved(x->stub, x->asks[1].id,
					 FRAME_REASON_NONE, error,
					 sizeof(error)));
	assert_int_equal(sent(x).rcode, DNS_SERVER_FAILURE);
}

/* What a far end could say that is not an answer. */
static void a_lying_far_end_is_not_believed(void **state)
{
	struct fixture *x = *state;
	uint8_t out[1000];

	for (int i = 0; i < 5; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "h%d.example", i);
		query(x, (uint16_t)i, name);
		size_t n = make_answer(x, (unsigned)i, out, 20);

		if (i == 0)
			out[0] ^= 1; /* id */
		else if (i == 1)
			out[13] = 'g'; /* another name */
		else if (i == 2)
			out[2] &= 0x7f; /* no response */
		else if (i == 3)
			n--;
		else
			out[7] = 2; /* more records than there are */
		assert_true(dns_stub_on_resolved(x->stub, x->asks[i].id,
						 FRAME_REASON_NONE, out, n));
		assert_int_equal(sent(x).rcode, DNS_SERVER_FAILURE);
	}
	assert_int_equal(x->n_known, 0);
	assert_int_equal(dns_stub_stats(x->stub).cached, 0);
}

static void long_answers_are_cut_to_what_is_taken(void **state)
{
	struct fixture *x = *state;

	query_from(x, 5000, 1, "host.example", 0);
	query_from(x, 5001, 2, "host.example", 1232);
	query_from(x, 5002, 3, "host.example", 65535);
	answer(x, 0, 2000);
	assert_int_equal(x->n_sent, 3);
	assert_true(x->sent_len > 2000);
	assert_int_equal(dns_stub_stats(x->stub).cut, 2);
	query_from(x, 5003, 4, "host.example", 2000);
	assert_true(sent(x).flags & DNS_FLAG_TC);
	assert_int_equal(sent(x).n[DNS_ANSWER], 0);
	/* One that says less than all take is not believed. */
	query_from(x, 5003, 5, "other.example", 10);
	answer(x, 1, 300);
	assert_false(sent(x).flags & DNS_FLAG_TC);
	/* And never more than this by UDP. */
	query_from(x, 5003, 6, "third.example", 65535);
	answer(x, 2, DNS_STUB_UDP_MAX);
	assert_true(sent(x).flags & DNS_FLAG_TC);
}

static void what_is_no_question_is_refused(void **state)
{
	static const struct {
		const char *what;
		uint16_t flags, type;
		int rcode; /* -1: no response */
	} rows[] = {
		{"a response", DNS_FLAG_QR, TXT, -1},
		{"an update", 5 << 11, TXT, DNS_NOT_IMPLEMENTED},
		{"a zone transfer", 0, 252, DNS_REFUSED},
		{"OPT as a type", 0, DNS_OPT, DNS_REFUSED},
	};
	struct fixture *x = *state;
	uint8_t in[DNS_QUERY_MAX + 11];
	struct endpoint from = client(5000);

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		unsigned before = x->n_sent;
		size_t n = make_query(in, 1, "host.example", rows[i].type, 0);

		bytes_put_u16(in + 2, rows[i].flags);
		dns_stub_on_datagram(x->stub, &x->local, &from, in, n);
		if (x->n_sent - before != (rows[i].rcode >= 0))
			fail_msg("%s: %u", rows[i].what, x->n_sent - before);
		if (rows[i].rcode >= 0)
			assert_int_equal(sent(x).rcode, rows[i].rcode);
	}
	unsigned before = x->n_sent;
	size_t n = make_query(in, 1, "host.example", TXT, 1232);

	/* A later EDNS. */
	in[n - 5] = 1;
	dns_stub_on_datagram(x->stub, &x->local, &from, in, n);
	assert_int_equal(sent(x).rcode, DNS_BAD_VERSION);
	/* No question at all. */
	dns_stub_on_datagram(x->stub, &x->local, &from, in, DNS_HEADER_LEN);
	assert_int_equal(x->sent_len, DNS_HEADER_LEN);
	assert_int_equal(x->sent[3] & 15, DNS_FORMAT_ERROR);
	/* Not even a header. */
	dns_stub_on_datagram(x->stub, &x->local, &from, in, 11);
	dns_stub_on_datagram(x->stub, &x->local, &from, in, 0);
	assert_int_equal(x->n_sent, before + 2);
	assert_int_equal(x->n_asks, 0);
	assert_int_equal(dns_stub_stats(x->stub).refused, 8);
}

static void a_thousand_at_once_wait_for_their_turn(void **state)
{
	struct fixture *x = *state;
	char name[32];

	for (unsigned i = 0; i < DNS_QUESTIONS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "h%u.example", i);
		query_from(x, (uint16_t)(1000 + i), (uint16_t)i, name, 0);
	}
	assert_int_equal(x->n_asks, DNS_QUESTIONS_ASKED_MAX);
	/* One more is too many. */
	query_from(x, 9999, 7, "more.example", 0);
	assert_int_equal(sent(x).rcode, DNS_SERVER_FAILURE);
	assert_int_equal(x->n_sent, 1);
	for (unsigned i = 0; i < DNS_QUESTIONS_MAX; i++)
		answer(x, i, 20);
	assert_int_equal(x->n_asks, DNS_QUESTIONS_MAX);
	assert_int_equal(x->n_sent, 1 + DNS_QUESTIONS_MAX);
	assert_int_equal(dns_stub_stats(x->stub).cached, DNS_QUESTIONS_MAX);
}

/* All of them fail at their time, and memory for askers has a limit. */
static void waiting_has_an_end_for_all(void **state)
{
	struct fixture *x = *state;
	char name[32];

	for (unsigned i = 0; i < 2 * DNS_ASKERS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "h%u.example", i % 500);
		query_from(x, (uint16_t)i, (uint16_t)i, name, 0);
	}
	assert_int_equal(dns_stub_stats(x->stub).waiting, DNS_ASKERS_MAX);
	for (int i = 0; i < DNS_TRIES; i++)
		loop_advance_us(x->loop, DNS_TRY_US);
	assert_int_equal(dns_stub_stats(x->stub).waiting, 0);
	assert_int_equal(x->n_sent, 2 * DNS_ASKERS_MAX);
	/* They that were refused at once, and they that waited. */
	assert_int_equal(dns_stub_stats(x->stub).failed, DNS_ASKERS_MAX);
}

/* A far end that loses one question in five, is silent on some, fails, lies,
 * has no room, and takes up to 12 s over the rest, in any order; and programs
 * that ask again.  Each query has one response in the end, and nothing is left.
 */
static void each_query_has_one_response(void **state)
{
	enum { STEPS = 4000, STEP_US = 25000, SLOTS = 64 };
	struct fixture *x = *state;
	struct {
		unsigned nth;
		mono_us_t due_us;
	} late[SLOTS] = {0};
	uint64_t rng = 0x9e3779b97f4a7c15;
	unsigned n_queries = 0, n_seen = 0;
	static uint8_t out[2000];
	char name[32];

	for (unsigned step = 0; step < STEPS; step++) {
		rng = rng * 6364136223846793005 + 1442695040888963407;
		unsigned dice = (unsigned)(rng >> 33);

		(void)snprintf(name, sizeof(name), "h%u.example", dice % 700);
		query_from(x, (uint16_t)step, (uint16_t)step, name,
			   dice & 8 ? 1232 : 0);
		n_queries++;
		/* What is new: lost, or to be answered some time. */
		for (; n_seen < x->n_asks; n_seen++) {
			rng = rng * 6364136223846793005 + 1442695040888963407;
			unsigned fate = (unsigned)(rng >> 33);
			unsigned slot = fate % SLOTS;

			if (fate % 5 == 0 || late[slot].due_us)
				continue;
			late[slot].nth = n_seen;
			late[slot].due_us = loop_now_us(x->loop) +
					    (fate >> 8) % (12 * SEC) + 1;
		}
		loop_advance_us(x->loop, STEP_US);
		for (unsigned i = 0; i < SLOTS; i++) {
			const struct ask *a = &x->asks[late[i].nth];
			size_t n;

			if (!late[i].due_us ||
			    late[i].due_us > loop_now_us(x->loop))
				continue;
			late[i].due_us = 0;
			n = make_answer(x, late[i].nth, out, 20 + 10 * i);
			if (i % 9 == 1)
				out[14] ^= 1; /* another name */
			(void)dns_stub_on_resolved(
				x->stub, a->id,
				i % 9 == 2   ? FRAME_REASON_TIMED_OUT
				: i % 9 == 3 ? FRAME_REASON_NO_RESOURCES
					     : FRAME_REASON_NONE,
				out, n);
		}
		settle(x);
	}
	for (int i = 0; i <= DNS_TRIES; i++)
		loop_advance_us(x->loop, DNS_TRY_US);
	struct dns_stub_stats stats = dns_stub_stats(x->stub);

	assert_int_equal(stats.queries, n_queries);
	assert_int_equal(x->n_sent, n_queries);
	assert_int_equal(stats.waiting, 0);
	/* Or this shows nothing. */
	assert_true(stats.hits > 100 && stats.failed > 100 &&
		    stats.again > 100 && x->n_known > 100);
}

/* Numbers, never a verdict; a few milliseconds unless $ECSSH_TEST_FIGURES is
 * set. */
static void figures_of_known_answers(void **state)
{
	struct fixture *x = *state;
	bool is_wanted = getenv("ECSSH_TEST_FIGURES");
	unsigned rounds = is_wanted ? 400 : 1;
	uint8_t in[DNS_QUERY_MAX + 11];
	struct endpoint from = client(5000);
	char name[32];

	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "h%u.example", i);
		query(x, (uint16_t)i, name);
		answer(x, i, 40);
	}
	size_t n = make_query(in, 1, "h1.example", TXT, 1232);
	unsigned before = x->n_sent;
	mono_us_t began_us = clock_mono_us();

	for (unsigned i = 0; i < rounds * 1000; i++) {
		bytes_put_u16(in, (uint16_t)i);
		in[DNS_HEADER_LEN + 2] = (uint8_t)('1' + i % 9);
		dns_stub_on_datagram(x->stub, &x->local, &from, in, n);
	}
	uint64_t took_us = clock_mono_us() - began_us;

	assert_int_equal(x->n_sent - before, rounds * 1000);
	assert_int_equal(dns_stub_stats(x->stub).hits, rounds * 1000);
	if (is_wanted)
		printf("# known answers: %.0f/s; %u of them take %llu KiB\n",
		       rounds * 1e9 / (double)(took_us ? took_us : 1),
		       dns_stub_stats(x->stub).cached,
		       (unsigned long long)dns_stub_stats(x->stub)
				       .cached_bytes >>
			       10);
}

/* ---- by TCP ---- */

static void on_opened(struct stream *s)
{
	((struct fixture *)s->owner)->n_opened++;
}

static void on_refused(struct stream *s, const struct frame_refused *why)
{
	(void)why;
	((struct fixture *)s->owner)->n_refused++;
}

static void on_news(struct stream *s)
{
	(void)s;
}

static void on_reset(struct stream *s, enum frame_reason reason)
{
	(void)reason;
	((struct fixture *)s->owner)->n_reset++;
}

static void on_closed(struct stream *s)
{
	((struct fixture *)s->owner)->n_closed++;
}

static void on_up(void *ctx, const struct frame_hello *peer)
{
	(void)ctx;
	(void)peer;
}

static void on_down(void *ctx, const struct err *why)
{
	(void)ctx;
	(void)why;
}

static const struct stream_ops stream_ops = {
	.on_opened = on_opened,
	.on_refused = on_refused,
	.on_readable = on_news,
	.on_writable = on_news,
	.on_reset = on_reset,
	.on_closed = on_closed,
};

static const struct session_ops session_ops = {
	.on_up = on_up,
	.stream = &stream_ops,
	.on_down = on_down,
};

static int set_up_tcp(void **state)
{
	struct frame_hello hello = {.software = "test"};
	struct carrier *pair[2];

	(void)set_up(state);
	struct fixture *x = *state;

	assert_int_equal(mem_carrier_pair(x->loop, pair), 0);
	x->near = session_new(x->loop, SESSION_NEAR, pair[0], &session_ops, x,
			      &hello);
	assert_non_null(x->near);
	assert_int_equal(dns_stub_attach(x->stub, pair[1]), 0);
	settle(x);
	assert_true(session_is_up(x->near));
	return 0;
}

static struct stream *connect_tcp(struct fixture *x)
{
	struct frame_open open = {.proto = 6, .ttl = 64};

	open.dst = (struct endpoint){x->local, DNS_STUB_PORT};
	open.src = client(5000);
	struct stream *s = session_open(x->near, x, &open);

	assert_non_null(s);
	settle(x);
	return s;
}

static void write_query(struct stream *s, uint16_t id, const char *name)
{
	uint8_t out[2 + DNS_QUERY_MAX];
	size_t n = make_query(out + 2, id, name, TXT, 0);

	bytes_put_u16(out, (uint16_t)n);
	assert_int_equal(stream_write(s, out, n + 2), 0);
}

/* Take one message off the stream; its length, or 0. */
static size_t read_message(struct stream *s, uint8_t *out)
{
	static uint8_t in[2 + DNS_MESSAGE_MAX];
	struct iovec iov[2];
	size_t have = ring_len(&s->rx), at = 0;

	if (have > sizeof(in))
		have = sizeof(in);
	int parts = stream_rx_peek(s, s->rx.start, have, iov);

	for (int i = 0; i < parts; i++) {
		memcpy(in + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	if (at < 2 || at < 2U + bytes_get_u16(in))
		return 0;
	size_t n = bytes_get_u16(in);

	memcpy(out, in + 2, n);
	stream_consume(s, s->rx.start + 2 + n);
	return n;
}

static void long_answers_come_whole_by_tcp(void **state)
{
	struct fixture *x = *state;
	static uint8_t out[DNS_MESSAGE_MAX];
	struct stream *s = connect_tcp(x);
	struct dns_msg m;

	assert_int_equal(x->n_opened, 1);
	write_query(s, 77, "Host.example");
	settle(x);
	assert_int_equal(x->n_asks, 1);
	answer(x, 0, 60000);
	size_t n = read_message(s, out);

	assert_true(n > 60000);
	assert_int_equal(dns_parse(out, n, &m), 0);
	assert_int_equal(m.id, 77);
	/* The connection is good for more. */
	write_query(s, 78, "host.example");
	settle(x);
	assert_int_equal(x->n_asks, 2); /* too long to be kept */
	answer(x, 1, 10);
	assert_true(read_message(s, out) > 0);
	stream_write_fin(s);
	settle(x);
	assert_true(s->rx_fin);
	stream_consume_fin(s);
	settle(x);
	assert_int_equal(x->n_closed, 1);
	assert_int_equal(dns_stub_stats(x->stub).conns, 0);
}

/* More than are read at a time; then the rest of them. */
static void pipelined_queries_are_all_answered(void **state)
{
	struct fixture *x = *state;
	static uint8_t out[DNS_MESSAGE_MAX];
	struct stream *s = connect_tcp(x);
	char name[32];
	unsigned n_read = 0;

	for (unsigned i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "h%u.example", i);
		write_query(s, (uint16_t)i, name);
	}
	stream_write_fin(s);
	settle(x);
	assert_int_equal(x->n_asks, DNS_STUB_PIPELINED_MAX);
	for (unsigned i = 0; i < 50; i++) {
		answer(x, i, 20);
		while (read_message(s, out) > 0)
			n_read++;
		settle(x);
	}
	assert_int_equal(n_read, 50);
	assert_true(s->rx_fin);
}

static void a_query_may_come_in_pieces(void **state)
{
	struct fixture *x = *state;
	uint8_t in[2 + DNS_QUERY_MAX];
	struct stream *s = connect_tcp(x);
	size_t n = make_query(in + 2, 5, "host.example", TXT, 0);

	bytes_put_u16(in, (uint16_t)n);
	for (size_t i = 0; i < n + 2; i++) {
		assert_int_equal(x->n_asks, 0);
		assert_int_equal(stream_write(s, in + i, 1), 0);
		settle(x);
	}
	assert_int_equal(x->n_asks, 1);
}

static void what_is_no_query_ends_the_connection(void **state)
{
	struct fixture *x = *state;
	struct stream *s = connect_tcp(x);

	assert_int_equal(stream_write(s, "GET / HTTP", 10), 0);
	settle(x);
	assert_int_equal(x->n_reset, 1);
	assert_int_equal(dns_stub_stats(x->stub).conns, 0);
	s = connect_tcp(x);
	assert_int_equal(stream_write(s, "\0\13", 2), 0);
	settle(x);
	assert_int_equal(x->n_reset, 2);
}

static void a_silent_connection_is_closed(void **state)
{
	struct fixture *x = *state;
	struct stream *s = connect_tcp(x);

	loop_advance_us(x->loop, DNS_STUB_IDLE_US);
	settle(x);
	assert_true(s->rx_fin);
	loop_advance_us(x->loop, DNS_STUB_IDLE_US);
	settle(x);
	assert_int_equal(x->n_reset, 1);
	assert_int_equal(dns_stub_stats(x->stub).conns, 0);
}

static void connections_have_a_limit(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 0; i < DNS_STUB_CONNS_MAX; i++)
		(void)connect_tcp(x);
	assert_int_equal(x->n_opened, DNS_STUB_CONNS_MAX);
	(void)connect_tcp(x);
	assert_int_equal(x->n_opened, DNS_STUB_CONNS_MAX);
	assert_int_equal(x->n_refused, 1);
}

/* Who is gone is answered nothing, and the others are. */
static void who_hangs_up_is_forgotten(void **state)
{
	struct fixture *x = *state;
	struct stream *s = connect_tcp(x);

	write_query(s, 1, "host.example");
	settle(x);
	query(x, 2, "host.example");
	stream_disown(s);
	stream_reset(s, FRAME_REASON_RESET);
	settle(x);
	assert_int_equal(dns_stub_stats(x->stub).conns, 0);
	answer(x, 0, 20);
	assert_int_equal(x->n_sent, 1);
	assert_int_equal(sent(x).id, 2);
}

/* The stub goes while all kinds of them wait. */
static void freeing_in_the_midst(void **state)
{
	struct fixture *x = *state;
	struct stream *s = connect_tcp(x);

	write_query(s, 1, "host.example");
	write_query(s, 2, "other.example");
	query(x, 3, "host.example");
	settle(x);
	assert_int_equal(dns_stub_stats(x->stub).waiting, 3);
}

#define UDP(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TCP(name) cmocka_unit_test_setup_teardown(name, set_up_tcp, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UDP(questions_are_passed_on_and_answered),
		UDP(what_is_known_is_answered_at_once),
		UDP(the_same_is_asked_once),
		UDP(silence_is_a_failure_of_that_question_alone),
		UDP(an_answer_to_the_first_try_is_good),
		UDP(failures_are_told_at_once),
		UDP(a_busy_far_end_is_asked_later),
		UDP(resolvers_without_edns_are_asked_without),
		UDP(a_lying_far_end_is_not_believed),
		UDP(long_answers_are_cut_to_what_is_taken),
		UDP(what_is_no_question_is_refused),
		UDP(a_thousand_at_once_wait_for_their_turn),
		UDP(waiting_has_an_end_for_all),
		UDP(each_query_has_one_response),
		UDP(figures_of_known_answers),
		TCP(long_answers_come_whole_by_tcp),
		TCP(pipelined_queries_are_all_answered),
		TCP(a_query_may_come_in_pieces),
		TCP(what_is_no_query_ends_the_connection),
		TCP(a_silent_connection_is_closed),
		TCP(connections_have_a_limit),
		TCP(who_hangs_up_is_forgotten),
		TCP(freeing_in_the_midst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
