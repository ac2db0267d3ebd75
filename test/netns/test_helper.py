# SPDX-License-Identifier: MIT
"""How the helper comes to run on gw: any shell, noise, hostile places, restricted accounts.

    near ──ssh as alice── gw (the stock sshd, or one on port 2222 with other options) ── far (10.77.0.2)
"""

import os
import re
import signal
from pathlib import Path

from common import GATEWAY, RUNTIME, SSH, Ecssh, Tunnel, connect_error, expect, expect_in, timeout
from lab import BUILD, HELPER, USERS, Lab, Process, wait_for
from services import ECHO

FAR = "10.77.0.2"
OUTSIDE = "^ecssh-outside"
INSTALLED = "/usr/local/bin/ecssh-helper"
PLACES = ("/home", "/tmp", "/var/tmp", "/dev/shm", "/run")      # of gw, each a tmpfs


def check_works(lab: Lab, *arguments: str, mentions: str = "uploaded") -> Tunnel:
    """Bring a tunnel up, see it carry a byte, take it down."""
    tunnel = Tunnel(lab, *arguments)
    expect_in(mentions, tunnel.stderr())
    with lab.near.connect(FAR, ECHO, 5) as sock:
        sock.sendall(b"?")
        expect(sock.recv(1), b"?")
    tunnel.down()
    wait_for(lambda: not lab.gw.processes(HELPER), 5, "the helper has gone")
    return tunnel


def uploaded_files(lab: Lab) -> list[str]:
    """What alice owns on gw beside her .ssh."""
    out = lab.gw.run(["find", *PLACES, "-user", "alice", "-type", "f", "-not", "-path", "*/.ssh/*"]).stdout
    return [path for path in out.splitlines() if not path.startswith("/run/.lab")]


def remove_uploaded(lab: Lab) -> None:
    for path in uploaded_files(lab):
        lab.gw.path(path).unlink()


def as_alice(lab: Lab, script: str) -> str:
    return lab.gw.run(["sh", "-c", script], "alice").stdout


def test_login_shells(lab: Lab):
    """bash, dash, sh, csh (tcsh) and fish; first with the upload, then without."""
    for shell in ("/bin/bash", "/bin/dash", "/bin/sh", "/bin/tcsh", "/bin/csh", "/usr/bin/fish"):
        if not lab.gw.path(shell).exists():
            continue
        lab.set_shell("alice", shell)
        remove_uploaded(lab)
        check_works(lab, mentions="uploaded")
        check_works(lab, mentions="already there")


def test_second_connect_does_not_upload(lab: Lab):
    check_works(lab, mentions="uploaded")
    files = uploaded_files(lab)
    expect(len([path for path in files if "ecssh-helper" in path]), 1, f"helpers among {files}")
    check_works(lab, mentions="already there")
    expect(uploaded_files(lab), files, "files on gw")


def test_upload_is_private(lab: Lab, tunnel):
    helper = next(path for path in uploaded_files(lab) if "ecssh-helper" in path)
    folder = lab.gw.path(helper).parent.stat()
    expect(folder.st_mode & 0o777, 0o700, "mode of the folder")
    expect(folder.st_uid, USERS["alice"], "owner of the folder")
    expect(lab.gw.path(helper).stat().st_mode & 0o022, 0, "others may write")


def test_damaged_file_is_replaced(lab: Lab):
    check_works(lab)
    helper = next(path for path in uploaded_files(lab) if "ecssh-helper" in path)
    whole = lab.gw.path(helper).read_bytes()
    for damaged in (whole[:1000], b"", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:], b"#!/bin/sh\necho hello\n"):
        as_alice(lab, f"chmod u+w {helper}")
        lab.gw.path(helper).write_bytes(damaged)
        check_works(lab, mentions="uploaded")
        assert lab.gw.path(helper).read_bytes() == whole, "the damaged file is still there"


def test_old_versions_are_removed(lab: Lab):
    check_works(lab)
    helper = next(path for path in uploaded_files(lab) if "ecssh-helper" in path)
    old = re.sub(r"[0-9a-f]{8}(?=[^/]*$)", "00000000", helper)
    assert old != helper, f"no hash in the name {helper}"
    lab.gw.run(["mv", helper, old])
    check_works(lab, mentions="uploaded")
    expect([path for path in uploaded_files(lab) if "ecssh-helper" in path], [helper])


