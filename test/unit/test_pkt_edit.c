/* SPDX-License-Identifier: MIT */
/* test_pkt_edit: changes in place, checked by taking the sums anew; quotes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mss_clamp.h"
#include "pkt_edit.h"
#include "reference.h"

static void hop_is_taken_off_with_a_right_sum(void **state)
{
	uint8_t ip[40];

	(void)state;
	for (unsigned ttl = 1; ttl < 256; ttl++) {
		for (unsigned id = 0; id < 65536; id += 771) {
			(void)ref_put_ip4(ip, 17, 0);
			ip[8] = (uint8_t)ttl;
			ref_put16(ip + 4, id);
			ref_fix_ip4(ip);
			pkt_edit_take_hop(ip);
			assert_int_equal(ip[8], ttl - 1);
			assert_int_equal(ref_sum(0, ip, 20), 0xffff);
		}
	}
	(void)ref_put_ip6(ip, 17, 0);
	pkt_edit_take_hop(ip);
	assert_int_equal(ip[7], 63);
}

static void ce_is_set_where_it_is_understood(void **state)
{
	uint8_t ip[48] = {0}, before[48];
	struct pkt p;

	(void)state;
	for (unsigned tos = 0; tos < 256; tos++) {
		bool ect = tos & 3;
		unsigned want = ect ? tos | 3 : tos;

		for (unsigned id = 0; id < 65536; id += 771) {
			(void)ref_put_ip4(ip, 47, 0);
			ip[1] = (uint8_t)tos;
			ref_put16(ip + 4, id);
			ref_fix_ip4(ip);
			assert_int_equal(pkt_edit_mark_ce(ip), ect);
			assert_int_equal(ip[1], want);
			assert_int_equal(ref_sum(0, ip, 20), 0xffff);
		}
		(void)ref_put_ip6(ip, 47, 8);
		ip[0] = (uint8_t)(0x60 | tos >> 4);
		ip[1] = (uint8_t)(tos << 4 | 0xa);
		memcpy(before, ip, sizeof(ip));
		assert_int_equal(pkt_edit_mark_ce(ip), ect);
		assert_int_equal(pkt_parse_ip(ip, sizeof(ip), &p), DROP_NONE);
		assert_int_equal(p.tos, want);
		assert_int_equal(ip[1] & 0xf, 0xa); /* the flow label */
		before[1] = ip[1];
		assert_memory_equal(ip, before, sizeof(ip));

		uint8_t class = (uint8_t)tos;
		assert_int_equal(pkt_edit_mark_ce_tos(&class), ect);
		assert_int_equal(class, want);
	}
}

/* A SYN with these options.  Returns its length. */
static size_t make_syn(uint8_t *ip, int version, const uint8_t *options,
		       size_t len, uint8_t flags)
{
	size_t at = ref_put_ip(ip, version, REF_TCP, 20 + len);
	uint8_t *l4 = ip + at;

	memset(l4, 0x5a, 20);
	l4[12] = (uint8_t)((20 + len) / 4 << 4);
	l4[13] = flags;
	memcpy(l4 + 20, options, len);
	ref_fix_l4(ip, REF_TCP, l4, 20 + len);
	return at + 20 + len;
}

static const uint8_t even[] = {2, 4, 0xff, 0xd7, 1, 3, 3, 7};
static const uint8_t odd[] = {1, 2, 4, 0xff, 0xd7, 3, 3, 7};
static const uint8_t twice[] = {2, 4, 0, 100, 2, 4, 0xff, 0xd7};

static void mss_is_lowered_to_what_fits(void **state)
{
	static const struct {
		const uint8_t *options;
		size_t at;
	} cases[] = {{even, 2}, {odd, 3}, {twice, 6}};
	uint8_t ip[100];
	struct pkt p;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (int version = 4; version <= 6; version += 2) {
			size_t len = make_syn(ip, version, cases[i].options, 8,
					      TCP_SYN | TCP_ACK);
			unsigned mss = version == 4 ? 1400 - 40 : 1400 - 60;

			assert_int_equal(pkt_parse_ip(ip, len, &p), DROP_NONE);
			assert_true(mss_clamp(ip, &p, 1400));
			assert_int_equal(ref_get16(p.l4 + 20 + cases[i].at),
					 mss);
			assert_int_equal(pkt_parse_ip(ip, len, &p), DROP_NONE);
			assert_int_equal(p.tcp.mss_bytes, mss);
			assert_false(mss_clamp(ip, &p, 1400));
			assert_false(mss_clamp(ip, &p, 9000));
		}
	}
}

