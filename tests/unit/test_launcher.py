"""./inv, the launcher: run for real in a copy of the repository's front door. It installs nothing here.

What needs a package index (making .venv) is seen by the end-to-end tests and by everybody's first command.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metallab import paths

PYTHON = os.path.realpath(sys.executable)
# A Python too old, and one without venv and ensurepip, as Debian has it without python3-venv.
OLD = "#!/bin/sh\nexit 1\n"
BARE = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\nexit 0\n'


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of what the launcher needs."""
    root = tmp_path / "a house"
    (root / "requirements").mkdir(parents=True)
    shutil.copy(paths.repo_root() / "inv", root)
    (root / "requirements" / "runtime.txt").write_text("nothing==1 --hash=sha256:0\n", encoding="utf-8")
    return root


def furnish(root: Path, requirements: Path | None = None) -> None:
    """Give it a venv that looks finished; its invoke shows what it was started with."""
    programs = root / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(PYTHON)
    script(programs / "invoke", '#!/bin/sh\nprintf "<%s>" "$@"\n')
    shutil.copy(requirements or root / "requirements" / "runtime.txt", root / ".venv" / "metallab-runtime.txt")
    (root / ".venv" / "metallab.stamp").write_text(f"{root}\n{PYTHON}\n", encoding="utf-8")


def script(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def tools(folder: Path, *, apt: bool = False, python: str | None = None) -> Path:
    """Make a PATH of just the small programs the launcher uses, and perhaps a Python and an apt-get."""
    folder.mkdir()
    for name in ("sh", "readlink", "cmp", "id", "rm", "cp", "mv", "flock", "printf"):
        real = shutil.which(name, path="/usr/bin:/bin")
        if real is not None:
            (folder / name).symlink_to(real)
    if python is not None:
        script(folder / "python3", python)
    if apt:
        script(folder / "apt-get", f'#!/bin/sh\necho "apt-get $*" >>"{folder}/apt.log"\nexit 100\n')
    return folder


def start(
    program: Path | str, *words: str, path: Path | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) if path is None else {**os.environ, "PATH": str(path)}
    return subprocess.run(
        [program, *words],
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_finished_venv_is_used_as_it_is_with_the_same_words(house: Path, tmp_path: Path) -> None:
    furnish(house)
    done = start(house / "inv", "lab.ssh", "a b", "--", "$(id)", "", path=tools(tmp_path / "bin"))
    assert done.stdout == f"<--search-root><{house}><lab.ssh><a b><--><$(id)><>"
    assert done.stderr == ""


def test_it_works_from_any_folder_and_through_a_link(house: Path, tmp_path: Path) -> None:
    furnish(house)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "inv").symlink_to("../a house/inv")
    expected = f"<--search-root><{house}>"
    for program in (house / "inv", "../a house/inv", tmp_path / "links" / "inv"):
        assert start(program, cwd=tmp_path / "links").stdout == expected
    assert subprocess.run(["sh", "inv"], cwd=house, capture_output=True, text=True, check=True).stdout == expected


def test_when_the_venv_is_ready_no_python_starts_and_little_time_passes(house: Path, tmp_path: Path) -> None:
    furnish(house)
    path = tools(tmp_path / "bin", python='#!/bin/sh\necho "python started" >&2\nexit 1\n')
    times = []
    for _ in range(10):
        began = time.perf_counter()
        assert start(house / "inv", path=path).stderr == ""
        times.append(time.perf_counter() - began)
    # Measured 5 ms on an idle machine; the limit only has to tell it from a started Python on a busy one.
    assert min(times) < 0.1


@pytest.mark.parametrize("change", ["requirements", "moved", "another Python", "no stamp", "half a stamp", "no Python"])
def test_a_venv_that_does_not_fit_any_more_is_not_used(house: Path, tmp_path: Path, change: str) -> None:
    furnish(house)
    stamp = house / ".venv" / "metallab.stamp"
    if change == "requirements":
        (house / "requirements" / "runtime.txt").write_text("other==1 --hash=sha256:0\n", encoding="utf-8")
    elif change == "moved":
        house = house.rename(tmp_path / "another house")
    elif change == "another Python":
        stamp.write_text(f"{house}\n/usr/bin/python3.9\n", encoding="utf-8")
    elif change == "no stamp":
        stamp.unlink()
    elif change == "half a stamp":
        stamp.write_text(f"{house}\n", encoding="utf-8")
    else:
        (house / ".venv" / "bin" / "python").unlink()
    done = start(house / "inv", path=tools(tmp_path / "bin"))
    assert done.returncode == 10
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("python", "missing"), [(None, "python3 python3-venv"), (OLD, "python3 python3-venv"), (BARE, "python3-venv")]
)
def test_without_apt_it_says_what_is_missing(house: Path, tmp_path: Path, python: str | None, missing: str) -> None:
    done = start(house / "inv", "--yes", path=tools(tmp_path / "bin", python=python))
    assert done.returncode == 10
    assert f"LAB-HOST-001: Python 3.10 or newer with venv is missing ({missing})" in done.stderr
    assert "do: install Python 3.10 or newer" in done.stderr


