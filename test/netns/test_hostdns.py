# SPDX-License-Identifier: MIT
"""This host's resolver, pointed at the tunnel's own and put back.

    near: resolv.conf, resolvconf or systemd-resolved; the stub ── gw ── far: a name server, 10.77.0.2
"""

import os
import signal

from common import OK, RUNTIME, USAGE, Ecssh, Tunnel, expect, expect_in, timeout
from lab import SUBNETS, Lab, diff, wait_for

SERVER = "10.77.0.2"
CONF = "/etc/resolv.conf"
STATE = "/var/lib/ecssh"
NAMED = ("--dns-server", SERVER)


def resolves(lab: Lab, name: str = "far.lab.test") -> bool:
    """By the C library, as any program does it."""
    return lab.near.run(["getent", "ahostsv4", name], check=False, timeout=60).stdout.startswith(SERVER)


def conf(lab: Lab) -> str:
    return lab.near.path(CONF).read_text()


def records(lab: Lab) -> list:
    folder = lab.near.path(STATE)
    return sorted(path.name for path in folder.glob("dns-*")) if folder.exists() else []


def dns_processes(lab: Lab) -> list:
    return lab.near.processes("^ecssh-dns")


EARLY = "/gw.sock"      # left by an engine that was killed before its starter was there, which would remove it


def expect_clean(lab: Lab, tunnel: Tunnel, **options) -> None:
    """Restored, and nothing of ours lies about in /etc or on disk."""
    tunnel.expect_restored(**options)
    expect(records(lab), [], "records")
    expect(sorted(p.name for p in lab.near.path("/etc").glob(".resolv*")), [], "files in /etc")


def test_a_file_is_pointed_at_the_tunnel_and_restored(lab: Lab):
    lab.near.write(CONF, "nameserver 192.0.2.1\noptions timeout:1\n", mode=0o640)
    before = lab.near.path(CONF).stat()
    tunnel = Tunnel(lab, *NAMED, "--dns", "all", "--domain", "lab.test")
    servers = tunnel.status()["resolver"]["addresses"]
    expect_in(f"nameserver {servers[0]}", conf(lab))
    expect_in("search lab.test", conf(lab))
    assert resolves(lab)
    assert resolves(lab, "far"), "search"
    expect(tunnel.status()["dns"], {"mode": "all", "way": "resolv.conf", "servers": servers,
                                    "domains": ["lab.test"], "why_not": ""}, "status")
    expect_in(f"names       all from {servers[0]}", lab.near.run(["ecssh", "status"]).stdout)
    tunnel.down()
    expect_clean(lab, tunnel)
    after = lab.near.path(CONF).stat()
    expect((after.st_ino, after.st_mode, after.st_uid), (before.st_ino, before.st_mode, before.st_uid), "the file")


def test_a_symbolic_link_is_restored(lab: Lab):
    link = lab.near.path(CONF)
    link.unlink()
    lab.near.write("/run/manager/resolv.conf", "nameserver 192.0.2.1\n")
    link.symlink_to("../run/manager/resolv.conf")
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    assert resolves(lab)
    assert not link.is_symlink()
    tunnel.down()
    expect_clean(lab, tunnel)
    expect(os.readlink(link), "../run/manager/resolv.conf", "link")


def test_a_file_that_something_is_mounted_on_is_written_into(lab: Lab):
    """As in a container."""
    lab.near.write("/run/outside", "nameserver 192.0.2.1\n")
    lab.near.run(["mount", "--bind", "/run/outside", CONF])
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    assert resolves(lab)
    tunnel.down()
    expect_clean(lab, tunnel)
    expect(lab.near.path("/run/outside").read_text(), "nameserver 192.0.2.1\n", "the file")


def test_changed_meanwhile_is_left_alone(lab: Lab):
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    lab.near.path(CONF).unlink()
    lab.near.write(CONF, "nameserver 198.51.100.7\n")
    tunnel.down()
    expect_in("changed by somebody else", tunnel.stderr())
    expect_clean(lab, tunnel, except_for="resolv.conf")
    expect(conf(lab), "nameserver 198.51.100.7\n", CONF)


def test_off_changes_nothing(lab: Lab):
    before = conf(lab)
    tunnel = Tunnel(lab, *NAMED, "--dns", "off")
    expect(conf(lab), before, CONF)
    expect(records(lab), [], "records")
    expect(tunnel.status()["dns"]["mode"], "off", "mode")
    tunnel.down()
    expect_clean(lab, tunnel)


