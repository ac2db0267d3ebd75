# SPDX-License-Identifier: MIT
"""The ladder: with sshd configured as each rung `ecssh up` takes the best one, says which and why, and
carries what that one is to carry.

    near ──ssh── gw, port 2222: sshd with options ── far (10.77.0.2, fd77::2)
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import signal
import socket
import threading
import time
from typing import Optional

from common import (ANOTHER_SSH, GATEWAY, OK, SSH, Ecssh, Tunnel, connect_error, connect_errors, expect, expect_in,
                    slow, timeout)
from lab import PASSWORD, SUBNETS, Host, Lab, diff, family_of, wait_for
from services import CLOSED, ECHO, SWAP
from test_auth import Terminal, allow_passwords

FAR, FAR6 = "10.77.0.2", "fd77::2"
PORT, DOOR = 2222, 1080
LOG = f"/var/log/sshd-{PORT}.log"
MEMORY = "/root/.cache/ecssh/no-helper"
SFTP = {"ForceCommand": "internal-sftp"}
NOTHING = {**SFTP, "DisableForwarding": "yes"}
# <linux/in.h>, <linux/in6.h>, RFC 792, RFC 4443
IP_RECVERR, IPV6_RECVERR, IPV6_CHECKSUM = 11, 25, 7
PROHIBITED_BY_ADMIN = {socket.AF_INET: (3, 13), socket.AF_INET6: (1, 1)}
NO_SUCH_PROTOCOL = {socket.AF_INET: (3, 2), socket.AF_INET6: (4, 1)}
# Of PAM, of a login, and what remembers or keeps on purpose.
MAY_STAY = re.compile(r"/run/motd\.dynamic|/\.cache/ecssh|/run/ecssh$|/run/utmp|sudo_as_admin_successful")


# ---- what both hosts must look like afterwards ----


def state(host: Host) -> dict:
    """As snapshot(), and the directories of people."""
    found = host.snapshot()
    places = host.run(["find", "/home", "/root", "/tmp", "/var/tmp", "/dev/shm", "/run", "-path", "/run/.lab", "-prune",
                       "-o", "-type", "d", "-print"], check=False).stdout.splitlines()
    found["files"] = [line for line in found["files"] if not MAY_STAY.search(line)]
    found["dirs"] = sorted(line for line in places if not re.search(r"/\.cache|/run/(sudo|ecssh$|ecssh-kill$)", line))
    return found


class Before:
    """Both hosts as they were."""

    def __init__(self, lab: Lab):
        wait_for(lambda: not [p for p in lab.gw.processes("^sshd$") if "[listener]" not in p.args],
                 what="no session is left on gw")
        self.hosts = {host: state(host) for host in (lab.near, lab.gw)}

    def expect_restored(self, seconds: float = 6.0, except_for: str = "") -> None:
        def changes() -> list[str]:
            lines = [f"{host.name}: {line}" for host, old in self.hosts.items() for line in diff(old, state(host))]
            return [line for line in lines if not except_for or except_for not in line]
        try:
            wait_for(lambda: not changes(), seconds)
        except TimeoutError:
            raise AssertionError("not as before:\n" + "\n".join(changes())) from None


# ---- what is carried ----


def icmp_error(host: Host, address: str, kind: int, proto: int = 0, port: int = 0) -> Optional[tuple[int, int]]:
    """Type and code of the ICMP error that answers a packet; None if something else does."""
    family = family_of(address)
    data = b"8\0" + bytes(30)
    with host.socket(family, kind, proto, timeout=5) as sock:
        sock.setsockopt(*((socket.IPPROTO_IPV6, IPV6_RECVERR) if family == socket.AF_INET6 else
                          (socket.IPPROTO_IP, IP_RECVERR)), 1)
        sock.connect((address, port))
        sock.send(data)
        try:
            sock.recv(1 << 16)
            return None
        except TimeoutError:
            raise AssertionError(f"no answer from {address} to {kind.name} {proto}") from None
        except OSError:
            control = sock.recvmsg(1 << 16, 1 << 10, socket.MSG_ERRQUEUE)[1][0][2]
            return control[5], control[6]


def check_swap(host: Host, address: str, size: int = 1_000_000) -> None:
    """Random bytes both ways at once; each end has the other's hash."""
    data, got = os.urandom(size), bytearray()
    with host.connect(address, SWAP) as sock:
        def send() -> None:
            sock.sendall(b"%d\n" % size + data)
            sock.shutdown(socket.SHUT_WR)
        thread = threading.Thread(target=send)
        thread.start()
        while part := sock.recv(1 << 18):
            got += part
        thread.join()
    expect(len(got), size + 128, f"bytes from {address}")
    expect(got[size:].decode(), hashlib.sha256(got[:size]).hexdigest() + hashlib.sha256(data).hexdigest(), address)


def check_tcp(lab: Lab) -> None:
    for address in (FAR, FAR6):
        check_swap(lab.near, address)
        expect(connect_error(lab.near, address, CLOSED), "ECONNREFUSED", f"closed port of {address}")


