#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What each option of the TCP sockets beneath ssh is worth: the same tunnel with and without it, in one run.

usage: test/bench/knobs.py [--seconds N] [--repeat N] [--knobs A,B] [--json FILE] [LINK...]
       test/bench/knobs.py --dead [--knobs A,B]

ecssh runs with --tune off; the options are set from here, on ssh's socket and on sshd's. One flow goes up,
then one down, with an echo every 50 ms beside it. Printed is the median of the repeats: rate in Mbit/s, and
the median and 95th percentile of the echo in ms. --dead measures how long a dead path goes unnoticed.

Repeats are interleaved, so that what else the machine does falls on all alike. Compare columns of one run.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import socket
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Callable

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "netns"), str(Path(__file__).resolve().parents[1] / "lab")]

from common import Tunnel  # noqa: E402
from lab import Host, Lab  # noqa: E402
from services import ECHO, SINK, SOURCE  # noqa: E402
from wan import Wan  # noqa: E402

FAR = "10.77.0.2"
WARM_UP_S = 2.0
PIDFD_GETFD = 438
TCP_NOTSENT_LOWAT, TCP_USER_TIMEOUT, TCP_WINDOW_CLAMP = 25, 18, 10
libc = ctypes.CDLL(None, use_errno=True)

LINKS = {
    "lossy": Wan(rate_mbit=50, rtt_ms=40, loss_percent=1),
    "clean": Wan(rate_mbit=50, rtt_ms=40),
    "slow": Wan(rate_mbit=10, rtt_ms=100),
    "shallow": Wan(rate_mbit=50, rtt_ms=40, queue_ms=10),
    "long": Wan(rate_mbit=50, rtt_ms=200, loss_percent=0.1),
}


def bbr(sock: socket.socket, wan: Wan) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")


def lowat(sock: socket.socket, wan: Wan) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, 32768)


def window(sock: socket.socket, wan: Wan) -> None:
    """A receive window of one and a half times what the line holds, fixed."""
    held = int((wan.rate_down_mbit or wan.rate_mbit) * wan.rtt_ms * 125)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP, held * 3 // 2)


def user_timeout(sock: socket.socket, wan: Wan) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 20_000)


def keepalive(sock: socket.socket, wan: Wan) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3)):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


KNOBS: dict[str, tuple[Callable, ...]] = {
    "none": (), "bbr": (bbr,), "lowat": (lowat,), "window": (window,), "timeout": (user_timeout,),
    "keepalive": (keepalive,), "bbr+lowat": (bbr, lowat), "bbr+window": (bbr, window),
}


def ssh_sockets(host: Host, name: str) -> list[socket.socket]:
    """Copies of the connected TCP sockets that processes of this name hold on a host."""
    found = []
    for process in host.processes(name):
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            if not os.readlink(link).startswith("socket:"):
                continue
            pidfd = os.pidfd_open(process.pid)
            fd = libc.syscall(PIDFD_GETFD, pidfd, int(link.name), 0)
            os.close(pidfd)
            if fd < 0:
                continue
            sock = socket.socket(fileno=fd)
            try:
                if sock.proto == socket.IPPROTO_TCP and sock.getpeername():
                    found.append(sock)
                    continue
            except OSError:
                pass
            sock.close()
    return found


def set_knobs(lab: Lab, wan: Wan, knobs: tuple[Callable, ...]) -> None:
    for host, name in ((lab.near, "^ssh$"), (lab.gw, "^sshd")):
        socks = ssh_sockets(host, name)
        assert socks, f"no connection of {name}"
        for sock in socks:
            for knob in knobs:
                knob(sock, wan)
            sock.close()


class Echoes(threading.Thread):
    """One byte there and back, again and again."""

    def __init__(self, lab: Lab):
        super().__init__(daemon=True)
        self.sock, self.times_ms, self.stop = lab.near.connect(FAR, ECHO), [], threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.05):
            start = time.monotonic()
            self.sock.sendall(b"?")
            self.sock.recv(1)
            self.times_ms.append((time.monotonic() - start) * 1000)

    def end(self) -> list[float]:
        self.stop.set()
        self.join()
        self.sock.close()
        return self.times_ms


