/* SPDX-License-Identifier: MIT */
/* test_gso: super-packets cut, and put together again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gso_check.h"
#include "reference.h"

enum {
	ACK = 0x10,
	PSH = 8,
	FIN = 1,
	CWR = 0x80,
	SEQ = 0xfffff000, /* wraps */
	TIMESTAMPS_LEN = 12,
};

struct super {
	uint8_t ip[PKT_IP6_MAX];
	struct frame_packet packet;
};

/* A super-packet of one protocol; its checksum field is noise. */
static void make_super(struct super *s, int version, uint8_t proto,
		       uint8_t flags, size_t payload_len, uint16_t step,
		       struct rng *rng)
{
	size_t ip_len = version == 4 ? REF_IP4_LEN : REF_IP6_LEN;
	size_t head = proto == REF_TCP ? 20 + TIMESTAMPS_LEN : 8;
	uint8_t *l4 = s->ip + ip_len;

	rng_fill(rng, l4, head + payload_len);
	(void)ref_put_ip(s->ip, version, proto, head + payload_len);
	if (version == 4) {
		ref_put16(s->ip + 4, 0xfffe); /* wraps, too */
		ref_fix_ip4(s->ip);
	}
	if (proto == REF_TCP) {
		static const uint8_t timestamps[] = {1, 1, 8, 10};

		ref_put32(l4 + 4, SEQ);
		l4[12] = (20 + TIMESTAMPS_LEN) / 4 << 4;
		l4[13] = flags;
		memcpy(l4 + 20, timestamps, 4);
	} else {
		ref_put16(l4 + 4, head + payload_len);
	}
	s->packet = (struct frame_packet){
		.flags = VNET_FLAG_PARTIAL,
		.gso_type = proto == REF_UDP ? VNET_TYPE_UDP
			    : version == 4   ? VNET_TYPE_TCP4
					     : VNET_TYPE_TCP6,
		.hdr_len = (uint16_t)(ip_len + head),
		.gso_size = step,
		.csum_start = (uint16_t)ip_len,
		.csum_offset = (uint16_t)ref_csum_offset(proto),
		.ip = s->ip,
		.ip_len = ip_len + head + payload_len,
	};
}

static void segments_are_the_super_packet_again(void **state)
{
	static const struct {
		size_t len;
		uint16_t step;
		unsigned n;
	} cases[] = {
		{2, 1, 2},	   {1001, 1000, 2},   {2000, 1000, 2},
		{2999, 1000, 3},   {64000, 1460, 44}, {65400, 536, 123},
		{65000, 64999, 2},
	};
	static struct super s;
	struct rng rng = rng_init("gso");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int version = 4; version <= 6; version += 2) {
			make_super(&s, version, REF_TCP, ACK | PSH,
				   cases[i].len, cases[i].step, &rng);
			assert_int_equal(gso_check(&s.packet, true),
					 cases[i].n);
		}
	}
}

static void random_super_packets_survive(void **state)
{
	static const uint8_t flags[] = {ACK, ACK | PSH, ACK | FIN,
					ACK | PSH | FIN};
	static struct super s;
	struct rng rng = rng_init("gso at random");

	(void)state;
	for (int i = 0; i < 300; i++) {
		int version = rng_below(&rng, 2) ? 4 : 6;
		size_t len = 2 + rng_below(&rng, i % 10 ? 5000 : 65400);
		size_t step = 1 + rng_below(&rng, len - 1);

		make_super(&s, version, REF_TCP, flags[rng_below(&rng, 4)], len,
			   (uint16_t)step, &rng);
		assert_int_equal(gso_check(&s.packet, true),
				 (len + step - 1) / step);
		step = len / 100 + 1 + rng_below(&rng, len);
		if (step >= len)
			continue;
		make_super(&s, version, REF_UDP, 0, len, (uint16_t)step, &rng);
		assert_int_equal(gso_check(&s.packet, false),
				 (len + step - 1) / step);
	}
}

