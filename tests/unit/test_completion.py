"""The shell completes: the scripts, and bash for real with the real command behind it."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from metallab import errors, paths
from metallab.errors import LabError
from metallab.events import silent
from metallab.machines import snapshot
from metallab.machines.labdir import LabDir
from metallab.machines.snapshot import Snapshot
from metallab.run.local import run
from metallab.tasks._task import Session
from metallab.tasks.completion import BEFORE_VALUES, SHELLS, completion_script, values_after

ROOT = paths.repo_root()


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_asks_the_command_that_is_completed(shell: str) -> None:
    script = completion_script(shell)
    assert "--complete -- inv " in script
    assert not re.search(r"[`(]\s*inv .*--complete", script), "the program inv need not be on the PATH"


def test_completion_for_another_shell_names_the_ones_there_are() -> None:
    with pytest.raises(LabError) as caught:
        completion_script("tcsh")
    assert caught.value.entry.id == "LAB-HOST-010"
    assert "bash, zsh, fish" in caught.value.what


def test_bash_completes_for_real(tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash on this host")
    program = tmp_path / "inv"
    program.write_text('#!/bin/sh\necho "$*" >"$0.asked"\necho lab.up\necho lab.destroy\necho demo\n', encoding="utf-8")
    program.chmod(0o755)
    typed = f"{completion_script('bash')}\nCOMP_WORDS=(./inv lab.); COMP_CWORD=1; _complete_inv ./inv lab. ./inv\n"
    result = run(["bash", "-c", f'{typed}printf "%s " "${{COMPREPLY[@]}}"; complete -p inv'], timeout=10, cwd=tmp_path)
    assert result.stdout.startswith("lab.up lab.destroy complete ")
    assert (tmp_path / "inv.asked").read_text(encoding="utf-8") == "--complete -- inv lab.\n"


@pytest.fixture
def inv(tmp_path: Path) -> Path:
    """The real command, wherever this venv lies, on a lab with a snapshot."""
    program = tmp_path / "inv"
    invoke = Path(sys.executable).parent / "invoke"
    program.write_text(f'#!/bin/sh\nexec "{invoke}" --search-root "{ROOT}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "lab.yaml").write_text("name: unit-complete\n", encoding="utf-8")
    return program


def completed(inv: Path, *words: str) -> set[str]:
    """Type words in bash, press the tab key after the last one, and return what is offered."""
    line = " ".join(f"'{word}'" for word in ("./inv", *words))
    before = words[-2] if len(words) > 1 else "./inv"
    script = f"""{completion_script("bash")}
        COMP_WORDS=({line}); COMP_CWORD={len(words)}
        $(complete -p inv | sed 's/.*-F \\([^ ]*\\).*/\\1/') ./inv '{words[-1]}' '{before}'
        printf '%s\\n' "${{COMPREPLY[@]}}" """
    folder = inv.parent
    environment = {"LAB_FILE": str(folder / "lab.yaml"), "XDG_STATE_HOME": str(folder / "state")}
    return set(run(["bash", "-c", script], timeout=30, cwd=folder, env=environment).stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this host")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["lab.snapshot.re"], {"lab.snapshot.restore"}),
        (["lab.up", "--p"], {"--plan", "--provider"}),
        (["lab.ssh", "w"], {"worker-1", "worker-2"}),
    ],
    ids=" ".join,
)
def test_bash_is_offered_tasks_flags_and_values(inv: Path, words: list[str], offered: set[str]) -> None:
    assert completed(inv, *words) == offered


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    (tmp_path / "lab.yaml").write_text("name: unit-complete\n", encoding="utf-8")
    monkeypatch.setenv("LAB_FILE", str(tmp_path / "lab.yaml"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Session(silent())


def test_values_are_the_lab_s_own(session: Session) -> None:
    labdir = LabDir.of(session.lab)
    snapshot.begin(labdir, "fresh")
    snapshot.record(labdir, Snapshot("fresh", "2026-01-01T00:00:00Z", ("client",), ""))
    assert values_after("lab.ssh", session) == [machine.name for machine in session.lab.machines]
    assert values_after("lab.snapshot.restore", session) == ["fresh"]
    assert "docker" in values_after("--provider", session)
    assert errors.BOX_MISSING.id in values_after("explain", session)
    assert values_after("lab.up", session) == ()


def test_every_word_the_script_asks_after_is_known(session: Session) -> None:
    for word in BEFORE_VALUES.split(" | "):
        assert values_after(word, session) or word.startswith("lab.snapshot.")


def test_with_a_lab_file_that_is_not_good_nothing_is_offered_and_nothing_said(session: Session, tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("names: x\n", encoding="utf-8")
    assert values_after("lab.ssh", session) == ()
