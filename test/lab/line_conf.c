/* SPDX-License-Identifier: MIT */
/* line_conf: "rate=50,delay_ms=20" as people write it. */
#include "line_conf.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const struct line_conf line_conf_default = {.queue_ms = 200, .burst = 1};

enum { TEXT_MAX = 512 };

static const struct key {
	const char *name;
	size_t offset; /* of a double in struct line_conf */
	double min, max;
} keys[] = {
	{"rate", offsetof(struct line_conf, rate_mbit), 0, 100000},
	{"delay_ms", offsetof(struct line_conf, delay_ms), 0, 60000},
	{"jitter_ms", offsetof(struct line_conf, jitter_ms), 0, 60000},
	{"queue_ms", offsetof(struct line_conf, queue_ms), 0, 60000},
	{"loss", offsetof(struct line_conf, loss_percent), 0, 100},
	{"burst", offsetof(struct line_conf, burst), 1, 10000},
	{"reorder", offsetof(struct line_conf, reorder_percent), 0, 100},
	{"duplicate", offsetof(struct line_conf, duplicate_percent), 0, 100},
};

static const struct key *key_find(const char *name)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

/* One "KEY=NUMBER", which is cut in two. */
static int parse_pair(char *pair, struct line_conf *conf, struct err *err)
{
	char *text = strchr(pair, '='), *end = text;

	if (text)
		*text++ = '\0';
	const struct key *key = key_find(pair);
	if (!key)
		return err_set(err, -EINVAL,
			       "a line has no \"%s\": say rate, delay_ms, "
			       "jitter_ms, queue_ms, loss, burst, reorder or "
			       "duplicate",
			       pair);
	double value = text ? strtod(text, &end) : 0;
	/* Not a number is neither more nor less. */
	if (!text || end == text || *end || !(value >= key->min) ||
	    !(value <= key->max))
		return err_set(err, -EINVAL,
			       "%s=%s: give a number from %g to %g", pair,
			       text ? text : "", key->min, key->max);
	memcpy((char *)conf + key->offset, &value, sizeof(value));
	return 0;
}

int line_conf_parse(const char *text, struct line_conf *conf, struct err *err)
{
	struct line_conf parsed = *conf;
	char copy[TEXT_MAX], *rest = copy, *pair;

	if (strlen(text) >= sizeof(copy))
		return err_set(err, -EINVAL, "more than %d bytes for a line",
			       TEXT_MAX - 1);
	memcpy(copy, text, strlen(text) + 1);
	while ((pair = strsep(&rest, ","))) {
		int r = parse_pair(pair, &parsed, err);
		if (r < 0)
			return r;
	}
	double most = 100 * parsed.burst / (parsed.burst + 1);
	if (parsed.burst > 1 && parsed.loss_percent < 100 &&
	    parsed.loss_percent > most)
		return err_set(err, -EINVAL,
			       "loss=%g in bursts of %g cannot be: at most %g",
			       parsed.loss_percent, parsed.burst, most);
	*conf = parsed;
	return 0;
}
