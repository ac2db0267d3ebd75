/* SPDX-License-Identifier: MIT */
/*
 * ssh_verdict: one sentence and an exit code for each way in which it ends.
 *
 * ssh ends with the status of the remote command, or with 255 for failures of
 * its own and for remote commands that a signal has ended.
 */
#include "ssh_verdict.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum {
	STATUS_SSH_FAILED = 255,
	STATUS_SFTP_SERVER = 11, /* of sftp-server that was sent our hello */
	STATUS_BY_SIGNAL = 128,	 /* added by shells */
};

static const char wanted[] = "ecssh needs a shell there, or a forced command "
			     "that runs ecssh-helper";

int ssh_verdict_boot_failed(const struct ssh_verdict_who *who,
			    const struct boot *boot, size_t helper_len,
			    struct err *err)
{
	switch (boot->fail) {
	case BOOT_FAIL_NODIR:
		return err_set(err, SSH_STDIO_EXIT_LACKING,
			       "%s has no place where %s can store the helper "
			       "(tried ~/.cache, $XDG_RUNTIME_DIR, /dev/shm, "
			       "/tmp, /var/tmp)",
			       who->host, who->user);
	case BOOT_FAIL_NOEXEC:
		return err_set(err, SSH_STDIO_EXIT_LACKING,
			       "%s does not let %s run programs from any place "
			       "where files can be stored (noexec)",
			       who->host, who->user);
	case BOOT_FAIL_NOSPACE:
		return err_set(err, SSH_STDIO_EXIT_LACKING,
			       "%s has no room for the helper (%zu KiB): the "
			       "disk is full or a quota used up",
			       who->host, (helper_len + 1023) / 1024);
	case BOOT_FAIL_NOTOOL:
		return err_set(err, SSH_STDIO_EXIT_LACKING,
			       "%s lacks a standard program that is needed to "
			       "store the helper: %s",
			       who->host, boot->text);
	case BOOT_FAIL_CORRUPT:
		return err_set(err, SSH_STDIO_EXIT_RUNTIME,
			       "the helper did not arrive unharmed at %s (%s "
			       "differs)",
			       who->host, boot->text);
	case BOOT_FAIL_CANNOTRUN:
		return err_set(err, SSH_STDIO_EXIT_LACKING,
			       "%s does not run the helper: %s", who->host,
			       boot->text[0] ? boot->text : "no reason given");
	case BOOT_FAIL_OTHER:
	case BOOT_FAIL__N:
		break;
	}
	return err_set(err, SSH_STDIO_EXIT_LACKING,
		       "%s cannot start the helper: %s", who->host,
		       boot->text[0] ? boot->text : "no reason given");
}

int ssh_verdict_wrong_machine(const struct ssh_verdict_who *who,
			      const struct boot *boot,
			      const char *helper_machine, struct err *err)
{
	return err_set(err, SSH_STDIO_EXIT_LACKING,
		       "%s is a %s %s machine; this ecssh has a helper for "
		       "Linux %s only",
		       who->host, boot->os, boot->machine, helper_machine);
}

int ssh_verdict_noise(const struct ssh_verdict_who *who, struct err *err)
{
	return err_set(
		err, SSH_STDIO_EXIT_RUNTIME,
		"%s has sent %d MiB and still no answer; does a start-up "
		"file of %s print without end there?",
		who->host, BOOT_NOISE_MAX_BYTES >> 20, who->user);
}

int ssh_verdict_nonsense(const struct ssh_verdict_who *who, struct err *err)
{
	return err_set(
		err, SSH_STDIO_EXIT_RUNTIME,
		"%s answers in a way that this version of ecssh does not "
		"understand",
		who->host);
}

int ssh_verdict_timeout(const struct ssh_verdict_who *who,
			const struct boot *boot, uint32_t timeout_ms,
			struct err *err)
{
	unsigned timeout_s = timeout_ms / 1000;

	if (boot->has_run)
		return err_set(err, SSH_STDIO_EXIT_RUNTIME,
			       "the helper on %s was started and has not "
			       "answered within %u s",
			       who->host, timeout_s);
	if (boot->has_need)
		return err_set(err, SSH_STDIO_EXIT_RUNTIME,
			       "the upload of the helper to %s has made no "
			       "progress for %u s",
			       who->host, timeout_s);
	return err_set(err, SSH_STDIO_EXIT_LACKING,
		       "%s has accepted the login but no shell has answered "
		       "within %u s; %s",
		       who->host, timeout_s, wanted);
}

