/* SPDX-License-Identifier: MIT */
/* log: one event, one line, on stderr. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "escape.h"

static struct {
	const char *prefix;
	enum log_level most_verbose;
} log_state = {"ecssh", LOG_LEVEL_NOTICE};

void log_init(const char *prefix, enum log_level most_verbose)
{
	log_state.prefix = prefix;
	log_state.most_verbose = most_verbose;
}

int log_enabled(enum log_level level)
{
	return level <= log_state.most_verbose;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char raw[1024];
	char clean[1200];
	char line[1300];
	va_list ap;
	int saved_errno = errno;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	escape_text(raw, strlen(raw), clean, sizeof(clean));
	int n = snprintf(line, sizeof(line), "%s: %s\n", log_state.prefix,
			 clean);
	/* One write a line; a log that cannot be written has no reader. */
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		errno = saved_errno;
	errno = saved_errno;
}
