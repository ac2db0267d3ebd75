/* SPDX-License-Identifier: MIT */
/* log: one event, one line, on stderr. */
#ifndef ECSSH_LOG_H
#define ECSSH_LOG_H

enum log_level {
	LOG_LEVEL_ERR,	  /* the tunnel is lost, or never came up */
	LOG_LEVEL_WARN,	  /* degraded; the line ends in ", ignoring" or the like
			   */
	LOG_LEVEL_NOTICE, /* what the user asked to know: up, down */
	LOG_LEVEL_INFO,	  /* at most one line a flow */
	LOG_LEVEL_DEBUG,  /* for developers */
};

/*
 * Set the prefix of every line (borrowed for ever, e.g. "ecssh") and the least
 * important level still printed.  The only state of the program outside its
 * objects.
 */
void log_init(const char *prefix, enum log_level most_verbose);

/* True if a line at this level would be printed. */
int log_enabled(enum log_level level);

/* Print one line.  fmt has no newline; control characters are escaped. */
void log_line(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_err(...)	log_line(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...)	log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_notice(...) log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)	log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                          \
	do {                                                    \
		if (log_enabled(LOG_LEVEL_DEBUG))               \
			log_line(LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
