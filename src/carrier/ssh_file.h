/* SPDX-License-Identifier: MIT */
/* ssh_file: files that ssh is told to read by the user's options. */
#ifndef ECSSH_SSH_FILE_H
#define ECSSH_SSH_FILE_H

#include "err.h"

/*
 * Refuse a file that ssh would not find what the user means in: ssh is started
 * more than once, and with descriptors of its own, its standard input being the
 * session.  So a descriptor of ours (/dev/stdin, /dev/fd/63) or a pipe would
 * be read in vain or for ever, and /dev/zero until there is no memory left.
 * letter and value are an option of ssh's and its value; other options than
 * those that name a file are left alone, and so is what is not there, for ssh
 * to complain of.  Returns 0, or -EINVAL with err.
 */
int ssh_file_check(char letter, const char *value, struct err *err);

#endif
