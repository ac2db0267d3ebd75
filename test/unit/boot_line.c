/* SPDX-License-Identifier: MIT */
/*
 * boot_line: print the remote command, for test_boot_script.py.
 *
 * Usage: boot_line MARKER HASH SIZE PROTOCOL [ARG ...]
 */
#include <stdio.h>
#include <stdlib.h>

#include "boot_script.h"

int main(int argc, char **argv)
{
	char line[BOOT_SCRIPT_LINE_MAX];
	struct err err;

	if (argc < 5) {
		(void)fprintf(stderr, "boot_line: too few arguments\n");
		return 2;
	}
	struct boot_script_params params = {
		.marker = argv[1],
		.hash = argv[2],
		.size_bytes = strtoul(argv[3], NULL, 10),
		.protocol = (unsigned)strtoul(argv[4], NULL, 10),
		.helper_args = (const char *const *)argv + 5,
	};
	if (boot_script_build(&params, line, sizeof(line), &err) < 0) {
		(void)fprintf(stderr, "boot_line: %s\n", err.text);
		return 1;
	}
	(void)fputs(line, stdout);
	return 0;
}
