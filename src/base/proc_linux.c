/* SPDX-License-Identifier: MIT */
/* proc: other processes: who descends from whom, with what environment one was
 * started, and what TCP connection one holds. */
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"

enum { PATH_TEXT_MAX = 64 };

/*
 * Who descends from whom
 */

/* Read a file of a process, at most cap - 1 bytes, followed by a NUL.  Returns
 * the length; 0 if it cannot be read. */
static size_t read_file(pid_t pid, const char *name, char *buf, size_t cap)
{
	char path[PATH_TEXT_MAX];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	FILE *f = fopen(path, "re");
	size_t len = f ? fread(buf, 1, cap - 1, f) : 0;
	if (f)
		(void)fclose(f);
	buf[len] = '\0';
	return len;
}

/* Reads the line of /proc/PID/stat, "PID (NAME) STATE PPID ...".  Returns where
 * the name ends, for the name may hold anything; NULL if there is none. */
static char *read_stat(pid_t pid, char line[512])
{
	(void)read_file(pid, "stat", line, 512);
	return strrchr(line, ')');
}

pid_t proc_parent(pid_t pid)
{
	char line[512];
	int ppid = 0;
	const char *end = read_stat(pid, line);

	if (!end || sscanf(end + 1, " %*c %d", &ppid) != 1)
		return 0;
	return ppid;
}

const char *proc_name(pid_t pid, char out[PROC_NAME_MAX])
{
	char line[512];
	char *end = read_stat(pid, line);
	const char *start = end ? strchr(line, '(') : NULL;

	out[0] = '\0';
	if (start && start < end)
		(void)snprintf(out, PROC_NAME_MAX, "%.*s",
			       (int)(end - start - 1), start + 1);
	return out;
}

const char *proc_env(pid_t pid, const char *name, char *buf, size_t cap)
{
	size_t name_len = strlen(name);
	size_t len = read_file(pid, "environ", buf, cap);

	for (const char *p = buf; p < buf + len; p += strlen(p) + 1)
		if (strncmp(p, name, name_len) == 0 && p[name_len] == '=')
			return p + name_len + 1;
	return NULL;
}

static bool has_pid(const pid_t *pids, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* Add those processes whose parent is there.  Returns the new number, or
 * -errno. */
static int add_children(pid_t *pids, size_t n, size_t max)
{
	DIR *dir = opendir("/proc");
	const struct dirent *e;

	if (!dir)
		return -errno;
	while (n < max && (e = readdir(dir)) != NULL) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid > 0 && !has_pid(pids, n, pid) &&
		    has_pid(pids, n, proc_parent(pid)))
			pids[n++] = pid;
	}
	(void)closedir(dir);
	return (int)n;
}

int proc_tree(pid_t pid, pid_t *ret_pids, size_t max)
{
	int n = 1, grown;

	ret_pids[0] = pid;
	/* One generation a time; /proc lists children mostly after parents. */
	while ((grown = add_children(ret_pids, (size_t)n, max)) > n)
		n = grown;
	return grown < 0 ? grown : n;
}

/*
 * What one holds
 */

static int dup_fd(int pidfd, int number)
{
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

	return fd < 0 ? -errno : fd;
}

static int open_pid(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

int proc_dup_fd(pid_t pid, int number)
{
	CLEANUP_FD int pidfd = open_pid(pid);

	return pidfd < 0 ? pidfd : dup_fd(pidfd, number);
}

static bool is_connected_tcp(int fd)
{
	struct sockaddr_storage peer;
	int protocol = 0;
	socklen_t len = sizeof(protocol);

	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) < 0 ||
	    protocol != IPPROTO_TCP)
		return false;
	len = sizeof(peer);
	return getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

/* The lowest descriptor from number on that is a socket; -ENOENT: none. */
static int next_socket(pid_t pid, int number)
{
	char path[PATH_TEXT_MAX + 256], target[16];
	const struct dirent *e;
	int lowest = INT_MAX;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	if (!dir)
		return errno == EACCES ? -EPERM : -errno;
	while ((e = readdir(dir)) != NULL) {
		char *end;
		long n = strtol(e->d_name, &end, 10);

		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid,
			       e->d_name);
		if (*end == '\0' && n >= number && n < lowest &&
		    readlink(path, target, sizeof(target)) > 7 &&
		    memcmp(target, "socket:", 7) == 0)
			lowest = (int)n;
	}
	(void)closedir(dir);
	return lowest < INT_MAX ? lowest : -ENOENT;
}

int proc_dup_tcp(pid_t pid, int *ret_number)
{
	CLEANUP_FD int pidfd = open_pid(pid);
	int number = pidfd < 0 ? pidfd : next_socket(pid, 0);

	for (; number >= 0; number = next_socket(pid, number + 1)) {
		CLEANUP_FD int fd = dup_fd(pidfd, number);

		if (fd < 0 && fd != -EBADF)
			return fd;
		if (fd >= 0 && is_connected_tcp(fd)) {
			*ret_number = number;
			return fd_take(&fd);
		}
	}
	return number;
}
