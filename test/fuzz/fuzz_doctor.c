/* SPDX-License-Identifier: MIT */
/*
 * fuzz_doctor: what a hostile far side tells the doctor.
 *
 * Input: a byte that says how the rest is split, then what is printed; each
 * line of it is given to the parser of ssh's log as well.  One piece and many
 * must give the same facts, and whatever is kept must be printable.
 */
#include <stdbool.h>
#include <string.h>

#include "err.h"
#include "far_checks.h"
#include "far_facts.h"
#include "fuzz.h"
#include "report.h"
#include "ssh_log.h"

static const char marker[] = "0123456789abcdef0123456789abcdef";
static const struct helper_file helper = {.machine = "x86_64"};

static void check_printable(const char *text, size_t cap)
{
	size_t len = strnlen(text, cap);

	assert_always(len < cap);
	for (size_t i = 0; i < len; i++)
		assert_always((unsigned char)text[i] >= 0x20 &&
			      text[i] != 0x7f);
}

static void check_facts(const struct far_facts *f)
{
	check_printable(f->os, sizeof(f->os));
	check_printable(f->user, sizeof(f->user));
	check_printable(f->groups, sizeof(f->groups));
	check_printable(f->helper, sizeof(f->helper));
	check_printable(f->noise, sizeof(f->noise));
	assert_always(f->n_gids <= FAR_FACTS_GIDS_MAX);
	assert_always(f->n_resolvers <= FAR_FACTS_LISTED_MAX);
	assert_always(f->n_owned <= FAR_FACTS_LISTED_MAX);
	assert_always(f->n_bytes <= FAR_FACTS_BYTES_MAX + 1);
}

static void check_report(const struct far_facts *f, const struct ssh_log *log,
			 uint8_t probe)
{
	enum far_probe p = (enum far_probe)(probe % 5);
	struct far_probes probes = {p, p, p, p, ""};
	struct report r = {.n_checks = 0};

	far_checks_connection(&r, log);
	far_checks_account(&r, f, &probes, &helper);
	far_checks_channels(&r, f, &probes);
	for (size_t i = 0; i < r.n_checks; i++) {
		check_printable(r.checks[i].fact, REPORT_TEXT_MAX);
		check_printable(r.checks[i].advice, REPORT_TEXT_MAX);
	}
	assert_always(rung_choose(&r.facts) < RUNG__N);
}

static void take_log(struct ssh_log *log, const uint8_t *data, size_t size)
{
	char line[400];
	size_t len = 0;

	for (size_t i = 0; i < size; i++) {
		bool is_end = data[i] == '\n' || len == sizeof(line) - 1;

		if (!is_end) {
			/* ssh_words has escaped it. */
			line[len++] = data[i] < 0x20 || data[i] > 0x7e
					      ? '?'
					      : (char)data[i];
			continue;
		}
		line[len] = '\0';
		ssh_log_take(log, line);
		(void)ssh_log_version(line);
		len = 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct far_facts whole, pieces;
	struct ssh_log log;

	if (size == 0)
		return 0;
	memset(&log, 0, sizeof(log));
	take_log(&log, data + 1, size - 1);
	size_t step = 1 + data[0];
	far_facts_init(&whole, marker);
	far_facts_init(&pieces, marker);
	far_facts_feed(&whole, data + 1, size - 1);
	for (size_t at = 1; at < size; at += step)
		far_facts_feed(&pieces, data + at,
			       size - at < step ? size - at : step);
	far_facts_feed_end(&whole);
	far_facts_feed_end(&pieces);
	check_facts(&whole);
	assert_always(strcmp(whole.noise, pieces.noise) == 0);
	assert_always(whole.is_done == pieces.is_done &&
		      whole.n_bytes == pieces.n_bytes &&
		      whole.n_gids == pieces.n_gids);
	assert_always(strcmp(whole.user, pieces.user) == 0);
	check_report(&whole, &log, data[0]);
	return 0;
}
