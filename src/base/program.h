/* SPDX-License-Identifier: MIT */
/* program: a program of this host's, run with a fixed environment. */
#ifndef ECSSH_PROGRAM_H
#define ECSSH_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

/*
 * Run argv[0], an absolute path, with `input` on its standard input, nothing in
 * its environment but PATH and LC_ALL, and wait for its end.  out (cap bytes,
 * may be NULL) gets what it prints, as a string.  Returns 0, or -errno with
 * err: -EPROTO: it failed, the first line of what it complained of is in err;
 * -ETIMEDOUT: it was killed.
 */
int program_run(const char *const argv[], const char *input, char *out,
		size_t cap, uint32_t timeout_ms, struct err *err);

#endif
