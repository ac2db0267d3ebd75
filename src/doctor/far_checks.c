/* SPDX-License-Identifier: MIT */
/* far_checks: what the facts of the gateway mean. */
#include "far_checks.h"

#include <string.h>

#include "ssh_cmd.h"

enum {
	MUX_VERSION_MIN = 704, /* the first OpenSSH with the proxy mode */
	MTU_MIN = 1280,
};

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* ---- the connection ---- */

static void check_near_ssh(struct report *r, const char *local)
{
	unsigned version = ssh_log_version(local);

	if (version >= MUX_VERSION_MIN)
		report_ok(r, "ssh", "%s", local);
	else if (version > 0)
		report_bad(r, "ssh", REPORT_DEGRADED,
			   "%s gives no channels of our own\tinstall OpenSSH "
			   "7.4 or later on this host",
			   local);
	else
		report_bad(r, "ssh", REPORT_DEGRADED,
			   "unknown: ssh does not say what it is\tuse OpenSSH "
			   "7.4 or later");
	if (version > 0 && version < MUX_VERSION_MIN)
		report_fact(r, RUNG_MUX, RUNG_NO);
}

static void check_cipher(struct report *r, const char *up, const char *down)
{
	bool is_gcm = strstr(up, "-gcm@") && strstr(down, "-gcm@");
	bool is_chacha = strstr(up, "chacha20-") && strstr(down, "chacha20-");
	bool has_aes = ssh_cmd_cpu_has_aes();
	static const char want_gcm[] = "have the server allow "
				       "aes128-gcm@openssh.com (Ciphers in "
				       "sshd_config)";

	if (up[0] == '\0' || down[0] == '\0')
		report_bad(r, "cipher", REPORT_DEGRADED,
			   "unknown\tsee \"ssh -v\", lines \"kex:\"");
	else if (is_gcm && has_aes)
		report_ok(r, "cipher", "%s, which this CPU computes itself",
			  up);
	else if (is_gcm)
		report_bad(r, "cipher", REPORT_DEGRADED,
			   "%s, without help of this CPU\tallow "
			   "chacha20-poly1305@openssh.com",
			   up);
	else if (is_chacha && !has_aes)
		report_ok(r, "cipher", "%s", up);
	else
		report_bad(r, "cipher", REPORT_DEGRADED,
			   "%s, slower here than AES-GCM\t%s", up, want_gcm);
}

void far_checks_connection(struct report *r, const struct ssh_log *log)
{
	report_fact(r, RUNG_SSH, RUNG_YES);
	check_near_ssh(r, log->local);
	report_ok(r, "login", "%s%s%s",
		  log->method[0] ? log->method : "yes, by an unknown method",
		  log->offered[0] ? "; the server takes " : "", log->offered);
	if (log->server[0])
		report_ok(r, "server", "%s", log->server);
	else
		report_bad(r, "server", REPORT_DEGRADED,
			   "unknown version\tsee \"ssh -v\"");
	check_cipher(r, log->cipher_up, log->cipher_down);
}

/* ---- commands, and the helper ---- */

static const char wanted[] = "give the account a shell, or a forced command "
			     "that runs ecssh-helper";

/* For words that stand within a sentence. */
static int len_without_stop(const char *words)
{
	size_t len = strlen(words);

	return (int)(len > 0 && words[len - 1] == '.' ? len - 1 : len);
}

static void check_commands(struct report *r, const struct far_facts *f,
			   const struct far_probes *probes)
{
	if (f->is_answered || f->is_forced) {
		report_fact(r, RUNG_EXEC, RUNG_YES);
		report_ok(r, "commands", "%s",
			  f->is_forced ? "a forced command runs ecssh-helper"
				       : "yes");
		return;
	}
	if (probes->exec == FAR_PROBE_UNKNOWN) {
		report_bad(r, "commands", REPORT_DEGRADED,
			   "unknown: no answer\ttry \"ssh HOST true\"");
		return;
	}
	report_fact(r, RUNG_EXEC, RUNG_NO);
	if (probes->exec == FAR_PROBE_PROHIBITED)
		report_bad(r, "commands", REPORT_MISSING,
			   "the server refuses to run a command%s%s\tset "
			   "MaxSessions to 1 or more in sshd_config",
			   probes->exec_text[0] ? ": " : "", probes->exec_text);
	else
		report_bad(r, "commands", REPORT_MISSING,
			   "no shell answers%s%.*s\t%s",
			   f->noise[0] ? ": " : "", len_without_stop(f->noise),
			   f->noise, wanted);
}

