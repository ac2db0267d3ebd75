/* SPDX-License-Identifier: MIT */
/* sysctl: see sysctl.h. */
#include "sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fd.h"

enum { KEY_MAX = 96 };

static int open_setting(const char *key, int flags)
{
	char path[KEY_MAX + 16];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s", key);
	return open(path, flags | O_CLOEXEC);
}

char sysctl_get(const char *key)
{
	int fd CLEANUP_FD = open_setting(key, O_RDONLY);
	char digit;

	return fd >= 0 && read(fd, &digit, 1) == 1 ? digit : '\0';
}

int sysctl_set(const char *key, char digit)
{
	int fd CLEANUP_FD = open_setting(key, O_WRONLY);

	return fd < 0 ? -errno : fd_write_all(fd, &digit, 1);
}

static char *if_key(char out[KEY_MAX], const char *family, const char *device,
		    const char *key)
{
	(void)snprintf(out, KEY_MAX, "%s/conf/%.15s/%s", family, device, key);
	return out;
}

char sysctl_get_if(const char *family, const char *device, const char *key)
{
	char path[KEY_MAX];

	return sysctl_get(if_key(path, family, device, key));
}

int sysctl_set_if(const char *family, const char *device, const char *key,
		  char digit)
{
	char path[KEY_MAX];

	return sysctl_set(if_key(path, family, device, key), digit);
}
