/* SPDX-License-Identifier: MIT */
/*
 * faulty_broker: ecssh-broker, but for one thing: at the n-th change of its
 * journal it and its keeper are killed.  The real one's objects, with the
 * function that tells the keeper wrapped by the linker (--wrap).
 *
 * "before 7": nothing is written down yet of change 7; "after 7": it is, and
 * not made.
 */
#include "broker.h"
#include "faulty.h"
#include "journal_file.h"
#include "keeper.h"

void __real_keeper_note(int fd, const struct broker_note *note,
			const void *more, size_t more_bytes);
void __wrap_keeper_note(int fd, const struct broker_note *note,
			const void *more, size_t more_bytes);
int __real_journal_file_add(const struct journal_file *j,
			    const struct journal_record *record);
int __wrap_journal_file_add(const struct journal_file *j,
			    const struct journal_record *record);
int __real_journal_file_strike(int fd, const struct journal_record *record);
int __wrap_journal_file_strike(int fd, const struct journal_record *record);
int __real_keeper_start(const struct keeper_charge *charge, int *ret_fd,
			struct err *err);
int __wrap_keeper_start(const struct keeper_charge *charge, int *ret_fd,
			struct err *err);

static unsigned n_changes; /* so far */

static void maybe_die(const char *moment, unsigned number)
{
	faulty_moment("broker", "ecssh-keeper", moment, number);
}

/* What is on disk comes first, then the keeper: so this begins a change. */
int __wrap_journal_file_add(const struct journal_file *j,
			    const struct journal_record *record)
{
	maybe_die("before", n_changes + 1);
	return __real_journal_file_add(j, record);
}

int __wrap_journal_file_strike(int fd, const struct journal_record *record)
{
	/* What the dead left is struck out before our first change. */
	if (n_changes > 0)
		maybe_die("before", n_changes + 1);
	return __real_journal_file_strike(fd, record);
}

void __wrap_keeper_note(int fd, const struct broker_note *note,
			const void *more, size_t more_bytes)
{
	__real_keeper_note(fd, note, more, more_bytes);
	n_changes++;
	maybe_die("after", n_changes);
}

/* While we may still read what was asked for. */
int __wrap_keeper_start(const struct keeper_charge *charge, int *ret_fd,
			struct err *err)
{
	maybe_die("", 0);
	return __real_keeper_start(charge, ret_fd, err);
}
