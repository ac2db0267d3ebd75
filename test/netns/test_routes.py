# SPDX-License-Identifier: MIT
"""Which subnets go into the tunnel, and who can take them out of it again.

    near ──ssh── gw ── far (10.77.0.2, fd77::2) ── deep (10.78.0.2, fd78::2)
"""

import time

from common import GATEWAY, NOT_RUNNING, RUNTIME, USAGE, Ecssh, Tunnel, expect, expect_in
from lab import Lab, wait_for
from services import ECHO


def device_to(lab: Lab, address: str) -> str:
    """The device that a packet of an ordinary program to this address would leave near by."""
    words = lab.near.run(["ip", "route", "get", address, "uid", "65534"]).stdout.split()
    return words[words.index("dev") + 1]


def warnings(tunnel: Ecssh) -> list[str]:
    """What it has said about local networks."""
    return [line for line in tunnel.stderr().splitlines() if "up0" in line]


def test_local_network_inside_a_subnet_stays_local(lab: Lab):
    tunnel = Tunnel(lab, subnets=("10.0.0.0/8", "fd00::/8"))
    expect(device_to(lab, "10.9.0.77"), "up0", "a neighbour")
    expect(device_to(lab, "10.9.1.77"), "ecssh0", "a neighbour's neighbour")
    expect(device_to(lab, "fd09::77"), "up0", "a neighbour")
    said = warnings(tunnel)
    expect(len(said), 2, f"warnings in {said}")
    for line, inner, outer in zip(said, ("10.9.0.0/24", "fd09::/64"), ("10.0.0.0/8", "fd00::/8")):
        for mention in (f"{inner} is up0's own network and stays out", f"within {outer}", f"-x {inner}"):
            expect_in(mention, line)
    tunnel.down()
    tunnel.expect_restored()


def test_network_that_this_host_comes_into_later(lab: Lab):
    """Routes stay; that it cannot be reached is said once, and shown while it is so."""
    tunnel = Tunnel(lab, "-x", "10.77.64.0/24", subnets=("10.77.0.0/16", "fd77::/64"))
    expect(tunnel.status()["out_of_reach"], [])
    lab.near.ip("link add wifi0 type veth peer name wifi1", "link set wifi0 up", "addr add 10.77.9.1/24 dev wifi0", "addr add 10.77.64.1/24 dev wifi0",
                "addr add 192.0.2.1/24 dev wifi0", "addr add 10.77.10.1/32 dev wifi0", "addr add fd77::9/96 dev wifi0 nodad")
    wait_for(lambda: len(tunnel.status()["out_of_reach"]) == 2, what="both are told")
    said = [line for line in tunnel.stderr().splitlines() if "wifi0" in line]
    expect(len(said), 2, f"lines in {said}")
    for mention in ("wifi0 is in 10.77.9.0/24 now", "start the tunnel anew with -x 10.77.9.0/24"):
        expect_in(mention, said[0])
    expect_in("wifi0 is in fd77::/96 now", said[1])
    expect_in("local       wifi0 is in 10.77.9.0/24 now", lab.near.run(["ecssh", "status"]).stdout)
    expect(device_to(lab, "10.77.9.2"), "ecssh0")
    lab.near.ip("addr del 10.77.9.1/24 dev wifi0")
    wait_for(lambda: len(tunnel.status()["out_of_reach"]) == 1, what="it is left")
    lab.near.ip("addr add 10.77.9.1/24 dev wifi0")
    wait_for(lambda: tunnel.stderr().count("wifi0 is in 10.77.9.0/24 now") == 2, what="it is told again")
    lab.near.ip("link del wifi0")
    wait_for(lambda: not tunnel.status()["out_of_reach"], what="all are left")
    tunnel.down()
    tunnel.expect_restored()


def test_network_that_a_full_tunnel_covers_later(lab: Lab):
    """That is what it is for, unless local networks were to stay out."""
    for option, n in ((("--full",), 0), (("--full", "--allow-lan"), 1)):
        tunnel = Tunnel(lab, *option, subnets=())
        lab.near.ip("link add wifi0 type veth peer name wifi1", "link set wifi0 up", "addr add 172.20.0.1/24 dev wifi0", "addr add 192.0.2.1/24 dev wifi0")
        lab.near.ip("addr add 172.21.0.1/24 dev wifi0")
        wait_for(lambda: len(tunnel.status()["out_of_reach"]) == 2 * n, what="told")
        expect(tunnel.stderr().count("wifi0 is in"), 2 * n)
        tunnel.down()
        lab.near.ip("link del wifi0")


def test_local_network_excluded_by_name_is_not_mentioned(lab: Lab):
    tunnel = Tunnel(lab, "-x", "10.9.0.0/24", "-x", "fd09::/64", subnets=("10.0.0.0/8", "fd00::/8"))
    expect(device_to(lab, "10.9.0.77"), "up0", "a neighbour")
    expect(warnings(tunnel), [], "warnings")


def test_part_of_the_local_network_by_name(lab: Lab):
    tunnel = Tunnel(lab, subnets=("10.9.0.64/26", "10.77.0.0/24"))
    expect(device_to(lab, "10.9.0.77"), "ecssh0", "a neighbour asked for")
    expect(device_to(lab, "10.9.0.1"), "up0", "another")
    expect_in("64 addresses of up0's own network 10.9.0.0/24 are reached through the tunnel now", tunnel.stderr())


