/* SPDX-License-Identifier: MIT */
/*
 * tun_root: a shell on the server that sets up a tun device there if it runs as
 * root, and undoes that when its channel goes.
 */
#ifndef ECSSH_TUN_ROOT_H
#define ECSSH_TUN_ROOT_H

#include <stdbool.h>
#include <stddef.h>

#include "loop.h"
#include "mux_link.h"
#include "tun_setup.h"

enum {
	/* For a shell to say who it is: it reads somebody's start-up files. */
	TUN_ROOT_ANSWER_US = 4 * 1000000,
	TUN_ROOT_SETUP_US = 8 * 1000000,
	/* MaxSessions 1: another command may be about to end. */
	TUN_ROOT_RETRY_US = 1000000,
	TUN_ROOT_TRIES = 2,
	TUN_ROOT_LINE_MAX = 128, /* longer ones are cut off */
};

enum tun_root_state {
	TUN_ROOT_OFF,	 /* never begun, or stopped */
	TUN_ROOT_ASKING, /* who the shell is */
	TUN_ROOT_AT_IT,
	TUN_ROOT_READY,
	TUN_ROOT_FAILED,
};

/* Storage is the caller's. */
struct tun_root {
	struct loop *loop;     /* borrowed */
	struct mux_link *link; /* borrowed */
	/* State is ready, or failed, or was ready and has failed.  May be
	 * called within tun_root_start. */
	void (*on_change)(void *ctx);
	void *ctx; /* borrowed */
	enum tun_root_state state;
	struct tun_setup setup;
	bool is_root;		     /* the shell has said so */
	char why[TUN_ROOT_LINE_MAX]; /* failed; the server's words, escaped */
	struct mux_channel *channel; /* owned; NULL: none */
	unsigned tries;		     /* left */
	struct timer timer;	     /* what it means follows from the state */
	char line[TUN_ROOT_LINE_MAX];
	size_t line_len;
	char script[TUN_SETUP_SCRIPT_MAX];
	size_t script_len, sent_len;
};

void tun_root_init(struct tun_root *r, struct loop *loop,
		   void (*on_change)(void *ctx), void *ctx);

/* Begin, on this link.  What was begun before is stopped. */
void tun_root_start(struct tun_root *r, struct mux_link *link,
		    const struct tun_setup *setup);

/* The shell undoes what it did, in its own time. */
void tun_root_stop(struct tun_root *r);

bool tun_root_is_busy(const struct tun_root *r);

#endif
