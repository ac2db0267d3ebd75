/* SPDX-License-Identifier: MIT */
/* test_vnet: offload fields against the packet they come with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "reference.h"
#include "vnet.h"

enum {
	V = PKT_VNET_LEN,
	ESP = 50,
	GRE = 47,
	NOBODY = 253,
	PARTIAL = VNET_FLAG_PARTIAL,
};

struct raw {
	uint8_t buf[V + 4000];
	uint8_t *ip, *l4;
	size_t ip_len, l4_len;
};

/* A packet of one protocol with so much payload.  The transport checksum is
 * left wrong: nobody here is to look at it. */
static void make_raw(struct raw *r, int version, uint8_t proto, size_t payload)
{
	size_t head = version == 4 ? REF_IP4_LEN : REF_IP6_LEN;

	memset(r, 0, sizeof(*r));
	r->ip = r->buf + V;
	r->l4 = r->ip + head;
	r->l4_len = payload + (proto == REF_TCP ? 20 : 8);
	r->ip_len = head + r->l4_len;
	memset(r->l4, 0x55, r->l4_len);
	if (proto == REF_TCP) {
		r->l4[12] = 0x50;
		r->l4[13] = TCP_ACK;
	} else if (proto == REF_UDP) {
		ref_put16(r->l4 + 4, r->l4_len);
	}
	(void)ref_put_ip(r->ip, version, proto, r->l4_len);
}

static struct frame_packet plain(const struct raw *r)
{
	return (struct frame_packet){.ip = r->ip, .ip_len = r->ip_len};
}

/* Check a copy that ends where the packet ends, for the sanitizer. */
static enum drop_reason check(struct frame_packet p)
{
	uint8_t *copy = malloc(p.ip_len);

	assert_non_null(copy);
	memcpy(copy, p.ip, p.ip_len);
	p.ip = copy;
	enum drop_reason reason = vnet_check(&p);
	free(copy);
	return reason;
}

static void any_protocol_passes_without_offload(void **state)
{
	static const uint8_t protos[] = {REF_ICMP,  REF_TCP, REF_UDP, GRE,
					 REF_ICMP6, ESP,     NOBODY};
	struct raw r;

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		for (size_t i = 0; i < sizeof(protos); i++) {
			make_raw(&r, version, protos[i], 100);
			assert_int_equal(check(plain(&r)), DROP_NONE);
		}
	}
}

static void fragments_pass_without_offload_only(void **state)
{
	static const uint16_t frags[] = {0x2000, 0x2010, 0x0010};
	struct raw r;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		make_raw(&r, 4, REF_UDP, 1000);
		ref_put16(r.ip + 6, frags[i]);
		ref_fix_ip4(r.ip);
		struct frame_packet p = plain(&r);
		assert_int_equal(check(p), DROP_NONE);
		p.flags = PARTIAL;
		p.csum_start = 20;
		p.csum_offset = 6;
		assert_int_equal(check(p), DROP_BAD_VNET_HDR);
		p.gso_type = VNET_TYPE_UDP;
		p.gso_size = 100;
		p.hdr_len = 28;
		assert_int_equal(check(p), DROP_BAD_VNET_HDR);
	}
}

static void lengths_that_lie_are_refused(void **state)
{
	struct raw r;

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		make_raw(&r, version, REF_TCP, 100);
		struct frame_packet p = plain(&r);
		p.ip_len++;
		assert_int_equal(check(p), DROP_BAD_LENGTH);
		p.ip_len -= 2;
		assert_int_equal(check(p), DROP_TRUNCATED);
		p.ip_len = 1;
		assert_int_equal(check(p), DROP_TRUNCATED);
		make_raw(&r, version, REF_UDP, 100);
		ref_put16(r.l4 + 4, r.l4_len + 1);
		assert_int_equal(check(plain(&r)), DROP_BAD_LENGTH);
	}
	make_raw(&r, 4, GRE, 10);
	r.ip[10] ^= 1;
	assert_int_equal(check(plain(&r)), DROP_BAD_CHECKSUM);
	r.ip[0] = 0x50;
	assert_int_equal(check(plain(&r)), DROP_BAD_VERSION);
}

struct offload {
	const char *what;
	int version;
	uint8_t proto, flags, type;
	uint16_t hdr_len, size, start, offset;
	enum drop_reason reason;
};

#define BAD DROP_BAD_VNET_HDR

