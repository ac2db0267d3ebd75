/* SPDX-License-Identifier: MIT */
/* cleanup: taking back what tunnels have left that were killed. */
#ifndef ECSSH_CLEANUP_H
#define ECSSH_CLEANUP_H

struct broker_client;

/* All of it, each with a line on stderr.  Returns how much it was. */
unsigned cleanup_all(struct broker_client *broker);

/* "ecssh cleanup".  Returns a CLIENT_EXIT_. */
int cleanup_run(void);

#endif
