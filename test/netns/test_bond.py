# SPDX-License-Identifier: MIT
"""Several links to one helper, over a line that is long: test/tools/delaypipe as ssh's ProxyCommand.

    near: ecssh ── ssh ── delaypipe (100 ms there and back) ── gw: sshd, helper ── far
"""

import hashlib
import os
import threading
import time

from common import Skip, Tunnel, alone, expect, expect_in, slow, timeout
from lab import BUILD, HELPER, Lab, wait_for
from services import SINK, SOURCE

FAR = "10.77.0.2"
STREAMS = 12


def line(ms: int, mbit: int = 0, **ssh: object) -> list[str]:
    """Options of ecssh for a line with this delay in each direction and this rate."""
    options = {"ProxyCommand": f"{BUILD}/test/tools/delaypipe 10.9.0.1 %p {ms} {mbit}", **ssh}
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def tunnel(lab: Lab, *arguments: object, channels: object = None) -> Tunnel:
    if "--channels" not in lab.near.run(["ecssh", "up", "--help"]).stdout:
        raise Skip("this ecssh up has no --channels")
    return Tunnel(lab, *arguments, *(["--channels", channels] if channels is not None else []))


def sockets(lab: Lab) -> list:
    """Directories of helpers' sockets on gw."""
    return list(lab.gw.path("/tmp").glob("ecssh-*"))


def joined(lab: Lab) -> int:
    """Connections to such sockets, as the kernel of gw has them."""
    return sum("/ecssh-" in row and row.split()[5] == "03"
               for row in lab.gw.run(["cat", "/proc/net/unix"]).stdout.splitlines()[1:])


def check_bytes(lab: Lab, size: int = 20_000_000) -> None:
    """What goes up and what comes down is what was sent."""
    data = os.urandom(size)
    with lab.near.connect(FAR, SINK) as peer:
        peer.sendall(data)
        peer.shutdown(1)
        expect(peer.recv(64).decode(), hashlib.sha256(data).hexdigest(), "hash of what went up")
    with lab.near.connect(FAR, SOURCE) as peer, peer.makefile("rb") as file:
        peer.sendall(b"%d\n" % size)
        expect(hashlib.sha256(file.read(size)).hexdigest(), file.read(64).decode(), "hash of what came down")


def rate(lab: Lab, goes_up: bool, warm_up: float = 2, seconds: float = 4) -> float:
    """Mbit/s of STREAMS connections at once."""
    listener = lab.far.listen(FAR)
    counts, stop, pairs = [0] * STREAMS, threading.Event(), []
    for _ in range(STREAMS):
        near = lab.near.connect(*listener.getsockname())
        far = listener.accept()[0]
        pairs.append((near, far) if goes_up else (far, near))

    def write(peer):
        data = bytes(1 << 18)
        try:
            while not stop.is_set():
                peer.sendall(data)
        except OSError:
            pass

    def read(peer, i):
        buffer = bytearray(1 << 18)
        try:
            while n := peer.recv_into(buffer):
                counts[i] += n
        except OSError:
            pass
    threads = [threading.Thread(target=write, args=[source]) for source, _ in pairs]
    threads += [threading.Thread(target=read, args=[sink, i]) for i, (_, sink) in enumerate(pairs)]
    for thread in threads:
        thread.start()
    time.sleep(warm_up)
    start, before = time.monotonic(), sum(counts)
    time.sleep(seconds)
    result = (sum(counts) - before) * 8 / (time.monotonic() - start) / 1e6
    stop.set()
    for peer in [peer for pair in pairs for peer in pair]:
        try:
            peer.shutdown(2)
        except OSError:
            pass
    for thread in threads:
        thread.join()
    for peer in [peer for pair in pairs for peer in pair]:
        peer.close()
    listener.close()
    return result


def record(text: str) -> None:
    if path := os.environ.get("ECSSH_BOND_FIGURES"):
        with open(path, "a") as file:
            file.write(text + "\n")


