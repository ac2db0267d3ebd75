# SPDX-License-Identifier: MIT
"""Who controls the network beside near tries to take traffic out of the tunnel.

    near ──ssh── gw ── far (10.77.0.2, fd77::2) ── deep (10.78.0.2, fd78::2)

gw plays the enemy on near's link, too: it hands out routes. Probes are numbered datagrams, one a millisecond;
leaked are those that leave near by up0 as they are. Each attack is made once more without the protection, on a
tunnel whose routes are in main as they used to be: then all probes must be seen to leak, or the test sees nothing.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
import threading
import time
from contextlib import suppress
from typing import Callable

from common import Tunnel, connect_error, expect, expect_in, expect_soon, slow, timeout
from lab import BUILD, SUBNETS, Host, Lab, wait_for, write_keys
from services import ECHO

TARGETS = ("10.77.0.2", "fd77::2")
TABLE = "60501"
PORT = 40000
MAGIC = b"ecssh-probe"
ETH_P_ALL = 3
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33
SOL_PACKET, PACKET_STATISTICS = 263, 6

ROUTES = ("0.0.0.0/1 via 10.9.0.1", "128.0.0.0/1 via 10.9.0.1", "10.77.0.0/25 via 10.9.0.1", "10.77.0.2/32 via 10.9.0.1",
          "::/1 via fd09::1", "8000::/1 via fd09::1", "fd77::/65 via fd09::1", "fd77::2/128 via fd09::1")


class Uplink(threading.Thread):
    """Counts the probes that leave a host by its uplink as they are. It reads all the time: the socket has no room for
    everything that goes by in a minute."""

    def __init__(self, host: Host, device: str = "up0"):
        super().__init__(daemon=True)
        self.sock = host.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.sock.bind((device, ETH_P_ALL))
        self.sock.setblocking(False)
        self.count, self.lock = 0, threading.Lock()
        self.start()

    def run(self) -> None:
        while select.select([self.sock], [], []):
            self.read()

    def read(self) -> None:
        """All that is there."""
        with self.lock, suppress(BlockingIOError):
            while True:
                packet, address = self.sock.recvfrom(2048)
                self.count += address[2] == PACKET_OUTGOING and MAGIC in packet

    def leaked(self) -> int:
        """How many have, since this was asked last."""
        self.read()
        dropped = struct.unpack("II", self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        expect(dropped, 0, "packets that nobody has looked at")
        with self.lock:
            count, self.count = self.count, 0
        return count


class Probes(threading.Thread):
    """One datagram a millisecond to each target until stopped."""

    def __init__(self, host: Host, targets: tuple = TARGETS):
        super().__init__(daemon=True)
        self.targets = targets
        self.socks = [host.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM)
                      for target in targets]
        self.sent = 0
        self.refused = 0
        self.is_over = threading.Event()
        self.start()

    def run(self) -> None:
        due = time.monotonic()
        while not self.is_over.is_set():
            for sock, target in zip(self.socks, self.targets):
                try:
                    sock.sendto(MAGIC + struct.pack("!Q", self.sent), (target, PORT))
                    self.sent += 1
                except OSError:
                    self.refused += 1       # the tunnel has said so: not leaked
            due += 0.001
            self.is_over.wait(max(0.0, due - time.monotonic()))

    def more(self, n: int) -> int:
        """Wait until n more have been sent; how many it were."""
        before = self.sent
        due_s = n / len(self.targets) / 1000
        wait_for(lambda: self.sent - before >= n, 2 * due_s + 30, f"{n} probes, {self.refused} were refused")
        return self.sent - before

    def stop(self) -> None:
        self.is_over.set()
        self.join()


def routes_into_main(lab: Lab) -> None:
    """Take the protection away: the routes of the tunnel go to main, and nothing is looked up before."""
    for family in ("-4", "-6"):
        for line in lab.near.run(["ip", family, "route", "show", "table", TABLE]).stdout.splitlines():
            lab.near.ip(f"{family} route add {line.split()[0]} dev ecssh0".replace("-4 ", "").replace("-6 ", ""))
        for line in lab.near.run(["ip", family, "rule"]).stdout.splitlines():
            priority = line.split(":")[0]
            if f"lookup {TABLE}" in line:
                lab.near.run(["ip", family, "rule", "del", "priority", priority])


def attack(lab: Lab, strike: Callable[[], None], targets: tuple = TARGETS, n: int = 1000) -> None:
    """Strike while probes are under way: none may leak; and once more without the protection: all do."""
    tunnel = Tunnel(lab)
    uplink, probes = Uplink(lab.near), Probes(lab.near, targets)
    try:
        probes.more(n // 2)
        expect(uplink.leaked(), 0, "leaked before the attack")
        strike()
        probes.more(n)
        expect(uplink.leaked(), 0, "leaked under attack")
        flows = tunnel.status()["flows"]
        assert flows["udp"] >= len(targets), f"probes do not go through the tunnel: {flows}"
        routes_into_main(lab)
        probes.more(100)
        probes.stop()
        uplink.leaked()     # what these were is not counted below
        last = Probes(lab.near, targets)
        last.more(200)
        last.stop()
        expect(uplink.leaked(), last.sent, "control: leaked of those sent without the protection")
    finally:
        probes.stop()
    tunnel.process.kill()


def test_more_specific_routes_by_hand(lab: Lab):
    """TunnelVision as DHCP would do it: halves of everything, of the subnet, and single hosts."""
    attack(lab, lambda: lab.near.ip(*(f"route add {route}" for route in ROUTES)))


@slow
@timeout(180)
def test_more_specific_routes_for_a_minute(lab: Lab):
    attack(lab, lambda: lab.near.ip(*(f"route add {route}" for route in ROUTES)), n=120_000)


def advertise(gw: Host) -> None:
    """A router advertisement with a default router, routes to fd77::2 and fd77::/65, and fd77::/64 as on the link."""
    def option(kind: int, body: bytes) -> bytes:
        return struct.pack("!BB", kind, (len(body) + 2) // 8) + body

    def route(prefix: str, length: int) -> bytes:
        return option(24, struct.pack("!BBI", length, 0x08, 600) + socket.inet_pton(socket.AF_INET6, prefix))
    advertisement = (struct.pack("!BBHBBHII", 134, 0, 0, 64, 0x08, 600, 0, 0) + route("fd77::2", 128) + route("fd77::", 65)
                     + option(3, struct.pack("!BBIII", 64, 0x80, 600, 600, 0) + socket.inet_pton(socket.AF_INET6, "fd77::")))
    with gw.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        index = int(gw.run(["cat", "/sys/class/net/lan0/ifindex"]).stdout)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        sock.sendto(advertisement, ("ff02::1", 0, 0, index))


def test_rogue_router_advertisement(lab: Lab):
    lab.near.sysctl(ipv6__conf__up0__accept_ra=2, ipv6__conf__up0__accept_ra_defrtr=1,
                    ipv6__conf__up0__accept_ra_rt_info_max_plen=128, ipv6__conf__up0__accept_ra_pinfo=1,
                    ipv6__conf__up0__autoconf=0)

    def strike() -> None:
        advertise(lab.gw)
        wait_for(lambda: "fd77::2 via" in lab.near.run(["ip", "-6", "route"]).stdout, what="the advertised route")
    attack(lab, strike, targets=("fd77::2",))


def test_dhcp_classless_routes(lab: Lab):
    """TunnelVision itself: option 121 of a real DHCP server, taken by a real client."""
    mac = lab.near.run(["cat", "/sys/class/net/up0/address"]).stdout.strip()
    server = lab.gw.popen(["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=lan0",
                           "--bind-interfaces", "--no-ping", "--dhcp-authoritative", "--leasefile-ro", "--user=root",
                           "--dhcp-range=10.9.0.2,10.9.0.2,255.255.255.0,10m", f"--dhcp-host={mac},10.9.0.2",
                           "--dhcp-option-force=121,10.77.0.0/25,10.9.0.1,10.77.0.2/32,10.9.0.1,0.0.0.0/1,10.9.0.1"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def strike() -> None:
        lab.near.run(["dhclient", "-1", "-v", "-pf", "/run/dhclient.pid", "-lf", "/run/dhclient.leases", "up0"])
        wait_for(lambda: "10.77.0.2 via 10.9.0.1" in lab.near.run(["ip", "route"]).stdout, what="the route of option 121")
    try:
        attack(lab, strike, targets=("10.77.0.2",))
    finally:
        server.kill()
        server.wait()
        lab.near.run(["sh", "-c", "kill $(cat /run/dhclient.pid)"], check=False)


def leaked_of(lab: Lab, target: str, n: int = 100) -> tuple[int, int]:
    """Probes to one target: how many left by the uplink, and of how many."""
    uplink, probes = Uplink(lab.near), Probes(lab.near, (target,))
    probes.more(n)
    probes.stop()
    return uplink.leaked(), probes.sent


def test_local_network_under_full(lab: Lab):
    """TunnelCrack LocalNet: a network that says it is local gets nothing, unless it is allowed and private."""
    lab.gw.ip("addr add 10.9.0.77/24 dev lan0", "addr add 198.51.100.1/24 dev lan0")
    lab.near.ip("addr add 198.51.100.2/24 dev up0")
    private, public = "10.9.0.77", "198.51.100.1"
    for address in (private, public):
        expect(*leaked_of(lab, address), f"control: without a tunnel, to {address}")
    tunnel = Tunnel(lab, "--full", subnets=())
    for address in (private, public, "fd09::1"):
        expect(leaked_of(lab, address)[0], 0, f"to {address} under --full")
    expect_in("10.9.0.0/24 goes into the tunnel, too", tunnel.stderr())
    tunnel.down()
    tunnel.expect_restored()
    tunnel = Tunnel(lab, "--full", "--allow-lan", subnets=())
    expect(*leaked_of(lab, private), f"to {private} with --allow-lan")
    expect(leaked_of(lab, public)[0], 0, f"to {public} with --allow-lan")
    for said in ("10.9.0.0/24 stays out of the tunnel", "fd09::/64 stays out of the tunnel",
                 "198.51.100.0/24 goes into the tunnel in spite of --allow-lan: it is no private network"):
        expect_in(said, tunnel.stderr())
    tunnel.down()
    tunnel.expect_restored()


def test_ipv6_with_a_gateway_that_has_none(lab: Lab):
    """Under --full IPv6 is refused at once where the gateway has none, and does not go past the tunnel."""
    lab.near.ip("route add default via fd09::1", "route add default via 10.9.0.1")
    target = "2001:db8::1"
    expect(*leaked_of(lab, target), "control: IPv6 without a tunnel")
    lab.gw.sysctl(ipv6__conf__far0__disable_ipv6=1, ipv6__conf__lan0__disable_ipv6=1, ipv6__conf__lo__disable_ipv6=1)
    tunnel = Tunnel(lab, "--full", subnets=())
    expect(leaked_of(lab, target)[0], 0, "IPv6 under --full")
    began = time.monotonic()
    expect(connect_error(lab.near, target, 443), "ENETUNREACH", "a connection by IPv6")
    expect_soon(began, 1, "the refusal")
    expect(connect_error(lab.near, "10.77.0.2", ECHO), "connected", "a connection by IPv4")
    tunnel.down()
    tunnel.expect_restored()
    tunnel = Tunnel(lab, "--full", "-x", "::/0", subnets=())
    expect(*leaked_of(lab, target), "control: IPv6 that is excluded")
    tunnel.down()


def test_the_tunnel_is_not_in_itself(lab: Lab):
    """All of everything, the gateway's address by name besides: ssh goes past it all and stays alive."""
    tunnel = Tunnel(lab, "--full", subnets=("10.9.0.0/24", "10.9.0.1", *SUBNETS))
    with lab.near.connect("10.77.0.2", ECHO) as sock:
        sock.sendall(bytes(1 << 20))
        left = 1 << 20
        while left:
            left -= len(sock.recv(1 << 16))
    expect(lab.near.run(["ssh", "gw", "echo $SSH_CONNECTION"]).stdout.split()[0], "10.9.0.1", "another ssh")
    tunnel.down()
    tunnel.expect_restored()


