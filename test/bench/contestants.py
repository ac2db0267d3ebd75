# SPDX-License-Identifier: MIT
"""What is measured: ways from near through gw to far.

A contestant is a context manager that takes a lab and yields the address at which far is reached from
near while it stands. A new one that differs in options only is a line of CONTESTANTS.

All those that go through ssh use aes128-gcm@openssh.com, OpenVPN uses AES-128-GCM; wireguard-go has no
choice. ecssh runs as an ordinary user with sudo. `ssh -w` runs a command beside the tunnel, because
sshd leaves Nagle's algorithm on otherwise; OpenVPN over TCP is told to switch it off.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable, ContextManager, Iterator, NamedTuple, Optional

from lab import HELPER, Host, Lab, wait_for

FAR, GW, SUBNET = "10.77.0.2", "10.9.0.1", "10.77.0.0/24"
BULK, SMALL = 5201, 5202            # ports of the load's two servers on far
CIPHER = "-oCiphers=aes128-gcm@openssh.com"
TUN_NEAR, TUN_GW, TUN_NET = "10.66.0.2", "10.66.0.1", "10.66.0.0/24"
START_S = 15
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Contestant(NamedTuple):
    title: str
    run: Callable[[Lab], ContextManager[str]]
    has_udp: bool = True
    answers_early: bool = False     # connect(2) returns before the far end is asked
    links: Optional[tuple[str, ...]] = None     # where it is worth the time; None: everywhere
    bbr: tuple[str, ...] = ()       # hosts on which its sockets may use bbr


# -- parts of them -----------------------------------------------------------------------------------


@contextlib.contextmanager
def stopping(process: subprocess.Popen) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


@contextlib.contextmanager
def forwarding(lab: Lab, *routes: str) -> Iterator[None]:
    """gw forwards for a while, and far knows the way back."""
    lab.gw.sysctl(ipv4__ip_forward=1)
    lab.far.ip(*(f"route add {route} via 10.77.0.1" for route in routes))
    try:
        yield
    finally:
        lab.far.ip(*(f"route del {route}" for route in routes))
        lab.gw.sysctl(ipv4__ip_forward=0)


def reachable(lab: Lab, address: str = FAR) -> bool:
    """Whether an echo comes back: those that answer early accept whatever is behind them."""
    try:
        with lab.near.connect(address, SMALL, 2) as sock:
            sock.sendall(b"e?")
            return sock.recv(1) == b"?"
    except OSError:
        return False


def wait_reachable(lab: Lab, what: str) -> None:
    wait_for(lambda: reachable(lab), START_S, f"{what} carries")


def has_link(host: Host, name: str) -> bool:
    return host.path("/sys/class/net").joinpath(name).is_dir()


def wait_link(host: Host, name: str, is_there: bool = True) -> None:
    state = "is there" if is_there else "has gone"
    wait_for(lambda: has_link(host, name) == is_there, START_S, f"{name} on {host.name} {state}")


# -- the contestants ---------------------------------------------------------------------------------


@contextlib.contextmanager
def no_tunnel(lab: Lab) -> Iterator[str]:
    with forwarding(lab, "10.9.0.0/24"):
        lab.near.ip(f"route add {SUBNET} via {GW}")
        try:
            yield FAR
        finally:
            lab.near.ip(f"route del {SUBNET}")


@contextlib.contextmanager
def ecssh(*arguments: str, lab: Lab) -> Iterator[str]:
    lab.near.run(["ecssh", "up", "-f", "-o", CIPHER[2:], *arguments, SUBNET], user="bob")
    try:
        wait_reachable(lab, "ecssh")
        yield FAR
    finally:
        lab.near.run(["ecssh", "down"], user="bob", check=False)
    # A privileged one switched forwarding on, and will switch it off.
    wait_for(lambda: not lab.gw.processes(HELPER), START_S, "the gateway is as it was")


@contextlib.contextmanager
def ecssh_tun(*arguments: str, lab: Lab) -> Iterator[str]:
    """sshd's own tun; ecssh sets it up on the gateway, being root there."""
    lab.near.run(["ecssh", "up", "-f", "-o", CIPHER[2:], "--mode", "tun", *arguments, "-p2222", "root@gw", SUBNET],
                 user="bob")
    try:
        wait_reachable(lab, "sshd's tun")
        yield FAR
    finally:
        lab.near.run(["ecssh", "down"], user="bob", check=False)


@contextlib.contextmanager
def ssh_forward(lab: Lab) -> Iterator[str]:
    forwards = [f"-L{port}:{FAR}:{port}" for port in (BULK, SMALL)]
    with stopping(lab.near.popen(["ssh", CIPHER, "-N", *forwards, "gw"], **QUIET)):
        wait_for(lambda: reachable(lab, "127.0.0.1"), START_S, "ssh -L carries")
        yield "127.0.0.1"


