"""Progress as data."""

from __future__ import annotations

import threading

import pytest

from metallab import errors
from metallab.errors import LabError
from metallab.events import Event, Events, Kind, silent


def collect() -> tuple[list[Event], Events]:
    seen: list[Event] = []
    return seen, Events(seen.append)


def test_a_step_that_goes_well_says_so_with_its_result_and_time() -> None:
    seen, events = collect()
    with events.step("pack") as step:
        step.progress("first", 1, 3)
        step.result("3 files")
    assert [event.kind for event in seen] == [Kind.STARTED, Kind.PROGRESS, Kind.DONE]
    assert all(event.step == "pack" for event in seen)
    assert (seen[1].text, seen[1].done, seen[1].total) == ("first", 1, 3)
    assert seen[2].text == "3 files"
    assert seen[2].seconds >= seen[1].seconds >= 0


def test_a_step_with_nothing_to_do_ends_as_skipped_with_the_reason() -> None:
    seen, events = collect()
    with events.step("pack") as step:
        step.skip("already there")
    assert (seen[-1].kind, seen[-1].text) == (Kind.SKIPPED, "already there")


def test_a_step_can_end_as_failed_without_an_error() -> None:
    seen, events = collect()
    with events.step("proof") as step:
        step.fail("nobody answers")
    assert (seen[-1].kind, seen[-1].text) == (Kind.FAILED, "nobody answers")


def test_a_step_that_raises_a_lab_error_says_what_failed() -> None:
    seen, events = collect()
    with pytest.raises(LabError), events.step("machine"):
        raise LabError(errors.MACHINE_UP_FAILED, "vagrant up worker-1 failed", detail="a long story")
    assert (seen[-1].kind, seen[-1].text) == (Kind.FAILED, "vagrant up worker-1 failed")


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_a_step_that_raises_ends_as_failed_and_lets_the_error_through(error: BaseException) -> None:
    seen, events = collect()
    with pytest.raises(type(error)), events.step("pack"):
        raise error
    assert (seen[-1].kind, seen[-1].text) == (Kind.FAILED, type(error).__name__)


def test_notes_and_warnings_belong_to_no_step() -> None:
    seen, events = collect()
    events.note("by the way")
    events.warn("careful")
    assert [(event.kind, event.step, event.text) for event in seen] == [
        (Kind.NOTE, "", "by the way"),
        (Kind.WARNING, "", "careful"),
    ]


def test_steps_may_run_in_several_threads() -> None:
    seen, events = collect()
    together = threading.Barrier(8)

    def work(name: str) -> None:
        with events.step(name):
            together.wait(10)

    threads = [threading.Thread(target=work, args=(f"step {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        assert [event.kind for event in seen if event.step == f"step {number}"] == [Kind.STARTED, Kind.DONE]


def test_silent_events_swallow_everything() -> None:
    with silent().step("unheard") as step:
        step.progress("still unheard")
    assert step.seconds >= 0
