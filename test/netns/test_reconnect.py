# SPDX-License-Identifier: MIT
"""--reconnect: the connection is lost and made again; device, addresses and routes never go.

    near ──ssh── gw ── far (10.77.0.2, fd77::2)
"""

import os
import signal
import socket
import time

from common import OK, SSH, Ecssh, Tunnel, connect_error, expect, expect_in, timeout
from lab import SUBNETS, Lab, diff, wait_for
from services import ECHO

FAR = "10.77.0.2"


def kill_session(lab: Lab) -> None:
    """As a reboot of gw does it: each sshd but the one that listens."""
    assert lab.gw.kill("^sshd$", spare="[listener]") > 0


def echoes(sock: socket.socket) -> bool:
    sock.sendall(b"?")
    return sock.recv(1) == b"?"


def network(lab: Lab) -> dict:
    """What of near's state must not change while a tunnel is made again."""
    state = lab.near.snapshot()
    for part in ("rule-4", "rule-6"):       # that for ssh's own connection comes and goes with it
        state[part] = [rule for rule in state[part] if "dport" not in rule]
    return {part: state[part] for part in state if part.split("-")[0] in ("link", "addr", "route", "rule", "nft")}


def wait_state(tunnel: Tunnel, state: str, seconds: float = 15) -> None:
    wait_for(lambda: tunnel.status()["state"] == state, seconds, f"{state}; it said:\n{tunnel.stderr()}")


def wait_again(tunnel: Tunnel, times: int) -> None:
    """Until it has said so often that it is connected again."""
    wait_for(lambda: tunnel.stderr().count("connected to gw again") == times, 20,
             f"connected again {times} times; it said:\n{tunnel.stderr()}")


@timeout(120)
def test_after_the_death_of_each_process(lab: Lab):
    tunnel = Tunnel(lab, "--reconnect")
    before = network(lab)
    deaths = (lambda: kill_session(lab),
              lambda: os.kill(tunnel.helper().pid, signal.SIGKILL),
              lambda: os.kill(lab.near.process("^ssh$").pid, signal.SIGKILL))
    for number, kill in enumerate(deaths * 2, 1):
        with lab.near.connect(FAR, ECHO) as sock:
            assert echoes(sock)
            kill()
            # A connection that was there is over, and the application hears of it.
            try:
                assert not sock.recv(1), "the old connection still carries"
            except ConnectionResetError:
                pass
        # One begun meanwhile waits for the next session.
        with lab.near.connect(FAR, ECHO, 20) as sock:
            assert echoes(sock)
        wait_again(tunnel, number)
        expect(diff(before, network(lab)), [], "changes of near's network")
    expect(tunnel.status()["state"], "connected")
    tunnel.down()
    tunnel.expect_restored()


def test_server_away_for_a_while(lab: Lab):
    """Nothing leaves by another way meanwhile, and down works."""
    tunnel = Tunnel(lab, "--reconnect")
    before = network(lab)
    lab.gw.run(["nft", "add table inet away; add chain inet away in { type filter hook input priority 0 ; }; "
                       "add rule inet away in tcp dport 22 reject with tcp reset"])
    kill_session(lab)
    wait_state(tunnel, "reconnecting")
    expect(diff(before, network(lab)), [], "changes of near's network")
    expect(connect_error(lab.near, FAR, ECHO, 1), "timeout", "a connection without a session")
    drops = lab.near.run(["ecssh", "status", "--drops"]).stdout
    expect_in("no-session", drops)
    lab.gw.run(["nft", "delete table inet away"])
    wait_state(tunnel, "connected")
    with lab.near.connect(FAR, ECHO) as sock:
        assert echoes(sock)
    expect(tunnel.stderr().count("trying again"), 2, "how often the loss was told")
    tunnel.down()
    tunnel.expect_restored()


