#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measure ecssh, on each of its rungs, beside plain routing, `ssh -L`, `ssh -w` and sshuttle, all in one run on plain veth.

usage: test/bench/bench.py [--out FILE.md] [--json FILE.json] [--seconds N] [--repeat N] [PART...]

PART: throughput, connections, memory, connect, idle (default: all). Every machine of the lab shares
the processors of this one, so compare columns of one run, never numbers of two.

ssh uses aes128-gcm@openssh.com everywhere. `ssh -w` runs as root with a command beside the tunnel,
because sshd leaves Nagle's algorithm on otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "lab")]

from lab import BUILD, HELPER, PROJECT, Lab, wait_for  # noqa: E402
from services import ECHO  # noqa: E402

FAR = "10.77.0.2"
IPERF, CONNRATE = 5201, 5202
CIPHER = "-oCiphers=aes128-gcm@openssh.com"
SUBNET = "10.77.0.0/24"
CONNECTIONS = 4000          # of one measurement: fewer than ephemeral ports
IDLE_S = 30
KIB = 1024


def note(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


# -- the contestants: context managers that yield the address at which far is reached ----------------


@contextlib.contextmanager
def stopping(process: subprocess.Popen) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


@contextlib.contextmanager
def forwarding(lab: Lab, *routes: str) -> Iterator[None]:
    """gw forwards for a while, and far knows the way back."""
    lab.gw.sysctl(ipv4__ip_forward=1)
    lab.far.ip(*(f"route add {route} via 10.77.0.1" for route in routes))
    try:
        yield
    finally:
        lab.far.ip(*(f"route del {route}" for route in routes))
        lab.gw.sysctl(ipv4__ip_forward=0)


def reachable(lab: Lab) -> bool:
    try:
        lab.near.connect(FAR, CONNRATE, 1).close()
        return True
    except OSError:
        return False


@contextlib.contextmanager
def plain(lab: Lab) -> Iterator[str]:
    with forwarding(lab, "10.9.0.0/24"):
        lab.near.ip(f"route add {SUBNET} via 10.9.0.1")
        try:
            yield FAR
        finally:
            lab.near.ip(f"route del {SUBNET}")


@contextlib.contextmanager
def ecssh(lab: Lab, *arguments: str) -> Iterator[str]:
    lab.near.run(["ecssh", "up", "-f", "-o", CIPHER[2:], *(arguments or ["gw"]), SUBNET])
    try:
        yield FAR
    finally:
        lab.near.run(["ecssh", "down"])


@contextlib.contextmanager
def ecssh_packets(lab: Lab) -> Iterator[str]:
    with ecssh(lab, "--plane", "packet", "root@gw"):
        yield FAR
    # It switched forwarding on, and will switch it off.
    wait_for(lambda: not lab.gw.processes(HELPER), what="the gateway is as it was")


@contextlib.contextmanager
def ecssh_tun(lab: Lab, *arguments: str) -> Iterator[str]:
    with ecssh(lab, "--mode", "tun", *arguments, "-p2222", "root@gw"):
        wait_for(lambda: reachable(lab), what="sshd's tun carries")
        yield FAR
    wait_for(lambda: "ecssh-" not in lab.gw.run(["nft", "list", "tables"]).stdout, what="the gateway is as it was")


@contextlib.contextmanager
def ecssh_tun_packets(lab: Lab) -> Iterator[str]:
    """TCP as packets, too, which it is only where the server forbids forwarding."""
    with ecssh_tun(lab, "--plane", "packet"):
        yield FAR


@contextlib.contextmanager
def ecssh_direct(lab: Lab) -> Iterator[str]:
    with ecssh(lab, "--mode", "direct", "gw"):
        yield FAR


@contextlib.contextmanager
def ssh_forward(lab: Lab) -> Iterator[str]:
    forwards = [f"-L{port}:{FAR}:{port}" for port in (IPERF, CONNRATE)]
    with stopping(lab.near.popen(["ssh", CIPHER, "-N", *forwards, "gw"])):
        wait_for(lambda: f":{IPERF} " in lab.near.run(["ss", "-ltn"]).stdout, what="ssh -L listens")
        yield "127.0.0.1"


@contextlib.contextmanager
def ssh_tun(lab: Lab) -> Iterator[str]:
    ssh = ["ssh", CIPHER, "-p2222", "-w0:0", "root@gw", "sleep infinity"]
    with forwarding(lab, "10.66.0.0/24"), stopping(lab.near.popen(ssh)):
        for host, address in ((lab.near, "10.66.0.2"), (lab.gw, "10.66.0.1")):
            wait_for(lambda host=host: "tun0" in host.run(["ip", "link"]).stdout, what="ssh -w makes tun0")
            host.ip("link set tun0 up", f"addr add {address}/24 dev tun0")
        lab.near.ip(f"route add {SUBNET} via 10.66.0.1")
        wait_for(lambda: reachable(lab), what="ssh -w carries")
        yield FAR
    wait_for(lambda: "tun0" not in lab.gw.run(["ip", "link"]).stdout, what="tun0 has gone")


@contextlib.contextmanager
def sshuttle(lab: Lab) -> Iterator[str]:
    command = ["/usr/bin/sshuttle", "--method=nft", "--disable-ipv6", "-e", f"ssh {CIPHER}", "-r", "gw", SUBNET]
    lab.near.ip(f"route add {SUBNET} via 10.9.0.1")     # it redirects, but something must be routed
    try:
        with stopping(lab.near.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)):
            wait_for(lambda: reachable(lab), 15, what="sshuttle carries")
            yield FAR
    finally:
        lab.near.ip(f"route del {SUBNET}")