def check_dns(lab: Lab) -> None:
    for address in (FAR, FAR6):
        said = lab.near.run(["dig", "+time=10", "+tries=1", "+short", "+notcp", f"@{address}", "far.lab.test"]).stdout
        expect(said, FAR + "\n", f"dig at {address}")


def check_names(lab: Lab) -> None:
    """A name that gw knows, by way of the door."""
    said = lab.near.run(["curl", "-sS", "-m", "10", "--socks5-hostname", f"127.0.0.1:{DOOR}", "http://far.lab.test/"])
    expect(said.stdout, f"hello from {FAR}\n")


def check_datagrams(lab: Lab, carried: bool) -> None:
    for address in (FAR, FAR6):
        wanted = None if carried else PROHIBITED_BY_ADMIN[family_of(address)]
        expect(icmp_error(lab.near, address, socket.SOCK_DGRAM, port=ECHO), wanted, f"answer to UDP to {address}")


def check_ping(lab: Lab, carried: bool) -> None:
    for address in (FAR, FAR6):
        said = lab.near.run(["ping", "-n", "-c1", "-W10", address], check=False).stdout
        expect_in("1 received" if carried else "0 received", said)
        assert carried or "prohibited" in said or "Packet filtered" in said, said


def check_protocol(lab: Lab, carried: bool, error: dict) -> None:
    """Protocol 253."""
    for address in (FAR, FAR6):
        family = family_of(address)
        if not carried:
            expect(icmp_error(lab.near, address, socket.SOCK_RAW, 253), error[family], f"answer to 253 to {address}")
            continue
        with lab.far.socket(family, socket.SOCK_RAW, 253) as there, lab.near.socket(family, socket.SOCK_RAW, 253) as here:
            here.sendto(b"question", (address, 0))
            packet, source = there.recvfrom(2000)
            expect(packet[-8:], b"question")
            there.sendto(b"answer", source)
            expect(here.recvfrom(2000)[0][-6:], b"answer")


def check_carried(lab: Lab, rung: str) -> None:
    """All that the rung carries, and the refusal of all that it does not."""
    has_packets, has_udp = rung in ("helper+packets", "tun"), rung != "direct"
    check_tcp(lab)
    check_dns(lab)
    check_names(lab)
    check_datagrams(lab, has_udp)
    check_ping(lab, has_udp)
    check_protocol(lab, has_packets, NO_SUCH_PROTOCOL)


# ---- the ladder ----


NOT_CARRIED = {"helper+packets": (), "tun": (), "helper": ("protocols other than TCP, UDP and ping",),
               "direct": ("UDP other than DNS", "ping")}
ORDER = ("helper+packets", "helper", "tun", "direct")


def serve(lab: Lab, **options: str) -> None:
    """An sshd on PORT; gw knows the name of far."""
    lab.gw.write("/etc/hosts", lab.gw.path("/etc/hosts").read_text() + f"{FAR} far.lab.test\n")
    lab.sshd(port=PORT, **options)


def logins(lab: Lab) -> int:
    return lab.gw.path(LOG).read_text().count("\nAccepted ") + lab.gw.path(LOG).read_text().startswith("Accepted ")


def doctor(lab: Lab, to: str, *options: str) -> tuple[int, dict]:
    result = lab.near.run(["ecssh", "doctor", "--json", *options, "-p", str(PORT), to], check=False)
    return result.returncode, json.loads(result.stdout)


def up(lab: Lab, *options: str, to: str = "gw", **others) -> Tunnel:
    return Tunnel(lab, "-p", str(PORT), "-D", str(DOOR), *options, to=to, **others)


def check_status(lab: Lab, tunnel: Tunnel, rung: str) -> dict:
    """The line, the text and the JSON agree."""
    status = tunnel.status()
    expect(status["rung"], rung, "rung of status --json")
    text = lab.near.run(["ecssh", "status"]).stdout
    assert re.search(rf"(?m)^  rung +{re.escape(rung)}$", text), text
    for why in status["why_not_higher"]:
        expect_in("not higher  " + why, text)
    expect(bool(status["why_not_higher"]), rung != ORDER[0], f"reasons {status['why_not_higher']}")
    for what in NOT_CARRIED[rung]:
        expect_in(what, "\n".join(status["missing"]))
        expect_in("not carried " + what, text)
    expect(bool(status["missing"]), bool(NOT_CARRIED[rung]), f"missing {status['missing']}")
    line = [line for line in tunnel.stderr().splitlines() if line.startswith("ecssh: connected to ")][0]
    expect_in(f"{status['gateway']} as {status['user']}", line)
    expect_in("helper 0" if "helper" in rung else f"rung {rung}", line)
    return status


def packets_are_up(tunnel: Tunnel) -> bool:
    return tunnel.status()["packets"] != "none"


