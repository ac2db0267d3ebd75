# SPDX-License-Identifier: MIT
"""--kill-switch: nothing leaves near but through the tunnel, whatever happens, until the user ends it.

    guest ── near ──ssh── gw

near and guest have their default route by gw, which counts what comes in from them and is not the transport.
"""

import json
import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from common import (NOT_RUNNING, OK, PRIVILEGE, RUNTIME, SSH, USAGE, Ecssh, alone, connect_error, expect, expect_in,
                    slow, timeout)
from lab import BUILD, HELPER, PYTHON, USERS, Host, Lab, diff, up, wait_for

PROBER = Path(__file__).resolve().parent / "prober.py"
OUTSIDE = ("198.51.100.7", "2001:db8::7", "10.9.0.1")       # the last is asked for names
FULL = ("--kill-switch", "--full", "gw")
RATE = 500                                                  # of each of two users

COUNTER = """table netdev lab_leak {
    chain in {
        type filter hook ingress device lan0 priority 0;
        ether type arp accept
        tcp dport 22 accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report } accept
        counter
    }
}
"""


def prepare(lab: Lab) -> None:
    """A way out for what leaks, and somebody who counts it."""
    lab.near.ip("route add default via 10.9.0.1", "route add default via fd09::1")
    lab.gw.run(["nft", "-f", "-"], stdin=COUNTER)


def leaked(lab: Lab) -> int:
    return int(re.search(r"counter packets (\d+)", lab.gw.run(["nft", "list", "table", "netdev", "lab_leak"]).stdout)[1])


class Prober:
    """Probes from a host until stopped, by root and by alice."""

    def __init__(self, host: Host, users: tuple = ("root", "alice"), rate: int = RATE):
        self.processes = [host.popen([PYTHON, PROBER, rate, *OUTSIDE], user, cwd="/", stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True) for user in users]
        for process in self.processes:
            expect(process.stdout.readline(), "ready\n")

    def stop(self) -> int:
        """How many there were."""
        return sum(int(process.communicate("x")[0]) for process in self.processes)


def expect_control(lab: Lab, host: Host) -> None:
    """Without the kill switch every probe is seen."""
    before, prober = leaked(lab), Prober(host)
    time.sleep(1)       # the time in which it probes
    sent = prober.stop()
    assert sent > 100, sent
    wait_for(lambda: leaked(lab) - before == sent, what=f"all {sent} seen; there are {leaked(lab) - before}")


def in_force(lab: Lab) -> bool:
    return "ecssh-kill-" in lab.near.run(["nft", "list", "tables"]).stdout


def session_of_sshd(lab: Lab) -> list:
    return [process for process in lab.gw.processes("^sshd$") if "[listener]" not in process.args]


def processes(name: str):
    return lambda lab: lab.near.processes(name)


VICTIMS = {
    "engine": lambda lab: [lab.near.process("^ecssh$")],
    "starter": processes("^ecssh-starter$"),
    "broker": processes("^ecssh-broker$"),
    "keeper": processes("^ecssh-keeper$"),
    "ecssh-dns": processes("^ecssh-dns$"),
    "guardian of names": processes("^ecssh-dns-keep$"),
    "ssh": processes("^ssh$"),
    "helper": lambda lab: lab.gw.processes(HELPER),
    "sshd": session_of_sshd,
    "engine and broker": processes("^ecssh(-broker)?$"),
    "broker and keeper": processes("^ecssh-(broker|keeper)$"),
    "all of near": processes("^(ecssh|ssh)"),
}


def kill_9(lab: Lab, name: str) -> list:
    victims = wait_for(lambda: VICTIMS[name](lab), what=name)
    for process in victims:
        with suppress(ProcessLookupError):      # it ended with the one before
            os.kill(process.pid, signal.SIGKILL)
    return victims


