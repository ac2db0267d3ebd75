/* SPDX-License-Identifier: MIT */
/*
 * ssh_cmd: the command line with which the user's ssh is started.
 *
 * Theory of operation
 *   ssh takes the first value it meets for an option: command line before
 *   files, left before right.  So ours stand first and win, the user's options
 *   follow and win over ssh_config, and "--" ends the options before the
 *   destination.  An option that ssh does not know is fatal to it: the table
 *   holds only what OpenSSH 7.4 knows already, and the newer ones are given
 *   only where ssh -G has shown them.  (IgnoreUnknown is no way out: ours would
 *   hide the user's own, and then his options would be fatal.)
 */
#include "ssh_cmd.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "escape.h"
#include "ssh_file.h"

static const char *const forced[] = {
	/* Nothing of this machine is lent to the server. */
	"ForwardAgent=no", "ForwardX11=no", "Tunnel=no",
	/* The user's own forwardings belong to his own connections, and two
	 * cannot listen on one port. */
	"ClearAllForwardings=yes",
	/* A connection of our own: no local commands, and see push_control. */
	"PermitLocalCommand=no",
	/* Bytes are bytes. */
	"RequestTTY=no", "EscapeChar=none", "Compression=no",
	/* The flows inside differ; none of them is ssh's to mark. */
	"IPQoS=cs0"};

static const char *const forced_newer[] = {
	[SSH_CONFIG_REMOTE_COMMAND] = "RemoteCommand=none",
	[SSH_CONFIG_FORK_AFTER_AUTH] = "ForkAfterAuthentication=no",
	[SSH_CONFIG_SESSION_TYPE] = "SessionType=default",
	[SSH_CONFIG_STDIN_NULL] = "StdinNull=no",
};
static_assert(sizeof(forced_newer) / sizeof(forced_newer[0]) ==
		      SSH_CONFIG_NEWER__N,
	      "a word for each newer option");

enum {
	ALIVE_INTERVAL_S = 15,
};

/* ---- what the user may pass on ---- */

static const struct {
	const char *word;
	bool has_value;
} passed_on[] = {
	{"-F", true},  {"-i", true},  {"-p", true},  {"-J", true},
	{"-l", true},  {"-o", true},  {"-4", false}, {"-6", false},
	{"-v", false}, {"-q", false},
};

static int check_value(const char *word, const char *value, struct err *err)
{
	if (!value || value[0] == '\0')
		return err_set(err, -EINVAL, "option %s needs a value", word);
	for (const char *p = value; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			char shown[128];

			(void)escape_text(value, strlen(value), shown,
					  sizeof(shown));
			return err_set(err, -EINVAL,
				       "the value \"%s\" of option %s has a "
				       "control character",
				       shown, word);
		}
	}
	return 0;
}

int ssh_options_add(struct ssh_options *o, char letter, const char *value,
		    struct err *err)
{
	size_t n = sizeof(passed_on) / sizeof(passed_on[0]), i = 0;

	while (i < n && passed_on[i].word[1] != letter)
		i++;
	if (i == n)
		return err_set(err, -EINVAL, "option -%c is not one for ssh",
			       letter);
	if (passed_on[i].has_value) {
		int r = check_value(passed_on[i].word, value, err);
		if (r == 0)
			r = ssh_file_check(letter, value, err);
		if (r < 0)
			return r;
	}
	if (o->n_words + 2 > SSH_OPTIONS_MAX)
		return err_set(err, -E2BIG, "too many options for ssh");
	o->words[o->n_words++] = passed_on[i].word;
	if (passed_on[i].has_value)
		o->words[o->n_words++] = value;
	return 0;
}

/* How many words the option has that begins at i. */
static size_t words_at(const struct ssh_options *o, size_t i)
{
	for (size_t k = 0; k < sizeof(passed_on) / sizeof(passed_on[0]); k++)
		if (passed_on[k].word[1] == o->words[i][1])
			return passed_on[k].has_value ? 2 : 1;
	return 1;
}

