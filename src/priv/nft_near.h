/* SPDX-License-Identifier: MIT */
/* nft_near: the rules of the near side, as text for the host's program nft. */
#ifndef ECSSH_NFT_NEAR_H
#define ECSSH_NFT_NEAR_H

#include <stdbool.h>

#include "brokermsg.h"
#include "journal.h"
#include "text.h"

enum { NFT_NEAR_TEXT_MAX = 4 * 1024 };

/*
 * Put the tables of a change, in place of earlier ones, in one transaction; or
 * what takes them away, whether or not they are there.
 *
 * GUARD: "ecssh-guard-DEVICE" of the families inet and arp.  They drop what
 * comes to the device's addresses from elsewhere than the device or this host;
 * what leaves by another device with such a source; and, without
 * BROKERMSG_GUARD_ANNOUNCED, what this host sends out of the device with a
 * foreign source.
 *
 * DNS: "ecssh-dns-DEVICE" of the family inet.  It rejects what this host sends
 * by another device than this one, those named "ecssh*" and its own loopback to
 * the ports of the DNS, of DNS over TLS and QUIC, of mDNS and of LLMNR.
 */
void nft_near_put(struct text *t, const struct journal_change *change,
		  bool is_undo);

#endif
