/* SPDX-License-Identifier: MIT */
/* addr_watch: the kernel tells that this host's addresses have changed. */
#include "addr_watch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "fd.h"

int addr_watch_open(void)
{
	struct sockaddr_nl groups = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	int fd CLEANUP_FD =
		socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       NETLINK_ROUTE);

	if (fd < 0 ||
	    bind(fd, (const struct sockaddr *)&groups, sizeof(groups)) < 0)
		return -errno;
	return fd_take(&fd);
}

void addr_watch_drain(int fd)
{
	char buf[8192];

	/* ENOBUFS: there was no room for some, but for what comes now. */
	while (recv(fd, buf, sizeof(buf), 0) > 0 || errno == ENOBUFS ||
	       errno == EINTR)
		;
}
