"""What the kernel can: seen by having it done, in namespaces nobody else is in (:mod:`.tries`)."""

from __future__ import annotations

import errno
import functools
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metallab import errors, paths
from metallab.host.doctor import tries
from metallab.host.doctor.records import Case, Check, Verdict, fail, ok, unseen, warn
from metallab.run.local import run
from metallab.run.result import CommandTimedOut, ToolMissing

TRY_SECONDS = 30
ROOT_WORDS = ("--ipc", "--uts", "--pid", "--fork", "--cgroup")
"""What a machine has of its own besides network and mounts."""
FORBIDDEN = tuple(os.strerror(number) for number in (errno.EPERM, errno.EACCES, errno.EROFS))
OUTSIDE = "something around this shell forbids it (a container, a service): run the lab on the host itself"
"""Where not the kernel is at fault."""
IPTABLES = """\
*nat
-A POSTROUTING -m addrtype --dst-type LOCAL -j MASQUERADE
COMMIT
*filter
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
"""
"""Of the kinds of rules dockerd and libvirtd begin with."""
RESTRICTIONS = {
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": ("1", "sysctl -w {}=0", "Ubuntu's since 24.04"),
    "/proc/sys/kernel/unprivileged_userns_clone": ("0", "sysctl -w {}=1", "Debian's before 11"),
    "/proc/sys/user/max_user_namespaces": ("0", "sysctl -w {}=15000", "Red Hat's before 8"),
}
"""Where user namespaces are closed to ordinary users: the value that does it, the command against it, whose it is."""


@dataclass(frozen=True)
class Tried:
    """What came of all tries: each one's error (None: it works), or why nothing could be tried."""

    errors: Mapping[str, str | None]
    nothing: str = ""
    root: bool = True


_LOCK = threading.Lock()


def tried(*stores: Path) -> Tried:
    """Try everything once in this process, however many checks ask; ``stores`` are where containers would be."""
    with _LOCK:
        return _tried(stores)


@functools.cache
def _tried(stores: Sequence[Path]) -> Tried:
    root = os.geteuid() == 0
    own = ROOT_WORDS if root else ("--user", "--map-root-user")
    script = [sys.executable, "-I", "-S", tries.__file__, *map(str, stores)]
    try:
        result = run(["unshare", "--net", "--mount", *own, *script], timeout=TRY_SECONDS, check=False)
    except (ToolMissing, CommandTimedOut) as error:
        return Tried({}, error.what, root=root)
    if not result.ok:
        return Tried({}, result.tail, root=root)
    return Tried(parse(result.stdout), root=root)


def parse(text: str) -> Mapping[str, str | None]:
    """Return the errors the script printed, by try."""
    said: dict[str, str | None] = json.loads(text)
    return said


def judge_tries(names: Mapping[str, str], tried: Tried) -> Verdict:
    """Judge the tries a check is about: their names in the script, and what each stands for in words.

    An ordinary user has a user namespace for it. What works there works; what does not may still work for root.
    """
    if tried.nothing:
        if tried.root:
            return fail(errors.HOST_KERNEL, f"no namespaces can be made: {tried.nothing}")
        return unseen(f"this user may not make namespaces ({tried.nothing}), root may")
    reasons: dict[str, list[str]] = {}
    for name, words in names.items():
        error = tried.errors[name]
        if error is not None:
            reasons.setdefault(error, []).append(words)
    if not reasons:
        return ok(f"tried, works: {', '.join(names.values())}")
    said = "; ".join(f"{', '.join(words)} ({reason})" for reason, words in reasons.items())
    if not tried.root:
        return unseen(f"needs root: {said}")
    forbidden = all(reason in FORBIDDEN for reason in reasons)
    return fail(errors.HOST_KERNEL, f"tried, does not work: {said}", OUTSIDE if forbidden else None)


def _look(names: Mapping[str, str], case: Case) -> Verdict | None:
    return judge_tries(names, tried(*stores_of(case)))


def stores_of(case: Case) -> Sequence[Path]:
    """Return where containers would be: pods' below the lab's folder, machines' in the store of a daemon of its own.

    As the nearest folders there are, one for each file system.
    """
    sandbox = None if case.choice is None else case.choice.sandbox
    wanted = [paths.state_dir(), *([] if sandbox is None else [sandbox.data])]
    there = [next(path for path in (each, *each.parents) if path.is_dir()) for each in wanted]
    return tuple({path.stat().st_dev: path for path in there}.values())


def iptables(case: Case) -> Verdict | None:
    """Try the rules that a daemon of the lab's own begins with; one of the host's has its rules already."""
    if case.choice is None or case.choice.sandbox is None:
        return None
    argv = ["unshare", "--net", "iptables-restore"]
    try:
        result = run(argv, timeout=TRY_SECONDS, input=IPTABLES, check=False)
    except ToolMissing as error:
        return unseen(error.what)
    if result.ok:
        return ok("tried, works: NAT and connection tracking by iptables")
    if "failed to execute" in result.stderr:
        return unseen("iptables is not installed", "./inv setup")
    return fail(errors.HOST_KERNEL, f"iptables does not work here: {result.tail}")


def user_namespaces(case: Case) -> Verdict | None:
    """Try a user namespace, where the user is not root: the box is then made in one."""
    if os.geteuid() == 0:
        return None
    argv = ["unshare", "--user", "--map-root-user", "true"]
    result = run(argv, timeout=TRY_SECONDS, check=False)
    values = {path: (case.read(path) or "").strip() for path in RESTRICTIONS}
    return judge_user_namespaces(
        error=None if result.ok else result.tail, values=values, boxed=case.bundled is not None
    )


def judge_user_namespaces(*, error: str | None, values: Mapping[str, str], boxed: bool) -> Verdict:
    """Judge a try, with the settings that are known to forbid it. Without root the box is made in one."""
    if error is None:
        return ok("tried, works: a user namespace without root")
    for path, (closed, command, whose) in RESTRICTIONS.items():
        if values[path] == closed:
            name = path.removeprefix("/proc/sys/").replace("/", ".")
            seen = f"no user namespaces for ordinary users: {name} is {closed} ({whose})"
            fix = f"sudo {command.format(name)}"
            break
    else:
        seen, fix = f"no user namespaces for ordinary users: {error}", "run ./inv as root"
    if boxed:
        return warn(f"{seen}; only ./inv box.build needs them", fix)
    return fail(errors.HOST_KERNEL, seen, fix)


NETWORK = Check("kernel.network", functools.partial(_look, {"bridge": "a bridge", "veth": "a veth pair"}))
NFTABLES = Check(
    "kernel.nftables",
    functools.partial(
        _look,
        {
            "table": "tables",
            "masquerade": "masquerade",
            "rewrite": "dnat",
            "numgen": "numgen",
            "fib": "fib",
            "conntrack": "conntrack",
        },
    ),
)
FORWARDING = Check("kernel.forwarding", functools.partial(_look, {"forwarding": "ip_forward in a namespace"}))
OVERLAY = Check("kernel.overlay", functools.partial(_look, {"overlay": "overlayfs where containers would be"}))
DEVICES = Check("kernel.devices", functools.partial(_look, {"devices": "mknod of /dev/kmsg, and opening it"}))
MOUNTS = Check("kernel.cgroups", functools.partial(_look, {"cgroups": "mounting the cgroups in a namespace"}))
TAP = Check("kernel.tap", functools.partial(_look, {"tap": "a tap device (/dev/net/tun)"}))
RULES = Check("kernel.iptables", iptables)
USERS = Check("kernel.user-namespaces", user_namespaces)
