/* SPDX-License-Identifier: MIT */
/* door_options: where a door listens, from what a person wrote. */
#include "door_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"

static int refuse(const char *text, const char *what, struct err *err)
{
	char shown[200];

	escape_text(text, strlen(text), shown, sizeof(shown));
	return err_set(err, -EINVAL,
		       "cannot listen on \"%s\": %s; write PORT, ADDRESS:PORT, "
		       "[IPV6]:PORT, or the path of a Unix socket",
		       shown, what);
}

static int parse_port(const char *text, uint16_t *ret)
{
	unsigned port = 0;

	if (!*text || strlen(text) > 5)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		port = port * 10 + (unsigned)(*text - '0');
	}
	if (port > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

/* Both families' address of one meaning. */
static void set_both(struct door_options *o, const char *v4, const char *v6)
{
	(void)addr_parse(v4, &o->at[0].addr);
	(void)addr_parse(v6, &o->at[1].addr);
	o->n_at = 2;
	o->is_second_optional = true;
}

static int parse_path(const char *text, struct door_options *ret,
		      struct err *err)
{
	struct door_options o = {.n_at = 0};

	if (strlen(text) >= sizeof(o.path))
		return refuse(text, "the path is too long", err);
	memcpy(o.path, text, strlen(text) + 1);
	*ret = o;
	return 0;
}

int door_options_parse(const char *text, struct door_options *ret,
		       struct err *err)
{
	struct door_options o = {.n_at = 1};
	char host[ADDR_TEXT_MAX + 2];
	const char *colon = strrchr(text, ':');
	uint16_t port;

	if (strchr(text, '/'))
		return parse_path(text, ret, err);
	if (parse_port(colon ? colon + 1 : text, &port) < 0)
		return refuse(text, "there is no port from 0 to 65535", err);
	size_t len = colon ? (size_t)(colon - text) : 0;
	if (len >= sizeof(host))
		return refuse(text, "that is no address", err);
	memcpy(host, text, len);
	host[len] = '\0';
	bool is_bracketed = len > 1 && host[0] == '[' && host[len - 1] == ']';
	if (is_bracketed) {
		host[len - 1] = '\0';
		memmove(host, host + 1, len - 1);
	}
	if (!colon || strcmp(host, "localhost") == 0)
		set_both(&o, "127.0.0.1", "::1");
	else if (strcmp(host, "*") == 0)
		set_both(&o, "0.0.0.0", "::");
	else if (addr_parse(host, &o.at[0].addr) < 0)
		return refuse(text, "that is no address", err);
	else if (is_bracketed != (o.at[0].addr.version == IPV6))
		return refuse(text, "an IPv6 address stands in brackets", err);
	for (size_t i = 0; i < o.n_at; i++)
		o.at[i].port = port;
	*ret = o;
	return 0;
}

/* addr_is_loopback counts 0.0.0.0 and :: as well. */
static bool is_any(const struct ip_addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->bytes, zero, sizeof(zero)) == 0;
}

bool door_options_is_wide(const struct door_options *o, struct err *ret_why)
{
	char text[ENDPOINT_TEXT_MAX];

	for (size_t i = 0; i < o->n_at; i++) {
		if (addr_is_loopback(&o->at[i].addr) && !is_any(&o->at[i].addr))
			continue;
		(void)err_set(ret_why, 0,
			      "whoever reaches %s can use this tunnel without "
			      "a password",
			      endpoint_format(&o->at[i], text));
		return true;
	}
	return false;
}
