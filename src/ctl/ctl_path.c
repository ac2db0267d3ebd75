/* SPDX-License-Identifier: MIT */
/* ctl_path: where control sockets live. */
#include "ctl_path.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool ctl_name_is_valid(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.-";
	size_t len = strlen(name);

	return len > 0 && len <= CTL_NAME_MAX && name[0] != '.' &&
	       name[0] != '-' && strspn(name, allowed) == len;
}

static bool is_own_dir(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid();
}

/* Write the directory's name, without looking at it. */
static void own_dir(char ret_dir[CTL_DIR_MAX])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		(void)snprintf(ret_dir, CTL_DIR_MAX, "/run/ecssh");
	else if (runtime && strlen(runtime) + 7 < CTL_DIR_MAX &&
		 is_own_dir(runtime))
		(void)snprintf(ret_dir, CTL_DIR_MAX, "%s/ecssh", runtime);
	else
		(void)snprintf(ret_dir, CTL_DIR_MAX, "/tmp/ecssh-ctl-%u",
			       geteuid());
}

int ctl_dir_make(char ret_dir[CTL_DIR_MAX], struct err *err)
{
	own_dir(ret_dir);
	if (mkdir(ret_dir, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "cannot make the directory %s: %m",
			       ret_dir);
	if (!is_own_dir(ret_dir))
		return err_set(err, -EPERM,
			       "%s is not a directory of ours; somebody else "
			       "made it: remove it or set XDG_RUNTIME_DIR",
			       ret_dir);
	return 0;
}

void ctl_dir_each(void (*fn)(const char *dir, void *ctx), void *ctx)
{
	char dir[CTL_DIR_MAX];
	glob_t found = {0};

	own_dir(dir);
	if (is_own_dir(dir))
		fn(dir, ctx);
	if (geteuid() != 0)
		return;
	(void)glob("/run/user/*/ecssh", GLOB_ONLYDIR, NULL, &found);
	(void)glob("/tmp/ecssh-ctl-*", GLOB_ONLYDIR | GLOB_APPEND, NULL,
		   &found);
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (strlen(found.gl_pathv[i]) < CTL_DIR_MAX)
			fn(found.gl_pathv[i], ctx);
	globfree(&found);
}
