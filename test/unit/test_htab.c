/* SPDX-License-Identifier: MIT */
/* test_htab: src/base/htab against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "htab.h"
#include "list.h"
#include "reference.h"

enum { N = 5000 };

struct item {
	struct htab_node node;
	uint32_t key;
	bool is_in;
	unsigned visits;
};

static struct item *find(const struct htab *t, uint32_t key, uint64_t hash)
{
	struct htab_node *node = htab_find(t, hash);

	for (; node; node = htab_next(node)) {
		struct item *item = container_of(node, struct item, node);

		if (item->key == key)
			return item;
	}
	return NULL;
}

static void empty_table_needs_no_storage(void **state)
{
	struct htab t = {0};

	(void)state;
	assert_null(htab_find(&t, 7));
	assert_null(htab_any(&t));
	assert_null(t.buckets);
	htab_fini(&t);
	htab_fini(&t);
}

static void no_two_integers_share_a_hash(void **state)
{
	(void)state;
	/* The factor is odd, so multiplying by it can be undone. */
	uint64_t inverse = UINT64_C(0xf1de83e19937733d);
	assert_int_equal(inverse * UINT64_C(0x9e3779b97f4a7c15), 1);
	for (uint32_t key = 0; key < 100000; key += 7)
		assert_int_equal(htab_hash_u32(key) * inverse, key);
}

/* Ids grow by 2: they must not pile up. */
static void stream_ids_spread_over_the_buckets(void **state)
{
	static struct item items[4096];
	struct htab t = {0};
	size_t longest = 0;

	(void)state;
	for (uint32_t i = 0; i < 4096; i++) {
		items[i].key = 2 * i + 1;
		items[i].node.hash = htab_hash_u32(items[i].key);
		assert_int_equal(htab_add(&t, &items[i].node), 0);
	}
	for (size_t i = 0; i < t.n_buckets; i++) {
		size_t n = 0;

		for (struct htab_node *at = t.buckets[i]; at; at = at->next)
			n++;
		longest = n > longest ? n : longest;
	}
	assert_in_range(longest, 1, 8);
	htab_fini(&t);
}

static void nodes_of_one_hash_are_all_found(void **state)
{
	struct item items[100];
	struct htab t = {0};

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		items[i].key = i;
		items[i].node.hash = i % 3;
		assert_int_equal(htab_add(&t, &items[i].node), 0);
	}
	for (uint32_t i = 0; i < 100; i++)
		assert_ptr_equal(find(&t, i, i % 3), &items[i]);
	assert_null(find(&t, 0, 1));
	for (uint32_t i = 0; i < 100; i += 2)
		htab_del(&t, &items[i].node);
	for (uint32_t i = 0; i < 100; i++)
		assert_ptr_equal(find(&t, i, i % 3), i % 2 ? &items[i] : NULL);
	assert_int_equal(t.n, 50);
	htab_fini(&t);
}

static void count_visit(struct htab_node *node, void *ctx)
{
	(void)ctx;
	container_of(node, struct item, node)->visits++;
}

static void delete_odd(struct htab_node *node, void *ctx)
{
	struct item *item = container_of(node, struct item, node);

	item->visits++;
	if (item->key % 2 == 0)
		return;
	htab_del(ctx, node);
	item->is_in = false;
}

static void each_visits_every_node_once_and_may_delete_it(void **state)
{
	static struct item items[N];
	struct htab t = {0};

	(void)state;
	htab_each(&t, count_visit, NULL);
	for (uint32_t i = 0; i < N; i++) {
		items[i].key = i;
		items[i].is_in = true;
		items[i].node.hash = htab_hash_u32(i);
		assert_int_equal(htab_add(&t, &items[i].node), 0);
	}
	htab_each(&t, delete_odd, &t);
	htab_each(&t, count_visit, NULL);
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(items[i].visits, i % 2 ? 1 : 2);
	size_t n = 0;
	for (struct htab_node *node; (node = htab_any(&t)); n++)
		htab_del(&t, node);
	assert_int_equal(n, N / 2);
	assert_int_equal(t.n, 0);
	htab_fini(&t);
}

static void table_equals_an_array_under_random_use(void **state)
{
	static struct item items[N];
	struct rng rng = rng_init("htab");
	struct htab t = {0};
	size_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < N; i++) {
		items[i].key = i;
		items[i].is_in = false;
		/* Few hashes, so that chains are walked. */
		items[i].node.hash = rng_next(&rng) % 1000 << 25;
	}
	for (int round = 0; round < 200000; round++) {
		struct item *item = &items[rng_below(&rng, N)];

		if (item->is_in) {
			htab_del(&t, &item->node);
			n--;
		} else {
			assert_int_equal(htab_add(&t, &item->node), 0);
			n++;
		}
		item->is_in = !item->is_in;
		struct item *other = &items[rng_below(&rng, N)];
		assert_ptr_equal(find(&t, other->key, other->node.hash),
				 other->is_in ? other : NULL);
		assert_int_equal(t.n, n);
	}
	htab_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_table_needs_no_storage),
		cmocka_unit_test(no_two_integers_share_a_hash),
		cmocka_unit_test(stream_ids_spread_over_the_buckets),
		cmocka_unit_test(nodes_of_one_hash_are_all_found),
		cmocka_unit_test(each_visits_every_node_once_and_may_delete_it),
		cmocka_unit_test(table_equals_an_array_under_random_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