def test_cache_folder_not_writable(lab: Lab):
    as_alice(lab, "chmod 500 ~")
    check_works(lab)


def test_no_home(lab: Lab):
    lab.gw.run(["chown", "root", "/home/alice"])
    lab.gw.run(["chmod", "755", "/home/alice"])
    check_works(lab)


def test_runtime_dir_is_used(lab: Lab):
    lab.gw.run(["install", "-d", "-o", "alice", "-g", "alice", "-m", "700", "/run/user/20001"])
    lab.sshd(port=2222, SetEnv="XDG_RUNTIME_DIR=/run/user/20001")
    check_works(lab, "-p", "2222")


def remount(lab: Lab, *places: str, options: str = "noexec") -> None:
    for place in places:
        lab.gw.run(["mount", "-o", f"remount,{options}", place])


def test_noexec_places_are_skipped(lab: Lab):
    for place in ("/home", "/dev/shm", "/tmp"):
        remount(lab, place)
        remove_uploaded(lab)
        check_works(lab)
        assert not uploaded_files(lab)[0].startswith(place), uploaded_files(lab)


def test_noexec_everywhere(lab: Lab):
    remount(lab, *PLACES)
    Ecssh(lab.near, "up", "--mode", "helper", "gw", FAR).fails(GATEWAY, "exec")
    wait_for(lambda: not lab.gw.processes(HELPER), what="gw is clean")


def test_read_only_everywhere(lab: Lab):
    remount(lab, *PLACES, options="ro")
    Ecssh(lab.near, "up", "--mode", "helper", "gw", FAR).fails(GATEWAY)


def test_disk_full(lab: Lab):
    for place in PLACES:
        used = int(lab.gw.run(["df", "-k", "--output=used", place]).stdout.split()[-1])
        remount(lab, place, options=f"size={used + 100}k")
    Ecssh(lab.near, "up", "--mode", "helper", "gw", FAR).fails(GATEWAY, "room")
    expect(uploaded_files(lab), [], "left behind on gw")


def test_one_full_place_is_skipped(lab: Lab):
    remount(lab, "/home", options="size=100k")
    check_works(lab)


def test_planted_symlinks_are_not_followed(lab: Lab):
    """Mallory (bob) knows the names we use in /tmp and got there first."""
    as_alice(lab, "chmod 500 ~")
    check_works(lab)
    helper = next(path for path in uploaded_files(lab) if "ecssh-helper" in path)
    folder = os.path.dirname(helper)
    lab.gw.run(["rm", "-r", folder])
    lab.gw.run(["sh", "-c", f"mkdir /tmp/trap && cp /bin/true /tmp/trap/{os.path.basename(helper)} && ln -s /tmp/trap {folder}"],
               "bob")
    check_works(lab, mentions="uploaded")
    expect(sorted(os.listdir(lab.gw.path("/tmp/trap"))), [os.path.basename(helper)], "files in the trap")
    remove_uploaded(lab)
    lab.gw.run(["sh", "-c", f"rm -rf {folder}; mkdir -m 777 {folder} && cp /bin/true {helper}"], "bob")
    check_works(lab, mentions="uploaded")


NOISE = {
    "/home/alice/.bashrc": ("/bin/bash", "echo welcome; yes 'all work and no play' | head -c 3000000; echo -n unfinished\n"),
    "/home/alice/.tcshrc": ("/bin/tcsh", "echo welcome\nyes 'all work and no play' | head -c 3000000\necho -n unfinished\n"),
    "/home/alice/.config/fish/config.fish": ("/usr/bin/fish", "echo welcome\nyes 'all work and no play' | head -c 3000000\n"),
}


def test_noisy_rc_files(lab: Lab):
    """Three megabytes before the greeting."""
    for path, (shell, script) in NOISE.items():
        if lab.gw.path(shell).exists():
            lab.gw.write(path, script, "alice")
            lab.set_shell("alice", shell)
            tunnel = check_works(lab, mentions="connected to gw")
            assert "all work" not in tunnel.stderr(), "noise was shown"


def test_noise_that_looks_like_ours(lab: Lab):
    """Binary noise and lines that imitate the greeting."""
    lab.gw.write("/home/alice/.bashrc", "head -c 200000 /dev/urandom; echo ecssh-boot 1; echo ecssh ready; printf '\\0\\r\\n'\n",
                 "alice")
    check_works(lab)


