# SPDX-License-Identifier: MIT
"""What broker and keeper leave when they are killed together is on disk, and is taken back.

    near ──ssh── gw ── far (10.77.0.2)
"""

import os
import signal

from common import OK, RUNTIME, Ecssh, Tunnel, expect, expect_in
from lab import PYTHON, SUBNETS, Lab, diff, wait_for
from test_exempt import GATEWAY, rules
from test_lifecycle import BOB_ENV, carries, make_runtime_dir

JOURNAL = "/var/lib/ecssh/journal"


def kill_at_once(lab: Lab) -> None:
    """Neither gets to see the other's end. Only the keeper is stopped: sudo stops itself if its child, the broker,
    is, and would go on holding the engine's socket."""
    broker, keeper = lab.near.process("^ecssh-broker$"), lab.near.process("^ecssh-keeper$")
    os.kill(keeper.pid, signal.SIGSTOP)
    os.kill(broker.pid, signal.SIGKILL)
    os.kill(keeper.pid, signal.SIGKILL)


def killed_tunnel(lab: Lab, **options) -> Tunnel:
    """One that has left its rules, which is what everything here is about."""
    tunnel = Tunnel(lab, subnets=SUBNETS + GATEWAY, **options)
    kill_at_once(lab)
    expect(tunnel.wait(5), RUNTIME, "exit status")
    left = diff(tunnel.before, lab.near.snapshot())
    assert rules(lab) and any(line.startswith("rule-4: new") for line in left), f"control: left {left}"
    return tunnel


def cleanup(lab: Lab, user: str = "root", env=None) -> str:
    result = lab.near.run(["ecssh", "cleanup"], user, env, check=False)
    expect(result.returncode, OK, "exit status of cleanup: " + result.stderr)
    return result.stderr


def journals(lab: Lab) -> list[int]:
    """The sizes of the files."""
    return [file.stat().st_size for file in lab.near.path(JOURNAL).iterdir()]


def test_cleanup_takes_back_what_was_left(lab: Lab):
    tunnel = killed_tunnel(lab)
    n = len(rules(lab)) + len(rules(lab, "-6"))
    said = cleanup(lab)
    expect(said.count("taken back"), n + 1, f"lines for {n} rules and the guard:\n{said}")
    tunnel.expect_restored()
    expect_in("nothing to clean up", cleanup(lab))
    assert not any(journals(lab)), journals(lab)


def test_what_never_was_is_not_taken_back(lab: Lab):
    """A record is written before its rules are made, and a broker may be killed in between."""
    killed_tunnel(lab)
    for family in ("inet", "arp"):
        lab.near.run(["nft", "delete", "table", family, "ecssh-guard-ecssh0"])
    said = cleanup(lab)
    expect_in("taken back what a killed tunnel had left: rule", said)
    assert "nftables" not in said, said
    assert not any(journals(lab)), journals(lab)


def test_a_kill_switch_is_told_and_stays(lab: Lab):
    """It is nothing that was left: it is wanted until "ecssh down" says otherwise."""
    expect(Ecssh(lab.near, "up", "--block-only", "gw").wait(), OK)
    for _ in range(2):
        said = cleanup(lab)
        expect_in("nothing to clean up", said)
        expect_in("the kill switch of gw is in force since", said)
        expect_in('"ecssh down gw" lifts it', said)
        expect_in("ecssh-kill-gw", lab.near.run(["nft", "list", "tables"]).stdout)
    lab.near.run(["ecssh", "down", "gw"])
    assert "kill switch" not in cleanup(lab)


def test_cleanup_by_a_user(lab: Lab):
    make_runtime_dir(lab)
    tunnel = killed_tunnel(lab, user="bob", env=BOB_ENV)
    expect_in("taken back", cleanup(lab, "bob", BOB_ENV))
    tunnel.expect_restored()


def test_the_next_tunnel_takes_it_back_first(lab: Lab):
    tunnel = killed_tunnel(lab)
    again = Tunnel(lab)
    expect_in("taken back what a killed tunnel had left: rule", again.stderr())
    assert carries(lab.near)
    expect(len([rule for rule in rules(lab) if "60501" in rule]), 1, "rules into the tunnels")
    again.down()
    tunnel.expect_restored()


