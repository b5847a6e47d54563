"""What is told as ``name: value``, as the kernel and virsh write it."""

from __future__ import annotations

import pytest

from metallab.host.fields import field, mebibytes

NET_INFO = "Name:           vagrant-libvirt\nActive:         yes\nBridge:         virbr1\n\n"
MEMINFO = (
    "MemTotal:       24689232 kB\nMemFree:         9000000 kB\nMemAvailable:   20480512 kB\nHugePages_Total:       0\n"
)


@pytest.mark.parametrize(
    ("key", "value"), [("Active", "yes"), ("Bridge", "virbr1"), ("bridge", None), ("Act", None), ("State", None)]
)
def test_a_field_is_found_by_its_whole_name(key: str, value: str | None) -> None:
    assert field(NET_INFO, key) == value


def test_a_value_may_hold_a_colon_or_nothing() -> None:
    assert field("Path:   /a:b\n", "Path") == "/a:b"
    assert field("Bridge:\n", "Bridge") == ""


def test_of_several_processors_the_first_answers() -> None:
    assert field("processor\t: 0\nflags\t\t: fpu sse\n\nprocessor\t: 1\nflags\t\t: fpu\n", "flags") == "fpu sse"


@pytest.mark.parametrize(
    ("name", "mib"), [("MemTotal", 24110), ("MemAvailable", 20000), ("HugePages_Total", 0), ("Mem", None)]
)
def test_memory_is_told_in_mebibytes(name: str, mib: int | None) -> None:
    assert mebibytes(MEMINFO, name) == mib
