# SPDX-License-Identifier: MIT
"""`ecssh doctor`: what it says of servers of every kind, and that it leaves nothing behind.

    near ──ssh── gw (the stock sshd, or one on port 2222 with other options)
"""

import json
import os
import signal

from common import ANOTHER_SSH, GATEWAY, OK, SSH, USAGE, Ecssh, expect, expect_in
from lab import BUILD, Lab, diff, wait_for

NOT_OURS = "/run/motd.dynamic"      # of PAM, at every login


def gw_state(lab: Lab) -> dict:
    """What a login must not change on gw, directories included."""
    state = lab.gw.snapshot()
    state["files"] = [line for line in state["files"] if NOT_OURS not in line]
    state["dirs"] = sorted(lab.gw.run(["find", "/home", "/root", "/tmp", "/var/tmp", "/dev/shm"], check=False).stdout.splitlines())
    return state


def expect_unchanged(lab: Lab, near: dict, gw: dict) -> None:
    def changes() -> list[str]:
        return diff(near, lab.near.snapshot()) + diff(gw, gw_state(lab))
    try:
        wait_for(lambda: not changes())
    except TimeoutError:
        raise AssertionError("not as before:\n" + "\n".join(changes())) from None


class Doctor:
    """One run with --json, on hosts that must be the same afterwards."""

    def __init__(self, lab: Lab, *arguments: str, code: int = OK, rung: str = "helper", **options):
        near, gw = lab.near.snapshot(), gw_state(lab)
        result = lab.near.run(["ecssh", "doctor", "--json", *arguments], check=False, timeout=40, **options)
        said = f"{result.stdout}\n{result.stderr}"
        expect(result.returncode, code, "exit status; it said:\n" + said)
        self.json = json.loads(result.stdout)
        expect(self.json["version"], 1)
        expect(self.json["rung"], rung, said)
        self.checks = {check["name"]: check for check in self.json["checks"]}
        for check in self.json["checks"]:
            expect(set(check), {"name", "state", "fact", "advice"})
            assert check["state"] in ("ok", "degraded", "missing") and check["fact"], check
            expect(check["advice"] == "", check["state"] == "ok", f"advice of {check}")
        expect_unchanged(lab, near, gw)

    def state(self, name: str) -> str:
        return self.checks[name]["state"]

    def expect(self, **states: str) -> None:
        for name, state in states.items():
            name = name.replace("_", "-")
            expect(self.state(name), state, f"state of {self.checks[name]}")


def test_stock_server(lab: Lab):
    doctor = Doctor(lab, "gw")
    doctor.expect(privilege="ok", tun="ok", ssh="ok", login="ok", server="ok", cipher="ok", commands="ok", account="ok",
                  machine="ok", helper="ok", ping="ok", ipv4="ok", ipv6="ok", resolvers="degraded", mtu="ok",
                  far_privilege="degraded", far_tun="ok", nft="ok", forwarding="ok", permit_tunnel="degraded")
    expect_in("publickey", doctor.checks["login"]["fact"])
    expect_in("OpenSSH_", doctor.checks["server"]["fact"])
    expect_in("prohibits", doctor.checks["permit-tunnel"]["fact"])
    assert any("TCP, UDP and ping" in what for what in doctor.json["not_carried"]), doctor.json


def test_text(lab: Lab):
    """The same for people."""
    result = lab.near.run(["ecssh", "doctor", "gw"])
    expect_in("ecssh up takes the rung: helper\n", result.stdout)
    lines = [line.split() for line in result.stdout.splitlines() if line and not line.startswith((" ", "ecssh"))]
    assert all(line[1] in ("ok", "degraded", "missing") for line in lines), result.stdout
    expect(result.stderr, "", "stderr")


def test_login_shells(lab: Lab):
    for shell in ("/bin/dash", "/bin/tcsh", "/usr/bin/fish"):
        if lab.gw.path(shell).exists():
            lab.set_shell("alice", shell)
            lab.gw.run([shell, "-c", "true"], "alice")      # fish makes folders of its own
            Doctor(lab, "gw").expect(commands="ok", helper="ok")


def test_root_login(lab: Lab):
    doctor = Doctor(lab, "root@gw", rung="helper+packets")
    doctor.expect(far_privilege="ok", far_tun="ok", nft="ok")
    expect_in("not tried", doctor.checks["permit-tunnel"]["fact"])


