# SPDX-License-Identifier: MIT
"""The far side of the packet plane: what the helper makes of a NETWORK, and that it leaves nothing.

    near ──ssh── gw ── far (10.77.0.2) ── deep (10.78.0.2, MTU 1280)
    packet_near       helper, its broker, the broker's keeper
"""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from common import Skip, Tunnel, connect_error, expect, expect_in, slow, timeout
from lab import BUILD, HELPER, Host, Lab, Process, diff, wait_for
from services import ECHO

NEAR4, NEAR6 = "198.18.0.9", "fd00:9::9"
NO_NAT, INBOUND, SUDO = 1, 2, 4
DEVICE = "near0"
HELPER_FILE = BUILD / "ecssh-helper"
TOOL = BUILD / "test/tools/packet_near"
ROUTES = ("10.77.0.0/24", "10.78.0.0/24", "fd77::/64", "fd78::/64")


class PacketNear:
    """packet_near on near, its lines in a file."""

    def __init__(self, lab: Lab, *announced: str, flags: int = 0, user: str = "root", near4: str = NEAR4,
                 near6: str = NEAR6, mtu: int = 1500, host: Host = None, device: str = DEVICE,
                 helper: str = "", options: str = ""):
        self.lab, self.host, self.device = lab, host or lab.near, device
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        remote = f"exec {helper or HELPER_FILE} {options} --marker {'0' * 32}"
        self.process = self.host.popen(
            [TOOL, device, mtu, near4, near6, flags, *announced, "--", "ssh", "-T", f"{user}@gw", remote],
            stdin=subprocess.PIPE, stdout=self.output, stderr=self.output)
        self.near4, self.near6 = near4, near6

    def text(self) -> str:
        return os.pread(self.output.fileno(), 1 << 20, 0).decode(errors="replace")

    def state(self, status: int, *mentions: str, seconds: float = 20.0) -> str:
        """Wait for a state of the far network."""
        def found():
            return re.findall(rf"(?m)^state {status} .*$", self.text())
        try:
            line = wait_for(lambda: found() or self.process.poll() is not None or
                            (status == 1 and "\nstate" in self.text()), seconds)
            line = found()[-1]
        except (TimeoutError, IndexError):
            raise AssertionError(f"no state {status}; it said:\n{self.text()}") from None
        for mention in mentions:
            expect_in(mention, line)
        return line

    def up(self, *mentions: str) -> "PacketNear":
        self.state(1, *mentions)
        if self.device != "-":
            lines = [f"link set {self.device} up mtu 1500"]
            lines += [f"addr add {self.near4} dev {self.device}"] if self.near4 != "-" else []
            lines += [f"addr add {self.near6} dev {self.device} nodad"] if self.near6 != "-" else []
            lines += [f"route add {net} dev {self.device} src {self.near6 if ':' in net else self.near4}"
                      for net in ROUTES if (self.near6 if ":" in net else self.near4) != "-"]
            self.host.ip(*lines)
        return self

    def end(self) -> None:
        self.process.stdin.close()
        expect(self.process.wait(10), 0, "exit status of packet_near; it said:\n" + self.text())

    def dropped(self, name: str) -> None:
        wait_for(lambda: f"drops {name} " in self.text(), 5, f"drop {name}; it said:\n{self.text()}")


def is_broker(process: Process) -> bool:
    return "--broker" in process.args and process.comm != "ecssh-keeper" and not process.args.startswith("sudo")


def broker_of(lab: Lab) -> Process:
    return wait_for(lambda: [p for p in lab.gw.processes(HELPER) if is_broker(p)], what="broker runs")[0]


def keeper_of(lab: Lab) -> Process:
    return lab.gw.process("^ecssh-keeper")


def helper_of(lab: Lab) -> Process:
    return [p for p in lab.gw.processes(HELPER) if "--broker" not in p.args][0]


