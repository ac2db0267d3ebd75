/* SPDX-License-Identifier: MIT */
/*
 * ssh_dest: where to, as the user writes it.
 *
 * What is let through is narrower than what ssh lets through: %h, %n and %r in
 * a ProxyCommand or "Match exec" put the words into a shell's command line, and
 * older versions of ssh leave the checking to the user.
 */
#include "ssh_dest.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "addr.h"
#include "escape.h"

enum {
	TEXT_MAX = SSH_DEST_USER_MAX + SSH_DEST_HOST_MAX + 16,
	SCOPE_MAX = 15, /* IFNAMSIZ without the NUL */
};

static const char digits[] = "0123456789";
static const char user_chars[] = "abcdefghijklmnopqrstuvwxyz"
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789._-+@\\";
static const char host_chars[] = "abcdefghijklmnopqrstuvwxyz"
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789._-+";

static int refuse(struct err *err, const char *what, const char *text,
		  size_t len, const char *why)
{
	char shown[128];

	(void)escape_text(text, len, shown, sizeof(shown));
	return err_set(err, -EINVAL, "%s \"%s\" %s", what, shown, why);
}

static int parse_user(const char *text, size_t len, struct ssh_dest *dest,
		      struct err *err)
{
	if (len == 0)
		return refuse(err, "the user name", text, len, "is empty");
	if (len > SSH_DEST_USER_MAX)
		return refuse(err, "the user name", text, len, "is too long");
	memcpy(dest->user, text, len);
	dest->user[len] = '\0';
	if (text[0] == '-')
		return refuse(err, "the user name", text, len,
			      "starts with a dash");
	if (strspn(dest->user, user_chars) != len)
		return refuse(err, "the user name", text, len,
			      "has a character other than letters, digits and "
			      ". _ - + @ \\");
	if (text[len - 1] == '\\')
		return refuse(err, "the user name", text, len,
			      "ends in a backslash");
	return 0;
}

static int parse_port(const char *text, size_t len, struct ssh_dest *dest,
		      struct err *err)
{
	if (len == 0 || len > 5 || strspn(text, digits) < len)
		return refuse(err, "the port", text, len,
			      "is not a number from 1 to 65535");
	unsigned long port = strtoul(text, NULL, 10);
	if (port < 1 || port > 65535)
		return refuse(err, "the port", text, len,
			      "is not a number from 1 to 65535");
	dest->port = (uint16_t)port;
	return 0;
}

/* A numeric IPv6 address, maybe with a scope. */
static bool is_ipv6(const char *host)
{
	const char *percent = strchr(host, '%');
	size_t len = percent ? (size_t)(percent - host) : strlen(host);
	char text[ADDR_TEXT_MAX];
	struct ip_addr addr;

	if (len >= sizeof(text))
		return false;
	memcpy(text, host, len);
	text[len] = '\0';
	if (addr_parse(text, &addr) < 0 || addr.version != IPV6)
		return false;
	if (!percent)
		return true;
	size_t scope_len = strlen(percent + 1);
	return scope_len > 0 && scope_len <= SCOPE_MAX &&
	       strspn(percent + 1, host_chars) == scope_len;
}

static int parse_host(const char *text, size_t len, bool is_bracketed,
		      struct ssh_dest *dest, struct err *err)
{
	if (len == 0)
		return refuse(err, "the host name", text, len, "is empty");
	if (len > SSH_DEST_HOST_MAX)
		return refuse(err, "the host name", text, len, "is too long");
	memcpy(dest->host, text, len);
	dest->host[len] = '\0';
	if (is_bracketed || memchr(text, ':', len)) {
		if (!is_ipv6(dest->host))
			return refuse(err, "the host", text, len,
				      "is not an IPv6 address");
		return 0;
	}
	if (text[0] == '-')
		return refuse(err, "the host name", text, len,
			      "starts with a dash");
	if (strspn(dest->host, host_chars) != len)
		return refuse(err, "the host name", text, len,
			      "has a character other than letters, digits and "
			      ". _ - +");
	return 0;
}

/* "host", "host:port", "[v6]", "[v6]:port" or a bare IPv6 address. */
static int parse_host_port(const char *text, struct ssh_dest *dest,
			   struct err *err)
{
	const char *port = NULL;
	size_t len = strlen(text), host_len = len;
	bool is_bracketed = text[0] == '[';

	if (is_bracketed) {
		const char *close = strchr(text, ']');
		if (!close || (close[1] != '\0' && close[1] != ':'))
			return refuse(err, "the host", text, len,
				      "has no fitting bracket");
		if (close[1] == ':')
			port = close + 2;
		text++;
		host_len = (size_t)(close - text);
	} else {
		const char *colon = strchr(text, ':');
		if (colon && !strchr(colon + 1, ':')) {
			port = colon + 1;
			host_len = (size_t)(colon - text);
		}
	}
	int r = parse_host(text, host_len, is_bracketed, dest, err);
	if (r < 0 || !port)
		return r;
	return parse_port(port, strlen(port), dest, err);
}

int ssh_dest_parse(const char *text, struct ssh_dest *ret_dest, struct err *err)
{
	struct ssh_dest dest = {0};
	char copy[TEXT_MAX + 1];
	char *rest = copy;
	size_t len = strlen(text);
	bool is_uri = strncasecmp(text, "ssh://", 6) == 0;

	if (is_uri) {
		text += 6;
		len -= 6;
		if (len > 0 && text[len - 1] == '/')
			len--;
	}
	if (len == 0)
		return err_set(err, -EINVAL, "the destination is empty");
	if (len > TEXT_MAX)
		return refuse(err, "the destination", text, len, "is too long");
	memcpy(copy, text, len);
	copy[len] = '\0';

	/* The last one: names of a Windows domain may have an @ themselves. */
	char *at = strrchr(copy, '@');
	if (at) {
		int r = parse_user(copy, (size_t)(at - copy), &dest, err);
		if (r < 0)
			return r;
		rest = at + 1;
	}
	int r = parse_host_port(rest, &dest, err);
	if (r == 0)
		*ret_dest = dest;
	return r;
}
