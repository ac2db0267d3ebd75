/* SPDX-License-Identifier: MIT */
/* test_pkt: parsing and building of packets, ICMP errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pkt.h"
#include "pkt_check.h"
#include "reference.h"

enum { V = PKT_VNET_LEN };

/* ---- good packets to begin with, each behind a virtio header of zeros ---- */

enum base {
	TCP_SYN_BASE,  /* 12 bytes of options: MSS 1460, scale 7, SACK, NOPs */
	TCP_DATA_BASE, /* ACK|PSH, "hello" */
	UDP_BASE,      /* "query" */
	ECHO_BASE,     /* "ping!" */
	OTHER_BASE,    /* protocol 132, "hello" */
};

struct packet {
	uint8_t buf[V + 2000];
	size_t len;
	uint8_t *ip, *l4;
	size_t l4_len;
	uint8_t proto;
};

static size_t put_tcp(uint8_t *l4, uint8_t flags, const uint8_t *options,
		      size_t options_len, const char *payload)
{
	size_t hdr_len = 20 + options_len;

	memset(l4, 0, 20);
	ref_put16(l4, 40000);
	ref_put16(l4 + 2, 443);
	ref_put32(l4 + 4, 0xfffffff0);
	ref_put32(l4 + 8, 0x01020304);
	l4[12] = (uint8_t)(hdr_len / 4 << 4);
	l4[13] = flags;
	ref_put16(l4 + 14, 0x7210);
	if (options_len > 0)
		memcpy(l4 + 20, options, options_len);
	memcpy(l4 + hdr_len, payload, strlen(payload));
	return hdr_len + strlen(payload);
}

static size_t put_udp(uint8_t *l4, const char *payload)
{
	memset(l4, 0, 8);
	ref_put16(l4, 5353);
	ref_put16(l4 + 2, 53);
	ref_put16(l4 + 4, 8 + strlen(payload));
	memcpy(l4 + 8, payload, strlen(payload));
	return 8 + strlen(payload);
}

static size_t put_echo(uint8_t *l4, int version, const char *payload)
{
	memset(l4, 0, 8);
	l4[0] = version == 4 ? 8 : 128;
	ref_put16(l4 + 4, 0xabcd);
	ref_put16(l4 + 6, 0xfffe);
	memcpy(l4 + 8, payload, strlen(payload));
	return 8 + strlen(payload);
}

static size_t put_base(uint8_t *l4, enum base base, int version,
		       uint8_t *ret_proto)
{
	static const uint8_t options[] = {2, 4, 1460 >> 8, 1460 & 0xff, 1, 3,
					  3, 7, 4,	   2,		1, 1};

	switch (base) {
	case TCP_SYN_BASE:
		*ret_proto = REF_TCP;
		return put_tcp(l4, TCP_SYN, options, sizeof(options), "");
	case TCP_DATA_BASE:
		*ret_proto = REF_TCP;
		return put_tcp(l4, TCP_ACK | TCP_PSH, NULL, 0, "hello");
	case UDP_BASE:
		*ret_proto = REF_UDP;
		return put_udp(l4, "query");
	case ECHO_BASE:
		*ret_proto = version == 4 ? REF_ICMP : REF_ICMP6;
		return put_echo(l4, version, "ping!");
	case OTHER_BASE:
		*ret_proto = 132;
		memcpy(l4, "hello", 5);
		return 5;
	}
	abort();
}

static void make_packet(struct packet *p, enum base base, int version)
{
	size_t ip_len = version == 4 ? REF_IP4_LEN : REF_IP6_LEN;

	memset(p->buf, 0, sizeof(p->buf));
	p->ip = p->buf + V;
	p->l4 = p->ip + ip_len;
	p->l4_len = put_base(p->l4, base, version, &p->proto);
	(void)ref_put_ip(p->ip, version, p->proto, p->l4_len);
	if (base != OTHER_BASE)
		ref_fix_l4(p->ip, p->proto, p->l4, p->l4_len);
	p->len = V + ip_len + p->l4_len;
}

/* Write a virtio header; the numbers are in native order. */
static void put_vnet(uint8_t *buf, uint8_t flags, uint8_t gso_type,
		     uint16_t gso_size, uint16_t csum_start,
		     uint16_t csum_offset)
{
	uint16_t numbers[] = {0, gso_size, csum_start, csum_offset};

	buf[0] = flags;
	buf[1] = gso_type;
	memcpy(buf + 2, numbers, sizeof(numbers));
}

/* Parse a copy that ends where the bytes end, so that a sanitizer sees reads
 * beyond; check what must always hold. */
static enum drop_reason parse(const uint8_t *buf, size_t len,
			      struct pkt *ret_pkt)
{
	uint8_t *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, buf, len);
	memset(ret_pkt, 0xee, sizeof(*ret_pkt));
	struct pkt untouched = *ret_pkt;
	enum drop_reason reason = pkt_parse(copy, len, ret_pkt);
	if (reason == DROP_NONE) {
		pkt_check(ret_pkt, copy + V, len - V);
		/* Let the result point into the caller's bytes. */
		ret_pkt->l4 = buf + (ret_pkt->l4 - copy);
		if (!ret_pkt->is_fragment)
			ret_pkt->payload = buf + (ret_pkt->payload - copy);
		ret_pkt->ip = buf + V;
	} else {
		assert_memory_equal(ret_pkt, &untouched, sizeof(untouched));
	}
	free(copy);
	return reason;
}

static void assert_payload(const struct pkt *p, const char *text)
{
	assert_int_equal(p->payload_len, strlen(text));
	assert_memory_equal(p->payload, text, strlen(text));
}

/* ---- accepted packets ---- */

static void pkt_parse_reads_ip_fields(void **state)
{
	struct packet raw;
	struct pkt p;
	char text[ADDR_TEXT_MAX];

	(void)state;
	make_packet(&raw, UDP_BASE, 4);
	raw.ip[1] = 0xb9;
	raw.ip[6] = 0x40;
	raw.ip[8] = 3;
	ref_fix_ip4(raw.ip);
	assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
	assert_int_equal(p.ip_len, 33);
	assert_string_equal(addr_format(&p.src, text), "192.0.2.1");
	assert_string_equal(addr_format(&p.dst, text), "198.51.100.2");
	assert_int_equal(p.proto, PKT_PROTO_UDP);
	assert_int_equal(p.proto_offset, 9);
	assert_int_equal(p.ttl, 3);
	assert_int_equal(p.tos, 0xb9);
	assert_true(p.df);
	assert_false(p.is_fragment);

	make_packet(&raw, UDP_BASE, 6);
	raw.ip[0] = 0x6b; /* traffic class 0xb9, flow label 0xfffff */
	raw.ip[1] = 0x9f;
	raw.ip[2] = raw.ip[3] = 0xff;
	raw.ip[7] = 255;
	assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
	assert_int_equal(p.ip_len, 53);
	assert_string_equal(addr_format(&p.src, text), "2001:db8::1");
	assert_string_equal(addr_format(&p.dst, text), "2001:db8:1::2");
	assert_int_equal(p.proto_offset, 6);
	assert_int_equal(p.ttl, 255);
	assert_int_equal(p.tos, 0xb9);
	assert_true(p.df);
}