int ssh_options_append(struct ssh_options *o, const struct ssh_options *more,
		       char but, struct err *err)
{
	for (size_t i = 0; i < more->n_words; i += words_at(more, i)) {
		size_t n = words_at(more, i);

		if (more->words[i][1] == but)
			continue;
		if (o->n_words + n > SSH_OPTIONS_MAX)
			return err_set(err, -E2BIG, "too many options for ssh");
		for (size_t k = 0; k < n; k++)
			o->words[o->n_words++] = more->words[i + k];
	}
	return 0;
}

size_t ssh_options_count(const struct ssh_options *o, char letter)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n_words; i += words_at(o, i))
		n += o->words[i][1] == letter;
	return n;
}

const char *ssh_options_last(const struct ssh_options *o, char letter)
{
	const char *last = NULL;

	for (size_t i = 0; i < o->n_words; i += words_at(o, i))
		if (o->words[i][1] == letter && words_at(o, i) == 2)
			last = o->words[i + 1];
	return last;
}

/* ---- ciphers ---- */

bool ssh_cmd_cpu_has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("aes") &&
	       __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	enum {
		HAS_AES = 1 << 3, /* HWCAP_AES, HWCAP_PMULL */
		HAS_PMULL = 1 << 4,
	};
	unsigned long caps = getauxval(AT_HWCAP);
	return (caps & HAS_AES) != 0 && (caps & HAS_PMULL) != 0;
#else
	return false;
#endif
}

static bool is_aes_gcm(const char *name, size_t len)
{
	static const char *const gcm[] = {"aes128-gcm@openssh.com",
					  "aes256-gcm@openssh.com"};

	for (size_t i = 0; i < sizeof(gcm) / sizeof(gcm[0]); i++)
		if (len == strlen(gcm[i]) && memcmp(name, gcm[i], len) == 0)
			return true;
	return false;
}

/* Append those names of list that are AES-GCM, or those that are not. */
static bool append_names(const char *list, bool wants_gcm, char *out,
			 size_t cap, size_t *len)
{
	for (const char *at = list; *at;) {
		size_t n = strcspn(at, ",");

		if (n > 0 && is_aes_gcm(at, n) == wants_gcm) {
			if (*len + n + 2 > cap)
				return false;
			if (*len > 0)
				out[(*len)++] = ',';
			memcpy(out + *len, at, n);
			*len += n;
		}
		at += n + (at[n] == ',');
	}
	return true;
}

int ssh_cmd_prefer_aes_gcm(const char *list, char *out, size_t cap)
{
	size_t len = 0;

	if (!append_names(list, true, out, cap, &len) || len == 0 ||
	    !append_names(list, false, out, cap, &len))
		return -EINVAL;
	out[len] = '\0';
	return 0;
}

/* ---- the argument vector ---- */

static int push(struct ssh_cmd *c, const char *word)
{
	if (c->argc + 1 >= SSH_CMD_ARGV_MAX)
		return -E2BIG;
	c->argv[c->argc++] = word;
	c->argv[c->argc] = NULL;
	return 0;
}

static int push_option(struct ssh_cmd *c, const char *option)
{
	int r = push(c, "-o");

	return r < 0 ? r : push(c, option);
}

