"""When a box is the same box, and when it is complete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from metallab.box import record
from metallab.bundle import Artifact, Bundle, Versions


def bundle_of(sha256: str) -> Bundle:
    program = Artifact("kubelet", "binary", "v1", "module", "bin/kubelet", 1, sha256, ())
    return Bundle(Path("/nowhere"), "key", (program,), Versions("v1", "v1", "1", "1", "1"))


@pytest.fixture
def provision(tmp_path: Path) -> Path:
    folder = tmp_path / "provision"
    (folder / "files").mkdir(parents=True)
    (folder / "10-files.sh").write_text("#!/bin/sh\n")
    (folder / "files" / "motd").write_text("welcome\n")
    return folder


def edit(folder: Path) -> None:
    (folder / "files" / "motd").write_text("farewell\n")


def rename(folder: Path) -> None:
    (folder / "files" / "motd").rename(folder / "files" / "issue")


def allow(folder: Path) -> None:
    (folder / "10-files.sh").chmod(0o755)


def add(folder: Path) -> None:
    (folder / "20-user.sh").touch()


def test_the_key_follows_from_the_content_alone(provision: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another checkout"
    elsewhere.mkdir()
    moved = provision.rename(elsewhere / "provision")
    first = record.key_of(bundle_of("a"), moved)
    (moved / "files" / "motd").write_text("welcome\n")  # the same words, a new time
    assert record.key_of(bundle_of("a"), moved) == first


@pytest.mark.parametrize("change", [edit, rename, allow, add])
def test_any_change_of_the_scripts_makes_another_box(provision: Path, change: Callable[[Path], None]) -> None:
    before = record.key_of(bundle_of("a"), provision)
    change(provision)
    assert record.key_of(bundle_of("a"), provision) != before


def test_what_only_disks_have_makes_no_other_box(provision: Path) -> None:
    before = record.key_of(bundle_of("a"), provision)
    (provision / "disk" / "files").mkdir(parents=True)
    (provision / "disk" / "files" / "fstab").write_text("LABEL=metallab / ext4\n")
    assert record.key_of(bundle_of("a"), provision) == before
    (provision / "disks").write_text("of another name\n")
    assert record.key_of(bundle_of("a"), provision) != before


def test_another_bundle_makes_another_box(provision: Path) -> None:
    assert record.key_of(bundle_of("a"), provision) != record.key_of(bundle_of("b"), provision)


def finished(folder: Path) -> Path:
    (folder / "containerd").mkdir(parents=True)
    (folder / "root.tar").write_bytes(b"12345")
    record.save(folder)
    return folder


def test_a_saved_box_is_found_again(tmp_path: Path) -> None:
    box = record.load(finished(tmp_path / "0123"))
    assert box is not None
    assert (box.key, box.sizes) == ("0123", {"root.tar": 5})


@pytest.mark.parametrize("missing", ["box.json", "root.tar", "containerd"])
def test_a_box_that_lacks_a_part_is_none(tmp_path: Path, missing: str) -> None:
    folder = finished(tmp_path / "0123")
    path = folder / missing
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()
    assert record.load(folder) is None


def test_a_box_that_no_root_made_is_complete_without_a_seed(tmp_path: Path) -> None:
    with_seed = record.load(finished(tmp_path / "0123"))
    assert with_seed is not None
    assert with_seed.seed == tmp_path / "0123" / "containerd"
    folder = tmp_path / "4567"
    folder.mkdir()
    (folder / "root.tar").write_bytes(b"12345")
    record.save(folder)
    without = record.load(folder)
    assert without is not None
    assert without.seed is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_record_is_no_box(tmp_path: Path, text: str) -> None:
    folder = finished(tmp_path / "0123")
    (folder / record.RECORD).write_text(text)
    assert record.load(folder) is None
