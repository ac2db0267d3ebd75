/* SPDX-License-Identifier: MIT */
/* confine: the engine gives up what it needs no more once the tunnel is up. */
#ifndef ECSSH_CONFINE_H
#define ECSSH_CONFINE_H

struct client;

/* Enter the sandbox, unless the tunnel may have to start a program yet. */
void confine_on_up(struct client *c);

/* Why it was not entered, a clause; NULL: it was, or the kernel has none. */
const char *confine_why_not(const struct client *c);

#endif