static void pkt_parse_reads_transport_fields(void **state)
{
	struct packet raw;
	struct pkt p;

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		make_packet(&raw, TCP_SYN_BASE, version);
		assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
		assert_int_equal(p.tcp.src_port, 40000);
		assert_int_equal(p.tcp.dst_port, 443);
		assert_int_equal(p.tcp.seq, 0xfffffff0);
		assert_int_equal(p.tcp.ack, 0x01020304);
		assert_int_equal(p.tcp.flags, TCP_SYN);
		assert_int_equal(p.tcp.window, 0x7210);
		assert_int_equal(p.tcp.mss_bytes, 1460);
		assert_int_equal(p.tcp.window_scale, 7);
		assert_int_equal(p.l4_len, 32);
		assert_payload(&p, "");

		make_packet(&raw, TCP_DATA_BASE, version);
		assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
		assert_int_equal(p.tcp.flags, TCP_ACK | TCP_PSH);
		assert_int_equal(p.tcp.mss_bytes, 0);
		assert_int_equal(p.tcp.window_scale, -1);
		assert_payload(&p, "hello");

		make_packet(&raw, UDP_BASE, version);
		assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
		assert_int_equal(p.udp.src_port, 5353);
		assert_int_equal(p.udp.dst_port, 53);
		assert_payload(&p, "query");

		make_packet(&raw, ECHO_BASE, version);
		assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
		assert_int_equal(p.icmp.type, version == 4 ? 8 : 128);
		assert_int_equal(p.icmp.code, 0);
		assert_int_equal(p.icmp.id, 0xabcd);
		assert_int_equal(p.icmp.seq, 0xfffe);
		assert_payload(&p, "ping!");

		make_packet(&raw, OTHER_BASE, version);
		assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
		assert_int_equal(p.proto, 132);
		assert_payload(&p, "hello");
	}
}

static void pkt_parse_leaves_the_other_familys_icmp_alone(void **state)
{
	struct packet raw;
	struct pkt p;

	(void)state;
	make_packet(&raw, ECHO_BASE, 4);
	raw.ip[9] = REF_ICMP6;
	ref_fix_ip4(raw.ip);
	assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
	assert_int_equal(p.proto, PKT_PROTO_ICMP6);
	assert_int_equal(p.payload_len, p.l4_len);
	assert_int_equal(p.icmp.type, 0);
	make_packet(&raw, ECHO_BASE, 6);
	raw.ip[6] = REF_ICMP;
	assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
	assert_int_equal(p.payload_len, p.l4_len);
	assert_int_equal(p.icmp.type, 0);
}

static void pkt_parse_ignores_bytes_behind_the_packet(void **state)
{
	struct packet raw;
	struct pkt p;

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		make_packet(&raw, TCP_DATA_BASE, version);
		memset(raw.buf + raw.len, 0x55, 6);
		assert_int_equal(parse(raw.buf, raw.len + 6, &p), DROP_NONE);
		assert_payload(&p, "hello");
		/* UDP has a length of its own. */
		make_packet(&raw, UDP_BASE, version);
		memset(raw.buf + raw.len, 0x55, 3);
		(void)ref_put_ip(raw.ip, version, REF_UDP, raw.l4_len + 3);
		assert_int_equal(parse(raw.buf, raw.len + 3, &p), DROP_NONE);
		assert_payload(&p, "query");
		assert_int_equal(p.l4_len, 13);
	}
}

static void pkt_parse_accepts_ip4_options(void **state)
{
	struct packet raw;
	struct pkt p;

	(void)state;
	for (size_t words = 1; words <= 10; words++) {
		make_packet(&raw, TCP_DATA_BASE, 4);
		memmove(raw.l4 + words * 4, raw.l4, raw.l4_len);
		memset(raw.l4, 1, words * 4);
		raw.ip[0] = (uint8_t)(0x45 + words);
		ref_put16(raw.ip + 2, 20 + words * 4 + raw.l4_len);
		ref_fix_ip4(raw.ip);
		assert_int_equal(parse(raw.buf, raw.len + words * 4, &p),
				 DROP_NONE);
		assert_payload(&p, "hello");
	}
}

static void pkt_parse_masks_ecn_flags_of_a_syn(void **state)
{
	struct packet raw;
	struct pkt p;

	(void)state;
	make_packet(&raw, TCP_SYN_BASE, 4);
	raw.l4[13] = 0xc2;
	ref_fix_l4(raw.ip, REF_TCP, raw.l4, raw.l4_len);
	assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
	assert_int_equal(p.tcp.flags, TCP_SYN);
}

/* ---- refused packets: one byte or two changed ---- */

enum { FIX_IP = 1, FIX_L4 = 2 };

struct patch_case {
	const char *what;
	enum base base;
	int version;
	/* Offsets from the IP header, from the transport header if l4. */
	struct {
		bool l4;
		size_t at;
		uint8_t value;
	} patch[2];   /* the second may be missing */
	unsigned fix; /* checksums to be corrected: FIX_IP, FIX_L4 */
	enum drop_reason reason;
};

/* clang-format off */
#define IP(at, value) {false, at, value}
#define L4(at, value) {true, at, value}

