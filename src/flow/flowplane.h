/* SPDX-License-Identifier: MIT */
/*
 * flowplane: packets of the TUN <-> streams and datagrams of the session.
 *
 * The near half of the flow plane: it ends the applications' TCP here and
 * carries bytes, so TCP never runs inside TCP.  It has no descriptor and takes
 * its time from the loop, so tests run it on a virtual clock.
 */
#ifndef ECSSH_FLOWPLANE_H
#define ECSSH_FLOWPLANE_H

#include <stdint.h>
#include <sys/uio.h>

#include "drop.h"
#include "loop.h"
#include "session.h"

enum {
	FLOWPLANE_FLOWS_MAX = 40000, /* of all kinds, TIME-WAIT included */
	FLOWPLANE_MSS_MIN_BYTES = 88,
};

struct flowplane_ops {
	/* Give one packet, virtio header first, to the TUN.  Returns 0 or
	 * -errno; the packet is gone either way. */
	int (*tun_write)(void *ctx, const struct iovec *iov, int n);
	/* The session is greeted and can carry traffic. */
	void (*on_up)(void *ctx, const struct frame_hello *peer);
	/* The session is over; the plane refuses everything from now on. */
	void (*on_down)(void *ctx, const struct err *why);
};

struct flowplane_stats {
	uint64_t tun_rx_packets, tun_tx_packets;
	uint64_t tun_rx_bytes, tun_tx_bytes;
	uint64_t drops[DROP__N];
	uint32_t tcp_flows, udp_flows, echo_flows; /* now */
	uint64_t tcp_opened, tcp_refused;	   /* ever */
};

struct flowplane;

/* Returns NULL if memory runs out.  mtu_bytes: of the TUN. */
struct flowplane *flowplane_new(struct loop *loop, uint32_t mtu_bytes,
				const struct flowplane_ops *ops, void *ctx);

/* Frees the flows and the session.  Applications get a RST where they had a
 * connection, unless the TUN refuses it.  Accepts NULL; returns NULL. */
struct flowplane *flowplane_free(struct flowplane *p);

/* Start the session over a carrier, owned from now on.  Returns 0 or -ENOMEM.
 */
int flowplane_attach(struct flowplane *p, struct carrier *carrier);

/* The session, or NULL before attach. */
struct session *flowplane_session(struct flowplane *p);

/* Handle what the TUN delivered: virtio header and packet.  Returns what became
 * of it, already counted. */
enum drop_reason flowplane_on_packet(struct flowplane *p, const uint8_t *buf,
				     size_t len);

const struct flowplane_stats *flowplane_stats(const struct flowplane *p);

#endif
