# SPDX-License-Identifier: MIT
"""More than 200 hostile strings wherever a string can come in: nothing is run, and nothing but text is printed.

    near ──ssh── gw (the stock sshd, or one on port 2222 that runs what is hostile) ── far (10.77.0.2)
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import socket
from typing import Callable, Iterable, NamedTuple

from common import GATEWAY, NOT_RUNNING, OK, RUNTIME, SSH, USAGE, Ecssh, Tunnel, expect, timeout
from hostile import CANARY, SHORT, STRINGS, check_printable, packed
from lab import BUILD, PYTHON, Host, Lab, diff, wait_for

FAR = "10.77.0.2"
SHARE = 5
CONTROL = "/run/ecssh/gw.sock"
NOWHERE = ("-p", "2299", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5")   # what gets as far as ssh is refused there

# Runs many commands on a host, four at a time: starting one from outside costs more than the command.
RUN_MANY = """
import base64, concurrent.futures, json, subprocess, sys
def run(argv):
    argv = [base64.b64decode(word) for word in argv]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    except subprocess.TimeoutExpired as late:
        return None, "", base64.b64encode(late.stderr or b"").decode()
    return done.returncode, *(base64.b64encode(text).decode() for text in (done.stdout, done.stderr))
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    json.dump(list(pool.map(run, json.load(sys.stdin))), sys.stdout)
"""


class Run(NamedTuple):
    argv: list[bytes]
    code: int
    out: bytes
    err: bytes


def run_many(host: Host, commands: Iterable[list]) -> list[Run]:
    argvs = [[os.fsencode(word) for word in argv] for argv in commands]
    said = host.run([PYTHON, "-c", RUN_MANY], timeout=120,
                    stdin=json.dumps([[base64.b64encode(word).decode() for word in argv] for argv in argvs])).stdout
    return [Run(argv, code, base64.b64decode(out), base64.b64decode(err))
            for argv, (code, out, err) in zip(argvs, json.loads(said))]


def check_runs(lab: Lab, allowed: tuple, commands: Iterable[list]) -> list[Run]:
    """Run all; each ends with one of these codes and says in a bounded text why."""
    before = lab.near.snapshot()
    runs = run_many(lab.near, commands)
    for run in runs:
        assert run.code in allowed, f"{run.argv}: exit status {run.code}: {run.err[:1000]!r}"
        check_printable(run.out + run.err, b" ".join(run.argv)[:200])
        assert len(run.err) < 4096, f"{run.argv}: {len(run.err)} bytes of words"
        if run.code not in (OK, SSH):
            assert run.err.startswith(b"ecssh: "), run
    check_nothing_run(lab)
    wait_for(lambda: not diff(before, lab.near.snapshot()), 10, "near is as before")
    return runs


def check_nothing_run(lab: Lab) -> None:
    for host in (lab.near, lab.gw):
        for place in (CANARY, "/root" + CANARY, "/root/owned", "/home/alice/owned"):
            assert not os.path.lexists(host.path(place)), f"{host.name}: {place} was made"


def ups(*words_of: Callable[[bytes], list], strings: Iterable[bytes] = STRINGS) -> list[list]:
    """Attempts with each of the strings, each by a name of its own."""
    return [["ecssh", "up", "--name", f"t{number}", *NOWHERE, *words(string)]
            for number, (words, string) in enumerate(itertools.product(words_of, strings))]


def test_canary(lab: Lab):
    """The control: where a shell gets such a word, or a terminal such bytes, the checks see it."""
    run_many(lab.near, [["sh", "-c", b"echo " + word] for word in STRINGS if b"touch" in word])
    for check in (lambda: check_nothing_run(lab), lambda: check_printable(b"a\033[2Jb", "it"),
                  lambda: check_printable("a\u202eb".encode(), "it"), lambda: check_printable(b"a\x9b", "it")):
        try:
            check()
        except (AssertionError, UnicodeDecodeError):
            continue
        raise AssertionError("nothing was seen")


def test_destinations(lab: Lab):
    check_runs(lab, (USAGE, SSH), ups(lambda word: ["--", word, FAR]))


@timeout(120)
def test_users(lab: Lab):
    check_runs(lab, (USAGE, SSH), ups(lambda word: ["--", word + b"@gw", FAR]))
    check_runs(lab, (USAGE, SSH), ups(lambda word: ["-l", word, "gw", FAR], strings=STRINGS[::3]))


def test_subnets(lab: Lab):
    check_runs(lab, (USAGE, SSH), ups(lambda word: ["gw", "--", word]))


def test_names(lab: Lab):
    """Of the tunnel; for up, and for those who ask a running one."""
    check_runs(lab, (USAGE, SSH), ups(lambda word: ["--name", word, "gw", FAR]))
    tunnel = Tunnel(lab)
    check_runs(lab, (NOT_RUNNING, USAGE, OK), (["ecssh", "down", "--", word] for word in STRINGS))
    check_runs(lab, (NOT_RUNNING, USAGE, OK), (["ecssh", "status", "--", word] for word in STRINGS))
    check_runs(lab, (USAGE,), (["ecssh", word] for word in STRINGS if word not in (b"--help", b"--version", b"-V")))
    expect(tunnel.status()["state"], "connected", "state of the tunnel")
    tunnel.down()


def test_scripts(lab: Lab):
    check_runs(lab, (USAGE,), ups(lambda word: ["--script", word, "gw", FAR]))


@timeout(120)
def test_option_values(lab: Lab):
    """Of all that take one but those that have a test of their own; each has a share of the strings."""
    out = lab.near.run(["ecssh", "up", "--help"]).stdout
    options = re.findall(r"(?m)^ +(-[a-zA-Z]|--[a-z-]+)(?:, --[a-z-]+)? [A-Z\[]", out)
    assert {"-o", "-D", "--mtu", "--via", "--mode", "-L"} <= set(options), options
    for number, option in enumerate(sorted(set(options) - {"--name", "--script", "-l", "-o"})):
        check_runs(lab, (USAGE, SSH, RUNTIME),
                   ups(lambda word, option=option: [option, word, "gw", FAR], strings=SHORT[number % SHARE::SHARE]))


def test_files_that_cannot_be_read_again(lab: Lab):
    """ssh's standard input is the session, which it would wait for the end of; of /dev/zero there is none."""
    lab.near.run(["mkfifo", "/tmp/fifo"])
    names = ("/dev/stdin", "/dev/stderr", "/dev/fd/0", "/dev/fd/63", "/proc/self/fd/0", "/proc/thread-self/fd/0", "/proc/self/environ",
             "/tmp/fifo", "/dev/zero", "/dev/full", "/dev/tty", "/tmp")
    for command in (["up", *NOWHERE], ["doctor"]):
        for option in ("-F", "-i", "-oIdentityFile=", "-ouserknownhostsfile ~/known ", "-oCertificateFile = \"", "-oRevokedHostKeys="):
            runs = check_runs(lab, (USAGE,), (["ecssh", *command, *((option + name,) if "o" in option else (option, name)), "gw", FAR]
                                              for name in names))
            for run, name in zip(runs, names):
                assert f'"{name}"'.encode() in run.err and run.err.count(b"\n") == 1, run
    check_runs(lab, (USAGE,), [["bash", "-c", f"ecssh up -F <(echo User alice) gw {FAR}"]])
    for name in ("none", "/dev/null"):
        check_runs(lab, (SSH,), ups(lambda _, name=name: ["-F", name, "gw", FAR], strings=[b""]))


