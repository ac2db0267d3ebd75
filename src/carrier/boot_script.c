/* SPDX-License-Identifier: MIT */
/*
 * boot_script: the command that brings the helper up on the far side.
 *
 * The text below is read by two programs.  The login shell sees one long word
 * between single quotes: no single quote, newline, "!" or backslash may be in
 * it (csh and fish treat them specially even there).  /bin/sh then runs it:
 * POSIX only, beyond "head -c".  A statement ends with its semicolon, for there
 * are no newlines.
 *
 * Spec: doc/PROTOCOL.boot, sections 1 and 5.
 */
#include "boot_script.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "boot.h"
#include "boot_shell.h"
#include "escape.h"

/* clang-format off */

static const char script[] =
	BOOT_SHELL_START
	BOOT_SHELL_TESTS

	"found() { o=$1; shift; say run $o; exec \"$f\" --marker \"$m\" \"$@\"; }; "

	BOOT_SHELL_SEARCH

	/* Without head -c it looks like a full disk. */
	"quit() { [ -n \"$t\" ] && rm -f \"$t\" && rmdir \"$d\" 2>/dev/null; "
	"say fail \"$@\"; exit 1; }; "
	"if [ -z \"$t\" ]; then "
	"for c in id ls head wc chmod mkdir; do "
	"command -v $c >/dev/null 2>&1 || quit notool $c; done; "
	"head -c 1 /dev/null >/dev/null 2>&1 || quit notool head -c; "
	"quit $why; fi; "

	/* Receive it. */
	"say need \"$(uname -s)\" \"$(uname -m)\"; "
	"head -c \"$n\" >\"$t\" 2>/dev/null || quit nospace; "
	"whole \"$t\" || quit corrupt size; "
	"sum \"$t\"; [ $? = 1 ] && quit corrupt SHA-256; "
	"chmod 700 \"$t\"; "
	"fits \"$t\" || "
	"quit cannotrun \"$(\"$t\" --version 2>&1 </dev/null | head -c 200)\"; "
	"mv -f \"$t\" \"$f\" || f=$t; "

	/* Other versions, and what was left half-way two days ago. */
	"for o in \"$d\"/helper-*; do "
	"[ \"$o\" = \"$f\" ] || rm -f \"$o\"; done; "
	"find \"$d\" -name \"new-*\" -mtime +1 -exec rm -f {} \";\" 2>/dev/null; "
	"say run uploaded; exec \"$f\" --marker \"$m\" \"$@\"";

/* clang-format on */

/* A string being built in storage of the caller. */
struct text {
	char *out;
	size_t cap, len;
	bool is_cut;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t,
						      const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(t->out + t->len, t->cap - t->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->cap - t->len)
		t->is_cut = true;
	else
		t->len += (size_t)n;
}

/* The same word in every shell.  At its start "=" and "@" and "%" would be
 * special to one or the other. */
static bool is_plain(const char *arg)
{
	static const char chars[] = "@=%:,+_-./"
				    "0123456789"
				    "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return arg[0] != '\0' && strspn(arg, "@=%:,+_") == 0 &&
	       arg[strspn(arg, chars)] == '\0';
}

int boot_script_build(const struct boot_script_params *params, char *out,
		      size_t cap, struct err *err)
{
	struct text t = {.out = out, .cap = cap};

	assert_always(strlen(params->marker) == BOOT_MARKER_LEN);
	assert_always(strlen(params->hash) == BOOT_SCRIPT_HASH_LEN);
	add(&t,
	    "exec /bin/sh -c 'ecssh_marker=%s; h=%s; k=%.16s; n=%zu; p=%u; "
	    "%s' ",
	    params->marker, params->hash, params->hash, params->size_bytes,
	    params->protocol, params->script ? params->script : script);
	add(&t, "ecssh-boot");
	for (size_t i = 0; params->helper_args && params->helper_args[i]; i++) {
		const char *arg = params->helper_args[i];
		char shown[128];

		if (!is_plain(arg)) {
			(void)escape_text(arg, strlen(arg), shown,
					  sizeof(shown));
			return err_set(err, -EINVAL,
				       "the helper's argument \"%s\" is not "
				       "safe in every shell",
				       shown);
		}
		add(&t, " %s", arg);
	}
	if (t.is_cut)
		return err_set(err, -E2BIG,
			       "the helper has too many arguments");
	return 0;
}
