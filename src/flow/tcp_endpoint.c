/* SPDX-License-Identifier: MIT */
/*
 * tcp_endpoint: the near end of an application's TCP connection.
 *
 * Theory of operation
 *   A subset of RFC 9293 for a link that hardly ever loses: the TUN.  Segments
 * are accepted in order only (a gap is answered with an ACK at once), what is
 * lost on the way to the application is sent again from the first missing byte
 * (go-back-N). Timestamps and SACK are not offered.
 *
 *   The endpoint has no buffers.  Bytes from the application belong to the
 *   stream's tx ring as soon as they are acknowledged here; the window
 * advertised is the room there.  Bytes for the application lie in the stream's
 * rx ring until the application's TCP has acknowledged them, and only then are
 * they consumed.  So back-pressure goes from end to end and a sequence number
 * is an offset plus a constant:
 *
 *       snd_una  <->  stream->rx.start        (plus one once our FIN is
 * acknowledged) rcv_nxt  <->  stream->tx.end          (plus one once its FIN
 * came)
 *
 *   The SYN is not answered until the far connection is established: refused
 * becomes RST, unreachable becomes ICMP, silence stays silence.
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
#include "flow_internal.h"

enum {
	OPENING_US = 180000000, /* longer than any connect(2) tries */
	RTO_MIN_US = 300000,	/* above any delayed ACK */
	RTO_MAX_US = 60000000,
	RETRIES_MAX = 10,    /* together over 100 s: RFC 9293 3.8.3 */
	RETRIES_SLOWEST = 8, /* from here on they are RTO_MAX_US apart */
	KEEPALIVE_PROBE_US = 75000000,
	TIME_WAIT_US = 1000000, /* the link holds no old segments */
	RCV_SCALE = 6,		/* 65535 << 6: 4 MiB, above any stream window */
	SEGMENT_MAX = PKT_IP_MAX - 60,
	DUP_ACKS = 3,
	KEEPALIVE_S = 7200, /* RFC 9293 3.8.4 */
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

static int32_t seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

static bool seq_lt(uint32_t a, uint32_t b)
{
	return seq_diff(a, b) < 0;
}

static bool seq_leq(uint32_t a, uint32_t b)
{
	return seq_diff(a, b) <= 0;
}

static struct tcp_endpoint *from_flow(struct flow *f)
{
	return container_of(f, struct tcp_endpoint, flow);
}

static struct flowplane *plane_of(const struct tcp_endpoint *ep)
{
	return ep->flow.plane;
}

/* True from the state on in which our FIN may be sent. */
static bool can_send(const struct tcp_endpoint *ep)
{
	return ep->state == TCP_ESTABLISHED || ep->state == TCP_FIN_WAIT_1 ||
	       ep->state == TCP_CLOSE_WAIT || ep->state == TCP_CLOSING ||
	       ep->state == TCP_LAST_ACK;
}

/* The application has not sent its FIN. */
static bool can_receive(const struct tcp_endpoint *ep)
{
	return ep->state == TCP_ESTABLISHED || ep->state == TCP_FIN_WAIT_1 ||
	       ep->state == TCP_FIN_WAIT_2;
}

/* ---- the timer ---- */

static uint64_t backoff_us(const struct tcp_endpoint *ep)
{
	uint64_t us = (uint64_t)RTO_MIN_US << ep->retries;

	return us < RTO_MAX_US ? us : RTO_MAX_US;
}

/* Offset in rx of the next byte to send. */
static uint64_t snd_nxt_offset(const struct tcp_endpoint *ep)
{
	return ep->stream->rx.start + (ep->snd_nxt - ep->snd_una);
}

/* Bytes (not FIN) received from the far end and not sent yet. */
static size_t unsent(const struct tcp_endpoint *ep)
{
	if (!ep->stream || ep->is_fin_sent)
		return 0;
	return (size_t)(ep->stream->rx.end - snd_nxt_offset(ep));
}

static bool is_waiting_for_ack(const struct tcp_endpoint *ep)
{
	return ep->snd_una != ep->snd_max;
}

