# SPDX-License-Identifier: MIT
"""UDP, path MTU, other protocols, and ping that the server forbids.

    near ──ssh── gw ── far (10.77.0.2, fd77::2) ── link of MTU 1280 ── deep (10.78.0.2, fd78::2)
"""

import errno
import os
import socket
import struct

from common import Tunnel, expect, expect_in
from lab import Lab, family_of, wait_for
from services import CLOSED, ECHO, FILTERED, PROHIBITED

FAR, FAR6, DEEP, DEEP6 = "10.77.0.2", "fd77::2", "10.78.0.2", "fd78::2"
# <linux/in.h>, <linux/in6.h>; not in the socket module
IP_MTU_DISCOVER, IP_RECVERR, IP_RECVTTL, IP_MTU, PMTUDISC_DO = 10, 11, 12, 14, 2
IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_RECVERR = 23, 24, 25


def udp(host, address: str, port: int = ECHO) -> socket.socket:
    sock = host.socket(family_of(address), socket.SOCK_DGRAM, timeout=3)
    if family_of(address) == socket.AF_INET6:       # report every ICMP error, not only those that seem final
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    sock.connect((address, port))
    return sock


def bound(host, address: str) -> socket.socket:
    sock = host.socket(family_of(address), socket.SOCK_DGRAM, timeout=3)
    sock.bind((address, 0))
    return sock


def error_of(sock: socket.socket, data: bytes = b"x") -> str:
    """What a connected socket reports after sending: an errno's name, "answer" or "timeout"."""
    sock.send(data)
    try:
        sock.recv(1 << 16)
        return "answer"
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode[error.errno]


def test_sizes(lab: Lab, tunnel):
    for address in (FAR, FAR6):
        with udp(lab.near, address) as sock:
            for size in (0, 1, 2, 511, 1452, 1472, 1473, 4000, 9000, 16384, 32768, 65000, 65507):
                data = os.urandom(size)
                sock.send(data)
                assert sock.recv(1 << 17) == data, f"datagram of {size} bytes to {address} came back changed"


def test_many_peers_from_one_socket(lab: Lab, tunnel):
    """RFC 4787: one source port is one mapping, whatever the destination."""
    one, two = bound(lab.far, FAR), bound(lab.deep, DEEP)
    with one, two, lab.near.socket(kind=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"to one", one.getsockname())
        sock.sendto(b"to two", two.getsockname())
        data, seen_by_one = one.recvfrom(100)
        expect(data, b"to one")
        data, seen_by_two = two.recvfrom(100)
        expect(data, b"to two")
        expect(seen_by_one, seen_by_two, "address and port of the mapping")
        one.sendto(b"from one", seen_by_one)
        expect(sock.recvfrom(100), (b"from one", one.getsockname()))
        two.sendto(b"from two", seen_by_two)
        expect(sock.recvfrom(100), (b"from two", two.getsockname()))


def test_unsolicited_datagrams_are_filtered(lab: Lab, tunnel):
    """Address- and port-dependent filtering: only peers that were written to may answer."""
    peer, stranger = bound(lab.far, FAR), bound(lab.far, FAR)
    with peer, stranger, lab.near.socket(kind=socket.SOCK_DGRAM, timeout=3) as sock:
        sock.sendto(b"hello", peer.getsockname())
        mapping = peer.recvfrom(100)[1]
        stranger.sendto(b"unsolicited", mapping)
        peer.sendto(b"answer", mapping)
        expect(sock.recvfrom(100), (b"answer", peer.getsockname()))


def test_server_that_speaks_twice(lab: Lab, tunnel):
    peer = bound(lab.far, FAR6)
    with peer, udp(lab.near, FAR6, peer.getsockname()[1]) as sock:
        sock.send(b"go")
        mapping = peer.recvfrom(10)[1]
        for number in range(100):
            peer.sendto(b"%d" % number, mapping)
        expect(sorted(int(sock.recv(10)) for _ in range(100)), list(range(100)), "datagrams")


def test_port_unreachable(lab: Lab, tunnel):
    for address in (FAR, FAR6, DEEP, DEEP6):
        with udp(lab.near, address, CLOSED) as sock:
            expect(error_of(sock), "ECONNREFUSED", address)


def test_errors_are_those_of_the_gateway(lab: Lab, tunnel):
    for address in (FAR, FAR6):
        for port in (FILTERED, PROHIBITED):
            with udp(lab.near, address, port) as near, udp(lab.gw, address, port) as gw:
                if port == FILTERED:
                    near.settimeout(1)
                    gw.settimeout(1)
                expect(error_of(near), error_of(gw), f"{address}:{port}")


def test_net_unreachable(lab: Lab):
    tunnel = Tunnel(lab, subnets=("10.99.0.0/16", "fd99::/64"))
    for address in ("10.99.0.1", "fd99::1"):
        with udp(lab.near, address) as sock:
            expect(error_of(sock), "ENETUNREACH", address)
    tunnel.down()