def snapshot(lab: Lab) -> dict:
    """State of gw, which writes something of its own at the first login."""
    for user in ("root", "alice"):
        lab.near.run(["ssh", f"{user}@gw", "true"])
    wait_for(lambda: len(lab.gw.processes()) == 1, what="sessions of gw have ended")
    return lab.gw.snapshot()


def expect_restored(lab: Lab, before: dict, seconds: float = 5.0) -> None:
    def changed() -> list[str]:
        return diff(before, lab.gw.snapshot())
    try:
        wait_for(lambda: not changed(), seconds)
    except TimeoutError:
        raise AssertionError("gw is not as before:\n" + "\n".join(changed())) from None


def open_tun_to_all(lab: Lab) -> None:
    """/dev/net/tun as udev makes it; not every machine has udev."""
    lab.gw.run(["sh", "-c", "mknod -m 666 /run/tun c 10 200 && mount --bind /run/tun /dev/net/tun"])


def echo(host: Host, address: str) -> None:
    with host.connect(address, ECHO, 5) as sock:
        sock.sendall(b"?")
        expect(sock.recv(1), b"?")


def test_carries_packets_and_restores(lab: Lab):
    """TCP, UDP and ping of both families, translated; then gw is as it was."""
    before = snapshot(lab)
    near = PacketNear(lab).up("as root", "translated")
    for address in ("10.77.0.2", "10.78.0.2", "fd77::2", "fd78::2"):
        echo(lab.near, address)
        lab.near.run(["ping", "-n", "-c", "1", "-W", "10", address])
    expect(lab.gw.run(["sysctl", "-n", "net.ipv4.ip_forward"]).stdout, "1\n", "forwarding")
    near.end()
    expect_restored(lab, before)


def test_sandbox_is_in_force(lab: Lab):
    """Both brokers and their keepers run under a filter; nft worked there."""
    PacketNear(lab).up("as root", "translated")
    Tunnel(lab, subnets=("10.78.0.0/24",))
    near = [lab.near.process(f"^ecssh-{name}$") for name in ("broker", "keeper")]
    for process in (broker_of(lab), keeper_of(lab), *near):
        expect_in("\nSeccomp:\t2\n", Path(f"/proc/{process.pid}/status").read_text())


def test_raw_protocol(lab: Lab):
    """Protocol 253 both ways, translated by address alone."""
    before = snapshot(lab)
    near = PacketNear(lab).up()
    there = lab.far.socket(kind=socket.SOCK_RAW, proto=253)
    here = lab.near.socket(kind=socket.SOCK_RAW, proto=253)
    here.sendto(b"question", ("10.77.0.2", 0))
    packet, source = there.recvfrom(2000)
    expect(packet[20:], b"question")
    expect(source[0], "10.77.0.1", "source as far sees it")
    there.sendto(b"answer", source)
    packet, source = here.recvfrom(2000)
    expect((packet[20:], source[0]), (b"answer", "10.77.0.2"))
    near.end()
    expect_restored(lab, before)


def test_mss_is_clamped(lab: Lab):
    """deep's MTU is 1280, as far's route to it says only later; gw's own link is clamped at once."""
    lab.gw.ip("link set far0 mtu 1300")
    near = PacketNear(lab).up()
    listener = lab.far.listen("10.77.0.2")
    with lab.near.connect("10.77.0.2", listener.getsockname()[1], 5) as sock:
        peer, _ = listener.accept()
        expect(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 1260, True, "MSS up")
        expect(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 1260, True, "MSS down")
        peer.close()
    near.end()


def test_hosts_beyond_may_not_begin(lab: Lab):
    """Without --allow-inbound nobody reaches near; with it and a route everybody does."""
    before = snapshot(lab)
    lab.far.ip(f"route add {NEAR4} via 10.77.0.1")
    near = PacketNear(lab, flags=NO_NAT).up("routed")
    listener = lab.near.listen(NEAR4)
    port = listener.getsockname()[1]
    expect(connect_error(lab.far, NEAR4, port, 1), "timeout")
    echo(lab.near, "10.77.0.2")
    near.end()
    expect_restored(lab, before)
    near = PacketNear(lab, flags=NO_NAT | INBOUND).up("routed")
    expect(connect_error(lab.far, NEAR4, port), "connected")
    near.end()
    expect_restored(lab, before)


