# SPDX-License-Identifier: MIT
"""What carries the tunnel goes past it, and nothing else does: not even what is for the same address.

    near (10.9.0.2) ──ssh── gw (10.9.0.1) ── far (10.77.0.2) ── deep (10.78.0.2)

The helper on gw connects for the others, so sshd sees them come from gw's own address.
"""

import os
import re
import signal
from contextlib import suppress

from common import RUNTIME, Ecssh, Tunnel, expect, expect_in, timeout
from lab import SUBNETS, USERS, Lab, diff, wait_for
from test_lifecycle import BOB_ENV, carries, make_runtime_dir

GATEWAY = ("10.9.0.0/24", "fd09::/64")
DIRECT, THROUGH = "10.9.0.2", "10.9.0.1"


def comes_from(lab: Lab, user: str = "root", host: str = "gw") -> str:
    """The address that sshd on gw sees another ssh of this user come from."""
    return lab.near.run(["ssh", host, "echo $SSH_CONNECTION"], user).stdout.split()[0]


def rules(lab: Lab, family: str = "-4") -> list[str]:
    lines = lab.near.run(["ip", family, "rule"]).stdout.splitlines()
    return [line.split(":", 1)[1].strip() for line in lines if 5000 <= int(line.split(":")[0]) < 5200]


def exact(lab: Lab) -> list[str]:
    return [rule for rule in rules(lab) if "sport" in rule]


def test_the_gateways_address_is_in_the_tunnel_for_all_others(lab: Lab):
    """TunnelCrack ServerIP: whoever tells others where to connect cannot have them avoid the tunnel."""
    for user in ("root", "bob"):
        expect(comes_from(lab, user), DIRECT, f"control: {user} without a tunnel")
    tunnel = Tunnel(lab, subnets=SUBNETS + GATEWAY)
    for user in ("root", "bob"):
        expect(comes_from(lab, user), THROUGH, f"{user}'s ssh to the gateway")
        expect(comes_from(lab, user, "gw6"), "fd09::1", f"{user}'s ssh to the gateway by IPv6")
    assert carries(lab.near) and carries(lab.near, "fd77::2")
    expect(len(exact(lab)), 1, f"exemptions by both ends, of {rules(lab)}")
    expect(len([rule for rule in rules(lab) if "uidrange" in rule]), 0, f"exemptions by user, of {rules(lab)}")
    expect_in("fwmark:0xec", lab.near.run(["ss", "-tne", "dst", "10.9.0.1:22"]).stdout)
    tunnel.down()
    expect(comes_from(lab), DIRECT, "after the tunnel")
    tunnel.expect_restored()


def test_over_ipv6(lab: Lab):
    tunnel = Tunnel(lab, to="gw6", subnets=SUBNETS + GATEWAY)
    expect(comes_from(lab, host="gw6"), "fd09::1", "another ssh")
    assert carries(lab.near) and carries(lab.near, "fd77::2")
    tunnel.down()
    tunnel.expect_restored()


def test_strict_reverse_path_filter(lab: Lab):
    """What comes in is looked up by its names, as nobody's and without a mark."""
    lab.near.sysctl(ipv4__conf__all__rp_filter=1, ipv4__conf__up0__rp_filter=1)
    make_runtime_dir(lab)
    tunnel = Tunnel(lab, "--reconnect", subnets=SUBNETS + GATEWAY, user="bob", env=BOB_ENV)
    assert carries(lab.near)
    os.kill(lab.near.process("^ssh$").pid, signal.SIGKILL)
    wait_for(lambda: "again, after" in tunnel.stderr(), 20, "connected again")
    assert carries(lab.near)
    tunnel.down()
    tunnel.expect_restored()


