/* SPDX-License-Identifier: MIT */
/* tcp_probe: a look inside a TCP endpoint. */
#include "tcp_probe.h"

#include "tcp_internal.h"

static const char *state_name(enum tcp_state state)
{
	switch (state) {
	case TCP_OPENING:
		return "OPENING";
	case TCP_SYN_RECEIVED:
		return "SYN-RECEIVED";
	case TCP_ESTABLISHED:
		return "ESTABLISHED";
	case TCP_FIN_WAIT_1:
		return "FIN-WAIT-1";
	case TCP_FIN_WAIT_2:
		return "FIN-WAIT-2";
	case TCP_CLOSE_WAIT:
		return "CLOSE-WAIT";
	case TCP_CLOSING:
		return "CLOSING";
	case TCP_LAST_ACK:
		return "LAST-ACK";
	case TCP_TIME_WAIT:
		return "TIME-WAIT";
	}
	return "?";
}

struct tcp_probe tcp_probe(const struct flow *f)
{
	const struct tcp_endpoint *ep = from_flow((struct flow *)(uintptr_t)f);
	struct tcp_probe p = {
		.state = state_name(ep->state),
		.iss = ep->iss,
		.snd_una = ep->snd_una,
		.snd_nxt = ep->snd_nxt,
		.snd_max = ep->snd_max,
		.snd_wnd = ep->snd_wnd,
		.irs = ep->irs,
		.rcv_nxt = ep->rcv_nxt,
		.rcv_adv = ep->rcv_adv,
		.retries = ep->retries,
		.has_stream = ep->stream != NULL,
		.timer_us = UINT64_MAX,
	};

	if (timer_is_armed(&ep->timer))
		p.timer_us = ep->timer.due_us - loop_now_us(f->plane->loop);
	if (ep->stream) {
		p.tx_len = stream_tx_unacked(ep->stream);
		p.tx_cap = ep->stream->tx.cap;
		p.rx_len = ring_len(&ep->stream->rx);
		p.rx_cap = ep->stream->rx.cap;
	}
	return p;
}

/* A sequence number is an offset of the stream plus a constant, and plus one
 * behind a FIN. */
static const char *check_offsets(const struct tcp_endpoint *ep)
{
	const struct stream *s = ep->stream;
	uint32_t in = ep->rcv_nxt - ep->irs - 1 - (uint32_t)s->tx.end;
	uint32_t acked = ep->snd_una - ep->iss - 1 - (uint32_t)s->rx.start;

	if (s->owner != ep)
		return "the stream has another owner";
	if (ep->state == TCP_OPENING)
		return s->state == STREAM_OPENING
			       ? NULL
			       : "held, but the stream is open";
	if (s->state != STREAM_OPEN)
		return "the stream is not open";
	if (in != (s->tx_fin ? 1 : 0))
		return "rcv_nxt differs from the stream's end";
	if (ep->state == TCP_SYN_RECEIVED)
		return NULL;
	if (acked != (s->rx_fin_consumed ? 1 : 0))
		return "snd_una differs from the stream's start";
	if (ep->snd_max - ep->snd_una > ring_len(&s->rx) + 1)
		return "more is under way than the stream holds";
	return NULL;
}

const char *tcp_probe_check(const struct flow *f)
{
	const struct tcp_endpoint *ep = from_flow((struct flow *)(uintptr_t)f);

	if (!timer_is_armed(&ep->timer))
		return "no timer is armed";
	if (f->is_dead)
		return "dead, but in the table";
	if (!list_is_empty(&f->link))
		return "output is due between turns";
	if (!seq_leq(ep->snd_una, ep->snd_nxt) ||
	    !seq_leq(ep->snd_nxt, ep->snd_max))
		return "snd_una, snd_nxt, snd_max are out of order";
	if (!seq_leq(ep->rcv_nxt, ep->rcv_adv) ||
	    ep->rcv_adv - ep->rcv_nxt > SESSION_WINDOW_MAX_BYTES)
		return "the advertised window is impossible";
	if (is_waiting_for_ack(ep) && ep->state != TCP_OPENING &&
	    ep->timer.due_us > loop_now_us(f->plane->loop) + RTO_MAX_US)
		return "unacknowledged, but no retransmission is due";
	if (!ep->stream && ep->state != TCP_TIME_WAIT &&
	    ep->state != TCP_LAST_ACK)
		return "no stream";
	return ep->stream ? check_offsets(ep) : NULL;
}
