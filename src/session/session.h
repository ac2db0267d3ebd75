/* SPDX-License-Identifier: MIT */
/*
 * session: streams and datagrams between the two engines, over a carrier.
 *
 * Spec: doc/PROTOCOL.session
 */
#ifndef ECSSH_SESSION_H
#define ECSSH_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "carrier.h"
#include "codel.h"
#include "drop.h"
#include "frame.h"
#include "governor.h"
#include "loop.h"
#include "stream.h"

enum {
	/* Bytes of all streams' windows together, in each direction, that an
	 * engine is ready to hold. */
	SESSION_BUDGET_BYTES = 128 << 20,
	SESSION_WINDOW_MIN_BYTES = 16 << 10,
	SESSION_WINDOW_FIRST_BYTES = 256 << 10, /* at most, for a new stream */
	SESSION_WINDOW_USUAL_BYTES = 1 << 20,
	/* A long line needs more: what 1.28 Gbit/s take for a round trip. */
	SESSION_WINDOW_BYTES_PER_MS = 160000,
	SESSION_WINDOW_MAX_BYTES = 16 << 20,
	/* Bytes that a stream may hold ready beyond what is in flight: so many
	 * as are sent in this time, within limits. */
	SESSION_UNSENT_US = 20000,
	SESSION_UNSENT_MIN_BYTES = 64 << 10,
	SESSION_UNSENT_MAX_BYTES = 1 << 20,
	/* Memory that all streams may hold, whatever was promised. */
	SESSION_STORED_MAX_BYTES = 512 << 20,
	SESSION_STREAMS_MAX = 32768,
	/* Datagrams of one association that may wait for the carrier. */
	SESSION_DGRAM_QUEUE_BYTES = 256 << 10,
	SESSION_DGRAM_QUEUE_MAX = 512,
	/* Those of all associations, and how long one may wait. */
	SESSION_DGRAM_TOTAL_BYTES = 16 << 20,
	SESSION_DGRAM_AGE_US = 1000000,
	/* Small frames that wait for the carrier: from here on those that may
	 * be lost are, and here the session gives up. */
	SESSION_HINTS_BYTES = 64 << 10,
	SESSION_CONTROL_MAX_BYTES = 64 << 20,
	SESSION_ACK_DELAY_US = 25000,
	/* The peer is told what arrived after this time, or so many bytes. */
	SESSION_RECEIVED_US = 2000,
	SESSION_RECEIVED_BYTES = 256 << 10,
	SESSION_DROPS_DELAY_US = 1000000,
	SESSION_FIRST_PING_US = 200000,
	SESSION_PING_US = 15000000,
	SESSION_SILENCE_US = 45000000,
};

enum session_role {
	SESSION_NEAR,
	SESSION_FAR,
};

/*
 * What a stream tells its owner, who may be changed by any of them; frames for
 * a stream whose owner is NULL are still handled.
 */
struct stream_ops {
	/* near: the far connection is established. */
	void (*on_opened)(struct stream *s);
	/* near: it is not; the stream is dead. */
	void (*on_refused)(struct stream *s, const struct frame_refused *why);
	/*
	 * Bytes arrived and nothing older waits: take some of them directly.
	 * Returns how many; the rest is kept in rx and on_readable follows. May
	 * be NULL.
	 */
	size_t (*on_data)(struct stream *s, const uint8_t *bytes, size_t len);
	/* rx or rx_fin has grown. */
	void (*on_readable)(struct stream *s);
	/* tx room has grown, or tx_fin_acked was set. */
	void (*on_writable)(struct stream *s);
	/* The peer aborted; the stream is dead. */
	void (*on_reset)(struct stream *s, enum frame_reason reason);
	/* Both directions are finished and acknowledged; the stream is dead. */
	void (*on_closed)(struct stream *s);
};

/* What a session tells its engine.  Those that only one of the two ends is
 * told may be NULL at the other. */
struct session_ops {
	/* The peer's greeting is accepted: the session can be used. */
	void (*on_up)(void *ctx, const struct frame_hello *peer);
	/* far: answer with session_accept or session_refuse, now or later. */
	void (*on_open)(void *ctx, struct stream *s,
			const struct frame_open *open);
	/* Streams begin with these; who owns one may set its own. */
	const struct stream_ops *stream;
	void (*on_dgram)(void *ctx, uint32_t id, const struct frame_dgram *d);
	void (*on_icmp_error)(void *ctx, uint32_t id,
			      const struct frame_icmp_error *e);
	void (*on_assoc_close)(void *ctx, uint32_t id,
			       enum frame_reason reason);
	void (*on_resolve)(void *ctx, uint32_t id, const uint8_t *query,
			   size_t len);
	void (*on_resolved)(void *ctx, uint32_t id, enum frame_reason status,
			    const uint8_t *answer, size_t len);
	/* A whole IP packet; NULL: packets are not for this end. */
	void (*on_packet)(void *ctx, const struct frame_packet *p);
	/* far: set up the packet plane; answer with
	 * session_send_network_state, now or later, as often as it changes. */
	void (*on_network)(void *ctx, const struct frame_network *n);
	/* near: how it is now. */
	void (*on_network_state)(void *ctx,
				 const struct frame_network_state *state);
	/* far: answer with session_send_routes. */
	void (*on_routes_ask)(void *ctx);
	/* near: which networks the far host has routes for. */
	void (*on_routes)(void *ctx, const struct frame_routes *routes);
	/* The session is over, once; everything in it is to be let go. */
	void (*on_down)(void *ctx, const struct err *why);
};

