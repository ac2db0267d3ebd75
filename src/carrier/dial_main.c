/* SPDX-License-Identifier: MIT */
/*
 * dial_main: ecssh-dial [--from FIRST-LAST] ADDR PORT...: connect, from one of
 * these ports, and hand the socket to the ssh that started this as its
 * ProxyCommand with ProxyUseFdpass.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "addr.h"
#include "fd.h"
#include "fd_msg.h"
#include "log.h"
#include "port_range.h"

enum { TIMEOUT_S = 10 }; /* for each address */

/* What limits sending limits connecting. */
static int limit_sending(int fd, time_t limit_s)
{
	const struct timeval limit = {.tv_sec = limit_s};

	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) <
			       0
		       ? -errno
		       : 0;
}

/* Have it begin at a port.  Returns 0 or -errno. */
static int bind_port(int fd, enum ip_version version, uint16_t port)
{
	const struct endpoint here = {.addr.version = (uint8_t)version,
				      .port = port};
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&here, &ss);
	const int yes = 1;

	/* One that is still closing does not matter: connect() sees to that. */
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) <
				       0 ||
			       bind(fd, (struct sockaddr *)&ss, len) < 0
		       ? -errno
		       : 0;
}

/* Returns a socket for the caller, or -errno: -EADDRINUSE, -EADDRNOTAVAIL: the
 * port is taken.  port: 0: any. */
static int dial_from(uint16_t port, const struct endpoint *to)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, &ss);
	CLEANUP_FD int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = fd < 0 ? -errno : limit_sending(fd, TIMEOUT_S);

	if (r == 0 && port != 0)
		r = bind_port(fd, (enum ip_version)to->addr.version, port);
	if (r == 0 && connect(fd, (struct sockaddr *)&ss, len) < 0)
		r = errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	if (r == 0)
		r = limit_sending(fd, 0);
	return r < 0 ? r : fd_take(&fd);
}

/* Nobody who cannot see the connection is to guess its port. */
static int dial(const struct port_range *from, const struct endpoint *to)
{
	uint32_t n = (uint32_t)(from->last - from->first) + 1, at = 0;
	int r = -EADDRINUSE;

	if (n > 1 && getentropy(&at, sizeof(at)) < 0)
		return -errno;
	for (uint32_t i = 0; i < n && (r == -EADDRINUSE || r == -EADDRNOTAVAIL);
	     i++)
		r = dial_from((uint16_t)(from->first + (at + i) % n), to);
	return r;
}

static bool parse_range(const char *word, struct port_range *ret)
{
	unsigned first, last;
	char more;

	if (sscanf(word, "%u-%u%c", &first, &last, &more) != 2 || first == 0 ||
	    last > UINT16_MAX)
		return false;
	*ret = (struct port_range){(uint16_t)first, (uint16_t)last};
	return port_range_is_sound(ret);
}

/* Returns false for what is no endpoint. */
static bool parse(char **words, struct endpoint *ret)
{
	char *end;
	unsigned long port = strtoul(words[1], &end, 10);

	ret->port = (uint16_t)port;
	return addr_parse(words[0], &ret->addr) == 0 && port > 0 &&
	       port <= UINT16_MAX && *end == '\0';
}

int main(int argc, char **argv)
{
	struct port_range from = {0};
	struct endpoint to;
	char text[ADDR_TEXT_MAX];
	int r = -EINVAL, i = 1;

	if (fd_open_stdio() < 0)
		return EXIT_FAILURE;
	log_init("ecssh-dial", LOG_LEVEL_NOTICE);
	if (argc > 2 && strcmp(argv[1], "--from") == 0)
		i = parse_range(argv[2], &from) ? 3 : argc;
	for (; i + 1 < argc && r < 0; i += 2) {
		if (!parse(&argv[i], &to))
			break;
		CLEANUP_FD int fd = dial(&from, &to);

		r = fd < 0 ? fd : fd_msg_send(STDOUT_FILENO, "", 1, fd);
		if (r < 0)
			log_err("connect to %s port %u: %s",
				addr_format(&to.addr, text), to.port,
				strerror(-r));
	}
	if (r == -EINVAL)
		log_err("this program is started by ssh for ecssh: "
			"ecssh-dial [--from FIRST-LAST] ADDR PORT...");
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
