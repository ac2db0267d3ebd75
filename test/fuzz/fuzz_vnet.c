/* SPDX-License-Identifier: MIT */
/*
 * fuzz_vnet: what a TUN or a peer says of a packet's offload.
 *
 * Input: a mode byte, then a packet with its virtio header.  MEND corrects the
 * IPv4 header checksum first; PEER takes the header as that of a frame,
 * otherwise it is the device's.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "mss_clamp.h"
#include "pkt_check.h"
#include "pkt_edit.h"
#include "reference.h"
#include "vnet.h"

enum mode {
	MODE_PEER = 1,
	MODE_MEND = 2,
};

/* Whoever completes the checksum or cuts the packet writes within the
 * transport header, and reads no further than the packet goes. */
static void check_sound(const struct frame_packet *p, const struct pkt *view)
{
	size_t l4_at = (size_t)(view->l4 - p->ip);

	pkt_check(view, p->ip, p->ip_len);
	assert_always(view->ip_len == p->ip_len);
	assert_always(p->hdr_len <= p->ip_len);
	if (p->flags & VNET_FLAG_PARTIAL) {
		assert_always(p->csum_start == l4_at);
		assert_always((size_t)p->csum_offset + 2 <= view->l4_len);
	}
	if (p->gso_type == VNET_TYPE_NONE)
		return;
	assert_always(p->flags & VNET_FLAG_PARTIAL);
	assert_always(p->gso_size > 0 && p->gso_size < view->payload_len);
	assert_always(p->hdr_len >= view->payload - p->ip);
	assert_always(view->proto == PKT_PROTO_TCP ||
		      view->proto == PKT_PROTO_UDP);
}

static struct frame_packet from_header(const uint8_t *buf, size_t len)
{
	uint16_t numbers[4];

	memcpy(numbers, buf + 2, sizeof(numbers));
	return (struct frame_packet){
		.flags = buf[0],
		.gso_type = buf[1],
		.hdr_len = numbers[0],
		.gso_size = numbers[1],
		.csum_start = numbers[2],
		.csum_offset = numbers[3],
		.ip = buf + PKT_VNET_LEN,
		.ip_len = len - PKT_VNET_LEN,
	};
}

/* What the packet plane does to it in place leaves it sound. */
static void edit(uint8_t *ip, const struct frame_packet *p,
		 const struct pkt *view)
{
	struct pkt_quote q;
	struct pkt again;

	if (!view->is_fragment &&
	    view->proto == (view->src.version == IPV4 ? PKT_PROTO_ICMP
						      : PKT_PROTO_ICMP6))
		(void)pkt_edit_parse_quote(view, &q);
	(void)mss_clamp(ip, view, 1400);
	if (view->ttl > 0)
		pkt_edit_take_hop(ip);
	assert_always(vnet_view(p, &again) == DROP_NONE);
	check_sound(p, &again);
	if (!view->is_fragment && view->proto == PKT_PROTO_TCP)
		assert_always(again.tcp.mss_bytes <= 1360 ||
			      again.tcp.mss_bytes == view->tcp.mss_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_packet p;
	enum drop_reason reason;
	struct pkt view;

	if (size < 1 + PKT_VNET_LEN)
		return 0;
	uint8_t mode = data[0];
	size_t len = size - 1;
	uint8_t *buf = malloc(len);
	if (!buf)
		return 0;
	memcpy(buf, data + 1, len);
	uint8_t *ip = buf + PKT_VNET_LEN;
	size_t ip_len = len - PKT_VNET_LEN;
	if ((mode & MODE_MEND) && ip_len >= REF_IP4_LEN && ip[0] >> 4 == 4 &&
	    ip_len >= (size_t)(ip[0] & 15) * 4)
		ref_fix_ip4(ip);
	if (mode & MODE_PEER) {
		p = from_header(buf, len);
		reason = vnet_view(&p, &view);
	} else {
		reason = vnet_parse(buf, len, &p, &view);
		if (reason == DROP_NONE) /* they agree */
			assert_always(vnet_check(&p) == DROP_NONE);
	}
	if (reason == DROP_NONE) {
		check_sound(&p, &view);
		edit(ip, &p, &view);
	}
	free(buf);
	return 0;
}
