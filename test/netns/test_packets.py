# SPDX-License-Identifier: MIT
"""The packet plane from end to end: what no stream carries, and everything where that is asked for.

    lan (192.168.7.2) ── near ──ssh── gw ── far (10.77.0.2) ── deep (10.78.0.2, MTU 1280)
    in some tests        ecssh up     helper, its broker, the broker's keeper
"""

import contextlib
import errno
import hashlib
import json
import os
import random
import re
import signal
import socket
import struct
from typing import Iterator

from common import GATEWAY, OK, Ecssh, Skip, Tunnel, connect_error, expect, expect_in, timeout
from lab import BUILD, Host, Lab, diff, family_of, up, wait_for
from services import ECHO, FILTERED, SOURCE, SWAP
from test_far_network import broker_of, echo, helper_of, keeper_of, snapshot

NEAR4, NEAR6 = "198.18.0.9", "fd00:9::9"
ADDRESSES = ("--address", NEAR4, "--address", NEAR6)
FAR = {4: "10.77.0.2", 6: "fd77::2"}
DEEP = {4: "10.78.0.2", 6: "fd78::2"}
GW = {4: "10.77.0.1", 6: "fd77::1"}
LAN = "192.168.7.0/24"
GRE, ESP, SCTP, EXPERIMENT = 47, 50, 132, 253
EVERYTHING = ("--plane", "packet")


def packets_up(lab: Lab, *arguments: object, to: str = "root@gw", **options) -> Tunnel:
    """A tunnel whose packet plane is up."""
    tunnel = Tunnel(lab, *arguments, to=to, **options)
    wait_for(lambda: tunnel.status()["packets"] == "up", 10, "packets are carried; it said: " + tunnel.stderr())
    return tunnel


def both(lab: Lab) -> dict:
    """Near and gw as they are; gw has had its first logins."""
    return {"gw": snapshot(lab), "near": lab.near.snapshot()}


def expect_both_restored(lab: Lab, before: dict, *except_for: str) -> None:
    """But for the helper that is kept on gw."""
    def changed() -> list[str]:
        lines = diff(before["near"], lab.near.snapshot()) + diff(before["gw"], lab.gw.snapshot())
        kept = ("/.cache/ecssh-helper-", "order or number", *except_for)
        return [line for line in lines if not any(text in line for text in kept)]
    try:
        wait_for(lambda: not changed(), 10)
    except TimeoutError:
        raise AssertionError("not as before:\n" + "\n".join(changed())) from None


def near_drops(tunnel: Tunnel, name: str) -> int:
    return tunnel.status()["drops"]["near"].get(name, 0)


def raw(host: Host, version: int, proto: int, seconds: float = 5) -> socket.socket:
    return host.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_RAW, proto, timeout=seconds)


def receive(sock: socket.socket) -> tuple[bytes, str]:
    """What follows the IP header, and who sent it."""
    packet, source = sock.recvfrom(1 << 16)
    if sock.family == socket.AF_INET:
        packet = packet[4 * (packet[0] & 15):]
    return packet, source[0]


def exchange(lab: Lab, proto: int, version: int, up_payload: bytes, down_payload: bytes, source: str = "") -> None:
    """One packet to far and one back."""
    with raw(lab.far, version, proto) as there, raw(lab.near, version, proto) as here:
        here.sendto(up_payload, (FAR[version], 0))
        payload, seen = receive(there)
        expect(payload, up_payload, f"protocol {proto}, IPv{version}, up")
        expect(seen, source or GW[version], "source as far sees it")
        there.sendto(down_payload, (seen, 0))
        expect(receive(here), (down_payload, FAR[version]), f"protocol {proto}, IPv{version}, down")


def gre(text: bytes) -> bytes:
    return struct.pack("!HH", 0, 0x0800) + text


def esp(number: int) -> bytes:
    return struct.pack("!II", 0x1234, number) + hashlib.sha256(b"%d" % number).digest()


# -- what goes as packets -----------------------------------------------------------------------


def test_raw_protocols(lab: Lab):
    """Protocols without ports, both ways, translated."""
    before = both(lab)
    tunnel = packets_up(lab)
    for version in (4, 6):
        exchange(lab, EXPERIMENT, version, b"question", b"answer")
        exchange(lab, ESP, version, esp(1), esp(2))
        exchange(lab, GRE, version, gre(b"question"), gre(b"answer"))
    status = tunnel.status()
    expect(status["rung"], "helper+packets")
    expect(status["whole"]["packets_up"], 6, "whole packets up")
    expect(status["whole"]["packets_down"], 6, "whole packets down")
    expect(status["drops"]["near"], {}, "drops")
    tunnel.down()
    expect_both_restored(lab, before)


def test_planes_by_protocol(lab: Lab):
    """TCP, UDP and ping are streams and sockets by default, all else packets; --plane packet takes all."""
    tunnel = packets_up(lab)
    for version in (4, 6):
        echo(lab.near, FAR[version])
        lab.near.run(["ping", "-n", "-c1", "-W10", FAR[version]])
        expect(udp_echo(lab.near, FAR[version], b"?"), b"?")
    expect(tunnel.status()["whole"]["packets_up"], 0, "whole packets")
    expect(tunnel.status()["connections"]["opened"], 2, "connections")
    tunnel.down()
    tunnel = packets_up(lab, *EVERYTHING)
    for version in (4, 6):
        echo(lab.near, FAR[version])
        lab.near.run(["ping", "-n", "-c1", "-W10", FAR[version]])
        expect(udp_echo(lab.near, FAR[version], b"?"), b"?")
    status = tunnel.status()
    assert status["whole"]["packets_up"] >= 12, status
    expect(status["connections"]["opened"], 0, "connections")
    expect(status["flows"]["udp"] + status["flows"]["echo"] + status["flows"]["tcp"], 0, "flows")
    tunnel.down()


def udp_echo(host: Host, address: str, data: bytes) -> bytes:
    with host.socket(family_of(address), socket.SOCK_DGRAM, timeout=1) as sock:
        for _ in range(5):      # the first may only serve to find the path's MTU
            try:
                sock.sendto(data, (address, ECHO))
                return sock.recv(1 << 16)
            except TimeoutError:
                continue
    raise AssertionError(f"no echo of {len(data)} bytes from {address}")


