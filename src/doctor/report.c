/* SPDX-License-Identifier: MIT */
/* report: what the doctor found, as text and as JSON. */
#include "report.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "err.h"
#include "escape.h"

enum { JSON_VERSION = 1 };

static const char *const state_names[] = {
	[REPORT_OK] = "ok",
	[REPORT_DEGRADED] = "degraded",
	[REPORT_MISSING] = "missing",
};
static_assert(sizeof(state_names) / sizeof(state_names[0]) == REPORT_STATE__N,
	      "one each");

static struct report_check *add(struct report *r, const char *name,
				enum report_state state)
{
	assert_always(r->n_checks < REPORT_CHECKS_MAX);
	struct report_check *c = &r->checks[r->n_checks++];

	*c = (struct report_check){.name = name, .state = state};
	return c;
}

void report_ok(struct report *r, const char *name, const char *fact, ...)
{
	struct report_check *c = add(r, name, REPORT_OK);
	va_list ap;

	va_start(ap, fact);
	(void)vsnprintf(c->fact, sizeof(c->fact), fact, ap);
	va_end(ap);
}

void report_bad(struct report *r, const char *name, enum report_state state,
		const char *text, ...)
{
	struct report_check *c = add(r, name, state);
	char both[2 * REPORT_TEXT_MAX];
	va_list ap;

	va_start(ap, text);
	(void)vsnprintf(both, sizeof(both), text, ap);
	va_end(ap);
	/* Escaped text has no tab, so the first one is ours. */
	size_t len = strcspn(both, "\t");
	(void)snprintf(c->fact, sizeof(c->fact), "%.*s", (int)len, both);
	if (both[len] == '\t')
		(void)snprintf(c->advice, sizeof(c->advice), "%s",
			       both + len + 1);
}

void report_fact(struct report *r, enum rung_fact fact, enum rung_state state)
{
	r->facts.state[fact] = state;
}

/* ---- text ---- */

void report_print(const struct report *r, FILE *out)
{
	const char *list[RUNG_SENTENCES_MAX];
	enum rung rung = rung_choose(&r->facts);
	size_t n;

	for (size_t i = 0; i < r->n_checks; i++) {
		const struct report_check *c = &r->checks[i];

		(void)fprintf(out, "%-16s %-9s %s%s%s\n", c->name,
			      state_names[c->state], c->fact,
			      c->advice[0] ? "; " : "", c->advice);
	}
	if (rung == RUNG_NONE)
		(void)fputs("\necssh up cannot work\n", out);
	else
		(void)fprintf(out, "\necssh up takes the rung: %s\n",
			      rung_name(rung));
	n = rung_why_not_higher(&r->facts, rung, list);
	for (size_t i = 0; i < n; i++)
		(void)fprintf(out, "  not higher: %s\n", list[i]);
	n = rung == RUNG_NONE ? 0 : rung_not_carried(&r->facts, rung, list);
	for (size_t i = 0; i < n; i++)
		(void)fprintf(out, "  not carried: %s\n", list[i]);
}

/* ---- JSON ---- */

static void print_string(FILE *out, const char *text)
{
	char escaped[6 * REPORT_TEXT_MAX];

	(void)escape_json(text, strlen(text), escaped, sizeof(escaped));
	(void)fprintf(out, "\"%s\"", escaped);
}

static void print_list(FILE *out, const char *key, const char *const *list,
		       size_t n)
{
	(void)fprintf(out, ",\n \"%s\": [", key);
	for (size_t i = 0; i < n; i++) {
		(void)fputs(i > 0 ? ", " : "", out);
		print_string(out, list[i]);
	}
	(void)fputs("]", out);
}

static void print_check(FILE *out, const struct report_check *c)
{
	(void)fprintf(out, "{\"name\": \"%s\", \"state\": \"%s\", \"fact\": ",
		      c->name, state_names[c->state]);
	print_string(out, c->fact);
	(void)fputs(", \"advice\": ", out);
	print_string(out, c->advice);
	(void)fputs("}", out);
}

void report_print_json(const struct report *r, FILE *out)
{
	const char *list[RUNG_SENTENCES_MAX];
	enum rung rung = rung_choose(&r->facts);

	(void)fprintf(out,
		      "{\"version\": %d,\n \"destination\": ", JSON_VERSION);
	print_string(out, r->destination);
	(void)fprintf(out, ",\n \"rung\": \"%s\"", rung_name(rung));
	print_list(out, "not_higher", list,
		   rung_why_not_higher(&r->facts, rung, list));
	print_list(out, "not_carried", list,
		   rung_not_carried(&r->facts, rung, list));
	(void)fputs(",\n \"checks\": [", out);
	for (size_t i = 0; i < r->n_checks; i++) {
		(void)fputs(i > 0 ? ",\n  " : "\n  ", out);
		print_check(out, &r->checks[i]);
	}
	(void)fputs("]}\n", out);
}
