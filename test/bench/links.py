# SPDX-License-Identifier: MIT
"""The lines that the benchmark measures on, from near to gw."""

from __future__ import annotations

from typing import NamedTuple, Optional


class Link(NamedTuple):
    title: str
    wan: Optional[dict]         # what lab.Wan is told; None: a plain veth pair
    settle_s: float             # start-up, which goodput and latency leave out; loss has to be noticed in it

    @property
    def up_mbit(self) -> Optional[float]:
        return self.wan and self.wan["rate_mbit"]

    @property
    def down_mbit(self) -> Optional[float]:
        return self.wan and self.wan.get("rate_down_mbit", self.wan["rate_mbit"])


LINKS: dict[str, Link] = {
    "veth": Link("plain veth", None, 1),
    "dsl": Link("50 Mbit/s, 40 ms, queue 200 ms", {"rate_mbit": 50, "rtt_ms": 40, "queue_ms": 200}, 1),
    "lossy": Link("50 Mbit/s, 40 ms, queue 200 ms, 1 % loss",
                  {"rate_mbit": 50, "rtt_ms": 40, "queue_ms": 200, "loss_percent": 1}, 6),
    "cable": Link("100 Mbit/s, 30 ms, 0.1 % loss",
                  {"rate_mbit": 100, "rtt_ms": 30, "queue_ms": 200, "loss_percent": 0.1}, 6),
    # cubic beneath, once out of slow start early, takes more than 5 s to the rate: reported as start-up.
    "long": Link("200 Mbit/s, 100 ms, queue 100 ms", {"rate_mbit": 200, "rtt_ms": 100, "queue_ms": 100}, 8),
    "slow": Link("10 Mbit/s, 60 ms, queue 300 ms", {"rate_mbit": 10, "rtt_ms": 60, "queue_ms": 300}, 1),
    "uneven": Link("100 Mbit/s down, 10 up, 30 ms, queue 200 ms",
                   {"rate_mbit": 10, "rate_down_mbit": 100, "rtt_ms": 30, "queue_ms": 200}, 1),
}
