# SPDX-License-Identifier: MIT
"""TCP through the tunnel: bytes, both ends of a connection's life, errors, back-pressure.

    near ──ssh── gw ── far (10.77.0.2, fd77::2) ── deep (10.78.0.2, fd78::2)
"""

import hashlib
import json
import os
import selectors
import socket
import struct
import threading
import time

from common import Tunnel, alone, connect_error, expect, slow, timeout
from lab import Lab, wait_for
from services import CLOSED, DEAF, ECHO, FILTERED, HTTP, PROHIBITED, SINK, SOURCE, SWAP

FAR, FAR6 = "10.77.0.2", "fd77::2"
MIB = 1 << 20


def read_all(sock: socket.socket) -> bytes:
    parts = []
    while data := sock.recv(1 << 18):
        parts.append(data)
    return b"".join(parts)


def reset(sock: socket.socket) -> None:
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def accept_from_near(lab: Lab, address: str = FAR, **options) -> tuple[socket.socket, socket.socket]:
    """A connection through the tunnel whose both ends the test holds: (near end, far end)."""
    with lab.far.listen(address) as listener:
        near = lab.near.connect(address, listener.getsockname()[1], **options)
        far = listener.accept()[0]
    far.settimeout(20)
    return near, far


def transfer(sender: socket.socket, receiver: socket.socket, size: int) -> None:
    """Send random bytes and the end of the direction; they must arrive whole."""
    data = os.urandom(size)

    def send() -> None:
        sender.sendall(data)
        sender.shutdown(socket.SHUT_WR)
    thread = threading.Thread(target=send)
    thread.start()
    received = read_all(receiver)
    thread.join()
    assert received == data, f"{len(received)} of {size} bytes arrived, or other ones"


def test_upload_digest(lab: Lab, tunnel):
    for address in (FAR, FAR6):
        data = os.urandom(30 * MIB)
        with lab.near.connect(address, SINK) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            expect(read_all(sock).decode(), hashlib.sha256(data).hexdigest(), "digest at the sink")


def test_download_digest(lab: Lab, tunnel):
    for address in (FAR, FAR6):
        with lab.near.connect(address, SOURCE) as sock:
            sock.sendall(b"%d\n" % (30 * MIB))
            data = read_all(sock)
        expect(len(data), 30 * MIB + 64, "length")
        expect(hashlib.sha256(data[:-64]).hexdigest(), data[-64:].decode(), "digest")


def test_small_writes_both_ways(lab: Lab, tunnel):
    near, far = accept_from_near(lab)
    with near, far:
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(500):
            word = b"%d" % number
            near.sendall(word)
            expect(far.recv(100), word)
            far.sendall(word)
            expect(near.recv(100), word)


class Swapper:
    """One of many connections that send and receive at once and check both digests."""

    def __init__(self, lab: Lab, address: str, size: int):
        self.size = size
        self.request = b"%d\n" % size
        self.to_send = memoryview(self.request + os.urandom(size))
        self.sent_digest = hashlib.sha256(self.to_send[len(self.request):]).hexdigest()
        self.received, self.n_received, self.tail = hashlib.sha256(), 0, b""
        self.sock = lab.near.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.sock.setblocking(False)
        self.sock.connect_ex((address, SWAP))

    def write(self) -> bool:
        """Send what fits; True when all is sent and the direction closed."""
        try:
            self.to_send = self.to_send[self.sock.send(self.to_send[:1 << 17]):]
        except BlockingIOError:
            return False
        if not self.to_send:
            self.sock.shutdown(socket.SHUT_WR)
        return not self.to_send

    def read(self) -> bool:
        """Receive what is there; True at the end."""
        data = self.sock.recv(1 << 17)
        body = data[:max(0, self.size - self.n_received)]
        self.received.update(body)
        self.n_received += len(body)
        self.tail += data[len(body):]
        return not data

    def check(self) -> None:
        expect(self.n_received, self.size, "bytes received")
        expect(self.tail.decode(), self.received.hexdigest() + self.sent_digest, "digests")


def swap_many(lab: Lab, address: str, number: int, size: int) -> None:
    with selectors.DefaultSelector() as selector:
        swappers = [Swapper(lab, address, size) for _ in range(number)]
        for swapper in swappers:
            selector.register(swapper.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, swapper)
        while selector.get_map():
            ready = selector.select(30)
            assert ready, f"stalled with {len(selector.get_map())} of {number} connections left"
            for key, events in ready:
                swapper = key.data
                if events & selectors.EVENT_WRITE and swapper.write():
                    selector.modify(swapper.sock, selectors.EVENT_READ, swapper)
                if events & selectors.EVENT_READ and swapper.read():
                    selector.unregister(swapper.sock)
                    swapper.sock.close()
    for swapper in swappers:
        swapper.check()


