#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_boot_script: the remote command, run by real shells.

Usage: test_boot_script.py BOOT_LINE BOOT_HELPER

Each case runs the command the way sshd does, $SHELL -c LINE, with a home
directory of its own, and plays the near side.  Cases that need file systems of
their own run in user and mount namespaces, where these may be made.
"""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback

BOOT_LINE, BOOT_HELPER = (os.path.abspath(a) for a in sys.argv[1:3])
MARKER = "0123456789abcdef" * 2
TIMEOUT_S = 20
HELPER = open(BOOT_HELPER, "rb").read()
UID = os.getuid()


def make_line(helper=HELPER, args=("--allow=fd00::/8,10.0.0.1",)):
    digest = hashlib.sha256(helper).hexdigest()
    return subprocess.run(
        [BOOT_LINE, MARKER, digest, str(len(helper)), "1", *args],
        check=True, stdout=subprocess.PIPE, text=True).stdout


class Place:
    """A home directory and a runtime directory, both empty."""

    def __init__(self, name="home"):
        self.top = tempfile.mkdtemp(prefix="ecssh-test-")
        self.home = os.path.join(self.top, name)
        self.runtime = os.path.join(self.top, "run")
        os.mkdir(self.home)
        os.mkdir(self.runtime, 0o700)
        self.env = {"HOME": self.home, "XDG_RUNTIME_DIR": self.runtime,
                    "PATH": os.environ["PATH"]}
        digest = hashlib.sha256(HELPER).hexdigest()
        self.file = f"helper-{digest[:16]}"
        self.kept_dir = f"{self.home}/.cache/ecssh-helper-{UID}"
        self.kept = f"{self.kept_dir}/{self.file}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.top, ignore_errors=True)


class Dialogue:
    """Runs a command and plays the near side until ready, fail or the end."""

    def __init__(self, argv, env, upload=HELPER, is_cut=False):
        self.lines = []
        p = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        watchdog = threading.Timer(TIMEOUT_S, p.kill)
        watchdog.start()
        try:
            self.play(p, upload, is_cut)
            p.stdin.close()
            self.session = p.stdout.read()
            self.stderr = p.stderr.read()
            p.wait()
        finally:
            watchdog.cancel()
        self.status = p.returncode
        self.verbs = [line.split()[1] for line in self.lines]

    def play(self, p, upload, is_cut):
        send(p, b"ecssh-boot 1\n")
        for raw in p.stdout:
            line = raw.decode().rstrip("\n")
            if not line.startswith(MARKER + " "):
                continue
            self.lines.append(line)
            verb = line.split()[1]
            if verb == "need":
                send(p, upload)
                if is_cut:
                    p.stdin.close()
            elif verb == "ready":
                send(p, b"first bytes\n")
                return
            elif verb == "fail":
                return


def send(p, data):
    try:
        p.stdin.write(data)
        p.stdin.flush()
    except BrokenPipeError:
        pass


def run(place, shell=("/bin/sh",), line=None, **kw):
    return Dialogue([*shell, "-c", line or make_line()], place.env, **kw)


def expect(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {got!r}, wanted {wanted!r}")


def expect_uploaded(place, d):
    expect(d.verbs, ["need", "run", "ready"])
    uname = os.uname()
    expect(d.lines[0], f"{MARKER} need {uname.sysname} {uname.machine}")
    expect(d.lines[1], f"{MARKER} run uploaded")
    expect(d.session.decode(),
           f"{place.kept} --allow=fd00::/8,10.0.0.1\nfirst bytes\n")
    expect(oct(os.stat(place.kept).st_mode & 0o7777), "0o700")
    expect(oct(os.stat(place.kept_dir).st_mode & 0o777), "0o700")
    expect(os.listdir(place.kept_dir), [place.file])


# ---- the cases ----

def line_is_one_plain_word_for_every_shell():
    line = make_line()
    expect([c for c in "\n!\\" if c in line], [])
    expect(line.count("'"), 2)
    assert line.isascii()
    assert f"ecssh_marker={MARKER};" in line[:64]


def shells():
    names = ["sh", "bash", "dash", "zsh", "csh", "tcsh", "fish", "ksh", "mksh",
             "yash", "busybox"]
    for name in names:
        path = shutil.which(name)
        if path:
            yield name, [path, "sh"] if name == "busybox" else [path]


def login_shell(argv):
    with Place() as place:
        expect_uploaded(place, run(place, argv))


def interpreter(word):
    """The script under another /bin/sh."""
    line = make_line().replace("/bin/sh", word, 1)
    with Place() as place:
        expect_uploaded(place, run(place, line=line))
        expect(run(place, line=line).lines[0], f"{MARKER} run kept")
        with open(place.kept, "ab") as f:
            f.write(b"x")
        expect_uploaded(place, run(place, line=line))
        d = run(place, line=line.replace(place.file[7:], "0" * 16),
                upload=b"x" * len(HELPER))
        expect(d.lines[-1], f"{MARKER} fail corrupt SHA-256")


def second_time_nothing_is_uploaded():
    with Place() as place:
        expect_uploaded(place, run(place))
        d = run(place)
        expect(d.lines[0], f"{MARKER} run kept")
        expect(d.verbs, ["run", "ready"])


def old_versions_are_removed():
    with Place() as place:
        os.makedirs(place.kept_dir, 0o700)
        old = f"{place.kept_dir}/helper-0000000000000000"
        stale = f"{place.kept_dir}/new-{'0' * 32}"
        fresh = f"{place.kept_dir}/new-{'1' * 32}"
        for name in (old, stale, fresh):
            open(name, "w").close()
        os.utime(stale, (1, 1))
        run(place)
        expect(sorted(os.listdir(place.kept_dir)),
               [place.file, os.path.basename(fresh)])


def spoilt_kept_file_is_replaced():
    with Place() as place:
        run(place)
        with open(place.kept, "r+b") as f:
            f.write(b"\0")
        expect_uploaded(place, run(place))


def link_in_place_of_the_kept_file_does_not_help():
    with Place() as place:
        os.makedirs(place.kept_dir, 0o700)
        os.symlink("/bin/true", place.kept)
        expect_uploaded(place, run(place))
        assert not os.path.islink(place.kept)


def expect_runtime_dir_used(place, d):
    expect(d.verbs, ["need", "run", "ready"])
    where = f"{place.runtime}/ecssh-helper-{UID}"
    expect(os.listdir(where), [place.file])
    assert d.session.decode().startswith(where + "/"), d.session


def directory_open_to_others_is_passed_over():
    with Place() as place:
        os.makedirs(place.kept_dir)
        os.chmod(place.kept_dir, 0o770)
        expect_runtime_dir_used(place, run(place))
        expect(os.listdir(place.kept_dir), [])


def directory_that_is_a_link_is_passed_over():
    with Place() as place:
        elsewhere = f"{place.top}/elsewhere"
        os.mkdir(elsewhere, 0o700)
        os.mkdir(f"{place.home}/.cache")
        os.symlink(elsewhere, place.kept_dir)
        expect_runtime_dir_used(place, run(place))
        expect(os.listdir(elsewhere), [])


def directory_of_somebody_else_is_passed_over():
    if UID != 0:
        return "needs root"
    with Place() as place:
        os.makedirs(place.kept_dir, 0o700)
        os.chown(place.kept_dir, 12345, 12345)
        expect_runtime_dir_used(place, run(place))
    return None


def directory_with_inherited_group_is_taken():
    with Place() as place:
        os.mkdir(f"{place.home}/.cache")
        os.chmod(f"{place.home}/.cache", 0o2755)
        expect_uploaded(place, run(place))


def home_may_have_any_name():
    with Place("a b'c\"d$e;f*g`h`\\i(j") as place:
        expect_uploaded(place, run(place))


def home_may_be_missing():
    with Place() as place:
        del place.env["HOME"]
        expect_runtime_dir_used(place, run(place))


def hostile_environment_does_no_harm():
    with Place() as place:
        place.env.update(IFS="/", CDPATH="/", ENV="/nonexistent",
                         LD_PRELOAD="", LC_ALL="tr_TR.UTF-8", PATH="")
        expect_uploaded(place, run(place))


def wrong_bytes_are_refused():
    with Place() as place:
        d = run(place, upload=b"x" * len(HELPER))
        expect(d.lines[1:], [f"{MARKER} fail corrupt SHA-256"])
        assert not os.path.exists(place.kept_dir)


def too_few_bytes_are_refused():
    with Place() as place:
        d = run(place, upload=HELPER[:-1], is_cut=True)
        expect(d.lines[1:], [f"{MARKER} fail corrupt size"])
        assert not os.path.exists(place.kept_dir)


def helper_that_does_not_fit_is_not_run():
    helper = b"#!/bin/sh\necho no, thanks\n"
    with Place() as place:
        d = run(place, line=make_line(helper), upload=helper)
        expect(d.lines[1:], [f"{MARKER} fail cannotrun no, thanks"])
        assert not os.path.exists(place.kept_dir)


def install(place, protocol):
    bin_dir = f"{place.top}/bin"
    os.mkdir(bin_dir)
    path = f"{bin_dir}/ecssh-helper"
    with open(path, "w") as f:
        f.write("#!/bin/sh\n"
                f"[ \"$1\" = --version ] && echo ecssh-helper 9 protocol "
                f"{protocol} && exit\n"
                f"exec {BOOT_HELPER} \"$@\"\n")
    os.chmod(path, 0o755)
    place.env["PATH"] += ":" + bin_dir


def installed_helper_is_used():
    with Place() as place:
        install(place, 1)
        d = run(place)
        expect(d.lines[0], f"{MARKER} run installed")
        expect(d.verbs, ["run", "ready"])
        expect(os.listdir(place.home), [])


def installed_helper_of_another_protocol_is_not_used():
    with Place() as place:
        install(place, 12)
        expect_uploaded(place, run(place))


def without_a_hash_tool_every_upload_is_fresh():
    line = make_line()
    for tool in ("sha256sum", "shasum", "openssl", "sha256"):
        line = line.replace(f"command -v {tool};", "false;")
    with Place() as place:
        expect_uploaded(place, run(place, line=line))
        expect_uploaded(place, run(place, line=line))
        d = run(place, line=line, upload=HELPER[:-1], is_cut=True)
        expect(d.lines[-1], f"{MARKER} fail corrupt size")


def each_hash_tool_is_understood(tool, others):
    if not shutil.which(tool):
        return f"no {tool}"
    line = make_line()
    for other in others:
        line = line.replace(f"command -v {other};", "false;")
    with Place() as place:
        expect_uploaded(place, run(place, line=line))
        expect(run(place, line=line).lines[0], f"{MARKER} run kept")
    return None


def missing_tool_is_named():
    line = make_line().replace("head -c", "head --nonsense")
    with Place() as place:
        expect(run(place, line=line).lines,
               [f"{MARKER} fail notool head --nonsense"])


# Every place mounted anew, in namespaces of our own; $1 and $2 are the options
# for the home directory and for all the others.
MOUNTS = """
mount -t tmpfs none /mnt && mkdir /mnt/home /mnt/run || exit 77
mount -t tmpfs -o "$1" none /mnt/home || exit 77
for d in /mnt/run /dev/shm /var/tmp /tmp; do
    mount -t tmpfs -o "$2" none $d || exit 77
