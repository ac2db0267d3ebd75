/* SPDX-License-Identifier: MIT */
/*
 * gso: super-packets cut into packets, and packets put together again, for
 * carriers that know nothing of offload.
 *
 * Nothing is allocated.  Both ends of the work agree: what gso_cut made of a
 * super-packet, gro makes into the same super-packet again.
 */
#ifndef ECSSH_GSO_H
#define ECSSH_GSO_H

#include "frame.h"
#include "pkt.h"

/* A packet being cut.  Borrows its bytes. */
struct gso_cut {
	struct frame_packet packet;
	struct pkt view;
	size_t step; /* payload of a segment */
	size_t at;   /* payload given out so far */
	uint16_t n;  /* segments given out so far */
};

/* Begin to cut a packet, of any kind.  Returns DROP_NONE, or what vnet_check
 * has against it. */
enum drop_reason gso_cut_init(struct gso_cut *c, const struct frame_packet *p);

/*
 * Write the next packet to out, which has room for PKT_IP6_MAX bytes: whole,
 * with its checksums and an identification of its own.  A packet that is none
 * of the super-packets is given out once.  Returns its length, or 0: that was
 * all.
 */
size_t gso_cut_next(struct gso_cut *c, uint8_t *out);

/*
 * Instead of that: write the next packet of at most max_bytes, but one segment
 * at least, to out: of more than one segment a smaller super-packet, of one an
 * ordinary packet; the checksum is partial in both.  Fills *ret, which borrows
 * out.  Returns false: that was all.  Not for an ordinary packet.
 */
bool gso_split_next(struct gso_cut *c, size_t max_bytes, uint8_t *out,
		    struct frame_packet *ret);

/* The length of the longest packet that gso_cut_next will write. */
size_t gso_cut_longest(const struct gso_cut *c);

/* Segments of one TCP connection that follow each other, put together. */
struct gro {
	size_t len;	    /* of the packet; 0: none */
	size_t headers_len; /* IP and TCP */
	size_t l4_at;
	uint32_t next_seq;
	uint16_t step; /* payload of each but the last */
	uint16_t n;    /* segments */
	uint16_t next_id;
	bool is_closed; /* nothing may follow */
	uint8_t ip[PKT_IP_MAX];
};

void gro_init(struct gro *g);

/*
 * Take a copy of a whole IP packet.  Returns false if it does not go with what
 * is there already (then gro_take makes room), or with anything: only TCP
 * segments with payload and right checksums are taken.
 */
bool gro_push(struct gro *g, const uint8_t *ip, size_t len);

/*
 * Take out what is there: a super-packet whose checksum is partial, or the one
 * packet just as it came.  *ret borrows g until the next push.  Returns false
 * if there is nothing.
 */
bool gro_take(struct gro *g, struct frame_packet *ret);

#endif