static const struct patch_case patch_cases[] = {
	{"version 5", TCP_DATA_BASE, 4, {IP(0, 0x55)}, FIX_IP, DROP_BAD_VERSION},
	{"version 0", TCP_DATA_BASE, 4, {IP(0, 0x05)}, FIX_IP, DROP_BAD_VERSION},
	{"header of 16 bytes", TCP_DATA_BASE, 4, {IP(0, 0x44)}, FIX_IP, DROP_BAD_LENGTH},
	{"header beyond packet", TCP_DATA_BASE, 4, {IP(0, 0x4f)}, 0, DROP_BAD_LENGTH},
	{"total below header", TCP_DATA_BASE, 4, {IP(3, 19)}, FIX_IP, DROP_BAD_LENGTH},
	{"total 0", TCP_DATA_BASE, 4, {IP(3, 0)}, FIX_IP, DROP_BAD_LENGTH},
	{"total beyond buffer", TCP_DATA_BASE, 4, {IP(3, 46)}, FIX_IP, DROP_TRUNCATED},
	{"IP checksum", TCP_DATA_BASE, 4, {IP(8, 63)}, 0, DROP_BAD_CHECKSUM},
	{"source 0/8", TCP_DATA_BASE, 4, {IP(12, 0)}, FIX_IP | FIX_L4, DROP_BAD_SOURCE},
	{"source 127/8", TCP_DATA_BASE, 4, {IP(12, 127)}, FIX_IP | FIX_L4, DROP_BAD_SOURCE},
	{"source 126/8", TCP_DATA_BASE, 4, {IP(12, 126)}, FIX_IP | FIX_L4, DROP_NONE},
	{"source 224/4", TCP_DATA_BASE, 4, {IP(12, 224)}, FIX_IP | FIX_L4, DROP_BAD_SOURCE},
	{"source 239/8", TCP_DATA_BASE, 4, {IP(12, 239)}, FIX_IP | FIX_L4, DROP_BAD_SOURCE},
	{"source 223/8", TCP_DATA_BASE, 4, {IP(12, 223)}, FIX_IP | FIX_L4, DROP_NONE},
	{"destination 127/8", TCP_DATA_BASE, 4, {IP(16, 127)}, FIX_IP | FIX_L4, DROP_NONE},
	{"destination 224/4", TCP_DATA_BASE, 4, {IP(16, 224)}, FIX_IP | FIX_L4, DROP_NONE},
	{"source ff00::/8", TCP_DATA_BASE, 6, {IP(8, 0xff)}, FIX_L4, DROP_BAD_SOURCE},
	{"payload beyond buffer", TCP_DATA_BASE, 6, {IP(5, 26)}, 0, DROP_TRUNCATED},
	{"payload of 0", TCP_DATA_BASE, 6, {IP(5, 0)}, 0, DROP_BAD_LENGTH},
	{"payload of 0, no next", TCP_DATA_BASE, 6, {IP(5, 0), IP(6, 59)}, 0, DROP_NONE},
	{"data offset 4", TCP_DATA_BASE, 4, {L4(12, 0x40)}, FIX_L4, DROP_BAD_LENGTH},
	{"data offset 0", TCP_DATA_BASE, 6, {L4(12, 0x00)}, FIX_L4, DROP_BAD_LENGTH},
	{"data offset 6", TCP_DATA_BASE, 6, {L4(12, 0x60)}, FIX_L4, DROP_NONE},
	{"data offset 7", TCP_DATA_BASE, 6, {L4(12, 0x70)}, FIX_L4, DROP_BAD_LENGTH},
	{"TCP checksum", TCP_DATA_BASE, 4, {L4(24, 'O')}, 0, DROP_BAD_CHECKSUM},
	{"TCP checksum", TCP_DATA_BASE, 6, {L4(0, 1)}, 0, DROP_BAD_CHECKSUM},
	{"TCP pseudo-header", TCP_DATA_BASE, 4, {IP(19, 3)}, FIX_IP, DROP_BAD_CHECKSUM},
	{"TCP pseudo-header", TCP_DATA_BASE, 6, {IP(39, 3)}, 0, DROP_BAD_CHECKSUM},
	{"UDP length 7", UDP_BASE, 4, {L4(5, 7)}, FIX_L4, DROP_BAD_LENGTH},
	{"UDP length 0", UDP_BASE, 6, {L4(5, 0)}, FIX_L4, DROP_BAD_LENGTH},
	{"UDP length beyond", UDP_BASE, 4, {L4(5, 14)}, FIX_L4, DROP_BAD_LENGTH},
	{"UDP checksum", UDP_BASE, 4, {L4(12, 'Y')}, 0, DROP_BAD_CHECKSUM},
	{"UDP checksum", UDP_BASE, 6, {L4(12, 'Y')}, 0, DROP_BAD_CHECKSUM},
	{"no UDP checksum", UDP_BASE, 4, {L4(6, 0), L4(7, 0)}, 0, DROP_NONE},
	{"no UDP checksum", UDP_BASE, 6, {L4(6, 0), L4(7, 0)}, 0, DROP_BAD_CHECKSUM},
	{"ICMP checksum", ECHO_BASE, 4, {L4(12, '?')}, 0, DROP_BAD_CHECKSUM},
	{"ICMPv6 checksum", ECHO_BASE, 6, {L4(12, '?')}, 0, DROP_BAD_CHECKSUM},
	{"ICMPv6 pseudo-header", ECHO_BASE, 6, {IP(39, 3)}, 0, DROP_BAD_CHECKSUM},
	/* options of a SYN: 2 4 05 b4 | 1 | 3 3 7 | 4 2 | 1 1 */
	{"MSS of 3 bytes", TCP_SYN_BASE, 4, {L4(21, 3), L4(23, 1)}, FIX_L4, DROP_BAD_OPTION},
	{"MSS of 5 bytes", TCP_SYN_BASE, 4, {L4(21, 5)}, FIX_L4, DROP_BAD_OPTION},
	{"scale of 2 bytes", TCP_SYN_BASE, 6, {L4(26, 2)}, FIX_L4, DROP_BAD_OPTION},
	{"scale of 4 bytes", TCP_SYN_BASE, 6, {L4(26, 4), L4(29, 1)}, FIX_L4, DROP_BAD_OPTION},
	{"option of 0 bytes", TCP_SYN_BASE, 4, {L4(29, 0)}, FIX_L4, DROP_BAD_OPTION},
	{"option of 1 byte", TCP_SYN_BASE, 4, {L4(29, 1)}, FIX_L4, DROP_BAD_OPTION},
	{"option up to the end", TCP_SYN_BASE, 4, {L4(29, 4)}, FIX_L4, DROP_NONE},
	{"option beyond the end", TCP_SYN_BASE, 4, {L4(29, 5)}, FIX_L4, DROP_BAD_OPTION},
	{"option without length", TCP_SYN_BASE, 4, {L4(31, 8)}, FIX_L4, DROP_BAD_OPTION},
	{"end before nonsense", TCP_SYN_BASE, 4, {L4(28, 0), L4(29, 0)}, FIX_L4, DROP_NONE},
	{"bad option, no SYN", TCP_SYN_BASE, 4, {L4(13, TCP_ACK), L4(29, 0)}, FIX_L4, DROP_NONE},
};
/* clang-format on */

static void apply(const struct patch_case *c, struct packet *raw)
{
	make_packet(raw, c->base, c->version);
	for (size_t i = 0; i < 2; i++) {
		uint8_t *from = c->patch[i].l4 ? raw->l4 : raw->ip;

		if (c->patch[i].l4 || c->patch[i].at > 0 || i == 0)
			from[c->patch[i].at] = c->patch[i].value;
	}
	if (c->fix & FIX_L4)
		ref_fix_l4(raw->ip, raw->proto, raw->l4, raw->l4_len);
	if (c->fix & FIX_IP)
		ref_fix_ip4(raw->ip);
}

static void pkt_parse_refuses_what_the_table_says(void **state)
{
	struct packet raw;
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < sizeof(patch_cases) / sizeof(*patch_cases);
	     i++) {
		const struct patch_case *c = &patch_cases[i];

		apply(c, &raw);
		enum drop_reason reason = parse(raw.buf, raw.len, &p);
		if (reason != c->reason)
			fail_msg("%s, IPv%d: %s instead of %s", c->what,
				 c->version, drop_reason_name(reason),
				 drop_reason_name(c->reason));
	}
}

static void pkt_parse_refuses_sources_that_differ_in_the_last_byte(void **state)
{
	static const struct {
		uint8_t last;
		enum drop_reason reason;
	} cases[] = {
		{0, DROP_BAD_SOURCE}, {1, DROP_BAD_SOURCE}, {2, DROP_NONE}};
	struct packet raw;
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		make_packet(&raw, UDP_BASE, 6);
		memset(raw.ip + 8, 0, 16); /* ::, ::1, ::2 */
		raw.ip[23] = cases[i].last;
		ref_fix_l4(raw.ip, REF_UDP, raw.l4, raw.l4_len);
		assert_int_equal(parse(raw.buf, raw.len, &p), cases[i].reason);
	}
	for (uint8_t last = 254; last != 0; last++) {
		make_packet(&raw, UDP_BASE, 4);
		memset(raw.ip + 12, 255, 4);
		raw.ip[15] = last;
		ref_fix_l4(raw.ip, REF_UDP, raw.l4, raw.l4_len);
		ref_fix_ip4(raw.ip);
		assert_int_equal(parse(raw.buf, raw.len, &p),
				 last == 255 ? DROP_BAD_SOURCE : DROP_NONE);
	}
}

static void pkt_parse_refuses_every_shorter_buffer(void **state)
{
	struct packet raw;
	struct pkt p;

	(void)state;
	for (int base = TCP_SYN_BASE; base <= OTHER_BASE; base++)
		for (int version = 4; version <= 6; version += 2) {
			make_packet(&raw, (enum base)base, version);
			for (size_t len = 0; len < raw.len; len++)
				assert_int_equal(parse(raw.buf, len, &p),
						 DROP_TRUNCATED);
			assert_int_equal(parse(raw.buf, raw.len, &p),
					 DROP_NONE);
		}
}

