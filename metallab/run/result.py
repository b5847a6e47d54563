"""What a command did, and the errors of running one. The same for this host and for a machine."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from metallab import errors
from metallab.errors import Entry, LabError

Argv = Sequence["str | os.PathLike[str]"]
OnLine = Callable[[str], None]
HERE = "this host"
TAIL_LINES = 25


@dataclass(frozen=True)
class Result:
    """A command that ended: what was run, where, its exit status, what it printed and the seconds it took."""

    argv: tuple[str, ...]
    rc: int
    stdout: str
    stderr: str
    seconds: float
    where: str = HERE

    @property
    def ok(self) -> bool:
        """Tell whether it ended with status 0."""
        return self.rc == 0

    @property
    def command(self) -> str:
        """Return the command as a line that can be pasted into a shell."""
        return shlex.join(self.argv)

    @property
    def tail(self) -> str:
        """Return the last lines of what it said, errors preferred: enough to see why it failed."""
        text = self.stderr.strip() or self.stdout.strip()
        return "\n".join(text.splitlines()[-TAIL_LINES:])


class CommandFailed(LabError):
    """A command ran and said no. The transport worked; see :class:`Unreachable` for when it did not."""

    def __init__(self, result: Result) -> None:
        entry: Entry = errors.HOST_COMMAND_FAILED if result.where == HERE else errors.MACHINE_COMMAND_FAILED
        what = f"exit status {result.rc} from: {result.command}"
        super().__init__(entry, what, where=result.where, detail=result.tail)
        self.result = result


class CommandTimedOut(LabError):
    """A command was ended because its time was up."""

    def __init__(self, argv: Sequence[str], timeout: float, where: str, output: str = "") -> None:
        entry: Entry = errors.HOST_COMMAND_TIMED_OUT if where == HERE else errors.MACHINE_COMMAND_TIMED_OUT
        detail = "\n".join(output.strip().splitlines()[-TAIL_LINES:])
        super().__init__(entry, f"no end after {timeout:.0f} s: {shlex.join(argv)}", where=where, detail=detail)


class ToolMissing(LabError):
    """The program is not installed on this host, or the system does not take the file for a program."""

    def __init__(self, program: str, reason: str = "is not installed") -> None:
        super().__init__(errors.HOST_TOOL_MISSING, f"{program} {reason}", where=HERE)
        self.program = program


class Unreachable(LabError):
    """A machine could not be talked to; nothing is known about what a command would have done."""

    def __init__(self, where: str, reason: str, entry: Entry = errors.MACHINE_UNREACHABLE) -> None:
        super().__init__(entry, f"no SSH to {where}: {reason}", where=where)


class Runner(Protocol):
    """Somewhere commands can be run: a machine over SSH, or this host."""

    name: str

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002 - subprocess's own word
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        """Run ``argv`` to its end within ``timeout`` seconds; see :func:`metallab.run.local.run`."""
        ...
