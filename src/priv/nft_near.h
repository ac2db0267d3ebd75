/* SPDX-License-Identifier: MIT */
/* nft_near: the rules of the near side, as text for the host's program nft. */
#ifndef ECSSH_NFT_NEAR_H
#define ECSSH_NFT_NEAR_H

#include "brokermsg.h"
#include "journal.h"
#include "text.h"

enum { NFT_NEAR_TEXT_MAX = 4 * 1024 };

/*
 * Put the tables "ecssh-guard-DEVICE" of the families inet and arp, in place of
 * earlier ones, in one transaction.  They drop what comes to the device's
 * addresses from elsewhere than the device or this host; what leaves by another
 * device with such a source; and, without BROKERMSG_GUARD_ANNOUNCED, what this
 * host sends out of the device with a foreign source.
 */
void nft_near_put_guard(struct text *t, const char *device,
			const struct journal_guard *guard);

/*
 * Put the table "ecssh-dns-DEVICE" of the family inet, likewise.  It rejects
 * what this host sends by another device than this one, those named "ecssh*"
 * and its own loopback to the ports of the DNS, of DNS over TLS and QUIC, of
 * mDNS and of LLMNR.
 */
void nft_near_put_dns(struct text *t, const char *device);

/* What takes these tables away, whether or not they are there. */
void nft_near_put_guard_removal(struct text *t, const char *device);
void nft_near_put_dns_removal(struct text *t, const char *device);

#endif
