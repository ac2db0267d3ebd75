/* SPDX-License-Identifier: MIT */
/*
 * sandbox: what a process can no longer do, whatever it is made to run.
 *
 * A profile lists the system calls that the process still needs, or, if it runs
 * programs that are not ours, those that none of them may make.  With any that
 * is not allowed it ends, after one sentence on standard error that names the
 * call, with status SANDBOX_EXIT; another program is killed.  Calls newer than
 * this program fail with ENOSYS, as on an older kernel.  Files are out of reach
 * but for the paths given, unless the profile leaves them.  Nothing that is
 * open already is taken away.  There is no way back.
 *
 * How to add a call is in HACKING.md.
 */
#ifndef ECSSH_SANDBOX_H
#define ECSSH_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

enum {
	SANDBOX_EXIT = 159, /* what a shell calls the end by SIGSYS */
	SANDBOX_VALUES_MAX = 12,
	SANDBOX_TEXT_MAX = 32,
};

/* The mechanisms, of which a kernel may lack any. */
enum sandbox_part {
	SANDBOX_SECCOMP = 1,
	SANDBOX_LANDLOCK = 2,
};

/* An argument, and'ed with mask, has to be one of values. */
struct sandbox_arg {
	uint8_t index; /* 0 to 5 */
	uint32_t mask; /* 0: the whole of it, which is an int */
	uint8_t n;     /* 0: no condition */
	uint32_t values[SANDBOX_VALUES_MAX];
};

/* For values: the process itself. */
#define SANDBOX_SELF UINT32_MAX

struct sandbox_call {
	uint32_t nr;
	struct sandbox_arg args[2]; /* all of them have to be right */
};

struct sandbox_profile {
	/* Besides sandbox_common; or what is refused, or allowed with certain
	 * arguments alone, and then all else is allowed. */
	const struct sandbox_call *calls;
	size_t n_calls;
	bool lists_refused;
	bool leaves_files;
	bool may_signal; /* processes outside; kernels before 6.12 cannot tell
			  */
};

/* What may be done below a path; on the path itself if it is a file. */
enum sandbox_right {
	SANDBOX_READ = 1,  /* and list */
	SANDBOX_WRITE = 2, /* and make, rename and remove files; no programs */
	SANDBOX_EXECUTE = 4,
	SANDBOX_SOCKETS = 8, /* make and remove Unix sockets */
	SANDBOX_REMOVE = 16, /* remove files */
};

struct sandbox_path {
	const char *path; /* one that does not exist is left out */
	unsigned rights;  /* enum sandbox_right */
};

/* The helper and its bridge: sockets that exist or are of IP, no files. */
extern const struct sandbox_profile sandbox_helper;

/* Brokers, their keepers and the nft that they run: nothing that such a program
 * has no use for, but is known for mistakes of kernels; nor other processes. */
extern const struct sandbox_profile sandbox_broker;

/* The near engine: sockets of IP and what is open; files for reading, where
 * its paths allow it, and removing its own. */
extern const struct sandbox_profile sandbox_engine;

/* Calls for memory, time, what is open, and the end. */
extern const struct sandbox_call sandbox_common[];
extern const size_t sandbox_common_n;

/* The parts that this kernel has: bits of enum sandbox_part. */
unsigned sandbox_probe(void);

/*
 * Enter it, with all threads there are: this one.  A part that the kernel lacks
 * is left out.  Returns 0 with the parts that are in force, or -errno with err,
 * and then some of it may be.
 */
int sandbox_enter(const struct sandbox_profile *profile,
		  const struct sandbox_path *paths, size_t n_paths,
		  unsigned *ret_parts, struct err *err);

/* "seccomp, landlock", or "none".  Returns out. */
const char *sandbox_text(unsigned parts, char out[SANDBOX_TEXT_MAX]);

#endif
