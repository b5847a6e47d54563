"""What this kernel really can, tried: a script of its own, run inside namespaces that are gone when it ends.

A kernel's configuration tells little: a feature may be a module that is not there, or closed to this user. So each
thing a lab's machines do to the kernel is done once, in network and mount namespaces nobody else is in. Started by
:mod:`.kernel`, in an interpreter without the lab's libraries: only Python's own are imported here.

Prints a JSON object: the name of each try, and null or the kernel's words. Numbers are the kernel's interface:
linux/rtnetlink.h, linux/if_link.h, linux/netfilter/nf_tables.h, linux/if_tun.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
REQUEST, ACK, CREATE, EXCLUSIVE, APPEND = 0x1, 0x4, 0x400, 0x200, 0x800
NESTED = 0x8000
ERROR = 2
NEW_LINK = 16
LINK_NAME, LINK_INFO, INFO_KIND = 3, 18, 1
BATCH_BEGIN, BATCH_END = 0x10, 0x11
NFTABLES = 10
IPV4 = 2
NEW_TABLE, NEW_CHAIN, NEW_RULE = (NFTABLES << 8 | number for number in (0, 3, 6))
CHAINS = {"in": (0, -100), "out": (4, 100)}
"""Of the table: where they hook in (prerouting, postrouting), and with which priority."""
TABLE = b"metallab\0"
REGISTER = struct.pack(">I", 1)
TUN_SET, TAP, NO_PACKET_INFO = 0x400454CA, 0x2, 0x1000
MKNOD_KMSG = os.makedev(1, 11)
CLONE_MESSAGE_BYTES = 1 << 16


# -- netlink ---------------------------------------------------------------------------------------------------


def attribute(kind: int, data: bytes) -> bytes:
    """Return a netlink attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """Return an attribute that holds others."""
    return attribute(kind | NESTED, b"".join(parts))


def number(kind: int, value: int) -> bytes:
    """Return an attribute with a number as nftables takes it: signed, most significant byte first."""
    return attribute(kind, struct.pack(">i", value))


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """Return a netlink message."""
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def ask(protocol: int, request: bytes, replies: int) -> None:
    """Send a request and read its answers. Raises OSError with the kernel's reason."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as link:
        link.settimeout(5)
        link.bind((0, 0))
        link.send(request)
        while replies > 0:
            answer = link.recv(CLONE_MESSAGE_BYTES)
            while answer:
                length, kind = struct.unpack_from("=IH", answer)
                if kind == ERROR:
                    code = struct.unpack_from("=i", answer, 16)[0]
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    replies -= 1
                answer = answer[(length + 3) & ~3 :]


def make_link(kind: str) -> None:
    """Make an interface of a kind; a veth gets its other end by itself."""
    info = nested(LINK_INFO, attribute(INFO_KIND, kind.encode()))
    body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(LINK_NAME, f"try-{kind}".encode() + b"\0") + info
    ask(NETLINK_ROUTE, message(NEW_LINK, REQUEST | ACK | CREATE | EXCLUSIVE, 1, body), replies=1)


def nftables(*requests: tuple[int, bytes]) -> None:
    """Have nftables take requests as one transaction: a message type and the attributes, each."""
    begin, family = struct.pack(">BBH", 0, 0, NFTABLES), struct.pack(">BBH", IPV4, 0, 0)
    parts = [message(BATCH_BEGIN, REQUEST, 0, begin)]
    for sequence, (kind, body) in enumerate(requests, start=1):
        parts.append(message(kind, REQUEST | ACK | CREATE | APPEND, sequence, family + body))
    parts.append(message(BATCH_END, REQUEST, len(requests) + 1, begin))
    ask(NETLINK_NETFILTER, b"".join(parts), replies=len(requests))


def make_table() -> None:
    """Make a table with a chain for addresses on each side, as kube-proxy's and the pod network's."""
    chains = []
    for name, (hook, priority) in CHAINS.items():
        place = nested(4, number(1, hook), number(2, priority))
        named = attribute(1, TABLE) + attribute(3, name.encode() + b"\0")
        chains.append((NEW_CHAIN, named + place + attribute(7, b"nat\0")))
    nftables((NEW_TABLE, attribute(1, TABLE)), *chains)


def make_rule(chain: str, *expressions: tuple[str, bytes]) -> None:
    """Add a rule of expressions: their names, and the attributes each takes."""
    listed = [nested(1, attribute(1, name.encode() + b"\0"), nested(2, attributes)) for name, attributes in expressions]
    place = attribute(1, TABLE) + attribute(2, chain.encode() + b"\0")
    nftables((NEW_RULE, place + nested(4, *listed)))


def masquerade() -> None:
    """Pods reach the outside with their node's address."""
    make_rule("out", ("masq", b""))


