/* SPDX-License-Identifier: MIT */
/* seg: TCP segments as the bytes that pass a TUN. */
#include "seg.h"

#include <string.h>

#include "reference.h"

enum {
	VNET_NEEDS_CSUM = 1,
	VNET_GSO_TCPV4 = 1,
	VNET_GSO_TCPV6 = 4,
	TCP_LEN = 20,
};

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)ref_get16(p) << 16 | ref_get16(p + 2);
}

static uint16_t get16_native(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void put16_native(uint8_t *p, size_t v)
{
	uint16_t value = (uint16_t)v;

	memcpy(p, &value, sizeof(value));
}

/* ---- building ---- */

static size_t put_ip(uint8_t *ip, const struct seg *s, size_t l4_len)
{
	size_t len = ref_put_ip(ip, s->src.addr.version, REF_TCP, l4_len);

	if (s->src.addr.version == IPV4) {
		ip[1] = s->tos;
		ip[6] = 0x40; /* don't fragment, as hosts do */
		ip[8] = s->ttl ? s->ttl : 64;
		memcpy(ip + 12, s->src.addr.bytes, 4);
		memcpy(ip + 16, s->dst.addr.bytes, 4);
		ref_fix_ip4(ip);
	} else {
		ip[0] = (uint8_t)(0x60 | s->tos >> 4);
		ip[1] = (uint8_t)(s->tos << 4);
		ip[7] = s->ttl ? s->ttl : 64;
		memcpy(ip + 8, s->src.addr.bytes, 16);
		memcpy(ip + 24, s->dst.addr.bytes, 16);
	}
	return len;
}

static size_t put_options(uint8_t *p, const struct seg *s)
{
	size_t n = 0;

	if (s->mss_bytes) {
		p[0] = 2;
		p[1] = 4;
		ref_put16(p + 2, s->mss_bytes);
		n = 4;
	}
	if (s->window_scale >= 0) {
		p[n] = 3;
		p[n + 1] = 3;
		p[n + 2] = (uint8_t)s->window_scale;
		p[n + 3] = 0; /* end of options */
		n += 4;
	}
	return n;
}

size_t seg_build(uint8_t *out, const struct seg *s)
{
	uint8_t *ip = out + SEG_VNET_LEN;
	size_t ip_len = s->src.addr.version == IPV4 ? 20 : 40;
	uint8_t *tcp = ip + ip_len;
	size_t tcp_len = TCP_LEN;
	bool is_gso = s->gso_bytes && s->payload_len > s->gso_bytes;

	memset(out, 0, SEG_VNET_LEN);
	memset(tcp, 0, TCP_LEN);
	tcp_len += put_options(tcp + TCP_LEN, s);
	size_t l4_len = tcp_len + s->payload_len;
	(void)put_ip(ip, s, l4_len);
	ref_put16(tcp, s->src.port);
	ref_put16(tcp + 2, s->dst.port);
	ref_put32(tcp + 4, s->seq);
	ref_put32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)(tcp_len / 4 << 4);
	tcp[13] = s->flags;
	ref_put16(tcp + 14, s->window);
	ref_put16(tcp + 18, s->urgent);
	if (s->payload_len > 0)
		memcpy(tcp + tcp_len, s->payload, s->payload_len);
	if (s->has_partial_csum || is_gso) {
		ref_put16(tcp + 16, ref_pseudo_sum(ip, REF_TCP, l4_len));
		out[0] = VNET_NEEDS_CSUM;
		put16_native(out + 6, ip_len);
		put16_native(out + 8, 16);
	} else {
		ref_fix_l4(ip, REF_TCP, tcp, l4_len);
	}
	if (is_gso) {
		out[1] = s->src.addr.version == IPV4 ? VNET_GSO_TCPV4
						     : VNET_GSO_TCPV6;
		put16_native(out + 2, ip_len + tcp_len);
		put16_native(out + 4, s->gso_bytes);
	}
	return SEG_VNET_LEN + ip_len + l4_len;
}

/* ---- reading ---- */

int seg_proto(const uint8_t *buf, size_t len)
{
	const uint8_t *ip = buf + SEG_VNET_LEN;

	if (len < SEG_VNET_LEN + 20)
		return -1;
	return ip[0] >> 4 == 4 ? ip[9] : ip[6];
}

static const char *parse_ip4(const uint8_t *ip, size_t len, struct seg *ret)
{
	if (ip[0] != 0x45)
		return "IPv4 header with options";
	if (ref_get16(ip + 2) != len)
		return "IPv4 total length differs from the packet's";
	if (ref_sum(0, ip, 20) != 0xffff)
		return "IPv4 header checksum is wrong";
	if (!(ip[6] & 0x40) || (ref_get16(ip + 6) & 0x3fff))
		return "IPv4 segment may be fragmented or is a fragment";
	ret->src.addr = addr_make(IPV4, ip + 12);
	ret->dst.addr = addr_make(IPV4, ip + 16);
	ret->tos = ip[1];
	ret->ttl = ip[8];
	return NULL;
}

