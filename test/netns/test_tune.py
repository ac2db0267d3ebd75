# SPDX-License-Identifier: MIT
"""The TCP connection beneath ssh: it is found and shown, and sends by BBR from when it loses segments, at both ends.

    near ──ssh── gw ── far (10.77.0.2)
"""

import os
import re
import signal
import threading
from contextlib import suppress

from common import Skip, Tunnel, expect, expect_in, over, timeout
from lab import BUILD, PYTHON, Lab, Wan, wait_for
from services import ECHO

LOSSY = Wan(rate_mbit=50, rtt_ms=40, queue_ms=200, loss_percent=1)
CLEAN = Wan(rate_mbit=50, rtt_ms=40, queue_ms=200)
NO_LOSS = "cubic: no loss by chance seen"

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


class Traffic:
    """Bytes to an echo beyond the tunnel and back, until the end of the block."""

    def __init__(self, lab: Lab):
        self.sock = lab.near.connect("10.77.0.2", ECHO)
        self.sock.settimeout(60)
        self.n_back = 0
        self.is_over = False
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.send, self.receive)]

    def send(self) -> None:
        try:
            while not self.is_over:
                self.sock.sendall(bytes(65536))
        except OSError:
            pass    # the test has ended it, or sees that the echo does not come back

    def receive(self) -> None:
        try:
            while data := self.sock.recv(65536):
                self.n_back += len(data)
        except OSError:
            pass

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.sock.shutdown(2)
        for thread in self.threads:
            thread.join()
        self.sock.close()

    def wait(self, n: int) -> None:
        wait_for(lambda: self.n_back >= n, 60, f"{n} bytes come back")


def test_is_found(lab: Lab):
    """And nothing of it stays open in the engine."""
    tunnel = Tunnel(lab)
    ssh = tunnel.status()["ssh"]
    expect(ssh["peer"], "10.9.0.1:22", "peer")
    expect((ssh["congestion"], ssh["tuning"]), ("cubic", NO_LOSS), "congestion control")
    assert ssh["cwnd"] > 0 and ssh["rtt_us"] > 0, ssh
    expect(algorithms(lab.near, "dport = :22"), {"cubic"}, "according to ss")
    for part in ("TCP to 10.9.0.1:22", "congestion control cubic", "round trip", "segments"):
        expect_in(part, verbose(lab))
    assert "TCP to" not in lab.near.run(["ecssh", "status"]).stdout
    engine = f"/proc/{tunnel.engine().pid}/fd"
    inodes = set()
    for fd in os.listdir(engine):
        with suppress(FileNotFoundError):       # that of a question which has just been answered
            inodes.add(os.readlink(f"{engine}/{fd}"))
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
    lab.sshd(host=lab.far)
    tunnel = Tunnel(lab, "-J", "gw", to="far", subnets=("10.78.0.0/24",))
    ssh = tunnel.status()["ssh"]
    expect((ssh["peer"], ssh["tuning"]), ("10.9.0.1:22", NO_LOSS), "peer and congestion control")
    tunnel.down()


def expect_bbr_near(tunnel: Tunnel) -> None:
    """Soon there is; and it was not told in vain."""
    with Traffic(tunnel.lab):
        wait_for(lambda: tunnel.status()["ssh"]["congestion"] == "bbr", 40, "near sends by bbr")
    assert re.fullmatch(r"bbr: loss of \d\.\d\d % seen", tunnel.status()["ssh"]["tuning"]), tunnel.status()["ssh"]
    expect(algorithms(tunnel.lab.near, "dport = :22"), {"bbr"}, "according to ss")


@over(LOSSY)
@timeout(120)
def test_loss(lab: Lab):
    """sshd's end is not ours without privilege."""
    need_bbr()
    tunnel = Tunnel(lab)
    expect_bbr_near(tunnel)
    expect(at_sshd(lab), {"cubic"}, "at sshd")
    tunnel.down()


@over(LOSSY)
@timeout(120)
def test_channels(lab: Lab):
    need_bbr()
    tunnel = Tunnel(lab, "--mode", "direct")
    expect(tunnel.status()["ssh"]["peer"], "10.9.0.1:22", "peer")
    expect_bbr_near(tunnel)
    tunnel.down()


