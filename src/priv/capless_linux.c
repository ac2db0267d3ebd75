/* SPDX-License-Identifier: MIT */
/* capless: see capless.h. */
#include "capless.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

void capless_drop_of_file(void)
{
	if (geteuid() != 0)
		capless_drop();
}

void capless_drop(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	(void)syscall(SYS_capset, &head, none);
}
