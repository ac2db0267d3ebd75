/* SPDX-License-Identifier: MIT */
/* mux_internal: what the files of mux_link know of each other. */
#ifndef ECSSH_MUX_INTERNAL_H
#define ECSSH_MUX_INTERNAL_H

#include "governor.h"
#include "htab.h"
#include "list.h"
#include "mux_link.h"
#include "mux_msg.h"
#include "ring.h"
#include "sched.h"

enum {
	/* Data that may be in ssh at a time, as far as we can know. */
	MUX_QUEUE_MAX_BYTES = 8 << 20,
	/* While so many bytes wait for ssh on our side no data is added, and no
	 * more than this at a time; and the most of everything. */
	MUX_OUT_BUSY_BYTES = 16 << 10,
	MUX_OUT_DATA_BYTES = 256 << 10,
	MUX_OUT_MAX_BYTES = 32 << 20,
	/* Data that is not worth a system call of its own. */
	MUX_GATHER_BYTES = 4 << 10,
	/* Less room than that is not worth a callback. */
	MUX_ROOM_MIN_BYTES = 32 << 10,
	/* What a channel may send before the next has its turn. */
	MUX_TURN_BYTES = 64 << 10,
	MUX_PROBE_EVERY_BYTES = 512 << 10,
	/* With a governor: what is sent in this time, within limits. */
	MUX_PROBE_EVERY_US = 2000,
	MUX_PROBE_LEAST_BYTES = 6 << 10,
	MUX_PROBE_MOST_BYTES = 256 << 10,
	/* The rest of a transfer is not worth one if it is less than that. */
	MUX_PROBE_TAIL_BYTES = 2 << 10,
	MUX_PROBES_MAX = 256,
	/* The least window of a channel. */
	MUX_WINDOW_MIN_BYTES = 8 << 10,
	/* A server that has not answered one for so long does not. */
	MUX_PROBE_PATIENCE_US = 5000000,
};

enum mux_link_state {
	MUX_LINK_GREETING, /* our hello and request are sent */
	MUX_LINK_ENTERING, /* ssh's hello has come */
	MUX_LINK_READY,
	MUX_LINK_FAILED, /* to be told at the end of the turn */
	MUX_LINK_TOLD,
};

/* A request whose answer proves that what was written before it has passed. */
struct mux_probe {
	struct mux_channel *ch; /* borrowed; NULL: never answered */
	uint64_t mark;		/* mux_link.sent at that time */
};

struct mux_link {
	struct loop *loop;		/* borrowed */
	const struct mux_link_ops *ops; /* borrowed */
	void *ctx;
	enum mux_link_state state;
	struct err why; /* FAILED */
	struct loop_io io;
	uint8_t *in_buf; /* owned, IN_CAP bytes */
	size_t in_len;
	struct ring out; /* messages not taken by the kernel yet */
	struct loop_task turn_end;

	struct htab channels; /* by our number; owned */
	struct list gone;     /* channels to be freed; owned */
	uint32_t last_id;
	uint32_t n_channels; /* in the table */
	uint32_t n_failures;
	uint64_t committed; /* sum of rx_max */
	uint64_t rtt_us;    /* shortest time of an opening */

	/* Pacing; see doc/PROTOCOL.mux section 5. */
	struct sched waiting; /* channels that want room and have window */
	struct mux_channel *served; /* whose turn it is, or NULL */
	struct mux_channel *sender; /* borrowed; the last to send, or NULL */
	size_t turn_left;	    /* bytes it may still send */
	uint64_t sent;		    /* bytes of data written, since ever */
	uint64_t passed;	    /* of these, proved by probes */
	uint64_t probed;	    /* sent at the last probe */
	uint64_t unreturned;	    /* not granted again by any ADJUST */
	struct mux_probe probes[MUX_PROBES_MAX];
	uint32_t n_probes;
	bool is_governed;
	bool has_answer;	  /* to a probe, ever */
	struct governor up;	  /* of what was sent before the last probe */
	uint64_t up_start;	  /* sent when it began */
	uint64_t up_noted;	  /* of sent, known to it */
	mono_us_t heard_us;	  /* last message of the server's */
	struct timer probe_timer; /* armed while probes are out */

	/* What the server may send, while is_governed. */
	struct governor down; /* of bulk channels: granted, arrived */
	uint64_t down_total;  /* that have arrived */
	struct sched grants;  /* channels that are to be granted more */
	struct list bulks;    /* channels that use their windows up */
	struct timer bulk_timer;
};

