# SPDX-License-Identifier: MIT
"""Several connections of ssh for one session: --connections.

    near: ecssh ══ ssh, ssh, ssh, ssh ══ gw: sshd, helper ── far
"""

import hashlib
import os
import pty
import re
import signal
import threading

from common import OK, USAGE, Ecssh, Tunnel, expect, expect_in, timeout
from lab import BUILD, PASSWORD, SUBNETS, Host, Lab, wait_for
from services import SINK, SOURCE

FAR = "10.77.0.2"


def tunnel(lab: Lab, n: int, *arguments: object) -> Tunnel:
    t = Tunnel(lab, "--connections", n, *arguments)
    wait_for(lambda: opened(t) == n, 20, f"{n} connections")
    return t


def opened(t: Tunnel) -> int:
    return t.status()["ssh_connections"]["open"]


def further(host: Host) -> list[int]:
    """The ssh processes of near that joined a helper."""
    return [p.pid for p in host.processes("^ssh$") if "--join" in p.args]


def bridges(lab: Lab) -> list[int]:
    return [p.pid for p in lab.gw.processes() if "--join" in p.args]


class Both(threading.Thread):
    """Bytes up and down at once, each checked by its hash."""

    def __init__(self, lab: Lab, size: int):
        super().__init__()
        self.lab, self.size, self.error, self.done = lab, size, None, 0

    def up(self) -> None:
        data = os.urandom(1 << 20)
        sent = hashlib.sha256()
        with self.lab.near.connect(FAR, SINK) as peer:
            for _ in range(self.size >> 20):
                peer.sendall(data)
                sent.update(data)
                self.done += len(data)
            peer.shutdown(1)
            expect(peer.recv(64).decode(), sent.hexdigest(), "hash of what went up")

    def down(self) -> None:
        with self.lab.near.connect(FAR, SOURCE) as peer, peer.makefile("rb") as file:
            peer.sendall(b"%d\n" % self.size)
            came = hashlib.sha256()
            for _ in range(self.size >> 20):
                came.update(file.read(1 << 20))
                self.done += 1 << 20
            expect(came.hexdigest(), file.read(64).decode(), "hash of what came down")

    def run(self) -> None:
        def guard(function):
            try:
                function()
            except BaseException as error:
                self.error = error
        other = threading.Thread(target=guard, args=[self.up])
        other.start()
        guard(self.down)
        other.join()

    def check(self) -> None:
        self.join()
        if self.error:
            raise self.error


def test_bytes_over_four(lab: Lab):
    t = tunnel(lab, 4)
    both = Both(lab, 100 << 20)
    both.start()
    both.check()
    report = t.status()["ssh_connections"]
    expect((report["wanted"], report["open"], report["links"], report["why_not"]), (4, 4, 4, ""), "connections")
    expect(len(further(lab.near)), 3, "further ssh")
    expect_in("connections 4 of 4, 4 links", lab.near.run(["ecssh", "status"]).stdout)
    t.down()
    t.expect_restored()
    wait_for(lambda: not list(lab.gw.path("/tmp").glob("ecssh-*")), what="nothing is left on gw")


def kill_one(lab: Lab, victims, sig: int) -> None:
    """One of them while bytes are under way: none is lost, and another comes in its place."""
    t = tunnel(lab, 4)
    both = Both(lab, 200 << 20)
    both.start()
    wait_for(lambda: both.done > 20 << 20 or both.error, 20, "traffic")
    os.kill(victims()[1], sig)
    wait_for(lambda: opened(t) == 3, 5, "one is gone")
    both.check()
    wait_for(lambda: opened(t) == 4, 20, "there are four again")
    expect(t.process.poll(), None, "the tunnel goes on")
    t.down()
    t.expect_restored()


def test_ssh_killed(lab: Lab):
    kill_one(lab, lambda: further(lab.near), signal.SIGKILL)


def test_bridge_killed(lab: Lab):
    kill_one(lab, lambda: bridges(lab), signal.SIGKILL)


def test_all_further_killed_at_once(lab: Lab):
    t = tunnel(lab, 4)
    both = Both(lab, 100 << 20)
    both.start()
    wait_for(lambda: both.done > 10 << 20 or both.error, 20, "traffic")
    for pid in further(lab.near):
        os.kill(pid, signal.SIGKILL)
    both.check()
    wait_for(lambda: opened(t) == 4, 30, "there are four again")
    t.down()
    t.expect_restored()


def test_first_killed(lab: Lab):
    """The end of the first is the end; nothing is left of the others."""
    t = tunnel(lab, 3)
    first = [p.pid for p in lab.near.processes("^ssh$") if "--join" not in p.args]
    os.kill(first[0], signal.SIGKILL)
    assert t.wait(10) != OK
    expect_in("lost the connection", t.stderr())
    t.expect_restored()


