"""Tests on virtual machines: minutes where others take seconds, so CI runs them as far as its time goes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from tests.e2e.conftest import built

__all__ = ["built", "stopwatch"]


@contextlib.contextmanager
def stopwatch(what: str) -> Iterator[None]:
    """Print what a part took, for the closing note; ``pytest -rP`` shows it."""
    began = time.monotonic()
    yield
    print(f"TOOK {what}: {time.monotonic() - began:.0f} s")
