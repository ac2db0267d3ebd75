/* SPDX-License-Identifier: MIT */
/*
 * stream_sock: a stream whose local side is a connected stream socket.
 *
 * Its owner makes the connection, with the same loop_io if it likes, and hands
 * both over with stream_sock_start.
 */
#ifndef ECSSH_STREAM_SOCK_H
#define ECSSH_STREAM_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"
#include "session.h"

enum stream_sock_state {
	/* The owner's: bytes do not move yet. */
	STREAM_SOCK_IDLE,
	/* Watched for what interest() says, or not at all if the socket has
	 * hung up and there is no room. */
	STREAM_SOCK_OPEN,
	/* errnum says why; not watched.  The socket is open while there may be
	 * more to read, then closed until the peer has everything. */
	STREAM_SOCK_BROKEN,
	/* No stream, no socket; on_over was called. */
	STREAM_SOCK_OVER,
};

/* Storage is the owner's; in place until on_over was called, and to the end of
 * that turn of the loop. */
struct stream_sock {
	struct loop *loop;	  /* borrowed */
	struct stream *stream;	  /* borrowed; NULL unless open or broken */
	struct loop_io io;	  /* fd is owned, or -1 */
	struct loop_task pushing; /* posted: something came for the socket */
	enum stream_sock_state state;
	int errnum;	     /* of what broke the connection */
	uint32_t read_bytes; /* to ask for next */
	bool is_watched;     /* io is in the loop */
	bool is_rx_blocked;  /* the socket is full: wait for EPOLLOUT */
	bool is_rx_done;     /* SHUT_WR was done */
	bool is_tx_done;     /* end of file was read, or an error */
	/* Bytes of the socket that may still go into the stream; what comes
	 * behind them is read and thrown away.  At first UINT64_MAX. */
	uint64_t tx_left;
	/* Bytes that go in before those that the socket still holds; owned. */
	uint8_t *early;
	size_t early_at, early_len;
	/* It is over: the stream was let go, the socket is closed. */
	void (*on_over)(struct stream_sock *ss);
};

/* fd, which is nonblocking, belongs to ss from now on. */
void stream_sock_init(struct stream_sock *ss, struct loop *loop, int fd,
		      void (*on_over)(struct stream_sock *ss));

/* While idle: watch for these events, with io.on_event and io.ctx set by the
 * owner.  Returns 0 or -errno. */
int stream_sock_watch(struct stream_sock *ss, uint32_t events);
void stream_sock_unwatch(struct stream_sock *ss);

/* While idle: what is to go into the stream first, malloc'd; taken over. */
void stream_sock_set_early(struct stream_sock *ss, uint8_t *bytes, size_t len);

/* The stream is open: move bytes, until on_over.  Owner and callbacks of the
 * stream are set here. */
void stream_sock_start(struct stream_sock *ss, struct stream *stream);

/* Close; with abort so that the peer sees a reset.  A stream is let go of and
 * otherwise not touched; on_over is not called. */
void stream_sock_close(struct stream_sock *ss);
void stream_sock_abort(struct stream_sock *ss);

#endif
