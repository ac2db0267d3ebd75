/* SPDX-License-Identifier: MIT */
/* boot_script: the command that brings the helper up on the far side. */
#ifndef ECSSH_BOOT_SCRIPT_H
#define ECSSH_BOOT_SCRIPT_H

#include <stddef.h>

#include "err.h"

enum {
	BOOT_SCRIPT_HASH_LEN = 64,  /* hex digits of SHA-256, without NUL */
	BOOT_SCRIPT_LINE_MAX = 8192 /* with the NUL */
};

/* Sent at once on the helper's standard input, so that whoever listens there
 * shows whether it knows us. */
#define BOOT_SCRIPT_HELLO "ecssh-boot 1\n"

struct boot_script_params {
	const char *marker; /* BOOT_MARKER_LEN hex digits */
	const char *hash;   /* of the helper, BOOT_SCRIPT_HASH_LEN digits */
	size_t size_bytes;  /* of the helper */
	unsigned protocol;  /* session protocol version */
	const char *const *helper_args; /* NULL at the end; or NULL */
	/* Run this instead of what brings up the helper: see boot_shell.h.
	 * NULL: not. */
	const char *script;
};

/*
 * Write the remote command into out: one line that every login shell (sh,
 * bash, dash, zsh, csh, tcsh, fish) reads the same way.  Returns 0, -EINVAL for
 * a helper argument with a character that a shell might see in another way, or
 * -E2BIG; both with err.  Format: doc/PROTOCOL.boot.
 */
int boot_script_build(const struct boot_script_params *params, char *out,
		      size_t cap, struct err *err);

#endif
