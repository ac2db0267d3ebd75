/* SPDX-License-Identifier: MIT */
/*
 * sshd_socket: the TCP socket of the sshd that we descend from.
 *
 * Theory of operation
 *   The helper descends from a process of sshd that holds one connection to a
 *   client: ours.  sudo and shells may be in between, so go up to the first
 *   process of that name.  One that a user has named so leads to a connection
 *   of that user's, which is no more than the true one.
 */
#include "sshd_socket.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proc.h"

enum { GENERATIONS_MAX = 32 };

/* sshd, or sshd-session of OpenSSH 9.8 and later. */
static pid_t find_sshd(void)
{
	pid_t pid = getpid();
	char name[PROC_NAME_MAX];

	for (int i = 0; i < GENERATIONS_MAX && pid > 1; i++) {
		pid = proc_parent(pid);
		if (pid > 1 && strncmp(proc_name(pid, name), "sshd", 4) == 0)
			return pid;
	}
	return 0;
}

int sshd_socket_dup(struct err *err)
{
	pid_t pid = find_sshd();
	int number;

	if (pid == 0)
		return err_set(err, -ENOENT, "no sshd is above the helper");
	int fd = proc_dup_tcp(pid, &number);
	if (fd >= 0)
		return fd;
	return err_set(err, fd, "sshd's socket cannot be reached: %s",
		       fd == -EPERM    ? "that takes root"
		       : fd == -ENOENT ? "it has no TCP connection"
				       : strerror(-fd));
}
