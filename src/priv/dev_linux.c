/* SPDX-License-Identifier: MIT */
/* dev: a network device and its routes by the ioctls of Linux. */
#include "dev.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fd.h"

static int open_socket(int family, struct err *err)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(err, -errno, "this host has no IPv%d: %s",
			       family == AF_INET6 ? IPV6 : IPV4,
			       strerror(errno));
	return fd;
}

static void fill_name(struct ifreq *ifr, const char *name)
{
	memset(ifr, 0, sizeof(*ifr));
	(void)snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
}

/* Set and clear flags of a device. */
static int change_flags(int fd, const char *name, int set, int clear)
{
	struct ifreq ifr;

	fill_name(&ifr, name);
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	ifr.ifr_flags = (short)((ifr.ifr_flags | set) & ~clear);
	return ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

int dev_configure(const char *name, uint32_t mtu_bytes, uint32_t txqueuelen,
		  struct err *err)
{
	int fd CLEANUP_FD = open_socket(AF_INET, err);
	struct ifreq ifr;

	if (fd < 0)
		return fd;
	fill_name(&ifr, name);
	ifr.ifr_mtu = (int)mtu_bytes;
	if (ioctl(fd, SIOCSIFMTU, &ifr) < 0)
		return err_set(err, -errno,
			       "cannot set the MTU of %s to %u: %s", name,
			       mtu_bytes, strerror(errno));
	fill_name(&ifr, name);
	ifr.ifr_qlen = (int)txqueuelen;
	(void)ioctl(fd, SIOCSIFTXQLEN, &ifr); /* the default will do */
	(void)change_flags(fd, name, 0, IFF_MULTICAST);
	return 0;
}

int dev_up(const char *name, struct err *err)
{
	int fd CLEANUP_FD = open_socket(AF_INET, err);

	if (fd < 0)
		return fd;
	int r = change_flags(fd, name, IFF_UP, 0);
	return r < 0 ? err_set(err, r, "cannot set %s up: %s", name,
			       strerror(-r))
		     : 0;
}

/* One message there and its answer back: no library is needed for that. */
int dev_del(uint32_t ifindex, struct err *err)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
	} request = {
		.head = {.nlmsg_len = sizeof(request),
			 .nlmsg_type = RTM_DELLINK,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.link = {.ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex},
	};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[512];
	} answer;
	int fd CLEANUP_FD =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int r = -EPROTO;

	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0)
		r = -errno;
	else if (recv(fd, &answer, sizeof(answer), 0) >=
			 (ssize_t)(sizeof(answer.head) +
				   sizeof(answer.error)) &&
		 answer.head.nlmsg_type == NLMSG_ERROR)
		r = answer.error.error;
	return r < 0 ? err_set(err, r, "cannot delete device %u: %s", ifindex,
			       strerror(-r))
		     : 0;
}

/*
 * Routes
 */

static uint8_t mask_len(const struct sockaddr *mask)
{
	struct endpoint e;
	uint8_t bits = 0;

	if (!mask || endpoint_from_sockaddr(mask, &e) < 0)
		return 0;
	while (bits < addr_len_bits(&e.addr) &&
	       (e.addr.bytes[bits / 8] & (0x80 >> bits % 8)))
		bits++;
	return bits;
}

/* An IPv6 mask may look like a mapped address, which endpoint_from_sockaddr
 * would take for IPv4: it never does, as masks begin with ones. */
static bool is_subnet_of(const struct ifaddrs *i, struct subnet *ret_net)
{
	struct endpoint e;

	if (!i->ifa_addr || endpoint_from_sockaddr(i->ifa_addr, &e) < 0)
		return false;
	*ret_net = (struct subnet){e.addr, mask_len(i->ifa_netmask)};
	for (uint8_t bit = ret_net->prefix_len; bit < addr_len_bits(&e.addr);
	     bit++)
		ret_net->addr.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return true;
}

static int check_neighbours(const struct subnet *dst, struct err *err)
{
	char text[SUBNET_TEXT_MAX], theirs[SUBNET_TEXT_MAX];
	struct ifaddrs *list;
	struct subnet net;
	int r = 0;

	if (getifaddrs(&list) < 0)
		return err_set(err, -errno, "cannot list addresses: %s",
			       strerror(errno));
	for (const struct ifaddrs *i = list; i && r == 0; i = i->ifa_next)
		if (is_subnet_of(i, &net) && subnet_overlaps(&net, dst))
			r = err_set(err, -EPERM,
				    "%s overlaps %s on device %s of the far "
				    "host, which keeps it for itself",
				    subnet_format(dst, text),
				    subnet_format(&net, theirs), i->ifa_name);
	freeifaddrs(list);
	return r;
}

/* The kernel would take a second route of the same subnet and prefer it. */
static int routed_already(const struct subnet *dst, const char *device,
			  struct err *err)
{
	char text[SUBNET_TEXT_MAX];

	return err_set(err, -EEXIST,
		       "%s is routed to device %.15s of the far host already",
		       subnet_format(dst, text), device);
}

