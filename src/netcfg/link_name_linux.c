/* SPDX-License-Identifier: MIT */
/* link_name: what a network device is called. */
#include "link_name.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "fd.h"

bool link_name_find(uint32_t ifindex, char ret_name[IF_NAMESIZE])
{
	CLEANUP_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_ifindex = (int)ifindex};

	if (fd < 0 || ioctl(fd, SIOCGIFNAME, &ifr) < 0)
		return false;
	memcpy(ret_name, ifr.ifr_name, IF_NAMESIZE);
	return true;
}
