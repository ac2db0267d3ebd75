/* SPDX-License-Identifier: MIT */
/* err: one sentence that tells a person what went wrong. */
#ifndef ECSSH_ERR_H
#define ECSSH_ERR_H

#include <stddef.h>

/*
 * Filled by operations whose failure a user has to understand.  The text
 * names the offending value, ends without a full stop, and has every byte that
 * came from outside already escaped.
 */
struct err {
	char text[512];
};

/*
 * Write a sentence into err, unless err is NULL.  Returns r, so that a failure
 * is reported in one statement: return err_set(err, -EINVAL, "...").
 */
int err_set(struct err *err, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Stop the process: a programming error.  Never reachable from the network. */
void assert_failed(const char *expr, const char *file, int line)
	__attribute__((noreturn));

/* Like assert(3), but present in every build. */
#define assert_always(expr) \
	((expr) ? (void)0 : assert_failed(#expr, __FILE__, __LINE__))

#endif
