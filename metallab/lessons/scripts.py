"""A lesson's own scripts: plain bash, run in the checkout with the lesson's values as variables."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from metallab import errors, paths
from metallab.errors import LabError
from metallab.run import pace
from metallab.run.local import run
from metallab.run.result import CommandFailed, CommandTimedOut, OnLine

SECONDS = 300.0
_FACT = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$")


def play(script: Path, values: Mapping[str, str], say: OnLine | None = None) -> str:
    """Run a script as somebody at a shell would, and return what it printed; ``say`` is told each line.

    Raises LAB-LSN-004 when it fails.
    """
    # No progress of the commands inside: what they say in the end is enough.
    env = {**values, "METALLAB_PROGRESS": "plain"}
    try:
        argv = ["bash", "-euo", "pipefail", str(script)]
        done = run(argv, timeout=pace.scaled(SECONDS), cwd=paths.repo_root(), env=env, on_line=say)
    except (CommandFailed, CommandTimedOut) as error:
        raise LabError(errors.LESSON_SCRIPT_FAILED, error.what, where=str(script), detail=error.detail) from error
    return done.stdout


def facts(printed: str, wanted: Collection[str], script: Path) -> dict[str, str]:
    """Read lines NAME=value. Raises LAB-LSN-004 when one that the lesson promises is missing."""
    found = {match[1]: match[2].strip() for match in map(_FACT.match, printed.splitlines()) if match is not None}
    missing = [name for name in wanted if not found.get(name)]
    if missing:
        raise LabError(errors.LESSON_SCRIPT_FAILED, f"it did not say {', '.join(missing)}", where=str(script))
    return {name: found[name] for name in wanted}


def answer(printed: str) -> str:
    """Return what a solution answers: its last line."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return lines[-1] if lines else ""
