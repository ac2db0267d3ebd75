/* SPDX-License-Identifier: MIT */
/* reassembly: IP fragments back into packets, within bounds. */
#ifndef ECSSH_REASSEMBLY_H
#define ECSSH_REASSEMBLY_H

#include "clock.h"
#include "pkt.h"

enum {
	REASSEMBLY_PACKETS_MAX = 64, /* under way at once; the oldest yields */
	REASSEMBLY_TIMEOUT_S =
		30, /* RFC 1122 3.3.2: 60..120 for hosts; ours is one hop */
};

struct reassembly;

/* Returns NULL if memory runs out. */
struct reassembly *reassembly_new(void);
struct reassembly *reassembly_free(struct reassembly *r);

/*
 * Take a fragment (pkt->is_fragment).  Overlaps (RFC 5722, also applied to
 * IPv4), exceeded limits and contradictory lengths drop the whole packet.  When
 * it is complete, *ret_ip is the rebuilt IP packet (without fragment header,
 * checksums of the IP header valid), borrowed until the next call, to be given
 * to pkt_parse_ip. Returns DROP_NONE with *ret_ip NULL while pieces are
 * missing.  An exact duplicate of a fragment is ignored.  Also forgets packets
 * older than the timeout, or the oldest if it must yield, adding their number
 * to *ret_timed_out.
 */
enum drop_reason reassembly_push(struct reassembly *r, const struct pkt *pkt,
				 mono_us_t now_us, const uint8_t **ret_ip,
				 size_t *ret_len, unsigned *ret_timed_out);

#endif
