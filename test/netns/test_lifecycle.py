# SPDX-License-Identifier: MIT
"""Up, status, down, and every way to die: near must be as it was before, gw without our processes.

    near ──ssh── gw ── far (10.77.0.2, fd77::2) ── deep (10.78.0.2, fd78::2)
"""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from common import (NOT_RUNNING, OK, RUNTIME, SSH, USAGE, Ecssh, Tunnel, connect_error, expect, expect_in,
                    expect_soon, timeout)
from lab import BUILD, HELPER, SUBNETS, USERS, Lab, diff, wait_for
from services import ECHO

FAR = "10.77.0.2"
INJECT = BUILD / "test/tools/inject"
SANITIZED = b"__asan_init" in (BUILD / "ecssh").read_bytes()        # their own calls are allowed then
BOB_ENV = {"XDG_RUNTIME_DIR": "/run/user/20002"}


def carries(host, address: str = FAR) -> bool:
    """One byte there and back."""
    with host.connect(address, ECHO, 5) as sock:
        sock.sendall(b"?")
        return sock.recv(1) == b"?"


def use_everything(lab: Lab) -> list:
    """Open flows of every kind and leave them open, so that the end meets real state."""
    socks = [lab.near.connect(address, ECHO) for address in (FAR, "fd77::2") for _ in range(5)]
    for sock in socks:
        sock.sendall(bytes(100_000))
    lab.near.run(["ping", "-c1", FAR])
    lab.near.run(["dig", "+time=10", "@" + FAR, "far.lab.test"])
    return socks


def make_runtime_dir(lab: Lab) -> None:
    path = lab.near.path(BOB_ENV["XDG_RUNTIME_DIR"])
    path.mkdir(parents=True)
    path.chmod(0o700)
    os.chown(path, USERS["bob"], USERS["bob"])


def test_down_restores(lab: Lab, tunnel):
    use_everything(lab)
    start = time.monotonic()
    tunnel.down()
    expect_soon(start, 2, "down")
    tunnel.expect_restored()


def test_ctrl_c_restores(lab: Lab, tunnel):
    use_everything(lab)
    tunnel.interrupt()
    expect(tunnel.wait(5), OK, "exit status after Ctrl-C")
    tunnel.expect_restored()


def test_sigterm_restores(lab: Lab, tunnel):
    os.kill(tunnel.engine().pid, signal.SIGTERM)
    expect(tunnel.wait(5), OK, "exit status after SIGTERM")
    tunnel.expect_restored()


def test_hangup_of_the_terminal_restores(lab: Lab, tunnel):
    """A closed terminal window without -f: clean end, whatever the status."""
    lab.near.kill("^(ecssh|ssh)$", signal.SIGHUP)
    tunnel.wait(5)
    tunnel.expect_restored()


def test_kill_9_of_engine_restores(lab: Lab, tunnel):
    use_everything(lab)
    os.kill(tunnel.engine().pid, signal.SIGKILL)
    tunnel.expect_restored()


def test_kill_9_of_broker_ends_the_tunnel(lab: Lab, tunnel):
    """The broker's own death cannot undo everything, but the device goes and the engine says so."""
    broker = lab.near.process("^ecssh-broker$")
    os.kill(broker.pid, signal.SIGKILL)
    expect(tunnel.wait(5), RUNTIME, "exit status")
    expect_in("broker", tunnel.stderr())
    assert "ecssh0" not in lab.near.run(["ip", "link"]).stdout


def test_kill_9_of_ssh_restores(lab: Lab, tunnel):
    use_everything(lab)
    os.kill(lab.near.process("^ssh$").pid, signal.SIGKILL)
    expect(tunnel.wait(5), SSH, "exit status")
    expect_in("ssh", tunnel.stderr())
    tunnel.expect_restored()


def test_kill_9_of_helper_restores(lab: Lab, tunnel):
    use_everything(lab)
    os.kill(tunnel.helper().pid, signal.SIGKILL)
    expect(tunnel.wait(5), SSH, "exit status")
    expect_in("helper", tunnel.stderr())
    tunnel.expect_restored()


def test_death_of_the_servers_sshd_restores(lab: Lab, tunnel):
    """The session's sshd is killed as by a reboot of gw."""
    assert lab.gw.kill("^sshd$", spare="[listener]") > 0
    expect(tunnel.wait(5), SSH, "exit status")
    tunnel.expect_restored()


