/* SPDX-License-Identifier: MIT */
/*
 * tcp_endpoint: the near end of an application's TCP connection.
 *
 * Theory of operation
 *   A subset of RFC 9293 for a link that hardly ever loses: the TUN.  Segments
 *   are accepted in order only (a gap is answered with an ACK at once), what is
 *   lost on the way to the application is sent again from the first missing
 *   byte (go-back-N).  Timestamps and SACK are not offered.
 *
 *   The endpoint has no buffers.  Bytes from the application belong to the
 *   stream as soon as they are acknowledged here; the window advertised is the
 *   room that it has.  Bytes for the application lie in the stream's rx ring
 *   until the application's TCP has acknowledged them, and only then are they
 *   consumed.  So back-pressure goes from end to end and a sequence number is
 *   an offset plus a constant, and plus one behind a FIN that is acknowledged
 *   (snd_una) or came (rcv_nxt):
 *
 *       snd_una  <->  stream->rx.start
 *       rcv_nxt  <->  stream->tx.end
 *
 *   The SYN is not answered until the far connection is established: refused
 * becomes RST, unreachable becomes ICMP, silence stays silence.
 *
 *   Here is the life of an endpoint and what the session tells it; segments
 *   come in by tcp_input.c and leave by tcp_output.c.
 *
 *   Every state has the one timer armed; what firing means follows from the
 * state (on_timer), so there is nothing to keep in step.
 *
 * Ownership: the plane owns the endpoint.  The stream is borrowed from the
 * session until it is reset here or one of the stream callbacks says that it is
 * over.
 *
 * Spec: RFC 9293; RFC 5961 (blind attacks); RFC 7323 section 2 (window scale)
 */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "tcp_internal.h"

enum {
	OPENING_US = 180000000, /* longer than any connect(2) tries */
	RTO_MIN_US = 300000,	/* above any delayed ACK */
	KEEPALIVE_PROBE_US = 75000000,
	TIME_WAIT_US = 1000000, /* the link holds no old segments */
	KEEPALIVE_S = 7200,	/* RFC 9293 3.8.4 */
};

/* ---- the timer ---- */

static uint64_t backoff_us(const struct tcp_endpoint *ep)
{
	uint64_t us = (uint64_t)RTO_MIN_US << ep->retries;

	return us < RTO_MAX_US ? us : RTO_MAX_US;
}

static uint64_t patience_us(const struct tcp_endpoint *ep)
{
	if (ep->state == TCP_OPENING)
		return OPENING_US;
	if (ep->state == TCP_TIME_WAIT)
		return TIME_WAIT_US;
	if (is_waiting_for_ack(ep) || is_persisting(ep))
		return backoff_us(ep);
	return ep->retries ? KEEPALIVE_PROBE_US : KEEPALIVE_S * US_PER_SEC;
}

void tcp_endpoint_arm(struct tcp_endpoint *ep)
{
	struct loop *loop = plane_of(ep)->loop;
	uint64_t us = patience_us(ep);

	/* RFC 6298 section 5: other traffic does not put it off. */
	if ((is_waiting_for_ack(ep) || is_persisting(ep)) &&
	    !ep->is_timer_stale && timer_is_armed(&ep->timer) &&
	    ep->timer.due_us <= loop_now_us(loop) + us)
		return;
	ep->is_timer_stale = false;
	timer_arm(loop, &ep->timer, us);
}

/* ---- output that is due ---- */

void tcp_endpoint_want_flush(struct tcp_endpoint *ep)
{
	if (ep->flow.is_dead)
		return;
	if (list_is_empty(&ep->flow.link))
		list_push(&plane_of(ep)->due, &ep->flow.link);
	flow_want_flush(plane_of(ep));
}

void tcp_endpoint_want_ack(struct tcp_endpoint *ep)
{
	ep->is_ack_due = true;
	tcp_endpoint_want_flush(ep);
}

/* hop down 7/9 (TCP): what came together in this turn goes out */
void tcp_endpoint_flush(struct flow *f)
{
	struct tcp_endpoint *ep = from_flow(f);

	tcp_output_send(ep);
	if (ep->is_ack_due)
		tcp_output_ack(ep);
	tcp_endpoint_arm(ep);
}

