/* SPDX-License-Identifier: MIT */
/* pkt_check: what holds for every packet that pkt_parse accepts, whatever came
 * in.  For the random tests here and for the fuzz targets. */
#ifndef ECSSH_TEST_PKT_CHECK_H
#define ECSSH_TEST_PKT_CHECK_H

#include <stdint.h>

#include "err.h"
#include "pkt.h"

/* Stop unless the view p of len bytes at ip is sound. */
static inline void pkt_check(const struct pkt *p, const uint8_t *ip, size_t len)
{
	assert_always(p->ip == ip);
	assert_always(p->ip_len <= len && p->ip_len <= PKT_IP6_MAX);
	assert_always(p->src.version == ip[0] >> 4);
	assert_always(p->src.version == p->dst.version);
	assert_always(p->src.version == IPV4 || p->src.version == IPV6);
	assert_always(!addr_is_loopback(&p->src));
	assert_always(!addr_is_multicast(&p->src));
	assert_always(p->l4 >= ip && p->l4 + p->l4_len <= ip + p->ip_len);
	assert_always(p->proto_offset < (size_t)(p->l4 - ip));
	assert_always(ip[p->proto_offset] == p->proto);
	if (p->is_fragment) {
		assert_always(p->more_fragments || p->frag_offset > 0);
		assert_always(p->frag_offset % 8 == 0);
		assert_always(p->frag_offset <= 65528);
		assert_always(p->src.version == IPV4 ||
			      ip[p->frag_next_offset] == 44);
		return;
	}
	assert_always(p->payload >= p->l4);
	assert_always(p->payload + p->payload_len == p->l4 + p->l4_len);
	assert_always(p->gso_bytes == 0 || (p->proto == PKT_PROTO_UDP &&
					    p->gso_bytes < p->payload_len));
	if (p->proto != PKT_PROTO_TCP)
		return;
	assert_always((p->tcp.flags & 0xc0) == 0);
	assert_always(p->tcp.window_scale >= -1 && p->tcp.window_scale <= 14);
	assert_always((p->tcp.flags & TCP_SYN) ||
		      (p->tcp.window_scale == -1 && p->tcp.mss_bytes == 0));
}

#endif
