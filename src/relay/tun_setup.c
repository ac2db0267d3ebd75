/* SPDX-License-Identifier: MIT */
/*
 * tun_setup: what root has to do on a server for a tun device of sshd's.
 *
 * Theory of operation
 *   The script runs the very commands that a person would be told, on a device
 *   with a name of ours: the helper's broker may guard forwarding on the same
 *   host (priv/forwarding_linux.c), and lets through what is called "ecssh*".
 *   The script takes part in that: a guard table of its own says for how long
 *   forwarding is on for its sake, and remembers what is to be put back; who
 *   leaves last puts it back.
 *
 *   Nothing in the script but numbers, addresses that addr_format wrote and
 *   names made of a number comes from outside of this file.  It consists of
 *   functions, and of their call in the last line.
 *
 *   A device that is to stay when sshd closes it was made by somebody, who may
 *   have set it up: it is left alone.
 */
#include "tun_setup.h"

#include <stdio.h>
#include <string.h>

#include "text.h"

void tun_setup_device(const struct tun_setup *s, char out[TUN_SETUP_NAME_MAX])
{
	(void)snprintf(out, TUN_SETUP_NAME_MAX, "tun%u", s->unit);
}

void tun_setup_our_device(const struct tun_setup *s,
			  char out[TUN_SETUP_NAME_MAX])
{
	(void)snprintf(out, TUN_SETUP_NAME_MAX, "ecssh-%08x", s->tag);
}

/* ---- the commands ---- */

static void put_family(struct text *t, const char *dev,
		       const struct ip_addr *near, const char *then)
{
	char address[ADDR_TEXT_MAX];

	if (near->version == 0)
		return;
	(void)addr_format(near, address);
	text_put(t, "ip route replace %s dev %s%ssysctl net.%s=1%s", address,
		 dev, then,
		 near->version == IPV4 ? "ipv4.ip_forward"
				       : "ipv6.conf.all.forwarding",
		 then);
}

static void put_masquerade(struct text *t, const struct ip_addr *near)
{
	char address[ADDR_TEXT_MAX];

	if (near->version == 0)
		return;
	(void)addr_format(near, address);
	text_put(t, "%s saddr %s masquerade fully-random;",
		 near->version == IPV4 ? "ip" : "ip6", address);
}

static void put_commands(struct text *t, const struct tun_setup *s,
			 const char *dev, const char *then)
{
	text_put(t, "ip link set %s up%s", dev, then);
	put_family(t, dev, &s->near4, then);
	put_family(t, dev, &s->near6, then);
	text_put(t,
		 "nft 'table inet ecssh-%s{chain nat{"
		 "type nat hook postrouting priority 100;",
		 dev);
	put_masquerade(t, &s->near4);
	put_masquerade(t, &s->near6);
	text_put(t, "};}'");
}

size_t tun_setup_commands(const struct tun_setup *s, char *out, size_t cap)
{
	struct text t = {.out = out, .cap = cap};
	char dev[TUN_SETUP_NAME_MAX];

	tun_setup_device(s, dev);
	put_commands(&t, s, dev, "; ");
	return t.len;
}

/* ---- the script ---- */

/*
 * guards V: the devices that are there for whose sake, too, V is forwarded.
 * remembered V DEV SET: what the guard of DEV is to put back.
 * devices V SETTING: the devices where it is 1.
 */
static const char tools[] =
	"net=/proc/sys/net reader=\n"
	"redirects=ipv4/conf/all/accept_redirects\n"
	"fail() {\n"
	"	echo \"failed $*\" | tr '\\n' ' '\n"
	"	echo\n"
	"	exit 1\n"
	"}\n"
	"get() { cat \"$net/$1\" 2>/dev/null; }\n"
	"put() { echo \"$2\" 2>/dev/null >\"$net/$1\"; }\n"
	"lock() {\n"
	"	exec 9<$net/ipv4/ip_forward\n"
	"	command -v flock >/dev/null && flock -w 2 9\n"
	"}\n"
	"unlock() { exec 9<&-; }\n"
	"switch() {\n"
	"	case $1 in\n"
	"	4) echo ipv4/ip_forward ;;\n"
	"	*) echo ipv6/conf/all/forwarding ;;\n"
	"	esac\n"
	"}\n"
	"guards() {\n"
	"	nft list tables inet 2>/dev/null |\n"
	"	sed -n \"s/^table inet ecssh-guard$1-//p\" |\n"
	"	while read -r name rest; do\n"
	"		[ \"$name\" = $dev ] ||\n"
	"		[ ! -e \"/sys/class/net/$name\" ] || echo \"$name\"\n"
	"	done\n"
	"}\n"
	"remembered() {\n"
	"	nft list set inet \"ecssh-guard$1-$2\" $3 2>/dev/null |\n"
	"	tr -d '\\n\\t\"' |\n"
	"	sed -n 's/.*elements = {\\([^}]*\\)}.*/\\1/p' | tr , ' '\n"
	"}\n"
	"devices() {\n"
	"	for file in $net/ipv$1/conf/*/$2; do\n"
	"		name=${file%/*}\n"
	"		name=${name##*/}\n"
	"		case $name in\n"
	"		all | $dev | *[!A-Za-z0-9_.@:-]*) continue ;;\n"
	"		esac\n"
	"		[ \"$(cat \"$file\")\" != 1 ] || echo \"$name\"\n"
	"	done\n"
	"}\n";

