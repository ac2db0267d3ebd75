/* SPDX-License-Identifier: MIT */
/* ssh_verdict: one sentence and an exit code for each way in which it ends. */
#ifndef ECSSH_SSH_VERDICT_H
#define ECSSH_SSH_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot.h"
#include "err.h"
#include "ssh_words.h"

/* How a failure is to be told to the shell. */
enum ssh_stdio_exit {
	SSH_STDIO_EXIT_RUNTIME = 1,
	SSH_STDIO_EXIT_LACKING = 5, /* the gateway lacks what we need */
	SSH_STDIO_EXIT_SSH = 255,   /* ssh failed, as ssh itself says it */
};

/* Whom it is about. */
struct ssh_verdict_who {
	const char *host; /* as the user wrote it */
	const char *user; /* the account there */
};

/*
 * Each writes a sentence into err and returns an enum ssh_stdio_exit.  All text
 * given is escaped already.
 */

/* The far side said "fail". */
int ssh_verdict_boot_failed(const struct ssh_verdict_who *who,
			    const struct boot *boot, size_t helper_len,
			    struct err *err);

/* The machine in boot->os and machine is not one for our helper. */
int ssh_verdict_wrong_machine(const struct ssh_verdict_who *who,
			      const struct boot *boot,
			      const char *helper_machine, struct err *err);

/* The far side has said too much, or nonsense. */
int ssh_verdict_noise(const struct ssh_verdict_who *who, struct err *err);
int ssh_verdict_nonsense(const struct ssh_verdict_who *who, struct err *err);

/* Nothing came for so long; boot tells how far it had got. */
int ssh_verdict_timeout(const struct ssh_verdict_who *who,
			const struct boot *boot, uint32_t timeout_ms,
			struct err *err);

/* ssh has ended before the helper was ready.  cause and rank are of
 * ssh_words_take_cause. */
int ssh_verdict_ended_early(const struct ssh_verdict_who *who,
			    const struct boot *boot, int wait_status,
			    const char *cause, enum ssh_words_rank rank,
			    struct err *err);

/* ssh that ran nothing there has ended after the login. */
int ssh_verdict_lost(const struct ssh_verdict_who *who, const char *cause,
		     struct err *err);

/* ssh has ended after the helper was ready. */
int ssh_verdict_ended(const struct ssh_verdict_who *who, int wait_status,
		      const char *cause, struct err *err);

#endif
