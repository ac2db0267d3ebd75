/* SPDX-License-Identifier: MIT */
/*
 * socks_dial: a connection to a SOCKS 5 server, up to the server's reply.
 *
 * Spec: RFC 1928, RFC 1929
 */
#ifndef ECSSH_SOCKS_DIAL_H
#define ECSSH_SOCKS_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "frame.h"
#include "loop.h"
#include "socks_msg.h"

enum {
	/* To reach the server and agree on a method. */
	SOCKS_DIAL_GREETING_US = 15 * 1000000,
	/* From the request to the reply: a connect(2) there may take as long as
	 * Linux tries, 127 s. */
	SOCKS_DIAL_REPLY_US = 135 * 1000000,
	SOCKS_DIAL_OUT_MAX = 4 + (3 + 2 * SOCKS_SECRET_MAX) + SOCKS_MSG_MAX,
};

/* The server, and what has been learned of it. */
struct socks_proxy {
	struct endpoint at;
	struct socks_auth auth;
	bool has_auth;
	/* SOCKS_METHOD_REFUSED: not known yet. */
	enum socks_method method;
	/* Messages behind the first that come early are not lost there. */
	bool may_pipeline;
};

/* How a dial ended, other than by a reply. */
enum socks_dial_end {
	SOCKS_DIAL_REPLIED,
	SOCKS_DIAL_UNREACHED, /* the server; errnum says why */
	SOCKS_DIAL_SILENT,
	SOCKS_DIAL_NO_METHOD, /* none of ours pleases it */
	SOCKS_DIAL_NO_AUTH,   /* wrong user or password */
	SOCKS_DIAL_BROKEN,    /* that is not SOCKS 5, or it hung up */
	/* It took us, but not the request: hung up (errnum: ECONNRESET), or
	 * said nothing (ETIMEDOUT). */
	SOCKS_DIAL_UNANSWERED,
};

struct socks_result {
	enum socks_dial_end end;
	int errnum; /* of SOCKS_DIAL_UNREACHED and _UNANSWERED, positive */
	struct socks_reply reply;
};

/* Storage is the caller's. */
struct socks_dial {
	struct loop *loop;	   /* borrowed */
	struct socks_proxy *proxy; /* borrowed; what is learned is noted */
	struct loop_io io;	   /* fd is owned, or -1 */
	struct timer timer;
	uint8_t state; /* private */
	bool is_pipelined;
	uint64_t reply_us; /* set by the caller; 0: SOCKS_DIAL_REPLY_US */
	enum socks_command command;
	struct socks_addr dst;
	size_t in_len, out_at, out_len;
	uint8_t in[SOCKS_MSG_MAX], out[SOCKS_DIAL_OUT_MAX];
	/*
	 * It has ended, once.  If the server granted what was asked for, io.fd
	 * is the connection, not watched, for socks_dial_take; else it is
	 * closed.  d may be freed in here.
	 */
	void (*on_done)(struct socks_dial *d, const struct socks_result *why);
};

/* Begin; on_done and reply_us are set by the caller.  Does not wait for the
 * reply to one message before the next is sent if proxy->may_pipeline.  Returns
 * 0 or -errno, and then on_done is not called. */
int socks_dial_start(struct socks_dial *d, struct loop *loop,
		     struct socks_proxy *proxy, enum socks_command command,
		     const struct socks_addr *dst);

/* The connection, owned by the caller from now on. */
int socks_dial_take(struct socks_dial *d);

/* Give up, or forget what is over; no callback follows. */
void socks_dial_stop(struct socks_dial *d);

/* Why a stream cannot be, in the terms of the session. */
enum frame_reason socks_result_reason(const struct socks_result *why);

#endif