def numgen() -> None:
    """Spread a service over its pods: a random number below 2."""
    make_rule("in", ("numgen", attribute(1, REGISTER) + number(2, 2) + number(3, 1) + number(4, 0)))


def fib() -> None:
    """Know the node's own addresses: the kind of the destination."""
    make_rule("in", ("fib", attribute(1, REGISTER) + number(2, 3) + number(3, 2)))


def conntrack() -> None:
    """Look at the state of a connection."""
    make_rule("in", ("ct", number(2, 0) + attribute(1, REGISTER)))


def rewrite() -> None:
    """Send a service's packets to a pod: another destination from a register."""
    pod = nested(2, attribute(1, socket.inet_aton("10.244.0.2")))
    target = number(1, 1) + number(2, IPV4) + attribute(3, REGISTER)
    make_rule("in", ("immediate", attribute(1, REGISTER) + pod), ("nat", target))


# -- the rest --------------------------------------------------------------------------------------------------


def forwarding() -> None:
    """Let this namespace forward packets, as every node does."""
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n", encoding="ascii")


def tap() -> None:
    """Make the card of a virtual machine."""
    with Path("/dev/net/tun").open("r+b", buffering=0) as device:
        fcntl.ioctl(device, TUN_SET, struct.pack("=16sH22x", b"try-tap", TAP | NO_PACKET_INFO))


def mount(source: str, target: Path, kind: str, options: str = "") -> None:
    """Mount a file system. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [text.encode() for text in (source, str(target), kind)]
    if libc.mount(*words, ctypes.c_ulong(0), options.encode()) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@contextlib.contextmanager
def folder(parent: Path) -> Iterator[Path]:
    """Give a folder that is removed with all in it; what is mounted there is only seen by this process."""
    made = Path(tempfile.mkdtemp(prefix="metallab-try-", dir=parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def overlay(parent: Path) -> None:
    """Lay one folder over another, as container runtimes do, on a file system they would do it on."""
    with folder(parent) as made:
        names = {name: made / name for name in ("lower", "upper", "work", "merged")}
        for path in names.values():
            path.mkdir()
        (names["lower"] / "file").touch()
        options = ",".join(f"{name}dir={names[name]}" for name in ("lower", "upper", "work"))
        mount("overlay", names["merged"], "overlay", options)
        try:
            (names["merged"] / "file").write_text("written", encoding="ascii")
        finally:
            unmount(names["merged"])


def unmount(target: Path) -> None:
    """Unmount what was just mounted."""
    ctypes.CDLL(None, use_errno=True).umount2(str(target).encode(), 2)


def devices() -> None:
    """Make a device file and open it: the kubelet wants /dev/kmsg, and containers have none."""
    with folder(Path("/tmp")) as made:  # noqa: S108 - removed at once
        mount("tmpfs", made, "tmpfs")
        try:
            os.mknod(made / "kmsg", stat.S_IFCHR | 0o600, MKNOD_KMSG)
            os.close(os.open(made / "kmsg", os.O_RDONLY | os.O_NONBLOCK))
        finally:
            unmount(made)


def cgroups() -> None:
    """Mount each of this process's cgroup hierarchies afresh, as a machine does before its systemd starts."""
    with folder(Path("/tmp")) as made:  # noqa: S108 - removed at once
        for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
            _number, controllers, _path = line.split(":", 2)
            if not controllers:
                mount("cgroup2", made, "cgroup2")
            else:
                named = controllers.startswith("name=")
                mount("cgroup", made, "cgroup", f"none,{controllers}" if named else controllers)
            unmount(made)


def overlays(parents: Sequence[str]) -> None:
    """Do that on each of the file systems."""
    for parent in parents:
        try:
            overlay(Path(parent))
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} in {parent}") from error


def main(stores: Sequence[str]) -> None:
    """Try everything, each for itself; ``stores`` are folders of the file systems containers would be on."""
    tries: dict[str, Callable[[], None]] = {
        "bridge": lambda: make_link("bridge"),
        "veth": lambda: make_link("veth"),
        "forwarding": forwarding,
        "table": make_table,
        "masquerade": masquerade,
        "rewrite": rewrite,
        "numgen": numgen,
        "fib": fib,
        "conntrack": conntrack,
        "overlay": lambda: overlays(stores),
        "devices": devices,
        "cgroups": cgroups,
        "tap": tap,
    }
    said: dict[str, str | None] = {}
    for name, attempt in tries.items():
        try:
            attempt()
        except OSError as error:
            said[name] = error.strerror or str(error)
        else:
            said[name] = None
    print(json.dumps(said))  # noqa: T201 - a program of its own: this is its answer


if __name__ == "__main__":
    main(sys.argv[1:])
