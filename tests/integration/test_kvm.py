"""The guest of the KVM try, booted for real: by emulation, which is there wherever QEMU is."""

from __future__ import annotations

import platform
import shutil
import time

import pytest

from metallab.host import kvm


@pytest.fixture(autouse=True)
def _qemu() -> None:
    if platform.machine() != "x86_64" or shutil.which(kvm.QEMU) is None:
        pytest.skip(f"needs {kvm.QEMU} on a PC: ./inv setup --provider libvirt")


def test_the_guest_gets_into_64_bit_mode_and_through(monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy host may take longer; that the guest gets through at all is what is asked here.
    monkeypatch.setattr(kvm, "LIMIT_SECONDS", 60.0)
    found = kvm.boot("tcg")
    assert found.works, found.evidence


@pytest.mark.parametrize("loop", [b"\xeb\xfe", b"\xf4\xeb\xfd"])
def test_a_guest_that_does_not_get_through_is_ended(monkeypatch: pytest.MonkeyPatch, loop: bytes) -> None:
    monkeypatch.setattr(kvm, "LIMIT_SECONDS", 1.0)
    monkeypatch.setattr(kvm, "BOOT_SECTOR", loop.ljust(510, b"\0") + b"\x55\xaa")
    began = time.monotonic()
    found = kvm.boot("tcg")
    assert not found.works
    assert time.monotonic() - began < 20


def test_a_guest_that_faults_is_told_from_one_that_gets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in 64-bit mode finds no handler and resets the machine, which QEMU then leaves (-no-reboot)."""
    monkeypatch.setattr(kvm, "LIMIT_SECONDS", 60.0)
    before, _jump, after = kvm.BOOT_SECTOR.partition(bytes.fromhex("b980f0fa02"))  # the loop's beginning
    monkeypatch.setattr(kvm, "BOOT_SECTOR", before + bytes.fromhex("0f0b") + b"\x90" * 3 + after)  # ud2
    found = kvm.boot("tcg")
    assert not found.works
    assert found.evidence.startswith("QEMU ended with status 0")
