/* SPDX-License-Identifier: MIT */
/* rung: the choice, for every combination of facts that matters. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rung.h"

enum { ALL = (1 << RUNG_FACT__N) - 1 };

#define NOT(fact) (1U << (fact))

/* Facts that are all there but those of a set. */
static struct rung_facts lacking(unsigned missing)
{
	struct rung_facts facts = {0};

	for (unsigned i = 0; i < RUNG_FACT__N; i++)
		facts.state[i] = missing & NOT(i) ? RUNG_NO : RUNG_YES;
	return facts;
}

static void choice_is_the_best_possible(void **state)
{
	static const struct {
		unsigned missing;
		enum rung rung;
	} cases[] = {
		{0, RUNG_HELPER_PACKETS},
		{NOT(RUNG_FAR_PRIVILEGE), RUNG_HELPER},
		{NOT(RUNG_FAR_TUN), RUNG_HELPER},
		{NOT(RUNG_FAR_NAT), RUNG_HELPER},
		{NOT(RUNG_MUX), RUNG_HELPER_PACKETS},
		{NOT(RUNG_MUX) | NOT(RUNG_FAR_PRIVILEGE), RUNG_HELPER},
		{NOT(RUNG_FORWARDING) | NOT(RUNG_TUNNEL), RUNG_HELPER_PACKETS},
		{NOT(RUNG_EXEC), RUNG_TUN},
		{NOT(RUNG_HELPER_FITS), RUNG_TUN},
		{NOT(RUNG_EXEC) | NOT(RUNG_FORWARDING), RUNG_TUN},
		{NOT(RUNG_EXEC) | NOT(RUNG_TUNNEL), RUNG_DIRECT},
		{NOT(RUNG_HELPER_FITS) | NOT(RUNG_TUNNEL), RUNG_DIRECT},
		{NOT(RUNG_EXEC) | NOT(RUNG_MUX), RUNG_NONE},
		{NOT(RUNG_EXEC) | NOT(RUNG_TUNNEL) | NOT(RUNG_FORWARDING),
		 RUNG_NONE},
		{NOT(RUNG_NEAR_TUN), RUNG_SOCKS},
		{NOT(RUNG_NEAR_TUN) | NOT(RUNG_EXEC), RUNG_SOCKS},
		{NOT(RUNG_NEAR_TUN) | NOT(RUNG_FORWARDING), RUNG_SOCKS},
		{NOT(RUNG_NEAR_TUN) | NOT(RUNG_MUX), RUNG_SOCKS},
		{NOT(RUNG_NEAR_TUN) | NOT(RUNG_EXEC) | NOT(RUNG_FORWARDING),
		 RUNG_NONE},
		{NOT(RUNG_NEAR_TUN) | NOT(RUNG_HELPER_FITS) | NOT(RUNG_MUX),
		 RUNG_NONE},
		{NOT(RUNG_SSH), RUNG_NONE},
		{ALL, RUNG_NONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rung_facts facts = lacking(cases[i].missing);

		assert_string_equal(rung_name(rung_choose(&facts)),
				    rung_name(cases[i].rung));
	}
}

/* Over all combinations: what is chosen is possible, nothing better is, and
 * whatever more is missing never makes it better. */
static void choice_is_consistent(void **state)
{
	(void)state;
	for (unsigned missing = 0; missing <= ALL; missing++) {
		struct rung_facts facts = lacking(missing);
		enum rung rung = rung_choose(&facts);

		assert_true(rung_is_possible(rung, &facts));
		for (unsigned r = 0; r < (unsigned)rung; r++)
			assert_false(rung_is_possible((enum rung)r, &facts));
		for (unsigned i = 0; i < RUNG_FACT__N; i++) {
			struct rung_facts fewer = lacking(missing | NOT(i));

			assert_true(rung_choose(&fewer) >= rung);
		}
		assert_int_equal(rung_choose_in_mode(&facts, RUNG_MODE_AUTO),
				 rung);
		assert_true(rung_choose_far(&facts) != RUNG_SOCKS);
	}
}

static void unknown_facts_are_hoped_for(void **state)
{
	struct rung_facts facts = {0};

	(void)state;
	assert_int_equal(rung_choose(&facts), RUNG_HELPER_PACKETS);
	facts.state[RUNG_FAR_PRIVILEGE] = RUNG_NO;
	assert_int_equal(rung_choose(&facts), RUNG_HELPER);
	facts.state[RUNG_EXEC] = RUNG_NO;
	assert_int_equal(rung_choose(&facts), RUNG_TUN);
	facts.state[RUNG_TUNNEL] = RUNG_NO;
	assert_int_equal(rung_choose(&facts), RUNG_DIRECT);
	facts.state[RUNG_FORWARDING] = RUNG_NO;
	assert_int_equal(rung_choose(&facts), RUNG_NONE);
}

static void mode_keeps_to_its_rungs(void **state)
{
	struct rung_facts all = lacking(0);
	struct rung_facts plain = lacking(NOT(RUNG_FAR_PRIVILEGE));
	struct rung_facts no_exec = lacking(NOT(RUNG_EXEC));
	struct rung_facts no_near = lacking(NOT(RUNG_NEAR_TUN));

	(void)state;
	assert_int_equal(rung_choose_in_mode(&all, RUNG_MODE_HELPER),
			 RUNG_HELPER_PACKETS);
	assert_int_equal(rung_choose_in_mode(&plain, RUNG_MODE_HELPER),
			 RUNG_HELPER);
	assert_int_equal(rung_choose_in_mode(&no_exec, RUNG_MODE_HELPER),
			 RUNG_NONE);
	assert_int_equal(rung_choose_in_mode(&all, RUNG_MODE_TUN), RUNG_TUN);
	assert_int_equal(rung_choose_in_mode(&all, RUNG_MODE_DIRECT),
			 RUNG_DIRECT);
	assert_int_equal(rung_choose_in_mode(&all, RUNG_MODE_SOCKS),
			 RUNG_SOCKS);
	assert_int_equal(rung_choose_in_mode(&no_near, RUNG_MODE_SOCKS),
			 RUNG_SOCKS);
	assert_int_equal(rung_choose_in_mode(&no_near, RUNG_MODE_DIRECT),
			 RUNG_NONE);
	assert_int_equal(rung_choose_far(&no_near), RUNG_HELPER_PACKETS);
}

static void names_are_read_back(void **state)
{
	enum rung_mode mode;

	(void)state;
	for (unsigned i = 0; i < RUNG_MODE__N; i++) {
		assert_int_equal(
			rung_mode_parse(rung_mode_name((enum rung_mode)i),
					&mode),
			0);
		assert_int_equal(mode, i);
	}
	assert_int_equal(rung_mode_parse("", &mode), -EINVAL);
	assert_int_equal(rung_mode_parse("Auto", &mode), -EINVAL);
	assert_int_equal(rung_mode_parse("helper+packets", &mode), -EINVAL);
}

static void reasons_are_those_of_higher_rungs(void **state)
{
	struct rung_facts facts =
		lacking(NOT(RUNG_FAR_PRIVILEGE) | NOT(RUNG_FORWARDING));
	const char *why[RUNG_SENTENCES_MAX];

	(void)state;
	assert_int_equal(rung_choose(&facts), RUNG_HELPER);
	/* Forwarding would not make it better. */
	assert_int_equal(rung_why_not_higher(&facts, RUNG_HELPER, why), 1);
	assert_string_equal(why[0], rung_fact_why(&facts, RUNG_FAR_PRIVILEGE));
	facts.why[RUNG_FAR_PRIVILEGE] = "told more exactly";
	(void)rung_why_not_higher(&facts, RUNG_HELPER, why);
	assert_string_equal(why[0], "told more exactly");

	facts = lacking(ALL);
	assert_int_equal(rung_why_not_higher(&facts, RUNG_NONE, why), 1);
	assert_string_equal(why[0], rung_fact_why(&facts, RUNG_SSH));
}

static bool has(const char *const *list, size_t n, const char *what)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], what) == 0)
			return true;
	return false;
}

