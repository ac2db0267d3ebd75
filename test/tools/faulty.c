/* SPDX-License-Identifier: MIT */
/* faulty: when a program is to die that has been linked for that. */
#include "faulty.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
	bool is_read;
	char program[16], moment[16]; /* "broker", "before" */
	unsigned number;
} asked;

static void read_asked(void)
{
	FILE *f = fopen("/run/faulty", "re");

	asked.is_read = true;
	if (!f || fscanf(f, "%15s %15s %u", asked.program, asked.moment,
			 &asked.number) != 3)
		asked.number = 0;
	if (f)
		(void)fclose(f);
}

/* The only process that has us for its parent and this name. */
static void kill_child(const char *wanted)
{
	char path[64], name[32];
	int child;
	FILE *f = fopen("/proc/thread-self/children", "re");

	while (f && fscanf(f, "%d", &child) == 1) {
		(void)snprintf(path, sizeof(path), "/proc/%d/comm", child);
		FILE *comm = fopen(path, "re");

		name[0] = '\0';
		if (comm && fgets(name, sizeof(name), comm) &&
		    strncmp(name, wanted, strlen(wanted)) == 0)
			(void)kill(child, SIGKILL);
		if (comm)
			(void)fclose(comm);
	}
	if (f)
		(void)fclose(f);
}

void faulty_moment(const char *program, const char *child, const char *moment,
		   unsigned number)
{
	if (!asked.is_read)
		read_asked();
	if (number == 0 || number != asked.number ||
	    strcmp(moment, asked.moment) != 0 ||
	    strcmp(program, asked.program) != 0)
		return;
	int fd = open("/run/faulty.done", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!write(fd, "done", 4);
	if (child)
		kill_child(child);
	(void)raise(SIGKILL);
}