/* ---- birth and death ---- */

void tcp_endpoint_let_go(struct tcp_endpoint *ep)
{
	if (ep->stream)
		stream_disown(ep->stream);
	ep->stream = NULL;
}

void tcp_endpoint_kill(struct tcp_endpoint *ep)
{
	timer_disarm(plane_of(ep)->loop, &ep->timer);
	list_del(&ep->opening_link);
	flow_kill(&ep->flow);
}

void tcp_endpoint_reset(struct tcp_endpoint *ep, enum frame_reason reason)
{
	struct stream *s = ep->stream;

	tcp_endpoint_let_go(ep);
	if (s)
		stream_reset(s, reason);
	tcp_endpoint_kill(ep);
}

/* Tell the application that its connection is gone. */
static void send_rst_to_app(struct tcp_endpoint *ep)
{
	if (ep->state == TCP_OPENING)
		tcp_output_rst(plane_of(ep), &ep->flow.key, 0, ep->rcv_nxt,
			       TCP_ACK);
	else
		tcp_output_rst(plane_of(ep), &ep->flow.key, ep->snd_nxt,
			       ep->rcv_nxt, TCP_ACK);
}

void tcp_endpoint_abort(struct flow *f)
{
	struct tcp_endpoint *ep = from_flow(f);

	if (f->is_dead)
		return;
	if (ep->state != TCP_TIME_WAIT)
		send_rst_to_app(ep);
	tcp_endpoint_reset(ep, FRAME_REASON_RESET);
}

void tcp_endpoint_free(struct flow *f)
{
	free(from_flow(f));
}

static void give_up(struct tcp_endpoint *ep)
{
	send_rst_to_app(ep);
	tcp_endpoint_reset(ep, FRAME_REASON_TIMED_OUT);
}

static void on_timer(void *ctx)
{
	struct tcp_endpoint *ep = ctx;

	if (ep->state == TCP_TIME_WAIT) {
		tcp_endpoint_let_go(ep);
		tcp_endpoint_kill(ep);
		return;
	}
	if (ep->state == TCP_OPENING) {
		tcp_endpoint_reset(ep, FRAME_REASON_TIMED_OUT);
		return;
	}
	if (++ep->retries > RETRIES_MAX) {
		give_up(ep);
		return;
	}
	if (ep->state == TCP_SYN_RECEIVED) {
		tcp_output_syn_ack(ep);
	} else if (is_waiting_for_ack(ep)) {
		tcp_output_again(ep);
	} else {
		tcp_output_probe(ep); /* persist, or keepalive */
	}
	tcp_endpoint_arm(ep);
}

struct tcp_endpoint *tcp_endpoint_new(struct flowplane *p,
				      const struct flow_key *key)
{
	struct tcp_endpoint *ep = calloc(1, sizeof(*ep));

	if (!ep)
		return NULL;
	ep->flow.key = *key;
	list_init(&ep->opening_link);
	ep->timer = (struct timer){.on_fire = on_timer, .ctx = ep};
	if (flow_add(p, &ep->flow) < 0) {
		free(ep);
		return NULL;
	}
	return ep;
}

/* ---- the far connection ---- */

static void on_opened(struct stream *s)
{
	struct tcp_endpoint *ep = s->owner;

	list_del(&ep->opening_link);
	ep->state = TCP_SYN_RECEIVED;
	ep->snd_nxt = ep->snd_max = ep->iss + 1;
	plane_of(ep)->stats.tcp_opened++;
	tcp_output_syn_ack(ep);
	tcp_endpoint_arm(ep);
}

/* The SYN that was held back, as far as an ICMP error quotes it. */
static size_t rebuild_syn(uint8_t *out, const struct tcp_endpoint *ep)
{
	const struct flow_key *key = &ep->flow.key;
	struct pkt_ip_params ip = {
		.src = key->near.addr,
		.dst = key->far.addr,
		.ttl = ep->syn_ttl,
		.tos = ep->syn_tos,
		.df = true,
	};
	size_t at = pkt_build_ip(out, &ip, PKT_PROTO_TCP, 20);
	uint8_t *tcp = out + at;

	memset(tcp, 0, 20);
	bytes_put_u16(tcp, key->near.port);
	bytes_put_u16(tcp + 2, key->far.port);
	bytes_put_u32(tcp + 4, ep->irs);
	tcp[12] = 5 << 4;
	tcp[13] = TCP_SYN;
	return at + 20;
}

