/* SPDX-License-Identifier: MIT */
/* via: the URL of a proxy, socks5://[USER[:PASSWORD]@]HOST[:PORT]. */
#ifndef ECSSH_VIA_H
#define ECSSH_VIA_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

enum {
	VIA_HOST_MAX = 255,
	VIA_SECRET_MAX = 255, /* RFC 1929 */
	VIA_TEXT_MAX = 2112,
	VIA_PORT_DEFAULT = 1080, /* RFC 1928 */
};

struct via {
	char host[VIA_HOST_MAX + 1]; /* a name, or an address without [] */
	uint16_t port;
	bool has_user, has_password;
	char user[VIA_SECRET_MAX + 1], password[VIA_SECRET_MAX + 1];
};

/*
 * Understand text; socks5h is the same.  User and password are
 * percent-decoded.  Returns 0, or -EINVAL with err, in which neither of them
 * stands.
 */
int via_parse(const char *text, struct via *ret, struct err *err);

/* Forget the password. */
void via_wipe(struct via *v);

/* Write it as it may be shown: with "(hidden)" for the password, escaped.
 * Returns out. */
const char *via_format(const struct via *v, char out[VIA_TEXT_MAX]);

#endif
