/* SPDX-License-Identifier: MIT */
/* ssh_cmd: the command line with which the user's ssh is started. */
#ifndef ECSSH_SSH_CMD_H
#define ECSSH_SSH_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "ssh_config.h"
#include "ssh_dest.h"

enum {
	SSH_OPTIONS_MAX = 128, /* words, an option with a value counting two */
	SSH_CMD_ARGV_MAX = SSH_OPTIONS_MAX + 64,
	SSH_CMD_TEXT_MAX = 4096,
};

/* Options of the user for ssh, in the order given.  Zeroed: none. */
struct ssh_options {
	const char *words[SSH_OPTIONS_MAX]; /* borrowed or static */
	size_t n_words;
};

/*
 * Add -LETTER, one of F i p J l o 4 6 v q; value (borrowed for the life of o)
 * is NULL exactly for the last four.  Returns 0, -EINVAL for another letter, a
 * missing or empty value, one with a control character, or a file of which
 * ssh_file.h tells why not, or -E2BIG; all with err.
 */
int ssh_options_add(struct ssh_options *o, char letter, const char *value,
		    struct err *err);

/* Append the options of more but for -BUT ('\0': all of them).  Returns 0, or
 * -E2BIG with err. */
int ssh_options_append(struct ssh_options *o, const struct ssh_options *more,
		       char but, struct err *err);

/* How often -LETTER is there; the last value of it, or NULL. */
size_t ssh_options_count(const struct ssh_options *o, char letter);
const char *ssh_options_last(const struct ssh_options *o, char letter);

/* An argument vector and the storage of those words that are made up.  Points
 * into itself: do not copy. */
struct ssh_cmd {
	const char *argv[SSH_CMD_ARGV_MAX]; /* NULL at the end */
	size_t argc;
	char text[SSH_CMD_TEXT_MAX];
	size_t text_len;
};

/* What the connection is for. */
struct ssh_cmd_use {
	const char *remote_command; /* NULL: none is run (-N) */
	/* Where ssh is to listen for requests, see mux_sock.h; NULL: nowhere */
	const char *control_path;
};

/*
 * Build the command line that connects to dest.  Forced options stand first,
 * because ssh takes the first value it meets: nothing but our channel is
 * opened, and nothing of the user's is forwarded.  All arguments are borrowed
 * for the life of *ret_cmd; o may be NULL.  Returns 0, or -E2BIG with err.
 */
int ssh_cmd_build(const struct ssh_dest *dest, const struct ssh_options *o,
		  const struct ssh_config *config, const char *ssh_path,
		  const struct ssh_cmd_use *use, struct ssh_cmd *ret_cmd,
		  struct err *err);

/* Build the one that prints the user's configuration for dest instead of
 * connecting. */
int ssh_cmd_build_query(const struct ssh_dest *dest,
			const struct ssh_options *o, const char *ssh_path,
			struct ssh_cmd *ret_cmd, struct err *err);

/*
 * Write into out the ciphers of list (comma-separated) with AES-GCM moved to
 * the front: the fastest that ssh has, on a CPU that helps with it.  Returns 0,
 * or -EINVAL if there is no AES-GCM in the list or out (cap bytes) is too
 * small.
 */
int ssh_cmd_prefer_aes_gcm(const char *list, char *out, size_t cap);

/* True if this machine computes AES-GCM by instructions of its own. */
bool ssh_cmd_cpu_has_aes(void);

#endif
