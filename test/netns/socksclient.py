# SPDX-License-Identifier: MIT
"""A SOCKS 5 client (RFC 1928) as small as tests need it."""

from __future__ import annotations

import ipaddress
import socket
import struct

from lab import Host

CONNECT, BIND, UDP = 1, 2, 3
ATYP_V4, ATYP_NAME, ATYP_V6 = 1, 3, 4
GRANTED, FAILED, NOT_ALLOWED, NET_UNREACHABLE, UNREACHABLE, REFUSED, TTL_EXPIRED, UNSUPPORTED = range(8)


def exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise EOFError(f"ended after {data!r}")
        data += part
    return data


def address(host: str, port: int) -> bytes:
    """ATYP, address and port; a name if host is no address."""
    try:
        ip = ipaddress.ip_address(host)
        head = bytes([ATYP_V4 if ip.version == 4 else ATYP_V6]) + ip.packed
    except ValueError:
        head = bytes([ATYP_NAME, len(host)]) + host.encode()
    return head + struct.pack("!H", port)


def greet(sock: socket.socket) -> None:
    sock.sendall(b"\x05\x01\x00")
    assert exactly(sock, 2) == b"\x05\x00"


def read_address(read) -> tuple[str, int]:
    kind = read(1)[0]
    if kind == ATYP_NAME:
        host = read(read(1)[0]).decode()
    else:
        host = str(ipaddress.ip_address(read(4 if kind == ATYP_V4 else 16)))
    return host, struct.unpack("!H", read(2))[0]


def read_reply(sock: socket.socket) -> tuple[int, tuple[str, int]]:
    head = exactly(sock, 3)
    assert head[0] == 5 and head[2] == 0, head
    return head[1], read_address(lambda size: exactly(sock, size))


def request(sock: socket.socket, command: int, host: str, port: int) -> int:
    sock.sendall(bytes([5, command, 0]) + address(host, port))
    return read_reply(sock)[0]


def connect(sock: socket.socket, host: str, port: int) -> int:
    """The server's reply to CONNECT."""
    greet(sock)
    return request(sock, CONNECT, host, port)


def connect_unix(host: Host, path: str) -> socket.socket:
    """Connect to a socket of a host by its path."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(str(host.path(path)))
    return sock


class Associate:
    """A UDP association, and the socket that uses it."""

    def __init__(self, host: Host, server: str, port: int):
        self.control = host.connect(server, port)
        greet(self.control)
        self.control.sendall(bytes([5, UDP, 0]) + address("0.0.0.0", 0))
        reply, self.relay = read_reply(self.control)
        assert reply == GRANTED, f"reply {reply} to UDP ASSOCIATE"
        self.sock = host.socket(kind=socket.SOCK_DGRAM, timeout=10)

    @staticmethod
    def header(host: str, port: int) -> bytes:
        return b"\0\0\0" + address(host, port)

    def ask(self, host: str, port: int, data: bytes) -> tuple[tuple[str, int], bytes]:
        """Send a datagram; the next that comes, and from where."""
        self.sock.sendto(self.header(host, port) + data, self.relay)
        packet = self.sock.recv(1 << 16)
        assert packet[:3] == b"\0\0\0", packet[:3]
        at = 3

        def read(size: int) -> bytes:
            nonlocal at
            at += size
            return packet[at - size:at]
        source = read_address(read)
        return source, packet[at:]

    def close(self) -> None:
        self.sock.close()
        self.control.close()
