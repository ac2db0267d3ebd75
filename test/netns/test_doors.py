# SPDX-License-Identifier: MIT
"""Doors: SOCKS and HTTP proxies of ecssh's own, into the session.

    near: curl, git, SOCKS clients ── door ── ecssh (bob, no device) ── ssh ══ gw ── far
"""

import asyncio
import hashlib
import os
import re
import signal
import socket
import struct
from contextlib import closing

from common import OK, RUNTIME, USAGE, Ecssh, Tunnel, expect, expect_in, timeout
from lab import HELPER, PYTHON, USERS, Lab, wait_for
from services import CLOSED, DEAF, DNS, ECHO, FILTERED, HTTP, PROHIBITED, SINK, SOURCE, dns_answer
from socksclient import (GRANTED, NOT_ALLOWED, REFUSED, UNREACHABLE, UDP, UNSUPPORTED, Associate,
                         connect, connect_unix, greet, read_reply, request)

FAR, FAR6 = "10.77.0.2", "fd77::2"
NAME = "inner.far.example"      # gw alone knows it, from /etc/hosts; FAR and FAR6
DOOR = "127.0.0.1:1080"
PROXY = f"socks5h://{DOOR}"


def socks_only(lab: Lab, *arguments: object, **options) -> Tunnel:
    """`ecssh up --mode socks` by an ordinary user."""
    lab.gw.write("/etc/hosts", lab.gw.path("/etc/hosts").read_text() + f"{FAR} {NAME}\n{FAR6} {NAME}\n")
    return Tunnel(lab, "--mode", "socks", *arguments, subnets=(), **{"user": "bob", **options})


def curl(lab: Lab, *arguments: object, **options) -> str:
    return lab.near.run(["curl", "-sS", "--max-time", "20", *arguments], user="bob", **options).stdout


def door(lab: Lab, port: int = 1080):
    return lab.near.connect("127.0.0.1", port)


def check_source(sock, size: int = 300_000) -> None:
    """Fetch so many bytes and compare the hash behind them."""
    sock.sendall(b"%d\n" % size)
    data = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    expect(data[size:].decode(), hashlib.sha256(data[:size]).hexdigest(), "hash of what came")


def test_no_device_no_privilege(lab: Lab):
    """Mode socks: an ordinary user, no broker, no device, no route; one door where nothing is said."""
    tunnel = socks_only(lab)
    expect(lab.near.processes("broker"), [])
    expect({p.user for p in lab.near.processes("ecssh|^ssh$")}, {USERS["bob"]}, "who runs")
    after = lab.near.snapshot()
    for part in ("link", "addr-4", "addr-6", "route-4", "route-6", "rule-4", "rule-6", "nft", "sysctl", "resolv.conf"):
        expect(after[part] == tunnel.before[part], True, f"{part} is as before")
    status = tunnel.status()
    expect((status["rung"], status["interface"], status["routes"]), ("socks", "", []))
    expect([d["listen"] for d in status["doors"]], ["127.0.0.1:1080 and [::1]:1080"])
    expect_in("door        127.0.0.1:1080", lab.near.run(["ecssh", "status"], user="bob").stdout)
    tunnel.down()
    tunnel.expect_restored()


def test_curl(lab: Lab):
    """By every protocol that curl speaks with a proxy; names are looked up on the far side."""
    tunnel = socks_only(lab)
    for proxy in ("socks5h", "socks4a", "http"):
        for host in (FAR, NAME, *((f"[{FAR6}]",) if proxy != "socks4a" else ())):
            expect_in("hello from", curl(lab, "-x", f"{proxy}://{DOOR}", f"http://{host}/"))
    for proxy in ("socks5", "socks4"):
        expect_in("hello from " + FAR, curl(lab, "-x", f"{proxy}://{DOOR}", f"http://{FAR}/"))
    expect_in("hello from " + FAR6, curl(lab, "-x", f"socks5://{DOOR}", f"http://[{FAR6}]/"))
    expect_in("hello from", curl(lab, "-x", f"http://{DOOR}", "-p", f"http://{NAME}/"))
    expect_in("hello from", curl(lab, "-x", "socks5h://[::1]:1080", f"http://{NAME}/"))
    lab.near.write("/home/bob/up", "x" * 3_000_000, "bob")
    for proxy in ("socks5h", "http"):
        expect_in("hello", curl(lab, "-x", f"{proxy}://{DOOR}", "-T", "/home/bob/up", f"http://{NAME}/"))
        size = curl(lab, "-x", f"{proxy}://{DOOR}", "-o", "/dev/null", "-w", "%{size_download}",
                    f"http://{NAME}/20000000")
        expect(size, "20000000")
    tunnel.down()


