"""A machine's copy of the images: links where nothing is written again, copies where something is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from metallab.box import seed

BLOB = "io.containerd.content.v1.content/blobs/sha256/0123"
DATABASE = "io.containerd.metadata.v1.bolt/meta.db"


@pytest.fixture
def original(tmp_path: Path) -> Path:
    folder = tmp_path / "seed"
    for path in (BLOB, DATABASE):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text("made once")
    (folder / BLOB).chmod(0o444)
    return folder


def test_blobs_are_shared_and_databases_are_not(original: Path, tmp_path: Path) -> None:
    target = tmp_path / "lab" / "worker-1" / "containerd"
    seed.clone(original, target)
    assert (target / BLOB).samefile(original / BLOB)
    assert not (target / DATABASE).samefile(original / DATABASE)
    (target / DATABASE).write_text("this machine's pods")
    assert (original / DATABASE).read_text() == "made once"


def test_what_an_interrupted_clone_left_is_no_hindrance(original: Path, tmp_path: Path) -> None:
    target = tmp_path / "containerd"
    (tmp_path / "containerd.new" / "half").mkdir(parents=True)
    seed.clone(original, target)
    assert sorted(path.name for path in target.iterdir()) == sorted(path.name for path in original.iterdir())
    assert not (tmp_path / "containerd.new").exists()


def test_across_file_systems_it_is_a_real_copy(original: Path) -> None:
    elsewhere = Path("/dev/shm")  # noqa: S108 - another file system is the point
    if not os.access(elsewhere, os.W_OK) or elsewhere.stat().st_dev == original.stat().st_dev:
        pytest.skip("shared memory is no other file system here")
    target = elsewhere / f"metallab-test-{os.getpid()}"
    try:
        seed.clone(original, target)
        assert not (target / BLOB).samefile(original / BLOB)
        assert (target / BLOB).read_text() == "made once"
        assert (target / BLOB).stat().st_mode & 0o777 == 0o444
    finally:
        shutil.rmtree(target)


def test_removing_a_copy_leaves_the_original(original: Path, tmp_path: Path) -> None:
    target = tmp_path / "containerd"
    seed.clone(original, target)
    shutil.rmtree(target)
    assert (original / BLOB).read_text() == "made once"
