# SPDX-License-Identifier: MIT
"""A bad line between near and gw: rates that fall, trips that grow, silence, losses; and flows that
would take all of it. Everything arrives, nobody starves, memory stays bounded.

    near ══ lab-link ══ gw ── far (10.77.0.2)

Limits are far from what is usual, and far from what a tunnel without a governor does.
"""

from __future__ import annotations

import hashlib
import os
import re
import select
import socket
import statistics
import struct
import threading
import time
from typing import Callable

from common import OK, Tunnel, alone, expect, over, slow, timeout
from lab import Host, Lab, Wan, diff, wait_for
from services import ECHO
from test_packets import packets_up

FAR = "10.77.0.2"
RANDOM = os.urandom(1 << 20)
CHUNK = 1 << 14
SEND_BUFFER = 1 << 18
MEMORY_BYTES = 64 << 20         # growth of everything that belongs to the tunnel
MBIT = 125000                   # bytes/s


class Transfer:
    """Random bytes from one socket to the other until told to stop."""

    def __init__(self, sender: socket.socket, receiver: socket.socket):
        self.sender, self.receiver = sender, receiver
        self.sent, self.received = 0, 0
        self.sent_hash, self.received_hash = hashlib.sha256(), hashlib.sha256()
        self.is_over, self.may_read = threading.Event(), threading.Event()
        self.may_read.set()
        self.errors: list[OSError] = []
        self.threads = [threading.Thread(target=self.run, args=[job], daemon=True) for job in (self.write, self.read)]
        for thread in self.threads:
            thread.start()

    def run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except OSError as error:
            self.errors.append(error)

    def write(self) -> None:
        while not self.is_over.is_set():
            at = self.sent * 7 % (len(RANDOM) - CHUNK)
            part = RANDOM[at:at + CHUNK]
            self.sender.sendall(part)
            self.sent_hash.update(part)
            self.sent += len(part)
        self.sender.shutdown(socket.SHUT_WR)

    def read(self) -> None:
        while self.may_read.wait() and (part := self.receiver.recv(1 << 16)):
            self.received_hash.update(part)
            self.received += len(part)

    def check(self, seconds: float) -> None:
        """After is_over: what arrived is what was sent, all of it."""
        wait_for(lambda: not any(thread.is_alive() for thread in self.threads), seconds, "the end of a transfer")
        assert not self.errors, self.errors
        expect((self.received, self.received_hash.digest()), (self.sent, self.sent_hash.digest()),
               "bytes received, and their hash")


class Bulk:
    """A connection from near to far that carries as much as it can."""

    def __init__(self, lab: Lab, up: bool = True, down: bool = True, buffer: int = SEND_BUFFER):
        with lab.far.listen(FAR) as listener:
            self.near = lab.near.connect(*listener.getsockname(), timeout=60)
            self.far = listener.accept()[0]
        self.far.settimeout(60)
        for sock in (self.near, self.far):      # or what it holds in the end takes long on a slow line
            if buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        self.up = Transfer(self.near, self.far) if up else None
        self.down = Transfer(self.far, self.near) if down else None
        self.ways = [way for way in (self.up, self.down) if way]

    def received(self) -> list[int]:
        return [way.received for way in self.ways]

    def progress(self, n_bytes: int, seconds: float, what: str) -> None:
        """So many bytes arrive from now on, each way."""
        before, start = self.received(), time.monotonic()
        try:
            wait_for(lambda: all(now - then >= n_bytes for now, then in zip(self.received(), before)), seconds)
        except TimeoutError:
            moved = [now - then for now, then in zip(self.received(), before)]
            raise AssertionError(f"{what}: {moved} bytes in {seconds:g} s, wanted {n_bytes}") from None
        print(f"{what}: {n_bytes} bytes each way in {time.monotonic() - start:.2f} s")

    def stop(self) -> None:
        for way in self.ways:
            way.is_over.set()

    def finish(self, seconds: float = 30) -> None:
        self.stop()
        for way in self.ways:
            way.check(seconds)
        self.near.close()
        self.far.close()


