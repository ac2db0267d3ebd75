/* SPDX-License-Identifier: MIT */
/* helper_file: the helper as a file here, to be uploaded. */
#ifndef ECSSH_HELPER_FILE_H
#define ECSSH_HELPER_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot_script.h"
#include "err.h"

struct helper_file {
	uint8_t *bytes; /* owned; not there in a fork */
	size_t len;
	char hash[BOOT_SCRIPT_HASH_LEN + 1]; /* SHA-256, hex */
	const char *machine; /* as uname -m says it, e.g. "x86_64" */
};

/*
 * Read the file, which must be an ELF program for Linux of a machine we know.
 * Returns 0 or -errno with err; -ENOEXEC if it is something else.
 */
int helper_file_load(const char *path, struct helper_file *ret_file,
		     struct err *err);

/* Accepts a zeroed one. */
void helper_file_fini(struct helper_file *f);

/* True if the machine that calls itself so (uname -s, uname -m) runs it. */
bool helper_file_fits(const struct helper_file *f, const char *os,
		      const char *machine);

#endif
