"""The record of a bundle: what is written is read back, and damage is noticed and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metallab import errors
from metallab.bundle import record
from metallab.bundle.record import Bundle, Kind, Versions
from metallab.errors import LabError

VERSIONS = Versions("v1.37.2", "v0.15.2", "3.7.3-0", "v1.15.0", "3.10.2")
FILES: tuple[tuple[str, Kind], ...] = (
    ("bin/kubelet", "binary"),
    ("cni/bridge", "cni"),
    ("images/etcd.tar", "image"),
    ("manifests/metallb-native.yaml", "manifest"),
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    artifacts = []
    for path, kind in FILES:
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(path)
        name = Path(path).name.partition(".")[0]
        artifacts.append(record.describe(tmp_path, path, name, kind, "v1", f"{name}@v1", ("go",)))
    artifacts[2] = replace(artifacts[2], reference="registry.example/etcd:3.7.3-0", config_digest="sha256:1")
    made = Bundle(tmp_path, "0123", tuple(artifacts), VERSIONS, {"go": "go1.26.8"})
    record.save(made)
    return made


def test_what_is_saved_is_loaded(bundle: Bundle) -> None:
    assert record.load(bundle.dir) == bundle


def test_other_rooms_get_paths_and_names(bundle: Bundle) -> None:
    assert bundle.binaries == [bundle.dir / "bin/kubelet"]
    assert bundle.cni_plugins == [bundle.dir / "cni/bridge"]
    assert bundle.image_archives == [bundle.dir / "images/etcd.tar"]
    assert bundle.metallb_manifest == bundle.dir / "manifests/metallb-native.yaml"
    assert bundle.image_ref("etcd") == "registry.example/etcd:3.7.3-0"
    with pytest.raises(KeyError, match="no image iperf3"):
        bundle.image_ref("iperf3")


def test_the_digest_follows_the_content_only(bundle: Bundle) -> None:
    other = replace(bundle.artifacts[0], sha256="0" * 64)
    assert replace(bundle, key="other", toolchain={}).digest == bundle.digest
    assert replace(bundle, artifacts=(other, *bundle.artifacts[1:])).digest != bundle.digest


def test_no_record_is_no_bundle(tmp_path: Path) -> None:
    assert record.load(tmp_path) is None


def cut(bundle: Bundle) -> None:
    path = bundle.dir / "images/etcd.tar"
    path.write_text(path.read_text()[:-1])


def remove(bundle: Bundle) -> None:
    (bundle.dir / "bin/kubelet").unlink()


@pytest.mark.parametrize(("damage", "what"), [(cut, "has 14 bytes instead of 15"), (remove, "is missing")])
def test_a_damaged_file_is_named(bundle: Bundle, damage: Callable[[Bundle], None], what: str) -> None:
    damage(bundle)
    with pytest.raises(LabError, match=what) as caught:
        record.load(bundle.dir)
    assert caught.value.entry is errors.BUNDLE_CORRUPT


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 99},
        {"versions": {}},
        {"versions": None},
        {"artifacts": [{"name": "kubelet"}]},
        {"artifacts": 7},
        {"toolchain": 7},
        {"key": ...},
    ],
)
def test_a_record_with_something_wrong_in_it_is_damaged(bundle: Bundle, change: dict[str, Any]) -> None:
    path = bundle.dir / record.RECORD
    content = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))
    with pytest.raises(LabError) as caught:
        record.load(bundle.dir)
    assert caught.value.entry is errors.BUNDLE_CORRUPT


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_a_record_that_is_no_record_is_damaged(bundle: Bundle, text: str) -> None:
    (bundle.dir / record.RECORD).write_text(text)
    with pytest.raises(LabError) as caught:
        record.load(bundle.dir)
    assert caught.value.entry is errors.BUNDLE_CORRUPT