def test_a_connection_made_again_is_exempted(lab: Lab):
    tunnel = Tunnel(lab, "--reconnect", subnets=SUBNETS + GATEWAY)
    before = exact(lab)
    os.kill(lab.near.process("^ssh$").pid, signal.SIGKILL)
    wait_for(lambda: "again, after" in tunnel.stderr(), 20, "connected again")
    assert carries(lab.near)
    after = exact(lab)
    expect(len(after), 1, "exemptions by both ends")
    assert after != before, after
    assert not any("uidrange" in rule for rule in rules(lab)), rules(lab)
    expect(comes_from(lab), THROUGH, "another ssh")
    tunnel.down()
    tunnel.expect_restored()


def leads(lab: Lab, port: int | None = None, user: str = "root") -> bool:
    """What this user sends to sshd on gw, maybe from a port, goes past the tunnel."""
    sport = ("sport", port) if port else ()
    route = lab.near.run(["ip", "route", "get", "10.9.0.1", "ipproto", "tcp", *sport, "dport", 22, "uid", USERS.get(user, 0)])
    return "dev up0" in route.stdout


def test_while_ssh_connects_again(lab: Lab):
    """Nor does anything else of the same user's, or of root's, go past the tunnel then."""
    make_runtime_dir(lab)
    tunnel = Tunnel(lab, "--reconnect", subnets=SUBNETS + GATEWAY, user="bob", env=BOB_ENV)
    assert not leads(lab, user="bob")
    lab.gw.run(["nft", "add table inet away; add chain inet away in { type filter hook input priority 0 ; }; "
                       "add rule inet away in tcp dport 22 drop"])
    os.kill(lab.near.process("^ssh$").pid, signal.SIGKILL)
    wait_for(lambda: any("uidrange" in rule for rule in rules(lab)), 20, "a connection is being opened")
    ports = {re.search(r"sport (\d+)-(\d+)", rule).groups() for rule in rules(lab) if "uidrange" in rule}
    expect(len(ports), 1, f"ranges of {rules(lab)}")
    first, last = map(int, ports.pop())
    for user in ("bob", "root"):
        assert leads(lab, first, user) and leads(lab, last, user)
        assert not leads(lab, user=user) and not leads(lab, first - 1, user) and not leads(lab, last + 1, user)
    assert not leads(lab, first, "alice"), "of another user"
    lab.gw.run(["nft", "delete table inet away"])
    wait_for(lambda: "again, after" in tunnel.stderr(), 20, "connected again")
    assert carries(lab.near)
    wait_for(lambda: not any("uidrange" in rule for rule in rules(lab)), 20, "none is being opened")
    tunnel.down()
    tunnel.expect_restored()


def test_while_ssh_looks_the_name_up_again(lab: Lab):
    """It connects by itself then, and nothing is exempted, for it could be told from nothing else."""
    config = lab.near.path("/root/.ssh/config")
    config.write_text(config.read_text() + "\nHost named\n    HostName gateway.lab.test\n    HostKeyAlias gw\n")
    lab.near.write("/etc/hosts", "10.9.0.1 gateway.lab.test\n")
    tunnel = Tunnel(lab, "--reconnect", to="named", subnets=SUBNETS + GATEWAY)
    lab.near.write("/etc/hosts", "10.9.0.9 gateway.lab.test\n")        # nobody, so that it takes its time
    ssh = lab.near.process("^ssh$")
    lab.gw.run(["nft", "add table inet away; add chain inet away in { type filter hook input priority 0 ; }; "
                       "add rule inet away in tcp dport 22 reject with tcp reset"])
    with suppress(ProcessLookupError):      # the next packet of it was its last
        os.kill(ssh.pid, signal.SIGKILL)
    wait_for(lambda: [ssh for ssh in lab.near.processes("^ssh$") if "ecssh-dial" not in ssh.args], 20, "a look-up")
    assert not leads(lab) and not any("uidrange" in rule for rule in rules(lab)), rules(lab)
    lab.gw.run(["nft", "delete table inet away"])
    wait_for(lambda: "again, after" in tunnel.stderr(), 30, "connected again")
    assert carries(lab.near)
    tunnel.down()


