/* SPDX-License-Identifier: MIT */
/* door_options: where a door listens, from what a person wrote. */
#ifndef ECSSH_DOOR_OPTIONS_H
#define ECSSH_DOOR_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#include "addr.h"
#include "err.h"

enum {
	DOOR_LISTENERS_MAX = 2,
	DOOR_PATH_MAX = sizeof(((struct sockaddr_un *)NULL)->sun_path),
	/* Longest text of a door: a path, or two endpoints. */
	DOOR_TEXT_MAX = 2 * ENDPOINT_TEXT_MAX + 8,
};

struct door_options {
	/* TCP: port 0 is a free one, the same for both.  That there is no IPv6
	 * here is no failure if is_second_optional. */
	struct endpoint at[DOOR_LISTENERS_MAX];
	size_t n_at;
	bool is_second_optional;
	char path[DOOR_PATH_MAX]; /* Unix socket if not "" */
};

/*
 * Parse PORT (on 127.0.0.1 and ::1), ADDR:PORT, [V6ADDR]:PORT, localhost:PORT,
 * *:PORT (all addresses), or a path, known by its '/'.  Returns 0 or -EINVAL.
 */
int door_options_parse(const char *text, struct door_options *ret,
		       struct err *err);

/* True if other hosts may be able to connect, with a sentence that says so. */
bool door_options_is_wide(const struct door_options *o, struct err *ret_why);

#endif
