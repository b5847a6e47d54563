"""Building the box: a Debian root by mmdebstrap, provisioned by ``provision/``, and a seed of unpacked images."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

from metallab import errors, lock, paths
from metallab.box import seed
from metallab.box.record import PACKAGES, SEED, SUITE, Box, home, key_of, load, save
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
MERGED_USR_HOOKS = "/usr/share/mmdebstrap/hooks/merged-usr"
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")


def find(bundle: Bundle) -> Box | None:
    """Return the box for this bundle and this checkout, or None when it was not built."""
    return load(home() / key_of(bundle, provision_dir()))


def require(bundle: Bundle) -> Box:
    """Return the box. Raises LAB-BOX-002 when it was not built."""
    box = find(bundle)
    if box is None:
        raise LabError(errors.BOX_MISSING, "the machine image was not built from this bundle and these scripts yet")
    return box


def build(bundle: Bundle, events: Events, *, rebuild: bool = False) -> Box:
    """Build the box unless it is there. About a minute.

    Without root it has no seed: the machines' images are then made by the Docker daemon, see :mod:`.volumes`.
    Raises LAB-BOX-001.
    """
    existing = find(bundle)
    if existing is not None and not rebuild:
        with events.step("box") as step:
            step.skip("already built")
        return existing
    as_root = os.geteuid() == 0
    folder = home() / key_of(bundle, provision_dir())
    with lock.held(home() / ".lock", "the machine image"):
        unfinished = folder.with_name(folder.name + ".tmp")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            with events.step(f"box: Debian {SUITE}") as step:
                _make_root(bundle, unfinished / "root.tar", step, as_root=as_root)
            if as_root:
                with events.step("box: unpacking the container images") as step:
                    seed.make(bundle, unfinished / SEED, step)
            save(unfinished)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
        _sweep()
    return require(bundle)


def root_argv(
    out: Path, provision: Path, programs: Path, *, pause_image: str, as_root: bool, mirror: str | None = None
) -> list[str]:
    """Return the mmdebstrap command line. Without ``mirror`` it takes Debian's own, with updates and security.

    ``programs`` is a folder with the bundle's programs. ``mirror`` is what mmdebstrap takes for one: a URL, a line of
    apt's sources, or a file with such lines. Without root all happens in a user namespace; the result is the same.
    """
    inside = f"METALLAB_STAGE=root METALLAB_BUNDLE_DIR=/{programs.name} METALLAB_PAUSE_IMAGE={shlex.quote(pause_image)}"
    return [
        *(seed.APART if as_root else ()),
        *("mmdebstrap", f"--mode={'root' if as_root else 'unshare'}", "--variant=apt"),
        f"--hook-directory={MERGED_USR_HOOKS}",
        # Copied in, not mounted: without root, what runs inside may not look into our folders.
        f"--customize-hook=copy-in {shlex.quote(str(provision))} {shlex.quote(str(programs))} /",
        f'--customize-hook=chroot "$1" env -i {inside} /{provision.name}/run',
        f'--customize-hook=rm -r "$1/{provision.name}" "$1/{programs.name}"',
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


def _make_root(bundle: Bundle, out: Path, step: Step, *, as_root: bool) -> None:
    variables = {"SOURCE_DATE_EPOCH": EPOCH}
    if as_root:
        # mmdebstrap's chroot is made there: a killed build leaves nothing outside the folder the next one clears.
        # Without root it has to be where also the user namespace's root may go, and belongs to that one.
        variables["TMPDIR"] = str(out.parent)
    programs = _machine_part(bundle, out.parent)
    mirror = os.environ.get(MIRROR_VARIABLE)
    pause = bundle.image_ref("pause")
    argv = root_argv(out, provision_dir(), programs, pause_image=pause, as_root=as_root, mirror=mirror)
    try:
        run(argv, timeout=ROOT_SECONDS, env=variables, on_line=lambda line: show_phase(line, step))
    except CommandFailed as error:
        fix = f"Debian's mirror must be reachable, or {MIRROR_VARIABLE} name one that is; then run ./inv box.build"
        if not as_root:
            fix += " (as root, if user namespaces are not allowed here)"
        raise LabError(errors.BOX_BUILD_FAILED, "mmdebstrap failed", fix=fix, detail=error.result.tail) from error
    shutil.rmtree(programs)
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


def show_phase(line: str, step: Step) -> None:
    """Pass on what mmdebstrap says it does, not every package and not dpkg's progress."""
    match = re.match(r"I: (?P<phase>[a-z].*?)(\.\.\.)?$", line)
    if match is not None:
        step.progress(match["phase"])


def provision_dir() -> Path:
    """Return the folder of the scripts that make a machine."""
    return paths.repo_root() / "provision"


def _sweep() -> None:
    """Remove what killed builds left, and all but the newest boxes."""
    for folder in home().glob("*.tmp"):
        shutil.rmtree(folder, ignore_errors=True)
    records = sorted(home().glob("*/box.json"), key=lambda record: record.stat().st_mtime, reverse=True)
    for record in records[KEEP:]:
        shutil.rmtree(record.parent, ignore_errors=True)
