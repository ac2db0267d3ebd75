# SPDX-License-Identifier: MIT
"""The tunnel's own resolver, before dnsmasq on gw, and addresses routed by name.

    near ──ssh── gw (dnsmasq) ── far (10.77.0.2, fd77::2) ── deep (10.78.0.2)
"""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

from common import GATEWAY, USAGE, Ecssh, Tunnel, connect_error, expect, expect_in, over, timeout
from lab import Lab, Wan, diff, wait_for
from services import CLOSED, ECHO, FILTERED

FAR, FAR6, DEEP = "10.77.0.2", "fd77::2", "10.78.0.2"
DOMAIN = "*.corp.test"
SLOW_PORT = 5300
BIG = 20        # records of 200 bytes

ZONE = f"""
no-resolv
no-hosts
bind-interfaces
listen-address=127.0.0.1
cache-size=10000
dns-forward-max=10000
local-ttl=60
local=/corp.test/
host-record=a.corp.test,{FAR},{FAR6}
host-record=deep.corp.test,{DEEP}
host-record=cdn.other.test,{DEEP}
cname=www.corp.test,a.corp.test
cname=alias.corp.test,cdn.other.test
cname=into.other.test,deep.corp.test
host-record=end.other.test,10.78.0.20,fd78::20
cname=middle.other.test,end.other.test
cname=chain.corp.test,middle.other.test
host-record=first.corp.test,10.78.255.1
dns-rr=hint.corp.test,65,000100000400080a4e001e0a09004d00060010fd78000000000000000000000000001e
txt-record=t.corp.test,hello there
address=/many.test/{DEEP}
server=/silent.test/{FAR}#{FILTERED}
server=/slow.test/{FAR}#{SLOW_PORT}
host-record=lan.corp.test,10.9.0.77
host-record=gateway.corp.test,10.9.0.1,fd09::1
host-record=self.corp.test,10.9.0.2,fd09::2
host-record=loopback.corp.test,127.0.0.1,::1
host-record=metadata.corp.test,169.254.169.254
host-record=group.corp.test,224.0.0.5
host-record=excluded.corp.test,10.78.0.9
host-record=disguised.corp.test,::ffff:10.78.0.2
ptr-record=2.0.77.10.in-addr.arpa,a.corp.test
""" + "".join(f"txt-record=big.corp.test,{number:02}{'x' * 198}\n" for number in range(BIG))


def serve(lab: Lab, zone: str = ZONE) -> None:
    """dnsmasq as the resolver that gw itself uses."""
    lab.gw.write("/etc/dnsmasq-lab.conf", zone)
    lab.gw.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    lab.gw.popen(["dnsmasq", "-k", "-C", "/etc/dnsmasq-lab.conf", "--user=root", "--pid-file="])
    wait_for(lambda: lab.gw.run(["dig", "@127.0.0.1", "+short", "+time=1", "+tries=1", "a.corp.test"],
                                check=False).stdout == FAR + "\n", 5, "dnsmasq answers")


def start(lab: Lab, *arguments: object, subnets: tuple = (DOMAIN,), zone: str = ZONE) -> Tunnel:
    serve(lab, zone)
    return Tunnel(lab, *arguments, subnets=subnets)


def addresses(tunnel: Tunnel) -> list:
    return tunnel.status()["resolver"]["addresses"]


def dig(tunnel: Tunnel, *words: str, at: str = "", user: str = "root") -> str:
    return tunnel.host.run(["dig", f"@{at or addresses(tunnel)[0]}", "+time=15", "+tries=1", *words], user,
                           check=False, timeout=30).stdout


def code(said: str) -> str:
    found = re.search(r"status: (\w+)", said)
    return found[1] if found else "silence"


def routes(lab: Lab) -> set:
    """The destinations that lead into the tunnel, in whichever table."""
    found = set()
    for family in ("-4", "-6"):
        said = lab.near.run(["ip", family, "route", "show", "table", "all", "dev", "ecssh0"]).stdout
        found |= {line.split()[0] for line in said.splitlines() if not line.startswith(("local", "multicast", "ff00"))}
    return found


