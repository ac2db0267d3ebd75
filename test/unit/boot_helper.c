/* SPDX-License-Identifier: MIT */
/*
 * boot_helper: a stand-in for the helper: starts like it, then says how it was
 * started and returns every byte.
 *
 * "exit N" as the first line makes it end with that status, "kill" by SIGKILL.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot_far.h"

static void skip_hello(void)
{
	char c;

	for (int i = 0; i < BOOT_FAR_HELLO_MAX; i++)
		if (read(STDIN_FILENO, &c, 1) != 1 || c == '\n')
			return;
}

static int find_marker(int argc, char **argv, char marker[BOOT_MARKER_LEN + 1])
{
	const char *command = getenv("SSH_ORIGINAL_COMMAND");

	if (argc >= 3 && strcmp(argv[1], "--marker") == 0 &&
	    boot_far_marker_is_valid(argv[2])) {
		memcpy(marker, argv[2], BOOT_MARKER_LEN + 1);
		return 0;
	}
	if (!command || boot_far_marker_of_command(command, marker) < 0)
		return -1;
	skip_hello();
	return 0;
}

static void obey(const char *bytes, size_t len)
{
	if (len > 5 && memcmp(bytes, "exit ", 5) == 0)
		exit(atoi(bytes + 5));
	if (len > 4 && memcmp(bytes, "kill\n", 5) == 0)
		(void)raise(SIGKILL);
}

int main(int argc, char **argv)
{
	char marker[BOOT_MARKER_LEN + 1], line[BOOT_FAR_READY_MAX], buf[4096];
	ssize_t n;

	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return puts("ecssh-helper 0.0 protocol 1") < 0;
	if (find_marker(argc, argv, marker) < 0) {
		(void)fprintf(stderr, "boot_helper: no marker\n");
		return 2;
	}
	(void)!write(STDOUT_FILENO, line,
		     boot_far_build_ready(marker, "0.0", line));
	(void)printf("%s", argv[0]);
	for (int i = 3; i < argc; i++)
		(void)printf(" %s", argv[i]);
	(void)printf("\n");
	(void)fflush(stdout);
	while ((n = read(STDIN_FILENO, buf, sizeof(buf) - 1)) > 0) {
		buf[n] = '\0';
		obey(buf, (size_t)n);
		(void)!write(STDOUT_FILENO, buf, (size_t)n);
	}
	return 0;
}
