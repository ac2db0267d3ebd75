# SPDX-License-Identifier: MIT
"""-L and -R, carried by the user's ssh beside the tunnel.

    near ──ssh── gw ── far
"""

import os
import signal
import socket
import threading
from contextlib import closing

from common import OK, USAGE, Ecssh, Tunnel, connect_error, expect, expect_in
from lab import HELPER, Lab, wait_for
from services import CLOSED, ECHO, SOURCE
from socksclient import connect_unix
from test_doors import check_source

FAR, FAR6 = "10.77.0.2", "fd77::2"
MODES = ("helper", "direct")


def answer(listener, greeting: bytes) -> None:
    """Greet whoever connects."""
    def serve():
        while True:
            try:
                with closing(listener.accept()[0]) as peer:
                    peer.sendall(greeting)
            except OSError:
                return
    threading.Thread(target=serve, daemon=True).start()


def greeting_of(sock) -> bytes:
    with closing(sock):
        return sock.recv(100)


def states(tunnel: Tunnel) -> dict:
    return {f["forward"]: f["state"] for f in tunnel.status()["forwards"]}


def settled(tunnel: Tunnel) -> dict:
    """What has become of each, once ssh has answered."""
    wait_for(lambda: "asked" not in states(tunnel).values(), what="ssh has answered")
    return states(tunnel)


def fetch(host, address: str, port: int) -> None:
    with closing(host.connect(address, port)) as sock:
        check_source(sock)


def test_both_ways(lab: Lab):
    """Local and remote, TCP of both families, in either mode; the tunnel works beside it."""
    listener = lab.near.listen("127.0.0.1")
    answer(listener, b"from near")
    port = listener.getsockname()[1]
    for mode in MODES:
        forwards = {"L": (f"9001:{FAR}:{SOURCE}", f"[::1]:9002:[{FAR6}]:{SOURCE}",
                          f"127.0.0.1:9003:far.inner:{SOURCE}"),
                    "R": (f"9004:127.0.0.1:{port}", f"127.0.0.1:0:localhost:{port}")}
        lab.gw.write("/etc/hosts", f"127.0.0.1 localhost\n{FAR} far.inner\n")
        tunnel = Tunnel(lab, "--mode", mode, *(word for kind, all_of in forwards.items() for text in all_of
                                               for word in ("-" + kind, text)))
        expect(set(settled(tunnel).values()), {"up"}, mode)
        expect([(f["kind"], f["forward"]) for f in tunnel.status()["forwards"]],
               [("local", text) for text in forwards["L"]] + [("remote", text) for text in forwards["R"]])
        for address, local in (("127.0.0.1", 9001), ("::1", 9002), ("127.0.0.1", 9003)):
            fetch(lab.near, address, local)
        fetch(lab.near, FAR, SOURCE)
        chosen = tunnel.status()["forwards"][-1]["port"]
        assert chosen, "no port"
        expect_in(f"listens on port {chosen}", tunnel.stderr())
        for remote in (9004, chosen):
            expect(greeting_of(lab.gw.connect("127.0.0.1", remote)), b"from near")
        text = lab.near.run(["ecssh", "status"]).stdout
        expect_in(f"forward     -L {forwards['L'][0]}, up", text)
        expect_in(f"forward     -R {forwards['R'][0]}, up", text)
        tunnel.down()
        tunnel.expect_restored()
        expect(connect_error(lab.near, "127.0.0.1", 9001), "ECONNREFUSED")
        wait_for(lambda: connect_error(lab.gw, "127.0.0.1", 9004) == "ECONNREFUSED")


