# SPDX-License-Identifier: MIT
"""SVG by hand: goodput and latency over time of all contestants on one link, readable on light and on dark."""

from __future__ import annotations

import math
from html import escape
from typing import NamedTuple

COLOURS = ("#808080", "#d62728", "#ff7f0e", "#e377c2", "#8c564b", "#bcbd22", "#b5651d", "#c94f7c", "#a0522d", "#1f77b4",
           "#17becf", "#2ca02c", "#9467bd", "#6a5acd", "#20b2aa")
PANEL_W, PANEL_H, LEFT, TOP, GAP_X, GAP_Y, LEGEND_H = 400, 200, 60, 50, 70, 56, 20
WIDTH = LEFT + 2 * PANEL_W + GAP_X + 20
STYLE = """
    text { font: 12px sans-serif; fill: #555; }
    .title { font-size: 14px; font-weight: bold; }
    .grid { stroke: #888; stroke-opacity: 0.25; }
    .axis { stroke: #888; fill: none; }
    .line { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
    @media (prefers-color-scheme: dark) { text { fill: #bbb; } }
"""
Points = list[tuple[float, float]]


class Scale(NamedTuple):
    """Values of one axis to pixels."""
    low: float
    high: float
    is_log: bool
    ticks: list[float]

    def share(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear(high: float) -> Scale:
    """From 0, with about five round ticks."""
    high = max(high, 1e-3)
    power = 10 ** math.floor(math.log10(high / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * 5 >= high)
    count = math.ceil(high / step)
    return Scale(0, step * count, False, [step * i for i in range(count + 1)])


def logarithmic(values: list[float]) -> Scale:
    """Whole powers of ten around the values."""
    low = math.floor(math.log10(max(min(values, default=1), 0.01)))
    high = max(math.ceil(math.log10(max(max(values, default=10), 0.01))), low + 1)
    return Scale(10.0 ** low, 10.0 ** high, True, [10.0 ** power for power in range(low, high + 1)])


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{attribute}>{escape(words)}</text>'


def segment(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


class Panel(NamedTuple):
    """One diagram, with its corner at left, top."""
    left: float
    top: float
    title: str
    lines: dict[str, Points]        # by contestant
    time: Scale
    scale: Scale

    def place(self, moment: float, value: float) -> str:
        return (f"{self.left + PANEL_W * self.time.share(moment):.1f},"
                f"{self.top + PANEL_H * (1 - self.scale.share(value)):.1f}")

    def frame(self) -> list[str]:
        bottom, right = self.top + PANEL_H, self.left + PANEL_W
        parts = [text(self.left, self.top - 10, self.title)]
        for tick in self.scale.ticks:
            y = bottom - PANEL_H * self.scale.share(tick)
            parts += [segment(self.left, y, right, y, "grid"), text(self.left - 6, y + 4, f"{tick:g}", "end")]
        for tick in self.time.ticks:
            x = self.left + PANEL_W * self.time.share(tick)
            parts += [segment(x, self.top, x, bottom, "grid"), text(x, bottom + 16, f"{tick:g}", "middle")]
        parts.append(f'<path class="axis" d="M{self.left},{self.top} V{bottom} H{right}"/>')
        parts.append(text(right, bottom + 32, "seconds", "end"))
        return parts

    def draw(self, colours: dict[str, str]) -> list[str]:
        curves = [f'<polyline class="line" stroke="{colours[name]}" points="'
                  + " ".join(self.place(*point) for point in points) + '"/>'
                  for name, points in self.lines.items() if points]
        return self.frame() + curves


def legend(titles: dict[str, str], colours: dict[str, str], top: float) -> list[str]:
    parts, columns = [], 4
    for i, (name, title) in enumerate(titles.items()):
        x, y = LEFT + (i % columns) * (WIDTH - LEFT) / columns, top + (i // columns) * LEGEND_H
        parts.append(f'<line x1="{x:.1f}" y1="{y - 4:.1f}" x2="{x + 18:.1f}" y2="{y - 4:.1f}" stroke="{colours[name]}" '
                     'stroke-width="3"/>')
        parts.append(text(x + 24, y, title.replace("`", "")))
    return parts


def panels(link: dict) -> list[Panel]:
    """Goodput above, latency below; up on the left, down on the right, with the same scales."""
    series = {name: result["series"] for name, result in link["contestants"].items() if result["series"]}

    def lines(key: str) -> dict[str, Points]:
        return {name: [tuple(point) for point in found.get(key, [])] for name, found in series.items()}

    def values(*keys: str) -> list[float]:
        return [value for key in keys for points in lines(key).values() for _, value in points]
    time = linear(max((moment for key in ("up_mbit", "down_mbit") for points in lines(key).values()
                       for moment, _ in points), default=1))
    wan = link["wan"] or {}
    rates = {"up": wan.get("rate_mbit"), "down": wan.get("rate_down_mbit") or wan.get("rate_mbit")}
    found = []
    for column, way in enumerate(("up", "down")):
        left, rate = LEFT + column * (PANEL_W + GAP_X), rates[way]
        # A queue that empties into an application at once shows as more than the line's rate: cut it off.
        rate_scale = linear(rate * 1.15 if rate else max(values("up_mbit", "down_mbit"), default=1))
        found.append(Panel(left, TOP + 20, f"goodput {way}, Mbit/s", lines(f"{way}_mbit"), time, rate_scale))
        found.append(Panel(left, TOP + 20 + PANEL_H + GAP_Y, f"request beside a stream {way}, ms", lines(f"{way}_ms"),
                           time, logarithmic(values("up_ms", "down_ms"))))
    return found


def svg(link: dict) -> str:
    titles = {name: result["title"] for name, result in link["contestants"].items() if result["series"]}
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(titles)}
    legend_top = TOP + 20 + 2 * (PANEL_H + GAP_Y) + 10
    height = legend_top + LEGEND_H * (math.ceil(len(titles) / 4) + 0.5)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
             f'height="{height:.0f}">', f"<style>{STYLE}</style>", text(LEFT, 26, link["title"], kind="title")]
    for panel in panels(link):
        parts += panel.draw(colours)
    return "\n".join([*parts, *legend(titles, colours, legend_top), "</svg>\n"])