/* The IP length shrinks with the buffer: the transport header is cut. */
static void pkt_parse_refuses_every_shorter_transport_header(void **state)
{
	static const size_t need[] = {32, 20, 8, 8};
	struct packet raw;
	struct pkt p;

	(void)state;
	for (int base = TCP_SYN_BASE; base <= ECHO_BASE; base++)
		for (int version = 4; version <= 6; version += 2) {
			make_packet(&raw, (enum base)base, version);
			for (size_t l4_len = version == 4 ? 0 : 1;
			     l4_len < need[base]; l4_len++) {
				(void)ref_put_ip(raw.ip, version, raw.proto,
						 l4_len);
				/* Behind 20 bytes TCP's own length is wrong. */
				assert_int_equal(
					parse(raw.buf,
					      (size_t)(raw.l4 - raw.buf) +
						      l4_len,
					      &p),
					base == TCP_SYN_BASE && l4_len >= 20
						? DROP_BAD_LENGTH
						: DROP_TRUNCATED);
			}
		}
}

static void pkt_parse_clamps_window_scale_to_14(void **state)
{
	struct packet raw;
	struct pkt p;

	(void)state;
	for (unsigned scale = 0; scale <= 255; scale++) {
		make_packet(&raw, TCP_SYN_BASE, 4);
		raw.l4[27] = (uint8_t)scale;
		ref_fix_l4(raw.ip, REF_TCP, raw.l4, raw.l4_len);
		assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
		assert_int_equal(p.tcp.window_scale, scale > 14 ? 14 : scale);
	}
}

/* ---- the virtio header ---- */

struct vnet_case {
	const char *what;
	enum base base;
	int version;
	uint8_t flags, gso_type;
	uint16_t gso_size, csum_start, csum_offset;
	bool is_csum_broken; /* the transport checksum in the packet */
	enum drop_reason reason;
};

/* clang-format off */
static const struct vnet_case vnet_cases[] = {
	{"partial", TCP_DATA_BASE, 4, 1, 0, 0, 20, 16, true, DROP_NONE},
	{"partial", TCP_DATA_BASE, 6, 1, 0, 0, 40, 16, true, DROP_NONE},
	{"partial", UDP_BASE, 4, 1, 0, 0, 20, 6, true, DROP_NONE},
	{"partial", UDP_BASE, 6, 1, 0, 0, 40, 6, true, DROP_NONE},
	{"partial", ECHO_BASE, 4, 1, 0, 0, 20, 2, true, DROP_NONE},
	{"partial", OTHER_BASE, 4, 1, 0, 0, 20, 3, true, DROP_NONE},
	{"verified", TCP_DATA_BASE, 4, 2, 0, 0, 0, 0, true, DROP_NONE},
	{"verified", ECHO_BASE, 6, 2, 0, 0, 0, 0, true, DROP_NONE},
	{"not verified", TCP_DATA_BASE, 4, 0, 0, 0, 20, 16, true, DROP_BAD_CHECKSUM},
	{"other flags", TCP_DATA_BASE, 4, 0xfc, 0, 0, 20, 16, true, DROP_BAD_CHECKSUM},
	{"start before", TCP_DATA_BASE, 4, 1, 0, 0, 19, 16, false, DROP_BAD_VNET_HDR},
	{"start behind", TCP_DATA_BASE, 4, 1, 0, 0, 21, 16, false, DROP_BAD_VNET_HDR},
	{"start far out", TCP_DATA_BASE, 4, 1, 0, 0, 65535, 16, false, DROP_BAD_VNET_HDR},
	{"field of UDP", TCP_DATA_BASE, 4, 1, 0, 0, 20, 6, false, DROP_BAD_VNET_HDR},
	{"field of TCP", UDP_BASE, 6, 1, 0, 0, 40, 16, false, DROP_BAD_VNET_HDR},
	{"offset far out", UDP_BASE, 6, 1, 0, 0, 40, 65535, false, DROP_BAD_VNET_HDR},
	{"other out", OTHER_BASE, 4, 1, 0, 0, 20, 4, false, DROP_BAD_VNET_HDR},
	{"other in the IP header", OTHER_BASE, 4, 1, 0, 0, 0, 16, false, DROP_BAD_VNET_HDR},
	{"other far out", OTHER_BASE, 4, 1, 0, 0, 65535, 65535, false, DROP_BAD_VNET_HDR},
	{"TSO4", TCP_DATA_BASE, 4, 1, 1, 2, 20, 16, true, DROP_NONE},
	{"TSO4 with ECN", TCP_DATA_BASE, 4, 1, 0x81, 2, 20, 16, true, DROP_NONE},
	{"TSO6", TCP_DATA_BASE, 6, 1, 4, 2, 40, 16, true, DROP_NONE},
	{"TSO6 with ECN", TCP_DATA_BASE, 6, 1, 0x84, 2, 40, 16, true, DROP_NONE},
	{"TSO4 verified", TCP_DATA_BASE, 4, 2, 1, 2, 0, 0, true, DROP_NONE},
	{"USO", UDP_BASE, 4, 1, 5, 2, 20, 6, true, DROP_NONE},
	{"USO", UDP_BASE, 6, 1, 5, 2, 40, 6, true, DROP_NONE},
	{"TSO without checksum", TCP_DATA_BASE, 4, 0, 1, 2, 0, 0, false, DROP_BAD_VNET_HDR},
	{"TSO of 0", TCP_DATA_BASE, 4, 1, 1, 0, 20, 16, false, DROP_BAD_VNET_HDR},
	{"TSO6 on IPv4", TCP_DATA_BASE, 4, 1, 4, 2, 20, 16, false, DROP_BAD_VNET_HDR},
	{"TSO4 on IPv6", TCP_DATA_BASE, 6, 1, 1, 2, 40, 16, false, DROP_BAD_VNET_HDR},
	{"TSO4 on UDP", UDP_BASE, 4, 1, 1, 2, 20, 6, false, DROP_BAD_VNET_HDR},
	{"USO on TCP", TCP_DATA_BASE, 4, 1, 5, 2, 20, 16, false, DROP_BAD_VNET_HDR},
	{"USO of 0", UDP_BASE, 4, 1, 5, 0, 20, 6, false, DROP_BAD_VNET_HDR},
	{"USO with ECN", UDP_BASE, 4, 1, 0x85, 2, 20, 6, false, DROP_BAD_VNET_HDR},
	{"UFO", UDP_BASE, 4, 1, 3, 2, 20, 6, false, DROP_BAD_VNET_HDR},
	{"ECN alone", TCP_DATA_BASE, 4, 1, 0x80, 2, 20, 16, false, DROP_BAD_VNET_HDR},
	{"unknown GSO", TCP_DATA_BASE, 4, 1, 2, 2, 20, 16, false, DROP_BAD_VNET_HDR},
	{"GSO on ICMP", ECHO_BASE, 4, 1, 1, 2, 20, 2, false, DROP_BAD_VNET_HDR},
};
/* clang-format on */

static void pkt_parse_checks_the_virtio_header(void **state)
{
	struct packet raw;
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < sizeof(vnet_cases) / sizeof(*vnet_cases); i++) {
		const struct vnet_case *c = &vnet_cases[i];

		make_packet(&raw, c->base, c->version);
		put_vnet(raw.buf, c->flags, c->gso_type, c->gso_size,
			 c->csum_start, c->csum_offset);
		if (c->is_csum_broken)
			raw.l4[ref_csum_offset(raw.proto) % raw.l4_len] ^= 0x55;
		enum drop_reason reason = parse(raw.buf, raw.len, &p);
		if (reason != c->reason)
			fail_msg("%s, IPv%d: %s instead of %s", c->what,
				 c->version, drop_reason_name(reason),
				 drop_reason_name(c->reason));
		if (reason == DROP_NONE)
			assert_int_equal(p.csum_partial, c->flags & 1);
	}
}

