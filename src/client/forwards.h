/* SPDX-License-Identifier: MIT */
/* forwards: what -L and -R asked for, and what has become of it. */
#ifndef ECSSH_FORWARDS_H
#define ECSSH_FORWARDS_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "loop.h"
#include "mux_forward.h"
#include "starter.h"

enum forward_state { FORWARD_ASKED, FORWARD_UP, FORWARD_FAILED };

struct forward_status {
	const struct mux_forward_spec *spec; /* borrowed */
	enum forward_state state;
	uint16_t port;	/* where it listens there, if any was asked for */
	struct err why; /* failed */
};

struct forwards;

/* specs, those of the starter's plan, are borrowed for its life.  Returns NULL
 * if memory runs out. */
struct forwards *forwards_new(struct loop *loop, struct starter *starter,
			      const struct mux_forward_spec *specs, size_t n);

/* Have the ssh with its control socket at that place asked for all of them.
 * Each outcome is logged. */
void forwards_ask(struct forwards *f, uint32_t place);

size_t forwards_n(const struct forwards *f);
const struct forward_status *forwards_status(const struct forwards *f,
					     size_t i);

/* Accepts NULL; returns NULL. */
struct forwards *forwards_free(struct forwards *f);

#endif
