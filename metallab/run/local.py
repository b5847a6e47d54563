"""The only way to run a command on this host."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import IO, NoReturn

from metallab.redaction import redact
from metallab.run import cancel
from metallab.run.result import HERE, Argv, CommandFailed, CommandTimedOut, OnLine, Result, ToolMissing

STORY = logging.getLogger(__name__)
"""Every command with its exit status and seconds, for ``--debug``."""
SLICE = 0.25
"""Seconds between two looks at whether the user pressed Ctrl-C."""


def run(
    argv: Argv,
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    input: str | bytes | None = None,  # noqa: A002 - subprocess's own word
    check: bool = True,
    on_line: OnLine | None = None,
) -> Result:
    """Run ``argv`` (never a shell string) and return what it did.

    ``env`` holds extra variables; ``on_line`` gets each line of both streams as it comes. The command gets its own
    process group, which is ended on timeout and on Ctrl-C, so nothing is left running.

    Raises :class:`ToolMissing`, :class:`CommandTimedOut` and, when ``check``, :class:`CommandFailed`.
    """
    words = tuple(os.fspath(word) for word in argv)
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        if cwd is not None and not os.access(cwd, os.X_OK):
            raise
        raise _not_started(words[0], error) from error
    readers = [_Reader(stream, on_line) for stream in (process.stdout, process.stderr) if stream is not None]
    try:
        _feed(process, input)
        _wait(process, began + timeout)
    except subprocess.TimeoutExpired:
        _end(process)
        STORY.debug("no end after %.1f s: %s", timeout, redact(shlex.join(words)))
        output = "\n".join(reader.text() for reader in readers)
        raise CommandTimedOut(words, timeout, HERE, output) from None
    except BaseException:
        _end(process)
        raise
    stdout, stderr = (reader.text() for reader in readers)
    for reader in readers:
        if reader.failure is not None:
            raise reader.failure
    result = Result(words, process.returncode, stdout, stderr, time.monotonic() - began)
    tell(result)
    if check and not result.ok:
        raise CommandFailed(result)
    return result


def tell(result: Result) -> None:
    """Tell the story of a command that ended, for ``--debug``."""
    words = redact(result.command)
    STORY.debug("exit status %d after %.2f s on %s: %s", result.rc, result.seconds, result.where, words)


def _not_started(program: str, error: OSError) -> Exception:
    """Return what a program that does not start is: missing, or no program; for anything else the error itself."""
    if isinstance(error, FileNotFoundError):
        return ToolMissing(program)
    if error.errno in (errno.EACCES, errno.ENOEXEC, errno.EISDIR, errno.ELOOP):
        return ToolMissing(program, f"cannot be run: {error.strerror}")
    return error


class _Reader:
    """Drains one stream in a thread, so that a chatty command never blocks.

    What goes wrong in whoever listens (a log on a full disk) is kept in ``failure``; the stream is read on to its end.
    """

    def __init__(self, stream: IO[bytes], on_line: OnLine | None) -> None:
        self._lines: list[str] = []
        self._stream = stream
        self._on_line = on_line
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        with self._stream:
            for raw in self._stream:
                line = raw.decode(errors="replace")
                self._lines.append(line)
                if self._on_line is not None and self.failure is None:
                    try:
                        self._on_line(line.rstrip("\n"))
                    except Exception as error:  # noqa: BLE001 - raised by run(), in the thread that asked
                        self.failure = error

    def text(self) -> str:
        # A daemon the command left behind may hold the pipe open; its lines are not the command's.
        self._thread.join(timeout=2)
        return "".join(self._lines)


def _feed(process: subprocess.Popen[bytes], data: str | bytes | None) -> None:
    if data is None or process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(data.encode() if isinstance(data, str) else data)


def _wait(process: subprocess.Popen[bytes], deadline: float) -> None:
    """Wait for the end, in slices, so that a command in a thread hears of Ctrl-C. Raises TimeoutExpired, Cancelled."""
    while True:
        left = deadline - time.monotonic()
        try:
            process.wait(min(SLICE, max(0.0, left)))
        except subprocess.TimeoutExpired:
            if left <= SLICE:
                raise
            cancel.check()
        else:
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command's whole process group: politely, then for good."""
    for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            break
    # The command has ended; a child of it that was deaf to SIGTERM may not have.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def spawn(argv: Argv, *, log: str | os.PathLike[str], env: Mapping[str, str] | None = None) -> int:
    """Start a daemon that outlives this command, its output appended to ``log``; return its process id.

    It gets a session of its own, so Ctrl-C does not reach it; whoever starts it must know how to end it.
    Raises :class:`ToolMissing`.
    """
    words = tuple(os.fspath(word) for word in argv)
    with open(log, "ab") as output:  # noqa: PTH123 - a path or a string
        try:
            process = subprocess.Popen(
                words,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise _not_started(words[0], error) from error
    # Nobody here will wait for it: without this, Python warns of a child it still owns.
    process.returncode = 0
    return process.pid


def replace(argv: Argv, env: Mapping[str, str] | None = None) -> NoReturn:
    """Become ``argv``: for a program that talks to the user's terminal itself (ssh, kubectl).

    Raises :class:`ToolMissing`; otherwise never returns.
    """
    words = [os.fspath(word) for word in argv]
    sys.stdout.flush()
    sys.stderr.flush()
    STORY.debug("this process becomes: %s", redact(shlex.join(words)))
    try:
        os.execvpe(words[0], words, {**os.environ, **(env or {})})
    except OSError as error:
        raise _not_started(words[0], error) from error