static void pkt_parse_tells_gso_bytes_of_udp_super_packets_only(void **state)
{
	/* the payload has 5 bytes */
	static const uint16_t sizes[][2] = {
		{1, 1}, {4, 4}, {5, 0}, {6, 0}, {65535, 0}};
	struct packet raw;
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		make_packet(&raw, UDP_BASE, 4);
		put_vnet(raw.buf, 1, 5, sizes[i][0], 20, 6);
		assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
		assert_int_equal(p.gso_bytes, sizes[i][1]);
	}
	make_packet(&raw, TCP_DATA_BASE, 4);
	put_vnet(raw.buf, 1, 1, 1, 20, 16);
	assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
	assert_int_equal(p.gso_bytes, 0);
}

/* ---- fragments and IPv6 extension headers ---- */

static void pkt_parse_marks_ip4_fragments(void **state)
{
	static const struct {
		uint16_t frag;
		bool is_fragment, more;
		uint32_t offset;
	} cases[] = {
		{0x0000, false, false, 0},    {0x4000, false, false, 0},
		{0x8000, false, false, 0},    {0x2000, true, true, 0},
		{0x0001, true, false, 8},     {0x3fff, true, true, 65528},
		{0x1fff, true, false, 65528},
	};
	struct packet raw;
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_packet(&raw, UDP_BASE, 4);
		ref_put16(raw.ip + 4, 0xbeef);
		ref_put16(raw.ip + 6, cases[i].frag);
		ref_fix_ip4(raw.ip);
		if (cases[i].is_fragment)
			raw.l4[12] ^= 1; /* nobody can verify it yet */
		assert_int_equal(parse(raw.buf, raw.len, &p), DROP_NONE);
		assert_int_equal(p.is_fragment, cases[i].is_fragment);
		assert_int_equal(p.more_fragments, cases[i].more);
		assert_int_equal(p.frag_offset, cases[i].offset);
		assert_int_equal(p.frag_id, 0xbeef);
		assert_int_equal(p.l4_len, raw.l4_len);
		assert_ptr_equal(p.l4, raw.l4);
	}
	make_packet(&raw, UDP_BASE, 4);
	ref_put16(raw.ip + 6, 0x2000);
	ref_fix_ip4(raw.ip);
	put_vnet(raw.buf, 1, 0, 0, 20, 6);
	assert_int_equal(parse(raw.buf, raw.len, &p), DROP_BAD_VNET_HDR);
	put_vnet(raw.buf, 2, 5, 2, 20, 6);
	assert_int_equal(parse(raw.buf, raw.len, &p), DROP_BAD_VNET_HDR);
}

enum { HBH = 0, ROUTE = 43, FRAG = 44, ESP = 50, AH = 51, NONE = 59, DST = 60 };

/* One extension header of `len` bytes (a multiple of 8). */
struct ext {
	uint8_t type;
	uint16_t len;
	uint8_t byte3; /* segments left; low byte of a fragment's offset */
};

struct chain_case {
	const char *what;
	struct ext chain[10];
	size_t n;
	enum drop_reason reason;
	bool is_fragment;
};

/* clang-format off */
static const struct chain_case chain_cases[] = {
	{"none", {{0, 0, 0}}, 0, DROP_NONE, false},
	{"hop-by-hop", {{HBH, 8, 0}}, 1, DROP_NONE, false},
	{"long hop-by-hop", {{HBH, 1600, 0}}, 1, DROP_NONE, false},
	{"options", {{DST, 16, 0}}, 1, DROP_NONE, false},
	{"the recommended order", {{HBH, 8, 0}, {DST, 8, 0}, {ROUTE, 24, 0}, {DST, 8, 0}}, 4, DROP_NONE, false},
	{"routing used up", {{ROUTE, 8, 0}}, 1, DROP_NONE, false},
	{"routing ahead", {{ROUTE, 8, 1}}, 1, DROP_BAD_OPTION, false},
	{"routing far ahead", {{ROUTE, 8, 255}}, 1, DROP_BAD_OPTION, false},
	{"hop-by-hop second", {{DST, 8, 0}, {HBH, 8, 0}}, 2, DROP_BAD_OPTION, false},
	{"hop-by-hop twice", {{HBH, 8, 0}, {HBH, 8, 0}}, 2, DROP_BAD_OPTION, false},
	{"eight", {{DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}}, 8, DROP_NONE, false},
	{"nine", {{DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}}, 9, DROP_BAD_OPTION, false},
	{"nine with fragment", {{DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {DST, 8, 0}, {FRAG, 8, 1}}, 9, DROP_BAD_OPTION, false},
	{"atomic fragment", {{FRAG, 8, 0}}, 1, DROP_NONE, false},
	{"atomic fragment between", {{HBH, 8, 0}, {FRAG, 8, 0}, {DST, 8, 0}}, 3, DROP_NONE, false},
	{"atomic fragment, reserved bits", {{FRAG, 8, 6}}, 1, DROP_NONE, false},
	{"first fragment", {{FRAG, 8, 1}}, 1, DROP_NONE, true},
	{"last fragment", {{FRAG, 8, 8}}, 1, DROP_NONE, true},
	{"fragment behind options", {{DST, 8, 0}, {FRAG, 8, 9}}, 2, DROP_NONE, true},
	{"atomic, then first", {{FRAG, 8, 0}, {FRAG, 8, 1}}, 2, DROP_NONE, true},
};
/* clang-format on */

/* Put the chain in front of a UDP datagram.  Returns the packet's length. */
static size_t make_chain(struct packet *raw, const struct chain_case *c)
{
	size_t at = REF_IP6_LEN, named = 6, len = 0;

	make_packet(raw, UDP_BASE, 6);
	uint8_t datagram[64];
	memcpy(datagram, raw->l4, raw->l4_len);
	for (size_t i = 0; i < c->n; i++) {
		const struct ext *e = &c->chain[i];

		raw->ip[named] = e->type;
		memset(raw->ip + at, 0, e->len);
		if (e->type != FRAG)
			raw->ip[at + 1] = (uint8_t)(e->len / 8 - 1);
		raw->ip[at + 3] = e->byte3;
		named = at;
		at += e->len;
	}
	raw->ip[named] = REF_UDP;
	memcpy(raw->ip + at, datagram, raw->l4_len);
	len = at + raw->l4_len;
	ref_put16(raw->ip + 4, len - REF_IP6_LEN);
	return V + len;
}

static void pkt_parse_walks_ip6_extension_headers(void **state)
{
	struct packet raw;
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < sizeof(chain_cases) / sizeof(*chain_cases);
	     i++) {
		const struct chain_case *c = &chain_cases[i];
		size_t len = make_chain(&raw, c);
		enum drop_reason reason = parse(raw.buf, len, &p);

		if (reason != c->reason)
			fail_msg("%s: %s instead of %s", c->what,
				 drop_reason_name(reason),
				 drop_reason_name(c->reason));
		if (reason != DROP_NONE)
			continue;
		assert_int_equal(p.is_fragment, c->is_fragment);
		assert_int_equal(p.proto, PKT_PROTO_UDP);
		assert_ptr_equal(p.l4, raw.buf + len - raw.l4_len);
		assert_int_equal(p.l4_len, raw.l4_len);
		if (!c->is_fragment)
			assert_payload(&p, "query");
	}
}

