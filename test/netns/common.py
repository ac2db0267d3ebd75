# SPDX-License-Identifier: MIT
"""What the tests of this folder share."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from typing import Optional

import lab as lab_module
from lab import HELPER, SUBNETS, Host, Lab, Wan, diff, family_of, wait_for

# Exit codes of ecssh
OK, RUNTIME, USAGE, NOT_RUNNING, PRIVILEGE, GATEWAY, SSH = 0, 1, 2, 3, 4, 5, 255


ANOTHER_SSH = """#!/bin/sh
    # Like an ssh that knows no control socket.
    n=$#
    for word; do
        case $word in ControlMaster=yes) word=ControlMaster=no;; esac
        set -- "$@" "$word"
    done
    shift $n
    exec /usr/bin/ssh "$@"
"""


class Skip(Exception):
    """The test cannot run here, and why."""


def slow(function):
    """Leave the test out of --quick."""
    function.is_slow = True
    return function


def alone(function):
    """Run the test when no other does: it measures times, or what a line or a processor gives."""
    function.alone_with = f"{function.__module__}.{function.__name__}"
    return function


def alone_with(name: str):
    """The same, but for others of this name: they measure at different times, and wait before."""
    def mark(function):
        function.alone_with = name
        return function
    return mark


def timeout(seconds: float):
    def mark(function):
        function.timeout_s = seconds
        return function
    return mark


def over(wan: Wan):
    """The test's lab has this between near and gw."""
    def mark(function):
        function.wan = wan
        return function
    return mark


def expect(value, wanted, what: str = "") -> None:
    assert value == wanted, f"{what}: got {value!r}, wanted {wanted!r}"


def expect_in(part: str, text: str) -> None:
    assert part.lower() in text.lower(), f"{part!r} is not in:\n{text}"


def expect_soon(since: float, seconds: float, what: str) -> None:
    """It has taken no longer than that since then (time.monotonic()); with the patience that is right beside others."""
    took_s = time.monotonic() - since
    assert took_s <= seconds * lab_module.patience, f"{what} took {took_s:.2f} s"


def rules_one_by_one(snapshot: dict) -> dict:
    """Of nftables, and without the numbers that the kernel gives them, which those made anew do not keep."""
    def unnumbered(value):
        if isinstance(value, dict):
            return {key: unnumbered(item) for key, item in value.items() if key != "handle"}
        return [unnumbered(item) for item in value] if isinstance(value, list) else value
    return {**snapshot, "nft": unnumbered(snapshot["nft"]["nftables"])}


class Ecssh:
    """A foreground `ecssh` process on near, its messages in a file."""

    def __init__(self, host: Host, *arguments: object, user: str = "root", env: Optional[dict] = None,
                 prefix: tuple = (), program: str = "ecssh", **options):
        self.host, self.user, self.env = host, user, env
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        self.process = host.popen([*prefix, program, *arguments], user, env, stdout=self.output,
                                  stderr=self.output, **options)

    def stderr(self) -> str:
        return os.pread(self.output.fileno(), 1 << 20, 0).decode(errors="replace")

    def wait(self, seconds: float = 15.0) -> int:
        """The exit status; a hang is a failure."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"ecssh still runs after {seconds:g} s; it said:\n{self.stderr()}") from None

    def connected(self, seconds: float = 20.0) -> Ecssh:
        """Wait for the line that says so."""
        wait_for(lambda: "ecssh: connected to" in self.stderr() or self.process.poll() is not None, seconds,
                 "connected; ecssh said: " + self.stderr())
        assert self.process.poll() is None, f"ecssh ended with {self.process.returncode}:\n{self.stderr()}"
        return self

    def fails(self, code: int, *mentions: str, seconds: float = 20.0) -> str:
        """Expect an end with this status after one readable message."""
        expect(self.wait(seconds), code, "exit status; it said:\n" + self.stderr())
        said = self.stderr()
        for mention in mentions:
            expect_in(mention, said)
        lines = [line for line in said.splitlines() if line.startswith("ecssh:")]
        assert lines, f"no message of ecssh's own in:\n{said}"
        return said

    def interrupt(self) -> None:
        """What Ctrl-C does: the signal goes to the whole foreground process group."""
        os.killpg(self.process.pid, signal.SIGINT)


class Tunnel(Ecssh):
    """`ecssh up`, waited for."""

    def __init__(self, lab: Lab, *arguments: object, to: str = "gw", subnets: tuple = SUBNETS, **options):
        self.lab = lab
        self.before = lab.near.snapshot()
        self.gw_before = lab.gw.process_list()
        super().__init__(options.pop("host", lab.near), "up", *arguments, to, *subnets, **options)
        self.connected()

    def status(self, *arguments: str) -> dict:
        """This host's only tunnel as `status --json` shows it."""
        out = self.host.run(["ecssh", "status", "--json", *arguments], self.user, self.env).stdout
        report = json.loads(out)
        expect(report["version"], 1, "version of status --json")
        expect(len(report["tunnels"]), 1, "number of tunnels")
        return report["tunnels"][0]

    def drops(self) -> str:
        return self.host.run(["ecssh", "status", "--drops"], self.user, self.env).stdout

    def down(self, *name: str) -> None:
        self.host.run(["ecssh", "down", *name], self.user, self.env)
        expect(self.wait(5), OK, "exit status of up after down:\n" + self.stderr())

    def helper(self):
        """The helper's process on gw."""
        return self.lab.gw.process(HELPER)

    def engine(self):
        """The near engine's process."""
        return self.host.process("^ecssh$")

    def expect_restored(self, seconds: float = 5.0, except_for: str = "") -> None:
        """Near is exactly as before (but for lines with this text); on gw no process is left."""
        def changed() -> list[str]:
            near = diff(self.before, self.lab.near.snapshot())
            gw = diff({"processes": self.gw_before}, {"processes": self.lab.gw.process_list()})
            return [line for line in near if not except_for or except_for not in line] + [f"gw: {line}" for line in gw]
        try:
            wait_for(lambda: not changed(), seconds)
        except TimeoutError:
            raise AssertionError("not restored:\n" + "\n".join(changed())) from None


def connect_error(host: Host, address: str, port: int, seconds: float = 10.0) -> str:
    """How a connection attempt ends: "connected", "timeout" or the name of the errno. Give a time where silence is
    expected, and nowhere else."""
    with host.socket(family_of(address)) as sock:
        sock.settimeout(seconds)
        try:
            sock.connect((address, port))
            return "connected"
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return errno.errorcode[error.errno]


def connect_errors(host: Host, address: str, ports: range, seconds: float = 10.0) -> list[str]:
    """The same for many ports at a time."""
    with host.network():
        socks = [socket.socket(family_of(address), socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in ports]
    poll, results = select.poll(), {}
    waiting = {sock.fileno(): sock for sock in socks}

    def end(descriptor: int, code: int) -> None:
        results[descriptor] = errno.errorcode[code] if code else "connected"
        waiting.pop(descriptor).close()
    for sock, port in zip(socks, ports):
        code = sock.connect_ex((address, port))
        if code in (0, errno.EINPROGRESS):
            poll.register(sock, select.POLLOUT)
        else:
            end(sock.fileno(), code)
    while waiting and (ready := poll.poll(seconds * 1000)):
        for descriptor, _ in ready:
            poll.unregister(descriptor)
            end(descriptor, waiting[descriptor].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    for sock in waiting.values():
        sock.close()
    return [*results.values(), *["timeout"] * len(waiting)]
