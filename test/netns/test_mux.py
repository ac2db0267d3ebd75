# SPDX-License-Identifier: MIT
"""Channels through the control socket of a real ssh, by test/tools/muxcat.

    near: muxcat ── control socket ── ssh ══ gw: sshd ── far: services
"""

import hashlib
import os
import subprocess
import threading
import time

from common import alone, expect, expect_in, slow, timeout
from lab import BUILD, Lab, wait_for
from services import CLOSED, ECHO, SINK, SOURCE

FAR = "10.77.0.2"
CONTROL = "/tmp/mux"
MUXCAT = BUILD / "test/tools/muxcat"
REFUSED, SSH_ENDED = 1, 2


class Master:
    """An ssh with a control socket."""

    def __init__(self, lab: Lab, *options: str, to: str = "gw"):
        self.lab = lab
        self.process = lab.near.popen(["ssh", "-N", "-M", "-S", CONTROL, *options, to])
        wait_for(lab.near.path(CONTROL).is_socket, what="ssh's control socket")

    def muxcat(self, *arguments: object, stdin: bytes = b"", status: int = 0, seconds: float = 50):
        process = self.lab.near.popen([MUXCAT, CONTROL, *arguments], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(stdin, seconds)
        expect(process.returncode, status, f"exit status; it said {err.decode()!r}")
        return out, err.decode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_both_ways(lab: Lab):
    """What goes up and what comes down is what was sent, also after the other end has ended its side."""
    master = Master(lab)
    data = os.urandom(20_000_000)
    expect(master.muxcat("cat", FAR, SINK, stdin=data)[0].decode().strip(), sha256(data), "hash of what went up")
    out = master.muxcat("cat", FAR, SOURCE, stdin=b"20000000\n")[0]
    expect(out[20_000_000:].decode().strip(), sha256(out[:20_000_000]), "hash of what came down")
    expect(master.muxcat("cat", FAR, ECHO, stdin=data)[0] == data, True, "the echo is the same")


def test_far_end_ends_first(lab: Lab):
    """Up still works after the far end sends no more."""
    master = Master(lab)
    listener = lab.far.listen(FAR)
    data, got = os.urandom(3_000_000), bytearray()

    def serve():
        peer = listener.accept()[0]
        peer.sendall(b"bye")
        peer.shutdown(1)
        while part := peer.recv(1 << 16):
            got.extend(part)
        peer.close()
    thread = threading.Thread(target=serve)
    thread.start()
    process = lab.near.popen([MUXCAT, CONTROL, "cat", FAR, listener.getsockname()[1]], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    expect(process.stderr.readline(), b"eof\n")
    expect(process.stdout.read(3), b"bye")
    process.stdin.write(data)
    process.stdin.close()
    thread.join(20)
    expect(bytes(got) == data, True, "all came after the other side had ended")
    expect(process.wait(10), 0)
    expect(master.process.poll(), None, "ssh still runs")


def test_refusal_has_its_text(lab: Lab):
    out, err = Master(lab).muxcat("cat", FAR, CLOSED, status=REFUSED)
    expect(out, b"")
    expect_in("refused 2 Connection refused", err)


def test_prohibited(lab: Lab):
    lab.sshd(2200, AllowTcpForwarding="no")
    master = Master(lab, "-p2200")
    expect_in("refused 1 ", master.muxcat("cat", FAR, ECHO, status=REFUSED)[1])


def test_many_at_once(lab: Lab):
    master = Master(lab)
    master.muxcat("many", FAR, ECHO, 200)
    expect(master.process.poll(), None, "ssh still runs")


def test_exec(lab: Lab):
    master = Master(lab)
    data = os.urandom(5_000_000)
    expect(master.muxcat("exec", "sha256sum", stdin=data)[0].split()[0].decode(), sha256(data))
    expect(master.muxcat("exec", "echo error >&2; head -c 10000000 /dev/zero", stdin=b"")[0], bytes(10_000_000))


def test_exec_refused(lab: Lab):
    """A server that grants no session says so; ssh lives on while channels do."""
    lab.sshd(2200, MaxSessions=0)
    expect_in("refused 2 ", Master(lab, "-p2200").muxcat("exec", "true", status=REFUSED)[1])


def test_connected_before_ssh_ends(lab: Lab):
    """Where the command is refused ssh ends at once, unless somebody is at its control socket by then."""
    lab.sshd(2200, MaxSessions=0)
    for _ in range(10):
        result = lab.near.run([MUXCAT, "start", FAR, ECHO, "-p2200", "gw", "true"], stdin="still here")
        expect(result.stdout, "still here")
    expect(list(lab.near.path("/tmp").glob("ecssh-*")), [], "directories of sockets")


def test_tun(lab: Lab):
    """sshd's own device: packets both ways, many windows' worth."""
    lab.sshd(2200, PermitTunnel="point-to-point")
    Master(lab, "-p2200", "-lroot")
    process = lab.near.popen([MUXCAT, CONTROL, "tun", 5, 3000], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    expect(process.stderr.readline(), b"open\n")
    lab.gw.ip("addr add 10.99.0.1/24 dev tun5", "link set tun5 up")
    process.communicate(b"\n", 30)
    expect(process.returncode, 0, "muxcat's exit status")


def test_unix_socket(lab: Lab):
    master = Master(lab)
    lab.gw.popen(["python3", "-c", "import socket; s = socket.socket(socket.AF_UNIX); s.bind('/tmp/there'); s.listen();"
                  "c = s.accept()[0]; c.sendall(c.recv(100)[::-1])"], user="alice")
    wait_for(lab.gw.path("/tmp/there").is_socket)
    expect(master.muxcat("path", "/tmp/there", stdin=b"abc")[0], b"cba")


def test_server_asks_whether_we_live(lab: Lab):
    """An idle channel outlives ClientAliveInterval x ClientAliveCountMax: we answer CHANNEL_FAILURE (100)."""
    lab.sshd(2200, ClientAliveInterval=1, ClientAliveCountMax=1, LogLevel="DEBUG3")
    log = lab.gw.path("/var/log/sshd-2200.log")
    master = Master(lab, "-p2200")
    process = lab.near.popen([MUXCAT, CONTROL, "cat", FAR, ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"a")
    process.stdin.flush()
    expect(process.stdout.read(1), b"a")
    wait_for(lambda: log.read_text().count("receive packet: type 100") >= 3, 15, "three questions answered")
    out = process.communicate(b"b", 10)[0]
    expect(out, b"b", "still there")
    expect(master.process.poll(), None, "ssh still runs")


def test_forwardings(lab: Lab):
    """-L and -R, TCP and sockets, done by a running ssh on our request."""
    master = Master(lab)
    for bind, address in (("127.0.0.1:9001", "127.0.0.1"), ("[::1]:9001", "::1")):
        master.muxcat("-L", f"{bind}:{FAR}:{ECHO}")
        with lab.near.connect(address, 9001) as peer:
            peer.sendall(b"up")
            expect(peer.recv(10), b"up")
    listener = lab.near.listen("127.0.0.1")
    port = int(master.muxcat("-R", f"127.0.0.1:0:127.0.0.1:{listener.getsockname()[1]}")[0])
    with lab.gw.connect("127.0.0.1", port) as client, listener.accept()[0] as server:
        client.sendall(b"down")
        expect(server.recv(10), b"down")
    master.muxcat("-L", f"/tmp/local:{FAR}:{ECHO}")
    expect(lab.near.path("/tmp/local").is_socket(), True, "a socket here")
    master.muxcat("-R", f"/tmp/remote:127.0.0.1:{listener.getsockname()[1]}")
    expect(lab.gw.path("/tmp/remote").is_socket(), True, "a socket there")
    err = master.muxcat("-L", f"127.0.0.1:{listener.getsockname()[1]}:{FAR}:{ECHO}", status=1)[1]
    expect_in("cannot do -L 127.0.0.1:", err)
    err = master.muxcat("-R", f"127.0.0.1:22:{FAR}:{ECHO}", status=1)[1]
    expect_in("remote port forwarding failed for listen port 22", err)


@slow
@timeout(180)
def test_worn_out(lab: Lab):
    """A link counts its failures and stops before ssh does; what is open goes on."""
    out, _ = Master(lab).muxcat("worn", FAR, ECHO, CLOSED, seconds=170)
    failures = int(out)
    assert 12_000 <= failures < 13_000, failures


@alone
@slow
@timeout(300)
def test_throughput(lab: Lab):
    """One channel beside one connection of ssh -L: numbers, and a floor that only a fault can miss."""
    size = 100_000_000
    listener = lab.far.listen(FAR)
    port = listener.getsockname()[1]
    master = Master(lab, "-L", f"127.0.0.1:9000:{FAR}:{port}")
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

    def timed(is_source: bool, client) -> float:
        thread = threading.Thread(target=serve, args=[is_source])
        thread.start()
        start = time.monotonic()
        client()
        seconds = time.monotonic() - start
        thread.join()
        return size / seconds / 1e6

    def ssh_up():
        with lab.near.connect("127.0.0.1", 9000) as peer:
            own = bytes(1 << 18)
            for _ in range(size // len(own)):
                peer.sendall(own)
            peer.shutdown(1)
            while peer.recv(1):
                pass

    def ssh_down():
        own = bytearray(1 << 18)
        with lab.near.connect("127.0.0.1", 9000) as peer:
            while peer.recv_into(own):
                pass

    rounds = [(timed(False, ssh_up), timed(False, lambda: master.muxcat("up", FAR, port, size)),
               timed(True, ssh_down), timed(True, lambda: master.muxcat("down", FAR, port))) for _ in range(2)]
    up = max(r[1] for r in rounds) / max(r[0] for r in rounds)
    down = max(r[3] for r in rounds) / max(r[2] for r in rounds)
    report = "\n".join("ssh -L up %.0f, mux up %.0f, ssh -L down %.0f, mux down %.0f MB/s" % r for r in rounds)
    if path := os.environ.get("ECSSH_MUX_FIGURES"):
        with open(path, "w") as file:
            file.write(report + f"\nratio up {up:.2f}, down {down:.2f}\n")
    assert up > 0.4 and down > 0.4, report
