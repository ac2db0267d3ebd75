# SPDX-License-Identifier: MIT
"""The wide area network of the lab: lab-link (link.c) between two hosts, and what it is told."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from typing import NamedTuple, Optional


class Wan(NamedTuple):
    """A link as it looks from near; all but rates hold for each of the two directions."""
    rate_mbit: Optional[float] = None           # up, from near to gw; None: unlimited
    rate_down_mbit: Optional[float] = None      # None: as rate_mbit
    rtt_ms: float = 0                           # half of it each way
    queue_ms: float = 200                       # of the rate; what does not fit is dropped
    loss_percent: float = 0
    burst: float = 1                            # mean number of losses in a row; 1: each by itself
    jitter_ms: float = 0                        # each way, more or less; order is kept
    reorder_percent: float = 0                  # overtake: no delay for them
    duplicate_percent: float = 0
    seed: int = 1                               # of the luck; not changed by set()

    def line(self, rate_mbit: Optional[float]) -> str:
        """One direction, in lab-link's words."""
        return (f"rate={rate_mbit or 0},delay_ms={self.rtt_ms / 2},queue_ms={self.queue_ms},loss={self.loss_percent},"
                f"burst={self.burst},jitter_ms={self.jitter_ms},reorder={self.reorder_percent},"
                f"duplicate={self.duplicate_percent}")

    def lines(self) -> dict[str, str]:
        down_mbit = self.rate_mbit if self.rate_down_mbit is None else self.rate_down_mbit
        return {"up": self.line(self.rate_mbit), "down": self.line(down_mbit)}


class WanError(Exception):
    pass


class WanLink:
    """lab-link at work. It ends when we do: its standard input closes."""

    def __init__(self, program: Path, left: str, right: str, wan: Wan):
        self.now = wan
        lines = wan.lines()
        self.process = subprocess.Popen(
            [program, "--left", left, "--right", right, "--up", lines["up"], "--down", lines["down"],
             "--seed", str(wan.seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        said = self.process.stdout.readline()
        if said != "ready\n":
            self.close()
            raise WanError(said.strip() or "lab-link ended without a word")

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):      # a command that it no longer read
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def tell(self, command: str) -> str:
        """Give lab-link a command, return its answer."""
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass                                # what it said before its end is there to read
        answer = self.process.stdout.readline().strip()
        if not answer or answer.startswith(("error:", "lab-link:")):
            raise WanError(f"{command}: {answer or 'lab-link has ended'}")
        return answer

    def set(self, **changes: object) -> None:
        """Change fields of Wan from now on; what is past the bottleneck keeps its time."""
        changed = self.now._replace(**changes)
        for direction, line in changed.lines().items():
            self.tell(f"{direction} {line}")
        self.now = changed

    def blackout(self, is_on: bool) -> None:
        """Let nothing through the bottleneck, both ways; queues fill up and overflow."""
        self.tell(f"blackout {'on' if is_on else 'off'}")

    def reset(self) -> None:
        """Begin counting again."""
        self.tell("reset")

    def stats(self) -> dict[str, dict]:
        """Counters of "up" and "down" since the start, or reset(). `late` counts packets that left more than 1 ms
        after their time, because the machine was too busy: where it grows, the link was not as set."""
        return json.loads(self.tell("stats"))
