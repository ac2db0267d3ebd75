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
	BOND_ASK = 0x90,
	BOND_OFFER = 0x91,
	BOND_JOIN = 0x92,
	BOND_JOINED = 0x93,
};

enum {
	BOND_CHUNK_MAX = 160 << 10, /* of its body */
	BOND_TOKEN_LEN = 16,
	BOND_JOIN_LEN = FRAME_HEADER_LEN + BOND_TOKEN_LEN,
	BOND_PATH_MAX = 100,
	BOND_OFFER_MAX =
		FRAME_HEADER_LEN + BOND_TOKEN_LEN + 2 * (1 + BOND_PATH_MAX),
	BOND_NOISE_MAX = 4096, /* before JOINED */
	BOND_LINKS_MAX = 8,    /* besides link 0 */
};

struct bond_offer {
	uint8_t token[BOND_TOKEN_LEN];
	char path[BOND_PATH_MAX + 1];	/* of a socket */
	char helper[BOND_PATH_MAX + 1]; /* "": not told */
};

/* True for what an offer may name: absolute, of harmless letters, not too
 * long. */
bool bond_path_is_valid(const char *path);

/* Builders return the length of the whole frame; out has room for it. */
size_t bond_build_chunk(uint8_t out[FRAME_HEADER_LEN], uint32_t seq,
			size_t len);
size_t bond_build_ask(uint8_t out[FRAME_HEADER_LEN]);
/* type: BOND_JOIN or BOND_JOINED. */
size_t bond_build_join(uint8_t out[BOND_JOIN_LEN], enum bond_type type,
		       const uint8_t token[BOND_TOKEN_LEN]);
/* The paths in o are valid. */
size_t bond_build_offer(uint8_t out[BOND_OFFER_MAX],
			const struct bond_offer *o);

/* Returns 0, or -EBADMSG if it is not a chunk or too long. */
int bond_parse_chunk(const uint8_t in[FRAME_HEADER_LEN], uint32_t *ret_seq,
		     uint32_t *ret_len);

/* Returns 0 or -EBADMSG. */
int bond_parse_offer(const uint8_t *body, size_t len, struct bond_offer *ret);

#endif
