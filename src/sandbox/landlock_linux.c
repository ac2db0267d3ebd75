/* SPDX-License-Identifier: MIT */
/*
 * landlock: files are out of reach, but for some.
 *
 * Theory of operation
 *   Everything that this kernel's version can forbid is forbidden, and paths
 *   get back what they are to have.  The numbers are our own, because headers
 *   of the system may be older than its kernel.
 *
 * Spec: landlock(7)
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "sandbox_internal.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

enum {
	CREATE_VERSION = 1,
	RULE_PATH_BENEATH = 1,
};

/* LANDLOCK_ACCESS_FS_* */
enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_TRUNCATE = 1 << 14, /* version 3 */
	FS_OF_FILES = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE,
};

/* LANDLOCK_SCOPE_*, version 6 */
enum {
	SCOPE_ABSTRACT_UNIX = 1,
	SCOPE_SIGNAL = 2,
};

struct ruleset_attr {
	uint64_t fs;
	uint64_t net;	 /* version 4 */
	uint64_t scoped; /* version 6 */
};

struct path_beneath_attr {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

/* What a version knows of files: one bit more now and then. */
static uint64_t known_fs(int version)
{
	static const uint8_t bits[] = {0, 13, 14, 15, 15};

	return (1U << (version > 4 ? 16 : bits[version])) - 1;
}

/* A larger structure with zeros at its end is no error. */
static struct ruleset_attr forbid_all(int version,
				      const struct sandbox_profile *profile)
{
	struct ruleset_attr attr = {.fs = known_fs(version)};

	if (version >= 6)
		attr.scoped = SCOPE_ABSTRACT_UNIX |
			      (profile->may_signal ? 0U : SCOPE_SIGNAL);
	return attr;
}

static uint64_t rights_of(unsigned rights)
{
	uint64_t fs = 0;

	if (rights & SANDBOX_READ)
		fs |= FS_READ_FILE | FS_READ_DIR;
	if (rights & SANDBOX_WRITE)
		fs |= FS_WRITE_FILE | FS_TRUNCATE | FS_MAKE_REG |
		      FS_REMOVE_FILE;
	if (rights & SANDBOX_EXECUTE)
		fs |= FS_EXECUTE | FS_READ_FILE;
	if (rights & SANDBOX_SOCKETS)
		fs |= FS_MAKE_SOCK | FS_REMOVE_FILE;
	if (rights & SANDBOX_REMOVE)
		fs |= FS_REMOVE_FILE;
	return fs;
}

static int permit(int ruleset, int version, const struct sandbox_path *path)
{
	CLEANUP_FD int fd = open(path->path, O_PATH | O_CLOEXEC);
	struct path_beneath_attr attr = {.allowed = rights_of(path->rights) &
						    known_fs(version),
					 .parent_fd = fd};
	struct stat st;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		attr.allowed &= FS_OF_FILES;
	if (attr.allowed == 0)
		return 0;
	return syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr,
		       0) < 0
		       ? -errno
		       : 0;
}

int landlock_version(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

	return version > 0 ? (int)version : 0;
}

int landlock_enter(int version, const struct sandbox_profile *profile,
		   const struct sandbox_path *paths, size_t n_paths)
{
	struct ruleset_attr attr = forbid_all(version, profile);
	size_t size = version >= 6   ? sizeof(attr)
		      : version >= 4 ? offsetof(struct ruleset_attr, scoped)
				     : offsetof(struct ruleset_attr, net);
	CLEANUP_FD int ruleset =
		(int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	int r = ruleset < 0 ? -errno : 0;

	for (size_t i = 0; r == 0 && i < n_paths; i++)
		r = permit(ruleset, version, &paths[i]);
#ifdef SANDBOX_SANITIZED
	/* Leaks are looked for in the process's own threads; not in the
	 * helper's, which has no files at all. */
	if (r == 0 && n_paths > 0)
		r = permit(ruleset, version,
			   &(struct sandbox_path){"/proc", SANDBOX_READ});
#endif
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	return r;
}