def test_resolver_of_the_gateway(lab: Lab):
    """A name that only the gateway's name server knows."""
    lab.gw.write("/etc/resolv.conf", f"nameserver {FAR}\n")
    for mode in ((), ("--mode", "direct", "-D", "1081")):
        tunnel = socks_only(lab) if not mode else Tunnel(lab, *mode)
        port = 1081 if mode else 1080
        expect_in("hello", curl(lab, "-x", f"socks5h://127.0.0.1:{port}", "http://far.lab.test/"))
        with closing(door(lab, port)) as sock:
            expect(connect(sock, "nowhere.lab.test", 80), UNREACHABLE)
        tunnel.down()


def test_git(lab: Lab):
    lab.far.run(["bash", "-ec", "git init -q -b main /tmp/source; cd /tmp/source; head -c 3000000 /dev/urandom >file;"
                 "git add file; git -c user.name=a -c user.email=a@a commit -qm one; cd /tmp;"
                 "git clone -q --bare source repo.git; git -C repo.git update-server-info"])
    lab.far.popen([PYTHON, "-m", "http.server", "-d", "/tmp", "--bind", "::", "8000"])
    wait_for(lambda: lab.far.run(["curl", "-s", "http://[::1]:8000/"], check=False).returncode == 0)
    tunnel = socks_only(lab)
    for number, proxy in enumerate((PROXY, f"http://{DOOR}")):
        for family, host in ((4, FAR), (6, f"[{FAR6}]"), (0, NAME)):
            into = f"/home/bob/clone{number}{family}"
            lab.near.run(["git", "-c", f"http.proxy={proxy}", "clone", "-q", f"http://{host}:8000/repo.git", into],
                         user="bob", timeout=40)
            expect(lab.near.path(into + "/file").read_bytes() == lab.far.path("/tmp/source/file").read_bytes(), True)
    tunnel.down()


def test_refusals(lab: Lab):
    """The right word, and before success is claimed."""
    tunnel = socks_only(lab)
    lab.gw.ip("route add unreachable 10.99.0.0/24", "route add unreachable fd99::/64")
    for host, port, wanted in ((FAR, CLOSED, {REFUSED}), (FAR6, CLOSED, {REFUSED}), (NAME, CLOSED, {REFUSED}),
                               (FAR, PROHIBITED, {NOT_ALLOWED, UNREACHABLE}), (FAR6, PROHIBITED, {NOT_ALLOWED}),
                               ("10.99.0.1", 80, {3, 4}), ("fd99::1", 80, {3, 4}),
                               ("169.254.169.254", 80, {NOT_ALLOWED}), ("127.0.0.1", 22, {NOT_ALLOWED, GRANTED}),
                               ("no.such.name.example", 80, {UNREACHABLE}), ("bad..name", 80, {UNREACHABLE}),
                               ("a" * 255, 80, {UNREACHABLE})):
        with closing(door(lab)) as sock:
            reply = connect(sock, host, port)
            assert reply in wanted, f"{host} port {port}: reply {reply}, wanted {wanted}"
    with closing(door(lab)) as sock:
        greet(sock)
        expect(request(sock, 2, FAR, 80), UNSUPPORTED, "BIND")
    for kind, word in (("socks5h", "(5)"), ("socks4a", "(91)")):
        result = lab.near.run(["curl", "-sS", "-x", f"{kind}://{DOOR}", f"http://{FAR}:{CLOSED}/"], check=False)
        expect(result.returncode, 97, f"exit status of curl: {result.stderr}")
        expect_in(word, result.stderr)
    for where, wanted in ((f"{FAR}:{CLOSED}", "502"), ("no.such.name.example", "502"), ("169.254.169.254", "403")):
        expect(curl(lab, "-x", f"http://{DOOR}", "-o", "/dev/null", "-w", "%{http_code}", f"http://{where}/"), wanted)
        result = lab.near.run(["curl", "-sS", "-p", "-x", f"http://{DOOR}", f"http://{where}/",
                               "-w", "%{http_connect}"], check=False)
        expect(result.stdout, wanted, "CONNECT")
    expect(curl(lab, "-o", "/dev/null", "-w", "%{http_code}", f"http://{DOOR}/"), "400", "not for a proxy")
    assert tunnel.status()["doors"][0]["refused"] >= 10
    tunnel.down()