def finish(flows: list[Bulk]) -> None:
    for bulk in flows:
        bulk.stop()
    for bulk in flows:
        bulk.finish()


class Requests:
    """A connection to the echo service: a question, its answer, a pause, and so on."""

    def __init__(self, lab: Lab, pause: float = 0.05, length: int = 100):
        self.sock = lab.near.connect(FAR, ECHO)
        self.pause, self.question = pause, RANDOM[:length]
        self.ms: list[float] = []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.is_over.wait(self.pause):
            start = time.monotonic()
            self.sock.sendall(self.question)
            left = len(self.question)
            while left:
                left -= len(self.sock.recv(left)) or left
            self.ms.append((time.monotonic() - start) * 1000)

    def finish(self) -> float:
        """The median."""
        self.is_over.set()
        self.thread.join(20)
        return statistics.median(self.ms)


class Memory:
    """What the tunnel's processes at both ends come to hold."""

    def __init__(self, lab: Lab):
        self.pids = [p.pid for host in (lab.near, lab.gw) for p in host.processes(r"ecssh|helper|^ssh$|^sshd")]
        assert len(self.pids) >= 5, f"only {self.pids}"
        self.before = self.sum("VmRSS")

    def sum(self, field: str) -> int:
        """Bytes; a process that has ended holds none."""
        total = 0
        for pid in self.pids:
            try:
                with open(f"/proc/{pid}/status", encoding="ascii") as status:
                    total += int(re.search(rf"(?m)^{field}:\s+(\d+) kB", status.read())[1]) << 10
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total

    def check(self) -> None:
        """The highest ever of each against what it was."""
        grown = self.sum("VmHWM") - self.before
        print(f"memory grew by {grown / 1e6:.1f} MB")
        assert grown < MEMORY_BYTES, f"memory grew by {grown} bytes"


# -- the line changes ---------------------------------------------------------------------------


@over(Wan(rate_mbit=100, rtt_ms=20))
def test_rate_falls_and_returns(lab: Lab, tunnel: Tunnel):
    """From 100 to 1 Mbit/s within a second, and back within another."""
    bulk = Bulk(lab)
    bulk.progress(8 << 20, 20, "at 100 Mbit/s")
    memory = Memory(lab)
    for mbit in (30, 10, 3, 1):
        lab.wan.set(rate_mbit=mbit)
        time.sleep(0.25)
    bulk.progress(2 * MBIT, 20, "at 1 Mbit/s")
    for mbit in (3, 10, 30, 100):
        lab.wan.set(rate_mbit=mbit)
        time.sleep(0.25)
    bulk.progress(20 * 5 * MBIT, 20, "at 100 Mbit/s again")     # at least 5 Mbit/s
    bulk.finish()
    memory.check()


@slow
@timeout(120)
@over(Wan(rate_mbit=50, rtt_ms=20))
def test_trip_grows_and_shrinks(lab: Lab, tunnel: Tunnel):
    bulk = Bulk(lab)
    bulk.progress(4 << 20, 20, "at 20 ms")
    lab.wan.set(rtt_ms=300)
    # All of it is in the first seconds after the change; the line could carry ten times as much.
    bulk.progress(12 << 20, 25, "at 300 ms")
    lab.wan.set(rtt_ms=20)
    bulk.progress(8 << 20, 20, "at 20 ms again")
    bulk.finish()


@slow
@over(Wan(rate_mbit=20, rtt_ms=40))
def test_silence(lab: Lab, tunnel: Tunnel):
    """Ten seconds without a line, in the middle of all."""
    bulk = Bulk(lab)
    bulk.progress(1 << 20, 20, "before")
    memory = Memory(lab)
    lab.wan.blackout(True)
    time.sleep(10)
    memory.check()
    lab.wan.blackout(False)
    # TCP may wait as long again as the silence was until it tries.
    bulk.progress(1 << 20, 15, "afterwards")
    bulk.finish()
    memory.check()


@alone
@over(Wan(rate_mbit=20, rtt_ms=30, loss_percent=1, burst=5, reorder_percent=2, duplicate_percent=1, jitter_ms=10))
def test_rough_line(lab: Lab, tunnel: Tunnel):
    bulk = Bulk(lab)
    bulk.progress(1 << 20, 40, "over a rough line")
    bulk.finish()


