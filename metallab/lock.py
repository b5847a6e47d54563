"""One command at a time changes a lab, a bundle or a box: an advisory lock that dies with its process."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from metallab import errors
from metallab.errors import LabError


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file at ``path`` for the block. Raises LAB-HOST-007 at once when another command holds it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabError(errors.HOST_BUSY, f"another command is changing {what}", where=str(path)) from error
        yield
