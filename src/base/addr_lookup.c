/* SPDX-License-Identifier: MIT */
/* addr_lookup: the addresses of a host, by what the C library knows. */
#include "addr_lookup.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "escape.h"

enum { SHOWN_MAX = 256 };

int addr_lookup(const char *host, uint16_t port, struct endpoint *ret,
		size_t max, struct err *err)
{
	static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	char shown[SHOWN_MAX];
	size_t n = 0;
	int error = getaddrinfo(host, NULL, &hints, &list);

	for (const struct addrinfo *i = error ? NULL : list; i && n < max;
	     i = i->ai_next) {
		if (endpoint_from_sockaddr(i->ai_addr, &ret[n]) < 0)
			continue;
		ret[n++].port = port;
	}
	if (list)
		freeaddrinfo(list);
	if (n > 0)
		return (int)n;
	escape_text(host, strlen(host), shown, sizeof(shown));
	return err_set(err, -ENOENT, "%s has no address%s%s", shown,
		       error ? ": " : "", error ? gai_strerror(error) : "");
}
