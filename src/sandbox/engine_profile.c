/* SPDX-License-Identifier: MIT */
/*
 * engine_profile: what the engine does not do once a tunnel is up that needs no
 * further ssh: it runs no program, writes no file, makes no memory executable.
 *
 * A list of what is refused: the C library here is whatever the host has.  Not
 * by Landlock, which would keep us from looking into ssh for its connection.
 * So files can be read, and removed: its own sockets are, at the end.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sandbox.h"
#include "wide_calls.h"

/* clang-format off */
#define FOR_READING(argument)                                \
	{{.index = (argument), .n = 1, .values = {0},          \
	  .mask = O_ACCMODE | O_CREAT | O_TRUNC}}
#define DATA_ONLY {{.index = 2, .mask = PROT_EXEC, .n = 1, .values = {0}}}
/* clang-format on */

static const struct sandbox_call calls[] = {
	/* Programs. */
	{.nr = SYS_execve},
	{.nr = SYS_execveat},
#ifndef SANDBOX_SANITIZED
	{.nr = SYS_clone},
#endif
#ifdef SYS_fork
	{.nr = SYS_fork},
	{.nr = SYS_vfork},
#endif
#ifdef SYS_mmap
	{.nr = SYS_mmap, .args = DATA_ONLY},
#endif
#ifdef SYS_mmap2
	{.nr = SYS_mmap2, .args = DATA_ONLY},
#endif
	{.nr = SYS_mprotect, .args = DATA_ONLY},
	/* Files. */
	{.nr = SYS_openat, .args = FOR_READING(2)},
	{.nr = NR_OPENAT2},
#ifdef SYS_open
	{.nr = SYS_open, .args = FOR_READING(1)},
	{.nr = SYS_creat},
	{.nr = SYS_rename},
	{.nr = SYS_link},
	{.nr = SYS_symlink},
	{.nr = SYS_mkdir},
	{.nr = SYS_mknod},
	{.nr = SYS_chmod},
	{.nr = SYS_chown},
	{.nr = SYS_lchown},
#endif
#ifdef SYS_renameat
	{.nr = SYS_renameat},
#endif
	{.nr = SYS_renameat2},
	{.nr = SYS_linkat},
	{.nr = SYS_symlinkat},
	{.nr = SYS_mkdirat},
	{.nr = SYS_mknodat},
	{.nr = SYS_fchmodat},
	{.nr = SYS_fchownat},
	{.nr = SYS_truncate},
	{.nr = SYS_setxattr},
	{.nr = SYS_memfd_create},
	/* Who we are. */
	{.nr = SYS_setuid},
	{.nr = SYS_setgid},
	{.nr = SYS_setresuid},
	{.nr = SYS_setresgid},
	{.nr = SYS_setgroups},
	{.nr = SYS_capset},
	/* Netlink: the C library asks for interfaces. */
	{.nr = SYS_socket,
	 .args = {{.n = 4,
		   .values = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}}}},
	WIDE_CALLS,
};

const struct sandbox_profile sandbox_engine = {
	.calls = calls,
	.n_calls = sizeof(calls) / sizeof(*calls),
	.lists_refused = true,
	.leaves_files = true,
};