def test_nothing_left_is_refused(lab: Lab):
    before = lab.near.snapshot()
    Ecssh(lab.near, "up", "-x", "10.0.0.0/8", "gw", "10.77.0.0/24").fails(RUNTIME, "nothing is left")
    expect(lab.near.snapshot()["route-4"], before["route-4"], "routes")


def test_options_that_do_not_fit(lab: Lab):
    Ecssh(lab.near, "up", "--allow-lan", "gw", "10.0.0.0/8").fails(USAGE, "--allow-lan goes with --full")
    Ecssh(lab.near, "up", "--full", "--mode", "socks", "gw").fails(USAGE, "leave out --full")
    Ecssh(lab.near, "up", "--auto-nets", "--mode", "direct", "gw").fails(USAGE, "--auto-nets needs a helper")
    for seconds in ("4", "3601", "1h"):
        Ecssh(lab.near, "up", "--commit-confirm", seconds, "gw", "10.0.0.0/8").fails(USAGE, "5 to 3600 seconds")
    Ecssh(lab.near, "up", "--full", "--mtu", "1000", "gw").fails(USAGE, "1280")


def test_commit_confirm_undoes(lab: Lab):
    tunnel = Tunnel(lab, "--commit-confirm", "5")
    expect_in("ecssh confirm gw", tunnel.stderr())
    left = tunnel.status()["unconfirmed"]
    assert 1 <= left <= 5, f"{left} s left"
    expect_in("unless confirmed", lab.near.run(["ecssh", "status"]).stdout)
    said = tunnel.fails(RUNTIME, "not confirmed within 5 s")
    expect_in("is undone", said)
    tunnel.expect_restored()


def test_commit_confirm_confirmed(lab: Lab):
    """Confirmed in time it outlives the time."""
    tunnel = Tunnel(lab, "--commit-confirm", "5")
    confirmed = time.monotonic()
    expect(lab.near.run(["ecssh", "confirm"]).stderr, "", "what confirm says")
    expect(tunnel.status()["unconfirmed"], 0)
    expect_in("waits for no confirmation", lab.near.run(["ecssh", "confirm", "gw"]).stderr)
    wait_for(lambda: time.monotonic() > confirmed + 5.5, 7)
    expect(tunnel.status()["state"], "connected")
    expect(lab.near.run(["ecssh", "confirm", "other"], check=False).returncode, NOT_RUNNING)
    tunnel.down()


def test_auto_nets(lab: Lab):
    """What gw has routes for, less what near is in itself; shown, taken, and what the user names besides."""
    lab.gw.ip("route add 0.0.0.0/1 via 10.77.0.2", "route add 172.16.0.0/12 via 10.77.0.2")
    tunnel = Tunnel(lab, "--auto-nets", "-x", "10.78.0.0/24", subnets=("192.0.2.0/24",))
    said = tunnel.stderr()
    expect_in("gw reaches 172.16.0.0/12, 10.77.0.0/24, 10.78.0.0/24, fd77::/64, fd78::/64; routed",
              said.replace("10.77.0.0/24, 10.78.0.0/24, 172.16.0.0/12", "172.16.0.0/12, 10.77.0.0/24, 10.78.0.0/24"))
    expect_in("0.0.0.0/1 (too large)", said)
    expect_in("10.9.0.0/24 (this host is in it)", said)
    for address, device in (("10.77.0.2", "ecssh0"), ("fd78::2", "ecssh0"), ("192.0.2.1", "ecssh0"),
                            ("172.20.0.1", "ecssh0"), ("10.9.0.1", "up0")):
        expect(device_to(lab, address), device, address)
    assert lab.near.run(["ip", "route", "get", "1.1.1.1"], check=False).returncode, "the Internet is routed"
    assert lab.near.run(["ip", "route", "get", "10.78.0.2"], check=False).returncode, "what is excluded is routed"
    expect(sorted(tunnel.status()["routes"]), sorted(["10.77.0.0/24", "10.78.0.0/24", "172.16.0.0/12", "192.0.2.0/24",
                                                      "fd77::/64", "fd78::/64"]))
    with lab.near.connect("10.77.0.2", ECHO) as sock:
        sock.sendall(b"?")
        expect(sock.recv(1), b"?")
    tunnel.down()
    tunnel.expect_restored()


def test_auto_nets_alone_and_without_any(lab: Lab):
    tunnel = Tunnel(lab, "--auto-nets", subnets=())
    expect(device_to(lab, "10.77.0.2"), "ecssh0")
    tunnel.down()
    lab.gw.ip("link set far0 down")
    Ecssh(lab.near, "up", "--auto-nets", "gw").fails(GATEWAY, "reaches no network", "10.9.0.0/24 (this host is in it)")


def test_gateway_that_is_not_asked_adds_nothing(lab: Lab):
    """The same gateway, and no word about its routes."""
    tunnel = Tunnel(lab, subnets=("10.77.0.0/24",))
    assert "reaches" not in tunnel.stderr(), tunnel.stderr()
    expect(tunnel.status()["routes"], ["10.77.0.0/24"])
    assert lab.near.run(["ip", "route", "get", "10.78.0.2"], check=False).returncode, "10.78.0.2 is routed"