class Session:
    """A shell on near that somebody on gw has by ssh."""

    def __init__(self, lab: Lab, user: str, source: str = "10.9.0.1"):
        self.process = lab.gw.popen(["ssh", "-b", source, "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
                                     f"{user}@10.9.0.2", "sh"],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.n = 0
        assert self.answers(10), "no session"

    def type(self, line: str) -> None:
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def answers(self, seconds: float) -> bool:
        """Does what is typed come back within this time?"""
        self.n += 1
        self.type(f"echo answer-{self.n}")
        seen = b""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            seen += self.process.stdout.read() or b""
            if b"answer-%d\n" % self.n in seen:
                return True
            time.sleep(0.02)
        return False


def reachable_by_ssh(lab: Lab) -> None:
    """near has an sshd, and root on gw may log in there as root and as bob."""
    write_keys(lab.near, "/etc/ssh/ssh_host_ed25519_key")
    write_keys(lab.gw, "/root/.ssh/id_ed25519")
    key = lab.gw.path("/root/.ssh/id_ed25519.pub").read_text()
    lab.near.write("/root/.ssh/authorized_keys", key)
    lab.near.write("/home/bob/.ssh/authorized_keys", key, "bob", 0o600)
    lab.sshd(host=lab.near)


DESK = "172.16.5.1"     # where the admin sits, not in near's own network


def test_admin_is_not_cut_off_by_a_name(lab: Lab):
    """Whoever rules the names of a routed domain gives one the address that the admin comes from."""
    reachable_by_ssh(lab)
    lab.gw.ip(f"addr add {DESK}/32 dev lan0")
    lab.near.ip(f"route add {DESK} via 10.9.0.1")
    lab.gw.write("/etc/dnsmasq-lab.conf", f"no-resolv\nno-hosts\nbind-interfaces\nlisten-address=127.0.0.1\n"
                 f"host-record=desk.corp.test,{DESK}\nhost-record=deep.corp.test,10.78.0.2\n")
    lab.gw.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    lab.gw.popen(["dnsmasq", "-k", "-C", "/etc/dnsmasq-lab.conf", "--user=root", "--pid-file="])
    admin, other = Session(lab, "root", DESK), Session(lab, "root", DESK)
    admin.type(f"{BUILD}/ecssh up -f gw '*.corp.test' 2>/tmp/said")
    wait_for(lambda: "nameserver" in lab.near.path("/etc/resolv.conf").read_text(), 20, "the tunnel")
    for name, address in (("desk", DESK), ("deep", "10.78.0.2")):
        expect(lab.near.run(["dig", "+short", "+time=10", "+tries=1", f"{name}.corp.test"]).stdout, f"{address}\n", name)
    assert "ecssh0" in lab.near.run(["ip", "route", "get", "10.78.0.2"]).stdout, "control: what may be routed is"
    assert admin.answers(10), "the admin is cut off"
    assert other.answers(10), "another session from there is cut off"
    lab.near.run(["ecssh", "down"])


def admin_keeps_session(lab: Lab, user: str, command: str) -> None:
    reachable_by_ssh(lab)
    before = lab.near.snapshot()
    admin, other = Session(lab, user), Session(lab, user)
    admin.type(command)
    wait_for(lambda: lab.near.run(["ip", "route", "show", "table", TABLE], check=False).stdout, 20, "the tunnel")
    assert admin.answers(10), "the admin is cut off"
    assert not other.answers(2), "control: a session of somebody else's is not cut off"
    expect_in("your SSH connection from 10.9.0.1", lab.near.path("/tmp/said").read_text())
    sudo = "sudo" if "sudo" in command else ""
    admin.type(f"{sudo} {BUILD}/ecssh down")
    wait_for(lambda: "ecssh0" not in lab.near.run(["ip", "link"]).stdout, 10, "down")
    assert admin.answers(10), "the admin is cut off at the end"
    for part in ("rule-4", "rule-6", "route-4", "route-6"):
        expect(lab.near.snapshot()[part], before[part], part)


def test_admin_by_ssh_is_not_cut_off(lab: Lab):
    admin_keeps_session(lab, "root", f"{BUILD}/ecssh up -f --full gw 2>/tmp/said")


def test_admin_by_ssh_and_sudo_is_not_cut_off(lab: Lab):
    """sudo has dropped SSH_CONNECTION."""
    admin_keeps_session(lab, "bob", f"sudo env -u SSH_CONNECTION {BUILD}/ecssh up -f --full gw 2>/tmp/said")
