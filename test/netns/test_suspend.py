# SPDX-License-Identifier: MIT
"""near sleeps and wakes up, with --reconnect: the server has long forgotten it, or near is somewhere else.

To sleep is for our processes to stand still, and for the line to be dead. The kernel's clocks go on, as they would
not: that deadlines count what was slept is for test_loop to show. The tests wake up half a minute apart.
"""

import os
import signal
import time
from contextlib import contextmanager, suppress
from typing import Iterator

from common import OK, Ecssh, alone_with, expect, rules_one_by_one, slow, timeout
from lab import HELPER, Lab, diff, wait_for
from services import ECHO
from test_kill_switch import RATE, Prober, expect_control, leaked, prepare

SERVER = "10.77.0.2"
BACK_S = 5.0        # after waking up
CUT = """table inet away {
    chain in { type filter hook input priority 0; tcp dport 22 drop; }
    chain out { type filter hook output priority 0; tcp sport 22 drop; }
}
"""


def impatient_sshd(lab: Lab) -> None:
    lab.gw.kill("^sshd$")
    lab.gw.path("/run/sshd-22.pid").unlink()
    lab.sshd(ClientAliveInterval=1, ClientAliveCountMax=2)


def works(lab: Lab) -> None:
    """Routes, by a connection and by an address of their own, and names."""
    with lab.near.connect(SERVER, ECHO) as sock:
        sock.sendall(b"?")
        expect(sock.recv(1), b"?")
    expect(lab.near.run(["getent", "ahostsv4", "far.lab.test"]).stdout.split()[0], SERVER)


@contextmanager
def asleep(lab: Lab, tunnel: Ecssh, seconds: float) -> Iterator[None]:
    """So long at least, and until the server has given near up."""
    began = time.monotonic()
    processes = lab.near.processes("^(ecssh|ssh)")
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    lab.gw.run(["nft", "-f", "-"], stdin=CUT)
    yield
    wait_for(lambda: not lab.gw.processes(HELPER), 20, "the server has dropped the connection")
    wait_for(lambda: time.monotonic() - began > seconds, seconds, "slept for long enough")
    lab.gw.run(["nft", "delete", "table", "inet", "away"])
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
    os.killpg(tunnel.process.pid, signal.SIGCONT)       # nsenter stands still with its child


def sleep(lab: Lab, seconds: float, meanwhile) -> dict:
    """And wake up; returns what was before."""
    impatient_sshd(lab)
    prepare(lab)
    expect_control(lab, lab.near)
    lab.near.write("/etc/resolv.conf", "nameserver 192.0.2.1\n")
    before = rules_one_by_one(lab.near.snapshot())
    tunnel = Ecssh(lab.near, "up", "--reconnect", "--kill-switch", "--full", "--dns", "all", "--dns-server", SERVER,
                   "gw").connected()
    works(lab)
    seen, prober = leaked(lab), Prober(lab.near)
    with asleep(lab, tunnel, seconds):
        meanwhile()
    awake = time.monotonic()
    wait_for(lambda: "connected to gw again" in tunnel.stderr(), BACK_S, "connected again; it said:\n" + tunnel.stderr())
    works(lab)
    took_s = time.monotonic() - awake
    assert took_s <= BACK_S, f"works {took_s:.1f} s after waking up"
    assert prober.stop() > RATE
    expect(leaked(lab) - seen, 0, "leaked")
    tunnel.interrupt()
    expect(tunnel.wait(), OK, tunnel.stderr())
    return before


@alone_with("sleepers")
@timeout(90)
def test_works_again_after_sleep(lab: Lab):
    """Longer than the silence after which the other end is asked whether it is there."""
    before = sleep(lab, 16, lambda: None)
    expect(diff(before, rules_one_by_one(lab.near.snapshot())), [])


@slow
@alone_with("sleepers")
@timeout(120)
def test_works_again_somewhere_else(lab: Lab):
    """With another address, which nobody has told to what carries the tunnel."""
    def move() -> None:
        lab.near.ip("addr del 10.9.0.2/24 dev up0", "addr del fd09::2/64 dev up0", "addr add 10.9.0.9/24 dev up0",
                    "addr add fd09::9/64 dev up0 nodad", "route replace default via 10.9.0.1",
                    "route replace default via fd09::1")
    sleep(lab, 46, move)
