/* SPDX-License-Identifier: MIT */
/*
 * app_tcp: the TCP of an application's host, as RFC 9293 has it.
 *
 * Written against the RFC and without src/flow: it is what the endpoint has to
 * get on with.  Whatever a real host could not forgive is a violation.
 */
#ifndef ECSSH_SIM_APP_TCP_H
#define ECSSH_SIM_APP_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "list.h"
#include "loop.h"
#include "reference.h"
#include "seg.h"

/* When the application closes its sending side. */
enum app_close {
	APP_CLOSES_WHEN_SENT,
	APP_CLOSES_AFTER_EOF, /* and when all is sent */
	APP_NEVER_CLOSES,
};

struct app_config {
	struct endpoint near, far;
	uint32_t iss;
	uint16_t mss_bytes;  /* option; 0: not sent */
	int8_t window_scale; /* option; -1: not sent */
	uint64_t send_total; /* bytes of the up pattern */
	enum app_close closes;
	uint32_t rcv_buf_bytes;
	uint64_t read_bytes_per_s; /* 0: at once */
	uint32_t inflight_max;	   /* a congestion window; 0: none */
	bool has_no_gso;
	bool has_urgent;      /* sets URG here and there */
	bool acks_at_once;    /* instead of delayed */
	bool has_odd_windows; /* advertises less than it could, even nothing */
	bool expects_no_loss; /* nor reordering: what they would excuse
			       * is a violation */
	uint64_t key_up, key_down; /* 0: by the ports */
};

enum app_state {
	APP_CLOSED,
	APP_SYN_SENT,
	APP_ESTABLISHED,
	APP_FIN_WAIT_1,
	APP_FIN_WAIT_2,
	APP_CLOSING,
	APP_TIME_WAIT,
	APP_CLOSE_WAIT,
	APP_LAST_ACK,
	APP_OVER,
};

/* What the application was told, as connect(2) and recv(2) would. */
enum app_outcome {
	APP_PENDING,
	APP_CONNECTED,
	APP_REFUSED,	 /* RST for the SYN */
	APP_UNREACHABLE, /* ICMP error for the SYN: icmp_type, icmp_code */
	APP_TIMED_OUT,	 /* retransmissions without an answer */
	APP_RESET,	 /* RST on the connection */
	APP_FINISHED,	 /* both directions closed in order */
};

/* How an application's host reaches its world. */
struct app_env {
	struct loop *loop;
	struct rng *rng;
	char *violation; /* 200 bytes; the first is kept */
	void (*send)(void *ctx, const uint8_t *packet, size_t len);
	void *ctx;
};

/* Received beyond a gap: offsets [from, to). */
struct app_range {
	uint64_t from, to;
};

enum { APP_RANGES_MAX = 64 };

struct app_tcp {
	struct list link; /* for the owner's use */
	struct app_config config;
	const struct app_env *env; /* borrowed */
	enum app_state state;
	enum app_outcome outcome;
	uint8_t icmp_type, icmp_code;
	mono_us_t opened_us, decided_us; /* SYN sent; outcome no more pending */

	uint32_t snd_una, snd_nxt, snd_max, snd_wnd, snd_wl1, snd_wl2;
	uint64_t una_offset; /* bytes acknowledged */
	uint8_t snd_scale;
	uint16_t snd_mss;
	uint32_t cwnd;
	unsigned dup_acks;
	unsigned retries;    /* doublings of the timeout */
	unsigned unanswered; /* timeouts since the last ACK */
	bool is_fin_acked;
	uint32_t peer_edge; /* right edge of the peer's window, as promised */

	uint32_t irs, rcv_nxt, rcv_edge;
	uint64_t received; /* in order */
	uint64_t unread;
	uint64_t read_budget;
	struct app_range ranges[APP_RANGES_MAX];
	int n_ranges;
	bool has_fin; /* fin_offset is known */
	uint64_t fin_offset;
	bool got_eof;
	bool is_read_paused;
	unsigned unacked_segments;

	struct timer rto, delack, tick;
	uint64_t n_sent, n_received; /* segments */
	uint64_t n_retransmits;
	uint64_t n_probes_received; /* below the window and without bytes */
	mono_us_t last_probe_us, last_probe_gap_us;
};

void app_tcp_init(struct app_tcp *a, const struct app_env *env,
		  const struct app_config *config);

/* Send the SYN. */
void app_tcp_connect(struct app_tcp *a);

/* More to send, or a changed mind about closing, in config: act on it. */
void app_tcp_poke(struct app_tcp *a);

/* Stop or go on reading. */
void app_tcp_pause_reading(struct app_tcp *a, bool is_paused);

/* Close without grace: RST, as with SO_LINGER 0. */
void app_tcp_abort(struct app_tcp *a);

/* The host's timers stop, as if it had crashed. */
void app_tcp_vanish(struct app_tcp *a);

/* A segment of this connection arrived. */
void app_tcp_on_segment(struct app_tcp *a, const struct seg *s);

/* An ICMP error that quotes the connection arrived. */
void app_tcp_on_icmp(struct app_tcp *a, uint8_t type, uint8_t code);

/* Send a segment just as given, apart from the addresses. */
void app_tcp_send_raw(struct app_tcp *a, struct seg s);

static inline bool app_tcp_is_over(const struct app_tcp *a)
{
	return a->state == APP_OVER;
}

#endif
