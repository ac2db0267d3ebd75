# SPDX-License-Identifier: MIT
"""systemd-resolved, the real one and one that misbehaves, and the program resolvconf.

    near: a system bus and resolved of its own ── gw: a resolver of the LAN, 10.9.0.1 ── far: one, 10.77.0.2

resolved and resolvconf come out of their packages, which are unpacked and not installed: ./dev deps test.
"""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading

from common import OK, RUNTIME, Ecssh, Skip, Tunnel, expect, expect_in, over, timeout
from lab import BUILD, PROJECT, SUBNETS, Host, Lab, Wan, wait_for
from test_hostdns import CONF, NAMED, SERVER, conf, dns_processes, expect_clean, records

PACKAGES = PROJECT / "build/packages"
LAN_SERVER = "10.9.0.1"
DNS_PORTS = (53, 853, 5353, 5355)
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><auth>EXTERNAL</auth>
<listen>unix:path=/run/dbus/system_bus_socket</listen>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
<allow send_requested_reply="true" send_type="error"/><allow receive_type="method_call"/>
<allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/></policy>
</busconfig>
"""


def package(name: str):
    path = PACKAGES / name
    if not path.exists():
        raise Skip(f"the package {name} is not unpacked: ./dev deps test")
    return path


def libraries() -> dict:
    return {"LD_LIBRARY_PATH": str(next(package("libsystemd-shared").glob("usr/lib/*/systemd")))}


class Bus:
    """A system bus of near's own."""

    def __init__(self, host: Host):
        self.host = host
        host.write("/run/bus.conf", BUS)
        host.path("/run/dbus").mkdir(exist_ok=True)
        self.start()

    def start(self) -> None:
        path = self.host.path("/run/dbus/system_bus_socket")
        path.unlink(missing_ok=True)
        self.process = self.host.popen(["dbus-daemon", "--config-file=/run/bus.conf", "--nofork", "--nopidfile"],
                                       stderr=subprocess.DEVNULL)
        wait_for(path.exists, what="the bus")

    def restart(self) -> None:
        kill(self.host, "^dbus-daemon$")
        self.start()


def kill(host: Host, name: str) -> None:
    victims = host.processes(name)
    for process in victims:
        os.kill(process.pid, signal.SIGKILL)
    pids = {process.pid for process in victims}
    wait_for(lambda: not pids & {process.pid for process in host.processes(name)}, what=f"{name} has ended")


class Resolved:
    """The real one, in charge of resolv.conf. Links have no servers but those that are set."""

    def __init__(self, host: Host):
        self.host, self.root, self.env = host, package("systemd-resolved"), libraries()
        for file, line in (("passwd", "systemd-resolve:x:20103:20103::/:/usr/sbin/nologin"),
                           ("group", "systemd-resolve:x:20103:")):
            path = host.path(f"/etc/{file}")
            path.write_text(path.read_text() + line + "\n")
        host.path("/run/systemd").mkdir()
        host.path(CONF).unlink()
        host.path(CONF).symlink_to("../run/systemd/resolve/stub-resolv.conf")
        self.bus = Bus(host)
        self.start()

    def start(self) -> None:
        self.process = self.host.popen([self.root / "lib/systemd/systemd-resolved"],
                                       env={**self.env, "SYSTEMD_LOG_TARGET": "console"},
                                       stderr=subprocess.DEVNULL)
        wait_for(lambda: self.ctl("status", check=False).returncode == 0, 10, "resolved answers")

    def restart(self) -> None:
        kill(self.host, "^systemd-resolve")
        self.start()

    def ctl(self, *words: str, check: bool = True):
        return self.host.run([self.root / "usr/bin/resolvectl", *words], env=self.env, check=check)

    def status(self, link: str) -> str:
        """What is configured; which server it speaks to at present is not."""
        lines = [line.strip() for line in self.ctl("status", link).stdout.splitlines()]
        return "\n".join(line for line in lines if not line.startswith("Current DNS Server"))