static int sftp_only(const struct ssh_verdict_who *who, struct err *err)
{
	return err_set(err, SSH_STDIO_EXIT_LACKING,
		       "%s lets %s transfer files only (SFTP); %s", who->host,
		       who->user, wanted);
}

static int killed_here(const struct ssh_verdict_who *who, int sig,
		       struct err *err)
{
	return err_set(err, SSH_STDIO_EXIT_SSH,
		       "the ssh to %s was ended by signal %d (%s)", who->host,
		       sig, strsignal(sig));
}

/* For words that stand within a sentence. */
static int len_without_stop(const char *words)
{
	size_t len = strlen(words);

	return (int)(len > 0 && words[len - 1] == '.' ? len - 1 : len);
}

int ssh_verdict_ended_early(const struct ssh_verdict_who *who,
			    const struct boot *boot, int wait_status,
			    const char *cause, enum ssh_words_rank rank,
			    struct err *err)
{
	if (WIFSIGNALED(wait_status))
		return killed_here(who, WTERMSIG(wait_status), err);
	int status = WEXITSTATUS(wait_status);
	/* What a shell prints on stdout before it gives up, if it does. */
	const char *words = cause[0] ? cause : boot->noise;
	int len = len_without_stop(words);
	const char *colon = len > 0 ? ": " : "";

	if (rank == SSH_WORDS_NO_EXEC)
		return err_set(err, SSH_STDIO_EXIT_LACKING,
			       "%s does not run commands for %s (%s); %s",
			       who->host, who->user, cause, wanted);
	if (status == STATUS_SSH_FAILED)
		return err_set(err, SSH_STDIO_EXIT_SSH, "ssh to %s failed%s%s",
			       who->host, words[0] ? ": " : " without a word",
			       words);
	if (boot->has_run)
		return err_set(
			err, SSH_STDIO_EXIT_LACKING,
			"the helper does not start on %s (status %d)%s%s",
			who->host, status, words[0] ? ": " : "", words);
	if (strstr(boot->noise, "allows sftp connections only") ||
	    (status == STATUS_SFTP_SERVER && boot->n_noise_bytes == 0))
		return sftp_only(who, err);
	return err_set(err, SSH_STDIO_EXIT_LACKING,
		       "%s has no usable shell for %s (status %d)%s%.*s; %s",
		       who->host, who->user, status, colon, len, words, wanted);
}

int ssh_verdict_lost(const struct ssh_verdict_who *who, const char *cause,
		     struct err *err)
{
	return err_set(err, SSH_STDIO_EXIT_SSH,
		       "the connection to %s is lost%s%s", who->host,
		       cause[0] ? ": " : " without a word", cause);
}

int ssh_verdict_ended(const struct ssh_verdict_who *who, int wait_status,
		      const char *cause, struct err *err)
{
	const char *colon = cause[0] ? ": " : "";

	if (WIFSIGNALED(wait_status))
		return killed_here(who, WTERMSIG(wait_status), err);
	int status = WEXITSTATUS(wait_status);
	if (status == STATUS_SSH_FAILED && cause[0])
		return ssh_verdict_lost(who, cause, err);
	if (status == STATUS_SSH_FAILED)
		return err_set(err, SSH_STDIO_EXIT_SSH,
			       "the helper on %s was killed, or the server "
			       "closed the connection or its channel "
			       "(ChannelTimeout?) without a word",
			       who->host);
	if (status > STATUS_BY_SIGNAL && status < STATUS_BY_SIGNAL + NSIG)
		return err_set(err, SSH_STDIO_EXIT_RUNTIME,
			       "the helper on %s was ended by signal %d%s%s",
			       who->host, status - STATUS_BY_SIGNAL, colon,
			       cause);
	if (status == 0)
		return err_set(err, SSH_STDIO_EXIT_RUNTIME,
			       "the helper on %s has ended%s%s", who->host,
			       colon, cause);
	return err_set(err, SSH_STDIO_EXIT_RUNTIME,
		       "the helper on %s has failed (status %d)%s%s", who->host,
		       status, colon, cause);
}
