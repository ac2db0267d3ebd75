/* SPDX-License-Identifier: MIT */
/* nft: the rules of the far side, as text for the host's program nft. */
#ifndef ECSSH_NFT_H
#define ECSSH_NFT_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "forwarding.h"

enum {
	NFT_TEXT_MAX = 32 * 1024,
};

/* Which packets one device may have forwarded. */
struct nft_rules {
	const char *name; /* of the device; borrowed, like nets */
	uint32_t flags;	  /* enum brokermsg_forward_flag */
	uint8_t guarded;  /* enum broker_family: see below */
	/* What the guards remember for those who come later; borrowed. */
	const struct broker_forward *forward;
	const struct subnet *nets; /* what is behind the device */
	size_t n;
};

/*
 * Write the tables of a device, replacing earlier ones of the same name in one
 * transaction: "ecssh-NAME", and for each family in `guarded`, which forwards
 * for our sake only, "ecssh-guardV-NAME", which drops what concerns no device
 * of ours.  Returns the length, or -E2BIG if cap does not suffice.
 */
int nft_build(const struct nft_rules *rules, char *out, size_t cap);

/* What takes all of these tables away, whether or not they are there. */
int nft_build_removal(const char *name, char *out, size_t cap);

#endif