def path_mtu(lab: Lab, address: str, size: int) -> tuple[str, int]:
    """Send with DF until an answer or EMSGSIZE comes: (what came, the path MTU then known)."""
    six = family_of(address) == socket.AF_INET6
    level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
    discover, mtu = (IPV6_MTU_DISCOVER, IPV6_MTU) if six else (IP_MTU_DISCOVER, IP_MTU)
    with udp(lab.near, address) as sock:
        sock.setsockopt(level, discover, PMTUDISC_DO)
        try:
            outcome = error_of(sock, bytes(size))
        except OSError as error:        # the answer to the datagram before was there already
            outcome = errno.errorcode[error.errno]
        return outcome, sock.getsockopt(level, mtu)


def test_path_mtu_discovery(lab: Lab, tunnel):
    for address, headers in ((DEEP, 28), (DEEP6, 48)):
        expect(path_mtu(lab, address, 1280 - headers)[0], "answer", f"a full packet to {address}")
        expect(path_mtu(lab, address, 1400 - headers), ("EMSGSIZE", 1280), f"1,400 bytes to {address}")


def test_df_of_the_first_hop(lab: Lab, tunnel):
    """Larger than the tunnel's own MTU: the kernel says so itself."""
    with udp(lab.near, FAR) as sock:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO)
        try:
            sock.send(bytes(1500))
            raise AssertionError("taken")
        except OSError as error:
            expect(error.errno, errno.EMSGSIZE)


def test_tos_and_ttl_are_carried(lab: Lab, tunnel):
    """The gateway counts as one hop, and DSCP and ECN arrive at both ends."""
    with bound(lab.far, FAR) as peer, lab.near.socket(kind=socket.SOCK_DGRAM, timeout=5) as sock:
        for end in (peer, sock):
            end.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        peer.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 33)
        for ecn in range(4):
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xB8 | ecn)
            sock.sendto(b"x", peer.getsockname())
            _, items, _, client = peer.recvmsg(10, 100)
            control = {kind: data[0] for _, kind, data in items}
            expect(control[socket.IP_TOS], 0xB8 | ecn, "TOS")
            expect(control[socket.IP_TTL], 32, "TTL")
            peer.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x28 | ecn)
            peer.sendto(b"y", client)
            control = {kind: data[0] for _, kind, data in sock.recvmsg(10, 100)[1]}
            expect(control[socket.IP_TOS], 0x28 | ecn, "TOS down")


def test_other_protocols_are_refused(lab: Lab, tunnel):
    """RFC 3692's protocol for experiments: protocol unreachable, not silence, and counted."""
    for address, wanted in ((FAR, "ENOPROTOOPT"), (FAR6, "EPROTO")):
        with lab.near.socket(family_of(address), socket.SOCK_RAW, 253, timeout=3) as sock:
            sock.connect((address, 0))
            expect(error_of(sock, b"experiment"), wanted, address)
    expect_in("protocol", tunnel.drops())


def test_ping_forbidden_on_the_server(lab: Lab):
    """No ping socket for alice: an honest error, a clear status, and the rest works."""
    lab.gw.sysctl(ipv4__ping_group_range="1 0")
    tunnel = Tunnel(lab)
    for address in (FAR, FAR6):
        ping = lab.near.run(["ping", "-n", "-c1", "-W10", address], check=False).stdout
        expect_in("0 received", ping)
        assert "prohibited" in ping or "Packet filtered" in ping, ping
    expect_in("ping", lab.near.run(["ecssh", "status"]).stdout)
    with udp(lab.near, FAR) as sock:
        expect(error_of(sock), "answer")


def test_fragment_flood_is_bounded(lab: Lab, tunnel):
    """Ten thousand first fragments without an end: nothing grows, nothing breaks."""
    source = socket.inet_aton(tunnel_source(lab))
    with lab.near.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for ident in range(10000):
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1020, ident, 0x2000, 64, 17, 0, source,
                                 socket.inet_aton(FAR))
            raw.sendto(header + bytes(1000), (FAR, 0))
    with open(f"/proc/{tunnel.engine().pid}/status") as status:
        rss = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    assert rss < 64 * 1024, f"{rss} KiB"
    with udp(lab.near, FAR) as sock:
        expect(error_of(sock, bytes(4000)), "answer")


def test_truncated_packets_are_dropped(lab: Lab, tunnel):
    """Nonsense in the headers: counted, answered by nothing, and the tunnel lives."""
    source = socket.inet_aton(tunnel_source(lab))
    with lab.near.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for protocol in (1, 6, 17):
            for size in (0, 1, 3, 7):
                header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + size, 0, 0, 64, protocol, 0, source,
                                     socket.inet_aton(FAR))
                raw.sendto(header + bytes(size), (FAR, 0))
    wait_for(lambda: any(char.isdigit() for char in tunnel.drops()), what="drops are counted")
    with udp(lab.near, FAR) as sock:
        expect(error_of(sock), "answer")


def tunnel_source(lab: Lab) -> str:
    with lab.near.socket(kind=socket.SOCK_DGRAM) as sock:
        sock.connect((FAR, 9))
        return sock.getsockname()[0]
