/* SPDX-License-Identifier: MIT */
/*
 * dgram_queue: datagrams that wait for the carrier: few, and not for long.
 *
 * A queue that stands tells its senders to be slower (codel.c), by marks for
 * those that understand them (ECN) and losses for the others; nothing at all is
 * sent that has waited for SESSION_DGRAM_AGE_US.  That is far above what CoDel
 * aims at, since it must let a single datagram outlast a stall of the carrier.
 */
#include <stdlib.h>
#include <string.h>

#include "session_internal.h"

void dgram_queue_init(struct dgram_queue *q, uint32_t id)
{
	q->session = NULL;
	sched_flow_init(&q->flow, SCHED_DGRAM);
	list_init(&q->dgrams);
	q->budget = NULL;
	q->codel = (struct codel){0};
	q->bytes = 0;
	q->max_bytes = SESSION_DGRAM_QUEUE_BYTES;
	q->n = 0;
	q->id = id;
}

/* Take one out of the books. */
static void forget(struct dgram_queue *q, const struct dgram *d)
{
	q->bytes -= d->len;
	q->n--;
	q->session->dgram_bytes -= d->len;
	if (q->budget)
		q->budget->bytes -= d->len;
}

void dgram_queue_fini(struct dgram_queue *q)
{
	struct list *link;

	sched_remove(&q->flow);
	while ((link = list_pop(&q->dgrams))) {
		struct dgram *d = container_of(link, struct dgram, link);

		forget(q, d);
		free(d);
	}
}

/* May d, which was at the head, be sent?  It is marked if that is needed. */
static enum drop_reason judge(struct session *s, struct dgram_queue *q,
			      struct dgram *d)
{
	mono_us_t now_us = loop_now_us(s->loop);
	struct codel_params params =
		codel_params_for(session_rate(s), session_frame_bytes(s),
				 s->stats.round_trip_min_us);

	if (now_us - d->queued_us > SESSION_DGRAM_AGE_US)
		return DROP_STALE_DATAGRAM;
	if (!codel_is_due(&q->codel, &params, now_us, d->queued_us, q->n == 0))
		return DROP_NONE;
	if (!frame_mark_ce(d->frame))
		return DROP_AQM;
	s->stats.tx_marks++;
	return DROP_NONE;
}

struct dgram *dgram_queue_pop(struct session *s, struct dgram_queue *q)
{
	struct list *link;

	while ((link = list_pop(&q->dgrams))) {
		struct dgram *d = container_of(link, struct dgram, link);

		forget(q, d);
		enum drop_reason reason = judge(s, q, d);
		if (reason == DROP_NONE)
			return d;
		session_count_drop(s, reason);
		free(d);
	}
	return NULL;
}

/* True if n more bytes may wait in this queue and in all together. */
static bool has_room(const struct session *s, const struct dgram_queue *q,
		     size_t n)
{
	if (s->dgram_bytes + n > SESSION_DGRAM_TOTAL_BYTES)
		return false;
	if (q->n == 0)
		return true;
	if (q->budget && q->budget->bytes + n > q->budget->max_bytes)
		return false;
	return q->n < SESSION_DGRAM_QUEUE_MAX && q->bytes + n <= q->max_bytes;
}

/* Room for a frame of len bytes in the queue.  Returns NULL with *ret_reason
 * set if there is none. */
static struct dgram *dgram_new(const struct session *s,
			       const struct dgram_queue *q, size_t len,
			       enum drop_reason *ret_reason)
{
	struct dgram *d = NULL;

	if (s->state != SESSION_UP)
		*ret_reason = DROP_NO_SESSION;
	else if (!has_room(s, q, len))
		*ret_reason = DROP_QUEUE_FULL;
	else if (!(d = malloc(sizeof(*d) + len)))
		*ret_reason = DROP_NO_MEMORY;
	else
		d->len = len;
	return d;
}

static void enqueue(struct session *s, struct dgram_queue *q, struct dgram *d)
{
	d->queued_us = loop_now_us(s->loop);
	q->session = s;
	list_push(&q->dgrams, &d->link);
	q->bytes += d->len;
	q->n++;
	s->dgram_bytes += d->len;
	if (q->budget)
		q->budget->bytes += d->len;
	sched_push(&s->sched, &q->flow);
	session_want_pump(s);
}

/* hop up 6/11 (datagrams): a copy waits for the carrier */
enum drop_reason session_send_dgram(struct session *s, struct dgram_queue *q,
				    const struct frame_dgram *d)
{
	enum drop_reason reason = DROP_NONE;
	struct dgram *copy =
		dgram_new(s, q, FRAME_DGRAM_OVERHEAD + d->payload_len, &reason);

	if (!copy)
		return reason;
	size_t at = frame_build_dgram(copy->frame, q->id, d);
	copy->overhead = at;
	if (d->payload_len > 0)
		memcpy(copy->frame + at, d->payload, d->payload_len);
	enqueue(s, q, copy);
	return DROP_NONE;
}

enum drop_reason session_send_packet(struct session *s, struct dgram_queue *q,
				     const struct frame_packet *p)
{
	enum drop_reason reason = DROP_NONE;
	struct dgram *copy =
		dgram_new(s, q, FRAME_PACKET_OVERHEAD + p->ip_len, &reason);

	if (!copy)
		return reason;
	size_t at = frame_build_packet(copy->frame, p);
	copy->overhead = at;
	memcpy(copy->frame + at, p->ip, p->ip_len);
	enqueue(s, q, copy);
	return DROP_NONE;
}