def test_account_with_sudo(lab: Lab):
    lab.gw.write("/etc/sudoers.d/lab", "alice ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    Doctor(lab, "gw").expect(far_privilege="degraded")      # no group suggests it: not tried
    Doctor(lab, "--sudo", "gw", rung="helper+packets").expect(far_privilege="ok")


def test_kept_and_installed_helper(lab: Lab):
    up = Ecssh(lab.near, "up", "gw", "10.77.0.0/24").connected()
    up.interrupt()
    expect(up.wait(5), OK)
    wait_for(lambda: not lab.gw.processes("helper"), what="the helper has gone")
    expect_in("kept:", Doctor(lab, "gw").checks["helper"]["fact"])
    lab.gw.path("/usr/local/bin/ecssh-helper").write_bytes((BUILD / "ecssh-helper").read_bytes())
    lab.gw.path("/usr/local/bin/ecssh-helper").chmod(0o755)
    expect_in("installed:", Doctor(lab, "gw").checks["helper"]["fact"])


def test_nowhere_to_execute(lab: Lab):
    for place in ("/home", "/tmp", "/var/tmp", "/dev/shm"):
        lab.gw.run(["mount", "-o", "remount,noexec", place])
    doctor = Doctor(lab, "gw", code=GATEWAY, rung="direct")
    doctor.expect(commands="ok", helper="missing", forwarding="ok")
    expect_in("noexec", doctor.checks["helper"]["fact"])


def test_no_forwarding(lab: Lab):
    lab.sshd(port=2222, AllowTcpForwarding="no")
    Doctor(lab, "-p", "2222", "gw").expect(forwarding="degraded", commands="ok")


def test_restricted_key(lab: Lab):
    """`restrict` takes forwarding away, not the shell."""
    keys = lab.gw.path("/home/alice/.ssh/authorized_keys")
    keys.write_text("restrict " + keys.read_text())
    Doctor(lab, "gw").expect(commands="ok", forwarding="degraded")


def test_one_session(lab: Lab):
    lab.sshd(port=2222, MaxSessions=1)
    Doctor(lab, "-p", "2222", "gw").expect(commands="ok", forwarding="ok")


def test_no_session(lab: Lab):
    lab.sshd(port=2222, MaxSessions=0)
    doctor = Doctor(lab, "-p", "2222", "gw", code=GATEWAY, rung="direct")
    doctor.expect(commands="missing", forwarding="ok")
    expect_in("MaxSessions", doctor.checks["commands"]["advice"])
    assert "helper" not in doctor.checks, "of a helper nothing is known"


def test_sftp_only(lab: Lab):
    lab.sshd(port=2222, ForceCommand="internal-sftp")
    doctor = Doctor(lab, "-p", "2222", "gw", code=GATEWAY, rung="direct")
    doctor.expect(commands="missing", forwarding="ok", permit_tunnel="degraded")
    expect_in("sftp", doctor.checks["commands"]["fact"])


def test_nothing_works(lab: Lab):
    lab.sshd(port=2222, ForceCommand="internal-sftp", AllowTcpForwarding="no")
    doctor = Doctor(lab, "-p", "2222", "gw", code=GATEWAY, rung="none")
    doctor.expect(login="ok", commands="missing", forwarding="degraded")
    expect(len(doctor.json["not_higher"]), 3, str(doctor.json["not_higher"]))


def test_nologin_shell(lab: Lab):
    lab.set_shell("alice", "/usr/sbin/nologin")
    doctor = Doctor(lab, "gw", code=GATEWAY, rung="direct")
    expect_in("not available", doctor.checks["commands"]["fact"])


def force_key(lab: Lab, command: str) -> None:
    keys = lab.gw.path("/home/alice/.ssh/authorized_keys")
    keys.write_text(f'command="{command}" ' + keys.read_text())


def test_forced_command(lab: Lab):
    force_key(lab, "echo what do you want")
    doctor = Doctor(lab, "gw", code=GATEWAY, rung="direct")
    expect_in("what do you want", doctor.checks["commands"]["fact"])


def test_forced_helper(lab: Lab):
    """A forced command that is the helper says so, and is all that is needed."""
    lab.gw.path("/usr/local/bin/ecssh-helper").write_bytes((BUILD / "ecssh-helper").read_bytes())
    lab.gw.path("/usr/local/bin/ecssh-helper").chmod(0o755)
    force_key(lab, "/usr/local/bin/ecssh-helper")
    expect_in("forced command", Doctor(lab, "gw").checks["commands"]["fact"])


def open_tun_driver(lab: Lab) -> None:
    """/dev/net/tun for everybody, as udev makes it; this machine's own may differ."""
    lab.gw.run(["sh", "-c", "mount -t tmpfs none /dev/net; mknod -m 666 /dev/net/tun c 10 200"])


def test_permit_tunnel(lab: Lab):
    """Permitted, first without a device for the account, then with one."""
    lab.sshd(port=2222, ForceCommand="internal-sftp", PermitTunnel="point-to-point")
    doctor = Doctor(lab, "-p", "2222", "gw", code=GATEWAY, rung="direct")
    expect_in("ip tuntap add tun0 mode tun user alice", doctor.checks["permit-tunnel"]["advice"])
    open_tun_driver(lab)
    lab.gw.run(["ip", "tuntap", "add", "tun0", "mode", "tun", "user", "alice"])
    # Else the kernel gives it an address when it is opened for the first time.
    lab.gw.sysctl(ipv6__conf__tun0__disable_ipv6=1)
    lab.gw.run(["ip", "link", "set", "tun0", "up"])
    Doctor(lab, "-p", "2222", "gw", code=GATEWAY, rung="tun").expect(permit_tunnel="ok")


def test_owned_device_and_helper(lab: Lab):
    lab.sshd(port=2222, PermitTunnel="yes")
    open_tun_driver(lab)
    lab.gw.run(["ip", "tuntap", "add", "tun7", "mode", "tun", "user", "alice"])
    expect_in("is down", Doctor(lab, "-p", "2222", "gw").checks["far-privilege"]["fact"])
    lab.gw.run(["ip", "link", "set", "tun7", "up"])
    doctor = Doctor(lab, "-p", "2222", "gw", rung="helper+packets")
    expect_in("tun7", doctor.checks["far-privilege"]["fact"])
    doctor.expect(permit_tunnel="ok")
    lab.gw.run(["chmod", "600", "/dev/net/tun"])
    Doctor(lab, "-p", "2222", "gw", rung="helper").expect(far_tun="degraded", permit_tunnel="degraded")


def test_root_without_shell_and_with_tunnel(lab: Lab):
    """The one case where a device is made for a moment."""
    lab.sshd(port=2222, ForceCommand="internal-sftp", PermitTunnel="yes")
    Doctor(lab, "-p", "2222", "root@gw", code=GATEWAY, rung="tun").expect(permit_tunnel="ok")


def test_no_tun_here(lab: Lab):
    lab.near.run(["mount", "-t", "tmpfs", "none", "/dev/net"])
    Doctor(lab, "gw", code=GATEWAY, rung="socks").expect(tun="missing", commands="ok")


def test_no_privilege_here(lab: Lab):
    """bob without sudo and without a terminal."""
    lab.near.path("/etc/sudoers.d/lab").unlink()
    if lab.near.path("/usr/bin/pkexec").exists():
        lab.near.run(["mount", "--bind", "/dev/null", "/usr/bin/pkexec"])
    Doctor(lab, "gw", code=GATEWAY, rung="socks", user="bob").expect(privilege="missing")


def test_quiet_sudo_here(lab: Lab):
    doctor = Doctor(lab, "gw", user="bob")
    expect_in("sudo, without a password", doctor.checks["privilege"]["fact"])


def test_conflicts(lab: Lab):
    doctor = Doctor(lab, "gw", "10.77.0.0/24")
    doctor.expect(subnets="ok")
    facts = [check["fact"] for check in Doctor(lab, "gw", "10.0.0.0/8").json["checks"] if check["name"] == "subnets"]
    assert any("10.9.0.0/24 (up0)" in fact for fact in facts), facts
    Doctor(lab, "gw", "10.9.0.0/24")
    assert "subnets" not in Doctor(lab, "gw").checks


def test_ssh_fails(lab: Lab):
    """ssh's own sentence, and 255."""
    for arguments, words in ((("-o", "BatchMode=yes", "mallory@gw"), "Permission denied"), (("-p", "2299", "gw"), "refused"),
                             (("no-such-host.invalid",), "no-such-host.invalid")):
        doctor = Doctor(lab, *arguments, code=SSH, rung="none")
        doctor.expect(login="missing")
        expect_in(words, doctor.checks["login"]["fact"])


def test_usage(lab: Lab):
    for arguments in ([], ["--xml", "gw"], ["gw", "10.0.0.0/33"], ["-oProxyCommand=x;", "-x"], ["g\033w"]):
        result = lab.near.run(["ecssh", "doctor", *arguments], check=False, timeout=10)
        expect(result.returncode, USAGE, f"exit status of {arguments}: {result.stderr}")
        assert "\033" not in result.stderr and not result.stdout, result


def test_ssh_without_control_socket(lab: Lab):
    """Another ssh than OpenSSH's: nothing is guessed."""
    lab.near.write("/usr/local/bin/ssh", ANOTHER_SSH, mode=0o755)
    doctor = Doctor(lab, "gw", code=GATEWAY)
    doctor.expect(login="ok", channels="missing")
    assert "commands" not in doctor.checks, doctor.json


def test_hostile_answers_are_escaped(lab: Lab):
    lab.gw.write("/usr/local/bin/fake", "#!/bin/sh\nprintf '\\033]0;owned\\007\\nlast\\033[2J words'\n", mode=0o755)
    force_key(lab, "/usr/local/bin/fake")
    result = lab.near.run(["ecssh", "doctor", "gw"], check=False)
    expect(result.returncode, GATEWAY, result.stderr)
    assert "\033" not in result.stdout + result.stderr, repr(result.stdout)
    expect_in("words", result.stdout)


def test_interrupted(lab: Lab):
    """A server that hangs: Ctrl-C leaves nothing on either side."""
    lab.gw.write("/usr/local/bin/fake", "#!/bin/sh\nexec cat >/dev/null\n", mode=0o755)
    force_key(lab, "/usr/local/bin/fake")
    near, gw = lab.near.snapshot(), gw_state(lab)
    doctor = Ecssh(lab.near, "doctor", "gw")
    wait_for(lambda: lab.gw.processes("^cat$"), what="the forced command runs")
    os.killpg(doctor.process.pid, signal.SIGINT)
    assert doctor.wait(5) != OK
    expect_unchanged(lab, near, gw)