def test_announced_subnet(lab: Lab):
    """A LAN behind near, with its own addresses, routed there."""
    before = snapshot(lab)
    lab.near.ip("link add lan type veth peer name lan1", "link set lan up", "link set lan1 up", "addr add 192.168.7.1/24 dev lan")
    lab.far.ip("route add 192.168.7.0/24 via 10.77.0.1")
    near = PacketNear(lab, "192.168.7.0/24", flags=NO_NAT | INBOUND).up()
    listener = lab.near.listen("192.168.7.1")
    with lab.far.connect("192.168.7.1", listener.getsockname()[1], 5):
        _, source = listener.accept()
        expect(source[0], "10.77.0.2", "source, untranslated")
    near.end()
    expect_restored(lab, before)


def test_foreign_sources_are_dropped(lab: Lab):
    near = PacketNear(lab).up()
    lab.near.ip("addr add 192.0.2.7 dev lo")
    sock = lab.near.socket(kind=socket.SOCK_DGRAM)
    sock.bind(("192.0.2.7", 0))
    sock.sendto(b"?", ("10.77.0.2", ECHO))
    near.dropped("bad-source")
    near.end()


def test_own_services_are_out_of_reach(lab: Lab):
    """Link-local addresses and loopback of gw, as for streams."""
    near = PacketNear(lab).up()
    lab.near.ip(f"route add 169.254.169.254 dev {DEVICE}")
    sock = lab.near.socket(kind=socket.SOCK_DGRAM)
    sock.bind((NEAR4, 0))
    sock.sendto(b"?", ("169.254.169.254", ECHO))
    near.dropped("policy")
    near.end()


def test_gw_routes_for_nobody_else(lab: Lab):
    """While forwarding is on for us, near's other way through gw stays closed."""
    near = PacketNear(lab).up()
    lab.near.ip("route add 10.77.0.2 via 10.9.0.1")
    lab.far.ip("route add 10.9.0.0/24 via 10.77.0.1")
    expect(connect_error(lab.near, "10.77.0.2", ECHO, 1), "timeout")
    near.end()


def test_two_near_ends(lab: Lab):
    """Forwarding stays on until the last of them has gone."""
    before = snapshot(lab)
    one = PacketNear(lab).up()
    two = PacketNear(lab, near4="198.18.0.10", near6="fd00:9::10", device="-").up()
    one.end()
    expect(lab.gw.run(["sysctl", "-n", "net.ipv4.ip_forward"]).stdout, "1\n", "forwarding")
    one = PacketNear(lab).up()
    two.end()
    echo(lab.near, "10.77.0.2")
    one.end()
    expect_restored(lab, before)


def test_settings_of_others_are_kept(lab: Lab):
    """What forwarding changes on the side is put back; a default route learnt from a router survives."""
    lab.gw.sysctl(ipv4__conf__all__accept_redirects=0, ipv6__conf__far0__accept_ra=1, ipv4__conf__far0__forwarding=1,
                  ipv6__conf__lan0__forwarding=1)
    before = snapshot(lab)
    near = PacketNear(lab).up()
    for name, value in (("ipv4.conf.all.accept_redirects", "0"), ("ipv6.conf.far0.accept_ra", "2")):
        expect(lab.gw.run(["sysctl", "-n", f"net.{name}"]).stdout, value + "\n", name)
    near.end()
    expect_restored(lab, before)
    # Forwarding that is on anyway is not touched.
    lab.gw.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
    before = snapshot(lab)
    near = PacketNear(lab).up()
    near.end()
    expect_restored(lab, before)


