"""The seed: a /var/lib/containerd with every image imported and unpacked, of which each machine gets a copy.

The copy is made of hard links, so four machines cost no more disk than one, share the page cache, and are ready in
a moment. Only containerd's databases are really copied: they are the only files of it that are ever written again.
"""

from __future__ import annotations

import os
from pathlib import Path

from metallab import errors, paths
from metallab.box.docker import SCRIPTS
from metallab.bundle import Bundle
from metallab.errors import LabError
from metallab.events import Step
from metallab.run.local import run
from metallab.run.result import CommandFailed

LIB = paths.repo_root() / "provision" / "files" / SCRIPTS.lstrip("/")
"""The scripts that work with images, the same on this host and in a machine."""
IMPORT_SECONDS = 900
COPY_SECONDS = 600
APART = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""Before a command that mounts and starts processes: all of it ends with us, however we end."""


def make(bundle: Bundle, seed: Path, step: Step) -> None:
    """Import the bundle's images into ``seed`` with the bundle's own containerd, behind a unix socket. Needs root.

    Raises LAB-BOX-001 with containerd's last words.
    """
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
        run([*APART, "sh", LIB / "import-images", seed, *archives], timeout=IMPORT_SECONDS, env=path, on_line=show)
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
    unfinished.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    run(["sh", LIB / "clone-images", seed, unfinished], timeout=COPY_SECONDS)
    unfinished.rename(target)
