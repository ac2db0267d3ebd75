/* SPDX-License-Identifier: MIT */
/*
 * dns_conn: queries by TCP, each behind its length.
 *
 * Theory of operation
 *   A connection is a stream of the stub's session.  Up to
 *   DNS_STUB_PIPELINED_MAX queries of it wait at a time and are answered in the
 *   order in which that is possible; while there are so many, or the responses
 *   are not fetched, no more are read.  A connection that says nothing for
 *   DNS_STUB_IDLE_US and waits for nothing is closed, and if the other end does
 *   not care, reset.
 *
 * Ownership: the stub owns connections.  Freed by a task, so no caller up the
 * stack finds one gone.
 *
 * Spec: RFC 1035 section 4.2.2; RFC 7766
 */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "dns_internal.h"
#include "iov.h"

enum {
	PREFIX_LEN = 2,
	UNFETCHED_MAX = 64 << 10, /* of responses; then nothing is read */
};

struct dns_conn {
	struct dns_stub *stub; /* borrowed */
	struct list link;      /* stub.conns */
	struct stream *stream; /* borrowed; NULL: is over */
	struct list askers;    /* struct dns_asker, by conn_link */
	unsigned n_askers;
	struct timer idle;
	struct loop_task look; /* for queries; or, if it is over, the end */
};

/* Nothing may come of it any more. */
static void end(struct dns_conn *c)
{
	struct list *link;

	if (c->stream)
		stream_disown(c->stream);
	c->stream = NULL;
	while ((link = list_pop(&c->askers)))
		container_of(link, struct dns_asker, conn_link)->conn = NULL;
	loop_post(c->stub->loop, &c->look);
}

static void give_up(struct dns_conn *c)
{
	struct stream *stream = c->stream;

	end(c);
	if (stream)
		stream_reset(stream, FRAME_REASON_RESET);
}

static void free_conn(struct dns_conn *c)
{
	timer_disarm(c->stub->loop, &c->idle);
	loop_unpost(&c->look);
	list_del(&c->link);
	c->stub->n_conns--;
	free(c);
}

static void on_idle(void *ctx)
{
	struct dns_conn *c = ctx;

	if (!c->stream)
		return;
	if (c->n_askers == 0 && c->stream->tx_fin) {
		give_up(c);
		return;
	}
	if (c->n_askers == 0)
		stream_write_fin(c->stream);
	timer_arm(c->stub->loop, &c->idle, DNS_STUB_IDLE_US);
}

/* ---- queries ---- */

/* The next n bytes, if they are there. */
static bool peek(const struct dns_conn *c, uint8_t *out, size_t n)
{
	struct iovec iov[2];
	const struct ring *rx = &c->stream->rx;

	if (ring_len(rx) < n)
		return false;
	int parts = stream_rx_peek(c->stream, rx->start, n, iov);
	size_t at = 0;

	for (int i = 0; i < parts; i++) {
		memcpy(out + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	return at == n;
}

/* One query, if it is there whole.  May end the connection. */
static bool read_query(struct dns_conn *c)
{
	uint8_t in[PREFIX_LEN + FRAME_QUERY_MAX];

	if (!peek(c, in, PREFIX_LEN))
		return false;
	size_t len = bytes_get_u16(in);

	if (len < DNS_HEADER_LEN || len > FRAME_QUERY_MAX) {
		give_up(c);
		return false;
	}
	if (!peek(c, in, PREFIX_LEN + len))
		return false;
	stream_consume(c->stream, c->stream->rx.start + PREFIX_LEN + len);
	timer_arm(c->stub->loop, &c->idle, DNS_STUB_IDLE_US);
	dns_stub_on_message(c->stub, c, in + PREFIX_LEN, len);
	return true;
}

static bool may_read(const struct dns_conn *c)
{
	return c->stream && c->n_askers < DNS_STUB_PIPELINED_MAX &&
	       stream_tx_unacked(c->stream) < UNFETCHED_MAX;
}

static void on_look(void *ctx)
{
	struct dns_conn *c = ctx;
	bool has_all = false;

	while (!has_all && may_read(c))
		has_all = !read_query(c);
	if (!c->stream) {
		free_conn(c);
		return;
	}
	if (!has_all || !c->stream->rx_fin)
		return;
	/* Half a query that will not become a whole one is none. */
	stream_consume(c->stream, c->stream->rx.end);
	stream_consume_fin(c->stream);
	if (c->n_askers == 0)
		stream_write_fin(c->stream);
}

void dns_conn_add(struct dns_conn *conn, struct dns_asker *asker)
{
	list_push(&conn->askers, &asker->conn_link);
	conn->n_askers++;
}

void dns_conn_del(struct dns_asker *asker)
{
	struct dns_conn *c = asker->conn;

	list_del(&asker->conn_link);
	if (!c)
		return;
	c->n_askers--;
	loop_post(c->stub->loop, &c->look);
}

void dns_conn_send(struct dns_conn *conn, const uint8_t *message, size_t len)
{
	uint8_t prefix[PREFIX_LEN];

	if (!conn->stream || conn->stream->tx_fin)
		return;
	bytes_put_u16(prefix, (uint16_t)len);
	if (stream_write(conn->stream, prefix, sizeof(prefix)) < 0 ||
	    stream_write(conn->stream, message, len) < 0)
		give_up(conn);
}

/* ---- what the session tells ---- */

static void on_news(struct stream *stream)
{
	struct dns_conn *c = stream->owner;

	loop_post(c->stub->loop, &c->look);
}

static void on_closed(struct stream *stream)
{
	end(stream->owner);
}

static void on_reset(struct stream *stream, enum frame_reason reason)
{
	(void)reason;
	end(stream->owner);
}

static const struct stream_ops stream_ops = {
	.on_readable = on_news,
	.on_writable = on_news,
	.on_reset = on_reset,
	.on_closed = on_closed,
};

void dns_conn_on_open(void *ctx, struct stream *stream,
		      const struct frame_open *open)
{
	struct dns_stub *s = ctx;
	struct frame_refused full = {.reason = FRAME_REASON_REFUSED};
	struct dns_conn *c = NULL;

	(void)open;
	if (s->n_conns < DNS_STUB_CONNS_MAX)
		c = calloc(1, sizeof(*c));
	if (!c) {
		session_refuse(stream, &full);
		return;
	}
	c->stub = s;
	c->stream = stream;
	c->idle = (struct timer){.on_fire = on_idle, .ctx = c};
	c->look = (struct loop_task){.on_run = on_look, .ctx = c};
	list_init(&c->look.link);
	list_init(&c->askers);
	list_push(&s->conns, &c->link);
	s->n_conns++;
	stream->owner = c;
	stream->ops = &stream_ops;
	session_accept(stream);
	timer_arm(s->loop, &c->idle, DNS_STUB_IDLE_US);
}

void dns_conn_end_all(struct dns_stub *s)
{
	list_for_each_safe (pos, &s->conns)
		end(container_of(pos, struct dns_conn, link));
}

void dns_conn_free_all(struct dns_stub *s)
{
	dns_conn_end_all(s);
	list_for_each_safe (pos, &s->conns)
		free_conn(container_of(pos, struct dns_conn, link));
}