@timeout(90)
def test_endless_noise(lab: Lab):
    """4 GB of it would not help: one clear sentence in bounded time and memory."""
    lab.gw.write("/home/alice/.bashrc", "yes 'all work and no play'\n", "alice")
    Ecssh(lab.near, "up", "gw", FAR).fails(RUNTIME, "start-up file", seconds=60)
    wait_for(lambda: len(lab.gw.processes()) == 1, 10, f"gw is clean, has {lab.gw.processes()}")


def test_rc_file_that_exits(lab: Lab):
    lab.gw.write("/home/alice/.bashrc", "echo this account is disabled; exit 1\n", "alice")
    said = Ecssh(lab.near, "up", "--mode", "helper", "gw", FAR).fails(GATEWAY)
    expect_in("this account is disabled", said)


def test_escape_sequences_of_the_server_are_not_printed(lab: Lab):
    lab.gw.write("/home/alice/.bashrc", r"printf 'see \033]0;owned\007\033[2J here\n'; exit 1" + "\n", "alice")
    said = Ecssh(lab.near, "up", "--mode", "helper", "gw", FAR).fails(GATEWAY)
    assert "\033" not in said and "\007" not in said, repr(said)


def test_nologin_account(lab: Lab):
    lab.set_shell("alice", "/usr/sbin/nologin")
    Ecssh(lab.near, "up", "--mode", "helper", "gw", FAR).fails(GATEWAY)


def test_banner_and_motd(lab: Lab):
    lab.gw.write("/etc/issue.net", "Authorized use only.\n" * 20)
    lab.sshd(port=2222, Banner="/etc/issue.net", PrintMotd="yes")
    check_works(lab, "-p", "2222")


def test_sftp_only_account(lab: Lab):
    lab.sshd(port=2222, ForceCommand="internal-sftp")
    said = Ecssh(lab.near, "up", "--mode", "helper", "-p", "2222", "gw", FAR).fails(GATEWAY)
    expect_in("sftp", said)


def test_other_forced_command(lab: Lab):
    lab.sshd(port=2222, ForceCommand="/bin/echo only backups here")
    Ecssh(lab.near, "up", "--mode", "helper", "-p", "2222", "gw", FAR).fails(GATEWAY, "only backups here")


def install(lab: Lab) -> None:
    lab.gw.path(INSTALLED).write_bytes((BUILD / "ecssh-helper").read_bytes())
    lab.gw.path(INSTALLED).chmod(0o755)


def test_installed_helper_is_used(lab: Lab):
    install(lab)
    check_works(lab, mentions="installed")
    expect(uploaded_files(lab), [], "uploaded files")


def test_installed_helper_that_does_not_fit(lab: Lab):
    lab.gw.write(INSTALLED, "#!/bin/sh\necho ecssh-helper 0.0; exit 1\n", mode=0o755)
    check_works(lab, mentions="uploaded")


def test_forced_command_that_runs_the_helper(lab: Lab):
    """An administrator's way to allow tunnels and nothing else."""
    install(lab)
    lab.sshd(port=2222, ForceCommand=INSTALLED)
    remount(lab, *PLACES)
    check_works(lab, "-p", "2222", mentions="installed")


def test_forced_command_in_authorized_keys(lab: Lab):
    install(lab)
    keys = lab.gw.path("/home/alice/.ssh/authorized_keys")
    keys.write_text(f'restrict,command="{INSTALLED}" ' + keys.read_text())
    check_works(lab, mentions="installed")


def test_no_sessions_allowed(lab: Lab):
    lab.sshd(port=2222, MaxSessions=0)
    up = Ecssh(lab.near, "up", "--mode", "helper", "-p", "2222", "gw", FAR)
    assert up.wait(20) in (GATEWAY, SSH), up.stderr()
    expect_in("ecssh:", up.stderr())
    assert "open failed" in up.stderr() or "session" in up.stderr(), up.stderr()


def test_permissions_of_sshd_do_not_matter(lab: Lab):
    """The helper needs exec alone: forwarding, tun devices, agents may all be forbidden."""
    lab.sshd(port=2222, DisableForwarding="yes", PermitTTY="no", PermitTunnel="no", AllowTcpForwarding="no")
    check_works(lab, "-p", "2222")


