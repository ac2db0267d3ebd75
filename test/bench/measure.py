# SPDX-License-Identifier: MIT
"""The measurements: each takes a way and returns {name of the value: value}.

Goodput is counted where it arrives. It and latencies under load leave out the start-up, as long as
the link says; start-up time is reported by itself. A latency is that of a request of 100 bytes and its
answer, 25 ms after the last one, or as soon as the last one is answered; datagrams do not wait.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass, field
from typing import Callable, NamedTuple

import load
from contestants import BULK, SMALL, Contestant
from lab import HELPER, Lab
from links import Link
from processes import Census

INTERVAL_MS = 25
QUANTILES = (50, 95, 99)
FETCHES = {"4": "10k", "5": "100k", "6": "1m"}      # 10^digit bytes
QUIET_S = 20            # for the queues of a measurement to run dry before the next one
Values = dict[str, float]


@dataclass
class Way:
    """A contestant that stands, on a link."""
    lab: Lab
    link: Link
    contestant: Contestant
    address: str
    census: Census
    seconds: float
    is_quick: bool
    idle_ms: float = 0
    series: dict[str, list] = field(default_factory=dict)

    def probe(self, kind: str, seconds: float):
        return load.program(self.lab.near, "probe", kind, self.address, SMALL, INTERVAL_MS, round(seconds, 2))

    def kinds(self) -> tuple[str, ...]:
        return ("tcp", "udp") if self.contestant.has_udp else ("tcp",)


def quantile(values: list[float], percent: float) -> float:
    """The smallest of the values that so many are not above."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def latency_values(prefix: str, found: list[load.Answer]) -> Values:
    times = [answer.took_ms for answer in found if not math.isnan(answer.took_ms)]
    values = {f"{prefix}_p{percent}_ms": quantile(times, percent) for percent in QUANTILES if times}
    if "_udp" in prefix and found:
        values[f"{prefix}_lost_percent"] = 100 * (1 - len(times) / len(found))
    return values


def mbit(count: float, seconds: float) -> float:
    return count * 8 / 1e6 / seconds


# -- bulk --------------------------------------------------------------------------------------------


class Bulk(NamedTuple):
    """What a time under load showed."""
    start_s: float
    up: load.Counters
    down: load.Counters
    answers: dict[str, list[load.Answer]]
    cpu_s: float

    def window(self, way: Way) -> tuple[float, float]:
        return self.start_s + way.link.settle_s, self.start_s + way.link.settle_s + way.seconds


def run_bulk(way: Way, ups: int, downs: int, kinds: tuple[str, ...] = ()) -> Bulk:
    seconds = way.link.settle_s + way.seconds + 2 * load.TICK_S
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(load.server(way.lab.far, BULK))
        probes = {kind: stack.enter_context(way.probe(kind, seconds + 0.2)) for kind in kinds}
        for probe in probes.values():
            probe.wait_line()
        cpu_s = way.census.cpu_s()
        bulk = stack.enter_context(load.program(way.lab.near, "bulk", way.address, BULK, seconds, ups, downs))
        lines = bulk.finish(seconds + 20)
        cpu_s = way.census.cpu_s() - cpu_s
        found = {kind: load.answers(probe.finish(seconds + 5)) for kind, probe in probes.items()}
        result = Bulk(int(lines[0]) / 1e6, load.Counters(server.lines()[1:]), load.Counters(lines[1:]), found, cpu_s)
    wait_quiet(way)
    return result


def wait_quiet(way: Way) -> None:
    """Until requests are answered as fast as on an idle line: queues of the last measurement are not the next one's."""
    limit_s = (1.3 * way.idle_ms + 5) / 1000
    end = time.monotonic() + QUIET_S
    with way.lab.near.connect(way.address, SMALL) as sock:
        sock.sendall(b"e")
        quiet = 0
        while quiet < 5 and time.monotonic() < end:
            start = time.monotonic()
            sock.sendall(b"?")
            if not sock.recv(1):
                raise load.LoadError("the connection has ended after the load")
            quiet = quiet + 1 if time.monotonic() - start < limit_s else 0


