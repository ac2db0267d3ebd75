/* SPDX-License-Identifier: MIT */
/*
 * sim_far: a far engine whose "network" is a script: what answers on a port is
 * told by a rule, and the bytes are patterns.
 */
#ifndef ECSSH_SIM_FAR_H
#define ECSSH_SIM_FAR_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "pkt.h"
#include "reference.h"
#include "session.h"

enum sim_verdict {
	SIM_ACCEPT,
	SIM_REFUSE,
	SIM_SILENT, /* the connection attempt never ends */
};

/* What is on a port. */
struct sim_rule {
	uint16_t port;
	enum sim_verdict verdict;
	uint64_t delay_us; /* until the verdict */
	struct frame_refused refused;
	bool is_echo;	     /* sends back what it reads */
	uint64_t send_total; /* bytes of the down pattern */
	/* Bytes per second taken from the stream; 0: at once. */
	uint64_t read_bytes_per_s;
	bool sends_after_eof; /* begins to send when the peer's FIN came */
	bool fin_after_eof;   /* its own FIN waits for the peer's */
	bool never_fins;
	uint64_t reset_after; /* bytes received; 0: never */
};

/* A connection at the far end, kept for inspection until sim_far_free. */
struct sim_far_stream {
	struct list link;
	struct sim_far *far;
	struct stream *stream; /* NULL once it is over */
	struct sim_rule rule;  /* may be changed: sim_far_poke */
	struct frame_open open;
	uint64_t key_up, key_down;
	uint64_t received, sent;
	struct timer timer; /* verdict, then reading */
	uint64_t read_budget;
	bool is_paused; /* reads nothing: sim_far_pause */
	bool has_eof;
	bool is_accepted, is_closed, is_reset;
	enum frame_reason reset_reason;
};

struct sim_far {
	struct loop *loop; /* borrowed */
	struct rng *rng;   /* borrowed */
	char *violation;   /* borrowed, of 200 bytes; the first is kept */
	struct session *session;
	const struct sim_rule *rules; /* borrowed, ends with port 0 */
	struct list streams;
	unsigned n_opened;
	bool is_down;
	struct err down_why;
	/* The datagrams: counted, and sent back if echo_dgrams. */
	bool echo_dgrams;
	struct dgram_queue dgrams;
	unsigned n_dgrams;
	struct frame_dgram last_dgram; /* payload in last_payload */
	uint8_t last_payload[FRAME_DGRAM_MAX];
	uint32_t last_dgram_id;
	unsigned n_assoc_closed;
	/* Whole packets, and what was asked of the packet plane. */
	unsigned n_packets;
	struct frame_packet last_packet; /* bytes in last_packet_ip */
	uint8_t last_packet_ip[PKT_IP6_MAX];
	struct dgram_queue packets;
	unsigned n_networks;
	struct frame_network network;
};

/* Fill far and begin its session.  Aborts if memory runs out. */
void sim_far_init(struct sim_far *far, struct loop *loop, struct rng *rng,
		  struct carrier *carrier, const struct sim_rule *rules,
		  const struct frame_hello *hello, char *violation);
void sim_far_fini(struct sim_far *far);

/* The connection from this port of the application, the newest; or NULL. */
struct sim_far_stream *sim_far_find(struct sim_far *far, uint16_t near_port);

/* The rule was changed: act on it. */
void sim_far_poke(struct sim_far_stream *fs);

/* Stop or go on reading. */
void sim_far_pause(struct sim_far_stream *fs, bool is_paused);

/* Both rings' storage, of all streams. */
size_t sim_far_ring_bytes(const struct sim_far *far);

#endif
