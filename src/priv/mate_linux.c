/* SPDX-License-Identifier: MIT */
/* mate: see mate.h. */
#include "mate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "fd_msg.h"

/* Open the program beside our own, which may lie where we cannot look any more
 * when we are nobody.  Returns a descriptor, or -errno with err. */
static int find(const char *name, struct err *err)
{
	char path[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *end = n < 0 ? NULL : strrchr(path, '/');

	/* One that has its capability from its file must not start what lies
	 * beside it. */
	if (getuid() != 0 || geteuid() != 0)
		return err_set(err, -EPERM,
			       "only a broker that root has started can have "
			       "%s do this",
			       name);
	if (end)
		(void)snprintf(end, sizeof(path) - (size_t)(end - path), "/%s",
			       name);
	int fd = open(path, O_PATH | O_CLOEXEC);
	return fd >= 0 ? fd
		       : err_set(err, -errno, "cannot open %s: %s", path,
				 strerror(errno));
}

void mate_init(struct mate *ret, const char *name)
{
	*ret = (struct mate){.name = name, .sock = -1};
	ret->why_not = ret->program_fd = find(name, &ret->why);
}

void mate_fini(struct mate *m)
{
	fd_close(&m->sock);
	fd_close(&m->program_fd);
}

static void become(const struct mate *m, int sock)
{
	static const char *const environment[] = {NULL};
	const char *const argv[] = {m->name, NULL};

	if (dup2(sock, STDIN_FILENO) >= 0)
		(void)fexecve(m->program_fd, (char *const *)(uintptr_t)argv,
			      (char *const *)(uintptr_t)environment);
	_exit(EXIT_FAILURE);
}

void mate_start(struct mate *m)
{
	struct timeval patience = {.tv_sec = MATE_TIMEOUT_S};

	while (waitpid(-1, NULL, WNOHANG) > 0) /* those before */
		;
	if (m->program_fd < 0)
		return;
	pid_t pid = fd_msg_fork(&m->sock);
	if (pid == 0)
		become(m, m->sock);
	if (pid < 0)
		m->why_not = err_set(&m->why, pid, "cannot start %s: %s",
				     m->name, strerror(-pid));
	else
		(void)setsockopt(m->sock, SOL_SOCKET, SO_RCVTIMEO, &patience,
				 sizeof(patience));
}

void mate_stop(struct mate *m)
{
	fd_close(&m->sock);
	m->why_not = err_set(&m->why, -EPIPE, "%s has ended", m->name);
}

int mate_why_not(const struct mate *m, struct err *err)
{
	return err_set(err, m->why_not, "%s", m->why.text);
}

int mate_ask(struct mate *m, const void *request, size_t len,
	     struct brokermsg_reply *ret_reply, struct err *err)
{
	int along CLEANUP_FD = -1;

	if (m->sock < 0)
		return mate_why_not(m, err);
	ssize_t n = fd_msg_send(m->sock, request, len, FD_MSG_NOTHING);
	if (n == 0)
		n = fd_msg_receive(m->sock, ret_reply, sizeof(*ret_reply),
				   &along);
	if (n != sizeof(*ret_reply)) {
		/* What comes late would be taken for the answer to another
		 * request. */
		bool is_late = n == -EAGAIN;

		(void)shutdown(m->sock, SHUT_RDWR);
		return err_set(err, is_late ? -ETIMEDOUT : -EPIPE, "%s %s",
			       m->name,
			       is_late ? "does not answer" : "has ended");
	}
	ret_reply->name[sizeof(ret_reply->name) - 1] = '\0';
	ret_reply->text[sizeof(ret_reply->text) - 1] = '\0';
	return ret_reply->result < 0
		       ? err_set(err, ret_reply->result, "%s", ret_reply->text)
		       : 0;
}
