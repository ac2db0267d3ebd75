# SPDX-License-Identifier: MIT
"""--script: the user's own program hears of the tunnel, in the variables of vpnc-script.

    near ──ssh── gw ── far (10.77.0.2, fd77::2)
"""

import os
import re
import signal
import time
from pathlib import Path

from common import OK, RUNTIME, SSH, USAGE, Ecssh, Skip, Tunnel, expect, expect_in
from lab import BUILD, PYTHON, USERS, Host, Lab, diff, wait_for
from services import ECHO

FAR = "10.77.0.2"
VPNC_SCRIPT = Path("/usr/share/vpnc-scripts/vpnc-script")
NOTES = "/tmp/notes"        # where scripts leave what they saw
OURS = re.compile(r"(?m)^((?:reason|VPN\w+|TUN\w+|LOG_LEVEL|IDLE_TIMEOUT|INTERNAL_\w+|CISCO_\w+)=.*)$")

RECORDER = f"""#!/bin/sh
env >{NOTES}/$reason.part
[ "$TUNDEV" ] && ip -o addr show dev $TUNDEV >{NOTES}/$reason.device
id -u >{NOTES}/$reason.user
mv {NOTES}/$reason.part {NOTES}/$reason.env
"""

# The needs of vpn-slice: its names, its types, its arithmetic.
SLICER = f"""#!{PYTHON}
import json, os
from ipaddress import IPv4Address, IPv4Network, IPv6Interface, IPv6Network, ip_address
env = os.environ
assert env["reason"] in ("pre-init", "connect", "disconnect", "reconnect", "attempt-reconnect")
found = {{"gateway": str(ip_address(env["VPNGATEWAY"])), "pid": int(env["VPNPID"]), "device": env.get("TUNDEV", ""),
         "mtu": int(env["INTERNAL_IP4_MTU"]), "loglevel": int(env["LOG_LEVEL"])}}
myaddr, netmask = IPv4Address(env["INTERNAL_IP4_ADDRESS"]), IPv4Address(env["INTERNAL_IP4_NETMASK"])
network = IPv4Network(env["INTERNAL_IP4_NETADDR"]).supernet(new_prefix=int(env["INTERNAL_IP4_NETMASKLEN"]))
assert network.netmask == netmask and myaddr in network
found["me"] = [str(myaddr), str(IPv6Interface(env["INTERNAL_IP6_NETMASK"]))]
assert IPv6Interface(env["INTERNAL_IP6_ADDRESS"]).ip == IPv6Interface(env["INTERNAL_IP6_NETMASK"]).ip
for list_, kind in (("CISCO_SPLIT_INC", IPv4Network), ("CISCO_SPLIT_EXC", IPv4Network),
                    ("CISCO_IPV6_SPLIT_INC", IPv6Network), ("CISCO_IPV6_SPLIT_EXC", IPv6Network)):
    nets = []
    for n in range(int(env.get(list_, 0))):
        address, length = env[f"{{list_}}_{{n}}_ADDR"], int(env[f"{{list_}}_{{n}}_MASKLEN"])
        nets.append(kind(address).supernet(new_prefix=length))
        if kind is IPv4Network:
            assert nets[-1].netmask == IPv4Address(env[f"{{list_}}_{{n}}_MASK"])
    found[list_] = [str(net) for net in nets]
with open("{NOTES}/new", "w") as file:
    json.dump(found, file)
os.rename("{NOTES}/new", "{NOTES}/" + env["reason"])
"""


def script(lab: Lab, text: str, path: str = "/root/tell", mode: int = 0o755) -> str:
    """Write a script; where it leaves notes there is room for them from any user."""
    lab.near.write(path, text, mode=mode)
    lab.near.path(NOTES).mkdir(exist_ok=True)
    lab.near.path(NOTES).chmod(0o1777)
    return path


def notes(host: Host) -> list[str]:
    return sorted(path.name for path in host.path(NOTES).glob("*.env"))


def note(lab: Lab, name: str) -> str:
    path = lab.near.path(f"{NOTES}/{name}")
    wait_for(path.exists, what=f"the script wrote {name}")
    return path.read_text()


def told(lab: Lab, reason: str) -> dict[str, str]:
    """Our variables, as the script had them."""
    return dict(line.split("=", 1) for line in OURS.findall(note(lab, f"{reason}.env")))