static void other_segments_keep_their_options(void **state)
{
	static const uint8_t none[] = {1, 1, 1, 1, 3, 3, 7, 0};
	uint8_t ip[100], before[100];
	struct pkt p;

	(void)state;
	size_t len = make_syn(ip, 4, even, 8, TCP_ACK);
	memcpy(before, ip, len);
	assert_int_equal(pkt_parse_ip(ip, len, &p), DROP_NONE);
	assert_false(mss_clamp(ip, &p, 1400));
	assert_memory_equal(ip, before, len);
	len = make_syn(ip, 4, none, 8, TCP_SYN);
	assert_int_equal(pkt_parse_ip(ip, len, &p), DROP_NONE);
	assert_false(mss_clamp(ip, &p, 1400));
}

static void partial_checksum_is_left_alone(void **state)
{
	uint8_t ip[100];
	struct pkt p;

	(void)state;
	size_t len = make_syn(ip, 4, even, 8, TCP_SYN);
	assert_int_equal(pkt_parse_ip(ip, len, &p), DROP_NONE);
	p.csum_partial = true;
	unsigned before = ref_get16(ip + 36);
	assert_true(mss_clamp(ip, &p, 1400));
	assert_int_equal(ref_get16(ip + 36), before);
	assert_int_equal(ref_get16(ip + 42), 1360);
}

/* ---- quotes ---- */

/* An ICMP error about a packet of `quoted` bytes; returns its length. */
static size_t make_error(uint8_t *ip, int version, uint8_t type,
			 uint8_t quoted_proto, size_t quoted)
{
	uint8_t proto = version == 4 ? REF_ICMP : REF_ICMP6;
	size_t at = ref_put_ip(ip, version, proto, 8 + quoted);
	uint8_t *l4 = ip + at, quote[200] = {0};
	size_t head = ref_put_ip(quote, version, quoted_proto, 100);

	quote[head] = 8; /* echo request, or of a port */
	quote[head + 1] = 1;
	quote[head + 2] = 2;
	quote[head + 3] = 3;
	quote[head + 4] = 4;
	quote[head + 5] = 5;
	memset(l4, 0, 8);
	l4[0] = type;
	memcpy(l4 + 8, quote, quoted);
	ref_fix_l4(ip, proto, l4, 8 + quoted);
	return at + 8 + quoted;
}

static bool parse_error(uint8_t *ip, int version, uint8_t type,
			uint8_t quoted_proto, size_t quoted,
			struct pkt_quote *q)
{
	size_t len = make_error(ip, version, type, quoted_proto, quoted);
	struct pkt p;

	assert_int_equal(pkt_parse_ip(ip, len, &p), DROP_NONE);
	return pkt_edit_parse_quote(&p, q);
}

static void quote_names_the_flow(void **state)
{
	uint8_t ip[400];
	struct pkt_quote q;

	(void)state;
	assert_true(parse_error(ip, 4, 11, REF_UDP, 28, &q));
	assert_int_equal(q.proto, REF_UDP);
	assert_true(q.has_ports);
	assert_int_equal(q.src_port, 0x0801);
	assert_int_equal(q.dst_port, 0x0203);
	assert_memory_equal(q.src.bytes, ip + 12, 4);
	assert_memory_equal(q.dst.bytes, ip + 16, 4);
	assert_true(parse_error(ip, 4, 3, REF_ICMP, 28, &q));
	assert_true(q.has_echo);
	assert_int_equal(q.echo_id, 0x0405);
	assert_true(parse_error(ip, 6, 1, REF_TCP, 48, &q));
	assert_true(q.has_ports);
	assert_true(parse_error(ip, 4, 3, 47, 28, &q));
	assert_false(q.has_ports || q.has_echo);
}

static void quote_that_cannot_be_understood_is_refused(void **state)
{
	uint8_t ip[400];
	struct pkt_quote q;

	(void)state;
	assert_false(parse_error(ip, 4, 8, REF_UDP, 28, &q)); /* no error */
	assert_false(parse_error(ip, 4, 5, REF_UDP, 28, &q)); /* redirect */
	assert_false(parse_error(ip, 6, 137, REF_UDP, 48, &q));
	assert_false(parse_error(ip, 4, 3, REF_UDP, 19, &q));
	assert_false(parse_error(ip, 6, 1, REF_UDP, 39, &q));
	assert_false(parse_error(ip, 4, 3, REF_UDP, 0, &q));
	assert_true(parse_error(ip, 4, 3, REF_UDP, 27, &q));
	assert_false(q.has_ports);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hop_is_taken_off_with_a_right_sum),
		cmocka_unit_test(ce_is_set_where_it_is_understood),
		cmocka_unit_test(mss_is_lowered_to_what_fits),
		cmocka_unit_test(other_segments_keep_their_options),
		cmocka_unit_test(partial_checksum_is_left_alone),
		cmocka_unit_test(quote_names_the_flow),
		cmocka_unit_test(quote_that_cannot_be_understood_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