/* Is over for its owner once is_gone or is_detached. */
struct mux_channel {
	struct htab_node node;
	struct mux_link *link;		   /* borrowed */
	const struct mux_channel_ops *ops; /* borrowed */
	void *owner;			   /* borrowed */
	enum mux_channel_kind kind;
	uint32_t id, remote_id;
	char *command; /* owned; MUX_EXEC: until it is sent */
	bool is_confirmed, is_open, is_detached, is_gone;
	bool eof_sent, close_sent, eof_seen, wants_room;
	struct sched_flow waiting; /* in link->waiting */
	struct list gone;	   /* in link->gone */

	uint32_t tx_window;  /* bytes we may still send */
	uint32_t chunk_max;  /* of data in one message */
	uint64_t unreturned; /* share of link->unreturned */

	uint32_t rx_asked;  /* what the owner wants at most */
	uint32_t rx_max;    /* window now; rx_window + held is not more */
	uint32_t rx_window; /* bytes the server may still send */
	uint32_t held;	    /* given to the owner and not consumed */
	uint32_t used;	    /* bytes that came since epoch_us */
	mono_us_t epoch_us; /* when that began; before: when it was opened */
	mono_us_t used_us;  /* when the last came */
	struct sched_flow granting; /* in link->grants */
	struct list bulk;	    /* in link->bulks */
	bool is_bulk;
};

/* ---- mux_link.c ---- */

/* The link is over; everybody is told at the end of the turn. */
__attribute__((format(printf, 2, 3))) void mux_link_fail(struct mux_link *l,
							 const char *fmt, ...);

/* Append to what is written at the end of the turn, if not before. */
void mux_link_put(struct mux_link *l, const void *bytes, size_t len);

/* The same for a message with data, with which all is written at once unless it
 * is short. */
void mux_link_put_data(struct mux_link *l, const void *head, size_t head_len,
		       const void *data, size_t len);

/* Have the end of the turn do its work. */
void mux_link_post(struct mux_link *l);

/* ---- mux_pace.c ---- */

void mux_pace_init(struct mux_link *l);
void mux_pace_fini(struct mux_link *l);

/* Is at least half of what may be in flight? */
bool mux_pace_is_busy(const struct governor *g);

/* Bytes of data that may be written now. */
size_t mux_link_room(const struct mux_link *l);

/* The most data in one message. */
size_t mux_link_frame_bytes(const struct mux_link *l);

/* Does anybody wait for room who was there before? */
bool mux_link_has_waiting(struct mux_link *l);

/* ch, which has window, is to be told of room. */
void mux_link_wait(struct mux_link *l, struct mux_channel *ch);

/* Let those who wait send, in turn; at the end of a turn of the loop. */
void mux_link_serve(struct mux_link *l);

/* Somebody waits for whom there was no room before the last write. */
bool mux_link_wants_socket(struct mux_link *l);

/* n bytes of data of ch have been written. */
void mux_link_count_sent(struct mux_link *l, struct mux_channel *ch, size_t n);

/* ch was granted n bytes, or is over: what was written has passed. */
void mux_link_count_returned(struct mux_link *l, struct mux_channel *ch,
			     uint64_t n);

/* ch has been answered a request; false if none was open. */
bool mux_link_count_answer(struct mux_link *l, const struct mux_channel *ch);

/* ch is over: it neither sends nor answers. */
void mux_link_forget_channel(struct mux_link *l, struct mux_channel *ch);

/* ---- mux_window.c ---- */

void mux_window_init(struct mux_link *l);
void mux_window_fini(struct mux_link *l);

/* The first window, for the OPEN. */
void mux_window_begin(struct mux_channel *ch);

/* So many bytes have come. */
void mux_window_use(struct mux_channel *ch, size_t len);

/* Grant what is free, or have it granted in turn. */
void mux_window_grant(struct mux_channel *ch);

/* Nothing is granted any more. */
void mux_window_stop(struct mux_channel *ch);

/* The channel is over. */
void mux_window_end(struct mux_channel *ch);

/* Grant in turn; at the end of a turn of the loop. */
void mux_window_serve(struct mux_link *l);

/* ---- mux_channel.c ---- */

/* A message for this channel. */
void mux_channel_receive(struct mux_channel *ch, const struct mux_msg *m);

/* It has room: tell its owner. */
void mux_channel_serve(struct mux_channel *ch);

/* Take it out of the table; freed at the end of the turn. */
void mux_channel_bury(struct mux_channel *ch);

void mux_channel_free(struct mux_channel *ch);

static inline struct mux_channel *mux_channel_of_node(struct htab_node *node)
{
	return container_of(node, struct mux_channel, node);
}

#endif
