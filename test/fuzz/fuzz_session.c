/* SPDX-License-Identifier: MIT */
/*
 * fuzz_session: a session whose peer and whose engine do what the input says.
 *
 * Input: a byte of settings, then operations, each a byte and its arguments
 * (see operations[]).  Frames are either random or nearly right.  What the
 * session sends must keep the protocol whatever it is sent.
 */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "fuzz.h"
#include "session_rig.h"

enum {
	IDS = 16, /* streams 1, 3 .. 2 * IDS - 1 are looked at */
	OPERATIONS_MAX = 1000,
};

struct reader {
	const uint8_t *at, *end;
};

/* Missing input reads as zeros. */
static uint32_t take(struct reader *r, size_t n)
{
	uint32_t v = 0;

	for (; n > 0; n--)
		v = v << 8 | (r->at < r->end ? *r->at++ : 0);
	return v;
}

/* What the session has said of a stream. */
struct said {
	bool is_open, is_finished; /* finished: it reset or refused it */
	bool has_fin;
	uint64_t sent, limit;	   /* DATA; what we allowed */
	uint64_t consumed, window; /* by its ACKs */
};

struct peer {
	struct session_rig *rig;
	struct said said[IDS];
	struct dgram_queue queue;
	uint64_t received; /* as we told */
	bool has_bye;
};

static struct stream *find(struct peer *p, uint32_t id)
{
	struct htab_node *node =
		htab_find(&p->rig->s->streams, htab_hash_u32(id));

	return node ? container_of(node, struct stream, node) : NULL;
}

/* ---- what it sends ---- */

static void check_data(struct said *said, const struct rig_frame *f)
{
	uint64_t len = f->header.len - 8;

	assert_always(f->header.len > 8 && len <= FRAME_DATA_MAX);
	assert_always(said->is_open && !said->has_fin);
	assert_always(bytes_get_u64(f->body) == said->sent);
	said->sent += len;
	assert_always(said->sent <= said->limit);
}

static void check_ack(struct said *said, const struct rig_frame *f)
{
	uint64_t consumed = bytes_get_u64(f->body);
	uint64_t window = bytes_get_u64(f->body + 8);

	assert_always(f->header.len == 16);
	assert_always(consumed >= said->consumed && window >= said->window);
	assert_always(window <= consumed + SESSION_WINDOW_MAX_BYTES);
	said->consumed = consumed;
	said->window = window;
}

static void check_stream_frame(struct said *said, const struct rig_frame *f)
{
	assert_always(!said->is_finished);
	switch (f->header.type) {
	case FRAME_OPEN:
		said->window = bytes_get_u32(f->body);
		break;
	case FRAME_OPENED:
		said->is_open = true;
		said->window = bytes_get_u32(f->body);
		break;
	case FRAME_DATA:
		check_data(said, f);
		break;
	case FRAME_FIN:
		assert_always(said->is_open && !said->has_fin);
		assert_always(bytes_get_u64(f->body) == said->sent);
		said->has_fin = true;
		break;
	case FRAME_ACK:
		check_ack(said, f);
		break;
	case FRAME_REFUSED:
	case FRAME_RESET:
		said->is_finished = true;
		break;
	default:
		break;
	}
}

static void check_frame(struct peer *p, const struct rig_frame *f)
{
	assert_always(!p->has_bye);
	if (f->header.type == FRAME_BYE)
		p->has_bye = true;
	if (f->header.type >= FRAME_OPEN && f->header.type <= FRAME_RESET &&
	    f->header.id < 2 * IDS && f->header.id % 2 == 1)
		check_stream_frame(&p->said[f->header.id / 2], f);
}

/* ---- its books ---- */

struct books {
	size_t bytes;
	uint32_t loaded;
};

static void add_stream(struct htab_node *node, void *ctx)
{
	const struct stream *st = container_of(node, struct stream, node);
	struct books *b = ctx;

	b->bytes += st->tx.cap + st->rx.cap;
	b->loaded += st->tx.cap + st->rx.cap > 0;
	assert_always(st->state != STREAM_DEAD);
	assert_always(st->tx_acked <= st->tx.start &&
		      st->tx.start <= st->tx.end);
	assert_always(st->rx.end <= st->rx_limit);
	assert_always(ring_len(&st->rx) <= SESSION_WINDOW_MAX_BYTES);
}

static void check(struct peer *p)
{
	struct books books = {0};
	struct session *s = p->rig->s;
	struct rig_frame *f;

	session_rig_settle(p->rig);
	while ((f = session_rig_pop(p->rig))) {
		check_frame(p, f);
		free(f);
	}
	htab_each(&s->streams, add_stream, &books);
	assert_always(books.bytes == s->stored_bytes);
	assert_always(books.loaded == s->n_loaded);
	assert_always(s->dgram_bytes == p->queue.bytes);
	assert_always(list_is_empty(&s->dead));
	assert_always(p->rig->n.down == (s->state == SESSION_DOWN));
}

/* ---- frames ---- */

static uint32_t take_id(struct reader *r)
{
	uint32_t byte = take(r, 1);

	return byte == 255 ? take(r, 4) : byte % (2 * IDS + 1);
}

