/* SPDX-License-Identifier: MIT */
/*
 * session_recv: frames from the peer, each checked before it changes anything.
 *
 * Every recv_ function returns 0, or -EBADMSG for a frame that breaks the
 * protocol, which ends the session.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "escape.h"
#include "session_internal.h"

static struct stream *stream_find(struct session *s, uint32_t id)
{
	struct htab_node *node = htab_find(&s->streams, htab_hash_u32(id));

	return node ? container_of(node, struct stream, node) : NULL;
}

static int recv_open(struct session *s, uint32_t id, const uint8_t *body,
		     size_t len)
{
	struct frame_open o;
	static const struct frame_refused full = {
		.reason = FRAME_REASON_NO_RESOURCES};
	uint8_t frame[FRAME_FIXED_MAX];

	if (s->role != SESSION_FAR || frame_parse_open(body, len, &o) < 0 ||
	    id % 2 == 0 || id < s->next_id || id > UINT32_MAX - 2)
		return -EBADMSG;
	s->next_id = id + 2;
	struct stream *st = session_stream_new(s, id);
	if (!st) {
		session_send_vital(s, frame,
				   frame_build_refused(frame, id, &full));
		return 0;
	}
	st->tx_limit = o.window_bytes;
	s->ops->on_open(s->ctx, st, &o);
	return 0;
}

static int recv_opened(const struct session *s, struct stream *st,
		       const uint8_t *body, size_t len)
{
	uint32_t window_bytes;

	if (s->role != SESSION_NEAR || st->state != STREAM_OPENING ||
	    frame_parse_u32(body, len, &window_bytes) < 0)
		return -EBADMSG;
	st->tx_limit = window_bytes;
	st->state = STREAM_OPEN;
	if (st->owner)
		st->ops->on_opened(st);
	return 0;
}

static int recv_refused(const struct session *s, struct stream *st,
			const uint8_t *body, size_t len)
{
	struct frame_refused r;

	if (s->role != SESSION_NEAR || st->state != STREAM_OPENING ||
	    frame_parse_refused(body, len, &r) < 0)
		return -EBADMSG;
	session_stream_kill(st);
	if (st->owner)
		st->ops->on_refused(st, &r);
	return 0;
}

/* hop up 10/11 (TCP), down 6/9 (TCP): bytes of a stream arrive */
static int recv_bytes(struct session *s, struct stream *st, uint64_t offset,
		      const uint8_t *bytes, size_t n)
{
	size_t taken = 0;

	if (st->state != STREAM_OPEN || st->rx_fin || offset != st->rx.end ||
	    offset + n > st->rx_limit)
		return -EBADMSG;
	s->stats.rx_bytes += n;
	if (!st->owner)
		taken = n; /* nobody is there to read it */
	else if (ring_len(&st->rx) == 0 && st->ops->on_data)
		taken = st->ops->on_data(st, bytes, n);
	if (st->state == STREAM_DEAD)
		return 0;
	if (taken > 0) {
		st->rx.end += taken;
		stream_consume(st, st->rx.end);
	}
	if (taken == n)
		return 0;
	if (!session_may_store(s, n - taken) ||
	    ring_push(&st->rx, bytes + taken, n - taken) < 0) {
		stream_reset(st, FRAME_REASON_NO_RESOURCES);
		if (st->owner)
			st->ops->on_reset(st, FRAME_REASON_NO_RESOURCES);
		return 0;
	}
	session_note_storage(st);
	st->ops->on_readable(st);
	return 0;
}

static int recv_data(struct session *s, struct stream *st, const uint8_t *body,
		     size_t len)
{
	uint64_t offset;
	const uint8_t *bytes;
	size_t n;

	if (frame_parse_data(body, len, &offset, &bytes, &n) < 0)
		return -EBADMSG;
	return recv_bytes(s, st, offset, bytes, n);
}

static int recv_fin(struct stream *st, const uint8_t *body, size_t len)
{
	uint64_t offset;

	if (frame_parse_u64(body, len, &offset) < 0 ||
	    st->state != STREAM_OPEN || st->rx_fin || offset != st->rx.end)
		return -EBADMSG;
	st->rx_fin = true;
	if (st->owner)
		st->ops->on_readable(st);
	else
		stream_consume_fin(st);
	return 0;
}

