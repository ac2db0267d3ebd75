/* SPDX-License-Identifier: MIT */
/*
 * helper_profile: the far end opens connections over IP and moves bytes.
 *
 * It opens no file, makes no Unix socket and listens nowhere: what it needs of
 * that kind the process outside (helper/outside.h) hands it.
 */
#include <asm/ioctls.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sandbox.h"

static const struct sandbox_call calls[] = {
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
	{.nr = SYS_getsockopt},
	{.nr = SYS_setsockopt},
	/* No raw ones: the account may be root. */
	{.nr = SYS_socket,
	 .args = {{.n = 2, .values = {AF_INET, AF_INET6}},
		  {.index = 1,
		   .mask = 0xf,
		   .n = 2,
		   .values = {SOCK_STREAM, SOCK_DGRAM}}}},
	{.nr = SYS_connect},
	{.nr = SYS_shutdown},
	/* Links, on the socket that the process outside listens at. */
	{.nr = SYS_accept4},
	{.nr = SYS_getpeername},
	{.nr = SYS_getsockname},
	{.nr = SYS_ioctl,
	 .args = {{.index = 1,
		   .n = 4,
		   .values = {SIOCOUTQ, FIONREAD, SIOCGIFINDEX, FIONBIO}}}},
};

const struct sandbox_profile sandbox_helper = {
	.calls = calls,
	.n_calls = sizeof(calls) / sizeof(*calls),
};
