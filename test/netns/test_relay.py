# SPDX-License-Identifier: MIT
"""The rungs direct and tun by themselves, with a real ssh, by test/tools/relaydoor.

    near: curl, sockets ── relaydoor ── control socket ── ssh ══ gw: sshd ── far: services
"""

import hashlib
import os
import socket
import struct
import subprocess
import threading
import time

from common import alone, expect, expect_in, slow, timeout
from lab import BUILD, Lab, wait_for
from services import CLOSED, ECHO, SINK, SOURCE

FAR = "10.77.0.2"
DOOR = 1080
RELAYDOOR = BUILD / "test/tools/relaydoor"
REFUSED, PROHIBITED = 5, 2        # RFC 1928 section 6


class Relay:
    """A relaydoor over one or more sshs."""

    def __init__(self, lab: Lab, *options: str, to: str = "gw", tun: str = "-", masters: int = 1):
        self.lab = lab
        sockets = [f"/tmp/mux{i}" for i in range(masters)]
        self.masters = [lab.near.popen(["ssh", "-N", "-M", "-S", name, *options, to]) for name in sockets]
        for name in sockets:
            wait_for(lab.near.path(name).is_socket, what="ssh's control socket")
        self.process = lab.near.popen([RELAYDOOR, f"127.0.0.1:{DOOR}", tun, *sockets],
                                      stdout=subprocess.PIPE, text=True)
        expect(self.line(), "ready ")

    def line(self) -> str:
        return self.process.stdout.readline().rstrip("\n")

    def try_connect(self, host: str, port: int) -> tuple[int, socket.socket]:
        """The answer of the door, and the connection."""
        peer = self.lab.near.connect("127.0.0.1", DOOR)
        name = host.encode()
        peer.sendall(b"\5\1\0" + b"\5\1\0\3" + bytes([len(name)]) + name + struct.pack(">H", port))
        answer = b""
        while len(answer) < 12:
            part = peer.recv(12 - len(answer))
            assert part, "the door closed"
            answer += part
        return answer[3], peer

    def connect(self, host: str, port: int) -> socket.socket:
        status, peer = self.try_connect(host, port)
        expect(status, 0, f"answer of the door for {host}:{port}")
        return peer


def read_all(peer: socket.socket) -> bytes:
    got = bytearray()
    while part := peer.recv(1 << 18):
        got += part
    return bytes(got)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_both_ways(lab: Lab):
    relay = Relay(lab)
    data = os.urandom(20_000_000)
    with relay.connect(FAR, SINK) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        expect(read_all(peer).decode().strip(), sha256(data), "hash of what went up")
    with relay.connect(FAR, SOURCE) as peer:
        peer.sendall(b"20000000\n")
        peer.shutdown(socket.SHUT_WR)
        out = read_all(peer)
        expect(out[20_000_000:].decode().strip(), sha256(out[:20_000_000]), "hash of what came down")


def test_far_end_ends_first(lab: Lab):
    """Up still works after the far end sends no more, and all of it arrives."""
    relay = Relay(lab)
    listener = lab.far.listen(FAR)
    data, got = os.urandom(3_000_000), bytearray()

    def serve():
        peer = listener.accept()[0]
        peer.sendall(b"bye")
        peer.shutdown(socket.SHUT_WR)
        got.extend(read_all(peer))
        peer.close()
    thread = threading.Thread(target=serve)
    thread.start()
    with relay.connect(FAR, listener.getsockname()[1]) as peer:
        expect(read_all(peer), b"bye")
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        thread.join(20)
    expect(bytes(got) == data, True, "all came after the other side had ended")


def test_refusals(lab: Lab):
    """What the server says reaches the application; names are looked up there."""
    lab.sshd(2200, PermitOpen=f"{FAR}:{ECHO} {FAR}:{CLOSED} nowhere.invalid:80 gw:22")
    relay = Relay(lab, "-p2200")
    expect(relay.try_connect(FAR, CLOSED)[0], REFUSED)
    expect(relay.try_connect(FAR, SINK)[0], PROHIBITED)
    expect(relay.try_connect("nowhere.invalid", 80)[0], 4)
    with relay.connect("gw", 22) as peer:
        expect_in("SSH-2.0", peer.recv(100).decode())


def test_back_pressure(lab: Lab):
    """A reader that stalls stops the writer; other streams go on."""
    relay = Relay(lab)
    stalled = relay.connect(FAR, SOURCE)
    stalled.sendall(b"200000000\n")
    with relay.connect(FAR, ECHO) as peer:
        for _ in range(50):
            peer.sendall(b"x" * 1000)
            n_left = 1000
            while n_left:
                n_left -= len(peer.recv(n_left))
    memory = int(next(line.split()[1] for line in open(f"/proc/{door_pid(relay)}/status") if line.startswith("VmRSS")))
    assert memory < 40_000, f"{memory} KiB resident"
    stalled.close()


