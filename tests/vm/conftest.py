"""Tests on virtual machines: minutes where others take seconds, so CI runs them as far as its time goes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from metallab.host import kvm
from tests.conftest import TOO_LATE, ci_seconds_left, need_ci_minutes
from tests.e2e.conftest import UP_SECONDS, User, built

__all__ = ["built", "stopwatch"]
CLEARING_SECONDS = 150
"""Kept of CI's time for taking a lab down: 12 s when nothing else is running."""


class UserInTime(User):
    """A user who is through before CI's time is: a command that it does not last for is ended, and said not to be run.

    A machine that shares its processor can take twice as long as ever before, and is no worse for that; a run that CI
    ends in the middle says nothing of anything. A command that takes longer than its own limit still fails.
    """

    def inv(
        self, *words: str, expect: int | tuple[int, ...] = 0, timeout: float = UP_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Type a command and look at its exit code."""
        left = ci_seconds_left()
        lasts = timeout if left is None else min(timeout, left - CLEARING_SECONDS)
        too_late = f"{TOO_LATE}: CI's time ended in ./inv {' '.join(words)}"
        if lasts <= 0:
            pytest.skip(too_late)
        try:
            return super().inv(*words, expect=expect, timeout=lasts)
        except subprocess.TimeoutExpired:
            if lasts < timeout:
                pytest.skip(too_late)
            raise


def need_speed(minutes: int) -> None:
    """Skip, loudly, what takes too long by plain emulation; METALLAB_SLOW_TESTS=1 runs it all the same."""
    need_ci_minutes(minutes)
    if not kvm.probe().works and "METALLAB_SLOW_TESTS" not in os.environ:
        pytest.skip(f"{TOO_LATE}: without KVM it may take {minutes} minutes (METALLAB_SLOW_TESTS=1 runs it)")


@contextlib.contextmanager
def stopwatch(what: str) -> Iterator[None]:
    """Print what a part took, for the closing note; ``pytest -rP`` shows it."""
    began = time.monotonic()
    yield
    print(f"TOOK {what}: {time.monotonic() - began:.0f} s")
