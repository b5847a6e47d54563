"""Source ``build``: makes the whole bundle from the pins, or finds it already made.

The way: compile the Go modules, then pause; unpack the few Debian programs; put it all together with the images and
the manifest into one folder; compare with the lock; and only then give the folder its name. A bundle that can be
found is complete.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from metallab import errors
from metallab.bundle import debian, images, lock, parts, pins, recipe, record, toolchain, workshop
from metallab.bundle.parts import Compiled
from metallab.bundle.record import Artifact, Bundle, Versions
from metallab.bundle.workshop import Workshop
from metallab.errors import LabError
from metallab.events import Events
from metallab.lock import held

PROGRAM_FOLDERS = {"binary": "bin", "cni": "cni"}
# Beside the Go modules: pause, the Debian programs, the images.
OTHER_PARTS = 3


def find() -> Bundle | None:
    """Return the complete bundle of the current pins, or None. Reads a few small files and runs nothing."""
    return record.load(workshop.home() / pins.key())


def require() -> Bundle:
    """Return the complete bundle of the current pins. Raises :class:`LabError` (BUNDLE_MISSING) if there is none."""
    bundle = find()
    if bundle is None:
        raise LabError(errors.BUNDLE_MISSING, f"no bundle {pins.key()} in {workshop.home()}")
    return bundle


def build(events: Events, *, update_lock: bool = False, rebuild: bool = False) -> Bundle:
    """Return the bundle, making what is missing of it, and compare it with the lock.

    ``update_lock`` rewrites the lock instead of comparing; ``rebuild`` makes everything again.
    """
    with held(workshop.home() / ".lock", "the bundle"):
        bundle = None if rebuild else _finished(events)
        if bundle is None:
            return _make(events, update_lock=update_lock, rebuild=rebuild)
        _settle(bundle, events, update_lock=update_lock)
        return bundle


def _finished(events: Events) -> Bundle | None:
    try:
        bundle = find()
    except LabError as error:
        events.warn(f"{error.what}; making it again")
        return None
    if bundle is not None:
        with events.step("bundle") as step:
            step.skip(f"all {len(bundle.artifacts)} artifacts are there")
    return bundle


def _make(events: Events, *, update_lock: bool, rebuild: bool) -> Bundle:
    toolchain.require_host_tools()
    tools = toolchain.tools(toolchain.find_go(pins.oldest_go(), events))
    shop = Workshop(events, total=len(recipe.GO_MODULES) + OTHER_PARTS, rebuild=rebuild)
    compiled = parts.go_modules(tools, shop)
    kubeadm = compiled.programs["kubeadm"]
    asked = images.kubeadm_names(kubeadm.path, kubeadm.version)
    compiled.programs["pause"] = parts.pause(compiled, images.tag_of(asked["pause"]), tools, shop)
    debian_dir = parts.debian_programs(tools, shop)
    debian_versions = {f"debian/{name}": version for name, version in debian.versions(debian_dir).items()}
    with workshop.fresh(workshop.home() / pins.key()) as folder:
        made = _images(compiled, asked, debian_dir, folder, shop)
        artifacts = (*_files(compiled, folder), *made)
        bundle = Bundle(folder, pins.key(), artifacts, _versions(artifacts), {**tools.versions, **debian_versions})
        _settle(bundle, events, update_lock=update_lock)
        record.save(bundle)
    workshop.sweep(shop.used)
    return require()


def _settle(bundle: Bundle, events: Events, *, update_lock: bool) -> None:
    built = lock.of(bundle)
    if update_lock:
        lock.update(built, pins.lock_file())
        events.note(f"wrote {pins.lock_file().name}: {len(built.artifacts)} artifacts")
    else:
        lock.judge(lock.read(pins.lock_file()), built, events)


def _files(compiled: Compiled, folder: Path) -> Iterator[Artifact]:
    """Put the programs for machines and MetalLB's manifest into the bundle."""
    for program in compiled.programs.values():
        if program.use != "image":
            inside = f"{PROGRAM_FOLDERS[program.use]}/{program.name}"
            _place(program.path, folder / inside)
            yield record.describe(
                folder, inside, program.name, program.use, program.version, program.source, program.made_with
            )
    manifest = _manifest(compiled)
    inside = f"manifests/{manifest.name}"
    _place(manifest, folder / inside)
    metallb = compiled.programs["controller"]
    yield record.describe(folder, inside, manifest.stem, "manifest", metallb.version, metallb.source, ())


def _images(
    compiled: Compiled, asked: Mapping[str, str], debian_dir: Path, folder: Path, shop: Workshop
) -> list[Artifact]:
    """Write all images into the bundle."""
    names = {**asked, **images.metallb_names(_manifest(compiled))}
    packages = debian.versions(debian_dir)
    made: list[Artifact] = []
    (folder / "images").mkdir()
    with shop.step(f"{len(recipe.IMAGES)} images") as step:
        for image in recipe.IMAGES:
            step.progress(image.name, len(made), len(recipe.IMAGES))
            main = image.programs[0][0] if image.programs else ""
            version = compiled.programs[main].version if main else packages[image.name]
            reference = images.reference(image.name, version, names)
            made.append(images.make(image, reference, version, compiled.programs, debian_dir, folder))
    return made


def _manifest(compiled: Compiled) -> Path:
    return compiled.files[PurePosixPath(recipe.METALLB_MANIFEST).name]


def _place(source: Path, target: Path) -> None:
    """Give a part's file a second name in the bundle; both lie in the same cache, so nothing is copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(source, target)


def _versions(artifacts: tuple[Artifact, ...]) -> Versions:
    made = {artifact.name: artifact for artifact in artifacts if artifact.kind == "image"}
    return Versions(
        kubernetes=made["kube-apiserver"].version,
        metallb=made["metallb-controller"].version,
        etcd_tag=images.tag_of(made["etcd"].reference),
        coredns_tag=images.tag_of(made["coredns"].reference),
        pause_tag=images.tag_of(made["pause"].reference),
    )
