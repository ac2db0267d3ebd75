# SPDX-License-Identifier: MIT
"""Programs are killed with what is to clean up for them, at each of their steps, bringing a tunnel up and taking it down.

`before N`: step N is not made, and N-1 is; `after N`: it is made; `torn N`: half of what it was to write is written.
Of the broker, step N is a change of its journal, and `after`: it is written down and not made.
"""

import os
from pathlib import Path

from common import NOT_RUNNING, OK, Ecssh, expect, expect_in, rules_one_by_one, slow, timeout
from lab import BUILD, Lab, diff, wait_for

PLACE = Path("/run/faulty.bin")
SUBNETS = ("10.77.0.0/24", "fd77::/64", "10.9.0.0/24")
NAMES = ("--dns", "all", "--dns-server", "10.77.0.2")
STEPS_MAX = 60
OF_THE_SWITCH = ("ecssh-kill-gw", "/run/ecssh-kill/")


def install(lab: Lab) -> None:
    """Programs that find the faulty ones beside them."""
    lab.near.run(["mkdir", "-p", PLACE])
    for name in ("ecssh", "ecssh-helper", "ecssh-dial"):
        lab.near.run(["cp", BUILD / name, PLACE / name])
    for name in ("broker", "dns", "kill"):
        lab.near.run(["cp", BUILD / f"test/tools/faulty_{name}", PLACE / f"ecssh-{name}"])
    lab.near.write("/etc/resolv.conf", "nameserver 192.0.2.1\n")


class Round:
    """Up and down with a death at that step."""

    def __init__(self, lab: Lab, who: str, when: str, number: int, options: tuple):
        self.lab, self.name = lab, f"{who} {when} {number}"
        lab.near.write("/run/faulty", self.name)
        lab.near.write("/run/faulty.done", "")
        os.chmod(lab.near.path("/run/faulty.done"), 0o666)
        self.before = self.state()
        up = Ecssh(lab.near, "up", *options, "gw", *SUBNETS, program=str(PLACE / "ecssh"))
        wait_for(lambda: "ecssh: connected to" in up.stderr() or up.process.poll() is not None, 20, "up or dead")
        if up.process.poll() is None:
            lab.near.run([PLACE / "ecssh", "down"], check=False)
        up.wait(10)
        self.said = up.stderr()
        wait_for(lambda: not lab.near.processes("^ecssh"), 5, f"{self.name}: no process is left")
        self.has_died = lab.near.path("/run/faulty.done").read_text() == "done"
        self.left = self.changed()

    def state(self) -> dict:
        near = self.lab.near
        return {**rules_one_by_one(near.snapshot()),
                "etc": sorted(path.name for path in near.path("/etc").glob(".resolv*")),
                "records": sorted(path.name for path in near.path("/var/lib/ecssh").glob("dns-*"))}

    def changed(self, but: tuple = ()) -> list[str]:
        return [line for line in diff(self.before, self.state())
                if not any(part in line for part in ("faulty.done", *but))]

    def expect_as_before(self, but: tuple = ()) -> None:
        try:
            wait_for(lambda: not self.changed(but), 5)
        except TimeoutError:
            raise AssertionError(f"{self.name}: " + "\n".join(self.changed(but)) + "\n" + self.said) from None

    def clean_up(self, but: tuple = ()) -> None:
        result = self.lab.near.run(["ecssh", "cleanup"], check=False)
        expect(result.returncode, OK, "cleanup: " + result.stderr)
        # Of a record that was followed by no change nothing is said.
        left = [line for line in self.left if not any(part in line for part in ("records: ", *but))]
        assert "taken back" in result.stderr or not left, f"{self.name}: {left}\n{result.stderr}"
        self.expect_as_before(but)

    def lift(self) -> bool:
        """A switch that is in force is told, and lifted when the user says so: was there one?"""
        near = self.lab.near
        is_in_force = "ecssh-kill-gw" in near.run(["nft", "list", "tables"]).stdout
        status = near.run(["ecssh", "status"], "alice", check=False)
        is_told = "the kill switch of gw" in status.stdout
        expect(status.returncode, NOT_RUNNING, self.name)
        assert is_told or not is_in_force, f"{self.name}: in force, and nobody is told"
        if is_told:
            expect_in("the kill switch of gw", near.run(["ecssh", "cleanup"]).stderr)
            expect(near.run(["ecssh", "down", "gw"]).returncode, OK, self.name)
        return is_in_force