class LanServer(threading.Thread):
    """gw's resolver: there is no such name, says it, and remembers who asked for what."""

    def __init__(self, lab: Lab):
        super().__init__(daemon=True)
        self.sock = lab.gw.socket(kind=socket.SOCK_DGRAM)
        self.sock.bind((LAN_SERVER, 53))
        self.sock.settimeout(None)
        self.names: list = []
        self.start()

    def run(self) -> None:
        while True:
            query, peer = self.sock.recvfrom(4096)
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode(errors="replace"))
                at += 1 + query[at]
            self.names.append(".".join(labels).lower())
            end = at + 5
            self.sock.sendto(query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + query[12:end], peer)


class Wire(threading.Thread):
    """Counts what comes from near on gw's wire to the ports of name services."""

    def __init__(self, lab: Lab, interface: str = "lan0"):
        super().__init__(daemon=True)
        self.sock = lab.gw.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.sock.bind((interface, 3))
        self.count = 0
        self.start()

    def run(self) -> None:
        while True:
            data, address = self.sock.recvfrom(65536)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            kind, head = (data[9], (data[0] & 15) * 4) if data[0] >> 4 == 4 else (data[6], 40)
            if kind in (6, 17) and len(data) >= head + 4 and struct.unpack_from("!H", data, head + 2)[0] in DNS_PORTS:
                self.count += 1