def test_nonsense(lab: Lab):
    """What is no request ends that connection and no other."""
    tunnel = socks_only(lab)
    keeper = door(lab)
    expect(connect(keeper, FAR, ECHO), GRANTED)
    for junk in (b"\0", b"\x05", b"\x05\0", b"\x05\1\2", b"\x05\1\0\x05\1\0\x09", b"\x04\1", b"\x04\1\0\x50\0\0\0\1\0",
                 b"\x16\x03\1\2\0", b"GET", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000, os.urandom(5000),
                 b"\x05\1\0\x05\1\0\3\0\0\x50"):
        with closing(door(lab)) as sock:
            try:
                sock.sendall(junk)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
            except ConnectionError:
                pass
    keeper.sendall(b"still")
    expect(keeper.recv(10), b"still")
    wait_for(lambda: tunnel.status()["doors"][0]["connections"] == 1, 10, "the others are gone")
    tunnel.down()


def test_early_bytes_and_half_close(lab: Lab):
    """A client that does not wait for the answer, and one that ends its side first."""
    tunnel = socks_only(lab)
    data = os.urandom(2_000_000)
    with closing(door(lab)) as sock:
        sock.sendall(b"\x05\1\0" + b"\x05\1\0\1" + socket.inet_aton(FAR) + struct.pack("!H", SINK) + data[:1000])
        expect(sock.recv(2, socket.MSG_WAITALL), b"\x05\0")
        expect(read_reply(sock)[0], GRANTED)
        sock.sendall(data[1000:])
        sock.shutdown(socket.SHUT_WR)
        expect(sock.recv(64, socket.MSG_WAITALL).decode(), hashlib.sha256(data).hexdigest())
    tunnel.down()


async def fetch(loop, sock, size: int, barrier) -> None:
    """Connect; once all have, fetch."""
    await loop.sock_connect(sock, ("127.0.0.1", 1080))
    name = NAME.encode()
    await loop.sock_sendall(sock, b"\x05\1\0\x05\1\0\3" + bytes([len(name)]) + name + struct.pack("!H", SOURCE))
    head = b""
    while len(head) < 12:
        part = await loop.sock_recv(sock, 12 - len(head))
        assert part, "ended in the handshake"
        head += part
    expect(head[3], GRANTED, "reply")
    await barrier.wait()
    await loop.sock_sendall(sock, b"%d\n" % size)
    digest, tail, got = hashlib.sha256(), b"", 0
    while part := await loop.sock_recv(sock, 1 << 16):
        take = max(0, min(len(part), size - got))
        digest.update(part[:take])
        got += take
        tail += part[take:]
    expect(tail.decode(), digest.hexdigest(), "hash")


def thousand(lab: Lab, size: int = 50_000) -> None:
    async def run():
        loop = asyncio.get_running_loop()
        socks = [lab.near.socket() for _ in range(1000)]
        for sock in socks:
            sock.setblocking(False)
        barrier = asyncio.Barrier(len(socks))
        await asyncio.gather(*(fetch(loop, sock, size, barrier) for sock in socks))
        for sock in socks:
            sock.close()
    asyncio.run(run())