def check_killed(lab: Lab, victim, goes_on: bool) -> None:
    before = snapshot(lab)
    near = PacketNear(lab).up()
    echo(lab.near, "10.77.0.2")
    os.kill(victim(lab).pid, signal.SIGKILL)
    if goes_on:
        near.state(3)
        expect(near.process.poll(), None, "session lives")
        near.end()
    else:
        near.process.wait(10)
    expect_restored(lab, before)


def test_killed_helper(lab: Lab):
    check_killed(lab, helper_of, False)


def test_killed_broker(lab: Lab):
    check_killed(lab, broker_of, True)


def test_killed_keeper(lab: Lab):
    check_killed(lab, keeper_of, True)


def test_killed_sshd(lab: Lab):
    def session(lab):
        return [p for p in lab.gw.processes("^sshd") if "root" in p.args and "@notty" in p.args][0]
    check_killed(lab, session, False)


def test_killed_broker_and_helper(lab: Lab):
    before = snapshot(lab)
    near = PacketNear(lab).up()
    for process in (broker_of(lab), helper_of(lab)):
        os.kill(process.pid, signal.SIGKILL)
    near.process.wait(10)
    expect_restored(lab, before)


@timeout(180)
@slow
def test_killed_during_set_up(lab: Lab):
    """Any one of the processes, at random moments from login on."""
    before = snapshot(lab)
    for number in range(20):
        rng = random.Random(number)
        near = PacketNear(lab, device="-")
        wait_for(lambda: lab.gw.processes(HELPER), what="helper runs")
        time.sleep(rng.uniform(0, 0.12))     # not for an event, but to be at no event in particular
        victims = lab.gw.processes(HELPER) + lab.gw.processes("^(nft|ecssh-keeper)$")
        if victims:
            with contextlib.suppress(ProcessLookupError):       # it has just ended
                os.kill(rng.choice(victims).pid, signal.SIGKILL)
        near.process.stdin.close()
        near.process.wait(20)
        try:
            expect_restored(lab, before)
        except AssertionError as error:
            raise AssertionError(f"round {number}, of {victims}: {error}") from None


def test_device_deleted(lab: Lab):
    before = snapshot(lab)
    near = PacketNear(lab).up()
    lab.gw.ip("link del ecssh0")
    near.state(3, "deleted")
    expect_restored(lab, {part: before[part] for part in before if part != "processes"})
    near.end()
    expect_restored(lab, before)


def test_table_deleted(lab: Lab):
    before = snapshot(lab)
    near = PacketNear(lab).up()
    lab.gw.run(["nft", "flush", "ruleset"])
    near.state(3, "deleted our rules")
    near.end()
    expect_restored(lab, before)


def test_address_taken(lab: Lab):
    """Another near end with the same address, and one that wants to be a neighbour of gw's."""
    one = PacketNear(lab).up()
    two = PacketNear(lab, device="-")
    two.state(2, NEAR4, "already")
    two.end()
    echo(lab.near, "10.77.0.2")
    one.end()
    three = PacketNear(lab, device="-", near4="10.77.0.99")
    three.state(2, "10.77.0.0/24", "far0")
    three.end()
    four = PacketNear(lab, "128.0.0.0/1", device="-")
    four.state(2, "128.0.0.0/1", "too large")
    four.end()


def test_no_nft(lab: Lab):
    """Missing, then one that refuses; its words are escaped, nothing is left."""
    before = snapshot(lab)
    real = lab.gw.run(["sh", "-c", "command -v nft"]).stdout.strip()
    lab.gw.run(["mount", "-t", "tmpfs", "lab", "/mnt"])
    lab.gw.write("/mnt/nft", "#!/bin/sh\nprintf 'Error: \\033[31mno\\nmore' >&2\nexit 1\n", mode=0o755)
    lab.gw.run(["mount", "--bind", "/mnt/nft", real])
    near = PacketNear(lab, device="-")
    near.state(2, "nft failed: ", "\\x1b[31mno")
    near.end()
    lab.gw.run(["chmod", "644", "/mnt/nft"])
    near = PacketNear(lab, device="-")
    near.state(2, "install the package nftables")
    near.end()
    for place in (real, "/mnt"):
        lab.gw.run(["umount", "--lazy", place])     # it may still be run
    expect_restored(lab, before)


