/* SPDX-License-Identifier: MIT */
/* broker_print: a broker that changes nothing and says what it would do. */
#ifndef ECSSH_BROKER_PRINT_H
#define ECSSH_BROKER_PRINT_H

/*
 * Serve an engine on a socket as the near broker does, by the same rules and
 * with the same journal, and print each step on standard output as a line for
 * a shell that would do it; at the end each inverse, newest first.  What no
 * command can do is a comment.  The engine gets a descriptor that no packet
 * ever comes out of.  Needs no privilege.
 */
void broker_print_run(int sock);

#endif
