/* SPDX-License-Identifier: MIT */
/*
 * dns_tcp: DNS messages that came as datagrams, asked over byte streams.
 *
 * Theory of operation
 *   Questions to one server share a stream, each with a length before it and an
 *   id of ours, because those of different applications may be the same.  The
 *   answer gets its own id back.  It comes in any order.
 *
 *   A server may close a stream at any time.  If it had answered on it, what
 *   still waits is asked once more on a new one.
 *
 * Ownership: connections belong to the table, questions to their connection.
 */
#include "dns_tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bytes.h"
#include "ring.h"

enum {
	HEADER_LEN = 12,
	PREFIX_LEN = 2,
	FLAG_RESPONSE = 0x80,  /* in byte 2 */
	FLAG_TRUNCATED = 0x02, /* in byte 2 */
	LABEL_MAX = 63,
	TYPE_OPT = 41,
	DATAGRAM_ANSWER_MIN = 512, /* that anyone takes */
};

struct question {
	struct list link;
	mono_us_t due_us;
	uint64_t tag;
	struct endpoint remote;
	size_t answer_max;
	uint16_t near_txid, txid;
	size_t len;
	uint8_t message[]; /* prefix and message, len in all */
};

enum conn_state {
	CONN_OPENING, /* bytes wait in `out` */
	CONN_OPEN,
};

struct dns_tcp_conn {
	struct dns_tcp *table; /* borrowed */
	struct list link;
	struct endpoint server;
	enum conn_state state;
	void *stream;	       /* the user's */
	struct list questions; /* oldest first */
	unsigned n;
	uint16_t next_txid;
	bool has_answered; /* on this stream */
	struct ring out;   /* not taken by the stream yet */
	uint8_t *in;	   /* owned; prefix and answer so far */
	size_t in_len;
	mono_us_t used_us;
	struct timer timer; /* the oldest question's due, or idle */
};

/* ---- messages ---- */

/* Offset behind the only question of a message, 0 if it has none or more. */
static size_t questions_end(const uint8_t *m, size_t len)
{
	size_t at = HEADER_LEN;

	if (len < HEADER_LEN || bytes_get_u16(m + 4) != 1)
		return 0;
	while (at < len && m[at] != 0 && m[at] <= LABEL_MAX)
		at += 1U + m[at];
	return at + 5 <= len && m[at] == 0 ? at + 5 : 0;
}

/* What a question says of the longest datagram that its sender takes. */
static size_t datagram_max(const uint8_t *m, size_t len)
{
	size_t at = questions_end(m, len);

	/* The option record is the only one that a question has. */
	if (at == 0 || at + 11 > len || bytes_get_u32(m + 6) != 0 ||
	    bytes_get_u16(m + 10) == 0 || m[at] != 0 ||
	    bytes_get_u16(m + at + 1) != TYPE_OPT)
		return DATAGRAM_ANSWER_MIN;
	size_t max = bytes_get_u16(m + at + 3);
	return max < DATAGRAM_ANSWER_MIN ? DATAGRAM_ANSWER_MIN : max;
}

/* Leave nothing but header and question.  Returns the new length. */
static size_t truncate_answer(uint8_t *m, size_t len)
{
	size_t end = questions_end(m, len);

	if (end == 0 || end > DATAGRAM_ANSWER_MIN) {
		end = HEADER_LEN;
		bytes_put_u16(m + 4, 0);
	}
	m[2] |= FLAG_TRUNCATED;
	memset(m + 6, 0, 6);
	return end;
}

/* ---- questions ---- */

static void free_question(struct dns_tcp_conn *c, struct question *q)
{
	list_del(&q->link);
	c->n--;
	free(q);
}

static void fail_question(struct dns_tcp_conn *c, struct question *q,
			  enum frame_reason reason)
{
	struct dns_tcp *t = c->table;
	uint64_t tag = q->tag;
	struct endpoint remote = q->remote;
	size_t len = q->len - PREFIX_LEN;

	free_question(c, q);
	t->ops->on_failed(t->ctx, tag, &remote, len, reason);
}

static struct question *find_txid(struct dns_tcp_conn *c, uint16_t txid)
{
	list_for_each (link, &c->questions) {
		struct question *q = container_of(link, struct question, link);

		if (q->txid == txid)
			return q;
	}
	return NULL;
}

/* ---- connections ---- */

static void free_conn(struct dns_tcp_conn *c)
{
	struct list *link;

	while ((link = list_pop(&c->questions)))
		free_question(c, container_of(link, struct question, link));
	timer_disarm(c->table->loop, &c->timer);
	list_del(&c->link);
	c->table->n--;
	ring_fini(&c->out);
	free(c->in);
	free(c);
}

