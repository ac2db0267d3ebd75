/* SPDX-License-Identifier: MIT */
/*
 * seccomp: system calls that are on no list end the process.
 *
 * Theory of operation
 *   The filter is a list of blocks, one a call: is it this number, and are the
 *   arguments right?  Then it is allowed; wrong arguments are a violation, and
 *   so is the end of the list.  Kernels since 5.11 remember for which numbers
 *   the answer does not depend on arguments and run no filter for them.  A list
 *   of what is refused is the same with its ends exchanged.
 *
 *   A violation is a signal to ourselves (SECCOMP_RET_TRAP).  Its handler says
 *   which call it was and ends the process; where the signal is blocked, the
 *   kernel does, without a word.
 *
 *   No library: it would be a quarter of the helper, and what it knows (how
 *   calls are numbered on other architectures) is not needed for one's own.
 *
 * Spec: seccomp(2), linux/filter.h
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox_internal.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__i386__)
#define ARCH AUDIT_ARCH_I386
#elif defined(__arm__) && defined(__ARMEL__)
#define ARCH AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64 && defined(AUDIT_ARCH_RISCV64)
#define ARCH AUDIT_ARCH_RISCV64
#else
#define ARCH 0 /* known by nobody who could have tried */
#endif

enum {
	PROGRAM_MAX = 1024,
	/* The newest call that this program was written with: what came later
	 * a C library only tries. */
	NEWEST_KNOWN = 446, /* landlock_restrict_self, the same everywhere */
	NR_CLONE3 = 435,    /* likewise */
	LOW_WORD = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4,
};

struct program {
	struct sock_filter at[PROGRAM_MAX];
	unsigned short n;
};

static void put(struct program *p, uint16_t code, uint32_t k, uint8_t if_true,
		uint8_t if_false)
{
	if (p->n < PROGRAM_MAX)
		p->at[p->n] = (struct sock_filter){code, if_true, if_false, k};
	p->n++;
}

static void put_load(struct program *p, size_t offset)
{
	put(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void put_return(struct program *p, uint32_t action)
{
	put(p, BPF_RET | BPF_K, action, 0, 0);
}

/* Go on with the next instruction if the argument is right, else out. */
static void put_arg(struct program *p, const struct sandbox_arg *a)
{
	put_load(p, offsetof(struct seccomp_data, args) +
			    a->index * sizeof(uint64_t) + LOW_WORD);
	if (a->mask)
		put(p, BPF_ALU | BPF_AND | BPF_K, a->mask, 0, 0);
	for (uint8_t i = 0; i < a->n; i++) {
		uint32_t value = a->values[i] == SANDBOX_SELF
					 ? (uint32_t)getpid()
					 : a->values[i];

		/* Over what is left of the values, and the violation. */
		put(p, BPF_JMP | BPF_JEQ | BPF_K, value, (uint8_t)(a->n - i),
		    0);
	}
	put_return(p, SECCOMP_RET_TRAP);
}

/* action: if all arguments are right, or do not matter. */
static void put_call(struct program *p, const struct sandbox_call *c,
		     uint32_t action)
{
	unsigned short head = p->n;

	put(p, BPF_JMP | BPF_JEQ | BPF_K, c->nr, 0, 0);
	for (size_t i = 0; i < 2 && c->args[i].n > 0; i++)
		put_arg(p, &c->args[i]);
	put_return(p, action);
	if (head < PROGRAM_MAX)
		p->at[head].jf = (uint8_t)(p->n - head - 1);
}

static void put_allowed(struct program *p,
			const struct sandbox_profile *profile)
{
	for (size_t i = 0; i < sandbox_common_n; i++)
		put_call(p, &sandbox_common[i], SECCOMP_RET_ALLOW);
	for (size_t i = 0; i < profile->n_calls; i++)
		put_call(p, &profile->calls[i], SECCOMP_RET_ALLOW);
	put_return(p, SECCOMP_RET_TRAP);
}

static void put_refused(struct program *p,
			const struct sandbox_profile *profile)
{
	/* Its flags are out of sight; C libraries have clone then. */
	const struct sandbox_call clone3 = {.nr = NR_CLONE3};

	put_call(p, &clone3, SECCOMP_RET_ERRNO | ENOSYS);
	for (size_t i = 0; i < profile->n_calls; i++)
		put_call(p, &profile->calls[i],
			 profile->calls[i].args[0].n > 0 ? SECCOMP_RET_ALLOW
							 : SECCOMP_RET_TRAP);
	put_return(p, SECCOMP_RET_ALLOW);
}

static void build(struct program *p, const struct sandbox_profile *profile)
{
	put_load(p, offsetof(struct seccomp_data, arch));
	put(p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	put_return(p, SECCOMP_RET_TRAP);
	put_load(p, offsetof(struct seccomp_data, nr));
	put(p, BPF_JMP | BPF_JGT | BPF_K, NEWEST_KNOWN, 0, 1);
	put_return(p, SECCOMP_RET_ERRNO | ENOSYS);
	if (profile->lists_refused)
		put_refused(p, profile);
	else
		put_allowed(p, profile);
}

static void say(const char *text)
{
	(void)!write(STDERR_FILENO, text, strlen(text));
}

/* Only what may be called within a handler. */
static void on_violation(int signo, siginfo_t *info, void *context)
{
	char digits[12], *number = digits + sizeof(digits) - 1;

	(void)signo;
	(void)context;
	*number = '\0';
	for (unsigned n = (unsigned)info->si_syscall; n > 0; n /= 10)
		*--number = (char)('0' + n % 10);
	say(program_invocation_short_name);
	say(": the sandbox does not allow system call ");
	say(number);
	say(", so this process ends: a fault of ours, or an attack\n");
	_exit(SANDBOX_EXIT);
}

bool seccomp_is_there(void)
{
	uint32_t action = SECCOMP_RET_TRAP;

	return ARCH != 0 &&
	       syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

int seccomp_enter(const struct sandbox_profile *profile)
{
	struct sigaction action = {.sa_sigaction = on_violation,
				   .sa_flags = SA_SIGINFO};
	struct program p = {.n = 0};
	struct sock_fprog prog = {.filter = p.at};

	build(&p, profile);
	if (p.n > PROGRAM_MAX)
		return -E2BIG;
	prog.len = p.n;
	if (sigaction(SIGSYS, &action, NULL) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return -errno;
	return 0;
}
