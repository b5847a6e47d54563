"""The Tab key, pressed for real: bash, zsh and fish at a terminal, with the command itself behind them."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metallab import paths
from metallab.run.wait import NotYet, until

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], ""),
    "zsh": (["zsh", "-f", "-i"], ""),
    # As most people have it, by their own files or their distribution's: another way of completing comes first.
    "zsh with compinit": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D; "),
    "fish": (["fish", "--no-config", "-i"], "function fish_prompt; echo -n $PS1; end; "),
}
# Typed in two halves, so that the echo of it is not taken for the prompt.
READY, SAY_READY = "READY>", "PS1='REA''DY>'"
SECONDS = 120
"""Several Pythons start one after the other, and others may be at work on this host."""
PROGRAM = """\
#!/bin/sh
case "$1" in --complete | completion) exec "{invoke}" --search-root "{root}" "$@" ;; esac
echo "$*" >"$0.new"
mv "$0.new" "$0.ran"
"""
"""The real command as far as completion goes; what is run in the end is only kept."""


class Terminal:
    """A shell that sits at a terminal, and whoever types there."""

    def __init__(self, screen: int) -> None:
        self._screen = screen
        self._seen = ""
        os.set_blocking(screen, False)

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def read(self) -> str:
        """Return all that was shown up to now."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._seen += os.read(self._screen, 65536).decode(errors="replace")
        return self._seen


@contextlib.contextmanager
def at_a_terminal(argv: list[str], folder: Path) -> Iterator[Terminal]:
    screen, line = pty.openpty()
    environment = {
        **os.environ,
        "HOME": str(folder),
        "SHELL": argv[0],
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
        "LAB_FILE": str(folder / "lab.yaml"),
        "XDG_STATE_HOME": str(folder / "state"),
    }
    # setsid gives it the terminal, as a login does: without one of its own a shell does not edit lines.
    shell = subprocess.Popen(
        ["setsid", "--ctty", *argv], stdin=line, stdout=line, stderr=line, cwd=folder, env=environment
    )
    os.close(line)
    try:
        yield Terminal(screen)
    finally:
        shell.kill()
        shell.wait()
        os.close(screen)


@pytest.mark.parametrize(
    ("typed", "run"),
    [
        ("./inv lab.u\t", "lab.up"),
        ("./inv lab.up --pl\t", "lab.up --plan"),
        ("./inv lab.sn\tre\t", "lab.snapshot.restore"),
    ],
)
@pytest.mark.parametrize("name", SHELLS)
def test_the_tab_key_completes(tmp_path: Path, name: str, typed: str, run: str) -> None:
    argv, first = SHELLS[name]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"needs {argv[0]}: ./inv test --yes")
    (tmp_path / "lab.yaml").write_text("name: integration-complete\n", encoding="utf-8")
    program = tmp_path / "inv"
    invoke = Path(sys.executable).parent / "invoke"
    program.write_text(PROGRAM.format(invoke=invoke, root=paths.repo_root()), encoding="utf-8")
    program.chmod(0o755)
    with at_a_terminal(argv, tmp_path) as terminal:

        def ready() -> None:
            if READY not in terminal.read():
                raise NotYet(terminal.read()[-500:])

        def ended() -> str:
            terminal.read()  # or it would stand still, having filled the terminal
            if not (tmp_path / "inv.ran").exists():
                raise NotYet(terminal.read()[-500:])
            return (tmp_path / "inv.ran").read_text(encoding="utf-8")

        say_ready = f"set {SAY_READY.replace('=', ' ')}" if argv[0] == "fish" else SAY_READY
        terminal.type(f'{first}eval "$(./inv completion)"; {say_ready}\n')
        until(ready, timeout=SECONDS, what=f"{name}'s prompt")
        terminal.type(f"{typed}\n")
        assert until(ended, timeout=SECONDS, what=f"{name} to run what was typed").split() == run.split()