@over(CLEAN)
@timeout(120)
def test_no_loss(lab: Lab):
    """Whatever is carried, both ends stay as they are."""
    tunnel = Tunnel(lab, to="root@gw")
    with Traffic(lab) as traffic:
        traffic.wait(20 << 20)
    expect(tunnel.status()["ssh"]["tuning"], NO_LOSS, "near")
    expect(at_sshd(lab), {"cubic"}, "at sshd")
    expect_in("sshd sends by cubic: no loss by chance seen", verbose(lab))
    tunnel.down()
    tunnel.expect_restored()


def test_is_out_of_reach(lab: Lab):
    """The connection is held by a process that does not descend from ssh: said, and no failure."""
    relay = f"{BUILD}/test/tools/delaypipe 10.9.0.1 %p 1 1000"
    lab.near.write("/root/.ssh/config", f"Host gw\n ProxyCommand sh -c '({relay} <&3 &) 3<&0'\n" +
                   lab.near.path("/root/.ssh/config").read_text())
    tunnel = Tunnel(lab)
    expect_in("holds a TCP connection", tunnel.status()["ssh"]["why_not"])
    expect_in("not reachable: neither ssh nor a descendant", verbose(lab))
    tunnel.down()


@over(LOSSY)
@timeout(120)
def test_bbr_is_not_permitted(lab: Lab):
    """Cubic stays, and status says why."""
    tunnel = Tunnel(lab, prefix=(PYTHON, "-c", REFUSING))
    with Traffic(lab):
        wait_for(lambda: tunnel.status()["ssh"]["tuning"] != NO_LOSS, 40, "loss is seen")
    ssh = tunnel.status()["ssh"]
    expect(ssh["congestion"], "cubic", "congestion control")
    expect_in("cubic, though loss of", ssh["tuning"])
    expect_in("tcp_allowed_congestion_control", ssh["tuning"])
    expect_in("tcp_allowed_congestion_control", verbose(lab))
    tunnel.down()


@over(LOSSY)
@timeout(120)
def test_off(lab: Lab):
    """Neither end is touched, privilege and loss or not."""
    tunnel = Tunnel(lab, "--tune", "off", to="root@gw")
    with Traffic(lab) as traffic:
        traffic.wait(2 << 20)
    ssh = tunnel.status()["ssh"]
    expect((ssh["congestion"], ssh["tuning"]), ("cubic", "off (--tune off)"), "near")
    expect(at_sshd(lab), {"cubic"}, "at sshd")
    assert "sshd sends" not in verbose(lab)
    tunnel.down()
    tunnel.expect_restored()


def kill_sshd(tunnel: Tunnel) -> None:
    """Whoever has a copy of its socket, the connection ends with it."""
    for process in tunnel.lab.gw.processes("^sshd$"):
        if "[listener]" not in process.args:
            os.kill(process.pid, signal.SIGKILL)
    tunnel.wait(5)
    tunnel.expect_restored()


def far_end(lab: Lab, *arguments: str, to: str) -> None:
    need_bbr()
    tunnel = Tunnel(lab, *arguments, to=to)
    with Traffic(lab):
        wait_for(lambda: at_sshd(lab) == {"bbr"}, 40, "sshd sends by bbr")
        wait_for(lambda: "sshd sends by bbr: loss of" in verbose(lab), 20, "and near knows")
    kill_sshd(tunnel)


@over(LOSSY)
@timeout(120)
def test_far_end_of_root(lab: Lab):
    far_end(lab, to="root@gw")


@over(LOSSY)
@timeout(120)
def test_far_end_by_sudo(lab: Lab):
    lab.gw.write("/etc/sudoers.d/lab", "alice ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    far_end(lab, "--sudo", to="gw")


def test_far_end_that_still_looks(lab: Lab):
    tunnel = Tunnel(lab, to="root@gw")
    wait_for(lambda: "sshd sends by cubic: no loss by chance seen" in verbose(lab), 20, "status tells of sshd")
    kill_sshd(tunnel)


def test_unknown_word(lab: Lab):
    out = lab.near.run(["ecssh", "up", "--tune", "most", "gw"], check=False)
    expect(out.returncode, 2, "exit status")
    expect_in("auto or off", out.stderr)
