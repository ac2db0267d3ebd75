/* SPDX-License-Identifier: MIT */
/*
 * bond_msg: the frames by which links come to carry one frame stream.
 *
 * Spec: doc/PROTOCOL.bond
 */
#ifndef ECSSH_BOND_MSG_H
#define ECSSH_BOND_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

/* Values of frame_header.type, beside those of enum frame_type. */
enum bond_type {
	BOND_CHUNK = 0x50,
	BOND_FREE = 0x51,
	BOND_ASK = 0x90,
	BOND_OFFER = 0x91,
	BOND_JOIN = 0x92,
	BOND_JOINED = 0x93,
	BOND_GOT = 0x94,
	BOND_GONE = 0x95,
};

enum {
	BOND_CHUNK_MAX = 160 << 10, /* of its body */
	BOND_TOKEN_LEN = 16,
	BOND_JOIN_LEN = FRAME_HEADER_LEN + BOND_TOKEN_LEN,
	BOND_PATH_MAX = 100,
	BOND_OFFER_MAX =
		FRAME_HEADER_LEN + BOND_TOKEN_LEN + 2 * (1 + BOND_PATH_MAX) + 1,
	BOND_GOT_BODY_LEN = 12,
	BOND_GOT_EVERY = 32 << 10, /* bytes that came */
	BOND_GOT_LEN = FRAME_HEADER_LEN + BOND_GOT_BODY_LEN,
	/* Of chunks on numbered links: so much is not acknowledged at a
	 * sender, and waits for its turn at a receiver. */
	BOND_KEPT_MAX_BYTES = 8 << 20,
	BOND_KEPT_MAX = 2048,
	BOND_STASH_MAX_BYTES = 2 * BOND_KEPT_MAX_BYTES,
	BOND_STASH_MAX = 2 * BOND_KEPT_MAX, /* so far ahead of the next */
	BOND_NOISE_MAX = 4096,		    /* before JOINED */
	/* In ASK and OFFER: links with numbers, and FREE. */
	BOND_NUMBERS = 2,
	BOND_LINKS_MAX = 8, /* besides link 0 */
};

struct bond_offer {
	uint8_t token[BOND_TOKEN_LEN];
	char path[BOND_PATH_MAX + 1];	/* of a socket */
	char helper[BOND_PATH_MAX + 1]; /* "": not told */
	bool has_numbers;		/* links may have them */
};

/* What has come on a numbered link. */
struct bond_got {
	uint32_t number; /* of the link */
	uint32_t next;	 /* the chunk that the frame stream goes on with */
	uint64_t bytes;	 /* of chunks, with their headers */
};

/* True for what an offer may name: absolute, of harmless letters, not too
 * long. */
bool bond_path_is_valid(const char *path);

/* Builders return the length of the whole frame; out has room for it. */
/* type: BOND_CHUNK or BOND_FREE. */
size_t bond_build_chunk(uint8_t out[FRAME_HEADER_LEN], enum bond_type type,
			uint32_t seq, size_t len);
size_t bond_build_ask(uint8_t out[FRAME_HEADER_LEN], bool wants_numbers);
/* type: BOND_JOIN or BOND_JOINED; number 0: the link has none. */
size_t bond_build_join(uint8_t out[BOND_JOIN_LEN], enum bond_type type,
		       uint32_t number, const uint8_t token[BOND_TOKEN_LEN]);
size_t bond_build_got(uint8_t out[BOND_GOT_LEN], const struct bond_got *got);
size_t bond_build_gone(uint8_t out[FRAME_HEADER_LEN], uint32_t number);
/* The paths in o are valid. */
size_t bond_build_offer(uint8_t out[BOND_OFFER_MAX],
			const struct bond_offer *o);

/* True for a header of CHUNK or FREE. */
bool bond_is_chunk(const uint8_t header[FRAME_HEADER_LEN]);

/* Returns 0, or -EBADMSG if it is neither CHUNK nor FREE or too long. */
int bond_parse_chunk(const uint8_t in[FRAME_HEADER_LEN], uint32_t *ret_seq,
		     uint32_t *ret_len);

/* The number that a JOIN or JOINED names. */
uint32_t bond_join_number(const uint8_t in[BOND_JOIN_LEN]);

/* Returns 0, or -EBADMSG if the length is wrong. */
int bond_parse_got(const struct frame_header *h, const uint8_t *body,
		   struct bond_got *ret);

/* Returns 0 or -EBADMSG. */
int bond_parse_offer(const uint8_t *body, size_t len, struct bond_offer *ret);

#endif
