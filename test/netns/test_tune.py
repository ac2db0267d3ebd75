# SPDX-License-Identifier: MIT
"""The TCP connection beneath ssh: it is found, shown and made to send by BBR, at both ends.

    near ──ssh── gw ── far (10.77.0.2)
"""

import os
import re
import signal

from common import Skip, Tunnel, expect, expect_in
from lab import PYTHON, Lab, wait_for
from services import ECHO

# Runs its arguments where setsockopt(TCP_CONGESTION) is refused, as it is to users whom the kernel
# does not allow the algorithm. The kernel's own list belongs to the whole machine.
REFUSING = """
import ctypes, errno, os, platform, struct, sys
call, arch = {"x86_64": (54, 0xc000003e), "aarch64": (208, 0xc00000b7)}[platform.machine()]
load, equal, answer, allow, refuse = 0x20, 0x15, 0x06, 0x7fff0000, 0x00050000 | errno.EPERM
program = [(load, 0, 0, 4), (equal, 0, 7, arch), (load, 0, 0, 0), (equal, 0, 5, call),
           (load, 0, 0, 24), (equal, 0, 3, 6), (load, 0, 0, 32), (equal, 0, 1, 13),
           (answer, 0, 0, refuse), (answer, 0, 0, allow)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
head = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
if ctypes.CDLL(None, use_errno=True).prctl(22, 2, head) != 0:
    sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
"""


def need_bbr() -> None:
    with open("/proc/sys/net/ipv4/tcp_available_congestion_control", encoding="ascii") as available:
        if "bbr" not in available.read().split():
            raise Skip("this kernel has no bbr")


def verbose(lab: Lab) -> str:
    return lab.near.run(["ecssh", "status", "-v"]).stdout


def algorithms(host, filter_: str) -> set:
    """The congestion controls of the host's connections that fit the filter of ss(8)."""
    out = host.run(["ss", "-Htin", "state", "established", filter_]).stdout
    return set(re.findall(r"(?m)^\s+(?:ts |sack |ecn |ecnseen |fastopen )*(\w+) ", out))


def at_sshd(lab: Lab) -> set:
    return algorithms(lab.gw, "sport = :22")


def test_is_found_and_tuned(lab: Lab):
    """And nothing of it stays open in the engine; sshd's end is not ours without privilege."""
    need_bbr()
    tunnel = Tunnel(lab)
    ssh = tunnel.status()["ssh"]
    expect(ssh["peer"], "10.9.0.1:22", "peer")
    expect((ssh["congestion"], ssh["tuning"]), ("bbr", "bbr"), "congestion control")
    assert ssh["cwnd"] > 0 and ssh["rtt_us"] > 0, ssh
    expect(algorithms(lab.near, "dport = :22"), {"bbr"}, "according to ss")
    expect(at_sshd(lab), {"cubic"}, "at sshd")
    for part in ("TCP to 10.9.0.1:22", "congestion control bbr", "round trip", "segments"):
        expect_in(part, verbose(lab))
    assert "TCP to" not in lab.near.run(["ecssh", "status"]).stdout
    engine = f"/proc/{tunnel.engine().pid}/fd"
    inodes = {os.readlink(f"{engine}/{fd}") for fd in os.listdir(engine)}
    sockets = lab.near.run(["ss", "-Htne", "dport = :22"]).stdout
    assert not inodes & {f"socket:[{inode}]" for inode in re.findall(r"ino:(\d+)", sockets)}
    tunnel.down()
    tunnel.expect_restored()


def test_connections_that_ssh_forwards_are_others(lab: Lab):
    tunnel = Tunnel(lab, "-L", f"7007:10.77.0.2:{ECHO}")
    wait_for(lambda: tunnel.status()["forwards"][0]["state"] == "up")
    with lab.near.connect("127.0.0.1", 7007) as sock:
        sock.sendall(b"?")
        expect(sock.recv(1), b"?", "the echo")
        expect(tunnel.status()["ssh"]["peer"], "10.9.0.1:22", "peer")
    tunnel.down()


def test_behind_a_jump(lab: Lab):
    """The inner ssh has the connection."""
    need_bbr()
    lab.sshd(host=lab.far)
    tunnel = Tunnel(lab, "-J", "gw", to="far", subnets=("10.78.0.0/24",))
    ssh = tunnel.status()["ssh"]
    expect((ssh["peer"], ssh["congestion"]), ("10.9.0.1:22", "bbr"), "peer and congestion control")
    tunnel.down()


def test_channels(lab: Lab):
    need_bbr()
    tunnel = Tunnel(lab, "--mode", "direct")
    ssh = tunnel.status()["ssh"]
    expect((ssh["peer"], ssh["congestion"]), ("10.9.0.1:22", "bbr"), "peer and congestion control")
    tunnel.down()


def test_bbr_is_not_permitted(lab: Lab):
    """Cubic stays, and status says why."""
    tunnel = Tunnel(lab, prefix=(PYTHON, "-c", REFUSING))
    ssh = tunnel.status()["ssh"]
    expect(ssh["congestion"], "cubic", "congestion control")
    expect_in("tcp_allowed_congestion_control", ssh["tuning"])
    expect_in("tcp_allowed_congestion_control", verbose(lab))
    tunnel.down()


def test_off(lab: Lab):
    """Neither end is touched, privilege or not."""
    tunnel = Tunnel(lab, "--tune", "off", "--plane", "packet", to="root@gw")
    ssh = tunnel.status()["ssh"]
    expect((ssh["congestion"], ssh["tuning"]), ("cubic", "off (--tune off)"), "near")
    expect(at_sshd(lab), {"cubic"}, "at sshd")
    assert "sshd sends" not in verbose(lab)
    tunnel.down()
    tunnel.expect_restored()


def far_end(lab: Lab, *arguments: str, to: str) -> None:
    need_bbr()
    tunnel = Tunnel(lab, "--plane", "packet", *arguments, to=to)
    expect(at_sshd(lab), {"bbr"}, "at sshd")
    expect_in("sshd sends by bbr", verbose(lab))
    # No copy is left: sshd's death ends the connection while the broker may still be at work.
    for process in lab.gw.processes("^sshd$"):
        if "[listener]" not in process.args:
            os.kill(process.pid, signal.SIGKILL)
    tunnel.wait(5)
    tunnel.expect_restored()


def test_far_end_of_root(lab: Lab):
    far_end(lab, to="root@gw")


def test_far_end_by_sudo(lab: Lab):
    lab.gw.write("/etc/sudoers.d/lab", "alice ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    far_end(lab, "--sudo", to="gw")


def test_unknown_word(lab: Lab):
    out = lab.near.run(["ecssh", "up", "--tune", "most", "gw"], check=False)
    expect(out.returncode, 2, "exit status")
    expect_in("auto or off", out.stderr)
