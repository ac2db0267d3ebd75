/* SPDX-License-Identifier: MIT */
/*
 * inject: have another process make a system call, as one in the hands of an
 * enemy would.
 *
 * Usage: inject PID NAME [TEXT] [NUMBER...]
 *
 * TEXT (what is no number) is put onto its stack and passed as a pointer.
 * Prints "returned N", and the process goes on as if nothing had happened; or
 * "signal N", and the process gets that and is waited for.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)

static const struct {
	const char *name;
	long nr;
} known[] = {
	{"open", SYS_open},	{"openat", SYS_openat}, {"execve", SYS_execve},
	{"fork", SYS_fork},	{"socket", SYS_socket}, {"kill", SYS_kill},
	{"ptrace", SYS_ptrace}, {"pidfd_getfd", 438},	{"mkdir", SYS_mkdir},
	{"rename", SYS_rename}, {"unlink", SYS_unlink}, {"getpid", SYS_getpid},
};

static void fail(const char *what)
{
	(void)fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(2);
}

static long number_of(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].nr;
	errno = EINVAL;
	fail(name);
	return -1;
}

/* Behind the red zone of its stack. */
static unsigned long put_text(pid_t pid, unsigned long sp, const char *text)
{
	unsigned long at = (sp - 1024) & ~15UL;
	struct iovec here = {(void *)(unsigned long)text, strlen(text) + 1};
	struct iovec there = {(void *)at, strlen(text) + 1};

	if (process_vm_writev(pid, &here, 1, &there, 1, 0) < 0)
		fail("process_vm_writev");
	return at;
}

static int wait_for_stop(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
		fail("waitpid");
	return WSTOPSIG(status);
}

/* With the signal, but without the trap of the step that was to come. */
static int go_on(pid_t pid, int signo)
{
	int status;

	(void)ptrace(PTRACE_CONT, pid, NULL, (long)signo);
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
		signo = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		(void)ptrace(PTRACE_CONT, pid, NULL, (long)signo);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct user_regs_struct saved, regs;
	unsigned long args[4] = {0};

	if (argc < 3) {
		(void)fprintf(stderr, "usage: see the top of inject.c\n");
		return 2;
	}
	pid_t pid = atoi(argv[1]);
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
		fail("ptrace");
	(void)wait_for_stop(pid);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &saved) < 0)
		fail("registers");
	/* It sleeps in a system call, so that instruction is right before. */
	regs = saved;
	for (int i = 3; i < argc && i < 7; i++) {
		bool is_number =
			isdigit((unsigned char)argv[i][0]) || argv[i][0] == '-';
		args[i - 3] = is_number
				      ? (unsigned long)strtol(argv[i], NULL, 0)
				      : put_text(pid, saved.rsp, argv[i]);
	}
	regs.rip = saved.rip - 2;
	regs.rax = (unsigned long)number_of(argv[2]);
	regs.orig_rax = -1UL; /* what it was in is not begun again */
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	regs.r10 = args[3];
	if (ptrace(PTRACE_SETREGS, pid, NULL, &regs) < 0 ||
	    ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
		fail("ptrace");
	int signo = wait_for_stop(pid);
	if (signo != SIGTRAP) {
		(void)printf("signal %d\n", signo);
		return go_on(pid, signo);
	}
	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0)
		fail("registers");
	(void)printf("returned %ld\n", (long)regs.rax);
	/* As after a signal: it waits for events once more. */
	if (ptrace(PTRACE_SETREGS, pid, NULL, &saved) < 0)
		fail("registers");
	(void)ptrace(PTRACE_DETACH, pid, NULL, 0L);
	return 0;
}

#else

int main(void)
{
	(void)printf("unsupported\n");
	return 0;
}

#endif
