/* SPDX-License-Identifier: MIT */
/* test_csum: src/wire/csum against a naive sum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "csum.h"
#include "reference.h"

static unsigned as_number(be16_t v)
{
	return be16_get(v);
}

static unsigned sum_of(const uint8_t *p, size_t len)
{
	return as_number(csum_fold(csum_add(0, p, len)));
}

/* Two representations of zero are one sum. */
static void assert_same_sum(unsigned a, unsigned b)
{
	assert_int_equal(a % 0xffff, b % 0xffff);
}

static void csum_of_rfc_1071_example_is_ddf2(void **state)
{
	static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03,
					  0xf4, 0xf5, 0xf6, 0xf7};

	(void)state;
	assert_int_equal(sum_of(example, sizeof(example)), 0xddf2);
	assert_int_equal(
		as_number(csum_finish(csum_add(0, example, sizeof(example)))),
		0x220d);
}

static void csum_of_nothing_is_ffff(void **state)
{
	(void)state;
	assert_int_equal(as_number(csum_finish(csum_add(0, "", 0))), 0xffff);
}

static void csum_equals_reference_at_every_length_and_alignment(void **state)
{
	struct rng rng = rng_init("csum");
	uint8_t buf[160 + 16];

	(void)state;
	rng_fill(&rng, buf, sizeof(buf));
	for (size_t at = 0; at < 16; at++)
		for (size_t len = 0; len <= 160; len++)
			assert_same_sum(sum_of(buf + at, len),
					ref_sum(0, buf + at, len));
}

static void csum_does_not_overflow_on_64k_of_ones(void **state)
{
	static uint8_t buf[65575];

	(void)state;
	memset(buf, 0xff, sizeof(buf));
	for (size_t len = sizeof(buf) - 40; len <= sizeof(buf); len++)
		assert_same_sum(sum_of(buf, len), ref_sum(0, buf, len));
}

static void csum_carries_in_every_word(void **state)
{
	static const uint16_t words[] = {0x0000, 0x0001, 0x7fff,
					 0x8000, 0xfffe, 0xffff};
	enum { N = sizeof(words) / sizeof(words[0]) };
	uint8_t buf[64];

	(void)state;
	for (size_t a = 0; a < N; a++)
		for (size_t b = 0; b < N; b++) {
			for (size_t i = 0; i < sizeof(buf); i += 2)
				ref_put16(buf + i, words[i % 4 ? a : b]);
			for (size_t len = 0; len <= sizeof(buf); len++)
				assert_same_sum(sum_of(buf, len),
						ref_sum(0, buf, len));
		}
}

static void csum_of_pieces_is_csum_of_the_whole(void **state)
{
	struct rng rng = rng_init("csum pieces");
	uint8_t buf[999];

	(void)state;
	rng_fill(&rng, buf, sizeof(buf));
	for (size_t cut = 0; cut < sizeof(buf); cut += 2) {
		uint64_t sum = csum_add(0, buf, cut);

		sum = csum_add(sum, buf + cut, sizeof(buf) - cut);
		assert_same_sum(as_number(csum_fold(sum)),
				ref_sum(0, buf, sizeof(buf)));
	}
}

static void csum_pseudo_equals_reference(void **state)
{
	static const size_t lens[] = {0, 1, 20, 255, 256, 65515, 65535};
	static const uint8_t protos[] = {REF_TCP, REF_UDP, REF_ICMP6, 255};
	uint8_t ip[REF_IP6_LEN];

	(void)state;
	for (int version = 4; version <= 6; version += 2)
		for (size_t i = 0; i < 7 * 4; i++) {
			size_t len = lens[i / 4];
			uint8_t proto = protos[i % 4];

			(void)ref_put_ip(ip, version, proto, 0);
			struct ip_addr src =
				addr_make((enum ip_version)version,
					  ip + (version == 4 ? 12 : 8));
			struct ip_addr dst =
				addr_make((enum ip_version)version,
					  ip + (version == 4 ? 16 : 24));
			uint64_t sum = csum_pseudo(&src, &dst, proto, len);
			assert_same_sum(as_number(csum_fold(sum)),
					ref_pseudo_sum(ip, proto, len));
		}
}

static void csum_in_place_makes_the_sum_right(void **state)
{
	struct rng rng = rng_init("csum in place");
	uint8_t buf[60];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		size_t len = 20 + rng_below(&rng, sizeof(buf) - 20);

		rng_fill(&rng, buf, len);
		memset(buf + 10, 0, 2);
		be16_t csum = csum_finish(csum_add(0, buf, len));
		memcpy(buf + 10, &csum, 2);
		assert_true(csum_is_right(csum_add(0, buf, len)));
		buf[rng_below(&rng, 10)] ^= 1;
		assert_false(csum_is_right(csum_add(0, buf, len)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(csum_of_rfc_1071_example_is_ddf2),
		cmocka_unit_test(csum_of_nothing_is_ffff),
		cmocka_unit_test(
			csum_equals_reference_at_every_length_and_alignment),
		cmocka_unit_test(csum_does_not_overflow_on_64k_of_ones),
		cmocka_unit_test(csum_carries_in_every_word),
		cmocka_unit_test(csum_of_pieces_is_csum_of_the_whole),
		cmocka_unit_test(csum_pseudo_equals_reference),
		cmocka_unit_test(csum_in_place_makes_the_sum_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
