/* SPDX-License-Identifier: MIT */
/*
 * via: the URL of a proxy, socks5://[USER[:PASSWORD]@]HOST[:PORT].
 *
 * Spec: RFC 3986 sections 2.1 and 3.2
 */
#include "via.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "escape.h"

enum { SHOWN_MAX = 300 };

/* What of a URL may be shown: what stands behind user and password. */
static const char *shown(const char *text, char out[SHOWN_MAX])
{
	const char *at = strrchr(text, '@');

	if (at)
		text = at + 1;
	escape_text(text, strlen(text), out, SHOWN_MAX);
	return out;
}

static int fail(struct err *err, const char *text, const char *what)
{
	char buf[SHOWN_MAX];

	return err_set(err, -EINVAL,
		       "'%s' in --via %s: give socks5://HOST:PORT or "
		       "socks5://USER:PASSWORD@HOST:PORT",
		       shown(text, buf), what);
}

/* Behind "socks5://", or NULL. */
static const char *skip_scheme(const char *text)
{
	static const char *const schemes[] = {"socks5://", "socks5h://"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++)
		if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0)
			return text + strlen(schemes[i]);
	return NULL;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode n characters.  False: a bad escape, a NUL, too long, or nothing. */
static bool decode(const char *in, size_t n, char out[VIA_SECRET_MAX + 1])
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		char c = in[i];

		if (c == '%') {
			int high = i + 1 < n ? hex_value(in[i + 1]) : -1;
			int low = i + 2 < n ? hex_value(in[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0' || len == VIA_SECRET_MAX)
			return false;
		out[len++] = c;
	}
	out[len] = '\0';
	return len > 0;
}

/* "USER" or "USER:PASSWORD"; NULL or what is wrong. */
static const char *parse_secrets(const char *in, size_t n, struct via *v)
{
	const char *colon = memchr(in, ':', n);
	size_t user_len = colon ? (size_t)(colon - in) : n;

	if (!decode(in, user_len, v->user))
		return "has a user that is empty, longer than 255 bytes or "
		       "wrongly percent-encoded";
	v->has_user = true;
	if (!colon)
		return NULL;
	if (!decode(colon + 1, n - user_len - 1, v->password))
		return "has a password that is empty, longer than 255 bytes "
		       "or wrongly percent-encoded";
	v->has_password = true;
	return NULL;
}

/* A number of 1 to 65535 and nothing else. */
static bool parse_port(const char *text, size_t n, uint16_t *ret_port)
{
	unsigned port = 0;

	if (n == 0 || n > 5)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		port = port * 10 + (unsigned)(text[i] - '0');
	}
	if (port == 0 || port > UINT16_MAX)
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

/* "[ADDR]", "NAME" or "ADDR"; sets *ret_n to its length. */
static const char *parse_host(const char *in, size_t n, struct via *v,
			      size_t *ret_n)
{
	const char *end = in[0] == '[' ? memchr(in, ']', n) : NULL;
	struct ip_addr a;
	size_t skip = end ? 1 : 0, len;

	if (in[0] == '[' && !end)
		return "has a '[' without ']'";
	if (!end)
		end = memchr(in, ':', n);
	len = (end ? (size_t)(end - in) : n) - skip;
	if (len == 0 || len > VIA_HOST_MAX)
		return "has no host, or a host of more than 255 bytes";
	memcpy(v->host, in + skip, len);
	v->host[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)v->host[i]) ||
		    strchr("/?#%\\[]", v->host[i]))
			return "has a host with a character that no host has";
	if (skip && (addr_parse(v->host, &a) < 0 || a.version != IPV6))
		return "has no IPv6 address in []";
	*ret_n = len + 2 * skip;
	return NULL;
}

static const char *parse(const char *text, struct via *v)
{
	const char *at = strrchr(text, '@'), *what = NULL;
	size_t n, host_n;

	if (at) {
		what = parse_secrets(text, (size_t)(at - text), v);
		text = at + 1;
	}
	if (what)
		return what;
	n = strlen(text);
	n -= n > 0 && text[n - 1] == '/';
	if (n == 0)
		return "has no host";
	what = parse_host(text, n, v, &host_n);
	if (what)
		return what;
	v->port = VIA_PORT_DEFAULT;
	if (host_n < n &&
	    (text[host_n] != ':' ||
	     !parse_port(text + host_n + 1, n - host_n - 1, &v->port)))
		return "has a port that is none of 1 to 65535";
	return NULL;
}

int via_parse(const char *text, struct via *ret, struct err *err)
{
	struct via v = {.port = 0};
	const char *rest = skip_scheme(text);
	const char *what = rest ? parse(rest, &v) : "is no socks5:// URL";

	if (!what)
		*ret = v;
	explicit_bzero(&v, sizeof(v));
	return what ? fail(err, rest ? rest : text, what) : 0;
}

void via_wipe(struct via *v)
{
	explicit_bzero(v->password, sizeof(v->password));
	v->has_password = false;
}

const char *via_format(const struct via *v, char out[VIA_TEXT_MAX])
{
	char host[4 * VIA_HOST_MAX + 1], user[4 * VIA_SECRET_MAX + 1];
	bool is_ip6 = strchr(v->host, ':') != NULL;

	escape_text(v->host, strlen(v->host), host, sizeof(host));
	escape_text(v->user, strlen(v->user), user, sizeof(user));
	(void)snprintf(out, VIA_TEXT_MAX, "socks5://%s%s%s%s%s%s:%u",
		       v->has_user ? user : "",
		       v->has_password ? ":(hidden)" : "",
		       v->has_user ? "@" : "", is_ip6 ? "[" : "", host,
		       is_ip6 ? "]" : "", v->port);
	return out;
}
