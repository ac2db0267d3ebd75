# SPDX-License-Identifier: MIT
"""The emulated wide area network is what it is set to: lab-link, by itself.

The only tests that read the clock to pass or fail, since this is a measuring instrument. Times come
from the kernel of the receiver, so Python is not in them. The strict limits are on medians; the 95th
percentile gets slack for a machine that has other things to do.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import struct
import subprocess
import time
from typing import NamedTuple

from common import alone, expect, expect_in, over
from lab import BUILD, Lab, Wan, wait_for
from wan import WanError

LENGTH = 1472                       # of payload: packets of 1500 bytes
PACKET_BITS = 1500 * 8
PORT = 9
SO_TIMESTAMPNS = 35
UDP_SEGMENT = 103
CLOCK = time.CLOCK_REALTIME         # of the kernel's time stamps
P95_SLACK_MS = 3


class Arrival(NamedTuple):
    number: int
    sent_ns: int
    ns: int


class Probe:
    """UDP from near to gw. The receiver's buffer holds a whole experiment; nobody reads meanwhile."""

    def __init__(self, lab: Lab):
        self.receiver = lab.gw.socket(kind=socket.SOCK_DGRAM)
        self.receiver.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)      # SO_RCVBUFFORCE
        self.receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.receiver.bind(("10.9.0.1", PORT))
        self.sender = lab.near.socket(kind=socket.SOCK_DGRAM)
        self.sender.connect(("10.9.0.1", PORT))
        self.lab, self.number = lab, 0
        wait_for(self.has_stamps, what="the kernel stamps packets")     # it begins to when asked, and soon

    def has_stamps(self) -> bool:
        self.send()
        while not self.arrived():
            time.sleep(0.001)
        time.sleep(0.02)
        before = time.clock_gettime_ns(CLOCK)
        arrival, = self.drain()
        return arrival.ns < before - 10_000_000

    def arrived(self) -> bool:
        return bool(self.lab.wan.stats()["up"]["delivered"] >= self.number)

    def send(self, length: int = LENGTH, n: int = 1) -> None:
        """n datagrams in one call, each with its number and the time."""
        now = time.clock_gettime_ns(CLOCK)
        parts = b"".join(struct.pack("=QQ", self.number + i, now).ljust(length, b".") for i in range(n))
        self.number += n
        if n == 1:
            self.sender.send(parts)
        else:
            self.sender.sendmsg([parts], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", length))])

    def drain(self, quiet_s: float = 0.3) -> list[Arrival]:
        """What arrives until nothing does."""
        self.receiver.settimeout(quiet_s)
        arrivals = []
        while True:
            try:
                data, ancillary, _, _ = self.receiver.recvmsg(LENGTH, 64)
            except TimeoutError:
                return arrivals
            seconds, ns = struct.unpack("=qq", ancillary[0][2])
            arrivals.append(Arrival(*struct.unpack_from("=QQ", data), seconds * 10**9 + ns))

    def flood(self, mbit: float, seconds: float, batch: int) -> list[Arrival]:
        """Send at this rate and return what arrived."""
        interval_ns = round(batch * PACKET_BITS * 1000 / mbit)
        start = time.clock_gettime_ns(CLOCK)
        for due in range(start, start + round(seconds * 10**9), interval_ns):
            while time.clock_gettime_ns(CLOCK) < due:
                pass
            self.send(n=batch)
        return self.drain()


def check_delays(late_ms: list[float]) -> None:
    """Differences to what was set."""
    late_ms.sort()
    median, p95 = statistics.median(late_ms), late_ms[len(late_ms) * 95 // 100]
    print(f"delay - set: median {median:.3f} ms, p95 {p95:.3f} ms, min {late_ms[0]:.3f}, max {late_ms[-1]:.3f}")
    assert abs(median) < 1, f"median {median:.3f} ms"
    assert p95 < 1 + P95_SLACK_MS, f"95th percentile {p95:.3f} ms"
    assert late_ms[0] > -0.1, f"a packet was {-late_ms[0]:.3f} ms too early"


@alone
@over(Wan(rate_mbit=200, rtt_ms=40))
def test_delay_of_an_idle_line(lab: Lab) -> None:
    probe = Probe(lab)
    for _ in range(100):
        probe.send()
        time.sleep(0.005)
    wire_ms = PACKET_BITS / 200e3
    check_delays([(a.ns - a.sent_ns) / 1e6 - wire_ms - 20 for a in probe.drain()])


@alone
@over(Wan(rate_mbit=200, rtt_ms=40))
def test_delay_of_a_full_line(lab: Lab) -> None:
    """Each of many packets against what an ideal line of 200 Mbit/s would do with those before it."""
    arrivals = Probe(lab).flood(185, 1, batch=4)
    expect(lab.wan.stats()["up"]["dropped"], 0, "dropped")
    late_ms, free_ns = [], 0
    for a in arrivals:
        free_ns = max(free_ns, a.sent_ns) + PACKET_BITS * 1000 // 200
        late_ms.append((a.ns - free_ns) / 1e6 - 20)
    assert len(late_ms) > 10000, f"only {len(late_ms)} packets"
    check_delays(late_ms)


def check_rate(lab: Lab, mbit: float, seconds: float) -> None:
    lab.wan.set(rate_mbit=mbit)
    probe = Probe(lab)
    arrivals = probe.flood(1.3 * mbit, seconds, batch=8)
    span_ns = arrivals[-1].ns - arrivals[0].ns
    measured = (len(arrivals) - 1) * PACKET_BITS * 1000 / span_ns
    print(f"{mbit} Mbit/s: {measured:.3f}")
    assert abs(measured / mbit - 1) < 0.02, f"{measured:.2f} Mbit/s instead of {mbit}"


@alone
@over(Wan(rtt_ms=10))
def test_rate(lab: Lab) -> None:
    for mbit in (10, 50, 200):
        check_rate(lab, mbit, 0.6)


@alone
@over(Wan(rate_mbit=10, rtt_ms=20, queue_ms=100))
def test_full_queue_is_as_long_as_set(lab: Lab) -> None:
    probe = Probe(lab)
    arrivals = probe.flood(25, 0.6, batch=1)
    stats = lab.wan.stats()["up"]
    delays = [(a.ns - a.sent_ns) / 1e6 - 10 for a in arrivals[len(arrivals) // 2:]]
    median = statistics.median(delays)
    print(f"queue of 100 ms: median {median:.2f} ms, counted {stats['queue_ms_max']}")
    assert 97 < median < 102, f"{median:.2f} ms in a queue of 100 ms"
    assert 98 < stats["queue_ms_max"] <= 100, stats
    assert stats["dropped"] > 0, stats


def send_many(lab: Lab, probe: Probe, n: int) -> tuple[list[int], dict]:
    """The numbers that arrived of n small datagrams, and what was counted meanwhile."""
    before, first = lab.wan.stats()["up"], probe.number
    for _ in range(n // 50):
        probe.send(length=100, n=50)
        time.sleep(0.001)
    numbers = [a.number - first for a in probe.drain()]
    return numbers, {key: value - before[key] for key, value in lab.wan.stats()["up"].items()}


def check_losses(lab: Lab, probe: Probe, percent: float, burst: float) -> None:
    n = 20000
    lab.wan.set(loss_percent=percent, burst=burst)
    numbers, stats = send_many(lab, probe, n)
    lost = n - len(numbers)
    assert abs(lost - stats["lost"]) <= 2, f"{lost} are missing; {stats}"      # of the kernel's own, too
    ends = [-1, *numbers, n]
    bursts = [after - one - 1 for one, after in zip(ends, ends[1:]) if after - one > 1]
    mean = statistics.mean(bursts)
    print(f"loss {percent} %, burst {burst}: {100 * lost / n:.2f} %, mean burst {mean:.2f}")
    # Four standard deviations. Losses in bursts scatter more than others.
    share = percent / 100
    scatter = (n * share * (1 - share) * (1 if burst == 1 else 2 * burst - 1)) ** 0.5
    assert abs(lost - n * share) < 4 * scatter, f"{lost} of {n} lost, wanted {percent} %"
    wanted = 1 / (1 - share) if burst == 1 else burst
    assert abs(mean / wanted - 1) < 0.15, f"mean burst {mean:.2f}, wanted {wanted:.2f}"


@over(Wan(rtt_ms=10))
def test_losses(lab: Lab) -> None:
    probe = Probe(lab)
    numbers, _ = send_many(lab, probe, 1000)
    expect(numbers, list(range(1000)), "what arrives without loss")
    check_losses(lab, probe, 5, 1)
    check_losses(lab, probe, 5, 4)
    lab.wan.set(loss_percent=100)
    expect(send_many(lab, probe, 100)[0], [], "what arrives of nothing")
    lab.wan.set(loss_percent=0)
    expect(len(send_many(lab, probe, 100)[0]), 100, "arrived again")


@over(Wan(rtt_ms=10))
def test_reordered_and_duplicated(lab: Lab) -> None:
    probe = Probe(lab)
    lab.wan.set(reorder_percent=2)
    numbers, stats = send_many(lab, probe, 10000)
    expect(sorted(numbers), list(range(10000)), "what arrives in some order")
    early = sum(1 for n, after in zip(numbers, numbers[1:]) if after < n)
    print(f"{stats['reordered']} of 10000 overtake; {early} times a lower number follows")
    assert 140 < stats["reordered"] < 260, stats
    assert early > 10, "no packet came before one sent earlier"
    lab.wan.set(reorder_percent=0, duplicate_percent=2)
    numbers, stats = send_many(lab, probe, 10000)
    assert numbers == sorted(numbers), "copies change the order"
    assert 140 < stats["duplicated"] < 260, stats
    assert abs(len(numbers) - 10000 - stats["duplicated"]) <= 2, f"{len(numbers)} arrived; {stats}"


@alone
@over(Wan(rtt_ms=20, jitter_ms=5))
def test_jitter(lab: Lab) -> None:
    probe = Probe(lab)
    for _ in range(100):
        probe.send()
        time.sleep(0.012)               # nobody waits for the one before
    arrivals = probe.drain()
    delays = [(a.ns - a.sent_ns) / 1e6 for a in arrivals]
    print(f"10 ms and 5 ms of jitter: {min(delays):.2f} to {max(delays):.2f}, median {statistics.median(delays):.2f}")
    expect([a.number for a in arrivals], sorted(a.number for a in arrivals), "order")
    assert 4.9 < min(delays) < 7 and 13 < max(delays), f"{min(delays)} to {max(delays)}"
    assert abs(statistics.median(delays) - 10) < 2, "jitter is more and less than the delay"


@alone
@over(Wan(rate_mbit=100, rtt_ms=2, queue_ms=100))
def test_blackout(lab: Lab) -> None:
    def toggle_by_signal(_: bool) -> None:
        os.kill(lab.wan.process.pid, signal.SIGUSR1)
        lab.wan.stats()                 # an answer comes after the signal is heard, whenever that is

    probe = Probe(lab)
    for toggle in (lab.wan.blackout, toggle_by_signal):
        first = probe.number
        toggle(True)
        for _ in range(1000):
            probe.send()                # 1.5 MB; the queue holds 1.25 MB
        wait_for(lambda: lab.wan.stats()["up"]["packets"] >= probe.number, what="all are in the queue")
        expect(probe.drain(), [], "what arrives during a blackout")
        ended_ns = time.clock_gettime_ns(CLOCK)
        toggle(False)
        arrivals = probe.drain()
        numbers = [a.number - first for a in arrivals]
        expect(numbers, list(range(len(numbers))), "the queue's tail is dropped, not its head")
        assert 820 < len(numbers) <= 833, f"{len(numbers)} packets in a queue of 833"
        assert arrivals[0].ns > ended_ns, "it ended before"
        assert abs((arrivals[-1].ns - ended_ns) / 1e6 - 101) < 3, "the queue needs 100 ms"


@alone
@over(Wan(rate_mbit=100, rtt_ms=30))
def test_up_and_down_are_apart(lab: Lab) -> None:
    lab.wan.set(rate_mbit=2, rate_down_mbit=50)
    words = lab.near.run(["ping", "-n", "-c3", "-i0.05", "-s1472", "10.9.0.1"]).stdout
    least = float(words.split("min/avg/max")[1].split("=")[1].split("/")[0])
    wanted = 30 + PACKET_BITS / 2e3 + PACKET_BITS / 50e3
    assert wanted - 0.1 < least < wanted + 2, f"{least} ms instead of {wanted}"
    lab.near.run(["ping", "-n", "-c1", "fd09::1"])


def test_refuses_what_it_cannot_do(lab: Lab) -> None:
    """No device, no rate; each in one sentence, and a status of 2."""
    program, left, right = BUILD / "test/lab/lab-link", f"{lab.near.pid}:wan0", f"{lab.gw.pid}:wan0"
    for arguments, mentions in (
            ([], "--left"), (["--left", "0:x", "--right", right], "0:x"),
            (["--left", left, "--right", "999999999:x"], "999999999"),
            (["--left", left, "--right", right, "--up", "rate=-1"], "rate=-1"),
            (["--left", left, "--right", right, "--up", "rate=nan"], "rate=nan"),
            (["--left", left, "--right", right, "--up", "speed=1"], "speed"),
            (["--left", left, "--right", right, "--seed", "x"], "--seed x"),
            (["--left", left, "--right", right, "--down", "loss=90,burst=2"], "loss=90"),
            (["--left", left, "--right", right, "more"], "more")):
        result = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        expect(result.returncode, 2, f"exit status of {arguments}")
        expect_in(mentions, result.stderr)
        expect(result.stderr.count("\n"), 1, f"lines for {arguments}: {result.stderr}")
        expect(result.stdout, "", "stdout")
    assert "wan0" not in lab.near.run(["ip", "link"]).stdout


@over(Wan(rate_mbit=100))
def test_commands(lab: Lab) -> None:
    for command in ("up rate=x", "sideways rate=1", "blackout maybe", "", "up", "stats now"):
        try:
            lab.wan.tell(command)
        except WanError as error:
            expect_in("error:", str(error))
        else:
            raise AssertionError(f"{command!r} was taken")
    expect(lab.wan.tell("both rate=0.5,loss=1"), "ok", "answer")
    lab.near.run(["ping", "-c1", "10.9.0.1"], check=False)
    assert lab.wan.stats()["up"]["packets"] > 0, "not counted"
    lab.wan.tell("both loss=100")                   # of strays none is counted as delivered
    lab.wan.reset()
    expect(lab.wan.stats()["up"]["delivered"], 0, "delivered since reset")
    lab.wan.close()
    expect(lab.wan.process.returncode, 0, "exit status at the end of stdin")
    assert "up0" not in lab.near.run(["ip", "link"]).stdout, "the device is still there"