def test_metadata_service_is_denied(lab: Lab):
    """Link-local addresses and the cloud's metadata service, unless the user asks for them."""
    addresses = ("169.254.169.254", "fd00:ec2::254")
    lab.gw.ip("addr add 169.254.169.254/32 dev lo", "addr add fd00:ec2::254/128 dev lo nodad")
    with lab.gw.listen(addresses[0], 8080), lab.gw.listen(addresses[1], 8080):
        tunnel = Tunnel(lab, subnets=("0.0.0.0/0", "::/0"))
        for address in addresses:
            assert connect_error(lab.near, address, 8080) not in ("connected", "timeout"), address
        tunnel.down()
        tunnel = Tunnel(lab, "--allow-link-local", subnets=("0.0.0.0/0", "::/0"))
        for address in addresses:
            expect(connect_error(lab.near, address, 8080), "connected", address)
        tunnel.down()


def test_descriptor_limit_of_the_server(lab: Lab):
    """The soft limit of 1024 is raised; at the hard limit new flows are refused and old ones live."""
    lab.gw.write("/etc/security/limits.d/lab.conf", "alice soft nofile 64\nalice hard nofile 128\n")
    tunnel = Tunnel(lab)
    socks = []
    outcomes = set()
    for _ in range(200):
        sock = lab.near.socket(timeout=5)
        try:
            sock.connect((FAR, ECHO))
            socks.append(sock)
        except OSError as error:
            outcomes.add(type(error).__name__)
    assert 64 < len(socks) < 128, f"{len(socks)} connections"
    assert outcomes, "no connection was refused"
    for sock in socks:
        sock.sendall(b"?")
        expect(sock.recv(1), b"?")
        sock.close()
    wait_for(lambda: connect_error(lab.near, FAR, ECHO) == "connected", 10, "new flows after the old ones closed")
    expect(tunnel.status()["state"], "connected")


def status_of(process: Process) -> dict[str, str]:
    """/proc/PID/status."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return {key: value.strip() for key, value in (line.split(":", 1) for line in text.splitlines())}


def outside_of(lab: Lab, tunnel: Tunnel) -> Process:
    """The process outside. A fork of its own, which makes the device, bears its name for a moment, too."""
    helper = tunnel.helper().pid

    def found() -> list[Process]:
        children = Path(f"/proc/{helper}/task/{helper}/children").read_text().split()
        return [process for process in lab.gw.processes(OUTSIDE) if str(process.pid) in children]
    return wait_for(found, what="the process outside")[0]


def check_sandbox(lab: Lab, tunnel: Tunnel) -> None:
    """The one that reads the session is confined, the one outside is not, and status tells."""
    outside = outside_of(lab, tunnel)
    told = tunnel.status()["helper"]["sandbox"]
    expect_in("seccomp", told)
    within, without = status_of(tunnel.helper()), status_of(outside)
    expect((within["Seccomp"], within["NoNewPrivs"]), ("2", "1"), "of the helper")
    expect((without["Seccomp"], without["NoNewPrivs"]), ("0", "0"), "of the process outside")
    expect(int(within["CapEff"], 16) | int(within["CapPrm"], 16), 0, "capabilities of the helper")
    expect_in(f"helper: {told}", lab.near.run(["ecssh", "status", "-v"]).stdout)


def test_sandbox_is_in_force(lab: Lab, tunnel):
    check_sandbox(lab, tunnel)


def test_sandbox_of_root(lab: Lab):
    check_sandbox(lab, Tunnel(lab, to="root@gw"))


def test_outside_ends_with_the_helper(lab: Lab, tunnel):
    """And without it the tunnel goes on, but for names."""
    os.kill(outside_of(lab, tunnel).pid, signal.SIGKILL)
    expect(connect_error(lab.near, FAR, ECHO), "connected")
    tunnel.down()
    os.kill(Tunnel(lab).helper().pid, signal.SIGKILL)
    wait_for(lambda: len(lab.gw.processes()) == 1, what="all of gw has ended")


def test_helper_has_no_privileges_and_no_open_port(lab: Lab, tunnel):
    helper = tunnel.helper()
    expect(helper.user, USERS["alice"], "owner of the helper")
    listening = lab.gw.run(["ss", "-tlnp"]).stdout
    assert "ecssh" not in listening, listening