def kill_rounds(lab: Lab, rounds: int, seconds: float, rate: float) -> None:
    """Deaths while so many probes a second are under way at least; then all is as before."""
    prepare(lab)
    expect_control(lab, lab.near)
    before = lab.near.snapshot()
    options = ("--dns", "all", "--dns-server", "10.77.0.2", *FULL[1:])
    expect(Ecssh(lab.near, "up", "--block-only", *options).wait(), OK)
    start, seen, prober = time.monotonic(), leaked(lab), Prober(lab.near)
    for number in range(rounds):
        name = list(VICTIMS)[number % len(VICTIMS)]
        tunnel = Ecssh(lab.near, "up", "--kill-switch", *options).connected()
        victims = kill_9(lab, name)
        if name == "guardian of names":     # there is another one, and the tunnel goes on
            wait_for(lambda: [new for new in VICTIMS[name](lab) if new not in victims], what=f"another {name}")
            assert tunnel.process.poll() is None, tunnel.stderr()
            kill_9(lab, "ssh")
        tunnel.wait()
        assert in_force(lab), f"round {number}: not in force after the death of {name}"
        wait_for(lambda: not lab.near.processes("^(ecssh|ssh)"), what="nothing is left to run")
    wait_for(lambda: time.monotonic() - start > seconds, seconds, "long enough")
    lasted, sent = time.monotonic() - start, prober.stop()
    assert sent >= rate * lasted, f"only {sent} probes in {lasted:.1f} s"
    expect(leaked(lab) - seen, 0, f"leaked of {sent}")
    lab.near.run(["ecssh", "down", "gw"])
    lab.near.run(["ecssh", "cleanup"])      # of those killed together
    expect(diff(before, lab.near.snapshot()), [])
    expect_control(lab, lab.near)


@timeout(150)
def test_nothing_leaves_while_processes_are_killed(lab: Lab):
    """Probes of two users, across the death of each process, and of several at once."""
    kill_rounds(lab, len(VICTIMS), 10, RATE)


@slow
@alone
@timeout(900)
def test_nothing_leaves_in_a_hundred_deaths(lab: Lab):
    """And nearly 1,000 probes a second: both users' rates, but for what two busy processors take of it."""
    kill_rounds(lab, 100, 60, 1.6 * RATE)


def test_nothing_is_forwarded(lab: Lab):
    """A host behind near has no other way out either, but does have the tunnel."""
    prepare(lab)
    guest = Host("guest")
    try:
        guest.ready()
        guest.sysctl(ipv6__conf__default__accept_dad=0, ipv4__ping_group_range="0 2147483647")
        lab.near.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        lab.near.ip("route replace default via fd09::1")
        lab.near.ip(f"link add guest0 type veth peer name up0 netns {guest.pid}", *up("guest0", "10.5.0.1/24", "fd05::1/64"))
        guest.ip(*up("up0", "10.5.0.2/24", "fd05::2/64"), "route add default via 10.5.0.1", "route add default via fd05::1")
        control = Prober(guest, ("root",))
        wait_for(lambda: leaked(lab) > 100, what="the control is seen")
        control.stop()
        tunnel = Ecssh(lab.near, "up", "--kill-switch", "gw", "10.77.0.0/24").connected()
        before, prober = leaked(lab), Prober(guest, ("root",))
        expect(connect_error(guest, "10.77.0.2", 7), "connected", "guest through the tunnel")
        os.kill(lab.near.process("^ssh$").pid, signal.SIGKILL)
        tunnel.wait()
        time.sleep(1)       # the time in which it probes
        assert prober.stop() > 100
        expect(leaked(lab) - before, 0, "leaked")
    finally:
        guest.close()


def test_down_restores(lab: Lab):
    before = lab.near.snapshot()
    tunnel = Ecssh(lab.near, "up", "--kill-switch", "gw", "10.77.0.0/24").connected()
    expect(connect_error(lab.near, "10.9.0.1", 23), "EHOSTUNREACH", "another port of the gateway")
    expect(connect_error(lab.near, "10.77.0.2", 7), "connected", "through the tunnel")
    expect(lab.near.run(["ping", "-c1", "-W1", "10.9.0.1"], check=False).returncode, 1)
    assert in_force(lab)
    lab.near.run(["ecssh", "down"])
    expect(tunnel.wait(5), OK)
    expect(diff(before, lab.near.snapshot()), [])


def hole(lab: Lab) -> list:
    """What the rules say that may reach the gateway."""
    rules = lab.near.run(["nft", "-n", "list", "ruleset"]).stdout
    return [line.strip() for line in rules.splitlines() if "10.9.0.1" in line]