/* What the gateway itself would answer for lack of anything better known. */
static enum icmp_meaning meaning_of(enum frame_reason reason)
{
	switch (reason) {
	case FRAME_REASON_NET_UNREACH:
	case FRAME_REASON_NO_FAMILY:
		return ICMP_MEANS_NET_UNREACH;
	case FRAME_REASON_PROHIBITED:
		return ICMP_MEANS_ADMIN_PROHIBITED;
	case FRAME_REASON_NONE:
	case FRAME_REASON_REFUSED:
	case FRAME_REASON_HOST_UNREACH:
	case FRAME_REASON_TIMED_OUT:
	case FRAME_REASON_NO_RESOURCES:
	case FRAME_REASON_RESET:
	case FRAME_REASON_OTHER:
	case FRAME_REASON_NO_NAME:
	case FRAME_REASON__N:
		return ICMP_MEANS_HOST_UNREACH;
	}
	return ICMP_MEANS_HOST_UNREACH;
}

static void tell_unreachable(struct tcp_endpoint *ep,
			     const struct frame_refused *why)
{
	const struct flow_key *key = &ep->flow.key;
	uint8_t quote[PKT_HEADERS_MAX];
	size_t n = rebuild_syn(quote, ep);
	struct icmp_error error = {why->icmp_type, why->icmp_code,
				   why->icmp_info};
	const struct ip_addr *who = &why->offender;

	if (!icmp_error_is_valid(key->near.addr.version, &error)) {
		error = icmp_error_make(key->near.addr.version,
					meaning_of(why->reason), 0);
		who = NULL;
	}
	flow_icmp_error(plane_of(ep), &error, who, &key->near.addr,
			&key->far.addr, quote, n);
}

static void on_refused(struct stream *s, const struct frame_refused *why)
{
	struct tcp_endpoint *ep = s->owner;
	bool has_icmp = why->icmp_type || why->icmp_code;

	plane_of(ep)->stats.tcp_refused++;
	if (why->reason == FRAME_REASON_PROHIBITED)
		(void)flow_drop(plane_of(ep), DROP_POLICY);
	if (!has_icmp && (why->reason == FRAME_REASON_REFUSED ||
			  why->reason == FRAME_REASON_RESET))
		send_rst_to_app(ep);
	else if (why->reason != FRAME_REASON_TIMED_OUT)
		tell_unreachable(ep, why);
	tcp_endpoint_let_go(ep);
	tcp_endpoint_kill(ep);
}

static void on_readable(struct stream *s)
{
	tcp_endpoint_want_flush(s->owner);
}

/* Receiver's side of silly window avoidance, RFC 9293 3.8.6.2.2: the window
 * has opened far enough to say so. */
static bool is_window_update_due(const struct tcp_endpoint *ep)
{
	uint32_t promised = ep->rcv_adv - ep->rcv_nxt;
	uint32_t grown = tcp_output_receive_window(ep) - promised;

	return grown > 0 && grown >= (promised + grown) / 2;
}

static void on_writable(struct stream *s)
{
	struct tcp_endpoint *ep = s->owner;

	if (can_receive(ep) && is_window_update_due(ep))
		tcp_endpoint_want_ack(ep);
}

static void on_reset(struct stream *s, enum frame_reason reason)
{
	struct tcp_endpoint *ep = s->owner;

	(void)reason;
	tcp_endpoint_let_go(ep);
	if (ep->state == TCP_TIME_WAIT)
		return;
	send_rst_to_app(ep);
	tcp_endpoint_kill(ep);
}

static void on_closed(struct stream *s)
{
	struct tcp_endpoint *ep = s->owner;

	tcp_endpoint_let_go(ep);
}

const struct stream_ops tcp_endpoint_stream_ops = {
	.on_opened = on_opened,
	.on_refused = on_refused,
	.on_readable = on_readable,
	.on_writable = on_writable,
	.on_reset = on_reset,
	.on_closed = on_closed,
};
