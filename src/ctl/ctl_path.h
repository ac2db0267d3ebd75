/* SPDX-License-Identifier: MIT */
/* ctl_path: where control sockets live. */
#ifndef ECSSH_CTL_PATH_H
#define ECSSH_CTL_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"

enum {
	CTL_NAME_MAX = 40,  /* longest tunnel name, without NUL */
	CTL_PATH_MAX = 108, /* of a Unix socket, with NUL */
	CTL_DIR_MAX = CTL_PATH_MAX - CTL_NAME_MAX - 8,
};

/* True for [A-Za-z0-9_.-]{1,40} that does not begin with "." or "-". */
bool ctl_name_is_valid(const char *name);

/*
 * The directory for tunnels of this user, made (0700) if it is not there.  One
 * that belongs to somebody else or is a link is refused.  Returns 0 or -errno
 * with err.
 */
int ctl_dir_make(char ret_dir[CTL_DIR_MAX], struct err *err);

/*
 * Call fn for each directory where tunnels that we may ask have their sockets:
 * our own; for root also those of all users.
 */
void ctl_dir_each(void (*fn)(const char *dir, void *ctx), void *ctx);

#endif
