# SPDX-License-Identifier: MIT
"""Bad input and bad luck: one clear sentence, the right exit status, nothing left behind.

    near ──ssh── gw
"""


from common import GATEWAY, OK, PRIVILEGE, RUNTIME, SSH, USAGE, Ecssh, Tunnel, expect, expect_in
from lab import BUILD, SUBNETS, Lab, diff, wait_for

FAR = "10.77.0.2"


def check_fails(lab: Lab, code: int, *arguments: str, mentions: tuple = (), **options) -> str:
    """Run ecssh to its end; near must be as before."""
    before = lab.near.snapshot()
    said = Ecssh(lab.near, *arguments, **options).fails(code, *mentions)
    wait_for(lambda: not diff(before, lab.near.snapshot()), what="near is as before")
    return said


def test_usage(lab: Lab):
    for arguments in ([], ["up"], ["up", "gw"], ["sideways"], ["up", "--no-such-option", "gw", FAR], ["up", "gw", FAR, "--mtu"],
                      ["up", "--mtu", "abc", "gw", FAR], ["up", "--mtu", "10", "gw", FAR], ["up", "--mtu", "99999999", "gw", FAR],
                      ["up", "--address", "elsewhere", "gw", FAR], ["up", "-x", "1.2.3", "gw", FAR],
                      ["up", "--name", "", "gw", FAR], ["up", "--name", "../../etc", "gw", FAR],
                      ["down", "one", "two"], ["status", "--xml"]):
        result = lab.near.run(["ecssh", *arguments], check=False, timeout=5)
        expect(result.returncode, USAGE, f"exit status of {arguments}: {result.stderr}")
        assert result.stderr and not result.stdout, result


def test_help_and_version(lab: Lab):
    for arguments in (["--help"], ["up", "--help"], ["--version"], ["-h"]):
        result = lab.near.run(["ecssh", *arguments])
        assert result.stdout and not result.stderr, result
    expect_in("--exclude", lab.near.run(["ecssh", "up", "--help"]).stdout)


def test_malformed_subnets(lab: Lab):
    for subnet in ("10.77.0.0/33", "10.77.0.0/", "10.77.0.0/-1", "10.77.0.0/24x", "fd77::/129", "fd77:::/64",
                   "300.1.1.1", "", "/", "fd77::1%eth0/64", "10.77.0.0/ 24", "10.77.0.0/0x18", "１０.77.0.0/24", "a" * 5000):
        said = check_fails(lab, USAGE, "up", "gw", subnet)
        assert len(said) < 1000, "too many words"


def test_control_characters_are_escaped(lab: Lab):
    for bad in ("10.0.0.0/8\033[2J", "10.0.0.0/8\n8.8.8.8/32"):
        said = check_fails(lab, USAGE, "up", "gw", bad)
        assert "\033" not in said, repr(said)


def test_host_bits_are_accepted_and_said(lab: Lab):
    tunnel = Tunnel(lab, subnets=("10.77.0.5/24", "fd77::5/64"))
    expect(tunnel.status()["routes"], ["10.77.0.0/24", "fd77::/64"])
    expect_in("10.77.0.5/24", tunnel.stderr())
    tunnel.down()


def test_overlapping_and_duplicate_subnets(lab: Lab):
    tunnel = Tunnel(lab, subnets=("10.77.0.0/24", "10.77.0.0/24", "10.77.0.0/25", "10.76.0.0/15", "fd77::/64", "fd77::/64"))
    expect_in("1 received", lab.near.run(["ping", "-c1", "-W10", FAR]).stdout)
    tunnel.down()
    tunnel.expect_restored()


def test_hostile_destinations(lab: Lab):
    """None of these may reach ssh as an option or a shell as a command."""
    for destination in ("-oProxyCommand=touch /tmp/owned", "--", "-F/tmp/x", "gw\n-oProxyCommand=touch /tmp/owned", "alice@", "@gw",
                        "gw:notaport", "gw:99999", "gw:0", "gw;touch /tmp/owned", "$(touch /tmp/owned)", "`touch /tmp/owned`",
                        "al\033ice@gw", "alice@-oProxyCommand=touch /tmp/owned", "-l@gw", ""):
        up = Ecssh(lab.near, "up", destination, FAR)
        code = up.wait(10)
        assert code in (USAGE, SSH), f"{destination!r}: exit status {code}: {up.stderr()}"
        assert not lab.near.path("/tmp/owned").exists() and not lab.gw.path("/tmp/owned").exists(), destination
        assert "\033" not in up.stderr(), repr(up.stderr())


