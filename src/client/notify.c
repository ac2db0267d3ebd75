/* SPDX-License-Identifier: MIT */
/* notify: what a service manager is told, as in sd_notify(3). */
#include "notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "escape.h"
#include "fd.h"
#include "log.h"

enum { STATUS_MAX = 1024 };

/* "/path", or "@name" in the abstract namespace. */
static int connect_to(int fd, const char *where)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = strlen(where);

	if ((where[0] != '/' && where[0] != '@') || len < 2 ||
	    len >= sizeof(to.sun_path))
		return -1;
	memcpy(to.sun_path, where, len);
	if (where[0] == '@')
		to.sun_path[0] = '\0';
	return connect(
		fd, (const struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

void notify_open(struct notify *n)
{
	const char *where = getenv("NOTIFY_SOCKET");

	n->fd = -1;
	if (!where)
		return;
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd >= 0 && connect_to(n->fd, where) < 0) {
		log_debug("cannot reach NOTIFY_SOCKET: %m");
		fd_close(&n->fd);
	}
	(void)unsetenv("NOTIFY_SOCKET");
}

void notify_close(struct notify *n)
{
	fd_close(&n->fd);
}

static void say(const struct notify *n, const char *text)
{
	if (n->fd >= 0)
		(void)send(n->fd, text, strlen(text), MSG_NOSIGNAL);
}

void notify_ready(struct notify *n)
{
	say(n, "READY=1");
}

void notify_stopping(struct notify *n)
{
	say(n, "STOPPING=1");
}

void notify_status(struct notify *n, const char *fmt, ...)
{
	static const char key[] = "STATUS=";
	char text[STATUS_MAX], message[sizeof(key) + STATUS_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* A line is an assignment of its own. */
	memcpy(message, key, sizeof(key));
	(void)escape_text(text, strlen(text), message + sizeof(key) - 1,
			  STATUS_MAX);
	say(n, message);
}