NAME_SERVER = ("dnsmasq", "-k", "--user=root", "--pid-file=", "--no-resolv", "--no-hosts", "--bind-interfaces",
               "--listen-address=10.9.0.1", "--host-record=gateway.lab.test,10.9.0.1")


def serve_names(lab: Lab) -> None:
    """gateway.lab.test is known by asking gw only; ssh's name for it is "named"."""
    lab.gw.popen(NAME_SERVER)
    lab.near.write("/etc/resolv.conf", "nameserver 10.9.0.1\noptions timeout:1 attempts:1\n")
    config = lab.near.path("/root/.ssh/config")
    config.write_text(config.read_text() + "\nHost named\n    HostName gateway.lab.test\n    User alice\n"
                                           "    HostKeyAlias gw\n")
    wait_for(lambda: lab.near.run(["getent", "hosts", "gateway.lab.test"], check=False).stdout, 5, "the name is known")


def expect_dialled(lab: Lab, user: int) -> None:
    """From ports of this tunnel's own, so that nothing else fits."""
    expect([re.sub(r"sport \d+-\d+ ", "sport OWN ", line) for line in hole(lab)],
           [f"meta skuid {user} ip daddr 10.9.0.1 tcp sport OWN tcp dport 22 accept"])


@timeout(120)
def test_nothing_else_reaches_the_gateway(lab: Lab):
    """Not by the same user, nor to the same port: before, beside and after the transport."""
    ways = (("10.9.0.1", 22, "EHOSTUNREACH"), ("fd09::1", 22, "EACCES"))
    config = lab.near.path("/root/.ssh/config")
    config.write_text(config.read_text() + "\nHost both\n    HostName both.test\n    User alice\n    HostKeyAlias gw\n")
    hosts = lab.near.path("/etc/hosts")
    lab.near.write("/etc/hosts", hosts.read_text() + "\n10.9.0.1 both.test\nfd09::1 both.test\n")

    def check(outcome: dict | None = None) -> None:
        for address, port, refusal in ways:
            expect(connect_error(lab.near, address, port), refusal if outcome is None else outcome, address)
    check("connected")
    expect(Ecssh(lab.near, "up", "--block-only", "both").wait(), OK)
    check()
    expect_dialled(lab, 0)
    ports = hole(lab)
    plain = Ecssh(lab.near, "up", "both", "10.77.0.0/24").connected()       # it is held to them, too
    check()
    plain.interrupt()
    expect(plain.wait(), OK)
    tunnel = Ecssh(lab.near, "up", "--kill-switch", "--reconnect", "--connections", "3", "both", "10.77.0.0/24").connected()
    expect(hole(lab), ports, "there could be a tunnel by the ports that were there")
    for number in (1, 2):
        check()
        expect(connect_error(lab.near, "10.77.0.2", 7), "connected", "through the tunnel")
        lab.gw.kill("^sshd$", spare="[listener]")
        check()
        wait_for(lambda: tunnel.stderr().count("connected to both again") == number, 20, tunnel.stderr())
    lab.near.run(["ecssh", "down"])
    expect(tunnel.wait(), OK)
    check("connected")


def test_another_way_to_connect(lab: Lab):
    """Where ssh_config says more of it than where, ssh connects by itself, and the user's others may."""
    tunnel = Ecssh(lab.near, "up", "--kill-switch", "-4", "gw", "10.77.0.0/24").connected()
    expect(hole(lab), ["meta skuid 0 ip daddr 10.9.0.1 tcp dport 22 accept"])
    os.kill(lab.near.process("^ssh$").pid, signal.SIGKILL)
    expect(tunnel.wait(), SSH)
    lab.near.run(["ecssh", "down", "gw"])
    expect(Ecssh(lab.near, "up", "--block-only", "gw").wait(), OK)
    Ecssh(lab.near, "up", "-4", "gw", "10.77.0.0/24").fails(RUNTIME, "ssh's configuration says how to connect to gw")
    taken = Ecssh(lab.near, "up", "--kill-switch", "-4", "gw", "10.77.0.0/24").connected()
    expect(hole(lab), ["meta skuid 0 ip daddr 10.9.0.1 tcp dport 22 accept"])
    lab.near.run(["ecssh", "down"])
    expect(taken.wait(), OK)