/* Make a word in c->text; NULL if there is no room. */
__attribute__((format(printf, 2, 3))) static const char *make_word(
	struct ssh_cmd *c, const char *fmt, ...)
{
	char *word = c->text + c->text_len;
	size_t room = sizeof(c->text) - c->text_len;
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(word, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		return NULL;
	c->text_len += (size_t)n + 1;
	return word;
}

/* Not shared with anybody, and no staying behind when we are gone.  A master
 * does not tell the server that no more sessions will come. */
static int push_control(struct ssh_cmd *c, const char *path)
{
	const char *word = path ? make_word(c, "ControlPath=%s", path)
				: "ControlPath=none";

	if (!word || push_option(c, word) < 0 ||
	    push_option(c, "ControlPersist=no") < 0)
		return -E2BIG;
	return push_option(c, path ? "ControlMaster=yes" : "ControlMaster=no");
}

static int push_forced(struct ssh_cmd *c, const struct ssh_config *config,
		       const struct ssh_cmd_use *use)
{
	int r = push_control(c, use->control_path);

	for (size_t i = 0; r == 0 && i < sizeof(forced) / sizeof(forced[0]);
	     i++)
		r = push_option(c, forced[i]);
	for (int i = 0; r == 0 && i < SSH_CONFIG_NEWER__N; i++)
		/* To be told "SessionType" and -N both is fatal to ssh. */
		if (config->has_newer[i] &&
		    (use->remote_command || i != SSH_CONFIG_SESSION_TYPE))
			r = push_option(c, forced_newer[i]);
	if (r < 0)
		return r;
	/* Who wants to know sooner keeps his own interval. */
	if (config->server_alive_interval_s == 0 ||
	    config->server_alive_interval_s > ALIVE_INTERVAL_S) {
		const char *word = make_word(c, "ServerAliveInterval=%d",
					     (int)ALIVE_INTERVAL_S);
		if (!word || push_option(c, word) < 0)
			return -E2BIG;
	}
	return push_option(c, "ServerAliveCountMax=3");
}

static int push_ciphers(struct ssh_cmd *c, const struct ssh_config *config)
{
	char list[SSH_CONFIG_VALUE_MAX];

	if (config->has_chosen_ciphers || !ssh_cmd_cpu_has_aes() ||
	    ssh_cmd_prefer_aes_gcm(config->ciphers, list, sizeof(list)) < 0)
		return 0;
	/* The whole list, for "^" came with OpenSSH 8.1 only. */
	const char *word = make_word(c, "Ciphers=%s", list);
	return word ? push_option(c, word) : -E2BIG;
}

static int push_user_options(struct ssh_cmd *c, const struct ssh_options *o)
{
	int r = 0;

	for (size_t i = 0; r == 0 && o && i < o->n_words; i++)
		r = push(c, o->words[i]);
	return r;
}

static int push_dest(struct ssh_cmd *c, const struct ssh_dest *dest)
{
	const char *where = dest->host;

	if (dest->port != 0) {
		const char *port = make_word(c, "%u", (unsigned)dest->port);
		if (!port || push(c, "-p") < 0 || push(c, port) < 0)
			return -E2BIG;
	}
	if (dest->user[0] != '\0')
		where = make_word(c, "%s@%s", dest->user, dest->host);
	if (!where || push(c, "--") < 0)
		return -E2BIG;
	return push(c, where);
}

static int too_long(struct err *err)
{
	return err_set(err, -E2BIG, "the command line for ssh is too long");
}

int ssh_cmd_build(const struct ssh_dest *dest, const struct ssh_options *o,
		  const struct ssh_config *config, const char *ssh_path,
		  const struct ssh_cmd_use *use, struct ssh_cmd *ret_cmd,
		  struct err *err)
{
	struct ssh_cmd *c = ret_cmd;
	const char *command = use->remote_command;

	c->argc = c->text_len = 0;
	if (push(c, ssh_path ? ssh_path : "ssh") < 0 ||
	    (!command && push(c, "-N") < 0) ||
	    push_forced(c, config, use) < 0 || push_ciphers(c, config) < 0 ||
	    push_user_options(c, o) < 0 || push_dest(c, dest) < 0 ||
	    (command && push(c, command) < 0))
		return too_long(err);
	return 0;
}

int ssh_cmd_build_query(const struct ssh_dest *dest,
			const struct ssh_options *o, const char *ssh_path,
			struct ssh_cmd *ret_cmd, struct err *err)
{
	struct ssh_cmd *c = ret_cmd;

	c->argc = c->text_len = 0;
	if (push(c, ssh_path ? ssh_path : "ssh") < 0 || push(c, "-G") < 0 ||
	    push(c, "-T") < 0 || push_user_options(c, o) < 0 ||
	    push_dest(c, dest) < 0)
		return too_long(err);
	return 0;
}