def crc32c(data: bytes) -> int:
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def sctp_init(kind: int, sport: int, dport: int, vtag: int) -> bytes:
    """An INIT (1) or INIT ACK (2) with a cookie, checksum included."""
    body = struct.pack("!IIHHI", 0xabcd, 65536, 1, 1, 7)
    body += struct.pack("!HH4s", 7, 8, b"cook") if kind == 2 else b""
    packet = struct.pack("!HHII", sport, dport, vtag, 0) + struct.pack("!BBH", kind, 0, 4 + len(body)) + body
    return packet[:8] + struct.pack("<I", crc32c(packet)) + packet[12:]


def test_sctp_handshake(lab: Lab):
    """INIT and INIT ACK, made by hand: translated with their ports, and the checksum is right behind it."""
    tunnel = packets_up(lab)
    for version in (4, 6):
        with raw(lab.far, version, SCTP) as there, raw(lab.near, version, SCTP) as here:
            here.sendto(sctp_init(1, 5000, 6000, 0), (FAR[version], 0))
            packet, source = receive(there)
            expect(source, GW[version], "source")
            expect(struct.unpack("<I", packet[8:12])[0], crc32c(packet[:8] + bytes(4) + packet[12:]), "CRC32c at far")
            sport = struct.unpack("!H", packet[:2])[0]
            there.sendto(sctp_init(2, 6000, sport, 0xabcd), (source, 0))
            packet, source = receive(here)
            expect((source, packet[2:4]), (FAR[version], struct.pack("!H", 5000)), "answer's source and port")
            expect(struct.unpack("<I", packet[8:12])[0], crc32c(packet[:8] + bytes(4) + packet[12:]), "CRC32c at near")
    tunnel.down()


def test_sctp_sockets(lab: Lab):
    try:
        listener = lab.far.socket(kind=socket.SOCK_STREAM, proto=SCTP)
    except OSError as error:
        raise Skip(f"no SCTP in this kernel: {error}") from None
    tunnel = packets_up(lab)
    listener.bind((FAR[4], 6000))
    listener.listen(1)
    with lab.near.socket(kind=socket.SOCK_STREAM, proto=SCTP) as sock:
        sock.connect((FAR[4], 6000))
        peer, _ = listener.accept()
        sock.sendall(b"question")
        expect(peer.recv(100), b"question")
        peer.sendall(b"answer")
        expect(sock.recv(100), b"answer")
    tunnel.down()


def checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def test_icmp_timestamp(lab: Lab):
    """ICMP that is neither echo nor an error."""
    tunnel = packets_up(lab)
    request = struct.pack("!BBHHHIII", 13, 0, 0, 77, 1, 5, 0, 0)
    request = request[:2] + struct.pack("!H", checksum(request)) + request[4:]
    with raw(lab.near, 4, socket.IPPROTO_ICMP) as sock:
        sock.sendto(request, (FAR[4], 0))
        reply, source = receive(sock)
        expect((source, reply[0], reply[4:6], reply[8:12]), (FAR[4], 14, request[4:6], request[8:12]), "timestamp reply")
        # A redirect, which would change routes there, stays here.
        redirect = struct.pack("!BBH4s", 5, 1, 0, bytes([10, 77, 0, 99])) + bytes(28)
        sock.sendto(redirect[:2] + struct.pack("!H", checksum(redirect)) + redirect[4:], (FAR[4], 0))
    wait_for(lambda: near_drops(tunnel, "icmp-other") == 1, what="the redirect is dropped")
    tunnel.down()


def test_extension_headers(lab: Lab):
    """Chains of IPv6: hop-by-hop, destination options, then UDP or an unknown protocol."""
    tunnel = packets_up(lab, *EVERYTHING)
    padding = struct.pack("!BBBB4s", 0, 0, 1, 4, bytes(4))      # a header of 8 bytes, PadN
    for proto, kind in ((socket.IPPROTO_UDP, socket.SOCK_DGRAM), (EXPERIMENT, socket.SOCK_RAW)):
        is_udp = kind == socket.SOCK_DGRAM
        there, here = (host.socket(socket.AF_INET6, kind, proto, 5) for host in (lab.far, lab.near))
        with there, here:
            there.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVDSTOPTS, 1)
            there.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPOPTS, 1)
            there.bind((FAR[6], 7777 if is_udp else 0))
            here.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, padding)
            here.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, padding)
            here.sendto(b"question", (FAR[6], 7777 if is_udp else 0))
            data, ancillary, _, source = there.recvmsg(2000, 2000)
            expect(data, b"question")
            expect({kind for _, kind, _ in ancillary}, {socket.IPV6_HOPOPTS, socket.IPV6_DSTOPTS}, "headers at far")
            there.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, padding)
            there.sendto(b"answer", source)
            expect(here.recvfrom(2000)[0], b"answer")
    tunnel.down()


def test_fragments(lab: Lab):
    """Longer than any link: of a raw protocol, and of UDP where all goes whole; deep's link cuts smaller."""
    data = os.urandom(20000)
    for arguments in ((), EVERYTHING):
        tunnel = packets_up(lab, *arguments)
        for version in (4, 6):
            exchange(lab, EXPERIMENT, version, data[:9000], data[9000:])
            expect(udp_echo(lab.near, FAR[version], data) == data, True, "UDP echo of far")
            expect(udp_echo(lab.near, DEEP[version], data) == data, True, "UDP echo of deep")
            lab.near.run(["ping", "-n", "-c1", "-W10", "-s", "9000", DEEP[version]])
        expect(tunnel.status()["drops"]["near"], {}, "drops")
        tunnel.down()


# -- TCP in packets -----------------------------------------------------------------------------


def fetch(host: Host, address: str, size: int) -> None:
    """Random bytes from the service `source`, and their digest."""
    with host.connect(address, SOURCE) as sock:
        sock.sendall(b"%d\n" % size)
        sock.shutdown(socket.SHUT_WR)
        digest = hashlib.sha256()
        tail = b""
        while data := sock.recv(1 << 18):
            tail += data
            digest.update(tail[:-64])
            tail = tail[-64:]
    expect(tail.decode(), digest.hexdigest(), f"digest of {size} bytes from {address}")


def put(host: Host, address: str, size: int) -> None:
    data = os.urandom(1 << 20) * (size >> 20)
    with host.connect(address, 9) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while part := sock.recv(100):
            answer += part
    expect(answer.decode(), hashlib.sha256(data).hexdigest(), f"digest of {size} bytes to {address}")


