/* SPDX-License-Identifier: MIT */
/*
 * sim: both engines and the applications' hosts in one process, on a virtual
 * clock.
 *
 *     app_tcp -- TUN (loses, repeats, reorders) -- flowplane
 *                                                     | near session
 *                           sim_carrier (slow, stalls, breaks)
 *                                                     | far session
 *                                                  sim_far
 *
 * After every step of the clock the invariants of all flows are checked (less
 * often if there are many).  With $ECSSH_SIM_TRACE set every segment is
 * printed.
 */
#ifndef ECSSH_SIM_H
#define ECSSH_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "app_tcp.h"
#include "flow_internal.h"
#include "sim_carrier.h"
#include "sim_far.h"
#include "tcp_probe.h"

/* One direction of the TUN. */
struct sim_tun {
	uint32_t loss_ppm, dup_ppm, reorder_ppm;
	uint64_t delay_us, jitter_us; /* jitter keeps the order */
	uint32_t refuse_ppm;	      /* down: the write fails */
};

struct sim_config {
	enum ip_version version; /* 0: IPv4 */
	uint32_t mtu_bytes;	 /* 0: 1500 */
	struct sim_link link;
	struct sim_tun up, down;
	const struct sim_rule *rules;
	uint32_t capabilities; /* of the far end; 0: all */
	bool has_no_gateway;   /* addresses are not told */
};

enum {
	SIM_CAPTURE_MAX = 64,
	SIM_VIOLATION_MAX = 200,
	SIM_NEAR_PORT = 40000,
};

/* A packet for none of the applications. */
struct sim_captured {
	uint8_t *bytes; /* owned; with virtio header */
	size_t len;
	mono_us_t at_us;
};

struct sim {
	struct sim_config config;
	struct loop *loop;
	struct rng rng;
	struct flowplane *plane;
	struct sim_pipe *pipe;
	struct sim_far far;
	struct app_env env;
	struct list apps; /* struct app_tcp, owned */
	struct list flying;
	mono_us_t last_up_us, last_down_us; /* arrival: keeps the order */
	struct ip_addr near_addr, far_addr, gateway;
	uint16_t next_port;
	/* Newest last; the oldest yield. */
	struct sim_captured captured[SIM_CAPTURE_MAX];
	unsigned n_captured; /* ever */
	bool is_up, is_down;
	struct err down_why;
	/* Of the packet plane, as told to the owner; and what came for ids of
	 * others. */
	unsigned n_network_states;
	struct frame_network_state network_state;
	unsigned n_foreign;
	uint32_t foreign_id;
	char violation[SIM_VIOLATION_MAX]; /* empty: none */
	size_t most_ring_bytes; /* highest sum of all rings' storage seen */
	uint64_t n_steps;
	bool is_traced;
	bool has_raw_tun; /* all packets down are captured, none delivered */
	/* Instead of that, if set: every packet down. */
	void (*on_down_packet)(void *ctx, const uint8_t *packet, size_t len);
	void *down_ctx;
};

/* Build everything and let the sessions greet each other.  Aborts if memory
 * runs out.  The source of randomness, libsodium's included, is seed. */
struct sim *sim_new(const struct sim_config *config, uint64_t seed);
struct sim *sim_free(struct sim *s);

/* A configuration of an application that connects to a far port from a port of
 * its own, with usual options. */
struct app_config sim_app_config(struct sim *s, uint16_t far_port);

/* An application that opens its connection now; owned by the sim. */
struct app_tcp *sim_app(struct sim *s, const struct app_config *config);

/* The endpoint's flow for an application, or NULL. */
struct flow *sim_flow(struct sim *s, const struct app_tcp *a);

/* Give the plane a packet at once, as the TUN would. */
enum drop_reason sim_tun_up(struct sim *s, const uint8_t *packet, size_t len);

/* The nth newest captured packet, 0 the newest; or NULL. */
const struct sim_captured *sim_captured(const struct sim *s, unsigned n);

/* Handle what is due now, without moving the clock. */
void sim_settle(struct sim *s);

/* Move the clock on until done says so (NULL: never) or the time has passed.
 * Returns whether done said so; false at once on a violation. */
bool sim_run(struct sim *s, bool (*done)(const struct sim *s),
	     uint64_t most_us);

/* For sim_run: every application is over. */
bool sim_apps_are_over(const struct sim *s);

/* The storage of the rings of all streams at both ends. */
size_t sim_ring_bytes(struct sim *s);

static inline mono_us_t sim_now_us(const struct sim *s)
{
	return loop_now_us(s->loop);
}

#endif