def rate_series(counters: load.Counters, start_s: float, end_s: float) -> list[tuple[float, float]]:
    """[(seconds since the start, Mbit/s)] for each tick."""
    times = [start_s + load.TICK_S * i for i in range(round((end_s - start_s) / load.TICK_S) + 1)]
    totals = [sum(counters.at(moment, stream) for stream in range(counters.streams())) for moment in times]
    return [(round(moment - start_s, 2), round(mbit(after - before, load.TICK_S), 2))
            for moment, before, after in zip(times[1:], totals, totals[1:])]


def latency_series(found: list[load.Answer], start_s: float) -> list[tuple[float, float]]:
    """[(seconds since the start, ms)]: the worst of the requests sent in each tick."""
    worst: dict[int, float] = {}
    for answer in found:
        tick = int((answer.sent_s - start_s) // load.TICK_S)
        if tick >= 0 and answer.took_ms > worst.get(tick, 0):
            worst[tick] = answer.took_ms
    return [(round(tick * load.TICK_S, 2), round(worst[tick], 2)) for tick in sorted(worst)]


def startup_s(series: list[tuple[float, float]], goal_mbit: float) -> float:
    """Until 90 % of what it is later were there for two ticks together."""
    for (_, first), (moment, second) in zip(series, series[1:]):
        if (first + second) / 2 >= 0.9 * goal_mbit:
            return moment
    return series[-1][0]


def one_way(way: Way, name: str, ups: int, downs: int) -> Values:
    """One stream: goodput, start-up, what it cost, and what requests beside it take."""
    bulk = run_bulk(way, ups, downs, way.kinds())
    start_s, end_s = bulk.window(way)
    counters = bulk.up if ups else bulk.down
    goodput = mbit(sum(counters.between(start_s, end_s)), way.seconds)
    series = rate_series(counters, bulk.start_s, end_s)
    way.series[f"{name}_mbit"] = series
    way.series[f"{name}_ms"] = latency_series(bulk.answers["tcp"], bulk.start_s)
    values = {f"{name}_mbit": goodput, f"{name}_startup_s": startup_s(series, goodput)}
    total = sum(counters.between(bulk.start_s, end_s + 1))
    if bulk.cpu_s > 0 and total > 0:
        values[f"{name}_cpu_s_per_gb"] = bulk.cpu_s / (total / 1e9)
    for kind, found in bulk.answers.items():
        inside = [answer for answer in found if start_s <= answer.sent_s <= end_s]
        values |= latency_values(f"{name}_{kind}", inside)
    return values


def up(way: Way) -> Values:
    return one_way(way, "up", 1, 0)


def down(way: Way) -> Values:
    return one_way(way, "down", 0, 1)


def both(way: Way) -> Values:
    """A stream each way at once."""
    bulk = run_bulk(way, 1, 1, ("tcp",))
    start_s, end_s = bulk.window(way)
    inside = [answer for answer in bulk.answers["tcp"] if start_s <= answer.sent_s <= end_s]
    return {"both_up_mbit": mbit(sum(bulk.up.between(start_s, end_s)), way.seconds),
            "both_down_mbit": mbit(sum(bulk.down.between(start_s, end_s)), way.seconds),
            **latency_values("both_tcp", inside)}


def jain(shares: list[float]) -> float:
    """1: all the same; 1/n: one has everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0


def eight(way: Way) -> Values:
    """Eight streams one way: together, and how evenly."""
    values: Values = {}
    for name, ups, downs in (("up", 8, 0), ("down", 0, 8)):
        bulk = run_bulk(way, ups, downs)
        shares = (bulk.up if ups else bulk.down).between(*bulk.window(way))
        values |= {f"eight_{name}_mbit": mbit(sum(shares), way.seconds), f"eight_{name}_jain": jain(shares)}
    return values


# -- small things ------------------------------------------------------------------------------------


def idle(way: Way) -> Values:
    """Latency and memory while nothing else happens."""
    values: Values = {}
    seconds = min(way.seconds, 5)
    with contextlib.ExitStack() as stack:
        probes = {kind: stack.enter_context(way.probe(kind, seconds)) for kind in way.kinds()}
        for kind, probe in probes.items():
            values |= latency_values(f"idle_{kind}", load.answers(probe.finish(seconds + 20)))
    way.idle_ms = values["idle_tcp_p50_ms"]
    if way.census.processes():
        values["pss_mib"] = way.census.pss_mib()
    return values


def fetches(way: Way) -> Values:
    """Time to the first byte and to the last one, of a new connection each."""
    values: Values = {}
    chosen = {"5": FETCHES["5"]} if way.is_quick else FETCHES
    for digit, name in chosen.items():
        with load.program(way.lab.near, "connections", "fetch", way.address, SMALL, digit, 5) as fetch:
            pairs = [[int(word) / 1e3 for word in line.split()] for line in fetch.finish(60)]
        values[f"fetch_{name}_first_ms"] = quantile([first for first, _ in pairs], 50)
        values[f"fetch_{name}_ms"] = quantile([last for _, last in pairs], 50)
    return values


def connections(way: Way) -> Values:
    """One after another, for a while."""
    values: Values = {}
    seconds = 1 if way.is_quick else 2
    modes = ("exchange",) if way.contestant.answers_early else ("connect", "exchange")
    for mode in modes:
        with load.program(way.lab.near, "connections", mode, way.address, SMALL, seconds) as program:
            per_s, median_us = program.finish(60)[0].split()
        values[f"{mode}_per_s"] = float(per_s)
        if mode == "connect":
            values["connect_p50_ms"] = int(median_us) / 1e3
    return values


def wakeups(way: Way) -> Values:
    """Context switches of all its processes while nothing happens."""
    if not way.census.processes():
        return {}
    time.sleep(1)
    before, seconds = way.census.switches(), 5
    time.sleep(seconds)
    return {"switches_per_s": (way.census.switches() - before) / seconds}


def flows(way: Way) -> Values:
    """Memory with many idle connections, each of which has carried 100 bytes both ways."""
    values: Values = {}
    for number in (1000, 10000):
        with load.program(way.lab.near, "connections", "hold", way.address, SMALL, number) as hold:
            values[f"flows_{number}_open_s"] = float(hold.wait_line(120))
            values[f"flows_{number}_pss_mib"] = way.census.pss_mib()
            values[f"flows_{number}_ends_mib"] = way.census.pss_mib(f"^ecssh$|{HELPER}")
        wait_quiet(way)
    return values


# -- which, and how long each takes ------------------------------------------------------------------


class Measure(NamedTuple):
    run: Callable[[Way], Values]
    seconds: Callable[[float, Link], float]         # about, from the seconds asked for
    is_in_quick: bool = True
    only: Callable[[str, str], bool] = lambda link, contestant: True


MEASURES: dict[str, Measure] = {
    "idle": Measure(idle, lambda seconds, link: min(seconds, 5) + 0.5),
    "up": Measure(up, lambda seconds, link: seconds + link.settle_s + 1.5),
    "down": Measure(down, lambda seconds, link: seconds + link.settle_s + 1.5),
    "both": Measure(both, lambda seconds, link: seconds + link.settle_s + 1.5),
    "eight": Measure(eight, lambda seconds, link: 2 * (seconds + link.settle_s + 1.5), False),
    "fetches": Measure(fetches, lambda seconds, link: 3),
    "connections": Measure(connections, lambda seconds, link: 3),
    "wakeups": Measure(wakeups, lambda seconds, link: 6, False, lambda link, name: link == "veth"),
    "flows": Measure(flows, lambda seconds, link: 10, False,
                     lambda link, name: link == "veth" and name == "ecssh"),
}
