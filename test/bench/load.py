# SPDX-License-Identifier: MIT
"""The load: starts the programs of test/bench/load in hosts of the lab and reads what they print.

They print times of the monotonic clock, which all hosts share, so what one end sent can be held
against what the other one received. Nothing of the control crosses the tunnel that is measured.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from typing import Iterator, NamedTuple

from lab import BUILD, Host, wait_for

PROGRAMS = BUILD / "test/bench/load"
TICK_S = 0.1


class LoadError(Exception):
    pass


class Program:
    """One of the programs at work; what it prints goes to a file, so that it never waits for us."""

    def __init__(self, host: Host, name: str, *arguments: object):
        self.name = name
        self.out = tempfile.TemporaryFile("w+")
        self.process = host.popen([PROGRAMS / f"bench-{name}", *arguments], stdin=subprocess.PIPE, stdout=self.out,
                                  stderr=subprocess.STDOUT)

    def lines(self) -> list[str]:
        """The whole lines printed so far."""
        self.out.seek(0)
        return [line[:-1] for line in self.out if line.endswith("\n")]

    def wait_line(self, timeout_s: float = 20) -> str:
        def first():
            return self.lines()[:1] or (self.process.poll() is not None and [""])
        line = wait_for(first, timeout_s, f"{self.name} begins")[0]
        if self.process.poll():
            raise LoadError(f"{self.name}: {' '.join(self.lines()) or 'ended early'}")
        return line

    def finish(self, timeout_s: float) -> list[str]:
        """Wait for its end and return what it printed."""
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise LoadError(f"{self.name} did not end within {timeout_s:.0f} s") from error
        if status != 0:
            raise LoadError(f"{self.name}: {(self.lines() or ['failed'])[-1]}")
        return self.lines()

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.out.close()


@contextlib.contextmanager
def program(host: Host, name: str, *arguments: object) -> Iterator[Program]:
    running = Program(host, name, *arguments)
    try:
        yield running
    finally:
        running.close()


@contextlib.contextmanager
def server(far: Host, port: int) -> Iterator[Program]:
    with program(far, "server", port) as running:
        running.wait_line()
        yield running


class Counters:
    """Bytes received so far on each stream, by time."""

    def __init__(self, lines: list[str]):
        rows = [[int(word) for word in line.split()] for line in lines if line[:1].isdigit()]
        self.rows = [(row[0] / 1e6, row[1:]) for row in rows]

    def at(self, time_s: float, stream: int) -> float:
        """Between two lines of counters, bytes are taken to have come evenly."""
        before = (0.0, 0)
        for time_now, counters in self.rows:
            now = (time_now, counters[stream] if stream < len(counters) else 0)
            if time_now >= time_s:
                share = (time_s - before[0]) / (time_now - before[0])
                return before[1] + share * (now[1] - before[1])
            before = now
        return before[1]

    def streams(self) -> int:
        return len(self.rows[-1][1]) if self.rows else 0

    def between(self, start_s: float, end_s: float) -> list[float]:
        """Bytes of each stream."""
        return [self.at(end_s, stream) - self.at(start_s, stream) for stream in range(self.streams())]


class Answer(NamedTuple):
    sent_s: float
    took_ms: float      # of a lost one: nan


def answers(lines: list[str]) -> list[Answer]:
    pairs = [line.split() for line in lines]
    return [Answer(int(sent) / 1e6, float("nan") if took == "lost" else int(took) / 1e3) for sent, took in pairs]
