"""The host itself: system, time, processors, memory, disk, KVM."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from metallab import errors, paths
from metallab.errors import LabError
from metallab.host import capacity, kvm
from metallab.host.doctor.records import GIB, MIB, Case, Check, Verdict, fail, ok, refused, unseen, warn
from metallab.host.fields import field, mebibytes
from metallab.host.provider import LAB_TAKES

WRITTEN = datetime(2026, 11, 1, tzinfo=timezone.utc)
"""No right clock shows a time before the lab was written."""
OLDEST_PYTHON = (3, 10)
TRIED = ("x86_64",)
"""Architectures a lab was ever made on."""
X86_64_V2 = frozenset({"cx16", "lahf_lm", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3"})
"""The level's features in the kernel's names (x86-64 psABI, micro-architecture levels; ``pni`` is SSE3)."""
CGROUP = "/sys/fs/cgroup"
MEMORY_FILES = (("memory.max", "memory.limit_in_bytes"), ("memory.current", "memory.usage_in_bytes"))
"""Limit and use of the control group at the root, in version 2 and 1: there only inside a container."""
SHARED_MIB = {"control-plane": 700, "worker": 200, "client": 50}
"""What a system container has in use (measured: 685, 187 and 23 MiB)."""


def system(_case: Case) -> Verdict | None:
    """Look at system, kernel, architecture and Python."""
    version = sys.version_info[:3]
    return judge_system(
        system=platform.system(),
        name=_distribution(),
        kernel=platform.release(),
        machine=platform.machine(),
        python=(version[0], version[1], version[2]),
    )


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def judge_system(*, system: str, name: str, kernel: str, machine: str, python: Sequence[int]) -> Verdict:
    """Judge what the host runs: Linux, an architecture that was tried, a Python that is new enough."""
    words = f"{name}, Linux {kernel}, {machine}, Python {'.'.join(map(str, python))}"
    if system != "Linux":
        return fail(errors.HOST_UNSUPPORTED, f"{system}: the lab needs Linux", "use a Linux host, or a virtual machine")
    if tuple(python) < OLDEST_PYTHON:
        return fail(errors.HOST_UNSUPPORTED, words, "install Python 3.10 or newer, then: rm -r .venv && ./inv --list")
    if machine not in TRIED:
        return warn(f"{words}: no lab was ever made on {machine}")
    return ok(words)


def clock(case: Case) -> Verdict | None:
    """Look at the clock."""
    return judge_clock(now=datetime.now(timezone.utc), bundled=case.bundled)


def judge_clock(*, now: datetime, bundled: datetime | None) -> Verdict:
    """Judge the time: certificates made under a wrong one are not valid under the right one."""
    words = f"{now:%Y-%m-%d %H:%M} UTC"
    fix = "sudo timedatectl set-ntp true, or: sudo date --utc --set '2026-11-27 12:00'"
    if now < WRITTEN:
        return fail(errors.HOST_CLOCK, f"it is {words} here, before this lab was written", fix)
    if bundled is not None and now < bundled:
        return fail(errors.HOST_CLOCK, f"it is {words} here, but the bundle was made at {bundled:%Y-%m-%d %H:%M}", fix)
    return ok(words)


def processors(case: Case) -> Verdict | None:
    """Count the processors this process may use, and look at what they can do."""
    lacking = lacking_features(case.read("/proc/cpuinfo") or "") if platform.machine() == "x86_64" else ()
    return judge_processors(count=len(os.sched_getaffinity(0)), lacking=lacking)


def lacking_features(cpuinfo: str) -> tuple[str, ...]:
    """Return what of x86-64-v2 the first processor of ``/proc/cpuinfo`` lacks; nothing where its flags are not told."""
    flags = field(cpuinfo, "flags")
    return () if flags is None else tuple(sorted(X86_64_V2 - {*flags.split()}))


def judge_processors(*, count: int, lacking: Sequence[str] = ()) -> Verdict:
    """Judge their number, a lab was never made on one, and on x86-64 what they lack of x86-64-v2.

    Nearly every PC of the last fifteen years has that; what lacks it is most often a virtual machine whose hypervisor
    hides it (QEMU's qemu64 and kvm64). There the wheels of numpy end `verify` by SIGILL when its report is drawn.
    """
    if lacking:
        words = f"the processor lacks {', '.join(lacking)} of x86-64-v2, which Python's packages are built for"
        fix = "let this virtual machine have its host's processor model (QEMU: -cpu host; Proxmox: type host)"
        return fail(errors.HOST_UNSUPPORTED, words, fix)
    if count < 2:  # noqa: PLR2004 - kubeadm's own least
        return warn("1 processor: all will be slow, and deadlines may pass (kubeadm itself asks for 2)")
    return ok(f"{count} processors")


def memory_shared(case: Case) -> Verdict | None:
    """Look at the memory that containers would share."""
    needed = sum(SHARED_MIB[machine.role] for machine in case.lab.machines)
    available = mebibytes(case.read("/proc/meminfo") or "", "MemAvailable")
    if available is None:
        return unseen("/proc/meminfo does not say MemAvailable")
    limit, used = (case.number(f"{CGROUP}/{new}", f"{CGROUP}/memory/{old}") for new, old in MEMORY_FILES)
    if limit is not None:
        available = min(available, (limit - (used or 0)) // MIB)
    return judge_memory_shared(available=available, needed=needed, exists=case.exists)


def judge_memory_shared(*, available: int, needed: int, exists: bool) -> Verdict:
    """Judge free memory (MiB) against what the lab's containers will have in use."""
    if exists:
        return ok(f"{available} MiB free, with the lab's machines there")
    words = f"{available} MiB free, the containers take about {needed} MiB"
    fix = "end other programs, or take a worker out of machines: in lab.yaml"
    if available < needed:
        return fail(errors.HOST_MEMORY, words, fix)
    if available < 2 * needed:
        return warn(f"{words}: that is tight", fix)
    return ok(words)


def memory_apart(case: Case) -> Verdict | None:
    """Look whether virtual machines fit, and how much smaller they get."""
    try:
        if not case.exists:
            capacity.check_memory(case.lab)
        smaller = capacity.made_smaller(case.lab)
        total = sum(size.memory for size in capacity.fit(case.lab).values())
    except LabError as error:
        return refused(error)
    emulated = case.choice is not None and not case.choice.accelerated
    fewer = capacity.fewer_processors(case.lab) if emulated else None
    said = smaller or [f"virtual machines get {total} MiB, as lab.yaml asks for"]
    words = "; ".join(said if fewer is None else [*said, fewer])
    if smaller:
        return warn(words, "give machines less memory: and cpus: in lab.yaml, or use a bigger host")
    return ok(words)


# -- disk ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Need:
    """What is written to a place: GiB and inodes."""

    gib: float
    inodes: int


BUILD = Need(14, 250_000)
"""Measured: 12 GiB and 191,000 inodes in the cache after a first build (compilers, modules, bundle, box)."""
LAB = Need(3, 20_000)
"""Measured: up to 1.8 GiB and 7,400 inodes for four machines; with little left a kubelet sees a full disk."""


@dataclass(frozen=True)
class Space:
    """A place that is written to: whose it is, where, and what is free there (GiB, inodes; None: no limit)."""

    what: str
    path: str
    gib: float
    inodes: int | None
    needed: Need


def space(what: str, path: Path, needed: Need) -> Space | None:
    """Return what is free at the nearest folder there is; None where this user cannot look."""
    try:
        there = next(each for each in (path, *path.parents) if each.exists())
        seen = os.statvfs(there)
    except (OSError, StopIteration):
        return None
    inodes = seen.f_favail if seen.f_files else None
    return Space(what, str(path), shutil.disk_usage(there).free / GIB, inodes, needed)


def disk(case: Case) -> Verdict | None:
    """Look at the disks of cache and state."""
    needed = LAB if case.bundled is not None else BUILD
    return judge_disk(
        [space("cache", paths.cache_dir(), needed), space("state", paths.state_dir(), LAB)], exists=case.exists
    )


def require_room() -> None:
    """Refuse to begin a build the disk has no room for; one that was begun has taken its part. Raises LAB-HOST-022."""
    cache = paths.cache_dir()
    verdict = judge_disk([space("cache", cache, LAB if (cache / "go").exists() else BUILD)], exists=False)
    if verdict.entry is not None:
        raise LabError(verdict.entry, verdict.seen, fix=verdict.fix)


def judge_disk(places: Sequence[Space | None], *, exists: bool) -> Verdict:
    """Judge places on disk against what will be written there; a lab that exists has taken its part already."""
    known = [place for place in places if place is not None]
    if len(known) < len(places):
        return unseen("this user cannot look at the folder")
    words = ", ".join(f"{place.gib:.1f} GiB free for {place.what} ({place.path})" for place in known)
    narrow = [place for place in known if place.gib < place.needed.gib]
    if narrow:
        worst = min(narrow, key=lambda place: place.gib / place.needed.gib)
        fix = f"df -h {worst.path}; free {worst.needed.gib:.0f} GiB there"
        fix += ", or set XDG_CACHE_HOME and XDG_STATE_HOME to folders of a bigger disk"
        says = f"{words}; {worst.needed.gib:.0f} GiB are needed for {worst.what}"
        return warn(says, fix) if exists else fail(errors.HOST_DISK, says, fix)
    few = [place for place in known if place.inodes is not None and place.inodes < place.needed.inodes]
    if few:
        return warn(f"{few[0].inodes} inodes free at {few[0].path}", f"df -i {few[0].path}; remove many small files")
    return ok(words)


# -- KVM ---------------------------------------------------------------------------------------------------------


def virtualization(_case: Case) -> Verdict | None:
    """Boot a guest with KVM."""
    tried = kvm.probe()
    return judge_kvm(works=tried.works, evidence=tried.evidence)


FIXES: Mapping[str, str] = {
    "is not installed": "./inv setup --provider libvirt",
    "is closed to this user": "sudo usermod -aG kvm $USER, then log in again",
    "there is no": "sudo modprobe kvm_intel || sudo modprobe kvm_amd; if that fails, enable virtualisation in the "
    "firmware, or nested virtualisation in the hypervisor",
}


NO_HELP = "no setting helps: use another host, or --provider docker"


def judge_kvm(*, works: bool, evidence: str) -> Verdict:
    """Judge the try: without KVM machines are emulated, many times slower."""
    if works:
        return ok(evidence)
    fix = next((fix for words, fix in FIXES.items() if words in evidence), NO_HELP)
    return warn(f"{evidence}: machines are emulated, a lab takes {LAB_TAKES[False]}", fix)


SYSTEM = Check("host.system", system)
CLOCK = Check("host.clock", clock)
PROCESSORS = Check("host.processors", processors)
DISK = Check("host.disk", disk)
MEMORY_SHARED = Check("host.memory", memory_shared)
MEMORY_APART = Check("host.memory-for-vms", memory_apart, again=True)
KVM = Check("host.kvm", virtualization)
