"""Vagrant: the only place that runs it, and the only home of python-vagrant.

Two limits of it are absorbed here. Vagrant's docker provider lists containers while another process creates one and
then fails on the half-made one; such a failure is retried. And python-vagrant neither streams errors nor has
timeouts, so the long calls run the program itself; the short, parsed ones use the library.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from metallab import errors, paths
from metallab.errors import LabError
from metallab.machines.labdir import LabDir
from metallab.run.local import run
from metallab.run.result import OnLine, Result, ToolMissing
from metallab.run.wait import pause

_T = TypeVar("_T")
UP_SECONDS = 600
HALT_SECONDS = 300
TRIES = 6
RACE = ("No such object", "No such container", "no such container")
"""What docker says of a container that another vagrant is just creating."""
TAKEN = "is already in use by container"
LOCKED = "another process is already executing an action"
"""What vagrant says while the one of a killed command, which nobody waits for, is still at work."""
LOCKED_SECONDS = 3.0
STAGGER = 0.7
"""Seconds between two starts of vagrant: measured, nearly no race is left and nothing is lost."""


@dataclass(frozen=True)
class Vagrant:
    """Vagrant for one lab. ``environment`` leads it to the lab's Docker daemon."""

    labdir: LabDir
    environment: dict[str, str]

    @property
    def variables(self) -> dict[str, str]:
        """Return the variables vagrant needs: the resolved inventory, its own state, and no calls home."""
        dotfile = paths.repo_root() / ".vagrant" if paths.is_own_lab() else self.labdir.path / "vagrant"
        return {
            **self.environment,
            "METALLAB_INVENTORY": str(self.labdir.inventory),
            "VAGRANT_CWD": str(paths.repo_root()),
            "VAGRANT_DOTFILE_PATH": str(dotfile),
            # Vagrant locks a machine by its name and the Vagrantfile's folder: two labs of one checkout would wait
            # for each other.
            "VAGRANT_HOME": str(self.labdir.path / "vagrant.d"),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
        }

    def states(self) -> dict[str, str]:
        """Return each machine's state in Vagrant's words (running, stopped, not_created ...).

        Raises LAB-MACH-008 when vagrant cannot tell.
        """
        return self._library("status").status()

    def ssh_config(self, name: str) -> dict[str, str]:
        """Return what ``vagrant ssh-config`` says of a running machine. Raises LAB-MACH-008."""
        return self._library("ssh-config").conf(vm_name=name)

    def up(self, name: str, on_line: OnLine, *, docker_name: str) -> None:
        """Bring one machine up. Safe to call side by side for several machines.

        ``docker_name`` is the container's: one left by an interrupted ``up``, which Vagrant does not know, is removed.
        Raises LAB-MACH-001 with the end of Vagrant's output.
        """
        for left in reversed(range(TRIES)):
            result = self._call(["up", name], UP_SECONDS, on_line)
            if result.ok:
                return
            said = result.stdout + result.stderr
            if TAKEN in said:
                run(["docker", "rm", "--force", "--volumes", docker_name], timeout=60, env=self.environment)
            elif LOCKED in " ".join(said.split()):
                pause(LOCKED_SECONDS)
            elif not any(words in said for words in RACE):
                break
            if left:
                on_line("another vagrant was in the way; once more")
        raise LabError(errors.MACHINE_UP_FAILED, f"vagrant up {name} failed", where=name, detail=result.tail)

    def halt(self, on_line: OnLine) -> None:
        """Power every machine off. Raises LAB-MACH-008."""
        result = self._call(["halt"], HALT_SECONDS, on_line)
        if not result.ok:
            raise _failed("halt", result.tail)

    def destroy(self, on_line: OnLine) -> None:
        """Destroy every machine and Vagrant's record of them. Raises LAB-MACH-008."""
        result = self._call(["destroy", "--force"], HALT_SECONDS, on_line)
        if not result.ok:
            raise _failed("destroy", result.tail)

    def forget(self) -> None:
        """Remove Vagrant's record of the machines, once they are gone."""
        shutil.rmtree(self.variables["VAGRANT_DOTFILE_PATH"], ignore_errors=True)

    def _call(self, words: list[str], timeout: float, on_line: OnLine) -> Result:
        log = _Log(self.labdir.vagrant_log, f"vagrant {' '.join(words)}")

        def tell(line: str) -> None:
            log.write(line)
            on_line(line)

        return run(
            ["vagrant", "--no-color", *words],
            timeout=timeout,
            env=self.variables,
            cwd=paths.repo_root(),
            check=False,
            on_line=tell,
        )

    def _library(self, call: str) -> _Library:
        return _Library(call, self.variables)


class _Library:
    """python-vagrant with its bare errors turned into ours; it throws Vagrant's own words away unless they are kept."""

    def __init__(self, call: str, variables: dict[str, str]) -> None:
        import vagrant  # noqa: PLC0415 - only a few commands need it

        if vagrant.get_vagrant_executable() is None:
            raise ToolMissing("vagrant")
        self._call = call
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this object
        self._vagrant = vagrant.Vagrant(
            root=str(paths.repo_root()), env={**os.environ, **variables}, err_cm=self._keep_words
        )

    def status(self) -> dict[str, str]:
        return self._guard(lambda: {row.name: row.state for row in self._vagrant.status()})

    def conf(self, vm_name: str) -> dict[str, str]:
        return self._guard(lambda: dict(self._vagrant.conf(vm_name=vm_name)))

    @contextlib.contextmanager
    def _keep_words(self) -> Iterator[IO[bytes]]:
        yield self._said

    def _guard(self, ask: Callable[[], _T]) -> _T:
        try:
            return ask()
        except (subprocess.CalledProcessError, OSError) as error:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace")
            raise _failed(self._call, said or str(getattr(error, "output", "") or error)) from error


class _Log:
    """Keeps everything vagrant says in one file, lines of several vagrants mixed but whole."""

    _lock = threading.Lock()

    def __init__(self, path: Path, title: str) -> None:
        self._path = path
        self.write(f"$ {title}")

    def write(self, line: str) -> None:
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _failed(call: str, said: str) -> LabError:
    tail = "\n".join(said.strip().splitlines()[-12:])
    return LabError(errors.VAGRANT_FAILED, f"vagrant {call} failed", detail=tail)
