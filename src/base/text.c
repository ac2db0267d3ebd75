/* SPDX-License-Identifier: MIT */
/* text: text that is put together piece by piece. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>

void text_put(struct text *t, const char *fmt, ...)
{
	size_t room = t->len < t->cap ? t->cap - t->len : 0;
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(room > 0 ? t->out + t->len : NULL, room, fmt, args);
	va_end(args);
	t->len += (size_t)n;
}
