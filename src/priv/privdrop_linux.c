/* SPDX-License-Identifier: MIT */
/* privdrop: giving up every privilege but one, by the means of Linux. */
#include "privdrop.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox.h"

enum {
	NOBODY = 65534,
	CAPS_WORDS = _LINUX_CAPABILITY_U32S_3,
};

static int caps_get(struct __user_cap_data_struct ret_caps[CAPS_WORDS])
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &head, ret_caps) < 0 ? -errno : 0;
}

static int caps_set(const struct __user_cap_data_struct caps[CAPS_WORDS])
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capset, &head, caps) < 0 ? -errno : 0;
}

static bool has_cap(const struct __user_cap_data_struct *caps, int cap)
{
	return caps[CAP_TO_INDEX(cap)].permitted & CAP_TO_MASK(cap);
}

/* Not mapped in this user namespace, or not permitted there: nothing to be
 * gained from giving up. */
static bool is_tolerable(int error)
{
	return error == EINVAL || error == EPERM;
}

/* Root's ids give access to root's files even without a capability. */
static int leave_root(void)
{
	if (setgroups(0, NULL) < 0 && !is_tolerable(errno))
		return -errno;
	if (setresgid(NOBODY, NOBODY, NOBODY) < 0 && !is_tolerable(errno))
		return -errno;
	if (setresuid(NOBODY, NOBODY, NOBODY) < 0 && !is_tolerable(errno))
		return -errno;
	return 0;
}

int privdrop_keep_net_admin(enum privdrop_scope scope, struct err *err)
{
	struct __user_cap_data_struct caps[CAPS_WORDS] = {0};
	int r = caps_get(caps);
	unsigned parts;

	if (r < 0)
		return err_set(err, r, "cannot read our capabilities: %s",
			       strerror(-r));
	if (!has_cap(caps, CAP_NET_ADMIN))
		return err_set(err, -EPERM,
			       "the broker has no CAP_NET_ADMIN: it was not "
			       "started as root, or in a container without "
			       "that capability");
	/* Not possible any more once it is out of the bounding set. */
	if (scope == PRIVDROP_CHILDREN) {
		caps[CAP_TO_INDEX(CAP_NET_ADMIN)].inheritable |=
			CAP_TO_MASK(CAP_NET_ADMIN);
		r = caps_set(caps);
		if (r < 0)
			return err_set(err, r,
				       "cannot hand CAP_NET_ADMIN on to nft: "
				       "%s",
				       strerror(-r));
	}
	/* Needs CAP_SETPCAP, so before the rest; a broker that has its
	 * capability from its file cannot, and has no others to lose. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "cannot keep CAP_NET_ADMIN: %s",
			       strerror(errno));
	if (geteuid() == 0) {
		r = leave_root();
		if (r < 0)
			return err_set(err, r, "cannot cease to be root: %s",
				       strerror(-r));
	}
	memset(caps, 0, sizeof(caps));
	caps[CAP_TO_INDEX(CAP_NET_ADMIN)].permitted =
		caps[CAP_TO_INDEX(CAP_NET_ADMIN)].effective =
			CAP_TO_MASK(CAP_NET_ADMIN);
	if (scope == PRIVDROP_CHILDREN)
		caps[CAP_TO_INDEX(CAP_NET_ADMIN)].inheritable =
			CAP_TO_MASK(CAP_NET_ADMIN);
	r = caps_set(caps);
	if (r < 0)
		return err_set(err, r, "cannot give up capabilities: %s",
			       strerror(-r));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || chdir("/") < 0)
		return err_set(err, -errno, "cannot confine the broker: %s",
			       strerror(errno));
	/* Empty already where inheritable is; kernels before 4.3 have none. */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (scope == PRIVDROP_CHILDREN &&
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) <
		    0)
		return err_set(err, -errno,
			       "cannot hand CAP_NET_ADMIN on to nft: %s",
			       strerror(errno));
	return sandbox_enter(&sandbox_broker, NULL, 0, &parts, err);
}

void privdrop_file_capabilities(void)
{
	if (geteuid() != 0)
		privdrop_capabilities();
}

void privdrop_capabilities(void)
{
	struct __user_cap_data_struct none[CAPS_WORDS] = {0};

	(void)caps_set(none);
}
