# SPDX-License-Identifier: MIT
"""Strings that nobody means well with, as bytes without NUL, and what must not become of them."""

from __future__ import annotations

import re
from typing import Iterable, Iterator

CANARY = "/tmp/owned"       # whoever takes a string for a command makes this file


def commands() -> Iterator[str]:
    """Words that a shell, or ssh, would run something for."""
    touch = f"touch {CANARY}"
    yield from (f";{touch}", f"x;{touch}", f"x; {touch};", f"|{touch}", f"x||{touch}", f"x|{touch} #", f"&{touch}", f"x&&{touch}",
                f"x & {touch} &", f"`{touch}`", f"x`{touch}`", f"$({touch})", f"x$({touch})y", f"${{x:-$({touch})}}",
                f"$(touch${{IFS}}{CANARY})", f"{{touch,{CANARY}}}", f"\n{touch}\n", f"x\n{touch}", f"x\r{touch}\r", f"'; {touch}; '",
                f"\"; {touch}; \"", f"'$({touch})'", f"\"$({touch})\"", f"\\';{touch};\\'", f">{CANARY}", f"x>{CANARY}", f">>{CANARY}",
                f"<({touch})", f">({touch})", f"<<E\n{touch}\nE", f"(){{ :;}}; {touch}", f"x() {{ {touch}; }}; x", f"!{touch}",
                f"!!;{touch}", f"eval {touch}", f"exec {touch}", f"-c {touch}", f"sh -c '{touch}'", f"$'\\x3b{touch}'",
                f"%0a{touch}", f"%x;{touch}", f"$((`{touch}`))", f"[[ `{touch}` ]]", f"*;{touch}", f"~$({touch})", f"#\n{touch}",
                f"python3 -c \"open('{CANARY}','w')\"")


def options() -> Iterator[str]:
    """Words that ssh would take for options, or for more than one word."""
    yield from (f"-oProxyCommand=touch {CANARY}", f"-o ProxyCommand=touch${{IFS}}{CANARY}", f"-oLocalCommand=touch {CANARY}",
                "-oPermitLocalCommand=yes", f"-oKnownHostsCommand=/usr/bin/touch {CANARY}", f"-oPKCS11Provider={CANARY}",
                f"-oControlPath={CANARY}", f"-E{CANARY}", f"-F{CANARY}", f"-S{CANARY}", "-D1080", "-R*:22:localhost:22",
                "-L*:2222:localhost:22", "-w0:0", "-W[::1]:22", "-f", "-N", "-G", "-Q", "-V", "-T", "-t", "--", "-", "--help",
                "--version", "-vvv", "-l", "-lroot", f"x -oProxyCommand=touch {CANARY}", f"x\n-oProxyCommand=touch {CANARY}",
                f"x\nProxyCommand touch {CANARY}", f"x\tProxyCommand=touch {CANARY}", f"ProxyCommand=touch {CANARY}",
                f"proxycommand touch {CANARY}", f"ProxyUseFdpass=yes\nProxyCommand=touch {CANARY}",
                f"Match exec \"touch {CANARY}\"", f"Include {CANARY}", f"LocalCommand=touch {CANARY}",
                f"KnownHostsCommand=/usr/bin/touch {CANARY}", "SetEnv=LD_PRELOAD=/tmp/x.so", "SendEnv=*", "ForwardAgent=yes",
                "ForwardX11=yes", "Compression=yes", "StrictHostKeyChecking=no", "RemoteCommand=touch /tmp/owned", "Tunnel=yes",
                "ControlMaster=yes", "ForkAfterAuthentication=yes", "StdinNull=yes", "RequestTTY=force", "EscapeChar=~")


def formats() -> Iterator[str]:
    yield from ("%h", "%r", "%p", "%n", "%L", "%d", "%C", "%%", "%", "%s", "%s%s%s%s%s%s%s%s", "%n%n%n%n", "%x%x%x%x", "%99999999s",
                "%*d", "%.1000000d", "%1$s", "%ld%lld", "${HOME}", "$HOME", "${x@P}", "{0}", "{}", "\\x1b[2J", "\\033[2J", "\\0", "\\u0000")


def paths() -> Iterator[str]:
    yield from ("/", ".", "..", "./.", "../../../../tmp/owned", "/tmp/../tmp/owned", "..\\..\\owned", "%2e%2e%2fowned", "//tmp//owned",
                "~", "~root/x", "/dev/full", "/dev/zero/x", "/dev/stdin", "/proc/self/environ", "/proc/self/fd/0", "/etc/passwd", "/etc/shadow",
                ".sock", "x.sock", "../gw", "gw.sock", "a/b", "/run/ecssh/gw.sock/x", "*", "?", "[a-z]*", "{a,b}")