done
shift 2
exec "$@"
"""


def has_namespaces():
    return subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"],
        stderr=subprocess.DEVNULL, check=False).returncode == 0


def run_mounted(home_options, other_options):
    env = {"HOME": "/mnt/home", "XDG_RUNTIME_DIR": "/mnt/run",
           "PATH": os.environ["PATH"]}
    return Dialogue(
        ["unshare", "-Urm", "sh", "-c", MOUNTS, "sh", home_options,
         other_options, "/bin/sh", "-c", make_line()], env)


def mounted(home_options, other_options, wanted):
    if not has_namespaces():
        return "no user namespaces"
    d = run_mounted(home_options, other_options)
    expect([line[len(MARKER) + 1:] for line in d.lines], wanted)
    if "ready" in d.verbs:
        stored_in = d.session.decode().split("/ecssh-helper-")[0]
        expect(stored_in, "/mnt/run" if home_options != "exec"
               else "/mnt/home/.cache")
    return None


def cases():
    plain = [
        line_is_one_plain_word_for_every_shell,
        second_time_nothing_is_uploaded, old_versions_are_removed,
        spoilt_kept_file_is_replaced,
        link_in_place_of_the_kept_file_does_not_help,
        directory_open_to_others_is_passed_over,
        directory_that_is_a_link_is_passed_over,
        directory_of_somebody_else_is_passed_over,
        directory_with_inherited_group_is_taken, home_may_have_any_name,
        home_may_be_missing, hostile_environment_does_no_harm,
        wrong_bytes_are_refused, too_few_bytes_are_refused,
        helper_that_does_not_fit_is_not_run, installed_helper_is_used,
        installed_helper_of_another_protocol_is_not_used,
        without_a_hash_tool_every_upload_is_fresh, missing_tool_is_named,
    ]
    yield from ((f.__name__, f) for f in plain)
    for name, argv in shells():
        yield f"{name}_as_login_shell", lambda a=argv: login_shell(a)
    words = {"dash": "dash", "bash": "bash --posix", "busybox": "busybox sh",
             "ksh": "ksh", "mksh": "mksh", "yash": "yash"}
    for name, word in words.items():
        if shutil.which(name):
            yield f"script_under_{name}", lambda w=word: interpreter(w)
    tools = ["sha256sum", "shasum", "openssl", "sha256"]
    for i, tool in enumerate(tools):
        yield (f"{tool}_is_understood",
               lambda t=tool, o=tools[:i]: each_hash_tool_is_understood(t, o))
    u = os.uname()
    stored = [f"need {u.sysname} {u.machine}", "run uploaded", "ready 0.0"]
    small = "size=16k,mode=1777"
    for name, home, others, wanted in [
            ("own_file_systems", "exec", "exec", stored),
            ("noexec_everywhere", "noexec", "noexec", ["fail noexec"]),
            ("noexec_home_is_passed_over", "noexec", "exec", stored),
            ("full_everywhere", small, small, ["fail nospace"]),
            ("full_home_is_passed_over", small, "exec", stored),
            ("full_or_noexec", "noexec", small, ["fail nospace"]),
            ("readonly_everywhere", "ro", "ro", ["fail nodir"]),
            ("no_inodes_left", "nr_inodes=2", "ro", ["fail nodir"]),
            ("no_inode_for_the_file", "nr_inodes=3", "ro", ["fail nospace"]),
    ]:
        yield name, lambda h=home, o=others, w=wanted: mounted(h, o, w)


def main():
    all_cases = list(cases())
    print(f"1..{len(all_cases)}")
    n_failed = 0
    for i, (name, function) in enumerate(all_cases, 1):
        try:
            skipped = function()
            note = f" # SKIP {skipped}" if skipped else ""
            print(f"ok {i} - {name}{note}", flush=True)
        except Exception:  # a case that cannot even run has failed, too
            n_failed += 1
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            print(f"not ok {i} - {name}", flush=True)
    return 1 if n_failed else 0


sys.exit(main())
