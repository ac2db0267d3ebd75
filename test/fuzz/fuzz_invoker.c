/* SPDX-License-Identifier: MIT */
/*
 * fuzz_invoker: who ran sudo, according to the environment.
 *
 * Input: a byte that says which variables are set (1 SUDO_UID, 2 PKEXEC_UID, 4
 * HOME), then their values, each ended by a newline.  Only root believes them;
 * and then in a number of an existing user alone.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "fuzz.h"
#include "invoker.h"

enum { VALUE_MAX = 300, VAR_MAX = VALUE_MAX + 16 };

/* Take the next value.  setenv(3) would keep each it was ever given. */
static void set(const char *name, char *var, const uint8_t **data, size_t *size)
{
	const uint8_t *newline = memchr(*data, '\n', *size);
	size_t len = newline ? (size_t)(newline - *data) : *size;
	size_t kept = len < VALUE_MAX ? len : VALUE_MAX;
	int at = sprintf(var, "%s=", name);

	memcpy(var + at, *data, kept);
	var[(size_t)at + kept] = '\0';
	(void)putenv(var);
	*data += len + (newline != NULL);
	*size -= len + (newline != NULL);
}

static void check(const struct invoker *who)
{
	char number[16];
	const char *text = getenv("SUDO_UID");

	assert_always(who->name[0] != '\0' && who->home[0] != '\0');
	assert_always(memchr(who->name, '\0', sizeof(who->name)));
	assert_always(memchr(who->home, '\0', sizeof(who->home)));
	if (!text)
		text = getenv("PKEXEC_UID");
	if (!who->is_behind) {
		assert_always(who->uid == getuid());
		return;
	}
	assert_always(geteuid() == 0 && who->uid != 0 && text);
	assert_always(who->uid != (uid_t)-1 && getpwuid(who->uid));
	while (text[0] == '0')
		text++;
	(void)snprintf(number, sizeof(number), "%u", who->uid);
	assert_always(strcmp(text, number) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"SUDO_UID", "PKEXEC_UID", "HOME"};
	static char vars[3][VAR_MAX];
	struct invoker who;
	struct err err = {.text = ""};

	if (size < 1)
		return 0;
	uint8_t which = *data++;
	size--;
	for (int i = 0; i < 3; i++) {
		if (which & 1 << i)
			set(names[i], vars[i], &data, &size);
		else
			(void)unsetenv(names[i]);
	}
	int r = invoker_find(&who, &err);
	assert_always(r == 0 || r == -EINVAL || r == -ENOENT);
	if (r == 0)
		check(&who);
	else
		assert_always(err.text[0] != '\0');
	return 0;
}
