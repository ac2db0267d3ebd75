/* SPDX-License-Identifier: MIT */
/* text: text that is put together piece by piece. */
#ifndef ECSSH_TEXT_H
#define ECSSH_TEXT_H

#include <stddef.h>

/* out and cap are set by the owner; what does not fit is counted only. */
struct text {
	char *out; /* borrowed; a string once something was put */
	size_t len, cap;
};

void text_put(struct text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
