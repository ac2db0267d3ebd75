/* SPDX-License-Identifier: MIT */
/* mss_clamp: SYNs that ask for no longer segments than the way can carry. */
#ifndef ECSSH_MSS_CLAMP_H
#define ECSSH_MSS_CLAMP_H

#include "pkt.h"

/*
 * Lower the MSS option of the packet at ip, of which p is a view (made before,
 * and not changed), to what fits mtu_bytes.  The checksum stays as right as it
 * was.  Packets that are no SYN, have no such option or a lower one are left
 * alone.  Returns whether anything was changed.
 */
bool mss_clamp(uint8_t *ip, const struct pkt *p, uint32_t mtu_bytes);

#endif
