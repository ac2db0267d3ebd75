/* SPDX-License-Identifier: MIT */
/* domain: names of domains that a person or a request gives us. */
#include "domain.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "escape.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_ldh(char c)
{
	return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-';
}

static int refuse(const char *text, size_t len, const char *why,
		  struct err *err)
{
	char shown[160];

	escape_text(text, len, shown, sizeof(shown));
	return err_set(err, -EINVAL, "\"%s\" is not a domain: %s", shown, why);
}

/* What is wrong with one label, or NULL. */
static const char *label_crime(const char *label, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)label[i] >= 0x80)
			return "write names in other scripts in their ASCII "
			       "form (punycode, \"xn--...\")";
		if (!is_ldh(label[i]))
			return "only letters, digits, '-' and '.' can be in "
			       "one";
	}
	if (len == 0)
		return "something is missing before or after a dot";
	if (len > DOMAIN_LABEL_MAX)
		return "more than 63 characters between two dots";
	if (label[0] == '-' || label[len - 1] == '-')
		return "'-' cannot be next to a dot or at either end";
	return NULL;
}

static bool is_number(const char *label, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_digit(label[i]))
			return false;
	return true;
}

int domain_parse(const char *text, size_t len, char ret_name[DOMAIN_TEXT_MAX],
		 struct err *err)
{
	size_t n = len > 1 && text[len - 1] == '.' ? len - 1 : len;
	size_t start = 0, last = 0;

	if (n >= DOMAIN_TEXT_MAX)
		return refuse(text, len, "it has more than 253 characters",
			      err);
	for (size_t i = 0; i <= n; i++) {
		const char *crime;

		if (i < n && text[i] != '.')
			continue;
		crime = label_crime(text + start, i - start);
		if (crime)
			return refuse(text, len, crime, err);
		last = start;
		start = i + 1;
	}
	/* No top-level domain is a number (RFC 1123); an address ends in one.
	 */
	if (is_number(text + last, n - last))
		return refuse(text, len, "it ends in a number", err);
	for (size_t i = 0; i < n; i++)
		ret_name[i] = lower(text[i]);
	ret_name[n] = '\0';
	return 0;
}