def carries(lab: Lab) -> bool:
    with lab.near.connect(FAR, ECHO, 5) as sock:
        sock.sendall(b"?")
        return sock.recv(1) == b"?"


def subnet(list_: str, number: int, address: str, length: int, mask: str = "") -> dict[str, str]:
    entry = {"ADDR": address, "MASKLEN": str(length), "PROTOCOL": "0", "SPORT": "0", "DPORT": "0"}
    return {f"{list_}_{number}_{key}": value for key, value in {**entry, **({"MASK": mask} if mask else {})}.items()}


def test_variables(lab: Lab):
    """All of them, at each moment; what the user's own environment had of that name is not among them."""
    env = {"CISCO_SPLIT_INC_0_ADDR": "6.6.6.6", "CISCO_BANNER": "old", "TUNDEV": "tun7", "PASSED": "on"}
    tunnel = Tunnel(lab, "--script", script(lab, RECORDER), "-x", "10.77.0.128/25", "-x", "fd77::8000/113",
                    "--mtu", 1400, subnets=("10.77.0.0/24", "10.78.0.0/24", "fd77::/64"), env=env)
    status = tunnel.status()
    v4, v6 = sorted(status["addresses"], key=lambda address: ":" in address)
    v4, v6 = v4.split("/")[0], v6.split("/")[0]
    always = {
        "VPNGATEWAY": "10.9.0.1", "VPNPID": told(lab, "connect")["VPNPID"], "LOG_LEVEL": "1",
        "INTERNAL_IP4_ADDRESS": v4, "INTERNAL_IP4_NETADDR": v4, "INTERNAL_IP4_NETMASK": "255.255.255.255",
        "INTERNAL_IP4_NETMASKLEN": "32", "INTERNAL_IP4_MTU": "1400",
        "INTERNAL_IP6_ADDRESS": v6, "INTERNAL_IP6_NETMASK": v6 + "/128",
        "CISCO_SPLIT_INC": "2", **subnet("CISCO_SPLIT_INC", 0, "10.77.0.0", 24, "255.255.255.0"),
        **subnet("CISCO_SPLIT_INC", 1, "10.78.0.0", 24, "255.255.255.0"),
        "CISCO_SPLIT_EXC": "1", **subnet("CISCO_SPLIT_EXC", 0, "10.77.0.128", 25, "255.255.255.128"),
        "CISCO_IPV6_SPLIT_INC": "1", **subnet("CISCO_IPV6_SPLIT_INC", 0, "fd77::", 64),
        "CISCO_IPV6_SPLIT_EXC": "1", **subnet("CISCO_IPV6_SPLIT_EXC", 0, "fd77::8000", 113),
    }
    expect(told(lab, "pre-init"), {"reason": "pre-init", **always}, "before there is a device")
    expect(told(lab, "connect"), {"reason": "connect", "TUNDEV": "ecssh0", **always}, "when it is up")
    expect_in(v4, note(lab, "connect.device"))
    expect_in("PASSED=on", note(lab, "connect.env"))
    lab.near.run(["test", "-d", f"/proc/{always['VPNPID']}"])
    tunnel.down()
    expect(told(lab, "disconnect"), {"reason": "disconnect", "TUNDEV": "ecssh0", **always}, "before it goes")
    expect_in(v4, note(lab, "disconnect.device"))
    tunnel.expect_restored(except_for=NOTES)


def test_what_vpn_slice_needs(lab: Lab):
    import json
    tunnel = Tunnel(lab, "--script", script(lab, SLICER), "-x", "10.77.0.64/26")
    found = json.loads(note(lab, "connect"))
    expect(found["CISCO_SPLIT_INC"], ["10.77.0.0/24", "10.78.0.0/24"])
    expect(found["CISCO_SPLIT_EXC"], ["10.77.0.64/26"])
    expect(found["CISCO_IPV6_SPLIT_INC"], ["fd77::/64", "fd78::/64"])
    expect((found["gateway"], found["device"], found["mtu"]), ("10.9.0.1", "ecssh0", 1500))
    tunnel.down()
    expect(json.loads(note(lab, "disconnect"))["device"], "ecssh0")
    assert "ignoring" not in tunnel.stderr(), tunnel.stderr()