@over(Wan(rate_mbit=20, rtt_ms=40))
def test_end_during_silence(lab: Lab):
    """Ctrl-C does not wait for the line; what is on gw ends when it hears of it."""
    tunnel = Tunnel(lab)
    bulk = Bulk(lab)
    bulk.progress(1 << 20, 20, "before")
    lab.wan.blackout(True)
    time.sleep(1)
    tunnel.interrupt()
    expect(tunnel.wait(3), OK, "exit status; it said:\n" + tunnel.stderr())
    near = diff(tunnel.before, lab.near.snapshot())
    expect(near, [], "what is left on near")
    lab.wan.blackout(False)
    tunnel.expect_restored(15)


# -- flows of all kinds -------------------------------------------------------------------------


def grows(flows: list[Bulk]) -> bool:
    """Whether any of the senders gets rid of anything for some time."""
    before = [bulk.ways[0].sent for bulk in flows]
    time.sleep(0.5)
    return [bulk.ways[0].sent for bulk in flows] != before


@over(Wan(rate_mbit=50, rtt_ms=30))
def test_reader_that_stops(lab: Lab, tunnel: Tunnel):
    """One at far and one at near: theirs wait, others do not, and then they go on."""
    stuck = [Bulk(lab, down=False), Bulk(lab, up=False)]
    for bulk in stuck:
        bulk.progress(1 << 19, 20, "before")
    memory = Memory(lab)
    for bulk in stuck:
        bulk.ways[0].may_read.clear()
    other = Bulk(lab)
    other.progress(6 << 20, 20, "beside those that wait")
    wait_for(lambda: not grows(stuck), 30, "the senders have to wait")
    other.progress(2 << 20, 20, "when all is full")
    requests = Requests(lab)
    wait_for(lambda: len(requests.ms) >= 10, 20, "ten requests")
    requests.finish()
    for bulk in stuck:
        bulk.ways[0].may_read.set()
        bulk.progress(1 << 20, 20, "when it reads again")
    finish([other, *stuck])
    memory.check()


def answer_ms(lab: Lab, n: int = 30, flows: int = 7) -> list[float]:
    """Medians of slow flows beside whatever runs; each gets its n answers."""
    requests = [Requests(lab) for _ in range(flows)]
    for one in requests:
        wait_for(lambda: len(one.ms) >= n, 30, "each flow has had its answers")
    medians = [one.finish() for one in requests]
    print(f"answers after {', '.join(f'{ms:.0f}' for ms in medians)} ms")
    return medians


@over(Wan(rate_mbit=10, rtt_ms=40, queue_ms=600))
def test_one_of_eight_is_greedy(lab: Lab, tunnel: Tunnel):
    """Where its bytes would fill the line's queue, or ssh's, answers would come much later."""
    bulk = Bulk(lab)
    bulk.progress(2 << 20, 20, "before")
    medians = answer_ms(lab)
    assert max(medians) < 40 + 150, medians
    bulk.progress(1 << 20, 20, "the greedy one")
    bulk.finish()


@over(Wan(rate_mbit=50, rtt_ms=40))
def test_eight_share(lab: Lab, tunnel: Tunnel):
    """Jain's index: 1 for equal shares, 1/8 if one has all."""
    flows = [Bulk(lab) for _ in range(8)]
    time.sleep(1)
    before = [bulk.received() for bulk in flows]
    time.sleep(5)
    moved = [[now - then for now, then in zip(bulk.received(), start)] for bulk, start in zip(flows, before)]
    for way, shares in zip(("up", "down"), zip(*moved)):
        jain = sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))
        print(f"{way}: Jain {jain:.3f} of {shares}")
        assert jain >= 0.9, f"{way}: {jain:.3f} of {shares}"
    finish(flows)


