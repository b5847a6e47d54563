"""Tests on virtual machines: minutes where others take seconds, so CI runs them as far as its time goes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

import pytest

from metallab.host import kvm
from tests.conftest import TOO_LATE, need_ci_minutes
from tests.e2e.conftest import built

__all__ = ["built", "stopwatch"]


def need_speed(minutes: int) -> None:
    """Skip, loudly, what was not yet seen to pass by plain emulation; METALLAB_SLOW_TESTS=1 runs it all the same."""
    need_ci_minutes(minutes)
    if not kvm.probe().works and "METALLAB_SLOW_TESTS" not in os.environ:
        pytest.skip(f"{TOO_LATE}: without KVM it may take {minutes} minutes (METALLAB_SLOW_TESTS=1 runs it)")


@contextlib.contextmanager
def stopwatch(what: str) -> Iterator[None]:
    """Print what a part took, for the closing note; ``pytest -rP`` shows it."""
    began = time.monotonic()
    yield
    print(f"TOOK {what}: {time.monotonic() - began:.0f} s")