def test_unix_sockets(lab: Lab):
    """A path on either end, in ssh's syntax."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(lab.near.path("/root/near.sock")))
    listener.listen()
    answer(listener, b"from near")
    for mode in MODES:
        tunnel = Tunnel(lab, "--mode", mode, "-L", f"/root/local.sock:{FAR}:{SOURCE}", "-R", "9004:/root/near.sock",
                        "-R", "/home/alice/remote.sock:/root/near.sock", "-L", "9005:/home/alice/remote.sock")
        expect(set(settled(tunnel).values()), {"up"}, tunnel.stderr())
        with closing(connect_unix(lab.near, "/root/local.sock")) as sock:
            check_source(sock)
        expect(greeting_of(lab.gw.connect("127.0.0.1", 9004)), b"from near")
        expect(greeting_of(connect_unix(lab.gw, "/home/alice/remote.sock")), b"from near")
        expect(greeting_of(lab.near.connect("127.0.0.1", 9005)), b"from near", "there and back again")
        expect(lab.near.path("/root/local.sock").stat().st_mode & 0o777, 0o600)
        tunnel.down()
        expect(lab.near.path("/root/local.sock").exists(), False, "the socket is gone")
        tunnel.expect_restored()
        # What sshd made stays, unless it is told otherwise (StreamLocalBindUnlink).
        lab.gw.path("/home/alice/remote.sock").unlink(missing_ok=True)


def test_stale_socket_is_replaced(lab: Lab):
    """What a killed one has left; a socket in use, or what is no socket, is left alone."""
    path = "/root/local.sock"
    forward = f"{path}:{FAR}:{SOURCE}"
    tunnel = Tunnel(lab, "-L", forward)
    settled(tunnel)
    os.kill(tunnel.engine().pid, signal.SIGKILL)
    tunnel.wait()
    wait_for(lambda: not lab.near.processes("^ssh$"), what="ssh ends")
    tunnel = Tunnel(lab, "--name", "one", "-L", forward)
    expect(settled(tunnel), {forward: "up"})
    other = Tunnel(lab, "--mode", "socks", "--name", "two", "-L", forward, subnets=())
    wait_for(lambda: f"-L {forward} does not work" in other.stderr())
    other.down("two")
    with closing(connect_unix(lab.near, path)) as sock:
        check_source(sock)
    tunnel.down("one")
    expect(lab.near.path(path).exists(), False, "the socket is gone")
    lab.near.write(path, "a file")
    tunnel = Tunnel(lab, "-L", forward)
    expect(settled(tunnel), {forward: "failed"})
    tunnel.down()
    expect(lab.near.path(path).read_text(), "a file")


def test_failures_are_warnings(lab: Lab):
    """A port that is taken, here or there: said, and the tunnel lives with the others."""
    taken = "127.0.0.1"     # without an address ssh takes ::1 alone, too
    for mode in MODES:
        with closing(lab.near.listen(taken, 9001)), closing(lab.gw.listen(taken, 9004)):
            tunnel = Tunnel(lab, "--mode", mode, "-L", f"{taken}:9001:{FAR}:{ECHO}",
                            "-L", f"9002:{FAR}:{SOURCE}", "-R", f"{taken}:9004:{FAR}:{ECHO}", "-R", "22:localhost:22",
                            "-L", f"/no/such/dir/s:{FAR}:{ECHO}",
                            "-L", f"10.1.2.3:9003:{FAR}:{ECHO}")
            got = settled(tunnel)
            expect(got, {f"{taken}:9001:{FAR}:{ECHO}": "failed", f"9002:{FAR}:{SOURCE}": "up",
                         f"{taken}:9004:{FAR}:{ECHO}": "failed",
                         "22:localhost:22": "failed", f"/no/such/dir/s:{FAR}:{ECHO}": "failed",
                         f"10.1.2.3:9003:{FAR}:{ECHO}": "failed"})
            for text, state in got.items():
                lines = [line for line in tunnel.stderr().splitlines() if text in line and line.startswith("ecssh:")]
                expect(len(lines), state == "failed", f"warnings about {text}: {lines}")
            expect_in(f"-L {taken}:9001:{FAR}:{ECHO}, failed", lab.near.run(["ecssh", "status"]).stdout)
            fetch(lab.near, "127.0.0.1", 9002)
            fetch(lab.near, FAR, SOURCE)
            tunnel.down()
            tunnel.expect_restored()


def test_server_refuses(lab: Lab):
    """AllowTcpForwarding local: no -R, and the rest works; "no" forbids -L when it is used."""
    lab.sshd(2200, AllowTcpForwarding="local")
    for mode in MODES:
        tunnel = Tunnel(lab, "--mode", mode, "-p2200", "-R", "9004:localhost:22", "-L", f"9001:{FAR}:{SOURCE}")
        expect(settled(tunnel), {"9004:localhost:22": "failed", f"9001:{FAR}:{SOURCE}": "up"})
        expect_in("-R 9004:localhost:22 does not work", tunnel.stderr())
        fetch(lab.near, "127.0.0.1", 9001)
        fetch(lab.near, FAR, SOURCE)
        tunnel.down()
        tunnel.expect_restored()
    lab.sshd(2201, AllowTcpForwarding="no")
    tunnel = Tunnel(lab, "-p2201", "-R", "9004:localhost:22", "-L", f"9001:{FAR}:{SOURCE}")
    expect(settled(tunnel)["9004:localhost:22"], "failed")
    with closing(lab.near.connect("127.0.0.1", 9001)) as sock:
        try:
            expect(sock.recv(1), b"")
        except ConnectionResetError:
            pass
    fetch(lab.near, FAR, SOURCE)
    tunnel.down()


def test_refused_there(lab: Lab):
    """A connection by -L that nobody takes ends, and the forwarding stays."""
    for mode in MODES:
        tunnel = Tunnel(lab, "--mode", mode, "-L", f"9001:{FAR}:{CLOSED}", "-L", f"9002:{FAR}:{SOURCE}")
        settled(tunnel)
        for _ in range(3):
            with closing(lab.near.connect("127.0.0.1", 9001)) as sock:
                try:
                    expect(sock.recv(1), b"")
                except ConnectionResetError:
                    pass
        fetch(lab.near, "127.0.0.1", 9002)
        tunnel.down()


def test_malformed(lab: Lab):
    for kind in ("-L", "-R"):
        for text in ("", "abc", "9000", "9000:", "9000:h", "9000:h:", "9000:h:0", "9000:h:70000", "70000:h:1", "-1:h:1",
                     "9000:h:1:2:3", "9000:[::1:22", "9000::22", "/a:/b:/c", "9000:h:1x", "9 0:h:1", "9000:h:1\n", ":::",
                     "x" * 5000):
            said = Ecssh(lab.near, "up", kind, text, "gw", FAR).fails(USAGE, kind)
            assert len(said) < 1000 and "\n" not in said.strip(), repr(said)
    Ecssh(lab.near, "up", "-L", "0:h:1", "gw", FAR).fails(USAGE, "port 0")
    Ecssh(lab.near, "up", "-R", "1080", "gw", FAR).fails(USAGE, "not supported")
    Ecssh(lab.near, "up", *["-L", "9000:h:1"] * 100, "gw", FAR).fails(USAGE, "more than")


def test_with_mode_socks(lab: Lab):
    """No device, no privilege: a door and forwardings."""
    tunnel = Tunnel(lab, "--mode", "socks", "-L", f"9001:{FAR}:{SOURCE}", subnets=(), user="bob")
    expect(set(settled(tunnel).values()), {"up"})
    fetch(lab.near, "127.0.0.1", 9001)
    expect(len(tunnel.status()["doors"]), 1)
    tunnel.down()
    tunnel.expect_restored()


def test_killed(lab: Lab):
    """After kill -9 nothing is left, here or there: no ssh, no listener, no socket."""
    for mode in MODES:
        tunnel = Tunnel(lab, "--mode", mode, "-L", f"9001:{FAR}:{SOURCE}", "-R", "9004:localhost:22", "-D", "1080")
        settled(tunnel)
        os.kill(tunnel.engine().pid, signal.SIGKILL)
        tunnel.wait()
        wait_for(lambda: not lab.near.processes("^ssh$"), what="ssh ends")
        wait_for(lambda: not lab.gw.processes(HELPER), what="the helper ends")
        wait_for(lambda: not list(lab.near.path("/tmp").glob("ecssh-*")), what=f"{mode}: no directory of sockets is left")
        tunnel.expect_restored()
        expect(connect_error(lab.near, "127.0.0.1", 9001), "ECONNREFUSED")
        wait_for(lambda: connect_error(lab.gw, "127.0.0.1", 9004) == "ECONNREFUSED")
        # And a next one has it all.
        tunnel = Tunnel(lab, "--mode", mode, "-L", f"9001:{FAR}:{SOURCE}", "-R", "9004:localhost:22", "-D", "1080")
        expect(set(settled(tunnel).values()), {"up"})
        tunnel.down()
        expect(tunnel.wait(), OK)
        expect(list(lab.near.path("/tmp").glob("ecssh-*")), [], f"{mode}: directories of sockets")
