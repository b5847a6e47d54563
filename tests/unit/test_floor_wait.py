"""The one place that waits."""

from __future__ import annotations

import time

import pytest

from metallab import errors
from metallab.run.wait import NotYet, WaitTimedOut, until


def test_the_value_of_the_first_satisfied_check_comes_back() -> None:
    states = iter(["starting", "starting", "nearly"])
    told: list[str] = []

    def check() -> int:
        for state in states:
            raise NotYet(state)
        return 42

    assert until(check, timeout=10, what="the answer", every=0.01, on_wait=told.append) == 42
    assert told == ["starting", "nearly"], "a state is told when it changes"


def test_after_the_deadline_the_error_says_what_for_and_what_was_last_seen() -> None:
    def check() -> None:
        raise NotYet("2 of 3 ready")

    began = time.monotonic()
    with pytest.raises(WaitTimedOut) as caught:
        until(check, timeout=0.3, what="the nodes", entry=errors.MACHINE_UNREACHABLE)
    assert 0.25 < time.monotonic() - began < 5
    assert caught.value.entry is errors.MACHINE_UNREACHABLE
    assert caught.value.what == "waited 0 s for the nodes"
    assert caught.value.detail == "last seen: 2 of 3 ready"
    assert caught.value.last == "2 of 3 ready"


def test_it_always_looks_once_and_never_again_without_time() -> None:
    looks: list[int] = []

    def check() -> None:
        looks.append(1)
        raise NotYet

    with pytest.raises(WaitTimedOut):
        until(check, timeout=0, what="nothing")
    assert len(looks) == 1


def test_any_other_error_is_not_waited_out() -> None:
    def check() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        until(check, timeout=10, what="nothing")
