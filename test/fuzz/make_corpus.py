#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the seeds of the fuzz targets to corpus/, each a small valid input or one
near to it. Seeds found by the fuzzer may lie beside them."""

import ipaddress
import pathlib
import struct
import zlib

HERE = pathlib.Path(__file__).resolve().parent
A4, B4 = (ipaddress.ip_address(a).packed for a in ("192.0.2.1", "198.51.100.2"))
A6, B6 = (ipaddress.ip_address(a).packed for a in ("2001:db8::1", "2001:db8:1::2"))
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58


def seed(target, name, data):
    path = HERE / "corpus" / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


# ---- packets ----

def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip4(proto, l4, frag=0, ident=0, options=b""):
    words = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH4s4s", 0x40 | words, 0, words * 4 + len(l4), ident, frag, 64, proto, 0, A4, B4)
    head += options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + l4


def ip6(proto, payload):
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), proto, 64, A6, B6) + payload


def with_csum(version, proto, l4, at):
    if version == 4:
        pseudo = A4 + B4 + struct.pack("!BBH", 0, proto, len(l4)) if proto != ICMP else b""
    else:
        pseudo = A6 + B6 + struct.pack("!II", len(l4), proto)
    return l4[:at] + struct.pack("!H", checksum(pseudo + l4)) + l4[at + 2:]


def tcp(version, flags, payload=b"", options=b""):
    head = struct.pack("!HHIIBBHHH", 40000, 443, 1000, 2000, (5 + len(options) // 4) << 4, flags, 65535, 0, 0)
    return with_csum(version, TCP, head + options + payload, 16)


def udp(version, payload):
    return with_csum(version, UDP, struct.pack("!HHHH", 5353, 53, 8 + len(payload), 0) + payload, 6)


def echo(version, payload):
    kind = 8 if version == 4 else 128
    head = struct.pack("!BBHHH", kind, 0, 0, 7, 1)
    return with_csum(version, ICMP if version == 4 else ICMP6, head + payload, 2)


def vnet(flags=0, gso=0, hdr_len=0, size=0, start=0, offset=0):
    return struct.pack("=BBHHHH", flags, gso, hdr_len, size, start, offset)


def extension(following, length=8, byte3=0):
    return struct.pack("!BBBB", following, length // 8 - 1, 0, byte3) + b"\0" * (length - 4)


def fragment_header(following, offset, more, ident):
    return struct.pack("!BBHI", following, 0, offset | more, ident)


def packets():
    options = bytes((2, 4, 5, 0xB4, 1, 3, 3, 7, 4, 2, 1, 1))
    for version, wrap in ((4, ip4), (6, ip6)):
        head = 20 if version == 4 else 40
        seed_pkt = lambda name, data: seed("fuzz_pkt", f"{name}{version}", b"\0" + data)
        seed_pkt("syn", vnet() + wrap(TCP, tcp(version, 2, options=options)))
        seed_pkt("ack", vnet() + wrap(TCP, tcp(version, 0x10)))
        seed_pkt("data", vnet() + wrap(TCP, tcp(version, 0x18, b"GET / HTTP/1.1\r\n\r\n")))
        seed_pkt("partial", vnet(1, 0, head + 20, 0, head, 16) + wrap(TCP, tcp(version, 0x18, b"hello")))
        seed_pkt("super", vnet(1, 1 if version == 4 else 4, head + 20, 10, head, 16)
                 + wrap(TCP, tcp(version, 0x10, b"0123456789" * 5)))
        seed_pkt("udp", vnet() + wrap(UDP, udp(version, b"query")))
        seed_pkt("uso", vnet(1, 5, head + 8, 10, head, 6) + wrap(UDP, udp(version, b"0123456789" * 4)))
        seed_pkt("echo", vnet() + wrap(ICMP if version == 4 else ICMP6, echo(version, b"0123456789abcdef")))
        seed_pkt("verified", vnet(2) + wrap(UDP, udp(version, b"?")))
        seed_pkt("other", vnet() + wrap(132, b"chunk"))
        seed("fuzz_pkt", f"bare{version}", b"\1" + wrap(UDP, udp(version, b"bare")))
    seed("fuzz_pkt", "options4", b"\2" + vnet() + ip4(UDP, udp(4, b"x"), options=b"\1" * 8))
    seed("fuzz_pkt", "fragment4", b"\2" + vnet() + ip4(UDP, b"x" * 16, 0x2000, 7))
    seed("fuzz_pkt", "mended4", b"\3" + ip4(TCP, tcp(4, 0x11)))
    chain = extension(60) + extension(43, 16) + extension(UDP, 24)
    seed("fuzz_pkt", "chain6", b"\0" + vnet() + ip6(0, chain + udp(6, b"far behind")))
    seed("fuzz_pkt", "atomic6", b"\0" + vnet() + ip6(44, fragment_header(UDP, 0, 0, 1) + udp(6, b"whole")))
    seed("fuzz_pkt", "fragment6", b"\0" + vnet() + ip6(44, fragment_header(UDP, 8, 1, 1) + b"x" * 16))


# ---- offload: see the heads of fuzz_vnet.c and fuzz_gso.c ----

def segment(version, seq, flags, payload, ident=0):
    options = bytes((1, 1, 8, 10)) + b"timestmp"
    head = struct.pack("!HHIIBBHHH", 40000, 443, seq, 2000, 0x80, flags, 65535, 0, 0)
    l4 = with_csum(version, TCP, head + options + payload, 16)
    return ip4(TCP, l4, 0, ident) if version == 4 else ip6(TCP, l4)


def offload():
    for version, wrap in ((4, ip4), (6, ip6)):
        head = 20 if version == 4 else 40
        kind = 1 if version == 4 else 4
        supers = {
            "tcp": vnet(1, kind, head + 20, 100, head, 16) + wrap(TCP, tcp(version, 0x18, b"0123456789" * 35)),
            "ecn": vnet(1, kind | 0x80, head + 20, 7, head, 16) + wrap(TCP, tcp(version, 0x91, b"0123456789")),
            "udp": vnet(1, 5, head + 8, 10, head, 6) + wrap(UDP, udp(version, b"0123456789" * 3)),
            "syn": vnet(1, 0, 0, 0, head, 16) + wrap(TCP, tcp(version, 2, options=bytes((1, 2, 4, 5, 0xB4, 3, 3, 7)))),
            "gre": vnet(1, 0, 0, 0, head, 4) + wrap(47, b"\x80\0\x08\0\0\0\0\0inner"),
            "plain": vnet() + wrap(50, b"\0\0\0\7sealed"),
            "error": vnet() + wrap(ICMP if version == 4 else ICMP6, with_csum(
                version, ICMP if version == 4 else ICMP6,
                struct.pack("!BBHI", 3 if version == 4 else 1, 3 if version == 4 else 4, 0, 0)
                + wrap(UDP, udp(version, b"quoted")), 2)),
            "short": vnet(1, kind, head + 19, 100, head, 16) + wrap(TCP, tcp(version, 0x18, b"0123456789" * 35)),
            "zero": vnet(1, kind, head + 20, 0, head, 16) + wrap(TCP, tcp(version, 0x18, b"0123456789" * 35)),
            "outside": vnet(1, 0, 0, 0, 0, 16) + wrap(47, b"\0" * 20),
        }
        for name, data in supers.items():
            seed("fuzz_vnet", f"{name}{version}", b"\0" + data)
            seed("fuzz_vnet", f"{name}{version}_peer", b"\1" + data)
            seed("fuzz_gso", f"{name}{version}", b"\1" + data)
        row = [segment(version, 1000 + 10 * i, 0x10, b"0123456789", i) for i in range(4)]
        row += [segment(version, 1040, 0x18, b"end", 4), segment(version, 1043, 0x11, b"fin", 5)]
        pieces = b"".join(struct.pack("!H", len(packet)) + packet for packet in row)
        seed("fuzz_gso", f"row{version}", b"\0" + pieces)
        seed("fuzz_gso", f"twice{version}", b"\0" + pieces + pieces)


# ---- fragments: see the head of fuzz_reassembly.c ----

MORE, IP6, SECONDS, NONSENSE, RAW = 8, 4, 16, 64, 128


def piece(bits, offset, length):
    return struct.pack("!BHH", bits, offset // 8, length)


def raw(packet):
    return struct.pack("!BHH", RAW, 0, len(packet)) + packet


def fragments():
    for name, family in (("4", 0), ("6", IP6)):
        first, middle = piece(family | MORE, 0, 1000), piece(family | MORE, 1000, 1000)
        last = piece(family, 2000, 500)
        seed("fuzz_reassembly", "order" + name, first + middle + last)
        seed("fuzz_reassembly", "reverse" + name, last + middle + first)
        seed("fuzz_reassembly", "twice" + name, first + first + last + last + middle)
        seed("fuzz_reassembly", "overlap" + name, first + piece(family | MORE, 992, 16) + middle + last)
        seed("fuzz_reassembly", "beyond" + name, last + piece(family | MORE, 2504, 8) + first)
        seed("fuzz_reassembly", "longest" + name, piece(family, 65528, 7) + piece(family | MORE, 0, 65472)
             + piece(family | MORE, 65472, 56))
        seed("fuzz_reassembly", "late" + name, first + piece(family | MORE | 3 * SECONDS, 1000, 1000) + last)
        seed("fuzz_reassembly", "tiny" + name, b"".join(piece(family | MORE, 8 * i, 8) for i in range(130)))
        seed("fuzz_reassembly", "nonsense" + name, piece(family | MORE | NONSENSE, 0, 1000) + middle + last)
        seed("fuzz_reassembly", "mixed" + name, b"".join(
            piece(family | MORE | i, 0, 96) for i in range(4)) + b"".join(piece(family | i, 96, 9) for i in range(4)))
    datagram = udp(4, b"z" * 40)
    seed("fuzz_reassembly", "raw4", raw(ip4(UDP, datagram[:24], 0x2000, 1)) + raw(ip4(UDP, datagram[24:], 3, 1)))
    datagram = extension(UDP) + udp(6, b"z" * 40)
    seed("fuzz_reassembly", "raw6", raw(ip6(44, fragment_header(60, 24, 0, 1) + datagram[24:]))
         + raw(ip6(44, fragment_header(60, 0, 1, 1) + datagram[:24])))
    seed("fuzz_reassembly", "chain6", raw(ip6(0, extension(44, 16) + fragment_header(UDP, 0, 1, 2) + b"\0" * 16))
         + raw(ip6(44, fragment_header(UDP, 16, 0, 2) + b"end")))
    seed("fuzz_reassembly", "nested6", raw(ip6(44, fragment_header(44, 0, 1, 3) + fragment_header(UDP, 0, 1, 3)
                                               + b"\0" * 16)))


# ---- frames: doc/PROTOCOL.session ----

def frame(kind, body=b"", ident=0):
    return struct.pack("!II", kind << 24 | len(body), ident) + body


def frames():
    zero12 = b"\0" * 12
    fixed = b"ECSH" + struct.pack("!HHI", 1, 1, 31) + b"S" * 16 + b"T" * 16
    option = lambda kind, value: bytes((kind, len(value))) + value
    all_frames = {
        "hello": frame(1, fixed + option(1, b"0.1") + option(2, A4) + option(3, A6) + option(4, b"alice")),
        "hello_sandbox": frame(1, fixed + option(1, b"0.1") + option(5, b"\x03")),
        "hello_resolver": frame(1, fixed + option(6, A4)),
        "hello_future": frame(1, b"ECSH" + struct.pack("!HH", 9, 8) + b"anything"),
        "hello_unknown": frame(1, fixed + option(200, b"x" * 9) + option(1, b"")),
        "bye": frame(2, struct.pack("!H", 1) + b"protocol error"),
        "routes": frame(0x44, struct.pack("!HBB", 1, 4, 24) + bytes([10, 77, 0, 0]) + zero12
                        + struct.pack("!BB", 6, 64) + bytes([0xfd, 0x77]) + bytes(14)),
        "routes_host_bits": frame(0x44, struct.pack("!HBB", 0, 4, 24) + B4 + zero12),
        "ping": frame(3, b"12345678") + frame(4, b"12345678"),
        "open4": frame(0x10, struct.pack("!IBBBBHH", 65536, 4, 6, 64, 0, 443, 40000) + B4 + zero12 + A4 + zero12, 1),
        "open6": frame(0x10, struct.pack("!IBBBBHH", 65536, 6, 6, 64, 0, 443, 40000) + B6 + A6, 3),
        "opened": frame(0x11, struct.pack("!I", 262144), 1),
        "refused": frame(0x12, struct.pack("!HBBB3xI", 3, 3, 1, 4, 0) + A4 + zero12, 1),
        "refused_plain": frame(0x12, struct.pack("!HBBB3xI", 1, 0, 0, 0, 0) + b"\0" * 16, 1),
        "data": frame(0x13, struct.pack("!Q", 0) + b"hello", 1),
        "fin": frame(0x14, struct.pack("!Q", 5), 1),
        "ack": frame(0x15, struct.pack("!QQ", 5, 65541), 1),
        "reset": frame(0x16, struct.pack("!H", 8), 1),
        "dgram4": frame(0x20, struct.pack("!BBBBBBH", 4, 17, 64, 0, 1, 0, 53) + B4 + zero12 + b"query", 2),
        "dgram6": frame(0x20, struct.pack("!BBBBBBH", 6, 58, 64, 0, 0, 0, 1) + B6 + b"ping", 2),
        "icmp_error": frame(0x21, struct.pack("!BBBBIHH", 4, 17, 11, 0, 0, 53, 5) + B4 + zero12 + A4 + zero12, 2),
        "icmp_error_plain": frame(0x21, struct.pack("!BBBBIHH", 6, 17, 2, 0, 1280, 53, 5) + B6 + b"\0" * 16, 2),
        "assoc_close": frame(0x22, struct.pack("!H", 0), 2),
        "resolve": frame(0x30, b"\0" * 12, 4),
        "resolved": frame(0x31, struct.pack("!H", 0) + b"\0" * 12, 4),
        "hint": frame(0x81, b"of a later version"),
    }
    for name, data in all_frames.items():
        seed("fuzz_frame", name, data)
    seed("fuzz_frame", "session", b"".join(all_frames[name] for name in (
        "hello", "open4", "opened", "data", "ack", "fin", "reset", "bye")))
    seed("fuzz_frame", "cut", all_frames["open6"][:-1])
    seed("fuzz_frame", "too_long", struct.pack("!II", 0x13 << 24 | 65600, 1) + b"x")


# ---- subnets ----

def subnets():
    lines = {
        "address4": "10.77.0.2",
        "short": "10/8\n172.16/12\n192.168.1/24\n0/0",
        "hole4": "10.0.0.0/8\n10.1.2.3",
        "hole6": "fd77::/64\nfd77::1:0/112",
        "everything": "0.0.0.0/0\n198.51.100.7\n::/0\n2001:db8::7/128",
        "host_bits": "10.1.2.3/9\nfe80::1/10",
        "overlap": "10.0.0.0/9\n10.64.0.0/10\n10.0.0.0/10\n10.64.0.0/11",
        "mapped": "::ffff:10.0.0.1/104",
        "wrong": "10.0.0.0/33\nfd00::/129\n10.0.0\n10.0.0.0/\n/8\n1.2.3.4.5/8\n10/8/8\n010/8\n10/+8\n10/ 8",
        "hostile": "\x1b[31m/8\n\x9b\n" + "9" * 300,
    }
    for name, text in lines.items():
        seed("fuzz_subnet", name, text.encode("latin-1"))


# ---- the bootstrap ----

def boot():
    marker = b"0123456789abcdef0123456789abcdef"

    def line(text):
        return b"\n" + marker + b" " + text + b"\n"

    ready = line(b"ready 0.1")
    need = line(b"need Linux x86_64")
    for name, data in {
            "uploaded": need + line(b"run uploaded") + ready + b"session",
            "kept": line(b"run kept") + ready,
            "installed": line(b"run installed") + ready,
            "forced": ready,
            "noisy": b"Welcome!\r\nno newline" + ready,
            "echo": b"exec /bin/sh -c 'ecssh_marker=" + marker + b"; m=" + ready,
            "fail": need + line(b"fail notool head -c"),
            "fail_new": line(b"fail brandnew \x1b[2J\xff"),
            "sftp": b"This service allows sftp connections only.\n",
            "twice": need + need,
            "order": line(b"run kept") + need,
            "long": line(b"fail nodir " + b"x" * 600),
            "words": line(b"need Linux") + line(b"ready " + b"1" * 64),
    }.items():
        seed("fuzz_boot", name, b"\x06" + data)


def ssh_text():
    for name, data in {
            "refused": b"ssh: connect to host gw port 22: Connection refused\r\n",
            "jump": b"channel 0: open failed: connect failed: open failed\r\nstdio forwarding failed\r\n"
                    b"Connection closed by UNKNOWN port 65535\r\n",
            "no_exec": b"exec request failed on channel 0\r\n",
            "verbose": b"OpenSSH_9.2p1\ndebug1: x\nHost key verification failed.\ndebug1: y\n",
            "hostile": b"\x1b]0;x\x07\xff\xc2\x9b\nssh: \x00\n",
            "long": b"ssh: " + b"y" * 900 + b"\n",
            "config": b"user alice\nhostname 192.0.2.1\nport 22\nproxyjump a,b\nciphers x,y\nsessiontype default\n",
            "dest": b"CORP\\alice@[fe80::1%eth0]:22",
            "uri": b"ssh://alice@gw:2222/",
            "option": b"-oProxyCommand=x",
    }.items():
        seed("fuzz_ssh_text", name, b"\x04" + data)


# ---- ssh's control socket: doc/PROTOCOL.mux ----

def mux(kind, *fields):
    """A packet: numbers, and strings with their length."""
    body = b"\0" + bytes([kind])
    for field in fields:
        body += struct.pack("!I", field) if isinstance(field, int) else struct.pack("!I", len(field)) + field
    return struct.pack("!I", len(body)) + body


def control(*numbers):
    return struct.pack(f"!{len(numbers) + 1}I", 4 * len(numbers), *numbers)


def mux_msg():
    opened = b"".join(mux(91, channel, channel + 10, 1 << 21, 1 << 15) for channel in (1, 2, 3, 4))
    for name, data in {
            "refused": mux(92, 1, 2, b"Connection refused", b""),
            "data": opened + mux(94, 1, b"\x03abc") + mux(94, 3, b"\0\0\0\2\x0bpacket") + mux(93, 1, 1 << 20),
            "exec": opened + mux(99, 4) + mux(94, 4, b"\1out") + mux(95, 4, 1, b"err"),
            "no_exec": opened + mux(100, 4) + mux(97, 4),
            "ends": opened + mux(96, 1) + mux(94, 2, b"\4eof") + mux(97, 1) + mux(94, 2, b"\x10close") + mux(97, 2),
            "keepalive": opened + b"\0\0\0\x20" + mux(98, 1, b"keepalive@openssh.com")[4:] + b"\1",
            "window": opened + b"".join(mux(94, 1, bytes(32768)) for _ in range(5)),
            "twice": opened + opened,
            "no_length": mux(91, 1, 1, 1, 0),
            "not_open": mux(94, 1, b"x"),
    }.items():
        seed("fuzz_mux_msg", name, b"\0" + data)
    seed("fuzz_mux_msg", "entering", b"\1" + control(1, 4) + control(0x8000000F, 1))
    seed("fuzz_mux_msg", "version", b"\1" + control(1, 5))
    seed("fuzz_mux_msg", "failure", b"\1" + control(1, 4) + struct.pack("!IIII", 14, 0x80000003, 1, 2) + b"no")
    seed("fuzz_mux_msg", "forwards", b"\2" + control(0x80000001, 0) + control(0x80000007, 1, 8080))
    for name, text in {"tcp": b"[::1]:80:h:81", "paths": b"/a:/b", "many": b"a:b:c:d:e", "bracket": b"[x"}.items():
        seed("fuzz_mux_msg", "local_" + name, b"\3" + text)
    seed("fuzz_mux_msg", "remote", b"\x04*:0:h:81")
def doctor():
    marker = b"0123456789abcdef0123456789abcdef "
    account = (b"os Linux", b"machine x86_64", b"uid 1000", b"user alice", b"gids 1000 27", b"groups alice sudo",
               b"place /home/alice/.cache", b"ping 0 2147483647", b"default4 eth0 1500", b"ipv4", b"resolver 127.0.0.53",
               b"sudo yes", b"tun denied", b"owned tun0 up", b"nft /usr/sbin/nft", b"done")
    for name, data in {
            "empty": b"",
            "account": b"".join(b"\n" + marker + line + b"\n" for line in account),
            "noise": b"Welcome\n\x1b[2J" + marker + b"os Linux\n" + b"x" * 600 + b"\n" + marker + b"uid 99999999999\n",
            "forced": b"\n" + marker + b"ready 0.1\n\0\0\0\1",
            "long-words": marker + b"user " + b"\xff" * 400 + b"\n" + marker + b"groups " + b"\x01" * 400 + b"\n",
            "log": b"OpenSSH_9.2p1 Debian, OpenSSL\ndebug1: Remote protocol version 2.0, remote software version OpenSSH_9.2p1\n"
                   b"debug1: kex: server->client cipher: aes128-gcm@openssh.com MAC: <implicit> compression: none\n"
                   b"debug1: kex: client->server cipher: chacha20-poly1305@openssh.com MAC: x\n"
                   b"Authenticated to gw using \"publickey\".\n",
    }.items():
        seed("fuzz_doctor", name, b"\x03" + data)
# ---- doors ----

def socks():
    host = b"\x04host"
    for name, data in {
            "greeting": b"\x05\x02\x00\x02",
            "method": b"\x05\xff",
            "auth": b"\x01\x02me\x03xyz",
            "connect4": b"\x05\x01\x00\x01" + A4 + b"\x00\x50",
            "connect6": b"\x05\x01\x00\x04" + A6 + b"\x01\xbb",
            "connect_name": b"\x05\x01\x00\x03" + host + b"\x01\xbb",
            "connect_numeric": b"\x05\x01\x00\x03\x09192.0.2.1\x01\xbb",
            "associate": b"\x05\x03\x00\x01" + bytes(6),
            "reply": b"\x05\x00\x00\x01" + bytes(6),
            "refused": b"\x05\x05\x00\x01" + bytes(6),
            "version4": b"\x04\x01\x00\x50" + A4 + b"me\0",
            "version4a": b"\x04\x01\x00\x50\0\0\0\1me\0host\0",
            "udp": b"\0\0\0\x01" + B4 + b"\x00\x35payload",
            "udp_name": b"\0\0\0\x03" + host + b"\x00\x35payload",
            "udp_fragment": b"\0\0\x01\x01" + B4 + b"\x00\x35payload",
    }.items():
        seed("fuzz_socks_msg", name, data)


def http():
    for name, data in {
            "connect": b"CONNECT host:443 HTTP/1.1\r\nHost: host:443\r\n\r\n",
            "connect6": b"CONNECT [2001:db8::1]:443 HTTP/1.0\r\n\r\n",
            "get": b"GET http://host:8080/a?b HTTP/1.1\r\nHost: x\r\nProxy-Connection: keep-alive\r\n\r\n",
            "put": b"PUT http://192.0.2.1/ HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
            "chunked": b"PUT http://h HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close, X\r\nX: 1\r\n\r\n",
            "both": b"PUT http://h/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
            "options": b"OPTIONS http://h HTTP/1.1\r\n\r\n",
            "origin": b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            "https": b"GET https://h/ HTTP/1.1\r\n\r\n",
            "version2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "fold": b"GET http://h/ HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
            "bare_lf": b"GET http://h/ HTTP/1.1\nA: b\n\n",
    }.items():
        seed("fuzz_http_msg", name, data)


def dns():
    record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + A4

    def answer(n, rest):
        return struct.pack("!HHHHHH", 7, 0x8180, 1, n, 0, 0) + rest

    seed("fuzz_dns_msg", "answer", b"\x04host" + answer(1, record))
    seed("fuzz_dns_msg", "a", b"\x05a.net" + answer(1, record))
    seed("fuzz_dns_msg", "two", b"\x05a.net" + answer(2, record + record))
    seed("fuzz_dns_msg", "alias", b"\x05a.net" + answer(2, b"\xc0\x0c\0\x05\0\x01\0\0\0\x1e\0\x06\x03www\xc0\x0c" + record))
    seed("fuzz_dns_msg", "aaaa", b"\x04host" + answer(1, b"\xc0\x0c\0\x1c\0\x01\0\0\0\x3c\0\x10" + A6))
    seed("fuzz_dns_msg", "self", b"\x05a.net" + answer(1, b"\xc0\x16\0\x01\0\x01\0\0\0\x3c\0\x04" + A4))
    seed("fuzz_dns_msg", "none", b"\x05a.net" + answer(0, b""))

    def whole(flags, counts, rest):
        return struct.pack("!HHHHHH", 7, flags, 1, *counts) + b"\x04Host\x04corp\0\0\x01\0\x01" + rest

    alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\x1e\0\x06\x03www\xc0\x11"
    soa = b"\xc0\x11\0\x06\0\x01\0\0\0\x09\0\x18\xc0\x0c\xc0\x11" + struct.pack("!5I", 1, 2, 3, 4, 5)
    opt = b"\0\0\x29\x10\0\0\0\x80\0\0\0"
    for name, data in {
            "query": whole(0x0100, (0, 0, 0), b""),
            "edns": whole(0x0110, (0, 0, 1), opt),
            "answer": whole(0x8180, (1, 0, 1), record + opt),
            "alias": whole(0x8180, (2, 1, 0), alias + b"\xc0\x2b" + record[2:] + soa),
            "nothing": whole(0x8183, (0, 1, 1), soa + opt),
            "many": whole(0x81a0, (60, 0, 2), 60 * record + opt + record),
            "text": whole(0x8180, (1, 0, 0), b"\xc0\x0c\0\x10\0\x01\0\0\0\x3c\x01\0\xff" + 255 * b"t"),
            "hints": whole(0x8180, (1, 0, 0), b"\xc0\x0c\0\x41\0\x01\0\0\0\x3c\0\x28\0\x01\x01a\0\0\x01\0\x03\x02h2\0\x04\0\x04"
                           b"\x0a\0\0\x01\0\x06\0\x10" + 16 * b"\xfd"),
            "signed": whole(0x0100, (0, 0, 1), b"\x01k\0\0\xfa\0\xff\0\0\0\0\0\0"),
            "root": struct.pack("!HHHHHH", 7, 0x8180, 1, 0, 0, 0) + b"\0\0\x02\0\x01",
            "loop": whole(0x8180, (1, 0, 0), b"\x01a\xc0\x1b" + record[2:]),
    }.items():
        seed("fuzz_dns_parse", name, b"\0\0" + data)
        seed("fuzz_dns_parse", name + "_edns", b"\x10\x01" + data)


def hostdns():
    domains = {"domain": b"Corp.example.", "punycode": b"xn--bcher-kva.example", "number": b"10.0.0.1",
               "newline": b"a\nnameserver 192.0.2.1", "longest": b"a." * 126 + b"a", "utf8": "b\u00fccher".encode()}
    for name, data in domains.items():
        seed("fuzz_hostdns", name, b"d" + data)
    seed("fuzz_hostdns", "conf", b"r# x\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nsearch a b\n")
    seed("fuzz_hostdns", "conf_resolved", b"rnameserver 127.0.0.53\noptions edns0\n")

    def dns_set(mode, servers, domains):
        packed = b"".join(struct.pack("=I16s", 4 if len(s) == 4 else 6, s) for s in servers)
        return (struct.pack("=4I", 17, mode, len(servers), len(domains)) + packed.ljust(60, b"\0") +
                b"".join(d.ljust(256, b"\0") for d in domains))
    seed("fuzz_hostdns", "set_all", b"s" + dns_set(1, [A4, A6], []))
    seed("fuzz_hostdns", "set_split", b"s" + dns_set(2, [A4], [b"corp.example", b"a"]))
    seed("fuzz_hostdns", "set_bad_name", b"s" + dns_set(1, [A4], [b"Corp.example"]))

    def record(way, device, original, length, kept):
        return (b"ECDNS\0\0\1" + struct.pack("=2I16s", way, 7, device) +
                struct.pack("=7I40s", original, 0, 0o644, 0, 0, length, 0, kept))
    seed("fuzz_hostdns", "record_file", b"j" + record(3, b"ecssh0", 2, 9, b".resolv.conf.00c0ffee") + b"# nothing")
    seed("fuzz_hostdns", "record_link", b"j" + record(3, b"ecssh0", 1, 3, b".resolv.conf.00c0ffee") + b"a/b")
    seed("fuzz_hostdns", "record_resolved", b"j" + record(1, b"ecssh0", 0, 0, b""))
    seed("fuzz_hostdns", "record_elsewhere", b"j" + record(3, b"ecssh0", 2, 1, b".resolv.conf./../x"))


def bond():
    def piece(how, data):
        data += b"\0" * (-len(data) % 4)
        return bytes([len(data) | how]) + data

    def chunk(number, body, kind=0x50):
        return struct.pack("!II", kind << 24 | len(body), number) + body

    def free(number, body):
        return chunk(number, body, 0x51)

    frame = struct.pack("!II", 0x13 << 24 | 8, 7) + b"abcdefgh"
    path = b"\x0a/tmp/x/s.1"
    for name, data in {
            "plain": piece(0, frame + frame),
            "order": piece(0, frame + chunk(0, b"")) + piece(1, chunk(1, frame)) + piece(2, chunk(2, frame)),
            "ahead": piece(1, chunk(2, frame)) + piece(2, chunk(1, frame)) + piece(0, chunk(0, frame[:8]))
            + piece(2, chunk(3, frame)),
            "nested": piece(0, chunk(0, chunk(1, frame))),
            "free": piece(0, chunk(0, b"")) + piece(1, free(2, frame)) + piece(2, free(2, frame)) + piece(2, chunk(1, frame))
            + piece(1, free(3, frame)),
            "free_cut": piece(0, chunk(0, b"")) + piece(1, free(2, frame[:12])),
            "cut": piece(0, frame[:4]) + piece(0, frame[4:] + chunk(0, b"")[:4]) + piece(0, chunk(0, b"")[4:]),
            "offer": bytes([40 | 3]) + (b"t" * 16 + path + path)[:40],
            "offer_bare": bytes([28 | 3]) + b"t" * 16 + path + b"\0",
    }.items():
        seed("fuzz_bond", name, data)


# ---- this host: users, programs, and the user's words ----

def control_socket():
    for name, line in {"json": b"status json\n", "text": b"status text\n", "verbose": b"status verbose\n",
                       "drops": b"status drops\n", "down": b"down\n", "confirm": b"confirm\n", "two": b"down\ndown\n",
                       "zero": b"status json\0\n", "crlf": b"down\r\n", "long": b"x" * 70 + b"\n", "cut": b"status",
                       "sixty_three": b"x" * 63 + b"\n"}.items():
        seed("fuzz_ctl_request", name, line)


def printed():
    for name, text in {"plain": b"plain", "json": b'"a\\b"', "controls": bytes(range(32)) + b"\x7f", "c1": "\u0085\u009b".encode(),
                       "bidi": "a\u202eb\u2066c\u2028".encode(), "long": b"\xc0\x80\xe0\x80\xaf\xf4\x90\x80\x80",
                       "surrogate": b"\xed\xa0\x80", "cut": b"\xf0\x9f\x98", "emoji": "\U0001f600".encode()}.items():
        for room in (3, 0x7f, 0xff):
            seed("fuzz_escape", f"{name}_{room}", bytes([room]) + text)


def invoker():
    for name, data in {"none": b"\0", "sudo": b"\x011\n", "root": b"\x010\n", "pkexec": b"\x021\n", "both": b"\x031\n2\n",
                       "empty": b"\x01\n", "minus": b"\x01-1\n", "most": b"\x014294967295\n", "beyond": b"\x014294967296\n",
                       "nobody": b"\x01065534\n", "home": b"\x04/root\n", "unknown": b"\x0177777\n"}.items():
        seed("fuzz_invoker", name, data)


def up_options():
    """Every option in turn has each of these."""
    values = (b"", b"gw", b"10.0.0.0/8", b"fd00::/8", b"auto", b"1500", b"127.0.0.1:1080", b"8080:[::1]:80", b"/tmp/s",
              b"socks5://user:password@host:1080", b"StrictHostKeyChecking=yes", b"/bin/true", b"off", b"60", b"corp.example",
              b"*.corp.example", b"\x1b[2J", b"-1", b"x" * 150)
    for number, value in enumerate(values):
        for first in (0, 20, 40):
            seed("fuzz_up_opts", f"value_{number}_{first}",
                 b"\n".join(bytes([which]) + value for which in range(first, first + 20) if which != 10))


def journal():
    """A head, and records of rules: struck out, of a connection, of a user, damaged, of a later version."""
    def block(data):
        data = data.ljust(124, b"\0")
        return data + struct.pack("=I", zlib.crc32(data))

    def record(kind, seq, payload):
        return block(b"ecjr" + struct.pack("=II", kind, seq) + payload.ljust(96, b"\0"))

    def rule(kind, version, priority, local=b"", remote=b"", ports=(0, 0, 0), uid=None):
        first, last, to = ports
        return struct.pack("=BBBBIIHH16s16sH", kind, version, bool(local), uid is not None, priority, uid or 0, first, to,
                           local, remote, last)

    head = block(b"ecsshjnl" + struct.pack("=IIQ", 1, 0, 4711) + bytes(range(16)))
    tunnel = rule(0, 4, 5100)
    for name, data in {
            "head": head,
            "tunnel": head + record(1, 1, tunnel) + bytes(128),
            "connection": head + record(1, 1, rule(1, 4, 5000, A4, B4, (40000, 40000, 22))),
            "user": head + record(1, 1, rule(1, 6, 5000, b"", B6, (20000, 20511, 22), 1000)),
            "damaged": head + record(1, 1, tunnel)[:-1] + b"?",
            "later": head + record(99, 1, b"something else"),
            "bare": tunnel.ljust(128, b"\0"),
            "bare_bad": rule(3, 5, 0).ljust(128, b"\0"),
    }.items():
        seed("fuzz_journal", name, data)


packets()
journal()
offload()
fragments()
hostdns()
bond()
frames()
subnets()
boot()
ssh_text()
mux_msg()
doctor()
socks()
http()
dns()
control_socket()
printed()
invoker()
up_options()
