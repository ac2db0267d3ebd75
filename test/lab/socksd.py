# SPDX-License-Identifier: MIT
"""A SOCKS 5 server (RFC 1928, 1929) on gw, for tests of --via.

socksd.py ADDRESS PORT [--no-udp] [--auth USER:PASSWORD] [--garbage | --deaf]
"""

from __future__ import annotations

import argparse
import errno
import ipaddress
import socket
import struct
import threading

REPLIES = {errno.ECONNREFUSED: 5, errno.ENETUNREACH: 3, errno.EHOSTUNREACH: 4, errno.ETIMEDOUT: 6, errno.EACCES: 2}


def exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def read_address(read) -> tuple[str, int]:
    kind = read(1)[0]
    if kind == 3:
        host = read(read(1)[0]).decode()
    else:
        host = str(ipaddress.ip_address(read(4 if kind == 1 else 16)))
    return host, struct.unpack("!H", read(2))[0]


def address(host: str, port: int) -> bytes:
    ip = ipaddress.ip_address(host)
    return bytes([1 if ip.version == 4 else 4]) + ip.packed + struct.pack("!H", port)


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for sock in source, sink:
            sock.close()


def associate(client: socket.socket) -> None:
    """Relay datagrams until the connection ends."""
    here = client.getsockname()[0]
    relay = socket.socket(client.family, socket.SOCK_DGRAM)
    relay.bind((here, 0))
    outs = {socket.AF_INET: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            socket.AF_INET6: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)}
    user = []

    def down(out: socket.socket) -> None:
        while True:
            try:
                data, source = out.recvfrom(1 << 16)
                relay.sendto(b"\0\0\0" + address(*source[:2]) + data, user[0])
            except ConnectionError:
                continue
            except OSError:
                return

    def up() -> None:
        while True:
            try:
                packet, source = relay.recvfrom(1 << 16)
            except OSError:
                return
            user[:] = [source]
            at = 3

            def read(size: int) -> bytes:
                nonlocal at
                at += size
                return packet[at - size:at]
            host, port = read_address(read)
            family, _, _, _, to = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            try:
                outs[family].sendto(packet[at:], to)
            except OSError:
                pass
    for out in outs.values():
        out.bind(("", 0))
        threading.Thread(target=down, args=[out], daemon=True).start()
    threading.Thread(target=up, daemon=True).start()
    client.sendall(b"\5\0\0" + address(*relay.getsockname()[:2]))
    while client.recv(1000):
        pass
    for sock in (relay, *outs.values()):
        sock.close()


def serve(client: socket.socket, options: argparse.Namespace) -> None:
    exactly(client, 1)
    methods = exactly(client, exactly(client, 1)[0])
    method = 2 if options.auth else 0
    if method not in methods:
        client.sendall(b"\5\xff")
        return
    client.sendall(bytes([5, method]))
    if options.auth:
        exactly(client, 1)
        user = exactly(client, exactly(client, 1)[0])
        password = exactly(client, exactly(client, 1)[0])
        is_right = (user + b":" + password).decode() == options.auth
        client.sendall(bytes([1, not is_right]))
        if not is_right:
            return
    command = exactly(client, 3)[1]
    host, port = read_address(lambda size: exactly(client, size))
    if command == 3 and not options.no_udp:
        associate(client)
    elif command != 1:
        client.sendall(b"\5\7\0\1" + bytes(6))
    else:
        try:
            server = socket.create_connection((host, port), 10)
            server.settimeout(None)
        except socket.gaierror:
            client.sendall(b"\5\4\0\1" + bytes(6))
            return
        except OSError as error:
            client.sendall(bytes([5, REPLIES.get(error.errno, 1), 0, 1]) + bytes(6))
            return
        client.sendall(b"\5\0\0" + address(*server.getsockname()[:2]))
        up = threading.Thread(target=pump, args=[client, server], daemon=True)
        up.start()
        pump(server, client)
        up.join()
        server.close()


def one(client: socket.socket, options: argparse.Namespace) -> None:
    try:
        with client:
            if options.garbage:
                client.sendall(b"220 mail.example ESMTP\r\n" + bytes(range(256)))
                client.recv(1000)
            elif options.deaf:
                while client.recv(1000):
                    pass
            else:
                serve(client, options)
    except (EOFError, OSError):
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--auth")
    for flag in ("--no-udp", "--garbage", "--deaf"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    family = socket.AF_INET6 if ":" in options.address else socket.AF_INET
    listener = socket.create_server((options.address, options.port), family=family, backlog=1024)
    print("ready", flush=True)
    while True:
        client = listener.accept()[0]
        threading.Thread(target=one, args=[client, options], daemon=True).start()


if __name__ == "__main__":
    main()