def counters(host: Host, device: str) -> dict:
    folder = host.path(f"/sys/class/net/{device}/statistics")
    return {name: int((folder / name).read_text()) for name in ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes")}


@timeout(120)
def test_tcp_in_packets(lab: Lab):
    """Every byte arrives, and super-segments travel whole from device to device."""
    tunnel = packets_up(lab, *EVERYTHING)
    size = 32 << 20
    for version in (4, 6):
        before = counters(lab.gw, "ecssh0")
        put(lab.near, FAR[version], size)
        fetch(lab.near, FAR[version], size)
        after = counters(lab.gw, "ecssh0")
        for way in ("rx", "tx"):        # of the gateway's device: from near, to near
            carried = after[f"{way}_bytes"] - before[f"{way}_bytes"]
            packets = after[f"{way}_packets"] - before[f"{way}_packets"]
            assert carried >= size, f"{carried} bytes {way}"
            # Half of the packets may be bare acknowledgements of the other half's.
            assert carried / packets > 4000, f"IPv{version} {way}: {packets} packets for {carried} bytes"
    expect(tunnel.status()["connections"]["opened"], 0, "connections of the flow plane")
    tunnel.down()


@timeout(120)
def test_many_connections_in_packets(lab: Lab):
    tunnel = packets_up(lab, *EVERYTHING)
    socks = [lab.near.connect(address, SWAP) for address in (*FAR.values(), *DEEP.values()) for _ in range(25)]
    for sock in socks:
        sock.sendall(b"100000\n" + bytes(50000))
        sock.shutdown(socket.SHUT_WR)
    for sock in socks:
        data = b""
        while part := sock.recv(1 << 18):
            data += part
        sock.close()
        expect(data[100000:100064].decode(), hashlib.sha256(data[:100000]).hexdigest())
        expect(data[100064:].decode(), hashlib.sha256(bytes(50000)).hexdigest())
    tunnel.down()


def test_tcp_errors_in_packets(lab: Lab):
    tunnel = packets_up(lab, *EVERYTHING)
    for address in (*FAR.values(), *DEEP.values()):
        expect(connect_error(lab.near, address, 81), "ECONNREFUSED")
        expect(connect_error(lab.near, address, FILTERED, 1), "timeout")
    tunnel.down()


@timeout(120)
def test_mss_and_smaller_mtu(lab: Lab):
    """A link of 1300 bytes at gw: both ends hear of it in the handshake.  One of 1280 at deep, both ways."""
    lab.gw.ip("link set far0 mtu 1300")
    tunnel = packets_up(lab, *EVERYTHING)
    for version, header in ((4, 40), (6, 60)):
        listener = lab.far.listen(FAR[version])
        with lab.near.connect(FAR[version], listener.getsockname()[1], 5) as sock:
            peer, _ = listener.accept()
            for end, name in ((sock, "near"), (peer, "far")):
                mss = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
                assert mss <= 1300 - header, f"IPv{version}: MSS of {name}: {mss}"
            peer.close()
        fetch(lab.near, DEEP[version], 4 << 20)
        put(lab.near, DEEP[version], 4 << 20)
    tunnel.down()


IP_MTU_DISCOVER, IP_MTU = 10, 14
IPV6_MTU_DISCOVER, IPV6_MTU = 23, 24


def mtu_of_path(host: Host, address: str, first: int) -> int:
    """What the kernel learns by sending datagrams that may not be cut."""
    is_4 = family_of(address) == socket.AF_INET
    level = socket.IPPROTO_IP if is_4 else socket.IPPROTO_IPV6
    with host.socket(family_of(address), socket.SOCK_DGRAM, timeout=5) as sock:
        sock.setsockopt(level, IP_MTU_DISCOVER if is_4 else IPV6_MTU_DISCOVER, 2)
        sock.connect((address, ECHO))

        def is_too_long(size: int) -> bool:
            try:
                sock.send(bytes(size - (28 if is_4 else 48)))
                return False
            except OSError as error:
                expect(error.errno, errno.EMSGSIZE)
                return True
        wait_for(lambda: is_too_long(first), 5, "datagram is too long")
        mtu = sock.getsockopt(level, IP_MTU if is_4 else IPV6_MTU)
        # What the socket still has to tell of those before is told first.
        wait_for(lambda: not is_too_long(mtu), 5, "datagram as long as the MTU is sent")
        expect(len(sock.recv(1 << 16)), mtu - (28 if is_4 else 48), "echo of the longest datagram")
        return mtu


def test_path_mtu(lab: Lab):
    """A router behind the gateway, the gateway itself, and this end's own word."""
    tunnel = packets_up(lab, *EVERYTHING)
    for version in (4, 6):
        expect(mtu_of_path(lab.near, DEEP[version], 1500), 1280, "MTU to deep")
    tunnel.down()
    tunnel = packets_up(lab, *EVERYTHING, "--mtu", "9000")
    for version in (4, 6):
        expect(mtu_of_path(lab.near, FAR[version], 9000), 1500, "MTU to far")
    tunnel.down()


def test_traceroute(lab: Lab):
    """This end and gw are a hop each, then far and deep; with TCP, too."""
    tunnel = packets_up(lab, *EVERYTHING)
    for version in (4, 6):
        for how in ((), ("-I",), ("-T", "-p", "80")):
            out = lab.near.run(["traceroute", f"-{version}", "-n", "-w10", "-q1", "-m6", *how, DEEP[version]]).stdout
            hops = [line.split()[1] for line in out.splitlines()[1:]]
            expect(hops[-2:], [FAR[version], DEEP[version]], f"last of {hops}, {how}")
            expect(len(hops), 4, f"hops of {hops}, {how}")
            assert "*" not in hops, hops
    tunnel.down()


# -- without translation ------------------------------------------------------------------------


def route_to_near(lab: Lab) -> None:
    """far sends what is for near's tunnel address to gw; deep sends all to far."""
    lab.far.ip(f"route add {NEAR4} via 10.77.0.1", f"route add {NEAR6} via fd77::1")


def test_no_nat(lab: Lab):
    """far sees near's own address, in packets and in TCP connections made of them."""
    route_to_near(lab)
    before = both(lab)
    tunnel = packets_up(lab, "--no-nat", *ADDRESSES, *EVERYTHING)
    for version, address in ((4, NEAR4), (6, NEAR6)):
        exchange(lab, EXPERIMENT, version, b"question", b"answer", address)
        exchange(lab, ESP, version, esp(1), esp(2), address)
        exchange(lab, GRE, version, gre(b"question"), gre(b"answer"), address)
        exchange(lab, SCTP, version, sctp_init(1, 5, 6, 0), sctp_init(2, 6, 5, 0xabcd), address)
        listener = lab.far.listen(FAR[version])
        with lab.near.connect(FAR[version], listener.getsockname()[1], 5):
            expect(listener.accept()[1][0], address, "source as far sees it")
        expect(udp_echo(lab.near, DEEP[version], b"?"), b"?")
    tunnel.down()
    expect_both_restored(lab, before)


def inbound_works(lab: Lab, version: int, address: str, seconds: float) -> dict:
    """What reaches near from far within that time, by protocol."""
    results = {}
    listener = lab.near.listen(address)
    results["tcp"] = connect_error(lab.far, address, listener.getsockname()[1], seconds) == "connected"
    family = family_of(address)
    there, here = (host.socket(family, socket.SOCK_DGRAM) for host in (lab.near, lab.far))
    there.settimeout(seconds)
    with there, here:
        there.bind((address, 0))
        here.sendto(b"question", (address, there.getsockname()[1]))
        try:
            data, source = there.recvfrom(100)
            expect((data, source[0]), (b"question", FAR[version]))
            there.sendto(b"answer", source)
            results["udp"] = here.recv(100) == b"answer"
        except TimeoutError:
            results["udp"] = False
    results["ping"] = lab.far.run(["ping", "-n", "-c1", f"-W{seconds}", address], check=False).returncode == 0
    with raw(lab.near, version, EXPERIMENT) as there, raw(lab.far, version, EXPERIMENT) as here:
        there.settimeout(seconds)
        here.sendto(b"question", (address, 0))
        try:
            expect(receive(there), (b"question", FAR[version]))
            there.sendto(b"answer", (FAR[version], 0))
            results["253"] = receive(here)[0] == b"answer"
        except TimeoutError:
            results["253"] = False
    return results


@timeout(120)
def test_inbound(lab: Lab):
    """Far hosts reach near only if that was allowed; whatever plane connections of near's own take."""
    route_to_near(lab)
    before = both(lab)
    for arguments, wanted in ((("--no-nat",), False), (("--no-nat", "--allow-inbound"), True),
                              (("--no-nat", "--allow-inbound", *EVERYTHING), True)):
        tunnel = packets_up(lab, *arguments, *ADDRESSES)
        for version, address in ((4, NEAR4), (6, NEAR6)):
            expect(inbound_works(lab, version, address, 10 if wanted else 1), dict.fromkeys(("tcp", "udp", "ping", "253"), wanted),
                   f"inbound with {arguments}, IPv{version}")
            echo(lab.near, FAR[version])
        tunnel.down()
    expect_both_restored(lab, before)


def test_inbound_is_dropped_here_too(lab: Lab):
    """gw itself is behind no firewall of its own: near's counts."""
    tunnel = packets_up(lab, "--no-nat", *ADDRESSES)
    listener = lab.near.listen(NEAR4)
    expect(connect_error(lab.gw, NEAR4, listener.getsockname()[1], 1), "timeout")
    dropped = tunnel.status()["drops"]["near"]
    assert dropped.get("unsolicited", 0) + dropped.get("foreign-source", 0) > 0, dropped
    tunnel.down()


@contextlib.contextmanager
def lan_of(lab: Lab):
    """A host in a network behind near, which routes for it."""
    lan = Host("lan")
    try:
        lan.ready()
        lan.write("/etc/hosts", "127.0.0.1 localhost\n")
        lab.near.ip(f"link add lan0 type veth peer name up0 netns {lan.pid}")
        lab.near.ip(*up("lan0", "192.168.7.1/24", "fd07::1/64"))
        lan.ip(*up("up0", "192.168.7.2/24", "fd07::2/64"), "route add default via 192.168.7.1",
               "route add default via fd07::1")
        lab.near.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        lab._serve(lan)
        yield lan
    finally:
        lan.close()


@timeout(120)
def test_site_to_site(lab: Lab):
    """LAN behind near, LAN behind gw, connections of both begin in both; addresses are kept."""
    with lan_of(lab) as lan:
        lab.far.ip(f"route add {LAN} via 10.77.0.1", "route add fd07::/64 via fd77::1")
        before = both(lab)
        for plane in ("packet", "auto"):
            tunnel = packets_up(lab, "--no-nat", "--announce", LAN, "--announce", "fd07::/64", "--allow-inbound",
                                "--plane", plane)
            for here, there in ((4, "192.168.7.2"), (6, "fd07::2")):
                for peer in (FAR[here], DEEP[here]):
                    fetch(lan, peer, 1 << 20)
                    put(lan, peer, 1 << 20)
                    expect(udp_echo(lan, peer, b"?" * 5000), b"?" * 5000)
                    lan.run(["ping", "-n", "-c1", "-W10", peer])
                for host in (lab.far, lab.deep):
                    fetch(host, there, 1 << 20)
                    put(host, there, 1 << 20)
                    expect(udp_echo(host, there, b"?" * 5000), b"?" * 5000)
                    host.run(["ping", "-n", "-c1", "-W10", there])
            listener = lan.listen("192.168.7.2")
            with lab.deep.connect("192.168.7.2", listener.getsockname()[1], 5):
                expect(listener.accept()[1][0], DEEP[4], "source as the LAN sees it")
            listener = lab.deep.listen(DEEP[4])
            with lan.connect(DEEP[4], listener.getsockname()[1], 5):
                expect(listener.accept()[1][0], "192.168.7.2", "source as deep sees it")
            expect(tunnel.status()["connections"]["opened"], 0, "connections of the flow plane")
            if plane == "auto":         # near's own address has no route there, but needs none
                echo(lab.near, FAR[4])
                expect(tunnel.status()["connections"]["opened"], 1, "connections of near's own")
            tunnel.down()
        expect_both_restored(lab, before)


def test_lan_of_others_stays_closed(lab: Lab):
    """What was not announced is not reached, even if a host there routes it to the device."""
    with lan_of(lab) as lan:
        tunnel = packets_up(lab, "--no-nat", "--allow-inbound", *ADDRESSES)
        lab.gw.ip(f"route add {LAN} dev ecssh0")
        lab.far.ip(f"route add {LAN} via 10.77.0.1")
        listener = lan.listen("192.168.7.2")
        for host in (lab.far, lab.gw):
            expect(connect_error(host, "192.168.7.2", listener.getsockname()[1], 1), "timeout")
        tunnel.down()


# -- what may go wrong --------------------------------------------------------------------------


@contextlib.contextmanager
def other_host(lab: Lab) -> Iterator[Host]:
    """Another near end, on a line of its own to gw."""
    other = Host("other")
    try:
        other.ready()
        lab.gw.ip(f"link add lan1 type veth peer name up0 netns {other.pid}")
        lab.gw.ip(*up("lan1", "10.9.1.1/24", "fd19::1/64"))
        other.ip(*up("up0", "10.9.1.2/24", "fd19::2/64"), "route add 10.9.0.1 via 10.9.1.1")
        for file in ("config", "known_hosts", "id_ed25519"):
            other.write(f"/root/.ssh/{file}", lab.near.path(f"/root/.ssh/{file}").read_text(), mode=0o600)
        other.write("/etc/hosts", "127.0.0.1 localhost\n")
        yield other
    finally:
        other.close()


def test_two_hosts_of_the_same_tunnel_name(lab: Lab):
    """Both call it gw; gw routes to either.  A tunnel of the same name has the same address again."""
    with other_host(lab) as other:
        one = packets_up(lab)
        two = packets_up(lab, host=other)
        addresses = one.status()["addresses"]
        expect(set(addresses) & set(two.status()["addresses"]), set(), "common addresses")
        for host in (lab.near, other):
            # At once: of two that use a protocol without ports, one can be translated.
            expect(udp_echo(host, FAR[4], b"?"), b"?")
            with raw(host, 4, EXPERIMENT) as here, raw(lab.deep, 4, EXPERIMENT) as there:
                target = (DEEP[4] if host is other else FAR[4], 0)
                with there if host is other else raw(lab.far, 4, EXPERIMENT) as there:
                    here.sendto(b"question", target)
                    payload, source = receive(there)
                    there.sendto(b"answer", (source, 0))
                    expect((payload, receive(here)[0]), (b"question", b"answer"))
        one.down()
        expect(udp_echo(other, FAR[4], b"?"), b"?")
        one = packets_up(lab)
        expect(one.status()["addresses"], addresses, "addresses the second time")
        two.down()
        one.down()


def test_address_taken_on_gateway(lab: Lab):
    """Two hosts that insist on one address: the second says why it carries no packets."""
    one = packets_up(lab, *ADDRESSES, "--name", "one")
    with other_host(lab) as other:
        said = Ecssh(other, "up", "--name", "two", "--address", NEAR4, "--address", "fd00::77", *EVERYTHING, "root@gw",
                     "10.79.0.0/24").fails(GATEWAY, NEAR4)
        expect_in("already", said)
    echo(lab.near, FAR[4])
    exchange(lab, EXPERIMENT, 4, b"question", b"answer")
    one.down()


def test_device_name_taken(lab: Lab):
    """On both hosts somebody has an ecssh0."""
    for host in (lab.near, lab.gw):
        host.run(["ip", "tuntap", "add", "dev", "ecssh0", "mode", "tun"])
    before = both(lab)
    tunnel = packets_up(lab)
    expect(tunnel.status()["interface"], "ecssh1")
    expect_in("device ecssh1", lab.near.run(["ecssh", "status"]).stdout)
    exchange(lab, EXPERIMENT, 4, b"question", b"answer")
    tunnel.down()
    expect_both_restored(lab, before)


@contextlib.contextmanager
def instead_of_nft(lab: Lab, script: str, mode: int):
    real = lab.gw.run(["sh", "-c", "command -v nft"]).stdout.strip()
    lab.gw.run(["mount", "-t", "tmpfs", "lab", "/mnt"])
    lab.gw.write("/mnt/nft", script, mode=mode)
    lab.gw.run(["mount", "--bind", "/mnt/nft", real])
    try:
        yield
    finally:
        for place in (real, "/mnt"):
            lab.gw.run(["umount", "--lazy", place])     # it may still be run


def test_without_nft(lab: Lab):
    """Missing or refusing: all else is carried, status says why; who insists gets one sentence."""
    before = both(lab)
    refusing = "#!/bin/sh\necho 'Error: \033[31mnot today' >&2\nexit 1\n"
    for script, mode, why in ((refusing, 0o755, "\\x1b[31mnot today"), ("", 0o644, "install the package nftables")):
        with instead_of_nft(lab, script, mode):
            tunnel = Ecssh(lab.near, "up", "root@gw", "10.77.0.0/24").connected()   # not Tunnel, which asks nft
            said = wait_for(lambda: re.search(r"packets +lacking: (.*)", lab.near.run(["ecssh", "status"]).stdout))[1]
            expect_in(why, said)
            report = json.loads(lab.near.run(["ecssh", "status", "--json"]).stdout)["tunnels"][0]
            expect(report["rung"], "helper")
            expect_in(why, report["why_not_higher"][0])
            echo(lab.near, FAR[4])
            lab.near.run(["ecssh", "down"])
            expect(tunnel.wait(5), OK, "exit status")
            Ecssh(lab.near, "up", *EVERYTHING, "root@gw", "10.77.0.0/24").fails(GATEWAY, "carries no packets", why)
    expect_both_restored(lab, before)


def check_lost(lab: Lab, how, why: str) -> None:
    """The packet plane goes in the middle; streams live on, and nothing is left."""
    before = both(lab)
    tunnel = packets_up(lab)
    with lab.near.connect(FAR[4], ECHO) as sock:
        how()
        wait_for(lambda: tunnel.status()["packets"] == "lost", 10, "packets are lost")
        wait_for(lambda: "carries no packets any more" in tunnel.stderr(), what="warning")
        expect_in(why, tunnel.stderr())
        expect(tunnel.status()["rung"], "helper")
        sock.sendall(b"?")
        expect(sock.recv(1), b"?")
        with raw(lab.near, 4, EXPERIMENT) as other:
            other.setsockopt(socket.IPPROTO_IP, 11, 1)      # IP_RECVERR
            other.sendto(b"question", (FAR[4], 0))
            wait_for(lambda: near_drops(tunnel, "protocol"), what="other protocols are refused")
    tunnel.down()
    expect_both_restored(lab, before)


def test_device_deleted(lab: Lab):
    check_lost(lab, lambda: lab.gw.ip("link del ecssh0"), "deleted")


def test_rules_deleted(lab: Lab):
    check_lost(lab, lambda: lab.gw.run(["nft", "flush", "ruleset"]), "deleted our rules")


def test_broker_killed(lab: Lab):
    check_lost(lab, lambda: os.kill(broker_of(lab).pid, signal.SIGKILL), "ended")


def test_keeper_killed(lab: Lab):
    check_lost(lab, lambda: os.kill(keeper_of(lab).pid, signal.SIGKILL), "killed")


def test_no_more_connections_tracked(lab: Lab):
    """As where conntrack's table is full, which only the first network namespace can make small."""
    before = both(lab)
    tunnel = packets_up(lab)
    exchange(lab, EXPERIMENT, 4, b"question", b"answer")
    lab.gw.run(["nft", "-f", "-"], stdin="""table ip full { chain full {
        type filter hook prerouting priority -150
        iifname "ecssh*" ct state new drop
    }
    }""")
    with raw(lab.near, 4, GRE) as here, raw(lab.far, 4, GRE) as there:
        there.settimeout(1)
        here.sendto(gre(b"question"), (FAR[4], 0))
        try:
            receive(there)
            raise AssertionError("gw's rule lets it pass")
        except TimeoutError:
            pass
    exchange(lab, EXPERIMENT, 4, b"question", b"answer")
    echo(lab.near, FAR[4])
    expect(tunnel.status()["packets"], "up")
    lab.gw.run(["nft", "delete", "table", "ip", "full"])
    exchange(lab, GRE, 4, gre(b"question"), gre(b"answer"))
    tunnel.down()
    expect_both_restored(lab, before)


def check_killed(lab: Lab, victim) -> None:
    before = both(lab)
    tunnel = packets_up(lab)
    exchange(lab, EXPERIMENT, 4, b"question", b"answer")
    os.kill(victim().pid, signal.SIGKILL)
    assert tunnel.wait(10) != OK, "exit status"
    expect_both_restored(lab, before)


def test_killed_engine(lab: Lab):
    check_killed(lab, lambda: lab.near.process("^ecssh$"))
    packets_up(lab).down()


def test_killed_near_broker(lab: Lab):
    check_killed(lab, lambda: lab.near.process("^ecssh-broker$"))


def test_killed_ssh(lab: Lab):
    check_killed(lab, lambda: lab.near.process("^ssh$"))


def test_killed_helper(lab: Lab):
    check_killed(lab, lambda: helper_of(lab))


def test_killed_helper_and_broker(lab: Lab):
    """The keeper cleans up after both."""
    def victim():
        helper = helper_of(lab)
        os.kill(broker_of(lab).pid, signal.SIGKILL)
        return helper
    check_killed(lab, victim)


# -- privilege ----------------------------------------------------------------------------------


def test_sudo_account(lab: Lab):
    """alice may sudo: in no group she is asked for only with --sudo."""
    lab.gw.write("/etc/sudoers.d/lab", "alice ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    before = both(lab)
    tunnel = packets_up(lab, "--sudo", to="gw")
    expect_in("by sudo", lab.near.run(["ecssh", "status"]).stdout)
    for version in (4, 6):
        exchange(lab, EXPERIMENT, version, b"question", b"answer")
    tunnel.down()
    expect_both_restored(lab, before)
    tunnel = packets_up(lab, "--sudo", *EVERYTHING, to="gw")
    put(lab.near, FAR[4], 4 << 20)
    os.kill(helper_of(lab).pid, signal.SIGKILL)
    tunnel.wait(10)
    expect_both_restored(lab, before)


def test_without_privilege(lab: Lab):
    """alice without: the helper serves her; what only packets can do fails with one sentence."""
    before = both(lab)
    for mode in ("auto", "helper"):
        tunnel = Tunnel(lab, "--mode", mode, "--plane", "auto")
        wait_for(lambda: tunnel.status()["packets"] == "lacking", what="packets are lacking")
        status = tunnel.status()
        expect(status["rung"], "helper")
        expect_in("not root", " ".join(status["why_not_higher"]))
        echo(lab.near, FAR[4])
        tunnel.down()
    for arguments in (("--no-nat",), ("--allow-inbound",), ("--announce", LAN), EVERYTHING):
        said = Ecssh(lab.near, "up", *arguments, "gw", "10.77.0.0/24").fails(GATEWAY, "gw carries no packets", "not root")
        expect(len([line for line in said.splitlines() if line.startswith("ecssh:")]), 1, f"sentences of:\n{said}")
    expect_both_restored(lab, before)


def test_flow_plane_does_not_ask(lab: Lab):
    """--plane flow: no device, no sudo, not even as root."""
    lab.gw.write("/etc/sudoers.d/lab", "alice ALL=(ALL) NOPASSWD: ALL\nDefaults logfile=/var/log/sudo.log\n", mode=0o440)
    for account in ("root@gw", "gw"):
        tunnel = Tunnel(lab, "--plane", "flow", "--sudo", to=account)
        echo(lab.near, FAR[4])
        expect(tunnel.status()["packets"], "none")
        expect(tunnel.status()["rung"], "helper")
        assert "ecssh0" not in lab.gw.run(["ip", "link"]).stdout, "a device was made"
        with raw(lab.near, 4, EXPERIMENT) as sock:
            sock.sendto(b"question", (FAR[4], 0))
            wait_for(lambda: near_drops(tunnel, "protocol"), what="other protocols are refused")
        expect(lab.gw.run(["ip", "-o", "link"]).stdout.count("ecssh"), 0, "devices on gw")
        tunnel.down()
    assert not lab.gw.path("/var/log/sudo.log").exists(), "sudo was tried"


# -- a hostile far side -------------------------------------------------------------------------

# A forced command around the real helper: between two frames of its own it puts in what /tmp/inject holds.
# What near says to have received (frame 5) counts that, too; the helper would end the session over it.
INJECTOR = r"""
import os, select, subprocess
helper = subprocess.Popen(["/usr/local/bin/ecssh-helper"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
source, sink = helper.stdout.fileno(), helper.stdin.fileno()
buffer, near, is_ready, is_greeted, own = b"", b"", False, False, 0

def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]

def frames(data):
    found = []
    while len(data) >= 8 and len(data) >= 8 + int.from_bytes(data[1:4], "big"):
        size = 8 + int.from_bytes(data[1:4], "big")
        found.append(data[:size])
        data = data[size:]
    return found, data

def corrected(frame):
    if frame[0] != 5:
        return frame
    return frame[:8] + min(int.from_bytes(frame[8:16], "big"), own).to_bytes(8, "big") + frame[16:]

while True:
    ready = select.select([source, 0], [], [], 0.01)[0]
    if source in ready:
        data = os.read(source, 1 << 16)
        if not data:
            break
        buffer += data
    if 0 in ready:
        data = os.read(0, 1 << 16)
        if not data:
            break
        near += data
    out = b""
    if not is_ready and b" ready " in buffer and b"\n" in buffer[buffer.index(b" ready "):]:
        end = buffer.index(b"\n", buffer.index(b" ready ")) + 1
        out, buffer, is_ready = buffer[:end], buffer[end:], True
    if is_ready:
        whole, buffer = frames(buffer)
        own += sum(len(frame) for frame in whole if frame[0] != 5)
        out += b"".join(whole)
    if is_ready and not out and os.path.exists("/tmp/inject"):
        with open("/tmp/inject", "rb") as file:
            out = file.read()
        os.unlink("/tmp/inject")
    write_all(1, out)
    if not is_greeted and b"ECSH" in near:
        start = near.index(b"ECSH") - 8
        write_all(sink, near[:start])
        near, is_greeted = near[start:], True
    if is_greeted:
        whole, near = frames(near)
        write_all(sink, b"".join(map(corrected, whole)))
    else:
        write_all(sink, near)       # before its HELLO, which comes in one piece
        near = b""
"""


class Hostile:
    """A tunnel whose helper also sends what it is told to."""

    def __init__(self, lab: Lab, *arguments: str):
        self.lab = lab
        helper = lab.gw.path("/usr/local/bin/ecssh-helper")
        helper.write_bytes((BUILD / "ecssh-helper").read_bytes())
        helper.chmod(0o755)
        lab.gw.write("/usr/local/bin/hostile", "#!/usr/bin/python3\n" + INJECTOR, mode=0o755)
        lab.sshd(port=2222, ForceCommand="/usr/local/bin/hostile")
        self.tunnel = packets_up(lab, "-p", "2222", *ADDRESSES, *arguments)

    def send(self, *packets: bytes) -> None:
        """PACKET frames, each of an offload header and a packet."""
        frames = b"".join(struct.pack("!II", 0x40 << 24 | len(packet), 0) + packet for packet in packets)
        self.lab.gw.path("/tmp/inject.new").write_bytes(frames)
        self.lab.gw.path("/tmp/inject.new").rename(self.lab.gw.path("/tmp/inject"))

    def drops(self) -> dict:
        return self.tunnel.status()["drops"]["near"]

    def expect_dropped(self, reason: str, *packets: bytes) -> None:
        before = self.drops().get(reason, 0)
        self.send(*packets)
        try:
            wait_for(lambda: self.drops().get(reason, 0) - before == len(packets), 5)
        except TimeoutError:
            raise AssertionError(f"{len(packets)} packets not counted as {reason}: {before} before, "
                                 f"now {self.drops()}") from None


def offload(flags: int = 0, kind: int = 0, hdr_len: int = 0, gso_size: int = 0, start: int = 0, offset: int = 0) -> bytes:
    return struct.pack("!BBHHHH", flags, kind, hdr_len, gso_size, start, offset)


def ip_packet(source: str, destination: str, proto: int, payload: bytes) -> bytes:
    """With a checksum of the header, and none of what follows."""
    if ":" in source:
        return (struct.pack("!IHBB", 6 << 28, len(payload), proto, 64) + socket.inet_pton(socket.AF_INET6, source)
                + socket.inet_pton(socket.AF_INET6, destination) + payload)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, proto, 0)
    head += socket.inet_aton(source) + socket.inet_aton(destination)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def transport(source: str, destination: str, proto: int, payload: bytes) -> bytes:
    """The packet, the checksum of its UDP or TCP header filled in."""
    packed = [socket.inet_pton(family_of(a), a) for a in (source, destination)]
    total = checksum(b"".join(packed) + struct.pack("!II", len(payload), proto) + payload)
    at = 6 if proto == 17 else 16
    return ip_packet(source, destination, proto, payload[:at] + struct.pack("!H", total or 0xffff) + payload[at + 2:])


def udp(source: str, destination: str, sport: int = 1000, dport: int = 2000, data: bytes = b"data") -> bytes:
    return transport(source, destination, 17, struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data)


def tcp(source: str, destination: str, sport: int, dport: int, data: bytes, flags: int = 0x18) -> bytes:
    return transport(source, destination, 6, struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 0x50, flags, 1000, 0, 0) + data)


