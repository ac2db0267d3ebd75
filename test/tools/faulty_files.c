/* SPDX-License-Identifier: MIT */
/*
 * faulty_files: ecssh-dns or ecssh-kill, but for one thing: at the n-th step
 * that changes a file or a rule it is killed, with its guardian if it has one.
 * The real one's objects, with what makes these steps wrapped by the linker
 * (--wrap).
 *
 * "before 7": the step is not made; "after 7": it is; "torn 7": what it was to
 * write is half written.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/types.h>

#include "faulty.h"
#include "fd.h"
#include "nft_run.h"

/* The mode is there if it makes a file. */
int __real_openat64(int dir_fd, const char *path, int flags, mode_t mode);
int __wrap_openat64(int dir_fd, const char *path, int flags, mode_t mode);
int __real_fd_write_all(int fd, const void *buf, size_t len);
int __wrap_fd_write_all(int fd, const void *buf, size_t len);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to,
		     unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to,
		     unsigned flags);
int __real_unlinkat(int dir_fd, const char *path, int flags);
int __wrap_unlinkat(int dir_fd, const char *path, int flags);
int __real_symlinkat(const char *target, int dir_fd, const char *path);
int __wrap_symlinkat(const char *target, int dir_fd, const char *path);
int __real_nft_run_rules(const struct text *rules, struct err *err);
int __wrap_nft_run_rules(const struct text *rules, struct err *err);

static unsigned n_steps; /* so far */

static void at(const char *moment)
{
	faulty_moment(FAULTY_PROGRAM, "ecssh-dns-keep", moment, n_steps);
}

static void before(void)
{
	n_steps++;
	at("before");
}

static int after(int result)
{
	at("after");
	return result;
}

int __wrap_openat64(int dir_fd, const char *path, int flags, mode_t mode)
{
	if (!(flags & (O_CREAT | O_TRUNC)))
		return __real_openat64(dir_fd, path, flags, mode);
	before();
	return after(__real_openat64(dir_fd, path, flags, mode));
}

int __wrap_fd_write_all(int fd, const void *buf, size_t len)
{
	before();
	/* The rest is not written, but by one that goes on. */
	int r = __real_fd_write_all(fd, buf, len / 2);
	at("torn");
	if (r == 0)
		r = __real_fd_write_all(fd, (const char *)buf + len / 2,
					len - len / 2);
	return after(r);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	before();
	return after(__real_renameat(from_fd, from, to_fd, to));
}

int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to,
		     unsigned flags)
{
	before();
	return after(__real_renameat2(from_fd, from, to_fd, to, flags));
}

int __wrap_unlinkat(int dir_fd, const char *path, int flags)
{
	before();
	return after(__real_unlinkat(dir_fd, path, flags));
}

int __wrap_symlinkat(const char *target, int dir_fd, const char *path)
{
	before();
	return after(__real_symlinkat(target, dir_fd, path));
}

int __wrap_nft_run_rules(const struct text *rules, struct err *err)
{
	before();
	return after(__real_nft_run_rules(rules, err));
}
