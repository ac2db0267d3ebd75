# SPDX-License-Identifier: MIT
"""Prompts of ssh on a terminal: password, unknown host key, and Ctrl-C at a prompt.

    near (a pseudo-terminal) ──ssh── gw
"""

import os
import pty
import select
import time

import lab as lab_module
from common import OK, SSH, expect, expect_in, timeout
from lab import PASSWORD, SUBNETS, Lab, diff, wait_for


class Terminal:
    """A command of near with a controlling terminal of its own."""

    def __init__(self, lab: Lab, *argv: str, user: str = "root"):
        self.master, slave = pty.openpty()
        self.text = ""
        self.process = lab.near.popen(["setsid", "--ctty", *argv], user, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)

    def until(self, text: str, seconds: float = 15) -> None:
        end = time.monotonic() + seconds * lab_module.patience
        while text not in self.text:
            ready = select.select([self.master], [], [], max(0, end - time.monotonic()))[0]
            try:
                data = os.read(self.master, 4096) if ready else b""
            except OSError:         # EIO: the other end is closed
                data = b""
            assert data, f"{text!r} did not come:\n{self.text}"
            self.text += data.decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())


def allow_passwords(lab: Lab) -> None:
    lab.gw.run(["chpasswd"], stdin=f"alice:{PASSWORD}\n")
    lab.near.run(["rm", "-f", "/root/.ssh/id_ed25519"])


def test_password(lab: Lab):
    allow_passwords(lab)
    terminal = Terminal(lab, "ecssh", "up", "gw", *SUBNETS)
    terminal.until("password:")
    terminal.type(PASSWORD + "\n")
    terminal.until("connected to gw as alice")
    assert PASSWORD not in terminal.text, "the password was echoed"
    terminal.type("\x03")
    expect(terminal.process.wait(5), OK, "exit status after Ctrl-C")


def test_password_in_the_background(lab: Lab):
    """-f asks first, then leaves the terminal."""
    allow_passwords(lab)
    terminal = Terminal(lab, "ecssh", "up", "-f", "gw", *SUBNETS)
    terminal.until("password:")
    terminal.type(PASSWORD + "\n")
    terminal.until("connected to gw as alice")
    expect(terminal.process.wait(5), OK)
    os.close(terminal.master)       # a hang-up must not end the tunnel
    lab.near.run(["ping", "-c1", "-W10", "10.77.0.2"])
    lab.near.run(["ecssh", "down"])


@timeout(60)
def test_both_hops_ask(lab: Lab):
    """The jump host's ssh, and then the server's, each for its key and its password; pinned and not."""
    lab.sshd(host=lab.far)
    allow_passwords(lab)
    lab.far.run(["chpasswd"], stdin=f"alice:{PASSWORD}\n")
    for options in ((), ("--kill-switch",)):
        lab.near.write("/root/.ssh/known_hosts", "")
        terminal = Terminal(lab, "ecssh", "up", *options, "-J", "gw", "far", "10.78.0.0/24")
        for host in ("gw", "far"):
            terminal.until("Are you sure you want to continue connecting")
            expect_in(f"authenticity of host '{host} ", terminal.text)
            terminal.text = ""
            terminal.type("yes\n")
            terminal.until("password:")
            terminal.text = ""
            terminal.type(PASSWORD + "\n")
        terminal.until("connected to far as alice")
        terminal.type("\x03")
        expect(terminal.process.wait(5), OK, "exit status after Ctrl-C")


def test_wrong_password(lab: Lab):
    allow_passwords(lab)
    terminal = Terminal(lab, "ecssh", "up", "gw", *SUBNETS)
    for attempt in range(3):
        # The prompt comes straight from ssh, the notice by way of us: in either order. ssh discards
        # what was typed before its prompt.
        terminal.until("password:")
        if attempt > 0:
            terminal.until("try again")
        terminal.text = ""
        terminal.type("wrong\n")
    terminal.until("ecssh:")
    expect(terminal.process.wait(10), SSH)


def test_unknown_host_key_is_asked_about(lab: Lab):
    lab.near.write("/root/.ssh/known_hosts", "")
    terminal = Terminal(lab, "ecssh", "up", "gw", *SUBNETS)
    terminal.until("Are you sure you want to continue connecting")
    terminal.type("yes\n")
    terminal.until("connected to gw as alice")
    lab.near.run(["ecssh", "down"])
    expect(terminal.process.wait(5), OK)


def test_ctrl_c_at_the_prompt(lab: Lab):
    allow_passwords(lab)
    before = lab.near.snapshot()
    terminal = Terminal(lab, "ecssh", "up", "gw", *SUBNETS)
    terminal.until("password:")
    terminal.type("\x03")
    assert terminal.process.wait(5) != OK
    wait_for(lambda: not diff(before, lab.near.snapshot()), what="near is as before")


def test_sudo_asks_on_the_terminal(lab: Lab):
    """bob's sudo wants a password: one prompt, then ssh as bob."""
    lab.near.run(["chpasswd"], stdin=f"bob:{PASSWORD}\n")
    lab.near.write("/etc/sudoers.d/lab", "bob ALL=(ALL) ALL\n", mode=0o440)
    terminal = Terminal(lab, "ecssh", "up", "gw", *SUBNETS, user="bob")
    terminal.until("password for bob:")
    terminal.type(PASSWORD + "\n")
    terminal.until("connected to gw as alice")
    terminal.type("\x03")
    expect(terminal.process.wait(5), OK)