def test_what_the_gateway_reaches(lab: Lab):
    """With --auto-nets the script hears of all that is routed, each time; what the user has named comes first, and once."""
    import json
    tunnel = Tunnel(lab, "--script", script(lab, SLICER), "--auto-nets", "-x", "10.78.0.0/24", subnets=("192.0.2.0/24", "10.77.0.0/24"))
    for reason in ("pre-init", "connect", "disconnect"):
        if reason == "disconnect":
            tunnel.down()
        found = json.loads(note(lab, reason))
        expect(found["CISCO_SPLIT_INC"], ["192.0.2.0/24", "10.77.0.0/24", "10.78.0.0/24"], reason)
        expect(found["CISCO_IPV6_SPLIT_INC"], ["fd77::/64", "fd78::/64"], reason)
        expect(found["CISCO_SPLIT_EXC"], ["10.78.0.0/24"], reason)


def test_every_end(lab: Lab):
    """Ctrl-C, the loss of the connection, and even the engine's death: the script hears of it once."""
    for end, code in ((lambda t: t.interrupt(), OK),
                      (lambda t: os.kill(lab.near.process("^ssh$").pid, signal.SIGKILL), SSH),
                      (lambda t: os.kill(lab.near.process("^ecssh-broker$").pid, signal.SIGKILL), RUNTIME),
                      (lambda t: os.kill(t.engine().pid, signal.SIGKILL), None)):
        tunnel = Tunnel(lab, "--script", script(lab, RECORDER))
        told(lab, "connect")
        end(tunnel)
        status = tunnel.wait(10)
        assert code is None or status == code, f"exit status {status}: {tunnel.stderr()}"
        expect(told(lab, "disconnect")["TUNDEV"], "ecssh0")
        wait_for(lambda: not lab.near.processes("^ecssh-script$"), what="its runner has gone")
        lab.near.run(["sh", "-c", f"rm {NOTES}/*"])
        tunnel.expect_restored()


def vpnc_script(lab: Lab, options: tuple, subnets: tuple, v6: str) -> None:
    """Twice: it ends when asked to, and it is killed; v6: the route that the script makes last."""
    if not VPNC_SCRIPT.exists():
        raise Skip("no vpnc-script: ./dev deps test")
    for end in (Tunnel.down, lambda tunnel: os.kill(tunnel.engine().pid, signal.SIGKILL)):
        tunnel = Tunnel(lab, "--script", VPNC_SCRIPT, *options, subnets=subnets)
        wait_for(lambda: v6 in lab.near.run(["ip", "-6", "route"]).stdout, what="the script made its routes")
        wait_for(lambda: not lab.near.processes("^vpnc-script$"), what="the script is through")
        expect_in("10.9.0.1 dev up0", lab.near.run(["ip", "route"]).stdout)     # that to the gateway
        assert carries(lab)
        if "all" in options:
            expect_in("VPNC_GENERATED", lab.near.path("/etc/resolv.conf").read_text())
        end(tunnel)
        tunnel.wait(10)
        tunnel.expect_restored()
        for said in ("No such file", "not found", "syntax", "expr:"):
            assert said not in tunnel.stderr(), tunnel.stderr()


def test_vpnc_script_itself(lab: Lab):
    """The one of Debian's package, which makes addresses and routes of its own besides, and takes them back."""
    vpnc_script(lab, ("--dns", "off", "-x", "10.77.0.128/25"), ("10.77.0.0/24", "10.78.0.0/24", "fd77::/64"), "fd77::/64 dev ecssh0")


def test_vpnc_script_itself_with_everything(lab: Lab):
    """It replaces the default route, in a table that is not looked up any more, and brings the old one back."""
    lab.near.ip("route add default via 10.9.0.1", "route add default via fd09::1")
    vpnc_script(lab, ("--full", "--dns", "off"), (), "default dev ecssh0")


def test_vpnc_script_itself_writes_resolv_conf_too(lab: Lab):
    """It is told of the servers that names are asked for by already, and makes a file of its own of them."""
    lab.gw.write("/etc/resolv.conf", "nameserver 10.77.0.2\n")
    vpnc_script(lab, ("--dns", "all"), ("10.77.0.0/24", "fd77::/64"), "fd77::/64 dev ecssh0")


def test_no_connection_no_script(lab: Lab):
    before = lab.near.snapshot()
    Ecssh(lab.near, "up", "--script", script(lab, RECORDER), "-p", "2299", "gw", FAR).fails(SSH, "refused")
    expect(notes(lab.near), [], "what the script saw")
    wait_for(lambda: not diff(before, lab.near.snapshot()) or
             all("/root/tell" in line for line in diff(before, lab.near.snapshot())), what="near is as before")


