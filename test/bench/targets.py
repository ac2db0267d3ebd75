# SPDX-License-Identifier: MIT
"""The targets: what ecssh is to reach on cubic hosts, in one run, and whether a run shows it."""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional

Row = Callable[[str], dict[str, float]]     # the values of a contestant on the target's link
MIB_PER_MB = 1e6 / 2 ** 20


class Target(NamedTuple):
    link: str
    what: str
    value: Callable[[Row], float]
    is_minimum: bool
    bound: Callable[[Row], float]


def ratio(key: str, ours: str, theirs: str) -> Callable[[Row], float]:
    return lambda row: row(ours)[key] / row(theirs)[key]


def value(name: str, key: str) -> Callable[[Row], float]:
    return lambda row: row(name)[key]


def worst(name: str, *keys: str) -> Callable[[Row], float]:
    return lambda row: max(row(name)[key] for key in keys)


def least(name: str, *keys: str) -> Callable[[Row], float]:
    return lambda row: min(row(name)[key] for key in keys)


def of_fastest(key: str, by: str, *names: str) -> Callable[[Row], float]:
    """A value of that one of the contestants whose goodput is the highest: not the best of each."""
    return lambda row: row(max(names, key=lambda name: row(name).get(by, 0)))[key]


def both_beside_alone(way: str) -> Callable[[Row], float]:
    """Both at once without tunnel, the two streams' acknowledgements hold each other up: that is no measure."""
    return lambda row: row("ecssh")[f"both_{way}_mbit"] / row("none")[f"{way}_mbit"]


def constant(bound: float) -> Callable[[Row], float]:
    return lambda row: bound


def idle_and(more_ms: float, name: str = "ecssh") -> Callable[[Row], float]:
    return lambda row: row(name)["idle_tcp_p50_ms"] + more_ms


def at_least(link: str, what: str, measured: Callable[[Row], float], bound: float) -> Target:
    return Target(link, what, measured, True, constant(bound))


def at_most(link: str, what: str, measured: Callable[[Row], float], bound: Callable[[Row], float]) -> Target:
    return Target(link, what, measured, False, bound)


def latency(link: str, more_ms: float) -> list[Target]:
    return [at_most(link, f"p95 beside a stream {way}, ms: idle + {more_ms:g}", value("ecssh", f"{way}_tcp_p95_ms"),
                    idle_and(more_ms)) for way in ("up", "down")]


def of_no_tunnel(link: str, share: float) -> list[Target]:
    return [at_least(link, f"{way}: × no tunnel", ratio(f"{way}_mbit", "ecssh", "none"), share)
            for way in ("up", "down")]


def of_the_rate(link: str, way: str, name: str, rate_mbit: float, share: float) -> Target:
    return at_least(link, f"{way}, {name}: × the rate",
                    lambda row: row(name)[f"{way}_mbit"] / rate_mbit, share)


TARGETS: list[Target] = [
    at_least("veth", "helper rung up: × `ssh -L`", ratio("up_mbit", "ecssh", "ssh-L"), 0.52),
    at_least("veth", "helper rung down: × `ssh -L`", ratio("down_mbit", "ecssh", "ssh-L"), 0.62),
    at_least("veth", "direct rung up: × `ssh -L`", ratio("up_mbit", "ecssh-direct", "ssh-L"), 0.65),
    at_least("veth", "direct rung down: × `ssh -L`", ratio("down_mbit", "ecssh-direct", "ssh-L"), 0.75),
    *(at_least("veth", f"{way}: × {other}", ratio(f"{way}_mbit", "ecssh", other), share)
      for other, share in (("ssh-w", 8), ("sshuttle", 15)) for way in ("up", "down")),
    at_most("veth", "p95 beside a stream, ms", worst("ecssh", "up_tcp_p95_ms", "down_tcp_p95_ms"), constant(3)),

    *of_no_tunnel("dsl", 0.97),
    *(at_least("dsl", f"{way} while both at once: × no tunnel {way} alone", both_beside_alone(way), 0.9)
      for way in ("up", "down")),
    *latency("dsl", 12),

    *(of_the_rate("long", way, "ecssh", 200, 0.9) for way in ("up", "down")),
    *latency("long", 15),
    at_most("long", "a fetch of 100 kB, ms: sooner than without tunnel", value("ecssh", "fetch_100k_ms"),
            value("none", "fetch_100k_ms")),

    *of_no_tunnel("slow", 0.95),
    *latency("slow", 30),

    of_the_rate("lossy", "up", "ecssh-bbr", 50, 0.8),
    of_the_rate("lossy", "down", "ecssh-root", 50, 0.8),
    at_least("lossy", "down without privilege, the better of one and four connections: × `ssh -w`",
             lambda row: max(row(name).get("down_mbit", 0) for name in ("ecssh", "ecssh-4"))
             / row("ssh-w")["down_mbit"], 3),
    *(at_most("lossy", f"p95 beside a stream {way}, {name}, ms: 2 × round trip + 100",
              value(name, f"{way}_tcp_p95_ms"), constant(180))
      for way, name in (("up", "ecssh-bbr"), ("down", "ecssh-root"))),
    at_most("lossy", "p95 beside a stream down without privilege, the faster of one and four connections, ms: "
            "2 × round trip + 100", of_fastest("down_tcp_p95_ms", "down_mbit", "ecssh", "ecssh-4"), constant(180)),

    *(at_least(link, "Jain index of eight flows", least("ecssh", "eight_up_jain", "eight_down_jain"), 0.95)
      for link in ("veth", "dsl", "lossy", "long", "slow")),
    at_most("veth", "10,000 idle flows: memory of both ends, MiB", value("ecssh", "flows_10000_ends_mib"),
            constant(320 * MIB_PER_MB)),
    at_most("veth", "10,000 idle flows: opened in, s", value("ecssh", "flows_10000_open_s"), constant(10)),
]


class Outcome(NamedTuple):
    target: Target
    measured: Optional[float]       # None: this run does not say
    bound: Optional[float]

    @property
    def word(self) -> str:
        if self.measured is None or self.bound is None:
            return "not measured"
        is_met = self.measured >= self.bound if self.target.is_minimum else self.measured <= self.bound
        return "pass" if is_met else "FAIL"


def judge(results: dict, target: Target) -> Outcome:
    contestants = results["links"].get(target.link, {"contestants": {}})["contestants"]

    def row(name: str) -> dict[str, float]:
        return contestants.get(name, {"values": {}})["values"]

    def known(function: Callable[[Row], float]) -> Optional[float]:
        try:
            return function(row)
        except (KeyError, ZeroDivisionError):
            return None
    return Outcome(target, known(target.value), known(target.bound))


def judge_all(results: dict) -> list[Outcome]:
    return [judge(results, target) for target in TARGETS]


def as_json(outcomes: list[Outcome]) -> list[dict]:
    return [{"link": one.target.link, "what": one.target.what, "measured": one.measured, "bound": one.bound,
             "is_minimum": one.target.is_minimum, "outcome": one.word} for one in outcomes]
