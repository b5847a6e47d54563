"""Network namespaces: making, entering and removing the lab's own.

Entering is done by ``setns(2)`` in this process, so every thread and child started afterwards is inside too. The
mount namespace stays as it is: ``ip netns exec`` would mount a fresh /sys over the cgroups.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from metallab import errors
from metallab.errors import LabError
from metallab.run.local import run

RUN = Path("/run/netns")
CLONE_NEWNET = 0x40000000


def path(name: str) -> Path:
    """Return the file that stands for the namespace."""
    return RUN / name


def exists(name: str) -> bool:
    """Tell whether the namespace is there: its file can outlive it, for example in a copied file system."""
    try:
        return path(name).stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except (FileNotFoundError, PermissionError):
        return False


def create(name: str) -> None:
    """Make the namespace with its loopback up; an existing one is kept. Raises HOST_COMMAND_FAILED."""
    if not exists(name):
        path(name).unlink(missing_ok=True)
        run(["ip", "netns", "add", name], timeout=10)
    run(["ip", "-n", name, "link", "set", "lo", "up"], timeout=10)


def remove(name: str) -> None:
    """Remove the namespace and with it every interface in it."""
    if exists(name):
        run(["ip", "netns", "delete", name], timeout=10)
    else:
        path(name).unlink(missing_ok=True)


def is_inside(name: str) -> bool:
    """Tell whether this process is in the namespace."""
    try:
        return path(name).stat().st_ino == Path("/proc/thread-self/ns/net").stat().st_ino
    except FileNotFoundError:
        return False


def enter(name: str) -> None:
    """Move this process into the namespace. Call it before any thread is started.

    Raises LAB-HOST-003 without the privilege.
    """
    if is_inside(name):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with path(name).open("rb") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            reason = os.strerror(ctypes.get_errno())
            raise LabError(errors.HOST_NEEDS_ROOT, f"cannot enter the lab's network namespace {name}: {reason}")


def inside(name: str) -> tuple[str, ...]:
    """Return the words to put before a command line that has to run in the namespace from anywhere."""
    return ("nsenter", f"--net={path(name)}")
