"""A user's host as a virtual machine: plain Debian 12 with Docker and Vagrant, its own kernel, and no network at all.

Its disk holds the lab's cache and a .venv, so nothing is downloaded there; it is made once for each content and kept
in the cache. The checkout comes beside it. Nothing a machine writes is kept, but what it reports.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from metallab import lock, paths
from metallab.box import Box, disk, seed
from metallab.box.build import LEFT_OUT, MERGED_USR_HOOKS, MIRROR_VARIABLE
from metallab.box.record import SUITE, add_folder
from metallab.bundle import Bundle
from metallab.host import kvm
from metallab.host.packages import DAEMON_PACKAGES, PACKAGES

REPO = Path(__file__).parents[2]
DEBIAN = Path(__file__).parent / "debian"
PROVISION = REPO / "provision" / "disk"
HOME = "root/metallab"
"""Where the checkout lies in the machine."""
CHECKOUT = (
    "inv",
    "tasks.py",
    "Vagrantfile",
    "metallab",
    "provision",
    "manifests",
    "bundle",
    "requirements",
    "tests/vm",
)
PYTHON = {"python_version": "3.11", "python_full_version": "3.11.2"}
"""Debian 12's."""
DISK_MIB = 12288
MEMORY_MIB = 6144
BUILD_SECONDS = 900
OURS = {
    name
    for package in (*PACKAGES, *DAEMON_PACKAGES)
    if {"lab", "docker"} & {*package.purposes}
    for name in package.debian[-1:]
}
INCLUDED = (
    *disk.KERNEL,
    *("systemd-sysv", "dbus", "kmod", "netbase", "procps", "ca-certificates", "python3", "python3-venv"),
    # Debian installs it by default, and Docker then confines its containers.
    "apparmor",
    *sorted(OURS),
)
TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer")
EMULATED = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt"
"""The emulated processor: x86-64-v2, which hosts have and numpy needs (LAB-HOST-021).

Not one of Intel's: against Meltdown the kernel then changes page tables at each system call, a flush of QEMU's
translated addresses every time. On a Nehalem ``lab.up`` took 19 minutes in place of 12, ``verify`` more than 32 in
place of 11.
"""
SCHEMA = 1


@dataclass(frozen=True)
class Record:
    """A command the machine reported: how it ended, its seconds there, and what it said."""

    name: str
    code: int
    seconds: float
    stdout: str
    stderr: str


# -- the disk --------------------------------------------------------------------------------------------------


def have_disk(bundle: Bundle, box: Box) -> Path:
    """Return the host's disk, made in about two minutes unless it is there; those of other contents are removed."""
    home = paths.cache_dir() / "test-host"
    folder = home / key_of(bundle, box)
    with lock.held(home / ".lock", "the disk of the tests' host"):
        for other in home.iterdir():
            if other.is_dir() and other != folder:
                shutil.rmtree(other)
        made = folder / "disk.raw"
        if not made.exists():
            work = folder / "work"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            try:
                _make_disk(bundle, box, work, work / "disk.raw")
                # Last: where it is, the disk is complete.
                (work / "disk.raw").rename(made)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return made


def key_of(bundle: Bundle, box: Box) -> str:
    """Return the hash of everything that decides what is on the disk."""
    digest = hashlib.sha256(f"{SCHEMA} {SUITE} {DISK_MIB} {INCLUDED} {TIMERS} {bundle.digest} {box.key}\n".encode())
    for folder in (PROVISION, DEBIAN / "files", REPO / "requirements"):
        add_folder(digest, folder)
    digest.update((REPO / "inv").read_bytes())
    return digest.hexdigest()[:16]


def _make_disk(bundle: Bundle, box: Box, work: Path, out: Path) -> None:
    wheels, root = work / "wheels", work / "root.tar"
    _download(wheels, work)
    _run(root_argv(root, wheels, os.environ.get(MIRROR_VARIABLE)), TMPDIR=str(work))
    _run(
        [
            *seed.APART,
            "sh",
            str(PROVISION / "make-disk"),
            str(root),
            str(_cache(bundle, box, work)),
            str(out),
            str(DISK_MIB),
        ]
    )


def _download(wheels: Path, work: Path) -> None:
    """Get what .venv is made of, for the machine's Python, checked by the hashes of requirements/runtime.txt."""
    text = (REPO / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    (work / "wanted.txt").write_text(for_the_machine(text), encoding="utf-8")
    glibc = [f"manylinux_2_{minor}_x86_64" for minor in range(36, 4, -1)]
    platforms = [word for name in (*glibc, "manylinux2014_x86_64") for word in ("--platform", name)]
    kinds = (
        "--only-binary=:all:",
        "--implementation=cp",
        "--python-version=3.11",
        "--abi=cp311",
        "--abi=abi3",
        "--abi=none",
    )
    words = ("download", "--quiet", "--no-deps", "--require-hashes", *kinds, *platforms, f"--dest={wheels}")
    _run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words, "-r", str(work / "wanted.txt")])


def for_the_machine(requirements: str) -> str:
    """Return the requirements that hold for the machine's Python, without their conditions: pip would ask its own."""
    kept = []
    for entry in re.split(r"\n(?=\S)", requirements.strip()):
        marker = Requirement(entry.partition(" \\")[0]).marker
        if marker is None or marker.evaluate(PYTHON):
            kept.append(re.sub(r" ;.*?(?= \\\n)", "", entry, count=1))
    return "\n".join(kept) + "\n"