static void pkt_parse_names_the_offset_of_the_protocol(void **state)
{
	static const struct chain_case chain = {
		"", {{HBH, 16, 0}, {DST, 24, 0}}, 2, DROP_NONE, false};
	struct packet raw;
	struct pkt p;

	(void)state;
	size_t len = make_chain(&raw, &chain);
	assert_int_equal(parse(raw.buf, len, &p), DROP_NONE);
	assert_int_equal(p.proto_offset, 40 + 16);
}

static void pkt_parse_stops_at_headers_it_cannot_read(void **state)
{
	static const uint8_t stops[] = {ESP, AH, NONE, 135, 139, 140, 255};
	static const struct chain_case chain = {
		"", {{DST, 8, 0}}, 1, DROP_NONE, false};
	struct packet raw;
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < sizeof(stops); i++) {
		size_t len = make_chain(&raw, &chain);

		raw.ip[40] = stops[i];
		assert_int_equal(parse(raw.buf, len, &p), DROP_NONE);
		assert_int_equal(p.proto, stops[i]);
		assert_int_equal(p.proto_offset, 40);
		assert_ptr_equal(p.l4, raw.ip + 48);
		assert_int_equal(p.payload_len, raw.l4_len);
	}
}

static void pkt_parse_refuses_extension_headers_that_are_cut(void **state)
{
	static const uint8_t types[] = {HBH, ROUTE, DST, FRAG};
	struct packet raw;
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < sizeof(types); i++)
		for (size_t have = 1; have <= 24; have++) {
			make_packet(&raw, UDP_BASE, 6);
			memset(raw.l4, 0, 24);
			raw.ip[6] = types[i];
			raw.l4[0] = NONE;
			if (types[i] != FRAG)
				raw.l4[1] = 2; /* 24 bytes */
			ref_put16(raw.ip + 4, have);
			size_t need = types[i] == FRAG ? 8 : 24;
			assert_int_equal(parse(raw.buf, V + 40 + have, &p),
					 have < need ? DROP_BAD_OPTION
						     : DROP_NONE);
		}
}

/* ---- builders ---- */

static struct pkt_ip_params ip_params(int version)
{
	static const uint8_t a4[] = {10, 9, 8, 7}, b4[] = {100, 64, 0, 1};
	static const uint8_t a6[16] = {0xfd, 1, 2, 3, [15] = 9};
	static const uint8_t b6[16] = {0x20, 1, 0xd, 0xb8, [15] = 0xff};
	enum ip_version v = (enum ip_version)version;

	return (struct pkt_ip_params){
		.src = addr_make(v, version == 4 ? a4 : a6),
		.dst = addr_make(v, version == 4 ? b4 : b6),
		.ttl = 61,
		.tos = 0xb8,
		.df = true,
	};
}

/* Do what the device does with NEEDS_CSUM: sum from csum_start, which takes in
 * the pseudo-header sum left in the field, and store the complement. */
static void complete_csum(uint8_t *buf, size_t len)
{
	uint16_t start, offset;

	assert_int_equal(buf[0], 1);
	memcpy(&start, buf + 6, 2);
	memcpy(&offset, buf + 8, 2);
	assert_true(V + start + offset + 2U <= len);
	unsigned sum = ref_sum(0, buf + V + start, len - V - start);
	ref_put16(buf + V + start + offset, ~sum & 0xffff);
	buf[0] = 0;
}

static void assert_ip_fields(const struct pkt *p,
			     const struct pkt_ip_params *ip, uint8_t proto)
{
	assert_true(addr_equal(&p->src, &ip->src));
	assert_true(addr_equal(&p->dst, &ip->dst));
	assert_int_equal(p->ttl, ip->ttl);
	assert_int_equal(p->tos, ip->tos);
	assert_int_equal(p->df, ip->df || ip->src.version == IPV6);
	assert_int_equal(p->proto, proto);
	assert_false(p->is_fragment);
}

static const size_t payload_lens[] = {0,    1,	  2,	3,     1399, 1400,
				      1401, 1460, 9001, 65000, 65455};

static uint8_t big[V + PKT_IP6_MAX + 64];
static uint8_t payload[PKT_IP6_MAX];

static int fill_payload(void **state)
{
	struct rng rng = rng_init("pkt payload");

	(void)state;
	rng_fill(&rng, payload, sizeof(payload));
	return 0;
}

static void assert_tcp_round_trip(int version, const struct pkt_tcp_params *tcp,
				  size_t len)
{
	struct pkt_ip_params ip = ip_params(version);
	uint16_t gso_size, hdr_len;
	struct pkt p;

	size_t headers = pkt_build_tcp(big, &ip, tcp, len);
	memcpy(big + headers, payload, len);
	memcpy(&hdr_len, big + 2, 2);
	memcpy(&gso_size, big + 4, 2);
	assert_int_equal(hdr_len, headers - V);
	bool is_super = tcp->gso_bytes > 0 && len > tcp->gso_bytes;
	assert_int_equal(gso_size, is_super ? tcp->gso_bytes : 0);
	assert_int_equal(big[1], !is_super ? 0 : version == 4 ? 1 : 4);

	assert_int_equal(pkt_parse(big, headers + len, &p), DROP_NONE);
	assert_true(p.csum_partial);
	complete_csum(big, headers + len);
	assert_int_equal(pkt_parse_ip(big + V, headers - V + len, &p),
			 DROP_NONE);
	pkt_check(&p, big + V, headers - V + len);
	assert_int_equal(p.ip_len, headers - V + len);
	assert_ip_fields(&p, &ip, PKT_PROTO_TCP);
	assert_int_equal(p.tcp.src_port, tcp->src_port);
	assert_int_equal(p.tcp.dst_port, tcp->dst_port);
	assert_int_equal(p.tcp.seq, tcp->seq);
	assert_int_equal(p.tcp.ack, tcp->ack);
	assert_int_equal(p.tcp.flags, tcp->flags);
	assert_int_equal(p.tcp.window, tcp->window);
	bool is_syn = tcp->flags & TCP_SYN;
	assert_int_equal(p.tcp.mss_bytes, is_syn ? tcp->mss_bytes : 0);
	assert_int_equal(p.tcp.window_scale, is_syn ? tcp->window_scale : -1);
	assert_ptr_equal(p.payload, big + headers);
	assert_int_equal(p.payload_len, len);
}

static void pkt_build_tcp_parses_back(void **state)
{
	struct pkt_tcp_params tcp = {
		.src_port = 443,
		.dst_port = 65535,
		.seq = 0xffffffff,
		.ack = 0x80000000,
		.flags = TCP_ACK | TCP_PSH,
		.window = 65535,
		.window_scale = -1,
		.gso_bytes = 1400,
	};

	(void)state;
	for (int version = 4; version <= 6; version += 2)
		for (size_t i = 0; i < sizeof(payload_lens) / sizeof(size_t);
		     i++)
			assert_tcp_round_trip(version, &tcp, payload_lens[i]);
	assert_tcp_round_trip(4, &tcp, PKT_IP_MAX - 40);
	assert_tcp_round_trip(6, &tcp, PKT_IP_MAX - 60);
	tcp.gso_bytes = 0;
	assert_tcp_round_trip(4, &tcp, PKT_IP_MAX - 40);
}