@contextmanager
def ends(lab: Lab, code: int, is_lifted: bool):
    tunnel = Ecssh(lab.near, "up", "--kill-switch", "gw", "10.77.0.0/24").connected()
    yield tunnel
    expect(tunnel.wait(), code, "exit status:\n" + tunnel.stderr())
    expect(in_force(lab), not is_lifted, "in force; it said:\n" + tunnel.stderr())
    if not is_lifted:
        expect_in('"ecssh down gw" lifts it', tunnel.stderr())
        expect_in("nothing leaves this host but through the tunnel and to 10.9.0.1:22", tunnel.stderr())
        expect(lab.near.run(["ecssh", "down", "gw"]).returncode, OK)
        assert not in_force(lab)


@timeout(120)
def test_only_the_user_lifts_it(lab: Lab):
    """Ctrl-C and SIGTERM are wishes; a closed terminal, a lost connection and a failed login are not."""
    with ends(lab, OK, True) as tunnel:
        tunnel.interrupt()
    with ends(lab, OK, True):
        os.kill(lab.near.process("^ecssh$").pid, signal.SIGTERM)
    with ends(lab, OK, False):
        os.kill(lab.near.process("^ecssh$").pid, signal.SIGHUP)
    with ends(lab, SSH, False):
        assert lab.gw.kill("^sshd$", spare="[listener]") > 0
    refused = Ecssh(lab.near, "up", "--kill-switch", "-l", "nobody-here", "-o", "BatchMode=yes", "gw", "10.77.0.0/24")
    refused.fails(SSH, "kill switch of gw is in force")
    assert in_force(lab)
    lab.near.run(["ecssh", "down"])             # the only one: no name is needed
    assert not in_force(lab)
    expect(lab.near.run(["ecssh", "down"], check=False).returncode, NOT_RUNNING)


@timeout(120)
def test_what_nobody_confirms_is_undone(lab: Lab):
    """With --commit-confirm the switch goes with all else, whatever ends the tunnel; unless it was there before."""
    up = ("up", "--kill-switch", "--commit-confirm", "5", "gw", "10.77.0.0/24")
    before = lab.near.snapshot()

    def check(code: int, is_lifted: bool, end=lambda: None) -> None:
        tunnel = Ecssh(lab.near, *up).connected()
        assert in_force(lab)
        end()
        expect(tunnel.wait(), code, tunnel.stderr())
        expect(in_force(lab), not is_lifted, "in force; it said:\n" + tunnel.stderr())
    check(RUNTIME, True)
    expect(diff(before, lab.near.snapshot()), [])
    check(OK, True, lambda: os.kill(lab.near.process("^ecssh$").pid, signal.SIGHUP))
    check(SSH, True, lambda: lab.gw.kill("^sshd$", spare="[listener]"))
    expect(Ecssh(lab.near, *up[:-2], "-l", "nobody-here", "-o", "BatchMode=yes", *up[-2:]).wait(), SSH)
    expect(diff(before, lab.near.snapshot()), [])

    def confirm_and_lose() -> None:
        lab.near.run(["ecssh", "confirm"])
        lab.gw.kill("^sshd$", spare="[listener]")
    check(SSH, False, confirm_and_lose)
    check(RUNTIME, False)       # taken over from the one before
    lab.near.run(["ecssh", "down", "gw"])
    expect(diff(before, lab.near.snapshot()), [])
    Ecssh(lab.near, "up", "--block-only", *up[1:]).fails(USAGE, "leave out --commit-confirm")


