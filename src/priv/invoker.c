/* SPDX-License-Identifier: MIT */
/* invoker: the person behind sudo or pkexec, and becoming that person again. */
#include "invoker.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc.h"

enum {
	/* sudo, its monitor, perhaps a root shell and another sudo. */
	ANCESTORS_MAX = 8,
	ENVIRON_MAX_BYTES = 256 * 1024,
	SOCKET_PATH_MAX = 108, /* sun_path */
};

/* Parse an id of an environment variable.  Returns false if it is none. */
static bool parse_id(const char *text, uid_t *ret_id)
{
	size_t len = strlen(text);
	unsigned long long value;

	if (len == 0 || len > 10 || strspn(text, "0123456789") != len)
		return false;
	value = strtoull(text, NULL, 10);
	if (value >= UINT32_MAX) /* (uid_t)-1 means "no change" */
		return false;
	*ret_id = (uid_t)value;
	return true;
}

/* Copy, or leave empty what does not fit. */
static void copy_text(char *out, size_t cap, const char *text)
{
	if (strlen(text) < cap)
		memcpy(out, text, strlen(text) + 1);
}

static void fill_from_passwd(struct invoker *who, const struct passwd *pw)
{
	who->gid = pw->pw_gid;
	copy_text(who->name, sizeof(who->name), pw->pw_name);
	copy_text(who->home, sizeof(who->home), pw->pw_dir);
	copy_text(who->shell, sizeof(who->shell),
		  pw->pw_shell[0] ? pw->pw_shell : "/bin/sh");
}

/* A user without an entry, as in some containers, still is somebody. */
static void fill_without_passwd(struct invoker *who)
{
	const char *home = getenv("HOME");

	who->gid = getgid();
	(void)snprintf(who->name, sizeof(who->name), "%u", who->uid);
	copy_text(who->home, sizeof(who->home), home ? home : "/");
	copy_text(who->shell, sizeof(who->shell), "/bin/sh");
}

int invoker_find(struct invoker *ret_invoker, struct err *err)
{
	struct invoker who = {.uid = getuid()};
	const char *text = NULL;

	if (geteuid() == 0) {
		text = getenv("SUDO_UID");
		if (!text)
			text = getenv("PKEXEC_UID");
	}
	if (text && !parse_id(text, &who.uid))
		return err_set(err, -EINVAL,
			       "SUDO_UID or PKEXEC_UID is not a user's number");
	who.is_behind = text && who.uid != 0;

	const struct passwd *pw = getpwuid(who.uid);
	if (pw)
		fill_from_passwd(&who, pw);
	else if (!who.is_behind)
		fill_without_passwd(&who);
	else
		return err_set(err, -ENOENT,
			       "user %u, who ran sudo, does not exist here",
			       who.uid);
	if (who.name[0] == '\0' || who.home[0] == '\0')
		return err_set(err, -EINVAL,
			       "name or home of user %u is too long", who.uid);
	*ret_invoker = who;
	return 0;
}

/*
 * The ssh-agent
 */

static bool is_process_of(pid_t pid, uid_t uid)
{
	char path[32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return stat(path, &st) == 0 && st.st_uid == uid;
}

/* Find the agent's socket in the environment of the nearest process above us
 * that belongs to the user.  out stays empty if there is none. */
static void find_agent(uid_t uid, char out[SOCKET_PATH_MAX])
{
	char *environ_of = malloc(ENVIRON_MAX_BYTES);
	pid_t pid = getppid();

	out[0] = '\0';
	for (int i = 0; environ_of && i < ANCESTORS_MAX && pid > 1; i++) {
		if (is_process_of(pid, uid)) {
			const char *path =
				proc_env(pid, "SSH_AUTH_SOCK", environ_of,
					 ENVIRON_MAX_BYTES);
			if (path && path[0] == '/')
				copy_text(out, SOCKET_PATH_MAX, path);
			break;
		}
		pid = proc_parent(pid);
	}
	free(environ_of);
}

/*
 * Becoming
 */

static bool is_owned(const char *path, mode_t type, uid_t uid)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == type &&
	       st.st_uid == uid;
}

static int set_environment(const struct invoker *who, const char *agent)
{
	char runtime_dir[64];

	(void)snprintf(runtime_dir, sizeof(runtime_dir), "/run/user/%u",
		       who->uid);
	if (setenv("HOME", who->home, 1) < 0 ||
	    setenv("USER", who->name, 1) < 0 ||
	    setenv("LOGNAME", who->name, 1) < 0 ||
	    setenv("SHELL", who->shell, 1) < 0)
		return -errno;
	(void)unsetenv("XDG_RUNTIME_DIR"); /* root's, if any */
	if (is_owned(runtime_dir, S_IFDIR, who->uid) &&
	    setenv("XDG_RUNTIME_DIR", runtime_dir, 1) < 0)
		return -errno;
	if (agent[0] != '\0' && is_owned(agent, S_IFSOCK, who->uid) &&
	    setenv("SSH_AUTH_SOCK", agent, 1) < 0)
		return -errno;
	return 0;
}

int invoker_become(const struct invoker *invoker, struct err *err)
{
	char agent[SOCKET_PATH_MAX] = "";

	if (!invoker->is_behind)
		return 0;
	/* While we may still look at sudo's place in the line of processes. */
	if (!getenv("SSH_AUTH_SOCK"))
		find_agent(invoker->uid, agent);
	if (initgroups(invoker->name, invoker->gid) < 0 ||
	    setresgid(invoker->gid, invoker->gid, invoker->gid) < 0 ||
	    setresuid(invoker->uid, invoker->uid, invoker->uid) < 0)
		return err_set(err, -errno, "cannot become %s: %s",
			       invoker->name, strerror(errno));
	if (setresuid(0, 0, 0) == 0) /* NOLINT: it has to fail */
		return err_set(err, -EPERM, "still root after becoming %s",
			       invoker->name);
	int r = set_environment(invoker, agent);
	if (r < 0)
		return err_set(err, r, "cannot set the environment of %s: %s",
			       invoker->name, strerror(-r));
	return 0;
}
