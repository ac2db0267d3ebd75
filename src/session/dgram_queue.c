/* SPDX-License-Identifier: MIT */
/* dgram_queue: datagrams that wait for the carrier: few, and not for long. */
#include <stdlib.h>
#include <string.h>

#include "session_internal.h"

void dgram_queue_init(struct dgram_queue *q, uint32_t id)
{
	q->session = NULL;
	sched_flow_init(&q->flow, SCHED_DGRAM);
	list_init(&q->dgrams);
	q->bytes = 0;
	q->n = 0;
	q->id = id;
}

/* Take one out of the books. */
static void forget(struct dgram_queue *q, const struct dgram *d)
{
	q->bytes -= d->len;
	q->n--;
	q->session->dgram_bytes -= d->len;
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

struct dgram *dgram_queue_pop(struct session *s, struct dgram_queue *q)
{
	struct list *link;

	while ((link = list_pop(&q->dgrams))) {
		struct dgram *d = container_of(link, struct dgram, link);

		forget(q, d);
		if (loop_now_us(s->loop) - d->queued_us <= SESSION_DGRAM_AGE_US)
			return d;
		session_count_drop(s, DROP_STALE_DATAGRAM);
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
	return q->n == 0 || (q->n < SESSION_DGRAM_QUEUE_MAX &&
			     q->bytes + n <= SESSION_DGRAM_QUEUE_BYTES);
}

/* hop up 6/11 (datagrams): a copy waits for the carrier */
enum drop_reason session_send_dgram(struct session *s, struct dgram_queue *q,
				    const struct frame_dgram *d)
{
	size_t len = FRAME_DGRAM_OVERHEAD + d->payload_len;

	if (s->state != SESSION_UP)
		return DROP_NO_SESSION;
	if (!has_room(s, q, len))
		return DROP_QUEUE_FULL;
	struct dgram *copy = malloc(sizeof(*copy) + len);
	if (!copy)
		return DROP_NO_MEMORY;
	copy->len = len;
	copy->queued_us = loop_now_us(s->loop);
	size_t at = frame_build_dgram(copy->frame, q->id, d);
	if (d->payload_len > 0)
		memcpy(copy->frame + at, d->payload, d->payload_len);
	q->session = s;
	list_push(&q->dgrams, &copy->link);
	q->bytes += len;
	q->n++;
	s->dgram_bytes += len;
	sched_push(&s->sched, &q->flow);
	session_want_pump(s);
	return DROP_NONE;
}
