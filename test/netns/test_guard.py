# SPDX-License-Identifier: MIT
"""The tunnel's addresses belong to the tunnel: the local network neither reaches nor finds them (CVE-2019-14899).

    near ──ssh── gw, which is the attacker in the local network here
"""

import errno
import select
import socket
import struct
import time

from common import OK, Ecssh, expect, expect_in, timeout
from lab import Host, Lab, family_of

CLOSED_PORT, PROBES, INTERVAL_S = 7777, 100, 0.05
ANSWER_S = 10           # where one must come
ETH_P_ARP = 0x806


def tunnel_addresses(lab: Lab) -> dict:
    """{"4": ADDR, "6": ADDR} of near's device."""
    words = lab.near.run(["ip", "-o", "addr", "show", "dev", "ecssh0"]).stdout.split()
    found = [words[i + 1].split("/")[0] for i, word in enumerate(words) if word in ("inet", "inet6")]
    return {"6" if ":" in address else "4": address for address in found}


def remove_guard(lab: Lab) -> None:
    for family in ("inet", "arp"):
        lab.near.run(["nft", "delete", "table", family, "ecssh-guard-ecssh0"])


def answers_to_syns(host: Host, address: str, seconds: float = INTERVAL_S) -> int:
    """How many of PROBES connection attempts are answered in whatever way; for each answer so long is waited."""
    poller, socks, answered = select.poll(), {}, set()
    for _ in range(PROBES):
        sock = host.socket(family_of(address))
        sock.setblocking(False)
        sock.connect_ex((address, CLOSED_PORT))
        socks[sock.fileno()] = sock
        poller.register(sock, select.POLLOUT)
        end = time.monotonic() + seconds
        while sock.fileno() not in answered and (left := end - time.monotonic()) > 0:
            for fd, _ in poller.poll(left * 1000):
                error = socks[fd].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                assert error in (0, errno.ECONNREFUSED), errno.errorcode[error]
                answered.add(fd)
                poller.unregister(fd)
    for sock in socks.values():
        sock.close()
    return len(answered)


def answers_to_arp(host: Host, device: str, address: str, seconds: float = INTERVAL_S) -> int:
    """How many of PROBES questions who has that address are answered; for each answer so long is waited."""
    with host.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP)) as sock:
        sock.bind((device, ETH_P_ARP))
        sock.settimeout(seconds)
        mac, answered = sock.getsockname()[4], 0
        question = (b"\xff" * 6 + mac + struct.pack("!HHHBBH", ETH_P_ARP, 1, 0x800, 6, 4, 1) + mac
                    + socket.inet_aton("10.9.0.1") + bytes(6) + socket.inet_aton(address))
        for _ in range(PROBES):
            sock.send(question)
            try:
                while True:
                    answer = sock.recv(128)
                    if answer[20:22] == b"\0\2" and answer[28:32] == socket.inet_aton(address):
                        answered += 1
                        break
            except TimeoutError:
                pass
        return answered


@timeout(120)
def test_addresses_are_not_reached_from_the_lan(lab: Lab, tunnel):
    """SYNs each 50 ms and questions of ARP: nothing comes back. Without the guard all of them are answered."""
    own = tunnel_addresses(lab)
    lab.gw.ip(f"route add {own['4']} via 10.9.0.2", f"route add {own['6']} via fd09::2")
    for address in own.values():
        expect(answers_to_syns(lab.gw, address), 0, f"answers of {address}")
    expect(answers_to_arp(lab.gw, "lan0", own["4"]), 0, "answers of ARP")
    remove_guard(lab)
    for address in own.values():
        expect(answers_to_syns(lab.gw, address, ANSWER_S), PROBES, f"answers of {address} without the guard")
    expect(answers_to_arp(lab.gw, "lan0", own["4"], ANSWER_S), PROBES, "answers of ARP without the guard")


def try_to_send(lab: Lab, source: str, destination: str) -> str:
    with lab.near.socket(family_of(source), socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        try:
            sock.sendto(b"?", (destination, 4242))
            return "sent"
        except OSError as error:
            return errno.errorcode[error.errno]


def test_sources_do_not_mix(lab: Lab, tunnel):
    """Nothing goes into the tunnel with an address of the local network, nor out there with one of the tunnel."""
    own = tunnel_addresses(lab)
    mixed = (("10.9.0.2", "10.77.0.2"), ("fd09::2", "fd77::2"), (own["4"], "10.9.0.1"), (own["6"], "fd09::1"))
    for source, destination in mixed:
        expect(try_to_send(lab, source, destination), "EPERM", f"{source} to {destination}")
    expect(try_to_send(lab, own["4"], "10.77.0.2"), "sent")
    expect(try_to_send(lab, own["4"], own["4"]), "sent", "to itself")
    remove_guard(lab)
    for source, destination in mixed:
        expect(try_to_send(lab, source, destination), "sent", f"{source} to {destination} without the guard")


def test_without_nft_there_is_a_warning(lab: Lab):
    lab.near.write("/usr/local/bin/none", "")
    for place in ("/usr/sbin/nft", "/usr/bin/nft"):
        if lab.near.path(place).exists():
            lab.near.run(["mount", "--bind", "/usr/local/bin/none", place])
    up = Ecssh(lab.near, "up", "gw", "10.77.0.0/24").connected()
    expect(up.stderr().count("install the package nftables"), 1, up.stderr())
    expect_in("reach the tunnel's addresses", up.stderr())
    lab.near.run(["ping", "-c1", "10.77.0.2"])
    lab.near.run(["ecssh", "down"])
    expect(up.wait(5), OK)
    Ecssh(lab.near, "up", "--kill-switch", "gw", "10.77.0.0/24").fails(1, "install the package nftables")
    lab.near.run(["ping", "-c1", "10.9.0.1"])       # nothing is in force
