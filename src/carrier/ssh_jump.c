/* SPDX-License-Identifier: MIT */
/*
 * ssh_jump: see ssh_jump.h.
 *
 * The command goes through a shell, and before that through ssh, which replaces
 * what % begins; that of ecssh-dial within it through both once more.
 */
#include "ssh_jump.h"

#include <errno.h>
#include <string.h>

#include "text.h"

#define HARMLESS                     \
	"abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@:/"

enum { VERBOSE_MAX = 3 };

static bool is_harmless(const char *word)
{
	return word[0] != '-' && word[strspn(word, HARMLESS)] == '\0';
}

/* In double quotes, with single quotes around it. */
static bool can_be_quoted(const char *path)
{
	return !strpbrk(path, "'\"$`\\!");
}

void ssh_jump_options(const struct ssh_options *o, struct ssh_options *ret)
{
	const char *file = ssh_options_last(o, 'F');

	*ret = (struct ssh_options){.n_words = 0};
	if (file)
		(void)ssh_options_add(ret, 'F', file, NULL);
}

/* With its only jump host ssh connects by itself, or another one leads on. */
static bool is_direct(const struct ssh_config *config)
{
	return !ssh_config_is_set(config->proxy_jump) &&
	       !ssh_config_is_set(config->proxy_command);
}

bool ssh_jump_find(const struct ssh_dest *to, const struct ssh_config *config,
		   const struct ssh_options *o, const char *ssh_path,
		   uint32_t timeout_ms, struct ssh_jump *ret_jump)
{
	struct ssh_options options;

	if (!ssh_config_is_set(config->proxy_jump) ||
	    ssh_config_is_set(config->proxy_command) ||
	    ssh_dest_parse(config->proxy_jump, &ret_jump->dest, NULL) < 0)
		return false;
	ssh_jump_options(o, &options);
	ret_jump->file = ssh_options_last(&options, 'F');
	/* ssh has words of its own for a host that leads to itself. */
	return is_harmless(ret_jump->dest.user) &&
	       is_harmless(ret_jump->dest.host) &&
	       (!ret_jump->file || is_harmless(ret_jump->file)) &&
	       strcmp(ret_jump->dest.host, to->host) != 0 &&
	       ssh_config_query(&ret_jump->dest, &options, ssh_path, timeout_ms,
				&ret_jump->config, NULL) == 0 &&
	       is_direct(&ret_jump->config);
}

/* The same words in the same order as OpenSSH's, and then our own. */
static void put_ssh(struct text *t, const struct ssh_jump *jump,
		    const struct ssh_jump_use *use)
{
	text_put(t, "ProxyCommand='");
	dialer_put_path(t, use->ssh_path ? use->ssh_path : "ssh", 1);
	text_put(t, "'");
	if (jump->dest.user[0] != '\0')
		text_put(t, " -l %s", jump->dest.user);
	if (jump->dest.port != 0)
		text_put(t, " -p %u", jump->dest.port);
	if (jump->file)
		text_put(t, " -F %s", jump->file);
	for (size_t i = 0; i < use->n_verbose && i < VERBOSE_MAX; i++)
		text_put(t, " -v");
	text_put(t, " -o ControlPath=none");
	if (use->is_batch)
		text_put(t, " -o BatchMode=yes");
}

int ssh_jump_add(struct ssh_options *o, const struct ssh_jump *jump,
		 const struct ssh_jump_use *use, char text[DIALER_TEXT_MAX],
		 struct err *err)
{
	struct text t = {.out = text, .cap = DIALER_TEXT_MAX};

	if ((use->ssh_path && !can_be_quoted(use->ssh_path)) ||
	    (use->pins->n > 0 && !can_be_quoted(use->program)))
		return err_set(err, -EINVAL,
			       "with a jump host the path of ecssh-dial must "
			       "have none of ' \" $ ` \\ ! in it");
	put_ssh(&t, jump, use);
	if (use->pins->n > 0) {
		text_put(&t, " -o ProxyUseFdpass=yes -o \"");
		dialer_put_command(&t, use->program, use->pins, 2);
		text_put(&t, "\"");
	}
	text_put(&t, " -W '[%%h]:%%p' %s", jump->dest.host);
	if (t.len >= t.cap - 1)
		return err_set(err, -E2BIG,
			       "the command for the jump host is too long");
	int r = ssh_options_add(o, 'o', text, err);
	return r < 0 ? r : ssh_options_add(o, 'o', "ProxyUseFdpass=no", err);
}