static const char *no_place(const char *code)
{
	if (is(code, "noexec"))
		return "nothing may be executed where files can be stored "
		       "(noexec)";
	if (is(code, "nospace"))
		return "no room for the helper";
	if (strncmp(code, "notool", 6) == 0)
		return "a standard program is missing";
	return "no directory can be made";
}

static bool fits(const struct far_facts *f, const struct helper_file *helper)
{
	return helper && helper_file_fits(helper, f->os, f->machine);
}

bool far_checks_has_helper(const struct far_facts *f,
			   const struct helper_file *helper)
{
	return f->is_forced || f->origin[0] != '\0' ||
	       (fits(f, helper) && f->place[0] != '\0');
}

static void check_helper(struct report *r, const struct far_facts *f,
			 const struct helper_file *helper)
{
	if (fits(f, helper) || f->origin[0])
		report_ok(r, "machine", "%s %s", f->os, f->machine);
	else
		report_bad(r, "machine", REPORT_MISSING,
			   "%s %s, and the helper here is for Linux "
			   "%s\tinstall ecssh-helper on the server",
			   f->os, f->machine, helper ? helper->machine : "?");
	if (f->origin[0])
		report_ok(r, "helper", "%s: %s", f->origin, f->helper);
	else if (f->place[0])
		report_ok(r, "helper", "can be stored in %s", f->place);
	else
		report_bad(r, "helper", REPORT_MISSING,
			   "cannot be stored: %s\tgive the account a directory "
			   "that is its own and executable, or install "
			   "ecssh-helper on the server",
			   no_place(f->no_place));
	report_fact(r, RUNG_HELPER_FITS,
		    far_checks_has_helper(f, helper) ? RUNG_YES : RUNG_NO);
}

/* ---- its sockets ---- */

static void check_family(struct report *r, const char *name, bool has_address,
			 const char *device)
{
	if (has_address && device[0])
		report_ok(r, name, "default route by %s", device);
	else if (has_address)
		report_ok(r, name, "connected networks only");
	else
		report_bad(r, name, REPORT_DEGRADED,
			   "the server has no address of it\task for no "
			   "subnets of it");
}

static void check_resolvers(struct report *r, const struct far_facts *f)
{
	if (f->n_resolvers > 0)
		report_ok(r, "resolvers", "%s%s%s", f->resolvers[0],
			  f->n_resolvers > 1 ? " " : "",
			  f->n_resolvers > 1 ? f->resolvers[1] : "");
	else
		report_bad(r, "resolvers", REPORT_DEGRADED,
			   "none in /etc/resolv.conf there\tname servers have "
			   "to be given by address");
}

static void check_mtu(struct report *r, const struct far_facts *f)
{
	uint32_t mtu = f->mtu4 ? f->mtu4 : f->mtu6;

	if (mtu >= MTU_MIN)
		report_ok(r, "mtu",
			  "%u bytes on the default route of the "
			  "server",
			  mtu);
	else if (mtu > 0)
		report_bad(r, "mtu", REPORT_DEGRADED,
			   "%u bytes on the default route of the "
			   "server\traise it to %d or more there",
			   mtu, MTU_MIN);
	else
		report_ok(r, "mtu", "no default route there");
}

static void check_sockets(struct report *r, const struct far_facts *f)
{
	if ((f->has_uid && f->uid == 0) || far_facts_may_ping(f))
		report_ok(r, "ping", "yes");
	else if (f->has_ping)
		report_bad(r, "ping", REPORT_DEGRADED,
			   "ping sockets are for groups %u to %u only\tsysctl "
			   "net.ipv4.ping_group_range=\"0 2147483647\" there",
			   f->ping_lo, f->ping_hi);
	else
		report_bad(r, "ping", REPORT_DEGRADED,
			   "unknown: the server does not tell\tsee sysctl "
			   "net.ipv4.ping_group_range there");
	check_family(r, "ipv4", f->has_ipv4, f->device4);
	check_family(r, "ipv6", f->has_ipv6, f->device6);
	check_resolvers(r, f);
	check_mtu(r, f);
}

/* ---- privilege there ---- */

