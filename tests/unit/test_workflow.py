"""Jobs run as soon as they can, and stop when one fails."""

from __future__ import annotations

import threading
import time

import pytest

from metallab.events import Event, Events, Kind, Step
from metallab.run import cancel, wait
from metallab.workflow import Job, perform


def test_independent_jobs_overlap_and_dependent_ones_wait() -> None:
    together = threading.Barrier(2, timeout=5)
    order: list[str] = []

    def meet(name: str) -> Job:
        def do(_step: Step) -> None:
            together.wait()
            order.append(name)

        return Job(name, do)

    last = Job("last", lambda _step: order.append("last"), after=("left", "right"))
    perform([last, meet("left"), meet("right")], Events(lambda _event: None))
    assert set(order[:2]) == {"left", "right"}
    assert order[2] == "last"


def test_a_failure_is_raised_after_running_jobs_ended_and_later_ones_never_start() -> None:
    seen: list[Event] = []
    started = threading.Event()
    ran: list[str] = []

    def fails(_step: Step) -> None:
        started.wait(5)
        raise ValueError("broken")

    def slow(_step: Step) -> None:
        started.set()
        wait.pause(0.2)
        ran.append("slow")

    jobs = [
        Job("fails", fails),
        Job("slow", slow),
        Job("never", lambda _step: ran.append("never"), after=("fails",)),
        Job("also never", lambda _step: ran.append("also never"), after=("slow",)),
    ]
    with pytest.raises(ValueError, match="broken"):
        perform(jobs, Events(seen.append))
    assert ran == ["slow"]
    assert {event.step for event in seen if event.kind is Kind.FAILED} == {"fails"}


def test_a_need_nobody_meets_is_a_bug_said_at_once() -> None:
    with pytest.raises(ValueError, match="no job is called nothing"):
        perform([Job("a", lambda _step: None, after=("nothing",))], Events(lambda _event: None))


def test_cancelling_ends_a_wait_in_a_thread_soon() -> None:
    ended = threading.Event()

    def waits() -> None:
        try:
            wait.pause(30)
        except cancel.Cancelled:
            ended.set()

    thread = threading.Thread(target=waits)
    thread.start()
    began = time.monotonic()
    cancel.request()
    try:
        assert ended.wait(5)
    finally:
        thread.join()
        cancel.reset()
    assert time.monotonic() - began < 5
