/* SPDX-License-Identifier: MIT */
/* flow_internal: what the files of flow/ share. */
#ifndef ECSSH_FLOW_INTERNAL_H
#define ECSSH_FLOW_INTERNAL_H

#include <sodium.h>

#include "flowplane.h"
#include "htab.h"
#include "packet_queues.h"
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

/* Whole packets: packet_plane.c; who may send them here: packet_track.c. */
struct packet_plane {
	enum flowplane_plane mode;
	bool is_asked;			  /* NETWORK was sent */
	bool is_up;			  /* packets are carried */
	uint32_t far_mtu_bytes;		  /* while up */
	struct frame_network_state state; /* status 0: nothing told yet */
	struct flowplane_network network; /* subnets owned */
	struct packet_queues queues;
	struct htab tracks;	    /* struct packet_track by key */
	struct list tracks_by_age;  /* the one unused for longest first */
	uint32_t n_inbound;	    /* tracks that the far side has begun */
	uint8_t whole[PKT_IP6_MAX]; /* a reassembled packet, to be changed */
};

/* A service of this engine: local.c. */
struct flow_local {
	struct flowplane_local config; /* no addresses: there is none */
	struct session *session;       /* owned; of its streams */
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
	struct packet_plane packets;
	struct flow_local local;
};

/* ---- flowplane.c ---- */

/* SipHash of a key. */
uint64_t flow_hash(const struct flowplane *p, const struct flow_key *key);

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

/* True if streams or associations carry the packet's protocol at all; of UDP
 * at least that to port 53. */
bool flow_is_served(const struct flowplane *p, const struct pkt *pkt);

/* ICMP of the packet's own version; and of that, an echo request. */
bool flow_is_icmp(const struct pkt *pkt);
bool flow_is_icmp_echo(const struct pkt *pkt);

/* Answer a packet with an ICMP error from the gateway, if it may have one, and
 * count it.  Returns reason. */
enum drop_reason flow_reject(struct flowplane *p, const struct pkt *pkt,
			     enum icmp_meaning meaning, uint32_t info,
			     enum drop_reason reason);

/* ---- local.c ---- */

/* True for the addresses of this engine's own service. */
bool flow_local_owns(const struct flowplane *p, const struct ip_addr *a);

/* What the TUN delivered for one of these, whole. */
enum drop_reason flow_local_on_packet(struct flowplane *p,
				      const struct pkt *pkt);

/* The session that streams to this address are of; may be NULL. */
struct session *flow_local_session_of(const struct flowplane *p,
				      const struct ip_addr *far);

/* Once there are no flows any more. */
void flow_local_fini(struct flowplane *p);

/* ---- packet_plane.c ---- */

void packet_plane_init(struct flowplane *p);
/* While the session is still there. */
void packet_plane_fini(struct flowplane *p);

/* True if this packet of the TUN's is to be carried whole. */
bool packet_plane_takes(struct flowplane *p, const struct pkt *pkt);

/* Carry what the TUN delivered. */
enum drop_reason packet_plane_on_tun(struct flowplane *p, uint8_t *buf,
				     size_t len);

/* Carry a packet that was put together from fragments. */
enum drop_reason packet_plane_on_whole(struct flowplane *p,
				       const struct pkt *whole);

/* Callbacks of the session. */
void packet_plane_on_packet(void *ctx, const struct frame_packet *packet);
void packet_plane_on_state(void *ctx, const struct frame_network_state *state);

/* ---- packet_track.c: who has sent to whom ---- */

enum packet_track_way {
	PACKET_TRACK_UP,
	PACKET_TRACK_DOWN,
};

/* What pkt, travelling that way, belongs to: by ports, by the identifier of an
 * echo, else by the addresses and the protocol alone. */
void packet_track_key(const struct pkt *pkt, enum packet_track_way way,
		      struct flow_key *ret);

/* The same of the packet that an ICMP error travelling that way is about.
 * Returns false if pkt is no such error. */
bool packet_track_key_quoted(const struct pkt *pkt, enum packet_track_way way,
			     struct flow_key *ret);

/* Somebody has sent packets of this key lately. */
bool packet_track_has(struct flowplane *p, const struct flow_key *key);

/* The same of a key that an ICMP error quotes: it may have the ports of a first
 * fragment, or of a packet put together from fragments. */
bool packet_track_has_quoted(struct flowplane *p, const struct flow_key *key);

/* Somebody has sent packets of this key lately, and the far side began. */
bool packet_track_is_inbound(struct flowplane *p, const struct flow_key *key);

/* A packet of this key passes; one without a track begins it. */
void packet_track_note(struct flowplane *p, const struct flow_key *key,
		       enum packet_track_way way, const struct pkt *pkt);

/* Somebody has exchanged packets with this far address lately. */
bool packet_track_has_far(const struct flowplane *p, const struct ip_addr *far);

void packet_track_clear(struct flowplane *p);

/* ---- tcp_input.c ---- */

enum drop_reason tcp_input_on_segment(struct flowplane *p,
				      const struct pkt *pkt);
/* The same where nothing listens. */
enum drop_reason tcp_input_refuse(struct flowplane *p, const struct pkt *pkt);

/* ---- tcp_endpoint.c ---- */

void tcp_endpoint_flush(struct flow *f);
/* Session or plane ends: RST to the application; the flow is killed. */
void tcp_endpoint_abort(struct flow *f);
void tcp_endpoint_free(struct flow *f);

/* What a session tells of streams of TCP endpoints. */
extern const struct stream_ops tcp_endpoint_stream_ops;

/* ---- assoc.c: UDP and echo ---- */

enum drop_reason assoc_on_datagram(struct flowplane *p, const struct pkt *pkt);
void assoc_on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d);
void assoc_on_icmp_error(void *ctx, uint32_t id,
			 const struct frame_icmp_error *e);
void assoc_on_close(void *ctx, uint32_t id, enum frame_reason reason);
/* It has sent to this address, and may be answered. */
bool assoc_has_peer(struct flow *f, const struct ip_addr *far);
void assoc_abort(struct flow *f);
void assoc_free(struct flow *f);

#endif