/* Nothing is under way although there is something: the window is shut. */
static bool is_persisting(const struct tcp_endpoint *ep)
{
	return can_send(ep) && !is_waiting_for_ack(ep) &&
	       (unsent(ep) > 0 ||
		(ep->stream && ep->stream->rx_fin && !ep->is_fin_sent));
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

static void arm_timer(struct tcp_endpoint *ep)
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

/* ---- building segments ---- */

/* Room that may be advertised: never less than promised before, and more only
 * by an amount that is of use (RFC 9293 3.8.6.2.2). */
static uint32_t receive_window(const struct tcp_endpoint *ep)
{
	size_t room = ep->stream ? stream_tx_room(ep->stream) : 0;
	uint32_t promised = ep->rcv_adv - ep->rcv_nxt;
	uint32_t max = ep->has_scale ? 65535U << RCV_SCALE : 65535U;
	uint32_t step = ep->mss_bytes < SESSION_WINDOW_MIN_BYTES / 2
				? ep->mss_bytes
				: SESSION_WINDOW_MIN_BYTES / 2;

	if (room > max)
		room = max;
	return room >= promised + step ? (uint32_t)room : promised;
}

/* What fits the device's MTU, and one segment of ours. */
static uint16_t link_mss(const struct flowplane *p, uint8_t version)
{
	uint32_t mss = p->mtu_bytes - (version == IPV4 ? 40 : 60);

	return (uint16_t)(mss < SEGMENT_MAX ? mss : SEGMENT_MAX);
}

/* The window field; rounded down, so rcv_adv follows what was really said. */
static uint16_t advertise(struct tcp_endpoint *ep, uint8_t flags)
{
	uint8_t scale = ep->has_scale && !(flags & TCP_SYN) ? RCV_SCALE : 0;
	uint32_t field = receive_window(ep) >> scale;

	if (field > 65535)
		field = 65535;
	uint32_t edge = ep->rcv_nxt + (field << scale);
	if (seq_lt(ep->rcv_adv, edge))
		ep->rcv_adv = edge;
	return (uint16_t)field;
}

/* hop down 8/9 (TCP): headers here, payload in the stream's ring */
static void send_segment(struct tcp_endpoint *ep, uint32_t seq, uint8_t flags,
			 const struct iovec *payload, int n_payload)
{
	const struct flow_key *key = &ep->flow.key;
	uint8_t head[PKT_VNET_LEN + PKT_HEADERS_MAX];
	struct iovec iov[3];
	size_t len = 0;
	bool is_syn = flags & TCP_SYN;
	struct pkt_ip_params ip = {
		.src = key->far.addr,
		.dst = key->near.addr,
		.ttl = 64,
		.df = true,
	};
	struct pkt_tcp_params tcp = {
		.src_port = key->far.port,
		.dst_port = key->near.port,
		.seq = seq,
		.ack = ep->rcv_nxt,
		.flags = flags | TCP_ACK,
		.window = advertise(ep, flags),
		.mss_bytes =
			is_syn ? link_mss(plane_of(ep), key->near.addr.version)
			       : 0,
		.window_scale = is_syn && ep->has_scale ? RCV_SCALE : -1,
		.gso_bytes = ep->mss_bytes,
	};

	for (int i = 0; i < n_payload; i++) {
		iov[1 + i] = payload[i];
		len += payload[i].iov_len;
	}
	iov[0] = (struct iovec){head, pkt_build_tcp(head, &ip, &tcp, len)};
	ep->is_ack_due = false;
	flow_tun_write(plane_of(ep), iov, 1 + n_payload);
}

static void send_ack(struct tcp_endpoint *ep)
{
	send_segment(ep, ep->snd_nxt, TCP_ACK, NULL, 0);
}

static void send_syn_ack(struct tcp_endpoint *ep)
{
	send_segment(ep, ep->iss, TCP_SYN, NULL, 0);
}

/* RFC 5961: say where we are; who sent that may find out. */
static void send_challenge(struct tcp_endpoint *ep)
{
	if (flow_may_send_challenge(plane_of(ep)))
		send_ack(ep);
}

/* A segment of its own, without an endpoint: RST from far to near. */
static void send_rst(struct flowplane *p, const struct flow_key *key,
		     uint32_t seq, uint32_t ack, uint8_t flags)
{
	uint8_t head[PKT_VNET_LEN + PKT_HEADERS_MAX];
	struct pkt_ip_params ip = {
		.src = key->far.addr,
		.dst = key->near.addr,
		.ttl = 64,
		.df = true,
	};
	struct pkt_tcp_params tcp = {
		.src_port = key->far.port,
		.dst_port = key->near.port,
		.seq = seq,
		.ack = ack,
		.flags = TCP_RST | flags,
		.window_scale = -1,
	};
	struct iovec iov = {head, pkt_build_tcp(head, &ip, &tcp, 0)};

	flow_tun_write(p, &iov, 1);
}

/* ---- output ---- */

/* Bytes that the application's window leaves for sending now; its FIN included.
 */
static uint32_t usable_window(const struct tcp_endpoint *ep)
{
	int32_t usable = seq_diff(ep->snd_una + ep->snd_wnd, ep->snd_nxt);

	return usable > 0 ? (uint32_t)usable : 0;
}

/* How much the next segment carries; 0 if it had better wait. */
static size_t next_len(const struct tcp_endpoint *ep)
{
	size_t left = unsent(ep);
	size_t window = usable_window(ep);
	size_t whole = SEGMENT_MAX / ep->mss_bytes * ep->mss_bytes;
	size_t len = left < window ? left : window;

	if (len > whole)
		len = whole;
	/* Sender's side of silly window avoidance, RFC 9293 3.8.6.2.1; what
	 * was sent before is sent again whatever its length. */
	if (len < left && len < ep->mss_bytes && len < ep->snd_wnd_max / 2 &&
	    is_waiting_for_ack(ep) && ep->snd_nxt == ep->snd_max)
		return 0;
	return len;
}

static void note_sent(struct tcp_endpoint *ep, uint32_t len)
{
	if (!is_waiting_for_ack(ep))
		ep->is_timer_stale = true;
	ep->snd_nxt += len;
	if (seq_lt(ep->snd_max, ep->snd_nxt))
		ep->snd_max = ep->snd_nxt;
}

static void send_fin(struct tcp_endpoint *ep)
{
	send_segment(ep, ep->snd_nxt, TCP_FIN, NULL, 0);
	note_sent(ep, 1);
	ep->is_fin_sent = true;
	if (ep->state == TCP_ESTABLISHED)
		ep->state = TCP_FIN_WAIT_1;
	else if (ep->state == TCP_CLOSE_WAIT)
		ep->state = TCP_LAST_ACK;
}

static bool is_fin_due(const struct tcp_endpoint *ep)
{
	return ep->stream && ep->stream->rx_fin && !ep->is_fin_sent &&
	       unsent(ep) == 0 && usable_window(ep) > 0;
}

static void output(struct tcp_endpoint *ep)
{
	size_t len;

	if (!can_send(ep))
		return;
	while ((len = next_len(ep)) > 0) {
		struct iovec parts[2];
		int n = stream_rx_peek(ep->stream, snd_nxt_offset(ep), len,
				       parts);
		uint8_t flags = len == unsent(ep) ? TCP_PSH : 0;

		send_segment(ep, ep->snd_nxt, flags, parts, n);
		note_sent(ep, (uint32_t)len);
	}
	if (is_fin_due(ep))
		send_fin(ep);
}

static void want_flush(struct tcp_endpoint *ep)
{
	if (ep->flow.is_dead)
		return;
	if (list_is_empty(&ep->flow.link))
		list_push(&plane_of(ep)->due, &ep->flow.link);
	flow_want_flush(plane_of(ep));
}

static void want_ack(struct tcp_endpoint *ep)
{
	ep->is_ack_due = true;
	want_flush(ep);
}

/* hop down 7/9 (TCP): what came together in this turn goes out */
void tcp_endpoint_flush(struct flow *f)
{
	struct tcp_endpoint *ep = from_flow(f);

	output(ep);
	if (ep->is_ack_due)
		send_ack(ep);
	arm_timer(ep);
}

/* ---- birth and death ---- */

/* The session is done with the stream, or this end is. */
static void let_go(struct tcp_endpoint *ep)
{
	if (ep->stream)
		stream_disown(ep->stream);
	ep->stream = NULL;
}

static void endpoint_kill(struct tcp_endpoint *ep)
{
	timer_disarm(plane_of(ep)->loop, &ep->timer);
	list_del(&ep->opening_link);
	flow_kill(&ep->flow);
}

/* Both ends of the stream are told that it is over. */
static void endpoint_reset(struct tcp_endpoint *ep, enum frame_reason reason)
{
	struct stream *s = ep->stream;

	let_go(ep);
	if (s)
		stream_reset(s, reason);
	endpoint_kill(ep);
}

/* Tell the application that its connection is gone. */
static void send_rst_to_app(struct tcp_endpoint *ep)
{
	if (ep->state == TCP_OPENING)
		send_rst(plane_of(ep), &ep->flow.key, 0, ep->rcv_nxt, TCP_ACK);
	else
		send_rst(plane_of(ep), &ep->flow.key, ep->snd_nxt, ep->rcv_nxt,
			 TCP_ACK);
}

void tcp_endpoint_abort(struct flow *f)
{
	struct tcp_endpoint *ep = from_flow(f);

	if (f->is_dead)
		return;
	if (ep->state != TCP_TIME_WAIT)
		send_rst_to_app(ep);
	endpoint_reset(ep, FRAME_REASON_RESET);
}

void tcp_endpoint_free(struct flow *f)
{
	free(from_flow(f));
}

static void give_up(struct tcp_endpoint *ep)
{
	send_rst_to_app(ep);
	endpoint_reset(ep, FRAME_REASON_TIMED_OUT);
}

static void on_timer(void *ctx)
{
	struct tcp_endpoint *ep = ctx;

	if (ep->state == TCP_TIME_WAIT) {
		let_go(ep);
		endpoint_kill(ep);
		return;
	}
	if (ep->state == TCP_OPENING) {
		endpoint_reset(ep, FRAME_REASON_TIMED_OUT);
		return;
	}
	if (++ep->retries > RETRIES_MAX) {
		give_up(ep);
		return;
	}
	if (ep->state == TCP_SYN_RECEIVED) {
		send_syn_ack(ep);
	} else if (is_waiting_for_ack(ep)) {
		ep->snd_nxt = ep->snd_una;
		ep->is_fin_sent = false;
		output(ep);
		if (ep->snd_nxt == ep->snd_una) /* window closed meanwhile */
			send_segment(ep, ep->snd_una - 1, 0, NULL, 0);
	} else {
		/* Persist and keepalive: a segment that must be answered. */
		send_segment(ep, ep->snd_una - 1, 0, NULL, 0);
	}
	arm_timer(ep);
}

/* ---- the far connection ---- */

void tcp_endpoint_on_opened(struct stream *s)
{
	struct tcp_endpoint *ep = s->owner;

	list_del(&ep->opening_link);
	ep->state = TCP_SYN_RECEIVED;
	ep->snd_nxt = ep->snd_max = ep->iss + 1;
	plane_of(ep)->stats.tcp_opened++;
	send_syn_ack(ep);
	arm_timer(ep);
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

void tcp_endpoint_on_refused(struct stream *s, const struct frame_refused *why)
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
	let_go(ep);
	endpoint_kill(ep);
}

void tcp_endpoint_on_readable(struct stream *s)
{
	want_flush(s->owner);
}

/* Receiver's side of silly window avoidance, RFC 9293 3.8.6.2.2: the window
 * has opened far enough to say so. */
static bool is_window_update_due(const struct tcp_endpoint *ep)
{
	uint32_t promised = ep->rcv_adv - ep->rcv_nxt;
	uint32_t grown = receive_window(ep) - promised;

	return grown > 0 && grown >= (promised + grown) / 2;
}

void tcp_endpoint_on_writable(struct stream *s)
{
	struct tcp_endpoint *ep = s->owner;

	if (can_receive(ep) && is_window_update_due(ep))
		want_ack(ep);
}

void tcp_endpoint_on_reset(struct stream *s, enum frame_reason reason)
{
	struct tcp_endpoint *ep = s->owner;

	(void)reason;
	let_go(ep);
	if (ep->state == TCP_TIME_WAIT)
		return;
	send_rst_to_app(ep);
	endpoint_kill(ep);
}

void tcp_endpoint_on_closed(struct stream *s)
{
	struct tcp_endpoint *ep = s->owner;

	let_go(ep);
}

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
	uint32_t link = link_mss(p, pkt->src.version);
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

	ep->stream = session_open(plane_of(ep)->session, ep, &open);
	return ep->stream ? 0 : -1;
}

