/* SPDX-License-Identifier: MIT */
/* addr_watch: the kernel tells that this host's addresses have changed. */
#ifndef ECSSH_ADDR_WATCH_H
#define ECSSH_ADDR_WATCH_H

/* Returns a descriptor, non-blocking and close-on-exec, that becomes readable
 * with each change; or -errno. */
int addr_watch_open(void);

/* Read all that has come.  What it was is to be looked up: some may be lost. */
void addr_watch_drain(int fd);

#endif
