/* SPDX-License-Identifier: MIT */
/* links: whether and when the helper gets further channels than ssh's stdio. */
#ifndef ECSSH_LINKS_H
#define ECSSH_LINKS_H

#include "carrier.h"
#include "loop.h"
#include "mux_sock.h"
#include "session.h"

struct links;

/*
 * For a bond_carrier and its session; sock is that of the same ssh.  All are
 * borrowed until links_free.  n: how many further channels, or -1: as many as
 * the line needs.  Returns NULL if memory runs out.
 */
struct links *links_new(struct loop *loop, const struct mux_sock *sock,
			struct carrier *carrier, struct session *session,
			int n);

/* Before the session is freed: no more is begun.  Accepts NULL. */
void links_stop(struct links *l);

/* After that, and after the carrier is freed or has broken, which uses the
 * channels.  If any were open ssh ends with this.  Accepts NULL; returns NULL.
 */
struct links *links_free(struct links *l);

/* Further channels now, and why not more, or "". */
unsigned links_n(const struct links *l);
const char *links_why_not(const struct links *l);

#endif