def query(ident: int, name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)


def test_all_kinds_of_records(lab: Lab):
    tunnel = start(lab)
    v4, v6 = addresses(tunnel)
    for at in (v4, v6):
        for words, wanted in ((("a.corp.test", "A"), FAR), (("a.corp.test", "AAAA"), FAR6),
                              (("www.corp.test", "A"), f"a.corp.test.\n{FAR}"),
                              (("t.corp.test", "TXT"), '"hello there"'), (("-x", FAR), "a.corp.test.")):
            for how in ("+notcp", "+tcp"):
                expect(dig(tunnel, "+short", how, *words, at=at), wanted + "\n", f"{words} {how} of {at}")
        said = dig(tunnel, "nothing.corp.test", at=at)
        expect(code(said), "NXDOMAIN")
        said = dig(tunnel, "t.corp.test", "AAAA", at=at)
        expect((code(said), "ANSWER: 0" in said), ("NOERROR", True), "no record of that type")
        # Case and OPT come back as they were sent.
        expect_in("A.coRP.test.", dig(tunnel, "A.coRP.test", at=at))
        assert "EDNS: version: 0" not in dig(tunnel, "+noedns", "a.corp.test", at=at)
        expect_in("1 received", lab.near.run(["ping", "-n", "-c1", "-W10", at]).stdout)
        expect(connect_error(lab.near, at, 80), "ECONNREFUSED")
    expect(dig(tunnel, "+short", "a.corp.test", user="bob"), FAR + "\n", "another user")
    counted = tunnel.status()["resolver"]
    assert counted["known"] > 5 and counted["by_tcp"] >= 10 and counted["failed"] == 0, counted
    assert counted["cached"] == 5 and counted["waiting"] == 0, counted
    # Nobody on the LAN gets there.
    lab.gw.ip(f"route add {v4} via 10.9.0.2")
    expect(code(lab.gw.run(["dig", f"@{v4}", "+time=1", "+tries=1", "a.corp.test"], check=False).stdout), "silence")
    tunnel.down()
    tunnel.expect_restored()


def test_is_not_there_for_whom_this_host_forwards(lab: Lab):
    """A host of the local network, which may send through this one into the tunnel, does not ask and routes nothing."""
    tunnel = start(lab)
    before = routes(lab)
    lab.near.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
    for at, source, gateway in zip(addresses(tunnel), ("10.9.0.1", "fd09::1"), ("10.9.0.2", "fd09::2")):
        lab.gw.ip(f"route add {at} via {gateway}")
        for how in ("+notcp", "+tcp"):
            said = lab.gw.run(["dig", "-b", source, f"@{at}", how, "+time=1", "+tries=1", "deep.corp.test"], check=False)
            expect(code(said.stdout), "silence", f"{how} to {at}")
        expect_in("0 received", lab.gw.run(["ping", "-n", "-c1", "-W1", at], check=False).stdout)
    # The control: it all came as far as the engine, which would have answered this host.
    assert (dropped := tunnel.status()["drops"]["near"]["not-this-host"]) >= 6, dropped
    expect(routes(lab), before)
    expect(tunnel.status()["resolver"]["queries"], 0)
    expect(dig(tunnel, "+short", "deep.corp.test"), DEEP + "\n")
    expect(routes(lab) - before, {DEEP})
    tunnel.down()