def test_bytes_over_many(lab: Lab):
    t = tunnel(lab, *line(5), channels=8)
    check_bytes(lab)
    wait_for(lambda: joined(lab) == 8, what="eight links")
    check_bytes(lab)
    expect(len(sockets(lab)), 1, "sockets on gw")
    t.down()
    wait_for(lambda: not sockets(lab), what="the socket is gone")


def test_sockets_prohibited(lab: Lab):
    """Commands take their place, each a session of the server's."""
    lab.sshd(2200, AllowStreamLocalForwarding="no")
    t = tunnel(lab, *line(5, Port=2200), channels=3)
    wait_for(lambda: joined(lab) == 3, what="three links")
    expect(sum("--join" in p.args for p in lab.gw.processes(HELPER)) >= 3, True, "bridges run")
    check_bytes(lab)
    t.down()
    wait_for(lambda: not lab.gw.processes(HELPER), what="no helper is left")


def test_none_to_be_had(lab: Lab):
    """Neither sockets nor sessions: one link has to do, and does."""
    lab.sshd(2200, AllowStreamLocalForwarding="no", MaxSessions=1)
    t = tunnel(lab, *line(5, Port=2200), channels=3)
    wait_for(lambda: sockets(lab), what="it was tried")
    check_bytes(lab)
    expect(joined(lab), 0, "links")
    t.down()
    wait_for(lambda: not sockets(lab), what="the socket is gone")


def test_helper_dies(lab: Lab):
    """All links end at once: as with one."""
    t = tunnel(lab, *line(5), channels=2)
    wait_for(lambda: joined(lab) == 2, what="two links")
    helper = t.helper()
    os.kill(helper.pid, 9)
    assert t.wait(10) != 0
    # Of helper and ssh either may be the first to be missed: "lost the connection to", "the connection to gw is lost".
    expect_in("lost", t.stderr())
    assert "chan_send" not in t.stderr(), t.stderr()


def test_stranger_at_the_socket(lab: Lab):
    """Who does not know the token is shown the door, and nothing breaks."""
    t = tunnel(lab, *line(5), channels=1)
    wait_for(lambda: joined(lab) == 1, what="one link")
    out = lab.gw.run(["python3", "-c", "import glob, socket; s = socket.socket(socket.AF_UNIX);"
                      "s.connect(glob.glob('/tmp/ecssh-*/s')[0]);"
                      "s.sendall(bytes.fromhex('9200001000000000') + bytes(16)); print(s.recv(100))"], "alice").stdout
    expect(out, "b''\n")
    expect(lab.gw.run(["ls", f"/tmp/{sockets(lab)[0].name}"], "bob", check=False).returncode != 0, True, "bob is kept out")
    check_bytes(lab)
    t.down()


def test_short_line_needs_no_more(lab: Lab):
    """Neither a fast line without delay nor a slow one whose queue is long."""
    for options in ([], line(20, 30)):
        t = tunnel(lab, *options)
        for _ in range(5):
            t.status()  # sends a ping: one of them is quick
            time.sleep(0.1)
        rate(lab, True, 4, 1)
        expect(sockets(lab), [], "sockets on gw")
        t.down()


@alone
@slow
@timeout(200)
def test_window_limited(lab: Lab):
    """At 100 ms one channel passes 160 Mbit/s up; four, or as many as it takes, pass more."""
    figures = {}
    for channels in (0, 4, None):
        t = tunnel(lab, *line(50), channels=channels)
        figures[channels] = rate(lab, True, 8 if channels is None else 4, 3), rate(lab, False, 2, 3)
        record("channels %s: up %.0f, down %.0f Mbit/s" % (channels, *figures[channels]))
        t.down()
    assert figures[4][0] > 2 * figures[0][0], figures
    assert figures[4][1] > 2 * figures[0][1], figures
    assert figures[None][0] > 1.7 * figures[0][0], figures
