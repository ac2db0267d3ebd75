/* SPDX-License-Identifier: MIT */
/*
 * relay_ssh_tcp: streams of the session as direct-tcpip channels of ssh.
 *
 * Theory of operation
 *   Up: bytes go from the frame straight into the channel while that takes
 *   them.  What it does not take stays in the stream's rx ring, and the
 *   channel says when to go on.
 *   Down: a channel cannot be told to wait, but what it may send is bounded by
 *   its window.  Everything goes into the stream; what is more than
 *   its share of the session's budget counts against the window until the near
 *   application has taken it.
 *
 *   The two directions end independently, each with EOF.  When both have ended
 *   the channel is closed; a server sends on what it still has.
 *
 *   SSH has no reset.  A channel that closes before both directions have ended
 *   is a broken connection: the near application is to see the bytes that came
 *   before, and then a reset, so the stream is reset once it has acknowledged
 *   them.  What a server reads as an error arrives as EOF; that cannot be told
 *   apart.
 *
 * Ownership: a struct conn belongs to its table; it owns the channel, and
 * borrows the stream until that is dead or disowned.  Freed at the end of the
 * turn.
 */
#include "relay_ssh_tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "mux_link.h"
#include "relay_internal.h"

enum {
	/* What a server may send beyond what the stream has room for. */
	WINDOW_BYTES = 2 << 20,
};

enum conn_state {
	CONN_OPENING, /* the channel's confirmation is awaited */
	CONN_OPEN,
	CONN_BROKEN, /* no channel; the near end does not have all bytes yet */
	CONN_DEAD,   /* in table->dead; neither stream nor channel */
};

struct conn {
	struct relay_ssh_tcp *table; /* borrowed */
	struct stream *stream;	     /* borrowed; NULL when dead */
	struct mux_channel *channel; /* owned; NULL: closed */
	struct mux_link *mux;	     /* borrowed; the channel's */
	struct list link;	     /* table->live or table->dead */
	enum conn_state state;
	uint64_t returned;  /* bytes below this tx offset do not count
			       against the window any more */
	bool is_up_blocked; /* the channel is full: wait for on_writable */
	bool is_up_done;    /* EOF was sent */
	bool is_down_done;  /* EOF was received */
	struct endpoint dst;
	char name[]; /* "": by address */
};

static void close_channel(struct conn *c)
{
	if (c->channel)
		mux_channel_close(c->channel);
	c->channel = NULL;
}

/* Nothing more happens here.  The stream is dead or goes on without us. */
static void bury(struct conn *c)
{
	close_channel(c);
	c->stream->owner = NULL;
	c->stream = NULL;
	c->state = CONN_DEAD;
	list_del(&c->link);
	list_push(&c->table->dead, &c->link);
	loop_post(c->table->loop, &c->table->bury);
}

/* ---- bytes ---- */

/* What the near application has taken may be sent anew, and what the stream
 * has room for: the session acknowledges in larger steps, and later, than a
 * window of a channel can wait for. */
static void return_window(struct conn *c)
{
	const struct stream *s = c->stream;
	uint64_t to = stream_tx_room(s) > 0 ? s->tx.end : s->tx_acked;

	if (to <= c->returned)
		return;
	size_t n = to - c->returned;

	c->returned = to;
	if (c->channel)
		mux_channel_consume(c->channel, n);
}

/* Send what waited in the ring, and the end that followed it. */
static void push(struct conn *c)
{
	struct stream *s = c->stream;

	while (!c->is_up_blocked && ring_len(&s->rx) > 0) {
		struct iovec iov[2];

		(void)stream_rx_peek(s, s->rx.start, ring_len(&s->rx), iov);
		size_t n = mux_channel_send(c->channel, iov[0].iov_base,
					    iov[0].iov_len);
		c->is_up_blocked = n < iov[0].iov_len;
		stream_consume(s, s->rx.start + n);
	}
	if (s->rx_fin && ring_len(&s->rx) == 0 && !c->is_up_done) {
		c->is_up_done = true;
		mux_channel_send_eof(c->channel);
		stream_consume_fin(s); /* may call on_stream_closed */
	}
}