CONTESTANTS: dict[str, Callable] = {
    "plain": plain, "ecssh": ecssh, "ecssh, packets": ecssh_packets, "ecssh, tun": ecssh_tun,
    "ecssh, tun, packets": ecssh_tun_packets, "ecssh, direct": ecssh_direct, "ssh -L": ssh_forward, "ssh -w": ssh_tun, "sshuttle": sshuttle}
ANSWER_EARLY = {"ssh -L", "sshuttle"}       # connect(2) returns before the far end is asked


# -- measurements ------------------------------------------------------------------------------------


def iperf_mbit(lab: Lab, address: str, seconds: int, *arguments: str) -> float:
    out = lab.near.run(["iperf3", "-J", "-c", address, "-p", IPERF, "-t", seconds, "-O", "1", *arguments],
                       timeout=seconds + 30).stdout
    return json.loads(out)["end"]["sum_received"]["bits_per_second"] / 1e6


STREAMS = {"1 up": (), "1 down": ("-R",), "8 up": ("-P8",), "8 down": ("-P8", "-R")}


def throughput(lab: Lab, options) -> dict:
    """Mbit/s, median: {contestant: {case: value}}."""
    samples = {name: {case: [] for case in STREAMS} for name in CONTESTANTS}
    for repeat in range(options.repeat):
        for name, contestant in CONTESTANTS.items():
            with contestant(lab) as address:
                for case, arguments in STREAMS.items():
                    samples[name][case].append(iperf_mbit(lab, address, options.seconds, *arguments))
            note(f"throughput {repeat + 1}/{options.repeat} {name}: " + ", ".join(
                f"{case} {values[-1]:.0f}" for case, values in samples[name].items()) + " Mbit/s")
    return medians(samples)


def connections(lab: Lab, options) -> dict:
    """Sequential connections: {contestant: {measure: value}}."""
    samples: dict = {}
    for repeat in range(options.repeat):
        for name, contestant in CONTESTANTS.items():
            with contestant(lab) as address:
                for mode in ("exchange",) if name in ANSWER_EARLY else ("connect", "exchange"):
                    out = lab.near.run([options.connrate, mode, address, CONNRATE, CONNECTIONS], timeout=300)
                    for key, value in json.loads(out.stdout).items():
                        samples.setdefault(name, {}).setdefault(f"{mode}_{key}", []).append(value)
            note(f"connections {repeat + 1}/{options.repeat} {name}: " + ", ".join(
                f"{key} {values[-1]:.0f}" for key, values in samples[name].items()))
    return medians(samples)


def medians(samples: dict) -> dict:
    return {name: {case: statistics.median(values) for case, values in cases.items()} for name, cases in samples.items()}


def processes(lab: Lab) -> dict[str, int]:
    """The pids that a tunnel consists of."""
    near = {p.comm: p.pid for p in lab.near.processes("^(ecssh|ecssh-broker|ssh)$")}
    helper = wait_for(lambda: lab.gw.processes(HELPER))[0].pid
    sshd = next(p.pid for p in lab.gw.processes("^sshd$") if p.user != 0)
    return {**near, "ecssh-helper": helper, "sshd": sshd}


def pss_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def memory(lab: Lab, _) -> dict:
    """PSS in KiB of each process with so many idle flows, each of which has carried 100 bytes both ways."""
    result: dict = {}
    with ecssh(lab):
        pids = processes(lab)
        result["0"] = {name: pss_kib(pid) for name, pid in pids.items()}
        socks: list = []
        for number in (1000, 10000):
            while len(socks) < number:
                sock = lab.near.connect(FAR, ECHO)
                sock.sendall(bytes(100))
                received = 0
                while received < 100:
                    received += len(sock.recv(100))
                socks.append(sock)
            result[str(number)] = {name: pss_kib(pid) for name, pid in pids.items()}
            note(f"memory at {number} flows: {result[str(number)]} KiB")
        for sock in socks:
            sock.close()
    for number in ("1000", "10000"):
        both = sum(result[number][name] - result["0"][name] for name in ("ecssh", "ecssh-helper"))
        result[f"KiB per flow at {number}"] = round(both / int(number), 2)
    return result


