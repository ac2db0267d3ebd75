# SPDX-License-Identifier: MIT
"""What a contestant's processes at both ends cost: everything that near and gw run more than before it came.

Work that the kernel does in soft interrupts is charged to nobody and not counted.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from lab import Host, Lab, Process

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Census:
    """Taken before the contestant starts."""

    def __init__(self, lab: Lab):
        self.hosts: tuple[Host, ...] = (lab.near, lab.gw)
        self.before = {process.pid for process in self._all()}

    def _all(self) -> list[Process]:
        return [process for host in self.hosts for process in host.processes()]

    def processes(self) -> list[Process]:
        return [process for process in self._all()
                if process.pid not in self.before and not process.comm.startswith("bench-")]

    def cpu_s(self) -> float:
        return sum(ticks(process.pid) for process in self.processes()) / TICKS_PER_S

    def pss_mib(self, name: str = "") -> float:
        """Memory, shared pages in parts; `name` is a pattern for the names of the processes."""
        return sum(pss_kib(process.pid) for process in self.processes() if re.search(name, process.comm)) / 1024

    def switches(self) -> int:
        return sum(switches(process.pid) for process in self.processes())


def read(pid: int, file: str) -> str:
    """Of a process that may end meanwhile."""
    try:
        return Path(f"/proc/{pid}/{file}").read_text()
    except OSError:
        return ""


def ticks(pid: int) -> int:
    """Of all its threads, in user space and in system calls."""
    fields = read(pid, "stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]) if fields else 0


def pss_kib(pid: int) -> int:
    return sum(int(line.split()[1]) for line in read(pid, "smaps_rollup").splitlines() if line.startswith("Pss:"))


def switches(pid: int) -> int:
    return sum(int(line.split()[1]) for line in read(pid, "status").splitlines() if "ctxt_switches" in line)