def every_step(lab: Lab, who: str, when: str, options: tuple, check, at_least: int = 0) -> tuple[int, int]:
    """Until there are no more; returns how many there were, and how often something was left."""
    n_left = 0
    for number in range(1, STEPS_MAX):
        one = Round(lab, who, when, number, options)
        assert one.has_died or not one.left, one.left
        check(one)
        n_left += bool(one.left)
        if not one.has_died and number > at_least:
            return number - 1, n_left
    raise AssertionError(f"more than {STEPS_MAX} steps")


def broker_dies(lab: Lab, when: str, *options: str) -> None:
    def check(one: Round) -> None:
        one.clean_up(OF_THE_SWITCH)
        one.lift()
        one.expect_as_before()
    install(lab)
    _, n_left = every_step(lab, "broker", when, options, check, 10)     # not all of the first have a moment before
    assert n_left > 3, f"control: only {n_left} deaths left anything"


@slow
@timeout(400)
def test_killed_before_each_change(lab: Lab):
    """Changes of what goes with the device are not written down, and have no moment before."""
    broker_dies(lab, "before")


@slow
@timeout(400)
def test_killed_after_each_change(lab: Lab):
    broker_dies(lab, "after")


@slow
@timeout(500)
def test_killed_before_each_change_with_names_and_kill_switch(lab: Lab):
    broker_dies(lab, "before", *NAMES, "--kill-switch")


@slow
@timeout(500)
def test_killed_after_each_change_with_names_and_kill_switch(lab: Lab):
    broker_dies(lab, "after", *NAMES, "--kill-switch")


def names_die(lab: Lab) -> int:
    """ecssh-dns and its guardian, before each step; broker and keeper live to take back the rest. Returns how many."""
    install(lab)
    n, n_left = every_step(lab, "dns", "before", NAMES, Round.clean_up)
    assert n_left > 3, f"control: only {n_left} of {n} deaths left anything"
    return n


@slow
@timeout(500)
def test_killed_at_each_step_of_names(lab: Lab):
    n = names_die(lab)
    _, n_left = every_step(lab, "dns", "torn", NAMES, Round.clean_up, n)        # only some are steps that write
    assert n_left > 0, "control: no death left anything half written"


@slow
@timeout(500)
def test_killed_at_each_step_of_names_in_place(lab: Lab):
    """Where another file cannot take the place of resolv.conf, ours is written into it."""
    lab.near.run(["mount", "--bind", "/etc/resolv.conf", "/etc/resolv.conf"])
    every_step(lab, "dns", "torn", NAMES, Round.clean_up, names_die(lab))


@slow
@timeout(500)
def test_killed_at_each_step_of_the_kill_switch(lab: Lab):
    """There is no moment at which it is in force and nobody knows, or it cannot be lifted."""
    def check(one: Round) -> None:
        found.append(one.lift())
        # What was half written goes with the next note.
        expect(Ecssh(lab.near, "up", "--block-only", "gw").wait(), OK, one.name)
        assert one.lift(), one.name
        one.expect_as_before()
    found: list[bool] = []
    install(lab)
    n, _ = every_step(lab, "kill", "after", ("--kill-switch",), check)
    for when in ("before", "torn"):
        every_step(lab, "kill", when, ("--kill-switch",), check, n)
    assert True in found and False in found, f"control: {found}"
