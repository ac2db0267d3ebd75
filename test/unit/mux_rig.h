/* SPDX-License-Identifier: MIT */
/*
 * mux_rig: a mux_link on a control socket whose other end, ssh and the server
 * behind it, the test plays.
 */
#ifndef ECSSH_UNIT_MUX_RIG_H
#define ECSSH_UNIT_MUX_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mux_link.h"

enum {
	WINDOW = 8 << 20,
	FIRST_WINDOW = 128 << 10,
	QUEUE_MAX = 8 << 20,
	SERVER_WINDOW = 2 << 20,
	SERVER_PACKET = 32 << 10,
	REMOTE = 1000, /* number of the server = ours + that */
};

/* What was told of one channel. */
struct mux_rig_channel {
	struct mux_channel *ch;
	unsigned n_open, n_refused, n_eof, n_writable, n_closed;
	uint32_t reason;
	char text[300];
	uint64_t n_bytes;
	uint8_t last[64]; /* of data */
	bool consumes, fills, closes;
	uint64_t filled;
};

struct mux_rig {
	struct loop *loop;
	struct mux_link *link;
	int ssh;     /* the other end */
	int link_fd; /* borrowed from link */
	unsigned n_ready, n_closed;
	struct err why;
	uint8_t in[1 << 21]; /* what the link has written */
	size_t in_at, in_len;
};

/* A message the link has sent. */
struct mux_rig_frame {
	uint8_t type;
	uint32_t channel, number; /* the first two integers of its payload */
	const uint8_t *body;
	size_t len;
};

/* For cmocka: connected; in proxy mode, too. */
int mux_rig_setup_silent(void **state);
int mux_rig_setup(void **state);
int mux_rig_teardown(void **state);

#define NUMBERS(...)                     \
	(const uint32_t[]){__VA_ARGS__}, \
		sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)

/* Let the link do what it can, and take in what it writes. */
void mux_rig_settle(struct mux_rig *x);

/* The next message; false if there is none. */
bool mux_rig_next(struct mux_rig *x, struct mux_rig_frame *f);

struct mux_rig_frame mux_rig_expect(struct mux_rig *x, uint8_t type);

void mux_rig_expect_silence(struct mux_rig *x);

/* ssh or the server says something, and the link has heard it. */
void mux_rig_say_raw(struct mux_rig *x, const void *bytes, size_t len);

/* A packet of a type, numbers, and bytes behind them. */
void mux_rig_say(struct mux_rig *x, uint8_t type, const uint32_t *numbers,
		 size_t n_numbers, const void *bytes, size_t len);

void mux_rig_confirm(struct mux_rig *x, uint32_t id, uint32_t window);

void mux_rig_say_data(struct mux_rig *x, uint32_t id, const void *bytes,
		      size_t len);

/* Many bytes in packets as a server's. */
void mux_rig_say_much(struct mux_rig *x, uint32_t id, size_t len);

/* Send until no more is taken. */
void mux_rig_fill(struct mux_rig_channel *s);

/* These tell what they are told to a struct mux_rig_channel. */
extern const struct mux_channel_ops mux_rig_ops;

void mux_rig_begin_kind(struct mux_rig *x, struct mux_rig_channel *s,
			enum mux_channel_kind kind, const char *host);

/* Begin to open; returns our number. */
uint32_t mux_rig_begin(struct mux_rig *x, struct mux_rig_channel *s);

/* The server has accepted it. */
uint32_t mux_rig_open(struct mux_rig *x, struct mux_rig_channel *s);

void mux_rig_say_hello(struct mux_rig *x);

/* The link has ended, saying this; the channel, if any, was told. */
void mux_rig_expect_failed(struct mux_rig *x, const struct mux_rig_channel *s,
			   const char *text);

#endif