static const char guarding[] =
	"elements() {\n"
	"	[ $# -gt 0 ] || return 0\n"
	"	printf 'elements = {'\n"
	"	for name; do printf '\"%s\",' \"$name\"; done\n"
	"	printf '}'\n"
	"}\n"
	"guard() {\n"
	"	forwards='' accepts=''\n"
	"	if [ \"$(get \"$(switch $1)\")\" = 0 ]; then\n"
	"		forwards=$(devices $1 forwarding)\n"
	"		[ $1 = 4 ] || accepts=$(devices 6 accept_ra)\n"
	"	else\n"
	"		other=$(guards $1 | head -n 1)\n"
	"		[ -n \"$other\" ] || return 0\n"
	"		forwards=$(remembered $1 \"$other\" forwards)\n"
	"		accepts=$(remembered $1 \"$other\" accepts_ra)\n"
	"	fi\n"
	"	nft \"table inet ecssh-guard$1-$dev {\n"
	"		set forwards { type ifname; $(elements $forwards) }\n"
	"		set accepts_ra { type ifname; $(elements $accepts) }\n"
	"		chain guard {\n"
	"			type filter hook forward priority -1;\n"
	"			meta nfproto ipv$1 iifname != \\\"ecssh*\\\""
	" oifname != \\\"ecssh*\\\" drop;\n"
	"		}\n"
	"	}\" || return\n"
	"	for name in $accepts; do\n"
	"		put ipv6/conf/$name/accept_ra 2\n"
	"	done\n"
	"}\n"
	"unguard() {\n"
	"	nft list table inet ecssh-guard$1-$dev || return 0\n"
	"	if [ -z \"$(guards $1)\" ]; then\n"
	"		was=$(get $redirects)\n"
	"		put $(switch $1) 0\n"
	"		put $redirects $was\n"
	"		for name in $(remembered $1 $dev forwards); do\n"
	"			put ipv$1/conf/$name/forwarding 1\n"
	"		done\n"
	"		for name in $(remembered $1 $dev accepts_ra); do\n"
	"			key=ipv6/conf/$name/accept_ra\n"
	"			[ \"$(get $key)\" != 2 ] || put $key 1\n"
	"		done\n"
	"	fi\n"
	"	nft delete table inet ecssh-guard$1-$dev\n"
	"}\n";

static const char doing[] =
	"setup() {\n"
	"	ip link set $tun down && ip link set $tun name $dev || return\n"
	"	for version in $versions; do guard $version || return; done\n"
	"	was=$(get $redirects)\n"
	"	commands || return\n"
	"	put $redirects $was\n"
	"}\n"
	"undo() {\n"
	"	trap '' HUP INT TERM PIPE\n"
	"	trap - EXIT\n"
	"	[ -z \"$reader\" ] || kill $reader\n"
	"	lock\n"
	"	nft delete table inet ecssh-$dev\n"
	"	for version in $versions; do unguard $version; done\n"
	"	unlock\n"
	"	[ -e /sys/class/net/$dev ] || return 0\n"
	"	ip link set $dev down\n"
	"	ip link set $dev name $tun\n"
	"	ip link set $tun up\n"
	"} >/dev/null 2>&1\n"
	"main() {\n"
	"	PATH=$PATH:/usr/sbin:/sbin LC_ALL=C\n"
	"	export PATH LC_ALL\n"
	"	for tool in ip nft sysctl; do\n"
	"		command -v $tool >/dev/null ||\n"
	"		fail \"there is no $tool on the server\"\n"
	"	done\n"
	"	[ $(($(cat /sys/class/net/$tun/tun_flags) & 0x800)) = 0 ] ||\n"
	"	fail \"$tun is a device that stays, and was left as it is\"\n"
	"	trap 'exit 1' HUP INT TERM PIPE\n"
	"	trap undo EXIT\n"
	"	lock\n"
	"	said=$(setup 2>&1 >/dev/null) || fail \"$said\"\n"
	"	unlock\n"
	"	echo ready\n"
	"	exec 3<&0\n"
	"	cat <&3 >/dev/null 2>&1 &\n"
	"	reader=$!\n"
	"	wait $reader\n"
	"	exit 0\n"
	"}\n"
	"main\n";

size_t tun_setup_script(const struct tun_setup *s, char *out, size_t cap)
{
	struct text t = {.out = out, .cap = cap};
	char tun[TUN_SETUP_NAME_MAX], dev[TUN_SETUP_NAME_MAX];

	tun_setup_device(s, tun);
	tun_setup_our_device(s, dev);
	text_put(&t, "tun=%s dev=%s versions='%s%s'\n", tun, dev,
		 s->near4.version ? "4 " : "", s->near6.version ? "6" : "");
	text_put(&t, "%s%scommands() {\n\t", tools, guarding);
	put_commands(&t, s, dev, " &&\n\t");
	text_put(&t, "\n}\n%s", doing);
	return t.len;
}
