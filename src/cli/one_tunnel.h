/* SPDX-License-Identifier: MIT */
/* one_tunnel: a command that says one word to one running tunnel. */
#ifndef ECSSH_ONE_TUNNEL_H
#define ECSSH_ONE_TUNNEL_H

#include "cmd.h"

/*
 * Read a command line of options and at most one name, find the tunnel of that
 * name, or the only one, and ask it.  Returns the exit code, having said what
 * failed; with CLIENT_EXIT_OK *ret_answer is for free(), or NULL: only help was
 * wanted.
 */
int one_tunnel_ask(const struct cmd *cmd, int argc, char **argv,
		   const char *request, char **ret_answer);

#endif