@timeout(120)
def test_thousand_at_once(lab: Lab):
    """By an ordinary user, whose soft limit of descriptors is low."""
    tunnel = socks_only(lab, "-D", "1080", prefix=("prlimit", "--nofile=200:"))
    thousand(lab)
    status = tunnel.status()["doors"][0]
    expect((status["accepted"], status["refused"]), (1000, 0))
    wait_for(lambda: tunnel.status()["doors"][0]["connections"] == 0, what="all are over")
    tunnel.down()
    tunnel.expect_restored()


def test_udp(lab: Lab):
    """UDP ASSOCIATE: both families and names, large datagrams, DNS; only the client's own port is heard."""
    lab.gw.write("/etc/resolv.conf", f"nameserver {FAR}\n")
    tunnel = socks_only(lab)
    with closing(Associate(lab.near, "127.0.0.1", 1080)) as udp:
        for host in (FAR, FAR6, "far.lab.test", NAME):
            for size in (0, 1, 1400, 9000, 40_000):
                data = os.urandom(size)
                source, got = udp.ask(host, ECHO, data)
                expect(got == data, True, f"{size} bytes of {host}")
                if host in (FAR, FAR6):
                    expect(source, (host, ECHO), "source")
        query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\3far\3lab\4test\0\0\1\0\1"
        expect(udp.ask(FAR, DNS, query)[1], dns_answer(query, 512))
        # Fragments and what is no header are dropped; another port is a stranger.
        udp.sock.sendto(b"\0\0\1\1" + socket.inet_aton(FAR) + struct.pack("!H", ECHO) + b"fragment", udp.relay)
        udp.sock.sendto(b"\0\0", udp.relay)
        with closing(lab.near.socket(kind=socket.SOCK_DGRAM)) as stranger:
            stranger.sendto(udp.header(FAR, ECHO) + b"stranger", udp.relay)
        expect(udp.ask(FAR, ECHO, b"last")[1], b"last", "only what was right is answered")
        expect(tunnel.status()["doors"][0]["associations"], 1)
    wait_for(lambda: tunnel.status()["doors"][0]["associations"] == 0, what="ends with its connection")
    tunnel.down()


def test_unix_door(lab: Lab):
    """A socket's path: for its owner alone, gone afterwards, and a stale one is replaced."""
    path = "/home/bob/door"
    tunnel = socks_only(lab, "-D", path)
    expect(lab.near.path(path).stat().st_mode & 0o777, 0o600)
    with closing(connect_unix(lab.near, path)) as sock:
        expect(connect(sock, NAME, SOURCE), GRANTED)
        check_source(sock)
    with closing(connect_unix(lab.near, path)) as sock:
        sock.sendall(f"GET http://{NAME}/ HTTP/1.0\r\n\r\n".encode())
        expect_in("hello", b"".join(iter(lambda: sock.recv(4096), b"")).decode())
    with closing(connect_unix(lab.near, path)) as sock:
        greet(sock)
        expect(request(sock, UDP, "0.0.0.0", 0), UNSUPPORTED, "UDP ASSOCIATE")
    expect([d["listen"] for d in tunnel.status()["doors"]], [path])
    said = Ecssh(lab.near, "up", "--mode", "socks", "--name", "two", "-D", path, "gw", user="bob").fails(RUNTIME)
    expect_in("a program does so already", said)
    os.kill(tunnel.engine().pid, signal.SIGKILL)
    tunnel.wait()
    wait_for(lambda: not lab.near.processes("^ssh$"), what="ssh ends, too")
    expect(lab.near.path(path).is_socket(), True, "what a killed one leaves")
    again = socks_only(lab, "-D", path)
    again.down()
    expect(lab.near.path(path).exists(), False, "gone afterwards")