static void segments_have_what_is_theirs(void **state)
{
	static struct super s;
	static uint8_t out[PKT_IP6_MAX];
	struct rng rng = rng_init("segments");
	struct gso_cut c;

	(void)state;
	make_super(&s, 4, REF_TCP, ACK | PSH | FIN | CWR, 2500, 1000, &rng);
	assert_int_equal(gso_cut_init(&c, &s.packet), DROP_NONE);
	assert_int_equal(gso_cut_longest(&c), 1052);
	for (unsigned i = 0; i < 3; i++) {
		size_t len = gso_cut_next(&c, out);

		assert_int_equal(len, i < 2 ? 1052 : 552);
		assert_int_equal(ref_get16(out + 2), len);
		assert_int_equal(ref_get16(out + 4), (0xfffe + i) & 0xffff);
		assert_int_equal(ref_sum(0, out, 20), 0xffff);
		assert_int_equal(ref_get16(out + 24) << 16 |
					 ref_get16(out + 26),
				 SEQ + i * 1000);
		assert_int_equal(out[33], ACK | (i == 0 ? CWR : 0) |
						  (i == 2 ? PSH | FIN : 0));
		assert_int_equal(ref_sum(ref_pseudo_sum(out, REF_TCP, len - 20),
					 out + 20, len - 20),
				 0xffff);
	}
	assert_int_equal(gso_cut_next(&c, out), 0);
}

/* Split p into pieces of at most max_bytes: these cut are p cut.  Returns the
 * number of pieces. */
static unsigned check_split(const struct frame_packet *p, size_t max_bytes)
{
	static uint8_t buf[PKT_IP6_MAX], a[PKT_IP6_MAX], b[PKT_IP6_MAX];
	struct gso_cut whole, rest, cut;
	struct frame_packet piece;
	unsigned n = 0;
	size_t len;

	assert_int_equal(gso_cut_init(&whole, p), DROP_NONE);
	assert_int_equal(gso_cut_init(&rest, p), DROP_NONE);
	while (gso_split_next(&rest, max_bytes, buf, &piece)) {
		n++;
		assert_true(piece.ip_len <= max_bytes ||
			    piece.gso_type == VNET_TYPE_NONE);
		assert_int_equal(gso_cut_init(&cut, &piece), DROP_NONE);
		while ((len = gso_cut_next(&cut, a)) > 0) {
			assert_int_equal(gso_cut_next(&whole, b), len);
			assert_memory_equal(a, b, len);
		}
	}
	assert_int_equal(gso_cut_next(&whole, b), 0);
	return n;
}

static void pieces_have_the_segments_of_the_whole(void **state)
{
	static struct super s;
	struct rng rng = rng_init("pieces");

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		size_t head = version == 4 ? 52 : 72;

		make_super(&s, version, REF_TCP, ACK | PSH | FIN | CWR, 10500,
			   1000, &rng);
		s.packet.gso_type |= VNET_TYPE_ECN;
		assert_int_equal(check_split(&s.packet, 0), 11);
		assert_int_equal(check_split(&s.packet, head + 1000), 11);
		assert_int_equal(check_split(&s.packet, head + 1999), 11);
		assert_int_equal(check_split(&s.packet, head + 2000), 6);
		assert_int_equal(check_split(&s.packet, head + 5999), 3);
		assert_int_equal(check_split(&s.packet, 65536), 1);
		make_super(&s, version, REF_UDP, 0, 10500, 1000, &rng);
		assert_int_equal(check_split(&s.packet, 4000), 4);
	}
	for (int i = 0; i < 200; i++) {
		size_t len = 2 + rng_below(&rng, 60000);
		size_t step = len / 100 + 1 + rng_below(&rng, len);

		if (step >= len)
			continue;
		make_super(&s, rng_below(&rng, 2) ? 4 : 6,
			   rng_below(&rng, 2) ? REF_TCP : REF_UDP, ACK | PSH,
			   len, (uint16_t)step, &rng);
		(void)check_split(&s.packet, rng_below(&rng, 65536));
	}
}

