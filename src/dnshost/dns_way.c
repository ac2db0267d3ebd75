/* SPDX-License-Identifier: MIT */
/* dns_way: the ways in which a host finds its name servers. */
#include "dns_way.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"

const struct dns_way *const dns_ways[DNS_WAY__N] = {
	[DNS_WAY_RESOLVED] = &dns_way_resolved,
	[DNS_WAY_RESOLVCONF] = &dns_way_resolvconf,
	[DNS_WAY_FILE] = &dns_way_file,
};

int dns_way_open_etc(const struct dns_host *host)
{
	int fd = open(host->etc, O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int dns_way_read_conf(const struct dns_host *host, char *out, size_t cap)
{
	int dir_fd CLEANUP_FD = dns_way_open_etc(host);
	size_t len = 0;

	if (dir_fd < 0)
		return dir_fd;
	int fd CLEANUP_FD = openat(dir_fd, "resolv.conf",
				   O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (len < cap) {
		ssize_t n = read(fd, out + len, cap - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (int)len;
}

bool dns_way_has_device(const struct dns_record_device *device)
{
	char name[IF_NAMESIZE];

	return if_indextoname(device->ifindex, name) &&
	       strcmp(name, device->name) == 0;
}
