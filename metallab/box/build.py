"""Building the box: a Debian root by mmdebstrap, provisioned by ``provision/``, and a seed of unpacked images."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from metallab import errors, lock, paths
from metallab.box import seed
from metallab.box.record import PACKAGES, SUITE, Box, home, key_of, load, save
from metallab.bundle import Bundle
from metallab.errors import LabError
from metallab.events import Events, Step
from metallab.run.local import run
from metallab.run.result import CommandFailed

ROOT_SECONDS = 1800
KEEP = 2
EPOCH = "1767225600"
"""2026-01-01: the newest time a file of the root may have, so that the same packages give the same archive."""
MIRROR_VARIABLE = "METALLAB_DEBIAN_MIRROR"
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")


def find(bundle: Bundle) -> Box | None:
    """Return the box for this bundle and this checkout, or None when it was not built."""
    return load(home() / key_of(bundle, _provision()))


def require(bundle: Bundle) -> Box:
    """Return the box. Raises LAB-BOX-002 when it was not built."""
    box = find(bundle)
    if box is None:
        raise LabError(errors.BOX_MISSING, "the machine image was not built from this bundle and these scripts yet")
    return box


def build(bundle: Bundle, events: Events, *, rebuild: bool = False) -> Box:
    """Build the box unless it is there. About two minutes; needs root, for a root file system has its owners.

    Raises LAB-HOST-003, LAB-BOX-001.
    """
    existing = find(bundle)
    if existing is not None and not rebuild:
        with events.step("machine image") as step:
            step.skip("already built")
        return existing
    if os.geteuid() != 0:
        raise LabError(errors.HOST_NEEDS_ROOT, "making a root file system needs root")
    folder = home() / key_of(bundle, _provision())
    with lock.held(home() / ".lock", "the machine image"):
        unfinished = folder.with_name(folder.name + ".tmp")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            with events.step(f"machine image: Debian {SUITE}") as step:
                _make_root(bundle, unfinished / "root.tar", step)
            with events.step("machine image: unpacking the container images") as step:
                seed.make(bundle, unfinished / "containerd", _provision(), step)
            save(unfinished)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
        _sweep()
    return require(bundle)


def root_argv(out: Path, provision: Path, *, merged_usr_hooks: Path, mirror: str | None = None) -> list[str]:
    """Return the mmdebstrap command line. Without ``mirror`` it takes Debian's own, with updates and security.

    ``mirror`` is what mmdebstrap takes for one: a URL, a line of apt's sources, or a file with such lines.
    """
    return [
        *seed.APART,
        *("mmdebstrap", "--mode=root", "--variant=apt"),
        f"--hook-directory={merged_usr_hooks}",
        f"--hook-directory={provision / 'hooks'}",
        # provision/90-golden-root.sh decides what stays of it.
        "--skip=cleanup/reproducible/machine-id",
        '--aptopt=Acquire::Retries "5"',
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT),
        "--dpkgopt=force-unsafe-io",
        f"--include={','.join(PACKAGES)}",
        SUITE,
        str(out),
        *([mirror] if mirror else []),
    ]


def _make_root(bundle: Bundle, out: Path, step: Step) -> None:
    variables = {
        "METALLAB_BUNDLE_DIR": str(_machine_part(bundle, out.parent)),
        "METALLAB_PAUSE_IMAGE": bundle.image_ref("pause"),
        "SOURCE_DATE_EPOCH": EPOCH,
        # mmdebstrap's chroot is made there: a killed build leaves nothing outside the folder the next one clears.
        "TMPDIR": str(out.parent),
    }
    mirror = os.environ.get(MIRROR_VARIABLE)
    argv = root_argv(out, _provision(), merged_usr_hooks=Path("/usr/share/mmdebstrap/hooks/merged-usr"), mirror=mirror)
    try:
        run(argv, timeout=ROOT_SECONDS, env=variables, on_line=lambda line: _show(line, step))
    except CommandFailed as error:
        fix = f"Debian's mirror must be reachable, or {MIRROR_VARIABLE} name one that is; then run ./inv box.build"
        raise LabError(errors.BOX_BUILD_FAILED, "mmdebstrap failed", fix=fix, detail=error.result.tail) from error
    shutil.rmtree(variables["METALLAB_BUNDLE_DIR"])
    step.result(f"{out.stat().st_size / 1e6:.0f} MB")


def _machine_part(bundle: Bundle, folder: Path) -> Path:
    """Return a folder with the bundle's programs as a machine needs them: linked, not copied."""
    part = folder / "bundle"
    for name, files in (("bin", bundle.binaries), ("cni", bundle.cni_plugins)):
        (part / name).mkdir(parents=True)
        for file in files:
            try:
                os.link(file, part / name / file.name)
            except OSError:
                shutil.copy2(file, part / name / file.name)
    return part


def _show(line: str, step: Step) -> None:
    """Pass on what mmdebstrap says it does, not every package and not dpkg's progress."""
    match = re.match(r"I: (?P<phase>[a-z].*?)(\.\.\.)?$", line)
    if match is not None:
        step.progress(match["phase"])


def _provision() -> Path:
    return paths.repo_root() / "provision"


def _sweep() -> None:
    """Remove what killed builds left, and all but the newest boxes."""
    for folder in home().glob("*.tmp"):
        shutil.rmtree(folder, ignore_errors=True)
    records = sorted(home().glob("*/box.json"), key=lambda record: record.stat().st_mtime, reverse=True)
    for record in records[KEEP:]:
        shutil.rmtree(record.parent, ignore_errors=True)
