/* SPDX-License-Identifier: MIT */
/* escape: make bytes from outside safe to print. */
#include "escape.h"

#include <stdio.h>
#include <string.h>

/*
 * Length of the valid, printable UTF-8 sequence at p (RFC 3629 section 4), or
 * 0.  C1 controls (U+0080 to U+009F) count as not printable: some terminals
 * obey them.
 */
static size_t utf8_len(const unsigned char *p, size_t left)
{
	uint32_t cp, min;
	size_t n;

	if (p[0] >= 0x20 && p[0] < 0x7f)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		n = 2;
		cp = p[0] & 0x1fU;
		min = 0xa0;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		n = 3;
		cp = p[0] & 0x0fU;
		min = 0x800;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		n = 4;
		cp = p[0] & 0x07U;
		min = 0x10000;
	} else {
		return 0;
	}
	if (n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (p[i] & 0x3fU);
	}
	if (cp < min || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	/* Line and paragraph separators and bidirectional overrides. */
	if ((cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069))
		return 0;
	return n;
}

static size_t escape(const char *text, size_t len, char *out, size_t cap,
		     const char *special, const char *hex_prefix)
{
	size_t at = 0;

	if (cap == 0)
		return 0;
	for (size_t i = 0; i < len;) {
		const unsigned char *p = (const unsigned char *)text + i;
		size_t n = utf8_len(p, len - i);
		char tmp[8];

		if (n == 0) {
			(void)snprintf(tmp, sizeof(tmp), "%s%02x", hex_prefix,
				       *p);
			n = 1;
		} else if (n == 1 && strchr(special, *p)) {
			(void)snprintf(tmp, sizeof(tmp), "\\%c", *p);
		} else {
			memcpy(tmp, p, n);
			tmp[n] = '\0';
		}
		size_t tmp_len = strlen(tmp);
		if (at + tmp_len >= cap)
			break;
		memcpy(out + at, tmp, tmp_len);
		at += tmp_len;
		i += n;
	}
	out[at] = '\0';
	return at;
}

size_t escape_text(const char *text, size_t len, char *out, size_t cap)
{
	return escape(text, len, out, cap, "", "\\x");
}

size_t escape_json(const char *text, size_t len, char *out, size_t cap)
{
	return escape(text, len, out, cap, "\"\\", "\\u00");
}
