/* SPDX-License-Identifier: MIT */
/* own_tun: a TUN device that the administrator made for this account. */
#include "own_tun.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "tun.h"

/* A number of /sys/class/net/NAME/KEY, in any base; -1 if there is none. */
static long get(const char *name, const char *key)
{
	char path[96], text[32] = "";

	(void)snprintf(path, sizeof(path), "/sys/class/net/%.15s/%s", name,
		       key);
	int fd CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return -1;
	return strtol(text, NULL, 0);
}

static bool is_ours(const char *name)
{
	long flags = get(name, "tun_flags");

	return flags >= 0 && (flags & IFF_TUN) && (flags & IFF_PERSIST) &&
	       get(name, "owner") == (long)getuid();
}

/* True if the near end's address is routed to the device. */
static bool is_routed(const char *name, const struct ip_addr *near)
{
	FILE *f = fopen("/proc/net/route", "re");
	char line[256], device[32];
	unsigned net, mask, addr;
	bool found = false;

	memcpy(&addr, near->bytes, sizeof(addr));
	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%31s %x %*x %*x %*d %*d %*d %x", device,
			       &net, &mask) == 3 &&
			strcmp(device, name) == 0 && (addr & mask) == net;
	if (f)
		(void)fclose(f);
	return found;
}

static int attach(const char *name, const struct frame_network *network,
		  struct own_tun *ret, struct err *err)
{
	char near[ADDR_TEXT_MAX];
	int fd CLEANUP_FD = -1;
	int r = tun_open_control(&fd, err);

	if (r == 0)
		r = tun_attach(fd, name, TUN_OFFLOAD_ALL, err);
	if (r < 0)
		return r;
	addr_format(network->near4.version ? &network->near4 : &network->near6,
		    near);
	if (!(get(name, "flags") & IFF_UP))
		return err_set(err, -ENETDOWN,
			       "the account's device %s is down; the "
			       "administrator has to run: ip link set %s up; "
			       "ip route add %s dev %s",
			       name, name, near, name);
	ret->mtu_bytes = (uint16_t)get(name, "mtu");
	if (network->near4.version && !is_routed(name, &network->near4))
		(void)snprintf(ret->text, sizeof(ret->text),
			       "device %s of the account; nothing will come "
			       "back until the administrator runs: ip route "
			       "add %s dev %s",
			       name, near, name);
	else
		(void)snprintf(ret->text, sizeof(ret->text),
			       "device %s of the account; its addresses, "
			       "forwarding and translation are the "
			       "administrator's",
			       name);
	ret->fd = fd_take(&fd);
	return 0;
}

int own_tun_open(const struct frame_network *network, struct own_tun *ret,
		 struct err *err)
{
	DIR *dir = opendir("/sys/class/net");
	const struct dirent *entry;
	int r = -ENOENT;

	while (dir && r != 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && is_ours(entry->d_name))
			r = attach(entry->d_name, network, ret, err);
	if (dir)
		(void)closedir(dir);
	return r;
}
