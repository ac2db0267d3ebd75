/* SPDX-License-Identifier: MIT */
/* ssh_opts: the options that commands pass on to ssh. */
#include "ssh_opts.h"

#include "log.h"

int ssh_opts_take(struct ssh_options *options, const struct option_entry *entry,
		  const char *value, struct err *err)
{
	if (entry->letter == 'v')
		log_init("ecssh", LOG_LEVEL_DEBUG);
	return ssh_options_add(options, entry->letter, value, err);
}
