/* SPDX-License-Identifier: MIT */
/*
 * tcp_input: segments from the application's host.
 *
 * Spec: RFC 9293 section 3.10.7, in its order; RFC 5961
 */
#include <string.h>

#include "tcp_internal.h"

enum {
	DUP_ACKS = 3,
	RETRIES_SLOWEST = 8, /* from here on they are a minute apart */
};

/* ---- segments from the application: SYN ---- */

static void make_key(const struct pkt *pkt, struct flow_key *key)
{
	memset(key, 0, sizeof(*key));
	key->proto = PKT_PROTO_TCP;
	key->near.addr = pkt->src;
	key->near.port = pkt->tcp.src_port;
	key->far.addr = pkt->dst;
	key->far.port = pkt->tcp.dst_port;
}

static uint16_t clamp_mss(const struct flowplane *p, const struct pkt *pkt)
{
	uint32_t link = tcp_output_link_mss(p, pkt->src.version);
	/* RFC 9293 3.7.1: the default when the option is absent. */
	uint32_t mss = pkt->tcp.mss_bytes	  ? pkt->tcp.mss_bytes
		       : pkt->src.version == IPV4 ? 536
						  : 1220;

	if (mss > link)
		mss = link;
	return (uint16_t)(mss < FLOWPLANE_MSS_MIN_BYTES
				  ? FLOWPLANE_MSS_MIN_BYTES
				  : mss);
}

static void take_syn(struct tcp_endpoint *ep, const struct pkt *pkt)
{
	const struct pkt_tcp *tcp = &pkt->tcp;

	ep->state = TCP_OPENING;
	ep->irs = tcp->seq;
	ep->rcv_nxt = ep->rcv_adv = tcp->seq + 1;
	randombytes_buf(&ep->iss, sizeof(ep->iss));
	ep->snd_una = ep->snd_nxt = ep->snd_max = ep->iss;
	ep->snd_wnd = ep->snd_wnd_max = tcp->window;
	ep->snd_wl1 = tcp->seq;
	ep->snd_wl2 = 0;
	ep->has_scale = tcp->window_scale >= 0;
	ep->snd_scale = ep->has_scale ? (uint8_t)tcp->window_scale : 0;
	ep->mss_bytes = clamp_mss(plane_of(ep), pkt);
	ep->syn_ttl = pkt->ttl;
	ep->syn_tos = pkt->tos;
	ep->retries = 0;
}

static int open_stream(struct tcp_endpoint *ep)
{
	struct frame_open open = {
		.proto = PKT_PROTO_TCP,
		.ttl = (uint8_t)(ep->syn_ttl - 1),
		.tos = ep->syn_tos & 0xfc, /* ECN is not carried for TCP */
		.dst = ep->flow.key.far,
		.src = ep->flow.key.near,
	};

	struct session *s =
		flow_local_session_of(plane_of(ep), &ep->flow.key.far.addr);

	ep->stream = session_open(s, ep, &open);
	return ep->stream ? 0 : -1;
}

/* A scan of silent hosts must not keep others from connecting: where there is
 * no room, the SYN held longest is forgotten, as if it had been lost. */
static void make_room(struct flowplane *p)
{
	bool is_full = p->flows.n >= FLOWPLANE_FLOWS_MAX ||
		       (p->session && session_stats(p->session)->streams >=
					      SESSION_STREAMS_MAX);

	if (is_full && !list_is_empty(&p->opening))
		tcp_endpoint_reset(container_of(p->opening.next,
						struct tcp_endpoint,
						opening_link),
				   FRAME_REASON_TIMED_OUT);
}

/* The SYN is held back until the far end has connected. */
static enum drop_reason on_new_syn(struct flowplane *p, const struct pkt *pkt,
				   const struct flow_key *key)
{
	make_room(p);
	struct tcp_endpoint *ep = tcp_endpoint_new(p, key);

	if (!ep)
		return flow_drop(p, DROP_FLOW_LIMIT);
	take_syn(ep, pkt);
	if (open_stream(ep) < 0) {
		tcp_endpoint_kill(ep);
		return flow_drop(p, DROP_FLOW_LIMIT);
	}
	list_push(&p->opening, &ep->opening_link);
	tcp_endpoint_arm(ep);
	return DROP_NONE;
}

/* Length in sequence space: payload, SYN and FIN. */
static uint32_t segment_len(const struct pkt *pkt)
{
	return (uint32_t)pkt->payload_len +
	       ((pkt->tcp.flags & TCP_SYN) ? 1 : 0) +
	       ((pkt->tcp.flags & TCP_FIN) ? 1 : 0);
}

