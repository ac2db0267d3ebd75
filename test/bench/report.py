# SPDX-License-Identifier: MIT
"""Results as Markdown: the full report of a run, the comparison of two, and what README.md shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable, NamedTuple, Optional

Row = dict[str, float]
DASH = "–"
MARKS = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)


class Column(NamedTuple):
    head: str
    keys: tuple[str, ...]       # of the values that stand in one cell, with slashes between
    digits: int = 0


SPEED = (
    Column("up", ("up_mbit",)), Column("down", ("down_mbit",)),
    Column("both at once", ("both_up_mbit", "both_down_mbit")),
    Column("eight up, down", ("eight_up_mbit", "eight_down_mbit")),
    Column("Jain", ("eight_up_jain", "eight_down_jain"), 2),
    Column("start-up, s", ("up_startup_s", "down_startup_s"), 1),
    Column("CPU s/GB", ("up_cpu_s_per_gb", "down_cpu_s_per_gb"), 1),
)
LATENCY = tuple(Column(f"{kind.upper()} {load}", tuple(f"{load}_{kind}_p{p}_ms" for p in (50, 95, 99)), 1)
                for kind in ("tcp", "udp") for load in ("idle", "up", "down"))
SMALL = (
    *(Column(f"{name} fetch", (f"fetch_{key}_first_ms", f"fetch_{key}_ms"), 1)
      for key, name in (("10k", "10 kB"), ("100k", "100 kB"), ("1m", "1 MB"))),
    Column("connections/s", ("connect_per_s",)), Column("with a byte exchanged", ("exchange_per_s",)),
    Column("memory, MiB", ("pss_mib",), 1), Column("wake-ups/s", ("switches_per_s",), 1),
    Column("to come up, s", ("stand_s",), 2),
)
TABLES = (
    ("Goodput of TCP, Mbit/s", SPEED),
    ("Latency of requests, ms: p50 / p95 / p99, on an idle line and beside a stream up and down", LATENCY),
    ("New connections: ms to the first byte / to the last, with the tunnel up; and what it costs", SMALL),
)


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def number(value: Optional[float], digits: int = 0) -> str:
    if value is None:
        return DASH
    if digits and abs(value) >= 100:
        digits = 0
    return f"{value:,.{digits}f}"


def cell(row: Row, column: Column) -> str:
    parts = [number(row.get(key), column.digits) for key in column.keys]
    return DASH if all(part == DASH for part in parts) else " / ".join(parts)


def rows_of(link: dict, columns: tuple[Column, ...]) -> list[list[str]]:
    return [[result["title"], *(cell(result["values"], column) for column in columns)]
            for result in link["contestants"].values()]


def used(link: dict, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Those that anybody has a value for."""
    return tuple(column for column in columns if any(
        key in result["values"] for result in link["contestants"].values() for key in column.keys))


def link_report(link: dict) -> str:
    parts = [f"## {link['title']}\n"]
    for title, columns in TABLES:
        if columns := used(link, columns):
            parts += [f"{title}:\n", table(["", *(column.head for column in columns)], rows_of(link, columns))]
    for result in link["contestants"].values():
        parts += [f"- {result['title']}: failed: {line}" for line in result["failed"]]
        parts += flows_lines(result)
    if link["late_percent"] > 0.1:
        parts.append(f"- The emulator delivered {link['late_percent']:.1f} % of the packets more than 1 ms late.")
    return "\n".join(parts) + "\n"


def flows_lines(result: dict) -> list[str]:
    values = result["values"]
    return [f"- {result['title']}, {count:,} idle connections: opened in {values[f'flows_{count}_open_s']:.1f} s, "
            f"{values[f'flows_{count}_pss_mib']:.0f} MiB in all processes, "
            f"{values[f'flows_{count}_ends_mib']:.0f} MiB in ours at both ends"
            for count in (1000, 10000) if f"flows_{count}_pss_mib" in values]


def about_line(results: dict) -> str:
    about = results["about"]
    return (f"Kernel {about['kernel']}, {about['processors']} processors shared by all hosts, {about['ssh']}, ecssh "
            f"{about['version']}, {about['date']}; medians of {about['repeat']}, {about['seconds']:g} s each; cubic at "
            "all hosts.\n")


def report(results: dict) -> str:
    return "\n".join(["# Benchmark\n", about_line(results), *(link_report(link) for link in results["links"].values())])


# -- two runs ----------------------------------------------------------------------------------------

WORTH = 0.10        # a change of less than this is the machine's mood
COMPARED = ("up_mbit", "down_mbit", "both_up_mbit", "both_down_mbit", "up_tcp_p95_ms", "down_tcp_p95_ms",
            "fetch_100k_ms", "exchange_per_s", "up_cpu_s_per_gb", "down_cpu_s_per_gb", "pss_mib")
LESS_IS_BETTER = re.compile(r"_ms$|_s_per_gb$|_mib$")


def verdict(key: str, ratio: float) -> str:
    if abs(ratio - 1) <= WORTH:
        return ""
    return " better" if (ratio < 1) == bool(LESS_IS_BETTER.search(key)) else " **worse**"


def compared_cell(new: Row, old: Row, key: str) -> str:
    if key not in new or not old.get(key):
        return DASH
    ratio = new[key] / old[key]
    return f"{number(new[key], 1)} (× {ratio:.2f}{verdict(key, ratio)})"


def comparison(new: dict, old: dict) -> str:
    """Each value, and in brackets its ratio to the earlier run's."""
    parts = [f"# Beside the run of {old['about']['date']}\n"]
    for key, link in new["links"].items():
        before = old["links"].get(key, {"contestants": {}})["contestants"]
        rows = [[result["title"], *(compared_cell(result["values"], before[name]["values"], value) for value in COMPARED)]
                for name, result in link["contestants"].items() if name in before]
        if rows:
            parts += [f"## {link['title']}\n", table(["", *COMPARED], rows)]
    return "\n".join(parts)


# -- the README --------------------------------------------------------------------------------------


def goodput_cell(row: Row) -> str:
    return cell(row, Column("", ("up_mbit", "down_mbit")))


def latency_cell(row: Row) -> str:
    return cell(row, Column("", ("idle_tcp_p95_ms", "up_tcp_p95_ms", "down_tcp_p95_ms")))


def across_links(results: dict, make_cell: Callable[[Row], str]) -> str:
    """One row for each contestant, one column for each link."""
    links = results["links"].values()
    names = list(dict.fromkeys(name for link in links for name in link["contestants"]))
    titles = {name: link["contestants"][name]["title"] for link in links for name in link["contestants"]}
    rows = [[titles[name], *(make_cell(link["contestants"].get(name, {"values": {}})["values"]) for link in links)]
            for name in names]
    return table(["", *(link["title"] for link in links)], rows)


def readme_text(results: dict, plots: dict[str, Path], command: str) -> str:
    images = [f"![{results['links'][key]['title']}: goodput and latency over time]({path})\n" for key, path in plots.items()]
    return "\n".join([
        f"A run of `{command}`. {about_line(results)}",
        "Goodput of one TCP stream, Mbit/s, up / down:\n", across_links(results, goodput_cell),
        "p95 latency of a request, ms, on an idle line / beside a stream up / down:\n",
        across_links(results, latency_cell), *images])


def update_readme(readme: Path, text: str) -> None:
    """Put the text between the marks."""
    old = readme.read_text()
    if not MARKS.search(old):
        raise ValueError(f"{readme} has no marks <!-- bench --> and <!-- /bench -->")
    readme.write_text(MARKS.sub(lambda match: match[1] + text + match[2], old))