static int recv_ack(struct stream *st, const uint8_t *body, size_t len)
{
	uint64_t acked, limit;

	if (frame_parse_ack(body, len, &acked, &limit) < 0 ||
	    st->state != STREAM_OPEN || acked < st->tx_acked ||
	    acked > st->tx.start + (st->tx_fin_sent ? 1 : 0) ||
	    limit < st->tx_limit)
		return -EBADMSG;
	if (st->tx_fin_sent && acked == st->tx.end + 1) {
		st->tx_fin_acked = true;
		acked = st->tx.end;
	}
	st->tx_acked = acked;
	st->tx_limit = limit;
	session_want_send(st);
	if (st->owner)
		st->ops->on_writable(st);
	session_maybe_close(st);
	return 0;
}

static int recv_reset(struct stream *st, const uint8_t *body, size_t len)
{
	enum frame_reason reason;

	if (frame_parse_reason(body, len, &reason) < 0)
		return -EBADMSG;
	session_stream_kill(st);
	if (st->owner)
		st->ops->on_reset(st, reason);
	return 0;
}

static int recv_stream_frame(struct session *s, const struct frame_header *h,
			     const uint8_t *body)
{
	struct stream *st = stream_find(s, h->id);

	if (!st) {
		session_count_drop(s, DROP_STALE_FRAME);
		return 0;
	}
	switch (h->type) {
	case FRAME_OPENED:
		return recv_opened(s, st, body, h->len);
	case FRAME_REFUSED:
		return recv_refused(s, st, body, h->len);
	case FRAME_DATA:
		return recv_data(s, st, body, h->len);
	case FRAME_FIN:
		return recv_fin(st, body, h->len);
	case FRAME_ACK:
		return recv_ack(st, body, h->len);
	default:
		return recv_reset(st, body, h->len);
	}
}

/* hop up 10/11 (datagrams), down 6/9 (datagrams): a datagram arrives */
static int recv_dgram(struct session *s, uint32_t id, const uint8_t *body,
		      size_t len)
{
	struct frame_dgram d;

	if (frame_parse_dgram(body, len, &d) < 0)
		return -EBADMSG;
	s->stats.rx_bytes += d.payload_len;
	s->ops->on_dgram(s->ctx, id, &d);
	return 0;
}

static int recv_packet(struct session *s, const uint8_t *body, size_t len)
{
	struct frame_packet p;

	if (!s->ops->on_packet || frame_parse_packet(body, len, &p) < 0)
		return -EBADMSG;
	s->stats.rx_bytes += p.ip_len;
	s->ops->on_packet(s->ctx, &p);
	return 0;
}

static int recv_network(struct session *s, const uint8_t *body, size_t len)
{
	struct frame_network n;

	if (!s->ops->on_network || frame_parse_network(body, len, &n) < 0)
		return -EBADMSG;
	s->ops->on_network(s->ctx, &n);
	return 0;
}

static int recv_network_state(struct session *s, const uint8_t *body,
			      size_t len)
{
	struct frame_network_state state;

	if (!s->ops->on_network_state ||
	    frame_parse_network_state(body, len, &state) < 0)
		return -EBADMSG;
	s->ops->on_network_state(s->ctx, &state);
	return 0;
}

static int recv_routes_ask(const struct session *s, size_t len)
{
	if (!s->ops->on_routes_ask || len != 0)
		return -EBADMSG;
	s->ops->on_routes_ask(s->ctx);
	return 0;
}

static int recv_routes(const struct session *s, const uint8_t *body, size_t len)
{
	struct frame_routes routes;

	if (!s->ops->on_routes || frame_parse_routes(body, len, &routes) < 0)
		return -EBADMSG;
	s->ops->on_routes(s->ctx, &routes);
	return 0;
}

static int recv_icmp_error(struct session *s, uint32_t id, const uint8_t *body,
			   size_t len)
{
	struct frame_icmp_error e;

	if (s->role != SESSION_NEAR ||
	    frame_parse_icmp_error(body, len, &e) < 0)
		return -EBADMSG;
	s->ops->on_icmp_error(s->ctx, id, &e);
	return 0;
}

static int recv_assoc_close(struct session *s, uint32_t id, const uint8_t *body,
			    size_t len)
{
	enum frame_reason reason;

	if (frame_parse_reason(body, len, &reason) < 0)
		return -EBADMSG;
	s->ops->on_assoc_close(s->ctx, id, reason);
	return 0;
}

static int recv_resolved(struct session *s, uint32_t id, const uint8_t *body,
			 size_t len)
{
	enum frame_reason status;
	const uint8_t *answer;
	size_t answer_len;

	if (s->role != SESSION_NEAR || !s->ops->on_resolved ||
	    frame_parse_resolved(body, len, &status, &answer, &answer_len) < 0)
		return -EBADMSG;
	s->ops->on_resolved(s->ctx, id, status, answer, answer_len);
	return 0;
}