static void pkt_build_tcp_writes_the_options_asked_for(void **state)
{
	static const uint16_t mss[] = {0, 1, 536, 1460, 65535};
	static const int8_t scales[] = {-1, 0, 7, 14};
	struct pkt_tcp_params tcp = {.src_port = 1, .dst_port = 2};

	(void)state;
	for (int version = 4; version <= 6; version += 2)
		for (size_t i = 0; i < 5 * 4; i++) {
			tcp.flags = i % 2 ? TCP_SYN | TCP_ACK : TCP_SYN;
			tcp.mss_bytes = mss[i / 4];
			tcp.window_scale = scales[i % 4];
			assert_tcp_round_trip(version, &tcp, 0);
			tcp.flags = TCP_ACK; /* ignored by the parser */
			assert_tcp_round_trip(version, &tcp, 3);
		}
}

static void pkt_build_udp_parses_back(void **state)
{
	struct pkt p;

	(void)state;
	for (int version = 4; version <= 6; version += 2)
		for (size_t i = 0; i <= sizeof(payload_lens) / sizeof(size_t);
		     i++) {
			struct pkt_ip_params ip = ip_params(version);
			size_t most = version == 4 ? 65507 : 65527;
			size_t len = i < sizeof(payload_lens) / sizeof(size_t)
					     ? payload_lens[i]
					     : most;

			ip.df = i % 2;
			size_t headers =
				pkt_build_udp(big, &ip, 53, 0xfff0, len);
			memcpy(big + headers, payload, len);
			assert_int_equal(big[1], 0); /* no GSO */
			assert_int_equal(pkt_parse(big, headers + len, &p),
					 DROP_NONE);
			complete_csum(big, headers + len);
			assert_int_equal(
				pkt_parse_ip(big + V, headers - V + len, &p),
				DROP_NONE);
			assert_ip_fields(&p, &ip, PKT_PROTO_UDP);
			assert_int_equal(p.udp.src_port, 53);
			assert_int_equal(p.udp.dst_port, 0xfff0);
			assert_ptr_equal(p.payload, big + headers);
			assert_int_equal(p.payload_len, len);
		}
}

static void pkt_build_echo_reply_parses_back(void **state)
{
	struct pkt p;

	(void)state;
	for (int version = 4; version <= 6; version += 2)
		for (size_t i = 0; i < sizeof(payload_lens) / sizeof(size_t);
		     i++) {
			struct pkt_ip_params ip = ip_params(version);
			size_t len = payload_lens[i];
			size_t headers = pkt_build_echo_reply(
				big, &ip, 0xffff, 0x8001, payload, len);

			memcpy(big + headers, payload, len);
			assert_int_equal(pkt_parse(big, headers + len, &p),
					 DROP_NONE);
			assert_ip_fields(&p, &ip,
					 version == 4 ? PKT_PROTO_ICMP
						      : PKT_PROTO_ICMP6);
			assert_int_equal(p.icmp.type, version == 4 ? 0 : 129);
			assert_int_equal(p.icmp.code, 0);
			assert_int_equal(p.icmp.id, 0xffff);
			assert_int_equal(p.icmp.seq, 0x8001);
			assert_ptr_equal(p.payload, big + headers);
			assert_int_equal(p.payload_len, len);
			uint8_t *l4 = big + (p.l4 - big);
			unsigned right = ref_get16(l4 + 2);
			ref_fix_l4(big + V, p.proto, l4, p.l4_len);
			assert_int_equal(ref_get16(l4 + 2), right);
		}
}

static void pkt_build_ip_sets_id_and_df(void **state)
{
	struct pkt_ip_params ip = ip_params(4);
	uint8_t out[PKT_HEADERS_MAX];

	(void)state;
	ip.id = 0x1234;
	assert_int_equal(pkt_build_ip(out, &ip, 47, 1000), 20);
	assert_int_equal(ref_get16(out + 2), 1020);
	assert_int_equal(ref_get16(out + 4), 0x1234);
	assert_int_equal(ref_get16(out + 6), 0x4000);
	assert_int_equal(ref_sum(0, out, 20), 0xffff);
	ip.df = false;
	assert_int_equal(pkt_build_ip(out, &ip, 47, PKT_IP_MAX - 20), 20);
	assert_int_equal(ref_get16(out + 2), PKT_IP_MAX);
	assert_int_equal(ref_get16(out + 6), 0);
	ip = ip_params(6);
	assert_int_equal(pkt_build_ip(out, &ip, 47, 65535), 40);
	assert_int_equal(ref_get16(out + 4), 65535);
	assert_int_equal(out[6], 47);
}

/* ---- ICMP errors ---- */

static void pkt_build_icmp_error_quotes_as_much_as_allowed(void **state)
{
	static const struct {
		int version;
		size_t quoted, quote;
	} cases[] = {
		{4, 20, 20},	 {4, 28, 28},	   {4, 29, 29},
		{4, 547, 547},	 {4, 548, 548},	   {4, 549, 548},
		{4, 1500, 548},	 {4, 65535, 548},  {6, 40, 40},
		{6, 48, 48},	 {6, 1231, 1231},  {6, 1232, 1232},
		{6, 1233, 1232}, {6, 65575, 1232},
	};
	uint8_t out[V + 1280];
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int version = cases[i].version;
		struct pkt_ip_params ip = ip_params(version);
		struct icmp_error error = icmp_error_make(
			(enum ip_version)version, ICMP_MEANS_PORT_UNREACH, 0);
		size_t len = pkt_build_icmp_error(out, &ip, &error, payload,
						  cases[i].quoted);

		assert_int_equal(pkt_parse(out, len, &p), DROP_NONE);
		assert_int_equal(p.ip_len, len - V);
		assert_true(p.ip_len <= (version == 4 ? 576 : 1280));
		assert_ip_fields(&p, &ip, version == 4 ? 1 : 58);
		assert_int_equal(p.icmp.type, version == 4 ? 3 : 1);
		assert_int_equal(p.icmp.code, version == 4 ? 3 : 4);
		assert_int_equal(p.payload_len, cases[i].quote);
		assert_memory_equal(p.payload, payload, cases[i].quote);
	}
}

struct info_case {
	int version;
	uint8_t type, code;
	uint32_t info;
	uint32_t word; /* as read from bytes 4..7 of the ICMP header */
};

static void pkt_build_icmp_error_puts_info_in_its_field(void **state)
{
	static const struct info_case cases[] = {
		{4, 3, 4, 1400, 1400},
		{4, 3, 4, 65535, 65535},
		{4, 3, 1, 1400, 0},
		{4, 11, 0, 7, 0},
		{4, 12, 0, 9, 9U << 24},
		{6, 2, 0, 1280, 1280},
		{6, 2, 0, UINT32_MAX, UINT32_MAX},
		{6, 4, 1, 6, 6},
		{6, 1, 0, 1400, 0},
		{6, 3, 0, 1400, 0},
	};
	uint8_t out[V + 1280];
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct info_case *c = &cases[i];
		struct pkt_ip_params ip = ip_params(c->version);
		struct icmp_error error = {c->type, c->code, c->info};
		size_t len =
			pkt_build_icmp_error(out, &ip, &error, payload, 60);

		assert_int_equal(pkt_parse(out, len, &p), DROP_NONE);
		assert_int_equal((uint32_t)p.icmp.id << 16 | p.icmp.seq,
				 c->word);
	}
}