static void op_any_frame(struct peer *p, struct reader *r)
{
	static const uint8_t types[] = {FRAME_HELLO,
					FRAME_BYE,
					FRAME_PING,
					FRAME_PONG,
					FRAME_OPEN,
					FRAME_OPENED,
					FRAME_REFUSED,
					FRAME_DATA,
					FRAME_FIN,
					FRAME_ACK,
					FRAME_RESET,
					FRAME_DGRAM,
					FRAME_RESOLVE,
					FRAME_RESOLVED,
					FRAME_ICMP_ERROR,
					FRAME_ASSOC_CLOSE,
					FRAME_DROPS,
					FRAME_RECEIVED,
					0xf0};
	uint8_t type = (uint8_t)take(r, 1);
	uint32_t id = take_id(r);
	size_t len = take(r, 1);

	if (len > (size_t)(r->end - r->at))
		len = (size_t)(r->end - r->at);
	if (type < 0xf8)
		type = types[type % sizeof(types)];
	const uint8_t *body = r->at;
	r->at += len;
	/* OPEN and OPENED tell a window. */
	if (id % 2 == 1 && id < 2 * IDS && len >= 4 &&
	    (type == FRAME_OPEN || type == FRAME_OPENED) && !find(p, id))
		p->said[id / 2].limit = bytes_get_u32(body);
	struct stream *st = find(p, id);
	if (st && id < 2 * IDS && type == FRAME_OPENED && len == 4 &&
	    p->rig->s->role == SESSION_NEAR) {
		p->said[id / 2].limit = bytes_get_u32(body);
		p->said[id / 2].is_open = true;
	}
	uint64_t consumed, limit;
	if (st && id < 2 * IDS && type == FRAME_ACK &&
	    frame_parse_ack(body, len, &consumed, &limit) == 0 &&
	    limit > p->said[id / 2].limit)
		p->said[id / 2].limit = limit;
	session_rig_give(p->rig, type, id, body, len);
}

static void op_greet(struct peer *p, struct reader *r)
{
	(void)r;
	session_rig_greet(p->rig);
}

static void op_open(struct peer *p, struct reader *r)
{
	uint32_t window = take(r, 3);
	uint8_t frame[FRAME_FIXED_MAX];
	struct frame_open o = {.window_bytes = window, .proto = 6, .ttl = 64};

	o.dst.addr.version = o.src.addr.version = IPV4;
	if (p->rig->s->role == SESSION_NEAR) {
		struct stream *st = session_open(p->rig->s, p->rig, &o);

		if (!st)
			return;
		check(p);
		if (st->id < 2 * IDS) {
			p->said[st->id / 2].limit = window;
			p->said[st->id / 2].is_open = true;
		}
		session_rig_give_built(
			p->rig, frame,
			frame_build_opened(frame, st->id, window));
		return;
	}
	uint32_t id = p->rig->s->next_id;
	if (p->rig->s->state == SESSION_UP && id < 2 * IDS)
		p->said[id / 2].limit = window;
	session_rig_give_built(p->rig, frame, frame_build_open(frame, id, &o));
}

/* DATA that fits, or nearly. */
static void op_data(struct peer *p, struct reader *r)
{
	static uint8_t body[8 + 70000];
	uint32_t id = take_id(r);
	uint8_t how = (uint8_t)take(r, 1);
	size_t len = take(r, 2);
	struct stream *st = find(p, id);
	uint64_t offset = st ? st->rx.end : 0;

	if (how == 1)
		offset++;
	if (how == 2)
		offset--;
	if (how != 3 && st && len > st->rx_limit - st->rx.end)
		len = (size_t)(st->rx_limit - st->rx.end);
	bytes_put_u64(body, offset);
	session_rig_give(p->rig, FRAME_DATA, id, body, 8 + len);
}

static void op_fin(struct peer *p, struct reader *r)
{
	uint32_t id = take_id(r);
	struct stream *st = find(p, id);
	uint8_t body[8];

	bytes_put_u64(body, st ? st->rx.end : 0);
	session_rig_give(p->rig, FRAME_FIN, id, body, sizeof(body));
}

static void op_ack(struct peer *p, struct reader *r)
{
	uint32_t id = take_id(r);
	uint8_t how = (uint8_t)take(r, 1);
	uint64_t more = take(r, 2);
	struct stream *st = find(p, id);
	uint8_t body[16];

	if (!st)
		return;
	uint64_t all = st->tx.start + (st->tx_fin_sent ? 1 : 0);
	uint64_t up_to = st->tx_acked + (how & 1 ? more : 0);
	if ((how & 2) || (!(how & 4) && up_to > all))
		up_to = all;
	uint64_t limit = st->tx_limit + (how & 8 ? more * 16 : 0);
	bytes_put_u64(body, up_to);
	bytes_put_u64(body + 8, limit);
	if (id < 2 * IDS && limit > p->said[id / 2].limit)
		p->said[id / 2].limit = limit;
	session_rig_give(p->rig, FRAME_ACK, id, body, sizeof(body));
}

