/* SPDX-License-Identifier: MIT */
/* gateway_find: the address that ssh will connect to, before it does. */
#include "gateway_find.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "escape.h"
#include "ssh_jump.h"

enum {
	QUERY_TIMEOUT_MS = 30000,
	JUMPS_MAX = 8, /* each known by ssh_config only */
};

/* The first of "[user@]host[:port],...": the others are reached through it. */
static int first_jump(const char *list, struct ssh_dest *ret, struct err *err)
{
	char first[SSH_CONFIG_VALUE_MAX];

	(void)snprintf(first, sizeof(first), "%.*s", (int)strcspn(list, ","),
		       list);
	return ssh_dest_parse(first, ret, err);
}

static int say_unknown(const char *command, struct err *err)
{
	char shown[256];

	escape_text(command, strlen(command), shown, sizeof(shown));
	return err_set(err, -EOPNOTSUPP,
		       "with the ProxyCommand \"%.200s\" it is not known where "
		       "the connection goes, which the kill switch must let "
		       "pass: say so with --kill-switch-allow ADDR:PORT",
		       shown);
}

int gateway_find_host(const struct ssh_config *config,
		      const struct ssh_options *options,
		      struct gateway_host *ret_host, struct err *err)
{
	struct ssh_config *c = malloc(sizeof(*c));
	struct ssh_options jump_options;
	struct gateway_host host = {.is_jump = false};
	struct ssh_dest jump;
	int r = 0;

	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	*c = *config;
	ssh_jump_options(options, &jump_options);
	for (int i = 0; ssh_config_is_set(c->proxy_jump) && r == 0; i++) {
		if (i == JUMPS_MAX)
			r = err_set(err, -ELOOP,
				    "the jump hosts lead to more than %d "
				    "others",
				    JUMPS_MAX);
		if (r == 0)
			r = first_jump(c->proxy_jump, &jump, err);
		if (r == 0)
			r = ssh_config_query(&jump, &jump_options, NULL,
					     QUERY_TIMEOUT_MS, c, err);
		host.is_jump = true;
	}
	if (r == 0 && ssh_config_is_set(c->proxy_command))
		r = say_unknown(c->proxy_command, err);
	if (r == 0) {
		memcpy(host.name, c->hostname, sizeof(host.name));
		host.port = c->port;
		*ret_host = host;
	}
	free(c);
	return r;
}

/* Returns the new number. */
static size_t add(const struct ip_addr *a, uint16_t port, struct endpoint *list,
		  size_t n, size_t max)
{
	for (size_t i = 0; i < n; i++)
		if (addr_equal(&list[i].addr, a))
			return n;
	if (n < max)
		list[n++] = (struct endpoint){.addr = *a, .port = port};
	return n;
}

/* "ADDR NAME..." of /etc/hosts.  The line is written to. */
static bool is_line_of(char *line, const char *name, struct ip_addr *ret_addr)
{
	static const char space[] = " \t\r\n";
	char *rest, *word;

	line[strcspn(line, "#%")] = '\0';
	word = strtok_r(line, space, &rest);
	if (!word || addr_parse(word, ret_addr) < 0)
		return false;
	while ((word = strtok_r(NULL, space, &rest)) != NULL)
		if (strcasecmp(word, name) == 0)
			return true;
	return false;
}

size_t gateway_find_here(const struct gateway_host *host, struct endpoint *ret,
			 size_t max)
{
	char line[1024];
	struct ip_addr addr;
	size_t n = 0;

	/* A scope (fe80::1%eth0) is no part of the address. */
	(void)snprintf(line, sizeof(line), "%.*s",
		       (int)strcspn(host->name, "%"), host->name);
	if (addr_parse(line, &addr) == 0)
		return add(&addr, host->port, ret, 0, max);
	FILE *f = fopen("/etc/hosts", "re");
	while (f && fgets(line, sizeof(line), f))
		if (is_line_of(line, host->name, &addr))
			n = add(&addr, host->port, ret, n, max);
	if (f)
		(void)fclose(f);
	return n;
}

int gateway_find_by_dns(const struct gateway_host *host, struct endpoint *ret,
			size_t max, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	char shown[256];
	int r = getaddrinfo(host->name, NULL, &hints, &list);
	size_t n = 0;

	for (const struct addrinfo *a = list; r == 0 && a; a = a->ai_next) {
		struct endpoint e;

		if (endpoint_from_sockaddr(a->ai_addr, &e) == 0)
			n = add(&e.addr, host->port, ret, n, max);
	}
	if (list)
		freeaddrinfo(list);
	if (n > 0)
		return (int)n;
	escape_text(host->name, strlen(host->name), shown, sizeof(shown));
	return err_set(err, -ENOENT,
		       "the kill switch needs the address of %.200s, which "
		       "cannot be found: %s",
		       shown, r ? gai_strerror(r) : "it has none");
}
