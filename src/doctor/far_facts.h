/* SPDX-License-Identifier: MIT */
/*
 * far_facts: what the far script says of the gateway.
 *
 * Pure: bytes in, facts out, constant memory.  What is not one of our lines is
 * noise.  Spec: doc/PROTOCOL.doctor.
 */
#ifndef ECSSH_FAR_FACTS_H
#define ECSSH_FAR_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot.h"

enum {
	FAR_FACTS_TEXT_MAX = 160,
	FAR_FACTS_LISTED_MAX = 4,
	FAR_FACTS_GIDS_MAX = 64,
	FAR_FACTS_BYTES_MAX = 1 << 20, /* noise included */
};

/* Text is escaped; "" and 0: not told. */
struct far_facts {
	bool is_answered; /* the script runs */
	bool is_done;	  /* and has come to its end */
	bool is_forced;	  /* a forced command runs the helper instead */
	bool is_too_long; /* FAR_FACTS_BYTES_MAX is used up */

	char os[BOOT_WORD_MAX], machine[BOOT_WORD_MAX];
	char user[BOOT_WORD_MAX];
	char groups[FAR_FACTS_TEXT_MAX];
	bool has_uid;
	uint32_t uid;
	uint32_t gids[FAR_FACTS_GIDS_MAX];
	size_t n_gids;

	char origin[BOOT_WORD_MAX]; /* "installed" or "kept" */
	char helper[FAR_FACTS_TEXT_MAX];
	bool has_capability;		/* the helper's file: CAP_NET_ADMIN */
	char place[FAR_FACTS_TEXT_MAX]; /* where one could be stored */
	char no_place[FAR_FACTS_TEXT_MAX]; /* code of PROTOCOL.boot, why not */

	bool has_ping;
	uint32_t ping_lo, ping_hi; /* gids that may open ping sockets */
	bool has_ipv4, has_ipv6;   /* an address other than loopback */
	char device4[BOOT_WORD_MAX], device6[BOOT_WORD_MAX]; /* default route */
	uint32_t mtu4, mtu6; /* of these devices */
	char resolvers[FAR_FACTS_LISTED_MAX][BOOT_WORD_MAX];
	size_t n_resolvers;

	char sudo[BOOT_WORD_MAX]; /* root, yes, no, none, untried */
	char tun[BOOT_WORD_MAX];  /* /dev/net/tun: yes, denied, no */
	char owned[FAR_FACTS_LISTED_MAX][BOOT_WORD_MAX]; /* devices of ours */
	bool is_up[FAR_FACTS_LISTED_MAX];		 /* each of them */
	size_t n_owned;
	char nft[FAR_FACTS_TEXT_MAX];	 /* its path, or "no" */
	char socket[FAR_FACTS_TEXT_MAX]; /* a stream socket that accepts us */

	char noise[BOOT_TEXT_MAX]; /* last line of it that is not empty */

	/* private */
	char marker[BOOT_MARKER_LEN + 1];
	char line[BOOT_LINE_MAX];
	size_t line_len;
	size_t n_bytes;
};

/* marker has BOOT_MARKER_LEN digits. */
void far_facts_init(struct far_facts *f, const char *marker);

void far_facts_feed(struct far_facts *f, const uint8_t *bytes, size_t len);

/* The stream has ended: what has no newline yet is a line. */
void far_facts_feed_end(struct far_facts *f);

/* True if one of the account's groups may open ping sockets. */
bool far_facts_may_ping(const struct far_facts *f);

#endif