def test_what_is_in_force_is_told(lab: Lab):
    """By status without privilege, by the next up; which takes it over if told to."""
    tunnel = Ecssh(lab.near, "up", "--kill-switch", "gw", "10.77.0.0/24").connected()
    os.kill(lab.near.process("^ecssh$").pid, signal.SIGKILL)
    tunnel.wait()
    wait_for(lambda: not lab.near.processes("^ecssh"), what="broker and keeper have ended")
    status = lab.near.run(["ecssh", "status"], "alice", check=False)
    expect(status.returncode, NOT_RUNNING)
    expect_in('the kill switch of gw is in force since', status.stdout)
    report = json.loads(lab.near.run(["ecssh", "status", "--json"], "alice", check=False).stdout)
    expect([switch["name"] for switch in report["kill_switches"]], ["gw"])

    expect_in("the kill switch of gw is in force since", lab.near.run(["ecssh", "cleanup"]).stderr)
    plain = Ecssh(lab.near, "up", "gw", "10.77.0.0/24").connected()
    expect_in("the kill switch of gw is in force since", plain.stderr())
    plain.interrupt()
    expect(plain.wait(), OK)
    assert in_force(lab), "lifted by a tunnel that had not put it in force"

    Ecssh(lab.near, "up", "--kill-switch", "--name", "other", "gw", "10.77.0.0/24").fails(
        RUNTIME, 'the kill switch of gw is in force, and there can be one at a time')
    again = Ecssh(lab.near, "up", "--kill-switch", "gw", "10.77.0.0/24").connected()
    expect_in("takes it over", again.stderr())
    lab.near.run(["ecssh", "down"])
    expect(again.wait(), OK)
    assert not in_force(lab)


def test_rules_that_were_taken_away_are_missed(lab: Lab):
    """By who may look: root's status, and every up and cleanup, which have a broker. The others are told from then on."""
    def status(user: str) -> str:
        return lab.near.run(["ecssh", "status"], user, check=False).stdout

    def put_and_flush() -> str:
        expect(Ecssh(lab.near, "up", "--block-only", "gw").wait(), OK)
        assert in_force(lab)
        expect_in(there, status("root"))
        rules = lab.near.run(["nft", "list", "ruleset"]).stdout
        lab.near.run(["nft", "flush", "ruleset"])
        expect_in(there, status("alice"))
        return rules
    there, gone = "the kill switch of gw is in force since", "somebody else has taken its rules away"
    rules = put_and_flush()
    for user in ("root", "alice"):
        expect_in(gone, status(user))
    report = json.loads(lab.near.run(["ecssh", "status", "--json"], "alice", check=False).stdout)
    assert abs(report["kill_switches"][0]["gone"] - time.time()) < 60, report
    lab.near.run(["nft", "-f", "-"], stdin=rules)
    expect_in(there, status("root"))

    put_and_flush()
    expect_in(gone, lab.near.run(["ecssh", "cleanup"], "bob").stderr)
    put_and_flush()
    plain = Ecssh(lab.near, "up", "gw", "10.77.0.0/24", user="bob").connected()
    expect_in(gone, plain.stderr())
    plain.interrupt()
    expect(plain.wait(), OK)
    again = Ecssh(lab.near, "up", "--kill-switch", "gw", "10.77.0.0/24").connected()
    assert in_force(lab)
    expect_in(there, status("alice"))
    again.interrupt()
    expect(again.wait(), OK)
    put_and_flush()
    expect_in(gone, status("root"))
    expect(lab.near.run(["ecssh", "down", "gw"]).returncode, OK)
    assert "kill switch" not in status("root")


def test_down_lifts_that_of_a_tunnel_without_one(lab: Lab):
    """As a service has it: the switch is one unit, the tunnel another."""
    block = Ecssh(lab.near, "up", "--block-only", "gw")
    expect(block.wait(), OK)
    expect_in("kill switch of gw is in force", block.stderr())
    expect(lab.near.run(["ping", "-c1", "-W1", "10.9.0.1"], check=False).returncode, 1)
    tunnel = Ecssh(lab.near, "up", "gw", "10.77.0.0/24").connected()
    lab.near.run(["ecssh", "down", "gw"])
    expect(tunnel.wait(), OK)
    assert not in_force(lab)