static const char *parse_ip6(const uint8_t *ip, size_t len, struct seg *ret)
{
	if (ref_get16(ip + 4) != len - 40)
		return "IPv6 payload length differs from the packet's";
	ret->src.addr = addr_make(IPV6, ip + 8);
	ret->dst.addr = addr_make(IPV6, ip + 24);
	ret->tos = (uint8_t)(ip[0] << 4 | ip[1] >> 4);
	ret->ttl = ip[7];
	return NULL;
}

static const char *parse_options(const uint8_t *p, size_t len, struct seg *ret)
{
	for (size_t i = 0; i < len; i += p[i + 1]) {
		while (i < len && p[i] == 1)
			i++;
		if (i >= len || p[i] == 0)
			return NULL;
		if (i + 1 >= len || p[i + 1] < 2 || i + p[i + 1] > len)
			return "TCP option is malformed";
		if (p[i] == 2 && p[i + 1] == 4)
			ret->mss_bytes = (uint16_t)ref_get16(p + i + 2);
		else if (p[i] == 3 && p[i + 1] == 3)
			ret->window_scale = (int8_t)p[i + 2];
		else
			return "TCP option was never offered";
	}
	return NULL;
}

static const char *parse_tcp(const uint8_t *tcp, size_t len, struct seg *ret)
{
	size_t header = len < TCP_LEN ? 0 : tcp[12] / 16 * 4U;

	if (header < TCP_LEN || header > len)
		return "TCP header length is wrong";
	ret->src.port = (uint16_t)ref_get16(tcp);
	ret->dst.port = (uint16_t)ref_get16(tcp + 2);
	ret->seq = get32(tcp + 4);
	ret->ack = get32(tcp + 8);
	ret->flags = tcp[13];
	ret->window = (uint16_t)ref_get16(tcp + 14);
	ret->urgent = (uint16_t)ref_get16(tcp + 18);
	ret->payload = tcp + header;
	ret->payload_len = len - header;
	return parse_options(tcp + TCP_LEN, header - TCP_LEN, ret);
}

static const char *check_vnet(const uint8_t *buf, const uint8_t *tcp,
			      size_t l4_len, struct seg *ret)
{
	const uint8_t *ip = buf + SEG_VNET_LEN;
	unsigned pseudo = ref_pseudo_sum(ip, REF_TCP, l4_len);
	bool is4 = ip[0] >> 4 == 4;

	ret->gso_bytes = buf[1] ? get16_native(buf + 4) : 0;
	ret->has_partial_csum = buf[0] & VNET_NEEDS_CSUM;
	if (!ret->has_partial_csum)
		return ref_sum(pseudo, tcp, l4_len) == 0xffff
			       ? NULL
			       : "TCP checksum is wrong";
	if (get16_native(buf + 6) != tcp - ip || get16_native(buf + 8) != 16)
		return "virtio header misplaces the checksum";
	if (ref_get16(tcp + 16) % 0xffff != pseudo % 0xffff)
		return "TCP pseudo-header sum is wrong";
	if (buf[1] && buf[1] != (is4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6))
		return "virtio GSO type is of the other family";
	if (buf[1] && (!ret->gso_bytes || ret->payload_len <= ret->gso_bytes))
		return "super-segment of one part";
	if (buf[1] && get16_native(buf + 2) != ret->payload - ip)
		return "virtio header length is wrong";
	return NULL;
}

const char *seg_parse(const uint8_t *buf, size_t len, struct seg *ret)
{
	const uint8_t *ip = buf + SEG_VNET_LEN;
	const char *wrong;

	if (len < SEG_VNET_LEN + 40)
		return "packet is too short";
	size_t ip_len = ip[0] >> 4 == 4 ? 20 : 40;
	size_t packet_len = len - SEG_VNET_LEN;

	*ret = (struct seg){.window_scale = -1};
	wrong = ip[0] >> 4 == 4 ? parse_ip4(ip, packet_len, ret)
				: parse_ip6(ip, packet_len, ret);
	if (!wrong && seg_proto(buf, len) != REF_TCP)
		wrong = "not TCP";
	if (!wrong)
		wrong = parse_tcp(ip + ip_len, packet_len - ip_len, ret);
	if (!wrong)
		wrong = check_vnet(buf, ip + ip_len, packet_len - ip_len, ret);
	return wrong;
}