static void what_is_not_carried_depends_on_the_rung(void **state)
{
	struct rung_facts facts = lacking(0);
	const char *what[RUNG_SENTENCES_MAX];
	size_t n;

	(void)state;
	assert_int_equal(rung_not_carried(&facts, RUNG_HELPER_PACKETS, what),
			 0);
	n = rung_not_carried(&facts, RUNG_DIRECT, what);
	assert_true(has(what, n, "UDP other than DNS"));
	n = rung_not_carried(&facts, RUNG_SOCKS, what);
	assert_false(has(what, n, "UDP other than DNS"));
	facts = lacking(NOT(RUNG_EXEC));
	n = rung_not_carried(&facts, RUNG_SOCKS, what);
	assert_true(has(what, n, "UDP other than DNS"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(choice_is_the_best_possible),
		cmocka_unit_test(choice_is_consistent),
		cmocka_unit_test(unknown_facts_are_hoped_for),
		cmocka_unit_test(mode_keeps_to_its_rungs),
		cmocka_unit_test(names_are_read_back),
		cmocka_unit_test(reasons_are_those_of_higher_rungs),
		cmocka_unit_test(what_is_not_carried_depends_on_the_rung),
	};

	return cmocka_run_group_tests_name("rung", tests, NULL, NULL);
}
