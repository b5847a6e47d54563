"""Which Go builds, and what is said when the host cannot build at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from metallab import errors
from metallab.bundle import toolchain
from metallab.bundle.pins import GoVersion
from metallab.bundle.toolchain import Go, Tools
from metallab.errors import LabError
from metallab.events import silent


def program(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_everything_missing_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "gcc", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError) as caught:
        toolchain.require_host_tools()
    assert caught.value.entry is errors.HOST_PACKAGES_MISSING
    assert caught.value.what.endswith("lacks: binutils dpkg mmdebstrap pkg-config")


def test_a_go_on_the_path_is_taken_when_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = program(tmp_path, "go", "go version go1.30.1 linux/amd64")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert toolchain.find_go(GoVersion(1, 26, 6), silent()) == Go(go, "go1.30.1")


def test_a_go_that_answers_nonsense_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "go", "42")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="does not tell its version"):
        toolchain.find_go(GoVersion(1, 26, 6), silent())


def test_parts_made_with_other_tools_have_other_inputs(tmp_path: Path) -> None:
    old, new = (Tools(Go(tmp_path, go), {"arch": "amd64", "go": go}) for go in ("go1.26.6", "go1.26.8"))
    assert old.named(("arch", "go")) == ["arch amd64", "go go1.26.6"]
    assert old.named(("arch",)) == new.named(("arch",))
