"""The table of contents: every task says in a line what it does, with an example that its own flags understand."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser import Parser

import tasks
from metallab import paths
from metallab.errors import ExitCode

NAMES = sorted(tasks.ns.task_names)
WIDEST = 120
LONG = (
    *("demo", "setup", "bundle.build", "box.build", "lab.up", "lab.halt", "lab.destroy", "metallb.install"),
    *("iperf3.deploy", "iperf3.delete", "lab.snapshot.save", "lab.snapshot.restore", "lab.snapshot.delete"),
)


def example_of(name: str) -> str:
    help_text = (tasks.ns[name].__doc__ or "").strip()
    found = re.search(r" Example: \./inv ([^\n]+)\.$", help_text)
    assert found is not None, help_text
    return found[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_task_says_in_a_line_what_it_does_and_gives_an_example(name: str) -> None:
    help_text = (tasks.ns[name].__doc__ or "").strip()
    assert "\n" not in help_text
    assert len(help_text) <= WIDEST
    assert help_text[0].isupper()
    assert example_of(name).split()[0] == name


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_understood(name: str) -> None:
    words, _, rest = example_of(name).partition(" -- ")
    parsed = Parser(contexts=tasks.ns.to_contexts()).parse_argv([*shlex.split(words), *(["--", rest] if rest else [])])
    (context,) = [found for found in parsed if found.name]
    assert context.name == name
    assert parsed.remainder == rest
    assert all(argument.value is not None for argument in context.positional_args)


ASK = """
import json, tasks
print(json.dumps({
    name: {argument.name: [argument.help, argument.default] for argument in tasks.ns[name].get_arguments()}
    for name in tasks.ns.task_names
}))
"""


@pytest.fixture(scope="module")
def flags() -> dict[str, dict[str, list[str]]]:
    """Return task -> flag -> its help and default; in a process of its own, for Invoke gives the help once only."""
    said = subprocess.run(
        [sys.executable, "-c", ASK], cwd=paths.repo_root(), capture_output=True, timeout=60, check=True
    )
    found: dict[str, dict[str, list[str]]] = json.loads(said.stdout)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_flag_has_its_help(name: str, flags: dict[str, dict[str, list[str]]]) -> None:
    assert [flag for flag, (words, _) in flags[name].items() if not words] == []


@pytest.mark.parametrize("name", LONG)
def test_what_takes_long_gives_its_events_as_json(name: str, flags: dict[str, dict[str, list[str]]]) -> None:
    words, default = flags[name]["output"]
    assert "one event a line on stdout" in words
    assert default == "words"


def require_refused(name: str, **flag: str) -> None:
    """Type a command with a flag it cannot take, and see it end as the host's errors do."""
    given = {argument.name: "x" for argument in tasks.ns[name].get_arguments() if argument.positional}
    with pytest.raises(Exit) as caught:
        tasks.ns[name](Context(), **flag, **given)
    assert caught.value.code == int(ExitCode.HOST), name


def test_an_output_nobody_knows_is_refused_before_anything_is_read(
    flags: dict[str, dict[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The lab file is missing and there is no bundle: whoever looks for one of them first says that.
    monkeypatch.setenv("LAB_FILE", str(tmp_path / "no-lab.yaml"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = [name for name in NAMES if name not in LONG and "output" in flags[name]]
    assert {"doctor", "lab.status", "metallb.status", "config.show", "verify", "drill.run"} <= set(asked)
    for name in asked:
        require_refused(name, output="xml")
        known = flags[name]["output"][1]
        assert f"no output is called 'xml'; there is: {known}, json" in capsys.readouterr().err, name


def test_a_number_that_is_none_is_refused_before_anything_is_read(
    flags: dict[str, dict[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LAB_FILE", str(tmp_path / "no-lab.yaml"))
    asked = [
        (name, flag)
        for name in NAMES
        for flag, (_, default) in flags[name].items()
        if re.fullmatch(r"\d+(\.\d+)?", str(default))
    ]
    assert {("drill.run", "repeat"), ("lesson.serve", "port"), ("lab.status", "every"), ("bench", "rounds")} <= {*asked}
    for name, flag in asked:
        require_refused(name, **{flag: "many"})
        assert f"--{flag} takes a number, and 'many' is none" in capsys.readouterr().err, name


def test_no_flag_is_left_that_invoke_itself_would_read_as_a_number(flags: dict[str, dict[str, list[str]]]) -> None:
    kinds = {type(default) for of_task in flags.values() for _, default in of_task.values()}
    assert kinds <= {str, bool, type(None)}
