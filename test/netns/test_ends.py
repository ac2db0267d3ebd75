# SPDX-License-Identifier: MIT
"""How soon everything is as before: by the clock, without the patience that is right beside others.

near has everything that there is to be undone: --full, names, the kill switch.
"""

import os
import signal
import time
from contextlib import suppress

from common import OK, Ecssh, alone, expect, expect_in, rules_one_by_one, timeout
from lab import HELPER, Lab, diff, wait_for
from services import ECHO

SERVER = "10.77.0.2"
EVERYTHING = ("up", "--full", "--dns", "all", "--dns-server", SERVER, "--kill-switch", "gw")
EXIT_S = 2.0            # after it was asked for
RESTORED_S = 5.0        # after a death

# Each ends the tunnel, and not the switch, which was there before.
VICTIMS = {
    "engine": lambda lab: [lab.near.process("^ecssh$")],
    "starter": lambda lab: lab.near.processes("^ecssh-starter$"),
    "ssh": lambda lab: lab.near.processes("^ssh$"),
    "broker": lambda lab: lab.near.processes("^ecssh-broker$"),
    "keeper": lambda lab: lab.near.processes("^ecssh-keeper$"),
    "ecssh-dns": lambda lab: lab.near.processes("^ecssh-dns$"),
    "helper": lambda lab: lab.gw.processes(HELPER),
    "sshd": lambda lab: [process for process in lab.gw.processes("^sshd$") if "[listener]" not in process.args],
    "engine and ssh": lambda lab: lab.near.processes("^(ecssh|ssh)$"),
}


def prepare(lab: Lab) -> None:
    lab.near.ip("route add default via 10.9.0.1", "route add default via fd09::1")
    lab.near.write("/etc/resolv.conf", "nameserver 192.0.2.1\n")


def up(lab: Lab) -> Ecssh:
    tunnel = Ecssh(lab.near, *EVERYTHING).connected()
    lab.near.connect(SERVER, ECHO).close()
    expect(lab.near.run(["getent", "ahostsv4", "far.lab.test"]).stdout.split()[0], SERVER)
    return tunnel


def state(lab: Lab) -> dict:
    """A switch that is taken over is made anew."""
    return rules_one_by_one(lab.near.snapshot())


def as_before(lab: Lab, before: dict, since: float, what: str) -> None:
    """Within RESTORED_S; a look at everything takes a tenth of a second, and is begun until the last moment."""
    while True:
        looked_s = time.monotonic() - since
        changed = diff(before, state(lab))
        if not changed:
            return
        assert looked_s < RESTORED_S, f"{what}: not as before {looked_s:.2f} s later:\n" + "\n".join(changed)


@alone
@timeout(120)
def test_two_seconds_after_it_was_asked_for(lab: Lab):
    """Ctrl-C, SIGTERM, down: the process has ended, and by then all is as it was."""
    prepare(lab)
    before = state(lab)

    def terminate(_: Ecssh) -> None:
        os.kill(lab.near.process("^ecssh$").pid, signal.SIGTERM)
    ends = {"Ctrl-C": lambda tunnel: tunnel.interrupt(), "SIGTERM": terminate,
            "down": lambda _: lab.near.run(["ecssh", "down"])}
    for name, end in ends.items():
        for _ in range(3):
            tunnel = up(lab)
            since = time.monotonic()
            end(tunnel)
            expect(tunnel.process.wait(10), OK, f"exit status after {name}: {tunnel.stderr()}")
            took_s = time.monotonic() - since
            assert took_s <= EXIT_S, f"{name} took {took_s:.2f} s"
            expect(diff(before, state(lab)), [], f"left when {name} was over")


@alone
@timeout(180)
def test_five_seconds_after_a_death(lab: Lab):
    """kill -9 of each process: near is as before, the switch, which was in force then, included."""
    prepare(lab)
    expect(Ecssh(lab.near, "up", "--block-only", *EVERYTHING[1:]).wait(), OK)
    before = state(lab)
    expect_in("ecssh-kill-gw", str(before["nft"]))
    for name, victim in VICTIMS.items():
        tunnel = up(lab)
        victims = wait_for(lambda: victim(lab), what=name)
        since = time.monotonic()
        for process in victims:
            with suppress(ProcessLookupError):      # it ended with the one before
                os.kill(process.pid, signal.SIGKILL)
        as_before(lab, before, since, f"death of {name}")
        tunnel.wait(1)


@alone
def test_another_guardian_of_names_within_five_seconds(lab: Lab):
    """Its death alone ends nothing: there is another one, and names stay as they are."""
    prepare(lab)
    before = state(lab)
    tunnel = up(lab)
    first = lab.near.process("^ecssh-dns-keep$").pid
    since = time.monotonic()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: [p for p in lab.near.processes("^ecssh-dns-keep$") if p.pid != first], RESTORED_S)
    assert time.monotonic() - since <= RESTORED_S
    expect(lab.near.run(["getent", "ahostsv4", "far.lab.test"]).stdout.split()[0], SERVER)
    tunnel.interrupt()
    expect(tunnel.process.wait(EXIT_S), OK)
    expect(diff(before, state(lab)), [])
