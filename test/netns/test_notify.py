# SPDX-License-Identifier: MIT
"""A service manager is told when the tunnel is up, how it is, and that it ends.

    near ──ssh── gw
"""

import os
import signal
import socket
from contextlib import closing

from common import OK, RUNTIME, SSH, Ecssh, expect, expect_in
from lab import Host, Lab, wait_for

FAR = "10.77.0.2"


class Manager:
    """The socket that systemd would have: a path of near's, or a name in its abstract namespace."""

    def __init__(self, host: Host, where: str = "/run/notify"):
        self.where, self.said = where, []
        with host.network():
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if where.startswith("@"):
            self.sock.bind("\0" + where[1:])
        else:
            self.sock.bind(str(host.path(where)))
            host.path(where).chmod(0o777)
        self.sock.setblocking(False)

    def close(self) -> None:
        self.sock.close()

    def up(self, host: Host, *arguments: str, **options) -> Ecssh:
        return Ecssh(host, "up", *arguments, "gw", FAR, env={"NOTIFY_SOCKET": self.where}, **options)

    def heard(self) -> list:
        """All so far."""
        try:
            while True:
                self.said.append(self.sock.recv(4096).decode())
        except BlockingIOError:
            return self.said

    def wait(self, *wanted: str) -> None:
        """Until the last of what was said begins so."""
        def has_come() -> bool:
            last = self.heard()[-len(wanted):]
            return len(last) == len(wanted) and all(said.startswith(want) for said, want in zip(last, wanted))
        wait_for(has_come, 20, f"{wanted}; heard were {self.said}")


def test_up_and_down(lab: Lab):
    """In the engine's sandbox, too; and nobody else is told where to speak."""
    for where in ("/run/notify", "@notify"):
        with closing(Manager(lab.near, where)) as manager:
            tunnel = manager.up(lab.near).connected()
            manager.wait("STATUS=connecting to gw", "STATUS=connected to gw as alice; 10.77.0.2/32 via ecssh0", "READY=1")
            for process in lab.near.processes("^ssh$"):
                with open(f"/proc/{process.pid}/environ", "rb") as environ:
                    assert b"NOTIFY_SOCKET" not in environ.read()
            lab.near.run(["ecssh", "down"])
            expect(tunnel.wait(5), OK)
            manager.wait("STOPPING=1", "STATUS=ended by request")
            expect(len(manager.said), 5, "number of messages")


def test_ready_is_after_the_script(lab: Lab):
    lab.near.write("/usr/local/bin/script", '#!/bin/sh\n[ $reason != connect ] || read line </run/go\n', mode=0o755)
    lab.near.run(["mkfifo", "/run/go"])
    with closing(Manager(lab.near)) as manager:
        tunnel = manager.up(lab.near, "--script", "/usr/local/bin/script").connected()
        wait_for(lambda: lab.near.processes("^script$"), what="the script runs")
        assert "READY=1" not in manager.heard(), manager.said
        lab.near.run(["sh", "-c", "echo >/run/go"])
        manager.wait("READY=1")
        os.kill(lab.near.process("^ecssh$").pid, signal.SIGTERM)
        expect(tunnel.wait(5), OK)
        manager.wait("STOPPING=1", "STATUS=ended by request")


def test_failure(lab: Lab):
    with closing(Manager(lab.near)) as manager:
        manager.up(lab.near, "-p", "2299").fails(SSH)
        manager.wait("STOPPING=1", "STATUS=ssh to gw failed: ")
        assert "READY=1" not in manager.said, manager.said
        manager.said.clear()
        manager.up(lab.near, "-D", "10.9.0.1:1080").fails(RUNTIME)
        manager.wait("STATUS=")
        expect_in("10.9.0.1", manager.said[-1])


def test_connection_that_is_made_again(lab: Lab):
    with closing(Manager(lab.near)) as manager:
        tunnel = manager.up(lab.near, "--reconnect").connected()
        manager.wait("READY=1")
        assert lab.gw.kill("^sshd$", spare="[listener]") > 0
        manager.wait("STATUS=connected to gw as alice")
        expect(manager.said.count("READY=1"), 1, "number of times that it is ready")
        expect_in("connection to gw is lost", manager.said[-2])
        expect_in("; trying again", manager.said[-2])
        tunnel.interrupt()
        expect(tunnel.wait(), OK)


def test_nobody_listens(lab: Lab):
    for where in ("", "@", "/run/nothing", "vsock:2:1", "/" + "x" * 200):
        tunnel = Ecssh(lab.near, "up", "gw", FAR, env={"NOTIFY_SOCKET": where}).connected()
        assert "NOTIFY" not in tunnel.stderr(), tunnel.stderr()
        tunnel.interrupt()
        expect(tunnel.wait(), OK)
