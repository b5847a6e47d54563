"""The only place that waits. Every wait has a deadline, a reason, and says what it last saw when it gives up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from metallab import errors
from metallab.errors import Entry, LabError
from metallab.run import cancel, pace

T = TypeVar("T")
EVERY = 0.2


class NotYet(Exception):
    """Raised by a check that is not satisfied; its text is the state shown if the wait gives up."""


class WaitTimedOut(LabError):
    """The deadline passed. ``last`` is the last state seen."""

    def __init__(self, entry: Entry, what: str, timeout: float, last: str) -> None:
        seen = f"last seen: {last}" if last else ""
        super().__init__(entry, f"waited {timeout:.0f} s for {what}", detail=seen)
        self.last = last


def until(
    check: Callable[[], T],
    *,
    timeout: float,
    what: str,
    entry: Entry = errors.CLUSTER_TIMEOUT,
    every: float = EVERY,
    on_wait: Callable[[str], None] | None = None,
) -> T:
    """Call ``check`` until it returns instead of raising :class:`NotYet`, and return its value.

    ``timeout`` and ``every`` are seconds, the first of an ordinary machine (:mod:`.pace`). ``what`` completes the
    sentence "waited N s for …". ``on_wait`` is told the state whenever it changes. Any other exception of ``check`` is
    not waited out.
    Raises :class:`WaitTimedOut` under ``entry`` after the deadline; ``check`` is always called at least once.
    """
    timeout = pace.scaled(timeout)
    deadline = time.monotonic() + timeout
    last = ""
    while True:
        try:
            return check()
        except NotYet as state:
            if str(state) != last and on_wait is not None:
                on_wait(str(state))
            last = str(state)
        if time.monotonic() >= deadline:
            raise WaitTimedOut(entry, what, timeout, last)
        pause(min(every, max(0.0, deadline - time.monotonic())))


def pause(seconds: float) -> None:
    """Sleep. Here, and nowhere else, so that every sleep in the lab can be found; Ctrl-C ends it in threads, too."""
    cancel.pause(seconds)
