/* SPDX-License-Identifier: MIT */
/* nft_kill: the rules of a kill switch, as text for the host's program nft. */
#ifndef ECSSH_NFT_KILL_H
#define ECSSH_NFT_KILL_H

#include "brokermsg_read.h"
#include "text.h"

enum { NFT_KILL_TEXT_MAX = 16 * 1024 };

/*
 * Put the table "ecssh-kill-NAME" of the family inet, in place of an earlier
 * one, in one transaction: nothing leaves this host but into itself, into
 * devices named "ecssh*", and what the kill switch and the link layer need.
 */
void nft_kill_put(struct text *t, const struct brokermsg_kill *kill);

/* What takes this table away, whether or not it is there. */
void nft_kill_put_removal(struct text *t, const char *tunnel);

#endif
