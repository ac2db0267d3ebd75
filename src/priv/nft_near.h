/* SPDX-License-Identifier: MIT */
/* nft_near: the rules of the near side, as text for the host's program nft. */
#ifndef ECSSH_NFT_NEAR_H
#define ECSSH_NFT_NEAR_H

#include <stddef.h>

#include "broker.h"

enum { NFT_NEAR_TEXT_MAX = 16 * 1024 };

/*
 * Write the tables "ecssh-guard-DEVICE" of the families inet and arp, in place
 * of earlier ones, in one transaction.  They drop what comes to the device's
 * addresses from elsewhere than the device or this host; what leaves by another
 * device with such a source; and, without BROKERMSG_GUARD_ANNOUNCED, what this
 * host sends out of the device with a foreign source.  Returns the length, or
 * -E2BIG if cap does not suffice, as all of these.
 */
int nft_near_build_guard(const struct broker_guard *guard, char *out,
			 size_t cap);

/* What takes these tables away, whether or not they are there. */
int nft_near_build_guard_removal(const char *device, char *out, size_t cap);

/*
 * Write the table "ecssh-kill-NAME" of the family inet, in place of an earlier
 * one, in one transaction: nothing leaves this host but into itself, into
 * devices named "ecssh*", and what the kill switch and the link layer need.
 */
int nft_near_build_kill(const struct brokermsg_kill *kill, char *out,
			size_t cap);

/* What takes this table away, whether or not it is there. */
int nft_near_build_kill_removal(const char *tunnel, char *out, size_t cap);

#endif
