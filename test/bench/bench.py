#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measure ecssh beside no tunnel, `ssh -L`, `ssh -w`, sshuttle, OpenVPN and wireguard-go, on several lines.

Writes build/bench/results.md, results.json and a plot per link. All machines of the lab share the
processors of this one: compare columns of one run, never numbers of two machines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab")]

import plot  # noqa: E402
import report  # noqa: E402
import targets  # noqa: E402
from lab import BUILD, PROJECT  # noqa: E402

README_PLOTS = ("dsl", "lossy")     # of the links, those whose plot README.md shows


def words(known: dict):
    """A type of argparse: some of the known words, with commas between."""
    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        for word in chosen:
            if word not in known:
                raise argparse.ArgumentTypeError(f"\"{word}\" is none of {', '.join(known)}")
        return chosen
    return parse


def parse_options() -> argparse.Namespace:
    from contestants import CONTESTANTS
    from links import LINKS
    from measure import MEASURES
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--links", type=words(LINKS), default=list(LINKS), help=f"some of {','.join(LINKS)}")
    parser.add_argument("--contestants", type=words(CONTESTANTS), help=f"some of {','.join(CONTESTANTS)}")
    parser.add_argument("--measures", type=words(MEASURES), help=f"some of {','.join(MEASURES)}")
    parser.add_argument("--seconds", type=float, help="of each measurement (default: 6; with --quick: 3)")
    parser.add_argument("--repeat", type=int, help="medians of so many (default: 3; with --quick: 1)")
    parser.add_argument("--quick", action="store_true",
                        help="about ten minutes: ecssh, no tunnel, ssh -L and ssh -w, and not all measurements")
    parser.add_argument("--out", type=Path, default=BUILD / "bench", help="folder (default: build/bench)")
    parser.add_argument("--against", type=Path, metavar="JSON", help="compare with an earlier run")
    parser.add_argument("--targets", action="store_true", help="print which targets are met")
    parser.add_argument("--from", dest="earlier", type=Path, metavar="JSON", help="measure nothing, use this run")
    parser.add_argument("--update-readme", type=Path, metavar="JSON",
                        help="put the tables and plots of this run into README.md and doc/bench; measure nothing")
    options = parser.parse_args()
    quick = ["none", "ecssh", "ssh-L", "ssh-w"]
    options.contestants = options.contestants or (quick if options.quick else list(CONTESTANTS))
    options.seconds = options.seconds or (3 if options.quick else 6)
    options.repeat = options.repeat or (1 if options.quick else 3)
    if options.seconds <= 0 or options.repeat <= 0:
        parser.error("--seconds and --repeat are more than 0")
    return options


def first_line(*command: str) -> str:
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                            cwd=PROJECT)
    return result.stdout.partition("\n")[0].strip() if result.returncode == 0 else "unknown"


def about(options: argparse.Namespace) -> dict:
    return {"kernel": platform.release(), "processors": os.cpu_count(), "ssh": first_line("ssh", "-V").split(",")[0],
            "version": first_line("git", "describe", "--always", "--dirty"), "date": time.strftime("%Y-%m-%d"),
            "seconds": options.seconds, "repeat": options.repeat, "command": command_line()}


def command_line() -> str:
    return " ".join(["./dev bench", *sys.argv[1:]])


def measure(options: argparse.Namespace) -> dict:
    import plan
    if os.geteuid() != 0:
        sys.exit("bench: needs root, as ./dev bench has it")
    if not (BUILD / "test/bench/load/bench-bulk").exists():
        sys.exit(f"bench: {BUILD} is not built")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = plan.Plan(options.links, options.contestants, options.seconds, options.repeat, options.quick,
                       options.measures)
    return {"about": about(options), "links": plan.run(chosen)}


def write(results: dict, folder: Path) -> None:
    """All of it, and say where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    results["targets"] = targets.as_json(targets.judge_all(results))
    files = {"results.json": json.dumps(results) + "\n", "results.md": report.report(results)}
    files |= {f"{key}.svg": plot.svg(link) for key, link in results["links"].items()}
    for name, content in files.items():
        (folder / name).write_text(content)
        print(f"bench: {folder / name}", file=sys.stderr)


def print_targets(results: dict) -> None:
    rows = [[one.word, one.target.link, one.target.what, report.number(one.measured, 2),
             ("≥ " if one.target.is_minimum else "≤ ") + report.number(one.bound, 2)]
            for one in targets.judge_all(results)]
    print(report.table(["", "link", "target", "measured", "bound"], rows))


def update_readme(results: dict) -> None:
    """README.md and doc/bench/*.svg, from a run."""
    folder = PROJECT / "doc/bench"
    folder.mkdir(exist_ok=True)
    for key, link in results["links"].items():
        (folder / f"{key}.svg").write_text(plot.svg(link))
    shown = {key: Path("doc/bench") / f"{key}.svg" for key in README_PLOTS if key in results["links"]}
    report.update_readme(PROJECT / "README.md", report.readme_text(results, shown, results["about"]["command"]))


def main() -> int:
    options = parse_options()
    if options.update_readme:
        update_readme(json.loads(options.update_readme.read_text()))
        return 0
    old = json.loads(options.against.read_text()) if options.against else None
    if options.earlier:
        results = json.loads(options.earlier.read_text())
    else:
        results = measure(options)
        write(results, options.out)
    print(report.report(results))
    if old:
        print(report.comparison(results, old))
    if options.targets:
        print_targets(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