/* How a route that is there stands in the way of one to be. */
typedef bool route_clash(const struct subnet *there, const struct subnet *dst);

static bool is_same(const struct subnet *there, const struct subnet *dst)
{
	return there->prefix_len == dst->prefix_len &&
	       addr_equal(&there->addr, &dst->addr);
}

/* Anything but a default route. */
static bool is_overlap(const struct subnet *there, const struct subnet *dst)
{
	return there->prefix_len > 0 && subnet_overlaps(there, dst);
}

static int check_routes_v4(const struct subnet *dst, route_clash *clashes,
			   struct err *err)
{
	FILE *f = fopen("/proc/net/route", "re");
	char line[256], device[32];
	unsigned net, flags, mask;
	struct subnet route = {0};
	int r = 0;

	while (f && r == 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%31s %x %*x %x %*d %*d %*d %x", device, &net,
			   &flags, &mask) != 4)
			continue;
		route.addr = addr_make(IPV4, &net);
		route.prefix_len = (uint8_t)__builtin_popcount(mask);
		if (clashes(&route, dst))
			r = routed_already(dst, device, err);
	}
	if (f)
		(void)fclose(f);
	return r;
}

static bool parse_hex(const char *hex, uint8_t out[16])
{
	for (size_t i = 0; i < 16; i++) {
		unsigned byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		out[i] = (uint8_t)byte;
	}
	return true;
}

static int check_routes_v6(const struct subnet *dst, route_clash *clashes,
			   struct err *err)
{
	FILE *f = fopen("/proc/net/ipv6_route", "re");
	char line[256], hex[33], device[32];
	uint8_t bytes[16];
	unsigned prefix_len, flags;
	int r = 0;

	while (f && r == 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%32s %x %*s %*x %*s %*x %*x %*x %x %31s", hex,
			   &prefix_len, &flags, device) != 4 ||
		    strlen(hex) != 32 || !parse_hex(hex, bytes))
			continue;
		struct subnet route = {.addr = addr_make(IPV6, bytes),
				       .prefix_len = (uint8_t)prefix_len};
		if (clashes(&route, dst) && !(flags & RTF_REJECT))
			r = routed_already(dst, device, err);
	}
	if (f)
		(void)fclose(f);
	return r;
}

static int change_v4(unsigned long request, const char *name,
		     const struct subnet *dst, struct err *err)
{
	int fd CLEANUP_FD = open_socket(AF_INET, err);
	struct rtentry rt = {.rt_flags = RTF_UP,
			     .rt_dev = (char *)(uintptr_t)name};
	struct sockaddr_in sin = {.sin_family = AF_INET};

	if (fd < 0)
		return fd;
	memcpy(&sin.sin_addr, dst->addr.bytes, 4);
	memcpy(&rt.rt_dst, &sin, sizeof(sin));
	sin.sin_addr.s_addr =
		dst->prefix_len ? htonl(~0U << (32 - dst->prefix_len)) : 0;
	memcpy(&rt.rt_genmask, &sin, sizeof(sin));
	if (dst->prefix_len == 32)
		rt.rt_flags |= RTF_HOST;
	return ioctl(fd, request, &rt) < 0 ? -errno : 0;
}

static int change_v6(unsigned long request, const char *name,
		     const struct subnet *dst, struct err *err)
{
	int fd CLEANUP_FD = open_socket(AF_INET6, err);
	struct in6_rtmsg rt = {.rtmsg_flags = RTF_UP,
			       .rtmsg_metric = 1,
			       .rtmsg_dst_len = dst->prefix_len,
			       .rtmsg_ifindex = (int)if_nametoindex(name)};

	if (fd < 0)
		return fd;
	memcpy(&rt.rtmsg_dst, dst->addr.bytes, 16);
	return ioctl(fd, request, &rt) < 0 ? -errno : 0;
}

static int change(unsigned long request, const char *name,
		  const struct subnet *dst, struct err *err)
{
	char text[SUBNET_TEXT_MAX];
	int r = dst->addr.version == IPV4 ? change_v4(request, name, dst, err)
					  : change_v6(request, name, dst, err);

	return r < 0 ? err_set(err, r, "cannot route %s to %s: %s",
			       subnet_format(dst, text), name, strerror(-r))
		     : 0;
}

static int check_routes(const struct subnet *dst, route_clash *clashes,
			struct err *err)
{
	return dst->addr.version == IPV4 ? check_routes_v4(dst, clashes, err)
					 : check_routes_v6(dst, clashes, err);
}

int dev_route_is_free(const struct subnet *dst, struct err *err)
{
	return check_routes(dst, is_overlap, err);
}

int dev_route_add(const char *name, const struct subnet *dst, struct err *err)
{
	int r = check_neighbours(dst, err);

	if (r == 0)
		r = check_routes(dst, is_same, err);
	return r < 0 ? r : change(SIOCADDRT, name, dst, err);
}

int dev_route_del(const char *name, const struct subnet *dst, struct err *err)
{
	return change(SIOCDELRT, name, dst, err);
}
