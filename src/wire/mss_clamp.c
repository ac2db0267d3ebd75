/* SPDX-License-Identifier: MIT */
/* mss_clamp: SYNs that ask for no longer segments than the way can carry. */
#include "mss_clamp.h"

#include <string.h>

#include "bytes.h"
#include "csum.h"
#include "pkt_internal.h"

/* One option's value at l4 + at, and the checksum with it. */
static void rewrite(struct tcp_hdr *h, size_t at, uint16_t new_word,
		    bool csum_partial)
{
	uint8_t *field = (uint8_t *)h + at;
	uint16_t old_word = bytes_get_u16(field);

	bytes_put_u16(field, new_word);
	if (csum_partial)
		return; /* the checksum does not cover it yet */
	if (at % 2) {	/* its bytes belong to two words */
		old_word = (uint16_t)(old_word << 8 | old_word >> 8);
		new_word = (uint16_t)(new_word << 8 | new_word >> 8);
	}
	h->csum = csum_update(h->csum, old_word, new_word);
}

bool mss_clamp(uint8_t *ip, const struct pkt *p, uint32_t mtu_bytes)
{
	uint32_t headers_len =
		sizeof(struct tcp_hdr) + (p->src.version == IPV4
						  ? sizeof(struct ip4_hdr)
						  : sizeof(struct ip6_hdr));
	bool is_changed = false;

	if (p->is_fragment || p->proto != PKT_PROTO_TCP ||
	    !(p->tcp.flags & TCP_SYN) || mtu_bytes <= headers_len)
		return false;
	uint32_t mss = mtu_bytes - headers_len;
	uint8_t *l4 = ip + (p->l4 - p->ip);
	size_t end = (size_t)(p->payload - p->l4);

	/* The options are known to be sound: the view exists. */
	for (size_t at = sizeof(struct tcp_hdr);
	     at + 4 <= end && l4[at] != TCP_OPTION_END;) {
		if (l4[at] == TCP_OPTION_MSS &&
		    bytes_get_u16(l4 + at + 2) > mss) {
			rewrite((struct tcp_hdr *)l4, at + 2, (uint16_t)mss,
				p->csum_partial);
			is_changed = true;
		}
		at += l4[at] == TCP_OPTION_NOP ? 1 : l4[at + 1];
	}
	return is_changed;
}
