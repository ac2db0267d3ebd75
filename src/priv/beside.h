/* SPDX-License-Identifier: MIT */
/* beside: programs that were built or installed beside this one. */
#ifndef ECSSH_BESIDE_H
#define ECSSH_BESIDE_H

#include <limits.h>

#include "err.h"

/* Find the program beside our own file, in ../libexec/ecssh or ../lib/ecssh.
 * Returns 0, or -errno with err. */
int beside_find(const char *name, char ret_path[PATH_MAX], struct err *err);

#endif
