/* SPDX-License-Identifier: MIT */
/*
 * common_calls: what every process of ours needs, and what the C library does
 * behind its back: memory that is not executable, time, descriptors that are
 * open, and the end.  What is called most comes first.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "sandbox.h"

#define DATA_ONLY                                                              \
	{                                                                      \
		{                                                              \
			.index = 2, .mask = PROT_EXEC, .n = 1, .values = { 0 } \
		}                                                              \
	}

#define FCNTL                                           \
	{                                               \
		{                                       \
			.index = 1, .n = 6, .values = { \
				F_GETFL,                \
				F_SETFL,                \
				F_GETFD,                \
				F_SETFD,                \
				F_SETPIPE_SZ,           \
				F_DUPFD_CLOEXEC         \
			}                               \
		}                                       \
	}

const struct sandbox_call sandbox_common[] = {
	{.nr = SYS_read},
	{.nr = SYS_write},
	{.nr = SYS_readv},
	{.nr = SYS_writev},
#ifdef SYS_epoll_wait
	{.nr = SYS_epoll_wait},
#endif
	{.nr = SYS_epoll_pwait},
	{.nr = SYS_epoll_ctl},
#ifdef SYS_poll
	{.nr = SYS_poll},
#endif
	{.nr = SYS_ppoll},
	{.nr = SYS_clock_gettime},
	{.nr = SYS_timerfd_settime},
#ifdef SYS_clock_gettime64
	{.nr = SYS_clock_gettime64},
	{.nr = SYS_ppoll_time64},
	{.nr = SYS_timerfd_settime64},
	{.nr = SYS_futex_time64},
#endif
	{.nr = SYS_close},
	{.nr = SYS_fcntl, .args = FCNTL},
#ifdef SYS_fcntl64
	{.nr = SYS_fcntl64, .args = FCNTL},
#endif
	{.nr = SYS_lseek},
#ifdef SYS__llseek
	{.nr = SYS__llseek},
#endif
	{.nr = SYS_fstat},
#ifdef SYS_fstat64
	{.nr = SYS_fstat64},
#endif
#ifdef SYS_newfstatat
	{.nr = SYS_newfstatat}, /* fstat(3) of newer C libraries */
#endif
#ifdef SYS_fstatat64
	{.nr = SYS_fstatat64},
#endif
#ifdef SYS_statx
	{.nr = SYS_statx},
#endif
	{.nr = SYS_brk},
#ifdef SYS_mmap
	{.nr = SYS_mmap, .args = DATA_ONLY},
#endif
#ifdef SYS_mmap2
	{.nr = SYS_mmap2, .args = DATA_ONLY},
#endif
	{.nr = SYS_mprotect, .args = DATA_ONLY},
	{.nr = SYS_munmap},
	{.nr = SYS_mremap},
	{.nr = SYS_madvise},
	{.nr = SYS_futex},
	{.nr = SYS_getrandom},
	{.nr = SYS_rt_sigprocmask},
	{.nr = SYS_rt_sigreturn},
#ifdef SYS_sigreturn
	{.nr = SYS_sigreturn},
#endif
	{.nr = SYS_restart_syscall},
	/* deference.h */
	{.nr = SYS_sched_getscheduler, .args = {{.n = 1, .values = {0}}}},
	{.nr = SYS_sched_setscheduler,
	 .args = {{.n = 1, .values = {0}},
		  {.index = 1, .n = 2, .values = {SCHED_OTHER, SCHED_BATCH}}}},
#ifdef SYS_time
	{.nr = SYS_time},
#endif
	{.nr = SYS_gettimeofday},
	{.nr = SYS_getpid},
	{.nr = SYS_gettid},
	{.nr = SYS_getuid},
	{.nr = SYS_geteuid},
#ifdef SYS_getuid32
	{.nr = SYS_getuid32},
	{.nr = SYS_geteuid32},
#endif
	/* abort(3) */
	{.nr = SYS_tgkill, .args = {{.n = 1, .values = {SANDBOX_SELF}}}},
	{.nr = SYS_exit},
	{.nr = SYS_exit_group},
#ifdef SANDBOX_SANITIZED
	/* What the sanitizers do by themselves, leaks at the end included. */
	{.nr = SYS_sigaltstack},
	{.nr = SYS_rt_sigaction},
	{.nr = SYS_sched_yield},
	{.nr = SYS_clone},
	{.nr = SYS_ptrace},
	{.nr = SYS_prctl},
	{.nr = SYS_wait4},
	{.nr = SYS_openat},
	{.nr = SYS_getdents64},
	{.nr = SYS_prlimit64},
	{.nr = SYS_sched_getaffinity},
	{.nr = SYS_getppid},
	{.nr = SYS_kill},
	{.nr = SYS_process_vm_readv},
#ifdef SYS_readlink
	{.nr = SYS_getdents},
	{.nr = SYS_readlink},
	{.nr = SYS_open},
	{.nr = SYS_pipe},
	{.nr = SYS_stat},
#endif
	{.nr = SYS_readlinkat},
#endif
};
const size_t sandbox_common_n =
	sizeof(sandbox_common) / sizeof(*sandbox_common);
