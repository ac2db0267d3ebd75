/* SPDX-License-Identifier: MIT */
/* dns_domain: a domain as users write it, and which names are in it. */
#include "dns_domain.h"

#include <errno.h>
#include <string.h>

#include "escape.h"

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

bool dns_domain_is_meant(const char *text)
{
	size_t len = strlen(text);

	if (strpbrk(text, ":/"))
		return false;
	if (text[0] == '*' || text[0] == '.' || !is_ascii(text))
		return true;
	if (len > 0 && text[len - 1] == '.')
		len--;
	/* The last label of an address is a number. */
	while (len > 0 && text[len - 1] != '.')
		if (is_letter(text[--len]))
			return true;
	return false;
}

static int refuse(const char *text, const char *why, struct err *err)
{
	char shown[DOMAIN_TEXT_MAX];

	escape_text(text, strlen(text), shown, sizeof(shown));
	return err_set(err, -EINVAL, "\"%s\" is not a domain: %s", shown, why);
}

static void to_wire(struct dns_domain *d)
{
	const char *at = d->text;

	while (*at) {
		size_t n = strcspn(at, ".");

		d->name[d->name_len++] = (uint8_t)n;
		memcpy(d->name + d->name_len, at, n);
		d->name_len += (uint8_t)n;
		at += n;
		at += *at == '.';
	}
	d->name_len++; /* the empty label */
}

int dns_domain_parse(const char *text, struct dns_domain *ret, struct err *err)
{
	struct dns_domain d = {.is_below_only = strncmp(text, "*.", 2) == 0};
	const char *name = text + (d.is_below_only ? 2 : text[0] == '.');
	int r = domain_parse(name, strlen(name), d.text, err);

	if (r < 0)
		return r;
	if (name == text && !strchr(d.text, '.'))
		return refuse(text,
			      "a name of one label is taken for one only with "
			      "a dot before it",
			      err);
	to_wire(&d);
	*ret = d;
	return 0;
}

bool dns_domain_has(const struct dns_domain *d, const uint8_t *name,
		    size_t name_len)
{
	size_t at = 0;

	/* Label by label: "xcorp.example" does not end with "corp.example". */
	while (name_len - at > d->name_len)
		at += 1U + name[at];
	if (name_len - at != d->name_len ||
	    memcmp(name + at, d->name, d->name_len) != 0)
		return false;
	return at > 0 || !d->is_below_only;
}
