/* SPDX-License-Identifier: MIT */
/* relay_tun: the packet plane as a tun channel of ssh. */
#ifndef ECSSH_RELAY_TUN_H
#define ECSSH_RELAY_TUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gso.h"
#include "mux_link.h"
#include "relay_internal.h"
#include "relay_link.h"
#include "ring.h"
#include "tun_root.h"

enum {
	RELAY_TUN_MTU_BYTES = 1500, /* of a device that nobody has changed */
	RELAY_TUN_RETRY_US = 1000000,
	RELAY_TUN_TRIES = 3, /* to get a lost channel back */
	/* One that was lost so soon is not opened again. */
	RELAY_TUN_STABLE_US = 10 * 1000000,
	/* Packets that wait for room in the channel, and how long one may. */
	RELAY_TUN_QUEUE_BYTES = 512 << 10,
	RELAY_TUN_QUEUE_US = 100000,
	RELAY_TUN_UNITS = 4,	    /* that are tried, if none was named */
	RELAY_TUN_ROOTS_UNIT = 100, /* the first, for root */
};

enum relay_tun_state {
	RELAY_TUN_OFF,	   /* nobody has asked for it, or it cannot be had */
	RELAY_TUN_OPENING, /* the confirmation is awaited */
	RELAY_TUN_UP,
	RELAY_TUN_WAITING, /* to be opened again when timer fires */
};

/* Storage is the caller's. */
struct relay_tun {
	struct relay *relay;	   /* borrowed */
	struct loop *loop;	   /* borrowed */
	struct relay_links *links; /* borrowed */
	enum relay_tun_state state;
	bool is_wanted;		     /* or nothing is opened */
	uint32_t asked_unit;	     /* MUX_TUN_ANY, or a number */
	uint32_t first_unit;	     /* of those that are tried */
	uint32_t unit;		     /* being tried, or the device's */
	struct mux_channel *channel; /* owned; NULL unless opening or up */
	struct mux_link *link;	     /* borrowed; the channel's */
	struct ip_addr near4, near6;
	bool was_up;
	bool is_root;	      /* the login's name is root */
	bool may_exec;	      /* commands may be run there */
	struct tun_root root; /* sets the device up; not off only while up */
	unsigned tries;	      /* left, before a refusal counts */
	mono_us_t up_us;
	struct timer retry;
	struct ring waiting;	/* struct head and packet, by turns */
	struct loop_task flush; /* posted while gro holds anything */
	struct dgram_queue queue;
	struct gro gro;
	uint8_t packet[PKT_IP6_MAX]; /* being sent */
};

void relay_tun_init(struct relay_tun *t, struct relay *relay, struct loop *loop,
		    struct relay_links *links,
		    const struct relay_ssh_config *config);
void relay_tun_fini(struct relay_tun *t);

/* Callbacks of the session. */
void relay_tun_on_network(struct relay_tun *t, const struct frame_network *n);
void relay_tun_on_packet(struct relay_tun *t, const struct frame_packet *p);

/* If the channel is on this link: move it at once. */
void relay_tun_forget(struct relay_tun *t, const struct mux_link *link);

/* If the channel is the last one of a link that was replaced: move it. */
void relay_tun_leave_old(struct relay_tun *t);

#endif