@contextlib.contextmanager
def asked(lab: Lab, hostile: Hostile):
    """Near has sent protocol 253 to far, so that packets of it may come; yields near's socket."""
    with raw(lab.near, 4, EXPERIMENT) as sock:
        sock.sendto(b"question", (FAR[4], 0))
        yield sock
        # The positive control, and that the tunnel lives.
        hostile.send(offload() + ip_packet(FAR[4], NEAR4, EXPERIMENT, b"injected"))
        expect(receive(sock), (b"injected", FAR[4]), "a packet that is as it should be")
    expect(hostile.tunnel.status()["packets"], "up")
    echo(lab.near, FAR[4])


def test_foreign_packets_are_dropped(lab: Lab):
    """Foreign sources; the near host's other addresses, its LAN, its loopback; nobody asked."""
    lab.near.ip("link add lan0 type veth peer name lan1", *up("lan0", "192.168.7.1/24", "fd07::1/64"), "link set lan1 up")
    hostile = Hostile(lab, "--no-nat", "--allow-inbound")
    plain = offload()
    with asked(lab, hostile) as sock:
        def whole(source: str, destination: str) -> bytes:
            return plain + ip_packet(source, destination, EXPERIMENT, b"foreign")
        hostile.expect_dropped("foreign-destination", *(whole(FAR[4], address) for address in (
            "192.168.7.1", "192.168.7.2", "10.9.0.2", "10.9.0.1", "8.8.8.8", "198.18.0.10")),
            *(whole(FAR[6], address) for address in ("fd07::1", "fd09::2", "fd00:9::8")))
        hostile.expect_dropped("foreign-source", *(whole(address, NEAR4) for address in (
            "8.8.8.8", "192.168.7.1", "10.9.0.1", "169.254.169.254", NEAR4)),
            *(whole(address, NEAR6) for address in ("2001:db8::1", "fe80::1", NEAR6)))
        before = sum(hostile.drops().values())
        hostile.send(*(whole(source, NEAR4) for source in ("127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0")),
                     *(whole(FAR[4], address) for address in ("127.0.0.1", "224.0.0.1", "255.255.255.255")),
                     *(whole(source, NEAR6) for source in ("::1", "ff02::1", "::")),
                     *(whole(FAR[6], address) for address in ("::1", "ff02::1")))
        wait_for(lambda: sum(hostile.drops().values()) - before == 12, what="odd addresses are dropped and counted")
        sock.settimeout(0.2)
        try:
            raise AssertionError(f"{receive(sock)} came through")
        except TimeoutError:
            sock.settimeout(5)
    hostile.tunnel.down()
    hostile.tunnel.expect_restored()


