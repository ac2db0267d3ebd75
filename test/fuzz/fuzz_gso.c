/* SPDX-License-Identifier: MIT */
/*
 * fuzz_gso: any packet that may be cut, cut and put together again; and any
 * row of packets, put together.
 *
 * Input: a mode byte; then a packet with its virtio header (mode CUT), or
 * packets each behind two bytes of length, whose checksums are put right first.
 */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "fuzz.h"
#include "gso_check.h"
#include "reference.h"

enum { MODE_CUT = 1 };

static void fix_sums(uint8_t *ip, size_t len)
{
	struct pkt p;

	if (len >= REF_IP4_LEN && ip[0] >> 4 == 4 &&
	    len >= (size_t)(ip[0] & 15) * 4)
		ref_fix_ip4(ip);
	if (len == 0 || pkt_parse_ip(ip, len, &p) != DROP_BAD_CHECKSUM)
		return;
	size_t head = ip[0] >> 4 == 4 ? (size_t)(ip[0] & 15) * 4 : 40;
	uint8_t proto = ip[ip[0] >> 4 == 4 ? 9 : 6];
	size_t end =
		ip[0] >> 4 == 4 ? ref_get16(ip + 2) : 40U + ref_get16(ip + 4);
	if (proto == REF_TCP && end <= len && end >= head + 20)
		ref_fix_l4(ip, proto, ip + head, end - head);
}

static void cut(const uint8_t *data, size_t len)
{
	struct frame_packet p;
	struct pkt view;

	uint8_t *buf = malloc(len ? len : 1);
	if (!buf)
		return;
	memcpy(buf, data, len);
	if (len > PKT_VNET_LEN)
		fix_sums(buf + PKT_VNET_LEN, len - PKT_VNET_LEN);
	if (vnet_parse(buf, len, &p, &view) == DROP_NONE)
		(void)gso_check(&p, false);
	free(buf);
}

/* What comes out passes vnet_check and is as long as what went in. */
static void take(struct gro *g, size_t *payload_len)
{
	struct frame_packet p;
	struct pkt view;

	if (!gro_take(g, &p))
		return;
	assert_always(vnet_view(&p, &view) == DROP_NONE);
	assert_always(view.payload_len == *payload_len);
	*payload_len = 0;
}

static void put_together(const uint8_t *data, size_t size)
{
	struct gro *g = malloc(sizeof(*g));
	size_t payload_len = 0;

	if (!g)
		return;
	gro_init(g);
	for (size_t at = 0; size - at >= 2;) {
		size_t len = bytes_get_u16(data + at);
		struct pkt p;

		at += 2;
		len = len < size - at ? len : size - at;
		uint8_t *ip = malloc(len ? len : 1);
		if (!ip)
			break;
		memcpy(ip, data + at, len);
		at += len;
		fix_sums(ip, len);
		if (!gro_push(g, ip, len)) {
			take(g, &payload_len);
			if (!gro_push(g, ip, len)) {
				free(ip);
				continue;
			}
		}
		assert_always(pkt_parse_ip(ip, len, &p) == DROP_NONE);
		payload_len += p.payload_len;
		free(ip);
	}
	take(g, &payload_len);
	free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] & MODE_CUT)
		cut(data + 1, size - 1);
	else
		put_together(data + 1, size - 1);
	return 0;
}
