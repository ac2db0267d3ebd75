/* SPDX-License-Identifier: MIT */
/* confine: the engine gives up all but what a tunnel needs. */
#ifndef ECSSH_CONFINE_H
#define ECSSH_CONFINE_H

struct client;

/* Enter the sandbox, once: before the first ssh is started, or, without ssh,
 * when the proxy's name has been looked up. */
void confine(struct client *c);

/* Why it is not entered, a clause; NULL: it is, unless the kernel has none. */
const char *confine_why_not(const struct client *c);

#endif