def test_ssh_options(lab: Lab):
    strings = [word for word in STRINGS if not word.lower().startswith(b"proxycommand")]
    check_runs(lab, (USAGE, SSH), ups(lambda word: ["-o", word, "gw", FAR], strings=strings))


def test_requests_at_the_control_socket(lab: Lab):
    """One line is read; what it is not is no answer."""
    tunnel = Tunnel(lab)
    for word in [*STRINGS, b"\0", b"status json\0", b"down\0\n", b"status json x", b" down", b"DOWN", b"down x", b"status\njson"]:
        for end in (b"\n", b"", b"\0\n", b"\r\n"):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(20)
                sock.connect(str(lab.near.path(CONTROL)))
                try:
                    sock.sendall(word + end)
                    sock.shutdown(socket.SHUT_WR)
                    expect(sock.recv(1), b"", f"answer to {word + end!r}")
                except (ConnectionResetError, BrokenPipeError):
                    pass    # closed before all was read
    expect(tunnel.status()["state"], "connected", "state of the tunnel")
    check_nothing_run(lab)
    tunnel.down()
    tunnel.expect_restored()


# -- what a server says -------------------------------------------------------------------------


def on_gw(lab: Lab, script: str) -> None:
    """What an sshd on port 2222 runs for everybody."""
    lab.gw.write("/usr/local/bin/hostile", script, mode=0o755)
    if not lab.gw.path("/run/sshd-2222.pid").exists():
        lab.sshd(port=2222, ForceCommand="/usr/local/bin/hostile")


def gw_file(lab: Lab, path: str, data: bytes) -> None:
    lab.gw.path(path).write_bytes(data)
    lab.gw.path(path).chmod(0o644)


def output(tunnel: Ecssh) -> bytes:
    return os.pread(tunnel.output.fileno(), 1 << 22, 0)


def test_output_of_an_account(lab: Lab):
    """A forced command, or a start-up file, that says something and ends: its words are shown, as text."""
    lines = [word for word in SHORT if b"\n" not in word]
    on_gw(lab, "#!/bin/sh\ncat /tmp/words; exit 1\n")
    for text in packed([*lines, b"\0", b"a\0b"], 1500):
        gw_file(lab, "/tmp/words", text + b"\n")
        ecssh = Ecssh(lab.near, "up", "--mode", "helper", "-p", "2222", "gw", FAR)
        expect(ecssh.wait(20), GATEWAY, ecssh.stderr())
        check_printable(output(ecssh), text)
    check_nothing_run(lab)


