"""What a program needs, read from real programs of this host."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from metallab.bundle import elf
from metallab.errors import LabError
from metallab.run.local import run

ROOT = Path("/")


def dynamic_program() -> str:
    for name in ("ls", "sh", "cat"):
        path = Path(shutil.which(name) or "/").resolve()
        if path.is_file() and elf.needs(path).loader is not None:
            return path.as_posix().lstrip("/")
    pytest.skip("this host has no dynamically linked program to look at")


def test_the_closure_is_enough_to_start_the_program_in_an_empty_root(tmp_path: Path) -> None:
    program = dynamic_program()
    files = elf.closure(ROOT, (program,))
    for inside, real in files.items():
        target = tmp_path / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(real, target)
    # The carried loader resolves every library within the carried files, or says "not found".
    loader = next(tmp_path / path for path in files if Path(path).name.startswith("ld-linux"))
    folders = ":".join(sorted({str((tmp_path / path).parent) for path in files}))
    listing = run([loader, "--library-path", folders, "--list", tmp_path / program], timeout=30).stdout
    assert "not found" not in listing
    assert str(tmp_path) in listing


def test_every_file_is_named_without_a_link_in_between() -> None:
    for inside, real in elf.closure(ROOT, (dynamic_program(),)).items():
        assert not inside.startswith("/")
        assert real.is_file()
        assert not real.is_symlink()


def test_a_file_that_is_not_elf_needs_nothing(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    assert elf.closure(tmp_path, ("script",)) == {"script": tmp_path / "script"}


def test_an_absolute_link_stays_inside_the_root(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/real").write_text("inside")
    (tmp_path / "lib").symlink_to("/usr/lib")
    (tmp_path / "usr/lib/name").symlink_to("../lib/real")
    assert elf.locate(tmp_path, "lib/name") == tmp_path / "usr/lib/real"


def test_a_loop_of_links_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(LabError, match="loop"):
        elf.locate(tmp_path, "a")


@pytest.mark.skipif(sys.platform != "linux", reason="ELF is Linux's")
def test_a_missing_library_is_named_with_who_wants_it(tmp_path: Path) -> None:
    program = dynamic_program()
    (tmp_path / program).parent.mkdir(parents=True)
    shutil.copy(ROOT / program, tmp_path / program)
    with pytest.raises(LabError) as caught:
        elf.closure(tmp_path, (program,))
    assert program in str(caught.value) or "ld-linux" in str(caught.value)