def test_further_connections_are_exempted(lab: Lab):
    tunnel = Tunnel(lab, "--connections", "3", subnets=SUBNETS + GATEWAY)
    wait_for(lambda: len(exact(lab)) == 3, 20, "three connections are exempted")
    wait_for(lambda: not any("uidrange" in rule for rule in rules(lab)), 20, "none is being opened")
    expect(comes_from(lab), THROUGH, "another ssh")
    tunnel.down()
    tunnel.expect_restored()


def test_a_tunnel_inside_a_tunnel(lab: Lab):
    """The second one's ssh must stay in the first, though the second covers where it goes."""
    lab.sshd(host=lab.far)
    one = Tunnel(lab, "--name", "one", subnets=("10.77.0.0/24",))
    two = Tunnel(lab, "--name", "two", to="far", subnets=("10.64.0.0/10",))
    assert carries(lab.near, "10.78.0.2")
    assert "10.77.0.2" not in " ".join(rules(lab)), rules(lab)
    two.down("two")
    assert carries(lab.near)
    one.down("one")
    one.expect_restored()


def test_through_a_jump_host(lab: Lab):
    """It is the inner ssh's connection that is exempted."""
    lab.sshd(host=lab.far)
    tunnel = Tunnel(lab, "-J", "alice@gw", to="alice@far", subnets=("10.78.0.0/24", *GATEWAY))
    assert carries(lab.near, "10.78.0.2")
    expect(len(exact(lab)), 1, "exemptions by both ends")
    tunnel.down()
    tunnel.expect_restored()


SHARED = """Host gw
    ControlMaster auto
    ControlPath ~/.ssh/shared
    ControlPersist 600
"""


def share(lab: Lab) -> None:
    """An ssh to gw that lends its connection to those that follow."""
    config = lab.near.path("/root/.ssh/config")
    config.write_text(SHARED + config.read_text())
    lab.near.run(["ssh", "-fN", "gw"])
    lab.near.run(["ssh", "-O", "check", "gw"])


def test_jump_host_whose_connection_is_shared(lab: Lab):
    """By others: the tunnel has one of its own, which can be told, and everything may be routed."""
    lab.sshd(host=lab.far)
    share(lab)
    tunnel = Tunnel(lab, "--full", "-J", "gw", to="far", subnets=())
    assert carries(lab.near, "10.78.0.2")
    expect(len(exact(lab)), 1, "exemptions by both ends")
    assert "cannot tell" not in tunnel.stderr(), tunnel.stderr()
    lab.near.run(["ssh", "-O", "exit", "gw"])
    assert carries(lab.near, "10.78.0.2")
    tunnel.down()


@timeout(120)
def test_a_connection_that_cannot_be_seen(lab: Lab):
    """That of an ssh which was there before: not to be routed into the tunnel that it carries."""
    lab.sshd(host=lab.far)
    share(lab)
    before = lab.near.snapshot()
    name = ("-o", "HostKeyAlias=far", "alice@10.77.0.2")
    for way, how in ((("-J", "gw,far"), "ControlPath none"),
                     (("-o", "ProxyCommand=ssh -W %h:%p gw"), "the address that the ProxyCommand connects to")):
        Ecssh(lab.near, "up", "--full", *way, *name).fails(
            RUNTIME, "cannot tell which connection carries the tunnel", how, "with -x")
        expect(diff(before, lab.near.snapshot()), [])
        tunnel = Tunnel(lab, "--full", "-x", "10.9.0.1", *way, *name[:-1], to=name[-1], subnets=())
        expect_in("cannot tell which connection carries the tunnel", tunnel.stderr())
        assert carries(lab.near, "10.78.0.2")
        tunnel.down()
        tunnel.expect_restored()
    tunnel = Tunnel(lab, "-o", "ProxyCommand=ssh -W %h:%p gw", *name[:-1], to=name[-1], subnets=("10.78.0.0/24",))
    assert carries(lab.near, "10.78.0.2")
    tunnel.down()