def test_hostile_option_values(lab: Lab):
    for option in ("-l", "-J", "-o", "-i", "-F", "-p"):
        up = Ecssh(lab.near, "up", option, "x\ny", "gw", FAR)
        assert up.wait(10) in (USAGE, SSH), up.stderr()


def test_unknown_host(lab: Lab):
    said = check_fails(lab, SSH, "up", "no-such-host.invalid", FAR)
    expect_in("no-such-host.invalid", said)


def test_connection_refused(lab: Lab):
    check_fails(lab, SSH, "up", "-p", "2299", "gw", FAR, mentions=("refused",))


def test_refused_login(lab: Lab):
    check_fails(lab, SSH, "up", "-o", "BatchMode=yes", "mallory@gw", FAR, mentions=("Permission denied",))


def test_changed_host_key(lab: Lab):
    """ssh's own check is never weakened, and its reason is shown."""
    other = lab.far.path("/etc/ssh/ssh_host_ed25519_key.pub").read_text()
    lab.near.write("/root/.ssh/known_hosts", f"gw {other}")
    check_fails(lab, SSH, "up", "gw", FAR, mentions=("HOST IDENTIFICATION HAS CHANGED",))


def test_unknown_host_key_in_batch(lab: Lab):
    lab.near.write("/root/.ssh/known_hosts", "")
    check_fails(lab, SSH, "up", "-o", "BatchMode=yes", "gw", FAR, mentions=("Host key verification failed",))


def test_error_of_ssh_config(lab: Lab):
    lab.near.write("/root/.ssh/config", "NoSuchKeyword yes\n")
    check_fails(lab, SSH, "up", "gw", FAR, mentions=("NoSuchKeyword",))


def test_what_was_meant_is_told(lab: Lab):
    for words, mention in ((("10.77.0.0/24", "gw"), "the server comes before them: ecssh up"),
                           (("gw", "10.77.0.0", "255.255.255.0"), "ADDRESS/24"),
                           (("gw", "10.77.0.0/255.255.255.0"), "ADDRESS/24")):
        check_fails(lab, USAGE, "up", *words, mentions=(mention,))


def test_address_that_somebody_has(lab: Lab):
    """The replies of the gateway would go into the tunnel, or be taken for a neighbour's."""
    for address, whose in (("10.9.0.2", "this host"), ("fd09::2", "this host"), ("127.0.1.9", None), ("10.9.0.1", "the gateway")):
        if whose:
            check_fails(lab, RUNTIME, "up", "--address", address, "gw", FAR, mentions=(f"{address} cannot be the tunnel's address", whose))
        else:
            check_fails(lab, USAGE, "up", "--address", address, "gw", FAR)


def test_no_ssh_program(lab: Lab):
    check_fails(lab, RUNTIME, "up", "gw", FAR, mentions=("install OpenSSH's client",), env={"PATH": "/nowhere"}, program=str(BUILD / "ecssh"))


def test_no_tun_device(lab: Lab):
    lab.near.run(["mount", "-t", "tmpfs", "none", "/dev/net"])
    check_fails(lab, RUNTIME, "up", "gw", *SUBNETS, mentions=("/dev/net/tun",))
    wait_for(lambda: len(lab.gw.processes()) == 1, what="gw is clean")


def test_no_privilege(lab: Lab):
    """bob without sudo and without a terminal."""
    lab.near.path("/etc/sudoers.d/lab").unlink()
    check_fails(lab, PRIVILEGE, "up", "gw", FAR, user="bob")


def test_no_sudo_at_all(lab: Lab):
    for tool in ("sudo", "pkexec"):
        if lab.near.path(f"/usr/bin/{tool}").exists():
            lab.near.run(["mount", "--bind", "/dev/null", f"/usr/bin/{tool}"])
    check_fails(lab, PRIVILEGE, "up", "gw", FAR, user="bob")


