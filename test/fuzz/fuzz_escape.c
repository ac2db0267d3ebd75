/* SPDX-License-Identifier: MIT */
/*
 * fuzz_escape: what is made of bytes before somebody sees them.
 *
 * Input: a byte, how much room there is, and the bytes.  Whatever they are,
 * what comes out is valid UTF-8 without controls; of JSON, the inside of a
 * string, from which the bytes that were text come back.
 */
#include <stdbool.h>
#include <string.h>

#include "err.h"
#include "escape.h"
#include "fuzz.h"

/* Length of the character at p, or 0: not UTF-8, or not to be printed.  Written
 * without a look at escape.c. */
static size_t printable_len(const unsigned char *p)
{
	uint32_t c;
	size_t n;

	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f;
	if ((p[0] & 0xe0) == 0xc0) {
		n = 2;
		c = p[0] & 0x1f;
	} else if ((p[0] & 0xf0) == 0xe0) {
		n = 3;
		c = p[0] & 0x0f;
	} else if ((p[0] & 0xf8) == 0xf0) {
		n = 4;
		c = p[0] & 0x07;
	} else {
		return 0;
	}
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000};
	bool is_hidden = (c >= 0xd800 && c < 0xe000) ||
			 (c >= 0x2028 && c <= 0x202e) ||
			 (c >= 0x2066 && c <= 0x2069);

	return c >= least[n] && c <= 0x10ffff && !is_hidden ? n : 0;
}

static void check_text(const char *out, size_t len, size_t cap)
{
	assert_always(len < cap && strlen(out) == len);
	for (size_t i = 0, n; i < len; i += n) {
		n = printable_len((const unsigned char *)out + i);
		assert_always(n > 0);
	}
}

static unsigned from_hex(char c)
{
	assert_always((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Read the string again, byte for byte of what went in. */
static void check_json(const char *out, const char *in, size_t in_len)
{
	size_t at = 0;

	for (const char *p = out; *p; at++) {
		assert_always(at < in_len && *p != '"');
		unsigned char c = (unsigned char)*p++;

		if (c == '\\' && *p == 'u') {
			assert_always(p[1] == '0' && p[2] == '0');
			c = (unsigned char)(from_hex(p[3]) << 4 |
					    from_hex(p[4]));
			p += 5;
		} else if (c == '\\') {
			assert_always(*p == '"' || *p == '\\');
			c = (unsigned char)*p++;
		}
		assert_always(c == (unsigned char)in[at]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { CAP_MAX = 4096 };
	static char out[CAP_MAX];
	const char *text = (const char *)data + 1;

	if (size < 1)
		return 0;
	size_t cap = data[0] < 0x80 ? 1U + data[0] : CAP_MAX;
	size_t len = escape_text(text, size - 1, out, cap);
	check_text(out, len, cap);
	len = escape_json(text, size - 1, out, cap);
	check_text(out, len, cap);
	check_json(out, text, size - 1);
	return 0;
}