class Ticks:
    """A datagram to the echo service every 20 ms, and when each came back."""

    def __init__(self, lab: Lab):
        self.sock = lab.near.socket(kind=socket.SOCK_DGRAM)
        self.sock.connect((FAR, ECHO))
        self.sock.setblocking(False)
        self.trips: list[tuple[float, float]] = []      # when it was sent, seconds there and back
        self.sent = 0

    def run(self, seconds: float) -> None:
        end = due = time.monotonic()
        end += seconds
        while due < end:
            now = time.monotonic()
            if now >= due:
                self.sent += 1
                self.sock.send(struct.pack("=d", now) + bytes(150))
                due = max(due + 0.02, now)
            elif select.select([self.sock], [], [], due - now)[0]:
                sent, = struct.unpack_from("=d", self.sock.recv(1 << 16))
                self.trips.append((sent, time.monotonic() - sent))

    def late(self, after: float, before: float) -> list[float]:
        return [trip for sent, trip in self.trips if after <= sent < before]


@over(Wan(rate_mbit=10, rtt_ms=60, queue_ms=600))
def test_datagrams_are_fresh(lab: Lab, tunnel: Tunnel):
    """Beside bulk they come back soon; what silence has made stale does not come at all."""
    bulk = Bulk(lab)
    bulk.progress(2 << 20, 20, "before")
    ticks = Ticks(lab)
    ticks.run(3)
    trips = [trip for _, trip in ticks.trips]
    print(f"{len(trips)} of {ticks.sent} came back, after {statistics.median(trips) * 1e3:.0f} ms in the middle, "
          f"{max(trips) * 1e3:.0f} at most")
    assert len(trips) > ticks.sent / 2, f"{len(trips)} of {ticks.sent} came back"
    assert statistics.median(trips) < 0.06 + 0.15, f"median {statistics.median(trips):.3f} s"
    assert max(trips) < 1.2, f"one came after {max(trips):.3f} s"

    start = time.monotonic()
    lab.wan.blackout(True)
    ticks.run(4)
    lab.wan.blackout(False)
    end = time.monotonic()
    ticks.run(6)
    # What was in flight then comes late; from then on they wait where they can be thrown away.
    in_flight, stale = ticks.late(start, start + 1), ticks.late(start + 1, end - 1.2)
    fresh = [trip for trip in ticks.late(end, end + 10)]
    print(f"came late: {len(in_flight)} of the first second, {len(stale)} later, {len(fresh)} afterwards")
    expect(stale, [], "stale datagrams that came back")
    assert fresh, "none comes after the silence"
    assert "stale" in tunnel.drops(), tunnel.drops()
    bulk.finish()


# -- TCP as packets -----------------------------------------------------------------------------


def in_ce(host: Host) -> int:
    """IP packets marked "congestion experienced" that the host has received."""
    lines = host.run(["cat", "/proc/net/netstat"]).stdout.splitlines()
    names, values = [line.split() for line in lines if line.startswith("IpExt:")]
    return int(dict(zip(names, values))["InCEPkts"])


@over(Wan(rate_mbit=10, rtt_ms=40, queue_ms=600))
def test_packets_share(lab: Lab):
    """Pings pass a TCP connection whose packets wait here; it is slowed by marks where it knows them."""
    for host in (lab.near, lab.far):
        host.sysctl(ipv4__tcp_ecn=1)
    tunnel = packets_up(lab, "--plane", "packet")
    bulk = Bulk(lab, buffer=0)
    bulk.progress(1 << 20, 20, "before")
    words = lab.near.run(["ping", "-n", "-c60", "-i0.05", "-W3", FAR]).stdout
    trips = [float(ms) for ms in re.findall(r"time=([0-9.]+) ms", words)]
    print(f"{len(trips)} of 60 pings, median {statistics.median(trips):.0f} ms, at most {max(trips):.0f} ms")
    assert len(trips) > 40, words
    assert statistics.median(trips) < 40 + 150, words
    bulk.progress(1 << 20, 20, "beside pings")
    bulk.finish()
    for host, way in ((lab.far, "up"), (lab.near, "down")):
        assert in_ce(host) > 0, f"{way}: no packet was marked"
    expect(tunnel.status()["flows"]["tcp"], 0, "connections that went as streams")
