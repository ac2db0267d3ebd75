/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pkt: pkt_parse on what a TUN might deliver, and the builders on what was
 * parsed.
 *
 * Input: a mode byte, then a packet with its virtio header (or, in mode
 * BARE, without).  MEND corrects the IPv4 header checksum first, which hardly
 * any mutation would.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "pkt_check.h"
#include "reference.h"

enum mode {
	MODE_BARE = 1,
	MODE_MEND = 2,
};

static uint8_t built[PKT_VNET_LEN + PKT_IP6_MAX + PKT_HEADERS_MAX];

static struct pkt_ip_params ip_params_of(const struct pkt *p)
{
	return (struct pkt_ip_params){.src = p->src,
				      .dst = p->dst,
				      .ttl = p->ttl,
				      .tos = p->tos,
				      .df = p->df};
}

static void check_same_tcp(const struct pkt_tcp *a, const struct pkt_tcp *b)
{
	assert_always(a->src_port == b->src_port && a->dst_port == b->dst_port);
	assert_always(a->seq == b->seq && a->ack == b->ack);
	assert_always(a->flags == b->flags && a->window == b->window);
	assert_always(a->mss_bytes == b->mss_bytes);
	assert_always(a->window_scale == b->window_scale);
}

/* Parse headers_len bytes just built and the payload of p behind them, and
 * compare with p. */
static void check_same(const struct pkt *p, size_t headers_len)
{
	struct pkt again;

	assert_always(headers_len <= PKT_VNET_LEN + PKT_HEADERS_MAX);
	memcpy(built + headers_len, p->payload, p->payload_len);
	size_t len = headers_len + p->payload_len;
	assert_always(pkt_parse(built, len, &again) == DROP_NONE);
	pkt_check(&again, built + PKT_VNET_LEN, len - PKT_VNET_LEN);
	assert_always(again.ip_len == len - PKT_VNET_LEN);
	assert_always(addr_equal(&again.src, &p->src));
	assert_always(addr_equal(&again.dst, &p->dst));
	assert_always(again.proto == p->proto);
	assert_always(again.ttl == p->ttl && again.tos == p->tos);
	assert_always(again.df == p->df);
	assert_always(again.payload_len == p->payload_len);
	if (p->proto == PKT_PROTO_TCP)
		check_same_tcp(&p->tcp, &again.tcp);
	if (p->proto == PKT_PROTO_UDP)
		assert_always(again.udp.src_port == p->udp.src_port &&
			      again.udp.dst_port == p->udp.dst_port);
}

/* Build p anew, with another segment size, and see that nothing is lost. */
static void rebuild(const struct pkt *p, uint16_t gso_bytes)
{
	struct pkt_ip_params ip = ip_params_of(p);

	if (p->proto == PKT_PROTO_TCP) {
		struct pkt_tcp_params tcp = {
			.src_port = p->tcp.src_port,
			.dst_port = p->tcp.dst_port,
			.seq = p->tcp.seq,
			.ack = p->tcp.ack,
			.flags = p->tcp.flags,
			.window = p->tcp.window,
			.mss_bytes = p->tcp.mss_bytes,
			.window_scale = p->tcp.window_scale,
			.gso_bytes = gso_bytes,
		};
		if (p->payload_len + PKT_HEADERS_MAX <= PKT_IP_MAX)
			check_same(p, pkt_build_tcp(built, &ip, &tcp,
						    p->payload_len));
	} else if (p->proto == PKT_PROTO_UDP) {
		check_same(p, pkt_build_udp(built, &ip, p->udp.src_port,
					    p->udp.dst_port, p->payload_len));
	} else if (p->proto == (p->src.version == IPV4 ? PKT_PROTO_ICMP
						       : PKT_PROTO_ICMP6)) {
		check_same(p, pkt_build_echo_reply(built, &ip, p->icmp.id,
						   p->icmp.seq, p->payload,
						   p->payload_len));
	}
}

/* Quote p in an ICMP error. */
static void quote(const struct pkt *p, uint8_t type, uint8_t code)
{
	struct pkt_ip_params ip = ip_params_of(p);
	struct icmp_error error = {type, code, 1400};
	struct pkt again;

	(void)icmp_error_is_valid((enum ip_version)p->src.version, &error);
	size_t len = pkt_build_icmp_error(built, &ip, &error, p->ip, p->ip_len);
	assert_always(len <= PKT_VNET_LEN + 1280);
	assert_always(pkt_parse(built, len, &again) == DROP_NONE);
	assert_always(again.icmp.type == type && again.icmp.code == code);
	assert_always(memcmp(again.payload, p->ip, again.payload_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum drop_reason reason;
	struct pkt p;

	if (size < 1)
		return 0;
	uint8_t mode = data[0];
	size_t len = size - 1;
	size_t vnet_len = mode & MODE_BARE ? 0 : PKT_VNET_LEN;
	uint8_t *buf = malloc(len ? len : 1);
	if (!buf)
		return 0;
	memcpy(buf, data + 1, len);
	uint8_t *ip = buf + vnet_len;
	if ((mode & MODE_MEND) && len >= vnet_len + REF_IP4_LEN &&
	    ip[0] >> 4 == 4 && len - vnet_len >= (size_t)(ip[0] & 15) * 4)
		ref_fix_ip4(ip);

	if (mode & MODE_BARE)
		reason = pkt_parse_ip(buf, len, &p);
	else
		reason = pkt_parse(buf, len, &p);
	assert_always(drop_reason_name(reason)[0] != '\0');
	if (reason == DROP_NONE) {
		pkt_check(&p, ip, len - vnet_len);
		quote(&p, mode, (uint8_t)len);
		if (!p.is_fragment)
			rebuild(&p, mode);
	}
	free(buf);
	return 0;
}