def query(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", hash(name) & 0xffff, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


def ask(sock: socket.socket, server: str, name: str) -> None:
    """One question; that nobody may be asked is fine."""
    try:
        sock.sendto(query(name), (server, 53))
    except OSError:
        pass


def address_of(lab: Lab, name: str = "far.lab.test") -> str:
    return lab.near.run(["getent", "ahostsv4", name], check=False, timeout=60).stdout.split(" ")[0]


def test_split_asks_the_tunnel_for_its_domain_only(lab: Lab):
    lan = LanServer(lab)
    resolved = Resolved(lab.near)
    resolved.ctl("dns", "up0", LAN_SERVER)
    before = resolved.status("up0")
    tunnel = Tunnel(lab, *NAMED, "--domain", "lab.test")
    expect(tunnel.status()["dns"], {"mode": "split", "way": "resolved", "servers": tunnel.status()["dns"]["servers"],
                                    "domains": ["lab.test"], "why_not": ""}, "status")
    expect(address_of(lab), SERVER, "far.lab.test")
    expect(address_of(lab, "other.example"), "", "other.example")
    expect({name for name in lan.names if name != "other.example"}, set(), "asked in the LAN")
    assert "other.example" in lan.names, "positive control: other names are asked for in the LAN"
    expect_in("DNS Domain: lab.test", resolved.status("ecssh0"))
    tunnel.down()
    expect_clean(lab, tunnel, except_for="/run/systemd/resolve")
    expect(resolved.status("up0"), before, "up0")


def test_all_asks_the_tunnel_for_everything(lab: Lab):
    lan = LanServer(lab)
    resolved = Resolved(lab.near)
    resolved.ctl("dns", "up0", LAN_SERVER)
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    expect(address_of(lab), SERVER, "far.lab.test")
    expect(address_of(lab, "other.example"), "", "other.example")
    expect(lan.names, [], "asked in the LAN")
    expect_in("DNS Domain: ~.", resolved.status("ecssh0"))
    tunnel.down()
    expect(address_of(lab, "another.example"), "", "another.example")
    assert "another.example" in lan.names, "after the end the LAN is asked again"
    expect_clean(lab, tunnel, except_for="/run/systemd/resolve")


def test_resolved_started_anew_is_told_again(lab: Lab):
    resolved = Resolved(lab.near)
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    server = tunnel.status()["dns"]["servers"][0]
    kill(lab.near, "^systemd-resolve")
    for file in lab.near.path("/run/systemd/resolve/netif").glob("*"):
        file.unlink()           # it would remember by itself
    resolved.start()
    wait_for(lambda: server in resolved.status("ecssh0"), what="told again")
    expect(address_of(lab), SERVER, "far.lab.test")
    tunnel.down()


def test_the_bus_started_anew_is_found_again(lab: Lab):
    resolved = Resolved(lab.near)
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    server = tunnel.status()["dns"]["servers"][0]
    kill(lab.near, "^systemd-resolve")
    for file in lab.near.path("/run/systemd/resolve/netif").glob("*"):
        file.unlink()
    resolved.bus.restart()
    resolved.start()
    wait_for(lambda: server in resolved.status("ecssh0"), 10, "told again")
    tunnel.down()


def test_kill_9_of_ecssh_dns_with_resolved(lab: Lab):
    Resolved(lab.near)
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    kill(lab.near, "^ecssh-dns$")
    expect(tunnel.wait(5), RUNTIME, "exit status")
    expect_clean(lab, tunnel, except_for="/run/systemd/resolve")


@over(Wan(rtt_ms=20))
@timeout(120)
def test_no_question_leaves_while_the_line_is_lost_and_comes_back(lab: Lab):
    """resolved has a domain of the LAN's, which it would ask there; a program asks the LAN's server itself."""
    wire = Wire(lab)
    LanServer(lab)
    resolved = Resolved(lab.near)
    resolved.ctl("dns", "up0", LAN_SERVER)
    resolved.ctl("domain", "up0", "lan.test")
    sock = lab.near.socket(kind=socket.SOCK_DGRAM)
    for i in range(50):
        ask(sock, LAN_SERVER, f"c{i}.example")
        ask(sock, "127.0.0.53", f"c{i}.lan.test")
    wait_for(lambda: wire.count >= 100, what=f"positive control: all leave without a tunnel, not {wire.count} of 100")
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    resolved.ctl("flush-caches")
    wire.count = 0
    for i in range(300):
        if i == 50:
            lab.wan.blackout(True)
        if i == 200:
            lab.wan.blackout(False)
        ask(sock, LAN_SERVER, f"t{i}.example")
        ask(sock, "127.0.0.53", f"t{i}.lan.test")
        ask(sock, "127.0.0.53", f"t{i}.example")
        select.select([], [], [], 0.005)
    wait_for(lambda: address_of(lab) == SERVER, 30, "names of the tunnel are found again")
    for name in ("multicast", "mdns.local"):
        address_of(lab, name)
    expect(wire.count, 0, "questions on the wire")
    tunnel.down()
    ask(sock, LAN_SERVER, "after.example")
    wait_for(lambda: wire.count > 0, what="afterwards it may be asked again")


@timeout(120)
def test_no_question_leaves_while_the_connection_is_made_again(lab: Lab):
    """1,200 of them, while sshd's sessions are killed."""
    wire = Wire(lab)
    LanServer(lab)
    resolved = Resolved(lab.near)
    resolved.ctl("dns", "up0", LAN_SERVER)
    resolved.ctl("domain", "up0", "lan.test")
    sock = lab.near.socket(kind=socket.SOCK_DGRAM)
    ask(sock, "127.0.0.53", "control.lan.test")
    wait_for(lambda: wire.count > 0, what="positive control")
    tunnel = Tunnel(lab, *NAMED, "--dns", "all", "--reconnect")
    wire.count = 0
    for i in range(400):
        if i in (50, 250):
            for process in lab.gw.processes("^sshd"):
                if "[listener]" not in process.args:
                    os.kill(process.pid, signal.SIGKILL)
        ask(sock, LAN_SERVER, f"r{i}.example")
        ask(sock, "127.0.0.53", f"r{i}.lan.test")
        ask(sock, "127.0.0.53", f"r{i}.example")
        select.select([], [], [], 0.01)
    wait_for(lambda: address_of(lab) == SERVER, 60, "names of the tunnel are found again")
    expect(wire.count, 0, "questions on the wire")
    tunnel.down()


# ---- one that misbehaves ----

class Fake:
    """org.freedesktop.resolve1, as test/tools/fakeresolved.c plays it."""

    def __init__(self, lab: Lab, mode: str):
        program = BUILD / "test/tools/fakeresolved"
        if not program.exists():
            raise Skip("built without libsystemd")
        self.bus = Bus(lab.near)
        lab.near.write(CONF, "nameserver 127.0.0.53\n")
        self.process = lab.near.popen([program, mode], stdout=subprocess.PIPE, text=True)
        expect(self.process.stdout.readline(), "ready\n", "fakeresolved")

    def calls(self) -> list:
        """What has been called until now, by name."""
        found = []
        while select.select([self.process.stdout], [], [], 0)[0]:
            found.append(self.process.stdout.readline().split(" ")[0])
        return found


def test_a_refusal_is_told_and_nothing_is_left(lab: Lab):
    fake = Fake(lab, "refuse")
    before = conf(lab)
    up = Ecssh(lab.near, "up", *NAMED, "--dns", "all", "gw", *SUBNETS)
    said = up.fails(RUNTIME, "systemd-resolved refuses SetLinkDNS", "not \\x1b[31m you")
    assert "\x1b" not in said
    expect(conf(lab), before, CONF)
    expect(records(lab), [], "records")
    expect(fake.process.stdout.readline().split(" ")[0], "SetLinkDNS", "the first call")
    wait_for(lambda: not dns_processes(lab), what="no process left")


def test_with_auto_a_refusal_is_a_warning(lab: Lab):
    Fake(lab, "refuse")
    tunnel = Tunnel(lab, *NAMED, "--domain", "lab.test")
    expect_in("names are asked for where they were before", tunnel.stderr())
    expect_in("SetLinkDNS", tunnel.status()["dns"]["why_not"])
    tunnel.down()


@timeout(90)
def test_one_that_does_not_answer_is_given_up(lab: Lab):
    Fake(lab, "hang")
    up = Ecssh(lab.near, "up", *NAMED, "--dns", "all", "gw", *SUBNETS)
    up.fails(RUNTIME, "systemd-resolved refuses SetLinkDNS", seconds=40)
    expect(records(lab), [], "records")


def test_an_old_one_will_do(lab: Lab):
    fake = Fake(lab, "old")
    tunnel = Tunnel(lab, *NAMED, "--domain", "lab.test")
    expect(tunnel.status()["dns"]["way"], "resolved", "way")
    tunnel.down()
    kill(lab.near, "^fakeresolved$")
    calls = [line.split(" ")[0] for line in fake.process.stdout.read().splitlines()]
    expect(calls, ["SetLinkDNS", "SetLinkDomains", "SetLinkDefaultRoute", "SetLinkLLMNR", "SetLinkMulticastDNS",
                   "SetLinkDNSOverTLS", "FlushCaches"], "calls; the rest goes with the device")


# ---- resolvconf ----

def install(host: Host, name: str) -> None:
    """As far as near's root sees it: the package's files over the system's."""
    root = package(name)
    for inside in ("sbin", "lib"):
        host.run(["mount", "-t", "overlay", "-o", f"lowerdir={root / inside}:/usr/{inside}", "lab", f"/usr/{inside}"])
    host.run(["cp", "-r", f"{root}/etc/.", "/etc/"])


def test_openresolv(lab: Lab):
    install(lab.near, "openresolv")
    lab.near.run(["resolvconf", "-a", "up0.dhcp"], stdin=f"nameserver {LAN_SERVER}\n")
    expect_in(f"nameserver {LAN_SERVER}", conf(lab))
    tunnel = Tunnel(lab, *NAMED, "--dns", "all", "--domain", "lab.test")
    expect(tunnel.status()["dns"]["way"], "resolvconf", "way")
    expect(address_of(lab, "far"), SERVER, "far")
    assert LAN_SERVER not in conf(lab), "exclusive"
    tunnel.down()
    expect_clean(lab, tunnel)
    expect_in(f"nameserver {LAN_SERVER}", conf(lab))


def test_kill_9_of_ecssh_dns_with_openresolv(lab: Lab):
    install(lab.near, "openresolv")
    lab.near.run(["resolvconf", "-a", "up0.dhcp"], stdin=f"nameserver {LAN_SERVER}\n")
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    kill(lab.near, "^ecssh-dns$")
    tunnel.wait(5)
    expect_clean(lab, tunnel)


def debians_resolvconf(lab: Lab) -> None:
    """In charge of resolv.conf, and told of the local network's server."""
    install(lab.near, "resolvconf")
    lab.near.path("/run/resolvconf/interface").mkdir(parents=True)
    lab.near.write("/run/resolvconf/enable-updates", "")
    lab.near.path(CONF).unlink()
    lab.near.path(CONF).symlink_to("/run/resolvconf/resolv.conf")
    lab.near.run(["resolvconf", "-a", "up0.dhcp"], stdin=f"nameserver {LAN_SERVER}\n")


def test_debians_resolvconf(lab: Lab):
    debians_resolvconf(lab)
    lab.near.run(["resolvconf", "-d", "none"])
    text = lab.near.path("/run/resolvconf/resolv.conf")
    expect_in(f"nameserver {LAN_SERVER}", text.read_text())
    before = text.read_text()
    up = Ecssh(lab.near, "up", *NAMED, "--dns", "all", "gw", *SUBNETS).connected()
    status = json.loads(lab.near.run(["ecssh", "status", "--json"]).stdout)["tunnels"][0]["dns"]
    servers = [line for line in text.read_text().splitlines() if line.startswith("nameserver")]
    expect(servers[0], f"nameserver {status['servers'][0]}", "the first server")
    expect(address_of(lab), SERVER, "far.lab.test")
    lab.near.run(["ecssh", "down"])
    expect(up.wait(5), OK, "exit status")
    expect(text.read_text(), before, "resolv.conf")


def test_openresolv_that_is_bypassed(lab: Lab):
    """By a DHCP client that writes resolv.conf itself."""
    install(lab.near, "openresolv")
    lab.near.run(["resolvconf", "-a", "up0.dhcp"], stdin=f"nameserver {LAN_SERVER}\n")
    tunnel = Tunnel(lab, *NAMED, "--dns", "all")
    made = conf(lab)
    lab.near.write(CONF, "nameserver 198.51.100.7\n")
    wait_for(lambda: conf(lab) == made, 5, "ours is in place again")
    expect(address_of(lab), SERVER, "far.lab.test")
    wait_for(lambda: "resolvconf was told so again" in tunnel.stderr(), what="said so")
    # What it is told by others it weighs itself.
    lab.near.run(["resolvconf", "-a", "up0.dhcp"], stdin="nameserver 198.51.100.8\n")
    expect(address_of(lab), SERVER, "far.lab.test")
    tunnel.down()
    expect_in("nameserver 198.51.100.8", conf(lab))
    assert "198.1" not in conf(lab).replace("198.51.", ""), conf(lab)


def test_debians_resolvconf_that_loses_its_charge(lab: Lab):
    """Its link is replaced by a file."""
    debians_resolvconf(lab)
    up = Ecssh(lab.near, "up", *NAMED, "--dns", "all", "gw", *SUBNETS).connected()
    # A client that follows the link, which resolvconf then writes over.
    text = lab.near.path("/run/resolvconf/resolv.conf")
    made = text.read_text()
    lab.near.write("/run/resolvconf/new", "nameserver 198.51.100.6\n")
    lab.near.run(["mv", "/run/resolvconf/new", "/run/resolvconf/resolv.conf"])
    wait_for(lambda: text.read_text() == made, 5, "resolvconf's is in place again")
    # One that does not.
    lab.near.path(CONF).unlink()
    lab.near.write(CONF, "nameserver 198.51.100.7\n")
    wait_for(lambda: "Made by ecssh" in conf(lab), 5, "ours is in place")
    expect(address_of(lab), SERVER, "far.lab.test")
    assert "198.1" not in text.read_text(), "resolvconf has forgotten it"
    lab.near.run(["ecssh", "down"])
    expect(up.wait(5), OK, "exit status")
    expect(conf(lab), "nameserver 198.51.100.7\n", CONF)
    expect(records(lab), [], "records")