/* What waits is told that it failed; no conn is left to ask on again. */
static void end_conn(struct dns_tcp_conn *c, enum frame_reason reason)
{
	struct list *link;

	/* Taken out first: a callback may ask again, on a new one. */
	list_del(&c->link);
	timer_disarm(c->table->loop, &c->timer);
	while ((link = list_pop(&c->questions)))
		fail_question(c, container_of(link, struct question, link),
			      reason);
	free_conn(c);
}

static void close_conn(struct dns_tcp_conn *c, enum frame_reason reason)
{
	if (c->stream)
		c->table->ops->close(c->stream);
	c->stream = NULL;
	end_conn(c, reason);
}

/* When the oldest question is given up, or nothing was asked for long. */
static mono_us_t due_us(const struct dns_tcp_conn *c)
{
	if (c->n == 0)
		return c->used_us + DNS_TCP_IDLE_US;
	return container_of(c->questions.next, struct question, link)->due_us;
}

static void arm(struct dns_tcp_conn *c)
{
	mono_us_t now_us = loop_now_us(c->table->loop), due = due_us(c);

	timer_arm(c->table->loop, &c->timer, due > now_us ? due - now_us : 0);
}

/* Answers do not move the timer: it looks again. */
static void on_timer(void *ctx)
{
	struct dns_tcp_conn *c = ctx;
	mono_us_t now_us = loop_now_us(c->table->loop);

	if (due_us(c) > now_us)
		arm(c);
	else if (c->n == 0)
		close_conn(c, FRAME_REASON_NONE);
	else
		/* A server that leaves one unanswered may have stopped:
		 * whoever asks again gets a new stream. */
		close_conn(c, FRAME_REASON_TIMED_OUT);
}

/* Give the stream what it takes. */
static void flush(struct dns_tcp_conn *c)
{
	struct iovec iov[2];
	int n = ring_peek(&c->out, c->out.start, ring_len(&c->out), iov);

	if (c->state != CONN_OPEN)
		return;
	for (int i = 0; i < n; i++) {
		size_t taken = c->table->ops->send(c->stream, iov[i].iov_base,
						   iov[i].iov_len);

		ring_drop(&c->out, c->out.start + taken);
		if (taken < iov[i].iov_len)
			return;
	}
}

static int open_stream(struct dns_tcp_conn *c)
{
	const struct dns_tcp *t = c->table;

	c->state = CONN_OPENING;
	c->has_answered = false;
	c->in_len = 0;
	ring_drop(&c->out, c->out.end);
	list_for_each (link, &c->questions) {
		struct question *q = container_of(link, struct question, link);
		int r = ring_push(&c->out, q->message, q->len);

		if (r < 0)
			return r;
	}
	return t->ops->open(t->ctx, c, &c->server, &c->stream);
}

/* The connection to a server, made if there is none; NULL with *ret_reason. */
static struct dns_tcp_conn *conn_to(struct dns_tcp *t,
				    const struct endpoint *server,
				    enum drop_reason *ret_reason)
{
	list_for_each (link, &t->conns) {
		struct dns_tcp_conn *c =
			container_of(link, struct dns_tcp_conn, link);

		if (endpoint_equal(&c->server, server))
			return c;
	}
	*ret_reason = DROP_FLOW_LIMIT;
	if (t->n >= DNS_TCP_CONNS_MAX)
		return NULL;
	struct dns_tcp_conn *c = calloc(1, sizeof(*c));
	*ret_reason = DROP_NO_MEMORY;
	if (!c)
		return NULL;
	c->table = t;
	c->server = *server;
	list_init(&c->questions);
	c->timer = (struct timer){.on_fire = on_timer, .ctx = c};
	c->used_us = loop_now_us(t->loop);
	c->in = malloc(PREFIX_LEN + DNS_TCP_ANSWER_MAX);
	if (!c->in || getrandom(&c->next_txid, sizeof(c->next_txid), 0) < 0) {
		free(c->in);
		free(c);
		return NULL;
	}
	list_push(&t->conns, &c->link);
	t->n++;
	return c;
}

/* ---- asking ---- */

static struct question *question_new(struct dns_tcp_conn *c,
				     const struct dns_tcp_query *query)
{
	struct question *q = calloc(1, sizeof(*q) + PREFIX_LEN + query->len);

	if (!q)
		return NULL;
	while (find_txid(c, c->next_txid))
		c->next_txid++;
	q->tag = query->tag;
	q->remote = query->remote;
	q->due_us = loop_now_us(c->table->loop) + DNS_TCP_QUERY_US;
	q->answer_max = query->answer_max;
	if (q->answer_max == 0)
		q->answer_max = datagram_max(query->message, query->len);
	q->near_txid = bytes_get_u16(query->message);
	q->txid = c->next_txid++;
	q->len = PREFIX_LEN + query->len;
	bytes_put_u16(q->message, (uint16_t)query->len);
	memcpy(q->message + PREFIX_LEN, query->message, query->len);
	bytes_put_u16(q->message + PREFIX_LEN, q->txid);
	list_push(&c->questions, &q->link);
	c->n++;
	return q;
}