def counter(host: Host, device: str) -> int:
    return int(host.run(["cat", f"/sys/class/net/{device}/statistics/tx_bytes"]).stdout)


def move(sock: socket.socket, is_up: bool, end: float) -> None:
    data = bytes(1 << 16)
    sock.settimeout(1)
    while time.monotonic() < end:
        try:
            if is_up:
                sock.send(data)
            else:
                sock.recv(1 << 18)
        except TimeoutError:
            pass


def flow(lab: Lab, is_up: bool, seconds: float) -> list[float]:
    """Mbit/s and the echo beside it."""
    device = (lab.gw, "far0") if is_up else (lab.far, "gw0")
    sock = lab.near.connect(FAR, SINK if is_up else SOURCE)
    if not is_up:
        sock.sendall(b"10000000000\n")
    mover = threading.Thread(target=move, args=(sock, is_up, time.monotonic() + WARM_UP_S + seconds), daemon=True)
    mover.start()
    time.sleep(WARM_UP_S)
    echoes = Echoes(lab)
    before, start = counter(*device), time.monotonic()
    echoes.start()
    mover.join()
    rate = (counter(*device) - before) * 8e-6 / (time.monotonic() - start)
    times = sorted(echoes.end())
    sock.close()
    return [rate, statistics.median(times), times[len(times) * 95 // 100]]


def measure(wan: Wan, knobs: str, seconds: float) -> list[float]:
    """Rate and echo up, then down, over a fresh link and tunnel."""
    with Lab(wan=wan) as lab:
        tunnel = Tunnel(lab, "--tune", "off", subnets=("10.77.0.0/24",))
        set_knobs(lab, wan, KNOBS[knobs])
        result = flow(lab, True, seconds) + flow(lab, False, seconds)
        tunnel.process.kill()
        return result


def dead(knobs: str, is_busy: bool) -> float:
    """Seconds from the death of the path to the end of `ecssh up`."""
    wan = LINKS["clean"]
    with Lab(wan=wan) as lab:
        tunnel = Tunnel(lab, "--tune", "off", subnets=("10.77.0.0/24",))
        set_knobs(lab, wan, KNOBS[knobs])
        sock = lab.near.connect(FAR, SINK)
        if is_busy:
            threading.Thread(target=move, args=(sock, True, time.monotonic() + 90), daemon=True).start()
            time.sleep(3)
        lab.wan.blackout(True)
        start = time.monotonic()
        tunnel.wait(120)
        return time.monotonic() - start


def print_dead(names: list[str]) -> None:
    print("| knob | idle | busy |\n|---|---|---|")
    for name in names:
        print(f"| {name} | {dead(name, False):.0f} s | {dead(name, True):.0f} s |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--knobs", default="none,bbr,lowat,window")
    parser.add_argument("--json")
    parser.add_argument("--dead", action="store_true")
    parser.add_argument("links", nargs="*", default=["lossy", "clean", "slow"])
    options = parser.parse_args()
    names = options.knobs.split(",")
    if options.dead:
        print_dead(names)
        return 0
    results: dict[str, dict[str, list]] = {link: {name: [] for name in names} for link in options.links}
    for number in range(options.repeat):
        for link in options.links:
            for name in names:
                wan = LINKS[link]._replace(seed=number + 1)
                results[link][name].append(measure(wan, name, options.seconds))
                print(f"knobs: {link} {name} {results[link][name][-1]}", file=sys.stderr, flush=True)
    print("| link | knob | up Mbit/s | echo ms | 95 % | down Mbit/s | echo ms | 95 % |\n|---|---|--:|--:|--:|--:|--:|--:|")
    for link, by_name in results.items():
        for name, runs in by_name.items():
            row = [statistics.median(column) for column in zip(*runs)]
            print(f"| {link} | {name} | " + " | ".join(f"{value:.1f}" for value in row) + " |")
    if options.json:
        Path(options.json).write_text(json.dumps(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
