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
	CAPS_WORDS = _LINUX_CAPABILITY_U32S_3,
	WORD = CAP_TO_INDEX(CAP_NET_ADMIN),
	BIT = CAP_TO_MASK(CAP_NET_ADMIN),
};

/* number: SYS_capget or SYS_capset.  Returns false with errno. */
static bool call_caps(long number, struct __user_cap_data_struct *caps)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(number, &head, caps) >= 0;
}

/* Not mapped in this user namespace, or not permitted there: nothing to be
 * gained from giving up. */
static bool is_tolerable(int error)
{
	return error == EINVAL || error == EPERM;
}

/* Root's ids give access to root's files even without a capability.  Returns
 * false with errno. */
static bool leave_root(void)
{
	const uid_t nobody = PRIVDROP_NOBODY;

	return (setgroups(0, NULL) >= 0 || is_tolerable(errno)) &&
	       (setresgid(nobody, nobody, nobody) >= 0 ||
		is_tolerable(errno)) &&
	       (setresuid(nobody, nobody, nobody) >= 0 || is_tolerable(errno));
}

static int failed(const char *what, struct err *err)
{
	return err_set(err, -errno, "cannot %s: %s", what, strerror(errno));
}

int privdrop_keep_net_admin(struct err *err)
{
	struct __user_cap_data_struct caps[CAPS_WORDS] = {0};
	unsigned parts;

	if (!call_caps(SYS_capget, caps))
		return failed("read our capabilities", err);
	if (!(caps[WORD].permitted & BIT))
		return err_set(err, -EPERM,
			       "the broker has no CAP_NET_ADMIN: it was not "
			       "started as root, or in a container without "
			       "that capability");
	/* Not possible any more once it is out of the bounding set. */
	caps[WORD].inheritable |= BIT;
	if (!call_caps(SYS_capset, caps))
		return failed("hand CAP_NET_ADMIN on to nft", err);
	/* Needs CAP_SETPCAP, so before the rest; a broker that has its
	 * capability from its file cannot, and has no others to lose. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return failed("keep CAP_NET_ADMIN", err);
	if (geteuid() == 0 && !leave_root())
		return failed("cease to be root", err);
	memset(caps, 0, sizeof(caps));
	caps[WORD].permitted = caps[WORD].effective = caps[WORD].inheritable =
		BIT;
	if (!call_caps(SYS_capset, caps))
		return failed("give up capabilities", err);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || chdir("/") < 0)
		return failed("confine the broker", err);
	/* Empty already where inheritable is; kernels before 4.3 have none. */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) <
	    0)
		return failed("hand CAP_NET_ADMIN on to nft", err);
	return sandbox_enter(&sandbox_broker, NULL, 0, &parts, err);
}