def test_down_while_reconnecting(lab: Lab):
    tunnel = Tunnel(lab, "--reconnect")
    lab.gw.run(["nft", "add table inet away; add chain inet away in { type filter hook input priority 0 ; }; "
                       "add rule inet away in tcp dport 22 drop"])
    kill_session(lab)
    wait_state(tunnel, "reconnecting")
    tunnel.down()
    tunnel.expect_restored()


def test_changed_host_key_is_not_accepted(lab: Lab):
    """Said once, and no storm of logins."""
    tunnel = Tunnel(lab, "--reconnect")
    lab.near.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/tmp/other"])
    other = lab.near.path("/tmp/other.pub").read_text().split()[1]
    known = lab.near.path("/root/.ssh/known_hosts")
    known.write_text("".join(f"{' '.join(line.split()[:2])} {other}\n" for line in known.read_text().splitlines()
                             if "ed25519" in line))
    kill_session(lab)
    wait_for(lambda: "Host key verification failed" in tunnel.stderr() or
             "REMOTE HOST IDENTIFICATION" in tunnel.stderr(), 15, "the changed key is told")
    wait_for(lambda: tunnel.stderr().count("trying again") >= 2, what="the end of ssh is told")
    expect(tunnel.status()["state"], "reconnecting")
    expect(tunnel.stderr().count("trying again"), 2)
    tunnel.down()


def test_gateway_inside_the_tunnel(lab: Lab):
    """The gateway's own address is routed into the tunnel, for all but ssh, which finds out again."""
    tunnel = Tunnel(lab, "--reconnect", "--full", subnets=())
    for number in (1, 2):
        kill_session(lab)
        wait_again(tunnel, number)
        with lab.near.connect(FAR, ECHO) as sock:
            assert echoes(sock)
    tunnel.down()
    tunnel.expect_restored()


def test_name_that_only_the_tunnel_knows(lab: Lab):
    """The gateway is found again although nobody answers for its name any more."""
    lab.near.write("/etc/hosts", "10.9.0.1 gateway.lab.test\n")
    config = lab.near.path("/root/.ssh/config")
    config.write_text(config.read_text() + "\nHost named\n    HostName gateway.lab.test\n    User alice\n"
                                           "    HostKeyAlias gw\n")
    tunnel = Tunnel(lab, "--reconnect", to="named")
    lab.near.write("/etc/hosts", "")
    kill_session(lab)
    wait_for(lambda: "connected to named again" in tunnel.stderr(), 20, tunnel.stderr())
    tunnel.down()


@timeout(120)
def test_this_host_moves(lab: Lab):
    """Its address goes, and with it all hope for the connection; but not if it comes back at once."""
    lost = "this host does not have the address 10.9.0.2 any more"
    tunnel = Tunnel(lab, "--reconnect", subnets=("10.77.0.0/24",))
    with lab.near.connect(FAR, ECHO) as sock:
        lab.near.ip("addr del 10.9.0.2/24 dev up0", "addr add 10.9.0.2/24 dev up0")
        end = time.monotonic() + 4      # the time in which it could be missed
        while time.monotonic() < end:
            assert echoes(sock)
    assert lost not in tunnel.stderr(), tunnel.stderr()
    lab.near.ip("addr del 10.9.0.2/24 dev up0", "addr add 10.9.0.22/24 dev up0")
    wait_again(tunnel, 1)
    expect_in(lost, tunnel.stderr())
    with lab.near.connect(FAR, ECHO) as sock:
        assert echoes(sock)
    lab.near.ip("addr del 10.9.0.22/24 dev up0", "addr add 10.9.0.2/24 dev up0")
    wait_again(tunnel, 2)
    tunnel.down()


