# SPDX-License-Identifier: MIT
"""What --dry-run prints is what the tunnel makes.

    near ──ssh── gw ── far (10.77.0.2, fd77::2) ── deep (10.78.0.2, fd78::2)
"""

import json
import os
import re
from typing import Optional

from common import RUNTIME, SSH, USAGE, Ecssh, Tunnel, expect, expect_in
from lab import PATH, SUBNETS, Lab, diff
from test_hostdns import CONF, NAMED
from test_resolved import Resolved, install

OPTIONS = ("--dns", "off", "-x", "10.77.0.64/26", "--address", "198.18.9.9", "--address", "fd99::9")
DEVICE = "ecssh0"


def state(lab: Lab) -> dict:
    """What a tunnel makes of near's network, without what differs from one to the next."""
    def ask(*argv: str):
        return json.loads(lab.near.run(["ip", "-j", *argv]).stdout or "[]")
    link = ask("link", "show", DEVICE)[0]
    found = {"link": {key: link[key] for key in ("mtu", "txqlen", "linkmode", "link_type")},
             "multicast": "MULTICAST" in link["flags"], "up": "UP" in link["flags"],
             "addresses": [(a["local"], a["prefixlen"]) for a in ask("addr", "show", DEVICE)[0]["addr_info"]]}
    for family in ("-4", "-6"):
        found["routes" + family] = sorted(
            tuple(str(route.get(key)) for key in ("dst", "dev", "protocol", "scope", "metric"))
            for route in ask(family, "route", "show", "table", "60501"))
        rules = lab.near.run(["ip", family, "rule"]).stdout.splitlines()
        found["rules" + family] = sorted(re.sub(r"sport \d+", "sport N", line.split(":", 1)[1].strip())
                                         for line in rules if 5000 <= int(line.split(":")[0]) < 5200)
    found["nft"] = sorted(line for line in lab.near.run(["nft", "list", "tables"]).stdout.splitlines())
    found["rules"] = re.sub(r"sport \d+-\d+", "sport N", lab.near.run(["nft", "list", "ruleset"]).stdout)
    conf = lab.near.path(CONF)
    found["resolv.conf"] = (conf.read_text(), conf.stat().st_mode, conf.is_symlink())
    found["settings"] = lab.near.run(["sysctl", f"net.ipv6.conf.{DEVICE}.accept_ra", f"net.ipv6.conf.{DEVICE}.addr_gen_mode",
                                      f"net.ipv4.conf.{DEVICE}.rp_filter"]).stdout
    return found


def expect_same(lab: Lab, *options: str, subnets: tuple = SUBNETS, user: str = "root", env: Optional[dict] = None) -> str:
    """What is printed, run by root, makes what the tunnel makes, and the inverses take it back. Returns what is printed."""
    before = lab.near.snapshot()
    dry = lab.near.run(["ecssh", "up", "--dry-run", *options, "gw", *subnets], user)
    expect_in("nothing is changed", dry.stderr)
    there, _, back = dry.stdout.partition("# at the end:\n")
    expect(diff(before, {**lab.near.snapshot(), "files": before["files"]}), [], "changed by a dry run")
    before = lab.near.snapshot()
    tunnel = Tunnel(lab, *options, subnets=subnets)
    made = state(lab)
    tunnel.down()
    tunnel.expect_restored()
    lab.near.run(["sh", "-ex"], stdin=there, env=env)
    expect(state(lab), made, "made by the lines printed")
    lab.near.run(["sh", "-ex"], stdin=back, env=env)
    expect(diff(before, lab.near.snapshot()), [], "left by the inverses printed")
    expect([path.name for path in lab.near.path("/etc").glob(".resolv*")], [], "left in /etc")
    return dry.stdout


def test_printed_lines_make_the_same(lab: Lab):
    """Printed for an ordinary user."""
    out = expect_same(lab, *OPTIONS, subnets=(*SUBNETS, "10.9.0.0/24"), user="bob")
    there, _, back = out.partition("# at the end:\n")
    assert "ip route add" in there and "ip link del" in back, out


