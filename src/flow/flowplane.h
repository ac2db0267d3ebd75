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
	FLOWPLANE_TRACKS_MAX = 16384, /* of the packet plane */
};

/* Ids of associations from here on are not the plane's: what comes for them
 * goes to its owner.  So does RESOLVED, whatever its id. */
#define FLOWPLANE_FOREIGN_ID UINT32_C(0x80000000)

/* What is carried as whole packets. */
enum flowplane_plane {
	FLOWPLANE_PLANE_AUTO,	/* what the flow plane cannot carry */
	FLOWPLANE_PLANE_FLOW,	/* nothing */
	FLOWPLANE_PLANE_PACKET, /* everything */
};

/* What the packet plane lets in from the far side. */
struct flowplane_network {
	struct ip_addr near4, near6; /* of this end; version 0: none */
	/* Behind this end; borrowed for the call. */
	const struct subnet *announced;
	size_t n_announced;
	/* The subnets that were asked for: where packets may come from;
	 * borrowed for the call. */
	const struct subnet *asked;
	size_t n_asked;
	bool allow_inbound; /* who is there may begin */
};

struct flowplane_ops {
	/* Give one packet, virtio header first, to the TUN.  Returns 0 or
	 * -errno; the packet is gone either way. */
	int (*tun_write)(void *ctx, const struct iovec *iov, int n);
	/* The session is greeted and can carry traffic. */
	void (*on_up)(void *ctx, const struct frame_hello *peer);
	/* The session is over; the plane refuses everything from now on. */
	void (*on_down)(void *ctx, const struct err *why);
	/* The packet plane has come up, will not, or is lost.  May be NULL, as
	 * all below. */
	void (*on_network_state)(void *ctx,
				 const struct frame_network_state *state);
	/* Which networks the far host has routes for. */
	void (*on_routes)(void *ctx, const struct frame_routes *routes);
	/* See struct session_ops; of those below only ids from
	 * FLOWPLANE_FOREIGN_ID on. */
	void (*on_resolved)(void *ctx, uint32_t id, enum frame_reason status,
			    const uint8_t *answer, size_t len);
	void (*on_dgram)(void *ctx, uint32_t id, const struct frame_dgram *d);
	void (*on_icmp_error)(void *ctx, uint32_t id,
			      const struct frame_icmp_error *e);
	void (*on_assoc_close)(void *ctx, uint32_t id,
			       enum frame_reason reason);
};

/*
 * A service of this engine at addresses in the TUN that no host has: UDP and
 * TCP to the one port there.  All else is refused as a host would, and pings
 * are answered.  It is there for the addresses of this end alone.
 */
struct flowplane_local {
	struct ip_addr addr4, addr6; /* version 0: none */
	struct ip_addr near4, near6; /* of this end */
	uint16_t port;
	/* Answer now or later with flowplane_send_local. */
	void (*on_datagram)(void *ctx, const struct ip_addr *local,
			    const struct endpoint *from, const uint8_t *payload,
			    size_t len);
	void *ctx; /* borrowed */
};

struct flowplane_stats {
	uint64_t tun_rx_packets, tun_tx_packets;
	uint64_t tun_rx_bytes, tun_tx_bytes;
	uint64_t drops[DROP__N];
	uint32_t tcp_flows, udp_flows, echo_flows; /* now */
	uint64_t tcp_opened, tcp_refused;	   /* ever */
	/* Carried whole; a super-packet is one. */
	uint64_t plane_up_packets, plane_down_packets;
	uint64_t plane_up_bytes, plane_down_bytes;
	uint32_t tracks; /* of the packet plane, now */
};

struct flowplane;

/* Returns NULL if memory runs out.  mtu_bytes: of the TUN. */
struct flowplane *flowplane_new(struct loop *loop, uint32_t mtu_bytes,
				const struct flowplane_ops *ops, void *ctx);

/* Frees the flows and the session.  Applications get a RST where they had a
 * connection, unless the TUN refuses it.  Accepts NULL; returns NULL. */
struct flowplane *flowplane_free(struct flowplane *p);

/* Start the session over a carrier, owned from now on.  resolver: to be asked
 * there for names instead of the usual ones, or NULL.  Returns 0 or -ENOMEM.
 */
int flowplane_attach(struct flowplane *p, struct carrier *carrier,
		     const struct ip_addr *resolver);

/* The session, or NULL before attach. */
struct session *flowplane_session(struct flowplane *p);

/* Handle what the TUN delivered: virtio header and packet, which may be changed
 * in place.  Returns what became of it, already counted. */
enum drop_reason flowplane_on_packet(struct flowplane *p, uint8_t *buf,
				     size_t len);

/*
 * Copies local.  Once.  streams: a carrier (owned from now on) to a session of
 * the far kind, where each connection is a stream.  Returns 0 or -ENOMEM.
 */
int flowplane_set_local(struct flowplane *p,
			const struct flowplane_local *local,
			struct carrier *streams);

/* Send a datagram from one of its addresses; len: see pkt_build_udp. */
void flowplane_send_local(struct flowplane *p, const struct ip_addr *local,
			  const struct endpoint *to, const uint8_t *payload,
			  size_t len);

/* True if anybody here talks to this far address, or did lately.  Looks at all
 * flows. */
bool flowplane_is_in_use(struct flowplane *p, const struct ip_addr *far);

/* At any time; AUTO at first. */
void flowplane_set_plane(struct flowplane *p, enum flowplane_plane plane);

/* Copies n.  To be called before flowplane_request_network; without it nothing
 * is let in.  Returns 0 or -ENOMEM. */
int flowplane_set_network(struct flowplane *p,
			  const struct flowplane_network *n);

/* Ask the far end for its packet plane; once, after on_up, and only if it has
 * FRAME_CAP_NETWORK.  on_network_state tells how that went. */
void flowplane_request_network(struct flowplane *p,
			       const struct frame_network *n);

/* What the far end has told last, or NULL: nothing yet. */
const struct frame_network_state *flowplane_network_state(
	const struct flowplane *p);

const struct flowplane_stats *flowplane_stats(const struct flowplane *p);

#endif
