/* SPDX-License-Identifier: MIT */
/* confine: what ecssh-dns may write, and what it may not become. */
#ifndef ECSSH_CONFINE_H
#define ECSSH_CONFINE_H

#include "err.h"

/*
 * Keep root's user, whose files those of the resolver are, and lose every
 * capability of every set and the ways to gain one, for good and for the
 * programs that are run, too.  Returns 0 or -errno with err, as the next.
 */
int confine_privilege(struct err *err);

/*
 * Of the file system only what is beneath these paths (NULL at the end) can be
 * written from now on, where the kernel has Landlock.
 */
int confine_writing(const char *const *writable, struct err *err);

#endif