def test_of_another_user_stays(lab: Lab):
    """bob may run the broker, but root's switch is not his; his own is, and root's hand is longer."""
    expect(Ecssh(lab.near, "up", "--block-only", "gw").wait(), OK)
    down = lab.near.run(["ecssh", "down", "gw"], "bob", check=False)
    expect(down.returncode, PRIVILEGE)
    expect_in("is that of user 0", down.stderr)
    Ecssh(lab.near, "up", "--block-only", "gw", user="bob").fails(RUNTIME, "is that of user 0")
    assert in_force(lab)
    lab.near.run(["ecssh", "down", "gw"])
    expect(Ecssh(lab.near, "up", "--block-only", "gw", user="bob").wait(), OK)
    expect(connect_error(lab.near, "10.9.0.1", 22), "EHOSTUNREACH", "the gateway by another user")
    expect(lab.near.run(["ecssh", "down", "gw"], "bob").returncode, OK)
    expect(Ecssh(lab.near, "up", "--block-only", "gw", user="bob").wait(), OK)
    expect(lab.near.run(["ecssh", "down", "gw"]).returncode, OK)


def test_as_user_with_sudo(lab: Lab):
    """ssh is bob's, and so is the hole."""
    tunnel = Ecssh(lab.near, "up", "--kill-switch", "gw", "10.77.0.0/24", user="bob").connected()
    expect_dialled(lab, USERS["bob"])
    tunnel.interrupt()
    expect(tunnel.wait(), OK)
    assert not in_force(lab)


def test_the_session_that_it_is_run_in_goes_on(lab: Lab):
    """The one connection of SSH_CONNECTION, not another of the same two hosts."""
    with lab.near.listen("10.9.0.2", 2200) as listener:
        kept, other = lab.gw.connect("10.9.0.2", 2200), lab.gw.connect("10.9.0.2", 2200)
        ours, others = listener.accept()[0], listener.accept()[0]
        session = {"SSH_CONNECTION": "10.9.0.1 %d 10.9.0.2 2200" % kept.getsockname()[1]}
        expect(Ecssh(lab.near, "up", "--block-only", "gw", env=session).wait(), OK)
        ours.sendall(b"?")
        expect(kept.recv(1), b"?")
        other.settimeout(1)
        try:
            others.sendall(b"?")
            assert not other.recv(1), "the other connection goes on"
        except (OSError, TimeoutError):
            pass
        lab.near.run(["ecssh", "down"])


def test_local_network(lab: Lab):
    """With --allow-lan, but not its resolver."""
    prepare(lab)
    expect(Ecssh(lab.near, "up", "--block-only", *FULL[1:]).wait(), OK)
    expect(lab.near.run(["ping", "-c1", "-W1", "10.9.0.1"], check=False).returncode, 1)
    lab.near.run(["ecssh", "down"])
    expect(Ecssh(lab.near, "up", "--block-only", "--allow-lan", *FULL[1:]).wait(), OK)
    for address in ("10.9.0.1", "fd09::1"):
        lab.near.run(["ping", "-c1", "-W10", address])
        expect(connect_error(lab.near, address, 53), "EHOSTUNREACH" if ":" not in address else "EACCES")
    expect(connect_error(lab.near, OUTSIDE[0], 80), "EHOSTUNREACH")


@timeout(120)
def test_jump_host(lab: Lab):
    """The hole is for ssh's way to the jump host, not for the user's other ones, nor for what is behind it."""
    lab.sshd(host=lab.far)
    tunnel = Ecssh(lab.near, "up", "--kill-switch", "--reconnect", "-J", "alice@gw", "far", "10.78.0.0/24").connected()
    for number in (1, 2):
        expect_dialled(lab, 0)
        expect(connect_error(lab.near, "10.9.0.1", 22), "EHOSTUNREACH", "another connection to the jump host")
        rules = lab.near.run(["nft", "-n", "list", "ruleset"]).stdout
        assert "ip daddr 10.77.0.2 tcp" not in rules, rules
        expect(connect_error(lab.near, "10.78.0.2", 7), "connected")
        lab.gw.kill("^sshd$", spare="[listener]")
        wait_for(lambda: tunnel.stderr().count("connected to far again") == number, 20, tunnel.stderr())
    lab.near.run(["ecssh", "down"])
    expect(tunnel.wait(), OK)


