/* SPDX-License-Identifier: MIT */
/* sysctl: settings of the network that are one digit, below /proc/sys/net. */
#ifndef ECSSH_SYSCTL_H
#define ECSSH_SYSCTL_H

/* The digit, or '\0' if there is no such setting.  key: its path. */
char sysctl_get(const char *key);

/* Returns 0 or -errno: not everywhere is /proc/sys writable. */
int sysctl_set(const char *key, char digit);

/* The same of a device, or of "all" or "default".  family: "ipv4", "ipv6". */
char sysctl_get_if(const char *family, const char *device, const char *key);
int sysctl_set_if(const char *family, const char *device, const char *key,
		  char digit);

#endif