@pytest.mark.parametrize("words", [(), ("demo",), ("lab.ssh", "client", "--", "apt-get", "--yes")])
def test_without_consent_and_terminal_nothing_is_installed(house: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    path = tools(tmp_path / "bin", apt=True, python=BARE)
    done = start(house / "inv", *words, path=path)
    assert done.returncode == 10
    assert "apt-get install python3-venv" in done.stderr
    assert not (path / "apt.log").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may install")
def test_with_consent_just_what_is_missing_is_installed_and_a_failure_is_told(house: Path, tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", apt=True, python=BARE)
    done = start(house / "inv", "demo", "--yes", path=path)
    assert done.returncode == 10
    assert "LAB-HOST-001: apt-get could not install python3-venv" in done.stderr
    assert (path / "apt.log").read_text(encoding="utf-8") == "apt-get update -q\n"


@pytest.mark.parametrize("there", ["another checkout's venv", "a file in a folder", "nothing"])
def test_a_link_is_refused_and_nothing_behind_it_is_touched(house: Path, tmp_path: Path, there: str) -> None:
    other = tmp_path / "other"
    if there == "another checkout's venv":
        furnish(other_house := tmp_path / "other house", house / "requirements" / "runtime.txt")
        other = other_house / ".venv"
    elif there == "a file in a folder":
        other.mkdir()
        (other / "precious").write_text("mine", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    (house / ".venv").symlink_to(other)
    done = start(house / "inv", "--version")
    assert done.returncode == 10
    assert f"LAB-HOST-001: {house}/.venv is a link to {other}" in done.stderr
    assert f"do: remove the link (rm '{house}/.venv')" in done.stderr
    assert sorted(path for path in tmp_path.rglob("*") if path != house / ".venv") == before


def test_a_finished_venv_of_this_checkout_may_lie_behind_a_link(house: Path, tmp_path: Path) -> None:
    furnish(house)
    (house / ".venv").rename(tmp_path / "on a larger disk")
    (house / ".venv").symlink_to(tmp_path / "on a larger disk")
    assert start(house / "inv").stdout == f"<--search-root><{house}>"


def test_completing_a_word_does_not_make_a_venv(house: Path, tmp_path: Path) -> None:
    done = start(house / "inv", "--complete", "--", "inv", "lab.", path=tools(tmp_path / "bin", python=BARE))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_venv_that_cannot_be_filled_is_not_taken_for_finished(house: Path) -> None:
    # A requirement without a hash is refused by pip before it asks any index.
    (house / "requirements" / "runtime.txt").write_text("nothing==1\n", encoding="utf-8")
    done = start(house / "inv", "--version")
    assert done.returncode == 10
    assert "LAB-HOST-001: pip could not install requirements/runtime.txt" in done.stderr
    assert "once" in done.stderr, "it says what takes so long"
    assert not (house / ".venv" / "metallab.stamp").exists()