static void ordinary_packet_gets_its_checksum(void **state)
{
	static const uint8_t protos[] = {REF_TCP, REF_UDP, REF_ICMP};
	static struct super s;
	static uint8_t out[PKT_IP6_MAX];
	struct rng rng = rng_init("checksum");
	struct gso_cut c;
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < sizeof(protos); i++) {
		uint8_t proto = protos[i];
		uint8_t *l4 = s.ip + 20;

		make_super(&s, 4, proto == REF_ICMP ? REF_UDP : proto, ACK, 777,
			   1, &rng);
		s.packet.gso_type = 0;
		s.packet.gso_size = s.packet.hdr_len = 0;
		s.packet.csum_offset = (uint16_t)ref_csum_offset(proto);
		s.ip[9] = proto;
		ref_fix_ip4(s.ip);
		ref_put16(l4 + ref_csum_offset(proto),
			  proto == REF_ICMP
				  ? 0
				  : ref_pseudo_sum(s.ip, proto,
						   s.packet.ip_len - 20));
		assert_int_equal(gso_cut_init(&c, &s.packet), DROP_NONE);
		assert_int_equal(gso_cut_next(&c, out), s.packet.ip_len);
		assert_int_equal(pkt_parse_ip(out, s.packet.ip_len, &p),
				 DROP_NONE);
		assert_int_equal(gso_cut_next(&c, out), 0);
	}
}

static void datagram_never_has_a_checksum_of_0(void **state)
{
	static struct super s;
	static uint8_t out[PKT_IP6_MAX];
	struct rng rng = rng_init("0");
	struct gso_cut c;

	(void)state;
	make_super(&s, 6, REF_UDP, 0, 8, 4, &rng);
	/* each half sums up to 0xffff with the headers that it will have */
	for (size_t at = 48; at < 56; at += 4) {
		uint8_t l4[12] = {0};

		memcpy(l4, s.ip + 40, 4);
		ref_put16(l4 + 4, 12);
		memcpy(l4 + 10, s.ip + at + 2, 2);
		ref_put16(s.ip + at,
			  0xffff ^ ref_sum(ref_pseudo_sum(s.ip, REF_UDP, 12),
					   l4, 12));
	}
	assert_int_equal(gso_cut_init(&c, &s.packet), DROP_NONE);
	while (gso_cut_next(&c, out) > 0)
		assert_int_equal(ref_get16(out + 46), 0xffff);
	assert_int_equal(c.n, 2);
}

static void packet_without_offload_is_copied(void **state)
{
	static struct super s;
	static uint8_t out[PKT_IP6_MAX];
	struct rng rng = rng_init("copy");
	struct gso_cut c;

	(void)state;
	make_super(&s, 6, REF_TCP, ACK, 100, 1, &rng);
	struct frame_packet p = {.ip = s.ip, .ip_len = s.packet.ip_len};
	assert_int_equal(gso_cut_init(&c, &p), DROP_NONE);
	assert_int_equal(gso_cut_next(&c, out), p.ip_len);
	assert_memory_equal(out, s.ip, p.ip_len);
	p.gso_type = VNET_TYPE_TCP6;
	assert_int_equal(gso_cut_init(&c, &p), DROP_BAD_VNET_HDR);
}

/* ---- what must not come together ---- */

static size_t cut_one(const struct super *s, unsigned n, uint8_t *out)
{
	struct gso_cut c;
	size_t len = 0;

	assert_int_equal(gso_cut_init(&c, &s->packet), DROP_NONE);
	for (unsigned i = 0; i <= n; i++)
		len = gso_cut_next(&c, out);
	return len;
}

struct change {
	const char *what;
	size_t at; /* in the IPv4 packet */
	uint8_t xor ;
	bool is_taken;
};

static const struct change changes[] = {
	{"nothing", 0, 0, true},
	{"traffic class", 1, 4, false},
	{"identification", 5, 1, false},
	{"DF", 6, 0x40, false},
	{"TTL", 8, 1, false},
	{"source", 15, 1, false},
	{"destination", 19, 1, false},
	{"source port", 21, 1, false},
	{"destination port", 23, 1, false},
	{"sequence number", 27, 1, false},
	{"acknowledgment", 31, 1, false},
	{"SYN", 33, 2, false},
	{"RST", 33, 4, false},
	{"PSH", 33, PSH, true},
	{"FIN", 33, FIN, true},
	{"URG", 33, 0x20, false},
	{"ECE", 33, 0x40, false},
	{"CWR", 33, CWR, false},
	{"window", 35, 1, false},
	{"timestamp", 45, 1, false},
};