@timeout(120)
def test_gateway_that_moves(lab: Lab):
    """Its name leads elsewhere when it comes back; so does that of a jump host."""
    lab.sshd(host=lab.far)
    lab.gw.ip("addr add 10.9.0.3/24 dev lan0")
    config = lab.near.path("/root/.ssh/config")
    config.write_text(config.read_text() + "\nHost named\n    HostName gateway.lab.test\n    User alice\n"
                                           "    HostKeyAlias gw\n")
    for options, to in (((), "named"), (("-J", "named"), "far")):
        lab.near.write("/etc/hosts", "10.9.0.1 gateway.lab.test\n")
        tunnel = Tunnel(lab, "--reconnect", *options, to=to, subnets=("10.78.0.0/24",))
        lab.gw.run(["nft", "add table inet away; add chain inet away in { type filter hook input priority 0 ; }; "
                           "add rule inet away in ip daddr 10.9.0.1 tcp dport 22 reject with tcp reset"])
        kill_session(lab)
        lab.near.write("/etc/hosts", "10.9.0.3 gateway.lab.test\n")
        for number in (1, 2):       # the second time nobody has to ask
            wait_for(lambda: tunnel.stderr().count(f"connected to {to} again") == number, 20, tunnel.stderr())
            lab.near.write("/etc/hosts", "")
            kill_session(lab)
        lab.near.run(["ecssh", "down"])
        expect(tunnel.wait(), OK)
        lab.gw.run(["nft", "delete table inet away"])


def test_jump_host_that_only_the_tunnel_knows(lab: Lab):
    """Nor does anybody answer for the jump host's."""
    lab.sshd(host=lab.far)
    lab.near.write("/etc/hosts", "10.9.0.1 gateway.lab.test\n")
    config = lab.near.path("/root/.ssh/config")
    config.write_text(config.read_text() + "\nHost named\n    HostName gateway.lab.test\n    User alice\n"
                                           "    HostKeyAlias gw\nHost far\n    ProxyJump named\n")
    tunnel = Tunnel(lab, "--reconnect", to="far", subnets=("10.78.0.0/24",))
    lab.near.write("/etc/hosts", "")
    for number in (1, 2):
        kill_session(lab)
        wait_for(lambda: tunnel.stderr().count("connected to far again") == number, 20, tunnel.stderr())
    tunnel.down()
    tunnel.expect_restored()


def test_packets_come_back_too(lab: Lab):
    """With privilege there the packet plane is made anew."""
    tunnel = Tunnel(lab, "--reconnect", "--plane", "packet", to="root@gw", subnets=("10.77.0.0/24",))
    kill_session(lab)
    wait_again(tunnel, 1)
    wait_for(lambda: tunnel.status()["packets"] == "up", 10, "the packet plane")
    lab.near.run(["ping", "-c1", "-W10", FAR])
    tunnel.down()


def test_doors_come_back_too(lab: Lab):
    up = Ecssh(lab.near, "up", "--reconnect", "--mode", "socks", "-D", "1080", "gw").connected()
    kill_session(lab)
    wait_for(lambda: "connected to gw again" in up.stderr(), 15, up.stderr())
    lab.near.run(["curl", "-sS", "--max-time", "10", "-x", "socks5h://127.0.0.1:1080", f"http://{FAR}/10", "-o",
                  "/dev/null"])
    up.interrupt()
    expect(up.wait(5), OK)


def test_channels_come_back_too(lab: Lab):
    tunnel = Tunnel(lab, "--reconnect", "--mode", "direct")
    kill_session(lab)
    wait_again(tunnel, 1)
    with lab.near.connect(FAR, ECHO) as sock:
        assert echoes(sock)
    tunnel.down()
    tunnel.expect_restored()


def test_first_failure_is_the_end(lab: Lab):
    """What never was up is not tried for ever."""
    Ecssh(lab.near, "up", "--reconnect", "-o", "BatchMode=yes", "-l", "nobody-here", "gw", *SUBNETS).fails(SSH)


def test_without_the_option_the_loss_is_the_end(lab: Lab):
    tunnel = Tunnel(lab)
    kill_session(lab)
    expect(tunnel.wait(5), SSH)
    tunnel.expect_restored()
