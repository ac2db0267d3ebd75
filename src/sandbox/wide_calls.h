/* SPDX-License-Identifier: MIT */
/*
 * wide_calls: for lists of what is refused: ways into the kernel that are wide,
 * other processes, and what concerns the whole machine.
 */
#ifndef ECSSH_WIDE_CALLS_H
#define ECSSH_WIDE_CALLS_H

#include <sys/syscall.h>

/* What sanitizers look for leaks with. */
#ifdef SANDBOX_SANITIZED
#define WIDE_CALLS_PTRACE
#else
/* clang-format off */
#define WIDE_CALLS_PTRACE {.nr = SYS_ptrace}, {.nr = SYS_process_vm_readv},
/* clang-format on */
#endif

/* Numbers where headers of the system may be older; the same everywhere. */
enum {
	NR_IO_URING_SETUP = 425,
	NR_IO_URING_ENTER = 426,
	NR_IO_URING_REGISTER = 427,
	NR_OPEN_TREE = 428,
	NR_MOVE_MOUNT = 429,
	NR_FSOPEN = 430,
	NR_OPENAT2 = 437,
	NR_PIDFD_GETFD = 438,
	NR_MOUNT_SETATTR = 442,
};

/* clang-format off */
#define WIDE_CALLS                                                         \
	WIDE_CALLS_PTRACE                                                  \
	{.nr = SYS_process_vm_writev}, {.nr = SYS_kcmp},                   \
	{.nr = SYS_unshare}, {.nr = SYS_setns},                            \
	{.nr = SYS_bpf}, {.nr = SYS_perf_event_open},                      \
	{.nr = SYS_userfaultfd}, {.nr = NR_IO_URING_SETUP},                \
	{.nr = NR_IO_URING_ENTER}, {.nr = NR_IO_URING_REGISTER},           \
	{.nr = SYS_keyctl}, {.nr = SYS_add_key}, {.nr = SYS_request_key},  \
	{.nr = SYS_vmsplice}, {.nr = SYS_fanotify_init},                   \
	{.nr = SYS_open_by_handle_at}, {.nr = SYS_personality},            \
	{.nr = SYS_mount}, {.nr = SYS_umount2}, {.nr = SYS_pivot_root},    \
	{.nr = SYS_chroot}, {.nr = NR_OPEN_TREE}, {.nr = NR_MOVE_MOUNT},   \
	{.nr = NR_FSOPEN}, {.nr = NR_MOUNT_SETATTR},                       \
	{.nr = SYS_init_module}, {.nr = SYS_finit_module},                 \
	{.nr = SYS_delete_module}, {.nr = SYS_kexec_load},                 \
	{.nr = SYS_reboot}, {.nr = SYS_swapon}, {.nr = SYS_acct},          \
	{.nr = SYS_settimeofday}, {.nr = SYS_clock_settime},               \
	{.nr = SYS_sethostname}
/* clang-format on */

#endif
