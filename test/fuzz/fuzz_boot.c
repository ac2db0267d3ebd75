/* SPDX-License-Identifier: MIT */
/*
 * fuzz_boot: what a hostile far side prints before the helper is ready.
 *
 * Input: a byte that says how the rest is split, then what is printed.  The
 * same bytes in one piece and in many must give the same events, and whatever
 * is kept for people must be printable.
 */
#include <stdbool.h>
#include <string.h>

#include "boot.h"
#include "err.h"
#include "fuzz.h"

static const char marker[] = "0123456789abcdef0123456789abcdef";

enum { EVENTS_MAX = 8 };

/* What came out: at most NEED, RUN and one that ends the dialogue. */
struct outcome {
	enum boot_event events[EVENTS_MAX];
	size_t n_events;
	size_t n_taken;
};

static void check_printable(const char *text, size_t cap)
{
	size_t len = strnlen(text, cap);

	assert_always(len < cap);
	for (size_t i = 0; i < len; i++)
		assert_always((unsigned char)text[i] >= 0x20 &&
			      text[i] != 0x7f);
}

static void check(const struct boot *b, const struct outcome *o)
{
	check_printable(b->os, sizeof(b->os));
	check_printable(b->machine, sizeof(b->machine));
	check_printable(b->version, sizeof(b->version));
	check_printable(b->text, sizeof(b->text));
	check_printable(b->noise, sizeof(b->noise));
	assert_always(b->origin < BOOT_ORIGIN__N && b->fail < BOOT_FAIL__N);
	assert_always(b->n_noise_bytes <= o->n_taken);
	for (size_t i = 0; i + 1 < o->n_events; i++)
		assert_always(o->events[i] == BOOT_NEED ||
			      o->events[i] == BOOT_RUN);
	if (o->n_events > 0 && o->events[o->n_events - 1] == BOOT_READY)
		assert_always(b->version[0] != '\0');
	if (b->has_need)
		assert_always(b->os[0] != '\0' && b->machine[0] != '\0');
}

/* Feed in pieces of step bytes. */
static void run(struct boot *b, const uint8_t *data, size_t size, size_t step,
		struct outcome *o)
{
	*o = (struct outcome){.n_events = 0};
	boot_init(b, marker);
	for (size_t end = 0; end < size && !b->is_done;) {
		end = size - end < step ? size : end + step;
		while (o->n_taken < end && !b->is_done) {
			enum boot_event event;

			o->n_taken += boot_feed(b, data + o->n_taken,
						end - o->n_taken, &event);
			assert_always(o->n_taken <= end);
			assert_always(event != BOOT_NOTHING ||
				      o->n_taken == end);
			if (event == BOOT_NOTHING)
				continue;
			assert_always(o->n_events < EVENTS_MAX);
			o->events[o->n_events++] = event;
		}
	}
	boot_feed_end(b);
	check(b, o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, pieces;
	struct boot a, b;

	if (size == 0)
		return 0;
	size_t step = 1 + data[0];
	run(&a, data + 1, size - 1, size, &whole);
	run(&b, data + 1, size - 1, step, &pieces);
	assert_always(whole.n_taken == pieces.n_taken);
	assert_always(whole.n_events == pieces.n_events);
	assert_always(memcmp(whole.events, pieces.events,
			     whole.n_events * sizeof(whole.events[0])) == 0);
	assert_always(a.n_noise_bytes == b.n_noise_bytes);
	assert_always(strcmp(a.noise, b.noise) == 0);
	assert_always(strcmp(a.text, b.text) == 0);
	return 0;
}