def test_wide_door_is_warned_of(lab: Lab):
    tunnel = socks_only(lab, "-D", "0.0.0.0:1080")
    expect_in("0.0.0.0", tunnel.stderr())
    warning = [line for line in tunnel.stderr().splitlines() if "without a password" in line]
    expect(len(warning), 1, "lines that warn")
    with closing(lab.gw.connect("10.9.0.2", 1080)) as sock:
        expect(connect(sock, FAR, ECHO), GRANTED)
    tunnel.down()
    tunnel = socks_only(lab)
    assert "warning" not in tunnel.stderr().lower(), tunnel.stderr()
    tunnel.down()


def test_port_in_use(lab: Lab):
    """Said before anybody logs in."""
    lab.near.write("/home/bob/bin/ssh", "#!/bin/sh\necho ran >>/home/bob/ran\n", "bob", 0o755)
    env = {"PATH": "/home/bob/bin:" + os.environ.get("PATH", "/usr/bin:/bin")}
    ecssh = lab.near.run(["sh", "-c", "command -v ecssh"]).stdout.strip()
    for taken, address in (("127.0.0.1", "1080"), ("::1", "1080"), ("10.9.0.2", "10.9.0.2:1080")):
        with closing(lab.near.listen(taken, 1080)):
            said = Ecssh(lab.near, "up", "--mode", "socks", "-D", address, "gw", user="bob", env=env,
                         program=ecssh).fails(RUNTIME, "1080", "in use")
            expect(sum("1080" in line and "in use" in line for line in said.splitlines()), 1, "one sentence: " + said)
    expect(lab.near.path("/home/bob/ran").exists(), False, "ssh was started")
    Ecssh(lab.near, "up", "--mode", "socks", "-D", "80", "gw", user="bob").fails(RUNTIME, "need privilege")


def test_bad_doors(lab: Lab):
    for door_text in ("", "abc", "70000", "-1", "1.2.3:1080", "host.example:1080", "[::1", "::1:1080:x", "10 80",
                      "1080x", "x" * 5000):
        said = Ecssh(lab.near, "up", "--mode", "socks", "-D", door_text, "gw", user="bob").fails(USAGE)
        assert len(said) < 1000, said
    Ecssh(lab.near, "up", "--mode", "socks", "gw", FAR, user="bob").fails(USAGE, FAR)
    Ecssh(lab.near, "up", "--mode", "socks", user="bob").fails(USAGE, "where to")


def test_door_beside_device(lab: Lab):
    """-D with a tunnel, by a helper and by channels of ssh; the same session serves both."""
    for mode in ("helper", "direct"):
        tunnel = Tunnel(lab, "--mode", mode, "-D", "1080")
        expect_in("hello", curl(lab, "-x", PROXY, f"http://{FAR}/"))
        expect_in("hello", curl(lab, f"http://{FAR}/"))
        for host in (FAR, FAR6):
            with closing(door(lab)) as sock:
                expect(connect(sock, host, CLOSED), REFUSED, mode)
            with closing(door(lab)) as sock:
                expect(connect(sock, host, SOURCE), GRANTED, mode)
                check_source(sock)
        expect([d["listen"] for d in tunnel.status()["doors"]], ["127.0.0.1:1080 and [::1]:1080"])
        if mode == "helper":
            with closing(Associate(lab.near, "127.0.0.1", 1080)) as udp:
                expect(udp.ask(FAR, ECHO, b"abc")[1], b"abc")
                with closing(lab.near.socket(kind=socket.SOCK_DGRAM)) as plain:
                    plain.sendto(b"plain", (FAR, ECHO))
                    expect(plain.recv(10), b"plain")
        tunnel.down()
        tunnel.expect_restored()


@timeout(120)
def test_thousand_by_channels(lab: Lab):
    """The same without a helper: 1,000 channels of one ssh."""
    lab.set_shell("alice", "/usr/sbin/nologin")
    tunnel = socks_only(lab)
    expect(lab.gw.processes(HELPER), [])
    thousand(lab, 20_000)
    tunnel.down()
    tunnel.expect_restored(except_for="/.cache/ecssh/")


