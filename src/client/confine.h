/* SPDX-License-Identifier: MIT */
/* confine: the engine gives up all but what a tunnel needs. */
#ifndef ECSSH_CONFINE_H
#define ECSSH_CONFINE_H

struct client;

/* Enter the sandbox, once: before the first ssh is started, or the first proxy
 * connected to. */
void confine(struct client *c);

#endif