/* Bring stream and channel to what the flags say, after anything happened. */
static void settle(struct conn *c)
{
	if (c->state == CONN_BROKEN && stream_tx_unacked(c->stream) == 0) {
		stream_reset(c->stream, FRAME_REASON_RESET);
		bury(c);
		return;
	}
	if (c->state != CONN_OPEN)
		return;
	if (c->is_down_done)
		stream_write_fin(c->stream);
	if (c->is_down_done && c->is_up_done)
		bury(c);
}

/* ---- events of the channel ---- */

static void on_channel_open(struct mux_channel *ch)
{
	struct conn *c = mux_channel_owner(ch);

	c->state = CONN_OPEN;
	session_accept(c->stream);
}

static void on_channel_refused(struct mux_channel *ch, uint32_t reason,
			       const char *text)
{
	struct conn *c = mux_channel_owner(ch);
	struct relay_ssh_tcp *t = c->table;
	enum frame_reason why = relay_refusal_meaning(reason, text);

	c->channel = NULL;
	if (why == FRAME_REASON_PROHIBITED)
		session_count_drop(c->stream->session, DROP_POLICY);
	relay_refusal_add(&t->refusals, &c->dst, c->name, why,
			  loop_now_us(t->loop));
	relay_refuse(c->stream, why);
	bury(c);
	relay_link_note_failure(t->links);
}

/* As the helper does with a socket: bytes of a channel become the stream's */
static void on_channel_data(struct mux_channel *ch, const uint8_t *bytes,
			    size_t len)
{
	struct conn *c = mux_channel_owner(ch);

	if (c->state != CONN_OPEN || c->is_down_done)
		return;
	if (stream_write(c->stream, bytes, len) < 0) {
		stream_reset(c->stream, FRAME_REASON_NO_RESOURCES);
		bury(c);
		return;
	}
	return_window(c);
}

static void on_channel_eof(struct mux_channel *ch)
{
	struct conn *c = mux_channel_owner(ch);

	c->is_down_done = true;
	settle(c);
}

static void on_channel_writable(struct mux_channel *ch)
{
	struct conn *c = mux_channel_owner(ch);

	c->is_up_blocked = false;
	push(c);
	settle(c);
}

/* The channel is gone before its time. */
static void break_conn(struct conn *c)
{
	c->channel = NULL;
	if (c->state == CONN_OPENING) {
		relay_refuse(c->stream, FRAME_REASON_OTHER);
		bury(c);
		return;
	}
	c->state = CONN_BROKEN;
	settle(c);
}

static void on_channel_closed(struct mux_channel *ch)
{
	break_conn(mux_channel_owner(ch));
}

static const struct mux_channel_ops channel_ops = {
	.on_open = on_channel_open,
	.on_refused = on_channel_refused,
	.on_data = on_channel_data,
	.on_eof = on_channel_eof,
	.on_writable = on_channel_writable,
	.on_closed = on_channel_closed,
};

/* ---- events of the stream ---- */

/* As the helper does with a socket: bytes of a frame are handed to the channel
 */
static size_t on_stream_data(struct stream *s, const uint8_t *bytes, size_t len)
{
	struct conn *c = s->owner;

	if (c->state == CONN_BROKEN)
		return len; /* nobody is there to read it */
	if (c->is_up_blocked)
		return 0;
	size_t n = mux_channel_send(c->channel, bytes, len);
	c->is_up_blocked = n < len;
	return n;
}

static void on_stream_readable(struct stream *s)
{
	struct conn *c = s->owner;

	if (c->state != CONN_OPEN)
		return;
	push(c);
	settle(c);
}