/* True as far as it goes, or nearly. */
static void op_received(struct peer *p, struct reader *r)
{
	const struct governor *g = &p->rig->s->governor;
	uint64_t waiting = governor_view(g).in_flight_bytes;
	uint64_t n = take(r, 3);
	uint8_t frame[FRAME_FIXED_MAX];

	if (n > waiting && take(r, 1) % 8)
		n = waiting;
	struct frame_received got = {.bytes = p->received += n,
				     .clock_us = take(r, 4),
				     .delay_us = take(r, 4)};

	session_rig_give_built(p->rig, frame,
			       frame_build_received(frame, &got));
}

/* ---- the engine ---- */

static void op_accept(struct peer *p, struct reader *r)
{
	static const struct frame_refused no = {.reason = FRAME_REASON_REFUSED};
	struct stream *st = find(p, take_id(r));

	if (!st || p->rig->s->role != SESSION_FAR)
		return;
	if (take(r, 1) % 8 == 0) {
		if (st->state == STREAM_OPENING && p->rig->stream == st)
			p->rig->stream = NULL;
		session_refuse(st, &no);
	} else {
		session_accept(st);
	}
}

static void op_write(struct peer *p, struct reader *r)
{
	static const uint8_t bytes[65536];
	struct stream *st = find(p, take_id(r));
	size_t n = take(r, 2);

	if (!st)
		return;
	if (n > stream_tx_room(st))
		n = stream_tx_room(st);
	if (n > 0)
		(void)stream_write(st, bytes, n);
	if (take(r, 1) % 8 == 0 && st->state == STREAM_OPEN)
		stream_write_fin(st);
}

static void op_consume(struct peer *p, struct reader *r)
{
	struct stream *st = find(p, take_id(r));
	uint64_t n = take(r, 2);

	if (!st || st->state != STREAM_OPEN)
		return;
	if (n > ring_len(&st->rx))
		n = ring_len(&st->rx);
	stream_consume(st, st->rx.start + n);
	if (st->rx_fin && ring_len(&st->rx) == 0)
		stream_consume_fin(st);
}

static void op_reset(struct peer *p, struct reader *r)
{
	struct stream *st = find(p, take_id(r));

	if (!st)
		return;
	if (p->rig->stream == st)
		p->rig->stream = NULL;
	stream_reset(st, FRAME_REASON_OTHER);
}

static void op_moods(struct peer *p, struct reader *r)
{
	uint8_t mood = (uint8_t)take(r, 1);

	p->rig->takes_max = mood & 1 ? SIZE_MAX : mood & 2 ? 1000 : 0;
	p->rig->consumes_at_once = mood & 4;
	p->rig->resets_on_data = (mood & 0x18) == 0x18;
	p->rig->resets_on_readable = (mood & 0x28) == 0x28;
	p->rig->resets_on_writable = (mood & 0x48) == 0x48;
}

static void op_dgram(struct peer *p, struct reader *r)
{
	static const uint8_t payload[65536];
	struct frame_dgram d = {.proto = 17,
				.ttl = 1,
				.payload = payload,
				.payload_len = take(r, 2)};

	d.remote.addr.version = IPV6;
	if (d.payload_len > FRAME_DGRAM_MAX)
		d.payload_len = FRAME_DGRAM_MAX;
	(void)session_send_dgram(p->rig->s, &p->queue, &d);
}

/* ---- time and the carrier ---- */

static void op_wait(struct peer *p, struct reader *r)
{
	static const uint64_t us[] = {1000, 24000, 26000, 1100000, 16000000};

	session_rig_advance(p->rig, us[take(r, 1) % 5]);
}

static void op_carrier(struct peer *p, struct reader *r)
{
	uint8_t how = (uint8_t)take(r, 1);

	if (how == 255)
		session_rig_break(p->rig, "broken");
	else if (how & 1)
		session_rig_drain(p->rig, how & 2 ? SIZE_MAX : how * 500U);
	else
		p->rig->carrier_room = 0;
}

static void (*const operations[])(struct peer *p, struct reader *r) = {
	op_any_frame, op_greet,	  op_open,    op_data,	op_fin,	     op_ack,
	op_accept,    op_write,	  op_consume, op_reset, op_moods,    op_dgram,
	op_wait,      op_carrier, op_data,    op_ack,	op_received,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = {data, data + size};
	uint8_t settings = (uint8_t)take(&r, 1);
	struct peer p = {.rig = session_rig_new(settings & 1 ? SESSION_FAR
							     : SESSION_NEAR)};

	p.rig->carrier.is_local = settings & 4;
	dgram_queue_init(&p.queue, 9);
	if (!(settings & 2))
		session_rig_greet(p.rig);
	for (int i = 0; i < OPERATIONS_MAX && r.at < r.end; i++) {
		size_t n = sizeof(operations) / sizeof(*operations);

		operations[take(&r, 1) % n](&p, &r);
		check(&p);
	}
	session_rig_drain(p.rig, SIZE_MAX);
	check(&p);
	dgram_queue_fini(&p.queue);
	(void)session_rig_free(p.rig);
	return 0;
}