@alone
def test_small_messages_do_not_wait(lab: Lab):
    """OpenSSH before 10.1 sets TCP_NODELAY only when a session starts something, which may fail: without, each
    second small message waits for an acknowledgement, 40 ms."""
    relay = Relay(lab)
    listener = lab.far.listen(FAR)

    def serve():
        peer = listener.accept()[0]
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while peer.recv(1):
            for _ in range(4):
                peer.sendall(b"x")
                time.sleep(0.002)       # so that it is a message of its own
        peer.close()
    threading.Thread(target=serve, daemon=True).start()
    with relay.connect(FAR, listener.getsockname()[1]) as peer:
        taken = []
        for _ in range(21):
            start = time.monotonic()
            peer.sendall(b"?")
            n_left = 4
            while n_left:
                n_left -= len(peer.recv(n_left))
            taken.append(time.monotonic() - start)
    assert sorted(taken)[10] < 0.03, taken


def door_pid(relay: Relay) -> int:
    return relay.lab.near.process("^relaydoor$").pid


@slow
@timeout(300)
def test_20000_refusals(lab: Lab):
    """Failed openings wear out one ssh after the other, and the tunnel goes on."""
    relay = Relay(lab, masters=4)
    with relay.connect(FAR, ECHO) as peer:
        done = 0

        n_threads = 50

        def storm(first: int):
            nonlocal done
            for port in range(first, 40_000, n_threads):
                status, failed = relay.try_connect(FAR, port)
                failed.close()
                expect(status, REFUSED, f"port {port}")
                done += 1
        threads = [threading.Thread(target=storm, args=[20_000 + i]) for i in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect(done, 20_000)
        peer.sendall(b"alive")
        expect(peer.recv(5), b"alive", "a stream of the first ssh")
    expect([relay.line(), relay.line()], ["worn ", "worn "])
    with relay.connect(FAR, ECHO) as peer:
        peer.sendall(b"alive")
        expect(peer.recv(5), b"alive", "a stream of the last ssh")
    expect([relay.line(), relay.line()], ["retired ", "retired "])


@alone
@slow
@timeout(300)
def test_throughput(lab: Lab):
    """One stream beside one of ssh -L in the same run; a floor that only a fault can miss."""
    size = 100_000_000
    listener = lab.far.listen(FAR)
    port = listener.getsockname()[1]
    relay = Relay(lab, "-L", f"127.0.0.1:9000:{FAR}:{port}")
    buffer = bytearray(1 << 18)

    def serve(is_source: bool):
        peer = listener.accept()[0]
        if is_source:
            for _ in range(size // len(buffer)):
                peer.sendall(buffer)
        else:
            while peer.recv_into(buffer):
                pass
        peer.close()

    def timed(is_source: bool, connect) -> float:
        thread = threading.Thread(target=serve, args=[is_source])
        thread.start()
        start = time.monotonic()
        own = bytearray(1 << 18)
        with connect() as peer:
            if not is_source:
                for _ in range(size // len(own)):
                    peer.sendall(own)
                peer.shutdown(socket.SHUT_WR)
            while peer.recv_into(own):
                pass
        seconds = time.monotonic() - start
        thread.join()
        return size / seconds / 1e6

    def by_ssh():
        return lab.near.connect("127.0.0.1", 9000)

    def by_relay():
        return relay.connect(FAR, port)

    rounds = [(timed(False, by_ssh), timed(False, by_relay), timed(True, by_ssh), timed(True, by_relay))
              for _ in range(2)]
    up = max(r[1] for r in rounds) / max(r[0] for r in rounds)
    down = max(r[3] for r in rounds) / max(r[2] for r in rounds)
    report = "\n".join("ssh -L up %.0f, relay up %.0f, ssh -L down %.0f, relay down %.0f MB/s" % r for r in rounds)
    report += f"\nratio up {up:.2f}, down {down:.2f}\n"
    if path := os.environ.get("ECSSH_RELAY_FIGURES"):
        with open(path, "w") as file:
            file.write(report)
    assert up > 0.4 and down > 0.4, report


def use_tun(lab: Lab, relay: Relay, name: str) -> None:
    """Do on gw what the relay says is to be done there, and route to far here."""
    status, _, commands = relay.line().partition(" ")
    expect(status, "up", commands)
    device = wait_for(lambda: tun_devices(lab), what="a tun device on gw")[0]
    lab.gw.run(["sh", "-ec", commands.replace("tunN", device)])
    lab.near.run(["ip", "route", "add", f"{FAR}/32", "dev", name, "src", "100.64.0.2"])


def tun_devices(lab: Lab) -> list[str]:
    out = lab.gw.run(["ip", "-o", "tuntap"]).stdout
    return [line.split(":")[0] for line in out.splitlines()]


def test_tun(lab: Lab):
    """Packets of all kinds through the server's device, set up by the words of the relay."""
    lab.sshd(2200, PermitTunnel="yes")
    relay = Relay(lab, "-p2200", to="root@gw", tun="relay0")
    use_tun(lab, relay, "relay0")
    lab.near.run(["ping", "-c3", "-i0.2", "-W10", FAR])
    lab.near.run(["ping", "-c2", "-i0.2", "-W10", "-s1400", "-Mdo", FAR])
    data = os.urandom(10_000_000)
    with lab.near.connect(FAR, SINK) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        expect(read_all(peer).decode().strip(), sha256(data), "hash of what went up")
    with lab.near.connect(FAR, SOURCE) as peer:
        peer.sendall(b"10000000\n")
        out = read_all(peer)
        expect(out[10_000_000:].decode().strip(), sha256(out[:10_000_000]), "hash of what came down")


def test_tun_beside_streams(lab: Lab):
    """Streams that keep ssh full leave room for packets."""
    lab.sshd(2200, PermitTunnel="yes")
    relay = Relay(lab, "-p2200", to="root@gw", tun="relay0")
    use_tun(lab, relay, "relay0")
    over = threading.Event()

    def upload():
        with relay.connect(FAR, SINK) as peer:
            while not over.is_set():
                peer.sendall(bytes(100_000))
    threads = [threading.Thread(target=upload) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        lab.near.run(["ping", "-c20", "-i0.05", "-w30", FAR])
        with lab.near.connect(FAR, SOURCE) as peer:
            peer.sendall(b"1000000\n")
            expect(len(read_all(peer)) > 1_000_000, True)
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_tun_refused(lab: Lab):
    relay = Relay(lab, tun="relay0")
    status, _, text = relay.line().partition(" ")
    expect(status, "lacking")
    expect_in("PermitTunnel", text)
    with relay.connect(FAR, ECHO) as peer:
        peer.sendall(b"alive")
        expect(peer.recv(5), b"alive")


@alone
@slow
@timeout(300)
def test_tun_throughput(lab: Lab):
    """TCP through the packet plane beside TCP through ssh -w in the same run."""
    size = 40_000_000
    lab.sshd(2200, PermitTunnel="yes")
    relay = Relay(lab, "-p2200", to="root@gw", tun="relay0")
    use_tun(lab, relay, "relay0")
    listeners = {lab.far.listen("10.77.0.2"): "10.77.0.2"}
    lab.far.ip("addr add 10.77.0.22/24 dev gw0")
    listeners[lab.far.listen("10.77.0.22")] = "10.77.0.22"
    lab.near.popen(["ssh", "-N", "-p2200", "-w7:7", "root@gw"])
    for host in (lab.near, lab.gw):
        wait_for(lambda: host.run(["ip", "link", "show", "tun7"], check=False).returncode == 0)
    lab.near.ip("link set tun7 up", "addr add 100.65.0.2/32 dev tun7",
                "route add 10.77.0.22/32 dev tun7 src 100.65.0.2")
    lab.gw.ip("link set tun7 up", "route add 100.65.0.2/32 dev tun7")
    lab.gw.run(["nft", "add rule inet ecssh-tun0 nat ip saddr 100.65.0.2 masquerade"])
    buffer = bytearray(1 << 18)

    def timed(listener, is_source: bool) -> float:
        def serve():
            peer = listener.accept()[0]
            if is_source:
                for _ in range(size // len(buffer)):
                    peer.sendall(buffer)
            else:
                while peer.recv_into(buffer):
                    pass
            peer.close()
        thread = threading.Thread(target=serve)
        thread.start()
        own = bytearray(1 << 18)
        start = time.monotonic()
        with lab.near.connect(*listener.getsockname()) as peer:
            if not is_source:
                for _ in range(size // len(own)):
                    peer.sendall(own)
                peer.shutdown(socket.SHUT_WR)
            while peer.recv_into(own):
                pass
        seconds = time.monotonic() - start
        thread.join()
        return size / seconds / 1e6

    ours, theirs = listeners
    rounds = [(timed(theirs, False), timed(ours, False), timed(theirs, True), timed(ours, True)) for _ in range(3)]
    up = max(r[1] for r in rounds) / max(r[0] for r in rounds)
    down = max(r[3] for r in rounds) / max(r[2] for r in rounds)
    report = "\n".join("ssh -w up %.0f, relay up %.0f, ssh -w down %.0f, relay down %.0f MB/s" % r for r in rounds)
    report += f"\nratio up {up:.2f}, down {down:.2f}\n"
    if path := os.environ.get("ECSSH_RELAY_FIGURES"):
        with open(path, "w") as file:
            file.write(report)
    assert up > 0.6 and down > 0.6, report