@timeout(120)
def test_jump_host_that_only_the_dns_knows(lab: Lab):
    """It is looked up before the switch is in force, like a gateway; not with another way to connect to it."""
    lab.sshd(host=lab.far)
    serve_names(lab)
    up = ("up", "--kill-switch", "-J", "named", "far", "10.78.0.0/24")
    for _ in range(2):      # the second time nobody can be asked
        tunnel = Ecssh(lab.near, *up).connected()
        expect_dialled(lab, 0)
        expect(connect_error(lab.near, "10.78.0.2", 7), "connected")
        os.kill(lab.near.process("^ssh$").pid, signal.SIGKILL)
        expect(tunnel.wait(), SSH)
    plain = Ecssh(lab.near, "up", *up[2:]).connected()
    plain.interrupt()
    expect(plain.wait(), OK)
    lab.near.run(["ecssh", "down", "far"])
    Ecssh(lab.near, "up", "--kill-switch", "-J", "nobody.lab.test", "far", "10.78.0.0/24").fails(
        RUNTIME, "the address of nobody.lab.test, which cannot be found")
    config = lab.near.path("/root/.ssh/config")
    config.write_text(config.read_text() + "    AddressFamily inet\n")
    Ecssh(lab.near, *up).fails(RUNTIME, "its jump host is known by that only")
    assert not in_force(lab)


def test_two_jump_hosts(lab: Lab):
    """These are left to ssh, which would have to look up the first."""
    lab.sshd(host=lab.far)
    tunnel = Ecssh(lab.near, "up", "--kill-switch", "-J", "gw,far", "-o", "HostKeyAlias=far", "alice@10.77.0.2",
                   "10.78.0.0/24").connected()
    expect(hole(lab), ["meta skuid 0 ip daddr 10.9.0.1 tcp dport 22 accept"])
    lab.near.run(["ecssh", "down"])
    expect(tunnel.wait(), OK)
    Ecssh(lab.near, "up", "--kill-switch", "-J", "vpn.lab.test,gw", "far", "10.78.0.0/24").fails(
        RUNTIME, "its jump host is known by that only")
    assert not in_force(lab)


def test_name_that_has_to_be_asked_for(lab: Lab):
    """It is looked up before the switch is in force, and ssh is held to the answer; then that is the answer."""
    serve_names(lab)
    up = ("up", "--kill-switch", "named", "10.77.0.0/24")
    for _ in range(2):      # the second time nobody can be asked
        tunnel = Ecssh(lab.near, *up).connected()
        expect_dialled(lab, 0)
        expect(lab.near.run(["getent", "hosts", "gateway.lab.test"], check=False).stdout, "", "a name, asked for outside")
        os.kill(lab.near.process("^ssh$").pid, signal.SIGKILL)
        expect(tunnel.wait(), SSH)
    plain = Ecssh(lab.near, "up", *up[2:]).connected()       # nor by a tunnel that is not the switch's own
    plain.interrupt()
    expect(plain.wait(), OK)
    assert in_force(lab)
    lab.near.run(["ecssh", "down", "named"])
    assert not in_force(lab)


def test_connection_that_is_made_again(lab: Lab):
    """With --reconnect nothing leaves meanwhile."""
    prepare(lab)
    tunnel = Ecssh(lab.near, "up", "--reconnect", *FULL).connected()
    prober = Prober(lab.near)
    for number in range(1, 4):
        assert lab.gw.kill("^sshd$", spare="[listener]") > 0
        wait_for(lambda: tunnel.stderr().count("connected to gw again") == number, 20, tunnel.stderr())
    assert prober.stop() > RATE
    expect(leaked(lab), 0, "packets outside the tunnel")
    tunnel.interrupt()
    expect(tunnel.wait(), OK)


def test_services(lab: Lab):
    """What the units start and stop, in the order of a boot and of an administrator's wishes."""
    def line(unit: str, key: str) -> list:
        text = (BUILD / f"{unit}@.service").read_text()
        words = re.search(rf"(?m)^{key}=\S*/ecssh (.*)$", text)[1].replace("%i", "gw")
        return words.replace("$ECSSH_ARGS", "--full gw").split()
    expect(Ecssh(lab.near, *line("ecssh-kill-switch", "ExecStart")).wait(), OK)
    for _ in range(2):
        tunnel = Ecssh(lab.near, *line("ecssh", "ExecStart")).connected()
        os.kill(lab.near.process("^ecssh$").pid, signal.SIGTERM)
        expect(tunnel.wait(), OK)
        assert in_force(lab), "the end of the tunnel has lifted it"
    lab.near.run(["ecssh", *line("ecssh-kill-switch", "ExecStop")])
    assert not in_force(lab)


