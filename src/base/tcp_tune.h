/* SPDX-License-Identifier: MIT */
/* tcp_tune: a TCP connection sends by BBR from when it is seen to lose
 * segments. */
#ifndef ECSSH_TCP_TUNE_H
#define ECSSH_TCP_TUNE_H

#include "loss.h"
#include "tcp_conn.h"

enum { TCP_TUNE_TEXT_MAX = 256 };

enum tcp_tune_state {
	TCP_TUNE_WATCHES, /* no loss was seen so far */
	TCP_TUNE_IS_BBR,
	TCP_TUNE_IS_LEFT, /* somebody has chosen how it sends */
	TCP_TUNE_FAILED,  /* loss was seen, and BBR is not to be had */
};

/* Zeroed: the connection was not looked at yet. */
struct tcp_tune {
	enum tcp_tune_state state; /* once it is not WATCHES it stays */
	struct loss loss;
	char congestion[TCP_CONN_NAME_MAX]; /* in use at the last look; "":
					       there was none */
	struct err why;			    /* FAILED */
};

/* Look at the connection now, and change it if that is due.  Looks
 * LOSS_LOOK_LEAST_US apart are of use.  Returns 0, or -errno: it cannot be
 * looked at. */
int tcp_tune_look(struct tcp_tune *t, int fd, mono_us_t now_us);

/* How it sends and why, for a person. */
const char *tcp_tune_tell(const struct tcp_tune *t,
			  char out[TCP_TUNE_TEXT_MAX]);

#endif
