# SPDX-License-Identifier: MIT
"""Broker and keeper are killed together at each change of the journal, bringing a tunnel up and taking it down.

`before N`: nothing is written down of change N, and N-1 is made; `after N`: N is written down and not made.
"""

import os
from pathlib import Path

from common import OK, Ecssh, expect, slow, timeout
from lab import BUILD, Lab, diff, wait_for

PLACE = Path("/run/faulty.bin")
SUBNETS = ("10.77.0.0/24", "fd77::/64", "10.9.0.0/24")
CHANGES_MAX = 60


def install(lab: Lab) -> None:
    """Programs that find the faulty broker beside them."""
    lab.near.run(["mkdir", PLACE])
    for name in ("ecssh", "ecssh-helper", "ecssh-dns", "ecssh-kill", "ecssh-dial"):
        lab.near.run(["cp", BUILD / name, PLACE / name])
    lab.near.run(["cp", BUILD / "test/tools/faulty_broker", PLACE / "ecssh-broker"])


def one_round(lab: Lab, when: str, number: int) -> tuple[bool, bool]:
    """Up and down with a death at that change: did it come so far, and was something left?"""
    lab.near.write("/run/faulty", f"{when} {number}")
    lab.near.write("/run/faulty.done", "")
    os.chmod(lab.near.path("/run/faulty.done"), 0o666)
    before = lab.near.snapshot()

    def changed() -> list[str]:
        return [line for line in diff(before, lab.near.snapshot()) if "faulty.done" not in line]

    up = Ecssh(lab.near, "up", "gw", *SUBNETS, program=str(PLACE / "ecssh"))
    wait_for(lambda: "ecssh: connected to" in up.stderr() or up.process.poll() is not None, 20, "up or dead")
    if up.process.poll() is None:
        lab.near.run([PLACE / "ecssh", "down"], check=False)
    up.wait(10)
    wait_for(lambda: not lab.near.processes("^ecssh"), 5, f"{when} {number}: no process is left")
    has_died = lab.near.path("/run/faulty.done").read_text() == "done"
    left = changed()
    assert has_died or not left, left
    result = lab.near.run(["ecssh", "cleanup"], check=False)
    expect(result.returncode, OK, "cleanup: " + result.stderr)
    assert "taken back" in result.stderr or not left, f"{when} {number}: {left}\n{result.stderr}"
    try:
        wait_for(lambda: not changed(), 5)
    except TimeoutError:
        raise AssertionError(f"{when} {number}: " + "\n".join(changed())) from None
    return has_died, bool(left)


def every_change(lab: Lab, when: str) -> None:
    install(lab)
    n_left = 0
    for number in range(1, CHANGES_MAX):
        has_died, has_left = one_round(lab, when, number)
        n_left += has_left
        if not has_died and number > 10:
            break
    else:
        raise AssertionError(f"more than {CHANGES_MAX} changes")
    assert n_left > 3, f"control: only {n_left} of {number} deaths left anything"


@slow
@timeout(400)
def test_killed_before_each_change(lab: Lab):
    """Changes of what goes with the device are not written down, and have no moment before."""
    every_change(lab, "before")


@slow
@timeout(400)
def test_killed_after_each_change(lab: Lab):
    every_change(lab, "after")