def test_service_comes_after_who_flushes_all_rules(lab: Lab):
    """As Debian's nftables.service does at boot: in the order that the unit says, the switch is in force after both."""
    unit = (BUILD / "ecssh-kill-switch@.service").read_text()
    after = " ".join(re.findall("(?m)^After=(.*)$", unit)).split()
    assert {"nftables.service", "netfilter-persistent.service", "ufw.service"} <= {*after}, after
    expect(re.findall("(?m)^(?:Before|Wants)=(.*)$", unit), ["network-pre.target"] * 2)
    switch = lambda: expect(Ecssh(lab.near, "up", "--block-only", "gw").wait(), OK)
    nftables = lambda: lab.near.run(["nft", "flush", "ruleset"])
    for start in (switch, nftables):
        start()
    assert not in_force(lab), "control: the other order"
    for start in (nftables, switch):
        start()
    assert in_force(lab)
    lab.near.run(["ecssh", "down", "gw"])


def test_proxy_command(lab: Lab):
    """Nobody can know where it connects to."""
    lab.near.write("/usr/local/bin/relay", f"#!/bin/sh\nexec {PYTHON} -c '{RELAY}' 10.9.0.1\n", mode=0o755)
    command = "-oProxyCommand=relay"
    Ecssh(lab.near, "up", "--kill-switch", command, "gw", "10.77.0.0/24").fails(RUNTIME, "--kill-switch-allow ADDR:PORT")
    assert not in_force(lab)
    tunnel = Ecssh(lab.near, "up", "--kill-switch", "--kill-switch-allow", "10.9.0.1:22", command, "gw",
                   "10.77.0.0/24").connected()
    expect(connect_error(lab.near, "10.77.0.2", 7), "connected")
    tunnel.interrupt()
    expect(tunnel.wait(), OK)


RELAY = """
import os, select, socket, sys
s = socket.create_connection((sys.argv[1], 22))
while True:
    for fd in select.select([0, s], [], [])[0]:
        data = os.read(0, 65536) if fd == 0 else s.recv(65536)
        if not data:
            sys.exit()
        s.sendall(data) if fd == 0 else os.write(1, data)
""".replace("'", '"')


def test_hostile_names(lab: Lab):
    """They are refused before anything is changed."""
    before = lab.near.snapshot()
    for name in ("../x", "a;b", "$(id)", "a b", "-x", ".x", "a{}", "a\nb", "\x1b[31m", "x" * 60, 'a"', "*", ""):
        said = Ecssh(lab.near, "up", "--kill-switch", "--name", name, "gw", "10.77.0.0/24").fails(USAGE)
        assert "\x1b" not in said
    for value in ("gw:22", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:22;", "a@10.0.0.1:22", "[::1", "\x1b[31m"):
        said = Ecssh(lab.near, "up", "--kill-switch", "--kill-switch-allow", value, "gw", "10.77.0.0/24").fails(USAGE)
        assert "\x1b" not in said
    expect(diff(before, lab.near.snapshot()), [])


def test_a_forged_note_lifts_nothing(lab: Lab):
    """Who may write notes is nobody; what stands in them is checked, and printed as it is nowhere."""
    expect(Ecssh(lab.near, "up", "--block-only", "gw").wait(), OK)
    net = os.stat(f"/proc/{lab.near.pid}/ns/net").st_ino
    for name, text in ((f"{net}-\x1b[31m", "uid 0\nsince 0\nallow 10.0.0.1 22\n"), (f"{net}-x", "\x1b[31m"),
                       (f"{net}-y", "uid 0\n" * 10_000), ("z", "")):
        lab.near.write(f"/run/ecssh-kill/{name}", text)
    status = lab.near.run(["ecssh", "status"], check=False)
    expect(status.stdout.count("kill switch"), 1, status.stdout)
    assert "\x1b" not in status.stdout + status.stderr
    denied = lab.near.run(["touch", f"/run/ecssh-kill/{net}-mine"], "alice", check=False)
    assert denied.returncode != 0
    lab.near.run(["ecssh", "down", "gw"])
    assert not in_force(lab)