static void on_stream_writable(struct stream *s)
{
	struct conn *c = s->owner;

	return_window(c);
	settle(c);
}

static void on_stream_reset(struct stream *s, enum frame_reason reason)
{
	(void)reason; /* a channel can only be closed */
	if (s->owner)
		bury(s->owner);
}

static void on_stream_closed(struct stream *s)
{
	if (s->owner)
		bury(s->owner);
}

const struct stream_ops relay_ssh_tcp_stream_ops = {
	.on_data = on_stream_data,
	.on_readable = on_stream_readable,
	.on_writable = on_stream_writable,
	.on_reset = on_stream_reset,
	.on_closed = on_stream_closed,
};

/* ---- opening ---- */

static struct conn *conn_new(struct relay_ssh_tcp *t, struct stream *s,
			     const struct frame_open *open)
{
	size_t name_size = strlen(open->name) + 1;
	struct conn *c = calloc(1, sizeof(*c) + name_size);

	if (!c)
		return NULL;
	c->table = t;
	c->stream = s;
	c->dst = open->dst;
	memcpy(c->name, open->name, name_size);
	list_push(&t->live, &c->link);
	s->owner = c;
	return c;
}

/* Addresses go as text, so that the server has nothing to look up: while it
 * does, nothing else moves on that connection. */
static int open_channel(struct conn *c, const struct endpoint *origin)
{
	char address[ADDR_TEXT_MAX];
	struct mux_channel_open what = {
		.kind = MUX_DIRECT_TCPIP,
		.host = *c->name ? c->name : addr_format(&c->dst.addr, address),
		.port = c->dst.port,
		.origin = *origin,
		.window_bytes = WINDOW_BYTES,
	};

	c->mux = c->table->links->current;
	c->channel = relay_link_open(c->table->links, &what, &channel_ops, c);
	return c->channel ? 0 : -errno;
}

void relay_ssh_tcp_on_open(struct relay_ssh_tcp *t, struct stream *s,
			   const struct frame_open *open)
{
	enum frame_reason known = relay_refusal_find(
		&t->refusals, &open->dst, open->name, loop_now_us(t->loop));

	if (open->proto != IPPROTO_TCP) {
		relay_refuse(s, FRAME_REASON_OTHER);
		return;
	}
	if (known != FRAME_REASON_NONE) {
		relay_refuse(s, known);
		return;
	}
	struct conn *c = conn_new(t, s, open);
	if (!c) {
		relay_refuse(s, FRAME_REASON_NO_RESOURCES);
		return;
	}
	if (open_channel(c, &open->src) < 0) {
		session_count_drop(s->session, DROP_NO_CHANNEL);
		relay_refuse(s, FRAME_REASON_NO_RESOURCES);
		bury(c);
	}
}

/* ---- the table ---- */

static void on_bury(void *ctx)
{
	struct relay_ssh_tcp *t = ctx;
	struct list *link;

	while ((link = list_pop(&t->dead)))
		free(container_of(link, struct conn, link));
}

void relay_ssh_tcp_init(struct relay_ssh_tcp *t, struct loop *loop,
			struct relay_links *links)
{
	t->loop = loop;
	t->links = links;
	list_init(&t->live);
	list_init(&t->dead);
	t->bury = (struct loop_task){.on_run = on_bury, .ctx = t};
	list_init(&t->bury.link);
}

void relay_ssh_tcp_forget(struct relay_ssh_tcp *t, const struct mux_link *link)
{
	list_for_each_safe (pos, &t->live) {
		struct conn *c = container_of(pos, struct conn, link);

		if (c->mux != link || !c->channel)
			continue;
		close_channel(c);
		break_conn(c);
	}
}

void relay_ssh_tcp_fini(struct relay_ssh_tcp *t)
{
	while (!list_is_empty(&t->live))
		bury(container_of(t->live.next, struct conn, link));
	loop_unpost(&t->bury);
	on_bury(t);
}