@timeout(120)
def test_kill_9_of_each_process_at_random_moments(lab: Lab):
    """While it connects, too."""
    before = lab.near.snapshot()
    for round_number in range(12):
        up = Ecssh(lab.near, "up", "gw", *SUBNETS)
        victim = ("^ecssh$", "^ssh$", "^ecssh-starter$")[round_number % 3]
        wait_for(lambda: lab.near.processes(victim), what=f"{victim} runs")
        time.sleep(round_number * 0.04)         # the moment is the point here, not an event

        def kill_victim() -> bool:
            lab.near.kill(victim)
            return up.process.poll() is not None
        # More than once: an ssh that only reads its configuration may be gone before it is hit.
        wait_for(kill_victim, 10, "ecssh has ended")

        def changed() -> list[str]:
            return [line for line in diff(before, lab.near.snapshot()) if "/gw.sock" not in line]
        try:
            wait_for(lambda: not changed(), 5)
        except TimeoutError:
            raise AssertionError(f"round {round_number}: " + "\n".join(changed())) from None
        if diff(before, lab.near.snapshot()):   # of an engine that was killed before its starter was there
            expect_in("/gw.sock", lab.near.run(["ecssh", "cleanup"]).stderr)
            expect(diff(before, lab.near.snapshot()), [])
        wait_for(lambda: len(lab.gw.processes()) == 1, 5, f"gw clean, has {lab.gw.processes()}")


def test_up_down_ten_times(lab: Lab):
    for _ in range(10):
        tunnel = Tunnel(lab)
        assert carries(lab.near)
        tunnel.down()
        tunnel.expect_restored()


def test_background(lab: Lab):
    """-f returns 0 once traffic flows, and holds on to no descriptor of the caller's."""
    before = lab.near.snapshot()
    result = lab.near.run(["ecssh", "up", "-f", "gw", *SUBNETS], timeout=15)
    expect_in("connected to gw as alice", result.stderr)
    assert carries(lab.near)
    expect(lab.near.run(["ecssh", "down"]).returncode, OK)
    wait_for(lambda: not diff(before, lab.near.snapshot()), what="restored")


def test_background_failure_is_reported(lab: Lab):
    result = lab.near.run(["ecssh", "up", "-f", "-l", "nobody-here", "-o", "BatchMode=yes", "gw", FAR], check=False)
    expect(result.returncode, SSH)
    expect_in("ecssh:", result.stderr)


def test_status_text(lab: Lab, tunnel):
    out = lab.near.run(["ecssh", "status"]).stdout
    for part in ("gw", "connected", "10.77.0.0/24", "ecssh0"):
        expect_in(part, out)


def test_status_json(lab: Lab, tunnel):
    before = tunnel.status()
    expect(before["name"], "gw")
    expect(before["state"], "connected")
    expect(before["interface"], "ecssh0")
    expect(before["routes"], list(SUBNETS))
    expect(before["unconfirmed"], 0)
    assert before["rung"] and before["since"], before
    with lab.near.connect(FAR, ECHO) as sock:
        sock.sendall(bytes(50_000))
        received = 0
        while received < 50_000:
            received += len(sock.recv(1 << 16))
        now = tunnel.status()
        expect(now["flows"]["tcp"], before["flows"]["tcp"] + 1, "TCP flows")
    for direction in ("bytes_up", "bytes_down"):
        grown = now[direction] - before[direction]
        assert 50_000 <= grown < 100_000, f"{direction} grew by {grown}"
    assert 0 < now["rtt_us"] < 1_000_000, now["rtt_us"]
    line = now["line_up"]
    assert line["rate"] > 0 and line["round_trip_min_us"] > 0 and line["allowed_bytes"] > 0, line


