/* SPDX-License-Identifier: MIT */
/*
 * faulty_broker: ecssh-broker, but for one thing: at the n-th change of its
 * journal it and its keeper are killed.  The real one's objects, with the
 * function that tells the keeper wrapped by the linker (--wrap).
 *
 * /run/faulty says when: "before 7" (nothing is written down yet of change 7)
 * or "after 7" (it is, and not made).  /run/faulty.done says that it was done.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker.h"
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

static char when[16];	   /* "before", "after" */
static unsigned change_no; /* of which */
static unsigned n_changes; /* so far */

/* The only process that has us for its parent and this name. */
static void kill_keeper(void)
{
	char path[64], name[32];
	int child;
	FILE *f = fopen("/proc/thread-self/children", "re");

	while (f && fscanf(f, "%d", &child) == 1) {
		(void)snprintf(path, sizeof(path), "/proc/%d/comm", child);
		FILE *comm = fopen(path, "re");

		name[0] = '\0';
		if (comm && fgets(name, sizeof(name), comm) &&
		    strncmp(name, "ecssh-keeper", 12) == 0)
			(void)kill(child, SIGKILL);
		if (comm)
			(void)fclose(comm);
	}
	if (f)
		(void)fclose(f);
}

static void maybe_die(const char *moment, unsigned number)
{
	if (number != change_no || strcmp(moment, when) != 0)
		return;
	int fd = open("/run/faulty.done", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!write(fd, "done", 4);
	kill_keeper();
	(void)raise(SIGKILL);
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

/* While we may still read it. */
int __wrap_keeper_start(const struct keeper_charge *charge, int *ret_fd,
			struct err *err)
{
	FILE *f = fopen("/run/faulty", "re");

	if (!f || fscanf(f, "%15s %u", when, &change_no) != 2)
		change_no = 0;
	if (f)
		(void)fclose(f);
	return __real_keeper_start(charge, ret_fd, err);
}
