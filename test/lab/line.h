/* SPDX-License-Identifier: MIT */
/*
 * line: one direction of an emulated link, on the caller's clock.
 *
 *    push -> queue (drop-tail) -> wire (rate) -> loss -> delay -> pop
 *
 * Each packet occupies the wire for exactly its bits / rate, from the later of
 * its arrival and the end of the one before, whenever the caller comes to look:
 * a caller that is late makes packets late, but not the line slow.
 */
#ifndef LAB_LINE_H
#define LAB_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PACKET_BYTES_MAX = 2016, /* enough for an MTU of 2000 */
	POOL_PACKETS = 1 << 18,
};

#define LINE_NEVER INT64_MAX

struct packet {
	struct packet *next; /* borrowed: the list it is in */
	int64_t due_ns;	     /* when it is to leave the line */
	uint16_t len_bytes;
	bool has_twin; /* is to be delivered twice */
	unsigned char bytes[PACKET_BYTES_MAX];
};

/* Room for packets, claimed at once and touched when first used. */
struct pool {
	struct packet *packets; /* owned */
	struct packet *unused;	/* a list */
	size_t n_fresh;		/* of packets, never used from here on */
};

struct packet_list {
	struct packet *head, *tail;
};

struct line_conf {
	double rate_mbit; /* 0: without end */
	double delay_ms;
	double jitter_ms; /* more or less than delay_ms; order is kept */
	double queue_ms;  /* what fits into the queue, at rate_mbit */
	double loss_percent;
	double burst; /* mean losses in a row; 1: independent losses */
	double reorder_percent; /* overtake by not waiting delay_ms */
	double duplicate_percent;
};

struct line_stats {
	uint64_t packets, bytes; /* that came in */
	uint64_t delivered, delivered_bytes;
	uint64_t dropped; /* queue full */
	uint64_t lost, reordered, duplicated;
	uint64_t no_room; /* pool empty, or packet too long: our failure */
	double queue_ms_max;
};

struct line {
	struct line_conf conf;
	struct line_stats stats;
	struct pool *pool;	    /* borrowed, for life */
	struct packet_list queue;   /* the head is on the wire */
	struct packet_list delayed; /* by due_ns */
	struct packet_list hasty;   /* by due_ns; those that overtake */
	size_t queue_bytes;
	double head_bits;     /* of queue.head, not sent yet */
	int64_t head_from_ns; /* when that was true */
	int64_t last_due_ns;
	uint64_t random;
	bool is_blocked, is_losing;
};

/* Returns 0 or -ENOMEM. */
int pool_init(struct pool *pool);
void pool_fini(struct pool *pool);

/* NULL if none is left. */
struct packet *pool_get(struct pool *pool);
void pool_put(struct pool *pool, struct packet *p);

/* The pool must live longer.  Equal seeds and packets meet equal luck. */
void line_init(struct line *l, struct pool *pool, const struct line_conf *conf,
	       uint64_t seed);

/* From now on; packets that are past the wire keep their time. */
void line_set_conf(struct line *l, const struct line_conf *conf,
		   int64_t now_ns);

/* While blocked nothing passes the wire; the queue fills. */
void line_set_blocked(struct line *l, bool is_blocked, int64_t now_ns);

/* Take a packet of the pool, now owned by the line. */
void line_push(struct line *l, struct packet *p, int64_t now_ns);

/* A packet that is due (now the caller's, for pool_put), or NULL. */
struct packet *line_pop(struct line *l, int64_t now_ns);

/* When to call line_pop if nothing is pushed before; LINE_NEVER. */
int64_t line_next_ns(const struct line *l);

/* How long the last in the queue waits for the end of its sending. */
double line_queue_ms(struct line *l, int64_t now_ns);

#endif