def numbers() -> Iterator[str]:
    yield from ("-1", "-0", "+1", "1e9", "0x7f000001", "0177", "4294967296", "18446744073709551616", "99999999999999999999999",
                "NaN", "inf", " 1", "1 ", "1,2", "1;2", "0/0/0", "0/-1", "::/129", "1.2.3.4.5", "1.2.3.4/", "[::1", "::1]", "[]", "[::1]:", ":22",
                "x:0", "x:65536", "x:22:22", "fe80::1%", "fe80::1%$(id)", "١٢٣", "１２７.0.0.1")


def texts() -> Iterator[str]:
    """Quotes, spaces, other alphabets, and what would end or forge a line of a log or of JSON."""
    yield from (" ", "\t", "  x", "x  ", "a b", "'", "\"", "''", "\\", "\\\\", "'\"", "\u00a0", "a\u3000b", "\u200b", "x\ufeff", "\uffff",
                "ɡw", "gѡ", "ｇｗ", "gw。example", "gw\u0338", "münchen.example", "xn--mnchen-3ya.example", "xn--a", "a\u0301\u0301\u0301w",
                "\U0001f600", "\U000e0001x", "x\necssh: connected to gw as root", "x\r\necssh: tunnel gw is down", "x\rcovered",
                "\",\"state\":\"connected", "\"}],\"version\":2,\"x\":[{\"", "]}", "</pre>", "\\\",", "\b\b\bgone", "x\fy", "x\vy",
                "LD_PRELOAD=/tmp/x.so", "PATH=/tmp", "=x", "x=", "@", "@@", "a@", "@a", "a@b@c", "root@", "mailto:a", "ssh://x", "http://x/")


def terminals() -> Iterator[str]:
    """What drives a terminal: all of C0 and C1, sequences, and the directions of writing."""
    for code in (*range(1, 0x20), 0x7f, *range(0x80, 0xa0)):
        yield f"a{chr(code)}b"
    yield from ("\033[2J", "\033[31mred", "\033[6n", "\033[21t", "\033]0;owned\007", "\033]52;c;b3duZWQ=\007", "\033]8;;http://x\033\\x",
                "\033P$q\"p\033\\", "\033_x\033\\", "\033^x\033\\", "\033c", "\033[?1049h", "\033[99999;99999H", "\033(0", "\u009b2J",
                "\u009d0;owned\u009c")
    for code in (0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069, 0x2028, 0x2029):
        yield f"a{chr(code)}b"


def broken() -> Iterator[bytes]:
    """Not UTF-8."""
    yield from (b"\x80", b"a\x9bb", b"\xff", b"\xfe\xff", b"\xc0\x80", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xed\xa0\x80",
                b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x82", b"\xf0\x9f\x98", b"a\xe2\x80",
                b"\xc3(", b"\xe2(\xa1", b"\xff\xfe\x1b[2J", b"\xc2\x1b[2J", b"\xe2\x80\x1b]0;x\x07", b"\xc2")


def long_ones() -> Iterator[str]:
    for unit, number in (("a", 64), ("a", 255), ("a", 256), ("a.", 128), ("a", 5000), ("@", 300), (":", 300), ("/", 5000), ("%s", 1000),
                         ("\033[2J", 500), ("é", 2000), ("\\", 511), ("-", 300), ("9", 400), ("$(", 300), ("\"", 600), ("\u202e", 400)):
        yield unit * number


SHORT = [*(word.encode() for words in (commands, options, formats, paths, numbers, texts, terminals) for word in words()), *broken()]
STRINGS = [*SHORT, *(word.encode() for word in long_ones())]
assert len(set(STRINGS)) == len(STRINGS) >= 200 and not any(b"\0" in word for word in STRINGS)

# On a terminal none of this is text; ssh itself ends its lines by CR LF.
DRIVES_TERMINAL = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\u2028-\u202e\u2066-\u2069]")


def check_printable(said: bytes, what: object) -> None:
    """Lines of text and nothing else; fails where UTF-8 does."""
    text = said.decode().replace("\r\n", "\n")
    found = DRIVES_TERMINAL.search(text)
    assert not found, f"{found[0]!r} was printed for {what!r}: {text[max(0, found.start() - 100):found.end() + 100]!r}"


def packed(words: Iterable[bytes], size: int, between: bytes = b" ") -> Iterator[bytes]:
    """All of them in texts of at most so many bytes; what is longer is cut off."""
    text = b""
    for word in words:
        if text and len(text) + len(between) + len(word) > size:
            yield text
            text = b""
        text = (text + between if text else b"") + word[:size]
    yield text