static void icmp_error_make_follows_the_rfcs(void **state)
{
	static const struct {
		enum icmp_meaning meaning;
		uint32_t info;
		struct icmp_error v4, v6;
	} cases[] = {
		{ICMP_MEANS_NET_UNREACH, 5, {3, 0, 0}, {1, 0, 0}},
		{ICMP_MEANS_HOST_UNREACH, 5, {3, 1, 0}, {1, 3, 0}},
		{ICMP_MEANS_PORT_UNREACH, 5, {3, 3, 0}, {1, 4, 0}},
		{ICMP_MEANS_PROTO_UNREACH, 48, {3, 2, 0}, {4, 1, 48}},
		{ICMP_MEANS_ADMIN_PROHIBITED, 5, {3, 13, 0}, {1, 1, 0}},
		{ICMP_MEANS_TOO_BIG, 1400, {3, 4, 1400}, {2, 0, 1400}},
		{ICMP_MEANS_TOO_BIG, 65536, {3, 4, 65535}, {2, 0, 65536}},
		{ICMP_MEANS_TTL_EXCEEDED, 5, {11, 0, 0}, {3, 0, 0}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int version = 4; version <= 6; version += 2) {
			const struct icmp_error *want =
				version == 4 ? &cases[i].v4 : &cases[i].v6;
			struct icmp_error got = icmp_error_make(
				(enum ip_version)version, cases[i].meaning,
				cases[i].info);

			assert_int_equal(got.type, want->type);
			assert_int_equal(got.code, want->code);
			assert_int_equal(got.info, want->info);
			if (cases[i].meaning != ICMP_MEANS_TOO_BIG)
				assert_true(icmp_error_is_valid(
					(enum ip_version)version, &got));
		}
}

static void icmp_error_is_valid_for_errors_only(void **state)
{
	(void)state;
	for (unsigned type = 0; type <= 255; type++)
		for (unsigned code = 0; code <= 255; code++) {
			struct icmp_error error = {(uint8_t)type, (uint8_t)code,
						   1400};
			bool v4 = (type == 3 && code <= 15) ||
				  (type == 11 && code <= 1) ||
				  (type == 12 && code <= 2);
			bool v6 = (type == 1 && code <= 8) ||
				  (type == 2 && code == 0) ||
				  (type == 3 && code <= 1) ||
				  (type == 4 && code <= 10);

			assert_int_equal(icmp_error_is_valid(IPV4, &error), v4);
			assert_int_equal(icmp_error_is_valid(IPV6, &error), v6);
		}
}

static void icmp_error_is_valid_only_with_a_possible_mtu(void **state)
{
	static const struct {
		enum ip_version version;
		uint32_t mtu;
		bool is_valid;
	} cases[] = {
		{IPV4, 0, true},     {IPV4, 1, false},	  {IPV4, 67, false},
		{IPV4, 68, true},    {IPV4, 65535, true}, {IPV4, 65536, false},
		{IPV6, 0, false},    {IPV6, 1279, false}, {IPV6, 1280, true},
		{IPV6, 65575, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct icmp_error error = {3, 4, cases[i].mtu};

		if (cases[i].version == IPV6)
			error = (struct icmp_error){2, 0, cases[i].mtu};
		assert_int_equal(icmp_error_is_valid(cases[i].version, &error),
				 cases[i].is_valid);
	}
}

/* ---- names ---- */

static void drop_reasons_have_distinct_names(void **state)
{
	(void)state;
	for (int a = DROP_NONE; a < DROP__N; a++) {
		const char *name = drop_reason_name((enum drop_reason)a);

		assert_string_not_equal(name, "unknown");
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"),
				 strlen(name));
		for (int b = DROP_NONE; b < a; b++)
			assert_string_not_equal(
				name, drop_reason_name((enum drop_reason)b));
	}
	assert_string_equal(drop_reason_name(DROP__N), "unknown");
	assert_string_equal(drop_reason_name((enum drop_reason) - 1),
			    "unknown");
}

/* ---- anything at all ---- */

static void pkt_parse_survives_random_mutation(void **state)
{
	struct rng rng = rng_init("pkt mutation");
	struct packet raw;
	size_t n_accepted = 0;
	struct pkt p;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		int version = rng_below(&rng, 2) ? 4 : 6;

		if (rng_below(&rng, 3) == 0) {
			const struct chain_case *c = &chain_cases[rng_below(
				&rng,
				sizeof(chain_cases) / sizeof(*chain_cases))];
			raw.len = make_chain(&raw, c);
		} else {
			make_packet(&raw, (enum base)rng_below(&rng, 5),
				    version);
		}
		raw.buf[0] = rng_below(&rng, 2) ? 2 : 0; /* checksum verified */
		for (size_t k = rng_below(&rng, 4); k > 0; k--)
			raw.buf[rng_below(&rng, raw.len)] =
				(uint8_t)rng_next(&rng);
		if (raw.ip[0] >> 4 == 4 && rng_below(&rng, 4) > 0)
			ref_fix_ip4(raw.ip);
		if (rng_below(&rng, 4) == 0)
			raw.len = rng_below(&rng, raw.len + 1);
		n_accepted += parse(raw.buf, raw.len, &p) == DROP_NONE;
	}
	assert_in_range(n_accepted, 20000, 190000); /* not all alike */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pkt_parse_reads_ip_fields),
		cmocka_unit_test(pkt_parse_reads_transport_fields),
		cmocka_unit_test(pkt_parse_leaves_the_other_familys_icmp_alone),
		cmocka_unit_test(pkt_parse_ignores_bytes_behind_the_packet),
		cmocka_unit_test(pkt_parse_accepts_ip4_options),
		cmocka_unit_test(pkt_parse_masks_ecn_flags_of_a_syn),
		cmocka_unit_test(pkt_parse_refuses_what_the_table_says),
		cmocka_unit_test(
			pkt_parse_refuses_sources_that_differ_in_the_last_byte),
		cmocka_unit_test(pkt_parse_refuses_every_shorter_buffer),
		cmocka_unit_test(
			pkt_parse_refuses_every_shorter_transport_header),
		cmocka_unit_test(pkt_parse_clamps_window_scale_to_14),
		cmocka_unit_test(pkt_parse_checks_the_virtio_header),
		cmocka_unit_test(
			pkt_parse_tells_gso_bytes_of_udp_super_packets_only),
		cmocka_unit_test(pkt_parse_marks_ip4_fragments),
		cmocka_unit_test(pkt_parse_walks_ip6_extension_headers),
		cmocka_unit_test(pkt_parse_names_the_offset_of_the_protocol),
		cmocka_unit_test(pkt_parse_stops_at_headers_it_cannot_read),
		cmocka_unit_test(
			pkt_parse_refuses_extension_headers_that_are_cut),
		cmocka_unit_test(pkt_build_tcp_parses_back),
		cmocka_unit_test(pkt_build_tcp_writes_the_options_asked_for),
		cmocka_unit_test(pkt_build_udp_parses_back),
		cmocka_unit_test(pkt_build_echo_reply_parses_back),
		cmocka_unit_test(pkt_build_ip_sets_id_and_df),
		cmocka_unit_test(
			pkt_build_icmp_error_quotes_as_much_as_allowed),
		cmocka_unit_test(pkt_build_icmp_error_puts_info_in_its_field),
		cmocka_unit_test(icmp_error_make_follows_the_rfcs),
		cmocka_unit_test(icmp_error_is_valid_for_errors_only),
		cmocka_unit_test(icmp_error_is_valid_only_with_a_possible_mtu),
		cmocka_unit_test(drop_reasons_have_distinct_names),
		cmocka_unit_test(pkt_parse_survives_random_mutation),
	};

	return cmocka_run_group_tests(tests, fill_payload, NULL);
}