enum drop_reason dns_tcp_ask(struct dns_tcp *t, const struct dns_tcp_query *q)
{
	enum drop_reason reason = DROP_NO_MEMORY;

	if (q->len < HEADER_LEN || (q->message[2] & FLAG_RESPONSE))
		return DROP_TRUNCATED;
	if (q->len > DNS_TCP_QUERY_MAX)
		return DROP_BAD_LENGTH;
	struct dns_tcp_conn *c = conn_to(t, &q->server, &reason);
	if (!c)
		return reason;
	if (c->n >= DNS_TCP_WAITING_MAX)
		return DROP_QUEUE_FULL;
	struct question *question = question_new(c, q);
	int r = question ? 0 : -ENOMEM;
	if (r == 0 && !c->stream) {
		r = open_stream(c);
	} else if (r == 0) {
		r = ring_push(&c->out, question->message, question->len);
		if (r == 0)
			flush(c);
	}
	if (r < 0 && question)
		free_question(c, question);
	if (r < 0 && !c->stream) {
		free_conn(c);
		return DROP_NO_MEMORY;
	}
	c->used_us = loop_now_us(t->loop);
	arm(c);
	return r < 0 ? DROP_NO_MEMORY : DROP_NONE;
}

void dns_tcp_forget(struct dns_tcp *t, uint64_t tag)
{
	list_for_each (link, &t->conns) {
		struct dns_tcp_conn *c =
			container_of(link, struct dns_tcp_conn, link);

		list_for_each_safe (at, &c->questions) {
			struct question *q =
				container_of(at, struct question, link);

			if (q->tag == tag)
				free_question(c, q);
		}
	}
}

/* ---- what the user tells ---- */

void dns_tcp_on_open(struct dns_tcp_conn *c)
{
	c->state = CONN_OPEN;
	flush(c);
}

void dns_tcp_on_writable(struct dns_tcp_conn *c)
{
	flush(c);
}

/* A whole message.  What nobody asked, or nobody waits for, is ignored. */
static void take_answer(struct dns_tcp_conn *c, uint8_t *m, size_t len)
{
	struct dns_tcp *t = c->table;
	struct question *q = NULL;

	if (len >= HEADER_LEN && (m[2] & FLAG_RESPONSE))
		q = find_txid(c, bytes_get_u16(m));
	if (!q)
		return;
	uint64_t tag = q->tag;
	struct endpoint remote = q->remote;

	bytes_put_u16(m, q->near_txid);
	if (len > q->answer_max)
		len = truncate_answer(m, len);
	c->has_answered = true;
	c->used_us = loop_now_us(t->loop);
	free_question(c, q);
	t->ops->on_answer(t->ctx, tag, &remote, m, len);
}

void dns_tcp_on_data(struct dns_tcp_conn *c, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		size_t want = PREFIX_LEN;

		if (c->in_len >= PREFIX_LEN)
			want += bytes_get_u16(c->in);
		size_t n = want - c->in_len < len ? want - c->in_len : len;
		memcpy(c->in + c->in_len, bytes, n);
		c->in_len += n;
		bytes += n;
		len -= n;
		if (c->in_len < PREFIX_LEN ||
		    c->in_len < PREFIX_LEN + (size_t)bytes_get_u16(c->in))
			continue;
		take_answer(c, c->in + PREFIX_LEN, c->in_len - PREFIX_LEN);
		c->in_len = 0;
	}
}

void dns_tcp_on_closed(struct dns_tcp_conn *c, enum frame_reason reason)
{
	c->stream = NULL;
	if (c->n > 0 && c->has_answered && open_stream(c) == 0)
		return;
	end_conn(c, reason);
}

/* ---- the table ---- */

void dns_tcp_init(struct dns_tcp *t, struct loop *loop,
		  const struct dns_tcp_ops *ops, void *ctx)
{
	*t = (struct dns_tcp){.loop = loop, .ops = ops, .ctx = ctx};
	list_init(&t->conns);
}

void dns_tcp_fini(struct dns_tcp *t)
{
	struct list *link;

	while ((link = list_pop(&t->conns))) {
		struct dns_tcp_conn *c =
			container_of(link, struct dns_tcp_conn, link);

		if (c->stream)
			t->ops->close(c->stream);
		free_conn(c);
	}
}
