/* SPDX-License-Identifier: MIT */
/* fuzz_journal: what lies in a journal on disk: a head, then records. */
#include <string.h>

#include "fuzz.h"
#include "journal.h"

static void check_change(const struct journal_record *record)
{
	struct journal_change change, again;
	struct journal_record copy;

	if (journal_parse_change(record, &change) < 0)
		return;
	assert_always(journal_build_change(&change, &copy));
	assert_always(journal_parse_change(&copy, &again) == 0);
	const struct journal_rule *a = &change.rule, *b = &again.rule;
	const char *name = change.link.name;
	if (change.kind != CHANGE_RULE) {
		assert_always(strlen(name) > 0 && strlen(name) < 16 &&
			      !strpbrk(name, "\"{};/ \n"));
		return;
	}
	assert_always(a->kind < JOURNAL_RULE__N);
	assert_always(a->version == IPV4 || a->version == IPV6);
	assert_always(a->remote.addr.version == 0 ||
		      a->remote.addr.version == a->version);
	assert_always(port_range_is_sound(&a->from));
	assert_always(journal_rule_equal(a, b) && a->priority == b->priority);
}

static void check(const uint8_t *block)
{
	uint8_t again[JOURNAL_BLOCK_BYTES];
	struct journal_head head;
	struct journal_record record;

	if (journal_parse_head(block, &head) == 0) {
		journal_build_head(&head, again);
		assert_always(journal_parse_head(again, &head) == 0);
	}
	if (journal_parse(block, &record) == 0) {
		journal_build(&record, again);
		assert_always(journal_parse(again, &record) == 0);
	}
	/* The checksum keeps a fuzzer out of what is behind it. */
	memcpy(record.payload, block, sizeof(record.payload));
	for (record.kind = 0; record.kind <= CHANGE__N; record.kind++)
		check_change(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (size_t at = 0; at + JOURNAL_BLOCK_BYTES <= size;
	     at += JOURNAL_BLOCK_BYTES)
		check(data + at);
	return 0;
}
