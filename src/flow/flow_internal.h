/* SPDX-License-Identifier: MIT */
/* flow_internal: what the files of flow/ share. */
#ifndef ECSSH_FLOW_INTERNAL_H
#define ECSSH_FLOW_INTERNAL_H

#include <sodium.h>

#include "flowplane.h"
#include "htab.h"
#include "peer_set.h"
#include "pkt.h"
#include "reassembly.h"

/* What names a flow: for TCP both endpoints, otherwise only the near one and
 * zeros for the other. */
struct flow_key {
	struct endpoint near; /* the application's */
	struct endpoint far;  /* TCP only */
	uint8_t proto;	      /* enum pkt_proto */
};

/* The head that TCP endpoints and associations share. */
struct flow {
	struct htab_node node;
	struct flow_key key;
	struct flowplane *plane; /* borrowed */
	struct list link;	 /* tcp: output is due; dead: to be freed */
	bool is_dead;
};

struct flowplane {
	struct loop *loop; /* borrowed */
	const struct flowplane_ops *ops;
	void *ctx;
	uint32_t mtu_bytes;
	struct session *session; /* owned; NULL before attach and after down */
	struct ip_addr gateway4, gateway6;
	uint32_t capabilities; /* of the far end */
	struct htab flows;     /* struct flow by key */
	struct htab assocs;    /* struct assoc by id */
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
	uint64_t peer_seed;
	uint32_t next_assoc_id;
	uint16_t next_ip_id;
	struct list opening; /* TCP endpoints that hold a SYN, oldest first */
	struct list due;     /* TCP endpoints that have something to send */
	struct list dead;    /* flows to be freed at the end of the turn */
	struct loop_task flush;	       /* serves due, empties dead */
	struct reassembly *reassembly; /* owned */
	/* Token buckets: ICMP errors (RFC 1812 4.3.2.8), challenge ACKs
	 * (RFC 5961 section 7). */
	mono_us_t icmp_refilled_us, challenge_refilled_us;
	uint32_t icmp_tokens, challenge_tokens;
	struct flowplane_stats stats;
};

/* ---- flowplane.c ---- */

/* The flow with this key, or NULL. */
struct flow *flow_find(struct flowplane *p, const struct flow_key *key);

/* Enter a flow (key set) into the table.  Returns 0, -ENOMEM or -ENOSPC. */
int flow_add(struct flowplane *p, struct flow *f);

/* Take a flow out of the table; it is freed at the end of the turn. */
void flow_kill(struct flow *f);

/* Count a refusal.  Returns reason. */
enum drop_reason flow_drop(struct flowplane *p, enum drop_reason reason);

/* Write a packet to the TUN, counting failure. */
void flow_tun_write(struct flowplane *p, const struct iovec *iov, int n);

/* The flush is to run at the end of this turn. */
void flow_want_flush(struct flowplane *p);

/* False: too many of these were sent lately. */
bool flow_may_send_challenge(struct flowplane *p);

/*
 * Tell the application's host that a packet of its own failed: an ICMP error
 * quoting `quoted` (an IP packet, or as much as is left of it) from src to
 * quoted's sender.  src NULL or of version 0: from the gateway.
 */
void flow_icmp_error(struct flowplane *p, const struct icmp_error *error,
		     const struct ip_addr *src, const struct ip_addr *near,
		     const struct ip_addr *far, const uint8_t *quoted,
		     size_t quoted_len);

/* ---- tcp_input.c ---- */

enum drop_reason tcp_input_on_segment(struct flowplane *p,
				      const struct pkt *pkt);

/* ---- tcp_endpoint.c ---- */

void tcp_endpoint_flush(struct flow *f);
/* Session or plane ends: RST to the application; the flow is killed. */
void tcp_endpoint_abort(struct flow *f);
void tcp_endpoint_free(struct flow *f);

/* Callbacks of the session for streams of TCP endpoints. */
void tcp_endpoint_on_opened(struct stream *s);
void tcp_endpoint_on_refused(struct stream *s, const struct frame_refused *why);
void tcp_endpoint_on_readable(struct stream *s);
void tcp_endpoint_on_writable(struct stream *s);
void tcp_endpoint_on_reset(struct stream *s, enum frame_reason reason);
void tcp_endpoint_on_closed(struct stream *s);

/* ---- assoc.c: UDP and echo ---- */

enum drop_reason assoc_on_datagram(struct flowplane *p, const struct pkt *pkt);
void assoc_on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d);
void assoc_on_icmp_error(void *ctx, uint32_t id,
			 const struct frame_icmp_error *e);
void assoc_on_close(void *ctx, uint32_t id, enum frame_reason reason);
void assoc_abort(struct flow *f);
void assoc_free(struct flow *f);

#endif
