# SPDX-License-Identifier: MIT
"""Send a probe of each kind in turn, so many a second, until killed or told to stop; then print how many.

usage: prober.py RATE IPV4 IPV6 RESOLVER

Each kind is what a program of some user would send: UDP, a look-up, a SYN and a ping, by IPv4 and IPv6. What is
refused at once counts, too: it was tried.
"""

import select
import socket
import sys
import time

ECHO_REQUEST = {socket.AF_INET: b"\x08\0\0\0\0\0\0\0", socket.AF_INET6: b"\x80\0\0\0\0\0\0\0"}


def datagram(family: int, proto: int, port: int, address: str, payload: bytes):
    sock = socket.socket(family, socket.SOCK_DGRAM, proto)
    sock.setblocking(False)
    return lambda: sock.sendto(payload, (address, port))


def syn(family: int, address: str):
    def send():
        with socket.socket(family) as sock:
            sock.setblocking(False)
            sock.connect_ex((address, 4243))
    return send


def main() -> None:
    rate, ipv4, ipv6, resolver = float(sys.argv[1]), *sys.argv[2:5]
    kinds = [datagram(socket.AF_INET, 0, 53, resolver, b"lookup")]
    for family, address, proto in ((socket.AF_INET, ipv4, socket.IPPROTO_ICMP),
                                   (socket.AF_INET6, ipv6, socket.IPPROTO_ICMPV6)):
        kinds += [datagram(family, 0, 4242, address, b"probe"), syn(family, address),
                  datagram(family, proto, 0, address, ECHO_REQUEST[family])]
    sent, begin = 0, time.monotonic()
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], max(0, begin + sent / rate - time.monotonic()))[0]:
        try:
            kinds[sent % len(kinds)]()
        except OSError:
            pass
        sent += 1
    print(sent)


main()
