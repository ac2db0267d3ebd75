/* SPDX-License-Identifier: MIT */
/* boot_far: the helper's part of the bootstrap.  Spec: doc/PROTOCOL.boot. */
#ifndef ECSSH_BOOT_FAR_H
#define ECSSH_BOOT_FAR_H

#include <stddef.h>

#include "boot.h"

enum {
	/* The hello of the near side has at most this many bytes. */
	BOOT_FAR_HELLO_MAX = 64,
	BOOT_FAR_READY_MAX = BOOT_MARKER_LEN + BOOT_WORD_MAX + 16,
};

/* True for BOOT_MARKER_LEN lower-case hex digits and nothing more. */
bool boot_far_marker_is_valid(const char *marker);

/*
 * Find the marker in the command that a forced command has replaced
 * (SSH_ORIGINAL_COMMAND).  Returns 0, or -EINVAL if there is none.
 */
int boot_far_marker_of_command(const char *command,
			       char ret_marker[BOOT_MARKER_LEN + 1]);

/* Write the line that says that the helper runs.  Returns its length. */
size_t boot_far_build_ready(const char *marker, const char *version,
			    char out[BOOT_FAR_READY_MAX]);

#endif