def test_forbidden_by_option(lab: Lab):
    near = PacketNear(lab, device="-", options="--no-packets")
    near.state(2, "does not allow")
    near.end()


def test_without_privilege(lab: Lab):
    """alice: no sudo is tried for her, unless the near end says so."""
    lab.gw.write("/etc/sudoers.d/lab", "Defaults logfile=/var/log/sudo.log\n", mode=0o440)
    near = PacketNear(lab, user="alice", device="-")
    near.state(2, "in no group of sudo", "ip tuntap add tun9 mode tun user alice", "ip route add " + NEAR4)
    near.end()
    assert not lab.gw.path("/var/log/sudo.log").exists(), "sudo was tried"
    near = PacketNear(lab, user="alice", device="-", flags=SUDO)
    near.state(2, "sudo -n says no")
    near.end()
    assert lab.gw.path("/var/log/sudo.log").exists(), "sudo was not tried"


def test_by_sudo(lab: Lab):
    lab.gw.write("/etc/sudoers.d/lab", "alice ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    before = snapshot(lab)
    near = PacketNear(lab, user="alice", flags=SUDO).up("by sudo")
    echo(lab.near, "10.77.0.2")
    near.end()
    expect_restored(lab, before)
    near = PacketNear(lab, user="alice", flags=SUDO).up("by sudo")
    os.kill(helper_of(lab).pid, signal.SIGKILL)
    near.process.wait(10)
    expect_restored(lab, before)
    # A member of the group needs no flag.
    group = lab.gw.path("/etc/group")
    group.write_text(re.sub(r"(?m)^(sudo:.*:)[^:]*$", r"\1alice", group.read_text()))
    near = PacketNear(lab, user="alice").up("by sudo")
    near.end()


def test_by_file_capability(lab: Lab):
    path = "/usr/local/bin/ecssh-helper"
    lab.gw.run(["cp", HELPER_FILE, path])
    open_tun_to_all(lab)
    if lab.gw.run(["setcap", "cap_net_admin+ep", path], check=False).returncode != 0:
        raise Skip("no file capabilities here")
    before = snapshot(lab)
    near = PacketNear(lab, user="alice", helper=path).up("by file capability", "that takes root")
    echo(lab.near, "10.77.0.2")
    # The capability is good for private subnets only.
    other = PacketNear(lab, user="alice", helper=path, device="-", near4="203.0.113.9", near6="fd00:9::10")
    other.state(2, "203.0.113.9", "only root")
    other.end()
    expect_in("CapEff:\t0000000000000000", open(f"/proc/{helper_of(lab).pid}/status").read())
    near.end()
    expect_restored(lab, before)


def test_own_tun(lab: Lab):
    """A device that the administrator made for alice, with all that belongs to it."""
    open_tun_to_all(lab)
    lab.gw.run(["ip", "tuntap", "add", "dev", "tun5", "mode", "tun", "user", "alice", "vnet_hdr"])
    near = PacketNear(lab, user="alice", device="-")
    near.state(2, "tun5", "is down", "ip link set tun5 up", f"ip route add {NEAR4} dev tun5")
    near.end()
    lab.gw.ip("link set tun5 up")
    before = snapshot(lab)
    near = PacketNear(lab, user="alice", device="-").up("tun5", f"ip route add {NEAR4} dev tun5")
    near.end()
    lab.gw.ip(f"route add {NEAR4} dev tun5")
    lab.far.ip(f"route add {NEAR4} via 10.77.0.1")
    lab.gw.sysctl(ipv4__ip_forward=1)
    near = PacketNear(lab, user="alice", near6="-").up("tun5", "administrator's")
    echo(lab.near, "10.77.0.2")
    near.end()
