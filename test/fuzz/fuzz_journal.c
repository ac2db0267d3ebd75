/* SPDX-License-Identifier: MIT */
/* fuzz_journal: what lies in a journal on disk: a head, then records. */
#include <string.h>

#include "fuzz.h"
#include "journal.h"

static void check_rule(const struct journal_record *record)
{
	struct journal_rule rule, again;
	uint8_t payload[JOURNAL_PAYLOAD_BYTES];

	if (journal_parse_rule(record->payload, &rule) < 0)
		return;
	assert_always(rule.kind < JOURNAL_RULE__N);
	assert_always(rule.version == IPV4 || rule.version == IPV6);
	assert_always(rule.remote.addr.version == 0 ||
		      rule.remote.addr.version == rule.version);
	journal_build_rule(&rule, payload);
	assert_always(journal_parse_rule(payload, &again) == 0);
	assert_always(endpoint_equal(&again.local, &rule.local) &&
		      endpoint_equal(&again.remote, &rule.remote) &&
		      again.priority == rule.priority && again.uid == rule.uid);
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
	check_rule(&record);
	struct journal_link link;
	if (journal_parse_link(record.payload, &link) == 0)
		assert_always(strlen(link.name) > 0 && strlen(link.name) < 16 &&
			      !strpbrk(link.name, "\"{};/ \n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (size_t at = 0; at + JOURNAL_BLOCK_BYTES <= size;
	     at += JOURNAL_BLOCK_BYTES)
		check(data + at);
	return 0;
}
