/* SPDX-License-Identifier: MIT */
/*
 * replay_main: run a fuzz target over the files of a directory, as an ordinary
 * test.  Prints TAP; a finding stops the process, as it does in the fuzzer.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

enum { INPUT_MAX = 1 << 20 };

/* Give the target memory that ends where the input does. */
static int replay(const char *dir, const char *name)
{
	static uint8_t buf[INPUT_MAX];
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "rb");
	if (!f)
		return -1;
	size_t len = fread(buf, 1, sizeof(buf), f);
	(void)fclose(f);
	uint8_t *input = malloc(len ? len : 1);
	if (!input)
		return -1;
	for (size_t i = 0; i < len; i++)
		input[i] = buf[i];
	(void)LLVMFuzzerTestOneInput(input, len);
	free(input);
	return 0;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	struct dirent **entries;
	int failed = 0;
	int n = argc == 2 ? scandir(argv[1], &entries, is_visible, alphasort)
			  : -1;

	if (n <= 0) {
		printf("Bail out! usage: %s CORPUS-DIRECTORY\n", argv[0]);
		return 1;
	}
	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		int r = replay(argv[1], entries[i]->d_name);

		failed += r < 0;
		printf("%s %d - %s\n", r < 0 ? "not ok" : "ok", i + 1,
		       entries[i]->d_name);
		(void)fflush(stdout);
		free(entries[i]);
	}
	free(entries);
	return failed > 0;
}
