"""The seed: a /var/lib/containerd with every image imported and unpacked, of which each machine gets a copy.

The copy is made of hard links, so four machines cost no more disk than one, share the page cache, and are ready in
a moment. Only containerd's databases are really copied: they are the only files of it that are ever written again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from metallab import errors
from metallab.bundle import Bundle
from metallab.errors import LabError
from metallab.events import Step
from metallab.run.local import run
from metallab.run.result import CommandFailed

IMPORT_SECONDS = 900
COPY_SECONDS = 600
APART = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""Before a command that mounts and starts processes: all of it ends with us, however we end."""


def make(bundle: Bundle, seed: Path, provision: Path, step: Step) -> None:
    """Import the bundle's images into ``seed`` with the bundle's own containerd, behind a unix socket. Needs root.

    Raises LAB-BOX-001 with containerd's last words.
    """
    script = provision / "files/usr/local/lib/metallab/import-images"
    archives = bundle.image_archives
    count = 0

    def show(line: str) -> None:
        nonlocal count
        if line.startswith("imported "):
            count += 1
            step.progress(line, count, len(archives))

    seed.mkdir(mode=0o711, parents=True)
    path = {"PATH": f"{bundle.dir / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    try:
        run([*APART, "sh", script, seed, *archives], timeout=IMPORT_SECONDS, env=path, on_line=show)
    except CommandFailed as error:
        raise LabError(
            errors.BOX_BUILD_FAILED, "the container images could not be unpacked", detail=error.result.tail
        ) from error
    step.result(f"{len(archives)} images")


def clone(seed: Path, target: Path) -> None:
    """Give a machine its copy of the seed, whole or not at all: 0.1 s by hard links, else a real copy.

    Raises LAB-HOST-004 when the disk is full.
    """
    unfinished = target.with_name(target.name + ".new")
    remove(unfinished)
    unfinished.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    linked = run(["cp", "--archive", "--link", seed, unfinished], timeout=COPY_SECONDS, check=False)
    if not linked.ok:
        # Another file system: no links across.
        remove(unfinished)
        run(["cp", "--archive", "--reflink=auto", seed, unfinished], timeout=COPY_SECONDS)
    for database in unfinished.rglob("*.db"):
        copy = database.with_name(database.name + ".copy")
        shutil.copy2(database, copy)
        copy.replace(database)
    unfinished.rename(target)


def remove(target: Path) -> None:
    """Remove a machine's copy; the seed keeps its files."""
    shutil.rmtree(target, ignore_errors=True)
