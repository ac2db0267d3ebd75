/* SPDX-License-Identifier: MIT */
/* boot_far: the helper's part of the bootstrap. */
#include "boot_far.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"

static const char key[] = "ecssh_marker=";

enum {
	COMMAND_SEARCH_BYTES = 64, /* the marker's end lies within */
};

static size_t marker_len(const char *text)
{
	return strspn(text, "0123456789abcdef");
}

bool boot_far_marker_is_valid(const char *marker)
{
	return marker_len(marker) == BOOT_MARKER_LEN &&
	       marker[BOOT_MARKER_LEN] == '\0';
}

int boot_far_marker_of_command(const char *command,
			       char ret_marker[BOOT_MARKER_LEN + 1])
{
	char head[COMMAND_SEARCH_BYTES + 1] = "";

	strncat(head, command, COMMAND_SEARCH_BYTES);
	const char *at = strstr(head, key);
	if (!at)
		return -EINVAL;
	at += sizeof(key) - 1;
	if (marker_len(at) != BOOT_MARKER_LEN || at[BOOT_MARKER_LEN] != ';')
		return -EINVAL;
	memcpy(ret_marker, at, BOOT_MARKER_LEN);
	ret_marker[BOOT_MARKER_LEN] = '\0';
	return 0;
}

size_t boot_far_build_ready(const char *marker, const char *version,
			    char out[BOOT_FAR_READY_MAX])
{
	int n = snprintf(out, BOOT_FAR_READY_MAX, "\n%s ready %s\n", marker,
			 version);

	assert_always(n > 0 && n < BOOT_FAR_READY_MAX);
	return (size_t)n;
}
