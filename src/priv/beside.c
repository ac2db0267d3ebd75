/* SPDX-License-Identifier: MIT */
/* beside: programs that were built or installed beside this one. */
#include "beside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int beside_find(const char *name, char ret_path[PATH_MAX], struct err *err)
{
	static const char *const places[] = {"", "/../libexec/ecssh",
					     "/../lib/ecssh"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return err_set(err, -errno, "cannot read /proc/self/exe: %m");
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		int len = snprintf(ret_path, PATH_MAX, "%s%s/%s", self,
				   places[i], name);
		if (len < PATH_MAX && access(ret_path, X_OK) == 0)
			return 0;
	}
	return err_set(err, -ENOENT,
		       "%s is missing: it belongs beside %s/ecssh", name, self);
}
