/* SPDX-License-Identifier: MIT */
/*
 * mux_sock: the place of an ssh's control socket, and connections to it.
 *
 * Spec: doc/PROTOCOL.mux section 1
 */
#ifndef ECSSH_MUX_SOCK_H
#define ECSSH_MUX_SOCK_H

#include <stdint.h>

#include "err.h"
#include "loop.h"
#include "starter.h"

struct mux_sock;

/*
 * Have starter (borrowed) make a directory for the socket.  When ssh has made
 * the socket there, on_connected gets a connection to it, which it owns, once;
 * it may call mux_sock_free.  A failure to connect is told by fd = -errno.
 * Returns NULL with errno set and err.
 */
struct mux_sock *mux_sock_new(struct loop *loop, struct starter *starter,
			      void (*on_connected)(void *ctx, int fd),
			      void *ctx, struct err *err);

/* The value for ssh's ControlPath; needs no quoting.  Lives as long as s. */
const char *mux_sock_path(const struct mux_sock *s);

/* The same for struct ssh_start. */
uint32_t mux_sock_place(const struct mux_sock *s);

/* Another connection: a non-blocking descriptor for the caller, or -errno of
 * connect(2). */
int mux_sock_connect(const struct mux_sock *s);

/* Remove socket and directory; connections stay.  Accepts NULL; returns NULL.
 */
struct mux_sock *mux_sock_free(struct mux_sock *s);

#endif