def test_unsolicited_packets_are_dropped(lab: Lab):
    """From subnets that were asked for, but nobody here began; ICMP that would change something."""
    hostile = Hostile(lab)
    plain = offload()
    with asked(lab, hostile):
        hostile.expect_dropped("unsolicited", plain + udp(FAR[4], NEAR4), plain + udp(FAR[6], NEAR6),
                               plain + tcp(FAR[4], NEAR4, 5, 22, b"", 2),
                               plain + ip_packet(DEEP[4], NEAR4, EXPERIMENT, b"?"))

        def icmp(kind: int, code: int, rest: bytes) -> bytes:
            body = struct.pack("!BBH", kind, code, 0) + rest
            return plain + ip_packet(FAR[4], NEAR4, 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:])
        quote = ip_packet(NEAR4, "9.9.9.9", 17, struct.pack("!HHHH", 1, 2, 8, 0))
        hostile.expect_dropped("unsolicited", icmp(3, 4, struct.pack("!HH", 0, 576) + quote),
                               icmp(11, 0, bytes(4) + quote))
        hostile.expect_dropped("icmp-other", icmp(5, 1, bytes([10, 77, 0, 9]) + quote), icmp(9, 0, bytes(12)),
                               icmp(17, 0, bytes(8)))
    hostile.tunnel.down()