def test_names_by_a_file(lab: Lab):
    """Whatever resolv.conf is: a file, a symbolic link, something that is mounted there, nothing."""
    path = lab.near.path(CONF)
    lab.near.write("/run/elsewhere", "nameserver 192.0.2.1\n")
    expect_in(f"mv {CONF} /etc/.resolv.conf.{DEVICE}", expect_same(lab, *NAMED, "--dns", "all", "--domain", "lab.test"))
    path.unlink()
    path.symlink_to("../run/elsewhere")
    expect_same(lab, *NAMED, "--dns", "all")
    expect(os.readlink(path), "../run/elsewhere", "the link")
    path.unlink()
    lab.near.write(CONF, "")
    lab.near.run(["mount", "--bind", "/run/elsewhere", CONF])
    expect_in(f"cat /run/resolv.conf.{DEVICE} >{CONF}", expect_same(lab, *NAMED, "--dns", "all"))
    lab.near.run(["umount", CONF])
    path.unlink()
    out = lab.near.run(["ecssh", "up", "--dry-run", *NAMED, "--dns", "all", "gw", *SUBNETS]).stdout
    there, _, back = out.partition("# at the end:\n")
    lab.near.run(["sh", "-ex"], stdin=there)
    expect_in("nameserver 198.1", path.read_text())
    lab.near.run(["sh", "-ex"], stdin=back)
    assert not path.exists()


def test_names_that_cannot_be_split(lab: Lab):
    """As the tunnel does: all of them then, if it is not asked for more."""
    out = lab.near.run(["ecssh", "up", "--dry-run", *NAMED, "--domain", "lab.test", "gw", *SUBNETS])
    expect_in("all names are asked for in the tunnel", out.stderr)
    expect_in(f"cat >{CONF}", out.stdout)
    up = Ecssh(lab.near, "up", "--dry-run", *NAMED, "--dns", "split", "--domain", "lab.test", "gw", *SUBNETS)
    up.fails(RUNTIME, "needs systemd-resolved")


def test_names_by_openresolv(lab: Lab):
    install(lab.near, "openresolv")
    lab.near.run(["resolvconf", "-a", "up0.dhcp"], stdin="nameserver 10.9.0.1\n")
    expect_in(f"resolvconf -a {DEVICE}.ecssh -m 0 -x", expect_same(lab, *NAMED, "--dns", "all", "--domain", "lab.test"))


def test_names_by_resolved(lab: Lab):
    """Each setting of the link, compared at resolved."""
    resolved = Resolved(lab.near)
    expect_in("+LLMNR", resolved.status("up0"))     # the control: it would be on

    def configured() -> list:
        """But for the link's number, and for what it takes a program behind the device for."""
        return [line for line in resolved.status(DEVICE).splitlines()[1:] if not line.startswith("Current Scopes")]
    for options in (("--dns", "all"), ("--domain", "lab.test")):
        tunnel = Tunnel(lab, *NAMED, *options)
        made = configured()
        expect_in("-LLMNR -mDNS -DNSOverTLS", "\n".join(made))
        tunnel.down()
        out = lab.near.run(["ecssh", "up", "--dry-run", *NAMED, *options, "gw", *SUBNETS]).stdout
        there, _, back = out.partition("# at the end:\n")
        env = {**resolved.env, "PATH": f"{resolved.root}/usr/bin:{PATH}"}
        lab.near.run(["sh", "-ex"], stdin=there, env=env)
        expect(configured(), made, "the link")
        expect_in("resolvectl flush-caches", there)
        lab.near.run(["sh", "-ex"], stdin=back, env=env)
        assert DEVICE not in resolved.ctl("status").stdout


def test_rules_of_a_strict_filter(lab: Lab):
    lab.near.sysctl(ipv4__conf__all__rp_filter=1)
    out = lab.near.run(["ecssh", "up", "--dry-run", "gw", *SUBNETS]).stdout
    expect_in(f"net.ipv4.conf.{DEVICE}.rp_filter=2", out)


def test_kill_switch_is_printed_with_its_inverse(lab: Lab):
    """Rule for rule, but for the ports that each run chooses anew."""
    for names in (("--dns", "off"), (*NAMED, "--dns", "all")):
        out = expect_same(lab, "--kill-switch", *names)
        there, _, back = out.partition("# at the end:\n")
        expect_in("add table inet ecssh-kill-gw", there)
        assert there.index("ecssh-kill-gw") < there.index("ip tuntap add"), "not in force before the tunnel"
        expect_in("delete table inet ecssh-kill-gw", back)


def test_without_a_login_nothing_is_printed(lab: Lab):
    result = lab.near.run(["ecssh", "up", "--dry-run", "-o", "BatchMode=yes", "-l", "nobody-here", "gw", *SUBNETS], check=False)
    expect((result.returncode, result.stdout), (SSH, ""))
    Ecssh(lab.near, "up", "--dry-run", "--mode", "socks", "gw").fails(USAGE, "leave out --dry-run")
