# SPDX-License-Identifier: MIT
"""The far side is a SOCKS 5 server of somebody else's.

    near: ecssh ── SOCKS ── gw: socksd.py, or a door of ssh -D ── far
"""

import os
import socket
import subprocess
from contextlib import closing

from common import OK, SSH, USAGE, Ecssh, Tunnel, connect_error, expect, expect_in, timeout
from lab import PROJECT, PYTHON, SUBNETS, Lab, diff, wait_for
from services import CLOSED, ECHO, SOURCE
from socksclient import GRANTED, REFUSED, connect
from test_doors import check_source

FAR, FAR6, DEEP = "10.77.0.2", "fd77::2", "10.78.0.2"
PROXY = "10.9.0.1"
SECRET = "pa:ss@w%rd"
IN_URL = "pa%3Ass%40w%25rd"


def serve(lab: Lab, *options: str, address: str = PROXY, port: int = 1080) -> None:
    process = lab.gw.popen([PYTHON, "-u", PROJECT / "test/lab/socksd.py", address, port, *options],
                           stdout=subprocess.PIPE)
    expect(process.stdout.readline(), b"ready\n")


def via(lab: Lab, url: str = f"socks5://{PROXY}", *arguments: object, subnets: tuple = SUBNETS, **options) -> Tunnel:
    return Tunnel(lab, "--via", url, *arguments, to=subnets[0], subnets=subnets[1:], **options)