def test_rules_of_others_are_left_alone(lab: Lab):
    """The same rule, but somebody has made it anew: it is his now."""
    tunnel = killed_tunnel(lab)
    priority = next(line.split(":")[0] for line in lab.near.run(["ip", "rule"]).stdout.splitlines()
                    if "60501" in line)
    lab.near.run(["ip", "rule", "del", "pref", priority])
    lab.near.run(["ip", "rule", "add", "pref", priority, "lookup", "60501"])
    cleanup(lab)
    expect([rule.split("\t")[-1] for rule in rules(lab)], ["from all lookup 60501"], "rules that are left")
    lab.near.run(["ip", "rule", "del", "pref", priority])
    tunnel.expect_restored()


def test_a_living_tunnel_is_left_alone(lab: Lab):
    tunnel = Tunnel(lab)
    before = rules(lab)
    assert any(journals(lab)), "control: nothing is written down"
    expect_in("nothing to clean up", cleanup(lab))
    expect(rules(lab), before, "rules")
    assert carries(lab.near)
    tunnel.down()
    tunnel.expect_restored()
    assert not any(journals(lab)), journals(lab)


def test_journal_is_roots_alone(lab: Lab, tunnel):
    stat = lab.near.run(["stat", "-c", "%U %a", JOURNAL, *map(str, (
        f"{JOURNAL}/{file.name}" for file in lab.near.path(JOURNAL).iterdir()))]).stdout.splitlines()
    expect(stat, ["root 700", "root 600"])


def test_without_a_place_for_the_journal(lab: Lab):
    lab.near.run(["mount", "--bind", "/var/lib", "/var/lib"])
    lab.near.run(["mount", "-o", "remount,ro,bind", "/var/lib"])
    tunnel = Tunnel(lab)
    expect_in("cannot be cleaned up, ignoring", tunnel.stderr())
    assert carries(lab.near)
    tunnel.down()
    tunnel.expect_restored()


def test_kill_9_of_each_restores(lab: Lab):
    """One at a time, with rules in place: whoever is left cleans up."""
    for victim in ("ecssh-broker", "ecssh-keeper", "ecssh", "ssh"):
        tunnel = Tunnel(lab, subnets=SUBNETS + GATEWAY)
        os.kill(lab.near.process(f"^{victim}$").pid, signal.SIGKILL)
        tunnel.wait(5)
        tunnel.expect_restored()


def test_sockets_that_nobody_listens_on(lab: Lab):
    """Of tunnels killed with all that is theirs; those of others, and what is no such socket, stay."""
    tunnel = Tunnel(lab)
    living = lab.near.snapshot()
    expect(lab.near.run(["find", "/run/ecssh"]).stdout.split(), ["/run/ecssh", "/run/ecssh/gw.sock"])
    for path in ("/run/ecssh/dead.sock", "/run/ecssh/dead", "/tmp/ecssh-ctl-20001/dead.sock"):
        user = "alice" if "20001" in path else "root"
        lab.near.run(["mkdir", "-p", os.path.dirname(path)], user)
        lab.near.run([PYTHON, "-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])", path], user)
    lab.near.write("/run/ecssh/file.sock", "")
    said = cleanup(lab)
    expect_in("left: /run/ecssh/dead.sock\n", said)
    expect(said.count("taken back"), 1, said)
    expect_in("nothing to clean up", cleanup(lab))
    new = [line.split('"')[1].split()[0] for line in diff(living, lab.near.snapshot())]
    expect(new, ["/run/ecssh/dead", "/run/ecssh/file.sock", "/tmp/ecssh-ctl-20001/dead.sock"])
    assert carries(lab.near)
    tunnel.down()


def test_cleanup_takes_no_name(lab: Lab):
    result = lab.near.run(["ecssh", "cleanup", "gw"], check=False)
    expect(result.returncode, 2)
    expect_in("takes no name", result.stderr)
    expect_in("usage", lab.near.run(["ecssh", "cleanup", "--help"]).stdout)
    wait_for(lambda: not lab.near.processes("^ecssh"), what="no process is left")