static const char let_sudo[] = "log in as root, allow \"sudo -n\" to the "
			       "account, or make a TUN device that it owns";

static void check_privilege(struct report *r, const struct far_facts *f)
{
	const char *user = f->user[0] ? f->user : "the account";
	static const char name[] = "far-privilege";

	report_fact(r, RUNG_FAR_PRIVILEGE, RUNG_YES);
	if (f->has_uid && f->uid == 0) {
		report_ok(r, name, "root");
		return;
	}
	if (is(f->sudo, "yes")) {
		report_ok(r, name, "sudo, without a password");
		return;
	}
	if (f->has_capability) {
		report_ok(r, name, "a capability of %s", f->helper);
		return;
	}
	for (size_t i = 0; i < f->n_owned; i++) {
		if (f->is_up[i]) {
			report_ok(r, name, "the device %s belongs to %s",
				  f->owned[i], user);
			return;
		}
	}
	report_fact(r, RUNG_FAR_PRIVILEGE, RUNG_NO);
	if (f->n_owned > 0) {
		r->facts.why[RUNG_FAR_PRIVILEGE] =
			"the TUN device of the account is down there";
		report_bad(r, name, REPORT_DEGRADED,
			   "the device %s belongs to %s and is down\tas root "
			   "there: ip link set %s up",
			   f->owned[0], user, f->owned[0]);
		return;
	}
	if (is(f->sudo, "untried"))
		report_bad(r, name, REPORT_DEGRADED,
			   "%s is not root; sudo was not tried, for the groups "
			   "(%s) do not suggest it\t--sudo tries it; or %s",
			   user, f->groups, let_sudo);
	else
		report_bad(r, name, REPORT_DEGRADED,
			   "%s is not root, and sudo %s\t%s", user,
			   is(f->sudo, "none") ? "is not there"
					       : "wants a password",
			   let_sudo);
}

static void check_far_tun(struct report *r, const struct far_facts *f,
			  bool is_root)
{
	bool is_privileged = r->facts.state[RUNG_FAR_PRIVILEGE] == RUNG_YES;

	report_fact(r, RUNG_FAR_TUN, RUNG_NO);
	if (is(f->tun, "no")) {
		report_bad(r, "far-tun", REPORT_DEGRADED,
			   "no /dev/net/tun on the server\tload the module "
			   "tun there, or give the container the device");
		return;
	}
	if (is(f->tun, "denied") && is_privileged && !is_root) {
		r->facts.why[RUNG_FAR_TUN] =
			"the account may not open /dev/net/tun on the server";
		report_bad(r, "far-tun", REPORT_DEGRADED,
			   "the account may not open /dev/net/tun\tas root "
			   "there: chmod 666 /dev/net/tun");
		return;
	}
	report_fact(r, RUNG_FAR_TUN, RUNG_YES);
	report_ok(r, "far-tun", "/dev/net/tun");
}

static void check_packets(struct report *r, const struct far_facts *f)
{
	bool is_root = (f->has_uid && f->uid == 0) || is(f->sudo, "yes");
	/* A device of the account's own is addressed and translated by whoever
	 * made it. */
	bool needs_nft = is_root || f->n_owned == 0;

	check_privilege(r, f);
	check_far_tun(r, f, is_root);
	if (f->nft[0] == '/' || !needs_nft) {
		report_fact(r, RUNG_FAR_NAT, RUNG_YES);
		report_ok(r, "nft", "%s",
			  f->nft[0] == '/' ? f->nft : "not needed");
	} else {
		report_fact(r, RUNG_FAR_NAT, RUNG_NO);
		report_bad(r, "nft", REPORT_DEGRADED,
			   "not on the server\tinstall nftables there for NAT");
	}
}

void far_checks_account(struct report *r, const struct far_facts *f,
			const struct far_probes *probes,
			const struct helper_file *helper)
{
	check_commands(r, f, probes);
	if (f->is_forced) {
		report_fact(r, RUNG_HELPER_FITS, RUNG_YES);
		/* Nothing can be asked of such an account. */
		report_fact(r, RUNG_FAR_PRIVILEGE, RUNG_NO);
		r->facts.why[RUNG_FAR_PRIVILEGE] =
			"the forced command does not tell whether a TUN "
			"device can be made there";
		return;
	}
	if (!f->is_answered)
		return;
	report_ok(r, "account", "%s (uid %u), groups %s",
		  f->user[0] ? f->user : "?", f->uid, f->groups);
	check_helper(r, f, helper);
	check_sockets(r, f);
	check_packets(r, f);
}