def check_rung(lab: Lab, rung: str, *reasons: str, to: str = "gw", code: Optional[int] = None, options: tuple = ()) -> None:
    """doctor names the rung, up takes it and gives the reasons, all is as before."""
    lab.near.run(["ssh", "-p", str(PORT), to, "true"], check=False)     # what PAM does at the first login
    before = Before(lab)
    status, report = doctor(lab, to, *options)
    expect(report["rung"], rung, f"rung of doctor: {report}")
    expect(status, (OK if "helper" in rung else GATEWAY) if code is None else code, "exit status of doctor")
    before.expect_restored()
    tunnel = up(lab, *options, to=to)
    if "helper" in rung:
        wait_for(lambda: packets_are_up(tunnel), what="the helper's word about packets")
    shown = check_status(lab, tunnel, rung)
    for reason in reasons:
        expect_in(reason, "\n".join(shown["why_not_higher"]))
    check_carried(lab, rung)
    tunnel.down()
    before.expect_restored()


def force_key(lab: Lab, options: str) -> None:
    keys = lab.gw.path("/home/alice/.ssh/authorized_keys")
    keys.write_text(f"{options} {keys.read_text()}")


def open_tun_driver(lab: Lab) -> None:
    """/dev/net/tun for everybody, as udev makes it; this machine's own may differ."""
    lab.gw.run(["sh", "-c", "mount -t tmpfs none /dev/net; mknod -m 666 /dev/net/tun c 10 200"])


def test_stock(lab: Lab):
    serve(lab)
    check_rung(lab, "helper", "alice")


def test_root(lab: Lab):
    serve(lab)
    check_rung(lab, "helper+packets", to="root@gw")


