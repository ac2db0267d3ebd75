/* SPDX-License-Identifier: MIT */
/*
 * memory: which servers have been found to run no helper.
 *
 * A line each: seconds since 1970, a space, user@host:port.  The file is
 * rewritten whole beside itself and renamed, so that two at a time lose a line
 * at worst.
 */
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"

enum { LINE_MAX_LEN = 512, KEY_MAX = LINE_MAX_LEN - 32 };

struct line {
	int64_t at_s;
	char key[KEY_MAX];
};

/* Returns false if it is too long to be kept. */
static bool key_of(const struct ssh_config *account, char key[KEY_MAX])
{
	char user[KEY_MAX], host[KEY_MAX];

	(void)escape_text(account->user, strlen(account->user), user,
			  sizeof(user));
	(void)escape_text(account->hostname, strlen(account->hostname), host,
			  sizeof(host));
	int n = snprintf(key, KEY_MAX, "%s@%s:%u", user, host, account->port);
	return n > 0 && n < KEY_MAX && !strchr(key, ' ');
}

/* Returns 0 or -errno. */
static int dir_path(char dir[PATH_MAX])
{
	const char *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	int n;

	if (cache && cache[0] == '/')
		n = snprintf(dir, PATH_MAX, "%s/ecssh", cache);
	else if (home && home[0] == '/')
		n = snprintf(dir, PATH_MAX, "%s/.cache/ecssh", home);
	else
		return -ENOENT;
	return n < PATH_MAX - 32 ? 0 : -ENAMETOOLONG;
}

static bool parse_line(const char *text, struct line *ret)
{
	int at = 0;

	return sscanf(text, "%" SCNd64 " %479[^\n ]%n", &ret->at_s, ret->key,
		      &at) == 2 &&
	       text[at] == '\n';
}

/* The lines that are young enough, at most MEMORY_HOSTS_MAX.  Returns how
 * many. */
static size_t load(const char *dir, int64_t now_s,
		   struct line lines[MEMORY_HOSTS_MAX])
{
	char path[PATH_MAX], text[LINE_MAX_LEN];
	size_t n = 0;

	(void)snprintf(path, sizeof(path), "%.*s/no-helper", PATH_MAX - 32,
		       dir);
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	while (n < MEMORY_HOSTS_MAX && fgets(text, sizeof(text), f))
		if (parse_line(text, &lines[n]) && lines[n].at_s <= now_s &&
		    now_s - lines[n].at_s < MEMORY_S)
			n++;
	(void)fclose(f);
	return n;
}

static void make_dirs(char *dir)
{
	for (char *p = dir + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)mkdir(dir, 0700);
		*p = '/';
	}
	(void)mkdir(dir, 0700);
}

static void save(char *dir, const struct line *lines, size_t n)
{
	char path[PATH_MAX], fresh[PATH_MAX];

	make_dirs(dir);
	(void)snprintf(path, sizeof(path), "%.*s/no-helper", PATH_MAX - 32,
		       dir);
	(void)snprintf(fresh, sizeof(fresh), "%.*s/no-helper.%ld",
		       PATH_MAX - 32, dir, (long)getpid());
	int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!f) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	for (size_t i = 0; i < n; i++)
		(void)fprintf(f, "%" PRId64 " %s\n", lines[i].at_s,
			      lines[i].key);
	bool is_written = ferror(f) == 0;
	if (fclose(f) != 0 || !is_written || rename(fresh, path) < 0)
		(void)unlink(fresh);
}

/* Take the account's line out of those that are kept.  Returns how many stay,
 * or -1 if there is nowhere to keep any. */
static int without(const struct ssh_config *account, int64_t now_s,
		   char dir[PATH_MAX], char key[KEY_MAX], struct line *lines,
		   bool *ret_was_there)
{
	size_t n, kept = 0;

	if (!key_of(account, key) || dir_path(dir) < 0)
		return -1;
	n = load(dir, now_s, lines);
	for (size_t i = 0; i < n; i++)
		if (strcmp(lines[i].key, key) != 0)
			lines[kept++] = lines[i];
	*ret_was_there = kept < n;
	return (int)kept;
}

bool memory_has_no_helper(const struct ssh_config *account, int64_t now_s)
{
	struct line *lines = calloc(MEMORY_HOSTS_MAX, sizeof(*lines));
	char dir[PATH_MAX], key[KEY_MAX];
	bool was_there = false;

	if (lines)
		(void)without(account, now_s, dir, key, lines, &was_there);
	free(lines);
	return was_there;
}

void memory_forget(const struct ssh_config *account, int64_t now_s)
{
	struct line *lines = calloc(MEMORY_HOSTS_MAX, sizeof(*lines));
	char dir[PATH_MAX], key[KEY_MAX];
	bool was_there = false;
	int n = lines ? without(account, now_s, dir, key, lines, &was_there)
		      : -1;

	if (n >= 0 && was_there)
		save(dir, lines, (size_t)n);
	free(lines);
}

void memory_note_no_helper(const struct ssh_config *account, int64_t now_s)
{
	struct line *lines = calloc(MEMORY_HOSTS_MAX + 1, sizeof(*lines));
	char dir[PATH_MAX], key[KEY_MAX];
	bool was_there;
	int n = lines ? without(account, now_s, dir, key, lines, &was_there)
		      : -1;

	if (n == MEMORY_HOSTS_MAX) { /* the oldest stands first */
		memmove(lines, lines + 1, (size_t)(n - 1) * sizeof(*lines));
		n--;
	}
	if (n >= 0) {
		lines[n].at_s = now_s;
		memcpy(lines[n].key, key, sizeof(key));
		save(dir, lines, (size_t)n + 1);
	}
	free(lines);
}
