"""The golden root as a disk: when it is the same one, how it is made and packed. None is made here."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from metallab import errors, paths
from metallab.box import disk, ovf, record, seed
from metallab.box.disk import KERNEL, VagrantBox, kernel_argv, version_of
from metallab.box.record import Box
from metallab.errors import LabError
from metallab.events import Step, silent

GEM_VERSION = r"[0-9]+(\.[0-9a-zA-Z]+)*"
"""What RubyGems takes for a version (Gem::Version::VERSION_PATTERN, without pre-releases)."""
STEP = Step("box", lambda _event: None)


@pytest.fixture
def provision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the provision folder, in place of the checkout's own."""
    copy = tmp_path / "provision"
    shutil.copytree(paths.repo_root() / "provision", copy)
    monkeypatch.setattr(disk, "provision_dir", lambda: copy)
    return copy


@pytest.fixture
def box(tmp_path: Path) -> Box:
    (tmp_path / "box" / "containerd").mkdir(parents=True)
    return Box("0123456789abcdef", tmp_path / "box", {})


# -- when it is the same ---------------------------------------------------------------------------------------


def test_the_version_is_one_for_vagrant_and_follows_from_the_content(provision: Path, box: Box) -> None:
    assert provision.is_dir()
    version = version_of(box)
    assert re.fullmatch(GEM_VERSION, version)
    assert len(version.split(".")) == 3
    assert version_of(box) == version
    assert version_of(Box(box.key, Path("/elsewhere"), {"root.tar": 1})) == version


def edit(folder: Path) -> None:
    (folder / "disk" / "left-out").write_text("sound\n")


def add(folder: Path) -> None:
    (folder / "disk" / "files" / "new").touch()


def forbid(folder: Path) -> None:
    (folder / "disk" / "run").chmod(0o644)


@pytest.mark.parametrize("change", [edit, add, forbid])
def test_what_only_disks_have_makes_another_version(provision: Path, box: Box, change: Callable[[Path], None]) -> None:
    before = version_of(box)
    change(provision)
    assert version_of(box) != before


def test_what_is_in_every_root_is_in_the_box_s_key_already(provision: Path, box: Box) -> None:
    before = version_of(box)
    (provision / "run").write_text("#!/bin/sh\n")
    assert version_of(box) == before
    assert version_of(Box("fedcba9876543210", box.dir, {})) != before


@pytest.mark.parametrize(("name", "value"), [("DISK_MIB", 20480), ("KERNEL", (*KERNEL, "linux-headers-amd64"))])
def test_another_size_or_kernel_makes_another_version(
    provision: Path, box: Box, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    assert provision.is_dir()
    before = version_of(box)
    monkeypatch.setattr(disk, name, value)
    assert version_of(box) != before


# -- when it is there ------------------------------------------------------------------------------------------


def packed(box: Box, provider: str = "libvirt") -> VagrantBox:
    (box.dir / f"{provider}.box").write_bytes(b"packed")
    (box.dir / f"{provider}.json").write_text(json.dumps(disk._catalogue(box, provider)))
    return disk.require(box, provider)


def test_a_packed_box_is_found_with_what_vagrant_checks_it_by(box: Box) -> None:
    found = packed(box)
    assert (found.provider, found.version) == ("libvirt", version_of(box))
    catalogue = json.loads(found.catalogue.read_text())
    (version,) = catalogue["versions"]
    (made,) = version["providers"]
    assert catalogue["name"] == disk.NAME
    assert made["url"] == found.file.as_uri()
    assert (made["checksum_type"], made["checksum"]) == ("sha256", found.sha256)
    assert found.sha256 == hashlib.sha256(b"packed").hexdigest()
    assert disk.find(box, "virtualbox") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"versions": []}', '{"versions": [{}]}', '{"versions": [3]}'])
def test_a_damaged_catalogue_is_no_box(box: Box, text: str) -> None:
    packed(box).catalogue.write_text(text)
    assert disk.find(box, "libvirt") is None


