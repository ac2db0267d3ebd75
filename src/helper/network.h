/* SPDX-License-Identifier: MIT */
/* network: how the helper comes by a device for the packet plane. */
#ifndef ECSSH_HELPER_NETWORK_H
#define ECSSH_HELPER_NETWORK_H

#include "busy.h"
#include "far.h"
#include "loop.h"
#include "outside.h"
#include "setup.h"

struct network {
	struct loop *loop;	 /* borrowed */
	struct far *far;	 /* borrowed */
	struct outside *outside; /* borrowed */
	struct loop_io result;	 /* fd: owned; -1: nothing is expected */
	struct loop_io broker;	 /* fd: owned; -1: none */
	struct timer impatience;
	struct setup_result made;
	struct busy busy; /* has the broker look at sshd's socket */
};

/* loop, far and outside are set by the caller, at the latest when the loop
 * runs. */
void network_init(struct network *n);

/* End whatever there is; the broker undoes what it did. */
void network_fini(struct network *n);

/* For far_options, with a struct network as context. */
const struct far_network_ops *network_ops(void);

#endif
