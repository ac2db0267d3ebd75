/* SPDX-License-Identifier: MIT */
/*
 * sandbox: see sandbox.h.
 *
 * Landlock comes first, because its calls are on no list of seccomp's; and
 * before both no_new_privs, which either wants from a process without
 * privilege.
 */
#include "sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "sandbox_internal.h"

unsigned sandbox_probe(void)
{
	return (seccomp_is_there() ? SANDBOX_SECCOMP : 0U) |
	       (landlock_version() > 0 ? SANDBOX_LANDLOCK : 0U);
}

int sandbox_enter(const struct sandbox_profile *profile,
		  const struct sandbox_path *paths, size_t n_paths,
		  unsigned *ret_parts, struct err *err)
{
	unsigned parts = sandbox_probe();
	int r = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "cannot give up new privileges: %s",
			       strerror(errno));
	if (profile->leaves_files)
		parts &= ~(unsigned)SANDBOX_LANDLOCK;
	if (parts & SANDBOX_LANDLOCK)
		r = landlock_enter(landlock_version(), profile, paths, n_paths);
	if (r < 0)
		return err_set(err, r, "cannot confine files by Landlock: %s",
			       strerror(-r));
	if (parts & SANDBOX_SECCOMP)
		r = seccomp_enter(profile);
	if (r < 0)
		return err_set(err, r,
			       "cannot confine system calls by seccomp: %s",
			       strerror(-r));
	*ret_parts = parts;
	return 0;
}

const char *sandbox_text(unsigned parts, char out[SANDBOX_TEXT_MAX])
{
	(void)snprintf(out, SANDBOX_TEXT_MAX, "%s%s%s",
		       parts & SANDBOX_SECCOMP ? "seccomp" : "",
		       parts == (SANDBOX_SECCOMP | SANDBOX_LANDLOCK) ? ", "
								     : "",
		       parts & SANDBOX_LANDLOCK ? "landlock" : "");
	if (out[0] == '\0')
		(void)snprintf(out, SANDBOX_TEXT_MAX, "none");
	return out;
}
