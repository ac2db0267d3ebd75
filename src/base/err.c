/* SPDX-License-Identifier: MIT */
/* err: formatting of user-visible failures, and the end of broken programs. */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int err_set(struct err *err, int r, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return r;
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return r;
}

void assert_failed(const char *expr, const char *file, int line)
{
	(void)fprintf(stderr, "ecssh: bug: %s does not hold at %s:%d\n", expr,
		      file, line);
	abort();
}
