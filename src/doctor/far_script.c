/* SPDX-License-Identifier: MIT */
/*
 * far_script: what the doctor has /bin/sh find out on the gateway.
 *
 * Two programs read it: see the top of carrier/boot_script.c for what may not
 * be in it.  Most comes from /proc, because the programs that show the same
 * are not everywhere.
 *
 * Spec: doc/PROTOCOL.doctor.
 */
#include "far_script.h"

#include "boot_shell.h"

/* clang-format off */

const char far_script[] =
	BOOT_SHELL_START
	BOOT_SHELL_TESTS

	/* Whatever is made on the way is removed, also when we are hung up on.
	 * Only parents of the helper's directory come here; the search removes
	 * the others itself. */
	"made=; t=; d=; "
	"mkdir() { command mkdir \"$1\" || return 1; "
	"case $1 in */ecssh-helper-$u) ;; *) made=$1$nl$made;; esac; }; "
	"clean() { [ -n \"$t\" ] && rm -f \"$t\"; "
	"[ -n \"$d\" ] && rmdir \"$d\" 2>/dev/null; "
	"(IFS=$nl; set -f; for x in $made; do rmdir \"$x\" 2>/dev/null; done); "
	"t=; made=; }; "
	"trap \"clean; exit 1\" HUP INT PIPE TERM; "

	"say os \"$(uname -s)\"; say machine \"$(uname -m)\"; "
	"say uid \"$u\"; say user \"$(id -un 2>/dev/null)\"; "
	"say gids \"$(id -G)\"; say groups \"$(id -Gn 2>/dev/null)\"; "

	/* The helper, and a place for it. */
	"cap() { command -v getcap >/dev/null 2>&1 && "
	"case $(getcap \"$1\" 2>/dev/null) in *cap_net_admin*) say capability;; "
	"esac; }; "
	"w=; found() { [ -n \"$w\" ] && return; w=$f; "
	"say helper \"$1\" \"$f\"; cap \"$f\"; }; "
	BOOT_SHELL_SEARCH
	"if [ -n \"$t\" ]; then say place \"$c\"; "
	"else for x in id ls head wc chmod mkdir; do "
	"command -v $x >/dev/null 2>&1 || why=\"notool $x\"; done; "
	"say noplace \"$why\"; fi; "
	"clean; "

	/* Sockets.  A shell reads byte after byte, which files of /proc/sys do
	 * not like. */
	"x=/proc/sys/net/ipv4/ping_group_range; "
	"if [ -r $x ]; then say ping $(cat $x); fi; "
	"mtu() { x=; [ -r \"/sys/class/net/$2/mtu\" ] && "
	"read -r x <\"/sys/class/net/$2/mtu\"; say \"$1\" \"$2\" $x; }; "
	"y=; x=/proc/net/route; "
	"if [ -r $x ]; then while read -r i n g r; do case $i/$n in "
	"Iface/*|lo/*) ;; */00000000) y=1; mtu default4 \"$i\";; *) y=1;; esac; "
	"done <$x; fi; [ -n \"$y\" ] && say ipv4; "
	"y=; x=/proc/net/if_inet6; "
	"if [ -r $x ]; then while read -r a n l s g i; do "
	"case $s/$i in 00/lo) ;; 00/*) y=1;; esac; done <$x; fi; "
	"[ -n \"$y\" ] && say ipv6; "
	"z=00000000; z=$z$z$z$z; x=/proc/net/ipv6_route; "
	"if [ -r $x ]; then while read -r a l b k g r x y v i; do "
	"case $a$l/$i in ${z}00/lo) ;; ${z}00/*) mtu default6 \"$i\";; esac; "
	"done <$x; fi; "
	"if [ -r /etc/resolv.conf ]; then while read -r k v x; do "
	"[ \"$k\" = nameserver ] && say resolver \"$v\"; "
	"done </etc/resolv.conf; fi; "

	/* Privilege: sudo is asked where it is likely to answer, for a refusal
	 * is reported to the administrator. */
	"g=\" $(id -Gn 2>/dev/null) \"; s=untried; "
	"if [ \"$u\" = 0 ]; then s=root; "
	"elif command -v sudo >/dev/null 2>&1; then "
	"case $1$g in --sudo*|*\" sudo \"*|*\" wheel \"*|*\" admin \"*) "
	"if sudo -n true </dev/null >/dev/null 2>&1; then s=yes; else s=no; fi;; "
	"esac; else s=none; fi; say sudo $s; "
	"x=/dev/net/tun; if [ -c $x ]; then "
	"if [ -r $x ] && [ -w $x ]; then say tun yes; else say tun denied; fi; "
	"else say tun no; fi; "

	/* TUN devices that are the account's: owner, group if there is one, and
	 * layer 3. */
	"g=\" $(id -G) -1 \"; "
	"for x in /sys/class/net/*/tun_flags; do [ -r \"$x\" ] || continue; "
	"x=${x%/tun_flags}; a=-1; b=-1; read -r a <\"$x/owner\"; "
	"read -r b <\"$x/group\"; "
	"case $a/$g in \"$u\"/*\" $b \"*) ;; *) continue;; esac; "
	"[ $(($(cat \"$x/tun_flags\") & 1)) = 1 ] || continue; "
	"y=down; [ $(($(cat \"$x/flags\") & 1)) = 1 ] && y=up; "
	"say owned \"${x##*/}\" $y; done; "
	"x=$(command -v nft) || x=no; say nft \"$x\"; "

	/* Something to try stream-local forwarding with: nothing is said to
	 * it. */
	"for x in /run/dbus/system_bus_socket /run/systemd/journal/stdout; do "
	"[ -S $x ] && [ -w $x ] && say socket $x && break; done; "
	"say done";

/* clang-format on */