/* The payload is of 1000 bytes. */
/* clang-format off */
static const struct offload offloads[] = {
	{"partial", 4, REF_TCP, 1, 0, 0, 0, 20, 16, DROP_NONE},
	{"partial", 6, REF_TCP, 1, 0, 60, 0, 40, 16, DROP_NONE},
	{"partial", 4, REF_UDP, 1, 0, 0, 0, 20, 6, DROP_NONE},
	{"partial", 4, REF_ICMP, 1, 0, 0, 0, 20, 2, DROP_NONE},
	{"partial", 6, REF_ICMP6, 1, 0, 0, 0, 40, 2, DROP_NONE},
	{"partial", 4, GRE, 1, 0, 0, 0, 20, 4, DROP_NONE},
	{"into the IP header", 4, GRE, 1, 0, 0, 0, 0, 16, BAD},
	{"into the IP header", 4, REF_TCP, 1, 0, 0, 0, 0, 16, BAD},
	{"behind the packet", 4, GRE, 1, 0, 0, 0, 20, 1007, BAD},
	{"far behind", 4, GRE, 1, 0, 0, 0, 65535, 65535, BAD},
	{"not its field", 4, REF_TCP, 1, 0, 0, 0, 20, 6, BAD},
	{"not its field", 6, REF_UDP, 1, 0, 0, 0, 40, 16, BAD},
	{"of the other version", 4, REF_UDP, 1, 0, 0, 0, 40, 6, BAD},
	{"not partial", 4, REF_TCP, 0, 0, 0, 0, 20, 16, BAD},
	{"not partial", 4, REF_TCP, 0, 0, 0, 0, 0, 16, BAD},
	{"unknown flag", 4, REF_TCP, 2, 0, 0, 0, 0, 0, BAD},
	{"unknown flag", 4, REF_TCP, 0x81, 0, 0, 0, 20, 16, BAD},
	{"size without type", 4, REF_TCP, 1, 0, 0, 100, 20, 16, BAD},
	{"headers behind the packet", 4, REF_TCP, 0, 0, 1041, 0, 0, 0, BAD},
	{"TCP4", 4, REF_TCP, 1, 1, 40, 100, 20, 16, DROP_NONE},
	{"TCP4, ECN", 4, REF_TCP, 1, 0x81, 40, 100, 20, 16, DROP_NONE},
	{"TCP6", 6, REF_TCP, 1, 4, 60, 999, 40, 16, DROP_NONE},
	{"TCP6, ECN", 6, REF_TCP, 1, 0x84, 60, 100, 40, 16, DROP_NONE},
	{"UDP4", 4, REF_UDP, 1, 5, 28, 100, 20, 6, DROP_NONE},
	{"UDP6", 6, REF_UDP, 1, 5, 48, 100, 40, 6, DROP_NONE},
	{"long header", 4, REF_TCP, 1, 1, 1040, 100, 20, 16, DROP_NONE},
	{"too long a header", 4, REF_TCP, 1, 1, 1041, 100, 20, 16, BAD},
	{"short header", 4, REF_TCP, 1, 1, 39, 100, 20, 16, BAD},
	{"no header", 6, REF_TCP, 1, 4, 0, 100, 40, 16, BAD},
	{"size 0", 4, REF_TCP, 1, 1, 40, 0, 20, 16, BAD},
	{"not cut", 4, REF_TCP, 1, 1, 40, 1000, 20, 16, BAD},
	{"not cut", 4, REF_UDP, 1, 5, 28, 65535, 20, 6, BAD},
	{"not partial", 4, REF_TCP, 0, 1, 40, 100, 0, 0, BAD},
	{"TCP6 on IPv4", 4, REF_TCP, 1, 4, 40, 100, 20, 16, BAD},
	{"TCP4 on IPv6", 6, REF_TCP, 1, 1, 60, 100, 40, 16, BAD},
	{"TCP4 on UDP", 4, REF_UDP, 1, 1, 40, 100, 20, 6, BAD},
	{"UDP on TCP", 4, REF_TCP, 1, 5, 40, 100, 20, 16, BAD},
	{"UDP, ECN", 4, REF_UDP, 1, 0x85, 28, 100, 20, 6, BAD},
	{"ECN alone", 4, REF_TCP, 1, 0x80, 40, 100, 20, 16, BAD},
	{"UFO", 4, REF_UDP, 1, 3, 28, 100, 20, 6, BAD},
	{"type 2", 4, REF_TCP, 1, 2, 40, 100, 20, 16, BAD},
	{"too many datagrams", 4, REF_UDP, 1, 5, 28, 7, 20, 6, BAD},
	{"as many as may be", 4, REF_UDP, 1, 5, 28, 8, 20, 6, DROP_NONE},
	{"GRE", 4, GRE, 1, 1, 40, 100, 20, 4, BAD},
};
/* clang-format on */

static void offload_must_fit_the_packet(void **state)
{
	struct raw r;

	(void)state;
	for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++) {
		const struct offload *o = &offloads[i];
		make_raw(&r, o->version, o->proto, 1000);
		struct frame_packet p = {o->flags, o->type,  o->hdr_len,
					 o->size,  o->start, o->offset,
					 r.ip,	   r.ip_len};
		enum drop_reason reason = check(p);
		if (reason != o->reason)
			fail_msg("%s, IPv%d: %s instead of %s", o->what,
				 o->version, drop_reason_name(reason),
				 drop_reason_name(o->reason));
	}
}

static void super_packets_have_no_syn_or_rst(void **state)
{
	static const struct {
		uint8_t flags;
		enum drop_reason reason;
	} cases[] = {{TCP_ACK | TCP_PSH | TCP_FIN, DROP_NONE},
		     {TCP_SYN, BAD},
		     {TCP_ACK | TCP_RST, BAD}};
	struct raw r;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		make_raw(&r, 4, REF_TCP, 1000);
		r.l4[13] = cases[i].flags;
		struct frame_packet p = {1, 1, 40, 100, 20, 16, r.ip, r.ip_len};
		assert_int_equal(check(p), cases[i].reason);
	}
}

