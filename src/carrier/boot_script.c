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
#include "escape.h"

/* clang-format off */

/* m is the marker, h the hash, k its first digits, n the size, p the
 * protocol. */
static const char script[] =
	/* A place to start from, whatever the account's files have done. */
	"m=$ecssh_marker; "
	"unset IFS LD_PRELOAD LD_LIBRARY_PATH CDPATH ENV BASH_ENV; "
	"PATH=/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin${PATH:+:$PATH}; "
	"LC_ALL=C; export PATH LC_ALL; umask 077; cd /; u=$(id -u); "

	/* Lines with the marker, each in one write. */
	"nl=$(echo; echo x); nl=${nl%x}; "
	"say() { printf %s \"$nl$m $*$nl\"; }; "

	"IFS= read -r hello || exit 1; "

	/* Does the program speak our protocol? */
	"fits() { "
	"case $(\"$1\" --version </dev/null 2>/dev/null) in "
	"\"ecssh-helper \"*\" protocol $p\") return 0;; esac; return 1; }; "

	/* Has the file our hash?  2: nobody can tell. */
	"sum() { "
	"if command -v sha256sum; then set -- $(sha256sum <\"$1\"); "
	"elif command -v shasum; then set -- $(shasum -a 256 <\"$1\"); "
	"elif command -v openssl; then "
	"set -- $(openssl dgst -sha256 -r <\"$1\"); "
	"elif command -v sha256; then set -- $(sha256 -q <\"$1\"); "
	"else return 2; fi >/dev/null 2>&1; "
	"[ \"$1\" = \"$h\" ]; }; "

	"whole() { set -- $(wc -c <\"$1\"); [ \"$1\" = \"$n\" ]; }; "

	/* A directory, not a link, that is ours and nobody else may enter.
	 * The S is of a parent that hands down its group. */
	"private() { set -- $(ls -ldn \"$1\" 2>/dev/null); "
	"case $1 in drwx--[-S]---*) [ \"$3\" = \"$u\" ];; *) return 1;; esac; }; "

	/* Installed by the administrator. */
	"for f in \"$(command -v ecssh-helper)\" "
	"/usr/lib/ecssh/ecssh-helper /usr/libexec/ecssh/ecssh-helper "
	"/usr/local/lib/ecssh/ecssh-helper "
	"/usr/local/libexec/ecssh/ecssh-helper; do "
	"case $f in /*) if [ -x \"$f\" ] && fits \"$f\"; then "
	"say run installed; exec \"$f\" --marker \"$m\" \"$@\"; fi;; esac; done; "

	/* Kept, or else a place to store: $f is the file's final name there and
	 * $t the new file, which this loop leaves behind when it has found one.
	 * `why` remembers the place that came nearest. */
	"why=nodir; t=; "
	"for pass in kept new; do "
	"for d in \"${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}\" "
	"\"$XDG_RUNTIME_DIR\" /dev/shm /tmp /var/tmp; do "
	"case $d in /*) ;; *) continue;; esac; "
	"c=$d; d=$d/ecssh-helper-$u; f=$d/helper-$k; "
	"if [ $pass = kept ]; then "
	"if [ -f \"$f\" ] && private \"$d\" && sum \"$f\" && fits \"$f\"; then "
	"say run kept; exec \"$f\" --marker \"$m\" \"$@\"; fi; "
	"continue; fi; "
	"mkdir \"$c\" 2>/dev/null; mkdir \"$d\" 2>/dev/null; "
	"private \"$d\" || continue; "
	"t=$d/new-$m; "
	"if (set -C; : >\"$t\") 2>/dev/null; then "
	"chmod 700 \"$t\"; "
	"\"$t\" </dev/null >/dev/null 2>&1; if [ $? -ne 126 ]; then "
	"head -c \"$n\" /dev/zero >\"$t\" 2>/dev/null; "
	"whole \"$t\" && break 2; why=nospace; "
	"elif [ $why = nodir ]; then why=noexec; fi; "
	"rm -f \"$t\"; "
	/* No new file, but the directory is ours: not even an inode left. */
	"else [ -w \"$d\" ] && why=nospace; fi; "
	"rmdir \"$d\" 2>/dev/null; t=; done; done; "

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
	    params->protocol, script);
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
