"""The golden root as a bootable disk, packed as a Vagrant box for a hypervisor: the same root, another wrapping.

The disk is made once, without mounting anything (``provision/disk/make-disk``); each format wraps the same disk:
qcow2 for vagrant-libvirt, VMDK with an OVF description for VirtualBox.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from metallab import errors, lock, paths
from metallab.box import ovf, seed
from metallab.box.build import MIRROR_VARIABLE, ROOT_SECONDS, provision_dir, show_phase
from metallab.box.record import SUITE, Box, add_folder
from metallab.bundle.record import sha256_of
from metallab.errors import LabError
from metallab.events import Events, Step
from metallab.run.local import run
from metallab.run.result import CommandFailed

NAME = "metallab"
"""What the box is called in Vagrant."""
DISK_MIB = 10240
"""What a machine sees; what is not used takes no space on the host."""
DISK_SECONDS = 600
CONVERT_SECONDS = 900
UNPACK = """tar --directory "$1" --extract --numeric-owner --xattrs '--xattrs-include=*'"""
KERNEL = ("linux-image-amd64", "initramfs-tools", "udev", "zstd", "e2fsprogs")


@dataclass(frozen=True)
class VagrantBox:
    """A packed box, and the catalogue file that ``vagrant box add`` takes it from, checked by its hash."""

    provider: str
    version: str
    file: Path
    catalogue: Path
    sha256: str


def version_of(box: Box) -> str:
    """Return the box's version: it follows from the content, and is a number because Vagrant wants one."""
    digest = hashlib.sha256(f"{box.key} {DISK_MIB} {KERNEL}\n".encode())
    add_folder(digest, provision_dir() / "disk")
    return f"0.1.{int(digest.hexdigest()[:8], 16)}"