def test_runs_as_the_user(lab: Lab):
    """By sudo, too; and the search goes by the user's rights."""
    path = script(lab, RECORDER, "/usr/local/bin/told")
    tunnel = Tunnel(lab, "--script", "told", user="bob", prefix=("sudo",), program=str(BUILD / "ecssh"))
    told(lab, "connect")
    expect(note(lab, "connect.user").strip(), str(USERS["bob"]), "user of the script")
    lab.near.run(["sudo", str(BUILD / "ecssh"), "down"], "bob")
    tunnel.wait(5)
    lab.near.path(path).chmod(0o700)
    Ecssh(lab.near, "up", "--script", "told", "gw", FAR, user="bob", prefix=("sudo",), program=str(BUILD / "ecssh")).fails(
        USAGE, "told", "cannot be run")


def test_which_file(lab: Lab):
    """With a slash from here, without from PATH; nothing is added to either."""
    script(lab, RECORDER, "/root/dir/tell")
    for word, options in (("./dir/tell", {}), ("dir/tell", {}), ("tell", {"env": {"PATH": f"{BUILD}:/usr/bin:/root/dir"}})):
        tunnel = Tunnel(lab, "--script", word, **options)
        told(lab, "connect")
        tunnel.down()
        lab.near.run(["sh", "-c", f"rm {NOTES}/*"])


def test_none_to_be_run(lab: Lab):
    """Said before anything is done: no login, no device, no question for a password."""
    script(lab, RECORDER, "/root/plain", mode=0o644)
    script(lab, RECORDER, "/root/tell")
    lab.near.path("/root/empty").mkdir()
    before = lab.near.snapshot()
    for word in ("/no/such/tell", "no-such-script", "./plain", "/root/empty", "/root", "", "/root/tell connect", "tell",
                 "/root/tell;touch /tmp/owned", "$(touch /tmp/owned)", "\033[2J", "/root/" + "x" * 5000):
        up = Ecssh(lab.near, "up", "--script", word, "gw", FAR)
        said = up.fails(USAGE, "cannot be run")
        assert "\033" not in said and len(said) < 1000, repr(said)
        expect("chmod +x" in said, word == "./plain", said)
    up = Ecssh(lab.near, "up", "--mode", "socks", "--script", "./tell", "gw").fails(USAGE, "--mode socks")
    expect(diff(before, lab.near.snapshot()), [], "state")
    assert "Accepted" not in lab.gw.path("/var/log/sshd-22.log").read_text(), "there was a login"


def test_that_fails(lab: Lab):
    """One warning each, and the tunnel is what it would be without."""
    for body, mention in (("#!/bin/sh\nexit 3\n", "exit status 3"), ("#!/bin/sh\nkill -9 $$\n", "killed by signal 9"),
                          ("#!/no/such/program\n", "No such file"), ("touch /tmp/notes/shell\n", "Exec format error")):
        tunnel = Tunnel(lab, "--script", script(lab, body))
        wait_for(lambda: f"at connect, ignoring: {mention}" in tunnel.stderr(), what=f"{mention}: {tunnel.stderr()}")
        assert carries(lab)
        tunnel.down()
        said = tunnel.stderr()
        expect([said.count(f"at {reason}, ignoring: {mention}") for reason in ("pre-init", "connect", "disconnect")],
               [1, 1, 1], f"warnings in {said}")
    assert not lab.near.path("/tmp/notes/shell").exists(), "a shell ran what is no script"


def test_that_hangs(lab: Lab):
    """It is given its time and ended with all it has started; the tunnel works meanwhile."""
    script(lab, f"#!/bin/sh\n[ $reason = connect ] || exit 0\ntrap '' TERM\nsleep 1000 &\ntouch {NOTES}/hangs\nsleep 1000\n")
    tunnel = Tunnel(lab, "--script", "./tell")
    note(lab, "hangs")
    assert carries(lab)
    wait_for(lambda: "was ended at connect, ignoring: it took longer than 20 s" in tunnel.stderr(), 40, "it is ended")
    wait_for(lambda: not lab.near.processes("^(sleep|tell)$"), what="nothing of it is left")
    assert carries(lab)
    tunnel.down()
    tunnel.expect_restored(except_for=NOTES)