def root_argv(out: Path, wheels: Path, mirror: str | None) -> list[str]:
    """Return the mmdebstrap command line of the host's root: Debian, and a .venv that ``./inv`` itself made."""
    left_out = [line for line in (PROVISION / "left-out").read_text().splitlines() if not line.startswith("#")]
    excluded = (*LEFT_OUT, *(f"/lib/modules/*/kernel/{part}/*" for part in left_out))
    offline = "HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels"
    return [
        *(*seed.APART, "mmdebstrap", "--mode=root", "--variant=apt", f"--hook-directory={MERGED_USR_HOOKS}"),
        # What the initramfs is to hold has to be there before the kernel is.
        f"--essential-hook=copy-in {shlex.quote(str(PROVISION))} /",
        '--essential-hook=chroot "$1" env -i /disk/run before',
        '--customize-hook=rm -r "$1/disk"',
        f"--customize-hook=sync-in {shlex.quote(str(DEBIAN / 'files'))} /",
        f'--customize-hook=chroot "$1" systemctl --quiet mask getty.target {" ".join(TIMERS)}',
        '--customize-hook=chroot "$1" systemctl --quiet enable metallab-test.service',
        f'--customize-hook=mkdir -p "$1/{HOME}"',
        f"--customize-hook=copy-in {shlex.quote(str(REPO / 'inv'))} {shlex.quote(str(REPO / 'requirements'))} /{HOME}",
        f"--customize-hook=copy-in {shlex.quote(str(wheels))} /",
        f'--customize-hook=chroot "$1" env -i {offline} /{HOME}/inv --version',
        '--customize-hook=rm -r "$1/wheels"',
        '--aptopt=Acquire::Retries "5"',
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in excluded),
        "--dpkgopt=force-unsafe-io",
        f"--include={','.join(INCLUDED)}",
        *(SUITE, str(out), *([mirror] if mirror else [])),
    ]


def _cache(bundle: Bundle, box: Box, work: Path) -> Path:
    """Return a folder with the bundle and the box as they lie in the cache: links, not copies."""
    cache = work / "cache"
    for source, kept in ((bundle.dir, ("",)), (box.dir, ("root.tar", "box.json", "containerd"))):
        target = cache / "metallab" / source.relative_to(paths.cache_dir())
        target.mkdir(parents=True)
        _run(["cp", "--archive", "--link", *(f"{source}/{name or '.'}" for name in kept), str(target)])
    return cache


def _run(argv: list[str], **variables: str) -> None:
    environment = {**os.environ, **variables}
    done = subprocess.run(
        argv,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"$ {shlex.join(argv)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


# -- the machine -----------------------------------------------------------------------------------------------


def run(image: Path, folder: Path, seconds: float) -> dict[str, Record]:
    """Boot the host, wait until it has powered itself off, and return its report. It is ended after ``seconds``."""
    checkout, console, report = (folder / name for name in ("checkout.tar", "console", "report"))
    _pack(checkout)
    accelerated = kvm.probe().works
    # As the sandbox has emulated machines scheduled (host/sandbox.py).
    scheduled = () if accelerated else ("chrt", "--batch", "0")
    argv = [
        *("setpriv", "--pdeathsig", "KILL", *scheduled, f"qemu-system-{platform.machine()}"),
        *("-nodefaults", "-no-reboot"),
        *(("-accel", "kvm", "-cpu", "host") if accelerated else ("-accel", "tcg,thread=multi", "-cpu", EMULATED)),
        *("-smp", "2", "-m", str(MEMORY_MIB), "-display", "none", "-nic", "none"),
        *("-drive", f"file={image},format=raw,if=virtio,snapshot=on,cache=unsafe"),
        *("-drive", f"file={checkout},format=raw,if=virtio,readonly=on"),
        *("-device", "virtio-rng-pci", "-serial", f"file:{console}"),
        *("-chardev", f"file,id=report,path={report}", "-device", "virtio-serial-pci"),
        *("-device", "virtserialport,chardev=report,name=metallab.report"),
    ]
    began = time.monotonic()
    # snapshot=on: QEMU keeps what is written in a file there that has no name, so it is gone with QEMU.
    with subprocess.Popen(argv, env={**os.environ, "TMPDIR": str(folder)}, stdin=subprocess.DEVNULL) as process:
        try:
            ended: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            ended = None
        finally:
            process.kill()
    records = read(report)
    for record in records.values():
        print(f"TOOK {record.name}: {record.seconds:.0f} s there, status {record.code}")
    print(f"TOOK the machine: {time.monotonic() - began:.0f} s")
    if ended != 0 or "state left" not in records:
        print(console.read_text(errors="replace")[-20000:])
    assert ended is not None, f"the machine was not through after {seconds:.0f} s; the last it did: {[*records][-1:]}"
    return records


def read(report: Path) -> dict[str, Record]:
    """Return the report by the commands' names; a last line that was cut off is left out."""
    lines = report.read_text(encoding="utf-8").split("\n")[:-1]
    return {record.name: record for record in (Record(**json.loads(line)) for line in lines)}


def _pack(out: Path) -> None:
    """Write the checkout as an archive that is a disk, too: it ends with zeros, on a whole sector."""
    with tarfile.open(out, "w") as archive:
        for name in CHECKOUT:
            archive.add(REPO / name, arcname=name, filter=_of_root)


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return None if Path(member.name).name == "__pycache__" else member
