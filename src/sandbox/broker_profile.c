/* SPDX-License-Identifier: MIT */
/*
 * broker_profile: what nobody with CAP_NET_ADMIN and no other capability has no
 * use for.
 *
 * A list of what is refused, because nft is run, and each version of it and of
 * its libraries makes other calls.  Most of it the kernel would refuse anyhow,
 * but after more work than is wanted; new user namespaces it would not.
 */
#include <linux/netlink.h>
#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sandbox.h"
#include "wide_calls.h"

#define NAMESPACES                                                     \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static const struct sandbox_call calls[] = {
	/* The socket to be marked is handed over, so these will do. */
	{.nr = SYS_socket,
	 .args = {{.n = 4,
		   .values = {AF_UNIX, AF_NETLINK, AF_INET, AF_INET6}}}},
	{.nr = SYS_clone,
	 .args = {{.mask = NAMESPACES, .n = 1, .values = {0}}}},
	/* Of sshd's socket it has a copy before. */
	{.nr = NR_PIDFD_GETFD},
#ifdef SYS_iopl
	{.nr = SYS_iopl},
	{.nr = SYS_ioperm},
#endif
	WIDE_CALLS,
};

const struct sandbox_profile sandbox_broker = {
	.calls = calls,
	.n_calls = sizeof(calls) / sizeof(*calls),
	.lists_refused = true,
	.leaves_files = true,
};