def test_long_answers(lab: Lab):
    """Cut by UDP, whole by TCP, and by UDP for who takes them."""
    tunnel = start(lab)
    said = dig(tunnel, "+ignore", "+bufsize=512", "big.corp.test", "TXT")
    expect_in(" tc", said)
    expect_in("ANSWER: 0", said)
    for how in ("+bufsize=1232", "+noedns", "+tcp"):
        said = dig(tunnel, how, "big.corp.test", "TXT")
        expect_in(f"ANSWER: {BIG}", said)
        expect_in("(TCP)", said)
    said = dig(tunnel, "+ignore", "+bufsize=4096", "t.corp.test", "TXT")
    expect_in("(UDP)", said)
    assert tunnel.status()["resolver"]["cut"] >= 3
    # Several by one connection, as resolvers do.
    with lab.near.connect(addresses(tunnel)[0], 53) as sock:
        names = ["a.corp.test", "t.corp.test", "deep.corp.test", "nothing.corp.test"]
        for number, name in enumerate(names):
            message = query(number, name)
            sock.sendall(struct.pack("!H", len(message)) + message)
        sock.shutdown(socket.SHUT_WR)
        stream, idents = sock.makefile("rb"), set()
        while head := stream.read(2):
            idents.add(struct.unpack("!H", stream.read(struct.unpack("!H", head)[0])[:2])[0])
        expect(idents, set(range(len(names))))
    tunnel.down()