def test_broker_refuses_strangers(lab: Lab):
    """Started by hand, the broker neither hangs nor does anything."""
    before = lab.near.snapshot()
    lab.near.run(["ecssh-broker"], stdin="\0" * 1000, check=False, timeout=5)
    lab.near.run(["ecssh-broker", "--help"], check=False, timeout=5)
    lab.near.run(["ecssh-broker"], "bob", stdin="garbage" * 1000, check=False, timeout=5)
    expect(diff(before, lab.near.snapshot()), [], "state")


def fake_helper(lab: Lab, script: str) -> None:
    """A server that answers with something of its own instead of the helper."""
    lab.gw.write("/usr/local/bin/fake", "#!/bin/sh\n" + script, mode=0o755)
    lab.sshd(port=2222, ForceCommand="/usr/local/bin/fake")


def test_server_that_says_nothing(lab: Lab):
    """A forced command that hangs: ecssh waits, as ssh would at a prompt, and Ctrl-C ends it."""
    fake_helper(lab, "exec cat >/dev/null\n")
    before = lab.near.snapshot()
    up = Ecssh(lab.near, "up", "-p", "2222", "gw", FAR)
    wait_for(lambda: lab.gw.processes("^cat$"), what="the forced command runs")
    up.interrupt()
    assert up.wait(5) != OK
    wait_for(lambda: not diff(before, lab.near.snapshot()) and not lab.gw.processes("^cat$"), what="all is as before")


def test_server_that_talks_garbage(lab: Lab):
    for script in ("head -c 100000 /dev/urandom\n", "printf '\\0\\0\\0\\0'\n", "true\n"):
        fake = "/usr/local/bin/fake"
        lab.gw.write(fake, "#!/bin/sh\n" + script, mode=0o755)
        if not lab.gw.path("/run/sshd-2222.pid").exists():
            lab.sshd(port=2222, ForceCommand=fake)
        check_fails(lab, GATEWAY, "up", "--mode", "helper", "-p", "2222", "gw", FAR)


def test_garbage_from_a_helper_that_greeted(lab: Lab):
    """A compromised helper: the real one's greeting, cut off or whole, then random bytes."""
    helper = "/usr/local/bin/ecssh-helper"
    lab.gw.path(helper).write_bytes((BUILD / "ecssh-helper").read_bytes())
    lab.gw.path(helper).chmod(0o755)
    garbage = "head -c 300000 /dev/urandom; exec sleep 1000"
    fake_helper(lab, f"""
        if [ -e /tmp/whole ]; then
            (echo ecssh-boot 1; exec sleep 1000) | {helper} &
            sleep 0.3; {garbage}
        else
            {helper} | (head -c 100; {garbage})
        fi
    """)
    for _ in range(2):
        check_fails(lab, RUNTIME, "up", "-p", "2222", "gw", FAR, mentions=("lost the connection",))
        lab.gw.write("/tmp/whole", "")


def test_no_room_for_messages(lab: Lab):
    """Standard error is full or closed: no crash, no hang."""
    with open("/dev/full", "w") as full:
        for arguments in (["status"], ["up", "gw", "nonsense"], ["--help"]):
            process = lab.near.popen(["ecssh", *arguments], stdout=full, stderr=full)
            assert process.wait(5) >= 0, f"{arguments} died of a signal"
    process = lab.near.popen(["sh", "-c", "exec ecssh up -f gw 10.77.0.0/24 <&- >&- 2>&-"])
    expect(process.wait(20), OK, "exit status with closed descriptors")
    expect_in("1 received", lab.near.run(["ping", "-c1", "-W10", FAR]).stdout)
    lab.near.run(["ecssh", "down"])


def test_stale_control_socket(lab: Lab):
    """Left by a machine that crashed: `up` and `status` are not confused."""
    tunnel = Tunnel(lab)
    assert lab.near.kill() > 0
    tunnel.wait(5)
    expect(lab.near.run(["ecssh", "status"], check=False).returncode, 3, "status")
    again = Tunnel(lab)
    again.down()
