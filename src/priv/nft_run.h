/* SPDX-License-Identifier: MIT */
/* nft_run: the host's program nft, run with rules that we made. */
#ifndef ECSSH_NFT_RUN_H
#define ECSSH_NFT_RUN_H

#include <stddef.h>

#include "err.h"
#include "text.h"

enum { NFT_RUN_TIMEOUT_MS = 5000 };

/*
 * Run `nft -f -` with text as its input, without a shell; out (cap bytes, may
 * be NULL) gets what it prints.  Returns 0, or -errno with err: -ENOENT: there
 * is no nft; -EPROTO: nft refuses, its first line is in err; -ETIMEDOUT.
 */
int nft_run(const char *text, char *out, size_t cap, struct err *err);

/* The same with rules that were put together; -E2BIG: they were too long. */
int nft_run_rules(const struct text *rules, struct err *err);

/* Put what takes the table "ecssh-KIND-NAME" of a family away: "add" makes
 * "delete" succeed where there is nothing. */
void nft_run_put_removal(struct text *t, const char *family, const char *kind,
			 const char *name);

#endif
