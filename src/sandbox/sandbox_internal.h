/* SPDX-License-Identifier: MIT */
/* sandbox_internal: one pair of functions for each mechanism. */
#ifndef ECSSH_SANDBOX_INTERNAL_H
#define ECSSH_SANDBOX_INTERNAL_H

#include "sandbox.h"

/* True if a call outside of a list can be told to us by this kernel, and we
 * know the architecture. */
bool seccomp_is_there(void);
/* Returns 0 or -errno. */
int seccomp_enter(const struct sandbox_profile *profile);

/* The version of Landlock that this kernel has; 0: none, or it is off. */
int landlock_version(void);
/* Returns 0 or -errno. */
int landlock_enter(int version, const struct sandbox_profile *profile,
		   const struct sandbox_path *paths, size_t n_paths);

#endif