def connect(lab: Lab, options) -> dict:
    """Seconds from the command to traffic, and of plain `ssh gw true`."""
    samples: dict = {"ssh gw true": [], "first, with upload": [], "later": []}

    def timed(name: str, *command: str) -> None:
        start = time.perf_counter()
        lab.near.run(command)
        samples[name].append(time.perf_counter() - start)

    for _ in range(options.repeat):
        timed("ssh gw true", "ssh", CIPHER, "gw", "true")
        lab.gw.run(["sh", "-c", "find /home/alice /tmp /var/tmp /dev/shm -name '*ecssh*' -prune -exec rm -rf {} +"])
        for name in ("first, with upload", "later"):
            timed(name, "ecssh", "up", "-f", "-o", CIPHER[2:], "gw", SUBNET)
            lab.near.run(["ecssh", "down"])
    return {name: round(statistics.median(values), 3) for name, values in samples.items()}


def idle(lab: Lab, _) -> dict:
    """Context switches per second of each process while nothing happens."""
    def switches(pid: int) -> int:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    with ecssh(lab):
        lab.near.connect(FAR, ECHO).close()
        pids = processes(lab)
        time.sleep(2)
        note(f"idle: watching for {IDLE_S} s")
        before = {name: switches(pid) for name, pid in pids.items()}
        time.sleep(IDLE_S)
        return {name: round((switches(pid) - before[name]) / IDLE_S, 2) for name, pid in pids.items()}


PARTS = {"throughput": throughput, "connections": connections, "memory": memory, "connect": connect, "idle": idle}


# -- the report --------------------------------------------------------------------------------------


def table(head: list[str], rows: list[list[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def report(results: dict) -> str:
    about = results["about"]
    parts = [f"Kernel {about['kernel']}, {about['processors']} processors shared by all hosts, {about['ssh']}, "
             f"{about['date']}.\n"]
    if rates := results.get("throughput"):
        parts.append("### TCP throughput, Mbit/s\n")
        parts.append(table(["", *STREAMS], [[name, *(f"{rates[name][case]:.0f}" for case in STREAMS)] for name in rates]))
        parts.append(table(["ratio", *STREAMS], [
            [f"{ours} : {other}", *(f"{rates[ours][case] / rates[other][case]:.2f}" for case in STREAMS)]
            for ours in rates if ours.startswith("ecssh") for other in ("plain", "ssh -L", "ssh -w", "sshuttle")]))
    if rows := results.get("connections"):
        parts.append("### Connections one after another\n\n`ssh -L` and sshuttle answer connect(2) before they ask the "
                     "far end.\n")
        columns = ("connect_per_s", "connect_p50_us", "connect_p99_us", "exchange_per_s")
        rows = {name: [f"{row[column]:.0f}" if column in row else "" for column in columns] for name, row in rows.items()}
        parts.append(table(["", "connect and close /s", "connect p50 µs", "p99 µs", "one byte exchanged /s"],
                           [[name, *cells] for name, cells in rows.items()]))
    if sizes := results.get("memory"):
        names = list(sizes["0"])
        parts.append("### Memory with idle flows, PSS in KiB\n")
        parts.append(table(["flows", *names, "engine and helper, per flow"],
                           [[number, *(sizes[number][name] for name in names), sizes.get(f"KiB per flow at {number}", "")]
                            for number in ("0", "1000", "10000")]))
    if times := results.get("connect"):
        parts.append("### Seconds to connect\n")
        parts.append(table(list(times), [list(times.values())]))
    if rates := results.get("idle"):
        parts.append("### Context switches per second when idle\n")
        parts.append(table(list(rates), [list(rates.values())]))
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=PROJECT / "bench-results.md")
    parser.add_argument("--json", type=Path, default=PROJECT / "bench-results.json")
    parser.add_argument("--seconds", type=int, default=4, help="of each throughput measurement")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    if not (BUILD / "ecssh").exists():
        parser.error(f"{BUILD}/ecssh is not built")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    version = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.split(",")[0]
    results: dict = {"about": {"kernel": platform.release(), "processors": os.cpu_count(), "ssh": version,
                               "date": time.strftime("%Y-%m-%d")}}
    with tempfile.TemporaryDirectory() as folder, Lab() as lab:
        binary = Path(folder) / "connrate"
        subprocess.run(["cc", "-O2", "-o", binary, PROJECT / "test/bench/connrate.c"], check=True)
        options.connrate = "/run/connrate"
        for host in (lab.near, lab.far):
            host.path(options.connrate).write_bytes(binary.read_bytes())
            host.path(options.connrate).chmod(0o755)
            host.sysctl(ipv4__ip_local_port_range="1024 65535")
        lab.gw.sysctl(ipv4__ip_local_port_range="1024 65535")
        lab.sshd(port=2222, PermitTunnel="point-to-point", PermitRootLogin="prohibit-password")
        servers = [lab.far.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                   for command in (["iperf3", "-s", "-p", IPERF], [options.connrate, "serve", CONNRATE])]
        wait_for(lambda: all(f":{port} " in lab.far.run(["ss", "-ltn"]).stdout for port in (IPERF, CONNRATE)))
        for name in options.parts or PARTS:
            results[name] = PARTS[name](lab, options)
        for server in servers:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()
    text = report(results)
    print(text)
    options.out.write_text(text)
    options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