/* What several queues may hold together.  Beyond it each may hold one. */
struct dgram_budget {
	size_t bytes, max_bytes;
};

/* The datagrams of one association that wait for the carrier. */
struct dgram_queue {
	struct session *session; /* borrowed; NULL until something is queued */
	struct sched_flow flow;
	struct list dgrams;
	struct codel codel;
	struct dgram_budget
		*budget; /* borrowed; NULL unless set by the owner */
	size_t bytes;
	size_t max_bytes; /* that may wait; SESSION_DGRAM_QUEUE_BYTES unless
			     the owner sets another */
	unsigned n;
	uint32_t id;
};

struct session_stats {
	uint64_t tx_bytes, rx_bytes; /* payload of streams and datagrams */
	uint64_t tx_frames, rx_frames;
	uint64_t tx_marks; /* of tx_frames: with CE instead of a drop */
	uint64_t drops[DROP__N];
	uint64_t far_drops[DROP__N]; /* near: as the far end told last */
	uint32_t streams;	     /* now */
	uint32_t round_trip_us;	     /* of the last PING; 0: none yet */
	uint32_t round_trip_min_us;  /* of all PINGs, likewise */
};

struct session;

/*
 * Begin a session over a carrier, which it owns from now on.  ops and hello are
 * copied where needed; the versions in hello are filled in here.  Sends
 * HELLO (far: at once, near: after the helper's).  Returns NULL if memory runs
 * out (the carrier is freed).
 */
struct session *session_new(struct loop *loop, enum session_role role,
			    struct carrier *carrier,
			    const struct session_ops *ops, void *ctx,
			    const struct frame_hello *hello);

/* Accepts NULL; returns NULL.  Streams and queues must have been let go by
 * their owners (their owner pointers are not touched). */
struct session *session_free(struct session *s);

/* Tell the peer that this is the end, try to send what is queued, stop. */
void session_bye(struct session *s, enum frame_bye reason, const char *text);

bool session_is_up(const struct session *s);

/* How it ended, for on_down. */
enum session_end {
	SESSION_END_CARRIER, /* the carrier broke: who made it may know more */
	SESSION_END_SILENCE, /* nothing was heard for SESSION_SILENCE_US */
	SESSION_END_SAID,    /* BYE, or a broken protocol: no more to know */
};

enum session_end session_end(const struct session *s);

const struct session_stats *session_stats(const struct session *s);

/* What the governor knows of the line up (near) or down (far); all zero over a
 * local carrier. */
struct governor_view session_line(const struct session *s);

/* The most that one frame should hold, so that it does not keep others
 * waiting; FRAME_BODY_MAX while the line's rate is not known. */
size_t session_frame_bytes(const struct session *s);

/* Bytes that the line takes in a second; 0: not known. */
uint64_t session_rate(const struct session *s);

/* Have the task posted when something is sent next, once; there may be several.
 * Borrowed until then, or until loop_unpost. */
void session_when_sending(struct session *s, struct loop_task *task);

/* Send a PING now, for a fresh round trip in the statistics. */
void session_ping(struct session *s);

/* Count a frame or datagram refused by the engine. */
void session_count_drop(struct session *s, enum drop_reason reason);

/* near: ask for a connection.  Returns the stream (state opening), or NULL:
 * limit reached or no memory.  open->window_bytes is filled in here. */
struct stream *session_open(struct session *s, void *owner,
			    const struct frame_open *open);

/* far: answer on_open. */
void session_accept(struct stream *s);
void session_refuse(struct stream *s, const struct frame_refused *why);

/* Abort both directions; the stream is dead and no callback follows. */
void stream_reset(struct stream *s, enum frame_reason reason);

/* The owner is gone and wants no more callbacks, the stream goes on to its end.
 */
static inline void stream_disown(struct stream *s)
{
	s->owner = NULL;
}

void dgram_queue_init(struct dgram_queue *q, uint32_t id);
/* Free what is queued.  If that is anything the session must still be there. */
void dgram_queue_fini(struct dgram_queue *q);

/* Queue a copy of a datagram.  It may still be dropped, or its traffic class
 * marked with CE, if it waits for long.  Returns DROP_NONE, DROP_QUEUE_FULL,
 * DROP_NO_MEMORY or DROP_NO_SESSION. */
enum drop_reason session_send_dgram(struct session *s, struct dgram_queue *q,
				    const struct frame_dgram *d);

/* The same for a packet of the packet plane, one that has been checked
 * (vnet_check); q's id goes unused. */
enum drop_reason session_send_packet(struct session *s, struct dgram_queue *q,
				     const struct frame_packet *p);

/* near: ask the far end to set up its packet plane. */
void session_send_network(struct session *s, const struct frame_network *n);

/* far: tell how that went, or that it has changed. */
void session_send_network_state(struct session *s,
				const struct frame_network_state *state);

/* near: ask which networks the far host has routes for; only one that has
 * FRAME_CAP_ROUTES.  far: tell. */
void session_send_routes_ask(struct session *s);
void session_send_routes(struct session *s, const struct frame_routes *routes);

/* Send one of the small frames.  ICMP errors and resolver messages are dropped
 * and counted while SESSION_HINTS_BYTES wait. */
void session_send_icmp_error(struct session *s, uint32_t id,
			     const struct frame_icmp_error *e);
void session_send_assoc_close(struct session *s, uint32_t id,
			      enum frame_reason reason);
void session_send_resolve(struct session *s, uint32_t id, const uint8_t *query,
			  size_t len);
void session_send_resolved(struct session *s, uint32_t id,
			   enum frame_reason status, const uint8_t *answer,
			   size_t len);

#endif
