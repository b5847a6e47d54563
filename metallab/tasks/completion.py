"""``inv completion``: what a shell needs to complete tasks, their flags and, in bash, the values some of them take."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from invoke.completion.complete import print_completion_script

from metallab import console, errors
from metallab.errors import LabError
from metallab.tasks._task import Session, task

SHELLS = ("bash", "zsh", "fish")
BEFORE_VALUES = (
    "lab.ssh | lab.snapshot.restore | lab.snapshot.delete | drill.run | explain | --provider | --format | --shell"
)
"""The words a value follows that is known, as a pattern of bash."""


@task(
    help={
        "shell": "bash, zsh or fish; without it the one in $SHELL",
        "after": "print what can stand after this word (the script asks that)",
    }
)
def completion(session: Session, shell: str = "", after: str = "") -> None:
    """Print the completion script for a shell, to be read by eval. Example: ./inv completion --shell bash."""
    if after:
        console.line("\n".join(values_after(after, session)))
    else:
        console.line(completion_script(shell or Path(os.environ.get("SHELL", "bash")).name))


def values_after(word: str, session: Session) -> Iterable[str]:
    """Return what can stand after a task or a flag; nothing where that is not known, or the lab file is not good."""
    from metallab import config, snapshots

    try:
        if word == "lab.ssh":
            return [machine.name for machine in session.lab.machines]
        if word in ("lab.snapshot.restore", "lab.snapshot.delete"):
            return [kept.name for kept in snapshots.recorded(session.lab)]
    except LabError:
        return ()
    if word == "drill.run":
        from metallab.drills import registry

        return [drill.id for drill in registry.DRILLS]
    return {
        "explain": ["all", *(entry.id for entry in errors.catalogue())],
        "--provider": get_args(config.Provider),
        "--format": [name for name in get_args(config.Provider) if name != "auto"],
        "--shell": SHELLS,
    }.get(word, ())


def completion_script(shell: str) -> str:
    """Return Invoke's completion script for ``shell``, changed so that it asks the very command being completed.

    Invoke's own asks the program ``inv`` on the PATH, which there need not be: ``./inv`` is typed with its path.
    Raises LAB-HOST-010 for a shell Invoke has no script for.
    """
    if shell not in SHELLS:
        raise LabError(errors.HOST_CHOICE_UNKNOWN, f"no completion for {shell!r}; there is: {', '.join(SHELLS)}")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        print_completion_script(shell, ["inv"])
    in_bash = f"""case "${{COMP_WORDS[COMP_CWORD-1]}}" in
        ({BEFORE_VALUES}) "${{COMP_WORDS[0]}}" completion --after="${{COMP_WORDS[COMP_CWORD-1]}}" ;;
        (*) "${{COMP_WORDS[0]}}" --complete -- inv "${{COMP_WORDS[@]:1}}" ;;
        esac 2>/dev/null"""
    asked, asks = {
        "bash": ("inv --complete -- ${COMP_WORDS[*]}", in_bash),
        # Not $words: that is there only where somebody has loaded compinit.
        "zsh": (
            "inv ${=collection_arg} --complete -- ${words}",
            "read -cA typed; ${typed[1]} --complete -- inv ${typed[2,-1]} 2>/dev/null",
        ),
        "fish": (
            "inv --complete -- (commandline --tokenize)",
            "set -l typed (commandline --tokenize)\n    $typed[1] --complete -- inv $typed[2..-1] 2>/dev/null",
        ),
    }[shell]
    text = printed.getvalue()
    if asked not in text:
        raise AssertionError(f"Invoke's {shell} completion script has changed")
    return text.replace(asked, asks).rstrip()
