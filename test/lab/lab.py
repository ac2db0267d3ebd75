# SPDX-License-Identifier: MIT
"""A small network of machines for tests, made of Linux namespaces.

    near ── 10.9.0.0/24 ── gw ── 10.77.0.0/24 ── far ── 10.78.0.0/24, MTU 1280 ── deep
       .2   fd09::/64    .1  .1   fd77::/64    .2  .1    fd78::/64             .2

gw runs a real sshd as Debian ships it and does not forward packets, so whatever near reaches beyond gw
went through ssh. far forwards (it is the hop that `traceroute` shows). far and deep run services.py.

Each host is one process tree with its own network, mount, process, hostname and IPC namespaces; its
/run, /tmp, /home, /root and its view of /etc live in memory. The first process of a host reads a pipe
held by whoever built the lab: when that process ends, for whatever reason, the pipe closes and the
kernel removes the host with everything in it. Nothing is left to sweep, and labs run side by side.

Lab(wan=Wan(rate_mbit=50, rtt_ms=40)) puts an emulated wide area network between near and gw: see wan.py.
Lab(has_cheap_logins=True) has near's ssh do without post-quantum key exchange, which takes as much of the processor as
all else that a tunnel needs to come up.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import traceback
from pathlib import Path
from typing import Callable, Iterator, NamedTuple, Optional, Sequence

import services
from wan import Wan, WanLink

PROJECT = Path(__file__).resolve().parents[2]
BUILD = PROJECT / os.environ.get("ECSSH_BUILD", "build")
PYTHON = "/usr/bin/python3"     # the caller's own may live in a home folder that hosts do not see
PATH = f"{BUILD}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSWORD = "wonderland"         # of alice, where a test allows passwords
USERS = {"alice": 20001, "bob": 20002}
HELPER = "^(ecssh-)?helper"     # how the kernel names the helper's process, installed or uploaded
SUBNETS = ("10.77.0.0/24", "fd77::/64", "10.78.0.0/24", "fd78::/64")

PR_SET_NAME = 15
libc = ctypes.CDLL(None, use_errno=True)
patience = 1.0      # how many times as long as said to wait, where tests share the machine

# <linux/sched.h>, <linux/mount.h>, <linux/sockios.h>
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 1 << 17, 1 << 26, 1 << 27, 1 << 29, 1 << 30
MS_BIND, MS_REC, MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
STAGE = Path("/run/.lab")
OVERLAYS = ("etc", "usr/local", "var/lib")
EMPTY = {"/home": "755", "/root": "755", "/var/log": "755", "/tmp": "1777", "/var/tmp": "1777", "/dev/shm": "1777"}


class LabError(Exception):
    pass


class Process(NamedTuple):
    pid: int            # seen from outside: can be used with kill(2)
    comm: str
    user: int
    args: str


def wait_for(condition: Callable[[], object], timeout: float = 5.0, what: str = ""):
    """Poll until the condition is true and return its value; fail loudly otherwise. The longer it takes the less often
    one looks: most conditions run a program, and others wait for the processor."""
    start = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - start
        if waited > timeout * patience:
            raise TimeoutError(f"not within {timeout:g} s: {what or condition}")
        time.sleep(min(max(waited / 10, 0.01), 0.1))


class Running(subprocess.Popen):
    """A process whose end is waited for with patience."""

    def wait(self, timeout: Optional[float] = None) -> int:
        return super().wait(None if timeout is None else timeout * patience)


class Host:
    """One machine of the lab."""

    def __init__(self, name: str):
        self.name = name
        self.said, says = os.pipe()
        holds, self.held = os.pipe()
        self.keeper = os.fork()
        if self.keeper == 0:
            self.keep(says, holds)
        os.close(says)
        os.close(holds)

    def keep(self, says: int, holds: int) -> None:
        """For a fork of ours: be the parent of the host's first process, which begins a process namespace."""
        with last_of_a_fork():
            os.setsid()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(holds, 0)
            os.dup2(says, 1)
            os.closerange(3, 1 << 16)       # among them what keeps other hosts alive
            checked(libc.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET), "unshare")
            first = os.fork()
            if first == 0:
                self.live()
            os.write(1, b"%d" % first)
            os.close(0)
            os.close(1)
            os.waitpid(first, 0)

    def live(self) -> None:
        """The first process of the host: make it what it is, and end with whoever has built the lab."""
        libc.prctl(PR_SET_NAME, b"init", 0, 0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)       # orphans are not waited for
        os.umask(0o022)
        os.chdir("/")
        socket.sethostname(self.name)
        make_file_system()
        with socket.socket() as sock:
            fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
        os.write(1, b"!")
        os.close(1)
        os.read(0, 1)
        os._exit(0)

    def ready(self) -> None:
        with open(self.said, "rb") as file:
            words = file.read()     # of both, in either order
        if b"!" not in words:
            raise LabError(f"cannot make host {self.name}; is this root with all capabilities?")
        self.pid = int(words.replace(b"!", b""))
        self.pid_ns = os.readlink(f"/proc/{self.pid}/ns/pid")

    def close(self) -> None:
        os.close(self.held)
        os.waitpid(self.keeper, 0)

    # -- running things ------------------------------------------------------------------------

    def command(self, argv: Sequence[object], user: str = "root", env: Optional[dict] = None,
                cwd: Optional[str] = None) -> list[str]:
        """The argument list that runs argv inside this host, with a clean environment.

        Only argv feels SIGINT: nsenter waits and hands its exit status on.
        """
        home = "/root" if user == "root" else f"/home/{user}"
        variables = {"PATH": PATH, "HOME": home, "USER": user, "LOGNAME": user, "SHELL": "/bin/bash",
                     "LANG": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb"), **(env or {})}
        become = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        return ["env", "--ignore-signal=INT",
                "nsenter", f"--target={self.pid}", "--net", "--mount", "--uts", "--ipc", "--pid", "--",
                *become, "env", "--default-signal=INT", "-i", "-C", cwd or home,
                *(f"{key}={value}" for key, value in variables.items()), *map(str, argv)]

    def popen(self, argv: Sequence[object], user: str = "root", env: Optional[dict] = None,
              cwd: Optional[str] = None, **options) -> Running:
        """Start argv here, in a process group of its own (killpg reaches all of it)."""
        options.setdefault("start_new_session", True)
        options.setdefault("stdin", subprocess.DEVNULL)
        return Running(self.command(argv, user, env, cwd), **options)

    def run(self, argv: Sequence[object], user: str = "root", env: Optional[dict] = None,
            cwd: Optional[str] = None, stdin: Optional[str] = None, timeout: float = 30.0,
            check: bool = True) -> subprocess.CompletedProcess:
        """Run argv here to its end and return its output as text."""
        with self.popen(argv, user, env, cwd, text=True, errors="replace",
                        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                out, err = process.communicate(stdin, timeout * patience)
            except BaseException:
                os.killpg(process.pid, 9)
                raise
        result = subprocess.CompletedProcess(list(map(str, argv)), process.returncode, out, err)
        if check and result.returncode != 0:
            raise LabError(f"{self.name}: {' '.join(result.args)}: exit {result.returncode}\n{out}{err}")
        return result

    def become(self, function: Callable[[int], None], descriptor: int) -> None:
        """For a fork of ours: be a process of this host, alone with this descriptor, and call the function with it.

        A Python that is there already; to start another takes longer than much else that a lab needs. It keeps
        our files, because it may still have modules to load.
        """
        with last_of_a_fork():
            os.setsid()
            there = os.open(f"/proc/{self.pid}/ns", os.O_RDONLY | os.O_DIRECTORY)
            for kind in ("net", "uts", "ipc", "pid"):
                set_namespace(os.open(kind, os.O_RDONLY, dir_fd=there))
            null = os.open("/dev/null", os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(null, 1)
            os.dup2(descriptor, 3)
            os.closerange(4, 1 << 16)       # among them what keeps the lab alive
            os.chdir("/")
            if (child := os.fork()) == 0:   # only children are in the other process namespace
                libc.prctl(PR_SET_NAME, function.__module__.encode(), 0, 0, 0)
                function(3)
            else:
                os.close(3)
                os.waitpid(child, 0)

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Sockets that the calling thread makes meanwhile live in this host's network."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            set_namespace(there)
            try:
                yield
            finally:
                set_namespace(home)
        finally:
            os.close(there)
            os.close(home)

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, proto: int = 0,
               timeout: float = 20.0) -> socket.socket:
        """A socket of the caller's own process that lives in this host's network. To wait for what must not come, set
        its timeout afterwards: this one is for what must."""
        with self.network():
            sock = socket.socket(family, kind, proto)
        sock.settimeout(timeout * patience)
        return sock

    def connect(self, address: str, port: int, timeout: float = 20.0) -> socket.socket:
        """A TCP connection from this host; errors as the kernel reports them."""
        sock = self.socket(family_of(address), socket.SOCK_STREAM, timeout=timeout)
        try:
            sock.connect((address, port))
        except BaseException:
            sock.close()
            raise
        return sock

    def listen(self, address: str, port: int = 0, backlog: int = 128) -> socket.socket:
        sock = self.socket(family_of(address), socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(backlog)
        return sock

    # -- files and settings --------------------------------------------------------------------

    def path(self, inside: str) -> Path:
        """A path of this host as seen from outside (symbolic links in it are not confined)."""
        return Path(f"/proc/{self.pid}/root") / inside.lstrip("/")

    def write(self, inside: str, text: str, user: str = "root", mode: int = 0o644) -> None:
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        if user != "root":
            os.chown(path, USERS[user], USERS[user])

    def sysctl(self, **values: object) -> None:
        """Set network settings, dots written as double underscores: ipv4__ip_forward=1."""
        with self.network():
            for name, value in values.items():
                Path("/proc/sys/net", name.replace("__", "/")).write_text(str(value))

    def ip(self, *lines: str) -> None:
        """Run lines of `ip -batch` in this host's network."""
        subprocess.run(["nsenter", f"--target={self.pid}", "--net", "ip", "-batch", "-"], check=True, text=True,
                       input="\n".join(lines))

    # -- looking -------------------------------------------------------------------------------

    def processes(self, name: str = "") -> list[Process]:
        """What runs here now, without the first process and zombies, the oldest first; `name` is a pattern for comm.

        A fork of ours bears its parent's name until it has taken its own or become another program: for one process
        there is process(). The oldest need not have the smallest number: numbers begin anew at 32,768.
        """
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.pid:
                continue
            try:
                if os.readlink(entry / "ns/pid") != self.pid_ns:
                    continue
                comm = (entry / "comm").read_text().strip()
                args = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                started = int((entry / "stat").read_text().rpartition(")")[2].split()[19])
                owner = entry.stat().st_uid
            except OSError:
                continue        # ended while we looked
            if args and re.search(name, comm):
                found.append((started, Process(int(entry.name), comm, owner, args)))
        return [process for _, process in sorted(found)]

    def process(self, name: str) -> Process:
        """The oldest of this name; it may still have to take it."""
        return wait_for(lambda: self.processes(name), what=f"{name} runs on {self.name}")[0]

    def process_list(self) -> list[str]:
        return sorted(f"{p.user} {p.args}" for p in self.processes())

    def kill(self, name: str = "", number: int = signal.SIGKILL, spare: str = "") -> int:
        """Send a signal to each process whose comm matches, but to those with `spare` in their arguments; returns how
        many got it. The end of one may be that of the next."""
        n = 0
        for process in self.processes(name):
            if not spare or spare not in process.args:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, number)
                    n += 1
        return n

    def snapshot(self) -> dict:
        """The state that a tunnel must leave as it was, as JSON-like data without volatile fields."""
        state = {}
        for part in self.run(["sh", "-c", SNAPSHOT]).stdout.split("\n== ")[1:]:
            name, _, text = part.partition("\n")
            state[name] = stable(json.loads(text or "[]")) if JSON_PART.match(name) else text.splitlines()
        state["sysctl"] = sorted(line for line in state["sysctl"] if not VOLATILE_SYSCTL.search(line))
        state["resolv.conf"] = self.path("/etc/resolv.conf").read_text()
        state["files"] = sorted(line for line in state["files"] if "/run/sudo" not in line)
        state["processes"] = self.process_list()
        return state


# One shell: each start of a program in a host costs more than most of these. What goes while find or grep looks is no
# failure; sysctl(8) would go through all of /proc/sys.
SNAPSHOT = r"""
set -e
part() { printf '\n== %s\n' "$1"; shift; "$@"; }
part nft nft -j list ruleset
part link ip -j link
for family in -4 -6; do
    part addr$family ip -j $family addr
    part route$family ip -j $family route show table all
    part rule$family ip -j $family rule
done
part sysctl grep -rs '' /proc/sys/net/core /proc/sys/net/ipv4 /proc/sys/net/ipv6 || true
part files find /run /tmp /var/tmp /home /root -path /run/.lab -prune -o -not -type d -printf '%p %M %u\n' 2>/dev/null || true
"""
JSON_PART = re.compile("nft|link|addr|route|rule")


@contextlib.contextmanager
def last_of_a_fork() -> Iterator[None]:
    """A fork of ours ends with this, and never goes on as if it were us."""
    try:
        yield
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def checked(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def set_namespace(namespace: int) -> None:
    checked(libc.setns(namespace, 0), "setns")


def mount(source: object, target: object, kind: str = "", flags: int = 0, data: str = "") -> None:
    checked(libc.mount(*(str(word).encode() for word in (source, target, kind)), ctypes.c_ulong(flags), data.encode()),
            f"mount {source} on {target}")


def make_file_system() -> None:
    """What of the machine's files a host sees as they are, what it has a layer of its own of, and what is empty."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("lab", "/run", "tmpfs", data="mode=755")
    for path in (STAGE / "project", *(Path("/run", name) for name in ("lock", "mount", "sshd"))):     # mount(8) makes its own
        path.mkdir(parents=True)
    mount(PROJECT, STAGE / "project", flags=MS_BIND)
    for inside in OVERLAYS:
        upper, work = STAGE / inside, STAGE / "work" / inside
        upper.mkdir(parents=True)
        work.mkdir(parents=True)
        mount("lab", f"/{inside}", "overlay", data=f"lowerdir=/{inside},upperdir={upper},workdir={work}")
    for path, mode in EMPTY.items():
        mount("lab", path, "tmpfs", data=f"mode={mode}")
    if not (PROJECT / "dev").exists():
        PROJECT.mkdir(parents=True, exist_ok=True)
        mount(STAGE / "project", PROJECT, flags=MS_BIND)
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs")


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


VOLATILE_KEYS = {"valid_life_time", "preferred_life_time", "expires", "age", "packets", "bytes", "metainfo"}
VOLATILE_SYSCTL = re.compile(r"/(route/flush|.*stable_secret|tcp_fastopen_key|fib_sync_mem):")


def stable(value):
    """JSON data without lifetimes and counters."""
    if isinstance(value, dict):
        return {key: stable(item) for key, item in value.items() if key not in VOLATILE_KEYS}
    if isinstance(value, list):
        return [stable(item) for item in value]
    return value


def diff(before: dict, after: dict) -> list[str]:
    """What two snapshots disagree about, one readable line per entry; empty when equal."""
    lines = []
    for part in before:
        if before[part] == after[part]:
            continue
        old, new = (item if isinstance(item, list) else [item] for item in (before[part], after[part]))
        lines += [f"{part}: gone: {json.dumps(item)}" for item in old if item not in new]
        lines += [f"{part}: new: {json.dumps(item)}" for item in new if item not in old]
        if sorted(map(str, old)) == sorted(map(str, new)):
            lines.append(f"{part}: order or number of entries differs")
    return lines


class Lab:
    """The whole network; use it as a context manager."""

    def __init__(self, with_services: bool = True, wan: Optional[Wan] = None, has_cheap_logins: bool = False):
        for tool in ("unshare", "nsenter", "setpriv", "ip", "nft", "/usr/sbin/sshd", "ssh-keygen"):
            if not shutil.which(tool):
                raise LabError(f"{tool} is missing: run ./dev deps test")
        allow_cubic()
        self.wan: Optional[WanLink] = None
        self.near, self.gw, self.far, self.deep = self.hosts = [
            Host(name) for name in ("near", "gw", "far", "deep")]
        try:
            for host in self.hosts:
                host.ready()
            waits = [self._serve(host) for host in (self.far, self.deep) if with_services]
            self._wire(wan)
            self._accounts()
            self._keys("    KexAlgorithms curve25519-sha256\n" if has_cheap_logins else "")
            self.sshd()
            self._filter()
            for wait in waits:
                wait()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.wan:
            self.wan.close()
        for host in self.hosts:
            host.close()

    def _wire(self, wan: Optional[Wan]) -> None:
        near, gw, far, deep = self.hosts
        for host in self.hosts:
            host.sysctl(ipv4__tcp_congestion_control="cubic", ipv4__ip_forward=0,
                        ipv4__ping_group_range="0 2147483647",      # as systemd sets it on Debian
                        ipv4__icmp_ratelimit=0, ipv6__icmp__ratelimit=0,
                        ipv6__conf__default__accept_dad=0, ipv6__conf__default__router_solicitations=0)
        cables = [(near, "up0", gw, "lan0"), (gw, "far0", far, "gw0"), (far, "deep0", deep, "up0")]
        if wan:
            left, one, right, two = cables.pop(0)
            self.wan = WanLink(BUILD / "test/lab/lab-link", f"{left.pid}:{one}", f"{right.pid}:{two}", wan)
        for left, one, right, two in cables:
            left.ip(f"link add {one} type veth peer name {two} netns {right.pid}")
        near.ip(*up("up0", "10.9.0.2/24", "fd09::2/64"))
        gw.ip(*up("lan0", "10.9.0.1/24", "fd09::1/64"), *up("far0", "10.77.0.1/24", "fd77::1/64"),
              "route add 10.78.0.0/24 via 10.77.0.2", "route add fd78::/64 via fd77::2")
        far.ip(*up("gw0", "10.77.0.2/24", "fd77::2/64"), *up("deep0", "10.78.0.1/24", "fd78::1/64", 1280))
        deep.ip(*up("up0", "10.78.0.2/24", "fd78::2/64", 1280), "route add default via 10.78.0.1",
                "route add default via fd78::1")
        far.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)

    def _accounts(self) -> None:
        for host in self.hosts:
            hosts_file = "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 " + host.name
            host.write("/etc/hosts", hosts_file + "\n10.9.0.1 gw\nfd09::1 gw6\n")
            host.write("/etc/resolv.conf", "# no resolver in this lab\n")
            for file, line in (("passwd", "{name}:x:{id}:{id}::/home/{name}:/bin/bash"), ("group", "{name}:x:{id}:"),
                               ("shadow", "{name}:!:19000:0:99999:7:::"), ("gshadow", "{name}:!::")):
                path = host.path(f"/etc/{file}")
                kept = [old for old in path.read_text().splitlines() if old.split(":")[0] not in USERS]
                path.write_text("\n".join(kept + [line.format(name=name, id=uid) for name, uid in USERS.items()]) + "\n")
            for name, uid in USERS.items():
                host.path(f"/home/{name}").mkdir(mode=0o700)
                os.chown(host.path(f"/home/{name}"), uid, uid)
        self.near.write("/etc/sudoers.d/lab", "bob ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)

    def _keys(self, options: str) -> None:
        for host in (self.gw, self.far):
            for old in host.path("/etc/ssh").glob("ssh_host_*"):
                old.unlink()
            write_keys(host, "/etc/ssh/ssh_host_ed25519_key")
        write_keys(self.near, "/root/.ssh/id_ed25519")
        public = self.near.path("/root/.ssh/id_ed25519.pub").read_text()
        for host in (self.gw, self.far):
            host.write("/home/alice/.ssh/authorized_keys", public, "alice")
            host.write("/root/.ssh/authorized_keys", public)
        self.near.write("/root/.ssh/config", SSH_CONFIG + options)
        self.near.write("/root/.ssh/known_hosts", "".join(
            f"{host.name} {host.path('/etc/ssh/ssh_host_ed25519_key.pub').read_text()}" for host in (self.gw, self.far)))
        for file in ("config", "known_hosts", "id_ed25519"):
            text = self.near.path(f"/root/.ssh/{file}").read_text()
            self.near.write(f"/home/bob/.ssh/{file}", text, "bob", 0o600)
        os.chown(self.near.path("/home/bob/.ssh"), USERS["bob"], USERS["bob"])

    def sshd(self, port: int = 22, host: Optional[Host] = None, **options: object) -> None:
        """Start an sshd with the stock configuration and these options before it, e.g. MaxSessions=0."""
        host = host or self.gw
        pid_file, log = f"/run/sshd-{port}.pid", f"/var/log/sshd-{port}.log"
        overrides = [f"-o{name}={value}" for name, value in {"Port": port, "PidFile": pid_file, **options}.items()]
        host.run(["/usr/sbin/sshd", "-E", log, *overrides])
        wait_for(host.path(pid_file).exists, what=f"sshd on port {port}")

    def _filter(self) -> None:
        for host in (self.far, self.deep):
            host.run(["nft", "-f", "-"], stdin=f"""table inet lab {{ chain input {{
                type filter hook input priority 0;
                meta l4proto {{ tcp, udp }} th dport {services.FILTERED} drop
                meta l4proto {{ tcp, udp }} th dport {services.PROHIBITED} reject with icmpx type admin-prohibited
            }}
            }}""")

    def _serve(self, host: Host) -> Callable[[], None]:
        """Start the services on a host; what is returned waits until they are there."""
        ready, write_end = os.pipe()
        if os.fork() == 0:
            host.become(services.run, write_end)
        os.close(write_end)

        def wait() -> None:
            with open(ready, "rb") as pipe:
                if not pipe.read(1):
                    raise LabError(f"services on {host.name} did not start")
        return wait

    def set_shell(self, user: str, shell: str) -> None:
        """Change the login shell of an account on gw."""
        path = self.gw.path("/etc/passwd")
        path.write_text(re.sub(rf"(?m)^({user}:.*:)[^:]*$", rf"\g<1>{shell}", path.read_text()))


SSH_CONFIG = """Host gw
    HostName 10.9.0.1
Host gw6
    HostName fd09::1
Host gw gw6 10.9.0.1
    HostKeyAlias gw
Host far
    HostName 10.77.0.2
    HostKeyAlias far
Host *
    User alice
    IdentityFile ~/.ssh/id_ed25519
"""


def up(link: str, v4: str, v6: str, mtu: int = 1500) -> list[str]:
    return [f"link set {link} up mtu {mtu}", f"addr add {v4} dev {link}", f"addr add {v6} dev {link} nodad"]


@functools.cache
def key_pair(owner: str) -> tuple[str, str]:
    """Private and public key of a host, or of near's users: new with each run, and the same in all its labs."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{owner}", "-f", f"{folder}/key"],
                       check=True)
        return Path(f"{folder}/key").read_text(), Path(f"{folder}/key.pub").read_text()


def write_keys(host: Host, path: str) -> None:
    private, public = key_pair(host.name)
    host.path(path).parent.mkdir(mode=0o700, exist_ok=True)
    host.write(path, private, mode=0o600)
    host.write(path + ".pub", public)


def prepare() -> None:
    """Before many labs: do what each of them would do again."""
    allow_cubic()
    for owner in ("near", "gw", "far"):
        key_pair(owner)


def allow_cubic() -> None:
    """Let namespaces choose cubic, the default of a stock kernel; the list belongs to the whole machine."""
    allowed = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
    if "cubic" not in allowed.read_text().split():
        allowed.write_text(allowed.read_text().strip() + " cubic")