def test_a_box_without_its_file_or_of_another_version_is_none(
    box: Box, provision: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = packed(box)
    edit(provision)
    assert disk.find(box, "libvirt") is None
    found = packed(box)
    found.file.unlink()
    with pytest.raises(LabError) as caught:
        disk.require(box, "libvirt")
    assert caught.value.entry is errors.BOX_MISSING
    assert caught.value.fix == "run: ./inv box.build --format libvirt"


def test_a_box_that_is_there_is_not_made_again(box: Box) -> None:
    found = packed(box)
    assert disk.build(box, "libvirt", silent()) == found


def test_without_a_seed_only_root_can_help(tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        disk.build(Box("0", tmp_path, {}), "libvirt", silent())
    assert caught.value.entry is errors.HOST_NEEDS_ROOT
    assert list(tmp_path.iterdir()) == []


def test_a_failing_mmdebstrap_leaves_nothing_half_made(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "mmdebstrap").write_text("#!/bin/sh\necho E: no mirror >&2\nexit 1\n")
    (tools / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setattr(seed, "APART", ())
    with pytest.raises(LabError) as caught:
        disk.build(box, "libvirt", silent())
    assert caught.value.entry is errors.BOX_BUILD_FAILED
    assert "E: no mirror" in caught.value.detail
    assert sorted(path.name for path in box.dir.iterdir()) == [".lock", "containerd"]


# -- how it is made --------------------------------------------------------------------------------------------


def argv_of(mirror: str | None = None) -> list[str]:
    return kernel_argv(
        Path("/my box/root.tar"), Path("/my work/out.tar"), Path("/my checkout/provision"), mirror=mirror
    )


def test_a_kernel_is_added_to_the_golden_root_and_nothing_else() -> None:
    argv = argv_of()
    assert argv[: len(seed.APART)] == list(seed.APART)
    assert argv[len(seed.APART)] == "mmdebstrap"
    assert "--variant=custom" in argv
    assert f"--include={','.join(KERNEL)}" in argv
    assert argv[-2:] == [record.SUITE, "/my work/out.tar"]
    assert not any("://" in word for word in argv)
    assert argv_of("http://mirror.example/debian") == [*argv, "http://mirror.example/debian"]


def test_the_root_is_unpacked_before_and_the_scripts_are_gone_afterwards() -> None:
    hooks = [word.removeprefix("--") for word in argv_of() if "-hook=" in word]
    assert hooks == [
        f"setup-hook={disk.UNPACK} --file '/my box/root.tar'",
        "setup-hook=copy-in '/my checkout/provision/disk' /",
        'setup-hook=chroot "$1" env -i /disk/run before',
        'customize-hook=chroot "$1" env -i /disk/run after',
        'customize-hook=rm -r "$1/disk"',
    ]


def test_a_box_is_an_archive_that_names_nobody(tmp_path: Path) -> None:
    image = tmp_path / "box.img"
    image.write_bytes(b"disk")
    image.chmod(0o600)
    out = tmp_path / "libvirt.box"
    disk._pack({"metadata.json": "{}\n", "box.img": image}, out, STEP)
    with tarfile.open(out) as archive:
        members = archive.getmembers()
        metadata = archive.extractfile("metadata.json")
        assert metadata is not None
        assert metadata.read() == b"{}\n"
    assert [member.name for member in members] == ["metadata.json", "box.img"]
    assert {(item.uid, item.gid, item.uname, item.gname, item.mode) for item in members} == {
        (0, 0, "root", "root", 0o644)
    }
    assert list(tmp_path.iterdir()) == [out], "nothing is kept twice"


@pytest.mark.parametrize("provider", list(disk.FORMATS))
def test_a_box_has_a_vagrantfile_of_its_own(provider: str) -> None:
    text = disk._vagrantfile(provider)
    assert f"config.vm.provider :{provider}" in text
    assert text.count("do |") == len(re.findall(r"^ *end$", text, re.MULTILINE))


# -- VirtualBox's description ----------------------------------------------------------------------------------


def test_the_description_has_the_disk_s_name_and_sizes(tmp_path: Path) -> None:
    image = tmp_path / "disk.vmdk"
    image.write_bytes(b"x" * 1234)
    text = ovf.describe(image, disk.DISK_MIB * 1024 * 1024)
    assert text.startswith("<?xml version=")
    root = ET.fromstring(text.encode())  # noqa: S314 - our own
    own = f"{{{ovf.OVF}}}"
    assert root.tag == f"{own}Envelope"
    file, section = root.find(f"./{own}References/{own}File"), root.find(f"./{own}DiskSection/{own}Disk")
    assert file is not None
    assert section is not None
    assert (file.get(f"{own}href"), file.get(f"{own}size")) == ("disk.vmdk", "1234")
    assert section.get(f"{own}capacity") == "10737418240"
    assert section.get(f"{own}fileRef") == file.get(f"{own}id")
    drive = next(item.text for item in root.iter() if item.tag.endswith("}HostResource"))
    assert drive == f"/disk/{section.get(f'{own}diskId')}"


def test_the_description_keeps_the_prefixes_people_know(tmp_path: Path) -> None:
    image = tmp_path / "disk.vmdk"
    image.touch()
    text = ovf.describe(image, 1)
    assert set(re.findall(r"</?(\w+):", text)) <= {"ovf", "rasd", "vssd", "vbox"}
    assert "ns0" not in text


def test_the_template_says_nothing_of_a_size() -> None:
    text = ovf.TEMPLATE.read_text(encoding="utf-8")
    assert 'ovf:size="0"' in text
    assert 'ovf:capacity="0"' in text
