"""Linux capabilities: which of them a process can ever have, read from what the kernel says of it."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

# include/uapi/linux/capability.h, in the order of their numbers
NAMES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
STATUS = Path("/proc/self/status")


def bounding_set(status: str) -> Collection[str]:
    """Return the names of the capability bounding set in the text of ``/proc/PID/status``.

    Raises ValueError when the text has none; every kernel since 2.6.26 shows it.
    """
    match = re.search(r"^CapBnd:\s*([0-9a-f]+)$", status, re.MULTILINE)
    if match is None:
        raise ValueError("no CapBnd line in a process status")
    bits = int(match[1], 16)
    return frozenset(name for number, name in enumerate(NAMES) if bits >> number & 1)


def own() -> Collection[str]:
    """Return the capability bounding set of this process."""
    return bounding_set(STATUS.read_text(encoding="ascii"))