/* A scan of silent hosts must not keep others from connecting: where there is
 * no room, the SYN held longest is forgotten, as if it had been lost. */
static void make_room(struct flowplane *p)
{
	bool is_full =
		p->flows.n >= FLOWPLANE_FLOWS_MAX ||
		session_stats(p->session)->streams >= SESSION_STREAMS_MAX;

	if (is_full && !list_is_empty(&p->opening))
		endpoint_reset(container_of(p->opening.next,
					    struct tcp_endpoint, opening_link),
			       FRAME_REASON_TIMED_OUT);
}

/* The SYN is held back until the far end has connected. */
static enum drop_reason on_new_syn(struct flowplane *p, const struct pkt *pkt,
				   const struct flow_key *key)
{
	make_room(p);
	struct tcp_endpoint *ep = calloc(1, sizeof(*ep));

	if (!ep)
		return flow_drop(p, DROP_NO_MEMORY);
	ep->flow.key = *key;
	list_init(&ep->opening_link);
	ep->timer = (struct timer){.on_fire = on_timer, .ctx = ep};
	if (flow_add(p, &ep->flow) < 0) {
		free(ep);
		return flow_drop(p, DROP_FLOW_LIMIT);
	}
	take_syn(ep, pkt);
	if (open_stream(ep) < 0) {
		endpoint_kill(ep);
		return flow_drop(p, DROP_FLOW_LIMIT);
	}
	list_push(&p->opening, &ep->opening_link);
	arm_timer(ep);
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
		send_rst(p, key, tcp->ack, 0, 0);
	else
		send_rst(p, key, 0, tcp->seq + segment_len(pkt), TCP_ACK);
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
		endpoint_reset(ep, FRAME_REASON_RESET);
		return DROP_NONE;
	}
	if ((tcp->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return flow_drop(p, DROP_TCP_FLAGS);
	if (tcp->seq == ep->irs)
		return DROP_NONE; /* sent again: be patient */
	/* The application gave up and tries anew from the same port. */
	struct flow_key key = ep->flow.key;

	endpoint_reset(ep, FRAME_REASON_RESET);
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
		send_challenge(ep);
		return flow_drop(plane_of(ep), DROP_TCP_BLIND_RST);
	}
	/* Its host has nothing to lose any more, the far end may still have
	 * bytes to come: RFC 1337. */
	if (ep->state == TCP_TIME_WAIT) {
		let_go(ep);
		endpoint_kill(ep);
		return DROP_NONE;
	}
	endpoint_reset(ep, FRAME_REASON_RESET);
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
	want_flush(ep);
}

