/* SPDX-License-Identifier: MIT */
/* confine: what ecssh-dns may write, and what it may not become. */
#ifndef ECSSH_CONFINE_H
#define ECSSH_CONFINE_H

#include "err.h"

/*
 * Keep root's user, whose files those of the resolver are, and lose everything
 * else for good: every capability of every set, and the ways to gain one.  Of
 * the file system only what is beneath `writable` (paths, NULL at the end) can
 * be written from now on, where the kernel has Landlock.  Holds for the
 * programs that are run, too.  Returns 0 or -errno with err.
 */
int confine(const char *const *writable, struct err *err);

#endif
