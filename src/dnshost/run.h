/* SPDX-License-Identifier: MIT */
/* run: a program of this host's, run with a fixed environment. */
#ifndef ECSSH_RUN_H
#define ECSSH_RUN_H

#include <stdint.h>

#include "err.h"

/*
 * Run argv[0], an absolute path, with `input` on its standard input, nothing in
 * its environment but PATH and LC_ALL, and wait for its end.  Returns 0, or
 * -errno with err: -EPROTO: it failed, the first line of what it complained of
 * is in err; -ETIMEDOUT: it was killed.
 */
int run(const char *const argv[], const char *input, uint32_t timeout_ms,
	struct err *err);

#endif