/* An answer to a probe shows that somebody is there.  Probing a shut window
 * goes on, ever more slowly, as long as it is answered (RFC 9293 3.8.6.1). */
static void note_alive(struct tcp_endpoint *ep)
{
	if (is_waiting_for_ack(ep))
		return;
	if (!is_persisting(ep) || usable_window(ep) > 0)
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
		send_challenge(ep);
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
	want_flush(ep);
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
	want_ack(ep);
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
		send_rst(plane_of(ep), &ep->flow.key, pkt->tcp.ack, 0, 0);
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

		let_go(ep);
		endpoint_kill(ep);
		return on_new_syn(p, pkt, &key);
	}
	if (ep->state == TCP_SYN_RECEIVED && pkt->tcp.seq == ep->irs) {
		send_syn_ack(ep);
		return DROP_NONE;
	}
	send_challenge(ep);
	return flow_drop(p, DROP_TCP_BLIND_SYN);
}

/* Answer what lies outside the window, so that the sender finds back. */
static enum drop_reason on_unacceptable(struct tcp_endpoint *ep,
					const struct pkt *pkt)
{
	if (!(pkt->tcp.flags & TCP_RST))
		want_ack(ep);
	return flow_drop(plane_of(ep), DROP_TCP_OUT_OF_WINDOW);
}

static void finish(struct tcp_endpoint *ep)
{
	/* Our FIN was the second: nothing may come any more. */
	if (ep->state == TCP_LAST_ACK && ep->is_fin_sent &&
	    !is_waiting_for_ack(ep)) {
		let_go(ep);
		endpoint_kill(ep);
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
enum drop_reason tcp_endpoint_on_segment(struct flowplane *p,
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
