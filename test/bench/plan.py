# SPDX-License-Identifier: MIT
"""Which contestant is measured on which link in which order; what fails is noted, and the rest goes on."""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from typing import Iterator, NamedTuple, Optional

import load
from contestants import CONTESTANTS, SMALL, Contestant, reachable, standing
from lab import Lab
from links import LINKS, Link
from measure import MEASURES, Way
from processes import Census
from wan import Wan

STAND_S = 3         # what a contestant takes to come and go, about
LATE_PERCENT = 2    # of packets: more than that, and the emulator was not the line that it should be


class Plan(NamedTuple):
    links: list[str]
    contestants: list[str]
    seconds: float
    repeat: int
    is_quick: bool
    only: Optional[list[str]]   # of MEASURES; None: all

    def contestants_on(self, link: str) -> list[str]:
        return [name for name in self.contestants if CONTESTANTS[name].links is None or link in CONTESTANTS[name].links]

    def measures(self, link: str, contestant: str) -> list[str]:
        return [name for name, measure in MEASURES.items()
                if (name in self.only if self.only else measure.is_in_quick or not self.is_quick)
                and measure.only(link, contestant)]

    def seconds_of(self, link: str, contestant: str) -> float:
        """About how long one contestant takes on one link, once."""
        return STAND_S + sum(MEASURES[name].seconds(self.seconds, LINKS[link])
                             for name in self.measures(link, contestant))

    def seconds_in_all(self) -> float:
        return self.repeat * sum(self.seconds_of(link, name)
                                 for link in self.links for name in self.contestants_on(link))


class Progress:
    """Lines on stderr: where we are, and how long it will take."""

    def __init__(self, seconds: float):
        self.start, self.planned_s, self.total_s = time.monotonic(), 0.0, seconds

    def left(self) -> str:
        """By the plan, stretched as what is done was."""
        passed = time.monotonic() - self.start
        pace = passed / self.planned_s if self.planned_s > 60 else 1
        seconds = max(0, self.total_s - self.planned_s) * max(pace, 0.5)
        return f"{seconds / 60:.0f} min left" if seconds > 90 else f"{seconds:.0f} s left"

    def say(self, where: str, text: str) -> None:
        print(f"bench: [{self.left()}] {where}: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def bench_lab(link: Link) -> Iterator[Lab]:
    """The lab with this link in it, and what serves on far."""
    with Lab(with_services=False, wan=Wan(**link.wan) if link.wan else None) as lab:
        for host in (lab.near, lab.gw, lab.far):
            host.sysctl(ipv4__ip_local_port_range="1024 65535")
        lab.sshd(port=2222, PermitTunnel="point-to-point", PermitRootLogin="prohibit-password")
        with load.server(lab.far, SMALL):
            yield lab


def reason(error: Exception) -> str:
    """One line, of the end of what may be the output of a whole command."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return (lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}")[:300]


class LinkRun:
    """One link with all its contestants; collects `results[link]`."""

    def __init__(self, plan: Plan, key: str, progress: Progress):
        self.plan, self.key, self.link, self.progress = plan, key, LINKS[key], progress
        self.contestants: dict[str, dict] = {
            name: {"title": CONTESTANTS[name].title, "samples": {}, "series": {}, "failed": []}
            for name in plan.contestants_on(key)}

    def note_failure(self, name: str, what: str, error: Exception) -> None:
        line = f"{what}: {reason(error)}"
        if line not in self.contestants[name]["failed"]:
            self.contestants[name]["failed"].append(line)
        self.progress.say(f"{self.link.title}: {name}", f"FAILED: {line}")

    def measure(self, name: str, way: Way) -> None:
        """All measurements of one contestant that stands."""
        samples = self.contestants[name]["samples"]
        for what in self.plan.measures(self.key, name):
            self.progress.say(f"{self.link.title}: {name}", what)
            try:
                values = MEASURES[what].run(way)
            except Exception as error:      # whatever it is: the others are still to be measured
                self.note_failure(name, what, error)
                if not reachable(way.lab, way.address):
                    raise RuntimeError("it carries nothing any more") from error
                continue
            for key, value in values.items():
                samples.setdefault(key, []).append(value)
            self.progress.planned_s += MEASURES[what].seconds(self.plan.seconds, self.link)
        for key, series in way.series.items():
            self.contestants[name]["series"].setdefault(key, series)

    def run_one(self, lab: Lab, name: str) -> bool:
        """Returns whether the lab can be used for the next one."""
        contestant: Contestant = CONTESTANTS[name]
        census = Census(lab)
        try:
            with standing(lab, contestant) as (address, connect_s):
                self.contestants[name]["samples"].setdefault("stand_s", []).append(connect_s)
                self.measure(name, Way(lab, self.link, contestant, address, census, self.plan.seconds,
                                       self.plan.is_quick))
            return True
        except Exception as error:
            self.note_failure(name, "standing", error)
            return False

    def todo(self) -> list[str]:
        """Each repeat with all of them, so that a slow minute of the machine does not hit one alone."""
        return list(self.contestants) * self.plan.repeat

    def run(self) -> dict:
        names, late_percent = self.todo(), 0.0
        while names:
            with bench_lab(self.link) as lab:
                is_fine = True
                while names and is_fine:
                    name = names.pop(0)
                    planned_s = self.progress.planned_s + self.plan.seconds_of(self.key, name)
                    is_fine = self.run_one(lab, name)
                    self.progress.planned_s = planned_s     # also where much of it failed
                late_percent = max(late_percent, self.late_percent(lab))
        if late_percent > LATE_PERCENT:
            self.progress.say(self.link.title, f"the emulator was late with {late_percent:.1f} % of the packets")
        for result in self.contestants.values():
            result["values"] = {key: statistics.median(values) for key, values in result["samples"].items()}
        return {"title": self.link.title, "wan": self.link.wan, "settle_s": self.link.settle_s,
                "late_percent": late_percent, "contestants": self.contestants}

    def late_percent(self, lab: Lab) -> float:
        if not self.link.wan:
            return 0.0
        ways = lab.wan.stats().values()
        return 100 * sum(way["late"] for way in ways) / max(1, sum(way["delivered"] for way in ways))


def run(plan: Plan) -> dict:
    """{link: result}."""
    progress = Progress(plan.seconds_in_all())
    progress.say("all", f"{len(plan.links)} links, {len(plan.contestants)} contestants, {plan.repeat} times")
    return {key: LinkRun(plan, key, progress).run() for key in plan.links}