static int recv_resolve(struct session *s, uint32_t id, const uint8_t *body,
			size_t len)
{
	if (s->role != SESSION_FAR || !s->ops->on_resolve ||
	    len > FRAME_QUERY_MAX)
		return -EBADMSG;
	s->ops->on_resolve(s->ctx, id, body, len);
	return 0;
}

static int recv_ping(struct session *s, const uint8_t *body, size_t len)
{
	uint8_t frame[FRAME_FIXED_MAX];
	uint64_t value;

	if (frame_parse_u64(body, len, &value) < 0)
		return -EBADMSG;
	session_send_hint(s, frame, frame_build_ping(frame, FRAME_PONG, value));
	return 0;
}

static int recv_drops(struct session *s, const uint8_t *body, size_t len)
{
	if (s->role != SESSION_NEAR)
		return -EBADMSG;
	return frame_parse_drops(body, len, s->stats.far_drops);
}

static int recv_pong(struct session *s, const uint8_t *body, size_t len)
{
	uint64_t sent_us, now_us = loop_now_us(s->loop);
	struct session_stats *stats = &s->stats;

	if (frame_parse_u64(body, len, &sent_us) < 0)
		return -EBADMSG;
	/* Our own clock, unless the peer made it up. */
	if (sent_us != s->ping_sent_us || sent_us > now_us)
		return 0;
	stats->round_trip_us = (uint32_t)(now_us - sent_us);
	if (stats->round_trip_min_us == 0 ||
	    stats->round_trip_us < stats->round_trip_min_us)
		stats->round_trip_min_us = stats->round_trip_us;
	return 0;
}

enum {
	/* One RECEIVED says little of what else comes. */
	BUSY_RECEIVED = 8,
	/* With less of what goes to the other end coming from there, there is
	 * no queue on the way here. */
	BUSY_SHARE = 64,
};

/* Besides RECEIVED much comes here: it may have to wait for that. */
static bool is_way_here_busy(struct session *s, uint64_t received)
{
	uint64_t came = s->rx_total - s->rx_total_before;
	uint64_t went = received - s->received_before;

	s->rx_total_before = s->rx_total;
	s->received_before = received;
	s->came += came - s->came / BUSY_RECEIVED;
	s->went += went - s->went / BUSY_RECEIVED;
	return s->came >= s->went / BUSY_SHARE;
}

/* The line has delivered something: there may be room for more.  For how long
 * that message waited on its way here the line to there is not to blame. */
static int recv_received(struct session *s, const uint8_t *body, size_t len)
{
	mono_us_t now_us = loop_now_us(s->loop);
	struct frame_received got;
	int r = frame_parse_received(body, len, &got);

	if (r < 0)
		return r;
	if (s->carrier->is_local)
		return -EBADMSG;
	uint64_t wait_us =
		one_way_excess_us(&s->from_peer, now_us, got.clock_us,
				  governor_wait_most_us(&s->governor));
	uint64_t delay_us = got.delay_us + wait_us;

	governor_note_way_back(&s->governor, is_way_here_busy(s, got.bytes),
			       wait_us);
	r = governor_received(&s->governor, now_us, got.bytes,
			      delay_us < UINT32_MAX ? (uint32_t)delay_us
						    : UINT32_MAX);
	session_want_pump(s);
	return r;
}

static int recv_bye(struct session *s, const uint8_t *body, size_t len)
{
	struct frame_bye_body bye;
	char text[2 * FRAME_TEXT_MAX];
	struct err why;

	if (frame_parse_bye(body, len, &bye) < 0)
		return -EBADMSG;
	escape_text(bye.text, strlen(bye.text), text, sizeof(text));
	(void)err_set(&why, 0, "the other end says: %s", *text ? text : "done");
	s->end = SESSION_END_SAID;
	session_go_down(s, &why);
	return 0;
}

