"""The try of KVM: the guest as bytes, and what is said where it cannot be tried. tests/integration boots it."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import pytest

from metallab.host import kvm
from metallab.host.kvm import BOOT_SECTOR, Kvm, boot, probe


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which only QEMU may be: what a test makes of it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    return folder


@pytest.fixture
def device(tmp_path: Path) -> Path:
    device = tmp_path / "kvm"
    device.touch()
    return device


def qemu(folder: Path, text: str) -> None:
    (folder / kvm.QEMU).write_text(f"#!/bin/sh\n{text}\n")
    (folder / kvm.QEMU).chmod(0o755)


def test_the_guest_is_one_boot_sector() -> None:
    assert len(BOOT_SECTOR) == 512
    assert BOOT_SECTOR[510:] == bytes.fromhex("55aa")


def test_the_guest_finds_its_tables_where_it_looks() -> None:
    """Addresses are written into the code by hand; a byte more or less before them would move what they name."""
    origin = 0x7C00
    pointer = BOOT_SECTOR.index(bytes.fromhex("0f0116")) + 3  # lgdt
    gdt_register = int.from_bytes(BOOT_SECTOR[pointer : pointer + 2], "little") - origin
    limit = int.from_bytes(BOOT_SECTOR[gdt_register : gdt_register + 2], "little")
    gdt = int.from_bytes(BOOT_SECTOR[gdt_register + 2 : gdt_register + 6], "little") - origin
    table = BOOT_SECTOR[gdt : gdt + limit + 1]
    assert [table[at : at + 8].hex() for at in (0, 8, 16)] == ["00" * 8, "00000000009a2000", "0000000000920000"]
    jump = BOOT_SECTOR.index(0xEA)
    target = int.from_bytes(BOOT_SECTOR[jump + 1 : jump + 3], "little") - origin
    assert (target, BOOT_SECTOR[jump + 3 : jump + 5]) == (jump + 5, b"\x08\x00")
    interrupts = BOOT_SECTOR.index(bytes.fromhex("0f011c25")) + 4  # lidt
    idt_register = int.from_bytes(BOOT_SECTOR[interrupts : interrupts + 4], "little") - origin
    assert BOOT_SECTOR[idt_register : idt_register + 6] == bytes(6)


@pytest.mark.usefixtures("path")
def test_without_the_device_nothing_is_tried(tmp_path: Path) -> None:
    assert probe(tmp_path / "none") == Kvm(works=False, evidence=f"there is no {tmp_path / 'none'}", seconds=0.0)


@pytest.mark.usefixtures("path")
def test_a_device_that_is_closed_names_who_opens_it(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_args: False)
    assert "the group kvm opens it" in probe(device).evidence


@pytest.mark.usefixtures("path")
def test_the_guest_is_for_one_kind_of_processor(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert probe(device).evidence == "no guest to try it with on riscv64"


@pytest.mark.usefixtures("path")
def test_without_qemu_there_is_no_telling(device: Path) -> None:
    assert probe(device) == Kvm(works=False, evidence=f"{kvm.QEMU} is not installed", seconds=0.0)


def test_what_was_mended_in_between_is_seen_and_the_guest_booted_once(
    path: Path, device: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`demo` asks, installs QEMU and asks again: a lab on a host with KVM was emulated when the first answer held."""
    device.unlink()
    assert "there is no" in probe(device).evidence
    device.touch()
    with monkeypatch.context() as closed:
        closed.setattr(os, "access", lambda *_args: False)
        assert "closed to this user" in probe(device).evidence
    assert "is not installed" in probe(device).evidence
    qemu(path, f"echo booted >>{tmp_path / 'boots'}; exit 33")
    first = probe(device)
    assert first.works
    assert probe(device) is first
    assert (tmp_path / "boots").read_text() == "booted\n"


def test_a_guest_that_leaves_through_its_door_proves_it(path: Path, device: Path) -> None:
    qemu(path, 'case "$*" in "-accel kvm "*) exit 33 ;; esac')
    found = probe(device)
    assert found.works
    assert found.evidence.startswith("a 64-bit guest ran 100 million instructions in ")


@pytest.mark.parametrize("status", [0, 1, 34])
def test_any_other_end_disproves_it_with_qemu_s_words(path: Path, device: Path, status: int) -> None:
    qemu(path, f"echo could not access KVM kernel module >&2; exit {status}")
    found = probe(device)
    assert not found.works
    assert found.evidence == f"QEMU ended with status {status}: could not access KVM kernel module"


def test_qemu_is_given_the_sector_and_it_is_gone_afterwards(path: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    cut = 'for word; do case "$word" in format=raw,file=*) file=${word#*file=}; file=${file%%,*} ;; esac; done'
    qemu(path, f'{cut}\necho "$file" >{seen}.name\n/bin/cat "$file" >{seen}')
    boot("tcg")
    assert seen.read_bytes() == BOOT_SECTOR
    assert not Path((tmp_path / "seen.name").read_text().strip()).exists()


def test_a_guest_that_hangs_is_ended_at_the_limit(path: Path, device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "LIMIT_SECONDS", 0.3)
    qemu(path, "exec /bin/sleep 300")
    began = time.monotonic()
    found = probe(device)
    assert time.monotonic() - began < 10
    assert (found.works, found.seconds) == (False, 0.3)
    assert "was not through after" in found.evidence
