# SPDX-License-Identifier: MIT
"""What the far hosts of the lab serve, over IPv4 and IPv6, until killed.

echo    TCP and UDP, datagrams up to 65,507 bytes
sink    TCP: reads to the end, then answers the SHA-256 of what it read (hex)
source  TCP: reads "N\\n", sends N random bytes and their SHA-256 (hex)
swap    TCP: reads "N\\n"; sends N random bytes while it reads to the end; then the SHA-256 of what it
        sent and of what it read (hex)
deaf    TCP: accepts and never reads
HTTP    GET or PUT /, GET /N (N bytes)
DNS     UDP and TCP: far.lab.test A and AAAA; big.lab.test TXT, too large for UDP; else NXDOMAIN
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import resource
import socket
import struct

ECHO, SINK, SOURCE, DNS, HTTP = 7, 9, 19, 53, 80
CLOSED, FILTERED, PROHIBITED, DEAF, SWAP = 81, 82, 83, 84, 85
CHUNK = 1 << 16
RANDOM = os.urandom(1 << 20)


async def send_random(writer: asyncio.StreamWriter, size: int) -> str:
    """Send size bytes; return their SHA-256."""
    digest = hashlib.sha256()
    view = memoryview(RANDOM)
    while size:
        part = view[:min(size, CHUNK)]
        view = view[len(part):] or memoryview(RANDOM)
        digest.update(part)
        writer.write(part)
        await writer.drain()
        size -= len(part)
    return digest.hexdigest()


async def read_all(reader: asyncio.StreamReader) -> str:
    """Read to the end; return the SHA-256 of it."""
    digest = hashlib.sha256()
    while data := await reader.read(CHUNK):
        digest.update(data)
    return digest.hexdigest()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await read_all(reader)).encode())


async def source(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await send_random(writer, int(await reader.readline()))).encode())


async def swap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    size = int(await reader.readline())
    sent, received = await asyncio.gather(send_random(writer, size), read_all(reader))
    writer.write((sent + received).encode())


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.pause_reading()
    await asyncio.sleep(86400)


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    path = head.split()[1][1:]
    length = re.search(r"(?im)^content-length: *(\d+)", head)
    to_read = int(length[1]) if length else 0
    while to_read:
        to_read -= len(await reader.read(min(to_read, 1 << 20)) or bytes(to_read))
    body = f"hello from {writer.get_extra_info('sockname')[0]}\n".encode()
    size = int(path) if path.isdigit() else len(body)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size)
    if path.isdigit():
        await send_random(writer, size)
    else:
        writer.write(body)


def dns_answer(query: bytes, max_size: int) -> bytes:
    """Answer one question; truncate to max_size as RFC 1035 asks."""
    ident, end, labels = query[:2], 12, []
    while query[end]:
        labels.append(query[end + 1:end + 1 + query[end]].decode().lower())
        end += 1 + query[end]
    question = query[12:end + 5]
    kind = struct.unpack("!H", question[-4:-2])[0]
    records = {("far.lab.test", 1): bytes([10, 77, 0, 2]), ("far.lab.test", 28): bytes.fromhex("fd77" + "0" * 27 + "2"),
               ("big.lab.test", 16): b"".join(bytes([200]) + b"x" * 200 for _ in range(20))}
    name = ".".join(labels)
    data = records.get((name, kind))
    rcode = 0 if any(name == known for known, _ in records) else 3
    answer = b"" if data is None else b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data
    truncated = 12 + len(question) + len(answer) > max_size
    flags = 0x8580 | rcode | (0x0200 if truncated else 0)
    header = ident + struct.pack("!HHHHH", flags, 1, 1 if answer and not truncated else 0, 0, 0)
    return header + question + (b"" if truncated else answer)


async def dns_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    size = struct.unpack("!H", await reader.readexactly(2))[0]
    answer = dns_answer(await reader.readexactly(size), 65535)
    writer.write(struct.pack("!H", len(answer)) + answer)


def udp_service(loop: asyncio.AbstractEventLoop, family: int, port: int, reply) -> None:
    """Answer datagrams; asyncio's own transport cannot send empty ones."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("", port))

    def on_readable() -> None:
        try:
            data, peer = sock.recvfrom(1 << 16, socket.MSG_DONTWAIT)
            sock.sendto(reply(data), peer)
        except OSError:
            pass        # a spurious wake-up, or an ICMP error about an answer
    loop.add_reader(sock, on_readable)


def tcp_service(handler):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError, OSError):
            pass        # the client's choice, and its test's to judge
        finally:
            writer.close()
    return serve


async def serve_all(ready: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = asyncio.get_running_loop()
    for port, handler in ((ECHO, echo), (SINK, sink), (SOURCE, source), (SWAP, swap), (DEAF, deaf), (HTTP, http),
                          (DNS, dns_tcp)):
        await asyncio.start_server(tcp_service(handler), None, port, backlog=4096, limit=1 << 20)
    for port, reply in ((ECHO, lambda data: data), (DNS, lambda data: dns_answer(data, 512))):
        for family in (socket.AF_INET, socket.AF_INET6):
            udp_service(loop, family, port, reply)
    os.write(ready, b"!")
    os.close(ready)
    await asyncio.Event().wait()


def run(ready: int) -> None:
    """Serve; one byte into this descriptor says that all are there."""
    asyncio.run(serve_all(ready))