/* ---- channels ---- */

static void check_forwarding(struct report *r, enum far_probe probe)
{
	if (probe == FAR_PROBE_OPENED) {
		report_fact(r, RUNG_FORWARDING, RUNG_YES);
		report_ok(r, "forwarding", "TCP");
		return;
	}
	if (probe == FAR_PROBE_PROHIBITED) {
		report_fact(r, RUNG_FORWARDING, RUNG_NO);
		report_bad(r, "forwarding", REPORT_DEGRADED,
			   "the server prohibits it, or allows some places "
			   "only\tset AllowTcpForwarding and PermitOpen in "
			   "sshd_config, and look for \"restrict\" in "
			   "authorized_keys");
		return;
	}
	report_bad(r, "forwarding", REPORT_DEGRADED,
		   "unknown\ttry \"ssh -W 127.0.0.1:22 HOST\"");
}

static void check_streamlocal(struct report *r, const struct far_probes *probes)
{
	static const char name[] = "unix-forwarding";

	if (probes->streamlocal == FAR_PROBE_OPENED)
		report_ok(r, name, "yes");
	else if (probes->streamlocal == FAR_PROBE_NOT_TRIED ||
		 probes->streamlocal == FAR_PROBE_UNKNOWN)
		report_bad(r, name, REPORT_DEGRADED,
			   "unknown: no socket is known to try\tsee "
			   "AllowStreamLocalForwarding in sshd_config");
	else
		report_bad(r, name, REPORT_DEGRADED,
			   "the server prohibits it\tset "
			   "AllowStreamLocalForwarding in sshd_config");
}

static void check_tunnel(struct report *r, const struct far_facts *f,
			 enum far_probe probe)
{
	static const char name[] = "permit-tunnel";

	switch (probe) {
	case FAR_PROBE_OPENED:
		report_fact(r, RUNG_TUNNEL, RUNG_YES);
		report_ok(r, name, "yes");
		return;
	case FAR_PROBE_NOT_TRIED:
		/* It stays unknown: up does not get there either. */
		report_ok(r, name, "not tried: the helper does better");
		return;
	case FAR_PROBE_UNKNOWN:
		report_bad(r, name, REPORT_DEGRADED,
			   "unknown: no answer\tsee PermitTunnel in "
			   "sshd_config");
		return;
	case FAR_PROBE_PROHIBITED:
		report_fact(r, RUNG_TUNNEL, RUNG_NO);
		report_bad(r, name, REPORT_DEGRADED,
			   "the server prohibits it\tset \"PermitTunnel "
			   "point-to-point\" in sshd_config");
		return;
	case FAR_PROBE_FAILED:
		report_fact(r, RUNG_TUNNEL, RUNG_NO);
		report_bad(r, name, REPORT_DEGRADED,
			   "permitted, but there is no device for the "
			   "account\tas root there: ip tuntap add tun0 "
			   "mode tun user %s; chmod 666 /dev/net/tun",
			   f->user[0] ? f->user : "ACCOUNT");
		return;
	}
}

/* sshd is asked for a number. */
static bool is_tun_with_number(const char *name)
{
	static const char digits[] = "0123456789";

	return strncmp(name, "tun", 3) == 0 && name[3] != '\0' &&
	       name[3 + strspn(name + 3, digits)] == '\0';
}

enum far_probe far_checks_tunnel(enum far_probe tried,
				 const struct far_facts *f,
				 const struct ssh_log *log)
{
	if (tried != FAR_PROBE_FAILED)
		return tried;
	if (log->rejected_tun)
		return FAR_PROBE_PROHIBITED;
	for (size_t i = 0; i < f->n_owned; i++)
		if (is(f->tun, "yes") && is_tun_with_number(f->owned[i]))
			return FAR_PROBE_OPENED;
	return FAR_PROBE_FAILED;
}

void far_checks_channels(struct report *r, const struct far_facts *f,
			 const struct far_probes *probes)
{
	check_forwarding(r, probes->forwarding);
	check_streamlocal(r, probes);
	check_tunnel(r, f, probes->tunnel);
}
