/* SPDX-License-Identifier: MIT */
/* tun: the device, by /dev/net/tun of Linux. */
#include "tun.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fd.h"

/* Linux 6.2; not yet in all headers. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static_assert(TUN_NAME_MAX == IFNAMSIZ, "");

int tun_open_control(int *ret_fd, struct err *err)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return err_set(
			err, -ENODEV,
			"there is no TUN device here (/dev/net/tun: %s); "
			"load the kernel module \"tun\", or give the "
			"container this device",
			strerror(errno));
	if (fd < 0)
		return err_set(err, -errno, "cannot open /dev/net/tun: %s",
			       strerror(errno));
	*ret_fd = fd;
	return 0;
}

/*
 * Switch on what we want and the kernel has: an unknown bit is refused as a
 * whole, so ask for less and less.  Returns enum tun_offload.
 */
static uint32_t set_offloads(int fd, uint32_t want)
{
	static const struct {
		uint32_t offloads;
		unsigned long bits;
	} sets[] = {
		{TUN_OFFLOAD_CSUM | TUN_OFFLOAD_TSO | TUN_OFFLOAD_USO,
		 TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 |
			 TUN_F_USO6},
		{TUN_OFFLOAD_CSUM | TUN_OFFLOAD_TSO,
		 TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6},
		{TUN_OFFLOAD_CSUM | TUN_OFFLOAD_USO,
		 TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6},
		{TUN_OFFLOAD_CSUM, TUN_F_CSUM},
	};

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		if ((sets[i].offloads & ~want) == 0 &&
		    ioctl(fd, TUNSETOFFLOAD, sets[i].bits) == 0)
			return sets[i].offloads;
	}
	(void)ioctl(fd, TUNSETOFFLOAD, 0UL);
	return 0;
}

/* What a device's descriptor needs besides. */
static int finish(int fd, const char *name, struct err *err)
{
	int vnet_hdr_bytes = TUN_VNET_HDR_BYTES;

	if (ioctl(fd, TUNSETVNETHDRSZ, &vnet_hdr_bytes) < 0)
		return err_set(err, -errno,
			       "cannot set the header size of \"%s\": %s", name,
			       strerror(errno));
	int r = fd_set_nonblock(fd);
	if (r < 0)
		return err_set(err, r, "cannot make \"%s\" non-blocking: %s",
			       name, strerror(-r));
	return 0;
}

int tun_create(int fd, const char *name, uint32_t want_offloads,
	       char ret_name[TUN_NAME_MAX], uint32_t *ret_offloads,
	       struct err *err)
{
	/* EXCL: a persistent device of that name is somebody else's. */
	struct ifreq ifr = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI |
						 IFF_VNET_HDR | IFF_TUN_EXCL)};
	int r;

	if (strlen(name) >= sizeof(ifr.ifr_name))
		return err_set(err, -EINVAL,
			       "\"%s\" is too long for the name of a device",
			       name);
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		if (errno == EBUSY || errno == EEXIST)
			return err_set(err, -EEXIST,
				       "a network device \"%s\" exists "
				       "already; choose another name",
				       name);
		return err_set(err, -errno,
			       "cannot create the network device \"%s\": %s",
			       name, strerror(errno));
	}
	r = finish(fd, ifr.ifr_name, err);
	if (r < 0)
		return r;
	*ret_offloads = set_offloads(fd, want_offloads);
	memcpy(ret_name, ifr.ifr_name, TUN_NAME_MAX);
	return 0;
}

int tun_attach(int fd, const char *name, uint32_t want_offloads,
	       struct err *err)
{
	struct ifreq ifr = {
		.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR)};

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		if (errno == EBUSY)
			return err_set(err, -EBUSY,
				       "the device %s is in use by another "
				       "program",
				       name);
		return err_set(err, -errno,
			       "cannot use the device %s (%s); it has to be "
			       "made by: ip tuntap add %s mode tun user "
			       "ACCOUNT vnet_hdr",
			       name, strerror(errno), name);
	}
	int r = finish(fd, name, err);
	if (r == 0)
		(void)set_offloads(fd, want_offloads);
	return r;
}
