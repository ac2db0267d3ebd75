/* SPDX-License-Identifier: MIT */
/*
 * dial_main: ecssh-dial ADDR PORT...: connect, and hand the socket to the ssh
 * that started this as its ProxyCommand with ProxyUseFdpass.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "addr.h"
#include "fd.h"
#include "fd_msg.h"
#include "log.h"

enum { TIMEOUT_S = 10 }; /* for each address */

/* Returns a socket for the caller, or -errno. */
static int dial(const struct endpoint *to)
{
	const struct timeval limit = {.tv_sec = TIMEOUT_S}, none = {0};
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, &ss);
	CLEANUP_FD int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* What limits sending limits connecting. */
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&ss, len) < 0)
		return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)) < 0)
		return -errno;
	return fd_take(&fd);
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
	struct endpoint to;
	char text[ADDR_TEXT_MAX];
	int r = -EINVAL;

	if (fd_open_stdio() < 0)
		return EXIT_FAILURE;
	log_init("ecssh-dial", LOG_LEVEL_NOTICE);
	for (int i = 1; i + 1 < argc && r < 0; i += 2) {
		if (!parse(&argv[i], &to))
			break;
		CLEANUP_FD int fd = dial(&to);

		r = fd < 0 ? fd : fd_msg_send(STDOUT_FILENO, "", 1, fd);
		if (r < 0)
			log_err("connect to %s port %u: %s",
				addr_format(&to.addr, text), to.port,
				strerror(-r));
	}
	if (r == -EINVAL)
		log_err("this program is started by ssh for ecssh: "
			"ecssh-dial ADDR PORT...");
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
