/* SPDX-License-Identifier: MIT */
/* gso_check: what holds for every packet that is cut.  For the random tests and
 * the fuzz target. */
#ifndef ECSSH_TEST_GSO_CHECK_H
#define ECSSH_TEST_GSO_CHECK_H

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "gso.h"
#include "vnet.h"

/* Stop unless the row that gro holds is the super-packet it was cut from. */
static inline void gso_check_same(struct gro *g, const struct frame_packet *p)
{
	struct frame_packet got;

	assert_always(gro_take(g, &got));
	assert_always(vnet_check(&got) == DROP_NONE);
	assert_always(got.ip_len == p->ip_len);
	assert_always(got.flags == p->flags);
	assert_always(got.gso_type == p->gso_type);
	assert_always(got.gso_size == p->gso_size);
	assert_always(got.csum_start == p->csum_start);
	assert_always(got.csum_offset == p->csum_offset);
	/* whatever stood in the checksum's place */
	size_t at = (size_t)p->csum_start + p->csum_offset;
	assert_always(memcmp(got.ip, p->ip, at) == 0);
	assert_always(memcmp(got.ip + at + 2, p->ip + at + 2,
			     p->ip_len - at - 2) == 0);
}

/*
 * Cut p, which passed vnet_check, and put the segments together again.
 * is_plain: gro knows its kind, so the same packet must come of it.  Returns
 * the number of segments.
 */
static inline unsigned gso_check(const struct frame_packet *p, bool is_plain)
{
	uint8_t *out = malloc(PKT_IP6_MAX);
	struct gro *g = malloc(sizeof(*g));
	struct gso_cut cut;
	struct pkt view;
	size_t len, payload_len = 0;
	unsigned n = 0;

	assert_always(out && g && gso_cut_init(&cut, p) == DROP_NONE);
	gro_init(g);
	while ((len = gso_cut_next(&cut, out)) > 0) {
		assert_always(len <= gso_cut_longest(&cut));
		if (p->gso_type != VNET_TYPE_NONE) {
			assert_always(pkt_parse_ip(out, len, &view) ==
				      DROP_NONE);
			assert_always(view.ip_len == len);
			assert_always(memcmp(view.payload,
					     cut.view.payload + payload_len,
					     view.payload_len) == 0);
			payload_len += view.payload_len;
			bool is_taken = gro_push(g, out, len);
			assert_always(is_taken || !is_plain);
		}
		n++;
	}
	if (p->gso_type != VNET_TYPE_NONE)
		assert_always(payload_len == cut.view.payload_len);
	else
		assert_always(n == 1);
	if (is_plain)
		gso_check_same(g, p);
	free(g);
	free(out);
	return n;
}

#endif
