/* SPDX-License-Identifier: MIT */
/* nft_run: the host's program nft, run with rules that we made. */
#include "nft_run.h"

#include <errno.h>
#include <unistd.h>

#include "program.h"

int nft_run(const char *text, char *out, size_t cap, struct err *err)
{
	static const char *const paths[] = {"/usr/sbin/nft", "/sbin/nft",
					    "/usr/bin/nft"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const char *const argv[] = {paths[i], "-f", "-", NULL};

		if (access(paths[i], X_OK) == 0)
			return program_run(argv, text, out, cap,
					   NFT_RUN_TIMEOUT_MS, err);
	}
	return err_set(err, -ENOENT,
		       "there is no nft here, which makes the rules: install "
		       "the package nftables");
}

int nft_run_rules(const struct text *rules, struct err *err)
{
	return rules->len < rules->cap
		       ? nft_run(rules->out, NULL, 0, err)
		       : err_set(err, -E2BIG, "the rules do not fit");
}

void nft_run_put_removal(struct text *t, const char *family, const char *kind,
			 const char *name)
{
	text_put(t,
		 "add table %s ecssh-%s-%s\n"
		 "delete table %s ecssh-%s-%s\n",
		 family, kind, name, family, kind, name);
}
