/* SPDX-License-Identifier: MIT */
/* unix_path: sockets that have a path. */
#ifndef ECSSH_UNIX_PATH_H
#define ECSSH_UNIX_PATH_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/*
 * Remove a socket of ours that nobody listens on any more, such as a killed
 * program leaves.  Returns 0 if nothing is there now; else, and then it is left
 * alone, -EEXIST: it is no socket; -EPERM: it is somebody else's; -EADDRINUSE:
 * it may be in use; or -errno.
 */
int unix_path_remove_stale(const char *path);

/* Which socket it is, whatever stands at its path later, with the same number
 * of an inode too. */
struct unix_path_id {
	dev_t dev;
	ino_t ino; /* 0: none */
	struct timespec changed;
};

/* ino 0 if no socket is there. */
struct unix_path_id unix_path_identify(const char *path);

/* Remove it unless another one has taken its place since. */
void unix_path_remove(const char *path, struct unix_path_id id);

#endif
