/* SPDX-License-Identifier: MIT */
/*
 * raw_peer: an application's host that does just what the test says, segment by
 * segment, over a TUN without delay.
 *
 * Failures are cmocka's.
 */
#ifndef ECSSH_SIM_RAW_PEER_H
#define ECSSH_SIM_RAW_PEER_H

#include "scenario.h"

enum { RAW_ISN = 0xfffffff0 }; /* wraps after a few bytes */

struct raw_peer {
	struct sim *sim;
	struct endpoint near, far;
	uint32_t seq; /* of the next byte to send */
	uint32_t ack; /* what it has of the other side */
	uint32_t iss, irs;
	uint16_t window;
	unsigned n_seen; /* captured packets already looked at */
	struct seg last; /* by raw_expect; payload borrowed from the capture */
};

/* A sim for raw peers: all packets down are captured. */
struct sim *raw_sim(enum ip_version version, const struct sim_rule *rules);

/* A peer with a port of its own, and its SYN's initial sequence number. */
struct raw_peer raw_peer(struct sim *s, uint16_t far_port);

/* Send a segment; raw_send with the peer's seq, ack and window. */
void raw_send_seg(struct raw_peer *p, const struct seg *s);
void raw_send(struct raw_peer *p, uint8_t flags, const void *payload,
	      size_t len);

/* The next packet down, which must be a TCP segment to the peer. */
const struct seg *raw_expect(struct raw_peer *p);

/* The next one, with these flags. */
const struct seg *raw_expect_flags(struct raw_peer *p, uint8_t flags);

/* The next packet down, whatever it is; NULL if there is none. */
const struct sim_captured *raw_next(struct raw_peer *p);

/* Nothing came down that was not looked at. */
void raw_expect_silence(struct raw_peer *p);

/* SYN with the usual options; not answered yet. */
void raw_syn(struct raw_peer *p);

/* The whole handshake. */
void raw_connect(struct raw_peer *p);

/* Let the far end send n bytes more of its pattern. */
void raw_far_sends(struct raw_peer *p, size_t n);

/* The connection's other end, which must be there. */
struct sim_far_stream *raw_far(struct raw_peer *p);

/* The endpoint, which must be there. */
struct tcp_probe raw_probe(struct raw_peer *p);
bool raw_is_gone(struct raw_peer *p);

#endif
