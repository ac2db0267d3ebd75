/* SPDX-License-Identifier: MIT */
/* tcp_output: segments to the application's host: when, how large, built. */
#include "tcp_internal.h"

/* ---- building segments ---- */

uint32_t tcp_output_receive_window(const struct tcp_endpoint *ep)
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

uint16_t tcp_output_link_mss(const struct flowplane *p, uint8_t version)
{
	uint32_t mss = p->mtu_bytes - (version == IPV4 ? 40 : 60);

	return (uint16_t)(mss < SEGMENT_MAX ? mss : SEGMENT_MAX);
}

/* The window field; rounded down, so rcv_adv follows what was really said. */
static uint16_t advertise(struct tcp_endpoint *ep, uint8_t flags)
{
	uint8_t scale = ep->has_scale && !(flags & TCP_SYN) ? RCV_SCALE : 0;
	uint32_t field = tcp_output_receive_window(ep) >> scale;

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
			is_syn ? tcp_output_link_mss(plane_of(ep),
						     key->near.addr.version)
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

void tcp_output_ack(struct tcp_endpoint *ep)
{
	send_segment(ep, ep->snd_nxt, TCP_ACK, NULL, 0);
}

void tcp_output_syn_ack(struct tcp_endpoint *ep)
{
	send_segment(ep, ep->iss, TCP_SYN, NULL, 0);
}

void tcp_output_challenge(struct tcp_endpoint *ep)
{
	if (flow_may_send_challenge(plane_of(ep)))
		tcp_output_ack(ep);
}

/* A segment of its own, without an endpoint: RST from far to near. */
void tcp_output_rst(struct flowplane *p, const struct flow_key *key,
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

uint32_t tcp_output_usable_window(const struct tcp_endpoint *ep)
{
	int32_t usable = seq_diff(ep->snd_una + ep->snd_wnd, ep->snd_nxt);

	return usable > 0 ? (uint32_t)usable : 0;
}

/* How much the next segment carries; 0 if it had better wait. */
static size_t next_len(const struct tcp_endpoint *ep)
{
	size_t left = unsent(ep);
	size_t window = tcp_output_usable_window(ep);
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
	       unsent(ep) == 0 && tcp_output_usable_window(ep) > 0;
}

void tcp_output_send(struct tcp_endpoint *ep)
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

void tcp_output_probe(struct tcp_endpoint *ep)
{
	send_segment(ep, ep->snd_una - 1, 0, NULL, 0);
}

void tcp_output_again(struct tcp_endpoint *ep)
{
	ep->snd_nxt = ep->snd_una;
	ep->is_fin_sent = false;
	tcp_output_send(ep);
	if (ep->snd_nxt == ep->snd_una) /* the window closed meanwhile */
		tcp_output_probe(ep);
}
