/* SPDX-License-Identifier: MIT */
/* dns_domain: a domain as users write it, and which names are in it. */
#ifndef ECSSH_DNS_DOMAIN_H
#define ECSSH_DNS_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns_parse.h"
#include "domain.h"
#include "err.h"

struct dns_domain {
	char text[DOMAIN_TEXT_MAX]; /* without star, or dot at an end */
	uint8_t name[DNS_NAME_MAX]; /* as on the wire, in small letters */
	uint8_t name_len;
	bool is_below_only; /* not the name itself */
};

/* True if this is meant to be a domain, sound or not: neither an address nor a
 * subnet. */
bool dns_domain_is_meant(const char *text);

/*
 * Parse "corp.example" (the name and all below it), "*.corp.example" (all below
 * it) or ".corp.example" (the first again).  A name of one label must have the
 * star or the dot.  Labels are of letters, digits and inner hyphens.  Returns
 * 0, or -EINVAL with err.
 */
int dns_domain_parse(const char *text, struct dns_domain *ret, struct err *err);

/* name: as on the wire, in small letters. */
bool dns_domain_has(const struct dns_domain *d, const uint8_t *name,
		    size_t name_len);

#endif
