/* SPDX-License-Identifier: MIT */
/*
 * journal_file: the journals of this host's brokers, on disk.
 *
 * One file a broker, which holds a lock on it with its keeper: a file that
 * nobody has locked is that of brokers and keepers that were killed together.
 * A broker opens its own and those of the dead while it still is root.
 */
#ifndef ECSSH_JOURNAL_FILE_H
#define ECSSH_JOURNAL_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "journal.h"

enum { JOURNAL_FILE_DEAD_MAX = 64 };

struct journal_file_dead {
	int fd;		/* owned */
	uint32_t below; /* records of this number on have been looked at */
};

struct journal_file {
	int fd; /* owned; -1: there is none */
	struct journal_head head;
	struct journal_file_dead dead[JOURNAL_FILE_DEAD_MAX];
	size_t n_dead;
};

/*
 * Open what there is in the directory, and make it if need be.  *ret is for
 * journal_file_close in any case.  Returns 0, or -errno with err: there is no
 * journal, and nothing else is amiss.
 */
int journal_file_open(struct journal_file *ret, const char *dir,
		      struct err *err);
void journal_file_close(struct journal_file *j);

/* Write a record, and wait until it is on the disk.  Returns 0 or -errno. */
int journal_file_add(const struct journal_file *j,
		     const struct journal_record *record);

/* Strike one out again, of our own file or that of a dead one.  Returns 0 or
 * -errno. */
int journal_file_strike(int fd, const struct journal_record *record);

/*
 * The newest record of one of the dead that was not told yet and concerns this
 * boot and network namespace.  Returns its file's descriptor, borrowed, or
 * -ENOENT: there are no more.
 */
int journal_file_next_dead(struct journal_file *j, struct journal_record *ret);

/* Unlock what is left of the dead, for others. */
void journal_file_forget_dead(struct journal_file *j);

#endif
