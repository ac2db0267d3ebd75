/* SPDX-License-Identifier: MIT */
/* test_ring: src/base/ring against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "reference.h"
#include "ring.h"

/* The byte that belongs at an offset. */
static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset * 167 + (offset >> 8) * 13);
}

static void push_pattern(struct ring *r, size_t n)
{
	uint8_t *bytes = malloc(n + 1);

	assert_non_null(bytes);
	for (size_t i = 0; i < n; i++)
		bytes[i] = byte_at(r->end + i);
	assert_int_equal(ring_push(r, bytes, n), 0);
	free(bytes);
}

static void assert_pattern(const struct ring *r, uint64_t from, size_t n)
{
	struct iovec iov[2];
	int parts = ring_peek(r, from, n, iov);
	uint64_t at = from;

	assert_in_range(parts, n > 0, 2);
	for (int i = 0; i < parts; i++) {
		const uint8_t *p = iov[i].iov_base;

		assert_true(iov[i].iov_len > 0);
		for (size_t k = 0; k < iov[i].iov_len; k++, at++)
			assert_int_equal(p[k], byte_at(at));
	}
	assert_int_equal(at - from, n);
}

static void ring_starts_empty_and_without_storage(void **state)
{
	struct ring r = {0};
	struct iovec iov[2];

	(void)state;
	assert_int_equal(ring_len(&r), 0);
	assert_int_equal(ring_peek(&r, 0, 0, iov), 0);
	assert_int_equal(ring_reserve(&r, 0, iov), 0);
	assert_null(r.data);
	assert_int_equal(ring_trim(&r), 0);
	ring_fini(&r);
}

static void ring_keeps_bytes_across_growth_and_wrap(void **state)
{
	static const uint64_t starts[] = {0,
					  1,
					  2047,
					  2048,
					  UINT32_MAX - 5,
					  UINT32_MAX,
					  UINT32_MAX + UINT64_C(1),
					  UINT64_C(1) << 62};

	(void)state;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		struct ring r = {.start = starts[i], .end = starts[i]};

		push_pattern(&r, 1500);
		ring_drop(&r, starts[i] + 1400);
		push_pattern(&r, 1900); /* wraps in the first 2 KiB */
		assert_pattern(&r, r.start, ring_len(&r));
		push_pattern(&r, 5000); /* grows while wrapped */
		assert_pattern(&r, r.start, ring_len(&r));
		assert_int_equal(r.start, starts[i] + 1400);
		assert_int_equal(r.end, starts[i] + 8400);
		ring_fini(&r);
	}
}

static void ring_full_to_the_last_byte_does_not_grow(void **state)
{
	struct ring r = {0};

	(void)state;
	push_pattern(&r, 1);
	size_t cap = r.cap;
	push_pattern(&r, cap - 1);
	assert_int_equal(r.cap, cap);
	assert_int_equal(ring_len(&r), cap);
	assert_pattern(&r, 0, cap);
	ring_drop(&r, 1);
	push_pattern(&r, 1);
	assert_int_equal(r.cap, cap);
	assert_pattern(&r, 1, cap);
	push_pattern(&r, 1);
	assert_int_equal(r.cap, 2 * cap);
	assert_pattern(&r, 1, cap + 1);
	ring_fini(&r);
	struct ring exact = {0};
	push_pattern(&exact, 4 * cap);
	assert_int_equal(exact.cap, 4 * cap);
	ring_fini(&exact);
}

static void ring_commits_less_than_reserved(void **state)
{
	struct ring r = {.start = 2040, .end = 2040};
	struct iovec iov[2];

	(void)state;
	int parts = ring_reserve(&r, 100, iov);
	assert_int_equal(parts, 2); /* 2040..2048, then from the beginning */
	assert_int_equal(iov[0].iov_len, 8);
	assert_int_equal(iov[1].iov_len, 92);
	for (size_t i = 0; i < 8; i++)
		((uint8_t *)iov[0].iov_base)[i] = byte_at(2040 + i);
	((uint8_t *)iov[1].iov_base)[0] = byte_at(2048);
	ring_commit(&r, 9);
	assert_int_equal(ring_len(&r), 9);
	assert_pattern(&r, 2040, 9);
	ring_commit(&r, 0);
	assert_int_equal(ring_len(&r), 9);
	ring_fini(&r);
}

static void ring_peeks_any_part(void **state)
{
	struct ring r = {.start = 2000, .end = 2000};

	(void)state;
	push_pattern(&r, 300);
	for (uint64_t from = r.start; from <= r.end; from += 7)
		for (size_t n = 0; n <= r.end - from; n += 11)
			assert_pattern(&r, from, n);
	ring_fini(&r);
}

static void ring_takes_what_a_write_left(void **state)
{
	char text[] = "abcdefgh";
	const struct iovec iov[] = {{text, 3}, {text + 3, 0}, {text + 3, 5}};

	(void)state;
	for (size_t skip = 0; skip <= 8; skip++) {
		struct ring r = {0};
		struct iovec held[2];

		assert_int_equal(ring_push_rest(&r, iov, 3, skip), 0);
		assert_int_equal(ring_len(&r), 8 - skip);
		if (ring_peek(&r, 0, ring_len(&r), held) > 0)
			assert_memory_equal(held[0].iov_base, text + skip,
					    8 - skip);
		ring_fini(&r);
	}
}

static void ring_trim_gives_back_only_empty_storage(void **state)
{
	struct ring r = {.start = 77, .end = 77};

	(void)state;
	push_pattern(&r, 10000);
	size_t cap = r.cap;
	assert_int_equal(ring_trim(&r), 0);
	ring_drop(&r, r.end);
	assert_int_equal(r.cap, cap);
	assert_int_equal(ring_trim(&r), cap);
	assert_null(r.data);
	assert_int_equal(r.start, 10077);
	assert_int_equal(r.end, 10077);
	push_pattern(&r, 10); /* and goes on where it was */
	assert_pattern(&r, 10077, 10);
	ring_fini(&r);
	ring_fini(&r);
}

static void ring_equals_an_endless_array_under_random_use(void **state)
{
	struct rng rng = rng_init("ring");

	(void)state;
	for (int round = 0; round < 20; round++) {
		uint64_t start = rng_next(&rng) >> (rng_below(&rng, 62) + 2);
		struct ring r = {.start = start, .end = start};

		for (int i = 0; i < 500; i++) {
			size_t len = ring_len(&r);

			switch (rng_below(&rng, 4)) {
			case 0:
				push_pattern(&r, rng_below(&rng, 3000));
				break;
			case 1:
				ring_drop(&r,
					  r.start + rng_below(&rng, len + 1));
				break;
			case 2: {
				size_t skip = rng_below(&rng, len + 1);
				assert_pattern(&r, r.start + skip, len - skip);
				break;
			}
			default:
				(void)ring_trim(&r);
				break;
			}
			assert_true(ring_len(&r) <= r.cap);
		}
		assert_pattern(&r, r.start, ring_len(&r));
		ring_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_starts_empty_and_without_storage),
		cmocka_unit_test(ring_keeps_bytes_across_growth_and_wrap),
		cmocka_unit_test(ring_full_to_the_last_byte_does_not_grow),
		cmocka_unit_test(ring_commits_less_than_reserved),
		cmocka_unit_test(ring_peeks_any_part),
		cmocka_unit_test(ring_takes_what_a_write_left),
		cmocka_unit_test(ring_trim_gives_back_only_empty_storage),
		cmocka_unit_test(ring_equals_an_endless_array_under_random_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
