/* SPDX-License-Identifier: MIT */
/*
 * domain: names of domains that a person or a request gives us.
 *
 * Spec: RFC 1035 section 2.3.1 as RFC 1123 section 2.1 relaxes it
 */
#ifndef ECSSH_DOMAIN_H
#define ECSSH_DOMAIN_H

#include <stddef.h>

#include "err.h"

enum {
	DOMAIN_TEXT_MAX = 254, /* longest name, with its NUL */
	DOMAIN_LABEL_MAX = 63,
};

/*
 * Take a domain of len bytes: labels of letters, digits and inner hyphens with
 * dots between them, one more dot at the end allowed.  What comes out has small
 * letters and no dot at its end, so two names are equal exactly if their texts
 * are.  Not a name: an address, and the root.  Returns 0, or -EINVAL with err.
 */
int domain_parse(const char *text, size_t len, char ret_name[DOMAIN_TEXT_MAX],
		 struct err *err);

#endif
