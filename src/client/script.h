/* SPDX-License-Identifier: MIT */
/* script: when the user's script is run, and what it is told. */
#ifndef ECSSH_CLIENT_SCRIPT_H
#define ECSSH_CLIENT_SCRIPT_H

#include "client_internal.h"

/* Get ready to run the script of the command line, if there is one.  Returns 0
 * or -errno with err. */
int script_start(struct client *c, struct err *err);

/* Hear of its end.  Returns 0 or -errno. */
int script_watch(struct client *c);

/*
 * Run it.  Returns true if what comes after it, client_make_tunnel after
 * PRE_INIT and client_is_up after CONNECT, will be called once it has ended;
 * false if there is nothing to wait for.
 */
bool script_run(struct client *c, enum hook_reason reason);

/* The tunnel is to end.  Returns true if c->stop will be posted once the script
 * has heard of it. */
bool script_say_goodbye(struct client *c);

#endif