def test_by_channels(lab: Lab):
    """Mode socks where the server runs no commands."""
    lab.set_shell("alice", "/usr/sbin/nologin")
    tunnel = socks_only(lab)
    expect_in("hello", curl(lab, "-x", PROXY, f"http://{NAME}/"))
    with closing(door(lab)) as sock:
        expect(connect(sock, NAME, CLOSED), REFUSED)
    with closing(door(lab)) as sock:
        reply = connect(sock, "no.such.name.example", 80)
        assert reply in (UNREACHABLE, 1), reply
    tunnel.down()
    tunnel.expect_restored(except_for="/.cache/ecssh/")


def test_session_lost(lab: Lab):
    """Clients see resets, and ecssh ends as it does without doors."""
    for victim, mode in (("helper", "helper"), ("ssh", "helper"), ("ssh", "direct")):
        tunnel = Tunnel(lab, "--mode", mode, "-D", "1080")
        clients = [door(lab) for _ in range(3)]
        for client in clients:
            expect(connect(client, FAR, ECHO), GRANTED)
        process = tunnel.helper() if victim == "helper" else lab.near.process("^ssh$")
        os.kill(process.pid, signal.SIGKILL)
        for client in clients:
            try:
                expect(client.recv(1), "a reset", "instead of the end")
            except ConnectionResetError:
                client.close()
        code = tunnel.wait()
        assert code not in (OK, USAGE), code
        expect_in("connection to gw", tunnel.stderr())
        expect_in("lost", tunnel.stderr())
        wait_for(lambda: not lab.gw.processes(HELPER))
        tunnel.expect_restored()


def rss_kb(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])


def fill(sock) -> None:
    """Send until no more is taken for a second."""
    sock.settimeout(1)
    try:
        while True:
            sock.send(bytes(1 << 20))
    except TimeoutError:
        pass


@timeout(120)
def test_slow_readers(lab: Lab):
    """Who does not read, here or there, fills its window and no more, and holds up nobody."""
    for mode in ("helper", "direct"):
        tunnel = Tunnel(lab, "--mode", mode, "-D", "1080")
        pids = [tunnel.engine().pid, tunnel.helper().pid if mode == "helper" else lab.near.process("^ssh$").pid]
        with closing(door(lab)) as sock:
            expect(connect(sock, FAR, SOURCE), GRANTED)
            check_source(sock, 20_000_000)
        before = [rss_kb(pid) for pid in pids]
        slow_ones = [door(lab) for _ in range(24)]
        for number, sock in enumerate(slow_ones):
            expect(connect(sock, FAR, SOURCE if number < 20 else DEAF), GRANTED)
            if number < 20:
                sock.sendall(b"100000000\n")
            else:
                fill(sock)
        with closing(door(lab)) as sock:
            expect(connect(sock, FAR, SOURCE), GRANTED)
            check_source(sock, 100_000_000)
        grown = [rss_kb(pid) - then for pid, then in zip(pids, before)]
        assert max(grown) < 80_000, f"{mode}: grown by {grown} kB"
        for sock in slow_ones:
            sock.close()
        tunnel.down()


def reset(sock) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_client_that_leaves(lab: Lab):
    """Those who go away in the middle leave nothing behind on either side."""
    tunnel = socks_only(lab)
    for _ in range(50):
        sock = door(lab)
        expect(connect(sock, FAR, SOURCE), GRANTED)
        sock.sendall(b"10000000\n")
        reset(sock)
        sock = door(lab)
        greet(sock)
        sock.sendall(b"\x05\1\0\1" + socket.inet_aton(FAR) + struct.pack("!H", FILTERED))
        reset(sock)
    wait_for(lambda: tunnel.status()["doors"][0]["connections"] == 0, what="no connection is left")
    fds = f"/proc/{tunnel.helper().pid}/fd"
    wait_for(lambda: len(os.listdir(fds)) < 30, what="the helper closes its sockets")
    tunnel.down()