@contextlib.contextmanager
def through_device(lab: Lab, device: str, what: str) -> Iterator[str]:
    """Address a tunnel's two devices, which have the same name, and route through them."""
    for host, address in ((lab.near, TUN_NEAR), (lab.gw, TUN_GW)):
        wait_link(host, device)
        host.ip(f"addr add {address}/24 dev {device}", f"link set {device} up")
    with forwarding(lab, TUN_NET):
        lab.near.ip(f"route add {SUBNET} via {TUN_GW}")
        wait_reachable(lab, what)
        yield FAR


@contextlib.contextmanager
def ssh_tun(lab: Lab) -> Iterator[str]:
    ssh = ["ssh", CIPHER, "-p2222", "-w0:0", "root@gw", "sleep infinity"]
    with stopping(lab.near.popen(ssh, **QUIET)), through_device(lab, "tun0", "ssh -w"):
        yield FAR
    wait_link(lab.gw, "tun0", False)


@contextlib.contextmanager
def sshuttle(lab: Lab) -> Iterator[str]:
    command = ["/usr/bin/sshuttle", "--method=nft", "--disable-ipv6", "-e", f"ssh {CIPHER}", "-r", "gw", SUBNET]
    lab.near.ip(f"route add {SUBNET} via {GW}")     # it redirects, but something must be routed
    try:
        with stopping(lab.near.popen(command, **QUIET)):
            wait_reachable(lab, "sshuttle")
            yield FAR
    finally:
        lab.near.ip(f"route del {SUBNET}")


def openvpn_identity(host: Host) -> str:
    """Make a key and a certificate for itself; returns the fingerprint that the peer is told."""
    host.path("/run/openvpn").mkdir(mode=0o700, exist_ok=True)
    host.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
              "-subj", f"/CN={host.name}", "-days", "30", "-keyout", "/run/openvpn/key", "-out", "/run/openvpn/cert"])
    out = host.run(["openssl", "x509", "-in", "/run/openvpn/cert", "-noout", "-fingerprint", "-sha256"]).stdout
    return out.strip().split("=")[1]