static void only_what_belongs_together_comes_together(void **state)
{
	static struct super s;
	static struct gro g;
	uint8_t a[2000], b[2000];
	struct rng rng = rng_init("changes");
	struct frame_packet p;

	(void)state;
	make_super(&s, 4, REF_TCP, ACK, 3000, 1000, &rng);
	size_t len = cut_one(&s, 0, a);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *c = &changes[i];

		assert_int_equal(cut_one(&s, 1, b), len);
		b[c->at] ^= c->xor ;
		ref_fix_ip4(b);
		ref_fix_l4(b, REF_TCP, b + 20, len - 20);
		gro_init(&g);
		assert_true(gro_push(&g, a, len));
		if (gro_push(&g, b, len) != c->is_taken)
			fail_msg("%s", c->what);
		assert_true(gro_take(&g, &p));
		assert_int_equal(p.ip_len, c->is_taken ? len + 1000 : len);
		if (!c->is_taken)
			assert_memory_equal(p.ip, a, len);
		assert_false(gro_take(&g, &p));
	}
}

static void wrong_checksums_are_not_hidden(void **state)
{
	static struct super s;
	static struct gro g;
	uint8_t a[2000];
	struct rng rng = rng_init("wrong");

	(void)state;
	make_super(&s, 4, REF_TCP, ACK, 3000, 1000, &rng);
	size_t len = cut_one(&s, 0, a);
	a[len - 1] ^= 1;
	gro_init(&g);
	assert_false(gro_push(&g, a, len));
}

static void end_of_a_row_ends_it(void **state)
{
	static const uint8_t flags[] = {PSH, FIN};
	static struct super s;
	static struct gro g;
	uint8_t out[2000];
	struct rng rng = rng_init("end");

	(void)state;
	for (int i = 0; i < 3; i++) {
		make_super(&s, 4, REF_TCP, ACK, 4000, 1000, &rng);
		gro_init(&g);
		for (unsigned n = 0; n < 3; n++) {
			size_t len = cut_one(&s, n, out);
			if (n == 1 && i < 2)
				out[33] |= flags[i];
			if (n == 1 && i == 2) {
				len--; /* shorter than the first */
				ref_put16(out + 2, len);
				ref_fix_ip4(out);
			} else if (n == 2 && i == 2) {
				ref_put32(out + 24, (uint32_t)SEQ + 1999);
			}
			ref_fix_l4(out, REF_TCP, out + 20, len - 20);
			assert_int_equal(gro_push(&g, out, len), n < 2);
		}
	}
}

static void row_is_as_long_as_a_packet_can_be(void **state)
{
	static struct super s;
	static struct gro g;
	static uint8_t a[PKT_IP6_MAX];
	struct rng rng = rng_init("long");
	struct frame_packet p;
	unsigned n = 0;

	(void)state;
	make_super(&s, 4, REF_TCP, ACK, 64000, 1000, &rng);
	size_t len = cut_one(&s, 0, a);
	gro_init(&g);
	while (gro_push(&g, a, len)) {
		n++;
		ref_put16(a + 4, ref_get16(a + 4) + 1U);
		ref_put32(a + 24, SEQ + n * 1000);
		ref_fix_ip4(a);
		ref_fix_l4(a, REF_TCP, a + 20, len - 20);
	}
	assert_int_equal(n, 65);
	assert_true(gro_take(&g, &p));
	assert_int_equal(p.ip_len, 65052);
	assert_int_equal(vnet_check(&p), DROP_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_are_the_super_packet_again),
		cmocka_unit_test(random_super_packets_survive),
		cmocka_unit_test(segments_have_what_is_theirs),
		cmocka_unit_test(pieces_have_the_segments_of_the_whole),
		cmocka_unit_test(ordinary_packet_gets_its_checksum),
		cmocka_unit_test(datagram_never_has_a_checksum_of_0),
		cmocka_unit_test(packet_without_offload_is_copied),
		cmocka_unit_test(only_what_belongs_together_comes_together),
		cmocka_unit_test(wrong_checksums_are_not_hidden),
		cmocka_unit_test(end_of_a_row_ends_it),
		cmocka_unit_test(row_is_as_long_as_a_packet_can_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
