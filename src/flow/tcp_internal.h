/* SPDX-License-Identifier: MIT */
/* tcp_internal: a TCP endpoint, as its three files see it. */
#ifndef ECSSH_TCP_INTERNAL_H
#define ECSSH_TCP_INTERNAL_H

#include "flow_internal.h"

enum {
	RCV_SCALE = 6, /* 65535 << 6: 4 MiB, above any stream window */
	SEGMENT_MAX = PKT_IP_MAX - 60,
	RTO_MAX_US = 60000000,
	RETRIES_MAX = 10, /* together over 100 s: RFC 9293 3.8.3 */
};

/*
 * States as in RFC 9293 3.3.2, from this end's point of view: the application
 * is the one who opens.
 *
 * OPENING       SYN came, held back; the far end is connecting.  stream set.
 *               Nothing is sent.
 * SYN_RECEIVED  far connection established, SYN,ACK sent.
 * ESTABLISHED.. as in the RFC.
 * TIME_WAIT     both FINs are acknowledged, ours came first; stream may be
 * NULL.
 *
 * stream is NULL once the session has finished it, which may be before the last
 * states are through.
 */
enum tcp_state {
	TCP_OPENING,
	TCP_SYN_RECEIVED,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT_1,
	TCP_FIN_WAIT_2,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_LAST_ACK,
	TCP_TIME_WAIT,
};

struct tcp_endpoint {
	struct flow flow;
	struct stream *stream; /* borrowed; see above */
	enum tcp_state state;
	struct list opening_link; /* among the plane's, in OPENING */
	struct timer timer;
	uint8_t retries; /* timer fired so often without an answer */
	uint8_t dup_acks;
	uint8_t syn_ttl, syn_tos; /* of the held SYN */
	bool is_ack_due;
	bool is_fin_sent;    /* snd_nxt is behind our FIN */
	bool is_timer_stale; /* what the timer was armed for is acknowledged */
	bool has_scale;	     /* window scale option in use */
	uint8_t snd_scale;
	uint16_t mss_bytes; /* of what we send */
	uint32_t irs, iss;
	uint32_t snd_una, snd_nxt,
		snd_max; /* snd_max: highest snd_nxt so far */
	uint32_t snd_wnd, snd_wnd_max, snd_wl1, snd_wl2;
	uint32_t rcv_nxt;
	uint32_t rcv_adv; /* right edge of the window as advertised */
};

/* ---- sequence numbers: RFC 9293 3.4, arithmetic modulo 2^32 ---- */

static inline int32_t seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return seq_diff(a, b) < 0;
}

static inline bool seq_leq(uint32_t a, uint32_t b)
{
	return seq_diff(a, b) <= 0;
}

static inline struct tcp_endpoint *from_flow(struct flow *f)
{
	return container_of(f, struct tcp_endpoint, flow);
}

static inline struct flowplane *plane_of(const struct tcp_endpoint *ep)
{
	return ep->flow.plane;
}

/* True from the state on in which our FIN may be sent. */
static inline bool can_send(const struct tcp_endpoint *ep)
{
	return ep->state == TCP_ESTABLISHED || ep->state == TCP_FIN_WAIT_1 ||
	       ep->state == TCP_CLOSE_WAIT || ep->state == TCP_CLOSING ||
	       ep->state == TCP_LAST_ACK;
}

/* The application has not sent its FIN. */
static inline bool can_receive(const struct tcp_endpoint *ep)
{
	return ep->state == TCP_ESTABLISHED || ep->state == TCP_FIN_WAIT_1 ||
	       ep->state == TCP_FIN_WAIT_2;
}

/* Offset in rx of the next byte to send. */
static inline uint64_t snd_nxt_offset(const struct tcp_endpoint *ep)
{
	return ep->stream->rx.start + (ep->snd_nxt - ep->snd_una);
}

/* Bytes (not FIN) received from the far end and not sent yet. */
static inline size_t unsent(const struct tcp_endpoint *ep)
{
	if (!ep->stream || ep->is_fin_sent)
		return 0;
	return (size_t)(ep->stream->rx.end - snd_nxt_offset(ep));
}

static inline bool is_waiting_for_ack(const struct tcp_endpoint *ep)
{
	return ep->snd_una != ep->snd_max;
}

/* Nothing is under way although there is something: the window is shut. */
static inline bool is_persisting(const struct tcp_endpoint *ep)
{
	return can_send(ep) && !is_waiting_for_ack(ep) &&
	       (unsent(ep) > 0 ||
		(ep->stream && ep->stream->rx_fin && !ep->is_fin_sent));
}

/* ---- tcp_endpoint.c ---- */

/* A new endpoint in OPENING, without a stream, or NULL: limit or memory. */
struct tcp_endpoint *tcp_endpoint_new(struct flowplane *p,
				      const struct flow_key *key);

/* Both ends of the stream are told that it is over; the endpoint is killed. */
void tcp_endpoint_reset(struct tcp_endpoint *ep, enum frame_reason reason);

/* Out of the table; freed at the end of the turn. */
void tcp_endpoint_kill(struct tcp_endpoint *ep);

/* The session is done with the stream, or this end is. */
void tcp_endpoint_let_go(struct tcp_endpoint *ep);

/* Have the timer run that the state calls for. */
void tcp_endpoint_arm(struct tcp_endpoint *ep);

/* Output is due, or only an ACK, at the end of this turn. */
void tcp_endpoint_want_flush(struct tcp_endpoint *ep);
void tcp_endpoint_want_ack(struct tcp_endpoint *ep);

/* ---- tcp_output.c ---- */

/* Send what the application's window allows, FIN included. */
void tcp_output_send(struct tcp_endpoint *ep);

/* The same from the first byte that is not acknowledged; if the window is shut,
 * a probe. */
void tcp_output_again(struct tcp_endpoint *ep);

void tcp_output_ack(struct tcp_endpoint *ep);
void tcp_output_syn_ack(struct tcp_endpoint *ep);

/* A segment that must be answered, without data. */
void tcp_output_probe(struct tcp_endpoint *ep);

/* RFC 5961: say where we are; who sent that may find out. */
void tcp_output_challenge(struct tcp_endpoint *ep);

/* A RST from far to near, for an endpoint or for none; flags: TCP_ACK or 0. */
void tcp_output_rst(struct flowplane *p, const struct flow_key *key,
		    uint32_t seq, uint32_t ack, uint8_t flags);

/* What fits the device's MTU, and one segment of ours. */
uint16_t tcp_output_link_mss(const struct flowplane *p, uint8_t version);

/* Room that may be advertised: never less than promised before, and more only
 * by an amount that is of use (RFC 9293 3.8.6.2.2). */
uint32_t tcp_output_receive_window(const struct tcp_endpoint *ep);

/* Bytes that the application's window leaves for sending now; its FIN
 * included. */
uint32_t tcp_output_usable_window(const struct tcp_endpoint *ep);

#endif
