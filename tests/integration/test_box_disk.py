"""What is on the disk of the lab's own box, read without booting it: nothing of one machine or of its maker."""

from __future__ import annotations

import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from metallab import box as boxes
from metallab import bundle as bundles
from metallab.box import disk
from metallab.box.build import provision_dir

PARTITION = 1048576


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    bundle = bundles.find()
    box = None if bundle is None else boxes.find(bundle)
    packed = None if box is None else disk.find(box, "libvirt")
    if packed is None:
        pytest.skip("needs the box: ./inv box.build --format libvirt")
    folder = tmp_path_factory.mktemp("disk")
    with tarfile.open(packed.file) as archive:
        archive.extract("box.img", folder, filter="data")
    raw = folder / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", folder / "box.img", raw], check=True, timeout=240)
    (folder / "box.img").unlink()
    yield raw
    raw.unlink()


def debugfs(image: Path, request: str) -> str:
    argv = ["debugfs", "-R", request, f"{image}?offset={PARTITION}"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


def names(image: Path, folder: str) -> set[str]:
    """The entries of a folder, by debugfs's parsable listing: /inode/mode/uid/gid/name/size/."""
    lines = debugfs(image, f"ls -p {folder}").splitlines()
    return {line.split("/")[5] for line in lines if line.startswith("/")} - {".", ".."}


def test_the_disk_has_a_boot_sector_and_one_partition(image: Path) -> None:
    with image.open("rb") as file:
        sector = file.read(512)
    assert sector[510:] == b"\x55\xaa"
    assert b"GRUB" in sector
    kinds = [sector[446 + 16 * number + 4] for number in range(4)]
    assert kinds == [0x83, 0, 0, 0]


def test_nothing_of_one_machine_is_on_it(image: Path) -> None:
    assert debugfs(image, "cat /etc/machine-id") == ""
    assert {name for name in names(image, "/etc/ssh") if name.startswith("ssh_host")} == set()
    assert "random-seed" not in names(image, "/var/lib/systemd")
    assert "hostname" not in names(image, "/etc")
    assert debugfs(image, "cat /etc/resolv.conf") == ""
    assert names(image, "/var/log/journal") == set()


def test_only_vagrants_first_key_gets_in_and_no_password(image: Path) -> None:
    first = (provision_dir() / "disk" / "insecure_key.pub").read_text()
    assert debugfs(image, "cat /home/vagrant/.ssh/authorized_keys") == first
    assert "authorized_keys" not in names(image, "/root/.ssh")
    hashes = [line.split(":")[1] for line in debugfs(image, "cat /etc/shadow").splitlines()]
    assert all(re.fullmatch(r"[!*]+", word) for word in hashes), hashes


def test_nothing_tells_where_it_was_made(image: Path) -> None:
    assert names(image, "/etc/apt/sources.list.d") | ({"sources.list"} & names(image, "/etc/apt")) == set()
    assert names(image, "/var/lib/apt/lists") - {"partial", "auxfiles", "lock"} == set()
    assert {name for name in names(image, "/etc/apt/apt.conf.d") if "proxy" in name.lower()} == set()


def test_images_and_programs_are_baked_in(image: Path) -> None:
    assert {"kubelet", "kubeadm", "kubectl", "containerd"} <= names(image, "/usr/local/bin")
    assert "io.containerd.metadata.v1.bolt" in names(image, "/var/lib/containerd")
    assert {"vmlinuz", "initrd.img"} <= names(image, "/")
