# SPDX-License-Identifier: MIT
"""What a user does first: ping, names, web, traceroute, ssh, through a tunnel that needs nothing on gw.

    near ──ssh── gw ── far (10.77.0.2, fd77::2) ── deep (10.78.0.2, fd78::2)
"""

import re

from common import OK, expect, expect_in
from lab import Lab


def test_positive_control(lab: Lab):
    """Without a tunnel nothing beyond gw answers: what the other tests see went through ssh."""
    for address in ("10.77.0.2", "fd77::2", "10.78.0.2", "fd78::2"):
        assert lab.near.run(["ping", "-c1", "-W1", address], check=False).returncode != 0


def test_connected_line(tunnel):
    pattern = (r"^ecssh: connected to gw as alice \(helper \S+ uploaded, [0-9.]+ s\); "
               r"10\.77\.0\.0/24, fd77::/64, 10\.78\.0\.0/24, fd78::/64 via ecssh0$")
    assert re.search(pattern, tunnel.stderr(), re.M), tunnel.stderr()


def test_ping(lab: Lab, tunnel):
    for address in ("10.77.0.2", "fd77::2", "10.78.0.2", "fd78::2"):
        out = lab.near.run(["ping", "-n", "-c5", "-i0.05", "-W10", address]).stdout
        expect_in("5 received, 0% packet loss", out)


def test_ping_sizes(lab: Lab, tunnel):
    for address in ("10.77.0.2", "fd77::2"):
        for size in (0, 1, 1400, 8000, 30000):
            out = lab.near.run(["ping", "-n", "-c1", "-W10", "-s", size, address]).stdout
            expect_in("1 received", out)
            expect_in(f"{size + 8} bytes from", out)


def test_ping_many_at_once(lab: Lab, tunnel):
    pings = [lab.near.popen(["ping", "-n", "-q", "-c5", "-i0.1", "-W10", address], stdout=-3)
             for address in ("10.77.0.2", "fd77::2", "10.78.0.2", "fd78::2") for _ in range(10)]
    expect([ping.wait(20) for ping in pings], [0] * 40, "exit statuses of ping")


def test_curl(lab: Lab, tunnel):
    for address in ("10.77.0.2", "[fd77::2]", "10.78.0.2", "[fd78::2]"):
        expect(lab.near.run(["curl", "-sS", f"http://{address}/"]).stdout, f"hello from {address.strip('[]')}\n")


def test_curl_large(lab: Lab, tunnel):
    for address in ("10.77.0.2", "[fd78::2]"):
        out = lab.near.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{size_download}", f"http://{address}/50000000"])
        expect(out.stdout, "50000000", "bytes downloaded")


def test_dig(lab: Lab, tunnel):
    for server in ("10.77.0.2", "fd77::2", "10.78.0.2"):
        for extra in ([], ["+tcp"]):
            dig = ["dig", "+time=10", "+tries=1", "+short", *extra, f"@{server}"]
            expect(lab.near.run([*dig, "far.lab.test", "A"]).stdout, "10.77.0.2\n")
            expect(lab.near.run([*dig, "far.lab.test", "AAAA"]).stdout, "fd77::2\n")


def test_dig_truncated_then_tcp(lab: Lab, tunnel):
    out = lab.near.run(["dig", "+time=10", "+tries=1", "@10.77.0.2", "big.lab.test", "TXT"]).stdout
    expect_in("Truncated, retrying in TCP", out)
    expect_in("status: NOERROR", out)


def test_ssh_through_the_tunnel(lab: Lab, tunnel):
    lab.sshd(host=lab.far)
    expect(lab.near.run(["ssh", "alice@far", "hostname"]).stdout, "far\n")


def trace(lab: Lab, *arguments: str) -> list[str]:
    """The hop addresses traceroute prints, "*" for silence."""
    out = lab.near.run(["traceroute", "-n", "-w10", "-q1", "-m5", *arguments], timeout=60).stdout
    return [line.split()[1] for line in out.splitlines()[1:]]


def check_trace(hops: list[str], far: str, deep: str) -> None:
    """gw first, far next, deep last."""
    expect(hops[-2:], [far, deep], f"last hops of {hops}")
    expect(len(hops), 3, f"number of hops of {hops}")
    assert hops[0] not in ("*", far, deep), f"gateway not shown: {hops}"


def test_traceroute_udp_v4(lab: Lab, tunnel):
    check_trace(trace(lab, "10.78.0.2"), "10.77.0.2", "10.78.0.2")


def test_traceroute_udp_v6(lab: Lab, tunnel):
    check_trace(trace(lab, "-6", "fd78::2"), "fd77::2", "fd78::2")


def test_traceroute_icmp_v4(lab: Lab, tunnel):
    check_trace(trace(lab, "-I", "10.78.0.2"), "10.77.0.2", "10.78.0.2")


def test_traceroute_icmp_v6(lab: Lab, tunnel):
    check_trace(trace(lab, "-6", "-I", "fd78::2"), "fd77::2", "fd78::2")


def test_gateway_address_inside_the_subnets(lab: Lab, tunnel):
    """gw's own far address is reached by way of the helper."""
    for address in ("10.77.0.1", "fd77::1"):
        expect(lab.near.run(["ping", "-n", "-c1", "-W10", address], check=False).returncode, OK, f"ping {address}")
