/* SPDX-License-Identifier: MIT */
/* relay_ssh_tcp: streams of the session as direct-tcpip channels of ssh. */
#ifndef ECSSH_RELAY_SSH_TCP_H
#define ECSSH_RELAY_SSH_TCP_H

#include "relay_link.h"
#include "relay_refusal.h"
#include "session.h"

/* All connections of a relay.  Storage is the caller's. */
struct relay_ssh_tcp {
	struct loop *loop;	   /* borrowed */
	struct relay_links *links; /* borrowed */
	struct list live;	   /* struct conn */
	struct list dead;	   /* to be freed at the end of the turn */
	struct loop_task bury;	   /* posted while dead has members */
	struct relay_refusals refusals;
};

void relay_ssh_tcp_init(struct relay_ssh_tcp *t, struct loop *loop,
			struct relay_links *links);

/* Close all channels.  Streams are let go, and not touched otherwise. */
void relay_ssh_tcp_fini(struct relay_ssh_tcp *t);

/* What is left on this link breaks. */
void relay_ssh_tcp_forget(struct relay_ssh_tcp *t, const struct mux_link *link);

/* Callback of the session: open a channel, and answer when the server has. */
void relay_ssh_tcp_on_open(struct relay_ssh_tcp *t, struct stream *s,
			   const struct frame_open *open);

extern const struct stream_ops relay_ssh_tcp_stream_ops;

#endif
