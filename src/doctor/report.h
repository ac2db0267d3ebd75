/* SPDX-License-Identifier: MIT */
/* report: what the doctor found, as text and as JSON. */
#ifndef ECSSH_REPORT_H
#define ECSSH_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include "rung.h"

enum {
	REPORT_CHECKS_MAX = 48,
	REPORT_TEXT_MAX = 400, /* of a fact or an advice, with its NUL */
};

enum report_state {
	REPORT_OK,
	REPORT_DEGRADED, /* works, but less well; or cannot be told */
	REPORT_MISSING,
	REPORT_STATE__N
};

struct report_check {
	const char *name; /* static */
	enum report_state state;
	char fact[REPORT_TEXT_MAX];   /* escaped, no full stop */
	char advice[REPORT_TEXT_MAX]; /* what to do; "" exactly if ok */
};

struct report {
	char destination[256]; /* escaped */
	struct report_check checks[REPORT_CHECKS_MAX];
	size_t n_checks;
	struct rung_facts facts;
};

/* Add a check; fact and advice are formats without what follows. */
void report_ok(struct report *r, const char *name, const char *fact, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for those that are not: text is "fact", a tab, "advice". */
void report_bad(struct report *r, const char *name, enum report_state state,
		const char *text, ...) __attribute__((format(printf, 4, 5)));

/* Note a fact for the choice of the rung. */
void report_fact(struct report *r, enum rung_fact fact, enum rung_state state);

/* Print for people: a line a check, then the rung. */
void report_print(const struct report *r, FILE *out);

/* Print as one JSON object; its format is in ecssh(1). */
void report_print_json(const struct report *r, FILE *out);

#endif
