/* SPDX-License-Identifier: MIT */
/* memory: which servers have been found to run no helper. */
#ifndef ECSSH_MEMORY_H
#define ECSSH_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "ssh_config.h"

enum {
	MEMORY_HOSTS_MAX = 200,
	/* After so long it is tried again: administrators change their mind. */
	MEMORY_S = 7 * 24 * 3600,
};

/*
 * True if this account is known to run no helper, so that a second login can be
 * spared.  now_s: seconds since 1970.  The file is
 * $XDG_CACHE_HOME/ecssh/no-helper, or ~/.cache/ecssh/no-helper; without it, or
 * with one that cannot be read, nothing is known.
 */
bool memory_has_no_helper(const struct ssh_config *account, int64_t now_s);

/* Note it, or that it has run one after all.  Failures are ignored: it costs a
 * login the next time. */
void memory_note_no_helper(const struct ssh_config *account, int64_t now_s);
void memory_forget(const struct ssh_config *account, int64_t now_s);

#endif