def test_group_sudo(lab: Lab):
    lab.gw.write("/etc/sudoers.d/lab", "alice ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    group = lab.gw.path("/etc/group")
    group.write_text(re.sub(r"(?m)^(sudo:.*:)[^:]*$", r"\1alice", group.read_text()))
    serve(lab)
    check_rung(lab, "helper+packets")


def test_no_forwarding(lab: Lab):
    serve(lab, AllowTcpForwarding="no")
    check_rung(lab, "helper")


def test_sftp_only(lab: Lab):
    serve(lab, **SFTP)
    check_rung(lab, "direct", "files only", "PermitTunnel")


def test_nologin_shell(lab: Lab):
    lab.set_shell("alice", "/usr/sbin/nologin")
    serve(lab)
    check_rung(lab, "direct", "not available")


def test_forced_command(lab: Lab):
    force_key(lab, 'command="echo what do you want"')
    serve(lab)
    check_rung(lab, "direct", "what do you want")


def test_restricted_key(lab: Lab):
    force_key(lab, "restrict")
    serve(lab)
    check_rung(lab, "helper")


def test_no_session(lab: Lab):
    serve(lab, MaxSessions="0")
    check_rung(lab, "direct")


def test_one_session(lab: Lab):
    serve(lab, MaxSessions="1")
    check_rung(lab, "helper")


def test_noexec(lab: Lab):
    serve(lab)
    for place in ("/home", "/tmp", "/var/tmp", "/dev/shm", "/run"):
        if lab.gw.run(["mountpoint", "-q", place], check=False).returncode == 0:
            lab.gw.run(["mount", "-o", "remount,noexec", place])
    check_rung(lab, "direct", "noexec")


def test_nothing(lab: Lab):
    """Neither a command nor a channel."""
    serve(lab, **NOTHING)
    lab.near.run(["ssh", "-p", str(PORT), "gw", "true"], check=False)
    before = Before(lab)
    code, report = doctor(lab, "gw")
    expect((code, report["rung"]), (GATEWAY, "none"), "doctor")
    for _ in range(2):      # the second does not try a helper
        said = Ecssh(lab.near, "up", "-p", PORT, "gw", *SUBNETS).fails(GATEWAY, "gw")
        assert any(line.startswith("ecssh:") and "forward" in line for line in said.splitlines()), said
        before.expect_restored()


# ---- sshd's own tun ----


def far_tun(lab: Lab, unit: int = 0) -> None:
    open_tun_driver(lab)
    lab.gw.run(["ip", "tuntap", "add", f"tun{unit}", "mode", "tun", "user", "alice"])


def obey(lab: Lab, tunnel: Tunnel) -> list[str]:
    """Do on gw what the administrator is told to, no more."""
    told = re.search(r"(?m)^  packets +up: (.*)$", lab.near.run(["ecssh", "status"]).stdout)[1]
    lab.gw.run(["sh", "-ec", told])
    return told


def test_tun(lab: Lab):
    """The account's own device, made ready with exactly the commands that are told."""
    lab.gw.run(["sh", "-c", "mount -t tmpfs none /dev/net; mknod -m 600 /dev/net/tun c 10 200"])
    serve(lab, PermitTunnel="point-to-point", **SFTP)
    code, report = doctor(lab, "gw")
    expect((code, report["rung"]), (GATEWAY, "direct"), f"doctor: {report}")
    advice = [check["advice"] for check in report["checks"] if check["name"] == "permit-tunnel"][0]
    lab.gw.run(["sh", "-ec", advice.partition("as root there: ")[2]])
    before = Before(lab)
    code, report = doctor(lab, "gw")
    expect((code, report["rung"]), (GATEWAY, "tun"), f"doctor: {report}")
    before.expect_restored(except_for="tun0")       # IPv6 of a device begins with its first carrier
    tunnel = up(lab)
    expect(check_status(lab, tunnel, "tun")["packets"], "up")
    expect_in("dev tun0", obey(lab, tunnel))
    check_carried(lab, "tun")
    tunnel.down()
    # The kernel tells of a lost carrier within a second.
    wait_for(lambda: "linkdown" in lab.gw.run(["ip", "route"]).stdout, what="tun0 is known to be idle")
    before = Before(lab)        # with what the administrator did
    up(lab).down()
    before.expect_restored()


def test_tun_is_busy(lab: Lab):
    """Two tunnels of one account: each has a device of its own."""
    far_tun(lab)
    far_tun(lab, unit=1)
    serve(lab, PermitTunnel="point-to-point", **SFTP)
    first = up(lab, "--mode", "tun")
    second = Ecssh(lab.near, "up", "-p", PORT, "--mode", "tun", "--name", "second", "gw", "192.0.2.0/24").connected()
    text = lab.near.run(["ecssh", "status", "second"]).stdout
    expect_in("dev tun1", text)
    lab.near.run(["ecssh", "down", "second"])
    second.wait(5)
    first.down("gw")


def test_tun_without_forwarding(lab: Lab):
    """Packets only: TCP goes as packets too."""
    far_tun(lab, unit=7)
    serve(lab, PermitTunnel="yes", AllowTcpForwarding="no", **SFTP)
    tunnel = up(lab, "--tun", "7")
    expect(tunnel.status()["rung"], "tun")
    expect_in("dev tun7", obey(lab, tunnel))
    check_tcp(lab)
    check_datagrams(lab, True)
    check_ping(lab, True)
    tunnel.down()


def test_tun_of_root(lab: Lab):
    """sshd makes the device, and it goes with the tunnel."""
    serve(lab, PermitTunnel="yes", **SFTP)
    tunnel = up(lab, to="root@gw")
    expect(tunnel.status()["rung"], "tun")
    obey(lab, tunnel)
    check_ping(lab, True)
    check_datagrams(lab, True)
    tunnel.down()
    wait_for(lambda: ": tun" not in lab.gw.run(["ip", "link"]).stdout, what="the device has gone")


# ---- sshd's own tun, set up by us ----


def forwarding_off(lab: Lab) -> None:
    """A server that is no router, but for one device."""
    lab.gw.sysctl(ipv4__ip_forward=0, ipv6__conf__all__forwarding=0)
    lab.gw.sysctl(ipv4__conf__lo__forwarding=1, ipv6__conf__lo__forwarding=1, ipv4__conf__all__accept_redirects=0)


def setup_shells(lab: Lab) -> list:
    """Those that hold what they set up: they read, and are no login shells."""
    return [p for p in lab.gw.processes("^(sh|dash|bash)$") if p.args == "/bin/sh" and p.user == 0]


def up_as_root(lab: Lab, *options: str) -> Tunnel:
    tunnel = up(lab, "--mode", "tun", *options, to="root@gw")
    status = tunnel.status()
    expect((status["rung"], status["packets"]), ("tun", "up"))
    expect_in("set up by us as root", lab.near.run(["ecssh", "status"]).stdout)
    return tunnel


def test_tun_set_up_by_us(lab: Lab):
    """A root's shell is there: nobody has to do anything, and nothing is left when the tunnel ends."""
    serve(lab, PermitTunnel="yes")
    forwarding_off(lab)
    before = Before(lab)
    tunnel = up_as_root(lab)
    check_carried(lab, "tun")
    tunnel.down()
    before.expect_restored()


def test_tun_set_up_by_us_for_packets_only(lab: Lab):
    """TCP as packets; forwarding was on before, and stays on."""
    serve(lab, PermitTunnel="yes", AllowTcpForwarding="no")
    lab.gw.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
    before = Before(lab)
    tunnel = up_as_root(lab)
    check_tcp(lab)
    check_datagrams(lab, True)
    check_protocol(lab, True, {})
    tunnel.down()
    before.expect_restored()


def test_tun_set_up_by_us_and_ssh_is_killed(lab: Lab):
    serve(lab, PermitTunnel="yes")
    forwarding_off(lab)
    before = Before(lab)
    tunnel = up_as_root(lab)
    check_ping(lab, True)
    for ssh in lab.near.processes("^ssh$"):
        os.kill(ssh.pid, signal.SIGKILL)
    expect(tunnel.wait(10), SSH)
    before.expect_restored()


def test_tun_set_up_by_us_and_sshd_is_killed(lab: Lab):
    serve(lab, PermitTunnel="yes")
    forwarding_off(lab)
    before = Before(lab)
    tunnel = up_as_root(lab)
    for sshd in lab.gw.processes("^sshd"):
        if "[listener]" not in sshd.args:
            os.kill(sshd.pid, signal.SIGKILL)
    expect(tunnel.wait(10), SSH)
    before.expect_restored()


def test_tun_set_up_by_us_and_the_engine_is_killed(lab: Lab):
    serve(lab, PermitTunnel="yes")
    forwarding_off(lab)
    before = Before(lab)
    tunnel = up_as_root(lab)
    os.kill(tunnel.engine().pid, signal.SIGKILL)
    before.expect_restored()


def test_tun_set_up_by_us_and_its_shell_is_ended(lab: Lab):
    """It undoes, and the tunnel goes on and says what there is to be done."""
    serve(lab, PermitTunnel="yes")
    forwarding_off(lab)
    tunnel = up_as_root(lab)
    for shell in setup_shells(lab):
        os.kill(shell.pid, signal.SIGTERM)
    wait_for(lambda: "has ended" in lab.near.run(["ecssh", "status"]).stdout, what="the word that it has ended")
    wait_for(lambda: ": tun100:" in lab.gw.run(["ip", "link"]).stdout, what="the device has its name again")
    expect(lab.gw.run(["nft", "list", "tables"]).stdout, "", "tables of gw")
    obey(lab, tunnel)
    check_ping(lab, True)
    check_swap(lab.near, FAR, 100_000)


def test_tun_and_a_helper_share_forwarding(lab: Lab):
    """Whoever of them comes or goes first: who leaves last puts forwarding back."""
    serve(lab, PermitTunnel="yes")
    forwarding_off(lab)
    before = Before(lab)
    for first, second in (("tun", "helper"), ("helper", "tun")):
        tunnels = {}
        for mode, subnet in ((first, "10.77.0.0/24"), (second, "10.78.0.0/24")):
            tunnels[mode] = Ecssh(lab.near, "up", "-p", PORT, "--mode", mode, "--plane", "packet", "--name", mode,
                                  "root@gw", subnet).connected()
        for there in (FAR, "10.78.0.2"):
            expect_in("1 received", lab.near.run(["ping", "-n", "-c1", "-W10", there], check=False).stdout)
        lab.near.run(["ecssh", "down", first])
        tunnels[first].wait(5)
        wait_for(lambda: len(re.findall("(?m)^table inet ecssh-guard", lab.gw.run(["nft", "list", "tables"]).stdout)) <= 2,
                 what="the guards of the first have gone")
        expect_in("1 received", lab.near.run(["ping", "-n", "-c1", "-W10", "10.78.0.2"], check=False).stdout)
        lab.near.run(["ecssh", "down", second])
        tunnels[second].wait(5)
        before.expect_restored()


def test_tun_of_root_without_nft(lab: Lab):
    """Why, and the commands; TCP goes on by channels; the device has its name again."""
    serve(lab, PermitTunnel="yes")
    forwarding_off(lab)
    real = lab.gw.run(["sh", "-c", "command -v nft"]).stdout.strip()
    lab.gw.write("/mnt/nft", "#!/bin/sh\nprintf 'Error: \\033[31mno\\nmore' >&2\nexit 1\n", mode=0o755)
    before = Before(lab)
    for mode, why in ((755, "Error: \\x1b[31mno more"), (644, "there is no nft on the server")):
        lab.gw.run(["chmod", mode, "/mnt/nft"])
        lab.gw.run(["mount", "--bind", "/mnt/nft", real])
        tunnel = Ecssh(lab.near, "up", "-p", PORT, "--mode", "tun", "root@gw", *SUBNETS).connected()
        text = lab.near.run(["ecssh", "status"]).stdout
        expect_in("up: ip link set tun100 up; ", text)
        expect_in("# to be run there, since we cannot: " + why, text)
        wait_for(lambda: ": tun100:" in lab.gw.run(["ip", "link"]).stdout, what="the device has its name")
        check_tcp(lab)
        lab.near.run(["ecssh", "down"])
        expect(tunnel.wait(5), OK)
        lab.gw.run(["umount", "--lazy", real])      # it may still be run
    before.expect_restored()


def test_tun_of_an_account_with_a_shell(lab: Lab):
    """Not root: the commands, and no more."""
    far_tun(lab)
    serve(lab, PermitTunnel="yes")
    tunnel = up(lab, "--mode", "tun")
    text = obey(lab, tunnel)
    expect_in("ip link set tun0 up; ", text)
    assert "#" not in text, text
    check_ping(lab, True)
    tunnel.down()


def test_tun_that_stays_is_left_alone(lab: Lab):
    """What an administrator has made is not ours to set up, even as root."""
    open_tun_driver(lab)
    lab.gw.run(["ip", "tuntap", "add", "tun5", "mode", "tun"])
    serve(lab, PermitTunnel="yes")
    tunnel = up(lab, "--mode", "tun", "--tun", "5", to="root@gw")
    text = obey(lab, tunnel)
    expect_in("ip link set tun5 up; ", text)
    expect_in("tun5 is a device that stays", text)
    check_ping(lab, True)
    tunnel.down()


def test_addresses_stay(lab: Lab):
    """What the administrator has set up once is good for the next time; another user has other addresses."""
    far_tun(lab)
    serve(lab, PermitTunnel="yes", **SFTP)
    tunnel = up(lab)
    addresses = tunnel.status()["addresses"]
    obey(lab, tunnel)
    tunnel.down()
    tunnel = up(lab)
    expect(tunnel.status()["addresses"], addresses, "addresses of the second time")
    check_ping(lab, True)


def test_two_users_and_packets(lab: Lab):
    """Both call their tunnel gw, and both have the packet plane."""
    serve(lab)
    root = up(lab, to="root@gw", subnets=("10.77.0.0/24",))
    other = Ecssh(lab.near, "up", "-p", PORT, "root@gw", "10.78.0.0/24", user="bob").connected()
    for user in ("root", "bob"):
        wait_for(lambda: "helper+packets" in lab.near.run(["ecssh", "status"], user).stdout, what=f"packets of {user}")
    expect_in("1 received", lab.near.run(["ping", "-n", "-c1", "-W10", "10.78.0.2"]).stdout)
    other.interrupt()
    expect(other.wait(5), OK)
    root.down()


# ---- forced up and down ----


def check_mode(lab: Lab, mode: str, rung: str, to: str = "gw") -> None:
    subnets = () if mode == "socks" else SUBNETS
    door = ("-D", str(DOOR)) if mode == "socks" else ()
    before = lab.near.snapshot()
    tunnel = Tunnel(lab, "-p", str(PORT), "--mode", mode, *door, to=to, subnets=subnets)
    if rung == "helper+packets":
        wait_for(lambda: packets_are_up(tunnel), what="the helper's word about packets")
    expect(tunnel.status()["rung"], rung, f"rung in mode {mode}")
    if mode == "socks":
        expect(lab.near.run(["ip", "link", "show", "type", "tun"]).stdout, "", "devices of near")
        check_names(lab)
    else:
        check_swap(lab.near, FAR, 100_000)
        check_ping(lab, rung != "direct")
    tunnel.down()
    wait_for(lambda: not [line for line in diff(before, lab.near.snapshot()) if not MAY_STAY.search(line)],
             what="near is as before")


def check_mode_fails(lab: Lab, mode: str, *mentions: str) -> None:
    subnets = () if mode == "socks" else SUBNETS
    Ecssh(lab.near, "up", "-p", PORT, "--mode", mode, "gw", *subnets).fails(GATEWAY, *mentions)


def test_modes_of_root(lab: Lab):
    """From the top every rung can be had."""
    serve(lab, PermitTunnel="yes")
    check_mode(lab, "helper", "helper+packets", "root@gw")
    check_mode(lab, "direct", "direct", "root@gw")
    check_mode(lab, "socks", "socks", "root@gw")
    check_mode(lab, "tun", "tun", "root@gw")


def test_modes_of_stock(lab: Lab):
    serve(lab)
    check_mode(lab, "helper", "helper")
    check_mode(lab, "direct", "direct")
    check_mode(lab, "socks", "socks")
    check_mode_fails(lab, "tun", "PermitTunnel")


def test_modes_without_commands(lab: Lab):
    serve(lab, **SFTP)
    check_mode_fails(lab, "helper", "files only")
    check_mode_fails(lab, "tun", "PermitTunnel")
    check_mode(lab, "direct", "direct")
    check_mode(lab, "socks", "socks")


def test_modes_without_forwarding(lab: Lab):
    serve(lab, AllowTcpForwarding="no")
    check_mode(lab, "helper", "helper")
    check_mode(lab, "socks", "socks")
    check_mode_fails(lab, "direct", "forward")


def test_modes_with_nothing(lab: Lab):
    serve(lab, **NOTHING)
    for mode in ("helper", "tun", "direct", "socks"):
        check_mode_fails(lab, mode, "gw")


# ---- what is remembered ----


def test_memory(lab: Lab):
    """A server that runs no helper is asked twice the first time, and once from then on."""
    serve(lab, **SFTP)
    for round_number, wanted in enumerate((2, 1, 1)):
        old = logins(lab)
        tunnel = up(lab)
        expect(logins(lab) - old, wanted, f"logins of round {round_number}")
        if wanted == 1:
            expect_in("--mode helper", "\n".join(tunnel.status()["why_not_higher"]))
        check_swap(lab.near, FAR, 10_000)
        tunnel.down()
    expect_in(f"alice@10.9.0.1:{PORT}", lab.near.path(MEMORY).read_text())
    expect(lab.near.path(MEMORY).stat().st_mode & 0o777, 0o600, "mode of the file")
    expect(lab.near.path(MEMORY).parent.stat().st_mode & 0o777, 0o700, "mode of its directory")
    old = logins(lab)
    check_mode_fails(lab, "helper", "files only")
    expect(logins(lab) - old, 1, "logins in mode helper")


def test_memory_ends(lab: Lab):
    """--mode helper tries again, and what it finds is remembered as well."""
    keys = lab.gw.path("/home/alice/.ssh/authorized_keys")
    stock = keys.read_text()
    serve(lab)
    force_key(lab, 'command="/bin/false"')
    up(lab).down()
    keys.write_text(stock)
    tunnel = up(lab)
    expect(tunnel.status()["rung"], "direct")
    tunnel.down()
    tunnel = up(lab, "--mode", "helper")
    expect(tunnel.status()["rung"], "helper")
    tunnel.down()
    expect(lab.near.path(MEMORY).read_text(), "")
    tunnel = up(lab)
    expect(tunnel.status()["rung"], "helper")
    tunnel.down()


def test_password_twice(lab: Lab):
    """From the helper to channels with a login that has to be typed."""
    allow_passwords(lab)
    serve(lab, **SFTP)
    terminal = Terminal(lab, "ecssh", "up", "-p", str(PORT), "gw", *SUBNETS)
    terminal.until("password:")
    terminal.type(PASSWORD + "\n")
    terminal.until("another login")
    terminal.text = terminal.text.rpartition("another login")[2]
    terminal.until("password:")
    terminal.type(PASSWORD + "\n")
    terminal.until("connected to gw as alice (rung direct")
    assert PASSWORD not in terminal.text, "the password was echoed"
    check_swap(lab.near, FAR, 100_000)
    terminal.type("\x03")
    expect(terminal.process.wait(5), OK, "exit status after Ctrl-C")


# ---- faults ----


def echoes(sock: socket.socket) -> None:
    sock.sendall(b"?")
    expect(sock.recv(1), b"?", "echo")


def test_channel_timeout_direct(lab: Lab):
    """The server ends idle connections; the tunnel goes on with new ones."""
    serve(lab, ChannelTimeout="direct-tcpip=1", **SFTP)
    tunnel = up(lab)
    with lab.near.connect(FAR, ECHO) as sock:
        echoes(sock)
        try:
            sock.recv(1)
            raise AssertionError("an idle connection that the server has closed is not reset")
        except ConnectionResetError:
            pass
    check_tcp(lab)
    check_dns(lab)
    tunnel.down()


def test_channel_timeout_tun(lab: Lab):
    """The device is asked for again, if it was there for long enough. (OpenSSH 9.2 calls it just tun.)"""
    far_tun(lab)
    serve(lab, ChannelTimeout="tun*=11", PermitTunnel="yes", **SFTP)
    tunnel = up(lab)
    obey(lab, tunnel)
    check_ping(lab, True)
    wait_for(lambda: "carries no packets any more" in tunnel.stderr(), 20, "the channel was closed")
    expect_in("ChannelTimeout", tunnel.stderr())
    wait_for(lambda: tunnel.status()["packets"] == "up", 10, "the channel is open again")
    check_ping(lab, True)
    tunnel.down()


def test_channel_timeout_session(lab: Lab):
    """The helper's own channel is idle for as long as nobody uses the tunnel."""
    serve(lab, ChannelTimeout="session:*=2")
    tunnel = up(lab)
    check_swap(lab.near, FAR, 100_000)
    expect(tunnel.wait(20), SSH, "exit status; it said:\n" + tunnel.stderr())
    expect_in("ChannelTimeout", tunnel.stderr())
    tunnel.expect_restored()


def test_unused_connection_timeout(lab: Lab):
    """A login without a channel is kept by the tunnel, or ends with a sentence."""
    serve(lab, UnusedConnectionTimeout="2", **SFTP)
    tunnel = up(lab)
    check_swap(lab.near, FAR, 100_000)
    start = time.monotonic()
    wait_for(lambda: tunnel.process.poll() is not None or time.monotonic() - start > 12, 15)
    if tunnel.process.poll() is None:
        check_swap(lab.near, FAR, 100_000)
        tunnel.down()
    else:
        expect(tunnel.process.returncode, SSH, "exit status")
        expect_in("the connection to gw is lost: Connection to 10.9.0.1 closed by remote host", tunnel.stderr())
    tunnel.expect_restored(except_for="/.cache/ecssh/")


def test_one_session_direct(lab: Lab):
    serve(lab, MaxSessions="1", **SFTP)
    tunnel = up(lab)
    check_carried(lab, "direct")
    tunnel.down()


def test_kill_9_of_ssh(lab: Lab):
    serve(lab, **SFTP)
    up(lab).down()      # remembers
    before = Before(lab)
    tunnel = up(lab)
    with lab.near.connect(FAR, ECHO) as sock:
        echoes(sock)
        os.kill(lab.near.process("^ssh$").pid, signal.SIGKILL)
        expect(tunnel.wait(8), SSH, "exit status; it said:\n" + tunnel.stderr())
    expect_in("ssh", tunnel.stderr())
    before.expect_restored()


def kill_engine(lab: Lab, *options: str) -> None:
    before = Before(lab)
    tunnel = up(lab, *options)
    with lab.near.connect(FAR, ECHO) as sock:
        echoes(sock)
        os.kill(tunnel.engine().pid, signal.SIGKILL)
        before.expect_restored()


def test_kill_9_of_engine_direct(lab: Lab):
    """No ssh is left, nor the place of its control socket."""
    serve(lab, **SFTP)
    up(lab).down()
    kill_engine(lab)


def test_kill_9_of_engine_with_forwards(lab: Lab):
    """The same where the control socket is needed for longer."""
    serve(lab)
    up(lab).down()
    kill_engine(lab, "-L", f"8080:{FAR}:80")


def test_kill_9_of_engine_tun(lab: Lab):
    far_tun(lab)
    serve(lab, PermitTunnel="yes", **SFTP)
    up(lab).down()
    kill_engine(lab)


def test_kill_9_of_engine_while_asking(lab: Lab):
    """At the prompt of ssh."""
    allow_passwords(lab)
    serve(lab, **SFTP)
    before = Before(lab)
    terminal = Terminal(lab, "ecssh", "up", "-p", str(PORT), "--mode", "direct", "gw", *SUBNETS)
    terminal.until("password:")
    os.kill(lab.near.process("^ecssh$").pid, signal.SIGKILL)
    terminal.process.wait(5)
    wait_for(lambda: not lab.near.processes("^ssh$"), what="no ssh is left")
    Ecssh(lab.near, "up", "-p", PORT, "--mode", "direct", "-o", "BatchMode=yes", "gw", *SUBNETS).fails(SSH)
    before.expect_restored()


def test_another_ssh(lab: Lab):
    """Without a control socket there is the helper, or a sentence."""
    lab.near.write("/usr/local/bin/ssh", ANOTHER_SSH, mode=0o755)
    lab.sshd(port=PORT)
    check_mode(lab, "auto", "helper")
    before = Before(lab)
    Ecssh(lab.near, "up", "-p", PORT, "--mode", "direct", "gw", *SUBNETS).fails(GATEWAY, "OpenSSH", seconds=40)
    before.expect_restored()


def error_of_recv(sock: socket.socket) -> str:
    try:
        return repr(sock.recv(1))
    except OSError as error:
        return errno.errorcode.get(error.errno, repr(error))


AT_A_TIME = 400


def refuse_many(lab: Lab, number: int) -> None:
    """Connections, some at a time, each to a port that nobody listens on; an answer is not used twice."""
    for first in range(20000, 20000 + number, AT_A_TIME):
        expect(set(connect_errors(lab.near, FAR, range(first, first + AT_A_TIME))), {"ECONNREFUSED"},
               f"connections from {first - 20000}")


@slow
@timeout(150)
def test_20000_refusals(lab: Lab):
    """ssh never forgets a refused connection, and ends at 16,384: it is replaced in time."""
    serve(lab, MaxStartups="100", **SFTP)
    up(lab).down()
    tunnel = up(lab)
    first = lab.near.process("^ssh$").pid
    with lab.near.connect(FAR, ECHO) as sock:
        echoes(sock)
        refuse_many(lab, 20_000)
        echoes(sock)
    wait_for(lambda: [p.pid for p in lab.near.processes("^ssh$")] not in ([], [first]), 5, "ssh was replaced")
    check_tcp(lab)
    wait_for(lambda: first not in [p.pid for p in lab.near.processes("^ssh$")], 5, "the worn ssh has gone")
    expect(tunnel.status()["connections"]["refused"] >= 20_000, True, "refused connections are counted")
    tunnel.down()
    tunnel.expect_restored()


@slow
@timeout(150)
def test_kill_9_of_worn_ssh(lab: Lab):
    """The connections that go on in it are reset, and only they."""
    serve(lab, **SFTP)
    up(lab).down()
    tunnel = up(lab)
    first = lab.near.process("^ssh$").pid
    with lab.near.connect(FAR, ECHO) as old:
        echoes(old)
        refuse_many(lab, 9_500)
        wait_for(lambda: len(lab.near.processes("^ssh$")) == 2, 5, "another ssh has taken over")
        with lab.near.connect(FAR, ECHO) as new:
            echoes(new)
            os.kill(first, signal.SIGKILL)
            expect(error_of_recv(old), "ECONNRESET", "the connection of the old ssh")
            echoes(new)
    check_tcp(lab)
    tunnel.down()
    tunnel.expect_restored()


@slow
@timeout(150)
def test_refusals_without_another_login(lab: Lab):
    """ssh cannot be replaced: a warning, in time, and existing connections live on."""
    serve(lab, **SFTP)
    up(lab).down()
    tunnel = up(lab)
    lab.gw.path("/home/alice/.ssh/authorized_keys").write_text("")
    with lab.near.connect(FAR, ECHO) as sock:
        echoes(sock)
        for first in range(20_000, 40_000, AT_A_TIME):
            if set(connect_errors(lab.near, FAR, range(first, first + AT_A_TIME))) != {"ECONNREFUSED"}:
                break
        else:
            raise AssertionError("a worn ssh is still used")
        expect_in("needs to be replaced", tunnel.stderr())
        expect_in("Permission denied", tunnel.stderr())
        echoes(sock)
        expect(tunnel.process.poll(), None, "the tunnel lives")
    tunnel.down()
    tunnel.expect_restored()