def test_auto_takes_what_can_be_had(lab: Lab):
    """Nothing without a reason; all where names cannot be split, and that is said."""
    before = conf(lab)
    tunnel = Tunnel(lab, *NAMED)
    expect(conf(lab), before, CONF)
    tunnel.down()
    tunnel = Tunnel(lab, *NAMED, "--domain", "lab.test")
    expect_in("all names are asked for in the tunnel", tunnel.stderr())
    expect(tunnel.status()["dns"]["mode"], "all", "mode")
    tunnel.down()
    expect_clean(lab, tunnel)


def test_what_cannot_be_had_is_said(lab: Lab):
    before = lab.near.snapshot()
    up = Ecssh(lab.near, "up", *NAMED, "--dns", "split", "--domain", "lab.test", "gw", *SUBNETS)
    up.fails(RUNTIME, "--dns split needs systemd-resolved")
    up = Ecssh(lab.near, "up", "--dns", "all", "gw", *SUBNETS)
    up.fails(RUNTIME, "no name server is known")
    wait_for(lambda: not diff(before, lab.near.snapshot()), what="restored")
    expect(records(lab), [], "records")


def test_an_ssh_on_a_port_of_the_dns_is_not_cut_off(lab: Lab):
    lab.sshd(port=53)
    up = Ecssh(lab.near, "up", *NAMED, "--dns", "all", "gw:53", *SUBNETS)
    up.fails(RUNTIME, "ssh itself uses port 53")


def test_a_dry_run_prints_the_rules(lab: Lab):
    out = lab.near.run(["ecssh", "up", "--dry-run", *NAMED, "--dns", "all", "gw", *SUBNETS]).stdout
    there, _, back = out.partition("# at the end:\n")
    expect_in("table inet ecssh-dns-ecssh0 {", there)
    expect_in("delete table inet ecssh-dns-ecssh0", back)


def test_contradictions_are_refused(lab: Lab):
    for options, words in ((("--dns", "split"), "--domain"), (("--dns", "off", "--domain", "a"), "contradict"),
                           (("--dns", "maybe"), "maybe"), (("--mode", "socks", "--dns", "all"), "--dns"),
                           (("--domain", "b\u00fccher.example"), "punycode"),
                           (tuple(word for i in range(17) for word in ("--domain", f"d{i}")), "more than 16")):
        Ecssh(lab.near, "up", *options, "gw", *SUBNETS).fails(USAGE, words)


# What must be no domain: options, shells, resolv.conf, terminals, D-Bus and format strings.
HOSTILE = (
    "", " ", ".", "..", "-", "--", "-h", "--help", "-oProxyCommand=touch /tmp/pwned", "~.", "~", "*", "*.corp.example",
    "a b", "a\tb", "a\nb", "a\rb", "a\x0bb", "a\x0cb", "a\x7fb", "corp.example\nnameserver 6.6.6.6",
    "corp.example\noptions debug", "#", "a;touch /tmp/pwned", "a&touch /tmp/pwned", "a|touch /tmp/pwned",
    "$(touch /tmp/pwned)", "${IFS}touch", "`touch /tmp/pwned`", "'", '"', "\\", "a\\nb", "a'b", 'a"b', "<a>", "(a)",
    "{a,b}", "[a]", "a!b", "a?b", "a%sb", "%n%n%n", "%s", "a@b", "a:b", "a/b", "/etc/passwd", "../../etc/passwd", "a=b",
    "a,b", "a+b", "a_b", "a^b", "\x1b[31mred", "\x1b]0;title\x07", "\x1b[2J", "a\x9bb", "\u202eevil", "\u2066a", "b\u00fccher",
    "a..b", ".a", "-a", "a-", "a.-b", "1", "10.0.0.1", "a.1", "::1", "fe80::1%eth0", "a" * 64, "a." * 127 + "aa",
    "a" * 100000, "xn--\u00fc",
)


def test_hostile_domains(lab: Lab):
    """Refused, shown escaped, executed by nobody."""
    assert len(HOSTILE) >= 60
    for text in HOSTILE:
        result = lab.near.run(["ecssh", "up", "--dns", "all", f"--domain={text}", "gw", *SUBNETS], check=False)
        expect(result.returncode, USAGE, f"exit status for {text[:80]!r}")
        shown = result.stderr.rstrip("\n")
        assert shown.isprintable() and "\n" not in shown, f"{text[:80]!r} is shown as {shown!r}"
    assert not lab.near.path("/tmp/pwned").exists()
    expect(records(lab), [], "records")


def test_two_tunnels_do_not_take_turns_with_one_file(lab: Lab):
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    second = Ecssh(lab.near, "up", "--name", "second", "--dns", "all", "--dns-server", "10.79.0.1", "gw", "10.79.0.0/24")
    second.fails(RUNTIME, "another tunnel (ecssh0)")
    assert resolves(lab)
    tunnel.down("gw")
    expect_clean(lab, tunnel)


