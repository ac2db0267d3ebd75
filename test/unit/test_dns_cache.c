/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "dns_cache.h"
#include "dns_msg.h"

#define NOW UINT64_C(1000000000)

struct fixture {
	struct dns_cache cache;
};

static int set_up(void **state)
{
	static struct fixture x;

	dns_cache_init(&x.cache);
	*state = &x;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;

	dns_cache_fini(&x->cache);
	return 0;
}

/* An answer of n_bytes of text, to a question for it. */
static size_t make_answer(uint8_t *out, const char *name, uint32_t ttl_s,
			  uint16_t n_bytes)
{
	size_t n = (size_t)dns_build_query(out, 7, name, (enum dns_type)16);
	uint8_t *record = out + n;

	bytes_put_u16(out + 2, DNS_FLAG_QR | DNS_FLAG_RA);
	bytes_put_u16(out + 6, 1);
	memset(record, 0, 12 + (size_t)n_bytes);
	bytes_put_u16(record, 0xc00c);
	bytes_put_u16(record + 2, 16);
	bytes_put_u16(record + 4, DNS_CLASS_IN);
	bytes_put_u32(record + 6, ttl_s);
	bytes_put_u16(record + 10, n_bytes);
	return n + 12 + n_bytes;
}

static void add(struct dns_cache *c, const char *name, uint32_t ttl_s,
		uint16_t n_bytes, mono_us_t now_us)
{
	static uint8_t answer[DNS_MESSAGE_MAX];
	struct dns_msg m;
	struct dns_key key;

	assert_int_equal(dns_parse(answer,
				   make_answer(answer, name, ttl_s, n_bytes),
				   &m),
			 0);
	dns_key_of(&key, &m);
	dns_cache_add(c, &key, &m, now_us);
}

static struct dns_key key_of(const char *name, uint16_t more_flags)
{
	uint8_t query[DNS_QUERY_MAX];
	struct dns_msg m;
	struct dns_key key;
	int n = dns_build_query(query, 9, name, (enum dns_type)16);

	bytes_put_u16(query + 2, DNS_FLAG_RD | more_flags);
	assert_int_equal(dns_parse(query, (size_t)n, &m), 0);
	dns_key_of(&key, &m);
	return key;
}

static const struct dns_entry *look(struct dns_cache *c, const char *name,
				    mono_us_t now_us)
{
	struct dns_key key = key_of(name, 0);

	return dns_cache_find(c, &key, now_us);
}

static void answers_are_found_whatever_their_letters(void **state)
{
	struct fixture *x = *state;

	add(&x->cache, "Host.Example", 60, 10, NOW);
	const struct dns_entry *e = look(&x->cache, "hOST.eXAMPLE", NOW);

	assert_non_null(e);
	assert_memory_equal(e->answer + DNS_HEADER_LEN, "\4Host\7Example", 13);
	assert_null(look(&x->cache, "other.example", NOW));
	assert_null(look(&x->cache, "example", NOW));
}

static void what_is_asked_for_otherwise_is_another_answer(void **state)
{
	struct fixture *x = *state;
	struct dns_key key = key_of("host", DNS_FLAG_CD);

	add(&x->cache, "host", 60, 10, NOW);
	assert_null(dns_cache_find(&x->cache, &key, NOW));
	key = key_of("host", 0);
	key.type = DNS_A;
	assert_null(dns_cache_find(&x->cache, &key, NOW));
}

static void answers_expire(void **state)
{
	struct fixture *x = *state;

	add(&x->cache, "host", 60, 10, NOW);
	assert_non_null(look(&x->cache, "host", NOW + 60 * US_PER_SEC - 1));
	assert_null(look(&x->cache, "host", NOW + 60 * US_PER_SEC));
	assert_int_equal(x->cache.entries.n, 0);
	assert_int_equal(x->cache.bytes, 0);

	add(&x->cache, "host", 0, 10, NOW);
	assert_int_equal(x->cache.entries.n, 0);

	/* However long it would be good. */
	add(&x->cache, "host", DNS_TTL_MAX_S, 10, NOW);
	assert_non_null(look(&x->cache, "host", NOW + 3599 * US_PER_SEC));
	assert_null(look(&x->cache, "host", NOW + 3600 * US_PER_SEC));
}

static void newer_answers_take_the_place(void **state)
{
	struct fixture *x = *state;

	add(&x->cache, "host", 60, 10, NOW);
	add(&x->cache, "host", 60, 20, NOW + 1);
	assert_int_equal(x->cache.entries.n, 1);
	assert_int_equal(look(&x->cache, "host", NOW + 1)->stored_us, NOW + 1);
	/* One that may not be kept leaves none: the old one was wrong. */
	add(&x->cache, "host", 0, 10, NOW + 2);
	assert_int_equal(x->cache.entries.n, 0);
}

static void the_one_unused_for_longest_goes(void **state)
{
	struct fixture *x = *state;
	char name[32];

	for (unsigned i = 0; i < DNS_CACHE_ENTRIES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "h%u", i);
		add(&x->cache, name, 60, 10, NOW);
	}
	assert_int_equal(x->cache.entries.n, DNS_CACHE_ENTRIES_MAX);
	assert_non_null(look(&x->cache, "h0", NOW));
	add(&x->cache, "new", 60, 10, NOW);
	assert_int_equal(x->cache.entries.n, DNS_CACHE_ENTRIES_MAX);
	assert_non_null(look(&x->cache, "h0", NOW));
	assert_null(look(&x->cache, "h1", NOW));
	assert_non_null(look(&x->cache, "h2", NOW));
}

static void bytes_have_a_limit(void **state)
{
	struct fixture *x = *state;
	char name[32];

	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "h%u", i);
		add(&x->cache, name, 60, 15000, NOW);
		assert_true(x->cache.bytes <= DNS_CACHE_BYTES_MAX);
	}
	assert_true(x->cache.bytes > DNS_CACHE_BYTES_MAX - 16000);
	size_t n = x->cache.entries.n;

	add(&x->cache, "long", 60, DNS_CACHE_ANSWER_MAX, NOW);
	assert_null(look(&x->cache, "long", NOW));
	assert_int_equal(x->cache.entries.n, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			answers_are_found_whatever_their_letters, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_asked_for_otherwise_is_another_answer, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(answers_expire, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(newer_answers_take_the_place,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_one_unused_for_longest_goes,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(bytes_have_a_limit, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