@timeout(90)
def test_one_name_that_fails_is_nobodys_business(lab: Lab):
    """Silence, slowness and refusal concern who asked, and a thousand of them do not end the tunnel."""
    tunnel = start(lab)
    with lab.far.socket(kind=socket.SOCK_DGRAM) as slow, ThreadPoolExecutor() as pool:
        slow.bind((FAR, SLOW_PORT))
        silent = pool.submit(dig, tunnel, "x.silent.test")
        late = pool.submit(dig, tunnel, "+short", "x.slow.test")
        message, peer = slow.recvfrom(4096)
        for _ in range(5):      # others are answered meanwhile
            expect(dig(tunnel, "+short", "a.corp.test"), FAR + "\n")
        wait_for(lambda: tunnel.status()["resolver"]["asked_again"] >= 1, 10, "a second try")
        end = 12 + message[12:].index(b"\0") + 5
        slow.sendto(message[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + message[12:end] +
                    b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([10, 77, 0, 9]), peer)
        expect(late.result(), "10.77.0.9\n", "a slow answer")
        expect(code(silent.result()), "SERVFAIL")
    assert tunnel.status()["resolver"]["failed"] >= 1
    expect(tunnel.process.poll(), None)
    tunnel.down()


@timeout(90)
def test_a_thousand_names_at_once(lab: Lab):
    tunnel = start(lab)
    at, wanted = addresses(tunnel)[0], 1000
    with lab.near.socket(kind=socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.settimeout(20)
        began = time.monotonic()
        for ident in range(wanted):
            sock.sendto(query(ident, f"h{ident}.many.test"), (at, 53))
        seen = set()
        while len(seen) < wanted:
            answer = sock.recv(4096)
            expect(answer[-4:], bytes([10, 78, 0, 2]))
            seen.add(struct.unpack("!H", answer[:2])[0])
        asked_s = time.monotonic() - began
        # Once more: all of them are known.
        began = time.monotonic()
        for ident in range(wanted):
            sock.sendto(query(ident, f"H{ident}.many.test"), (at, 53))
        again = {struct.unpack("!H", sock.recv(4096)[:2])[0] for _ in range(wanted)}
        known_s = time.monotonic() - began
    expect(again, seen)
    resolver = tunnel.status()["resolver"]
    expect((resolver["known"], resolver["cached"], resolver["failed"]), (wanted, wanted, 0))
    if path := os.environ.get("ECSSH_DNS_FIGURES"):
        with open(path, "a", encoding="ascii") as out:
            out.write(f"{wanted} names asked at once: {asked_s * 1e3:.0f} ms; again, all known: {known_s * 1e3:.0f} ms\n")
    tunnel.down()


@over(Wan(rate_mbit=50, rtt_ms=40))
@timeout(60)
def test_figures_of_lookups(lab: Lab):
    """One after another: by the stub, and by who it asks; numbers for whoever sets the variable."""
    tunnel = start(lab)
    at = addresses(tunnel)[0]

    def one_by_one(host, address: str, names: list) -> list:
        took = []
        with host.socket(kind=socket.SOCK_DGRAM) as sock:
            for ident, name in enumerate(names):
                began = time.monotonic()
                sock.sendto(query(ident, name), (address, 53))
                expect(struct.unpack("!H", sock.recv(4096)[:2])[0], ident)
                took.append(time.monotonic() - began)
        return sorted(took)

    count = 100
    fresh = one_by_one(lab.near, at, [f"f{number}.many.test" for number in range(count)])
    known = one_by_one(lab.near, at, ["f1.many.test"] * 3000)
    direct = one_by_one(lab.gw, "127.0.0.1", [f"d{number}.many.test" for number in range(count)])
    rtt_ms = tunnel.status()["rtt_us"] / 1000
    expect(tunnel.status()["resolver"]["failed"], 0)
    if path := os.environ.get("ECSSH_DNS_FIGURES"):
        with open(path, "a", encoding="ascii") as out:
            out.write(f"lookup through the stub: median {fresh[count // 2] * 1e3:.2f} ms, p95 "
                      f"{fresh[count * 95 // 100] * 1e3:.2f} ms; at the resolver itself: median "
                      f"{direct[count // 2] * 1e3:.2f} ms; round trip of the session {rtt_ms:.2f} ms; known: median "
                      f"{known[1500] * 1e6:.0f} us, {len(known) / sum(known):.0f}/s one after another\n")
    tunnel.down()


def test_addresses_are_routed_by_name(lab: Lab):
    tunnel = start(lab)
    before = routes(lab)
    expect(connect_error(lab.near, FAR, ECHO), "ENETUNREACH", "before the name is asked for")
    expect(dig(tunnel, "+short", "a.corp.test"), FAR + "\n")
    with lab.near.connect(FAR, ECHO) as sock:
        sock.sendall(b"x")
        expect(sock.recv(1), b"x")
    expect(connect_error(lab.near, FAR, CLOSED), "ECONNREFUSED")
    dig(tunnel, "a.corp.test", "AAAA")
    with lab.near.connect(FAR6, ECHO) as sock:
        sock.sendall(b"x")
        expect(sock.recv(1), b"x")
    expect(routes(lab) - before, {FAR, FAR6})
    # By an alias out of the domain, and by one into it; what is in no domain is answered and not routed.
    dig(tunnel, "h1.many.test")
    expect(routes(lab) - before, {FAR, FAR6})
    dig(tunnel, "alias.corp.test")
    expect(routes(lab) - before, {FAR, FAR6, DEEP})
    resolver = tunnel.status()["resolver"]
    expect((resolver["routes"], resolver["routes_refused"], resolver["routes_failed"]), (3, 0, 0), str(resolver))
    expect(resolver["routed_domains"], [DOMAIN])
    expect_in("3 addresses routed", lab.near.run(["ecssh", "status"]).stdout)
    tunnel.down()
    tunnel.expect_restored()


def test_aliases_of_aliases(lab: Lab):
    """Of both families, out of the domain by two steps, and into it."""
    tunnel = start(lab)
    before = routes(lab)
    dig(tunnel, "end.other.test")
    expect(routes(lab), before, "a name in no domain")
    expect(dig(tunnel, "+short", "chain.corp.test", "AAAA").split()[-1], "fd78::20")
    expect(routes(lab) - before, {"fd78::20"})
    expect(dig(tunnel, "+short", "chain.corp.test").split()[-1], "10.78.0.20")
    expect(routes(lab) - before, {"fd78::20", "10.78.0.20"})
    expect(dig(tunnel, "+short", "into.other.test").split()[-1], DEEP)
    expect(routes(lab) - before, {"fd78::20", "10.78.0.20", DEEP})
    tunnel.down()
    tunnel.expect_restored()


def test_hints_are_routed(lab: Lab):
    """What a browser may connect to before it knows A and AAAA; not what must stay out."""
    tunnel = start(lab)
    before = routes(lab)
    expect_in("ipv6hint=fd78::1e", dig(tunnel, "hint.corp.test", "HTTPS"))
    expect(routes(lab) - before, {"10.78.0.30", "fd78::1e"})
    expect(tunnel.status()["resolver"]["routes_refused"], 1, "10.9.0.77, in the local network")
    tunnel.down()


@timeout(90)
def test_of_too_many_addresses_the_oldest_gives_way(lab: Lab):
    """A route that goes is gone in the kernel, too."""
    pool = "".join(f"host-record=p{n}.corp.test,10.78.{1 + n // 200}.{n % 200 + 1}\n" for n in range(1024))
    tunnel = start(lab, zone=ZONE + pool)
    with lab.near.socket(kind=socket.SOCK_DGRAM) as sock:
        at, before = addresses(tunnel)[0], routes(lab)

        def told(name: str) -> None:
            sock.sendto(query(1, name), (at, 53))
            sock.recv(4096)
        told("first.corp.test")
        told("deep.corp.test")
        for n in range(1022):
            told(f"p{n}.corp.test")
        expect(len(routes(lab) - before), 1024)
        told("first.corp.test")     # so that it is not the oldest any more
        told("p1022.corp.test")
        expect((len(routes(lab) - before), DEEP in routes(lab), "10.78.255.1" in routes(lab)), (1024, False, True))
    resolver = tunnel.status()["resolver"]
    expect((resolver["routes"], resolver["routes_expired"]), (1024, 1))
    expect(connect_error(lab.near, DEEP, ECHO), "ENETUNREACH")
    tunnel.down()
    tunnel.expect_restored()


def test_a_program_that_knows_only_a_name(lab: Lab):
    """The host's own resolver, the stub, the route and the connection, in one step."""
    tunnel = start(lab)
    said = lab.near.run(["curl", "-sS", "-m", "10", "http://www.corp.test/"], "bob").stdout
    assert said.startswith("hello from "), said
    tunnel.down()
    tunnel.expect_restored()


def test_everything_by_name(lab: Lab):
    """--full has this host's names asked for in the tunnel, behind a kill switch, too; also over whole packets."""
    serve(lab)
    for to, options in (("gw", ()), ("gw", ("--kill-switch",)), ("root@gw", ("--plane", "packet"))):
        tunnel = Tunnel(lab, "--full", *options, subnets=(), to=to)
        expect(tunnel.status()["dns"]["servers"], addresses(tunnel))
        said = lab.near.run(["curl", "-sS", "-4", "-m", "10", "http://www.corp.test/"], "bob").stdout
        assert said.startswith("hello from "), said
        expect(dig(tunnel, "+short", "+tcp", "t.corp.test", "TXT"), '"hello there"\n')
        tunnel.down()
        tunnel.expect_restored()


def test_domains_without_a_resolver(lab: Lab):
    """Of names nothing can be learnt there: an end if that was all, else a warning."""
    lab.gw.write("/etc/resolv.conf", "")
    before = lab.near.snapshot()
    Ecssh(lab.near, "up", "gw", "corp.test").fails(GATEWAY, "nothing would be routed: gw has no resolver", "--dns-server")
    expect(diff(before, lab.near.snapshot()), [])
    tunnel = Tunnel(lab, subnets=("corp.test", "10.77.0.0/24"))
    expect_in("no domain is routed: gw has no resolver", tunnel.stderr())
    tunnel.down()


def test_domains_with_dns_off(lab: Lab):
    """The resolver is there, and this host is told nothing of it."""
    tunnel = start(lab, "--dns", "off")
    expect(lab.near.path("/etc/resolv.conf").read_text(), tunnel.before["resolv.conf"])
    expect(tunnel.status()["dns"]["mode"], "off")
    before = routes(lab)
    dig(tunnel, "deep.corp.test")
    expect(routes(lab) - before, {DEEP})
    tunnel.down()
    tunnel.expect_restored()


def test_names_that_point_at_what_is_not_theirs(lab: Lab):
    """DNS rebinding: the gateway's resolver is asked, but it does not say what of this host goes there."""
    tunnel = start(lab, "-x", "10.78.0.9/32")
    before = routes(lab)
    names = {"lan": 1, "gateway": 2, "self": 2, "loopback": 2, "metadata": 1, "group": 1, "excluded": 1,
             "disguised": 1}
    for name in names:
        for kind in ("A", "AAAA"):
            said = dig(tunnel, f"{name}.corp.test", kind)
            expect(code(said), "NOERROR", name)
    expect(routes(lab), before)
    expect(tunnel.status()["resolver"]["routes_refused"], sum(names.values()))
    # The control: the same way, an address that may.
    dig(tunnel, "deep.corp.test")
    expect(routes(lab) - before, {DEEP})
    tunnel.down()


def test_subnets_and_domains_together(lab: Lab):
    tunnel = start(lab, subnets=("10.77.0.0/24", "fd77::/64", DOMAIN))
    before = routes(lab)
    dig(tunnel, "a.corp.test")
    expect(routes(lab), before, "what a subnet covers needs no route")
    dig(tunnel, "deep.corp.test")
    expect(routes(lab) - before, {DEEP})
    resolver = tunnel.status()["resolver"]
    expect((resolver["routes"], resolver["routes_added"]), (1, 1))
    tunnel.down()
    tunnel.expect_restored()


@timeout(60)
def test_after_a_new_connection(lab: Lab):
    """What was known is still known, and what was not is asked in the new session."""
    tunnel = start(lab, "--reconnect")
    at = addresses(tunnel)[0]
    dig(tunnel, "a.corp.test")
    os.kill(tunnel.helper().pid, signal.SIGKILL)
    wait_for(lambda: "connected to gw again" in tunnel.stderr(), 20, "connected again")
    expect(addresses(tunnel)[0], at)
    for how in ("+notcp", "+tcp"):
        expect(dig(tunnel, "+short", how, "a.corp.test"), FAR + "\n")
        expect(dig(tunnel, "+short", how, "deep.corp.test"), DEEP + "\n")
    expect(tunnel.status()["resolver"]["failed"], 0)
    with lab.near.connect(FAR, ECHO) as sock:
        sock.sendall(b"x")
        expect(sock.recv(1), b"x")
    tunnel.down()
    tunnel.expect_restored()


def test_on_channels_of_ssh(lab: Lab):
    tunnel = start(lab, "--mode", "direct", "--dns-server", "127.0.0.1")
    expect(dig(tunnel, "+short", "a.corp.test"), FAR + "\n")
    expect(dig(tunnel, "+short", "+tcp", "t.corp.test", "TXT"), '"hello there"\n')
    with lab.near.connect(FAR, ECHO) as sock:
        sock.sendall(b"x")
        expect(sock.recv(1), b"x")
    tunnel.down()


def test_a_resolver_of_our_choice(lab: Lab):
    """--dns-server: a helper asks whom it is told to, and by TCP what was cut off."""
    lab.gw.write("/etc/resolv.conf", "nameserver 192.0.2.1\n")
    tunnel = Tunnel(lab, "--dns-server", FAR, subnets=("*.lab.test",))
    expect(dig(tunnel, "+short", "far.lab.test"), FAR + "\n")
    said = dig(tunnel, "big.lab.test", "TXT")
    expect_in("(TCP)", said)
    expect_in("ANSWER: 1", said)
    expect_in("NXDOMAIN", dig(tunnel, "nothing.lab.test"))
    with lab.near.connect(FAR, ECHO) as sock:
        sock.sendall(b"x")
        expect(sock.recv(1), b"x")
    tunnel.down()


def test_domains_that_are_none(lab: Lab):
    for word, mention in (("corp", "dot before it"), ("*", "only letters"), ("bücher.example", "punycode"),
                          ("a..b", "missing"), ("$(id).corp", "only letters"), ("-a.corp", "cannot be next")):
        expect_in(mention, Ecssh(lab.near, "up", "gw", "--", word).fails(USAGE, "is not a domain"))