@timeout(120)
def test_50_parallel_connections_v6(lab: Lab, tunnel):
    swap_many(lab, FAR6, 50, MIB)


@slow
@timeout(300)
def test_1000_parallel_connections(lab: Lab, tunnel):
    """1,000 connections of 512 KiB, SHA-256 checked both ways."""
    swap_many(lab, FAR, 1000, MIB // 2)
    wait_for(lambda: tunnel.status()["flows"]["tcp"] == 0, 10, "no flow is left")


def test_half_close_by_near(lab: Lab, tunnel):
    for address in (FAR, FAR6):
        near, far = accept_from_near(lab, address)
        with near, far:
            transfer(near, far, 100)
            transfer(far, near, 3 * MIB)


def test_half_close_by_far(lab: Lab, tunnel):
    for address in (FAR, FAR6):
        near, far = accept_from_near(lab, address)
        with near, far:
            transfer(far, near, 100)
            transfer(near, far, 3 * MIB)


def test_close_with_data_in_flight(lab: Lab, tunnel):
    """An application that writes and closes at once loses nothing."""
    near, far = accept_from_near(lab)
    data = os.urandom(100_000)
    near.sendall(data)
    near.close()
    with far:
        assert read_all(far) == data


def test_simultaneous_close(lab: Lab, tunnel):
    pairs = [accept_from_near(lab) for _ in range(50)]
    for near, far in pairs:
        near.shutdown(socket.SHUT_WR)
        far.shutdown(socket.SHUT_WR)
    for near, far in pairs:
        expect((near.recv(1), far.recv(1)), (b"", b""))
        near.close()
        far.close()
    wait_for(lambda: tunnel.status()["flows"]["tcp"] == 0, 10, "flows are gone")


def test_reset_by_far(lab: Lab, tunnel):
    near, far = accept_from_near(lab)
    with near:
        reset(far)
        try:
            near.recv(1)
            raise AssertionError("no reset arrived")
        except ConnectionResetError:
            pass


def test_reset_by_near(lab: Lab, tunnel):
    near, far = accept_from_near(lab)
    with far:
        reset(near)
        try:
            far.recv(1)
            raise AssertionError("no reset arrived")
        except ConnectionResetError:
            pass


def test_urgent_byte_is_data(lab: Lab, tunnel):
    near, far = accept_from_near(lab)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    with near, far:
        near.sendall(b"one ")
        near.send(b"!", socket.MSG_OOB)
        near.sendall(b" two")
        near.shutdown(socket.SHUT_WR)
        expect(read_all(far), b"one ! two")


def test_errors_are_those_of_the_gateway(lab: Lab, tunnel):
    """Refused, prohibited, unreachable: near sees the errno that gw itself sees."""
    for address in (FAR, FAR6, "10.78.0.2", "fd78::2"):
        for port in (HTTP, CLOSED, PROHIBITED):
            expect(connect_error(lab.near, address, port), connect_error(lab.gw, address, port), f"{address}:{port}")


@alone
def test_refused_at_once(lab: Lab, tunnel):
    for address in (FAR, FAR6):
        connect_error(lab.near, address, CLOSED)
        start = time.monotonic()
        expect(connect_error(lab.near, address, CLOSED), "ECONNREFUSED")
        elapsed = time.monotonic() - start
        assert elapsed < 0.1, f"refusal took {elapsed:.3f} s"


def test_host_unreachable(lab: Lab, tunnel):
    """Nobody has these addresses: gw's neighbour discovery fails after about 3 s."""
    for address in ("10.77.0.99", "fd77::99"):
        expect(connect_error(lab.near, address, HTTP), "EHOSTUNREACH", address)


def test_net_unreachable(lab: Lab):
    """gw has no route there."""
    tunnel = Tunnel(lab, subnets=("10.99.0.0/16", "fd99::/64"))
    for address in ("10.99.0.1", "fd99::1"):
        expect(connect_error(lab.near, address, HTTP), connect_error(lab.gw, address, HTTP), address)
        expect(connect_error(lab.near, address, HTTP), "ENETUNREACH", address)
    tunnel.down()


def test_filtered_is_silence(lab: Lab, tunnel):
    for address in (FAR, FAR6):
        expect(connect_error(lab.near, address, FILTERED, 3), "timeout", address)


@slow
@timeout(120)
def test_nmap_sees_what_the_gateway_sees(lab: Lab, tunnel):
    def scan(host, *target: str) -> list[str]:
        out = host.run(["nmap", "-sT", "-Pn", "-n", "--reason", "-p", "1-100", "-oG", "-", *target], timeout=60).stdout
        return [line for line in out.splitlines() if line.startswith("Host:")]
    for target in ([FAR], ["-6", FAR6], ["10.78.0.2"]):
        expect(scan(lab.near, *target), scan(lab.gw, *target), f"nmap {target}")


def rss_kib(lab: Lab, pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def send_until_blocked(sock: socket.socket, limit: int = 400 * MIB) -> int:
    """Send until nothing is taken for two seconds; the bytes taken."""
    chunk = bytes(1 << 17)
    sent = 0
    sock.settimeout(2)
    while sent < limit:
        try:
            sent += sock.send(chunk)
        except TimeoutError:
            return sent
    raise AssertionError(f"{sent} bytes taken, and nobody reads")


def check_bounded(lab: Lab, tunnel: Tunnel, sender: socket.socket, receiver: socket.socket) -> None:
    engine, helper = tunnel.engine().pid, tunnel.helper().pid
    before = rss_kib(lab, engine), rss_kib(lab, helper)
    sent = send_until_blocked(sender)
    grown = rss_kib(lab, engine) - before[0], rss_kib(lab, helper) - before[1]
    assert sent < 40 * MIB, f"{sent} bytes piled up"
    assert max(grown) < 16 * 1024, f"engine and helper grew by {grown} KiB"
    # others are not held up, and the stalled flow goes on where it stopped
    with lab.near.connect(FAR, ECHO, 5) as other:
        other.sendall(b"alive")
        expect(other.recv(10), b"alive")
    sender.shutdown(socket.SHUT_WR)
    expect(len(read_all(receiver)), sent, "bytes after the reader went on")


def test_back_pressure_up(lab: Lab, tunnel):
    near, far = accept_from_near(lab)
    with near, far:
        check_bounded(lab, tunnel, near, far)


def test_back_pressure_down(lab: Lab, tunnel):
    near, far = accept_from_near(lab)
    with near, far:
        check_bounded(lab, tunnel, far, near)


def test_many_stalled_flows(lab: Lab, tunnel):
    """200 applications write to peers that never read; memory stays bounded, others go on."""
    engine, helper = tunnel.engine().pid, tunnel.helper().pid
    stalled = [lab.near.connect(FAR, DEAF) for _ in range(200)]
    for sock in stalled:
        sock.setblocking(False)
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 1:
        for sock in stalled:
            try:
                sock.send(bytes(1 << 16))
                quiet_since = time.monotonic()
            except BlockingIOError:
                pass
    for pid in (engine, helper):
        assert rss_kib(lab, pid) < 256 * 1024, f"{rss_kib(lab, pid)} KiB"
    with lab.near.connect(FAR, ECHO, 5) as other:
        other.sendall(b"alive")
        expect(other.recv(10), b"alive")
    for sock in stalled:
        sock.close()


def test_reader_gone_while_writer_blocked(lab: Lab, tunnel):
    near, far = accept_from_near(lab)
    with near:
        send_until_blocked(near)
        reset(far)
        try:
            while True:
                near.send(bytes(1 << 16))
        except (ConnectionResetError, BrokenPipeError):
            pass


@alone
def test_new_connection_costs_one_round_trip(lab: Lab, tunnel):
    """The median connect through the tunnel adds less than a millisecond to ssh's own round trip."""
    def median_connect() -> float:
        times = []
        for _ in range(101):
            start = time.perf_counter()
            lab.near.connect(FAR, ECHO).close()
            times.append(time.perf_counter() - start)
        return sorted(times)[50]
    median_connect()
    assert median_connect() < 0.003, f"{median_connect() * 1e3:.2f} ms"


@timeout(120)
def test_2000_idle_connections(lab: Lab, tunnel):
    """They stay usable, and they go when they are closed."""
    socks = [lab.near.connect(FAR, ECHO) for _ in range(2000)]
    expect(tunnel.status()["flows"]["tcp"], 2000, "flows shown")
    for sock in socks:
        sock.sendall(b"?")
    for sock in socks:
        expect(sock.recv(1), b"?")
        sock.close()
    wait_for(lambda: tunnel.status()["flows"]["tcp"] == 0, 10, "flows are gone")


def test_listen_on_near_is_not_reachable_through_the_tunnel(lab: Lab, tunnel):
    """The far side gets no way in: nothing on gw or far can open a connection to near."""
    address = tunnel_address(lab)
    with lab.near.listen("0.0.0.0", 5555):
        for host in (lab.gw, lab.far):
            assert connect_error(host, address, 5555, 1) != "connected"


def tunnel_address(lab: Lab) -> str:
    link = json.loads(lab.near.run(["ip", "-j", "-4", "addr", "show", "dev", "ecssh0"]).stdout)[0]
    return link["addr_info"][0]["local"]
