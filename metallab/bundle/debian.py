"""The few Debian programs that images carry, taken from Debian's own packages without installing a system.

``mmdebstrap --variant=extract`` only unpacks: no package script runs, and apt checks every package's signature.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote

from metallab import errors
from metallab.bundle import elf, recipe
from metallab.errors import LabError
from metallab.events import Step
from metallab.run.local import run
from metallab.run.result import CommandFailed

EXTRACT_TIMEOUT = 1200
LIST_TIMEOUT = 60
INDEX = "index.json"


@dataclass(frozen=True)
class Carried:
    """A file for an image: its path there, where its content lies, and the Debian package it is from."""

    path: str
    file: str
    package: str
    version: str


def fetch(out: Path, step: Step) -> None:
    """Unpack the programs of all images, with what they need, into ``out`` and write the index of them."""
    root = out / "root"
    packages = _extract(root, step)
    programs = sorted({path for image in recipe.IMAGES for path in image.debian})
    files = {program: elf.closure(root, (program,)) for program in programs}
    owners = _owners(packages.values())
    index: dict[str, list[dict[str, str]]] = {}
    for program, closure in files.items():
        index[program] = []
        for path, real in closure.items():
            package = owners.get(real.relative_to(root).as_posix())
            if package is None:
                raise LabError(errors.BUNDLE_BUILD_FAILED, f"no Debian package owns {path}, which {program} needs")
            kept = Path("files") / path
            (out / kept).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(real, out / kept)
            version = _version(packages[package])
            index[program].append(asdict(Carried(path, kept.as_posix(), package, version)))
    shutil.rmtree(root)
    (out / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def carried(folder: Path, programs: Iterable[str]) -> list[Carried]:
    """Return the files that ``programs`` need, from a folder made by :func:`fetch`, each once and sorted."""
    index = json.loads((folder / INDEX).read_text())
    files = {Carried(**entry) for program in programs for entry in index[program]}
    return sorted(files, key=lambda file: file.path)


def versions(folder: Path) -> dict[str, str]:
    """Return Debian package -> version of everything carried."""
    programs = json.loads((folder / INDEX).read_text())
    return {file.package: file.version for file in carried(folder, programs)}


def _extract(root: Path, step: Step) -> dict[str, Path]:
    """Unpack the packages and all they depend on into ``root``; return package name -> its .deb."""
    root.mkdir(parents=True)
    # An archive, because without root a folder would belong to the users of a namespace; the contents are the same.
    archive = root.with_suffix(".tar")
    include = ",".join(recipe.DEBIAN_PACKAGES)
    # Keeping the .deb files tells which versions came and which package owns which file.
    argv = ["mmdebstrap", "--variant=extract", "--skip=cleanup/apt/cache", f"--include={include}", recipe.DEBIAN_SUITE]
    try:
        run([*argv, archive], timeout=EXTRACT_TIMEOUT, on_line=lambda line: step.progress(line.removeprefix("I: ")))
    except CommandFailed as error:
        what = f"mmdebstrap could not unpack {include}"
        fix = "see that apt-get update works here (Debian's mirror must be reachable), then run ./inv bundle.build"
        raise LabError(errors.BUNDLE_BUILD_FAILED, what, fix=fix, detail=error.detail) from error
    unpack = ("tar", "--extract", "--file", archive, "--directory", root, "--exclude=./dev/*", "--no-same-owner")
    run(unpack, timeout=EXTRACT_TIMEOUT)
    archive.unlink()
    debs = (root / "var/cache/apt/archives").glob("*.deb")
    return {deb.name.partition("_")[0]: deb for deb in debs}


def _version(deb: Path) -> str:
    # apt writes the colon of an epoch as %3a in file names.
    return unquote(deb.name.split("_")[1])


def _owners(debs: Iterable[Path]) -> dict[str, str]:
    owners = {}
    for deb in debs:
        for line in run(["dpkg-deb", "--contents", deb], timeout=LIST_TIMEOUT).stdout.splitlines():
            # -rwxr-xr-x root/root 14416 2025-08-30 12:00 ./usr/bin/iperf3
            path = line.split(maxsplit=5)[-1].removeprefix("./")
            if line.startswith("-"):
                owners[path] = deb.name.partition("_")[0]
    return owners