@contextlib.contextmanager
def openvpn(near_proto: str, gw_proto: str, *more: str, lab: Lab) -> Iterator[str]:
    fingerprints = {host: openvpn_identity(host) for host in (lab.near, lab.gw)}
    common = ["openvpn", "--dev", "tun0", "--dev-type", "tun", "--cert", "/run/openvpn/cert", "--key",
              "/run/openvpn/key", "--data-ciphers", "AES-128-GCM", "--verb", "1", "--topology", "subnet", *more]
    near = [*common, "--tls-client", "--peer-fingerprint", fingerprints[lab.gw], "--proto", near_proto,
            "--remote", GW, "--nobind", "--ifconfig", TUN_NEAR, "255.255.255.0"]
    gw = [*common, "--tls-server", "--dh", "none", "--peer-fingerprint", fingerprints[lab.near], "--proto", gw_proto,
          "--ifconfig", TUN_GW, "255.255.255.0"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(forwarding(lab, TUN_NET))
        stack.enter_context(stopping(lab.gw.popen(gw, **QUIET)))
        wait_for(lambda: ":1194 " in lab.gw.run(["ss", "-Hlntu"]).stdout, START_S, "OpenVPN listens")
        stack.enter_context(stopping(lab.near.popen(near, **QUIET)))
        # It makes the device, and a little later addresses it.
        wait_for(lambda: TUN_NEAR in lab.near.run(["ip", "addr", "show", "tun0"], check=False).stdout, START_S,
                 "OpenVPN's device has its address")
        lab.near.ip(f"route add {SUBNET} via {TUN_GW}")
        wait_reachable(lab, "OpenVPN")
        yield FAR
    for host in (lab.near, lab.gw):
        wait_link(host, "tun0", False)


@contextlib.contextmanager
def wireguard(lab: Lab) -> Iterator[str]:
    # Debian's refuses to run where the kernel has WireGuard of its own, unless it is told that we mean it.
    start = {"env": {"WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD": "1", "LOG_LEVEL": "error"}, **QUIET}
    hosts = (lab.near, lab.gw)
    keys = {host: host.run(["wg", "genkey"]).stdout for host in hosts}
    publics = {host: host.run(["wg", "pubkey"], stdin=key).stdout.strip() for host, key in keys.items()}
    with contextlib.ExitStack() as stack:
        for host, peer in (hosts, hosts[::-1]):
            stack.enter_context(stopping(host.popen(["wireguard-go", "-f", "wg0"], **start)))
            wait_for(host.path("/run/wireguard/wg0.sock").exists, START_S, "wireguard-go listens")
            host.write("/run/wireguard.key", keys[host], mode=0o600)
            end = ["endpoint", f"{GW}:51820"] if host is lab.near else []
            host.run(["wg", "set", "wg0", "listen-port", "51820", "private-key", "/run/wireguard.key", "peer",
                      publics[peer], "allowed-ips", f"{TUN_NET},{SUBNET}", *end])
            host.ip("link set wg0 mtu 1420")
        stack.enter_context(through_device(lab, "wg0", "wireguard-go"))
        yield FAR
    for host in hosts:
        wait_link(host, "wg0", False)


def through_ecssh(*arguments: str) -> Callable[[Lab], ContextManager[str]]:
    return lambda lab: ecssh(*arguments, lab=lab)


def through_openvpn(*arguments: str) -> Callable[[Lab], ContextManager[str]]:
    return lambda lab: openvpn(*arguments, lab=lab)


CONTESTANTS: dict[str, Contestant] = {
    "none": Contestant("no tunnel", no_tunnel),
    "ecssh": Contestant("ecssh", through_ecssh("gw")),
    "ecssh-bbr": Contestant("ecssh, bbr permitted here", through_ecssh("gw"), links=("lossy", "cable", "long"),
                            bbr=("near",)),
    "ecssh-root": Contestant("ecssh, privileged helper", through_ecssh("root@gw"), links=("lossy", "cable", "long"),
                             bbr=("near", "gw")),
    "ecssh-4": Contestant("ecssh, 4 connections", through_ecssh("--connections", "4", "gw"),
                          links=("veth", "lossy", "cable", "long")),
    "ecssh-packet": Contestant("ecssh, packet plane", through_ecssh("--plane", "packet", "root@gw")),
    "ecssh-direct": Contestant("ecssh, direct", through_ecssh("--mode", "direct", "gw"), has_udp=False),
    "ecssh-tun": Contestant("ecssh, sshd's tun", lambda lab: ecssh_tun(lab=lab)),
    "ecssh-tun-packet": Contestant("ecssh, sshd's tun, TCP as packets",
                                   lambda lab: ecssh_tun("--plane", "packet", lab=lab), links=("veth", "dsl")),
    "ssh-L": Contestant("`ssh -L`", ssh_forward, has_udp=False, answers_early=True),
    "ssh-w": Contestant("`ssh -w`", ssh_tun),
    "sshuttle": Contestant("sshuttle", sshuttle, has_udp=False, answers_early=True),
    "openvpn-udp": Contestant("OpenVPN, UDP", through_openvpn("udp", "udp")),
    "openvpn-tcp": Contestant("OpenVPN, TCP",
                              through_openvpn("tcp-client", "tcp-server", "--socket-flags", "TCP_NODELAY")),
    "wireguard-go": Contestant("wireguard-go", wireguard),
}


# -- congestion control ------------------------------------------------------------------------------


def fix_cubic(host: Host, is_fixed: bool) -> None:
    """Have this host's connections over the line use cubic and nothing else, or leave the choice to them.

    It is said to the route: who may use bbr is a setting of the whole machine, and root always may.
    """
    net = "10.9.0.0/24"
    old = host.run(["ip", "-4", "route", "show", net]).stdout.split(" congctl ")[0].split()
    host.run(["ip", "-4", "route", "replace", *old, *(["congctl", "lock", "cubic"] if is_fixed else [])])


@contextlib.contextmanager
def congestion_control(lab: Lab, contestant: Contestant) -> Iterator[None]:
    """cubic everywhere, as on ordinary machines, except where the contestant is said to have bbr."""
    allowed = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
    before = allowed.read_text().strip()
    if contestant.bbr and "bbr" not in before.split():
        try:
            allowed.write_text(before + " bbr")
        except OSError as error:
            raise RuntimeError("this kernel has no bbr: modprobe tcp_bbr") from error
    for host in (lab.near, lab.gw):
        fix_cubic(host, host.name not in contestant.bbr)
    try:
        yield
    finally:
        if contestant.bbr:
            allowed.write_text(before)


@contextlib.contextmanager
def standing(lab: Lab, contestant: Contestant) -> Iterator[tuple[str, float]]:
    """The contestant, up: the address of far and the seconds it took to get there."""
    with congestion_control(lab, contestant):
        start = time.monotonic()
        with contestant.run(lab) as address:
            yield address, time.monotonic() - start
