"""What makes a plain Debian or Ubuntu box a machine of the lab: one archive with all it needs, so that it needs no net.

It holds the same scripts that make the golden root, the bundle's programs and images, and Debian packages with
everything they depend on, as a repository of their own. ``provision/guest`` does the rest, in the machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from metallab import errors, lock, paths
from metallab.box.build import MIRROR_VARIABLE, provision_dir, show_phase
from metallab.box.record import PACKAGES, add_folder
from metallab.bundle import Bundle
from metallab.bundle.record import sha256_of
from metallab.config import Suite
from metallab.errors import LabError
from metallab.events import Step
from metallab.run.local import run
from metallab.run.result import CommandFailed

FETCH_SECONDS = 1200
LIST_SECONDS = 60
ARCHIVES = PurePosixPath("var/cache/apt/archives")
COMPLETE = "complete"
ADDED = ("openssh-server", "sudo", "xz-utils")


@dataclass(frozen=True)
class Kit:
    """The two archives: for a node, and for the client, which runs no containers."""

    node: Path
    client: Path
    arguments: tuple[str, ...]
    """The words for ``provision/guest``."""


def of(bundle: Bundle, suite: Suite) -> Kit:
    """Return where the kit for a release lies, or will."""
    digest = hashlib.sha256(f"{suite} {PACKAGES} {ADDED} {bundle.digest}\n".encode())
    add_folder(digest, provision_dir(), without=provision_dir() / "disk")
    folder = paths.cache_dir() / "kit" / digest.hexdigest()[:16]
    return Kit(folder / "node.tar", folder / "client.tar", (suite, bundle.image_ref("pause"), *_names()))


def ensure(bundle: Bundle, suite: Suite, step: Step) -> Kit:
    """Have the kit for a release: made once, half a minute. Raises LAB-BOX-001 when packages cannot be had."""
    kit = of(bundle, suite)
    folder = kit.node.parent
    if (folder / COMPLETE).exists():
        return kit
    with lock.held(folder.parent / ".lock", "the kit for other boxes"):
        shutil.rmtree(folder, ignore_errors=True)
        for old in folder.parent.glob("*.tmp"):
            shutil.rmtree(old)
        work = folder.with_name(f"{folder.name}.tmp")
        work.mkdir(parents=True)
        debs = _fetch(work, suite, step)
        index = work / "Packages"
        index.write_text(_index(debs), encoding="utf-8")
        step.progress("packing")
        for archive, with_programs in ((work / kit.client.name, False), (work / kit.node.name, True)):
            _pack(archive, bundle, debs, index, with_programs=with_programs)
        shutil.rmtree(work / ARCHIVES.parts[0])
        (work / COMPLETE).touch()
        work.rename(folder)
    return kit


def _fetch(work: Path, suite: Suite, step: Step) -> list[Path]:
    """Return the packages of the lab and all they depend on, down to the C library: a box may have older ones."""
    include = ",".join(_names())
    mirror = os.environ.get(MIRROR_VARIABLE)
    archive = work / "packages.tar"
    # apt checks every package's signature; keeping them is all that is wanted here.
    argv = ["mmdebstrap", "--variant=extract", "--skip=cleanup/apt/cache", f"--include={include}", suite, str(archive)]
    try:
        run([*argv, *([mirror] if mirror else [])], timeout=FETCH_SECONDS, on_line=lambda line: show_phase(line, step))
    except CommandFailed as error:
        fix = f"the mirror of {suite} must be reachable, or {MIRROR_VARIABLE} name one that is"
        what = f"the packages of {suite} could not be fetched"
        raise LabError(errors.BOX_BUILD_FAILED, what, fix=fix, detail=error.result.tail) from error
    run(["tar", "--extract", "--file", archive, "--directory", work, f"./{ARCHIVES}"], timeout=FETCH_SECONDS)
    archive.unlink()
    return sorted((work / ARCHIVES).glob("*.deb"))


def _names() -> list[str]:
    return sorted({*PACKAGES, *ADDED})


def _index(debs: Iterable[Path]) -> str:
    """Return the list of packages that apt reads of a flat repository."""
    entries = []
    for deb in sorted(debs):
        fields = run(["dpkg-deb", "--field", deb], timeout=LIST_SECONDS).stdout.strip()
        place = f"Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {sha256_of(deb)}"
        entries.append(f"{fields}\n{place}\n")
    return "\n".join(entries)


def _pack(out: Path, bundle: Bundle, debs: Iterable[Path], index: Path, *, with_programs: bool) -> None:
    with tarfile.open(out, "w") as archive:
        for path in sorted(provision_dir().rglob("*")):
            inside = path.relative_to(provision_dir())
            if path.is_file() and inside.parts[0] != "disk":
                _add(archive, path, f"provision/{inside}", executable=os.access(path, os.X_OK))
        _add(archive, index, "debs/Packages")
        for deb in sorted(debs):
            _add(archive, deb, f"debs/{deb.name}")
        if with_programs:
            for folder, files in (("bundle/bin", bundle.binaries), ("bundle/cni", bundle.cni_plugins)):
                for file in files:
                    _add(archive, file, f"{folder}/{file.name}", executable=True)
            for image in bundle.image_archives:
                _add(archive, image, f"images/{image.name}")


def _add(archive: tarfile.TarFile, path: Path, name: str, *, executable: bool = False) -> None:
    entry = archive.gettarinfo(str(path), name)
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if executable else 0o644
    with path.open("rb") as stream:
        archive.addfile(entry, stream)
