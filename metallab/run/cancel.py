"""Ctrl-C for work that runs in threads: the main thread asks, every wait and every command in a thread ends soon."""

from __future__ import annotations

import threading

_asked = threading.Event()


class Cancelled(BaseException):
    """Raised in a thread whose work is no longer wanted. Like KeyboardInterrupt, it is not an ordinary error."""


def request() -> None:
    """Ask every thread to stop at its next wait."""
    _asked.set()


def reset() -> None:
    """Take the request back, once the threads it was for have ended."""
    _asked.clear()


def check() -> None:
    """Raise :class:`Cancelled` when stopping was asked for."""
    if _asked.is_set():
        raise Cancelled


def pause(seconds: float) -> None:
    """Sleep, but not past a request to stop. Raises :class:`Cancelled`."""
    if _asked.wait(seconds):
        raise Cancelled