def test_messages_of_the_day(lab: Lab):
    """Before and after the login, and on standard error beside the session."""
    everything = b"\n".join(STRINGS) + b"\n"
    gw_file(lab, "/etc/motd", everything)
    gw_file(lab, "/etc/banner", everything[:8000])
    gw_file(lab, "/home/alice/.bashrc", b"cat /tmp/words; cat /tmp/words >&2\n")
    gw_file(lab, "/tmp/words", everything)
    lab.sshd(port=2222, Banner="/etc/banner", PrintMotd="yes")
    before = lab.near.snapshot()
    ecssh = Ecssh(lab.near, "up", "-p", "2222", "gw", FAR)      # its banner says that it is connected: ask it
    wait_for(lambda: '"connected"' in lab.near.run(["ecssh", "status", "--json"], check=False).stdout, 20, "connected")
    lab.near.run(["ecssh", "down"])
    expect(ecssh.wait(5), OK)
    check_printable(output(ecssh), "banner, motd and .bashrc")
    check_nothing_run(lab)
    wait_for(lambda: not diff(before, lab.near.snapshot()), what="near is as before")


# A helper that says what /tmp/words has for it: a JSON object of base64.
STUB = """#!/usr/bin/python3
import base64, json, os, re, struct, sys
words = {key: base64.b64decode(value) for key, value in json.load(open("/tmp/words")).items()}
marker = re.search("ecssh_marker=([0-9a-f]{32});", os.environ["SSH_ORIGINAL_COMMAND"])[1].encode()
def line(text):
    sys.stdout.buffer.write(b"\\n" + marker + b" " + text + b"\\n")
def frame(kind, body, id_=0):
    sys.stdout.buffer.write(struct.pack("!II", kind << 24 | len(body), id_) + body)
def option(kind, value):
    return bytes([kind, len(value[:255])]) + value[:255]
if "fail" in words:
    line(b"fail cannotrun " + words["fail"])
    sys.exit(1)
line(b"run installed")
line(b"ready " + words["ready"])
capabilities = 1 | 4 | 64 | 128 | 512
frame(1, struct.pack("!IHHI", 0x45435348, 1, 1, capabilities) + bytes(32) + option(1, words["version"]) + option(4, words["user"]))
frame(0x42, struct.pack("!BBH", words["state"][0], 0, 0) + words["state"][1:])
sys.stdout.flush()
sys.stdin.buffer.read(1)            # there is a session
while not os.path.exists("/tmp/bye"):
    frame(0x80, bytes([len(words["drop"])]) + words["drop"] + struct.pack("!Q", 1))
    sys.stdout.flush()
    __import__("time").sleep(0.05)
frame(2, struct.pack("!H", words["reason"][0]) + words["bye"])
sys.stdout.flush()
sys.stdin.buffer.read()
"""


def stub(lab: Lab, **words: bytes) -> Ecssh:
    gw_file(lab, "/tmp/words", json.dumps({key: base64.b64encode(word).decode() for key, word in words.items()}).encode())
    lab.gw.run(["rm", "-f", "/tmp/bye"])
    return Ecssh(lab.near, "up", "--mode", "helper", "-v", "-p", "2222", "gw", FAR)


def test_texts_of_a_helper(lab: Lab):
    """Its version, its user, what it has of packets, what it drops, why it ends; asked for in every way."""
    on_gw(lab, STUB)
    before = lab.near.snapshot()
    for number, text in enumerate(packed([*SHORT, b"\0", b"a\0b"], 500)):
        ecssh = stub(lab, ready=b"0.1", version=text[:100], user=text[100:200], drop=text[200:250] or b"x", bye=text,
                     state=bytes([1 + number % 3]) + text, reason=bytes([number % 6]))
        ecssh.connected()
        for arguments in ([], ["-v"], ["--drops"], ["--json"]):
            for run in run_many(lab.near, [["ecssh", "status", *arguments]]):
                expect(run.code, OK, f"exit status of status: {run.err!r}")
                check_printable(run.out + run.err, text)
                if arguments == ["--json"]:
                    json.loads(run.out)
        lab.gw.write("/tmp/bye", "")
        assert ecssh.wait(20) in (RUNTIME, SSH), ecssh.stderr()
        check_printable(output(ecssh), text)
    check_nothing_run(lab)
    wait_for(lambda: not diff(before, lab.near.snapshot()), what="near is as before")


def test_failures_of_the_boot_script(lab: Lab):
    on_gw(lab, STUB)
    for text in packed([word for word in SHORT if b"\n" not in word], 400):
        for words in ({"fail": text}, {"ready": text[:63]}):
            ecssh = stub(lab, version=b"", user=b"", drop=b"x", bye=b"", state=b"\2", reason=b"\0", **words)
            lab.gw.write("/tmp/bye", "")
            assert ecssh.wait(20) in (GATEWAY, RUNTIME, SSH), ecssh.stderr()
            check_printable(output(ecssh), text)
    check_nothing_run(lab)
