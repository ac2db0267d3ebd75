/* SPDX-License-Identifier: MIT */
/*
 * conf_watch: notices that somebody has changed resolv.conf.
 */
#ifndef ECSSH_CONF_WATCH_H
#define ECSSH_CONF_WATCH_H

#include <limits.h>
#include <stdbool.h>

struct conf_watch {
	int fd; /* owned; to poll(2) for POLLIN; -1: not armed */
	char target[NAME_MAX + 1]; /* what resolv.conf leads to is called */
};

/*
 * Watch what etc/resolv.conf is from now on: the directory, for it may be
 * replaced; the directory that a symbolic link leads to; and the file itself,
 * for what is mounted there may be written from elsewhere.  Whoever looks at
 * the file afterwards misses nothing.  Again: as it is now.  Returns 0 or
 * -errno, not armed.
 */
int conf_watch_arm(struct conf_watch *w, const char *etc);

/* Take in what has happened.  True if it may concern resolv.conf. */
bool conf_watch_read(struct conf_watch *w);

void conf_watch_disarm(struct conf_watch *w);

#endif