static void extension_headers_are_walked(void **state)
{
	struct raw r;

	(void)state;
	make_raw(&r, 6, REF_TCP, 1000);
	/* destination options of 8 bytes before the TCP header */
	memmove(r.l4 + 8, r.l4, r.l4_len);
	memset(r.l4, 0, 8);
	r.l4[0] = REF_TCP;
	r.ip[6] = 60;
	ref_put16(r.ip + 4, r.l4_len + 8);
	r.ip_len += 8;
	struct frame_packet p = {1, 4, 68, 100, 48, 16, r.ip, r.ip_len};
	assert_int_equal(check(p), DROP_NONE);
	p.csum_start = 40;
	assert_int_equal(check(p), DROP_BAD_VNET_HDR);
	p.csum_start = 48;
	p.hdr_len = 60;
	assert_int_equal(check(p), DROP_BAD_VNET_HDR);
	r.l4[1] = 200; /* longer than the packet */
	assert_int_equal(check(p), DROP_BAD_OPTION);
}

static enum drop_reason parse(const struct raw *r, const struct frame_packet *o,
			      size_t more, struct frame_packet *ret)
{
	static uint8_t buf[V + 4000];

	vnet_build(buf, o);
	memcpy(buf + V, r->ip, r->ip_len);
	return vnet_parse(buf, V + r->ip_len + more, ret, NULL);
}

static void kernel_hints_are_put_right(void **state)
{
	struct raw r;
	struct frame_packet p;

	(void)state;
	make_raw(&r, 4, REF_TCP, 1000);
	struct frame_packet o = {
		.flags = 1,
		.gso_type = 1,
		.hdr_len = 900, /* the linear part */
		.gso_size = 100,
		.csum_start = 20,
		.csum_offset = 16,
	};
	assert_int_equal(parse(&r, &o, 0, &p), DROP_NONE);
	assert_int_equal(p.hdr_len, 40);
	assert_int_equal(p.gso_size, 100);
	assert_int_equal(check(p), DROP_NONE);
	/* shorter than a segment: an ordinary packet */
	o.gso_size = 1000;
	assert_int_equal(parse(&r, &o, 0, &p), DROP_NONE);
	assert_int_equal(p.gso_type, 0);
	assert_int_equal(p.gso_size, 0);
	assert_int_equal(p.flags, 1);
	assert_int_equal(check(p), DROP_NONE);
	/* nothing of what another flag means is passed on */
	o = (struct frame_packet){.flags = 2, .hdr_len = 77};
	assert_int_equal(parse(&r, &o, 9, &p), DROP_NONE);
	assert_int_equal(p.flags, 0);
	assert_int_equal(p.hdr_len, 0);
	assert_int_equal(p.ip_len, r.ip_len);
	assert_int_equal(check(p), DROP_NONE);
}

static void what_is_wrong_at_the_device_is_refused(void **state)
{
	struct raw r;
	struct frame_packet p;
	uint8_t buf[V] = {0};

	(void)state;
	make_raw(&r, 4, REF_TCP, 1000);
	struct frame_packet o = {.flags = 1, .gso_type = 1, .gso_size = 0};
	assert_int_equal(parse(&r, &o, 0, &p), DROP_BAD_VNET_HDR);
	o.gso_size = 10; /* checksum at 0 */
	assert_int_equal(parse(&r, &o, 0, &p), DROP_BAD_VNET_HDR);
	assert_int_equal(vnet_parse(buf, V - 1, &p, NULL), DROP_TRUNCATED);
	assert_int_equal(vnet_parse(buf, V, &p, NULL), DROP_TRUNCATED);
}

static void header_survives_the_device(void **state)
{
	struct raw r;
	struct frame_packet p;

	(void)state;
	make_raw(&r, 6, REF_UDP, 1000);
	struct frame_packet o = {1, 5, 48, 100, 40, 6, r.ip, r.ip_len};
	assert_int_equal(parse(&r, &o, 0, &p), DROP_NONE);
	assert_int_equal(p.flags, o.flags);
	assert_int_equal(p.gso_type, o.gso_type);
	assert_int_equal(p.hdr_len, o.hdr_len);
	assert_int_equal(p.gso_size, o.gso_size);
	assert_int_equal(p.csum_start, o.csum_start);
	assert_int_equal(p.csum_offset, o.csum_offset);
	assert_int_equal(p.ip_len, o.ip_len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_protocol_passes_without_offload),
		cmocka_unit_test(fragments_pass_without_offload_only),
		cmocka_unit_test(lengths_that_lie_are_refused),
		cmocka_unit_test(offload_must_fit_the_packet),
		cmocka_unit_test(super_packets_have_no_syn_or_rst),
		cmocka_unit_test(extension_headers_are_walked),
		cmocka_unit_test(kernel_hints_are_put_right),
		cmocka_unit_test(what_is_wrong_at_the_device_is_refused),
		cmocka_unit_test(header_survives_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
