/* SPDX-License-Identifier: MIT */
/* nft_dns: no question about names leaves this host but by a tunnel. */
#ifndef ECSSH_NFT_DNS_H
#define ECSSH_NFT_DNS_H

#include <stddef.h>

enum { NFT_DNS_TEXT_MAX = 2048 };

/*
 * Write the table "ecssh-dns-DEVICE" of the family inet, in place of an earlier
 * one, in one transaction.  It rejects what this host sends by another device
 * than this one, those named "ecssh*" and its own loopback to the ports of the
 * DNS, of DNS over TLS and QUIC, of mDNS and of LLMNR.  device is the name of
 * one that the broker made.  Returns the length, or -E2BIG, as the next.
 */
int nft_dns_build(const char *device, char *out, size_t cap);

/* What takes that table away, whether or not it is there. */
int nft_dns_build_removal(const char *device, char *out, size_t cap);

#endif
