"""What every task does with progress, errors and its end: real Invoke tasks, some on a command line of their own."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from metallab import console, errors, paths
from metallab.errors import ExitCode, LabError
from metallab.tasks._task import Session, finish, task

# A task file of its own: what it does is said on its command line.
TASKS = """
from metallab import console, errors
from metallab.errors import LabError
from metallab.events import Events
from metallab.run.local import run
from metallab.tasks._task import Session, task

@task(long=True, help={"how": "to end"})
def do(session: Session, how: str = "well") -> None:
    \"\"\"Do it.\"\"\"
    with session.events.step("work") as step:
        step.progress("at it", 1, 2)
        console.line("a line of data")
        if how == "lab":
            raise LabError(errors.BOX_MISSING, "no box")
        if how == "full":
            open("/dev/full", "w").write("x" * 100000)
        if how == "bug":
            secret = "token: abcdef.0123456789abcdef"
            try:
                raise KeyError("the cause")
            except KeyError as error:
                raise ValueError(secret) from error
        if how == "stop":
            raise KeyboardInterrupt
        if how == "run":
            run(["sh", "-c", "echo password=hunter2; exit 3"], timeout=10)
"""


def inv(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "tasks.py").write_text(TASKS, encoding="utf-8")
    programs = Path(sys.executable).parent
    return subprocess.run(
        [programs / "invoke", "--search-root", str(folder), *words],
        env={**os.environ, "PYTHONPATH": str(paths.repo_root()), "METALLAB_PROGRESS": ""},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_with_output_json_stdout_is_one_object_a_line_and_the_last_one_is_the_end(tmp_path: Path) -> None:
    done = inv(tmp_path, "do", "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    said = records(done.stdout)
    assert [record["kind"] for record in said] == ["started", "progress", "line", "done", "result"]
    assert said[2] == {"kind": "line", "text": "a line of data"}
    assert said[-1] == {"kind": "result", "ok": True, "code": 0}


def test_an_error_is_the_last_object_with_its_id_and_code_and_words_for_people_on_stderr(tmp_path: Path) -> None:
    done = inv(tmp_path, "do", "-o", "json", "--how", "lab")
    entry = errors.BOX_MISSING
    assert done.returncode == int(entry.exit_code)
    assert records(done.stdout)[-1] == {
        "kind": "result",
        "ok": False,
        "code": int(entry.exit_code),
        "id": entry.id,
        "title": entry.title,
        "what": "no box",
        "cause": entry.cause,
        "fix": entry.fix,
    }
    assert done.stderr.startswith(f"✗ {entry.id}  {entry.title}\n")


@pytest.mark.parametrize(("how", "code"), [("full", 10), ("bug", 70), ("stop", 130)])
def test_every_other_end_has_its_code_there_too(tmp_path: Path, how: str, code: int) -> None:
    done = inv(tmp_path, "do", "-o", "json", "--how", how)
    assert done.returncode == code
    assert records(done.stdout)[-1]["code"] == code
    assert ("Traceback" in done.stderr) == (how == "bug")


def test_without_it_data_goes_to_stdout_and_everything_else_to_stderr(tmp_path: Path) -> None:
    done = inv(tmp_path, "do")
    assert done.stdout == "a line of data\n"
    assert [line.split()[1:3] for line in done.stderr.splitlines()] == [["…", "work"], ["✓", "work"]]


def test_a_mistake_of_ours_says_so_with_what_a_report_needs_and_no_secret(tmp_path: Path) -> None:
    done = inv(tmp_path, "do", "--how", "bug", "--", "password")
    assert done.returncode == int(ExitCode.BUG)
    said = done.stderr
    assert "KeyError: 'the cause'" in said
    assert "this is a mistake in metallab itself (ValueError: token: <redacted" in said
    assert f"  python: {sys.version.split()[0]}, invoke " in said
    assert re.search(r"^  metallab: \S+", said, re.MULTILINE)
    assert "  system: Linux" in said
    assert "  command: ./inv do --how bug -- …\n" in said
    assert "what to do: please report it" in said
    assert "abcdef.0123456789abcdef" not in said
    assert "password" not in said.partition("  command: ")[2]


def test_debug_tells_the_whole_story(tmp_path: Path) -> None:
    done = inv(tmp_path, "--debug", "do", "--how", "run")
    assert done.returncode == int(ExitCode.HOST)
    assert " on this host: sh -c 'echo password=<redacted> exit 3'" in done.stderr
    assert " # exit status 3 after 0." in done.stderr
    assert "Traceback (most recent call last)" in done.stderr
    assert "metallab.run.result.CommandFailed: LAB-HOST-004" in done.stderr
    assert done.stdout == "a line of data\n"


def test_work_goes_on_to_its_end_when_nobody_reads_its_events_any_more(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    # The reader has ended before the first event comes.
    script = 'exec 3>&1; { "$0" --search-root . do -o json --how lab; echo "code $?" >&3; } | true'
    programs = Path(sys.executable).parent
    done = subprocess.run(
        ["sh", "-c", script, programs / "invoke"],
        env={**os.environ, "PYTHONPATH": str(paths.repo_root())},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"code {int(errors.BOX_MISSING.exit_code)}" in done.stdout
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_full_disk_behind_stdout_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    programs = Path(sys.executable).parent
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [programs / "invoke", "--search-root", tmp_path, "do", "-o", "json"],
            env={**os.environ, "PYTHONPATH": str(paths.repo_root())},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == int(ExitCode.HOST)
    assert done.stderr.splitlines()[0] == f"✗ {errors.HOST_DISK_FULL.id}  {errors.HOST_DISK_FULL.title}"
    assert "Traceback" not in done.stderr


def test_output_of_another_kind_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    done = inv(tmp_path, "do", "-o", "yaml")
    assert done.returncode == int(ExitCode.HOST)
    assert "no output is called 'yaml'; there is: words, json" in done.stderr
    assert "work" not in done.stderr


# -- in this process -------------------------------------------------------------------------------------------


@task(long=True)
def judge(_session: Session) -> None:
    """End with a code of its own, having shown a table."""
    console.table("checks", ("id", "seen"), [("tcp", "✗")])
    finish(int(ExitCode.CHECK_FAILED))


def test_a_result_that_is_no_error_ends_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as caught:
        judge(Context(), output="json")  # type: ignore[call-arg, arg-type]
    assert caught.value.code == 1
    table, end = records(capsys.readouterr().out)
    assert table == {"kind": "table", "title": "checks", "columns": ["id", "seen"], "rows": [["tcp", "✗"]]}
    assert end == {"kind": "result", "ok": False, "code": 1}


def test_the_next_command_of_the_process_is_not_json_any_more(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit):
        judge(Context(), output="json")  # type: ignore[call-arg, arg-type]
    capsys.readouterr()
    with pytest.raises(Exit):
        judge(Context())  # type: ignore[arg-type]
    assert capsys.readouterr().out.splitlines()[0] == "checks"


def test_stdout_nobody_reads_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())

    @task
    def speak(_session: Session) -> None:
        console.line("hello")

    speak(Context())  # type: ignore[arg-type]


def test_a_lab_error_shows_its_why(capsys: pytest.CaptureFixture[str]) -> None:
    @task
    def fail(_session: Session) -> None:
        raise LabError(errors.BUNDLE_MISSING, "none here")

    with pytest.raises(Exit) as caught:
        fail(Context())  # type: ignore[arg-type]
    assert caught.value.code == int(ExitCode.BUNDLE)
    assert f"  why: {errors.BUNDLE_MISSING.cause}\n" in capsys.readouterr().err
