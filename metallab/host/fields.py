"""What the kernel and virsh tell line by line, as ``name: value``. Pure."""

from __future__ import annotations


def field(text: str, name: str) -> str | None:
    """Return the first value of that name, None when there is none."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def mebibytes(meminfo: str, name: str) -> int | None:
    """Return an amount of memory that ``/proc/meminfo`` tells, in MiB; the kernel tells KiB and calls them kB."""
    value = field(meminfo, name)
    return None if value is None else int(value.split()[0]) // 1024