def test_malformed_offloads_are_dropped(lab: Lab):
    """Virtio headers that lie: none reaches the kernel."""
    hostile = Hostile(lab)
    segment = tcp(FAR[4], NEAR4, 80, 5000, bytes(3000))
    segment6 = tcp(FAR[6], NEAR6, 80, 5000, bytes(3000))
    datagram = udp(FAR[4], NEAR4, data=bytes(3000))
    bad = [
        offload(1, 1, 40, 0, 20, 16) + segment,             # segments of nothing
        offload(1, 1, 40, 65535, 20, 16) + segment,         # longer than all of it
        offload(1, 1, 0, 1000, 20, 16) + segment,           # headers of no length
        offload(1, 1, 65535, 1000, 20, 16) + segment,       # headers behind the end
        offload(1, 1, 40, 1000, 65535, 16) + segment,       # a checksum from behind the end
        offload(1, 1, 40, 1000, 20, 65535) + segment,       # one that goes behind the end
        offload(1, 0, 0, 0, len(segment) - 1, 1) + segment,
        offload(1, 0, 0, 0, 0, 0) + segment,                # one of the IP header
        offload(0, 1, 40, 1000, 20, 16) + segment,          # a super-segment without one
        offload(1, 4, 40, 1000, 20, 16) + segment,          # of the other family
        offload(1, 1, 60, 1000, 40, 16) + segment6,
        offload(1, 5, 28, 1000, 20, 6) + segment,           # of the other protocol
        offload(1, 1, 40, 1000, 20, 16) + datagram,
        offload(1, 3, 28, 1000, 20, 6) + datagram,          # a kind that nobody has agreed to
        offload(1, 0x81, 40, 1000, 20, 16) + segment,       # with ECN
        offload(1, 255, 40, 1000, 20, 16) + segment,
        offload(255, 0, 0, 0, 0, 0) + segment,
        offload(1, 1, 40, 1000, 20, 16) + tcp(FAR[4], NEAR4, 80, 5000, bytes(3000), 2),     # a SYN
    ]
    broken = [
        offload() + segment[:40],                           # cut off
        offload() + segment + b"more",
        offload() + b"\x45" + bytes(19), offload() + b"\x00" * 20, offload() + b"\x6f" * 39, offload() + b"\x4f" * 20,
        offload() + segment[:2] + b"\xff\xff" + segment[4:],
    ]
    with asked(lab, hostile):
        before = sum(hostile.drops().values())
        for number, packet in enumerate(bad + broken):
            hostile.send(packet)
            try:
                wait_for(lambda: sum(hostile.drops().values()) - before == number + 1, 5)
            except TimeoutError:
                raise AssertionError(f"number {number} of the malformed ones is not counted: {hostile.drops()}") from None
        expect(hostile.drops().get("tun-write", 0), 0, "packets that the kernel refused")
        assert hostile.drops().get("bad-vnet-hdr", 0) >= len(bad) - 4, hostile.drops()
    hostile.tunnel.down()
    hostile.tunnel.expect_restored()


@timeout(120)
def test_random_packets_of_the_far_side(lab: Lab):
    """Real packets with a few bytes changed: the tunnel lives, and the kernel takes all that is let through."""
    hostile = Hostile(lab, "--allow-inbound")
    rng = random.Random(3)
    seeds = [offload() + udp(FAR[4], NEAR4), offload(1, 1, 40, 1000, 20, 16) + tcp(FAR[4], NEAR4, 80, 5000, bytes(3000)),
             offload(1, 4, 60, 1000, 40, 16) + tcp(FAR[6], NEAR6, 80, 5000, bytes(3000)), offload() + udp(FAR[6], NEAR6)]
    with asked(lab, hostile):
        for _ in range(20):
            packets = []
            for _ in range(200):
                packet = bytearray(rng.choice(seeds))
                for _ in range(rng.randint(1, 3)):
                    packet[rng.randrange(min(60, len(packet)))] = rng.choice((0, 1, 255, rng.randrange(256)))
                packets.append(bytes(packet))
            hostile.send(*packets)
            wait_for(lambda: not lab.gw.path("/tmp/inject").exists(), what="packets are sent")
    expect(hostile.drops().get("tun-write", 0), 0, "packets that the kernel refused")
    hostile.tunnel.down()