def test_engine_killed(lab: Lab):
    t = tunnel(lab, 3)
    os.kill(t.engine().pid, signal.SIGKILL)
    wait_for(lambda: not further(lab.near), what="no ssh is left")
    wait_for(lambda: not bridges(lab), what="no bridge is left")


def test_password_only(lab: Lab):
    """A password is asked for once, and the rest is told and left alone."""
    lab.gw.run(["chpasswd"], stdin=f"alice:{PASSWORD}\n")
    lab.near.run(["rm", "-f", "/root/.ssh/id_ed25519"])
    master, slave = pty.openpty()
    process = lab.near.popen(["setsid", "--ctty", "ecssh", "up", "--connections", 4, "gw", *SUBNETS],
                             stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    text = ""
    while "password:" not in text:
        text += os.read(master, 4096).decode()
    os.write(master, (PASSWORD + "\n").encode())
    while "going on with one connection" not in text:
        text += os.read(master, 4096).decode()
    expect_in("Permission denied", text)
    expect(len(re.findall("password:", text)), 1, "prompts")
    status = lab.near.run(["ecssh", "status"]).stdout
    expect_in("connections 1 of 4", status)
    expect_in("Permission denied", status)
    both = Both(lab, 10 << 20)
    both.start()
    both.check()
    log = lab.gw.run(["cat", "/var/log/sshd-22.log"]).stdout
    expect(log.count("Accepted password"), 1, "logins")
    expect(further(lab.near), [], "further ssh")
    lab.near.run(["ecssh", "down"])
    expect(process.wait(5), OK)
    os.close(master)


def test_forced_command(lab: Lab):
    """An account that is for ecssh alone runs nothing else: told, and one has to do."""
    key = lab.gw.path("/home/alice/.ssh/authorized_keys")
    helper = lab.gw.path("/usr/local/bin/ecssh-helper")
    helper.write_bytes((BUILD / "ecssh-helper").read_bytes())
    helper.chmod(0o755)
    key.write_text('command="/usr/local/bin/ecssh-helper" ' + key.read_text())
    t = Tunnel(lab, "--connections", 2)
    wait_for(lambda: t.status()["ssh_connections"]["why_not"], 20, "a reason")
    expect_in("serves ecssh only", t.status()["ssh_connections"]["why_not"])
    both = Both(lab, 10 << 20)
    both.start()
    both.check()
    t.down()


def test_no_device(lab: Lab):
    t = Tunnel(lab, "--connections", 2, "--mode", "socks", subnets=())
    wait_for(lambda: opened(t) == 2, 20, "two connections")
    t.down()


def test_without_a_helper(lab: Lab):
    """Found out only there: said, and one has to do."""
    lab.set_shell("alice", "/usr/sbin/nologin")
    t = Tunnel(lab, "--connections", 3)
    expect_in("several connections need a helper", t.stderr())
    expect_in("need a helper", t.status()["ssh_connections"]["why_not"])
    t.down()


def test_bad_values(lab: Lab):
    for value in ("0", "9", "-1", "two", "", "10"):
        Ecssh(lab.near, "up", "--connections", value, "gw", *SUBNETS).fails(USAGE, "1 to 8")
    for mode in ("direct", "tun"):
        Ecssh(lab.near, "up", "--connections", 2, "--mode", mode, "gw", *SUBNETS).fails(
            USAGE, f"--connections 2 needs a helper on the gateway, and --mode {mode} uses none")
    Ecssh(lab.near, "up", "--connections", 2, "--via", "socks5://10.9.0.1", *SUBNETS).fails(USAGE, "--via uses none")
    Ecssh(lab.near, "up", "--connections", 2, "--channels", 2, "gw", *SUBNETS).fails(USAGE, "leave one out")


@timeout(120)
def test_silent_loss(lab: Lab):
    """A connection that stands still without an end: the others bring what it owes."""
    t = tunnel(lab, 2, "-o", "ServerAliveInterval=1")
    pid = further(lab.near)[0]
    tries = 0
    while t.status()["ssh_connections"]["repeats"] == 0:    # until it had something in it when it was stopped
        assert (tries := tries + 1) <= 10, "it never owed anything"
        both = Both(lab, 40 << 20)
        both.start()
        wait_for(lambda: both.done > 4 << 20, 30, "bytes go both ways")
        os.kill(pid, signal.SIGSTOP)
        both.check()
        os.kill(pid, signal.SIGCONT)
    both = Both(lab, 20 << 20)
    both.start()
    both.check()
    t.down()
    t.expect_restored()