/* RFC 9293 3.10.7.1: a segment for no connection. */
static enum drop_reason on_stray(struct flowplane *p, const struct pkt *pkt,
				 const struct flow_key *key)
{
	const struct pkt_tcp *tcp = &pkt->tcp;

	if (tcp->flags & TCP_RST)
		return flow_drop(p, DROP_TCP_NO_FLOW);
	if (tcp->flags & TCP_ACK)
		tcp_output_rst(p, key, tcp->ack, 0, 0);
	else
		tcp_output_rst(p, key, 0, tcp->seq + segment_len(pkt), TCP_ACK);
	return flow_drop(p, DROP_TCP_NO_FLOW);
}

/* While the SYN is held back. */
static enum drop_reason on_segment_opening(struct tcp_endpoint *ep,
					   const struct pkt *pkt)
{
	struct flowplane *p = plane_of(ep);
	const struct pkt_tcp *tcp = &pkt->tcp;

	if (tcp->flags & TCP_RST) {
		if (tcp->seq != ep->rcv_nxt)
			return flow_drop(p, DROP_TCP_OUT_OF_WINDOW);
		tcp_endpoint_reset(ep, FRAME_REASON_RESET);
		return DROP_NONE;
	}
	if ((tcp->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return flow_drop(p, DROP_TCP_FLAGS);
	if (tcp->seq == ep->irs)
		return DROP_NONE; /* sent again: be patient */
	/* The application gave up and tries anew from the same port. */
	struct flow_key key = ep->flow.key;

	tcp_endpoint_reset(ep, FRAME_REASON_RESET);
	return on_new_syn(p, pkt, &key);
}

/* ---- segments from the application: synchronized states ---- */

/* RFC 9293 3.10.7.4, first: is any part of it in the window? */
static bool is_acceptable(const struct tcp_endpoint *ep, const struct pkt *pkt)
{
	uint32_t len = segment_len(pkt);
	uint32_t window = ep->rcv_adv - ep->rcv_nxt;
	int32_t first = seq_diff(pkt->tcp.seq, ep->rcv_nxt);
	int32_t last = first + (int32_t)len - 1;

	if (len == 0)
		return window == 0 ? first == 0
				   : first >= 0 && (uint32_t)first < window;
	/* A full window still takes a FIN or the bytes of an old window. */
	if (window == 0)
		return first == 0 && pkt->payload_len == 0;
	return (first >= 0 && (uint32_t)first < window) ||
	       (last >= 0 && (uint32_t)last < window);
}

static enum drop_reason on_rst(struct tcp_endpoint *ep, const struct pkt *pkt)
{
	if (pkt->tcp.seq != ep->rcv_nxt) {
		tcp_output_challenge(ep);
		return flow_drop(plane_of(ep), DROP_TCP_BLIND_RST);
	}
	/* Its host has nothing to lose any more, the far end may still have
	 * bytes to come: RFC 1337. */
	if (ep->state == TCP_TIME_WAIT) {
		tcp_endpoint_let_go(ep);
		tcp_endpoint_kill(ep);
		return DROP_NONE;
	}
	tcp_endpoint_reset(ep, FRAME_REASON_RESET);
	return DROP_NONE;
}

static void take_window(struct tcp_endpoint *ep, const struct pkt_tcp *tcp)
{
	ep->snd_wnd = (uint32_t)tcp->window << ep->snd_scale;
	ep->snd_wl1 = tcp->seq;
	ep->snd_wl2 = tcp->ack;
	if (ep->snd_wnd > ep->snd_wnd_max)
		ep->snd_wnd_max = ep->snd_wnd;
}

/* RFC 9293 3.10.7.4: unless a later segment said otherwise. */
static void update_window(struct tcp_endpoint *ep, const struct pkt_tcp *tcp)
{
	if (seq_lt(ep->snd_wl1, tcp->seq) ||
	    (ep->snd_wl1 == tcp->seq && seq_leq(ep->snd_wl2, tcp->ack)))
		take_window(ep, tcp);
}

/* Our FIN is acknowledged: the application knows that nothing follows. */
static void on_fin_acked(struct tcp_endpoint *ep)
{
	if (ep->state == TCP_FIN_WAIT_1)
		ep->state = TCP_FIN_WAIT_2;
	else if (ep->state == TCP_CLOSING)
		ep->state = TCP_TIME_WAIT;
	if (ep->stream)
		stream_consume_fin(ep->stream);
}

/* Bytes the application has now: the stream may forget them. */
static void on_acked(struct tcp_endpoint *ep, uint32_t ack)
{
	uint32_t n = ack - ep->snd_una;
	bool has_fin = false;

	if (ep->stream) {
		uint64_t left = ring_len(&ep->stream->rx);

		has_fin = n > left; /* only the FIN lies behind the bytes */
		stream_consume(ep->stream,
			       ep->stream->rx.start + (has_fin ? left : n));
	}
	ep->snd_una = ack;
	if (seq_lt(ep->snd_nxt, ack))
		ep->snd_nxt = ack;
	ep->retries = 0;
	ep->dup_acks = 0;
	ep->is_timer_stale = true;
	if (has_fin) {
		ep->is_fin_sent = true;
		on_fin_acked(ep);
	}
}

/* RFC 5681 section 2's definition; the third means that a segment was lost. */
static void count_dup_ack(struct tcp_endpoint *ep, const struct pkt *pkt)
{
	bool is_dup = is_waiting_for_ack(ep) && segment_len(pkt) == 0 &&
		      (uint32_t)pkt->tcp.window << ep->snd_scale == ep->snd_wnd;

	if (!is_dup || ++ep->dup_acks != DUP_ACKS)
		return;
	ep->snd_nxt = ep->snd_una;
	ep->is_fin_sent = false;
	tcp_endpoint_want_flush(ep);
}

/* An answer to a probe shows that somebody is there.  Probing a shut window
 * goes on, ever more slowly, as long as it is answered (RFC 9293 3.8.6.1). */
static void note_alive(struct tcp_endpoint *ep)
{
	if (is_waiting_for_ack(ep))
		return;
	if (!is_persisting(ep) || tcp_output_usable_window(ep) > 0)
		ep->retries = 0;
	else if (ep->retries > RETRIES_SLOWEST)
		ep->retries = RETRIES_SLOWEST;
}

/* Fifth: the ACK field.  Returns a reason if the segment is to be left at that.
 */
static enum drop_reason on_ack(struct tcp_endpoint *ep, const struct pkt *pkt)
{
	uint32_t ack = pkt->tcp.ack;

	/* RFC 5961 section 5.2 */
	if (seq_lt(ep->snd_max, ack) ||
	    seq_lt(ack, ep->snd_una - ep->snd_wnd_max - 1)) {
		tcp_output_challenge(ep);
		return DROP_TCP_BAD_ACK;
	}
	/* The window counts from snd_una, so both move together, or the
	 * right edge would move by itself; an overtaken ACK moves neither. */
	if (seq_lt(ep->snd_una, ack)) {
		on_acked(ep, ack);
		take_window(ep, &pkt->tcp);
	} else if (ack == ep->snd_una) {
		count_dup_ack(ep, pkt);
		update_window(ep, &pkt->tcp);
	}
	note_alive(ep);
	tcp_endpoint_want_flush(ep);
	return DROP_NONE;
}

/*
 * RFC 9293 3.10.7.4, seventh: the payload, as far as it is new and fits.
 * hop up 6/11 (TCP): the bytes are the stream's
 */
static enum drop_reason take_payload(struct tcp_endpoint *ep,
				     const struct pkt *pkt)
{
	uint32_t skip = ep->rcv_nxt - pkt->tcp.seq; /* had before */
	uint32_t window = ep->rcv_adv - ep->rcv_nxt;

	if (pkt->payload_len == 0 || skip >= pkt->payload_len)
		return DROP_NONE;
	size_t n = pkt->payload_len - skip;
	if (n > window)
		n = window;
	if (!ep->stream || stream_write(ep->stream, pkt->payload + skip, n) < 0)
		return flow_drop(plane_of(ep), DROP_NO_MEMORY);
	ep->rcv_nxt += (uint32_t)n;
	return DROP_NONE;
}

/* Eighth: the application sends no more. */
static void take_fin(struct tcp_endpoint *ep, const struct pkt *pkt)
{
	if (!(pkt->tcp.flags & TCP_FIN) || !can_receive(ep) ||
	    pkt->tcp.seq + (uint32_t)pkt->payload_len != ep->rcv_nxt)
		return;
	ep->rcv_nxt++;
	if (seq_lt(ep->rcv_adv, ep->rcv_nxt))
		ep->rcv_adv = ep->rcv_nxt;
	if (ep->state == TCP_ESTABLISHED)
		ep->state = TCP_CLOSE_WAIT;
	else if (ep->state == TCP_FIN_WAIT_1)
		ep->state = TCP_CLOSING;
	else
		ep->state = TCP_TIME_WAIT;
	if (ep->stream)
		stream_write_fin(ep->stream);
}

static enum drop_reason take_text(struct tcp_endpoint *ep,
				  const struct pkt *pkt)
{
	if (segment_len(pkt) == 0)
		return DROP_NONE;
	tcp_endpoint_want_ack(ep);
	if (seq_lt(ep->rcv_nxt, pkt->tcp.seq))
		return flow_drop(plane_of(ep), DROP_TCP_OUT_OF_ORDER);
	if (!can_receive(ep))
		return DROP_NONE; /* text after FIN: acknowledged, ignored */
	enum drop_reason reason = take_payload(ep, pkt);
	if (reason == DROP_NONE)
		take_fin(ep, pkt);
	return reason;
}

/* SYN-RECEIVED: only the ACK of our SYN leads on. */
static enum drop_reason check_handshake(struct tcp_endpoint *ep,
					const struct pkt *pkt)
{
	if (ep->state != TCP_SYN_RECEIVED)
		return DROP_NONE;
	if (pkt->tcp.ack != ep->snd_max) {
		tcp_output_rst(plane_of(ep), &ep->flow.key, pkt->tcp.ack, 0, 0);
		return DROP_TCP_BAD_ACK;
	}
	ep->state = TCP_ESTABLISHED;
	ep->snd_una = pkt->tcp.ack;
	ep->retries = 0;
	return DROP_NONE;
}

/* SYN on a connection that is there: RFC 5961 section 4. */
static enum drop_reason on_syn(struct tcp_endpoint *ep, const struct pkt *pkt)
{
	struct flowplane *p = plane_of(ep);

	if (ep->state == TCP_TIME_WAIT && !(pkt->tcp.flags & TCP_ACK) &&
	    seq_lt(ep->rcv_nxt, pkt->tcp.seq)) {
		struct flow_key key = ep->flow.key;

		tcp_endpoint_let_go(ep);
		tcp_endpoint_kill(ep);
		return on_new_syn(p, pkt, &key);
	}
	if (ep->state == TCP_SYN_RECEIVED && pkt->tcp.seq == ep->irs) {
		tcp_output_syn_ack(ep);
		return DROP_NONE;
	}
	tcp_output_challenge(ep);
	return flow_drop(p, DROP_TCP_BLIND_SYN);
}

/* Answer what lies outside the window, so that the sender finds back. */
static enum drop_reason on_unacceptable(struct tcp_endpoint *ep,
					const struct pkt *pkt)
{
	if (!(pkt->tcp.flags & TCP_RST))
		tcp_endpoint_want_ack(ep);
	return flow_drop(plane_of(ep), DROP_TCP_OUT_OF_WINDOW);
}

static void finish(struct tcp_endpoint *ep)
{
	/* Our FIN was the second: nothing may come any more. */
	if (ep->state == TCP_LAST_ACK && ep->is_fin_sent &&
	    !is_waiting_for_ack(ep)) {
		tcp_endpoint_let_go(ep);
		tcp_endpoint_kill(ep);
	}
}

/* The order of checks is that of RFC 9293 3.10.7.4. */
static enum drop_reason on_segment_synchronized(struct tcp_endpoint *ep,
						const struct pkt *pkt)
{
	enum drop_reason reason;

	if (pkt->tcp.flags & TCP_SYN)
		return on_syn(ep, pkt);
	if (!is_acceptable(ep, pkt))
		return on_unacceptable(ep, pkt);
	if (pkt->tcp.flags & TCP_RST)
		return on_rst(ep, pkt);
	if (!(pkt->tcp.flags & TCP_ACK))
		return flow_drop(plane_of(ep), DROP_TCP_FLAGS);
	reason = check_handshake(ep, pkt);
	if (reason == DROP_NONE)
		reason = on_ack(ep, pkt);
	if (reason != DROP_NONE)
		return flow_drop(plane_of(ep), reason);
	reason = take_text(ep, pkt);
	finish(ep);
	return reason;
}

/* hop up 5/11 (TCP): the endpoint, or a SYN that makes one */
enum drop_reason tcp_input_on_segment(struct flowplane *p,
				      const struct pkt *pkt)
{
	struct flow_key key;

	make_key(pkt, &key);
	struct flow *f = flow_find(p, &key);

	if (f) {
		struct tcp_endpoint *ep = from_flow(f);

		return ep->state == TCP_OPENING
			       ? on_segment_opening(ep, pkt)
			       : on_segment_synchronized(ep, pkt);
	}
	if ((pkt->tcp.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) ==
	    TCP_SYN)
		return on_new_syn(p, pkt, &key);
	return on_stray(p, pkt, &key);
}

enum drop_reason tcp_input_refuse(struct flowplane *p, const struct pkt *pkt)
{
	struct flow_key key;

	make_key(pkt, &key);
	return on_stray(p, pkt, &key);
}
