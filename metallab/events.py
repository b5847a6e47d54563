"""Progress as data: what is being done, since when, how far. Nothing here draws; ``console.py`` does.

Library code is given an :class:`Events` and opens a step for everything that can take more than a second.
Steps may run in several threads at once.
"""

from __future__ import annotations

import contextlib
import enum
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from metallab.errors import LabError


class Kind(enum.Enum):
    """What an event says about its step."""

    STARTED = "started"
    PROGRESS = "progress"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    NOTE = "note"
    WARNING = "warning"


@dataclass(frozen=True)
class Event:
    """One thing that happened. ``seconds`` is the time since the step began; ``done``/``total`` count its parts."""

    kind: Kind
    step: str
    text: str = ""
    seconds: float = 0.0
    done: int | None = None
    total: int | None = None


Sink = Callable[[Event], None]


class Step:
    """A running step; its owner reports through it."""

    def __init__(self, title: str, sink: Sink) -> None:
        self.title = title
        self._sink = sink
        self._began = time.monotonic()
        self._outcome = Kind.DONE
        self._words = ""

    @property
    def seconds(self) -> float:
        """Return the seconds since the step began."""
        return time.monotonic() - self._began

    def progress(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """Say what is happening now and, where it can be counted, how much of it is done."""
        self._sink(Event(Kind.PROGRESS, self.title, text, self.seconds, done, total))

    def skip(self, reason: str) -> None:
        """Say that there was nothing to do; the step then ends as skipped."""
        self._outcome, self._words = Kind.SKIPPED, reason

    def result(self, text: str) -> None:
        """Keep a few words that are shown when the step is done."""
        self._words = text

    def fail(self, text: str) -> None:
        """Say that the step did not come out well although the command goes on: a check that does not hold."""
        self._outcome, self._words = Kind.FAILED, text

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            # The whole of an error is shown once, at the end; of several that came at once, these words are all.
            self.fail(error.what if isinstance(error, LabError) else type(error).__name__)
        self._sink(Event(self._outcome, self.title, self._words, self.seconds))


class Events:
    """Hands events to one sink (a terminal, plain lines, a test's list)."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Open a step; it ends as done, skipped or failed as its owner says, and as failed when the block raises."""
        step = Step(title, self._sink)
        self._sink(Event(Kind.STARTED, title))
        try:
            yield step
        except BaseException as error:
            step._end(error)  # noqa: SLF001 - Step and Events are one thing in two classes
            raise
        step._end(None)  # noqa: SLF001

    def note(self, text: str) -> None:
        """Say something worth knowing that belongs to no step."""
        self._sink(Event(Kind.NOTE, "", text))

    def warn(self, text: str) -> None:
        """Say something that may surprise the user but stops nothing."""
        self._sink(Event(Kind.WARNING, "", text))


def silent() -> Events:
    """Return events nobody sees, for callers that only want the result."""
    return Events(lambda _event: None)
