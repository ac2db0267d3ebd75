/* SPDX-License-Identifier: MIT */
/* ssh_file: files that ssh is told to read by the user's options. */
#include "ssh_file.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "escape.h"

static const char separators[] = " \t=\"";

/* Of ssh_config(5): those whose file ssh itself reads. */
static const char *const keywords[] = {"CertificateFile",
				       "GlobalKnownHostsFile", "IdentityFile",
				       "RevokedHostKeys", "UserKnownHostsFile"};

/* Names that lead each process to something of its own. */
static const char *const own_names[] = {"/dev/stdin", "/dev/stdout",
					"/dev/stderr"};
static const char *const own_dirs[] = {"/dev/fd/", "/proc/self/",
				       "/proc/thread-self/"};

static bool is_of_process(const char *path)
{
	for (size_t i = 0; i < sizeof(own_names) / sizeof(own_names[0]); i++)
		if (strcmp(path, own_names[i]) == 0)
			return true;
	for (size_t i = 0; i < sizeof(own_dirs) / sizeof(own_dirs[0]); i++)
		if (strncmp(path, own_dirs[i], strlen(own_dirs[i])) == 0)
			return true;
	return false;
}

/* A file, or nothing at all: what is read again is the same again. */
static bool can_be_read_again(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
		return true;
	return S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

static int check_path(const char *path, const char *option, struct err *err)
{
	char shown[256];

	escape_text(path, strlen(path), shown, sizeof(shown));
	if (is_of_process(path))
		return err_set(
			err, -EINVAL,
			"option %s names \"%s\", which is open here, but "
			"not in ssh, which is started more than once: "
			"write it to a file, and name that",
			option, shown);
	if (!can_be_read_again(path))
		return err_set(err, -EINVAL,
			       "option %s names \"%s\", which is not a file "
			       "that ssh, which is started more than once, can "
			       "read again and again: name one",
			       option, shown);
	return 0;
}

/* The keyword that an -o begins with, or NULL. */
static const char *file_keyword(const char *value)
{
	size_t len = strcspn(value, separators);

	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (len == strlen(keywords[i]) &&
		    strncasecmp(value, keywords[i], len) == 0)
			return keywords[i];
	return NULL;
}

/* "Keyword=FILE", "Keyword FILE FILE". */
static int check_keyword(const char *value, struct err *err)
{
	char option[64], path[PATH_MAX];
	const char *at = value + strspn(value, separators);
	const char *keyword = file_keyword(at);

	if (!keyword)
		return 0;
	(void)snprintf(option, sizeof(option), "-o %s", keyword);
	at += strlen(keyword);
	while (*(at += strspn(at, separators)) != '\0') {
		size_t len = strcspn(at, separators);

		(void)snprintf(path, sizeof(path), "%.*s", (int)len, at);
		int r = check_path(path, option, err);
		if (r < 0)
			return r;
		at += len;
	}
	return 0;
}

int ssh_file_check(char letter, const char *value, struct err *err)
{
	const char option[] = {'-', letter, '\0'};

	if (letter == 'o')
		return check_keyword(value, err);
	return letter == 'F' || letter == 'i' ? check_path(value, option, err)
					      : 0;
}
