"""Whether KVM works here: seen by booting a guest with it, because nothing else tells.

``/dev/kvm`` can be there, and answer, on a host whose kernel then emulates a guest instruction by instruction (seen on
a cloud machine: a stock kernel never got to its first line, while QEMU's own emulation booted it in two seconds). So a
guest of one boot sector is started under a time limit. It enters 64-bit mode, the way every kernel does, runs a loop
of a hundred million instructions, and leaves through QEMU's exit device.
"""

from __future__ import annotations

import functools
import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path

from metallab.run.local import run
from metallab.run.result import CommandTimedOut, ToolMissing

DEVICE = Path("/dev/kvm")
QEMU = f"qemu-system-{platform.machine()}"
LIMIT_SECONDS = 3.0
"""Measured: 0.3 s by QEMU's own emulation on a machine of 2024, so a KVM that needs longer is worth nothing."""
LEFT = 33
"""QEMU's exit status when the guest writes 16 to the exit device: 16 * 2 + 1."""
BOOT_SECTOR = bytes.fromhex(
    "fa 31c0 8ed8 8ec0 8ed0 bc007c"  # cli; ds, es, ss = 0; sp = 0x7c00
    "bf0010 b90018 fc f3ab"  # clear 0x1000-0x4000 for the page tables
    "c70600100320 c70600200330 c70600308300"  # PML4 -> PDPT -> PD -> the first 2 MiB, mapped to themselves
    "66b800100000 0f22d8"  # cr3 = 0x1000
    "0f20e0 0c20 0f22e0"  # cr4 |= PAE
    "66b9800000c0 0f32 80cc01 0f30"  # EFER |= LME
    "0f0116a07c 0f20c0 660d01000080 0f22c0"  # lgdt; cr0 |= PG | PE
    "ea5b7c0800"  # jump into 64-bit code
    "b810000000 8ed8 8ed0 0f011c25a67c0000"  # ds = ss = data; an empty interrupt table: any fault ends the guest
    "b980f0fa02 010c2500800000 e2f7"  # 50,000,000 times: add ecx to memory, loop
    "66baf400 b810000000 ef f4 ebfd"  # write 16 to the exit device; halt for ever
    "90 0000000000000000 00000000009a2000 0000000000920000"  # GDT: null, 64-bit code, data
    "1700 887c0000 0000 00000000"  # its length and place; those of the empty interrupt table
).ljust(510, b"\0") + bytes.fromhex("55aa")


@dataclass(frozen=True)
class Kvm:
    """What the try showed: whether guests run on the processor itself, the evidence, and the seconds it took."""

    works: bool
    evidence: str
    seconds: float


def probe(device: Path = DEVICE) -> Kvm:
    """Boot the guest, once in a process: well below a second where KVM works, :data:`LIMIT_SECONDS` where it hangs.

    What was in its way is looked at each time: `demo` installs QEMU between its first question and its choice.
    """
    if not device.exists():
        return Kvm(works=False, evidence=f"there is no {device}", seconds=0.0)
    if not os.access(device, os.R_OK | os.W_OK):
        return Kvm(works=False, evidence=f"{device} is closed to this user (the group kvm opens it)", seconds=0.0)
    if platform.machine() != "x86_64":
        return Kvm(works=False, evidence=f"no guest to try it with on {platform.machine()}", seconds=0.0)
    try:
        return _boot_once(device)
    except ToolMissing as error:
        return Kvm(works=False, evidence=error.what, seconds=0.0)


@functools.cache
def _boot_once(device: Path) -> Kvm:  # noqa: ARG001 - what the answer is kept by; QEMU knows where it is
    return boot("kvm")


def boot(accelerator: str) -> Kvm:
    """Boot the guest with one of QEMU's accelerators (``kvm``, ``tcg``). Raises LAB-HOST-002 without QEMU."""
    with tempfile.NamedTemporaryFile(prefix="metallab-kvm-") as image:
        image.write(BOOT_SECTOR)
        image.flush()
        argv = [
            *(QEMU, "-accel", accelerator, "-m", "32", "-nodefaults", "-display", "none", "-no-reboot"),
            *("-drive", f"format=raw,file={image.name},if=ide"),
            *("-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
        ]
        try:
            result = run(argv, timeout=LIMIT_SECONDS, check=False)
        except CommandTimedOut:
            evidence = f"a 64-bit guest of 512 bytes was not through after {LIMIT_SECONDS:.0f} s"
            return Kvm(works=False, evidence=evidence, seconds=LIMIT_SECONDS)
    if result.rc == LEFT:
        evidence = f"a 64-bit guest ran 100 million instructions in {result.seconds:.1f} s"
        return Kvm(works=True, evidence=evidence, seconds=result.seconds)
    return Kvm(works=False, evidence=f"QEMU ended with status {result.rc}: {result.tail}", seconds=result.seconds)