def test_the_process_has_no_capability(lab: Lab):
    Tunnel(lab, *NAMED, "--dns", "all")
    expect([p.user for p in dns_processes(lab)], [0, 0], "users of ecssh-dns and its guardian")
    for process in dns_processes(lab):
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
        for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            expect(int(status[field], 16), 0, f"{process.comm}: {field}")
        expect(status["NoNewPrivs"], "1", "NoNewPrivs")
        with open(f"/proc/{process.pid}/environ", "rb") as file:
            expect(file.read(), b"", "environment")


def test_kill_9_of_engine_restores(lab: Lab):
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    os.kill(tunnel.engine().pid, signal.SIGKILL)
    expect_clean(lab, tunnel)


def test_kill_9_of_broker_restores(lab: Lab):
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    os.kill(lab.near.processes("^ecssh-broker$")[0].pid, signal.SIGKILL)
    expect(tunnel.wait(5), RUNTIME, "exit status")
    expect_clean(lab, tunnel)


def test_kill_9_of_ecssh_dns_restores_and_ends_the_tunnel(lab: Lab):
    """Or names would be asked for outside it."""
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    os.kill(lab.near.processes("^ecssh-dns$")[0].pid, signal.SIGKILL)
    expect(tunnel.wait(5), RUNTIME, "exit status")
    expect_clean(lab, tunnel)


def test_kill_9_of_the_guardian_has_it_replaced(lab: Lab):
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    first = lab.near.processes("^ecssh-dns-keep$")[0].pid
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: [p for p in lab.near.processes("^ecssh-dns-keep$") if p.pid != first], what="a new guardian")
    assert resolves(lab)
    os.kill(lab.near.processes("^ecssh-dns$")[0].pid, signal.SIGKILL)
    tunnel.wait(5)
    expect_clean(lab, tunnel)


def kill_all(lab: Lab, tunnel: Tunnel) -> None:
    """At once, like a power cut: none sees another die."""
    engine, others = tunnel.engine().pid, [p.pid for p in lab.near.processes("^(ecssh-|ssh$)")]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    for pid in (engine, *others):
        os.kill(pid, signal.SIGKILL)
    tunnel.wait(5)


def test_all_killed_is_restored_by_the_next_tunnel(lab: Lab):
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    kill_all(lab, tunnel)
    expect_in("nameserver 198.1", conf(lab))        # or this would show nothing
    expect(len(records(lab)), 1, "records")
    expect_in("ecssh-dns-ecssh0", lab.near.run(["nft", "list", "tables"]).stdout)
    second = Tunnel(lab, "--dns", "off")
    assert "ecssh-dns-ecssh0" not in lab.near.run(["nft", "list", "tables"]).stdout
    wait_for(lambda: conf(lab) == tunnel.before["resolv.conf"], what=f"{CONF} restored")
    expect_in("is restored", second.stderr())
    second.down()
    expect_clean(lab, tunnel)


def test_all_killed_is_restored_by_cleanup(lab: Lab):
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    kill_all(lab, tunnel)
    assert "nameserver" in conf(lab), "control"
    said = lab.near.run(["ecssh", "cleanup"]).stderr
    expect_in("resolv.conf, which the tunnel ecssh0 had changed", said)
    expect_in("rules for names of ecssh0", said)
    expect_in("/run/ecssh/gw.sock", said)
    expect_clean(lab, tunnel)
    expect_in("nothing", lab.near.run(["ecssh", "cleanup"]).stderr)


@timeout(120)
def test_kill_9_of_each_process_at_random_moments(lab: Lab):
    """While it is being set, too."""
    victims = ("^ecssh$", "^ecssh-broker$", "^ecssh-dns$", "^ecssh-dns-keep$")
    before = lab.near.snapshot()
    for round_number in range(12):
        up = Ecssh(lab.near, "up", *NAMED, "--dns", "all", "gw", *SUBNETS)
        victim = victims[round_number % 4]
        wait_for(lambda: lab.near.processes(victim), what=f"{victim} runs")
        try:
            wait_for(lambda: "nameserver" in conf(lab), 0.1 * round_number)     # the moment is the point
        except TimeoutError:
            pass
        lab.near.kill(victim)
        if victim == "^ecssh-dns-keep$" or "connected" in up.stderr():
            lab.near.run(["ecssh", "down"], check=False)
        up.interrupt()
        up.wait(20)

        def changed() -> list:
            return [line for line in diff(before, lab.near.snapshot()) if EARLY not in line]
        try:
            wait_for(lambda: not changed(), 5)
        except TimeoutError:
            raise AssertionError(f"round {round_number}, {victim}: " + "\n".join(changed())) from None
        expect(records(lab), [], f"records after {victim}")
        if EARLY in str(diff(before, lab.near.snapshot())):
            expect_in(EARLY, lab.near.run(["ecssh", "cleanup"]).stderr)
