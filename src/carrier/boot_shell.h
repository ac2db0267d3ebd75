/* SPDX-License-Identifier: MIT */
/*
 * boot_shell: parts of the scripts that we have /bin/sh run on the far side.
 *
 * For all of them holds what boot_script.c says at its top.  m is the marker, h
 * the helper's hash, k its first digits, n its size, p the session protocol.
 *
 * Spec: doc/PROTOCOL.boot section 5.
 */
#ifndef ECSSH_BOOT_SHELL_H
#define ECSSH_BOOT_SHELL_H

/* clang-format off */

/* The start: standard settings, say() for our lines, the hello is read. */
#define BOOT_SHELL_START \
	/* A place to start from, whatever the account's files have done. */ \
	"m=$ecssh_marker; " \
	"unset IFS LD_PRELOAD LD_LIBRARY_PATH CDPATH ENV BASH_ENV; " \
	"PATH=/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin${PATH:+:$PATH}; " \
	"LC_ALL=C; export PATH LC_ALL; umask 077; cd /; u=$(id -u); " \
	\
	/* Lines with the marker, each in one write. */ \
	"nl=$(echo; echo x); nl=${nl%x}; " \
	"say() { printf %s \"$nl$m $*$nl\"; }; " \
	"IFS= read -r hello || exit 1; "

/* fits, sum, whole, private: each asks something of the path $1. */
#define BOOT_SHELL_TESTS \
	/* Does the program speak our protocol? */ \
	"fits() { " \
	"case $(\"$1\" --version </dev/null 2>/dev/null) in " \
	"\"ecssh-helper \"*\" protocol $p\") return 0;; esac; return 1; }; " \
	\
	/* Has the file our hash?  2: nobody can tell. */ \
	"sum() { " \
	"if command -v sha256sum; then set -- $(sha256sum <\"$1\"); " \
	"elif command -v shasum; then set -- $(shasum -a 256 <\"$1\"); " \
	"elif command -v openssl; then " \
	"set -- $(openssl dgst -sha256 -r <\"$1\"); " \
	"elif command -v sha256; then set -- $(sha256 -q <\"$1\"); " \
	"else return 2; fi >/dev/null 2>&1; " \
	"[ \"$1\" = \"$h\" ]; }; " \
	\
	"whole() { set -- $(wc -c <\"$1\"); [ \"$1\" = \"$n\" ]; }; " \
	\
	/* A directory, not a link, that is ours and nobody else may enter. \
	 * The S is of a parent that hands down its group. */ \
	"private() { set -- $(ls -ldn \"$1\" 2>/dev/null); " \
	"case $1 in drwx--[-S]---*) [ \"$3\" = \"$u\" ];; *) return 1;; esac; }; "

/*
 * Look for a helper that is there: found() is called with where it came from
 * and the script's own arguments, $f is its path.  Then look for a place to
 * store one: $d is its directory, $c the parent of that; $t is empty if there
 * is none, and $why tells what was lacking.  found() may return.
 */
#define BOOT_SHELL_SEARCH \
	/* Installed by the administrator. */ \
	"for f in \"$(command -v ecssh-helper)\" " \
	"/usr/lib/ecssh/ecssh-helper /usr/libexec/ecssh/ecssh-helper " \
	"/usr/local/lib/ecssh/ecssh-helper " \
	"/usr/local/libexec/ecssh/ecssh-helper; do " \
	"case $f in /*) if [ -x \"$f\" ] && fits \"$f\"; then " \
	"found installed \"$@\"; fi;; esac; done; " \
	/* Kept, or else a place to store: $f is the file's final name there and \
	 * $t the new file, which this loop leaves behind when it has found one. \
	 * `why` remembers the place that came nearest. */ \
	"why=nodir; t=; " \
	"for pass in kept new; do " \
	"for d in \"${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}\" " \
	"\"$XDG_RUNTIME_DIR\" /dev/shm /tmp /var/tmp; do " \
	"case $d in /*) ;; *) continue;; esac; " \
	"c=$d; d=$d/ecssh-helper-$u; f=$d/helper-$k; " \
	"if [ $pass = kept ]; then " \
	"if [ -f \"$f\" ] && private \"$d\" && sum \"$f\" && fits \"$f\"; then " \
	"found kept \"$@\"; fi; " \
	"continue; fi; " \
	"mkdir \"$c\" 2>/dev/null; mkdir \"$d\" 2>/dev/null; " \
	"private \"$d\" || continue; " \
	"t=$d/new-$m; " \
	"if (set -C; : >\"$t\") 2>/dev/null; then " \
	"chmod 700 \"$t\"; " \
	"\"$t\" </dev/null >/dev/null 2>&1; if [ $? -ne 126 ]; then " \
	"head -c \"$n\" /dev/zero >\"$t\" 2>/dev/null; " \
	"whole \"$t\" && break 2; why=nospace; " \
	"elif [ $why = nodir ]; then why=noexec; fi; " \
	"rm -f \"$t\"; " \
	/* No new file, but the directory is ours: not even an inode left. */ \
	"else [ -w \"$d\" ] && why=nospace; fi; " \
	"rmdir \"$d\" 2>/dev/null; t=; done; done; "

/* clang-format on */

#endif