def find(box: Box, provider: str) -> VagrantBox | None:
    """Return the packed box for a provider, or None when it was not made."""
    catalogue = box.dir / f"{provider}.json"
    file = box.dir / f"{provider}.box"
    try:
        (made,) = json.loads(catalogue.read_text(encoding="utf-8"))["versions"]
        version, checksum = str(made["version"]), str(made["providers"][0]["checksum"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None
    if version != version_of(box) or not file.is_file():
        return None
    return VagrantBox(provider, version, file, catalogue, checksum)


def require(box: Box, provider: str) -> VagrantBox:
    """Return the packed box. Raises LAB-BOX-002 when it was not made."""
    found = find(box, provider)
    if found is None:
        fix = f"run: ./inv box.build --format {provider}"
        raise LabError(errors.BOX_MISSING, f"there is no box for {provider} yet", fix=fix)
    return found


def build(box: Box, provider: str, events: Events, *, rebuild: bool = False) -> VagrantBox:
    """Make and pack the disk for a provider, unless it is there. About a minute. Raises LAB-BOX-001."""
    found = find(box, provider)
    if found is not None and not rebuild:
        with events.step(f"box for {provider}") as step:
            step.skip("already built")
        return found
    if box.seed is None:
        what = "only root can make the disk of a virtual machine"
        raise LabError(errors.HOST_NEEDS_ROOT, what, fix=f"run as root: ./inv box.build --format {provider}")
    with lock.held(box.dir / ".lock", "the machine image"):
        work = box.dir / f"{provider}.tmp"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            raw = work / "disk.raw"
            with events.step("box: kernel and boot loader") as step:
                _make_disk(box.root_tar, box.seed, raw, work, step)
            with events.step(f"box: packing it for {provider}") as step:
                packed = work / f"{provider}.box"
                _pack(FORMATS[provider](raw, work), packed, step)
                raw.unlink()
                step.result(f"{packed.stat().st_size / 1e6:.0f} MB")
            packed.replace(box.dir / packed.name)
            # Last: where it is, the box is complete.
            draft = work / f"{provider}.json"
            draft.write_text(json.dumps(_catalogue(box, provider), indent=2) + "\n", encoding="utf-8")
            draft.replace(box.dir / draft.name)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return require(box, provider)


def kernel_argv(root_tar: Path, out: Path, provision: Path, *, mirror: str | None = None) -> list[str]:
    """Return the mmdebstrap command line that adds a kernel to the golden root."""
    return [
        *seed.APART,
        *("mmdebstrap", "--mode=root", "--variant=custom", f"--include={','.join(KERNEL)}"),
        # Not mmdebstrap's tar-in: it feeds tar through a pipe, tar leaves at the end mark, and what pads the archive
        # after that then meets a closed pipe, or not, by chance ("special hook failed with exit code 13").
        f"--setup-hook={UNPACK} --file {shlex.quote(str(root_tar))}",
        f"--setup-hook=copy-in {shlex.quote(str(provision / 'disk'))} /",
        '--setup-hook=chroot "$1" env -i /disk/run before',
        '--customize-hook=chroot "$1" env -i /disk/run after',
        '--customize-hook=rm -r "$1/disk"',
        "--skip=cleanup/reproducible/machine-id",
        '--aptopt=Acquire::Retries "5"',
        "--dpkgopt=force-unsafe-io",
        SUITE,
        str(out),
        *([mirror] if mirror else []),
    ]


def _make_disk(root_tar: Path, images: Path, disk: Path, work: Path, step: Step) -> None:
    with_kernel = work / "root.tar"
    argv = kernel_argv(root_tar, with_kernel, provision_dir(), mirror=os.environ.get(MIRROR_VARIABLE))
    try:
        run(argv, timeout=ROOT_SECONDS, env={"TMPDIR": str(work)}, on_line=lambda line: show_phase(line, step))
        step.progress("file system and boot loader")
        script = provision_dir() / "disk" / "make-disk"
        make: list[str | Path] = [*seed.APART, "sh", script, with_kernel, images, disk, str(DISK_MIB)]
        run(make, timeout=DISK_SECONDS)
    except CommandFailed as error:
        raise LabError(errors.BOX_BUILD_FAILED, "the disk could not be made", detail=error.result.tail) from error
    with_kernel.unlink()


def _libvirt(raw: Path, work: Path) -> Mapping[str, Path | str]:
    image = work / "box.img"
    options = "compression_type=zstd,cluster_size=65536"
    words = ("-c", "-W", "-m", "4", "-O", "qcow2", "-o", options)
    run(["qemu-img", "convert", *words, str(raw), str(image)], timeout=CONVERT_SECONDS)
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": DISK_MIB // 1024}
    return {
        "metadata.json": json.dumps(metadata) + "\n",
        "Vagrantfile": _vagrantfile("libvirt"),
        "box.img": image,
    }


def _virtualbox(raw: Path, work: Path) -> Mapping[str, Path | str]:
    image = work / "disk.vmdk"
    words = ("-O", "vmdk", "-o", "subformat=streamOptimized")
    run(["qemu-img", "convert", *words, str(raw), str(image)], timeout=CONVERT_SECONDS)
    return {
        "metadata.json": json.dumps({"provider": "virtualbox"}) + "\n",
        "Vagrantfile": _vagrantfile("virtualbox"),
        # VirtualBox reads the description first.
        "box.ovf": ovf.describe(image, DISK_MIB * 1024 * 1024),
        "disk.vmdk": image,
    }


FORMATS: Mapping[str, Callable[[Path, Path], Mapping[str, Path | str]]] = {
    "libvirt": _libvirt,
    "virtualbox": _virtualbox,
}
"""Provider -> what is in its box: from the raw disk and a folder to work in."""


def _vagrantfile(provider: str) -> str:
    """Return the box's own Vagrantfile, so that it is also of use without the lab."""
    return (paths.repo_root() / "provision" / "disk" / "vagrant" / f"{provider}.rb").read_text(encoding="utf-8")


def _pack(content: Mapping[str, Path | str], out: Path, step: Step) -> None:
    """Write the box, a tar archive: small files first, the way Vagrant's own are."""
    with tarfile.open(out, "w") as archive:
        for name, what in content.items():
            step.progress(name)
            path = what if isinstance(what, Path) else out.parent / f"{name}.text"
            if isinstance(what, str):
                path.write_text(what, encoding="utf-8")
            archive.add(path, arcname=name, filter=_anonymous)
            path.unlink()


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o644
    return member


def _catalogue(box: Box, provider: str) -> dict[str, object]:
    file = box.dir / f"{provider}.box"
    entry = {
        "name": provider,
        "url": file.as_uri(),
        "checksum_type": "sha256",
        "checksum": sha256_of(file),
    }
    return {
        "name": NAME,
        "description": "metallab: a Kubernetes node with everything baked in",
        "versions": [{"version": version_of(box), "providers": [entry]}],
    }