def confinement(process) -> tuple[str, str]:
    """Seccomp and NoNewPrivs of a process; FREE if it has ended."""
    try:
        text = Path(f"/proc/{process.pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):     # an ssh that only looked something up
        return FREE
    return tuple(re.search(rf"(?m)^{key}:\t(.*)$", text)[1] for key in ("Seccomp", "NoNewPrivs"))


FREE, CONFINED = ("0", "0"), ("2", "1")


def expect_confined(tunnel: Tunnel) -> None:
    """The engine, and neither ssh nor the one that starts it."""
    near = tunnel.lab.near
    expect(tunnel.status()["sandbox"], "seccomp, landlock")
    expect_in("engine: seccomp, landlock\n", near.run(["ecssh", "status", "-v"]).stdout)
    expect(confinement(tunnel.engine()), CONFINED, "of the engine")
    others = near.processes("^(ssh|ecssh-starter|ecssh-script)$")
    assert len(others) > 1 and all(confinement(other) == FREE for other in others), others


def test_engine_is_confined(lab: Lab, tunnel):
    """All that status and down need still works."""
    use_everything(lab)
    expect_confined(tunnel)
    tunnel.down()
    tunnel.expect_restored()


def test_engine_is_confined_however_it_connects(lab: Lab):
    script = lab.near.path("/tmp/script")
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    for options in (("--reconnect",), ("--connections", 2), ("--script", "/tmp/script"), ("--mode", "direct"),
                    ("-D", "/tmp/door")):
        tunnel = Tunnel(lab, *options)
        assert carries(lab.near)
        expect_confined(tunnel)
        tunnel.down()
        tunnel.expect_restored()


def inject(process, *words) -> str:
    """What comes of it if this process makes that system call."""
    return subprocess.run([INJECT, str(process.pid), *map(str, words)], check=True, text=True,
                          capture_output=True).stdout.strip()


def test_engine_in_wrong_hands_reads_and_removes_nothing(lab: Lab, tunnel):
    """Not even what its user could; and it lives on to tell."""
    near, engine = lab.near, tunnel.engine()
    near.path("/tmp/precious").write_text("of the user's")
    proc = () if SANITIZED else ("/proc/1/environ",)
    for path in ("/etc/passwd", "/etc/ssh/ssh_config", "/tmp/precious", "/", *proc):
        expect(inject(engine, "open", path, os.O_RDONLY), f"returned {-errno.EACCES}", path)
    expect(inject(engine, "unlink", "/tmp/precious"), f"returned {-errno.EACCES}", "removing")
    assert near.path("/tmp/precious").exists()
    assert carries(near)


@timeout(120)
def test_engine_in_wrong_hands_ends(lab: Lab):
    """Whatever it does that no engine does, and all is undone."""
    me = os.getpid()
    calls = [("execve", "/bin/sh", 0, 0), ("fork",), ("socket", socket.AF_UNIX, socket.SOCK_STREAM, 0),
             ("socket", socket.AF_INET, socket.SOCK_RAW, 1), ("pidfd_getfd", 0, 0, 0), ("mkdir", "/tmp/new", 0o700),
             ("rename", "/tmp/a", "/tmp/b")]
    if not SANITIZED:
        calls += [("kill", me, 0), ("ptrace", 16, me, 0, 0), ("open", "/tmp/new", os.O_WRONLY | os.O_CREAT, 0o600)]
    for call in calls:
        tunnel = Tunnel(lab)
        expect(inject(tunnel.engine(), *call), f"signal {signal.SIGSYS.value}", call)
        expect(tunnel.wait(5), 159, f"exit status after {call}")
        expect_in("the sandbox does not allow system call", tunnel.stderr())
        tunnel.expect_restored()


def test_kill_9_of_starter_restores(lab: Lab, tunnel):
    use_everything(lab)
    os.kill(lab.near.process("^ecssh-starter$").pid, signal.SIGKILL)
    expect(tunnel.wait(5), RUNTIME, "exit status")
    expect_in("ecssh-starter has ended", tunnel.stderr())
    tunnel.expect_restored()


def test_status_by_name(lab: Lab, tunnel):
    expect(json.loads(lab.near.run(["ecssh", "status", "gw", "--json"]).stdout)["tunnels"][0]["name"], "gw")
    expect(lab.near.run(["ecssh", "status", "other"], check=False).returncode, NOT_RUNNING)


def test_status_drops(lab: Lab, tunnel):
    assert lab.near.run(["ecssh", "status", "--drops"]).stdout.strip()


def test_nothing_runs(lab: Lab):
    for arguments in (["status"], ["status", "gw"], ["down"], ["down", "gw"]):
        result = lab.near.run(["ecssh", *arguments], check=False)
        expect(result.returncode, NOT_RUNNING, f"exit status of {arguments}")
        assert result.stderr.startswith("ecssh:"), result
    result = lab.near.run(["ecssh", "status", "--json"], check=False)
    expect(result.returncode, NOT_RUNNING)
    expect(json.loads(result.stdout), {"version": 1, "tunnels": []})


def test_two_tunnels(lab: Lab):
    lab.sshd(host=lab.far)
    one = Tunnel(lab, "--name", "one", subnets=("10.77.0.0/24",))
    two = Tunnel(lab, "--name", "two", to="alice@gw", subnets=("fd77::/64", "10.78.0.0/24"))
    assert carries(lab.near) and carries(lab.near, "fd77::2") and carries(lab.near, "10.78.0.2")
    report = json.loads(lab.near.run(["ecssh", "status", "--json"]).stdout)
    expect({tunnel["name"]: tunnel["interface"] for tunnel in report["tunnels"]}, {"one": "ecssh0", "two": "ecssh1"})
    one.down("one")
    assert carries(lab.near, "fd77::2")
    expect(connect_error(lab.near, FAR, ECHO), "ENETUNREACH")
    two.down("two")
    one.expect_restored()


def test_down_without_name_needs_one_tunnel(lab: Lab):
    """With two tunnels up, `down` asks which."""
    Tunnel(lab, "--name", "one", subnets=("10.77.0.0/24",))
    Tunnel(lab, "--name", "two", subnets=("10.78.0.0/24",))
    result = lab.near.run(["ecssh", "down"], check=False)
    expect(result.returncode, USAGE)
    expect_in("several", result.stderr)
    assert carries(lab.near)


def test_name_already_up(lab: Lab, tunnel):
    Ecssh(lab.near, "up", "gw", "10.99.0.0/24").fails(RUNTIME, "gw", "already")
    assert carries(lab.near)


def test_exclude(lab: Lab):
    tunnel = Tunnel(lab, "-x", "10.77.0.2", "--exclude", "fd77::/65", subnets=("10.64.0.0/12", "fd77::/64"))
    expect(connect_error(lab.near, FAR, ECHO), "ENETUNREACH", "excluded address")
    expect(connect_error(lab.near, "fd77::2", ECHO), "ENETUNREACH", "excluded subnet")
    assert carries(lab.near, "10.78.0.2")
    tunnel.down()
    tunnel.expect_restored()


def test_subnet_that_covers_the_server(lab: Lab):
    """10/8 holds gw's own address: ssh must not go into its own tunnel, nor other traffic to gw."""
    tunnel = Tunnel(lab, subnets=("10.0.0.0/8", "fd00::/8"))
    assert carries(lab.near) and carries(lab.near, "fd77::2")
    expect(lab.near.run(["ssh", "gw", "echo $SSH_CONNECTION"]).stdout.split()[0], "10.9.0.2", "direct way to sshd")
    tunnel.down()
    tunnel.expect_restored()


def test_whole_internet(lab: Lab):
    tunnel = Tunnel(lab, subnets=("0.0.0.0/0", "::/0"))
    assert carries(lab.near) and carries(lab.near, "fd78::2")
    tunnel.down()
    tunnel.expect_restored()


def test_jump_host(lab: Lab):
    """ssh goes near → gw → far; a subnet that covers both stays off the path of ssh itself."""
    lab.sshd(host=lab.far)
    tunnel = Tunnel(lab, "-J", "alice@gw", to="alice@far", subnets=("10.0.0.0/8",))
    assert carries(lab.near, "10.78.0.2")
    assert lab.far.processes(HELPER), "the helper does not run on far"
    tunnel.down()
    wait_for(lambda: not lab.far.processes(HELPER), what="helper on far is gone")


def test_options_for_ssh(lab: Lab):
    """-F -i -p -l -o -4 -v reach ssh."""
    lab.sshd(port=2222)
    lab.near.write("/root/elsewhere", lab.near.path("/root/.ssh/config").read_text())
    lab.near.run(["mv", "/root/.ssh/id_ed25519", "/root/key"])
    tunnel = Tunnel(lab, "-F", "/root/elsewhere", "-i", "/root/key", "-p", "2222", "-l", "alice", "-4", "-v",
                    "-o", "ServerAliveInterval=7", "-o", "KexAlgorithms=sntrup761x25519-sha512@openssh.com")
    args = lab.near.process("^ssh$").args
    for part in ("-F /root/elsewhere", "-i /root/key", "-p 2222", "-l alice", "-4", "-v", "-- gw"):
        expect_in(part, args)
    expect_in("Authenticated to", tunnel.stderr())


def test_port_in_the_destination(lab: Lab):
    lab.sshd(port=2222)
    for destination in ("alice@10.9.0.1:2222", "alice@[fd09::1]:2222"):
        Tunnel(lab, "-o", "HostKeyAlias=gw", to=destination).down()


def test_over_ipv6(lab: Lab):
    tunnel = Tunnel(lab, to="gw6", subnets=("10.77.0.0/24", "fd00::/8"))
    assert carries(lab.near) and carries(lab.near, "fd77::2")
    tunnel.down()
    tunnel.expect_restored()


def test_safe_options_of_ssh(lab: Lab, tunnel):
    args = lab.near.process("^ssh$").args.lower()
    for part in ("forwardagent=no", "forwardx11=no", "permitlocalcommand=no", "compression=no", "requesttty=no"):
        expect_in(part, args)
    assert "stricthostkeychecking" not in args, args


def test_mtu_and_address(lab: Lab):
    tunnel = Tunnel(lab, "--mtu", "1400", "--address", "172.30.99.1")
    link = lab.near.run(["ip", "addr", "show", "dev", "ecssh0"]).stdout
    expect_in("mtu 1400", link)
    expect_in("172.30.99.1", link)
    assert carries(lab.near)
    tunnel.down()


def test_addresses_do_not_clash(lab: Lab):
    """An address like ours is on the host already: another one is chosen."""
    first = Tunnel(lab)
    addresses = re.findall(r"inet6? (\S+)/", lab.near.run(["ip", "addr", "show", "dev", "ecssh0"]).stdout)
    first.down()
    lab.near.ip("link add taken type veth peer name peer", "link set taken up",
                *(f"addr add {address} dev taken" for address in addresses if not address.startswith("fe80")))
    second = Tunnel(lab)
    again = re.findall(r"inet6? (\S+)/", lab.near.run(["ip", "addr", "show", "dev", "ecssh0"]).stdout)
    assert not {a for a in addresses if a in again and not a.startswith("fe80")}, (addresses, again)
    assert carries(lab.near)
    second.down()


def test_inside_a_network_namespace(lab: Lab):
    """`ip netns exec box ecssh up`: routes appear in the box only."""
    before = lab.near.snapshot()
    lab.near.run(["ip", "netns", "add", "box"])
    lab.near.run(["ip", "link", "set", "up0", "netns", "box"])
    box = ["ip", "netns", "exec", "box"]
    for line in ("link set lo up", "link set up0 up", "addr add 10.9.0.2/24 dev up0"):
        lab.near.run([*box, "ip", *line.split()])
    up = Ecssh(lab.near, "up", "gw", "10.77.0.0/24", prefix=tuple(box)).connected()
    expect_in("1 received", lab.near.run([*box, "ping", "-c1", "-W10", FAR]).stdout)
    assert "ecssh0" not in lab.near.run(["ip", "link"]).stdout
    lab.near.run([*box, "ecssh", "down"])
    expect(up.wait(5), OK)
    expect(lab.near.snapshot()["rule-4"], before["rule-4"], "rules outside the box")


def test_as_user_with_sudo(lab: Lab):
    """bob runs ecssh: it asks sudo for the broker; engine and ssh stay bob's."""
    make_runtime_dir(lab)
    tunnel = Tunnel(lab, user="bob", env=BOB_ENV)
    assert carries(lab.near)
    owners = {p.comm: p.user for p in lab.near.processes("^(ecssh|ssh|ecssh-broker)$")}
    expect((owners["ecssh"], owners["ssh"]), (USERS["bob"], USERS["bob"]), "owners of engine and ssh")
    assert owners["ecssh-broker"] != USERS["bob"], "bob owns the broker"
    expect(tunnel.status()["state"], "connected", "status for bob")
    tunnel.down()
    tunnel.expect_restored()


def test_under_sudo(lab: Lab):
    """bob runs `sudo ecssh up`: ssh is still bob's, with his keys and HOME."""
    lab.near.run(["rm", "-r", "/root/.ssh"])
    ecssh = str(BUILD / "ecssh")                # not in sudo's secure_path
    tunnel = Tunnel(lab, user="bob", prefix=("sudo",), program=ecssh)
    for name in ("ssh", "ecssh"):
        expect(lab.near.process(f"^{name}$").user, USERS["bob"], f"owner of {name}")
    assert carries(lab.near)
    expect(lab.near.run(["sudo", ecssh, "down"], "bob").returncode, OK)
    tunnel.wait(5)
    tunnel.expect_restored()


def test_other_users_have_no_say(lab: Lab):
    """alice on near can neither see nor stop root's tunnel."""
    tunnel = Tunnel(lab)
    for action in ("status", "down"):
        assert lab.near.run(["ecssh", action], "alice", check=False).returncode != OK
    assert carries(lab.near)
    tunnel.down()


def test_idle_is_idle(lab: Lab, tunnel):
    """No wake-ups beyond a keepalive each 15 s."""
    pids = [tunnel.engine().pid, tunnel.helper().pid]

    def wakeups() -> int:
        total = 0
        for pid in pids:
            with open(f"/proc/{pid}/status") as status:
                total += sum(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))
        return total

    def is_quiet() -> bool:
        before = wakeups()
        time.sleep(1)
        return wakeups() - before <= 1
    carries(lab.near)
    wait_for(is_quiet, 10, "the end of what the last flow left behind")
    before = wakeups()
    time.sleep(5)       # the measurement
    assert wakeups() - before <= 8, f"{wakeups() - before} wake-ups in 5 s"