def test_end_does_not_wait_for_connect(lab: Lab):
    script(lab, f"#!/bin/sh\ntouch {NOTES}/$reason\n[ $reason != connect ] || exec sleep 1000\n")
    tunnel = Tunnel(lab, "--script", "./tell")
    note(lab, "connect")
    start = time.monotonic()
    tunnel.down()
    assert time.monotonic() - start < 15, "it was waited for"
    note(lab, "disconnect")
    expect_in("was ended at connect: the tunnel ends", tunnel.stderr())
    tunnel.expect_restored(except_for=NOTES)


def test_second_ctrl_c(lab: Lab):
    """Who does not want to wait for the script need not."""
    script(lab, f"#!/bin/sh\n[ $reason = disconnect ] || exit 0\ntouch {NOTES}/hangs\nexec sleep 1000\n")
    tunnel = Tunnel(lab, "--script", "./tell")
    tunnel.interrupt()
    note(lab, "hangs")
    sleeper = lab.near.process("^sleep$")       # Ctrl-C did not reach the script
    expect((tunnel.process.poll(), lab.near.processes("^sleep$")), (None, [sleeper]), "it waits")
    start = time.monotonic()
    tunnel.interrupt()
    expect(tunnel.wait(10), OK)
    assert time.monotonic() - start < 15, "it was waited for"
    tunnel.expect_restored(except_for=NOTES)


def test_that_says_much(lab: Lab):
    """Ten megabytes on both outputs arrive on our standard error, and hold nothing up."""
    script(lab, "#!/bin/sh\n[ $reason = connect ] || exit 0\nhead -c 10000000 /dev/zero | tr '\\0' x\nhead -c 10000000 /dev/zero | tr '\\0' y >&2\n"
                f"touch {NOTES}/$reason\n")
    tunnel = Tunnel(lab, "--script", "./tell")
    note(lab, "connect")
    assert carries(lab)
    wait_for(lambda: os.fstat(tunnel.output.fileno()).st_size > 20_000_000, what="all of it has arrived")
    tunnel.down()


def test_in_the_background(lab: Lab):
    """-f returns once the script has ended; afterwards nobody reads what it says, and it does not mind."""
    script(lab, f"#!/bin/sh\necho it is $reason\nsleep 0.3\necho it was $reason || exit 1\ntouch {NOTES}/$reason\n")
    before = lab.near.snapshot()
    result = lab.near.run(["ecssh", "up", "-f", "--script", "./tell", "gw", FAR])
    assert lab.near.path(f"{NOTES}/connect").exists(), "it is still at work"
    expect_in("it was connect", result.stderr)
    lab.near.run(["ecssh", "down"])
    note(lab, "disconnect")
    wait_for(lambda: not [line for line in diff(before, lab.near.snapshot()) if NOTES not in line], what="nothing is left")


def test_reconnect(lab: Lab):
    """Said after each; at the end there is one goodbye, also while the connection is away."""
    tunnel = Tunnel(lab, "--reconnect", "--script", script(lab, RECORDER))
    told(lab, "connect")
    os.kill(lab.near.process("^ssh$").pid, signal.SIGKILL)
    expect(told(lab, "reconnect")["TUNDEV"], "ecssh0", "the same device")
    assert carries(lab)
    lab.near.run(["sh", "-c", f"rm {NOTES}/*"])
    for process in lab.gw.processes("^sshd$"):
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: tunnel.status()["state"] == "reconnecting", what="the connection is away")
    tunnel.down()
    expect(notes(lab.near), ["disconnect.env"], "what the script heard")
    left = [line for line in diff(tunnel.before, lab.near.snapshot()) if NOTES not in line]
    expect(left, [], "what is left on near")


def test_names(lab: Lab):
    """Resolver and domains, once the tunnel answers for names."""
    tunnel = Tunnel(lab, "--script", script(lab, RECORDER), "--dns", "all", "--domain", "lab.test", "--domain", "corp.example",
                    "--dns-server", FAR)
    said = told(lab, "connect")
    expect(said["INTERNAL_IP4_DNS"], tunnel.status()["resolver"]["addresses"][0], "resolver")
    expect((said["CISCO_DEF_DOMAIN"], said["CISCO_SPLIT_DNS"]), ("lab.test corp.example", "lab.test,corp.example"), "domains")
    tunnel.down()
    expect(told(lab, "disconnect")["INTERNAL_IP4_DNS"], said["INTERNAL_IP4_DNS"])