static int recv_hello(struct session *s, const uint8_t *body, size_t len)
{
	struct frame_hello peer;
	char what[200];
	int r = frame_parse_hello(body, len, &peer);

	if (r < 0)
		return r;
	if (peer.version_lowest > FRAME_VERSION_HIGHEST ||
	    peer.version_highest < FRAME_VERSION_LOWEST) {
		(void)snprintf(what, sizeof(what),
			       "the %s end speaks session protocol %u to %u, "
			       "the %s end %d to %d: install the same "
			       "version of ecssh at both ends",
			       s->role == SESSION_NEAR ? "far" : "near",
			       peer.version_lowest, peer.version_highest,
			       s->role == SESSION_NEAR ? "near" : "far",
			       FRAME_VERSION_LOWEST, FRAME_VERSION_HIGHEST);
		session_fail(s, FRAME_BYE_VERSION, what);
		return 0;
	}
	if (s->role == SESSION_NEAR)
		session_send_hello(s);
	s->state = SESSION_UP;
	/* The first PING early: it measures the round trip. */
	if (s->role == SESSION_NEAR)
		timer_arm(s->loop, &s->ping_timer, SESSION_FIRST_PING_US);
	s->ops->on_up(s->ctx, &peer);
	return 0;
}

static int dispatch(struct session *s, const struct frame_header *h,
		    const uint8_t *body)
{
	switch (h->type) {
	case FRAME_BYE:
		return recv_bye(s, body, h->len);
	case FRAME_PING:
		return recv_ping(s, body, h->len);
	case FRAME_PONG:
		return recv_pong(s, body, h->len);
	case FRAME_RECEIVED:
		return recv_received(s, body, h->len);
	case FRAME_OPEN:
		return recv_open(s, h->id, body, h->len);
	case FRAME_OPENED:
	case FRAME_REFUSED:
	case FRAME_DATA:
	case FRAME_FIN:
	case FRAME_ACK:
	case FRAME_RESET:
		return recv_stream_frame(s, h, body);
	case FRAME_DGRAM:
		return recv_dgram(s, h->id, body, h->len);
	case FRAME_ICMP_ERROR:
		return recv_icmp_error(s, h->id, body, h->len);
	case FRAME_ASSOC_CLOSE:
		return recv_assoc_close(s, h->id, body, h->len);
	case FRAME_PACKET:
		return recv_packet(s, body, h->len);
	case FRAME_NETWORK:
		return recv_network(s, body, h->len);
	case FRAME_NETWORK_STATE:
		return recv_network_state(s, body, h->len);
	case FRAME_ROUTES_ASK:
		return recv_routes_ask(s, h->len);
	case FRAME_ROUTES:
		return recv_routes(s, body, h->len);
	case FRAME_RESOLVE:
		return recv_resolve(s, h->id, body, h->len);
	case FRAME_DROPS:
		return recv_drops(s, body, h->len);
	case FRAME_RESOLVED:
		return recv_resolved(s, h->id, body, h->len);
	default:
		return h->type >= FRAME_OPTIONAL ? 0 : -EBADMSG;
	}
}

static void fail_frame(struct session *s, uint8_t type, uint32_t len)
{
	char what[100];

	(void)snprintf(what, sizeof(what),
		       "a frame of type 0x%02x, length %u from the other end "
		       "breaks the session protocol",
		       type, len);
	session_fail(s, FRAME_BYE_PROTOCOL, what);
}

void session_on_data(void *ctx, uint32_t id, uint64_t offset,
		     const uint8_t *bytes, size_t len)
{
	struct session *s = ctx;

	if (s->state != SESSION_UP)
		return;
	struct stream *st = stream_find(s, id);

	s->heard_us = loop_now_us(s->loop);
	s->stats.rx_frames++;
	if (!st)
		session_count_drop(s, DROP_STALE_FRAME);
	else if (recv_bytes(s, st, offset, bytes, len) < 0)
		fail_frame(s, FRAME_DATA, (uint32_t)len);
}

void session_on_frame(void *ctx, const struct frame_header *h,
		      const uint8_t *body)
{
	struct session *s = ctx;
	int r;

	if (s->state == SESSION_DOWN)
		return;
	s->heard_us = loop_now_us(s->loop);
	s->stats.rx_frames++;
	if (h->type != FRAME_RECEIVED)
		session_note_received(s, FRAME_HEADER_LEN + h->len);
	if (s->state == SESSION_GREETING)
		r = h->type == FRAME_HELLO ? recv_hello(s, body, h->len)
		    : h->type == FRAME_BYE ? recv_bye(s, body, h->len)
					   : -EPROTO;
	else
		r = dispatch(s, h, body);
	if (r == -EPROTO) {
		session_fail(
			s, FRAME_BYE_PROTOCOL,
			"the other end does not speak the session protocol of "
			"ecssh");
	} else if (r < 0) {
		fail_frame(s, h->type, h->len);
	}
}
