/* SPDX-License-Identifier: MIT */
/* escape: make bytes from outside safe to print. */
#ifndef ECSSH_ESCAPE_H
#define ECSSH_ESCAPE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Copy len bytes of text to out (cap bytes, always NUL-terminated if cap > 0),
 * with control characters and invalid UTF-8 written as \xNN, so that no
 * terminal can be driven by what a server sends.  Cuts off what does not fit.
 * Returns the length of out.
 */
size_t escape_text(const char *text, size_t len, char *out, size_t cap);

/* The same for the inside of a JSON string (RFC 8259 section 7). */
size_t escape_json(const char *text, size_t len, char *out, size_t cap);

#endif