def echo_udp(lab: Lab, host: str, data: bytes) -> bytes:
    with closing(lab.near.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.sendto(data, (host, ECHO))
        return sock.recv(1 << 16)


def fetch(lab: Lab, host: str, size: int = 3_000_000) -> None:
    with closing(lab.near.connect(host, SOURCE)) as sock:
        check_source(sock, size)


def test_traffic(lab: Lab):
    """TCP and UDP of both families; refused is refused, also by the proxy's choice of words."""
    serve(lab)
    tunnel = via(lab)
    expect_in("SOCKS5", tunnel.stderr())
    expect(lab.near.processes("^ssh$"), [])
    for host in (FAR, FAR6, DEEP):
        fetch(lab, host)
        expect(connect_error(lab.near, host, CLOSED), "ECONNREFUSED")
        for size in (0, 1, 1200) if host == DEEP else (0, 1, 1400, 9000):
            data = os.urandom(size)
            expect(echo_udp(lab, host, data) == data, True, f"{size} bytes of {host}")
    answer = lab.near.run(["dig", "+time=10", "+tries=1", "+short", "@" + FAR, "far.lab.test"]).stdout
    expect(answer, FAR + "\n")
    status = tunnel.status()
    expect((status["rung"], status["gateway"], status["destination"]), ("via", PROXY, PROXY))
    expect_in("rung        via", lab.near.run(["ecssh", "status"]).stdout)
    tunnel.down()
    tunnel.expect_restored(except_for="socksd")


def test_without_udp(lab: Lab):
    """DNS goes by TCP; other datagrams are prohibited, and status says so."""
    serve(lab, "--no-udp")
    tunnel = via(lab)
    for extra in ((), ("+tcp",)):
        answer = lab.near.run(["dig", "+time=10", "+tries=1", "+short", *extra, "@" + FAR, "far.lab.test"]).stdout
        expect(answer, FAR + "\n")
    with closing(lab.near.socket(kind=socket.SOCK_DGRAM)) as sock:
        sock.connect((FAR, ECHO))
        sock.send(b"?")
        try:
            raise AssertionError(f"got {sock.recv(10)!r}")
        except OSError as error:
            assert error.errno is not None, error
    fetch(lab, FAR)
    assert any("UDP" in text for text in tunnel.status()["missing"]), tunnel.status()["missing"]
    tunnel.down()
    tunnel.expect_restored(except_for="socksd")


def test_ssh_d(lab: Lab):
    """The server of ssh -D, which knows CONNECT only and hangs up on anything else."""
    ssh = lab.near.popen(["ssh", "-N", "-D", "127.0.0.1:1080", "gw"])
    wait_for(lambda: connect_error(lab.near, "127.0.0.1", 1080) == "connected", what="ssh listens")
    tunnel = via(lab, "socks5://127.0.0.1:1080")
    for host in (FAR, FAR6):
        fetch(lab, host)
    assert connect_error(lab.near, FAR, CLOSED) != "connected"
    answer = lab.near.run(["dig", "+time=10", "+tries=1", "+short", "@" + FAR, "far.lab.test"]).stdout
    expect(answer, FAR + "\n")
    tunnel.down()
    ssh.terminate()
    ssh.wait()


def test_own_door(lab: Lab):
    """One ecssh by way of another's door."""
    inner = Tunnel(lab, "--mode", "socks", "--name", "inner", subnets=(), user="bob")
    tunnel = via(lab, "socks5h://127.0.0.1")
    for host in (FAR, FAR6):
        fetch(lab, host)
        expect(connect_error(lab.near, host, CLOSED), "ECONNREFUSED")
        expect(echo_udp(lab, host, b"abc"), b"abc")
    tunnel.down("127.0.0.1")
    inner.down()


def test_proxy_stays_outside(lab: Lab):
    """The proxy's own address is in what is routed, and still reached directly; its datagrams, too."""
    serve(lab)
    serve(lab, address="fd09::1", port=1081)
    for url, subnets in ((f"socks5://{PROXY}", ("10.0.0.0/8",)), (f"socks5://{PROXY}", ("0.0.0.0/0", "::/0")),
                         ("socks5://[fd09::1]:1081", ("::/0",))):
        tunnel = via(lab, url, subnets=subnets)
        fetch(lab, FAR6 if subnets[0] == "::/0" else FAR)
        host = FAR6 if subnets[0] == "::/0" else FAR
        expect(echo_udp(lab, host, b"abc"), b"abc")
        tunnel.down()
        tunnel.expect_restored(except_for="socksd")


def test_user_and_password(lab: Lab):
    """They are used, and seen nowhere."""
    serve(lab, "--auth", f"alice:{SECRET}")
    tunnel = via(lab, f"socks5://alice:{IN_URL}@{PROXY}", "-v")
    fetch(lab, FAR)
    expect(echo_udp(lab, FAR, b"abc"), b"abc")
    shown = tunnel.stderr() + "".join(lab.near.run(["ecssh", "status", *form]).stdout
                                      for form in ((), ("--json",), ("--drops",)))
    shown += "".join(p.args for p in lab.near.processes())
    for secret in (SECRET, IN_URL, "alice"):
        assert secret not in shown, f"{secret} is in:\n{shown}"
    tunnel.down()


def test_background_hides_the_password(lab: Lab):
    serve(lab, "--auth", f"alice:{SECRET}")
    lab.near.run(["ecssh", "up", "-f", f"--via=socks5://alice:{IN_URL}@{PROXY}", FAR])
    shown = "".join(p.args for p in lab.near.processes())
    assert IN_URL not in shown, shown
    fetch(lab, FAR, 1000)
    lab.near.run(["ecssh", "down"])


def fails(lab: Lab, code: int, url: str, *mentions: str, seconds: float = 20) -> str:
    said = Ecssh(lab.near, "up", "--via", url, FAR).fails(code, *mentions, seconds=seconds)
    expect(len([line for line in said.splitlines() if line.startswith("ecssh:")]), 1, "one sentence: " + said)
    assert IN_URL not in said and SECRET not in said and "wr0ng" not in said, said
    return said


@timeout(90)
def test_bad_proxies(lab: Lab):
    before = lab.near.snapshot()
    serve(lab, "--auth", f"alice:{SECRET}")
    serve(lab, "--garbage", port=1081)
    serve(lab, "--deaf", port=1082)
    serve(lab, port=1083)
    fails(lab, SSH, f"socks5://alice:wr0ng@{PROXY}", "does not accept this user and password")
    fails(lab, SSH, f"socks5://{PROXY}", "wants a user and a password")
    fails(lab, SSH, f"socks5://{PROXY}:1081", "is no SOCKS 5 proxy", f"{PROXY}:1081")
    fails(lab, SSH, f"socks5://{PROXY}:22", "is no SOCKS 5 proxy")
    fails(lab, SSH, f"socks5://{PROXY}:1090", "cannot be reached", "refused")
    fails(lab, SSH, "socks5://10.200.0.1", "cannot be reached", "unreachable")
    fails(lab, SSH, "socks5://no-such-host.example", "no-such-host.example", "has no address")
    fails(lab, SSH, f"socks5://{PROXY}:1082", "does not answer", seconds=60)
    wait_for(lambda: not diff(before, lab.near.snapshot()), what="near is as before")
    tunnel = via(lab, f"socks5://alice:unneeded@{PROXY}:1083")
    tunnel.down()


def test_bad_urls(lab: Lab):
    for url in ("", "socks5://", "http://h", "socks5://h:0", "socks5://h:99999", "socks5://a:wr0ng@", "socks5://a:%zz@h",
                "socks4://h", f"socks5://a:{IN_URL}@h:port", "socks5://[::1", "socks5://h/path"):
        fails(lab, USAGE, url)
    for arguments in (["--via", f"socks5://{PROXY}", "-L", "9000:h:1", FAR], ["--via", f"socks5://{PROXY}"],
                      ["--via", f"socks5://{PROXY}", "--mode", "helper", FAR],
                      ["--via", f"socks5://{PROXY}", "--plane", "packet", FAR],
                      ["--via", f"socks5://{PROXY}", "gw", FAR]):
        Ecssh(lab.near, "up", *arguments).fails(USAGE)


def test_proxy_dies(lab: Lab):
    """Connections end, new ones are refused, and the tunnel stays: the proxy may come back."""
    serve(lab)
    tunnel = via(lab, f"socks5://{PROXY}", "-D", "1085")
    with closing(lab.near.connect(FAR, ECHO)) as sock:
        sock.sendall(b"a")
        expect(sock.recv(1), b"a")
        server = [p for p in lab.gw.processes("python") if "socksd" in p.args][0]
        os.kill(server.pid, 9)
        try:
            expect(sock.recv(1), b"", "the end, or a reset")
        except ConnectionResetError:
            pass
    assert connect_error(lab.near, FAR, ECHO) in ("ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"), "how it is told"
    serve(lab)
    fetch(lab, FAR)
    with closing(lab.near.connect("127.0.0.1", 1085)) as sock:
        expect(connect(sock, FAR, CLOSED), REFUSED)
    with closing(lab.near.connect("127.0.0.1", 1085)) as sock:
        expect(connect(sock, FAR, ECHO), GRANTED)
    tunnel.down()
    tunnel.expect_restored(except_for="socksd")


def test_engine_is_confined(lab: Lab):
    """Whoever looks the proxy's name up, it is another process."""
    serve(lab)
    lab.near.write("/etc/hosts", f"{PROXY} proxy.example\n")
    tunnel = via(lab, "socks5://proxy.example", "--reconnect")
    expect(tunnel.status()["sandbox"], "seccomp, landlock")
    fetch(lab, FAR)
    tunnel.down()
    tunnel.expect_restored(except_for="socksd")


def test_many(lab: Lab):
    """Five hundred connections at once, with few descriptors to begin with."""
    serve(lab)
    tunnel = via(lab, f"socks5://{PROXY}", prefix=("prlimit", "--nofile=100:"))
    socks = [lab.near.connect(FAR, ECHO) for _ in range(500)]
    for number, sock in enumerate(socks):
        sock.sendall(b"%d" % number)
    for number, sock in enumerate(socks):
        expect(sock.recv(10), b"%d" % number)
        sock.close()
    tunnel.down()
    expect(tunnel.wait(), OK)
