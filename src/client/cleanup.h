/* SPDX-License-Identifier: MIT */
/* cleanup: taking back what tunnels have left that were killed. */
#ifndef ECSSH_CLEANUP_H
#define ECSSH_CLEANUP_H

struct broker_client;

/* All of it, each with a line on stderr; and have the notes about kill switches
 * say whether their rules are there.  Returns how much it was. */
unsigned cleanup_all(struct broker_client *broker);

/* Of root alone: only have the notes say that, without a word. */
void cleanup_refresh_notes(void);

/* "ecssh cleanup".  Returns a CLIENT_EXIT_. */
int cleanup_run(void);

#endif
