/* SPDX-License-Identifier: MIT */
/* hook: the user's script, run as the tunnel comes and goes. */
#ifndef ECSSH_HOOK_H
#define ECSSH_HOOK_H

#include "err.h"
#include "hook_env.h"
#include "loop.h"

struct hook;

/*
 * Find the script: a word with a slash is a path, another one is looked up in
 * PATH.  Returns 0 and an absolute path (malloc'd), or -errno with err: there
 * is none that we may execute.
 */
int hook_find(const char *word, char **ret_path, struct err *err);

/*
 * Fork the process that will run the script, as who we are now.  To be called
 * before anything from outside is read.  The plan is borrowed.  Returns 0,
 * or -errno with err: -ENOENT: we may not execute the script.
 */
int hook_new(const struct hook_plan *plan, struct hook **ret_hook,
	     struct err *err);

/* Have on_done called, from the loop, after each script that was asked for; a
 * failure has been logged by then.  Returns 0 or -errno. */
int hook_watch(struct hook *h, struct loop *loop,
	       void (*on_done)(void *ctx, enum hook_reason reason), void *ctx);

/*
 * Run the script.  For HOOK_DISCONNECT: if it was run for HOOK_CONNECT and not
 * yet for that; one that still runs is ended.  Returns true if on_done will be
 * called for this reason.  h may be NULL.
 */
bool hook_run(struct hook *h, enum hook_reason reason,
	      const struct hook_facts *facts);

/* What runs now is to end.  h may be NULL, as below. */
void hook_hurry(struct hook *h);

/* What a script prints is read by nobody any more. */
void hook_leave_terminal(struct hook *h);

/* End the process; it gets a moment for that.  Returns NULL. */
struct hook *hook_free(struct hook *h);

#endif
