/* SPDX-License-Identifier: MIT */
/* confine: what ecssh-dns may write, and what it may not become. */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/securebits.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"

/* Newer than some headers. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

static const uint64_t file_access =
	LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;
static const uint64_t dir_access =
	LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
	LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
	LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
	LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
	LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;

/* ---- capabilities ---- */

static int lose_capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
	const unsigned long bits =
		SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
		SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED;

	/* These need CAP_SETPCAP, which goes last; in a container without it
	 * no_new_privs has to do. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	(void)prctl(PR_SET_SECUREBITS, bits, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &head, none) < 0)
		return -errno;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			       prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0
		       ? -errno
		       : 0;
}

/* ---- Landlock ---- */

/* What this kernel knows of it; 0: it does not. */
static uint64_t known_access(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   LANDLOCK_CREATE_RULESET_VERSION);
	uint64_t access = file_access | dir_access;

	if (abi < 1)
		return 0;
	if (abi < 2)
		access &= ~LANDLOCK_ACCESS_FS_REFER;
	if (abi < 3)
		access &= ~LANDLOCK_ACCESS_FS_TRUNCATE;
	return access;
}

/* A path that is not there needs no rule. */
static int allow(int ruleset, const char *path, uint64_t access)
{
	int fd CLEANUP_FD = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	struct landlock_path_beneath_attr rule = {
		.allowed_access =
			S_ISDIR(st.st_mode) ? access : access & file_access,
		.parent_fd = fd,
	};
	return syscall(SYS_landlock_add_rule, ruleset,
		       LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		       ? -errno
		       : 0;
}

static int restrict_writing(const char *const *writable)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs =
						     known_access()};
	int r = 0;

	if (attr.handled_access_fs == 0)
		return 0;
	int ruleset CLEANUP_FD = (int)syscall(SYS_landlock_create_ruleset,
					      &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return -errno;
	for (const char *const *p = writable; *p && r == 0; p++)
		r = allow(ruleset, *p, attr.handled_access_fs);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	return r;
}

static int check(int r, struct err *err)
{
	return r < 0 ? err_set(err, r, "cannot confine ecssh-dns: %s",
			       strerror(-r))
		     : 0;
}

int confine_privilege(struct err *err)
{
	return check(lose_capabilities(), err);
}

int confine_writing(const char *const *writable, struct err *err)
{
	return check(restrict_writing(writable), err);
}
