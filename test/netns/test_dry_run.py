# SPDX-License-Identifier: MIT
"""What --dry-run prints is what the tunnel makes.

    near ──ssh── gw ── far (10.77.0.2, fd77::2) ── deep (10.78.0.2, fd78::2)
"""

import json
import re

from common import SSH, USAGE, Ecssh, Tunnel, expect, expect_in
from lab import SUBNETS, Lab, diff

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
    found["guard"] = lab.near.run(["nft", "list", "ruleset"]).stdout
    found["settings"] = lab.near.run(["sysctl", f"net.ipv6.conf.{DEVICE}.accept_ra", f"net.ipv6.conf.{DEVICE}.addr_gen_mode",
                                      f"net.ipv4.conf.{DEVICE}.rp_filter"]).stdout
    return found


def test_printed_lines_make_the_same(lab: Lab):
    """Printed for an ordinary user; run by root they make what the tunnel makes, and their inverses take it back."""
    before = lab.near.snapshot()
    dry = lab.near.run(["ecssh", "up", "--dry-run", *OPTIONS, "gw", *SUBNETS, "10.9.0.0/24"], "bob")
    expect_in("nothing is changed", dry.stderr)
    there, _, back = dry.stdout.partition("# at the end:\n")
    assert "ip route add" in there and "ip link del" in back, dry.stdout
    expect(diff(before, {**lab.near.snapshot(), "files": before["files"]}), [], "changed by a dry run")
    tunnel = Tunnel(lab, *OPTIONS, subnets=(*SUBNETS, "10.9.0.0/24"))
    made = state(lab)
    tunnel.down()
    tunnel.expect_restored()
    before = lab.near.snapshot()
    lab.near.run(["sh", "-ex"], stdin=there)
    expect(state(lab), made, "made by the lines printed")
    lab.near.run(["sh", "-ex"], stdin=back)
    expect(diff(before, lab.near.snapshot()), [], "left by the inverses printed")


def test_rules_of_a_strict_filter_and_names(lab: Lab):
    lab.near.sysctl(ipv4__conf__all__rp_filter=1)
    out = lab.near.run(["ecssh", "up", "--dry-run", "--dns", "all", "--dns-server", "10.77.0.2", "gw", *SUBNETS]).stdout
    expect_in(f"net.ipv4.conf.{DEVICE}.rp_filter=2", out)
    for line in ("resolvectl dns ecssh0 ", "resolvectl default-route ecssh0 yes", "resolvectl revert ecssh0"):
        expect_in(line, out)


def test_kill_switch_is_printed_with_its_inverse(lab: Lab):
    before = lab.near.snapshot()
    out = lab.near.run(["ecssh", "up", "--dry-run", "--kill-switch", "--dns", "off", "gw", *SUBNETS]).stdout
    there, _, back = out.partition("# at the end:\n")
    expect_in("add table inet ecssh-kill-gw", there)
    assert there.index("ecssh-kill-gw") < there.index("ip tuntap add"), "not in force before the tunnel"
    expect_in("delete table inet ecssh-kill-gw", back)
    expect(lab.near.snapshot()["nft"], before["nft"], "rules")


def test_without_a_login_nothing_is_printed(lab: Lab):
    result = lab.near.run(["ecssh", "up", "--dry-run", "-o", "BatchMode=yes", "-l", "nobody-here", "gw", *SUBNETS], check=False)
    expect((result.returncode, result.stdout), (SSH, ""))
    Ecssh(lab.near, "up", "--dry-run", "--mode", "socks", "gw").fails(USAGE, "leave out --dry-run")
