/* SPDX-License-Identifier: MIT */
/*
 * engine_profile: the near engine moves bytes between the device, its doors and
 * ssh, and is asked how it fares.
 *
 * It starts nothing, signals nobody, looks into no process, makes no Unix
 * socket, writes and makes no file: ssh, its socket and control socket are the
 * starter's (carrier/starter.h), the script its runner's, the network the
 * broker's.
 *
 * The C library is the host's, whichever that is.  So what others of its
 * versions do by themselves and what gives nobody anything is allowed, too.
 */
#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sandbox.h"

/* clang-format off */
#define FOR_READING(argument)                                \
	{{.index = (argument), .n = 1, .values = {0},          \
	  .mask = O_ACCMODE | O_CREAT | O_TRUNC}}
#define OF_ITSELF {{.index = 0, .n = 1, .values = {0}}}
/* clang-format on */

static const struct sandbox_call calls[] = {
	/* Sockets of its own, and what comes by those it was given. */
	{.nr = SYS_recvfrom},
	{.nr = SYS_recvmsg},
	{.nr = SYS_sendto},
	{.nr = SYS_sendmsg},
#ifdef SYS_recv
	{.nr = SYS_recv},
	{.nr = SYS_send},
#endif
	{.nr = SYS_recvmmsg},
#ifdef SYS_recvmmsg_time64
	{.nr = SYS_recvmmsg_time64},
#endif
	{.nr = SYS_sendmmsg},
	{.nr = SYS_getsockopt},
	{.nr = SYS_setsockopt},
	/* No raw ones: the user may be root. */
	{.nr = SYS_socket,
	 .args = {{.n = 3, .values = {AF_INET, AF_INET6, AF_NETLINK}},
		  {.index = 1,
		   .mask = 0xf,
		   .n = 2,
		   .values = {SOCK_STREAM, SOCK_DGRAM}}}},
	{.nr = SYS_bind},
	{.nr = SYS_listen},
	{.nr = SYS_connect},
	{.nr = SYS_shutdown},
	{.nr = SYS_accept4},
	{.nr = SYS_getpeername},
	{.nr = SYS_getsockname},
	{.nr = SYS_ioctl,
	 .args = {{.index = 1,
		   .n = 10,
		   .values = {SIOCOUTQ, FIONREAD, SIOCGIFINDEX, SIOCGIFNAME,
			      FIONBIO, TUNSETOFFLOAD, TUNSETVNETHDRSZ,
			      TUNGETIFF, TCGETS, TIOCGWINSZ}}}},
	/* Files, as far as its paths go. */
	{.nr = SYS_openat, .args = FOR_READING(2)},
#ifdef SYS_open
	{.nr = SYS_open, .args = FOR_READING(1)},
	{.nr = SYS_unlink},
	{.nr = SYS_access},
	{.nr = SYS_stat},
	{.nr = SYS_lstat},
	{.nr = SYS_readlink},
	{.nr = SYS_dup2},
	{.nr = SYS_getpgrp},
#endif
	{.nr = SYS_unlinkat},
	{.nr = SYS_faccessat},
	{.nr = SYS_readlinkat},
	{.nr = SYS_getdents64},
	{.nr = SYS_dup},
	{.nr = SYS_dup3},
	/* The starter and the runner of scripts are reaped; to the background.
	 */
	{.nr = SYS_wait4},
	{.nr = SYS_waitid},
	{.nr = SYS_pidfd_open},
	{.nr = SYS_setsid},
	/* Of the C library. */
	{.nr = SYS_rt_sigaction},
	{.nr = SYS_sigaltstack},
	{.nr = SYS_clock_getres},
	{.nr = SYS_clock_nanosleep},
	{.nr = SYS_nanosleep},
	{.nr = SYS_uname},
	{.nr = SYS_sysinfo},
	{.nr = SYS_getppid},
	{.nr = SYS_getgid},
	{.nr = SYS_getegid},
	{.nr = SYS_sched_yield},
	{.nr = SYS_sched_getaffinity},
	{.nr = SYS_getcpu},
	{.nr = SYS_prlimit64, .args = OF_ITSELF},
#ifdef SYS_getrlimit
	{.nr = SYS_getrlimit},
#endif
};

const struct sandbox_profile sandbox_engine = {
	.calls = calls,
	.n_calls = sizeof(calls) / sizeof(*calls),
};
